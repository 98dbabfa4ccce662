"""Intervals: scipy's for images on their own, wider where images or seeds hang together, and never of NaN."""

import numpy as np
import pytest
from bakeoff.evaluation import bootstrap
from bakeoff.evaluation.bootstrap import (
    BOUNDS,
    SHARE,
    Interval,
    Variance,
    expanded_shares,
    mean_interval,
    mean_variance,
    seed_variance,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_equals_scipys_bca_at_the_level_that_few_images_ask_for(level: float) -> None:
    values = np.random.default_rng(1).beta(8, 2, 53)
    ours = mean_interval(values, level=level, resamples=999, seed=4)
    low, high = expanded_shares(level, 53)
    theirs = stats.bootstrap(
        (values,), np.mean, confidence_level=high - low, n_resamples=999, method="BCa", rng=np.random.default_rng(4)
    ).confidence_interval
    assert ours == pytest.approx((values.mean(), theirs.low, theirs.high), abs=1e-12)


def test_few_images_ask_for_quantiles_as_far_out_as_t_is() -> None:
    low, high = expanded_shares(0.95, 10)
    assert stats.norm.ppf(high) == pytest.approx(stats.t.ppf(0.975, 9) * np.sqrt(10 / 9))
    assert low == pytest.approx(1 - high)
    assert expanded_shares(0.95, 1_000_000) == pytest.approx((0.025, 0.975), abs=1e-6)


def test_two_images_have_three_resampled_means() -> None:
    # 0, 1/2 and 1 with probabilities 1/4, 1/2 and 1/4.
    assert mean_interval(np.array([0.0, 1.0]), level=0.95) == Interval(0.5, 0.0, 1.0)
    assert mean_interval(np.array([0.0, 1.0]), level=0.2) == Interval(0.5, 0.5, 0.5)


def test_one_image_or_one_group_has_no_interval() -> None:
    for values, groups in (([0.7], None), ([0.6, 0.8], np.array(["a", "a"]))):
        assert mean_interval(np.array(values), groups=groups) == pytest.approx((0.7, np.nan, np.nan), nan_ok=True)
    assert mean_interval(np.array([0.7, 0.7])) == Interval(0.7, 0.7, 0.7), "two that agree have one"
    assert Interval(0.7, np.nan, np.nan).plain() == {"mean": 0.7, "low": None, "high": None}


def test_a_difference_that_rounds_to_nothing_has_no_minus() -> None:
    assert Interval(-0.0001, -0.0123, 0.0004).signed() == "+0.000 (-0.012 to +0.000)"


def test_the_same_seed_gives_the_same_interval_whatever_is_held_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random(31)
    at_once = mean_interval(values, seed=3)
    assert mean_interval(values, seed=3) == at_once
    assert mean_interval(values, seed=4) != at_once
    monkeypatch.setattr(bootstrap, "_VALUES_AT_A_TIME", 100)
    bootstrap.times_drawn.cache_clear()
    assert mean_interval(values, seed=3) == pytest.approx(at_once, abs=1e-14)


def test_seeds_are_averaged_within_an_image() -> None:
    by_seed = np.random.default_rng(0).random((20, 3))
    by_seed -= by_seed.mean(axis=0)  # so that the seeds differ on every image and nowhere else
    assert mean_interval(by_seed) == pytest.approx(mean_interval(by_seed.mean(axis=1)), abs=1e-12)


def test_seeds_alone_give_a_t_interval_of_their_means() -> None:
    means = np.array([0.7, 0.8, 0.74, 0.72])
    interval = mean_interval(np.tile(means, (50, 1)))
    expected = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    assert interval == pytest.approx((means.mean(), expected.low, expected.high))


def test_seeds_carry_no_score_beyond_its_bounds() -> None:
    by_seed = np.tile([0.2, 0.9], (9, 1))
    free, share, distance = (
        mean_interval(by_seed, **bounds) for bounds in ({}, {"bounds": SHARE}, {"bounds": BOUNDS["assd"]})
    )
    assert (free.low < 0, free.high > 1) == (True, True)
    assert share == (free.mean, 0, 1)
    assert distance == (free.mean, 0, free.high)


def test_the_variance_of_images_and_seeds_is_that_of_the_two_way_analysis_of_variance() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (30, 1)) + rng.normal(0, 1, (1, 4)) + rng.normal(0, 1, (30, 4))
    images, seeds, grand = values.mean(axis=1), values.mean(axis=0), values.mean()
    of_seeds = 30 * np.sum((seeds - grand) ** 2) / 3
    residual = np.sum((values - images[:, None] - seeds + grand) ** 2) / (29 * 3)
    found = mean_variance(values, np.arange(30))
    assert found.of_images == pytest.approx(4 * images.var(ddof=1) / (30 * 4))
    assert found.of_seeds == ((pytest.approx((of_seeds - residual) / (30 * 4)), 4),)
    total = found.of_images + found.between_seeds
    assert found.standard_error == pytest.approx(total**0.5)
    weighted = found.of_images * stats.t.ppf(0.975, 29) + found.between_seeds * stats.t.ppf(0.975, 3)
    assert found.t_quantile(0.975) == pytest.approx(weighted / total)


@pytest.mark.parametrize(
    "variance", [Variance(4.0, 30, ((1.0, 2), (0.5, 5))), Variance(4.0, 30), Variance(0.0, 9, ((1.0, 3),))]
)
def test_the_tail_beyond_a_quantile_is_what_the_quantile_leaves(variance: Variance) -> None:
    for tail in (1e-9, 0.001, 0.025, 0.05, 0.4, 0.5, 0.9):
        assert variance.t_tail(variance.t_quantile(1 - tail)) == pytest.approx(tail, rel=1e-6)
    assert variance.t_tail(1e300) == pytest.approx(0, abs=1e-200)


def test_a_tail_of_one_part_is_that_of_t() -> None:
    assert Variance(4.0, 30).t_tail(2.5) == pytest.approx(stats.t.sf(2.5, 29))
    assert Variance(4.0, 30, ((0.0, 5),)).t_tail(-2.5) == pytest.approx(stats.t.cdf(2.5, 29))


def test_what_images_explain_is_no_variance_of_seeds() -> None:
    # Means 0.2 and 0.4: squared distances from 0.3 add up to 0.02, of which 0.015 is the images'.
    assert seed_variance(np.array([0.2, 0.4]), 0.015) == ((pytest.approx(0.005 / 2), 2),)
    assert seed_variance(np.array([0.2, 0.4]), 0.03) == ((0.0, 2),)
    assert seed_variance(np.array([0.2]), 0.0) == ()


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
        values = np.where(rng.random(150) < 0.1, rng.beta(2, 2, 150), rng.beta(30, 2, 150))  # one in ten fails
        interval = mean_interval(values, resamples=1000)
        covered += interval.low <= 0.9 * 30 / 32 + 0.1 / 2 <= interval.high
    assert 0.91 <= covered / 300 <= 0.98


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
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
