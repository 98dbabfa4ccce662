"""Classification from predictions to the page: scored, ranked by accuracy, and shown as files say."""

import json
import os
import re
import shutil
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.layout import Project
from bakeoff.datasets.splits.split import split
from bakeoff.evaluation.classification import accuracy_interval
from bakeoff.evaluation.comparison import CLASSIFICATION
from bakeoff.report import wording
from bakeoff.report.class_charts import confused_order, confusion_chart
from bakeoff.report.classes import (
    calibration_words,
    confusion_words,
    f1_interval,
    precision_interval,
    risk_words,
    scaled,
)
from bakeoff.report.gallery import mistake_words, telling
from bakeoff.report.page import LARGEST_PAGE
from bakeoff.report.reading import Experiment, Task, read_task
from bakeoff.report.sections import intervals
from bakeoff.report.verdicts import below_majority
from bakeoff.tasks.evaluate import evaluate
from ellipses import MARGIN, RESAMPLES, copy, network, settings, write_classifier, write_pages, write_prepared
from sklearn.metrics import f1_score

TASK: dict[str, Any] = {
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
WHERE = {"task": "diagnosis", "target": "diagnosis"}
RESNET = {**WHERE, "model": "timm_classifier", "weights": "resnet34", "settings": {"backbone": "resnet34"}}
OVERLAY = {"dataset": "lungs", "kind": "overlay", "style": "tint", "masks": "lungs", "variant": "true"}
EXPERIMENTS: dict[str, dict[str, Any]] = {
    "majority": settings("classical", **WHERE, method="majority", features="none", settings={}),
    "forest": settings("classical", **WHERE, method="random-forest", features="hog", settings={}),
    "resnet": network("pretrained", **RESNET),
    "told": network("derived", **RESNET, images="lungs-overlay", pictures=OVERLAY, oracle=True),
}
# How far a stand-in's probabilities know the truth, and its seeds.
KNOWS = {"majority": (0.0, 1), "forest": (0.8, 2), "resnet": (1.4, 2), "told": (30.0, 2)}
EVALUATION = "results/evaluation/diagnosis"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which classifiers competed, every number by the real evaluation."""
    project = Project(tmp_path_factory.mktemp("classes"))
    write_prepared(project.prepared("lungs"), images=40)
    split("diagnosis", TASK, project.prepared("lungs"), project.split("diagnosis"))
    for name, (knows, seeds) in KNOWS.items():
        write_classifier(name, EXPERIMENTS[name], project, knows=knows, seeds=seeds)
    run(project.root)
    return project.root


def run(root: Path) -> None:
    evaluate("diagnosis", TASK, EXPERIMENTS, Project(root), resamples=RESAMPLES, margin=MARGIN)


def scored(root: Path, name: str, file: str) -> Path:
    return root / EVALUATION / "experiments" / name / file


def read(root: Path) -> Task:
    return read_task("diagnosis", TASK, Project(root), margin=MARGIN)


def write(root: Path) -> dict[str, str]:
    """Every page of the report and its summary, by file name."""
    pages = write_pages(root, tasks={"diagnosis": TASK})
    return {**pages, "summary.md": (root / "results" / "report" / "summary.md").read_text()}


@pytest.fixture(scope="module")
def html(project: Path) -> str:
    return write(project)["diagnosis.html"]


def section(html: str, name: str) -> str:
    """The HTML of one section of the page."""
    start = html.index(f'<section id="diagnosis-{name}"')
    return html[start : html.index("</section>", start)]


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


@pytest.fixture(scope="module")
def table(project: Path) -> pd.DataFrame:
    return pd.read_csv(project / EVALUATION / "comparison.csv").set_index("experiment")


def test_accuracy_ranks_and_every_other_score_stands_beside_it(project: Path, table: pd.DataFrame) -> None:
    assert table.index.tolist() == ["told", "resnet", "forest", "majority"]
    assert table["label"].tolist() == [
        "ResNet34, overlay",
        "ResNet34, the image itself",
        "Random forest, HOG",
        "Majority class",
    ]
    for name, row in table.iterrows():
        metrics = json.loads(scored(project, str(name), "metrics.json").read_text())
        for each in ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "ece", "roc_auc"):
            for end in ("mean", "low", "high"):
                assert row[f"{each}_{end}"] == pytest.approx(metrics[each][end], rel=1e-4, abs=2e-6), (name, each, end)
    assert table.loc["majority", "accuracy_mean"] == 0.5
    assert table.loc["majority", "roc_auc_mean"] == 0.5


def test_accuracy_is_broken_down_by_stratum_and_by_class(project: Path, table: pd.DataFrame) -> None:
    scores = pd.read_csv(scored(project, "forest", "scores.csv"))
    for column in ("hospital", "label"):
        for value, part in scores.groupby(column):
            assert table.loc["forest", f"accuracy_{value}_mean"] == pytest.approx(part["correct"].mean(), abs=1e-6)
    assert table.loc["majority", ["accuracy_normal_mean", "accuracy_tuberculosis_mean"]].tolist() == [1, 0]
    # 20 of 20: as sure as 20 images allow, not more.
    assert table.loc["majority", "accuracy_normal_low"] == pytest.approx(20 / (20 + 1.96**2), rel=1e-4)


def test_distances_are_to_the_best_that_does_not_see_the_truth(project: Path, table: pd.DataFrame) -> None:
    assert table.loc["told", "accuracy_mean"] == 1
    assert table.loc["told", "accuracy_behind_mean"] < 0
    assert table.loc["resnet", ["accuracy_behind_mean", "accuracy_behind_low"]].tolist() == [0, 0]
    behind = table.loc["resnet", "accuracy_mean"] - table.loc["forest", "accuracy_mean"]
    assert table.loc["forest", "accuracy_behind_mean"] == pytest.approx(behind, abs=1e-5)


def test_the_figure_says_what_is_compared(project: Path) -> None:
    words = " ".join(ET.fromstring((project / EVALUATION / "comparison.svg").read_text()).itertext())
    assert "mean accuracy and 95 % interval" in words
    assert "accuracy (share of the images whose class is right)" in words
    assert "Majority class" in words


def test_the_same_files_give_the_same_bytes(project: Path, html: str, tmp_path: Path) -> None:
    again = copy(project, tmp_path / "p")
    run(again)
    for path in (project / EVALUATION).rglob("*.*"):
        if path.is_file():
            assert (again / path.relative_to(project)).read_bytes() == path.read_bytes(), path
    assert write(again)["diagnosis.html"] == html


def test_the_first_screen_answers(project: Path, html: str, table: pd.DataFrame) -> None:
    answer = text_of(html[: html.index('id="diagnosis-ranking"')])
    row = table.loc["resnet"]
    assert "<h1>ResNet34, the image itself</h1>" in html
    assert f"Accuracy on unseen images {row['accuracy_mean']:.3f}" in answer
    assert f"95 % interval {row['accuracy_low']:.3f} to {row['accuracy_high']:.3f}" in answer
    assert "n = 40 test images, 2 seeds" in answer
    pairs = pd.read_csv(project / EVALUATION / "pairs.csv").set_index(["first", "second"])
    pair = pairs.loc[("resnet", "forest")]
    assert f"{pair['difference']:.3f} accuracy ({wording.interval(pair['low'], pair['high'])}" in answer
    assert re.search(r"Of 40 images ResNet34, the image itself does better on \d+, Random forest, HOG on \d+", answer)


def test_every_two_methods_are_compared_by_their_areas(project: Path, html: str) -> None:
    pairs = pd.read_csv(project / EVALUATION / "pairs.csv").set_index(["first", "second"])
    pair = pairs.loc[("resnet", "majority")]
    areas = {
        name: json.loads(scored(project, name, "metrics.json").read_text())["roc_auc"]["mean"]
        for name in ("resnet", "majority")
    }
    assert pair["auc_difference"] == pytest.approx(areas["resnet"] - areas["majority"], abs=1e-5)
    assert pair["auc_low"] < pair["auc_difference"] < pair["auc_high"]
    assert pair["auc_p_value"] <= pair["auc_p_holm"] < 0.05
    assert f"{pair['auc_difference']:+.3f} {wording.interval(pair['auc_low'], pair['auc_high'])}, p" in text_of(html)


def test_who_is_right_no_more_often_than_one_word_is_named(project: Path, tmp_path: Path) -> None:
    said = r"Not shown to beat always predicting \w+ \(accuracy 0.500\): Random forest, HOG\."
    for verdict in ("better", "undecided"):
        judged = copy(project, tmp_path / verdict)
        path = judged / EVALUATION / "pairs.csv"
        compared = pd.read_csv(path)
        forest = (compared["first"] == "forest") & (compared["second"] == "majority")
        assert forest.any()
        compared.loc[forest, ["p_holm", "low"]] = (0.01, 0.05) if verdict == "better" else (0.2, -0.05)
        compared.to_csv(path, index=False)
        pages = write(judged)
        for name in ("diagnosis.html", "index.html"):
            assert bool(re.search(said, text_of(pages[name]))) == (verdict == "undecided")
        assert bool(re.search(said, pages["summary.md"])) == (verdict == "undecided")


def test_without_a_majority_class_the_interval_says_who_is_above_it(project: Path) -> None:
    task = read(project)
    resnet = next(each for each in task.experiments if each.name == "resnet")
    for low, high, words in (
        (0.6, 0.9, ""),
        (0.45, 0.9, "No method is shown to beat always predicting"),
        (0.1, 0.4, "Every method is less accurate than always predicting"),
    ):
        row = {**resnet.row, "accuracy_low": low, "accuracy_high": high}
        alone = replace(task, experiments=[replace(resnet, row=row)])
        assert below_majority(alone).startswith(words)
        assert bool(below_majority(alone)) == bool(words)


def test_the_index_shows_the_headline_of_the_kind(project: Path, table: pd.DataFrame) -> None:
    text = text_of(write(project)["index.html"])
    row = table.loc["resnet"]
    assert re.search(rf"ResNet34, the image itself [^%]*Accuracy {row['accuracy_mean']:.3f}", text)


def test_every_method_and_class_has_its_figures(html: str, table: pd.DataFrame) -> None:
    text = text_of(html)
    for _, row in table.iterrows():
        for name in ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "ece", "roc_auc"):
            mean, low, high = (row[f"{name}_{end}"] for end in ("mean", "low", "high"))
            assert f"{mean:.3f} {low:.3f} to {high:.3f}" in text, name
    classes = text_of(html[html.index('id="diagnosis-by-class"') : html.index('id="diagnosis-confusion"')])
    for name in ("normal", "tuberculosis"):
        low = table.loc["told", f"accuracy_{name}_low"]
        assert f"{name} 20 1.000 {low:.3f} to 1.000" in classes
    assert "By hospital" in text
    assert "By diagnosis" not in text  # it is what is predicted


def told(project: Path, name: str, value: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Truth, predictions by seed, groups and a class's place, as the files have them."""
    task = read(project)
    found = next(each for each in task.experiments if each.name == name).probabilities
    groups = task.prepared.index.iloc[task.tested]["group"].to_numpy()
    return found.truth, found.stacked.argmax(axis=2), groups, found.classes.index(value)


def test_every_class_has_precision_recall_and_f1(project: Path, html: str, table: pd.DataFrame) -> None:
    shown = text_of(html[html.index('id="diagnosis-by-class-forest"') : html.index('id="diagnosis-confusion"')])
    report = pd.read_csv(scored(project, "forest", "classification_report.csv"))
    for row in report.to_dict("records"):
        recall, low, high = (table.loc["forest", f"accuracy_{row['class']}_{end}"] for end in ("mean", "low", "high"))
        truth, predicted, groups, place = told(project, "forest", row["class"])
        ends = [
            f"{each.low:.3f} to {each.high:.3f}"
            for each in (interval(truth, predicted, place, groups) for interval in (precision_interval, f1_interval))
            if each
        ]
        figures = f"{row['precision']:.3f} {ends[0]} {recall:.3f} {low:.3f} to {high:.3f} {row['f1']:.3f} {ends[1]}"
        assert f"{row['class']} 20 {figures}" in shown


def test_precision_is_a_share_of_what_each_seed_takes_for_a_class() -> None:
    truth, groups = np.array([0, 0, 0, 1, 1]), np.arange(5)
    one = np.array([[0, 0, 1, 0, 1]])
    assert precision_interval(truth, one, 0, groups) == accuracy_interval(np.array([1.0, 1.0, 0.0]), np.arange(3))
    assert precision_interval(truth, np.ones((1, 5), int), 0, groups) is None
    # A second seed that is the first is no further evidence, and its images count once.
    twice = precision_interval(truth, np.repeat(one, 2, axis=0), 0, groups)
    assert twice is not None
    assert twice.mean == pytest.approx(2 / 3)
    assert twice.high - twice.low > 0.7
    # 60 images, half of either class: one seed takes 30 for class 0 and is right of 27, another of 15.
    truth = np.repeat([0, 1], 30)
    good = np.where(np.arange(60) % 30 < 3, 1 - truth, truth)
    poor = np.where(np.arange(60) % 30 < 15, 1 - truth, truth)
    alike, apart = (
        precision_interval(truth, np.stack(seeds), 0, np.arange(60))
        for seeds in ([good, good, good], [good, poor, good])
    )
    assert alike is not None
    assert apart is not None
    assert apart.mean == pytest.approx((0.9 + 0.5 + 0.9) / 3)
    assert apart.high - apart.low > 2 * (alike.high - alike.low), "seeds that differ widen it"


def test_f1_has_the_interval_of_the_share_that_it_rises_with() -> None:
    truth, groups = np.array([0, 0, 0, 1, 1]), np.arange(5)
    one = np.array([[0, 0, 1, 0, 1]])
    found = f1_interval(truth, one, 0, groups)
    assert found is not None
    assert found.mean == pytest.approx(f1_score(truth == 0, one[0] == 0))
    share = accuracy_interval(np.array([1.0, 1.0, 0.0, 0.0]), np.arange(4))
    assert found == pytest.approx([2 * each / (1 + each) for each in share])
    assert f1_interval(truth, one, 2, groups) is None
    assert f1_interval(truth, np.ones((1, 5), int), 0, groups) == (0.0, 0.0, pytest.approx(0.72, abs=0.01))
    twice = f1_interval(truth, np.repeat(one, 2, axis=0), 0, groups)
    assert twice is not None
    assert twice.mean == pytest.approx(found.mean)
    assert twice.high - twice.low > 0.6, "a second seed that is the first is no further evidence"


def test_every_columns_interval_is_named_for_what_it_is(project: Path) -> None:
    task = read(project)
    wilson, bca, percentile = intervals(task, ["balanced_accuracy", "log_loss", "ece", "roc_auc"])
    assert wilson == "Accuracy: Wilson's, for as many independent images as the images are worth"
    assert bca == "Log loss: BCa bootstrap over images"
    assert percentile.startswith("Balanced accuracy, ECE and ROC AUC: percentile bootstrap")


def test_charts_are_there_for_every_method_and_can_be_read_aloud(html: str) -> None:
    # Neither the oracle nor the majority class is among the best.
    drawn = {"ranking": 1, "confusion": 2, "calibration": 2, "class-curves": 3, "curves": 2}
    for name, count in drawn.items():
        assert section(html, name).count("<svg") == count, name
    charts = re.findall(r"<svg[^>]*>", html)
    assert all('role="img"' in head and re.search('aria-label="[^"]{20,}"', head) for head in charts)
    assert "best validation balanced accuracy 0.700 at epoch 2 of 2" in text_of(html)


def test_a_page_is_small_loads_nothing_and_has_ids_of_its_own(html: str) -> None:
    assert len(html.encode()) < LARGEST_PAGE["sample"]
    assert all(uri.startswith("data:") for uri in re.findall(r'\ssrc="([^"]*)"', html))
    ids = re.findall(r'\sid="([^"]*)"', html)
    assert len(ids) == len(set(ids))
    anchors = re.findall(r'href="#([^"]*)"', html)
    named = ("confusion", "calibration", "class-curves", "pictures", "label-errors")
    assert {*(f"diagnosis-{name}" for name in named), "definitions"} <= set(anchors)
    assert set(anchors) <= set(ids)
    assert "diagnosis-thresholds" not in html
    assert "Hausdorff" not in html
    assert "Expected calibration error (Guo" in html


def test_mistakes_that_are_shown_are_the_surest_ones(project: Path, html: str) -> None:
    scores = pd.read_csv(scored(project, "forest", "scores.csv"))
    surest = scores[scores["correct"] == 0].sort_values("confidence", ascending=False).iloc[0]
    part = section(html, "pictures")
    assert re.findall('id="diagnosis-pictures-([^"]*)"', part) == ["resnet", "forest"]
    part = part[part.index('id="diagnosis-pictures-forest"') :]
    first = re.search(r'alt="([^"]*)"', part)
    assert first
    assert first[1] == f"Test image {surest['id']}: {surest['label']}, predicted {surest['predicted']}"
    sure, given = 100 * surest["confidence"], 100 * (1 - surest["confidence"])
    assert f"✗ {surest['predicted']} , {sure:.0f} % true: {surest['label']}, {given:.0f} %" in text_of(part)
    assert mistake_words(scores) in text_of(part)


def test_the_two_best_methods_disagree_where_both_are_sure(project: Path, html: str) -> None:
    part = section(html, "pictures")
    tables = [
        pd.read_csv(scored(project, name, "scores.csv")).query("seed == 0").set_index("id")
        for name in ("resnet", "forest")
    ]
    first, second = tables[0], tables[1].loc[tables[0].index]
    apart = first["predicted"] != second["predicted"]
    assert f"They predict different classes on {apart.sum()} of 40 images" in text_of(part)
    assert apart.any()
    surest = np.minimum(first["confidence"], second["confidence"])[apart].idxmax()
    assert f"Test image {surest}: {first.loc[surest, 'label']}" in part


def test_mistakes_are_counted() -> None:
    rows = [("a", 0, 0, 0.9), ("a", 1, 0, 0.7), ("b", 0, 1, 0.95), ("b", 1, 1, 0.6)]
    scores = pd.DataFrame(rows, columns=["id", "seed", "correct", "confidence"])
    assert mistake_words(scores) == "2 mistakes on 2 images by 2 seeds, 1 of them at 90 % confidence or more."
    assert mistake_words(scores.iloc[:1]) == "1 mistake on 1 image, 1 of them at 90 % confidence or more."


def test_a_label_that_all_good_methods_would_change_is_shown(project: Path, tmp_path: Path) -> None:
    spoilt = copy(project, tmp_path / "p")
    ranking = spoilt / EVALUATION / "comparison.csv"
    compared = pd.read_csv(ranking)
    compared.loc[compared["experiment"].isin(["resnet", "forest"]), "accuracy_low"] = 0.81  # surely good enough to ask
    compared.to_csv(ranking, index=False)
    for name in ("resnet", "forest"):
        path = (
            Project(spoilt).experiment("diagnosis", name, EXPERIMENTS[name]["family"]).predictions / "predictions.csv"
        )
        table = pd.read_csv(path)
        odd = table["id"] == table.loc[table["label"] == "normal", "id"].iloc[0]
        table.loc[odd, ["p_normal", "p_tuberculosis"]] = 0.01, 0.99
        table.to_csv(path, index=False)
    part = section(write(spoilt)["diagnosis.html"], "label-errors")
    first = re.search(r'alt="([^"]*)"', part)
    assert first
    assert first[1] == f"Test image {table.loc[odd, 'id'].iloc[0]}: labelled normal, suggested tuberculosis"
    assert "tuberculosis? 99 % label: normal, 1 % 2 of 2 methods" in re.sub(r" +", " ", text_of(part))
    assert "Asked: ResNet34, the image itself; Random forest, HOG." in text_of(part)


def test_an_image_is_shown_once_whatever_the_seeds() -> None:
    rows = [("a", 0, 0, 0.9), ("a", 1, 0, 0.95), ("b", 0, 1, 0.5), ("b", 1, 0, 0.6), ("c", 0, 1, 0.99)]
    found = telling(pd.DataFrame(rows, columns=["id", "seed", "correct", "confidence"]))
    mistakes, unsure = found["Most confident mistakes"], found["Lowest confidence"]
    assert mistakes[["id", "seed"]].to_numpy().tolist() == [["a", 1], ["b", 1]]
    assert unsure["id"].tolist() == ["b", "a", "c"]


def test_confusions_are_said_in_words() -> None:
    counts = np.array([[5.0, 1.0, 0.0], [2.5, 7.5, 0.0], [0.0, 0.0, 1.0]])
    assert confusion_words(counts, ["cat", "dog", "fox"]) == (
        "Most often: dog taken for cat (2.5 of 10 images) and cat taken for dog (1 of 6 images)."
    )
    assert confusion_words(np.eye(3), ["cat", "dog", "fox"]) == "Every image is right."


@pytest.mark.parametrize("classes", [3, 37])
def test_a_confusion_matrix_names_every_class_and_its_cells_sum_to_the_row(classes: int) -> None:
    names = [f"breed {index:02}" for index in range(classes)]
    counts = np.eye(classes) * 3
    counts[0, 1] = 1
    counts[2] = 0  # a class without test images has an empty row
    axes = confusion_chart(counts, names).axes[0]
    shown = [tick.get_text() for tick in axes.get_yticklabels()]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == shown
    assert sorted(shown) == names
    cells = {(shown[text.get_position()[1]], shown[text.get_position()[0]]): text.get_text() for text in axes.texts}
    right = {(name, name): "100" for name in names if name not in ("breed 00", "breed 02")}
    cells = {cell: text for cell, text in cells.items() if text != "0"}  # where there is room
    assert cells == {**right, ("breed 00", "breed 00"): "75", ("breed 00", "breed 01"): "25"}
    assert len(axes.patches) == len(cells)


def test_of_many_classes_small_shares_have_no_number() -> None:
    counts = np.eye(20) * 97
    counts[0, 1] = 3
    axes = confusion_chart(counts, [str(index) for index in range(20)]).axes[0]
    assert (len(axes.patches), len(axes.texts)) == (21, 20)


def test_classes_that_are_taken_for_each_other_stand_together() -> None:
    counts = np.eye(6) * 80
    for one, other in ((0, 3), (1, 4), (2, 5)):
        counts[one, other] = counts[other, one] = 20
    order = confused_order(counts).tolist()
    assert sorted(order) == list(range(6))
    assert {frozenset(order[place : place + 2]) for place in (0, 2, 4)} == {
        frozenset(pair) for pair in ((0, 3), (1, 4), (2, 5))
    }


def experiment(project: Path, name: str) -> Experiment:
    task = read(project)
    return next(each for each in task.experiments if each.name == name)


def test_scaled_probabilities_are_those_of_the_scores(project: Path) -> None:
    found = experiment(project, "resnet")
    after, truth = scaled(found), found.probabilities.truth
    assert np.array_equal(after.argmax(axis=2), found.probabilities.stacked.argmax(axis=2))
    log_loss = -np.log(np.take_along_axis(after, truth[None, :, None], axis=2)).mean()
    assert log_loss == pytest.approx(found.metrics["log_loss_scaled"]["mean"], rel=1e-4)


def test_calibration_is_said_before_and_after(project: Path, html: str) -> None:
    part = text_of(section(html, "calibration"))
    for name in EXPERIMENTS:
        metrics = experiment(project, name).metrics
        for figure in ("ece", "ece_scaled"):
            mean, low, high = metrics[figure].values()
            assert f"{mean:.3f} {low:.3f} to {high:.3f}" in part, (name, figure)


def test_calibration_words() -> None:
    def figures(temperature: float, ece: float, scaled: float, losses: tuple[float, float]) -> dict[str, Any]:
        return {
            "temperature": temperature,
            "accuracy": {"mean": 0.7, "low": 0.65, "high": 0.75},
            "ece": {"mean": ece, "low": ece - 0.02, "high": ece + 0.02},
            "ece_scaled": {"mean": scaled},
            "log_loss": {"mean": losses[0]},
            "log_loss_scaled": {"mean": losses[1]},
        }

    metrics = figures(2.0, 0.2, 0.05, (0.5, 0.4))
    assert calibration_words(0.9, 0.7, metrics, 40) == (
        "Mean confidence 90.0 %, accuracy 70.0 %: overconfident. "
        "Temperature 2.00 lowers the expected calibration error from 0.200 to 0.050."
    )
    of_folds = calibration_words(0.9, 0.7, metrics, 40, [1.5, 2.5])
    assert "Scaling by temperatures of 1.50 to 2.50, one per training, lowers" in of_folds
    about = calibration_words(0.74, 0.7, figures(0.05, 0.2, 0.19, (0.1, 0.4)), 40)
    assert "neither over- nor underconfidence is shown" in about
    assert "the lowest tried" in about
    assert "from 0.200 to 0.190, and raises the log loss from 0.100 to 0.400." in about
    worse = figures(100.0, 0.05, 0.2, (0.5, 0.5))
    assert calibration_words(0.6, 0.7, worse, 1) == (
        "Mean confidence 60.0 %, accuracy 70.0 %: underconfident. "
        "Temperature 100 (the highest tried: the confidence carries no information) does not help: "
        "the expected calibration error goes from 0.050 to 0.200, with 1 validation image to fit it on."
    )
    assert "well calibrated on average" in calibration_words(0.7, 0.695, metrics, 40)


@pytest.mark.parametrize(
    ("risks", "change"),
    [
        ((0.1, 0.2), "falls from 20.0 % to 10.0 %"),
        ((0.3, 0.2), "rises from 20.0 % to 30.0 %"),
        ((0.2, 0.2), "stays at 20.0 %"),
    ],
)
def test_what_a_human_would_catch(risks: tuple[float, float], change: str) -> None:
    curve = pd.DataFrame({"curve": "risk_coverage", "class": "confidence", "x": [0.8, 1.0], "y": risks})
    assert risk_words("SVM", curve) == (
        f"If a human decides the 20 % of images on which SVM is least confident, its error rate on the others {change}."
    )


def test_every_method_has_its_areas(project: Path, html: str) -> None:
    part = text_of(section(html, "class-curves"))
    for name in EXPERIMENTS:
        metrics = experiment(project, name).metrics
        for figure in ("roc_auc", "average_precision", "aurc"):
            mean, low, high = metrics[figure].values()
            assert f"{mean:.3f} {low:.3f} to {high:.3f}" in part, (name, figure)


def test_a_lead_in_accuracy_is_said_in_accuracy() -> None:
    pair = {"difference": 0.02, "low": 0.01, "high": 0.03, "images": 3669, "p_holm": 0.0004, "verdict": "better"}
    pair |= {"images_to_decide": float("nan"), "effect": 0.2}
    assert wording.lead("A", "B", pair, 210, CLASSIFICATION, losses=96, margin=0.01) == (
        "A is better than B by 0.020 accuracy (0.010 to 0.030; p < 0.001 after Holm's correction). "
        "Of 3,669 images A does better on 210, B on 96."
    )
    deterministic = {"family": "classical", "method": "svm", "seeds": 1}
    assert wording.fewest_seeds(deterministic, {"family": "classical", "method": "random-forest", "seeds": 2}) == 2
    assert wording.fewest_seeds(deterministic) is None


def test_what_is_missing_is_named_with_the_command_that_makes_it(project: Path, tmp_path: Path) -> None:
    spoilt = copy(project, tmp_path / "p")
    scored(spoilt, "forest", "calibration.csv").unlink()
    with pytest.raises(BakeoffError, match=r"forest/calibration\.csv is missing: run `dvc repro evaluate@diagnosis`"):
        read(spoilt)


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")], ids=["desktop-light", "phone-dark"])
def test_in_a_browser_nothing_sticks_out_or_complains(project: Path, html: str, width: int, scheme: str) -> None:
    for page, complaints in opened(project / "results" / "report" / "diagnosis.html", width, scheme):
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        widths = page.eval_on_selector_all("img", "images => images.map(image => image.naturalWidth)")
        assert len(widths) == len(re.findall("<img", html))
        assert min(widths) > 0
        page.locator("#diagnosis-by-class-table thead th button").nth(1).click()
        assert complaints == []


def opened(path: Path, width: int, scheme: str) -> Iterator[tuple[Any, list[str]]]:
    """A page opened from disk in a real Chromium, and what it complains of; skips loudly without one."""
    chromium = os.environ.get("BAKEOFF_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        message = "THE REPORT IS NOT TESTED IN A BROWSER: no chromium (set BAKEOFF_CHROMIUM to one)"
        warnings.warn(message, stacklevel=1)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path.as_uri())
        yield page, complaints
        browser.close()
