"""Predictability of a label from a few columns: from metadata or brightness alone, without the content of an image.

It is measured by the balanced accuracy over all tested images. Chance is 1 / classes, whatever their frequencies.

Source: Kapoor & Narayanan (2023), "Leakage and the reproducibility crisis in machine-learning-based science",
Patterns 4(9): features that a method should not have.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.inspection import permutation_importance

from bakeoff.artefacts.prepared import Fold
from bakeoff.evaluation.bootstrap import Interval, expanded_shares
from bakeoff.evaluation.paired import holm
from bakeoff.leakage import wording
from bakeoff.leakage.check import Check

ALPHA = 0.05
PERMUTATIONS = 999
# Works on a few columns without tuning; leaves of at least three images keep it from memorising rows.
FOREST: dict[str, Any] = {
    "n_estimators": 200,
    "min_samples_leaf": 3,
    "class_weight": "balanced",
    "random_state": 0,
}
IMPORTANCE_REPEATS = 3
# Resamples in memory at a time.
_AT_A_TIME = 100


@dataclass(frozen=True)
class Predictability:
    """How well a few columns predict a label.

    Attributes
    ----------
    score
        Balanced accuracy over all tested images, and its 95 % interval.
    chance
        1 / classes.
    p_value
        Of the hypothesis that the columns are unrelated to the label, by permutation; after `holm_corrected`, corrected
        for the other labels and columns tested.
    column
        The most important one; None where the score is not above chance.
    columns
        Those that were used: a column that is constant over the images that every fold learns from is not.
    by_fold
        Balanced accuracy by fold.
    """

    score: Interval
    chance: float
    p_value: float
    column: str | None
    columns: tuple[str, ...]
    by_fold: dict[str, float]

    @property
    def above_chance(self) -> bool:
        """Whether the score is above chance, by its interval and by the permutations."""
        return _above_chance(self.score, self.chance, self.p_value)


def predictability(
    columns: pd.DataFrame,
    labels: np.ndarray,
    folds: Sequence[Fold],
    groups: np.ndarray,
    *,
    resamples: int,
    seed: int = 0,
    threads: int = 1,
) -> Predictability | None:
    """How well a random forest predicts the label of tested images from a few columns.

    Each fold's forest learns from the fold's training and validation images.

    Parameters
    ----------
    columns
        Numbers or text, one row an image.
    labels
        Of all images, (images,), of any type that sorts.
    folds
        Of the task.
    groups
        Of all images: those of one group are drawn and permuted together.
    resamples
        Of the bootstrap.
    seed
        Of bootstrap and permutations.
    threads
        That the forest may use; the result does not depend on them.

    Returns
    -------
    Predictability or None
        None where it cannot be tested: no column differs among the images that a fold learns from, or a fold learns
        from one class alone, or all folds together test one class alone.

    References
    ----------
    Breiman (2001), "Random Forests", Machine Learning 45. Permutation test with fixed predictions: Ojala & Garriga
    (2010), JMLR 11; its p-value (1 + better) / (1 + permutations): Phipson & Smyth (2010), SAGMB 9(1).
    """
    # Scikit-learn takes labels such as "0" and "001" for numbers, or for a mistake.
    _, labels = np.unique(labels, return_inverse=True)
    seen = [np.concatenate([fold.train, fold.validation]) for fold in folds]
    varying = [str(name) for name in columns if any(len(pd.unique(columns[name].iloc[part])) > 1 for part in seen)]
    numbers = columns[varying].apply(_as_numbers)
    rows = np.concatenate([fold.test for fold in folds])
    if numbers.empty or any(len(np.unique(labels[part])) < 2 for part in (*seen, rows)):
        return None

    forests = [
        RandomForestClassifier(**FOREST, n_jobs=threads).fit(numbers.iloc[part].to_numpy(), labels[part])
        for part in seen
    ]
    predicted = [
        forest.predict(numbers.iloc[fold.test].to_numpy()) for forest, fold in zip(forests, folds, strict=True)
    ]
    truth, guess = labels[rows], np.concatenate(predicted)
    score = balanced_accuracy_interval(truth, guess, groups[rows], resamples=resamples, seed=seed)
    tested_in = np.repeat([fold.number for fold in folds], [len(fold.test) for fold in folds])
    chance = 1 / len(np.unique(truth))
    p_value = permutation_p(truth, guess, groups[rows], tested_in, seed=seed)
    above = _above_chance(score, chance, p_value)
    return Predictability(
        score=score,
        chance=chance,
        p_value=p_value,
        column=_most_important(forests, numbers, labels, folds, seed) if above else None,
        columns=tuple(varying),
        by_fold={
            str(fold.number): float(_recalls(labels[fold.test], guessed).mean())
            for fold, guessed in zip(folds, predicted, strict=True)
        },
    )


def balanced_accuracy_interval(
    truth: np.ndarray, predicted: np.ndarray, groups: np.ndarray, *, resamples: int, seed: int = 0
) -> Interval:
    """Balanced accuracy and its 95 % bootstrap interval over images, groups drawn as a whole: expanded percentile.

    A class of which a draw has no image is left out of that draw's mean. Of images of a single group both ends are NaN.

    Parameters
    ----------
    truth, predicted, groups
        (images,) each.

    Examples
    --------
    >>> truth = np.array(["cat", "cat", "cat", "dog"])
    >>> balanced_accuracy_interval(truth, truth, np.arange(4), resamples=100)
    Interval(mean=1.0, low=1.0, high=1.0)
    """
    classes, index = np.unique(truth, return_inverse=True)
    member, names = pd.factorize(groups)
    if len(names) < 2:
        return Interval(float(_recalls(truth, predicted).mean()), np.nan, np.nan)
    actual = np.zeros((len(names), len(classes)))
    np.add.at(actual, (member, index), 1.0)
    right = np.zeros_like(actual)
    np.add.at(right, (member, index), (truth == predicted).astype(np.float64))

    rng = np.random.default_rng(seed)
    drawn = []
    for start in range(0, resamples, _AT_A_TIME):
        draws = min(_AT_A_TIME, resamples - start)
        weights = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), draws).astype(np.float64)
        with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: a class that was not drawn
            drawn.append(np.nanmean((weights @ right) / (weights @ actual), axis=1))
    low, high = np.quantile(np.concatenate(drawn), expanded_shares(1 - ALPHA, len(names)))
    return Interval(float(_recalls(truth, predicted).mean()), float(low), float(high))


def permutation_p(
    truth: np.ndarray, predicted: np.ndarray, groups: np.ndarray, folds: np.ndarray, *, seed: int = 0
) -> float:
    """Probability of a balanced accuracy as high where predictions are unrelated to the truth.

    The labels of whole groups are exchanged with those of other groups of the same fold and size: the images of one
    group usually share one label and are not independent.

    Parameters
    ----------
    truth, predicted, groups, folds
        (images,) each.
    """
    _, index, counts = np.unique(truth, return_inverse=True, return_counts=True)
    worth = 1 / (len(counts) * counts[index])  # of a correct prediction
    blocks = pd.DataFrame({"fold": folds, "group": groups}).groupby(["fold", "group"], sort=False)
    order = pd.DataFrame({"fold": folds, "size": blocks["group"].transform("size"), "block": blocks.ngroup()})
    exchangeable = [
        np.array([rows.to_numpy() for _, rows in alike.index.to_series().groupby(alike["block"])])
        for _, alike in order.groupby(["fold", "size"])
    ]
    rng = np.random.default_rng(seed)
    observed = worth[truth == predicted].sum()
    as_high, source = 0, np.arange(len(truth))
    for _ in range(PERMUTATIONS):
        for rows in exchangeable:
            source[rows.ravel()] = rng.permutation(rows).ravel()
        as_high += worth[source][truth[source] == predicted].sum() >= observed - 1e-12
    return float((1 + as_high) / (1 + PERMUTATIONS))


def holm_corrected(found: Sequence[Predictability | None]) -> list[Predictability | None]:
    """The same with their p-values corrected for each other (Holm 1979).

    Parameters
    ----------
    found
        What `predictability` returned for all labels and columns of one split; None stays None.
    """
    adjusted = iter(holm(np.array([each.p_value for each in found if each])))
    after = [replace(each, p_value=float(next(adjusted))) if each else None for each in found]
    return [each if each is None or each.above_chance else replace(each, column=None) for each in after]


def metadata_check(target: str, found: Predictability | None, *, is_target: bool = True) -> Check:
    """Whether the label can be predicted from metadata.

    Parameters
    ----------
    target
        The label's name.
    found
        What `predictability` returned.
    is_target
        Whether methods are to predict this label. In segmentation it describes the mask or the image.
    """
    check = f"metadata: {target}"
    if found is None:
        return Check(check, wording.metadata_untested(target), "untested", wording.UNTESTED_METADATA)
    return _check(
        check, found, wording.metadata_found(target, found), wording.METADATA_MEANS[found.above_chance, is_target]
    )


def brightness_check(target: str, found: Predictability | None, *, is_target: bool = True) -> Check | None:
    """Whether the label can be predicted from the mean and the spread of grey levels.

    Parameters
    ----------
    target
        The label's name.
    found
        What `predictability` returned; without it there is no check.
    is_target
        As of `metadata_check`.
    """
    if found is None:
        return None
    return _check(
        f"brightness: {target}",
        found,
        wording.brightness_found(target, found),
        wording.BRIGHTNESS_MEANS[found.above_chance, is_target],
    )


def _check(check: str, found: Predictability, finding: str, explanation: str) -> Check:
    ends = found.score.plain()
    return Check(
        check=check,
        finding=finding,
        verdict="warn" if found.above_chance else "pass",
        explanation=explanation,
        score=ends["mean"],
        low=ends["low"],
        high=ends["high"],
        chance=found.chance,
        details={"p_value": found.p_value, "column": found.column, "balanced_accuracy_by_fold": found.by_fold},
    )


def _above_chance(score: Interval, chance: float, p_value: float) -> bool:
    return score.low > chance and p_value < ALPHA


def _as_numbers(column: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(column):
        return column
    return pd.Series(pd.factorize(column, sort=True)[0], index=column.index)


def _recalls(truth: np.ndarray, predicted: np.ndarray) -> pd.Series:
    return pd.Series(truth == predicted).groupby(truth).mean()


def _most_important(
    forests: Sequence[RandomForestClassifier],
    columns: pd.DataFrame,
    labels: np.ndarray,
    folds: Sequence[Fold],
    seed: int,
) -> str:
    """The column whose permutation costs the most balanced accuracy on tested images, over all folds."""
    lost = sum(
        permutation_importance(
            forest,
            columns.iloc[fold.test].to_numpy(),
            labels[fold.test],
            scoring="balanced_accuracy",
            n_repeats=IMPORTANCE_REPEATS,
            random_state=seed,
        ).importances_mean
        for forest, fold in zip(forests, folds, strict=True)
    )
    return str(columns.columns[int(np.argmax(lost))])
