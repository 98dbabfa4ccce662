"""The page on published claims: what was claimed, what its own files show, and what was found here."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from bakeoff.report import wording

# Verdicts in the order of their weight, each with a sign that needs no colour.
MARKS = {
    "contradicted by its own files": "✗",
    "at the majority class": "✗",
    "raised by leakage": "✗",
    "would be raised by leakage": "✗",
    "not reproduced": "≠",
    "compatible, undecided": "≈",
    "confirmed": "✓",
    "not comparable here": wording.MISSING,
    "no number claimed": wording.MISSING,
}


def claims(table: pd.DataFrame, pages: Mapping[str, str]) -> dict[str, Any]:
    """Every claim with its verdict, and how many have which.

    Parameters
    ----------
    table
        `results/report/claims.csv`.
    pages
        By experiment: where on which page its numbers are accounted for.
    """
    counts = table["verdict"].value_counts()
    return {
        "rows": [_row(row, pages) for row in table.to_dict("records")],
        "counts": [(mark, name, int(counts[name])) for name, mark in MARKS.items() if name in counts],
        "comparable": int((table["comparable"] == "yes").sum()),
        "systems": wording.plural(int(table["system"].nunique()), "published system"),
        "confirmed": _confirmed(table),
    }


def _confirmed(table: pd.DataFrame) -> str:
    """Which kinds of figures are confirmed, with how many of each; nothing where none is."""
    counts = table.loc[table["verdict"] == "confirmed", "figure"].value_counts()
    return wording.listed([f"{str(name).replace('_', ' ')} ({number})" for name, number in counts.items()])


def _row(row: Mapping[Any, Any], pages: Mapping[str, str]) -> dict[str, Any]:
    comparable = row["comparable"] == "yes"
    return {
        **{key: row[key] for key in ("id", "system", "where", "data", "claim", "shown", "verdict", "sentence")},
        "figure": row["figure"].replace("_", " "),
        "mark": MARKS.get(row["verdict"], "?"),
        "order": list(MARKS).index(row["verdict"]) if row["verdict"] in MARKS else len(MARKS),
        "comparable": "yes" if comparable else "no",
        "why_not": "" if comparable else row["comparable"].removeprefix("no: "),
        "protocols": [_protocol(row, side, pages) for side in ("published", "corrected")],
    }


def _protocol(row: Mapping[Any, Any], side: str, pages: Mapping[str, str]) -> dict[str, Any]:
    """What the experiments of a protocol found; `A - B` is the lead of A over B."""
    value, low, high = (row[f"{side}_protocol_{end}"] for end in ("value", "low", "high"))
    names = [name for name in row[f"{side}_protocol_experiment"].split(" - ") if name]
    return {
        "value": value if wording.known(value) else "",
        "text": _number(value, signed=len(names) > 1),
        "span": f"{_number(low)} to {_number(high)}" if wording.known(low) and low != high else "",
        "images": row[f"{side}_protocol_images"].removesuffix(".0"),
        "experiments": [(name, pages.get(name)) for name in names],
        "note": "" if row[f"{side}_protocol_note"] == "nothing to correct" else row[f"{side}_protocol_note"],
    }


def _number(value: Any, *, signed: bool = False) -> str:
    if wording.known(value) and abs(value) > 1:
        return wording.count(value)
    return ("+" if signed and wording.known(value) and value > 0 else "") + wording.score(value, 4)
