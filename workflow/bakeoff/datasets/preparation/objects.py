"""Numbers of single objects: read from masks that number them, and resized with the classes."""

import io

import numpy as np
from PIL import Image
from scipy.ndimage import distance_transform_edt

from bakeoff.artefacts.prepared import VOID
from bakeoff.datasets.preparation.decode import PILLOW_ERRORS, Undecodable, header, nearest_classes

MOST_OBJECTS = 65_535


def resize_objects(objects: np.ndarray, stored: np.ndarray, classes: np.ndarray, *, background: bool) -> np.ndarray:
    """Numbers of objects (H, W), uint16, at the size of resized class indices (size, size): that at a pixel's middle.

    Where the class is the background or void there is no object. At outlines, where classes go by the area, a pixel
    takes the number of the object next to it. What was of its class and of no object already (a crowd) stays so.

    Parameters
    ----------
    stored
        Class indices before they were resized, (H, W).
    """
    numbers = nearest_classes(objects, len(classes))
    nothing = (classes == VOID) | (background & (classes == 0))
    crowd = (numbers == 0) & (nearest_classes(stored, len(classes)) == classes) & ~nothing
    known = (numbers > 0) | crowd
    if not known.any():
        return np.zeros_like(numbers)
    rows, columns = distance_transform_edt(~known, return_distances=False, return_indices=True)
    return np.where(nothing, 0, numbers[rows, columns]).astype(np.uint16)


def object_numbers(data: bytes) -> np.ndarray:
    """Numbers of objects, uint16 (H, W), of a mask file whose levels, or palette indices, are these.

    Raises
    ------
    Undecodable
        If the bytes are no such mask, or it has more than 65,535 objects.
    """
    header(data)  # refuses what is too large
    try:
        with Image.open(io.BytesIO(data)) as image:
            levels = np.asarray(image)
    except PILLOW_ERRORS as error:
        raise Undecodable(str(error)) from error
    if levels.ndim != 2 or levels.dtype.kind == "f":
        raise Undecodable("it has colours, and no numbers of objects")
    return numbered(levels)


def numbered(levels: np.ndarray) -> np.ndarray:
    """Levels as numbers of objects, uint16: as they are, or in their order where they are too high; 0 stays 0.

    Raises
    ------
    Undecodable
        If there are more than 65,535.
    """
    if levels.min() >= 0 and levels.max() <= MOST_OBJECTS:
        return levels.astype(np.uint16)
    known, order = np.unique(np.append(levels.ravel(), 0), return_inverse=True)
    if len(known) - 1 > MOST_OBJECTS:
        raise Undecodable(f"{len(known) - 1:,} objects are more than the {MOST_OBJECTS:,} that can be numbered")
    zero = int(np.flatnonzero(known == 0)[0])
    ranks = np.where(order == zero, 0, np.where(order < zero, order + 1, order))[:-1]
    return ranks.reshape(levels.shape).astype(np.uint16)
