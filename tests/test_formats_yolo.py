"""YOLO polygons: label files, data.yaml with paths of other machines, splits, and boxes refused."""

import pytest
from bakeoff.datasets.formats import recognised
from drawn_folders import Content, Files, drawn, findings, png, read, refused, rows

IMAGE = png(4, 8)
CONFIG = "train: images/train\nval: images/val\nnames: {0: cell, 1: debris}\n"
# The left half, and the lower quarter on the right.
LEFT = "0 0 0 0.5 0 0.5 1 0 1\n"
RIGHT = "1 0.75 0.5 1 0.5 1 1 0.75 1\n"


def folder(**labels: str) -> dict[str, Content]:
    """Images `train_a` as images/train/a.png, with their label files."""
    files: dict[str, Content] = {"data.yaml": CONFIG}
    for name, text in labels.items():
        path = name.replace("_", "/")
        files |= {f"images/{path}.png": IMAGE, f"labels/{path}.txt": text}
    return files


def test_polygons_are_shares_of_width_and_height() -> None:
    reading = read("yolo", folder(train_a=LEFT + RIGHT, val_b=LEFT))
    assert rows(drawn(reading, 4, 8).classes) == ["1111....", "1111....", "1111..22", "1111..22"]
    assert rows(drawn(reading, 4, 8).objects) == ["1111....", "1111....", "1111..22", "1111..22"]
    assert rows(drawn(reading, 2, 4).classes) == ["11..", "11.2"]
    assert reading.classes == {"background": None, "cell": "cell", "debris": "debris"}
    assert reading.details == (
        "YOLO polygons, 2 files: 3 shapes on 2 images: cell (2), debris (1).",
        "Split from the folder (folders): 1 train, 1 validation.",
    )
    assert not reading.findings


def test_splits_by_folders() -> None:
    reading = read("yolo", folder(train_a=LEFT, val_b=LEFT, test_c=""))
    assert [entry.labels["split"] for entry in reading.entries] == ["test", "train", "validation"]
    assert not any(entry.labels for entry in read("yolo", folder(train_a=LEFT, val_b=LEFT), split="none").entries)


@pytest.mark.parametrize(
    "config",
    [
        "path: /content/datasets/mine\ntrain: first\nval: [second]\nnames: [cell]\n",
        "train: ../first/images\nval: C:\\Users\\me\\second\\images\nnames: [cell]\n",
        "train: one.txt\nval: two.txt\nnames: [cell]\n",
    ],
)
def test_splits_by_data_yaml(config: str) -> None:
    files: dict[str, Content] = {
        "set/data.yaml": config,
        "set/one.txt": "./first/images/a.png\n",
        "set/two.txt": "/content/datasets/mine/second/images/a.png\n",
    }
    for place in ("set/first", "set/second"):
        files |= {f"{place}/images/a.png": IMAGE, f"{place}/labels/a.txt": LEFT}
    reading = read("yolo", files)
    assert [(entry.image, entry.labels["split"]) for entry in reading.entries] == [
        ("set/first/images/a.png", "train"),
        ("set/second/images/a.png", "validation"),
    ]
    assert ("one.txt" in config) == (not reading.findings)


def test_data_yaml_that_trains_and_validates_on_the_same_images_gives_no_split() -> None:
    files = {"data.yaml": "train: images\nval: images\nnames: [cell]\n", "images/a.png": IMAGE, "labels/a.txt": LEFT}
    assert not read("yolo", files).entries[0].labels


def test_label_files_beside_images_and_classes_without_names() -> None:
    reading = read("yolo", {"a.png": IMAGE, "a.txt": RIGHT, "classes.txt": "cell\n"})
    assert reading.classes == {"background": None, "class 1": "class 1"}
    assert findings(reading) == [("classes.txt", "passed over")]


def test_images_without_a_label_file_show_nothing_if_others_of_their_folder_have_one() -> None:
    files = folder(train_a=LEFT, train_b="")
    files |= {"images/train/c.png": IMAGE, "images/test/d.png": IMAGE}
    reading = read("yolo", files)
    assert [(entry.image, len(entry.shapes)) for entry in reading.entries] == [
        ("images/train/a.png", 1),
        ("images/train/b.png", 0),
        ("images/train/c.png", 0),
    ]
    assert "1 image has no label file, which says in YOLO that it shows none of the classes." in reading.details
    assert findings(reading) == [("images/test/d.png", "passed over")]


def test_boxes_alone_are_refused_and_among_polygons_passed_over() -> None:
    found = recognised(Files(folder(train_a="0 0.5 0.5 0.2 0.2\n", train_b="")))
    assert found.formats == {}
    assert found.reasons["yolo"].startswith("labels/train/a.txt and the like are YOLO boxes")
    reading = read("yolo", folder(train_a="0 0.5 0.5 0.2 0.2\n" + LEFT))
    assert [finding.detail for finding in reading.findings] == ["1 in 1 file: a box without an outline"]
    assert rows(drawn(reading, 4, 8).objects)[0] == "2222...."


def test_poses_are_refused() -> None:
    files = {**folder(train_a=LEFT), "data.yaml": CONFIG + "kpt_shape: [2, 2]\n"}
    assert "are YOLO poses" in recognised(Files(files)).reasons["yolo"]


@pytest.mark.parametrize(
    "text", ["a photo of a cat\n", "0\n", "0 12 13 14 15\n", "0.5 0 0 1 0 1 1\n", b"\xff\xfe\x00\x01"]
)
def test_other_text_beside_images_is_not_recognised(text: Content) -> None:
    assert recognised(Files({"a.png": IMAGE, "a.txt": text})) == ({}, {})


def test_damaged_files_are_refused_in_a_sentence() -> None:
    sentence = refused("yolo", folder(train_a="0 1 2 three\n"))
    assert "no annotation can be read; labels/train/a.txt: it is not whole: could not convert string" in sentence
    names = folder(train_a=LEFT) | {"data.yaml": "names: {a: cell}\n"}
    assert "data.yaml: its names are no list of classes" in refused("yolo", names)
    assert "is no valid YAML" in recognised(Files({**names, "data.yaml": "names: [\n"})).reasons["yolo"]
    assert "the line '0 7 7 7 7' is no class and coordinates" in refused("yolo", folder(train_a="0 7 7 7 7\n"))
    assert "data.yaml is no valid YAML" in refused("yolo", {**folder(train_a=LEFT), "data.yaml": "names: [\n"})
