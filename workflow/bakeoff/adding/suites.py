"""Suites of methods, and the entries of the configuration that they become for a data set."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.geometry import Geometry
from bakeoff.config.editing import load, plain
from bakeoff.config.entries import Addition
from bakeoff.config.messages import sentences
from bakeoff.config.naming import named
from bakeoff.config.restricting import SHARED, WRITTEN
from bakeoff.config.schema import AnyBaseline, AnyWeights, Name, Section, Size

SUITES_FILE = Path(__file__).parent / "suites.yaml"
# Passes without a better score, of all passes, that end a training; and no fewer than so many, since the score of few
# validation images jumps.
PATIENCE, LEAST_PATIENCE = 0.4, 10


# What is said of a recipe's keys where it is written.
RECIPE_NOTES = {
    "patience": "Passes without a better validation score that end it.",
    "batch_size": "Images a step.",
    "optimizer": "adamw, adam or rmsprop; highest learning rate and weight decay.",
    "schedule": "cosine (a rise over so many warm-up epochs, then down to 0), one-cycle or constant.",
    "encoder_learning_rate_factor": "Share of the learning rate that a pretrained encoder gets.",
    "frozen_epochs": "First epochs in which a pretrained encoder stays as it is.",
    "class_weights": "Of a classification. balanced: rare classes count as much as frequent ones; none.",
    "precision": "auto takes bf16 where the hardware has it; bf16; fp32.",
    "augmentation": "Largest rotation (degrees), scaling, shift, brightness, contrast, gamma (shares); mirror images.",
}


class Epochs(Section):
    """Passes over the training images: no fewer, and no more."""

    least: Annotated[int, Field(ge=1)]
    most: Annotated[int, Field(ge=1)]


class Methods(Section):
    """What a suite has for a kind of task."""

    size: Size
    images: Annotated[int, Field(ge=1)]
    epochs: Epochs
    baselines: list[str]
    networks: list[str]

    def passes(self, training_images: int) -> int:
        """Epochs in which networks see `images` images, of so many that they are trained on."""
        wanted = round(self.images / max(training_images, 1))
        return min(max(wanted, self.epochs.least), self.epochs.most)


class Suite(Section):
    """Methods for masks and for classes; either may be missing."""

    title: str
    segmentation: Methods | None = None
    classification: Methods | None = None


class Entry(Section):
    """A network as it is written, without data set and task."""

    model: str
    weights: str
    recipe: str
    settings: dict[str, Any]


class Measured(Section):
    """Figures of a network's training; see `suites.yaml`."""

    images_per_second: Annotated[float, Field(gt=0, strict=False)]
    memory_mib: Annotated[float, Field(gt=0, strict=False)]
    parameters: Annotated[float, Field(gt=0, strict=False)]


class SuiteNetwork(Section):
    """A network, and what is known of its cost."""

    entry: Entry
    measured: Measured


class Catalogue(Section):
    """The suites, and the methods that they name."""

    suites: dict[Name, Suite]
    baselines: dict[Name, AnyBaseline]
    networks: dict[Name, SuiteNetwork]
    weights: dict[Name, AnyWeights]
    recipes: dict[Name, dict[str, Any]]


@dataclass(frozen=True)
class Chosen:
    """Methods of a suite for one task.

    Attributes
    ----------
    suite
        Its name.
    geometry
        Of the prepared images.
    windows
        That networks learn from, by image.
    epochs
        Of every network.
    baselines, networks
        Entries by the method's name.
    """

    suite: str
    geometry: Geometry
    windows: float
    epochs: int
    baselines: Mapping[str, dict[str, Any]]
    networks: Mapping[str, SuiteNetwork]


@cache
def read_suites(path: Path = SUITES_FILE) -> Catalogue:
    """The suites that there are.

    Raises
    ------
    BakeoffError
        If the file is not what it has to be, or a suite names a method that it does not have.
    """
    try:
        found = Catalogue.model_validate(plain(load(path)))
    except ValidationError as error:
        raise BakeoffError("\n".join(sentences(error, path))) from None
    for name, suite in found.suites.items():
        for methods in (suite.segmentation, suite.classification):
            for each in methods.baselines if methods else ():
                _known(path, name, each, found.baselines, "baselines")
            for each in methods.networks if methods else ():
                _known(path, name, each, found.networks, "networks")
    for name, network in found.networks.items():
        _known(path, name, network.entry.recipe, found.recipes, "recipes")
        _known(path, name, network.entry.weights, [*found.weights, "none"], "weights")
    return found


def _known(path: Path, owner: str, name: str, known: Collection[str], section: str) -> None:
    if name not in known:
        raise BakeoffError(f"{path}: '{owner}' names '{name}', which {section} does not have: add it there.")


def methods_of(suite: str, kind: str) -> Methods:
    """What a suite has for a kind of task.

    Raises
    ------
    BakeoffError
        If there is no such suite, or it has nothing for this kind of task.
    """
    methods: Methods | None = getattr(named(read_suites().suites, suite, "suite"), kind)
    if methods is None:
        raise BakeoffError(f"Suite '{suite}' has no methods for a {kind}: name another one with --suite.")
    return methods


def choose(
    suite: str,
    kind: str,
    training_images: int,
    geometry: Geometry,
    windows: float = 1.0,
    *,
    thresholds: bool,
    without: Collection[str],
) -> Chosen:
    """The methods of a suite for a task.

    Parameters
    ----------
    kind
        segmentation or classification.
    training_images
        How many images networks will be trained on.
    geometry
        Of the prepared images.
    windows
        That networks learn from, by image.
    thresholds
        Whether global thresholds can answer: masks have two classes, one of them the background.
    without
        Names of weights that cannot be had: networks that need them are left out.

    Raises
    ------
    BakeoffError
        If there is no such suite, or it has nothing for this kind of task.
    """
    catalogue, methods = read_suites(), methods_of(suite, kind)
    baselines = methods.baselines if kind == "classification" or thresholds else []
    networks = {name: catalogue.networks[name] for name in methods.networks}
    return Chosen(
        suite,
        geometry,
        windows,
        methods.passes(round(windows * training_images)),
        {name: catalogue.baselines[name].model_dump(exclude_none=True) for name in baselines},
        {name: network for name, network in networks.items() if network.entry.weights not in without},
    )


def weights_needed(suite: str, kind: str) -> dict[str, dict[str, Any]]:
    """Published weights that a suite's networks start from: what would be written of each, by name."""
    catalogue = read_suites()
    methods = getattr(named(catalogue.suites, suite, "suite"), kind)
    names = {catalogue.networks[name].entry.weights for name in (methods.networks if methods else ())} - {"none"}
    return {name: catalogue.weights[name].model_dump(by_alias=True, exclude_defaults=True) for name in sorted(names)}


def experiments(name: str, kind: str, chosen: Chosen, existing: Collection[str]) -> Iterator[Addition]:
    """Entries for the methods, their recipes and weights.

    Parameters
    ----------
    name
        Of the data set and the task.
    existing
        Entries of `weights` that the configuration has.
    """
    catalogue = read_suites()
    written = f"{WRITTEN.format(name=name)}"
    used = [network.entry for network in chosen.networks.values()]
    if used and "none" not in existing:
        nothing = {"from": "nothing"}
        yield Addition(("weights",), "none", _at_every_profile("none", nothing), [f"{SHARED}: an empty entry."])
    for weights in dict.fromkeys(entry.weights for entry in used if entry.weights != "none"):
        if (published := f"{weights}-published") not in existing:
            settings = catalogue.weights[weights].model_dump(by_alias=True, exclude_defaults=True)
            settings = {"from": "official", **settings}
            comment = [f"{SHARED}: published weights at every profile."]
            yield Addition(("weights",), published, _at_every_profile(weights, settings), comment)
    for recipe in dict.fromkeys(entry.recipe for entry in used):
        yield _recipe(name, kind, recipe, chosen, written)
    if chosen.baselines:
        methods = {f"{name}-{method}": entry for method, entry in chosen.baselines.items()}
        comment = [f"{written}: thresholds." if kind == "segmentation" else f"{written}: classical methods."]
        yield Addition(("experiments", "baselines"), name, {"dataset": name, "methods": methods}, comment)
    for method, network in chosen.networks.items():
        entry = network.entry
        weights = entry.weights if entry.weights == "none" else f"{entry.weights}-published"
        value: dict[str, Any] = {
            "dataset": name,
            "task": name,
            "images": name,
            "model": entry.model,
            "weights": weights,
        }
        value |= {"recipe": f"{name}-{entry.recipe}", "settings": entry.settings}
        yield Addition(("experiments", "networks"), f"{name}-{method}", value, [f"{written}."])


def _at_every_profile(network: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {"network": network, "sample": settings, "small": settings, "full": settings}


def _recipe(name: str, kind: str, recipe: str, chosen: Chosen, written: str) -> Addition:
    always = dict(read_suites().recipes[recipe])
    if kind == "segmentation":
        always["class_weights"] = "none"
    notes = {**RECIPE_NOTES, "epochs": f"Passes over the training images; from the suite {chosen.suite}."}
    budget = {"epochs": chosen.epochs, "patience": max(LEAST_PATIENCE, round(PATIENCE * chosen.epochs))}
    return Addition(
        ("recipes",),
        f"{name}-{recipe}",
        {"always": {**budget, **always}, "sample": {}, "small": {}, "full": {}},
        [f"{written}: the same at every profile."],
        {f"always.{key}": note for key, note in notes.items()},
    )
