"""Mask files as they are stored, and what kind they are; the files are written byte by byte or by other libraries."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from bakeoff.artefacts.void import VOID
from bakeoff.datasets.preparation.decode import Undecodable
from bakeoff.datasets.preparation.mask_files import MaskReader, object_numbers, stored
from bakeoff.datasets.preparation.mask_kinds import inspect_masks
from bakeoff.inference.drawing import write_mask
from bakeoff.inference.pictures import open_mask
from PIL import Image

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
RED, GREEN = (255, 0, 0), (0, 255, 0)


def png(rows: list[bytes], width: int, depth: int, kind: int, palette: bytes = b"") -> bytes:
    """A PNG by its specification: rows are packed samples."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">2I5B", width, len(rows), depth, kind, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    colours = chunk(b"PLTE", palette) if palette else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + colours + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def written(levels: Any, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(levels)).save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(levels: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.asarray(levels), **options)
    return buffer.getvalue()


def disc(side: int = 32, inside: int = 255, scale: int = 1) -> np.ndarray:
    """A disc, antialiased where it is drawn at `scale` and shrunk."""
    rows, columns = np.mgrid[: side * scale, : side * scale]
    whole = ((rows - side * scale / 2) ** 2 + (columns - side * scale / 2) ** 2 < (side * scale / 3) ** 2) * inside
    return cv2.resize(whole.astype(np.uint8), (side, side), interpolation=cv2.INTER_AREA)


NUMBERS: dict[str, tuple[bytes, list[list[int]]]] = {
    "one bit": (png([b"\x40"], 2, 1, GREY), [[0, 255]]),
    "two bits": (png([b"\x1b"], 4, 2, GREY), [[0, 1, 2, 3]]),
    "four bits": (png([b"\x0f\x70"], 4, 4, GREY), [[0, 15, 7, 0]]),
    "eight bits": (png([b"\0\x01\xff"], 3, 8, GREY), [[0, 1, 255]]),
    "sixteen bits": (png([b"\0\x03\x01\x2c"], 2, 16, GREY), [[3, 300]]),
    "palette of two bits": (png([b"\x18"], 3, 2, PALETTE, bytes((9, 9, 9, *RED, *GREEN))), [[0, 1, 2]]),
    "grey as RGB": (png([b"\x02\x02\x02\0\0\0"], 2, 8, RGB), [[2, 0]]),
    "grey as RGB of sixteen bits": (png([b"\0\x03\0\x03\0\x03\x01\x2c\x01\x2c\x01\x2c"], 2, 16, RGB), [[3, 300]]),
    "grey of sixteen bits with alpha": (png([b"\0\x03\xff\xff\0\x04\xff\xff"], 2, 16, GREY_ALPHA), [[3, 4]]),
    "TIFF of sixteen bits": (tiff(np.array([[0, 7, 300]], np.uint16), compression="lzw"), [[0, 7, 300]]),
    "TIFF of 32 bits": (tiff(np.array([[0, 70_000]], np.uint32)), [[0, 70_000]]),
    "TIFF of negative numbers": (tiff(np.array([[-1, 2]], np.int16)), [[-1, 2]]),
    "TIFF of whole floats": (tiff(np.array([[0, 5]], np.float32)), [[0, 5]]),
    "TIFF whose zero is white": (tiff(np.array([[0, 3]], np.uint8), photometric="miniswhite"), [[0, 3]]),
    "TIFF of one bit": (tiff(np.array([[False, True]]), photometric="minisblack"), [[0, 255]]),
    "TIFF of one bit whose zero is white": (tiff(np.array([[False, True]]), photometric="miniswhite"), [[255, 0]]),
    "GIF": (written(np.array([[0, 1], [1, 0]], np.uint8), "GIF"), [[0, 1], [1, 0]]),
    "BMP": (written(np.array([[0, 3]], np.uint8), "BMP"), [[0, 3]]),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_those_that_are_stored(name: str) -> None:
    data, numbers = NUMBERS[name]
    mask = stored(data)
    assert not mask.coloured
    assert mask.values.tolist() == numbers


def test_a_first_page_and_a_white_zero_are_said() -> None:
    pages = tiff(np.array([[[0, 1]], [[1, 1]]], np.uint8), photometric="miniswhite")
    said = "first of 2 pages, levels as stored, though the file says that 0 is white"
    assert (stored(pages).values.tolist(), stored(pages).note) == ([[0, 1]], said)
    assert MaskReader({"a": 0, "b": 1})(pages).converted == said


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (tiff(np.array([[0.5]], np.float32)), "its levels are no whole numbers"),
        (tiff(np.zeros((3, 3, 2), np.uint8), photometric="minisblack", planarconfig="contig"), "it has 2 channels"),
        (png([b"\0\x03\0\x04\0\x05"], 1, 16, RGB), "its colours have more than 8 bits"),
        (NUMBERS["TIFF of sixteen bits"][0][:60], "damaged TIFF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "it is an EPS file, which only another program can draw: export it as PNG"),
        (b"", "the file is empty"),
    ],
)
def test_what_is_no_mask_is_a_sentence(data: bytes, words: str) -> None:
    with pytest.raises(Undecodable, match=words):
        stored(data)


def test_a_palette_stands_for_its_indices_and_for_its_colours_where_colours_are_named() -> None:
    data = png([b"\0\x01\x02"], 3, 8, PALETTE, bytes((0, 0, 0, *RED, *GREEN)))
    assert MaskReader({"a": 0, "b": 1, "c": 2})(data).classes.tolist() == [[0, 1, 2]]
    by_colour = MaskReader({"ground": "#000000", "green": "#00ff00", "red": "#ff0000"})
    assert by_colour(data).classes.tolist() == [[0, 2, 1]]
    colours = png([bytes((0, 0, 0, *RED, *GREEN))], 3, 8, RGB)
    assert by_colour(colours).classes.tolist() == [[0, 2, 1]]
    assert by_colour(tiff(np.array([[[255, 0, 0]]], np.uint8), photometric="rgb")).classes.tolist() == [[2]]


def test_what_is_void_is_so_beside_a_threshold_and_numbers_too() -> None:
    data = written(np.array([[0, 100, 200, 255]], np.uint8))
    classes = {"a": 0, "b": 1}
    assert MaskReader(classes, [255], threshold=128)(data).classes.tolist() == [[0, 0, 1, VOID]]
    numbers = MaskReader(classes, [255], numbers=True)(data)
    assert numbers.objects is not None
    assert (numbers.classes.tolist(), numbers.objects.tolist()) == ([[0, 1, 1, VOID]], [[0, 100, 200, 0]])


def test_why_a_mask_is_refused_says_what_to_state() -> None:
    reader = MaskReader({"a": 0, "b": [1, 255]})
    with pytest.raises(ValueError, match=r"levels .* \d+ more lie between classes \(0, 1, 255\).*: state threshold"):
        reader(written(disc(scale=8)))
    with pytest.raises(ValueError, match=r"levels .* lie between classes"):
        reader(written(disc(), "JPEG"))
    alpha = np.dstack([np.zeros((32, 32, 3), np.uint8), disc()])
    with pytest.raises(ValueError, match="it is of one colour, and its transparency varies: save the transparency"):
        reader(written(alpha))
    with pytest.raises(ValueError, match="it has colours, and threshold and objects go by levels"):
        MaskReader({"a": 0, "b": 1}, numbers=True)(png([bytes((*RED, *GREEN))], 2, 8, RGB))
    coloured = MaskReader({"a": "#000000", "b": "#ff0000"})
    with pytest.raises(ValueError, match=r"colours .* lie between those of classes .*, as in JPEG: save masks as PNG"):
        coloured(written(np.dstack([disc(), np.zeros((32, 32, 2), np.uint8)]), "JPEG"))


def test_predicted_masks_come_back_in(tmp_path: Path) -> None:
    mask = np.arange(12, dtype=np.uint8).reshape(3, 4) % 3
    write_mask(tmp_path / "a.png", mask)
    assert np.array_equal(open_mask(tmp_path / "a.png", 3), mask)
    content = (tmp_path / "a.png").read_bytes()
    assert np.array_equal(MaskReader({"a": 0, "b": 1, "c": 2})(content).classes, mask)
    found = inspect_masks([("a.png", content)])
    assert found is not None
    assert (found.kind, list(found.counts)) == ("levels", [0, 1, 2])


def test_numbers_of_objects_are_of_any_depth() -> None:
    assert object_numbers(NUMBERS["grey as RGB of sixteen bits"][0]).tolist() == [[3, 300]]


# Kinds of masks


def numbered(count: int) -> np.ndarray:
    """Squares apart, a number each."""
    whole = np.zeros((16, 64), np.uint16)
    for number in range(count):
        whole[4:10, number * 8 : number * 8 + 6] = number + 1
    return whole


SETS: dict[str, tuple[list[bytes], str, str]] = {
    "two levels": ([written(disc())] * 2, "two levels", "the masks have the levels 0 (in 2 masks), 255 (in 2 masks)"),
    "class numbers": (
        [written(disc(inside=2)), written(disc(inside=1))],
        "levels",
        "the masks have the levels 0 (in 2 masks), 1 (in 1 mask), 2 (in 1 mask)",
    ),
    "palette": (
        [png([b"\0\x01\x02"], 3, 8, PALETTE, bytes((0, 0, 0, *RED, *GREEN)))],
        "levels",
        "0 (in 1 mask), 1 (in 1 mask), 2 (in 1 mask), indices of a palette in 1 of 1 masks",
    ),
    "colours": (
        [png([bytes((*RED, *GREEN))], 2, 8, RGB), png([bytes((*RED, 0, 0, 0))], 2, 8, RGB)],
        "colours",
        "the masks have the colours '#ff0000' (in 2 masks), '#00ff00' (in 1 mask), '#000000' (in 1 mask)",
    ),
    "smoothed": ([written(disc(scale=8))] * 2, "smoothed", "0.png has"),
    "few levels of JPEG": ([written(disc(), "JPEG", quality=98)] * 2, "smoothed", "grey levels, as smoothed masks"),
    "transparency": (
        [written(np.dstack([np.zeros((32, 32, 3), np.uint8), disc()]))] * 2,
        "transparency",
        "0.png and the others are of one colour, and their transparency holds the mask",
    ),
    "numbers": (
        [written(numbered(count)) for count in (4, 5, 8)],
        "numbers",
        "levels number objects, up to 8 in a mask: 17 regions in 3 masks, one a level",
    ),
    "photographs": (
        [written(np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8))],
        "photographs",
        "colours, as a photograph or JPEG has",
    ),
}


@pytest.mark.parametrize("name", SETS)
def test_what_kind_masks_are_is_said_with_evidence(name: str) -> None:
    files, kind, words = SETS[name]
    found = inspect_masks((f"{number}.png", data) for number, data in enumerate(files))
    assert found is not None
    assert found.kind == kind
    assert words in found.evidence


def test_thin_classes_and_few_levels_are_not_smoothed() -> None:
    roads = np.zeros((16, 16), np.uint8)
    for level in range(1, 6):
        roads[level * 2] = level
    found = inspect_masks([("a.png", written(roads)), ("b.png", written(roads))])
    assert found is not None
    assert found.kind == "levels"
    assert inspect_masks([("a.txt", b"no picture")]) is None
