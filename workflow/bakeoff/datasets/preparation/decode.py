"""From the bytes of an image file to 8-bit pixels of one size."""

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from bakeoff.artefacts.channels import GREY, RGB, Levels, resized
from bakeoff.artefacts.geometry import Geometry
from bakeoff.artefacts.void import VOID
from bakeoff.datasets.preparation.dicom import dicom_size, is_dicom, read_dicom
from bakeoff.datasets.preparation.samples import (
    MAXIMUM_PIXELS,
    Samples,
    Scale,
    Undecodable,
    scale_of_depth,
    shown,
)
from bakeoff.datasets.preparation.tiff import is_tiff, read_tiff, tiff_header

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
# Bits of a sample by Pillow's mode, where they are not 8; bytes that a pixel takes in Pillow, where they are not 4.
BITS = {"1": 1, "I;16": 16, "I;16B": 16, "I;16L": 16, "I": 32, "F": 32}
PILLOW_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}
# Pillow's modes of pictures that are made of samples.
_MODES = {"rgb": "RGB", "cmyk": "CMYK", "ycbcr": "YCbCr", "lab": "LAB"}


class Decoded(NamedTuple):
    """Pixels, uint8 (height, width, channels); what had to be converted to get them, in words, or ""; orientation.

    The orientation is what the file's tag says, 1 to 8, whether or not the pixels were turned; 1 is upright.
    """

    pixels: np.ndarray
    converted: str
    orientation: int = 1


class Header(NamedTuple):
    """What a file says of itself before its pixels are read.

    Attributes
    ----------
    kind
        File format and the mode of its pixels, for example `PNG, RGBA`.
    bits
        Of a sample.
    bytes
        That a pixel takes when it is read.
    orientation
        By the EXIF tag, 1 to 8; 1 is upright.
    channels
        How many it has that are neither a grey level nor colours, as of fluorescence; 0 of all other images.
    unsaid
        How many channels it has if these are what the file does not say: its pages, or samples beyond RGB; 0 if it says
        everything.
    pages
        The axes along which it has several pages, and how many.
    """

    width: int
    height: int
    kind: str
    bits: int
    bytes: int
    orientation: int
    channels: int = 0
    unsaid: int = 0
    pages: str = ""


def header(data: bytes) -> Header:
    """What an image file says of itself.

    Raises
    ------
    Undecodable
        If the bytes are no image, or one of `MAXIMUM_PIXELS` or more.
    """
    if is_tiff(data):
        tiff = tiff_header(data)
        samples = max(tiff.samples, tiff.unsaid)
        bytes_ = samples * -(-tiff.bits // 8) + max(0, samples - RGB)
        kind = ", ".join(["TIFF", tiff.mode, *([f"axes {tiff.pages}"] if tiff.pages else [])])
        of_channels = tiff.channels, tiff.unsaid, tiff.pages
        return Header(tiff.width, tiff.height, kind, tiff.bits, bytes_, tiff.orientation, *of_channels)
    if is_dicom(data):
        return Header(*dicom_size(data), "DICOM", 16, 8, 1)
    with opened(data) as image:
        deep = is_deep_png(data)
        bits = 16 if deep else BITS.get(image.mode, 8)
        bytes_ = 16 if deep else PILLOW_BYTES.get(image.mode, 4)
        return Header(*image.size, f"{image.format}, {image.mode}", bits, bytes_, _orientation(image))


def is_turned(data: bytes) -> bool:
    """Whether the tag of an image file turns or mirrors it.

    Raises
    ------
    Undecodable
        If the bytes are no image.
    """
    if is_tiff(data):
        return tiff_header(data).orientation in range(2, 9)
    if is_dicom(data):
        return False
    with opened(data) as image:
        try:
            image.load()  # a tag may follow the pixels
        except PILLOW_ERRORS as error:
            raise Undecodable(reason_of(error)) from error
        return _orientation(image) in range(2, 9)


def decode(data: bytes, channels: int, *, upright: bool = False, levels: Levels | None = None) -> Decoded:
    """First image of a file as grey levels (`channels` 1), RGB (3), or with all of its channels (other numbers).

    Colour becomes luminance (ITU-R 601), which leaves colour pictures of grey levels exactly as they are; whatever is
    transparent lies on black. A picture of 8 bits stays as it is. Of deeper ones `levels` become 0 and 255; where they
    are not stated, 0 and the highest level of the smallest bit depth, 8 to 16, that holds the brightest one do, so that
    12 bits in a 16-bit file do not come out black. Orientation tags are ignored, as the masks are drawn on the stored
    pixels, unless `upright` asks for the picture to be turned as they say.

    Parameters
    ----------
    channels
        Grey and RGB become each other. Other numbers are those of the file, which nothing is made of; see `read_tiff`
        for pages that are channels.
    levels
        Those that become black and white, as the file shows them: where its zero is white, counted from its highest.

    Raises
    ------
    Undecodable
        If the bytes are no image, a broken one, one of a kind without meaning here, of another number of channels, or a
        very large one; or if it has floating-point levels and `levels` is None.
    """
    scale = None if levels is None else Scale.stated(levels)
    try:
        if (samples := read_samples(data, channels)) is not None:
            decoded = (_of_samples if channels in (GREY, RGB) else _of_channels)(samples, channels, scale)
        elif channels not in (GREY, RGB):
            with opened(data) as image:
                raise _other_channels(GREY if image.mode in ("1", "L", "LA") else RGB, channels)
        else:
            with opened(data) as image:
                converted = _conversions(image, "L" if channels == GREY else "RGB")
                image.load()
                decoded = Decoded(_pixels(image, channels), converted, _orientation(image))
    except PILLOW_ERRORS as error:
        raise Undecodable(reason_of(error)) from error
    return decoded._replace(pixels=_turned(decoded.pixels, decoded.orientation)) if upright else decoded


def read_samples(data: bytes, channels: int | None = None) -> Samples | None:
    """Samples of a TIFF, of DICOM, and of pictures of more than 8 bits; None for a picture that Pillow reads whole.

    `channels` is as `read_tiff` takes it.

    Raises
    ------
    Undecodable
        If the bytes are no image, or a broken one.
    """
    if is_tiff(data):
        return read_tiff(data, channels)
    if is_dicom(data):
        return read_dicom(data)
    with opened(data) as image:
        try:
            if is_deep_png(data):
                pixels = deep_png(data)
                alpha = pixels.shape[2] == RGB + 1
                mode = f"RGB{'A' * alpha} of 16 bits"
                return Samples(
                    pixels,
                    "rgb",
                    mode,
                    16,
                    int(alpha),
                    "straight" if alpha else "",
                    orientation=_orientation(image),
                    notes=_frames(image),
                )
            if image.mode.startswith("I") or image.mode == "F":
                image.load()
                pixels, bits = np.asarray(image)[..., None], BITS.get(image.mode, 16)
                return Samples(pixels, "grey", image.mode, bits, orientation=_orientation(image), notes=_frames(image))
        except PILLOW_ERRORS as error:
            raise Undecodable(reason_of(error)) from error
    return None


def resize_image(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Picture (H, W, C) stretched to `size`, height and width: each pixel the mean of the area it covers; linear to
    enlarge; at its own size as it is."""
    height, width = pixels.shape[:2]
    if (height, width) == size:
        return pixels
    shrunk = resized(pixels, (min(height, size[0]), min(width, size[1])), cv2.INTER_AREA)
    return resized(shrunk, size, cv2.INTER_LINEAR)


def frame_image(pixels: np.ndarray, geometry: Geometry) -> np.ndarray:
    """A picture (H, W, C) as prepared data sets and methods have it; pads are black."""
    return geometry.framed(resize_image(pixels, geometry.scaled(*pixels.shape[:2])), 0)


def frame_classes(classes: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Class indices (H, W) as prepared data sets have them; pads are void."""
    return geometry.framed(resize_classes(classes, geometry.scaled(*classes.shape)), VOID)


def resize_classes(classes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Class indices or `VOID`, uint8 (H, W), stretched to `size`, height and width: the class with the largest share.

    Shares are those of the area to shrink, and linear between pixels to enlarge, so that outlines come out without
    stairs. Ties, which are frequent where a mask is halved, go to the class of the pixel in which the middle of the new
    one lies, as in `nearest_classes`, or else to the lower class; void, which counts like a class, loses all of them.
    So no class gains area: were ties the higher class's, a disc 24 pixels wide would be 4 % larger once halved. Of
    structures one pixel thin half are lost by halving, as by any rule that keeps areas.
    """
    if classes.shape == size:
        return classes
    middle, best, most = nearest_classes(classes, size), np.full(size, VOID, np.uint8), np.full(size, -2, np.int16)
    counts = cv2.calcHist([np.ascontiguousarray(classes)], [0], None, [VOID + 1], [0, VOID + 1])
    for index in np.flatnonzero(counts):
        share = resize_image((classes == index).astype(np.uint8)[..., None] * 255, size)[..., 0]
        # Twice the share, with half a step between equals.
        level = 2 * share.astype(np.int16) + (-1 if index == VOID else middle == index)
        better = level > most
        best[better], most[better] = index, level[better]
    return best


def nearest_classes(classes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Class indices (H, W) stretched to `size`, height and width: that of the pixel in which the middle of the new one
    lies."""
    sides = zip(size, classes.shape, strict=True)
    rows, columns = ((2 * np.arange(new) + 1) * old // (2 * new) for new, old in sides)
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


def deep_png(data: bytes) -> np.ndarray:
    """Samples, uint16 (H, W, 3 or 4), of a PNG with 16 bits a colour, of which Pillow keeps 8.

    Raises
    ------
    Undecodable
        If it is damaged.
    """
    samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if samples is None or samples.dtype != np.uint16 or samples.ndim != 3:
        raise Undecodable("a damaged PNG")
    return samples[..., [2, 1, 0, 3][: samples.shape[2]]]


def is_deep_png(data: bytes) -> bool:
    """Whether it is a PNG with 16 bits a colour; grey ones of 16 bits Pillow reads whole."""
    return data[:4] == b"\x89PNG" and data[24] == 16 and data[25] != 0  # bits of a sample; 0: grey


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
    notes = [] if image.mode == expected else [f"{image.mode} to {expected}"]
    if image.has_transparency_data:
        notes.append("transparency on black")
    return ", ".join([*notes, *_frames(image)])


def _frames(image: Image.Image) -> tuple[str, ...]:
    count = getattr(image, "n_frames", 1)
    return (f"first of {count} frames",) if count > 1 else ()


def _pixels(image: Image.Image, channels: int) -> np.ndarray:
    if image.mode == ("L" if channels == GREY else "RGB") and not image.has_transparency_data:
        return np.asarray(image).reshape(image.height, image.width, channels)
    pixels = np.empty((image.height, image.width, channels), np.uint8)
    for rows in _strips(image.height, image.width):
        strip = image.crop((0, rows.start, image.width, rows.stop))
        pixels[rows] = _eight_bit(strip, channels)
    return pixels


def _strips(height: int, width: int) -> Iterator[slice]:
    """Rows of a picture, some at a time."""
    rows = max(1, STRIP_PIXELS // width)
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))


def _of_samples(samples: Samples, channels: int, scale: Scale | None) -> Decoded:
    colours = shown(samples)
    of_three = samples.kind == "grey" and colours.shape[2] == RGB == channels
    expected = {"grey": 1, "palette": 1, "cmyk": 4}.get(samples.kind, RGB)
    if colours.shape[2] > expected and samples.kind == "grey" and not of_three:
        raise _other_channels(colours.shape[2], channels)
    _require_levels(scale, RGB if of_three else expected)
    if scale is None and samples.deep:
        scale = Scale(*samples.window) if samples.window else scale_of_depth(colours[..., :expected])
    if samples.deep and scale and scale.low == 0 and colours.dtype.kind == "i" and colours.min() < 0:
        samples = samples._replace(notes=("levels below 0 as black", *samples.notes))
    pixels = np.empty((*colours.shape[:2], channels), np.uint8)
    for rows in _strips(*colours.shape[:2]):
        strip = colours[rows] if of_three else colours[rows, :, :expected]
        levels = scale.of(strip) if samples.deep and scale else _of_few_bits(strip, samples)
        alpha = samples.pixels[rows, :, expected] if samples.alpha == "straight" else None
        if alpha is not None and samples.deep:
            alpha = scale_of_depth(np.array((1 << samples.bits) - 1)).of(alpha)
        pixels[rows] = _eight_bit(_image(levels, samples, alpha), channels)
    return Decoded(pixels, _said(samples, channels, scale, of_three=of_three), samples.orientation)


def _of_channels(samples: Samples, channels: int, scale: Scale | None) -> Decoded:
    """Every sample as a channel: levels of their own, none of which is a colour or transparency."""
    if samples.kind not in ("grey", "rgb") or samples.pixels.shape[2] != channels:
        count = samples.colours.shape[2] if samples.kind in ("grey", "rgb") else RGB
        raise _other_channels(count, channels, samples.notes)
    levels = shown(samples._replace(alpha=""))
    if scale is None and samples.deep:
        scale = scale_of_depth(levels)
    _require_levels(scale, channels)
    pixels = np.empty(levels.shape, np.uint8)
    for rows in _strips(*levels.shape[:2]):
        pixels[rows] = scale.of(levels[rows]) if samples.deep and scale else _of_few_bits(levels[rows], samples)
    notes = ["transparency as a channel"] if samples.alpha else []
    notes += _said_levels(samples, scale)
    return Decoded(pixels, ", ".join([*notes, *samples.notes]), samples.orientation)


def _require_levels(scale: Scale | None, channels: int) -> None:
    if scale is not None and len(scale.pairs) not in (1, channels):
        raise Undecodable(f"it has {channels} channel{'s' * (channels > 1)}, and levels are of {len(scale.pairs)}")


def _other_channels(count: int, channels: int, notes: Sequence[str] = ()) -> Undecodable:
    has = f"{count} channel{'s' * (count > 1)}" + (f" ({', '.join(notes)})" if notes else "")
    return Undecodable(f"it has {has}, and the configuration's channels is {channels}")


def _of_few_bits(strip: np.ndarray, samples: Samples) -> np.ndarray:
    """Samples of at most 8 bits as they are; one bit as black and white, and 2 and 4 spread over 8 bits."""
    if samples.kind == "palette" or samples.bits == 8:
        return strip.astype(np.uint8)
    return strip.astype(np.uint8) * np.uint8(255 // ((1 << samples.bits) - 1))


def _image(levels: np.ndarray, samples: Samples, alpha: np.ndarray | None) -> Image.Image:
    """A picture of 8-bit samples, in a mode of Pillow that can be converted."""
    if samples.palette is not None:
        levels = samples.palette[np.minimum(levels[..., 0], len(samples.palette) - 1)]
    if samples.kind == "lab":
        return _of_lab(levels)
    mode = _MODES.get(samples.kind, "RGB" if levels.shape[2] == RGB else "L")
    image = Image.fromarray(levels if levels.shape[2] > 1 else levels[..., 0])
    if image.mode != mode:
        image = Image.frombytes(mode, image.size, np.ascontiguousarray(levels).tobytes())
    if alpha is not None:
        image = image if mode in ("L", "RGB") else image.convert("RGB")
        image.putalpha(Image.fromarray(np.ascontiguousarray(alpha)))
    return image


def _of_lab(levels: np.ndarray) -> Image.Image:
    """RGB of CIE L*a*b* with 8 bits, of which a* and b* have a sign. Source: TIFF 6.0, section 23."""
    from PIL import ImageCms

    lab = Image.frombytes("LAB", levels.shape[1::-1], np.ascontiguousarray(levels).tobytes())
    profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(lab, *profiles, outputMode="RGB")
    assert converted is not None  # it is not converted in place
    return converted


def _said(samples: Samples, channels: int, scale: Scale | None, *, of_three: bool) -> str:
    expected = "L" if channels == GREY else "RGB"
    notes = [] if samples.mode == expected else [f"{samples.mode} to {expected}"]
    if of_three:
        notes.append("three channels as red, green and blue")
    if samples.white_is_zero:
        notes.append("0 is white")
    if samples.alpha:
        notes.append("transparency on black")
    if left := samples.extra - bool(samples.alpha) - (RGB - 1 if of_three else 0):
        notes.append(f"{left} further channel{'s' * (left > 1)} left out")
    return ", ".join([*notes, *_said_levels(samples, scale), *samples.notes])


def _said_levels(samples: Samples, scale: Scale | None) -> list[str]:
    if not (samples.deep and scale and (scale.low or samples.bits > 16 or samples.window)):
        return []
    return [f"levels {' and '.join(f'{low:g} to {high:g}' for low, high in scale.pairs)}"]


def _orientation(image: Image.Image) -> int:
    """What a loaded file says of its orientation, 1 to 8; 1, as it should be, where it says nothing valid."""
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


def _eight_bit(strip: Image.Image, channels: int) -> np.ndarray:
    """A strip as (rows, width, channels)."""
    if strip.has_transparency_data:
        strip = strip.convert("RGBA")
        strip = Image.alpha_composite(Image.new("RGBA", strip.size, "black"), strip)
    # Through RGB, since some modes (CMYK, palettes of one colour) cannot be converted to grey levels directly.
    if channels == 1 and strip.mode not in ("L", "1", "RGB"):
        strip = strip.convert("RGB")
    return np.asarray(strip.convert("L" if channels == GREY else "RGB")).reshape(strip.height, strip.width, channels)
