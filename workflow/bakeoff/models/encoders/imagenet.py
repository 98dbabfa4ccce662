"""What encoders trained on ImageNet have in common: how images are normalised for them, their first convolution, which
takes images of any number of channels, and how their weights go in."""

from collections.abc import Mapping

from torch import Tensor, nn

# torchvision's and timm's, in units of the range 0 to 1.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
RGB = len(MEAN)


def normalisation(in_channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation, one a channel: where these are not red, green and blue the mean of the three."""
    if in_channels == RGB:
        return MEAN, STD
    return (sum(MEAN) / RGB,) * in_channels, (sum(STD) / RGB,) * in_channels


def take_channels(encoder: nn.Module, in_channels: int) -> None:
    """Have the first convolution of an encoder of RGB images take so many channels, in place.

    Its weights are drawn from torch's global generator, unless the channels are three already. `load` fills them.
    """
    name, first = _first_convolution(encoder)
    if first.in_channels == in_channels:
        return
    other = nn.Conv2d(
        in_channels,
        first.out_channels,
        first.kernel_size,  # type: ignore[arg-type]
        first.stride,  # type: ignore[arg-type]
        first.padding,  # type: ignore[arg-type]
        bias=first.bias is not None,
        device=first.weight.device,
    )
    # As torchvision and timm draw the convolutions of a ResNet; the numbers do not depend on the input's channels.
    nn.init.kaiming_normal_(other.weight, mode="fan_out", nonlinearity="relu")
    if other.bias is not None:
        nn.init.zeros_(other.bias)
    parent, _, last = name.rpartition(".")
    setattr(encoder.get_submodule(parent), last, other)


def adapted(weight: Tensor, in_channels: int) -> Tensor:
    """Weights, (out, 3, h, w), of a convolution of RGB images for another number of channels.

    For one they are summed, so that a grey image gives what it gives as three equal channels. For others they are
    repeated (red, green, blue, red, ...) and scaled by three over their number, so that what comes out keeps its size.

    Source: timm's `adapt_input_conv`.
    """
    if in_channels == RGB or weight.shape[1:2] != (RGB,):
        return weight
    weight = weight.float()
    if in_channels == 1:
        return weight.sum(dim=1, keepdim=True)
    repeated = weight.repeat(1, -(-in_channels // RGB), 1, 1)[:, :in_channels]
    return repeated * (RGB / in_channels)


def load(encoder: nn.Module, weights: Mapping[str, Tensor], without: tuple[str, ...] = ("fc.",)) -> None:
    """Load published weights, in place; those of the first convolution are `adapted` to its channels.

    Parameters
    ----------
    weights
        The encoder's key names, any floating type.
    without
        How the keys begin that the encoder has not, such as the classifier's; everything else must fit.

    Raises
    ------
    RuntimeError
        If a tensor is missing, unknown or of another shape.
    """
    kept = {key: value for key, value in weights.items() if not key.startswith(without)}
    name, first = _first_convolution(encoder)
    key = f"{name}.weight"
    if key in kept:
        kept[key] = adapted(kept[key], first.in_channels)
    encoder.load_state_dict(kept)


def _first_convolution(encoder: nn.Module) -> tuple[str, nn.Conv2d]:
    return next((name, each) for name, each in encoder.named_modules() if isinstance(each, nn.Conv2d))
