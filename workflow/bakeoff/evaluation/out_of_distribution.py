"""Does an image look like those that a method learned from?

A prepared picture is described by some fifty numbers: quantiles of its grey levels, edge energy at four scales, a
coarse thumbnail and, where it has colours, how colourful it is and where. Its score is the Mahalanobis distance to the
training images of the task, under a covariance shrunk as Ledoit and Wolf have it, since there may be no more images
than numbers. What a distance means is read off the validation images, which were held out: the share of them that are
farther away.

This sees what is coarsely wrong: another kind of picture, another modality, an inverted or badly lit scan. It knows
nothing of what a network finds hard, and an image that looks alike may still be answered wrongly.

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

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.baselines.histogram import grey

# An image is unlike the training images if a smaller share of the validation images is farther from them.
UNLIKE = 0.01
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
SCALES = 4
THUMBNAIL, COLOUR_THUMBNAIL = 6, 3
# Significant digits of what is kept.
DIGITS = 6


@dataclass(frozen=True)
class Likeness:
    """The training images of a task as a cloud of descriptors.

    Attributes
    ----------
    size, channels
        Of the pictures.
    mean, spread
        Of the training images' descriptors, float64 (d,) each; `spread` is their standard deviation.
    precision
        Inverse of the shrunk covariance of standardised descriptors, float64 (d, d).
    held_out
        Distances of the validation images, float64, ascending.
    """

    size: int
    channels: int
    mean: np.ndarray
    spread: np.ndarray
    precision: np.ndarray
    held_out: np.ndarray

    def distances(self, pictures: Iterable[np.ndarray]) -> np.ndarray:
        """Mahalanobis distances, float64 (n,), of prepared pictures: uint8, (size, size, channels)."""
        deviations = (describe(pictures) - self.mean) / self.spread
        squares = np.einsum("nd,de,ne->n", deviations, self.precision, deviations)
        return np.sqrt(np.maximum(squares, 0))

    def farther(self, pictures: np.ndarray) -> np.ndarray:
        """Share of the validation images, 0 to 1, that are at least as far as each picture; float64 (n,)."""
        nearer = np.searchsorted(self.held_out, self.distances(pictures))
        return 1 - nearer / len(self.held_out)


def describe(pictures: Iterable[np.ndarray]) -> np.ndarray:
    """Descriptors, float64 (n, 47) or, with colours, (n, 70), of prepared pictures: uint8, (size, size, channels)."""
    described = [_describe(picture) for picture in pictures]
    return np.array(described).reshape(len(described), -1)


def _describe(picture: np.ndarray) -> np.ndarray:
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
    if picture.shape[-1] == 1:
        return []
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


def fit_likeness(images: np.ndarray, train: Sequence[int] | np.ndarray, validation: Sequence[int] | np.ndarray) -> dict:
    """What `results/audits/TASK-likeness.json` holds, to be read by `read_likeness`.

    Parameters
    ----------
    images
        Prepared pictures, uint8 (n, size, size, channels), possibly a memory map.
    train, validation
        Rows of the images that methods learn from, at least two, and of those that say what a distance means, at least
        one. Of a cross-validation those of its first fold.

    Returns
    -------
    dict
        Plain values: `size, channels, mean, spread, precision` (upper triangle, row by row), `held_out, shrinkage,
        train_images`.
    """
    from sklearn.covariance import ledoit_wolf

    # One by one: of a memory map, a selection of all training images would be a copy in memory.
    descriptors = describe(images[row] for row in train)
    mean = descriptors.mean(axis=0)
    spread = np.maximum(descriptors.std(axis=0), 1e-3)  # what never varies must not decide by itself
    covariance, shrinkage = ledoit_wolf((descriptors - mean) / spread, assume_centered=True)
    # A task of very few, equal images has no covariance at all.
    precision = np.linalg.inv(covariance + 1e-6 * np.eye(len(mean)))
    fitted: dict[str, Any] = {
        "size": images.shape[1],
        "channels": images.shape[3],
        "train_images": len(train),
        "shrinkage": _short(np.array([shrinkage]))[0],
        "mean": _short(mean),
        "spread": _short(spread),
        "precision": _short(precision[np.triu_indices(len(mean))]),
        "held_out": [],
    }
    # From the shortened numbers, by which new images are measured too.
    distances = parse_likeness(fitted).distances(images[row] for row in validation)
    return {**fitted, "held_out": _short(np.sort(distances))}


def _short(values: np.ndarray) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values]


def read_likeness(path: Path) -> Likeness | None:
    """Read `TASK-likeness.json`; None where there is none.

    Raises
    ------
    BakeoffError
        If the file is damaged.
    """
    try:
        return parse_likeness(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BakeoffError(f"{path} cannot be read ({error}): run the stage that audits again.") from None


def likeness_of_task(root: Path, task: str, size: int, channels: int) -> Likeness | None:
    """What the audit of a task left, for its prepared pictures; None where the task was not audited.

    Parameters
    ----------
    root
        The clone: the folder of `results`.
    task
        Its name in the configuration.
    size, channels
        Of the pictures that are to be measured.

    Raises
    ------
    BakeoffError
        If the file is damaged, or was made of pictures of another size or depth.
    """
    path = root / "results" / "audits" / f"{task}-likeness.json"
    likeness = read_likeness(path)
    if likeness and (likeness.size, likeness.channels) != (size, channels):
        raise BakeoffError(
            f"{path} is of pictures of another size or depth than {task} has now: run the stage that audits again."
        )
    return likeness


def parse_likeness(fitted: dict[str, Any]) -> Likeness:
    """What `fit_likeness` returned, ready to measure by."""
    mean = np.array(fitted["mean"], float)
    upper = np.zeros((len(mean), len(mean)))
    upper[np.triu_indices(len(mean))] = fitted["precision"]
    return Likeness(
        size=fitted["size"],
        channels=fitted["channels"],
        mean=mean,
        spread=np.array(fitted["spread"], float),
        precision=upper + np.triu(upper, 1).T,
        held_out=np.array(fitted["held_out"], float),
    )
