"""Shapes drawn to classes and objects: exact pixels, and parity with scikit-image and pycocotools."""

import time
from typing import Any

import cv2
import numpy as np
import pytest
from bakeoff.artefacts.void import VOID
from bakeoff.datasets.formats.reading import Entry, Reading, Shape
from bakeoff.datasets.formats.runs import from_mask
from bakeoff.datasets.formats.shapes import Drawn, class_numbers, draw, ellipse, filled, outline, rectangle, turned
from drawn_folders import rows
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco
from skimage.draw import polygon2mask

CLASSES = {"background": None, "cell": "cell", "debris": "debris"}
UNEVEN = [(1.2, 0.4), (6.9, 2.1), (4.4, 3.3), (5.1, 6.6), (0.6, 5.2)]


def shape(*corners: tuple[float, float], label: str = "cell", **rest: Any) -> Shape:
    return Shape(label, (outline(corners),), **rest)


def box(left: float, top: float, right: float, bottom: float, label: str = "cell", **rest: Any) -> Shape:
    return Shape(label, (rectangle(left, top, right, bottom),), **rest)


def drawing(*shapes: Shape, height: int = 4, width: int = 6, **rest: Any) -> Drawn:
    reading = Reading("coco", (), **{"classes": CLASSES, "background": "background", "shapes": True, **rest})
    return draw(reading, Entry("a.png", shapes=shapes), height, width)


# -- which pixels an outline covers


def test_a_rectangle_covers_its_size_and_neighbours_share_no_pixel() -> None:
    assert rows(drawing(box(1, 1, 3, 4), box(3, 1, 5, 4, "debris")).classes) == ["......", ".1122.", ".1122.", ".1122."]


def test_a_pixel_is_covered_if_its_middle_is_inside() -> None:
    assert rows(drawing(box(0.4, 0.6, 2.6, 2.4)).classes) == ["......", "111...", "......", "......"]


def test_a_middle_on_the_outline_counts_on_the_left_and_at_the_top() -> None:
    assert rows(drawing(box(0.5, 0.5, 2.5, 2.5)).classes) == ["11....", "11....", "......", "......"]


def test_a_triangle() -> None:
    assert rows(drawing(shape((0, 0), (6, 0), (0, 4))).classes) == ["11111.", "1111..", "11....", "1....."]


def test_an_outline_that_crosses_itself_covers_what_is_inside_an_odd_number_of_times() -> None:
    twice = [(0, 0), (4, 0), (4, 4), (0, 4), (0, 0), (4, 0), (4, 2), (0, 2)]
    assert rows(drawing(shape(*twice)).classes) == ["......", "......", "1111..", "1111.."]


def test_what_leaves_the_image_is_cut_off() -> None:
    assert rows(drawing(box(-5, -5, 2, 2), box(5, 3, 90, 90)).classes) == ["11....", "11....", "......", ".....1"]
    assert not drawing(box(-5, -5, -1, -1), box(7, 1, 9, 2)).classes.any()


def test_corners_a_hundred_million_pixels_away_take_no_time() -> None:
    started = time.monotonic()
    assert rows(drawing(box(-1e8, 1, 1e8, 2)).classes) == ["......", "111111", "......", "......"]
    assert time.monotonic() - started < 1


def test_holes_parts_and_shares() -> None:
    ring = Shape("cell", (rectangle(0, 0, 4, 4), rectangle(5, 0, 6, 1)), (rectangle(1, 1, 3, 3),))
    assert rows(drawing(ring).classes) == ["1111.1", "1..1..", "1..1..", "1111.."]
    parts_that_overlap = Shape("cell", (rectangle(0, 0, 2, 2), rectangle(1, 1, 3, 3)))
    assert rows(drawing(parts_that_overlap).classes) == ["11....", "111...", ".11...", "......"]
    share = Shape("cell", (rectangle(0, 0.5, 0.5, 1),), relative=True)
    assert rows(drawing(share).classes) == ["......", "......", "111...", "111..."]


def test_ellipses_and_turned_rectangles() -> None:
    circle = Shape("cell", (ellipse(3, 2, 2, 2),))
    assert rows(drawing(circle).classes) == ["..11..", ".1111.", ".1111.", "..11.."]
    upright = Shape("cell", (turned(rectangle(1, 1.5, 5, 2.5), (3, 2), 90),))
    assert rows(drawing(upright).classes) == ["..1...", "..1...", "..1...", "..1..."]
    corner = turned(rectangle(2, 1, 4, 2), (2, 1), 90)
    np.testing.assert_allclose(corner, [(2, 1), (2, 3), (1, 3), (1, 1)], atol=1e-6)


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        ([(0, 0), (1, 1)], "fewer than three points"),
        ([(0, 0), (1, 1), (float("nan"), 0)], "no pairs of numbers"),
        ([(0, 0), (1, 1), (1e39, 0)], "no pairs of numbers"),
        ([(0, 0), (1, 1), (1,)], "no pairs of numbers"),
        ([0, 1, 2], "no pairs of numbers"),
        ([("a", "b")] * 3, "no pairs of numbers"),
    ],
)
def test_what_is_no_outline(points: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        outline(points)


@given(arrays(np.float32, (7, 2), elements=st.floats(-3, 14, width=32)))
def test_the_same_pixels_as_scikit_image(points: np.ndarray) -> None:
    # Off the outlines: what lies on them is a matter of convention.
    points = points + np.float32(0.013) * np.arange(14, dtype=np.float32).reshape(7, 2)
    expected = polygon2mask((11, 12), points[:, ::-1].astype(float) - 0.5)
    differing = filled(points, 11, 12) != expected
    assert all(_on_outline(points, x + 0.5, y + 0.5) for y, x in np.argwhere(differing))


def _on_outline(points: np.ndarray, x: float, y: float) -> bool:
    return abs(cv2.pointPolygonTest(points.astype(np.float32), (x, y), True)) < 1e-3


@pytest.mark.parametrize("seed", range(20))
def test_the_same_pixels_as_coco_apart_from_the_outline(seed: int) -> None:
    random = np.random.default_rng(seed)
    angles = np.sort(random.uniform(0, 2 * np.pi, 12))
    radii = random.uniform(15, 30, 12)
    points = outline(np.stack([32 + radii * np.cos(angles), 32 + radii * np.sin(angles)], axis=1))
    runs = coco.merge(coco.frPyObjects([points.ravel().astype(float).tolist()], 64, 64))
    expected = coco.decode(runs)
    outlines = cv2.morphologyEx(expected, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    differing = filled(points, 64, 64) != expected
    assert not (differing & (outlines == 0)).any()
    assert differing.sum() < 0.03 * expected.sum()


# -- which class and which object


def test_the_smaller_shape_lies_on_top_in_either_order() -> None:
    large, small = box(0, 0, 6, 4, number=1), box(1, 1, 3, 3, "debris", number=2)
    expected = ["111111", "122111", "122111", "111111"]
    for shapes in ((large, small), (small, large)):
        assert rows(drawing(*shapes).classes) == expected
        assert rows(drawing(*shapes).objects) == expected


def test_the_higher_order_lies_on_top_whatever_its_size() -> None:
    shapes = box(0, 0, 6, 4, order=1), box(1, 1, 3, 3, "debris")
    assert rows(drawing(*shapes).classes) == ["111111"] * 4


def test_runs_and_shares_are_compared_in_pixels() -> None:
    small = Shape("debris", runs=from_mask(np.eye(4, 6, dtype=bool)))
    large = Shape("cell", (rectangle(0, 0, 1, 1),), relative=True)
    assert rows(drawing(small, large).classes) == ["211111", "121111", "112111", "111211"]


def test_parts_of_one_number_are_one_object_and_no_number_is_none() -> None:
    shapes = box(0, 0, 1, 1, number=3), box(2, 0, 3, 1, number=3), box(4, 0, 5, 1, number=7), box(0, 2, 6, 3)
    assert rows(drawing(*shapes).objects) == ["3.3.7.", "......", "......", "......"]


def test_a_crowd_is_of_its_class_and_no_object_and_lies_beneath() -> None:
    shapes = box(0, 0, 4, 1, number=1, label="debris"), box(0, 0, 2, 1, crowd=True, order=9, number=2)
    assert rows(drawing(*shapes).classes)[0] == "2222.."
    assert rows(drawing(*shapes).objects)[0] == "1111.."
    alone = drawing(shapes[1])
    assert rows(alone.classes)[0] == "11...."
    assert not alone.objects.any()


def test_ignored_labels_and_crowds_are_void_and_no_objects() -> None:
    shapes = box(0, 0, 2, 1, crowd=True), box(2, 0, 4, 1, "debris", number=1), box(4, 0, 5, 1, number=2)
    ignored = drawing(*shapes, ignore=("iscrowd", "debris"))
    assert rows(ignored.classes)[0] == "####1."
    assert rows(ignored.objects)[0] == "....2."


def test_without_a_background_what_no_shape_covers_is_void() -> None:
    classes = {"sky": "sky", "road": "road"}
    shapes = box(0, 0, 6, 2, "sky"), box(0, 2, 3, 4, "road")
    assert rows(drawing(*shapes, classes=classes, background=None).classes) == ["......", "......", "111###", "111###"]


def test_several_labels_make_one_class_and_labels_may_look_like_numbers() -> None:
    numbers = class_numbers({"background": None, "cell": ["cell", 3], "rest": "4"}, (5, "6"))
    assert numbers == {"cell": 1, "3": 1, "4": 2, "5": VOID, "6": VOID}


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="a mask of 'cell' is of 3 x 2 pixels and not of the image's 6 x 4"):
        drawing(Shape("cell", runs=from_mask(np.ones((2, 3)))))


def test_more_objects_than_numbers() -> None:
    with pytest.raises(ValueError, match="65,536 objects are more than"):
        drawing(box(0, 0, 1, 1, number=65536))
    assert drawing(box(0, 0, 1, 1, number=65535)).objects[0, 0] == 65535


def test_dtypes() -> None:
    classes, objects = drawing()
    assert (classes.dtype, objects.dtype) == (np.uint8, np.uint16)
