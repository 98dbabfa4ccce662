"""Where each number comes from: the command, code, data, parameters, weights, environment and time behind a method."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bakeoff.artefacts.layout import Project
from bakeoff.evaluation.comparison import score_command
from bakeoff.report import wording
from bakeoff.report.reading import Experiment, Task

# A page names files as they lie in a clone, wherever this one is.
PROJECT = Project()
# Of an entry of the configuration, what is said elsewhere in its row.
_SAID = ("name", "facts", "weights", "segmenter", "segmenter_cost", "mask_quality", "recipe_settings")


def anchor(task: Task, experiment: Experiment) -> str:
    """Id of the element that says where an experiment's numbers come from."""
    return f"{task.name}-provenance-{experiment.name}"


def provenance(task: Task) -> dict[str, Any]:
    """The record of every method of a task, the environments that they were made in, and the data."""
    environments: dict[str, str] = {}
    rows = [_record(task, experiment, environments) for experiment in task.experiments]
    about = task.about["provenance"]
    return {
        "rows": rows,
        "environments": [{"letter": letter, **json.loads(text)} for text, letter in environments.items()],
        "files": about["files"],
        "folder": about.get("folder"),
        "synthetic": task.about["synthetic"],
    }


def _record(task: Task, experiment: Experiment, environments: dict[str, str]) -> dict[str, Any]:
    entry, fits = experiment.entry, experiment.fits
    recipe = entry["recipe_settings"] or {}
    return {
        "label": experiment.label,
        "experiment": experiment.name,
        "anchor": anchor(task, experiment),
        "command": score_command(entry),
        "folder": f"{PROJECT.experiment(task.name, experiment.name, entry['family']).path}/",
        "scores": f"{PROJECT.evaluated(task.name, experiment.name)}/",
        "environments": _environments(experiment, environments),
        "parameters": list(flat({key: value for key, value in entry.items() if key not in _SAID})),
        "recipe": list(flat(recipe)),
        "weights": _weights(fits),
        "trainings": _trainings(fits),
        "seconds": wording.duration(_seconds(experiment)),
        "devices": wording.listed(list(dict.fromkeys(_devices(experiment)))) or "not recorded",
    }


def _environments(experiment: Experiment, known: dict[str, str]) -> list[tuple[str, str]]:
    """Letter of each environment that a method's files were made in, and the steps; new ones are added to `known`."""
    folds = any(fit.get("fold") for fit in experiment.fits)
    made = [("prediction", experiment.cost.get("manifest"))]
    made += [
        (f"training, seed {fit['seed']}" + (f", fold {fit['fold']}" if folds else ""), fit.get("manifest"))
        for fit in experiment.fits
    ]
    letters: dict[str, list[str]] = {}
    for step, manifest in made:
        if manifest:
            letter = known.setdefault(json.dumps(manifest, sort_keys=True), _letter(len(known)))
            letters.setdefault(letter, []).append(step)
    return [(letter, ", ".join(steps)) for letter, steps in letters.items()]


def _letter(index: int) -> str:
    return chr(ord("A") + index) if index < 26 else f"A{index}"


def flat(settings: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, str]]:
    """Keys and values of nested settings, as `augmentation.rotate`, `10`; what is not set is left out.

    Examples
    --------
    >>> list(flat({"model": "unet", "settings": {"norm": "batch", "side": None}}))
    [('model', 'unet'), ('settings.norm', 'batch')]
    """
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{within}{key}.")
        elif value is not None:
            yield f"{within}{key}", str(value).lower() if isinstance(value, bool) else str(value)


def _weights(fits: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every file of weights that trainings started from, once."""
    given = [fit["weights"] for fit in fits if isinstance(fit.get("weights"), Mapping)]
    return list({weights.get("sha256"): weights for weights in given}.values())


def _trainings(fits: list[dict[str, Any]]) -> str:
    seeds, folds = (sorted({fit.get(key, 0) for fit in fits}) for key in ("seed", "fold"))
    if not fits:
        return ""
    said = f"{wording.plural(len(fits), 'training')}: {'seed' if len(seeds) == 1 else 'seeds'} "
    said += wording.listed([str(seed) for seed in seeds])
    return said + (f", folds {wording.listed([str(fold) for fold in folds])}" if len(folds) > 1 else "")


def _seconds(experiment: Experiment) -> float | None:
    """Of all trainings together, or of the choices that a method without trainings makes."""
    spent = [fit.get("training_seconds") for fit in experiment.fits]
    known = [seconds for seconds in spent if seconds is not None]
    return sum(known) if known else experiment.cost.get("training_seconds")


def _devices(experiment: Experiment) -> Iterator[str]:
    for record in (*experiment.fits, experiment.cost):
        if record.get("device"):
            yield ", ".join(str(record[key]) for key in ("device", "precision") if record.get(key))
