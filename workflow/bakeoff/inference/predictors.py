"""Every experiment as a predictor: prepared pictures in, masks and probabilities out.

An experiment's libraries are imported when it is opened: a network on ONNX Runtime needs only that.
"""

import csv
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from bakeoff.artefacts.atomic import storage_errors
from bakeoff.artefacts.channels import Levels
from bakeoff.artefacts.constants import constants
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.geometry import Geometry, geometry_of
from bakeoff.artefacts.layout import Project
from bakeoff.artefacts.mask_score import mask_score
from bakeoff.artefacts.void import VOID
from bakeoff.artefacts.windows import blended_classes
from bakeoff.cards.notes import medical_note

if TYPE_CHECKING:
    from bakeoff.baselines.classical import Classifier
    from bakeoff.config import Config

RuntimeName = Literal["torch", "onnx", "onnx-int8"]
Sizes = Sequence[tuple[int, int]]
# Of an exported network with 8 bits.
INT8_SUFFIX = "-int8.onnx"
SOURCES = Path(__file__).parents[1] / "datasets" / "sources"


@dataclass(frozen=True)
class Answer:
    """The prediction of a method for one picture.

    Attributes
    ----------
    mask
        Class indices, uint8, as large as the picture, `VOID` in its pads; None of a method that predicts none.
    probabilities
        Of every class, float32 or float64 (k,), adding up to 1; None of a method that predicts masks alone.
    seconds
        The time that the method took for all pictures of the call, divided by their number.
    """

    mask: np.ndarray | None
    probabilities: np.ndarray | None
    seconds: float

    def areas(self, mask_classes: Sequence[str]) -> dict[str, float]:
        """Share of the picture that the mask gives to each class, the background among them; of no mask none."""
        if self.mask is None:
            return {}
        counts = np.bincount(self.mask[self.mask != VOID], minlength=len(mask_classes))
        return dict(zip(mask_classes, (counts / counts.sum()).tolist(), strict=True))


class Predictor(Protocol):
    """An experiment that is ready to predict.

    Attributes
    ----------
    experiment, dataset, task
        Their names in the configuration.
    classes
        Names of the classes; the position is the index in a mask, or among the probabilities where there is a target.
    target
        The label that is predicted of a whole picture; None for masks alone.
    mask_classes
        Names of the classes of the answers' masks; empty where there are none.
    background
        Index of the one of them that is no foreground; None where every class counts.
    geometry, channels
        Of the pictures that `predict` takes.
    levels
        Of image files of more than 8 bits, those that become black and white in these pictures; None: by their depth.
    upright
        Whether image files are turned as their EXIF tag says.
    note
        To be shown with every prediction, such as that this is no medical device; or "".
    seed, fold
        Of the training; None if the method does not depend on it, as a threshold on a seed.
    provider
        What computes a network: ONNX Runtime's execution provider, or torch's device; None without a network.
    """

    experiment: str
    dataset: str
    task: str
    classes: list[str]
    target: str | None
    mask_classes: list[str]
    background: int | None
    geometry: Geometry
    channels: int
    levels: Levels | None
    upright: bool
    note: str
    seed: int | None
    fold: int | None

    @property
    def provider(self) -> str | None: ...

    def predict(self, pictures: Sequence[np.ndarray], originals: Sizes | None = None) -> list[Answer]:
        """Predictions for pictures, uint8 (height, width, channels), as `frame_image` makes them of whole images.

        A prediction does not depend on the other pictures.

        Parameters
        ----------
        originals
            Height and width of each image before: where `geometry` is `pad`, they say what is a pad. By default
            pictures are whole images.

        Raises
        ------
        ValueError
            If the pictures are of another type or shape.
        """
        ...


class Network(Protocol):
    """A trained network, whatever runs it; `provider` is what computes it."""

    description: dict[str, Any]
    provider: str

    def masks(self, pictures: np.ndarray) -> np.ndarray:
        """Class indices, uint8 (n, H, W)."""
        ...

    def mask_probabilities(self, pictures: np.ndarray) -> np.ndarray:
        """Probability of every class of every pixel, float32 (n, classes, H, W)."""
        ...

    def probabilities(self, pictures: np.ndarray) -> np.ndarray:
        """Probability of every class, float32 (n, classes)."""
        ...


@dataclass
class _Known:
    """The attributes of `Predictor`."""

    experiment: str
    dataset: str
    task: str
    note: str
    levels: Levels | None
    upright: bool
    classes: list[str]
    target: str | None
    mask_classes: list[str]
    background: int | None
    geometry: Geometry
    channels: int
    seed: int | None
    fold: int | None

    @property
    def provider(self) -> str | None:
        return None

    def _checked(self, pictures: Sequence[np.ndarray], originals: Sizes | None) -> Sizes:
        """The sizes of the images, whose pictures these have to be."""
        originals = originals or [(picture.shape[0], picture.shape[1]) for picture in pictures]
        for picture, original in zip(pictures, originals, strict=True):
            wanted = (*self.geometry.framed_size(*original), self.channels)
            if picture.dtype != np.uint8 or picture.shape != wanted:
                raise ValueError(f"a picture is {picture.dtype} {picture.shape}, not uint8 {wanted}")
        return originals

    def _masks(self, masks: Iterable[np.ndarray], originals: Sizes, began: float) -> list[Answer]:
        found = [self.geometry.without_pads(mask, *original) for mask, original in zip(masks, originals, strict=True)]
        seconds = (time.perf_counter() - began) / len(found)
        return [Answer(mask, None, seconds) for mask in found]


@dataclass
class ThresholdPredictor(_Known):
    """A global threshold: `find` makes thresholds, (n, classes - 1), of histograms, `foreground` is the class
    of grey levels taken, `index` what it is in masks."""

    find: Callable[[np.ndarray], np.ndarray]
    foreground: int
    index: int

    def predict(self, pictures: Sequence[np.ndarray], originals: Sizes | None = None) -> list[Answer]:
        """See `Predictor`."""
        from bakeoff.artefacts.grey_levels import grey, histogram
        from bakeoff.baselines.foreground import foreground_masks

        originals = self._checked(pictures, originals)
        if not len(pictures):
            return []
        began = time.perf_counter()
        levels = [grey(picture) for picture in pictures]
        shown = [each[self.geometry.shown(*size)] for each, size in zip(levels, originals, strict=True)]
        # Of the type that prepared data sets keep: some thresholds depend on the precision of their sums.
        counts = np.array([histogram(np.ascontiguousarray(each)) for each in shown]).astype(np.uint32)
        foreground = np.full(len(levels), self.foreground)
        return self._masks(foreground_masks(levels, self.find(counts), foreground, self.index), originals, began)


@dataclass
class ClassicalPredictor(_Known):
    """A classifier of scikit-learn's."""

    classifier: "Classifier"

    def predict(self, pictures: Sequence[np.ndarray], originals: Sizes | None = None) -> list[Answer]:
        """See `Predictor`."""
        originals = self._checked(pictures, originals)
        if not len(pictures):
            return []
        began = time.perf_counter()
        return _classes(self.classifier.probabilities(list(pictures)), began)


@dataclass
class NetworkPredictor(_Known):
    """A network."""

    network: Network

    @property
    def provider(self) -> str:
        return self.network.provider

    def predict(self, pictures: Sequence[np.ndarray], originals: Sizes | None = None) -> list[Answer]:
        """See `Predictor`."""
        originals = self._checked(pictures, originals)
        if not len(pictures):
            return []
        began = time.perf_counter()
        if self.target is not None:
            return _classes(self.network.probabilities(np.stack(pictures)), began)
        if self.geometry.tiled:
            classes, of_windows = len(self.classes), self.network.mask_probabilities
            masks = (blended_classes(picture, self.geometry, classes, of_windows) for picture in pictures)
            return self._masks(masks, originals, began)
        return self._masks(self.network.masks(np.stack(pictures)), originals, began)


@dataclass
class CascadePredictor(_Known):
    """Two methods: the first predicts the mask, the second the class.

    Attributes
    ----------
    segmenter
        Predicts the masks; None if they are given with the pictures.
    classifier
        Predicts the class of the picture, or, with `draw`, of what is made from picture and mask.
    draw
        Makes the classifier's pictures, (n, height, width, 3), from pictures and masks; None for the pictures
        themselves.
    """

    segmenter: Predictor | None
    classifier: Predictor
    draw: Callable[[np.ndarray, np.ndarray], np.ndarray] | None

    @property
    def provider(self) -> str | None:
        return self.classifier.provider or (self.segmenter.provider if self.segmenter else None)

    def predict(
        self,
        pictures: Sequence[np.ndarray],
        originals: Sizes | None = None,
        masks: np.ndarray | None = None,
    ) -> list[Answer]:
        """See `Predictor`; `masks`, class indices uint8 (n, height, width), take the place of the segmenter's.

        Raises
        ------
        ValueError
            If there is neither a segmenter nor masks.
        """
        originals = self._checked(pictures, originals)
        began = time.perf_counter()
        if masks is None and self.segmenter is not None:
            found = [answer.mask for answer in self.segmenter.predict(pictures, originals)]
            masks = np.array(found, np.uint8).reshape(-1, self.geometry.height, self.geometry.width)
        if masks is None:
            raise ValueError(f"{self.experiment} was trained on true masks: pass masks")
        seen = list(self.draw(np.stack(pictures), masks)) if self.draw and len(pictures) else pictures
        probabilities = [answer.probabilities for answer in self.classifier.predict(seen, originals)]
        seconds = (time.perf_counter() - began) / max(len(pictures), 1)
        return [Answer(mask, each, seconds) for mask, each in zip(masks, probabilities, strict=True)]


def open_predictor(
    experiment: str,
    root: Path = Path(),
    *,
    runtime: RuntimeName = "torch",
    seed: int = 0,
    fold: int = 0,
    segmenter: str | None = None,
    masks_given: bool = False,
) -> Predictor:
    """Open an experiment of a clone in which it was run.

    Parameters
    ----------
    experiment
        Its name in the configuration.
    root
        The clone: the folder of `params.yaml`, `results` and `data`.
    runtime
        What runs networks: torch, from `results/TASK/NAME/models`, bit for bit as the evaluation did; or ONNX Runtime,
        from `results/exports/NAME`, with 8 bits where it is onnx-int8. Thresholds and classical methods are the same
        under all.
    seed, fold
        Which training. With cross-validation a test image needs the fold that tests it.
    segmenter
        An experiment that predicts masks besides. If `experiment` was trained on pictures made from masks, these masks
        take the place of its own segmenter's; else it gets the whole picture.
    masks_given
        For an experiment that was trained on pictures made from masks: masks are passed to `predict` with the
        pictures (see `CascadePredictor.predict`).

    Raises
    ------
    BakeoffError
        If the configuration has no such experiment, what it left is missing or damaged, it needs true masks,
        or the segmenter is none of the same data set.
    """
    from bakeoff.config import read_config

    clone = _Clone(Project(root), read_config(root / "params.yaml"), runtime, seed, fold)
    settings = clone.config.experiment(experiment)
    if settings["pictures"] is not None:
        return _open_on_derived(clone, experiment, settings, segmenter, masks_given)
    predictor = _open_alone(clone, experiment, settings)
    if masks_given:
        raise BakeoffError(f"'{experiment}' was not trained on masks: leave --masks out.")
    if segmenter is None:
        return predictor
    masks = _open_segmenter(clone, segmenter, experiment, settings["dataset"])
    return _cascade(predictor, masks, None, _of(masks))


@dataclass(frozen=True)
class _Clone:
    """Where and what to open."""

    project: Project
    config: "Config"
    runtime: RuntimeName
    seed: int
    fold: int

    def trained(self, name: str, settings: dict[str, Any], suffix: str) -> Path:
        """The file of one training of an experiment."""
        folder = self.project.experiment(settings["task"], name, settings["family"]).models
        return self._of_training(folder, suffix, f"run `dvc repro {_stage(name, settings)}`")

    def exported(self, name: str) -> Path:
        """The ONNX file of one training."""
        eight_bits = self.runtime == "onnx-int8"
        command = f"run `bakeoff export {name}{' --int8 true' if eight_bits else ''}`"
        if eight_bits and name in self.config.exports:  # which the pipeline writes
            command = f"run `bakeoff set exports.{name}.int8=true` and `dvc repro export@{name}`"
        return self._of_training(self.project.exports(name), INT8_SUFFIX if eight_bits else ".onnx", command)

    def _of_training(self, folder: Path, suffix: str, otherwise: str) -> Path:
        """The file of the seed and the fold in a folder; `otherwise` is what to do where there is none of any."""
        # As `bakeoff.artefacts.prepared.run_name` has it: no fold without cross-validation.
        names = [f"seed{self.seed}-fold{self.fold}", *([f"seed{self.seed}"] if self.fold == 0 else [])]
        path = next((path for name in names if (path := folder / f"{name}{suffix}").is_file()), None)
        if path is None:
            alike = re.compile(rf"seed\d+(-fold\d+)?{re.escape(suffix)}")
            there = ", ".join(sorted(each.name for each in folder.glob("seed*") if alike.fullmatch(each.name)))
            remedy = f"there is {there}: choose another seed or fold" if there else otherwise
            raise BakeoffError(f"{folder} holds no {names[-1]}{suffix}: {remedy}.")
        return path

    def note(self, dataset: str) -> str:
        entry = self.config.datasets.get(dataset)
        known = constants(SOURCES / entry.source / "__init__.py") if entry else {}
        return medical_note({"patients": known.get("PATIENTS", False)})

    def background(self, dataset: str) -> int | None:
        """Index of the class of masks that is no foreground; None where every class counts."""
        folder = self.config.folders.get(dataset)
        return None if folder and folder.background == "none" else 0

    def about(self, dataset: str) -> tuple[list[str], Geometry, int]:
        """Classes, geometry and channels of a prepared data set."""
        folder = self.project.prepared(dataset)
        try:
            known = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            stage = f"prepare{'-folder' if dataset in self.config.folders else ''}@{dataset}"
            raise BakeoffError(f"{error.filename} is missing: run `dvc repro {stage}`.") from None
        return known["classes"], geometry_of(known), known["channels"]


def _stage(name: str, settings: dict[str, Any]) -> str:
    """The stage that runs an experiment, as DVC addresses it."""
    return f"baselines@{settings['task']}" if settings["family"] in ("thresholds", "classical") else f"train@{name}"


def _open_alone(clone: _Clone, name: str, settings: dict[str, Any]) -> Predictor:
    """An experiment on a data set's own pictures, or one on derived pictures, which it is then given."""
    opener = {"thresholds": _open_threshold, "classical": _open_classical}.get(settings["family"], _open_network)
    place = {
        "experiment": name,
        "dataset": settings["dataset"],
        "task": settings["task"],
        "note": clone.note(settings["dataset"]),
        "background": clone.background(settings["dataset"]),
        "levels": clone.config.levels(settings["dataset"]),
        "upright": clone.config.upright(settings["dataset"]),
        "seed": clone.seed,
        "fold": clone.fold,
    }
    return opener(clone, name, settings, place)


def _open_threshold(clone: _Clone, name: str, settings: dict[str, Any], place: dict[str, Any]) -> Predictor:
    from bakeoff.baselines.multiotsu import multiotsu
    from bakeoff.baselines.thresholds import THRESHOLDS

    def find(counts: np.ndarray) -> np.ndarray:
        if settings["method"] == "multiotsu":
            return multiotsu(counts, settings["classes"])
        return THRESHOLDS[settings["method"]](counts)[:, None]

    classes, geometry, channels = clone.about(settings["dataset"])
    # Nothing is random. The fold matters only if its training images decided which class is the foreground.
    return ThresholdPredictor(
        **{**place, "seed": None, "fold": clone.fold if settings["foreground"] == "train" else None},
        classes=classes,
        target=None,
        mask_classes=classes,
        geometry=geometry,
        channels=channels,
        find=find,
        foreground=_foreground(clone, name, settings),
        index=mask_score(settings.get("score"), classes, background=0).scored[0],
    )


def _foreground(clone: _Clone, name: str, settings: dict[str, Any]) -> int:
    """The class of grey levels that was the foreground in the evaluation."""
    from bakeoff.baselines.foreground import fixed_class

    choice = settings["foreground"]
    if choice == "oracle":
        raise BakeoffError(
            f"'{name}' chooses its foreground by the true mask of each image, which a new image does not have: name an "
            "experiment whose foreground is dark, bright, a number or train."
        )
    if choice != "train":
        try:
            return fixed_class(choice, settings.get("classes") or 2)
        except ValueError as error:
            key = f"experiments.baselines.{settings['task']}.methods.{name}.foreground"
            raise BakeoffError(f"params.yaml: {key}: {error} Change it.") from None
    folder = clone.project.experiment(settings["task"], name, settings["family"]).predictions
    rows = _read_table(folder / "predictions.csv", _stage(name, settings))
    chosen = {row["id"]: int(row["foreground"]) for row in rows}
    if len(set(chosen.values())) > 1:  # every fold of a cross-validation chooses for itself
        split = _read_table(clone.project.split(settings["task"]), f"split@{settings['task']}")
        tested = {row["id"] for row in split if row["fold"] == str(clone.fold) and row["split"] == "test"}
        chosen = {id_: value for id_, value in chosen.items() if id_ in tested}
    if not chosen:
        raise BakeoffError(f"'{name}' has no fold {clone.fold}: choose another.")
    return next(iter(chosen.values()))


def _read_table(path: Path, stage: str) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        raise BakeoffError(f"{path} is missing: run `dvc repro {stage}`.") from None


def _open_classical(clone: _Clone, name: str, settings: dict[str, Any], place: dict[str, Any]) -> Predictor:
    from bakeoff.baselines.classical import load_classifier

    classifier = load_classifier(clone.trained(name, settings, ".skops"))
    return ClassicalPredictor(
        **place,
        classes=classifier.classes,
        target=settings["target"],
        mask_classes=[],
        geometry=geometry_of({"geometry": classifier.geometry, "size": classifier.shape[:2]}),
        channels=classifier.shape[2],
        classifier=classifier,
    )


def _open_network(clone: _Clone, name: str, settings: dict[str, Any], place: dict[str, Any]) -> Predictor:
    network: Network
    if clone.runtime == "torch":
        try:
            from bakeoff.training.torch_network import TorchNetwork
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise BakeoffError(
                f"torch is not installed: '{name}' runs without it with --runtime onnx, where it was exported."
            ) from None

        network = TorchNetwork.open(clone.trained(name, settings, ".safetensors"))
    else:
        from bakeoff.exports.onnx_runtime import OnnxNetwork

        exported = clone.exported(name)
        network = OnnxNetwork.open(exported)
        models = clone.project.experiment(settings["task"], name, settings["family"]).models
        _require_current(name, exported, network.description, models)
    known = network.description
    return NetworkPredictor(
        **place,
        classes=known["classes"],
        target=known["target"],
        mask_classes=known["classes"] if known["target"] is None else [],
        geometry=geometry_of(known),
        channels=known["in_channels"],
        network=network,
    )


def _require_current(name: str, exported: Path, description: dict[str, Any], models: Path) -> None:
    """Refuse an export of other weights than the experiment has now; if it has none, the export is used."""
    weights = models / f"{exported.name.removesuffix(INT8_SUFFIX).removesuffix('.onnx')}.safetensors"
    recorded = description.get("weights_sha256")
    if recorded is None or not weights.is_file():
        return
    with storage_errors(weights), weights.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != recorded:
        raise BakeoffError(f"{exported} is of other weights than {weights}: run `bakeoff export {name}` again.")


def _open_on_derived(
    clone: _Clone, name: str, settings: dict[str, Any], segmenter: str | None, masks_given: bool
) -> Predictor:
    """A classifier of pictures made from masks: the named segmenter's, given ones, or its own segmenter's."""
    from bakeoff.datasets.derived.drawing import drawn

    if segmenter is not None:
        masks = _open_segmenter(clone, segmenter, name, settings["dataset"])
    elif masks_given:
        masks = None
    elif settings["segmenter"] is not None:
        # Pictures of every seed are drawn from the masks of seed 0.
        masks = _open_segmenter(replace(clone, seed=0), settings["segmenter"], name, settings["dataset"])
    else:
        raise BakeoffError(
            f"'{name}' was trained on pictures made from true masks, which a new image does not have: give masks with "
            f"--masks FOLDER, or have them predicted with --segment NAME --classify {name}."
        )
    classifier = _open_alone(clone, name, settings)
    known = clone.about(settings["dataset"]) if masks is None else _of(masks)

    def draw(pictures: np.ndarray, found: np.ndarray) -> np.ndarray:
        return drawn(settings["pictures"], pictures, found, len(known[0]), clone.background(settings["dataset"]))

    return _cascade(classifier, masks, draw, known)


def _of(segmenter: Predictor) -> tuple[list[str], Geometry, int]:
    return segmenter.mask_classes, segmenter.geometry, segmenter.channels


def _open_segmenter(clone: _Clone, name: str, classifier: str, dataset: str) -> Predictor:
    settings = clone.config.experiment(name)
    if settings["dataset"] != dataset:
        raise BakeoffError(
            f"'{name}' is of data set {settings['dataset']} and '{classifier}' of {dataset}: name two of the same."
        )
    if settings["target"] is not None:
        raise BakeoffError(f"'{name}' predicts {settings['target']} and no masks: name a segmentation.")
    return _open_alone(clone, name, settings)


def _cascade(
    classifier: Predictor,
    segmenter: Predictor | None,
    draw: Callable[[np.ndarray, np.ndarray], np.ndarray] | None,
    known: tuple[list[str], Geometry, int],
) -> Predictor:
    """Segmenter and classifier in a row; `known` are the masks' classes, and geometry and channels of the pictures."""
    if classifier.target is None:
        raise BakeoffError(f"'{classifier.experiment}' predicts masks and no class: name a classification.")
    mask_classes, geometry, channels = known
    if (classifier.geometry, classifier.channels) != (geometry, 3 if draw else channels):  # what is drawn has colours
        raise BakeoffError(
            f"'{classifier.experiment}' was trained on pictures of another size or number of channels than its masks "
            f"have: run `dvc repro train@{classifier.experiment}`."
        )
    return CascadePredictor(
        experiment=classifier.experiment,
        dataset=classifier.dataset,
        task=classifier.task,
        note=classifier.note,
        levels=classifier.levels,
        upright=classifier.upright,
        seed=classifier.seed,
        fold=classifier.fold,
        classes=classifier.classes,
        target=classifier.target,
        mask_classes=mask_classes,
        background=classifier.background,
        geometry=geometry,
        channels=channels,
        segmenter=segmenter,
        classifier=classifier,
        draw=draw,
    )


def _classes(probabilities: np.ndarray, began: float) -> list[Answer]:
    seconds = (time.perf_counter() - began) / len(probabilities)
    return [Answer(None, each, seconds) for each in probabilities]
