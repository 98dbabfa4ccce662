"""Single objects: how a class mask comes apart into them, and how well predicted objects match the true ones.

A predicted object matches a true one of its class where their IoU reaches a threshold. Each takes part in one match at
most: the assignment with the most matches, and of these the one with the highest sum of IoUs. At each threshold there
are found objects (tp), false ones (fp) and missed ones (fn).

| score | of an image |
|---|---|
| `object_f1` | 2 tp / (2 tp + fp + fn) at IoU .5 |
| `object_ap` | tp / (tp + fp + fn), the mean over the thresholds .5, .55, ..., .95 |
| `object_pq` | panoptic quality: sum of the matched IoUs / (tp + fp / 2 + fn / 2) at IoU .5 |
| `count_error`, `count_off` | predicted less true objects, and its absolute value |

Without true and predicted objects the first three are 1.

References
----------
Kirillov et al. (2019), "Panoptic segmentation", CVPR, arXiv:1801.00868. Average precision is as StarDist (`accuracy` of
`stardist.matching`) and Cellpose (`average_precision`) have it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from skimage.feature import peak_local_max
from skimage.measure import label
from skimage.segmentation import watershed

from bakeoff.artefacts.void import VOID

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
# Distances between the middles of objects that are tried, in typical radii.
TRIED_RADII = (0.25, 0.5, 0.75, 1.0, 1.5)
OBJECT_SCORES = ("object_f1", "object_ap", "object_pq", "count_error", "count_off")
# Images on which a separation is chosen, at most.
MOST_CHOSEN_ON = 200


class Separation(NamedTuple):
    """How regions come apart into objects.

    Attributes
    ----------
    distance
        The least distance in pixels between two peaks of the distance transform, from which a watershed floods; None
        where every connected region is an object.
    """

    distance: int | None

    def objects(self, mask: np.ndarray, classes: Sequence[int]) -> np.ndarray:
        """Numbers of the objects of some classes, int32 (H, W), 0 elsewhere, of class indices uint8 (H, W)."""
        numbers = np.zeros(mask.shape, np.int32)
        for index in classes:
            region = mask == index
            found = label(region, connectivity=2) if self.distance is None else _flooded(region, self.distance)
            numbers[region] = found[region] + numbers.max()
        return numbers


def _flooded(region: np.ndarray, distance: int) -> np.ndarray:
    depth = cv2.distanceTransform(region.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    parts = label(region, connectivity=2)
    peaks = peak_local_max(depth, min_distance=distance, labels=parts, exclude_border=False)
    markers = np.zeros(region.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return watershed(-depth, markers, mask=region)


def choose_separation(masks: np.ndarray, objects: np.ndarray, classes: Sequence[int]) -> Separation:
    """The separation that best takes true class masks apart into their true objects, by mean average precision.

    Parameters
    ----------
    masks, objects
        Of training images: uint8 class indices and numbers of objects, (n, H, W) each; the first `MOST_CHOSEN_ON` are
        taken.
    classes
        Whose objects these are.

    Returns
    -------
    Separation
        Connected regions where nothing does better.
    """
    masks, objects = masks[:MOST_CHOSEN_ON], objects[:MOST_CHOSEN_ON]
    areas = np.concatenate([np.bincount(each.ravel())[1:] for each in objects])
    areas = areas[areas > 0]
    if not len(areas):
        return Separation(None)
    radius = float(np.sqrt(np.median(areas) / np.pi))
    distances = sorted({max(1, round(share * radius)) for share in TRIED_RADII})
    tried = [Separation(None), *(Separation(distance) for distance in distances)]
    means = [
        np.mean(
            [
                match(truth, mask, each.objects(np.where(mask == VOID, 0, mask), classes), mask)["object_ap"]
                for mask, truth in zip(masks, objects, strict=True)
            ]
        )
        for each in tried
    ]
    return tried[int(np.argmax(means))]


def object_scores(
    truth: np.ndarray, objects: np.ndarray, prediction: np.ndarray, separation: Separation, classes: Sequence[int]
) -> pd.DataFrame:
    """Scores of the objects in predicted masks, a row an image.

    Parameters
    ----------
    truth
        uint8 class indices or `VOID`, (n, H, W).
    objects
        Numbers of the true objects, (n, H, W).
    prediction
        uint8 class indices, (n, H, W).
    separation
        How these come apart.
    classes
        Whose objects are looked for.

    Returns
    -------
    DataFrame
        `OBJECT_SCORES`, and `objects` and `predicted_objects`, how many there are.
    """
    rows = []
    for true, numbers, mask in zip(truth, objects, prediction, strict=True):
        found = separation.objects(np.where(true == VOID, VOID, mask), classes)
        rows.append(match(numbers, true, found, mask))
    return pd.DataFrame(rows)


def match(objects: np.ndarray, truth: np.ndarray, found: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    """Scores of the objects of one image.

    Parameters
    ----------
    objects, found
        Numbers of the true and the predicted objects, (H, W), 0 where there is none.
    truth, prediction
        Class indices of the same pixels.
    """
    overlaps = iou_matrix(objects, truth, found, prediction)
    true, predicted = overlaps.shape
    pairs = matched(overlaps, THRESHOLDS[0])
    tp = len(pairs)
    wrong = true + predicted - 2 * tp
    precisions = []
    for threshold in THRESHOLDS:
        hits = len(matched(overlaps, threshold))
        precisions.append(hits / (true + predicted - hits) if true + predicted else 1.0)
    return {
        "object_f1": 2 * tp / (2 * tp + wrong) if true + predicted else 1.0,
        "object_ap": float(np.mean(precisions)),
        "object_pq": float(overlaps[tuple(pairs.T)].sum()) / (tp + wrong / 2) if true + predicted else 1.0,
        "count_error": float(predicted - true),
        "count_off": float(abs(predicted - true)),
        "objects": true,
        "predicted_objects": predicted,
    }


def iou_matrix(objects: np.ndarray, truth: np.ndarray, found: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """IoU of every true with every predicted object, float64 (true, predicted); 0 where their classes differ.

    Parameters are those of `match`. Void pixels of the truth count in neither.
    """
    answered = truth != VOID
    true_numbers, true = np.unique(np.where(answered, objects, 0), return_inverse=True)
    found_numbers, predicted = np.unique(np.where(answered, found, 0), return_inverse=True)
    true, predicted = true.ravel(), predicted.ravel()
    both = np.zeros((len(true_numbers), len(found_numbers)))
    np.add.at(both, (true, predicted), 1)
    union = both.sum(axis=1, keepdims=True) + both.sum(axis=0, keepdims=True) - both
    classes_true = _classes(true, truth.ravel(), len(true_numbers))
    classes_found = _classes(predicted, prediction.ravel(), len(found_numbers))
    shares = np.where(classes_true[:, None] == classes_found[None], both / np.maximum(union, 1), 0.0)
    # Number 0 is no object; it is there unless objects cover all pixels.
    return shares[true_numbers != 0][:, found_numbers != 0]


def _classes(numbers: np.ndarray, classes: np.ndarray, count: int) -> np.ndarray:
    """The most frequent class of each number's pixels."""
    counts = np.zeros((count, 256), np.int64)
    np.add.at(counts, (numbers, classes), 1)
    return counts.argmax(axis=1)


def matched(overlaps: np.ndarray, threshold: float) -> np.ndarray:
    """Pairs of a true and a predicted object that match, int (matches, 2), of their IoUs (true, predicted)."""
    if not overlaps.size:
        return np.empty((0, 2), np.intp)
    # The number of matches comes first: all IoUs of an assignment together add less than one match.
    gain = (overlaps >= threshold) + overlaps / (2 * min(overlaps.shape))
    pairs = np.stack(linear_sum_assignment(gain, maximize=True), axis=1)
    return pairs[overlaps[tuple(pairs.T)] >= threshold]
