"""The pages: one a task, one a data set, one on claims, and an index, each a file that needs nothing else."""

import logging
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bakeoff.report import audits, classes, gallery, sections, wording
from bakeoff.report.claims import claims
from bakeoff.report.conventions import conventions
from bakeoff.report.costs import costs
from bakeoff.report.datacard import card, task_split
from bakeoff.report.mask_classes import mask_classes
from bakeoff.report.pictures import PREDICTION_COLOUR, TRUTH_COLOUR, mask_key
from bakeoff.report.provenance import anchor, provenance
from bakeoff.report.reading import Dataset, Experiment, Task
from bakeoff.report.transfer import transfers
from bakeoff.report.verdicts import answer, pairs

# Bytes of one page: a task's with all its pictures, or a data card.
LARGEST_PAGE = {"sample": 1_000_000}
LARGEST_PAGE_ELSEWHERE = 3_000_000
# Longer sides of pictures in pixels, the largest that fit are taken.
PICTURE_SIDES = (256, 192, 128, 96, 64, 48)
# Sections of a task's page: anchor, what has to be there for it, and words for the bar, in the order of the page.
SECTIONS = (
    ("ranking", "ranking", "Ranking"),
    ("pairs", "pairs", "Pairs"),
    ("strata", "strata", "Groups"),
    ("conventions", "conventions", "Counting"),
    ("mask-classes", "mask_classes", "Classes"),
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
    ("split", "split", "Split"),
    ("audit", "checks", "Audit"),
    ("provenance", "provenance", "Provenance"),
)

log = logging.getLogger(__name__)


def task_page(profile: str, task: Task) -> str:
    """The page of a task as HTML, with pictures as large as fit.

    Parameters
    ----------
    profile
        The configuration's profile.
    """
    fixed = _fixed_sections(task)
    warnings = [
        *sections.data_warnings(task.about),
        *sections.profile_warnings(profile, [task]),
        *sections.weights_warnings(task),
        *audits.warnings(task),
    ]

    def page(side: int) -> str:
        values = {**fixed, **_pictures(task, side)}
        bar = [(anchor, words) for anchor, key, words in SECTIONS if values[key]]
        named = {"title": f"Bakeoff: {task.name}", "warnings": warnings}
        return _page("task.html", profile, {**named, "task": {**values, "sections": bar}})

    return fitting(page, largest=_largest(profile), name=_task_file(task))


def dataset_page(profile: str, dataset: Dataset) -> str:
    """The data card of a data set as HTML, with pictures as large as fit."""
    about = dataset.prepared.about

    def page(side: int) -> str:
        values = {"name": dataset.name, "title": about["title"], "card": card(dataset.prepared, dataset.audit, side)}
        warnings = sections.data_warnings(about)
        return _page(
            "dataset.html", profile, {"title": f"Bakeoff: {about['title']}", "warnings": warnings, "dataset": values}
        )

    return fitting(page, largest=_largest(profile), name=_dataset_file(dataset))


def index_page(profile: str, tasks: list[Task], datasets: list[Dataset], effects: pd.DataFrame) -> str:
    """The page that leads to all others, as HTML.

    Parameters
    ----------
    profile
        The configuration's profile.
    tasks, datasets
        In the order in which they appear.
    effects
        Leakage effects between tasks, as `bakeoff.leakage.effects.leakage_effects` returns them.
    """
    menu = {"menu": _menu(tasks, datasets), "published": published(datasets)}
    values = {"title": "Bakeoff", **menu, **_index(profile, tasks, datasets, effects)}
    return _page("index.html", profile, values)


def claims_page(profile: str, tasks: list[Task], datasets: list[Dataset], claimed: pd.DataFrame) -> str:
    """The page on published claims, as HTML; `claimed` is `claims.csv`."""
    menu = {"menu": _menu(tasks, datasets), "published": published(datasets)}
    return _page("claims.html", profile, {**menu, **_claims(tasks, datasets, claimed)})


def published(datasets: list[Dataset]) -> bool:
    """Whether claims may be about one of the data sets: nobody claims anything of one's own images."""
    return any(dataset.prepared.about["source"] for dataset in datasets)


def _largest(profile: str) -> int:
    return LARGEST_PAGE.get(profile, LARGEST_PAGE_ELSEWHERE)


def fitting(page: Callable[[int], str], *, largest: int, name: str) -> str:
    """A page with pictures as large as fit.

    Parameters
    ----------
    page
        Writes the page with pictures of so many pixels at the longer side.
    largest
        Bytes that it may have; one that has more even with the smallest pictures is logged.
    name
        Of its file, for the log.
    """
    text = ""
    for side in PICTURE_SIDES:
        text = page(side)
        if len(text.encode()) <= largest:
            return text
    log.warning("%s is large (%.1f MB) even with the smallest pictures.", name, len(text.encode()) / 1e6)
    return text


def _task_file(task: Task) -> str:
    return f"{task.name}.html"


def _dataset_file(dataset: Dataset) -> str:
    return f"data-{dataset.name}.html"


def _menu(tasks: list[Task], datasets: list[Dataset]) -> list[tuple[str, list[tuple[str, str]]]]:
    return [
        ("Tasks", [(_task_file(task), task.name) for task in tasks]),
        ("Data", [(_dataset_file(dataset), dataset.name) for dataset in datasets]),
    ]


def _index(profile: str, tasks: list[Task], datasets: list[Dataset], effects: pd.DataFrame) -> dict[str, Any]:
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
                "file": _task_file(task),
                "answer": answer(task),
                "made": _made(task, task.methods[0]),
                "experiments": len(task.experiments),
                "audit": audits.summary(task),
            }
            for task in tasks
        ],
        "findings": sorted(
            ({**row, "task": task.name, "file": _task_file(task)} for task in tasks for row in audits.findings(task)),
            key=lambda row: row["order"],
        ),
        "leakage_effects": [
            {"task": task.name, "file": _task_file(task), "words": words}
            for task in tasks
            for words in audits.shown_effects(task.leakage_effects)
        ],
        "effects_between_tasks": audits.leakage_effects(effects),
        "transfers": transfers(tasks),
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


def _fixed_sections(task: Task) -> dict[str, Any]:
    """All sections of a task without pictures."""
    masks = task.target is None
    return {
        "name": task.name,
        "title": task.about["title"],
        "asks": sections.question(task),
        "images": sections.image_counts(task),
        "target": task.target,
        "score_name": task.measure.title,
        "score_mean": wording.sentence(task.measure.mean),
        "ranked_by": task.measure.headline,
        "scored": sections.scored_words(task) if masks else "",
        "foreground": wording.listed([task.prepared.classes[index] for index in task.mask_score.scored])
        if masks
        else "",
        "of_pixels": task.mask_score.of_pixels.title if masks else "",
        "void": masks and task.void,
        "every_class": masks and "mean_iou" in task.experiments[0].scores,
        "objects": masks and task.prepared.objects is not None,
        "margin": f"{task.margin:g}",
        "data_file": f"data-{task.about['name']}.html",
        "answer": answer(task),
        "ranking": _trusted(sections.ranking(task), "figure"),
        "pairs": pairs(task),
        "strata": sections.strata(task),
        "conventions": conventions(task) if masks else None,
        "mask_classes": _with_pixels(mask_classes(task)),
        "by_class": None if masks else classes.by_class(task),
        "by_class_scores": None if masks else classes.by_class_scores(task),
        "confusions": None if masks else _with_charts(classes.confusions(task)),
        "calibrations": None if masks else _with_charts(classes.calibrations(task)),
        "class_curves": None if masks else _with_charts(classes.curves(task)),
        "curves": _charts(sections.curves(task)),
        "costs": _with_charts(costs(task)),
        "checks": audits.checks(task),
        "leakage_effects": audits.leakage_effects(task.leakage_effects),
        "mask_quality": audits.mask_quality(task),
        "split": task_split(task),
        "provenance": provenance(task),
    }


def _pictures(task: Task, side: int) -> dict[str, Any]:
    """The sections of a task with pictures, of so many pixels at the longer side."""
    masks = task.target is None
    return {
        "cases": gallery.cases(task, side) if masks else None,
        "mask_key": mask_key(task.prepared.classes, task.prepared.background, void=task.void) if masks else None,
        "disagreements": gallery.disagreements(task, side) if masks else None,
        "doubtful": gallery.doubtful_masks(task, side) if masks else None,
        "class_disagreements": None if masks else gallery.class_disagreements(task, side),
        "histograms": _charts(sections.histograms(task, side)) if masks else None,
        "mistakes": None if masks else gallery.mistakes(task, side),
        "label_errors": None if masks else gallery.label_errors(task, side),
    }


def _with_pixels(section: dict[str, Any] | None) -> dict[str, Any] | None:
    return section and {**section, "confusion": _trusted(section["confusion"], "chart")}


def _charts(section: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [_trusted(each, "chart") for each in section]


def _with_charts(section: dict[str, Any]) -> dict[str, Any]:
    return {**section, "charts": _charts(section["charts"])}


def _page(template: str, profile: str, values: Mapping[str, Any]) -> str:
    shared = {
        "profile": profile,
        "style": _template("style.css"),
        "script": _template("tables.js") + _template("details.js"),
        "truth_colour": TRUTH_COLOUR,
        "prediction_colour": PREDICTION_COLOUR,
        "menu": [],
        "published": False,
    }
    return _environment().get_template(template).render(**{**shared, **values})


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
