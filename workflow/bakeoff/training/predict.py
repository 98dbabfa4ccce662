"""Predict the test images, and of a classification the validation images, with all networks of an experiment."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from bakeoff.artefacts.cost import Work, cost_of_trainings, latency_ms, work_so_far, write_cost
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.layout import making
from bakeoff.artefacts.predictions import (
    PROBABILITY_FILES,
    Part,
    probability_table,
    write_predictions,
    write_probabilities,
)
from bakeoff.artefacts.prepared import Fold, Prepared, open_images, open_prepared, read_folds, run_name, tested_rows
from bakeoff.artefacts.ragged import of_one_size
from bakeoff.artefacts.windows import blended_classes
from bakeoff.training.device import set_up
from bakeoff.training.inference import BATCH_SIZE, predict_mask_probabilities, predict_masks, predict_probabilities
from bakeoff.training.preprocessing import channels_first
from bakeoff.training.saved import Description, load_network


def predict(
    name: str, prepared: Path, split: Path, images: Path | None, models: Path, folder: Path, since: Work | None = None
) -> None:
    """Write what every trained network predicts of the images that its fold tests, and what the experiment cost.

    Of a classification also what it predicts of its fold's validation images, on which probabilities are calibrated.

    Parameters
    ----------
    name
        Of the experiment, for messages.
    prepared
        `data/prepared/DATASET`.
    split
        `data/splits/TASK.csv`.
    images
        `data/prepared/NAME` of derived pictures in place of the data set's; None for those.
    models
        The experiment's folder `models`, as `fit` wrote it.
    folder
        The experiment's folder `predictions`.
    since
        What the processors had done when the experiment began; None: it begins here.

    Raises
    ------
    BakeoffError
        If there is no network, or one is not for these data.
    """
    since = since or work_so_far()
    data = open_prepared(prepared)
    folds = read_folds(split, data)
    places = [(seed, fold) for seed in _seeds(models, name) for fold in folds]
    # All networks of an experiment cost the same: the first one's cost is that of all.
    runs = [
        _predict_fold(models, seed, fold, len(folds), data, images, measured=place == 0)
        for place, (seed, fold) in enumerate(places)
    ]
    if runs[0].description.target is None:
        _write_masks(folder, data, folds, runs)
    else:
        _write_probabilities(folder, data, runs)
    model_mib = max(path.stat().st_size for path in models.glob("*.safetensors")) / 2**20
    write_cost(folder, _cost(runs, model_mib), since)


@dataclass(frozen=True)
class Run:
    """What one training's network predicts.

    Attributes
    ----------
    description, record
        What the network's file says of it, and what its training wrote down.
    seed, fold
        Of the training.
    predicted
        Of its fold's test images classes, (H, W) each; or probabilities (n, k) of those and of the validation images.
    images_per_second
        How fast it predicts, many images at a time.
    alone
        `latency_ms` and `multiply_adds` of a single image; empty where they were not measured.
    device
        Where it ran.
    """

    description: Description
    record: dict[str, Any]
    seed: int
    fold: Fold
    predicted: dict[Part, Sequence[np.ndarray] | np.ndarray]
    images_per_second: float
    alone: dict[str, float]
    device: str


def _seeds(models: Path, name: str) -> list[int]:
    seeds = sorted({json.loads(path.read_text())["seed"] for path in models.glob("seed*.json")})
    if not seeds:
        raise BakeoffError(f"{models} holds no trained network of {name}: run `{making(models)}`.")
    return seeds


def _predict_fold(
    models: Path, seed: int, fold: Fold, folds: int, data: Prepared, folder: Path | None, *, measured: bool
) -> Run:
    path = models / f"{run_name(seed, fold.number, folds)}.safetensors"
    network, description = load_network(path)
    pictures, geometry = open_images(data, folder, fold.number), data.geometry
    classes = data.classes if description.target is None else data.targets(description.target)
    if (description.in_channels, description.classes) != (pictures[0].shape[-1], classes):
        raise BakeoffError(f"{path} was trained for other channels or classes than {data.folder} has: fit again.")
    runtime = set_up(description.precision)
    network.to(runtime.device).to(memory_format=torch.channels_last)
    run = predict_masks if description.target is None else predict_probabilities

    def of_windows(windows: np.ndarray) -> np.ndarray:
        return predict_mask_probabilities(network, channels_first(windows), runtime)

    def predict_rows(rows: np.ndarray, batch_size: int = BATCH_SIZE) -> Sequence[np.ndarray] | np.ndarray:
        if geometry.tiled:
            return [blended_classes(pictures[row], geometry, len(classes), of_windows) for row in rows]
        return run(network, channels_first(of_one_size(pictures)[rows]), runtime, batch_size=batch_size)

    predict_rows(fold.test[:1])  # the first batch pays for what later ones reuse
    began = time.perf_counter()
    predicted: dict[Part, Sequence[np.ndarray] | np.ndarray] = {"test": predict_rows(fold.test)}
    speed = len(fold.test) / (time.perf_counter() - began)
    if description.target is not None:
        predicted["validation"] = predict_rows(fold.validation)
    return Run(
        description=description,
        record=json.loads(path.with_suffix(".json").read_text()),
        seed=seed,
        fold=fold,
        predicted=predicted,
        images_per_second=speed,
        alone=_cost_alone(partial(predict_rows, batch_size=1), fold.test) if measured else {},
        device=runtime.name,
    )


def _cost_alone(predict_rows: Callable[[np.ndarray], object], rows: np.ndarray) -> dict[str, float]:
    return {
        "multiply_adds": multiply_adds(lambda: predict_rows(rows[:1])),
        "latency_ms": latency_ms(lambda place: predict_rows(rows[place : place + 1]), len(rows)),
    }


def multiply_adds(predict_one: Callable[[], object]) -> int:
    """Multiplications with an addition in the convolutions and matrix products of one call.

    Other arithmetic (normalisation, activations, interpolation, pooling) is not counted, as is the field's custom.
    Torch counts two operations each.
    """
    with FlopCounterMode(display=False) as counter:
        predict_one()
    return int(counter.get_total_flops()) // 2


def _write_masks(folder: Path, data: Prepared, folds: list[Fold], runs: list[Run]) -> None:
    rows = tested_rows(folds)
    masks: dict[int, dict[int, np.ndarray]] = {run.seed: {} for run in runs}
    for run in runs:
        for row, mask in zip(run.fold.test.tolist(), run.predicted["test"], strict=True):
            masks[run.seed][row] = data.without_pads(mask, row)
    in_order = {seed: [found[row] for row in rows.tolist()] for seed, found in masks.items()}
    write_predictions(folder, data.index["id"].iloc[rows].tolist(), in_order)


def _write_probabilities(folder: Path, data: Prepared, runs: list[Run]) -> None:
    target, classes = str(runs[0].description.target), runs[0].description.classes
    for part in PROBABILITY_FILES:
        predicted = [
            (run.seed, run.fold.number, getattr(run.fold, part), np.asarray(run.predicted[part])) for run in runs
        ]
        write_probabilities(folder, probability_table(data.index, target, classes, predicted), part)


def _origin(weights: dict[str, Any] | None) -> str | None:
    """Where the weights that a training started from came from, if from anywhere."""
    if weights is None:
        return None
    return "random" if weights["random"] else "official" if weights["official"] else "mirror"


def _cost(runs: list[Run], model_mib: float) -> dict[str, Any]:
    records = [run.record for run in runs]
    return cost_of_trainings(
        records,
        [run.images_per_second for run in runs],
        **runs[0].alone,
        model_mib=model_mib,
        device=runs[0].device,
        weights=_origin(records[0]["weights"]),
        note=f"means over {len(records)} training{'s'[: len(records) > 1]}; peak memory is that of training, the "
        "highest of them",
    )
