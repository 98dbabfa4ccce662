"""A contact sheet: examples of images with their masks drawn over them, or with their classes, and a legend."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bakeoff.adding.looking import spread
from bakeoff.artefacts.channels import as_rgb
from bakeoff.artefacts.colours import class_colours
from bakeoff.artefacts.void import VOID
from bakeoff.datasets.formats import image_bytes
from bakeoff.datasets.formats.reading import Entry, Reading, Tree
from bakeoff.datasets.formats.shapes import draw
from bakeoff.datasets.preparation.decode import Undecodable, decode
from bakeoff.datasets.preparation.mask_files import MaskReader

PAIRS, CLASSES = 12, 24
SIDE, GAP, LINE = 200, 8, 18
# Of a mask drawn over an image.
OPACITY = 0.45
BACKGROUND, INK = (255, 255, 255), (20, 20, 20)
COLUMNS = 4
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def write_sheet(path: Path, tree: Tree, reading: Reading, settings: Mapping[str, Any]) -> int:
    """Write a PNG of examples; how many it shows.

    `settings` is the entry of `folders`: of its keys `channels`, `orientation`, `levels` and `threshold` are looked at.
    An image that cannot be decoded is left out: it is counted elsewhere.
    """
    masks = reading.classes is not None
    upright, levels = settings["orientation"] == "upright", settings.get("levels")
    tiles = []
    for entry in spread(reading.entries, PAIRS) if masks else one_of_each(reading.entries, CLASSES):
        try:
            pixels = as_rgb(
                decode(image_bytes(tree, entry), settings["channels"], upright=upright, levels=levels).pixels
            )
            mask = class_mask(tree, reading, entry, *pixels.shape[:2], threshold=settings.get("threshold"))
            tile = [pixels, _overlaid(pixels, mask, _background(reading))]
        except (Undecodable, ValueError):
            continue
        tiles.append((tile if masks else tile[:1], _caption(entry)))
    image = _arranged(tiles, legend(reading))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    path.write_bytes(buffer.getvalue())
    return len(tiles)


def one_of_each(entries: Sequence[Entry], most: int) -> list[Entry]:
    """The first image of every class, then the second, up to so many."""
    seen: dict[str, int] = {}
    ranked = []
    for entry in entries:
        label = entry.labels.get("class", "")
        ranked.append((seen.setdefault(label, 0), entry))
        seen[label] += 1
    return [entry for _, entry in sorted(ranked, key=lambda each: each[0])[:most]]


def legend(reading: Reading) -> dict[str, tuple[int, int, int]]:
    """Colour of every class, in order; nothing without masks."""
    colours = class_colours(_background(reading))
    found = {name: tuple(map(int, colours[number])) for number, name in enumerate(reading.classes or {})}
    return {**found, **({"void": tuple(map(int, colours[VOID]))} if reading.ignore else {})}  # type: ignore[dict-item]


def class_mask(
    tree: Tree, reading: Reading, entry: Entry, height: int, width: int, *, threshold: int | None = None
) -> np.ndarray:
    """Class numbers of an image, uint8 (H, W); all 0 where there are no masks.

    Raises
    ------
    ValueError
        If a mask is of another size, or holds what is no class.
    Undecodable
        If a mask is no picture.
    """
    if reading.classes is None:
        return np.zeros((height, width), np.uint8)
    if reading.shapes:
        return draw(reading, entry, height, width).classes
    whole = np.zeros((height, width), np.uint8)
    reader = MaskReader(reading.classes, reading.ignore, threshold=threshold, numbers=entry.objects in entry.masks)
    for name in entry.masks:
        classes = reader(tree.read(name)).classes
        if classes.shape != (height, width):
            raise ValueError(f"{name} is of another size than its image")
        whole = np.maximum(whole, classes)
    return whole


def _overlaid(pixels: np.ndarray, mask: np.ndarray, background: int | None) -> np.ndarray:
    blended = pixels * (1 - OPACITY) + class_colours(background).astype(np.float32)[mask] * OPACITY
    return np.where((mask != background)[..., None], blended, pixels).astype(np.uint8)


def _background(reading: Reading) -> int | None:
    return None if reading.background is None else 0


def _caption(entry: Entry) -> str:
    label = entry.labels.get("class")
    return f"{label}: {entry.image}" if label else entry.image


def _arranged(
    tiles: Sequence[tuple[Sequence[np.ndarray], str]], colours: Mapping[str, tuple[int, int, int]]
) -> Image.Image:
    font = ImageFont.load_default(12)
    across = max((len(pictures) for pictures, _ in tiles), default=1)
    columns = max(1, COLUMNS // across)
    wide = across * SIDE + (across - 1) * 2
    width = max(columns * (wide + GAP) + GAP, 400)
    small = [[_fitted(pixels) for pixels in pictures] for pictures, _ in tiles]
    rows = [small[first : first + columns] for first in range(0, len(small), columns)]
    heights = [max(picture.height for pictures in row for picture in pictures) for row in rows]
    tops = np.cumsum([GAP, *(height + LINE + GAP for height in heights)]).tolist()
    placed, deep = _legend_places(colours, width, font)
    sheet = Image.new("RGB", (width, tops[-1] + deep + GAP), BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    for number, (_, caption) in enumerate(tiles):
        row, column = divmod(number, columns)
        left = GAP + column * (wide + GAP)
        for place, picture in enumerate(small[number]):
            sheet.paste(picture, (left + place * (SIDE + 2), tops[row]))
        pen.text((left, tops[row] + heights[row] + 2), _cut(caption, wide, font), INK, font)
    for name, (left, top) in placed.items():
        top += tops[-1]
        pen.rectangle((left, top, left + 12, top + 12), colours[name], INK)
        pen.text((left + 18, top - 1), name, INK, font)
    return sheet


def _cut(text: str, width: int, font: Font) -> str:
    """The end of a text that is too long, as the name of a file is what tells images apart."""
    if font.getlength(text) <= width:
        return text
    label, separator, name = text.partition(": ")
    start = f"{label}: ..." if separator else "..."
    rest = name if separator else text
    while rest and font.getlength(start + rest) > width:
        rest = rest[1:]
    return start + rest


def _legend_places(names: Mapping[str, object], width: int, font: Font) -> tuple[dict[str, tuple[int, int]], int]:
    """Left upper corners, and how deep all of them are."""
    places, left, top = {}, GAP, 0
    for name in names:
        wide = 30 + int(font.getlength(name))
        if left + wide > width and left > GAP:
            left, top = GAP, top + LINE
        places[name] = left, top
        left += wide
    return places, top + LINE if places else 0


def _fitted(pixels: np.ndarray) -> Image.Image:
    """Within a square, the aspect ratio kept."""
    height, width = pixels.shape[:2]
    scale = SIDE / max(height, width)
    shape = max(1, round(width * scale)), max(1, round(height * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return Image.fromarray(cv2.resize(np.ascontiguousarray(pixels), shape, interpolation=way))
