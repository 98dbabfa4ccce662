"""From archives to arrays: what every published file turns into, and what is said of those that cannot be used."""

import gzip
import hashlib
import io
import json
import resource
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pandas as pd
import pytest
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.geometry import Geometry
from bakeoff.artefacts.prepared import open_prepared
from bakeoff.datasets.archives.records import Member, Record
from bakeoff.datasets.preparation.arrays import Coding, decode_records, row_findings, write_histograms
from bakeoff.datasets.preparation.decode import Undecodable, decode, nearest_classes, resize_classes, resize_image
from bakeoff.datasets.preparation.prepare import prepare
from bakeoff.datasets.sources import catsdogs, lungs
from bakeoff.datasets.sources.lungs import FILES, IMAGES, MASKS, synthetic
from conftest import large_png
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

ARCHIVE = FILES[0].name


def encoded(pixels: np.ndarray | Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(seed: int, height: int = 40, width: int = 50) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)


def square(height: int = 40, width: int = 50) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : height // 2, width // 4 : width // 2] = 255
    return mask


def raw_of(folder: Path, members: Mapping[str, bytes], *, synthetic: bool = True, official: bool = False) -> Path:
    raw = folder / "raw"
    raw.mkdir(parents=True)
    with zipfile.ZipFile(raw / ARCHIVE, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    (raw / "source.json").write_text(json.dumps({"files": [{"official": official}], "synthetic": synthetic}))
    return raw


def x_rays(images: Mapping[str, bytes], masks: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
    """Members of an archive: Shenzhen X-rays by their id, each with a mask of its own or the usual one."""
    members = {f"{IMAGES}{name}.png": content for name, content in images.items()}
    return members | {f"{MASKS}{name}_mask.png": (masks or {}).get(name, encoded(square())) for name in images}


def prepared_from(tmp_path: Path, raw: Path, size: int = 16) -> tuple[Path, pd.DataFrame]:
    folder = tmp_path / "prepared"
    prepare("lungs", "lungs", raw, folder, size=size, distance=6)
    return folder, pd.read_csv(folder / "audit.csv", keep_default_na=False)


# -- decoding ---------------------------------------------------------------------------------------------------------


def test_grey_levels_pass_unchanged() -> None:
    pixels, converted, _ = decode(encoded(noise(0)), 1)
    assert np.array_equal(pixels[..., 0], noise(0))
    assert converted == ""


def test_grey_pictures_in_colour_modes_pass_unchanged() -> None:
    grey = Image.fromarray(noise(0))
    for mode in ("RGB", "RGBA", "LA", "P"):
        pixels, converted, _ = decode(encoded(grey.convert(mode)), 1)
        assert np.array_equal(pixels[..., 0], noise(0)), mode
        assert converted.startswith(f"{mode} to L")


def test_colour_becomes_luminance_as_pillow_has_it() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (30, 20, 3), np.uint8)
    assert np.array_equal(decode(encoded(colours), 1).pixels[..., 0], np.asarray(Image.fromarray(colours).convert("L")))
    assert np.array_equal(decode(encoded(colours), 3).pixels, colours)
    assert decode(encoded(noise(0)), 3).pixels.shape == (40, 50, 3)


def test_what_is_transparent_lies_on_black() -> None:
    pixels = np.full((1, 3, 4), 200, np.uint8)
    pixels[0, :, 3] = [0, 255, 128]
    decoded = decode(encoded(pixels), 1)
    assert decoded.pixels[0, :, 0].tolist() == [0, 200, 100]
    assert "transparency on black" in decoded.converted


@pytest.mark.parametrize(("brightest", "white"), [(200, 255), (1000, 1023), (4095, 4095), (65535, 65535)])
def test_deep_levels_are_scaled_from_their_bit_depth(brightest: int, white: int) -> None:
    levels = np.array([[0, brightest // 2, brightest]], np.uint16)
    decoded = decode(encoded(levels), 1)
    assert decoded.pixels[0, :, 0].tolist() == np.rint(levels[0] * (255 / white)).astype(int).tolist()
    assert decoded.converted == "I;16 to L"
    assert np.array_equal(decode(encoded(levels), 3).pixels[..., 2], decoded.pixels[..., 0])


def test_16_bits_made_of_8_give_the_8_back() -> None:
    deep = noise(0).astype(np.uint16) * 257
    deep[0, 0] = 65535
    assert np.array_equal(decode(encoded(deep), 1).pixels.ravel()[1:], noise(0).ravel()[1:])


def test_bilevel_cmyk_and_animated_pictures_are_converted() -> None:
    assert set(np.unique(decode(encoded(Image.fromarray(square()).convert("1")), 1).pixels)) == {0, 255}
    grey = Image.fromarray(np.full((8, 8), 99, np.uint8))
    decoded = decode(encoded(grey.convert("CMYK"), "TIFF"), 1)
    assert (decoded.converted, decoded.pixels[0, 0, 0]) == ("CMYK to L", 99)
    frames = [Image.fromarray(np.full((8, 8), level, np.uint8)) for level in (10, 250)]
    animated = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(animated, 1).pixels.max() == 10
    assert "first of 2 frames" in decode(animated, 1).converted


def test_tall_pictures_are_converted_strip_by_strip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bakeoff.datasets.preparation.decode.STRIP_PIXELS", 170)
    assert np.array_equal(decode(encoded(Image.fromarray(noise(1)).convert("RGB")), 1).pixels[..., 0], noise(1))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"Thumbs.db is no picture", "no picture of a format that is read"),
        (encoded(noise(0))[:900], "truncated"),
        (encoded(np.zeros((4, 4), np.float32), "TIFF"), "floating-point numbers: state levels"),
    ],
    ids=["empty", "no image", "truncated", "floating point"],
)
def test_what_is_no_picture_says_why(content: bytes, words: str) -> None:
    with pytest.raises(Undecodable, match=words) as caught:
        decode(content, 1)
    assert "0x" not in str(caught.value)  # an address in memory would make every audit differ


def test_five_hundred_megapixels_are_refused_before_they_are_read() -> None:
    with pytest.raises(Undecodable, match="25000 x 20000 pixels"):
        decode(large_png(25_000, 20_000), 1)
    with pytest.raises(Undecodable, match="decompression bomb"):
        decode(large_png(50_000, 20_001), 1)


SAMPLES = {kind: encoded(noise(0), kind) for kind in ("PNG", "JPEG", "GIF", "BMP")}
SAMPLES["TIFF"] = encoded(noise(0).astype(np.uint16) * 99, "TIFF")


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, on the damage it reads past
@settings(deadline=None, max_examples=200)
@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_damage_anywhere_is_undecodable_or_a_picture(kind: str, data: st.DataObject) -> None:
    sample = SAMPLES[kind]
    damaged = bytearray(sample)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(sample) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = decode(bytes(damaged[: data.draw(st.integers(0, len(sample)))]), 1)
    except Undecodable:
        return
    assert decoded.pixels.dtype == np.uint8
    assert decoded.pixels.shape[2] == 1


# -- resizing ---------------------------------------------------------------------------------------------------------


def test_images_shrink_to_the_mean_of_the_area() -> None:
    pixels = noise(0, 32, 64)
    means = pixels.reshape(16, 2, 16, 4).mean(axis=(1, 3))
    assert np.abs(resize_image(pixels[..., None], (16, 16))[..., 0] - means).max() <= 0.5


def test_classes_shrink_to_the_class_with_most_of_the_area() -> None:
    classes = np.zeros((4, 4), np.uint8)
    classes[0, 0] = 1  # a quarter of its cell
    classes[2:, :2] = [[1, 1], [1, 0]]  # three quarters
    assert resize_classes(classes, (2, 2)).tolist() == [[0, 0], [1, 0]]


def test_classes_of_equal_shares_go_by_the_middle_of_the_pixel() -> None:
    halves = np.array([[1, 1, 0, 0, 0, 1, 2, 0], [0, 0, 1, 1, 0, 1, 2, 0]], np.uint8)
    assert resize_classes(halves, (1, 4)).tolist() == [[0, 1, 1, 0]]
    # A class in the middle that is in the minority decides nothing.
    thirds = np.array([[2, 2, 1], [2, 0, 1], [1, 2, 1]], np.uint8)
    assert resize_classes(thirds, (1, 1)).tolist() == [[1]]


def test_no_class_gains_area_where_masks_are_halved() -> None:
    rows, columns = np.indices((256, 256)) + 0.5
    middles = np.random.default_rng(0).uniform(60, 196, (40, 2))
    discs = [(np.hypot(rows - row, columns - column) < 12).astype(np.uint8) for row, column in middles]
    grown = np.mean([resize_classes(disc, (128, 128)).mean() / disc.mean() for disc in discs])
    assert abs(grown - 1) < 0.01
    assert np.array_equal(resize_classes(1 - discs[0], (128, 128)), 1 - resize_classes(discs[0], (128, 128)))


def test_three_classes_go_by_the_largest_share() -> None:
    classes = np.array([[0, 1, 1, 2], [0, 1, 2, 2], [0, 0, 0, 0], [1, 2, 2, 0]], np.uint8)
    assert resize_classes(classes, (2, 2)).tolist() == [[1, 2], [0, 0]]


def test_the_nearest_class_is_that_at_the_middle() -> None:
    classes = np.array([[0, 1, 2, 1, 0, 2]] * 6, np.uint8)
    assert nearest_classes(classes, (2, 2)).tolist() == [[1, 0]] * 2  # the middles are 1.5 and 4.5, in pixels 1 and 4
    assert nearest_classes(classes, (3, 3)).tolist() == [[1, 1, 2]] * 3  # 1, 3 and 5: on an edge, the pixel after it
    assert nearest_classes(classes[:, :3], (6, 6)).tolist() == [[0, 0, 1, 1, 2, 2]] * 6


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(2, 40), st.integers(0, 9))
def test_masks_stay_whole_classes_at_any_size(height: int, width: int, size: int, seed: int) -> None:
    classes = np.random.default_rng(seed).integers(0, 3, (height, width)).astype(np.uint8)
    for resized in (resize_classes(classes, (size, size)), nearest_classes(classes, (size, size))):
        assert resized.shape == (size, size)
        assert resized.dtype == np.uint8
        assert set(np.unique(resized)) <= set(np.unique(classes))


# -- archives ---------------------------------------------------------------------------------------------------------


def coding(
    size: int = 20, channels: int = 1, classes: int = 2, mask_resize: Literal["area", "nearest"] = "area"
) -> Coding:
    return Coding(
        Geometry("stretch", size, size), channels, classes, mask_resize, lambda pixels: (pixels > 127).astype(np.uint8)
    )


def tar_of(path: Path, members: Mapping[str, bytes]) -> None:
    with gzip.open(path, "wb") as plain, tarfile.open(fileobj=plain, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def test_two_tar_archives_in_another_order_than_the_records(tmp_path: Path) -> None:
    tar_of(tmp_path / "images.tar.gz", {f"images/{n}.png": encoded(noise(n)) for n in (2, 0, 1)} | {"._x": b""})
    tar_of(tmp_path / "masks.tar.gz", {f"masks/{n}.png": encoded(np.roll(square(), n)) for n in (1, 2, 0)})
    records = [
        Record(str(n), Member("images.tar.gz", f"images/{n}.png"), (Member("masks.tar.gz", f"masks/{n}.png"),))
        for n in range(3)
    ]
    decoded = decode_records(records, tmp_path, tmp_path, coding(), threads=2)
    for n in range(3):
        assert np.array_equal(decoded.images[n], resize_image(noise(n)[..., None], (20, 20)))
        assert decoded.masks is not None
        assert np.array_equal(decoded.masks[n], resize_classes(np.roll(square(), n) // 255, (20, 20)))


@pytest.mark.parametrize("mask_resize", ["area", "nearest"])
def test_masks_shrink_as_the_data_set_says(tmp_path: Path, mask_resize: Literal["area", "nearest"]) -> None:
    mask = (noise(5) > 127).astype(np.uint8)
    tar_of(tmp_path / "a.tar.gz", {"a.png": encoded(noise(0)), "a_mask.png": encoded(mask * 255)})
    records = [Record("a", Member("a.tar.gz", "a.png"), (Member("a.tar.gz", "a_mask.png"),))]
    decoded = decode_records(records, tmp_path, tmp_path, coding(mask_resize=mask_resize), threads=1)
    expected = {"area": resize_classes(mask, (20, 20)), "nearest": nearest_classes(mask, (20, 20))}
    assert not np.array_equal(expected["area"], expected["nearest"])
    assert decoded.masks is not None
    assert np.array_equal(decoded.masks[0], expected[mask_resize])


def test_colour_pictures_without_masks_make_one_array(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    tar_of(tmp_path / "a.tar.gz", {"a.png": encoded(colours), "b.png": encoded(noise(0))})
    records = [Record(name, Member("a.tar.gz", f"{name}.png")) for name in "ab"]
    decoded = decode_records(records, tmp_path, tmp_path, coding(channels=3, classes=0), threads=1)
    assert decoded.masks is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz", "images.npy"]
    assert np.array_equal(decoded.images[0], resize_image(colours, (20, 20)))
    assert np.array_equal(decoded.images[1], resize_image(np.dstack([noise(0)] * 3), (20, 20)))
    shown = [(slice(None), slice(None)), (slice(5), slice(3))]
    write_histograms(decoded.images, shown, tmp_path / "histograms.npy")
    luminance = [cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2GRAY) for image in decoded.images]
    for found, levels, region in zip(np.load(tmp_path / "histograms.npy"), luminance, shown, strict=True):
        assert found.tolist() == np.bincount(levels[region].ravel(), minlength=256).tolist()


def test_several_masks_of_an_image_are_united(tmp_path: Path) -> None:
    left, right = square(), np.fliplr(square()).copy()
    tar_of(
        tmp_path / "a.tar.gz", {"b_mask_1.png": encoded(right), "b.png": encoded(noise(0)), "b_mask.png": encoded(left)}
    )
    masks = (Member("a.tar.gz", "b_mask.png"), Member("a.tar.gz", "b_mask_1.png"))
    records = [Record("b", Member("a.tar.gz", "b.png"), masks)]
    decoded = decode_records(records, tmp_path, tmp_path, coding(), threads=1)
    assert decoded.masks is not None
    assert np.array_equal(decoded.masks[0], resize_classes((left | right) // 255, (20, 20)))


def test_a_record_needs_no_mask_and_a_blank_one_may_be_the_truth(tmp_path: Path) -> None:
    tar_of(
        tmp_path / "a.tar.gz",
        {"cat.png": encoded(noise(0)), "n.png": encoded(noise(1)), "m.png": encoded(square() * 0)},
    )
    cat, normal, mask = (Member("a.tar.gz", name) for name in ("cat.png", "n.png", "m.png"))
    records = [
        Record("cat", cat),
        Record("n", normal, (mask,), blank_mask="expected"),
        Record("x", normal._replace(name="x.png")),
    ]
    decoded = decode_records(records, tmp_path, tmp_path, coding(), threads=1)
    findings, usable = row_findings(records, decoded)
    assert usable.tolist() == [True, True, False]
    assert [(finding.file, finding.finding) for finding in findings] == [("x.png", "unreadable")]


def test_look_ahead_is_bounded_by_memory_and_the_order_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "bakeoff.datasets.preparation.arrays.DECODING_BYTES", 1
    )  # every picture is too large: one at a time
    tar_of(tmp_path / "a.tar.gz", {f"{n}.png": encoded(noise(n)) for n in range(9)})
    records = [Record(str(n), Member("a.tar.gz", f"{n}.png")) for n in range(9)]
    decoded = decode_records(records, tmp_path, tmp_path, coding(), threads=4)
    assert list(decoded.pictures) == list(range(9))


# -- the whole stage --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic X-rays, prepared."""
    tmp_path = tmp_path_factory.mktemp("road")
    raw = tmp_path / "raw"
    raw.mkdir()
    synthetic.write(raw, images=60, size=96, seed=3)
    (raw / "source.json").write_text(json.dumps({"files": [{"name": ARCHIVE, "official": False}], "synthetic": True}))
    return prepared_from(tmp_path, raw, size=64)[0]


def test_every_planted_fault_is_found_and_has_its_consequence(road: Path) -> None:
    audit = pd.read_csv(road / "audit.csv", keep_default_na=False)
    found = audit.groupby(["finding", "consequence"]).size().to_dict()
    assert found == {
        ("missing mask", "dropped"): 2,
        ("unreadable", "dropped"): 1,
        ("blank mask", "dropped"): 1,
        ("exact duplicate", "dropped"): 1,
        ("near-duplicate", "kept"): 1,
        ("wrong mode", "converted"): 2,
        ("odd size", "kept"): 1,
    }
    about = json.loads((road / "dataset.json").read_text())
    assert about["counts"]["listed"] == 60
    assert about["counts"]["dropped"] == (audit["consequence"] == "dropped").sum() == 5
    assert audit["file"].str.endswith(".png").all()


def test_the_arrays_fit_the_index(road: Path) -> None:
    prepared = open_prepared(road)
    count = len(prepared.index)
    assert (prepared.images.shape, prepared.images.dtype) == ((count, 64, 64, 1), np.uint8)
    assert (prepared.true_masks().shape, prepared.true_masks().dtype) == ((count, 64, 64), np.uint8)
    assert (prepared.histograms.shape, prepared.histograms.dtype) == ((count, 256), np.uint32)
    for image, mask, histogram in zip(prepared.images, prepared.true_masks(), prepared.histograms, strict=True):
        assert np.array_equal(histogram, np.bincount(image.ravel(), minlength=256))
        assert np.unique(mask).tolist() == [0, 1]


def test_every_row_is_the_picture_that_its_source_names(road: Path) -> None:
    prepared = open_prepared(road)
    with zipfile.ZipFile(road.parent / "raw" / ARCHIVE) as archive:
        for position, row in prepared.index.iterrows():
            pixels = decode(archive.read(row["source"]), 1).pixels
            assert pixels.shape[:2] == (row["original_height"], row["original_width"])
            assert np.array_equal(resize_image(pixels, (64, 64)), prepared.images[position])
            mask = row["source"].replace(IMAGES, MASKS)
            mask = mask.replace(".png", "_mask.png") if row["hospital"] == "shenzhen" else mask
            classes = decode(archive.read(mask), 1).pixels[..., 0] // 255
            assert np.array_equal(resize_classes(classes, (64, 64)), prepared.true_masks()[position])


def test_the_index_and_the_description_are_as_promised(road: Path) -> None:
    prepared = open_prepared(road)
    labels = ["hospital", "diagnosis"]
    sizes = ["original_height", "original_width"]
    assert prepared.index.columns.tolist() == ["id", "group", *labels, "source", *sizes]
    assert prepared.index["id"].is_monotonic_increasing
    assert prepared.classes == ["background", "lung"]
    assert prepared.strata == labels
    about = prepared.about
    assert set(about) == {
        "name", "title", "classes", "background", "objects", "channels", "targets", "strata", "size", "counts",
        "geometry", "published", "provenance", "licence", "citation", "synthetic", "source",
        "page", "hub", "patients",
    }  # fmt: skip
    assert about["targets"] == ["diagnosis"]
    assert (about["geometry"], about["size"]) == ("stretch", [64, 64])
    assert about["published"] == lungs.PUBLISHED
    assert about["synthetic"] is True
    assert (about["page"], about["hub"], about["patients"]) == (lungs.PAGE, None, True)
    assert about["provenance"]["files"] == [{"name": ARCHIVE, "official": False}]
    assert set(about["counts"]) == {"listed", "used", "dropped", "by_label"}
    for label in labels:
        assert about["counts"]["by_label"][label] == prepared.index[label].value_counts().to_dict()


def test_near_duplicates_share_a_group(road: Path) -> None:
    index = open_prepared(road).index
    (pair,) = [rows for _, rows in index.groupby("group") if len(rows) > 1]
    assert pair["group"].iloc[0] == pair["id"].min()
    alone = index.drop(pair.index)
    assert alone["group"].tolist() == alone["id"].tolist()


def digest_of(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_the_number_of_threads_changes_no_byte(road: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    again, _ = prepared_from(tmp_path, road.parent / "raw", size=64)
    assert digest_of(again) == digest_of(road)


def test_contradicting_duplicates_both_go(tmp_path: Path) -> None:
    images = {f"CHNCXR_{n:04d}_0": encoded(noise(n)) for n in range(10)} | {"CHNCXR_0010_1": encoded(noise(3))}
    folder, audit = prepared_from(tmp_path, raw_of(tmp_path, x_rays(images)))
    assert (audit["finding"] == "contradicting duplicate").sum() == 2
    assert not {"CHNCXR_0003_0", "CHNCXR_0010_1"} & set(open_prepared(folder).index["id"])


def test_a_duplicate_of_an_unusable_image_is_used(tmp_path: Path) -> None:
    images = {f"CHNCXR_{n:04d}_0": encoded(noise(max(n, 1))) for n in range(10)}
    raw = raw_of(tmp_path, x_rays(images, {"CHNCXR_0000_0": encoded(square() * 0)}))
    folder, audit = prepared_from(tmp_path, raw)
    assert audit["finding"].tolist() == ["blank mask"]
    assert "CHNCXR_0001_0" in set(open_prepared(folder).index["id"])


def test_masks_of_another_size_are_stretched_or_refused(tmp_path: Path) -> None:
    images = {f"CHNCXR_{n:04d}_0": encoded(noise(n)) for n in range(10)}
    masks = {"CHNCXR_0000_0": encoded(square(80, 100)), "CHNCXR_0001_0": encoded(square(50, 40))}
    folder, audit = prepared_from(tmp_path, raw_of(tmp_path, x_rays(images, masks)))
    assert audit[["finding", "consequence"]].to_numpy().tolist() == [
        ["size mismatch", "converted"],
        ["size mismatch", "dropped"],
    ]
    prepared = open_prepared(folder)
    assert len(prepared.index) == 9
    assert np.array_equal(prepared.true_masks()[0], prepared.true_masks()[1])


def test_enlarged_images_and_a_short_count_are_told_once(tmp_path: Path) -> None:
    images = {f"CHNCXR_{n:04d}_0": encoded(noise(n)) for n in range(10)}
    _, audit = prepared_from(tmp_path, raw_of(tmp_path, x_rays(images), synthetic=False), size=48)
    assert audit[["file", "finding", "detail"]].to_numpy().tolist() == [
        [ARCHIVE, "small images", "10 of 10 images have a side below 48 x 48 pixels and are enlarged"],
        [ARCHIVE, "unexpected count", "10 images are listed, 800 were published"],
        [ARCHIVE, "unexpected count", "0 images have hospital montgomery, 138 were published"],
        [ARCHIVE, "unexpected count", "10 images have hospital shenzhen, 566 were published"],
    ]


def test_a_short_count_in_official_bytes_is_an_error(tmp_path: Path) -> None:
    members = x_rays({f"CHNCXR_{n:04d}_0": encoded(noise(n)) for n in range(10)})
    with pytest.raises(BakeoffError, match=rf"{ARCHIVE} is not what was published: 10 images are listed, 800 were"):
        prepared_from(tmp_path, raw_of(tmp_path, members, synthetic=False, official=True))
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_synthetic_archives_need_not_hold_what_was_published(tmp_path: Path) -> None:
    members = x_rays({f"CHNCXR_{n:04d}_0": encoded(noise(n)) for n in range(10)})
    _, audit = prepared_from(tmp_path, raw_of(tmp_path, members, synthetic=True))
    assert audit.empty


@pytest.mark.parametrize(("in_rgb", "lines"), [(20, 20), (21, 1)], ids=["half of them", "more than half"])
def test_what_most_images_need_is_one_line(tmp_path: Path, in_rgb: int, lines: int) -> None:
    images = {
        f"CHNCXR_{n:04d}_0": encoded(Image.fromarray(noise(n)).convert("RGB" if n < in_rgb else "L")) for n in range(40)
    }
    _, audit = prepared_from(tmp_path, raw_of(tmp_path, x_rays(images)))
    assert audit[["finding", "consequence"]].to_numpy().tolist() == [["wrong mode", "converted"]] * lines
    if lines == 1:
        assert audit[["file", "detail"]].to_numpy().tolist() == [[ARCHIVE, "RGB to L, 21 of 40 images"]]
    else:
        assert audit["file"].tolist() == [f"{IMAGES}CHNCXR_{n:04d}_0.png" for n in range(in_rgb)]


def test_what_few_images_need_is_told_of_each_even_if_all_do(tmp_path: Path) -> None:
    images = {f"CHNCXR_{n:04d}_0": encoded(Image.fromarray(noise(n)).convert("RGB")) for n in range(20)}
    _, audit = prepared_from(tmp_path, raw_of(tmp_path, x_rays(images)))
    assert audit["file"].tolist() == [f"{IMAGES}{name}.png" for name in images]


def test_what_most_masks_need_is_a_line_of_its_own(tmp_path: Path) -> None:
    images = {f"CHNCXR_{n:04d}_0": encoded(Image.fromarray(noise(n)).convert("RGB")) for n in range(30)}
    masks = dict.fromkeys(images, encoded(Image.fromarray(square(80, 100)).convert("RGB")))
    _, audit = prepared_from(tmp_path, raw_of(tmp_path, x_rays(images, masks)))
    sizes = "the mask has 100 x 80 pixels, the image 50 x 40"
    assert audit.to_numpy().tolist() == [
        [ARCHIVE, "wrong mode", "converted", "RGB to L, 30 of 30 images"],
        [ARCHIVE, "wrong mode", "converted", "RGB to L, 30 of 30 masks"],
        [ARCHIVE, "size mismatch", "converted", f"{sizes}, 30 of 30 masks"],
    ]


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({}, "has no usable image"),
        ({f"{IMAGES}CHNCXR_0001_0.png": b""}, "has no usable image"),
        (x_rays({"CHNCXR_0001_0": b"x"}), "none of 1 images can be used; the first: .*CHNCXR_0001_0.png, unreadable"),
    ],
    ids=["empty", "no mask", "unreadable"],
)
def test_nothing_usable_is_one_sentence_and_leaves_nothing(tmp_path: Path, members: dict, words: str) -> None:
    raw = raw_of(tmp_path, members)
    with pytest.raises(BakeoffError, match=words):
        prepared_from(tmp_path, raw)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_what_was_prepared_before_survives_a_failure(road: Path, tmp_path: Path) -> None:
    folder = tmp_path / "prepared"
    folder.mkdir()
    (folder / "index.csv").write_text("before")
    with pytest.raises(BakeoffError, match=r"cannot be opened|none of|has no usable image"):
        prepared_from(tmp_path, raw_of(tmp_path, {}))
    assert (folder / "index.csv").read_text() == "before"
    prepared_from(tmp_path, road.parent / "raw", size=32)
    assert len(open_prepared(folder).index) > 1


def test_a_full_disk_is_one_sentence_and_leaves_nothing(road: Path, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # no file may be larger, which the system reports alike
    try:
        with pytest.raises(BakeoffError, match=r"prepared cannot be written, the disk is full .*: make room"):
            prepared_from(tmp_path, road.parent / "raw", size=64)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_archive_and_a_missing_description_are_one_sentence(tmp_path: Path) -> None:
    raw = raw_of(tmp_path, {})
    (raw / ARCHIVE).unlink()
    with pytest.raises(BakeoffError, match=ARCHIVE):
        prepared_from(tmp_path, raw)
    (raw / "source.json").unlink()
    with pytest.raises(BakeoffError, match=r"source\.json"):
        prepared_from(tmp_path, raw)


MEASURE = """
import sys
from pathlib import Path
import numpy as np
from bakeoff.datasets.sources.lungs import classes_of, listing
from bakeoff.artefacts.geometry import Geometry
from bakeoff.datasets.preparation.arrays import Coding, decode_records
raw = Path(sys.argv[1])
coding = Coding(Geometry("stretch", 16, 16), 1, 2, "area", classes_of)
decode_records(listing(raw).records, raw, raw, coding, threads=12)
print(int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024)
"""


def test_memory_stays_under_a_gibibyte_however_many_large_pictures(tmp_path: Path) -> None:
    picture = encoded(Image.new("RGB", (6000, 5000), "gray"), compress_level=1)
    images = {f"CHNCXR_{n:04d}_0": picture for n in range(12)}
    raw = raw_of(tmp_path, x_rays(images))
    command = [sys.executable, "-c", MEASURE, str(raw)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1024  # with all twelve threads at work it would be twice that


GROWTH = """
import sys
from pathlib import Path
from bakeoff.datasets.sources.catsdogs import classes_of, listing
from bakeoff.artefacts.geometry import Geometry
from bakeoff.datasets.preparation.arrays import Coding, decode_records
def memory():
    return int(Path("/proc/self/status").read_text().split("RssAnon:")[1].split()[0]) / 1024
raw, before = Path(sys.argv[1]), memory()
coding = Coding(Geometry("stretch", 224, 224), 3, 0, "nearest", classes_of)
decode_records(listing(raw).records, raw, raw, coding, threads=1)
print(memory() - before)
"""


def test_memory_does_not_grow_with_the_number_of_pictures(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (375, 500, 3), np.uint8)
    pictures = [encoded(pixels, "JPEG", quality=quality) for quality in range(30, 70)]
    with zipfile.ZipFile(tmp_path / catsdogs.FILES[0].name, "w") as archive:
        for number in range(1200):
            archive.writestr(f"PetImages/Cat/{number}.jpg", pictures[number * 7 % 40])
    done = subprocess.run([sys.executable, "-c", GROWTH, str(tmp_path)], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 32  # MiB; twice that where what is kept of each lies between the freed buffers


def darker_than_surroundings(image: np.ndarray, mask: np.ndarray) -> bool:
    """Whether the lungs are darker than what is up to 8 pixels around them, in the middle of the chest."""
    around = (cv2.dilate(mask, np.ones((17, 17), np.uint8)) > mask)[:, 48:144]
    middle = image[:, 48:144, 0]
    return bool(middle[mask[:, 48:144] == 1].mean() < middle[around].mean())


@pytest.mark.real
def test_the_real_x_rays(mirror: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / ARCHIVE).symlink_to(mirror / ARCHIVE)
    (raw / "source.json").write_text(json.dumps({"files": [{"official": False}], "synthetic": False}))
    folder, audit = prepared_from(tmp_path, raw, size=192)
    prepared = open_prepared(folder)
    counts = prepared.about["counts"]
    assert (counts["listed"], counts["used"], counts["dropped"]) == (800, 704, 96)
    assert counts["by_label"] == {
        "hospital": {"montgomery": 138, "shenzhen": 566},
        "diagnosis": {"normal": 359, "tuberculosis": 345},
    }
    assert audit.groupby(["finding", "consequence"]).size().to_dict() == {
        ("missing mask", "dropped"): 96,
        ("near-duplicate", "kept"): 2,
    }
    masks = prepared.true_masks()
    assert 0.15 < masks[:].mean() < 0.35
    # Lungs are darker than the tissue around them, where image and mask belong together.
    assert np.mean([darker_than_surroundings(*pair) for pair in zip(prepared.images, masks, strict=True)]) > 0.97
    shifted = zip(prepared.images, np.roll(masks, 24, axis=2), strict=True)
    assert np.mean([darker_than_surroundings(*pair) for pair in shifted]) < 0.5
