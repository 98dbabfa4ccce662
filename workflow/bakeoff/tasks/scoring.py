"""Score an experiment's predictions against the truth, the same way for every method."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bakeoff.artefacts.atomic import write_text
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.layout import CLASS_SCORES, PIXEL_CONFUSION, making
from bakeoff.artefacts.mask_score import MaskScore
from bakeoff.artefacts.predictions import (
    PROBABILITY_FILES,
    Part,
    Predictions,
    Probabilities,
    read_predictions,
    read_probabilities,
)
from bakeoff.artefacts.prepared import Fold, Prepared, open_prepared, read_folds, tested_rows
from bakeoff.artefacts.provenance import thread_count
from bakeoff.artefacts.ragged import Arrays, shapes_of
from bakeoff.evaluation import classification
from bakeoff.evaluation.calibration import calibrate
from bakeoff.evaluation.curves import curves, optimal_aurc
from bakeoff.evaluation.objects import choose_separation, object_scores
from bakeoff.evaluation.scores import class_scores, dataset_headline, headline, pixel_confusion, score_masks
from bakeoff.evaluation.separation import Separation

logger = logging.getLogger(__name__)

# Images by which a separation is chosen, and their pixels together, at most: minutes on a core.
MOST_SEPARATED, MOST_PIXELS = 100, 100_000_000


def score(
    name: str,
    target: str | None,
    prepared: Path,
    split: Path,
    predictions: Path,
    folder: Path,
    *,
    resamples: int,
    ranked_by: str | Mapping[str, str] | None = None,
    separation: Separation | None = None,
) -> dict[str, Any]:
    """Write `scores.csv` and `metrics.json` of an experiment; of a classifier `confusion.csv`,
    `classification_report.csv`, `calibration.csv` and `curves.csv` too.

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
    predictions
        The experiment's folder `predictions`.
    folder
        Where the files go; it has to exist.
    resamples
        Of the bootstrap behind the intervals.
    ranked_by
        The task's `score`, of masks.
    separation
        How masks come apart into objects; None where objects are not scored.

    Returns
    -------
    dict
        The contents of `metrics.json`.

    Raises
    ------
    BakeoffError
        If the predictions are missing, or are not of this test split.
    """
    data = open_prepared(prepared)
    folds = read_folds(split, data)
    if target is None:
        ranked = data.score(ranked_by)
        return _score_masks(name, data, ranked, separation, tested_rows(folds), predictions, folder, resamples)
    return _score_classes(name, target, data, folds, predictions, folder, resamples)


def _score_masks(
    name: str,
    data: Prepared,
    score: MaskScore,
    separation: Separation | None,
    rows: np.ndarray,
    source: Path,
    folder: Path,
    resamples: int,
) -> dict[str, Any]:
    predictions, index = read_predictions(source), data.index.iloc[rows]
    _check_same_images(predictions, data, rows, source)

    # Pads are no part of an image: neither the room for distances nor the width of a band is to grow with them.
    regions, truth = [data.region(row) for row in rows], data.true_masks()
    by_seed = score_masks(
        [truth[row][region] for row, region in zip(rows, regions, strict=True)],
        [[mask[region] for mask, region in zip(masks, regions, strict=True)] for masks in predictions.masks.values()],
        classes=data.classes,
        scored=score.scored,
        threads=thread_count(),
    )
    labels = index[["id", *data.strata]].reset_index(drop=True)
    tables = [
        pd.concat([scored.table, *_object_scores(data, rows, masks, separation)], axis=1)
        for masks, scored in zip(predictions.masks.values(), by_seed, strict=True)
    ]
    scores = pd.concat(
        [
            pd.concat([labels[["id"]].assign(seed=seed), labels[data.strata], table], axis=1)
            for seed, table in zip(predictions.masks, tables, strict=True)
        ],
        ignore_index=True,
    )
    confusion, groups = np.stack([scored.confusion for scored in by_seed]), index.set_index("id")["group"]
    over_all = dataset_headline(confusion, data.classes, groups.to_numpy(), resamples=resamples, scored=score.scored)
    metrics = {**headline(scores, groups, resamples=resamples), **over_all}
    _write(folder, scores, metrics)
    if len(data.classes) > 2 or data.background is None:
        write_text(
            folder / CLASS_SCORES,
            class_scores(confusion, data.classes, groups.to_numpy(), resamples).to_csv(
                index=False, float_format="%.6g"
            ),
        )
        write_text(folder / PIXEL_CONFUSION, pixel_confusion(confusion, data.classes).to_csv(index=False))
    _say(name, score.title, metrics[score.measure], metrics["images"])
    return metrics


def _object_scores(
    data: Prepared, rows: np.ndarray, masks: Arrays, separation: Separation | None
) -> list[pd.DataFrame]:
    """Scores of the objects, one table; none of a data set whose objects are not told apart."""
    if separation is None or (objects := data.objects) is None:
        return []
    truth, regions = data.true_masks(), [data.region(row) for row in rows]
    # Without pads, which no object reaches.
    return [
        object_scores(
            (truth[row][region] for row, region in zip(rows, regions, strict=True)),
            (objects[row][region] for row, region in zip(rows, regions, strict=True)),
            (mask[region] for mask, region in zip(masks, regions, strict=True)),
            separation,
        )
    ]


def separation_of(data: Prepared, folds: list[Fold], ranked_by: str | Mapping[str, str] | None) -> Separation | None:
    """How the masks of a task come apart into objects, as its training images say; None where these are not told apart.

    Parameters
    ----------
    folds
        Of the task. An image that is tested in one of them and trains in another takes part: its true mask says what
        objects look like, and nothing of a method. Of many images, some at equal distances are taken.
    ranked_by
        The task's `score`.
    """
    if (objects := data.objects) is None:
        return None
    rows = np.unique(np.concatenate([fold.train for fold in folds]))
    masks = data.true_masks()
    pixels = np.mean([masks[row].size for row in rows])
    most = min(len(rows), MOST_SEPARATED, max(1, int(MOST_PIXELS / pixels)))
    rows = rows[np.linspace(0, len(rows) - 1, most).astype(int)]
    regions = [data.region(row) for row in rows]
    return choose_separation(
        [masks[row][region] for row, region in zip(rows, regions, strict=True)],
        [objects[row][region] for row, region in zip(rows, regions, strict=True)],
        data.score(ranked_by).scored,
    )


def _score_classes(
    name: str, target: str, data: Prepared, folds: list[Fold], source: Path, folder: Path, resamples: int
) -> dict[str, Any]:
    predictions, validation = read_probabilities(source), read_probabilities(source, "validation")
    _check_same_classes(predictions, data, target, folds, source, "test")
    _check_same_classes(validation, data, target, folds, source, "validation")
    if validation.seeds != predictions.seeds:
        raise BakeoffError(f"{source} holds other seeds in validation.csv: run `{making(source, force=True)}`.")
    index = data.index.iloc[tested_rows(folds)]

    classes, truth = np.array(predictions.classes), predictions.truth
    strata = index[data.strata].reset_index(drop=True)
    by_seed = []
    for seed, probabilities in zip(predictions.seeds, predictions.stacked, strict=True):
        rows = predictions.of_seed(seed)
        table = classification.image_scores(truth, probabilities)
        table["predicted"] = classes[table["predicted"]]
        by_seed.append(pd.concat([rows[["id", "seed", "fold"]], strata, rows[["label"]], table], axis=1))
    scores = pd.concat(by_seed, ignore_index=True)

    scaled, calibration = calibrate(predictions, validation)
    metrics = classification.headline(
        truth, predictions.stacked, index["group"].to_numpy(), scaled=scaled, resamples=resamples
    )
    correct = predictions.stacked.argmax(axis=2) == truth
    metrics |= {
        "temperature": float(calibration["temperature"].mean()),
        "aurc_optimal": float(np.mean([optimal_aurc(accuracy) for accuracy in correct.mean(axis=1)])),
        "folds": len(folds),
    }
    report = classification.class_report(truth, predictions.stacked.argmax(axis=2), predictions.classes)
    confusion = by_seed[0][["label", "predicted"]].rename(columns={"label": "actual"})
    write_text(folder / "confusion.csv", confusion.to_csv(index=False))
    write_text(folder / "classification_report.csv", report.to_csv(index=False, float_format="%.6f"))
    found = curves(truth, predictions.stacked, predictions.classes)
    write_text(folder / "calibration.csv", calibration.to_csv(index=False, float_format="%.6f"))
    write_text(folder / "curves.csv", found.to_csv(index=False, float_format="%.5g"))
    _write(folder, scores, metrics)
    _say(name, "accuracy", metrics["accuracy"], metrics["images"])
    return metrics


def _write(folder: Path, scores: pd.DataFrame, metrics: dict[str, Any]) -> None:
    write_text(folder / "scores.csv", scores.to_csv(index=False, float_format="%.6f"))
    write_text(folder / "metrics.json", json.dumps(metrics, indent=2, allow_nan=False) + "\n")


def _say(name: str, score: str, found: dict[str, float], images: int) -> None:
    logger.info("%s: %s %.4f (%.4f to %.4f) on %d images", name, score, *found.values(), images)


def _check_same_images(predictions: Predictions, data: Prepared, rows: np.ndarray, folder: Path) -> None:
    ids = data.index["id"].iloc[rows].tolist()
    shapes = shapes_of(data.true_masks())
    sizes = [shapes[row] for row in rows]
    if predictions.ids != ids or any(shapes_of(masks) != sizes for masks in predictions.masks.values()):
        raise BakeoffError(
            f"{folder / 'predictions.csv'} was made from another test split or size than {data.folder} has: "
            f"run `{making(folder, force=True)}`."
        )


def _check_same_classes(
    predictions: Probabilities, data: Prepared, target: str, folds: list[Fold], folder: Path, part: Part
) -> None:
    path = folder / PROBABILITY_FILES[part]
    if predictions.classes != [str(value) for value in data.targets(target)]:
        raise BakeoffError(
            f"{path} has other classes than {data.folder} has of '{target}': run `{making(path, force=True)}`."
        )
    table = predictions.of_seed(predictions.seeds[0])
    # In the order of the index, and of one image in that of the folds.
    places = sorted((row, fold.number) for fold in folds for row in getattr(fold, part))
    index = data.index.iloc[[row for row, _ in places]]
    expected = {
        "id": index["id"].tolist(),
        "label": index[target].astype(str).tolist(),
        "fold": [fold for _, fold in places],
    }
    for column, values in expected.items():
        if table[column].tolist() != values:
            raise BakeoffError(
                f"{path} was made from another split than {data.folder} has: "
                f"its column '{column}' differs; run `{making(path, force=True)}`."
            )
