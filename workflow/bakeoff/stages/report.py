"""Report: one self-contained page from everything that the other stages wrote."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bakeoff.predictions import write_text
from bakeoff.report.page import render
from bakeoff.report.reading import read_dataset

log = logging.getLogger(__name__)


def report(
    profile: str,
    datasets: Mapping[str, Any],
    experiments: Mapping[str, Mapping[str, Any]],
    data: Path,
    results: Path,
    folder: Path,
) -> None:
    """Write `index.html`.

    Parameters
    ----------
    profile
        The book's profile.
    datasets
        The book's data sets by name; each gets its part of the page, in this order.
    experiments
        The book's experiments by name, each with its `family` and `dataset`.
    data, results
        The project's two folders.
    folder
        Where the page goes, usually `results/report`.

    Raises
    ------
    BakeoffError
        If a file that the report reads is missing.
    """
    page = render(profile, [read_dataset(name, experiments, data, results) for name in datasets])
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "index.html", page)
    log.info("The report is %s (%.1f MB): open it in a browser.", folder / "index.html", len(page.encode()) / 1e6)
