"""A prepared data set, as every later stage reads it."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.geometry import Geometry, Region, geometry_of
from bakeoff.artefacts.mask_score import OBJECTS, MaskScore, mask_score
from bakeoff.artefacts.ragged import Arrays, open_arrays
from bakeoff.artefacts.void import is_foreground


@dataclass(frozen=True)
class Prepared:
    """A folder written by `prepare`, opened without reading its images into memory.

    Attributes
    ----------
    folder
        `data/prepared/NAME`.
    images
        uint8, (n, height, width, channels), values 0 to 255, memory-mapped. Height and width may differ between
        images where `geometry` is tiled: then these are `bakeoff.artefacts.ragged.Ragged`, and so are masks and
        objects.
    masks
        uint8 class indices or `VOID`, (n, height, width), memory-mapped; None for a data set without masks.
    index
        One row an image, in the order of `images`; columns `id`, `group`, the data set's labels, `source`,
        `original_height`, `original_width`.
    about
        The contents of `dataset.json`.
    """

    folder: Path
    images: Arrays
    masks: Arrays | None
    index: pd.DataFrame
    about: dict[str, Any]

    @property
    def classes(self) -> list[str]:
        """Names of the mask's classes; the position is the index in `masks`."""
        return list(self.about["classes"])

    @property
    def background(self) -> int | None:
        """Index of the class that is no foreground; None where every class counts."""
        index: int | None = self.about.get("background", 0)
        return index

    @cached_property
    def geometry(self) -> Geometry:
        """What was made of the images' heights and widths."""
        return geometry_of(self.about)

    @property
    def channels(self) -> int:
        """Of every image."""
        return int(self.about["channels"])

    def original(self, row: int) -> tuple[int, int]:
        """Height and width of an image before it was prepared."""
        return int(self.index["original_height"].iloc[row]), int(self.index["original_width"].iloc[row])

    def region(self, row: int) -> Region:
        """Rows and columns of a prepared image that show it: all but pads."""
        if self.geometry.kind != "pad":
            return slice(None), slice(None)
        return self.geometry.shown(*self.original(row))

    def without_pads(self, mask: np.ndarray, row: int) -> np.ndarray:
        """The mask of a prepared image with `VOID` in its pads."""
        return mask if self.geometry.kind != "pad" else self.geometry.without_pads(mask, *self.original(row))

    def shown(self, row: int) -> np.ndarray:
        """A prepared image without pads, uint8 (height, width, channels)."""
        image: np.ndarray = self.images[row][self.region(row)]
        return image

    @property
    def pictures(self) -> list[np.ndarray]:
        """All prepared images without pads: views, of which nothing is read yet."""
        return [self.shown(row) for row in range(len(self.index))]

    @cached_property
    def objects(self) -> Arrays | None:
        """Numbers of the single objects, uint16 (n, height, width), 0 where there is none, memory-mapped; None of a
        data set whose objects are not told apart."""
        if not self.about.get("objects"):
            return None
        return open_arrays(self.folder / "objects.npy")

    @property
    def foreground_classes(self) -> list[str]:
        """Names of all classes but the background."""
        return [name for index, name in enumerate(self.classes) if index != self.background]

    def score(self, setting: str | Mapping[str, str] | None) -> MaskScore:
        """The score of masks that a task's `score` names; see `bakeoff.artefacts.mask_score`.

        Raises
        ------
        BakeoffError
            If it names a class that there is not, or objects where these are not told apart.
        """
        if setting == OBJECTS and self.objects is None:
            raise BakeoffError(f"A task's score is objects, and the masks of {self.folder} tell none apart: change it.")
        return mask_score(setting, self.classes, self.background)

    def foreground(self, mask: np.ndarray) -> np.ndarray:
        """Where a mask of any shape shows anything but background and void; bool."""
        return is_foreground(mask, self.background)

    @property
    def strata(self) -> list[str]:
        """Label columns by which scores are broken down, e.g. hospital."""
        return list(self.about["strata"])

    @cached_property
    def histograms(self) -> np.ndarray:
        """Grey-level histograms, uint32, (n, 256): one a picture, shared by every global threshold."""
        return np.load(self.folder / "histograms.npy", mmap_mode="r")

    def targets(self, label: str) -> list[str]:
        """Values of a label that can be predicted, in the order of the class indices of a classifier.

        Raises
        ------
        BakeoffError
            If the label is none of those, or has one value alone.
        """
        if label not in self.about["targets"]:
            raise BakeoffError(f"{self.folder} has no label '{label}' to predict: it has {self.about['targets']}.")
        values = sorted(self.index[label].unique())
        if len(values) < 2:
            raise BakeoffError(
                f"every image of {self.folder} has {label} {values[0]}: there is nothing to tell apart (see audit.csv)."
            )
        return values

    def labels(self, target: str) -> np.ndarray:
        """Index of every image's class among `targets(target)`, int64, (n,)."""
        return np.searchsorted(self.targets(target), self.index[target].to_numpy(str)).astype(np.int64)

    def true_masks(self) -> Arrays:
        """The masks of a data set that has some.

        Raises
        ------
        BakeoffError
            If it has none.
        """
        if self.masks is None:
            raise BakeoffError(f"{self.folder} has no masks: its tasks are of kind classification.")
        return self.masks


def open_images(data: Prepared, folder: Path | None, fold: int) -> Arrays:
    """Pictures of a data set in the order of its index, memory-mapped: its own, or those made of them.

    Parameters
    ----------
    folder
        `data/prepared/NAME` of derived pictures, which may differ between folds; None for the data set's own.
    fold
        Of the cross-validation.

    Returns
    -------
    Arrays
        uint8, (n, height, width, channels).

    Raises
    ------
    BakeoffError
        If there are none, or they are of another data set.
    """
    if folder is None:
        return data.images
    path = next((each for each in (folder / f"fold{fold}.npy", folder / "images.npy") if each.is_file()), None)
    if path is None:
        raise BakeoffError(f"{folder} holds no pictures: run `snakemake --cores 8 {folder}`.")
    images: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    if len(images) != len(data.images):
        raise BakeoffError(f"{path} is of other images than {data.folder}: make it again.")
    return images


@dataclass(frozen=True)
class Fold:
    """Which images train, choose and test.

    Attributes
    ----------
    number
        0, 1, ...; 0 alone without cross-validation.
    train, validation, test
        Positions in the prepared arrays, ascending, int64; none is empty.
    """

    number: int
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def run_name(seed: int, fold: int, folds: int) -> str:
    """What a training is called in file names: `seedK`, and with cross-validation `seedK-foldJ`."""
    return f"seed{seed}" if folds == 1 else f"seed{seed}-fold{fold}"


def read_folds(path: Path, data: Prepared) -> list[Fold]:
    """Read a split, `data/splits/TASK.csv`, of a prepared data set.

    Raises
    ------
    BakeoffError
        If the file is missing, is of other images, or leaves a part of a fold without any.
    """
    if not path.is_file():
        raise BakeoffError(f"{path} is missing: run `dvc repro split@{path.stem}`.")
    table = pd.read_csv(path, dtype={"id": str}, keep_default_na=False)
    folds = []
    for number, fold in table.groupby("fold"):
        if fold["id"].tolist() != data.index["id"].tolist():
            raise BakeoffError(f"{path} is of other images than {data.folder}: run `dvc repro split@{path.stem}`.")
        parts = {part: np.flatnonzero(fold["split"].to_numpy() == part) for part in ("train", "validation", "test")}
        if missing := [part for part, rows in parts.items() if not len(rows)]:
            raise BakeoffError(f"{path} leaves no image to {' and '.join(missing)} in fold {number}: change the split.")
        folds.append(Fold(int(str(number)), *parts.values()))
    if not folds:
        raise BakeoffError(f"{path} has no rows: run `dvc repro -f split@{path.stem}`.")
    return folds


def tested_rows(folds: list[Fold]) -> np.ndarray:
    """Positions of all images that some fold tests, ascending: the order of every method's predictions."""
    return np.unique(np.concatenate([fold.test for fold in folds]))


def open_prepared(folder: Path) -> Prepared:
    """Open a folder written by `prepare`.

    Raises
    ------
    BakeoffError
        If a file of it is missing.
    """
    for name in ("images.npy", "histograms.npy", "index.csv", "dataset.json"):
        if not (folder / name).is_file():
            raise BakeoffError(f"{folder / name} is missing: run `snakemake --cores 8 {folder}`.")
    masks = folder / "masks.npy"
    return Prepared(
        folder=folder,
        images=open_arrays(folder / "images.npy"),
        masks=open_arrays(masks) if masks.is_file() else None,
        index=_read_index(folder / "index.csv"),
        about=json.loads((folder / "dataset.json").read_text()),
    )


def _read_index(path: Path) -> pd.DataFrame:
    """All columns are text but the sizes: a class may well be called 1, or True."""
    types: defaultdict[str, type] = defaultdict(lambda: str, original_height=int, original_width=int)
    return pd.read_csv(path, dtype=types, keep_default_na=False)
