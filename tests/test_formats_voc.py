"""Pascal VOC: palette masks of classes and objects, void, lists of a split, and lists of classes."""

import io

import pytest
from bakeoff.datasets.formats import recognised
from bakeoff.datasets.formats.reading import Reading
from drawn_folders import Content, Files, findings, png, read, refused
from PIL import Image

IMAGE = png(2, 3)
BOXES = "<annotation><object><name>{}</name><bndbox><xmin>1</xmin></bndbox></object></annotation>"


def palette(*levels: int) -> bytes:
    """A mask of 2 x 3 pixels of which levels are palette indices; the colours are others."""
    image = Image.new("P", (3, 2))
    image.putpalette([7 * (value % 30) for value in range(768)])
    image.putdata(levels)
    return _png(image)


def coloured(*colours: tuple[int, int, int]) -> bytes:
    image = Image.new("RGB", (3, 2))
    image.putdata(colours)
    return _png(image)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


MASK = palette(0, 1, 1, 255, 2, 2)


def folder(names: str = "ab", mask: bytes = MASK, **more: Content) -> dict[str, Content]:
    files: dict[str, Content] = {}
    for name in names:
        files |= {f"VOC/JPEGImages/{name}.jpg": IMAGE, f"VOC/SegmentationClass/{name}.png": mask}
    return {**files, **more}


def classes(reading: Reading) -> dict[str, object]:
    return dict(reading.classes or {})


def test_levels_are_palette_indices_and_255_is_void() -> None:
    reading = read("voc", folder())
    assert classes(reading) == {"background": 0, "class 1": 1, "class 2": 2}
    assert (reading.background, reading.ignore, reading.objects, reading.shapes) == ("background", (255,), False, False)
    assert [(entry.image, entry.masks, entry.objects) for entry in reading.entries] == [
        ("VOC/JPEGImages/a.jpg", ("VOC/SegmentationClass/a.png",), None),
        ("VOC/JPEGImages/b.jpg", ("VOC/SegmentationClass/b.png",), None),
    ]
    assert reading.details[:2] == (
        "Pascal VOC: 2 of 2 images have a mask, 0 also one of objects.",
        "255 in the masks is taken for void, pixels without an answer.",
    )
    assert not reading.findings


def test_masks_of_objects() -> None:
    files = folder("a") | {"VOC/SegmentationObject/a.png": palette(0, 1, 2, 255, 3, 3)}
    reading = read("voc", files)
    assert (reading.objects, reading.entries[0].objects) == (True, "VOC/SegmentationObject/a.png")
    without = read("voc", files, objects=False)
    assert (without.objects, without.entries[0].objects) == (False, None)
    assert not without.findings


def test_levels_that_look_like_numbers_of_objects_are_classes() -> None:
    files = {
        f"VOC/{kind}/{name}.png": mask
        for name, mask in zip("abcd", (palette(*([0] * (6 - n)), *range(1, n + 1)) for n in (2, 3, 4, 5)), strict=True)
        for kind in ("JPEGImages", "SegmentationClass")
    }
    assert list(classes(read("voc", files))) == ["background", *(f"class {number}" for number in range(1, 6))]


def test_lists_are_the_split_and_images_on_none_are_left_out() -> None:
    lists = {"train": "a\n", "val": "b 1\n", "trainval": "a\nb\n"}
    files = folder("abc") | {f"VOC/ImageSets/Segmentation/{name}.txt": text for name, text in lists.items()}
    reading = read("voc", files)
    assert [(entry.image[-5:], entry.labels["split"]) for entry in reading.entries] == [
        ("a.jpg", "train"),
        ("b.jpg", "validation"),
    ]
    assert ("VOC/JPEGImages/c.jpg", "no split") in findings(reading)
    assert len(read("voc", files, split="none").entries) == 3


def test_images_without_a_mask_and_masks_without_an_image() -> None:
    files = folder("a") | {"VOC/JPEGImages/b.jpg": IMAGE, "VOC/SegmentationClass/c.png": MASK}
    assert findings(read("voc", files)) == [
        ("VOC/SegmentationClass/c.png", "mask without image"),
        ("VOC/JPEGImages/b.jpg", "passed over"),
    ]


def test_images_of_one_name_in_several_folders_have_each_their_own_mask() -> None:
    files: dict[str, Content] = {}
    for place in ("train/", "val/"):
        files |= {f"{place}JPEGImages/x/a.jpg": IMAGE, f"{place}SegmentationClassPNG/x/a.png": MASK}
    assert [(entry.image, entry.masks, entry.labels) for entry in read("voc", files).entries] == [
        ("train/JPEGImages/x/a.jpg", ("train/SegmentationClassPNG/x/a.png",), {"split": "train"}),
        ("val/JPEGImages/x/a.jpg", ("val/SegmentationClassPNG/x/a.png",), {"split": "validation"}),
    ]


def test_names_of_a_list() -> None:
    labelme = {"class_names.txt": "__ignore__\n_background_\ncell\ndebris\n"}
    assert classes(read("voc", folder() | labelme)) == {"_background_": 0, "cell": 1, "debris": 2}
    assert read("voc", folder() | labelme).details[1:] == ("Classes by class_names.txt; 255 is void.",)
    cvat = {"labelmap.txt": "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncell:250,50,83::\ndebris:1,2,3::\n"}
    assert classes(read("voc", folder() | cvat)) == {"background": 0, "cell": 1, "debris": 2}
    colours = folder(mask=coloured((0, 0, 0), (250, 50, 83), (0, 0, 0), (0, 0, 0), (1, 2, 3), (0, 0, 0)))
    assert classes(read("voc", colours | cvat)) == {"background": "#000000", "cell": "#fa3253", "debris": "#010203"}
    black = {"VOC/SegmentationClass/a.png": coloured(*[(0, 0, 0)] * 6)}
    assert classes(read("voc", colours | black | cvat))["cell"] == "#fa3253"
    found = "the masks have the colours '#000000' (in 2 masks), '#010203' (in 2 masks), '#fa3253' (in 2 masks): name"
    assert found in refused("voc", colours)
    assert "gives no colour in 'cell'" in refused("voc", colours | {"labelmap.txt": "cell\n"})


def test_names_of_the_challenge_where_boxes_have_no_others() -> None:
    boxes = {"VOC/Annotations/a.xml": BOXES.format("bird")}
    reading = read("voc", folder() | boxes)
    assert len(classes(reading)) == 21
    assert list(classes(reading))[:3] == ["background", "aeroplane", "bicycle"]
    assert not reading.findings
    own = {"VOC/Annotations/a.xml": BOXES.format("nucleus")}
    assert list(classes(read("voc", folder() | own))) == ["background", "class 1", "class 2"]


def test_classes_that_are_stated() -> None:
    reading = read("voc", folder(), classes={"rest": [0, 1], "two": 2}, ignore=[])
    assert (classes(reading), reading.background, reading.ignore) == ({"rest": [0, 1], "two": 2}, "rest", ())


def test_boxes_alone_are_refused() -> None:
    found = recognised(Files({"JPEGImages/a.jpg": IMAGE, "Annotations/a.xml": BOXES.format("bird")}))
    assert found.formats == {}
    assert found.reasons["voc"].startswith("Annotations/a.xml and the like are Pascal VOC's boxes")


@pytest.mark.parametrize("mask", [b"", b"no picture"])
def test_masks_that_are_no_pictures_are_not_recognised(mask: bytes) -> None:
    assert "voc" not in recognised(Files(folder(mask=mask))).formats
    assert refused("voc", folder(mask=mask))


def test_no_pairs() -> None:
    assert "no image in JPEGImages has a mask" in refused("voc", {"JPEGImages/a.jpg": IMAGE})
