"""Inflation: what leaks add to the scores of experiments that differ in nothing else."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bakeoff.appearing import write_text
from bakeoff.datasets.prepared import Prepared, open_prepared, read_folds
from bakeoff.errors import BakeoffError
from bakeoff.evaluation import leakage
from bakeoff.evaluation.comparison import KINDS, score_command
from bakeoff.evaluation.scores import seed_scores

log = logging.getLogger(__name__)

COLUMNS = ["kind", "honest", "inflated", "difference", "low", "high", "words"]
# Training sets that differ by more than this factor are a second reason for another score.
OTHER_TRAINING_SIZE = 1.1


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
        trained = [_mean_training_size(data / "splits" / f"{each['task']}.csv", prepared) for each in (before, after)]
        words = f"{leakage.describe(found, measure.title)}{_training_sizes(*trained)}"
        rows.append((*design, found.difference, found.low, found.high, words))
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


def _mean_training_size(split: Path, prepared: Prepared) -> float:
    return float(np.mean([len(fold.train) for fold in read_folds(split, prepared)]))


def _training_sizes(honest: float, inflated: float) -> str:
    """A second reason for another score, where there is one."""
    if max(honest, inflated) <= OTHER_TRAINING_SIZE * min(honest, inflated):
        return ""
    return f" It also trained on {inflated:.0f} images in place of {honest:.0f}, which is not told apart from the leak."
