"""Scores of classifications: exact on a few images, those of scikit-learn and torchmetrics on many; files checked."""

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.predictions import PROBABILITY_FILES, probability_table, read_probabilities, write_probabilities
from bakeoff.datasets.splits.split import split
from bakeoff.evaluation import classification
from bakeoff.evaluation.bootstrap import expanded_shares, mean_interval, times_drawn, wilson
from bakeoff.evaluation.classification import (
    HEADLINES,
    accuracy_interval,
    class_report,
    figures,
    headline,
    image_scores,
    reliability,
    share_interval,
)
from bakeoff.evaluation.overlap import class_confusion
from bakeoff.tasks.scoring import score
from ellipses import write_prepared
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics
from torchmetrics.functional.classification import (
    binary_calibration_error,
    multiclass_accuracy,
    multiclass_auroc,
    multiclass_calibration_error,
    multiclass_f1_score,
)


def drawn(images: int, classes: int, seeds: int = 1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """True classes, each at least once, and probabilities (seeds, images, classes) that know something of them."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.concatenate([np.arange(classes), rng.integers(0, classes, images - classes)]))
    logits = rng.normal(0, 1.5, (seeds, images, classes)) + 2 * np.eye(classes)[truth]
    return truth, np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)


def one(truth: list[int], probabilities: list[list[float]]) -> dict[str, float]:
    """Headline figures of one seed."""
    return {name: value[0] for name, value in figures(np.array(truth), np.array([probabilities])).items()}


def test_a_few_images_by_hand() -> None:
    found = one([0, 0, 0, 1], [[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7]])
    assert found["accuracy"] == 0.75
    assert found["balanced_accuracy"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["macro_f1"] == pytest.approx((0.8 + 2 / 3) / 2)
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.8, 0.4, 0.7]).mean())
    assert found["roc_auc"] == 1.0  # every image of class 1 has a higher probability of it
    # Bins of 1/15: .9 and .8 and .7 and .6 are alone in theirs (13/15 to 14/15, 11/15 to 12/15, ...).
    assert found["ece"] == pytest.approx((0.1 + 0.2 + 0.3 + 0.6) / 4)


def test_an_image_by_hand() -> None:
    row = image_scores(np.array([2]), np.array([[0.5, 0.5, 0.0]])).iloc[0]
    assert row["predicted"] == 0  # of equals the first
    assert row["correct"] == 0
    assert row["confidence"] == 0.5
    assert row["log_loss"] == pytest.approx(-np.log(np.finfo(float).eps))
    assert row["brier"] == pytest.approx(0.25 + 0.25 + 1)


def test_probabilities_of_0_and_1_are_finite_as_scikit_learn_clips_them() -> None:
    truth, probabilities = np.array([0, 1, 1]), np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    found = figures(truth, probabilities[None])
    assert found["log_loss"][0] == pytest.approx(metrics.log_loss(truth, probabilities), rel=1e-12)
    assert found["roc_auc"][0] == 0.75


@pytest.mark.parametrize("classes", [2, 3, 37])
def test_figures_are_scikit_learns(classes: int) -> None:
    truth, probabilities = drawn(300, classes, seed=classes)
    probabilities = probabilities[0].round(2)  # so that there are ties
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    found = {name: value[0] for name, value in figures(truth, probabilities[None]).items()}
    predicted = probabilities.argmax(axis=1)
    scored = probabilities[:, 1] if classes == 2 else probabilities
    expected = {
        "accuracy": metrics.accuracy_score(truth, predicted),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, predicted),
        "macro_f1": metrics.f1_score(truth, predicted, average="macro"),
        "log_loss": metrics.log_loss(truth, probabilities),
        "roc_auc": metrics.roc_auc_score(truth, scored, multi_class="ovr", average="macro"),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    brier = image_scores(truth, probabilities)["brier"].mean()
    assert brier == pytest.approx(metrics.brier_score_loss(truth, probabilities, scale_by_half=False))


@pytest.mark.parametrize("classes", [3, 37])
def test_figures_are_torchmetrics(classes: int) -> None:
    truth, probabilities = drawn(300, classes, seed=classes)
    found = {name: value[0] for name, value in figures(truth, probabilities).items()}
    given_, target = torch.from_numpy(probabilities[0]), torch.from_numpy(truth)
    expected = {
        "accuracy": multiclass_accuracy(given_, target, classes, average="micro"),
        "balanced_accuracy": multiclass_accuracy(given_, target, classes, average="macro"),
        "macro_f1": multiclass_f1_score(given_, target, classes, average="macro"),
        "ece": multiclass_calibration_error(given_, target, classes, n_bins=15, norm="l1"),
        "roc_auc": multiclass_auroc(given_, target, classes, average="macro"),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(float(value), abs=1e-6), name


def test_calibration_of_two_classes_is_of_the_predicted_one() -> None:
    # torchmetrics' binary figure is of the second class whether predicted or not; sorted so, the two agree.
    truth, probabilities = drawn(200, 2)
    of_second = probabilities[0][:, 1]
    chosen = of_second > 0.5
    theirs = binary_calibration_error(torch.from_numpy(of_second[chosen]), torch.from_numpy(truth[chosen]), n_bins=15)
    ours = figures(truth[chosen], probabilities[:, chosen])["ece"][0]
    assert ours == pytest.approx(float(theirs), abs=1e-6)


def test_a_confidence_at_the_end_of_a_bin_belongs_to_the_bin_below() -> None:
    table = reliability(np.array([1.0, 0.6, 0.61, 14 / 15]), np.array([1, 0, 1, 1]))
    assert (table["low"] * 15).round().tolist() == [8, 9, 13, 14]  # 0.6 is 9/15
    assert table["images"].tolist() == [1, 1, 1, 1]
    assert table["accuracy"].tolist() == [0, 1, 1, 1]


def test_ece_is_the_distance_that_the_reliability_table_shows() -> None:
    truth, probabilities = drawn(200, 5)
    table = image_scores(truth, probabilities[0])
    bins = reliability(table["confidence"].to_numpy(), table["correct"].to_numpy())
    assert bins["images"].sum() == 200
    gap = (bins["images"] * (bins["accuracy"] - bins["confidence"]).abs()).sum() / 200
    assert figures(truth, probabilities)["ece"][0] == pytest.approx(gap)


def test_a_class_without_images_has_no_share() -> None:
    probabilities = [[0.6, 0.3, 0.1], [0.7, 0.2, 0.1], [0.2, 0.7, 0.1]]
    found = one([0, 0, 1], probabilities)  # class 2 is neither true nor predicted
    assert (found["balanced_accuracy"], found["macro_f1"], found["roc_auc"]) == (1, 1, 1)
    truth, predicted = [0, 0, 1], [0, 2, 1]
    mistaken = one(truth, np.eye(3)[predicted].tolist())  # class 2 is predicted and never true
    assert mistaken["macro_f1"] == pytest.approx(metrics.f1_score(truth, predicted, average="macro"))
    assert mistaken["balanced_accuracy"] == pytest.approx(0.75)


def test_one_class_has_every_figure_but_roc_auc() -> None:
    found = headline(np.zeros(3, int), np.array([[[0.8, 0.2], [0.7, 0.3], [0.4, 0.6]]]), np.arange(3), resamples=100)
    assert found["accuracy"]["mean"] == pytest.approx(2 / 3)
    assert found["balanced_accuracy"]["mean"] == pytest.approx(2 / 3)
    assert found["roc_auc"] == {"mean": None, "low": None, "high": None}
    json.dumps(found, allow_nan=False)


def test_an_image_that_counts_twice_is_an_image_that_is_there_twice() -> None:
    truth, probabilities = drawn(40, 4, seeds=3)
    weights = np.random.default_rng(1).integers(0, 4, (5, 40))
    weighted = figures(truth, probabilities, weights.astype(np.float32))
    for row, times in enumerate(weights):
        repeated = figures(np.repeat(truth, times), np.repeat(probabilities, times, axis=1))
        for name in HEADLINES:
            assert weighted[name][row] == pytest.approx(repeated[name][0], abs=1e-6), name


def test_seeds_are_averaged() -> None:
    truth, probabilities = drawn(60, 3, seeds=4)
    together = figures(truth, probabilities)
    for name in HEADLINES:
        alone = [figures(truth, probabilities[[seed]])[name][0] for seed in range(4)]
        assert together[name][0] == pytest.approx(np.mean(alone)), name


def test_pairs_are_counted_the_same_whatever_is_held_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, probabilities = drawn(50, 3, seeds=2)
    at_once = headline(truth, probabilities, np.arange(50), resamples=200)
    monkeypatch.setattr(classification, "_VALUES_AT_A_TIME", 300)
    in_parts = headline(truth, probabilities, np.arange(50), resamples=200)
    for name in HEADLINES:
        assert in_parts[name] == pytest.approx(at_once[name], abs=1e-6), name


@given(st.integers(1, 30), st.integers(2, 5), st.integers(0, 1000))
def test_figures_stay_in_their_range(images: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, probabilities = rng.integers(0, classes, images), rng.dirichlet(np.full(classes, 0.3), (2, images))
    found = headline(truth, probabilities, rng.integers(0, 4, images), resamples=50)
    for name in HEADLINES:
        ends = [end for end in found[name].values() if end is not None]
        assert all(-1e-6 <= end <= (37 if name == "log_loss" else 1 + 1e-6) for end in ends)
        assert found[name]["low"] is None or found[name]["low"] <= found[name]["high"]


class TestIntervals:
    """Intervals over images, groups together."""

    def test_of_a_mean_over_images_it_is_the_bootstraps_own(self) -> None:
        truth, probabilities = drawn(70, 3, seeds=2)
        groups = np.arange(70) // 3
        found = headline(truth, probabilities, groups, resamples=500)
        correct = (probabilities.argmax(axis=2) == truth).T
        assert found["accuracy"] == accuracy_interval(correct, groups)._asdict()
        losses = np.stack([image_scores(truth, each)["log_loss"] for each in probabilities], axis=1)
        expected = mean_interval(losses, resamples=500, groups=groups)
        assert found["log_loss"] == pytest.approx(expected._asdict(), rel=1e-5)

    def test_seeds_that_disagree_on_images_alone_widen_nothing(self) -> None:
        # Each of 100 seeds is right on four fifths of its images, drawn for itself: means differ as their images do.
        rng = np.random.default_rng(0)
        truth = np.arange(300) % 2
        right = rng.random((100, 300)) < 0.8
        probabilities = np.eye(2)[np.where(right, truth, 1 - truth)] * 0.6 + 0.2
        found = headline(truth, probabilities, np.arange(300), resamples=500)["balanced_accuracy"]
        by_image = np.where(truth, right.mean(axis=0), -right.mean(axis=0))
        alone = np.sqrt(sum(by_image[truth == each].var(ddof=1) / 150 for each in (0, 1)) / 4)
        assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * alone, rel=0.15)
        of_seeds = right.mean(axis=1).std(ddof=1) / 10
        assert np.hypot(alone, of_seeds) > 1.35 * alone, "counted twice they would"

    def test_seeds_that_differ_widen_what_is_no_mean_over_images_too(self) -> None:
        truth, alike = drawn(200, 3, seeds=1)
        uniform = np.full_like(alike, 1 / 3)
        alike, apart = np.concatenate([alike, alike]), np.concatenate([alike, uniform])
        for name in ("balanced_accuracy", "macro_f1", "ece", "roc_auc"):
            widths = []
            for probabilities in (alike, apart):
                ends = headline(truth, probabilities, np.arange(200), resamples=300)[name]
                widths.append(ends["high"] - ends["low"])
            assert widths[1] > 1.3 * widths[0], name

    def test_copies_of_an_image_count_once(self) -> None:
        truth, probabilities = drawn(50, 3)
        alone = headline(truth, probabilities, np.arange(50), resamples=300)
        copied = headline(
            np.repeat(truth, 4), np.repeat(probabilities, 4, axis=1), np.repeat(np.arange(50), 4), resamples=300
        )
        for name in HEADLINES:
            # Of accuracy, a variance that is estimated costs a little width.
            assert copied[name] == pytest.approx(alone[name], abs=0.006 if name == "accuracy" else 1e-6), name

    def test_where_all_are_right_it_has_a_width_that_images_justify(self) -> None:
        # Wilson: n / (n + z^2).
        interval = accuracy_interval(np.ones(100), np.arange(100))
        assert interval == pytest.approx((1.0, 100 / (100 + 1.959964**2), 1.0))
        assert interval.low == pytest.approx(0.9630, abs=1e-4)
        in_pairs = accuracy_interval(np.ones(100), np.arange(100) // 2)
        assert in_pairs.low == pytest.approx(50 / (50 + 1.959964**2))
        truth = np.arange(100) % 2
        found = headline(truth, np.eye(2)[truth][None], np.arange(100), resamples=100)
        assert found["accuracy"] == pytest.approx(interval._asdict())

    def test_where_none_is_right_it_is_the_mirror_image(self) -> None:
        assert accuracy_interval(np.zeros(10), np.arange(10)) == pytest.approx((0, 0, 1 - 10 / (10 + 1.959964**2)))

    @pytest.mark.parametrize(("right", "images"), [(0, 7), (1, 40), (13, 20), (39, 40), (250, 250)])
    @pytest.mark.parametrize("level", [0.8, 0.95])
    def test_of_images_on_their_own_it_is_statsmodels_wilson_interval(
        self, right: int, images: int, level: float
    ) -> None:
        from statsmodels.stats import proportion

        found = accuracy_interval(np.arange(images) < right, np.arange(images), level=level)
        expected = proportion.proportion_confint(right, images, alpha=1 - level, method="wilson")
        assert found == pytest.approx((right / images, *expected))

    def test_copies_of_an_image_and_of_a_seed_are_no_evidence(self) -> None:
        correct = np.arange(40) % 4 > 0
        alone = accuracy_interval(correct, np.arange(40))
        copied = accuracy_interval(np.repeat(correct, 5), np.repeat(np.arange(40), 5))
        by_seed = accuracy_interval(np.stack([correct] * 3, axis=1), np.arange(40))
        assert by_seed == pytest.approx(alone)
        # A variance that is estimated costs a little width.
        assert (copied.low, copied.high) == pytest.approx((alone.low, alone.high), abs=0.01)
        assert copied.low < alone.low < alone.high < copied.high

    def test_seeds_that_differ_widen_it(self) -> None:
        steady = np.stack([np.arange(100) < 80] * 3, axis=1)
        moody = np.stack([np.arange(100) < right for right in (60, 80, 100)], axis=1)
        narrow, wide = (accuracy_interval(each, np.arange(100)) for each in (steady, moody))
        assert narrow.mean == pytest.approx(0.8)
        assert wide.mean == pytest.approx(0.8)
        assert wide.low < narrow.low < narrow.high < wide.high < 1

    def test_a_share_of_what_counts_has_the_variance_of_a_ratio(self) -> None:
        rng = np.random.default_rng(0)
        counted, groups = rng.random((300, 4)) < 0.6, np.arange(300) // 3
        right = counted & (rng.random((300, 1)) < 0.8)  # an image is hard for all seeds or for none
        found = share_interval(right, counted, groups)
        assert found is not None
        # Leave a group out at a time: the jackknife's variance of the seeds' mean share.
        kept = [groups != each for each in range(100)]
        without = [np.mean(right[rows].sum(axis=0) / counted[rows].sum(axis=0)) for rows in kept]
        variance = 99 / 100 * np.sum((np.array(without) - np.mean(without)) ** 2)
        share = np.mean(right.sum(axis=0) / counted.sum(axis=0))
        t, z = stats.t.ppf(0.975, 99), stats.norm.ppf(0.975)
        expected = wilson(share, share * (1 - share) / variance * (z / t) ** 2)
        assert found == pytest.approx(tuple(expected), abs=3e-3)
        assert share_interval(right, np.zeros_like(counted), groups) is None

    def test_95_of_100_intervals_of_a_mean_over_classes_cover_the_truth(self) -> None:
        rng = np.random.default_rng(0)
        right = np.array([0.9, 0.7, 0.5])  # so that balanced accuracy is 0.7
        covered = 0
        for _ in range(200):
            truth = rng.choice(3, 150, p=[0.5, 0.3, 0.2])
            predicted = np.where(rng.random(150) < right[truth], truth, (truth + 1) % 3)
            found = headline(truth, np.eye(3)[predicted][None], np.arange(150), resamples=300)["balanced_accuracy"]
            covered += found["low"] <= 0.7 <= found["high"]
        assert 0.90 <= covered / 200 <= 0.99

    def test_a_class_of_few_images_knows_little_of_the_variance_of_a_mean_over_classes(self) -> None:
        truth = np.repeat([0, 1], [90, 10])
        right = np.concatenate([np.arange(90) < 81, np.arange(10) < 6])
        probabilities = np.eye(2)[np.where(right, truth, 1 - truth)][None]
        found = headline(truth, probabilities, np.arange(100), resamples=500)
        # By hand: variances 82 / 92 * 10 / 92 / 90 and 7 / 12 * 5 / 12 / 10, of 89 and 9 degrees of freedom.
        degrees = 0.0253818**2 / (0.0010762**2 / 89 + 0.0243056**2 / 9)
        assert degrees == pytest.approx(9.813, abs=1e-3)
        values = figures(truth, probabilities, times_drawn(100, 500, 0).astype(np.float32))
        for name, groups in (("balanced_accuracy", degrees + 1), ("macro_f1", 100)):
            expected = np.quantile(values[name], expanded_shares(0.95, groups))
            assert (found[name]["low"], found[name]["high"]) == pytest.approx(tuple(expected), abs=1e-5)

    def test_37_classes_and_3669_images_of_5_seeds_take_seconds(self) -> None:
        truth, probabilities = drawn(3669, 37, seeds=5)
        began = time.process_time()
        found = headline(truth, probabilities, np.arange(3669), resamples=2000)
        assert time.process_time() - began < 60  # some seconds on a machine that does nothing else
        assert found["roc_auc"]["low"] < found["roc_auc"]["mean"] < found["roc_auc"]["high"]


@pytest.mark.parametrize(
    ("truth", "probabilities", "message"),
    [
        ([], np.zeros((1, 0, 2)), "no image"),
        ([0], np.zeros((1, 2, 2)), "not one row for each of 1 images"),
        ([2], np.full((1, 1, 2), 0.5), "Class 2 has no column"),
    ],
)
def test_what_does_not_fit_together_is_refused(truth: list[int], probabilities: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        figures(np.array(truth, int), probabilities)


def test_groups_and_weights_are_one_an_image() -> None:
    truth, probabilities = drawn(5, 2)
    with pytest.raises(ValueError, match="4 groups for 5 images"):
        headline(truth, probabilities, np.arange(4), resamples=100)
    with pytest.raises(ValueError, match=r"\(1, 4\) are not one an image, \(weightings, 5\)"):
        figures(truth, probabilities, np.ones((1, 4)))


def test_confusion_and_report_are_scikit_learns() -> None:
    truth, probabilities = drawn(80, 4, seeds=2)
    predicted = probabilities.argmax(axis=2) % 3  # class 3 is never predicted
    assert np.array_equal(class_confusion(truth, predicted[0], 4), metrics.confusion_matrix(truth, predicted[0]))
    table = class_report(truth, predicted, list("abcd"))
    expected = [
        metrics.classification_report(truth, each, target_names=list("abcd"), output_dict=True, zero_division=0)
        for each in predicted
    ]
    for row in table.to_dict("records"):
        for name, theirs in (("precision",) * 2, ("recall",) * 2, ("f1", "f1-score"), ("support",) * 2):
            assert row[name] == pytest.approx(np.mean([each[row["class"]][theirs] for each in expected])), name
    assert table.loc[3, ["precision", "f1"]].tolist() == [0, 0]


def two_images(seeds: int = 2) -> pd.DataFrame:
    rows = [("007", 0, "NA", 0.125, 0.875), ("b", 1, "cat", float(np.float32(0.7)), float(1 - np.float32(0.7)))]
    table = pd.DataFrame(rows, columns=["id", "fold", "label", "p_NA", "p_cat"])
    table.insert(1, "seed", 0)
    return pd.concat([table.assign(seed=seed) for seed in range(seeds)])


class TestProbabilities:
    """Probabilities on their way to disk and back."""

    def test_what_is_written_is_read(self, tmp_path: Path) -> None:
        write_probabilities(tmp_path / "new", two_images())
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["predictions.csv"]
        found = read_probabilities(tmp_path / "new")
        assert found.classes == ["NA", "cat"]
        assert found.seeds == [0, 1]
        assert found.truth.tolist() == [0, 1]
        assert found.of_seed(1)["id"].tolist() == ["007", "b"]
        assert found.stacked.shape == (2, 2, 2)
        assert np.float32(found.stacked[1, 1, 0]) == np.float32(0.7)  # bit for bit

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda table: table.drop(columns="fold"), "must begin with the columns id, seed, fold, label"),
            (lambda table: table.drop(columns="p_cat"), "must have a column p_CLASS for two classes or more"),
            (lambda table: table.rename(columns={"p_cat": "cat"}), "must have a column p_CLASS"),
            (lambda table: table.iloc[:, [0, 1, 2, 3, 5, 4]], "must have the classes once each by name, not cat, NA"),
            (lambda table: table.iloc[:0], "must have a row an image, and has none"),
            (lambda table: table.iloc[::-1], "must be sorted by seed"),
            (lambda table: table.iloc[:3], "must have the same images"),
            (lambda table: table.assign(id="x"), "must have the same images, once each"),
            (lambda table: table.assign(label="dog"), "must have labels among the classes, and has dog"),
            (lambda table: table.assign(p_NA="x"), "must be numbers"),
            (
                lambda table: table.assign(p_NA=np.nan),
                "must (lie between 0 and 1, which those of 007 do not|be numbers)",
            ),
            (lambda table: table.assign(p_NA=-0.5, p_cat=1.5), "must lie between 0 and 1"),
            (lambda table: table.assign(p_NA=0.5, p_cat=0.6), "must add up to 1, and those of 007 add up to 1.1"),
        ],
    )
    def test_a_wrong_table_is_neither_written_nor_read(self, tmp_path: Path, spoil, message: str) -> None:
        table = spoil(two_images())
        with pytest.raises(ValueError, match=message):
            write_probabilities(tmp_path / "new", table)
        assert not (tmp_path / "new").exists()
        table.to_csv(tmp_path / "predictions.csv", index=False)
        with pytest.raises(BakeoffError, match=rf"predictions\.csv {message}.*: run `dvc repro --force"):
            read_probabilities(tmp_path)

    def test_an_image_may_validate_in_several_folds_and_is_tested_in_one(self, tmp_path: Path) -> None:
        table = two_images(seeds=1).assign(id="x", fold=[0, 1])
        with pytest.raises(ValueError, match="must have the same images, once each"):
            write_probabilities(tmp_path, table)
        write_probabilities(tmp_path, table, "validation")
        assert [path.name for path in tmp_path.iterdir()] == ["validation.csv"]
        assert read_probabilities(tmp_path, "validation").of_seed(0)["fold"].tolist() == [0, 1]
        with pytest.raises(ValueError, match="must have the same images, once each"):
            write_probabilities(tmp_path, two_images(seeds=1).assign(id="x", fold=[1, 1]), "validation")

    def test_a_table_is_in_the_order_of_seed_image_and_fold(self) -> None:
        index = pd.DataFrame({"id": ["x", "y", "z"], "breed": ["a", "b", "a"]})
        runs = [
            (1, 0, np.array([0, 2]), np.array([[0.1, 0.9], [0.2, 0.8]])),
            (0, 1, np.array([0, 1]), np.array([[0.3, 0.7], [0.4, 0.6]])),
            (0, 0, np.array([1]), np.array([[0.5, 0.5]])),
        ]
        table = probability_table(index, "breed", ["a", "b"], runs)
        assert table.columns.tolist() == ["id", "seed", "fold", "label", "p_a", "p_b"]
        assert table.to_numpy().tolist() == [
            ["x", 0, 1, "a", 0.3, 0.7],
            ["y", 0, 0, "b", 0.5, 0.5],
            ["y", 0, 1, "b", 0.4, 0.6],
            ["x", 1, 0, "a", 0.1, 0.9],
            ["z", 1, 0, "a", 0.2, 0.8],
        ]

    def test_rounding_is_no_mistake(self, tmp_path: Path) -> None:
        write_probabilities(tmp_path, two_images().assign(p_NA=0.33333, p_cat=0.66666))

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(BakeoffError, match=r"predictions\.csv is missing: run `dvc repro"):
            read_probabilities(tmp_path)


TASK = {
    "dataset": "lungs",
    "kind": "classification",
    "target": "diagnosis",
    "split": {
        "name": "folds",
        "folds": 2,
        "validation": 0.2,
        "stratify": ["diagnosis"],
        "grouped": True,
        "seed": 0,
    },
}


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Predictions of two seeds in cross-validation, scored by the stage."""
    root = tmp_path_factory.mktemp("scored")
    write_prepared(root / "prepared", images=30)
    split("diagnosis", TASK, root / "prepared", root / "split.csv")
    index, folds = pd.read_csv(root / "prepared" / "index.csv"), pd.read_csv(root / "split.csv")
    rng = np.random.default_rng(0)
    for part in PROBABILITY_FILES:
        images = index.merge(folds[folds["split"] == part], on="id")
        side = np.where(images["diagnosis"] == "tuberculosis", 1, -1)
        tables = []
        for seed in range(2):
            sick = np.clip(0.5 + 0.3 * side + rng.normal(0, 0.25, len(images)), 0, 1)
            columns = {"id": images["id"], "seed": seed, "fold": images["fold"], "label": images["diagnosis"]}
            tables.append(pd.DataFrame({**columns, "p_normal": 1 - sick, "p_tuberculosis": sick}))
        write_probabilities(root / "results", pd.concat(tables), part)
    results = root / "results"
    score("x", "diagnosis", root / "prepared", root / "split.csv", results, results, resamples=200)
    return root


def test_a_row_of_scores_an_image_and_seed(scored: Path) -> None:
    scores = pd.read_csv(scored / "results" / "scores.csv")
    assert scores.columns.tolist() == [
        *("id", "seed", "fold", "hospital", "diagnosis", "label", "predicted", "correct", "confidence"),
        *("log_loss", "brier"),
    ]
    predictions = pd.read_csv(scored / "results" / "predictions.csv")
    assert scores[["id", "seed", "fold", "label"]].equals(predictions[["id", "seed", "fold", "label"]])
    assert sorted(scores["fold"].unique()) == [0, 1]
    assert (scores["correct"] == (scores["label"] == scores["predicted"])).all()
    sick = predictions["p_tuberculosis"] > 0.5
    assert (scores["predicted"] == np.where(sick, "tuberculosis", "normal")).all()


def test_headline_figures_are_those_of_the_rows(scored: Path) -> None:
    scores = pd.read_csv(scored / "results" / "scores.csv")
    found = json.loads((scored / "results" / "metrics.json").read_text())
    assert set(found) == {
        *HEADLINES,
        *("log_loss_scaled", "ece_scaled", "temperature", "aurc_optimal"),
        *("images", "seeds", "folds", "classes"),
    }
    assert (found["images"], found["seeds"], found["folds"], found["classes"]) == (30, 2, 2, 2)
    assert found["accuracy"]["mean"] == pytest.approx(scores["correct"].mean())
    assert found["log_loss"]["mean"] == pytest.approx(scores["log_loss"].mean(), abs=1e-5)
    assert all(found[name]["low"] <= found[name]["high"] for name in HEADLINES)


def test_confusion_is_of_the_first_seed_and_the_report_of_all(scored: Path) -> None:
    scores = pd.read_csv(scored / "results" / "scores.csv")
    confused = pd.read_csv(scored / "results" / "confusion.csv")
    first = scores[scores["seed"] == 0]
    assert confused["actual"].tolist() == first["label"].tolist()
    assert confused["predicted"].tolist() == first["predicted"].tolist()
    report = pd.read_csv(scored / "results" / "classification_report.csv").set_index("class")
    assert report.columns.tolist() == ["precision", "recall", "f1", "support"]
    assert report["support"].sum() == 30
    recall = scores.groupby("label")["correct"].mean()
    assert report["recall"].to_dict() == pytest.approx(recall.to_dict(), abs=1e-6)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda table: table[table["id"] != table["id"].iloc[0]],
            "another split .* column 'id' differs",
        ),
        (lambda table: table.assign(label="normal"), "column 'label' differs"),
        (lambda table: table.assign(fold=0), "column 'fold' differs"),
        (lambda table: table.rename(columns={"p_normal": "p_healthy"}).assign(label="healthy"), "has other classes"),
    ],
)
def test_predictions_of_another_split_are_refused(scored: Path, tmp_path: Path, spoil, message: str) -> None:
    for spoilt in PROBABILITY_FILES.values():
        for name in PROBABILITY_FILES.values():
            shutil.copy(scored / "results" / name, tmp_path)
        spoil(pd.read_csv(tmp_path / spoilt)).to_csv(tmp_path / spoilt, index=False)
        with pytest.raises(BakeoffError, match=rf"{spoilt} .*{message}"):
            score("x", "diagnosis", scored / "prepared", scored / "split.csv", tmp_path, tmp_path, resamples=200)
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(PROBABILITY_FILES.values())


def test_what_calibration_needs_is_asked_for(scored: Path, tmp_path: Path) -> None:
    shutil.copy(scored / "results" / "predictions.csv", tmp_path)
    with pytest.raises(BakeoffError, match=r"validation\.csv is missing: run `dvc repro"):
        score("x", "diagnosis", scored / "prepared", scored / "split.csv", tmp_path, tmp_path, resamples=200)
    validation = pd.read_csv(scored / "results" / "validation.csv")
    validation[validation["seed"] == 0].to_csv(tmp_path / "validation.csv", index=False)
    with pytest.raises(BakeoffError, match=r"other seeds in validation\.csv"):
        score("x", "diagnosis", scored / "prepared", scored / "split.csv", tmp_path, tmp_path, resamples=200)


def test_the_same_predictions_give_the_same_bytes(scored: Path, tmp_path: Path) -> None:
    for name in PROBABILITY_FILES.values():
        shutil.copy(scored / "results" / name, tmp_path)
    score("x", "diagnosis", scored / "prepared", scored / "split.csv", tmp_path, tmp_path, resamples=200)
    names = ["calibration.csv", "classification_report.csv", "confusion.csv", "curves.csv", "metrics.json"]
    names += ["predictions.csv", "scores.csv", "validation.csv"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    for name in names:
        assert (tmp_path / name).read_bytes() == (scored / "results" / name).read_bytes()
