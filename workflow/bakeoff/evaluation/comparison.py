"""The comparison of one task's methods: the ranked table, every pair, and the figure."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bakeoff.artefacts.mask_score import mask_score
from bakeoff.evaluation.areas import compare_areas, measure_areas
from bakeoff.evaluation.bootstrap import BOUNDS, Interval, mean_interval
from bakeoff.evaluation.classification import accuracy_interval
from bakeoff.evaluation.figures import BLUE, GREEN, INK, ORANGE, PURPLE, VERMILION, style
from bakeoff.evaluation.paired import (
    Paired,
    compare_paired,
    holm,
    holm_factors,
    verdict,
)
from bakeoff.evaluation.ranking import rank_ranges
from bakeoff.evaluation.scores import TWO_CLASSES, seed_scores


@dataclass(frozen=True)
class Kind:
    """What the methods of one kind of task are compared by.

    Attributes
    ----------
    headline
        The score that ranks them, from 0 to 1, higher is better.
    column
        Its column of `scores.csv`; the headline is the mean over images.
    title, meaning
        The headline in words, and what it says.
    others
        Further scores, shown beside it: columns of `scores.csv`, whose mean over images is taken, or figures of
        `metrics.json` that belong to all images together and are no such mean. A data set has not all of them.
    strata
        Columns of `scores.csv` that the headline is always broken down by, beside the data set's own.
    """

    headline: str
    column: str
    title: str
    meaning: str
    others: tuple[str, ...]
    strata: tuple[str, ...]

    @property
    def heading(self) -> str:
        """The title as a heading has it: "Mean Dice", "Accuracy"."""
        return self.title[:1].upper() + self.title[1:]

    @property
    def mean(self) -> str:
        """The mean over images in words: "mean Dice", also of a score that is a mean over classes."""
        return self.title if self.title.startswith("mean ") else f"mean {self.title}"

    @property
    def binary(self) -> bool:
        """Whether an image is right or wrong, rather than scored by degree."""
        return self.headline == "accuracy"

    def interval(self, by_seed: np.ndarray, groups: np.ndarray, resamples: int) -> Interval:
        """The headline of some images and its interval; scores (images, seeds), groups (images,)."""
        if self.binary:
            return accuracy_interval(by_seed, groups)
        return mean_interval(by_seed, resamples=resamples, groups=groups, bounds=BOUNDS[self.column])


KINDS = {
    "segmentation": Kind(
        headline="dice",
        column="dice",
        title="Dice",
        meaning="1 = the masks are equal, 0 = they do not overlap",
        others=(
            "iou",
            "boundary_iou",
            "mean_iou",
            "iou_border_as_foreground",
            "iou_border_ignored",
            "precision",
            "recall",
            "pixel_accuracy",
            *("object_f1", "object_ap", "object_pq", "count_error", "count_off"),
            "hd95",
            "assd",
            "dataset_iou",
            "dataset_mean_iou",
            "dataset_iou_border_as_foreground",
        ),
        strata=(),
    ),
    "classification": Kind(
        headline="accuracy",
        column="correct",
        title="accuracy",
        meaning="share of the images whose class is right",
        others=(
            "balanced_accuracy",
            "macro_f1",
            "log_loss",
            "ece",
            "roc_auc",
            "average_precision",
            "aurc",
            "ece_scaled",
        ),
        strata=("label",),
    ),
}
OF_OBJECTS = "1 = every object is found and none is false, 0 = none is found"
SEGMENTATION, CLASSIFICATION = KINDS["segmentation"], KINDS["classification"]


def kind_of(task: Mapping[str, Any], about: Mapping[str, Any] | None) -> Kind:
    """What the methods of a task are compared by.

    Parameters
    ----------
    task
        The configuration's entry: `kind` and `score`.
    about
        `dataset.json` of its data set; None leaves out of the title how many classes there are.
    """
    if task["kind"] != "segmentation":
        return KINDS[str(task["kind"])]
    setting = task.get("score")
    if about is None:
        score = mask_score(setting if isinstance(setting, str) else None, TWO_CLASSES, 0)
    else:
        score = mask_score(setting, about["classes"], about.get("background", 0))
    return replace(
        SEGMENTATION,
        headline=score.measure,
        column=score.measure,
        title=score.title,
        meaning=OF_OBJECTS if score.measure == "object_f1" else SEGMENTATION.meaning,
        others=tuple(name for name in (SEGMENTATION.headline, *SEGMENTATION.others) if name != score.measure),
    )


PAIR_COLUMNS = (
    *("first", "second", "images", "difference", "low", "high"),
    *("test", "p_value", "p_holm", "effect", "verdict", "images_to_decide"),
)
# Of a classification: the first's area under the ROC curve less the second's, and p-values of their own family.
AREA_COLUMNS = ("auc_difference", "auc_low", "auc_high", "auc_p_value", "auc_p_holm")
COSTS = ("parameters", "training_seconds", "predict_images_per_second", "peak_memory_mib")

FEATURES = {"grey": "grey pixels", "rgb": "colour pixels", "hog": "HOG"}
# What may tell two experiments of one label apart, in this order: a key of the entry or of its settings, and words for
# its values; a value without words is shown as it is.
DISTINCTIONS: tuple[tuple[str, Mapping[Any, str]], ...] = (
    ("images", {None: "the image itself"}),
    ("norm", {"batch": "batch norm", "none": "no norm"}),
    ("scaling", {"imagenet": "right scaling", "published": "published scaling"}),
    ("head", {"class": "class alone", "both": "class and mask"}),
    ("side", {}),
    ("weights", {"none": "from scratch"}),
    ("recipe", {}),
)
# Colour and marker of a family; either alone identifies it.
FAMILY_MARKS = {
    "thresholds": (VERMILION, "s"),
    "classical": (PURPLE, "v"),
    "networks": (BLUE, "o"),
    "pretrained": (GREEN, "D"),
    "derived": (ORANGE, "P"),
}
OTHER_MARK = (INK, "^")
# What the figure calls a family whose name is not clear enough.
FAMILY_WORDS = {
    "pretrained": "networks, published encoder",
    "derived": "networks, derived pictures",
}
# Methods that give the same result from every seed.
_WITHOUT_SEED = ("majority", "svm", "logistic-regression")


def method(experiment: Mapping[str, Any]) -> str:
    """What an experiment of the configuration runs: its thresholding method, its classical method or its model."""
    return str(experiment.get("method") or experiment["model"])


def varies_by_seed(experiment: Mapping[str, Any]) -> bool:
    """Whether another seed would give another result; of a row of the comparison, or of an entry of the
    configuration."""
    return experiment["family"] != "thresholds" and experiment.get("method") not in _WITHOUT_SEED


def label(experiment: Mapping[str, Any]) -> str:
    """What a reader calls an experiment, for example "U-Net", "SVM, grey pixels" or "Otsu, bright class"."""
    parts = [str(experiment["facts"]["name"])]
    if experiment.get("features") in FEATURES:
        parts.append(FEATURES[experiment["features"]])
    if experiment.get("classes"):
        parts.append(f"{experiment['classes']} classes")
    foreground = str(experiment.get("foreground", "train"))
    if foreground != "train":  # chosen on the training images is what a reader expects
        parts.append(
            {"dark": "dark class", "bright": "bright class", "oracle": "oracle"}.get(foreground, f"class {foreground}")
        )
    return ", ".join(parts)


def labels(experiments: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """A label an experiment; those that share one are told apart by what differs among them, or else by their names."""
    plain = {name: label(experiment) for name, experiment in experiments.items()}
    told: dict[str, str] = {}
    for text in dict.fromkeys(plain.values()):
        told |= _told_apart(text, {name: experiments[name] for name, each in plain.items() if each == text})
    return {name: told[name] for name in experiments}


def _told_apart(text: str, experiments: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Labels of experiments that share one: as few distinctions as tell all of them apart."""
    found = dict.fromkeys(experiments, text)
    for key, words in DISTINCTIONS:
        if len(set(found.values())) == len(found):
            break
        values = {name: _distinction(key, each) for name, each in experiments.items()}
        if len({str(value) for value in values.values()}) > 1:
            found = {name: f"{found[name]}, {words.get(value, value)}" for name, value in values.items()}
    every = list(found.values())
    return {name: f"{each} ({name})" if every.count(each) > 1 else each for name, each in found.items()}


def _distinction(key: str, experiment: Mapping[str, Any]) -> Any:
    value = experiment.get("settings", {}).get(key, experiment.get(key))
    if key != "images" or value is None:
        return value
    if value == experiment["dataset"]:
        return None
    # A derived data set is named after its source: "ultrasound-predicted-overlay" is made from "ultrasound".
    return str(value).removeprefix(f"{experiment['dataset']}-").replace("-", " ").replace("in sample", "in-sample")


def score_command(experiment: Mapping[str, Any]) -> str:
    """The command that makes an experiment's scores again, with everything before it that has changed."""
    return f"dvc repro evaluate@{experiment['task']}"


def is_oracle(experiment: Mapping[str, Any]) -> bool:
    """Whether it uses the truth of the test images: an upper bound, not a method."""
    return experiment.get("foreground") == "oracle" or bool(experiment.get("oracle"))


def image_means(scores: pd.DataFrame, score: str) -> pd.Series:
    """A score by image, averaged over seeds.

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
    kind: Kind,
    experiments: Mapping[str, Mapping[str, Any]],
    scores: Mapping[str, pd.DataFrame],
    metrics: Mapping[str, Mapping[str, Any]],
    costs: Mapping[str, Mapping[str, Any]],
    strata: Sequence[str],
    groups: pd.Series,
    *,
    resamples: int,
    margin: float,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rank experiments by their headline score, and compare every two of them.

    Parameters
    ----------
    kind
        Of the task.
    experiments
        By name, as in the configuration, with their `family`.
    scores, metrics, costs
        By the same names: `scores.csv`, of the same images in all, `metrics.json` and `cost.json`.
    strata
        Label columns of `scores.csv` whose values get a headline score of their own.
    groups
        Group of every image, by id; images of a group are resampled together.
    resamples
        Bootstrap resamples an interval.
    margin
        The difference in the headline below which two methods are equal in practice.

    Returns
    -------
    table
        One row an experiment, best first: the columns of `comparison.csv`. `rank_low` and `rank_high` are
        the ranks that the comparisons do not rule out; an oracle has none. `HEADLINE_behind_*` is the best method's
        headline score less this one's, paired by image; an oracle is never the best method.
    pairs
        One row every two experiments, the higher in the table first: `PAIR_COLUMNS`. The family of Holm's correction is
        the pairs of two methods. A pair with an oracle is outside it: its `p_holm` is NaN, and its verdict rests on the
        p-value as it is.
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
            **_score_columns(kind, scores[name], metrics[name], strata, groups, resamples),
            **{cost: costs[name].get(cost) for cost in COSTS},
            "weights": experiments[name].get("weights"),
            # Weights that cannot be downloaded are replaced.
            "weights_origin": costs[name].get("weights"),
        }
        for name in experiments
    ]
    table = pd.DataFrame(rows).sort_values(
        [f"{kind.headline}_mean", "experiment"], ascending=[False, True], ignore_index=True
    )
    best_first = table["experiment"].tolist()
    methods = [name for name in best_first if not is_oracle(experiments[name])]
    paired = _every_two(kind, best_first, scores, groups, resamples)
    pairs = _pair_table(paired, methods, margin)
    ranks = _rank_columns(methods, pairs).reindex(best_first).reset_index(drop=True)
    behind = _distance_to_best(kind, (methods or best_first)[0], best_first, paired)

    scores_begin, costs_begin = (table.columns.get_loc(name) for name in (f"{kind.headline}_mean", "parameters"))
    parts = [table.iloc[:, :scores_begin], ranks, table.iloc[:, scores_begin:costs_begin], behind]
    return pd.concat([*parts, table.iloc[:, costs_begin:]], axis=1), pairs


def _score_columns(
    kind: Kind,
    scores: pd.DataFrame,
    metrics: Mapping[str, Any],
    strata: Sequence[str],
    groups: pd.Series,
    resamples: int,
) -> dict[str, float | None]:
    columns = _headline_columns(kind, kind.headline, scores, groups, resamples)
    for score in kind.others:
        if score in scores:
            by_seed = seed_scores(scores, score)
            group = groups.loc[by_seed.index].to_numpy()
            interval = mean_interval(by_seed.to_numpy(), resamples=resamples, groups=group, bounds=BOUNDS[score])
            columns |= _columns(score, interval)
        elif score in metrics:
            columns |= {f"{score}_{end}": metrics[score][end] for end in Interval._fields}
    for stratum in dict.fromkeys([*strata, *kind.strata]):
        for value, part in scores.groupby(stratum):
            columns |= _headline_columns(kind, f"{kind.headline}_{value}", part, groups, resamples)
    return columns


def _headline_columns(
    kind: Kind, name: str, scores: pd.DataFrame, groups: pd.Series, resamples: int
) -> dict[str, float | None]:
    by_seed = seed_scores(scores, kind.column)
    return _columns(name, kind.interval(by_seed.to_numpy(), groups.loc[by_seed.index].to_numpy(), resamples))


def _columns(name: str, interval: Interval) -> dict[str, float | None]:
    return {f"{name}_{end}": value for end, value in interval._asdict().items()}


def _every_two(
    kind: Kind, names: Sequence[str], scores: Mapping[str, pd.DataFrame], groups: pd.Series, resamples: int
) -> dict[tuple[str, str], Paired]:
    """Every two experiments compared on the same images, the earlier one first."""
    by_seed = {name: seed_scores(scores[name], kind.column) for name in names}
    ids = by_seed[names[0]].index
    values = {name: each.loc[ids].to_numpy() for name, each in by_seed.items()}
    group = groups.loc[ids].to_numpy()
    return {
        (first, second): compare_paired(
            values[first], values[second], groups=group, binary=kind.binary, resamples=resamples
        )
        for first, second in combinations(names, 2)
    }


def _pair_table(paired: Mapping[tuple[str, str], Paired], methods: Sequence[str], margin: float) -> pd.DataFrame:
    family = {pair: each.p_value for pair, each in paired.items() if set(pair) <= set(methods)}
    p_values = np.array(list(family.values()))
    corrected = dict(
        zip(family, zip(holm(p_values).tolist(), holm_factors(p_values).tolist(), strict=True), strict=True)
    )
    rows = []
    for pair, each in paired.items():
        p_holm, tests = corrected.get(pair, (None, 1))
        found = verdict(each, margin=margin, p_holm=p_holm, tests=tests)
        known = {name: getattr(each, name) for name in PAIR_COLUMNS if hasattr(each, name)}
        rows.append({"first": pair[0], "second": pair[1], **known, "p_holm": p_holm})
        rows[-1] |= {"verdict": found.verdict, "images_to_decide": found.images_to_decide}
    return pd.DataFrame(rows, columns=list(PAIR_COLUMNS)).astype({"p_holm": float, "images_to_decide": "Int64"})


def with_areas(
    pairs: pd.DataFrame, truth: np.ndarray, probabilities: Mapping[str, np.ndarray], groups: np.ndarray
) -> pd.DataFrame:
    """The pairs of a classification, with `AREA_COLUMNS`, which are empty where no area has an interval.

    Holm's family is that of the pairs: those whose `p_holm` is known.

    Parameters
    ----------
    pairs
        As `compare_scores` returns them.
    truth
        Indices of the true classes, (images,).
    probabilities
        By experiment, (seeds, images, classes).
    groups
        (images,). Images of one group are not independent.
    """
    try:
        measured = {name: measure_areas(truth, each, groups) for name, each in probabilities.items()}
    except ValueError:  # too few groups of every class
        measured = {}
    rows: list[tuple[float, ...]] = []
    for first, second in pairs[["first", "second"]].itertuples(index=False):
        if measured:
            found = compare_areas(measured[first], measured[second])
            rows.append((*found.difference, found.p_value))
        else:
            rows.append((np.nan,) * 4)
    areas = pd.DataFrame(rows, columns=list(AREA_COLUMNS[:4]), index=pairs.index)
    known = areas["auc_p_value"].notna() & pairs["p_holm"].notna()
    areas["auc_p_holm"] = np.nan
    areas.loc[known, "auc_p_holm"] = holm(areas.loc[known, "auc_p_value"].to_numpy())
    return pd.concat([pairs, areas], axis=1)


def _rank_columns(methods: Sequence[str], pairs: pd.DataFrame) -> pd.DataFrame:
    """`rank_low` and `rank_high` of every method, by name."""
    place = {name: row for row, name in enumerate(methods)}
    better = np.zeros((len(methods), len(methods)), bool)
    for first, second, found in pairs[["first", "second", "verdict"]].itertuples(index=False):
        if found in ("better", "worse") and first in place and second in place:
            winner, loser = (first, second) if found == "better" else (second, first)
            better[place[winner], place[loser]] = True
    low, high = rank_ranges(better)
    return pd.DataFrame({"rank_low": low, "rank_high": high}, index=list(methods)).astype("Int64")


def _distance_to_best(
    kind: Kind, best: str, names: Sequence[str], paired: Mapping[tuple[str, str], Paired]
) -> pd.DataFrame:
    """How far every experiment is behind the best method; less than 0 of an oracle that is above it."""
    rows = []
    for name in names:
        if (best, name) in paired:
            each = paired[best, name]
            interval = Interval(each.difference, each.low, each.high)
        elif (name, best) in paired:
            each = paired[name, best]
            interval = Interval(-each.difference, -each.high, -each.low)
        else:
            interval = Interval(0.0, 0.0, 0.0)
        rows.append(_columns(f"{kind.headline}_behind", interval))
    return pd.DataFrame(rows)


def draw(kind: Kind, table: pd.DataFrame, title: str) -> Figure:
    """The headline score and its interval, a line an experiment, best on top.

    Parameters
    ----------
    kind
        Of the task.
    table
        What `compare_scores` returns.
    title
        What the data set is called.
    """
    mean, low, high = (table[f"{kind.headline}_{end}"] for end in Interval._fields)
    bounds = table["rank_low"].isna() & ~table["label"].str.contains("oracle")
    named = table["label"] + bounds.map({True: " (oracle)", False: ""})
    with style():
        # Inches; some thirty characters of a name leave the axes half of the narrowest.
        width = max(5.2, 2.8 + 0.072 * named.str.len().max())
        figure = Figure(figsize=(width, 1.7 + 0.26 * len(table)), layout="constrained")
        axes = figure.add_subplot()
        rows = np.arange(len(table), dtype=float)
        for family in dict.fromkeys(table["family"]):
            colour, marker = FAMILY_MARKS.get(family, OTHER_MARK)
            mine = (table["family"] == family).to_numpy()
            axes.errorbar(
                mean[mine],
                rows[mine],
                xerr=[(mean - low)[mine], (high - mean)[mine]],
                fmt=marker,
                color=colour,
                ms=4.5,
                lw=1.5,
                capsize=3.5,
                label=FAMILY_WORDS.get(family, family),
            )
        right = axes.get_yaxis_transform()  # x in shares of the axes, y in rows
        for row, value in enumerate(mean):
            axes.text(1.03, row, f"{value:.3f}", transform=right, va="center", ha="left")
        axes.set_yticks(rows, named)
        axes.set_ylim(len(table) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
        # Ends where the axes do, and begins below the methods' names where those leave the axes little room. A label of
        # the figure would lie on the legend.
        axes.set_xlabel(f"{kind.title} ({kind.meaning})", fontsize=9, loc="right")
        heading = textwrap.fill(f"{title}: {kind.mean} and 95 % interval", 60)
        figure.suptitle(f"{heading}\n{_how_many(table)}", x=0.01, ha="left", fontsize=10)
        if len(set(table["family"])) > 1:
            figure.legend(loc="outside lower center", ncols=2, handletextpad=0.3)
    return figure


def _how_many(table: pd.DataFrame) -> str:
    images, seeds = int(table["images"].max()), int(table["seeds"].max())
    return f"n = {images} test images" + (f", up to {seeds} seeds averaged" if seeds > 1 else "")
