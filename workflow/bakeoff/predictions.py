"""Predicted masks of the test split, in one format whatever the method: `predictions.csv` and `seedK/masks.npy`."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bakeoff.errors import BakeoffError

# A stage declares its outputs before it is known how many seeds the book asks for: seed0 to seed4 always exist, and
# those without a prediction are empty.
MAX_SEEDS = 5


@dataclass(frozen=True)
class Predictions:
    """What a method predicted for the test split.

    Attributes
    ----------
    table
        One row an image and seed, sorted by seed: `id` (str), `seed`, `foreground_fraction` (0 to 1), and for
        thresholds `thresholds`, `foreground` and `note` (str).
    masks
        By seed, ascending: uint8 class indices, (images, height, width), memory-mapped, in the order of `ids`.
    """

    table: pd.DataFrame
    masks: dict[int, np.ndarray]

    @property
    def ids(self) -> list[str]:
        """Ids of the images, in the order of every seed's masks."""
        return self.table.loc[self.table["seed"] == min(self.masks), "id"].tolist()


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: beside its place, then renamed into it."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def write_predictions(
    folder: Path,
    ids: list[str],
    masks_by_seed: dict[int, np.ndarray],
    extra: dict[str, list] | None = None,
    *,
    seed_folders: int = MAX_SEEDS,
) -> None:
    """Write `predictions.csv` and the folders `seed0` to `seed{seed_folders - 1}`, each whole or not at all.

    Parameters
    ----------
    folder
        `results/experiments/NAME`, made if missing.
    ids
        Ids of the test images, in the order of `index.csv`.
    masks_by_seed
        uint8 class indices, (len(ids), height, width), by seed. A method without randomness has seed 0 alone.
    extra
        Further columns of `predictions.csv`, one value a row: all images of the first seed, then of the next.
    seed_folders
        How many seed folders the stage declares as outputs; those not in `masks_by_seed` are left empty.

    Raises
    ------
    ValueError
        If a seed has no folder, masks are not uint8 or not one an id, or a column has the wrong length.
    """
    for seed, masks in masks_by_seed.items():
        if not 0 <= seed < seed_folders:
            raise ValueError(f"Seed {seed} is outside the declared folders seed0 to seed{seed_folders - 1}.")
        if masks.dtype != np.uint8 or masks.ndim != 3 or len(masks) != len(ids):
            raise ValueError(f"Masks of seed {seed} are {masks.dtype} {masks.shape}, not uint8 ({len(ids)}, H, W).")
    seeds = sorted(masks_by_seed)
    columns = {
        "id": ids * len(seeds),
        "seed": np.repeat(seeds, len(ids)),
        "foreground_fraction": np.concatenate([_foreground_fraction(masks_by_seed[seed]) for seed in seeds]),
        **(extra or {}),
    }
    table = pd.DataFrame(columns)

    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(seed_folders):
        _write_seed(folder / f"seed{seed}", masks_by_seed.get(seed))
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
        raise BakeoffError(f"{path} is missing: run the stage that predicts first.")
    table = pd.read_csv(path, dtype={"id": str, "thresholds": str, "foreground": str}, keep_default_na=False)
    if table.empty:
        raise BakeoffError(f"{path} has no rows: run the stage that predicts again.")
    seeds = sorted(table["seed"].unique().tolist())
    predictions = Predictions(table, {seed: _read_masks(folder / f"seed{seed}" / "masks.npy") for seed in seeds})
    for seed, masks in predictions.masks.items():
        ids = table.loc[table["seed"] == seed, "id"].tolist()
        if ids != predictions.ids or len(ids) != len(masks):
            raise BakeoffError(
                f"{path} and seed{seed}/masks.npy do not hold the same images: run the stage that predicts again."
            )
    return predictions


def _foreground_fraction(masks: np.ndarray) -> np.ndarray:
    return np.array([np.count_nonzero(mask) / mask.size for mask in masks])


def _write_seed(place: Path, masks: np.ndarray | None) -> None:
    part = place.with_name(f".{place.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    if masks is not None:
        np.save(part / "masks.npy", masks, allow_pickle=False)
    shutil.rmtree(place, ignore_errors=True)
    part.replace(place)


def _read_masks(path: Path) -> np.ndarray:
    if not path.is_file():
        raise BakeoffError(f"{path} is missing: run the stage that predicts again.")
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:  # cut short, or not an array of plain numbers
        raise BakeoffError(f"{path} cannot be read ({error}): run the stage that predicts again.") from error
