"""Two methods on the same images: by how much they differ, how surely, and what to make of it.

| scores | test | effect size |
|---|---|---|
| by degree, such as Dice | Wilcoxon signed-rank, on the groups' mean differences | rank-biserial correlation |
| right or wrong, independent images | McNemar, exact where few images tell the methods apart | Cohen's g |
| right or wrong, in groups or by several seeds | t test with the paired bootstrap's standard error | Cohen's g |

Where a method was trained with several seeds, and these differ by more than their images explain, the p-value is the
larger of the test's and that of a t test whose standard error has the seeds' part: a lead that another seed would undo
is no lead of the method.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy import special, stats

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

# Images that one method alone has right: with fewer McNemar's test is exact. Fagerland, Lydersen & Laake (2013).
FEW_DISCORDANT = 25
# The probability that as many images as `images_to_decide` says do decide.
POWER = 0.8


@dataclass(frozen=True)
class Paired:
    """How the first of two methods differs from the second on the same images.

    Attributes
    ----------
    images
        How many.
    difference, low, high
        Mean score of the first less that of the second, and its 95 % bootstrap interval.
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
    """

    images: int
    difference: float
    low: float
    high: float
    p_value: float
    test: str
    effect: float
    variance: Variance


@dataclass(frozen=True)
class Verdict:
    """What to make of a difference.

    Attributes
    ----------
    verdict
        Of the first method: better, worse, equivalent or undecided.
    images_to_decide
        Where undecided, about how many images would decide it; None otherwise, and where no number would since it is
        the seeds that differ.
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
        Of the bootstrap behind the interval.

    Returns
    -------
    Paired
        Of a single group: p-value 1 and the difference itself as its interval.

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
    interval = widened(bca_interval(apart, member, drawn, 0.95), variance, 0.95)
    test, p_value = _tested(apart, member, drawn, variance, binary)
    if variance.between_seeds > 0:
        p_value = max(p_value, _t_test(interval.mean, variance))
    effect = _cohens_g(apart) if binary else _rank_biserial(_group_means(apart, member))
    return Paired(len(apart), *_plain(interval), p_value, test, effect, variance)


def _plain(interval: Interval) -> tuple[float, float, float]:
    mean, low, high = (float(end) for end in interval)
    return mean, low, high


def _tested(
    apart: np.ndarray, member: np.ndarray, drawn: np.ndarray, variance: Variance, binary: bool
) -> tuple[str, float]:
    if not binary:
        return "Wilcoxon signed-rank", _wilcoxon(_group_means(apart, member))
    if variance.groups == len(apart) and np.isin(apart, (-1, 0, 1)).all():
        return _mcnemar(int(np.sum(apart > 0)), int(np.sum(apart < 0)))
    if variance.groups < 2:
        return "paired bootstrap", 1.0
    bootstrapped = float(drawn.var()) * variance.groups / (variance.groups - 1)
    return "paired bootstrap", _t_test(float(apart.mean()), Variance(bootstrapped, variance.groups))


def _group_means(apart: np.ndarray, member: np.ndarray) -> np.ndarray:
    return np.bincount(member, weights=apart) / np.bincount(member)


def _wilcoxon(differences: np.ndarray) -> float:
    """Two-sided p-value; differences of 0 say nothing and are left out, as Wilcoxon did."""
    differences = differences[differences != 0]
    return float(stats.wilcoxon(differences).pvalue) if len(differences) else 1.0


def _mcnemar(only_first: int, only_second: int) -> tuple[str, float]:
    """McNemar's test of the images that one method alone has right."""
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
    corrected[order] = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    return np.minimum(corrected, 1.0)


def verdict(paired: Paired, *, margin: float, p_holm: float | None = None, alpha: float = 0.05) -> Verdict:
    """What to make of a difference.

    Equivalent comes first: two methods whose difference surely lies within the margin are equal for every purpose, even
    where it is surely not 0.

    Parameters
    ----------
    paired
        Of the two methods.
    margin
        The difference below which methods are equal in practice, above 0.
    p_holm
        The p-value corrected for the family of comparisons; None for a single comparison.
    alpha
        Of the tests: equivalent if both one-sided t tests against the margin reject, that is if the
        1 - 2 alpha interval lies within it; better or worse if `p_holm` is below it and the 95 % interval excludes 0.

    References
    ----------
    Schuirmann (1987), "A comparison of the two one-sided tests procedure and the power approach for assessing the
    equivalence of average bioavailability", Journal of Pharmacokinetics and Biopharmaceutics 15(6).
    """
    p_value = paired.p_value if p_holm is None else p_holm
    beyond_chance = p_value < alpha and (paired.low > 0 or paired.high < 0)
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
    needed = _images_to_decide(paired, margin, alpha * min(1.0, paired.p_value / p_value if p_value else 1.0))
    how = f"about {needed:,} images would decide it" if needed else "more images would not decide it, more seeds may"
    if paired.variance.groups < 2:
        how = "images of a single group cannot decide it"
    return Verdict("undecided", needed, f"differs by {apart}, which decides nothing: {how}")


def _ends(paired: Paired) -> str:
    low, high = (paired.low, paired.high) if paired.difference >= 0 else (-paired.high, -paired.low)
    return f"{low:.3f} to {high:.3f}"


def equivalence_p(paired: Paired, margin: float) -> float:
    """p-value of two one-sided t tests (TOST) that the methods differ by `margin` or more, either way."""
    room = margin - abs(paired.difference)
    standard_error = paired.variance.standard_error
    if paired.variance.groups < 2:
        return 1.0
    if standard_error == 0:
        return float(room < 0)
    return paired.variance.t_tail(room / standard_error)


def _images_to_decide(paired: Paired, margin: float, alpha: float) -> int | None:
    """How many images would decide with a probability of 80 %, were the difference in truth the one observed.

    Decided is what is shown to differ or, with a difference within the margin, to be equivalent: the smaller number.
    The standard error that a test needs is |difference| / (z(1 - alpha / 2) + z(power)) and, to show equivalence,
    (margin - |difference|) / (z(0.95) + z(power)). The seeds' part of it stays, however many images there are.

    Source: Julious (2004), "Sample sizes for clinical trials with Normal data", Statistics in Medicine 23(12),
    sections 3 and 5.

    Parameters
    ----------
    paired
        Undecided.
    margin
        Of equivalence.
    alpha
        Of the test of a difference, after correction for the family.
    """
    if paired.variance.groups < 2:
        return None
    of_one_image = paired.images * paired.variance.of_images
    distances = [
        (abs(paired.difference), special.ndtri(1 - alpha / 2) + special.ndtri(POWER)),
        (margin - abs(paired.difference), special.ndtri(0.95) + special.ndtri(POWER)),
    ]
    rooms = [(each / z) ** 2 - paired.variance.between_seeds for each, z in distances if each > 0]
    widest = max(rooms, default=0.0)
    return max(paired.images + 1, int(np.ceil(of_one_image / widest))) if widest > 0 else None


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
    left out. Of two classes, every image on its own and one seed, this is DeLong's test. Beyond that an image's share
    in the area is averaged over classes and seeds and summed over its group before the variance is taken, and what the
    area varies by between a method's seeds is added.

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
        If there is no class that two images are of and two are not.

    References
    ----------
    DeLong, DeLong & Clarke-Pearson (1988), "Comparing the areas under two or more correlated receiver operating
    characteristic curves", Biometrics 44(3); by midranks: Sun & Xu (2014), IEEE Signal Processing Letters 21(11);
    clusters: Obuchowski (1997), "Nonparametric analysis of clustered ROC curve data", Biometrics 53(2).
    """
    truth = np.asarray(truth)
    member = np.arange(len(truth)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    (areas_a, share_a), (areas_b, share_b) = (_areas(truth, np.asarray(each)) for each in (a, b))
    first, second = float(areas_a.mean()), float(areas_b.mean())
    of_images = float(np.sum(np.bincount(member, weights=share_a - share_b) ** 2))
    of_seeds = tuple(
        (float(np.var(areas, ddof=1)) / len(areas), len(areas)) for areas in (areas_a, areas_b) if len(areas) > 1
    )
    variance = Variance(of_images, int(member.max()) + 1, of_seeds)
    difference, standard_error = first - second, variance.standard_error
    half = float(special.ndtri(0.975)) * of_images**0.5
    if standard_error == 0:  # both in the same order, or one always right and the other never
        p_value = float(abs(difference) < 1e-12)
    else:
        p_value = float(2 * special.ndtr(-abs(difference) / standard_error))
    alone = Interval(difference, difference - half, difference + half)
    return AreasUnderCurves(first, second, widened(alone, variance, 0.95), p_value)


def _areas(truth: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Area by seed, and every image's share in the deviation of their mean, scaled so that squares sum to variance."""
    classes = [1] if scores.shape[2] == 2 else range(scores.shape[2])
    members = [(index, truth == index) for index in classes]
    known = [(index, each) for index, each in members if 2 <= np.count_nonzero(each) <= len(truth) - 2]
    if not known:
        raise ValueError("An area under a ROC curve needs two images of the class and two others to have an interval.")
    areas, share = np.zeros(len(scores)), np.zeros(len(truth))
    for index, positive in known:
        for side in (True, False):
            placed = _placements(scores[:, :, index], positive, side)
            own = positive if side else ~positive
            images = np.count_nonzero(own)
            if side:
                areas += placed.mean(axis=1) / len(known)
            by_image = placed.mean(axis=0)
            share[own] += (by_image - by_image.mean()) / np.sqrt(images * (images - 1)) / len(known)
    return areas, share


def _placements(scores: np.ndarray, positive: np.ndarray, side: bool) -> np.ndarray:
    """Of each image of one side, the share of the other side's that it is in the right order with: (seeds, images)."""
    own = positive if side else ~positive
    ranks = stats.rankdata(scores, axis=1)[:, own] - stats.rankdata(scores[:, own], axis=1)
    lower = ranks / np.count_nonzero(~own)
    return np.asarray(lower if side else 1 - lower)
