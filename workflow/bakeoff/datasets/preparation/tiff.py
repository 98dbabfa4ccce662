"""TIFF, OME-TIFF and ImageJ stacks: the samples of the first image, and its channels, as they are stored."""

import io
from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from bakeoff.artefacts.channels import MOST_CHANNELS, RGB
from bakeoff.datasets.preparation.samples import MAXIMUM_PIXELS, Samples, Undecodable

# What a TIFF begins with: either order of bytes, and BigTIFF.
STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_KINDS = {
    **{"MINISBLACK": "grey", "MINISWHITE": "grey", "RGB": "rgb", "PALETTE": "palette", "SEPARATED": "cmyk"},
    **{"YCBCR": "ycbcr", "CIELAB": "lab"},
}
_COLOURS = {"grey": 1, "palette": 1, "rgb": 3, "ycbcr": 3, "lab": 3, "cmyk": 4}
_MODES = {"palette": "P", "rgb": "RGB", "cmyk": "CMYK", "ycbcr": "YCbCr", "lab": "LAB"}
_ALPHA = {1: "premultiplied", 2: "straight"}
_ORIENTATION = 274
# Axes of pages, as tifffile has them: channels, and those of which the file does not say what they are.
_CHANNELS, _UNNAMED = "C", "IQ"
# What JPEG has packed is RGB as soon as it is unpacked.
_OF_JPEG = ("OJPEG", "JPEG", "JPEG_LOSSY")


class TiffHeader(NamedTuple):
    """What a TIFF says of its first image; see `Samples`, and `bakeoff.datasets.preparation.decode.Header`."""

    width: int
    height: int
    samples: int
    bits: int
    mode: str
    orientation: int
    channels: int
    unsaid: int
    pages: str


class _Stack(NamedTuple):
    """Pages of one size.

    Attributes
    ----------
    keyframe
        What all of them have in common.
    pages
        In the order of the axes; None where one is missing.
    axes
        Names and lengths of the axes along which there are pages, the outermost first.
    """

    keyframe: Any
    pages: Sequence[Any]
    axes: tuple[tuple[str, int], ...]


def is_tiff(data: bytes) -> bool:
    """Whether the bytes begin like a TIFF."""
    return data[:4] in STARTS


def tiff_header(data: bytes) -> TiffHeader:
    """Read what a TIFF says of its first image.

    Raises
    ------
    Undecodable
        As for `read_tiff`.
    """
    return _read(data, _header)


def read_tiff(data: bytes, channels: int | None = None) -> Samples:
    """Read the first image of a TIFF; the channels that a stack has on pages of their own are samples too.

    Parameters
    ----------
    channels
        How many the image is said to have: as many pages are its channels, whatever the file calls their axis. Three
        are, unless it has another name for them: without that they are as likely three planes of a grey stack.

    Raises
    ------
    Undecodable
        If it is damaged, of `MAXIMUM_PIXELS` or more, or of a kind that is not read.
    """
    return _read(data, lambda stack: _first(stack, channels))


def _read(data: bytes, read: Any) -> Any:
    try:
        import tifffile
    except ImportError:
        raise Undecodable("TIFF needs two more packages: pip install tifffile imagecodecs") from None
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            return read(_stack(file.series))
    except Undecodable:
        raise
    # Neither library lists what a damaged file raises, and what it raises is not of one kind.
    except Exception as error:
        raise Undecodable(f"a damaged TIFF: {str(error).strip() or type(error).__name__}") from error


def _stack(series: Sequence[Any]) -> _Stack:
    first = series[0]
    # tifffile's own pages, written one by one, are series of one page each.
    if len(series) > 1 and all(
        (each.kind, each.axes, each.shape, each.dtype) == ("shaped", "YX", first.shape, first.dtype) for each in series
    ):
        return _Stack(first.keyframe, [each.pages[0] for each in series], ((_UNNAMED[0], len(series)),))
    if first.axes.replace("S", "")[-2:] != "YX":
        raise Undecodable(f"a TIFF with the axes {first.axes}, which is not read: write channels as CYX")
    axes = tuple((axis, count) for axis, count in zip(first.axes, first.shape, strict=True) if axis not in "YXS")
    return _Stack(first.keyframe, first.pages, axes)


def _header(stack: _Stack) -> TiffHeader:
    page = stack.keyframe
    if page.imagewidth * page.imagelength >= MAXIMUM_PIXELS:
        raise Undecodable(
            f"{page.imagewidth} x {page.imagelength} pixels, above the limit of {MAXIMUM_PIXELS / 1e6:.0f} million"
        )
    samples = page.samplesperpixel * len(_channel_pages(stack, None))
    grey = _kind(page) == "grey" and _alpha(page) == ""
    unsaid = samples if _kind(page) == "rgb" and _alpha(page) == "" and samples > RGB else 0
    if grey and samples == 1 and (axis := _only_axis(stack)) and axis[0] in _UNNAMED and axis[1] <= MOST_CHANNELS:
        unsaid = axis[1]
    return TiffHeader(
        width=page.imagewidth,
        height=page.imagelength,
        samples=samples,
        bits=page.bitspersample,
        mode=_mode(page),
        orientation=_orientation(page),
        channels=samples if grey and samples > 1 else 0,
        unsaid=unsaid,
        pages=", ".join(f"{axis} {count}" for axis, count in stack.axes),
    )


def _first(stack: _Stack, channels: int | None) -> Samples:
    header, page = _header(stack), stack.keyframe
    numbers = _channel_pages(stack, channels)
    kind = _kind(page)
    pages = prod(count for _, count in stack.axes) // len(numbers)
    pixels = _plane(stack, numbers[0])
    if len(numbers) > 1:
        planes = np.empty((*pixels.shape[:2], len(numbers)), pixels.dtype)
        for place, number in enumerate(numbers):
            planes[..., place] = _plane(stack, number)[..., 0]
        pixels = planes
    return Samples(
        pixels=pixels,
        kind=kind,
        mode=header.mode,
        bits=header.bits,
        extra=pixels.shape[2] - _COLOURS[kind],
        alpha=_alpha(page),
        palette=None if page.colormap is None else _palette(page.colormap),
        white_is_zero=page.photometric.name == "MINISWHITE",
        orientation=header.orientation,
        notes=(f"first of {pages} pages",) if pages > 1 else (),
    )


def _alpha(page: Any) -> str:
    """What the first sample beyond colours or grey is, as `Samples` has it."""
    return _ALPHA.get(int(page.extrasamples[0]), "") if page.extrasamples else ""


def _palette(colours: np.ndarray) -> np.ndarray:
    """A colour map of 16 bits as RGB of 8; some programs write 8 bits into it."""
    return (colours.T >> (8 if colours.max() > 255 else 0)).astype(np.uint8)


def _kind(page: Any) -> str:
    name = page.photometric.name
    kind = _KINDS.get(name)
    if kind is None or page.samplesperpixel < _COLOURS[kind]:
        raise Undecodable(f"a TIFF with {page.samplesperpixel} samples of the kind {name}, which is not read")
    return "rgb" if kind == "ycbcr" and page.compression.name in _OF_JPEG else kind


def _mode(page: Any) -> str:
    kind, alpha = _kind(page), bool(_alpha(page))
    if kind != "grey":
        depth = f" of {page.bitspersample} bits" if page.bitspersample > 8 else ""
        return _MODES[kind] + ("A" if alpha else "") + depth
    if page.dtype is not None and page.dtype.kind == "f":
        return "F"
    grey = {1: "1", 8: "L", 16: "I;16"}.get(page.bitspersample, f"{page.bitspersample} bits")
    return ("LA" if grey == "L" else f"{grey} with transparency") if alpha else grey


def _orientation(page: Any) -> int:
    return int(page.tags.valueof(_ORIENTATION, default=1))


def _channel_pages(stack: _Stack, channels: int | None) -> list[int]:
    """Numbers of the pages of the channels, where all other axes are at their beginning."""
    place = _channel_axis(stack, channels)
    if place is None:
        return [0]
    step = prod(count for _, count in stack.axes[place + 1 :])
    return [number * step for number in range(stack.axes[place][1])]


def _channel_axis(stack: _Stack, channels: int | None) -> int | None:
    """Position of the axis of channels: the one of that name, or the only one, if it is as long as is said."""
    if stack.keyframe.samplesperpixel > 1:
        return None
    names = [axis for axis, _ in stack.axes]
    if _CHANNELS in names:
        return names.index(_CHANNELS)
    axis = _only_axis(stack)
    if axis is None or axis[1] != channels or (channels == RGB and axis[0] not in _UNNAMED):
        return None
    return stack.axes.index(axis)


def _only_axis(stack: _Stack) -> tuple[str, int] | None:
    """The axis along which there are several pages, if there is one such axis alone."""
    longer = [each for each in stack.axes if each[1] > 1]
    return longer[0] if len(longer) == 1 else None


def _plane(stack: _Stack, number: int) -> np.ndarray:
    """A page as (H, W, samples)."""
    page = stack.pages[number]
    if page is None:
        raise Undecodable("a page of the TIFF is missing")
    plane: np.ndarray = page.asarray()
    if plane.ndim == 2:
        return plane[..., None]
    if plane.ndim != 3:
        raise Undecodable(f"a TIFF with pixels of {plane.ndim} dimensions")
    planes = stack.keyframe.planarconfig.name == "SEPARATE"
    return np.moveaxis(plane, 0, 2) if planes else plane
