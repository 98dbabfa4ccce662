"""Draw the inputs of a leak study from a prepared data set: images with a mask drawn in, or masks alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from bakeoff.artefacts.arrays import allocate
from bakeoff.artefacts.atomic import atomic_folder
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.prepared import Prepared, open_prepared
from bakeoff.datasets.derived.drawing import drawn, shuffled

IMAGES_AT_A_TIME = 64


def make_input(name: str, settings: dict[str, Any], prepared: Path, folder: Path) -> None:
    """Write `images.npy`, uint8 (n, H, W, 3) in the order of `index.csv`, and `input.json`.

    Parameters
    ----------
    name
        The input's name.
    settings
        `kind`: mask (the mask alone); overlay, which takes `mask` (true or shuffled), `style` (outline or tint),
        `colour` (RGB), `opacity` (0 to 1), `width` (of an outline, in pixels) and `seed` (of the shuffle); region
        (what the mask covers), which takes `mask`, `keep` (crop or masked) and `margin`.
    prepared
        `data/prepared/DATASET`.
    folder
        The input; it appears whole or not at all.

    Raises
    ------
    BakeoffError
        If the data set is not there or has no masks, a mask has nobody to be shuffled to, or the disk is too small.
    """
    data = open_prepared(prepared)
    if data.masks is None:
        raise BakeoffError(f"params.yaml: inputs.{name}.dataset: {prepared} has no masks: name a data set that has.")
    masks, sources = data.masks, _mask_sources(name, settings, data)
    with atomic_folder(folder) as beside:
        images = allocate(beside / "images.npy", np.uint8, (*masks.shape, 3))
        for start in range(0, len(images), IMAGES_AT_A_TIME):
            rows = slice(start, start + IMAGES_AT_A_TIME)
            images[rows] = drawn(settings, data.images[rows], masks[sources[rows]], len(data.classes))
        images.flush()
        about = {
            "name": name,
            "kind": settings["kind"],
            "settings": settings,
            "dataset": data.about["name"],
            "synthetic": data.about["synthetic"],
            "note": _note(settings),
        }
        (beside / "input.json").write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _mask_sources(name: str, settings: dict[str, Any], data: Prepared) -> np.ndarray:
    """For each image the row of the mask that is drawn."""
    if settings["kind"] == "mask" or settings["mask"] == "true":
        return np.arange(len(data.index))
    try:
        return shuffled(len(data.index), settings["seed"], data.index["group"].to_numpy())
    except ValueError as error:
        raise BakeoffError(f"params.yaml: inputs.{name}.mask: {data.folder}: {error}: take 'true'.") from None


def _note(settings: dict[str, Any]) -> str:
    """What a classifier is told by this input that it could not know of a new image."""
    if settings["kind"] == "mask":
        return "The annotator's mask alone, without the image."
    how = f"the region that it covers ({settings['keep']})" if settings["kind"] == "region" else settings["style"]
    if settings["mask"] == "true":
        return f"The image with the annotator's mask: {how}."
    return f"The image with another image's mask, from whichever part of the split, never a near duplicate's: {how}."
