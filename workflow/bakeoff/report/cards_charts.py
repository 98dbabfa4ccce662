"""The data card's charts: how often each label is, how large the images were, how much of them the masks cover."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from bakeoff.evaluation.figures import BLUE, FAINT, INK, VERMILION, style

WIDTH = 4.0  # inches; narrow, so that text is as large on a phone as on a desk
LONGEST_LABEL = 28
# Above so many bars they are set closer, in smaller letters.
CROWDED = 12
SIZE_BINS = 25  # odd, so that images of one size are in the middle of a cell
COVERAGE_BINS = 20
# Images in a cell of the size chart, and how opaque the page's blue is there: lightness alone tells the steps apart.
SHADES = ((1, 0.15), (10, 0.45), (100, 0.75), (1000, 1.0))


def balance_chart(counts: Mapping[str, int]) -> Figure:
    """Images by label value, a bar each, top to bottom in the order given, its count at its end.

    Parameters
    ----------
    counts
        At least one value.
    """
    crowded = len(counts) > CROWDED
    letters, pitch = (8.5, 0.185) if crowded else (10, 0.3)
    rows = np.arange(len(counts))
    with style():
        figure = Figure(figsize=(WIDTH, 0.65 + pitch * len(counts)), layout="constrained")
        axes = figure.subplots()
        bars = axes.barh(rows, list(counts.values()), height=0.72, color=BLUE)
        axes.bar_label(bars, labels=[f"{count:,}" for count in counts.values()], padding=3, fontsize=letters, color=INK)
        # Labels are whatever folders are called: a dollar sign in one is no formula.
        axes.set_yticks(rows, [_shortened(name) for name in counts], fontsize=letters, parse_math=False)
        axes.set_ylim(len(counts) - 0.4, -0.6)
        axes.set_xlim(0, 1.18 * max(1, *counts.values()))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
        axes.set_xlabel("images")
    return figure


def _shortened(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"


def size_chart(heights: np.ndarray, widths: np.ndarray, prepared: tuple[int, int]) -> Figure:
    """Images by width and height on logarithmic axes, in cells that are the darker the more images they hold.

    Parameters
    ----------
    heights, widths
        Original sizes in pixels, (n,), n at least 1.
    prepared
        Height and width, in pixels, of the prepared images: marked with a cross.
    """
    edges, counts = size_cells(heights, widths)
    with style():
        figure = Figure(figsize=(WIDTH, WIDTH), layout="constrained")
        axes = figure.subplots()
        sides = [*prepared, heights.min(), heights.max(), widths.min(), widths.max()]
        limits = 0.8 * min(sides), 1.25 * max(sides)
        axes.plot(limits, limits, color=FAINT, lw=1.2, zorder=1)
        for row, column in zip(*np.nonzero(counts), strict=True):
            axes.add_patch(_cell(edges, int(row), int(column), _opacity(counts[row, column])))
        height, width = prepared
        axes.plot([width], [height], "x", color=VERMILION, ms=9, mew=2.5, zorder=3)
        for axis, set_scale in ((axes.xaxis, axes.set_xscale), (axes.yaxis, axes.set_yscale)):
            set_scale("log")
            axis.set_ticks(pixel_ticks(*limits), labels=[f"{tick:,}" for tick in pixel_ticks(*limits)])
            axis.set_ticks([], minor=True)
        axes.set(xlim=limits, ylim=limits, xlabel="width (pixels)", ylabel="height (pixels)", aspect="equal")
        axes.grid()
        _size_legend(figure, axes, int(counts.max()))
    return figure


def size_cells(heights: np.ndarray, widths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges in pixels, (26,), the same for both axes and spaced by a factor, and images by height and width, (25, 25).

    Where all images are about as large as each other, the cells together still span a factor of 4.
    """
    low, high = float(min(heights.min(), widths.min())), float(max(heights.max(), widths.max()))
    spread = max(1.01, (4 / (high / low)) ** 0.5)
    edges = np.geomspace(low / spread, high * spread, SIZE_BINS + 1)
    counts, _, _ = np.histogram2d(heights, widths, bins=(edges, edges))
    return edges, counts.astype(int)


def pixel_ticks(low: float, high: float) -> list[int]:
    """Round numbers of pixels between two sizes, the finest series of them that has at most six."""
    for steps in (
        (1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8),
        (1, 1.5, 2, 3, 4, 6, 8),
        (1, 2, 4),
        (1, 3),
        (1,),
    ):
        ticks = sorted({int(step * 10**power) for step in steps for power in range(7)})
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) <= 6:
            return inside
    return inside


def _cell(edges: np.ndarray, row: int, column: int, opacity: float) -> Rectangle:
    corner = edges[column], edges[row]
    width, height = edges[column + 1] - edges[column], edges[row + 1] - edges[row]
    return Rectangle(corner, width, height, facecolor=(BLUE, opacity), edgecolor=BLUE, lw=0.6, zorder=2)


def _opacity(images: int) -> float:
    return max(opacity for least, opacity in SHADES if images >= least)


def _size_legend(figure: Figure, axes: Axes, most: int) -> None:
    steps = [(least, opacity) for least, opacity in SHADES if least <= most]
    keys = [Rectangle((0, 0), 1, 1, facecolor=(BLUE, opacity), edgecolor=BLUE, lw=0.6) for _, opacity in steps]
    tops = [f" to {10 * least - 1}" for least, _ in steps[:-1]] + [" or more" if steps[-1][0] > 1 else " to 9"]
    names = [f"{least:,}{top}" for (least, _), top in zip(steps, tops, strict=True)]
    cross = axes.plot([], [], "x", color=VERMILION, ms=8, mew=2.5)
    figure.legend(
        [*keys, *cross],
        [*names, "as prepared"],
        title="images of about that size",
        loc="outside lower center",
        ncols=2 if len(keys) < 4 else 3,
        fontsize=8.5,
        title_fontsize=8.5,
    )


def coverage_chart(shares: Mapping[str, np.ndarray]) -> Figure:
    """Histograms, one below the other, of the share of an image that each class covers; the median is marked.

    Parameters
    ----------
    shares
        By class, float between 0 and 1, (n,): the images that have any of it. One array at least is not empty.
    """
    top = coverage_limit(shares)
    with style():
        figure = Figure(figsize=(WIDTH, 0.8 + 1.45 * len(shares)), layout="constrained")
        panels = figure.subplots(len(shares), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (name, values) in zip(panels, shares.items(), strict=True):
            axes.hist(100 * values, bins=np.linspace(0, top, COVERAGE_BINS + 1), color=BLUE, rwidth=0.9)
            if len(values):
                axes.axvline(100 * float(np.median(values)), color=VERMILION, lw=1.8, ls=(0, (4, 2)))
            axes.set_ylabel("images")
            axes.set_title(name, fontsize=10, loc="left", parse_math=False)
            axes.set_xlim(0, top)
            axes.yaxis.get_major_locator().set_params(integer=True, nbins=4)
            axes.grid(axis="y")
        panels[-1].set_xlabel("share of the image (%); dashed: median")
    return figure


def coverage_limit(shares: Mapping[str, np.ndarray]) -> int:
    """Where the axis of the shares ends, in percent: the largest share, up to the next ten."""
    largest = max((float(np.max(values)) for values in shares.values() if len(values)), default=1.0)
    return min(100, max(10, 10 * int(np.ceil(10 * largest))))
