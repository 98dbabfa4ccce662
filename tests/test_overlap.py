"""Overlap scores: exact on a 5x5 picture, defined for empty masks, and equal to scikit-learn's."""

import numpy as np
import pytest
from bakeoff.evaluation.overlap import (
    OVERLAP_SCORES,
    Counts,
    class_confusion,
    class_mean,
    confusion_counts,
    dice,
    foreground_counts,
    iou,
    pixel_accuracy,
)
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics

TRUTH = np.array(
    [
        [0, 0, 0, 0, 0],
        [0, 1, 1, 1, 0],
        [0, 1, 1, 1, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
    ],
    bool,
)
PREDICTION = np.array(
    [
        [0, 0, 0, 0, 0],
        [0, 0, 1, 1, 1],
        [0, 0, 1, 1, 1],
        [0, 0, 0, 1, 1],
        [0, 0, 0, 0, 0],
    ],
    bool,
)
EMPTY, FULL = np.zeros((5, 5), bool), np.ones((5, 5), bool)


def scores(truth: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    counts = confusion_counts(truth, prediction)
    return {name: float(score(counts)) for name, score in OVERLAP_SCORES.items()}


def test_counts_and_scores_of_a_5x5_picture() -> None:
    assert confusion_counts(TRUTH, PREDICTION) == Counts(*map(np.asarray, (4, 4, 2, 15)))
    assert scores(TRUTH, PREDICTION) == {
        "dice": 8 / 14,
        "iou": 4 / 10,
        "precision": 4 / 8,
        "recall": 4 / 6,
    }


@pytest.mark.parametrize(
    ("truth", "prediction", "overlap"),
    [(EMPTY, EMPTY, 1.0), (EMPTY, TRUTH, 0.0), (TRUTH, EMPTY, 0.0), (EMPTY, FULL, 0.0), (FULL, FULL, 1.0)],
)
def test_empty_masks(truth: np.ndarray, prediction: np.ndarray, overlap: float) -> None:
    assert scores(truth, prediction) == dict.fromkeys(("dice", "iou", "precision", "recall"), overlap)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_pixel_accuracy_and_means_over_classes_equal_sklearn(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    truth, prediction = rng.integers(0, classes, (2, 4, 5))
    confusion = class_confusion(truth, prediction, classes + 1)  # and a class that is nowhere
    assert pixel_accuracy(confusion) == metrics.accuracy_score(truth.ravel(), prediction.ravel())
    there = np.union1d(truth, prediction)
    for score, reference in ((dice, metrics.f1_score), (iou, metrics.jaccard_score)):
        by_class = dict(zip(there, reference(truth.ravel(), prediction.ravel(), average=None), strict=True))
        assert class_mean(score, confusion) == pytest.approx(np.mean(list(by_class.values())))
        scored = [0, classes]
        expected = [value for index, value in by_class.items() if index in scored] or [1.0]
        assert class_mean(score, confusion, scored) == pytest.approx(np.mean(expected))


def test_scores_of_many_images_are_the_scores_of_each() -> None:
    pairs = [(TRUTH, PREDICTION), (EMPTY, TRUTH), (TRUTH, EMPTY), (EMPTY, EMPTY)]
    stacked = Counts(*np.array([confusion_counts(*pair) for pair in pairs]).T)
    for name, score in OVERLAP_SCORES.items():
        assert score(stacked).tolist() == [scores(*pair)[name] for pair in pairs]


def test_masks_of_different_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(5, 5\).*\(4, 5\)"):
        confusion_counts(TRUTH, PREDICTION[:4])


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_equals_sklearn(seed: int, some: float, others: float) -> None:
    rng = np.random.default_rng(seed)
    truth, prediction = rng.random((9, 7)) < some, rng.random((9, 7)) < others
    true, predicted = truth.ravel(), prediction.ravel()
    empty = not truth.any() and not prediction.any()
    expected = {
        "dice": metrics.f1_score(true, predicted, zero_division=float(empty)),
        "iou": metrics.jaccard_score(true, predicted, zero_division=float(empty)),
        "precision": metrics.precision_score(true, predicted, zero_division=float(empty)),
        "recall": metrics.recall_score(true, predicted, zero_division=float(empty)),
    }
    assert scores(truth, prediction) == pytest.approx(expected)
    tn, fp, fn, tp = metrics.confusion_matrix(true, predicted, labels=[False, True]).ravel()
    assert confusion_counts(truth, prediction) == Counts(*map(np.asarray, (tp, fp, fn, tn)))


masks = hnp.arrays(bool, (4, 6))


@given(masks, masks)
def test_every_score_is_a_share_and_dice_follows_from_iou(truth: np.ndarray, prediction: np.ndarray) -> None:
    counts = confusion_counts(truth, prediction)
    assert sum(counts) == 24
    assert all(0 <= score(counts) <= 1 for score in OVERLAP_SCORES.values())
    assert dice(counts) == pytest.approx(2 * iou(counts) / (1 + iou(counts)))


# Background, pet and border, by pixel.
TRUE_CLASSES = np.array([[0, 0, 0, 2, 2, 1, 1, 1]], np.uint8)
PREDICTED_CLASSES = np.array([[0, 0, 2, 0, 1, 2, 1, 1]], np.uint8)
CONFUSION = np.array([[2, 0, 1], [0, 2, 1], [1, 1, 0]])


def test_confusion_of_eight_pixels() -> None:
    assert class_confusion(TRUE_CLASSES, PREDICTED_CLASSES, 3).tolist() == CONFUSION.tolist()


def test_foreground_of_eight_pixels() -> None:
    assert foreground_counts(CONFUSION, [1]) == Counts(tp=2, fp=1, fn=1, tn=4)
    assert foreground_counts(CONFUSION, [1, 2]) == Counts(tp=4, fp=1, fn=1, tn=2)
    # Left out are the two pixels that are truly border, and not those that are predicted to be.
    assert foreground_counts(CONFUSION, [1], ignored_truth=[2]) == Counts(tp=2, fp=0, fn=1, tn=3)
    assert foreground_counts(CONFUSION, [1, 2], ignored_truth=[2]) == Counts(tp=3, fp=1, fn=0, tn=2)


def test_nothing_is_left_of_a_picture_that_is_all_ignored() -> None:
    counts = foreground_counts(np.diag([0, 0, 8]), [1], ignored_truth=[2])
    assert counts == Counts(0, 0, 0, 0)
    assert dice(counts) == iou(counts) == 1


def test_mean_over_classes_leaves_out_those_that_are_nowhere() -> None:
    assert class_mean(iou, CONFUSION) == pytest.approx((2 / 4 + 2 / 4 + 0 / 4) / 3)
    assert class_mean(dice, np.array([[6, 2, 0], [0, 2, 0], [0, 0, 0]])) == pytest.approx((12 / 14 + 4 / 6) / 2)
    # Predicted alone it counts, as 0.
    assert class_mean(iou, np.array([[6, 0, 2], [0, 0, 0], [0, 0, 0]])) == (6 / 8 + 0) / 2


def test_what_is_no_class_is_refused() -> None:
    with pytest.raises(ValueError, match="Class 3 is none of 3"):
        class_confusion(TRUE_CLASSES, PREDICTED_CLASSES + 1, 3)
    with pytest.raises(ValueError, match=r"\(1, 8\).*\(1, 7\)"):
        class_confusion(TRUE_CLASSES, PREDICTED_CLASSES[:, 1:], 3)


class_masks = hnp.arrays(np.uint8, (4, 6), elements=st.integers(0, 3))


@given(class_masks, class_masks)
def test_classes_equal_sklearn(truth: np.ndarray, prediction: np.ndarray) -> None:
    true, predicted = truth.ravel(), prediction.ravel()
    confusion = class_confusion(truth, prediction, 4)
    assert confusion.tolist() == metrics.confusion_matrix(true, predicted, labels=range(4)).tolist()
    # Without labels given, scikit-learn takes those of the truth and the prediction.
    assert class_mean(iou, confusion) == pytest.approx(metrics.jaccard_score(true, predicted, average="macro"))
    assert class_mean(dice, confusion) == pytest.approx(metrics.f1_score(true, predicted, average="macro"))
    assert foreground_counts(confusion, [1]) == confusion_counts(truth == 1, prediction == 1)
    kept = true != 2
    assume(kept.any())  # scikit-learn scores no empty arrays
    expected = metrics.jaccard_score(np.isin(true[kept], [1, 3]), np.isin(predicted[kept], [1, 3]), zero_division=1.0)
    assert iou(foreground_counts(confusion, [1, 3], ignored_truth=[2])) == pytest.approx(expected)


def test_classes_of_many_images_are_those_of_each() -> None:
    rng = np.random.default_rng(0)
    stack = rng.integers(0, 9, (2, 5, 3, 3))
    counts = foreground_counts(stack, [1, 2], ignored_truth=[2])
    means = class_mean(dice, stack)
    for place in np.ndindex(2, 5):
        assert tuple(each[place] for each in counts) == foreground_counts(stack[place], [1, 2], ignored_truth=[2])
        assert means[place] == class_mean(dice, stack[place])
