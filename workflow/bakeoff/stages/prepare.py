"""From archives to a prepared data set: arrays, index, audit and split."""

import errno
import importlib
import json
import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from bakeoff.datasets.audit import (
    duplicate_findings,
    groups,
    near_duplicates,
    near_findings,
    odd_sizes,
    write_audit,
)
from bakeoff.datasets.prepare import Coding, Decoded, Picture, decode_records, keep_rows, row_findings, write_histograms
from bakeoff.datasets.records import Finding, Listing, Record
from bakeoff.datasets.splits import SPLITS, split, straddling_groups
from bakeoff.errors import BakeoffError
from bakeoff.provenance import thread_count

log = logging.getLogger(__name__)

DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def prepare(
    dataset: str,
    source: str,
    raw: Path,
    folder: Path,
    *,
    size: int,
    split: dict[str, Any],
    duplicates: dict[str, Any],
) -> None:
    """Write `data/prepared/DATASET` from `data/raw/DATASET`.

    Parameters
    ----------
    source
        Package of `bakeoff.datasets` whose `layout` and `source` know the archives.
    raw
        Archives and `source.json`.
    folder
        The prepared data set; it appears whole or not at all.
    size
        Side of the square, in pixels, that images and masks are stretched to.
    split
        Arguments of `bakeoff.datasets.splits.split`.
    duplicates
        `distance`: in how many of 64 hash bits near duplicates may differ.

    Raises
    ------
    BakeoffError
        If an archive is missing or damaged, holds no usable image, or the disk is too small.
    """
    started = time.monotonic()
    facts = importlib.import_module(f"bakeoff.datasets.{source}.source")
    layout = importlib.import_module(f"bakeoff.datasets.{source}.layout")
    provenance = _read_provenance(raw / "source.json")
    listing = layout.listing(raw)
    if not listing.records:
        raise BakeoffError(f"{raw} holds no image of {facts.TITLE} that can be used: run `dvc repro -f download`.")

    with _appearing(folder) as beside:
        scratch = beside / "scratch"
        scratch.mkdir()
        coding = Coding(size, facts.CHANNELS, len(facts.CLASSES), layout.classes_of)
        decoded = decode_records(listing.records, raw, scratch, coding, thread_count())
        rows, group, findings = _audit(listing, decoded, size, duplicates["distance"])
        if not rows:
            raise BakeoffError(f"{raw}: none of {listing.listed} images can be used; the first: {_reason(findings)}.")
        images = keep_rows(decoded.images, rows, beside / "images.npy")
        keep_rows(decoded.masks, rows, beside / "masks.npy")
        write_histograms(images, beside / "histograms.npy")
        shutil.rmtree(scratch)

        index = _index(listing.records, decoded, rows, group, split, facts.STRATA)
        index.to_csv(beside / "index.csv", index=False)
        findings = [*listing.findings, *findings, *_straddling(index), *_short_count(listing, facts, provenance)]
        write_audit(beside / "audit.csv", findings)
        about = _about(dataset, facts, index, listing, size, split, provenance)
        (beside / "dataset.json").write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    seconds = time.monotonic() - started
    log.info(
        "%s: %d of %d images used (%s), %d findings in audit.csv, %.0f images a second",
        dataset,
        len(index),
        listing.listed,
        ", ".join(f"{count} {name}" for name, count in about["counts"]["by_split"].items()),
        len(findings),
        len(listing.records) / seconds,
    )


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """A folder beside its place, renamed into it when all is written; a disk that fills up is a `BakeoffError`."""
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        yield beside
        shutil.rmtree(folder, ignore_errors=True)
        beside.rename(folder)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise BakeoffError(f"{folder} cannot be written ({error.strerror}): make room on the disk.") from None
        raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _read_provenance(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BakeoffError(f"{path} cannot be read ({error}): run `dvc repro -f download`.") from None


def _audit(listing: Listing, decoded: Decoded, size: int, distance: int) -> tuple[list[int], list[int], list[Finding]]:
    """Rows that are used, for each of them the row that names its group, and what was found."""
    findings, usable = row_findings(listing.records, decoded)
    digests = {row: _picture(decoded, row).digest for row in np.flatnonzero(usable).tolist()}
    duplicated = duplicate_findings(listing.records, digests, decoded.masks)
    rows = [row for row in digests if row not in duplicated]
    findings += duplicated.values()
    if not rows:
        return rows, rows, findings

    pictures = [_picture(decoded, row) for row in rows]
    records = [listing.records[row] for row in rows]
    pairs = near_duplicates(
        [picture.hash for picture in pictures], np.stack([picture.thumbnail for picture in pictures]), distance
    )
    findings += [*near_findings(records, pairs), *_size_findings(records, pictures, size)]
    return rows, [rows[first] for first in groups(len(rows), pairs).tolist()], findings


def _picture(decoded: Decoded, row: int) -> Picture:
    picture = decoded.pictures[row]
    assert isinstance(picture, Picture)  # only asked for rows that are usable
    return picture


def _size_findings(records: Sequence[Record], pictures: Sequence[Picture], size: int) -> list[Finding]:
    heights, widths = (np.array([getattr(picture, side) for picture in pictures]) for side in ("height", "width"))
    middle = f"the median is {np.median(widths):.0f} x {np.median(heights):.0f}"
    findings = [
        Finding(records[row].image.name, "odd size", "kept", f"{widths[row]} x {heights[row]} pixels, {middle}")
        for row in np.flatnonzero(odd_sizes(heights, widths)).tolist()
    ]
    small = int((np.minimum(heights, widths) < size).sum())
    if small:
        detail = f"{small} of {len(records)} images have a side below {size} pixels and are enlarged"
        findings.append(Finding(records[0].image.archive, "small images", "converted", detail))
    return findings


def _index(
    records: Sequence[Record],
    decoded: Decoded,
    rows: list[int],
    group: list[int],
    settings: dict[str, Any],
    strata: Sequence[str],
) -> pd.DataFrame:
    used = [records[row] for row in rows]
    index = pd.DataFrame({"id": [record.id for record in used], "group": [records[row].id for row in group]})
    for label in used[0].labels:
        index[label] = [record.labels[label] for record in used]
    index["source"] = [record.image.name for record in used]
    index["original_height"] = [_picture(decoded, row).height for row in rows]
    index["original_width"] = [_picture(decoded, row).width for row in rows]
    index.insert(1, "split", split(index, stratify_by=strata, **settings))
    return index


def _straddling(index: pd.DataFrame) -> list[Finding]:
    """Near duplicates that a published split, which knows no groups, tears apart."""
    findings = []
    for group, splits in straddling_groups(index["group"], index["split"]).items():
        members = index[index["group"] == group]
        detail = f"look-alikes {', '.join(members['id'])} lie in {' and '.join(splits)}"
        findings.append(Finding(members["source"].iloc[0], "group straddles splits", "kept", detail))
    return findings


def _short_count(listing: Listing, facts: ModuleType, provenance: dict[str, Any]) -> list[Finding]:
    published = facts.PUBLISHED["listed"]
    if provenance["synthetic"] or listing.listed == published:
        return []
    detail = f"{listing.listed} images are listed, {published} were published"
    return [Finding(facts.FILES[0].name, "unexpected count", "kept", detail)]


def _about(
    dataset: str,
    facts: ModuleType,
    index: pd.DataFrame,
    listing: Listing,
    size: int,
    settings: dict[str, Any],
    provenance: dict[str, Any],
) -> dict[str, Any]:
    in_split = index["split"].value_counts()
    return {
        "name": dataset,
        "title": facts.TITLE,
        "task": facts.TASK,
        "classes": list(facts.CLASSES),
        "strata": list(facts.STRATA),
        "size": size,
        "counts": {
            "listed": listing.listed,
            "used": len(index),
            "dropped": listing.listed - len(index),
            "by_split": {name: int(in_split.get(name, 0)) for name in SPLITS},
            "by_label": {
                label: {str(value): int(count) for value, count in index[label].value_counts().sort_index().items()}
                for label in listing.records[0].labels
            },
        },
        "split": settings,
        "provenance": provenance,
        "licence": facts.LICENCE,
        "citation": facts.CITATION,
        "synthetic": bool(provenance["synthetic"]),
    }


def _reason(findings: Sequence[Finding]) -> str:
    return f"{findings[0].file}, {findings[0].finding} ({findings[0].detail})" if findings else "not one is listed"
