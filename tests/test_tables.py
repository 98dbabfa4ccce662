"""Tables of labels as people write them; splits by folders, lists and columns; groups by columns and patterns."""

from typing import Any

import numpy as np
import pytest
from bakeoff.datasets.archives.records import Finding
from bakeoff.datasets.formats import recognised
from bakeoff.datasets.formats.classes import read as read_classes
from bakeoff.datasets.formats.reading import Choices, Reading
from bakeoff.datasets.formats.tables import find_table
from drawn_folders import Content, Files, findings, png, read, refused

PICTURES: dict[str, Content] = {f"scans/{n}.png": png(4, 4 + n) for n in range(6)}
NAMES = [name.rpartition("/")[2] for name in PICTURES]
CLASSES = ["ill", "well"] * 3


def csv(*columns: str, separator: str = ",", rows: list[list[str]] | None = None, quote: str = "") -> str:
    """A table of the six pictures: their names and classes unless `rows` are given."""
    rows = rows or [list(pair) for pair in zip(NAMES, CLASSES, strict=True)]
    lines = [
        separator.join(f"{quote}{cell}{quote}" for cell in row) for row in ([list(columns)] if columns else []) + rows
    ]
    return "\n".join(lines) + "\n"


def labels_of(reading: Reading, name: str = "class") -> list[str]:
    return [entry.labels[name] for entry in reading.entries]


@pytest.mark.parametrize(
    ("file", "data", "stated"),
    [
        ("labels.csv", csv("file", "label").encode(), {}),
        ("labels.csv", csv("file", "label").encode("utf-8-sig"), {}),
        ("labels.csv", csv("file", "label", separator=";").encode(), {"separator": ";"}),
        ("labels.tsv", csv("file", "label", separator="\t").encode(), {"separator": "\t"}),
        ("labels.csv", csv("file", "label", quote='"').encode(), {}),
        ("labels.csv", csv("file", "label").replace("\n", "\r\n").encode(), {}),
        ("labels.csv", csv("file", "label", separator=";").encode("utf-16"), {"separator": ";", "encoding": "utf-16"}),
        (
            "labels.csv",
            csv("Datei", "Prüfung").encode("cp1252"),
            {"encoding": "cp1252", "image": "Datei", "label": "Prüfung"},
        ),
        ("labels.csv", csv().encode(), {"image": "column 1", "label": "column 2"}),
        ("labels.csv", csv("file", "label").replace(".png", "").encode(), {}),
        ("labels.csv", csv("file", "label").replace("\n", "\nscans/", 6).removesuffix("scans/").encode(), {}),
        ("labels.csv", csv("file", "label").replace("\n", "\nC:\\data\\", 6).removesuffix("C:\\data\\").encode(), {}),
    ],
)
def test_a_table_is_read_however_it_is_written(file: str, data: bytes, stated: dict[str, str]) -> None:
    files = {**PICTURES, file: data}
    reading = read("table", files)
    assert [entry.image for entry in reading.entries] == list(PICTURES)
    assert labels_of(reading) == CLASSES
    assert not reading.findings
    settings = {"file": file, "image": "file", "label": "label", "separator": ",", "encoding": "utf-8", **stated}
    assert reading.choices["labels"] == settings
    again = read("table", files, labels=settings, split="none", group="none")
    assert again.entries == reading.entries


def test_a_comma_in_quotes_separates_nothing() -> None:
    rows = [[name, f'"{kind}, perhaps"'] for name, kind in zip(NAMES, CLASSES, strict=True)]
    assert labels_of(read("table", {**PICTURES, "a.csv": csv("file", "label", rows=rows)})) == [
        f"{kind}, perhaps" for kind in CLASSES
    ]


def test_labels_that_look_like_numbers_stay_as_they_are() -> None:
    rows = [[name, kind] for name, kind in zip(NAMES, ["001", "1"] * 3, strict=True)]
    assert labels_of(read("table", {**PICTURES, "a.csv": csv("file", "label", rows=rows)})) == ["001", "1"] * 3


def test_split_and_group_are_columns() -> None:
    parts = ["train", "Training", "val", "valid", "TEST", "test"]
    rows = [[name, CLASSES[n], parts[n], f"P{n // 2}", str(n)] for n, name in enumerate(NAMES)]
    reading = read("table", {**PICTURES, "a.csv": csv("file", "label", "set", "patient", "age", rows=rows)})
    assert labels_of(reading, "split") == ["train", "train", "validation", "validation", "test", "test"]
    assert [entry.group for entry in reading.entries] == ["P0", "P0", "P1", "P1", "P2", "P2"]
    assert (reading.choices["split"], reading.choices["group"]) == ("set", "patient")
    files = {**PICTURES, "a.csv": csv("file", "label", "set", "patient", "age", rows=rows)}
    without = read("table", files, split="none", group="age")
    assert [entry.group for entry in without.entries] == list("012345")
    assert not any("split" in entry.labels for entry in without.entries)


def test_rows_and_images_that_do_not_match_are_findings() -> None:
    rows = [*([name, kind] for name, kind in zip(NAMES, CLASSES, strict=True)), [NAMES[0], "well"], ["gone.png", "ill"]]
    files = {**PICTURES, "scans/9.png": png(4, 4), "a.csv": csv("file", "label", rows=rows)}
    more = {f"scans/{n}.png": png(4, 4) for n in range(10, 12)}
    files |= more
    files["a.csv"] = csv("file", "label", rows=[*rows, ["10.png", "ill"], ["11.png", ""]])
    reading = read("table", files)
    assert [entry.image for entry in reading.entries] == ["scans/1.png", "scans/10.png", *list(PICTURES)[2:]]
    assert set(findings(reading)) == {
        ("scans/0.png", "contradicting rows"),
        ("scans/0.png", "no label"),
        ("scans/11.png", "no label"),
        ("scans/9.png", "no label"),
        ("a.csv", "missing image"),
    }


def test_the_class_is_asked_for_where_several_columns_may_be_it() -> None:
    rows = [[name, CLASSES[n], "ab"[n % 2]] for n, name in enumerate(NAMES)]
    files = {**PICTURES, "a.csv": csv("file", "organ", "stain", rows=rows)}
    assert refused("table", files) == (
        "folders.mine.labels.label: a.csv has the columns organ, stain: state which is the class."
    )
    settings = {"file": "a.csv", "image": "file", "separator": ",", "encoding": "utf-8"}
    assert refused("table", files, labels={**settings, "label": "organs"}) == (
        "a.csv has no column 'organs': name one of file, organ, stain in labels.label."
    )
    assert "a.csv is not written in ascii (" in refused(
        "table",
        {**files, "a.csv": csv("file", "organ", "färbung", rows=rows)},
        labels={**settings, "label": "organ", "encoding": "ascii"},
    )


def test_text_that_is_no_table_is_none() -> None:
    files = {**PICTURES, "notes.txt": "a, b\nc, d\n", "train.txt": "\n".join(NAMES), "b.csv": b"\xff\xfe\x00"}
    assert find_table(Files(files), list(PICTURES)) is None


# Splits and groups of folders


def pairs(*names: str, **more: Content) -> dict[str, Content]:
    mask = png(4, 4)
    return {f"{part}/{name}.png": mask for name in names for part in ("images", "masks")} | more


@pytest.mark.parametrize(
    "lines",
    [
        "{}",
        "{}.png",
        "images/{}.png",
        "/data/set/images/{}.png /data/set/masks/{}.png",
        "\ufeff{}.png",
        "./images\\{}.png",
    ],
)
def test_lists_name_images_in_every_usual_way(lines: str) -> None:
    lists = {
        f"{part}.txt": lines.replace("{}", name) + "\n\n"
        for part, name in (("train", "a"), ("val", "b"), ("test", "c"))
    }
    reading = read("pairs", {**pairs("a", "b", "c"), **lists})
    assert labels_of(reading, "split") == ["train", "validation", "test"]
    assert reading.choices["split"] == "lists"
    assert not reading.findings
    assert reading.details[1] == "Split from the folder (lists): 1 test, 1 train, 1 validation."


def test_an_image_in_no_list_is_left_out_and_one_in_two_is_a_mistake() -> None:
    files = {**pairs("a", "b", "c", "d"), "train.txt": "a\nb\n", "val.txt": "c\nz\n"}
    reading = read("pairs", files)
    assert [entry.image for entry in reading.entries] == ["images/a.png", "images/b.png", "images/c.png"]
    assert findings(reading) == [("images/d.png", "no split"), ("val.txt", "missing image")]
    assert len(read("pairs", files, split="none").entries) == 4
    assert refused("pairs", {**files, "val.txt": "a\nb\n"}) == (
        "images/a.png is listed both for train and, in val.txt, for validation: list it once."
    )


def test_files_of_other_words_are_no_lists() -> None:
    files = {**pairs("a", "b"), "readme.txt": "train and test", "requirements-test.txt": "numpy\n"}
    reading = read("pairs", files)
    assert reading.choices["split"] == "none"
    assert findings(reading) == [("readme.txt", "passed over")]


@pytest.mark.parametrize(
    ("pattern", "groups"),
    [
        ("(P[0-9]+)_", ["P1", "P1", "P2"]),
        ("P([0-9]+)_", ["1", "1", "2"]),
        ("_(left)|_(right)", ["left", "right", "left"]),
        ("(?i)(p1)_", ["P1", "P1", None]),
    ],
)
def test_a_group_is_a_part_of_the_path(pattern: str, groups: list[str | None]) -> None:
    reading = read("pairs", pairs("P1_left", "P1_right", "P2_left"), group=pattern)
    assert [entry.group for entry in reading.entries] == groups
    lost = [Finding("images/P2_left.png", "no group", "kept", f"{pattern} says none of it: it is a group of its own")]
    assert list(reading.findings) == (lost if None in groups else [])


def test_groups_of_a_table_beside_pairs() -> None:
    table = "image;patient;class\na;p;x\nb;p;y\nc;q;x\n"
    files = {**pairs("a", "b", "c"), "patients.csv": table}
    assert [entry.group for entry in read("pairs", files).entries] == ["p", "p", "q"]
    labels = {"file": "patients.csv", "image": "image", "label": "class", "separator": ";", "encoding": "utf-8"}
    reading = read("pairs", files, labels=labels, group="none", split="none")
    assert [(entry.group, entry.labels["class"]) for entry in reading.entries] == [
        (None, "x"),
        (None, "y"),
        (None, "x"),
    ]


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"group": "patient"}, "group: 'patient' is no column, and no regular expression with the group in brackets"),
        ({"group": "("}, r"group: '(' is no regular expression (missing ), unterminated subpattern at position 0)"),
        ({"split": "subset"}, "folders.mine.split names the column 'subset', and there is no table in labels"),
        ({"split": "folders"}, "folders.mine.split is folders, and none say train, val or test: state none."),
        ({"split": "lists"}, "folders.mine.split is lists, and none say train, val or test: state none."),
    ],
)
def test_what_is_stated_and_not_there_is_one_sentence(choices: dict[str, Any], words: str) -> None:
    assert words in refused("pairs", pairs("a", "b"), **choices)


# Classes of folders, and of masks


def test_folders_of_classes_with_few_images_are_left_out_unless_stated() -> None:
    files: dict[str, Content] = {f"{kind}/{n}.png": png(4, 4) for kind in "ab" for n in range(3)}
    files |= {"new folder/x.png": png(4, 4), "readme.md": ""}
    reading = read("classes", files)
    assert labels_of(reading) == ["a"] * 3 + ["b"] * 3
    assert list(reading.findings) == [
        Finding("new folder/x.png", "class passed over", "dropped", "class 'new folder' has fewer than 3 images"),
        Finding("readme.md", "passed over", "dropped", ".md (1): no images"),
    ]
    assert "Left out: class 'new folder' has fewer than 3 images (images: 1)." in reading.details
    stated = read("classes", files, classes={"first": "a", "rest": ["b", "new folder"]})
    assert labels_of(stated) == ["first"] * 3 + ["rest"] * 4
    assert "classes names 'c', and there are a, b, new folder" in refused(
        "classes", files, classes={"a": "a", "c": "c"}
    )
    one = {name: content for name, content in files.items() if not name.startswith("b/")}
    assert "there are not two classes of 3 images or more to tell apart (a (3), new folder (1))" in refused(
        "classes", one
    )


@pytest.mark.parametrize("names", [("with_mask", "without_mask"), ("mask", "no mask"), ("labels on", "labels off")])
def test_a_class_may_be_called_like_a_mask(names: tuple[str, str]) -> None:
    reading = read("classes", {f"{name}/{n}.png": png(4, 4) for name in names for n in range(3)})
    assert set(labels_of(reading)) == set(names)


def test_folders_of_images_and_masks_that_do_not_match_are_no_classes() -> None:
    files = Files({f"{name}/{name}{n}.png": png(4, 4) for name in ("images", "masks", "more") for n in range(3)})
    assert "classes" not in recognised(files).formats


def test_a_folder_of_masks_a_class_is_refused() -> None:
    files: dict[str, Content] = {f"images/{n}.png": png(4, 4) for n in range(3)}
    files |= {f"masks/{kind}/{n}.png": png(4, 4) for kind in ("cell", "debris") for n in range(3)}
    assert "the masks of an image lie in a folder a class (masks/{class}/{id}), which is not read" in refused(
        "pairs", files
    )


def test_which_of_two_folders_is_the_class_is_asked_for() -> None:
    files: dict[str, Content] = {
        f"{kind}/{part}/{n}.png": png(4, 4)
        for kind, part in (("cat", "old"), ("dog", "old"), ("dog", "young"))
        for n in range(3)
    }
    assert refused("classes", files) == (
        "folders.mine.images: the classes may be cat, dog, or old, young: state '{class}/{id}' or "
        "'{folder}/{class}/{id}'."
    )
    tree = Files(files)
    assert set(labels_of(read_classes(tree, Choices("mine", images="{folder}/{class}/{id}")))) == {"old", "young"}
    assert "say which folder is the class" in refused("classes", files, images="{id}")


def grey(levels: np.ndarray | list[list[int]]) -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    array = np.array(levels)
    Image.fromarray(array.astype(np.uint16 if array.max() > 255 else np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def with_masks(*masks: Any) -> dict[str, Content]:
    files: dict[str, Content] = {f"images/{n}.png": png(4, 4) for n in range(len(masks))}
    return files | {f"masks/{n}.png": grey(mask) for n, mask in enumerate(masks)}


@pytest.mark.parametrize(
    ("masks", "classes", "ignore"),
    [
        ([[[0, 255]]], {"background": 0, "foreground": 255}, ()),
        ([[[0, 1]]], {"background": 0, "foreground": 1}, ()),
        ([[[0, 0]]], {"background": 0, "foreground": 1}, ()),
        ([[[0, 1]], [[0, 255]]], {"background": 0, "foreground": [1, 255]}, ()),
        ([[[0, 1, 255]]], {"background": 0, "foreground": 1}, (255,)),
        ([[[0, 1]], [[3, 0]]], {"background": 0, "class 1": 1, "class 3": 3}, ()),
        ([[[0, 2, 255]], [[0, 1, 2]]], {"background": 0, "class 1": 1, "class 2": 2}, (255,)),
    ],
)
def test_classes_are_the_levels_of_the_masks(
    masks: list[Any], classes: dict[str, Any], ignore: tuple[int, ...]
) -> None:
    reading = read("pairs", with_masks(*masks))
    assert reading.classes == classes
    assert (reading.background, reading.ignore, reading.objects) == ("background", ignore, False)


def test_stated_background_and_void() -> None:
    files = with_masks([[0, 1, 11]], [[0, 2, 11]])
    reading = read("pairs", files, background="none", ignore=[11])
    assert reading.classes == {"class 0": 0, "class 1": 1, "class 2": 2}
    assert (reading.background, reading.ignore) == (None, (11,))
    assert list(read("pairs", files, background="sky").classes or ()) == ["sky", "class 1", "class 2", "class 11"]
    assert "If 11 is void, pixels without an answer, and no class, state it in ignore." in read("pairs", files).details


def test_levels_that_number_objects_are_recognised() -> None:
    rng = np.random.default_rng(0)
    masks = []
    for count in (4, 5, 6, 7, 9):
        mask = np.zeros((24, 24), int)
        for number in range(count):
            mask[5 * (number // 4) : 5 * (number // 4) + 3, 6 * (number % 4) : 6 * (number % 4) + 4] = number + 1
        masks.append(mask)
    reading = read("pairs", with_masks(*masks))
    assert (reading.classes, reading.objects) == ({"background": 0, "object": 1}, True)
    assert reading.entries[0].objects == "masks/0.png"
    assert read("pairs", with_masks(*masks), objects=False).classes == {
        "background": 0, **{f"class {level}": level for level in range(1, 10)}
    }  # fmt: skip
    classes = [np.where(rng.random((24, 24)) < 0.5, level, 0) for level in (1, 2, 3, 4, 5)]
    assert read("pairs", with_masks(*classes)).objects is False


def test_masks_that_hold_no_classes_are_refused_in_a_sentence() -> None:
    smooth = np.arange(100).reshape(10, 10)
    assert refused("pairs", with_masks(smooth, smooth)) == (
        "folders.mine.masks: masks/0.png has 100 grey levels, as smoothed masks and JPEG have (0, 1, 2, 3, 4, 5, 6, 7 "
        "and 92 more): save masks without smoothing as PNG, or state folders.mine.threshold, the level from which on a "
        "pixel is foreground."
    )
    assert read("pairs", with_masks(smooth, smooth), threshold=50).classes == {"background": 0, "foreground": 1}
    coloured = with_masks([[[0, 0, 0], [255, 0, 0]]])
    assert refused("pairs", coloured) == (
        "folders.mine.classes: the masks have the colours '#000000' (in 1 mask), '#ff0000' (in 1 mask): name "
        "the class of each, as in {background: '#000000', leaf: '#00ff00'}."
    )
    clear = with_masks([[[0, 0, 0, 255], [0, 0, 0, 0]]])
    assert "are of one colour, and their transparency holds the mask" in refused("pairs", clear)
    assert "masks/0.png and the others are no pictures" in refused("pairs", {**with_masks([[0]]), "masks/0.png": b"x"})


def test_two_folders_of_masks_are_asked_about() -> None:
    files = {**pairs("a", "b"), "labels/a.png": png(4, 4), "labels/b.png": png(4, 4)}
    assert refused("pairs", files) == (
        "folders.mine: images are called images/{id} and their masks labels/{id}, or images/{id} and masks/{id}: state "
        "folders.mine.images and folders.mine.masks."
    )
    assert read("pairs", files, masks="masks").choices["masks"] == "masks/{id}"
    assert "state patterns, as in" in refused("pairs", files, masks="others")
    assert "of 2 images called images/{id} none has a mask called other/{id}" in refused(
        "pairs", files, images="images", masks="other"
    )
