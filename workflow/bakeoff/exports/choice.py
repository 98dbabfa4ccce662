"""Which networks are exported."""

import json
from typing import Any

import numpy as np

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.layout import Project


def best_networks(config: Any, project: Project) -> list[str]:
    """Of each task the network with the best mean validation score over seeds and folds; the test set has no say.

    Raises
    ------
    BakeoffError
        If no network was trained yet.
    """
    best: dict[str, tuple[float, str]] = {}
    for name in config.networks:
        settings = config.experiment(name)
        models = project.experiment(settings["task"], name, settings["family"]).models
        records = [json.loads(path.read_text()) for path in sorted(models.glob("seed*.json"))]
        if settings["oracle"] or not records:
            continue
        score = float(np.mean([record["best_validation_score"] for record in records]))
        if score > best.get(settings["task"], (-np.inf, ""))[0]:
            best[settings["task"]] = score, name
    if not best:
        raise BakeoffError("No network was trained yet: run the pipeline, then choose.")
    return [name for _, name in best.values()]


def entry(config: Any, name: str) -> str:
    """An entry of the configuration's `exports`, as YAML; what int8 says there already is kept."""
    network, known = config.networks[name], config.exports.get(name)
    values = {key: getattr(network, key) for key in ("task", "dataset", "images", "model")}
    fields = [f"{key}: {value}" for key, value in values.items()]
    return f"{name}: {{{', '.join([*fields, f'int8: {str(bool(known and known.int8)).lower()}'])}}}"
