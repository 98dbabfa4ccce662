"""Annotation files of every format, damaged in one place: read without it or refused in a sentence, no traceback."""

import contextlib
import json
import random
import re
from collections.abc import Iterator
from typing import Any

import pytest
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.formats import image_bytes, read_folder, recognised
from bakeoff.datasets.formats.reading import Choices
from bakeoff.datasets.formats.shapes import draw
from drawn_folders import Files
from test_formats_docs import SCRIPT

ODD = (None, "", "x", 0, -1, 1.5, 1e300, float("nan"), True, [], {}, [[]], [None], {"a": 1}, "\x00", 10**400)
DAMAGES = 200


@pytest.mark.parametrize("format", SCRIPT.EXAMPLES)
def test_one_damaged_value_ends_in_no_traceback(format: str) -> None:
    files = SCRIPT.EXAMPLES[format]()
    names = [name for name in files if not name.endswith(".png")]
    source = random.Random(0)
    for _ in range(DAMAGES):
        name = source.choice(names)
        damaged = {**files, name: _damaged(name, files[name], source)}
        _read(format, damaged)


@pytest.mark.parametrize("format", SCRIPT.EXAMPLES)
def test_a_file_that_breaks_off_ends_in_no_traceback(format: str) -> None:
    files = SCRIPT.EXAMPLES[format]()
    for name in files:
        for share in (0, 0.3, 0.9):
            _read(format, {**files, name: files[name][: int(share * len(files[name]))]})


def _read(format: str, files: dict[str, bytes]) -> None:
    tree = Files(files)
    with contextlib.suppress(BakeoffError):
        recognised(tree)
        reading = read_folder(tree, Choices("mine", format))
        for entry in reading.entries:
            image_bytes(tree, entry)
            with contextlib.suppress(ValueError):
                draw(reading, entry, SCRIPT.HEIGHT, SCRIPT.WIDTH)


def _damaged(name: str, content: bytes, source: random.Random) -> bytes:
    if not name.endswith("json"):
        return _damaged_text(content.decode(), source).encode()
    document = json.loads(content)
    holder, key = source.choice(list(_places(document)))
    if source.random() < 0.3:
        del holder[key]
    else:
        holder[key] = source.choice(ODD)
    return json.dumps(document).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every list or mapping of a document with each of its indices or keys."""
    if isinstance(value, dict | list):
        for key, below in list(value.items() if isinstance(value, dict) else enumerate(value)):
            yield value, key
            yield from _places(below)


def _damaged_text(text: str, source: random.Random) -> str:
    """One number or word taken out or replaced."""
    words = list(re.finditer(r"[\w.]+", text))
    if not words:
        return text
    word = source.choice(words)
    return text[: word.start()] + source.choice(["", "x", "-1", "1e300", "nan", "0", '"']) + text[word.end() :]
