"""TIFF, OME-TIFF and ImageJ stacks: the samples of the first image as they are stored."""

import io
from typing import Any, NamedTuple

import numpy as np

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
# What JPEG has packed is RGB as soon as it is unpacked.
_OF_JPEG = ("OJPEG", "JPEG", "JPEG_LOSSY")


class TiffHeader(NamedTuple):
    """What a TIFF says of its first image; see `Samples`."""

    width: int
    height: int
    samples: int
    bits: int
    mode: str
    orientation: int


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


def read_tiff(data: bytes) -> Samples:
    """Read the first image of a TIFF; the channels that a stack has on pages of their own are samples too.

    Raises
    ------
    Undecodable
        If it is damaged, of `MAXIMUM_PIXELS` or more, or of a kind that is not read.
    """
    return _read(data, _first)


def _read(data: bytes, read: Any) -> Any:
    try:
        import tifffile
    except ImportError:
        raise Undecodable("TIFF needs two more packages: pip install tifffile imagecodecs") from None
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            return read(file.series[0])
    except Undecodable:
        raise
    # Neither library lists what a damaged file raises, and what it raises is not of one kind.
    except Exception as error:
        raise Undecodable(f"a damaged TIFF: {str(error).strip() or type(error).__name__}") from error


def _header(series: Any) -> TiffHeader:
    page = series.keyframe
    if page.imagewidth * page.imagelength >= MAXIMUM_PIXELS:
        raise Undecodable(
            f"{page.imagewidth} x {page.imagelength} pixels, above the limit of {MAXIMUM_PIXELS / 1e6:.0f} million"
        )
    samples = page.samplesperpixel * len(_channel_pages(series))
    return TiffHeader(page.imagewidth, page.imagelength, samples, page.bitspersample, _mode(page), _orientation(page))


def _first(series: Any) -> Samples:
    header, page = _header(series), series.keyframe
    planes = [_plane(series, number) for number in _channel_pages(series)]
    kind = _kind(page)
    extras = [int(each) for each in page.extrasamples]
    pages = int(np.prod([count for axis, count in _sizes(series).items() if axis not in "YXSC"], dtype=np.int64))
    return Samples(
        pixels=planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2),
        kind=kind,
        mode=header.mode,
        bits=header.bits,
        extra=header.samples - _COLOURS[kind],
        alpha=_ALPHA.get(extras[0], "") if extras else "",
        palette=None if page.colormap is None else _palette(page.colormap),
        white_is_zero=page.photometric.name == "MINISWHITE",
        orientation=header.orientation,
        notes=(f"first of {pages} pages",) if pages > 1 else (),
    )


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
    kind, alpha = _kind(page), bool(page.extrasamples) and int(page.extrasamples[0]) in _ALPHA
    if kind != "grey":
        depth = f" of {page.bitspersample} bits" if page.bitspersample > 8 else ""
        return _MODES[kind] + ("A" if alpha else "") + depth
    if page.dtype is not None and page.dtype.kind == "f":
        return "F"
    grey = {1: "1", 8: "L", 16: "I;16"}.get(page.bitspersample, f"{page.bitspersample} bits")
    return ("LA" if grey == "L" else f"{grey} with transparency") if alpha else grey


def _orientation(page: Any) -> int:
    return int(page.tags.valueof(_ORIENTATION, default=1))


def _sizes(series: Any) -> dict[str, int]:
    return dict(zip(series.axes, series.shape, strict=True))


def _channel_pages(series: Any) -> list[int]:
    """Numbers of the pages of the channels, where all other axes are at their beginning."""
    sizes = _sizes(series)
    if series.keyframe.samplesperpixel > 1 or "C" not in sizes:
        return [0]
    axes = [axis for axis in sizes if axis not in "YXS"]
    step = int(np.prod([sizes[axis] for axis in axes[axes.index("C") + 1 :]], dtype=np.int64))
    return [channel * step for channel in range(sizes["C"])]


def _plane(series: Any, number: int) -> np.ndarray:
    """A page as (H, W, samples)."""
    page = series.pages[number]
    if page is None:
        raise Undecodable("a page of the TIFF is missing")
    plane = page.asarray()
    if plane.ndim == 2:
        return plane[..., None]
    if plane.ndim != 3:
        raise Undecodable(f"a TIFF with pixels of {plane.ndim} dimensions")
    planes = series.keyframe.planarconfig.name == "SEPARATE"
    return np.moveaxis(plane, 0, 2) if planes else plane
