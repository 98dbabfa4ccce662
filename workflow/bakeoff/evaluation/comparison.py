"""One data set's methods side by side: the table, ranked, and its figure. Scores go in, nothing else."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bakeoff.evaluation.bootstrap import mean_interval
from bakeoff.evaluation.figures import BLUE, GREEN, INK, VERMILION, style

SCORES = ("dice", "iou", "precision", "recall", "pixel_accuracy", "hd95", "assd")
COSTS = ("parameters", "training_seconds", "predict_images_per_second", "peak_memory_mib")

# How the field writes the names that the book spells in lower case; a name that is missing here is shown as it is.
PROPER_NAMES = {
    "otsu": "Otsu",
    "isodata": "Isodata",
    "li": "Li",
    "mean": "Mean threshold",
    "minimum": "Minimum threshold",
    "triangle": "Triangle threshold",
    "yen": "Yen",
    "multiotsu": "Multi-Otsu",
    "unet": "U-Net",
    "deeplabv3plus": "DeepLabV3+",
}
# Colour and marker of a family: either alone tells them apart.
FAMILY_MARKS = {"thresholds": (VERMILION, "s"), "networks": (BLUE, "o"), "pretrained": (GREEN, "D")}
OTHER_MARK = (INK, "^")


def method(experiment: Mapping[str, Any]) -> str:
    """What an experiment of the book runs: its thresholding method or its model."""
    return str(experiment.get("method") or experiment["model"])


def label(experiment: Mapping[str, Any]) -> str:
    """What a reader calls an experiment, for example "U-Net", "Multi-Otsu, 3 classes" or "Otsu, bright class"."""
    parts = [PROPER_NAMES.get(method(experiment), method(experiment))]
    if experiment.get("classes"):
        parts.append(f"{experiment['classes']} classes")
    foreground = str(experiment.get("foreground", "train"))
    if foreground != "train":  # chosen on the training images is what a reader expects
        parts.append(
            {"dark": "dark class", "bright": "bright class", "oracle": "oracle"}.get(foreground, f"class {foreground}")
        )
    return ", ".join(parts)


def labels(experiments: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """A label an experiment; those that two share are told apart by the experiment's name."""
    plain = {name: label(experiment) for name, experiment in experiments.items()}
    shared = {text for text in plain.values() if list(plain.values()).count(text) > 1}
    return {name: f"{text} ({name})" if text in shared else text for name, text in plain.items()}


def is_oracle(experiment: Mapping[str, Any]) -> bool:
    """Whether it chooses with the truth of the test images in hand: a bound on a method, and no method."""
    return experiment.get("foreground") == "oracle"


def image_means(scores: pd.DataFrame, score: str) -> pd.Series:
    """A score by image, averaged over seeds: seeds of one image are no independent evidence.

    Parameters
    ----------
    scores
        `scores.csv` of an experiment.
    score
        One of its columns.

    Returns
    -------
    Series
        float64, by id, in the order of first appearance.
    """
    return scores.groupby("id", sort=False)[score].mean()


def compare_scores(
    experiments: Mapping[str, Mapping[str, Any]],
    scores: Mapping[str, pd.DataFrame],
    costs: Mapping[str, Mapping[str, Any]],
    strata: list[str],
    groups: pd.Series,
    *,
    resamples: int,
) -> pd.DataFrame:
    """Rank experiments by their mean Dice.

    Parameters
    ----------
    experiments
        By name, as in the book, with their `family`.
    scores, costs
        By the same names: `scores.csv`, of the same images in all, and `cost.json`.
    strata
        Label columns of `scores.csv` whose values get a Dice of their own.
    groups
        Group of every image, by id; images of a group are resampled together.
    resamples
        Bootstrap resamples an interval.

    Returns
    -------
    DataFrame
        One row an experiment, best first: the columns of `results/comparison/DATASET.csv`. `dice_behind_*` is the
        best method's Dice less this one's, image by image on the same images, which is far sharper than comparing two
        intervals; an oracle is never the best method.
    """
    names = labels(experiments)
    rows = [
        {
            "experiment": name,
            "family": experiments[name]["family"],
            "method": method(experiments[name]),
            "label": names[name],
            "images": scores[name]["id"].nunique(),
            "seeds": scores[name]["seed"].nunique(),
            **_score_columns(scores[name], strata, groups, resamples),
            **{cost: costs[name].get(cost) for cost in COSTS},
            "weights": experiments[name].get("weights"),
        }
        for name in experiments
    ]
    table = pd.DataFrame(rows).sort_values(["dice_mean", "experiment"], ascending=[False, True], ignore_index=True)
    return _with_distance_to_best(table, experiments, scores, groups, resamples)


def _score_columns(scores: pd.DataFrame, strata: list[str], groups: pd.Series, resamples: int) -> dict[str, float]:
    columns: dict[str, float] = {}
    for score in SCORES:
        columns |= _interval_columns(score, image_means(scores, score), groups, resamples)
    for stratum in strata:
        for value, part in scores.groupby(stratum):
            columns |= _interval_columns(f"dice_{value}", image_means(part, "dice"), groups, resamples)
    return columns


def _interval_columns(name: str, by_image: pd.Series, groups: pd.Series, resamples: int) -> dict[str, float]:
    interval = mean_interval(by_image.to_numpy(), resamples=resamples, groups=groups.loc[by_image.index].to_numpy())
    return {f"{name}_{end}": value for end, value in interval._asdict().items()}


def _with_distance_to_best(
    table: pd.DataFrame,
    experiments: Mapping[str, Mapping[str, Any]],
    scores: Mapping[str, pd.DataFrame],
    groups: pd.Series,
    resamples: int,
) -> pd.DataFrame:
    contenders = [name for name in table["experiment"] if not is_oracle(experiments[name])] or [table["experiment"][0]]
    best = image_means(scores[contenders[0]], "dice")
    behind = [
        _interval_columns("dice_behind", best - image_means(scores[name], "dice")[best.index], groups, resamples)
        for name in table["experiment"]
    ]
    costs_begin = table.columns.get_loc("parameters")
    return pd.concat([table.iloc[:, :costs_begin], pd.DataFrame(behind), table.iloc[:, costs_begin:]], axis=1)


def draw(table: pd.DataFrame, title: str) -> Figure:
    """Mean Dice and its interval, a line an experiment, best on top.

    Parameters
    ----------
    table
        What `compare_scores` returns.
    title
        What the data set is called.
    """
    with style():
        figure = Figure(figsize=(5.2, 1.5 + 0.26 * len(table)), layout="constrained")
        axes = figure.add_subplot()
        rows = np.arange(len(table), dtype=float)
        for family in dict.fromkeys(table["family"]):
            colour, marker = FAMILY_MARKS.get(family, OTHER_MARK)
            mine = (table["family"] == family).to_numpy()
            part = table[mine]
            reach = [part["dice_mean"] - part["dice_low"], part["dice_high"] - part["dice_mean"]]
            axes.errorbar(
                part["dice_mean"],
                rows[mine],
                xerr=reach,
                fmt=marker,
                color=colour,
                ms=4.5,
                lw=1.5,
                capsize=3.5,
                label=family,
            )
        right = axes.get_yaxis_transform()  # x in shares of the axes, y in rows
        for row, mean in enumerate(table["dice_mean"]):
            axes.text(1.03, row, f"{mean:.3f}", transform=right, va="center", ha="left")
        axes.set_yticks(rows, table["label"])
        axes.set_ylim(len(table) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
        axes.set_xlabel("Dice (1 = the masks are equal, 0 = they are apart)")
        figure.suptitle(f"{title}: mean Dice and 95 % interval\n{_how_many(table)}", x=0.01, ha="left", fontsize=10)
        if len(set(table["family"])) > 1:
            figure.legend(loc="outside lower center", ncols=3, handletextpad=0.3)
    return figure


def _how_many(table: pd.DataFrame) -> str:
    images, seeds = int(table["images"].max()), int(table["seeds"].max())
    return f"n = {images} test images" + (f", networks averaged over {seeds} seeds" if seeds > 1 else "")
