"""Arrays that are larger than memory."""

import os
from pathlib import Path

import numpy as np


def allocate(path: Path, dtype: type, shape: tuple[int, ...]) -> np.memmap:
    """A memory-mapped array of zeros whose place on the disk is taken.

    Raises
    ------
    OSError
        If the disk is too small: now, since a memory map that finds the disk full later kills the process.
    """
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array
