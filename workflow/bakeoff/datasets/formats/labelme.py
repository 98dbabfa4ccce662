"""LabelMe: a JSON file an image, which names the image and lists shapes.

    a.png   a.json
    b.png   b.json

Shapes of one label and one `group_id` are parts of one object. Later shapes of the list lie on top. The label
`__ignore__` is void. An image that is nowhere to be found is taken from `imageData`, where LabelMe embeds it.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import numpy as np

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.formats.annotations import Annotated, numbered
from bakeoff.datasets.formats.documents import holding, read_json
from bakeoff.datasets.formats.names import split_of
from bakeoff.datasets.formats.reading import Choices, Entry, Reading, Shape, Tree
from bakeoff.datasets.formats.runs import from_mask
from bakeoff.datasets.formats.shapes import ellipse, outline, rectangle
from bakeoff.datasets.preparation.mask_files import stored
from bakeoff.datasets.preparation.samples import Undecodable

_WORDS = (b'"shapes"', b'"imagePath"')
IGNORED = "__ignore__"


def recognise(tree: Tree) -> float | str:
    """Whether JSON files have LabelMe's keys; see `bakeoff.datasets.formats`."""
    return 1.0 if holding(tree, [".json"], *_WORDS, sample=True) else 0.0


def read(tree: Tree, choices: Choices) -> Reading:
    """Read every LabelMe file of a folder.

    Raises
    ------
    BakeoffError
        If a file is damaged, or nothing can be used.
    """
    found = Annotated("labelme", "LabelMe JSON", tree, choices, ignored=(IGNORED,))
    for name in holding(tree, [".json"], *_WORDS):
        with found.file_of_one_image(name):
            _add_image(name, read_json(tree, name), found)
    return found.reading()


def embedded_image(tree: Tree, name: str) -> bytes:
    """The image file that a LabelMe file holds.

    Raises
    ------
    BakeoffError
        If it holds none, or one that is damaged.
    """
    document = read_json(tree, name)
    try:
        return base64.b64decode(document["imageData"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise BakeoffError(f"{name}: its imageData is no image ({error}): put the image beside it.") from None


def _add_image(name: str, document: dict[str, Any], found: Annotated) -> None:
    stated = str(document.get("imagePath") or "")
    file = found.images.find(stated, name)
    embedded = file is None and bool(document.get("imageData"))
    if file is None and not embedded:
        found.missing(name, stated)
        return
    height, width = document.get("imageHeight"), document.get("imageWidth")
    entry = Entry(
        image=name if file is None else file,
        shapes=_shapes(name, document["shapes"], (height, width), found),
        size=(int(height), int(width)) if height and width else None,
        embedded=embedded,
    )
    found.add(name, entry, split_of(file or name))


def _shapes(name: str, shapes: Sequence[dict[str, Any]], size: tuple[Any, Any], found: Annotated) -> tuple[Shape, ...]:
    groups = [(each["label"], group) if (group := each.get("group_id")) is not None else None for each in shapes]
    drawn = []
    for order, (shape, number) in enumerate(zip(shapes, numbered(groups), strict=True)):
        with found.skipping(name):
            what = _mask(shape, size) if shape.get("shape_type") == "mask" else {"polygons": (_polygon(shape),)}
            drawn.append(Shape(str(shape["label"]), number=number, order=order, **what))
    return tuple(drawn)


def _polygon(shape: dict[str, Any]) -> np.ndarray:
    kind, points = shape.get("shape_type") or "polygon", shape.get("points") or []
    if kind == "rectangle" and len(points) == 2:
        (left, top), (right, bottom) = points
        return rectangle(left, top, right, bottom)
    if kind == "circle" and len(points) == 2:
        (x, y), rim = points
        radius = float(np.hypot(rim[0] - x, rim[1] - y))
        return ellipse(x, y, radius, radius)
    if kind in ("polygon", "rectangle", "oriented_rectangle"):
        return outline(points)
    raise ValueError(f"a {kind} surrounds no area")


def _mask(shape: dict[str, Any], size: tuple[Any, Any]) -> dict[str, Any]:
    """A mask that is drawn within a rectangle, both of whose corners are pixels of it."""
    try:
        height, width = map(int, size)
        (left, top), _ = ((round(x), round(y)) for x, y in shape["points"])
        inside = stored(base64.b64decode(shape["mask"], validate=True)).values > 0
        mask = np.zeros((height, width), bool)
        mask[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    except (KeyError, TypeError, ValueError, Undecodable) as error:
        raise ValueError(f"a mask that cannot be read ({error})") from None
    return {"runs": from_mask(mask)}
