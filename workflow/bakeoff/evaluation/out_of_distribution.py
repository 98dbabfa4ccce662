"""Out-of-distribution score: how far an image is from those that a method was trained on.

A prepared picture is described by some fifty numbers: quantiles of its grey levels, edge energy at four scales, a
coarse thumbnail and, where it has colours, how colourful it is and where; of other channels than grey or RGB it is the
mean that is described so, and of each channel its brightness and contrast. Its distance is the Mahalanobis distance to
the training images of the task, under the shrunk covariance of Ledoit and Wolf, since there may be fewer images than
numbers. Its score is the share, 0 to 1, of the validation images, which were held out, that are nearer.

The score finds coarse differences: another kind of picture, another modality, an inverted or badly lit scan. It does
not measure what a network finds difficult: an image with a low score may still be predicted wrongly.

Source: Lee, Lee, Lee and Shin (2018), "A simple unified framework for detecting out-of-distribution samples and
adversarial attacks", NeurIPS 31 (the distance; of a network's features there, of pixels here); Ledoit and Wolf (2004),
"A well-conditioned estimator for large-dimensional covariance matrices", J. Multivariate Analysis 88(2); Hasler and
Suesstrunk (2003), "Measuring colorfulness in natural images", Proc. SPIE 5007 (equation 2).
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bakeoff.artefacts.channels import GREY, RGB, resized
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.geometry import Geometry, geometry_of
from bakeoff.artefacts.grey_levels import grey

# An image is out of distribution if its score is above this: fewer than 1 % of the validation images are as far away.
THRESHOLD = 0.99
FILE = "out_of_distribution.json"
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
SCALES = 4
# Larger pictures are made so large before they are described, which bounds the memory that this takes.
LARGEST_SIDE = 1024
THUMBNAIL, COLOUR_THUMBNAIL = 6, 3
# Significant digits that are stored.
DIGITS = 6


@dataclass(frozen=True)
class Detector:
    """What the training images of a task look like, and how far held-out images are from them.

    Attributes
    ----------
    geometry, channels
        Of the pictures.
    mean, spread
        Of the training images' descriptors, float64 (d,) each; `spread` is their standard deviation.
    precision
        Inverse of the shrunk covariance of standardised descriptors, float64 (d, d).
    held_out
        Distances of the validation images, float64, ascending.
    """

    geometry: Geometry
    channels: int
    mean: np.ndarray
    spread: np.ndarray
    precision: np.ndarray
    held_out: np.ndarray

    def distances(self, pictures: Iterable[np.ndarray]) -> np.ndarray:
        """Mahalanobis distances, float64 (n,), of prepared pictures without pads: uint8, (H, W, channels)."""
        deviations = (descriptors(pictures) - self.mean) / self.spread
        squares = np.einsum("nd,de,ne->n", deviations, self.precision, deviations)
        return np.sqrt(np.maximum(squares, 0))

    def scores(self, pictures: Iterable[np.ndarray]) -> np.ndarray:
        """Out-of-distribution scores, float64 (n,): the share of the validation images that are nearer."""
        return np.searchsorted(self.held_out, self.distances(pictures)) / len(self.held_out)


def descriptors(pictures: Iterable[np.ndarray]) -> np.ndarray:
    """Descriptors, float64 (n, 47), with colours (n, 70), with other channels (n, 47 + 2 channels), of prepared
    pictures without pads, uint8 (H, W, C)."""
    described = [_descriptor(picture) for picture in pictures]
    return np.array(described).reshape(len(described), -1)


def _descriptor(picture: np.ndarray) -> np.ndarray:
    if (largest := max(picture.shape[:2])) > LARGEST_SIDE:
        size = [max(1, round(side * LARGEST_SIDE / largest)) for side in picture.shape[:2]]
        picture = resized(picture, (size[0], size[1]), cv2.INTER_AREA)
    levels = grey(picture).astype(np.float32) / 255
    parts = [np.quantile(levels, QUANTILES), _edge_energy(levels), _thumbnail(levels, THUMBNAIL)]
    return np.concatenate([*parts, *_colours(picture)])


def _edge_energy(levels: np.ndarray) -> np.ndarray:
    """Logarithm of the mean absolute difference of neighbouring pixels, at full size and every halving of it."""
    energies = []
    for _ in range(SCALES):
        across, down = np.abs(np.diff(levels, axis=1)).mean(), np.abs(np.diff(levels, axis=0)).mean()
        energies.append(np.log(across + down + 1e-3))
        levels = _area(levels, max(2, levels.shape[0] // 2))
    return np.array(energies)


def _colours(picture: np.ndarray) -> list[np.ndarray]:
    if picture.shape[-1] == GREY:
        return []
    if picture.shape[-1] != RGB:
        levels = picture.reshape(-1, picture.shape[-1]).astype(np.float32) / 255
        return [levels.mean(axis=0), np.log(levels.std(axis=0) + 1e-3)]
    red, green, blue = (picture[..., channel].astype(np.float32) / 255 for channel in range(3))
    opponents = (red - green, (red + green) / 2 - blue)
    means, spreads = (np.array([getattr(each, what)() for each in opponents]) for what in ("mean", "std"))
    colourfulness = np.hypot(*spreads) + 0.3 * np.hypot(*means)
    # Logarithms, since a grey picture is not a pale one: it is of another kind.
    amounts = np.log(np.array([*spreads, colourfulness]) + 1e-3)
    return [means, amounts, *(_thumbnail(each, COLOUR_THUMBNAIL) for each in opponents)]


def _thumbnail(levels: np.ndarray, side: int) -> np.ndarray:
    return _area(levels, side).ravel()


def _area(levels: np.ndarray, side: int) -> np.ndarray:
    return cv2.resize(levels, (side, side), interpolation=cv2.INTER_AREA)


def fit_detector(
    images: Sequence[np.ndarray] | np.ndarray,
    train: Sequence[int] | np.ndarray,
    validation: Sequence[int] | np.ndarray,
    geometry: Geometry,
) -> dict:
    """The contents of `out_of_distribution.json`, to be read by `read_detector`.

    Parameters
    ----------
    images
        Prepared pictures without pads, uint8 (height, width, channels), possibly memory maps.
    train, validation
        Rows of the training images, at least two, and of those that distances are compared with, at
        least one. Of a cross-validation those of its first fold.
    geometry
        Of the data set.

    Returns
    -------
    dict
        Plain values: `size, geometry, channels, mean, spread, precision` (upper triangle, row by row), `held_out,
        shrinkage, train_images`.
    """
    from sklearn.covariance import ledoit_wolf

    # One by one: of a memory map, a selection of all training images would be a copy in memory.
    described = descriptors(images[row] for row in train)
    mean = described.mean(axis=0)
    spread = np.maximum(described.std(axis=0), 1e-3)  # a number that hardly varies must not decide alone
    covariance, shrinkage = ledoit_wolf((described - mean) / spread, assume_centered=True)
    # Very few, equal images have no covariance.
    precision = np.linalg.inv(covariance + 1e-6 * np.eye(len(mean)))
    fitted: dict[str, Any] = {
        "size": [geometry.height, geometry.width],
        "geometry": geometry.kind,
        "channels": images[train[0]].shape[-1],
        "train_images": len(train),
        "shrinkage": _short(np.array([shrinkage]))[0],
        "mean": _short(mean),
        "spread": _short(spread),
        "precision": _short(precision[np.triu_indices(len(mean))]),
        "held_out": [],
    }
    # From the shortened numbers, by which new images are measured too.
    distances = parse_detector(fitted).distances(images[row] for row in validation)
    return {**fitted, "held_out": _short(np.sort(distances))}


def _short(values: np.ndarray) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values]


def read_detector(path: Path) -> Detector | None:
    """Read `out_of_distribution.json`; None where there is none.

    Raises
    ------
    BakeoffError
        If the file is damaged.
    """
    try:
        return parse_detector(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BakeoffError(f"{path} cannot be read ({error}): evaluate the task again.") from None


def detector_of_task(root: Path, task: str, geometry: Geometry, channels: int) -> Detector | None:
    """The detector of a task, for its prepared pictures; None where the task was not evaluated.

    Parameters
    ----------
    root
        The clone: the folder of `results`.
    task
        Its name in the configuration.
    geometry, channels
        Of the pictures that are to be scored.

    Raises
    ------
    BakeoffError
        If the file is damaged, or was made of pictures of another geometry or number of channels.
    """
    path = root / "results" / "evaluation" / task / FILE
    detector = read_detector(path)
    if detector and (detector.geometry, detector.channels) != (geometry, channels):
        raise BakeoffError(
            f"{path} was made of pictures of another geometry or number of channels than {task} has now: "
            f"run `dvc repro evaluate@{task}`."
        )
    return detector


def parse_detector(fitted: dict[str, Any]) -> Detector:
    """What `fit_detector` returned, ready to measure by."""
    mean = np.array(fitted["mean"], float)
    upper = np.zeros((len(mean), len(mean)))
    upper[np.triu_indices(len(mean))] = fitted["precision"]
    return Detector(
        geometry=geometry_of(fitted),
        channels=fitted["channels"],
        mean=mean,
        spread=np.array(fitted["spread"], float),
        precision=upper + np.triu(upper, 1).T,
        held_out=np.array(fitted["held_out"], float),
    )
