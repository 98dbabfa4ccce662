"""Folders of annotation files in memory, and what a reader makes of them as exact arrays."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.config.schema import Folder
from bakeoff.datasets.folders.prepare import prepare_folder
from bakeoff.datasets.formats import read_folder, recognised
from bakeoff.datasets.formats.reading import NO_BACKGROUND, Choices, Reading
from bakeoff.datasets.formats.shapes import Drawn, draw
from PIL import Image

Content = bytes | str | Mapping[str, Any] | list[Any]


def write(root: Path, files: Mapping[str, bytes]) -> Path:
    """Files below a folder, which is returned."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


class Files:
    """A tree of files: text is encoded, other values become JSON."""

    def __init__(self, files: Mapping[str, Content]) -> None:
        self._files = {name: _bytes(content) for name, content in files.items()}
        self.names = sorted(self._files)

    def read(self, name: str) -> bytes:
        return self._files[name]


def _bytes(content: Content) -> bytes:
    if isinstance(content, bytes):
        return content
    return (content if isinstance(content, str) else json.dumps(content)).encode()


def png(height: int, width: int) -> bytes:
    """A black image."""
    buffer = io.BytesIO()
    Image.new("L", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def read(format: str, files: Mapping[str, Content], **choices: Any) -> Reading:
    """The reading of a folder that is recognised as this format and no other annotation format."""
    tree = Files(files)
    found = recognised(tree)
    assert next(iter(found.formats)) == format
    assert not found.reasons
    return read_folder(tree, Choices("mine", format, **choices))


def refused(format: str, files: Mapping[str, Content], **choices: Any) -> str:
    """The sentence with which a folder is not read."""
    with pytest.raises(BakeoffError) as error:
        read_folder(Files(files), Choices("mine", format, **choices))
    sentence = str(error.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


def drawn(reading: Reading, height: int, width: int, image: int = 0) -> Drawn:
    return draw(reading, reading.entries[image], height, width)


def prepare(path: Path, reading: Reading, folder: Path, size: int, **stated: Any) -> None:
    """Prepare a folder or zip by the entry of the configuration in which a reading is written down."""
    entry = {
        "path": str(path),
        "format": reading.format,
        "size": size,
        "channels": 1,
        "duplicates": {"distance": 0},
        "classes": dict(reading.classes or {}),
        "background": reading.background or NO_BACKGROUND,
        "ignore": list(reading.ignore),
        "objects": reading.objects,
    }
    checked = Folder(**{**entry, **reading.choices, **stated})
    prepare_folder("mine", {**checked.model_dump(), "classes": checked.class_values}, folder)


def rows(pixels: np.ndarray) -> list[str]:
    """Class or object numbers as one text a row, `.` for 0 and `#` for 255."""
    return ["".join({0: ".", 255: "#"}.get(value, str(int(value))) for value in row) for row in pixels.tolist()]


def findings(reading: Reading) -> list[tuple[str, str]]:
    return [(finding.file, finding.finding) for finding in reading.findings]
