"""The pages: one a task, one a data set, and an index, each rendered into a file that needs nothing else."""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bakeoff.report import classes, sections
from bakeoff.report.datacard import card
from bakeoff.report.pictures import PREDICTION_COLOUR, TRUTH_COLOUR
from bakeoff.report.reading import Dataset, Task

LARGEST_PAGE = 5_000_000
PICTURE_SIDES = (256, 192, 128, 96)
# Sections of a task's page: anchor, what has to be there for it, and words for the bar, in the order of the page.
SECTIONS = (
    ("ranking", "ranking", "Ranking"),
    ("strata", "strata", "Groups"),
    ("by-class", "by_class", "Classes"),
    ("confusion", "confusions", "Confusion"),
    ("calibration", "calibrations", "Confidence"),
    ("thresholds", "histograms", "Thresholds"),
    ("curves", "curves", "Learning"),
    ("pictures", "cases", "Pictures"),
    ("pictures", "mistakes", "Pictures"),
    ("cost", "costs", "Cost"),
    ("reproduce", "reproduction", "Reproduce"),
)

log = logging.getLogger(__name__)


def render(profile: str, tasks: list[Task], datasets: list[Dataset]) -> dict[str, str]:
    """Every page as HTML, by file name, each with pictures as large as fit into 5 MB.

    Parameters
    ----------
    profile
        The book's profile.
    tasks, datasets
        In the order in which they appear.
    """
    shared = {
        "profile": profile,
        "style": _template("style.css"),
        "script": _template("tables.js"),
        "truth_colour": TRUTH_COLOUR,
        "prediction_colour": PREDICTION_COLOUR,
        "menu": _menu(tasks, datasets),
    }
    pages = {"index.html": _page("index.html", {**shared, "title": "Bakeoff", **_index(tasks, datasets)})}
    for task in tasks:
        if task.experiments:
            pages[_task_file(task)] = _fitting(_task_file(task), partial(_task_page, shared, task))
    for dataset in datasets:
        name = _dataset_file(dataset)
        pages[name] = _fitting(name, partial(_dataset_page, shared, dataset))
    return pages


def _fitting(name: str, page: Callable[[int], str]) -> str:
    for side in PICTURE_SIDES:
        text = page(side)
        if len(text.encode()) < LARGEST_PAGE:
            return text
        log.info("%s with pictures of %d pixels is above 5 MB: smaller ones.", name, side)
    return text


def _task_file(task: Task) -> str:
    return f"{task.name}.html"


def _dataset_file(dataset: Dataset) -> str:
    return f"data-{dataset.name}.html"


def _menu(tasks: list[Task], datasets: list[Dataset]) -> list[tuple[str, list[tuple[str, str]]]]:
    return [
        ("Tasks", [(_task_file(task), task.name) for task in tasks if task.experiments]),
        ("Data", [(_dataset_file(dataset), dataset.name) for dataset in datasets]),
    ]


def _index(tasks: list[Task], datasets: list[Dataset]) -> dict[str, Any]:
    return {
        "warnings": [words for dataset in datasets for words in sections.data_warnings(dataset.prepared.about)],
        "tasks": [
            {
                "name": task.name,
                "kind": task.kind,
                "title": task.about["title"],
                "file": _task_file(task) if task.experiments else None,
                "answer": sections.answer(task) if task.experiments else None,
                "experiments": len(task.experiments),
            }
            for task in tasks
        ],
        "datasets": [
            {
                "name": dataset.name,
                "title": dataset.prepared.about["title"],
                "file": _dataset_file(dataset),
                "used": dataset.prepared.about["counts"]["used"],
                "dropped": dataset.prepared.about["counts"]["dropped"],
                "findings": len(dataset.audit),
            }
            for dataset in datasets
        ],
    }


def _task_page(shared: Mapping[str, Any], task: Task, side: int) -> str:
    return _page(
        "task.html",
        {
            **shared,
            "title": f"Bakeoff: {task.name}",
            "warnings": [*sections.data_warnings(task.about), *sections.weights_warnings(task)],
            "task": _task(task, side),
        },
    )


def _task(task: Task, side: int) -> dict[str, Any]:
    values = {
        "name": task.name,
        "title": task.about["title"],
        "target": task.target,
        "score_name": task.measure.title,
        "data_file": f"data-{task.about['name']}.html",
        "answer": sections.answer(task),
        "ranking": _trusted(sections.ranking(task), "figure"),
        "strata": sections.strata(task),
        "curves": _charts(sections.curves(task)),
        "costs": sections.costs(task),
        "cost_notes": sections.cost_notes(task),
        "reproduction": sections.reproduction(task),
        **(_mask_sections(task, side) if task.target is None else _class_sections(task, side)),
    }
    return {**values, "sections": [(anchor, words) for anchor, key, words in SECTIONS if values[key]]}


def _mask_sections(task: Task, side: int) -> dict[str, Any]:
    return {
        "cases": sections.cases(task, side),
        "histograms": _charts(sections.histograms(task, side)),
        **dict.fromkeys(("by_class", "confusions", "calibrations", "mistakes")),
    }


def _class_sections(task: Task, side: int) -> dict[str, Any]:
    return {
        "by_class": classes.by_class(task),
        "confusions": _charts(classes.confusions(task)),
        "calibrations": _charts(classes.calibrations(task)),
        "mistakes": classes.cases(task, side),
        **dict.fromkeys(("cases", "histograms")),
    }


def _charts(section: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [_trusted(each, "chart") for each in section]


def _dataset_page(shared: Mapping[str, Any], dataset: Dataset, side: int) -> str:
    about = dataset.prepared.about
    return _page(
        "dataset.html",
        {
            **shared,
            "title": f"Bakeoff: {about['title']}",
            "warnings": sections.data_warnings(about),
            "dataset": {
                "name": dataset.name,
                "title": about["title"],
                "card": card(dataset.prepared, dataset.audit, dataset.splits, side),
            },
        },
    )


def _page(template: str, values: Mapping[str, Any]) -> str:
    environment = Environment(
        loader=PackageLoader("bakeoff.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def _trusted(section: dict[str, Any], key: str) -> dict[str, Any]:
    """A section whose `key` is SVG that this project drew, and so is not escaped."""
    return {**section, key: Markup(section[key])}


def _template(name: str) -> Markup:
    return Markup(files("bakeoff.report").joinpath("templates", name).read_text(encoding="utf-8"))
