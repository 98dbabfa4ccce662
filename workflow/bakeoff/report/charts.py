"""The report's charts, as SVG that takes its colours from the page."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bakeoff.evaluation.figures import BLUE, FAINT, INK, ORANGE, PAPER, SKY, VERMILION, style, to_svg

_PAGE_COLOURS = {INK.upper(): "var(--ink)", FAINT.upper(): "var(--line)", PAPER.upper(): "none", BLUE: "var(--blue)"}
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


def learning_chart(history: dict[int, pd.DataFrame], best_epochs: dict[int, int]) -> Figure:
    """Loss and validation Dice by epoch, a line a seed.

    Parameters
    ----------
    history
        By seed: columns `epoch`, `train_loss`, `validation_loss`, `validation_dice`.
    best_epochs
        By seed: the epoch whose weights were kept; marked where it is known.
    """
    with style():
        figure = Figure(figsize=(5.4, 4.6), layout="constrained")
        loss, dice = figure.subplots(2, 1, sharex=True)
        for (seed, epochs), dash in zip(history.items(), _SEED_LINES, strict=False):
            x = epochs["epoch"]
            loss.plot(x, epochs["train_loss"], color=VERMILION, ls=dash, lw=1.6, label=f"training, seed {seed}")
            loss.plot(x, epochs["validation_loss"], color=BLUE, ls=dash, lw=1.6, label=f"validation, seed {seed}")
            dice.plot(x, epochs["validation_dice"], color=BLUE, ls=dash, lw=1.6, label=f"seed {seed}")
            kept = epochs[epochs["epoch"] == best_epochs.get(seed)]
            dice.plot(kept["epoch"], kept["validation_dice"], "o", color=BLUE, ms=6)
        loss.set_ylabel("loss")
        dice.set_ylabel("validation Dice")
        dice.set_xlabel("epoch (a dot: the weights that were kept)")
        dice.xaxis.get_major_locator().set_params(integer=True)
        for axes in (loss, dice):
            axes.grid(axis="y")
            axes.legend(fontsize=8.5, ncols=1 if len(history) < 3 else 2)
    return figure


def chart(figure: Figure, prefix: str, description: str) -> str:
    """A figure as SVG for the page."""
    return inline(to_svg(figure), prefix, description)
