"""U-Net (Ronneberger, Fischer and Brox, 2015, https://arxiv.org/abs/1505.04597), of any depth, width and normalisation.

Departs from the paper in three places: convolutions keep the size of their input (padding 1), so that the mask has the
size of the image; transposed convolutions are 3x3 and not 2x2; normalisation is a setting. With channels
32-64-128-256-512, no normalisation and one grey channel in and one logit out it is a published lung network of
8,629,921 parameters.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

NAME = "U-Net"
TITLE = "a U-Net"
CITATIONS = (
    "O. Ronneberger, P. Fischer, T. Brox. U-Net: convolutional networks for biomedical image segmentation. MICCAI, "
    "234-241, 2015. arXiv:1505.04597.",
)

NORMS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda _: nn.Identity(),
    "batch": nn.BatchNorm2d,
    "group": lambda channels: nn.GroupNorm(min(8, channels), channels),
    "instance": lambda channels: nn.InstanceNorm2d(channels, affine=True),
}


def build(
    in_channels: int, outputs: int, channels: Sequence[int] = (32, 64, 128, 256, 512), norm: str = "none"
) -> nn.Module:
    """Build a U-Net with random weights, drawn from torch's global generator.

    Parameters
    ----------
    in_channels
        Channels of the image.
    outputs
        Logits a pixel: 1 for two classes, else one a class.
    channels
        Width of every level, from the full resolution downwards; each further level halves height and width.
    norm
        none, batch, group (8 groups) or instance: what stands between a convolution and its ReLU.

    Raises
    ------
    ValueError
        If a setting is outside these.
    """
    if norm not in NORMS:
        raise ValueError(f"norm is '{norm}': choose one of {', '.join(NORMS)}")
    if not channels or any(not isinstance(width, int) or width < 1 for width in channels):
        raise ValueError(f"channels is {channels}: give at least one width, each a whole number above 0")
    if norm == "group" and any(width % min(8, width) for width in channels):
        raise ValueError(f"channels is {list(channels)}: norm 'group' needs multiples of 8")
    return UNet(in_channels, outputs, channels, norm)


class UNet(nn.Module):
    """The network. `mean` and `std` are what its input is normalised with, in units of the range 0 to 1."""

    def __init__(self, in_channels: int, outputs: int, channels: Sequence[int], norm: str) -> None:
        super().__init__()
        self.mean = (0.5,) * in_channels
        self.std = (0.25,) * in_channels
        widths = [in_channels, *channels]
        self.encoder = nn.ModuleList(_two_convolutions(below, here, norm) for below, here in pairwise(widths))
        upwards = list(pairwise(reversed(channels)))
        self.upsamplers = nn.ModuleList(nn.ConvTranspose2d(deep, skip, 3, stride=2) for deep, skip in upwards)
        self.decoder = nn.ModuleList(_two_convolutions(2 * skip, skip, norm) for _, skip in upwards)
        self.head = nn.Conv2d(channels[0], outputs, 1)
        self.apply(_initialise)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (batch, outputs, height, width), of normalised images, (batch, channels, height, width)."""
        features = images
        skips: list[Tensor] = []
        for level, convolutions in enumerate(self.encoder):
            # Rounding up keeps a 1 pixel wide map 1 pixel wide, so that no image is too small.
            features = convolutions(functional.max_pool2d(features, 2, ceil_mode=True) if level else features)
            skips.append(features)
        for upsample, convolutions, skip in zip(self.upsamplers, self.decoder, reversed(skips[:-1]), strict=True):
            # n pixels become 2n + 1: what reaches beyond the skip is cut off at the end, as with Keras' "same".
            height, width = skip.shape[-2:]
            upsampled = upsample(features)[..., :height, :width]
            features = convolutions(torch.cat([upsampled, skip], dim=1))
        return self.head(features)


def _two_convolutions(in_channels: int, out_channels: int, norm: str) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1),
        NORMS[norm](out_channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(out_channels, out_channels, 3, padding=1),
        NORMS[norm](out_channels),
        nn.ReLU(inplace=True),
    )


def _initialise(module: nn.Module) -> None:
    # He et al. (2015): without a normalisation the signal would fade on its way down.
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    elif isinstance(module, nn.ConvTranspose2d):
        # Each output pixel sees, at stride 2, a quarter of the kernel on average: fan-in is in_channels * 9 / 4.
        nn.init.normal_(module.weight, std=(4 / (9 * module.in_channels)) ** 0.5)
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.bias is not None:
        nn.init.zeros_(module.bias)
