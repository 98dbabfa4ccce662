"""Snakemake with one timer: what it needs to look again at the jobs that wait, and no more.

Its limit of jobs a second (100, and no option turns it off) starts a timer whenever jobs were looked through, which
makes it look again a second later. A job that ends makes it look as well, so each one leaves a timer more, for good:
after a hundred jobs Snakemake looks through all that wait a hundred times a second, and takes a third of a core from
them.
"""

from collections.abc import Callable
from functools import wraps
from threading import Timer
from typing import Any


def one_timer_at_a_time(schedule_reevaluation: Callable[..., None]) -> Callable[..., None]:
    """Wrap `JobScheduler._schedule_reevalutation`: while a timer runs, another one is not started."""
    running: list[Timer] = []

    @wraps(schedule_reevaluation)
    def schedule(scheduler: Any, delay: float) -> None:
        def look_again() -> None:
            running.clear()  # first: what looks again asks for the next timer
            scheduler._open_jobs.release()

        if not running:
            running.append(Timer(delay, look_again))
            running[0].daemon = True  # at the end there is nothing to look at
            running[0].start()

    return schedule


def spare_snakemake() -> None:
    """Let Snakemake, in this process, run one timer; a Snakemake that has none stays as it is."""
    from snakemake.scheduling.job_scheduler import JobScheduler

    if hasattr(JobScheduler, "_schedule_reevalutation"):  # their spelling
        JobScheduler._schedule_reevalutation = one_timer_at_a_time(JobScheduler._schedule_reevalutation)
