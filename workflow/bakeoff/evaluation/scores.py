"""Every score of every image, whatever method made its mask, and the headline figures over all images."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd

from bakeoff.evaluation.bootstrap import mean_interval
from bakeoff.evaluation.overlap import OVERLAP_SCORES, Counts, confusion_counts
from bakeoff.evaluation.surface import boundary, hd95_and_assd

# The class that is scored: the first after the background.
FOREGROUND = 1

HEADLINES = ("dice", "iou", "pixel_accuracy", "hd95", "assd")


def score_masks(truth: np.ndarray, predictions: Sequence[np.ndarray], *, threads: int = 1) -> list[pd.DataFrame]:
    """Score any number of predictions of the same images.

    Parameters
    ----------
    truth
        uint8 class indices, (images, height, width).
    predictions
        Each like `truth`: one a seed, or one a method.
    threads
        Images scored at once; the result does not depend on it.

    Returns
    -------
    list of DataFrame
        One a prediction, one row an image: `tp, fp, fn, tn` (pixels), `dice, iou, precision, recall, pixel_accuracy`
        (0 to 1), `hd95, assd` (pixels). No value is ever NaN: empty masks are scored as `overlap` and `surface` say.

    Raises
    ------
    ValueError
        If a prediction's shape is not the truth's.
    """
    for prediction in predictions:
        if prediction.shape != truth.shape:
            raise ValueError(f"Truth {truth.shape} and prediction {prediction.shape} differ in shape.")
    with ThreadPoolExecutor(threads) as pool:
        measured = pool.map(lambda image: _measure(image[0], image[1:]), zip(truth, *predictions, strict=True))
        by_image = np.array(list(measured), np.float64).reshape(len(truth), len(predictions), 6)
    return [_score_table(by_image[:, place]) for place in range(len(predictions))]


def _measure(truth: np.ndarray, predictions: Sequence[np.ndarray]) -> list[tuple[float, ...]]:
    """tp, fp, fn, tn, hd95 and assd of each prediction of one image."""
    true = truth == FOREGROUND
    true_boundary = boundary(true)
    true_boundary.expect(len(predictions) * len(true_boundary.positions))  # as if each were as long as the true one
    measured = []
    for prediction in predictions:
        predicted = prediction == FOREGROUND
        distances = hd95_and_assd(true_boundary, boundary(predicted))
        measured.append((*map(float, confusion_counts(true, predicted)), *distances))
    return measured


def _score_table(measured: np.ndarray) -> pd.DataFrame:
    counts = Counts(*measured[:, :4].astype(np.int64).T)
    return pd.DataFrame(
        {
            **counts._asdict(),
            **{name: score(counts) for name, score in OVERLAP_SCORES.items()},
            "hd95": measured[:, 4],
            "assd": measured[:, 5],
        }
    )


def headline(scores: pd.DataFrame, groups: pd.Series, *, resamples: int) -> dict[str, Any]:
    """Mean and 95 % bootstrap interval of the headline scores, over images.

    Parameters
    ----------
    scores
        `scores.csv`: one row an image and seed, with `id` and `seed`.
    groups
        Group of every image, by id; images of a group are resampled together.
    resamples
        Of the bootstrap.

    Returns
    -------
    dict
        As `metrics.json` has it: `{"dice": {"mean", "low", "high"}, ..., "images", "seeds"}`, plain numbers.
    """
    figures: dict[str, Any] = {}
    for name in HEADLINES:
        by_image = scores.pivot_table(index="id", columns="seed", values=name, sort=False)
        interval = mean_interval(by_image.to_numpy(), resamples=resamples, groups=groups.loc[by_image.index].to_numpy())
        figures[name] = interval._asdict()
    return {**figures, "images": int(scores["id"].nunique()), "seeds": int(scores["seed"].nunique())}
