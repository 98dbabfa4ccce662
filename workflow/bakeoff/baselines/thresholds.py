"""Global thresholds from grey-level histograms: scikit-image's, of many pictures at a time.

Every function takes the histograms of n pictures, (n, 256), and returns n thresholds, float64: the darker class is
`level <= threshold`, the brighter `level > threshold`.

- A picture of one grey level v has threshold v (all of it is the darker class); `minimum` finds none.
- A picture of two grey levels is cut between them, but by `triangle` if they are neighbours (it may return the brighter
  one, above which there is nothing), and by `minimum` only where there is room to smooth between them.
- No threshold is NaN, which only `minimum` returns: the histogram never has exactly two peaks.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy import ndimage
from skimage import filters

from bakeoff.artefacts.grey_levels import LEVELS

# What a model card calls the methods, and whom it cites.
NAME = {
    "otsu": "Otsu",
    "multiotsu": "Multi-Otsu",
    "isodata": "Isodata",
    "li": "Li",
    "mean": "Mean threshold",
    "minimum": "Minimum threshold",
    "triangle": "Triangle threshold",
    "yen": "Yen",
}
TITLE = {
    "otsu": "Otsu's threshold",
    "multiotsu": "multi-level Otsu thresholds",
    "isodata": "the Isodata threshold",
    "li": "Li's minimum cross-entropy threshold",
    "mean": "the mean grey level as threshold",
    "minimum": "the threshold at the minimum between two modes",
    "triangle": "the triangle threshold",
    "yen": "Yen's threshold",
}
CITATIONS = {
    "otsu": (
        "N. Otsu. A threshold selection method from gray-level histograms. IEEE Transactions on Systems, Man, and "
        "Cybernetics 9(1):62-66, 1979.",
    ),
    "multiotsu": (
        "N. Otsu. A threshold selection method from gray-level histograms. IEEE Transactions on Systems, Man, and "
        "Cybernetics 9(1):62-66, 1979.",
    ),
    "isodata": (
        "T. W. Ridler, S. Calvard. Picture thresholding using an iterative selection method. IEEE Transactions on "
        "Systems, Man, and Cybernetics 8(8):630-632, 1978.",
    ),
    "li": (
        "C. H. Li, P. K. S. Tam. An iterative algorithm for minimum cross entropy thresholding. Pattern Recognition "
        "Letters 19(8):771-776, 1998.",
    ),
    "mean": (),
    "minimum": (
        "J. M. S. Prewitt, M. L. Mendelsohn. The analysis of cell images. Annals of the New York Academy of "
        "Sciences 128(3):1035-1053, 1966.",
    ),
    "triangle": (
        "G. W. Zack, W. E. Rogers, S. A. Latt. Automatic measurement of sister chromatid exchange frequency. "
        "Journal of Histochemistry and Cytochemistry 25(7):741-753, 1977.",
    ),
    "yen": (
        "J.-C. Yen, F.-J. Chang, S. Chang. A new criterion for automatic multilevel thresholding. IEEE Transactions "
        "on Image Processing 4(3):370-378, 1995.",
    ),
}

_LEVEL = np.arange(LEVELS)
# What `minimum` smooths a histogram at most, as scikit-image does.
MAX_SMOOTHINGS = 10_000


def _of_each(threshold: Callable[[np.ndarray], float], counts: np.ndarray) -> np.ndarray:
    """Thresholds of n pictures from a function of one histogram; of a picture of one grey level, that level."""
    return np.array([threshold(row) if np.count_nonzero(row) > 1 else row.argmax() for row in counts], np.float64)


def _pixels(counts: np.ndarray) -> np.ndarray:
    """A picture, uint8, (1, pixels), that has this histogram."""
    return np.repeat(_LEVEL.astype(np.uint8), counts)[None]


@np.errstate(divide="ignore", invalid="ignore")
def _yen(counts: np.ndarray) -> float:
    return filters.threshold_yen(hist=counts)


def _mean(counts: np.ndarray) -> np.ndarray:
    return (counts * _LEVEL).sum(axis=1) / counts.sum(axis=1)


def _minimum(counts: np.ndarray) -> np.ndarray:
    """Deepest level between the two peaks that are left when the histogram is smoothed until it has two.

    As scikit-image's, which takes four times as long. NaN where it raises an error.

    Source: Prewitt & Mendelsohn (1966), "The analysis of cell images", Ann. N. Y. Acad. Sci. 128.
    """
    present = counts > 0
    lowest = present.argmax(axis=1)
    width = LEVELS - present[:, ::-1].argmax(axis=1) - lowest
    # Every histogram starts at its darkest level; beyond its brightest one the last value repeats, which is both how
    # the running mean treats the end and no peak.
    places = np.minimum(_LEVEL, width[:, None] - 1)
    smooth = np.take_along_axis(counts, lowest[:, None] + places, axis=1).astype(np.float32)
    thresholds, rows = np.full(len(counts), np.nan), np.arange(len(counts))
    for _ in range(MAX_SMOOTHINGS):
        smooth = np.take_along_axis(ndimage.uniform_filter1d(smooth, 3, axis=1), places[rows], axis=1)
        peaks = _peaks(smooth)
        found = np.bincount(peaks[0], minlength=len(rows))
        for row in np.flatnonzero(found == 2):
            first, second = peaks[1][peaks[0] == row]
            thresholds[rows[row]] = lowest[rows[row]] + first + smooth[row, first : second + 1].argmin()
        smooth, rows = smooth[found > 2], rows[found > 2]
        if len(rows) == 0:
            break
    return thresholds


def _peaks(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of the last entry before each fall that follows a rise; every row begins with a rise."""
    slopes = np.sign(np.diff(rows, axis=1, prepend=-1)).astype(np.int8)
    row, column = np.nonzero(slopes)
    slope = slopes[row, column]
    falls = np.flatnonzero((slope[:-1] > 0) & (slope[1:] < 0)) + 1
    return row[falls], column[falls] - 1


THRESHOLDS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "otsu": partial(_of_each, lambda counts: filters.threshold_otsu(hist=counts)),
    "isodata": partial(_of_each, lambda counts: filters.threshold_isodata(hist=counts)),
    "li": partial(_of_each, lambda counts: filters.threshold_li(_pixels(counts))),
    "mean": _mean,
    "minimum": _minimum,
    "triangle": partial(_of_each, lambda counts: filters.threshold_triangle(_pixels(counts))),
    "yen": partial(_of_each, _yen),
}
