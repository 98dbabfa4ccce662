"""COCO: JSON files that list images, categories and annotations, with the images beside them or in folders.

    annotations/instances_train.json    images/train/a.jpg
    annotations/instances_val.json      images/val/b.jpg

A split is taken from the name of the JSON file, or from that of its folder or of the image's.
"""

from collections import defaultdict
from typing import Any

import numpy as np

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.formats.annotations import Annotated
from bakeoff.datasets.formats.documents import DAMAGE, holding, read_json
from bakeoff.datasets.formats.names import split_of
from bakeoff.datasets.formats.reading import Choices, Entry, Reading, Shape, Tree
from bakeoff.datasets.formats.runs import from_compressed, from_counts
from bakeoff.datasets.formats.shapes import outline

_WORDS = (b'"images"', b'"annotations"', b'"image_id"')


def recognise(tree: Tree) -> float | str:
    """Whether a JSON file has COCO's lists; see `bakeoff.datasets.formats`."""
    files = holding(tree, [".json"], *_WORDS, sample=True)
    if files and not holding(tree, [".json"], *_WORDS, b'"segmentation"', sample=True):
        return f"{files[0]} is COCO JSON without outlines (boxes, points or captions): export it with segmentations."
    return 1.0 if files else 0.0


def read(tree: Tree, choices: Choices) -> Reading:
    """Read every COCO file of a folder.

    Raises
    ------
    BakeoffError
        If a file is damaged, or nothing can be used.
    """
    found = Annotated("coco", "COCO JSON", tree, choices)
    order: list[str] = []
    for name in holding(tree, [".json"], *_WORDS, b'"segmentation"'):
        document = read_json(tree, name)
        if isinstance(document, dict) and isinstance(document.get("annotations"), list):
            found.file(name)
            order += _read_file(name, document, found)
    return found.reading(order=list(dict.fromkeys(order)))


def _read_file(name: str, document: dict[str, Any], found: Annotated) -> list[str]:
    """Add a file's images; the names of its categories, by their numbers."""
    try:
        categories = {each["id"]: str(each["name"]) for each in document.get("categories") or ()}
        images = {each["id"]: each for each in document["images"]}
        annotations = defaultdict(list)
        for each in document["annotations"]:
            if each["image_id"] in images:
                annotations[each["image_id"]].append(each)
            else:
                found.skip("an annotation of an image that is not listed", name)
        for key, image in images.items():
            _add_image(name, image, _shapes(name, annotations[key], categories, found), found)
        return [categories[number] for number in sorted(categories)]
    except DAMAGE as error:
        raise BakeoffError(
            f"{name} is no whole COCO file ({type(error).__name__}: {error}): export it again."
        ) from None


def _add_image(name: str, image: dict[str, Any], shapes: tuple[Shape, ...], found: Annotated) -> None:
    file = found.images.find(str(image["file_name"]), name)
    if file is None:
        found.missing(name, image["file_name"])
        return
    split = split_of(name) or split_of(file)
    size = (int(image["height"]), int(image["width"])) if image.get("height") and image.get("width") else None
    found.add(name, Entry(file, shapes=shapes, size=size), split)


def _shapes(
    name: str, annotations: list[dict[str, Any]], categories: dict[Any, str], found: Annotated
) -> tuple[Shape, ...]:
    shapes = []
    for number, annotation in enumerate(annotations, 1):
        with found.skipping(name):
            shapes.append(_shape(annotation, number, categories))
    return tuple(shapes)


def _shape(annotation: dict[str, Any], number: int, categories: dict[Any, str]) -> Shape:
    segmentation, crowd = annotation.get("segmentation"), bool(annotation.get("iscrowd"))
    label = categories.get(annotation["category_id"])
    if label is None:
        raise ValueError(f"its category {annotation['category_id']} is not listed")
    if not segmentation:
        raise ValueError("a box without an outline")
    common: dict[str, Any] = {"label": label, "number": None if crowd else number, "crowd": crowd}
    if isinstance(segmentation, dict):
        height, width = map(int, segmentation["size"])
        counts = segmentation["counts"]
        from_ = from_compressed if isinstance(counts, str) else from_counts
        return Shape(**common, runs=from_(counts, height, width))
    parts = segmentation if isinstance(segmentation[0], list) else [segmentation]
    return Shape(**common, polygons=tuple(map(_outline, parts)))


def _outline(coordinates: list[float]) -> np.ndarray:
    if len(coordinates) % 2:
        raise ValueError("its coordinates are no pairs")
    return outline(np.reshape(coordinates, (-1, 2)))
