"""The levels of a data set's images of more than 8 bits, measured."""

from collections.abc import Iterable

import numpy as np

from bakeoff.datasets.preparation.decode import read_samples
from bakeoff.datasets.preparation.samples import Undecodable, shown

# Percentiles of the levels of all images together that become black and white.
LOW, HIGH = 0.1, 99.9
# Of an image, evenly spaced: so the memory is that of one image and of these.
MOST_SAMPLES = 50_000


def measure_levels(images: Iterable[bytes]) -> tuple[float, float] | None:
    """Percentiles 0.1 and 99.9 of the levels of images of more than 8 bits, all of them together.

    Parameters
    ----------
    images
        Contents of files, of a sample where there are many. Those of 8 bits, those with a window of their own (DICOM)
        and damaged ones are passed over.

    Returns
    -------
    tuple or None
        The two levels, as the images show them; None if there is no other image. Of a single level, it and the
        next.
    """
    kept = []
    for data in images:
        try:
            samples = read_samples(data)
        except Undecodable:
            continue
        if samples is None or not samples.deep or samples.window is not None:
            continue
        levels = shown(samples).ravel()
        levels = levels[:: -(-levels.size // MOST_SAMPLES)]
        kept.append(levels[np.isfinite(levels)].astype(np.float64))
    together = np.concatenate(kept) if kept else np.empty(0)
    if not together.size:
        return None
    low, high = (float(f"{level:.6g}") for level in np.percentile(together, (LOW, HIGH)))
    return (low, high) if high > low else (low, low + 1)
