"""Otsu's criterion for any number of classes, solved exactly by dynamic programming over the histogram."""

from functools import cache

import numpy as np

from bakeoff.artefacts.grey_levels import LEVELS


def multiotsu(counts: np.ndarray, classes: int) -> np.ndarray:
    """Thresholds of greatest variance between classes.

    The variance is, but for a constant, the sum over the classes of M**2 / P, M the first and P the zeroth moment of
    the class's grey levels. The best cut of levels 0 to b into k classes is the best cut of 0 to a - 1 into k - 1
    classes and the class a to b, for the best a: O(k 256**2) steps instead of the O(256**(k - 1)) of a search.
    scikit-image's search (0.26) counts the pixels of the darkest level as if they were one level brighter (its first
    moment starts with P, not 0), which moves a threshold by some levels where much is black; float32 sums, by one.

    Parameters
    ----------
    counts
        Histograms of n pictures, (n, 256).
    classes
        At least 2.

    Returns
    -------
    numpy.ndarray
        float64, (n, classes - 1), ascending. Class i holds the levels greater than i of these thresholds, so that
        each threshold is the brightest level of the class below it. Of cuts that are equally good, the darkest. A
        picture of fewer levels than classes has one class a level; the thresholds left over repeat its brightest
        level, and the brightest classes are empty.

    Raises
    ------
    ValueError
        If `classes` is less than 2.

    Source: Otsu (1979), section III; the dynamic programme: Fisher (1958), "On grouping for maximum homogeneity".
    """
    if classes < 2:
        raise ValueError(f"Multi-Otsu needs at least 2 classes, not {classes}.")
    return np.array([_multiotsu(row, classes) for row in counts], np.float64)


def _multiotsu(counts: np.ndarray, classes: int) -> np.ndarray:
    levels = np.flatnonzero(counts)
    if len(levels) <= classes:
        return levels[np.minimum(np.arange(classes - 1), len(levels) - 1)]
    merit = _class_merit(levels, counts[levels])
    best, starts = merit[:, 0], []
    total = np.empty((len(levels), len(levels) - 1))
    for _ in range(classes - 2):
        # total[b, a - 1]: the levels before a cut as well as can be, and one class of the levels a to b.
        np.add(merit[:, 1:], best[:-1], out=total)
        start = total.argmax(axis=1)
        starts.append(start + 1)
        best = total[np.arange(len(levels)), start]
    end = int((merit[-1, 1:] + best[:-1]).argmax())
    thresholds = [levels[end]]
    for start in reversed(starts):
        end = start[end] - 1
        thresholds.append(levels[end])
    return np.array(thresholds[::-1])


@cache
def _impossible(size: int) -> np.ndarray:
    """Minus infinity where a class would end, b, before it starts, a, at [b, a]; 0 elsewhere."""
    return np.where(np.tri(size, dtype=bool), 0.0, -np.inf)


def _class_merit(levels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """M**2 / P of a class from the a-th to the b-th level, at [b, a]; minus infinity where a > b."""
    # Moments about the mean level: smaller numbers, of which the sums keep more digits.
    centred = levels - (levels * counts).sum() / counts.sum()
    zeroth = np.concatenate([[0.0], counts.cumsum()])
    first = np.concatenate([[0.0], (counts * centred).cumsum()])
    merit = np.subtract(first[1:, None], first[:-1])
    np.square(merit, out=merit)
    merit /= np.maximum(zeroth[1:, None] - zeroth[:-1], 1)  # at least one pixel, where there is a class at all
    merit += _impossible(LEVELS)[: len(levels), : len(levels)]
    return merit
