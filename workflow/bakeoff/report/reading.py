"""What the report reads: the files of every data set and experiment, as the other stages left them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bakeoff.datasets.prepared import Prepared, open_prepared
from bakeoff.errors import BakeoffError
from bakeoff.evaluation.comparison import is_oracle
from bakeoff.predictions import Predictions, read_predictions


@dataclass(frozen=True)
class Experiment:
    """One experiment's entry in the book, and its results.

    Attributes
    ----------
    name, entry
        As in the book; `entry` carries its `family`.
    row
        Its row of `results/comparison/DATASET.csv`.
    scores, predictions, cost
        What `results/experiments/NAME` holds.
    history
        By seed: `history.csv`. Empty for a method that is not trained.
    fits
        `seedK.json` of every trained network, by seed. Empty likewise.
    """

    name: str
    entry: Mapping[str, Any]
    row: Mapping[str, Any]
    scores: pd.DataFrame
    predictions: Predictions
    cost: Mapping[str, Any]
    history: dict[int, pd.DataFrame]
    fits: list[dict[str, Any]]

    @property
    def label(self) -> str:
        """What a reader calls it."""
        return str(self.row["label"])

    @property
    def oracle(self) -> bool:
        """Whether it chose with the test images' truth in hand."""
        return is_oracle(self.entry)


@dataclass(frozen=True)
class Dataset:
    """A prepared data set with its experiments, best first."""

    name: str
    prepared: Prepared
    audit: pd.DataFrame
    comparison_csv: str
    comparison_svg: str
    experiments: list[Experiment]

    @property
    def about(self) -> dict[str, Any]:
        """The contents of `dataset.json`."""
        return self.prepared.about

    @property
    def test_positions(self) -> dict[str, int]:
        """Row in the prepared arrays, by id, of every test image."""
        positions = self.prepared.rows("test")
        return {self.prepared.index["id"].iloc[position]: int(position) for position in positions}


def read_dataset(name: str, experiments: Mapping[str, Mapping[str, Any]], data: Path, results: Path) -> Dataset:
    """Read one data set and those of its experiments that the comparison ranks.

    Parameters
    ----------
    name
        The data set's name in the book.
    experiments
        The book's experiments by name; those on other data sets are passed over.
    data, results
        The project's two folders.

    Raises
    ------
    BakeoffError
        If a file is missing, or the comparison and the book name different experiments.
    """
    path = results / "comparison" / f"{name}.csv"
    comparison_csv = _read(path, f"dvc repro compare@{name}")
    ranking = pd.read_csv(path)
    mine = {each: entry for each, entry in experiments.items() if entry["dataset"] == name}
    if set(mine) != set(ranking["experiment"]):
        raise BakeoffError(
            f"{path} ranks other experiments than the book has on '{name}': run `dvc repro compare@{name}`."
        )
    prepared = open_prepared(data / "prepared" / name)
    audit = prepared.folder / "audit.csv"
    _read(audit, f"dvc repro prepare@{name}")
    return Dataset(
        name=name,
        prepared=prepared,
        audit=pd.read_csv(audit, dtype=str, keep_default_na=False),
        comparison_csv=comparison_csv,
        comparison_svg=_read(path.with_suffix(".svg"), f"dvc repro compare@{name}"),
        experiments=[_experiment(row["experiment"], mine[row["experiment"]], row, results) for row in _rows(ranking)],
    )


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(column): value for column, value in row.items()} for row in table.to_dict("records")]


def _experiment(name: str, entry: Mapping[str, Any], row: Mapping[str, Any], results: Path) -> Experiment:
    folder = results / "experiments" / name
    scores = folder / "scores.csv"
    command = score_command(name, entry)
    _read(scores, command)
    return Experiment(
        name=name,
        entry=entry,
        row=row,
        scores=pd.read_csv(scores, dtype={"id": str}),
        predictions=read_predictions(folder),
        cost=json.loads(_read(folder / "cost.json", command)),
        history={seed_of(each.parent): pd.read_csv(each) for each in _by_seed(folder / "history", "seed*/history.csv")},
        fits=[json.loads(each.read_text()) for each in _by_seed(results / "models" / name, "seed*.json")],
    )


def score_command(name: str, entry: Mapping[str, Any]) -> str:
    """The command that makes an experiment's scores again, with everything before it that has changed."""
    return f"dvc repro score-{str(entry['family']).removesuffix('s')}@{name}"


def seed_of(path: Path) -> int:
    """The K of `seedK` or `seedK.json`."""
    return int(path.stem.removeprefix("seed"))


def _by_seed(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern))  # seeds have one digit


def _read(path: Path, command: str) -> str:
    if not path.is_file():
        raise BakeoffError(f"{path} is missing: run `{command}`.")
    return path.read_text(encoding="utf-8")


def random_weights(experiment: Experiment) -> bool:
    """Whether the pretrained weights it started from were random stand-ins."""
    return any(isinstance(fit.get("weights"), Mapping) and fit["weights"].get("random") for fit in experiment.fits)


def mean_dice_by_seed(experiment: Experiment) -> np.ndarray:
    """Mean Dice over the test images of each seed, float64, (seeds,)."""
    return experiment.scores.groupby("seed")["dice"].mean().to_numpy()
