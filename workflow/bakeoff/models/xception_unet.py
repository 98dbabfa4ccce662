"""The Xception-style U-Net of Keras' example "Image segmentation with a U-Net-like architecture" (Chollet, 2019).

https://keras.io/examples/vision/oxford_pets_image_segmentation/ goes down with the separable convolutions and shortcuts
of Xception (https://arxiv.org/abs/1610.02357), and up with nearest-neighbour upsampling and transposed convolutions of
stride 1, which are convolutions with the kernel flipped: plain ones here, which are faster. Despite its name it has no
skips from encoder to decoder. With colour images, three classes and channels 32-64-128-256 Keras counts 2,058,979
parameters, as the example prints: 2,055,203 trainable ones and 3,776 running means and variances of batch
normalisations, which torch has as buffers.

Departs from it in that strided convolutions and poolings are padded on both sides, where Keras pads even sizes right
and below only, that batch normalisations have torch's momentum, 0.1, which follows the statistics in a short training
too (Keras': 0.01), and that images are normalised, where the example feeds 0 to 255.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

NAME = "Xception-style U-Net"
TITLE = "the Xception-style U-Net of Keras' example"
CITATIONS = (
    "F. Chollet. Image segmentation with a U-Net-like architecture. Keras code examples, 2019. "
    "https://keras.io/examples/vision/oxford_pets_image_segmentation/.",
)


def build(in_channels: int, outputs: int, channels: Sequence[int] = (32, 64, 128, 256)) -> nn.Module:
    """Build the network with random weights, drawn from torch's global generator.

    Parameters
    ----------
    in_channels
        Channels of the image.
    outputs
        Logits a pixel: 1 for two classes, else one a class.
    channels
        Width of the entry and of every block downwards, each of which halves height and width; upwards they reverse.

    Raises
    ------
    ValueError
        If a setting is outside these.
    """
    if not channels or any(not isinstance(width, int) or width < 1 for width in channels):
        raise ValueError(f"channels is {channels}: give at least one width, each a whole number above 0")
    return XceptionUNet(in_channels, outputs, channels)


class XceptionUNet(nn.Module):
    """The network. `mean` and `std` are what its input is normalised with, in units of the range 0 to 1."""

    def __init__(self, in_channels: int, outputs: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.mean = (0.5,) * in_channels
        self.std = (0.25,) * in_channels
        entry = nn.Conv2d(in_channels, channels[0], 3, stride=2, padding=1)
        self.entry = nn.Sequential(entry, nn.BatchNorm2d(channels[0]), nn.ReLU(inplace=True))
        upwards = [channels[-1], *reversed(channels)]
        self.encoder = nn.Sequential(*(Downsampling(into, width) for into, width in pairwise(channels)))
        self.decoder = nn.Sequential(*(Upsampling(into, width) for into, width in pairwise(upwards)))
        self.head = nn.Conv2d(channels[0], outputs, 3, padding=1)
        self.apply(_initialise)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (batch, outputs, height, width), of normalised images, (batch, channels, height, width)."""
        features = self.decoder(self.encoder(self.entry(images)))
        # Sizes were rounded up on the way down: what reaches beyond the image is cut off.
        height, width = images.shape[-2:]
        return self.head(features[..., :height, :width])


class Downsampling(nn.Module):
    """Two separable convolutions and a pooling, beside a 1x1 convolution of stride 2; their sum has half the size."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.ReLU(),  # not in place: the shortcut takes what is before it
            *_separable(in_channels, channels),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            *_separable(channels, channels),
            nn.BatchNorm2d(channels),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.shortcut = nn.Conv2d(in_channels, channels, 1, stride=2)

    def forward(self, features: Tensor) -> Tensor:
        """Map (batch, in_channels, h, w) to (batch, channels, h / 2, w / 2), rounded up."""
        return self.convolutions(features) + self.shortcut(features)


class Upsampling(nn.Module):
    """Two 3x3 convolutions beside a 1x1 convolution; their sum is doubled in size.

    The example doubles both before the 1x1 convolution and the sum. Those work on every pixel by itself, so that the
    result is the same, at a quarter of the work.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.ReLU(),  # not in place: the shortcut takes what is before it
            nn.Conv2d(in_channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
        )
        self.shortcut = nn.Conv2d(in_channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Map (batch, in_channels, h, w) to (batch, channels, 2 h, 2 w)."""
        return functional.interpolate(self.convolutions(features) + self.shortcut(features), scale_factor=2)


def _separable(in_channels: int, channels: int) -> tuple[nn.Module, nn.Module]:
    """A 3x3 convolution of every channel by itself, without bias, and a 1x1 convolution across them."""
    depthwise = nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False)
    return depthwise, nn.Conv2d(in_channels, channels, 1)


def _initialise(module: nn.Module) -> None:
    # As Keras does: Glorot and Bengio (2010), and biases of 0.
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
