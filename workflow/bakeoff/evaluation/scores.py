"""Scores of masks by image, and the headline figures over all images.

A task scores one class or several (`bakeoff.artefacts.mask_score`). Of several every score is the mean, image by image,
over those that the truth or the prediction of the image holds; an image that holds none of them, rightly, scores as two
empty masks do. Void pixels of the truth are left out: in surface distances they belong to no class on either side.

Where one class is scored and a further class is called `border`, a band along the outline that annotators gave to
neither side, every method is scored under three conventions:

| convention | columns | foreground of the truth | foreground of a prediction | pixels left out |
|---|---|---|---|---|
| a class of its own | `dice`, `iou`, ... | the scored class | the scored class | none |
| foreground | `..._border_as_foreground` | that class and the border | that class and the border | none |
| ignored | `..._border_ignored` | the scored class | the scored class | those that are truly border |

A method of two classes predicts no border. Under the first convention every border pixel that it assigns to the
foreground is a false positive; under the second it has to find the border's outer edge; only the third treats it like
methods that predict the border. Predicting border gains nothing: on a pixel of the scored class it is a false negative
under the first and the third, on background a false positive under the second. The mean over classes gives a method
that never predicts border 0 for that class.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bakeoff.artefacts.mask_score import MaskScore
from bakeoff.artefacts.void import VOID
from bakeoff.evaluation.bootstrap import (
    BOUNDS,
    SHARE,
    Interval,
    expanded_shares,
    mean_interval,
    mean_variance,
    times_drawn,
    widened,
)
from bakeoff.evaluation.overlap import (
    OVERLAP_SCORES,
    Counts,
    class_confusion,
    class_counts,
    class_mean,
    confusion_counts,
    dice,
    foreground_counts,
    iou,
    pixel_accuracy,
    present_mean,
)
from bakeoff.evaluation.surface import boundary_band, hd95_and_assd

# What is scored where nothing else is said: the first class after the background.
FOREGROUND = (1,)
BORDER = "border"
TWO_CLASSES = ("background", "foreground")

# Probability that an interval covers.
LEVEL = 0.95

# Those that a table has become figures of `metrics.json`.
HEADLINES = (
    *("dice", "iou", "boundary_iou", "iou_border_as_foreground", "pixel_accuracy", "hd95", "assd"),
    *("object_f1", "object_ap", "object_pq", "count_error", "count_off"),
)


class MaskScores(NamedTuple):
    """What `score_masks` finds of one prediction.

    Attributes
    ----------
    table
        One row an image: `tp, fp, fn, tn` (pixels, of several classes their sums), `dice, iou, precision, recall`
        (0 to 1), `hd95, assd` (pixels) and `boundary_iou` (0 to 1), of the scored classes each against the rest;
        `pixel_accuracy`, the share of the pixels whose class is right; of three classes or more that are not all scored
        `mean_dice, mean_iou` over all classes of the image; with a border `dice_border_as_foreground,
        iou_border_as_foreground, dice_border_ignored, iou_border_ignored`. No value is ever NaN: empty masks are scored
        as `overlap` and `surface` say.
    confusion
        Pixels by image, true class and predicted class; int64, (images, classes, classes).
    """

    table: pd.DataFrame
    confusion: np.ndarray


class _Measured(NamedTuple):
    """One prediction of one image: (classes, classes) pixels; of every scored class the counts of the bands' pixels,
    (scored, 4), and hd95 and assd, (scored, 2)."""

    confusion: Any
    bands: list[Counts]
    distances: list[tuple[float, float]]


def score_masks(
    truth: Sequence[np.ndarray] | np.ndarray,
    predictions: Sequence[Sequence[np.ndarray] | np.ndarray],
    *,
    classes: Sequence[str] = TWO_CLASSES,
    scored: Sequence[int] = FOREGROUND,
    threads: int = 1,
) -> list[MaskScores]:
    """Score any number of predictions of the same images.

    Parameters
    ----------
    truth
        uint8 class indices or `VOID`, (height, width) of each image.
    predictions
        Each like `truth`, without void but where the truth is: one a seed, or one a method.
    classes
        Names of the classes, two or more, in the order of their indices.
    scored
        Indices of those that the scores are of.
    threads
        Images scored at once; the result does not depend on it.

    Returns
    -------
    list of MaskScores
        One a prediction.

    Raises
    ------
    ValueError
        If a prediction's shape is not the truth's, or an index is no class.
    """
    for prediction in predictions:
        for true, predicted in zip(truth, prediction, strict=True):
            if true.shape != predicted.shape:
                raise ValueError(f"Truth {true.shape} and prediction {predicted.shape} differ in shape.")
    with ThreadPoolExecutor(threads) as pool:
        images = zip(truth, *predictions, strict=True)
        measured = list(pool.map(lambda image: _measure(image[0], image[1:], len(classes), scored), images))
    return [_mask_scores([image[place] for image in measured], classes, scored) for place in range(len(predictions))]


def _measure(
    truth: np.ndarray, predictions: Sequence[np.ndarray], classes: int, scored: Sequence[int]
) -> list[_Measured]:
    void = truth == VOID
    answered = ~void if void.any() else None
    true = [truth == index for index in scored]
    true_bands = [boundary_band(each) for each in true]
    measured = []
    for prediction in predictions:
        predicted = [prediction == index for index in scored]
        if answered is not None:
            confusion: Any = class_confusion(truth[answered], prediction[answered], classes)
            predicted = [each & answered for each in predicted]
        elif classes == len(TWO_CLASSES) and tuple(scored) == FOREGROUND:
            # Counting pixels of masks is ten times faster than counting pairs of classes.
            _require_classes(truth, prediction, classes)
            counts = confusion_counts(true[0], predicted[0])
            confusion = ((counts.tn, counts.fp), (counts.fn, counts.tp))
        else:
            confusion = class_confusion(truth, prediction, classes)
        bands = [confusion_counts(band, boundary_band(each)) for band, each in zip(true_bands, predicted, strict=True)]
        distances = [hd95_and_assd(*each) for each in zip(true, predicted, strict=True)]
        measured.append(_Measured(confusion, bands, distances))
    return measured


def _require_classes(truth: np.ndarray, prediction: np.ndarray, classes: int) -> None:
    highest = max(truth.max(initial=0), prediction.max(initial=0))
    if highest >= classes:
        raise ValueError(f"Class {highest} is none of {classes}, which are counted from 0.")


def _mask_scores(measured: Sequence[_Measured], classes: Sequence[str], scored: Sequence[int]) -> MaskScores:
    confusion = np.array([image.confusion for image in measured], np.int64).reshape(-1, len(classes), len(classes))
    bands = Counts(
        *np.array([image.bands for image in measured], np.int64).reshape(-1, len(scored), 4).transpose(2, 0, 1)
    )
    distances = np.array([image.distances for image in measured], np.float64).reshape(-1, len(scored), 2)
    counts = Counts(*(each[:, list(scored)] for each in class_counts(confusion)))
    columns = {
        **{name: each.sum(axis=1) for name, each in counts._asdict().items()},
        **{name: present_mean(score(counts), counts) for name, score in OVERLAP_SCORES.items()},
        "pixel_accuracy": pixel_accuracy(confusion),
        "hd95": present_mean(distances[..., 0], counts, of_none=0.0),
        "assd": present_mean(distances[..., 1], counts, of_none=0.0),
        "boundary_iou": present_mean(iou(bands), counts),
    }
    if len(scored) < len(classes) > len(TWO_CLASSES):
        columns |= {"mean_dice": class_mean(dice, confusion), "mean_iou": class_mean(iou, confusion)}
    for name, convention in _border_conventions(classes, scored).items():
        border = convention(confusion)
        columns |= {f"dice_{name}": dice(border), f"iou_{name}": iou(border)}
    return MaskScores(pd.DataFrame(columns), confusion)


def _border_conventions(classes: Sequence[str], scored: Sequence[int]) -> dict[str, Callable[[np.ndarray], Counts]]:
    """By name, how a confusion is counted other than with the border as a class of its own; none without a border."""
    if len(scored) > 1 or BORDER not in classes or (border := list(classes).index(BORDER)) == scored[0]:
        return {}
    return {
        "border_as_foreground": partial(foreground_counts, foreground=[*scored, border]),
        "border_ignored": partial(foreground_counts, foreground=scored, ignored_truth=[border]),
    }


def seed_scores(scores: pd.DataFrame, score: str) -> pd.DataFrame:
    """A score by image and seed.

    Parameters
    ----------
    scores
        `scores.csv` of an experiment, or some of its images.
    score
        One of its columns.

    Returns
    -------
    DataFrame
        float64, (images, seeds), by id in the order of first appearance.
    """
    return scores.pivot_table(index="id", columns="seed", values=score, sort=False).astype(np.float64)


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
        As `metrics.json` has it: `{"dice": {"mean", "low", "high"}, ..., "images", "seeds"}`, plain numbers; the ends
        are None where all images are of one group.
    """
    figures: dict[str, Any] = {}
    for name in [name for name in HEADLINES if name in scores]:
        by_image = seed_scores(scores, name)
        group = groups.loc[by_image.index].to_numpy()
        interval = mean_interval(by_image.to_numpy(), resamples=resamples, groups=group, bounds=BOUNDS[name])
        figures[name] = interval.plain()
    return {**figures, "images": int(scores["id"].nunique()), "seeds": int(scores["seed"].nunique())}


def dataset_headline(
    confusion: np.ndarray,
    classes: Sequence[str],
    groups: np.ndarray,
    *,
    resamples: int,
    scored: Sequence[int] = FOREGROUND,
    seed: int = 0,
) -> dict[str, dict[str, float | None]]:
    """Overlap over the data set: scores of the pixels of all images together, in which large objects count for more.

    Parameters
    ----------
    confusion
        Pixels by seed, image, true class and predicted class, (seeds, images, classes, classes).
    classes
        Their names.
    groups
        (images,). Images of one group are drawn together.
    resamples
        How often the images are drawn again, to sum their pixels anew.
    scored
        Indices of the classes whose overlap, or mean overlap, `dataset_dice` and `dataset_iou` are.
    seed
        Of the random numbers: the same pixels and seed give the same intervals.

    Returns
    -------
    dict
        As `metrics.json` has it: of `dataset_dice` and `dataset_iou`, of three classes or more that are not all scored
        also of `dataset_mean_iou`, and with a border of `dataset_iou_border_as_foreground` and
        `dataset_iou_border_ignored`, `mean` (of the seeds' figures, each over all images), `low` and `high`, which are
        None where all images are of one group.

        The 95 % interval is the percentile one of the figures of images drawn again, expanded for few groups, and
        widened by the spread between seeds as that of a mean is: the values by image that this takes are the
        jackknife's pseudo-values.

    Raises
    ------
    ValueError
        If there is no image, or not one group an image.

    References
    ----------
    Efron & Tibshirani (1993), "An Introduction to the Bootstrap", chapter 11, and section 13.3.
    """
    if confusion.shape[1] == 0 or confusion.shape[1] != len(groups):
        raise ValueError(f"{len(groups)} groups for {confusion.shape[1]} images.")
    member = pd.factorize(np.asarray(groups))[0]
    found = _dataset_figures(confusion.sum(axis=1), classes, scored)
    resampled = _dataset_figures(_resampled_sums(confusion, member, resamples, seed), classes, scored)
    pseudo = _pseudo_values(confusion, classes, scored, found)
    count = int(member.max()) + 1
    intervals = {}
    for name, of_seeds in found.items():
        drawn = resampled[name].mean(axis=-1)
        low, high = np.quantile(drawn, expanded_shares(LEVEL, count)) if count > 1 else (np.nan, np.nan)
        interval = Interval(float(of_seeds.mean()), float(low), float(high))
        intervals[name] = widened(interval, mean_variance(pseudo[name], member), LEVEL).within(*SHARE).plain()
    return intervals


def scored_alone(truth: np.ndarray, prediction: np.ndarray, classes: int, score: MaskScore) -> float:
    """The score of one prediction of one image, 0 to 1, by itself.

    Parameters
    ----------
    truth
        uint8 class indices or `VOID`, (height, width).
    prediction
        The same, without void.
    classes
        How many there are.
    score
        Of which of them, and what, of pixels.
    """
    answered = truth != VOID
    confusion = class_confusion(truth[answered], prediction[answered], classes)
    return float(class_mean({"dice": dice, "iou": iou}[score.measure], confusion, score.scored))


def class_scores(confusion: np.ndarray, classes: Sequence[str], groups: np.ndarray, resamples: int) -> pd.DataFrame:
    """Dice and IoU of every class, over the images that hold it.

    Parameters
    ----------
    confusion
        Pixels by seed, image, true class and predicted class, (seeds, images, classes, classes).
    classes
        Their names.
    groups
        (images,). Images of one group are drawn together.
    resamples
        Of the bootstrap.

    Returns
    -------
    DataFrame
        A row a class: `class`, `images` (that truly hold it), `pixels` (its true share of all, 0 to 1), `dice_mean,
        dice_low, dice_high, iou_mean, iou_low, iou_high`, over these images, and `dataset_iou`, of the pixels of all
        images together; scores are NaN of a class that no image holds.
    """
    counts, totals = class_counts(confusion), class_counts(confusion.sum(axis=1))
    true = confusion[0].sum(axis=-1)
    rows = []
    for index, name in enumerate(classes):
        holds = true[:, index] > 0
        row: dict[str, Any] = {"class": name, "images": int(holds.sum()), "pixels": true[:, index].sum() / true.sum()}
        for score in (dice, iou):
            values = score(Counts(*(each[..., index] for each in counts)))[:, holds].T
            interval = (
                mean_interval(values, resamples=resamples, groups=np.asarray(groups)[holds], bounds=SHARE)
                if holds.any()
                else Interval(np.nan, np.nan, np.nan)
            )
            row |= {f"{score.__name__}_{end}": value for end, value in interval._asdict().items()}
        row["dataset_iou"] = iou(Counts(*(each[..., index] for each in totals))).mean() if holds.any() else np.nan
        rows.append(row)
    return pd.DataFrame(rows)


def pixel_confusion(confusion: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """Shares of each true class's pixels by predicted class (`true, predicted, share`), over all images and seeds."""
    pixels = confusion.sum(axis=(0, 1))
    shares = pixels / np.maximum(pixels.sum(axis=1, keepdims=True), 1)
    names = list(classes)
    return pd.DataFrame(
        [
            {"true": names[true], "predicted": names[predicted], "share": float(shares[true, predicted])}
            for true in range(len(names))
            for predicted in range(len(names))
        ]
    )


def _dataset_figures(confusion: np.ndarray, classes: Sequence[str], scored: Sequence[int]) -> dict[str, np.ndarray]:
    """Scores of summed confusions, (..., classes, classes), each (...,)."""
    figures = {"dataset_dice": class_mean(dice, confusion, scored), "dataset_iou": class_mean(iou, confusion, scored)}
    if len(scored) < len(classes) > len(TWO_CLASSES):
        figures["dataset_mean_iou"] = class_mean(iou, confusion)
    for name, convention in _border_conventions(classes, scored).items():
        figures[f"dataset_iou_{name}"] = iou(convention(confusion))
    return figures


def _resampled_sums(confusion: np.ndarray, member: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Sum over the images of each resample of the groups; float64, (resamples, seeds, classes, classes)."""
    count = int(member.max()) + 1
    by_group = np.zeros((count, confusion[:, 0].size))
    np.add.at(by_group, member, np.moveaxis(confusion, 1, 0).reshape(len(member), -1))
    # How often every group was drawn, times what it holds: a matrix product, for all seeds and scores at once.
    return np.reshape(times_drawn(count, resamples, seed) @ by_group, (resamples, *confusion[:, 0].shape))


def _pseudo_values(
    confusion: np.ndarray, classes: Sequence[str], scored: Sequence[int], found: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """What each image adds to each seed's figure, (images, seeds); the figure itself where there is but one image."""
    images = confusion.shape[1]
    if images == 1:
        return {name: of_seeds[None] for name, of_seeds in found.items()}
    without = _dataset_figures(confusion.sum(axis=1, keepdims=True) - confusion, classes, scored)
    return {name: images * of_seeds - (images - 1) * without[name].T for name, of_seeds in found.items()}
