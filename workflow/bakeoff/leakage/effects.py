"""Inflation: what leaks add to the scores of experiments that differ in nothing else."""

import logging
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bakeoff.artefacts.atomic import write_text
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.prepared import Fold, open_prepared, read_folds
from bakeoff.evaluation.bootstrap import Interval, independent_difference
from bakeoff.evaluation.comparison import KINDS, score_command
from bakeoff.evaluation.scores import seed_scores
from bakeoff.leakage import checks as leakage

log = logging.getLogger(__name__)

COLUMNS = ["kind", "honest", "inflated", "difference", "low", "high", "words", "otherwise"]
# Training sets that differ by more than this factor are a second reason for another score.
OTHER_TRAINING_SIZE = 1.1
ONE_RUN = "Run with one seed: another would give another difference."


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
        The configuration's experiments by name, each with its `family`.
    inputs
        The configuration's `inputs` and `predicted_inputs` together.
    tasks
        The configuration's tasks.
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
        folds = [read_folds(data / "splits" / f"{each['task']}.csv", prepared) for each in (before, after)]
        seen = leakage.relatives(prepared.index["group"].to_numpy(), folds[1])["tested"]
        if design.kind == leakage.PARTED and seen.empty:
            log.info("%s parts no look-alikes of a tested image: no leak to measure.", after["task"])
            continue
        found = leakage.inflation(inflated, honest, groups, resamples=resamples)
        reasons = [_training_sizes(*map(_mean_training_size, folds))]
        if design.kind == leakage.PARTED:
            ids = set(prepared.index["id"].iloc[seen])
            reasons.append(_bound(len(seen), sum(len(fold.test) for fold in folds[1]), found.difference))
            if found.difference > 0:
                reasons.append(_not_told_apart(inflated, honest.reindex(inflated.index), groups, ids, resamples))
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


def _bound(seen: int, tested: int, difference: float) -> str:
    """A difference larger than what look-alikes can explain, were each of them right for having been seen."""
    if difference <= seen / tested + 1e-9:
        return ""
    some = f"{seen} of {tested} tested images {'has' if seen == 1 else 'have'} a look-alike that was seen"
    return f"Only {some}: look-alikes explain {leakage.rounded_up(seen / tested):.4f} at most."


def _not_told_apart(
    inflated: pd.DataFrame, honest: pd.DataFrame, groups: pd.Series, ids: Set[str], resamples: int
) -> str:
    """That images without a look-alike among those seen, which are others than `ids`, gain about as much as `ids` do.

    `honest` has the rows of `inflated`, with NaN where an image was not tested: then there is no gain of an image.
    """
    if honest.isna().any(axis=None):
        return "They were tested on other images, so whether those with look-alikes gain more could not be looked at."
    has = inflated.index.isin(list(ids))
    if has.all() or not has.any():
        return "All tested images or none have a look-alike that was seen: there are no others to set against them."
    gains = [leakage.inflation(inflated[rows], honest[rows], groups, resamples=resamples) for rows in (has, ~has)]
    of_seen, of_others = (Interval(each.difference, each.low, each.high) for each in gains)
    more = independent_difference(of_seen, of_others)
    if more.low > 0:
        return ""
    if not np.isfinite(more.low):
        return "Too few groups have a look-alike that was seen, or none, to tell this leak from another reason."
    return (
        f"Images with a look-alike among those seen ({has.sum()}) gain {of_seen.signed()}, the others ({(~has).sum()}) "
        f"{of_others.signed()}: that the first gain more, by {more.signed()}, is not shown."
    )


def _training_sizes(honest: float, inflated: float) -> str:
    """A second reason for another score, where there is one."""
    if max(honest, inflated) <= OTHER_TRAINING_SIZE * min(honest, inflated):
        return ""
    return f"It also trained on {inflated:.0f} images in place of {honest:.0f}, which is not told apart from the leak."
