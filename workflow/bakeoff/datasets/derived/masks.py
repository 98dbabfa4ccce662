"""Masks that networks predict for a data set, for pictures that are derived from them.

A network's masks of the images that it was trained on are better than those of new images. A classifier that learns
from the first and is tested on the second learns to trust masks too much. So the masks of training images are
cross-fitted: each comes from a network that was not trained on that image. The in-sample masks are kept beside them,
to show the difference.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import GroupKFold, GroupShuffleSplit

from bakeoff.artefacts.arrays import allocate
from bakeoff.artefacts.atomic import atomic_folder, write_text
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.experiments import read_json
from bakeoff.artefacts.layout import Project, masks_file
from bakeoff.artefacts.prepared import Fold, Prepared, open_prepared, read_folds, run_name
from bakeoff.artefacts.ragged import of_one_size
from bakeoff.artefacts.void import VOID
from bakeoff.progress.interruption import stops_when_told
from bakeoff.training.device import set_up
from bakeoff.training.fit import open_experiment, train_network
from bakeoff.training.torch_network import TorchNetwork

# Share of a network's training images that its weights are chosen by.
INNER_VALIDATION = 0.15
IMAGES_AT_A_TIME = 64


def predict_masks_of(
    name: str,
    settings: Mapping[str, Any],
    recipe: Mapping[str, Any],
    inner_folds: int,
    project: Project,
    inputs: Mapping[str, Any],
) -> None:
    """Write masks of all images of a data set, one file a fold and variant, and `dataset.json`.

    In fold J the masks of test images are those of the segmenter's network (seed 0) of fold J, in both variants. In
    `foldJ-in-sample.npy` so are all others. In `foldJ-cross-fitted.npy` those of training images come from networks
    that were trained on the other parts of the fold's training images, groups kept together, and validation images are
    dealt out to these networks in turn.

    Parameters
    ----------
    name
        Of the entry in the configuration's `predicted_masks`.
    settings
        Its entry: `dataset`, `task` (whose folds), `segmenter` (an experiment's entry and its name `experiment`).
    recipe
        How the segmenter is trained, at the profile.
    inner_folds
        How many parts the training images of a fold are divided into.
    inputs
        What the stage depends on, by which checkpoints are told apart: see `bakeoff.stage_inputs`.

    Raises
    ------
    BakeoffError
        If the segmenter was trained on images that the task tests, is missing, or predicts other classes.
    """
    segmenter = settings["segmenter"]
    data = open_prepared(project.prepared(settings["dataset"]))
    folds = read_folds(project.split(settings["task"]), data)
    trained = read_folds(project.split(segmenter["task"]), data)
    _require_unseen(name, folds, trained)
    folder = project.experiment(segmenter["task"], segmenter["experiment"], "networks")
    cost = read_json(folder.predictions / "cost.json", f"train@{segmenter['experiment']}")
    target = project.prepared(name)
    quality: list[dict[str, Any]] = []
    with stops_when_told(), atomic_folder(target) as beside:
        for fold in folds:
            own = _masks_by(folder.models / f"{run_name(0, fold.number, len(trained))}.safetensors", data)
            fitted = _cross_fitted(name, settings, recipe, inner_folds, data, fold, own, project, inputs)
            for variant, masks in (("in-sample", own), ("cross-fitted", fitted)):
                array = allocate(beside / masks_file(fold.number, variant), np.uint8, masks.shape)
                array[:] = masks
                array.flush()
                quality += _quality(data, fold, variant, masks)
        about = {
            "name": name,
            "title": f"{data.about['title']}, masks predicted by {segmenter['experiment']}",
            "derived_from": data.about["name"],
            "synthetic": data.about["synthetic"],
            "segmenter": segmenter["experiment"],
            "segmenter_cost": cost,
            "inner_folds": inner_folds,
            "quality": quality,
        }
        write_text(beside / "dataset.json", json.dumps(about, indent=2, ensure_ascii=False) + "\n")


def _require_unseen(name: str, folds: list[Fold], trained: list[Fold]) -> None:
    """A network that saw a test image's true mask would hand it on."""
    same = len(folds) == len(trained)
    if not same or any(np.isin(a.test, [*b.train, *b.validation]).any() for a, b in zip(folds, trained, strict=True)):
        raise BakeoffError(
            f"params.yaml: predicted_masks.{name}: the segmenter was trained on images that the task tests: give both "
            "tasks the same split."
        )


def _masks_by(path: Path, data: Prepared) -> np.ndarray:
    """Masks of all images by the network in a file, uint8 (n, H, W)."""
    network = TorchNetwork.open(path)
    if (network.description["target"], network.description["classes"]) != (None, data.classes):
        raise BakeoffError(f"{path} does not predict the masks of {data.folder}: name another segmenter.")
    return _predicted(network, data, np.arange(len(data.index)))


def _predicted(network: TorchNetwork, data: Prepared, rows: np.ndarray) -> np.ndarray:
    """Masks of some images, uint8 (rows, H, W)."""
    images, starts = of_one_size(data.images), range(0, len(rows), IMAGES_AT_A_TIME)
    found = np.concatenate([network.masks(images[rows[start : start + IMAGES_AT_A_TIME]]) for start in starts])
    return np.stack([data.without_pads(mask, int(row)) for row, mask in zip(rows, found, strict=True)])


def inner_parts(rows: np.ndarray, groups: np.ndarray, parts: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows divided into parts, groups kept together: of each part the rows outside and the rows inside it.

    Parameters
    ----------
    rows
        Positions in the data set, int64 (n,).
    groups
        The group of every image of the data set.
    parts
        How many; fewer where there are fewer groups.
    seed
        Of the division.

    Raises
    ------
    ValueError
        If all rows are of one group.
    """
    count = min(parts, len(np.unique(groups[rows])))
    division = GroupKFold(count, shuffle=True, random_state=seed).split(rows, groups=groups[rows])
    return [(rows[outside], rows[inside]) for outside, inside in division]


def _cross_fitted(
    name: str,
    settings: Mapping[str, Any],
    recipe: Mapping[str, Any],
    inner_folds: int,
    data: Prepared,
    fold: Fold,
    own: np.ndarray,
    project: Project,
    inputs: Mapping[str, Any],
) -> np.ndarray:
    """Masks of all images in a fold; those of test images are `own`'s."""
    segmenter = settings["segmenter"]
    weights = None if segmenter["weights"] == "none" else project.weights(segmenter["weights"])
    experiment = open_experiment(name, segmenter, recipe, None, data, segmenter["task"], weights)
    runtime = set_up(recipe["precision"])
    groups = data.index["group"].to_numpy(str)
    holdout = GroupShuffleSplit(1, test_size=INNER_VALIDATION, random_state=fold.number)
    try:
        parts = inner_parts(fold.train, groups, inner_folds, fold.number)
        chosen = [next(holdout.split(outside, groups=groups[outside])) for outside, _ in parts]
    except ValueError:
        raise BakeoffError(
            f"params.yaml: predicted_masks.{name}: the training images of fold {fold.number} are too few groups of "
            f"near-duplicates ({len(np.unique(groups[fold.train]))}) to be divided twice: use a split with more groups."
        ) from None
    masks = own.copy()
    for number, ((outside, inside), (training, validation)) in enumerate(zip(parts, chosen, strict=True)):
        what = f"{name}, fold {fold.number}, part {number + 1} of {len(parts)}"
        best, _, description = train_network(
            experiment,
            what,
            data.images,
            outside[training],
            outside[validation],
            0,
            f"{fold.number}-inner{number}",
            runtime,
            inputs,
        )
        unseen = np.concatenate([inside, fold.validation[number :: len(parts)]])
        masks[unseen] = _predicted(TorchNetwork.of(best, description), data, unseen)
    return masks


def _quality(data: Prepared, fold: Fold, variant: str, masks: np.ndarray) -> list[dict[str, Any]]:
    """Mean Dice of the foreground with the true masks, of each part of a fold."""
    true_masks, found = of_one_size(data.true_masks()), []
    for part in ("train", "validation", "test"):
        rows = getattr(fold, part)
        answered = [true_masks[row] != VOID for row in rows]
        pairs = [
            (data.foreground(true_masks[row][known]), data.foreground(masks[row][known]))
            for row, known in zip(rows, answered, strict=True)
        ]
        dice = [
            1.0 if not (a.any() or b.any()) else 2 * np.count_nonzero(a & b) / (a.sum() + b.sum()) for a, b in pairs
        ]
        found.append(
            {"fold": fold.number, "variant": variant, "part": part, "images": len(rows), "dice": float(np.mean(dice))}
        )
    return found
