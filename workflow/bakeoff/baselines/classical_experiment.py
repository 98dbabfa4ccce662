"""Fit the classical classifier of an experiment, and predict the test and the validation images with it."""

import json
import logging
import re
import resource
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.pipeline import Pipeline

from bakeoff.artefacts.atomic import atomic_folder
from bakeoff.artefacts.cost import Work, cost_of_trainings, latency_ms, work_so_far, write_cost
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.layout import making
from bakeoff.artefacts.predictions import PROBABILITY_FILES, Part, probability_table, write_probabilities
from bakeoff.artefacts.prepared import Fold, Prepared, open_prepared, read_folds, run_name
from bakeoff.artefacts.provenance import manifest, thread_count
from bakeoff.baselines.classical import (
    Classifier,
    build,
    check_features,
    describe_estimator,
    draws_at_random,
    extract_features,
    fit_estimator,
    load_classifier,
    save_classifier,
)

log = logging.getLogger(__name__)


def fit(
    name: str, settings: Mapping[str, Any], target: str, seeds: int, prepared: Path, split: Path, folder: Path
) -> None:
    """Fit once a fold and, if the method draws at random, once a seed; only the fold's training images are looked at.

    Parameters
    ----------
    name
        Of the experiment, for messages.
    settings
        `method`, a name in `bakeoff.baselines.classical.METHODS`; `features` and `side`, see `extract_features`;
        `settings`, see `build`. The method `majority` goes with the features `none`, the others with some.
    target
        Label to predict.
    seeds
        How many a method that draws at random is fitted with, 0 to `seeds - 1`; another has seed 0 alone.
    prepared
        `data/prepared/DATASET`.
    split
        `data/splits/TASK.csv`.
    folder
        The experiment's folder `models`, written whole or not at all: `seedK.skops` and its record `seedK.json`; with
        cross-validation `seedK-foldJ` in place of `seedK`.

    Raises
    ------
    BakeoffError
        If the settings are wrong, or the training images of a fold are of one class.
    """
    key = f"params.yaml: experiments.baselines.{split.stem}.methods.{name}"
    check_settings(key, settings)
    data = open_prepared(prepared)
    folds = read_folds(split, data)
    classes = data.targets(target)
    labels = np.searchsorted(classes, data.index[target].to_numpy(str))
    for fold in folds:
        _check_classes(labels[fold.train], classes, split, fold)
    images = max(len(fold.train) for fold in folds)
    if not draws_at_random(settings["method"], settings["settings"], images):
        seeds = 1

    with atomic_folder(folder) as models:
        for fold in folds:
            began = time.perf_counter()
            features = extract_features(_images(data, fold.train), settings["features"], settings["side"])
            seconds = time.perf_counter() - began
            log.info("%s: features of %d images in %.1f s", _run(name, 0, fold), len(features), seconds)
            for seed in range(seeds):
                began = time.perf_counter()
                estimator, remarks = _fit_estimator(key, settings, seed, features, labels[fold.train])
                seconds_of_fit = time.perf_counter() - began
                log.info("%s", "; ".join([f"{_run(name, seed, fold)}: fitted in {seconds_of_fit:.1f} s", *remarks]))
                path = models / f"{run_name(seed, fold.number, len(folds))}.skops"
                shape, kind = data.images[0].shape, data.geometry.kind
                seen = Classifier(estimator, classes, settings["features"], settings["side"], shape, kind)
                save_classifier(path, seen)
                about = {
                    "experiment": name,
                    "dataset": data.about["name"],
                    "synthetic": data.about["synthetic"],
                    "task": split.stem,
                }
                record = _record(seed, fold, estimator, remarks, seconds + seconds_of_fit, path)
                path.with_suffix(".json").write_text(json.dumps({**about, **record}, indent=2) + "\n")


def predict(
    name: str, target: str, prepared: Path, split: Path, models: Path, folder: Path, since: Work | None = None
) -> None:
    """Write class probabilities of the test and the validation images by every seed, and what the experiment cost.

    Parameters
    ----------
    name
        Of the experiment, for messages.
    target
        Label to predict.
    prepared
        `data/prepared/DATASET`.
    split
        `data/splits/TASK.csv`.
    models
        The experiment's folder `models`, as `fit` wrote it.
    folder
        The experiment's folder `predictions`: `predictions.csv`, `validation.csv` and `cost.json`.
    since
        What the processors had done when the experiment began; None: it begins here.

    Raises
    ------
    BakeoffError
        If there is no classifier, or one is not for these data.
    """
    since = since or work_so_far()
    data = open_prepared(prepared)
    folds = read_folds(split, data)
    classes = data.targets(target)
    seeds = sorted({json.loads(path.read_text())["seed"] for path in models.glob("seed*.json")})
    if not seeds:
        raise BakeoffError(f"{models} holds no classifier of {name}: run `{making(models)}`.")

    predicted: dict[Part, list[tuple[int, int, np.ndarray, np.ndarray]]] = {part: [] for part in PROBABILITY_FILES}
    speeds: list[float] = []
    records: list[dict[str, Any]] = []
    for fold in folds:
        images = _images(data, fold.test)
        for seed in seeds:
            path = models / f"{run_name(seed, fold.number, len(folds))}.skops"
            classifier = load_classifier(path)
            began = time.perf_counter()
            probabilities = _predict(classifier, images, classes, path, prepared)
            speeds.append(len(images) / (time.perf_counter() - began))
            records.append(json.loads(path.with_suffix(".json").read_text()))
            log.info("%s: %d images predicted, %.0f a second", _run(name, seed, fold), len(images), speeds[-1])
            chosen_on = _predict(classifier, _images(data, fold.validation), classes, path, prepared)
            predicted["test"].append((seed, fold.number, fold.test, probabilities))
            predicted["validation"].append((seed, fold.number, fold.validation, chosen_on))

    for part in PROBABILITY_FILES:
        write_probabilities(folder, probability_table(data.index, target, classes, predicted[part]), part)
    latency = latency_ms(lambda place: classifier.probabilities(images[place : place + 1]), len(images))
    write_cost(folder, _cost(records, speeds, latency), since)


def check_settings(key: str, settings: Mapping[str, Any]) -> Pipeline:
    """An unfitted estimator, and all that can be known of its settings before an image is read.

    Parameters
    ----------
    key
        Of the method in the configuration, for messages.
    settings
        Its entry.

    Raises
    ------
    BakeoffError
        If they are wrong.
    """
    method, features = settings["method"], settings["features"]
    try:
        pipeline = build(method, settings["settings"], 0, 1)
        check_features(features, settings["side"])
        if (method == "majority") != (features == "none"):
            wanted = "none, majority looks at no image" if method == "majority" else f"others than none for {method}"
            raise ValueError(f"features is '{features}', make it {wanted}")
    except ValueError as error:
        raise BakeoffError(f"{key}: {error}.") from None
    return pipeline


def _check_classes(labels: np.ndarray, classes: list[str], split: Path, fold: Fold) -> None:
    present = np.unique(labels)
    if len(present) < 2:
        raise BakeoffError(
            f"{split}: all training images of fold {fold.number} are {classes[present[0]]}: "
            "change the task's split so that there is something to tell apart."
        )


def _images(data: Prepared, rows: np.ndarray) -> list[np.ndarray]:
    """Views of the images at `rows`: none is copied."""
    return [data.images[row] for row in rows]


def _run(name: str, seed: int, fold: Fold) -> str:
    """What a fit is called in messages."""
    return f"{name}, seed {seed}" + (f", fold {fold.number}" if fold.number else "")


def _fit_estimator(
    key: str, settings: Mapping[str, Any], seed: int, features: np.ndarray, labels: np.ndarray
) -> tuple[ClassifierMixin, list[str]]:
    return fit_pipeline(key, build(settings["method"], settings["settings"], seed, thread_count()), features, labels)


def fit_pipeline(
    key: str, pipeline: Pipeline, features: np.ndarray, labels: np.ndarray
) -> tuple[ClassifierMixin, list[str]]:
    """`fit_estimator`, whose complaints name the `key` of the settings in the configuration.

    Raises
    ------
    BakeoffError
        If a setting has a value that the estimator does not take.
    """
    try:
        return fit_estimator(pipeline, features, labels)
    except ValueError as error:
        # scikit-learn says "parameter of" whatever called the estimator, which is not in the configuration.
        reason = re.sub(r"parameter of \w+", "parameter", str(error).splitlines()[0]).rstrip(".")
        raise BakeoffError(f"{key}.settings: {reason}: change it.") from None


def _record(
    seed: int, fold: Fold, estimator: ClassifierMixin, remarks: list[str], seconds: float, path: Path
) -> dict[str, Any]:
    parameters, size = describe_estimator(estimator)
    return {
        "seed": seed,
        "fold": fold.number,
        "training_seconds": seconds,
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10,
        "parameters": parameters,
        "parameters_trainable": parameters,
        "model_mib": path.stat().st_size / 2**20,
        "device": "cpu",
        "threads": thread_count(),
        "weights": None,
        "note": "; ".join([size, *remarks]),
        "manifest": manifest(),
    }


def _predict(
    classifier: Classifier, images: list[np.ndarray], classes: list[str], path: Path, prepared: Path
) -> np.ndarray:
    if classifier.classes != classes:
        raise BakeoffError(f"{path} was fitted for other classes than {prepared} has: fit again.")
    try:
        return classifier.probabilities(images)
    except ValueError as error:
        raise BakeoffError(f"{path} does not fit {prepared} ({error}): fit again.") from None


def _cost(records: list[dict[str, Any]], speeds: list[float], latency: float) -> dict[str, Any]:
    return cost_of_trainings(
        records,
        speeds,
        multiply_adds=None,
        latency_ms=latency,
        model_mib=max(record["model_mib"] for record in records),
        device="cpu",
        note=f"means over {len(records)} training{'s'[: len(records) > 1]}, with the time that features take; peak "
        f"memory is that of training, the highest of them; the first: {records[0]['note']}",
    )
