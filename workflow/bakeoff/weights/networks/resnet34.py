"""ResNet34 trained on ImageNet: torchvision's only version of it (IMAGENET1K_V1, 73.3 % top-1)."""

from torch import nn
from torchvision.models import resnet34

from bakeoff.datasets.archives.remote import RemoteFile

FILE = RemoteFile(
    name="resnet34-b627a593.pth",
    urls=("https://download.pytorch.org/models/resnet34-b627a593.pth",),
    sha256="b627a593",  # as far as torchvision publishes it
)


def network() -> nn.Module:
    """The network that the weights fit, initialised at random."""
    return resnet34(weights=None)
