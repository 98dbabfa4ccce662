"""MobileNetV2 trained on ImageNet: torchvision's first version of it (IMAGENET1K_V1, 71.9 % top-1)."""

from torch import nn
from torchvision.models import mobilenet_v2

from bakeoff.datasets.archives.remote import RemoteFile

FILE = RemoteFile(
    name="mobilenet_v2-b0353104.pth",
    urls=("https://download.pytorch.org/models/mobilenet_v2-b0353104.pth",),
    sha256="b0353104",  # as far as torchvision publishes it
)


def network() -> nn.Module:
    """The network that the weights fit, initialised at random."""
    return mobilenet_v2(weights=None)
