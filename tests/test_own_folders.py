"""Real folders in the layouts of their makers: read without a word, and prepared from what was read."""

import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from bakeoff.artefacts.prepared import Prepared, open_prepared
from bakeoff.artefacts.void import VOID
from bakeoff.config.schema import Folder
from bakeoff.datasets.archives.tree import open_tree
from bakeoff.datasets.folders.prepare import prepare_folder
from bakeoff.datasets.formats import read_folder, recognised
from bakeoff.datasets.formats.reading import Choices, Reading
from bakeoff.datasets.preparation.decode import Undecodable, decode
from bakeoff.datasets.splits.splitting import split_table
from PIL import Image

pytestmark = pytest.mark.real

SIZE = 64
Unpacked = Callable[[str], Path]


@pytest.fixture(scope="module")
def unpacked(own_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    """The folder of an archive, or of a case."""
    folder = tmp_path_factory.mktemp("own")

    def of(name: str) -> Path:
        whole = (own_images / f"{name}.zip").is_file()
        with zipfile.ZipFile(own_images / (f"{name}.zip" if whole else "cases.zip")) as archive:
            wanted = [each for each in archive.namelist() if whole or each.startswith(f"{name}/")]
            archive.extractall(folder / "whole" / name if whole else folder, wanted)
        return folder / "whole" / name if whole else folder / name

    return of


def read(folder: Path, **choices: Any) -> Reading:
    """A folder in the format that it is recognised as."""
    with open_tree(folder) as tree:
        found = recognised(tree)
        assert not found.reasons
        return read_folder(tree, Choices("mine", next(iter(found.formats)), **choices))


def prepared(folder: Path, reading: Reading, to: Path, **settings: Any) -> Prepared:
    """What `prepare` makes with every decision of a reading written down."""
    stated = {
        "path": str(folder), "format": reading.format, "size": SIZE, "channels": 3, "duplicates": {"distance": 6},
        "classes": dict(reading.classes) if reading.classes else None, "ignore": list(reading.ignore),
        "objects": reading.objects, **reading.choices,
    }  # fmt: skip
    if reading.classes:
        stated["background"] = reading.background or "none"
    entry = Folder.model_validate(stated | settings)
    prepare_folder("mine", {**entry.model_dump(), "classes": entry.class_values}, to / "prepared")
    return open_prepared(to / "prepared")


def findings(data: Prepared) -> Counter[str]:
    lines = (data.folder / "audit.csv").read_text().splitlines()[1:]
    return Counter(line.split(",")[1] for line in lines)


def test_nuclei_have_a_mask_file_an_object(unpacked: Unpacked, tmp_path: Path) -> None:
    folder = unpacked("nuclei")
    reading = read(folder)
    assert reading.format == "pairs"
    assert reading.choices["images"] == "stage1_train/{id}/images/*"
    assert reading.choices["masks"] == "stage1_train/{id}/masks/*"
    assert (len(reading.entries), reading.objects, reading.mask_of_object) == (72, True, True)
    assert sum(len(entry.masks) for entry in reading.entries) == 3352
    data = prepared(folder, reading, tmp_path)
    assert data.about["counts"]["used"] == 72
    objects = np.load(data.folder / "objects.npy")
    assert np.array_equal(objects > 0, data.true_masks() > 0)
    # The smallest of some images are less than half a pixel at this size.
    counts = [len(np.unique(each)) - 1 for each in objects]
    assert all(count <= len(entry.masks) for count, entry in zip(counts, reading.entries, strict=True))
    assert sum(counts) > 2800


def test_street_scenes_have_a_split_by_lists(unpacked: Unpacked, tmp_path: Path) -> None:
    folder = unpacked("street")
    reading = read(folder, background="none", ignore=[11])
    assert (len(reading.entries), reading.background, reading.ignore) == (165, None, (11,))
    assert list((reading.classes or {}).values()) == list(range(11))
    data = prepared(folder, reading, tmp_path)
    assert data.about["counts"]["by_label"]["split"] == {"test": 45, "train": 90, "validation": 30}
    assert data.about["background"] is None
    assert set(np.unique(data.true_masks())) == {*range(11), VOID}
    split = {"name": "by-label", "label": "split", "train": ["train"], "test": ["test"], "validation": ["validation"]}
    table = split_table(data.index, {**split, "stratify": [], "grouped": False, "seed": 0})
    assert Counter(table["split"]) == {"test": 45, "train": 90, "validation": 30}


def test_insects_are_classes_under_a_split(unpacked: Unpacked, tmp_path: Path) -> None:
    folder = unpacked("insects")
    reading = read(folder)
    assert reading.choices["images"] == "insects/{split}/{class}/{id}"
    data = prepared(folder, reading, tmp_path)
    assert data.about["counts"]["by_label"] == {
        "class": {"ants": 40, "bees": 40},
        "split": {"train": 48, "validation": 32},
    }
    assert findings(data)["system file"] == 1
    # Without a list for testing, what the folder calls val is tested on, and a share of train chooses.
    split = {"name": "by-label", "label": "split", "train": ["train"], "test": ["validation"], "validation": 0.25}
    table = split_table(data.index, {**split, "stratify": ["class"], "grouped": True, "seed": 0})
    assert Counter(table["split"]) == {"test": 32, "train": 36, "validation": 12}


@pytest.mark.parametrize(
    ("case", "format", "choices", "counts"),
    [
        ("mask-suffix", "pairs", {"images": "images/{id}", "masks": "masks/{id}_mask"}, {}),
        ("palette-masks", "pairs", {"images": "images/{id}", "masks": "masks/{id}"}, {}),
        ("class-names-0-1", "classes", {"images": "{class}/{id}"}, {"class": {"0": 12, "1": 12}}),
        (
            "train-val-classes",
            "classes",
            {"images": "{split}/{class}/{id}", "split": "folders"},
            {"class": {"cats": 18, "dogs": 18}, "split": {"train": 24, "validation": 12}},
        ),
        ("system-folders", "classes", {"images": "{class}/{id}"}, {"class": {"a": 10, "b": 10}}),
        ("same-stem", "classes", {"images": "{class}/{id}"}, {"class": {"a": 24, "b": 24}}),
        ("fixed-camera", "pairs", {"images": "images/{id}", "masks": "masks/{id}"}, {}),
        ("rgb16", "pairs", {"images": "images/{id}", "masks": "masks/{id}"}, {}),
        ("white-is-zero-16bit", "pairs", {"images": "images/{id}", "masks": "masks/{id}"}, {}),
    ],
)
def test_a_case_comes_in_whole(
    unpacked: Unpacked, tmp_path: Path, case: str, format: str, choices: dict[str, str], counts: dict[str, Any]
) -> None:
    folder = unpacked(case)
    reading = read(folder)
    assert reading.format == format
    assert reading.choices == {"split": "none", "group": "none", **choices}
    data = prepared(folder, reading, tmp_path)
    assert data.about["counts"]["used"] == len(reading.entries)
    assert data.about["counts"]["by_label"] == counts
    assert data.index["id"].is_unique
    if format == "pairs":
        assert len(data.classes) == 2
        assert data.true_masks().any(axis=(1, 2)).all()


def test_the_indices_of_a_palette_are_the_classes(unpacked: Unpacked, tmp_path: Path) -> None:
    folder = unpacked("palette-masks")
    data = prepared(folder, read(folder), tmp_path, size=72)
    stored = np.asarray(Image.open(folder / "masks" / "s00.png"))
    assert abs(data.true_masks()[0].mean() - (stored > 0).mean()) < 0.01


@pytest.mark.parametrize(("case", "most"), [("object-numbers-8bit", 9), ("object-numbers-16bit", 400)])
def test_numbers_of_objects_are_one_class(unpacked: Unpacked, tmp_path: Path, case: str, most: int) -> None:
    folder = unpacked(case)
    reading = read(folder)
    assert (reading.classes, reading.objects) == ({"background": 0, "object": 1}, True)
    data = prepared(folder, reading, tmp_path)
    assert 3 < np.load(data.folder / "objects.npy").max() < most
    assert set(np.unique(data.true_masks())) == {0, 1}


def test_void_is_named_and_an_unnamed_level_of_it_is_said(unpacked: Unpacked, tmp_path: Path) -> None:
    folder = unpacked("void")
    assert "If 11 is void, pixels without an answer, and no class, state it in ignore." in read(folder).details
    data = prepared(folder, read(folder, ignore=[11]), tmp_path)
    assert set(np.unique(data.true_masks())) == {0, 1, 2, VOID}


@pytest.mark.parametrize("orientation", ["as-stored", "upright"])
def test_orientation_tags_are_said(unpacked: Unpacked, tmp_path: Path, orientation: str) -> None:
    folder = unpacked("orientation-tag")
    data = prepared(folder, read(folder), tmp_path, orientation=orientation)
    said = [line for line in (data.folder / "audit.csv").read_text().splitlines() if "orientation tag" in line]
    assert len(said) == 20
    assert all(("used as stored" in line) == (orientation == "as-stored") for line in said)
    # What the masks cover is brighter than the rest where images and masks are turned alike.
    grey, masks = data.images.mean(axis=3), data.true_masks() > 0
    assert (grey[masks].mean() - grey[~masks].mean() > 60) == (orientation == "upright")


def test_transparency_in_place_of_masks_is_one_sentence(unpacked: Unpacked) -> None:
    with pytest.raises(Exception, match="are of one colour, and their transparency holds the mask"):
        read(unpacked("mask-in-alpha"))


def test_frames_of_a_fixed_camera_are_one_group(unpacked: Unpacked, tmp_path: Path) -> None:
    folder = unpacked("fixed-camera")
    data = prepared(folder, read(folder), tmp_path)
    assert data.index["group"].nunique() == 1
    shares = {"train": 0.7, "validation": 0.15, "test": 0.15}
    with pytest.raises(Exception, match="counted once there are 1, and 3 are needed: add images, or take the split"):
        split_table(data.index, {"name": "stratified", **shares, "stratify": [], "seed": 0})


def test_system_folders_and_classes_of_one_image_are_passed_over(unpacked: Unpacked, tmp_path: Path) -> None:
    folder = unpacked("system-folders")
    data = prepared(folder, read(folder), tmp_path)
    assert data.about["counts"] == {"listed": 21, "used": 20, "dropped": 1, "by_label": {"class": {"a": 10, "b": 10}}}
    assert findings(data) == {"system file": 1, "class passed over": 1, "small images": 1}


def test_where_zero_is_white_images_are_read_as_shown(unpacked: Unpacked, tmp_path: Path) -> None:
    folder = unpacked("white-is-zero-16bit")
    data = prepared(folder, read(folder), tmp_path, size=72, channels=1, levels=[0, 65535])
    inverted = 0
    for row, source in enumerate(data.index["source"]):
        with tifffile.TiffFile(folder / source) as file:
            page = file.pages.first
            levels = page.asarray().astype(np.float64)
            if page.photometric.name == "MINISWHITE":
                inverted += 1
                levels = 65535 - levels
        # The height is that of the file; the width is shrunk, which keeps the mean.
        assert data.images[row].mean() == pytest.approx(levels.mean() / 257, abs=0.5)
    assert inverted == 6
    assert findings(data)["wrong mode"] == 12


def test_sixteen_bits_a_colour_are_not_black(unpacked: Unpacked, tmp_path: Path) -> None:
    folder = unpacked("rgb16")
    data = prepared(folder, read(folder), tmp_path)
    for row, source in enumerate(data.index["source"]):
        expected = np.rint(tifffile.imread(folder / source) * (255 / 4095))
        assert np.array_equal(data.images[row], expected)


def test_a_drawing_named_jpg_is_one_sentence(unpacked: Unpacked) -> None:
    file = next(path for path in unpacked("eps-named-jpg").rglob("*.jpg") if path.read_bytes().startswith(b"%!PS"))
    with pytest.raises(Undecodable, match="it is an EPS file, which only another program can draw: export it as PNG"):
        decode(file.read_bytes(), 3)
