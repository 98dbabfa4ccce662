"""CVAT XML for images: polygons, boxes, ellipses and masks, layers, groups and subsets."""

import pytest
from bakeoff.datasets.formats import recognised
from drawn_folders import Content, Files, drawn, findings, png, read, refused, rows

IMAGE = png(4, 6)
META = "<meta><job><labels><label><name>debris</name></label><label><name>cell</name></label></labels></job></meta>"
LEFT = '<polygon label="cell" points="0.00,0.00;3.00,0.00;3.00,4.00;0.00,4.00" z_order="0"/>'


def image(*shapes: str, name: str = "a.png", size: str = 'width="6" height="4"', **rest: str) -> str:
    more = "".join(f' {key}="{value}"' for key, value in rest.items())
    return f'<image id="0" name="{name}" {size}{more}>{"".join(shapes)}</image>'


def one(*shapes: str) -> dict[str, Content]:
    return document(image(*shapes))


def document(*images: str, **files: Content) -> dict[str, Content]:
    text = f"<annotations><version>1.1</version>{META}{''.join(images)}</annotations>"
    return {"annotations.xml": f"<?xml version='1.0' encoding='utf-8'?>{text}", "images/a.png": IMAGE, **files}


def pixels(*shapes: str) -> list[str]:
    return rows(drawn(read("cvat", one(*shapes)), 4, 6).classes)


def test_shapes_that_surround_an_area() -> None:
    assert pixels(LEFT) == ["111..."] * 4
    assert pixels('<box label="cell" xtl="1" ytl="1" xbr="4" ybr="3"/>') == ["......", ".111..", ".111..", "......"]
    turned = '<box label="cell" xtl="1" ytl="1.5" xbr="5" ybr="2.5" rotation="90.0"/>'
    assert pixels(turned) == ["..1...", "..1...", "..1...", "..1..."]
    assert pixels('<ellipse label="cell" cx="3" cy="2" rx="2" ry="2"/>') == ["..11..", ".1111.", ".1111.", "..11.."]
    mask = '<mask label="cell" rle="1, 2, 1, 2" left="2" top="1" width="3" height="2"/>'
    assert pixels(mask) == ["......", "...11.", "...11.", "......"]


def test_classes_are_in_the_order_of_the_labels() -> None:
    reading = read("cvat", one(LEFT, '<box label="debris" xtl="4" ytl="0" xbr="5" ybr="1"/>'))
    assert list(reading.classes or ()) == ["background", "debris", "cell"]
    assert rows(drawn(reading, 4, 6).classes)[0] == "222.1."
    assert reading.entries[0].size == (4, 6)


def test_the_higher_layer_lies_on_top_and_of_one_layer_the_later() -> None:
    def box(label: str, right: int, layer: int) -> str:
        return f'<box label="{label}" xtl="0" ytl="0" xbr="{right}" ybr="1" z_order="{layer}"/>'

    assert pixels(box("cell", 4, 1), box("debris", 2, 0))[0] == "2222.."  # classes are in the order of META
    assert pixels(box("debris", 2, 0), box("cell", 4, 0))[0] == "2222.."
    assert pixels(box("cell", 4, 0), box("debris", 2, 0))[0] == "1122.."


def test_shapes_of_one_label_and_group_are_one_object() -> None:
    def box(left: int, group: str) -> str:
        return f'<box label="cell" xtl="{left}" ytl="0" xbr="{left + 1}" ybr="1" {group}/>'

    shapes = box(0, 'group_id="2"'), box(2, 'group_id="2"'), box(3, 'group_id="0"'), box(5, "")
    assert rows(drawn(read("cvat", one(*shapes)), 4, 6).objects)[0] == "1.12.3"


def test_subsets_are_splits() -> None:
    files = document(image(LEFT, subset="Train"), image(LEFT, name="b.png", subset="Validation"))
    reading = read("cvat", {**files, "images/b.png": IMAGE})
    assert [entry.labels["split"] for entry in reading.entries] == ["train", "validation"]


def test_what_is_not_drawn_is_a_finding_and_a_tag_is_no_shape() -> None:
    shapes = (
        LEFT,
        '<tag label="blurred"/>',
        '<points label="cell" points="1,1"/>',
        '<polyline label="cell" points="1,1;2,2;3,1"/>',
        '<polygon label="cell" points="1,1;2,2"/>',
        '<polygon label="cell" points="1,1;2;3,3"/>',
        '<mask label="cell" rle="1, 2" left="2" top="1" width="3" height="2"/>',
        '<box label="cell"/>',
    )
    reading = read("cvat", one(*shapes))
    assert len(reading.entries[0].shapes) == 1
    assert [finding.detail for finding in reading.findings] == [
        "1 in 1 file: a points surrounds no area",
        "1 in 1 file: a polyline surrounds no area",
        "1 in 1 file: fewer than three points surround no area",
        "1 in 1 file: its points are no pairs of numbers",
        "1 in 1 file: the run lengths make 3 pixels and not 3 x 2",
        "1 in 1 file: a damaged annotation (KeyError: 'xtl')",
    ]


def test_images_that_are_not_there() -> None:
    files = document(image(LEFT), image(LEFT, name="day 1/gone.png"))
    assert findings(read("cvat", files)) == [("annotations.xml", "missing image")]


def test_videos_are_refused() -> None:
    text = '<annotations><track id="0" label="cell"><box frame="0"/></track></annotations>'
    found = recognised(Files({"annotations.xml": text, "a.png": IMAGE}))
    assert (found.formats, list(found.reasons)) == ({}, ["cvat"])
    assert "export it as 'CVAT for images'" in found.reasons["cvat"]


def test_boxes_of_pascal_voc_are_not_recognised() -> None:
    text = "<annotation><object><name>cat</name><bndbox/></object></annotation>"
    assert "cvat" not in recognised(Files({"a.xml": text, "a.png": IMAGE})).formats


ENTITY = '<?xml version="1.0"?><!DOCTYPE annotations [<!ENTITY a "b">]><annotations><image >&a;</image></annotations>'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<annotations><image >", "annotations.xml is no valid XML"),
        (ENTITY, "annotations.xml declares entities, which no annotation needs"),
        (f"<annotations>{image(LEFT, size='')}</annotations>", "the image a.png has no width and height"),
    ],
)
def test_damaged_files_are_refused_in_a_sentence(text: str, said: str) -> None:
    assert said in refused("cvat", {"annotations.xml": text, "a.png": IMAGE})
