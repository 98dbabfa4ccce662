"""Overlapping windows of an image that is too large, or too small, for a network to look at as a whole.

Windows lie on a grid; the last of a row or column is moved back so that it ends with the image. Probabilities of
neighbouring windows are blended, those near a window's middle counting most, as in nnU-Net (Isensee et al., 2021,
https://doi.org/10.1038/s41592-020-01008-z) and MONAI's `sliding_window_inference`, whose figures these are.
"""

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np

from bakeoff.artefacts.geometry import Geometry

# Share of a window that the next one covers again; standard deviation of the weights, in windows; the least weight.
OVERLAP, SPREAD, LEAST = 0.25, 0.125, 1e-3
# Windows predicted at a time.
BATCH = 16


def starts(length: int, window: int, step: int) -> list[int]:
    """Where windows begin along an axis: every `step` pixels, the last moved back to end with the image."""
    last = max(0, length - window)
    return [*range(0, last, step), last]


def cut(image: np.ndarray, geometry: Geometry, top: int, left: int, outside: int = 0) -> np.ndarray:
    """A window of an image or mask; what lies beyond its right and lower edge is `outside`."""
    part = image[top : top + geometry.height, left : left + geometry.width]
    missing = geometry.height - part.shape[0], geometry.width - part.shape[1]
    if not any(missing):
        return part
    margins = ((0, missing[0]), (0, missing[1]), *(((0, 0),) * (image.ndim - 2)))
    return np.pad(part, margins, constant_values=outside)


def grid(height: int, width: int, geometry: Geometry, overlap: float = 0.0) -> list[tuple[int, int]]:
    """Upper left corners of the windows of an image, row by row."""
    steps = [max(1, int(side * (1 - overlap))) for side in (geometry.height, geometry.width)]
    lefts = starts(width, geometry.width, steps[1])
    return [(top, left) for top in starts(height, geometry.height, steps[0]) for left in lefts]


def central(image: np.ndarray, geometry: Geometry, outside: int = 0) -> np.ndarray:
    """The window in the middle of an image or mask."""
    top, left = (
        max(0, side - window) // 2
        for side, window in zip(image.shape[:2], (geometry.height, geometry.width), strict=True)
    )
    return cut(image, geometry, top, left, outside)


@cache
def weights(height: int, width: int) -> np.ndarray:
    """How much the pixels of a window count, float32 (height, width): a Gaussian about its middle, 1 at most."""
    along = []
    for side in (height, width):
        offsets = np.arange(side) - (side - 1) / 2
        along.append(np.exp(-(offsets**2) / (2 * (SPREAD * side) ** 2)))
    product = np.outer(*along)
    return np.maximum(product / product.max(), LEAST).astype(np.float32)


def blended_classes(
    image: np.ndarray, geometry: Geometry, classes: int, probabilities: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Class indices, uint8 (height, width), of an image, from the blended probabilities of its windows.

    Memory, the image and the result apart, grows with the image's width alone: probabilities are kept of one row of
    windows.

    Parameters
    ----------
    image
        uint8, (height, width, channels), possibly a memory map.
    geometry
        Whose height and width are a window's.
    classes
        How many there are.
    probabilities
        From `BATCH` windows or fewer, uint8 (n, height, width, channels), to the probability of every class of every
        pixel, float32 (n, classes, height, width).
    """
    height, width = image.shape[:2]
    weight, found = weights(geometry.height, geometry.width), np.empty((height, width), np.uint8)
    # Sums, not means: the weights of a pixel are the same for all classes.
    sums = np.zeros((classes, geometry.height, max(width, geometry.width)), np.float32)
    rows: dict[int, list[int]] = {}
    for top, left in grid(height, width, geometry, OVERLAP):
        rows.setdefault(top, []).append(left)
    for top, after in zip(rows, [*list(rows)[1:], height], strict=True):
        for windows, lefts in _batches(image, geometry, top, rows[top]):
            for left, each in zip(lefts, probabilities(windows), strict=True):
                sums[..., left : left + geometry.width] += each * weight
        done = after - top
        found[top:after] = sums[:, :done, :width].argmax(axis=0)
        sums[:, :-done] = sums[:, done:]
        sums[:, -done:] = 0
    return found


def _batches(
    image: np.ndarray, geometry: Geometry, top: int, lefts: list[int]
) -> Iterator[tuple[np.ndarray, list[int]]]:
    for start in range(0, len(lefts), BATCH):
        some = lefts[start : start + BATCH]
        yield np.stack([cut(image, geometry, top, left) for left in some]), some
