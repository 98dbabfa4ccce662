"""Which class of grey levels is the foreground: fixed, the best on the training images, or the best on the test image.

Thresholds divide a picture into classes by brightness, 0 the darkest. Which of them is the foreground is a choice of
its own; `oracle`, which uses the test image's truth, is an upper bound.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from bakeoff.artefacts.grey_levels import LEVELS

FOREGROUNDS = ("dark", "bright", "train", "oracle")


def class_of_level(thresholds: np.ndarray) -> np.ndarray:
    """Class of each grey level.

    Parameters
    ----------
    thresholds
        (n, classes - 1), ascending; NaN where a method found none.

    Returns
    -------
    numpy.ndarray
        int64, (n, 256), 0 to classes - 1: how many thresholds lie below the level. Where there is no threshold, -1:
        no class is the foreground, and the whole picture is background.
    """
    classes = (np.arange(LEVELS) > thresholds[..., None]).sum(axis=1)
    return np.where(np.isnan(thresholds).any(axis=1)[:, None], -1, classes)


def class_dice(thresholds: np.ndarray, counts: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Dice of every class of every picture as the foreground, from histograms alone.

    Parameters
    ----------
    thresholds
        (n, classes - 1), ascending, or NaN.
    counts, inside
        Histograms of the pictures and of their pixels inside the true foreground, (n, 256).

    Returns
    -------
    numpy.ndarray
        float64, (n, classes). Where class and truth are both empty 1, where there is no threshold that of an empty
        prediction.
    """
    classes = thresholds.shape[1] + 1
    member = class_of_level(thresholds)[:, None] == np.arange(classes)[:, None]
    overlap = (member * inside[:, None]).sum(axis=2)
    sizes = (member * counts[:, None]).sum(axis=2) + inside.sum(axis=1, keepdims=True)
    return np.where(sizes > 0, 2 * overlap / np.maximum(sizes, 1), 1.0)


def fixed_class(foreground: str | int, classes: int) -> int:
    """The class that `dark`, `bright` or a number names.

    Raises
    ------
    ValueError
        If there is no such class.
    """
    named = {"dark": 0, "bright": classes - 1}.get(str(foreground), foreground)
    if not isinstance(named, int) or not 0 <= named < classes:
        raise ValueError(f"Of {classes} classes of grey levels, '{foreground}' is none.")
    return named


def foreground_masks(
    images: Sequence[np.ndarray], thresholds: np.ndarray, foreground: np.ndarray, index: int = 1
) -> list[np.ndarray]:
    """Masks of the pixels whose grey level is in the foreground's class.

    Parameters
    ----------
    images
        n pictures: uint8 grey levels, (height, width).
    thresholds
        (n, classes - 1), or NaN where there is none, which makes a picture background.
    foreground
        Class of grey levels of each picture, (n,).
    index
        Index in the masks of what is looked for.

    Returns
    -------
    list of numpy.ndarray
        uint8, (height, width) each, 0 and `index`.
    """
    chosen = np.where(class_of_level(thresholds) == foreground[:, None], index, 0).astype(np.uint8)
    return [cv2.LUT(image, lookup) for image, lookup in zip(images, chosen, strict=True)]
