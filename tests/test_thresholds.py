"""Thresholds equal scikit-image's, multi-Otsu is optimal, and the choice of the foreground is explicit."""

import itertools
import json
import warnings
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.grey_levels import grey, histogram
from bakeoff.artefacts.predictions import read_predictions
from bakeoff.baselines.foreground import class_dice, class_of_level, fixed_class, foreground_masks
from bakeoff.baselines.multiotsu import multiotsu
from bakeoff.baselines.threshold_experiment import threshold
from bakeoff.baselines.thresholds import THRESHOLDS
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage import filters

# 10 pixels of level 10, 5 of 12, 10 of 200.
STRIPES = np.repeat(np.array([10, 10, 12, 200, 200], np.uint8), 5).reshape(5, 5)
# 10 pixels of level 10, 10 of 12, 5 of 200.
TAIL = np.repeat(np.array([10, 10, 12, 12, 200], np.uint8), 5).reshape(5, 5)
# 2, 6, 3, 1, 3, 8, 2 pixels of the levels 0 to 6: smoothed once, two peaks, at 1 and at 5.
PEAKS = np.repeat(np.arange(7, dtype=np.uint8), [2, 6, 3, 1, 3, 8, 2]).reshape(5, 5)


def of(method: str, *images: np.ndarray) -> np.ndarray:
    return THRESHOLDS[method](np.array([histogram(image) for image in images]))


def skimage_threshold(method: str, image: np.ndarray) -> float:
    """scikit-image's threshold, NaN where it raises that there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return float(getattr(filters, f"threshold_{method}")(image))
        except RuntimeError:
            return float("nan")


def mixtures(count: int, seed: int = 0) -> list[np.ndarray]:
    """Pictures whose grey levels are a few bell curves, as X-rays' are."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        parts = [
            rng.normal(rng.uniform(0, 255), rng.uniform(1, 60), 20 * int(rng.integers(3, 150)))
            for _ in range(rng.integers(1, 5))
        ]
        images.append(np.clip(np.concatenate(parts), 0, 255).astype(np.uint8).reshape(20, -1))
    return images


def uniforms(count: int, seed: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, rng.integers(3, 257), (40, 40)).astype(np.uint8) for _ in range(count)]


@pytest.fixture(scope="module")
def xrays(mirror: Path) -> list[np.ndarray]:
    with zipfile.ZipFile(mirror / "chest-xray-masks-and-labels.zip") as archive:
        names = sorted(name for name in archive.namelist() if "/CXR_png/" in name and name.endswith(".png"))
        return [cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_GRAYSCALE) for name in names[::40]]


# --- histograms ---


def test_histogram_counts_every_level_of_the_whole_picture_or_inside_a_mask() -> None:
    counts = histogram(STRIPES)
    assert counts.shape == (256,)
    assert counts.dtype == np.int64
    assert dict(enumerate(counts[counts > 0])) == {0: 10, 1: 5, 2: 10}
    assert np.flatnonzero(counts).tolist() == [10, 12, 200]
    inside = np.zeros((5, 5), bool)
    inside[2:4, :3] = True
    assert histogram(STRIPES, within=inside)[[10, 12, 200]].tolist() == [0, 3, 3]


def test_grey_takes_one_channel_as_it_is_luma_of_three_and_the_mean_of_others() -> None:
    assert np.array_equal(grey(STRIPES[..., None]), STRIPES)
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 255
    assert grey(red).tolist() == [[76, 76], [76, 76]]  # 0.299 * 255
    assert grey(np.array([[[10, 21]]], np.uint8)).tolist() == [[16]]  # the mean of other channels, rounded


# --- exact answers ---


@pytest.mark.parametrize(
    ("method", "image", "expected"),
    [
        ("otsu", STRIPES, 12),  # no level lies between 12 and 200, and the lowest best threshold counts
        ("isodata", STRIPES, 105),  # (160 / 15 + 200) / 2 = 105.3
        ("mean", STRIPES, 86.4),
        ("triangle", STRIPES, 11),  # the empty level next to the peak lies farthest below the line from peak to tail
        ("yen", TAIL, 12),  # (.8 * .2)**2 / (.32 * .04) = 2 at 12, (.4 * .6)**2 / (.16 * .2) = 1.8 at 10
        ("minimum", PEAKS, 3),
        ("otsu", PEAKS, 3),
    ],
)
def test_literal(method: str, image: np.ndarray, expected: float) -> None:
    assert of(method, image).tolist() == [expected]


def test_li_is_the_logarithmic_mean_of_the_class_means() -> None:
    low, high = 2 * 5 / 15, 190.0  # counted from the darkest level, 10
    assert of("li", STRIPES)[0] == pytest.approx(10 + (high - low) / np.log(high / low), rel=1e-12)


def test_multiotsu_literal() -> None:
    counts = np.array([histogram(STRIPES), histogram(PEAKS)])
    assert multiotsu(counts, 2).tolist() == [[12], [3]]
    assert multiotsu(counts, 3)[0].tolist() == [10, 12]  # one class a level


# --- scikit-image's answers ---


@pytest.mark.parametrize("method", THRESHOLDS)
@pytest.mark.parametrize("images", [mixtures(40), uniforms(40)], ids=["mixtures", "uniform"])
def test_equals_skimage_on_random_images(method: str, images: list[np.ndarray]) -> None:
    np.testing.assert_array_equal(of(method, *images), [skimage_threshold(method, image) for image in images])


@pytest.mark.real
@pytest.mark.parametrize("method", THRESHOLDS)
def test_equals_skimage_on_xrays(method: str, xrays: list[np.ndarray]) -> None:
    np.testing.assert_array_equal(of(method, *xrays), [skimage_threshold(method, image) for image in xrays])


small_images = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8))


@settings(deadline=None, max_examples=150)
@given(small_images)
@example(np.full((5, 5), 7, np.uint8))
@example(np.full((1, 1), 255, np.uint8))
@example(np.array([[0, 255]], np.uint8))
@example(np.array([[3, 4, 4]], np.uint8))
def test_equals_skimage_on_any_small_image(image: np.ndarray) -> None:
    for method in THRESHOLDS:
        np.testing.assert_array_equal(of(method, image), [skimage_threshold(method, image)], err_msg=method)


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_multiotsu_is_skimages_or_better_on_random_images(classes: int) -> None:
    images = mixtures(8 if classes == 4 else 60) + uniforms(4 if classes == 4 else 20)
    counts = np.array([histogram(image) for image in images])
    ours = multiotsu(counts, classes)
    theirs = np.array([filters.threshold_multiotsu(image, classes) for image in images])
    for row, mine, other in zip(counts, ours, theirs, strict=True):
        assert between_class_variance(row, mine) >= between_class_variance(row, other) * (1 - 1e-12)
    # scikit-image takes the darkest level for the next brighter one, which moves its cuts.
    assert np.mean(np.abs(ours - theirs).max(axis=1) <= 1) >= 0.95


def test_multiotsu_of_5_classes_is_within_a_level_of_skimage() -> None:
    image = (mixtures(1, seed=3)[0] // 4).astype(np.uint8)  # 64 levels, since scikit-image searches all cuts
    assert np.abs(multiotsu(histogram(image)[None], 5)[0] - filters.threshold_multiotsu(image, 5)).max() <= 1


def test_multiotsu_takes_the_darkest_level_for_what_it_is_as_skimages_otsu_does_and_its_multiotsu_does_not() -> None:
    image = np.repeat(np.array([0, 6, 8], np.uint8), [1, 12, 12]).reshape(5, 5)
    counts = histogram(image)
    assert multiotsu(counts[None], 2)[0] == filters.threshold_otsu(image) == 0
    assert filters.threshold_multiotsu(image, 2) == 6
    assert between_class_variance(counts, np.array([0])) == pytest.approx(0.04 * 6.72**2 + 0.96 * 0.28**2)
    assert between_class_variance(counts, np.array([6])) < between_class_variance(counts, np.array([0]))


@pytest.mark.real
@pytest.mark.parametrize("classes", [3, 4])
def test_multiotsu_is_within_a_level_of_skimage_on_xrays(classes: int, xrays: list[np.ndarray]) -> None:
    images = xrays if classes == 3 else xrays[:5]
    ours = multiotsu(np.array([histogram(image) for image in images]), classes)
    assert np.abs(ours - [filters.threshold_multiotsu(image, classes) for image in images]).max() <= 1


def darkest_level_moved_up(counts: np.ndarray) -> np.ndarray:
    """Histogram whose darkest pixels are one level brighter, which is how scikit-image's multi-Otsu counts them."""
    moved, darkest = counts.copy(), np.flatnonzero(counts)[0]
    moved[darkest + 1] += moved[darkest]
    moved[darkest] = 0
    return moved


# Of 704 X-rays at 256 x 256, those on which scikit-image is more than a level away with 3 classes.
FAR_FROM_SKIMAGE = (
    "CHNCXR_0414_1",
    "MCUCXR_0040_0",
    "MCUCXR_0075_0",
    "MCUCXR_0081_0",
    "MCUCXR_0316_1",
    "MCUCXR_0334_1",
)


@pytest.mark.real
@pytest.mark.parametrize("name", FAR_FROM_SKIMAGE)
def test_multiotsu_is_better_than_skimage_where_they_differ_on_xrays(name: str, mirror: Path) -> None:
    with zipfile.ZipFile(mirror / "chest-xray-masks-and-labels.zip") as archive:
        data = np.frombuffer(archive.read(f"data/Lung Segmentation/CXR_png/{name}.png"), np.uint8)
    image = cv2.resize(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), (256, 256), interpolation=cv2.INTER_AREA)
    counts = histogram(image)
    ours, theirs = multiotsu(counts[None], 3)[0], filters.threshold_multiotsu(image, 3)
    assert np.abs(ours - theirs).max() > 1
    assert between_class_variance(counts, ours) > between_class_variance(counts, theirs)
    assert np.abs(multiotsu(darkest_level_moved_up(counts)[None], 3)[0] - theirs).max() <= 1


# --- multi-Otsu is exact ---


def between_class_variance(counts: np.ndarray, thresholds: np.ndarray) -> float:
    classes = class_of_level(np.asarray(thresholds, float)[None])[0]
    levels, total = np.arange(256), counts.sum()
    mean = (counts * levels).sum() / total
    parts = [counts[classes == k] for k in range(len(thresholds) + 1)]
    means = [(levels[classes == k] * part).sum() / max(part.sum(), 1) for k, part in enumerate(parts)]
    return sum(part.sum() / total * (centre - mean) ** 2 for part, centre in zip(parts, means, strict=True))


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(st.integers(0, 255), st.integers(1, 1000), min_size=1, max_size=9),
    st.integers(2, 5),
)
def test_multiotsu_is_the_best_of_all_cuts(levels: dict[int, int], classes: int) -> None:
    counts = np.zeros(256, np.int64)
    counts[list(levels)] = list(levels.values())
    thresholds = multiotsu(counts[None], classes)[0]
    assert thresholds.shape == (classes - 1,)
    assert set(thresholds) <= set(levels)
    cuts = itertools.combinations_with_replacement(sorted(levels), classes - 1)
    best = max(between_class_variance(counts, np.array(cut)) for cut in cuts)
    assert between_class_variance(counts, thresholds) == pytest.approx(best, rel=1e-9, abs=1e-9)


def test_multiotsu_with_fewer_levels_than_classes_leaves_the_brightest_classes_empty() -> None:
    counts = np.array([histogram(np.full((2, 2), 9, np.uint8)), histogram(np.array([[1, 1], [8, 8]], np.uint8))])
    thresholds = multiotsu(counts, 4)
    assert thresholds.tolist() == [[9, 9, 9], [1, 8, 8]]
    assert class_of_level(thresholds)[[0, 1, 1], [9, 1, 8]].tolist() == [0, 0, 1]


def test_multiotsu_refuses_one_class() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        multiotsu(np.ones((1, 256)), 1)


# --- flat pictures ---


@given(st.integers(0, 255))
def test_a_constant_picture_is_all_darker_class(level: int) -> None:
    flat = np.full((5, 5), level, np.uint8)
    for method in set(THRESHOLDS) - {"minimum"}:
        assert of(method, flat).tolist() == [level], method
    assert np.isnan(of("minimum", flat)).all()


@settings(deadline=None)
@given(st.integers(0, 254), st.integers(1, 255), st.integers(1, 24))
def test_a_picture_of_two_levels_is_cut_between_them(low: int, step: int, dark: int) -> None:
    high = min(low + step, 255)
    picture = np.repeat(np.array([low, high], np.uint8), [dark, 25 - dark])[None]
    for method in set(THRESHOLDS) - {"minimum", "triangle"}:
        assert low <= of(method, picture)[0] < high, method


# --- the foreground ---


def test_class_of_level_counts_the_thresholds_below() -> None:
    classes = class_of_level(np.array([[10.0, 12.0], [np.nan, np.nan]]))
    assert classes[0, [0, 10, 11, 12, 13, 255]].tolist() == [0, 0, 1, 1, 2, 2]
    assert (classes[1] == -1).all()


def test_foreground_names() -> None:
    assert [fixed_class(name, 4) for name in ("dark", "bright", 0, 3)] == [0, 3, 0, 3]
    for wrong in (4, -1, "grey"):
        with pytest.raises(ValueError, match="is none"):
            fixed_class(wrong, 4)


def test_foreground_masks_take_one_class_and_nothing_without_a_threshold() -> None:
    masks = foreground_masks([STRIPES] * 3, np.array([[11.0], [11.0], [np.nan]]), np.array([0, 1, 0]))
    assert {mask.dtype for mask in masks} == {np.dtype(np.uint8)}
    assert [mask[:, 0].tolist() for mask in masks] == [[1, 1, 0, 0, 0], [0, 0, 1, 1, 1], [0, 0, 0, 0, 0]]


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_class_dice_from_histograms_is_the_dice_of_the_masks(data: st.DataObject) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=6))
    image = data.draw(hnp.arrays(np.uint8, shape))
    truth = data.draw(hnp.arrays(bool, shape))
    thresholds = multiotsu(histogram(image)[None], 3)
    ours = class_dice(thresholds, histogram(image)[None], histogram(image, within=truth)[None])[0]
    for k, found in enumerate(ours):
        mask = foreground_masks([image], thresholds, np.array([k]))[0] > 0
        both_empty = not mask.any() and not truth.any()
        assert found == pytest.approx(1.0 if both_empty else 2 * (mask & truth).sum() / (mask.sum() + truth.sum()))


# --- the stage ---


def write_prepared(folder: Path, images: np.ndarray, masks: np.ndarray, *folds: list[str]) -> Path:
    """Prepared images, and their split beside them, `NAME.csv`: for every fold the part of each image."""
    folder.mkdir()
    np.save(folder / "images.npy", images[..., None])
    np.save(folder / "masks.npy", masks)
    np.save(folder / "histograms.npy", np.array([histogram(image) for image in images], np.uint32))
    ids = [f"x{place}" for place in range(len(images))]
    pd.DataFrame({"id": ids, "group": ids}).to_csv(folder / "index.csv", index=False)
    rows = [(fold, id_, part) for fold, parts in enumerate(folds) for id_, part in zip(ids, parts, strict=True)]
    pd.DataFrame(rows, columns=["fold", "id", "split"]).to_csv(folder.with_suffix(".csv"), index=False)
    about = {"classes": ["background", "lung"], "strata": [], "geometry": "stretch", "size": list(images.shape[1:])}
    (folder / "dataset.json").write_text(json.dumps(about))
    return folder


def run(name: str, settings: dict, prepared: Path, folder: Path) -> None:
    threshold(name, settings, prepared, prepared.with_suffix(".csv"), folder)


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """Dark squares on noise; in the last test image the square is bright."""
    rng = np.random.default_rng(0)
    masks = np.zeros((6, 16, 16), np.uint8)
    masks[:, 4:12, 4:12] = 1
    images = np.where(masks > 0, 60, 180) + rng.integers(-20, 20, masks.shape)
    images[5] = 240 - images[5]
    return write_prepared(
        tmp_path / "prepared", images.astype(np.uint8), masks, ["train", "train", "validation", "test", "test", "test"]
    )


def test_the_class_best_on_the_training_images_is_taken_for_all(prepared: Path, tmp_path: Path) -> None:
    run("squares-otsu", {"method": "otsu", "foreground": "train"}, prepared, tmp_path / "out")
    predictions = read_predictions(tmp_path / "out")
    truth = np.load(prepared / "masks.npy")[3:]
    assert predictions.ids == ["x3", "x4", "x5"]
    assert predictions.table["foreground"].tolist() == ["0", "0", "0"]
    assert np.array_equal(predictions.masks[0][:2], truth[:2])
    assert np.array_equal(predictions.masks[0][2], 1 - truth[2])
    level = float(predictions.table["thresholds"][0])
    assert level == skimage_threshold("otsu", np.load(prepared / "images.npy")[3, ..., 0])
    cost = json.loads((tmp_path / "out" / "cost.json").read_text())
    assert (cost["parameters"], cost["device"]) == (0, "cpu")
    assert cost["training_seconds"] > 0
    assert cost["predict_images_per_second"] > 0
    assert (cost["latency_ms"] > 0, cost["multiply_adds"]) == (True, None)
    assert "training images" in cost["note"]
    assert cost["manifest"]["packages"]["numpy"]


def test_the_oracle_takes_each_test_images_best_class_and_says_so(prepared: Path, tmp_path: Path) -> None:
    run("squares-oracle", {"method": "multiotsu", "classes": 2, "foreground": "oracle"}, prepared, tmp_path)
    predictions = read_predictions(tmp_path)
    assert predictions.table["foreground"].tolist() == ["0", "0", "1"]
    assert np.array_equal(predictions.masks[0], np.load(prepared / "masks.npy")[3:])
    assert "truth seen" in json.loads((tmp_path / "cost.json").read_text())["note"]


def test_thresholds_of_several_classes_are_all_written(prepared: Path, tmp_path: Path) -> None:
    run("squares-3", {"method": "multiotsu", "classes": 3, "foreground": 2}, prepared, tmp_path)
    table = read_predictions(tmp_path).table
    assert [len(levels.split()) for levels in table["thresholds"]] == [2, 2, 2]
    assert set(table["foreground"]) == {"2"}


def test_a_picture_without_a_threshold_is_background_and_noted(tmp_path: Path) -> None:
    images = np.full((3, 8, 8), 100, np.uint8)
    masks = np.ones_like(images)
    prepared = write_prepared(tmp_path / "prepared", images, masks, ["train", "validation", "test"])
    run("flat-minimum", {"method": "minimum", "foreground": "dark"}, prepared, tmp_path / "out")
    predictions = read_predictions(tmp_path / "out")
    assert not predictions.masks[0].any()
    assert predictions.table["thresholds"].tolist() == [""]
    assert predictions.table["note"].tolist() == ["no threshold found: all background"]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (
            {"method": "otsus", "foreground": "dark"},
            r"baselines\.\w+\.methods\.squares\.method is 'otsus'",
        ),
        (
            {"method": "otsu", "foreground": "grey"},
            r"baselines\.\w+\.methods\.squares\.foreground is 'grey'",
        ),
        ({"method": "otsu", "foreground": 2}, r"a number from 0 to 1"),
    ],
)
def test_wrong_settings_get_one_sentence(prepared: Path, tmp_path: Path, wrong: dict, sentence: str) -> None:
    with pytest.raises(BakeoffError, match=sentence):
        run("squares", wrong, prepared, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_with_folds_the_class_is_chosen_on_the_training_images_of_the_fold_that_tests(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    masks = np.zeros((8, 16, 16), np.uint8)
    masks[:, 4:12, 4:12] = 1
    images = np.where(masks > 0, 60, 180) + rng.integers(-20, 20, masks.shape)
    images[[0, 2, 4, 6]] = 240 - images[[0, 2, 4, 6]]  # the squares of even images are bright, the others dark
    folds = (
        ["train", "test", "train", "test", "validation", "test", "", ""],  # learns from bright squares
        ["test", "train", "test", "train", "test", "validation", "", ""],  # and this one from dark ones
    )
    prepared = write_prepared(tmp_path / "prepared", images.astype(np.uint8), masks, *folds)
    run("squares-otsu", {"method": "otsu", "foreground": "train"}, prepared, tmp_path / "out")
    predictions = read_predictions(tmp_path / "out")
    assert predictions.ids == [f"x{place}" for place in range(6)]
    # Every fold is tested on the other kind, so that it takes the wrong class: no image had a say in its own answer.
    assert predictions.table["foreground"].tolist() == ["0", "1"] * 3
    assert np.array_equal(predictions.masks[0], 1 - masks[:6])


def test_a_data_set_without_masks_is_refused(prepared: Path, tmp_path: Path) -> None:
    (prepared / "masks.npy").unlink()
    with pytest.raises(BakeoffError, match="prepared has no masks"):
        run("squares", {"method": "otsu", "foreground": "train"}, prepared, tmp_path / "out")
    assert not (tmp_path / "out").exists()
