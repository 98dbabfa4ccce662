"""Inflation: what leaks add to the scores of experiments that differ in nothing else."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bakeoff.appearing import write_text
from bakeoff.datasets.prepared import Fold, open_prepared, read_folds
from bakeoff.errors import BakeoffError
from bakeoff.evaluation import leakage
from bakeoff.evaluation.comparison import KINDS, score_command
from bakeoff.evaluation.scores import seed_scores

log = logging.getLogger(__name__)

COLUMNS = ["kind", "honest", "inflated", "difference", "low", "high", "words", "otherwise"]
# Training sets that differ by more than this factor are a second reason for another score.
OTHER_TRAINING_SIZE = 1.1
ONE_RUN = "One training run each: another seed might turn it round."


def inflation(
    experiments: Mapping[str, Mapping[str, Any]],
    inputs: Mapping[str, Mapping[str, Any]],
    tasks: Mapping[str, Mapping[str, Any]],
    results: Path,
    data: Path,
    path: Path,
    *,
    resamples: int,
) -> None:
    """Write `inflation.csv`, what leaks add to the scores of experiments that differ in nothing else.

    Parameters
    ----------
    experiments
        The book's experiments by name, each with its `family`.
    inputs
        The book's `inputs` and `predicted_inputs` together.
    tasks
        The book's tasks.
    results
        The folder that holds `experiments/NAME/scores.csv`.
    data
        The folder that holds `prepared` and `splits`.
    path
        Of the table, usually `results/audits/inflation.csv`.
    resamples
        Bootstrap resamples an interval.

    Raises
    ------
    BakeoffError
        If an experiment of a pair has no scores, or scores of images that its data set has not.
    """
    rows = []
    for design in leakage.designs(experiments, inputs, tasks):
        before, after = (experiments[name] for name in (design.honest, design.inflated))
        measure = KINDS[tasks[before["task"]]["kind"]]
        prepared = open_prepared(data / "prepared" / before["dataset"])
        groups = prepared.index.set_index("id")["group"]
        honest, inflated = (
            _scores(name, experiments[name], measure.column, groups, results)
            for name in (design.honest, design.inflated)
        )
        found = leakage.inflation(inflated, honest, groups, resamples=resamples)
        folds = [read_folds(data / "splits" / f"{each['task']}.csv", prepared) for each in (before, after)]
        parted = len(leakage.relatives(prepared.index["group"].to_numpy(), folds[1]))
        reasons = [_no_leak(design.kind, parted), _training_sizes(*map(_mean_training_size, folds))]
        otherwise = " ".join(filter(None, reasons))
        once = ONE_RUN if min(honest.shape[1], inflated.shape[1]) == 1 else ""
        words = " ".join(filter(None, [leakage.describe(found, measure.title), otherwise, once]))
        rows.append((*design, found.difference, found.low, found.high, words, otherwise))
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows, columns=COLUMNS)
    write_text(path, table.to_csv(index=False, float_format="%.6g"))
    log.info("%s: %d pairs of experiments differ in a leak alone.", path, len(rows))


def _scores(name: str, experiment: Mapping[str, Any], column: str, groups: pd.Series, results: Path) -> pd.DataFrame:
    """An experiment's score, one row an image, one column a seed."""
    path, command = results / "experiments" / name / "scores.csv", score_command(name, experiment)
    if not path.is_file():
        raise BakeoffError(f"{path} is missing: run `{command}`.")
    rows = pd.read_csv(path, dtype={"id": str}, keep_default_na=False)
    scores = seed_scores(rows, column)
    if scores.empty or scores.isna().any(axis=None) or not scores.index.isin(groups.index).all():
        raise BakeoffError(f"{path} is of other images than the data set '{experiment['dataset']}': run `{command}`.")
    return scores


def _mean_training_size(folds: Sequence[Fold]) -> float:
    return float(np.mean([len(fold.train) for fold in folds]))


def _no_leak(kind: str, parted: int) -> str:
    """What is to be said of a split that might part look-alikes and, of these images, parts none that are tested."""
    if kind != leakage.PARTED or parted:
        return ""
    return "That split has none of a tested image's group among those that were seen, so no leak explains it."


def _training_sizes(honest: float, inflated: float) -> str:
    """A second reason for another score, where there is one."""
    if max(honest, inflated) <= OTHER_TRAINING_SIZE * min(honest, inflated):
        return ""
    return f"It also trained on {inflated:.0f} images in place of {honest:.0f}, which is not told apart from the leak."
