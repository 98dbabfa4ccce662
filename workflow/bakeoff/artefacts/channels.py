"""Images of any number of channels: grey levels, RGB, or what a microscope or a multispectral camera records."""

from collections.abc import Sequence

import cv2
import numpy as np

# Of images of more than 8 bits, the levels that become black and white, or such a pair a channel.
Levels = Sequence[float] | Sequence[Sequence[float]]
GREY, RGB = 1, 3
MOST_CHANNELS = 32
# OpenCV averages areas of at most so many channels at a time.
_AT_A_TIME = 4


def named(channels: int) -> str:
    """What images of so many channels are.

    Examples
    --------
    >>> named(1), named(3), named(5)
    ('grey levels', 'RGB', '5 channels')
    """
    return {GREY: "grey levels", RGB: "RGB"}.get(channels, f"{channels} channels")


def as_rgb(image: np.ndarray) -> np.ndarray:
    """How an image is shown: grey as grey, and of other numbers than three the first three as red, green and blue.

    Parameters
    ----------
    image
        uint8, (height, width, channels). Of two channels blue is black.

    Returns
    -------
    numpy.ndarray
        uint8, (height, width, 3), contiguous.
    """
    channels = image.shape[-1]
    if channels == 2:
        image = np.concatenate([image, np.zeros_like(image[..., :1])], axis=-1)
    colours = image[..., :RGB] if channels > GREY else image
    return np.ascontiguousarray(np.broadcast_to(colours, (*image.shape[:-1], RGB)))


def shown_words(channels: int) -> str:
    """What pictures and grey levels of an image of so many channels are, in sentences; "" of grey levels and RGB."""
    if channels in (GREY, RGB):
        return ""
    shown = "channel 1 as red and channel 2 as green" if channels == 2 else "channels 1 to 3 as red, green and blue"
    return (
        f"Pictures show {shown}. Grey levels, which thresholds and the search for near-duplicates use, are the mean of "
        "the channels."
    )


def adaptation_words(channels: int) -> str:
    """What was made of an encoder that was trained on RGB, for images of so many channels: a sentence, or ""."""
    if channels == RGB:
        return ""
    how = "summed" if channels == GREY else f"repeated and scaled by 3/{channels}"
    return f"The first convolution of the encoder was adapted from 3 channels to {channels}: its weights were {how}."


def resized(image: np.ndarray, size: tuple[int, int], interpolation: int) -> np.ndarray:
    """An image, (height, width, channels), as OpenCV resizes it to `size`, height and width."""
    made = np.empty((*size, image.shape[-1]), image.dtype)
    for first in range(0, image.shape[-1], _AT_A_TIME):
        some = slice(first, first + _AT_A_TIME)
        part = cv2.resize(np.ascontiguousarray(image[..., some]), size[::-1], interpolation=interpolation)
        made[..., some] = part.reshape(*size, -1)
    return made
