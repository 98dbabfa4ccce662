"""Objects: matched as StarDist and Cellpose do it, separated by what the training images say."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bakeoff.artefacts.layout import Project
from bakeoff.artefacts.void import VOID
from bakeoff.evaluation.objects import (
    OBJECT_SCORES,
    THRESHOLDS,
    Separation,
    choose_separation,
    iou_matrix,
    match,
    matched,
    object_scores,
)
from bakeoff.tasks.evaluate import evaluate
from ellipses import EXPERIMENTS, MARGIN, RESAMPLES, TASKS, build
from skimage.measure import label

# Two true objects of 4 pixels; the first is found whole, of the second 3 pixels and 1 beside it, and one is false.
TRUE = np.array([[1, 1, 0, 2, 2, 0], [1, 1, 0, 2, 2, 0], [0, 0, 0, 0, 0, 0]])
FOUND = np.array([[1, 1, 0, 2, 2, 0], [1, 1, 0, 2, 0, 0], [0, 0, 0, 2, 0, 3]])


def of_one_class(numbers: np.ndarray) -> np.ndarray:
    return (numbers > 0).astype(np.uint8)


def scores(true: np.ndarray, found: np.ndarray) -> dict[str, float]:
    return match(true, of_one_class(true), found, of_one_class(found))


def test_an_image_of_three_found_and_two_true_objects() -> None:
    overlaps = iou_matrix(TRUE, of_one_class(TRUE), FOUND, of_one_class(FOUND))
    assert overlaps.tolist() == [[1, 0, 0], [0, 3 / 5, 0]]
    found = scores(TRUE, FOUND)
    # At .5, .55 and .6 both match and one is false; from .65 on one matches, one is missed and two are false.
    assert found["object_f1"] == 4 / 5
    assert found["object_ap"] == pytest.approx((3 * 2 / 3 + 7 * 1 / 4) / 10)
    assert found["object_pq"] == pytest.approx((1 + 3 / 5) / (2 + 1 / 2))
    assert (found["count_error"], found["count_off"], found["objects"]) == (1, 1, 2)


def test_nothing_and_everything() -> None:
    nothing = np.zeros_like(TRUE)
    assert scores(nothing, nothing) | {"objects": 0} == {
        **dict.fromkeys(("object_f1", "object_ap", "object_pq"), 1.0),
        **dict.fromkeys(("count_error", "count_off", "objects", "predicted_objects"), 0),
    }
    assert [scores(TRUE, nothing)[name] for name in ("object_f1", "object_ap", "object_pq")] == [0, 0, 0]
    assert scores(TRUE, nothing)["count_error"] == -2
    full = np.ones_like(TRUE)
    assert scores(full, full)["object_ap"] == 1


def test_the_most_matches_come_before_the_best_one() -> None:
    overlaps = np.array([[0.9, 0.6], [0.6, 0.0]])
    assert matched(overlaps, 0.5).tolist() == [[0, 1], [1, 0]]
    assert matched(overlaps, 0.7).tolist() == [[0, 0]]


def test_objects_of_another_class_do_not_match_and_void_is_no_object() -> None:
    classes = np.where(TRUE == 2, 2, of_one_class(TRUE)).astype(np.uint8)
    assert match(TRUE, classes, TRUE, of_one_class(TRUE))["object_f1"] == 1 / 2
    void = of_one_class(TRUE).copy()
    void[TRUE == 2] = VOID
    assert match(np.where(TRUE == 1, 1, 0), void, TRUE, of_one_class(TRUE))["object_f1"] == 1


def reference_matching(true: np.ndarray, found: np.ndarray, threshold: float) -> tuple[float, float, float]:
    """F1, tp / (tp + fp + fn) and panoptic quality by the published definition.

    Above one half an object overlaps at most one other so far (Kirillov et al., 2019, section 4), so that no assignment
    is needed.
    """
    tp, total = 0, 0.0
    true_numbers, found_numbers = (set(np.unique(each)) - {0} for each in (true, found))
    for one in true_numbers:
        for other in found_numbers:
            both = np.count_nonzero((true == one) & (found == other))
            iou = both / np.count_nonzero((true == one) | (found == other))
            if iou >= threshold:
                tp, total = tp + 1, total + iou
    fn, fp = len(true_numbers) - tp, len(found_numbers) - tp
    if tp + fn + fp == 0:
        return 1.0, 1.0, 1.0
    return 2 * tp / (2 * tp + fp + fn), tp / (tp + fp + fn), total / (tp + fp / 2 + fn / 2)


@pytest.mark.parametrize("seed", range(20))
def test_equals_the_published_definition_on_random_objects(seed: int) -> None:
    rng = np.random.default_rng(seed)
    true = np.kron(rng.integers(0, 6, (4, 4)), np.ones((5, 5), int))
    found = np.where(rng.random(true.shape) < 0.25, rng.integers(0, 6, true.shape), true)
    ours = scores(true, found)
    assert ours["object_f1"] == pytest.approx(reference_matching(true, found, 0.5)[0])
    assert ours["object_pq"] == pytest.approx(reference_matching(true, found, 0.5)[2])
    assert ours["object_ap"] == pytest.approx(np.mean([reference_matching(true, found, t)[1] for t in THRESHOLDS]))


@pytest.mark.parametrize("seed", range(5))
def test_equals_stardist(seed: int) -> None:
    matching = pytest.importorskip(
        "stardist.matching", reason="OBJECTS ARE NOT COMPARED WITH STARDIST: it is not installed"
    ).matching
    rng = np.random.default_rng(seed)
    true = np.kron(rng.integers(0, 6, (4, 4)), np.ones((5, 5), int))
    found = np.where(rng.random(true.shape) < 0.25, rng.integers(0, 6, true.shape), true)
    theirs = [matching(true, found, thresh=threshold) for threshold in THRESHOLDS]
    ours = scores(true, found)
    assert ours["object_f1"] == pytest.approx(theirs[0].f1)
    assert ours["object_pq"] == pytest.approx(theirs[0].panoptic_quality)
    assert ours["object_ap"] == pytest.approx(np.mean([each.accuracy for each in theirs]))


def touching_discs(count: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Masks and numbers of pairs of discs that touch; (n, 40, 60) each."""
    rows, columns = np.mgrid[:40, :60]
    objects = np.zeros((count, 40, 60), np.uint16)
    for number, (left, right) in enumerate(zip(range(18, 18 + count), range(39, 39 + count), strict=True)):
        for place, column in ((1, left), (2, right)):
            objects[number][(rows - 20) ** 2 + (columns - column) ** 2 < 11**2] = place
    return (objects > 0).astype(np.uint8), objects


def test_discs_that_touch_come_apart_by_the_watershed() -> None:
    masks, objects = touching_discs()
    separation = choose_separation(masks, objects, (1,))
    assert separation.distance is not None
    table = object_scores(masks, objects, masks, separation, (1,))
    assert table["count_error"].tolist() == [0] * len(masks)
    assert table["object_ap"].min() > 0.9
    whole = object_scores(masks, objects, masks, Separation(None), (1,))
    assert whole["count_error"].tolist() == [-1] * len(masks)


def test_regions_apart_are_left_as_they_are() -> None:
    rng = np.random.default_rng(0)
    objects = np.zeros((4, 30, 30), np.uint16)
    for image in objects:
        image[2:8, 2:26], image[12:28, 3:6] = 1, 2  # long ones, which a watershed would cut
        image[14, 20 + rng.integers(3)] = 3
    masks = (objects > 0).astype(np.uint8)
    assert choose_separation(masks, objects, (1,)) == Separation(None)
    assert choose_separation(np.zeros_like(masks), np.zeros_like(objects), (1,)) == Separation(None)


def test_a_task_of_objects_is_scored_by_them_too(tmp_path: Path) -> None:
    """Two lungs an image, which never touch: every connected region of a prediction is an object."""
    build(tmp_path)
    folder = tmp_path / "data" / "prepared" / "lungs"
    masks = np.load(folder / "masks.npy")
    np.save(folder / "objects.npy", np.stack([label(mask) for mask in masks]).astype(np.uint16))
    about = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**about, "objects": True}))
    evaluate("lungs", TASKS["lungs"], EXPERIMENTS, Project(tmp_path), resamples=RESAMPLES, margin=MARGIN)
    evaluated = tmp_path / "results" / "evaluation" / "lungs"
    assert json.loads((evaluated / "separation.json").read_text()) == {"distance": None}
    scored = pd.read_csv(evaluated / "experiments" / "lungs-unet" / "scores.csv")
    assert set(OBJECT_SCORES) < set(scored)
    assert (scored["objects"] == 2).all()
    metrics = json.loads((evaluated / "experiments" / "lungs-unet" / "metrics.json").read_text())
    assert metrics["object_f1"]["mean"] == pytest.approx(scored["object_f1"].mean(), abs=1e-6)
    assert 0.5 < metrics["object_f1"]["low"] <= metrics["object_f1"]["high"] <= 1
    compared = pd.read_csv(evaluated / "comparison.csv").set_index("experiment")
    assert compared.loc["lungs-unet", "object_f1_mean"] > compared.loc["lungs-otsu", "object_f1_mean"]
