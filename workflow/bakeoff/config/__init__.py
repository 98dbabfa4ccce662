"""The configuration, `params.yaml`: read, checked once, resolved for a profile, edited in place.

Everything that affects a result stands in the configuration itself; the models here have no defaults for such keys,
since DVC tracks the file and not this module.
"""

import ast
import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML, YAMLError

from bakeoff.artefacts.errors import BakeoffError

CONFIG_FILE = Path("params.yaml")
PACKAGE = Path(__file__).parent.parent
PROFILES = ("sample", "small", "full")
THRESHOLD_METHODS = ("otsu", "isodata", "li", "mean", "minimum", "triangle", "yen", "multiotsu")
MAX_SEEDS = 5  # dvc.yaml names the folders seed0 to seed4

Profile = Literal["sample", "small", "full"]
Share = Annotated[float, Field(ge=0, le=1, strict=False)]
Size = Annotated[int, Field(ge=16, le=4096)]
Seeds = Annotated[int, Field(ge=1, le=MAX_SEEDS)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class Section(BaseModel):
    """A part of the configuration: no key but those named, no silent conversion of types."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)


class SeedCounts(Section):
    """How many seeds at each profile."""

    sample: Seeds
    small: Seeds
    full: Seeds


class Download(Section):
    """Where to look first, and how patiently."""

    mirror: str | None
    attempts: Annotated[int, Field(ge=1, le=100)]
    timeout: Annotated[float, Field(gt=0, le=3600, strict=False)]


class LabelValue(Section):
    """A label and one of its values."""

    label: str
    value: str


class StratifiedSplit(Section):
    """Shares of the images, drawn from a seed within every combination of labels, look-alikes together."""

    name: Literal["stratified"]
    train: Share
    validation: Share
    test: Share
    stratify: list[str]
    seed: int
    learn_from: LabelValue | None = None

    @model_validator(mode="after")
    def _whole(self) -> "StratifiedSplit":
        if abs(self.train + self.validation + self.test - 1) > 1e-6:
            raise ValueError("train, validation and test must add up to 1")
        if min(self.train, self.validation, self.test) == 0:
            raise ValueError("train, validation and test must each be above 0")
        return self


class RandomSplit(Section):
    """A share of all images, drawn from a seed one by one, as published protocols do it: look-alikes part."""

    name: Literal["random"]
    validation: Annotated[float, Field(gt=0, lt=1)]
    test: Annotated[float, Field(gt=0, lt=1)]
    seed: int


class PublishedSplit(Section):
    """Every 14th file of the sorted list, as one of the systems reproduced did it."""

    name: Literal["every-14th"]


class LabelledSplit(Section):
    """Train on the images of some values of a label, test on those of others: official lists, hospitals."""

    name: Literal["by-label"]
    label: str
    train: Annotated[list[str], Field(min_length=1)]
    test: Annotated[list[str], Field(min_length=1)]
    validation: Annotated[float, Field(gt=0, lt=1)]
    stratify: list[str]
    straddling: Literal["drop", "keep"]
    seed: int


FoldCount = Annotated[int, Field(ge=2, le=20)]


class FoldCounts(Section):
    """How many folds at each profile."""

    sample: FoldCount
    small: FoldCount
    full: FoldCount


class FoldedSplit(Section):
    """Cross-validation: every image is tested once, by the fold that did not see it."""

    name: Literal["folds"]
    folds: FoldCounts
    validation: Annotated[float, Field(gt=0, lt=1)]
    stratify: list[str]
    grouped: bool
    seed: int


AnySplit = StratifiedSplit | RandomSplit | PublishedSplit | LabelledSplit | FoldedSplit


class Task(Section):
    """What methods compete in: a data set, what is to be predicted, and which images train and test."""

    dataset: str
    kind: Literal["segmentation", "classification"]
    target: str | None = None
    split: Annotated[AnySplit, Field(discriminator="name")]

    @model_validator(mode="after")
    def _target_of_classification(self) -> "Task":
        if (self.kind == "classification") != (self.target is not None):
            raise ValueError("'target', the label to predict, goes with kind classification and no other")
        return self


class Duplicates(Section):
    """When two pictures are suspected to be one."""

    distance: Annotated[int, Field(ge=0, le=64)]


class Synthetic(Section):
    """How many pictures to draw, their longest side in pixels, and the seed."""

    images: Annotated[int, Field(ge=20, le=100_000)]
    size: Annotated[int, Field(ge=64, le=4096)]
    seed: int


class SyntheticArchive(Section):
    """An archive that is drawn and not downloaded."""

    synthetic: Synthetic


class DatasetSize(Section):
    """What differs between profiles."""

    size: Size
    archive: Literal["official"] | SyntheticArchive


class Dataset(Section):
    """A data set that a package of `bakeoff.datasets` reads from its archives."""

    source: str
    duplicates: Duplicates
    sample: DatasetSize
    small: DatasetSize
    full: DatasetSize


class Folder(Section):
    """A folder of one's own images, with masks or sorted into classes."""

    path: str
    size: Size
    channels: Literal[1, 3]
    duplicates: Duplicates
    title: str | None = None
    classes: Annotated[list[str], Field(min_length=2)] | None = None
    licence: str | None = None
    citation: str | None = None


Level = Annotated[int, Field(ge=0, le=255)]


class Overlay(Section):
    """Images with a mask drawn in: each with its own, or each with another's."""

    dataset: str
    kind: Literal["overlay"]
    mask: Literal["true", "shuffled"]
    style: Literal["outline", "tint"]
    colour: Annotated[list[Level], Field(min_length=3, max_length=3)]
    opacity: Share
    width: Annotated[int, Field(ge=1, le=64)]
    seed: int


class MaskOnly(Section):
    """Masks in place of images."""

    dataset: str
    kind: Literal["mask"]


class Region(Section):
    """What a mask covers: cut out and enlarged, or with all else grey."""

    dataset: str
    kind: Literal["region"]
    mask: Literal["true", "shuffled"]
    keep: Literal["crop", "masked"]
    margin: Annotated[float, Field(ge=0, le=0.5, strict=False)]
    seed: int


AnyInput = Annotated[Overlay | MaskOnly | Region, Field(discriminator="kind")]


class Segmenter(Section):
    """Whose masks are predicted: an experiment, with its task and model."""

    experiment: str
    task: str
    model: str


class PredictedOverlay(Section):
    """Images with a predicted mask drawn in."""

    dataset: str
    task: str
    segmenter: Segmenter
    kind: Literal["overlay"]
    style: Literal["outline", "tint"]
    colour: Annotated[list[Level], Field(min_length=3, max_length=3)]
    opacity: Share
    width: Annotated[int, Field(ge=1, le=64)]


class PredictedRegion(Section):
    """What a predicted mask covers."""

    dataset: str
    task: str
    segmenter: Segmenter
    kind: Literal["region"]
    keep: Literal["crop", "masked"]
    margin: Annotated[float, Field(ge=0, le=0.5, strict=False)]


AnyPredictedInput = Annotated[PredictedOverlay | PredictedRegion, Field(discriminator="kind")]


class RandomWeights(Section):
    """Weights from a seed."""

    from_: Literal["random"] = Field(alias="from")
    seed: int


class OfficialWeights(Section):
    """Published weights."""

    from_: Literal["official"] = Field(alias="from")
    otherwise: Literal["fail", "random"]
    seed: int = 0
    stride_in: Literal["1x1", "3x3"] | None = None


AnyWeights = Annotated[RandomWeights | OfficialWeights, Field(discriminator="from_")]


class Weights(Section):
    """A set of pretrained weights at each profile."""

    sample: AnyWeights
    small: AnyWeights
    full: AnyWeights


class Augmentation(Section):
    """How far a training image may be changed."""

    rotate: Annotated[float, Field(ge=0, le=180, strict=False)]
    scale: Annotated[float, Field(ge=0, lt=1, strict=False)]
    translate: Annotated[float, Field(ge=0, lt=1, strict=False)]
    brightness: Annotated[float, Field(ge=0, le=1, strict=False)]
    contrast: Annotated[float, Field(ge=0, lt=1, strict=False)]
    gamma: Annotated[float, Field(ge=0, lt=1, strict=False)]
    flip: bool


class Training(Section):
    """A recipe, resolved for a profile."""

    epochs: Annotated[int, Field(ge=1, le=100_000)]
    frozen_epochs: Annotated[int, Field(ge=0, le=100_000)]
    patience: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1, le=65_536)]
    optimizer: Literal["adamw", "adam", "rmsprop"]
    schedule: Literal["cosine", "one-cycle", "constant"]
    learning_rate: Annotated[float, Field(gt=0, le=10)]
    warmup_epochs: Annotated[float, Field(ge=0, strict=False)]
    weight_decay: Annotated[float, Field(ge=0, le=1)]
    encoder_learning_rate_factor: Annotated[float, Field(gt=0, le=1, strict=False)]
    discriminative: bool
    class_weights: Literal["none", "balanced"]
    label_smoothing: Annotated[float, Field(ge=0, lt=1, strict=False)]
    precision: Literal["auto", "bf16", "fp32"]
    augmentation: Augmentation


class Recipe(Section):
    """A budget and its settings: what holds always, and what a profile changes."""

    always: dict[str, Any]
    sample: dict[str, Any]
    small: dict[str, Any]
    full: dict[str, Any]

    def at(self, profile: str) -> dict[str, Any]:
        """The recipe's keys at a profile."""
        return {**self.always, **getattr(self, profile)}


class Threshold(Section):
    """A threshold experiment."""

    dataset: str
    task: str
    method: Literal[THRESHOLD_METHODS]  # type: ignore[valid-type]
    foreground: Literal["dark", "bright", "train", "oracle"] | Annotated[int, Field(ge=0)]
    classes: Annotated[int, Field(ge=3, le=8)] | None = None

    @model_validator(mode="after")
    def _classes_for_multiotsu(self) -> "Threshold":
        if (self.method == "multiotsu") != (self.classes is not None):
            raise ValueError("'classes' goes with method multiotsu and no other")
        if isinstance(self.foreground, int) and self.foreground >= (self.classes or 2):
            raise ValueError(f"foreground must be below the number of classes, {self.classes or 2}")
        return self


class Classical(Section):
    """A classifier on features that nobody had to learn."""

    dataset: str
    task: str
    method: Literal["majority", "svm", "random-forest", "gradient-boosting", "logistic-regression"]
    features: Literal["none", "grey", "rgb", "hog"]
    side: Annotated[int, Field(ge=8, le=1024)]
    settings: dict[str, Any]


class Network(Section):
    """A network trained from random weights."""

    dataset: str
    task: str
    model: str
    recipe: str
    settings: dict[str, Any]


class Pretrained(Network):
    """A network whose encoder starts from published weights."""

    weights: str


class Classifier(Pretrained):
    """A classifier whose encoder starts from published weights, and which may learn the masks too."""

    masks: bool = False


class OnInput(Pretrained):
    """A classifier of pictures made from a data set's, an entry of `inputs` or `predicted_inputs`."""

    input: str


class Experiments(Section):
    """Every experiment, by family."""

    thresholds: dict[Name, Threshold]
    networks: dict[Name, Network]
    pretrained: dict[Name, Pretrained]
    classical: dict[Name, Classical]
    classifiers: dict[Name, Classifier]
    on_inputs: dict[Name, OnInput]


class Margins(Section):
    """Differences of the headline score, 0 to 1, below which two methods of a kind of task are equivalent."""

    segmentation: Annotated[float, Field(gt=0, lt=1)]
    classification: Annotated[float, Field(gt=0, lt=1)]


class Export(Section):
    """What is written of a network beside its ONNX file in single precision."""

    int8: bool


class Config(Section):
    """The whole config."""

    profile: Profile
    seeds: SeedCounts
    download: Download
    resamples: Annotated[int, Field(ge=100, le=1_000_000)]
    margins: Margins
    export: Export
    datasets: dict[Name, Dataset]
    folders: dict[Name, Folder]
    inputs: dict[Name, AnyInput]
    predicted_inputs: dict[Name, AnyPredictedInput]
    tasks: dict[Name, Task]
    weights: dict[Name, Weights]
    recipes: dict[Name, Recipe]
    experiments: Experiments

    @property
    def seed_count(self) -> int:
        """Seeds at the configuration's profile."""
        return int(getattr(self.seeds, self.profile))

    def dataset_size(self, name: str) -> DatasetSize:
        """What the configuration's profile says of a data set."""
        size: DatasetSize = getattr(self.datasets[name], self.profile)
        return size

    def task(self, name: str) -> dict[str, Any]:
        """Settings of a task as plain values, resolved for the configuration's profile.

        Raises
        ------
        BakeoffError
            If the configuration has no such task.
        """
        if name not in self.tasks:
            raise BakeoffError(f"{CONFIG_FILE} has no task '{name}'{_nearest(name, self.tasks)}.")
        settings = self.tasks[name].model_dump()
        if settings["split"]["name"] == "folds":
            settings["split"]["folds"] = settings["split"]["folds"][self.profile]
        return settings

    def dataset_names(self) -> list[str]:
        """Names of all data sets, those of archives first."""
        return [*self.datasets, *self.folders]

    def family(self, experiment: str) -> str:
        """Family of an experiment: the name of its section in `experiments`.

        Raises
        ------
        BakeoffError
            If the configuration has no such experiment.
        """
        for family in Experiments.model_fields:
            if experiment in getattr(self.experiments, family):
                return family
        raise BakeoffError(
            f"{CONFIG_FILE} has no experiment '{experiment}'{_nearest(experiment, self.experiment_names())}."
        )

    def experiment_names(self) -> list[str]:
        """Names of all experiments, in the configuration's order."""
        return [name for family in Experiments.model_fields for name in getattr(self.experiments, family)]

    def experiment(self, name: str) -> dict[str, Any]:
        """Settings of an experiment as plain values, with its family, its task's target, and whether it is an oracle:
        it sees the truth of the images that it is tested on.
        """
        family = self.family(name)
        settings = getattr(self.experiments, family)[name].model_dump()
        shown = self.inputs.get(settings.get("input", ""))
        sees_truth = shown is not None and (isinstance(shown, MaskOnly) or shown.mask == "true")
        return {
            **settings,
            "family": family,
            "target": self.tasks[settings["task"]].target,
            "oracle": sees_truth or settings.get("foreground") == "oracle",
        }


def read_config(path: Path = CONFIG_FILE) -> Config:
    """Read and check the configuration.

    Raises
    ------
    BakeoffError
        One sentence a mistake, with the key's path and the nearest valid name.
    """
    return check_config(_load(path), path)


def check_config(values: Any, path: Path = CONFIG_FILE) -> Config:
    """Check the values of a configuration: keys, types and ranges, and that what it names exists."""
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        raise BakeoffError("\n".join(_sentences(error, path))) from None
    mistakes = [f"{path}: {mistake}" for mistake in _wrong_references(config)]
    if mistakes:
        raise BakeoffError("\n".join(mistakes))
    return config


def set_values(assignments: Iterable[str], path: Path = CONFIG_FILE) -> None:
    """Set `KEY=VALUE` pairs in the configuration, keeping its comments and order; nothing is written unless all of it
    is valid.

    A value is read as YAML: `true`, `3`, `0.1`, `null`, `[1, 2]` and `{size: 96}` mean what they mean there.
    """
    editor = _editor()
    values = _load(path, editor)
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise BakeoffError(f"'{assignment}' is not KEY=VALUE: write for example profile=small.")
        try:
            value = editor.load(text) if text.strip() else None
        except YAMLError:
            raise BakeoffError(f"'{text}' is no YAML value for {key}: quote it.") from None
        _assign(values, key, value, path)
    check_config(_plain(values), path)
    beside = path.with_name(f".{path.name}.new")
    with beside.open("w") as file:
        editor.dump(values, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _editor() -> YAML:
    editor = YAML(typ="rt")
    editor.preserve_quotes = True
    editor.width = 4096  # no line is broken that is not broken already
    editor.indent(mapping=2, sequence=4, offset=2)
    editor.representer.add_representer(type(None), lambda r, _: r.represent_scalar("tag:yaml.org,2002:null", "null"))
    return editor


def _load(path: Path, loader: YAML | None = None) -> Any:
    try:
        values = (loader or YAML(typ="safe")).load(path.read_text())
    except FileNotFoundError:
        raise BakeoffError(f"{path} is missing: run bakeoff from the repository's root.") from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise BakeoffError(f"{path}{where} is not valid YAML: {getattr(error, 'problem', error)}.") from None
    if not isinstance(values, Mapping):
        raise BakeoffError(f"{path} holds no keys: restore it with `git checkout {path}`.")
    return values


def _plain(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {str(key): _plain(value) for key, value in values.items()}
    if isinstance(values, list):
        return [_plain(value) for value in values]
    for kind in (bool, int, float, str):
        if isinstance(values, kind):
            return kind(values)
    return values


def _assign(values: Any, key: str, value: Any, path: Path) -> None:
    *parents, last = key.split(".")
    node = values
    for depth, parent in enumerate(parents):
        if not isinstance(node, Mapping) or parent not in node:
            known = node if isinstance(node, Mapping) else ()
            raise BakeoffError(f"{path} has no key '{'.'.join(parents[: depth + 1])}'{_nearest(parent, known)}.")
        node = node[parent]
    if not isinstance(node, Mapping):
        raise BakeoffError(f"{path}: '{'.'.join(parents)}' is a value and has no key '{last}'.")
    node[last] = value  # type: ignore[index]


def _nearest(name: str, known: Iterable[str], *, listed: bool = True) -> str:
    known = [str(each) for each in known]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f": did you mean '{close[0]}'"
    return f" (there are: {', '.join(known)})" if known and listed else ""


def _modules(folder: str) -> list[str]:
    found = (PACKAGE / folder).iterdir()
    names = {each.stem for each in found if each.suffix == ".py" or (each / "__init__.py").is_file()}
    return sorted(names - {"__init__"})


def _sources() -> list[str]:
    found = {each.parent.name for each in (PACKAGE / "datasets" / "sources").glob("*/__init__.py")}
    return sorted(found - {"folder"})  # which the section `folders` is for


def _targets(config: Config, dataset: str) -> tuple[str, ...]:
    """Labels of a data set that can be predicted: read from its package and not imported, which would take longer."""
    if dataset in config.folders:
        return ("class",)
    package = PACKAGE / "datasets" / "sources" / config.datasets[dataset].source / "__init__.py"
    for statement in ast.parse(package.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "TARGETS":
            return tuple(ast.literal_eval(statement.value))
    return ()


def _wrong_references(config: Config) -> Iterable[str]:
    def unknown(key: str, name: str, known: Iterable[str], kind: str) -> Iterable[str]:
        if name not in list(known):
            yield f"{key} names {kind} '{name}', which does not exist{_nearest(name, known)}."

    for name, dataset in config.datasets.items():
        yield from unknown(f"datasets.{name}.source", dataset.source, _sources(), "data source")
        if name in config.folders:
            yield f"datasets and folders both have '{name}': rename one."
    for name, input_ in config.inputs.items():
        yield from unknown(f"inputs.{name}.dataset", input_.dataset, config.dataset_names(), "data set")
    for name, task in config.tasks.items():
        yield from unknown(f"tasks.{name}.dataset", task.dataset, config.dataset_names(), "data set")
        read = task.dataset in config.folders or (
            task.dataset in config.datasets and config.datasets[task.dataset].source in _sources()
        )
        if task.target and read:
            yield from unknown(f"tasks.{name}.target", task.target, _targets(config, task.dataset), "label")
    for name in config.weights:
        yield from unknown(f"weights.{name}", name, _modules("weights/networks"), "weights")
    for name, recipe in config.recipes.items():
        for profile in PROFILES:
            try:
                Training.model_validate(recipe.at(profile))
            except ValidationError as error:
                yield from (sentence for sentence in _bare_sentences(error, ("recipes", name, profile)))
    for name, predicted in config.predicted_inputs.items():
        key = f"predicted_inputs.{name}"
        segmenter = predicted.segmenter
        yield from unknown(f"{key}.dataset", predicted.dataset, config.dataset_names(), "data set")
        yield from unknown(f"{key}.task", predicted.task, config.tasks, "task")
        yield from unknown(
            f"{key}.segmenter.experiment", segmenter.experiment, _segmenters(config), "network for masks"
        )
        yield from _wrong_prediction(config, key, predicted)
        if name in config.inputs:
            yield f"inputs and predicted_inputs both have '{name}': rename one."
    names = config.experiment_names()
    yield from (
        f"two experiments are called '{name}': rename one." for name in sorted(set(names)) if names.count(name) > 1
    )
    for family in Experiments.model_fields:
        for name, experiment in getattr(config.experiments, family).items():
            key = f"experiments.{family}.{name}"
            yield from _wrong_task(config, key, experiment)
            if isinstance(experiment, Network):
                yield from unknown(f"{key}.model", experiment.model, _modules("models"), "model")
                yield from unknown(f"{key}.recipe", experiment.recipe, config.recipes, "recipe")
            if isinstance(experiment, Pretrained):
                yield from unknown(f"{key}.weights", experiment.weights, config.weights, "weights")
            if isinstance(experiment, OnInput):
                inputs = {**config.inputs, **config.predicted_inputs}
                yield from unknown(f"{key}.input", experiment.input, inputs, "input")
                if experiment.input in inputs and inputs[experiment.input].dataset != experiment.dataset:
                    yield f"{key}.input is '{experiment.input}', which is made from another data set: use its own."
                yield from _wrong_folds(config, key, experiment)


def _segmenters(config: Config) -> dict[str, Network]:
    return {**config.experiments.networks, **config.experiments.pretrained}


def _wrong_prediction(config: Config, key: str, predicted: PredictedOverlay | PredictedRegion) -> Iterable[str]:
    """Where data set, task and segmenter, each of which exists, contradict each other."""
    if predicted.dataset not in config.dataset_names():
        return  # said of the dataset
    task = config.tasks.get(predicted.task)
    if task and task.dataset != predicted.dataset:
        yield f"{key}.dataset is '{predicted.dataset}', and task '{predicted.task}' has '{task.dataset}': use that."
    given = predicted.segmenter
    if (experiment := _segmenters(config).get(given.experiment)) is None:
        return
    for field, mine, own in (
        ("segmenter.task", given.task, experiment.task),
        ("segmenter.model", given.model, experiment.model),
        ("dataset", predicted.dataset, experiment.dataset),
    ):
        if mine != own:
            yield f"{key}.{field} is '{mine}', and '{given.experiment}' has '{own}': use that."


def _wrong_folds(config: Config, key: str, experiment: OnInput) -> Iterable[str]:
    """In another task's folds the masks may be by a network that was trained on the images to test."""
    predicted = config.predicted_inputs.get(experiment.input)
    if predicted and predicted.task != experiment.task:
        yield (
            f"{key}.task is '{experiment.task}', and '{experiment.input}' is predicted for '{predicted.task}': use "
            "that, or an input of its own."
        )


def _wrong_task(config: Config, key: str, experiment: Threshold | Classical | Network) -> Iterable[str]:
    if experiment.task not in config.tasks:
        nearest = _nearest(experiment.task, config.tasks)
        yield f"{key}.task names task '{experiment.task}', which does not exist{nearest}."
        return
    task = config.tasks[experiment.task]
    if task.dataset not in config.dataset_names():
        return  # said of the task
    if experiment.dataset != task.dataset:
        yield f"{key}.dataset is '{experiment.dataset}', and task '{experiment.task}' has '{task.dataset}': use that."
    kind = "classification" if isinstance(experiment, Classical | Classifier | OnInput) else "segmentation"
    if task.kind != kind:
        yield f"{key}.task is '{experiment.task}', a {task.kind}: name a task of kind {kind}."


def _sentences(error: ValidationError, path: Path) -> list[str]:
    return [f"{path}: {sentence}" for sentence in _bare_sentences(error, ())]


def _bare_sentences(error: ValidationError, prefix: tuple[str, ...]) -> list[str]:
    # A value that fits no member of a union is reported once a member: the first, the words, says it best.
    mistakes = [details for details in error.errors(include_url=False) if "constrained-int" not in details["loc"]]
    return [_sentence(details, prefix) for details in mistakes]


def _sentence(details: ErrorDetails, prefix: tuple[str, ...]) -> str:
    location = [*prefix, *(str(part) for part in details["loc"])]
    key = _key(location)
    given = details.get("input")
    if details["type"].startswith("union_tag"):
        key += f".{details['ctx']['discriminator'].strip(chr(39))}"
    if details["type"] == "extra_forbidden":
        if location[-1] in _all_keys():
            return f"{key} does not belong there: take it out."
        return f"{key} is no key of the configuration{_nearest(location[-1], _all_keys(), listed=False)}."
    if details["type"] in ("missing", "union_tag_not_found"):
        return f"{key} is missing: add it."
    if details["type"] in ("literal_error", "union_tag_invalid") and "ctx" in details:
        expected = str(details["ctx"].get("expected") or details["ctx"].get("expected_tags"))
        value = details["ctx"].get("tag", given)
        known = re.findall(r"'([^']+)'", expected)
        return f"{key} is {value!r}, which is none of {expected}{_nearest(str(value), known, listed=False)}."
    message = details["msg"].removeprefix("Value error, ")
    shown = f" (it is {given!r})" if given is None or isinstance(given, str | int | float) else ""
    return f"{key}: {message[:1].lower()}{message[1:]}{shown}."


# pydantic puts the chosen member of a union into the path, which is no key of the configuration: where, by section.
_UNION_MEMBER = {"datasets": 4, "inputs": 2, "predicted_inputs": 2, "tasks": 3, "weights": 3}


def _key(location: Sequence[str]) -> str:
    """Path of a mistake in the configuration; a list of types that pydantic tried ends in a bracket."""
    member = _UNION_MEMBER.get(location[0])
    return ".".join(part for position, part in enumerate(location) if position != member and not part.endswith("]"))


def _all_keys() -> list[str]:
    return sorted({field.alias or name for model in _sections() for name, field in model.model_fields.items()})


def _sections(above: type[Section] = Section) -> Iterable[type[Section]]:
    for section in above.__subclasses__():
        yield section
        yield from _sections(section)
