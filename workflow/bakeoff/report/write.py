"""The pages of a task and of a data set."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bakeoff.artefacts.atomic import write_text
from bakeoff.artefacts.layout import Project
from bakeoff.report.ending import ending
from bakeoff.report.page import dataset_page, task_page
from bakeoff.report.reading import read_dataset, read_task

log = logging.getLogger(__name__)


def write_task_page(task: str, entry: Mapping[str, Any], profile: str, project: Project, *, margin: float) -> None:
    """Write `results/report/TASK.html`.

    Parameters
    ----------
    task, entry
        Its name and its entry in the configuration.
    profile
        The configuration's profile.
    margin
        The difference in the headline score below which two methods are equal in practice.

    Raises
    ------
    BakeoffError
        If a file that the page reads is missing.
    """
    path = project.report / f"{task}.html"
    write_page(path, task_page(profile, read_task(task, entry, project, margin=margin)))
    for line in ending(task, project):
        log.info("%s", line)


def write_data_card(dataset: str, profile: str, project: Project) -> None:
    """Write `results/report/data-DATASET.html`.

    Raises
    ------
    BakeoffError
        If a file of the prepared data set is missing.
    """
    write_page(project.report / f"data-{dataset}.html", dataset_page(profile, read_dataset(dataset, project)))


def write_page(path: Path, text: str) -> None:
    """Write a file of the report, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
