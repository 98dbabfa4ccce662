"""Pages of one's own street scenes: many classes, all of which count, void, and the folder's own split."""

import json
import re
from collections.abc import Mapping, Sequence
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bakeoff.artefacts.experiments import write_settings
from bakeoff.artefacts.layout import Project
from bakeoff.artefacts.predictions import write_predictions
from bakeoff.artefacts.prepared import open_prepared, read_folds
from bakeoff.artefacts.provenance import manifest
from bakeoff.artefacts.void import VOID
from bakeoff.datasets.splits.split import split
from bakeoff.evaluation.comparison import COSTS
from bakeoff.report.mask_classes import mask_classes
from bakeoff.report.reading import Task, read_task
from bakeoff.report.write import write_data_card, write_task_page
from bakeoff.tasks.evaluate import evaluate
from ellipses import MARGIN, RECIPE, RESAMPLES, network, write_prepared

CLASSES = ("sky", "building", "pole", "road", "pavement", "tree", "car", "cyclist")
IMAGES, SIDE = 24, 32
TASK: dict[str, Any] = {
    **{"dataset": "lungs", "kind": "segmentation", "target": None, "score": None},
    "split": {
        **{"name": "by-label", "label": "split", "grouped": True, "stratify": [], "seed": 0},
        **{"train": ["train"], "validation": ["validation"], "test": ["test"]},
    },
}
NETWORKS = {"street-unet": "unet", "street-segnet": "segnet"}


def scene(number: int, classes: int) -> np.ndarray:
    """Stripes of all classes, each a bit lower than in the image before, and at the top of every other image void."""
    mask = ((np.arange(SIDE) + number) * classes // SIDE % classes).astype(np.uint8)
    mask = np.repeat(mask[:, None], SIDE, axis=1)
    mask[: 4 * (number % 2)] = VOID
    return mask


def build(root: Path, classes: Sequence[str], about: Mapping[str, Any] | None = None, score: Any = None) -> Task:
    """A project whose two networks miss the stripes by one and by two rows, up to the evaluation."""
    project, task = Project(root), {**TASK, "score": score}
    folder = project.prepared("lungs")
    write_prepared(folder, images=IMAGES, side=SIDE, synthetic=False)
    np.save(folder / "masks.npy", np.stack([scene(number, len(classes)) for number in range(IMAGES)]))
    index = pd.read_csv(folder / "index.csv")
    parts = np.repeat(["train", "validation", "test"], [10, 4, 10])
    index.drop(columns=["hospital", "diagnosis"]).assign(split=parts).to_csv(folder / "index.csv", index=False)
    known = json.loads((folder / "dataset.json").read_text())
    mine: dict[str, Any] = {"source": None, "title": "Own images: street", "classes": classes, "background": None}
    mine |= {"strata": [], "targets": [], "licence": "not stated", "citation": ""}
    mine |= {"provenance": {"files": [], "folder": "../street", "synthetic": False}, **(about or {})}
    (folder / "dataset.json").write_text(json.dumps({**known, **mine}))
    split("street", task, folder, project.split("street"))
    data = open_prepared(folder)
    rows = read_folds(project.split("street"), data)[0].test
    for missed, (name, model) in enumerate(NETWORKS.items(), 1):
        made = project.experiment("street", name, "networks")
        masks = [np.roll(scene(row, len(classes)), missed, axis=0) for row in rows]
        answers = {seed: [np.where(mask == VOID, seed, mask).astype(np.uint8) for mask in masks] for seed in (0, 1)}
        write_predictions(made.predictions, data.index["id"].iloc[rows].tolist(), answers)
        cost = {"latency_ms": 20.0 * missed, "device": "cpu", "note": "", "manifest": manifest()}
        (made.predictions / "cost.json").write_text(json.dumps({**dict.fromkeys(COSTS), **cost}))
        write_settings(made.predictions, name, network("networks", task="street", model=model), recipe=RECIPE)
    evaluate("street", task, NETWORKS, project, resamples=RESAMPLES, margin=MARGIN)
    return read_task("street", task, project, margin=MARGIN)


def text_of(html: str) -> str:
    """What a page says, without its charts."""
    shown = re.sub(r"<(svg|script|style)\b.*?</\1>", "", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", shown)))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("street")
    build(folder, CLASSES)
    project = Project(folder)
    write_data_card("lungs", "sample", project)
    write_task_page("street", TASK, "sample", project, margin=MARGIN)
    return folder


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return text_of((root / "results" / "report" / "street.html").read_text())


def test_many_classes_are_counted_where_they_would_fill_a_line(root: Path, page: str) -> None:
    assert "Segmentation of 8 classes; the folder's own split." in page
    assert "Methods are ranked by the mean Dice of all classes." in page
    card = text_of((root / "results" / "report" / "data-lungs.html").read_text())
    assert "Examples, with the outlines of 8 classes" in card


def test_scores_are_said_to_be_means_over_classes_once(page: str) -> None:
    assert "mean mean" not in page.lower()
    assert "Across 2 seeds its mean Dice ranges from" in page
    assert "tp are of the class in both masks" in re.sub(r" +", " ", page)
    assert "averaged over those of all classes that the truth or the prediction of the image holds" in page
    assert "A class that neither mask holds is left out of the image's mean." in page
    assert "Its mean over classes ranks the methods." in page
    assert "Mean Dice, IoU, Precision, Recall" in page, "the score that ranks is named once"
    assert "Mean IoU of classes" not in page, "that is the IoU here"
    assert "foreground" not in page[page.index("What the scores mean") :]


def test_void_is_named_where_it_is_seen(root: Path, page: str) -> None:
    assert "cyclist void (no answer)" in page
    assert "Pixels whose true class is not known (void) count in no score." in page
    card = text_of((root / "results" / "report" / "data-lungs.html").read_text())
    assert "Void (no answer): median 12.5 %, from 12.5 % to 12.5 % of the image; 12 images without." in card
    assert "Drawn are the first 6 of 8 classes. sky: median" in card


def test_a_card_of_ones_own_images_has_no_place_for_what_was_published(root: Path) -> None:
    card = text_of((root / "results" / "report" / "data-lungs.html").read_text())
    for absent in ("published", "SHA-256", "Archives"):
        assert absent not in card
    assert "Citation none" in card


def test_a_model_card_has_no_empty_words(root: Path, page: str) -> None:
    text = (Project(root).evaluated("street", "street-unet") / "card.md").read_text()
    assert (
        "split name by-label, label split, grouped yes, seed 0, train train, validation validation, test test." in text
    )
    assert "- none" not in text
    assert "Wilson" not in text
    assert "| Dice, mean over the classes scored |" in text
    assert "mean IoU over" not in text
    assert "citations" not in page, "the page has the parameters alone"


def test_two_classes_that_both_count_have_a_row_each(tmp_path: Path) -> None:
    found = mask_classes(build(tmp_path / "none", ("left", "right")))
    assert found is not None
    assert [row["name"] for row in found["rows"]] == ["left", "right"]
    assert found["scored"] == "all classes"
    assert mask_classes(build(tmp_path / "first", ("left", "right"), {"background": 0})) is None


def test_classes_that_the_score_is_of_are_named(tmp_path: Path) -> None:
    one = mask_classes(build(tmp_path / "one", CLASSES, score={"class": "road"}))
    assert one is not None
    assert one["scored"] == ""
    rest = mask_classes(build(tmp_path / "rest", CLASSES, {"background": 0}))
    assert rest is not None
    assert rest["scored"] == "all classes but sky"
