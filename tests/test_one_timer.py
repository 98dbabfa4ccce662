"""Snakemake looks again when it must, and not once for every job that has ended."""

import time
from threading import Semaphore
from types import SimpleNamespace

import pytest
from one_timer import one_timer_at_a_time
from snakemake.scheduling.job_scheduler import JobScheduler


def test_snakemake_still_has_what_is_wrapped() -> None:
    assert JobScheduler._schedule_reevalutation.__code__.co_varnames[:2] == ("self", "delay")


@pytest.mark.parametrize("times", [1, 5])
def test_a_second_timer_is_not_started_and_a_later_one_is(times: int) -> None:
    scheduler = SimpleNamespace(_open_jobs=Semaphore(0))
    schedule = one_timer_at_a_time(JobScheduler._schedule_reevalutation)
    for _ in range(times):
        schedule(scheduler, 0.2)
    assert scheduler._open_jobs.acquire(timeout=20), "the timer makes it look again"
    assert not scheduler._open_jobs.acquire(timeout=0.5), "once"
    for _ in range(times):
        schedule(scheduler, 0.1)
    assert scheduler._open_jobs.acquire(timeout=20), "and the next one again"
    time.sleep(0.3)
    assert not scheduler._open_jobs.acquire(blocking=False)
