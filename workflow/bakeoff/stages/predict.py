"""Predict the test images with every trained network of an experiment."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bakeoff import provenance
from bakeoff.datasets.prepared import open_prepared
from bakeoff.errors import BakeoffError
from bakeoff.predictions import write_predictions, write_text
from bakeoff.training.device import Runtime, set_up
from bakeoff.training.preprocessing import channels_first, class_indices, normalise, to_unit_range
from bakeoff.training.saved import load_network

# Fixed, since the last bits of a logit may depend on it.
BATCH_SIZE = 16


def predict(name: str, prepared: Path, models: Path, folder: Path) -> None:
    """Write masks of the test split by every seed, and what the experiment cost.

    Parameters
    ----------
    name
        Of the experiment, for messages.
    prepared
        `data/prepared/NAME`.
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
    rows = data.rows("test")
    images = channels_first(data.images[rows])
    paths = {int(path.stem.removeprefix("seed")): path for path in models.glob("seed*.safetensors")}
    if not paths:
        raise BakeoffError(f"{models} holds no trained network of {name}: run the stage that fits first.")

    masks: dict[int, np.ndarray] = {}
    speeds: list[float] = []
    records: list[dict[str, Any]] = []
    for seed, path in sorted(paths.items()):
        network, description = load_network(path)
        if (description.in_channels, description.classes) != (data.images.shape[-1], data.classes):
            raise BakeoffError(f"{path} was trained for other channels or classes than {prepared} has: fit again.")
        runtime = set_up(description.precision)
        network.to(runtime.device).to(memory_format=torch.channels_last)
        predict_masks(network, images[:BATCH_SIZE], runtime)  # the first batch pays for what later ones reuse
        began = time.perf_counter()
        masks[seed] = predict_masks(network, images, runtime)
        speeds.append(len(images) / (time.perf_counter() - began))
        records.append(json.loads(path.with_suffix(".json").read_text()))

    write_predictions(folder, data.index["id"].iloc[rows].tolist(), masks)
    model_mib = max(path.stat().st_size for path in paths.values()) / 2**20
    write_text(folder / "cost.json", json.dumps(_cost(records, speeds, model_mib, runtime), indent=2) + "\n")


@torch.inference_mode()
def predict_masks(network: nn.Module, images: Tensor, runtime: Runtime) -> np.ndarray:
    """Class indices, uint8 (n, height, width), of images, uint8 (n, channels, height, width)."""
    network.eval()
    batches = []
    for batch in images.split(BATCH_SIZE):
        inputs = normalise(to_unit_range(batch.to(runtime.device)), network)  # type: ignore[arg-type]
        with runtime.autocast():
            logits = network(inputs)
        batches.append(class_indices(logits).to("cpu", torch.uint8))
    return torch.cat(batches).numpy()


def _cost(records: list[dict[str, Any]], speeds: list[float], model_mib: float, runtime: Runtime) -> dict[str, Any]:
    return {
        "parameters": records[0]["parameters"],
        "model_mib": model_mib,
        "training_seconds": float(np.mean([record["training_seconds"] for record in records])),
        "predict_images_per_second": float(np.mean(speeds)),
        "peak_memory_mib": max(record["peak_memory_mib"] for record in records),
        "device": runtime.name,
        "note": f"means over {len(records)} seeds; peak memory is that of training, the highest of the seeds",
        "manifest": provenance.manifest(),
    }
