"""Curves and their areas: exact on a few images, scikit-learn's on many, and the file that the score stage writes."""

import numpy as np
import pandas as pd
import pytest
from bakeoff.evaluation.classification import figures
from bakeoff.evaluation.curves import MACRO, aurc, average_precision, curves, optimal_aurc
from sklearn import metrics


def drawn(images: int, classes: int, seeds: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """True classes, and probabilities in hundredths, so that there are ties, that know something of them."""
    rng = np.random.default_rng(classes)
    truth = rng.permutation(np.concatenate([np.arange(classes), rng.integers(0, classes, images - classes)]))
    logits = rng.normal(0, 1.5, (seeds, images, classes)) + 2 * np.eye(classes)[truth]
    probabilities = (np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)).round(2)
    return truth, probabilities / probabilities.sum(axis=2, keepdims=True)


def curve_of(table: pd.DataFrame, curve: str, name: str) -> dict[float, float]:
    rows = table[(table["curve"] == curve) & (table["class"] == name)]
    return dict(zip(rows["x"].round(3), rows["y"], strict=True))


@pytest.mark.parametrize("classes", [2, 3, 37])
def test_average_precision_is_scikit_learns(classes: int) -> None:
    truth, probabilities = drawn(300, classes, seeds=2)
    weights = np.random.default_rng(0).integers(0, 4, (3, 300))
    weights[:, :classes] += 1
    found = average_precision(truth, probabilities, weights.astype(np.float64))
    one_hot = np.eye(classes)[truth]
    for row, times in enumerate(weights):
        expected = [metrics.average_precision_score(one_hot, each, sample_weight=times) for each in probabilities]
        assert found[row] == pytest.approx(np.mean(expected), abs=1e-12)


def test_average_precision_of_tied_scores_is_scikit_learns() -> None:
    truth, probabilities = drawn(300, 2, seeds=1)
    probabilities = probabilities.round(1)
    expected = [metrics.average_precision_score(truth == each, probabilities[0, :, each]) for each in (0, 1)]
    assert average_precision(truth, probabilities, np.ones((1, 300)))[0] == pytest.approx(np.mean(expected), abs=1e-12)


def test_a_class_that_was_not_drawn_has_no_share() -> None:
    truth, probabilities = np.array([0, 0, 1]), np.array([[[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]]])
    assert average_precision(truth, probabilities, np.array([[1.0, 1, 0], [0, 0, 1]])).tolist() == [1, 1]
    # Of class 0: found first at precision 1, then last at 2 / 3. Of class 1: second, after an image of class 0.
    assert average_precision(truth, probabilities, np.ones((1, 3)))[0] == pytest.approx(((1 + 2 / 3) / 2 + 0.5) / 2)


def test_aurc_by_hand() -> None:
    confidence, correct = np.array([0.6, 0.9, 0.8, 0.7]), np.array([1, 1, 1, 0])
    # Accepted in the order right, right, wrong, right: risks 0, 0, 1/3, 1/4.
    assert aurc(confidence, correct, np.ones((1, 4)))[0] == pytest.approx((1 / 3 + 1 / 4) / 4)


def test_an_image_that_counts_twice_is_there_twice() -> None:
    rng = np.random.default_rng(0)
    confidence, correct = rng.random(40).round(1), rng.integers(0, 2, 40)
    weights = rng.integers(0, 3, (4, 40))
    for found, times in zip(aurc(confidence, correct, weights), weights, strict=True):
        repeated = aurc(np.repeat(confidence, times), np.repeat(correct, times), np.ones((1, times.sum())))
        assert found == pytest.approx(repeated[0])


def test_a_confidence_that_says_nothing_has_the_risk_of_all_images() -> None:
    correct = np.array([1, 0, 0, 1, 1])
    assert aurc(np.full(5, 0.7), correct, np.ones((1, 5)))[0] == pytest.approx(0.4)
    order = np.random.default_rng(0).random((3000, 5))
    by_chance = np.mean([aurc(each, correct, np.ones((1, 5)))[0] for each in order])
    assert by_chance == pytest.approx(0.4, abs=0.01)


@pytest.mark.parametrize("accuracy", [0.0, 0.3, 0.9, 1.0])
def test_the_optimum_is_that_of_a_confidence_that_knows(accuracy: float) -> None:
    correct = np.arange(10_000) < 10_000 * accuracy
    knowing = -np.arange(10_000.0)
    found = aurc(knowing, correct, np.ones((1, 10_000)))[0]
    assert optimal_aurc(accuracy) == pytest.approx(found, abs=2e-4)


def test_curves_of_a_few_images_by_hand() -> None:
    # By probability of dog: dog, cat, dog, cat.
    of_dog = np.array([0.9, 0.8, 0.4, 0.3])
    truth, probabilities = np.array([1, 0, 1, 0]), np.column_stack([1 - of_dog, of_dog])[None]
    table = curves(truth, probabilities, ["cat", "dog"])
    assert table.columns.tolist() == ["curve", "class", "x", "y"]
    roc = curve_of(table, "roc", "dog")
    assert [roc[x] for x in (0, 0.25, 0.5, 0.75, 1)] == pytest.approx([0.5, 0.75, 1, 1, 1])
    pr = curve_of(table, "pr", "dog")
    assert [pr[x] for x in (0, 0.5, 0.505, 1)] == pytest.approx([1, 1, 2 / 3, 2 / 3])
    # Confidences .9, .8, .6, .7: right, wrong, wrong, right.
    risk = curve_of(table, "risk_coverage", "confidence")
    assert [risk[x] for x in (0, 0.25, 0.5, 0.75, 1)] == pytest.approx([0, 0, 0.5, 1 / 3, 0.5])
    optimal = curve_of(table, "risk_coverage", "optimal")
    assert [optimal[x] for x in (0, 0.5, 0.75, 1)] == pytest.approx([0, 0, 1 / 3, 0.5])
    assert set(curve_of(table, "risk_coverage", "random").values()) == {0.5}


@pytest.mark.parametrize("classes", [2, 5])
def test_areas_under_the_curves_are_the_figures(classes: int) -> None:
    truth, probabilities = drawn(800, classes, seeds=3)
    names = [f"class {index}" for index in range(classes)]
    table = curves(truth, probabilities, names)
    found = figures(truth, probabilities)

    def area(curve: str, name: str) -> float:
        points = curve_of(table, curve, name)
        return float(np.trapezoid(list(points.values()), list(points)))

    assert area("roc", MACRO) == pytest.approx(found["roc_auc"][0], abs=0.003)
    assert area("pr", MACRO) == pytest.approx(found["average_precision"][0], abs=0.003)
    assert area("risk_coverage", "confidence") == pytest.approx(found["aurc"][0], abs=0.003)
    assert area("roc", "class 1") == pytest.approx(
        np.mean([metrics.roc_auc_score(truth == 1, each[:, 1]) for each in probabilities]), abs=0.003
    )
    accuracy = (probabilities.argmax(axis=2) == truth).mean(axis=1)
    assert area("risk_coverage", "optimal") == pytest.approx(np.mean([optimal_aurc(a) for a in accuracy]), abs=0.003)


def test_there_are_201_points_a_curve_all_from_0_to_1() -> None:
    truth, probabilities = drawn(900, 3)
    table = curves(truth, probabilities, ["a", "b", "c"])
    sizes = table.groupby(["curve", "class"]).size()
    assert (sizes == 201).all()
    assert sorted(sizes["roc"].index) == sorted(sizes["pr"].index) == ["a", "b", "c", MACRO]
    assert table["x"].between(0, 1).all()
    assert table["y"].between(0, 1).all()


def test_a_class_that_no_image_has_or_every_image_has_no_curve() -> None:
    probabilities = np.array([[[0.6, 0.3, 0.1], [0.3, 0.6, 0.1], [0.2, 0.7, 0.1]]])
    table = curves(np.array([0, 1, 1]), probabilities, ["a", "b", "c"])
    assert set(table.loc[table["curve"] == "roc", "class"]) == {"a", "b", MACRO}
    alone = curves(np.array([0, 0, 0]), probabilities, ["a", "b", "c"])
    assert set(alone["curve"]) == {"risk_coverage"}


def test_all_wrong_is_as_bad_as_it_gets() -> None:
    table = curves(np.array([1, 1]), np.array([[[0.9, 0.1], [0.8, 0.2]]]), ["a", "b"])
    for name in ("confidence", "optimal", "random"):
        assert set(curve_of(table, "risk_coverage", name).values()) == {1.0}
