"""Compare: the scores of every method on one data set, ranked in one table and one figure."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from bakeoff.datasets.prepared import open_prepared
from bakeoff.errors import BakeoffError
from bakeoff.evaluation.comparison import compare_scores, draw
from bakeoff.evaluation.figures import to_svg

log = logging.getLogger(__name__)


def compare(
    dataset: str,
    experiments: Mapping[str, Mapping[str, Any]],
    results: Path,
    prepared: Path,
    folder: Path,
    *,
    resamples: int,
) -> None:
    """Write `DATASET.csv` and `DATASET.svg`.

    Parameters
    ----------
    dataset
        Its name in the book.
    experiments
        The data set's experiments by name, as in the book, each with its `family`.
    results
        The folder that holds `experiments/NAME/{scores.csv,cost.json}`.
    prepared
        `data/prepared/DATASET`.
    folder
        Where the two files go, usually `results/comparison`.
    resamples
        Bootstrap resamples an interval.

    Raises
    ------
    BakeoffError
        If there is no experiment, or one has no scores, or scores of other images than the test split.
    """
    if not experiments:
        raise BakeoffError(
            f"params.yaml has no experiment on '{dataset}': add one under experiments, or drop the data set."
        )
    data = open_prepared(prepared)
    scores, costs = {}, {}
    for name, experiment in experiments.items():
        command = f"dvc repro score-{str(experiment['family']).removesuffix('s')}@{name}"
        scores[name] = _read_scores(results / "experiments" / name / "scores.csv", command)
        costs[name] = json.loads(_existing(results / "experiments" / name / "cost.json", command).read_text())
    _require_same_images(scores, set(data.index["id"].iloc[data.rows("test")]), prepared)

    groups = data.index.set_index("id")["group"]
    table = compare_scores(experiments, scores, costs, data.strata, groups, resamples=resamples)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / f"{dataset}.csv", table.to_csv(index=False, float_format="%.6g"))
    _write(folder / f"{dataset}.svg", to_svg(draw(table, str(data.about["title"]))))
    log.info("%s: best is %s, mean Dice %.4f.", dataset, table["experiment"][0], table["dice_mean"][0])


def _read_scores(path: Path, command: str) -> pd.DataFrame:
    scores = pd.read_csv(_existing(path, command), dtype={"id": str})
    if scores.empty:
        raise BakeoffError(f"{path} has no rows: run `{command}` again.")
    return scores


def _existing(path: Path, command: str) -> Path:
    if not path.is_file():
        raise BakeoffError(f"{path} is missing: run `{command}`.")
    return path


def _require_same_images(scores: Mapping[str, pd.DataFrame], test_ids: set[str], prepared: Path) -> None:
    for name, table in scores.items():
        if set(table["id"]) != test_ids:
            raise BakeoffError(
                f"The scores of '{name}' are of other images than the test split of {prepared}: run `dvc repro` to "
                "score it again."
            )


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
