"""What belongs to one task is on its page alone, what compares tasks is on the index."""

import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from bakeoff.artefacts.layout import Project
from bakeoff.datasets.splits.split import split
from bakeoff.report.write import write_data_card, write_task_page
from bakeoff.tasks.evaluate import evaluate
from ellipses import MARGIN, RESAMPLES, TASKS, network, write_classifier, write_pages, write_prepared

DIAGNOSIS = TASKS["lungs-diagnosis"]
HOLDOUT = {**TASKS["lungs"]["split"], "stratify": ["hospital", "diagnosis"]}
MINE: dict[str, dict[str, Any]] = {
    "grouped": DIAGNOSIS,
    "ungrouped": {**DIAGNOSIS, "split": {**DIAGNOSIS["split"], "grouped": False}},
    "all-hospitals": {**DIAGNOSIS, "split": HOLDOUT},
    "one-hospital": {
        **DIAGNOSIS,
        "split": {**HOLDOUT, "learn_from": {"label": "hospital", "value": "montgomery"}},
    },
}
OVERLAY = {"dataset": "lungs", "kind": "overlay", "style": "tint", "masks": "predicted-masks"}


def resnet(task: str, images: str = "lungs", variant: str | None = None) -> dict[str, Any]:
    pictures = None if variant is None else {**OVERLAY, "variant": variant}
    return network(
        "derived" if pictures else "pretrained",
        task=task,
        target="diagnosis",
        model="timm_classifier",
        weights="resnet34",
        settings={"backbone": "resnet34"},
        images=images,
        pictures=pictures,
        segmenter="lungs-unet" if pictures else None,
    )


# By experiment: its settings, and how far its probabilities know the truth.
EXPERIMENTS: dict[str, tuple[dict[str, Any], float]] = {
    "raw": (resnet("grouped"), 0.5),
    "cross-fitted": (resnet("grouped", "lungs-predicted", "cross-fitted"), 0.3),
    "in-sample": (resnet("grouped", "lungs-in-sample", "in-sample"), 3.0),
    "raw-ungrouped": (resnet("ungrouped"), 3.0),
    "raw-all": (resnet("all-hospitals"), 3.0),
    "raw-one": (resnet("one-hospital"), 0.3),
}


# Dice of the masks that they see, in two folds.
QUALITY = {
    name: [
        {"fold": fold, "variant": name, "part": part, "images": 20, "dice": dice + fold / 50}
        for fold in (0, 1)
        for part, dice in (("train", train), ("validation", 0.83), ("test", 0.82))
    ]
    for name, train in (("cross-fitted", 0.81), ("in-sample", 0.97))
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Four tasks on the same images, of which two and two look alike."""
    project = Project(tmp_path_factory.mktemp("tasks"))
    prepared = project.prepared("lungs")
    write_prepared(prepared, images=48, side=32)
    index = pd.read_csv(prepared / "index.csv")
    # Images of one diagnosis make pairs: 0 and 2, 1 and 3, 4 and 6, and so on.
    index["group"] = [f"g{row // 4}{row % 2}" for row in range(len(index))]
    index.to_csv(prepared / "index.csv", index=False)
    for task, entry in MINE.items():
        split(task, entry, prepared, project.split(task))
        names = [name for name, (settings, _) in EXPERIMENTS.items() if settings["task"] == task]
        for name in names:
            settings, knows = EXPERIMENTS[name]
            write_classifier(name, settings, project, knows=knows, mask_quality=QUALITY.get(name))
        evaluate(task, entry, names, project, resamples=RESAMPLES, margin=MARGIN)
    return project


@pytest.fixture(scope="module")
def pages(project: Project) -> dict[str, str]:
    found = write_pages(project.root, tasks=MINE)
    return {name: re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html)) for name, html in found.items()}


def test_the_page_of_a_task_needs_nothing_of_another(project: Project, pages: dict[str, str], tmp_path: Path) -> None:
    alone = Project(tmp_path)
    for folder in (project.prepared("lungs"), project.task("grouped"), project.evaluation("grouped")):
        shutil.copytree(folder, tmp_path / folder.relative_to(project.root))
    alone.split("grouped").parent.mkdir()
    shutil.copy(project.split("grouped"), alone.split("grouped"))
    write_data_card("lungs", "sample", alone)
    write_task_page("grouped", DIAGNOSIS, "sample", alone, margin=MARGIN)
    for name in ("grouped.html", "data-lungs.html"):
        html = (alone.report / name).read_text()
        assert html == (project.report / name).read_text()
        assert not any(f"{other}.html" in html for other in MINE if other != "grouped")


def test_a_task_shows_what_in_sample_masks_add(pages: dict[str, str]) -> None:
    said = "In-sample instead of cross-fitted masks in-sample minus cross-fitted +"
    assert said in pages["grouped.html"]
    assert "✗ higher score" in pages["grouped.html"]
    assert said not in "".join(text for name, text in pages.items() if name != "grouped.html")
    assert "In-sample instead of cross-fitted masks (in-sample and cross-fitted): Accuracy rises" in pages["index.html"]


def test_a_task_shows_how_good_the_masks_of_its_pictures_are(pages: dict[str, str]) -> None:
    text = pages["grouped.html"]
    assert "cross-fitted by lungs-unet 0.820 0.840 0.830" in text
    assert "in-sample by lungs-unet 0.980 0.840 0.830" in text
    assert "Predicted masks" not in pages["ungrouped.html"]


def test_the_index_shows_leakage_effects_between_splits(project: Project, pages: dict[str, str]) -> None:
    table = pd.read_csv(project.report / "leakage.csv")
    assert (table["kind"] == "leakage between splits").all()
    assert table[["without_leak", "with_leak"]].to_numpy().tolist() == [
        ["raw", "raw-ungrouped"],
        ["raw-all", "raw-ungrouped"],
    ]
    row = table.iloc[0]
    means = [read_mean(project, task, name) for task, name in (("ungrouped", "raw-ungrouped"), ("grouped", "raw"))]
    assert row["difference"] == pytest.approx(means[0] - means[1], abs=1e-5)
    assert f"raw-ungrouped raw {row['difference']:+.3f} {row['low']:+.3f} to {row['high']:+.3f}" in pages["index.html"]
    assert row["words"] in pages["index.html"]
    assert row["words"] not in pages["ungrouped.html"] + pages["grouped.html"]


def read_mean(project: Project, task: str, name: str) -> float:
    return float(pd.read_csv(project.evaluated(task, name) / "scores.csv")["correct"].mean())


def test_the_index_shows_transfers(pages: dict[str, str]) -> None:
    text = pages["index.html"]
    assert text.count("Transfer between groups") == 1, "both tasks test the same images"
    matrix = text[text.index("Transfer between groups") :]
    assert "ResNet34, by hospital" in matrix
    assert re.search(r"tested on montgomery \(n = \d+\) tested on shenzhen \(n = \d+\)", matrix)
    assert re.search(r"(shenzhen|montgomery|all) instead of", matrix)


def test_pages_of_tasks_have_no_menu_and_the_index_has_one(project: Project, pages: dict[str, str]) -> None:
    menus = {path.name: 'class="menu"' in path.read_text() for path in project.report.glob("*.html")}
    assert {name for name, menu in menus.items() if menu} == {"index.html", "claims.html"}
