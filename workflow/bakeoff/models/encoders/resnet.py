"""ResNet50 (He et al., 2015, https://arxiv.org/abs/1512.03385) as an encoder: torchvision's, without its classifier."""

from torchvision import models
from torchvision.models.resnet import ResNet


def resnet50(stride_in: str = "3x3", *, dilated: bool = False) -> ResNet:
    """Build the encoder with random weights, drawn from torch's global generator.

    Parameters
    ----------
    stride_in
        See `set_stride_in`.
    dilated
        Whether the last stage has a dilation in place of its stride: features at a sixteenth, not a 32nd.

    Raises
    ------
    ValueError
        If `stride_in` is neither 1x1 nor 3x3.
    """
    encoder = models.resnet50(replace_stride_with_dilation=[False, False, dilated])
    del encoder.avgpool, encoder.fc
    set_stride_in(encoder, stride_in)
    return encoder


def set_stride_in(encoder: ResNet, stride_in: str) -> None:
    """Choose which convolution of a stage's first bottleneck halves the resolution.

    Parameters
    ----------
    encoder
        As torchvision builds it.
    stride_in
        "3x3" (torchvision) or "1x1" (the first, as in the ResNet paper and Keras). Pretrained weights need the one
        that they were trained with.

    Raises
    ------
    ValueError
        If it is neither, or the encoder has no bottlenecks and so no such choice.
    """
    if stride_in not in ("1x1", "3x3"):
        raise ValueError(f"stride_in is '{stride_in}': choose 1x1 or 3x3")
    if stride_in == "3x3":
        return
    for stage in (encoder.layer2, encoder.layer3, encoder.layer4):
        first = stage[0]
        if not hasattr(first, "conv3"):  # a block of two convolutions, not a bottleneck
            raise ValueError("stride_in is '1x1', and the encoder has no bottlenecks: drop it")
        # In a dilated stage there is no stride to move: 1 changes places with 1.
        first.conv1.stride, first.conv2.stride = first.conv2.stride, (1, 1)
