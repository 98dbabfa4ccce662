"""The score stage: every image and seed scored like any other, and headline figures with their intervals."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.predictions import write_predictions
from bakeoff.evaluation.bootstrap import SHARE, mean_interval
from bakeoff.evaluation.overlap import OVERLAP_SCORES, class_confusion, confusion_counts, iou
from bakeoff.evaluation.scores import HEADLINES, dataset_headline, headline, score_masks
from bakeoff.evaluation.surface import boundary_band, hd95_and_assd
from bakeoff.tasks.scoring import score

SCORES = ["tp", "fp", "fn", "tn", "dice", "iou", "precision", "recall", "pixel_accuracy", "hd95", "assd"]
SCORES += ["boundary_iou"]
OF_CLASSES = ["mean_dice", "mean_iou"]
OF_BORDER = ["dice_border_as_foreground", "iou_border_as_foreground", "dice_border_ignored", "iou_border_ignored"]
TRIMAP = ["background", "pet", "border"]
SPLITS = ["train", "test", "test", "validation", "test", "test"]
TEST_IDS = ["x1", "x2", "x4", "x5"]


@pytest.fixture
def truth() -> np.ndarray:
    masks = np.zeros((6, 12, 10), np.uint8)
    for place in range(5):  # the last one is empty
        masks[place, 2 : 6 + place, 3:8] = 1
    return masks


@pytest.fixture
def prepared(tmp_path: Path, truth: np.ndarray) -> Path:
    folder = tmp_path / "prepared"
    folder.mkdir()
    np.save(folder / "masks.npy", truth)
    np.save(folder / "images.npy", np.zeros((*truth.shape, 1), np.uint8))
    np.save(folder / "histograms.npy", np.zeros((6, 256), np.uint32))
    pd.DataFrame(
        {
            "id": [f"x{place}" for place in range(6)],
            "group": ["a", "b", "b", "c", "d", "e"],
            "hospital": ["m", "m", "s", "s", "m", "s"],
        }
    ).to_csv(folder / "index.csv", index=False)
    about = {"classes": ["background", "lung"], "strata": ["hospital"], "geometry": "stretch", "size": [8, 8]}
    (folder / "dataset.json").write_text(json.dumps(about))
    return folder


@pytest.fixture
def split(tmp_path: Path) -> Path:
    return write_split(tmp_path / "any.csv", SPLITS)


def write_split(path: Path, *folds: list[str]) -> Path:
    """A split as its stage leaves it: for every fold the part of each image."""
    parts = [(fold, f"x{place}", part) for fold, each in enumerate(folds) for place, part in enumerate(each)]
    pd.DataFrame(parts, columns=["fold", "id", "split"]).to_csv(path, index=False)
    return path


@pytest.fixture
def predicted(truth: np.ndarray) -> dict[int, np.ndarray]:
    """Seed 0 is right; seed 1 is a row too low."""
    test = truth[[1, 2, 4, 5]]
    return {0: test.copy(), 1: np.roll(test, 1, axis=1)}


@pytest.mark.parametrize(
    ("classes", "columns"),
    [
        (["background", "lung"], SCORES),
        (["background", "liver", "spleen"], SCORES + OF_CLASSES),
        (TRIMAP, SCORES + OF_CLASSES + OF_BORDER),
        (["background", "border"], SCORES),  # what is scored anyway
    ],
)
def test_scores_of_masks_are_those_of_each_mask(truth: np.ndarray, classes: list[str], columns: list[str]) -> None:
    rng = np.random.default_rng(0)
    predictions = [rng.integers(0, len(classes), truth.shape).astype(np.uint8) for _ in range(3)]
    found = score_masks(truth, predictions, classes=classes, threads=2)
    assert [scores.table.columns.tolist() for scores in found] == [columns] * 3
    for prediction, (table, confusion) in zip(predictions, found, strict=True):
        for place, row in table.iterrows():
            true, guess = truth[place] == 1, prediction[place] == 1  # class 2 is not the foreground
            counts = confusion_counts(true, guess)
            assert row[["tp", "fp", "fn", "tn"]].tolist() == list(counts)
            assert row[list(OVERLAP_SCORES)].tolist() == [score(counts) for score in OVERLAP_SCORES.values()]
            assert row["pixel_accuracy"] == np.mean(truth[place] == prediction[place])
            assert tuple(row[["hd95", "assd"]]) == hd95_and_assd(true, guess)
            assert row["boundary_iou"] == iou(confusion_counts(boundary_band(true), boundary_band(guess)))
            assert confusion[place].tolist() == class_confusion(truth[place], prediction[place], len(classes)).tolist()


def strip(*runs: tuple[int, int]) -> np.ndarray:
    """One image, (1, 4, width), of vertical stripes: so many columns of each class."""
    return np.repeat(np.concatenate([np.full(width, index, np.uint8) for width, index in runs])[None, None], 4, axis=1)


TRUE_TRIMAP = strip((5, 0), (2, 2), (4, 1), (2, 2), (5, 0))


@pytest.mark.parametrize(
    ("prediction", "own_class", "as_foreground", "ignored"),
    [
        (TRUE_TRIMAP, 1, 1, 1),
        # A method of two classes that takes all of the border, none of it, or half of it for the pet.
        (strip((5, 0), (8, 1), (5, 0)), 4 / 8, 1, 1),
        (strip((7, 0), (4, 1), (7, 0)), 1, 4 / 8, 1),
        (strip((6, 0), (6, 1), (6, 0)), 4 / 6, 6 / 8, 1),
        # A border too wide: by a column of the pet on either side, and by a column of the background.
        (strip((5, 0), (3, 2), (2, 1), (3, 2), (5, 0)), 2 / 4, 1, 2 / 4),
        (strip((4, 0), (3, 2), (4, 1), (3, 2), (4, 0)), 1, 8 / 10, 1),
        (strip((18, 0)), 0, 0, 0),
        (strip((18, 2)), 0, 8 / 18, 0),
    ],
)
def test_three_conventions_for_the_border(
    prediction: np.ndarray, own_class: float, as_foreground: float, ignored: float
) -> None:
    ((table, _),) = score_masks(TRUE_TRIMAP, [prediction], classes=TRIMAP)
    found = table.loc[0, ["iou", "iou_border_as_foreground", "iou_border_ignored"]]
    assert found.tolist() == pytest.approx([own_class, as_foreground, ignored])
    dices = table.loc[0, ["dice", "dice_border_as_foreground", "dice_border_ignored"]]
    assert dices.tolist() == pytest.approx((2 * found / (1 + found)).tolist())


def test_mean_over_classes_of_an_image() -> None:
    prediction = strip((5, 0), (8, 1), (5, 0))
    ((table, _),) = score_masks(TRUE_TRIMAP, [prediction], classes=TRIMAP)
    assert table.loc[0, "mean_iou"] == pytest.approx((1 + 4 / 8 + 0) / 3)  # it knows no border
    assert table.loc[0, "mean_dice"] == pytest.approx((1 + 8 / 12 + 0) / 3)
    ((table, _),) = score_masks(prediction, [prediction], classes=TRIMAP)
    assert table.loc[0, ["mean_iou", "mean_dice"]].tolist() == [1, 1]  # nobody knows one


def test_boundary_iou_sees_what_a_large_object_hides() -> None:
    truth, prediction = np.zeros((2, 1, 100, 100), np.uint8)
    truth[0, 10:90, 10:90] = 1
    prediction[0, 12:88, 12:88] = 1  # two pixels short all around; the bands are three deep
    ((table, _),) = score_masks(truth, [prediction])
    assert table.loc[0, "iou"] == 76**2 / 80**2
    both = 76**2 - 74**2
    assert table.loc[0, "boundary_iou"] == both / ((80**2 - 74**2) + (76**2 - 70**2) - both)


def test_boundary_iou_of_empty_masks() -> None:
    full, empty = np.ones((1, 9, 9), np.uint8), np.zeros((1, 9, 9), np.uint8)
    pairs = [(full, full, 1), (empty, empty, 1), (full, empty, 0), (empty, full, 0)]
    for truth, prediction, expected in pairs:
        assert score_masks(truth, [prediction])[0].table["boundary_iou"].tolist() == [expected]


def test_threads_change_nothing(truth: np.ndarray) -> None:
    predictions = [np.roll(truth, 2, axis=2)]
    for one, four in zip(*(score_masks(truth, predictions, threads=n) for n in (1, 4)), strict=True):
        pd.testing.assert_frame_equal(one.table, four.table)
        assert np.array_equal(one.confusion, four.confusion)


def test_masks_of_another_size_are_refused(truth: np.ndarray) -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        score_masks(truth, [truth[:, :5]])


def test_masks_of_classes_that_are_not_there_are_refused(truth: np.ndarray) -> None:
    with pytest.raises(ValueError, match="Class 3 is none of 3"):
        score_masks(truth, [truth * 3], classes=TRIMAP)


def test_the_stage_writes_one_row_an_image_and_seed(
    prepared: Path, split: Path, tmp_path: Path, predicted: dict[int, np.ndarray]
) -> None:
    write_predictions(tmp_path, TEST_IDS, predicted)
    score("lungs-any", None, prepared, split, tmp_path, tmp_path, resamples=500)
    table = pd.read_csv(tmp_path / "scores.csv")
    assert table.columns.tolist() == ["id", "seed", "hospital", *SCORES]
    assert table["id"].tolist() == TEST_IDS * 2
    assert table["seed"].tolist() == [0] * 4 + [1] * 4
    assert table["hospital"].tolist() == ["m", "s", "m", "s"] * 2
    assert (table.loc[table["seed"] == 0, "dice"] == 1).all()
    assert table.loc[3, ["dice", "hd95", "assd"]].tolist() == [1, 0, 0]  # nothing there, and nothing found
    # x1 is 5 rows of 5 pixels: a row too low, 20 of 25 overlap.
    assert table.loc[4, ["tp", "fp", "fn", "tn", "dice", "hd95"]].tolist() == [20, 5, 5, 90, 0.8, 1]
    assert not table.isna().any().any()


def test_the_headlines_are_means_over_images_with_groups_resampled_together(
    prepared: Path, split: Path, tmp_path: Path, predicted: dict[int, np.ndarray]
) -> None:
    write_predictions(tmp_path, TEST_IDS, predicted)
    score("lungs-any", None, prepared, split, tmp_path, tmp_path, resamples=500)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    over_images = ["dice", "iou", "boundary_iou", "pixel_accuracy", "hd95", "assd"]
    assert list(metrics) == [*over_images, "images", "seeds", "dataset_dice", "dataset_iou"]
    assert (metrics["images"], metrics["seeds"]) == (4, 2)
    table = pd.read_csv(tmp_path / "scores.csv").pivot_table(index="id", columns="seed", values="dice")
    groups = np.array(["b", "b", "d", "e"])
    expected = mean_interval(table.to_numpy(), resamples=500, groups=groups, bounds=SHARE)
    assert metrics["dice"] == pytest.approx(expected._asdict(), abs=1e-6)
    assert metrics["dice"]["low"] <= metrics["dice"]["mean"] <= metrics["dice"]["high"]


def test_the_headlines_of_a_trimap_tell_the_conventions_apart(
    prepared: Path, split: Path, truth: np.ndarray, tmp_path: Path
) -> None:
    about = json.loads((prepared / "dataset.json").read_text())
    (prepared / "dataset.json").write_text(json.dumps({**about, "classes": TRIMAP}))
    trimaps = truth.copy()
    trimaps[:, :, 3][truth[:, :, 3] == 1] = 2  # the first of each object's five columns
    np.save(prepared / "masks.npy", trimaps)
    write_predictions(tmp_path, TEST_IDS, {0: truth[[1, 2, 4, 5]]})  # of two classes, the border taken for the pet
    score("pets-any", None, prepared, split, tmp_path, tmp_path, resamples=100, ranked_by={"class": TRIMAP[1]})
    table = pd.read_csv(tmp_path / "scores.csv")
    assert table.columns.tolist() == ["id", "seed", "hospital", *SCORES, *OF_CLASSES, *OF_BORDER]
    assert table["iou"].tolist() == pytest.approx([4 / 5, 4 / 5, 4 / 5, 1])  # the last is empty
    assert table["iou_border_as_foreground"].tolist() == [1, 1, 1, 1]
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    means = {name: figure["mean"] for name, figure in metrics.items() if name.startswith("dataset_")}
    objects, border, image = 5 * (5 + 6 + 8), 5 + 6 + 8, 120
    assert means == pytest.approx(
        {
            "dataset_dice": 8 / 9,
            "dataset_iou": 4 / 5,
            "dataset_mean_iou": (1 + 4 / 5 + 0) / 3,
            "dataset_iou_border_as_foreground": 1,
            "dataset_iou_border_ignored": 1,
        }
    )
    assert metrics["iou_border_as_foreground"] == {"mean": 1, "low": 1, "high": 1}
    assert table[["tp", "fp"]].sum().tolist() == [objects - border, border]
    assert table[["tp", "fp", "fn", "tn"]].sum().sum() == 4 * image


def test_the_same_predictions_give_the_same_bytes(
    prepared: Path, split: Path, tmp_path: Path, predicted: dict[int, np.ndarray]
) -> None:
    write_predictions(tmp_path, TEST_IDS, predicted)
    written = []
    for _ in range(2):
        score("lungs-any", None, prepared, split, tmp_path, tmp_path, resamples=100)
        written.append([(tmp_path / name).read_bytes() for name in ("scores.csv", "metrics.json")])
    assert written[0] == written[1]


def test_predictions_of_another_split_or_size_are_refused(
    prepared: Path, split: Path, tmp_path: Path, predicted: dict[int, np.ndarray]
) -> None:
    write_predictions(tmp_path, ["x2", "x1", "x4", "x5"], predicted)
    with pytest.raises(BakeoffError, match=r"predictions.csv was made from another test split"):
        score("lungs-any", None, prepared, split, tmp_path, tmp_path, resamples=10)
    write_predictions(tmp_path, TEST_IDS, {seed: masks[:, :5] for seed, masks in predicted.items()})
    with pytest.raises(BakeoffError, match="another test split or size"):
        score("lungs-any", None, prepared, split, tmp_path, tmp_path, resamples=10)
    assert not (tmp_path / "scores.csv").exists()


def test_with_folds_every_image_that_one_tests_is_scored_once_in_the_order_of_the_index(
    prepared: Path, truth: np.ndarray, tmp_path: Path
) -> None:
    folds = (
        ["test", "train", "validation", "train", "test", ""],
        ["train", "test", "train", "test", "validation", ""],
    )
    split = write_split(tmp_path / "folds.csv", *folds)
    tested = [0, 1, 3, 4]
    masks = truth[tested].copy()
    masks[1] = 0  # x1, which the second fold tests
    write_predictions(tmp_path, [f"x{place}" for place in tested], {0: masks})
    score("lungs-any", None, prepared, split, tmp_path, tmp_path, resamples=100)
    table = pd.read_csv(tmp_path / "scores.csv")
    assert table["id"].tolist() == ["x0", "x1", "x3", "x4"]
    assert table["dice"].tolist() == [1, 0, 1, 1]
    assert json.loads((tmp_path / "metrics.json").read_text())["images"] == 4


def test_a_data_set_without_masks_is_refused(
    prepared: Path, split: Path, tmp_path: Path, predicted: dict[int, np.ndarray]
) -> None:
    write_predictions(tmp_path, TEST_IDS, predicted)
    (prepared / "masks.npy").unlink()
    with pytest.raises(BakeoffError, match="prepared has no masks"):
        score("lungs-any", None, prepared, split, tmp_path, tmp_path, resamples=10)


def test_headline_refuses_an_image_that_a_seed_did_not_score() -> None:
    columns = {name: [1.0, 1.0, 1.0] for name in HEADLINES}
    scores = pd.DataFrame({"id": ["a", "b", "a"], "seed": [0, 0, 1], **columns})
    with pytest.raises(ValueError, match="not finite"):
        headline(scores, pd.Series({"a": "a", "b": "b"}), resamples=10)


def two_class(tp: Any, fp: Any, fn: Any) -> np.ndarray:
    """Confusions of images of a thousand pixels, from counts (seeds, images); (seeds, images, 2, 2)."""
    tp, fp, fn = np.asarray(tp), np.asarray(fp), np.asarray(fn)
    return np.stack([np.stack([1000 - tp - fp - fn, fp], -1), np.stack([fn, tp], -1)], -2)


def test_over_the_data_set_pixels_are_summed_before_they_are_divided() -> None:
    confusion = two_class([[300, 10]], [[100, 10]], [[0, 0]])
    found = dataset_headline(confusion, ["background", "lung"], np.array(["a", "b"]), resamples=50)
    assert found["dataset_iou"]["mean"] == 310 / 420  # the mean over images is 0.625
    assert found["dataset_dice"]["mean"] == 620 / 730


def test_over_the_data_set_seeds_are_averaged_after_they_are_divided() -> None:
    confusion = two_class([[100, 0], [100, 300]], [[0, 0], [0, 0]], [[0, 300], [0, 0]])
    found = dataset_headline(confusion, ["background", "lung"], np.array(["a", "b"]), resamples=50)
    assert found["dataset_iou"]["mean"] == (100 / 400 + 1) / 2


def test_one_group_leaves_nothing_to_draw() -> None:
    confusion = two_class([[300, 10]], [[100, 10]], [[0, 0]])
    for images in (1, 2):
        found = dataset_headline(confusion[:, :images], ["background", "lung"], np.array(["a"] * images), resamples=50)
        assert (found["dataset_iou"]["low"], found["dataset_iou"]["high"]) == (None, None)


def test_groups_are_not_fewer_or_more_than_images() -> None:
    for groups in ([], ["a"]):
        with pytest.raises(ValueError, match="groups for 2 images"):
            dataset_headline(np.ones((1, 2, 2, 2)), ["background", "lung"], np.array(groups), resamples=10)


def some_confusions(rng: np.random.Generator, images: int, seeds: int = 1) -> np.ndarray:
    """Objects of many sizes, found more or less well."""
    size = rng.integers(50, 600, images)
    tp = (size * rng.beta(8, 2, (seeds, images))).astype(int)
    fp = (size * rng.beta(2, 8, (seeds, images)) * 0.5).astype(int)
    return two_class(tp, fp, size - tp)


def test_the_interval_over_the_data_set_is_that_of_images_drawn_again() -> None:
    confusion, groups = some_confusions(np.random.default_rng(0), 300), np.repeat(np.arange(150), 2)
    found = dataset_headline(confusion, ["background", "lung"], groups, resamples=4000)["dataset_iou"]
    rng, drawn = np.random.default_rng(1), []
    for _ in range(4000):
        pairs = rng.integers(0, 150, 150)
        (_, fp), (fn, tp) = confusion[0, np.concatenate([2 * pairs, 2 * pairs + 1])].sum(axis=0)
        drawn.append(tp / (tp + fp + fn))
    assert [found["low"], found["high"]] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=1e-3)
    assert found["high"] - found["low"] > 0.01


def test_the_interval_over_the_data_set_covers() -> None:
    """Of 300 test sets of 60 images each, the true figure lies within nearly all 95 % intervals, and not in all."""
    rng = np.random.default_rng(0)
    classes, groups = ["background", "lung"], np.arange(60)
    true = dataset_headline(some_confusions(rng, 200_000), classes, np.zeros(200_000), resamples=1)["dataset_iou"]
    intervals = [
        dataset_headline(some_confusions(rng, 60), classes, groups, resamples=300)["dataset_iou"] for _ in range(300)
    ]
    assert 0.92 <= np.mean([each["low"] <= true["mean"] <= each["high"] for each in intervals]) <= 0.985


def test_seeds_that_differ_widen_the_interval_over_the_data_set() -> None:
    confusion, groups = some_confusions(np.random.default_rng(0), 100), np.arange(100)
    worse = confusion.copy()
    worse[..., 1, 0] += worse[..., 1, 1] // 5  # a fifth of what is found is missed instead
    worse[..., 1, 1] -= worse[..., 1, 1] // 5
    widths = []
    for stack in ([confusion, confusion], [confusion, worse]):
        found = dataset_headline(np.concatenate(stack), ["background", "lung"], groups, resamples=500)["dataset_iou"]
        widths.append(found["high"] - found["low"])
        assert 0 <= found["low"] <= found["mean"] <= found["high"] <= 1
    assert widths[1] > 2 * widths[0]
