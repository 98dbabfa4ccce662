"""Predictions of a trained network, wherever it is used."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from bakeoff.training.device import Runtime
from bakeoff.training.objective import Outputs, head
from bakeoff.training.preprocessing import class_indices, normalise, probabilities, to_unit_range

# The last bits of a logit depend on the size of its batch, though not on the other images in it. Every batch is filled
# up to this size, so that the prediction for an image never depends on how many are predicted.
BATCH_SIZE = 16


def predict_masks(network: nn.Module, images: Tensor, runtime: Runtime, *, batch_size: int = BATCH_SIZE) -> np.ndarray:
    """Class indices, uint8 (n, height, width), of images, uint8 (n, channels, height, width)."""
    return _predicted(network, images, runtime, lambda outputs: _indices(head(outputs, "mask")), batch_size)


def predict_mask_probabilities(network: nn.Module, windows: Tensor, runtime: Runtime) -> np.ndarray:
    """Probability of every class of every pixel, float32 (n, classes, height, width), of windows of one image, uint8
    (n, channels, height, width).

    They are one batch, which is not filled up: how many there are depends on their image alone.
    """
    return _predicted(network, windows, runtime, lambda outputs: probabilities(head(outputs, "mask")), len(windows))


def predict_probabilities(
    network: nn.Module, images: Tensor, runtime: Runtime, *, batch_size: int = BATCH_SIZE
) -> np.ndarray:
    """Probability of every class, float32 (n, classes), of images, uint8 (n, channels, height, width)."""
    return _predicted(network, images, runtime, lambda outputs: probabilities(head(outputs, "class")), batch_size)


def _indices(logits: Tensor) -> Tensor:
    return class_indices(logits).to(torch.uint8)


@torch.inference_mode()
def _predicted(
    network: nn.Module, images: Tensor, runtime: Runtime, meaning: Callable[[Outputs], Tensor], batch_size: int
) -> np.ndarray:
    network.eval()
    answers = []
    for batch in images.split(batch_size):
        filling = batch[-1:].expand(batch_size - len(batch), -1, -1, -1)
        filled = torch.cat([batch, filling]).to(runtime.device)
        inputs = normalise(to_unit_range(filled), network)  # type: ignore[arg-type]
        with runtime.autocast():
            outputs = network(inputs)
        answers.append(meaning(outputs)[: len(batch)].cpu())
    return torch.cat(answers).numpy()
