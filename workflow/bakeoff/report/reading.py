"""What the report reads: the files of every data set and experiment, as the other stages left them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from bakeoff.datasets.prepared import Fold, Prepared, open_prepared, read_folds, tested_rows
from bakeoff.errors import BakeoffError
from bakeoff.evaluation.comparison import KINDS, Kind, is_oracle, score_command
from bakeoff.predictions import Predictions, Probabilities, read_predictions, read_probabilities


@dataclass(frozen=True)
class Experiment:
    """One experiment's entry in the book, and its results.

    Attributes
    ----------
    name, entry
        As in the book; `entry` carries its `family`.
    row
        Its row of `results/comparison/TASK.csv`.
    scores, predictions, cost
        What `results/experiments/NAME` holds.
    history
        By seed: `history.csv`, with cross-validation that of fold 0. Empty for a method that is not trained.
    fits
        The record of every training. Empty likewise.
    """

    name: str
    entry: Mapping[str, Any]
    row: Mapping[str, Any]
    scores: pd.DataFrame
    predictions: Predictions | Probabilities
    cost: Mapping[str, Any]
    history: dict[int, pd.DataFrame]
    fits: list[dict[str, Any]]

    @property
    def label(self) -> str:
        """What a reader calls it."""
        return str(self.row["label"])

    @property
    def oracle(self) -> bool:
        """Whether it had the test images' truth in hand."""
        return is_oracle(self.entry)

    @property
    def masks(self) -> Predictions:
        """What it predicted in a task of segmentation."""
        return cast(Predictions, self.predictions)

    @property
    def probabilities(self) -> Probabilities:
        """What it predicted in a task of classification."""
        return cast(Probabilities, self.predictions)


@dataclass(frozen=True)
class Task:
    """A task of the book with its experiments, best first; `target` is the label to predict, None for masks."""

    name: str
    kind: str
    target: str | None
    prepared: Prepared
    folds: list[Fold]
    comparison_csv: str
    comparison_svg: str
    experiments: list[Experiment]

    @property
    def about(self) -> dict[str, Any]:
        """The contents of `dataset.json`."""
        return self.prepared.about

    @property
    def measure(self) -> Kind:
        """What its methods are compared by."""
        return KINDS[self.kind]

    @property
    def tested(self) -> np.ndarray:
        """Rows in the prepared arrays of every image that is tested, ascending."""
        return tested_rows(self.folds)

    @property
    def test_positions(self) -> dict[str, int]:
        """Row in the prepared arrays, by id, of every image that is tested."""
        return {self.prepared.index["id"].iloc[position]: int(position) for position in self.tested}


@dataclass(frozen=True)
class Dataset:
    """A prepared data set, what its audit found, and how its tasks split it."""

    name: str
    prepared: Prepared
    audit: pd.DataFrame
    splits: dict[str, pd.DataFrame]


def read_dataset(name: str, tasks: Mapping[str, Mapping[str, Any]], data: Path) -> Dataset:
    """Read a data set and the splits of those of the book's tasks that are on it.

    Parameters
    ----------
    name
        The data set's name in the book.
    tasks
        The book's tasks by name; those on other data sets are passed over.
    data
        The project's folder of data.

    Raises
    ------
    BakeoffError
        If a file is missing.
    """
    prepared = open_prepared(data / "prepared" / name)
    audit = prepared.folder / "audit.csv"
    _read(audit, f"dvc repro prepare@{name}")
    splits = {task: data / "splits" / f"{task}.csv" for task, entry in tasks.items() if entry["dataset"] == name}
    for task, path in splits.items():
        _read(path, f"dvc repro split@{task}")
    return Dataset(
        name=name,
        prepared=prepared,
        audit=pd.read_csv(audit, dtype=str, keep_default_na=False),
        splits={task: pd.read_csv(path, dtype={"id": str}, keep_default_na=False) for task, path in splits.items()},
    )


def read_task(
    name: str, entry: Mapping[str, Any], experiments: Mapping[str, Mapping[str, Any]], data: Path, results: Path
) -> Task:
    """Read a task and those experiments that the comparison ranks.

    Parameters
    ----------
    name, entry
        The task in the book.
    experiments
        The book's experiments by name; those in other tasks are passed over.
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
    mine = {each: settings for each, settings in experiments.items() if settings["task"] == name}
    if set(mine) != set(ranking["experiment"]):
        raise BakeoffError(
            f"{path} ranks other experiments than the book has in '{name}': run `dvc repro compare@{name}`."
        )
    prepared = open_prepared(data / "prepared" / str(entry["dataset"]))
    return Task(
        name=name,
        kind=str(entry["kind"]),
        target=entry["target"],
        prepared=prepared,
        folds=read_folds(data / "splits" / f"{name}.csv", prepared),
        comparison_csv=comparison_csv,
        comparison_svg=_read(path.with_suffix(".svg"), f"dvc repro compare@{name}"),
        experiments=[
            _experiment(row["experiment"], mine[row["experiment"]], row, results, entry["target"])
            for row in _rows(ranking)
        ],
    )


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(column): value for column, value in row.items()} for row in table.to_dict("records")]


def _experiment(
    name: str, entry: Mapping[str, Any], row: Mapping[str, Any], results: Path, target: str | None
) -> Experiment:
    folder = results / "experiments" / name
    scores = folder / "scores.csv"
    command = score_command(name, entry)
    _read(scores, command)
    return Experiment(
        name=name,
        entry=entry,
        row=row,
        scores=pd.read_csv(scores, dtype={"id": str, "label": str, "predicted": str}, keep_default_na=False),
        predictions=read_predictions(folder) if target is None else read_probabilities(folder),
        cost=json.loads(_read(folder / "cost.json", command)),
        history={seed: pd.read_csv(path) for seed, path in _curves(folder / "history")},
        fits=[json.loads(each.read_text()) for each in sorted((results / "models" / name).glob("seed*.json"))],
    )


def _curves(folder: Path) -> list[tuple[int, Path]]:
    """Seed and `history.csv` of every training, with cross-validation of fold 0 alone."""
    paths = [*folder.glob("seed?/history.csv"), *folder.glob("seed?-fold0/history.csv")]
    return sorted((int(path.parent.name[len("seed")]), path) for path in paths)  # seeds have one digit


def _read(path: Path, command: str) -> str:
    if not path.is_file():
        raise BakeoffError(f"{path} is missing: run `{command}`.")
    return path.read_text(encoding="utf-8")


def random_weights(experiment: Experiment) -> bool:
    """Whether the pretrained weights it started from were random stand-ins."""
    return any(isinstance(fit.get("weights"), Mapping) and fit["weights"].get("random") for fit in experiment.fits)


def mean_by_seed(experiment: Experiment, column: str) -> np.ndarray:
    """Mean of a column of `scores.csv` over the test images of each seed, float64, (seeds,)."""
    return experiment.scores.groupby("seed")[column].mean().to_numpy()
