"""The book, `params.yaml`: read, checked once, resolved for a profile, edited in place.

Everything that affects a result stands in the book itself; the models here have no defaults for such keys, since DVC
tracks the file and not this module.
"""

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML, YAMLError

from bakeoff.errors import BakeoffError

BOOK = Path("params.yaml")
PACKAGE = Path(__file__).parent
PROFILES = ("sample", "small", "full")
THRESHOLD_METHODS = ("otsu", "isodata", "li", "mean", "minimum", "triangle", "yen", "multiotsu")
MAX_SEEDS = 5  # dvc.yaml names the folders seed0 to seed4

Profile = Literal["sample", "small", "full"]
Share = Annotated[float, Field(ge=0, le=1)]
Seeds = Annotated[int, Field(ge=1, le=MAX_SEEDS)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class Section(BaseModel):
    """A part of the book: no key but those named, no silent conversion of types."""

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


class StratifiedSplit(Section):
    """Shares of the images, stratified, from a seed."""

    name: Literal["stratified"]
    train: Share
    validation: Share
    test: Share
    seed: int

    @model_validator(mode="after")
    def _whole(self) -> "StratifiedSplit":
        if abs(self.train + self.validation + self.test - 1) > 1e-6:
            raise ValueError("train, validation and test must add up to 1")
        if min(self.train, self.validation, self.test) == 0:
            raise ValueError("train, validation and test must each be above 0")
        return self


class PublishedSplit(Section):
    """Every 14th file of the sorted list, as one of the systems reproduced did it."""

    name: Literal["every-14th"]


class HospitalSplit(Section):
    """Train on one hospital, test on the others."""

    name: Literal["hospital"]
    train_on: str
    validation: Share
    seed: int


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

    size: Annotated[int, Field(ge=16, le=4096)]
    archive: Literal["official"] | SyntheticArchive


class Dataset(Section):
    """A data set and how it is split."""

    source: str
    split: Annotated[StratifiedSplit | PublishedSplit | HospitalSplit, Field(discriminator="name")]
    duplicates: Duplicates
    sample: DatasetSize
    small: DatasetSize
    full: DatasetSize


class RandomWeights(Section):
    """Weights from a seed."""

    from_: Literal["random"] = Field(alias="from")
    seed: int


class OfficialWeights(Section):
    """Published weights."""

    from_: Literal["official"] = Field(alias="from")
    stride_in: Literal["1x1", "3x3"]


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
    patience: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1, le=65_536)]
    learning_rate: Annotated[float, Field(gt=0, le=10)]
    warmup_epochs: Annotated[float, Field(ge=0, strict=False)]
    weight_decay: Annotated[float, Field(ge=0, le=1)]
    encoder_learning_rate_factor: Annotated[float, Field(ge=0, le=1, strict=False)]
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


class Network(Section):
    """A network trained from random weights."""

    dataset: str
    task: Literal["segmentation"]
    model: str
    recipe: str
    settings: dict[str, Any]


class Pretrained(Network):
    """A network whose encoder starts from published weights."""

    weights: str


class Experiments(Section):
    """Every experiment, by family."""

    thresholds: dict[Name, Threshold]
    networks: dict[Name, Network]
    pretrained: dict[Name, Pretrained]


class Book(Section):
    """The whole book."""

    profile: Profile
    seeds: SeedCounts
    download: Download
    resamples: Annotated[int, Field(ge=100, le=1_000_000)]
    datasets: Annotated[dict[Name, Dataset], Field(min_length=1)]
    weights: dict[Name, Weights]
    recipes: dict[Name, Recipe]
    experiments: Experiments

    @property
    def seed_count(self) -> int:
        """Seeds at the book's profile."""
        return int(getattr(self.seeds, self.profile))

    def dataset_size(self, name: str) -> DatasetSize:
        """What the book's profile says of a data set."""
        size: DatasetSize = getattr(self.datasets[name], self.profile)
        return size

    def family(self, experiment: str) -> str:
        """Family of an experiment: thresholds, networks or pretrained.

        Raises
        ------
        BakeoffError
            If the book has no such experiment.
        """
        for family in Experiments.model_fields:
            if experiment in getattr(self.experiments, family):
                return family
        raise BakeoffError(f"{BOOK} has no experiment '{experiment}'{_nearest(experiment, self.experiment_names())}.")

    def experiment_names(self) -> list[str]:
        """Names of all experiments, in the book's order."""
        return [name for family in Experiments.model_fields for name in getattr(self.experiments, family)]

    def experiment(self, name: str) -> dict[str, Any]:
        """Settings of an experiment as plain values, with its family."""
        family = self.family(name)
        return {**getattr(self.experiments, family)[name].model_dump(), "family": family}


def read_book(path: Path = BOOK) -> Book:
    """Read and check the book.

    Raises
    ------
    BakeoffError
        One sentence a mistake, with the key's path and the nearest valid name.
    """
    return check_book(_load(path), path)


def check_book(values: Any, path: Path = BOOK) -> Book:
    """Check the values of a book: keys, types and ranges, and that what it names exists."""
    try:
        book = Book.model_validate(values)
    except ValidationError as error:
        raise BakeoffError("\n".join(_sentences(error, path))) from None
    mistakes = [f"{path}: {mistake}" for mistake in _wrong_references(book)]
    if mistakes:
        raise BakeoffError("\n".join(mistakes))
    return book


def set_values(assignments: Iterable[str], path: Path = BOOK) -> None:
    """Set `KEY=VALUE` pairs in the book, keeping its comments and order; nothing is written unless all of it is valid.

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
    check_book(_plain(values), path)
    beside = path.with_name(f".{path.name}.new")
    with beside.open("w") as file:
        editor.dump(values, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _editor() -> YAML:
    editor = YAML(typ="rt")
    editor.preserve_quotes = True
    editor.width = 120
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
    return sorted(each.parent.name for each in (PACKAGE / "datasets").glob("*/source.py"))


def _wrong_references(book: Book) -> Iterable[str]:
    def unknown(key: str, name: str, known: Iterable[str], kind: str) -> Iterable[str]:
        if name not in list(known):
            yield f"{key} names {kind} '{name}', which does not exist{_nearest(name, known)}."

    for name, dataset in book.datasets.items():
        yield from unknown(f"datasets.{name}.source", dataset.source, _sources(), "data source")
    for name in book.weights:
        yield from unknown(f"weights.{name}", name, _modules("weights"), "weights")
    for name, recipe in book.recipes.items():
        for profile in PROFILES:
            try:
                Training.model_validate(recipe.at(profile))
            except ValidationError as error:
                yield from (sentence for sentence in _bare_sentences(error, ("recipes", name, profile)))
    names = book.experiment_names()
    yield from (
        f"two experiments are called '{name}': rename one." for name in sorted(set(names)) if names.count(name) > 1
    )
    for family in Experiments.model_fields:
        for name, experiment in getattr(book.experiments, family).items():
            key = f"experiments.{family}.{name}"
            yield from unknown(f"{key}.dataset", experiment.dataset, book.datasets, "data set")
            if family != "thresholds":
                yield from unknown(f"{key}.model", experiment.model, _modules("models"), "model")
                yield from unknown(f"{key}.recipe", experiment.recipe, book.recipes, "recipe")
            if family == "pretrained":
                yield from unknown(f"{key}.weights", experiment.weights, book.weights, "weights")


def _sentences(error: ValidationError, path: Path) -> list[str]:
    return [f"{path}: {sentence}" for sentence in _bare_sentences(error, ())]


def _bare_sentences(error: ValidationError, prefix: tuple[str, ...]) -> list[str]:
    # A value that fits no member of a union is reported once a member: the first, the words, says it best.
    mistakes = [details for details in error.errors(include_url=False) if "constrained-int" not in details["loc"]]
    return [_sentence(details, prefix) for details in mistakes]


def _sentence(details: ErrorDetails, prefix: tuple[str, ...]) -> str:
    location = [*prefix, *(str(part) for part in details["loc"])]
    # pydantic puts the names of a union's members into the path; the book has no such keys.
    key = ".".join(part for part in location if not part.endswith("]") and part not in _UNION_TAGS)
    given = details.get("input")
    if details["type"] == "extra_forbidden":
        return f"{key} is no key of the book{_nearest(location[-1], _all_keys(), listed=False)}."
    if details["type"] == "missing":
        return f"{key} is missing: add it."
    if details["type"] in ("literal_error", "union_tag_invalid") and "ctx" in details:
        expected = str(details["ctx"].get("expected") or details["ctx"].get("expected_tags"))
        value = details["ctx"].get("tag", given)
        known = re.findall(r"'([^']+)'", expected)
        return f"{key} is {value!r}, which is none of {expected}{_nearest(str(value), known, listed=False)}."
    message = details["msg"].removeprefix("Value error, ")
    shown = f" (it is {given!r})" if given is None or isinstance(given, str | int | float) else ""
    return f"{key}: {message[:1].lower()}{message[1:]}{shown}."


_UNION_TAGS = {"SyntheticArchive", "StratifiedSplit", "PublishedSplit", "HospitalSplit", "RandomWeights"}
_UNION_TAGS |= {"OfficialWeights", "stratified", "every-14th", "random", "official"}


def _all_keys() -> list[str]:
    return sorted(
        {field.alias or name for model in Section.__subclasses__() for name, field in model.model_fields.items()}
    )
