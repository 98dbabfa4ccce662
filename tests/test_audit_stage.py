"""The stages of audit and inflation: planted leaks in a prepared data set are found, and its files say so."""

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
from bakeoff.leakage.audit import COLUMNS, audit, brightness, look_alikes, metadata
from bakeoff.leakage.checks import relatives
from bakeoff.leakage.effects import COLUMNS as INFLATION_COLUMNS
from bakeoff.leakage.effects import inflation
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
    audit(task, SETTINGS[task], prepared, path, root / "audits", resamples=RESAMPLES)
    table = pd.read_csv(root / "audits" / f"{task}.csv", keep_default_na=False, dtype={"count": str})
    return json.loads((root / "audits" / f"{task}.json").read_text()), table.set_index("check")


def changed(prepared: Path, **columns: Any) -> None:
    index = pd.read_csv(prepared / "index.csv")
    index.assign(**columns).to_csv(prepared / "index.csv", index=False)


def some_of(prepared: Path, task: str) -> tuple[int, int]:
    """An image that trains and one that tests."""
    path = prepared.parents[2] / "data" / "splits" / f"{task}.csv"
    split(task, SETTINGS[task], prepared, path)
    fold = read_folds(path, open_prepared(prepared))[0]
    return int(fold.train[0]), int(fold.test[0])


# -- look-alikes ------------------------------------------------------------------------------------------------------


def test_identical_and_nearly_identical_pictures_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    # Coarse noise, since hashes see no fine one.
    images = np.kron(rng.integers(0, 256, (6, 8, 8), np.uint8), np.ones((8, 8), np.uint8))[..., None]
    images[3] = images[0]
    images[5] = np.clip(images[1].astype(int) + rng.integers(-3, 4, images[1].shape), 0, 255)
    identical, near = look_alikes(images, 6)
    assert identical.tolist() == [[0, 3]]
    assert near.tolist() == [[1, 5]]


def test_pictures_unlike_each_other_pair_with_none() -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    assert [pairs.shape for pairs in look_alikes(images, 6)] == [(0, 2), (0, 2)]


# -- the files --------------------------------------------------------------------------------------------------------


def test_a_clean_segmentation(prepared: Path) -> None:
    found, table = audited(prepared, "lungs")
    assert table.columns.tolist() == [name for name in COLUMNS if name != "check"]
    assert table.index.tolist()[:5] == [
        "exact duplicates",
        "near duplicates",
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


def test_a_random_split_that_parts_a_group_fails_as_expected_of_it(prepared: Path) -> None:
    seen, tested = some_of(prepared, "lungs-random")
    group = pd.read_csv(prepared / "index.csv")["group"]
    group[tested] = group[seen]
    changed(prepared, group=group)
    _, table = audited(prepared, "lungs-random")
    assert (table.loc["groups", "verdict"], table.loc["groups", "count"]) == ("fail", "1")
    assert "Expected of this split" in table.loc["groups", "explanation"]


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
    folder = prepared.parents[2] / "audits"
    before = [(folder / f"lungs-diagnosis.{ending}").read_bytes() for ending in ("json", "csv")]
    audited(prepared, "lungs-diagnosis")
    assert [(folder / f"lungs-diagnosis.{ending}").read_bytes() for ending in ("json", "csv")] == before


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


# -- inflation --------------------------------------------------------------------------------------------------------

INPUTS = {
    "overlay": {"kind": "overlay", "mask": "true", "style": "tint"},
    "predicted": {"kind": "overlay", "style": "tint", "segmenter": {"experiment": "unet"}},
}
OTHER_TASKS: dict[str, dict[str, Any]] = {
    "grouped": TASKS["lungs-diagnosis"],
    "random": {**TASKS["lungs-diagnosis"], "split": {"name": "random", "validation": 0.1, "test": 0.2, "seed": 0}},
}


def entry(task: str, **others: Any) -> dict[str, Any]:
    family = "on_inputs" if others else "classifiers"
    return {"family": family, "dataset": "lungs", "task": task, "model": "m", "recipe": "r", **others}


EXPERIMENTS = {
    "raw": entry("grouped"),
    "torn": entry("random"),
    "true": entry("grouped", input="overlay"),
    "honest": entry("grouped", input="predicted"),
}


@pytest.fixture
def scored(prepared: Path) -> Path:
    """A project whose experiments have two seeds of scores each, and whose images come in pairs."""
    root, rng = prepared.parents[2], np.random.default_rng(0)
    changed(prepared, group=[f"g{place // 2}" for place in range(40)])
    data = open_prepared(prepared)
    for task, settings in OTHER_TASKS.items():
        split(task, settings, prepared, root / "data" / "splits" / f"{task}.csv")
    for name, right in {"raw": 0.5, "torn": 0.6, "true": 1.0, "honest": 0.5}.items():
        task = EXPERIMENTS[name]["task"]
        folds = read_folds(root / "data" / "splits" / f"{task}.csv", data)
        ids = data.index["id"].iloc[np.concatenate([fold.test for fold in folds])]
        rows = [
            pd.DataFrame({"id": ids, "seed": seed, "correct": (rng.random(len(ids)) < right).astype(int)})
            for seed in (0, 1)
        ]
        folder = root / "results" / "experiments" / name
        folder.mkdir(parents=True)
        pd.concat(rows).to_csv(folder / "scores.csv", index=False)
    return root


def inflated(root: Path) -> pd.DataFrame:
    path = root / "results" / "audits" / "inflation.csv"
    inflation(EXPERIMENTS, INPUTS, OTHER_TASKS, root / "results", root / "data", path, resamples=RESAMPLES)
    return pd.read_csv(path)


def test_what_leaks_add_to_the_scores(scored: Path) -> None:
    table = inflated(scored)
    assert table.columns.tolist() == INFLATION_COLUMNS
    by_pair = table.set_index(["honest", "inflated"])
    assert set(by_pair.index) == {("raw", "torn"), ("raw", "true"), ("honest", "true")}
    truth = by_pair.loc[("honest", "true")]
    scores = [
        pd.read_csv(scored / "results" / "experiments" / name / "scores.csv")["correct"] for name in ("true", "honest")
    ]
    assert truth["difference"] == pytest.approx(scores[0].mean() - scores[1].mean(), rel=1e-5)
    assert 0 < truth["low"] < truth["difference"] < truth["high"]
    assert truth["words"].startswith("Accuracy rises from 0.")
    torn = by_pair.loc[("raw", "torn"), "words"]
    assert "on other images" in torn
    assert by_pair.loc[("raw", "torn"), "otherwise"]
    assert pd.isna(truth["otherwise"])
    # 40 images: 29 of the 32 that are not drawn for the test, and most of the 20 that a fold does not test.
    assert re.search(r"It also trained on 29 images in place of 1\d, which is not told apart from the leak\.", torn)


def test_a_split_that_parts_no_look_alikes_has_no_leak_to_measure(scored: Path) -> None:
    prepared = scored / "data" / "prepared" / "lungs"
    changed(prepared, group=[f"g{place}" for place in range(40)])
    for task, settings in OTHER_TASKS.items():
        split(task, settings, prepared, scored / "data" / "splits" / f"{task}.csv")
    found = inflated(scored)
    assert found["honest"].tolist() == ["raw", "honest"], "against the true mask alone"


def test_a_leak_is_one_only_where_those_that_it_concerns_gain_more(scored: Path) -> None:
    tasks = {**OTHER_TASKS, "torn-folds": {**OTHER_TASKS["grouped"], "split": {**OTHER_TASKS["grouped"]["split"]}}}
    tasks["torn-folds"]["split"]["grouped"] = False
    prepared = scored / "data" / "prepared" / "lungs"
    changed(prepared, group=[f"g{place // 2 if place < 20 else place}" for place in range(40)])
    for task in ("grouped", "torn-folds"):
        split(task, tasks[task], prepared, scored / "data" / "splits" / f"{task}.csv")
    experiments = {"raw": EXPERIMENTS["raw"], "torn": entry("torn-folds")}
    data = open_prepared(prepared)
    folds = read_folds(scored / "data" / "splits" / "torn-folds.csv", data)
    seen = set(data.index["id"].iloc[relatives(data.index["group"].to_numpy(), folds)["tested"]])
    ids = data.index["id"]
    for gain_of in ("all", "seen"):
        for name in experiments:
            gains = name == "torn"
            correct = [int(gains and (gain_of == "all" or id_ in seen)) for id_ in ids]
            pd.DataFrame({"id": ids, "seed": 0, "correct": correct}).to_csv(
                scored / "results" / "experiments" / name / "scores.csv", index=False
            )
        path = scored / "results" / "audits" / "inflation.csv"
        inflation(experiments, INPUTS, tasks, scored / "results", scored / "data", path, resamples=RESAMPLES)
        (row,) = pd.read_csv(path, dtype={"otherwise": str}, keep_default_na=False).to_dict("records")
        assert row["difference"] == pytest.approx(1.0 if gain_of == "all" else len(seen) / 40)
        assert ("is not shown" in row["otherwise"]) == (gain_of == "all")
        assert ("look-alikes explain" in row["otherwise"]) == (gain_of == "all")


def test_without_a_pair_the_table_is_empty(scored: Path) -> None:
    path = scored / "inflation.csv"
    inflation({}, {}, {}, scored / "results", scored / "data", path, resamples=RESAMPLES)
    assert path.read_text() == "kind,honest,inflated,difference,low,high,words,otherwise\n"


def test_scores_that_are_missing_or_of_other_images_are_named(scored: Path) -> None:
    path = scored / "results" / "experiments" / "true" / "scores.csv"
    kept = path.read_text()
    path.write_text(kept.replace("CHNCXR_0001_1", "CHNCXR_9999_1"))
    with pytest.raises(BakeoffError, match="of other images than the data set 'lungs': run `dvc repro score-on-input@"):
        inflated(scored)
    path.write_text("\n".join(kept.splitlines()[:-1]) + "\n")  # one seed of an image is missing
    with pytest.raises(BakeoffError, match="of other images"):
        inflated(scored)
    path.unlink()
    with pytest.raises(BakeoffError, match=r"scores\.csv is missing: run `dvc repro score-on-input@true`"):
        inflated(scored)
