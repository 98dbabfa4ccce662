"""The class index that stands for no class. In a module of its own: what predicts has no tables (pandas)."""

import numpy as np

# In `masks.npy` a pixel without an answer: in no loss, class weight, score, picture or audit.
VOID = 255


def is_foreground(mask: np.ndarray, background: int | None) -> np.ndarray:
    """Where a mask of any shape shows anything but void and, if there is one, the background; bool."""
    return (mask != VOID) & (mask != background if background is not None else True)
