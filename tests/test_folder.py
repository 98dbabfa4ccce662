"""Folders of one's own images, read without code; and the documentation of it, run as it stands."""

import importlib
import io
import json
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import bakeoff.datasets.sources as sources
import numpy as np
import pytest
import yaml
from bakeoff import config as config
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.config.schema import Dataset
from bakeoff.datasets.archives.records import Finding, Listing, Member, Record
from bakeoff.datasets.folders.facts import FolderFacts, facts
from bakeoff.datasets.folders.prepare import prepare_folder
from bakeoff.datasets.preparation.prepare import prepare
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
GUIDE = (ROOT / "docs" / "adding-a-dataset.md").read_text(encoding="utf-8")
NOTHING_SAID = {"title": None, "channels": 1, "classes": None, "licence": None, "citation": None}


def png(levels: list[list[int]] | np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.array(levels, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


GREY = png([[0, 40], [80, 120]])
MASK = png([[0, 255], [255, 0]])


def write(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def read(tmp_path: Path, files: dict[str, bytes], **settings: Any) -> tuple[FolderFacts, Listing]:
    root = write(tmp_path / "mine", files)
    found = facts("mine", root, {**NOTHING_SAID, **settings})
    return found, found.listing(root)


def prepared(tmp_path: Path, files: dict[str, bytes], **settings: Any) -> Path:
    root = write(tmp_path / "mine", files)
    stated = {**NOTHING_SAID, "path": str(root), "size": 16, "duplicates": {"distance": 6}, **settings}
    prepare_folder("mine", stated, tmp_path / "prepared")
    return tmp_path / "prepared"


def refused(error: pytest.ExceptionInfo[BakeoffError]) -> str:
    sentence = str(error.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


def findings(listing: Listing) -> list[tuple[str, str]]:
    assert all(finding.consequence == "dropped" and finding.detail for finding in listing.findings)
    return [(finding.file, finding.finding) for finding in listing.findings]


# Layouts


def test_images_and_masks_of_the_same_name(tmp_path: Path) -> None:
    facts, listing = read(
        tmp_path,
        {"images/b.jpg": GREY, "masks/b.png": MASK, "images/a (1).png": GREY, "masks/a (1).TIF": MASK},
    )
    assert listing.records == [
        Record("a (1)", Member("mine", "images/a (1).png"), (Member("mine", "masks/a (1).TIF"),), {}),
        Record("b", Member("mine", "images/b.jpg"), (Member("mine", "masks/b.png"),), {}),
    ]
    assert (listing.findings, listing.listed) == ([], 2)
    assert facts.CLASSES == ("background", "foreground")
    assert facts.TARGETS == facts.STRATA == ()


def test_one_folder_a_class(tmp_path: Path) -> None:
    facts, listing = read(tmp_path, {"dog/1.png": GREY, "cat/1.png": GREY, "cat/young/2.png": GREY})
    assert [(record.id, record.labels, record.masks) for record in listing.records] == [
        ("cat/1", {"class": "cat"}, ()),
        ("cat/young/2", {"class": "cat"}, ()),
        ("dog/1", {"class": "dog"}, ()),
    ]
    assert facts.CLASSES == ()
    assert facts.TARGETS == facts.STRATA == ("class",)


def test_classes_and_masks_where_nothing_to_mark_may_be_the_truth(tmp_path: Path) -> None:
    files = {f"{top}/{name}.png": GREY for top in ("images", "masks") for name in ("ill/1", "well/1")}
    _, listing = read(tmp_path, files)
    assert [(record.id, record.labels["class"], record.masks[0].name) for record in listing.records] == [
        ("ill/1", "ill", "masks/ill/1.png"),
        ("well/1", "well", "masks/well/1.png"),
    ]
    assert all(record.blank_mask == "allowed" for record in listing.records)


def test_marked_and_blank_masks_of_classes_are_both_prepared(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    files = {f"images/{name}.png": png(random.integers(0, 255, (24, 24))) for name in ("ill/1", "ill/2", "well/1")}
    square = np.pad(np.full((8, 8), 255), 8)
    files |= {"masks/ill/1.png": png(square), "masks/ill/2.png": png(square), "masks/well/1.png": png(0 * square)}
    masks = np.load(prepared(tmp_path, files) / "masks.npy")
    assert masks.any(axis=(1, 2)).tolist() == [True, True, False]


def test_class_folders_beside_masks(tmp_path: Path) -> None:
    _, listing = read(
        tmp_path, {"cat/1.png": GREY, "dog/1.png": GREY, "masks/cat/1.png": MASK, "masks/dog/1.png": MASK}
    )
    assert [(record.image.name, record.masks[0].name) for record in listing.records] == [
        ("cat/1.png", "masks/cat/1.png"),
        ("dog/1.png", "masks/dog/1.png"),
    ]


def test_one_subfolder_is_no_class(tmp_path: Path) -> None:
    facts, listing = read(tmp_path, {"Images/day1/a.png": GREY, "Masks/day1/a.png": MASK})
    assert facts.TARGETS == ()
    assert [(record.id, record.labels) for record in listing.records] == [("day1/a", {})]


def test_many_classes_are_learnt_and_scores_not_broken_down_by_them(tmp_path: Path) -> None:
    facts, _ = read(tmp_path, {f"class{number}/1.png": GREY for number in range(13)})
    assert (facts.TARGETS, facts.STRATA) == (("class",), ())


def test_what_has_no_partner_class_or_picture_is_a_finding(tmp_path: Path) -> None:
    images = {"images/a/1.png": GREY, "images/b/1.png": GREY, "images/b/1.jpg": GREY, "images/b/2.png": GREY}
    strays = {"images/3.png": GREY, "images/a/Thumbs.db": b"", "read me.txt": b"", "masks/a/9.png": MASK}
    _, listing = read(tmp_path, images | strays | {"masks/a/1.png": MASK, "masks/b/1.png": MASK})
    assert [record.id for record in listing.records] == ["a/1", "b/1"]
    assert listing.listed == 4
    assert sorted(findings(listing)) == [
        ("images/3.png", "stray file"),
        ("images/a/Thumbs.db", "system file"),
        ("images/b/1.png", "stray file"),
        ("images/b/2.png", "missing mask"),
        ("masks/a/9.png", "mask without image"),
        ("read me.txt", "stray file"),
    ]


def test_letters_written_in_two_ways_are_one_name(tmp_path: Path) -> None:
    _, listing = read(tmp_path, {"images/e\N{COMBINING ACUTE ACCENT}.png": GREY, "masks/é.png": MASK})
    assert [record.id for record in listing.records] == ["é"]


@pytest.mark.parametrize(
    ("files", "settings", "words"),
    [
        ({"images/notes.txt": b""}, {}, r"folders\.mine\.path: there is no image"),
        ({"masks/a.png": MASK}, {}, r"folders\.mine\.path: there is no image"),
        ({"images/a.png": GREY}, {}, r"folders\.mine\.path: its images have no annotations"),
        ({"cat/a.png": GREY}, {}, r"folders\.mine\.path: its images have no annotations"),
        ({"cat/a.png": GREY, "dog/a.png": GREY}, {"classes": ["background", "cat"]}, r"folders\.mine\.classes names"),
    ],
)
def test_a_folder_from_which_nothing_can_be_learnt_is_one_sentence(
    tmp_path: Path, files: dict[str, bytes], settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(BakeoffError, match=words) as error:
        read(tmp_path, files, **settings)
    refused(error)


# Masks


def with_masks(tmp_path: Path, *masks: bytes, **settings: Any) -> FolderFacts:
    pictures = {f"images/{number}.png": GREY for number in range(len(masks))}
    return read(tmp_path, pictures | {f"masks/{n}.png": mask for n, mask in enumerate(masks)}, **settings)[0]


@pytest.mark.parametrize(
    ("masks", "classes"),
    [
        ([[[0, 255]]], ("background", "foreground")),
        ([[[0, 1]]], ("background", "foreground")),
        ([[[0, 0]]], ("background", "foreground")),
        ([[[0, 1]], [[0, 255]]], ("background", "foreground")),
        ([[[0, 1]], [[3, 0]]], ("background", "class 1", "class 2", "class 3")),
        ([[[0, 2]], [[0, 200]]], ("background", "class 1", "class 2")),
    ],
)
def test_classes_are_counted_in_the_masks(
    tmp_path: Path, masks: list[list[list[int]]], classes: tuple[str, ...]
) -> None:
    facts = with_masks(tmp_path, *map(png, masks))
    assert classes == facts.CLASSES


def test_a_broken_mask_is_left_to_the_audit(tmp_path: Path) -> None:
    assert with_masks(tmp_path, b"no picture", png([[0, 2]])).CLASSES == ("background", "class 1", "class 2")


@pytest.mark.parametrize(
    ("count", "levels", "expected"),
    [
        (2, [[0, 255], [255, 0]], [[0, 1], [1, 0]]),
        (2, [[0, 1], [1, 0]], [[0, 1], [1, 0]]),
        (2, [[0, 0]], [[0, 0]]),
        (2, [[255, 255]], [[1, 1]]),
        (3, [[0, 2, 1]], [[0, 2, 1]]),
    ],
)
def test_mask_levels_become_classes(
    tmp_path: Path, count: int, levels: list[list[int]], expected: list[list[int]]
) -> None:
    facts = with_masks(tmp_path, MASK, classes=[f"class {index}" for index in range(count)])
    classes = facts.classes_of(np.array(levels, np.uint8))
    assert classes.dtype == np.uint8
    assert classes.tolist() == expected


@pytest.mark.parametrize(
    ("count", "levels", "words"),
    [
        (2, [[0, 1, 255]], "grey levels 255 are not classes: there are 2, 0 to 1"),
        (2, [[0, 2]], "grey levels 2 are not classes"),
        (3, [[0, 255]], "grey levels 255 are not classes: there are 3, 0 to 2"),
        (2, [[0, 3, 4, 5, 6, 7, 8]], r"grey levels 3, 4, 5, 6, 7, \.\.\. are"),
    ],
)
def test_levels_that_are_no_class_are_said(tmp_path: Path, count: int, levels: list[list[int]], words: str) -> None:
    facts = with_masks(tmp_path, MASK, classes=[f"class {index}" for index in range(count)])
    with pytest.raises(ValueError, match=words):
        facts.classes_of(np.array(levels, np.uint8))


def test_what_the_book_says_is_taken_and_what_it_does_not_say_is_said_to_be_unknown(tmp_path: Path) -> None:
    plain = with_masks(tmp_path / "plain", MASK)
    assert (plain.TITLE, plain.CHANNELS, plain.LICENCE, plain.CITATION) == (
        "Own images: mine", 1, "not stated", "none"
    )  # fmt: skip
    said = {"title": "Cells", "channels": 3, "classes": ["nothing", "cell"], "licence": "CC0", "citation": "Me, 2020"}
    facts = with_masks(tmp_path / "said", MASK, **said)
    assert (facts.TITLE, facts.CHANNELS, facts.LICENCE, facts.CITATION) == ("Cells", 3, "CC0", "Me, 2020")
    assert facts.CLASSES == ("nothing", "cell")


# All the way to a prepared data set


def blobs(seed: int) -> tuple[bytes, bytes]:
    """A picture of noise with a bright square, and the square."""
    random = np.random.default_rng(seed)
    picture = random.integers(0, 100, (24, 24, 3), dtype=np.uint8)
    mask = np.zeros((24, 24), np.uint8)
    top, left = random.integers(0, 14, 2)
    mask[top : top + 10, left : left + 10] = 255
    picture[mask > 0] += 100
    return png(picture), png(mask)


def test_a_folder_is_prepared_like_every_other_data_set(tmp_path: Path) -> None:
    files = {}
    for seed in range(6):
        files[f"images/{seed}.png"], files[f"masks/{seed}.png"] = blobs(seed)
    files["masks/5.png"] = png(np.full((24, 24), 7))
    prepared(tmp_path, files, channels=3, classes=["background", "square"], duplicates={"distance": 0})
    about = json.loads((tmp_path / "prepared" / "dataset.json").read_text())
    assert about["classes"] == ["background", "square"]
    assert (about["counts"]["listed"], about["counts"]["used"]) == (6, 5)
    assert about["provenance"] == {"files": [], "synthetic": False}
    masks = np.load(tmp_path / "prepared" / "masks.npy")
    assert masks.shape == (5, 16, 16)
    assert np.unique(masks).tolist() == [0, 1]
    assert np.load(tmp_path / "prepared" / "images.npy").shape == (5, 16, 16, 3)
    audit = (tmp_path / "prepared" / "audit.csv").read_text()
    assert "masks/5.png,label outside the list,dropped" in audit


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
        files[f"photos/{name}.jpg"], files[f"drawn/{name}.png"] = blobs(seed)
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
    assert config.check_config(values).folders["mine"].classes == ["background", "cell"]
    assert Dataset.model_validate(published["datasets"]["leafspots"]).source == "leafspots"


def test_the_guides_commands_exist() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    named = re.findall(r"dvc repro ([a-z-]+)@(\w+)", GUIDE)
    assert sorted(named) == [("prepare", "leafspots"), ("prepare-folder", "mine")]
    assert {stages[stage]["foreach"] for stage, _ in named} == {"${datasets}", "${folders}"}
