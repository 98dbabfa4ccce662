"""Numbers of single objects, resized with the classes."""

import numpy as np
from scipy.ndimage import distance_transform_edt

from bakeoff.artefacts.void import VOID
from bakeoff.datasets.preparation.decode import nearest_classes


def resize_objects(objects: np.ndarray, stored: np.ndarray, classes: np.ndarray, *, background: bool) -> np.ndarray:
    """Numbers of objects (H, W), uint16, at the size of resized class indices: that at a pixel's middle.

    Where the class is the background or void there is no object. At outlines, where classes go by the area, a pixel
    takes the number of the object next to it. What was of its class and of no object already (a crowd) stays so.

    Parameters
    ----------
    stored
        Class indices before they were resized, (H, W).
    """
    nothing = (classes == VOID) | (background & (classes == 0))
    if objects.shape == classes.shape:
        return np.where(nothing, 0, objects).astype(np.uint16)
    numbers = nearest_classes(objects, classes.shape)
    crowd = (numbers == 0) & (nearest_classes(stored, classes.shape) == classes) & ~nothing
    known = (numbers > 0) | crowd
    if not known.any():
        return np.zeros_like(numbers)
    rows, columns = distance_transform_edt(~known, return_distances=False, return_indices=True)
    return np.where(nothing, 0, numbers[rows, columns]).astype(np.uint16)
