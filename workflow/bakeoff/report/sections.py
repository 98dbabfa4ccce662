"""What each section of a task's page says, as plain values for the templates; see `classes` for classification."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bakeoff.datasets.splits.splitting import keeps_groups
from bakeoff.evaluation.comparison import image_means
from bakeoff.report import wording
from bakeoff.report.charts import ThresholdLine, chart, family_colour, histogram_chart, inline, learning_chart
from bakeoff.report.files import file_uri
from bakeoff.report.pictures import outlined, webp_uri
from bakeoff.report.reading import Experiment, Task, random_weights

# How the scores beside the headline are called, and with how many digits they are shown.
SCORES = {
    "dice": ("Dice", 3),
    "iou": ("IoU", 3),
    "precision": ("Precision", 3),
    "recall": ("Recall", 3),
    "pixel_accuracy": ("Pixel accuracy", 3),
    "object_f1": ("Objects: F1", 3),
    "object_ap": ("Objects: average precision", 3),
    "object_pq": ("Objects: panoptic quality", 3),
    "count_error": ("Objects too many or few", 1),
    "count_off": ("Miscounted objects", 1),
    "hd95": ("HD95 (px)", 1),
    "assd": ("ASSD (px)", 2),
    "boundary_iou": ("Boundary IoU", 3),
    "mean_iou": ("Mean IoU of classes", 3),
    "iou_border_as_foreground": ("IoU, border counted in", 3),
    "iou_border_ignored": ("IoU, border ignored", 3),
    "dataset_dice": ("Dice over the data set", 3),
    "dataset_iou": ("IoU over the data set", 3),
    "dataset_iou_border_as_foreground": ("IoU over the data set, border counted in", 3),
    "dataset_iou_border_ignored": ("IoU over the data set, border ignored", 3),
    "dataset_mean_iou": ("Mean IoU over the data set", 3),
    "balanced_accuracy": ("Balanced accuracy", 3),
    "macro_f1": ("Macro-F1", 3),
    "log_loss": ("Log loss", 3),
    "ece": ("ECE", 3),
    "roc_auc": ("ROC AUC", 3),
    "average_precision": ("Average precision", 3),
    "aurc": ("AURC", 3),
    "ece_scaled": ("ECE, temperature scaled", 3),
}


def data_warnings(*datasets: dict[str, Any]) -> list[str]:
    """What a reader must know before believing a number: images drawn, or not the official bytes.

    Parameters
    ----------
    datasets
        The contents of each data set's `dataset.json`.
    """
    drawn = [about["title"] for about in datasets if about["synthetic"]]
    found = []
    if drawn:
        found.append(
            f"The images of {wording.listed(drawn)} are synthetic: a program drew them, in the layout of the real "
            f"{'archive' if len(drawn) == 1 else 'archives'}. The figures show that the pipeline works. They say "
            "nothing about real images."
        )
    for about in datasets:
        unofficial = [file["name"] for file in about["provenance"].get("files", []) if not file.get("official")]
        if unofficial and not about["synthetic"]:
            found.append(
                f"The data of {about['title']} come from a mirror: {wording.not_official(unofficial)}.{_subset(about)}"
            )
    return found


def _subset(about: Mapping[str, Any]) -> str:
    """How much of what was published there is, where that is not all."""
    listed, published = about["counts"]["listed"], (about["published"] or {}).get("listed")
    if published is None or listed >= published:
        return ""
    return (
        f" They hold {listed:,} of the {published:,} published images, so no score here is comparable with a published "
        "one."
    )


def profile_warnings(profile: str, tasks: Sequence[Task]) -> list[str]:
    """That networks were trained for less than they might be, where real images were scored so."""
    shortened = [task for task in tasks if task.shortened and not task.about["synthetic"]]
    trained = any(each.has_epochs for task in shortened for each in task.experiments)
    if profile == "full" or not trained:
        return []
    return [f"Run at profile {profile}, not full. Networks may score higher at full."]


def question(task: Task) -> str:
    """What a task asks, in a line: what is predicted, and how images are split."""
    asked = (
        f"segmentation of {wording.classes(task.prepared.foreground_classes)}"
        if task.target is None
        else f"classification by {task.target} ({_class_count(task)})"
    )
    split = task.split
    how = {
        "stratified": "stratified random split",
        "by-label": "the folder's own split"
        if (task.about["source"], split.get("label")) == (None, "split")
        else f"split by the label {split.get('label')}",
        "folds": f"{len(task.folds)}-fold cross-validation",
        "random": "random split of single images, as published",
        "every-14th": "every 14th image tested, as published",
    }.get(split["name"], f"split {split['name']}")
    together = f", near-duplicates {'' if keeps_groups(split) else 'not '}kept together"
    alone = f", trained on {task.learn_from['value']} only" if task.learn_from else ""
    return f"{asked}; {how}{together if split['name'] in ('stratified', 'folds') else ''}{alone}"


def scored_words(task: Task) -> str:
    """The classes of masks that the score is a mean over; nothing where it is of one."""
    scored, names, background = task.mask_score.scored, task.prepared.classes, task.prepared.background
    if len(scored) < 2:
        return ""
    if len(scored) == len(names):
        return "all classes"
    if len(scored) == len(names) - 1 > wording.MOST_NAMED and background is not None:
        return f"all classes but {names[background]}"
    return wording.listed([names[index] for index in scored])


def _class_count(task: Task) -> str:
    classes = task.prepared.index[task.target].astype(str)
    number = classes[classes != ""].nunique()
    return f"{number} class{'' if number == 1 else 'es'}"


def image_counts(task: Task) -> str:
    """How many images train, choose and test; with cross-validation of the first fold, and all that are tested."""
    first = task.folds[0]
    sizes = f"{len(first.train):,} training and {len(first.validation):,} validation images"
    return f"{sizes}{' a fold' if len(task.folds) > 1 else ''}, {len(task.tested):,} test images"


def weights_warnings(task: Task) -> list[str]:
    """Which networks of a task started from random or unofficial weights instead of the published ones."""
    found = []
    drawn = [experiment.label for experiment in task.experiments if random_weights(experiment)]
    if drawn:
        found.append(
            f"{wording.listed(drawn)} started from random weights instead of pretrained ones. Expect lower scores than "
            "with pretrained weights."
        )
    elsewhere = [experiment.label for experiment in task.experiments if _unofficial_weights(experiment)]
    if elsewhere:
        found.append(
            f"{wording.listed(elsewhere)} started from weights from a mirror, or without a verified checksum. They may "
            "differ from the official ones."
        )
    return found


def random_starts(task: Task) -> str:
    """How many methods of a task started from random weights instead of pretrained ones; nothing if none did."""
    drawn = sum(random_weights(experiment) for experiment in task.experiments)
    which = f"{drawn} of {len(task.experiments)} methods" if len(task.experiments) > 1 else "The only method"
    return f"{which} started from random weights, not pretrained ones." if drawn else ""


def _unofficial_weights(experiment: Experiment) -> bool:
    given = [fit["weights"] for fit in experiment.fits if isinstance(fit.get("weights"), dict)]
    return any(
        not weights.get("random") and (not weights.get("official", True) or "NOT VERIFIED" in weights.get("note", ""))
        for weights in given
    )


def strata_values(task: Task) -> dict[str, list[str]]:
    """The values of each stratum that the comparison has a headline score of; classes have a section of their own."""
    test = task.prepared.index.iloc[task.tested]
    columns, headline = task.experiments[0].row, task.measure.headline
    return {
        stratum: [
            value for value in sorted(test[stratum].astype(str).unique()) if f"{headline}_{value}_mean" in columns
        ]
        for stratum in task.prepared.strata
        if stratum != task.target
    }


def ranking(task: Task) -> dict[str, Any]:
    """The table of every method, and the comparison's own two files."""
    shown = [name for name in task.measure.others if f"{name}_mean" in task.experiments[0].row]
    return {
        "rows": [_ranking_row(task, experiment, shown) for experiment in task.experiments],
        "score_title": task.measure.heading,
        "scores": [SCORES[name][0] for name in shown],
        "csv_uri": file_uri(task.comparison_csv),
        "figure": inline(
            task.comparison_svg,
            f"{task.name}-comparison",
            f"{wording.sentence(task.measure.mean)} and 95 % interval of every method on {task.about['title']}; "
            f"{task.methods[0].label} is best. The table has the same figures.",
        ),
        "images": int(task.experiments[0].row["images"]),
        "intervals": intervals(task, [name for name in SCORES if _shown_somewhere(name, task.experiments[0])]),
    }


def _shown_somewhere(name: str, experiment: Experiment) -> bool:
    return f"{name}_mean" in experiment.row or name in experiment.metrics or name in experiment.scores


def intervals(task: Task, shown: Sequence[str]) -> list[str]:
    """Which column's 95 % interval is made how, a sentence a way; `shown` are scores beside the headline."""
    shown = [name for name in shown if name != task.measure.headline]
    means = [name for name in shown if name in task.experiments[0].scores or name in ("log_loss", "log_loss_scaled")]
    over_all = [name for name in shown if name not in means]
    headline = task.measure.heading
    by_image = [*([] if task.measure.binary else [headline]), *(SCORES[name][0] for name in means)]
    ways = [
        ("Wilson's, for as many independent images as the images are worth", [headline] if task.measure.binary else []),
        ("BCa bootstrap over images", by_image),
        ("percentile bootstrap over images, expanded for few groups", [SCORES[name][0] for name in over_all]),
    ]
    return [f"{wording.listed(names)}: {way}" for way, names in ways if names]


# How far the best method is behind itself.
_ITSELF = {"value": 0.0, "text": wording.EN_DASH, "span": ""}


def _ranking_row(task: Task, experiment: Experiment, shown: list[str]) -> dict[str, Any]:
    row, headline = experiment.row, task.measure.headline
    return {
        "rank": wording.rank(row["rank_low"], row["rank_high"]),
        "label": experiment.label,
        "experiment": experiment.name,
        "family": experiment.entry["family"],
        "colour": family_colour(experiment.entry["family"]),
        "oracle": experiment.oracle,
        "random_weights": random_weights(experiment),
        "headline": estimate(row, headline),
        "behind": estimate(row, f"{headline}_behind") if experiment is not task.methods[0] else _ITSELF,
        "scores": [estimate(row, score, SCORES[score][1]) for score in shown],
        "seeds": int(row["seeds"]),
        "foreground": foreground(experiment),
    }


def estimate(row: Mapping[str, Any], name: str, digits: int = 3) -> dict[str, Any]:
    """A figure of a comparison's row: its value to sort by, and in words with its interval."""
    value = row[f"{name}_mean"]
    return {"value": value, "text": wording.score(value, digits), "span": wording.span(row, name, digits)}


def foreground(experiment: Experiment) -> str:
    """A threshold method's class of grey levels, and who chose it; nothing for other methods."""
    if experiment.entry["family"] != "thresholds":
        return ""
    table = experiment.masks.table
    taken = sorted(set(table["foreground"])) if "foreground" in table else []
    return wording.foreground_choice(experiment.entry["foreground"], taken, experiment.entry.get("classes") or 2)


def strata(task: Task) -> list[dict[str, Any]]:
    """The headline score by the value of each stratum, a table a stratum."""
    index = task.prepared.index
    test = index.iloc[task.tested]
    return [
        {
            "name": stratum,
            "columns": [{"value": value, "images": int((test[stratum] == value).sum())} for value in values],
            "rows": [
                {
                    "label": experiment.label,
                    "oracle": experiment.oracle,
                    "cells": [estimate(experiment.row, f"{task.measure.headline}_{value}") for value in values],
                }
                for experiment in task.experiments
            ],
        }
        for stratum, values in strata_values(task).items()
    ]


def has_seeds(experiment: Experiment) -> bool:
    """Whether an experiment was run from more than one seed."""
    return int(experiment.row["seeds"]) > 1


def histograms(task: Task, side: int) -> list[dict[str, Any]]:
    """Grey levels and every threshold method's cuts, for the best and the worst image of the best such method."""
    methods = [experiment for experiment in task.experiments if experiment.entry["family"] == "thresholds"]
    if not methods:
        return []
    best = next((each for each in methods if not each.oracle), methods[0])
    scores = image_means(best.scores, task.measure.column).sort_index()
    picked = {str(scores.idxmax()): "Best", str(scores.idxmin()): "Worst"}
    return [
        {
            **_histogram(task, methods, id_, side),
            "words": f"{which} of {best.label}, {task.measure.title} {wording.score(scores[id_])}:",
        }
        for id_, which in picked.items()
    ]


def _histogram(task: Task, methods: list[Experiment], id_: str, side: int) -> dict[str, Any]:
    position = task.test_positions[id_]
    lines = [threshold_line(experiment, id_) for experiment in methods]
    words = "; ".join(f"{line.label} {', '.join(map(str, line.thresholds)) or 'none'}" for line in lines)
    figure = histogram_chart(np.asarray(task.prepared.histograms[position]), lines)
    truth = task.prepared.true_masks()[position][task.prepared.region(position)]
    return {
        "id": id_,
        "chart": chart(figure, f"{task.name}-histogram-{position}", f"Grey levels of {id_}. Thresholds: {words}."),
        "picture": webp_uri(outlined(task.prepared.shown(position), truth, None, side)),
    }


def threshold_line(experiment: Experiment, id_: str) -> ThresholdLine:
    """The thresholds that a method found in one image, and the class that it took."""
    table = experiment.masks.table
    row = table[table["id"] == id_].iloc[0]
    levels = tuple(float(level) for level in str(row["thresholds"]).split() if level.lower() != "nan")
    taken = str(row["foreground"])
    return ThresholdLine(
        experiment.label, tuple(round(level, 1) for level in levels), int(taken) if taken.isdigit() else None
    )


def curves(task: Task) -> list[dict[str, Any]]:
    """Learning curves of every method that was trained."""
    return [
        {
            "label": experiment.label,
            "experiment": experiment.name,
            "chart": chart(
                learning_chart(
                    experiment.history,
                    {fit["seed"]: fit["best_epoch"] for fit in _first_fold(experiment)},
                    _chosen_by(experiment),
                ),
                f"{task.name}-learning-{experiment.name}",
                f"Loss and validation {_chosen_by(experiment)} by epoch of {experiment.label}. "
                f"{_learning_words(experiment)}",
            ),
            "words": _learning_words(experiment),
        }
        for experiment in task.experiments
        if experiment.history
    ]


def _chosen_by(experiment: Experiment) -> str:
    """The score of the validation images that chose the epoch."""
    return str(experiment.fits[0]["score"])


def _learning_words(experiment: Experiment) -> str:
    folds = any(fit.get("fold", 0) for fit in experiment.fits)
    said = " ".join(
        f"Seed {fit['seed']}{', fold ' + str(fit.get('fold', 0)) if folds else ''}: best validation "
        f"{_chosen_by(experiment)} {wording.score(fit['best_validation_score'])} at epoch {fit['best_epoch']} of "
        f"{fit['epochs_run']}{', its last: it stopped while still improving' if _unfinished(fit) else ''}."
        for fit in experiment.fits
    )
    return f"{said} The curves are those of fold 0." if folds else said


def _unfinished(fit: Mapping[str, Any]) -> bool:
    """Whether the last epoch was the best one: more epochs may have given a better network."""
    return bool(fit["best_epoch"] == fit["epochs_run"])


def _first_fold(experiment: Experiment) -> list[dict[str, Any]]:
    return [fit for fit in experiment.fits if fit.get("fold", 0) == 0]
