"""A trained network on torch, with the arithmetic that the evaluation used."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bakeoff.training.device import Runtime, set_up
from bakeoff.training.inference import predict_mask_probabilities, predict_masks, predict_probabilities
from bakeoff.training.preprocessing import channels_first
from bakeoff.training.saved import Description, load_network, restored


class TorchNetwork:
    """A network of an experiment; its answers are, bit for bit, those that the predict stage records.

    Attributes
    ----------
    description
        The keys of `bakeoff.training.saved.Description`.
    provider
        The device that computes, such as cpu.
    """

    def __init__(self, network: nn.Module, description: dict[str, Any], runtime: Runtime) -> None:
        self._network, self._runtime = network, runtime
        self.description = description
        self.provider = str(runtime.device)

    @classmethod
    def open(cls, path: Path) -> "TorchNetwork":
        """Read `seedK.safetensors` onto the GPU where there is one.

        Raises
        ------
        BakeoffError
            If the file is missing, damaged, or does not fit the model's present code.
        """
        return cls._ready(*load_network(path))

    @classmethod
    def of(cls, weights: Mapping[str, Tensor], description: Description) -> "TorchNetwork":
        """A network that has just been trained, from its weights and what their file would say."""
        return cls._ready(restored(weights, description, f"the network of {description.architecture}"), description)

    @classmethod
    def _ready(cls, network: nn.Module, description: Description) -> "TorchNetwork":
        runtime = set_up(description.precision)
        network.to(runtime.device).to(memory_format=torch.channels_last)
        return cls(network, asdict(description), runtime)

    def masks(self, pictures: np.ndarray) -> np.ndarray:
        """Class indices, uint8 (n, H, W), of pictures, uint8 (n, H, W, channels)."""
        return predict_masks(self._network, channels_first(pictures), self._runtime)

    def mask_probabilities(self, pictures: np.ndarray) -> np.ndarray:
        """Probability of every class of every pixel, float32 (n, classes, H, W), of pictures, uint8 (n, H, W,
        channels)."""
        return predict_mask_probabilities(self._network, channels_first(pictures), self._runtime)

    def probabilities(self, pictures: np.ndarray) -> np.ndarray:
        """Probability of every class, float32 (n, classes), of pictures, uint8 (n, H, W, channels)."""
        return predict_probabilities(self._network, channels_first(pictures), self._runtime)
