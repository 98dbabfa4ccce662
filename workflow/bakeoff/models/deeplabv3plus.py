"""DeepLabV3+ (Chen et al., 2018, https://arxiv.org/abs/1802.02611) on ResNet50 (https://arxiv.org/abs/1512.03385).

As in the paper: output stride 16, atrous rates 1, 6, 12 and 18 with image pooling, a 48-channel projection of the
low-level features, two 3x3 convolutions of 256 channels. Departs from it in that the convolutions are plain and not
depthwise separable (DeepLabV3's, https://arxiv.org/abs/1706.05587), and that the image-pooling branch has a bias in
place of its batch normalisation, which has no variance to divide by when a batch holds one image.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from bakeoff.models.encoders import imagenet, resnet

NAME = "DeepLabV3+"
TITLE = "DeepLabV3+ on a ResNet50"
CITATIONS = (
    "L.-C. Chen, Y. Zhu, G. Papandreou, F. Schroff, H. Adam. Encoder-decoder with atrous separable convolution for "
    "semantic image segmentation. ECCV, 2018. arXiv:1802.02611.",
    "K. He, X. Zhang, S. Ren, J. Sun. Deep residual learning for image recognition. IEEE CVPR, 770-778, 2016. "
    "arXiv:1512.03385.",
)

LOW_LEVEL_CHANNELS = 256
HIGH_LEVEL_CHANNELS = 2048


def build(
    in_channels: int,
    outputs: int,
    stride_in: str = "3x3",
    atrous_rates: Sequence[int] = (6, 12, 18),
    decoder_channels: int = 256,
) -> nn.Module:
    """Build the network with random weights, drawn from torch's global generator.

    Parameters
    ----------
    in_channels
        Channels of the image, any number.
    outputs
        Logits a pixel: 1 for two classes, else one a class.
    stride_in
        "3x3" or "1x1": see `bakeoff.models.encoders.resnet.set_stride_in`.
    atrous_rates
        Rates of the three 3x3 branches of the pyramid, beside the 1x1 branch.
    decoder_channels
        Width of the pyramid's branches and of the decoder.

    Raises
    ------
    ValueError
        If a setting is outside these.
    """
    return DeepLabV3Plus(in_channels, outputs, stride_in, atrous_rates, decoder_channels)


def load_encoder(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load pretrained ResNet50 weights with torchvision's key names, in place; see `imagenet.load`."""
    imagenet.load(network.encoder, weights)  # type: ignore[arg-type]


class DeepLabV3Plus(nn.Module):
    """The network. `mean` and `std` are what its input is normalised with, in units of the range 0 to 1."""

    def __init__(
        self, in_channels: int, outputs: int, stride_in: str, atrous_rates: Sequence[int], decoder_channels: int
    ) -> None:
        super().__init__()
        self.mean, self.std = imagenet.normalisation(in_channels)
        self.encoder = resnet.resnet50(stride_in, dilated=True)
        imagenet.take_channels(self.encoder, in_channels)
        self.pyramid = AtrousPyramid(HIGH_LEVEL_CHANNELS, decoder_channels, atrous_rates)
        self.low_level = _convolution(LOW_LEVEL_CHANNELS, 48, 1)
        self.decoder = nn.Sequential(
            _convolution(decoder_channels + 48, decoder_channels, 3),
            _convolution(decoder_channels, decoder_channels, 3),
        )
        self.head = nn.Conv2d(decoder_channels, outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (batch, outputs, height, width), of normalised images, (batch, channels, height, width)."""
        low, high = self._encode(images)
        high = _resized(self.pyramid(high), low)
        features = self.decoder(torch.cat([high, self.low_level(low)], dim=1))
        return _resized(self.head(features), images)

    def _encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features at a quarter (256 channels) and at a sixteenth (2048 channels) of the resolution."""
        encoder = self.encoder
        features = encoder.maxpool(encoder.relu(encoder.bn1(encoder.conv1(images))))
        low = encoder.layer1(features)
        return low, encoder.layer4(encoder.layer3(encoder.layer2(low)))


class AtrousPyramid(nn.Module):
    """Atrous spatial pyramid pooling: a 1x1 branch, a 3x3 branch a rate, the pooled image, and a projection of all."""

    def __init__(self, in_channels: int, channels: int, rates: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [
                _convolution(in_channels, channels, 1),
                *(_convolution(in_channels, channels, 3, dilation=rate) for rate in rates),
            ]
        )
        self.pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(in_channels, channels, 1), nn.ReLU(inplace=True))
        self.projection = _convolution(channels * (len(rates) + 2), channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Map (batch, in_channels, height, width) to (batch, channels, height, width)."""
        pooled = self.pooled(features).expand(-1, -1, *features.shape[-2:])
        return self.projection(torch.cat([*(branch(features) for branch in self.branches), pooled], dim=1))


def _convolution(in_channels: int, out_channels: int, size: int, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (size // 2)
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, size, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def _resized(features: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(features, size=like.shape[-2:], mode="bilinear", align_corners=False)
