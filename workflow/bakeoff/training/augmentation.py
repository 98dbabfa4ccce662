"""Augmentation of a batch of training images and their masks, on the device where they are.

One grid rotates, scales, shifts and mirrors image and mask together: the image bilinearly, the mask by its nearest
pixel, so that class indices stay whole. kornia's `AugmentationSequential` makes the same changes at a tenth of the
speed: 560 against 6,400 images/s at 96 pixels, batches of 8, on two cores (`benchmarks/throughput.py`).
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from bakeoff.artefacts.channels import GREY, RGB


def augment(
    images: Tensor,
    masks: Tensor | None,
    settings: Mapping[str, Any],
    generator: torch.Generator,
    outside: int = 0,
) -> tuple[Tensor, Tensor | None]:
    """Augment every image of a batch independently.

    Parameters
    ----------
    images
        float32 in 0 to 1, (batch, channels, height, width).
    masks
        uint8 class indices, (batch, height, width), or None.
    settings
        Largest change, drawn uniformly to both sides: `rotate` (degrees), `scale`, `translate` (shares of the side),
        `brightness` (added), `contrast`, `gamma` (shares); and `flip`: whether half the images are mirrored left to
        right. Chest X-rays should not be: the heart is on the left.
    generator
        On the processor, so that the same seed draws the same changes on every device.
    outside
        What masks are where the picture was moved away: the background's index, or `VOID` where every class counts.

    Returns
    -------
    images, masks
        Same shapes and types; pixels from outside the picture are black and `outside`.
    """
    draw = _Draws(len(images), generator)
    matrices = affine_matrices(
        rotate=draw.uniform(math.radians(settings["rotate"])),
        scale=draw.factor(settings["scale"]),
        shift_x=draw.uniform(2 * settings["translate"]),
        shift_y=draw.uniform(2 * settings["translate"]),
        mirror=draw.sign() if settings["flip"] else torch.ones(len(images)),
        aspect=images.shape[-2] / images.shape[-1],
    )
    images, masks = warp(images, masks, matrices.to(images.device), outside)
    levels = [draw.factor(settings["gamma"]), draw.factor(settings["contrast"]), draw.uniform(settings["brightness"])]
    return adjust_levels(images, *(each.to(images.device) for each in levels)), masks


def affine_matrices(
    rotate: Tensor, scale: Tensor, shift_x: Tensor, shift_y: Tensor, mirror: Tensor, aspect: float
) -> Tensor:
    """Matrices, (batch, 2, 3), from output to input coordinates, in torch's -1 to 1.

    Parameters
    ----------
    rotate
        Radians, (batch,).
    scale
        Above 1 shrinks the content of the image.
    shift_x, shift_y
        In halves of a side.
    mirror
        -1 mirrors left to right, 1 does not.
    aspect
        Height over width: a rotation is one in pixels, not in torch's square of coordinates.
    """
    cos, sin = scale * torch.cos(rotate), scale * torch.sin(rotate)
    rows = [cos * mirror, -sin * aspect, shift_x, sin * mirror / aspect, cos, shift_y]
    return torch.stack(rows, dim=1).view(-1, 2, 3)


def warp(images: Tensor, masks: Tensor | None, matrices: Tensor, outside: int = 0) -> tuple[Tensor, Tensor | None]:
    """Sample images (bilinear) and masks, if any, (nearest) through the same grid; beyond are 0 and `outside`."""
    grid = functional.affine_grid(matrices, list(images.shape), align_corners=False)
    moved = functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    if masks is None:
        return moved, None
    labels = masks[:, None].to(images.dtype) - outside  # what is sampled from beyond the edge is 0
    classes = functional.grid_sample(labels, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return moved, (classes[:, 0] + outside).to(masks.dtype)


def adjust_levels(images: Tensor, gamma: Tensor, contrast: Tensor, brightness: Tensor) -> Tensor:
    """`contrast * (image ** gamma - mean) + mean + brightness` of every image, (batch,) each, cut to 0 to 1.

    The mean is that of the image, or of each channel where channels are no colours and may differ in brightness.
    """
    gamma, contrast, brightness = (each.view(-1, 1, 1, 1) for each in (gamma, contrast, brightness))
    images = images.clamp(min=0) ** gamma
    mean = images.mean(dim=(1, 2, 3) if images.shape[1] in (GREY, RGB) else (2, 3), keepdim=True)
    return (contrast * (images - mean) + mean + brightness).clamp(0, 1)


class _Draws:
    """Random numbers, one an image."""

    def __init__(self, count: int, generator: torch.Generator) -> None:
        self.count, self.generator = count, generator

    def uniform(self, limit: float) -> Tensor:
        """From -limit to limit."""
        return limit * (2 * torch.rand(self.count, generator=self.generator) - 1)

    def factor(self, share: float) -> Tensor:
        """From 1 / (1 + share) to 1 + share, as often below 1 as above."""
        return torch.exp(self.uniform(math.log1p(share)))

    def sign(self) -> Tensor:
        """-1 or 1."""
        return 2.0 * torch.randint(2, (self.count,), generator=self.generator) - 1
