"""What each method of a task costs, and what quality is to be had at what cost."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bakeoff.report import wording
from bakeoff.report.charts import CostPoint, chart, family_colour, pareto_chart
from bakeoff.report.reading import Experiment, Task

# Figures of `cost.json` in the order of the table, what they are called, and how they are written.
COLUMNS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("parameters", "Parameters", wording.count),
    ("multiply_adds", "Multiply-adds an image", wording.magnitude),
    ("model_mib", "Model (MiB)", wording.figure),
    ("training_seconds", "Training", wording.duration),
    ("predict_images_per_second", "Prediction (images/s)", wording.figure),
    ("latency_ms", "Latency, one image (ms)", wording.figure),
    ("peak_memory_mib", "Peak memory (MiB)", wording.count),
)
# Times that differ by less than this factor are taken for equal: other work on the machine makes as much.
NOISE = 1.25
# Cores that other work may take from a method without a word.
SPARE = 0.5
# Costs that quality is drawn over: the figure, the axis, and a title.
AXES = (
    ("latency_ms", "time for one image alone (ms)", "Quality by latency"),
    ("training_seconds", "training time of one seed and fold (s)", "Quality by training time"),
)


def costs(task: Task) -> dict[str, Any]:
    """The table of costs, the figures of quality over cost, and notes."""
    return {
        "columns": [title for _, title, _ in COLUMNS],
        "rows": [
            {
                "label": experiment.label,
                "experiment": experiment.name,
                "oracle": experiment.oracle,
                "figures": [_figure(experiment, name, write) for name, _, write in COLUMNS],
                "device": experiment.cost.get("device") or wording.MISSING,
            }
            for experiment in task.experiments
        ],
        "charts": [each for axis in AXES if (each := _pareto(task, *axis)) is not None],
        "key": [
            {"number": number, "label": each.label, "colour": family_colour(each.entry["family"])}
            for number, each in enumerate(task.methods, 1)
        ],
        "notes": _notes(task),
    }


def _figure(experiment: Experiment, name: str, write: Callable[[Any], str]) -> tuple[Any, str]:
    """A figure to sort by, and in words."""
    value = experiment.cost.get(name)
    return value, write(value)


def _notes(task: Task) -> list[dict[str, str]]:
    """What `cost.json` adds in words, and of which methods it does."""
    notes: dict[str, list[str]] = {}
    for experiment in task.experiments:
        if "segmenter" in experiment.cost:
            note = f"with the cost of {experiment.cost['segmenter']}, which predicts its masks"
            notes.setdefault(note, []).append(experiment.label)
        elif experiment.entry.get("pictures"):
            notes.setdefault("without the cost of making its pictures", []).append(experiment.label)
        if _busy(experiment.cost):
            busy = "times measured while other work had the machine busy: alone, it is faster"
            notes.setdefault(busy, []).append(experiment.label)
        if experiment.cost.get("note"):
            notes.setdefault(experiment.cost["note"], []).append(experiment.label)
    return [{"methods": wording.listed(methods), "note": note} for note, methods in notes.items()]


def _busy(cost: Mapping[str, Any]) -> bool:
    """Whether other work left a method fewer cores than it has threads."""
    return bool(cost.get("other_load", 0) + cost["manifest"]["threads"] > cost.get("cores", math.inf) + SPARE)


def _pareto(task: Task, cost: str, axis: str, title: str) -> dict[str, Any] | None:
    """The front in words, and the chart, of two methods or more; an oracle is none, and what is free has no place."""
    headline = task.measure.headline
    points = [
        CostPoint(number, each.entry["family"], each.cost[cost], *(each.row[f"{headline}_{end}"] for end in _ENDS))
        for number, each in enumerate(task.methods, 1)
        if wording.known(each.cost.get(cost)) and each.cost[cost] > 0
    ]
    if len(points) < 2:
        return None
    front = pareto_front([point.cost for point in points], [point.mean for point in points], noise=NOISE)
    on_front = [task.methods[point.number - 1] for point, best in zip(points, front, strict=True) if best]
    words = f"No method is both cheaper and better than {wording.listed([_named(task, each) for each in on_front])}."
    return {
        "title": title,
        "words": words,
        "chart": chart(
            pareto_chart(points, front, axis, task.measure.mean),
            f"{task.name}-pareto-{cost.replace('_', '-')}",
            f"{wording.sentence(task.measure.mean)} of every method by {axis}, on a logarithmic axis. {words}",
        ),
    }


_ENDS = ("mean", "low", "high")


def _named(task: Task, experiment: Experiment) -> str:
    return f"{experiment.label} ({task.methods.index(experiment) + 1})"


def pareto_front(costs: Sequence[float], scores: Sequence[float], *, noise: float = 1.0) -> np.ndarray:
    """Which points no other is at least as cheap and as good as, and better in one of the two.

    Parameters
    ----------
    costs
        Lower is better, (n,).
    scores
        Higher is better, (n,).
    noise
        Costs of which one is less than so many times the other are equal; 1 or more.

    Returns
    -------
    ndarray
        bool, (n,).

    Examples
    --------
    >>> pareto_front([1, 2, 3], [0.5, 0.9, 0.8]).tolist()
    [True, True, False]
    """
    cost, score = np.asarray(costs, float), np.asarray(scores, float)
    cheaper, no_dearer = cost[:, None] < cost, cost[:, None] <= noise * cost
    as_good, better = score[:, None] >= score, score[:, None] > score
    surpassed = (cheaper & as_good) | (no_dearer & better)
    return np.asarray(~surpassed.any(axis=0))
