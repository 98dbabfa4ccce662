"""What the demo shows: the tasks in which a method can predict, their methods and their test images."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bakeoff.artefacts.channels import Levels
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.layout import Project
from bakeoff.artefacts.mask_score import MaskScore
from bakeoff.artefacts.prepared import Prepared, open_prepared, read_folds
from bakeoff.cards.notes import medical_note
from bakeoff.config import CONFIG_FILE, Config, read_config
from bakeoff.evaluation.out_of_distribution import Detector, detector_of_task
from bakeoff.evaluation.separation import FILE as SEPARATION_FILE
from bakeoff.evaluation.separation import Separation, read_separation

EXAMPLES = 8


@dataclass(frozen=True)
class Method:
    """An experiment that can predict.

    Attributes
    ----------
    experiment
        Its name in the configuration.
    label
        Its name on the page, unique within the task.
    chosen
        Whether it is selected when the page opens.
    """

    experiment: str
    label: str
    chosen: bool


@dataclass(frozen=True)
class DemoTask:
    """A task of the configuration, the methods that can predict in it, and its test images.

    Attributes
    ----------
    name, kind, target
        As in the configuration; `target` is None for masks.
    ranked_by
        The configuration's `score`, of masks.
    data
        Its prepared images, memory-mapped.
    split
        `data/splits/TASK.csv`.
    detector
        Of pictures that differ from the training images; None if the task was not evaluated.
    separation
        How masks come apart into objects; None if they do not, or the task was not evaluated.
    methods
        Those that have been compared first, the best of them at the top.
    ranked
        Whether all of them have been compared.
    masks
        Whether any of them predicts a mask.
    note
        To be shown with every prediction; or "".
    levels
        Of uploaded images of more than 8 bits, those that become black and white; None: by their depth.
    upright
        Whether uploaded images are turned as their EXIF tag says.
    """

    name: str
    kind: str
    target: str | None
    ranked_by: str | Mapping[str, str] | None
    data: Prepared
    split: Path
    detector: Detector | None
    separation: Separation | None
    methods: list[Method]
    ranked: bool
    masks: bool
    note: str
    levels: Levels | None = None
    upright: bool = True

    @property
    def title(self) -> str:
        """A line for the list of tasks."""
        what = " and ".join(self.data.foreground_classes) if self.target is None else self.target
        return f"{self.name}: {what} in {self.data.about['title']}"

    @property
    def mask_score(self) -> MaskScore:
        """What masks are scored by."""
        return self.data.score(self.ranked_by)

    @cached_property
    def classes(self) -> list[str]:
        """Names of the classes; of masks the first is the background."""
        return self.data.classes if self.target is None else self.data.targets(self.target)

    @cached_property
    def tested(self) -> dict[str, int]:
        """Row in the prepared arrays, by id, of every test image of fold 0: its networks were not trained on them."""
        fold = read_folds(self.split, self.data)[0]
        return {self.data.index["id"].iloc[row]: int(row) for row in fold.test}

    def examples(self, seed: int = 0) -> list[str]:
        """Ids of a few test images, drawn from the seed."""
        ids = list(self.tested)
        drawn = np.random.default_rng(seed).permutation(len(ids))[:EXAMPLES]
        return [ids[place] for place in sorted(drawn.tolist())]

    def example(self, id_: str) -> np.ndarray:
        """Prepared picture of a test image, uint8 (height, width, channels).

        Raises
        ------
        BakeoffError
            If the first fold of the task has no such test image.
        """
        if id_ not in self.tested:
            raise BakeoffError(f"'{id_}' is not a test image of {self.name}: choose one of its examples.")
        return np.asarray(self.data.images[self.tested[id_]])

    def original(self, id_: str) -> tuple[int, int]:
        """Height and width of a test image before it was prepared."""
        return self.data.original(self.tested[id_])

    def true_mask(self, id_: str) -> np.ndarray | None:
        """True class indices of a test image, uint8 (height, width); None of a task without masks."""
        return None if self.target is not None else np.asarray(self.data.true_masks()[self.tested[id_]])

    def true_objects(self, id_: str) -> np.ndarray | None:
        """Numbers of a test image's single objects, (height, width); None where they are not told apart."""
        return None if self.target is not None or self.data.objects is None else self.data.objects[self.tested[id_]]

    def true_label(self, id_: str) -> str | None:
        """True class of a test image; None of a task of masks."""
        return None if self.target is None else str(self.data.index[self.target].iloc[self.tested[id_]])


def read_tasks(root: Path) -> dict[str, DemoTask]:
    """The tasks in which a method can predict, by name, in the configuration's order.

    Parameters
    ----------
    root
        The clone: `params.yaml`, `data/`, `results/`.

    Raises
    ------
    BakeoffError
        If there is no configuration, nothing was trained yet, or `out_of_distribution.json` is damaged or of other
        pictures.
    """
    project, config = Project(root), read_config(root / CONFIG_FILE)
    experiments = {name: config.experiment(name) for name in config.experiment_names()}
    usable = {name: each for name, each in experiments.items() if _usable(project, name, each, experiments)}
    tasks = {name: task for name in config.tasks if (task := _task(project, config, name, usable)) is not None}
    if not tasks:
        raise BakeoffError(f"{project.results} holds no method that can predict: run `make run` or `dvc repro` first.")
    return tasks


def _task(project: Project, config: Config, name: str, usable: Mapping[str, Mapping[str, Any]]) -> DemoTask | None:
    settings = config.tasks[name]
    own = {experiment: each for experiment, each in usable.items() if each["task"] == name}
    prepared, split = project.prepared(settings.dataset), project.split(name)
    if not (own and split.is_file() and (prepared / "images.npy").is_file()):
        return None
    data, labels = open_prepared(prepared), _labels(project.evaluation(name) / "comparison.csv")
    apart = project.evaluation(name) / SEPARATION_FILE
    return DemoTask(
        name=name,
        kind=settings.kind,
        target=settings.target,
        ranked_by=config.task(name)["score"],
        data=data,
        split=split,
        detector=detector_of_task(project.root, name, data.geometry, data.channels),
        separation=read_separation(apart) if apart.is_file() else None,
        methods=_methods(labels, own),
        ranked=set(own) <= set(labels),
        masks=settings.target is None or any(each["segmenter"] for each in own.values()),
        note=medical_note(data.about),
        levels=config.levels(settings.dataset),
        upright=config.upright(settings.dataset),
    )


def _usable(
    project: Project, name: str, settings: Mapping[str, Any], experiments: Mapping[str, Mapping[str, Any]]
) -> bool:
    """Whether an experiment left what it needs to predict, and needs no true mask to do so."""
    if settings["oracle"]:
        return False
    folder = project.experiment(settings["task"], name, settings["family"])
    if settings["family"] == "thresholds":
        return (folder.predictions / "predictions.csv").is_file()
    segmenter = settings["segmenter"]
    if settings["pictures"] is not None and segmenter is None:
        return False  # pictures made from true masks, or from another image's
    return _trained(project, name, settings) and (
        segmenter is None or _trained(project, segmenter, experiments[segmenter])
    )


def _trained(project: Project, name: str, settings: Mapping[str, Any]) -> bool:
    models = project.experiment(settings["task"], name, settings["family"]).models
    patterns = ((models, "seed0*.safetensors"), (models, "seed0*.skops"), (project.exports(name), "seed0*.onnx"))
    return any(any(folder.glob(pattern)) for folder, pattern in patterns)


def _methods(labels: Mapping[str, str], experiments: Mapping[str, Mapping[str, Any]]) -> list[Method]:
    """Methods in the order of the comparison; those that are not in it come last, in the configuration's order."""
    ranked = [name for name in labels if name in experiments]
    ordered = [*ranked, *(name for name in experiments if name not in labels)]
    # If none is ranked yet, the last: the configuration lists simple methods first.
    chosen = {(ranked or ordered[::-1])[0], *_otsus(experiments)}
    if len(chosen) < 2:
        chosen.update(ordered[:2])
    words = {name: labels.get(name, name) for name in ordered}
    times = Counter(words.values())
    return [
        Method(name, word if times[word] == 1 else f"{word} ({name})", name in chosen) for name, word in words.items()
    ]


def _otsus(experiments: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [name for name, each in experiments.items() if each.get("method") == "otsu"][:1]


def _labels(comparison: Path) -> dict[str, str]:
    """Labels of the methods in a comparison, by experiment, best first; empty if there is no comparison."""
    if not comparison.is_file():
        return {}
    table = pd.read_csv(comparison, dtype=str, keep_default_na=False)
    return dict(zip(table["experiment"], table["label"], strict=True)) if "label" in table else {}


def task_values(task: DemoTask) -> dict[str, Any]:
    """A task as plain values, as the page's API gives it."""
    return {
        "task": task.name,
        "title": task.title,
        "kind": task.kind,
        "target": task.target,
        "classes": task.classes,
        "geometry": task.data.geometry.kind,
        "size": task.data.about["size"],
        "channels": task.data.channels,
        "synthetic": bool(task.data.about["synthetic"]),
        "note": task.note,
        "methods": [
            {"experiment": each.experiment, "label": each.label, "chosen": each.chosen} for each in task.methods
        ],
        "examples": task.examples(),
    }
