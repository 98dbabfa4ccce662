"""Distances between the boundaries of two masks, in pixels.

The boundary of a mask is its pixels that have a neighbour (above, below, left, right) outside it; beyond the image
everything is outside. Both scores gather, for every boundary pixel of either mask, the Euclidean distance to the
nearest boundary pixel of the other, which is MONAI's convention. Where both masks are empty, they agree: 0. Where one
is, there is no such distance, and it is taken to be the longest that the image has room for, between two opposite
corner pixels.
"""

from dataclasses import dataclass
from functools import cache, cached_property

import cv2
import numpy as np

_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)

# Squared distances of this many points to every column are held at a time, to stay in the processor's cache.
_POINTS_AT_A_TIME = 256


@dataclass(frozen=True)
class Boundary:
    """The boundary of a mask, and what is derived from it once for any number of comparisons.

    Attributes
    ----------
    pixels
        bool, (height, width), True on the boundary.
    """

    pixels: np.ndarray

    @cached_property
    def positions(self) -> np.ndarray:
        """Positions of the boundary pixels in the flattened image, ascending."""
        return np.flatnonzero(self.pixels)

    @cached_property
    def distance_map(self) -> np.ndarray:
        """Exact Euclidean distance of every pixel of the image to the boundary, float32, (height, width)."""
        return cv2.distanceTransform((~self.pixels).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def boundary(mask: np.ndarray) -> Boundary:
    """Find a mask's boundary.

    Parameters
    ----------
    mask
        bool, (height, width).
    """
    inside = np.ascontiguousarray(mask).view(np.uint8)
    inner = cv2.erode(inside, _CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return Boundary(inside != inner)


def surface_distances(truth: Boundary, prediction: Boundary) -> tuple[np.ndarray, np.ndarray]:
    """Distances from each boundary pixel of the prediction to the truth, and of the truth to the prediction; float32.

    Neither boundary may be empty. The truth's distance map is made once and serves all the predictions that are
    compared with it. A prediction is compared once, so that its distances are found only where they are wanted, at a
    third of a map's cost.
    """
    to_truth = truth.distance_map.ravel()[prediction.positions]
    return to_truth, _distances_at(truth.positions, prediction.pixels)


def hd95_and_assd(truth: Boundary, prediction: Boundary) -> tuple[float, float]:
    """95th-percentile Hausdorff distance and average symmetric surface distance.

    The former is the greater of the two directions' 95th percentiles (linearly interpolated), the latter the mean over
    the boundary pixels of both masks.

    Source: Huttenlocher, Klanderman & Rucklidge (1993), IEEE TPAMI 15(9); conventions as in MONAI's
    `compute_hausdorff_distance(percentile=95)` and `compute_average_surface_distance(symmetric=True)`.
    """
    empty = (len(truth.positions) == 0) + (len(prediction.positions) == 0)
    if empty:
        height, width = truth.pixels.shape
        distance = float(np.hypot(height - 1, width - 1)) if empty == 1 else 0.0
        return distance, distance
    to_truth, to_prediction = surface_distances(truth, prediction)
    hd95 = max(_percentile(to_truth, 0.95), _percentile(to_prediction, 0.95))
    total = to_truth.sum(dtype=np.float64) + to_prediction.sum(dtype=np.float64)
    return hd95, float(total / (len(to_truth) + len(to_prediction)))


def _percentile(values: np.ndarray, share: float) -> float:
    """What `numpy.quantile` returns, without its overhead, which is most of its time here."""
    place = share * (len(values) - 1)
    below = int(place)
    above = min(below + 1, len(values) - 1)
    ordered = np.partition(values, (below, above))
    return float(ordered[below] + (place - below) * (float(ordered[above]) - float(ordered[below])))


@cache
def _squares(size: int) -> np.ndarray:
    """(i - j)**2 at [i, j]; int32, (size, size)."""
    places = np.arange(size, dtype=np.int32)
    return np.square(places[:, None] - places)


def _distances_at(positions: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Exact distances of some positions of the flattened image to the nearest True pixel, float32.

    The squared distance of (row, column) is the least, over the columns c, of (column - c)**2 plus the squared distance
    to the nearest True pixel above or below (row, c). Source: Saito & Toriwaki (1994), Pattern Recognition 27(11).
    """
    width = pixels.shape[1]
    vertical, horizontal = np.square(_vertical_distances(pixels), dtype=np.int32), _squares(width)
    rows, columns = np.divmod(positions, width)
    nearest = np.empty(len(positions), np.int32)
    ahead, aside = np.empty((2, _POINTS_AT_A_TIME, width), np.int32)
    for start in range(0, len(positions), _POINTS_AT_A_TIME):
        part = slice(start, start + _POINTS_AT_A_TIME)
        count = len(rows[part])
        # mode="clip" spares a copy, and clips nothing.
        np.take(vertical, rows[part], axis=0, out=ahead[:count], mode="clip")
        np.take(horizontal, columns[part], axis=0, out=aside[:count], mode="clip")
        np.add(ahead[:count], aside[:count], out=ahead[:count])
        ahead[:count].min(axis=1, out=nearest[part])
    return np.sqrt(nearest, dtype=np.float32)


def _vertical_distances(pixels: np.ndarray) -> np.ndarray:
    """Distance of every pixel to the nearest True one in its column, int16; in a column without one, more than any."""
    height, width = pixels.shape
    distance = np.where(pixels, np.int16(0), np.int16(height + width))
    moved = np.empty_like(distance)
    # Steps of 1, 2, 4, ... add up to every distance, so that a few passes over whole rows do for a walk down and up.
    step = 1
    while step < height:
        np.add(distance[:-step], step, out=moved[step:])
        np.minimum(distance[step:], moved[step:], out=distance[step:])
        np.add(distance[step:], step, out=moved[:-step])
        np.minimum(distance[:-step], moved[:-step], out=distance[:-step])
        step *= 2
    return distance
