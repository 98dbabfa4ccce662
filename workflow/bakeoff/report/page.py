"""The page: every section rendered into one file that needs nothing else."""

import logging
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bakeoff.report import sections
from bakeoff.report.pictures import PREDICTION_COLOUR, TRUTH_COLOUR
from bakeoff.report.reading import Dataset

LARGEST_PAGE = 5_000_000
PICTURE_SIDES = (256, 192, 128, 96)

log = logging.getLogger(__name__)


def render(profile: str, datasets: list[Dataset]) -> str:
    """The page as HTML, with pictures as large as fit into 5 MB.

    Parameters
    ----------
    profile
        The book's profile.
    datasets
        In the order in which they appear.
    """
    for side in PICTURE_SIDES:
        page = _render(profile, datasets, side)
        if len(page.encode()) < LARGEST_PAGE:
            return page
        log.info("The report with pictures of %d pixels is above 5 MB: smaller ones.", side)
    return page


def _render(profile: str, datasets: list[Dataset], side: int) -> str:
    environment = Environment(
        loader=PackageLoader("bakeoff.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        profile=profile,
        style=_template("style.css"),
        script=_template("tables.js"),
        warnings=sections.warnings(datasets),
        truth_colour=TRUTH_COLOUR,
        prediction_colour=PREDICTION_COLOUR,
        datasets=[_dataset(dataset, side) for dataset in datasets],
    )


def _dataset(dataset: Dataset, side: int) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "title": dataset.about["title"],
        "answer": sections.answer(dataset),
        "ranking": _trusted(sections.ranking(dataset), "figure"),
        "strata": sections.strata(dataset),
        "cases": sections.cases(dataset, side),
        "histograms": [_trusted(each, "chart") for each in sections.histograms(dataset, side)],
        "curves": [_trusted(each, "chart") for each in sections.curves(dataset)],
        "data": sections.data(dataset, side),
        "costs": sections.costs(dataset),
        "cost_notes": sections.cost_notes(dataset),
        "reproduction": sections.reproduction(dataset),
    }


def _trusted(section: dict[str, Any], key: str) -> dict[str, Any]:
    """A section whose `key` is SVG that this project drew, and so is not escaped."""
    return {**section, key: Markup(section[key])}


def _template(name: str) -> Markup:
    return Markup(files("bakeoff.report").joinpath("templates", name).read_text(encoding="utf-8"))
