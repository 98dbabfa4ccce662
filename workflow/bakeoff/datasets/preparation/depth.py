"""The levels of a data set's images of more than 8 bits, measured."""

from collections.abc import Iterable

import numpy as np

from bakeoff.artefacts.channels import GREY, RGB, Levels
from bakeoff.datasets.preparation.decode import read_samples
from bakeoff.datasets.preparation.samples import Undecodable, shown

# Percentiles of the levels of all images together that become black and white.
LOW, HIGH = 0.1, 99.9
# Of an image, of all channels together, evenly spaced: so the memory is that of one image and of these.
MOST_SAMPLES = 50_000


def measure_levels(images: Iterable[bytes], channels: int | None = None) -> Levels | None:
    """Percentiles 0.1 and 99.9 of the levels of images of more than 8 bits, all of them together.

    Parameters
    ----------
    images
        Contents of files, of a sample where there are many. Those of 8 bits, those with a window of their own (DICOM),
        damaged ones and those of another number of channels are passed over.
    channels
        How many the images have; None for grey levels or RGB.

    Returns
    -------
    Levels or None
        Two levels, as the images show them, or two of every channel where channels are no colours; None if there is no
        other image. Of a single level, it and the next.
    """
    kept = []
    for data in images:
        try:
            samples = read_samples(data, channels)
        except Undecodable:
            continue
        if samples is None or not samples.deep or samples.window is not None:
            continue
        if channels not in (None, GREY, RGB):
            samples = samples._replace(kind="grey", alpha="")
            if samples.pixels.shape[2] != channels:
                continue
        levels = shown(samples)
        levels = levels.reshape(-1, levels.shape[2] if samples.kind == "grey" else 1)
        kept.append(levels[:: -(-levels.size // MOST_SAMPLES)].astype(np.float64))
    if len({each.shape[1] for each in kept}) > 1:
        kept = [each.reshape(-1, 1) for each in kept]
    together = np.concatenate(kept) if kept else np.empty((0, 1))
    pairs = [_percentiles(each[np.isfinite(each)]) for each in together.T]
    if None in pairs:
        return None
    return pairs[0] if len(pairs) == 1 else pairs  # type: ignore[return-value]


def _percentiles(levels: np.ndarray) -> tuple[float, float] | None:
    if not levels.size:
        return None
    low, high = (float(f"{level:.6g}") for level in np.percentile(levels, (LOW, HIGH)))
    return (low, high) if high > low else (low, low + 1)
