"""Samples of a picture as a file stores them, of any depth and number, and how they become 8 bits."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bakeoff.artefacts.channels import Levels

# A larger picture is refused: it would take gigabytes.
MAXIMUM_PIXELS = 500_000_000


class Undecodable(Exception):
    """A file that holds no usable picture; the message says why."""


class Samples(NamedTuple):
    """The first image of a file before it is converted.

    Attributes
    ----------
    pixels
        As stored, (H, W, samples).
    kind
        What they are: `grey`, `rgb`, `palette`, `cmyk`, `ycbcr` or `lab`.
    mode
        The same with their depth, as Pillow calls it where it has a name.
    bits
        Of a sample.
    extra
        How many samples at the end are neither a colour nor a grey level.
    alpha
        What the first of these is: `straight`, transparency; `premultiplied`, transparency by which the colours are
        multiplied; "" if it is not transparency.
    palette
        RGB by index, uint8 (n, 3); None without a palette.
    white_is_zero
        Whether the brightest level is 0.
    orientation
        By its tag, 1 to 8; 1 is upright.
    notes
        What of the file is not in `pixels`, in words.
    window
        The levels that the file itself shows as black and white; None if it does not say.
    """

    pixels: np.ndarray
    kind: str
    mode: str
    bits: int
    extra: int = 0
    alpha: str = ""
    palette: np.ndarray | None = None
    white_is_zero: bool = False
    orientation: int = 1
    notes: tuple[str, ...] = ()
    window: tuple[float, float] | None = None

    @property
    def colours(self) -> np.ndarray:
        """Samples that are colours or grey levels, or that nobody says what they are: all but transparency."""
        count = self.pixels.shape[2]
        return self.pixels[..., : count - self.extra] if self.alpha else self.pixels

    @property
    def deep(self) -> bool:
        """Whether the samples are anything but levels from 0 to 255: deeper, with a sign, or of floating point."""
        return self.bits > 8 or self.pixels.dtype.kind in "if"


class Scale(NamedTuple):
    """The levels that become 0 and 255, for all channels or one each; those beyond them become these too."""

    low: float | tuple[float, ...]
    high: float | tuple[float, ...]

    @classmethod
    def stated(cls, levels: Levels) -> "Scale":
        """Of a pair, or of a pair a channel."""
        if isinstance(levels[0], Sequence):
            return cls(*zip(*levels, strict=True))
        return cls(*levels)

    @property
    def pairs(self) -> tuple[tuple[float, float], ...]:
        """The two levels, of every channel where they differ."""
        lows, highs = (each if isinstance(each, tuple) else (each,) for each in self)
        return tuple(zip(lows, highs, strict=True))

    def of(self, samples: np.ndarray) -> np.ndarray:
        """Samples at 8 bits, uint8, the last axis the channels; those that are no number become 0."""
        # Single precision holds whole numbers up to 2^24.
        wide = samples.dtype.itemsize > 4 or (samples.dtype.kind in "iu" and samples.dtype.itemsize > 2)
        exact = np.float64 if wide else np.float32
        low, high = np.asarray(self.low, exact), np.asarray(self.high, exact)
        factor = np.asarray(255 / (np.asarray(self.high, np.float64) - self.low), exact)
        levels = (np.clip(samples.astype(exact), low, high) - low) * factor
        return np.nan_to_num(np.rint(levels)).astype(np.uint8)


def scale_of_depth(samples: np.ndarray) -> Scale:
    """From 0 to the brightest level of the smallest bit depth, at least 8, that holds the brightest of the samples.

    So 12 bits in a file of 16 do not come out black.

    Raises
    ------
    Undecodable
        If they are floating-point numbers, which have no depth.
    """
    if samples.dtype.kind == "f":
        raise Undecodable("its levels are floating-point numbers: state levels, those that become black and white")
    return Scale(0, (1 << max(8, int(samples.max()).bit_length())) - 1)


def shown(samples: Samples) -> np.ndarray:
    """Colours or grey levels, the higher the brighter."""
    colours = samples.colours
    if not samples.white_is_zero:
        return colours
    if colours.dtype.kind in "bi":
        return ~colours  # of a number with a sign, -1 less it
    # Of floating-point numbers there is no highest; the sign keeps their order.
    return -colours if colours.dtype.kind == "f" else colours.dtype.type((1 << samples.bits) - 1) - colours
