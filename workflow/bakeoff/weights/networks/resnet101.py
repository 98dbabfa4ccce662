"""ResNet101 trained on ImageNet: torchvision's first version of it (IMAGENET1K_V1, 77.4 % top-1)."""

from torchvision.models import resnet101 as network  # noqa: F401 - with random weights by default

from bakeoff.datasets.archives.remote import RemoteFile

ORIGIN = "torchvision's, trained on ImageNet (ILSVRC 2012)"
LICENCE = (
    "torchvision is under BSD-3-Clause and says that pretrained weights may be bound by the terms of the data: "
    "ImageNet's are for non-commercial research and education."
)

FILE = RemoteFile(
    name="resnet101-63fe2227.pth",
    urls=("https://download.pytorch.org/models/resnet101-63fe2227.pth",),
    sha256="63fe2227",  # as far as torchvision publishes it
)
