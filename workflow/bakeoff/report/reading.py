"""What the report reads: the files of every data set and experiment, as the other stages left them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.predictions import Predictions, Probabilities, read_predictions, read_probabilities
from bakeoff.artefacts.prepared import Fold, Prepared, open_prepared, read_folds, tested_rows
from bakeoff.evaluation.comparison import KINDS, Kind, is_oracle, score_command


@dataclass(frozen=True)
class Experiment:
    """One experiment's entry in the configuration, and its results.

    Attributes
    ----------
    name, entry
        As in the configuration; `entry` carries its `family`.
    row
        Its row of `results/comparison/TASK.csv`.
    scores, predictions, cost
        What `results/experiments/NAME` holds.
    history
        By seed: `history.csv`, with cross-validation that of fold 0. Empty for a method that is not trained.
    fits
        The record of every training. Empty likewise.
    metrics
        `metrics.json`: the figures of all images together.
    calibration, class_curves
        Of a classification `calibration.csv` and `curves.csv`; of a segmentation empty.
    """

    name: str
    entry: Mapping[str, Any]
    row: Mapping[str, Any]
    scores: pd.DataFrame
    predictions: Predictions | Probabilities
    cost: Mapping[str, Any]
    history: dict[int, pd.DataFrame]
    fits: list[dict[str, Any]]
    metrics: Mapping[str, Any]
    calibration: pd.DataFrame
    class_curves: pd.DataFrame

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
    """A task of the configuration, and what was found in it.

    Attributes
    ----------
    name, kind
        As in the configuration.
    target
        The label to predict, None for masks.
    margin
        The difference of the headline score below which two methods are equal in practice.
    prepared, folds
        Its images, and how they are split.
    split
        The configuration's settings of the split.
    comparison_csv, pairs_csv, comparison_svg
        The comparison's files as they are.
    pairs
        Every two experiments compared, as `pairs_csv` has them.
    checks
        What the audit of the split found: `results/audits/TASK.csv`.
    leakage_effects
        What leaks add to the scores of its experiments: their rows of `results/audits/inflation.csv`.
    experiments
        Best first.
    """

    name: str
    kind: str
    target: str | None
    margin: float
    prepared: Prepared
    folds: list[Fold]
    split: Mapping[str, Any]
    comparison_csv: str
    pairs_csv: str
    comparison_svg: str
    pairs: pd.DataFrame
    checks: pd.DataFrame
    leakage_effects: pd.DataFrame
    experiments: list[Experiment]

    @property
    def about(self) -> dict[str, Any]:
        """The contents of `dataset.json`."""
        return self.prepared.about

    @property
    def learn_from(self) -> Mapping[str, str] | None:
        """The label and the value of the images that alone train and choose; None for all."""
        return self.split.get("learn_from")

    @property
    def measure(self) -> Kind:
        """What its methods are compared by."""
        return KINDS[self.kind]

    @property
    def methods(self) -> list[Experiment]:
        """The experiments that can win: all but the oracles, unless there is nothing else."""
        return [experiment for experiment in self.experiments if not experiment.oracle] or self.experiments

    def pair(self, first: Experiment, second: Experiment) -> dict[str, Any]:
        """The row of `pairs` of two experiments, of which `first` is the higher in the ranking."""
        mine = (self.pairs["first"] == first.name) & (self.pairs["second"] == second.name)
        return _rows(self.pairs[mine])[0]

    @property
    def tested(self) -> np.ndarray:
        """Rows in the prepared arrays of every image that is tested, ascending."""
        return tested_rows(self.folds)

    @cached_property
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
    """Read a data set and the splits of those of the configuration's tasks that are on it.

    Parameters
    ----------
    name
        The data set's name in the configuration.
    tasks
        The configuration's tasks by name; those on other data sets are passed over.
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
    name: str,
    entry: Mapping[str, Any],
    experiments: Mapping[str, Mapping[str, Any]],
    data: Path,
    results: Path,
    *,
    margin: float,
) -> Task:
    """Read a task and those experiments that the comparison ranks.

    Parameters
    ----------
    name, entry
        The task in the configuration.
    experiments
        The configuration's experiments by name; those in other tasks are passed over.
    data, results
        The project's two folders.
    margin
        The difference of the headline score below which two methods are equal in practice.

    Raises
    ------
    BakeoffError
        If a file is missing, or the comparison and the configuration name different experiments.
    """
    path, pairs = (results / "comparison" / f"{name}{end}.csv" for end in ("", "-pairs"))
    command = f"dvc repro compare@{name}"
    comparison_csv, pairs_csv = _read(path, command), _read(pairs, command)
    ranking = pd.read_csv(path)
    mine = {each: settings for each, settings in experiments.items() if settings["task"] == name}
    if set(mine) != set(ranking["experiment"]):
        raise BakeoffError(f"{path} ranks other experiments than the configuration has in '{name}': run `{command}`.")
    if mine and "rank_low" not in ranking:
        raise BakeoffError(f"{path} is of an older version, which knew no ties: run `{command}`.")
    compared = pd.read_csv(pairs, dtype={"images_to_decide": "Int64"})
    if set(zip(compared["first"], compared["second"], strict=True)) != set(combinations(ranking["experiment"], 2)):
        raise BakeoffError(f"{pairs} compares other experiments than {path} ranks: run `{command}`.")
    prepared = open_prepared(data / "prepared" / str(entry["dataset"]))
    return Task(
        name=name,
        kind=str(entry["kind"]),
        target=entry["target"],
        margin=margin,
        prepared=prepared,
        folds=read_folds(data / "splits" / f"{name}.csv", prepared),
        split=entry["split"],
        comparison_csv=comparison_csv,
        pairs_csv=pairs_csv,
        comparison_svg=_read(path.with_suffix(".svg"), command),
        pairs=compared,
        checks=_audit(results / "audits" / f"{name}.csv", f"dvc repro audit@{name}"),
        leakage_effects=_leakage_effects(results / "audits" / "inflation.csv", set(mine)),
        experiments=[
            _experiment(row["experiment"], mine[row["experiment"]], row, results, entry["target"])
            for row in _rows(ranking)
        ],
    )


def read_claims_table(results: Path) -> pd.DataFrame:
    """Read what became of published claims, `results/comparison/claims.csv`: words as str, numbers as they are.

    Raises
    ------
    BakeoffError
        If it is missing.
    """
    path = results / "comparison" / "claims.csv"
    _read(path, "dvc repro claims")
    numbers = [f"{side}_protocol_{end}" for side in ("published", "corrected") for end in ("value", "low", "high")]
    words = {column: str for column in pd.read_csv(path, nrows=0).columns if column not in numbers}
    return pd.read_csv(path, dtype=words).fillna(dict.fromkeys(words, ""))


def _audit(path: Path, command: str) -> pd.DataFrame:
    _read(path, command)
    return pd.read_csv(path, dtype={"count": "Int64"})


def _leakage_effects(path: Path, experiments: set[str]) -> pd.DataFrame:
    _read(path, "dvc repro inflation")
    table = pd.read_csv(path, dtype={"other_reasons": str}).fillna({"other_reasons": ""})
    mine = table["without_leak"].isin(experiments) | table["with_leak"].isin(experiments)
    return table[mine].reset_index(drop=True)


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
        fits=_fits(results / "models" / name, entry["family"], command),
        metrics=json.loads(_read(folder / "metrics.json", command)),
        calibration=pd.DataFrame() if target is None else _table(folder / "calibration.csv", command),
        class_curves=pd.DataFrame() if target is None else _table(folder / "curves.csv", command),
    )


def _fits(models: Path, family: str, command: str) -> list[dict[str, Any]]:
    """The records of all trainings; none of a method that is not trained."""
    if family == "thresholds":
        return []
    paths = sorted(models.glob("seed*.json"))
    if not paths:
        raise BakeoffError(f"{models} holds no record of a training: run `{command}`.")
    return [json.loads(path.read_text()) for path in paths]


def _table(path: Path, command: str) -> pd.DataFrame:
    _read(path, command)
    return pd.read_csv(path, dtype={"class": str}, keep_default_na=False)


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
