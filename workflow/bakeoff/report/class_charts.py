"""Charts of what classifiers predict: what is taken for what, how sure they are, and curves over every threshold."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from bakeoff.evaluation.bootstrap import wilson
from bakeoff.evaluation.figures import BLUE, FAINT, GREEN, ORANGE, PURPLE, VERMILION, style

# Classes up to which a confusion matrix is roomy, and letters up to which a name is written out.
MOST_NUMBERED = 12
LONGEST_NAME = 28
# Letters that have room below a column.
_LEVEL_NAME = 7
# Fewer images than these in a bin of confidences say next to nothing: their mark is hollow.
FEW = 5
# Of many classes, cells with less than this share of their row's images are shaded and have no number.
LEAST_NUMBERED = 0.05
# Curves of a chart by place, best first: without sky blue, which blue is on a dark page. Black is readable on each.
CURVE_STYLES = ((BLUE, "-"), (VERMILION, "--"), (GREEN, "-."), (PURPLE, (0, (6, 1.5))), (ORANGE, (0, (1.5, 1.5))))
_BADGE_INK = "#000000"


def confusion_chart(counts: np.ndarray, classes: Sequence[str]) -> Figure:
    """Of each true class, the share of its images that went to each predicted one: a row sums to 100 %.

    Parameters
    ----------
    counts
        Images by true class (rows) and predicted class (columns), (classes, classes).
    classes
        Their names. Above `MOST_NUMBERED` of them cells are small, those taken for each other stand together, and
        shares below `LEAST_NUMBERED` are shade alone.
    """
    roomy = len(classes) <= MOST_NUMBERED
    pitch, letters, figures = (0.62, 10.0, 10.0) if roomy else (0.21, 7.5, 6.0)
    order = list(range(len(classes))) if roomy else confused_order(counts).tolist()
    shares = row_shares(counts)[np.ix_(order, order)]
    side = 1.5 + pitch * len(classes)
    with style():
        figure = Figure(figsize=(side, side), layout="constrained")
        axes = figure.subplots()
        for row, column in np.ndindex(shares.shape):
            share = shares[row, column]
            if share == 0:
                if roomy and shares[row].any():  # a class without test images has an empty row
                    axes.text(column, row, "0", ha="center", va="center_baseline", fontsize=figures)
                continue
            # Never so dark that the number in it could not be read, on a light page or a dark one.
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fc=BLUE, alpha=0.1 + 0.5 * share, lw=0))
            if roomy or share >= LEAST_NUMBERED:
                axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center_baseline", fontsize=figures)
        names = [shortened(classes[place]) for place in order]
        level = roomy and max(map(len, names)) <= _LEVEL_NAME
        axes.set_xticks(range(len(classes)), names, rotation=0 if level else 90, fontsize=letters, parse_math=False)
        axes.set_yticks(range(len(classes)), names, fontsize=letters, parse_math=False)
        axes.set_xticks(np.arange(len(classes) + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(len(classes) + 1) - 0.5, minor=True)
        axes.grid(which="minor", lw=0.5)
        axes.tick_params(which="both", length=0)
        axes.set(xlim=(-0.5, len(classes) - 0.5), ylim=(len(classes) - 0.5, -0.5), aspect="equal")
        axes.set_xlabel("predicted class (%)")
        axes.set_ylabel("true class")
    return figure


def row_shares(counts: np.ndarray) -> np.ndarray:
    """Counts as shares of their row's sum, float64; a row without counts stays 0."""
    of_class = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, of_class, out=np.zeros(counts.shape), where=of_class > 0)


def confused_order(counts: np.ndarray) -> np.ndarray:
    """An order of classes in which those that are taken for each other are neighbours.

    Parameters
    ----------
    counts
        Images by true and predicted class, (classes, classes), two classes or more.

    Returns
    -------
    ndarray
        int, (classes,): a permutation. Classes are clustered (average linkage) at a distance of 1 less the mean of the
        two shares that go from one to the other, and the leaves ordered optimally.

    References
    ----------
    Bar-Joseph, Gifford & Jaakkola (2001), "Fast optimal leaf ordering for hierarchical clustering", Bioinformatics 17.
    """
    shares = row_shares(counts)
    distance = 1 - (shares + shares.T) / 2
    np.fill_diagonal(distance, 0)
    return leaves_list(linkage(squareform(distance), method="average", optimal_ordering=True))


def shortened(name: str) -> str:
    """A name of at most `LONGEST_NAME` letters."""
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def reliability_chart(before: pd.DataFrame, after: pd.DataFrame, seeds: int = 1) -> Figure:
    """How often a method is right by how sure it is, as predicted and scaled; below it, how many images that sure.

    A mark a bin, with Wilson's 95 % interval; those of fewer than `FEW` images are hollow.

    Parameters
    ----------
    before, after
        What `bakeoff.evaluation.classification.reliability` returns of the two.
    seeds
        How often each image is among them: that many answers count as one image in the intervals.
    """
    with style():
        figure = Figure(figsize=(3.6, 4.3), layout="constrained")
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        top.plot([0, 100], [0, 100], color=FAINT, lw=1.5)
        _reliability(top, bottom, before, seeds, "as predicted", VERMILION, "o", shift=0.0)
        _reliability(top, bottom, after, seeds, "scaled", BLUE, "s", shift=0.5)
        top.set(xlim=(0, 100), ylim=(-2, 102), ylabel="right (%)")
        top.grid()
        bottom.set_ylabel("images (%)")
        bottom.set_xlabel("probability of the predicted class (%)")
        bottom.grid(axis="y")
        figure.legend(*top.get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=9)
    return figure


def _reliability(
    top: Axes, bottom: Axes, bins: pd.DataFrame, seeds: int, label: str, colour: str, mark: str, *, shift: float
) -> None:
    width = 100 * (bins["high"] - bins["low"])
    few = bins["images"] < FEW * seeds
    for rows, face in ((bins[~few], colour), (bins[few], "none")):
        top.plot(100 * rows["confidence"], 100 * rows["accuracy"], mark, mfc=face, color=colour, ms=5.5)
    top.plot([], [], mark, color=colour, ms=5.5, label=label)
    for share, images, x in zip(bins["accuracy"], bins["images"] / seeds, 100 * bins["confidence"], strict=True):
        _, low, high = wilson(float(share), float(images))
        top.vlines(x, 100 * low, 100 * high, color=colour, lw=1, alpha=0.55)
    left = 100 * bins["low"] + shift * width
    bottom.bar(left, 100 * bins["images"] / bins["images"].sum(), width / 2, align="edge", color=colour)


@dataclass(frozen=True)
class Curve:
    """One method's curve: its number on the line, its name and figure in the key, and x and y, 0 to 1, (places,)."""

    number: int
    label: str
    x: np.ndarray
    y: np.ndarray


def curve_chart(
    curves: Sequence[Curve], x_label: str, y_label: str, *, top: float = 1.0, guess: bool = False
) -> Figure:
    """Curves of several methods, each with its number on the line.

    Parameters
    ----------
    curves
        One to five, best first.
    x_label, y_label
        Both axes are in percent.
    top
        Where the y axis ends, 0 to 1.
    guess
        Whether to draw the diagonal, along which a guess lies.
    """
    with style():
        figure = Figure(figsize=(4.0, 3.7 + 0.19 * len(curves)), layout="constrained")
        axes = figure.subplots()
        if guess:
            axes.plot([0, 100], [0, 100], color=FAINT, lw=1.5)
        for place, curve in enumerate(curves):
            colour, dash = CURVE_STYLES[place]
            axes.plot(
                100 * curve.x, 100 * curve.y, color=colour, ls=dash, lw=1.8, label=f"{curve.number} {curve.label}"
            )
        for place, curve in enumerate(curves):
            at = _badge_place(curve, top, (place + 1) / (len(curves) + 1))
            box = {"boxstyle": "circle,pad=0.15", "fc": CURVE_STYLES[place][0], "ec": "none"}
            axes.text(
                *at, str(curve.number), bbox=box, color=_BADGE_INK, fontsize=8, weight="bold", ha="center", va="center"
            )
        axes.set(xlim=(-1, 101), ylim=(-1 * top, 102 * top), xlabel=x_label, ylabel=y_label)
        axes.grid()
        figure.legend(loc="outside lower left", fontsize=8.5, handlelength=2.6)
    return figure


def _badge_place(curve: Curve, top: float, share: float) -> tuple[float, float]:
    """Where the drawn part of a curve has run through a share of its length, in percent."""
    x, y = 100 * curve.x, 100 * np.minimum(curve.y, top)
    steps = np.hypot(np.diff(x), np.diff(y) / top)
    run = np.concatenate([[0], np.cumsum(steps)])
    at = share * run[-1]
    return float(np.interp(at, run, x)), float(np.interp(at, run, y))
