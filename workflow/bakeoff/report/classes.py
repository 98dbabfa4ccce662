"""What the sections on classes say of one task of classification, as plain values for the templates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bakeoff.evaluation.bootstrap import Interval
from bakeoff.evaluation.calibration import HIGHEST, LOWEST, scale
from bakeoff.evaluation.classification import class_report, reliability, share_interval
from bakeoff.evaluation.curves import MACRO
from bakeoff.evaluation.overlap import class_confusion
from bakeoff.report import wording
from bakeoff.report.charts import chart
from bakeoff.report.class_charts import (
    CURVE_STYLES,
    MOST_NUMBERED,
    Curve,
    confusion_chart,
    curve_chart,
    reliability_chart,
    row_shares,
    shortened,
)
from bakeoff.report.reading import Experiment, Task
from bakeoff.report.sections import estimate

# Of how many methods, best first, there are diagrams: tables have every one. Confusion matrices of many classes are
# large.
MOST_SHOWN, MOST_LARGE = 6, 2
WORST_CONFUSIONS, LISTED_CONFUSIONS = 3, 20
# Of 100 images, how many the least sure ones are that somebody looks at.
HANDED_OVER = 0.2
# A mean confidence so near to the accuracy is as good as equal to it.
AS_SURE = 0.01


def best(task: Task, most: int) -> list[Experiment]:
    """The best methods of a task, at most so many: none that looks at no image, and no oracle unless all are."""
    return ([each for each in task.methods if each.row["method"] != "majority"] or task.methods)[:most]


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


def by_class_scores(task: Task) -> list[dict[str, Any]]:
    """Precision, recall and F1 of every class, of the best methods: a table a method, a row a class."""
    many = len(task.experiments[0].probabilities.classes) > MOST_NUMBERED
    return [_class_scores(task, experiment) for experiment in best(task, MOST_LARGE if many else MOST_SHOWN)]


def _class_scores(task: Task, experiment: Experiment) -> dict[str, Any]:
    found = experiment.probabilities
    predicted = found.stacked.argmax(axis=2)
    groups = task.prepared.index.iloc[task.tested]["group"].to_numpy()
    report = class_report(found.truth, predicted, found.classes)
    rows = [
        {
            "name": row["class"],
            "images": int(row["support"]),
            "cells": [
                _share(precision_interval(found.truth, predicted, index, groups), row["precision"]),
                estimate(experiment.row, f"accuracy_{row['class']}"),
                _share(f1_interval(found.truth, predicted, index, groups), row["f1"]),
            ],
        }
        for index, row in enumerate(report.to_dict("records"))
        if row["support"]
    ]
    return {"label": experiment.label, "experiment": experiment.name, "rows": rows}


def precision_interval(truth: np.ndarray, predicted: np.ndarray, index: int, groups: np.ndarray) -> Interval | None:
    """Share of what is taken for a class that is of it, over images and seeds; None where nothing is taken for it.

    Parameters
    ----------
    truth
        Indices of the true classes, (images,).
    predicted
        The same of the predicted ones, (seeds, images).
    index
        The class.
    groups
        (images,).
    """
    taken = (predicted == index).T
    return share_interval(taken & (truth == index)[:, None], taken, groups)


def f1_interval(truth: np.ndarray, predicted: np.ndarray, index: int, groups: np.ndarray) -> Interval | None:
    """F1 of a class and its interval; None where no image is of it or taken for it.

    F1 is 2 J / (1 + J), where J is the share that is right of the images that are of the class or taken for it. J is a
    share as precision is, and has Wilson's interval; F1 rises with it, so its ends are those of F1.

    Parameters
    ----------
    truth, predicted, index, groups
        As in `precision_interval`.
    """
    taken, actual = (predicted == index).T, (truth == index)[:, None]
    jaccard = share_interval(taken & actual, taken | actual, groups)
    return Interval(*(2 * each / (1 + each) for each in jaccard)) if jaccard else None


def _share(interval: Interval | None, mean: float) -> dict[str, Any]:
    """The mean over seeds, as `classification_report.csv` has it, with its interval."""
    if interval is None:
        return {"value": "", "text": wording.MISSING, "span": ""}
    ends = f"{wording.score(min(mean, interval.low))} to {wording.score(max(mean, interval.high))}"
    return {"value": mean, "text": wording.score(mean), "span": ends}


def confusions(task: Task) -> dict[str, Any]:
    """Confusion matrices of the best methods, averaged over seeds; of many classes also a list of the best one's."""
    classes = task.experiments[0].probabilities.classes
    large = len(classes) > MOST_NUMBERED
    shown = best(task, MOST_LARGE if large else MOST_SHOWN)
    return {
        "large": large,
        "all": len(shown) == len(task.experiments),
        "method": shown[0].label,
        "charts": [_confusion(task, experiment) for experiment in shown],
        "pairs": confused_pairs(mean_confusion(shown[0]), classes) if large else [],
    }


def _confusion(task: Task, experiment: Experiment) -> dict[str, Any]:
    classes = experiment.probabilities.classes
    counts = mean_confusion(experiment)
    words = confusion_words(counts, classes)
    return {
        "label": experiment.label,
        "experiment": experiment.name,
        "words": words,
        "chart": chart(
            confusion_chart(counts, classes),
            f"{task.name}-confusion-{experiment.name}",
            f"Confusion matrix of {experiment.label}. {words}",
        ),
    }


def mean_confusion(experiment: Experiment) -> np.ndarray:
    """Images by true and predicted class, averaged over seeds, float64, (classes, classes)."""
    found = experiment.probabilities
    of_seeds = [class_confusion(found.truth, each.argmax(axis=1), len(found.classes)) for each in found.stacked]
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
    said = [
        f"{pair['true']} taken for {pair['predicted']} ({pair['text']} of {wording.plural(pair['of'], 'image')})"
        for pair in confused_pairs(counts, classes)[:WORST_CONFUSIONS]
    ]
    return f"Most often: {wording.listed(said)}." if said else "Every image is right."


def confused_pairs(counts: np.ndarray, classes: list[str]) -> list[dict[str, Any]]:
    """The classes most often taken for another, most images first; arguments as in `confusion_words`."""
    wrong = np.where(np.eye(len(classes), dtype=bool), 0, counts)
    shares = row_shares(counts)
    worst = np.argsort(-wrong, axis=None, kind="stable")[:LISTED_CONFUSIONS]
    return [
        {
            "true": classes[true],
            "predicted": classes[other],
            "images": float(wrong[true, other]),
            "text": f"{wrong[true, other]:,.1f}".removesuffix(".0"),
            "of": int(counts[true].sum()),
            "share": f"{100 * shares[true, other]:.0f}",
        }
        for true, other in zip(*np.unravel_index(worst, wrong.shape), strict=True)
        if wrong[true, other] > 0
    ]


def calibrations(task: Task) -> dict[str, Any]:
    """How far confidence can be trusted before and after temperature scaling: a row a method, diagrams of the best.

    A diagram has the images of all seeds together.
    """
    return {
        "rows": [_calibration_row(experiment) for experiment in task.experiments],
        "charts": [_calibration(task, experiment) for experiment in best(task, MOST_SHOWN)],
    }


def _calibration_row(experiment: Experiment) -> dict[str, Any]:
    found = experiment.probabilities.stacked
    temperatures = experiment.calibration["temperature"]
    spread = f"{wording.figure(temperatures.min())} to {wording.figure(temperatures.max())}"
    return {
        "label": experiment.label,
        "oracle": experiment.oracle,
        "sure": f"{100 * found.max(axis=2).mean():.1f}",
        "right": f"{100 * _correct(experiment).mean():.1f}",
        "temperature": {
            "value": experiment.metrics["temperature"],
            "text": wording.figure(experiment.metrics["temperature"]),
            "span": f"trainings: {spread}" if len(temperatures) > 1 else "",
        },
        "figures": [
            measured(experiment.metrics, name) for name in ("ece", "ece_scaled", "log_loss", "log_loss_scaled")
        ],
    }


def _calibration(task: Task, experiment: Experiment) -> dict[str, Any]:
    correct = _correct(experiment).ravel()
    before, after = (each.max(axis=2).ravel() for each in (experiment.probabilities.stacked, scaled(experiment)))
    words = calibration_words(
        float(before.mean()),
        float(correct.mean()),
        experiment.metrics,
        int(experiment.calibration["validation_images"].min()),
        experiment.calibration["temperature"].tolist(),
    )
    return {
        "label": experiment.label,
        "experiment": experiment.name,
        "words": words,
        "chart": chart(
            reliability_chart(
                reliability(before, correct), reliability(after, correct), len(experiment.probabilities.seeds)
            ),
            f"{task.name}-calibration-{experiment.name}",
            f"Accuracy by confidence of {experiment.label}, as predicted and scaled. {words}",
        ),
    }


def calibration_words(
    sure: float, right: float, metrics: Mapping[str, Any], validation_images: int, temperatures: Sequence[float] = ()
) -> str:
    """Whether a method is overconfident, and whether a temperature corrects it.

    Parameters
    ----------
    sure, right
        Mean confidence and accuracy, 0 to 1.
    metrics
        With `temperature`, the interval of `accuracy`, and those of `ece`, `log_loss` and both of scaled probabilities.
    validation_images
        The least number that a temperature was fitted on.
    temperatures
        Of every training.
    """
    how = (
        "well calibrated on average"
        if abs(sure - right) < AS_SURE
        else "neither over- nor underconfidence is shown"
        if _holds(metrics["accuracy"], sure)
        else "overconfident"
        if sure > right
        else "underconfident"
    )
    before, after = (metrics[name]["mean"] for name in ("ece", "ece_scaled"))
    change = f"from {wording.score(before)} to {wording.score(after)}"
    images = wording.plural(validation_images, "validation image")
    bound = (
        " (the highest tried: the confidence carries no information)"
        if metrics["temperature"] >= HIGHEST
        else " (the lowest tried: the validation images do not determine it)"
        if metrics["temperature"] <= LOWEST
        else ""
    )
    losses = [metrics[name]["mean"] for name in ("log_loss", "log_loss_scaled")]
    dearer = f", and raises the log loss from {wording.score(losses[0])} to {wording.score(losses[1])}"
    same = wording.score(before) == wording.score(after)
    named = (
        f"Scaling by temperatures of {' to '.join(wording.figure(end(temperatures)) for end in (min, max))}, one "
        "per training,"
        if len(temperatures) > 1
        else f"Temperature {wording.figure(metrics['temperature'])}{bound}"
    )
    effect = (
        f"leaves the expected calibration error at {wording.score(before)}"
        if same
        else f"lowers the expected calibration error {change}"
        if after < before
        else f"does not help: the expected calibration error goes {change}, with {images} to fit it on"
    )
    return (
        f"Mean confidence {100 * sure:.1f} %, accuracy {100 * right:.1f} %: {how}. "
        f"{named} {effect}"
        f"{dearer if wording.score(losses[1]) > wording.score(losses[0]) else ''}."
    )


def _holds(interval: Mapping[str, Any], value: float) -> bool:
    """Whether a figure of `metrics.json` has an interval, and a value in it."""
    return interval["low"] is not None and bool(interval["low"] <= value <= interval["high"])


def scaled(experiment: Experiment) -> np.ndarray:
    """A classifier's probabilities at the temperature of each training, float64, (seeds, images, classes)."""
    found = experiment.probabilities
    before = found.stacked
    folds = found.of_seed(found.seeds[0])["fold"].to_numpy()
    after = np.empty_like(before)
    for row in experiment.calibration.to_dict("records"):
        place, tested = found.seeds.index(row["seed"]), folds == row["fold"]
        after[place, tested] = scale(before[place, tested], row["temperature"])
    return after


def _correct(experiment: Experiment) -> np.ndarray:
    """Whether the predicted class is right, bool, (seeds, images)."""
    return experiment.probabilities.stacked.argmax(axis=2) == experiment.probabilities.truth


def measured(metrics: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A figure of `metrics.json` as `estimate` gives those of a comparison."""
    return estimate({f"{name}_{end}": value for end, value in metrics[name].items()}, name)


def curves(task: Task) -> dict[str, Any]:
    """ROC, precision-recall and risk-coverage curves of the best methods, and a row on each method."""
    shown = best(task, len(CURVE_STYLES))
    return {
        "rows": [_curve_row(experiment) for experiment in task.experiments],
        "words": [risk_words(experiment.label, experiment.class_curves) for experiment in shown[:1]],
        "charts": [_curve_chart(task, shown, drawing) for drawing in _DRAWINGS if _has(shown, drawing)],
    }


@dataclass(frozen=True)
class _Drawing:
    """How one of the curves of `curves.csv` is drawn, and the area under it called."""

    curve: str
    title: str
    area: str
    area_name: str
    x_label: str
    y_label: str
    words: str


# The very surest images are so few that their share of errors jumps about: risks are drawn from this coverage on.
_SUREST = 0.1
_DRAWINGS = (
    _Drawing(
        curve="roc",
        title="ROC",
        area="roc_auc",
        area_name="ROC AUC",
        x_label="other images taken for the class (%)",
        y_label="images of the class found (%)",
        words="The upper left is best; random guesses lie on the grey line.",
    ),
    _Drawing(
        curve="pr",
        title="Precision and recall",
        area="average_precision",
        area_name="average precision",
        x_label="recall: images of the class found (%)",
        y_label="precision: of those, right (%)",
        words="The upper right is best.",
    ),
    _Drawing(
        curve="risk_coverage",
        title="Risk and coverage",
        area="aurc",
        area_name="AURC",
        x_label="images that the method decides, surest first (%)",
        y_label="of those, wrong (%)",
        words="Lower is better. At the right end the method decides every image. Drawn from 10 % coverage on.",
    ),
)


def _has(shown: list[Experiment], drawing: _Drawing) -> bool:
    return all(len(points(experiment.class_curves, drawing.curve)) for experiment in shown)


def _curve_chart(task: Task, shown: list[Experiment], drawing: _Drawing) -> dict[str, Any]:
    found = [points(experiment.class_curves, drawing.curve) for experiment in shown]
    if drawing.curve == "risk_coverage":
        found = [of_method[of_method["x"] >= _SUREST] for of_method in found]
    areas = [wording.score(experiment.metrics[drawing.area]["mean"]) for experiment in shown]
    curves = [
        Curve(place, f"{shortened(experiment.label)}: {area}", of_method["x"].to_numpy(), of_method["y"].to_numpy())
        for place, (experiment, of_method, area) in enumerate(zip(shown, found, areas, strict=True), 1)
    ]
    described = "; ".join(f"{each.label} {area}" for each, area in zip(shown, areas, strict=True))
    return {
        "title": drawing.title,
        "words": f"{drawing.words} In the key: {drawing.area_name}.",
        "chart": chart(
            curve_chart(
                curves,
                drawing.x_label,
                drawing.y_label,
                top=_top(curves) if drawing.curve == "risk_coverage" else 1.0,
                guess=drawing.curve == "roc",
            ),
            f"{task.name}-{drawing.curve.replace('_', '-')}",
            f"{drawing.title}: {drawing.y_label} by {drawing.x_label}. {drawing.area_name}: {described}.",
        ),
    }


def _top(curves: list[Curve]) -> float:
    """The end of an axis of risks."""
    highest = max(float(each.y.max()) for each in curves)
    return min(1.0, max(0.02, 1.15 * highest))


def points(class_curves: pd.DataFrame, curve: str) -> pd.DataFrame:
    """One curve of `curves.csv`: over all classes, or by confidence. Empty where no class has one."""
    name = "confidence" if curve == "risk_coverage" else MACRO
    return class_curves[(class_curves["curve"] == curve) & (class_curves["class"] == name)]


def error_at(class_curves: pd.DataFrame, coverage: float) -> float:
    """Share of errors, 0 to 1, among so many of the images, the surest ones."""
    found = points(class_curves, "risk_coverage")
    return float(np.interp(coverage, found["x"], found["y"]))


def risk_words(label: str, class_curves: pd.DataFrame) -> str:
    """What is gained where somebody looks at the images that a method is least sure of."""
    all_, rest = error_at(class_curves, 1.0), error_at(class_curves, 1 - HANDED_OVER)
    verb = "falls" if rest < all_ else "rises" if rest > all_ else "stays"
    change = f"from {100 * all_:.1f} % to {100 * rest:.1f} %" if rest != all_ else f"at {100 * all_:.1f} %"
    return (
        f"If a human decides the {100 * HANDED_OVER:.0f} % of images on which {label} is least confident, its error "
        f"rate on the others {verb} {change}."
    )


def _curve_row(experiment: Experiment) -> dict[str, Any]:
    errors = [error_at(experiment.class_curves, coverage) for coverage in (1.0, 1 - HANDED_OVER)]
    return {
        "label": experiment.label,
        "oracle": experiment.oracle,
        "figures": [measured(experiment.metrics, name) for name in ("roc_auc", "average_precision", "aurc")],
        "least": wording.score(experiment.metrics["aurc_optimal"]),
        "errors": [f"{100 * error:.1f}" for error in errors],
    }
