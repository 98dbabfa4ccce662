"""Leakage between splits is counted exactly, leaking metadata is found and named, and chance is not mistaken for it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bakeoff.artefacts.prepared import Fold
from bakeoff.artefacts.void import VOID
from bakeoff.datasets.splits.splitting import keeps_groups
from bakeoff.evaluation.bootstrap import Interval
from bakeoff.evaluation.paired import compare_paired
from bakeoff.leakage import wording
from bakeoff.leakage.between_splits import (
    balance_check,
    conflict_check,
    duplicate_check,
    group_check,
    mask_conflicts,
    pairs_between_splits,
)
from bakeoff.leakage.designs import BETWEEN_SPLITS, IN_SAMPLE, Design, designs
from bakeoff.leakage.effects import LeakageEffect, leakage_effect
from bakeoff.leakage.predictability import (
    Predictability,
    balanced_accuracy_interval,
    brightness_check,
    holm_corrected,
    metadata_check,
    permutation_p,
    predictability,
)
from scipy import stats
from sklearn.metrics import balanced_accuracy_score

# Six images: 0, 1 and 2 train, 3 chooses, 4 and 5 test.
FOLD = Fold(0, np.array([0, 1, 2]), np.array([3]), np.array([4, 5]))
IDS = list("abcdef")
NONE = np.zeros((0, 2), np.int64)


def pairs(*rows: tuple[int, int]) -> np.ndarray:
    return np.array(rows, np.int64).reshape(-1, 2)


# -- leakage between splits ----------------------------------------------------------------


def test_a_pair_leaks_whichever_image_is_tested_and_whether_the_other_trains_or_validates() -> None:
    found = pairs_between_splits(pairs((0, 1), (0, 4), (5, 3), (4, 5)), [FOLD])
    assert found.to_numpy().tolist() == [[0, 0, 4], [0, 3, 5]]


def test_an_image_that_is_left_out_does_not_leak() -> None:
    fold = Fold(0, np.array([0]), np.array([1]), np.array([2]))
    assert pairs_between_splits(pairs((2, 3), (3, 0)), [fold]).empty


def test_every_fold_is_checked() -> None:
    other = Fold(1, np.array([4, 5]), np.array([3]), np.array([0, 1, 2]))
    found = pairs_between_splits(pairs((0, 4)), [FOLD, other])
    assert found.to_numpy().tolist() == [[0, 0, 4], [1, 4, 0]]


def test_duplicates_are_counted_by_pair_and_their_share_by_tested_image() -> None:
    check = duplicate_check(pairs((0, 4), (1, 4)), [FOLD], IDS, exact=True, by_design=False)
    assert (check.verdict, check.count, check.score) == ("fail", 2, 0.5)
    assert check.details["pairs"] == [
        {"fold": 0, "seen": "a", "tested": "e"},
        {"fold": 0, "seen": "b", "tested": "e"},
    ]
    assert check.finding.startswith("1 of 2 tested images (50.0%)")


def test_a_split_that_separates_near_duplicates_by_design_fails_and_says_so() -> None:
    grouped = duplicate_check(pairs((0, 4)), [FOLD], IDS, exact=False, by_design=False)
    random = duplicate_check(pairs((0, 4)), [FOLD], IDS, exact=False, by_design=True)
    assert (grouped.verdict, random.verdict) == ("fail", "fail")
    assert "This is expected" in random.explanation
    assert "expected" not in grouped.explanation


def test_no_duplicates() -> None:
    check = duplicate_check(NONE, [FOLD], IDS, exact=True, by_design=True)
    assert (check.verdict, check.count, check.score) == ("pass", 0, 0.0)
    assert "expected" not in check.explanation


def test_groups_in_training_and_test() -> None:
    check = group_check(np.array(["p", "q", "r", "q", "q", "q"]), [FOLD], by_design=False)
    assert (check.verdict, check.count, check.score) == ("fail", 1, 1.0)
    assert check.details == {"groups": ["q"], "by_fold": {"0": 2}}
    together = group_check(np.array(["p", "p", "p", "q", "r", "r"]), [FOLD], by_design=False)
    assert (together.verdict, together.finding) == ("pass", "No group is in both the training and the test part.")
    assert group_check(np.array(IDS), [FOLD], by_design=False).finding == "Every image is a group of its own."


@pytest.mark.parametrize(
    ("split", "keeps"),
    [
        ({"name": "stratified", "seed": 0}, True),
        ({"name": "folds", "grouped": True}, True),
        ({"name": "folds", "grouped": False}, False),
        ({"name": "by-label", "grouped": True}, True),
        ({"name": "by-label", "grouped": False}, False),
        ({"name": "random"}, False),
        ({"name": "every-14th"}, False),
    ],
)
def test_which_splits_keep_groups_together(split: dict[str, Any], keeps: bool) -> None:
    assert keeps_groups(split) is keeps


# -- labels -----------------------------------------------------------------------------------------------------------


def test_masks_contradict_each_other_below_half_an_overlap() -> None:
    masks = np.array(
        [
            [[1, 1], [0, 0]],
            [[2, 2], [0, 0]],  # the same pixels, of another class
            [[1, 0], [1, 0]],  # Dice 2 * 1 / 4: just not a contradiction
            [[0, 0], [1, 1]],
            [[0, 0], [0, 0]],
            [[0, 0], [0, 0]],
        ],
        np.uint8,
    )
    assert mask_conflicts(pairs((0, 1), (0, 2), (0, 3), (0, 4), (4, 5)), masks, 3, (1, 2)).tolist() == [
        True,
        False,
        True,
        True,
        False,
    ]
    void = masks.copy()
    void[1, 0] = VOID
    assert mask_conflicts(pairs((0, 1)), void, 3, (1, 2)).tolist() == [False]
    assert mask_conflicts(NONE, masks, 3, (1, 2)).tolist() == []


def test_two_annotations_of_identical_images_fail_and_of_near_duplicates_warn() -> None:
    same, like = pairs((0, 1)), pairs((2, 3), (4, 5))
    check = conflict_check(same, like, np.array([True, False, True]), IDS, what="class")
    assert (check.verdict, check.count, check.details["pairs"]) == ("fail", 2, [["a", "b"], ["e", "f"]])
    assert check.score == pytest.approx(4 / 6)
    warned = conflict_check(same, like, np.array([False, False, True]), IDS, what="class")
    assert (warned.verdict, warned.count) == ("warn", 1)
    assert conflict_check(same, like, np.zeros(3, bool), IDS, what="class").verdict == "pass"
    assert conflict_check(NONE, NONE, np.zeros(0, bool), IDS, what="class").verdict == "pass"


@pytest.mark.parametrize(
    ("labels", "verdict", "missing"),
    [
        ("xyxyxy", "warn", [{"fold": 0, "part": "validation", "class": "x"}]),
        ("xyxyyy", "fail", [{"part": "validation", "class": "x"}, {"part": "test", "class": "x"}]),
        ("xxxyxy", "fail", [{"part": "train", "class": "y"}, {"part": "validation", "class": "x"}]),
    ],
)
def test_a_class_that_cannot_be_learned_or_tested_fails(labels: str, verdict: str, missing: list[dict]) -> None:
    check = balance_check(pd.get_dummies(np.array(list(labels))), [FOLD])
    assert check.verdict == verdict
    assert [{**each, "fold": 0} for each in missing] == check.details["missing"]


def test_classes_of_masks_may_share_an_image() -> None:
    present = pd.DataFrame({"background": [True] * 6, "lesion": [True, False, True, True, True, False]})
    check = balance_check(present, [FOLD])
    assert (check.verdict, check.count) == ("pass", 0)
    assert "differs by at most 16.7% between training and test (lesion)" in check.finding


# -- predictability --------------------------------------------------------------------------------------


def folds_of(count: int, parts: int = 2) -> list[Fold]:
    """Folds that test every image once; a tenth of the others chooses."""
    order = np.random.default_rng(0).permutation(count)
    tested = np.array_split(order, parts)
    others = [np.setdiff1d(order, each) for each in tested]
    return [
        Fold(number, each[len(each) // 10 :], each[: len(each) // 10], np.sort(test))
        for number, (each, test) in enumerate(zip(others, tested, strict=True))
    ]


def test_a_column_that_gives_the_label_away_is_found_and_named() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(["benign", "malignant", "normal"], 40)
    width = np.repeat([500, 600, 700], 40) + rng.integers(-20, 20, 120)
    columns = pd.DataFrame({"height": rng.integers(400, 500, 120), "width": width, "format": ".png"})
    found = predictability(columns, labels, folds_of(120), np.arange(120), resamples=200)
    assert found is not None
    assert found.above_chance
    assert (found.column, found.columns, found.chance) == ("width", ("height", "width"), pytest.approx(1 / 3))
    assert found.score.mean > 0.95
    assert list(found.by_fold) == ["0", "1"]
    check = metadata_check("class", found)
    assert (check.verdict, check.score, check.chance) == ("warn", found.score.mean, found.chance)
    assert "the label leaks, mostly through width" in check.finding
    shown = brightness_check("class", found)
    assert shown is not None
    assert shown.verdict == "warn"


def test_text_predicts_as_well_as_numbers() -> None:
    labels = np.tile(["a", "b"], 30)
    columns = pd.DataFrame({"hospital": np.where(labels == "a", "north", "south"), "noise": np.arange(60)})
    found = predictability(columns, labels, folds_of(60), np.arange(60), resamples=200)
    assert found is not None
    assert (found.column, found.score.mean) == ("hospital", 1.0)


@pytest.mark.parametrize("names", [("0", "1"), ("001", "1"), ("1e5", "nan")])
@pytest.mark.parametrize("type_", [str, object])
def test_labels_that_look_like_numbers_are_labels(names: tuple[str, str], type_: type) -> None:
    labels = np.tile(np.array(names, type_), 30)
    columns = pd.DataFrame({"width": np.where(labels == names[0], 500, 600), "noise": np.arange(60)})
    found = predictability(columns, labels, folds_of(60), np.arange(60), resamples=200)
    assert found is not None
    assert (found.column, found.score.mean) == ("width", 1.0)


def test_noise_predicts_nothing_and_threads_change_nothing() -> None:
    rng = np.random.default_rng(1)
    columns = pd.DataFrame({"width": rng.integers(400, 500, 120), "height": rng.integers(400, 500, 120)})
    labels = rng.permutation(np.repeat(["a", "b"], 60))
    found = predictability(columns, labels, folds_of(120), np.arange(120), resamples=200)
    assert found is not None
    assert (found.above_chance, found.column) == (False, None)
    assert metadata_check("class", found).verdict == "pass"
    assert found == predictability(columns, labels, folds_of(120), np.arange(120), resamples=200, threads=2)


def test_p_values_of_several_labels_are_corrected() -> None:
    one = Predictability(Interval(0.7, 0.55, 0.85), 0.5, 0.02, None, ("width",), {})
    found = holm_corrected([replace(one, p_value=p) if p else None for p in (0.02, None, 0.03, 0.001)])
    assert [each and round(each.p_value, 6) for each in found] == [0.04, None, 0.04, 0.003]
    assert one.above_chance
    assert not holm_corrected([one, one, one])[0].above_chance, "three at 0.02 are 0.06"
    assert holm_corrected([None]) == [None]


def test_seven_of_ten_groups_right_are_ten_pieces_of_evidence_and_not_sixty() -> None:
    labels = np.repeat(np.tile(["a", "b"], 5), 6)
    predicted = np.where(np.arange(60) < 42, labels, np.where(labels == "a", "b", "a"))
    fold = np.zeros(60, int)
    assert permutation_p(labels, predicted, np.arange(60), fold) < 0.01
    assert permutation_p(labels, predicted, np.repeat(np.arange(10), 6), fold) > 0.1


def test_constant_columns_and_single_classes_cannot_be_tested() -> None:
    labels, groups = np.tile(["a", "b"], 3), np.arange(6)
    constant = pd.DataFrame({"width": [500] * 6, "format": [".png"] * 6})
    assert predictability(constant, labels, [FOLD], groups, resamples=100) is None
    differs = pd.DataFrame({"width": np.arange(6)})
    assert (
        predictability(differs, np.array(list("aaaabb")), [FOLD], groups, resamples=100) is None
    )  # one class to learn
    assert predictability(differs, np.array(list("ababaa")), [FOLD], groups, resamples=100) is None  # one to test
    of_another_hospital = pd.DataFrame({"hospital": list("mmmmss")})
    assert predictability(of_another_hospital, labels, [FOLD], groups, resamples=100) is None
    check = metadata_check("class", None)
    assert (check.verdict, check.score) == ("untested", None)
    assert brightness_check("class", None) is None


def test_balanced_accuracy_is_scikit_learns_and_groups_widen_its_interval() -> None:
    rng = np.random.default_rng(3)
    truth = np.repeat(rng.choice(["a", "b", "c"], 60, p=[0.6, 0.3, 0.1]), 5)
    predicted = np.where(np.repeat(rng.random(60), 5) < 0.6, truth, "a")
    alone = balanced_accuracy_interval(truth, predicted, np.arange(300), resamples=500)
    together = balanced_accuracy_interval(truth, predicted, np.repeat(np.arange(60), 5), resamples=500)
    assert alone.mean == together.mean == pytest.approx(balanced_accuracy_score(truth, predicted))
    assert together.high - together.low > 1.5 * (alone.high - alone.low)
    assert together.low < together.mean < together.high


def test_images_of_one_group_give_no_interval_of_balanced_accuracy() -> None:
    truth = np.array(["a", "a", "b", "b"])
    found = balanced_accuracy_interval(truth, np.array(["a", "b", "b", "b"]), np.zeros(4), resamples=10)
    assert found == pytest.approx((0.75, np.nan, np.nan), nan_ok=True)
    assert found.plain() == {"mean": 0.75, "low": None, "high": None}


def test_the_interval_of_balanced_accuracy_covers() -> None:
    covered, rng = 0, np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], [60, 40, 20])
    chances = np.array([0.8, 0.6, 0.5])  # of being right, by class: a balanced accuracy of 0.6333
    for repeat in range(300):
        predicted = np.where(rng.random(120) < chances[truth], truth, (truth + 1) % 3)
        found = balanced_accuracy_interval(truth, predicted, np.arange(120), resamples=300, seed=repeat)
        covered += found.low <= chances.mean() <= found.high
    assert 0.91 <= covered / 300 <= 0.98


def test_permutations_give_the_exact_probability() -> None:
    # Of the 6 ways to give two labels to four images one is all right.
    truth = np.array(["a", "a", "b", "b"])
    fold = np.zeros(4, int)
    assert permutation_p(truth, truth, np.arange(4), fold) == pytest.approx(1 / 6, abs=0.04)
    # As two groups, there are 2 ways.
    assert permutation_p(truth, truth, np.array([0, 0, 1, 1]), fold) == pytest.approx(1 / 2, abs=0.05)
    # Groups of one size alone, or of folds alone, stay: nothing can be shuffled, and nothing is shown.
    assert permutation_p(truth, truth, np.array([0, 0, 0, 1]), fold) == 1.0
    assert permutation_p(truth, truth, np.arange(4), np.array([0, 0, 1, 1])) == 1.0


def test_guesses_are_rarely_above_chance() -> None:
    rng, warned = np.random.default_rng(0), 0
    for repeat in range(100):
        truth, guessed = rng.integers(0, 3, 80), rng.integers(0, 3, 80)
        groups, fold = np.arange(80), np.repeat([0, 1], 40)
        low = balanced_accuracy_interval(truth, guessed, groups, resamples=200, seed=repeat).low
        warned += low > 1 / 3 and permutation_p(truth, guessed, groups, fold, seed=repeat) < 0.05
    assert warned <= 0.06 * 100


# -- leakage effects --------------------------------------------------------------------------------------------------


def by_seed(values: Any, ids: list[str]) -> pd.DataFrame:
    return pd.DataFrame(np.asarray(values, float).reshape(len(ids), -1), index=ids)


def test_on_the_same_images_the_difference_is_paired_by_id() -> None:
    ids = [f"i{n}" for n in range(40)]
    groups = pd.Series(np.repeat(np.arange(20), 2), ids)
    rng = np.random.default_rng(0)
    clean = (rng.random(40) < 0.6).astype(float)
    leaking = np.maximum(clean, rng.random(40) < 0.5)
    found = leakage_effect(by_seed(leaking, ids), by_seed(clean, ids)[::-1], groups, resamples=500)
    paired = compare_paired(leaking, clean, groups=groups.to_numpy(), binary=True, resamples=500)
    assert found.paired
    assert (found.difference, found.low, found.high) == pytest.approx((paired.difference, paired.low, paired.high))
    assert found.with_leak - found.without_leak == pytest.approx(found.difference)
    assert found.low > 0


def test_on_other_images_the_interval_is_that_of_two_samples() -> None:
    rng = np.random.default_rng(0)
    first, second = (rng.random(150) < 0.8).astype(float), (rng.random(200) < 0.6).astype(float)
    ids = [[f"{name}{n}" for n in range(size)] for name, size in (("a", 150), ("b", 200))]
    groups = pd.Series({each: each for each in [*ids[0], *ids[1]]})
    found = leakage_effect(by_seed(first, ids[0]), by_seed(second, ids[1]), groups, resamples=4000)
    drawn = stats.bootstrap(
        (first, second),
        lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
        vectorized=True,
        n_resamples=4000,
        method="percentile",
        random_state=np.random.default_rng(0),
    ).confidence_interval
    assert not found.paired
    assert found.difference == pytest.approx(first.mean() - second.mean())
    assert (found.low, found.high) == pytest.approx((drawn.low, drawn.high), abs=0.01)


def test_groups_widen_the_interval_of_two_samples() -> None:
    rng = np.random.default_rng(1)
    values = np.repeat((rng.random(30) < 0.5).astype(float), 4)
    ids = [[f"{name}{n}" for n in range(120)] for name in "ab"]
    alone = pd.Series({each: each for each in [*ids[0], *ids[1]]})
    together = pd.Series({each: each[0] + str(int(each[1:]) // 4) for each in alone})
    tables = by_seed(values, ids[0]), by_seed(values[::-1], ids[1])
    narrow, wide = (leakage_effect(*tables, groups, resamples=1000) for groups in (alone, together))
    assert wide.high - wide.low > 1.6 * (narrow.high - narrow.low)


def test_equal_scores_have_no_effect_and_a_missing_one_is_refused() -> None:
    ids = list("abcd")
    table, groups = by_seed([1, 0, 1, 1], ids), pd.Series(ids, ids)
    found = leakage_effect(table, table, groups, resamples=100)
    # Tango's interval of no image in four that tells the two apart: z^2 / (n + z^2).
    assert found == LeakageEffect(0.75, 0.75, 0.0, pytest.approx(-0.49, abs=1e-3), pytest.approx(0.49, abs=1e-3), True)
    with pytest.raises(ValueError, match="not finite"):
        leakage_effect(by_seed([1, 0, 1, np.nan], ids), table, groups, resamples=100)


def test_what_is_said_of_an_effect() -> None:
    rise = wording.effect(LeakageEffect(0.7, 0.9, 0.2, 0.1, 0.3, paired=True), "accuracy")
    assert rise == "Accuracy rises from 0.700 to 0.900, by +0.200 (+0.100 to +0.300), on the same images."
    fall = wording.effect(LeakageEffect(0.9, 0.7, -0.2, -0.3, -0.1, paired=False), "Dice")
    assert fall.startswith("Dice falls from 0.900 to 0.700")
    assert "different images" in fall
    assert "may be chance" in wording.effect(LeakageEffect(0.7, 0.7, 0.0, 0.0, 0.0, paired=True), "accuracy")


# -- designs ----------------------------------------------------------------------------------------------------------

OVERLAY = {"dataset": "d", "kind": "overlay", "masks": "d", "variant": "true", "style": "outline", "seed": 0}
DERIVED: dict[str, dict[str, Any]] = {
    "overlay": OVERLAY,
    "shuffled": {**OVERLAY, "variant": "shuffled"},
    "predicted": {**OVERLAY, "masks": "unet", "variant": "cross-fitted"},
    "in-sample": {**OVERLAY, "masks": "unet", "variant": "in-sample"},
    "of-another-network": {**OVERLAY, "masks": "segnet", "variant": "in-sample"},
    "tinted": {**OVERLAY, "masks": "unet", "variant": "cross-fitted", "style": "tint"},
    "mask": {"dataset": "d", "kind": "mask", "masks": "d", "variant": "true"},
}
TASKS: dict[str, dict[str, Any]] = {
    "t": {"dataset": "d", "kind": "classification", "target": "class", "split": {"name": "folds", "grouped": True}},
    "u": {"dataset": "d", "kind": "classification", "target": "class", "split": {"name": "folds", "grouped": False}},
    "v": {"dataset": "d", "kind": "classification", "target": "other", "split": {"name": "random"}},
}


def shows(images: str, **others: Any) -> dict[str, Any]:
    entry = {"dataset": "d", "task": "t", "model": "m", "recipe": "r", "images": images}
    return {**entry, "pictures": DERIVED.get(images), "oracle": images in ("overlay", "mask"), **others}


def test_designs_that_differ_in_the_pictures() -> None:
    experiments = {"raw": shows("d", masks=False), **{name: shows(name) for name in DERIVED}}
    found = designs(experiments, TASKS)
    assert set(found) == {
        Design("true mask added to the image", "raw", "overlay"),
        Design("true mask instead of the image", "raw", "mask"),
        Design("true instead of another image's mask", "shuffled", "overlay"),
        Design("true instead of predicted mask", "predicted", "overlay"),
        Design("control: another image's mask added to the image", "raw", "shuffled"),
        Design(IN_SAMPLE, "predicted", "in-sample"),
    }
    assert not any(design.across_tasks for design in found)


def test_designs_that_differ_in_the_split() -> None:
    experiments = {
        "raw": shows("d"),
        "ungrouped": shows("d", task="u"),
        "ungrouped-overlay": shows("overlay", task="u"),
        "of-another-label": shows("d", task="v"),
        "of-another-recipe": shows("d", recipe="q"),
        "with-masks": shows("d", task="u", masks=True),
    }
    found = designs(experiments, TASKS)
    assert found == [
        Design(BETWEEN_SPLITS, "raw", "ungrouped"),
        Design("true mask added to the image", "ungrouped", "ungrouped-overlay"),
    ]
    assert [design.across_tasks for design in found] == [True, False]


def test_training_on_one_hospital_is_another_difference_than_leakage_between_splits() -> None:
    split = {"name": "stratified", "learn_from": {"label": "hospital", "value": "north"}}
    tasks = {**TASKS, "t": {**TASKS["t"], "split": split}}
    experiments = {"one-hospital": shows("d"), "ungrouped": shows("d", task="u")}
    assert designs(experiments, tasks) == []
