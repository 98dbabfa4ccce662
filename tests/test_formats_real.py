"""The same eight microscopy images annotated in four formats: the same classes and objects from each."""

import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
from bakeoff.artefacts.prepared import open_prepared
from bakeoff.artefacts.void import VOID
from bakeoff.datasets.archives.tree import Tree, open_tree
from bakeoff.datasets.formats import read_folder, recognised
from bakeoff.datasets.formats.names import stem
from bakeoff.datasets.formats.reading import Choices, Entry, Reading
from bakeoff.datasets.formats.shapes import Drawn, draw
from drawn_folders import prepare
from PIL import Image

pytestmark = pytest.mark.real

OBJECTS = 135
SPLIT = {"train": 6, "validation": 2}


@pytest.fixture(scope="module")
def cases(own_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases")
    with zipfile.ZipFile(own_images / "cases.zip") as archive:
        wanted = ("coco/", "labelme/", "yolo/", "voc/", "formats-truth/")
        archive.extractall(folder, [name for name in archive.namelist() if name.startswith(wanted)])
    return folder


@pytest.fixture(scope="module")
def truth(cases: Path) -> dict[str, np.ndarray]:
    """Class numbers by the image's name without suffix."""
    return {file.stem: np.asarray(Image.open(file)) for file in (cases / "formats-truth").iterdir()}


@pytest.fixture(scope="module")
def outlines(cases: Path, truth: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Pixels on an outline: beside another class, or void in Pascal VOC's masks, where objects of one class touch."""
    void = {name: np.asarray(Image.open(cases / f"voc/SegmentationClass/{name}.png")) == VOID for name in truth}
    edges = {
        name: cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) for name, mask in truth.items()
    }
    return {name: void[name] | (edges[name] > 0) for name in truth}


@pytest.fixture(params=["coco", "labelme", "yolo", "voc"])
def opened(request: pytest.FixtureRequest, cases: Path) -> Iterator[tuple[Tree, Reading]]:
    with open_tree(cases / request.param) as tree:
        assert next(iter(recognised(tree).formats)) == request.param
        yield tree, read_folder(tree, Choices(request.param, request.param))


def test_classes_are_those_of_the_truth_apart_from_outlines(
    opened: tuple[Tree, Reading], truth: Mapping[str, np.ndarray], outlines: Mapping[str, np.ndarray]
) -> None:
    tree, reading = opened
    assert sorted(stem(entry.image) for entry in reading.entries) == sorted(truth)
    for entry in reading.entries:
        expected = truth[stem(entry.image)]
        classes = _annotation(tree, reading, entry, *expected.shape).classes
        differing = (classes != expected) & (classes != VOID)
        assert not (differing & ~outlines[stem(entry.image)]).any()
        assert differing.sum() < 0.02 * (expected > 0).sum()


def test_classes_are_named_and_objects_told_apart(opened: tuple[Tree, Reading]) -> None:
    tree, reading = opened
    names = ["class 1", "class 2"] if reading.format == "voc" else ["nucleus", "debris"]
    assert list(reading.classes or ()) == ["background", *names]
    assert (reading.background, reading.objects) == ("background", True)
    crowds = sum(shape.crowd for entry in reading.entries for shape in entry.shapes)
    assert crowds == (11 if reading.format == "coco" else 0)
    drawn = [_annotation(tree, reading, entry, 256, 256) for entry in reading.entries]
    assert sum(len(np.unique(each.objects)) - 1 for each in drawn) == OBJECTS - crowds


def test_splits_are_taken(opened: tuple[Tree, Reading]) -> None:
    _, reading = opened
    splits = [entry.labels.get("split") for entry in reading.entries]
    expected = SPLIT if reading.format in ("yolo", "voc") else {None: 8}
    assert {split: splits.count(split) for split in splits} == expected
    assert not [finding for finding in reading.findings if finding.consequence == "dropped"]


def test_prepared_as_written_down_they_are_the_truth_too(
    opened: tuple[Tree, Reading], cases: Path, truth: Mapping[str, np.ndarray], tmp_path: Path
) -> None:
    tree, reading = opened
    prepare(cases / reading.format, reading, tmp_path / "prepared", size=256)
    data = open_prepared(tmp_path / "prepared")
    assert data.about["counts"]["used"] == 8
    masks, objects = data.true_masks(), np.load(tmp_path / "prepared" / "objects.npy")
    for row, entry in enumerate(reading.entries):
        drawn = _annotation(tree, reading, entry, 256, 256)
        assert data.index["source"][row] == entry.image
        np.testing.assert_array_equal(masks[row], drawn.classes)
        np.testing.assert_array_equal(objects[row], drawn.objects)
    if reading.format != "coco":
        assert sum(len(np.unique(each)) - 1 for each in objects) == OBJECTS


def _annotation(tree: Tree, reading: Reading, entry: Entry, height: int, width: int) -> Drawn:
    """Classes and objects, drawn or as the mask files have them."""
    if reading.shapes:
        return draw(reading, entry, height, width)
    classes, objects = (
        np.asarray(Image.open(io.BytesIO(tree.read(name or "")))) for name in (*entry.masks, entry.objects)
    )
    return Drawn(classes, np.where(classes == VOID, 0, objects))
