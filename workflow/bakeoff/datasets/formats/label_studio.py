"""Label Studio: a JSON export, which lists tasks with their annotations, and the images.

    export.json   images/3f2a91c0-a.png

Of several annotations of a task the first one counts that was not cancelled, or the first that is ground truth. Regions
are polygons, rectangles, ellipses and brushes. The image is that of `data`, found by the name that Label Studio gave it
when it was uploaded or by the one it had before.
"""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import numpy as np

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.formats.annotations import Annotated
from bakeoff.datasets.formats.documents import DAMAGE, holding, read_json
from bakeoff.datasets.formats.names import is_picture, split_of
from bakeoff.datasets.formats.reading import Choices, Entry, Reading, Shape, Tree
from bakeoff.datasets.formats.runs import from_label_studio
from bakeoff.datasets.formats.shapes import ellipse, outline, rectangle, turned

_WORDS = (b'"data"', b'"annotations"', b'"result"')
_SHORT_WORDS = (b'"original_width"', b'"annotation_id"')
# What Label Studio puts before the name of a file that is uploaded.
_UPLOAD = re.compile(r"^[0-9a-f]{8}-")


def recognise(tree: Tree) -> float | str:
    """Whether a JSON file is a list of tasks; see `bakeoff.datasets.formats`."""
    if holding(tree, [".json"], *_WORDS, sample=True):
        return 1.0
    if short := holding(tree, [".json"], *_SHORT_WORDS, sample=True):
        return f"{short[0]} is Label Studio's short export (JSON-MIN): export it as JSON."
    return 0.0


def read(tree: Tree, choices: Choices) -> Reading:
    """Read every export of Label Studio in a folder.

    Raises
    ------
    BakeoffError
        If a file is damaged, or nothing can be used.
    """
    found = Annotated("label_studio", "Label Studio JSON", tree, choices)
    for name in holding(tree, [".json"], *_WORDS):
        document = read_json(tree, name)
        found.file(name)
        for task in document if isinstance(document, list) else [document]:
            try:
                _add_task(name, task, found)
            except DAMAGE as error:
                raise BakeoffError(
                    f"{name} is no whole export of Label Studio ({type(error).__name__}: {error}): export it again."
                ) from None
    return found.reading()


def _add_task(name: str, task: dict[str, Any], found: Annotated) -> None:
    stated = list(_image_names(task))
    file = next((file for each in stated if (file := found.images.find(each, name))), None)
    if file is None:
        found.missing(name, stated[0] if stated else f"of task {task.get('id')}")
        return
    annotations = [each for each in task["annotations"] if not each.get("was_cancelled")]
    if not annotations:
        found.skip("a task without an annotation", name)
        return
    if len(annotations) > 1:
        found.skip("a further annotation of a task that has several", name)
    result = max(annotations, key=lambda each: bool(each.get("ground_truth")))["result"]
    shapes = []
    for number, region in enumerate(result, 1):
        if region["type"] != "choices":  # labels of the whole image
            with found.skipping(name):
                shapes.append(_shape(region, number))
    found.add(name, Entry(file, shapes=tuple(shapes), size=_size(result)), split_of(file))


def _image_names(task: dict[str, Any]) -> Iterator[str]:
    """Names that the image of a task may have, the likeliest first."""
    for value in (*task["data"].values(), task.get("file_upload")):
        path = unquote(value.split("?d=")[-1]) if isinstance(value, str) else ""
        if is_picture(path):
            folder, _, last = path.rpartition("/")
            yield path
            if _UPLOAD.match(last):
                yield f"{folder}/{_UPLOAD.sub('', last)}"


def _size(result: list[dict[str, Any]]) -> tuple[int, int] | None:
    sizes = {(region.get("original_height"), region.get("original_width")) for region in result}
    height, width = sizes.pop() if len(sizes) == 1 else (None, None)
    return (int(height), int(width)) if height and width else None


def _shape(region: dict[str, Any], number: int) -> Shape:
    kind, value = region["type"], region["value"]
    if region.get("image_rotation"):
        raise ValueError("a region of an image that was turned in Label Studio")
    labels = value.get(kind) or value.get("labels") or []
    if len(labels) != 1:
        raise ValueError(f"a {kind} with {len(labels)} labels")
    height, width = int(region["original_height"]), int(region["original_width"])
    common: dict[str, Any] = {"label": str(labels[0]), "number": number}
    if "rle" in value:
        return Shape(**common, runs=from_label_studio(value["rle"], height, width))
    return Shape(**common, polygons=(_outline(kind, value, np.array([width, height]) / 100),))


def _outline(kind: str, value: dict[str, Any], unit: np.ndarray) -> np.ndarray:
    """An outline in pixels; coordinates are in hundredths of width and height."""
    if "points" in value and kind.startswith("polygon"):
        return outline(np.array(value["points"], float) * unit)
    if not kind.startswith(("rectangle", "ellipse")):
        raise ValueError(f"a {kind} surrounds no area")
    x, y = np.array([value["x"], value["y"]], float) * unit
    width, height = unit
    if kind.startswith("rectangle"):
        region = rectangle(x, y, x + value["width"] * width, y + value["height"] * height)
    else:
        region = ellipse(x, y, value["radiusX"] * width, value["radiusY"] * height)
    return turned(region, (x, y), float(value.get("rotation") or 0))  # about the first corner, or the middle
