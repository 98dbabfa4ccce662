"""Train the network of an experiment, once a seed and fold, and keep the best weights of each."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from bakeoff.artefacts import provenance
from bakeoff.artefacts.atomic import atomic_folder
from bakeoff.artefacts.channels import adaptation_words
from bakeoff.artefacts.checkpoints import HOME
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.prepared import Prepared, open_images, open_prepared, read_folds, run_name
from bakeoff.artefacts.ragged import Arrays, of_one_size
from bakeoff.progress.interruption import stops_when_told
from bakeoff.training import checkpoint
from bakeoff.training.device import Runtime, set_up
from bakeoff.training.examples import Examples, windows_of
from bakeoff.training.loop import State, TrainingTask, best_epoch, train
from bakeoff.training.objective import Objective, classification, segmentation
from bakeoff.training.preprocessing import channels_first
from bakeoff.training.saved import Description, architecture, build_network, parameter_counts, save_network

log = logging.getLogger(__name__)

COLUMNS = [
    "epoch",
    "train_loss",
    "validation_loss",
    "validation_score",
    "learning_rate",
    "images_per_second",
    "seconds",
]


def fit(
    name: str,
    settings: Mapping[str, Any],
    recipe: Mapping[str, Any],
    target: str | None,
    seeds: int,
    prepared: Path,
    split: Path,
    images: Path | None,
    weights: Path | None,
    folder: Path,
    history: Path,
    *,
    inputs: Mapping[str, Any],
    half: bool = False,
) -> None:
    """Train seeds 0 to `seeds - 1`; what was trained before is not trained again, and a killed training goes on.

    Parameters
    ----------
    name
        Of the experiment, for messages.
    settings
        The experiment: `model`, and `settings` for the model's `build`; `masks`, whether a classifier learns the masks
        too.
    recipe
        See `bakeoff.training.loop.TrainingTask`; and `precision`, `class_weights`, `label_smoothing`.
    target
        The label to predict of a whole image; None to predict masks.
    prepared
        `data/prepared/DATASET`.
    split
        `data/splits/TASK.csv`.
    images
        `data/prepared/NAME` of derived pictures in place of the data set's; None for those.
    weights
        `data/weights/NAME`, for the model's encoder; None starts from random weights.
    folder, history
        Written when every training is done, each whole or not at all: `seedK.safetensors` and `seedK.json`;
        `seedK/history.csv`. With cross-validation `seedK-foldJ` in place of `seedK`.
    inputs
        What the stage depends on, by which checkpoints are told apart: see `bakeoff.stage_inputs`.
    half
        Whether weights are kept in half precision.

    Raises
    ------
    BakeoffError
        If the model does not take its settings, the weights do not fit, or the training cannot go on.
    """
    data = open_prepared(prepared)
    folds = read_folds(split, data)
    experiment = open_experiment(name, settings, recipe, target, data, split.stem, weights)
    runtime = set_up(recipe["precision"])
    said = adaptation_words(open_images(data, images, folds[0].number)[0].shape[-1])
    if weights is not None and said:
        log.info("%s: %s", name, said)
    trained: dict[str, tuple[State, dict[str, Any], Description]] = {}
    with stops_when_told():
        for seed in range(seeds):
            for fold in folds:
                pictures = open_images(data, images, fold.number)
                what = f"{name}, seed {seed}" + (f", fold {fold.number}" if len(folds) > 1 else "")
                best, record, description = train_network(
                    experiment, what, pictures, fold.train, fold.validation, seed, str(fold.number), runtime, inputs
                )
                record |= {"seed": seed, "fold": fold.number}
                trained[run_name(seed, fold.number, len(folds))] = best, record, description
    _write(folder, history, trained, half)


@dataclass(frozen=True)
class Experiment:
    """What every training of an experiment has in common; see `fit`."""

    name: str
    model: str
    settings: dict[str, Any]
    recipe: dict[str, Any]
    target: str | None
    score: str | Mapping[str, str] | None
    masks: bool
    data: Prepared
    task: str
    weights: Path | None
    about_weights: dict[str, Any] | None

    @property
    def classes(self) -> list[str]:
        """Names of what is told apart."""
        return self.data.classes if self.target is None else self.data.targets(self.target)


def open_experiment(
    name: str,
    settings: Mapping[str, Any],
    recipe: Mapping[str, Any],
    target: str | None,
    data: Prepared,
    task: str,
    weights: Path | None,
) -> Experiment:
    """What every training of an experiment has in common; parameters as for `fit`, `task` is its name."""
    about_weights = None if weights is None else json.loads((weights / "weights.json").read_text())
    return Experiment(
        name=name,
        model=settings["model"],
        # Weights know where their strides are, and the network has to be built the same way.
        settings={**_strides(about_weights), **settings["settings"]},
        recipe=_adapted(recipe, about_weights),
        target=target,
        score=settings.get("score"),
        masks=target is None or bool(settings.get("masks")),
        data=data,
        task=task,
        weights=weights,
        about_weights=about_weights,
    )


def _adapted(recipe: Mapping[str, Any], about_weights: Mapping[str, Any] | None) -> dict[str, Any]:
    """The recipe; an encoder of random stand-ins has nothing to preserve, so it learns like the rest of the network."""
    if not (about_weights or {}).get("random"):
        return dict(recipe)
    return {**recipe, "frozen_epochs": 0, "encoder_learning_rate_factor": 1.0, "discriminative": False}


def _strides(about_weights: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (about_weights or {}).items() if key == "stride_in"}


def train_network(
    experiment: Experiment,
    what: str,
    images: Arrays,
    training_rows: np.ndarray,
    validation_rows: np.ndarray,
    seed: int,
    part: str,
    runtime: Runtime,
    inputs: Mapping[str, Any],
) -> tuple[State, dict[str, Any], Description]:
    """Train one network, going on from its checkpoint if there is one.

    Parameters
    ----------
    what
        What messages call the training.
    images
        uint8, (n, height, width, channels), in the order of the data set's index.
    training_rows, validation_rows
        Positions in it, int64.
    part
        What tells trainings of one stage and seed apart: the fold, or a part of it.
    inputs
        As for `fit`.

    Returns
    -------
    best
        The weights of the best epoch.
    record
        What is written beside them, without seed and fold.
    description
        What their file carries.
    """
    training = _examples(experiment, images, training_rows)
    validation = _examples(experiment, images, validation_rows, once=True)
    channels = images[0].shape[-1]
    task = TrainingTask(
        what,
        training,
        validation,
        _objective(experiment, training, validation.has_void, runtime.device),
        experiment.recipe,
        seed,
        experiment.weights is not None,
    )
    torch.manual_seed(seed)
    network = build_network(
        experiment.model,
        channels,
        len(experiment.classes),
        experiment.settings,
        f"experiment {experiment.name}",
    )
    if experiment.weights is not None:
        _load_encoder(network, experiment.model, experiment.weights)
    description = Description(
        architecture=experiment.model,
        settings=experiment.settings,
        in_channels=channels,
        classes=experiment.classes,
        target=experiment.target,
        size=[experiment.data.geometry.height, experiment.data.geometry.width],
        geometry=experiment.data.geometry.kind,
        mean=list(network.mean),  # type: ignore[arg-type]
        std=list(network.std),  # type: ignore[arg-type]
        precision=runtime.precision,
    )
    checkpoints = checkpoint.CheckpointFolder(HOME / training_key(inputs, seed, part, runtime))
    with checkpoints.held(what):
        if (done := checkpoints.finished()) is None:
            best, history = train(task, network, runtime, checkpoints)
            record = {**_record(history, network, best, task, runtime), **_entry(experiment)}
            checkpoints.finish(best, record, inputs)
        else:
            best, record = done
            checkpoints.keep_for(inputs)
    return best, record, description


def training_key(inputs: Mapping[str, Any], seed: int, part: str, runtime: Runtime) -> str:
    """What tells a training's checkpoints from all others: whatever the bits of its network follow from.

    That is what the stage depends on, but for how many other seeds there are, and where it is computed.
    """
    params = {key: value for key, value in inputs.get("params", {}).items() if not key.startswith("seeds.")}
    return checkpoint.key_of(
        {
            **inputs,
            "params": params,
            "seed": seed,
            "part": part,
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "device": runtime.device.type,
            "instruction_set": runtime.instruction_set,
            "precision": runtime.precision,
        }
    )


def _objective(experiment: Experiment, training: Examples, void: bool, device: torch.device) -> Objective:
    if experiment.target is None:
        edges = experiment.data.geometry.kind in ("pad", "tile")
        score = experiment.data.score(experiment.score)
        background = experiment.data.background
        return segmentation(
            training, experiment.classes, device, score=score, background=background, void=void, open_edges=edges
        )
    return classification(
        training,
        experiment.classes,
        weighted=experiment.recipe["class_weights"] == "balanced",
        smoothing=experiment.recipe["label_smoothing"],
        mask_classes=experiment.data.classes if experiment.masks else None,
        mask_background=experiment.data.background,
        void=void,
        device=device,
    )


def _examples(experiment: Experiment, images: Arrays, rows: np.ndarray, *, once: bool = False) -> Examples:
    if experiment.data.geometry.tiled:
        return windows_of(images, experiment.data.true_masks(), rows, experiment.data.geometry, once=once)
    masks = labels = None
    if experiment.masks:
        masks = torch.from_numpy(np.ascontiguousarray(experiment.data.true_masks()[rows]))
    if experiment.target is not None:
        labels = torch.from_numpy(experiment.data.labels(experiment.target)[rows])
    return Examples(channels_first(of_one_size(images)[rows]), masks, labels)


def _load_encoder(network: nn.Module, model: str, folder: Path) -> None:
    path = folder / "model.safetensors"
    if not hasattr(architecture(model), "load_encoder"):
        raise BakeoffError(
            f"Model '{model}' has no encoder for the weights in {folder}: drop 'weights' or change 'model'."
        )
    try:
        architecture(model).load_encoder(network, load_file(path))
    except FileNotFoundError:
        raise BakeoffError(f"{path} is missing: run `dvc repro weights@{folder.name}`.") from None
    except (RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BakeoffError(
            f"{path} does not fit the encoder of model '{model}' ({reason}): fetch other weights."
        ) from None


def _entry(experiment: Experiment) -> dict[str, Any]:
    """What a network was trained for and on, whoever copies it."""
    return {
        "experiment": experiment.name,
        "dataset": experiment.data.about["name"],
        "synthetic": experiment.data.about["synthetic"],
        "task": experiment.task,
        "recipe": experiment.recipe,
        "weights": experiment.about_weights,
    }


def _record(
    history: list[dict[str, float]], network: nn.Module, best_weights: State, task: TrainingTask, runtime: Runtime
) -> dict[str, Any]:
    parameters, trainable = parameter_counts(network)
    best = best_epoch(history)
    return {
        "epochs_run": len(history),
        "best_epoch": best,
        "best_validation_score": history[best - 1]["validation_score"],
        "score": task.objective.score_name,
        "training_seconds": sum(row["seconds"] for row in history),
        "images_per_second": float(np.median([row["images_per_second"] for row in history])),
        "peak_memory_mib": runtime.peak_memory_mib(),
        "parameters": parameters,
        "parameters_trainable": trainable,
        # As Keras counts: running means and variances too, which are never trained.
        "numbers_stored": sum(
            value.numel() for key, value in best_weights.items() if not key.endswith("num_batches_tracked")
        ),
        "device": runtime.name,
        "precision": runtime.precision,
        "threads": torch.get_num_threads(),
        "manifest": provenance.manifest(),
        "history": history,
    }


def _write(
    folder: Path, history: Path, trained: Mapping[str, tuple[State, dict[str, Any], Description]], half: bool
) -> None:
    with atomic_folder(folder) as models, atomic_folder(history) as curves:
        for run, (best, record, description) in trained.items():
            save_network(models / f"{run}.safetensors", best, description, half=half)
            without_history = {key: value for key, value in record.items() if key != "history"}
            (models / f"{run}.json").write_text(json.dumps(without_history, indent=2) + "\n")
            (curves / run).mkdir()
            table = pd.DataFrame(record["history"], columns=COLUMNS)
            table.to_csv(curves / run / "history.csv", index=False, float_format="%.6g")
