"""Small pictures for a page: images, masks and outlines, as data URIs."""

import base64
from collections.abc import Sequence

import cv2
import numpy as np

from bakeoff.artefacts.channels import as_rgb
from bakeoff.artefacts.colours import class_colours
from bakeoff.artefacts.void import VOID
from bakeoff.evaluation.figures import ORANGE, SKY

TRUTH_COLOUR = SKY
PREDICTION_COLOUR = ORANGE
_WEBP_QUALITY = 72
_LOSSLESS = 101  # OpenCV: a quality above 100


def picture(image: np.ndarray, side: int) -> np.ndarray:
    """Scale an image so that its longer side is `side`.

    Parameters
    ----------
    image
        uint8, (height, width) or (height, width, channels); see `bakeoff.artefacts.channels.as_rgb`.
    side
        In pixels.

    Returns
    -------
    ndarray
        uint8 RGB, (height, width, 3).
    """
    shrinks = max(image.shape[:2]) > side
    return _resized(as_rgb(image.reshape(*image.shape[:2], -1)), side, cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def outlined(image: np.ndarray, truth: np.ndarray, prediction: np.ndarray | None, side: int) -> np.ndarray:
    """An image with the outlines of its masks drawn in.

    Parameters
    ----------
    image
        uint8, (height, width) or (height, width, channels).
    truth, prediction, side
        As `outlines` takes them.

    Returns
    -------
    ndarray
        uint8 RGB, (height, width, 3).
    """
    canvas, drawn = picture(image, side), outlines(truth, prediction, side)
    return np.where(drawn[..., 3:] > 0, drawn[..., :3], canvas)


def outlines(truth: np.ndarray, prediction: np.ndarray | None, side: int) -> np.ndarray:
    """The outlines of masks, to lay over an image.

    The truth's outline runs just outside its mask, the prediction's just inside, so that both show where they agree.

    Parameters
    ----------
    truth, prediction
        uint8 class indices or `VOID`, (height, width). Every class has its outline, in the one colour.
    side
        Longer side of the result in pixels.

    Returns
    -------
    ndarray
        uint8 RGBA, (height, width, 4), transparent but for the outlines.
    """
    width = max(1, round(side / 128))
    edge = _edge(_resized(np.ascontiguousarray(truth), side, cv2.INTER_NEAREST), width, outside=True)
    canvas = np.zeros((*edge.shape, 4), np.uint8)
    canvas[edge] = (*_rgb(TRUTH_COLOUR), 255)
    if prediction is not None:
        edge = _edge(_resized(np.ascontiguousarray(prediction), side, cv2.INTER_NEAREST), width, outside=False)
        canvas[edge] = (*_rgb(PREDICTION_COLOUR), 255)
    return canvas


def mask_picture(mask: np.ndarray, background: int | None = 0, side: int | None = None) -> np.ndarray:
    """Class indices as the colours of their classes; a larger mask is shrunk.

    Parameters
    ----------
    mask
        uint8 class indices or `VOID`, (height, width).
    background
        As `bakeoff.artefacts.colours.class_colours` takes it.
    side
        Longer side of the result in pixels, at most; None: as it is.

    Returns
    -------
    ndarray
        uint8 RGB, (height, width, 3).
    """
    shown = _resized(np.ascontiguousarray(mask), side, cv2.INTER_NEAREST) if side and max(mask.shape) > side else mask
    return class_colours(background)[shown]


def mask_key(classes: Sequence[str], background: int | None = 0, *, void: bool = False) -> list[dict[str, str]]:
    """The colour of `mask_picture`, as `#rrggbb`, of every class by name, and of void where it is shown."""
    colours, named = class_colours(background), dict(enumerate(classes)) | ({VOID: "void (no answer)"} if void else {})
    return [{"name": name, "colour": "#" + colours[index].tobytes().hex()} for index, name in named.items()]


def webp_uri(rgb: np.ndarray) -> str:
    """A photograph as a lossy WebP data URI; uint8 RGB, (height, width, 3)."""
    return _uri("webp", cv2.imencode(".webp", rgb[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, _WEBP_QUALITY])[1])


def lossless_uri(rgba: np.ndarray) -> str:
    """A drawing with transparent parts as a lossless WebP data URI; uint8 RGBA, (height, width, 4)."""
    bgra = np.ascontiguousarray(rgba[..., [2, 1, 0, 3]])
    return _uri("webp", cv2.imencode(".webp", bgra, [cv2.IMWRITE_WEBP_QUALITY, _LOSSLESS])[1])


def png_uri(rgb: np.ndarray) -> str:
    """Few flat colours as a lossless PNG data URI; uint8 RGB, (height, width, 3)."""
    grey = rgb[..., 0] if (rgb == rgb[..., :1]).all() else rgb[..., ::-1]
    flags = [cv2.IMWRITE_PNG_BILEVEL, 1] if grey.ndim == 2 else []
    return _uri("png", cv2.imencode(".png", np.ascontiguousarray(grey), [cv2.IMWRITE_PNG_COMPRESSION, 9, *flags])[1])


def _uri(kind: str, encoded: np.ndarray) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(encoded.tobytes()).decode('ascii')}"


def _resized(pixels: np.ndarray, side: int, interpolation: int) -> np.ndarray:
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(pixels, size, interpolation=interpolation)


def _edge(mask: np.ndarray, width: int, *, outside: bool) -> np.ndarray:
    """Borders between classes, bool: pixels near a higher class (outside it), or near a lower one (inside).

    Void is no class: nothing borders on it.
    """
    near = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    void = mask == VOID
    # What the extreme of a neighbourhood never is.
    known = np.where(void, 0, mask).astype(np.uint8) if outside else mask
    return ((cv2.dilate(known, near) if outside else cv2.erode(known, near)) != mask) & ~void


def _rgb(colour: str) -> tuple[int, int, int]:
    value = int(colour.removeprefix("#"), 16)
    return value >> 16, value >> 8 & 255, value & 255
