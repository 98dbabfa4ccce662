"""Overlap scores: exact on a 5x5 picture, defined for empty masks, and equal to scikit-learn's."""

import numpy as np
import pytest
from bakeoff.evaluation.overlap import OVERLAP_SCORES, Counts, confusion_counts, dice, iou
from hypothesis import given
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
        "pixel_accuracy": 19 / 25,
    }


@pytest.mark.parametrize(
    ("truth", "prediction", "overlap", "accuracy"),
    [
        (EMPTY, EMPTY, 1.0, 1.0),
        (EMPTY, TRUTH, 0.0, 19 / 25),
        (TRUTH, EMPTY, 0.0, 19 / 25),
        (EMPTY, FULL, 0.0, 0.0),
        (FULL, FULL, 1.0, 1.0),
    ],
)
def test_empty_masks(truth: np.ndarray, prediction: np.ndarray, overlap: float, accuracy: float) -> None:
    found = scores(truth, prediction)
    assert found.pop("pixel_accuracy") == accuracy
    assert found == dict.fromkeys(("dice", "iou", "precision", "recall"), overlap)


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
        "pixel_accuracy": metrics.accuracy_score(true, predicted),
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
