"""Which method, by how much, how sure and at what cost; and every two methods of a task compared."""

from collections.abc import Iterable, Mapping
from typing import Any

from bakeoff.artefacts.layout import CARD
from bakeoff.evaluation.comparison import image_means
from bakeoff.report import wording
from bakeoff.report.ending import use
from bakeoff.report.files import file_uri
from bakeoff.report.provenance import PROJECT
from bakeoff.report.reading import Experiment, Task, mean_by_seed
from bakeoff.report.sections import random_starts, strata_values

CHEAP_FAMILIES = ("thresholds", "classical")
# A verdict at a glance: a sign that needs no colour.
MARKS = {"better": "✓", "worse": "✗", "equivalent": "=", "undecided": "?"}
_REVERSED = {"better": "worse", "worse": "better"}


def answer(task: Task) -> dict[str, Any]:
    """Which method, by how much, how sure, at what cost."""
    best, others = task.methods[0], task.methods[1:]
    is_cheap = best.entry["family"] in CHEAP_FAMILIES
    cheap = None if is_cheap else next((each for each in others if each.entry["family"] in CHEAP_FAMILIES), None)
    headline = task.measure.headline
    leads = {each.name: _lead(task, best, each) for each in [*others[:1], cheap] if each is not None}
    return {
        "best": best.label,
        "experiment": best.name,
        "use": use(best.name),
        "card": str(PROJECT.evaluated(task.name, best.name) / CARD),
        "card_uri": file_uri(best.card, "markdown"),
        "score_title": task.measure.heading,
        "score": wording.score(best.row[f"{headline}_mean"]),
        "interval": wording.span(best.row, headline),
        "images": int(best.row["images"]),
        "seeds": int(best.row["seeds"]),
        "standing": wording.standing(
            best.row, len(task.methods), seeds=wording.fewest_seeds(*(each.row for each in task.methods))
        ),
        "runner_up": leads[others[0].name] if others else None,
        "cheap": leads[cheap.name] if cheap else None,
        "is_cheap": is_cheap,
        "no_cheap": wording.no_cheap(is_cheap=is_cheap),
        "below_majority": below_majority(task),
        "random_starts": random_starts(task),
        "on_empty": _on_empty(task, best),
        "leads": list(leads.values()),
        "not_worse": [*_not_worse(task, best, others), *_alike(task)],
        "speed": wording.figure(best.cost.get("predict_images_per_second")),
        "latency": wording.milliseconds(best.cost.get("latency_ms")),
        "learned_in": _learned_in(best),
        "once": _once(leads.values()),
        "parameters": wording.count(best.cost["parameters"]) if best.cost.get("parameters") else "",
        "device": best.cost.get("device") or "device not recorded",
        "cost": _cost_words(best),
        "other_cost": f"{cheap.label}: {_cost_words(cheap)}" if cheap else "",
        "by_stratum": _gaps(task, best),
        "spread": [*filter(None, [_seed_spread(task, best), _fold_spread(task, best)])],
        "shortcuts": _shortcuts(task),
    }


def _lead(task: Task, best: Experiment, other: Experiment) -> dict[str, Any]:
    kind, pair = task.measure, task.pair(best, other)
    ahead = image_means(best.scores, kind.column) - image_means(other.scores, kind.column)
    wins, losses = int((ahead > 0).sum()), int((ahead < 0).sum())
    seeds = wording.fewest_seeds(best.row, other.row)
    return {
        "over": other.label,
        "by": wording.signed(pair["difference"]),
        "interval": wording.interval(pair["low"], pair["high"]),
        # The colour of what is sure; a lead in one training run is not.
        "tone": "once" if seeds == 1 else pair["verdict"],
        "mark": MARKS[pair["verdict"]],
        "verdict": wording.verdict(pair, task.margin, seeds=seeds),
        "sentence": wording.lead(
            best.label,
            other.label,
            pair,
            wins,
            kind,
            margin=task.margin,
            losses=losses if task.target else None,  # most images are right by both, or wrong
        ),
    }


def below_majority(task: Task) -> str:
    """Which methods are not shown to be more accurate than always predicting the most frequent class; nothing if all
    are.
    """
    if task.target is None or not task.experiments:
        return ""
    scores = task.methods[0].scores
    labels = scores.loc[scores["seed"] == scores["seed"].min(), "label"].value_counts().sort_index()
    share, frequent = float(labels.max() / labels.sum()), str(labels.idxmax())
    by_verdict: dict[str, list[str]] = {"better": [], "undecided": [], "worse": []}
    for each in task.methods:
        if each.row["method"] != "majority":
            by_verdict[_against_majority(task, each, share)].append(each.label)
    better, undecided, worse = by_verdict.values()
    return wording.below_majority(better, undecided, worse, frequent, share)


def _against_majority(task: Task, experiment: Experiment, share: float) -> str:
    """Better, worse or undecided: from the comparison with the majority class, or else from the interval."""
    majority = next((each for each in task.methods if each.row["method"] == "majority"), None)
    # It names the class that is most frequent in training, which need not be that of the test images.
    if majority is not None and abs(majority.row["accuracy_mean"] - share) < 1e-5:
        ahead = task.methods.index(experiment) < task.methods.index(majority)
        pair = task.pair(*((experiment, majority) if ahead else (majority, experiment)))
        shown = pair["p_holm"] < 0.05 and pair["low"] > 0
        return "undecided" if not shown else "better" if ahead else "worse"
    low, high = experiment.row["accuracy_low"], experiment.row["accuracy_high"]
    return "better" if low > share else "worse" if high < share else "undecided"


def _once(leads: Iterable[Mapping[str, Any]]) -> str:
    """That another training was not tried, where a lead is called one."""
    return (
        wording.ONE_RUN if any(lead["tone"] == "once" and lead["mark"] != MARKS["undecided"] for lead in leads) else ""
    )


def _on_empty(task: Task, best: Experiment) -> str:
    """What the mean score hides where the truth of some images is that there is nothing to find."""
    if task.target is not None:
        return ""
    scores = best.scores
    empty = scores["tp"] + scores["fn"] == 0
    if not empty.any() or empty.all():
        return ""
    share = float((scores.loc[empty, "fp"] > 0).mean())
    images, found = (scores.loc[which, "id"].nunique() for which in (empty, ~empty))
    rest = float(scores.loc[~empty, task.measure.column].mean())
    return wording.on_empty(best.label, images, share, found, rest, task.measure.title)


def _not_worse(task: Task, best: Experiment, others: list[Experiment]) -> list[str]:
    """The methods that the best one is not shown to beat, a sentence a verdict."""
    found: dict[str, list[str]] = {}
    for other in others:
        found.setdefault(task.pair(best, other)["verdict"], []).append(other.label)
    said = {
        "equivalent": f"Equivalent to {best.label} within the margin of {task.margin:g}",
        "undecided": f"Not distinguished from {best.label} by these images",
    }
    return [f"{words}: {wording.listed(found[name])}." for name, words in said.items() if name in found]


def _alike(task: Task) -> list[str]:
    """Methods that have the same score on every image, a sentence a set of them."""
    found: dict[bytes, list[str]] = {}
    for each in task.methods:
        by_image = image_means(each.scores, task.measure.column).sort_index().round(12)
        found.setdefault(by_image.to_numpy().tobytes(), []).append(each.label)
    same = [wording.listed(labels) for labels in found.values() if len(labels) > 1]
    return [f"Same {task.measure.title} on every image: {each}." for each in same]


def _cost_words(experiment: Experiment) -> str:
    parameters = experiment.cost.get("parameters")
    latency = f"{wording.milliseconds(experiment.cost.get('latency_ms'))} an image"
    size = [f"{wording.magnitude(parameters)} parameters"] if parameters else []
    masks = [f"with {experiment.cost['segmenter']}, which predicts its masks"] if "segmenter" in experiment.cost else []
    return ", ".join([_learned_in(experiment), latency, *size, *masks])


def _learned_in(experiment: Experiment) -> str:
    seconds = experiment.cost.get("training_seconds")
    if seconds is None and experiment.has_epochs:
        return "training time not known"
    if not seconds:
        return "no training"
    folds = len({fit.get("fold", 0) for fit in experiment.fits})
    each = [*(["fold"] if folds > 1 else []), *(["seed"] if experiment.row["seeds"] > 1 else [])]
    by = f" a {' and '.join(each)}" if experiment.has_epochs and each else ""
    return f"{'trained' if experiment.has_epochs else 'fitted'} in {wording.duration(seconds)}{by}"


def _seed_spread(task: Task, experiment: Experiment) -> str:
    means = mean_by_seed(experiment, task.measure.column)
    if len(means) < 2:
        return ""
    return (
        f"Across {wording.plural(len(means), 'seed')} its {task.measure.mean} ranges from "
        f"{wording.score(means.min())} to {wording.score(means.max())}."
    )


def _fold_spread(task: Task, experiment: Experiment) -> str:
    """How far the networks of the folds, which test different images, are apart."""
    if len(task.folds) < 2 or not experiment.has_epochs:
        return ""
    ids, by_image = task.prepared.index["id"], image_means(experiment.scores, task.measure.column)
    means = [float(by_image.loc[ids.iloc[fold.test]].mean()) for fold in task.folds]
    return (
        f"Across {len(means)} folds, each with its own training and test images, its {task.measure.mean} ranges "
        f"from {wording.score(min(means))} to {wording.score(max(means))}."
    )


def _shortcuts(task: Task) -> list[str]:
    """Which methods of a classification are not shown to be above what metadata or brightness predict."""
    if task.target is None:
        return []
    said = []
    checks = {row["check"]: row for row in task.checks.to_dict("records")}
    for check, means in (("metadata", "Metadata"), ("brightness", "Brightness")):
        name = f"{check}: {task.target}"
        if name not in checks or checks[name]["verdict"] != "warn":
            continue
        bar = float(checks[name]["score"])
        below = [
            each.label
            for each in task.methods
            if each.row["method"] != "majority" and not each.row["balanced_accuracy_low"] > bar
        ]
        if below:
            told = f"{means} alone predicts {task.target} with a balanced accuracy of {wording.score(bar)}"
            said.append(f"{told}. Not shown to do better, by 95 % intervals: {wording.listed(below)}.")
    return said


def _gaps(task: Task, experiment: Experiment) -> list[str]:
    shown = {stratum: _with_something(task, experiment, stratum, each) for stratum, each in strata_values(task).items()}
    groups = [values for values in shown.values() if len(values) > 1]
    return [
        wording.across_groups(experiment.label, experiment.row, values, task.measure, margin=task.margin)
        for values in groups
    ]


def _with_something(task: Task, experiment: Experiment, stratum: str, values: list[str]) -> list[str]:
    """The groups of a segmentation in which there is something to find: elsewhere a mean Dice is a share of images."""
    scores = experiment.scores
    if task.target is not None or stratum not in scores:
        return values
    found = scores.loc[scores["tp"] + scores["fn"] > 0, stratum].astype(str).unique()
    return [value for value in values if value in found]


def pairs(task: Task) -> dict[str, Any] | None:
    """Every two experiments compared, and at a glance; nothing where there is one alone."""
    if task.pairs.empty:
        return None
    labels = {experiment.name: experiment.label for experiment in task.experiments}
    rows = task.pairs.to_dict("records")
    return {
        "rows": [_pair_row(row, labels) for row in rows],
        "matrix": matrix([(experiment.name, experiment.label) for experiment in task.methods], rows),
        "marks": [(mark, name) for name, mark in MARKS.items()],
        "margin": f"{task.margin:g}",
        "comparisons": len(rows),
        "corrected": int(task.pairs["p_holm"].notna().sum()),
        "oracles": [each.label for each in task.experiments if each not in task.methods],
        "areas": "auc_difference" in task.pairs,
        "csv_uri": file_uri(task.pairs_csv),
    }


def _pair_row(row: Mapping[Any, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    needed = row["images_to_decide"]
    return {
        "first": labels[row["first"]],
        "second": labels[row["second"]],
        "difference": {
            "value": row["difference"],
            "text": wording.signed(row["difference"]),
            "span": wording.interval(row["low"], row["high"]),
        },
        "area": _area(row) if "auc_difference" in row else None,
        "effect": f"{row['effect']:+.2f}",
        "test": row["test"],
        "p_holm": (row["p_holm"], wording.p_value(row["p_holm"]).removeprefix("p ").removeprefix("= ")),
        "verdict": row["verdict"],
        "mark": MARKS[row["verdict"]],
        "needed": (needed, f"{wording.rounded_up(int(needed)):,}") if wording.known(needed) else ("", wording.MISSING),
    }


def _area(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Difference in the area under the ROC curve, with its interval and corrected p-value, where there is one."""
    if not wording.known(row["auc_difference"]):
        return {"value": "", "text": wording.MISSING, "span": ""}
    return {
        "value": row["auc_difference"],
        "text": wording.signed(row["auc_difference"]),
        "span": f"{wording.interval(row['auc_low'], row['auc_high'])}, {wording.p_value(row['auc_p_holm'])}",
    }


def matrix(methods: list[tuple[str, str]], rows: list[dict[Any, Any]]) -> list[dict[str, Any]]:
    """The verdict on the method of each row against that of each column.

    Parameters
    ----------
    methods
        Name and label, in the order of rows and columns.
    rows
        Of `pairs.csv`; those of other methods are passed over.
    """
    found = {(row["first"], row["second"]): row["verdict"] for row in rows}
    found |= {(second, first): _REVERSED.get(verdict, verdict) for (first, second), verdict in found.items()}
    return [
        {
            "label": label,
            "cells": [
                (MARKS[found[name, other]], f"{label}: {found[name, other]} against {other_label}", found[name, other])
                if other != name
                else ("", "", "")
                for other, other_label in methods
            ],
        }
        for name, label in methods
    ]
