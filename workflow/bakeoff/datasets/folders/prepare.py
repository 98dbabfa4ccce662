"""From a folder of images, which is read in place, to a prepared data set."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.geometry import geometry
from bakeoff.datasets.archives.records import NOT_OF_IMAGES, Finding, Listing, Member, Record
from bakeoff.datasets.archives.tree import Tree
from bakeoff.datasets.formats import image_bytes, read_folder
from bakeoff.datasets.formats.layout import shared_folders
from bakeoff.datasets.formats.patterns import without_suffix
from bakeoff.datasets.formats.reading import Choices, Entry, Reading
from bakeoff.datasets.formats.shapes import draw
from bakeoff.datasets.preparation.arrays import Coding
from bakeoff.datasets.preparation.mask_files import MaskPixels, MaskReader
from bakeoff.datasets.preparation.prepare import prepare_listing
from bakeoff.datasets.preparation.volumes import open_folder

# With more classes than this, scores are not broken down by class.
MOST_STRATA = 12


@dataclass(frozen=True)
class FolderFacts:
    """What the package of a published data set says of it, of a folder; the names are those of every package."""

    TITLE: str
    CLASSES: tuple[str, ...]
    TARGETS: tuple[str, ...]
    STRATA: tuple[str, ...]
    LICENCE: str
    CITATION: str
    PUBLISHED: None = None


def prepare_folder(name: str, settings: Mapping[str, Any], folder: Path) -> None:
    """Write `data/prepared/NAME` from a folder of images or a zip.

    Parameters
    ----------
    name
        Of the entry in the configuration's `folders`.
    settings
        The entry, with `classes` as a mapping; see `bakeoff.config.schema.Folder`.
    folder
        The prepared data set; it appears whole or not at all.

    Raises
    ------
    BakeoffError
        If there is no such folder, it cannot be read as the entry says, or more than half of its images are lost for
        one reason.
    """
    path = Path(settings["path"]).expanduser()
    if not path.exists():
        raise BakeoffError(
            f"folders.{name}.path: there is no folder {settings['path']}: correct the path or remove the entry."
        )
    with open_folder(path) as tree:
        reading = read_folder(tree, Choices.of(name, settings))
        listing = listing_of(reading, tree.findings, path.name, keep_empty=settings["empty_masks"] == "keep")
        entries = dict(zip((record.id for record in listing.records), reading.entries, strict=True))
        prepare_listing(
            listing,
            _facts(name, settings, reading),
            _coding(name, settings, reading, entries),
            {"name": name, "source": None, "provenance": {"files": [], "folder": settings["path"], "synthetic": False}},
            path.parent,
            folder,
            distance=settings["duplicates"]["distance"],
            contents=lambda members: _contents(tree, entries.values(), members),
        )


def listing_of(reading: Reading, findings: Iterable[Finding], archive: str, *, keep_empty: bool) -> Listing:
    """Records of a reading's entries, in their order, and its findings.

    Parameters
    ----------
    findings
        Of the tree.
    archive
        What the folder is called.
    keep_empty
        Whether an image whose mask is empty is used.
    """
    columns = dict.fromkeys(label for entry in reading.entries for label in entry.labels)
    ids = ids_of([entry.image for entry in reading.entries])
    every = [*findings, *reading.findings]
    lost = sum(finding.consequence == "dropped" and finding.finding not in NOT_OF_IMAGES for finding in every)
    records = [
        Record(
            id=id_,
            image=Member(archive, entry.image),
            masks=tuple(Member(archive, mask) for mask in entry.masks),
            labels={column: entry.labels.get(column, "") for column in columns},
            group=entry.group,
            objects=Member(archive, entry.objects) if entry.objects and entry.objects not in entry.masks else None,
            # Of an image with a class, or that somebody has annotated, nothing marked may be the truth.
            blank_mask="allowed" if keep_empty or "class" in columns or reading.shapes else "fault",
        )
        for id_, entry in zip(ids, reading.entries, strict=True)
    ]
    return Listing(records, every, listed=len(records) + lost)


def ids_of(images: Sequence[str]) -> list[str]:
    """Ids of images by their paths: without the folders that all share, and without suffix where that is unique."""
    shared = shared_folders([tuple(image.split("/")[:-1]) for image in images]) if images else 0
    short = ["/".join(image.split("/")[shared:]) for image in images]
    counts = Counter(without_suffix(each) for each in short)
    return [bare if counts[bare := without_suffix(each)] == 1 else each for each in short]


def _facts(name: str, settings: Mapping[str, Any], reading: Reading) -> FolderFacts:
    labels = {entry.labels["class"] for entry in reading.entries if "class" in entry.labels}
    return FolderFacts(
        TITLE=settings["title"] or f"Own images: {name}",
        CLASSES=tuple(reading.classes or ()),
        TARGETS=("class",) if len(labels) >= 2 else (),
        STRATA=("class",) if 2 <= len(labels) <= MOST_STRATA else (),
        LICENCE=settings["licence"] or "not stated",
        CITATION=settings["citation"] or "",
    )


def _coding(name: str, settings: Mapping[str, Any], reading: Reading, entries: Mapping[str, Entry]) -> Coding:
    numbers = reading.objects and any(entry.objects and entry.objects in entry.masks for entry in reading.entries)
    return Coding(
        geometry=geometry(settings["geometry"], settings["size"]),
        channels=settings["channels"],
        classes=len(reading.classes or ()),
        mask_resize="area",
        read_mask=_mask_reader(name, settings, reading, numbers=numbers),
        draw=(lambda id_, height, width: _drawn(reading, entries[id_], height, width)) if reading.shapes else None,
        background=reading.background is not None,
        objects=reading.objects,
        object_a_file=reading.mask_of_object,
        upright=settings["orientation"] == "upright",
        levels=settings["levels"],
    )


def _mask_reader(name: str, settings: Mapping[str, Any], reading: Reading, *, numbers: bool) -> MaskReader | None:
    if reading.classes is None or reading.shapes:
        return None
    try:
        return MaskReader(reading.classes, reading.ignore, threshold=settings["threshold"], numbers=numbers)
    except ValueError as error:
        raise BakeoffError(f"folders.{name}.classes: {error}.") from None


def _drawn(reading: Reading, entry: Entry, height: int, width: int) -> MaskPixels:
    if entry.size is not None and entry.size != (height, width):
        raise ValueError(
            f"it is of an image of {entry.size[1]} x {entry.size[0]} pixels, and this one has {width} x {height}"
        )
    drawn = draw(reading, entry, height, width)
    return MaskPixels(drawn.classes, drawn.objects)


def _contents(tree: Tree, entries: Iterable[Entry], members: Iterable[Member]) -> Iterator[tuple[Member, bytes]]:
    embedded = {entry.image: entry for entry in entries if entry.embedded}
    for member in members:
        entry = embedded.get(member.name)
        yield member, image_bytes(tree, entry) if entry else tree.read(member.name)
