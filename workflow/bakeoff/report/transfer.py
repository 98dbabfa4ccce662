"""What a method that learned from one group of images, one hospital say, is worth on the images of another."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bakeoff.evaluation.paired import compare_paired
from bakeoff.evaluation.scores import seed_scores
from bakeoff.report import wording
from bakeoff.report.reading import Experiment, Task
from bakeoff.report.sections import estimate

# What two experiments may differ in and still be one method that learned from other images.
APART = ("name", "task", "split", "mask_quality")


def transfers(tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """The matrices of all tasks with the same test images, once: `task`, `score_name`, `score_mean` and `matrices`."""
    found: list[dict[str, Any]] = []
    seen: list[Task] = []
    for task in tasks:
        if any(_same_test(task, each) for each in seen):
            continue
        seen.append(task)
        if matrices := transfer(task, tasks):
            scored = {"score_name": task.measure.title, "score_mean": wording.sentence(task.measure.mean)}
            found.append({"task": task.name, **scored, "matrices": matrices})
    return found


def transfer(task: Task, tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """A matrix for every method that, on the same test images, learned from one group alone in some task.

    Parameters
    ----------
    task
        Whose methods are shown.
    tasks
        All tasks of the report.

    Returns
    -------
    list of dict
        `method`, `label` (by which images are grouped), `columns` (value and number of test images) and `rows`: from
        which value was learned, and the headline score on each value's test images with its interval; `differences`,
        what learning from others than the tested value changes, image by image.
    """
    alike = [each for each in tasks if _same_test(each, task)]
    label = next((str(each.learn_from["label"]) for each in alike if each.learn_from), None)
    if label is None:
        return []
    test = task.prepared.index.iloc[task.tested][label].astype(str)
    values = sorted(test.unique())
    return [
        {
            "method": experiment.label,
            "label": label,
            "columns": [{"value": value, "images": int((test == value).sum())} for value in values],
            "rows": [
                {
                    "learned": learned,
                    "images": len(of.folds[0].train),
                    "cells": [estimate(each.row, f"{of.measure.headline}_{value}") for value in values],
                }
                for learned, of, each in trained
            ],
            "differences": [found for value in values for found in _differences(trained, label, value)],
        }
        for experiment in task.experiments
        if len(trained := _trained(experiment, alike)) > 1
    ]


def _same_test(one: Task, other: Task) -> bool:
    return (
        one.about["name"] == other.about["name"]
        and (one.kind, one.target) == (other.kind, other.target)
        and np.array_equal(one.tested, other.tested)
    )


def _method(experiment: Experiment) -> dict[str, Any]:
    return {key: value for key, value in experiment.entry.items() if key not in APART}


def _trained(experiment: Experiment, tasks: Sequence[Task]) -> list[tuple[str, Task, Experiment]]:
    """What this method learned from, and in which task and experiment; one value before all of them."""
    found = [
        (str(task.learn_from["value"]) if task.learn_from else "all", task, each)
        for task in tasks
        for each in task.experiments
        if _method(each) == _method(experiment)
    ]
    return sorted(found, key=lambda each: (each[0] == "all", each[0]))


def _differences(trained: Sequence[tuple[str, Task, Experiment]], label: str, value: str) -> list[dict[str, Any]]:
    """On the tested images of one value: the score of what learned from others less that of what learned from it."""
    at_home = next((each for each in trained if each[0] == value), None)
    if at_home is None:
        return []
    _, task, home = at_home
    tested = task.prepared.index.iloc[task.tested].set_index("id")
    tested = tested[tested[label].astype(str) == value]
    groups, column = tested["group"].to_numpy(), task.measure.column
    found = []
    for learned, _, away in trained:
        if learned == value:
            continue
        scores = (seed_scores(each.scores, column).loc[tested.index].to_numpy() for each in (away, home))
        paired = compare_paired(*scores, groups=groups, binary=task.measure.binary)
        change = {
            "value": paired.difference,
            "text": wording.signed(paired.difference),
            "span": wording.interval(paired.low, paired.high),
        }
        found.append({"tested": value, "images": paired.images, "learned": learned, "change": change})
    return found
