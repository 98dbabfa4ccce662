"""What the section on the classes of masks says, as plain values for the template."""

from typing import Any

import numpy as np

from bakeoff.report.charts import chart
from bakeoff.report.class_charts import confusion_chart
from bakeoff.report.classes import MOST_SHOWN, best
from bakeoff.report.reading import Task
from bakeoff.report.sections import estimate, scored_words


def mask_classes(task: Task) -> dict[str, Any] | None:
    """Every class's Dice by method, and which class's pixels are taken for which; nothing of two classes."""
    shown = best(task, MOST_SHOWN)
    if task.target is not None or shown[0].class_scores.empty:
        return None
    tables: list[list[dict[str, Any]]] = [
        [{str(key): value for key, value in row.items()} for row in experiment.class_scores.to_dict("records")]
        for experiment in shown
    ]
    first, names = shown[0], task.prepared.classes
    shares = first.pixel_confusion["share"].to_numpy().reshape(len(names), len(names))
    return {
        "methods": [experiment.label for experiment in shown],
        "scored": scored_words(task),
        "rows": [
            {
                "name": row["class"],
                "images": int(row["images"]),
                "pixels": f"{100 * row['pixels']:.1f} %",
                "cells": [estimate(table[place], "dice") for table in tables],
            }
            for place, row in enumerate(tables[0])
            if row["images"]
        ],
        "confusion": {
            "label": first.label,
            "large": len(names) > 12,
            "chart": chart(confusion_chart(shares, names), f"{task.name}-pixels", pixel_words(shares, names)),
            "words": pixel_words(shares, names),
        },
    }


def pixel_words(shares: np.ndarray, names: list[str]) -> str:
    """The class that is right least often, and what it is most often taken for; shares (true, predicted)."""
    right = np.where(shares.any(axis=1), np.diagonal(shares), np.inf)
    worst = int(right.argmin())
    others = shares[worst].copy()
    others[worst] = -1
    return (
        f"Least often right: {names[worst]}, {100 * right[worst]:.0f} % of its pixels; most often taken for "
        f"{names[int(others.argmax())]} ({100 * others.max():.0f} %)."
    )
