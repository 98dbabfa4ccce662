"""The score stage: every image and seed scored like any other, and headline figures with their intervals."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bakeoff.errors import BakeoffError
from bakeoff.evaluation.bootstrap import mean_interval
from bakeoff.evaluation.overlap import OVERLAP_SCORES, confusion_counts
from bakeoff.evaluation.scores import HEADLINES, headline, score_masks
from bakeoff.evaluation.surface import boundary, hd95_and_assd
from bakeoff.predictions import write_predictions
from bakeoff.stages.score import score

SCORES = ["tp", "fp", "fn", "tn", "dice", "iou", "precision", "recall", "pixel_accuracy", "hd95", "assd"]
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
    (folder / "dataset.json").write_text(json.dumps({"classes": ["background", "lung"], "strata": ["hospital"]}))
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


def test_scores_of_masks_are_those_of_each_mask(truth: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    predictions = [rng.integers(0, 3, truth.shape).astype(np.uint8) for _ in range(3)]
    tables = score_masks(truth, predictions, threads=2)
    assert [table.columns.tolist() for table in tables] == [SCORES] * 3
    for prediction, table in zip(predictions, tables, strict=True):
        for place, row in table.iterrows():
            true, guess = truth[place] == 1, prediction[place] == 1  # class 2 is not the foreground
            counts = confusion_counts(true, guess)
            assert row[["tp", "fp", "fn", "tn"]].tolist() == list(counts)
            assert row[list(OVERLAP_SCORES)].tolist() == [score(counts) for score in OVERLAP_SCORES.values()]
            assert tuple(row[["hd95", "assd"]]) == hd95_and_assd(boundary(true), boundary(guess))


def test_threads_change_nothing(truth: np.ndarray) -> None:
    predictions = [np.roll(truth, 2, axis=2)]
    for one, four in zip(*(score_masks(truth, predictions, threads=n) for n in (1, 4)), strict=True):
        pd.testing.assert_frame_equal(one, four)


def test_masks_of_another_size_are_refused(truth: np.ndarray) -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        score_masks(truth, [truth[:, :5]])


def test_the_stage_writes_one_row_an_image_and_seed(
    prepared: Path, split: Path, tmp_path: Path, predicted: dict[int, np.ndarray]
) -> None:
    write_predictions(tmp_path, TEST_IDS, predicted)
    score("lungs-any", None, prepared, split, tmp_path, resamples=500)
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
    score("lungs-any", None, prepared, split, tmp_path, resamples=500)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert list(metrics) == ["dice", "iou", "pixel_accuracy", "hd95", "assd", "images", "seeds"]
    assert (metrics["images"], metrics["seeds"]) == (4, 2)
    by_image = pd.read_csv(tmp_path / "scores.csv").groupby("id")["dice"].mean().to_numpy()
    expected = mean_interval(by_image, resamples=500, groups=np.array(["b", "b", "d", "e"]))
    assert metrics["dice"] == pytest.approx(expected._asdict(), abs=1e-6)
    assert metrics["dice"]["low"] <= metrics["dice"]["mean"] <= metrics["dice"]["high"]


def test_the_same_predictions_give_the_same_bytes(
    prepared: Path, split: Path, tmp_path: Path, predicted: dict[int, np.ndarray]
) -> None:
    write_predictions(tmp_path, TEST_IDS, predicted)
    written = []
    for _ in range(2):
        score("lungs-any", None, prepared, split, tmp_path, resamples=100)
        written.append([(tmp_path / name).read_bytes() for name in ("scores.csv", "metrics.json")])
    assert written[0] == written[1]


def test_predictions_of_another_split_or_size_are_refused(
    prepared: Path, split: Path, tmp_path: Path, predicted: dict[int, np.ndarray]
) -> None:
    write_predictions(tmp_path, ["x2", "x1", "x4", "x5"], predicted)
    with pytest.raises(BakeoffError, match=r"predictions.csv was made from another test split"):
        score("lungs-any", None, prepared, split, tmp_path, resamples=10)
    write_predictions(tmp_path, TEST_IDS, {seed: masks[:, :5] for seed, masks in predicted.items()})
    with pytest.raises(BakeoffError, match="another test split or size"):
        score("lungs-any", None, prepared, split, tmp_path, resamples=10)
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
    score("lungs-any", None, prepared, split, tmp_path, resamples=100)
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
        score("lungs-any", None, prepared, split, tmp_path, resamples=10)


def test_headline_refuses_an_image_that_a_seed_did_not_score() -> None:
    columns = {name: [1.0, 1.0, 1.0] for name in HEADLINES}
    scores = pd.DataFrame({"id": ["a", "b", "a"], "seed": [0, 0, 1], **columns})
    with pytest.raises(ValueError, match="not finite"):
        headline(scores, pd.Series({"a": "a", "b": "b"}), resamples=10)
