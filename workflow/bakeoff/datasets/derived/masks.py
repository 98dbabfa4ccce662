"""Draw inputs from masks predicted by networks that never saw the images that a classifier is tested on."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bakeoff.artefacts.arrays import allocate
from bakeoff.artefacts.atomic import atomic_folder, write_text
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.prepared import Fold, Prepared, open_prepared, read_folds, run_name
from bakeoff.datasets.derived.drawing import drawn
from bakeoff.training.device import set_up
from bakeoff.training.inference import predict_masks
from bakeoff.training.preprocessing import channels_first
from bakeoff.training.saved import load_network

IMAGES_AT_A_TIME = 64


def predicted(
    name: str, settings: dict[str, Any], prepared: Path, split: Path, models: Path, masks_split: Path, folder: Path
) -> None:
    """Write `foldJ.npy`, uint8 (n, H, W, 3) in the order of `index.csv`, for every fold of the task, and `input.json`.

    In fold J every mask, of training and of test images, comes from the network (of seed 0) that was trained on the
    training images of fold J alone.

    Parameters
    ----------
    name
        The input's name.
    settings
        See `bakeoff.datasets.derived.drawing.drawn`; and `segmenter`, the experiment whose networks predict.
    prepared
        `data/prepared/DATASET`.
    split
        `data/splits/TASK.csv` of the task that the input is for.
    models
        `results/models/EXPERIMENT` of the segmenter.
    masks_split
        `data/splits/TASK.csv` of the segmenter's task.
    folder
        The input; it appears whole or not at all.

    Raises
    ------
    BakeoffError
        If a network was trained on images that the task tests, is missing, or predicts other classes.
    """
    data = open_prepared(prepared)
    folds, trained = read_folds(split, data), read_folds(masks_split, data)
    _require_unseen(name, folds, trained)
    with atomic_folder(folder) as beside:
        for fold in folds:
            path = models / f"{run_name(0, fold.number, len(trained))}.safetensors"
            _draw_fold(settings, data, path, beside / f"fold{fold.number}.npy")
        about = {
            "name": name,
            "kind": settings["kind"],
            "settings": settings,
            "dataset": data.about["name"],
            "synthetic": data.about["synthetic"],
            "note": f"Drawn from masks predicted by {settings['segmenter']['experiment']}, trained on the training "
            "images of the same fold: of those its masks are better than of the images that are tested.",
        }
        write_text(beside / "input.json", json.dumps(about, indent=2, ensure_ascii=False) + "\n")


def _require_unseen(name: str, folds: list[Fold], trained: list[Fold]) -> None:
    """A network that saw a test image's true mask would hand it on."""
    same = len(folds) == len(trained)
    if not same or any(np.isin(a.test, [*b.train, *b.validation]).any() for a, b in zip(folds, trained, strict=True)):
        raise BakeoffError(
            f"params.yaml: predicted_inputs.{name}: the segmenter was trained on images that the task tests: give both "
            "tasks the same split."
        )


def _draw_fold(settings: dict[str, Any], data: Prepared, path: Path, target: Path) -> None:
    network, description = load_network(path)
    if (description.target, description.classes) != (None, data.classes):
        raise BakeoffError(f"{path} does not predict the masks of {data.folder}: name another segmenter.")
    runtime = set_up(description.precision)
    network.to(runtime.device).to(memory_format=torch.channels_last)
    images = allocate(target, np.uint8, (*data.images.shape[:3], 3))
    for start in range(0, len(images), IMAGES_AT_A_TIME):
        rows = slice(start, start + IMAGES_AT_A_TIME)
        masks = predict_masks(network, channels_first(data.images[rows]), runtime)
        images[rows] = drawn(settings, data.images[rows], masks, len(data.classes))
    images.flush()
