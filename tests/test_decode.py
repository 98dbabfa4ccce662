"""From the bytes of a picture to 8 bits: every depth and kind, against other libraries and exact arrays."""

import io
from collections.abc import Callable
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pytest
import tifffile
from bakeoff.datasets.preparation.decode import Undecodable, decode, header, is_turned
from bakeoff.datasets.preparation.depth import measure_levels
from bakeoff.datasets.preparation.samples import Scale
from PIL import ExifTags, Image
from skimage.color import lab2rgb

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (6, 9, 3), np.uint8)
GREY = COLOURS[..., 0]
DEEP = RNG.integers(0, 4096, (6, 9, 3), np.uint16)
# Of 12 bits, by the rule: 4095 becomes 255.
TO_8 = np.rint(DEEP * (255 / 4095)).astype(np.uint8)


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


def written(image: Image.Image | np.ndarray, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def luminance(colours: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(colours).convert("L"))


# 8 bits


@pytest.mark.parametrize(
    "data",
    [
        *(written(COLOURS, kind) for kind in ("PNG", "BMP", "TIFF", "PPM")),
        written(COLOURS, "WEBP", lossless=True),
        written(COLOURS, "JPEG2000", irreversible=False),
        tiff(COLOURS, photometric="rgb", compression="lzw", predictor=True),
        tiff(COLOURS, photometric="rgb", planarconfig="contig", tile=(16, 16), compression="zstd"),
        tiff(np.moveaxis(COLOURS, 2, 0), photometric="rgb", planarconfig="separate"),
        tiff(COLOURS, photometric="rgb", bigtiff=True, byteorder=">"),
        imagecodecs.avif_encode(COLOURS, level=100),
    ],
    ids=[
        *("PNG", "BMP", "TIFF", "PPM", "WebP", "JPEG 2000", "LZW TIFF", "tiled TIFF", "TIFF of planes", "BigTIFF"),
        "AVIF",
    ],
)
def test_colours_of_8_bits_stay_as_they_are(data: bytes) -> None:
    assert np.array_equal(decode(data, 3).pixels, COLOURS)
    assert np.array_equal(decode(data, 3, levels=(10, 20)).pixels, COLOURS), "levels are of deeper images"
    assert np.array_equal(decode(data, 1).pixels[..., 0], luminance(COLOURS))
    assert decode(data, 3).converted == ""


def test_a_jpeg_in_a_tiff_has_its_colours() -> None:
    smooth = np.full((32, 32, 3), (200, 30, 60), np.uint8)
    for image in (Image.fromarray(smooth), Image.fromarray(smooth).convert("YCbCr")):
        data = written(image, "TIFF", compression="jpeg", quality=95)
        assert np.abs(decode(data, 3).pixels.astype(int) - smooth).max() <= 2


def test_kinds_of_colour_become_rgb() -> None:
    image = Image.fromarray(COLOURS)
    cmyk = decode(written(image.convert("CMYK"), "TIFF"), 3)
    assert np.array_equal(cmyk.pixels, COLOURS)
    assert cmyk.converted == "CMYK to RGB"
    ycbcr = decode(tiff(np.asarray(image.convert("YCbCr")), photometric="ycbcr"), 3)
    assert np.abs(ycbcr.pixels.astype(int) - COLOURS).max() <= 3
    palette = image.quantize(16)
    for kind in ("TIFF", "PNG", "GIF"):
        assert np.array_equal(decode(written(palette, kind), 3).pixels, np.asarray(palette.convert("RGB"))), kind


def test_lab_becomes_rgb_as_scikit_image_has_it() -> None:
    lab = np.stack(np.meshgrid([64, 128, 200], [-20, 0, 30]), axis=2).astype(np.float64)
    lab = np.concatenate([lab, np.full((3, 3, 1), 10.0)], axis=2)
    stored = np.stack([lab[..., 0], lab[..., 1].astype(np.int8).view(np.uint8), np.full((3, 3), 10)], axis=2)
    expected = lab2rgb(np.stack([lab[..., 0] / 2.55, lab[..., 1], lab[..., 2]], axis=2), illuminant="D50") * 255
    found = decode(tiff(stored.astype(np.uint8), photometric="cielab"), 3)
    assert found.converted == "LAB to RGB"
    # scikit-image does not adapt to the white of sRGB, which makes a little of yellow.
    assert np.abs(found.pixels - expected).mean() < 12
    neutral = tiff(np.array([[[128, 0, 0]]], np.uint8), photometric="cielab")
    assert np.ptp(decode(neutral, 3).pixels.astype(int)) <= 1


def test_what_is_transparent_lies_on_black() -> None:
    alpha = np.array([[0, 255]], np.uint8)
    pixels = np.dstack([np.full((1, 2, 3), 200, np.uint8), alpha])
    for data in (written(pixels, "PNG"), tiff(pixels, photometric="rgb", extrasamples=["unassalpha"])):
        found = decode(data, 3)
        assert found.pixels.tolist() == [[[0] * 3, [200] * 3]]
        assert found.converted == "RGBA to RGB, transparency on black"
    multiplied = np.dstack([np.full((1, 1, 3), 90, np.uint8), np.full((1, 1), 128, np.uint8)])
    assert decode(tiff(multiplied, photometric="rgb", extrasamples=["assocalpha"]), 3).pixels.tolist() == [[[90] * 3]]
    further = decode(tiff(multiplied, photometric="rgb", extrasamples=["unspecified"]), 3)
    assert (further.pixels.tolist(), further.converted) == ([[[90] * 3]], "1 further channel left out")


# More than 8 bits

DEEP_COLOURS: dict[str, bytes] = {
    "TIFF": tiff(DEEP, photometric="rgb"),
    "LZW TIFF": tiff(DEEP, photometric="rgb", compression="lzw", predictor=True),
    "PNG": imagecodecs.png_encode(DEEP),
    "PNG of OpenCV": cv2.imencode(".png", DEEP[..., ::-1])[1].tobytes(),
    "transparent PNG": imagecodecs.png_encode(np.dstack([DEEP, np.full((6, 9), 65535, np.uint16)])),
}


@pytest.mark.parametrize("name", DEEP_COLOURS)
def test_twelve_bits_a_colour_in_sixteen_are_not_black(name: str) -> None:
    found = decode(DEEP_COLOURS[name], 3)
    assert np.array_equal(found.pixels, TO_8)
    assert found.converted.startswith("RGB")
    assert "of 16 bits to RGB" in found.converted
    assert np.array_equal(decode(DEEP_COLOURS[name], 1).pixels[..., 0], luminance(TO_8))
    assert (header(DEEP_COLOURS[name]).bits, header(DEEP_COLOURS[name]).width) == (16, 9)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_grey_levels_go_by_their_depth_or_by_stated_levels(kind: str) -> None:
    levels = np.array([[0, 100, 300, 1000]], np.uint16)
    data = written(levels, kind)
    assert decode(data, 1).pixels[..., 0].tolist() == [[0, 25, 75, 249]]
    assert decode(data, 1).converted == "I;16 to L"
    stated = decode(data, 1, levels=(100, 355))
    assert stated.pixels[..., 0].tolist() == [[0, 0, 200, 255]]
    assert stated.converted == "I;16 to L, levels 100 to 355"
    assert decode(data, 3, levels=(100, 355)).pixels[0, 2].tolist() == [200] * 3


def test_floats_need_levels() -> None:
    data = tiff(np.array([[-1.0, 0.0, 0.5, 1.0, np.nan, np.inf]], np.float32))
    with pytest.raises(Undecodable, match="its levels are floating-point numbers: state levels"):
        decode(data, 1)
    found = decode(data, 1, levels=(0, 1))
    assert found.pixels[..., 0].tolist() == [[0, 0, 128, 255, 0, 255]]
    assert found.converted == "F to L, levels 0 to 1"


def test_numbers_with_a_sign() -> None:
    hounsfield = tiff(np.array([[-1000, 0, 40, 400]], np.int16))
    assert decode(hounsfield, 1).converted.endswith("levels below 0 as black")
    assert decode(hounsfield, 1, levels=(-160, 240)).pixels[..., 0].tolist() == [[0, 102, 128, 255]]


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_where_zero_is_white_it_comes_out_white(depth: type) -> None:
    most = np.iinfo(depth).max
    levels = np.array([[0, most // 5, most]], depth)
    found = decode(tiff(levels, photometric="miniswhite"), 1)
    assert found.pixels[..., 0].tolist() == [[255, 204, 0]]
    assert "0 is white" in found.converted
    assert decode(tiff(levels, photometric="minisblack"), 1).pixels[..., 0].tolist() == [[0, 51, 255]]


def test_one_bit_is_black_and_white() -> None:
    bits = np.array([[False, True]])
    assert decode(tiff(bits, photometric="minisblack"), 1).pixels[..., 0].tolist() == [[0, 255]]
    assert decode(tiff(bits, photometric="miniswhite"), 1).pixels[..., 0].tolist() == [[255, 0]]


@pytest.mark.parametrize("options", [{"ome": True}, {"imagej": True}, {"metadata": {}}])
def test_of_several_pages_the_first_counts_and_that_is_said(options: dict[str, Any]) -> None:
    pages = RNG.integers(0, 256, (4, 6, 9), np.uint8)
    axes = {"metadata": {"axes": "ZYX"}} if "metadata" not in options else {}
    found = decode(tiff(pages, photometric="minisblack", **options, **axes), 1)
    assert np.array_equal(found.pixels[..., 0], pages[0])
    assert found.converted == "first of 4 pages"


def test_channels_on_pages_of_their_own() -> None:
    stack = RNG.integers(0, 256, (3, 2, 6, 9), np.uint8)  # channels, depth
    data = tiff(stack, ome=True, photometric="minisblack", metadata={"axes": "CZYX"})
    found = decode(data, 3)
    assert np.array_equal(found.pixels, np.moveaxis(stack[:, 0], 0, 2))
    assert found.converted == "L to RGB, three channels as red, green and blue, first of 2 pages"
    with pytest.raises(Undecodable, match="it has 3 channels, and the configuration's channels is 1"):
        decode(data, 1)


# Orientation


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_is_stored_or_upright_as_all_others(orientation: int) -> None:
    data = tiff(COLOURS, photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    other = written(COLOURS, "PNG", exif=exif)
    assert is_turned(data) == is_turned(other) == (orientation > 1)
    for upright in (False, True):
        assert np.array_equal(decode(data, 3, upright=upright).pixels, decode(other, 3, upright=upright).pixels)
    assert np.array_equal(decode(data, 3).pixels, COLOURS)
    assert decode(data, 3).orientation == orientation


# What is refused


DRAWN_ELSEWHERE: dict[str, tuple[Callable[[], bytes], str]] = {
    "EPS": (lambda: written(COLOURS, "EPS"), "it is an EPS file, which only another program can draw"),
    "EPS with a preview": (lambda: b"\xc5\xd0\xd3\xc6" + bytes(60), "it is an EPS file"),
    "WMF": (lambda: b"\xd7\xcd\xc6\x9a" + bytes(60), "it is a WMF file"),
    "PDF": (lambda: written(COLOURS, "PDF"), "it is a PDF file"),
    "ICNS": (lambda: written(Image.fromarray(COLOURS).resize((32, 32)), "ICNS"), "no picture of a format that is read"),
    "BUFR": (lambda: b"BUFR" + bytes(60), "no picture of a format that is read"),
    "a damaged TIFF": (lambda: tiff(DEEP, photometric="rgb")[:100], "a damaged TIFF"),
    "a damaged PNG": (lambda: imagecodecs.png_encode(DEEP)[:100], "."),
}


@pytest.mark.parametrize("name", DRAWN_ELSEWHERE)
def test_what_is_no_picture_is_a_sentence_and_runs_no_program(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, words = DRAWN_ELSEWHERE[name]
    data = make()

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a program was run")

    monkeypatch.setattr("subprocess.Popen", fail)
    with pytest.raises(Undecodable, match=words):
        decode(data, 3)


def test_a_large_tiff_is_refused_unread() -> None:
    data = tiff(np.zeros((1, 1), np.uint8), tile=(16, 16), compression="zlib")
    huge = data.replace((1).to_bytes(4, "little"), (20_000).to_bytes(4, "little"))
    with pytest.raises(Undecodable):
        decode(huge, 1)


# Levels of a data set


def test_levels_are_percentiles_of_all_images_together() -> None:
    first = np.arange(1000, dtype=np.uint16).reshape(20, 50)
    files = [tiff(first), written(GREY, "PNG"), b"damaged", tiff(first + np.uint16(1000))]
    low, high = np.percentile(np.arange(2000), (0.1, 99.9))
    assert measure_levels(files) == pytest.approx((low, high), rel=1e-5)
    assert measure_levels([written(GREY, "PNG")]) is None
    assert measure_levels([tiff(np.full((4, 4), 7, np.uint16))]) == (7, 8)
    assert measure_levels([tiff(np.array([[0.25, np.nan, 0.25]], np.float32))]) == (0.25, 1.25)


def test_levels_are_those_that_are_shown() -> None:
    dark = np.full((4, 4), 65_535 - 300, np.uint16)
    dark[0] = 65_535 - 100
    assert measure_levels([tiff(dark, photometric="miniswhite")]) == (100, 300)
    found = decode(tiff(dark, photometric="miniswhite"), 1, levels=(100, 300))
    assert set(found.pixels.ravel().tolist()) == {0, 255}


def test_memory_of_measured_levels_is_bounded() -> None:
    import tracemalloc

    data = tiff(RNG.integers(0, 4096, (1000, 1000), np.uint16))
    measure_levels([data])  # which imports what is needed
    tracemalloc.start()
    measure_levels(data for _ in range(20))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 40e6


def test_a_scale_is_exact_at_its_ends() -> None:
    assert Scale(0, 65_535).of(np.array([0, 128, 32_767, 65_535], np.uint16)).tolist() == [0, 0, 127, 255]
    wide = np.array([0, 2**31, 2**32 - 1], np.uint32)
    assert Scale(0, 2**32 - 1).of(wide).tolist() == [0, 128, 255]
