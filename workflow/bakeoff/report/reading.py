"""What the report reads: the files of every data set and experiment, as the other stages left them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bakeoff.artefacts.cost import added_cost
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.layout import CARD, CLASS_SCORES, PIXEL_CONFUSION, ExperimentFolder, Project
from bakeoff.artefacts.mask_score import MaskScore
from bakeoff.artefacts.predictions import Predictions, Probabilities, read_predictions, read_probabilities
from bakeoff.artefacts.prepared import Fold, Prepared, open_prepared, read_folds, tested_rows
from bakeoff.artefacts.void import VOID
from bakeoff.evaluation.comparison import Kind, is_oracle, kind_of


@dataclass(frozen=True)
class Experiment:
    """One experiment and its results.

    Attributes
    ----------
    name, entry
        Its name and its settings, as `bakeoff.config.Config.experiment` gives them; `entry` carries its `family`.
    row
        Its row of `comparison.csv`.
    scores, metrics
        `scores.csv`; and `metrics.json`, the figures of all images together.
    cost
        `cost.json`, with the cost of the network that predicts the masks in its pictures, if there is one.
    fits
        The record of every training; of a method that is not trained there are none.
    calibration, class_curves
        Of a classification `calibration.csv` and the curves; of a segmentation empty.
    class_scores, pixel_confusion
        The files of these names, of masks with three classes or more or without a background; otherwise empty.
    card
        The model card, Markdown.
    folder
        Where its predictions and histories lie, which are read when they are asked for.
    """

    name: str
    entry: Mapping[str, Any]
    row: Mapping[str, Any]
    scores: pd.DataFrame
    metrics: Mapping[str, Any]
    cost: Mapping[str, Any]
    fits: list[dict[str, Any]]
    calibration: pd.DataFrame
    class_curves: pd.DataFrame
    class_scores: pd.DataFrame
    pixel_confusion: pd.DataFrame
    card: str
    folder: ExperimentFolder

    @cached_property
    def history(self) -> dict[int, pd.DataFrame]:
        """By seed its `history.csv`, with cross-validation that of fold 0; empty for a method without epochs."""
        paths = [*self.folder.history.glob("seed?/history.csv"), *self.folder.history.glob("seed?-fold0/history.csv")]
        return {seed: pd.read_csv(path) for seed, path in sorted((int(each.parent.name[4]), each) for each in paths)}

    @property
    def has_epochs(self) -> bool:
        """Whether it is a network, which is trained epoch by epoch."""
        return any("epochs_run" in fit for fit in self.fits)

    @cached_property
    def masks(self) -> Predictions:
        """What it predicted in a task of segmentation."""
        return read_predictions(self.folder.predictions)

    @cached_property
    def probabilities(self) -> Probabilities:
        """What it predicted in a task of classification."""
        return read_probabilities(self.folder.predictions)

    @property
    def label(self) -> str:
        """What a reader calls it."""
        return str(self.row["label"])

    @property
    def oracle(self) -> bool:
        """Whether it uses the truth of the test images."""
        return is_oracle(self.entry)


@dataclass(frozen=True)
class Task:
    """A task of the configuration, and what was found in it.

    Attributes
    ----------
    name, kind
        As in the configuration.
    target
        The label to predict, None for masks.
    ranked_by
        The configuration's `score`, of masks.
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
        What the audit found, `audit.csv`.
    leakage_effects
        What leakage adds to the scores of its experiments, `leakage.csv`.
    experiments
        Best first.
    shortened
        Whether the profile trains one of its networks for less than `full` would.
    """

    name: str
    kind: str
    target: str | None
    ranked_by: str | Mapping[str, str] | None
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
    shortened: bool

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
        return kind_of({"kind": self.kind, "score": self.ranked_by}, self.about)

    @property
    def mask_score(self) -> MaskScore:
        """What its masks are scored by."""
        return self.prepared.score(self.ranked_by)

    @cached_property
    def void(self) -> bool:
        """Whether true masks have pixels without an answer, beside pads, among the images that are tested."""
        masks, region = self.prepared.true_masks(), self.prepared.region
        return any(bool((masks[row][region(row)] == VOID).any()) for row in self.tested.tolist())

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
    """A prepared data set, and what its audit found."""

    name: str
    prepared: Prepared
    audit: pd.DataFrame


def read_dataset(name: str, project: Project) -> Dataset:
    """Read a prepared data set.

    Raises
    ------
    BakeoffError
        If a file is missing.
    """
    prepared = open_prepared(project.prepared(name))
    audit = prepared.folder / "audit.csv"
    _read(audit, f"prepare@{name}")
    return Dataset(name, prepared, pd.read_csv(audit, dtype=str, keep_default_na=False))


def read_task(name: str, entry: Mapping[str, Any], project: Project, *, margin: float) -> Task:
    """Read a task that is evaluated.

    Parameters
    ----------
    name, entry
        The task in the configuration, and `shortened`, see `Task`; True where that is not said.
    margin
        The difference of the headline score below which two methods are equal in practice.

    Raises
    ------
    BakeoffError
        If a file is missing.
    """
    folder, stage = project.evaluation(name), f"evaluate@{name}"
    pairs_csv, ranking = _read(folder / "pairs.csv", stage), _read(folder / "comparison.csv", stage)
    prepared = open_prepared(project.prepared(str(entry["dataset"])))
    effects = pd.read_csv(StringIO(_read(folder / "leakage.csv", stage)), dtype={"other_reasons": str})
    return Task(
        name=name,
        kind=str(entry["kind"]),
        target=entry["target"],
        ranked_by=entry.get("score"),
        margin=margin,
        prepared=prepared,
        folds=read_folds(project.split(name), prepared),
        split=entry["split"],
        comparison_csv=ranking,
        pairs_csv=pairs_csv,
        comparison_svg=_read(folder / "comparison.svg", stage),
        pairs=pd.read_csv(StringIO(pairs_csv), dtype={"images_to_decide": "Int64"}),
        checks=pd.read_csv(StringIO(_read(folder / "audit.csv", stage)), dtype={"count": "Int64"}),
        leakage_effects=effects.fillna({"other_reasons": ""}),
        experiments=[_experiment(row, project, name, entry["target"]) for row in _rows(pd.read_csv(StringIO(ranking)))],
        shortened=entry.get("shortened", True),
    )


def read_claims(path: Path) -> pd.DataFrame:
    """Read `claims.csv`: words as str, numbers as they are."""
    numbers = [f"{side}_protocol_{end}" for side in ("published", "corrected") for end in ("value", "low", "high")]
    words = {column: str for column in pd.read_csv(path, nrows=0).columns if column not in numbers}
    return pd.read_csv(path, dtype=words).fillna(dict.fromkeys(words, ""))


def _optional(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, keep_default_na=False, na_values=[""]) if path.is_file() else pd.DataFrame()


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(column): value for column, value in row.items()} for row in table.to_dict("records")]


def _experiment(row: Mapping[str, Any], project: Project, task: str, target: str | None) -> Experiment:
    name, stage = str(row["experiment"]), f"evaluate@{task}"
    folder = project.evaluated(task, name)
    about = json.loads(_read(folder / "experiment.json", stage))
    entry, cost = about["entry"], about["cost"]
    if entry["segmenter_cost"] is not None:
        cost = {**added_cost(cost, entry["segmenter_cost"]), "segmenter": entry["segmenter"]}
    curves = project.evaluation(task) / "curves" / f"{name}.csv"
    return Experiment(
        name=name,
        entry=entry,
        row=row,
        scores=pd.read_csv(
            StringIO(_read(folder / "scores.csv", stage)),
            dtype={"id": str, "label": str, "predicted": str},
            keep_default_na=False,
        ),
        metrics=json.loads(_read(folder / "metrics.json", stage)),
        class_scores=_optional(folder / CLASS_SCORES),
        pixel_confusion=_optional(folder / PIXEL_CONFUSION),
        card=_read(folder / CARD, stage),
        cost=cost,
        fits=about["trainings"],
        calibration=pd.DataFrame() if target is None else _table(folder / "calibration.csv", stage),
        class_curves=pd.DataFrame() if target is None else _table(curves, stage),
        folder=project.experiment(task, name, entry["family"]),
    )


def _table(path: Path, stage: str) -> pd.DataFrame:
    return pd.read_csv(StringIO(_read(path, stage)), dtype={"class": str}, keep_default_na=False)


def _read(path: Path, stage: str) -> str:
    if not path.is_file():
        raise BakeoffError(f"{path} is missing: run `dvc repro {stage}`.")
    return path.read_text(encoding="utf-8")


def random_weights(experiment: Experiment) -> bool:
    """Whether the pretrained weights it started from were random stand-ins."""
    return any(isinstance(fit.get("weights"), Mapping) and fit["weights"].get("random") for fit in experiment.fits)


def mean_by_seed(experiment: Experiment, column: str) -> np.ndarray:
    """Mean of a column of `scores.csv` over the test images of each seed, float64, (seeds,)."""
    return experiment.scores.groupby("seed")[column].mean().to_numpy()
