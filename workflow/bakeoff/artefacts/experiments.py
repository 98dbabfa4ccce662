"""What an experiment was run with, written beside its predictions: evaluation and report read this and no
configuration."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bakeoff.artefacts.atomic import write_text
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.layout import ABOUT
from bakeoff.artefacts.methods import method_facts


def write_settings(
    folder: Path,
    name: str,
    settings: Mapping[str, Any],
    *,
    recipe: Mapping[str, Any] | None = None,
    segmenter_cost: Mapping[str, Any] | None = None,
    mask_quality: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """Write `experiment.json` into an experiment's folder of predictions.

    Parameters
    ----------
    settings
        As `bakeoff.config.Config.experiment` gives them; what the method's own file says of it is written beside them.
    recipe
        How its networks were trained, at the profile; None where there is none.
    segmenter_cost
        `cost.json` of the network that predicts the masks in its pictures; None where there is none.
    mask_quality
        Mean Dice of these masks, by `fold` and `part`; None where there are none.
    """
    about = {"name": name, **settings, "facts": method_facts(settings), "recipe_settings": recipe}
    about |= {"segmenter_cost": segmenter_cost, "mask_quality": mask_quality}
    write_text(folder / ABOUT, json.dumps(about, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path, stage: str) -> dict[str, Any]:
    """A JSON file that a stage leaves.

    Raises
    ------
    BakeoffError
        If it is missing or damaged.
    """
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BakeoffError(f"{path} is missing: run `dvc repro {stage}`.") from None
    except ValueError as error:
        raise BakeoffError(f"{path} is damaged ({error}): run `dvc repro --force --single-item {stage}`.") from None
    return values
