"""How a class mask comes apart into single objects. Without tables (pandas): what predicts has none."""

from typing import NamedTuple

import cv2
import numpy as np


class Separation(NamedTuple):
    """How regions come apart into objects.

    Attributes
    ----------
    distance
        The least distance in pixels between two peaks of the distance transform, from which a watershed floods; None
        where every connected region is an object.
    classes
        Indices of the classes whose objects these are, ascending.
    """

    distance: int | None
    classes: tuple[int, ...]

    def objects(self, mask: np.ndarray) -> np.ndarray:
        """Numbers of the objects, from 1, int32 (H, W), 0 where there is none, of class indices uint8 (H, W).

        Every pixel of the classes belongs to an object, and an object is of one class.
        """
        numbers = np.zeros(mask.shape, np.int32)
        for index in self.classes:
            region = mask == index
            numbers[region] = self._apart(region)[region] + numbers.max()
        return numbers

    def _apart(self, region: np.ndarray) -> np.ndarray:
        # Pixels that touch at a corner are connected, here and in the watershed.
        parts = cv2.connectedComponents(region.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)[1]
        # Of a region without an edge no pixel is far from it.
        return parts if self.distance is None or region.all() else _flooded(region, parts, self.distance)


def _flooded(region: np.ndarray, parts: np.ndarray, distance: int) -> np.ndarray:
    from skimage.feature import peak_local_max
    from skimage.segmentation import watershed

    depth = cv2.distanceTransform(region.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    peaks = peak_local_max(depth, min_distance=distance, labels=parts, exclude_border=False)
    markers = np.zeros(region.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return watershed(-depth, markers, connectivity=2, mask=region)
