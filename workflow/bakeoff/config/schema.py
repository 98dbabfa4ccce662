"""What keys the configuration has, of what types, and in what ranges.

Everything that affects a result stands in the configuration itself; the models here have no defaults for such keys,
since DVC tracks the file and not this module.
"""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from bakeoff.artefacts.channels import MOST_CHANNELS, Levels
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.config.naming import named, nearest
from bakeoff.config.own_names import NAME

CONFIG_FILE = Path("params.yaml")
PROFILES = ("sample", "small", "full")
THRESHOLD_METHODS = ("otsu", "isodata", "li", "mean", "minimum", "triangle", "yen", "multiotsu")
CLASSICAL_METHODS = ("majority", "svm", "random-forest", "gradient-boosting", "logistic-regression")
MAX_SEEDS = 5

Profile = Literal["sample", "small", "full"]
Share = Annotated[float, Field(ge=0, le=1, strict=False)]
Size = Annotated[int, Field(ge=16, le=4096)]
Sides = Size | Annotated[list[Size], Field(min_length=2, max_length=2)]
Seeds = Annotated[int, Field(ge=1, le=MAX_SEEDS)]
# DVC addresses a stage by it, and files and pages are called by it.
Name = Annotated[str, Field(pattern=NAME)]


class Section(BaseModel):
    """A part of the configuration: no key but those named, no silent conversion of types."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)


T = TypeVar("T")


class ByProfile(Section, Generic[T]):
    """What a key is at each profile."""

    sample: T
    small: T
    full: T


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
    """Shares of the images, drawn from a seed within every combination of labels, near-duplicates together."""

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
    """A share of all images, drawn from a seed one by one, as published protocols do it, whatever their groups."""

    name: Literal["random"]
    validation: Annotated[float, Field(gt=0, lt=1)]
    test: Annotated[float, Field(gt=0, lt=1)]
    seed: int


class PublishedSplit(Section):
    """Every 14th file of the sorted list, as one of the systems reproduced did it."""

    name: Literal["every-14th"]


def _share_or_values(value: Any) -> float | list[str]:
    if isinstance(value, float) and 0 < value < 1:
        return value
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return value
    raise ValueError("must be a share between 0 and 1, or a list of values of the label")


class LabelledSplit(Section):
    """Train on the images of some values of a label, test on those of others: official lists, hospitals.

    Attributes
    ----------
    validation
        A share of the images for training, or values whose images choose.
    """

    name: Literal["by-label"]
    label: str
    train: Annotated[list[str], Field(min_length=1)]
    test: Annotated[list[str], Field(min_length=1)]
    validation: Annotated[Any, AfterValidator(_share_or_values)]
    stratify: list[str]
    grouped: bool
    seed: int


FoldCount = Annotated[int, Field(ge=2, le=20)]


class FoldedSplit(Section):
    """Cross-validation: every image is tested once, by the fold that did not see it."""

    name: Literal["folds"]
    folds: ByProfile[FoldCount]
    validation: Annotated[float, Field(gt=0, lt=1)]
    stratify: list[str]
    grouped: bool
    seed: int


AnySplit = StratifiedSplit | RandomSplit | PublishedSplit | LabelledSplit | FoldedSplit


class ClassScore(Section):
    """The score of one class."""

    class_: str = Field(alias="class")


class Task(Section):
    """What methods compete in: a data set, what is to be predicted, and which images train and test.

    Attributes
    ----------
    score
        What ranks the methods of a segmentation, by which weights are kept: `mean-dice` (where nothing is said) or
        `mean-iou` over the foreground classes, `objects`, the F1 of single objects (by which no weights are kept: these
        go by the mean Dice), or `{class: NAME}`, the Dice of that class.
    """

    dataset: str
    kind: Literal["segmentation", "classification"]
    target: str | None = None
    score: Literal["mean-dice", "mean-iou", "objects"] | ClassScore | None = None
    split: Annotated[AnySplit, Field(discriminator="name")]

    @model_validator(mode="after")
    def _target_of_classification(self) -> "Task":
        if (self.kind == "classification") != (self.target is not None):
            raise ValueError("'target', the label to predict, goes with kind classification and no other")
        if self.score is not None and self.kind != "segmentation":
            raise ValueError("'score', what masks are ranked by, goes with kind segmentation and no other")
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


def _kind_of_archive(value: Any) -> str:
    """Which of the two an entry is, so that a mistake in it is reported once, and where it is."""
    return "official" if isinstance(value, str) else "synthetic"


AnyArchive = Annotated[
    Annotated[Literal["official"], Tag("official")] | Annotated[SyntheticArchive, Tag("synthetic")],
    Discriminator(_kind_of_archive),
]


class DatasetSize(Section):
    """What differs between profiles."""

    size: Size
    archive: AnyArchive


class Dataset(ByProfile[DatasetSize]):
    """A data set that a package of `bakeoff.datasets.sources` reads from its archives."""

    source: str
    duplicates: Duplicates


Level = Annotated[int, Field(ge=0, le=255)]
# In a mask a level, or a colour as "#rrggbb"; in an annotation file the name of a label; null: what nothing covers.
ClassValue = int | str | list[int | str] | None


# Decisions that a format cannot do without; `bakeoff add` finds and writes them.
NEEDED_BY_FORMAT = {"pairs": ("images", "masks", "classes"), "classes": ("images",), "table": ("labels",)}


# Formats whose classes are levels of mask files; those of all others have names there.
MASK_FORMATS = ("pairs", "voc")


class Table(Section):
    """A CSV or TSV file with a row an image.

    Attributes
    ----------
    file
        Its path in the folder.
    image
        The column that names the image: by its path, its name, or its name without suffix.
    label
        The column of the class; null where the class is told otherwise, or not at all.
    separator, encoding
        How the file is written; a byte order mark is no part of it.
    """

    file: str
    image: str
    label: str | None = None
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    encoding: str = "utf-8"


def _levels(levels: list[Any]) -> list[Any]:
    """Levels as a pair, or as a list of pairs."""
    for pair in levels if any(isinstance(each, list) for each in levels) else [levels]:
        numbers = isinstance(pair, list) and [each for each in pair if type(each) in (int, float) and isfinite(each)]
        if not numbers or len(pair) != 2 or len(numbers) != 2 or pair[0] >= pair[1]:
            raise ValueError(
                "must be the level that becomes black, then the higher one that becomes white, or such a pair a channel"
            )
    return levels


class Folder(Section):
    """A folder or a zip of one's own images, read in place. Every decision about it stands here.

    Attributes
    ----------
    path
        Of the folder or the zip.
    format
        A module of `bakeoff.datasets.formats`: `pairs` (images and mask files), `classes` (a folder a class), `table`
        (a table of labels), or an annotation format.
    size
        Side in pixels of the square that images become, or its height and width.
    geometry
        `stretch` to `size`, whatever the proportions; `pad`: scaled to fit into it, and padded, where pads count
        nowhere; `crop`: scaled to cover it, and cropped; `tile`, of masks: images keep their size, and networks look at
        overlapping windows of `size`.
    channels
        1 for grey levels, 3 for RGB, into which images are converted; other numbers are those of the files, as of
        fluorescence or several spectral bands. As many pages of a TIFF are its channels where it has no others.
    duplicates
        When two images are near-duplicates.
    images, masks
        Patterns of the paths of images and masks, without the files' suffixes: `images/{id}` and `masks/{id}_mask`.
        What stands for `{id}` (and `{split}` and `{class}`, each of which is a folder) pairs a mask with its image;
        `*` is anything else within a folder's or file's name. An image has several masks where several match:
        `{id}/images/*` and `{id}/masks/*`. Of annotation formats, the name of the folder of images.
    classes
        Of masks: names in the order of class indices, each with its value in the files: a level or several, colours
        (`"#ff0000"`), names of labels, or null for what nothing covers (the background of shapes). Names alone stand
        for the levels 0, 1, ...; two names also for 0 and 255; in annotation files for the labels of these names. Of
        class folders or a table: those that are used, as names alone or each with what it is called there; the others
        are passed over; null: all.
    background
        The first of `classes`, if it is the background; `none`: every class counts, as in street scenes; null: the
        first is.
    ignore
        Values, as in `classes`, that are no answer (void); of annotation files also `iscrowd`.
    threshold
        Masks whose levels lie between classes (antialiased, JPEG): levels from here on are class 1 of 2.
    objects
        Whether masks are of single objects: one mask file each where an image has several masks, a shape each in
        annotation files, otherwise the levels of a mask are the numbers of its objects, and any but 0 is class 1 of 2.
    empty_masks
        Of mask files without a class but the background, on images without a class: `drop`, they were not annotated;
        `keep`, there is nothing to mark.
    orientation
        `as-stored`, or `upright`: images are turned as their EXIF tag says.
    levels
        Of images of more than 8 bits, the levels that become black and white, as in `[100, 4000]`, or such a pair a
        channel; levels beyond them become these. They are the same for all images, so that brightness can be compared.
        Null: the depth of each image (8 to 16 bits, of whole numbers alone). Images of 8 bits stay as they are.
    labels
        A table of labels, of which columns can also give the split and the group.
    split
        Where the folder's own split comes from, the label `split` of its images, by which a task may be split: `none`;
        `folders` called train, val or test, annotation files called so, or what they say; `lists` of images in files
        called so; or the name of a column.
    group
        Which images belong together (one patient, one plate) and are never on two sides of a split: `none`; a column;
        or a regular expression that is found in an image's path, of which the first bracket is the group.
    title, licence, citation
        For the report.
    """

    path: str
    format: str
    size: Sides
    channels: Annotated[int, Field(ge=1, le=MOST_CHANNELS)]
    duplicates: Duplicates
    geometry: Literal["stretch", "pad", "crop", "tile"] = "stretch"
    images: str | None = None
    masks: str | None = None
    classes: Annotated[list[str], Field(min_length=2)] | dict[str, ClassValue] | None = None
    background: str | None = None
    ignore: list[int | str] = []
    threshold: Annotated[int, Field(ge=1)] | None = None
    objects: bool = False
    empty_masks: Literal["drop", "keep"] = "drop"
    orientation: Literal["as-stored", "upright"] = "as-stored"
    levels: Annotated[list[Any], AfterValidator(_levels)] | None = None
    labels: Table | None = None
    split: str = "none"
    group: str = "none"
    title: str | None = None
    licence: str | None = None
    citation: str | None = None

    @property
    def class_values(self) -> dict[str, ClassValue] | None:
        """Names of the classes with their values in the files, in order; None where none are named."""
        if not isinstance(self.classes, list):
            return self.classes
        if self.format not in MASK_FORMATS:
            return {name: name for name in self.classes}
        if len(self.classes) == 2 and 255 not in self.ignore:
            return {self.classes[0]: 0, self.classes[1]: [1, 255]}
        return {name: level for level, name in enumerate(self.classes)}

    @model_validator(mode="after")
    def _consistent(self) -> "Folder":
        needed = NEEDED_BY_FORMAT.get(self.format, ())
        if missing := [key for key in needed if getattr(self, key) is None]:
            raise ValueError(f"'{missing[0]}' is missing, which format {self.format} needs: state it")
        if self.background not in (None, "none") and list(self.classes or ())[:1] != [self.background]:
            raise ValueError("'background' must be the first of 'classes', or none")
        if self.levels is not None and isinstance(self.levels[0], list) and len(self.levels) != self.channels:
            raise ValueError(f"'levels' has {len(self.levels)} pairs, and 'channels' is {self.channels}")
        return self


class Derived(Section):
    """A data set whose pictures are made from another one's images and masks."""

    dataset: str
    masks: str
    variant: Literal["true", "shuffled", "cross-fitted", "in-sample"]
    seed: int


class Overlay(Derived):
    """Images with a mask drawn in."""

    kind: Literal["overlay"]
    style: Literal["outline", "tint"]
    colour: Annotated[list[Level], Field(min_length=3, max_length=3)]
    opacity: Share
    width: Annotated[int, Field(ge=1, le=64)]


class MaskOnly(Derived):
    """Masks in place of images."""

    kind: Literal["mask"]


class Region(Derived):
    """What a mask covers: cut out and enlarged, or with all else grey."""

    kind: Literal["region"]
    keep: Literal["crop", "masked"]
    margin: Annotated[float, Field(ge=0, le=0.5, strict=False)]


AnyDerived = Annotated[Overlay | MaskOnly | Region, Field(discriminator="kind")]


class NoWeights(Section):
    """No weights: a network that names this entry starts from random values."""

    from_: Literal["nothing"] = Field(alias="from")


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


AnyWeights = Annotated[NoWeights | RandomWeights | OfficialWeights, Field(discriminator="from_")]


class Weights(ByProfile[AnyWeights]):
    """Weights that encoders start from: of which network, and where they come from at each profile."""

    network: str


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


class Recipe(ByProfile[dict[str, Any]]):
    """A budget and its settings: what holds always, and what a profile changes."""

    always: dict[str, Any]

    def at(self, profile: str) -> dict[str, Any]:
        """The recipe's keys at a profile."""
        return {**self.always, **getattr(self, profile)}


class Threshold(Section):
    """A global threshold."""

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
    """A classifier on features that are not learned."""

    method: Literal[CLASSICAL_METHODS]  # type: ignore[valid-type]
    features: Literal["none", "grey", "rgb", "hog"]
    side: Annotated[int, Field(ge=8, le=1024)]
    settings: dict[str, Any]


def _kind_of_baseline(value: Any) -> str:
    """Which of the two an entry is: told by its method, so that a mistake in it is reported once."""
    method = value.get("method") if isinstance(value, Mapping) else getattr(value, "method", None)
    keys = value if isinstance(value, Mapping) else ()
    return "classical" if method in CLASSICAL_METHODS or "features" in keys else "threshold"


AnyBaseline = Annotated[
    Annotated[Threshold, Tag("threshold")] | Annotated[Classical, Tag("classical")], Discriminator(_kind_of_baseline)
]


class Baselines(Section):
    """Thresholds or classical methods of a task."""

    dataset: str
    methods: Annotated[dict[Name, AnyBaseline], Field(min_length=1)]


class Network(Section):
    """A network that is trained in a task."""

    dataset: str
    task: str
    images: str
    model: str
    weights: str
    recipe: str
    settings: dict[str, Any]
    masks: bool = False


class Experiments(Section):
    """Every experiment: thresholds and classical methods by task, and networks."""

    baselines: dict[Name, Baselines]
    networks: dict[Name, Network]


class Segmenter(Network):
    """Whose masks are predicted: an experiment's name and its entry."""

    experiment: str


class PredictedMasks(Section):
    """Masks that a network predicts for the images of a task."""

    dataset: str
    task: str
    inner_folds: ByProfile[FoldCount]
    segmenter: Segmenter


class Export(Section):
    """An experiment whose networks are written as ONNX: its entry's keys that DVC needs."""

    task: str
    dataset: str
    images: str
    model: str
    int8: bool


class Margins(Section):
    """Differences of the headline score, 0 to 1, below which two methods of a kind of task are equivalent."""

    segmentation: Annotated[float, Field(gt=0, lt=1)]
    classification: Annotated[float, Field(gt=0, lt=1)]


class Config(Section):
    """The whole configuration."""

    profile: Profile
    seeds: ByProfile[Seeds]
    stored_weights: ByProfile[Literal["half", "single"]]
    download: Download
    resamples: Annotated[int, Field(ge=100, le=1_000_000)]
    margins: Margins
    datasets: dict[Name, Dataset]
    folders: dict[Name, Folder]
    tasks: dict[Name, Task]
    weights: dict[Name, Weights]
    recipes: dict[Name, Recipe]
    experiments: Experiments
    predicted_masks: dict[Name, PredictedMasks]
    derived: dict[Name, AnyDerived]
    exports: dict[Name, Export]

    @property
    def seed_count(self) -> int:
        """Seeds at the profile."""
        return int(getattr(self.seeds, self.profile))

    @property
    def keeps_half_precision(self) -> bool:
        """Whether the weights of trained networks are kept in half precision."""
        return bool(getattr(self.stored_weights, self.profile) == "half")

    def dataset_size(self, name: str) -> DatasetSize:
        """What the profile says of a data set."""
        size: DatasetSize = getattr(self.datasets[name], self.profile)
        return size

    def levels(self, dataset: str) -> Levels | None:
        """The levels of deep images that become black and white, of a folder that states them; see `Folder`."""
        return self.folders[dataset].levels if dataset in self.folders else None

    def upright(self, dataset: str) -> bool:
        """Whether new images of a data set are turned as their EXIF tag says: a folder states it, see `Folder`."""
        return dataset not in self.folders or self.folders[dataset].orientation == "upright"

    def dataset_names(self) -> list[str]:
        """Names of all data sets that are not derived, those of archives first."""
        return [*self.datasets, *self.folders]

    def task(self, name: str) -> dict[str, Any]:
        """Settings of a task as plain values, resolved for the profile.

        Raises
        ------
        BakeoffError
            If there is no such task.
        """
        settings: dict[str, Any] = named(self.tasks, name, "task").model_dump(by_alias=True)
        if settings["split"]["name"] == "folds":
            settings["split"]["folds"] = settings["split"]["folds"][self.profile]
        return settings

    def shortens(self, task: str) -> bool:
        """Whether the profile trains a network of a task otherwise than `full` does."""
        recipes = {network.recipe for network in self.networks.values() if network.task == task}
        return any(self.recipe(name) != self.recipes[name].at("full") for name in recipes)

    def recipe(self, name: str) -> dict[str, Any]:
        """A recipe's keys at the profile."""
        return self.recipes[name].at(self.profile)

    def baselines(self, task: str) -> dict[str, dict[str, Any]]:
        """The settings of every threshold or classical method of a task, by name, as `experiment` gives them.

        Raises
        ------
        BakeoffError
            If the task has none.
        """
        return {name: self.experiment(name) for name in named(self.experiments.baselines, task, "baselines").methods}

    def experiment_names(self) -> list[str]:
        """Names of all experiments, in the configuration's order."""
        return [*(name for each in self.experiments.baselines.values() for name in each.methods), *self.networks]

    def tasks_of_experiments(self) -> dict[str, str]:
        """The task of every experiment, by name."""
        return {name: str(self.experiment(name)["task"]) for name in self.experiment_names()}

    @property
    def networks(self) -> dict[str, Network]:
        """The experiments that train networks, by name."""
        return self.experiments.networks

    def experiment(self, name: str) -> dict[str, Any]:
        """An experiment as plain values.

        Returns
        -------
        dict
            Its entry, and `family` (thresholds, classical, networks, pretrained, or derived for a network that sees
            derived pictures), `dataset`, `task`, `target` (the label that is predicted, None for masks), `pictures`
            (the entry of the derived pictures that it sees, None for the data set's own), `segmenter` (the experiment
            that predicts the masks in these pictures, if any), `pretrained` (the network whose published weights its
            encoder starts from, None for none), and `oracle`: whether it sees the truth of the images that it is
            tested on.

        Raises
        ------
        BakeoffError
            If there is no such experiment.
        """
        if name in self.networks:
            return self._network(self.networks[name])
        for task, group in self.experiments.baselines.items():
            if name in group.methods:
                method = group.methods[name]
                return {
                    **method.model_dump(),
                    "family": "thresholds" if isinstance(method, Threshold) else "classical",
                    "dataset": group.dataset,
                    "task": task,
                    "images": group.dataset,
                    "target": self.tasks[task].target,
                    "score": self.task(task)["score"],
                    "pictures": None,
                    "segmenter": None,
                    "pretrained": None,
                    "oracle": isinstance(method, Threshold) and method.foreground == "oracle",
                }
        raise BakeoffError(f"{CONFIG_FILE} has no experiment '{name}'{nearest(name, self.experiment_names())}.")

    def _network(self, network: Network) -> dict[str, Any]:
        derived = self.derived.get(network.images)
        masks = self.predicted_masks.get(derived.masks) if derived else None
        family = "derived" if derived else "networks" if network.weights == "none" else "pretrained"
        return {
            **network.model_dump(),
            "family": family,
            "target": self.tasks[network.task].target,
            "score": self.task(network.task)["score"],
            "pictures": derived.model_dump() if derived else None,
            "segmenter": masks.segmenter.experiment if masks else None,
            "pretrained": None if network.weights == "none" else self.weights[network.weights].network,
            "oracle": derived is not None and derived.variant == "true",
        }
