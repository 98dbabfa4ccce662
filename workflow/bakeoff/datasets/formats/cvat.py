"""CVAT for images: an XML file that lists images with polygons, boxes, ellipses and masks.

    annotations.xml   images/a.png   images/b.png

Shapes of one label and one group are parts of one object. The higher `z_order` lies on top, and of those that share one
what comes later. A split is taken from an image's `subset`, or from its folder.
"""

from collections.abc import Sequence
from typing import Any
from xml.etree.ElementTree import Element

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.formats.annotations import Annotated, numbered
from bakeoff.datasets.formats.documents import holding, read_xml
from bakeoff.datasets.formats.names import split_of
from bakeoff.datasets.formats.reading import Choices, Entry, Reading, Shape, Tree
from bakeoff.datasets.formats.runs import from_box
from bakeoff.datasets.formats.shapes import ellipse, outline, rectangle, turned

_ROOT = b"<annotations"


def recognise(tree: Tree) -> float | str:
    """Whether an XML file is one of CVAT; see `bakeoff.datasets.formats`."""
    images, tracks = (holding(tree, [".xml"], _ROOT, word, sample=True) for word in (b"<image ", b"<track "))
    if tracks and not images:
        return f"{tracks[0]} is CVAT's XML for videos: export it as 'CVAT for images', with the images."
    return 1.0 if images else 0.0


def read(tree: Tree, choices: Choices) -> Reading:
    """Read every XML file of CVAT in a folder.

    Raises
    ------
    BakeoffError
        If a file is damaged, or nothing can be used.
    """
    found = Annotated("cvat", "CVAT XML", tree, choices)
    order: list[str] = []
    for name in holding(tree, [".xml"], _ROOT, b"<image "):
        root = read_xml(tree, name)
        found.file(name)
        order += [label.text or "" for label in root.iterfind("meta//labels/label/name")]
        for image in root.iterfind("image"):
            _add_image(name, image, found)
    return found.reading(order=list(dict.fromkeys(order)))


def _add_image(name: str, image: Element, found: Annotated) -> None:
    stated = image.get("name", "")
    file = found.images.find(stated, name)
    if file is None:
        found.missing(name, stated)
        return
    try:
        size = int(image.attrib["height"]), int(image.attrib["width"])
    except (KeyError, ValueError):
        raise BakeoffError(f"{name}: the image {stated} has no width and height: export it again.") from None
    split = split_of(f"{image.get('subset', '')}/") or split_of(file)
    shapes = _shapes(name, list(image), size, found)
    found.add(name, Entry(file, shapes=shapes, size=size), split)


def _shapes(name: str, elements: Sequence[Element], size: tuple[int, int], found: Annotated) -> tuple[Shape, ...]:
    shapes = [element for element in elements if element.tag != "tag"]  # a tag is a label of the whole image
    shapes.sort(key=lambda shape: int(shape.get("z_order", 0)))
    groups = [(shape.get("label"), group) if (group := shape.get("group_id", "0")) != "0" else None for shape in shapes]
    drawn = []
    for order, (shape, number) in enumerate(zip(shapes, numbered(groups), strict=True)):
        with found.skipping(name):
            drawn.append(Shape(shape.attrib["label"], number=number, order=order, **_region(shape, size)))
    return tuple(drawn)


def _region(shape: Element, size: tuple[int, int]) -> dict[str, Any]:
    def numbers(*names: str) -> list[float]:
        return [float(shape.attrib[name]) for name in names]

    degrees = float(shape.get("rotation", 0))
    match shape.tag:
        case "polygon":
            points = [[float(value) for value in point.split(",")] for point in shape.attrib["points"].split(";")]
            return {"polygons": (outline(points),)}
        case "box":
            left, top, right, bottom = numbers("xtl", "ytl", "xbr", "ybr")
            middle = (left + right) / 2, (top + bottom) / 2
            return {"polygons": (turned(rectangle(left, top, right, bottom), middle, degrees),)}
        case "ellipse":
            x, y, radius_x, radius_y = numbers("cx", "cy", "rx", "ry")
            return {"polygons": (turned(ellipse(x, y, radius_x, radius_y), (x, y), degrees),)}
        case "mask":
            left, top, width, height = map(int, numbers("left", "top", "width", "height"))
            counts = [int(count) for count in shape.attrib["rle"].split(",")]
            return {"runs": from_box(counts, (left, top, width, height), *size)}
    raise ValueError(f"a {shape.tag} surrounds no area")
