"""What each section of the report says of one data set, as plain values for the templates."""

import base64
import itertools
import json
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from bakeoff.evaluation.comparison import FAMILY_MARKS, OTHER_MARK, image_means
from bakeoff.report import wording
from bakeoff.report.charts import ThresholdLine, chart, histogram_chart, inline, learning_chart, page_colours
from bakeoff.report.pictures import mask_picture, outlined, picture, png_uri, webp_uri
from bakeoff.report.reading import Dataset, Experiment, mean_dice_by_seed, random_weights, score_command

SCORES = (
    ("iou", "IoU", 3),
    ("precision", "Precision", 3),
    ("recall", "Recall", 3),
    ("pixel_accuracy", "Pixel accuracy", 3),
    ("hd95", "HD95 (px)", 1),
    ("assd", "ASSD (px)", 2),
)
AUDIT_ROWS = 60
EXAMPLES = 6


def warnings(datasets: list[Dataset]) -> list[str]:
    """What a reader must know before believing a number: data drawn or not official, weights random or not official."""
    found = []
    for dataset in datasets:
        files = dataset.about["provenance"].get("files", [])
        unofficial = [file["name"] for file in files if not file.get("official")]
        if dataset.about["synthetic"]:
            found.append(
                f"The images of {dataset.about['title']} are synthetic: drawn by a program, in the layout of the real "
                "archive. The figures show that the pipeline works; they say nothing about real images."
            )
        elif unofficial:
            found.append(
                f"The data of {dataset.about['title']} come from a mirror: {wording.listed(unofficial)} "
                f"{'is' if len(unofficial) == 1 else 'are'} not the official bytes."
            )
        drawn = [experiment.label for experiment in dataset.experiments if random_weights(experiment)]
        if drawn:
            found.append(
                f"{wording.listed(drawn)} started from random numbers in place of the pretrained weights: "
                "expect less than it can do."
            )
        elsewhere = [experiment.label for experiment in dataset.experiments if _unofficial_weights(experiment)]
        if elsewhere:
            found.append(
                f"{wording.listed(elsewhere)} started from weights that a mirror gave, not the official bytes."
            )
    return found


def _unofficial_weights(experiment: Experiment) -> bool:
    given = [fit["weights"] for fit in experiment.fits if isinstance(fit.get("weights"), dict)]
    return any(not weights.get("official", True) and not weights.get("random") for weights in given)


def answer(dataset: Dataset) -> dict[str, Any]:
    """Which method, by how much, how sure, at what cost."""
    methods = [experiment for experiment in dataset.experiments if not experiment.oracle] or dataset.experiments
    best, others = methods[0], methods[1:]
    threshold = next((each for each in others if each.entry["family"] == "thresholds"), None)
    return {
        "best": best.label,
        "experiment": best.name,
        "dice": wording.score(best.row["dice_mean"]),
        "interval": wording.span(best.row, "dice"),
        "images": int(best.row["images"]),
        "seeds": int(best.row["seeds"]),
        "leads": [_lead(best, other) for other in _without_repeats([*others[:1], threshold])],
        "tied": _tied(others),
        "speed": wording.figure(best.row["predict_images_per_second"]),
        "training": wording.duration(best.row["training_seconds"]) if best.history else "none",
        "parameters": wording.count(best.row["parameters"]),
        "device": best.cost.get("device") or "device not recorded",
        "other_cost": f"{threshold.label}: {_cost_words(threshold)}" if threshold else "",
        "by_stratum": _gaps(dataset, best),
        "seeds_spread": _seed_spread(best),
    }


def _lead(best: Experiment, other: Experiment) -> dict[str, Any]:
    ahead = image_means(best.scores, "dice") - image_means(other.scores, "dice")
    return {
        "over": other.label,
        "by": f"{other.row['dice_behind_mean']:+.3f}",
        "interval": wording.span(other.row, "dice_behind"),
        "clear": wording.is_clear(other.row),
        "sentence": wording.lead(best.label, other.label, other.row, int((ahead > 0).sum())),
    }


def _without_repeats(experiments: list[Experiment | None]) -> list[Experiment]:
    return list({each.name: each for each in experiments if each is not None}.values())


def _tied(others: list[Experiment]) -> str:
    tied = [each.label for each in others if not wording.is_clear(each.row)]
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


def _seed_spread(experiment: Experiment) -> str:
    means = mean_dice_by_seed(experiment)
    if len(means) < 2:
        return ""
    return (
        f"From one seed of its training to another its mean Dice ranges from {wording.score(means.min())} to "
        f"{wording.score(means.max())} ({wording.plural(len(means), 'seed')})."
    )


def _gaps(dataset: Dataset, experiment: Experiment) -> list[str]:
    groups = [values for values in strata_values(dataset).values() if len(values) > 1]
    return [wording.across_groups(experiment.label, experiment.row, values) for values in groups]


def strata_values(dataset: Dataset) -> dict[str, list[str]]:
    """The values of each stratum that the comparison has a Dice of."""
    index = dataset.prepared.index
    test = index[index["split"] == "test"]
    columns = dataset.experiments[0].row
    return {
        stratum: [value for value in sorted(test[stratum].astype(str).unique()) if f"dice_{value}_mean" in columns]
        for stratum in dataset.prepared.strata
    }


def ranking(dataset: Dataset) -> dict[str, Any]:
    """The table of every method, and the comparison's own two files."""
    encoded = base64.b64encode(dataset.comparison_csv.encode()).decode("ascii")
    best = answer(dataset)["best"]
    return {
        "rows": [_ranking_row(place, experiment) for place, experiment in _places(dataset.experiments)],
        "scores": [name for _, name, _ in SCORES],
        "csv_uri": f"data:text/csv;base64,{encoded}",
        "figure": inline(
            dataset.comparison_svg,
            f"{dataset.name}-comparison",
            f"Mean Dice and 95 % interval of every method on {dataset.about['title']}; {best} is best. "
            "The table has the same figures.",
        ),
        "images": int(dataset.experiments[0].row["images"]),
    }


def _places(experiments: list[Experiment]) -> list[tuple[str, Experiment]]:
    """Rank by Dice; an oracle stands where its figure puts it, without a rank."""
    ranks = itertools.count(1)
    return [("" if each.oracle else str(next(ranks)), each) for each in experiments]


def _ranking_row(place: str, experiment: Experiment) -> dict[str, Any]:
    row = experiment.row
    return {
        "place": place,
        "label": experiment.label,
        "experiment": experiment.name,
        "family": experiment.entry["family"],
        "colour": page_colours(FAMILY_MARKS.get(experiment.entry["family"], OTHER_MARK)[0]),
        "oracle": experiment.oracle,
        "random_weights": random_weights(experiment),
        "dice": {end: float(row[f"dice_{end}"]) for end in ("mean", "low", "high")},
        "behind": row["dice_behind_mean"],
        "behind_text": wording.score(row["dice_behind_mean"]),
        "behind_span": wording.span(row, "dice_behind"),
        "scores": [
            {
                "value": row[f"{score}_mean"],
                "text": wording.score(row[f"{score}_mean"], digits),
                "span": wording.span(row, score, digits),
            }
            for score, _, digits in SCORES
        ],
        "seeds": int(row["seeds"]),
        "foreground": foreground(experiment),
    }


def foreground(experiment: Experiment) -> str:
    """A threshold method's class of grey levels, and who chose it; nothing for other methods."""
    if experiment.entry["family"] != "thresholds":
        return ""
    table = experiment.predictions.table
    taken = sorted(set(table["foreground"])) if "foreground" in table else []
    return wording.foreground_choice(experiment.entry["foreground"], taken, experiment.entry.get("classes") or 2)


def strata(dataset: Dataset) -> list[dict[str, Any]]:
    """Dice by the value of each stratum, a table a stratum."""
    index = dataset.prepared.index
    test = index[index["split"] == "test"]
    return [
        {
            "name": stratum,
            "columns": [{"value": value, "images": int((test[stratum] == value).sum())} for value in values],
            "rows": [
                {
                    "label": experiment.label,
                    "oracle": experiment.oracle,
                    "cells": [
                        {
                            "value": experiment.row[f"dice_{value}_mean"],
                            "text": wording.score(experiment.row[f"dice_{value}_mean"]),
                            "span": wording.span(experiment.row, f"dice_{value}"),
                        }
                        for value in values
                    ],
                }
                for experiment in dataset.experiments
            ],
        }
        for stratum, values in strata_values(dataset).items()
    ]


def cases(dataset: Dataset, side: int) -> list[dict[str, Any]]:
    """Every method's best, median and worst prediction by Dice, as pictures whose longer side is `side` pixels."""
    positions = dataset.test_positions
    return [
        {
            "label": experiment.label,
            "experiment": experiment.name,
            "oracle": experiment.oracle,
            "cases": [
                _case(dataset, experiment, positions, name, row, side) for name, row in extremes(experiment.scores)
            ],
        }
        for experiment in dataset.experiments
    ]


def extremes(scores: pd.DataFrame) -> list[tuple[str, pd.Series]]:
    """Best, median and worst row of `scores.csv` by Dice; of equals the first by id and seed."""
    ordered = scores.sort_values(["dice", "id", "seed"], ascending=[False, True, True], ignore_index=True)
    places = {"Best": 0, "Median": (len(ordered) - 1) // 2, "Worst": len(ordered) - 1}
    return [(name, ordered.iloc[place]) for name, place in places.items()]


def _case(
    dataset: Dataset, experiment: Experiment, positions: dict[str, int], name: str, row: pd.Series, side: int
) -> dict[str, Any]:
    position, seed = positions[row["id"]], int(row["seed"])
    image, truth = dataset.prepared.images[position], dataset.prepared.masks[position]
    prediction = experiment.predictions.masks[seed][experiment.predictions.ids.index(row["id"])]
    about = f"{row['id']}, {experiment.label}"
    return {
        "name": name,
        "id": row["id"],
        "seed": seed if has_seeds(experiment) else None,
        "dice": wording.score(row["dice"]),
        "strata": ", ".join(str(row[stratum]) for stratum in dataset.prepared.strata if stratum in row),
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


def histograms(dataset: Dataset, side: int) -> list[dict[str, Any]]:
    """Grey levels and every threshold method's cuts, for the best and the worst image of the best such method."""
    methods = [experiment for experiment in dataset.experiments if experiment.entry["family"] == "thresholds"]
    if not methods:
        return []
    picked = [methods[0].scores.sort_values(["dice", "id"], ascending=order)["id"].iloc[0] for order in (False, True)]
    return [_histogram(dataset, methods, id_, side) for id_ in dict.fromkeys(picked)]


def _histogram(dataset: Dataset, methods: list[Experiment], id_: str, side: int) -> dict[str, Any]:
    position = dataset.test_positions[id_]
    lines = [threshold_line(experiment, id_) for experiment in methods]
    words = "; ".join(f"{line.label} {', '.join(map(str, line.thresholds)) or 'none'}" for line in lines)
    figure = histogram_chart(np.asarray(dataset.prepared.histograms[position]), lines)
    truth = dataset.prepared.masks[position]
    return {
        "id": id_,
        "chart": chart(figure, f"{dataset.name}-histogram-{position}", f"Grey levels of {id_}. Thresholds: {words}."),
        "picture": webp_uri(outlined(dataset.prepared.images[position], truth, None, side)),
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


def curves(dataset: Dataset) -> list[dict[str, Any]]:
    """Learning curves of every method that was trained."""
    return [
        {
            "label": experiment.label,
            "experiment": experiment.name,
            "chart": chart(
                learning_chart(experiment.history, {fit["seed"]: fit["best_epoch"] for fit in experiment.fits}),
                f"{dataset.name}-learning-{experiment.name}",
                f"Loss and validation Dice by epoch of {experiment.label}. {_learning_words(experiment)}",
            ),
            "words": _learning_words(experiment),
        }
        for experiment in dataset.experiments
        if experiment.history
    ]


def _learning_words(experiment: Experiment) -> str:
    return " ".join(
        f"Seed {fit['seed']}: best validation Dice {wording.score(fit['best_validation_dice'])} at epoch "
        f"{fit['best_epoch']} of {fit['epochs_run']}."
        for fit in experiment.fits
    )


def data(dataset: Dataset, side: int) -> dict[str, Any]:
    """Where the images come from, what the audit found, how they were split, and what they look like."""
    about = dataset.about
    return {
        "title": about["title"],
        "counts": {key: wording.count(about["counts"].get(key)) for key in ("listed", "used", "dropped")},
        "size": size_words(dataset),
        "split": split_words(about["split"]),
        "synthetic": about["synthetic"],
        "files": about["provenance"].get("files", []),
        "licence": about["licence"],
        "citation": about["citation"],
        "splits": split_table(dataset),
        "audit": audit_summary(dataset.audit),
        "audit_rows": dataset.audit.head(AUDIT_ROWS).to_dict("records"),
        "audit_count": len(dataset.audit),
        "examples": _examples(dataset, side),
    }


def size_words(dataset: Dataset) -> str:
    """Size and channels of the prepared images."""
    _, height, width, channels = dataset.prepared.images.shape
    return f"{width} by {height} pixels, {wording.plural(channels, 'channel')}"


def split_words(split: Any) -> str:
    """The split's name, and its settings behind it."""
    if not isinstance(split, dict):
        return str(split)
    settings = ", ".join(f"{key} {value}" for key, value in split.items() if key != "name")
    return f"{split['name']} ({settings})" if settings else str(split["name"])


def split_table(dataset: Dataset) -> dict[str, Any]:
    """Images by every combination of the strata and by split."""
    index = dataset.prepared.index
    splits = [split for split in ("train", "validation", "test") if (index["split"] == split).any()]
    parts = [(", ".join(map(str, values)), part) for values, part in _by_strata(dataset)]
    return {
        "splits": splits,
        "rows": [
            {"name": name, "cells": [int((part["split"] == split).sum()) for split in splits], "total": len(part)}
            for name, part in [*parts, ("all", index)]
        ],
    }


def _by_strata(dataset: Dataset) -> list[tuple[tuple, pd.DataFrame]]:
    strata = dataset.prepared.strata
    return list(dataset.prepared.index.groupby(strata, sort=True)) if strata else []


def audit_summary(audit: pd.DataFrame) -> list[dict[str, Any]]:
    """How often each finding had each consequence, most frequent first, with a few of the files."""
    groups = [
        {"finding": finding, "consequence": consequence, "count": len(rows), "files": _names(rows["file"].head(3))}
        for (finding, consequence), rows in audit.groupby(["finding", "consequence"])
    ]
    return sorted(groups, key=lambda group: -group["count"])


def _names(files: pd.Series) -> str:
    """Files without their folders, in words."""
    return wording.listed([PurePosixPath(file).name for file in files])


def _examples(dataset: Dataset, side: int) -> list[dict[str, str]]:
    """A training image, its truth outlined, of every combination of the strata."""
    index = dataset.prepared.index
    parts = [part for _, part in _by_strata(dataset)] or [index]
    picked = [part[part["split"] == "train"].head(1) for part in parts]
    rows = pd.concat(picked).head(EXAMPLES)
    images, masks = dataset.prepared.images[rows.index], dataset.prepared.masks[rows.index]
    return [
        {
            "id": row["id"],
            "strata": ", ".join(str(row[stratum]) for stratum in dataset.prepared.strata),
            "picture": webp_uri(outlined(image, mask, None, side)),
        }
        for row, image, mask in zip(rows.to_dict("records"), images, masks, strict=True)
    ]


def costs(dataset: Dataset) -> list[dict[str, Any]]:
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
        for experiment in dataset.experiments
    ]


def cost_notes(dataset: Dataset) -> list[dict[str, str]]:
    """What `cost.json` adds in words, and of which methods it does."""
    notes: dict[str, list[str]] = {}
    for experiment in dataset.experiments:
        if experiment.cost.get("note"):
            notes.setdefault(experiment.cost["note"], []).append(experiment.label)
    return [{"methods": wording.listed(methods), "note": note} for note, methods in notes.items()]


def reproduction(dataset: Dataset) -> dict[str, Any]:
    """The command and the files behind each method's figures, and the environments they were made in."""
    environments: dict[str, str] = {}
    rows = []
    for experiment in dataset.experiments:
        made = [("prediction", experiment.cost.get("manifest"))]
        made += [(f"training, seed {fit['seed']}", fit.get("manifest")) for fit in experiment.fits]
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
