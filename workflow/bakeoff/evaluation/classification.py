"""Scores of predicted class probabilities: of every image, of every class, and of all images together.

The predicted class is the one with the highest probability; of equals, the first. Cases without an obvious value:

| case | definition |
|---|---|
| a probability of 0 for the true class | log loss of 36.04, the negative logarithm of float64's epsilon |
| a class of which no image is true | is left out of balanced accuracy, ROC AUC and average precision |
| a class of which no image is true and none predicted | is left out of macro-F1 |
| a class that is never predicted | precision 0, and so F1 0 |
| a class that every image has | has no ROC AUC; where no class has one, the figure is None |
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from bakeoff.evaluation import curves
from bakeoff.evaluation.bootstrap import (
    BOUNDS,
    SHARE,
    Interval,
    Variance,
    checked,
    expanded_shares,
    mean_interval,
    mean_variance,
    times_drawn,
    widened,
    wilson,
)
from bakeoff.evaluation.overlap import class_confusion

HEADLINES = (
    *("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "ece", "aurc"),
    *("roc_auc", "average_precision"),
)
# Means over classes of a share of their images, or of pairs of images.
_MEANS_OVER_CLASSES = ("balanced_accuracy", "roc_auc", "average_precision")
# Those that a temperature changes, and what they are called after scaling.
SCALED_HEADLINES = {"log_loss": "log_loss_scaled", "ece": "ece_scaled"}
CALIBRATION_BINS = 15

# As scikit-learn clips float64 probabilities, so that no logarithm is infinite.
_SMALLEST = np.finfo(np.float64).eps
# Values of one array held in memory at a time.
_VALUES_AT_A_TIME = 16_000_000
# Parts of the images that a jackknife leaves out in turn: enough to estimate a variance.
_JACKKNIFE_PARTS = 50


def image_scores(truth: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    """Score each image on its own.

    Parameters
    ----------
    truth
        Indices of the true classes, (images,).
    probabilities
        0 to 1, (images, classes), each row with the sum 1.

    Returns
    -------
    DataFrame
        One row an image: `predicted` (class index), `correct` (0 or 1), `confidence` (the highest probability),
        `log_loss` (natural logarithm, 0 to 36.04) and `brier` (the sum over classes of squared differences, 0 to 2).

    Raises
    ------
    ValueError
        If there is not one row of probabilities an image, or a class index has no column.

    References
    ----------
    Brier (1950), "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78(1): over all
    classes, with two of them twice what is also called the Brier score.

    Examples
    --------
    >>> image_scores(np.array([0]), np.array([[0.25, 0.75]])).round(4).to_dict("records")
    [{'predicted': 1, 'correct': 0, 'confidence': 0.75, 'log_loss': 1.3863, 'brier': 1.125}]
    """
    truth, probabilities = np.asarray(truth), np.asarray(probabilities, np.float64)
    _require_one_row_an_image(truth, probabilities)
    predicted = probabilities.argmax(axis=1)
    of_truth = probabilities[np.arange(len(truth)), truth]
    return pd.DataFrame(
        {
            "predicted": predicted,
            "correct": (predicted == truth).astype(np.int64),
            "confidence": probabilities.max(axis=1),
            "log_loss": -np.log(np.clip(of_truth, _SMALLEST, 1 - _SMALLEST)),
            "brier": np.square(probabilities - _one_hot(truth, probabilities.shape[1])).sum(axis=1),
        }
    )


def figures(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """The headline figures of all images together, for any number of weightings of the images at once.

    Parameters
    ----------
    truth
        Indices of the true classes, (images,).
    probabilities
        0 to 1, (seeds, images, classes). Every figure is that of each seed, averaged over seeds.
    weights
        How often each image counts, float, (weightings, images), none negative and no row all 0; None for every image
        once. Sums have their precision: float32 does for a bootstrap, and is twice as fast.

    Returns
    -------
    dict
        By name as in `HEADLINES`, float64, (weightings,):

        - accuracy: share of images whose predicted class is the true one;
        - balanced_accuracy: mean over classes of the share of their images that are right;
        - macro_f1: mean over classes of 2 tp / (2 tp + fp + fn);
        - log_loss: mean negative logarithm of the true class's probability;
        - ece: expected calibration error, the mean distance of confidence and accuracy in 15 bins of equal width,
          weighted by their images (see `reliability`);
        - aurc: area under the risk-coverage curve, images accepted by confidence (see `curves.aurc`);
        - roc_auc: mean over classes of the probability that an image of the class has a higher probability of it than
          an image of another class (equal ones count half); NaN where no class has both kinds of images;
        - average_precision: mean over classes of the area under the precision-recall curve (see
          `curves.average_precision`).

        Each but ece and aurc, of which it has none, is scikit-learn's figure of the same name.

    Raises
    ------
    ValueError
        If the shapes do not fit together, or there is no image.
    """
    truth, probabilities, weights = _aligned(truth, probabilities, weights)
    return {
        **_mean_over_seeds([_counted_figures(truth, each, weights) for each in probabilities]),
        "roc_auc": _roc_auc(truth, probabilities, weights),
        "average_precision": curves.average_precision(truth, probabilities, weights),
    }


def calibration_figures(
    truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """The `log_loss` and `ece` of `figures` alone."""
    truth, probabilities, weights = _aligned(truth, probabilities, weights)
    tables = [image_scores(truth, each) for each in probabilities]
    return _mean_over_seeds([_calibration_figures(table, weights) for table in tables])


def _aligned(
    truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    truth, probabilities = np.asarray(truth), np.asarray(probabilities, np.float64)
    if len(truth) == 0:
        raise ValueError("There is no image to score.")
    weights = np.ones((1, len(truth))) if weights is None else np.asarray(weights)
    if weights.ndim != 2 or weights.shape[1] != len(truth):
        raise ValueError(f"Weights {weights.shape} are not one an image, (weightings, {len(truth)}).")
    return truth, probabilities, weights


def _mean_over_seeds(by_seed: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.mean([each[name] for each in by_seed], axis=0) for name in by_seed[0]}


def _counted_figures(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Figures of one seed: each is made of weighted sums over images, so of matrix products or running sums."""
    table, classes = image_scores(truth, probabilities), probabilities.shape[1]
    correct, confidence = table["correct"].to_numpy(), table["confidence"].to_numpy()
    actual, predicted = _one_hot(truth, classes), _one_hot(table["predicted"].to_numpy(), classes)
    tp = _sums(weights, actual * correct[:, None])
    in_truth, in_prediction = _sums(weights, actual), _sums(weights, predicted)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: a class that is left out
        recall, f1 = tp / in_truth, 2 * tp / (in_truth + in_prediction)
    return {
        "accuracy": tp.sum(axis=1) / weights.sum(axis=1, dtype=np.float64),
        "balanced_accuracy": np.nanmean(recall, axis=1),
        "macro_f1": np.nanmean(f1, axis=1),
        **_calibration_figures(table, weights),
        "aurc": curves.aurc(confidence, correct, weights),
    }


def _calibration_figures(table: pd.DataFrame, weights: np.ndarray) -> dict[str, np.ndarray]:
    """The same of one seed's `image_scores`."""
    total = weights.sum(axis=1, dtype=np.float64)
    confidence = table["confidence"].to_numpy()
    bins = _one_hot(_bin_of(confidence), CALIBRATION_BINS)
    apart = bins * (table["correct"].to_numpy() - confidence)[:, None]
    return {
        "log_loss": _sums(weights, table["log_loss"].to_numpy()[:, None])[:, 0] / total,
        "ece": np.abs(_sums(weights, apart)).sum(axis=1) / total,
    }


def _sums(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Weighted sums over images, float64, (weightings, columns)."""
    return (weights @ values.astype(weights.dtype)).astype(np.float64)


def _roc_auc(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    classes = probabilities.shape[2]
    # With two classes, what ranks the images of one ranks those of the other backwards: the same area.
    scored = [1] if classes == 2 else range(classes)
    return curves.mean_over_classes([_area(truth == index, probabilities[:, :, index], weights) for index in scored])


def _area(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under a class's ROC curve, as the share of (image of the class, other image) pairs in the right order.

    Counting pairs and not sorting makes it a quadratic form in the weights, so that all weightings and all seeds, whose
    pairs are averaged beforehand, are one matrix product. Source: Hanley & McNeil (1982), Radiology 143(1).

    Parameters
    ----------
    positive
        bool, (images,).
    scores
        (seeds, images).
    weights
        (weightings, images).
    """
    of_class, of_others = weights[:, positive], weights[:, ~positive]
    higher, lower = scores[:, positive], scores[:, ~positive]
    at_a_time = max(1, _VALUES_AT_A_TIME // max(1, lower.shape[1]))
    right = np.zeros(len(weights))
    for start in range(0, higher.shape[1], at_a_time):
        part = slice(start, start + at_a_time)
        order = np.zeros((higher[:, part].shape[1], lower.shape[1]), weights.dtype)
        for mine, others in zip(higher[:, part], lower, strict=True):
            order += mine[:, None] > others
            order += 0.5 * (mine[:, None] == others)
        right += np.einsum("wn,wn->w", of_class[:, part] @ order, of_others) / len(scores)
    pairs = of_class.sum(axis=1, dtype=np.float64) * of_others.sum(axis=1, dtype=np.float64)
    return np.divide(right, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)


def headline(
    truth: np.ndarray,
    probabilities: np.ndarray,
    groups: np.ndarray,
    *,
    scaled: np.ndarray | None = None,
    resamples: int,
    seed: int = 0,
) -> dict[str, Any]:
    """Every headline figure with its 95 % bootstrap interval over images.

    The images are drawn again with replacement, groups as a whole, and each figure is computed anew. A draw in which a
    figure has no value (ROC AUC where one class alone was drawn) is left out of its interval. This is of percentiles,
    expanded for few groups (of a mean over classes: for few in a class), and widened by the variance between seeds less
    what the images explain of it, from a jackknife. Accuracy and log loss, means over images, have the intervals of
    `accuracy_interval` and `mean_interval`.

    Few images in a bin or a class bias `ece` upwards and a mean over classes downwards, in every draw once more: for a
    small test set the interval of such a figure may lie to one side of the figure itself.

    Parameters
    ----------
    truth
        Indices of the true classes, (images,).
    probabilities
        0 to 1, (seeds, images, classes).
    groups
        (images,). Images of one group are drawn together, since they are not independent.
    scaled
        The same probabilities after temperature scaling, for `log_loss_scaled` and `ece_scaled`. Their intervals take
        the temperatures as fixed.
    resamples
        Of the bootstrap.
    seed
        Of the random numbers; `mean_interval` draws the same images from the same seed.

    Returns
    -------
    dict
        As in `metrics.json`: `{"accuracy": {"mean", "low", "high"}, ..., "images", "seeds", "classes"}`, plain numbers,
        None for a ROC AUC that has no value and for the ends of an interval of a single group.

    Raises
    ------
    ValueError
        If the shapes do not fit together, or there is no image.
    """
    found = _all_figures(truth, probabilities, scaled)
    if len(groups) != len(truth):
        raise ValueError(f"{len(groups)} groups for {len(truth)} images.")
    member = pd.factorize(np.asarray(groups))[0]
    count = int(member.max()) + 1
    drawn = _drawn_figures(truth, probabilities, scaled, member, times_drawn(count, resamples, seed))
    of_classes = _groups_of_classes(truth, probabilities, member)
    intervals: dict[str, Any] = {}
    for name, values in drawn.items():
        values = values[np.isfinite(values)]
        known = count > 1 and len(values) > 0
        shares = expanded_shares(0.95, of_classes if name in _MEANS_OVER_CLASSES else count)
        low, high = np.quantile(values, shares) if known else (np.nan, np.nan)
        intervals[name] = Interval(float(found[name][0]), float(low), float(high))
    if len(probabilities) > 1 and count > 1:
        intervals = _widened(intervals, truth, probabilities, scaled, member, seed)
    # Means over images have better intervals, which `comparison.py` gives them too.
    intervals["accuracy"] = accuracy_interval((np.argmax(probabilities, axis=2) == truth).T, groups)
    for name, each in (("log_loss", probabilities), ("log_loss_scaled", scaled)):
        if each is not None:
            losses = np.column_stack([image_scores(truth, of_seed)["log_loss"] for of_seed in each])
            intervals[name] = mean_interval(
                losses, resamples=resamples, seed=seed, groups=groups, bounds=BOUNDS["log_loss"]
            )
    return {
        **{name: interval.plain() for name, interval in intervals.items()},
        "images": len(truth),
        "seeds": len(probabilities),
        "classes": int(np.shape(probabilities)[2]),
    }


def _groups_of_classes(truth: np.ndarray, probabilities: np.ndarray, member: np.ndarray) -> float:
    """How many groups the variance of a mean over classes is estimated from, where small classes bring most of it.

    One more than Satterthwaite's degrees of freedom of the classes' recalls, each by Laplace's rule of succession, so
    that none is without variance; never more than all groups.

    Source: Satterthwaite (1946), "An approximate distribution of estimates of variance components", Biometrics
    Bulletin 2(6).
    """
    correct = (np.argmax(probabilities, axis=2) == truth).mean(axis=0)
    classes, images = np.unique(truth, return_counts=True)
    groups = np.array([len(np.unique(member[truth == index])) for index in classes])
    recall = np.bincount(truth, weights=correct)[classes] / images
    share = (recall * groups + 1) / (groups + 2)
    variance = share * (1 - share) / groups
    degrees = variance.sum() ** 2 / np.sum(variance**2 / np.maximum(groups - 1, 1))
    return float(min(degrees, member.max()) + 1)


def _all_figures(
    truth: np.ndarray, probabilities: np.ndarray, scaled: np.ndarray | None, weights: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    found = figures(truth, probabilities, weights)
    if scaled is None:
        return found
    after = calibration_figures(truth, scaled, weights)
    return {**found, **{name: after[before] for before, name in SCALED_HEADLINES.items()}}


def _drawn_figures(
    truth: np.ndarray, probabilities: np.ndarray, scaled: np.ndarray | None, member: np.ndarray, times: np.ndarray
) -> dict[str, np.ndarray]:
    """Figures of the images drawn as often as `times` has their groups, (resamples, groups)."""
    at_a_time = max(1, _VALUES_AT_A_TIME // len(member))
    parts = [
        _all_figures(truth, probabilities, scaled, times[start : start + at_a_time, member].astype(np.float32))
        for start in range(0, len(times), at_a_time)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _widened(
    intervals: Mapping[str, Interval],
    truth: np.ndarray,
    probabilities: np.ndarray,
    scaled: np.ndarray | None,
    member: np.ndarray,
    seed: int,
) -> dict[str, Interval]:
    """Intervals over images, of figures from 0 to 1, widened by the variance between seeds."""
    count = int(member.max()) + 1
    pseudo = _pseudo_values(truth, probabilities, scaled, member, seed)
    found = {}
    for name, interval in intervals.items():
        of_seeds = mean_variance(pseudo[name], np.arange(len(pseudo[name]))).of_seeds
        of_images = ((interval.high - interval.low) / 2 / float(special.ndtri(0.975))) ** 2
        found[name] = widened(interval, Variance(of_images, count, of_seeds), 0.95).within(*SHARE)
    return found


def _pseudo_values(
    truth: np.ndarray, probabilities: np.ndarray, scaled: np.ndarray | None, member: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """The jackknife's pseudo-values, (parts, seeds): what each part of the groups adds to each seed's figure.

    A part without which a figure has no value has the figure itself.

    Source: Efron & Tibshirani (1993), "An Introduction to the Bootstrap", chapter 11; parts of several: section 11.7.
    """
    count = int(member.max()) + 1
    parts = min(count, _JACKKNIFE_PARTS)
    part = (np.random.default_rng(seed).permutation(count) % parts)[member]
    # All images, and all but one part.
    weights = np.vstack([np.ones(len(part)), np.arange(parts)[:, None] != part]).astype(np.float32)
    by_seed = [
        _all_figures(truth, probabilities[[each]], None if scaled is None else scaled[[each]], weights)
        for each in range(len(probabilities))
    ]
    found = {}
    for name in by_seed[0]:
        whole, *without = np.stack([figures[name] for figures in by_seed], axis=1)
        values = parts * whole - (parts - 1) * np.array(without)
        found[name] = np.where(np.isfinite(values), values, whole)
    return found


def accuracy_interval(correct: np.ndarray, groups: np.ndarray, *, level: float = 0.95) -> Interval:
    """Accuracy and its interval: Wilson's, for the effective number of independent images.

    Near 0 and 1 the bootstrap fails: where all images are right its interval has no width. Wilson's holds there, with
    fewer images for groups and more where seeds disagree.

    Parameters
    ----------
    correct
        Whether an image is right, 0 to 1: (images,), or by seed, (images, seeds).
    groups
        (images,). Images of one group are not independent.
    level
        Probability that the interval covers.

    Returns
    -------
    Interval
        Where every image is a group of its own and either right or wrong this is Wilson's interval as it stands. Else
        the number of images is p (1 - p) / variance, the variance being that of a mean over groups and seeds, and less
        by the square of normal over t quantile. Where all groups agree there is no variance, and groups count.

    Raises
    ------
    ValueError
        As `mean_interval` does.

    References
    ----------
    Korn & Graubard (1998), "Confidence intervals for proportions with small expected number of positive counts
    estimated from survey data", Survey Methodology 24(2).

    Examples
    --------
    >>> [round(end, 3) for end in accuracy_interval(np.ones(10), np.arange(10))]
    [1.0, 0.722, 1.0]
    """
    by_image, by_seed, member = checked(correct, groups)
    return wilson(float(by_image.mean()), _effective_images(by_image, by_seed, member, level), level=level)


def share_interval(
    right: np.ndarray, counted: np.ndarray, groups: np.ndarray, *, level: float = 0.95
) -> Interval | None:
    """How many of the images that count are right, and its interval, where each seed counts images of its own.

    Parameters
    ----------
    right
        bool, (images, seeds); False where an image does not count.
    counted
        bool, (images, seeds).
    groups
        (images,). Images of one group are not independent.
    level
        Probability that the interval covers.

    Returns
    -------
    Interval or None
        The mean of the seeds' shares, 0 of a seed where no image counts, with the interval of `accuracy_interval`;
        None where no seed has an image that counts.

    References
    ----------
    Cochran (1977), "Sampling Techniques", section 2.11: a ratio's variance is that of its linearised values.

    Examples
    --------
    >>> right, counted = np.array([[1], [0], [0]], bool), np.array([[1], [1], [0]], bool)
    >>> [round(end, 3) for end in share_interval(right, counted, np.arange(3))]
    [0.5, 0.095, 0.905]
    """
    some = counted.any(axis=1)
    if not some.any():
        return None
    right, counted = right[some], counted[some]
    images = counted.sum(axis=0)
    share = np.divide(right.sum(axis=0), images, out=np.zeros(len(images)), where=images > 0)
    weight = np.divide(len(counted), images, out=np.zeros(len(images)), where=images > 0)
    # Where all count this is `right` itself, but for rounding.
    linearised = right.astype(float) if counted.all() else share + (right - share * counted) * weight
    return accuracy_interval(linearised, groups[some], level=level)


def _effective_images(by_image: np.ndarray, by_seed: np.ndarray, member: np.ndarray, level: float) -> float:
    """How many independent images, each right or wrong, would give the same variance of the accuracy."""
    groups, share = int(member.max()) + 1, by_image.mean()
    plain = groups == len(by_image) and np.isin(by_image, (0, 1)).all()
    if groups == 1 or share in (0, 1) or plain:
        return float(groups)
    variance = mean_variance(by_seed, member)
    if variance.standard_error == 0:
        return float(groups)
    t, z = variance.t_quantile((1 + level) / 2), special.ndtri((1 + level) / 2)
    return float(share * (1 - share) / variance.standard_error**2 * (z / t) ** 2)


def reliability(confidence: np.ndarray, correct: np.ndarray) -> pd.DataFrame:
    """How often images are right, by confidence.

    Parameters
    ----------
    confidence
        Highest probability of each image, (images,).
    correct
        0 or 1, (images,).

    Returns
    -------
    DataFrame
        One row a bin that holds images, ascending: `low` and `high` (its ends; bin m of 15 holds confidences above
        (m - 1) / 15 up to m / 15), `images`, and the means `confidence` and `accuracy`. Their distance, weighted by
        `images`, is the expected calibration error.

    References
    ----------
    Guo, Pleiss, Sun & Weinberger (2017), "On calibration of modern neural networks", ICML, equation 3.
    """
    table = pd.DataFrame({"bin": _bin_of(np.asarray(confidence)), "confidence": confidence, "correct": correct})
    found = table.groupby("bin").agg(
        images=("correct", "size"), confidence=("confidence", "mean"), accuracy=("correct", "mean")
    )
    place = found.index.to_numpy()
    ends = {"low": place / CALIBRATION_BINS, "high": (place + 1) / CALIBRATION_BINS}
    return pd.DataFrame({**ends, **{str(name): found[name].to_numpy() for name in found}})


def _bin_of(confidence: np.ndarray) -> np.ndarray:
    return np.digitize(confidence, np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS, right=True)


def class_report(truth: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> pd.DataFrame:
    """Precision, recall and F1 of every class.

    Parameters
    ----------
    truth
        Indices of the true classes, (images,).
    predicted
        The same of the predicted ones, (seeds, images).
    classes
        Their names.

    Returns
    -------
    DataFrame
        One row a class: `class`, `precision`, `recall`, `f1` (0 to 1, averaged over seeds; 0 where there is nothing to
        divide by) and `support` (images whose true class it is).
    """
    counts = np.stack([class_confusion(truth, each, len(classes)) for each in predicted]).astype(np.float64)
    right, actual, taken = counts.diagonal(axis1=1, axis2=2), counts.sum(axis=2), counts.sum(axis=1)
    scores = {
        "precision": _share(right, taken),
        "recall": _share(right, actual),
        "f1": _share(2 * right, actual + taken),
    }
    by_class = {name: values.mean(axis=0) for name, values in scores.items()}
    return pd.DataFrame({"class": list(classes), **by_class, "support": actual[0].astype(np.int64)})


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)


def _one_hot(indices: np.ndarray, columns: int) -> np.ndarray:
    return (np.asarray(indices)[:, None] == np.arange(columns)).astype(np.float64)


def _require_one_row_an_image(truth: np.ndarray, probabilities: np.ndarray) -> None:
    if probabilities.ndim != 2 or len(probabilities) != len(truth):
        raise ValueError(f"Probabilities {probabilities.shape} are not one row for each of {len(truth)} images.")
    if len(truth) and not 0 <= truth.min() <= truth.max() < probabilities.shape[1]:
        raise ValueError(f"Class {truth.max()} has no column of probabilities {probabilities.shape}.")
