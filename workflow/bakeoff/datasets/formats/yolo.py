"""YOLO: a text file of polygons an image, and a `data.yaml` that names the classes.

    data.yaml   images/train/a.jpg   labels/train/a.txt
                images/val/b.jpg     labels/val/b.txt

A line is the number of a class and the corners of a polygon, as shares of width and height. The split is what
`data.yaml` states, or else that of the folder's name.
"""

from collections import defaultdict
from typing import Any

import numpy as np
import yaml

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.formats.annotations import Annotated
from bakeoff.datasets.formats.documents import DAMAGE, SAMPLE
from bakeoff.datasets.formats.names import is_picture, split_of, suffix
from bakeoff.datasets.formats.reading import Choices, Entry, Reading, Shape, Tree
from bakeoff.datasets.formats.shapes import outline

_BOX = 5  # values of a line: the class, the middle, width and height
_SPLITS = {"train": "train", "val": "validation", "test": "test"}


def recognise(tree: Tree) -> float | str:
    """Whether text files beside images have YOLO's lines; see `bakeoff.datasets.formats`."""
    lines, files = [], list(_label_files(tree).values())
    for name in files[:: len(files) // SAMPLE + 1]:
        try:
            lines += _lines(tree.read(name))
        except ValueError:
            return 0.0
    if not lines:
        return 0.0
    if all(len(line) in (_BOX, _BOX + 1) for line in lines):
        return f"{files[0]} and the like are YOLO boxes, which outline nothing: export polygons (YOLO segmentation)."
    try:
        configs = _configs(tree)
    except BakeoffError as error:
        return str(error)
    if any("kpt_shape" in config for config in configs.values()):
        return f"{files[0]} and the like are YOLO poses, which outline nothing: export polygons (YOLO segmentation)."
    return 1.0


def read(tree: Tree, choices: Choices) -> Reading:
    """Read the label file of every image.

    Raises
    ------
    BakeoffError
        If a label file or `data.yaml` is damaged, or nothing can be used.
    """
    found = Annotated("yolo", "YOLO polygons", tree, choices)
    configs, labels = _configs(tree), _label_files(tree)
    for name in configs:
        found.beside(name)
    names = _class_names(configs)
    splits = _stated_splits(tree, configs, found)
    folders = {_folder(name) for name in labels.values()}
    without = 0
    for image in filter(is_picture, tree.names):
        if image not in found.images:
            continue
        split = splits.get(image) or split_of(image)
        if image in labels:
            with found.file_of_one_image(labels[image]):
                found.add(labels[image], Entry(image, shapes=_shapes(tree, labels[image], names, found)), split)
        elif not folders.isdisjoint(map(_folder, _label_names(image))):
            found.add(image, Entry(image), split)
            without += 1
    if without:
        have, show = ("image has", "it shows") if without == 1 else ("images have", "they show")
        found.say(f"{without} {have} no label file, which says in YOLO that {show} none of the classes.")
    return found.reading(order=list(names.values()))


def _shapes(tree: Tree, name: str, names: dict[int, str], found: Annotated) -> tuple[Shape, ...]:
    shapes = []
    for number, line in enumerate(_lines(tree.read(name)), 1):
        with found.skipping(name):
            if len(line) == _BOX or len(line) % 2 == 0:
                raise ValueError("a box without an outline")
            label = names.get(int(line[0]), f"class {int(line[0])}")
            corners = outline(np.reshape(line[1:], (-1, 2)))
            shapes.append(Shape(label, (corners,), relative=True, number=number))
    return tuple(shapes)


def _lines(data: bytes) -> list[list[float]]:
    """Values of every line.

    Raises
    ------
    ValueError
        If something is no number, or a line is no class and shares of an image.
    """
    lines = [[float(value) for value in line.split()] for line in data.decode("utf-8-sig").splitlines() if line.strip()]
    for line in lines:
        # Polygons may leave the image a little.
        if len(line) < _BOX or not line[0].is_integer() or not all(-0.5 <= value <= 1.5 for value in line[1:]):
            raise ValueError(f"the line '{' '.join(f'{value:g}' for value in line[:6])}' is no class and coordinates")
    return lines


def _label_files(tree: Tree) -> dict[str, str]:
    """The label file of every image that has one."""
    names = set(tree.names)
    images = filter(is_picture, tree.names)
    return {image: label for image in images for label in _label_names(image) if label in names}


def _label_names(image: str) -> list[str]:
    """Where the label file of an image may be: beside it, or, first of all, in `labels` in place of `images`."""
    parts = image[: len(image) - len(suffix(image))].split("/")
    at = [place for place, part in enumerate(parts[:-1]) if part.lower() == "images"]
    other = ["/".join([*parts[: at[-1]], "labels", *parts[at[-1] + 1 :]])] if at else []
    return [f"{path}.txt" for path in ("/".join(parts), *other)]


def _configs(tree: Tree) -> dict[str, dict[str, Any]]:
    """Files in the way of `data.yaml` and what they hold."""
    found = {}
    for name in tree.names:
        if suffix(name) in (".yaml", ".yml"):
            try:
                content = yaml.safe_load(tree.read(name))
            except (yaml.YAMLError, UnicodeDecodeError) as error:
                raise BakeoffError(f"{name} is no valid YAML ({str(error).splitlines()[0]}): correct it.") from None
            if isinstance(content, dict) and "names" in content:
                found[name] = content
    return found


def _class_names(configs: dict[str, dict[str, Any]]) -> dict[int, str]:
    for file, config in configs.items():
        names = config["names"]
        try:
            pairs = names.items() if isinstance(names, dict) else enumerate(names or ())
            return {int(number): str(name) for number, name in pairs}
        except DAMAGE as error:
            raise BakeoffError(f"{file}: its names are no list of classes ({error}): correct it.") from None
    return {}


def _stated_splits(tree: Tree, configs: dict[str, dict[str, Any]], found: Annotated) -> dict[str, str]:
    """The split that `data.yaml` gives every image: by its folder, or by a list of images; none where it gives two."""
    stated = defaultdict(set)
    for name, config in configs.items():
        for key, split in _SPLITS.items():
            value = config.get(key)
            for path in value if isinstance(value, list) else [value]:
                if isinstance(path, str):
                    for image in _images_of(tree, name, str(config.get("path") or ""), path, found):
                        stated[image].add(split)
    return {image: splits.pop() for image, splits in stated.items() if len(splits) == 1}


def _images_of(tree: Tree, config: str, root: str, path: str, found: Annotated) -> list[str]:
    """Images below a folder, or on a list.

    The file was often written on another machine, so that as much is left out at the beginning of a path as makes it
    one of this folder.
    """
    images = list(filter(is_picture, tree.names))
    for start in (f"{_folder(config)}/{root}/{path}", path):
        parts = [part for part in start.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        for begin in range(len(parts)):
            place = "/".join(parts[begin:])
            if begin and place == "images":  # of whichever split
                break
            if lists := [name for name in tree.names if f"/{name}".endswith(f"/{place}") and suffix(name) == ".txt"]:
                found.beside(lists[0])
                lines = tree.read(lists[0]).decode("utf-8-sig", "replace").split("\n")
                return [image for line in lines if line.strip() and (image := found.images.find(line, lists[0]))]
            if below := [image for image in images if f"/{place}/" in f"/{image}"]:
                return below
    return []


def _folder(name: str) -> str:
    return name.rpartition("/")[0]
