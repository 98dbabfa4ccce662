"""Curves of predicted class probabilities, and the areas under them: ROC, precision-recall, risk-coverage.

A curve of several seeds is the mean of theirs at the same x, taken at 201 places from 0 to 1. What is between two
points of one seed's curve follows from what the curve is: of a ROC curve the straight line, since a method that
guesses between two thresholds gets there; of the others the point to the right, since a precision or a risk belongs
to all images accepted so far (Davis & Goadrich 2006, "The relationship between precision-recall and ROC curves", ICML).

The areas are computed from all points, not from the 201. Images with equal probabilities are accepted together.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy import sparse

PLACES = np.linspace(0, 1, 201)
# What the mean over classes is called where the others have their names.
MACRO = "mean over classes"


def average_precision(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average precision, the area under a class's precision-recall curve, meaned over classes and seeds.

    Parameters
    ----------
    truth
        Indices of the true classes, (images,).
    probabilities
        0 to 1, (seeds, images, classes).
    weights
        How often each image counts, float, (weightings, images), none negative.

    Returns
    -------
    ndarray
        float64, (weightings,), 0 to 1. A class of which no image is true has no share, NaN where none has one.

    Notes
    -----
    AP is the sum over thresholds of the precision, times what the recall grows by (scikit-learn's definition). Recall
    grows at true images alone, so that it is also their mean of the precision at the threshold where each is accepted.
    Sorting images between thresholds once serves all weightings, as one product with a sparse matrix.
    """
    classes = [index for index in range(probabilities.shape[2]) if (truth == index).any()]
    by_image = np.ascontiguousarray(weights.T)
    return mean_over_classes([_class_average_precision(truth == c, probabilities[:, :, c], by_image) for c in classes])


def mean_over_classes(areas: Sequence[np.ndarray]) -> np.ndarray:
    """Mean of an area by class, each (weightings,), over the classes of which it is known; NaN where it is of none."""
    known = np.isfinite(areas)
    summed = np.where(known, areas, 0.0).sum(axis=0)
    return np.divide(summed, known.sum(axis=0), out=np.full(len(summed), np.nan), where=known.any(axis=0))


def _class_average_precision(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Of one class: positive bool (images,), scores (seeds, images), weights (images, weightings)."""
    of_class = weights[positive]
    precisions = np.zeros(weights.shape[1])
    for of_seed in scores:
        mine = of_seed[positive]
        order = np.argsort(mine)
        right, accepted = (
            _of_at_least(mine[order], each, theirs) for each, theirs in ((mine, of_class), (of_seed, weights))
        )
        share = np.divide(right, accepted, out=np.zeros_like(right), where=accepted > 0)
        precisions += np.einsum("nw,nw->w", of_class[order], share)
    total = len(scores) * of_class.sum(axis=0, dtype=np.float64)
    return np.divide(precisions, total, out=np.full(len(total), np.nan), where=total > 0)


def _of_at_least(thresholds: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weight of the images that score no less than each of the ascending thresholds, (thresholds, weightings)."""
    reached = np.searchsorted(thresholds, scores, side="right")
    shape = (len(thresholds) + 1, len(scores))
    by_threshold = sparse.csr_array((np.ones(len(scores), weights.dtype), (reached, np.arange(len(scores)))), shape)
    between = by_threshold @ weights
    return np.asarray(between[::-1].cumsum(axis=0)[::-1][1:])


def aurc(confidence: np.ndarray, correct: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the risk-coverage curve of one seed: how often it errs on the images of its highest confidence.

    Parameters
    ----------
    confidence
        What the images are accepted by, highest first, (images,).
    correct
        0 or 1, (images,).
    weights
        How often each image counts, float, (weightings, images), none negative and no row all 0.

    Returns
    -------
    ndarray
        float64, (weightings,), 0 to 1: the mean over images of the share of errors among all that are accepted with
        it or before. An uninformative confidence has the share of errors among all images; see `optimal_aurc` for the
        least possible.

    References
    ----------
    Geifman & El-Yaniv (2017), "Selective classification for deep neural networks", NeurIPS; the area: Geifman, Uziel &
    El-Yaniv (2019), "Bias-reduced uncertainty estimation for deep neural classifiers", ICLR.

    Examples
    --------
    >>> aurc(np.array([0.9, 0.8, 0.7, 0.6]), np.array([1, 1, 0, 1]), np.ones((1, 4))).round(4).tolist()
    [0.1458]
    """
    order = np.argsort(-confidence, kind="stable")
    # The last image with the same confidence: all of them are accepted together.
    last = np.searchsorted(-confidence[order], -confidence[order], side="right") - 1
    tied = (last != np.arange(len(last))).any()
    sorted_weights = weights[:, order].astype(np.result_type(weights, np.float32))
    accepted = sorted_weights.cumsum(axis=1)
    errors = (sorted_weights * (1 - correct[order]).astype(sorted_weights.dtype)).cumsum(axis=1)
    if tied:
        accepted, errors = accepted[:, last], errors[:, last]
    risk = np.divide(errors, accepted, out=np.zeros_like(errors), where=accepted > 0)
    return np.einsum("wn,wn->w", sorted_weights, risk, dtype=np.float64) / weights.sum(axis=1, dtype=np.float64)


def optimal_aurc(accuracy: float) -> float:
    """The least AURC at an accuracy: that of a method which accepts every right image before any wrong one.

    With risk r it is r + (1 - r) ln(1 - r), for many images. Source: Geifman, Uziel & El-Yaniv (2019), equation 5.

    Examples
    --------
    >>> round(optimal_aurc(0.9), 4)
    0.0052
    """
    return 1 - accuracy + accuracy * float(np.log(accuracy)) if accuracy > 0 else 1.0


def curves(truth: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """Every curve of a classification, means over seeds.

    Parameters
    ----------
    truth
        Indices of the true classes, (images,).
    probabilities
        0 to 1, (seeds, images, classes).
    classes
        Names of the classes.

    Returns
    -------
    DataFrame
        One row a point, by curve, class and x ascending, 201 a curve: `curve`, `class`, `x`, `y` (both 0 to 1).

        - roc: x the share of other images taken for the class, y the share of its images found; by class, and the
          `mean over classes`;
        - pr: x the share of a class's images found, y the share of it among the images taken for it; likewise;
        - risk_coverage: x the share of images accepted, y the share of errors among them; `class` says what they are
          accepted by: confidence, and for comparison optimal (all right images first) and random.

        A class of which no image is true, or every image, has neither roc nor pr.
    """
    return pd.concat(
        [
            pd.DataFrame({"curve": curve, "class": name, "x": PLACES, "y": y})
            for curve, name, y in [
                *_class_curves(truth, probabilities, classes),
                *(("risk_coverage", name, y) for name, y in _risk_coverage(truth, probabilities).items()),
            ]
        ],
        ignore_index=True,
    )


def _class_curves(
    truth: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> Iterator[tuple[str, str, np.ndarray]]:
    present = [index for index in range(len(classes)) if 0 < np.count_nonzero(truth == index) < len(truth)]
    for curve, of_class in (("roc", _roc), ("pr", _precision_recall)):
        found = [
            np.mean([of_class(truth == index, of_seed[:, index]) for of_seed in probabilities], axis=0)
            for index in present
        ]
        yield from ((curve, classes[index], y) for index, y in zip(present, found, strict=True))
        if found:
            yield curve, MACRO, np.mean(found, axis=0)


def _roc(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Share of the positives found at every place of the share of the others taken for positive."""
    from sklearn.metrics import roc_curve  # takes a second to import, which masks need not pay for

    false, true, _ = roc_curve(positive, scores)
    highest = np.append(np.diff(false) > 0, True)  # of a vertical step the upper end
    return np.interp(PLACES, false[highest], true[highest])


def _precision_recall(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Precision at every place of the recall."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(positive, scores)
    # Scikit-learn adds a last point, recall 0 and precision 1, that no threshold has.
    return _next_point(recall[-2::-1], precision[-2::-1])


def _risk_coverage(truth: np.ndarray, probabilities: np.ndarray) -> dict[str, np.ndarray]:
    predicted, confidence = probabilities.argmax(axis=2), probabilities.max(axis=2)
    wrong = predicted != truth
    by_seed = [_risk(each, errors) for each, errors in zip(confidence, wrong, strict=True)]
    rates = wrong.mean(axis=1)
    # Right images fill the coverage up to their share; what is accepted beyond it is wrong.
    beyond = np.maximum(0, PLACES - (1 - rates[:, None]))
    optimal = np.divide(beyond, PLACES, out=np.broadcast_to(rates[:, None] == 1, beyond.shape) * 1.0, where=PLACES > 0)
    return {
        "confidence": np.mean(by_seed, axis=0),
        "optimal": optimal.mean(axis=0),
        "random": np.full(len(PLACES), rates.mean()),
    }


def _risk(confidence: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Share of errors among the accepted images at every place of the coverage."""
    order = np.argsort(-confidence, kind="stable")
    accepted = np.arange(1, len(order) + 1)
    threshold = np.append(np.diff(confidence[order]) < 0, True)  # the last of equals
    return _next_point((accepted / len(order))[threshold], (wrong[order].cumsum() / accepted)[threshold])


def _next_point(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The y of the first point at or right of every place; x ascending to 1."""
    # Places and shares are rounded apart: 0.3 and 3 / 10 are the same.
    return y[np.searchsorted(x, PLACES - 1e-12)]
