"""Scores of how much a predicted mask and the true one overlap, from the four counts of pixels alone.

Where a score's denominator is 0 there is nothing to divide, and it is defined so that agreement is 1 and
disagreement 0:

| truth | prediction | Dice, IoU | precision | recall |
|---|---|---|---|---|
| empty | empty | 1 | 1 | 1 |
| empty | not | 0 | 0 | 0 |
| not | empty | 0 | 0 | 0 |
"""

from collections.abc import Callable
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


def pixel_accuracy(counts: Counts) -> np.ndarray:
    """(tp + tn) / all pixels, from 0 to 1."""
    return np.asarray((counts.tp + counts.tn) / (counts.tp + counts.fp + counts.fn + counts.tn))


OVERLAP_SCORES: dict[str, Callable[[Counts], np.ndarray]] = {
    "dice": dice,
    "iou": iou,
    "precision": precision,
    "recall": recall,
    "pixel_accuracy": pixel_accuracy,
}
