"""Scores of how much a predicted mask and the true one overlap, from the four counts of pixels alone.

Where a score's denominator is 0, it is defined so that agreement is 1 and disagreement 0:

| truth | prediction | Dice, IoU | precision | recall |
|---|---|---|---|---|
| empty | empty | 1 | 1 | 1 |
| empty | not | 0 | 0 | 0 |
| not | empty | 0 | 0 | 0 |

A mean over classes leaves out those that are in neither the truth nor the prediction.
"""

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import numpy as np


class Counts(NamedTuple):
    """True positives, false positives, false negatives and true negatives: pixels, of one image or of many; int64."""

    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray
    tn: np.ndarray


def confusion_counts(truth: np.ndarray, prediction: np.ndarray) -> Counts:
    """Count the pixels of one image.

    Parameters
    ----------
    truth, prediction
        bool, (height, width).

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"Truth {truth.shape} and prediction {prediction.shape} differ in shape.")
    tp = np.count_nonzero(truth & prediction)
    fp = np.count_nonzero(prediction) - tp
    fn = np.count_nonzero(truth) - tp
    return Counts(*(np.asarray(count) for count in (tp, fp, fn, truth.size - tp - fp - fn)))


def class_confusion(truth: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """Pixels, or images, by true class (rows) and predicted class (columns).

    Parameters
    ----------
    truth, prediction
        Class indices, integers from 0, of one shape.
    classes
        How many there are.

    Returns
    -------
    ndarray
        int64, (classes, classes).

    Raises
    ------
    ValueError
        If the shapes differ, or an index is no class.

    Examples
    --------
    >>> class_confusion(np.array([[0, 1, 2]]), np.array([[0, 1, 1]]), 3).tolist()
    [[1, 0, 0], [0, 1, 0], [0, 1, 0]]
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"Truth {truth.shape} and prediction {prediction.shape} differ in shape.")
    highest = max(truth.max(initial=0), prediction.max(initial=0))
    if highest >= classes:
        raise ValueError(f"Class {highest} is none of {classes}, which are counted from 0.")
    pairs = truth.ravel().astype(np.intp) * classes + prediction.ravel()
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def foreground_counts(
    confusion: np.ndarray, foreground: Collection[int], ignored_truth: Collection[int] = ()
) -> Counts:
    """Counts of some classes against the others.

    Parameters
    ----------
    confusion
        (..., classes, classes), as `class_confusion` counts them, or sums of such.
    foreground
        Classes that are looked for; every other class is background, in the truth and in the prediction.
    ignored_truth
        Classes whose true pixels are left out, whatever is predicted there. Where such a class is predicted on other
        pixels, it is foreground or background as `foreground` says.

    Returns
    -------
    Counts
        Each (...,).
    """
    classes = np.arange(confusion.shape[-1])
    is_foreground, counted = np.isin(classes, list(foreground)), ~np.isin(classes, list(ignored_truth))
    predicted = confusion[..., is_foreground].sum(axis=-1)
    elsewhere = confusion[..., ~is_foreground].sum(axis=-1)
    inside, outside = counted & is_foreground, counted & ~is_foreground
    return Counts(
        tp=predicted[..., inside].sum(axis=-1),
        fp=predicted[..., outside].sum(axis=-1),
        fn=elsewhere[..., inside].sum(axis=-1),
        tn=elsewhere[..., outside].sum(axis=-1),
    )


def class_counts(confusion: np.ndarray) -> Counts:
    """Counts of every class against all others, each (..., classes), from (..., classes, classes)."""
    tp = confusion.diagonal(axis1=-2, axis2=-1)
    fn, fp = confusion.sum(axis=-1) - tp, confusion.sum(axis=-2) - tp
    return Counts(tp, fp, fn, confusion.sum(axis=(-2, -1))[..., None] - tp - fn - fp)


def present_mean(values: np.ndarray, counts: Counts, of_none: float = 1.0) -> np.ndarray:
    """Mean over the classes that are in the truth, in the prediction, or in both.

    Parameters
    ----------
    values
        A score of every class, (..., classes).
    counts
        Of the same classes.
    of_none
        What it is where no class is there.

    Returns
    -------
    ndarray
        float64, (...,).
    """
    there = counts.tp + counts.fp + counts.fn > 0
    some = there.any(axis=-1)
    return np.where(some, np.average(values, axis=-1, weights=there | ~some[..., None]), of_none)


def class_mean(
    score: Callable[[Counts], np.ndarray], confusion: np.ndarray, scored: Sequence[int] | None = None
) -> np.ndarray:
    """Mean of a score over the classes that are in the truth, in the prediction, or in both; 1 where none is.

    Parameters
    ----------
    score
        For example `iou`; each class is scored against all others.
    confusion
        (..., classes, classes).
    scored
        The classes that count; None for all.

    Returns
    -------
    ndarray
        float64, (...,).

    Examples
    --------
    >>> float(class_mean(iou, np.array([[6, 2, 0], [0, 2, 0], [0, 0, 0]])))  # 6 of 8, and 2 of 4
    0.625
    """
    counts = class_counts(confusion)
    if scored is not None:
        counts = Counts(*(each[..., list(scored)] for each in counts))
    return present_mean(score(counts), counts)


def _share(part: np.ndarray, whole: np.ndarray, *, of_none: np.ndarray | float) -> np.ndarray:
    """`part / whole`, and `of_none` where the whole is 0; float64."""
    return np.where(whole > 0, part / np.maximum(whole, 1), of_none)


def dice(counts: Counts) -> np.ndarray:
    """2 tp / (2 tp + fp + fn), from 0 to 1; the F1 score of the pixels. Source: Dice (1945), Ecology 26(3)."""
    return _share(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn, of_none=1.0)


def iou(counts: Counts) -> np.ndarray:
    """tp / (tp + fp + fn), from 0 to 1; the Jaccard index."""
    return _share(counts.tp, counts.tp + counts.fp + counts.fn, of_none=1.0)


def precision(counts: Counts) -> np.ndarray:
    """tp / (tp + fp), from 0 to 1: how much of the prediction is true."""
    return _share(counts.tp, counts.tp + counts.fp, of_none=np.where(counts.fn == 0, 1.0, 0.0))


def recall(counts: Counts) -> np.ndarray:
    """tp / (tp + fn), from 0 to 1: how much of the truth is predicted."""
    return _share(counts.tp, counts.tp + counts.fn, of_none=np.where(counts.fp == 0, 1.0, 0.0))


def pixel_accuracy(confusion: np.ndarray) -> np.ndarray:
    """Share of the pixels whose class is right, (...,), of (..., classes, classes); 1 where there is no pixel."""
    return _share(np.trace(confusion, axis1=-2, axis2=-1), confusion.sum(axis=(-2, -1)), of_none=1.0)


OVERLAP_SCORES: dict[str, Callable[[Counts], np.ndarray]] = {
    "dice": dice,
    "iou": iou,
    "precision": precision,
    "recall": recall,
}
