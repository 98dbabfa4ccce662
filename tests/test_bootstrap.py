"""Intervals: scipy's for images on their own, wider where images hang together, and never of NaN."""

import numpy as np
import pytest
from bakeoff.evaluation import bootstrap
from bakeoff.evaluation.bootstrap import Interval, mean_interval
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_equals_scipy(level: float) -> None:
    values = np.random.default_rng(1).beta(8, 2, 53)
    ours = mean_interval(values, level=level, resamples=999, seed=4)
    theirs = stats.bootstrap(
        (values,), np.mean, confidence_level=level, n_resamples=999, method="percentile", rng=np.random.default_rng(4)
    ).confidence_interval
    assert ours == pytest.approx((values.mean(), theirs.low, theirs.high), abs=1e-12)


def test_two_images_have_three_resampled_means() -> None:
    # 0, 1/2 and 1 with probabilities 1/4, 1/2 and 1/4.
    assert mean_interval(np.array([0.0, 1.0]), level=0.95) == Interval(0.5, 0.0, 1.0)
    assert mean_interval(np.array([0.0, 1.0]), level=0.3) == Interval(0.5, 0.5, 0.5)


def test_one_image_has_no_spread() -> None:
    assert mean_interval(np.array([0.7])) == Interval(0.7, 0.7, 0.7)


def test_the_same_seed_gives_the_same_interval_whatever_is_held_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random(31)
    at_once = mean_interval(values, seed=3)
    assert mean_interval(values, seed=3) == at_once
    assert mean_interval(values, seed=4) != at_once
    monkeypatch.setattr(bootstrap, "_VALUES_AT_A_TIME", 100)
    assert mean_interval(values, seed=3) == at_once


def test_seeds_are_averaged_within_an_image() -> None:
    by_image = np.random.default_rng(0).random((20, 1))
    disagreement = np.array([[-0.3, 0.0, 0.3]])
    assert mean_interval(by_image + disagreement) == pytest.approx(mean_interval(by_image[:, 0]))


def test_groups_of_one_are_images_on_their_own() -> None:
    values = np.random.default_rng(0).random(12)
    assert mean_interval(values, groups=np.array(list("lkjihgfedcba"))) == mean_interval(values)


def test_images_of_one_group_count_once() -> None:
    patients = np.random.default_rng(0).random(30)
    alone = mean_interval(patients)
    copied = mean_interval(np.repeat(patients, 10), groups=np.repeat(np.arange(30), 10))
    assert copied == pytest.approx(alone)
    naive = mean_interval(np.repeat(patients, 10))
    assert copied.high - copied.low > 2 * (naive.high - naive.low)


def test_a_group_weighs_as_many_images_as_it_has() -> None:
    interval = mean_interval(np.array([0.0, 0.0, 0.0, 1.0]), groups=np.array(["a", "a", "a", "b"]))
    assert interval == Interval(0.25, 0.0, 1.0)


def test_95_of_100_intervals_cover_the_truth() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        interval = mean_interval(rng.normal(0.5, 0.1, 60), resamples=400)
        covered += interval.low <= 0.5 <= interval.high
    assert 0.90 <= covered / 300 <= 0.98


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_the_mean_of_all_resamples_stays_within_the_values(values: list[float]) -> None:
    interval = mean_interval(np.array(values), resamples=200)
    assert min(values) - 1e-12 <= interval.low <= interval.high <= max(values) + 1e-12
    assert interval.mean == pytest.approx(np.mean(values))


@pytest.mark.parametrize(
    ("values", "groups", "message"),
    [
        ([], None, "no image"),
        ([0.5, np.nan], None, "1 of 2 values are not finite"),
        ([0.5, np.inf], None, "not finite"),
        ([0.5, 0.6], ["a"], "1 groups for 2 images"),
    ],
)
def test_what_has_no_interval_is_refused(values: list[float], groups: list[str] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mean_interval(np.array(values), groups=None if groups is None else np.array(groups))
