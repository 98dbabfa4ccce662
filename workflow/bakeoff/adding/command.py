"""`bakeoff add`: looks at a folder, says what it saw and decided, and writes data set, task and experiments."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from bakeoff.adding.ahead import require_masks, task_faults
from bakeoff.adding.channels import choose_channels, parse_channels
from bakeoff.adding.estimate import Estimate, Machine, duration, estimate, free_disk_mib, memory_mib, this_machine
from bakeoff.adding.flags import (
    NONE,
    flagged,
    parse_classes,
    parse_ignore,
    parse_levels,
)
from bakeoff.adding.geometry import Proposed, parse_size, propose_geometry, windows_an_image
from bakeoff.adding.looking import Looked, look, require_images
from bakeoff.adding.proposal import (
    FINDINGS_SHOWN,
    RANDOM,
    SIZES_SHOWN,
    Proposal,
    data_entries,
    propose,
    training_images,
)
from bakeoff.adding.sheet import write_sheet
from bakeoff.adding.suites import Chosen, choose, experiments, methods_of, read_suites, weights_needed
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.config import check_config, read_config
from bakeoff.config.entries import Addition, change_entries, changed_text
from bakeoff.config.own_names import wrong_name, wrong_path
from bakeoff.config.schema import CONFIG_FILE, Config, Task
from bakeoff.datasets.archives.records import Finding
from bakeoff.datasets.archives.tree import Tree
from bakeoff.datasets.formats import FORMATS, read_folder, recognised
from bakeoff.datasets.formats.layout import layouts
from bakeoff.datasets.formats.names import is_picture
from bakeoff.datasets.formats.reading import Choices, Entry, Reading
from bakeoff.datasets.formats.tables import find_table
from bakeoff.datasets.preparation.volumes import open_folder
from bakeoff.weights.at_hand import find_weights

# Two formats that are this near in certainty are two answers.
NEAR = 0.05
PICTURES_TRIED = 20
# Formats whose masks are files, in which names alone stand for the levels 0, 1, ...; in others for labels.
BY_LEVEL = ("pairs", "voc")
BACKGROUND = "background"


def add(path: str, options: Mapping[str, Any], config_file: Path = CONFIG_FILE) -> Iterator[str]:
    """Take a folder or a zip into the configuration; the lines to say on the way.

    Parameters
    ----------
    path
        As typed.
    options
        By flag, with `_` for `-`: name, task, format, images, masks, mask_suffix, classes, background, ignore,
        objects, empty_masks, threshold, orientation, levels, split, group, labels, channels, size, geometry, suite,
        pretrained, dry_run. None where nothing was typed.

    Raises
    ------
    BakeoffError
        If the folder cannot be read, or more than one answer is possible; then nothing is written.
    """
    config = read_config(config_file)
    if reason := wrong_path(path, config_file.parent):
        raise BakeoffError(f"The path {reason}.")
    name = _name(path, options["name"], config)
    try:
        yield from _add(name, path, options, config, config_file)
    except BakeoffError as error:
        raise BakeoffError(flagged(str(error), name, path)) from None


def _add(name: str, path: str, options: Mapping[str, Any], config: Config, config_file: Path) -> Iterator[str]:
    with open_folder(config_file.parent / path) as tree:
        choices = _choices(name, tree, options)
        reading = read_folder(tree, choices)
        levels = None if options["levels"] is None else parse_levels(options["levels"])
        stated = None if options["channels"] is None else parse_channels(options["channels"])
        looked = look(tree, reading.entries, levels, channels=stated)
        channels = choose_channels(looked, stated)
        require_images(looked)
        proposal = propose(name, reading, looked, channels, {**options, "classes": choices.classes})
        if proposal.kind == "segmentation":
            require_masks(name, tree, reading, options["threshold"])
        task = Task.model_validate(proposal.task)
        for fault in task_faults(name, task, proposal.task["split"], reading, looked):
            raise BakeoffError(fault)
        chosen, proposed, lines = _suite(proposal, reading, looked, options, config)
        rather = _others(tree, reading.format)
        yield f"{path}: {len(reading.entries)} images, format {reading.format}{rather} [--format]; as '{name}' [--name]"
        yield from (f"  {detail}" for detail in reading.details)
        yield from _said_images(looked, len(reading.entries))
        yield from (decision.line() for decision in proposal.decisions)
        yield from _said_findings([*tree.findings, *reading.findings])
        yield from lines
        if not options["dry_run"]:
            sheet = Path(f"add-{name}.png")
            shown = write_sheet(sheet, tree, reading, proposal.folder)
            yield f"  examples: {sheet}, {shown} of the images"
    entries = [
        *data_entries(name, _stored_path(path), proposed, proposal),
        *experiments(name, proposal.kind, chosen, config.weights),
    ]
    yield from _written(name, entries, options["dry_run"], config_file)


def _name(path: str, stated: str | None, config: Config) -> str:
    name = stated or re.sub(r"[^A-Za-z0-9_-]+", "-", Path(path).resolve().name.removesuffix(".zip")).strip("-_")
    if reason := wrong_name(name):
        raise BakeoffError(f"The data set cannot be called '{name}', since {reason}: choose another with --name.")
    sections: dict[str, Mapping[str, Any]] = {
        each: getattr(config, each) for each in ("datasets", "folders", "tasks", "derived", "predicted_masks")
    }
    taken = next((section for section, entries in sections.items() if name in entries), None)
    if taken:
        written = f", or take that one out first (bakeoff remove {name})" if taken == "folders" else ""
        raise BakeoffError(f"{taken} of params.yaml has '{name}' already: choose another name with --name{written}.")
    return name


def _stored_path(path: str) -> str:
    return path.rstrip("/") or path


def _choices(name: str, tree: Tree, options: Mapping[str, Any]) -> Choices:
    labels = _table(tree, options["labels"])
    format_ = options["format"] or _format(tree, otherwise="table" if labels else None)
    background = options["background"]
    classes = None if options["classes"] is None else parse_classes(options["classes"])
    if isinstance(classes, list):
        classes = {
            each: level if format_ in BY_LEVEL else None if each == (background or BACKGROUND) else each
            for level, each in enumerate(classes)
        }
    return Choices(
        name=name,
        format=format_,
        **_patterns(tree, options),
        classes=classes,
        background=background,
        ignore=None if options["ignore"] is None else parse_ignore(options["ignore"]),
        objects=options["objects"],
        threshold=options["threshold"],
        split=NONE if options["split"] == RANDOM else options["split"],
        group=options["group"],
        labels=labels,
    )


def _format(tree: Tree, otherwise: str | None) -> str:
    """The one format that a folder is of; one that is of none is of `otherwise`.

    Raises
    ------
    BakeoffError
        If it is of none, or of two that are as likely.
    """
    found = recognised(tree)
    ranked = list(found.formats.items())
    if not ranked and otherwise and not found.reasons:
        return otherwise
    if not ranked:
        raise BakeoffError(_why_none(tree, list(found.reasons.values())))
    (first, surest), *others = ranked
    if others and surest - others[0][1] < NEAR:
        raise BakeoffError(f"The folder may be read as {first} or as {others[0][0]}: say which with --format.")
    return first


def _others(tree: Tree, chosen: str) -> str:
    """What else a folder might have been read as, and what it looks like and cannot be read as."""
    found = recognised(tree)
    others = [name for name in found.formats if name != chosen]
    return "".join(
        [
            f", surer than {' and '.join(others)}" if others else "",
            *(f"; {reason}" for reason in found.reasons.values()),
        ]
    )


def _why_none(tree: Tree, reasons: Sequence[str]) -> str:
    if reasons:
        return reasons[0]
    pictures = [name for name in tree.names if is_picture(name)]
    if not pictures:
        kinds = Counter(PurePosixPath(name).suffix or "no suffix" for name in tree.names)
        shown = ", ".join(f"{kind} ({count})" for kind, count in kinds.most_common(4)) or "nothing"
        return f"{tree.path} has no images: it holds {shown}."
    looked = look(tree, [Entry(name) for name in pictures[:PICTURES_TRIED]])
    if len(looked.undecodable) == looked.opened:
        name, reason = next(iter(looked.undecodable.items()))
        advice = "" if ": " in reason else ": convert it to PNG or TIFF"
        return f"{name} is no image that can be read ({reason}){advice}."
    if (table := find_table(tree, pictures)) is not None:
        file = table["file"]
        return f"{file} names the images, and does not say which column is the class: say it, --labels {file}:COLUMN."
    return (
        f"{tree.path} has {len(pictures)} images, and neither masks, nor annotations, nor folders named after classes, "
        f"nor a table of labels: see docs/own-images.md, or say what it is with --format ({', '.join(FORMATS)})."
    )


def _patterns(tree: Tree, options: Mapping[str, Any]) -> dict[str, str | None]:
    images, masks, suffix = options["images"], options["masks"], options["mask_suffix"]
    if suffix is None:
        return {"images": images, "masks": masks}
    if masks is not None:
        raise BakeoffError("--masks and --mask-suffix say the same thing: use one of them.")
    found = [each for each in layouts([name for name in tree.names if is_picture(name)]) if each.masks.endswith(suffix)]
    if not found:
        raise BakeoffError(
            f"--mask-suffix is '{suffix}', and no images have a mask of the same name with it: use --masks."
        )
    return {"images": images or found[0].images, "masks": found[0].masks}


class _OneFile:
    """A tree in which no other file is a table."""

    def __init__(self, tree: Tree, name: str) -> None:
        self.names = (name,)
        self.read = tree.read


def _table(tree: Tree, stated: str | None) -> Mapping[str, Any] | None:
    """How a table of labels is written, of which a person names the file and perhaps the column of the class."""
    if stated is None:
        return None
    file, _, column = stated.partition(":")
    if file not in tree.names:
        raise BakeoffError(
            f"--labels is '{stated}', and there is no file {file} in the folder: name one that is there."
        )
    settings = find_table(_OneFile(tree, file), [name for name in tree.names if is_picture(name)])
    if settings is None:
        raise BakeoffError(f"--labels is '{stated}', and no column of it names the images: correct the table.")
    return {**settings, "label": column or settings["label"]}


def _said_images(looked: Looked, images: int) -> Iterator[str]:
    of = "all" if looked.opened == images else f"{looked.opened} of {images}"
    sizes = looked.sizes()
    shown = ", ".join(f"{width} x {height} ({count})" for (width, height), count in sizes.most_common(SIZES_SHOWN))
    more = f" and {len(sizes) - SIZES_SHOWN} more sizes" if len(sizes) > SIZES_SHOWN else ""
    kinds = Counter((header.kind, header.bits) for header in looked.headers.values())
    yield f"  pixels of {of} images: {shown}{more}"
    said = [f"{kind}, {bits} bits a channel ({count})" for (kind, bits), count in kinds.most_common()]
    yield f"  files: {', '.join(said)}"
    for name, reason in list(looked.undecodable.items())[:FINDINGS_SHOWN]:
        yield f"  left out: {name}, which cannot be read ({reason})"


def _said_findings(findings: Sequence[Finding]) -> Iterator[str]:
    """What is left out and why, one line a kind with its first files; what stays and is unusual as well."""
    kinds: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        kinds.setdefault((finding.finding, finding.consequence), []).append(finding)
    for (kind, consequence), found in kinds.items():
        what = "left out" if consequence == "dropped" else consequence
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        yield f"  {what}: {kind}, {found[0].file} ({found[0].detail}){more}"


def _suite(
    proposal: Proposal, reading: Reading, looked: Looked, options: Mapping[str, Any], config: Config
) -> tuple[Chosen, Proposed, list[str]]:
    """The methods, the images' geometry, and the lines to say of them."""
    suite = options["suite"] or "quick"
    lines: list[str] = []
    without = []
    for weights in weights_needed(suite, proposal.kind):
        folder = Path("data/weights") / f"{weights}-published"
        if options["pretrained"] is False:
            without.append(weights)
        elif options["pretrained"] is None and find_weights(weights, folder, config.download.mirror) is None:
            without.append(weights)
            lines.append(
                f"  left out: networks that start from {weights}, whose published weights can be had neither from "
                "download.mirror nor from their address [--pretrained]"
            )
    two = proposal.kind == "segmentation" and reading.background is not None and len(reading.classes or ()) == 2
    shapes = looked.shapes(upright=proposal.folder["orientation"] == "upright")
    proposed = propose_geometry(
        shapes,
        methods_of(suite, proposal.kind).size,
        masks=proposal.kind == "segmentation",
        objects=bool(proposal.folder.get("objects")),
        kind=options["geometry"],
        size=None if options["size"] is None else parse_size(options["size"]),
    )
    chosen = choose(
        suite,
        proposal.kind,
        training_images(proposal, reading),
        proposed.geometry,
        windows_an_image(shapes, proposed.geometry),
        thresholds=two,
        without=without,
    )
    if proposal.kind == "segmentation" and not two:
        lines.append("  left out: thresholds, which tell a foreground from a background, of two classes alone")
    if not chosen.baselines and not chosen.networks:
        raise BakeoffError(f"Suite '{suite}' has no method for this task: name another one with --suite.")
    lines.append(f"  geometry: {proposed.geometry.words()} ({proposed.reason}) [--size --geometry]")
    return chosen, proposed, [*lines, *_said_suite(chosen, proposal, reading, config)]


def _said_suite(chosen: Chosen, proposal: Proposal, reading: Reading, config: Config) -> Iterator[str]:
    methods = ", ".join([*chosen.baselines, *chosen.networks])
    epochs = f", networks for {chosen.epochs} epochs" if chosen.networks else ""
    yield f"  suite {chosen.suite}: {methods}{epochs} [--suite {'|'.join(read_suites().suites)}]"
    machine = this_machine()
    cost = estimate(
        chosen,
        len(reading.entries),
        proposal.folder["channels"],
        config.seed_count,
        proposal.kind == "segmentation",
        machine,
    )
    yield from said_cost(cost, machine)


def said_cost(cost: Estimate, machine: Machine) -> Iterator[str]:
    """An estimate in words, and how sure it is."""
    each = ", ".join(f"{name} {duration(seconds)}" for name, seconds in cost.networks.items())
    yield f"  time: about {duration(cost.seconds)} on {machine.words()}{f' ({each})' if each else ''}"
    yield (
        f"  memory: about {cost.memory_mib / 1024:.1f} of {memory_mib() / 1024:.0f} GiB; disk: about "
        f"{cost.disk_mib / 1024:.2f} of {free_disk_mib(Path()) / 1024:.0f} GiB that are free"
    )
    yield "  These are from figures of 2 idle cores (docs/results/throughput.md): expect half to twice the time."
    if cost.memory_mib > memory_mib() or cost.disk_mib > free_disk_mib(Path()):
        yield "  That is more than this machine has: a smaller --size, or fewer methods with another --suite."


def _written(name: str, entries: Sequence[Addition], dry_run: bool, config_file: Path) -> Iterator[str]:
    if dry_run:
        changed_text(config_file, entries, ())
        yield f"\nNot written, since --dry-run; {config_file} would get:\n"
        for section in dict.fromkeys(entry.section for entry in entries):
            yield f"{'.'.join(section)}:"
            yield from (line for entry in entries if entry.section == section for line in entry.lines(2))
        return
    change_entries(config_file, entries, (), lambda values: check_config(values, config_file))
    yield f"\nWritten to {config_file}: {', '.join('.'.join(entry.key) for entry in entries)}."
    yield "Look at the examples, edit what you like, and run one of these:\n"
    yield f"  snakemake results/report/{name}.html --cores 8 --resources gpu=1"
    yield f"  dvc repro report@{name}"
