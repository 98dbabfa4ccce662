"""The pixels of a TIFF as they are stored: any depth, any number of samples, the first image of a stack."""

import io
from typing import NamedTuple

import numpy as np

# What a TIFF begins with: either order of bytes, and BigTIFF.
STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# A colour map has 16 bits.
_TO_8_BITS = 257
_OF_JPEG = ("OJPEG", "JPEG", "JPEG_LOSSY")


class TiffError(Exception):
    """A TIFF that cannot be read; the message says why."""


class TiffPage(NamedTuple):
    """The first image of a TIFF.

    Attributes
    ----------
    samples
        As stored, (H, W, samples); the channels that a stack has on pages of their own are samples too.
    kind
        What the samples are, in tifffile's words: `minisblack`, `miniswhite`, `rgb`, `palette`, `separated` (CMYK),
        `ycbcr`, `cielab`, ... What JPEG has packed is `rgb` as soon as it is unpacked.
    extra
        How many samples at the end are neither a colour nor a grey level.
    alpha
        Whether the first of these is the transparency: `assocalpha` (colours are multiplied by it), `unassalpha`, or ""
        if it is not.
    palette
        RGB by index, uint8 (n, 3); None without a palette.
    pages
        How many images there are, of which this is the first.
    bits
        Of a sample.
    orientation
        By its tag, 1 to 8; 1 is upright.
    """

    samples: np.ndarray
    kind: str
    extra: int
    alpha: str
    palette: np.ndarray | None
    pages: int
    bits: int
    orientation: int


def is_tiff(data: bytes) -> bool:
    """Whether the bytes begin like a TIFF."""
    return data[:4] in STARTS


def read_tiff(data: bytes, most_pixels: int) -> TiffPage:
    """Read the first image of a TIFF, or of an OME-TIFF or an ImageJ stack.

    Raises
    ------
    TiffError
        If it is damaged, of `most_pixels` or more, or packed in a way that is not read.
    """
    try:
        import tifffile
    except ImportError:
        raise TiffError("TIFF needs two more packages: pip install tifffile imagecodecs") from None
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            return _first(file.series[0], most_pixels)
    except TiffError:
        raise
    # Neither library lists what a damaged file raises, and what it raises is not of one kind.
    except Exception as error:
        raise TiffError(f"a damaged TIFF: {str(error).strip() or type(error).__name__}") from error


def _first(series, most_pixels: int) -> TiffPage:  # type: ignore[no-untyped-def]  # tifffile's are untyped here
    page = series.keyframe
    height, width = page.imagelength, page.imagewidth
    if height * width >= most_pixels:
        raise TiffError(f"{width} x {height} pixels, above the limit of {most_pixels / 1e6:.0f} million")
    sizes = dict(zip(series.axes, series.shape, strict=True))
    channels = sizes.get("C", 1) if page.samplesperpixel == 1 else 1
    samples = np.concatenate([_plane(series, number) for number in _channel_pages(sizes, channels)], axis=2)
    across = [count for axis, count in sizes.items() if axis not in "YXSC"]
    kind = page.photometric.name.lower()
    extras = [int(each) for each in page.extrasamples]
    return TiffPage(
        samples=samples,
        kind="rgb" if kind == "ycbcr" and page.compression.name in _OF_JPEG else kind,
        extra=len(extras),
        alpha={1: "assocalpha", 2: "unassalpha"}.get(extras[0], "") if extras else "",
        palette=None if page.colormap is None else (page.colormap.T // _TO_8_BITS).astype(np.uint8),
        pages=int(np.prod(across, dtype=np.int64)),
        bits=page.bitspersample,
        orientation=int(page.tags.valueof(274, 1)),
    )


def _channel_pages(sizes: dict[str, int], channels: int) -> list[int]:
    """Numbers of the pages of the channels, where all other axes are at their beginning."""
    axes = [axis for axis in sizes if axis not in "YXS"]
    after = axes[axes.index("C") + 1 :] if channels > 1 else []
    step = int(np.prod([sizes[axis] for axis in after], dtype=np.int64))
    return [channel * step for channel in range(channels)]


def _plane(series, number: int) -> np.ndarray:  # type: ignore[no-untyped-def]
    """A page as (H, W, samples)."""
    page = series.pages[number]
    if page is None:
        raise TiffError("a page of it is missing")
    plane = page.asarray()
    key = series.keyframe
    if plane.ndim == 2:
        return plane[..., None]
    if (
        plane.ndim == 3
        and plane.shape[0] == key.samplesperpixel
        and plane.shape[1:] == (key.imagelength, key.imagewidth)
    ):
        return np.moveaxis(plane, 0, 2)  # a plane for each sample
    if plane.ndim == 3:
        return plane
    raise TiffError(f"pixels of {plane.ndim} dimensions")
