"""Numbers and findings in words. Every sentence is made from figures that the pipeline wrote."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

MISSING = "—"
SHORTEST = 0.1  # seconds; nobody minds less


def known(value: Any) -> bool:
    """Whether a figure is there: neither None nor not-a-number."""
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def score(value: Any, digits: int = 3) -> str:
    """A score between 0 and 1, or a distance, to a fixed number of digits."""
    return f"{value:.{digits}f}" if known(value) else MISSING


def span(row: Mapping[str, Any], name: str, digits: int = 3) -> str:
    """The interval of a score in a comparison's row, "0.941 to 0.957"."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return f"{score(low, digits)} to {score(high, digits)}" if known(low) and known(high) else MISSING


def count(value: Any) -> str:
    """A whole number with its thousands apart."""
    return f"{value:,.0f}" if known(value) else MISSING


def figure(value: Any) -> str:
    """Three significant digits, without an exponent."""
    if not known(value):
        return MISSING
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def duration(seconds: Any) -> str:
    """Seconds in the unit that suits them."""
    if not known(seconds):
        return MISSING
    if 0 < seconds < SHORTEST:
        return f"under {SHORTEST} s"
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{figure(seconds)} s"


def plural(number: int, noun: str) -> str:
    """ "1 seed", "2 seeds"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(items: Sequence[str]) -> str:
    """ "a, b and c"."""
    return " and ".join(", ".join(items).rsplit(", ", 1)) if len(items) > 1 else "".join(items)


def foreground_choice(choice: Any, taken: Sequence[str], classes: int) -> str:
    """Which class of grey levels a threshold method took, and who chose.

    Parameters
    ----------
    choice
        The book's word: dark, bright, a number, train or oracle.
    taken
        The classes that its predictions say were taken, without repeats.
    classes
        How many there are.
    """
    how = {
        "train": "chosen on the training images",
        "oracle": "chosen on each test image with its truth in hand: a bound, not a method",
    }.get(str(choice), "fixed in the book")
    if len(taken) != 1 or not taken[0].isdigit():
        return how
    return f"{band_name(int(taken[0]), classes)}, {how}"


def band_name(band: int, classes: int) -> str:
    """A class of grey levels by its brightness, "dark class" or "class 2 of 4 from dark"."""
    if band == 0:
        return "dark class" if classes == 2 else f"darkest of {classes} classes"
    if band == classes - 1:
        return "bright class" if classes == 2 else f"brightest of {classes} classes"
    return f"class {band + 1} of {classes}, counted from dark"


def is_clear(behind: Mapping[str, Any]) -> bool:
    """Whether a method is behind the best by more than chance: the interval of the difference lies above 0."""
    return bool(behind["dice_behind_low"] > 0)


def lead(best: str, other: str, behind: Mapping[str, Any], wins: int) -> str:
    """How far the best method is ahead of another, and whether that is more than chance.

    Parameters
    ----------
    best, other
        What the two are called.
    behind
        The other's row of a comparison.
    wins
        On how many of its images the best method has the higher Dice.
    """
    by, images = score(behind["dice_behind_mean"]), int(behind["images"])
    verdict = (
        "more than chance would give: a clear lead"
        if is_clear(behind)
        else "within what chance would give: no clear winner"
    )
    return f"{best} leads {other} by {by} Dice and is better on {wins} of {images} images; that is {verdict}."


def across_groups(label: str, row: Mapping[str, Any], values: Sequence[str]) -> str:
    """Where a method does best and worst.

    Parameters
    ----------
    label
        The method.
    row
        Its row of a comparison, with `dice_VALUE_mean`, `_low` and `_high` of every value.
    values
        The groups of images, two or more.
    """
    ordered = sorted(values, key=lambda value: row[f"dice_{value}_mean"])
    worst, best = ordered[0], ordered[-1]
    on_best, on_worst = (f"{value} ({score(row[f'dice_{value}_mean'])})" for value in (best, worst))
    if row[f"dice_{worst}_high"] >= row[f"dice_{best}_low"]:
        return f"{label} does about as well on {on_best} as on {on_worst}: the intervals overlap."
    return f"{label} does better on {on_best} than on {on_worst}: the intervals are apart."
