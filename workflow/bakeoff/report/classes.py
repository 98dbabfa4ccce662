"""What the sections on classes say of one task of classification, as plain values for the templates."""

from typing import Any

import numpy as np
import pandas as pd

from bakeoff.evaluation.classification import confusion, reliability
from bakeoff.report import wording
from bakeoff.report.charts import MOST_NUMBERED, chart, confusion_chart, reliability_chart
from bakeoff.report.pictures import picture, webp_uri
from bakeoff.report.reading import Experiment, Task
from bakeoff.report.sections import estimate, has_seeds

# Confusion matrices on a page where each is too large to show that of every method.
FEW_MATRICES = 2
WORST_CONFUSIONS = 3
PICTURES = 4


def by_class(task: Task) -> dict[str, Any]:
    """Accuracy within each class of which images are tested: a row a class, a column a method."""
    tested = task.prepared.index.iloc[task.tested][str(task.target)].astype(str).value_counts()
    return {
        "methods": [experiment.label for experiment in task.experiments],
        "rows": [
            {
                "name": name,
                "images": int(tested[name]),
                "cells": [estimate(experiment.row, f"accuracy_{name}") for experiment in task.experiments],
            }
            for name in task.experiments[0].probabilities.classes
            if name in tested
        ],
    }


def confusions(task: Task) -> list[dict[str, Any]]:
    """Confusion matrices, averaged over seeds: of every method, or of the best ones alone where there are many classes.

    An oracle is not among the best.
    """
    shown = task.experiments
    if len(task.experiments[0].probabilities.classes) > MOST_NUMBERED:
        shown = [experiment for experiment in task.experiments if not experiment.oracle][:FEW_MATRICES]
    return [_confusion(task, experiment) for experiment in shown]


def _confusion(task: Task, experiment: Experiment) -> dict[str, Any]:
    classes = experiment.probabilities.classes
    counts = mean_confusion(experiment)
    words = confusion_words(counts, classes)
    return {
        "label": experiment.label,
        "experiment": experiment.name,
        "words": words,
        "large": len(classes) > MOST_NUMBERED,
        "chart": chart(
            confusion_chart(counts, classes),
            f"{task.name}-confusion-{experiment.name}",
            f"Confusion matrix of {experiment.label}. {words}",
        ),
    }


def mean_confusion(experiment: Experiment) -> np.ndarray:
    """Images by true and predicted class, averaged over seeds, float64, (classes, classes)."""
    found = experiment.probabilities
    of_seeds = [confusion(found.truth, each.argmax(axis=1), len(found.classes)) for each in found.stacked]
    return np.mean(of_seeds, axis=0)


def confusion_words(counts: np.ndarray, classes: list[str]) -> str:
    """Which classes are most often taken for which others.

    Parameters
    ----------
    counts
        As `mean_confusion` returns them.
    classes
        Their names.
    """
    wrong = np.where(np.eye(len(classes), dtype=bool), 0, counts)
    worst = np.argsort(-wrong, axis=None, kind="stable")[:WORST_CONFUSIONS]
    pairs = [(int(place) // len(classes), int(place) % len(classes)) for place in worst]
    said = [
        f"{classes[true]} taken for {classes[other]} ({wording.figure(wrong[true, other])} of "
        f"{wording.plural(int(counts[true].sum()), 'image')})"
        for true, other in pairs
        if wrong[true, other] > 0
    ]
    return f"Most often: {wording.listed(said)}." if said else "Every image is right."


def calibrations(task: Task) -> list[dict[str, Any]]:
    """A reliability diagram of every method, images of all seeds together."""
    return [_calibration(task, experiment) for experiment in task.experiments]


def _calibration(task: Task, experiment: Experiment) -> dict[str, Any]:
    scores = experiment.scores
    confidence, correct = scores["confidence"].to_numpy(), scores["correct"].to_numpy()
    words = f"On average {100 * confidence.mean():.1f} % sure and {100 * correct.mean():.1f} % right."
    error = estimate(experiment.row, "ece")
    return {
        "label": experiment.label,
        "experiment": experiment.name,
        "words": f"{words} Expected calibration error {error['text']} ({error['span']}).",
        "chart": chart(
            reliability_chart(reliability(confidence, correct)),
            f"{task.name}-calibration-{experiment.name}",
            f"Accuracy by confidence of {experiment.label}. {words}",
        ),
    }


def cases(task: Task, side: int) -> list[dict[str, Any]]:
    """Of every method the mistakes that it was surest of, and the images that it was least sure of.

    Parameters
    ----------
    task
        Of classification.
    side
        Longer side of the pictures in pixels.
    """
    positions = task.test_positions
    return [
        {
            "label": experiment.label,
            "experiment": experiment.name,
            "oracle": experiment.oracle,
            "rows": [
                {
                    "name": name,
                    "cases": [_case(task, experiment, positions[row["id"]], row, side) for _, row in found.iterrows()],
                }
                for name, found in telling(experiment.scores).items()
            ],
        }
        for experiment in task.experiments
    ]


def telling(scores: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows of `scores.csv` worth a picture, each image at most once in a list, of equals the first by id and seed."""
    mistakes = scores[scores["correct"] == 0].sort_values(["confidence", "id", "seed"], ascending=[False, True, True])
    unsure = scores.sort_values(["confidence", "id", "seed"])
    return {
        "Most confident mistakes": mistakes.drop_duplicates("id").head(PICTURES),
        "Least sure": unsure.drop_duplicates("id").head(PICTURES),
    }


def _case(task: Task, experiment: Experiment, position: int, row: pd.Series, side: int) -> dict[str, Any]:
    return {
        "id": row["id"],
        "seed": int(row["seed"]) if has_seeds(experiment) else None,
        "true": row["label"],
        "predicted": row["predicted"],
        "correct": bool(row["correct"]),
        "confidence": f"{100 * row['confidence']:.0f} %",
        "picture": webp_uri(picture(task.prepared.images[position], side)),
    }
