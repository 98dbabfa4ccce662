"""Audit: whether a task's scores can be what they seem."""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from itertools import combinations
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from bakeoff.artefacts.atomic import write_text
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.prepared import Fold, Prepared, open_prepared, read_folds
from bakeoff.artefacts.provenance import thread_count
from bakeoff.datasets.preparation.arrays import grey_levels
from bakeoff.datasets.preparation.audit import exact_duplicates, near_duplicates, perceptual_hash, thumbnail
from bakeoff.datasets.splits.splitting import NOT_LABELS
from bakeoff.evaluation.out_of_distribution import fit_likeness
from bakeoff.leakage.checks import (
    Check,
    balance_check,
    brightness_check,
    conflict_check,
    corrected,
    duplicate_check,
    group_check,
    keeps_groups,
    mask_conflicts,
    metadata_check,
    telling,
)

log = logging.getLogger(__name__)

SEVERITY = ("pass", "untested", "warn", "fail")
# In how many of 64 hash bits near duplicates may differ. An audit measures by a yardstick of its own, and not by the
# distance that the configuration lets `prepare` group images by.
NEAR_DISTANCE = 6
COLUMNS = [each.name for each in fields(Check) if each.name != "details"]


def audit(
    task: str,
    settings: Mapping[str, Any],
    prepared: Path,
    split: Path,
    folder: Path,
    *,
    resamples: int,
) -> None:
    """Write `TASK.json` and `TASK.csv`: what the test set shares with the images trained on, and what files give away.

    And `TASK-likeness.json`, by which other images are told from those of fold 0: see
    `bakeoff.evaluation.out_of_distribution`.

    Parameters
    ----------
    task
        Its name in the configuration.
    settings
        Its entry: `kind`, `target` and `split`.
    prepared
        `data/prepared/DATASET`.
    split
        `data/splits/TASK.csv`.
    folder
        Where the files go, usually `results/audits`.
    resamples
        Bootstrap resamples an interval.

    Raises
    ------
    BakeoffError
        If a file is missing, or the split is of other images.
    """
    data = open_prepared(prepared)
    folds = read_folds(split, data)
    checks = [*_sharing(data, folds, settings), *_shortcuts(data, folds, settings, resamples)]
    verdict = max((check.verdict for check in checks), key=SEVERITY.index)
    about = {
        "task": task,
        "dataset": data.about["name"],
        "synthetic": data.about["synthetic"],
        "kind": settings["kind"],
        "target": settings["target"],
        "split": settings["split"]["name"],
        "keeps_groups": keeps_groups(settings["split"]),
        "images": len(data.index),
        "folds": len(folds),
        "verdict": verdict,
    }
    folder.mkdir(parents=True, exist_ok=True)
    found = {**about, "checks": [asdict(check) for check in checks]}
    write_text(folder / f"{task}.json", json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    likeness = fit_likeness(data.images, folds[0].train, folds[0].validation)
    write_text(folder / f"{task}-likeness.json", json.dumps(likeness) + "\n")
    table = pd.DataFrame([asdict(check) for check in checks])[COLUMNS].astype({"count": "Int64"})
    write_text(folder / f"{task}.csv", table.to_csv(index=False, float_format="%.6g"))
    noted = ", ".join(f"{check.check} ({check.verdict})" for check in checks if check.verdict != "pass")
    log.info("%s: %d checks, %s", task, len(checks), noted or "all passed")


def _sharing(data: Prepared, folds: list[Fold], settings: Mapping[str, Any]) -> Iterator[Check]:
    """What the test set shares with the images trained on."""
    ids, by_design = data.index["id"].tolist(), not keeps_groups(settings["split"])
    identical, near = look_alikes(data.images, NEAR_DISTANCE)
    for pairs, exact in ((identical, True), (near, False)):
        yield duplicate_check(pairs, folds, ids, exact=exact, by_design=by_design)
    yield group_check(data.index["group"].to_numpy(str), folds, by_design=by_design)

    pairs = np.concatenate([identical, near])
    if settings["target"] is None:
        conflicting, what = mask_conflicts(pairs, data.true_masks()), "mask (Dice below one half)"
        present = pd.DataFrame(_classes_shown(data), columns=data.classes)
    else:
        truth, what = data.index[settings["target"]].to_numpy(str), settings["target"]
        conflicting = truth[pairs[:, 0]] != truth[pairs[:, 1]]
        present = pd.get_dummies(truth)
    yield conflict_check(identical, near, conflicting, ids, what=what)
    yield balance_check(present, folds)


def _shortcuts(data: Prepared, folds: list[Fold], settings: Mapping[str, Any], resamples: int) -> Iterator[Check]:
    """What a label can be told by without looking at the picture."""
    groups, levels = data.index["group"].to_numpy(str), brightness(data.histograms)
    questions = _questions(data, settings["target"])
    asked = {"resamples": resamples, "threads": thread_count()}
    answers = iter(
        corrected(
            [
                telling(columns, labels, folds, groups, **asked)
                for target, labels in questions.items()
                for columns in (metadata(data, target, labels), levels)
            ]
        )
    )
    for target in questions:
        found, told = next(answers), next(answers)
        by_brightness = brightness_check(target, told, predicted=target == settings["target"])
        # Of a pseudo-label that no fold can learn there is nothing to say.
        if found or by_brightness or target == settings["target"]:
            yield metadata_check(target, found, predicted=target == settings["target"])
        if by_brightness:
            yield by_brightness


def _questions(data: Prepared, target: str | None) -> dict[str, np.ndarray]:
    """Labels to be told, by name: the task's own; of a segmentation what images are broken down by, and how much of the
    picture is foreground, in quarters of the images.
    """
    if target is not None:
        return {target: data.index[target].to_numpy(str)}
    area = pd.Series([np.count_nonzero(mask) for mask in data.true_masks()])
    quarter = pd.qcut(area, 4, labels=False, duplicates="drop").to_numpy()
    return {**{name: data.index[name].to_numpy(str) for name in data.strata}, "foreground area (quarters)": quarter}


def look_alikes(images: np.ndarray, distance: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of pictures that are the same at this size, and pairs that are nearly so.

    Parameters
    ----------
    images
        uint8, (n, height, width, channels).
    distance
        In how many of 64 hash bits near duplicates may differ; see
        `bakeoff.datasets.preparation.audit.near_duplicates`.

    Returns
    -------
    identical, near
        Positions, the earlier first, int64, (pairs, 2) each; no pair is in both.
    """
    digests = {row: hashlib.sha256(image.tobytes()).digest() for row, image in enumerate(images)}
    identical = [pair for same in exact_duplicates(digests) for pair in combinations(same, 2)]
    hashes, thumbnails = zip(
        *((perceptual_hash(grey), thumbnail(grey)) for grey in map(grey_levels, images)), strict=True
    )
    found = near_duplicates(hashes, np.stack(thumbnails), distance)
    near = [(pair.first, pair.second) for pair in found if digests[pair.first] != digests[pair.second]]
    return _pairs(identical), _pairs(near)


def metadata(data: Prepared, target: str, labels: np.ndarray) -> pd.DataFrame:
    """What is known of a file without looking at its pixels, one row an image.

    Its width, height, aspect ratio and format; the mode that it was converted from, where the data set's audit says so;
    its folder, unless folders state this label or another that classifiers are asked for; and those labels of the index
    that no classifier is asked for, for example the hospital. Names of files are left out: more often than not they
    number the images of a class.

    Parameters
    ----------
    data
        The data set.
    target
        The label to be told, which is not among the columns.
    labels
        Its values, (images,).
    """
    index = data.index
    paths = [PurePosixPath(name) for name in index["source"]]
    folders = pd.Series([str(path.parent) for path in paths])
    converted = _findings(data, "wrong mode")
    others = [str(name) for name in index if name not in (*NOT_LABELS, target, *data.about["targets"])]
    stated = any(
        pd.Series(values).groupby(folders).nunique().max() == 1
        for values in (labels, *(index[name].to_numpy() for name in data.about["targets"]))
    )
    found: dict[str, Any] = {
        "width": index["original_width"],
        "height": index["original_height"],
        "aspect ratio": index["original_width"] / index["original_height"],
        "format": [path.suffix.lower() for path in paths],
        "mode": index["source"].map(converted).fillna(""),
        **({} if stated else {"folder": folders}),
        **{name: index[name] for name in others},
    }
    return pd.DataFrame(found)


def brightness(histograms: np.ndarray) -> pd.DataFrame:
    """Mean and standard deviation of the grey levels, 0 to 255, from histograms (n, 256)."""
    shares, levels = histograms / histograms.sum(axis=1, keepdims=True), np.arange(256)
    mean = shares @ levels
    variance = shares @ np.square(levels) - np.square(mean)
    return pd.DataFrame({"mean grey level": mean, "spread of grey levels": np.sqrt(np.maximum(variance, 0))})


def _classes_shown(data: Prepared) -> np.ndarray:
    """Which classes an image's mask shows; bool, (images, classes)."""
    count = len(data.classes)
    return np.array([np.bincount(mask.ravel(), minlength=count)[:count] > 0 for mask in data.true_masks()])


def _findings(data: Prepared, finding: str) -> dict[str, str]:
    """Details of one kind of finding by file."""
    path = data.folder / "audit.csv"
    if not path.is_file():
        raise BakeoffError(f"{path} is missing: run `dvc repro prepare`.")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table = table[table["finding"] == finding]
    return {str(row.file): str(row.detail) for row in table.itertuples()}


def _pairs(pairs: list[tuple[int, int]]) -> np.ndarray:
    return np.array(pairs, np.int64).reshape(-1, 2)
