"""From archives to a prepared data set: arrays, index and audit."""

import importlib
import json
import logging
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bakeoff.artefacts.atomic import atomic_folder, write_text
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.geometry import Geometry
from bakeoff.artefacts.provenance import thread_count
from bakeoff.artefacts.void import VOID
from bakeoff.datasets.archives.records import NOT_OF_IMAGES, Finding, Listing, Record
from bakeoff.datasets.preparation.arrays import (
    Coding,
    Contents,
    Decoded,
    Picture,
    decode_records,
    keep_masks,
    keep_rows,
    row_findings,
    write_histograms,
)
from bakeoff.datasets.preparation.audit import (
    duplicate_findings,
    groups,
    near_duplicates,
    near_findings,
    odd_sizes,
    write_audit,
)

log = logging.getLogger(__name__)


def prepare(dataset: str, source: str, raw: Path, folder: Path, *, size: int, distance: int) -> None:
    """Write `data/prepared/DATASET` from `data/raw/DATASET`.

    Parameters
    ----------
    source
        Package of `bakeoff.datasets` that knows the archives.
    raw
        Archives and `source.json`.
    folder
        The prepared data set; it appears whole or not at all.
    size
        Side of the square, in pixels, that images and masks are stretched to.
    distance
        In how many of 64 hash bits near-duplicates may differ.

    Raises
    ------
    BakeoffError
        If an archive is missing or damaged, holds no usable image or other counts than were published, or the disk is
        too small.
    """
    facts = importlib.import_module(f"bakeoff.datasets.sources.{source}")
    provenance = _read_provenance(raw / "source.json")
    listing = facts.listing(raw)
    if not listing.records:
        raise BakeoffError(f"{raw} has no usable image of {facts.TITLE}: run `dvc repro -f download@{dataset}`.")
    coding = Coding(
        Geometry("stretch", size, size), facts.CHANNELS, len(facts.CLASSES), facts.MASK_RESIZE, facts.classes_of
    )
    about = {"name": dataset, "source": source, "provenance": provenance}
    findings = _miscounts(listing, facts, provenance)
    prepare_listing(listing, facts, coding, about, raw, folder, distance=distance, findings=findings)


def prepare_listing(
    listing: Listing,
    facts: Any,
    coding: Coding,
    about: Mapping[str, Any],
    raw: Path,
    folder: Path,
    *,
    distance: int,
    findings: Sequence[Finding] = (),
    contents: Contents | None = None,
) -> None:
    """Write a prepared data set from the records of a listing.

    Parameters
    ----------
    facts
        The package of a published data set, or an object with its constants.
    about
        `name`, `source` and `provenance` of `dataset.json`.
    raw
        Where the archives are.
    findings
        Further findings, for `audit.csv`.
    contents
        What the records' files hold, where they are not read from archives in `raw`.

    Raises
    ------
    BakeoffError
        As `prepare`, or if more than half of the images are lost for one reason.
    """
    started = time.monotonic()
    name = about["name"]

    with atomic_folder(folder) as beside:
        scratch = beside / "scratch"
        scratch.mkdir()
        decoded = decode_records(listing.records, raw, scratch, coding, thread_count(), contents)
        rows, group, found = _audit(listing, decoded, facts.TARGETS, coding.geometry, distance)
        if not rows:
            raise BakeoffError(f"{raw}: none of {listing.listed} images can be used; the first: {_reason(found)}.")
        every = [*listing.findings, *found, *findings]
        _require_most(name, every, listing.listed)
        geometry, originals = coding.geometry, [decoded.size(row) for row in rows]
        shapes = [(*geometry.framed_size(*original), coding.channels) for original in originals]
        images = keep_rows(decoded.images, rows, beside / "images.npy", np.uint8, shapes)
        if decoded.masks is not None:
            keep_masks(decoded.masks, rows, beside / "masks.npy", np.uint8, geometry, decoded, VOID)
        if decoded.objects is not None:
            keep_masks(decoded.objects, rows, beside / "objects.npy", np.uint16, geometry, decoded, 0)
        write_histograms(images, [geometry.shown(*original) for original in originals], beside / "histograms.npy")
        shutil.rmtree(scratch)

        index = _index(listing.records, decoded, rows, group)
        index.to_csv(beside / "index.csv", index=False)
        write_audit(beside / "audit.csv", every)
        written = _about(about, facts, coding, index, listing)
        write_text(beside / "dataset.json", json.dumps(written, indent=2, ensure_ascii=False) + "\n")
    seconds = time.monotonic() - started
    log.info(
        "%s: %d of %d images used%s; %d findings in audit.csv, %.0f images a second",
        name,
        len(index),
        listing.listed,
        left_out(every),
        len(every),
        len(listing.records) / seconds,
    )


def left_out(findings: Sequence[Finding]) -> str:
    """What was left out and why, to end a sentence with: reasons with their number, kinds of files passed over."""
    images = Counter(finding.finding for finding in findings if _is_lost_image(finding))
    files = [finding.detail.partition(":")[0] for finding in findings if finding.finding == "passed over"]
    count = sum(int(kind.rpartition("(")[2].rstrip(")")) for kind in files)
    said = [f"left out: {', '.join(f'{reason} ({count})' for reason, count in images.most_common())}"] if images else []
    said += [f"{count} file{'s' * (count > 1)} passed over: {', '.join(files)}"] if files else []
    return "".join(f"; {each}" for each in said)


# What to do where most images of a folder are lost for one reason.
_REMEDIES = {
    "blank mask": "state empty_masks: keep if there is nothing to mark on them, or annotate them",
    "missing mask": "correct images and masks in the configuration, or take images without a mask out of the folder",
    "no split": "correct the split in the configuration, or state split: none",
}


def _is_lost_image(finding: Finding) -> bool:
    return finding.consequence == "dropped" and finding.finding not in NOT_OF_IMAGES


def _require_most(name: str, findings: Sequence[Finding], listed: int) -> None:
    """Refuse a data set that has lost more than half of its images for one reason."""
    lost = [finding for finding in findings if _is_lost_image(finding)]
    reasons = Counter(finding.finding for finding in lost)
    reason, count = max(reasons.items(), key=lambda each: each[1], default=("", 0))
    if count > listed / 2:
        first = next(finding for finding in lost if finding.finding == reason)
        raise BakeoffError(
            f"{name}: {count} of {listed} images would be left out for one reason, {reason} (the first: {first.file}, "
            f"{first.detail}): {_REMEDIES.get(reason, 'correct the files, or what the configuration says of them')}."
        )


def _read_provenance(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BakeoffError(
            f"{path} cannot be read ({error}): run `dvc repro -f download@{path.parent.name}`."
        ) from None


def _audit(
    listing: Listing, decoded: Decoded, targets: Sequence[str], geometry: Geometry, distance: int
) -> tuple[list[int], list[int], list[Finding]]:
    """Rows that are used, for each of them the row that names its group, and what was found."""
    findings, usable = row_findings(listing.records, decoded)
    digests = {row: _picture(decoded, row).digest for row in np.flatnonzero(usable).tolist()}
    duplicated = duplicate_findings(listing.records, digests, decoded.masks, targets)
    rows = [row for row in digests if row not in duplicated]
    findings += duplicated.values()
    if not rows:
        return rows, rows, findings

    pictures = [_picture(decoded, row) for row in rows]
    records = [listing.records[row] for row in rows]
    pairs = near_duplicates([picture.hash for picture in pictures], decoded.thumbnails[rows], distance)
    findings += [*near_findings(records, pairs, targets), *_size_findings(records, pictures, geometry)]
    return rows, [rows[first] for first in groups(records, pairs).tolist()], findings


def _picture(decoded: Decoded, row: int) -> Picture:
    picture = decoded.pictures[row]
    assert isinstance(picture, Picture)  # only asked for rows that are usable
    return picture


def _size_findings(records: Sequence[Record], pictures: Sequence[Picture], geometry: Geometry) -> list[Finding]:
    heights, widths = (np.array([getattr(picture, side) for picture in pictures]) for side in ("height", "width"))
    middle = f"the median is {np.median(widths):.0f} x {np.median(heights):.0f}"
    findings = [
        Finding(records[row].image.name, "odd size", "kept", f"{widths[row]} x {heights[row]} pixels, {middle}")
        for row in np.flatnonzero(odd_sizes(heights, widths)).tolist()
    ]
    sizes = [(picture.height, picture.width) for picture in pictures]
    if small := sum(geometry.enlarges(*size) for size in sizes):
        frame = f"{geometry.width} x {geometry.height}"
        detail = f"{small} of {len(records)} images have a side below {frame} pixels and are enlarged"
        findings.append(Finding(records[0].image.archive, "small images", "converted", detail))
    return findings


def _index(records: Sequence[Record], decoded: Decoded, rows: list[int], group: list[int]) -> pd.DataFrame:
    used = [records[row] for row in rows]
    index = pd.DataFrame({"id": [record.id for record in used], "group": [records[row].id for row in group]})
    for label in used[0].labels:
        index[label] = [record.labels[label] for record in used]
    index["source"] = [record.image.name for record in used]
    index["original_height"] = [_picture(decoded, row).height for row in rows]
    index["original_width"] = [_picture(decoded, row).width for row in rows]
    return index


def _miscounts(listing: Listing, facts: Any, provenance: Mapping[str, Any]) -> list[Finding]:
    """Differences from the published counts: an error in official files, a finding in a mirror's."""
    if provenance["synthetic"] or facts.PUBLISHED is None:
        return []
    differing = list(_differing_counts(listing, facts.PUBLISHED))
    official = bool(provenance["files"]) and all(file["official"] for file in provenance["files"])
    if differing and official:
        raise BakeoffError(
            f"{facts.FILES[0].name} is not what was published: {'; '.join(differing)}: fetch it again, or "
            "correct PUBLISHED in the data set's package if the publisher changed it."
        )
    return [Finding(facts.FILES[0].name, "unexpected count", "kept", detail) for detail in differing]


def _differing_counts(listing: Listing, published: Mapping[str, Any]) -> Iterator[str]:
    if listing.listed != published["listed"]:
        yield f"{listing.listed} images are listed, {published['listed']} were published"
    for label, counts in published["labels"].items():
        seen = Counter(record.labels[label] for record in listing.records)
        for value, count in counts.items():
            if seen[value] != count:
                yield f"{seen[value]} images have {label} {value}, {count} were published"


def _about(
    about: Mapping[str, Any], facts: Any, coding: Coding, index: pd.DataFrame, listing: Listing
) -> dict[str, Any]:
    return {
        "name": about["name"],
        "source": about["source"],
        "title": facts.TITLE,
        "classes": list(facts.CLASSES),
        "background": 0 if facts.CLASSES and coding.background else None,
        "objects": coding.objects,
        "targets": list(facts.TARGETS),
        "strata": list(facts.STRATA),
        "channels": coding.channels,
        "geometry": coding.geometry.kind,
        "size": [coding.geometry.height, coding.geometry.width],
        "counts": {
            "listed": listing.listed,
            "used": len(index),
            "dropped": listing.listed - len(index),
            "by_label": {
                label: {str(value): int(count) for value, count in index[label].value_counts().sort_index().items()}
                for label in listing.records[0].labels
            },
        },
        "published": facts.PUBLISHED,
        # Of published data: where they are described, under what name model hubs have them, whether of patients.
        "page": getattr(facts, "PAGE", None),
        "hub": getattr(facts, "HUB", None),
        "patients": getattr(facts, "PATIENTS", False),
        "provenance": about["provenance"],
        "licence": facts.LICENCE,
        "citation": facts.CITATION,
        "synthetic": bool(about["provenance"]["synthetic"]),
    }


def _reason(findings: Sequence[Finding]) -> str:
    return f"{findings[0].file}, {findings[0].finding} ({findings[0].detail})" if findings else "none is listed"
