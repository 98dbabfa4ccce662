"""COCO JSON: polygons, run lengths, crowds, categories and files as people have them."""

from typing import Any

import numpy as np
import pytest
from bakeoff.datasets.formats import image_bytes, read_folder, recognised
from bakeoff.datasets.formats.documents import MAXIMUM_BYTES
from bakeoff.datasets.formats.reading import Choices
from drawn_folders import Content, Files, drawn, findings, png, read, refused, rows
from pycocotools import mask as coco

IMAGE = png(4, 6)
SQUARE = [[0, 0, 2, 0, 2, 2, 0, 2]]
CATEGORIES = [{"id": 7, "name": "debris"}, {"id": 3, "name": "nucleus"}]
NUCLEUS: dict[str, Any] = {"image_id": 1, "category_id": 3, "iscrowd": 0}


def listed(*annotations: dict[str, Any], names: tuple[str, ...] = ("a.png",), **rest: Any) -> dict[str, Any]:
    images = [{"id": number, "file_name": name, "height": 4, "width": 6} for number, name in enumerate(names, 1)]
    return {"images": images, "categories": CATEGORIES, "annotations": list(annotations), **rest}


def one(*segmentations: Any, **rest: Any) -> dict[str, Content]:
    annotations = ({**NUCLEUS, "segmentation": each, **rest} for each in segmentations)
    return {"instances.json": listed(*annotations), "images/a.png": IMAGE}


def test_polygons_of_several_parts_are_one_object() -> None:
    reading = read("coco", one([[0, 0, 2, 0, 2, 2, 0, 2], [4, 2, 6, 2, 6, 4, 4, 4]], [[2, 0, 4, 0, 4, 1, 2, 1]]))
    assert rows(drawn(reading, 4, 6).classes) == ["1111..", "11....", "....11", "....11"]
    assert rows(drawn(reading, 4, 6).objects) == ["1122..", "11....", "....11", "....11"]
    assert reading.objects
    assert (reading.classes, reading.background) == ({"background": None, "nucleus": "nucleus"}, "background")
    assert reading.entries[0].size == (4, 6)
    assert reading.details == ("COCO JSON, 1 file: 2 shapes on 1 image: nucleus (2).",)
    assert not reading.findings


def test_a_polygon_that_is_not_in_a_list_of_its_own() -> None:
    assert rows(drawn(read("coco", one(SQUARE[0])), 4, 6).classes) == ["11....", "11....", "......", "......"]


def test_run_lengths_compressed_or_not_may_have_holes() -> None:
    mask = np.array([[1, 1, 1, 0, 0, 0], [1, 0, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0]], np.uint8)
    uncompressed = {"size": [4, 6], "counts": [0, 3, 1, 1, 1, 1, 1, 3, 13]}
    compressed = {"size": [4, 6], "counts": coco.encode(np.asfortranarray(mask))["counts"].decode()}
    for segmentation in (uncompressed, compressed):
        classes = drawn(read("coco", one(segmentation)), 4, 6).classes
        assert rows(classes) == ["111...", "1.1...", "111...", "......"]


def test_a_crowd_is_of_its_class_and_no_object_and_can_be_left_out() -> None:
    files = one({"size": [4, 6], "counts": [0, 4, 20]}, iscrowd=1)
    reading = read("coco", files)
    assert rows(drawn(reading, 4, 6).classes) == ["1....."] * 4
    assert not drawn(reading, 4, 6).objects.any()
    assert (
        reading.details[-1] == "1 region of a crowd: of its class, and no object; `ignore: [iscrowd]` leaves them out."
    )
    ignored = read("coco", files, ignore=["iscrowd"])
    assert rows(drawn(ignored, 4, 6).classes) == ["#....."] * 4
    assert len(ignored.details) == 1


def test_classes_are_in_the_order_of_category_numbers_without_gaps_and_without_unused_ones() -> None:
    files = one(SQUARE)
    files["instances.json"]["categories"] += [{"id": 1, "name": "never"}]  # type: ignore[index,call-overload,operator]
    files["instances.json"]["annotations"] += [  # type: ignore[index,call-overload,operator]
        {**NUCLEUS, "category_id": 7, "segmentation": [[3, 0, 5, 0, 5, 1, 3, 1]]}
    ]
    reading = read("coco", files)
    assert list(reading.classes or ()) == ["background", "nucleus", "debris"]
    assert rows(drawn(reading, 4, 6).classes) == ["11.22.", "11....", "......", "......"]
    assert not reading.objects  # no image has two of a class


def test_classes_that_are_stated_join_and_order_labels() -> None:
    files = one(SQUARE)
    classes = {"nothing": None, "debris": "debris", "cells": ["nucleus", "nuclei"]}
    reading = read("coco", files, classes=classes)
    assert (list(reading.classes or ()), reading.background) == (["nothing", "debris", "cells"], "nothing")
    assert rows(drawn(reading, 4, 6).classes)[0] == "22...."
    assert "does not name the label 'nucleus' (1 shapes)" in refused(
        "coco", files, classes={"no": None, "debris": "debris"}
    )
    assert read("coco", files, classes={"no": None, "debris": "debris"}, ignore=["nucleus"]).ignore == ("nucleus",)


def test_without_a_background() -> None:
    reading = read("coco", one(SQUARE), background="none")
    assert (reading.classes, reading.background) == ({"nucleus": "nucleus"}, None)
    assert reading.details[-1] == "Every class counts: what no shape covers is void, pixels without an answer."
    assert rows(drawn(reading, 4, 6).classes) == ["..####", "..####", "######", "######"]


@pytest.mark.parametrize(
    "stated", ["a.png", "images/a.png", "../images/a.png", "/home/me/images/a.png", "images\\a.png", "A.PNG"]
)
def test_the_image_is_found_with_and_without_its_folder(stated: str) -> None:
    files = {
        "annotations/all.json": listed({**NUCLEUS, "segmentation": SQUARE}, names=(stated,)),
        "images/a.png": IMAGE,
    }
    assert read("coco", files).entries[0].image == "images/a.png"


def test_splits_are_taken_from_the_names_of_json_files() -> None:
    train = listed({**NUCLEUS, "segmentation": SQUARE}, names=("a.png", "b.png"))
    valid = listed({**NUCLEUS, "segmentation": SQUARE}, names=("a.png",))
    files = {
        "annotations/instances_train2017.json": train,
        "annotations/instances_val2017.json": valid,
        **dict.fromkeys(("train2017/a.png", "train2017/b.png", "val2017/a.png"), IMAGE),
    }
    reading = read("coco", files)
    assert [(entry.image, entry.labels["split"], len(entry.shapes)) for entry in reading.entries] == [
        ("train2017/a.png", "train", 1),
        ("train2017/b.png", "train", 0),
        ("val2017/a.png", "validation", 1),
    ]
    assert "Split from the folder (folders): 2 train, 1 validation." in reading.details
    assert "1 image without a shape: taken to show none of the classes." in reading.details
    assert not any(entry.labels for entry in read("coco", files, split="none").entries)


def test_a_single_split_is_none() -> None:
    files = {"train/_annotations.coco.json": listed({**NUCLEUS, "segmentation": SQUARE}), "train/a.png": IMAGE}
    reading = read("coco", files)
    assert not reading.entries[0].labels
    assert reading.choices["split"] == "none"


def test_images_of_no_split_are_left_out_where_others_have_one() -> None:
    one_image = listed({**NUCLEUS, "segmentation": SQUARE})
    folders = ("train", "test", "more")
    files = {f"{name}/_annotations.json": one_image for name in folders} | {f"{name}/a.png": IMAGE for name in folders}
    reading = read("coco", files)
    assert [entry.image for entry in reading.entries] == ["test/a.png", "train/a.png"]
    assert ("more/a.png", "no split") in findings(reading)


def test_an_image_that_two_files_annotate_keeps_the_shapes_of_the_first() -> None:
    second = listed({**NUCLEUS, "category_id": 7, "segmentation": SQUARE})
    reading = read("coco", {**one(SQUARE), "person_keypoints.json": second})
    assert [shape.label for shape in reading.entries[0].shapes] == ["nucleus"]
    assert [finding.detail for finding in reading.findings] == ["1 in 1 file: an image that another file annotates too"]


def test_what_is_not_used_is_a_finding() -> None:
    files = one(
        SQUARE, [], [[1, 1, 2, 2]], [[1, 1, 2, 2, 3]], {"size": [4, 6], "counts": [3]}, {"size": [4, 6], "counts": None}
    )
    files["instances.json"]["annotations"] += [  # type: ignore[index,call-overload,operator]
        {**NUCLEUS, "image_id": 9, "segmentation": SQUARE},
        {**NUCLEUS, "category_id": 9, "segmentation": SQUARE},
    ]
    files |= {"images/b.png": IMAGE, "notes.txt": "", "captions.json": {"images": [], "annotations": [{"image_id": 1}]}}
    reading = read("coco", files)
    assert len(reading.entries[0].shapes) == 1
    assert [finding[1:] for finding in reading.findings] == [
        ("shape passed over", "dropped", "1 in 1 file: an annotation of an image that is not listed"),
        ("shape passed over", "dropped", "1 in 1 file: a box without an outline"),
        ("shape passed over", "dropped", "1 in 1 file: fewer than three points surround no area"),
        ("shape passed over", "dropped", "1 in 1 file: its coordinates are no pairs"),
        ("shape passed over", "dropped", "1 in 1 file: the run lengths make 3 pixels and not 6 x 4"),
        (
            "shape passed over",
            "dropped",
            "1 in 1 file: a damaged annotation (TypeError: 'NoneType' object is not iterable)",
        ),
        ("shape passed over", "dropped", "1 in 1 file: its category 9 is not listed"),
        ("passed over", "dropped", ".json (1): no images"),
        ("passed over", "dropped", ".png (1): no annotation names them"),
        ("passed over", "dropped", ".txt (1): no images"),
    ]


def test_images_that_are_not_there() -> None:
    annotation = {**NUCLEUS, "segmentation": SQUARE}
    some = {"a.json": listed(annotation, names=("a.png", "gone.png")), "a.png": IMAGE}
    assert findings(read("coco", some)) == [("a.json", "missing image")]
    assert "none of the images that a.json names is in the folder" in refused("coco", {"a.json": listed(annotation)})
    twice = {"a.json": listed(annotation), "x/a.png": IMAGE, "y/a.png": IMAGE}
    assert "none of the images" in refused("coco", twice)
    assert read_folder(Files(twice), Choices("mine", "coco", images="x")).entries[0].image == "x/a.png"


START = '{"images": [], "annotations": [{"image_id": 1, "segmentation": 1}'
EMPTY = {**NUCLEUS, "segmentation": []}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (START, "a.json is no valid JSON"),
        (f'{START}], "more": {"[" * 5000}{"]" * 5000}}}', "more than 32 levels deep"),
        ({"images": [{"file_name": "a.png"}], "annotations": [EMPTY]}, "a.json is no whole COCO file (KeyError: 'id')"),
        ({"images": 1, "annotations": [EMPTY]}, "a.json is no whole COCO file (TypeError"),
        (listed(EMPTY), "a.json has no shape that surrounds an area (a box without an outline)"),
    ],
)
def test_damaged_files_are_refused_in_a_sentence(document: Content, said: str) -> None:
    assert said in refused("coco", {"a.json": document, "a.png": IMAGE})


def test_brackets_in_text_are_not_depth_and_a_byte_order_mark_is_no_fault() -> None:
    files = one(SQUARE)
    files["instances.json"]["info"] = "[" * 100 + '"'  # type: ignore[index,call-overload]
    assert read("coco", files)
    plain = Files(files).read("instances.json")
    assert read("coco", {**files, "instances.json": b"\xef\xbb\xbf" + plain})


def test_a_file_of_a_quarter_gigabyte_is_refused() -> None:
    padded = b'{"images": [], "annotations": [{"image_id": 1, "segmentation": 1}]' + b" " * MAXIMUM_BYTES
    assert "above the 268,435,456 that are read" in refused("coco", {"a.json": padded, "a.png": IMAGE})


def test_boxes_alone_are_refused_when_the_folder_is_looked_at() -> None:
    found = recognised(Files({"a.json": listed({**NUCLEUS, "bbox": [0, 0, 2, 2]}), "a.png": IMAGE}))
    assert found.formats == {}
    assert found.reasons["coco"].startswith("a.json is COCO JSON without outlines")


def test_other_json_is_not_recognised() -> None:
    assert recognised(Files({"a.json": {"images": 1}, "b.json": [1, 2], "c.json": b"\xff\xfe{", "a.png": IMAGE})) == (
        {},
        {},
    )


def test_more_labels_than_masks_have_levels() -> None:
    files = one(SQUARE)
    annotations = [{**NUCLEUS, "category_id": number, "segmentation": SQUARE} for number in range(255)]
    categories = [{"id": number, "name": f"c{number}"} for number in range(255)]
    files["instances.json"] = {**listed(*annotations), "categories": categories}
    assert "256 are more than the 254 that masks hold" in refused("coco", files)


def test_image_bytes_are_those_of_the_file() -> None:
    files = one(SQUARE)
    assert image_bytes(Files(files), read("coco", files).entries[0]) == IMAGE


def test_groups_and_lists_are_taken_as_from_any_folder() -> None:
    names = ("P1_a.png", "P1_b.png", "P2_a.png")
    annotations = ({**NUCLEUS, "image_id": number, "segmentation": SQUARE} for number in (1, 2, 3))
    files = {"all.json": listed(*annotations, names=names), **{f"images/{name}": IMAGE for name in names}}
    files |= {"train.txt": "P1_a\nP1_b\n", "test.txt": "P2_a\n"}
    reading = read("coco", files, group="(P[0-9]+)_")
    assert [(entry.group, entry.labels["split"]) for entry in reading.entries] == [
        ("P1", "train"),
        ("P1", "train"),
        ("P2", "test"),
    ]
    assert reading.choices == {"images": None, "split": "lists", "group": "(P[0-9]+)_"}
    assert not reading.findings
