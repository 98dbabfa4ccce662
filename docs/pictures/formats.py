"""Draws the pictures of docs/formats.md: `python docs/pictures/formats.py` writes formats-NAME.png beside this file.

Each is of a small folder in the format, read by Bakeoff's own reader: an image, its classes, and its objects where they
are told apart; of class folders an image of each class.
"""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from bakeoff.artefacts.void import VOID
from bakeoff.datasets.formats import read_folder
from bakeoff.datasets.formats.reading import Choices, Entry, Reading, Shape
from bakeoff.datasets.formats.runs import from_mask
from bakeoff.datasets.formats.shapes import Drawn, draw, ellipse, outline
from PIL import Image

FOLDER = Path(__file__).resolve().parent
HEIGHT, WIDTH, SCALE, GAP = 32, 48, 5, 8

Files = dict[str, bytes]

# Two cells that overlap, of which one has a hole; one in two parts; and debris.
LARGE = Shape("cell", (ellipse(12, 12, 10, 8),), number=1)
RING = Shape("cell", (ellipse(28, 11, 8, 8),), (ellipse(28, 11, 3, 3),), number=2)
PARTS = Shape("cell", (ellipse(9, 26, 6, 3), ellipse(23, 26, 5, 3)), number=3)
DEBRIS = Shape("debris", (outline([(36, 20), (46, 23), (38, 29)]),), number=4)
SCENES = {"a": (LARGE, RING, PARTS, DEBRIS), "b": (PARTS, DEBRIS)}
LABELS = ("cell", "debris")
CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))

BLACK, WHITE = (40, 40, 40), (255, 255, 255)
COLOURS = ((86, 180, 233), (230, 159, 0), (0, 158, 115), (204, 121, 167), (240, 228, 66), (213, 94, 0))


class Tree:
    """The files of a folder."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self.names = sorted(files)

    def read(self, name: str) -> bytes:
        return self._files[name]


def scene(name: str) -> Drawn:
    """Classes and objects of an image as they are meant."""
    classes = {"background": None, **{label: label for label in LABELS}}
    return draw(
        Reading("coco", (), classes=classes, background="background"), Entry(name, shapes=SCENES[name]), HEIGHT, WIDTH
    )


def png(pixels: np.ndarray, palette: bool = False) -> bytes:
    """An image file; with a palette in which neighbouring indices differ."""
    image = Image.fromarray(pixels)
    if palette:
        image = Image.fromarray(pixels, "P")
        image.putpalette([value for index in range(256) for value in _colour(index)])
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def photograph(name: str) -> bytes:
    """What a camera might have seen of a scene."""
    brightness = np.array([70, 150, 215])[scene(name).classes]
    noise = np.random.default_rng(ord(name)).normal(0, 12, brightness.shape)
    return png(np.clip(brightness + noise, 0, 255).astype(np.uint8))


def coco() -> Files:
    files = {f"images/{name}.png": photograph(name) for name in SCENES}
    for split, name in (("train", "a"), ("val", "b")):
        document = {
            "images": [{"id": 1, "file_name": f"{name}.png", "height": HEIGHT, "width": WIDTH}],
            "categories": [{"id": 3, "name": "cell"}, {"id": 7, "name": "debris"}],
            "annotations": [
                {"id": shape.number, "image_id": 1, "category_id": {"cell": 3, "debris": 7}[shape.label], "iscrowd": 0}
                | {"segmentation": _segmentation(shape)}
                for shape in SCENES[name]
            ],
        }
        files[f"annotations/instances_{split}.json"] = _json(document)
    return files


def _segmentation(shape: Shape) -> Any:
    if shape.holes:  # polygons of COCO have none
        runs = from_mask(_alone(shape))
        return {"size": [HEIGHT, WIDTH], "counts": runs.counts.decode()}
    return [polygon.ravel().tolist() for polygon in shape.polygons]


def yolo() -> Files:
    files = {"data.yaml": b"train: images/train\nval: images/val\nnames: [cell, debris]\n"}
    for split, name in (("train", "a"), ("val", "b")):
        lines = [
            f"{LABELS.index(shape.label)} {' '.join(f'{value:.5f}' for value in (polygon / (WIDTH, HEIGHT)).ravel())}"
            for shape in SCENES[name]
            for polygon in shape.polygons
        ]
        files |= {
            f"images/{split}/{name}.png": photograph(name),
            f"labels/{split}/{name}.txt": "\n".join(lines).encode(),
        }
    return files


def labelme() -> Files:
    files: Files = {}
    for name, shapes in SCENES.items():
        drawn = [
            {"label": shape.label, "shape_type": "polygon", "group_id": shape.number, "points": polygon.tolist()}
            for shape in shapes
            for polygon in shape.polygons
        ]
        document = {"imagePath": f"{name}.png", "imageHeight": HEIGHT, "imageWidth": WIDTH, "shapes": drawn}
        files |= {f"{name}.png": photograph(name), f"{name}.json": _json(document)}
    return files


def cvat() -> Files:
    files = {f"images/{name}.png": photograph(name) for name in SCENES}
    images = [
        f'<image name="{name}.png" width="{WIDTH}" height="{HEIGHT}">{"".join(map(_element, shapes))}</image>'
        for name, shapes in SCENES.items()
    ]
    labels = "".join(f"<label><name>{label}</name></label>" for label in LABELS)
    meta = f"<meta><job><labels>{labels}</labels></job></meta>"
    return {**files, "annotations.xml": f"<annotations>{meta}{''.join(images)}</annotations>".encode()}


def _element(shape: Shape) -> str:
    if shape.holes:  # polygons of CVAT have none
        ends = np.flatnonzero(np.diff(_alone(shape).ravel(), prepend=False, append=True))
        counts = ", ".join(map(str, np.diff(ends, prepend=0)))
        return f'<mask label="{shape.label}" rle="{counts}" left="0" top="0" width="{WIDTH}" height="{HEIGHT}"/>'
    return "".join(
        f'<polygon label="{shape.label}" group_id="{shape.number}" points="'
        f'{";".join(f"{x:.2f},{y:.2f}" for x, y in polygon)}"/>'
        for polygon in shape.polygons
    )


def voc() -> Files:
    files: Files = {"class_names.txt": b"background\ncell\ndebris\n"}
    for split, name in (("train", "a"), ("val", "b")):
        classes, objects = scene(name)
        # The outermost pixels of every object are void.
        edges = (objects > 0) & (cv2.erode(objects, CROSS) != cv2.dilate(objects, CROSS))
        files |= {
            f"JPEGImages/{name}.png": photograph(name),
            f"SegmentationClass/{name}.png": png(np.where(edges, VOID, classes).astype(np.uint8), palette=True),
            f"SegmentationObject/{name}.png": png(np.where(edges, VOID, objects).astype(np.uint8), palette=True),
            f"ImageSets/Segmentation/{split}.txt": name.encode(),
        }
    return files


def label_studio() -> Files:
    files = {f"images/{name}.png": photograph(name) for name in SCENES}
    tasks = []
    for name, shapes in SCENES.items():
        result = [
            {
                "type": "polygonlabels",
                "original_width": WIDTH,
                "original_height": HEIGHT,
                "value": {"points": (polygon * (100 / WIDTH, 100 / HEIGHT)).tolist(), "polygonlabels": [shape.label]},
            }
            for shape in shapes
            for polygon in shape.polygons
        ]
        tasks.append({"data": {"image": f"/data/upload/1/0a1b2c3d-{name}.png"}, "annotations": [{"result": result}]})
    return {**files, "export.json": _json(tasks)}


def qupath() -> Files:
    files: Files = {}
    for name, shapes in SCENES.items():
        features = [
            {
                "type": "Feature",
                "geometry": {"type": "MultiPolygon", "coordinates": _rings(shape)},
                "properties": {"objectType": "annotation", "classification": {"name": shape.label}},
            }
            for shape in shapes
        ]
        document = {"type": "FeatureCollection", "features": features}
        files |= {f"{name}.png": photograph(name), f"{name}.geojson": _json(document)}
    return files


def _rings(shape: Shape) -> list[Any]:
    first, *others = (polygon.tolist() for polygon in shape.polygons)
    return [[first, *(hole.tolist() for hole in shape.holes)], *([other] for other in others)]


def pairs() -> Files:
    files: Files = {}
    for name in SCENES:
        files |= {f"images/{name}.png": photograph(name), f"masks/{name}_mask.png": png(scene(name).classes)}
    return files


def classes() -> Files:
    files: Files = {}
    for label, level in zip(LABELS, (150, 215), strict=True):
        for number, shift in enumerate((0, 3, 6)):
            drawn = np.where(scene("a").classes == LABELS.index(label) + 1, level, 70)
            files[f"{label}/{number + 1}.png"] = png(np.roll(drawn, shift, axis=1).astype(np.uint8))
    return files


# Layouts without annotation files, under the name of their reader.
LAYOUTS: dict[str, Callable[[], Files]] = {each.__name__: each for each in (pairs, classes)}
# The example of every annotation format, under the name of its reader.
EXAMPLES: dict[str, Callable[[], Files]] = {
    each.__name__: each for each in (coco, yolo, labelme, cvat, voc, label_studio, qupath)
}


def picture(format: str) -> Image.Image:
    """An image, its classes and its objects, side by side, as the format's reader has them."""
    tree = Tree({**EXAMPLES, **LAYOUTS}[format]())
    reading = read_folder(tree, Choices("example", format))
    panels = _annotated(tree, reading) if reading.classes else _one_of_each_class(tree, reading)
    height, width = HEIGHT * SCALE, WIDTH * SCALE
    whole = Image.new("RGB", (len(panels) * (width + GAP) - GAP, height), WHITE)
    for at, panel in enumerate(panels):
        whole.paste(Image.fromarray(panel).resize((width, height), Image.Resampling.NEAREST), (at * (width + GAP), 0))
    return whole


def _annotated(tree: Tree, reading: Reading) -> list[np.ndarray]:
    entry = reading.entries[0]
    classes, objects = _annotation(tree, reading, entry)
    # Objects have other colours than classes.
    numbers = [_coloured(np.where(objects > 0, objects + len(LABELS), 0))] if reading.objects else []
    return [_seen(tree, entry), _coloured(classes), *numbers]


def _one_of_each_class(tree: Tree, reading: Reading) -> list[np.ndarray]:
    return [_seen(tree, entry) for entry in {entry.labels["class"]: entry for entry in reading.entries}.values()]


def _seen(tree: Tree, entry: Entry) -> np.ndarray:
    with Image.open(io.BytesIO(tree.read(entry.image))) as opened:
        return np.asarray(opened.convert("RGB"))


def _annotation(tree: Tree, reading: Reading, entry: Entry) -> Drawn:
    if reading.shapes:
        return draw(reading, entry, HEIGHT, WIDTH)
    classes = np.asarray(Image.open(io.BytesIO(tree.read(entry.masks[0]))))
    objects = np.asarray(Image.open(io.BytesIO(tree.read(entry.objects)))) if entry.objects else np.zeros_like(classes)
    return Drawn(classes, np.where(classes == VOID, 0, objects))


def _coloured(values: np.ndarray) -> np.ndarray:
    colours = np.array([BLACK, *(_colour(value) for value in range(1, VOID)), WHITE], np.uint8)
    return colours[values]


def _colour(value: int) -> tuple[int, int, int]:
    return COLOURS[(value - 1) % len(COLOURS)] if value else BLACK


def _alone(shape: Shape) -> np.ndarray:
    reading = Reading("coco", (), classes={"background": None, shape.label: shape.label}, background="background")
    return draw(reading, Entry("", shapes=(shape,)), HEIGHT, WIDTH).classes > 0


def _json(document: Mapping[str, Any] | list[Any]) -> bytes:
    return json.dumps(document).encode()


if __name__ == "__main__":
    for name in (*EXAMPLES, *LAYOUTS):
        picture(name).save(FOLDER / f"formats-{name}.png", optimize=True)
