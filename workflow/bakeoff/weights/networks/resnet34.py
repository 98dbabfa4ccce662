"""ResNet34 trained on ImageNet: torchvision's only version of it (IMAGENET1K_V1, 73.3 % top-1)."""

from torchvision.models import resnet34 as network  # noqa: F401 - with random weights by default

from bakeoff.datasets.archives.remote import RemoteFile

ORIGIN = "torchvision's, trained on ImageNet (ILSVRC 2012)"
LICENCE = (
    "torchvision is under BSD-3-Clause and says that pretrained weights may be bound by the terms of the data: "
    "ImageNet's are for non-commercial research and education."
)

FILE = RemoteFile(
    name="resnet34-b627a593.pth",
    urls=("https://download.pytorch.org/models/resnet34-b627a593.pth",),
    sha256="b627a593",  # as far as torchvision publishes it
)
