"""The report's charts, as SVG that takes its colours from the page."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bakeoff.evaluation.figures import BLUE, FAINT, INK, ORANGE, PAPER, SKY, VERMILION, style, to_svg

_PAGE_COLOURS = {INK.upper(): "var(--ink)", FAINT.upper(): "var(--line)", PAPER.upper(): "none", BLUE: "var(--blue)"}
# Classes up to which a confusion matrix has its shares written in, and letters up to which a name is written out.
MOST_NUMBERED = 12
LONGEST_NAME = 28
_SEED_LINES = ("-", "--", ":", "-.", (0, (1, 3)))


def inline(svg: str, prefix: str, description: str) -> str:
    """Make an SVG file part of a page: the page's colours, ids of its own, a description to read aloud.

    Parameters
    ----------
    svg
        A file written by `bakeoff.evaluation.figures.to_svg`.
    prefix
        Put before every id, so that no two figures of a page share one.
    description
        What a reader who cannot see the figure should know.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    head, body = page_colours(svg).split(">", 1)
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    return f'{head} role="img" aria-label="{escape(description)}">{body}'.strip()


def page_colours(text: str) -> str:
    """Text in which colours that would be lost on a dark (or a light) page are the page's own."""
    # matplotlib writes colours in lower case.
    return re.sub("#[0-9a-fA-F]{6}", lambda found: _PAGE_COLOURS.get(found[0].upper(), found[0]), text)


@dataclass(frozen=True)
class ThresholdLine:
    """What one method did to one image: its grey levels, and which band between them (0 the darkest) it took."""

    label: str
    thresholds: tuple[float, ...]
    foreground: int | None


def histogram_chart(counts: np.ndarray, lines: Sequence[ThresholdLine]) -> Figure:
    """An image's grey levels, and below them, a row a method, where its thresholds cut them.

    Parameters
    ----------
    counts
        Pixels by grey level, (256,).
    lines
        A row each, top to bottom.
    """
    with style():
        figure = Figure(figsize=(5.4, 1.9 + 0.25 * len(lines)), layout="constrained")
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[1.4, 0.25 * max(len(lines), 1)])
        top.fill_between(np.arange(256), 100 * counts / counts.sum(), step="mid", color=SKY, lw=0)
        top.set_ylabel("pixels (%)")
        top.set_ylim(bottom=0)
        top.grid(axis="y")
        for row, line in enumerate(lines):
            edges = [0, *line.thresholds, 255]
            bottom.plot([0, 255], [row, row], color=FAINT, lw=1.5, zorder=1)
            if line.foreground is not None and line.thresholds:
                taken = edges[line.foreground : line.foreground + 2]
                bottom.plot(taken, [row] * len(taken), color=ORANGE, lw=7, solid_capstyle="butt", zorder=2)
            bottom.plot(line.thresholds, [row] * len(line.thresholds), "|", color=INK, ms=11, mew=1.8, zorder=3)
        bottom.set_yticks(range(len(lines)), [line.label for line in lines])
        bottom.set_ylim(max(len(lines), 1) - 0.4, -0.6)
        bottom.tick_params(axis="y", length=0)
        bottom.spines["left"].set_visible(False)
        bottom.set_xlim(0, 255)
        bottom.set_xlabel("grey level (0 black, 255 white)")
    return figure


def learning_chart(history: dict[int, pd.DataFrame], best_epochs: dict[int, int], chosen_by: str) -> Figure:
    """Loss and validation score by epoch, a line a seed.

    Parameters
    ----------
    history
        By seed: columns `epoch`, `train_loss`, `validation_loss`, `validation_score`.
    best_epochs
        By seed: the epoch whose weights were kept; marked where it is known.
    chosen_by
        What the validation score is called.
    """
    with style():
        figure = Figure(figsize=(5.4, 4.6), layout="constrained")
        loss, score = figure.subplots(2, 1, sharex=True)
        for (seed, epochs), dash in zip(history.items(), _SEED_LINES, strict=False):
            x = epochs["epoch"]
            loss.plot(x, epochs["train_loss"], color=VERMILION, ls=dash, lw=1.6, label=f"training, seed {seed}")
            loss.plot(x, epochs["validation_loss"], color=BLUE, ls=dash, lw=1.6, label=f"validation, seed {seed}")
            score.plot(x, epochs["validation_score"], color=BLUE, ls=dash, lw=1.6, label=f"seed {seed}")
            kept = epochs[epochs["epoch"] == best_epochs.get(seed)]
            score.plot(kept["epoch"], kept["validation_score"], "o", color=BLUE, ms=6)
        loss.set_ylabel("loss")
        score.set_ylabel(f"validation {chosen_by}")
        score.set_xlabel("epoch (a dot: the weights that were kept)")
        score.xaxis.get_major_locator().set_params(integer=True)
        for axes in (loss, score):
            axes.grid(axis="y")
            axes.legend(fontsize=8.5, ncols=1 if len(history) < 3 else 2)
    return figure


def confusion_chart(counts: np.ndarray, classes: Sequence[str]) -> Figure:
    """Of each true class, the share of its images that went to each predicted one: a row sums to 100 %.

    Parameters
    ----------
    counts
        Images by true class (rows) and predicted class (columns), (classes, classes).
    classes
        Their names. Above `MOST_NUMBERED` of them, shade alone says the share.
    """
    numbered = len(classes) <= MOST_NUMBERED
    pitch, letters = (0.62, 10.0) if numbered else (0.19, 7.0)
    side = 1.5 + pitch * len(classes)
    of_class = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, of_class, out=np.zeros(counts.shape), where=of_class > 0)
    with style():
        figure = Figure(figsize=(side, side), layout="constrained")
        axes = figure.subplots()
        for row, column in zip(*np.nonzero(shares), strict=True):
            share = shares[row, column]
            # Never so dark that the number in it could not be read, on a light page or a dark one.
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fc=BLUE, alpha=0.1 + 0.5 * share, lw=0))
            if numbered:
                axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=letters)
        names = [_shortened(name) for name in classes]
        axes.set_xticks(range(len(classes)), names, rotation=90, fontsize=letters, parse_math=False)
        axes.set_yticks(range(len(classes)), names, fontsize=letters, parse_math=False)
        axes.set_xticks(np.arange(len(classes) + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(len(classes) + 1) - 0.5, minor=True)
        axes.grid(which="minor", lw=0.5)
        axes.tick_params(which="both", length=0)
        axes.set(xlim=(-0.5, len(classes) - 0.5), ylim=(len(classes) - 0.5, -0.5), aspect="equal")
        axes.set_xlabel("predicted")
        axes.set_ylabel("true (each row: 100 %)")
    return figure


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def reliability_chart(bins: pd.DataFrame) -> Figure:
    """How often a method is right by how sure it is; below it, how many images are in each bin.

    Parameters
    ----------
    bins
        What `bakeoff.evaluation.classification.reliability` returns.
    """
    width = bins["high"] - bins["low"]
    with style():
        figure = Figure(figsize=(3.6, 4.0), layout="constrained")
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        top.plot([0, 1], [0, 1], color=FAINT, lw=1.5)
        top.vlines(bins["confidence"], bins["confidence"], bins["accuracy"], color=VERMILION, lw=2)
        top.plot(bins["confidence"], bins["accuracy"], "o-", color=BLUE, ms=4.5, lw=1.2)
        top.set(xlim=(0, 1), ylim=(-0.02, 1.02), ylabel="accuracy")
        top.grid()
        bottom.bar(bins["low"], bins["images"] / bins["images"].sum() * 100, width, align="edge", color=SKY)
        bottom.set_ylabel("images (%)")
        bottom.set_xlabel("probability of the predicted class")
        bottom.grid(axis="y")
    return figure


def chart(figure: Figure, prefix: str, description: str) -> str:
    """A figure as SVG for the page."""
    return inline(to_svg(figure), prefix, description)
