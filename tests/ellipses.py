"""A tiny project on drawn ellipses: the files that every stage before the comparison would have left."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from bakeoff.artefacts import provenance
from bakeoff.artefacts.predictions import write_predictions
from bakeoff.artefacts.prepared import open_prepared, read_folds, tested_rows
from bakeoff.baselines.threshold_experiment import threshold
from bakeoff.claims.table import claims
from bakeoff.datasets.splits.split import split
from bakeoff.tasks.comparing import compare
from bakeoff.tasks.scoring import score
from bakeoff.leakage.audit import COLUMNS
from bakeoff.leakage.check import Check
from bakeoff.leakage.effects import COLUMNS as EFFECT_COLUMNS

RESAMPLES = 300
MARGIN = 0.01
SEEDS = 2
# What `report` asks for beside the files.
SETTINGS: dict[str, Any] = {
    "margins": {"segmentation": MARGIN, "classification": MARGIN},
    "recipes": {"r": {"epochs": 8, "augmentation": {"rotate": 10}}},
}
TASKS: dict[str, dict[str, Any]] = {
    "lungs": {
        "dataset": "lungs",
        "kind": "segmentation",
        "target": None,
        "split": {
            "name": "stratified",
            "train": 0.5,
            "validation": 0.1,
            "test": 0.4,
            "stratify": ["hospital", "diagnosis"],
            "seed": 0,
        },
    },
    # A task that nothing competes in yet.
    "lungs-diagnosis": {
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
    },
}
THRESHOLDS: dict[str, dict[str, Any]] = {
    **{f"lungs-{method}": {"method": method} for method in ("otsu", "li", "minimum", "triangle", "yen")},
    "lungs-otsu-oracle": {"method": "otsu", "foreground": "oracle"},
    "lungs-otsu-bright": {"method": "otsu", "foreground": "bright"},
    **{f"lungs-multiotsu{classes}": {"method": "multiotsu", "classes": classes} for classes in (3, 4, 5)},
}
NETWORKS: dict[str, dict[str, Any]] = {
    "lungs-unet": {"family": "networks", "model": "unet"},
    "lungs-deeplabv3plus": {"family": "pretrained", "model": "deeplabv3plus", "weights": "resnet50"},
}
WHERE = {"dataset": "lungs", "task": "lungs"}
EXPERIMENTS: dict[str, dict[str, Any]] = {
    **{name: {**WHERE, "family": "thresholds", "foreground": "train", **each} for name, each in THRESHOLDS.items()},
    **{name: {**WHERE, "recipe": "r", "settings": {}, **each} for name, each in NETWORKS.items()},
}
# How far, in pixels, a stand-in for a network misses the truth's edge: the smaller, the better.
MISSES = {"lungs-unet": 1.0, "lungs-deeplabv3plus": 1.4}


def draw_image(rng: np.random.Generator, side: int, bright: bool) -> tuple[np.ndarray, np.ndarray]:
    """A picture of two dark ellipses in a body on a dark ground, and their mask; uint8, (side, side) each."""
    mask, body = np.zeros((side, side), np.uint8), np.zeros((side, side), np.uint8)
    cv2.ellipse(body, (side // 2, side // 2), (int(0.47 * side), int(0.6 * side)), 0, 0, 360, 1, -1)
    for sign in (-1, 1):
        centre = (int(side * (0.5 + sign * rng.uniform(0.17, 0.22))), int(side * rng.uniform(0.45, 0.55)))
        axes = (int(side * rng.uniform(0.10, 0.15)), int(side * rng.uniform(0.24, 0.33)))
        cv2.ellipse(mask, centre, axes, sign * rng.uniform(4, 12), 0, 360, 1, -1)
    grey = np.where(body == 1, 170.0, 25.0) + (25 if bright else 0) - 85.0 * mask
    grey += cv2.GaussianBlur(rng.normal(0, 90, (side, side)), (0, 0), side / 12) + rng.normal(0, 8, (side, side))
    return np.clip(cv2.GaussianBlur(grey, (0, 0), 1.2), 0, 255).astype(np.uint8), mask


def write_prepared(folder: Path, *, images: int = 60, side: int = 64, synthetic: bool = True) -> None:
    """A folder as `prepare` leaves it."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    hospitals = np.where(np.arange(images) % 3 == 0, "montgomery", "shenzhen")
    diagnoses = np.where(np.arange(images) % 2 == 0, "normal", "tuberculosis")
    drawn = [draw_image(rng, side, hospital == "montgomery") for hospital in hospitals]
    pictures = np.stack([picture for picture, _ in drawn])[..., None]
    np.save(folder / "images.npy", pictures)
    np.save(folder / "masks.npy", np.stack([mask for _, mask in drawn]))
    np.save(
        folder / "histograms.npy",
        np.stack([np.bincount(each.ravel(), minlength=256) for each in pictures]).astype("u4"),
    )
    ids = [f"{'MCUCXR' if name == 'montgomery' else 'CHNCXR'}_{n:04}_{n % 2}" for n, name in enumerate(hospitals)]
    pd.DataFrame(
        {
            "id": ids,
            "group": ids,
            "hospital": hospitals,
            "diagnosis": diagnoses,
            "source": [f"{id_}.png" for id_ in ids],
            "original_height": 4 * side,
            "original_width": 4 * side,
        }
    ).to_csv(folder / "index.csv", index=False)
    pd.DataFrame(
        [
            ("CHNCXR_0900_0.png", "unreadable", "dropped", "cannot identify image file"),
            ("CHNCXR_0901_1.png", "missing mask", "dropped", "no file in masks/"),
            ("CHNCXR_0902_1.png", "missing mask", "dropped", "no file in masks/"),
            ("MCUCXR_0003_1.png", "wrong mode", "converted", "RGB, read as grey <script>alert(1)</script>"),
        ],
        columns=["file", "finding", "consequence", "detail"],
    ).to_csv(folder / "audit.csv", index=False)
    about = {
        "name": "lungs",
        "title": "Chest X-rays of ellipses",
        "classes": ["background", "lung"],
        "targets": ["diagnosis"],
        "strata": ["hospital", "diagnosis"],
        "size": side,
        "counts": {"listed": images + 3, "used": images, "dropped": 3},
        "published": None,
        "provenance": {
            "synthetic": synthetic,
            "files": [
                {
                    "name": "ellipses.zip",
                    "url": "https://example.org/ellipses.zip",
                    "sha256": "0" * 64,
                    "bytes": 1234567,
                    "official": False,
                    "note": "drawn, seed 0" if synthetic else "accepted against the mirror's own SHA256SUMS",
                }
            ],
        },
        "licence": "CC0",
        "citation": "Nobody (2024), Ellipses & other ovals.",
        "synthetic": synthetic,
    }
    (folder / "dataset.json").write_text(json.dumps(about))


def write_network(name: str, prepared: Path, split: Path, results: Path, *, random: bool = True) -> None:
    """What `fit` and `predict` leave of a network: here, the truth with its edge moved about."""
    data = open_prepared(prepared)
    test = tested_rows(read_folds(split, data))
    truth = data.true_masks()[test]
    folder, models = results / "experiments" / name, results / "models" / name
    models.mkdir(parents=True)
    masks, records = {}, []
    for seed in range(SEEDS):
        rng = np.random.default_rng([len(name), seed])
        masks[seed] = np.stack([_with_moved_edge(mask, MISSES[name], rng) for mask in truth])
        epochs = np.arange(1, 9)
        history = pd.DataFrame(
            {
                "epoch": epochs,
                "train_loss": 0.9 / epochs + 0.05 * rng.random(8),
                "validation_loss": 0.9 / epochs + 0.1 + 0.05 * rng.random(8),
                "validation_score": 0.95 - 0.02 * rng.random(8) - 0.6 / epochs**1.5,
                "learning_rate": 1e-3,
                "images_per_second": 40.0,
                "seconds": 1.5,
            }
        )
        (folder / "history" / f"seed{seed}").mkdir(parents=True)
        history.to_csv(folder / "history" / f"seed{seed}" / "history.csv", index=False)
        records.append(_fit_record(name, seed, random))
        (models / f"seed{seed}.json").write_text(json.dumps(records[-1]))
    write_predictions(folder, data.index["id"].iloc[test].tolist(), masks)
    cost = {
        "parameters": records[0]["parameters"],
        "model_mib": 32.9,
        "training_seconds": 12.4,
        "predict_images_per_second": 148.2,
        "multiply_adds": 1_786_576_896,
        "latency_ms": 29.7 if name == "lungs-unet" else 61.2,
        "peak_memory_mib": 812.0,
        "device": "cpu: Example CPU",
        "note": "means over 2 seeds",
        "manifest": provenance.manifest(),
    }
    (folder / "cost.json").write_text(json.dumps(cost))


def _with_moved_edge(mask: np.ndarray, pixels: float, rng: np.random.Generator) -> np.ndarray:
    field = cv2.GaussianBlur(rng.normal(0, 1, mask.shape), (0, 0), mask.shape[0] / 16)
    inside = cv2.distanceTransform(mask, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - mask, cv2.DIST_L2, 5)
    return (inside + pixels * rng.uniform(0.4, 1.8) * field / field.std() > 0).astype(np.uint8)


def _fit_record(name: str, seed: int, random: bool) -> dict[str, Any]:
    pretrained = {"source": "seed 0", "sha256": "1" * 64, "official": False, "random": random, "note": ""}
    return {
        "seed": seed,
        "fold": 0,
        "epochs_run": 8,
        "best_epoch": 7 + seed,
        "best_validation_score": 0.917,
        "score": "Dice",
        "training_seconds": 12.4,
        "parameters": 8629921 if name == "lungs-unet" else 39756962,
        "weights": pretrained if name == "lungs-deeplabv3plus" else None,
        "manifest": provenance.manifest(),
    }


def build(root: Path, *, synthetic: bool = True, random: bool = True, side: int = 64, images: int = 60) -> None:
    """`data/` and `results/` under `root`, up to the comparison, every number by the real stages."""
    prepared, results = root / "data" / "prepared" / "lungs", root / "results"
    write_prepared(prepared, synthetic=synthetic, side=side, images=images)
    splits = {task: root / "data" / "splits" / f"{task}.csv" for task in TASKS}
    for task, settings in TASKS.items():
        split(task, settings, prepared, splits[task])
    for name, entry in EXPERIMENTS.items():
        if entry["family"] == "thresholds":
            threshold(name, entry, prepared, splits["lungs"], results / "experiments" / name)
        else:
            write_network(name, prepared, splits["lungs"], results, random=random)
        score(name, None, prepared, splits["lungs"], results / "experiments" / name, resamples=RESAMPLES)
    for task, path in splits.items():
        mine = {name: entry for name, entry in EXPERIMENTS.items() if entry["task"] == task}
        compare(
            task,
            TASKS[task]["kind"],
            mine,
            results,
            prepared,
            path,
            results / "comparison",
            resamples=RESAMPLES,
            margin=MARGIN,
        )
    write_trust(root)


# One check a verdict.
CHECKS = (
    Check("groups", "No group lies on both sides.", "pass", "Nothing found.", count=0),
    Check("near-duplicates", "2 of 24 tested images <b>look</b> alike.", "fail", "The score is too high.", count=2),
    Check(
        "metadata: hospital",
        "From width it can be predicted.",
        "warn",
        "Stretched pictures keep a trace.",
        score=0.9,
    ),
    Check("metadata: diagnosis", "Whether files tell diagnosis could not be tested.", "untested", "All are alike."),
)
SAID = "Dice rises from 0.500 to 0.625."
LEAK = ("true mask added to the image", "lungs-otsu", "lungs-li", 0.125, 0.05, 0.2, SAID, "")
CLAIMS = """
claims:
  - id: otsu-by-eye
    system: S9 Ellipses
    where: its README
    figure: dice
    claim: {words: "Dice .95", value: 0.95}
    shown: {words: "Dice .75 | in its log", value: 0.75}
    data: {dataset: lungs, words: ellipses, size: null}
    as_published: &otsu {experiment: lungs-otsu, note: polarity is chosen on training images}
    corrected: {experiment: null, note: nothing to correct}
    comparable_when: &any {data: whole, profile: any, weights: any}
  - id: otsu-lead
    system: S9 Ellipses
    where: its figure
    figure: dice
    claim: {words: "Otsu leads Li", value: true}
    shown: {words: no score, value: null}
    data: {dataset: lungs, words: ellipses, size: null}
    as_published: {experiment: lungs-otsu, against: lungs-li, note: the lead in Dice}
    corrected: *otsu
    comparable_when: *any
"""


def write_trust(root: Path) -> None:
    """What audits, leakage effects and claims leave: the first two by hand, so that every case occurs."""
    audits = root / "results" / "audits"
    audits.mkdir(parents=True, exist_ok=True)
    for task, checks in {"lungs": CHECKS, "lungs-diagnosis": CHECKS[:1]}.items():
        pd.DataFrame([asdict(check) for check in checks])[COLUMNS].to_csv(audits / f"{task}.csv", index=False)
    pd.DataFrame([LEAK], columns=EFFECT_COLUMNS).to_csv(audits / "inflation.csv", index=False)
    source, table = root / "claims.yaml", root / "results" / "comparison" / "claims.csv"
    source.write_text(CLAIMS)
    prepared, margins = root / "data" / "prepared", SETTINGS["margins"]
    claims(
        "sample",
        EXPERIMENTS,
        root / "results",
        prepared,
        table,
        margins=margins,
        resamples=RESAMPLES,
        source=source,
    )


def copy(source: Path, target: Path) -> Path:
    """A copy that a test may spoil."""
    shutil.copytree(source, target)
    return target
