"""Single objects: by which separation a task's masks come apart, and how well predicted objects match the true ones.

A predicted object matches a true one of its class where their IoU reaches a threshold. Objects are disjoint, so that
above one half there is at most one such object for each (Kirillov et al., section 4.1); of two exact halves of an
object, each of IoU .5, one matches. At each threshold there are found objects (tp), false ones (fp) and missed ones
(fn).

| score | of an image |
|---|---|
| `object_f1` | 2 tp / (2 tp + fp + fn) at IoU .5 |
| `object_ap` | tp / (tp + fp + fn), the mean over the thresholds .5, .55, ..., .95 |
| `object_pq` | panoptic quality: sum of the matched IoUs / (tp + fp / 2 + fn / 2) at IoU .5 |
| `count_error`, `count_off` | predicted less true objects, and its absolute value |

Without true and predicted objects the first three are 1.

Void pixels of the truth are left out of IoUs. A predicted object without a match is not counted where more than half of
it lies in void, or in a crowd of its class: pixels of a class whose objects nobody told apart (Kirillov et al., section
4.2).

References
----------
Kirillov et al. (2019), "Panoptic segmentation", CVPR, arXiv:1801.00868. Average precision is as StarDist (`accuracy` of
`stardist.matching`) and Cellpose (`average_precision`) have it.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from scipy.ndimage import distance_transform_edt

from bakeoff.artefacts.void import VOID
from bakeoff.evaluation.separation import Separation

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
# Heights of `Separation` that are tried, in typical radii.
TRIED_HEIGHTS = (0.05, 0.1, 0.2, 0.4)
# Share of the true objects of training images that count as smallest. What has less than half of their pixels matches
# none of the others at an IoU of .5.
SMALLEST = 0.01
OBJECT_SCORES = ("object_f1", "object_ap", "object_pq", "count_error", "count_off")


def choose_separation(masks: Sequence[np.ndarray], objects: Sequence[np.ndarray], classes: Sequence[int]) -> Separation:
    """The separation that best takes true class masks apart into their true objects, by mean average precision.

    Parameters
    ----------
    masks, objects
        Of training images: uint8 class indices or `VOID`, and numbers of objects, (H, W) each.
    classes
        Whose objects these are.

    Returns
    -------
    Separation
        Connected regions where nothing does better.
    """
    areas = np.concatenate([np.bincount(each.ravel())[1:] for each in objects])
    areas = areas[areas > 0]
    if not len(areas):
        return Separation(None, tuple(classes))
    whole = Separation(None, tuple(classes), max(1, int(np.quantile(areas, SMALLEST) / 2)))
    radius = float(np.sqrt(np.median(areas) / np.pi))
    tried = [whole, *(whole._replace(height=round(share * radius, 3)) for share in TRIED_HEIGHTS)]
    # What a method predicts has no void: of it too the class is that of the regions beside it.
    precisions = [
        [match(numbers, mask, each.objects(filled), filled, classes)["object_ap"] for each in tried]
        for numbers, mask, filled in zip(objects, masks, map(_filled, masks), strict=True)
    ]
    return tried[int(np.argmax(np.mean(precisions, axis=0)))]


def _filled(mask: np.ndarray) -> np.ndarray:
    """Class indices whose void pixels have the class of the nearest other one."""
    void = mask == VOID
    if not void.any() or void.all():
        return mask
    rows, columns = distance_transform_edt(void, return_distances=False, return_indices=True)
    return mask[rows, columns]


def object_scores(
    truth: Iterable[np.ndarray], objects: Iterable[np.ndarray], prediction: Iterable[np.ndarray], separation: Separation
) -> pd.DataFrame:
    """Scores of the objects in predicted masks, a row an image.

    Parameters
    ----------
    truth
        uint8 class indices or `VOID`, (H, W) each.
    objects
        Numbers of the true objects, (H, W) each.
    prediction
        uint8 class indices, (H, W) each.
    separation
        How these come apart.

    Returns
    -------
    DataFrame
        `OBJECT_SCORES`, and `objects` and `predicted_objects`, how many there are.
    """
    return pd.DataFrame(
        [
            match(numbers, true, separation.objects(mask), mask, separation.classes)
            for true, numbers, mask in zip(truth, objects, prediction, strict=True)
        ]
    )


def match(
    objects: np.ndarray, truth: np.ndarray, found: np.ndarray, prediction: np.ndarray, classes: Sequence[int]
) -> dict[str, float]:
    """Scores of the objects of one image.

    Parameters
    ----------
    objects, found
        Numbers of the true and the predicted objects, (H, W), 0 where there is none.
    truth, prediction
        Class indices of the same pixels, of the truth also `VOID`. An object is of the class that most of its pixels
        have.
    classes
        Whose objects are counted.
    """
    answered = truth != VOID
    true, true_classes = objects_of(objects, truth, classes)
    predicted, predicted_classes = objects_of(found, prediction, classes)
    matched, ious = _matches(true, np.where(answered, predicted, 0), true_classes, predicted_classes)
    unclear = _mostly(~answered | ((objects == 0) & (truth == prediction)), predicted)
    wanted, clear = len(true_classes), int((~unclear).sum())

    def counts(threshold: float) -> tuple[int, int]:
        """Matches, and all objects that are counted, true and predicted ones."""
        hits = ious >= threshold
        return int(hits.sum()), wanted + clear + int(unclear[matched[hits]].sum())

    by_threshold = [counts(threshold) for threshold in THRESHOLDS]
    tp, counted = by_threshold[0]
    error = counted - 2 * wanted
    return {
        "object_f1": 2 * tp / counted if counted else 1.0,
        "object_ap": float(np.mean([hits / (total - hits) if total else 1.0 for hits, total in by_threshold])),
        "object_pq": 2 * float(ious.sum()) / counted if counted else 1.0,
        "count_error": float(error),
        "count_off": float(abs(error)),
        "objects": wanted,
        "predicted_objects": counted - wanted,
    }


def objects_of(numbers: np.ndarray, indices: np.ndarray, classes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """The objects of some classes, numbered 1, 2, ... (H, W), and the class of each, (objects,).

    Parameters
    ----------
    numbers
        Of all objects, (H, W), 0 where there is none.
    indices
        Class indices of the same pixels, or `VOID`, which is left out of both.
    classes
        Of the objects; an object is of the class that most of its pixels have.
    """
    values, places = np.unique(np.where(indices == VOID, 0, numbers), return_inverse=True)
    pixels = np.bincount(places.ravel() * (VOID + 1) + indices.ravel(), minlength=len(values) * (VOID + 1))
    own = pixels.reshape(len(values), -1).argmax(axis=1)
    wanted = (values > 0) & np.isin(own, classes)
    renumbered = np.where(wanted, np.cumsum(wanted), 0)
    return renumbered[places].reshape(numbers.shape), own[wanted]


def _matches(
    true: np.ndarray, predicted: np.ndarray, true_classes: np.ndarray, predicted_classes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The predicted objects that match a true one at the lowest threshold, counted from 0, and the IoUs."""
    both = (true > 0) & (predicted > 0)
    codes, overlaps = np.unique((true[both] - 1) * len(predicted_classes) + predicted[both] - 1, return_counts=True)
    rows, columns = np.divmod(codes, max(len(predicted_classes), 1))
    areas = [np.bincount(each.ravel(), minlength=1)[1:] for each in (true, predicted)]
    ious = overlaps / (areas[0][rows] + areas[1][columns] - overlaps)
    fits = np.flatnonzero((true_classes[rows] == predicted_classes[columns]) & (ious >= THRESHOLDS[0]))
    # Of two exact halves the first.
    fits = fits[np.unique(rows[fits], return_index=True)[1]]
    fits = fits[np.unique(columns[fits], return_index=True)[1]]
    return columns[fits], ious[fits]


def _mostly(where: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Whether more than half of each object, numbered 1, 2, ... (H, W), lies there; bool, (objects,)."""
    inside = np.bincount(predicted.ravel(), weights=where.ravel(), minlength=1)
    return (inside > np.bincount(predicted.ravel(), minlength=1) / 2)[1:]
