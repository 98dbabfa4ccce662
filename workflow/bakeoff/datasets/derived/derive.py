"""Derived data sets: a prepared data set's images with something drawn from masks, true or predicted ones."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bakeoff.artefacts.arrays import allocate
from bakeoff.artefacts.atomic import atomic_folder, write_text
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.experiments import read_json
from bakeoff.artefacts.layout import masks_file
from bakeoff.artefacts.prepared import Prepared, open_prepared
from bakeoff.artefacts.ragged import of_one_size
from bakeoff.datasets.derived.drawing import drawn, shuffled

IMAGES_AT_A_TIME = 64


def derive(name: str, settings: Mapping[str, Any], prepared: Path, masks: Path, folder: Path) -> None:
    """Write the pictures and `dataset.json` of a derived data set, whose images are those of another in its order.

    From true masks there is `images.npy`, uint8 (n, H, W, 3); from predicted masks, which differ between folds,
    `foldJ.npy` for every fold.

    Parameters
    ----------
    name
        The derived data set's name.
    settings
        Its entry in the configuration: `variant`, and what `drawn` takes.
    prepared
        `data/prepared/DATASET` of the images.
    masks
        The same folder for its true masks, or that of predicted masks.
    folder
        `data/prepared/NAME`; it appears whole or not at all.

    Raises
    ------
    BakeoffError
        If a data set is missing or has no masks, or masks cannot be shuffled.
    """
    data = open_prepared(prepared)
    about = {
        "name": name,
        "title": f"{data.about['title']}, {_note(settings)}",
        "derived_from": data.about["name"],
        "settings": dict(settings),
        "synthetic": data.about["synthetic"],
        "note": _note(settings),
    }
    if settings["masks"] != settings["dataset"]:
        predicted = read_json(masks / "dataset.json", f"masks@{settings['masks']}")
        quality = [row for row in predicted["quality"] if row["variant"] == settings["variant"]]
        about |= {key: predicted[key] for key in ("segmenter", "segmenter_cost")} | {"mask_quality": quality}
    with atomic_folder(folder) as beside:
        for file, array in _masks(name, settings, data, masks):
            _draw(settings, data, array, beside / file)
        write_text(beside / "dataset.json", json.dumps(about, indent=2, ensure_ascii=False) + "\n")


def _masks(name: str, settings: Mapping[str, Any], data: Prepared, masks: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Names of the files of pictures, and the masks, uint8 (n, H, W), that each is drawn from."""
    variant = settings["variant"]
    if variant in ("true", "shuffled"):
        if data.masks is None:
            raise BakeoffError(
                f"params.yaml: derived.{name}.dataset: {data.folder} has no masks: name a data set that has."
            )
        rows = np.arange(len(data.index)) if variant == "true" else _other_rows(name, settings, data)
        yield "images.npy", of_one_size(data.masks)[rows]
        return
    paths = sorted(masks.glob(masks_file("*", variant)))
    if not paths:
        raise BakeoffError(f"{masks} holds no {variant} masks: run `dvc repro masks@{settings['masks']}`.")
    for path in paths:
        yield f"{path.name.split('-')[0]}.npy", np.load(path, mmap_mode="r", allow_pickle=False)


def _other_rows(name: str, settings: Mapping[str, Any], data: Prepared) -> np.ndarray:
    try:
        return shuffled(len(data.index), settings["seed"], data.index["group"].to_numpy())
    except ValueError as error:
        raise BakeoffError(f"params.yaml: derived.{name}.variant: {data.folder}: {error}: take 'true'.") from None


def _draw(settings: Mapping[str, Any], data: Prepared, masks: np.ndarray, path: Path) -> None:
    images = allocate(path, np.uint8, (*masks.shape, 3))
    for start in range(0, len(images), IMAGES_AT_A_TIME):
        rows = slice(start, start + IMAGES_AT_A_TIME)
        some = of_one_size(data.images)[rows], np.asarray(masks[rows])
        images[rows] = drawn(settings, *some, len(data.classes), data.background)
    images.flush()


def _note(settings: Mapping[str, Any]) -> str:
    """What the pictures show, in words."""
    whose = {
        "true": "the annotator's mask",
        "shuffled": "another image's mask",
        "cross-fitted": "a predicted mask, by a network that was not trained on the image",
        "in-sample": "a predicted mask, of training images by the network that was trained on them",
    }[settings["variant"]]
    if settings["kind"] == "mask":
        return f"{whose} alone, without the image"
    how = f"the region that it covers ({settings['keep']})" if settings["kind"] == "region" else settings["style"]
    return f"the image with {whose}: {how}"
