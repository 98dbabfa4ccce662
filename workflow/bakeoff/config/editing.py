"""The configuration's file: read as YAML, and edited in place with its comments kept."""

import io
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError

from bakeoff.artefacts.atomic import storage_errors
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.config.naming import nearest

UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def edit(assignments: Iterable[str], path: Path, check: Callable[[Any], object]) -> None:
    """Set `KEY=VALUE` pairs in a file, whole or not at all, once `check` has accepted the new values.

    Raises
    ------
    BakeoffError
        If a pair is no pair or no YAML, its key has no parent, or `check` refuses.
    """
    editor = _editor()
    values = load(path, editor)
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise BakeoffError(f"'{assignment}' is not KEY=VALUE: write for example profile=small.")
        try:
            value = editor.load(text) if text.strip() else None
        except YAMLError:
            raise BakeoffError(f"'{text}' is no YAML value for {key}: quote it.") from None
        _assign(values, key, value, path)
    check(plain(values))
    stream = io.StringIO()
    editor.dump(values, stream)
    replace_text(path, stream.getvalue())


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, with line ends as `\\n`.

    Raises
    ------
    BakeoffError
        If it is missing or in another encoding.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise BakeoffError(f"{path} is missing: run bakeoff from the repository's root.") from None
    if data[:2] in UTF_16 or b"\0" in data:
        raise BakeoffError(f"{path} is UTF-16 text: save the file as UTF-8.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BakeoffError(f"{path}, line {line}, is not UTF-8 text: save the file as UTF-8.") from None
    return text.replace("\r\n", "\n")


def replace_text(path: Path, text: str) -> None:
    """Write a file whole or not at all, with the line ends that it has."""
    ends = "\r\n" if path.is_file() and b"\r\n" in path.read_bytes() else "\n"
    beside = path.with_name(f".{path.name}.new")
    with storage_errors(path):
        with beside.open("w", encoding="utf-8", newline=ends) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)


def _editor() -> YAML:
    editor = YAML(typ="rt")
    editor.preserve_quotes = True
    editor.width = 4096  # no line is broken that is not broken already
    editor.indent(mapping=2, sequence=4, offset=2)
    editor.representer.add_representer(type(None), lambda r, _: r.represent_scalar("tag:yaml.org,2002:null", "null"))
    return editor


def load(path: Path, loader: YAML | None = None) -> Any:
    """The values in a YAML file.

    Raises
    ------
    BakeoffError
        If it is missing, in another encoding than UTF-8, is not valid YAML, or holds no keys.
    """
    try:
        values = (loader or YAML(typ="safe")).load(read_text(path))
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise BakeoffError(f"{path}{where} is not valid YAML: {getattr(error, 'problem', error)}.") from None
    if not isinstance(values, Mapping):
        raise BakeoffError(f"{path} holds no keys: restore it with `git checkout {path}`.")
    return values


def plain(values: Any) -> Any:
    """Values as Python's own types, repeated ones written out."""
    if isinstance(values, Mapping):
        return {str(key): plain(value) for key, value in values.items()}
    if isinstance(values, list):
        return [plain(value) for value in values]
    for kind in (bool, int, float, str):
        if isinstance(values, kind):
            return kind(values)
    return values


def _assign(values: Any, key: str, value: Any, path: Path) -> None:
    *parents, last = key.split(".")
    node = values
    for depth, parent in enumerate(parents):
        if not isinstance(node, Mapping) or parent not in node:
            known = node if isinstance(node, Mapping) else ()
            raise BakeoffError(f"{path} has no key '{'.'.join(parents[: depth + 1])}'{nearest(parent, known)}.")
        node = node[parent]
    if not isinstance(node, Mapping):
        raise BakeoffError(f"{path}: '{'.'.join(parents)}' is a value and has no key '{last}'.")
    node[last] = value  # type: ignore[index]
