"""U-Net on MobileNetV2 (Sandler et al., 2018, https://arxiv.org/abs/1801.04381), as TensorFlow's segmentation tutorial.

The tutorial (https://www.tensorflow.org/tutorials/images/segmentation) takes the encoder up to the projection
convolution of block 16, without its batch normalisation, and skips from the expansions of blocks 1, 3, 6 and 13. The
decoder is that of pix2pix (Isola et al., 2017, https://arxiv.org/abs/1611.07004): 3x3 transposed convolutions that
double the size, 512, 256, 128 and 64 wide, each with batch normalisation and ReLU, and a last one for the logits.

With three classes Keras counts 6,504,227 parameters: 1,841,984 in the encoder, 4,660,323 in the decoder, and the 1,920
running means and variances of the decoder's batch normalisations, which torch has as buffers. Departs from the tutorial
in that strided convolutions, transposed ones too, are padded on both sides, where Keras pads right and below only, and
batch normalisations have torch's momentum: both are what torchvision's weights were trained with.
"""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v2
from torchvision.models.mobilenetv2 import InvertedResidual

from bakeoff.models.encoders import imagenet

NAME = "MobileNetV2 U-Net"
TITLE = "a U-Net on a MobileNetV2"
CITATIONS = (
    "O. Ronneberger, P. Fischer, T. Brox. U-Net: convolutional networks for biomedical image segmentation. MICCAI, "
    "234-241, 2015. arXiv:1505.04597.",
    "M. Sandler, A. Howard, M. Zhu, A. Zhmoginov, L.-C. Chen. MobileNetV2: inverted residuals and linear "
    "bottlenecks. IEEE CVPR, 2018. arXiv:1801.04381.",
)

SCALINGS = ("imagenet", "published")
# Keras' block n is torchvision's features[n + 1]. The skips end at 1/2, 1/4, 1/8 and 1/16 of the resolution.
SKIPS = {2: 96, 4: 144, 7: 192, 14: 576}
LAST, LAST_CHANNELS = 17, 320
WIDTHS = (512, 256, 128, 64)


def build(in_channels: int, outputs: int, scaling: str = "imagenet") -> nn.Module:
    """Build the network with random weights, drawn from torch's global generator.

    Parameters
    ----------
    in_channels
        Channels of the image, any number.
    outputs
        Logits a pixel: 1 for two classes, else one a class.
    scaling
        imagenet: images as the pretrained encoder expects them. published: a mistake of published code, to be measured.
        It hands images from 0 to 1 to Keras' encoder, which expects -1 to 1 and so sees half the contrast, and black
        as middle grey: the picture (1 + image) / 2. With mean 0.5 and standard deviation 0.5, which Keras' encoder
        expects, that is mean 0 and standard deviation 1 instead; with a mean m and standard deviation s, 2m - 1 and 2s.

    Raises
    ------
    ValueError
        If a setting is outside these.
    """
    if scaling not in SCALINGS:
        raise ValueError(f"scaling is '{scaling}': choose one of {', '.join(SCALINGS)}")
    return MobileNetV2UNet(in_channels, outputs, scaling)


def load_encoder(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load pretrained MobileNetV2 weights, in place.

    Parameters
    ----------
    model
        What `build` returned.
    weights
        torchvision's key names, any floating type; what comes after the cut is left out, everything else must fit.

    Raises
    ------
    RuntimeError
        If a tensor is missing, unknown or of another shape.
    """
    after_the_cut = (f"{LAST}.conv.3.", f"{LAST + 1}.", "classifier.")
    named = {key.removeprefix("features."): value for key, value in weights.items()}
    imagenet.load(model.encoder, named, without=after_the_cut)  # type: ignore[arg-type]


class MobileNetV2UNet(nn.Module):
    """The network. `mean` and `std` are what its input is normalised with, in units of the range 0 to 1."""

    def __init__(self, in_channels: int, outputs: int, scaling: str) -> None:
        super().__init__()
        self.mean, self.std = imagenet.normalisation(in_channels)
        if scaling == "published":
            self.mean, self.std = tuple(2 * each - 1 for each in self.mean), tuple(2 * each for each in self.std)
        self.encoder = _mobilenet_v2()
        imagenet.take_channels(self.encoder, in_channels)
        skips = reversed(SKIPS.values())
        inputs = [LAST_CHANNELS, *(width + skip for width, skip in zip(WIDTHS, skips, strict=True))]
        self.decoder = nn.ModuleList(Upsampling(into, width) for into, width in zip(inputs[:-1], WIDTHS, strict=True))
        self.head = nn.ConvTranspose2d(inputs[-1], outputs, 3, stride=2, padding=1, output_padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (batch, outputs, height, width), of normalised images, (batch, channels, height, width)."""
        features, skips = self._encode(images)
        for upsampling, skip in zip(self.decoder, reversed(skips), strict=True):
            features = torch.cat([upsampling(features, skip), skip], dim=1)
        return _cut(self.head(features), images)

    def _encode(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Features at 1/32 of the resolution (320 channels), and the skips at 1/2, 1/4, 1/8 and 1/16."""
        features, skips = images, []
        for index, block in enumerate(self.encoder):
            if index in SKIPS:  # a block that halves, and so has no shortcut around it
                layers = cast(nn.Sequential, block.conv)
                skips.append(layers[0](features))
                features = layers[2:](_in_float32(layers[1], skips[-1]))
            else:
                features = block(features)
        return features, skips


class Upsampling(nn.Module):
    """pix2pix's step up: a 3x3 transposed convolution that doubles the size, batch normalisation and ReLU."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.convolution = nn.ConvTranspose2d(
            in_channels, channels, 3, stride=2, padding=1, output_padding=1, bias=False
        )
        self.norm = nn.BatchNorm2d(channels)
        nn.init.normal_(self.convolution.weight, std=0.02)  # pix2pix's own

    def forward(self, features: Tensor, like: Tensor) -> Tensor:
        """Map (batch, in_channels, h, w) to (batch, channels, height, width), the height and width of `like`."""
        return self.norm(_cut(self.convolution(features), like)).relu()


def _mobilenet_v2() -> nn.Sequential:
    encoder = mobilenet_v2().features[: LAST + 1]
    cast(InvertedResidual, encoder[LAST]).conv[3] = nn.Identity()
    return encoder


def _in_float32(depthwise: nn.Module, features: Tensor) -> Tensor:
    # oneDNN has no fast gradient of a strided depthwise convolution in bf16: 16 ms where float32 takes 2.5.
    if features.device.type != "cpu":
        return depthwise(features)
    with torch.autocast("cpu", enabled=False):
        return depthwise(features.float())


def _cut(features: Tensor, like: Tensor) -> Tensor:
    # Odd sizes were rounded up on the way down: what reaches beyond is cut off.
    height, width = like.shape[-2:]
    return features[..., :height, :width]
