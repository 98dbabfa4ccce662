"""The split and the group of images: from folders, lists, a table, or a pattern of their paths."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.archives.records import Finding
from bakeoff.datasets.formats.names import split_of, suffix
from bakeoff.datasets.formats.reading import Choices, Entry, Tree
from bakeoff.datasets.formats.tables import ImageNames, Rows, find_table, read_rows

# As `split` or `group` of the choices; anything else is a column, or for `group` a regular expression.
NONE, FOLDERS, LISTS = "none", "folders", "lists"
LIST_SUFFIXES = (".txt", ".lst", ".list")
GROUP_WORDS = ("group", "patient", "subject", "plate", "plot", "animal", "donor", "case", "patient_id", "subject_id")


@dataclass(frozen=True)
class Labelled:
    """Entries with split and group, and what that took: files that were read, findings, words, choices."""

    entries: tuple[Entry, ...]
    files: frozenset[str]
    findings: tuple[Finding, ...]
    details: tuple[str, ...]
    choices: Mapping[str, Any]
    rows: Rows | None


def labelled(tree: Tree, entries: Sequence[Entry], choices: Choices, rows: Rows | None = None) -> Labelled:
    """Take split and group from where the choices say, or from where they are found.

    Parameters
    ----------
    entries
        With the label `split` where folders give one.
    rows
        Of the table of labels, where that has been read.

    Raises
    ------
    BakeoffError
        If there is no such column or list, or a word that names no part of a split.
    """
    images = [entry.image for entry in entries]
    rows = rows or _rows(tree, images, choices)
    taken = _split(tree, entries, choices, rows)
    where = _group_source(choices, rows)
    group = _group_of(where, choices, rows)
    label = rows.settings["label"] if rows else None
    grouped = [
        replace(_with_class(entry, rows, label), group=group(entry.image) if group else entry.group)
        for entry in taken.entries
    ]
    lost = [entry.image for entry in grouped if group and entry.group is None]
    details, findings = [*taken.details], [*taken.findings, *(rows.findings if rows else ())]
    if group:
        count = len({entry.group for entry in grouped if entry.group is not None})
        details.append(f"{count} groups ({where}), of which none is on two sides of a split.")
    findings += [
        Finding(image, "no group", "kept", f"{where} says none of it: it is a group of its own") for image in lost
    ]
    used = rows is not None and (choices.labels is not None or {taken.source, where} & set(rows.columns))
    stated = {"split": taken.source, "group": where, **({"labels": rows.settings} if rows and used else {})}
    files = taken.files | ({rows.settings["file"]} if rows and used else set())
    return Labelled(tuple(grouped), files, tuple(findings), tuple(details), stated, rows)


def _with_class(entry: Entry, rows: Rows | None, label: str | None) -> Entry:
    """With the class that a table states, where the path gives none."""
    value = rows.by_image.get(entry.image, {}).get(label) if rows and label else None
    return replace(entry, labels={"class": value, **entry.labels}) if value else entry


@dataclass(frozen=True)
class _Split:
    source: str
    entries: Sequence[Entry]
    files: frozenset[str] = frozenset()
    findings: tuple[Finding, ...] = ()
    details: tuple[str, ...] = ()


def _rows(tree: Tree, images: Sequence[str], choices: Choices) -> Rows | None:
    settings = choices.labels
    if settings is None and (choices.split is None or choices.group is None):
        settings = find_table(tree, images)
        if settings is not None:
            settings["label"] = None  # a class beside what the format itself says is for the choices to state
    return None if settings is None else read_rows(tree, images, settings)


def _split(tree: Tree, entries: Sequence[Entry], choices: Choices, rows: Rows | None) -> _Split:
    source = choices.split
    in_folders = {entry.image: entry.labels["split"] for entry in entries if entry.labels.get("split")}
    lists = _lists(tree, [entry.image for entry in entries]) if source in (None, LISTS) else _Lists({}, frozenset(), ())
    column = _split_column(rows) if source is None else None
    if source is None:
        several = len(set(in_folders.values())) > 1
        source = FOLDERS if several else LISTS if len(set(lists.split_of.values())) > 1 else column or NONE
    if source == NONE:
        return _Split(NONE, [_with_split(entry, None) for entry in entries])
    if source in (FOLDERS, LISTS):
        split = in_folders if source == FOLDERS else lists.split_of
        if not split:
            raise BakeoffError(
                f"folders.{choices.name}.split is {source}, and none say train, val or test: state none."
            )
    else:
        split = _column_split(source, choices, rows)
    kept = [_with_split(entry, split[entry.image]) for entry in entries if entry.image in split]
    findings = [
        Finding(entry.image, "no split", "dropped", f"the split ({source}) does not name it")
        for entry in entries
        if entry.image not in split
    ]
    counts = Counter(str(entry.labels["split"]) for entry in kept)
    said = f"Split from the folder ({source}): {', '.join(f'{counts[each]} {each}' for each in sorted(counts))}."
    if source == LISTS:
        return _Split(source, kept, lists.files, (*findings, *lists.findings), (said,))
    return _Split(source, kept, frozenset(), tuple(findings), (said,))


def _with_split(entry: Entry, split: str | None) -> Entry:
    labels = {name: value for name, value in entry.labels.items() if name != "split"}
    return replace(entry, labels=labels if split is None else {**labels, "split": split})


@dataclass(frozen=True)
class _Lists:
    split_of: Mapping[str, str]
    files: frozenset[str]
    findings: tuple[Finding, ...]


def _lists(tree: Tree, images: Sequence[str]) -> _Lists:
    """Splits by lists of images, in files that are called train, val or test."""
    names, files = ImageNames(images), set()
    found: dict[str, str] = {}
    findings = []
    for file in tree.names:
        part = split_of(file.rsplit("/", 1)[-1]) if suffix(file) in LIST_SUFFIXES else None
        if part is None:
            continue
        lines = [line for line in tree.read(file).decode("utf-8", "replace").splitlines() if line.strip()]
        meant = [_listed(names, line) for line in lines]
        if sum(image is not None for image in meant) < len(lines) / 2 or not lines:
            continue
        files.add(file)
        for image in filter(None, meant):
            if found.setdefault(image, part) != part:
                raise BakeoffError(
                    f"{image} is listed both for {found[image]} and, in {file}, for {part}: list it once."
                )
        if lost := [line for line, image in zip(lines, meant, strict=True) if image is None]:
            findings.append(
                Finding(file, "missing image", "dropped", f"{len(lost)} lines, the first '{lost[0].strip()}'")
            )
    return _Lists(found, frozenset(files), tuple(findings))


def _listed(names: ImageNames, line: str) -> str | None:
    """The image of a line, which may name its mask, or a class, after it."""
    return names.find(line) or names.find(line.lstrip("\ufeff").split()[0])


def _split_column(rows: Rows | None) -> str | None:
    """The column whose every value is a word for a part of a split."""
    for column in rows.columns if rows else ():
        values = {values[column] for values in rows.by_image.values()}  # type: ignore[union-attr]
        if len(values) > 1 and all(split_of(f"{value}/x.png") for value in values):
            return column
    return None


def _column_split(column: str, choices: Choices, rows: Rows | None) -> dict[str, str]:
    split = {}
    for image, value in _column(column, "split", choices, rows).items():
        part = split_of(f"{value}/x.png")
        if value and part is None:
            raise BakeoffError(f"column '{column}' says '{value}' of {image}: write train, val or test.")
        if part:
            split[image] = part
    return split


def _group_source(choices: Choices, rows: Rows | None) -> str:
    if choices.group is not None:
        return choices.group
    return next((each for each in (rows.columns if rows else ()) if each.lower() in GROUP_WORDS), NONE)


def _group_of(source: str, choices: Choices, rows: Rows | None) -> Callable[[str], str | None] | None:
    """From an image to its group."""
    if source == NONE:
        return None
    if rows and source in rows.columns:
        values = _column(source, "group", choices, rows)
        return lambda image: values.get(image) or None
    try:
        pattern = re.compile(source)
    except re.error as error:
        raise BakeoffError(f"folders.{choices.name}.group: '{source}' is no regular expression ({error}).") from None
    if pattern.groups == 0:
        raise BakeoffError(
            f"folders.{choices.name}.group: '{source}' is no column, and no regular expression with the group in "
            "brackets, as in (P[0-9]+)_: correct it."
        )

    def group(image: str) -> str | None:
        found = pattern.search(image)
        return next((each for each in found.groups() if each), None) if found else None

    return group


def _column(column: str, key: str, choices: Choices, rows: Rows | None) -> dict[str, str]:
    if rows is None or column not in rows.columns:
        known = f"it has {', '.join(rows.columns)}" if rows else "there is no table in labels"
        raise BakeoffError(f"folders.{choices.name}.{key} names the column '{column}', and {known}: correct it.")
    return {image: values[column] for image, values in rows.by_image.items()}
