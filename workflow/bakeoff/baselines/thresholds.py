"""Global thresholds from grey-level histograms, many pictures at a time.

Every function takes the histograms of n pictures, (n, 256), and returns n thresholds, float64: the darker class is
`level <= threshold`, the brighter `level > threshold`. The results are scikit-image's for uint8 pictures, down to the
order and precision of its sums where they decide a tie.

- A picture of one grey level v has threshold v (all of it is the darker class); `minimum` finds none.
- A picture of two grey levels is cut between them, but by `triangle` if they are neighbours (it may return the brighter
  one, above which there is nothing), and by `minimum` only where there is room to smooth between them.
- No threshold is NaN, which only `minimum` returns: the histogram never has exactly two peaks, and scikit-image raises
  an error.
"""

from collections.abc import Callable

import numpy as np

from bakeoff.baselines.histogram import LEVELS

_LEVEL = np.arange(LEVELS)


def _ends(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest grey level of each picture, (n, 1) each."""
    present = counts > 0
    lowest = present.argmax(axis=1)
    highest = LEVELS - 1 - present[:, ::-1].argmax(axis=1)
    return lowest[:, None], highest[:, None]


def _best_level(criterion: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Lowest level with the greatest criterion, of those that leave pixels on either side."""
    lowest, highest = _ends(counts)
    allowed = (lowest <= _LEVEL) & (highest > _LEVEL)
    best = np.where(allowed, criterion, -np.inf).argmax(axis=1)
    return np.where(lowest < highest, best[:, None], lowest)[:, 0].astype(np.float64)


def _reverse_cumsum(values: np.ndarray) -> np.ndarray:
    return values[:, ::-1].cumsum(axis=1)[:, ::-1]


def _after(values: np.ndarray) -> np.ndarray:
    """Entry i + 1 at place i; the last entry, which no threshold can use, is 0."""
    return np.pad(values[:, 1:], ((0, 0), (0, 1)))


@np.errstate(divide="ignore", invalid="ignore")
def otsu(counts: np.ndarray) -> np.ndarray:
    """Threshold of greatest variance between the two classes.

    Source: Otsu (1979), "A threshold selection method from gray-level histograms", IEEE Trans. SMC 9(1).
    """
    # float32 counts, as scikit-image has them: the precision decides between levels of equal variance.
    weights = counts.astype(np.float32)
    weight_low, weight_high = weights.cumsum(axis=1), _reverse_cumsum(weights)
    mean_low = (weights * _LEVEL).cumsum(axis=1) / weight_low
    mean_high = _reverse_cumsum(weights * _LEVEL) / weight_high
    variance = weight_low * _after(weight_high) * (mean_low - _after(mean_high)) ** 2
    return _best_level(variance, counts)


@np.errstate(divide="ignore", invalid="ignore")
def isodata(counts: np.ndarray) -> np.ndarray:
    """Lowest threshold that lies midway between the means of its two classes.

    Source: Ridler & Calvard (1978), "Picture thresholding using an iterative selection method", IEEE Trans. SMC 8.
    """
    weights = counts.astype(np.float32)
    weight_low = weights.cumsum(axis=1)
    moment_low = (weights * _LEVEL).cumsum(axis=1)
    mean_low = moment_low / weight_low
    mean_high = (moment_low[:, -1:] - moment_low) / (weight_low[:, -1:] - weight_low)
    distance = (mean_low + mean_high) / 2 - _LEVEL
    return _best_level((distance >= 0) & (distance < 1), counts)


def li(counts: np.ndarray) -> np.ndarray:
    """Threshold of least cross-entropy between the picture and its two-level version, by Li and Tam's iteration.

    Source: Li & Tam (1998), "An iterative algorithm for minimum cross entropy thresholding", Pattern Recognition
    Letters 19(8).
    """
    return np.array([_li(row) for row in counts])


def _li(counts: np.ndarray) -> float:
    levels = np.flatnonzero(counts)
    # The iteration takes logarithms of means, so that levels are counted from the darkest one.
    weight = counts[levels].astype(np.int64).cumsum()
    moment = (counts[levels] * (levels - levels[0])).cumsum()
    threshold, previous = moment[-1] / weight[-1], -np.inf
    while len(levels) > 1 and abs(threshold - previous) > 0.5:  # half a grey level
        previous = threshold
        last_low = np.searchsorted(levels - levels[0], threshold, side="right") - 1
        mean_low = moment[last_low] / weight[last_low]
        mean_high = (moment[-1] - moment[last_low]) / (weight[-1] - weight[last_low])
        if mean_low == 0:
            break
        threshold = (mean_low - mean_high) / (np.log(mean_low) - np.log(mean_high))
    return float(threshold + levels[0])


def mean(counts: np.ndarray) -> np.ndarray:
    """The mean grey level."""
    return (counts * _LEVEL).sum(axis=1) / counts.sum(axis=1)


def triangle(counts: np.ndarray) -> np.ndarray:
    """Level farthest below the line from the histogram's peak to the end of its longer tail.

    Source: Zack, Rogers & Latt (1977), "Automatic measurement of sister chromatid exchange frequency", J. Histochem.
    Cytochem. 25(7).
    """
    counts = counts.astype(np.int64)
    lowest, highest = _ends(counts)
    peak = counts.argmax(axis=1)[:, None]
    # Where the longer tail is the brighter one, the histogram is mirrored, so that the tail always lies to the left.
    mirrored = peak - lowest < highest - peak
    tail = np.where(mirrored, counts[:, ::-1], counts)
    start = np.where(mirrored, LEVELS - 1 - highest, lowest)
    end = np.where(mirrored, LEVELS - 1 - peak, peak)
    height, width = counts.max(axis=1)[:, None], end - start
    norm = np.sqrt(height**2 + width**2)
    length = (height / norm) * (_LEVEL - start) - (width / norm) * tail
    best = np.where((start <= _LEVEL) & (end > _LEVEL), length, -np.inf).argmax(axis=1)[:, None]
    level = np.where(mirrored, LEVELS - 1 - best, best)
    return np.where(lowest < highest, level, lowest)[:, 0].astype(np.float64)


@np.errstate(divide="ignore", invalid="ignore")
def yen(counts: np.ndarray) -> np.ndarray:
    """Threshold of greatest correlation between the two classes.

    Source: Yen, Chang & Chang (1995), "A new criterion for automatic multilevel thresholding", IEEE Trans. Image
    Processing 4(3).
    """
    share = counts.astype(np.float32) / counts.sum(axis=1, keepdims=True).astype(np.float32)
    low = share.cumsum(axis=1)
    low_squares, high_squares = (share**2).cumsum(axis=1), _reverse_cumsum(share**2)
    criterion = np.log((low_squares * _after(high_squares)) ** -1 * (low * (1 - low)) ** 2)
    return _best_level(criterion, counts)


MAX_SMOOTHINGS = 10_000


def minimum(counts: np.ndarray) -> np.ndarray:
    """Deepest level between the two peaks that are left when the histogram is smoothed until it has two.

    Smoothing is a running mean of three, repeated at most 10,000 times.

    Returns
    -------
    numpy.ndarray
        NaN for a picture that never has exactly two peaks.

    Source: Prewitt & Mendelsohn (1966), "The analysis of cell images", Ann. N. Y. Acad. Sci. 128.
    """
    lowest, highest = (end[:, 0] for end in _ends(counts))
    last = highest - lowest
    # Every histogram starts at its darkest level; beyond its brightest one the last value repeats, which is both how
    # the running mean treats the end and no peak.
    smooth = np.take_along_axis(counts, lowest[:, None] + np.minimum(_LEVEL, last[:, None]), axis=1).astype(np.float32)
    beyond = last[:, None] < _LEVEL
    thresholds = np.full(len(counts), np.nan)
    active = np.arange(len(counts))
    for _ in range(MAX_SMOOTHINGS - 1):
        smooth = _running_mean(smooth)
        np.copyto(smooth, smooth[np.arange(len(last)), last][:, None], where=beyond)
        peaks = _count_peaks(smooth)
        for row in np.flatnonzero(peaks == 2):
            thresholds[active[row]] = lowest[active[row]] + _valley(smooth[row])
        going_on = peaks > 2
        if not going_on.all():
            active, smooth, last, beyond = active[going_on], smooth[going_on], last[going_on], beyond[going_on]
        if len(active) == 0:
            break
    return thresholds


def _running_mean(rows: np.ndarray) -> np.ndarray:
    """Mean of every entry and its two neighbours, the ends repeated, float32.

    The sum slides along the row in float64 as scipy.ndimage.uniform_filter1d's does, since a difference in the last
    bit can make or break a peak.
    """
    padded = np.empty((len(rows), rows.shape[1] + 2))
    padded[:, 1:-1], padded[:, 0], padded[:, -1] = rows, rows[:, 0], rows[:, -1]
    steps = np.empty(rows.shape)
    steps[:, 0] = padded[:, 0] + padded[:, 1] + padded[:, 2]
    np.subtract(padded[:, 3:], padded[:, :-3], out=steps[:, 1:])
    return (steps.cumsum(axis=1) / 3).astype(np.float32)


def _slopes(rows: np.ndarray) -> np.ndarray:
    """Signs of the differences along each row, after a rise that stands before its first entry; int8, (n, width)."""
    rises = np.ones(rows.shape, np.int8)
    rises[:, 1:] = (rows[:, 1:] > rows[:, :-1]).view(np.int8) - (rows[:, 1:] < rows[:, :-1]).view(np.int8)
    return rises


def _count_peaks(rows: np.ndarray) -> np.ndarray:
    """How often each row turns from rising to falling, plateaus passed over."""
    slopes = _slopes(rows)
    places = np.flatnonzero(slopes)
    slopes = slopes.ravel()[places]
    # Each row begins with a rise, so that no turn straddles two rows.
    turns = places[1:][(slopes[:-1] > 0) & (slopes[1:] < 0)]
    return np.bincount(turns // rows.shape[1], minlength=len(rows))


def _valley(row: np.ndarray) -> int:
    slopes = _slopes(row[None])[0]
    places = np.flatnonzero(slopes)
    turns = places[1:][(slopes[places[:-1]] > 0) & (slopes[places[1:]] < 0)]
    first, second = turns - 1  # a peak is the last entry before its fall
    return first + int(row[first : second + 1].argmin())


THRESHOLDS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "otsu": otsu,
    "isodata": isodata,
    "li": li,
    "mean": mean,
    "minimum": minimum,
    "triangle": triangle,
    "yen": yen,
}
