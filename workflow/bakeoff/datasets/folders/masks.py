"""Mask files of a folder: from stored levels, indices or colours to class indices and numbers of objects."""

from collections.abc import Mapping, Sequence

import numpy as np

from bakeoff.artefacts.prepared import VOID
from bakeoff.datasets.formats.levels import levels_present, stored
from bakeoff.datasets.formats.reading import Level
from bakeoff.datasets.preparation.arrays import MaskPixels
from bakeoff.datasets.preparation.objects import numbered

SHOWN = 5


class MaskReader:
    """Reads mask files by the values that the configuration names.

    Parameters
    ----------
    classes
        By name, in order, the values in the files: levels, or colours as `#rrggbb`.
    ignore
        Values that are void.
    threshold
        The level from which on a pixel is of class 1; below it is of class 0. None for masks of exact values.
    numbers
        Whether levels number objects: any but 0, and but those ignored, is of class 1.
    """

    def __init__(
        self, classes: Mapping[str, Level], ignore: Sequence[int | str], *, threshold: int | None, numbers: bool
    ) -> None:
        of_class = [(value, index) for index, level in enumerate(classes.values()) for value in _values(level)]
        every = [*of_class, *((value, VOID) for value in ignore)]
        self._coloured = any(isinstance(value, str) for value, _ in every)
        self._index = {_as_stored(value, coloured=self._coloured): index for value, index in every}
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
        values, coloured, _ = stored(data)
        if coloured and not self._coloured:
            raise ValueError("it has colours, and classes names none: name the colour of each class, as in '#ff0000'")
        if self._coloured and not coloured:
            values = values.astype(np.int32) * 0x010101
        if self._threshold is not None:
            return MaskPixels((values >= self._threshold).astype(np.uint8))
        if self._numbers:
            void = np.isin(values, [value for value, index in self._index.items() if index == VOID])
            objects = numbered(np.where(void, 0, values))
            return MaskPixels(np.where(void, VOID, objects > 0).astype(np.uint8), objects)
        present = levels_present(values)
        wrong = [self._shown(value) for value in present if value not in self._index]
        if wrong:
            listed = ", ".join(wrong[:SHOWN]) + (", ..." if len(wrong) > SHOWN else "")
            known = ", ".join(self._shown(value) for value, index in self._index.items() if index != VOID)
            kind = "colours" if self._coloured else "levels"
            raise ValueError(f"{kind} {listed} are not among classes ({known}): add them there, or to ignore if void")
        indices = np.array([self._index[value] for value in present], np.uint8)
        if values.dtype != np.uint8:
            return MaskPixels(indices[np.searchsorted(present, values)])
        table = np.zeros(256, np.uint8)
        table[present] = indices
        return MaskPixels(table[values])

    def _shown(self, value: int) -> str:
        return f"#{value:06x}" if self._coloured else str(value)


def _values(level: Level) -> list[int | str]:
    if level is None:
        return []
    return [level] if isinstance(level, int | str) else list(level)


def _as_stored(value: int | str, *, coloured: bool) -> int:
    if isinstance(value, str):
        try:
            return int(value.removeprefix("#"), 16) if value.startswith("#") else int(value)
        except ValueError:
            raise ValueError(f"'{value}' is no level, and no colour such as '#ff0000'") from None
    return value * 0x010101 if coloured and value <= 255 else value
