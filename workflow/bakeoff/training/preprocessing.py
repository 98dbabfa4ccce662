"""From stored pixels to a network's input, and from its logits to classes, in training and prediction alike."""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class Normalised(Protocol):
    """A network with the mean and standard deviation of its input, in units of the range 0 to 1, one a channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def channels_first(images: np.ndarray) -> Tensor:
    """uint8 (n, height, width, channels) to uint8 (n, channels, height, width), in memory and whole."""
    # A writable copy: grey images may be a read-only view of a file.
    return torch.from_numpy(np.require(np.moveaxis(images, -1, 1), requirements=["C", "W"]))


def to_unit_range(images: Tensor) -> Tensor:
    """uint8, 0 to 255, to float32, 0 to 1."""
    return images.to(torch.float32) / 255


def normalise(images: Tensor, network: Normalised) -> Tensor:
    """Images, (batch, channels, height, width) in 0 to 1, normalised for the network, channels last in memory."""
    mean = torch.tensor(network.mean, device=images.device).view(1, -1, 1, 1)
    std = torch.tensor(network.std, device=images.device).view(1, -1, 1, 1)
    return ((images - mean) / std).contiguous(memory_format=torch.channels_last)


def class_indices(logits: Tensor) -> Tensor:
    """Class of every pixel or image, int64 (batch, ...): the sign of one logit, the greatest of several."""
    return (logits[:, 0] > 0).long() if logits.shape[1] == 1 else logits.argmax(dim=1)


def probabilities(logits: Tensor) -> Tensor:
    """Probability of every class, float32 (batch, classes, ...), of logits (batch, outputs, ...)."""
    if logits.shape[1] > 1:
        return logits.float().softmax(dim=1)
    positive = logits.float().sigmoid()
    return torch.cat([1 - positive, positive], dim=1)


def output_count(classes: int) -> int:
    """Logits a pixel or image: one for two classes, else one a class."""
    return 1 if classes == 2 else classes
