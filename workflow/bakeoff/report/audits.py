"""What the audit of a task's split found, and what leaks add to the scores of its experiments."""

from collections.abc import Mapping
from typing import Any

from bakeoff.report import wording
from bakeoff.report.reading import Task

# A sign that needs no colour, and a word.
VERDICTS = {
    "fail": ("✗", "fails"),
    "warn": ("!", "warns"),
    "untested": (wording.EN_DASH, "not tested"),
    "pass": ("✓", "passes"),
}


def checks(task: Task) -> list[dict[str, Any]]:
    """Every check of the split, the gravest first."""
    order = list(VERDICTS)
    rows = sorted(task.checks.to_dict("records"), key=lambda row: order.index(row["verdict"]))
    return [
        {
            "check": row["check"],
            "verdict": row["verdict"],
            "mark": VERDICTS[row["verdict"]][0],
            "word": VERDICTS[row["verdict"]][1],
            "order": order.index(row["verdict"]),
            "finding": row["finding"],
            "explanation": row["explanation"],
        }
        for row in rows
    ]


def findings(task: Task) -> list[dict[str, Any]]:
    """The checks that failed or warn."""
    return [row for row in checks(task) if row["verdict"] in ("fail", "warn")]


def summary(task: Task) -> dict[str, Any]:
    """The gravest verdict on a task's split, and how many checks failed, warned and passed."""
    counts = task.checks["verdict"].value_counts()
    worst = next((name for name in ("fail", "warn", "pass", "untested") if counts.get(name)), "untested")
    said = [f"{counts[name]} {words}" for name, words in (("fail", "failed"), ("warn", "warned")) if counts.get(name)]
    return {
        "verdict": worst,
        "mark": VERDICTS[worst][0],
        "order": list(VERDICTS).index(worst),
        "words": ", ".join(said) or f"{wording.plural(int(counts.get('pass', 0)), 'check')} passed",
    }


def warnings(task: Task) -> list[str]:
    """What a reader must know before believing a score: the checks that failed."""
    rows = (row for row in findings(task) if row["verdict"] == "fail")
    failed = {row["check"]: f"{row['finding']} {row['explanation']}" for row in rows}
    # Near duplicates are groups too, and the images of both are said once.
    if "groups" in failed:
        failed.pop("near duplicates", None)
    return list(failed.values())


def inflation(task: Task) -> list[dict[str, Any]]:
    """What each leak adds to the score of experiments that differ in nothing else; of tasks that have such."""
    return [
        {
            "kind": row["kind"],
            "honest": row["honest"],
            "inflated": row["inflated"],
            "difference": {
                "value": row["difference"],
                "text": wording.signed(row["difference"]),
                "span": f"{wording.signed(row['low'])} to {wording.signed(row['high'])}",
            },
            "shown": _shown(row),
            "words": row["words"],
        }
        for row in task.inflation.to_dict("records")
    ]


def _shown(row: Mapping[Any, Any]) -> str:
    if row["low"] <= 0 <= row["high"]:
        return "? not shown"
    if row["otherwise"]:
        return "? perhaps not the leak"
    return "✗ inflated" if row["low"] > 0 else "✓ lower"


def inflated(task: Task) -> list[str]:
    """Leaks that are shown to raise a score, a sentence each: what a reader of the index has to know."""
    mine = {each.name for each in task.experiments}
    return [
        f"{row['kind'].capitalize()} ({row['inflated']} and {row['honest']}): {row['words']}"
        for row in task.inflation.to_dict("records")
        if row["inflated"] in mine and _shown(row) == "✗ inflated"
    ]
