"""Report: self-contained pages from everything that the other stages wrote."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bakeoff.artefacts.atomic import atomic_folder, write_text
from bakeoff.report.costs import with_segmenters
from bakeoff.report.page import render
from bakeoff.report.reading import read_claims_table, read_dataset, read_task
from bakeoff.report.summary import summary

log = logging.getLogger(__name__)


def report(
    profile: str,
    tasks: Mapping[str, Mapping[str, Any]],
    experiments: Mapping[str, Mapping[str, Any]],
    data: Path,
    results: Path,
    folder: Path,
    *,
    margins: Mapping[str, float],
    recipes: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write `index.html`, a page a task that has experiments and a data set, `claims.html` and `summary.md`.

    Parameters
    ----------
    profile
        The configuration's profile.
    tasks
        The configuration's tasks by name, in the order in which they appear.
    experiments
        The configuration's experiments by name, each with its `family`, `dataset` and `task`.
    data, results
        The project's two folders.
    folder
        Where the pages go, usually `results/report`.
    margins
        By kind of task, the difference of its headline score below which two methods are equal in practice.
    recipes
        By name: how networks are trained at the profile.

    Raises
    ------
    BakeoffError
        If a file that the report reads is missing.
    """
    read = [
        read_task(name, entry, experiments, data, results, margin=margins[entry["kind"]])
        for name, entry in tasks.items()
    ]
    names = dict.fromkeys(str(entry["dataset"]) for entry in tasks.values())
    datasets = [read_dataset(name, tasks, data) for name in names]
    read = with_segmenters(read)
    pages = render(profile, read, datasets, read_claims_table(results), recipes)
    pages["summary.md"] = summary(profile, read, datasets)
    with atomic_folder(folder) as beside:
        for name, page in pages.items():
            write_text(beside / name, page)
    size = sum(len(page.encode()) for page in pages.values()) / 1e6
    log.info("The report is %s (%d files, %.1f MB): open it in a browser.", folder / "index.html", len(pages), size)
