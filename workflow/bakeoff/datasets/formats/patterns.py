"""Patterns of paths, such as `{split}/images/{id}`: what a path says of its file."""

import re
import unicodedata
from collections.abc import Mapping
from pathlib import PurePosixPath

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.formats.names import stem

# What stands for one folder, or for a part of its name; all else may span several.
_ONE_FOLDER = ("split", "class")
_PARTS = re.compile(r"\{(\w+)\}|(\*)")


class Pattern:
    """A pattern of paths without the files' suffixes.

    `{split}` and `{class}` stand for a folder or a part of its name, `{id}` and other names in braces for one or more,
    `*` for anything within a name. Everything else stands for itself, in any capitals.

    Attributes
    ----------
    text
        As it is written.
    names
        Those in braces, in order.

    Examples
    --------
    >>> Pattern("{split}/masks/{id}_mask").match("train/Masks/day 1/a_mask.png")
    {'split': 'train', 'id': 'day 1/a'}
    >>> Pattern("{id}/images/*").match("x/masks/1.png") is None
    True
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.names: tuple[str, ...] = ()
        expression, end = "", 0
        for found in _PARTS.finditer(text):
            expression += re.escape(text[end : found.start()]) + self._part(found[1])
            end = found.end()
        self._expression = re.compile(expression + re.escape(text[end:]), re.IGNORECASE)

    def _part(self, name: str | None) -> str:
        if name is None:
            return "[^/]*"
        if name in self.names:
            return f"(?P={name})"
        self.names += (name,)
        return f"(?P<{name}>[^/]+)" if name in _ONE_FOLDER else f"(?P<{name}>.+)"

    def match(self, path: str) -> dict[str, str] | None:
        """What the names in braces stand for in a path with suffix; None for a path of another pattern."""
        found = self._expression.fullmatch(without_suffix(path))
        return found.groupdict() if found else None


def stated_pattern(name: str, key: str, text: str) -> Pattern:
    """The pattern that an entry of `folders` states; the name of a folder alone stands for the files in it.

    Raises
    ------
    BakeoffError
        If it names no `{id}`.
    """
    pattern = Pattern(text if _PARTS.search(text) else f"{text.strip('/')}/{{id}}")
    if not pattern.names:
        raise BakeoffError(f"folders.{name}.{key} is '{text}': say where the image's name stands, as in images/{{id}}.")
    return pattern


def without_suffix(path: str) -> str:
    """A path without what its file's name ends in, its letters composed (NFC)."""
    folder = PurePosixPath(path).parent.as_posix()
    return stem(path) if folder == "." else f"{_composed(folder)}/{stem(path)}"


def key_of(values: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, ...]:
    """What pairs one file with another: the values that both patterns have."""
    return tuple(values[name] for name in names)


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)
