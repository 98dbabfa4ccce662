"""U-Net (Ronneberger et al., 2015, https://arxiv.org/abs/1505.04597) whose encoder is ResNet50.

The encoder (He et al., 2015, https://arxiv.org/abs/1512.03385) gives features at a half (64 channels, before its
pooling), a quarter (256), an eighth (512), a sixteenth (1024) and a 32nd (2048). Departs from the U-Net's paper in that
the decoder enlarges by nearest neighbour, convolutions are padded and followed by batch norm, and a last step without
a skip returns to the image's size. The head makes a mask, a class, or both; the class is read from the averages of
the encoder's last features and of every step of the decoder, so that what the skips bring takes part in it.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from bakeoff.models.encoders import imagenet, resnet

NAME = "ResNet50 U-Net"
TITLE = "a U-Net on a ResNet50"
CITATIONS = (
    "O. Ronneberger, P. Fischer, T. Brox. U-Net: convolutional networks for biomedical image segmentation. MICCAI, "
    "234-241, 2015. arXiv:1505.04597.",
    "K. He, X. Zhang, S. Ren, J. Sun. Deep residual learning for image recognition. IEEE CVPR, 770-778, 2016. "
    "arXiv:1512.03385.",
)

ENCODER_CHANNELS = (2048, 1024, 512, 256, 64)  # from the deepest up
HEADS = ("mask", "class", "both")


def build(
    in_channels: int,
    outputs: int,
    head: str = "mask",
    mask_outputs: int | None = None,
    decoder_channels: Sequence[int] = (256, 128, 64, 32, 16),
    dropout: float = 0.5,
    stride_in: str = "3x3",
) -> nn.Module:
    """Build the network with random weights, drawn from torch's global generator.

    Parameters
    ----------
    in_channels
        Channels of the image, any number.
    outputs
        Logits a pixel (head mask) or an image (head class or both): 1 for two classes, else one a class.
    head
        "mask", "class" or "both".
    mask_outputs
        Logits a pixel where the head makes both; else None.
    decoder_channels
        Widths of the five steps of the decoder, the deepest first.
    dropout
        Share of the pooled features that training drops before the class.
    stride_in
        "3x3" or "1x1": see `bakeoff.models.encoders.resnet.set_stride_in`.

    Raises
    ------
    ValueError
        If a setting is outside these.
    """
    if head not in HEADS:
        raise ValueError(f"head is '{head}': choose mask, class or both")
    if (head == "both") != (mask_outputs is not None):
        raise ValueError("mask_outputs goes with head both and no other")
    if len(decoder_channels) != len(ENCODER_CHANNELS) or min(decoder_channels) < 1:
        raise ValueError(f"decoder_channels is {list(decoder_channels)}: give five positive widths")
    classes, masks = {"mask": (None, outputs), "class": (outputs, None), "both": (outputs, mask_outputs)}[head]
    return ResNet50UNet(in_channels, classes, masks, decoder_channels, dropout, stride_in)


def load_encoder(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load pretrained ResNet50 weights with torchvision's key names, in place; see `imagenet.load`."""
    imagenet.load(network.encoder, weights)  # type: ignore[arg-type]


class ResNet50UNet(nn.Module):
    """The network. `mean` and `std` are what its input is normalised with, in units of the range 0 to 1."""

    def __init__(
        self,
        in_channels: int,
        classes: int | None,
        masks: int | None,
        decoder_channels: Sequence[int],
        dropout: float,
        stride_in: str,
    ) -> None:
        super().__init__()
        self.mean, self.std = imagenet.normalisation(in_channels)
        self.encoder = resnet.resnet50(stride_in)
        imagenet.take_channels(self.encoder, in_channels)
        below = (ENCODER_CHANNELS[0], *decoder_channels)
        skips = (*ENCODER_CHANNELS[1:], 0)
        self.decoder = nn.ModuleList(
            [_step(deeper + skip, width) for deeper, skip, width in zip(below, skips, decoder_channels, strict=False)]
        )
        pooled = ENCODER_CHANNELS[0] + sum(decoder_channels)
        self.class_head = None if classes is None else nn.Sequential(nn.Dropout(dropout), nn.Linear(pooled, classes))
        self.mask_head = None if masks is None else nn.Conv2d(decoder_channels[-1], masks, 1)

    def forward(self, images: Tensor) -> Tensor | dict[str, Tensor]:
        """Logits of normalised images, (batch, channels, height, width).

        Returns
        -------
        Tensor or dict
            (batch, outputs, height, width) for a mask, (batch, outputs) for a class; for both a dict of them, `mask`
            and `class`.
        """
        features = self._features(images)
        logits: dict[str, Tensor] = {}
        if self.class_head is not None:
            logits["class"] = self.class_head(torch.cat([each.mean(dim=(2, 3)) for each in features], dim=1))
        if self.mask_head is not None:
            logits["mask"] = self.mask_head(features[-1])
        return logits if len(logits) == 2 else next(iter(logits.values()))

    def _features(self, images: Tensor) -> list[Tensor]:
        """The deepest features, then those of every step of the decoder; the last have the image's size."""
        *skips, deepest = self._encode(images)
        features = [deepest]
        for step, skip in zip(self.decoder, [*reversed(skips), None], strict=True):
            size = images.shape[-2:] if skip is None else skip.shape[-2:]
            enlarged = functional.interpolate(features[-1], size=size, mode="nearest")
            features.append(step(enlarged if skip is None else torch.cat([enlarged, skip], dim=1)))
        return features

    def _encode(self, images: Tensor) -> list[Tensor]:
        """Features at a half, a quarter, an eighth, a sixteenth and a 32nd of the resolution."""
        encoder = self.encoder
        stem = encoder.relu(encoder.bn1(encoder.conv1(images)))
        features = [stem, encoder.layer1(encoder.maxpool(stem))]
        for stage in (encoder.layer2, encoder.layer3, encoder.layer4):
            features.append(stage(features[-1]))
        return features


def _step(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(*_convolution(in_channels, out_channels), *_convolution(out_channels, out_channels))


def _convolution(in_channels: int, out_channels: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    return convolution, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)
