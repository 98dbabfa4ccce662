"""Colours of classes are told apart with any colour vision."""

import numpy as np
import pytest
from bakeoff.artefacts.colours import BLACK, COLOURS, VOID_GREY
from skimage.color import deltaE_ciede2000, rgb2lab

# Machado, Oliveira and Fernandes (2009), severity 1: linear RGB as it is seen without one kind of cone.
SEEN = {
    "all cones": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lab(colours: list[tuple[int, int, int]], seen: str) -> np.ndarray:
    """CIELAB, (n, 3), of sRGB colours as somebody sees them."""
    level = np.array(colours) / 255
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    linear = (linear @ np.array(SEEN[seen]).T).clip(0, 1)
    return np.asarray(rgb2lab(np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)))


@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize(("classes", "least"), [(8, 14), (12, 12), (22, 8)])
def test_colours_of_classes_background_and_void_differ_for_all_eyes(seen: str, classes: int, least: float) -> None:
    shown = lab([*COLOURS[:classes], BLACK, VOID_GREY], seen)
    apart = deltaE_ciede2000(shown[:, None], shown[None])
    assert apart[np.triu_indices(len(shown), 1)].min() > least
