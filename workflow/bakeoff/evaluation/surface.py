"""Where the boundaries of two masks lie: the distances between them, in pixels, and the bands along them.

The boundary of a mask is its pixels that have a neighbour (above, below, left, right) outside it; beyond the image
everything is outside. Both distances gather, for every boundary pixel of either mask, the Euclidean distance to the
nearest boundary pixel of the other, which is MONAI's convention. Where both masks are empty, they agree: 0. Where one
is, there is no such distance, and it is taken to be the longest that the image has room for, between two opposite
corner pixels.

The band of a mask is its pixels that are near its boundary. The IoU of two masks' bands is their *boundary IoU*, which
sees an error along the outline that the inside of a large object hides from the IoU.
"""

from dataclasses import dataclass
from functools import cache, cached_property

import cv2
import numpy as np

# How deep the band of a mask is, as a share of the image's diagonal.
BAND_SHARE = 0.02

_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)

# Two squares of at most 181 add up within 16 bits, which halves the work for all but points that are farther away.
_NEAR = 181
# Squared distances of this many points to every column are held at a time, to stay in the processor's cache.
_POINTS_AT_A_TIME = 256
# A distance map costs as much as the search for this many points a row of the image: measured, 18 where the image is
# 256 pixels wide and 27 where it is 1024.
_POINTS_PER_MAP_ROW = 20


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
        """Euclidean distance of every pixel of the image to the boundary, float32, (height, width)."""
        distance = cv2.distanceTransform((~self.pixels).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        # OpenCV's last digit depends on how many threads it may use; a squared distance is a whole number.
        return np.sqrt(np.rint(np.square(distance, out=distance), out=distance), out=distance)

    @cached_property
    def near_columns(self) -> np.ndarray:
        """`_column_squares` up to `_NEAR`."""
        return _column_squares(self.pixels, _NEAR, np.uint8, np.uint16)

    def expect(self, points: int) -> None:
        """Make the distance map, if so many distances to this boundary are to come that the map is the faster way."""
        if points > _POINTS_PER_MAP_ROW * len(self.pixels):
            self.distance_map  # noqa: B018

    def distances(self, positions: np.ndarray) -> np.ndarray:
        """Distances of positions in the flattened image to the nearest boundary pixel; float32, one a position.

        They are the same to the last bit, whether they come from the distance map, if it has been made, or a search.
        """
        if "distance_map" in self.__dict__:
            return self.distance_map.ravel()[positions]
        squared = _squared_distances(positions, self.near_columns, _NEAR)
        far = np.flatnonzero(squared >= _NEAR**2)
        if len(far):
            reach = sum(self.pixels.shape)
            columns = _column_squares(self.pixels, reach, np.int32, np.int32)
            squared = squared.astype(np.int32)
            squared[far] = _squared_distances(positions[far], columns, reach)
        return np.sqrt(squared, dtype=np.float32)


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


def boundary_band(mask: np.ndarray) -> np.ndarray:
    """A mask's pixels at most d rows and columns from the outside, d being 2 % of the image's diagonal, and 1 or more.

    The boundary IoU of two masks is the IoU of their bands, with the cases of an empty mask as in `overlap`: a mask has
    a band unless it is empty.

    Parameters
    ----------
    mask
        bool, (height, width); beyond the image everything is outside.

    Returns
    -------
    ndarray
        bool, (height, width).

    References
    ----------
    Cheng, Girshick, Dollár, Berg & Kirillov (2021), "Boundary IoU: improving object-centric image segmentation
    evaluation", CVPR, equation 2. As in the authors' `mask_to_boundary`, nearness is by rows and columns
    (Chebyshev distance), and d is rounded.
    """
    inside = np.ascontiguousarray(mask).view(np.uint8)
    depth = max(1, round(BAND_SHARE * float(np.hypot(*mask.shape))))
    square = np.ones((2 * depth + 1, 2 * depth + 1), np.uint8)
    return inside != cv2.erode(inside, square, borderType=cv2.BORDER_CONSTANT, borderValue=0)


def surface_distances(truth: Boundary, prediction: Boundary) -> tuple[np.ndarray, np.ndarray]:
    """Distances from each boundary pixel of the prediction to the truth, and of the truth to the prediction; float32.

    Neither boundary may be empty.
    """
    return truth.distances(prediction.positions), prediction.distances(truth.positions)


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
def _squares(size: int, reach: int, dtype: np.dtype) -> np.ndarray:
    """Lesser of |i - j| and `reach`, squared, at [i, j]; (size, size)."""
    places = np.arange(size)
    return np.square(np.minimum(np.abs(places[:, None] - places), reach)).astype(dtype)


def _squared_distances(positions: np.ndarray, column_squares: np.ndarray, reach: int) -> np.ndarray:
    """Squared distances of positions in the flattened image to the nearest True pixel, exact below `reach` squared.

    That of (row, column) is the least, over the columns c, of (column - c)**2 plus the squared distance to the nearest
    True pixel above or below (row, c). Source: Saito & Toriwaki (1994), Pattern Recognition 27(11).
    """
    width, dtype = column_squares.shape[1], column_squares.dtype
    horizontal = _squares(width, reach, dtype)
    rows, columns = np.divmod(positions, width)
    nearest = np.empty(len(positions), dtype)
    ahead, aside = np.empty((2, min(_POINTS_AT_A_TIME, len(positions)), width), dtype)
    for start in range(0, len(positions), _POINTS_AT_A_TIME):
        part = slice(start, start + _POINTS_AT_A_TIME)
        count = len(rows[part])
        # mode="clip" spares a copy, and clips nothing.
        np.take(column_squares, rows[part], axis=0, out=ahead[:count], mode="clip")
        np.take(horizontal, columns[part], axis=0, out=aside[:count], mode="clip")
        np.add(ahead[:count], aside[:count], out=ahead[:count])
        ahead[:count].min(axis=1, out=nearest[part])
    return nearest


def _column_squares(
    pixels: np.ndarray, reach: int, distance_type: type[np.integer], square_type: type[np.integer]
) -> np.ndarray:
    """Squared distance of every pixel to the nearest True one in its column, or `reach` squared if that is less.

    Parameters
    ----------
    pixels
        bool, (height, width).
    reach
        1 or more.
    distance_type
        Holds one and a half times `reach`.
    square_type
        Of the result; holds `reach` squared.
    """
    distance = (~pixels).view(np.uint8) * distance_type(reach)
    moved = np.empty_like(distance)
    # Steps of 1, 2, 4, ... and the rest add up to every distance, so that a few passes over whole rows do for a walk
    # down and up.
    covered = 0
    while covered < min(reach, len(pixels) - 1):
        step = min(covered + 1, reach - covered)
        np.add(distance, distance_type(step), out=moved)
        np.minimum(distance[step:], moved[:-step], out=distance[step:])
        np.minimum(distance[:-step], moved[step:], out=distance[:-step])
        covered += step
    return np.square(distance, dtype=square_type)
