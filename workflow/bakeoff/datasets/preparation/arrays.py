"""From archives to arrays: pictures and masks are decoded once, as they stream by, and never unpacked to disk."""

import logging
import struct
import sys
import time
import zipfile
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from bakeoff.artefacts.arrays import allocate
from bakeoff.artefacts.channels import Levels
from bakeoff.artefacts.geometry import Geometry, Region
from bakeoff.artefacts.grey_levels import grey, histogram
from bakeoff.artefacts.ragged import Arrays, allocate_arrays
from bakeoff.artefacts.void import VOID, is_foreground
from bakeoff.datasets.archives.archive import open_archive
from bakeoff.datasets.archives.records import Finding, Member, Record
from bakeoff.datasets.preparation.audit import THUMBNAIL, perceptual_hash, thumbnail
from bakeoff.datasets.preparation.decode import (
    Undecodable,
    decode,
    header,
    nearest_classes,
    resize_classes,
    resize_image,
)
from bakeoff.datasets.preparation.mask_files import MaskPixels, object_numbers
from bakeoff.datasets.preparation.objects import resize_objects

log = logging.getLogger(__name__)

# Memory that files being decoded may take together, as estimated from their headers. A larger one is decoded alone.
DECODING_BYTES = 512 << 20
# Bytes a pixel takes in the arrays that are made from it.
ARRAY_BYTES = 5
SECONDS_BETWEEN_LINES = 10.0

Part = Literal["image", "mask"]
# What is made of an image's orientation tag, by whether images are to be upright.
_TURNED = {
    True: "turned as its EXIF tag says; state orientation: as-stored if masks are drawn on the stored pixels",
    False: "its EXIF tag turns it, and it is used as stored; state orientation: upright if masks are drawn upright",
}


class Picture(NamedTuple):
    """What is kept of an image beside its arrays: original size, digest of all pixels, perceptual hash.

    `turned` says what its orientation tag is, and what was made of that; "" for an image without one.
    """

    height: int
    width: int
    digest: bytes
    hash: int
    converted: str
    turned: str = ""


class Mask(NamedTuple):
    """What is kept of a mask beside its prepared classes; `blank` means that these are all background, or void."""

    height: int
    width: int
    blank: bool
    converted: str


class Fault(NamedTuple):
    """Why a file cannot be used."""

    file: str
    finding: str
    detail: str


@dataclass(frozen=True)
class Coding:
    """How pictures and masks become arrays.

    Attributes
    ----------
    geometry
        What is made of their height and width.
    channels
        1 for grey levels, 3 for RGB; other numbers are those of the files.
    classes
        How many a mask tells apart; 0 for a data set without masks.
    mask_resize
        `area`, the class with the largest share of the area, or `nearest`, the class at the middle.
    classes_of
        From a mask's grey levels (uint8, H x W) to class indices (uint8, H x W); a `ValueError` for a level that is no
        class.
    read_mask
        In place of `classes_of`: from a mask file to its pixels; a `ValueError` for what is no class, an `Undecodable`
        for what is no mask.
    draw
        From the id of a record without mask files and its image's height and width to the mask that is drawn of it; a
        `ValueError` where that cannot be. None for records with mask files.
    background
        Whether the first class is the background. A mask of it alone is blank.
    objects
        Whether single objects are told apart: by `read_mask` or `draw`, by a record's own file of them, or, with
        `object_a_file`, by its mask files.
    upright
        Whether images are turned as their orientation tag says, which is a finding either way; None: tags are not
        looked at, and images are as stored.
    levels
        Of images of more than 8 bits, those that become black and white; None: by the depth of each image.
    """

    geometry: Geometry
    channels: int
    classes: int
    mask_resize: Literal["area", "nearest"]
    classes_of: Callable[[np.ndarray], np.ndarray] | None = None
    read_mask: Callable[[bytes], MaskPixels] | None = None
    draw: Callable[[str, int, int], MaskPixels] | None = None
    background: bool = True
    objects: bool = False
    object_a_file: bool = False
    upright: bool | None = None
    levels: Levels | None = None


class _Files:
    """Arrays of any sizes, a file each: what geometry `tile` needs until it is known which of them are used."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()

    def __setitem__(self, row: int, pixels: np.ndarray) -> None:
        np.save(self._folder / f"{row}.npy", pixels, allow_pickle=False)

    def __getitem__(self, row: int) -> np.ndarray:
        found: np.ndarray = np.load(self._folder / f"{row}.npy", mmap_mode="r", allow_pickle=False)
        return found


Rows = np.ndarray | _Files


@dataclass(frozen=True)
class Decoded:
    """Every record's arrays, and what is known of its files, by row; nothing for a record without masks.

    Images, masks and objects are on disk, read and written by row. Thumbnails, uint8 (n, 32, 32), are one array in
    memory: one by one they would lie between the buffers of the pictures decoded meanwhile, which could then not go
    back to the system.
    """

    images: Rows
    masks: Rows | None
    thumbnails: np.ndarray
    pictures: dict[int, Picture | Fault]
    drawn: dict[int, Mask | Fault]
    objects: Rows | None = None

    def size(self, row: int) -> tuple[int, int]:
        """Height and width of a usable image."""
        picture = self.pictures[row]
        assert isinstance(picture, Picture)
        return picture.height, picture.width


class _Work(NamedTuple):
    """A record's image, or all its masks and then its file of objects: names and contents of the files."""

    record: Record
    row: int
    part: Part
    names: tuple[str, ...]
    contents: tuple[bytes, ...]


Contents = Callable[[Iterable[Member]], Iterator[tuple[Member, bytes]]]


def decode_records(
    records: Sequence[Record],
    raw: Path,
    scratch: Path,
    coding: Coding,
    threads: int,
    contents: Contents | None = None,
) -> Decoded:
    """Decode images, masks and objects of the records into the folder `scratch`.

    Archives in `raw`, or what `contents` has of the members in their stead, are read from start to end, one file at a
    time; decoding runs in `threads` threads. Memory: the output apart, `DECODING_BYTES` or, if that is more, the one
    largest picture.

    Raises
    ------
    BakeoffError
        If an archive is missing or damaged.
    OSError
        If the disk is too small.
    """
    cv2.setNumThreads(1)  # the threads here are enough

    def rows(name: str, dtype: type, *channels: int) -> Rows:
        if coding.geometry.tiled:
            return _Files(scratch / name)
        shape = len(records), coding.geometry.height, coding.geometry.width
        return allocate(scratch / f"{name}.npy", dtype, (*shape, *channels))

    images = rows("images", np.uint8, coding.channels)
    masks = rows("masks", np.uint8) if coding.classes else None
    thumbnails = np.zeros((len(records), THUMBNAIL, THUMBNAIL), np.uint8)
    objects = rows("objects", np.uint16) if coding.objects else None
    decoded = Decoded(images, masks, thumbnails, {}, {}, objects)

    def run(work: _Work) -> tuple[_Work, Picture | Mask | Fault]:
        try:
            return work, (_decode_image if work.part == "image" else _decode_masks)(work, coding, decoded)
        except Undecodable as error:
            return work, Fault(work.names[0], "unreadable", str(error))

    total = sum(1 + bool(record.masks) for record in records)
    with ThreadPoolExecutor(threads) as pool:
        works = _in_order(
            pool, run, _works(records, contents or partial(_contents, raw)), limit=DECODING_BYTES, ahead=2 * threads
        )
        for work, seen in progress(works, total, "decoding"):
            (decoded.pictures if work.part == "image" else decoded.drawn)[work.row] = seen
    return decoded


def row_findings(records: Sequence[Record], decoded: Decoded) -> tuple[list[Finding], np.ndarray]:
    """Findings on each record by itself, and which records (boolean) can be used."""
    findings: list[Finding] = []
    usable = np.zeros(len(records), bool)
    for row, record in enumerate(records):
        unusable = _unusable(record, decoded.pictures.get(row), decoded.drawn.get(row))
        usable[row] = not unusable
        findings += unusable or _conversions(record, decoded.pictures[row], decoded.drawn.get(row))
    return _in_one_line(findings, records), usable


def _in_one_line(findings: list[Finding], records: Sequence[Record]) -> list[Finding]:
    """The same findings; a conversion that most images or masks of a data set need is reported in one line."""
    masks = {mask.name: mask.archive for record in records for mask in record.masks}

    def kind(finding: Finding) -> tuple[str, str, bool]:
        return finding.finding, finding.detail, finding.file in masks

    kinds = Counter(kind(finding) for finding in findings if finding.consequence == "converted")
    common = {each: count for each, count in kinds.items() if count > max(len(records) / 2, 20)}
    lines = []
    for (finding, detail, of_masks), count in common.items():
        archive = next(iter(masks.values())) if of_masks else records[0].image.archive
        files = "masks" if of_masks else "images"
        lines.append(Finding(archive, finding, "converted", f"{detail}, {count} of {len(records)} {files}"))
    return [*lines, *(finding for finding in findings if kind(finding) not in common)]


def keep_rows(source: Rows, rows: Sequence[int], path: Path, dtype: type, shapes: Sequence[tuple[int, ...]]) -> Arrays:
    """Write the chosen rows of a source, in that order, as arrays of these shapes."""
    kept = allocate_arrays(path, dtype, shapes)
    for position, row in enumerate(rows):
        kept[position][...] = source[row]
    return kept


def keep_masks(
    source: Rows, rows: Sequence[int], path: Path, dtype: type, geometry: Geometry, decoded: Decoded, outside: int
) -> Arrays:
    """The same of masks or objects, each brought to the place that its image has in its array.

    A mask may be stored at another resolution than its image, and was prepared by its own size.
    """
    kept = allocate_arrays(path, dtype, [geometry.framed_size(*decoded.size(row)) for row in rows])
    for position, row in enumerate(rows):
        own, image = decoded.drawn.get(row), decoded.size(row)
        pixels = source[row]
        if not isinstance(own, Mask) or (own.height, own.width) == image or geometry.kind not in ("pad", "tile"):
            kept[position][...] = pixels
            continue
        kept[position][...] = outside
        there = kept[position][geometry.shown(*image)]
        there[...] = nearest_classes(pixels[geometry.shown(own.height, own.width)], (there.shape[0], there.shape[1]))
    return kept


def write_histograms(images: Arrays, shown: Sequence[Region], path: Path) -> None:
    """Grey-level histograms, uint32 (n, 256), of prepared images, of the part that each shows."""
    histograms = allocate(path, np.uint32, (len(images), 256))
    for row, region in enumerate(shown):
        histograms[row] = histogram(grey(images[row][region]))
    histograms.flush()


def progress(items: Iterable[Any], total: int, what: str) -> Iterator[Any]:
    """Pass items on, with a bar on a terminal and a line every ten seconds elsewhere."""
    if sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=what, unit="file")
        return
    started = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            log.info("%s: %d of %d files, %.0f a second", what, done, total, done / (now - started))


def _works(records: Sequence[Record], contents: Contents) -> Iterator[_Work]:
    """Each image, and each set of masks, as soon as the last of its files has been read."""
    waiting: dict[Member, tuple[int, Part]] = {}
    for row, record in enumerate(records):
        waiting[record.image] = (row, "image")
        waiting.update(dict.fromkeys(_mask_members(record), (row, "mask")))
    arrived: dict[tuple[int, Part], dict[Member, bytes]] = {}
    for member, content in contents(waiting):
        row, part = waiting[member]
        members = (records[row].image,) if part == "image" else _mask_members(records[row])
        parts = arrived.setdefault((row, part), {})
        parts[member] = content
        if len(parts) == len(members):
            del arrived[row, part]
            yield _Work(records[row], row, part, tuple(m.name for m in members), tuple(parts[m] for m in members))


def _mask_members(record: Record) -> tuple[Member, ...]:
    return record.masks if record.objects is None else (*record.masks, record.objects)


def _contents(raw: Path, members: Iterable[Member]) -> Iterator[tuple[Member, bytes]]:
    """Contents of the members: from a zip in the order given, from a tar.gz as they come."""
    by_archive: dict[str, dict[str, Member]] = {}
    for member in members:
        by_archive.setdefault(member.archive, {})[member.name] = member
    for archive, wanted in by_archive.items():
        with open_archive(raw / archive) as opened:
            if zipfile.is_zipfile(raw / archive):
                yield from ((member, opened.read(name)) for name, member in wanted.items())
            else:
                yield from ((wanted[name], content) for name, content in opened.stream() if name in wanted)


def _in_order(
    pool: ThreadPoolExecutor,
    run: Callable[[_Work], tuple[_Work, Any]],
    works: Iterable[_Work],
    *,
    limit: int,
    ahead: int,
) -> Iterator[tuple[_Work, Any]]:
    """Results in the order of the works, of which at most `ahead`, and `limit` bytes, are under way at a time."""
    under_way: deque[tuple[Future[tuple[_Work, Any]], int]] = deque()
    taken = 0
    for work in works:
        bytes_ = _memory(work)
        while under_way and (len(under_way) >= ahead or taken + bytes_ > limit):
            future, freed = under_way.popleft()
            taken -= freed
            yield future.result()
        under_way.append((pool.submit(run, work), bytes_))
        taken += bytes_
    while under_way:
        yield under_way.popleft()[0].result()


def _memory(work: _Work) -> int:
    """Bytes that decoding will take at most, about, as the files' headers say; masks are decoded one by one."""
    return sum(map(len, work.contents)) + max(map(_decoding_bytes, work.contents))


def _decoding_bytes(content: bytes) -> int:
    try:
        seen = header(content)
    except Undecodable:
        return 0
    return seen.width * seen.height * (seen.bytes + ARRAY_BYTES)


def _decode_image(work: _Work, coding: Coding, into: Decoded) -> Picture:
    pixels, converted, orientation = decode(
        work.contents[0], coding.channels, upright=bool(coding.upright), levels=coding.levels
    )
    height, width = pixels.shape[:2]
    scaled = resize_image(pixels, coding.geometry.scaled(height, width))
    into.images[work.row] = coding.geometry.framed(scaled, 0)
    levels = grey(scaled)
    into.thumbnails[work.row] = thumbnail(levels)
    if coding.draw and not work.record.masks:
        try:
            into.drawn[work.row] = _keep_mask(work.row, coding.draw(work.record.id, height, width), coding, into)
        except ValueError as error:
            into.drawn[work.row] = Fault(work.names[0], "unusable annotation", str(error))
    # Of size and pixels; processors have instructions for this one.
    digest = sha256(struct.pack("<2Q", height, width))
    digest.update(np.ascontiguousarray(pixels).data)
    turned = _TURNED[coding.upright] if coding.upright is not None and orientation in range(2, 9) else ""
    return Picture(height, width, digest.digest(), perceptual_hash(levels), converted, turned)


def _decode_masks(work: _Work, coding: Coding, into: Decoded) -> Mask | Fault:
    layers: list[MaskPixels] = []
    count = len(work.record.masks)
    for name, content in zip(work.names[:count], work.contents[:count], strict=True):
        try:
            layers.append(_read_mask(content, coding))
        except Undecodable as error:
            return Fault(name, "unreadable", str(error))
        except ValueError as error:
            return Fault(name, "label outside the list", str(error))
        if layers[-1].classes.shape != layers[0].classes.shape:
            return Fault(name, "size mismatch", "the masks of one image differ in size")
    united = _one_object_each(layers) if coding.object_a_file else _united(layers)
    if work.record.objects is not None:
        try:
            united = united._replace(objects=object_numbers(work.contents[-1]))
        except Undecodable as error:
            return Fault(work.names[-1], "unreadable", str(error))
    return _keep_mask(work.row, united, coding, into)


def _read_mask(content: bytes, coding: Coding) -> MaskPixels:
    if coding.read_mask:
        return coding.read_mask(content)
    assert coding.classes_of is not None  # one of the two is given
    mask = decode(content, 1)
    return MaskPixels(coding.classes_of(mask.pixels[..., 0]), converted=mask.converted)


def _united(layers: Sequence[MaskPixels]) -> MaskPixels:
    """Masks that cover the foreground together: the highest class index wins."""
    classes = layers[0].classes
    for layer in layers[1:]:
        classes = np.maximum(classes, layer.classes)
    return MaskPixels(classes, layers[0].objects, _notes(layers))


def _one_object_each(layers: Sequence[MaskPixels]) -> MaskPixels:
    """Masks of one object each, the smaller on top of the larger; numbers are by the order of the files."""
    classes = np.zeros_like(layers[0].classes)
    objects = np.zeros(classes.shape, np.uint16)
    for position in sorted(range(len(layers)), key=lambda each: -np.count_nonzero(layers[each].classes)):
        covered = layers[position].classes > 0
        classes[covered] = layers[position].classes[covered]
        objects[covered] = position + 1
    return MaskPixels(classes, objects, _notes(layers))


def _notes(layers: Sequence[MaskPixels]) -> str:
    return ", ".join(dict.fromkeys(layer.converted for layer in layers if layer.converted))


def _keep_mask(row: int, mask: MaskPixels, coding: Coding, into: Decoded) -> Mask:
    """Resize a mask into its row of the arrays."""
    assert into.masks is not None  # no mask is handed out of a data set without any
    height, width = mask.classes.shape
    size = coding.geometry.scaled(height, width)
    if coding.mask_resize == "nearest":
        scaled = nearest_classes(mask.classes, size)
    else:
        scaled = resize_classes(mask.classes, size)
    into.masks[row] = coding.geometry.framed(scaled, VOID)
    if into.objects is not None:
        objects = np.zeros(size, np.uint16)
        if mask.objects is not None:
            objects = resize_objects(mask.objects, mask.classes, scaled, background=coding.background)
        into.objects[row] = coding.geometry.framed(objects, 0)
    # Of the whole mask: what geometry `crop` leaves of it may well be empty.
    answered = is_foreground(scaled, 0 if coding.background else None)
    return Mask(height, width, not answered.any(), mask.converted)


def _unusable(record: Record, picture: Picture | Fault | None, mask: Mask | Fault | None) -> list[Finding]:
    """Why a record cannot be used, if it cannot."""
    faults = [seen for seen in (picture, mask) if isinstance(seen, Fault)]
    if picture is None or (mask is None and record.masks):
        faults.append(Fault(record.image.name, "unreadable", "it or its mask is not in the archive"))
    if isinstance(picture, Picture) and isinstance(mask, Mask):
        name = (record.masks or (record.image,))[0].name
        if mask.blank and record.blank_mask == "fault":
            faults.append(Fault(name, "blank mask", "the mask is empty"))
        if record.blank_mask == "expected" and not mask.blank:
            faults.append(Fault(name, "unexpected mask", "the mask should be empty"))
        if not _same_aspect(picture, mask):
            faults.append(Fault(name, "size mismatch", _sizes(picture, mask)))
    return [Finding(fault.file, fault.finding, "dropped", fault.detail) for fault in faults]


def _conversions(record: Record, picture: Picture | Fault, mask: Mask | Fault | None) -> list[Finding]:
    assert isinstance(picture, Picture)  # only usable records come here
    findings = []
    if picture.converted:
        findings.append(Finding(record.image.name, "wrong mode", "converted", picture.converted))
    if picture.turned:
        findings.append(Finding(record.image.name, "orientation tag", "converted", picture.turned))
    if isinstance(mask, Mask):
        if mask.converted:
            findings.append(Finding(record.masks[0].name, "wrong mode", "converted", mask.converted))
        if record.masks and (mask.height, mask.width) != (picture.height, picture.width):
            findings.append(Finding(record.masks[0].name, "size mismatch", "converted", _sizes(picture, mask)))
    return findings


def _same_aspect(picture: Picture, mask: Mask) -> bool:
    """Whether a mask is its picture's at another resolution, to within rounding and 1 %."""
    ratio = (mask.width / mask.height) / (picture.width / picture.height)
    rounding = 1 / min(mask.width, mask.height, picture.width, picture.height)
    return abs(ratio - 1) <= 0.01 + rounding


def _sizes(picture: Picture, mask: Mask) -> str:
    return f"the mask has {mask.width} x {mask.height} pixels, the image {picture.width} x {picture.height}"
