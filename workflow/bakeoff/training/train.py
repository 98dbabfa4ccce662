"""The stage of a network: train it, and predict the images that it is tested on."""

from collections.abc import Mapping
from typing import Any

from bakeoff.artefacts.atomic import atomic_folder
from bakeoff.artefacts.cost import work_so_far
from bakeoff.artefacts.experiments import read_json, write_settings
from bakeoff.artefacts.layout import Project
from bakeoff.training.fit import fit
from bakeoff.training.predict import predict


def train(
    name: str,
    settings: Mapping[str, Any],
    recipe: Mapping[str, Any],
    seeds: int,
    project: Project,
    inputs: Mapping[str, Any],
    *,
    half: bool,
) -> None:
    """Write `results/TASK/NAME`: models, history and predictions, each whole or not at all.

    Parameters
    ----------
    name, settings
        The experiment, as `bakeoff.config.Config.experiment` gives it.
    recipe
        How its networks are trained, at the profile.
    seeds
        How many; 0 to `seeds - 1`.
    inputs
        What the stage depends on: see `bakeoff.stage_inputs`.
    half
        Whether weights are kept in half precision.

    Raises
    ------
    BakeoffError
        As `fit` and `predict`.
    """
    began = work_so_far()
    dataset, task = settings["dataset"], settings["task"]
    prepared, split = project.prepared(dataset), project.split(task)
    images = None if settings["images"] == dataset else project.prepared(settings["images"])
    weights = None if settings["weights"] == "none" else project.weights(settings["weights"])
    folder = project.experiment(task, name, settings["family"])
    target = settings["target"]
    fit(
        name,
        settings,
        recipe,
        target,
        seeds,
        prepared,
        split,
        images,
        weights,
        folder.models,
        folder.history,
        inputs=inputs,
        half=half,
    )
    pictures = {} if images is None else read_json(images / "dataset.json", f"derive@{settings['images']}")
    with atomic_folder(folder.predictions) as beside:
        predict(name, prepared, split, images, folder.models, beside, began)
        shown = {key: pictures.get(key) for key in ("segmenter_cost", "mask_quality")}
        write_settings(beside, name, settings, recipe=recipe, **shown)
