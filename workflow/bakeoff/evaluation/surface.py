"""Where the boundaries of two masks lie: the distances between them, in pixels, and the bands along them.

The boundary of a mask is its pixels that have a neighbour (above, below, left, right) outside it; beyond the image
everything is outside. Both distances gather, for every boundary pixel of either mask, the Euclidean distance to the
nearest boundary pixel of the other, which is MONAI's convention. Where both masks are empty, they agree: 0. Where one
is, there is no such distance, and it is taken to be the longest that the image has room for, between two opposite
corner pixels.

The band of a mask is its pixels that are near its boundary. The IoU of two masks' bands is their *boundary IoU*, which
sees an error along the outline that the inside of a large object hides from the IoU.
"""

import cv2
import numpy as np

# How deep the band of a mask is, as a share of the image's diagonal.
BAND_SHARE = 0.02

_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


def boundary(mask: np.ndarray) -> np.ndarray:
    """A mask's pixels with a neighbour outside it; bool, (height, width), as the mask."""
    return _without_inside(mask, _CROSS)


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
    depth = max(1, round(BAND_SHARE * float(np.hypot(*mask.shape))))
    return _without_inside(mask, np.ones((2 * depth + 1, 2 * depth + 1), np.uint8))


def _without_inside(mask: np.ndarray, neighbourhood: np.ndarray) -> np.ndarray:
    inside = np.ascontiguousarray(mask).view(np.uint8)
    return inside != cv2.erode(inside, neighbourhood, borderType=cv2.BORDER_CONSTANT, borderValue=0)


def hd95_and_assd(truth: np.ndarray, prediction: np.ndarray) -> tuple[float, float]:
    """95th-percentile Hausdorff distance and average symmetric surface distance.

    The former is the greater of the two directions' 95th percentiles (linearly interpolated), the latter the mean over
    the boundary pixels of both masks.

    Parameters
    ----------
    truth, prediction
        bool, (height, width).

    References
    ----------
    Huttenlocher, Klanderman & Rucklidge (1993), IEEE TPAMI 15(9); conventions as in MONAI's
    `compute_hausdorff_distance(percentile=95)` and `compute_average_surface_distance(symmetric=True)`.
    """
    empty = np.count_nonzero([not truth.any(), not prediction.any()])
    if empty:
        height, width = truth.shape
        distance = float(np.hypot(height - 1, width - 1)) if empty == 1 else 0.0
        return distance, distance
    # Beyond the box that holds both masks there is nothing to measure.
    left, top, width, height = cv2.boundingRect((truth | prediction).view(np.uint8))
    box = np.s_[top : top + height, left : left + width]
    true, predicted = boundary(truth[box]), boundary(prediction[box])
    to_truth, to_prediction = _distances(predicted, true), _distances(true, predicted)
    hd95 = max(np.quantile(each, 0.95) for each in (to_truth, to_prediction))
    return float(hd95), float(np.concatenate([to_truth, to_prediction]).mean())


def _distances(pixels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distance of each of some pixels to the nearest of the others; both bool, (height, width), none empty."""
    distance = cv2.distanceTransform((~others).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[pixels]
    # OpenCV's last digit depends on how many threads it may use; a squared distance is a whole number.
    return np.sqrt(np.rint(np.square(distance, dtype=np.float64)))
