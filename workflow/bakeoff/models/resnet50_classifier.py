"""ResNet50 (He et al., 2015, https://arxiv.org/abs/1512.03385) with a small classifier on its pooled features.

Average pooling, dropout 0.5, 256 hidden units, dropout 0.3: the usual Keras recipe for a frozen backbone. Departs from
Keras' network in that torchvision's backbone has no biases in its convolutions (26,560 fewer parameters), which the
batch norms behind them would take out again.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from bakeoff.models.encoders import imagenet, resnet

NAME = "ResNet50, frozen"
TITLE = "a ResNet50 with a small classifier"
CITATIONS = (
    "K. He, X. Zhang, S. Ren, J. Sun. Deep residual learning for image recognition. IEEE CVPR, 770-778, 2016. "
    "arXiv:1512.03385.",
)

FEATURES = 2048
HIDDEN = 256


def build(in_channels: int, outputs: int, stride_in: str = "3x3") -> nn.Module:
    """Build the network with random weights, drawn from torch's global generator.

    Parameters
    ----------
    in_channels
        Channels of the image, any number.
    outputs
        Logits an image: 1 for two classes, else one a class.
    stride_in
        "3x3" or "1x1": see `bakeoff.models.encoders.resnet.set_stride_in`.

    Raises
    ------
    ValueError
        If a setting is outside these.
    """
    return ResNet50Classifier(in_channels, outputs, stride_in)


def load_encoder(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load pretrained ResNet50 weights with torchvision's key names, in place; see `imagenet.load`."""
    imagenet.load(network.encoder, weights)  # type: ignore[arg-type]


class ResNet50Classifier(nn.Module):
    """The network. `mean` and `std` are what its input is normalised with, in units of the range 0 to 1."""

    def __init__(self, in_channels: int, outputs: int, stride_in: str) -> None:
        super().__init__()
        self.mean, self.std = imagenet.normalisation(in_channels)
        self.encoder = resnet.resnet50(stride_in)
        imagenet.take_channels(self.encoder, in_channels)
        self.head = nn.Sequential(
            nn.Dropout(0.5), nn.Linear(FEATURES, HIDDEN), nn.ReLU(), nn.Dropout(0.3), nn.Linear(HIDDEN, outputs)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (batch, outputs), of normalised images, (batch, channels, height, width)."""
        encoder = self.encoder
        features = encoder.maxpool(encoder.relu(encoder.bn1(encoder.conv1(images))))
        features = encoder.layer4(encoder.layer3(encoder.layer2(encoder.layer1(features))))
        logits: Tensor = self.head(features.mean(dim=(2, 3)))
        return logits
