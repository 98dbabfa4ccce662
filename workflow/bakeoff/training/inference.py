"""From images to what a trained network makes of them: the same lines wherever a network is used."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from bakeoff.training.device import Runtime
from bakeoff.training.objective import Outputs, head
from bakeoff.training.preprocessing import class_indices, normalise, probabilities, to_unit_range

# Fixed, since the last bits of a logit may depend on it.
BATCH_SIZE = 16


def predict_masks(network: nn.Module, images: Tensor, runtime: Runtime) -> np.ndarray:
    """Class indices, uint8 (n, height, width), of images, uint8 (n, channels, height, width)."""
    return _predicted(network, images, runtime, lambda outputs: class_indices(head(outputs, "mask")).to(torch.uint8))


def predict_probabilities(network: nn.Module, images: Tensor, runtime: Runtime) -> np.ndarray:
    """Probability of every class, float32 (n, classes), of images, uint8 (n, channels, height, width)."""
    return _predicted(network, images, runtime, lambda outputs: probabilities(head(outputs, "class")))


@torch.inference_mode()
def _predicted(
    network: nn.Module, images: Tensor, runtime: Runtime, meaning: Callable[[Outputs], Tensor]
) -> np.ndarray:
    network.eval()
    batches = []
    for batch in images.split(BATCH_SIZE):
        inputs = normalise(to_unit_range(batch.to(runtime.device)), network)  # type: ignore[arg-type]
        with runtime.autocast():
            outputs = network(inputs)
        batches.append(meaning(outputs).cpu())
    return torch.cat(batches).numpy()
