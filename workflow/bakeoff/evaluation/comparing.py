"""Compare: the scores of every method in one task, ranked in a table and a figure, and every two of them compared."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from bakeoff.artefacts.atomic import write_text
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.predictions import read_probabilities
from bakeoff.artefacts.prepared import open_prepared, read_folds, tested_rows
from bakeoff.evaluation.comparison import KINDS, PAIR_COLUMNS, compare_scores, draw, score_command, with_areas
from bakeoff.evaluation.figures import to_svg

log = logging.getLogger(__name__)

EMPTY_FIGURE = '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>\n'


def compare(
    task: str,
    kind: str,
    experiments: Mapping[str, Mapping[str, Any]],
    results: Path,
    prepared: Path,
    split: Path,
    folder: Path,
    *,
    resamples: int,
    margin: float,
) -> None:
    """Write `TASK.csv`, `TASK-pairs.csv` and `TASK.svg`; without an experiment in the task the tables are empty.

    Parameters
    ----------
    task
        Its name in the configuration.
    kind
        segmentation or classification.
    experiments
        The task's experiments by name, as in the configuration, each with its `family`.
    results
        The folder that holds `experiments/NAME/{scores.csv,metrics.json,cost.json}`.
    prepared
        `data/prepared/DATASET`.
    split
        `data/splits/TASK.csv`.
    folder
        Where the files go, usually `results/comparison`.
    resamples
        Bootstrap resamples an interval.
    margin
        The difference in the headline score below which two methods are equal in practice.

    Raises
    ------
    BakeoffError
        If an experiment has no scores, or scores of other images than the test split.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not experiments:
        write_text(folder / f"{task}.csv", "experiment\n")
        write_text(folder / f"{task}-pairs.csv", ",".join(PAIR_COLUMNS) + "\n")
        write_text(folder / f"{task}.svg", EMPTY_FIGURE)
        log.info("%s: params.yaml has no experiment in this task yet.", task)
        return
    data = open_prepared(prepared)
    scores, metrics, costs = {}, {}, {}
    for name, experiment in experiments.items():
        command = score_command(name, experiment)
        of_experiment = results / "experiments" / name
        scores[name] = _read_scores(of_experiment / "scores.csv", command)
        metrics[name] = json.loads(_existing(of_experiment / "metrics.json", command).read_text())
        costs[name] = json.loads(_existing(of_experiment / "cost.json", command).read_text())
    _require_same_images(scores, set(data.index["id"].iloc[tested_rows(read_folds(split, data))]), split)

    groups = data.index.set_index("id")["group"]
    measure = KINDS[kind]
    table, pairs = compare_scores(
        measure, experiments, scores, metrics, costs, data.strata, groups, resamples=resamples, margin=margin
    )
    if kind == "classification":
        pairs = _with_areas(pairs, results, groups)
    write_text(folder / f"{task}.csv", table.to_csv(index=False, float_format="%.6g"))
    write_text(folder / f"{task}-pairs.csv", pairs.to_csv(index=False, float_format="%.6g"))
    write_text(folder / f"{task}.svg", to_svg(draw(measure, table, str(data.about["title"]))))
    best = table.iloc[0]
    log.info("%s: best is %s, mean %s %.4f.", task, best["experiment"], measure.title, best[f"{measure.headline}_mean"])


def _with_areas(pairs: pd.DataFrame, results: Path, groups: pd.Series) -> pd.DataFrame:
    names = pd.unique(pairs[["first", "second"]].to_numpy().ravel())
    predicted = {name: read_probabilities(results / "experiments" / name) for name in names}
    if not predicted:
        return pairs
    first = next(iter(predicted.values()))
    ids = first.of_seed(first.seeds[0])["id"]
    return with_areas(
        pairs, first.truth, {name: each.stacked for name, each in predicted.items()}, groups.loc[ids].to_numpy()
    )


def _read_scores(path: Path, command: str) -> pd.DataFrame:
    scores = pd.read_csv(_existing(path, command), dtype={"id": str, "label": str}, keep_default_na=False)
    if scores.empty:
        raise BakeoffError(f"{path} has no rows: run `{command}` again.")
    return scores


def _existing(path: Path, command: str) -> Path:
    if not path.is_file():
        raise BakeoffError(f"{path} is missing: run `{command}`.")
    return path


def _require_same_images(scores: Mapping[str, pd.DataFrame], test_ids: set[str], split: Path) -> None:
    for name, table in scores.items():
        if set(table["id"]) != test_ids:
            raise BakeoffError(
                f"The scores of '{name}' are of other images than the test split of {split}: run `dvc repro` to "
                "score it again."
            )
