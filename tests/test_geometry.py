"""Geometry of images: stretched, padded, cropped, in windows; from the file to the score and back."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from bakeoff.adding.geometry import parse_size, propose_geometry, windows_an_image
from bakeoff.adding.looking import Looked
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.geometry import Geometry, Kind, geometry, geometry_of
from bakeoff.artefacts.mask_score import mask_score
from bakeoff.artefacts.predictions import read_predictions, write_predictions
from bakeoff.artefacts.prepared import Prepared, open_prepared
from bakeoff.artefacts.ragged import Ragged, allocate_arrays, open_arrays, shapes_of, write_arrays
from bakeoff.artefacts.void import VOID
from bakeoff.artefacts.windows import blended_classes, central, cut, grid, starts
from bakeoff.baselines.threshold_experiment import threshold
from bakeoff.baselines.thresholds import THRESHOLDS
from bakeoff.config.schema import Folder
from bakeoff.datasets.folders.prepare import prepare_folder
from bakeoff.datasets.preparation.decode import Header, frame_classes, frame_image, nearest_classes
from bakeoff.inference.predictors import ThresholdPredictor
from bakeoff.tasks.scoring import score
from bakeoff.training.examples import windows_of
from bakeoff.training.objective import segmentation
from PIL import Image

DATA = Path(__file__).parent / "data"


@pytest.mark.parametrize(
    ("kind", "scaled", "shown", "seen"),
    [
        ("stretch", (8, 8), (slice(None), slice(None)), (slice(0, 10), slice(0, 20))),
        ("pad", (4, 8), (slice(2, 6), slice(0, 8)), (slice(0, 10), slice(0, 20))),
        ("crop", (8, 16), (slice(None), slice(None)), (slice(0, 10), slice(5, 15))),
        ("tile", (10, 20), (slice(None), slice(None)), (slice(0, 10), slice(0, 20))),
    ],
)
def test_what_is_made_of_10_by_20_pixels_where_8_by_8_are_wanted(
    kind: Kind, scaled: tuple[int, int], shown: Any, seen: Any
) -> None:
    made = Geometry(kind, 8, 8)
    assert made.scaled(10, 20) == scaled
    assert (made.shown(10, 20), made.seen(10, 20)) == (shown, seen)


def test_pads_are_outside_and_crops_leave_the_middle() -> None:
    mask = np.array([[1, 1, 2, 2]] * 2, np.uint8)
    assert frame_classes(mask, Geometry("pad", 4, 4)).tolist() == [
        [VOID] * 4, [1, 1, 2, 2], [1, 1, 2, 2], [VOID] * 4,
    ]  # fmt: skip
    assert frame_classes(mask, Geometry("crop", 2, 2)).tolist() == [[1, 2]] * 2
    image = np.full((2, 4, 1), 9, np.uint8)
    assert frame_image(image, Geometry("pad", 4, 4))[..., 0].tolist() == [[0] * 4, [9] * 4, [9] * 4, [0] * 4]
    assert frame_image(image, Geometry("tile", 3, 3)) is image


@pytest.mark.parametrize("kind", ["stretch", "pad", "crop", "tile"])
@pytest.mark.parametrize("size", [(30, 50), (47, 13), (16, 16)])
@pytest.mark.parametrize("frame", [(16, 16), (24, 16)])
def test_a_mask_comes_back_at_the_size_of_its_image(kind: Kind, size: tuple[int, int], frame: tuple[int, int]) -> None:
    made = Geometry(kind, *frame)
    mask = np.zeros(size, np.uint8)
    mask[: size[0] // 2] = 1  # the upper half
    framed = frame_classes(mask, made)
    assert framed.shape == made.framed_size(*size)
    back = made.restored(framed, *size, nearest_classes)
    assert back.shape == size
    rows, columns = made.seen(*size)
    assert (back[rows, columns] != VOID).all()
    assert np.mean(back[rows, columns] != mask[rows, columns]) <= 2 / frame[0]  # a row of pixels, by rounding
    back[rows, columns] = VOID
    assert (back == VOID).all(), "what was cut off has no answer"


def test_predictions_of_pads_are_void() -> None:
    made = Geometry("pad", 4, 4)
    assert made.without_pads(np.ones((4, 4), np.uint8), 2, 4).tolist() == [[VOID] * 4, [1] * 4, [1] * 4, [VOID] * 4]
    assert Geometry("stretch", 4, 4).without_pads(np.ones((4, 4), np.uint8), 2, 4).all()


def test_sizes_of_the_configuration() -> None:
    assert geometry("pad", 8) == geometry("pad", [8, 8]) == Geometry("pad", 8, 8)
    assert geometry_of({"geometry": "tile", "size": [8, 16]}) == Geometry("tile", 8, 16)
    assert Geometry("stretch", 8, 8).enlarges(4, 20)
    assert not Geometry("pad", 8, 8).enlarges(8, 20)


# Arrays of different sizes


def test_arrays_of_different_sizes_are_read_as_they_were_written(tmp_path: Path) -> None:
    arrays = [np.full((height, height + 1), height, np.uint8) for height in (3, 1, 4)]
    write_arrays(tmp_path / "masks.npy", arrays)
    found = open_arrays(tmp_path / "masks.npy")
    assert isinstance(found, Ragged)
    assert (len(found), found.dtype, shapes_of(found)) == (3, np.uint8, [(3, 4), (1, 2), (4, 5)])
    assert [each.tolist() for each in found] == [each.tolist() for each in arrays]
    some = found[np.array([2, 0])]
    assert [each.tolist() for each in some] == [arrays[2].tolist(), arrays[0].tolist()]
    assert [each.shape for each in found[:2]] == [(3, 4), (1, 2)]
    assert np.array_equal(found[-1], arrays[-1])


def test_arrays_of_one_size_are_one_array(tmp_path: Path) -> None:
    write_arrays(tmp_path / "masks.npy", [np.zeros((2, 3), np.uint8)] * 4)
    assert np.load(tmp_path / "masks.npy").shape == (4, 2, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["masks.npy"]
    assert isinstance(allocate_arrays(tmp_path / "x.npy", np.uint8, [(2, 3), (3, 2)]), Ragged)


# Windows


@pytest.mark.parametrize(
    ("length", "expected"), [(5, [0]), (8, [0]), (9, [0, 1]), (14, [0, 6]), (20, [0, 6, 12]), (21, [0, 6, 12, 13])]
)
def test_windows_cover_an_axis_and_end_with_it(length: int, expected: list[int]) -> None:
    assert starts(length, 8, 6) == expected


def test_windows_of_an_image_are_cut_and_filled() -> None:
    made = Geometry("tile", 4, 4)
    assert grid(4, 10, made) == [(0, 0), (0, 4), (0, 6)]
    assert len(grid(8, 8, made, 0.25)) == 9
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert cut(image, made, 0, 2, VOID).tolist() == [
        [2, 3, VOID, VOID], [6, 7, VOID, VOID], [10, 11, VOID, VOID], [VOID] * 4,
    ]  # fmt: skip
    assert central(np.arange(36).reshape(6, 6), made)[0].tolist() == [7, 8, 9, 10]


def position_dependent(windows: np.ndarray) -> np.ndarray:
    """Probabilities of three classes that depend on a pixel and on its place in the window."""
    _, height, width, _ = windows.shape
    levels = windows[..., 0].astype(np.float32) / 255
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    columns = np.linspace(0, 1, width, dtype=np.float32)[None]
    logits = np.stack([levels * 2 + rows, 1.5 - levels + columns, 1.2 + 0 * levels + rows * columns], axis=1)
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("case", json.loads((DATA / "windows-monai.json").read_text())["cases"], ids=str)
def test_blended_windows_are_those_of_monai(case: dict[str, Any]) -> None:
    height, width = case["image"]
    image = np.random.default_rng(height).integers(0, 256, (height, width, 1), np.uint8)
    found = blended_classes(image, Geometry("tile", *case["window"]), 3, position_dependent)
    assert ["".join(map(str, row)) for row in found] == case["classes"]


@pytest.mark.parametrize("size", [(5, 7), (16, 16), (17, 16), (40, 33), (16, 90)])
def test_what_does_not_depend_on_the_window_is_not_changed_by_it(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 1), np.uint8)

    def bright(windows: np.ndarray) -> np.ndarray:
        level = windows[..., 0].astype(np.float32) / 255
        return np.stack([1 - level, level], axis=1)

    found = blended_classes(image, Geometry("tile", 16, 16), 2, bright)
    assert np.array_equal(found, (image[..., 0] >= 128).astype(np.uint8))


def test_memory_of_a_large_image_is_that_of_a_row_of_windows() -> None:
    seen: list[int] = []

    def count(windows: np.ndarray) -> np.ndarray:
        seen.append(len(windows))
        return np.full((len(windows), 2, *windows.shape[1:3]), 0.5, np.float32)

    image = np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (64, 6000, 1), (0, 0, 0))  # no pixel is stored
    assert not blended_classes(image, Geometry("tile", 64, 64), 2, count).any()
    assert (max(seen), sum(seen)) == (16, len(grid(64, 6000, Geometry("tile", 64, 64), 0.25)))


def test_windows_to_learn_from_cover_every_pixel_and_to_choose_by_count_each_once() -> None:
    masks = Ragged(np.ones(6 * 6 + 3 * 5, np.uint8), np.array([[6, 6], [3, 5]]))
    images = Ragged(np.ones(6 * 6 + 3 * 5, np.uint8), np.array([[6, 6, 1], [3, 5, 1]]))
    made = Geometry("tile", 4, 4)
    learned = windows_of(images, masks, np.array([0, 1]), made, once=False)
    assert learned.images.shape == (4 + 2, 1, 4, 4)
    assert learned.masks is not None
    assert learned.sources is not None
    assert learned.sources.tolist() == [0, 0, 0, 0, 1, 1]
    assert (learned.masks == 1).sum() > 51
    chosen = windows_of(images, masks, np.array([0, 1]), made, once=True)
    assert chosen.masks is not None
    assert torch.bincount(torch.repeat_interleave(chosen.sources, 16)[chosen.masks.flatten() == 1]).tolist() == [36, 15]  # type: ignore[arg-type]


def test_the_score_that_keeps_weights_is_of_images_and_not_of_windows() -> None:
    masks = Ragged(
        np.r_[np.ones(8, np.uint8), np.zeros(8, np.uint8), np.ones(16, np.uint8)], np.array([[4, 4], [4, 4]])
    )
    images = Ragged(np.zeros(32, np.uint8), np.array([[4, 4, 1], [4, 4, 1]]))
    windows = windows_of(images, masks, np.array([0, 1]), Geometry("tile", 2, 4), once=True)
    objective = segmentation(windows, ["background", "cell"], score=mask_score(None, ["background", "cell"], 0))
    logits = torch.ones(4, 1, 2, 4)  # all is cell
    measured = objective.measured(logits, windows)
    # Dice 2 * 8 / (16 + 8) and 1; the mean over windows would be (1 + 0 + 1 + 1) / 4.
    assert objective.score(measured, windows) == pytest.approx((2 / 3 + 1) / 2)


# Data sets, scores and predictions


def write_folder(root: Path, sizes: list[tuple[int, int]]) -> None:
    """Bright squares on grey, whose masks are known."""
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for place, (height, width) in enumerate(sizes):
        mask = np.zeros((height, width), np.uint8)
        top, left = rng.integers(2, height // 2), rng.integers(2, width // 2)
        mask[top : top + height // 3, left : left + width // 3] = 255
        pixels = np.where(mask > 0, 200, 90) + rng.integers(0, 20, mask.shape)
        Image.fromarray(pixels.astype(np.uint8)).save(root / "images" / f"{place:02}.png")
        Image.fromarray(mask).save(root / "masks" / f"{place:02}.png")


def prepared(root: Path, **stated: Any) -> Prepared:
    entry = {
        **{"path": str(root), "format": "pairs", "images": "images/{id}", "masks": "masks/{id}", "channels": 1},
        **{"classes": ["background", "square"], "duplicates": {"distance": 0}, "size": 16, **stated},
    }
    checked = Folder(**entry)
    prepare_folder("mine", {**checked.model_dump(), "classes": checked.class_values}, root.parent / "prepared")
    return open_prepared(root.parent / "prepared")


SIZES = [(20, 40), (40, 20), (32, 32), (24, 48), (50, 30), (28, 28)]


@pytest.fixture
def mine(tmp_path: Path) -> Callable[..., Prepared]:
    write_folder(tmp_path / "mine", SIZES)
    return lambda **stated: prepared(tmp_path / "mine", **stated)


def test_a_padded_data_set_holds_no_pad_anywhere(mine: Callable[..., Prepared]) -> None:
    data = mine(geometry="pad", size=[16, 32])
    assert data.images.shape == (6, 16, 32, 1)  # type: ignore[union-attr]
    assert (data.geometry, data.about["size"]) == (Geometry("pad", 16, 32), [16, 32])
    masks = data.true_masks()
    for row in range(6):
        region = data.region(row)
        inside = np.zeros((16, 32), bool)
        inside[region] = True
        assert (masks[row][inside] != VOID).all()
        assert (masks[row][~inside] == VOID).all()
        assert data.histograms[row].sum() == inside.sum(), "thresholds see no pad"
        assert data.shown(row).min() >= 85
    assert data.region(1) == (slice(0, 16), slice(12, 20))


def test_an_image_in_windows_keeps_its_size(mine: Callable[..., Prepared]) -> None:
    data = mine(geometry="tile")
    assert [image.shape[:2] for image in data.images] == SIZES
    assert [mask.shape for mask in data.true_masks()] == SIZES
    assert data.histograms.sum(axis=1).tolist() == [height * width for height, width in SIZES]


@pytest.mark.parametrize("kind", ["stretch", "pad", "crop", "tile"])
def test_a_threshold_finds_the_squares_and_predict_answers_the_same(
    kind: str, mine: Callable[..., Prepared], tmp_path: Path
) -> None:
    data = mine(geometry=kind, size=[16, 24])
    ids = data.index["id"].tolist()
    parts = ["train", "validation", *["test"] * 4]
    pd.DataFrame({"fold": 0, "id": ids, "split": parts}).to_csv(tmp_path / "mine.csv", index=False)
    settings = {"method": "otsu", "foreground": "bright", "score": None}
    threshold("otsu", settings, data.folder, tmp_path / "mine.csv", tmp_path / "predictions")
    (tmp_path / "scores").mkdir()
    found = score(
        *("otsu", None, data.folder, tmp_path / "mine.csv", tmp_path / "predictions", tmp_path / "scores"), resamples=50
    )
    assert found["dice"]["mean"] > 0.95  # of pixels half covered a threshold takes all, a mask every other
    common = {"experiment": "otsu", "dataset": "mine", "task": "mine", "note": "", "levels": None, "target": None}
    predictor = ThresholdPredictor(
        **{
            **common,
            "classes": data.classes,
            "mask_classes": data.classes,
            "background": 0,
            "seed": None,
            "fold": None,
        },
        **{"geometry": data.geometry, "channels": 1, "upright": False, "foreground": 1, "index": 1},
        find=lambda counts: THRESHOLDS["otsu"](counts)[:, None],
    )
    masks = read_predictions(tmp_path / "predictions").masks[0]
    files = [tmp_path / "mine" / "images" / f"{row:02}.png" for row in range(2, 6)]
    pixels = [np.asarray(Image.open(file))[..., None] for file in files]
    pictures = [frame_image(each, data.geometry) for each in pixels]
    answers = predictor.predict(pictures, [each.shape[:2] for each in pixels])
    for answer, mask in zip(answers, masks, strict=True):
        assert answer.mask is not None
        assert np.array_equal(answer.mask, mask)
        assert sum(answer.areas(data.classes).values()) == pytest.approx(1)


def test_scores_do_not_know_of_pads(mine: Callable[..., Prepared], tmp_path: Path) -> None:
    """Neither do the room for distances nor the width of a boundary's band grow with the frame."""
    data = mine(geometry="pad", size=[16, 64])
    ids = data.index["id"].tolist()
    pd.DataFrame({"fold": 0, "id": ids, "split": ["train", "validation", *["test"] * 4]}).to_csv(
        tmp_path / "mine.csv", index=False
    )
    nothing = [data.without_pads(np.zeros((16, 64), np.uint8), row) for row in range(2, 6)]
    write_predictions(tmp_path / "predictions", ids[2:], {0: nothing})
    (tmp_path / "scores").mkdir()
    score(
        *("none", None, data.folder, tmp_path / "mine.csv", tmp_path / "predictions", tmp_path / "scores"), resamples=50
    )
    table = pd.read_csv(tmp_path / "scores" / "scores.csv")
    for row, longest in zip(range(2, 6), table["hd95"], strict=True):
        height, width = data.true_masks()[row][data.region(row)].shape
        assert longest == pytest.approx(np.hypot(height, width), abs=1.5)


@pytest.mark.parametrize("kind", ["pad", "tile"])
def test_a_mask_of_half_the_resolution_lies_where_its_image_does(kind: str, tmp_path: Path) -> None:
    write_folder(tmp_path / "mine", [(999, 1500), (1000, 1000)])
    for file in (tmp_path / "mine" / "masks").iterdir():
        mask = Image.open(file)
        mask.resize((mask.width // 2, mask.height // 2 + 1), Image.Resampling.NEAREST).save(file)
    data = prepared(tmp_path / "mine", geometry=kind, size=256)
    for row in range(2):
        region = data.region(row)
        mask = data.true_masks()[row]
        assert mask.shape == data.images[row].shape[:2]
        assert (mask[region] != VOID).all()
        assert (mask == VOID).sum() == mask.size - mask[region].size, "pads alone are void"


def test_what_cropping_leaves_of_a_mask_may_be_empty(tmp_path: Path) -> None:
    write_folder(tmp_path / "mine", [(40, 80)] * 4)
    mask = np.zeros((40, 80), np.uint8)
    mask[:, :10] = 255  # at the edge that is cut off
    Image.fromarray(mask).save(tmp_path / "mine" / "masks" / "00.png")
    data = prepared(tmp_path / "mine", geometry="crop", size=32)
    assert data.index["id"].tolist() == ["00", "01", "02", "03"]
    assert not data.true_masks()[0].any()


# Proposals of `add`


def test_images_that_are_turned_have_their_turned_sides() -> None:
    lying = Header(400, 300, "JPEG, RGB", 8, 3, 6)
    looked = Looked(1, {"a.jpg": lying}, 0, 0, {}, {})
    assert looked.shapes(upright=True) == [(400, 300)]
    assert looked.shapes(upright=False) == [(300, 400)]


@pytest.mark.parametrize(
    ("sizes", "masks", "objects", "expected", "size"),
    [
        ([(180, 240)] * 3, True, False, Geometry("stretch", 144, 192), [144, 192]),
        ([(64, 64)] * 3, True, False, Geometry("stretch", 64, 64), 64),
        ([(90, 100), (100, 90)], False, False, Geometry("stretch", 128, 128), 128),
        ([(90, 100), (100, 90)], True, False, Geometry("pad", 128, 128), 128),
        ([(100, 300), (300, 100)], False, False, Geometry("pad", 192, 192), 192),
        ([(100, 100), (300, 300)], True, True, Geometry("tile", 192, 192), 192),
        ([(300, 300)] * 2, True, True, Geometry("tile", 192, 192), 192),
        ([(100, 100)] * 2, True, True, Geometry("stretch", 128, 128), 128),
    ],
)
def test_what_is_proposed(
    sizes: list[tuple[int, int]], masks: bool, objects: bool, expected: Geometry, size: int | list[int]
) -> None:
    proposed = propose_geometry(sizes, 192, masks=masks, objects=objects)
    assert (proposed.geometry, proposed.size) == (expected, size)


def test_what_is_typed_decides() -> None:
    sizes = [(180, 240)] * 2
    assert propose_geometry(sizes, 192, masks=True, objects=False, size=(50, 60)).geometry == ("stretch", 50, 60)
    assert propose_geometry(sizes, 192, masks=True, objects=False, size=480).geometry == ("stretch", 352, 480)
    assert propose_geometry(sizes, 192, masks=True, objects=False, kind="tile").geometry == ("tile", 192, 192)
    with pytest.raises(BakeoffError, match="--geometry is 'squash': make it one of stretch, pad, crop, tile"):
        propose_geometry(sizes, 192, masks=True, objects=False, kind="squash")
    with pytest.raises(BakeoffError, match="tile, which is for masks"):
        propose_geometry(sizes, 192, masks=False, objects=False, kind="tile")
    assert (parse_size("64"), parse_size("48,64")) == (64, (48, 64))
    for wrong in ("", "x", "8", "64,", "64x64", "64,5000"):
        with pytest.raises(BakeoffError, match="--size is"):
            parse_size(wrong)


def test_windows_are_counted_for_the_estimate() -> None:
    assert windows_an_image([(8, 8), (8, 20)], Geometry("tile", 8, 8)) == (1 + 3) / 2
    assert windows_an_image([(8, 8), (8, 20)], Geometry("pad", 8, 8)) == 1
