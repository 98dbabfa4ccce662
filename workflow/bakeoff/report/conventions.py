"""A segmentation's overlap counted otherwise: with a border as in other work, over the data set, along the boundary."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from bakeoff.evaluation.bootstrap import BOUNDS, mean_interval
from bakeoff.evaluation.scores import BORDER, seed_scores
from bakeoff.report.reading import Experiment, Task
from bakeoff.report.sections import SCORES, estimate

# Figures of `metrics.json`, or else columns of `scores.csv`, in the order of the table. Those that a data set without a
# border has not are left out.
PER_IMAGE = ("iou", "iou_border_as_foreground", "iou_border_ignored", "mean_iou", "boundary_iou")
OVER_DATA_SET = (
    "dataset_dice",
    "dataset_iou",
    "dataset_iou_border_as_foreground",
    "dataset_iou_border_ignored",
    "dataset_mean_iou",
)


def conventions(task: Task) -> dict[str, Any]:
    """A row a method, a column a way to count."""
    groups = task.prepared.index.set_index("id")["group"]
    first = task.experiments[0]
    names = [name for name in (*PER_IMAGE, *OVER_DATA_SET) if name in first.metrics or name in first.scores]
    return {
        "border": BORDER in task.prepared.classes,
        "columns": [SCORES[name][0] for name in names],
        "rows": [
            {
                "label": experiment.label,
                "oracle": experiment.oracle,
                "cells": [estimate(_figure(experiment, name, groups), name, SCORES[name][1]) for name in names],
            }
            for experiment in task.experiments
        ],
    }


def _figure(experiment: Experiment, name: str, groups: pd.Series) -> Mapping[str, float]:
    if name in experiment.metrics:
        interval = experiment.metrics[name]
    else:
        by_seed = seed_scores(experiment.scores, name)
        interval = mean_interval(
            by_seed.to_numpy(), groups=groups.loc[by_seed.index].to_numpy(), bounds=BOUNDS[name]
        )._asdict()
    return {f"{name}_{end}": value for end, value in interval.items()}
