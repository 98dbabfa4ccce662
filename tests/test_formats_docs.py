"""The page on formats: its folders are those that are drawn, its pictures are what the readers make of them."""

import importlib.util
import re
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from bakeoff.artefacts.prepared import open_prepared
from bakeoff.artefacts.void import VOID
from bakeoff.datasets.archives.tree import open_tree
from bakeoff.datasets.formats import FORMATS, read_folder, recognised
from bakeoff.datasets.formats.reading import Choices
from drawn_folders import prepare
from PIL import Image

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = (DOCS / "formats.md").read_text(encoding="utf-8")


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pictures_of_formats", DOCS / "pictures" / "formats.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT = _script()
SMALL = 0  # findings of an example


@pytest.mark.parametrize("format", [*SCRIPT.EXAMPLES, *SCRIPT.LAYOUTS])
def test_an_example_is_recognised_and_its_files_are_those_of_the_page(format: str) -> None:
    assert format in FORMATS
    tree = SCRIPT.Tree({**SCRIPT.EXAMPLES, **SCRIPT.LAYOUTS}[format]())
    assert next(iter(recognised(tree).formats)) == format
    section = next(each for each in re.split(r"^## ", PAGE, flags=re.MULTILINE) if f"formats-{format}.png" in each)
    listed = section.partition("![")[0].splitlines()
    assert [line.strip() for line in listed if line.startswith("    ")] == tree.names


@pytest.mark.parametrize("format", SCRIPT.EXAMPLES)
def test_an_example_is_prepared_from_a_folder_and_from_a_zip_with_nothing_lost(format: str, tmp_path: Path) -> None:
    files = SCRIPT.EXAMPLES[format]()
    with zipfile.ZipFile(tmp_path / "example.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(f"top/{name}", content)
    with zipfile.ZipFile(tmp_path / "example.zip") as archive:
        archive.extractall(tmp_path / "example")
    prepared = []
    for source in ("example.zip", "example"):
        with open_tree(tmp_path / source) as tree:
            reading = read_folder(tree, Choices("mine", format))
        prepare(tmp_path / source, reading, tmp_path / "prepared" / source, size=32)
        data = open_prepared(tmp_path / "prepared" / source)
        assert (data.classes, data.about["background"], data.about["objects"]) == (
            ["background", *SCRIPT.LABELS],
            0,
            True,
        )
        assert data.about["counts"]["used"] == 2
        assert len((tmp_path / "prepared" / source / "audit.csv").read_text().splitlines()) == 1 + SMALL
        prepared.append(data.true_masks())
    np.testing.assert_array_equal(*prepared)
    assert set(np.unique(prepared[0])) == {0, 1, 2} | ({VOID} if format == "voc" else set())


def test_classes_as_names_alone_are_labels(tmp_path: Path) -> None:
    for name, content in SCRIPT.EXAMPLES["coco"]().items():
        path = tmp_path / "example" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with open_tree(tmp_path / "example") as tree:
        reading = read_folder(tree, Choices("mine", "coco"))
    names = ["background", "debris", "cell"]
    prepare(tmp_path / "example", reading, tmp_path / "prepared", size=32, classes=names)
    data = open_prepared(tmp_path / "prepared")
    assert data.classes == names
    assert (data.true_masks() == 2).sum() > (data.true_masks() == 1).sum() > 0


@pytest.mark.parametrize("format", [*SCRIPT.EXAMPLES, *SCRIPT.LAYOUTS])
def test_pictures_are_what_the_readers_make(format: str) -> None:
    drawn = np.asarray(SCRIPT.picture(format))
    np.testing.assert_array_equal(np.asarray(Image.open(DOCS / "pictures" / f"formats-{format}.png")), drawn)
