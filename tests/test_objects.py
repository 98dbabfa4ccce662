"""Objects: matched as StarDist and Cellpose do it, separated by what the training images say."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.layout import Project
from bakeoff.artefacts.mask_score import mask_score
from bakeoff.artefacts.prepared import open_prepared
from bakeoff.artefacts.void import VOID
from bakeoff.evaluation.objects import (
    OBJECT_SCORES,
    THRESHOLDS,
    choose_separation,
    match,
    object_scores,
)
from bakeoff.evaluation.separation import Separation
from bakeoff.tasks.evaluate import evaluate
from ellipses import EXPERIMENTS, MARGIN, RESAMPLES, TASKS, build, write_pages, write_prepared
from label_images import IMAGES, TABLE, label_images
from skimage.measure import label

CONNECTED = Separation(None, (1,))

# Two true objects of 4 pixels; the first is found whole, of the second 3 pixels and 1 beside it, and one is false.
TRUE = np.array([[1, 1, 0, 2, 2, 0], [1, 1, 0, 2, 2, 0], [0, 0, 0, 0, 0, 0]])
FOUND = np.array([[1, 1, 0, 2, 2, 0], [1, 1, 0, 2, 0, 0], [0, 0, 0, 2, 0, 3]])


def of_one_class(numbers: np.ndarray) -> np.ndarray:
    return (numbers > 0).astype(np.uint8)


def scores(true: np.ndarray, found: np.ndarray) -> dict[str, float]:
    return match(true, of_one_class(true), found, of_one_class(found), (1,))


def connected_scores(truth: list[list[int]], objects: list[list[int]], prediction: list[list[int]]) -> dict[str, float]:
    """Of one image whose connected regions are its predicted objects."""
    arrays = (np.array([truth], np.uint8), np.array([objects], np.uint16), np.array([prediction], np.uint8))
    return {str(name): float(value) for name, value in object_scores(*arrays, CONNECTED).iloc[0].items()}


def test_an_image_of_three_found_and_two_true_objects() -> None:
    found = scores(TRUE, FOUND)
    # At .5, .55 and .6 both match and one is false; from .65 on one matches, one is missed and two are false.
    assert found["object_f1"] == 4 / 5
    assert found["object_ap"] == pytest.approx((3 * 2 / 3 + 7 * 1 / 4) / 10)
    assert found["object_pq"] == pytest.approx((1 + 3 / 5) / (2 + 1 / 2))
    assert [found[name] for name in ("count_error", "count_off", "objects", "predicted_objects")] == [1, 1, 2, 3]


def test_nothing_and_everything() -> None:
    nothing = np.zeros_like(TRUE)
    assert scores(nothing, nothing) == {
        **dict.fromkeys(("object_f1", "object_ap", "object_pq"), 1.0),
        **dict.fromkeys(("count_error", "count_off", "objects", "predicted_objects"), 0),
    }
    assert [scores(TRUE, nothing)[name] for name in ("object_f1", "object_ap", "object_pq")] == [0, 0, 0]
    assert scores(TRUE, nothing)["count_error"] == -2
    assert [scores(nothing, TRUE)[name] for name in ("object_f1", "object_ap", "object_pq")] == [0, 0, 0]
    assert scores(nothing, TRUE)["count_error"] == 2
    full = np.ones_like(TRUE)
    assert scores(full, full)["object_ap"] == 1


def test_numbers_may_be_any() -> None:
    assert scores(TRUE * 32_000, FOUND * 20_000) == scores(TRUE, FOUND)
    assert scores(np.where(TRUE, TRUE, 7), FOUND) == scores(np.where(TRUE, TRUE, 3), FOUND)


@pytest.mark.parametrize(("true", "found"), [([1, 1, 1, 1], [1, 1, 2, 2]), ([1, 1, 2, 2], [1, 1, 1, 1])])
def test_of_two_exact_halves_one_matches(true: list[int], found: list[int]) -> None:
    halves = scores(np.array([true]), np.array([found]))
    assert halves["object_f1"] == 2 / 3
    assert halves["object_ap"] == pytest.approx(1 / 2 / 10)
    assert halves["object_pq"] == pytest.approx(0.5 / 1.5)


def test_objects_of_another_class_do_not_match() -> None:
    classes = np.where(TRUE == 2, 2, of_one_class(TRUE)).astype(np.uint8)
    found = match(TRUE, classes, TRUE, of_one_class(TRUE), (1, 2))
    assert found["object_f1"] == 1 / 2
    assert found["count_error"] == 0


def test_objects_of_classes_that_are_not_scored_are_not_missed() -> None:
    classes = np.where(TRUE == 2, 2, of_one_class(TRUE)).astype(np.uint8)
    found = object_scores([classes], [TRUE], [classes], CONNECTED)
    assert found[["object_f1", "count_error", "objects", "predicted_objects"]].iloc[0].tolist() == [1, 0, 1, 1]


def test_an_object_is_of_the_class_that_most_of_its_answered_pixels_have() -> None:
    """At outlines a pixel may be of another class than its object; void is no class."""
    truth = np.array([[1, 1, 2, VOID, VOID, VOID, VOID]], np.uint8)
    objects, found = np.ones_like(truth), (truth == 1).astype(np.uint8)
    assert match(objects, truth, found, found, (1, 2))["object_f1"] == 1
    assert match(objects, truth, found, 2 * found, (1, 2))["object_f1"] == 0


def test_void_cuts_no_predicted_object_and_is_left_out_of_its_iou() -> None:
    truth, objects = [[1, 1, VOID, 1, 1, 0]], [[1, 1, 0, 1, 1, 0]]
    found = connected_scores(truth, objects, [[1, 1, 1, 1, 1, 0]])
    assert found["object_ap"] == 1
    assert found["predicted_objects"] == 1


def test_a_predicted_object_without_a_match_that_lies_mostly_in_void_is_not_counted() -> None:
    truth = [[1, 1, 0, VOID, VOID, 0, 0, VOID, 0]]
    objects = [[1, 1, 0, 0, 0, 0, 0, 0, 0]]
    mostly = connected_scores(truth, objects, [[1, 1, 0, 1, 1, 1, 0, 0, 0]])
    assert (mostly["object_ap"], mostly["count_error"]) == (1, 0)
    half = connected_scores(truth, objects, [[1, 1, 0, 0, 0, 0, 1, 1, 0]])
    assert (half["object_f1"], half["count_error"]) == (2 / 3, 1)
    # What matches is counted, and where the IoU is too low for a match it is not, as at .75 and above here.
    matches = connected_scores([[1, 1, 1, VOID, VOID, VOID]], [[1, 1, 1, 0, 0, 0]], [[0, 1, 1, 1, 1, 1]])
    assert (matches["object_f1"], matches["count_error"]) == (1, 0)
    assert matches["object_ap"] == pytest.approx(4 / 10)
    missed = connected_scores([[1, 1, 1, VOID, VOID, VOID]], [[1, 1, 1, 0, 0, 0]], [[0, 0, 1, 1, 1, 1]])
    assert (missed["object_f1"], missed["count_error"]) == (0, -1)


def test_an_object_in_a_crowd_of_its_class_is_not_counted() -> None:
    """A crowd is of its class and of no object: nobody said how many are in it."""
    truth, objects = [[1, 1, 0, 1, 1, 1, 0, 2, 2]], [[1, 1, 0, 0, 0, 0, 0, 0, 0]]
    assert connected_scores(truth, objects, [[1, 1, 0, 1, 0, 1, 0, 0, 0]])["count_error"] == 0
    assert connected_scores(truth, objects, [[1, 1, 0, 1, 0, 0, 0, 0, 0]])["object_f1"] == 1
    of_another = connected_scores(truth, objects, [[1, 1, 0, 0, 0, 0, 0, 1, 1]])
    assert (of_another["object_f1"], of_another["count_error"]) == (2 / 3, 1)


@pytest.mark.parametrize("number", range(IMAGES))
def test_equals_stardist_and_cellpose(number: int) -> None:
    """With what they answered, recorded in a table that tells their versions."""
    recorded = pd.read_csv(TABLE, comment="#").query("image == @number")
    assert recorded["threshold"].tolist() == list(THRESHOLDS)
    ours, at_half = scores(*label_images(number)), recorded.iloc[0]
    assert (ours["objects"], ours["predicted_objects"]) == (at_half["true"], at_half["predicted"])
    assert ours["object_f1"] == pytest.approx(at_half["f1"], abs=1e-6)
    assert ours["object_pq"] == pytest.approx(at_half["pq"], abs=1e-6)
    assert ours["object_ap"] == pytest.approx(recorded["accuracy"].mean(), abs=1e-6)
    assert ours["object_ap"] == pytest.approx(recorded["average_precision"].mean(), abs=2e-6)


@pytest.mark.parametrize("height", [None, 0.1, 2.0])
def test_every_pixel_belongs_to_an_object_of_its_class(height: float | None) -> None:
    """Parts that touch at a corner too: none is lost, and none goes to an object of the class before."""
    corner = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [0, 0, 0, 1, 0], [2, 0, 0, 0, 0]], np.uint8)
    found = Separation(height, (1, 2)).objects(corner)
    assert (found > 0).tolist() == (corner > 0).tolist()
    assert found[4, 0] == found.max() == np.count_nonzero(np.unique(found))
    for seed in range(100):
        mask = np.random.default_rng(seed).integers(0, 3, (9, 7)).astype(np.uint8)
        numbers = Separation(height, (1, 2)).objects(mask)
        assert ((numbers > 0) == (mask > 0)).all()
        assert all(len(np.unique(mask[numbers == each])) == 1 for each in range(1, numbers.max() + 1))
    assert Separation(height, (1,)).objects(np.ones((6, 8), np.uint8)).max() == 1


@pytest.mark.parametrize(("height", "count"), [(None, 1), (0.9, 2), (1.1, 1)])
def test_a_waist_divides_a_region_if_it_is_deep_enough(height: float | None, count: int) -> None:
    """Along the bar the edge is 3 pixels away, at the waist 2: a fall of 1."""
    bar = np.zeros((9, 17), np.uint8)
    bar[2:7, 2:15] = 1
    bar[2, 8] = 0
    assert Separation(height, (1,)).objects(bar).max() == count


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
    assert separation.height is not None
    table = object_scores(masks, objects, masks, separation)
    assert table["count_error"].tolist() == [0] * len(masks)
    assert table["object_ap"].min() > 0.9
    whole = object_scores(masks, objects, masks, CONNECTED)
    assert whole["count_error"].tolist() == [-1] * len(masks)


def test_specks_are_no_objects() -> None:
    """Of 201 true objects two, which are 1 %, have fewer than 6 pixels: less than half of that is a speck."""
    objects = np.arange(1, 202).repeat(9).reshape(201, 9)
    objects[0, 2:], objects[1, 4:], objects[2, 6:] = 0, 0, 0
    separation = choose_separation((objects > 0).astype(np.uint8)[None], objects[None], (1,))
    assert separation.least_area == 3
    mask = np.array([[1, 1, 0, 1, 1, 1, 0, 2]], np.uint8)
    found = Separation(None, (1, 2), 3).objects(mask)
    assert found.tolist() == [[0, 0, 0, 1, 1, 1, 0, 0]]
    assert Separation(None, (1, 2)).objects(mask).tolist() == [[1, 1, 0, 2, 2, 2, 0, 3]]


def test_regions_apart_are_left_as_they_are() -> None:
    rng = np.random.default_rng(0)
    objects = np.zeros((4, 30, 30), np.uint16)
    for image in objects:
        image[2:8, 2:26], image[12:28, 3:6] = 1, 2  # long ones, which a watershed would cut
        image[14, 20 + rng.integers(3)] = 3
    masks = (objects > 0).astype(np.uint8)
    assert choose_separation(masks, objects, (1,)) == CONNECTED
    assert choose_separation(np.zeros_like(masks), np.zeros_like(objects), (1,)) == CONNECTED


def test_void_between_objects_does_not_take_them_apart() -> None:
    """No method predicts void: that it parts the true objects says nothing on predicted ones."""
    masks, objects = touching_discs()
    masks[:, :, 27:30], objects[:, :, 27:30] = np.where(masks[:, :, 27:30] > 0, VOID, 0), 0
    assert choose_separation(masks, objects, (1,)).height is not None


@pytest.fixture(scope="module")
def lungs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project on two lungs an image, which never touch: every connected region of a prediction is an object."""
    root = tmp_path_factory.mktemp("lungs")
    build(root)
    folder = root / "data" / "prepared" / "lungs"
    masks = np.load(folder / "masks.npy")
    np.save(folder / "objects.npy", np.stack([label(mask) for mask in masks]).astype(np.uint16))
    about = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**about, "objects": True}))
    return root


def test_a_task_of_objects_is_scored_by_them_too(lungs: Path) -> None:
    evaluate("lungs", TASKS["lungs"], EXPERIMENTS, Project(lungs), resamples=RESAMPLES, margin=MARGIN)
    evaluated = lungs / "results" / "evaluation" / "lungs"
    separation = json.loads((evaluated / "separation.json").read_text())
    assert (separation["height"], separation["classes"]) == (None, [1])
    assert 100 < separation["least_area"] < 200, "half of a lung"
    scored = pd.read_csv(evaluated / "experiments" / "lungs-unet" / "scores.csv")
    assert set(OBJECT_SCORES) < set(scored)
    assert (scored["objects"] == 2).all()
    metrics = json.loads((evaluated / "experiments" / "lungs-unet" / "metrics.json").read_text())
    assert metrics["object_f1"]["mean"] == pytest.approx(scored["object_f1"].mean(), abs=1e-6)
    assert 0.5 < metrics["object_f1"]["low"] <= metrics["object_f1"]["high"] <= 1
    compared = pd.read_csv(evaluated / "comparison.csv").set_index("experiment")
    assert compared.loc["lungs-unet", "object_f1_mean"] > compared.loc["lungs-otsu", "object_f1_mean"]


def test_a_task_may_be_ranked_by_its_objects(lungs: Path) -> None:
    task = {**TASKS["lungs"], "score": "objects"}
    evaluate("lungs", task, EXPERIMENTS, Project(lungs), resamples=RESAMPLES, margin=MARGIN)
    compared = pd.read_csv(lungs / "results" / "evaluation" / "lungs" / "comparison.csv")
    assert compared["object_f1_mean"].is_monotonic_decreasing
    assert {"object_f1_behind_mean", "object_f1_montgomery_mean", "dice_mean"} < set(compared)
    assert not any(name.startswith("dice_behind") for name in compared)
    page = write_pages(lungs, tasks={"lungs": task})["lungs.html"]
    for words in ("Object F1", "Objects</dt>", "Weights are chosen by pixels", ">Dice<"):
        assert words in page
    assert page.count("It ranks the methods.") == 1


def test_objects_that_are_not_told_apart_rank_nothing(tmp_path: Path) -> None:
    write_prepared(tmp_path / "lungs")
    with pytest.raises(BakeoffError, match="tell none apart"):
        open_prepared(tmp_path / "lungs").score("objects")


@pytest.mark.parametrize(("classes", "kept_by"), [(["ground", "cell"], "Dice"), (["ground", "a", "b"], "mean Dice")])
def test_the_title_says_what_ranks_and_what_keeps_weights(classes: list[str], kept_by: str) -> None:
    score = mask_score("objects", classes, 0)
    assert (score.title, score.of_pixels.title) == ("object F1", kept_by)
    assert score.scored == score.of_pixels.scored == tuple(range(1, len(classes)))
    assert mask_score("mean-iou", classes, 0).of_pixels == mask_score("mean-iou", classes, 0)
