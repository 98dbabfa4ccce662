"""The stage that evaluates a task: scores, comparison, audit, leakage effects and model cards."""

import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd

from bakeoff.artefacts.atomic import atomic_folder, write_text
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.experiments import read_json
from bakeoff.artefacts.layout import CARD, ExperimentFolder, Project
from bakeoff.artefacts.prepared import open_prepared, read_folds
from bakeoff.artefacts.provenance import thread_count
from bakeoff.cards.card import card
from bakeoff.cards.notes import medical_note
from bakeoff.evaluation.separation import Separation
from bakeoff.leakage.audit import audit
from bakeoff.leakage.designs import designs
from bakeoff.leakage.effects import TaskImages, leakage_effects
from bakeoff.tasks.comparing import compare
from bakeoff.tasks.scoring import score, separation_of

# Written by `score`, and kept where DVC draws them from: a folder a kind, a file an experiment.
PLOTS = ("curves", "confusion")


def evaluate(
    task: str,
    settings: Mapping[str, Any],
    names: Iterable[str],
    project: Project,
    *,
    resamples: int,
    margin: float,
) -> None:
    """Write `results/evaluation/TASK`, whole or not at all.

    Parameters
    ----------
    task, settings
        Its name and its entry in the configuration.
    names
        The experiments that the configuration has in this task.
    resamples
        Bootstrap resamples an interval.
    margin
        The difference in the headline score below which two methods are equal in practice.

    Raises
    ------
    BakeoffError
        If an experiment's predictions are missing or of another split, or `results/TASK` holds an experiment that the
        configuration does not have.
    """
    folders = _folders(task, names, project)
    prepared, split = project.prepared(settings["dataset"]), project.split(task)
    experiments = {name: read_json(folder.about, f"train@{name}") for name, folder in folders.items()}
    costs = {name: read_json(folder.predictions / "cost.json", f"train@{name}") for name, folder in folders.items()}
    with atomic_folder(project.evaluation(task)) as beside:
        for plots in PLOTS:
            (beside / plots).mkdir()
        separation = _write_separation(settings, prepared, split, beside)
        one = partial(
            _score,
            target=settings["target"],
            prepared=prepared,
            split=split,
            beside=beside,
            resamples=resamples,
            ranked_by=settings.get("score"),
            separation=separation,
        )
        metrics = dict(zip(folders, _each(one, folders.values()), strict=True))
        write_text(beside / "metrics.json", json.dumps(metrics, indent=2, allow_nan=False) + "\n")
        audit(task, settings, prepared, split, beside, resamples=resamples)
        predictions = {name: folder.predictions for name, folder in folders.items()}
        compare(
            task,
            settings,
            experiments,
            costs,
            predictions,
            prepared,
            split,
            beside,
            resamples=resamples,
            margin=margin,
        )
        _write_effects(task, settings, experiments, prepared, split, beside, resamples)
        _write_cards(settings, experiments, costs, metrics, folders, prepared, split, beside)


def _write_separation(settings: Mapping[str, Any], prepared: Path, split: Path, beside: Path) -> Separation | None:
    """`separation.json`: how the masks of the task come apart into objects; null where these are not told apart."""
    data = open_prepared(prepared)
    masks = settings["target"] is None
    separation = separation_of(data, read_folds(split, data), settings.get("score")) if masks else None
    write_text(beside / "separation.json", json.dumps(separation and separation._asdict()) + "\n")
    return separation


def _folders(task: str, names: Iterable[str], project: Project) -> dict[str, ExperimentFolder]:
    """What the task's experiments left, in the configuration's order."""
    found, wanted = project.experiments(task), list(names)
    if strangers := sorted(set(found) - set(wanted)):
        raise BakeoffError(
            f"{found[strangers[0]].path} belongs to no experiment of params.yaml in task '{task}': delete the folder, "
            "or put the experiment back."
        )
    if missing := [name for name in wanted if name not in found]:
        raise BakeoffError(
            f"{project.task(task)} holds no predictions of '{missing[0]}': run `dvc repro evaluate@{task}`."
        )
    return {name: found[name] for name in wanted}


def _each(function: Any, items: Iterable[Any]) -> list[Any]:
    """The function of every item, by several processes where there are cores for them."""
    items = list(items)
    processes = min(thread_count(), len(items))
    if processes < 2:
        return [function(item) for item in items]
    try:
        with ProcessPoolExecutor(processes, mp_context=get_context("fork"), initializer=_with_one_thread) as pool:
            return list(pool.map(function, items))
    except BrokenProcessPool:
        raise BakeoffError(
            "A process of the evaluation was killed, most likely because memory ran out: set OMP_NUM_THREADS=1, which "
            "scores one method at a time, and run the same command again."
        ) from None


def _with_one_thread() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"


def _score(
    experiment: ExperimentFolder,
    target: str | None,
    prepared: Path,
    split: Path,
    beside: Path,
    resamples: int,
    ranked_by: str | Mapping[str, str] | None,
    separation: Separation | None,
) -> dict[str, Any]:
    folder = beside / "experiments" / experiment.name
    folder.mkdir(parents=True)
    metrics = score(
        experiment.name,
        target,
        prepared,
        split,
        experiment.predictions,
        folder,
        resamples=resamples,
        ranked_by=ranked_by,
        separation=separation,
    )
    if target is not None:
        for plots in PLOTS:
            (folder / f"{plots}.csv").rename(beside / plots / f"{experiment.name}.csv")
    return metrics


def _write_effects(
    task: str,
    settings: Mapping[str, Any],
    experiments: Mapping[str, Mapping[str, Any]],
    prepared: Path,
    split: Path,
    beside: Path,
    resamples: int,
) -> None:
    """Leakage effects between experiments of this task; those between tasks are in the index."""
    data = open_prepared(prepared)
    images = {task: TaskImages(data.index, read_folds(split, data))}
    pairs = designs(experiments, {task: settings})
    named = {name for pair in pairs for name in (pair.without_leak, pair.with_leak)}
    scores = {
        name: pd.read_csv(beside / "experiments" / name / "scores.csv", dtype={"id": str}, keep_default_na=False)
        for name in named
    }
    table = leakage_effects(pairs, scores, experiments, {task: settings}, images, resamples=resamples)
    write_text(beside / "leakage.csv", table.to_csv(index=False, float_format="%.6g"))


def _write_cards(
    settings: Mapping[str, Any],
    experiments: Mapping[str, Mapping[str, Any]],
    costs: Mapping[str, Mapping[str, Any]],
    metrics: Mapping[str, Mapping[str, Any]],
    folders: Mapping[str, ExperimentFolder],
    prepared: Path,
    split: Path,
    beside: Path,
) -> None:
    """`card.md` of every experiment, and `experiment.json`: what it was run with, what it cost, how it was trained."""
    data = open_prepared(prepared)
    folds, audited = read_folds(split, data), json.loads((beside / "audit.json").read_text())
    for name, entry in experiments.items():
        folder = beside / "experiments" / name
        trainings = [json.loads(path.read_text()) for path in sorted(folders[name].models.glob("seed*.json"))]
        text = card(
            name,
            entry,
            data.about,
            metrics[name],
            costs[name],
            task=settings,
            folds=folds,
            audit=audited,
            note=medical_note(data.about),
            weights=next((training["weights"] for training in trainings), None),
            recipe=entry["recipe_settings"],
            shown=entry["pictures"],
        )
        write_text(folder / CARD, text)
        about = {"entry": entry, "cost": costs[name], "trainings": trainings}
        write_text(folder / "experiment.json", json.dumps(about, indent=2, ensure_ascii=False) + "\n")
