"""How the differences between two revisions are printed: as aligned text, as Markdown, as JSON."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from bakeoff.diff.differences import NOT_COMPARED, SAME, Change, Differences
from bakeoff.evaluation.bootstrap import Interval

# In the order of the last sentence.
_IN_WORDS = {
    "better": "better",
    "worse": "worse",
    "equivalent": "equivalent within the margin",
    "undecided": "undecided",
    SAME: "with the same headline score on every image",
    NOT_COMPARED: "not compared",
}


def as_text(found: Differences) -> str:
    """A table with aligned columns, and a summary in sentences."""
    return "\n\n".join([*_table(found, _aligned), "\n".join(_sentences(found))])


def as_markdown(found: Differences) -> str:
    """The same as Markdown, for the comment of a pull request."""
    return "\n\n".join([*_table(found, _piped), *_sentences(found)])


def as_json(found: Differences) -> str:
    """All figures, and `summary`, the last sentence of the text."""
    return json.dumps(
        {
            "a": found.a,
            "b": found.b,
            "changes": [_plain(change) for change in found.changes],
            **{
                key: getattr(found, key)
                for key in ("unchanged", "only_in_a", "only_in_b", "unscored_in_a", "unscored_in_b")
            },
            "summary": summary(found),
        },
        indent=2,
        allow_nan=False,
    )


FORMATS: dict[str, Callable[[Differences], str]] = {"text": as_text, "markdown": as_markdown, "json": as_json}


def summary(found: Differences) -> str:
    """All changes in one sentence."""
    between = f"From {found.a} to {found.b}"
    total = len(found.changes) + len(found.unchanged)
    if not found.changes:
        return f"{between} no scores changed: {_counted(total, 'experiment')} compared."
    counts = Counter(change.verdict for change in found.changes)
    verdicts = ", ".join(f"{counts[verdict]} {words}" for verdict, words in _IN_WORDS.items() if counts[verdict])
    return (
        f"{between} the scores of {len(found.changes)} of {_counted(total, 'experiment')} changed: {verdicts}; "
        f"{len(found.unchanged)} unchanged."
    )


def _sentences(found: Differences) -> list[str]:
    told = []
    if any(change.paired for change in found.changes):
        told.append(
            f"Difference: {found.b} minus {found.a} on the images that both tested, seeds averaged. Brackets: 95 % "
            "bootstrap intervals. p: corrected after Holm for all experiments that were tested."
        )
    for names, words in (
        (found.only_in_a, f"Only in {found.a}"),
        (found.only_in_b, f"Only in {found.b}"),
        (found.unscored_in_a, f"Without scores in {found.a} (`dvc fetch --all-commits` gets them)"),
        (found.unscored_in_b, f"Without scores in {found.b} (`dvc pull` or `dvc repro` gets them)"),
    ):
        if names:
            told.append(f"{words}: {', '.join(names)}.")
    return [*told, summary(found)]


def _table(found: Differences, layout: Callable[[Sequence[Sequence[str]]], str]) -> list[str]:
    """One table, or none: a row per experiment whose headline score changed on some image."""
    shown = [change for change in found.changes if change.verdict != SAME]
    header = ("experiment", "score", "images", found.a, found.b, "difference", "p", "verdict")
    return [layout([header, *map(_cells, shown)])] if shown else []


def _cells(change: Change) -> tuple[str, ...]:
    return (
        change.experiment,
        change.score,
        _images(change),
        _with_ends(change.a, "{:.4f}"),
        _with_ends(change.b, "{:.4f}"),
        _with_ends(_difference(change), "{:+.4f}") if change.paired else "",
        f"{change.p_holm:.2g}" if change.p_holm is not None else "",
        _verdict(change),
    )


def _images(change: Change) -> str:
    if change.images == change.images_a == change.images_b:
        return str(change.images)
    return f"{change.images} of {change.images_a} and {change.images_b}"


def _verdict(change: Change) -> str:
    if change.verdict == NOT_COMPARED:
        return change.words.removeprefix("is ")
    if change.images_to_decide:
        return f"{change.verdict}: about {change.images_to_decide:,} images would decide"
    return _IN_WORDS[change.verdict]


def _with_ends(interval: Interval, number: str) -> str:
    mean, low, high = map(number.format, interval)
    return f"{mean} [{low}, {high}]"


def _difference(change: Change) -> Interval:
    assert change.paired
    return Interval(change.paired.difference, change.paired.low, change.paired.high)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _piped(rows: Sequence[Sequence[str]]) -> str:
    header, *body = (f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows)
    return "\n".join([header, "|" + "---|" * len(rows[0]), *body])


def _plain(change: Change) -> dict[str, Any]:
    paired = change.paired
    return {
        **{key: value for key, value in asdict(change).items() if key not in ("a", "b", "paired")},
        "a": change.a._asdict(),
        "b": change.b._asdict(),
        "difference": _difference(change)._asdict() if paired else None,
        **{key: getattr(paired, key, None) for key in ("test", "p_value", "effect")},
    }


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
