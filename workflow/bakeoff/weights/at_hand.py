"""Whether published weights can be had, looked at without fetching them."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import requests

from bakeoff.datasets.acquisition.fetch import PARTIAL, part_of_mirror

SECONDS = 3.0  # for an answer of a server
NETWORKS = Path(__file__).parent / "networks"


class Place(NamedTuple):
    """Where published weights are.

    Attributes
    ----------
    words
        For a person.
    fetched
        Whether they lie on this machine.
    """

    words: str
    fetched: bool


def find_weights(network: str, folder: Path, mirror: str | None, partial: Path = PARTIAL) -> Place | None:
    """Where the weights of a network can be had; None if nowhere.

    Parameters
    ----------
    network
        Module of `bakeoff.weights.networks`.
    folder
        `data/weights/NAME`, where they may have been provided.
    mirror
        Folder or address; None for none.

    Raises
    ------
    BakeoffError
        If the mirror is a folder that does not exist.
    """
    if (folder / "model.safetensors").is_file():
        return Place(str(folder), True)
    file = _published(network)
    names = (f"{network}.safetensors", file["name"])
    for name in names:
        if (stored := partial / f"weights-{network}" / name).is_file():
            return Place(str(stored), True)
    inside = part_of_mirror(mirror, "weights") if mirror else None
    for address in [*(f"{inside}/{name}" for name in names if inside), *file["urls"]]:
        if "://" not in address and Path(address).is_file():
            return Place(address, True)
        if "://" in address and _answers(address):
            return Place(address, False)
    return None


def _answers(address: str) -> bool:
    try:
        return requests.head(address, timeout=SECONDS, allow_redirects=True).ok
    except requests.RequestException:
        return False


def _published(network: str) -> dict[str, Any]:
    """`FILE` of a network's module, read without importing it, which would import torch."""
    module = ast.parse((NETWORKS / f"{network}.py").read_text(encoding="utf-8"))
    for statement in module.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="FILE")], value=ast.Call(keywords=keywords)):
                return {str(each.arg): ast.literal_eval(each.value) for each in keywords}
    raise ValueError(f"{network} has no FILE")


def missing_weights(
    entries: Mapping[str, Any], profile: str, weights: Path, mirror: str | None
) -> Iterator[tuple[str, str]]:
    """Entries of the configuration's `weights` that cannot be had and that nothing may stand in for, and the network.

    Parameters
    ----------
    entries
        By name, see `bakeoff.config.schema.Weights`.
    weights
        `data/weights`.
    """
    for name, entry in entries.items():
        settings = getattr(entry, profile)
        wanted = settings.from_ == "official" and settings.otherwise == "fail"
        if wanted and find_weights(entry.network, weights / name, mirror) is None:
            yield name, entry.network
