"""The colours of the classes of masks: the same in reports, written masks, outlines and the demo."""

import numpy as np

from bakeoff.artefacts.void import VOID

BLACK, VOID_GREY = (0, 0, 0), (128, 128, 128)
# Two of Okabe and Ito (2008), and then in every place the colour whose least CIEDE2000 distance to those before it, to
# black, to white and to void's grey is largest, also as it is seen without red, green or blue cones (Machado et al.
# 2009). Candidates were sRGB in steps of 17, but for greys (chroma under 25), which images have, and for what is darker
# than a lightness of 30. Of the first 8 no two are nearer than 14, of the first 12 than 12, of all than 8.
COLOURS = (
    (240, 228, 66),
    (213, 94, 0),
    (119, 0, 170),
    (119, 170, 255),
    (136, 34, 17),
    (170, 187, 136),
    (153, 102, 170),
    (238, 153, 187),
    (0, 102, 85),
    (204, 255, 187),
    (68, 153, 85),
    (0, 238, 255),
    (102, 119, 255),
    (0, 17, 255),
    (187, 187, 68),
    (187, 17, 85),
    (136, 68, 119),
    (170, 136, 187),
    (153, 221, 187),
    (136, 68, 187),
    (153, 85, 34),
    (255, 102, 153),
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
