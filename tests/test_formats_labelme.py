"""LabelMe: shapes of every type, parts of an object, paths of other machines, and embedded images."""

import base64
import io
from typing import Any

import numpy as np
import pytest
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.formats import image_bytes
from drawn_folders import Content, Files, drawn, findings, png, read, refused, rows
from PIL import Image

IMAGE = png(4, 6)


def shape(
    *points: tuple[float, float], label: Any = "cell", type: str | None = "polygon", **rest: Any
) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": type, "group_id": None, **rest}


def square(left: float, top: float, side: float, **rest: Any) -> dict[str, Any]:
    end_x, end_y = left + side, top + side
    return shape((left, top), (end_x, top), (end_x, end_y), (left, end_y), **rest)


def annotated(*shapes: dict[str, Any], path: str = "a.png", **rest: Any) -> dict[str, Any]:
    return {
        "version": "5.4.1",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": path,
        "imageData": None,
        "imageHeight": 4,
        "imageWidth": 6,
        **rest,
    }


def one(*shapes: dict[str, Any]) -> dict[str, Content]:
    return {"a.json": annotated(*shapes), "a.png": IMAGE}


def test_shapes_of_every_type_that_surrounds_an_area() -> None:
    def pixels(*points: tuple[float, float], type: str | None) -> list[str]:
        return rows(drawn(read("labelme", one(shape(*points, type=type))), 4, 6).classes)

    assert pixels((0, 0), (6, 0), (0, 4), type="polygon") == ["11111.", "1111..", "11....", "1....."]
    assert pixels((0, 0), (6, 0), (0, 4), type=None) == ["11111.", "1111..", "11....", "1....."]
    assert pixels((4, 3), (1, 1), type="rectangle") == ["......", ".111..", ".111..", "......"]
    assert pixels((1, 1), (4, 1), (4, 3), (1, 3), type="rectangle") == ["......", ".111..", ".111..", "......"]
    assert pixels((1, 1), (4, 1), (4, 3), (1, 3), type="oriented_rectangle") == ["......", ".111..", ".111..", "......"]
    assert pixels((3, 2), (3, 4), type="circle") == ["..11..", ".1111.", ".1111.", "..11.."]


def test_a_mask_lies_in_its_rectangle() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.array([[1, 0], [1, 1]], np.uint8)).save(buffer, "PNG")
    mask = shape((2, 1), (3, 2), type="mask", mask=base64.b64encode(buffer.getvalue()).decode())
    assert rows(drawn(read("labelme", one(mask)), 4, 6).classes) == ["......", "..1...", "..11..", "......"]
    damaged = {**mask, "mask": "no base64"}
    assert "(a mask that cannot be read" in refused("labelme", one(damaged))
    drawing = {**mask, "mask": base64.b64encode(b"%!PS-Adobe-3.0 EPSF-3.0").decode()}
    assert "it is an EPS file, which only another program can draw" in refused("labelme", one(drawing))


def test_shapes_of_one_label_and_group_are_one_object() -> None:
    shapes = (
        square(0, 0, 1, group_id=5),
        square(2, 0, 1, group_id=5),
        square(4, 0, 1, group_id=5, label="debris"),
        square(0, 2, 1),
        square(2, 2, 1),
        square(4, 2, 1, group_id=0),
    )
    assert rows(drawn(read("labelme", one(*shapes)), 4, 6).objects) == ["1.1.2.", "......", "3.4.5.", "......"]


def test_later_shapes_lie_on_top() -> None:
    small, large = square(1, 1, 1, label="debris"), square(0, 0, 3)
    assert rows(drawn(read("labelme", one(large, small)), 4, 6).classes) == ["111...", "121...", "111...", "......"]
    assert rows(drawn(read("labelme", one(small, large)), 4, 6).classes) == ["111...", "111...", "111...", "......"]


def test_frequent_labels_come_first_and_labels_may_be_numbers() -> None:
    reading = read("labelme", one(square(0, 0, 1, label=0), square(2, 0, 1, label="b"), square(4, 0, 1, label="b")))
    assert reading.classes == {"background": None, "b": "b", "0": "0"}
    assert rows(drawn(reading, 4, 6).classes)[0] == "2.1.1."


def test_the_label_ignore_is_void_unless_stated_otherwise() -> None:
    files = one(square(0, 0, 1), square(2, 0, 1, label="__ignore__"))
    reading = read("labelme", files)
    assert (list(reading.classes or ()), reading.ignore) == (["background", "cell"], ("__ignore__",))
    assert rows(drawn(reading, 4, 6).classes)[0] == "1.#..."
    assert read("labelme", files, ignore=[]).ignore == ()


def test_a_label_that_is_called_background_is_the_background() -> None:
    reading = read("labelme", one(square(0, 0, 3), square(1, 1, 1, label="_background_")))
    assert reading.classes == {"background": "_background_", "cell": "cell"}
    assert rows(drawn(reading, 4, 6).classes) == ["111...", "1.1...", "111...", "......"]


@pytest.mark.parametrize("path", ["..\\images\\a.png", "C:\\data\\images\\a.png", "../images/a.png", "/home/me/a.png"])
def test_the_image_is_found_whatever_its_path_was(path: str) -> None:
    reading = read("labelme", {"labels/a.json": annotated(square(0, 0, 2), path=path), "images/a.png": IMAGE})
    assert reading.entries[0].image == "images/a.png"


def test_an_embedded_image_is_used_only_where_the_file_is_missing() -> None:
    embedded = annotated(square(0, 0, 2), imageData=base64.b64encode(IMAGE).decode())
    alone = {"a.json": embedded}
    reading = read("labelme", alone)
    assert (reading.entries[0].image, reading.entries[0].embedded) == ("a.json", True)
    assert image_bytes(Files(alone), reading.entries[0]) == IMAGE
    beside = read("labelme", {"a.json": {**embedded, "imageData": "never decoded"}, "a.png": IMAGE})
    assert (beside.entries[0].image, beside.entries[0].embedded) == ("a.png", False)


def test_a_damaged_embedded_image_is_refused() -> None:
    files = {"a.json": annotated(square(0, 0, 2), imageData="no base64!")}
    with pytest.raises(BakeoffError, match=r"a\.json: its imageData is no image"):
        image_bytes(Files(files), read("labelme", files).entries[0])


def test_images_without_a_file_and_files_without_an_image() -> None:
    files = {**one(square(0, 0, 2)), "b.json": annotated(path="b.png"), "c.png": IMAGE, "d.png": IMAGE}
    files["d.json"] = annotated(path="d.png")
    reading = read("labelme", files)
    assert [(entry.image, len(entry.shapes)) for entry in reading.entries] == [("a.png", 1), ("d.png", 0)]
    assert findings(reading) == [("b.json", "missing image"), ("c.png", "passed over")]
    assert "1 picture that no annotation names: not used." in reading.details


def test_folders_of_splits() -> None:
    files = {
        f"{split}/{name}": content for split in ("train", "valid") for name, content in one(square(0, 0, 2)).items()
    }
    assert [entry.labels["split"] for entry in read("labelme", files).entries] == ["train", "validation"]


def test_what_surrounds_no_area_is_counted_by_type() -> None:
    shapes = (
        square(0, 0, 1),
        shape((0, 0), type="point"),
        shape((1, 1), type="point"),
        shape((0, 0), (1, 1), type="line"),
    )
    details = [finding.detail for finding in read("labelme", one(*shapes)).findings]
    assert details == ["2 in 1 file: a point surrounds no area", "1 in 1 file: a line surrounds no area"]


def test_damaged_files_are_refused_in_a_sentence() -> None:
    assert "no annotation can be read; a.json: it is not whole" in refused("labelme", one(1))  # type: ignore[arg-type]
    broken: dict[str, Content] = {"b.json": '{"shapes": [], "imagePath": "b.png"', "b.png": IMAGE}
    assert "no annotation can be read; b.json is no valid JSON" in refused("labelme", broken)
    some = read("labelme", one(square(0, 0, 2)) | broken)
    assert [entry.image for entry in some.entries] == ["a.png"]
    assert findings(some) == [("b.json", "damaged annotation"), ("b.png", "passed over")]
    without = square(0, 0, 2)
    del without["label"]
    assert "a damaged annotation (KeyError: 'label')" in refused("labelme", one(without))
