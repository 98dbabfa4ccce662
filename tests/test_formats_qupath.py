"""QuPath GeoJSON: polygons with holes, several polygons an object, classes and names of files."""

from typing import Any

import pytest
from bakeoff.datasets.formats import recognised
from drawn_folders import Content, Files, drawn, findings, png, read, refused, rows

IMAGE = png(4, 6)
TUMOUR = {"classification": {"name": "Tumour", "color": [200, 0, 0]}}


def ring(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    return [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]


def feature(*rings: Any, type: str = "Polygon", properties: Any = TUMOUR) -> dict[str, Any]:
    return {
        "type": "Feature",
        "id": "1",
        "geometry": {"type": type, "coordinates": list(rings)},
        "properties": properties,
    }


def collection(*features: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features)}


def one(*features: Any) -> dict[str, Content]:
    return {"a.geojson": collection(*features), "a.png": IMAGE}


def test_polygons_with_holes() -> None:
    reading = read("qupath", one(feature(ring(0, 0, 4, 4), ring(1, 1, 3, 3))))
    assert rows(drawn(reading, 4, 6).classes) == ["1111..", "1..1..", "1..1..", "1111.."]
    assert reading.classes == {"background": None, "Tumour": "Tumour"}


def test_several_polygons_with_holes_are_one_object() -> None:
    several = feature([ring(0, 0, 3, 3), ring(1, 1, 2, 2)], [ring(4, 0, 6, 1)], type="MultiPolygon")
    reading = read("qupath", one(feature(ring(5, 3, 6, 4)), several))
    assert rows(drawn(reading, 4, 6).objects) == ["222.22", "2.2...", "222...", ".....1"]
    assert reading.objects


def test_the_smaller_feature_lies_on_top() -> None:
    stroma = {"classification": {"name": "Stroma"}}
    reading = read("qupath", one(feature(ring(1, 1, 2, 2)), feature(ring(0, 0, 3, 3), properties=stroma)))
    assert list(reading.classes or ()) == ["background", "Stroma", "Tumour"]
    assert rows(drawn(reading, 4, 6).classes) == ["111...", "121...", "111...", "......"]


@pytest.mark.parametrize(
    ("properties", "label"),
    [
        ({"classification": {"names": ["Tumour", "Positive"]}}, "Tumour: Positive"),
        ({"objectType": "annotation"}, "Unclassified"),
        ({"classification": None}, "Unclassified"),
        (None, "Unclassified"),
    ],
)
def test_classes_of_several_names_and_of_none(properties: Any, label: str) -> None:
    assert [
        shape.label for shape in read("qupath", one(feature(ring(0, 0, 2, 2), properties=properties))).entries[0].shapes
    ] == [label]


def test_what_qupath_ignores_is_void() -> None:
    ignored = {"classification": {"name": "Ignore*"}}
    reading = read("qupath", one(feature(ring(0, 0, 2, 1)), feature(ring(3, 0, 4, 1), properties=ignored)))
    assert rows(drawn(reading, 4, 6).classes)[0] == "11.#.."


@pytest.mark.parametrize(
    ("annotation", "image"),
    [
        ("a.json", "a.png"),
        ("out/a.geojson", "images/a.tif"),
        ("a.ome.tif.geojson", "a.ome.tif"),
        ("a.geojson", "a.ome.tif"),
        ("A.geojson", "a.png"),
        ("test/a.geojson", "test/a.png"),
    ],
)
def test_the_image_is_called_like_the_file(annotation: str, image: str) -> None:
    files = {annotation: collection(feature(ring(0, 0, 2, 2))), image: IMAGE, "b.png": IMAGE}
    assert [entry.image for entry in read("qupath", files).entries] == [image]


@pytest.mark.parametrize("content", [[feature(ring(0, 0, 2, 2))], feature(ring(0, 0, 2, 2))])
def test_lists_of_features_and_single_ones(content: Content) -> None:
    assert rows(drawn(read("qupath", {"a.json": content, "a.png": IMAGE}), 4, 6).classes)[0] == "11...."


def test_what_is_not_drawn_is_a_finding() -> None:
    point = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 1]}, "properties": TUMOUR}
    files = {**one(feature(ring(0, 0, 2, 2)), point, {"type": "Feature"}, feature()), "b.geojson": collection()}
    reading = read("qupath", files)
    assert [finding.detail for finding in reading.findings] == [
        "1 in 1 file: a Point surrounds no area",
        "1 in 1 file: a damaged annotation (KeyError: 'geometry')",
        "1 in 1 file: its rings are none",
        ".geojson (1): no images",
    ]


def test_geojson_of_no_image_is_refused() -> None:
    found = recognised(Files({"map.geojson": collection(feature(ring(0, 0, 2, 2))), "a.png": IMAGE}))
    assert found.formats == {}
    assert found.reasons["qupath"] == "map.geojson is GeoJSON, and no image is called like it: give both the same name."


def test_a_missing_image_is_a_finding() -> None:
    files = {**one(feature(ring(0, 0, 2, 2))), "b.geojson": collection(feature(ring(0, 0, 2, 2)))}
    assert findings(read("qupath", files)) == [("b.geojson", "missing image")]


def test_damaged_files_are_refused_in_a_sentence() -> None:
    assert "a.geojson is no valid JSON" in refused(
        "qupath", {"a.geojson": '{"geometry" "coordinates" "Feature"', "a.png": IMAGE}
    )
