"""The page on formats: its folders are those that are drawn, its pictures are what the readers make of them."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from bakeoff.datasets.formats import FORMATS, recognised
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


@pytest.mark.parametrize("format", SCRIPT.EXAMPLES)
def test_an_example_is_recognised_and_its_files_are_those_of_the_page(format: str) -> None:
    assert format in FORMATS
    tree = SCRIPT.Tree(SCRIPT.EXAMPLES[format]())
    assert next(iter(recognised(tree).formats)) == format
    section = next(each for each in re.split(r"^## ", PAGE, flags=re.MULTILINE) if f"formats-{format}.png" in each)
    assert [line.strip() for line in section.splitlines() if line.startswith("    ")] == tree.names


@pytest.mark.parametrize("format", SCRIPT.EXAMPLES)
def test_pictures_are_what_the_readers_make(format: str) -> None:
    drawn = np.asarray(SCRIPT.picture(format))
    np.testing.assert_array_equal(np.asarray(Image.open(DOCS / "pictures" / f"formats-{format}.png")), drawn)
