"""What a network learns from: images and their answers, in memory, whole or in windows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bakeoff.artefacts.geometry import Geometry
from bakeoff.artefacts.ragged import Arrays
from bakeoff.artefacts.void import VOID
from bakeoff.artefacts.windows import cut, grid
from bakeoff.training.preprocessing import channels_first


@dataclass(frozen=True)
class Examples:
    """Images and what is to be learned from them, on one device.

    Attributes
    ----------
    images
        uint8, (n, channels, height, width).
    masks
        uint8 class indices or `VOID`, (n, height, width), or None.
    labels
        int64 class indices, (n,), or None.
    sources
        int64, (n,): which image each is a window of, counted from 0; None where each is a whole image.
    """

    images: Tensor
    masks: Tensor | None = None
    labels: Tensor | None = None
    sources: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device) -> "Examples":
        """The same on another device."""
        return self._each(lambda part: part.to(device))

    def rows(self, rows: Any) -> "Examples":
        """Some of them: by position, or a slice."""
        return self._each(lambda part: part[rows])

    @property
    def has_void(self) -> bool:
        """Whether masks hold pixels without an answer."""
        return self.masks is not None and bool((self.masks == VOID).any())

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Examples":
        parts = (each if each is None else change(each) for each in (self.masks, self.labels, self.sources))
        return Examples(change(self.images), *parts)


def windows_of(images: Arrays, masks: Arrays, rows: np.ndarray, geometry: Geometry, *, once: bool) -> Examples:
    """Windows that cover the images at `rows` and their masks.

    Parameters
    ----------
    once
        Whether each pixel is to count once: where a window covers again what an earlier one does, its mask is void.
    """
    pictures, answers, sources = [], [], []
    for number, row in enumerate(rows):
        image, mask = images[row], np.array(masks[row])
        for top, left in grid(mask.shape[0], mask.shape[1], geometry):
            pictures.append(cut(image, geometry, top, left))
            answers.append(np.array(cut(mask, geometry, top, left, VOID)))
            if once:
                mask[top : top + geometry.height, left : left + geometry.width] = VOID
            sources.append(number)
    return Examples(
        channels_first(np.stack(pictures)), torch.from_numpy(np.stack(answers)), None, torch.tensor(sources)
    )
