"""Two methods on the same images: by how much they differ, how surely, and what to make of it.

| scores | test | effect size |
|---|---|---|
| by degree, such as Dice | Wilcoxon signed-rank, on the groups' mean differences | rank-biserial correlation |
| right or wrong, independent images | McNemar, exact where few images tell the methods apart | Cohen's g |
| right or wrong, in groups or by several seeds | t test with the paired bootstrap's standard error | Cohen's g |

Where a method was trained with several seeds, and these differ by more than their images explain, the p-value is the
larger of the test's and that of a t test whose standard error has the seeds' part: a lead that another seed would undo
is no lead of the method.

Few images that tell two methods apart make a variance too small to be trusted, down to 0. So no p-value is below what
the signs of the differences alone could give, and methods are equivalent only if images that tell them apart are
surely rare: where none is found by what so many images must show (Clopper & Pearson), else by Tango's score test. The
interval of independent images that are right or wrong, and of methods that no image tells apart, is his too, and leaves
out 0 where McNemar's chi-square does; all others are bootstrapped, and no narrower than a t interval.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy import optimize, special, stats

from bakeoff.evaluation.bootstrap import (
    Interval,
    Variance,
    bca_interval,
    checked,
    clustered_variance,
    mean_variance,
    resampled_means,
    seed_variance,
    widened,
)

# Images that one method alone has right: with fewer McNemar's test is exact. Fagerland, Lydersen & Laake (2013).
FEW_DISCORDANT = 25
# The probability that as many images as `images_to_decide` says do decide.
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
    """What to make of a difference.

    Attributes
    ----------
    verdict
        Of the first method: better, worse, equivalent or undecided.
    images_to_decide
        Where undecided, about how many images would decide it; None otherwise, and where no number would, since it is
        the seeds that differ, or since mean and ranks contradict each other.
    words
        The same as part of a sentence whose subject is the first method: "is better by 0.032, ...".
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
        Scores of the first and the second, higher is better, in the same order of images: (images,), or
        (images, seeds), each with seeds of its own, which are averaged and whose spread then counts.
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
    interval = widened(of_images, variance, 0.95)
    if min(first_by_seed.min(), second_by_seed.min()) >= 0 and max(first_by_seed.max(), second_by_seed.max()) <= 1:
        interval = interval.within(-1.0, 1.0)
    test, p_value = _mcnemar(apart) if counted else _tested(apart, member, drawn, variance, binary)
    if variance.between_seeds > 0:
        p_value = max(p_value, _t_test(interval.mean, variance))
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
    p_value = _t_test(float(apart.mean()), Variance(bootstrapped, variance.groups))
    telling = np.count_nonzero(np.round(_group_means(apart, member), 12))
    return "paired bootstrap", max(p_value, _least_p(int(telling)))


def _least_p(differences: int) -> float:
    """The least two-sided p-value that the signs of so many differences can give, all of them being alike."""
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
    discordant = only_first + only_second
    if discordant < FEW_DISCORDANT:
        exact = stats.binomtest(only_first, discordant).pvalue if discordant else 1.0
        return "McNemar exact", float(exact)
    return "McNemar chi-square", float(stats.chi2.sf((only_first - only_second) ** 2 / discordant, 1))


def _t_test(difference: float, variance: Variance) -> float:
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
    """p-values corrected for being several, so that one false finding among all has the probability of one alone.

    Parameters
    ----------
    p_values
        Of a family of tests, (tests,).

    Returns
    -------
    ndarray
        float64, (tests,), in the same order, at most 1.

    References
    ----------
    Holm (1979), "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6(2).

    Examples
    --------
    >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
    [0.03, 0.06, 0.06]
    """
    p_values = np.asarray(p_values, np.float64)
    order = np.argsort(p_values, kind="stable")
    corrected = np.empty_like(p_values)
    corrected[order] = np.maximum.accumulate((p_values * holm_factors(p_values))[order])
    return np.minimum(corrected, 1.0)


def holm_factors(p_values: np.ndarray) -> np.ndarray:
    """What Holm's correction multiplies every p-value by: as many tests as are not decided before it.

    Parameters
    ----------
    p_values
        As in `holm`.

    Returns
    -------
    ndarray
        int64, (tests,), in the same order: for the smallest the number of tests, for the largest 1.

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
    """What to make of a difference.

    Equivalent comes first: two methods whose difference surely lies within the margin are equal for every purpose, even
    where it is surely not 0. It is tested for this pair alone, whatever the family: Holm's correction guards against
    differences that are none, and of the pairs that differ by more than the margin each is called equivalent with a
    probability of `alpha` at most.

    Parameters
    ----------
    paired
        Of the two methods.
    margin
        The difference below which methods are equal in practice, above 0.
    p_holm
        The p-value corrected for the family of comparisons; None for a single comparison.
    tests
        What the correction multiplied it by: its entry of `holm_factors`.
    alpha
        Of the tests: equivalent if `equivalence_p` is below it; better or worse if `p_holm` is below it, the 95 %
        interval excludes 0 and the effect has the difference's sign. Where most images speak for one method and the
        mean for the other neither is better.

    References
    ----------
    Schuirmann (1987), "A comparison of the two one-sided tests procedure and the power approach for assessing the
    equivalence of average bioavailability", Journal of Pharmacokinetics and Biopharmaceutics 15(6).
    """
    p_value = paired.p_value if p_holm is None else p_holm
    contradictory = paired.effect * paired.difference < 0
    beyond_chance = p_value < alpha and (paired.low > 0 or paired.high < 0) and not contradictory
    apart = f"{abs(paired.difference):.3f} ({_ends(paired)})"
    if equivalence_p(paired, margin) < alpha:
        though = ", though it is more than chance gives" if beyond_chance else ""
        return Verdict(
            "equivalent", None, f"is equivalent: the difference of {apart} lies within the margin of {margin:g}{though}"
        )
    if beyond_chance:
        found: Literal["better", "worse"] = "better" if paired.difference > 0 else "worse"
        surely = min(abs(paired.low), abs(paired.high)) > margin
        size = "surely more" if surely else "perhaps less"
        return Verdict(found, None, f"is {found} by {apart}, {size} than the margin of {margin:g}")
    if contradictory and p_value < alpha:
        how = "the mean speaks for one method and the ranks of the differences for the other"
        return Verdict("undecided", None, f"differs by {apart}, which decides nothing: {how}")
    needed = _images_to_decide(paired, margin, alpha, tests)
    how = f"about {needed:,} images would decide it" if needed else "more images would not decide it, more seeds may"
    if paired.variance.groups < 2:
        how = "images of a single group cannot decide it"
    return Verdict("undecided", needed, f"differs by {apart}, which decides nothing: {how}")


def _ends(paired: Paired) -> str:
    if not np.isfinite(paired.low):
        return "no interval"
    low, high = (paired.low, paired.high) if paired.difference >= 0 else (-paired.high, -paired.low)
    return f"{low:.3f} to {high:.3f}"


def equivalence_p(paired: Paired, margin: float) -> float:
    """p-value of the methods differing by `margin` or more, either way.

    Of two one-sided t tests (TOST): it is below alpha where the 1 - 2 alpha interval, seeds and all, lies within the
    margin. Of images that are right or wrong it is no less than Tango's score test gives, which does not take a
    variance of few discordant images at its word. Where the variance is 0 it is that of meeting no exception among so
    many groups, were exceptions just frequent enough to fill the margin.

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
    room, standard_error, groups = (
        margin - abs(paired.difference),
        paired.variance.standard_error,
        paired.variance.groups,
    )
    if groups < 2:
        return 1.0
    if standard_error == 0:
        return float((1 - room) ** groups) if room > 0 else 1.0
    p_value = paired.variance.t_tail(room / standard_error)
    return max(p_value, _tango_p(*paired.discordant, groups, margin)) if paired.discordant else p_value


def _or_t(interval: Interval, variance: Variance, level: float) -> Interval:
    """A bootstrap interval over images, each end where a t interval's is if that is further out.

    Of few differences the bootstrap knows how skewed they are, and t that their own spread may be too small; each holds
    the truth too seldom where the other does not.
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
    """How many images would decide with a probability of 80 %, were the difference in truth the one observed.

    Decided is what is shown to differ or, with a difference within the margin, to be equivalent: the smaller number.
    The standard error that a test needs is |difference| / (z(1 - alpha / (2 tests)) + z(power)), and to show
    equivalence `_equivalence_error`. The seeds' part of it stays, however many images there are.

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
    if paired.variance.groups < 2:
        return None
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
    """How many images show that exceptions are too rare to fill `room`; 0 of scores by degree that do vary."""
    if paired.discordant is None and paired.variance.standard_error > 0:
        return 0.0
    groups = np.ceil(np.log(alpha) / np.log1p(-room))
    return float(groups * paired.images / paired.variance.groups)


def _equivalence_error(distance: float, margin: float, alpha: float) -> float:
    """The standard error at which two one-sided tests show equivalence with a probability of 80 %.

    Both have to reject. Far from 0 one of them all but surely does, and the other has 80 %: (margin - distance) /
    (z(1 - alpha) + z(power)). At 0 either may fail, and it is margin / (z(1 - alpha) + z((1 + power) / 2)).
    """
    z = special.ndtri(1 - alpha)

    def beyond(precision: float) -> float:
        rejections = special.ndtr((margin + np.array([-distance, distance])) * precision - z)
        return float(rejections.sum() - 1 - POWER)

    least, most = (z + special.ndtri([POWER, (1 + POWER) / 2])) / (margin - distance)
    return 1 / float(optimize.brentq(beyond, 0.99 * least, 1.01 * most))


class AreasUnderCurves(NamedTuple):
    """Two areas under ROC curves of the same images.

    Attributes
    ----------
    first, second
        The areas, 0 to 1.
    difference
        First less second, with its 95 % interval.
    p_value
        Two-sided, of no difference.
    """

    first: float
    second: float
    difference: Interval
    p_value: float


def compare_areas(
    truth: np.ndarray, a: np.ndarray, b: np.ndarray, groups: np.ndarray | None = None
) -> AreasUnderCurves:
    """Compare the areas under two classifiers' ROC curves on the same images.

    Of more than two classes the mean over classes, each against all others; a class that all or no images are of is
    left out. Of two classes, every image on its own and one seed, this has DeLong's variance. Beyond that an image's
    share in the area is averaged over classes and seeds and summed over its group before the variance is taken, and
    what the area varies by between a method's seeds, less what the images explain of it, is added. The quantiles are
    t's, with as many degrees of freedom as there are groups less one, and seeds less one.

    Parameters
    ----------
    truth
        Indices of the true classes, (images,).
    a, b
        The classifiers' scores, higher for more likely, (seeds, images, classes), each with seeds of its own.
    groups
        (images,). Images of one group are not independent; None where each is on its own.

    Raises
    ------
    ValueError
        If there is no class of which two groups have images, and two have others.

    References
    ----------
    DeLong, DeLong & Clarke-Pearson (1988), "Comparing the areas under two or more correlated receiver operating
    characteristic curves", Biometrics 44(3); by midranks: Sun & Xu (2014), IEEE Signal Processing Letters 21(11);
    clusters: Obuchowski (1997), "Nonparametric analysis of clustered ROC curve data", Biometrics 53(2).
    """
    return compare_measured_areas(*(measure_areas(truth, each, groups) for each in (a, b)))


class Areas(NamedTuple):
    """The area under a classifier's ROC curve, and where its variance comes from.

    Attributes
    ----------
    of_seeds
        (seeds,).
    shares
        Every group's share in the deviation of a seed's area, (seeds, groups). Their squares add up to the variance:
        Obuchowski (1997), with her correction for few groups, G / (G - 1), of the G groups that have images of the
        class and of those that have others.
    """

    of_seeds: np.ndarray
    shares: np.ndarray


def measure_areas(truth: np.ndarray, scores: np.ndarray, groups: np.ndarray | None = None) -> Areas:
    """Measure one classifier for `compare_measured_areas`; arguments and errors as those of `compare_areas`."""
    truth, scores = np.asarray(truth), np.asarray(scores)
    member = np.arange(len(truth)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    by_seed, shares = _areas(truth, scores, member)
    return Areas(by_seed, np.stack([np.bincount(member, weights=each) for each in shares]))


def compare_measured_areas(first: Areas, second: Areas) -> AreasUnderCurves:
    """As `compare_areas`, of two classifiers that `measure_areas` measured on the same images."""
    of_images = float(np.sum((first.shares.mean(axis=0) - second.shares.mean(axis=0)) ** 2))
    of_seeds = tuple(
        part
        for each in (first, second)
        for part in seed_variance(each.of_seeds, float(np.sum((each.shares - each.shares.mean(axis=0)) ** 2)))
    )
    count = first.shares.shape[1]
    variance = Variance(of_images, count, of_seeds)
    means = float(first.of_seeds.mean()), float(second.of_seeds.mean())
    difference = means[0] - means[1]
    if abs(difference) < 1e-12:
        difference = 0.0  # but for rounding, as of two that put all images in the same order
    half = float(special.stdtrit(count - 1, 0.975)) * of_images**0.5
    alone = Interval(difference, difference - half, difference + half)
    p_value = _t_test(difference, variance) if variance.standard_error else _least_p(count if difference else 0)
    return AreasUnderCurves(*means, widened(alone, variance, 0.95), p_value)


def _areas(truth: np.ndarray, scores: np.ndarray, member: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Area by seed, (seeds,), and every image's share in its deviation, (seeds, images)."""
    classes = [1] if scores.shape[2] == 2 else range(scores.shape[2])
    sides = [(index, [truth == index, truth != index]) for index in classes]
    known = [(index, both) for index, both in sides if all(len(np.unique(member[own])) > 1 for own in both)]
    if not known:
        raise ValueError("An area under a ROC curve needs images of a class, and others, of two groups each.")
    areas, shares = np.zeros(len(scores)), np.zeros(scores.shape[:2])
    for index, both in known:
        for own, side in zip(both, (True, False), strict=True):
            placed = _placements(scores[:, :, index], both[0], side)
            groups, mean = len(np.unique(member[own])), placed.mean(axis=1, keepdims=True)
            shares[:, own] += (placed - mean) * np.sqrt(groups / (groups - 1)) / placed.shape[1] / len(known)
            if side:
                areas += mean[:, 0] / len(known)
    return areas, shares


def _placements(scores: np.ndarray, positive: np.ndarray, side: bool) -> np.ndarray:
    """Of each image of one side, the share of the other side's that it is in the right order with: (seeds, images)."""
    own = positive if side else ~positive
    ranks = stats.rankdata(scores, axis=1)[:, own] - stats.rankdata(scores[:, own], axis=1)
    lower = ranks / np.count_nonzero(~own)
    return np.asarray(lower if side else 1 - lower)
