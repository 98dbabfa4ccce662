"""Score an experiment's predictions against the truth, the same way for every method."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bakeoff.appearing import write_text
from bakeoff.datasets.prepared import Fold, Prepared, open_prepared, read_folds, tested_rows
from bakeoff.errors import BakeoffError
from bakeoff.evaluation import classification
from bakeoff.evaluation.scores import headline, score_masks
from bakeoff.predictions import Predictions, Probabilities, read_predictions, read_probabilities
from bakeoff.provenance import thread_count

logger = logging.getLogger(__name__)


def score(name: str, target: str | None, prepared: Path, split: Path, folder: Path, *, resamples: int) -> None:
    """Write `scores.csv` and `metrics.json` of an experiment; of a classifier `confusion.csv` and
    `classification_report.csv` too.

    Parameters
    ----------
    name
        The experiment's name.
    target
        The label that it predicts; None for masks.
    prepared
        `data/prepared/DATASET`.
    split
        `data/splits/TASK.csv`.
    folder
        `results/experiments/NAME`, which holds the predictions.
    resamples
        Of the bootstrap behind the intervals.

    Raises
    ------
    BakeoffError
        If the predictions are missing, or are not of this test split.
    """
    data = open_prepared(prepared)
    folds = read_folds(split, data)
    if target is None:
        _score_masks(name, data, tested_rows(folds), folder, resamples)
    else:
        _score_classes(name, target, data, folds, folder, resamples)


def _score_masks(name: str, data: Prepared, rows: np.ndarray, folder: Path, resamples: int) -> None:
    predictions, index = read_predictions(folder), data.index.iloc[rows]
    _check_same_images(predictions, data, index["id"].tolist(), folder)

    tables = score_masks(data.true_masks()[rows], list(predictions.masks.values()), threads=thread_count())
    labels = index[["id", *data.strata]].reset_index(drop=True)
    scores = pd.concat(
        [
            pd.concat([labels[["id"]].assign(seed=seed), labels[data.strata], table], axis=1)
            for seed, table in zip(predictions.masks, tables, strict=True)
        ],
        ignore_index=True,
    )
    metrics = headline(scores, index.set_index("id")["group"], resamples=resamples)
    _write(folder, scores, metrics)
    _say(name, "Dice", metrics["dice"], metrics["images"])


def _score_classes(name: str, target: str, data: Prepared, folds: list[Fold], folder: Path, resamples: int) -> None:
    predictions, index = read_probabilities(folder), data.index.iloc[tested_rows(folds)]
    _check_same_classes(predictions, data, target, folds, folder)

    classes, truth = np.array(predictions.classes), predictions.truth
    strata = index[data.strata].reset_index(drop=True)
    by_seed = []
    for seed, probabilities in zip(predictions.seeds, predictions.stacked, strict=True):
        rows = predictions.of_seed(seed)
        table = classification.image_scores(truth, probabilities)
        table["predicted"] = classes[table["predicted"]]
        by_seed.append(pd.concat([rows[["id", "seed", "fold"]], strata, rows[["label"]], table], axis=1))
    scores = pd.concat(by_seed, ignore_index=True)

    metrics = classification.headline(truth, predictions.stacked, index["group"].to_numpy(), resamples=resamples)
    report = classification.class_report(truth, predictions.stacked.argmax(axis=2), predictions.classes)
    confusion = by_seed[0][["label", "predicted"]].rename(columns={"label": "actual"})
    write_text(folder / "confusion.csv", confusion.to_csv(index=False))
    write_text(folder / "classification_report.csv", report.to_csv(index=False, float_format="%.6f"))
    _write(folder, scores, {**metrics, "folds": len(folds)})
    _say(name, "accuracy", metrics["accuracy"], metrics["images"])


def _write(folder: Path, scores: pd.DataFrame, metrics: dict[str, Any]) -> None:
    write_text(folder / "scores.csv", scores.to_csv(index=False, float_format="%.6f"))
    write_text(folder / "metrics.json", json.dumps(metrics, indent=2, allow_nan=False) + "\n")


def _say(name: str, score: str, found: dict[str, float], images: int) -> None:
    logger.info("%s: %s %.4f (%.4f to %.4f) on %d images", name, score, *found.values(), images)


def _check_same_images(predictions: Predictions, data: Prepared, ids: list[str], folder: Path) -> None:
    shapes = {masks.shape[1:] for masks in predictions.masks.values()}
    if predictions.ids != ids or shapes != {data.images.shape[1:3]}:
        raise BakeoffError(
            f"{folder / 'predictions.csv'} was made from another test split or size than {data.folder} has: "
            "run the stage that predicts again."
        )


def _check_same_classes(
    predictions: Probabilities, data: Prepared, target: str, folds: list[Fold], folder: Path
) -> None:
    if predictions.classes != [str(value) for value in data.targets(target)]:
        raise BakeoffError(
            f"{folder / 'predictions.csv'} has other classes than {data.folder} has of '{target}': "
            "run the stage that predicts again."
        )
    table = predictions.of_seed(predictions.seeds[0])
    index = data.index.iloc[tested_rows(folds)]
    tested_in = pd.Series({row: fold.number for fold in folds for row in fold.test}).loc[index.index]
    expected = {"id": index["id"], "label": index[target].astype(str), "fold": tested_in}
    for column, values in expected.items():
        if table[column].tolist() != values.tolist():
            raise BakeoffError(
                f"{folder / 'predictions.csv'} was made from another test split than {data.folder} has: "
                f"its column '{column}' differs; run the stage that predicts again."
            )
