"""Paired comparisons: the tests are scipy's and statsmodels', and verdicts follow from them and the margin."""

import numpy as np
import pytest
from bakeoff.evaluation.areas import AreasUnderCurves, compare_areas, measure_areas
from bakeoff.evaluation.bootstrap import Variance, mean_interval
from bakeoff.evaluation.paired import (
    Paired,
    compare_paired,
    equivalence_p,
    holm,
    holm_factors,
    verdict,
)
from scipy import special, stats
from sklearn.metrics import roc_auc_score


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def right(first: int, second: int, both: int = 5, neither: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Whether each image is right: so many by the first alone, by the second alone, by both and by neither."""
    counts = (first, second, both, neither)
    return np.repeat([1.0, 0, 1, 0], counts), np.repeat([0.0, 1, 1, 0], counts)


class TestByDegree:
    """Scores such as Dice."""

    @pytest.mark.parametrize("images", [12, 300])
    def test_the_p_value_is_scipys_of_wilcoxons_test(self, rng: np.random.Generator, images: int) -> None:
        a, b = rng.beta(8, 2, images), rng.beta(7, 2, images)
        found = compare_paired(a, b, binary=False, resamples=100)
        assert found.test == "Wilcoxon signed-rank"
        assert found.p_value == pytest.approx(stats.wilcoxon(a, b).pvalue)
        assert found.images == images

    def test_the_interval_is_that_of_the_mean_difference(self, rng: np.random.Generator) -> None:
        a, b, groups = rng.random(60), rng.random(60), np.arange(60) // 3
        found = compare_paired(a, b, groups=groups, binary=False, resamples=500)
        bootstrapped = mean_interval(a - b, groups=groups, resamples=500)
        means = (a - b).reshape(20, 3).mean(axis=1)
        low, high = stats.t.interval(0.95, 19, means.mean(), stats.sem(means))
        wider = (bootstrapped.mean, min(bootstrapped.low, low), max(bootstrapped.high, high))
        assert (found.difference, found.low, found.high) == pytest.approx(wider, abs=1e-12)

    def test_no_end_is_beyond_what_a_difference_can_be(self) -> None:
        found = compare_paired(np.array([0.95, 0.9]), np.array([0.9, 0.2]), binary=False)
        assert (found.low, found.high) == (-1, 1)

    def test_of_groups_their_means_are_tested(self, rng: np.random.Generator) -> None:
        patients = rng.normal(0.02, 0.1, 20)
        sizes = rng.integers(1, 6, 20)
        a = np.repeat(patients, sizes)
        found = compare_paired(a, np.zeros(len(a)), groups=np.repeat(np.arange(20), sizes), binary=False)
        assert found.p_value == pytest.approx(stats.wilcoxon(patients).pvalue)

    def test_the_effect_is_the_rank_biserial_correlation(self) -> None:
        # Ranks 1, 2 and 4 in favour, 3 against: (7 - 3) / 10.
        found = compare_paired(np.array([0.1, 0.2, 0.0, 0.4]), np.array([0.0, 0.0, 0.3, 0.0]), binary=False)
        assert found.effect == pytest.approx(0.4)

    def test_swapped_methods_have_the_opposite_difference(self, rng: np.random.Generator) -> None:
        a, b = rng.beta(8, 2, 50), rng.beta(7, 2, 50)
        there, back = (compare_paired(*both, binary=False, resamples=400) for both in [(a, b), (b, a)])
        assert (back.difference, back.low, back.high) == pytest.approx((-there.difference, -there.high, -there.low))
        assert (back.p_value, back.effect) == pytest.approx((there.p_value, -there.effect))

    @pytest.mark.parametrize("binary", [True, False])
    def test_a_method_is_no_better_than_itself(self, binary: bool) -> None:
        found = compare_paired(np.array([0.0, 1.0, 1.0]), np.array([0.0, 1.0, 1.0]), binary=binary)
        assert (found.difference, found.p_value, found.effect) == (0, 1, 0)
        # Of images that are right or wrong others might tell the two apart: up to z^2 / (n + z^2) of them.
        assert (-found.low, found.high) == pytest.approx([3.841 / (3 + 3.841)] * 2 if binary else [0, 0], abs=1e-3)

    @pytest.mark.parametrize("binary", [True, False])
    def test_a_few_images_that_agree_show_no_equivalence(self, binary: bool) -> None:
        # Up to 1 - 0.05^(1/n) of all images might tell the two apart, and none of n: 0.451 for 5, 0.00597 for 500.
        few, many = (compare_paired(np.ones(n), np.ones(n), binary=binary) for n in (5, 500))
        assert equivalence_p(few, 0.01) == pytest.approx(0.99**5)
        assert equivalence_p(many, 0.01) == pytest.approx(0.99**500)
        assert verdict(few, margin=0.01).verdict == "undecided"
        assert verdict(few, margin=0.01).images_to_decide == 299  # 0.99^298 > 0.05 > 0.99^299
        assert verdict(few, margin=0.46).verdict == "equivalent"
        assert verdict(many, margin=0.01).verdict == "equivalent"

    def test_images_of_a_group_that_agree_count_as_one(self) -> None:
        found = compare_paired(np.ones(500), np.ones(500), groups=np.arange(500) // 100, binary=True)
        assert equivalence_p(found, 0.01) == pytest.approx(0.99**5)
        assert verdict(found, margin=0.01).images_to_decide == 29900

    def test_one_group_says_nothing(self) -> None:
        for binary in (True, False):
            found = compare_paired(np.ones(3), np.array([0.0, 0.5, 1.0]), groups=np.zeros(3), binary=binary)
            told = verdict(found, margin=0.9)
            assert (found.p_value, told.verdict, told.images_to_decide) == (1, "undecided", None)
            assert np.isnan([found.low, found.high]).all()
            assert told.words.startswith("differs by 0.500 (no interval), which is inconclusive")

    def test_a_mean_and_ranks_that_contradict_each_other_decide_nothing(self) -> None:
        # 190 images are a little worse and 10 much better.
        apart = np.concatenate([np.linspace(-0.02, -0.01, 190), np.linspace(0.9, 1.0, 10)])
        found = compare_paired(apart, np.zeros(200), binary=False)
        assert found.p_value < 1e-10
        assert (found.effect < 0, found.low > 0) == (True, True)
        told = verdict(found, margin=0.001)
        assert (told.verdict, told.images_to_decide) == ("undecided", None)
        assert told.words.endswith("the mean favours one method and the ranks of the differences the other")


class TestAccuracy:
    """Images that are right or wrong."""

    @pytest.mark.parametrize(
        ("first", "second", "test"),
        [(12, 3, "McNemar exact"), (0, 0, "McNemar exact"), (15, 9, "McNemar exact"), (15, 10, "McNemar chi-square")],
    )
    def test_of_one_seed_it_is_statsmodels_mcnemar(self, first: int, second: int, test: str) -> None:
        from statsmodels.stats import contingency_tables as tables

        found = compare_paired(*right(first, second), binary=True, resamples=100)
        theirs = tables.mcnemar([[5, first], [second, 3]], exact=test.endswith("exact"), correction=False)
        assert found.test == test
        assert found.p_value == pytest.approx(theirs.pvalue)

    def test_exact_mcnemar_counted_by_hand(self) -> None:
        # 1 of 6 or fewer, or 5 or more: 2 (1 + 6) / 64.
        assert compare_paired(*right(5, 1), binary=True).p_value == pytest.approx(14 / 64)

    def test_the_effect_is_cohens_g(self) -> None:
        assert compare_paired(*right(6, 2), binary=True).effect == pytest.approx(0.25)
        assert compare_paired(*right(0, 4), binary=True).effect == pytest.approx(-0.5)

    def test_groups_are_no_independent_images(self) -> None:
        a, b = right(30, 14, both=40, neither=0)
        alone = compare_paired(a, b, binary=True)
        copied = compare_paired(
            np.repeat(a, 4), np.repeat(b, 4), groups=np.repeat(np.arange(len(a)), 4), binary=True, resamples=4000
        )
        assert copied.test == "paired bootstrap"
        assert copied.p_value == pytest.approx(alone.p_value, rel=0.25)
        assert compare_paired(np.repeat(a, 4), np.repeat(b, 4), binary=True).p_value < alone.p_value / 100

    @pytest.mark.parametrize(("groups", "p_value"), [(2, 0.5), (5, 0.0625), (12, 2 / 4096)])
    def test_groups_that_all_agree_are_no_surer_than_their_signs(self, groups: int, p_value: float) -> None:
        found = compare_paired(
            np.ones(3 * groups), np.zeros(3 * groups), groups=np.repeat(np.arange(groups), 3), binary=True
        )
        assert (found.test, found.p_value) == ("paired bootstrap", pytest.approx(p_value))

    @pytest.mark.parametrize(
        ("first", "second", "images", "margin"), [(1, 0, 300, 0.02), (3, 2, 400, 0.02), (20, 14, 900, 0.03)]
    )
    def test_equivalence_is_tangos_score_test(self, first: int, second: int, images: int, margin: float) -> None:
        # The share of images that the second alone has right, most likely if the first led by the margin: on a grid.
        share = np.linspace(1e-9, (1 - margin) / 2 - 1e-9, 1_000_001)
        likelihood = first * np.log(share + margin) + (images - first - second) * np.log(1 - 2 * share - margin)
        best = share[np.argmax(likelihood + (second * np.log(share) if second else 0))]
        error = np.sqrt(images * (2 * best + margin - margin**2))
        found = compare_paired(*right(first, second, both=images - first - second, neither=0), binary=True)
        tango = stats.norm.cdf((first - second - images * margin) / error)
        wald = found.variance.t_tail((margin - found.difference) / found.variance.standard_error)
        assert tango > wald
        assert equivalence_p(found, margin) == pytest.approx(tango, rel=1e-4)

    def test_the_interval_is_tangos(self) -> None:
        # Fagerland, Lydersen & Laake (2014), Statistics in Medicine 33(16): airway hyper-responsiveness of 21 children.
        found = compare_paired(*right(1, 7, both=1, neither=12), binary=True)
        assert [found.difference, found.low, found.high] == pytest.approx([-0.286, -0.517, -0.026], abs=5e-4)

    @pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (25, 12), (3, 40), (300, 0), (0, 300)])
    def test_the_interval_holds_what_the_score_test_does_not_reject(self, first: int, second: int) -> None:
        pair = right(first, second, both=300 - first - second, neither=0)
        found, turned = compare_paired(*pair, binary=True), compare_paired(*pair[::-1], binary=True)
        assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))
        if first == second == 0:
            assert found.high == pytest.approx(3.8415 / (300 + 3.8415), rel=1e-4)  # z^2 / (n + z^2)
        assert -1 <= found.low <= found.difference <= found.high <= 1
        assert found.high - found.low >= 2 * 3.841 / (300 + 3.842) * 0.5, (
            "never as narrow as half of no difference at all"
        )
        # At 0 Tango's statistic is McNemar's.
        if first + second >= 25:
            assert (found.low > 0 or found.high < 0) == (found.p_value < 0.05)
        margin = found.high if found.difference > 0 else -found.low
        if 0 < first - second < 300:
            assert equivalence_p(found, margin) == pytest.approx(0.025, rel=1e-3)

    def test_groups_that_no_image_tells_apart_might_be_by_others(self) -> None:
        same = np.repeat([0.0, 1.0], 50)
        found = compare_paired(same, same, groups=np.repeat(np.arange(25), 4), binary=True)
        assert (found.low, found.high) == pytest.approx((-0.1332, 0.1332), abs=1e-4)  # z^2 / (25 + z^2)

    def test_shares_of_seeds_take_the_bootstrap_which_agrees_with_a_t_test(self, rng: np.random.Generator) -> None:
        a, b = rng.integers(0, 6, 200) / 5, rng.integers(0, 7, 200).clip(max=5) / 5
        found = compare_paired(a, b, binary=True, resamples=4000)
        assert found.test == "paired bootstrap"
        assert found.p_value == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=0.2)


class TestSeeds:
    """Scores by image and seed."""

    def test_seeds_that_differ_by_their_images_alone_are_averages(self, rng: np.random.Generator) -> None:
        a, b = rng.random((50, 3)), rng.random((50, 1))
        a -= a.mean(axis=0)  # so that every seed has the same mean
        by_seed, averaged = (compare_paired(each, b, binary=False) for each in (a, a.mean(axis=1)))
        assert by_seed.variance.between_seeds == 0
        assert (by_seed.low, by_seed.high, by_seed.p_value) == (averaged.low, averaged.high, averaged.p_value)

    def test_seeds_that_differ_widen_the_interval_to_a_t_interval_of_seeds(self) -> None:
        # All images agree, so that the three seeds' means are all there is: a paired t test of three values.
        means = np.array([0.1, 0.2, 0.36])
        found = compare_paired(np.tile(means, (40, 1)), np.zeros(40), binary=False)
        theirs = stats.ttest_1samp(means, 0)
        assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval(0.95)))
        assert found.p_value == pytest.approx(theirs.pvalue)

    def test_false_leads_of_equal_methods_whose_seeds_differ_are_rare(self, rng: np.random.Generator) -> None:
        found = dict.fromkeys(("by seed", "averaged"), 0)
        for _ in range(200):
            a, b = (rng.normal(0.8, 0.02, 5) + rng.normal(0, 0.05, (100, 5)) for _ in range(2))
            for how, pair in {"by seed": (a, b), "averaged": (a.mean(axis=1), b.mean(axis=1))}.items():
                told = verdict(compare_paired(*pair, binary=False, resamples=200), margin=0.001)
                found[how] += told.verdict in ("better", "worse")
        assert found["by seed"] <= 20
        assert found["averaged"] > 80


@pytest.mark.parametrize("p_values", [[0.01, 0.04, 0.03], [0.2, 0.9, 0.5, 0.001], [0.02], [], [0.03, 0.03, 0.03]])
def test_holm_is_statsmodels(p_values: list[float]) -> None:
    from statsmodels.stats import multitest

    theirs = multitest.multipletests(p_values, method="holm")[1] if p_values else []
    assert holm(np.array(p_values)) == pytest.approx(theirs)


def test_the_smallest_of_a_family_is_corrected_for_all_and_the_largest_for_itself() -> None:
    p_values = np.array([0.2, 0.9, 0.5, 0.001])
    assert holm_factors(p_values).tolist() == [3, 1, 2, 4]
    assert holm(p_values).tolist() == pytest.approx([0.6, 1.0, 1.0, 0.004])


def differing(difference: float, error: float, *, p_value: float, images: int = 100, seeds: float = 0.0) -> Paired:
    variance = Variance(error**2 - seeds, images, ((seeds, 5),) if seeds else ())
    low, high = difference - 2 * error, difference + 2 * error
    effect = 0.5 * float(np.sign(difference))
    return Paired(images, difference, low, high, p_value, "Wilcoxon signed-rank", effect, variance)


class TestVerdict:
    """What to make of a difference, with a margin of 0.01."""

    @pytest.mark.parametrize(
        ("difference", "error", "p_holm", "expected", "words"),
        [
            (0.03, 0.005, 0.001, "better", "is better by 0.030 (0.020 to 0.040), more than the margin of 0.01"),
            (
                0.02,
                0.008,
                0.020,
                "better",
                "is better by 0.020 (0.004 to 0.036), possibly less than the margin of 0.01",
            ),
            (-0.03, 0.005, 0.001, "worse", "is worse by 0.030 (0.020 to 0.040), more than the margin of 0.01"),
            (0.001, 0.003, 0.700, "equivalent", "lies within the margin of 0.01"),
            (0.005, 0.001, 0.001, "equivalent", "within the margin of 0.01, though it is significant"),
            (0.03, 0.005, 0.051, "undecided", "differs by 0.030"),
            (0.01, 0.006, 0.001, "undecided", "images would decide it"),  # the interval holds 0
        ],
    )
    def test_follows_from_p_value_interval_and_margin(
        self, difference: float, error: float, p_holm: float, expected: str, words: str
    ) -> None:
        told = verdict(differing(difference, error, p_value=p_holm / 5), margin=0.01, p_holm=p_holm)
        assert told.verdict == expected
        assert words in told.words
        assert (told.images_to_decide is not None) == (expected == "undecided")

    def test_without_a_family_the_p_value_is_its_own(self) -> None:
        assert verdict(differing(0.03, 0.005, p_value=0.04), margin=0.01).verdict == "better"

    def test_equivalence_is_statsmodels_tost(self, rng: np.random.Generator) -> None:
        from statsmodels.stats import weightstats

        a = rng.normal(0.8, 0.1, 60)
        b = a + rng.normal(0.001, 0.02, 60)
        found = compare_paired(a, b, binary=False)
        for margin in (0.004, 0.01):
            assert equivalence_p(found, margin) == pytest.approx(weightstats.ttost_paired(a, b, -margin, margin)[0])

    def test_so_many_images_do_decide_a_difference_four_times_in_five(self, rng: np.random.Generator) -> None:
        # A first experiment with a difference of 0.03 and a standard deviation of 0.1, exactly.
        apart = stats.zscore(rng.normal(size=20)) * 0.1 * np.sqrt(19 / 20) + 0.03
        needed = verdict(compare_paired(apart, np.zeros(20), binary=False), margin=0.001).images_to_decide
        assert needed == pytest.approx((0.1 / 0.03) ** 2 * (1.96 + 0.8416) ** 2, abs=1)
        decided = sum(stats.ttest_1samp(rng.normal(0.03, 0.1, needed), 0).pvalue < 0.05 for _ in range(1000))
        assert 750 < decided < 850

    def test_a_difference_within_the_margin_may_be_decided_as_equivalent(self) -> None:
        told = verdict(differing(0.0, 0.01, p_value=0.9), margin=0.01)
        # The standard deviation is 0.1, the margin 0.01, and both tests may fail: (1.645 + 1.2816)^2 * 100.
        assert told.images_to_decide == 857
        # At a difference of 0.005 one of them alone may: (1.645 + 0.8416)^2 * 400.
        assert verdict(differing(0.005, 0.01, p_value=0.6), margin=0.01).images_to_decide == 2474

    def test_so_many_images_show_equivalence_four_times_in_five(self, rng: np.random.Generator) -> None:
        needed = verdict(differing(0.0, 0.01, p_value=0.9), margin=0.01).images_to_decide
        assert needed is not None
        drawn = rng.normal(0, 0.1, (2000, needed))
        half = stats.t.ppf(0.95, needed - 1) * drawn.std(axis=1, ddof=1) / np.sqrt(needed)
        assert 0.77 < np.mean(np.abs(drawn.mean(axis=1)) + half < 0.01) < 0.83

    def test_the_interval_and_the_test_of_equivalence_are_one(self) -> None:
        paired = differing(0.002, 0.003, p_value=0.5, seeds=0.000004)
        ninety = 0.002 + paired.variance.t_quantile(0.95) * 0.003
        assert equivalence_p(paired, ninety) == pytest.approx(0.05)

    def test_a_family_needs_more_images_and_never_fewer_than_there_are(self) -> None:
        paired = differing(0.03, 0.02, p_value=0.13)
        # (0.2 / 0.03)^2 (z(1 - 0.025 / tests) + 0.8416)^2, whatever the corrected p-value was cut off at.
        assert verdict(paired, margin=0.01).images_to_decide == 349
        for p_holm in (0.9, 1.0):
            assert verdict(paired, margin=0.01, p_holm=p_holm, tests=45).images_to_decide == 748
        assert verdict(differing(0.03, 0.001, p_value=0.06), margin=0.01).images_to_decide == 101

    def test_where_the_seeds_differ_no_number_of_images_decides(self) -> None:
        told = verdict(differing(0.03, 0.02, p_value=0.2, seeds=0.00039), margin=0.01)
        assert told.images_to_decide is None
        assert told.words.endswith("more images would not decide it, more seeds may")


def areas_of(truth: np.ndarray, a: np.ndarray, b: np.ndarray, groups: np.ndarray | None = None) -> AreasUnderCurves:
    return compare_areas(*(measure_areas(truth, each, groups) for each in (a, b)))


def delong(positive: np.ndarray, a: np.ndarray, b: np.ndarray) -> AreasUnderCurves:
    """Two classes, one seed, every image on its own; scores of the first class are not looked at."""
    a, b = (np.stack([np.zeros(len(each)), each], axis=1)[None] for each in (a, b))
    return areas_of(np.asarray(positive, int), a, b)


class TestAreas:
    """Areas under ROC curves."""

    def test_of_many_classes_it_is_scikit_learns_macro_average(self, rng: np.random.Generator) -> None:
        truth = rng.integers(0, 4, 120)
        a, b = (special.softmax(np.eye(4)[truth] + rng.normal(0, sigma, (120, 4)), axis=1) for sigma in (1, 2))
        found = areas_of(truth, a[None], b[None])
        assert found.first == pytest.approx(roc_auc_score(truth, a, multi_class="ovr"))
        assert found.second == pytest.approx(roc_auc_score(truth, b, multi_class="ovr"))
        rows = (rng.integers(0, 120, 120) for _ in range(400))
        drawn = [
            roc_auc_score(truth[row], a[row], multi_class="ovr") - roc_auc_score(truth[row], b[row], multi_class="ovr")
            for row in rows
        ]
        assert (found.difference.low, found.difference.high) == pytest.approx(
            np.quantile(drawn, [0.025, 0.975]), abs=0.02
        )

    def test_images_of_a_group_count_as_one(self, rng: np.random.Generator) -> None:
        truth = rng.integers(0, 2, 60)
        a, b = (rng.random((1, 60, 2)) + truth[None, :, None] * 0.2 for _ in range(2))
        once = areas_of(truth, a, b).difference
        thrice = [np.repeat(each, 3, axis=-2 if each.ndim == 3 else 0) for each in (a, b)]
        grouped = areas_of(np.repeat(truth, 3), *thrice, groups=np.repeat(np.arange(60), 3)).difference
        assert grouped.mean == pytest.approx(once.mean)
        assert grouped.high - grouped.low == pytest.approx(once.high - once.low, rel=0.03)
        alone = areas_of(np.repeat(truth, 3), *thrice).difference
        assert alone.high - alone.low == pytest.approx((once.high - once.low) / np.sqrt(3), rel=0.03)

    def test_seeds_that_disagree_widen_the_interval(self, rng: np.random.Generator) -> None:
        truth = rng.integers(0, 2, 200)
        b = rng.random((1, 200, 2))
        good, bad = (truth[:, None] * gain + rng.random((200, 2)) for gain in (1.0, 0.1))
        apart = areas_of(truth, np.stack([good, bad]), b)
        first = np.mean([roc_auc_score(truth, each[:, 1]) for each in (good, bad)])
        assert apart.first == pytest.approx(first)
        alike = areas_of(truth, np.stack([good, good]), b)
        assert apart.difference.high - apart.difference.low > 1.5 * (alike.difference.high - alike.difference.low)

    def test_areas_are_scikit_learns(self, rng: np.random.Generator) -> None:
        positive = rng.random(80) < 0.4
        a, b = positive + rng.normal(0, 1, 80), np.round(positive + rng.normal(0, 2, 80))  # with ties
        found = delong(positive, a, b)
        assert found.first == pytest.approx(roc_auc_score(positive, a))
        assert found.second == pytest.approx(roc_auc_score(positive, b))
        assert found.difference.mean == pytest.approx(found.first - found.second)

    def test_the_variance_is_that_of_the_papers_structural_components(self, rng: np.random.Generator) -> None:
        positive = np.arange(50) < 20
        a, b = np.round(positive + rng.normal(0, 1, 50), 1), np.round(positive + rng.normal(0, 1, 50), 1)

        def components(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            x, y = scores[positive], scores[~positive]
            wins = (x[:, None] > y) + 0.5 * (x[:, None] == y)
            return wins.mean(axis=1), wins.mean(axis=0)

        v10, v01 = (np.cov(each) for each in zip(components(a), components(b), strict=True))
        variance = np.array([1, -1]) @ (v10 / 20 + v01 / 30) @ np.array([1, -1])
        found = delong(positive, a, b)
        assert found.p_value == pytest.approx(2 * stats.t.sf(abs(found.difference.mean) / np.sqrt(variance), 49))
        width = 2 * stats.t.ppf(0.975, 49) * np.sqrt(variance)
        assert found.difference.high - found.difference.low == pytest.approx(width)

    def test_the_variance_of_groups_is_obuchowskis(self, rng: np.random.Generator) -> None:
        # Pairs of like images, so that her sums over clusters are over pairs: 10 with the class, 15 without.
        positive, groups = np.arange(50) < 20, np.arange(50) // 2
        scores = positive + rng.normal(0, 1, 50)
        wins = scores[positive][:, None] > scores[~positive]
        v10, v01 = (wins.mean(axis=axis).reshape(-1, 2) - wins.mean() for axis in (1, 0))
        variance = 10 / 9 * np.sum(v10.sum(axis=1) ** 2) / 20**2 + 15 / 14 * np.sum(v01.sum(axis=1) ** 2) / 30**2
        both = np.stack([np.zeros(50), scores], axis=1)[None]
        found = areas_of(positive.astype(int), both, np.zeros_like(both), groups)  # a constant has no variance
        assert found.difference.high - found.first + 0.5 == pytest.approx(stats.t.ppf(0.975, 24) * variance**0.5)

    @pytest.mark.parametrize("gain", [0.0, 2.0])
    def test_seeds_add_what_they_differ_by_beyond_what_their_images_explain(
        self, rng: np.random.Generator, gain: float
    ) -> None:
        positive = np.arange(40) < 15
        scores = [positive * (1 + gain * seed) + rng.normal(0, 1, 40) for seed in range(4)]
        wins = np.array([each[positive][:, None] > each[~positive] for each in scores])
        areas, together = wins.mean(axis=(1, 2)), wins.mean(axis=0)

        def variance(won: np.ndarray) -> float:
            return won.mean(axis=1).var(ddof=1) / 15 + won.mean(axis=0).var(ddof=1) / 25

        explained = sum(variance(each - together) for each in wins)
        of_seeds = max(0.0, 3 * areas.var(ddof=1) - explained) / 3 / 4
        assert (of_seeds > 0) == (gain > 0)
        a = np.stack([np.zeros((4, 40)), scores], axis=2)
        found = areas_of(positive.astype(int), a, np.zeros((1, 40, 2)))
        expected = Variance(variance(together), 40, ((of_seeds, 4),))
        half = expected.t_quantile(0.975) * expected.standard_error
        assert (found.difference.low, found.difference.high) == pytest.approx(
            (areas.mean() - 0.5 - half, areas.mean() - 0.5 + half)
        )

    def test_the_interval_agrees_with_the_bootstrap(self, rng: np.random.Generator) -> None:
        positive = rng.random(300) < 0.5
        a, b = positive + rng.normal(0, 1, 300), positive + rng.normal(0, 1.5, 300)
        drawn = [
            roc_auc_score(positive[rows], a[rows]) - roc_auc_score(positive[rows], b[rows])
            for rows in (rng.integers(0, 300, 300) for _ in range(600))
        ]
        found = delong(positive, a, b).difference
        assert (found.low, found.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.015)

    def test_the_same_order_is_the_same_area(self) -> None:
        positive, scores = np.array([0, 1, 0, 1, 1]), np.array([0.1, 0.4, 0.5, 0.6, 0.2])
        found = delong(positive, scores, scores**3)
        assert (found.difference, found.p_value) == ((0, 0, 0), 1)

    def test_one_always_right_and_one_never_are_no_surer_than_so_many_images(self) -> None:
        positive = np.array([0, 0, 1, 1])
        assert delong(positive, positive.astype(float), -positive.astype(float)).p_value == 0.125

    def test_images_of_one_group_are_refused(self) -> None:
        with pytest.raises(ValueError, match="of two groups each"):
            delong(np.array([1, 0, 0]), np.arange(3.0), np.arange(3.0))
        scores = np.arange(8.0).reshape(1, 4, 2)
        with pytest.raises(ValueError, match="of two groups each"):
            areas_of(np.array([0, 0, 1, 1]), scores, scores, groups=np.array(["a", "b", "c", "c"]))


@pytest.mark.parametrize(
    ("a", "b", "groups", "message"),
    [
        ([0.1, 0.2], [0.1], None, "2 images of the first method and 1 of the second"),
        ([], [], None, "no image"),
        ([0.1, np.nan], [0.1, 0.2], None, "not finite"),
        ([0.1, 0.2], [0.1, 0.2], ["a"], "1 groups for 2 images"),
    ],
)
def test_what_is_no_pair_is_refused(a: list[float], b: list[float], groups: list[str] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare_paired(np.array(a), np.array(b), groups=groups and np.array(groups), binary=False)
