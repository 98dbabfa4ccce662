"""Classification from predictions to the page: scored, ranked by accuracy, and shown as files say."""

import json
import os
import re
import shutil
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bakeoff import provenance
from bakeoff.errors import BakeoffError
from bakeoff.evaluation.comparison import CLASSIFICATION
from bakeoff.predictions import write_probabilities
from bakeoff.report import wording
from bakeoff.report.charts import confusion_chart
from bakeoff.report.classes import confusion_words, telling
from bakeoff.report.page import LARGEST_PAGE
from bakeoff.stages.compare import compare
from bakeoff.stages.report import report
from bakeoff.stages.score import score
from bakeoff.stages.split import split
from ellipses import copy, write_prepared

RESAMPLES = 300
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
WHERE = {"dataset": "lungs", "task": "diagnosis"}
RESNET = {"family": "pretrained", "model": "timm_classifier", "weights": "resnet34", "recipe": "r"}
EXPERIMENTS: dict[str, dict[str, Any]] = {
    "majority": {**WHERE, "family": "classical", "method": "majority", "features": "none", "settings": {}},
    "forest": {**WHERE, "family": "classical", "method": "random-forest", "features": "hog", "settings": {}},
    "resnet": {**WHERE, **RESNET, "settings": {"backbone": "resnet34"}},
    "told": {**WHERE, **RESNET, "settings": {"backbone": "resnet34"}, "input": "overlay", "oracle": True},
}
# How far a stand-in's probabilities know the truth, and its seeds.
KNOWS = {"majority": (0.0, 1), "forest": (0.8, 2), "resnet": (1.4, 2), "told": (30.0, 2)}


def write_predictions(name: str, root: Path) -> None:
    """What `predict` leaves of a classifier, and of a network what `fit` does."""
    index = pd.read_csv(root / "data" / "prepared" / "lungs" / "index.csv")
    tested = pd.read_csv(root / "data" / "splits" / "diagnosis.csv").query("split == 'test'").set_index("id")["fold"]
    fold = tested.loc[index["id"]].to_numpy()
    side = np.where(index["diagnosis"] == "tuberculosis", 1.0, -1.0)
    knows, seeds = KNOWS[name]
    rng = np.random.default_rng(len(name))
    tables = []
    for seed in range(seeds):
        logits = knows * side + rng.normal(0, 1, len(index)) if knows else np.full(len(index), -0.1)
        sick = 1 / (1 + np.exp(-logits))
        columns = {"id": index["id"], "seed": seed, "fold": fold, "label": index["diagnosis"]}
        tables.append(pd.DataFrame({**columns, "p_normal": 1 - sick, "p_tuberculosis": sick}))
    folder = root / "results" / "experiments" / name
    write_probabilities(folder, pd.concat(tables))
    cost = {"parameters": 1000, "training_seconds": 3.0, "predict_images_per_second": 20.0, "peak_memory_mib": 50.0}
    (folder / "cost.json").write_text(json.dumps({**cost, "device": "cpu", "manifest": provenance.manifest()}))
    if EXPERIMENTS[name]["family"] == "pretrained":
        for seed in range(seeds):
            (folder / "history" / f"seed{seed}-fold0").mkdir(parents=True)
            history = {"epoch": [1, 2], "train_loss": [0.9, 0.5], "validation_loss": [0.8, 0.6]}
            table = pd.DataFrame({**history, "validation_score": [0.6, 0.7]})
            table.to_csv(folder / "history" / f"seed{seed}-fold0" / "history.csv", index=False)
            record = {"seed": seed, "fold": 0, "epochs_run": 2, "best_epoch": 2, "best_validation_score": 0.7}
            models = root / "results" / "models" / name
            models.mkdir(parents=True, exist_ok=True)
            (models / f"seed{seed}-fold0.json").write_text(json.dumps({**record, "weights": None}))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which classifiers competed, every number by the real stages."""
    root = tmp_path_factory.mktemp("classes")
    prepared, path = root / "data" / "prepared" / "lungs", root / "data" / "splits" / "diagnosis.csv"
    write_prepared(prepared, images=40)
    split("diagnosis", TASK, prepared, path)
    for name in EXPERIMENTS:
        write_predictions(name, root)
        score(name, "diagnosis", prepared, path, root / "results" / "experiments" / name, resamples=RESAMPLES)
    run(root, root / "results" / "comparison")
    return root


def run(root: Path, folder: Path) -> None:
    prepared, path = root / "data" / "prepared" / "lungs", root / "data" / "splits" / "diagnosis.csv"
    compare("diagnosis", "classification", EXPERIMENTS, root / "results", prepared, path, folder, resamples=RESAMPLES)


def write(root: Path) -> dict[str, str]:
    """Every page of the report, by file name."""
    folder = root / "results" / "report"
    report("sample", {"diagnosis": TASK}, EXPERIMENTS, root / "data", root / "results", folder)
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def html(project: Path) -> str:
    return write(project)["diagnosis.html"]


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


@pytest.fixture(scope="module")
def table(project: Path) -> pd.DataFrame:
    return pd.read_csv(project / "results" / "comparison" / "diagnosis.csv").set_index("experiment")


def test_accuracy_ranks_and_every_other_score_stands_beside_it(project: Path, table: pd.DataFrame) -> None:
    assert table.index.tolist() == ["told", "resnet", "forest", "majority"]
    assert table["label"].tolist() == [
        "ResNet34, overlay",
        "ResNet34, the image itself",
        "Random forest, HOG",
        "Majority class",
    ]
    for name, row in table.iterrows():
        metrics = json.loads((project / "results" / "experiments" / str(name) / "metrics.json").read_text())
        for each in ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "ece", "roc_auc"):
            for end in ("mean", "low", "high"):
                assert row[f"{each}_{end}"] == pytest.approx(metrics[each][end], rel=1e-4, abs=2e-6), (name, each, end)
    assert table.loc["majority", "accuracy_mean"] == 0.5
    assert table.loc["majority", "roc_auc_mean"] == 0.5


def test_accuracy_is_broken_down_by_stratum_and_by_class(project: Path, table: pd.DataFrame) -> None:
    scores = pd.read_csv(project / "results" / "experiments" / "forest" / "scores.csv")
    for column in ("hospital", "label"):
        for value, part in scores.groupby(column):
            assert table.loc["forest", f"accuracy_{value}_mean"] == pytest.approx(part["correct"].mean(), abs=1e-6)
    assert table.loc["majority", ["accuracy_normal_mean", "accuracy_tuberculosis_mean"]].tolist() == [1, 0]
    # 20 of 20: as sure as 20 images allow, not more.
    assert table.loc["majority", "accuracy_normal_low"] == pytest.approx(0.025 ** (1 / 20), rel=1e-4)


def test_distances_are_to_the_best_that_does_not_see_the_truth(project: Path, table: pd.DataFrame) -> None:
    assert table.loc["told", "accuracy_mean"] == 1
    assert table.loc["told", "accuracy_behind_mean"] < 0
    assert table.loc["resnet", ["accuracy_behind_mean", "accuracy_behind_low"]].tolist() == [0, 0]
    behind = table.loc["resnet", "accuracy_mean"] - table.loc["forest", "accuracy_mean"]
    assert table.loc["forest", "accuracy_behind_mean"] == pytest.approx(behind, abs=1e-5)


def test_the_figure_says_what_is_compared(project: Path) -> None:
    words = " ".join(ET.fromstring((project / "results" / "comparison" / "diagnosis.svg").read_text()).itertext())
    assert "mean accuracy and 95 % interval" in words
    assert "accuracy (share of the images whose class is right)" in words
    assert "Majority class" in words


def test_the_same_files_give_the_same_bytes(project: Path, html: str, tmp_path: Path) -> None:
    run(project, tmp_path)
    for name in ("diagnosis.csv", "diagnosis.svg"):
        assert (tmp_path / name).read_bytes() == (project / "results" / "comparison" / name).read_bytes()
    assert write(copy(project, tmp_path / "p"))["diagnosis.html"] == html


def test_the_first_screen_answers(html: str, table: pd.DataFrame) -> None:
    answer = text_of(html[: html.index('id="diagnosis-ranking"')])
    row = table.loc["resnet"]
    assert "<h1>ResNet34, the image itself</h1>" in html
    assert f"Accuracy on unseen images {row['accuracy_mean']:.3f}" in answer
    assert f"95 % interval {row['accuracy_low']:.3f} to {row['accuracy_high']:.3f}" in answer
    assert "n = 40 test images, 2 seeds" in answer
    behind = table.loc["forest", "accuracy_behind_mean"]
    assert f"leads Random forest, HOG by {behind:.3f} accuracy and is better on" in answer
    assert re.search(r"better on \d+, worse on \d+, of 40 images", answer)


def test_the_index_shows_the_headline_of_the_kind(project: Path, table: pd.DataFrame) -> None:
    text = text_of(write(project)["index.html"])
    row = table.loc["resnet"]
    assert f"classification ResNet34, the image itself Accuracy {row['accuracy_mean']:.3f}" in text


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


def test_charts_are_there_for_every_method_and_can_be_read_aloud(html: str) -> None:
    charts = re.findall(r"<svg[^>]*>", html)
    assert len(charts) == 1 + 4 + 4 + 2  # comparison, confusion, calibration, learning
    assert all('role="img"' in head and re.search('aria-label="[^"]{20,}"', head) for head in charts)
    assert "best validation balanced accuracy 0.700 at epoch 2 of 2" in text_of(html)


def test_a_page_is_small_loads_nothing_and_has_ids_of_its_own(html: str) -> None:
    assert len(html.encode()) < LARGEST_PAGE
    assert all(uri.startswith("data:") for uri in re.findall(r'\ssrc="([^"]*)"', html))
    ids = re.findall(r'\sid="([^"]*)"', html)
    assert len(ids) == len(set(ids))
    anchors = re.findall(r'href="#([^"]*)"', html)
    assert {"diagnosis-confusion", "diagnosis-calibration", "diagnosis-pictures", "definitions"} <= set(anchors)
    assert set(anchors) <= set(ids)
    assert "diagnosis-thresholds" not in html
    assert "Hausdorff" not in html
    assert "Expected calibration error (Guo" in html


def test_mistakes_that_are_shown_are_the_surest_ones(project: Path, html: str) -> None:
    scores = pd.read_csv(project / "results" / "experiments" / "forest" / "scores.csv")
    surest = scores[scores["correct"] == 0].sort_values("confidence", ascending=False).iloc[0]
    part = html[html.index('id="diagnosis-pictures-forest"') : html.index('id="diagnosis-pictures-majority"')]
    first = re.search(r'alt="([^"]*)"', part)
    assert first
    assert first[1] == f"Test image {surest['id']}: {surest['label']}, predicted {surest['predicted']}"
    assert f"✗ {surest['predicted']} , {100 * surest['confidence']:.0f} %" in text_of(part)
    told = html[html.index('id="diagnosis-pictures-told"') : html.index('id="diagnosis-pictures-resnet"')]
    assert "None: every test image is right." in told


def test_an_image_is_shown_once_whatever_the_seeds() -> None:
    rows = [("a", 0, 0, 0.9), ("a", 1, 0, 0.95), ("b", 0, 1, 0.5), ("b", 1, 0, 0.6), ("c", 0, 1, 0.99)]
    found = telling(pd.DataFrame(rows, columns=["id", "seed", "correct", "confidence"]))
    mistakes, unsure = found["Most confident mistakes"], found["Least sure"]
    assert mistakes[["id", "seed"]].to_numpy().tolist() == [["a", 1], ["b", 1]]
    assert unsure["id"].tolist() == ["b", "a", "c"]


def test_confusions_are_said_in_words() -> None:
    counts = np.array([[5.0, 1.0, 0.0], [2.5, 7.5, 0.0], [0.0, 0.0, 1.0]])
    assert confusion_words(counts, ["cat", "dog", "fox"]) == (
        "Most often: dog taken for cat (2.50 of 10 images) and cat taken for dog (1.00 of 6 images)."
    )
    assert confusion_words(np.eye(3), ["cat", "dog", "fox"]) == "Every image is right."


@pytest.mark.parametrize(("classes", "numbers"), [(3, 3), (37, 0)])
def test_a_confusion_matrix_names_every_class_and_its_cells_sum_to_the_row(classes: int, numbers: int) -> None:
    names = [f"breed {index:02}" for index in range(classes)]
    counts = np.eye(classes) * 3
    counts[0, 1] = 1
    counts[2] = 0  # a class without test images has an empty row
    axes = confusion_chart(counts, names).axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == names
    assert [tick.get_text() for tick in axes.get_xticklabels()] == names
    assert len(axes.patches) == classes  # the diagonal less the empty row, and one beside it
    assert len(axes.texts) == numbers
    if numbers:
        assert {(text.get_position(), text.get_text()) for text in axes.texts} == {
            ((0, 0), "75"),
            ((1, 0), "25"),
            ((1, 1), "100"),
        }


def test_a_lead_in_accuracy_is_said_in_accuracy() -> None:
    behind = {"accuracy_behind_mean": 0.02, "accuracy_behind_low": 0.01, "accuracy_behind_high": 0.03, "images": 3669}
    assert wording.lead("A", "B", behind, 210, CLASSIFICATION, losses=96, seeds=3) == (
        "A leads B by 0.020 accuracy and is better on 210, worse on 96, of 3,669 images; "
        "that is more than chance would give: a clear lead."
    )
    small = {**behind, "accuracy_behind_mean": 0.004, "accuracy_behind_low": 0.001}
    assert wording.verdict(small, CLASSIFICATION, seeds=3) == "a small lead"
    deterministic = {"family": "classical", "method": "svm", "seeds": 1}
    assert wording.fewest_seeds(deterministic, {"family": "classical", "method": "random-forest", "seeds": 2}) == 2
    assert wording.fewest_seeds(deterministic) is None


def test_what_is_missing_is_named_with_the_command_that_makes_it(project: Path, tmp_path: Path) -> None:
    spoilt = copy(project, tmp_path / "p")
    (spoilt / "results" / "experiments" / "forest" / "metrics.json").unlink()
    with pytest.raises(BakeoffError, match=r"forest/metrics\.json is missing: run `dvc repro score-classical@forest`"):
        run(spoilt, tmp_path / "out")


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
