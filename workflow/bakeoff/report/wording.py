"""Numbers and findings in words. Every sentence is made from figures that the pipeline wrote."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bakeoff.evaluation.bootstrap import Interval, independent_difference
from bakeoff.evaluation.comparison import SEGMENTATION, Kind, varies_by_seed

MISSING = "—"
EN_DASH = "\u2013"  # a spreadsheet would take 1-3 with a hyphen for a date
MOST_NAMED = 6  # values that are named one by one
SHORTEST = 0.1  # seconds; nobody minds less
ONE_RUN = "Run with one seed. How much these differences vary between seeds is not known."


def known(value: Any) -> bool:
    """Whether a figure is there: neither None nor not-a-number."""
    return not pd.isna(value)


def score(value: Any, digits: int = 3) -> str:
    """A score between 0 and 1, or a distance, to a fixed number of digits."""
    return f"{round(value, digits) + 0.0:.{digits}f}" if known(value) else MISSING  # + 0.0: no -0.000


def span(row: Mapping[str, Any], name: str, digits: int = 3) -> str:
    """The interval of a score in a comparison's row, "0.941 to 0.957"."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return f"{score(low, digits)} to {score(high, digits)}" if known(low) and known(high) else MISSING


def interval(low: float, high: float) -> str:
    """The ends of a difference's interval, "0.001 to 0.005", with a digit more where one would round to 0."""
    if not (known(low) and known(high)):
        return MISSING
    digits = 4 if any(0 < abs(end) < 0.0005 for end in (low, high)) else 3
    return f"{score(low, digits)} to {score(high, digits)}"


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


def milliseconds(value: Any) -> str:
    """Milliseconds with three significant digits, of long ones seconds."""
    if known(value) and value >= 1000:
        return duration(value / 1000)
    return f"{figure(value)} ms" if known(value) else MISSING


def plural(number: int, noun: str) -> str:
    """ "1 seed", "2 seeds"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(items: Sequence[str]) -> str:
    """ "a, b and c"; items with a comma of their own are told apart by semicolons."""
    between = "; " if any(", " in item for item in items) else ", "
    return " and ".join(each for each in (between.join(items[:-1]), *items[-1:]) if each)


def foreground_choice(choice: Any, taken: Sequence[str], classes: int) -> str:
    """Which class of grey levels a threshold method took, and who chose.

    Parameters
    ----------
    choice
        The configuration's word: dark, bright, a number, train or oracle.
    taken
        The classes that its predictions say were taken, without repeats.
    classes
        How many there are.
    """
    how = {
        "train": "chosen on the training images",
        "oracle": "chosen on each test image by its true mask: an upper bound, not a method",
    }.get(str(choice), "fixed in the configuration")
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


def classes(names: Sequence[str]) -> str:
    """Classes by their names, or where these are many their number."""
    return listed(names) if len(names) <= MOST_NAMED else f"{len(names)} classes"


def sentence(words: str) -> str:
    """Words with a capital letter at the beginning, the rest as it is."""
    return words[:1].upper() + words[1:]


def rank(low: Any, high: Any) -> str:
    """The ranks that a method may have, "1" or "2–4"; nothing for an oracle."""
    if not known(low):
        return ""
    return f"{low:.0f}" if low == high else f"{low:.0f}{EN_DASH}{high:.0f}"


def rounded_up(number: int) -> int:
    """To two digits, up: what is said of an estimate.

    Examples
    --------
    >>> [rounded_up(number) for number in (7, 42, 301, 9278)]
    [7, 42, 310, 9300]
    """
    unit = 10 ** max(0, len(str(number)) - 2)
    return -(-number // unit) * unit


def signed(value: float) -> str:
    """A difference of scores with its sign, three decimals; of what rounds to nothing, a plus."""
    return f"{round(value, 3) + 0.0:+.3f}"


def p_value(value: float) -> str:
    """ "p = 0.012", of small ones no more than that they are; a dash for none, as of a pair with an oracle."""
    if not known(value):
        return MISSING
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def magnitude(value: Any) -> str:
    """Three significant digits of a large count, with a letter for thousands, millions and so on."""
    if not known(value):
        return MISSING
    for letter, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{figure(value / size)} {letter}"
    return figure(value)


def fewest_seeds(*rows: Mapping[str, Any]) -> int | None:
    """The least number of training runs behind any of the methods that vary by seed, or None where none does.

    Parameters
    ----------
    rows
        Of a comparison. Thresholds and some classical methods give the same result every time.
    """
    return min((int(row["seeds"]) for row in rows if varies_by_seed(row)), default=None)


def verdict(pair: Mapping[str, Any], margin: float, *, seeds: int | None = None) -> str:
    """What is known of the first of two methods against the second, in a few words.

    Parameters
    ----------
    pair
        Their row of `pairs.csv`.
    margin
        The difference below which two methods are equal in practice.
    seeds
        What `fewest_seeds` says of the two.
    """
    found = str(pair["verdict"])
    if found == "undecided":
        return f"undecided; {_what_decides(pair)}"
    within = f"equivalent within {margin:g}" if found == "equivalent" else found
    return f"{within}, with one seed" if seeds == 1 else within


def _what_decides(pair: Mapping[str, Any]) -> str:
    needed = pair["images_to_decide"]
    if not known(needed):
        return "more images alone would not decide"
    return f"about {rounded_up(needed):,} images would decide"


def lead(
    best: str,
    other: str,
    pair: Mapping[str, Any],
    wins: int,
    kind: Kind = SEGMENTATION,
    *,
    margin: float,
    losses: int | None = None,
) -> str:
    """How far the best method is ahead of another, and what that is worth.

    Parameters
    ----------
    best, other
        What the two are called.
    pair
        Their row of `pairs.csv`.
    wins
        On how many of its images the best method has the higher score.
    kind
        Of the task.
    margin
        The difference below which two methods are equal in practice.
    losses
        On how many it has the lower one; None where equal scores are rare and it goes without saying.
    """
    ends = interval(pair["low"], pair["high"])
    chance = f"{p_value(pair['p_holm'])} after Holm's correction"
    by = f"{score(pair['difference'])} {kind.title} ({ends}; {chance})"
    apart = f"{score(pair['difference'])} {kind.title} ({ends})"
    beyond = pair["p_holm"] < 0.05 and pair["low"] > 0 and pair["effect"] * pair["difference"] >= 0
    significant = f", although it is significant ({chance})" if beyond else ""
    said = {
        "better": f"{best} is better than {other} by {by}",
        "worse": f"{best} is worse than {other}, by {by}",
        "equivalent": f"{best} and {other} are equivalent: they differ by {apart}, less than the margin of {margin:g}"
        f"{significant}",
        "undecided": f"Whether {best} is better than {other} is undecided: they differ by {by}, and "
        f"{_what_decides(pair)}",
    }[str(pair["verdict"])]
    if losses is None:
        return f"{said}. {best} has the higher score on {wins:,} of {pair['images']:,} images."
    return f"{said}. Of {pair['images']:,} images {best} does better on {wins:,}, {other} on {losses:,}."


def standing(row: Mapping[str, Any], methods: int, *, seeds: int | None = None) -> str:
    """The rank of the first of a task's methods, in a few words.

    Parameters
    ----------
    row
        Its row of a comparison.
    methods
        How many there are that could win.
    seeds
        What `fewest_seeds` says of all of them.
    """
    if not known(row["rank_low"]):
        return "an oracle, without a rank"
    if methods == 1:
        return "the only method"
    if row["rank_low"] == row["rank_high"]:
        return f"rank {row['rank_low']:.0f}" + (" with one seed" if seeds == 1 else "")
    return f"tied: rank {rank(row['rank_low'], row['rank_high'])}"


def across_groups(
    label: str, row: Mapping[str, Any], values: Sequence[str], kind: Kind = SEGMENTATION, *, margin: float
) -> str:
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
    margin
        The difference below which two scores are equal in practice.
    """
    headline = kind.headline
    ordered = sorted(values, key=lambda value: row[f"{headline}_{value}_mean"])
    worst, best = ordered[0], ordered[-1]
    on_best, on_worst = (f"{value} ({score(row[f'{headline}_{value}_mean'])})" for value in (best, worst))
    ends = (Interval(*(row[f"{headline}_{value}_{end}"] for end in Interval._fields)) for value in (best, worst))
    difference, low, high = independent_difference(*ends)
    if not known(low):
        return f"{label}: {on_best} and {on_worst} cannot be compared, since one of them has no interval."
    by = f"{score(difference)} ({score(low)} to {score(high)})"
    if -margin < low and high < margin:
        within = f"within the margin of {margin:g}"
        return f"{label} does equally well on {on_best} and {on_worst}: they differ by {by}, {within}."
    if low > 0:
        return f"{label} does better on {on_best} than on {on_worst}, by {by}."
    return f"{label}: no difference is shown between {on_best} and {on_worst}, which differ by {by}."


def below_majority(
    better: Sequence[str], undecided: Sequence[str], worse: Sequence[str], frequent: str, share: float
) -> str:
    """Which methods are not shown to be more accurate than always predicting the most frequent class.

    Parameters
    ----------
    better, undecided, worse
        Labels of the methods, by how they compare with that.
    frequent, share
        That class, and its share of the test images, 0 to 1.
    """
    always = f"always predicting {frequent} (accuracy {score(share)})"
    if undecided and not better:
        said = [f"No method is shown to beat {always}."]
    elif worse and not better:
        return f"Every method is less accurate than {always}."
    else:
        said = [f"Not shown to beat {always}: {listed(undecided)}."] if undecided else []
    if worse:
        said.append(f"Less accurate than {always}: {listed(worse)}.")
    return " ".join(said)


def on_empty(label: str, images: int, share: float, others: int, mean: float, title: str) -> str:
    """What the mean score hides where some images have nothing to find.

    Parameters
    ----------
    label
        The method.
    images, others
        Images with nothing to find, and with something.
    share
        Of the answers on the first, 0 to 1, that find something.
    mean
        Of the score on the others.
    title
        Of the score.
    """
    have = "has" if images == 1 else "have"
    return (
        f"{plural(images, 'test image')} {have} nothing to find. There {label} finds something ({title} 0) in "
        f"{100 * share:.1f} % of its answers, and nothing ({title} 1) in {100 - 100 * share:.1f} %. On the other "
        f"{plural(others, 'image')} its mean is {score(mean)}."
    )


def no_cheap(*, is_cheap: bool) -> str:
    """Why the best method is not compared with the best threshold or classical method."""
    return "the best is a threshold or classical method" if is_cheap else "no threshold or classical method"


def groups_between_parts(groups: int, tested: int) -> str:
    """How many groups of near-duplicates a split divides among its parts, and how many of them are tested."""
    if not groups:
        return "No group of near-duplicates has images in more than one part."
    have, are = ("has" if groups == 1 else "have"), ("is" if tested == 1 else "are")
    means = (
        f"{tested:,} of them {are} tested: near-duplicates of test images were seen before."
        if tested
        else ("None of them is tested.")
    )
    return f"{plural(groups, 'group')} of near-duplicates {have} images in more than one part. {means}"


def not_official(files: Sequence[str]) -> str:
    """Which files are not those that were published.

    Examples
    --------
    >>> not_official(["a.zip"]), not_official(["a.zip", "b.zip"])
    ('a.zip is not the official file', 'a.zip and b.zip are not the official files')
    """
    return f"{listed(files)} {'is not the official file' if len(files) == 1 else 'are not the official files'}"
