"""Numbers and findings in words. Every sentence is made from figures that the pipeline wrote."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bakeoff.evaluation.comparison import SEGMENTATION, Kind, varies_by_seed

MISSING = "—"
SHORTEST = 0.1  # seconds; nobody minds less
_ONE_RUN = "one training run a method, so a second seed might turn it round: set seeds.{} to 3 or more"


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


def beyond_chance(behind: Mapping[str, Any], kind: Kind = SEGMENTATION) -> bool:
    """Whether a method is behind the best on these images by more than chance: the paired interval lies above 0."""
    return bool(behind[f"{kind.headline}_behind_low"] > 0)


def is_small(behind: Mapping[str, Any], kind: Kind = SEGMENTATION) -> bool:
    """Whether a method is so little behind the best that the lead is worth nothing, however certain."""
    return bool(behind[f"{kind.headline}_behind_mean"] < kind.small_lead)


def is_clear(behind: Mapping[str, Any], kind: Kind = SEGMENTATION, *, seeds: int | None = None) -> bool:
    """Whether a method, not just one training run of it, is behind the best: surely, by enough, and from several seeds.

    Parameters
    ----------
    behind
        The method's row of a comparison.
    kind
        Of the task.
    seeds
        What `fewest_seeds` says of the two.
    """
    return beyond_chance(behind, kind) and not is_small(behind, kind) and seeds != 1


def fewest_seeds(*rows: Mapping[str, Any]) -> int | None:
    """The least number of training runs behind any of the methods that vary by seed, or None where none does.

    Parameters
    ----------
    rows
        Of a comparison. Thresholds and some classical methods give the same result every time.
    """
    return min((int(row["seeds"]) for row in rows if varies_by_seed(row)), default=None)


def verdict(behind: Mapping[str, Any], kind: Kind = SEGMENTATION, *, seeds: int | None = None) -> str:
    """How much a lead is worth, in a few words; parameters as in `is_clear`."""
    if not beyond_chance(behind, kind):
        return "no clear winner"
    if is_small(behind, kind):
        return "a small lead"
    return "ahead in one training run" if seeds == 1 else "a clear lead"


def lead(
    best: str,
    other: str,
    behind: Mapping[str, Any],
    wins: int,
    kind: Kind = SEGMENTATION,
    *,
    losses: int | None = None,
    seeds: int | None = None,
    profile: str = "small",
) -> str:
    """How far the best method is ahead of another, and what that is worth.

    The interval comes from resampling the images alone. Where a method was trained once, it says how these networks
    differ on these images, and nothing of what another seed would give.

    Parameters
    ----------
    best, other
        What the two are called.
    behind
        The other's row of a comparison.
    wins
        On how many of its images the best method has the higher score.
    kind
        Of the task.
    losses
        On how many it has the lower one; None where equal scores are rare and it goes without saying.
    seeds
        What `fewest_seeds` says of the two.
    profile
        Of the book, which has a number of seeds for each.
    """
    by, images = score(behind[f"{kind.headline}_behind_mean"]), int(behind["images"])
    if not beyond_chance(behind, kind):
        worth = "within what chance would give: no clear winner"
    elif is_clear(behind, kind, seeds=seeds):
        worth = "more than chance would give: a clear lead"
    else:
        worth = "more than chance would give on these images"
        worth += f", but small: under {kind.small_lead} {kind.title}" if is_small(behind, kind) else ""
        worth += f"; {_ONE_RUN.format(profile)}" if seeds == 1 else ""
    better = f"better on {wins}" if losses is None else f"better on {wins:,}, worse on {losses:,},"
    return f"{best} leads {other} by {by} {kind.title} and is {better} of {images:,} images; that is {worth}."


def across_groups(label: str, row: Mapping[str, Any], values: Sequence[str], kind: Kind = SEGMENTATION) -> str:
    """Where a method does best and worst.

    Parameters
    ----------
    label
        The method.
    row
        Its row of a comparison, with `HEADLINE_VALUE_mean`, `_low` and `_high` of every value.
    values
        The groups of images, two or more.
    kind
        Of the task.
    """
    headline = kind.headline
    ordered = sorted(values, key=lambda value: row[f"{headline}_{value}_mean"])
    worst, best = ordered[0], ordered[-1]
    on_best, on_worst = (f"{value} ({score(row[f'{headline}_{value}_mean'])})" for value in (best, worst))
    if row[f"{headline}_{worst}_high"] >= row[f"{headline}_{best}_low"]:
        return f"{label} does about as well on {on_best} as on {on_worst}: the intervals overlap."
    return f"{label} does better on {on_best} than on {on_worst}: the intervals are apart."
