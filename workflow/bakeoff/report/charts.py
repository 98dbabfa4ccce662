"""The report's charts, as SVG that takes its colours from the page."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from textwrap import wrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from bakeoff.evaluation.comparison import FAMILY_MARKS, OTHER_MARK
from bakeoff.evaluation.figures import BLUE, FAINT, INK, ORANGE, PAPER, SKY, VERMILION, style, to_svg
from bakeoff.report.slim import slim

_PAGE_COLOURS = {INK.upper(): "var(--ink)", FAINT.upper(): "var(--line)", PAPER.upper(): "none", BLUE: "var(--blue)"}
# A loss that is so many times the median at some epoch leaves no room for the others on a linear axis.
_STEEP = 8.0
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
    svg = slim(re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL))
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
            of_seed = f", seed {seed}" if len(history) > 1 else ""
            loss.plot(x, epochs["train_loss"], color=VERMILION, ls=dash, lw=1.6, label=f"training{of_seed}")
            loss.plot(x, epochs["validation_loss"], color=BLUE, ls=dash, lw=1.6, label=f"validation{of_seed}")
            score.plot(x, epochs["validation_score"], color=BLUE, ls=dash, lw=1.6, label=f"seed {seed}")
            kept = epochs[epochs["epoch"] == best_epochs.get(seed)]
            score.plot(kept["epoch"], kept["validation_score"], "o", color=BLUE, ms=6)
        losses = pd.concat([epochs[["train_loss", "validation_loss"]] for epochs in history.values()]).to_numpy()
        if np.nanmin(losses) > 0 and np.nanmax(losses) > _STEEP * np.nanmedian(losses):
            loss.set_yscale("log")
            loss.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            loss.yaxis.set_minor_locator(NullLocator())
            loss.yaxis.set_major_formatter("{x:g}")
        loss.set_ylabel("loss, logarithmic" if loss.get_yscale() == "log" else "loss")
        score.set_ylabel("\n".join(wrap(f"validation {chosen_by}", 26)))
        score.set_ylim(top=min(score.get_ylim()[1], 1.02))
        score.set_xlabel("epoch (a dot: the weights that were kept)")
        score.xaxis.get_major_locator().set_params(integer=True)
        for axes in (loss, score)[: 1 if len(history) == 1 else 2]:
            axes.legend(fontsize=8.5, ncols=1 if len(history) < 3 else 2)
        for axes in (loss, score):
            axes.grid(axis="y")
    return figure


def family_colour(family: str) -> str:
    """The colour of a family of methods, as a page has it."""
    return page_colours(FAMILY_MARKS.get(family, OTHER_MARK)[0])


@dataclass(frozen=True)
class CostPoint:
    """A method by what it costs and how good it is: its number in the key, and its score with its interval."""

    number: int
    family: str
    cost: float
    mean: float
    low: float
    high: float


def pareto_chart(points: Sequence[CostPoint], front: np.ndarray, cost: str, score: str) -> Figure:
    """Score by cost on a logarithmic axis, the methods numbered, and the staircase of what so much cost buys at most.

    Parameters
    ----------
    points
        Of any number of methods, their costs above 0.
    front
        Which of them nothing surpasses, bool, (points,).
    cost, score
        What the axes are called, with units.
    """
    with style():
        figure = Figure(figsize=(5.2, 4.0))
        # A fixed layout: where a number is free is known without drawing.
        axes = figure.add_axes((0.13, 0.13, 0.84, 0.84))
        axes.set_xscale("log")
        axes.grid()
        axes.set(xlabel=cost, ylabel=score)
        for point, best in zip(points, front, strict=True):
            colour, marker = FAMILY_MARKS.get(point.family, OTHER_MARK)
            axes.vlines(point.cost, point.low, point.high, color=colour, lw=1, alpha=0.5)
            axes.plot(point.cost, point.mean, marker, color=colour, ms=6.5 if best else 4.5, zorder=3)
        line = sorted((point.cost, point.mean) for point, best in zip(points, front, strict=True) if best)
        axes.step(*zip(*line, strict=True), where="post", color=INK, lw=1.1, ls="--", zorder=2)
        axes.margins(x=0.08, y=0.08)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.autoscale_view()
        least, most = axes.get_xlim()
        # A logarithmic axis of less than a decade may have no power of ten to name.
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if most < 300 * least else (1.0,)))
        axes.xaxis.set_minor_locator(NullLocator())
        _number(axes, points, front)
    return figure


# Where a point's number may stand, in points from it, the first that is free: right, left, above, below, and further.
_AROUND = ((9, 5), (-9, 5), (9, -6), (-9, -6), (0, 10), (0, -11))
_PLACES = [(x * far, y * far) for far in (1, 1.7, 2.4) for x, y in _AROUND]
_NUMBER_SIZE = (11.0, 9.0)


def _number(axes: Axes, points: Sequence[CostPoint], front: np.ndarray) -> None:
    """Write the number of every point beside it, where none stands yet and no other point is."""
    at = axes.transData.transform([(point.cost, point.mean) for point in points]) * 72 / axes.figure.dpi
    taken = [*at]
    for point, here, best in sorted(zip(points, at, front, strict=True), key=lambda each: not each[2]):
        place = next((each for each in _PLACES if _free(here + each, taken)), _PLACES[0])
        taken.append(here + place)
        axes.annotate(
            str(point.number),
            (point.cost, point.mean),
            xytext=place,
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=9,
            fontweight="bold" if best else "normal",
        )


def _free(here: np.ndarray, taken: Sequence[np.ndarray]) -> bool:
    return all((np.abs(here - other) > np.array(_NUMBER_SIZE) * 0.8).any() for other in taken)


def chart(figure: Figure, prefix: str, description: str) -> str:
    """A figure as SVG for the page."""
    return inline(to_svg(figure), prefix, description)
