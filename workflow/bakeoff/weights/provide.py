"""Provides pretrained weights as safetensors: a mirror's, the published ones, or random ones that say so."""

import importlib
import json
import logging
from pathlib import Path
from pickle import UnpicklingError
from types import ModuleType
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from bakeoff.artefacts.atomic import atomic_folder, write_text
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.acquisition.fetch import (
    PARTIAL,
    Fetched,
    Fetcher,
    NotAvailable,
    discard,
    exclusive_fetcher,
    generated_file,
    part_of_mirror,
    place,
)
from bakeoff.datasets.archives.remote import RemoteFile

log = logging.getLogger(__name__)

MODEL = "model.safetensors"
ABOUT = "weights.json"
REMEDY = "put safetensors into the mirror instead."
Tensors = dict[str, torch.Tensor]


def provide(
    name: str,
    settings: dict[str, Any],
    folder: Path,
    *,
    mirror: str | None,
    attempts: int,
    timeout: float,
    partial: Path = PARTIAL,
) -> None:
    """Write `model.safetensors`, with the published network's key names, and `weights.json`, which describes them.

    Parameters
    ----------
    name
        Module of `bakeoff.weights.networks`.
    settings
        `{"from": "nothing"}` writes an empty entry, for networks that start from random values. `{"from": "random",
        "seed": 0}` initialises at random. `{"from": "official"}` takes `MIRROR/weights/NAME.safetensors`, else the
        published checkpoint; with `"otherwise": "random"` and a `seed` it falls back to random weights, and says so, if
        neither is available. `stride_in`, for networks that have the choice, is the convolution of a bottleneck that
        strides in the mirror's own file if its metadata do not say: 3x3 as in torchvision's network, or 1x1 as in
        Keras'.
    folder
        `data/weights/NAME`; it appears whole or not at all.
    mirror
        Folder or http(s) address whose folder `weights` is looked at first. None for none.
    attempts, timeout
        As for `bakeoff.datasets.acquisition.fetch.Fetcher`, whose store is the folder `partial/weights-NAME`.

    Raises
    ------
    BakeoffError
        If the weights cannot be fetched and nothing may stand in for them, their checksum is wrong, they do not fit the
        network, or the disk is full.
    """
    if settings["from"] == "nothing":
        with atomic_folder(folder) as beside:
            write_text(beside / ABOUT, "null\n")
        return
    module = importlib.import_module(f"bakeoff.weights.networks.{name}")
    if settings.get("stride_in") and _stride_in(module) is None:
        raise BakeoffError(f"weights.{name} has a stride_in, but its network has no such choice: drop stride_in.")
    if settings["from"] == "random":
        with atomic_folder(folder) as beside:
            _write_random(module, settings["seed"], beside)
        return
    store = partial / f"weights-{name}"
    with (
        exclusive_fetcher(store, attempts=attempts, timeout=timeout) as fetcher,
        atomic_folder(folder) as beside,
    ):
        try:
            _write_published(name, module, settings, fetcher, mirror, beside)
        except NotAvailable as error:
            if settings.get("otherwise") != "random":
                raise
            _write_stand_in(module, settings["seed"], str(error), beside)


def _write_published(
    name: str, module: ModuleType, settings: dict[str, Any], fetcher: Fetcher, mirror: str | None, folder: Path
) -> None:
    beside_mirror = part_of_mirror(mirror, "weights") if mirror else None
    ready = RemoteFile(f"{name}.safetensors", urls=(), sha256=None)
    found = fetcher.obtain_from_mirror(ready, beside_mirror) if beside_mirror else None
    if found:
        _take(found, module, settings.get("stride_in") or _stride_in(module), folder)
    else:
        _convert(fetcher.obtain(module.FILE, beside_mirror), module, folder)


def _write_stand_in(module: ModuleType, seed: int, reason: str, folder: Path) -> None:
    """Random weights in place of published ones."""
    note = (
        f"NOT PRETRAINED: random weights from seed {seed} stand in for the published ones, since {reason} "
        f"Then force the stage: dvc repro --force --single-item weights@{_name(module)}."
    )
    log.warning(note)
    _write_random(module, seed, folder, note)


def _write_random(module: ModuleType, seed: int, folder: Path, note: str = "") -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tensors = module.network().state_dict()
    # Half precision: a random number loses nothing by it, and the file is half as large.
    save_file(
        {key: value.half() if value.is_floating_point() else value for key, value in tensors.items()}, folder / MODEL
    )
    note = note or f"random weights from seed {seed}, nothing pretrained"
    file = generated_file(folder / MODEL, f"random, seed {seed}", note)
    _write_about(folder, file, module, random=True, stride_in=_stride_in(module))


def _take(found: Fetched, module: ModuleType, stride_in: str | None, folder: Path) -> None:
    """A mirror's safetensors, byte for byte."""
    try:
        with safe_open(found.path, "pt") as opened:
            shapes = {key: list(opened.get_slice(key).get_shape()) for key in opened.keys()}  # noqa: SIM118 - no dict
            if _stride_in(module):
                stride_in = (opened.metadata() or {}).get("stride_in", stride_in)
    except SafetensorError as error:
        discard(found)
        raise BakeoffError(f"{found.url} is not a safetensors file ({error}): put another into the mirror.") from None
    _check_fit(shapes, module, found)
    place(found, folder).path.rename(folder / MODEL)
    _write_about(folder, found, module, random=False, stride_in=stride_in)


def _convert(found: Fetched, module: ModuleType, folder: Path) -> None:
    """The published checkpoint, once, into safetensors."""
    if not found.official:
        discard(found)
        raise BakeoffError(f"{found.url} is not the published {found.name}: {REMEDY}")
    # These weights are published as pickles only. The bytes are verified by now if a checksum is published, and with
    # weights_only torch builds tensors and refuses anything else that a pickle may ask for.
    try:
        tensors = _renamed(torch.load(found.path, map_location="cpu", weights_only=True), module)
    except (UnpicklingError, RuntimeError):
        discard(found)
        raise BakeoffError(f"{found.url} holds more than tensors: {REMEDY}") from None
    except (AttributeError, KeyError, TypeError, ValueError):
        discard(found)
        raise BakeoffError(f"{found.url} is not a checkpoint of {_name(module)}: {REMEDY}") from None
    # Older checkpoints lack the counters of the batch norms, which torch too sets to zero on loading.
    counters = {key: value for key, value in _empty(module).items() if key.endswith(".num_batches_tracked")}
    tensors = {key: torch.zeros(value.shape, dtype=value.dtype) for key, value in counters.items()} | tensors
    _check_fit({key: list(value.shape) for key, value in tensors.items()}, module, found)
    save_file({key: value.detach().contiguous() for key, value in tensors.items()}, folder / MODEL)
    _write_about(folder, found, module, random=False, stride_in=_stride_in(module))


def _renamed(checkpoint: Any, module: ModuleType) -> Tensors:
    """The checkpoint's tensors under the network's key names."""
    if hasattr(module, "renamed"):
        with torch.device("meta"):
            network = module.network()
        checkpoint = module.renamed(checkpoint, network)
    return cast(Tensors, checkpoint)


def _name(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


def _stride_in(module: ModuleType) -> str | None:
    """Where the published network strides; None if there is no choice."""
    return getattr(module, "STRIDE_IN", None)


def published_shapes(name: str) -> Tensors:
    """Tensors of published weights, by key name: shapes and types, without memory for their values."""
    return _empty(importlib.import_module(f"bakeoff.weights.networks.{name}"))


def _empty(module: ModuleType) -> Tensors:
    """Keys, shapes and types that the network has, without memory for its values."""
    with torch.device("meta"):
        tensors: Tensors = module.network().state_dict()
    return tensors


def _check_fit(shapes: dict[str, list[int]], module: ModuleType, found: Fetched) -> None:
    expected = {key: list(value.shape) for key, value in _empty(module).items()}
    wrong = sorted(key for key in expected.keys() | shapes.keys() if expected.get(key) != shapes.get(key))
    if wrong:
        discard(found)
        key = wrong[0]
        raise BakeoffError(
            f"{found.url} does not fit {_name(module)}: {len(wrong)} tensors differ, first {key} "
            f"(expected {expected.get(key, 'none')}, found {shapes.get(key, 'none')}): take a file with the keys of "
            "the published network."
        )


def _write_about(folder: Path, file: Fetched, module: ModuleType, *, random: bool, stride_in: str | None) -> None:
    about = {
        "source": file.url,
        "sha256": file.sha256,
        "official": file.official,
        "random": random,
        "note": file.note,
        "origin": module.ORIGIN,
        "licence": module.LICENCE,
    }
    if stride_in:
        about["stride_in"] = stride_in
    write_text(folder / ABOUT, json.dumps(about, indent=2) + "\n")
