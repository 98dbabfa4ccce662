"""Reference: U-Net++ and FPN as segmentation_models_pytorch builds them, to measure the other networks against.

U-Net++ (Zhou et al., 2018, https://arxiv.org/abs/1807.10165), FPN for segmentation (Kirillov et al., 2019,
https://arxiv.org/abs/1901.02446), https://github.com/qubvel-org/segmentation_models.pytorch. Everything is that
library's, its defaults included, but for what surrounds it: images whose sides are no multiples of 32 are padded with
ImageNet's mean colour and the logits cut to the image, and the first convolution takes any number of channels in the
way of the other networks here.
"""

from collections.abc import Mapping

import segmentation_models_pytorch as smp
from torch import Tensor, nn
from torch.nn import functional

from bakeoff.models.encoders import imagenet, resnet

VARIANT = "architecture"  # the setting that chooses among these
NAME = {"unetplusplus": "U-Net++ (smp)", "fpn": "FPN (smp)"}
TITLE = {
    "unetplusplus": "a U-Net++ of segmentation_models_pytorch",
    "fpn": "an FPN of segmentation_models_pytorch",
}
CITATIONS = {
    "unetplusplus": (
        "P. Iakubovskii. Segmentation models PyTorch. 2019. https://github.com/qubvel-org/segmentation_models.pytorch.",
        "Z. Zhou, M. M. R. Siddiquee, N. Tajbakhsh, J. Liang. UNet++: a nested U-Net architecture for medical image "
        "segmentation. DLMIA, 2018. arXiv:1807.10165.",
        "K. He, X. Zhang, S. Ren, J. Sun. Deep residual learning for image recognition. IEEE CVPR, 770-778, 2016. "
        "arXiv:1512.03385.",
    ),
    "fpn": (
        "P. Iakubovskii. Segmentation models PyTorch. 2019. https://github.com/qubvel-org/segmentation_models.pytorch.",
        "A. Kirillov, R. Girshick, K. He, P. Dollár. Panoptic feature pyramid networks. IEEE CVPR, 2019. "
        "arXiv:1901.02446.",
        "K. He, X. Zhang, S. Ren, J. Sun. Deep residual learning for image recognition. IEEE CVPR, 770-778, 2016. "
        "arXiv:1512.03385.",
    ),
}

ARCHITECTURES = {"unetplusplus": smp.UnetPlusPlus, "fpn": smp.FPN}
ENCODERS = ("resnet34", "resnet50", "resnet101", "mobilenet_v2")
MULTIPLE = 32


def build(
    in_channels: int,
    outputs: int,
    architecture: str = "unetplusplus",
    encoder: str = "resnet34",
    stride_in: str = "3x3",
) -> nn.Module:
    """Build the network with random weights, drawn from torch's global generator.

    Parameters
    ----------
    in_channels
        Channels of the image, any number.
    outputs
        Logits a pixel: 1 for two classes, else one a class.
    architecture
        "unetplusplus" or "fpn".
    encoder
        "resnet34", "resnet50", "resnet101" or "mobilenet_v2".
    stride_in
        "3x3" or, for ResNet50 and ResNet101, "1x1": see `bakeoff.models.encoders.resnet.set_stride_in`.

    Raises
    ------
    ValueError
        If a setting is outside these.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(f"architecture is '{architecture}': choose {' or '.join(ARCHITECTURES)}")
    if encoder not in ENCODERS:
        raise ValueError(f"encoder is '{encoder}': choose {', '.join(ENCODERS)}")
    if encoder == "mobilenet_v2" and stride_in != "3x3":
        raise ValueError("stride_in is for ResNets, and the encoder is mobilenet_v2: drop it")
    network = Reference(in_channels, outputs, architecture, encoder)
    if encoder != "mobilenet_v2":
        resnet.set_stride_in(network.encoder, stride_in)
    return network


def load_encoder(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load pretrained weights with torchvision's key names, in place; see `imagenet.load`."""
    imagenet.load(network.encoder, weights, without=("fc.", "classifier."))  # type: ignore[arg-type]


class Reference(nn.Module):
    """The network. `mean` and `std` are what its input is normalised with, in units of the range 0 to 1."""

    def __init__(self, in_channels: int, outputs: int, architecture: str, encoder: str) -> None:
        super().__init__()
        self.mean, self.std = imagenet.normalisation(in_channels)
        parts = ARCHITECTURES[architecture](encoder, encoder_weights=None, in_channels=3, classes=outputs)
        self.encoder, self.decoder, self.head = parts.encoder, parts.decoder, parts.segmentation_head
        imagenet.take_channels(self.encoder, in_channels)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (batch, outputs, height, width), of normalised images, (batch, channels, height, width)."""
        height, width = images.shape[-2:]
        # 0 is the mean colour, since the images are normalised.
        padded = functional.pad(images, (0, -width % MULTIPLE, 0, -height % MULTIPLE))
        logits: Tensor = self.head(self.decoder(self.encoder(padded)))
        return logits[..., :height, :width]
