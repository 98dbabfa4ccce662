"""The stage of a task's baselines: every threshold or classical method, fitted and predicted one after the other."""

import logging
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

from bakeoff.artefacts.atomic import atomic_folder
from bakeoff.artefacts.cost import work_so_far
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.experiments import write_settings
from bakeoff.artefacts.layout import BASELINES, ExperimentFolder, Project

log = logging.getLogger(__name__)


def run_baselines(task: str, methods: Mapping[str, Mapping[str, Any]], seeds: int, project: Project) -> None:
    """Write `results/TASK/baselines/NAME` of every method of a task, all of them or none.

    Parameters
    ----------
    methods
        By name, as `bakeoff.config.Config.experiment` gives them.
    seeds
        How many a classical method that draws at random is fitted with.

    Raises
    ------
    BakeoffError
        If a method's settings are wrong, or the data set has nothing that it could learn.
    """
    with atomic_folder(project.task(task) / BASELINES) as beside:
        for number, (name, settings) in enumerate(methods.items(), 1):
            log.info("%s: %s, method %d of %d", task, name, number, len(methods))
            folder = ExperimentFolder(beside / name)
            folder.predictions.mkdir(parents=True)
            # A process of its own: the system knows the most memory that a process took, not a method.
            try:
                with ProcessPoolExecutor(1, mp_context=get_context("fork")) as process:
                    process.submit(_run, name, settings, seeds, project, folder).result()
            except BrokenProcessPool:
                raise BakeoffError(
                    f"{name}: its process was killed, most likely because memory ran out: free memory and run the same "
                    "command again, or make the data set's 'size' smaller."
                ) from None
            write_settings(folder.predictions, name, settings)


def _run(name: str, settings: Mapping[str, Any], seeds: int, project: Project, folder: ExperimentFolder) -> None:
    began = work_so_far()
    prepared, split = project.prepared(settings["dataset"]), project.split(settings["task"])
    if settings["family"] == "thresholds":
        from bakeoff.baselines.threshold_experiment import threshold

        threshold(name, dict(settings), prepared, split, folder.predictions)
        return
    # scikit-learn takes a second to import, and a threshold needs none of it.
    from bakeoff.baselines.classical_experiment import fit, predict

    fit(name, settings, settings["target"], seeds, prepared, split, folder.models)
    predict(name, settings["target"], prepared, split, folder.models, folder.predictions, began)
