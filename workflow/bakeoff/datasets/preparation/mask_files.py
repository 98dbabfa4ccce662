"""Mask files: what they store, never converted, and what classes and objects that makes.

A mask is no picture. Its levels, palette indices and numbers stay as they are stored, whatever their depth; nothing is
made brighter, turned to luminance or inverted.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from bakeoff.artefacts.void import VOID
from bakeoff.datasets.preparation.decode import PILLOW_ERRORS, deep_png, is_deep_png, opened, reason_of
from bakeoff.datasets.preparation.dicom import is_dicom, read_dicom
from bakeoff.datasets.preparation.samples import Undecodable
from bakeoff.datasets.preparation.tiff import is_tiff, read_tiff

# What stands for a class: a level, a colour as "#rrggbb", several of these, or None for nothing.
Value = int | str | Sequence[int | str] | None

MOST_OBJECTS = 65_535
# With more levels than this a mask has been smoothed, or is a photograph.
MOST_LEVELS = 64
# Between the lowest and the highest level of smoothed masks there is room, and no region has an inside.
SMOOTHED_RANGE, SMOOTHED_LEVELS, SMOOTHED_INSIDE = 16, 3, 0.01
SHOWN = 8
# Bytes of a PNG that say how deep its samples are and what they are; kinds of samples.
_PNG, _PNG_DEPTH, _PNG_KIND, _PNG_GREY = b"\x89PNG", 24, 25, 0


class MaskPixels(NamedTuple):
    """Class indices of a mask, uint8 (H, W), void where `VOID`; numbers of its objects; what had to be converted.

    The objects are uint16 (H, W), 0 where there is none; None where the mask does not tell them apart.
    """

    classes: np.ndarray
    objects: np.ndarray | None = None
    converted: str = ""


class Stored(NamedTuple):
    """The pixels of a mask file as they are stored.

    Attributes
    ----------
    values
        Levels or palette indices, or colours as 0xRRGGBB; whole numbers, (H, W).
    coloured
        Whether they are colours.
    alpha
        Transparency, (H, W); None where there is none.
    palette
        RGB by index, uint8 (n, 3), of palette indices; None where there is none.
    lossy
        Whether the file was packed by JPEG, which changes levels.
    note
        What of the file is not in `values`, in words, or "".
    """

    values: np.ndarray
    coloured: bool
    alpha: np.ndarray | None = None
    palette: np.ndarray | None = None
    lossy: bool = False
    note: str = ""

    @property
    def in_alpha(self) -> bool:
        """Whether all is of one level and the transparency is not, which then holds the mask."""
        varies = self.alpha is not None and self.alpha.min() != self.alpha.max()
        return varies and bool((self.values == self.values.flat[0]).all())

    def colours(self) -> np.ndarray:
        """Colours as 0xRRGGBB: its own, those of the palette, or grey."""
        if self.coloured:
            return self.values
        if self.palette is not None:
            return _packed(self.palette[np.minimum(self.values, len(self.palette) - 1)])
        return self.values.astype(np.int32) * 0x010101


def stored(data: bytes) -> Stored:
    """Read a mask file without any conversion: the indices of a palette, levels of any depth, grey RGB as grey.

    Grey PNGs of 2 or 4 bits have the numbers that are stored, 0 to 3 or 0 to 15. One bit is 0 and 255. Levels of a TIFF
    whose zero is white are not inverted.

    Raises
    ------
    Undecodable
        If the bytes are no picture, or one of floating-point levels that are no whole numbers.
    """
    if is_tiff(data):
        return _of_tiff(data)
    if is_dicom(data):
        return _of_samples(read_dicom(data).pixels, None)
    with opened(data) as image:
        try:
            lossy = image.format in ("JPEG", "MPO")
            frames = getattr(image, "n_frames", 1)
            note = f"first of {frames} frames" if frames > 1 else ""
            if is_deep_png(data):
                deep = deep_png(data)
                return _of_samples(deep, _alpha_of(deep))._replace(note=note)
            alpha = np.asarray(image.getchannel("A")) if image.mode in ("LA", "PA", "RGBA") else None
            palette = _palette(image) if image.mode in ("P", "PA") else None
            return _of_samples(_samples(image, data), alpha)._replace(palette=palette, lossy=lossy, note=note)
        except PILLOW_ERRORS as error:
            raise Undecodable(reason_of(error)) from error


def levels_present(values: np.ndarray) -> list[int]:
    """The levels that occur in stored pixels, ascending."""
    if values.dtype in (np.uint8, np.uint16):
        return np.flatnonzero(np.bincount(values.ravel())).tolist()
    return np.unique(values).tolist()


class MaskReader:
    """Reads mask files by the values that the configuration names.

    Parameters
    ----------
    classes
        By name, in order, the values in the files: levels, or colours as `#rrggbb`. Where colours are named, a palette
        stands for its colours, and else for its indices.
    ignore
        Values that are void.
    threshold
        The level from which on a pixel is of class 1; below it is of class 0. None for masks of exact values.
    numbers
        Whether levels number objects: any but 0, and but those ignored, is of class 1.
    """

    def __init__(
        self,
        classes: Mapping[str, Value],
        ignore: Sequence[int | str] = (),
        *,
        threshold: int | None = None,
        numbers: bool = False,
    ) -> None:
        of_class = [(value, index) for index, level in enumerate(classes.values()) for value in _values(level)]
        every = [*of_class, *((value, VOID) for value in ignore)]
        self._coloured = any(isinstance(value, str) and value.startswith("#") for value, _ in every)
        self._index = {_as_stored(value, coloured=self._coloured): index for value, index in every}
        self._void = [value for value, index in self._index.items() if index == VOID]
        self._threshold, self._numbers = threshold, numbers

    def __call__(self, data: bytes) -> MaskPixels:
        """Class indices and, where levels are numbers, objects.

        Raises
        ------
        Undecodable
            If the bytes are no mask.
        ValueError
            If a level or colour is neither a class nor ignored; the sentence names them.
        """
        mask = stored(data)
        if mask.in_alpha:
            raise ValueError("it is of one colour, and its transparency varies: save the transparency as a grey mask")
        if mask.coloured and not self._coloured:
            wanted = "threshold and objects go by levels" if self._threshold or self._numbers else "classes names none"
            raise ValueError(f"it has colours, and {wanted}: name the colour of each class, as in '#ff0000'")
        values = mask.colours() if self._coloured else mask.values
        if self._threshold is not None or self._numbers:
            return self._of_levels(values)._replace(converted=mask.note)
        return MaskPixels(self._classes(values, mask), converted=mask.note)

    def _of_levels(self, values: np.ndarray) -> MaskPixels:
        void = np.isin(values, self._void)
        if self._threshold is not None:
            return MaskPixels(np.where(void, VOID, values >= self._threshold).astype(np.uint8))
        objects = numbered(np.where(void, 0, values))
        return MaskPixels(np.where(void, VOID, objects > 0).astype(np.uint8), objects)

    def _classes(self, values: np.ndarray, mask: Stored) -> np.ndarray:
        present = levels_present(values)
        if wrong := [value for value in present if value not in self._index]:
            raise ValueError(self._wrong(wrong, mask))
        indices = np.array([self._index[value] for value in present], np.uint8)
        if values.dtype != np.uint8:
            return indices[np.searchsorted(present, values)]
        table = np.zeros(256, np.uint8)
        table[present] = indices
        return table[values]

    def _wrong(self, wrong: Sequence[int], mask: Stored) -> str:
        kind = "colours" if self._coloured else "levels"
        known = ", ".join(self._shown(value) for value, index in self._index.items() if index != VOID)
        seen = listed(list(map(self._shown, wrong)))
        if self._coloured and (mask.lossy or len(wrong) > MOST_LEVELS):
            return f"{kind} {seen} lie between those of classes ({known}), as in JPEG: save masks as PNG"
        if mask.lossy or is_smoothed(mask):
            return (
                f"{kind} {seen} lie between classes ({known}), as in smoothed masks and JPEG: state threshold, the "
                "level from which on a pixel is foreground, or save masks without smoothing as PNG"
            )
        return f"{kind} {seen} are not among classes ({known}): add them there, or to ignore if void"

    def _shown(self, value: int) -> str:
        return f"#{value:06x}" if self._coloured else str(value)


def object_numbers(data: bytes) -> np.ndarray:
    """Numbers of objects, uint16 (H, W), of a mask file whose levels, or palette indices, are these.

    Raises
    ------
    Undecodable
        If the bytes are no such mask, or it has more than 65,535 objects.
    """
    mask = stored(data)
    if mask.coloured:
        raise Undecodable("it has colours, and no numbers of objects")
    return numbered(mask.values)


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


def listed(shown: Sequence[str]) -> str:
    """The first of many, and how many more there are."""
    return ", ".join(shown[:SHOWN]) + (f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else "")


def is_smoothed(mask: Stored) -> bool:
    """Whether levels lie between the lowest and the highest in seams: hardly a pixel has only its like around it."""
    values = mask.values
    if mask.coloured or mask.palette is not None or min(values.shape) < 3:
        return False
    levels = levels_present(values)
    if len(levels) - 2 < SMOOTHED_LEVELS or levels[-1] - levels[0] < SMOOTHED_RANGE:
        return False
    windows = np.lib.stride_tricks.sliding_window_view(values, (3, 3))
    middle = values[1:-1, 1:-1]
    between = (middle > levels[0]) & (middle < levels[-1])
    inside = between & (windows == middle[..., None, None]).all(axis=(2, 3))
    return bool(between.any() and inside.sum() < SMOOTHED_INSIDE * between.sum())


def _of_tiff(data: bytes) -> Stored:
    page = read_tiff(data)
    samples = page.colours
    alpha = page.pixels[..., samples.shape[2]] if page.alpha else None
    if page.bits == 1:
        samples = np.where(samples != page.white_is_zero, np.uint8(255), np.uint8(0))
    notes = list(page.notes)
    if page.white_is_zero and page.bits > 1:
        notes.append("levels as stored, though the file says that 0 is white")
    return _of_samples(samples, alpha)._replace(palette=page.palette, note=", ".join(notes))


def _samples(image: Image.Image, data: bytes) -> np.ndarray:
    """Levels (H, W) or colours (H, W, 3) of an image that Pillow has opened."""
    if image.mode == "PA":
        return np.asarray(image.getchannel("P"))
    if image.mode in ("1", "LA"):
        image = image.convert("L")
    if image.mode not in ("L", "P", "I", "F") and not image.mode.startswith("I;"):
        image = image.convert("RGB")
    pixels = np.asarray(image)
    if data[:4] == _PNG and data[_PNG_KIND] == _PNG_GREY and data[_PNG_DEPTH] in (2, 4):
        pixels = pixels // np.uint8(255 // (2 ** data[_PNG_DEPTH] - 1))  # Pillow spreads them over 8 bits
    return pixels


def _of_samples(samples: np.ndarray, alpha: np.ndarray | None) -> Stored:
    if samples.dtype.kind == "f":
        if not (samples == np.rint(samples)).all():
            raise Undecodable("its levels are no whole numbers")
        samples = samples.astype(np.int64)
    if samples.ndim == 3 and samples.shape[2] == 1:
        samples = samples[..., 0]
    if samples.ndim == 2:
        return Stored(samples, False, alpha)
    if samples.shape[2] < 3 or samples.shape[2] > 4:
        raise Undecodable(f"it has {samples.shape[2]} channels, and a mask has one")
    if (samples[..., :3] == samples[..., :1]).all():
        return Stored(samples[..., 0], False, alpha)
    if samples.dtype != np.uint8:
        if (samples % 257).any():
            raise Undecodable("its colours have more than 8 bits: save it with 8 bits a channel")
        samples = (samples // 257).astype(np.uint8)
    return Stored(_packed(samples), True, alpha)


def _alpha_of(samples: np.ndarray) -> np.ndarray | None:
    return samples[..., 3] if samples.shape[2] == 4 else None


def _packed(colours: np.ndarray) -> np.ndarray:
    red, green, blue = (colours[..., band].astype(np.int32) for band in range(3))
    return (red << 16) | (green << 8) | blue


def _palette(image: Image.Image) -> np.ndarray:
    return np.array(image.getpalette("RGB") or [0, 0, 0], np.uint8).reshape(-1, 3)


def _values(value: Value) -> list[int | str]:
    if value is None:
        return []
    return [value] if isinstance(value, int | str) else list(value)


def _as_stored(value: int | str, *, coloured: bool) -> int:
    if isinstance(value, str):
        try:
            return int(value.removeprefix("#"), 16) if value.startswith("#") else int(value)
        except ValueError:
            raise ValueError(f"'{value}' is no level, and no colour such as '#ff0000'") from None
    return value * 0x010101 if coloured and value <= 255 else value
