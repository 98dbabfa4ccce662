"""ConvNeXt-Tiny trained on ImageNet-22k, by its authors; timm calls it convnext_tiny.fb_in22k.

Neither the authors nor timm publish a checksum of the file.
"""

from collections.abc import Mapping
from typing import Any

import timm
from timm.models.convnext import checkpoint_filter_fn
from torch import Tensor, nn

from bakeoff.datasets.archives.remote import RemoteFile

ORIGIN = "its authors', trained on ImageNet-22k"
LICENCE = "The authors' code is under the MIT licence; ImageNet's terms are for non-commercial research and education."

FILE = RemoteFile(
    name="convnext_tiny_22k_224.pth",
    urls=("https://dl.fbaipublicfiles.com/convnext/convnext_tiny_22k_224.pth",),
    sha256=None,
)


def network() -> nn.Module:
    """The network that the weights fit, timm's with its 21,841 classes, initialised at random."""
    built: nn.Module = timm.create_model("convnext_tiny.fb_in22k", pretrained=False)
    return built


def renamed(checkpoint: Mapping[str, Any], network: nn.Module) -> dict[str, Tensor]:
    """The authors' checkpoint under timm's key names, by timm's own conversion."""
    tensors: dict[str, Tensor] = checkpoint_filter_fn(dict(checkpoint), network)
    return tensors
