"""Masks as files: at the image's own size, as a picture that shows its class indices, and as an outline."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bakeoff.artefacts.channels import as_rgb, resized
from bakeoff.artefacts.colours import class_colours
from bakeoff.artefacts.void import VOID
from bakeoff.datasets.derived.drawing import inner_edge

# Outlines of a picture whose longer side has so many pixels are one pixel wide, of a larger one in proportion.
PIXELS_AN_OUTLINE = 400
# Longer side of the largest overlay in pixels: it is for the eye, and the mask has every pixel.
OVERLAY_SIDE = 4096


def write_mask(path: Path, mask: np.ndarray, background: int | None = 0) -> None:
    """Write class indices, uint8 (H, W), as a palette PNG: its indices are the classes, its colours for the eye.

    `background` is as `bakeoff.artefacts.colours.class_colours` takes it.
    """
    image = Image.fromarray(mask)
    image.putpalette(class_colours(background).tobytes())
    image.save(path)


def outlined(
    pixels: np.ndarray, mask: np.ndarray, background: int | None = 0, numbers: np.ndarray | None = None
) -> np.ndarray:
    """An image with the inner edge of every region, and of every object, in its class's colour.

    Parameters
    ----------
    pixels
        uint8, (H, W, channels); see `bakeoff.artefacts.channels.as_rgb`.
    mask
        Class indices, uint8, (H, W).
    background
        As `bakeoff.artefacts.colours.class_colours` takes it.
    numbers
        Of single objects, (H, W), 0 where there is none; None where they are not told apart.

    Returns
    -------
    numpy.ndarray
        uint8, (H, W, 3).
    """
    drawn = as_rgb(pixels).copy()
    # Floats of 32 bits, which erosion takes, tell 2**24 numbers apart.
    regions = mask if numbers is None else np.where(numbers > 0, numbers + VOID + 1, mask).astype(np.float32)
    edge = inner_edge(regions, max(1, round(max(mask.shape) / PIXELS_AN_OUTLINE)), background)
    drawn[edge] = class_colours(background)[mask[edge]]
    return drawn


def write_overlay(
    path: Path,
    pixels: np.ndarray,
    mask: np.ndarray,
    background: int | None = 0,
    numbers: np.ndarray | None = None,
    words: str = "",
) -> None:
    """Write an image with the outlines of its mask as a JPEG; a large one is shrunk to `OVERLAY_SIDE`.

    Parameters are those of `outlined`; `words` are written into the left upper corner, if there is room.
    """
    if (largest := max(mask.shape)) > OVERLAY_SIDE:
        size = [max(1, round(side * OVERLAY_SIDE / largest)) for side in mask.shape[::-1]]
        pixels = resized(pixels, (size[1], size[0]), cv2.INTER_AREA)
        mask = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
        numbers = None if numbers is None else cv2.resize(numbers, size, interpolation=cv2.INTER_NEAREST)
    image = Image.fromarray(outlined(pixels, mask, background, numbers))
    if words:
        _write(words, image)
    # Thin coloured lines need every pixel's colour.
    image.save(path, quality=90, subsampling=0)


def _write(words: str, image: Image.Image) -> None:
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(max(10, max(image.size) // 30))
    box = draw.textbbox((0, 0), words, font)
    if box[2] <= image.width:
        draw.rectangle((0, 0, *box[2:]), fill="black")
        draw.text((0, 0), words, "white", font)
