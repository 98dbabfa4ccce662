"""What is made of a folder: every decision with its reason and the flag that overrides it, and the entries to write."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bakeoff.adding.flags import NONE
from bakeoff.adding.geometry import Proposed
from bakeoff.adding.looking import DISTANCE, Looked
from bakeoff.artefacts.channels import GREY, RGB, named
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.config.entries import Addition, flow
from bakeoff.config.restricting import WRITTEN
from bakeoff.datasets.formats.reading import NO_BACKGROUND, Reading
from bakeoff.datasets.preparation.depth import HIGH, LOW
from bakeoff.datasets.preparation.samples import Scale

# Shares of a split that is drawn.
TRAIN, VALIDATION, TEST = 0.7, 0.15, 0.15
PARTS = ("train", "validation", "test")
SIZES_SHOWN, FINDINGS_SHOWN = 4, 8
# As `--split`: image by image, whatever belongs together.
RANDOM = "random"
SEGMENTATION, CLASSIFICATION = "segmentation", "classification"


class Decision(NamedTuple):
    """A line of output: what was decided, why, and the flags that decide otherwise."""

    key: str
    value: str
    reason: str
    flags: tuple[str, ...]

    def line(self) -> str:
        """For the terminal."""
        reason = f" ({self.reason})" if self.reason else ""
        return f"  {self.key}: {self.value}{reason} [{' '.join(self.flags)}]"


@dataclass
class Proposal:
    """What a data set, its task and its split become.

    Attributes
    ----------
    folder
        The entry of `folders`, without path, size and duplicates.
    task
        The entry of `tasks`.
    decisions
        In the order in which they are said.
    """

    folder: dict[str, Any]
    task: dict[str, Any]
    decisions: list[Decision] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """Segmentation or classification."""
        return str(self.task["kind"])


def propose(
    name: str, reading: Reading, looked: Looked, channels: tuple[int, str], options: Mapping[str, Any]
) -> Proposal:
    """Decide all that a folder's entries need.

    Parameters
    ----------
    channels
        How many, and why; see `bakeoff.adding.channels.choose_channels`.
    options
        What was typed, by flag; None or False where nothing was.

    Raises
    ------
    BakeoffError
        If two answers are possible: one sentence that names both, and the flag.
    """
    kind = _kind(reading, options["task"])
    decisions = [_said_kind(kind, reading)]
    decisions += _said_reading(reading, options)
    count, reason = channels
    said = f"{count}, {named(count)}" if count in (GREY, RGB) else str(count)
    decisions.append(Decision("channels", said, reason, ("--channels",)))
    orientation = _orientation(kind, reading, looked, options["orientation"], decisions)
    folder = {"format": reading.format, "channels": count, **_patterns(reading)}
    if kind == SEGMENTATION:
        folder |= _mask_entries(reading, options, decisions)
    else:
        # Names alone where each is called so in the folder.
        typed = options["classes"] or {}
        used = sorted({entry.labels["class"] for entry in reading.entries})
        renamed = any(level != name for name, level in typed.items())
        folder["classes"] = dict(typed) if renamed else used
        listed = ", ".join(f"{name} = {flow(typed[name])}" if renamed else name for name in used)
        reason = "as typed" if typed else "after their folders, or the table"
        decisions.append(Decision(f"{len(used)} classes", listed, reason, ("--classes",)))
    folder |= {"orientation": orientation, **_levels(looked, options["levels"], decisions)}
    folder |= _label_entries(reading, options)
    if options["threshold"] is not None:
        folder["threshold"] = options["threshold"]
    return Proposal(folder, _task(name, kind, reading, looked, options["split"] == RANDOM, decisions), decisions)


def _kind(reading: Reading, stated: str | None) -> str:
    labels = {entry.labels.get("class") for entry in reading.entries}
    possible = [SEGMENTATION] if reading.classes is not None else []
    possible += [CLASSIFICATION] if len(labels) > 1 and None not in labels else []
    if stated is not None and stated not in possible:
        raise BakeoffError(
            f"--task is {stated}, and the folder has {'masks' if SEGMENTATION in possible else 'classes'} alone: "
            f"{' or '.join(possible)}."
        )
    if stated is None and len(possible) > 1:
        raise BakeoffError(
            "The images have masks and classes: say what is to be predicted, --task segmentation (the masks) or "
            "--task classification (the class)."
        )
    if not possible:
        raise BakeoffError("All images are of one class and have no masks: there is nothing to tell apart.")
    return stated or possible[0]


def _said_kind(kind: str, reading: Reading) -> Decision:
    if kind == SEGMENTATION:
        what = "shapes of an annotation" if reading.shapes else "masks"
        return Decision("task", "segmentation", f"the images have {what}", ("--task",))
    return Decision("task", "classification of 'class'", "the images have classes and no masks", ("--task",))


def _said_reading(reading: Reading, options: Mapping[str, Any]) -> list[Decision]:
    """Where images, masks and labels are."""
    found = []
    patterns = [f"{key} {reading.choices[key]}" for key in ("images", "masks") if reading.choices.get(key)]
    if patterns:
        flags = tuple(f"--{key}" for key in ("images", "masks") if reading.choices.get(key))
        suffix = ("--mask-suffix",) if "--masks" in flags else ()
        reason = "as typed" if options["images"] or options["masks"] or options["mask_suffix"] else "by their names"
        found.append(Decision("files", ", ".join(patterns), reason, (*flags, *suffix)))
    if table := reading.choices.get("labels"):
        value = f"{table['file']}, column '{table['label']}' by '{table['image']}'"
        found.append(Decision("labels", value, "the table that names the images", ("--labels",)))
    return found


def _patterns(reading: Reading) -> dict[str, Any]:
    return {key: reading.choices[key] for key in ("images", "masks") if reading.choices.get(key) is not None}


def _label_entries(reading: Reading, options: Mapping[str, Any]) -> dict[str, Any]:
    """Table, split and group: as the reader found them, or typed."""
    split = reading.choices.get("split") or (NONE if options["split"] == RANDOM else options["split"])
    if split is None:
        split = "folders" if any(entry.labels.get("split") for entry in reading.entries) else NONE
    group = reading.choices.get("group") or options["group"] or NONE
    table = reading.choices.get("labels")
    return {**({"labels": table} if table else {}), "split": split, "group": group}


def _orientation(kind: str, reading: Reading, looked: Looked, stated: str | None, decisions: list[Decision]) -> str:
    if not looked.turned:
        return stated or "as-stored"
    seen = f"{looked.turned} of {len(looked.headers)} images opened have a tag that says how to turn them"
    if stated is None and kind == SEGMENTATION:
        raise BakeoffError(
            f"{seen}: say whether the masks were drawn on images as they are stored, --orientation as-stored, or as "
            "viewers show them, --orientation upright."
        )
    chosen = stated or "upright"
    decisions.append(Decision("orientation", chosen, seen, ("--orientation",)))
    return chosen


def _levels(looked: Looked, stated: str | None, decisions: list[Decision]) -> dict[str, Any]:
    deep = sum(header.bits > 8 for header in looked.headers.values())
    if looked.levels is None or not deep:
        return {}
    reason = (
        "as typed" if stated else f"percentiles {LOW} and {HIGH} of {deep} images opened that have more than 8 bits"
    )
    scale = Scale.stated(looked.levels)
    several = len(scale.pairs) > 1
    if several:
        value = f"{', '.join(f'{low:g} to {high:g}' for low, high in scale.pairs)} become black to white, by channel"
    else:
        value = "{:g} becomes black, {:g} white".format(*scale.pairs[0])
    decisions.append(Decision("levels", value, reason, ("--levels",)))
    pairs = [[int(level) if float(level).is_integer() else level for level in pair] for pair in scale.pairs]
    return {"levels": pairs if several else pairs[0]}


def _mask_entries(reading: Reading, options: Mapping[str, Any], decisions: list[Decision]) -> dict[str, Any]:
    classes = dict(reading.classes or {})
    if options["ignore"] is None and options["classes"] is None and not reading.shapes:
        _require_no_gap(classes)
    names = ", ".join(f"{name} = {_value(level)}" for name, level in classes.items())
    reason = "as typed" if options["classes"] is not None else "by what the files hold; name them as you like"
    decisions.append(Decision(f"{len(classes)} classes", names, reason, ("--classes",)))
    if reading.background is None:
        decisions.append(Decision("background", "none", "every class counts", ("--background",)))
    else:
        reason = f"every class counts with --background {NO_BACKGROUND}"
        decisions.append(Decision("background", reading.background, reason, ("--background",)))
    void = ", ".join(map(str, reading.ignore)) or "none"
    decisions.append(Decision("void", void, "pixels without an answer, which count nowhere", ("--ignore",)))
    objects = "told apart" if reading.objects else "not told apart: regions of classes"
    decisions.append(Decision("objects", objects, _why_objects(reading), ("--objects", "--no-objects")))
    empty = {}
    if not reading.shapes:
        empty["empty_masks"] = options["empty_masks"] or "drop"
        reason = "drop takes their images for not annotated, keep for showing none of the classes"
        decisions.append(Decision("empty masks", empty["empty_masks"], reason, ("--empty-masks",)))
    return {
        "classes": classes,
        "background": reading.background or NO_BACKGROUND,
        "ignore": list(reading.ignore),
        "objects": reading.objects,
        **empty,
    }


def _require_no_gap(classes: Mapping[str, Any]) -> None:
    """Refuse to guess whether a level far above the others is a class or void."""
    levels = sorted(level for level in classes.values() if isinstance(level, int))
    *others, last = levels or [0]
    if len(others) > 2 and others == list(range(len(others))) and last != len(others):
        listed = ",".join(f"{'background' if level == 0 else f'class-{level}'}={level}" for level in levels)
        raise BakeoffError(
            f"The masks have the levels {', '.join(map(str, others))} and {last}: say whether {last} is void, pixels "
            f"without an answer (--ignore {last}), or a class (--classes {listed})."
        )


def _value(level: Any) -> str:
    return "what no shape covers" if level is None else flow(level)


def _why_objects(reading: Reading) -> str:
    if not reading.objects:
        return ""
    if reading.shapes:
        return "a shape, or a group of shapes, each"
    return "a mask file each" if reading.mask_of_object else "the levels of a mask number its objects"


def _task(
    name: str, kind: str, reading: Reading, looked: Looked, at_random: bool, decisions: list[Decision]
) -> dict[str, Any]:
    task: dict[str, Any] = {"dataset": name, "kind": kind}
    if kind == CLASSIFICATION:
        task["target"] = "class"
    stratify = ["class"] if kind == CLASSIFICATION else []
    counts = Counter(entry.labels.get("split") for entry in reading.entries)
    given = [part for part in PARTS if counts[part]]
    if "train" in given and len(given) > 1:
        task["split"] = _given_split(given, stratify)
        decisions.append(_said_given(given, counts))
    elif at_random:
        task["split"] = {"name": "random", "validation": VALIDATION, "test": TEST, "seed": 0}
        reason = "near-duplicates and groups on both sides, which makes scores too high"
        decisions.append(Decision("split", "drawn image by image", reason, ("--split",)))
    else:
        _require_scenes(looked, len(reading.entries))
        parts = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
        task["split"] = {"name": "stratified", **parts, "stratify": stratify, "seed": 0}
        shares = f"{TRAIN:.0%} train, {VALIDATION:.0%} validate, {TEST:.0%} test"
        decisions.append(Decision("split", f"drawn: {shares}", "the folder gives none that is used", ("--split",)))
    groups = {entry.group for entry in reading.entries} - {None}
    by = reading.choices.get("group")
    said = f"{len(groups)} groups, by {by if by and by != NONE else 'volume'}" if groups else "none but near-duplicates"
    if not at_random:
        decisions.append(Decision("groups", said, "never on two sides of the split", ("--group",)))
    return task


def _require_scenes(looked: Looked, images: int) -> None:
    """Refuse a split that keeps near-duplicates together where all images are such."""
    scenes = len(set(looked.group_of.values()))
    if images >= len(PARTS) and scenes < len(PARTS) <= looked.decoded:
        raise BakeoffError(
            f"The {looked.decoded} images looked at are near-duplicates of {scenes}, as frames of one camera are, and "
            f"a split keeps such together: --split {RANDOM} parts them and makes scores too high; else add images of "
            "other scenes."
        )


def _given_split(given: Sequence[str], stratify: list[str]) -> dict[str, Any]:
    validation: Any = ["validation"] if "validation" in given and "test" in given else VALIDATION
    test = ["test"] if "test" in given else ["validation"]
    split = {"name": "by-label", "label": "split", "train": ["train"], "test": test, "validation": validation}
    return {**split, "stratify": stratify, "grouped": True, "seed": 0}


def _said_given(given: Sequence[str], counts: Counter[str | None]) -> Decision:
    shown = ", ".join(f"{counts[part]} {part}" for part in given)
    reason = "" if len(given) == 3 else f"{given[-1]} is tested on, and {VALIDATION:.0%} of train validates"
    return Decision("split", f"the folder's own: {shown}", reason, ("--split",))


def training_images(proposal: Proposal, reading: Reading) -> int:
    """How many images networks will be trained on, about."""
    split = proposal.task["split"]
    if split["name"] == "stratified":
        return round(TRAIN * len(reading.entries))
    count = sum(entry.labels.get("split") == "train" for entry in reading.entries)
    return count if isinstance(split["validation"], list) else round(count * (1 - VALIDATION))


def data_entries(name: str, path: str, proposed: Proposed, proposal: Proposal) -> list[Addition]:
    """The data set and its task, as they are written."""
    prepared = {"size": proposed.size, "geometry": proposed.geometry.kind, "duplicates": {"distance": DISTANCE}}
    folder = {"path": path, **prepared, **proposal.folder}
    order = (
        *("path", "format", "images", "masks", "labels", "size", "geometry", "channels", "orientation", "levels"),
        *("classes", "background", "ignore", "threshold", "objects", "empty_masks", "split", "group", "duplicates"),
    )
    said = WRITTEN.format(name=name)
    return [
        Addition(
            ("folders",),
            name,
            {key: folder[key] for key in order if key in folder},
            [f"{said}; `bakeoff remove {name}` takes out all that it wrote."],
            FOLDER_NOTES,
        ),
        Addition(("tasks",), name, proposal.task, [f"{said}."]),
    ]


# What is said of a folder's keys where they are written.
FOLDER_NOTES = {
    "format": "A reader in workflow/bakeoff/datasets/formats/.",
    "images": "Patterns of paths without suffix; what stands for {id} pairs a mask with its image.",
    "labels": "The table of labels, and its columns.",
    "size": "In pixels: the side of a square, or [height, width].",
    "geometry": "How images become that: stretch, pad or crop; tile: they keep their size, networks see windows of it.",
    "channels": "1 for grey levels, 3 for RGB; other numbers are those of the files.",
    "levels": "Of images of more than 8 bits, the levels that become black and white, or such a pair a channel.",
    "orientation": "as-stored, or upright: turned as the EXIF tag says.",
    "classes": "Names, in order; of masks with what stands for each in the files, which may be a list.",
    "background": "none: every class counts.",
    "ignore": "Void: pixels without an answer.",
    "objects": "Whether single objects are told apart.",
    "empty_masks": "drop: images without foreground were not annotated; keep: they show none.",
    "split": "Where the label `split` comes from: none, folders, lists, or a column.",
    "group": "Which images belong together: none, a column, or a regular expression of the path.",
    "duplicates": "In how many of 64 bits the hashes of near-duplicates may differ.",
}
