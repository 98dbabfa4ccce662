"""The index of all tasks and data sets, the page on published claims, and leakage effects between tasks."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from bakeoff.artefacts.layout import Project
from bakeoff.claims import CLAIMS
from bakeoff.claims.table import Result, claims
from bakeoff.leakage.designs import designs
from bakeoff.leakage.effects import TaskImages, leakage_effects
from bakeoff.report.page import claims_page, index_page, published
from bakeoff.report.reading import Task, read_claims, read_dataset, read_task
from bakeoff.report.summary import summary
from bakeoff.report.write import write_page

log = logging.getLogger(__name__)


def write_index(
    profile: str,
    tasks: Mapping[str, Mapping[str, Any]],
    datasets: Iterable[str],
    project: Project,
    *,
    margins: Mapping[str, float],
    resamples: int,
    source: Path = CLAIMS,
) -> None:
    """Write `index.html`, `claims.html`, `claims.csv`, `leakage.csv` and `summary.md` into `results/report`.

    Of one's own images alone nothing is claimed: then there are no claims in these files.

    Parameters
    ----------
    profile
        The configuration's profile.
    tasks
        By name, in the order in which they appear.
    datasets
        Names of the data sets that are not derived.
    margins
        By kind of task, the difference in its headline score below which two methods are equal in practice.
    resamples
        Bootstrap resamples an interval.
    source
        The published claims.

    Raises
    ------
    BakeoffError
        If a file that the pages read is missing.
    """
    read = [read_task(name, entry, project, margin=margins[entry["kind"]]) for name, entry in tasks.items()]
    used = {str(entry["dataset"]) for entry in tasks.values()}
    cards = [read_dataset(name, project) for name in datasets if name in used]
    effects = _effects_between_tasks(tasks, read, resamples)
    claimed = claims(profile, _results(read), margins=margins, resamples=resamples, source=source)
    claimed = claimed if published(cards) else claimed.iloc[:0]
    write_page(project.report / "leakage.csv", effects.to_csv(index=False, float_format="%.6g"))
    write_page(project.report / "claims.csv", claimed.to_csv(index=False, float_format="%.10g"))
    write_page(
        project.report / "claims.html", claims_page(profile, read, cards, read_claims(project.report / "claims.csv"))
    )
    write_page(project.report / "summary.md", summary(profile, read, cards))
    write_page(project.report / "index.html", index_page(profile, read, cards, effects))
    log.info("The report is %s: open it in a browser.", project.report / "index.html")


def _results(tasks: Iterable[Task]) -> dict[str, Result]:
    """What claims are compared with, by experiment."""
    return {
        each.name: Result(
            metrics=each.metrics,
            cost=each.cost,
            scores=each.scores,
            trainings=each.fits,
            about=task.about,
            groups=task.prepared.index.set_index("id")["group"],
        )
        for task in tasks
        for each in task.experiments
    }


def _effects_between_tasks(tasks: Mapping[str, Mapping[str, Any]], read: list[Task], resamples: int) -> pd.DataFrame:
    experiments = {each.name: each for task in read for each in task.experiments}
    entries = {name: each.entry for name, each in experiments.items()}
    pairs = [pair for pair in designs(entries, tasks) if pair.across_tasks]
    scores = {name: each.scores for name, each in experiments.items()}
    images = {task.name: TaskImages(task.prepared.index, task.folds) for task in read}
    return leakage_effects(pairs, scores, entries, tasks, images, resamples=resamples)
