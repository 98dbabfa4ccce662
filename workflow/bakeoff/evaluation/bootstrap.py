"""How sure a mean over images is: its percentile bootstrap interval."""

from typing import NamedTuple

import numpy as np
import pandas as pd

# Resampled values held in memory at a time.
_VALUES_AT_A_TIME = 4_000_000


class Interval(NamedTuple):
    """A mean and the ends of its interval."""

    mean: float
    low: float
    high: float


def mean_interval(
    values: np.ndarray,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> Interval:
    """Mean over images, and its percentile bootstrap interval.

    Parameters
    ----------
    values
        A score by image, (images,), or by image and seed, (images, seeds). Seeds are averaged within an image before
        anything else: several networks that saw one image are not several images.
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

    Returns
    -------
    Interval
        A single image or group leaves nothing to draw, and its interval is the mean itself.

    Raises
    ------
    ValueError
        If there is no image, a value is not finite (every score here is defined for empty masks too, so that NaN is a
        fault, and leaving it out would flatter a method), or there is not one group an image.

    References
    ----------
    Efron & Tibshirani (1993), "An Introduction to the Bootstrap", chapter 13; groups: Field & Welsh (2007),
    "Bootstrapping clustered data", JRSS B 69(3).

    Examples
    --------
    >>> mean_interval(np.array([0.9, 0.9, 0.9]))
    Interval(mean=0.9, low=0.9, high=0.9)
    """
    by_image = np.asarray(values, np.float64)
    if by_image.ndim == 2:
        by_image = by_image.mean(axis=1)
    if len(by_image) == 0:
        raise ValueError("A mean over no image has no interval.")
    if not np.isfinite(by_image).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(by_image))} of {len(by_image)} values are not finite.")
    if groups is not None and len(groups) != len(by_image):
        raise ValueError(f"{len(groups)} groups for {len(by_image)} images.")

    member = np.arange(len(by_image)) if groups is None else pd.factorize(np.asarray(groups))[0]
    sizes = np.bincount(member)
    means = _resampled_means(np.bincount(member, weights=by_image), sizes, resamples, np.random.default_rng(seed))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(by_image.mean()), float(low), float(high))


def _resampled_means(sums: np.ndarray, sizes: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Mean over images of each resample of the groups; float64, (resamples,)."""
    count = len(sums)
    at_a_time = max(1, _VALUES_AT_A_TIME // count)
    means = []
    for start in range(0, resamples, at_a_time):
        drawn = rng.integers(0, count, (min(at_a_time, resamples - start), count))
        means.append(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    return np.concatenate(means)
