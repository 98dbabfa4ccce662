"""Train the network of an experiment, once a seed, and keep the best weights of each."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

import bakeoff
from bakeoff import provenance
from bakeoff.datasets.prepared import Prepared, open_prepared
from bakeoff.errors import BakeoffError
from bakeoff.training import checkpoint
from bakeoff.training.device import Runtime, set_up
from bakeoff.training.interruption import stops_when_told
from bakeoff.training.loop import Split, State, Task, best_epoch, train
from bakeoff.training.preprocessing import channels_first
from bakeoff.training.saved import Description, architecture, build_network, parameter_counts, save_network

COLUMNS = [
    "epoch",
    "train_loss",
    "validation_loss",
    "validation_dice",
    "learning_rate",
    "images_per_second",
    "seconds",
]


def fit(
    name: str,
    settings: dict[str, Any],
    recipe: dict[str, Any],
    seeds: int,
    prepared: Path,
    weights: Path | None,
    folder: Path,
    history: Path,
) -> None:
    """Train seeds 0 to `seeds - 1`; a seed that was trained before is not trained again, a killed one goes on.

    Parameters
    ----------
    name
        Of the experiment, for messages.
    settings
        The experiment: `model`, and `settings` for the model's `build`.
    recipe
        See `bakeoff.training.loop.Task`; and `precision`.
    prepared
        `data/prepared/NAME`.
    weights
        `data/weights/NAME`, for the model's encoder; None starts from random weights.
    folder, history
        Written when every seed is done, each whole or not at all: `seedK.safetensors` and `seedK.json`;
        `seedK/history.csv`.

    Raises
    ------
    BakeoffError
        If the model does not take its settings, the weights do not fit, or the training cannot go on.
    """
    data = open_prepared(prepared)
    about_weights = None if weights is None else json.loads((weights / "weights.json").read_text())
    # Weights know where their strides are, and the network has to be built the same way.
    strides = {key: value for key, value in (about_weights or {}).items() if key == "stride_in"}
    build_settings = {**strides, **settings["settings"]}
    runtime = set_up(recipe["precision"])

    with stops_when_told():
        trained = [
            _fit_seed(name, settings["model"], build_settings, recipe, seed, data, weights, about_weights, runtime)
            for seed in range(seeds)
        ]
    _write(folder, history, trained)


Trained = tuple[State, dict[str, Any], Description]


def _fit_seed(
    name: str,
    model: str,
    settings: dict[str, Any],
    recipe: dict[str, Any],
    seed: int,
    data: Prepared,
    weights: Path | None,
    about_weights: dict[str, Any] | None,
    runtime: Runtime,
) -> Trained:
    """Best weights of a seed, the record of its training with the history, and its description."""
    what = f"{name}, seed {seed}"
    task = Task(
        what, _split(data, "train"), _split(data, "validation"), data.classes, recipe, seed, weights is not None
    )
    torch.manual_seed(seed)
    network = build_network(model, data.images.shape[-1], len(data.classes), settings, f"experiment {name}")
    if weights is not None:
        _load_encoder(network, model, weights)
    description = Description(
        architecture=model,
        settings=settings,
        in_channels=data.images.shape[-1],
        classes=data.classes,
        size=data.images.shape[1],
        mean=list(network.mean),  # type: ignore[arg-type]
        std=list(network.std),  # type: ignore[arg-type]
        precision=runtime.precision,
    )

    key = checkpoint.key_of(_determinants(model, settings, recipe, seed, task, weights, runtime))
    checkpoints = checkpoint.CheckpointFolder(checkpoint.HOME / key)
    with checkpoints.held(what):
        if (done := checkpoints.finished()) is None:
            best, history = train(task, network, runtime, checkpoints)
            record = _record(seed, history, network, runtime, about_weights)
            checkpoints.finish(best, record)
        else:
            best, record = done
    return best, record, description


def _determinants(
    model: str,
    settings: dict[str, Any],
    recipe: dict[str, Any],
    seed: int,
    task: Task,
    weights: Path | None,
    runtime: Runtime,
) -> dict[str, Any]:
    """Everything that the bits of a trained network follow from."""
    package = Path(bakeoff.__file__).parent
    sources = [*sorted((package / "training").glob("*.py")), package / "models" / f"{model}.py"]
    return {
        "model": model,
        "settings": settings,
        "recipe": recipe,
        "seed": seed,
        "classes": task.classes,
        "data": [
            checkpoint.digest(each.numpy()) for split in (task.training, task.validation) for each in _arrays(split)
        ],
        "weights": None if weights is None else checkpoint.digest((weights / "model.safetensors").read_bytes()),
        "sources": {path.name: checkpoint.digest(path.read_bytes()) for path in sources},
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "device": runtime.device.type,
        "instruction_set": runtime.instruction_set,
        "precision": runtime.precision,
    }


def _arrays(split: Split) -> tuple[torch.Tensor, torch.Tensor]:
    return split.images, split.masks


def _split(data: Prepared, split: str) -> Split:
    rows = data.rows(split)
    return Split(channels_first(data.images[rows]), torch.from_numpy(np.ascontiguousarray(data.masks[rows])))


def _load_encoder(network: nn.Module, model: str, folder: Path) -> None:
    path = folder / "model.safetensors"
    if not hasattr(architecture(model), "load_encoder"):
        raise BakeoffError(
            f"Model '{model}' has no encoder for the weights in {folder}: drop 'weights' or change 'model'."
        )
    try:
        architecture(model).load_encoder(network, load_file(path))
    except FileNotFoundError:
        raise BakeoffError(f"{path} is missing: run the stage that provides weights first.") from None
    except (RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BakeoffError(
            f"{path} does not fit the encoder of model '{model}' ({reason}): fetch other weights."
        ) from None


def _record(
    seed: int,
    history: list[dict[str, float]],
    network: nn.Module,
    runtime: Runtime,
    about_weights: dict[str, Any] | None,
) -> dict[str, Any]:
    parameters, trainable = parameter_counts(network)
    best = best_epoch(history)
    return {
        "seed": seed,
        "epochs_run": len(history),
        "best_epoch": best,
        "best_validation_dice": history[best - 1]["validation_dice"],
        "training_seconds": sum(row["seconds"] for row in history),
        "images_per_second": float(np.median([row["images_per_second"] for row in history])),
        "peak_memory_mib": runtime.peak_memory_mib(),
        "parameters": parameters,
        "parameters_trainable": trainable,
        "device": runtime.name,
        "precision": runtime.precision,
        "threads": torch.get_num_threads(),
        "weights": about_weights,
        "manifest": provenance.manifest(),
        "history": history,
    }


def _write(folder: Path, history: Path, trained: list[Trained]) -> None:
    models, curves = _emptied_beside(folder), _emptied_beside(history)
    for seed, (best, record, description) in enumerate(trained):
        save_network(models / f"seed{seed}.safetensors", best, description)
        without_history = {key: value for key, value in record.items() if key != "history"}
        (models / f"seed{seed}.json").write_text(json.dumps(without_history, indent=2) + "\n")
        (curves / f"seed{seed}").mkdir()
        table = pd.DataFrame(record["history"], columns=COLUMNS)
        table.to_csv(curves / f"seed{seed}" / "history.csv", index=False, float_format="%.6g")
    for beside, place in ((models, folder), (curves, history)):
        shutil.rmtree(place, ignore_errors=True)
        beside.replace(place)


def _emptied_beside(place: Path) -> Path:
    beside = place.with_name(f".{place.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    return beside
