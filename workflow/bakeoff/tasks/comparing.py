"""Compare: the scores of every method in one task, ranked in a table and a figure, and every two of them compared."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from bakeoff.artefacts.atomic import write_text
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.experiments import read_json
from bakeoff.artefacts.predictions import read_probabilities
from bakeoff.artefacts.prepared import open_prepared, read_folds, tested_rows
from bakeoff.evaluation.comparison import compare_scores, draw, kind_of, with_areas
from bakeoff.evaluation.figures import to_svg

log = logging.getLogger(__name__)


def compare(
    task: str,
    settings: Mapping[str, Any],
    experiments: Mapping[str, Mapping[str, Any]],
    costs: Mapping[str, Mapping[str, Any]],
    predictions: Mapping[str, Path],
    prepared: Path,
    split: Path,
    folder: Path,
    *,
    resamples: int,
    margin: float,
) -> None:
    """Write `comparison.csv`, `pairs.csv` and `comparison.svg` of a task whose experiments are scored.

    Parameters
    ----------
    task
        Its name.
    settings
        The configuration's entry of the task: its `kind` and `score`.
    experiments, costs, predictions
        By name: the settings of the task's experiments, with their `family`; what they cost; their folders of
        predictions.
    prepared
        `data/prepared/DATASET`.
    split
        `data/splits/TASK.csv`.
    folder
        `results/evaluation/TASK`, with `experiments/NAME/{scores.csv,metrics.json}`.
    resamples
        Bootstrap resamples an interval.
    margin
        The difference in the headline score below which two methods are equal in practice.

    Raises
    ------
    BakeoffError
        If an experiment has scores of other images than the test split.
    """
    data = open_prepared(prepared)
    scores, metrics = {}, {}
    for name in experiments:
        scored = folder / "experiments" / name
        scores[name] = pd.read_csv(scored / "scores.csv", dtype={"id": str, "label": str}, keep_default_na=False)
        metrics[name] = read_json(scored / "metrics.json", f"evaluate@{task}")
    _require_same_images(scores, set(data.index["id"].iloc[tested_rows(read_folds(split, data))]), split)

    groups = data.index.set_index("id")["group"]
    measure = kind_of(settings, data.about)
    table, pairs = compare_scores(
        measure, experiments, scores, metrics, costs, data.strata, groups, resamples=resamples, margin=margin
    )
    if settings["kind"] == "classification":
        pairs = _with_areas(pairs, predictions, groups)
    write_text(folder / "comparison.csv", table.to_csv(index=False, float_format="%.6g"))
    write_text(folder / "pairs.csv", pairs.to_csv(index=False, float_format="%.6g"))
    write_text(folder / "comparison.svg", to_svg(draw(measure, table, str(data.about["title"]))))
    best = table.iloc[0]
    log.info("%s: best is %s, mean %s %.4f.", task, best["experiment"], measure.title, best[f"{measure.headline}_mean"])


def _with_areas(pairs: pd.DataFrame, predictions: Mapping[str, Path], groups: pd.Series) -> pd.DataFrame:
    names = pd.unique(pairs[["first", "second"]].to_numpy().ravel())
    predicted = {name: read_probabilities(predictions[name]) for name in names}
    if not predicted:
        return pairs
    first = next(iter(predicted.values()))
    ids = first.of_seed(first.seeds[0])["id"]
    return with_areas(
        pairs, first.truth, {name: each.stacked for name, each in predicted.items()}, groups.loc[ids].to_numpy()
    )


def _require_same_images(scores: Mapping[str, pd.DataFrame], test_ids: set[str], split: Path) -> None:
    for name, table in scores.items():
        if set(table["id"]) != test_ids:
            raise BakeoffError(
                f"The scores of '{name}' are of other images than the test split of {split}: run `dvc repro` to "
                "score it again."
            )
