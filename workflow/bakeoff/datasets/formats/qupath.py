"""QuPath: a GeoJSON file an image, which is called like it.

    slide.tif   slide.geojson

Features are polygons with holes, or several of them that make one object; their class is `classification.name`. QuPath
leaves out what is classified as `Ignore*`: it is void. Features without a class are called Unclassified.
"""

from typing import Any

from bakeoff.datasets.formats.annotations import Annotated
from bakeoff.datasets.formats.documents import holding, read_json
from bakeoff.datasets.formats.names import Images, split_of
from bakeoff.datasets.formats.reading import Choices, Entry, Reading, Shape, Tree
from bakeoff.datasets.formats.shapes import outline

_SUFFIXES = (".geojson", ".json")
_WORDS = (b'"geometry"', b'"coordinates"', b'"Feature"')
IGNORED = "Ignore*"
UNCLASSIFIED = "Unclassified"


def recognise(tree: Tree) -> float | str:
    """Whether there are GeoJSON files called like images; see `bakeoff.datasets.formats`."""
    files = holding(tree, _SUFFIXES, *_WORDS, sample=True)
    if not files:
        return 0.0
    images = Images(tree.names)
    if not any(images.find_stem(name) for name in files):
        return f"{files[0]} is GeoJSON, and no image is called like it: give both the same name."
    return 1.0


def read(tree: Tree, choices: Choices) -> Reading:
    """Read every GeoJSON file of a folder.

    Raises
    ------
    BakeoffError
        If a file is damaged, or nothing can be used.
    """
    found = Annotated("qupath", "QuPath GeoJSON", tree, choices, ignored=(IGNORED,))
    for name in holding(tree, _SUFFIXES, *_WORDS):
        with found.file_of_one_image(name):
            features, image = _features(read_json(tree, name)), found.images.find_stem(name)
            if image is None:
                found.missing(name, "called like it")
            else:
                found.add(name, Entry(image, shapes=_shapes(name, features, found)), split_of(image))
    return found.reading()


def _features(document: Any) -> list[Any]:
    """Features of a collection, a list or a single one: QuPath exports all three."""
    if isinstance(document, dict):
        document = document.get("features", [document])
    return document if isinstance(document, list) else []


def _shapes(name: str, features: list[Any], found: Annotated) -> tuple[Shape, ...]:
    shapes = []
    for number, feature in enumerate(features, 1):
        with found.skipping(name):
            shapes.append(_shape(feature, number))
    return tuple(shapes)


def _shape(feature: dict[str, Any], number: int) -> Shape:
    kind, coordinates = feature["geometry"]["type"], feature["geometry"].get("coordinates")
    if kind not in ("Polygon", "MultiPolygon"):
        raise ValueError(f"a {kind} surrounds no area")
    parts = [coordinates] if kind == "Polygon" else coordinates
    if not all(parts):
        raise ValueError("its rings are none")
    return Shape(
        label=_label(feature.get("properties") or {}),
        polygons=tuple(outline(outer) for outer, *_ in parts),
        holes=tuple(outline(inner) for _, *holes in parts for inner in holes),
        number=number,
    )


def _label(properties: dict[str, Any]) -> str:
    classification = properties.get("classification") or {}
    return str(classification.get("name") or ": ".join(classification.get("names") or ()) or UNCLASSIFIED)
