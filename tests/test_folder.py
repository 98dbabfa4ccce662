"""Folders of one's own images, read without code; and the documentation of it, run as it stands."""

import importlib
import io
import json
import logging
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import bakeoff.datasets.sources as sources
import numpy as np
import pandas as pd
import pytest
import yaml
from bakeoff import config as config
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.prepared import open_prepared
from bakeoff.artefacts.void import VOID
from bakeoff.config.schema import Dataset, Folder
from bakeoff.datasets.archives.records import Finding, Member, Record
from bakeoff.datasets.folders.prepare import ids_of, prepare_folder
from bakeoff.datasets.preparation.decode import Undecodable, resize_classes
from bakeoff.datasets.preparation.mask_files import MaskReader, object_numbers
from bakeoff.datasets.preparation.objects import resize_objects
from bakeoff.datasets.preparation.prepare import prepare
from drawn_folders import write
from PIL import ExifTags, Image

ROOT = Path(__file__).resolve().parent.parent
GUIDE = (ROOT / "docs" / "adding-a-dataset.md").read_text(encoding="utf-8")
PAIRS = {"format": "pairs", "images": "images/{id}", "masks": "masks/{id}", "classes": ["background", "square"]}
CLASSES = {"format": "classes", "images": "{class}/{id}"}
SIDE = 16


def png(levels: list[list[int]] | np.ndarray, mode: str | None = None) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(np.array(levels, np.uint8 if np.max(levels) < 256 else np.uint16))
    if mode == "P":  # indices whose colours are far from them
        image = image.convert("L")
        image.putpalette([0, 0, 0, 200, 10, 10, 10, 200, 10, 10, 10, 200])
    image.save(buffer, "PNG")
    return buffer.getvalue()


def picture(seed: int) -> bytes:
    return png(np.random.default_rng(seed).integers(0, 255, (SIDE, SIDE, 3)))


def square(level: int = 255, ground: int = 0, at: int = 4) -> np.ndarray:
    mask = np.full((SIDE, SIDE), ground)
    mask[at : at + 8, 4:12] = level
    return mask


def prepared(tmp_path: Path, files: dict[str, bytes], **settings: Any) -> Path:
    """What `prepare` makes of files with an entry of `folders`."""
    root = write(tmp_path / "mine", files)
    stated = {"path": str(root), "size": SIDE, "channels": 3, "duplicates": {"distance": 0}, **settings}
    entry = Folder.model_validate(stated)
    prepare_folder("mine", {**entry.model_dump(), "classes": entry.class_values}, tmp_path / "prepared")
    return tmp_path / "prepared"


def refused(tmp_path: Path, files: dict[str, bytes], **settings: Any) -> str:
    with pytest.raises(BakeoffError) as error:
        prepared(tmp_path, files, **settings)
    sentence = str(error.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert not (tmp_path / "prepared").exists()
    return sentence


def pairs(*masks: np.ndarray, mode: str | None = None) -> dict[str, bytes]:
    files = {f"images/{number}.png": picture(number) for number in range(len(masks))}
    return files | {f"masks/{number}.png": png(mask, mode) for number, mask in enumerate(masks)}


def about(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "dataset.json").read_text())
    return found


def audit(folder: Path) -> list[tuple[str, str]]:
    table = pd.read_csv(folder / "audit.csv", dtype=str, keep_default_na=False)
    return list(zip(table["file"], table["finding"], strict=True))


# Images and masks


def test_a_folder_is_prepared_like_every_other_data_set(tmp_path: Path) -> None:
    files = pairs(*(square(at=row) for row in range(6)), square(7))
    data = open_prepared(prepared(tmp_path, files, title="Squares", licence="CC0", citation="Me, 2020", **PAIRS))
    assert data.classes == ["background", "square"]
    assert (data.about["background"], data.about["objects"], data.about["channels"]) == (0, False, 3)
    assert (data.about["title"], data.about["licence"], data.about["citation"]) == ("Squares", "CC0", "Me, 2020")
    assert data.about["source"] is None
    assert data.about["provenance"] == {"files": [], "folder": str(tmp_path / "mine"), "synthetic": False}
    assert data.about["counts"] == {"listed": 7, "used": 6, "dropped": 1, "by_label": {}}
    assert data.index["id"].tolist() == list("012345")
    assert data.index["source"][0] == "images/0.png"
    assert np.array_equal(data.true_masks(), np.stack([square(at=row) > 0 for row in range(6)]))
    assert data.images.shape == (6, SIDE, SIDE, 3)
    assert audit(data.folder) == [("masks/6.png", "label outside the list")]


def test_a_zip_is_read_in_place(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as opened:
        for name, content in pairs(*(square(at=row) for row in range(4))).items():
            opened.writestr(name, content)
    folder = prepared(tmp_path, {}, **{**PAIRS, "path": str(tmp_path / "mine.zip")})
    assert about(folder)["counts"]["used"] == 4


def test_a_missing_folder_is_one_sentence(tmp_path: Path) -> None:
    sentence = refused(tmp_path, {"x": b""}, **{**PAIRS, "path": "nowhere"})
    assert sentence == "folders.mine.path: there is no folder nowhere: correct the path or remove the entry."


@pytest.mark.parametrize(
    ("key", "format"), [("masks", "pairs"), ("classes", "pairs"), ("images", "classes"), ("labels", "table")]
)
def test_a_decision_that_is_not_stated_is_not_made(key: str, format: str) -> None:
    stated = {**PAIRS, "path": "mine", "size": 16, "channels": 3, "duplicates": {"distance": 0}, "format": format}
    with pytest.raises(ValueError, match=f"'{key}' is missing, which format {format} needs"):
        Folder.model_validate({name: value for name, value in stated.items() if name != key})


def test_what_is_left_out_is_counted_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = pairs(*(square(at=row) for row in range(6)))
    del files["masks/4.png"], files["masks/5.png"]
    strays = {"a.jfif.bak": b"", "b.xyz": b"", "c.xyz": b"", "masks/9.png": png(square()), ".DS_Store": b""}
    with caplog.at_level(logging.INFO):
        folder = prepared(tmp_path, files | strays, **PAIRS)
    assert about(folder)["counts"] == {"listed": 6, "used": 4, "dropped": 2, "by_label": {}}
    assert audit(folder) == [
        (".DS_Store", "system file"),
        ("images/4.png", "missing mask"),
        ("images/5.png", "missing mask"),
        ("masks/9.png", "mask without image"),
        ("a.jfif.bak", "passed over"),
        ("b.xyz", "passed over"),
    ]
    said = caplog.messages[-1]
    assert said.startswith(
        "mine: 4 of 6 images used; left out: missing mask (2); 3 files passed over: .bak (1), .xyz (2); 6 findings"
    )


def test_more_than_half_of_the_images_lost_for_one_reason_is_a_failure(tmp_path: Path) -> None:
    masks = [square(at=row) for row in range(3)] + [np.where(square() > 0, 1, 11)] * 4
    assert refused(tmp_path, pairs(*masks), **PAIRS) == (
        "mine: 4 of 7 images would be left out for one reason, label outside the list (the first: masks/3.png, levels "
        "11 are not among classes (0, 1, 255): add them there, or to ignore if void): correct the files, or what the "
        "configuration says of them."
    )


def test_void_is_no_class_and_counts_nowhere(tmp_path: Path) -> None:
    masks = [np.where(np.arange(SIDE)[:, None] < 4, 11, square(1, at=6 + row)) for row in range(3)]
    folder = prepared(tmp_path, pairs(*masks), **PAIRS, ignore=[11])
    found = np.load(folder / "masks.npy")
    assert (found[:, :4] == VOID).all()
    assert np.array_equal(found[:, 4:], np.stack(masks)[:, 4:])


def test_without_a_background_every_class_counts(tmp_path: Path) -> None:
    masks = [square(1, at=row) for row in range(3)] + [np.zeros((SIDE, SIDE))]
    folder = prepared(tmp_path, pairs(*masks), **PAIRS, background="none")
    assert about(folder)["background"] is None
    assert about(folder)["counts"]["used"] == 4, "a mask of the first class alone is not blank"


@pytest.mark.parametrize("mode", ["P", None])
def test_the_indices_of_a_palette_are_the_levels(tmp_path: Path, mode: str | None) -> None:
    masks = [np.where(square() > 0, 2, np.arange(SIDE)[:, None] < row) for row in range(1, 4)]
    folder = prepared(tmp_path, pairs(*masks, mode=mode), **{**PAIRS, "classes": ["a", "b", "c"]})
    assert np.array_equal(np.load(folder / "masks.npy"), np.stack(masks))


@pytest.mark.parametrize("orientation", ["as-stored", "upright"])
def test_an_orientation_tag_is_a_finding_and_a_setting_decides(tmp_path: Path, orientation: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    files = pairs(*(square(at=row) for row in range(3)))
    stored = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(stored).save(buffer, "PNG", exif=exif)
    files["images/0.png"] = buffer.getvalue()
    folder = prepared(tmp_path, files, **PAIRS, orientation=orientation)
    assert audit(folder) == [("images/0.png", "orientation tag")]
    expected = stored if orientation == "as-stored" else stored[::-1, ::-1]
    assert np.array_equal(np.load(folder / "images.npy")[0], expected)


def test_colours_of_masks_by_their_names(tmp_path: Path) -> None:
    colours = np.array([[0, 0, 0], [255, 0, 0], [7, 7, 7]])
    classes = [np.where(square(at=row) > 0, 1, 0) for row in range(3)]
    classes[2][0] = 2
    files = {f"images/{n}.png": picture(n) for n in range(3)}
    files |= {f"masks/{n}.png": png(colours[each]) for n, each in enumerate(classes)}
    stated = {**PAIRS, "classes": {"ground": "#000000", "leaf": ["#ff0000"]}, "ignore": ["#070707"]}
    found = np.load(prepared(tmp_path, files, **stated) / "masks.npy")
    assert np.array_equal(found, np.where(np.stack(classes) == 2, VOID, np.stack(classes)))


def test_an_image_with_a_class_may_have_nothing_to_mark(tmp_path: Path) -> None:
    files = {f"images/{name}.png": picture(seed) for seed, name in enumerate(("ill/1", "ill/2", "well/1"))}
    files |= {f"masks/{name}.png": png(square(at=at)) for at, name in ((2, "ill/1"), (3, "ill/2"))}
    files |= {"masks/well/1.png": png(square(0))}
    data = open_prepared(
        prepared(tmp_path, files, **{**PAIRS, "images": "images/{class}/{id}", "masks": "masks/{class}/{id}"})
    )
    assert data.true_masks().any(axis=(1, 2)).tolist() == [True, True, False]
    assert data.index["class"].tolist() == ["ill", "ill", "well"]
    assert data.about["targets"] == ["class"]


def test_empty_masks_are_left_out_or_kept_as_the_configuration_says(tmp_path: Path) -> None:
    masks = [square(), square(at=2), square(0), square(0)]
    assert about(prepared(tmp_path / "drop", pairs(*masks), **PAIRS))["counts"]["used"] == 2
    kept = prepared(tmp_path / "keep", pairs(*masks, square(0)), **PAIRS, empty_masks="keep")
    assert np.load(kept / "masks.npy").any(axis=(1, 2)).tolist() == [True, True, False, False, False]
    assert refused(tmp_path / "most", pairs(*masks, square(0)), **PAIRS) == (
        "mine: 3 of 5 images would be left out for one reason, blank mask (the first: masks/2.png, the mask is empty): "
        "state empty_masks: keep if there is nothing to mark on them, or annotate them."
    )


# Objects


def test_a_mask_file_an_object(tmp_path: Path) -> None:
    files = {}
    for number in range(3):
        files[f"set/{number}/images/photo.png"] = picture(number)
        large, small = square(), np.zeros((SIDE, SIDE))
        small[6:8, 6 + number] = 255
        files |= {f"set/{number}/masks/a.png": png(small), f"set/{number}/masks/b.png": png(large)}
    stated = {**PAIRS, "images": "set/{id}/images/*", "masks": "set/{id}/masks/*", "objects": True}
    folder = prepared(tmp_path, files, **stated)
    objects = np.load(folder / "objects.npy")
    assert about(folder)["objects"] is True
    assert objects.dtype == np.uint16
    for number, each in enumerate(objects):
        expected = np.where(square() > 0, 2, 0)
        expected[6:8, 6 + number] = 1  # the smaller lies on top
        assert np.array_equal(each, expected)
    assert np.array_equal(np.load(folder / "masks.npy"), objects > 0)


def test_numbers_of_objects_are_one_class(tmp_path: Path) -> None:
    masks = [square(300 + number, at=number) + np.pad(np.full((2, 2), 7), ((13, 1), (0, 14))) for number in range(3)]
    folder = prepared(tmp_path, pairs(*masks), **PAIRS, objects=True)
    assert np.array_equal(np.load(folder / "objects.npy"), np.stack(masks))
    assert np.array_equal(np.load(folder / "masks.npy"), np.stack(masks) > 0)


def test_shapes_are_drawn_with_their_objects(tmp_path: Path) -> None:
    files = {}
    for number in range(3):
        corners = [[2, number], [6, number], [6, 8], [2, 8]]
        shapes = [{"label": "cell", "shape_type": "polygon", "points": corners}] if number else []
        files[f"{number}.png"] = picture(number)
        annotation = {"imagePath": f"{number}.png", "imageHeight": SIDE, "imageWidth": SIDE, "shapes": shapes}
        files[f"{number}.json"] = json.dumps({"version": "5.4.1", **annotation}).encode()
    stated = {"format": "labelme", "classes": {"background": None, "cell": "cell"}, "objects": True}
    folder = prepared(tmp_path, files, **stated)
    masks = np.load(folder / "masks.npy")
    assert about(folder)["counts"]["used"] == 3, "nothing found on an image that was annotated is an answer"
    assert masks.sum(axis=(1, 2)).tolist() == [0, 28, 24]
    assert np.array_equal(np.load(folder / "objects.npy"), masks)


def test_objects_keep_their_numbers_where_classes_are_resized() -> None:
    objects = np.zeros((8, 8), np.uint16)
    objects[1:4, 1:4], objects[4:7, 5:8] = 9, 300
    stored = (objects > 0).astype(np.uint8)
    classes = resize_classes(stored, (4, 4))
    resized = resize_objects(objects, stored, classes, background=True)
    assert np.array_equal(resized > 0, classes > 0)
    assert set(resized[:2, :2].ravel()) - {0} == {9}
    assert set(resized[2:, 2:].ravel()) - {0} == {300}
    void = np.full((8, 8), VOID, np.uint8)
    assert not resize_objects(objects, np.full((8, 8), VOID, np.uint8), void, background=False).any()


def test_a_crowd_is_of_no_object_beside_one_either() -> None:
    stored = np.array([[1, 1, 1, 0]], np.uint8).repeat(4, axis=0)
    objects = np.array([[5, 0, 0, 0]], np.uint16).repeat(4, axis=0)
    assert np.array_equal(resize_objects(objects, stored, stored, background=True), objects)


def test_void_is_resized_like_a_class_and_loses_ties() -> None:
    classes = np.array([[VOID, VOID, 1, VOID], [VOID, 0, 1, VOID]], np.uint8).repeat(2, axis=0)
    assert resize_classes(classes, (2, 2)).tolist() == [[VOID, 1], [0, 1]]


def test_numbers_beyond_16_bits_are_numbered_anew() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.array([[0, 70_000], [5, 90_000]], np.int32)).save(buffer, "TIFF")
    assert object_numbers(buffer.getvalue()).tolist() == [[0, 2], [1, 3]]
    with pytest.raises(Undecodable, match="it has colours"):
        object_numbers(picture(0))


@pytest.mark.parametrize(
    ("classes", "ignore", "levels", "expected"),
    [
        ({"a": 0, "b": [1, 255]}, (), [[0, 1, 255]], [[0, 1, 1]]),
        ({"a": 0, "b": 3}, (255,), [[0, 3, 255]], [[0, 1, VOID]]),
        ({"a": 5, "b": 300}, (), [[5, 300]], [[0, 1]]),
        ({"a": None, "b": 2, "c": "0"}, (), [[2, 0]], [[1, 2]]),
    ],
)
def test_levels_become_classes(classes: Any, ignore: Any, levels: list[list[int]], expected: list[list[int]]) -> None:
    found = MaskReader(classes, ignore, threshold=None, numbers=False)(png(levels))
    assert found.classes.dtype == np.uint8
    assert found.classes.tolist() == expected


def test_a_threshold_makes_classes_of_smoothed_masks() -> None:
    reader = MaskReader({"a": 0, "b": 1}, (), threshold=128, numbers=False)
    assert reader(png([[0, 127, 128, 255]])).classes.tolist() == [[0, 0, 1, 1]]


def test_what_is_no_class_is_said_by_its_value() -> None:
    reader = MaskReader({"a": 0, "b": 1}, (), threshold=None, numbers=False)
    with pytest.raises(ValueError, match=r"levels 3, 4, 5, 6, 7, 8, 9, 10 and 2 more are not among classes \(0, 1\)"):
        reader(png([[0, *range(3, 13)]]))
    with pytest.raises(ValueError, match="it has colours, and classes names none"):
        reader(picture(0))
    coloured = MaskReader({"a": "#000000", "b": "#00ff00"}, (), threshold=None, numbers=False)
    with pytest.raises(ValueError, match="colours #010101 are not among classes"):
        coloured(png([[0, 1]]))
    with pytest.raises(ValueError, match="'red' is no level, and no colour"):
        MaskReader({"a": 0, "b": "red"}, (), threshold=None, numbers=False)


# Classes, splits, groups


@pytest.mark.parametrize("names", [("0", "1"), ("001", "01"), ("True", "False"), ("nan", "1e5")])
def test_names_of_classes_stay_as_they_are(tmp_path: Path, names: tuple[str, str]) -> None:
    files = {f"{name}/{n}.png": picture(10 * at + n) for at, name in enumerate(names) for n in range(4)}
    data = open_prepared(prepared(tmp_path, files, **CLASSES))
    assert data.targets("class") == sorted(names)
    assert data.index["class"].tolist() == sorted([*names] * 4)
    assert data.masks is None


def test_classes_that_are_not_stated_are_not_images_that_are_lost(tmp_path: Path) -> None:
    files = {f"{kind}/{n}.png": picture(10 * at + n) for at, kind in enumerate("abcdef") for n in range(3)}
    folder = prepared(tmp_path, files, **CLASSES, classes={"first": "a", "others": ["b", "c"]})
    assert about(folder)["counts"] == {
        "listed": 9, "used": 9, "dropped": 0, "by_label": {"class": {"first": 3, "others": 6}}
    }  # fmt: skip
    assert audit(folder) == [(f"{kind}/{n}.png", "class not used") for kind in "def" for n in range(3)]


def test_two_pictures_of_one_name_are_both_used(tmp_path: Path) -> None:
    files = {
        f"{kind}/0{suffix}": picture(n)
        for n, (kind, suffix) in enumerate([("a", ".png"), ("a", ".bmp"), ("b", ".png"), ("b", ".bmp")])
    }
    files |= {"a/1.png": picture(8), "b/1.png": picture(9)}
    data = open_prepared(prepared(tmp_path, files, **CLASSES))
    assert data.index["id"].tolist() == ["a/0.bmp", "a/0.png", "a/1", "b/0.bmp", "b/0.png", "b/1"]


def test_the_split_of_the_folder_is_a_label(tmp_path: Path) -> None:
    files = {
        f"{part}/{kind}/{n}.png": picture(10 * (part == "valid") + 5 * (kind == "b") + n)
        for part in ("Train", "valid")
        for kind in "ab"
        for n in range(3)
    }
    data = open_prepared(prepared(tmp_path, files, **{**CLASSES, "images": "{split}/{class}/{id}"}, split="folders"))
    assert data.index["split"].tolist() == ["train"] * 6 + ["validation"] * 6
    assert data.about["targets"] == ["class"]
    assert data.about["counts"]["by_label"]["split"] == {"train": 6, "validation": 6}


def test_groups_of_the_folder_and_near_duplicates_are_united(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pixels = [random.integers(0, 255, (SIDE, SIDE, 3)) for _ in range(5)]
    pixels[4] = np.clip(pixels[1] + 1, 0, 255)  # of P2, and like one of P1
    files = {f"images/P{1 + n // 2}_{n}.png": png(each) for n, each in enumerate(pixels[:4])}
    files |= {"images/P3_4.png": png(pixels[4])}
    files |= {name.replace("images", "masks"): png(square(at=at)) for at, name in enumerate(files)}
    folder = prepared(tmp_path, files, **PAIRS, group=r"(P\d+)_")
    assert open_prepared(folder).index["group"].tolist() == ["P1_0", "P1_0", "P2_2", "P2_2", "P1_0"]


def test_ids_are_paths_without_what_all_share() -> None:
    assert ids_of(["x/images/b.png", "x/images/a.png"]) == ["b", "a"]
    assert ids_of(["a/0.jpg", "a/0.png", "b/0.png"]) == ["a/0.jpg", "a/0.png", "b/0"]
    assert ids_of(["1/images/p.png", "2/images/p.png"]) == ["1/images/p", "2/images/p"]


# The documentation


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def leafspots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The guide's package, imported from a place of its own as `bakeoff.datasets.sources.leafspots`."""
    (code,) = code_blocks("python")
    write(tmp_path / "datasets", {"leafspots/__init__.py": code.encode()})
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(tmp_path / "datasets")])
    yield importlib.import_module("bakeoff.datasets.sources.leafspots")
    del sys.modules["bakeoff.datasets.sources.leafspots"]


def leaf_archive(raw: Path, archive: str, files: dict[str, bytes]) -> Path:
    raw.mkdir()
    with zipfile.ZipFile(raw / archive, "w") as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return raw


def test_the_guides_package_reads_its_archive(leafspots: ModuleType, tmp_path: Path) -> None:
    names = ["photos/rice_002_d.jpg", "photos/maize_001_h.jpg", "photos/wheat_003_h.jpg", "photos/oats_001_h.jpg"]
    names += ["drawn/rice_002_d.png", "drawn/maize_001_h.png", "drawn/rice_009_d.png"]
    raw = leaf_archive(tmp_path / "raw", leafspots.FILES[0].name, dict.fromkeys(names, b""))
    listing = leafspots.listing(raw)
    assert listing.records == [
        Record(
            id_,
            Member("leafspots.zip", f"photos/{id_}.jpg"),
            (Member("leafspots.zip", f"drawn/{id_}.png"),),
            {"crop": crop, "health": health},
        )
        for id_, crop, health in [("maize_001_h", "maize", "healthy"), ("rice_002_d", "rice", "diseased")]
    ]
    assert listing.findings == [
        Finding("photos/wheat_003_h.jpg", "missing mask", "dropped", "there is no drawn/wheat_003_h.png"),
        Finding("drawn/rice_009_d.png", "mask without image", "dropped", "no photograph belongs to it"),
        Finding("photos/oats_001_h.jpg", "stray file", "dropped", "no leaf is named so"),
    ]
    assert listing.listed == 3


def test_the_guides_package_knows_its_classes(leafspots: ModuleType) -> None:
    assert leafspots.classes_of(np.array([[0, 128], [255, 0]], np.uint8)).tolist() == [[0, 1], [2, 0]]
    with pytest.raises(ValueError, match="grey level 7 is no class"):
        leafspots.classes_of(np.array([[0, 7, 128]], np.uint8))


def test_the_guides_package_is_short_and_can_be_prepared(leafspots: ModuleType, tmp_path: Path) -> None:
    assert len(code_blocks("python")[0].splitlines()) <= 80
    files = {}
    for seed in range(4):
        name = f"maize_{seed:03}_{'hd'[seed % 2]}"
        files[f"photos/{name}.jpg"], files[f"drawn/{name}.png"] = picture(seed), png(square(at=seed))
    raw = leaf_archive(tmp_path / "raw", leafspots.FILES[0].name, files)
    (raw / "source.json").write_text(json.dumps({"files": [{"official": False}], "synthetic": False}))
    prepare("leafspots", "leafspots", raw, tmp_path / "prepared", size=16, distance=0)
    about = json.loads((tmp_path / "prepared" / "dataset.json").read_text())
    assert about["counts"]["by_label"] == {"crop": {"maize": 4}, "health": {"diseased": 2, "healthy": 2}}
    audit = (tmp_path / "prepared" / "audit.csv").read_text()
    assert "4 images are listed, 900 were published" in audit


def test_the_guides_entries_are_the_configurations() -> None:
    own, published = (yaml.safe_load(block) for block in code_blocks("yaml"))
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["folders"] |= own["folders"]
    values["tasks"] |= own["tasks"]
    values["experiments"]["baselines"] |= own["experiments"]["baselines"]
    assert config.check_config(values).folders["mine"].class_values == {"background": 0, "cell": 255}
    named = set(re.findall(r"^\| (`.*?) \|", GUIDE, re.MULTILINE))
    keys = {key for cell in named for key in re.findall(r"`(\w+)`", cell)}
    assert keys >= set(Folder.model_fields)
    assert Dataset.model_validate(published["datasets"]["leafspots"]).source == "leafspots"


def test_the_guides_commands_exist() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    named = re.findall(r"dvc repro ([a-z-]+)@(\w+)", GUIDE)
    assert sorted(named) == [("prepare", "leafspots"), ("prepare-folder", "mine")]
    assert {stages[stage]["foreach"] for stage, _ in named} == {"${datasets}", "${folders}"}
