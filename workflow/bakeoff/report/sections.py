"""What each section of a task's page says, as plain values for the templates; see `classes` for classification."""

import base64
import itertools
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from bakeoff.evaluation.comparison import FAMILY_MARKS, OTHER_MARK, image_means, score_command
from bakeoff.report import wording
from bakeoff.report.charts import ThresholdLine, chart, histogram_chart, inline, learning_chart, page_colours
from bakeoff.report.pictures import mask_picture, outlined, picture, png_uri, webp_uri
from bakeoff.report.reading import Experiment, Task, mean_by_seed, random_weights

# How the scores beside the headline are called, and with how many digits they are shown.
SCORES = {
    "iou": ("IoU", 3),
    "precision": ("Precision", 3),
    "recall": ("Recall", 3),
    "pixel_accuracy": ("Pixel accuracy", 3),
    "hd95": ("HD95 (px)", 1),
    "assd": ("ASSD (px)", 2),
    "balanced_accuracy": ("Balanced accuracy", 3),
    "macro_f1": ("Macro-F1", 3),
    "log_loss": ("Log loss", 3),
    "ece": ("ECE", 3),
    "roc_auc": ("ROC AUC", 3),
}
CHEAP_FAMILIES = ("thresholds", "classical")


def data_warnings(about: dict[str, Any]) -> list[str]:
    """What a reader must know before believing a number: images drawn, or not the official bytes."""
    unofficial = [file["name"] for file in about["provenance"].get("files", []) if not file.get("official")]
    if about["synthetic"]:
        return [
            f"The images of {about['title']} are synthetic: drawn by a program, in the layout of the real archive. The "
            "figures show that the pipeline works; they say nothing about real images."
        ]
    if unofficial:
        return [
            f"The data of {about['title']} come from a mirror: {wording.listed(unofficial)} "
            f"{'is' if len(unofficial) == 1 else 'are'} not the official bytes."
        ]
    return []


def weights_warnings(task: Task) -> list[str]:
    """Which networks of a task started from random or unofficial weights in place of the published ones."""
    found = []
    drawn = [experiment.label for experiment in task.experiments if random_weights(experiment)]
    if drawn:
        found.append(
            f"{wording.listed(drawn)} started from random numbers in place of the pretrained weights: "
            "expect less than it can do."
        )
    elsewhere = [experiment.label for experiment in task.experiments if _unofficial_weights(experiment)]
    if elsewhere:
        found.append(
            f"{wording.listed(elsewhere)} started from weights that a mirror gave, or that no checksum verifies: not "
            "surely the official bytes."
        )
    return found


def _unofficial_weights(experiment: Experiment) -> bool:
    given = [fit["weights"] for fit in experiment.fits if isinstance(fit.get("weights"), dict)]
    return any(
        not weights.get("random") and (not weights.get("official", True) or "NOT VERIFIED" in weights.get("note", ""))
        for weights in given
    )


def answer(task: Task) -> dict[str, Any]:
    """Which method, by how much, how sure, at what cost."""
    methods = [experiment for experiment in task.experiments if not experiment.oracle] or task.experiments
    best, others = methods[0], methods[1:]
    cheap = next((each for each in others if each.entry["family"] in CHEAP_FAMILIES), None)
    headline = task.measure.headline
    return {
        "best": best.label,
        "experiment": best.name,
        "score_title": task.measure.title.capitalize(),
        "score": wording.score(best.row[f"{headline}_mean"]),
        "interval": wording.span(best.row, headline),
        "images": int(best.row["images"]),
        "seeds": int(best.row["seeds"]),
        "leads": [_lead(task, best, other) for other in _without_repeats([*others[:1], cheap])],
        "tied": _tied(task, others),
        "speed": wording.figure(best.row["predict_images_per_second"]),
        "training": wording.duration(best.row["training_seconds"]) if best.history else "none",
        "parameters": wording.count(best.row["parameters"]),
        "device": best.cost.get("device") or "device not recorded",
        "other_cost": f"{cheap.label}: {_cost_words(cheap)}" if cheap else "",
        "by_stratum": _gaps(task, best),
        "seeds_spread": _seed_spread(task, best),
    }


def _lead(task: Task, best: Experiment, other: Experiment) -> dict[str, Any]:
    kind = task.measure
    ahead = image_means(best.scores, kind.column) - image_means(other.scores, kind.column)
    wins, losses = int((ahead > 0).sum()), int((ahead < 0).sum())
    seeds = wording.fewest_seeds(best.row, other.row)
    return {
        "over": other.label,
        "by": f"{other.row[f'{kind.headline}_behind_mean']:+.3f}",
        "interval": wording.span(other.row, f"{kind.headline}_behind"),
        "clear": wording.is_clear(other.row, kind, seeds=seeds),
        "verdict": wording.verdict(other.row, kind, seeds=seeds),
        "sentence": wording.lead(
            best.label,
            other.label,
            other.row,
            wins,
            kind,
            losses=losses if task.target else None,  # most images are right by both, or wrong
            seeds=seeds,
        ),
    }


def _without_repeats(experiments: list[Experiment | None]) -> list[Experiment]:
    return list({each.name: each for each in experiments if each is not None}.values())


def _tied(task: Task, others: list[Experiment]) -> str:
    tied = [each.label for each in others if not wording.beyond_chance(each.row, task.measure)]
    return wording.listed(tied)


def _cost_words(experiment: Experiment) -> str:
    row = experiment.row
    parts = [f"predicts {wording.figure(row['predict_images_per_second'])} images/s"]
    if wording.known(row["training_seconds"]) and row["training_seconds"] > 0:
        each = " a seed" if row["seeds"] > 1 else ""
        parts.insert(0, f"trained in {wording.duration(row['training_seconds'])}{each}")
    else:
        parts.insert(0, "no training")
    if wording.known(row["parameters"]) and row["parameters"] > 0:
        parts.append(f"{wording.count(row['parameters'])} parameters")
    return f"{', '.join(parts)} ({experiment.cost.get('device') or 'device not recorded'})"


def _seed_spread(task: Task, experiment: Experiment) -> str:
    means = mean_by_seed(experiment, task.measure.column)
    if len(means) < 2:
        return ""
    return (
        f"From one seed of its training to another its mean {task.measure.title} ranges from "
        f"{wording.score(means.min())} to {wording.score(means.max())} ({wording.plural(len(means), 'seed')})."
    )


def _gaps(task: Task, experiment: Experiment) -> list[str]:
    groups = [values for values in strata_values(task).values() if len(values) > 1]
    return [wording.across_groups(experiment.label, experiment.row, values, task.measure) for values in groups]


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
    encoded = base64.b64encode(task.comparison_csv.encode()).decode("ascii")
    best = answer(task)["best"]
    return {
        "rows": [_ranking_row(task, place, experiment) for place, experiment in _places(task.experiments)],
        "score_title": task.measure.title.capitalize(),
        "scores": [SCORES[name][0] for name in task.measure.others],
        "csv_uri": f"data:text/csv;base64,{encoded}",
        "figure": inline(
            task.comparison_svg,
            f"{task.name}-comparison",
            f"Mean {task.measure.title} and 95 % interval of every method on {task.about['title']}; {best} is best. "
            "The table has the same figures.",
        ),
        "images": int(task.experiments[0].row["images"]),
    }


def _places(experiments: list[Experiment]) -> list[tuple[str, Experiment]]:
    """Rank by the headline score; an oracle stands where its figure puts it, without a rank."""
    ranks = itertools.count(1)
    return [("" if each.oracle else str(next(ranks)), each) for each in experiments]


def _ranking_row(task: Task, place: str, experiment: Experiment) -> dict[str, Any]:
    row, headline = experiment.row, task.measure.headline
    return {
        "place": place,
        "label": experiment.label,
        "experiment": experiment.name,
        "family": experiment.entry["family"],
        "colour": page_colours(FAMILY_MARKS.get(experiment.entry["family"], OTHER_MARK)[0]),
        "oracle": experiment.oracle,
        "random_weights": random_weights(experiment),
        "headline": estimate(row, headline),
        "behind": estimate(row, f"{headline}_behind"),
        "scores": [estimate(row, score, SCORES[score][1]) for score in task.measure.others],
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
    table = experiment.predictions.table
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


def cases(task: Task, side: int) -> list[dict[str, Any]]:
    """Every method's best, median and worst prediction by Dice, as pictures whose longer side is `side` pixels."""
    positions = task.test_positions
    return [
        {
            "label": experiment.label,
            "experiment": experiment.name,
            "oracle": experiment.oracle,
            "cases": [_case(task, experiment, positions, name, row, side) for name, row in extremes(experiment.scores)],
        }
        for experiment in task.experiments
    ]


def extremes(scores: pd.DataFrame) -> list[tuple[str, pd.Series]]:
    """Best, median and worst row of `scores.csv` by Dice; of equals the first by id and seed."""
    ordered = scores.sort_values(["dice", "id", "seed"], ascending=[False, True, True], ignore_index=True)
    places = {"Best": 0, "Median": (len(ordered) - 1) // 2, "Worst": len(ordered) - 1}
    return [(name, ordered.iloc[place]) for name, place in places.items()]


def _case(
    task: Task, experiment: Experiment, positions: dict[str, int], name: str, row: pd.Series, side: int
) -> dict[str, Any]:
    position, seed = positions[row["id"]], int(row["seed"])
    image, truth = task.prepared.images[position], task.prepared.true_masks()[position]
    prediction = experiment.masks.masks[seed][experiment.masks.ids.index(row["id"])]
    about = f"{row['id']}, {experiment.label}"
    return {
        "name": name,
        "id": row["id"],
        "seed": seed if has_seeds(experiment) else None,
        "dice": wording.score(row["dice"]),
        "strata": ", ".join(str(row[stratum]) for stratum in task.prepared.strata if stratum in row),
        "pictures": [
            ("Image", webp_uri(picture(image, side)), f"Test image {row['id']}", False),
            ("Truth", png_uri(mask_picture(truth)), f"True mask of {row['id']}", True),
            ("Prediction", png_uri(mask_picture(prediction)), f"Predicted mask of {about}", True),
            (
                "Outlines",
                webp_uri(outlined(image, truth, prediction, side)),
                f"Outlines of the true and the predicted mask of {about}; Dice {wording.score(row['dice'])}",
                False,
            ),
        ],
    }


def has_seeds(experiment: Experiment) -> bool:
    """Whether an experiment was run from more than one seed."""
    return int(experiment.row["seeds"]) > 1


def histograms(task: Task, side: int) -> list[dict[str, Any]]:
    """Grey levels and every threshold method's cuts, for the best and the worst image of the best such method."""
    methods = [experiment for experiment in task.experiments if experiment.entry["family"] == "thresholds"]
    if not methods:
        return []
    picked = [methods[0].scores.sort_values(["dice", "id"], ascending=order)["id"].iloc[0] for order in (False, True)]
    return [_histogram(task, methods, id_, side) for id_ in dict.fromkeys(picked)]


def _histogram(task: Task, methods: list[Experiment], id_: str, side: int) -> dict[str, Any]:
    position = task.test_positions[id_]
    lines = [threshold_line(experiment, id_) for experiment in methods]
    words = "; ".join(f"{line.label} {', '.join(map(str, line.thresholds)) or 'none'}" for line in lines)
    figure = histogram_chart(np.asarray(task.prepared.histograms[position]), lines)
    truth = task.prepared.true_masks()[position]
    return {
        "id": id_,
        "chart": chart(figure, f"{task.name}-histogram-{position}", f"Grey levels of {id_}. Thresholds: {words}."),
        "picture": webp_uri(outlined(task.prepared.images[position], truth, None, side)),
    }


def threshold_line(experiment: Experiment, id_: str) -> ThresholdLine:
    """The thresholds that a method found in one image, and the class that it took."""
    table = experiment.predictions.table
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
                    task.measure.chosen_by,
                ),
                f"{task.name}-learning-{experiment.name}",
                f"Loss and validation {task.measure.chosen_by} by epoch of {experiment.label}. "
                f"{_learning_words(task, experiment)}",
            ),
            "words": _learning_words(task, experiment),
        }
        for experiment in task.experiments
        if experiment.history
    ]


def _learning_words(task: Task, experiment: Experiment) -> str:
    return " ".join(
        f"Seed {fit['seed']}: best validation {task.measure.chosen_by} {wording.score(fit['best_validation_score'])} "
        f"at epoch {fit['best_epoch']} of {fit['epochs_run']}."
        for fit in _first_fold(experiment)
    )


def _first_fold(experiment: Experiment) -> list[dict[str, Any]]:
    return [fit for fit in experiment.fits if fit.get("fold", 0) == 0]


def costs(task: Task) -> list[dict[str, Any]]:
    """What each method takes: size, time, memory, and on which device that was measured."""
    return [
        {
            "label": experiment.label,
            "figures": [
                (experiment.row["parameters"], wording.count(experiment.row["parameters"])),
                (experiment.cost.get("model_mib"), wording.figure(experiment.cost.get("model_mib"))),
                (experiment.row["training_seconds"], wording.duration(experiment.row["training_seconds"])),
                (
                    experiment.row["predict_images_per_second"],
                    wording.figure(experiment.row["predict_images_per_second"]),
                ),
                (experiment.row["peak_memory_mib"], wording.count(experiment.row["peak_memory_mib"])),
            ],
            "device": experiment.cost.get("device") or wording.MISSING,
        }
        for experiment in task.experiments
    ]


def cost_notes(task: Task) -> list[dict[str, str]]:
    """What `cost.json` adds in words, and of which methods it does."""
    notes: dict[str, list[str]] = {}
    for experiment in task.experiments:
        if experiment.cost.get("note"):
            notes.setdefault(experiment.cost["note"], []).append(experiment.label)
    return [{"methods": wording.listed(methods), "note": note} for note, methods in notes.items()]


def reproduction(task: Task) -> dict[str, Any]:
    """The command and the files behind each method's figures, and the environments they were made in."""
    environments: dict[str, str] = {}
    rows = []
    for experiment in task.experiments:
        made = [("prediction", experiment.cost.get("manifest"))]
        folds = any(fit.get("fold") for fit in experiment.fits)
        made += [
            (f"training, seed {fit['seed']}" + (f", fold {fit['fold']}" if folds else ""), fit.get("manifest"))
            for fit in experiment.fits
        ]
        letters: dict[str, list[str]] = {}
        for step, manifest in made:
            if manifest:
                letter = environments.setdefault(json.dumps(manifest, sort_keys=True), _letter(len(environments)))
                letters.setdefault(letter, []).append(step)
        rows.append(
            {
                "label": experiment.label,
                "command": score_command(experiment.name, experiment.entry),
                "folder": f"results/experiments/{experiment.name}/",
                "environments": [(letter, ", ".join(steps)) for letter, steps in letters.items()],
            }
        )
    return {
        "rows": rows,
        "environments": [{"letter": letter, **json.loads(text)} for text, letter in environments.items()],
    }


def _letter(index: int) -> str:
    return chr(ord("A") + index) if index < 26 else f"A{index}"
