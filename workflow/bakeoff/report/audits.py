"""What the audit of a task found, and what leaks add to the scores of its experiments."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from bakeoff.report import wording
from bakeoff.report.reading import Task

RAISED = "✗ higher score"
# A sign that is readable without colour, and a word.
VERDICTS = {
    "fail": ("✗", "fails"),
    "warn": ("!", "warns"),
    "untested": (wording.EN_DASH, "not tested"),
    "pass": ("✓", "passes"),
}


def checks(task: Task) -> list[dict[str, Any]]:
    """Every check of the task, the most severe first."""
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
    """The most severe verdict on a task, and how many checks failed, warned and passed."""
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
    """The checks that failed: a reader has to know them before trusting a score."""
    rows = (row for row in findings(task) if row["verdict"] == "fail")
    failed = {row["check"]: f"{row['finding']} {row['explanation']}" for row in rows}
    # Near-duplicates form groups: images that are in both checks are mentioned once.
    if "groups" in failed:
        failed.pop("near-duplicates", None)
    return list(failed.values())


def leakage_effects(table: pd.DataFrame) -> list[dict[str, Any]]:
    """What each leak adds to the score of a method; `table` is of `bakeoff.leakage.effects.leakage_effects`."""
    return [
        {
            "kind": row["kind"],
            "without_leak": row["without_leak"],
            "with_leak": row["with_leak"],
            "difference": {
                "value": row["difference"],
                "text": wording.signed(row["difference"]),
                "span": f"{wording.signed(row['low'])} to {wording.signed(row['high'])}",
            },
            "shown": _shown(row),
            "words": row["words"],
        }
        for row in table.to_dict("records")
    ]


def mask_quality(task: Task) -> list[dict[str, Any]]:
    """Mean Dice of the predicted masks in the pictures of the task's experiments, by part of the split.

    Returns
    -------
    list of dict
        One a set of masks: `methods`, `variant` (in-sample or cross-fitted), `segmenter`, and `dice`, of training,
        validation and test images, averaged over folds.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for each in task.experiments:
        quality = each.entry.get("mask_quality")
        if not quality:
            continue
        variant, segmenter = each.entry["pictures"]["variant"], each.entry["segmenter"]
        row = found.setdefault((each.entry["pictures"]["masks"], variant), {"methods": []})
        dice = pd.DataFrame(quality).groupby("part")["dice"].mean()
        row |= {"variant": variant, "segmenter": segmenter}
        row["dice"] = [(float(dice[part]), wording.score(dice[part])) for part in ("train", "validation", "test")]
        row["methods"].append(each.label)
    return list(found.values())


def _shown(row: Mapping[Any, Any]) -> str:
    if row["low"] <= 0 <= row["high"]:
        return "? no effect shown"
    if row["other_reasons"]:
        return "? other reasons possible"
    return RAISED if row["low"] > 0 else "✓ lower score"


def shown_effects(table: pd.DataFrame) -> list[str]:
    """Leaks that are shown to raise a score, a sentence each, for the index."""
    return [
        f"{wording.sentence(row['kind'])} ({row['with_leak']} and {row['without_leak']}): {row['words']}"
        for row in table.to_dict("records")
        if _shown(row) == RAISED
    ]
