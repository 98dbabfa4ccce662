"""Provides pretrained weights as safetensors: a mirror's, the published ones, or random ones that say so."""

import importlib
import json
from pathlib import Path
from pickle import UnpicklingError
from types import ModuleType
from typing import Any

import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from bakeoff.datasets.fetch import PARTIAL, Fetched, Fetcher, appearing, describe, discard, part_of_mirror, place
from bakeoff.datasets.remote import RemoteFile
from bakeoff.errors import BakeoffError

MODEL = "model.safetensors"
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
    """Write `model.safetensors`, with torchvision's key names, and `weights.json`, which says what they are.

    Parameters
    ----------
    name
        Module of `bakeoff.weights`.
    settings
        `{"from": "random", "seed": 0}` initialises at random. `{"from": "official", "stride_in": "3x3"}` takes
        `MIRROR/weights/NAME.safetensors`, else the published checkpoint. `stride_in` is the convolution of a
        bottleneck that strides in the mirror's own file where its metadata do not say: 3x3 as in torchvision's
        network, or 1x1 as in Keras'.
    folder
        `data/weights/NAME`; it appears whole or not at all.
    mirror, attempts, timeout, partial
        As for `bakeoff.datasets.fetch.fetch`.

    Raises
    ------
    BakeoffError
        If the weights cannot be fetched or verified, do not fit the network, or the disk is full.
    """
    module = importlib.import_module(f"bakeoff.weights.{name}")
    if settings["from"] == "random":
        with appearing(folder) as beside:
            _write_random(module, settings["seed"], beside)
        return
    fetcher = Fetcher(partial / f"weights-{name}", attempts, timeout)
    fetcher.partial.mkdir(parents=True, exist_ok=True)
    with FileLock(fetcher.partial / "lock"), appearing(folder) as beside:
        beside_mirror = part_of_mirror(mirror, "weights") if mirror else None
        ready = RemoteFile(f"{name}.safetensors", urls=(), sha256=None)
        found = fetcher.obtain_from_mirror(ready, beside_mirror) if beside_mirror else None
        if found:
            _take(found, module, settings.get("stride_in", "3x3"), beside)
        else:
            _convert(fetcher.obtain(module.FILE, beside_mirror), module, beside)


def _write_random(module: ModuleType, seed: int, folder: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tensors = module.network().state_dict()
    # Half precision: nothing is lost that a random number had to say.
    save_file(
        {key: value.half() if value.is_floating_point() else value for key, value in tensors.items()}, folder / MODEL
    )
    note = f"random weights from seed {seed}, nothing pretrained"
    _describe(folder, describe(folder / MODEL, f"random, seed {seed}", note), random=True, stride_in="3x3")


def _take(found: Fetched, module: ModuleType, stride_in: str, folder: Path) -> None:
    """A mirror's safetensors, byte for byte."""
    try:
        with safe_open(found.path, "pt") as opened:
            shapes = {key: list(opened.get_slice(key).get_shape()) for key in opened.keys()}  # noqa: SIM118 - no dict
            stride_in = (opened.metadata() or {}).get("stride_in", stride_in)
    except SafetensorError as error:
        discard(found)
        raise BakeoffError(f"{found.url} is no safetensors file ({error}): put another into the mirror.") from None
    _check_fit(shapes, module, found)
    place(found, folder).path.rename(folder / MODEL)
    _describe(folder, found, random=False, stride_in=stride_in)


def _convert(found: Fetched, module: ModuleType, folder: Path) -> None:
    """The published checkpoint, once, into safetensors."""
    if not found.official:
        discard(found)
        raise BakeoffError(f"{found.url} is not the published {found.name}: put safetensors into the mirror instead.")
    # The one pickle that is ever opened, since it is published as nothing else: its bytes are verified by now, and
    # weights_only has torch build tensors and refuse everything else that a pickle may ask for.
    try:
        tensors: Tensors = torch.load(found.path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError):
        discard(found)
        raise BakeoffError(f"{found.url} holds more than tensors: put safetensors into the mirror instead.") from None
    # Older checkpoints lack the counters of the batch norms, which torch too sets to zero on loading.
    counters = {key: value for key, value in _empty(module).items() if key.endswith(".num_batches_tracked")}
    tensors = {key: torch.zeros(value.shape, dtype=value.dtype) for key, value in counters.items()} | tensors
    _check_fit({key: list(value.shape) for key, value in tensors.items()}, module, found)
    save_file({key: value.detach().contiguous() for key, value in tensors.items()}, folder / MODEL)
    _describe(folder, found, random=False, stride_in="3x3")
    discard(found)


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
            f"{found.url} does not fit {module.__name__.rpartition('.')[2]}: {len(wrong)} tensors differ, first {key} "
            f"(expected {expected.get(key, 'none')}, found {shapes.get(key, 'none')}): take a file with "
            "torchvision's keys."
        )


def _describe(folder: Path, file: Fetched, *, random: bool, stride_in: str) -> None:
    about = {
        "source": file.url,
        "sha256": file.sha256,
        "official": file.official,
        "random": random,
        "note": file.note,
        "stride_in": stride_in,
    }
    (folder / "weights.json").write_text(json.dumps(about, indent=2) + "\n")
