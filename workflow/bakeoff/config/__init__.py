"""The configuration, `params.yaml`: read, checked once, resolved for a profile, edited in place."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.config.editing import edit, load
from bakeoff.config.messages import sentences
from bakeoff.config.references import wrong_references
from bakeoff.config.schema import CONFIG_FILE, MAX_SEEDS, PROFILES, Config

__all__ = ["CONFIG_FILE", "MAX_SEEDS", "PROFILES", "Config", "check_config", "read_config", "set_values"]


def read_config(path: Path = CONFIG_FILE) -> Config:
    """Read and check the configuration.

    Raises
    ------
    BakeoffError
        One sentence a mistake, with the key's path and the nearest valid name.
    """
    return check_config(load(path), path)


def check_config(values: Any, path: Path = CONFIG_FILE) -> Config:
    """Check the values of a configuration: keys, types and ranges, and that what it names exists.

    Raises
    ------
    BakeoffError
        As `read_config`.
    """
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        raise BakeoffError("\n".join(sentences(error, path))) from None
    mistakes = [f"{path}: {mistake}" for mistake in wrong_references(config)]
    if mistakes:
        raise BakeoffError("\n".join(mistakes))
    return config


def set_values(assignments: Iterable[str], path: Path = CONFIG_FILE) -> None:
    """Set `KEY=VALUE` pairs, keeping comments and order; nothing is written unless all of it is valid.

    A value is read as YAML: `true`, `3`, `0.1`, `null`, `[1, 2]` and `{size: 96}` mean what they mean there.

    Raises
    ------
    BakeoffError
        If a pair is no pair or no YAML, or the configuration would not be valid.
    """
    edit(assignments, path, lambda values: check_config(values, path))
