"""Bootstrap intervals of means over images, groups of images and seeds.

Four things make an interval too narrow:

| what | remedy |
|---|---|
| images of one group (a patient, near-duplicates) are alike | groups are drawn as a whole (Field & Welsh 2007) |
| a few bad images make the scores skewed | BCa quantiles (Efron 1987) |
| few images make the quantiles narrow | quantiles further out, as t is wider than normal (Hesterberg 2015) |
| another training run gives another mean | the variance between seeds is added (two-way random effects) |

Seeds are averaged within an image before images are drawn: they are not more images. There are too few of them to be
drawn again, so the variance between seeds is computed, less the part that the images explain. Folds are not drawn: a
seed's run is all of its folds, which test every image once, and the spread between folds cannot be separated from that
between their images (Bengio & Grandvalet 2004).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import optimize, special

# The least and the greatest value that a score can have: no end of its interval lies beyond them.
SHARE, NOT_NEGATIVE = (0.0, 1.0), (0.0, np.inf)
# Of every column of `scores.csv` that has an interval.
BOUNDS = {
    **dict.fromkeys(("dice", "iou", "precision", "recall", "pixel_accuracy", "boundary_iou", "mean_dice"), SHARE),
    **dict.fromkeys(("mean_iou", "iou_border_as_foreground", "iou_border_ignored", "correct"), SHARE),
    **dict.fromkeys(("dice_border_as_foreground", "dice_border_ignored"), SHARE),
    **dict.fromkeys(("hd95", "assd", "log_loss", "count_off"), NOT_NEGATIVE),
    **dict.fromkeys(("object_f1", "object_ap", "object_pq"), SHARE),
    "count_error": (-np.inf, np.inf),
}
# Resampled values held in memory at a time.
_VALUES_AT_A_TIME = 4_000_000
# Means that differ by less than this share of the largest value are equal but for rounding.
_ROUNDING = 1e-12
# The normal quantile of the least tail probability that is not 0 in float64.
_FURTHEST = 37.0


class Interval(NamedTuple):
    """A mean and the ends of its interval; ends that are not known are NaN."""

    mean: float
    low: float
    high: float

    def within(self, least: float, most: float) -> "Interval":
        """The same with no end beyond what the figure can be."""
        low, high = np.clip([self.low, self.high], least, most)
        return Interval(self.mean, float(low), float(high))

    def plain(self) -> dict[str, float | None]:
        """As JSON has it: None for what is not known."""
        return {end: float(value) if np.isfinite(value) else None for end, value in self._asdict().items()}

    def signed(self) -> str:
        """A difference of scores in a sentence: "+0.012 (+0.003 to +0.021)"; what rounds to 0 has a plus."""
        mean, low, high = (f"{round(end, 3) + 0.0:+.3f}" for end in self)
        return f"{mean} ({low} to {high})"


@dataclass(frozen=True)
class Variance:
    """The variance of a mean over images and seeds, by where it comes from.

    Attributes
    ----------
    of_images
        The part that other images would change; infinite for a single image or group.
    groups
        How many groups of images it is estimated from.
    of_seeds
        The parts that other seeds would change, (variance, seeds) of each method that the mean is made of.
    """

    of_images: float
    groups: int
    of_seeds: tuple[tuple[float, int], ...] = ()

    @property
    def between_seeds(self) -> float:
        """All parts of the seeds together."""
        return float(sum(part for part, _ in self.of_seeds))

    @property
    def standard_error(self) -> float:
        """Of the mean, of all parts together."""
        return float(np.sqrt(self.of_images + self.between_seeds))

    @property
    def _parts(self) -> list[tuple[float, int]]:
        """Share of every part in the variance, and its degrees of freedom."""
        parts = [(self.of_images, self.groups - 1), *((part, seeds - 1) for part, seeds in self.of_seeds)]
        total = self.of_images + self.between_seeds
        return [(part / total, degrees) for part, degrees in parts] if total > 0 else [(1.0, self.groups - 1)]

    def t_quantile(self, share: float) -> float:
        """Quantile of (mean - truth) / standard error: of the parts' t distributions, weighted by their variance.

        Satterthwaite's degrees of freedom, the alternative, cover too little here. Infinite for a single group.

        Source: Cochran & Cox (1957), "Experimental Designs", section 4.14.
        """
        if self.groups < 2:
            return float("inf")
        return float(sum(weight * special.stdtrit(degrees, share) for weight, degrees in self._parts))

    def t_tail(self, t: float) -> float:
        """Probability of more than `t` standard errors above the truth: that whose quantile `t` is.

        A p-value is below alpha, then, just where the interval from `t_quantile` leaves the value out.
        """
        if self.groups < 2:
            return 0.5
        if t < 0:
            return 1 - self.t_tail(-t)
        degrees = {degrees for weight, degrees in self._parts if weight > 0}
        if len(degrees) == 1:
            return float(special.stdtr(degrees.pop(), -t))

        def beyond(z: float) -> float:
            return t + self.t_quantile(float(special.ndtr(-z)))

        if beyond(_FURTHEST) >= 0:
            return 0.0
        return float(special.ndtr(-optimize.brentq(beyond, 0.0, _FURTHEST, xtol=1e-12)))


def mean_interval(
    values: np.ndarray,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    groups: np.ndarray | None = None,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> Interval:
    """Mean over images, and its bootstrap interval.

    Parameters
    ----------
    values
        A score by image, (images,), or by image and seed, (images, seeds). Seeds are averaged within an image before
        anything is drawn; the variance between them widens the interval as it would a t interval.
    level
        Probability that the interval covers, between 0 and 1.
    resamples
        How often the images are drawn again, with replacement.
    seed
        Of the random numbers: the same values and seed give the same interval.
    groups
        (images,). Images of one group (a patient, near-duplicates) are drawn together, since they are not independent;
        a resample is then as many groups as there are, and its mean the mean over all their images. Where every image
        is a group of its own this is the plain bootstrap.
    bounds
        Least and greatest value of the score, such as `BOUNDS["assd"]`; the values themselves do not show them.

    Returns
    -------
    Interval
        A single image or group leaves nothing to draw: both ends are NaN.

    Raises
    ------
    ValueError
        If there is no image, a value is not finite (every score is defined for empty masks too: NaN is a fault), or
        there is not one group an image.

    References
    ----------
    Efron (1987), "Better bootstrap confidence intervals", JASA 82(397); few images: Hesterberg (2015), "What teachers
    should know about the bootstrap", The American Statistician 69(4), section 5.3; groups: Field & Welsh (2007),
    "Bootstrapping clustered data", JRSS B 69(3).

    Examples
    --------
    >>> mean_interval(np.array([0.9, 0.9, 0.9]))
    Interval(mean=0.9, low=0.9, high=0.9)
    """
    by_image, by_seed, member = checked(values, groups)
    drawn = resampled_means(by_image, member, resamples=resamples, seed=seed)
    interval = bca_interval(by_image, member, drawn, level)
    return widened(interval, mean_variance(by_seed, member), level).within(*bounds)


def checked(values: np.ndarray, groups: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores by image (images,), by image and seed (images, seeds), and the number of each image's group (images,).

    Raises
    ------
    ValueError
        As `mean_interval` does.
    """
    by_seed = np.asarray(values, np.float64)
    by_seed = by_seed[:, None] if by_seed.ndim == 1 else by_seed
    if len(by_seed) == 0:
        raise ValueError("A mean over no image has no interval.")
    by_image = by_seed.mean(axis=1)
    if not np.isfinite(by_image).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(by_image))} of {len(by_image)} values are not finite.")
    if groups is not None and len(groups) != len(by_image):
        raise ValueError(f"{len(groups)} groups for {len(by_image)} images.")
    member = np.arange(len(by_image)) if groups is None else pd.factorize(np.asarray(groups))[0]
    return by_image, by_seed, member


def resampled_means(by_image: np.ndarray, member: np.ndarray, *, resamples: int, seed: int) -> np.ndarray:
    """Means of images drawn again, groups as a whole.

    Parameters
    ----------
    by_image
        float64, (images,).
    member
        Number of each image's group, 0 to groups - 1, (images,).
    resamples, seed
        As in `mean_interval`. The same groups and seed draw the same images, so that means of two methods differ by the
        means of their differences.

    Returns
    -------
    ndarray
        float64, (resamples,).
    """
    mean, sizes = by_image.mean(), np.bincount(member).astype(np.float64)
    # Distances to the mean are drawn, so that the resampled means of equal values are equal too.
    totals = np.column_stack([np.bincount(member, weights=by_image - mean), sizes])
    times = times_drawn(len(sizes), resamples, seed)
    at_a_time = max(1, _VALUES_AT_A_TIME // len(sizes))
    sums = np.concatenate([times[start : start + at_a_time] @ totals for start in range(0, resamples, at_a_time)])
    return np.asarray(mean + sums[:, 0] / sums[:, 1])


@lru_cache(maxsize=4)
def times_drawn(count: int, resamples: int, seed: int) -> np.ndarray:
    """How often each of `count` groups is in each resample; uint8, (resamples, count).

    Every bootstrap of the project draws its groups here, so that the same seed gives all figures the same images.
    Cached, since all scores of a task share it.
    """
    rng = np.random.default_rng(seed)
    times = np.empty((resamples, count), np.uint8)
    at_a_time = max(1, _VALUES_AT_A_TIME // count)
    for start in range(0, resamples, at_a_time):
        part = times[start : start + at_a_time]
        drawn = rng.integers(0, count, part.shape) + np.arange(len(part))[:, None] * count
        part[:] = np.bincount(drawn.ravel(), minlength=part.size).reshape(part.shape)
    times.flags.writeable = False
    return times


def bca_interval(by_image: np.ndarray, member: np.ndarray, drawn: np.ndarray, level: float) -> Interval:
    """Bias-corrected and accelerated interval of a mean, expanded for few groups.

    Parameters
    ----------
    by_image, member
        As in `resampled_means`.
    drawn
        What that returns.
    level
        Between 0 and 1.

    References
    ----------
    Efron & Tibshirani (1993), "An Introduction to the Bootstrap", equations 14.10 to 14.15.
    """
    mean = float(by_image.mean())
    influence = np.bincount(member, weights=by_image - mean)
    if len(influence) < 2:
        return Interval(mean, np.nan, np.nan)
    distance, rounding = drawn - mean, _ROUNDING * float(np.abs(by_image).max())
    if np.abs(distance).max() <= rounding:
        return Interval(mean, mean, mean)
    below = (np.mean(distance < -rounding) + np.mean(distance <= rounding)) / 2
    bias = special.ndtri(np.clip(below, 0.5 / len(drawn), 1 - 0.5 / len(drawn)))
    influence = influence / np.abs(influence).max()  # the same acceleration, without underflow
    acceleration = np.sum(influence**3) / (6 * np.sum(influence**2) ** 1.5)
    z = bias + np.array([-1, 1]) * _expanded_normal_quantile(level, len(influence))
    # Where the acceleration overtakes, for three groups or fewer, the quantile lies beyond all draws.
    room = 1 - acceleration * z
    shares = np.where(room > 0, special.ndtr(bias + z / np.where(room > 0, room, 1)), z > 0)
    low, high = np.quantile(drawn, shares)
    return Interval(mean, float(low), float(high))


def expanded_shares(level: float, groups: float) -> tuple[float, float]:
    """Which quantiles of resampled figures are the ends of a percentile interval, a little further out for few groups.

    Parameters
    ----------
    level
        Probability that the interval covers.
    groups
        How many are drawn, or how many the variance is estimated from.

    References
    ----------
    Hesterberg (2015), section 5.3, "expanded percentile": as far out as a t interval with the unbiased standard
    deviation is wider than a normal one with the plug-in one.

    Examples
    --------
    >>> [round(share, 4) for share in expanded_shares(0.95, 20)]
    [0.0159, 0.9841]
    >>> [round(share, 4) for share in expanded_shares(0.95, 4000)]
    [0.025, 0.975]
    """
    share = float(special.ndtr(-_expanded_normal_quantile(level, groups)))
    return share, 1 - share


def _expanded_normal_quantile(level: float, groups: float) -> float:
    if groups < 2:  # nothing to draw
        return float("inf")
    return float(special.stdtrit(groups - 1, (1 + level) / 2) * np.sqrt(groups / (groups - 1)))


def mean_variance(by_seed: np.ndarray, member: np.ndarray) -> Variance:
    """Variance of a mean over images and seeds.

    Parameters
    ----------
    by_seed
        float64, (images, seeds).
    member
        Number of each image's group, 0 to groups - 1, (images,).

    Returns
    -------
    Variance
        Of images: the linearised variance of a mean over groups. Of seeds: the variance of the seeds' means, less what
        images on which the seeds disagree add to it; 0 where that is more, and where there is one seed.

    References
    ----------
    Searle, Casella & McCulloch (1992), "Variance Components", section 4.3: the random two-way layout, seeds by images.
    """
    by_image, seeds = by_seed.mean(axis=1), by_seed.shape[1]
    of_images = clustered_variance(by_image, member)
    groups = int(member.max()) + 1
    if seeds < 2 or groups < 2:
        return Variance(of_images, groups)
    explained = sum(clustered_variance(each, member) for each in (by_seed - by_image[:, None]).T)
    return Variance(of_images, groups, seed_variance(by_seed.mean(axis=0), explained))


def seed_variance(figures: np.ndarray, explained: float) -> tuple[tuple[float, int], ...]:
    """The part of a figure's variance that other seeds would change, as `Variance.of_seeds` has it.

    Parameters
    ----------
    figures
        The figure of every seed, each over the same images, (seeds,).
    explained
        The sum over seeds of the variance that these images give to the distance of a seed's figure from the mean of
        all.

    Returns
    -------
    tuple
        Empty for one seed.
    """
    seeds = len(figures)
    if seeds < 2:
        return ()
    between = np.sum((figures - figures.mean()) ** 2)
    return ((max(0.0, float(between - explained)) / (seeds - 1) / seeds, seeds),)


def clustered_variance(by_image: np.ndarray, member: np.ndarray) -> float:
    """Variance of a mean over images whose groups are independent; infinite for one group.

    With every image a group of its own this is the squared standard error s^2 / n.

    Parameters
    ----------
    by_image
        float64, (images,).
    member
        Number of each image's group, 0 to groups - 1, (images,).
    """
    influence = np.bincount(member, weights=by_image - by_image.mean())
    groups = len(influence)
    if groups < 2:
        return float("inf")
    return float(groups / (groups - 1) * np.sum(influence**2) / len(by_image) ** 2)


def widened(interval: Interval, variance: Variance, level: float) -> Interval:
    """An interval over images with the variance between seeds, each side wider by as much as a t interval would be.

    Parameters
    ----------
    interval
        Over images alone.
    variance
        Of its mean, with the seeds' part.
    level
        Between 0 and 1.
    """
    if variance.between_seeds == 0 or variance.groups < 2:
        return interval
    share = (1 + level) / 2
    with_seeds = variance.t_quantile(share) * variance.standard_error
    without = special.stdtrit(variance.groups - 1, share) ** 2 * variance.of_images
    added = max(0.0, with_seeds**2 - without)
    mean, low, high = interval
    return Interval(
        mean, mean - float(np.hypot(mean - low, added**0.5)), mean + float(np.hypot(high - mean, added**0.5))
    )


def independent_difference(first: Interval, second: Interval) -> Interval:
    """First minus second, of independent samples, and its interval from theirs.

    The squared distances of the two figures from the respective ends of their intervals are added; of Wilson intervals
    this is Newcombe's hybrid score interval. For figures of the same images it is wider than necessary.

    References
    ----------
    Newcombe (1998), "Interval estimation for the difference between independent proportions", Statistics in Medicine
    17(8), method 10; for any figure Zou & Donner (2008), "Construction of confidence limits about effect measures",
    Statistics in Medicine 27(10), equation 2.

    Examples
    --------
    >>> independent_difference(Interval(0.9, 0.87, 0.93), Interval(0.8, 0.76, 0.84))
    Interval(mean=0.1, low=0.05, high=0.15)
    """
    mean = first.mean - second.mean
    low = mean - float(np.hypot(first.mean - first.low, second.high - second.mean))
    high = mean + float(np.hypot(first.high - first.mean, second.mean - second.low))
    # Without the last digits, so that 0.9 - 0.8 is 0.1.
    return Interval(round(mean, 12) + 0.0, round(low, 12) + 0.0, round(high, 12) + 0.0)


def wilson(share: float, images: float, *, level: float = 0.95) -> Interval:
    """Wilson's interval of a share of so many independent images, which need not be a whole number.

    References
    ----------
    Wilson (1927), "Probable inference, the law of succession, and statistical inference", JASA 22(158).

    Examples
    --------
    >>> [round(end, 3) for end in wilson(1000 / 1470, 1470)]
    [0.68, 0.656, 0.704]
    """
    from statsmodels.stats.proportion import proportion_confint  # 0.3 s, which scores of masks do not need

    low, high = proportion_confint(share * images, images, alpha=1 - level, method="wilson")
    # The bounds are exact at 0 and 1, but for rounding.
    return Interval(share, min(share, low), max(share, high))
