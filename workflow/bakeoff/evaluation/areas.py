"""Areas under two classifiers' ROC curves on the same images, compared.

Of more than two classes the area is the mean over classes, each against all others; a class that all or no images are
of is left out. Of two classes, independent images and one seed, the difference has DeLong's variance. Otherwise an
image's share in the area is averaged over classes and seeds and summed over its group before the variance is taken,
and the variance between a method's seeds, less what the images explain of it, is added. The quantiles are t's, with as
many degrees of freedom as there are groups less one, and seeds less one.

Source: DeLong, DeLong & Clarke-Pearson (1988), "Comparing the areas under two or more correlated receiver operating
characteristic curves", Biometrics 44(3); by midranks: Sun & Xu (2014), IEEE Signal Processing Letters 21(11); clusters:
Obuchowski (1997), "Nonparametric analysis of clustered ROC curve data", Biometrics 53(2).
"""

from typing import NamedTuple

import numpy as np
from scipy import special, stats

from bakeoff.evaluation.bootstrap import Interval, Variance, seed_variance, widened
from bakeoff.evaluation.paired import least_p, t_test


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
    """Measure the area under one classifier's ROC curve.

    Parameters
    ----------
    truth
        Indices of the true classes, (images,).
    scores
        The classifier's, higher for more likely, (seeds, images, classes).
    groups
        (images,). Images of one group are not independent; None where each is on its own.

    Raises
    ------
    ValueError
        If there is no class of which two groups have images, and two have others.
    """
    truth, scores = np.asarray(truth), np.asarray(scores)
    member = np.arange(len(truth)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    by_seed, shares = _areas(truth, scores, member)
    return Areas(by_seed, np.stack([np.bincount(member, weights=each) for each in shares]))


def compare_areas(first: Areas, second: Areas) -> AreasUnderCurves:
    """Compare two classifiers that `measure_areas` measured on the same images."""
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
    p_value = t_test(difference, variance) if variance.standard_error else least_p(count if difference else 0)
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
