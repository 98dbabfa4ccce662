"""How the project's figures look and are written: one style, colours that everyone can tell apart, the same bytes."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

# The palette of Okabe and Ito, "Color Universal Design" (2008), without black and yellow.
BLUE = "#0072B2"
ORANGE = "#E69F00"
GREEN = "#009E73"
VERMILION = "#D55E00"
SKY = "#56B4E9"
PURPLE = "#CC79A7"

# Whoever puts a figure into a page can exchange these three for the page's own colours: nothing else uses them.
INK = "#1b1f24"
FAINT = "#c9ced6"
PAPER = "#fefefe"

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: small files, searchable, read aloud
    "svg.hashsalt": "bakeoff",  # without it, ids differ from run to run
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "grid.color": FAINT,
    "grid.linewidth": 0.7,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": PAPER,
    "legend.frameon": False,
}


@contextmanager
def style() -> Iterator[None]:
    """Within it, figures are made in the project's style."""
    with mpl.rc_context(_STYLE):
        yield


def to_svg(figure: Figure) -> str:
    """The figure as SVG; equal figures give equal text (no date, no random ids)."""
    buffer = io.StringIO()
    with style():
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
