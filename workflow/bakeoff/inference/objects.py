"""Single objects in predicted masks, told apart as the evaluation of their task does it."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

from bakeoff.artefacts.errors import BakeoffError
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


class Objects(NamedTuple):
    """The single objects in a picture.

    Attributes
    ----------
    numbers
        From 1, int32, at the size of the image; 0 where there is none.
    counts
        How many there are, by the name of their class.
    """

    numbers: np.ndarray
    counts: dict[str, int]

    @property
    def words(self) -> str:
        """For example "34 objects", or of several classes "34 objects: 30 cell, 4 debris"."""
        total = sum(self.counts.values())
        by_class = ", ".join(f"{count} {name}" for name, count in self.counts.items())
        return f"{total} object{'' if total == 1 else 's'}{f': {by_class}' if len(self.counts) > 1 else ''}"


def find_objects(separation: Separation, predictor: Predictor, mask: np.ndarray, restored: np.ndarray) -> Objects:
    """The objects in a predicted mask.

    They are told apart as large as the masks are that were evaluated, and then brought to the size of the image: at
    another scale others would be found. Every pixel of a class has the number of the object of this class that lies at
    its place, or else next to it; an object that is smaller than a pixel of the image may have no pixel.

    Parameters
    ----------
    separation
        How they come apart.
    predictor
        Whose mask it is.
    mask
        Class indices, as large as the prepared picture.
    restored
        The same at the size of the image.
    """
    geometry, (height, width) = predictor.geometry, restored.shape
    numbers, shown = np.zeros(mask.shape, np.int32), geometry.shown(height, width)
    numbers[shown] = separation.objects(mask[shown])
    counts = separation.counts(numbers, mask, predictor.mask_classes)
    if mask.shape == restored.shape:
        return Objects(numbers, counts)
    found = np.zeros(restored.shape, np.int32)
    for index in separation.classes:
        if (here := restored == index).any():
            spread = geometry.restored(_spread(numbers, mask == index), height, width, nearest_classes)
            found[here] = spread[here]
    return Objects(found, counts)


def _spread(numbers: np.ndarray, where: np.ndarray) -> np.ndarray:
    """For every pixel the number that the nearest of some pixels has, int32 (H, W)."""
    away = (~where).astype(np.uint8)
    _, nearest = cv2.distanceTransformWithLabels(away, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL)
    number_of = np.zeros(nearest.max() + 1, np.int32)
    number_of[nearest[where]] = numbers[where]
    return number_of[nearest]


def write_objects(out: Path, name: str, objects: Objects) -> dict[str, Any]:
    """Write `objects/NAME.png`, and return what the table says of an image.

    The file is a grey PNG of 16 bits, whose levels are the numbers; it is not written where these are too many.
    """
    file = f"objects/{name}.png"
    (out / file).unlink(missing_ok=True)  # of an earlier run
    written = (count := sum(objects.counts.values())) <= MOST_NUMBERED
    if written:
        Image.fromarray(objects.numbers.astype(np.uint16)).save(out / file)
    else:
        log.warning("%s is not written: it can number %d objects, and there are %d.", out / file, MOST_NUMBERED, count)
    return {"objects": objects.counts if len(objects.counts) > 1 else count, "object_mask": file if written else None}
