"""A prepared data set, as every later stage reads it."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bakeoff.errors import BakeoffError


@dataclass(frozen=True)
class Prepared:
    """A folder written by `prepare`, opened without reading its images into memory.

    Attributes
    ----------
    folder
        `data/prepared/NAME`.
    images
        uint8, (n, height, width, channels), values 0 to 255, memory-mapped.
    masks
        uint8 class indices, (n, height, width), memory-mapped.
    index
        One row an image, in the order of `images`; columns `id`, `split` (train, validation, test), `group`,
        the data set's labels, `source`, `original_height`, `original_width`.
    about
        The contents of `dataset.json`.
    """

    folder: Path
    images: np.ndarray
    masks: np.ndarray
    index: pd.DataFrame
    about: dict[str, Any]

    @property
    def classes(self) -> list[str]:
        """Names of the mask's classes; the position is the index in `masks`, 0 the background."""
        return list(self.about["classes"])

    @property
    def strata(self) -> list[str]:
        """Label columns by which scores are broken down, e.g. hospital."""
        return list(self.about["strata"])

    @cached_property
    def histograms(self) -> np.ndarray:
        """Grey-level histograms, uint32, (n, 256): one a picture, shared by every global threshold."""
        return np.load(self.folder / "histograms.npy", mmap_mode="r")

    def rows(self, split: str) -> np.ndarray:
        """Positions, in `images` and `masks`, of the images of a split, ascending, int64.

        Raises
        ------
        BakeoffError
            If the split holds no image.
        """
        positions = np.flatnonzero(self.index["split"].to_numpy() == split)
        if len(positions) == 0:
            raise BakeoffError(f"{self.folder / 'index.csv'} has no image in split '{split}': change datasets.*.split.")
        return positions


def open_prepared(folder: Path) -> Prepared:
    """Open a folder written by `prepare`.

    Raises
    ------
    BakeoffError
        If a file of it is missing.
    """
    for name in ("images.npy", "masks.npy", "histograms.npy", "index.csv", "dataset.json"):
        if not (folder / name).is_file():
            raise BakeoffError(f"{folder / name} is missing: run `dvc repro prepare`.")
    return Prepared(
        folder=folder,
        images=np.load(folder / "images.npy", mmap_mode="r"),
        masks=np.load(folder / "masks.npy", mmap_mode="r"),
        index=pd.read_csv(folder / "index.csv", dtype={"id": str, "group": str}, keep_default_na=False),
        about=json.loads((folder / "dataset.json").read_text()),
    )
