"""Random label images, and how StarDist and Cellpose match them.

Where both are installed, in an environment of their own,

    python tests/label_images.py > tests/data/matching.csv

writes the table with which `test_objects.py` compares.
"""

import csv
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

TABLE = Path(__file__).parent / "data" / "matching.csv"
IMAGES = 40
THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def label_images(number: int) -> tuple[np.ndarray, np.ndarray]:
    """True objects, and others like them, numbered 1, 2, ... (H, W): some halved, joined, missed, moved or frayed."""
    random = np.random.RandomState(number)  # which draws the same numbers in every version of numpy
    height, width = random.randint(20, 60, 2)
    rows, columns = np.mgrid[:height, :width]
    middles = random.rand(random.randint(3, 40), 2) * [height, width]
    distances = np.hypot(*(np.stack([rows, columns])[:, None] - middles.T[:, :, None, None]))
    true = np.where(distances.min(axis=0) < random.randint(3, 12), distances.argmin(axis=0) + 1, 0)

    found = true.copy()
    for each in np.unique(true[true > 0]):
        chance, own = random.rand(), np.flatnonzero(true == each)
        if chance < 0.2:
            found.flat[own[: len(own) // 2]] = found.max() + 1
        elif chance < 0.3:
            found.flat[own] = random.randint(found.max() + 1)
    if number % 2:
        found = np.roll(found, random.randint(-1, 2, 2), axis=(0, 1))
        found = np.where(random.rand(height, width) < 0.05, random.randint(0, found.max() + 1, found.shape), found)
    true[0, 0] = found[0, 0] = 0  # Cellpose takes the lowest number for the background, whatever it is
    return _sequential(true), _sequential(found)


def _sequential(numbers: np.ndarray) -> np.ndarray:
    return np.unique(numbers, return_inverse=True)[1].reshape(numbers.shape)


def _record() -> None:
    from cellpose.metrics import average_precision
    from stardist.matching import matching

    print(
        f"# Of tests/label_images.py. f1, accuracy, pq: StarDist {version('stardist')}, stardist.matching.matching. "
        f"average_precision: Cellpose {version('cellpose')}, cellpose.metrics.average_precision."
    )
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["image", "threshold", "true", "predicted", "tp", "f1", "accuracy", "pq", "average_precision"])
    for number in range(IMAGES):
        true, found = label_images(number)
        precisions = average_precision(true, found, list(THRESHOLDS))[0]
        for threshold, precision in zip(THRESHOLDS, precisions.tolist(), strict=True):
            own = matching(true, found, thresh=threshold)
            scores = (f"{each:.6f}" for each in (own.f1, own.accuracy, own.panoptic_quality, precision))
            table.writerow([number, threshold, own.n_true, own.n_pred, own.tp, *scores])


if __name__ == "__main__":
    _record()
