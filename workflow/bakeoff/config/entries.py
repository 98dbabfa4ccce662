"""Entries of the configuration written and taken out as text: every other line of the file stays as it is.

A library that writes YAML anew attaches a comment to the entry before it, and takes it away with that entry. So lines
are put in and taken out here, by where the parser says that an entry stands; then the text is read again, and has to
say what it was to say.
"""

import copy
import io
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, AliasToken, AnchorToken, MappingNode

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.config.editing import load, plain, read_text, replace_text

Key = tuple[str, ...]


@dataclass(frozen=True)
class Addition:
    """An entry to be written.

    Attributes
    ----------
    section
        Where, for example ("experiments", "networks").
    name
        Its key there.
    value
        Plain values.
    comment
        Lines to stand above it, without `#`.
    notes
        What is said of a key of the entry, above that key's line, without `#`; of a key below another one, `a.b`.
    """

    section: Key
    name: str
    value: Mapping[str, Any]
    comment: Sequence[str] = ()
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        """Where the entry stands."""
        return (*self.section, self.name)

    def lines(self, indent: int) -> list[str]:
        """The entry in block style, what lies deeper in flow style; a value that is long is broken at its keys."""
        space = " " * indent
        said = [f"{space}# {line}" for line in self.comment]
        return [*said, f"{space}{flow(self.name)}:", *_block(self.value, indent + 2, self.notes)]


def change_entries(
    path: Path, additions: Sequence[Addition], removals: Collection[Key], check: Callable[[Any], object]
) -> None:
    """Write and take out entries of a configuration, whole or not at all, once `check` has accepted the new values.

    The comment lines directly above an entry that is taken out go with it. Where an entry that stays repeats what one
    that goes defines (`*name`), it is written out there.

    Raises
    ------
    BakeoffError
        If the file is no valid YAML in UTF-8, or `check` refuses.
    """
    text = changed_text(path, additions, removals)
    check(_values(text))
    replace_text(path, text)


def changed_text(path: Path, additions: Sequence[Addition], removals: Collection[Key]) -> str:
    """The text that `change_entries` writes, without a check of its values.

    Raises
    ------
    BakeoffError
        If the file is no valid YAML in UTF-8.
    """
    load(path)  # says what is wrong with it
    text = f"{read_text(path).rstrip()}\n"
    wanted = _changed(_values(text), additions, removals)
    changed = _edited(text, additions, set(removals))
    if _values(changed) != wanted:
        raise BakeoffError(f"{path} is written in a way that bakeoff cannot edit: edit it by hand.")
    return changed


def comments_above(text: str, sections: Iterable[Key]) -> dict[Key, str]:
    """By entry of some sections, the comment lines directly above it, without `#`."""
    document = _Document(text)
    return {
        key: "\n".join(line.strip().lstrip("#").strip() for line in document.lines[entry.first : entry.line])
        for section in sections
        for key, entry in document.section_entries(section).items()
    }


def anchors_needed(text: str, section: Key, kept: Collection[str]) -> set[str]:
    """Entries of a section that define what the `kept` ones repeat, and so on."""
    document = _Document(text)
    entries = {key[-1]: entry for key, entry in document.section_entries(section).items()}
    needed, queue = set(kept), list(kept)
    while queue:
        entry = entries.get(queue.pop())
        for alias in document.aliases if entry else ():
            if entry is not None and entry.first <= alias.line < entry.last:
                owner = next((name for name, each in entries.items() if each.first <= alias.defined < each.last), None)
                if owner is not None and owner not in needed:
                    needed.add(owner)
                    queue.append(owner)
    return needed


def flow(value: Any) -> str:
    """A value in YAML's flow style, on one line."""
    editor = YAML()
    editor.default_flow_style = True
    editor.width = 1 << 20
    editor.representer.add_representer(type(None), lambda r, _: r.represent_scalar("tag:yaml.org,2002:null", "null"))
    stream = io.StringIO()
    editor.dump({"k": _bare(value)}, stream)  # a scalar alone would be followed by an end of document
    return stream.getvalue().strip().removeprefix("{k: ").removesuffix("}")


LINE = 120


def _block(values: Mapping[str, Any], indent: int, notes: Mapping[str, str]) -> Iterator[str]:
    space = " " * indent
    for key, value in values.items():
        if key in notes:
            yield f"{space}# {notes[key]}"
        line = f"{space}{flow(key)}: {flow(value)}"
        below = {name.removeprefix(f"{key}."): note for name, note in notes.items() if name.startswith(f"{key}.")}
        if isinstance(value, Mapping) and value and (len(line) > LINE or below):
            yield f"{space}{flow(key)}:"
            yield from _block(value, indent + 2, below)
        else:
            yield line


def _bare(value: Any) -> Any:
    """Plain values, each list and mapping an object of its own, so that none is written as a repetition of another."""
    if isinstance(value, Mapping):
        return {str(key): _bare(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_bare(each) for each in value]
    return value


def _values(text: str) -> Any:
    return plain(YAML(typ="safe").load(text))


def _changed(values: Any, additions: Sequence[Addition], removals: Collection[Key]) -> Any:
    values = copy.deepcopy(values)
    for *section, name in removals:
        del _at(values, section)[name]
    for addition in additions:
        _at(values, addition.section)[addition.name] = _bare(addition.value)
    return values


def _at(values: Any, section: Sequence[str]) -> Any:
    for key in section:
        values = values[key]
    return values


@dataclass(frozen=True)
class _Entry:
    """Lines `first` (the comment above it) or `line` (its key) to `last`, which is the first that is not its own."""

    first: int
    line: int
    last: int
    column: int
    value: Any


@dataclass(frozen=True)
class _Alias:
    name: str
    line: int
    column: int
    defined: int  # the line of its anchor


class _Document:
    """Where the entries of a text stand."""

    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")
        self._root = YAML().compose(text)
        self.aliases = list(_aliases(text))

    def node(self, section: Key) -> Any:
        node = self._root
        for name in section:
            node = next((value for key, value in node.value if key.value == name), None)
            if not isinstance(node, MappingNode):
                return None
        return node

    def section_entries(self, section: Key) -> dict[Key, _Entry]:
        node = self.node(section)
        if node.flow_style:
            return {}
        starts = [key.start_mark.line for key, _ in node.value]
        ends = [*starts[1:], node.end_mark.line]  # where the next token begins
        found = {}
        for (key, value), start, end in zip(node.value, starts, ends, strict=True):
            column = key.start_mark.column
            first = start
            while first > 0 and re.fullmatch(rf" {{{column}}}#.*", self.lines[first - 1]):
                first -= 1
            found[(*section, key.value)] = _Entry(first, start, self._last(start, end, column), column, value)
        return found

    def _last(self, start: int, end: int, column: int) -> int:
        """Where an entry ends, without the blank lines and the comments of its neighbours and of its parents."""
        last = end
        while last > start + 1:
            line = self.lines[last - 1]
            indent = len(line) - len(line.lstrip(" "))
            if line.strip() and not (line.lstrip().startswith("#") and indent <= column):
                break
            last -= 1
        return last


def _aliases(text: str) -> Iterator[_Alias]:
    anchors: dict[str, int] = {}
    for token in YAML().scan(text):
        if isinstance(token, AnchorToken):
            anchors[token.value] = token.start_mark.line
        elif isinstance(token, AliasToken):
            mark = token.start_mark
            yield _Alias(token.value, mark.line, mark.column, anchors[token.value])


def _edited(text: str, additions: Sequence[Addition], removals: set[Key]) -> str:
    document = _Document(text)
    lines = list(document.lines)
    insertions: dict[int, list[str]] = {}
    gone: set[int] = set()
    for section in sorted({addition.section for addition in additions} | {key[:-1] for key in removals}):
        added = [addition for addition in additions if addition.section == section]
        leaving = {key for key in removals if key[:-1] == section}
        node = document.node(section)
        if node is None:
            raise BakeoffError(f"params.yaml has no section '{'.'.join(section)}': restore it.")
        entries = document.section_entries(section)
        for key in leaving & entries.keys():
            gone.update(range(entries[key].first, entries[key].last))
        head = node.start_mark.line if node.flow_style else next(iter(entries.values())).first - 1
        if node.flow_style:
            _rewrite_flow(lines, gone, insertions, node, section, added, {key[-1] for key in leaving})
            continue
        if added:
            last = max(entry.last for entry in entries.values())
            column = next(iter(entries.values())).column
            insertions[last] = [line for addition in added for line in addition.lines(column)]
        elif leaving >= entries.keys():
            while not lines[head].strip() or lines[head].lstrip().startswith("#"):
                head -= 1
            lines[head] = f"{lines[head].rstrip()} {{}}"
    _write_out_aliases(lines, document, gone, text)
    return "\n".join(_joined(lines, gone, insertions))


def _rewrite_flow(
    lines: list[str],
    gone: set[int],
    insertions: dict[int, list[str]],
    node: Any,
    section: Key,
    added: Sequence[Addition],
    leaving: set[str],
) -> None:
    """A section in flow style, `{}` for example, is written in block style once it gets an entry."""
    start, end = node.start_mark, node.end_mark
    column = 2 * len(section)
    before, after = lines[start.line][: start.column].rstrip(), lines[end.line][end.column :].rstrip()
    values = _values("\n".join([lines[start.line][start.column :], *lines[start.line + 1 : end.line + 1]]))
    if start.line == end.line:
        values = _values(lines[start.line][start.column : end.column])
    kept = [f"{' ' * column}{flow(name)}: {flow(value)}" for name, value in values.items() if name not in leaving]
    rows = [*kept, *(line for addition in added for line in addition.lines(column))]
    lines[start.line] = f"{before}{after}" if rows else f"{before} {{}}{after}"
    gone.update(range(start.line + 1, end.line + 1))
    insertions[start.line + 1] = rows


def _write_out_aliases(lines: list[str], document: _Document, gone: set[int], text: str) -> None:
    """Put what goes in the place of the first alias to it that stays."""
    values = _anchored(text)
    moved: set[tuple[str, int]] = set()
    edits = []
    for alias in document.aliases:
        if alias.defined in gone and alias.line not in gone and (alias.name, alias.defined) not in moved:
            moved.add((alias.name, alias.defined))
            staying = [each for each in document.aliases if each.name == alias.name and each.line not in gone]
            anchor = f"&{alias.name} " if len(staying) > 1 else ""
            edits.append((alias, f"{anchor}{flow(values[alias.name])}"))
    for alias, written in sorted(edits, key=lambda each: (each[0].line, each[0].column), reverse=True):
        line = lines[alias.line]
        lines[alias.line] = line[: alias.column] + written + line[alias.column + 1 + len(alias.name) :]


def _anchored(text: str) -> dict[str, Any]:
    """The value of every anchor, of two with the same name the last one."""
    found: dict[str, Any] = {}

    def look(value: Any) -> None:
        anchor = getattr(value, "anchor", None)
        if anchor is not None and anchor.value:
            found[anchor.value] = plain(value)
        children = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
        for child in children:
            look(child)

    look(YAML().load(text))
    return found


def _joined(lines: Sequence[str], gone: set[int], insertions: Mapping[int, list[str]]) -> Iterator[str]:
    """The lines that stay and those that come; where some went, no blank line after another."""
    previous, cut = "", False
    for number in range(len(lines) + 1):
        for line in insertions.get(number, ()):
            yield line
            previous, cut = line, False
        if number == len(lines):
            return
        if number in gone:
            cut = True
            continue
        line = lines[number]
        opens = previous.rstrip().endswith(":")
        if cut and not line.strip() and (not previous.strip() or opens) and number < len(lines) - 1:
            continue
        yield line
        previous, cut = line, cut and not line.strip()
