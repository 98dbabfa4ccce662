"""What a method predicted, in one format whatever the method.

Masks: `predictions.csv` and `seedK/masks.npy`. Classes: `predictions.csv`, with a probability for each, and
`validation.csv`, the same of the images that chose each network, on which its probabilities can be calibrated.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from bakeoff.artefacts.atomic import atomic_folder, write_text
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.layout import making
from bakeoff.artefacts.ragged import Arrays, open_arrays, write_arrays

# How far the probabilities of one image may add up to something else than 1: rounding, not a mistake.
SUM_TOLERANCE = 1e-4
_PROBABILITY = "p_"

Part = Literal["test", "validation"]
# Which images of a fold a file of probabilities is of.
PROBABILITY_FILES: dict[Part, str] = {"test": "predictions.csv", "validation": "validation.csv"}


@dataclass(frozen=True)
class Predictions:
    """What a method predicted for the test split.

    Attributes
    ----------
    table
        One row an image and seed, sorted by seed: `id` (str), `seed`, and for thresholds `thresholds`, `foreground`
        and `note` (str).
    masks
        By seed, ascending: uint8 class indices, (images, height, width), memory-mapped, in the order of `ids`; `VOID`
        in pads.
    """

    table: pd.DataFrame
    masks: dict[int, Arrays]

    @property
    def ids(self) -> list[str]:
        """Ids of the images, in the order of every seed's masks."""
        return self.table.loc[self.table["seed"] == min(self.masks), "id"].tolist()


def write_predictions(
    folder: Path,
    ids: list[str],
    masks_by_seed: Mapping[int, Sequence[np.ndarray] | np.ndarray],
    extra: dict[str, list] | None = None,
) -> None:
    """Write `predictions.csv` and a folder `seedK` a seed, each whole or not at all.

    Parameters
    ----------
    folder
        The experiment's folder `predictions`, made if missing.
    ids
        Ids of the test images, in the order of `index.csv`.
    masks_by_seed
        uint8 class indices or, in pads, `VOID`, (height, width) for each of the ids, by seed. A method without
        randomness has seed 0 alone.
    extra
        Further columns of `predictions.csv`, one value a row: all images of the first seed, then of the next.

    Raises
    ------
    ValueError
        If masks are not uint8 or not one an id, or a column has the wrong length.
    """
    for seed, masks in masks_by_seed.items():
        kinds = {(mask.dtype.name, mask.ndim) for mask in masks}
        if kinds != {("uint8", 2)} or len(masks) != len(ids):
            raise ValueError(f"{len(masks)} masks of seed {seed} are {kinds}, not uint8 (H, W) for {len(ids)} images.")
    seeds = sorted(masks_by_seed)
    columns = {
        "id": ids * len(seeds),
        "seed": np.repeat(seeds, len(ids)),
        **(extra or {}),
    }
    table = pd.DataFrame(columns)

    folder.mkdir(parents=True, exist_ok=True)
    for seed, masks in masks_by_seed.items():
        with atomic_folder(folder / f"seed{seed}") as beside:
            write_arrays(beside / "masks.npy", masks)
    # Last, so that a table never speaks of masks that are not there.
    write_text(folder / "predictions.csv", table.to_csv(index=False, float_format="%.6f"))


def read_predictions(folder: Path) -> Predictions:
    """Open what `write_predictions` wrote, masks memory-mapped.

    Raises
    ------
    BakeoffError
        If a file is missing, or the table and the masks do not fit together.
    """
    path = folder / "predictions.csv"
    if not path.is_file():
        raise BakeoffError(f"{path} is missing: run `{making(path)}`.")
    table = pd.read_csv(path, dtype={"id": str, "thresholds": str, "foreground": str}, keep_default_na=False)
    if table.empty:
        raise BakeoffError(f"{path} has no rows: run `{making(path, force=True)}`.")
    seeds = sorted(table["seed"].unique().tolist())
    predictions = Predictions(table, {seed: _read_masks(folder / f"seed{seed}" / "masks.npy") for seed in seeds})
    for seed, masks in predictions.masks.items():
        ids = table.loc[table["seed"] == seed, "id"].tolist()
        if ids != predictions.ids or len(ids) != len(masks):
            raise BakeoffError(
                f"{path} and seed{seed}/masks.npy do not hold the same images: run `{making(path, force=True)}`."
            )
    return predictions


def _read_masks(path: Path) -> Arrays:
    if not path.is_file():
        raise BakeoffError(f"{path} is missing: run `{making(path, force=True)}`.")
    try:
        return open_arrays(path)
    except (ValueError, EOFError) as error:  # cut short, or not an array of plain numbers
        raise BakeoffError(f"{path} cannot be read ({error}): run `{making(path, force=True)}`.") from error


@dataclass(frozen=True)
class Probabilities:
    """The class probabilities that a method predicted for the test or the validation images.

    Attributes
    ----------
    table
        One row an image and seed, sorted by seed: `id` (str), `seed`, `fold` (the one that tests the image), `label`
        (the true class, str), and of every class a column `p_CLASS` (0 to 1, with the sum 1). Of validation images
        one row an image, seed and fold that validates it: several folds may.
    classes
        Names of the classes, in the order of the columns.
    """

    table: pd.DataFrame
    classes: list[str]

    @property
    def seeds(self) -> list[int]:
        """Seeds, ascending."""
        return [int(seed) for seed in self.table["seed"].unique()]

    def of_seed(self, seed: int) -> pd.DataFrame:
        """Rows of one seed, numbered from 0; every seed has the same images and folds in the same order."""
        return self.table[self.table["seed"] == seed].reset_index(drop=True)

    @property
    def truth(self) -> np.ndarray:
        """Index of the true class of every image, int64, (images,)."""
        return np.array([self.classes.index(label) for label in self.of_seed(self.seeds[0])["label"]], np.int64)

    @property
    def stacked(self) -> np.ndarray:
        """Probabilities, float64, (seeds, images, classes)."""
        columns = [_PROBABILITY + name for name in self.classes]
        return self.table[columns].to_numpy(np.float64).reshape(len(self.seeds), -1, len(self.classes))


def probability_table(
    index: pd.DataFrame,
    target: str,
    classes: list[str],
    predicted: Iterable[tuple[int, int, np.ndarray, np.ndarray]],
) -> pd.DataFrame:
    """The contents of a file of probabilities, from what every training predicts.

    Parameters
    ----------
    index
        A data set's images, with the columns `id` and `target`.
    target
        The label that is predicted.
    classes
        Its values, in the order of the probabilities.
    predicted
        Of each training: seed, fold, positions of the images in the index, (n,), and their probabilities, (n, classes).

    Returns
    -------
    DataFrame
        As `write_probabilities` takes it: sorted by seed, then by the image's place in the index, then by fold.
    """
    parts = []
    for seed, fold, rows, probabilities in predicted:
        images = index[["id", target]].iloc[rows].reset_index(drop=True).rename(columns={target: "label"})
        images = images.assign(seed=seed, fold=fold, row=rows)[["row", "id", "seed", "fold", "label"]]
        columns = [_PROBABILITY + name for name in classes]
        parts.append(pd.concat([images, pd.DataFrame(probabilities, columns=columns)], axis=1))
    table = pd.concat(parts).sort_values(["seed", "row", "fold"])
    return table.drop(columns="row").reset_index(drop=True)


def write_probabilities(folder: Path, table: pd.DataFrame, part: Part = "test") -> None:
    """Write `predictions.csv` or `validation.csv` of a classification, whole or not at all.

    Probabilities are written with 9 significant digits, from which float32 comes back bit for bit.

    Parameters
    ----------
    folder
        The experiment's folder `predictions`, made if missing.
    table
        As `Probabilities` describes it; images in the order of `index.csv`, classes in that of their names.
    part
        Which images these are.

    Raises
    ------
    ValueError
        If a column is missing, out of order or of the wrong kind, seeds are not sorted or have different images, an
        image is there twice (of validation images, twice in a fold), a label is no class, or probabilities are not
        from 0 to 1 with the sum 1 (within `SUM_TOLERANCE`).
    """
    if mistake := _mistake(table, part):
        raise ValueError(f"Probabilities {mistake}.")
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / PROBABILITY_FILES[part], table.to_csv(index=False, float_format="%.9g"))


def read_probabilities(folder: Path, part: Part = "test") -> Probabilities:
    """Read what `write_probabilities` wrote.

    Raises
    ------
    BakeoffError
        If the file is missing, or is not as `write_probabilities` writes it.
    """
    path = folder / PROBABILITY_FILES[part]
    if not path.is_file():
        raise BakeoffError(f"{path} is missing: run `{making(path)}`.")
    table = pd.read_csv(path, dtype={"id": str, "label": str}, keep_default_na=False, float_precision="round_trip")
    if mistake := _mistake(table, part):
        raise BakeoffError(f"{path} {mistake}: run `{making(path, force=True)}`.")
    return Probabilities(table, _class_names(table))


def _class_names(table: pd.DataFrame) -> list[str]:
    return [str(column).removeprefix(_PROBABILITY) for column in table.columns[4:]]


def _mistake(table: pd.DataFrame, part: Part) -> str:
    """What is wrong with a table of probabilities, in words that follow its name; nothing if it is right."""
    return _mistake_of_columns(table) or _mistake_of_rows(table, part) or _mistake_of_values(table)


def _mistake_of_columns(table: pd.DataFrame) -> str:
    columns = [str(column) for column in table.columns]
    if columns[:4] != ["id", "seed", "fold", "label"]:
        return f"must begin with the columns id, seed, fold, label, and not with {', '.join(columns[:4])}"
    strangers = [column for column in columns[4:] if not column.startswith(_PROBABILITY)]
    if strangers or len(columns) < 6:
        return f"must have a column p_CLASS for two classes or more, and has {', '.join(columns[4:]) or 'none'}"
    names = _class_names(table)
    return "" if names == sorted(set(names)) else f"must have the classes once each by name, not {', '.join(names)}"


def _mistake_of_rows(table: pd.DataFrame, part: Part) -> str:
    if table.empty:
        return "must have a row an image, and has none"
    if not table["seed"].is_monotonic_increasing:
        return "must be sorted by seed"
    by_seed = [of_seed[["id", "fold"]].reset_index(drop=True) for _, of_seed in table.groupby("seed")]
    once = ["id"] if part == "test" else ["id", "fold"]
    if not all(each.equals(by_seed[0]) for each in by_seed) or by_seed[0].duplicated(once).any():
        return "must have the same images, once each and in the same order, for every seed"
    strangers = sorted(set(table["label"]) - set(_class_names(table)))
    return f"must have labels among the classes, and has {', '.join(strangers)}" if strangers else ""


def _mistake_of_values(table: pd.DataFrame) -> str:
    columns = table.columns[4:]
    if not all(pd.api.types.is_numeric_dtype(table[column]) for column in columns):
        return "must be numbers"
    values = table[columns].to_numpy(np.float64)
    outside = ~((values >= 0) & (values <= 1)).all(axis=1)  # NaN too
    if outside.any():
        return f"must lie between 0 and 1, which those of {table['id'].to_numpy()[outside][0]} do not"
    apart = np.abs(values.sum(axis=1) - 1)
    if apart.max() > SUM_TOLERANCE:
        worst = int(apart.argmax())
        return f"must add up to 1, and those of {table['id'].iloc[worst]} add up to {values[worst].sum():.6g}"
    return ""
