"""Predict the test images with a global threshold."""

import resource
import time
from pathlib import Path
from typing import Any

import numpy as np

from bakeoff.artefacts.cost import latency_ms, work_so_far, write_cost
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.grey_levels import grey, histogram
from bakeoff.artefacts.predictions import write_predictions
from bakeoff.artefacts.prepared import Fold, Prepared, open_prepared, read_folds, tested_rows
from bakeoff.artefacts.void import VOID
from bakeoff.baselines.foreground import FOREGROUNDS, class_dice, fixed_class, foreground_masks
from bakeoff.baselines.multiotsu import multiotsu
from bakeoff.baselines.thresholds import THRESHOLDS

NOTES = {
    "train": "The class of grey levels taken for foreground was chosen on the training images.",
    "oracle": "The class of grey levels taken for foreground was chosen with each test image's truth seen: a bound.",
}


def threshold(name: str, settings: dict[str, Any], prepared: Path, split: Path, folder: Path) -> None:
    """Write `predictions.csv`, `seed0/masks.npy` and `cost.json` of an experiment.

    Parameters
    ----------
    name
        The experiment's name.
    settings
        `method`: a name in `THRESHOLDS`, or multiotsu; `classes`: how many, multiotsu alone; `foreground`: dark,
        bright, the number of a class (0 the darkest), train or oracle.
    prepared
        `data/prepared/DATASET`.
    split
        `data/splits/TASK.csv`.
    folder
        The experiment's folder `predictions`.

    Raises
    ------
    BakeoffError
        If the settings name no method or class that there is, or the data set has no masks.
    """
    began = work_so_far()
    key = f"params.yaml: experiments.baselines.{split.stem}.methods.{name}"
    _check(key, settings)
    data = open_prepared(prepared)
    index = _class_looked_for(key, data, settings.get("score"))
    folds = read_folds(split, data)
    test, choice = tested_rows(folds), settings["foreground"]

    started = time.perf_counter()
    trained = _best_class_on_train(data, settings, folds, index) if choice == "train" else None
    training_seconds = (time.perf_counter() - started) / len(folds)

    started = time.perf_counter()
    thresholds, foreground, masks = _predict(data, settings, trained, test, data.histograms[test], index)
    predict_seconds = time.perf_counter() - started

    found = ~np.isnan(thresholds).any(axis=1)
    extra = {
        "thresholds": [
            " ".join(f"{level:g}" for level in levels) if ok else ""
            for levels, ok in zip(thresholds.round(4).tolist(), found, strict=True)
        ],
        "foreground": foreground.tolist(),
        "note": ["" if ok else "no threshold found: all background" for ok in found],
    }
    shown = [data.without_pads(mask, row) for row, mask in zip(test, masks, strict=True)]
    write_predictions(folder, data.index["id"].iloc[test].tolist(), {0: shown}, extra)
    cost = {
        "parameters": 0,
        "multiply_adds": None,
        "model_mib": 0.0,
        "training_seconds": round(training_seconds, 4),
        "predict_images_per_second": round(len(test) / predict_seconds, 1),
        "latency_ms": latency_ms(lambda place: _predict_alone(data, settings, trained, test[place], index), len(test)),
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "device": "cpu",
        "note": NOTES.get(str(choice), "The class of grey levels taken for foreground is fixed in the configuration."),
    }
    write_cost(folder, cost, began)


def _predict(
    data: Prepared,
    settings: dict[str, Any],
    trained: np.ndarray | None,
    rows: np.ndarray,
    counts: np.ndarray,
    index: int,
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Thresholds (n, classes - 1), class taken for foreground (n,) and masks (H, W) of the images at `rows`."""
    thresholds = find_thresholds(counts, settings)
    if settings["foreground"] == "oracle":
        foreground = class_dice(thresholds, *_answered_and_inside(data, rows, index)).argmax(axis=1)
    elif trained is not None:
        foreground = trained[rows]
    else:
        foreground = np.full(len(rows), fixed_class(settings["foreground"], thresholds.shape[1] + 1))
    levels = [grey(data.images[row]) for row in rows]
    return thresholds, foreground, foreground_masks(levels, thresholds, foreground, index)


def _predict_alone(data: Prepared, settings: dict[str, Any], trained: np.ndarray | None, row: int, index: int) -> None:
    # Of a single image the histogram is part of the work; of all together it was made once for all thresholds.
    counts = histogram(grey(data.shown(row)))[None].astype(data.histograms.dtype)
    _predict(data, settings, trained, np.array([row]), counts, index)


def find_thresholds(counts: np.ndarray, settings: dict[str, Any]) -> np.ndarray:
    """Thresholds of n pictures from their histograms, (n, 256): float64, (n, classes - 1), NaN where there is none."""
    if settings["method"] == "multiotsu":
        return multiotsu(counts, settings["classes"])
    return THRESHOLDS[settings["method"]](counts)[:, None]


def _check(key: str, settings: dict[str, Any]) -> None:
    method, choice = settings["method"], settings["foreground"]
    if method not in (*THRESHOLDS, "multiotsu"):
        raise BakeoffError(f"{key}.method is '{method}': make it one of {', '.join(THRESHOLDS)}, multiotsu.")
    classes = settings.get("classes") or 2
    if choice in ("train", "oracle"):
        return
    try:
        fixed_class(choice, classes)
    except ValueError:
        raise BakeoffError(
            f"{key}.foreground is '{choice}': "
            f"make it a number from 0 to {classes - 1}, or one of {', '.join(FOREGROUNDS)}."
        ) from None


def _class_looked_for(key: str, data: Prepared, ranked_by: Any) -> int:
    """Index in the masks of the one class that a threshold tells from the rest."""
    data.true_masks()
    scored = data.score(ranked_by).scored
    if len(scored) > 1 or data.background is None:
        raise BakeoffError(
            f"{key}: a threshold tells one class from the background, and its task has several: take it out of this "
            "task, or let the task's score name one class."
        )
    return scored[0]


def _answered_and_inside(data: Prepared, rows: np.ndarray, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Histograms of the pixels that are not void, and of those truly of the class, int64, (rows, 256) each."""
    masks = data.true_masks()
    found = [
        [histogram(grey(data.images[row]), within=within) for within in (masks[row] != VOID, masks[row] == index)]
        for row in rows
    ]
    answered, inside = np.array(found).swapaxes(0, 1)
    return answered, inside


def _best_class_on_train(data: Prepared, settings: dict[str, Any], folds: list[Fold], index: int) -> np.ndarray:
    """For every image the class that is best on the training images of the fold that tests it, int64."""
    best = np.zeros(len(data.images), np.int64)
    for fold in folds:
        counts = data.histograms[fold.train]
        dice = class_dice(find_thresholds(counts, settings), *_answered_and_inside(data, fold.train, index))
        best[fold.test] = dice.mean(axis=0).argmax()
    return best
