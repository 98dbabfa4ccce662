"""Tables of labels, CSV or TSV: how they are written, and which row is of which image."""

import codecs
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.archives.records import Finding
from bakeoff.datasets.formats.names import is_picture, stem, suffix
from bakeoff.datasets.formats.reading import Tree

SUFFIXES = (".csv", ".tsv", ".tab", ".txt")
SEPARATORS = (",", ";", "\t", "|")
# More text files than this are annotations, one an image.
MOST_TEXTS = 10
LABEL_WORDS = ("class", "label", "category", "target", "diagnosis", "species", "type", "y")
# A column that names the images does so in at least this share of its rows.
NAMES_IMAGES = 0.5


@dataclass(frozen=True)
class Rows:
    """A table whose rows are matched to images.

    Attributes
    ----------
    settings
        How it is written and what its columns are, as `labels` of the choices.
    columns
        Of all columns but that of the images.
    by_image
        Values by column, by image.
    findings
        On rows that name no image, and images of which two rows say different things.
    """

    settings: dict[str, Any]
    columns: tuple[str, ...]
    by_image: dict[str, dict[str, str]]
    findings: tuple[Finding, ...]


class ImageNames:
    """Finds an image by its path, its name or its name without suffix, where these are of one image alone."""

    def __init__(self, images: Iterable[str]) -> None:
        found: defaultdict[str, set[str]] = defaultdict(set)
        for image in images:
            for name in (
                image,
                PurePosixPath(image).name,
                image.removesuffix(PurePosixPath(image).suffix),
                stem(image),
            ):
                found[name.lower()].add(image)
        self._found = {name: next(iter(paths)) for name, paths in found.items() if len(paths) == 1}

    def find(self, stated: str) -> str | None:
        """The image of a name that a table or a list states; parts of the path may be missing or others."""
        path = stated.strip().replace("\\", "/").removeprefix("./").lower()
        parts = path.split("/")
        tries = ["/".join(parts[start:]) for start in range(len(parts))]
        return next((self._found[name] for name in [*tries, stem(path)] if name in self._found), None)


def read_rows(tree: Tree, images: Sequence[str], settings: Mapping[str, Any]) -> Rows:
    """Rows of a table whose settings are stated.

    Raises
    ------
    BakeoffError
        If there is no such file or column, or the file is not written so.
    """
    table = _parsed(tree.read(settings["file"]), settings["file"], settings["separator"], settings["encoding"])
    for key in ("image", "label"):
        if settings.get(key) is not None and settings[key] not in table.columns:
            known = ", ".join(map(str, table.columns))
            raise BakeoffError(
                f"{settings['file']} has no column '{settings[key]}': name one of {known} in labels.{key}."
            )
    return _rows(table, images, settings)


def find_table(tree: Tree, images: Sequence[str]) -> dict[str, Any] | None:
    """Settings of the one table that names the images; None where there is none, or several.

    The column of the class is the one that is called so, or the only one that could be it; None otherwise.
    """
    found = []
    names = ImageNames(images)
    texts = sum(suffix(name) == ".txt" for name in tree.names)
    for name in tree.names:
        if suffix(name) == ".txt" and texts > MOST_TEXTS:
            continue
        if suffix(name) in SUFFIXES and (settings := _recognised(tree.read(name), name, names)):
            found.append(settings)
    return found[0] if len(found) == 1 else None


def _recognised(data: bytes, name: str, images: ImageNames) -> dict[str, Any] | None:
    written = _how_written(data)
    if written is None:
        return None
    separator, encoding = written
    try:
        table = _parsed(data, name, separator, encoding)
    except BakeoffError:
        return None
    if table.empty or len(table.columns) < 2:
        return None
    shares = {column: table[column].map(lambda value: images.find(value) is not None).mean() for column in table}
    image = max(shares, key=lambda column: shares[column])
    if shares[image] < NAMES_IMAGES:
        return None
    label = _label_column(table.drop(columns=image))
    return {"file": name, "image": image, "label": label, "separator": separator, "encoding": encoding}


def _how_written(data: bytes) -> tuple[str, str] | None:
    """Separator and encoding of a table; None for bytes that are none."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    else:
        encoding = "utf-8"
        try:
            data.decode(encoding)
        except UnicodeDecodeError:
            encoding = "cp1252"
    try:
        lines = [line for line in data.decode(encoding).removeprefix("\ufeff").splitlines() if line.strip()][:20]
    except UnicodeDecodeError:
        return None
    counts = {separator: [line.count(separator) for line in lines] for separator in SEPARATORS}
    usable = [separator for separator in SEPARATORS if lines and min(counts[separator]) > 0]
    # That which each line has equally often; a comma may stand in texts too.
    best = min(usable, key=lambda each: (len(set(counts[each])), SEPARATORS.index(each)), default=None)
    return (best, encoding) if best else None


def _parsed(data: bytes, name: str, separator: str, encoding: str) -> pd.DataFrame:
    try:
        text = data.decode(encoding).removeprefix("\ufeff")
    except (UnicodeDecodeError, LookupError) as error:
        raise BakeoffError(f"{name} is not written in {encoding} ({error}): correct labels.encoding.") from None
    first = text.split("\n", 1)[0].split(separator)
    headless = any(is_picture(cell.strip().strip('"')) for cell in first)
    try:
        table = pd.read_csv(
            io.StringIO(text), sep=separator, dtype=str, keep_default_na=False, header=None if headless else 0,
            skipinitialspace=True, index_col=False,
        )  # fmt: skip
    except (ValueError, pd.errors.ParserError) as error:
        raise BakeoffError(f"{name} is no table ({str(error).strip()}): correct it, or labels.separator.") from None
    table.columns = [f"column {n}" if headless else str(column).strip() for n, column in enumerate(table, start=1)]
    return table


def _label_column(table: pd.DataFrame) -> str | None:
    columns = [str(column) for column in table]
    called = [column for word in LABEL_WORDS for column in columns if column.lower() == word]
    could = [column for column in columns if 2 <= table[column].nunique() <= max(2, len(table) / 2)]
    return called[0] if called else could[0] if len(could) == 1 else None


def _rows(table: pd.DataFrame, images: Sequence[str], settings: Mapping[str, Any]) -> Rows:
    names, column = ImageNames(images), settings["image"]
    by_image: dict[str, dict[str, str]] = {}
    unknown, contradicting = [], {}
    for row in table.to_dict("records"):
        stated = str(row.pop(column))
        image = names.find(stated)
        values = {str(key): str(value).strip() for key, value in row.items()}
        if image is None:
            unknown.append(stated)
        elif by_image.setdefault(image, values) != values:
            contradicting[image] = Finding(
                image, "contradicting rows", "dropped", f"two rows of {settings['file']} differ"
            )
    findings = list(contradicting.values())
    if unknown:
        detail = f"{len(unknown)} rows name no image of the folder, the first '{unknown[0]}'"
        findings.append(Finding(settings["file"], "missing image", "dropped", detail))
    return Rows(
        dict(settings),
        tuple(str(each) for each in table.columns if each != column),
        {image: values for image, values in by_image.items() if image not in contradicting},
        tuple(findings),
    )
