"""What a method that learned from one group of images, one hospital say, is worth on the images of another."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bakeoff.report.reading import Experiment, Task
from bakeoff.report.sections import estimate

# What two experiments may differ in and still be one method that learned from other images.
APART = ("task", "split")


def transfer(task: Task, tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """A matrix for every method that, on the same test images, learned from one group alone in some task.

    Parameters
    ----------
    task
        Whose page it is for; methods that it does not have are left out.
    tasks
        All tasks of the report.

    Returns
    -------
    list of dict
        `method`, `label` (by which images are grouped), `columns` (value and number of test images) and `rows`: from
        which value was learned, and the headline score on each value's test images with its interval.
    """
    alike = [each for each in tasks if _same_test(each, task)]
    label = next((str(each.learn_from["label"]) for each in alike if each.learn_from), None)
    if label is None:
        return []
    test = task.prepared.index.iloc[task.tested][label].astype(str)
    values = sorted(test.unique())
    return [
        {
            "method": experiment.entry["model"] if "model" in experiment.entry else experiment.entry["method"],
            "label": label,
            "columns": [{"value": value, "images": int((test == value).sum())} for value in values],
            "rows": rows,
        }
        for experiment in task.experiments
        if len(rows := _rows(experiment, alike, values)) > 1
    ]


def _same_test(one: Task, other: Task) -> bool:
    return (
        one.about["name"] == other.about["name"]
        and (one.kind, one.target) == (other.kind, other.target)
        and np.array_equal(one.tested, other.tested)
    )


def _method(experiment: Experiment) -> dict[str, Any]:
    return {key: value for key, value in experiment.entry.items() if key not in APART}


def _rows(experiment: Experiment, tasks: Sequence[Task], values: Sequence[str]) -> list[dict[str, Any]]:
    """A row a task in which this method is; one value learned from before all of them."""
    found = []
    for task in tasks:
        for each in task.experiments:
            if _method(each) == _method(experiment):
                learned = str(task.learn_from["value"]) if task.learn_from else "all"
                cells = [estimate(each.row, f"{task.measure.headline}_{value}") for value in values]
                found.append({"learned": learned, "images": len(task.folds[0].train), "cells": cells})
    return sorted(found, key=lambda row: (row["learned"] == "all", row["learned"]))
