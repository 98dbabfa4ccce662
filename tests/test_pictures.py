"""Which files a user names, and that their pixels are those that the data sets' preparation reads."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bakeoff.artefacts.colours import class_colours
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.preparation.decode import Undecodable, decode, is_turned, resize_classes, resize_image
from bakeoff.inference.command import output_names
from bakeoff.inference.drawing import outlined, write_mask, write_overlay
from bakeoff.inference.pictures import find_pictures, masks_by_stem, open_mask, open_picture
from bakeoff.report.pictures import mask_picture
from PIL import ExifTags, Image, ImageOps

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (6, 9, 3), np.uint8)


def save(path: Path, image: Image.Image, orientation: int | None = None, **options: Any) -> Path:
    if orientation is not None:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        options["exif"] = exif
    image.save(path, **options)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_a_picture_is_turned_as_pillow_turns_it(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(COLOURS), orientation)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    pixels = open_picture(path, 3)
    assert pixels.shape == expected.shape
    assert np.array_equal(pixels, expected)
    assert pixels.flags.c_contiguous


def test_as_stored_is_what_the_preparation_reads(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(COLOURS), 6)
    assert np.array_equal(open_picture(path, 3, upright=False), COLOURS)
    assert np.array_equal(decode(path.read_bytes(), 3).pixels, COLOURS)
    assert open_picture(path, 3).shape == (9, 6, 3)


def test_an_orientation_that_makes_no_sense_is_none(tmp_path: Path) -> None:
    for orientation in (0, 9):
        path = save(tmp_path / "a.png", Image.fromarray(COLOURS), orientation)
        assert np.array_equal(open_picture(path, 3), COLOURS)


def modes() -> dict[str, Image.Image]:
    image = Image.fromarray(COLOURS)
    alpha = Image.fromarray(RNG.integers(0, 256, (6, 9), np.uint8))
    with_alpha = image.copy()
    with_alpha.putalpha(alpha)
    deep = Image.fromarray(RNG.integers(0, 4096, (6, 9)).astype(np.uint16))
    return {
        "grey.png": image.convert("L"),
        "bilevel.png": image.convert("1"),
        "palette.gif": image.quantize(8),
        "rgba.png": with_alpha,
        "cmyk.jpg": image.convert("CMYK"),
        "deep.png": deep,
    }


@pytest.mark.parametrize("name", modes())
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_is_read_as_the_data_sets_are(tmp_path: Path, name: str, channels: int) -> None:
    path = save(tmp_path / name, modes()[name])
    pixels = open_picture(path, channels)
    assert pixels.shape == (6, 9, channels)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, decode(path.read_bytes(), channels).pixels)
    assert len(np.unique(pixels)) > 1, "twelve bits in sixteen are not black"


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n\0\0\0\0"])
def test_what_is_no_picture_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(Undecodable):
        open_picture(tmp_path / "a.png", 1)


def test_a_cut_off_and_a_missing_file_say_so(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (64, 64, 3), np.uint8)).save(buffer, "png")
    (tmp_path / "half.png").write_bytes(buffer.getvalue()[:2000])
    with pytest.raises(Undecodable):
        open_picture(tmp_path / "half.png", 1)
    with pytest.raises(Undecodable, match="No such file"):
        open_picture(tmp_path / "none.png", 1)


def test_files_folders_and_patterns_are_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("b/2.PNG", "b/deep/1.jpeg", "b/notes.txt", "b/.hidden/3.png", "b/.4.png", "[a]*.png", "a0.png", "raw"):
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    below = [Path("b/2.PNG"), Path("b/deep/1.jpeg")]
    assert find_pictures(["b"]) == below
    assert find_pictures(["b", "b/deep/../2.PNG", "b/**/*.jpeg", "b/2.PNG"]) == below
    assert find_pictures(["*0.png"]) == [Path("a0.png")]
    assert find_pictures(["[a]*.png"]) == [Path("[a]*.png")], "a name before a pattern"
    assert find_pictures(["raw"]) == [Path("raw")], "what is named needs no suffix"
    assert find_pictures(["b", "raw"], leave_out=[Path("b/deep"), Path("raw")]) == [Path("b/2.PNG"), Path("raw")]
    assert find_pictures(["**/*.jpeg", "b/2.PNG"], leave_out=[Path("nowhere")]) == below
    assert find_pictures(["b/deep/1.jpeg"], leave_out=[Path("b/deep")]) == below[1:], "named itself"
    with pytest.raises(BakeoffError, match=r"b/deep is not an image, .* \(what lies in b aside\): check the path"):
        find_pictures(["b/deep"], leave_out=[Path("b")])
    with pytest.raises(BakeoffError, match=r"x\.png cannot be read \(File name too long\): check the path"):
        find_pictures([f"{300 * 'x'}.png"])
    for nothing in ("c", "*.bmp", "b/.hidden/*.jpg"):
        with pytest.raises(BakeoffError, match=r"is not an image, nor a folder or pattern"):
            find_pictures(["b", nothing])


@pytest.mark.parametrize("orientation", [None, *range(10)])
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_a_picture_is_turned_where_its_tag_moves_pixels(tmp_path: Path, suffix: str, orientation: int | None) -> None:
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(COLOURS), orientation)
    moved = not np.array_equal(open_picture(path, 3), open_picture(path, 3, upright=False))
    assert is_turned(path.read_bytes()) == moved


def test_masks_are_listed_by_name_whatever_their_suffix(tmp_path: Path) -> None:
    for name in ("a.png", "a.TIF", "b.gif", "notes.txt", "c"):
        (tmp_path / name).touch()
    a, b = [tmp_path / "a.TIF", tmp_path / "a.png"], [tmp_path / "b.gif"]
    assert masks_by_stem(tmp_path) == {"a": a, "b": b}


def test_names_never_collide() -> None:
    files = [Path(name) for name in ("a/X.png", "a/x-2.png", "a/x.jpg", "a/x.png", "b/x.jpg")]
    names = output_names(files)
    assert names == ["X", "x-2", "x-3", "x-4", "x-5"]
    assert len({name.casefold() for name in names}) == len(files)


def test_a_mask_is_indices_and_colours(tmp_path: Path) -> None:
    mask = RNG.integers(0, 3, (7, 5), np.uint8)
    write_mask(tmp_path / "m.png", mask)
    assert np.array_equal(open_mask(tmp_path / "m.png", 3), mask)
    with Image.open(tmp_path / "m.png") as image:
        assert np.array_equal(np.asarray(image), mask)
        assert np.array_equal(np.asarray(image.convert("RGB")), class_colours()[mask])
    assert len(np.unique(class_colours()[:8], axis=0)) == 8


def test_a_class_has_the_colour_that_the_report_gives_it() -> None:
    assert np.array_equal(class_colours()[2:6], mask_picture(np.arange(2, 6, dtype=np.uint8)[None])[0])


def test_masks_of_grey_levels_are_read_and_others_refused(tmp_path: Path) -> None:
    two = np.array([[0, 255], [255, 0]], np.uint8)
    Image.fromarray(two).save(tmp_path / "two.png")
    assert open_mask(tmp_path / "two.png", 2).tolist() == [[0, 1], [1, 0]]
    with pytest.raises(Undecodable, match=r"levels 255 are not among classes \(0, 1, 2\): class numbers 0 to 2"):
        open_mask(tmp_path / "two.png", 3)


def test_a_mask_is_stretched_class_by_class() -> None:
    mask = np.zeros((4, 4), np.uint8)
    mask[1:3, 1:3] = 2
    assert resize_classes(mask, (4, 4)) is mask
    # Each pixel's middle keeps its class, and no class comes up between two others.
    larger = resize_classes(mask, (12, 20))
    assert np.array_equal(larger[1::3, 2::5], mask)
    assert set(np.unique(larger)) == {0, 2}


def test_an_outline_has_its_class_s_colour_and_the_image_stays() -> None:
    pixels = RNG.integers(0, 256, (9, 9, 1), np.uint8)
    mask = np.zeros((9, 9), np.uint8)
    mask[2:7, 2:7] = 2
    drawn = outlined(pixels, mask)
    ring = (mask > 0) & ~np.pad(np.ones((3, 3), bool), 3)
    assert (drawn[ring] == class_colours()[2]).all()
    assert np.array_equal(drawn[~ring], np.repeat(pixels, 3, axis=-1)[~ring])


def test_where_every_class_counts_the_first_has_an_outline_too() -> None:
    mask = np.zeros((9, 9), np.uint8)
    mask[:, 5:] = 1
    drawn = outlined(np.full((9, 9, 1), 7, np.uint8), mask, background=None)
    inside = np.zeros((9, 9), bool)
    inside[1:8, 1:4] = inside[1:8, 6:8] = True
    assert (drawn[inside] == 7).all()
    assert (drawn[~inside] == class_colours(None)[mask[~inside]]).all()


def test_a_large_overlay_is_shrunk(tmp_path: Path) -> None:
    for shape, size in (((2, 2), (2, 2)), ((60, 8192), (4096, 30)), ((9000, 4500), (2048, 4096))):
        mask = np.zeros(shape, np.uint8)
        mask[: shape[0] // 2] = 1
        for channels in (1, 3):
            write_overlay(tmp_path / "a.jpg", np.zeros((*shape, channels), np.uint8), mask)
            assert Image.open(tmp_path / "a.jpg").size == size


def test_a_turned_picture_is_prepared_like_a_copied_one(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(COLOURS), 7)
    turned = open_picture(path, 3)
    assert np.array_equal(resize_image(turned, (4, 4)), resize_image(turned.copy(), (4, 4)))
