"""Shapes drawn to the classes and the objects of an image.

**Pixels.** The left upper corner of the image is (0, 0) and the middle of its first pixel (0.5, 0.5). A pixel is
covered if its middle lies inside of an outline; a middle on the outline itself counts if the inside is to the right of
it or below. So a rectangle from (2, 3) to (5, 7) covers exactly 3 x 4 pixels, and shapes that share an edge share no
pixel. An outline that crosses itself covers what lies inside an odd number of times. COCO's own drawing (pycocotools)
rounds corners to a fifth of a pixel first, and may differ by pixels on the outline.

**Overlaps.** A pixel is of the shape that lies on top: that of the higher `order`, which formats have that know layers
(CVAT's `z_order`, the order of LabelMe's list); of those that share one, the smaller, so that no shape disappears
beneath a larger one. Crowds lie beneath all others. A pixel is of one object alone, the one on top.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bakeoff.artefacts.void import VOID
from bakeoff.datasets.formats.reading import CROWD, Entry, Level, Reading, Shape
from bakeoff.datasets.formats.runs import area as covered_by_runs
from bakeoff.datasets.formats.runs import to_mask

# What circles become: the corners of a polygon that differs from them by no more than this, in pixels.
ROUNDNESS = 0.01
MOST_OBJECTS = 65535


class Drawn(NamedTuple):
    """Classes, uint8 (H, W), and objects, uint16 (H, W), of which 0 is none."""

    classes: np.ndarray
    objects: np.ndarray


def draw(reading: Reading, entry: Entry, height: int, width: int) -> Drawn:
    """Draw the shapes of an entry.

    Parameters
    ----------
    reading
        That the entry is of: what its labels are, whether there is a background, what is void.
    height, width
        Of the image.

    Raises
    ------
    ValueError
        If a mask among the shapes is of another size or damaged, or there are more than 65,535 objects.
    """
    numbers = class_numbers(reading.classes or {}, reading.ignore)
    classes = np.full((height, width), VOID if reading.background is None else 0, np.uint8)
    objects = np.zeros((height, width), np.uint16)
    for shape in sorted(entry.shapes, key=lambda shape: _depth(shape, height, width)):
        value = numbers.get(CROWD, numbers[shape.label]) if shape.crowd else numbers[shape.label]
        number = 0 if shape.crowd or value == VOID else shape.number or 0
        if number > MOST_OBJECTS:
            raise ValueError(f"{number:,} objects are more than the {MOST_OBJECTS:,} that can be numbered")
        window, mask = _covered(shape, height, width)
        classes[window][mask] = value
        objects[window][mask] = number
    return Drawn(classes, objects)


def class_numbers(classes: Mapping[str, Level], ignore: Sequence[int | str]) -> dict[str, int]:
    """The number in `masks.npy` of every label, `VOID` for those that are ignored."""
    numbers = {label: number for number, level in enumerate(classes.values()) for label in labels_of(level)}
    return {**numbers, **{str(label): VOID for label in ignore}}


def labels_of(level: Level) -> list[str]:
    """Labels that stand for a class: none, one or several. A label may look like a number, to YAML too."""
    if level is None:
        return []
    return [str(level)] if isinstance(level, int | str) else [str(each) for each in level]


def outline(points: Sequence[Sequence[float]] | np.ndarray) -> np.ndarray:
    """Corners (x, y) as an outline, float32 (points, 2).

    Raises
    ------
    ValueError
        If there are fewer than three, or these are no pairs of finite numbers.
    """
    try:
        with np.errstate(over="ignore"):
            corners = np.asarray(points, np.float64).astype(np.float32)
    except (TypeError, ValueError):
        raise ValueError("its points are no pairs of numbers") from None
    if corners.ndim != 2 or corners.shape[1] != 2 or not np.isfinite(corners).all():
        raise ValueError("its points are no pairs of numbers")
    if len(corners) < 3:
        raise ValueError("fewer than three points surround no area")
    return corners


def rectangle(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """Outline of a rectangle."""
    return outline([(left, top), (right, top), (right, bottom), (left, bottom)])


def ellipse(x: float, y: float, radius_x: float, radius_y: float) -> np.ndarray:
    """Outline of an ellipse about (x, y)."""
    # A chord of n corners stays r (1 - cos(pi / n)) = r pi^2 / (2 n^2) inside of the circle.
    corners = max(12, int(np.ceil(np.pi * np.sqrt(max(radius_x, radius_y) / (2 * ROUNDNESS)))))
    angles = np.arange(corners) * (2 * np.pi / corners)
    return outline(np.stack([x + radius_x * np.cos(angles), y + radius_y * np.sin(angles)], axis=1))


def turned(points: np.ndarray, about: Sequence[float] | np.ndarray, degrees: float) -> np.ndarray:
    """An outline turned clockwise about a point."""
    sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    # With y to the bottom this turns clockwise.
    return outline((points - about) @ np.array([[cosine, sine], [-sine, cosine]]) + about)


def filled(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pixels inside of one outline, bool (height, width): the even-odd rule at the pixels' middles.

    Parameters
    ----------
    points
        (points, 2), x and y; may leave the image.
    """
    x, y = points.astype(np.float64).T - 0.5
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    # Rows whose middle an edge crosses: from the first to before the last.
    first, last = (np.clip(np.ceil(end(y, next_y)), 0, height).astype(np.int64) for end in (np.minimum, np.maximum))
    edge = np.repeat(np.arange(len(points)), last - first)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(last - first) - last, last - first)
    crossing = x[edge] + (row - y[edge]) * (next_x - x)[edge] / (next_y - y)[edge]
    column = np.clip(np.ceil(crossing), 0, width).astype(np.int64)
    # Each crossing turns over all that lies to the right of it.
    turns = np.zeros((height, width + 1), np.uint8)
    np.bitwise_xor.at(turns, (row, column), 1)
    return np.bitwise_xor.accumulate(turns, axis=1)[:, :width].astype(bool)


def _depth(shape: Shape, height: int, width: int) -> tuple[bool, int, float]:
    """What is drawn first sorts first."""
    unit = height * width if shape.relative else 1
    area = covered_by_runs(shape.runs) if shape.runs else unit * sum(map(_area, shape.polygons))
    return not shape.crowd, shape.order, -area


def _area(points: np.ndarray) -> float:
    """Inside of an outline, by the shoelace formula."""
    x, y = points.astype(np.float64).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def _covered(shape: Shape, height: int, width: int) -> tuple[tuple[slice, slice], np.ndarray]:
    """A part of the image, and which pixels in it a shape covers."""
    if shape.runs:
        if (shape.runs.height, shape.runs.width) != (height, width):
            raise ValueError(
                f"a mask of '{shape.label}' is of {shape.runs.width} x {shape.runs.height} pixels and not of the "
                f"image's {width} x {height}"
            )
        return (slice(None), slice(None)), to_mask(shape.runs)
    unit = (width, height) if shape.relative else (1, 1)
    polygons, holes = ([each * np.array(unit, each.dtype) for each in of] for of in (shape.polygons, shape.holes))
    corners = np.concatenate(polygons)
    left, top = np.clip(np.floor(corners.min(axis=0)), 0, (width, height)).astype(int).tolist()
    right, bottom = np.clip(np.ceil(corners.max(axis=0)), 0, (width, height)).astype(int).tolist()
    mask = np.zeros((bottom - top, right - left), bool)
    for each in polygons:
        mask |= filled(each - (left, top), *mask.shape)
    for each in holes:
        mask &= ~filled(each - (left, top), *mask.shape)
    return (slice(top, bottom), slice(left, right)), mask
