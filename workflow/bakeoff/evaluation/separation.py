"""How a class mask comes apart into single objects. Without tables (pandas): what predicts has none."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from bakeoff.artefacts.errors import BakeoffError

# Where a task's evaluation says it.
FILE = "separation.json"


class Separation(NamedTuple):
    """How regions come apart into objects.

    Attributes
    ----------
    height
        Of the distance to a region's edge, in pixels: by how much the way from a middle to any higher one has to fall,
        so that a watershed floods from it. None where every connected region is an object.
    classes
        Indices of the classes whose objects these are, ascending.
    least_area
        Parts of fewer pixels are no objects.
    """

    height: float | None
    classes: tuple[int, ...]
    least_area: int = 1

    def objects(self, mask: np.ndarray) -> np.ndarray:
        """Numbers of the objects, from 1, int32 (H, W), 0 where there is none, of class indices uint8 (H, W).

        An object is of one class; pixels of a class that belong to none are those of parts that are too small.
        """
        numbers = np.zeros(mask.shape, np.int32)
        for index in self.classes:
            region = mask == index
            numbers[region] = self._apart(region)[region] + numbers.max()
        return self._large(numbers)

    def counts(self, numbers: np.ndarray, mask: np.ndarray, names: Sequence[str]) -> dict[str, int]:
        """How many objects there are of each class, by its name; `names` are those of all classes of the mask."""
        return {names[index]: len(np.unique(numbers[mask == index])) for index in self.classes}

    def _large(self, numbers: np.ndarray) -> np.ndarray:
        kept = np.bincount(numbers.ravel()) >= self.least_area
        kept[0] = False
        return (np.cumsum(kept) * kept).astype(np.int32)[numbers]

    def _apart(self, region: np.ndarray) -> np.ndarray:
        # Of a region without an edge no pixel is far from it.
        return _connected(region) if self.height is None or region.all() else _flooded(region, self.height)


def _connected(region: np.ndarray) -> np.ndarray:
    """Numbers of the parts of a region, int32 (H, W); pixels that touch at a corner are connected."""
    return cv2.connectedComponents(region.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)[1]


def _flooded(region: np.ndarray, height: float) -> np.ndarray:
    """Numbers of the objects of a region, int32 (H, W), found part by part: memory goes by the largest part."""
    depth = cv2.distanceTransform(region.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    _, parts, boxes, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    numbers, last = np.zeros(region.shape, np.int32), 0
    for part, (left, top, width, tall, _) in enumerate(boxes.tolist()[1:], 1):
        box = slice(top, top + tall), slice(left, left + width)
        inside = parts[box] == part
        found = _divided(inside, depth[box] * inside, height)
        numbers[box][inside] = found[inside] + last
        last += int(found.max())
    return numbers


def _divided(part: np.ndarray, depth: np.ndarray, height: float) -> np.ndarray:
    from skimage.morphology import local_maxima, reconstruction
    from skimage.segmentation import watershed

    # Extended maxima (Soille, "Morphological image analysis", section 6.3.5).
    middles = _connected(local_maxima(reconstruction(depth, depth + np.float32(height) * part)) & part)
    return watershed(-depth, middles, connectivity=2, mask=part) if middles.max() > 1 else part.astype(np.int32)


def read_separation(path: Path) -> Separation | None:
    """How the masks of a task come apart, as its evaluation wrote it; None where no objects are told apart.

    Raises
    ------
    BakeoffError
        If the file is damaged.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return found and Separation(found["height"], tuple(found["classes"]), found["least_area"])
    except (ValueError, KeyError, TypeError):
        raise BakeoffError(f"{path} is damaged: run `dvc repro --force evaluate@{path.parent.name}`.") from None
