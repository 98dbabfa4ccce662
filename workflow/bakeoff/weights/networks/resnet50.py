"""ResNet50 trained on ImageNet: torchvision's first version of it (IMAGENET1K_V1, 76.1 % top-1)."""

from torchvision.models import resnet50 as network  # noqa: F401 - with random weights by default

from bakeoff.datasets.archives.remote import RemoteFile

ORIGIN = "torchvision's, trained on ImageNet (ILSVRC 2012)"
LICENCE = (
    "torchvision is under BSD-3-Clause and says that pretrained weights may be bound by the terms of the data: "
    "ImageNet's are for non-commercial research and education."
)

FILE = RemoteFile(
    name="resnet50-0676ba61.pth",
    urls=("https://download.pytorch.org/models/resnet50-0676ba61.pth",),
    # torchvision publishes the first 8 digits, in the name; the others are as users of that file have recorded them.
    sha256="0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
)
STRIDE_IN = "3x3"
