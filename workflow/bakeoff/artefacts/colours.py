"""The colours of the classes of masks: the same in reports, written masks, outlines and the demo."""

import numpy as np

from bakeoff.artefacts.void import VOID

BLACK, VOID_GREY = (0, 0, 0), (128, 128, 128)
# First the colours of Okabe and Ito (2008), which are told apart with any colour vision, then those of Kelly (1965,
# "Twenty-two colors of maximum contrast") that are far from them and from black, white and grey.
COLOURS = (
    (240, 228, 66),
    (213, 94, 0),
    (0, 114, 178),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (230, 159, 0),
    (128, 62, 117),
    (193, 0, 32),
    (206, 162, 98),
    (0, 125, 52),
    (246, 118, 142),
    (83, 55, 122),
    (147, 170, 0),
    (89, 51, 21),
    (35, 44, 22),
    (255, 122, 92),
    (0, 83, 138),
    (179, 40, 81),
    (244, 200, 0),
    (127, 24, 13),
    (166, 189, 215),
)


def class_colours(background: int | None = 0) -> np.ndarray:
    """RGB of every class index, uint8 (256, 3): a background black, void grey, and colours that repeat after 22.

    Parameters
    ----------
    background
        0, or None where every class counts and the first has a colour too.
    """
    first = 0 if background is None else 1
    palette = np.array(COLOURS, np.uint8)[(np.arange(256) - first) % len(COLOURS)]
    palette[:first], palette[VOID] = BLACK, VOID_GREY
    return palette
