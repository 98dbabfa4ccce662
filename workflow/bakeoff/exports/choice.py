"""Which networks are exported."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.layout import Project


def best_networks(networks: Mapping[str, Mapping[str, Any]], project: Project) -> list[str]:
    """Of each task the network with the best mean validation score over seeds and folds; test scores are not read.

    Networks that need a true mask with every image are left out: there is none for a new image. Of several with the
    same score the first one counts.

    Parameters
    ----------
    networks
        By name, as `bakeoff.config.Config.experiment` gives them.

    Raises
    ------
    BakeoffError
        If no such network was trained yet.
    """
    best: dict[str, tuple[float, str]] = {}
    for name, settings in networks.items():
        if settings["pictures"] is not None and settings["segmenter"] is None:
            continue
        score = _validation_score(project, name, settings)
        if score is not None and score > best.get(settings["task"], (-np.inf, ""))[0]:
            best[settings["task"]] = score, name
    if not best:
        raise BakeoffError(
            "No network was trained yet: run `snakemake --cores 8 --resources gpu=1` or `dvc repro`, and type the "
            "command again."
        )
    return [name for _, name in best.values()]


def _validation_score(project: Project, name: str, settings: Mapping[str, Any]) -> float | None:
    """Mean over the trainings; None where there are none."""
    models = project.experiment(settings["task"], name, settings["family"]).models
    scores = [json.loads(path.read_text())["best_validation_score"] for path in models.glob("seed*.json")]
    return float(np.mean(scores)) if scores else None


def exports_as_yaml(networks: Mapping[str, Mapping[str, Any]], names: Iterable[str], int8: Iterable[str]) -> str:
    """The configuration's `exports` with the networks of these names, a line each; those in `int8` with 8 bits too."""
    eight_bits = set(int8)
    return "\n".join(_entry(name, networks[name], name in eight_bits) for name in names) or "{}"


def _entry(name: str, network: Mapping[str, Any], int8: bool) -> str:
    values = {key: network[key] for key in ("task", "dataset", "images", "model")} | {"int8": str(int8).lower()}
    return f"{name}: {{{', '.join(f'{key}: {value}' for key, value in values.items())}}}"
