"""What encoders trained on ImageNet have in common: how their images are normalised, and how their weights go in."""

from collections.abc import Mapping

from torch import Tensor, nn

# torchvision's and timm's, in units of the range 0 to 1.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def normalisation(in_channels: int, model: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation, one a channel; a grey image, which is repeated, gets the mean of the three.

    Parameters
    ----------
    in_channels
        1 (grey) or 3.
    model
        Name of the network, for the message.

    Raises
    ------
    ValueError
        If images have another number of channels.
    """
    if in_channels not in (1, 3):
        raise ValueError(f"images have {in_channels} channels: {model} takes 1 or 3")
    return (MEAN, STD) if in_channels == 3 else ((sum(MEAN) / 3,), (sum(STD) / 3,))


def load(encoder: nn.Module, weights: Mapping[str, Tensor], without: tuple[str, ...] = ("fc.",)) -> None:
    """Load published weights, in place.

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
    encoder.load_state_dict({key: value for key, value in weights.items() if not key.startswith(without)})
