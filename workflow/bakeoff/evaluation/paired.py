"""Two methods on the same images: the difference, its interval and p-value, and the verdict on it.

| scores | test | effect size |
|---|---|---|
| by degree, such as Dice | Wilcoxon signed-rank, on the groups' mean differences | rank-biserial correlation |
| right or wrong, independent images | McNemar, exact where few images are discordant | Cohen's g |
| right or wrong, in groups or by several seeds | t test with the paired bootstrap's standard error | Cohen's g |

Where a method was trained with several seeds, and these differ by more than their images explain, the p-value is the
larger of the test's and that of a t test whose standard error includes the variance between seeds: a lead that another
seed could reverse is not the method's.

Few discordant images make the variance too small, down to 0. So no p-value is below the sign test's least, and methods
are equivalent only if discordant images are shown to be rare: by Clopper & Pearson's limit where there is none, else by
Tango's score test. His is also the interval of independent images that are right or wrong, and of methods that agree on
every image; it excludes 0 where McNemar's chi-square rejects. All other intervals are bootstrapped, and no narrower
than a t interval.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import optimize, special, stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from bakeoff.evaluation.bootstrap import (
    Interval,
    Variance,
    bca_interval,
    checked,
    clustered_variance,
    mean_variance,
    resampled_means,
    widened,
)

# Discordant images, which one method alone has right: with fewer McNemar's test is exact. Fagerland et al. (2013).
FEW_DISCORDANT = 25
# Of the number of images in `images_to_decide`.
POWER = 0.8
# The furthest from 0 that a difference between two shares is looked for.
_ALL = 1 - 1e-9


@dataclass(frozen=True)
class Paired:
    """How the first of two methods differs from the second on the same images.

    Attributes
    ----------
    images
        How many.
    difference, low, high
        Mean score of the first less that of the second, and its 95 % interval; NaN of a single group.
    p_value
        Two-sided, of no difference.
    test
        What it is of: "Wilcoxon signed-rank", "McNemar exact", "McNemar chi-square" or "paired bootstrap".
    effect
        0 for none, positive where the first is better. Of the Wilcoxon test the rank-biserial correlation, -1 to 1: the
        share of rank sums in the first's favour less the other. Of accuracy Cohen's g, -0.5 to 0.5: the share of the
        images which one method alone has right that the first has right, less a half.
    variance
        Of the difference, by where it comes from.
    discordant
        Where an image is right or wrong: how many the first alone has right, and the second alone, counted in groups of
        average size; shares of seeds are counted as such. None of scores by degree.
    """

    images: int
    difference: float
    low: float
    high: float
    p_value: float
    test: str
    effect: float
    variance: Variance
    discordant: tuple[float, float] | None = None


@dataclass(frozen=True)
class Verdict:
    """Which of two methods is better, if either.

    Attributes
    ----------
    verdict
        Of the first method: better, worse, equivalent or undecided.
    images_to_decide
        Where undecided, about how many images would be needed; None otherwise, and where no number suffices, since the
        seeds differ, or since mean and ranks contradict each other.
    words
        A predicate of which the first method is the subject: "is better by 0.032, ...".
    """

    verdict: Literal["better", "worse", "equivalent", "undecided"]
    images_to_decide: int | None
    words: str


def compare_paired(
    a: np.ndarray,
    b: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    binary: bool,
    resamples: int = 2000,
    seed: int = 0,
) -> Paired:
    """Compare two methods on the same images.

    Parameters
    ----------
    a, b
        Scores of the first and the second, 0 to 1, higher is better, in the same order of images: (images,), or
        (images, seeds), each with its own seeds, which are averaged; their spread widens the interval.
    groups
        (images,). Images of one group are not independent; None where each is on its own.
    binary
        Whether an image is right or wrong, 1 or 0 (averaged over seeds: a share), rather than scored by degree.
    resamples, seed
        Of the bootstrap.

    Returns
    -------
    Paired
        Of a single group: p-value 1 and no interval.

    Raises
    ------
    ValueError
        If the two have not as many images, there is none, a score is not finite, or there is not one group an image.

    References
    ----------
    Demšar (2006), "Statistical comparisons of classifiers over multiple data sets", JMLR 7; McNemar: Fagerland,
    Lydersen & Laake (2013), "The McNemar test for binary matched-pairs data", BMC Medical Research Methodology 13:91;
    rank-biserial: Kerby (2014), "The simple difference formula", Comprehensive Psychology 3; Cohen (1988),
    "Statistical Power Analysis", chapter 5.

    Examples
    --------
    >>> first = np.array([0.9, 0.8, 0.7, 0.9, 0.8, 0.9])
    >>> second = first - np.array([0.1, 0.2, 0.15, 0.05, 0.12, 0.03])
    >>> found = compare_paired(first, second, binary=False)
    >>> found.test, round(found.difference, 3), found.p_value, found.effect
    ('Wilcoxon signed-rank', 0.108, 0.03125, 1.0)
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} images of the first method and {len(b)} of the second are no pairs.")
    first, first_by_seed, member = checked(a, groups)
    second, second_by_seed, _ = checked(b, groups)
    # Averages over seeds that differ in their last digit alone are the same.
    apart = np.round(first - second, 12)
    seeds = mean_variance(first_by_seed, member).of_seeds + mean_variance(second_by_seed, member).of_seeds
    variance = Variance(clustered_variance(apart, member), int(member.max()) + 1, seeds)

    drawn = resampled_means(apart, member, resamples=resamples, seed=seed)
    counted = binary and variance.groups == len(apart) > 1 and bool(np.isin(apart, (-1, 0, 1)).all())
    if binary and variance.groups > 1 and not apart.any():
        of_images = _tango_interval(np.zeros(variance.groups), 0.95)  # a bootstrap of nothing has no width
    elif counted:
        of_images = _tango_interval(apart, 0.95)
    else:
        of_images = _or_t(bca_interval(apart, member, drawn, 0.95), variance, 0.95)
    interval = widened(of_images, variance, 0.95).within(-1.0, 1.0)
    test, p_value = _mcnemar(apart) if counted else _tested(apart, member, drawn, variance, binary)
    if variance.between_seeds > 0:
        p_value = max(p_value, t_test(interval.mean, variance))
    effect = _cohens_g(apart) if binary else _rank_biserial(_group_means(apart, member))
    discordant = _discordant(apart, member) if binary else None
    return Paired(len(apart), *interval, p_value, test, effect, variance, discordant)


def _tested(
    apart: np.ndarray, member: np.ndarray, drawn: np.ndarray, variance: Variance, binary: bool
) -> tuple[str, float]:
    if not binary:
        return "Wilcoxon signed-rank", _wilcoxon(_group_means(apart, member))
    if variance.groups < 2:
        return "paired bootstrap", 1.0
    bootstrapped = float(drawn.var()) * variance.groups / (variance.groups - 1)
    p_value = t_test(float(apart.mean()), Variance(bootstrapped, variance.groups))
    discordant = np.count_nonzero(np.round(_group_means(apart, member), 12))
    return "paired bootstrap", max(p_value, least_p(int(discordant)))


def least_p(differences: int) -> float:
    """The least two-sided p-value that a sign test of so many differences can give."""
    return float(min(1.0, 2.0 ** (1 - differences)))


def _discordant(apart: np.ndarray, member: np.ndarray) -> tuple[float, float]:
    totals = np.bincount(member, weights=apart) / np.bincount(member).mean()
    return float(totals[totals > 0].sum()), float(-totals[totals < 0].sum())


def _group_means(apart: np.ndarray, member: np.ndarray) -> np.ndarray:
    return np.bincount(member, weights=apart) / np.bincount(member)


def _wilcoxon(differences: np.ndarray) -> float:
    """Two-sided p-value; differences of 0 say nothing and are left out, as Wilcoxon did."""
    differences = differences[differences != 0]
    return float(stats.wilcoxon(differences).pvalue) if len(differences) else 1.0


def _mcnemar(apart: np.ndarray) -> tuple[str, float]:
    """McNemar's test of the images that one method alone has right."""
    only_first, only_second = int(np.sum(apart > 0)), int(np.sum(apart < 0))
    exact = only_first + only_second < FEW_DISCORDANT
    found = mcnemar([[0, only_first], [only_second, 0]], exact=exact, correction=False)
    return f"McNemar {'exact' if exact else 'chi-square'}", float(found.pvalue)


def t_test(difference: float, variance: Variance) -> float:
    """Two-sided p-value of a difference that has this variance."""
    if difference == 0 or variance.standard_error == 0:
        return float(difference == 0)
    return 2 * variance.t_tail(abs(difference) / variance.standard_error)


def _rank_biserial(differences: np.ndarray) -> float:
    differences = differences[differences != 0]
    if len(differences) == 0:
        return 0.0
    ranks = stats.rankdata(np.abs(differences))
    return float(np.sum(np.sign(differences) * ranks) / ranks.sum())


def _cohens_g(apart: np.ndarray) -> float:
    advantage = np.abs(apart).sum()
    return float(apart[apart > 0].sum() / advantage - 0.5) if advantage else 0.0


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's correction of the p-values of a family of tests, (tests,), in the same order.

    References
    ----------
    Holm (1979), "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6(2).

    Examples
    --------
    >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
    [0.03, 0.06, 0.06]
    """
    return np.asarray(multipletests(p_values, method="holm")[1])


def holm_factors(p_values: np.ndarray) -> np.ndarray:
    """What Holm's correction multiplies every p-value by, int64, (tests,): the smallest by the number of tests, the
    largest by 1.

    Examples
    --------
    >>> holm_factors(np.array([0.01, 0.04, 0.03])).tolist()
    [3, 1, 2]
    """
    factors = np.empty(len(p_values), np.int64)
    factors[np.argsort(p_values, kind="stable")] = np.arange(len(p_values), 0, -1)
    return factors


def verdict(
    paired: Paired, *, margin: float, p_holm: float | None = None, tests: int = 1, alpha: float = 0.05
) -> Verdict:
    """Judge a difference.

    Equivalent comes first: two methods whose difference is shown to lie within the margin are equal in practice, even
    where the difference is significant. It is tested for this pair alone, whatever the family: Holm's correction guards
    against false differences, and each pair that differs by more than the margin is called equivalent with a
    probability of at most `alpha`.

    Parameters
    ----------
    paired
        Of the two methods.
    margin
        The difference below which methods are equal in practice, above 0.
    p_holm
        The p-value corrected for the family of comparisons; None for a single comparison.
    tests
        The factor of that correction: its entry of `holm_factors`.
    alpha
        Of the tests: equivalent if `equivalence_p` is below it; better or worse if `p_holm` is below it, the 95 %
        interval excludes 0 and the effect has the difference's sign. Where the ranks favour one method and the mean the
        other, neither is better.

    References
    ----------
    Schuirmann (1987), "A comparison of the two one-sided tests procedure and the power approach for assessing the
    equivalence of average bioavailability", Journal of Pharmacokinetics and Biopharmaceutics 15(6).
    """
    p_value = paired.p_value if p_holm is None else p_holm
    contradictory = paired.effect * paired.difference < 0
    significant = p_value < alpha and (paired.low > 0 or paired.high < 0) and not contradictory
    apart = f"{abs(paired.difference):.3f} ({_ends(paired)})"
    if equivalence_p(paired, margin) < alpha:
        though = ", though it is significant" if significant else ""
        words = f"is equivalent: the difference of {apart} lies within the margin of {margin:g}{though}"
        return Verdict("equivalent", None, words)
    if significant:
        found: Literal["better", "worse"] = "better" if paired.difference > 0 else "worse"
        size = "more" if min(abs(paired.low), abs(paired.high)) > margin else "possibly less"
        return Verdict(found, None, f"is {found} by {apart}, {size} than the margin of {margin:g}")
    needed = None
    if paired.variance.groups < 2:
        reason = "images of a single group cannot decide it"
    elif contradictory and p_value < alpha:
        reason = "the mean favours one method and the ranks of the differences the other"
    else:
        needed = _images_to_decide(paired, margin, alpha, tests)
        reason = (
            f"about {needed:,} images would decide it" if needed else "more images would not decide it, more seeds may"
        )
    return Verdict("undecided", needed, f"differs by {apart}, which is inconclusive: {reason}")


def _ends(paired: Paired) -> str:
    if not np.isfinite(paired.low):
        return "no interval"
    low, high = (paired.low, paired.high) if paired.difference >= 0 else (-paired.high, -paired.low)
    return f"{low:.3f} to {high:.3f}"


def equivalence_p(paired: Paired, margin: float) -> float:
    """p-value of the methods differing by `margin` or more, either way.

    Of two one-sided t tests (TOST): it is below alpha where the 1 - 2 alpha interval, seeds and all, lies within the
    margin. Of images that are right or wrong it is no less than the p-value of Tango's score test, which holds for few
    discordant images. Where the variance is 0 it is the probability of no discordant group among so many, if discordant
    ones were just frequent enough to fill the margin.

    Parameters
    ----------
    paired
        Of the two methods.
    margin
        Above 0, below 1.

    References
    ----------
    Tango (1998), "Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design", Statistics in Medicine 17(8); Clopper & Pearson (1934), "The use of confidence or fiducial limits
    illustrated in the case of the binomial", Biometrika 26(4): of no event in n the upper limit is 1 - alpha^(1/n).
    """
    room, groups = margin - abs(paired.difference), paired.variance.groups
    standard_error = paired.variance.standard_error
    if groups < 2:
        return 1.0
    if standard_error == 0:
        return float((1 - room) ** groups) if room > 0 else 1.0
    p_value = paired.variance.t_tail(room / standard_error)
    return max(p_value, _tango_p(*paired.discordant, groups, margin)) if paired.discordant else p_value


def _or_t(interval: Interval, variance: Variance, level: float) -> Interval:
    """A bootstrap interval over images, each end where a t interval's is if that is further out.

    With few differences the bootstrap allows for their skewness, and t for their underestimated spread; each covers too
    little where the other does not.
    """
    mean, low, high = interval
    if variance.groups < 2:
        return interval
    half = float(special.stdtrit(variance.groups - 1, (1 + level) / 2) * np.sqrt(variance.of_images))
    return Interval(mean, min(low, mean - half), max(high, mean + half))


def _tango_p(first: float, second: float, pairs: int, margin: float) -> float:
    """One-sided p-value of the shares that each method alone has right differing by `margin` or more, either way."""
    return float(special.ndtr(_tango_score(max(first, second), min(first, second), pairs, margin)))


def _tango_interval(apart: np.ndarray, level: float) -> Interval:
    """The differences in the share of images that are right which Tango's score test does not rule out."""
    first, second, pairs = int(np.sum(apart > 0)), int(np.sum(apart < 0)), len(apart)
    z = float(special.ndtri((1 + level) / 2))

    def beyond(difference: float, quantile: float) -> float:
        return _tango_score(first, second, pairs, difference) - quantile

    # Differences of 1, of which there is no variance, are ends where all images say so.
    low = -1.0 if beyond(-_ALL, z) <= 0 else float(optimize.brentq(beyond, -_ALL, _ALL, args=(z,)))
    high = 1.0 if beyond(_ALL, -z) >= 0 else float(optimize.brentq(beyond, -_ALL, _ALL, args=(-z,)))
    return Interval((first - second) / pairs, low, high)


def _tango_score(first: float, second: float, pairs: int, difference: float) -> float:
    """How many standard errors the shares that each method alone has right are above a difference; falls with it.

    Source: Tango (1998), equations 4 and 5.
    """
    if difference < 0:
        return -_tango_score(second, first, pairs, -difference)
    # The share of pairs that the second method alone has right, most likely if the difference were this.
    b = -first - second + (2 * pairs - first + second) * difference
    c = -second * difference * (1 - difference)
    behind = (np.sqrt(b**2 - 8 * pairs * c) - b) / (4 * pairs)
    variance = pairs * (2 * behind + difference * (1 - difference))
    above = first - second - pairs * difference
    return float(above / np.sqrt(variance)) if above else 0.0


def _images_to_decide(paired: Paired, margin: float, alpha: float, tests: int) -> int | None:
    """How many images would decide with a probability of 80 %, if the true difference is the one observed.

    The smaller of the numbers that show a difference and, for a difference within the margin, equivalence. The standard
    error needed is |difference| / (z(1 - alpha / (2 tests)) + z(power)) for the former and `_equivalence_error` for the
    latter. The variance between seeds does not shrink with more images.

    Source: Julious (2004), "Sample sizes for clinical trials with Normal data", Statistics in Medicine 23(12),
    sections 3 and 5.

    Parameters
    ----------
    paired
        Undecided.
    margin
        Of equivalence.
    alpha
        Of the tests.
    tests
        What Holm's correction multiplies the p-value of a difference by; equivalence has none.
    """
    distance, of_one_image = abs(paired.difference), paired.images * paired.variance.of_images
    needed = []
    if distance > 0:
        error = distance / (special.ndtri(1 - alpha / 2 / tests) + special.ndtri(POWER))
        needed.append((error, 0.0))
    if distance < margin:
        least = _images_without_exception(paired, margin - distance, alpha)
        needed.append((_equivalence_error(distance, margin, alpha), least))
    rooms = [(error**2 - paired.variance.between_seeds, least) for error, least in needed]
    images = [max(of_one_image / room, least) for room, least in rooms if room > 0]
    return max(paired.images + 1, int(np.ceil(min(images)))) if images else None


def _images_without_exception(paired: Paired, room: float, alpha: float) -> float:
    """How many images show that discordant ones are too rare to fill `room`; 0 of scores by degree that do vary."""
    if paired.discordant is None and paired.variance.standard_error > 0:
        return 0.0
    groups = np.ceil(np.log(alpha) / np.log1p(-room))
    return float(groups * paired.images / paired.variance.groups)


def _equivalence_error(distance: float, margin: float, alpha: float) -> float:
    """The standard error at which two one-sided tests show equivalence with a probability of 80 %.

    Both have to reject. Far from 0 one of them almost always does, and the other has 80 %: (margin - distance) /
    (z(1 - alpha) + z(power)). At 0 either may fail, and it is margin / (z(1 - alpha) + z((1 + power) / 2)).
    """
    z = special.ndtri(1 - alpha)

    def beyond(precision: float) -> float:
        rejections = special.ndtr((margin + np.array([-distance, distance])) * precision - z)
        return float(rejections.sum() - 1 - POWER)

    least, most = (z + special.ndtri([POWER, (1 + POWER) / 2])) / (margin - distance)
    return 1 / float(optimize.brentq(beyond, 0.99 * least, 1.01 * most))
