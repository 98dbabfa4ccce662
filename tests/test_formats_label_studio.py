"""Label Studio's JSON export: polygons, rectangles, ellipses and brushes, several annotators, names of uploads."""

from typing import Any

import pytest
from bakeoff.datasets.formats import recognised
from drawn_folders import Content, Files, drawn, findings, png, read, refused, rows
from test_formats_runs import BRUSH, BRUSHED

IMAGE = png(4, 6)
HALF = [[0, 0], [50, 0], [50, 100], [0, 100]]


def region(type: str, label: str = "cell", **value: Any) -> dict[str, Any]:
    sizes = {"original_width": 6, "original_height": 4, "image_rotation": 0}
    return {
        "type": type,
        "id": "x",
        "from_name": "label",
        "to_name": "image",
        "value": {**value, type: [label]},
        **sizes,
    }


def task(*regions: dict[str, Any], image: str = "/data/upload/3/0123abcd-a.png", **rest: Any) -> dict[str, Any]:
    annotation = {"id": 1, "was_cancelled": False, "ground_truth": False, "result": list(regions)}
    return {"id": 5, "data": {"image": image}, "annotations": [annotation], "predictions": [], **rest}


def one(*regions: dict[str, Any], **rest: Any) -> dict[str, Content]:
    return {"export.json": [task(*regions, **rest)], "images/a.png": IMAGE}


def pixels(*regions: dict[str, Any]) -> list[str]:
    return rows(drawn(read("label_studio", one(*regions)), 4, 6).classes)


def test_regions_that_surround_an_area() -> None:
    assert pixels(region("polygonlabels", points=HALF)) == ["111..."] * 4
    box = {"x": 100 / 6, "y": 25, "width": 50, "height": 50}
    assert pixels(region("rectanglelabels", **box, rotation=0)) == ["......", ".111..", ".111..", "......"]
    turned = {"x": 50, "y": 0, "width": 50, "height": 25}
    assert pixels(region("rectanglelabels", **turned, rotation=90)) == ["..1...", "..1...", "..1...", "......"]
    circle = {"x": 50, "y": 50, "radiusX": 100 / 3, "radiusY": 50}
    assert pixels(region("ellipselabels", **circle)) == ["..11..", ".1111.", ".1111.", "..11.."]
    assert pixels(region("brushlabels", rle=BRUSH, format="rle")) == BRUSHED


def test_every_region_is_an_object() -> None:
    reading = read("label_studio", one(region("polygonlabels", points=HALF), region("brushlabels", rle=BRUSH)))
    assert rows(drawn(reading, 4, 6).objects) == ["111...", "11222.", "11222.", "111..2"]
    assert (reading.objects, reading.entries[0].size) == (True, (4, 6))


def test_labels_apart_from_the_tool() -> None:
    apart = {**region("polygon", points=HALF)}
    apart["value"] = {"points": HALF, "labels": ["cell"]}
    assert pixels(apart) == ["111..."] * 4


@pytest.mark.parametrize(
    "image",
    [
        "/data/upload/3/0123abcd-a.png",
        "/data/local-files/?d=images%2Fa.png",
        "s3://bucket/images/a.png",
        "https://example.org/images/a.png",
        "images/a.png",
    ],
)
def test_the_image_is_found_by_the_name_it_had(image: str) -> None:
    assert (
        read("label_studio", one(region("polygonlabels", points=HALF), image=image)).entries[0].image == "images/a.png"
    )


def test_the_name_of_the_upload_comes_first() -> None:
    files = one(region("polygonlabels", points=HALF)) | {"images/0123abcd-a.png": IMAGE}
    assert read("label_studio", files).entries[0].image == "images/0123abcd-a.png"


def test_of_several_annotations_the_ground_truth_counts_or_the_first_not_cancelled() -> None:
    def annotation(label: str, **rest: Any) -> dict[str, Any]:
        return {"result": [region("polygonlabels", label, points=HALF)], **rest}

    def label(*annotations: dict[str, Any]) -> str:
        files = {"export.json": [{"data": {"image": "a.png"}, "annotations": list(annotations)}], "a.png": IMAGE}
        reading = read("label_studio", files)
        assert reading.findings[0].detail == "1 in 1 file: a further annotation of a task that has several"
        return reading.entries[0].shapes[0].label

    assert label(annotation("cancelled", was_cancelled=True), annotation("first"), annotation("second")) == "first"
    assert label(annotation("first"), annotation("truth", ground_truth=True)) == "truth"


def test_tasks_without_an_annotation_are_not_annotated_and_empty_ones_show_nothing() -> None:
    tasks = [
        task(region("polygonlabels", points=HALF), image="a.png"),
        task(image="b.png"),
        task(image="c.png", annotations=[]),
        task(image="gone.png"),
    ]
    reading = read("label_studio", {"export.json": tasks, **dict.fromkeys(("a.png", "b.png", "c.png"), IMAGE)})
    assert [(entry.image, len(entry.shapes)) for entry in reading.entries] == [("a.png", 1), ("b.png", 0)]
    assert findings(reading) == [
        ("export.json", "missing image"),
        ("export.json", "shape passed over"),
        ("c.png", "passed over"),
    ]


def test_what_is_not_drawn_is_a_finding_and_a_choice_is_no_region() -> None:
    points = region("polygonlabels", points=HALF)
    regions = (
        points,
        region("choices", choices=["blurred"]),
        region("keypointlabels", x=1, y=1),
        {**points, "image_rotation": 90},
        {**points, "value": {"points": HALF, "polygonlabels": ["a", "b"]}},
        {**points, "value": {"points": HALF}},
        region("brushlabels", rle=BRUSH[:9]),
        {"type": "polygonlabels"},
    )
    reading = read("label_studio", one(*regions))
    assert len(reading.entries[0].shapes) == 1
    assert [finding.detail for finding in reading.findings] == [
        "1 in 1 file: a keypointlabels surrounds no area",
        "1 in 1 file: a region of an image that was turned in Label Studio",
        "1 in 1 file: a polygonlabels with 2 labels",
        "1 in 1 file: a polygonlabels with 0 labels",
        "1 in 1 file: the brush's run lengths break off",
        "1 in 1 file: a damaged annotation (KeyError: 'value')",
    ]


def test_the_short_export_is_refused() -> None:
    short = [{"image": "a.png", "label": [{"points": HALF, "original_width": 6}], "annotation_id": 1}]
    found = recognised(Files({"export.json": short, "a.png": IMAGE}))
    assert found.formats == {}
    assert "export it as JSON" in found.reasons["label_studio"]


@pytest.mark.parametrize("tasks", [[1], [{"data": 1, "annotations": [{"result": []}]}], [{"data": {}, "result": 0}]])
def test_damaged_files_are_refused_in_a_sentence(tasks: list[Any]) -> None:
    text = Files({"x": tasks}).read("x")
    padded = text + b' "data" "annotations" "result"' if tasks == [1] else text
    sentence = refused("label_studio", {"export.json": padded, "a.png": IMAGE})
    assert "export.json is no" in sentence or "no image is annotated" in sentence or "none of the images" in sentence
