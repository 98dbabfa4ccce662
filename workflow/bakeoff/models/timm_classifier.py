"""A backbone of timm's (https://github.com/huggingface/pytorch-image-models) and a classifier on its pooled features.

ResNet34 and ResNet101 (He et al., 2015, https://arxiv.org/abs/1512.03385) in torchvision's form, and ConvNeXt-Tiny (Liu
et al., 2022, https://arxiv.org/abs/2201.03545). The head is timm's own, one linear layer, or that of fastai's
`vision_learner` (Howard and Gugger, 2020, https://arxiv.org/abs/2002.04688): maximum and average, two linear layers
without biases, each behind batch norm and dropout. Departs from fastai in that a batch of a single image, which has no
variance to learn from, is normalised with the running statistics.
"""

from collections.abc import Mapping
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from bakeoff.models.encoders import imagenet

VARIANT = "backbone"  # the setting that chooses among these
NAME = {"resnet34": "ResNet34", "resnet101": "ResNet101", "convnext_tiny": "ConvNeXt-Tiny"}
TITLE = {
    "resnet34": "a ResNet34",
    "resnet101": "a ResNet101",
    "convnext_tiny": "a ConvNeXt-Tiny",
}
CITATIONS = {
    "resnet34": (
        "K. He, X. Zhang, S. Ren, J. Sun. Deep residual learning for image recognition. IEEE CVPR, 770-778, 2016. "
        "arXiv:1512.03385.",
    ),
    "resnet101": (
        "K. He, X. Zhang, S. Ren, J. Sun. Deep residual learning for image recognition. IEEE CVPR, 770-778, 2016. "
        "arXiv:1512.03385.",
    ),
    "convnext_tiny": (
        "Z. Liu, H. Mao, C.-Y. Wu, C. Feichtenhofer, T. Darrell, S. Xie. A ConvNet for the 2020s. IEEE CVPR, 2022. "
        "arXiv:2201.03545.",
    ),
}

# By the name of the weights that they are published with, which decides on details of the architecture.
BACKBONES = {
    "resnet34": "resnet34.tv_in1k",
    "resnet101": "resnet101.tv_in1k",
    "convnext_tiny": "convnext_tiny.fb_in22k",
}
HEADS = ("linear", "fastai")
HIDDEN = 512


def build(
    in_channels: int, outputs: int, backbone: str = "resnet34", head: str = "linear", dropout: float | None = None
) -> nn.Module:
    """Build the network with random weights, drawn from torch's global generator.

    Parameters
    ----------
    in_channels
        Channels of the image, any number; images have at least 32 pixels a side.
    outputs
        Logits an image: 1 for two classes, else one a class.
    backbone
        "resnet34", "resnet101" or "convnext_tiny".
    head
        "linear" or "fastai".
    dropout
        Share of the features that training drops before the last layer, 0 for linear and 0.5 for fastai unless told;
        fastai's first layer drops half as many.

    Raises
    ------
    ValueError
        If a setting is outside these.
    """
    if backbone not in BACKBONES:
        raise ValueError(f"backbone is '{backbone}': choose {', '.join(BACKBONES)}")
    if head not in HEADS:
        raise ValueError(f"head is '{head}': choose linear or fastai")
    if dropout is None:
        dropout = 0.5 if head == "fastai" else 0.0
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is {dropout}: choose at least 0 and below 1")
    return (FastaiClassifier if head == "fastai" else LinearClassifier)(in_channels, outputs, backbone, dropout)


def load_encoder(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load pretrained weights, in place; see `imagenet.load`.

    Parameters
    ----------
    weights
        With torchvision's key names for a ResNet, timm's for ConvNeXt.
    """
    unused = ("fc.", "head.fc.") if isinstance(network, LinearClassifier) else ("fc.", "head.")
    imagenet.load(network.encoder, weights, without=unused)  # type: ignore[arg-type]


class LinearClassifier(nn.Module):
    """timm's own network. `mean` and `std` normalise its input, in units of the range 0 to 1."""

    encoder: Any  # timm's own types do not say what it has

    def __init__(self, in_channels: int, outputs: int, backbone: str, dropout: float) -> None:
        super().__init__()
        self.mean, self.std = imagenet.normalisation(in_channels)
        # Pools by itself: ConvNeXt has a layer norm behind its pooling, whose weights are published with the others.
        self.encoder = timm.create_model(BACKBONES[backbone], pretrained=False, num_classes=0)
        imagenet.take_channels(self.encoder, in_channels)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(self.encoder.num_features, outputs))

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (batch, outputs), of normalised images, (batch, channels, height, width)."""
        logits: Tensor = self.head(self.encoder(images))
        return logits


class FastaiClassifier(nn.Module):
    """The network of fastai's `vision_learner`. `mean` and `std` normalise its input, in units of the range 0 to 1."""

    encoder: Any  # timm's own types do not say what it has

    def __init__(self, in_channels: int, outputs: int, backbone: str, dropout: float) -> None:
        super().__init__()
        self.mean, self.std = imagenet.normalisation(in_channels)
        self.encoder = timm.create_model(BACKBONES[backbone], pretrained=False, num_classes=0)
        imagenet.take_channels(self.encoder, in_channels)
        if hasattr(self.encoder, "head"):
            self.encoder.head = nn.Identity()  # ConvNeXt's norm behind the pooling, which fastai leaves unused
        pooled = 2 * self.encoder.num_features
        self.head = nn.Sequential(
            _BatchNorm(pooled),
            nn.Dropout(dropout / 2),
            _linear(pooled, HIDDEN),
            nn.ReLU(),
            _BatchNorm(HIDDEN),
            nn.Dropout(dropout),
            _linear(HIDDEN, outputs),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (batch, outputs), of normalised images, (batch, channels, height, width)."""
        features = self.encoder.forward_features(images)
        pooled = torch.cat([features.amax(dim=(2, 3)), features.mean(dim=(2, 3))], dim=1)
        logits: Tensor = self.head(pooled)
        return logits


class _BatchNorm(nn.BatchNorm1d):
    def forward(self, features: Tensor) -> Tensor:
        if self.training and len(features) == 1:
            return functional.batch_norm(
                features, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(features)


def _linear(in_features: int, out_features: int) -> nn.Linear:
    layer = nn.Linear(in_features, out_features, bias=False)
    nn.init.kaiming_normal_(layer.weight)  # as fastai initialises its heads
    return layer
