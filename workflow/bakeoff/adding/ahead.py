"""What would fail later for a reason that can be seen now: folders, splits, settings of methods, weights."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bakeoff.adding.looking import Looked, look, require_images, spread
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.layout import Project
from bakeoff.config.schema import Classical, Config, Task
from bakeoff.datasets.formats import read_folder
from bakeoff.datasets.formats.reading import Choices, Reading, Tree
from bakeoff.datasets.preparation.decode import Undecodable
from bakeoff.datasets.preparation.mask_files import MaskReader
from bakeoff.datasets.preparation.volumes import open_folder
from bakeoff.datasets.splits.splitting import split_table
from bakeoff.weights.at_hand import missing_weights

# A class needs an image to train, one to choose and one to test.
FEWEST_IMAGES = 3
# Images whose masks are read.
MASKS_READ = 20


def faults(config: Config, project: Project) -> Iterator[str]:
    """One sentence a fault, without the configuration's file name."""
    for name in config.folders:
        yield from _folder_faults(config, name, project)
    used = {network.weights for network in config.networks.values()}
    entries = {name: entry for name, entry in config.weights.items() if name in used}
    folder = project.data / "weights"
    for name, network in missing_weights(entries, config.profile, folder, config.download.mirror):
        yield (
            f"weights.{name}: the published weights of {network} are neither here nor in download.mirror, and their "
            "address does not answer: set download.mirror, or take the networks out that name them."
        )
    yield from _wrong_settings(config)


def _folder_faults(config: Config, name: str, project: Project) -> Iterator[str]:
    settings = config.folders[name].model_dump()
    if config.folders[name].class_values is not None:
        settings["classes"] = config.folders[name].class_values
    try:
        with open_folder(project.root / settings["path"]) as tree:
            reading = read_folder(tree, Choices.of(name, settings))
            looked = look(tree, reading.entries, config.levels(name), channels=settings["channels"], measure=False)
            require_images(looked)
            require_masks(name, tree, reading, config.folders[name].threshold)
    except BakeoffError as error:
        yield f"folders.{name}: {str(error).removeprefix(f'folders.{name}: ')}"
        return
    for task, entry in config.tasks.items():
        if entry.dataset == name:
            yield from task_faults(task, entry, config.task(task)["split"], reading, looked)


def require_masks(name: str, tree: Tree, reading: Reading, threshold: int | None) -> None:
    """Read some of the mask files.

    Raises
    ------
    BakeoffError
        If the values of the classes make no sense, or the masks of more than half of the images cannot be used: then
        `prepare-folder` would fail.
    """
    if reading.classes is None or reading.shapes:
        return
    numbers = any(entry.objects in entry.masks for entry in reading.entries)
    try:
        reader = MaskReader(reading.classes, reading.ignore, threshold=threshold, numbers=numbers)
    except ValueError as error:
        raise BakeoffError(f"folders.{name}.classes: {error}.") from None
    sample = spread(reading.entries, MASKS_READ)
    faults: dict[str, str] = {}
    for entry in sample:
        for mask in entry.masks[:1]:
            try:
                reader(tree.read(mask))
            except (ValueError, Undecodable) as error:
                faults[mask] = str(error)
    if len(faults) > len(sample) / 2:
        mask, reason = next(iter(faults.items()))
        raise BakeoffError(
            f"folders.{name}.classes: {len(faults)} of {len(sample)} masks looked at cannot be used, the first {mask} "
            f"({reason}): name all values, or list some in folders.{name}.ignore."
        )


def task_faults(name: str, task: Task, split: Mapping[str, Any], reading: Reading, looked: Looked) -> Iterator[str]:
    """Why a task cannot be made of a folder's images.

    Parameters
    ----------
    split
        As `bakeoff.config.schema.Config.task` gives it.
    """
    if task.kind == "segmentation" and reading.classes is None:
        yield f"tasks.{name}.kind is segmentation, and folders.{task.dataset} has no masks: make it a classification."
        return
    if task.target is not None:
        counts = Counter(entry.labels.get(task.target) for entry in reading.entries)
        if len(counts) < 2 or None in counts:
            yield f"tasks.{name}.target is '{task.target}', and folders.{task.dataset} has no two values of it."
            return
        few = [f"{label} ({count})" for label, count in sorted(counts.items()) if count < FEWEST_IMAGES]
        if few:
            yield (
                f"tasks.{name}: {', '.join(few)} of {task.target} have fewer than {FEWEST_IMAGES} images, which is one "
                f"each to train, choose and test: add images, or take them out of folders.{task.dataset}.classes."
            )
            return
    try:
        split_table(index_of(reading, looked), split)
    except BakeoffError as error:
        yield f"tasks.{name}: {error}"


def index_of(reading: Reading, looked: Looked) -> pd.DataFrame:
    """`index.csv` about as it will be: near-duplicates are known of the images that were looked at."""
    labels = sorted({label for entry in reading.entries for label in entry.labels})
    index = pd.DataFrame({"id": [entry.image for entry in reading.entries]})
    index["group"] = [looked.group_of.get(entry.image, entry.group or entry.image) for entry in reading.entries]
    for label in labels:
        index[label] = [entry.labels.get(label, "") for entry in reading.entries]
    return index


def _wrong_settings(config: Config) -> Iterator[str]:
    for task, group in config.experiments.baselines.items():
        for name, method in group.methods.items():
            if isinstance(method, Classical):
                yield from _wrong_classical(f"experiments.baselines.{task}.methods.{name}", method)
    built: dict[str, str | None] = {}
    for name, network in config.networks.items():
        weights = None if network.weights == "none" else config.weights[network.weights].network
        key = repr((network.model, network.settings, weights, _channels(config, network.dataset)))
        if key not in built:
            built[key] = _wrong_network(network.model, network.settings, weights, _channels(config, network.dataset))
        if built[key]:
            yield f"experiments.networks.{name}: {built[key]}"


def _channels(config: Config, dataset: str) -> int:
    return config.folders[dataset].channels if dataset in config.folders else 3


def _wrong_classical(key: str, method: Classical) -> Iterator[str]:
    """What scikit-learn does not take, tried on a few numbers."""
    from bakeoff.baselines.classical_experiment import check_settings, fit_pipeline

    features = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    try:
        pipeline = check_settings(key, method.model_dump())
        # Without principal components, of which there may be more than these numbers have.
        fit_pipeline(key, pipeline[-1:], features, np.arange(20) % 2)
    except BakeoffError as error:
        yield str(error)


def _wrong_network(model: str, settings: Mapping[str, Any], weights: str | None, channels: int) -> str | None:
    """Why a network cannot be built or does not take its weights: tried without memory for their values."""
    import warnings

    import torch

    from bakeoff.training.saved import architecture, build_network
    from bakeoff.weights.provide import published_shapes

    try:
        with torch.device("meta"):
            network = build_network(model, channels, 2, settings, "settings")
        if weights is not None:
            if not hasattr(architecture(model), "load_encoder"):
                return f"model '{model}' has no encoder for weights: set weights to none, or change the model."
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch's, that no values are copied
                architecture(model).load_encoder(network, published_shapes(weights))
    except BakeoffError as error:
        return str(error)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        return f"the weights of {weights} do not fit the encoder of model '{model}' ({reason}): name others."
    return None


def check_ahead(config: Config, project: Project, path: Path) -> None:
    """Look for what would fail later.

    Raises
    ------
    BakeoffError
        One sentence a fault.
    """
    found = list(dict.fromkeys(faults(config, project)))
    if found:
        raise BakeoffError("\n".join(f"{path}: {fault}" for fault in found))
