"""From the bytes of an image file to 8-bit pixels of one size."""

import io
import struct
import zlib
from typing import NamedTuple, cast

import cv2
import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from bakeoff.artefacts.void import VOID

# A larger picture is refused: it would take gigabytes.
MAXIMUM_PIXELS = 100_000_000
Image.MAX_IMAGE_PIXELS = MAXIMUM_PIXELS  # Pillow warns above this, and refuses twice as many
# What is read, in Pillow's words. All others are refused, whatever a file is called: some run an external program (EPS,
# and WMF on Windows), some are stubs, and no image analysis needs the rest.
FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "AVIF", "JPEG2000", "BMP", "DIB", "GIF", "PPM")
# Files that are no pictures but drawings, by how they begin.
DRAWINGS = {
    b"%!PS": "an EPS file",
    b"\xc5\xd0\xd3\xc6": "an EPS file",
    b"\xd7\xcd\xc6\x9a": "a WMF file",
    b"\x01\0\0\0": "an EMF file",
    b"%PDF": "a PDF file",
    b"<svg": "an SVG file",
}
# Pixels converted at a time, which keeps the copies of a large picture small.
STRIP_PIXELS = 2_000_000
# What Pillow raises for files that are broken, depending on the format and on where the damage is.
PILLOW_ERRORS = (
    OSError,  # unknown or truncated
    SyntaxError,  # a broken PNG
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    NotImplementedError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


class Undecodable(Exception):
    """A file that holds no usable picture; the message says why."""


class Decoded(NamedTuple):
    """Pixels, uint8 (height, width, channels), and what had to be converted to get them, in words, or ""."""

    pixels: np.ndarray
    converted: str


class Header(NamedTuple):
    """What a file says of itself before its pixels are read."""

    width: int
    height: int
    mode: str


def header(data: bytes) -> Header:
    """Size and mode of an image file.

    Raises
    ------
    Undecodable
        If the bytes are no image, or one of `MAXIMUM_PIXELS` or more.
    """
    with opened(data) as image:
        return Header(*image.size, image.mode)


def is_turned(data: bytes) -> bool:
    """Whether the EXIF tag of an image file turns or mirrors it; a TIFF is turned when it is read.

    Raises
    ------
    Undecodable
        If the bytes are no image.
    """
    with opened(data) as image:
        return image.format != "TIFF" and _orientation(image) in range(2, 9)


def decode(data: bytes, channels: int, *, upright: bool = False) -> Decoded:
    """First frame of an image file as grey levels (`channels` 1) or RGB (3).

    Colour becomes luminance (ITU-R 601), which leaves colour pictures of grey levels exactly as they are; whatever is
    transparent lies on black. Deeper grey levels are scaled linearly from the smallest bit depth, 8 to 16, that holds
    the brightest one, so that 12 bits in a 16-bit file do not come out black. Orientation tags are ignored, as the
    masks are drawn on the stored pixels, unless `upright` asks for the picture to be turned as they say.

    Raises
    ------
    Undecodable
        If the bytes are no image, a broken one, one of a mode without meaning here, or a very large one.
    """
    with opened(data) as image:
        try:
            converted = _conversions(image, "L" if channels == 1 else "RGB")
            image.load()
            pixels = _pixels(image, channels)
            return Decoded(_turned(pixels, _orientation(image)) if upright else pixels, converted)
        except PILLOW_ERRORS as error:
            raise Undecodable(reason_of(error)) from error


def resize_image(pixels: np.ndarray, size: int) -> np.ndarray:
    """Picture (H, W, C) stretched to (size, size, C): each pixel the mean of the area it covers; linear to enlarge."""
    height, width, channels = pixels.shape
    shrunk = cv2.resize(pixels, (min(width, size), min(height, size)), interpolation=cv2.INTER_AREA)
    return cv2.resize(shrunk, (size, size), interpolation=cv2.INTER_LINEAR).reshape(size, size, channels)


def resize_classes(classes: np.ndarray, count: int, size: int) -> np.ndarray:
    """Class indices (H, W), 0 to `count` - 1, stretched to (size, size): the class with the largest share of the area.

    With two classes that is the threshold at half of the area. A tie goes to the higher class, so that structures one
    pixel thin survive halving. Void counts like a class, and loses every tie.
    """
    best = np.full((size, size), VOID, np.uint8)
    best_share = np.zeros((size, size), np.int16)
    if (void := classes == VOID).any():
        best_share = resize_image(void.astype(np.uint8)[..., None] * 255, size)[..., 0].astype(np.int16)
    for index in range(count):
        share = resize_image((classes == index).astype(np.uint8)[..., None] * 255, size)[..., 0]
        best[share >= best_share] = index
        best_share = np.maximum(share, best_share)
    return best


def nearest_classes(classes: np.ndarray, size: int) -> np.ndarray:
    """Class indices (H, W) stretched to (size, size): that of the pixel in which the middle of the new one lies."""
    height, width = classes.shape
    rows, columns = (((2 * np.arange(size) + 1) * side // (2 * size)) for side in (height, width))
    return classes[rows[:, None], columns]


def opened(data: bytes) -> Image.Image:
    """An image file before its pixels are read, of one of `FORMATS`.

    Raises
    ------
    Undecodable
        If the bytes are no image, or one of another format or of `MAXIMUM_PIXELS` or more.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise Undecodable(_unknown(data)) from error
    except PILLOW_ERRORS as error:
        raise Undecodable(reason_of(error)) from error
    if image.width * image.height >= MAXIMUM_PIXELS:
        raise Undecodable(
            f"{image.width} x {image.height} pixels, above the limit of {MAXIMUM_PIXELS / 1e6:.0f} million"
        )
    return image


def deep_png(data: bytes) -> np.ndarray | None:
    """Samples, uint16 (H, W, 3 or 4), of a PNG with 16 bits a colour, of which Pillow keeps 8; None of any other."""
    if data[:4] != b"\x89PNG" or data[24] != 16 or data[25] == 0:  # bits a sample; 0: grey, which Pillow keeps whole
        return None
    samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if samples is None or samples.dtype != np.uint16 or samples.ndim != 3:
        raise Undecodable("a damaged PNG")
    return samples[..., [2, 1, 0, 3][: samples.shape[2]]]


def reason_of(error: Exception) -> str:
    """Pillow's words without the address of a buffer in which they end, which would make every audit differ."""
    return str(error).split(" <_io")[0].strip() or type(error).__name__


def _unknown(data: bytes) -> str:
    if not data:
        return "the file is empty"
    drawing = next((name for start, name in DRAWINGS.items() if data.startswith(start)), None)
    if drawing:
        return f"it is {drawing}, which only another program can draw: export it as PNG"
    return "it is damaged, or no picture of a format that is read (PNG, JPEG, TIFF, WebP, AVIF, JPEG 2000, BMP, GIF)"


def _conversions(image: Image.Image, expected: str) -> str:
    notes = []
    if image.mode != expected:
        notes.append(f"{image.mode} to {expected}")
    if image.has_transparency_data:
        notes.append("transparency on black")
    if getattr(image, "n_frames", 1) > 1:
        notes.append(f"first of {image.n_frames} frames")  # type: ignore[attr-defined]
    return ", ".join(notes)


def _pixels(image: Image.Image, channels: int) -> np.ndarray:
    if image.mode == "F":
        raise Undecodable("the range of floating-point grey levels is unknown")
    if image.mode == ("L" if channels == 1 else "RGB") and not image.has_transparency_data:
        return np.asarray(image).reshape(image.height, image.width, channels)
    deep = image.mode.startswith("I")
    white = _white(image) if deep else 255
    pixels = np.empty((image.height, image.width, channels), np.uint8)
    rows = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        levels = _scaled(strip, white) if deep else _eight_bit(strip, channels)
        pixels[top : top + rows] = levels.reshape(*levels.shape[:2], -1)
    return pixels


def _orientation(image: Image.Image) -> int:
    """What a loaded file says of its orientation, 1 to 8; 1, as it should be, where it says nothing valid.

    Of a TIFF Pillow has turned the pixels and dropped the tag when it loaded them.
    """
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except PILLOW_ERRORS:  # the tag is damaged, the picture is not
        return 1


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels (H, W, C) as a viewer shows them: a view. Source: Exif 2.32, tag 274, table 6."""
    if orientation in (5, 6, 7, 8):  # stored on its side
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def _white(image: Image.Image) -> int:
    """Brightest level of the smallest bit depth, at least 8, that holds the image's brightest."""
    _, brightest = cast(tuple[int, int], image.getextrema())  # there is one band
    return (1 << max(8, brightest.bit_length())) - 1


def _scaled(strip: Image.Image, white: int) -> np.ndarray:
    levels = np.clip(np.asarray(strip), 0, None).astype(np.float32)
    return np.rint(levels * np.float32(255 / white)).astype(np.uint8)


def _eight_bit(strip: Image.Image, channels: int) -> np.ndarray:
    if strip.has_transparency_data:
        strip = strip.convert("RGBA")
        strip = Image.alpha_composite(Image.new("RGBA", strip.size, "black"), strip)
    # Through RGB, since some modes (CMYK, palettes of one colour) cannot be converted to grey levels directly.
    if channels == 1 and strip.mode not in ("L", "1", "RGB"):
        strip = strip.convert("RGB")
    return np.asarray(strip.convert("L" if channels == 1 else "RGB"))
