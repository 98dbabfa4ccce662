"""How a class mask comes apart into single objects. Without tables (pandas): what predicts has none."""

from typing import NamedTuple

import cv2
import numpy as np


class Separation(NamedTuple):
    """How regions come apart into objects.

    Attributes
    ----------
    height
        Of the distance to a region's edge, in pixels: by how much the way from a middle to any higher one has to fall,
        so that a watershed floods from it. None where every connected region is an object.
    classes
        Indices of the classes whose objects these are, ascending.
    """

    height: float | None
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
        # Of a region without an edge no pixel is far from it.
        return _connected(region) if self.height is None or region.all() else _flooded(region, self.height)


def _connected(region: np.ndarray) -> np.ndarray:
    """Numbers of the parts of a region, int32 (H, W); pixels that touch at a corner are connected."""
    return cv2.connectedComponents(region.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)[1]


def _flooded(region: np.ndarray, height: float) -> np.ndarray:
    from skimage.morphology import local_maxima, reconstruction
    from skimage.segmentation import watershed

    depth = cv2.distanceTransform(region.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # Extended maxima (Soille, "Morphological image analysis", section 6.3.5): every part of the region has one or more.
    middles = local_maxima(reconstruction(depth, depth + np.float32(height) * region)) & region
    return watershed(-depth, _connected(middles), connectivity=2, mask=region)
