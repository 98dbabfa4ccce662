"""Layouts and annotation formats of folders: one file a format.

A format is a module of this package with

`recognise(tree) -> float | str`
    How sure it is that the folder is of this format, from 0 (it is not) to 1, by the contents of files and never by
    their suffixes alone. A sentence in place of a number where the folder is of this format and cannot be read, which
    says why and what to do.
`read(tree, choices) -> Reading`
    What is in it. Raises `BakeoffError` where a choice is wanting or wrong, or nothing can be used.

`shapes` draws what the readers of annotation files return.
"""

import importlib
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.formats.reading import Choices, Entry, Reading, Tree
from bakeoff.datasets.preparation.volumes import SlicedTree

# In the order in which they are tried and named.
FORMATS: tuple[str, ...] = (
    *("coco", "labelme", "yolo", "cvat", "voc", "label_studio", "qupath"),
    *("pairs", "classes", "table"),
)


class Recognised(NamedTuple):
    """What a folder is taken for.

    Attributes
    ----------
    formats
        Names of the formats that may read it and how sure each is, the surest first.
    reasons
        By name of the format, why a folder that is of this format cannot be read.
    """

    formats: dict[str, float]
    reasons: dict[str, str]


def recognised(tree: Tree) -> Recognised:
    """Ask every format whether a folder is of its kind."""
    answers = {name: importlib.import_module(f"{__name__}.{name}").recognise(tree) for name in FORMATS}
    sure = {name: float(answer) for name, answer in answers.items() if not isinstance(answer, str) and answer > 0}
    return Recognised(
        formats=dict(sorted(sure.items(), key=lambda each: -each[1])),
        reasons={name: answer for name, answer in answers.items() if isinstance(answer, str)},
    )


def read_folder(tree: Tree, choices: Choices) -> Reading:
    """Read a folder in the format that the choices name.

    Raises
    ------
    BakeoffError
        If they name none or an unknown one, or the folder cannot be read in it.
    """
    if choices.format not in FORMATS:
        known = ", ".join(FORMATS)
        raise BakeoffError(f"folders.{choices.name}.format is '{choices.format}': name one of {known}.")
    reading: Reading = importlib.import_module(f"{__name__}.{choices.format}").read(tree, choices)
    return _by_volume(reading, tree.volumes) if isinstance(tree, SlicedTree) else reading


def _by_volume(reading: Reading, volumes: Mapping[str, str]) -> Reading:
    """The same with the slices of a volume in a group, where the folder says of none."""
    entries = [replace(each, group=each.group or volumes.get(each.image)) for each in reading.entries]
    said = f"The slices of {len(set(volumes.values()))} volumes are images, and those of a volume are a group."
    return replace(reading, entries=tuple(entries), details=(*reading.details, said))


def image_bytes(tree: Tree, entry: Entry) -> bytes:
    """The image file of an entry, which an annotation file may hold in itself."""
    if not entry.embedded:
        return tree.read(entry.image)
    return importlib.import_module(f"{__name__}.labelme").embedded_image(tree, entry.image)
