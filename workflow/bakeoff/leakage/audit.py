"""The audit of a task: leakage between its splits, and labels that can be predicted without looking at an image."""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bakeoff.artefacts.atomic import write_text
from bakeoff.artefacts.prepared import Fold, Prepared, open_prepared, read_folds
from bakeoff.artefacts.provenance import thread_count
from bakeoff.artefacts.void import VOID
from bakeoff.datasets.splits.splitting import keeps_groups
from bakeoff.evaluation.out_of_distribution import FILE, fit_detector
from bakeoff.leakage.between_splits import (
    balance_check,
    conflict_check,
    duplicate_check,
    duplicate_pairs,
    group_check,
    mask_conflicts,
)
from bakeoff.leakage.check import SEVERITIES, Check
from bakeoff.leakage.metadata import brightness, metadata
from bakeoff.leakage.predictability import brightness_check, holm_corrected, metadata_check, predictability
from bakeoff.leakage.wording import OF_AREA

log = logging.getLogger(__name__)

# In how many of 64 hash bits near-duplicates may differ. It does not depend on the distance that the configuration lets
# `prepare` group images by.
NEAR_DISTANCE = 6
FOREGROUND_AREA = "foreground area (quarters)"
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
    """Write `audit.csv` and `audit.json`, one entry a check, and `out_of_distribution.json`.

    The last holds the detector of fold 0, see `bakeoff.evaluation.out_of_distribution`.

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
        Where the files go, usually `results/evaluation/TASK`.
    resamples
        Bootstrap resamples an interval.

    Raises
    ------
    BakeoffError
        If a file is missing, or the split is of other images.
    """
    data = open_prepared(prepared)
    folds = read_folds(split, data)
    checks = [*_between_splits(data, folds, settings), *_predictability(data, folds, settings, resamples)]
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
        "verdict": max((check.verdict for check in checks), key=SEVERITIES.index),
        "checks": [asdict(check) for check in checks],
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "audit.json", json.dumps(about, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    detector = fit_detector(data.pictures, folds[0].train, folds[0].validation, data.geometry)
    write_text(folder / FILE, json.dumps(detector) + "\n")
    table = pd.DataFrame([asdict(check) for check in checks])[COLUMNS].astype({"count": "Int64"})
    write_text(folder / "audit.csv", table.to_csv(index=False, float_format="%.6g"))
    noted = ", ".join(f"{check.check} ({check.verdict})" for check in checks if check.verdict != "pass")
    log.info("%s: %d checks, %s", task, len(checks), noted or "all passed")


def _between_splits(data: Prepared, folds: list[Fold], settings: Mapping[str, Any]) -> Iterator[Check]:
    ids, by_design = data.index["id"].tolist(), not keeps_groups(settings["split"])
    identical, near = duplicate_pairs(data.pictures, NEAR_DISTANCE)
    for pairs, exact in ((identical, True), (near, False)):
        yield duplicate_check(pairs, folds, ids, exact=exact, by_design=by_design)
    yield group_check(data.index["group"].to_numpy(str), folds, by_design=by_design)

    pairs = np.concatenate([identical, near])
    if settings["target"] is None:
        foreground = data.score(None).scored
        conflicting = mask_conflicts(pairs, data.true_masks(), len(data.classes), foreground)
        what = "mask (Dice below one half)"
        present = pd.DataFrame(_classes_shown(data), columns=data.classes)
    else:
        truth, what = data.index[settings["target"]].to_numpy(str), settings["target"]
        conflicting = truth[pairs[:, 0]] != truth[pairs[:, 1]]
        present = pd.get_dummies(truth)
    yield conflict_check(identical, near, conflicting, ids, what=what)
    yield balance_check(present, folds)


def _predictability(data: Prepared, folds: list[Fold], settings: Mapping[str, Any], resamples: int) -> Iterator[Check]:
    groups, levels, own = data.index["group"].to_numpy(str), brightness(data.histograms), settings["target"]
    labels = _labels(data, own)
    answers = iter(
        holm_corrected(
            [
                predictability(columns, values, folds, groups, resamples=resamples, threads=thread_count())
                for name, values in labels.items()
                for columns in (metadata(data, name, values), levels)
            ]
        )
    )
    for name in labels:
        by_metadata, by_brightness = next(answers), next(answers)
        # Of a label that only stands in for the mask, a check that could not be made is left out.
        if by_metadata or by_brightness or name == own:
            yield metadata_check(name, by_metadata, is_target=name == own)
        if found := brightness_check(name, by_brightness, is_target=name == own):
            # More of what is bright makes an image brighter: the sign of the mask itself, no other way to its answer.
            yield replace(found, verdict="pass", explanation=OF_AREA) if name == FOREGROUND_AREA else found


def _labels(data: Prepared, target: str | None) -> dict[str, np.ndarray]:
    """Labels to be predicted, by name: a classification's target; of a segmentation the labels that images are broken
    down by, and how much of the picture is foreground, in quarters of the images.
    """
    if target is not None:
        return {target: data.index[target].to_numpy(str)}
    labels = {name: data.index[name].to_numpy(str) for name in data.strata}
    if data.background is None:  # all is foreground
        return labels
    masks = data.true_masks()
    area = pd.Series([data.foreground(mask).sum() / max(1, int((mask != VOID).sum())) for mask in masks])
    return {**labels, FOREGROUND_AREA: pd.qcut(area, 4, labels=False, duplicates="drop").to_numpy()}


def _classes_shown(data: Prepared) -> np.ndarray:
    """Which classes an image's mask shows; bool, (images, classes)."""
    count = len(data.classes)
    return np.array([np.bincount(mask.ravel(), minlength=count)[:count] > 0 for mask in data.true_masks()])
