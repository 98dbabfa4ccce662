"""Predict the test images with every trained network of an experiment."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from bakeoff import provenance
from bakeoff.appearing import write_text
from bakeoff.datasets.prepared import Fold, Prepared, open_images, open_prepared, read_folds, run_name, tested_rows
from bakeoff.errors import BakeoffError
from bakeoff.predictions import write_predictions, write_probabilities
from bakeoff.training.device import set_up
from bakeoff.training.inference import BATCH_SIZE, predict_masks, predict_probabilities
from bakeoff.training.preprocessing import channels_first
from bakeoff.training.saved import Description, load_network


def predict(name: str, prepared: Path, split: Path, images: Path | None, models: Path, folder: Path) -> None:
    """Write what every trained network predicts of the images that its fold tests, and what the experiment cost.

    Parameters
    ----------
    name
        Of the experiment, for messages.
    prepared
        `data/prepared/DATASET`.
    split
        `data/splits/TASK.csv`.
    images
        `data/inputs/NAME`, pictures in place of the data set's; None for those.
    models
        `results/models/NAME`, as `fit` wrote it.
    folder
        `results/experiments/NAME`.

    Raises
    ------
    BakeoffError
        If there is no network, or one is not for these data.
    """
    data = open_prepared(prepared)
    folds = read_folds(split, data)
    runs = {
        (seed, fold.number): _predict_fold(models, seed, fold, len(folds), data, images)
        for seed in _seeds(models, name)
        for fold in folds
    }
    some = next(iter(runs.values())).description
    if some.target is None:
        _write_masks(folder, data, folds, runs)
    else:
        write_probabilities(folder, _probability_table(data, folds, some, runs))
    model_mib = max(path.stat().st_size for path in models.glob("*.safetensors")) / 2**20
    write_text(folder / "cost.json", json.dumps(_cost(list(runs.values()), model_mib), indent=2) + "\n")


@dataclass(frozen=True)
class Run:
    """What one training's network predicts of its fold's test images: classes (n, H, W), or probabilities (n, k)."""

    description: Description
    record: dict[str, Any]
    predicted: np.ndarray
    images_per_second: float
    device: str


def _seeds(models: Path, name: str) -> list[int]:
    seeds = sorted({json.loads(path.read_text())["seed"] for path in models.glob("seed*.json")})
    if not seeds:
        raise BakeoffError(f"{models} holds no trained network of {name}: run the stage that fits first.")
    return seeds


def _predict_fold(models: Path, seed: int, fold: Fold, folds: int, data: Prepared, folder: Path | None) -> Run:
    path = models / f"{run_name(seed, fold.number, folds)}.safetensors"
    network, description = load_network(path)
    pictures = open_images(data, folder, fold.number)
    classes = data.classes if description.target is None else data.targets(description.target)
    if (description.in_channels, description.classes) != (pictures.shape[-1], classes):
        raise BakeoffError(f"{path} was trained for other channels or classes than {data.folder} has: fit again.")
    runtime = set_up(description.precision)
    network.to(runtime.device).to(memory_format=torch.channels_last)
    images = channels_first(pictures[fold.test])
    run = predict_masks if description.target is None else predict_probabilities
    run(network, images[:BATCH_SIZE], runtime)  # the first batch pays for what later ones reuse
    began = time.perf_counter()
    predicted = run(network, images, runtime)
    speed = len(images) / (time.perf_counter() - began)
    return Run(description, json.loads(path.with_suffix(".json").read_text()), predicted, speed, runtime.name)


def _write_masks(folder: Path, data: Prepared, folds: list[Fold], runs: dict[tuple[int, int], Run]) -> None:
    rows = tested_rows(folds)
    masks = {seed: np.zeros((len(rows), *data.images.shape[1:3]), np.uint8) for seed, _ in runs}
    for (seed, number), run in runs.items():
        masks[seed][np.searchsorted(rows, folds[number].test)] = run.predicted
    write_predictions(folder, data.index["id"].iloc[rows].tolist(), masks)


def _probability_table(
    data: Prepared, folds: list[Fold], description: Description, runs: dict[tuple[int, int], Run]
) -> pd.DataFrame:
    parts = []
    for (seed, number), run in runs.items():
        rows = folds[number].test
        part = data.index.iloc[rows][["id"]].assign(seed=seed, fold=number)
        part["label"] = data.index[description.target].iloc[rows]
        columns = [f"p_{name}" for name in description.classes]
        parts.append(pd.concat([part, pd.DataFrame(run.predicted, part.index, columns)], axis=1))
    return pd.concat(parts).rename_axis("row").sort_values(["seed", "row"], kind="stable").reset_index(drop=True)


def _origin(weights: dict[str, Any] | None) -> str | None:
    """Where the weights that a training started from came from, if from anywhere."""
    if weights is None:
        return None
    return "random" if weights["random"] else "official" if weights["official"] else "mirror"


def _cost(runs: list[Run], model_mib: float) -> dict[str, Any]:
    records = [run.record for run in runs]
    return {
        "parameters": records[0]["parameters"],
        "model_mib": model_mib,
        "training_seconds": float(np.mean([record["training_seconds"] for record in records])),
        "predict_images_per_second": float(np.mean([run.images_per_second for run in runs])),
        "peak_memory_mib": max(record["peak_memory_mib"] for record in records),
        "device": runs[0].device,
        "weights": _origin(records[0]["weights"]),
        "note": f"means over {len(records)} trainings; peak memory is that of training, the highest of them",
        "manifest": provenance.manifest(),
    }
