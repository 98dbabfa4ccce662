"""Single objects in predicted masks, told apart as the evaluation of their task does it."""

import logging
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.geometry import Geometry
from bakeoff.artefacts.layout import Project
from bakeoff.datasets.preparation.decode import nearest_classes
from bakeoff.evaluation.separation import FILE, Separation, read_separation
from bakeoff.inference.predictors import CascadePredictor, Predictor

log = logging.getLogger(__name__)

# The highest number of a pixel of 16 bits.
MOST_NUMBERED = 2**16 - 1


def separation_of(predictor: Predictor, root: Path) -> Separation | None:
    """How the masks of an experiment come apart; None where they do not, or where nothing is known of it yet.

    Parameters
    ----------
    root
        The clone: the folder of `params.yaml` and `results`.

    Raises
    ------
    BakeoffError
        If the file that says it is damaged, or what takes objects apart is not installed.
    """
    from bakeoff.config import read_config

    segmenter = predictor.segmenter if isinstance(predictor, CascadePredictor) else predictor
    if segmenter is None or segmenter.target is not None:  # masks that are given are not this method's
        return None
    path = Project(root).evaluation(segmenter.task) / FILE
    if path.is_file():
        return _usable(read_separation(path))
    folder = read_config(root / "params.yaml").folders.get(predictor.dataset)
    if folder and folder.objects:
        log.warning(
            "%s is missing, so single objects are not told apart: run `dvc repro evaluate@%s`.", path, segmenter.task
        )
    return None


def _usable(separation: Separation | None) -> Separation | None:
    if separation and separation.height is not None:
        try:
            import skimage  # noqa: F401
        except ModuleNotFoundError:
            raise BakeoffError("scikit-image is not installed, which tells objects apart: install it.") from None
    return separation


def restored_numbers(
    numbers: np.ndarray, mask: np.ndarray, restored: np.ndarray, separation: Separation, geometry: Geometry
) -> np.ndarray:
    """Numbers of objects, int32, at the size of the image.

    Every pixel of a class has the number of the object of this class that lies at its place, or else next to it.
    Objects are not told apart again, since at another scale they would be others; one that is smaller than a pixel of
    the image may have no pixel.

    Parameters
    ----------
    numbers, mask
        Of the objects, and the class indices, as large as the prepared picture.
    restored
        The mask at the size of the image.
    separation
        Which classes have objects.
    geometry
        Of the prepared picture.
    """
    if numbers.shape == restored.shape:
        return numbers
    found, (height, width) = np.zeros(restored.shape, np.int32), restored.shape
    for index in separation.classes:
        here = restored == index
        if here.any():
            spread = geometry.restored(_spread(numbers, mask == index), height, width, _nearest)
            found[here] = spread[here]
    return found


def _nearest(numbers: np.ndarray, height: int, width: int) -> np.ndarray:
    return nearest_classes(numbers, (height, width))


def _spread(numbers: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Every pixel's number in the nearest pixel of some that have one, int32 (H, W)."""
    away = (~where).astype(np.uint8)
    _, nearest = cv2.distanceTransformWithLabels(away, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    number_of = np.zeros(nearest.max() + 1, np.int32)
    number_of[nearest[where]] = numbers[where]
    return number_of[nearest]


def write_numbers(folder: Path, name: str, numbers: np.ndarray) -> str | None:
    """Write numbers of objects as a grey PNG of 16 bits, and return its name; None where they are too many for it."""
    path = folder / name
    if (count := int(numbers.max(initial=0))) > MOST_NUMBERED:
        path.unlink(missing_ok=True)  # of an earlier run
        log.warning(
            "%s is not written: %d objects are more than the %d that it can number.", path, count, MOST_NUMBERED
        )
        return None
    Image.fromarray(numbers.astype(np.uint16)).save(path)
    return name
