"""Temperature scaling: exact where it can be, torch's optimum where not, and no class changed by it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from bakeoff.artefacts.predictions import Probabilities, probability_table, write_probabilities
from bakeoff.datasets.splits.split import split
from bakeoff.evaluation.bootstrap import mean_interval
from bakeoff.evaluation.calibration import HIGHEST, LOWEST, calibrate, fit_temperature, scale
from bakeoff.evaluation.classification import figures, image_scores
from bakeoff.tasks.scoring import score
from ellipses import write_prepared
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

TASK = {
    "dataset": "lungs",
    "kind": "classification",
    "target": "diagnosis",
    "split": {"name": "folds", "folds": 2, "validation": 0.3, "stratify": ["diagnosis"], "grouped": True, "seed": 0},
}


def drawn(images: int, classes: int, sharpness: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from probabilities, and those probabilities with their logits made so many times as large."""
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(0, 1.5, (images, classes)))
    truth = torch.multinomial(logits.softmax(dim=1), 1, generator=torch.Generator().manual_seed(seed))[:, 0]
    return truth.numpy(), (sharpness * logits).softmax(dim=1).numpy()


def mean_log_loss(truth: np.ndarray, probabilities: np.ndarray) -> float:
    return float(image_scores(truth, probabilities)["log_loss"].mean())


def test_a_few_temperatures_by_hand() -> None:
    rows = np.array([[0.8, 0.2], [0.5, 0.5]])
    assert scale(rows, 1) == pytest.approx(rows)
    assert scale(rows, 2) == pytest.approx(np.array([[2 / 3, 1 / 3], [0.5, 0.5]]))  # roots of 4 to 1
    assert scale(rows, 0.5) == pytest.approx(np.array([[16 / 17, 1 / 17], [0.5, 0.5]]))


def test_scaled_probabilities_are_the_softmax_of_divided_logits() -> None:
    logits = torch.from_numpy(np.random.default_rng(0).normal(0, 3, (50, 7)))
    for temperature in (0.3, 1.7, 9):
        expected = (logits / temperature).softmax(dim=1).numpy()
        assert scale(logits.softmax(dim=1).numpy(), temperature) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("classes", "sharpness"), [(2, 3.0), (5, 0.4), (37, 6.0)])
def test_the_temperature_is_the_one_that_torch_finds(classes: int, sharpness: float) -> None:
    truth, probabilities = drawn(400, classes, sharpness)
    # As in the paper's own code L-BFGS on the cross-entropy; its parameter is what logits are multiplied by, 1 / T.
    inverse = torch.ones(1, dtype=torch.float64, requires_grad=True)
    logits, target = torch.from_numpy(np.log(probabilities)), torch.from_numpy(truth)
    optimiser = torch.optim.LBFGS(
        [inverse], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-15, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(logits * inverse, target)
        loss.backward()
        return loss

    optimiser.step(closure)
    assert fit_temperature(truth, probabilities) == pytest.approx(1 / inverse.item(), rel=1e-5)


def test_of_two_classes_it_is_a_logistic_regression_on_the_logit() -> None:
    truth, probabilities = drawn(300, 2, 2.5)
    logit = np.log(probabilities[:, [1]] / probabilities[:, [0]])
    regression = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10).fit(logit, truth)
    assert fit_temperature(truth, probabilities) == pytest.approx(1 / regression.coef_[0, 0], rel=1e-4)


def test_the_factor_that_logits_are_too_large_by_is_found() -> None:
    truth, probabilities = drawn(10_000, 5, 3.0)
    assert fit_temperature(truth, probabilities) == pytest.approx(3, rel=0.03)
    honest = scale(probabilities, 3)
    found, before = figures(truth, honest[None]), figures(truth, probabilities[None])
    assert found["ece"][0] < 0.02 < before["ece"][0]


@given(st.integers(1, 40), st.integers(2, 6), st.floats(0.05, 20), st.integers(0, 1000))
def test_no_predicted_class_changes(images: int, classes: int, temperature: float, seed: int) -> None:
    probabilities = np.random.default_rng(seed).dirichlet(np.full(classes, 0.2), images).round(2)
    probabilities /= probabilities.sum(axis=1, keepdims=True)  # ties, and zeros
    scaled = scale(probabilities, temperature)
    assert (scaled.argmax(axis=1) == probabilities.argmax(axis=1)).all()
    assert scaled.sum(axis=1) == pytest.approx(np.ones(images))
    assert np.isfinite(scaled).all()


def test_float32_neighbours_stay_apart_at_the_highest_temperature() -> None:
    above = np.nextafter(np.float32(0.5), np.float32(1))
    probabilities = np.array([[1 - above, above]], np.float64)
    assert scale(probabilities, HIGHEST).argmax() == 1


def test_a_probability_of_0_for_the_truth_is_mended() -> None:
    probabilities = np.eye(2)[[0, 0, 0, 0]]
    truth = np.array([0, 0, 0, 1])
    temperature = fit_temperature(truth, probabilities)
    # A logit of 87.3, the logarithm of what 0 counts as, over T is right in 3 of 4.
    assert temperature == pytest.approx(-np.log(np.finfo(np.float32).tiny) / np.log(3))
    assert scale(probabilities, temperature)[0] == pytest.approx([0.75, 0.25])
    assert np.isfinite(mean_log_loss(truth, scale(probabilities, temperature)))
    assert mean_log_loss(truth, scale(probabilities, temperature)) < mean_log_loss(truth, probabilities) / 5


def test_the_same_probability_for_all_classes_stays_as_it_is() -> None:
    assert fit_temperature(np.array([0, 1, 1]), np.full((3, 2), 0.5)) == 1


def test_at_the_ends_the_images_do_not_say() -> None:
    rows = np.array([[0.6, 0.4], [0.4, 0.6]])
    assert fit_temperature(np.array([0, 1]), rows) == LOWEST  # all right: the surer, the better
    assert fit_temperature(np.array([1, 0]), rows) == HIGHEST  # all wrong


def test_no_image_is_no_evidence() -> None:
    with pytest.raises(ValueError, match="no image to fit"):
        fit_temperature(np.array([], int), np.zeros((0, 2)))


def test_every_training_has_the_temperature_of_its_own_validation_images() -> None:
    index = pd.DataFrame({"id": [f"{n}" for n in range(400)], "kind": ""})
    test, validation, sharpness = [], [], {(0, 0): 1.0, (0, 1): 4.0, (1, 0): 0.5, (1, 1): 2.0}
    labels, probabilities = drawn(400, 2, 1.0)
    index["kind"] = np.array(["a", "b"])[labels]
    folds = np.arange(400).reshape(2, 200)
    for (seed, fold), times in sharpness.items():
        sharper = scale(probabilities, 1 / times)
        test.append((seed, fold, folds[fold], sharper[folds[fold]]))
        validation.append((seed, fold, folds[1 - fold], sharper[folds[1 - fold]]))
    tables = [
        Probabilities(probability_table(index, "kind", ["a", "b"], runs), ["a", "b"]) for runs in (test, validation)
    ]
    scaled, table = calibrate(*tables)
    assert table[["seed", "fold"]].to_numpy().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    for row, ((seed, fold), times) in zip(table.itertuples(), sharpness.items(), strict=True):
        others = folds[1 - fold]
        expected = times * fit_temperature(labels[others], probabilities[others])
        assert row.temperature == pytest.approx(expected, rel=1e-5)
        assert (row.validation_images, row.test_images) == (200, 200)
        mine = scale(tables[0].stacked[seed, folds[fold]], row.temperature)
        assert scaled[seed, folds[fold]] == pytest.approx(mine)
        assert row.log_loss_scaled == pytest.approx(mean_log_loss(labels[folds[fold]], mine))
        assert row.ece_scaled == pytest.approx(figures(labels[folds[fold]], mine[None])["ece"][0])
        unscaled = tables[0].stacked[[seed]][:, folds[fold]]
        assert row.ece == pytest.approx(figures(labels[folds[fold]], unscaled)["ece"][0])
        assert row.log_loss == pytest.approx(mean_log_loss(labels[folds[fold]], unscaled[0]))
    # However sharp a network is, scaled it says the same as another that differs in that alone.
    assert scaled[0] == pytest.approx(scaled[1], abs=1e-6)


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A method that is far too sure, cross-validated, two seeds, scored by the stage."""
    root = tmp_path_factory.mktemp("calibration")
    write_prepared(root / "prepared", images=240)
    split("diagnosis", TASK, root / "prepared", root / "split.csv")
    index, folds = pd.read_csv(root / "prepared" / "index.csv"), pd.read_csv(root / "split.csv")
    rng = np.random.default_rng(0)
    for part in ("test", "validation"):
        images = index.merge(folds[folds["split"] == part], on="id")
        side = np.where(images["diagnosis"] == "tuberculosis", 1, -1)
        tables = []
        for seed in range(2):
            sick = 1 / (1 + np.exp(-6 * (side + rng.normal(0, 1, len(images)))))
            columns = {"id": images["id"], "seed": seed, "fold": images["fold"], "label": images["diagnosis"]}
            tables.append(pd.DataFrame({**columns, "p_normal": 1 - sick, "p_tuberculosis": sick}))
        write_probabilities(root / "results", pd.concat(tables), part)
    results = root / "results"
    score("x", "diagnosis", root / "prepared", root / "split.csv", results, results, resamples=300)
    return root


def test_the_stage_says_what_scaling_changed(scored: Path) -> None:
    table = pd.read_csv(scored / "results" / "calibration.csv")
    assert table.columns.tolist() == [
        *("seed", "fold", "temperature", "validation_images", "test_images"),
        *("log_loss", "ece", "log_loss_scaled", "ece_scaled"),
    ]
    assert table[["seed", "fold"]].to_numpy().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert (table["temperature"] > 1).all()
    metrics = json.loads((scored / "results" / "metrics.json").read_text())
    assert metrics["temperature"] == pytest.approx(table["temperature"].mean(), abs=1e-6)
    # Both folds test as many images.
    assert metrics["log_loss"]["mean"] == pytest.approx(table["log_loss"].mean(), abs=1e-5)
    assert metrics["log_loss_scaled"]["mean"] == pytest.approx(table["log_loss_scaled"].mean(), abs=1e-5)
    for name in ("log_loss", "ece"):
        assert metrics[f"{name}_scaled"]["mean"] < metrics[name]["mean"]
        assert metrics[f"{name}_scaled"]["low"] < metrics[f"{name}_scaled"]["high"]


def test_the_rows_of_scores_are_of_the_probabilities_as_predicted(scored: Path) -> None:
    scores = pd.read_csv(scored / "results" / "scores.csv")
    metrics = json.loads((scored / "results" / "metrics.json").read_text())
    by_image = scores.groupby("id")["log_loss"].mean().to_numpy()
    assert metrics["log_loss"]["mean"] == pytest.approx(mean_interval(by_image, resamples=10).mean, abs=1e-5)


def test_temperatures_come_from_validation_images_alone(scored: Path, tmp_path: Path) -> None:
    for name in ("predictions.csv", "validation.csv"):
        shutil.copy(scored / "results" / name, tmp_path)
    table = pd.read_csv(tmp_path / "predictions.csv")
    table[["p_normal", "p_tuberculosis"]] = table[
        ["p_tuberculosis", "p_normal"]
    ].to_numpy()  # all that was right is wrong
    table.to_csv(tmp_path / "predictions.csv", index=False)
    score("x", "diagnosis", scored / "prepared", scored / "split.csv", tmp_path, tmp_path, resamples=50)
    columns = ["seed", "fold", "temperature"]
    before, after = (pd.read_csv(folder / "calibration.csv") for folder in (scored / "results", tmp_path))
    pd.testing.assert_frame_equal(after[columns], before[columns])
    assert (after["log_loss"] > before["log_loss"]).all()
