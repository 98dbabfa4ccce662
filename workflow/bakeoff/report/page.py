"""The pages: one a task, one a data set, one on claims, and an index, each a file that needs nothing else."""

import logging
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib.resources import files
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bakeoff.report import audits, classes, gallery, sections
from bakeoff.report.claims import claims
from bakeoff.report.conventions import conventions
from bakeoff.report.costs import costs
from bakeoff.report.datacard import card
from bakeoff.report.pictures import PREDICTION_COLOUR, TRUTH_COLOUR, mask_key
from bakeoff.report.provenance import anchor, provenance
from bakeoff.report.reading import Dataset, Experiment, Task
from bakeoff.report.transfer import transfer
from bakeoff.report.verdicts import answer, pairs

# Bytes of one page, and of all pages together by profile: a tenth below 5 MB, for what a configuration may add, and 25
# MB.
LARGEST_PAGE = 5_000_000
LARGEST_REPORT = {"sample": 4_500_000}
LARGEST_REPORT_ELSEWHERE = 22_500_000
# Longer sides of pictures in pixels, the largest that fit are taken.
PICTURE_SIDES = (256, 192, 128, 96, 64, 48)
# Sections of a task's page: anchor, what has to be there for it, and words for the bar, in the order of the page.
SECTIONS = (
    ("ranking", "ranking", "Ranking"),
    ("pairs", "pairs", "Pairs"),
    ("strata", "strata", "Groups"),
    ("transfer", "transfer", "Transfer"),
    ("conventions", "conventions", "Counting"),
    ("by-class", "by_class", "Classes"),
    ("confusion", "confusions", "Confusion"),
    ("calibration", "calibrations", "Confidence"),
    ("class-curves", "class_curves", "Curves"),
    ("thresholds", "histograms", "Thresholds"),
    ("curves", "curves", "Learning"),
    ("pictures", "cases", "Pictures"),
    ("pictures", "mistakes", "Pictures"),
    ("label-errors", "label_errors", "Labels"),
    ("cost", "costs", "Cost"),
    ("audit", "checks", "Audit"),
    ("provenance", "provenance", "Provenance"),
)

log = logging.getLogger(__name__)


def render(
    profile: str,
    tasks: list[Task],
    datasets: list[Dataset],
    claimed: pd.DataFrame,
    recipes: Mapping[str, Mapping[str, Any]],
) -> dict[str, str]:
    """Every page as HTML, by file name, with pictures as large as fit into 5 MB a page and into the whole's budget.

    Parameters
    ----------
    profile
        The configuration's profile.
    tasks, datasets
        In the order in which they appear.
    claimed
        What became of published claims: `results/comparison/claims.csv`.
    recipes
        By name: how networks are trained at the profile.
    """
    shared = {
        "profile": profile,
        "style": _template("style.css"),
        "script": _template("tables.js") + _template("details.js"),
        "truth_colour": TRUTH_COLOUR,
        "prediction_colour": PREDICTION_COLOUR,
        "menu": _menu(tasks, datasets),
        "recipes": recipes,
    }
    pages = {"index.html": _page("index.html", {**shared, "title": "Bakeoff", **_index(profile, tasks, datasets)})}
    pages["claims.html"] = _page("claims.html", {**shared, **_claims(tasks, datasets, claimed)})
    pictured: dict[str, Callable[[int], str]] = {
        _task_file(task): _task_page(shared, task, tasks) for task in tasks if task.experiments
    }
    pictured |= {_dataset_file(dataset): partial(_dataset_page, shared, dataset) for dataset in datasets}
    room = LARGEST_REPORT.get(profile, LARGEST_REPORT_ELSEWHERE) - sum(len(page.encode()) for page in pages.values())
    return pages | fitting(pictured, room=room, largest=LARGEST_PAGE)


def fitting(pages: Mapping[str, Callable[[int], str]], *, room: int, largest: int) -> dict[str, str]:
    """Pages with pictures as large as fit.

    Parameters
    ----------
    pages
        By file name: what writes the page with pictures of so many pixels.
    room
        Bytes of all of them together.
    largest
        Bytes of any one of them.

    Returns
    -------
    dict
        By file name. While one page is too large its pictures become smaller; while all together are, those of one page
        after the other, the largest first. What the smallest pictures do not make fit stays too large,
        and is logged.
    """
    steps = dict.fromkeys(pages, 0)
    texts = {name: page(PICTURE_SIDES[0]) for name, page in pages.items()}
    sizes = {name: len(text.encode()) for name, text in texts.items()}
    while (name := _page_to_shrink(steps, sizes, room=room, largest=largest)) is not None:
        steps[name] += 1
        side = PICTURE_SIDES[steps[name]]
        log.info("%s, %.1f MB, gets pictures of %d pixels.", name, sizes[name] / 1e6, side)
        texts[name] = pages[name](side)
        sizes[name] = len(texts[name].encode())
    if sum(sizes.values()) > room or max(sizes.values(), default=0) > largest:
        log.warning("The report is too large (%.1f MB) even with the smallest pictures.", sum(sizes.values()) / 1e6)
    return texts


def _page_to_shrink(steps: Mapping[str, int], sizes: Mapping[str, int], *, room: int, largest: int) -> str | None:
    """One that is too large or, where all together are, the largest of those that have the largest pictures."""
    left = [name for name, step in steps.items() if step + 1 < len(PICTURE_SIDES)]
    too_large = [name for name in left if sizes[name] > largest]
    if too_large or sum(sizes.values()) > room:
        return min(too_large or left, key=lambda name: (steps[name], -sizes[name]), default=None)
    return None


def _task_file(task: Task) -> str:
    return f"{task.name}.html"


def _dataset_file(dataset: Dataset) -> str:
    return f"data-{dataset.name}.html"


def _menu(tasks: list[Task], datasets: list[Dataset]) -> list[tuple[str, list[tuple[str, str]]]]:
    return [
        ("Tasks", [(_task_file(task), task.name) for task in tasks if task.experiments]),
        ("Data", [(_dataset_file(dataset), dataset.name) for dataset in datasets]),
    ]


def _index(profile: str, tasks: list[Task], datasets: list[Dataset]) -> dict[str, Any]:
    return {
        "warnings": [
            *sections.data_warnings(*(dataset.prepared.about for dataset in datasets)),
            *sections.profile_warnings(profile, tasks),
        ],
        "tasks": [
            {
                "name": task.name,
                "title": task.about["title"],
                "asks": sections.question(task),
                "file": _task_file(task) if task.experiments else None,
                "answer": answer(task) if task.experiments else None,
                "made": _made(task, task.methods[0]) if task.experiments else None,
                "experiments": len(task.experiments),
                "audit": audits.summary(task),
            }
            for task in tasks
        ],
        "findings": sorted(
            (
                {**row, "task": task.name, "file": _task_file(task) if task.experiments else None}
                for task in tasks
                for row in audits.findings(task)
            ),
            key=lambda row: row["order"],
        ),
        "leakage_effects": [
            {"task": task.name, "file": _task_file(task), "words": words}
            for task in tasks
            for words in audits.shown_effects(task)
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


def _made(task: Task, experiment: Experiment) -> str:
    """Where it is said how an experiment's numbers were made."""
    return f"{_task_file(task)}#{anchor(task, experiment)}"


def _claims(tasks: list[Task], datasets: list[Dataset], claimed: pd.DataFrame) -> dict[str, Any]:
    pages = {experiment.name: _made(task, experiment) for task in tasks for experiment in task.experiments}
    return {
        "title": "Bakeoff: claims",
        "warnings": sections.data_warnings(*(dataset.prepared.about for dataset in datasets)),
        "claims": claims(claimed, pages),
    }


def _task_page(shared: Mapping[str, Any], task: Task, tasks: list[Task]) -> Callable[[int], str]:
    """What writes a task's page with pictures of so many pixels; all but the pictures is made once."""
    fixed = _fixed_sections(task, tasks, shared["recipes"])
    warnings = [
        *sections.data_warnings(task.about),
        *sections.profile_warnings(shared["profile"], [task]),
        *sections.weights_warnings(task),
        *audits.warnings(task),
    ]

    def page(side: int) -> str:
        values = {**fixed, **_pictures(task, side)}
        bar = [(anchor, words) for anchor, key, words in SECTIONS if values[key]]
        named = {"title": f"Bakeoff: {task.name}", "warnings": warnings}
        return _page("task.html", {**shared, **named, "task": {**values, "sections": bar}})

    return page


def _fixed_sections(task: Task, tasks: list[Task], recipes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """All sections of a task without pictures."""
    masks = task.target is None
    return {
        "name": task.name,
        "title": task.about["title"],
        "asks": sections.question(task),
        "images": sections.image_counts(task),
        "target": task.target,
        "score_name": task.measure.title,
        "margin": f"{task.margin:g}",
        "data_file": f"data-{task.about['name']}.html",
        "answer": answer(task),
        "ranking": _trusted(sections.ranking(task), "figure"),
        "pairs": pairs(task),
        "strata": sections.strata(task),
        "transfer": transfer(task, tasks),
        "conventions": conventions(task) if masks else None,
        "by_class": None if masks else classes.by_class(task),
        "by_class_scores": None if masks else classes.by_class_scores(task),
        "confusions": None if masks else _with_charts(classes.confusions(task)),
        "calibrations": None if masks else _with_charts(classes.calibrations(task)),
        "class_curves": None if masks else _with_charts(classes.curves(task)),
        "curves": _charts(sections.curves(task)),
        "costs": _with_charts(costs(task)),
        "checks": audits.checks(task),
        "leakage_effects": audits.leakage_effects(task),
        "provenance": provenance(task, recipes),
    }


def _pictures(task: Task, side: int) -> dict[str, Any]:
    """The sections of a task with pictures, of so many pixels at the longer side."""
    masks = task.target is None
    return {
        "cases": gallery.cases(task, side) if masks else None,
        "mask_key": mask_key(task.prepared.classes) if masks else None,
        "disagreements": gallery.disagreements(task, side) if masks else None,
        "doubtful": gallery.doubtful_masks(task, side) if masks else None,
        "class_disagreements": None if masks else gallery.class_disagreements(task, side),
        "histograms": _charts(sections.histograms(task, side)) if masks else None,
        "mistakes": None if masks else gallery.mistakes(task, side),
        "label_errors": None if masks else gallery.label_errors(task, side),
    }


def _charts(section: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [_trusted(each, "chart") for each in section]


def _with_charts(section: dict[str, Any]) -> dict[str, Any]:
    return {**section, "charts": _charts(section["charts"])}


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
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("bakeoff.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _trusted(section: dict[str, Any], key: str) -> dict[str, Any]:
    """A section whose `key` is SVG that this project drew, and so is not escaped."""
    return {**section, key: Markup(section[key])}


def _template(name: str) -> Markup:
    return Markup(files("bakeoff.report").joinpath("templates", name).read_text(encoding="utf-8"))
