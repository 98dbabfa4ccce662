"""SegNet (Badrinarayanan, Kendall and Cipolla, 2017, https://arxiv.org/abs/1511.00561), of any depth and width.

As in the paper: the thirteen convolutions of VGG16 (https://arxiv.org/abs/1409.1556) go down and thirteen go up in
mirrored order, each 3x3 with batch normalisation and ReLU; there are no skips, but every step up puts its values where
the maximum was in the pooling of the same level, and leaves the rest 0. The last convolution gives the logits. Departs
from it in that it starts from random weights and not from VGG16's, and that batch normalisation can be left out.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

NAME = "SegNet"
TITLE = "a SegNet"
CITATIONS = (
    "V. Badrinarayanan, A. Kendall, R. Cipolla. SegNet: a deep convolutional encoder-decoder architecture for image "
    "segmentation. IEEE TPAMI 39(12):2481-2495, 2017. arXiv:1511.00561.",
)

NORMS = ("batch", "none")


def build(
    in_channels: int,
    outputs: int,
    channels: Sequence[int] = (64, 128, 256, 512, 512),
    convolutions: Sequence[int] = (2, 2, 3, 3, 3),
    norm: str = "batch",
) -> nn.Module:
    """Build a SegNet with random weights, drawn from torch's global generator.

    Parameters
    ----------
    in_channels
        Channels of the image.
    outputs
        Logits a pixel: 1 for two classes, else one a class.
    channels
        Width of every level, from the full resolution downwards; after each level height and width are halved.
    convolutions
        How many there are in every level, down and up again.
    norm
        batch or none: what stands between a convolution and its ReLU.

    Raises
    ------
    ValueError
        If a setting is outside these.
    """
    if norm not in NORMS:
        raise ValueError(f"norm is '{norm}': choose one of {', '.join(NORMS)}")
    for name, numbers in (("channels", channels), ("convolutions", convolutions)):
        if not numbers or any(not isinstance(each, int) or each < 1 for each in numbers):
            raise ValueError(f"{name} is {numbers}: give one number a level, each a whole number above 0")
    if len(channels) != len(convolutions):
        raise ValueError(f"there are {len(channels)} channels and {len(convolutions)} convolutions: give equally many")
    return SegNet(in_channels, outputs, channels, convolutions, norm)


class SegNet(nn.Module):
    """The network. `mean` and `std` are what its input is normalised with, in units of the range 0 to 1."""

    def __init__(
        self, in_channels: int, outputs: int, channels: Sequence[int], convolutions: Sequence[int], norm: str
    ) -> None:
        super().__init__()
        self.mean = (0.5,) * in_channels
        self.std = (0.25,) * in_channels
        levels = list(zip(pairwise([in_channels, *channels]), convolutions, strict=True))
        self.encoder = nn.ModuleList(_level([above] + [here] * count, norm) for (above, here), count in levels)
        # The last convolution of the last level is the head, which has neither normalisation nor ReLU.
        upwards = [[here] * count + [above] for (above, here), count in reversed(levels[1:])]
        upwards.append([channels[0]] * convolutions[0])
        self.decoder = nn.ModuleList(_level(widths, norm) for widths in upwards)
        self.head = nn.Conv2d(channels[0], outputs, 3, padding=1)
        self.apply(_initialise)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (batch, outputs, height, width), of normalised images, (batch, channels, height, width)."""
        features = images
        maxima: list[tuple[Tensor, tuple[int, int]]] = []
        for level in self.encoder:
            features = level(features)
            height, width = features.shape[-2:]
            # Rounding up keeps a 1 pixel wide map 1 pixel wide, so that no image is too small.
            features, places = functional.max_pool2d(features, 2, ceil_mode=True, return_indices=True)
            maxima.append((places, (height, width)))
        for level, (places, size) in zip(self.decoder, reversed(maxima), strict=True):
            features = level(unpool(features, places, size))
        return self.head(features)


def unpool(features: Tensor, places: Tensor, size: tuple[int, int]) -> Tensor:
    """Put every value where its maximum was, and 0 everywhere else.

    It is torch's `max_unpool2d`, which refuses to run when results are to be deterministic, since two windows might
    share a maximum. Here they do not overlap.

    Parameters
    ----------
    features
        (batch, channels, height, width) of the pooled map.
    places
        What `max_pool2d` returned: int64, as `features`; row times width plus column in the map before it.
    size
        Height and width of the map before the pooling.

    Returns
    -------
    Tensor
        (batch, channels, *size), channels last in memory: so nothing is copied where `features` was so too.
    """
    values, rows = (each.permute(0, 2, 3, 1).flatten(1, 2) for each in (features, places))
    batch, _, channels = values.shape
    flat = values.new_zeros(batch, size[0] * size[1], channels).scatter(1, rows, values)
    return flat.view(batch, *size, channels).permute(0, 3, 1, 2)


def _level(widths: Sequence[int], norm: str) -> nn.Sequential:
    """3x3 convolutions from each width to the next."""
    level = nn.Sequential()
    for into, width in pairwise(widths):
        level.append(nn.Conv2d(into, width, 3, padding=1))
        if norm == "batch":
            level.append(nn.BatchNorm2d(width))
        level.append(nn.ReLU(inplace=True))
    return level


def _initialise(module: nn.Module) -> None:
    # As in the paper: He et al. (2015), https://arxiv.org/abs/1502.01852.
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.zeros_(module.bias)  # type: ignore[arg-type]
