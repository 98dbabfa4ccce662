"""Arrays of different heights and widths in one file; those of one height and width are a plain array."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from bakeoff.artefacts.arrays import allocate


class Ragged:
    """Images or masks of different sizes, read like an array of them: `arrays[row]`, `arrays[rows]`, `len(arrays)`.

    Parameters
    ----------
    flat
        All of them, one after the other, (pixels,).
    shapes
        Of each, int64 (n, dimensions).
    starts
        Where each begins in `flat`; by default they follow each other.
    """

    def __init__(self, flat: np.ndarray, shapes: np.ndarray, starts: np.ndarray | None = None) -> None:
        self.shapes = shapes
        self._flat = flat
        sizes = shapes.prod(axis=1)
        self._starts = np.cumsum(sizes) - sizes if starts is None else starts

    @property
    def dtype(self) -> np.dtype:
        """Of all of them."""
        return self._flat.dtype

    def __len__(self) -> int:
        return len(self.shapes)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[row] for row in range(len(self)))

    @overload
    def __getitem__(self, rows: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, rows: slice | np.ndarray | list[int]) -> "Ragged": ...
    def __getitem__(self, rows: Any) -> Any:
        if not isinstance(rows, int | np.integer):
            return Ragged(self._flat, self.shapes[rows], self._starts[rows])
        start, shape = int(self._starts[rows]), tuple(self.shapes[rows].tolist())
        return self._flat[start : start + int(np.prod(shape))].reshape(shape)


Arrays = np.ndarray | Ragged


def allocate_arrays(path: Path, dtype: type, shapes: Sequence[tuple[int, ...]]) -> Arrays:
    """Arrays of zeros to be filled row by row, memory-mapped, whose place on the disk is taken.

    Raises
    ------
    OSError
        If the disk is too small.
    """
    if len(set(shapes)) <= 1:
        return allocate(path, dtype, (len(shapes), *shapes[0]))
    table = np.array(shapes, np.int64)
    np.save(_shapes_file(path), table, allow_pickle=False)
    return Ragged(allocate(path, dtype, (int(table.prod(axis=1).sum()),)), table)


def write_arrays(path: Path, arrays: Sequence[np.ndarray] | np.ndarray) -> None:
    """Write arrays of one type, to be read by `open_arrays`."""
    written = allocate_arrays(path, arrays[0].dtype.type, [each.shape for each in arrays])
    for row, each in enumerate(arrays):
        written[row][...] = each


def open_arrays(path: Path) -> Arrays:
    """Open what `allocate_arrays` or `write_arrays` wrote, memory-mapped."""
    flat: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    shapes = _shapes_file(path)
    return Ragged(flat, np.load(shapes, allow_pickle=False)) if shapes.is_file() else flat


def of_one_size(arrays: Arrays) -> np.ndarray:
    """Arrays that are known to be of one height and width: those of all geometries but `tile`."""
    assert isinstance(arrays, np.ndarray)
    return arrays


def shapes_of(arrays: Arrays) -> list[tuple[int, ...]]:
    """Of each array."""
    if isinstance(arrays, Ragged):
        return [tuple(shape) for shape in arrays.shapes.tolist()]
    return [arrays.shape[1:]] * len(arrays)


def _shapes_file(path: Path) -> Path:
    return path.with_name(f"{path.stem}-shapes.npy")
