"""The audit of a task and its leakage effects: planted leaks in a prepared data set are found and written."""

import json
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.prepared import open_prepared, read_folds
from bakeoff.datasets.splits.split import split
from bakeoff.leakage.audit import COLUMNS, audit
from bakeoff.leakage.between_splits import duplicate_pairs, images_of_seen_groups
from bakeoff.leakage.designs import designs
from bakeoff.leakage.effects import COLUMNS as EFFECT_COLUMNS
from bakeoff.leakage.effects import TaskImages, leakage_effects
from bakeoff.leakage.metadata import brightness, metadata
from ellipses import TASKS, write_prepared

RESAMPLES = 200
SETTINGS: dict[str, dict[str, Any]] = {
    **TASKS,
    "lungs-random": {**TASKS["lungs"], "split": {"name": "random", "validation": 0.1, "test": 0.3, "seed": 0}},
}


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "prepared" / "lungs"
    write_prepared(folder, images=40, side=48)
    return folder


def audited(prepared: Path, task: str) -> tuple[dict[str, Any], pd.DataFrame]:
    root = prepared.parents[2]
    path = root / "data" / "splits" / f"{task}.csv"
    if not path.is_file():
        split(task, SETTINGS[task], prepared, path)
    folder = root / "results" / "evaluation" / task
    audit(task, SETTINGS[task], prepared, path, folder, resamples=RESAMPLES)
    assert sorted(each.name for each in folder.iterdir()) == ["audit.csv", "audit.json", "out_of_distribution.json"]
    table = pd.read_csv(folder / "audit.csv", keep_default_na=False, dtype={"count": str})
    return json.loads((folder / "audit.json").read_text()), table.set_index("check")


def changed(prepared: Path, **columns: Any) -> None:
    index = pd.read_csv(prepared / "index.csv")
    index.assign(**columns).to_csv(prepared / "index.csv", index=False)


def some_of(prepared: Path, task: str) -> tuple[int, int]:
    """An image that trains and one that tests."""
    path = prepared.parents[2] / "data" / "splits" / f"{task}.csv"
    split(task, SETTINGS[task], prepared, path)
    fold = read_folds(path, open_prepared(prepared))[0]
    return int(fold.train[0]), int(fold.test[0])


# -- duplicates ------------------------------------------------------------------------------------------------------


def test_duplicates_and_near_duplicates_are_distinguished() -> None:
    rng = np.random.default_rng(0)
    # Coarse noise, since hashes see no fine one.
    images = np.kron(rng.integers(0, 256, (6, 8, 8), np.uint8), np.ones((8, 8), np.uint8))[..., None]
    images[3] = images[0]
    images[5] = np.clip(images[1].astype(int) + rng.integers(-3, 4, images[1].shape), 0, 255)
    identical, near = duplicate_pairs(images, 6)
    assert identical.tolist() == [[0, 3]]
    assert near.tolist() == [[1, 5]]


def test_different_pictures_make_no_pairs() -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    assert [pairs.shape for pairs in duplicate_pairs(images, 6)] == [(0, 2), (0, 2)]


# -- the files --------------------------------------------------------------------------------------------------------


def test_a_clean_segmentation(prepared: Path) -> None:
    found, table = audited(prepared, "lungs")
    assert table.columns.tolist() == [name for name in COLUMNS if name != "check"]
    assert table.index.tolist()[:5] == [
        "exact duplicates",
        "near-duplicates",
        "groups",
        "label conflicts",
        "class balance",
    ]
    assert table.loc[["exact duplicates", "groups", "class balance"], "verdict"].eq("pass").all()
    assert found["checks"][0]["details"] == {"pairs": [], "by_fold": {"0": 0}}
    assert (found["task"], found["dataset"], found["split"], found["folds"]) == ("lungs", "lungs", "stratified", 1)
    # Labels that images are broken down by, and how much is foreground, stand in for the label.
    assert {"metadata: hospital", "metadata: diagnosis", "brightness: foreground area (quarters)"} <= set(table.index)
    # Pictures of one hospital are drawn brighter.
    assert table.loc["brightness: hospital", "verdict"] == "warn"
    of_area = table.loc["brightness: foreground area (quarters)"]
    assert of_area["verdict"] == "pass", "the sign of the mask itself"
    assert of_area["explanation"] == (
        "An image with more of the foreground may be brighter or darker for that reason: this is no shortcut."
    )
    assert "a method may rely on it" in table.loc["brightness: hospital", "explanation"]
    assert float(table.loc["brightness: hospital", "chance"]) == 0.5


def test_planted_duplicates_fail_and_the_same_pixels_with_two_masks_conflict(prepared: Path) -> None:
    seen, tested = some_of(prepared, "lungs")
    images = np.load(prepared / "images.npy")
    images[tested] = images[seen]
    np.save(prepared / "images.npy", images)
    masks = np.load(prepared / "masks.npy")
    masks[tested] = 1 - masks[seen]
    np.save(prepared / "masks.npy", masks)
    found, table = audited(prepared, "lungs")
    ids = pd.read_csv(prepared / "index.csv")["id"]
    assert (table.loc["exact duplicates", "verdict"], table.loc["exact duplicates", "count"]) == ("fail", "1")
    assert found["checks"][0]["details"]["pairs"] == [{"fold": 0, "seen": ids[seen], "tested": ids[tested]}]
    assert table.loc["label conflicts", "verdict"] == "fail"
    assert found["verdict"] == "fail"


def test_a_random_split_that_separates_a_group_fails_and_says_that_this_is_expected(prepared: Path) -> None:
    seen, tested = some_of(prepared, "lungs-random")
    group = pd.read_csv(prepared / "index.csv")["group"]
    group[tested] = group[seen]
    changed(prepared, group=group)
    _, table = audited(prepared, "lungs-random")
    assert (table.loc["groups", "verdict"], table.loc["groups", "count"]) == ("fail", "1")
    assert "This is expected" in table.loc["groups", "explanation"]


def test_a_classification_whose_label_shows_in_the_files_size(prepared: Path, caplog: pytest.LogCaptureFixture) -> None:
    diagnosis = pd.read_csv(prepared / "index.csv")["diagnosis"]
    changed(prepared, original_width=np.where(diagnosis == "normal", 300, 301))
    with caplog.at_level(logging.INFO):
        found, table = audited(prepared, "lungs-diagnosis")
    row = table.loc["metadata: diagnosis"]
    assert row["verdict"] == "warn"
    assert (float(row["score"]), float(row["low"]), float(row["chance"])) == (1.0, 1.0, 0.5)
    details = {check["check"]: check["details"] for check in found["checks"]}
    assert details["metadata: diagnosis"]["column"] in ("width", "aspect ratio")
    assert set(details["metadata: diagnosis"]["balanced_accuracy_by_fold"]) == {"0", "1"}
    # A classifier is asked for its own label alone.
    assert [name for name in table.index if name.startswith("metadata")] == ["metadata: diagnosis"]
    assert "metadata: diagnosis (warn)" in caplog.text


def test_two_runs_write_the_same(prepared: Path) -> None:
    audited(prepared, "lungs-diagnosis")
    files = sorted((prepared.parents[2] / "results" / "evaluation" / "lungs-diagnosis").iterdir())
    before = [each.read_bytes() for each in files]
    audited(prepared, "lungs-diagnosis")
    assert [each.read_bytes() for each in files] == before


def test_what_is_known_of_a_file(prepared: Path) -> None:
    data = open_prepared(prepared)
    columns = metadata(data, "diagnosis", data.index["diagnosis"].to_numpy())
    assert set(columns) == {"width", "height", "aspect ratio", "format", "mode", "folder", "hospital"}
    converted = columns.loc[columns["mode"] != "", "mode"]
    assert data.index.loc[converted.index, "id"].tolist() == ["MCUCXR_0003_1"]
    assert "hospital" not in metadata(data, "hospital", data.index["hospital"].to_numpy())


def test_a_folder_that_is_the_label_is_no_metadata(prepared: Path) -> None:
    index = pd.read_csv(prepared / "index.csv")
    changed(prepared, source=index["diagnosis"] + "/" + index["source"])
    data = open_prepared(prepared)
    assert "folder" not in metadata(data, "diagnosis", data.index["diagnosis"].to_numpy())
    assert "folder" not in metadata(data, "hospital", data.index["hospital"].to_numpy())
    changed(prepared, source=np.where(np.arange(len(index)) % 3, "scanner-1/", "scanner-2/") + index["source"])
    data = open_prepared(prepared)
    assert "folder" in metadata(data, "diagnosis", data.index["diagnosis"].to_numpy())


def test_brightness_is_that_of_the_pixels(prepared: Path) -> None:
    data = open_prepared(prepared)
    pixels = data.images.reshape(len(data.images), -1)
    found = brightness(data.histograms)
    np.testing.assert_allclose(found["mean grey level"], pixels.mean(axis=1))
    np.testing.assert_allclose(found["spread of grey levels"], pixels.std(axis=1))


def test_what_is_missing_is_named(prepared: Path) -> None:
    (prepared / "audit.csv").unlink()
    with pytest.raises(BakeoffError, match=r"audit\.csv is missing"):
        audited(prepared, "lungs")


# -- leakage effects --------------------------------------------------------------------------------------------------

OVERLAY = {"dataset": "lungs", "kind": "overlay", "style": "tint"}
DERIVED = {
    "overlay": {**OVERLAY, "masks": "lungs", "variant": "true"},
    "predicted": {**OVERLAY, "masks": "unet", "variant": "cross-fitted"},
}
GROUPED = TASKS["lungs-diagnosis"]
OTHER_TASKS: dict[str, dict[str, Any]] = {
    "grouped": GROUPED,
    "random": {**GROUPED, "split": {"name": "random", "validation": 0.1, "test": 0.2, "seed": 0}},
    "ungrouped": {**GROUPED, "split": {**GROUPED["split"], "grouped": False}},
}


def entry(task: str, images: str = "lungs") -> dict[str, Any]:
    return {
        "dataset": "lungs",
        "task": task,
        "model": "m",
        "recipe": "r",
        "images": images,
        "pictures": DERIVED.get(images),
    }


EXPERIMENTS = {
    "raw": entry("grouped"),
    "random": entry("random"),
    "true": entry("grouped", "overlay"),
    "predicted": entry("grouped", "predicted"),
}
PAIRS = (("raw", "random"), ("raw", "true"), ("predicted", "true"))


def task_images(prepared: Path, task: str) -> TaskImages:
    path = prepared.parents[2] / "data" / "splits" / f"{task}.csv"
    split(task, OTHER_TASKS[task], prepared, path)
    data = open_prepared(prepared)
    return TaskImages(data.index, read_folds(path, data))


def scores_of(images: TaskImages, right: float, seeds: int = 2) -> pd.DataFrame:
    ids, rng = images.index["id"].iloc[np.concatenate([fold.test for fold in images.folds])], np.random.default_rng(0)
    rows = [
        pd.DataFrame({"id": ids, "seed": seed, "correct": (rng.permutation(len(ids)) < right * len(ids)).astype(int)})
        for seed in range(seeds)
    ]
    return pd.concat(rows)


def effects(
    prepared: Path,
    experiments: dict[str, dict[str, Any]] = EXPERIMENTS,
    scores: dict[str, pd.DataFrame] | None = None,
) -> pd.DataFrame:
    images = {each["task"]: task_images(prepared, each["task"]) for each in experiments.values()}
    right = {"raw": 0.5, "random": 0.6, "true": 1.0, "predicted": 0.5}
    scores = scores or {name: scores_of(images[each["task"]], right[name]) for name, each in experiments.items()}
    found = designs(experiments, OTHER_TASKS)
    return leakage_effects(found, scores, experiments, OTHER_TASKS, images, resamples=RESAMPLES)


def test_what_leaks_add_to_the_scores(prepared: Path) -> None:
    changed(prepared, group=[f"g{place // 2}" for place in range(40)])
    table = effects(prepared)
    assert table.columns.tolist() == EFFECT_COLUMNS
    by_pair = table.set_index(["without_leak", "with_leak"])
    assert set(by_pair.index) == set(PAIRS)
    truth, images = by_pair.loc[("predicted", "true")], task_images(prepared, "grouped")
    means = [scores_of(images, right)["correct"].mean() for right in (1.0, 0.5)]
    assert truth["difference"] == pytest.approx(means[0] - means[1], rel=1e-5)
    assert 0 < truth["low"] < truth["difference"] < truth["high"]
    assert truth["words"].startswith("Accuracy rises from 0.")
    assert truth["other_reasons"] == ""
    words = by_pair.loc[("raw", "random"), "words"]
    assert "on different images" in words
    # 40 images: 29 of the 32 that are not drawn for the test, and most of the 20 that a fold does not test.
    assert re.search(
        r"It was also trained on 29 images instead of 1\d", by_pair.loc[("raw", "random"), "other_reasons"]
    )


def test_a_split_without_groups_in_two_parts_has_no_leak_to_measure(prepared: Path) -> None:
    changed(prepared, group=[f"g{place}" for place in range(40)])
    assert effects(prepared)["without_leak"].tolist() == ["raw", "predicted"], "the pairs with the true mask alone"


@pytest.mark.parametrize("gain_of", ["all", "leaked"])
def test_a_leak_must_raise_the_scores_of_the_images_that_it_concerns(prepared: Path, gain_of: str) -> None:
    changed(prepared, group=[f"g{place // 2 if place < 20 else place}" for place in range(40)])
    images = task_images(prepared, "ungrouped")
    index, folds = images.index, images.folds
    leaked = index["id"].iloc[images_of_seen_groups(index["group"].to_numpy(), folds)["tested"]]
    gains = np.ones(40, bool) if gain_of == "all" else index["id"].isin(leaked)
    scores = {
        name: pd.DataFrame({"id": index["id"], "seed": 0, "correct": correct})
        for name, correct in {"raw": np.zeros(40, int), "ungrouped": gains.astype(int)}.items()
    }
    [row] = effects(prepared, {"raw": entry("grouped"), "ungrouped": entry("ungrouped")}, scores).to_dict("records")
    assert row["difference"] == pytest.approx(gains.mean())
    assert ("may be chance" in row["other_reasons"]) == (gain_of == "all")
    assert ("explains at most" in row["other_reasons"]) == (gain_of == "all")


def test_without_a_pair_the_table_is_empty() -> None:
    table = leakage_effects([], {}, {}, {}, {}, resamples=RESAMPLES)
    assert (len(table), table.columns.tolist()) == (0, EFFECT_COLUMNS)


@pytest.mark.parametrize("fault", ["another image", "a missing seed"])
def test_scores_of_other_images_are_refused(prepared: Path, fault: str) -> None:
    experiments = {name: EXPERIMENTS[name] for name in ("raw", "true")}
    images = task_images(prepared, "grouped")
    scores = {name: scores_of(images, 0.5) for name in experiments}
    if fault == "another image":
        scores["true"]["id"] = scores["true"]["id"].replace("CHNCXR_0001_1", "CHNCXR_9999_1")
    else:
        scores["true"] = scores["true"].iloc[:-1]
    with pytest.raises(BakeoffError, match="the scores of 'true' are of other images than its data set has"):
        effects(prepared, experiments, scores)
