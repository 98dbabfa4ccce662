"""A tiny project on drawn ellipses: the files that the stages before the report leave."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from bakeoff.artefacts import provenance
from bakeoff.artefacts.experiments import write_settings
from bakeoff.artefacts.layout import Project
from bakeoff.artefacts.predictions import PROBABILITY_FILES, write_predictions, write_probabilities
from bakeoff.artefacts.prepared import open_prepared, read_folds, tested_rows
from bakeoff.baselines.group import run_baselines
from bakeoff.datasets.splits.split import split
from bakeoff.leakage.audit import COLUMNS
from bakeoff.leakage.check import Check
from bakeoff.leakage.effects import COLUMNS as EFFECT_COLUMNS
from bakeoff.report.index import write_index
from bakeoff.report.write import write_data_card, write_task_page
from bakeoff.tasks.evaluate import evaluate

RESAMPLES = 300
MARGIN = 0.01
MARGINS = {"segmentation": MARGIN, "classification": MARGIN}
SEEDS = 2
RECIPE: dict[str, Any] = {"epochs": 8, "augmentation": {"rotate": 10}}
TASKS: dict[str, dict[str, Any]] = {
    "lungs": {
        "dataset": "lungs",
        "kind": "segmentation",
        "score": {"class": "lung"},
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
# What is known of pretrained weights.
WEIGHTS = {
    **{"source": "https://example.org/weights", "sha256": "1" * 64, "official": True, "random": False, "note": ""},
    **{"origin": "torchvision's, trained on ImageNet", "licence": "For research."},
}


def settings(family: str, task: str = "lungs", target: str | None = None, **entry: Any) -> dict[str, Any]:
    """An experiment's settings, as the configuration gives them."""
    where = {"dataset": "lungs", "task": task, "images": "lungs", "family": family, "target": target}
    pretrained = None if entry.get("weights", "none") == "none" else entry["weights"]
    return {**where, "pictures": None, "segmenter": None, "pretrained": pretrained, "oracle": False, **entry}


def network(family: str, **entry: Any) -> dict[str, Any]:
    """A network's settings."""
    return settings(family, **{"weights": "none", "recipe": "r", "settings": {}, "masks": False, **entry})


THRESHOLDS: dict[str, dict[str, Any]] = {
    **{f"lungs-{method}": {"method": method} for method in ("otsu", "li", "minimum", "triangle", "yen")},
    "lungs-otsu-oracle": {"method": "otsu", "foreground": "oracle", "oracle": True},
    "lungs-otsu-bright": {"method": "otsu", "foreground": "bright"},
    **{f"lungs-multiotsu{classes}": {"method": "multiotsu", "classes": classes} for classes in (3, 4, 5)},
}
EXPERIMENTS: dict[str, dict[str, Any]] = {
    **{name: settings("thresholds", **{"foreground": "train", **each}) for name, each in THRESHOLDS.items()},
    "lungs-unet": network("networks", model="unet"),
    "lungs-deeplabv3plus": network("pretrained", model="deeplabv3plus", weights="resnet50"),
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
        "source": "lungs",
        "title": "Chest X-rays of ellipses",
        "classes": ["background", "lung"],
        "background": 0,
        "targets": ["diagnosis"],
        "strata": ["hospital", "diagnosis"],
        "geometry": "stretch",
        "size": [side, side],
        "channels": 1,
        "counts": {
            "listed": images + 3,
            "used": images,
            "dropped": 3,
            "by_label": {"diagnosis": {name: int((diagnoses == name).sum()) for name in np.unique(diagnoses)}},
        },
        "published": None,
        **{"page": None, "hub": None, "patients": True},
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


def write_network(name: str, project: Project, *, random: bool = True) -> None:
    """What `train` leaves of a network: here, the truth with its edge moved about."""
    entry = EXPERIMENTS[name]
    data = open_prepared(project.prepared(entry["dataset"]))
    test = tested_rows(read_folds(project.split(entry["task"]), data))
    truth = data.true_masks()[test]
    folder = project.experiment(entry["task"], name, entry["family"])
    folder.models.mkdir(parents=True)
    masks = {}
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
        (folder.history / f"seed{seed}").mkdir(parents=True)
        history.to_csv(folder.history / f"seed{seed}" / "history.csv", index=False)
        (folder.models / f"seed{seed}.json").write_text(json.dumps(_fit_record(name, seed, random)))
    write_predictions(folder.predictions, data.index["id"].iloc[test].tolist(), masks)
    cost = {
        "parameters": _fit_record(name, 0, random)["parameters"],
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
    (folder.predictions / "cost.json").write_text(json.dumps(cost))
    write_settings(folder.predictions, name, entry, recipe=RECIPE)


def write_classifier(
    name: str,
    entry: Mapping[str, Any],
    project: Project,
    *,
    knows: float,
    seeds: int = SEEDS,
    mask_quality: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """What the stages leave of a classifier of the diagnosis, whose probabilities know so much of the truth."""
    index = pd.read_csv(project.prepared("lungs") / "index.csv")
    split_of = pd.read_csv(project.split(entry["task"]))
    folder = project.experiment(entry["task"], name, entry["family"])
    rng = np.random.default_rng(len(name))
    for part in PROBABILITY_FILES:
        images = index.merge(split_of[split_of["split"] == part], on="id")
        side = np.where(images["diagnosis"] == "tuberculosis", 1.0, -1.0)
        tables = []
        for seed in range(seeds):
            logits = knows * side + rng.normal(0, 1, len(images)) if knows else np.full(len(images), -0.1)
            sick = 1 / (1 + np.exp(-logits))
            columns = {"id": images["id"], "seed": seed, "fold": images["fold"], "label": images["diagnosis"]}
            tables.append(pd.DataFrame({**columns, "p_normal": 1 - sick, "p_tuberculosis": sick}))
        write_probabilities(folder.predictions, pd.concat(tables), part)
    cost = {"parameters": 1000, "training_seconds": 3.0, "predict_images_per_second": 20.0, "peak_memory_mib": 50.0}
    cost |= {"latency_ms": 12.0, "multiply_adds": None, "model_mib": 1.0}
    text = json.dumps({**cost, "device": "cpu", "note": "", "manifest": provenance.manifest()})
    (folder.predictions / "cost.json").write_text(text)
    folder.models.mkdir(parents=True)
    trained = entry["family"] != "classical"
    for seed in range(seeds):
        record: dict[str, Any] = {"seed": seed, "fold": 0, "weights": WEIGHTS if entry.get("pretrained") else None}
        if trained:
            (folder.history / f"seed{seed}-fold0").mkdir(parents=True)
            history = {"epoch": [1, 2], "train_loss": [0.9, 0.5], "validation_loss": [0.8, 0.6]}
            table = pd.DataFrame({**history, "validation_score": [0.6, 0.7]})
            table.to_csv(folder.history / f"seed{seed}-fold0" / "history.csv", index=False)
            record |= {"epochs_run": 2, "best_epoch": 2, "best_validation_score": 0.7, "score": "balanced accuracy"}
        (folder.models / f"seed{seed}-fold0.json").write_text(json.dumps(record))
    write_settings(folder.predictions, name, entry, recipe=RECIPE if trained else None, mask_quality=mask_quality)


def _with_moved_edge(mask: np.ndarray, pixels: float, rng: np.random.Generator) -> np.ndarray:
    field = cv2.GaussianBlur(rng.normal(0, 1, mask.shape), (0, 0), mask.shape[0] / 16)
    inside = cv2.distanceTransform(mask, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - mask, cv2.DIST_L2, 5)
    return (inside + pixels * rng.uniform(0.4, 1.8) * field / field.std() > 0).astype(np.uint8)


def _fit_record(name: str, seed: int, random: bool) -> dict[str, Any]:
    published = {**WEIGHTS, "source": "seed 0", "official": False, "random": random}
    return {
        "seed": seed,
        "fold": 0,
        "epochs_run": 8,
        "best_epoch": 7 + seed,
        "best_validation_score": 0.917,
        "score": "Dice",
        "training_seconds": 12.4,
        "parameters": 8629921 if name == "lungs-unet" else 39756962,
        "weights": published if name == "lungs-deeplabv3plus" else None,
        "manifest": provenance.manifest(),
    }


def build(root: Path, *, synthetic: bool = True, random: bool = True, side: int = 64, images: int = 60) -> None:
    """`data/` and `results/` under `root`, up to the evaluation of the task lungs."""
    project = Project(root)
    write_prepared(project.prepared("lungs"), synthetic=synthetic, side=side, images=images)
    split("lungs", TASKS["lungs"], project.prepared("lungs"), project.split("lungs"))
    run_baselines("lungs", {name: EXPERIMENTS[name] for name in THRESHOLDS}, SEEDS, project)
    for name in EXPERIMENTS:
        if name not in THRESHOLDS:
            write_network(name, project, random=random)
    evaluate_again(root)


def evaluate_again(root: Path) -> None:
    """The evaluation of the task lungs, whose audit and leakage effects are then written by hand."""
    evaluate("lungs", TASKS["lungs"], EXPERIMENTS, Project(root), resamples=RESAMPLES, margin=MARGIN)
    write_trust(root)


def write_pages(
    root: Path, profile: str = "sample", tasks: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, str]:
    """Every page of the report, by file name, with `CLAIMS` in place of claims.yaml."""
    project, mine = Project(root), {"lungs": TASKS["lungs"]} if tasks is None else tasks
    source = root / "claims.yaml"
    source.write_text(CLAIMS)
    write_data_card("lungs", profile, project)
    for task, entry in mine.items():
        write_task_page(task, entry, profile, project, margin=MARGIN)
    write_index(profile, mine, ["lungs"], project, margins=MARGINS, resamples=RESAMPLES, source=source)
    return {path.name: path.read_text() for path in project.report.glob("*.html")}


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
    """What audit and leakage effects leave, by hand, so that every case occurs."""
    folder = Project(root).evaluation("lungs")
    pd.DataFrame([asdict(check) for check in CHECKS])[COLUMNS].to_csv(folder / "audit.csv", index=False)
    pd.DataFrame([LEAK], columns=EFFECT_COLUMNS).to_csv(folder / "leakage.csv", index=False)


def copy(source: Path, target: Path) -> Path:
    """A copy that a test may spoil."""
    shutil.copytree(source, target)
    return target
