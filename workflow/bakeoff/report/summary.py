"""The report in a few lines of Markdown, fit for a comment on a pull request."""

from collections.abc import Mapping
from typing import Any

from bakeoff.report import audits, sections, wording
from bakeoff.report.reading import Dataset, Task
from bakeoff.report.sections import random_starts
from bakeoff.report.verdicts import MARKS, answer, below_majority

_HEAD = (
    "| task | best method | score (95 % interval) | n | against the runner-up | against the cheap alternative | cost |",
    "|---|---|---|---|---|---|---|",
)


def summary(profile: str, tasks: list[Task], datasets: list[Dataset]) -> str:
    """Every task with its best method and what is known of its lead, then cautions.

    Parameters
    ----------
    profile
        The configuration's profile.
    tasks, datasets
        In the order in which they appear.

    Returns
    -------
    str
        GitHub's Markdown.
    """
    run = [task for task in tasks if task.experiments]
    lines = [f"## Bakeoff at `{profile}`", ""]
    lines += [f"> {_escaped(words)}" for words in sections.data_warnings(*(each.prepared.about for each in datasets))]
    lines += [f"> {words}" for words in sections.profile_warnings(profile, run)]
    lines += ["", *_HEAD, *(_row(task) for task in run)]
    lines += [
        "",
        f"{', '.join(f'{mark} {name}' for name, mark in MARKS.items())}: better and worse at 5 % after Holm's "
        "correction for all pairs of a task, equivalent within its margin, pair by pair.",
    ]
    cautions = [f"- **{task.name}**: {_escaped(words)}" for task in tasks for words in _cautions(task)]
    return "\n".join([*lines, *(["", "### Cautions", "", *cautions] if cautions else [])]) + "\n"


def _row(task: Task) -> str:
    found = answer(task)
    score = f"{found['score_title']} {found['score']} ({found['interval']})"
    leads = [
        _lead(found["runner_up"], "no other method"),
        _lead(found["cheap"], wording.no_cheap(is_cheap=found["is_cheap"])),
    ]
    best = f"**{found['best']}** ({found['standing']})"
    cells = [task.name, best, score, str(found["images"]), *leads, found["cost"]]
    return f"| {' | '.join(_escaped(cell) for cell in cells)} |"


def _lead(found: Mapping[str, Any] | None, otherwise: str) -> str:
    if found is None:
        return otherwise
    return f"{found['mark']} {found['by']} ({found['interval']}) over {found['over']}: {found['verdict']}"


def _cautions(task: Task) -> list[str]:
    found = [f"{row['mark']} {row['check']}: {row['finding']}" for row in audits.findings(task)]
    return [
        *found,
        *audits.shown_effects(task.leakage_effects),
        *filter(None, (below_majority(task), random_starts(task))),
    ]


def _escaped(words: str) -> str:
    """Text that is no markup in a table's cell."""
    return words.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
