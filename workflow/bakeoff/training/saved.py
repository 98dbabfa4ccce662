"""A trained network in one safetensors file that says by itself how to build and feed it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.layout import making
from bakeoff.training.preprocessing import output_count


@dataclass(frozen=True)
class Description:
    """What a file of weights must be accompanied by.

    Attributes
    ----------
    architecture
        Module of `bakeoff.models`.
    settings
        What its `build` was called with, beside the two numbers.
    in_channels
        Channels of an image.
    classes
        Names of the classes; the position is the index in a mask, or among the probabilities of an image.
    target
        The label that is predicted of a whole image; None for masks.
    size, geometry
        Height and width in pixels of the images that it takes, and how images become so large; see
        `bakeoff.artefacts.geometry`.
    mean, std
        What images are normalised with, one a channel, in units of the range 0 to 1.
    precision
        bf16 or fp32, as it was trained.
    """

    architecture: str
    settings: dict[str, Any]
    in_channels: int
    classes: list[str]
    target: str | None
    size: list[int]
    geometry: str
    mean: list[float]
    std: list[float]
    precision: str


def architecture(name: str) -> ModuleType:
    """The module `bakeoff.models.NAME`.

    Raises
    ------
    BakeoffError
        If there is none.
    """
    try:
        return import_module(f"bakeoff.models.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"bakeoff.models.{name}":
            raise
        raise BakeoffError(
            f"There is no model '{name}': add workflow/bakeoff/models/{name}.py or change 'model'."
        ) from None


def build_network(name: str, in_channels: int, classes: int, settings: Mapping[str, Any], where: str) -> nn.Module:
    """Build a network with random weights from torch's global generator.

    Parameters
    ----------
    where
        What holds the settings, for the message about a wrong one.

    Raises
    ------
    BakeoffError
        If the model does not take the settings.
    """
    try:
        network: nn.Module = architecture(name).build(in_channels, output_count(classes), **settings)
    except (TypeError, ValueError) as error:
        reason = str(error).removeprefix("build() ").rstrip(".")
        raise BakeoffError(f"{where}: model '{name}' does not take its settings: {reason}.") from error
    return network


def save_network(path: Path, weights: Mapping[str, Tensor], description: Description, *, half: bool = False) -> None:
    """Write weights and description, whole or not at all.

    Parameters
    ----------
    half
        Whether to keep numbers in half precision, which halves the file; a tensor with a number that float16 cannot
        hold stays as it is.
    """
    part = path.with_name(f".{path.name}.part")
    tensors = {key: value.detach().cpu().contiguous() for key, value in weights.items()}
    if half:
        tensors = {key: _in_half(value) for key, value in tensors.items()}
    save_file(tensors, part, metadata={"bakeoff": json.dumps(asdict(description), sort_keys=True)})
    part.replace(path)


def _in_half(tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    smaller = tensor.half()
    return smaller if torch.isfinite(smaller).all() else tensor


def load_network(path: Path) -> tuple[nn.Module, Description]:
    """Read a network, ready to predict, on the processor.

    Raises
    ------
    BakeoffError
        If the file is missing, damaged, or does not fit the model's present code.
    """
    try:
        with safe_open(path, framework="pt") as file:
            description = Description(**json.loads(file.metadata()["bakeoff"]))
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    except FileNotFoundError:
        raise BakeoffError(f"{path} is missing: run `{making(path)}`.") from None
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        raise BakeoffError(f"{path} is no network of Bakeoff ({error}): delete it and fit again.") from None
    return restored(weights, description, str(path)), description


def restored(weights: Mapping[str, Tensor], description: Description, where: str) -> nn.Module:
    """A network with its weights, ready to predict, on the processor; `where` they come from, for messages.

    Raises
    ------
    BakeoffError
        If they do not fit the model's present code.
    """
    network = build_network(
        description.architecture, description.in_channels, len(description.classes), description.settings, where
    )
    try:
        network.load_state_dict(weights)
    except RuntimeError:
        raise BakeoffError(
            f"{where} does not fit workflow/bakeoff/models/{description.architecture}.py as it is now: fit again."
        ) from None
    network.mean, network.std = tuple(description.mean), tuple(description.std)  # type: ignore[assignment]
    return network.eval()


def parameter_counts(network: nn.Module) -> tuple[int, int]:
    """Parameters and, of these, the trainable ones; batch norm's running statistics are not counted."""
    counts = [(each.numel(), each.requires_grad) for each in network.parameters()]
    return sum(count for count, _ in counts), sum(count for count, trainable in counts if trainable)
