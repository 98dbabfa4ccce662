"""The leakage effect: what a leak adds to the score of a method."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.prepared import Fold
from bakeoff.evaluation.bootstrap import SHARE, Interval, independent_difference, mean_interval
from bakeoff.evaluation.comparison import kind_of
from bakeoff.evaluation.paired import compare_paired
from bakeoff.evaluation.scores import seed_scores
from bakeoff.leakage import wording
from bakeoff.leakage.between_splits import images_of_seen_groups
from bakeoff.leakage.designs import BETWEEN_SPLITS, Design

log = logging.getLogger(__name__)

COLUMNS = ["kind", "without_leak", "with_leak", "difference", "low", "high", "words", "other_reasons"]
# Training sets whose sizes differ by more than this factor are another reason for a difference.
OTHER_TRAINING_SIZE = 1.1


@dataclass(frozen=True)
class TaskImages:
    """A task's images: the `index` of its prepared data set, of which `id` and `group` are read, and its folds."""

    index: pd.DataFrame
    folds: Sequence[Fold]


@dataclass(frozen=True)
class LeakageEffect:
    """What a leak adds to a score.

    Attributes
    ----------
    without_leak, with_leak
        Mean scores.
    difference, low, high
        With the leak minus without it, and its 95 % interval.
    paired
        Whether both were tested on the same images.
    """

    without_leak: float
    with_leak: float
    difference: float
    low: float
    high: float
    paired: bool


def leakage_effect(
    with_leak: pd.DataFrame, without_leak: pd.DataFrame, groups: pd.Series, *, resamples: int, seed: int = 0
) -> LeakageEffect:
    """Mean score with a leak minus mean score without it.

    Tested on the same images, the two are compared image by image. On different images they count as two independent
    samples. A group with images in both makes that interval too wide rather than too narrow, since the scores of
    similar images are correlated.

    Parameters
    ----------
    with_leak, without_leak
        A score from 0 to 1, one row an image (the index its id), one column a seed.
    groups
        By image id.
    resamples, seed
        Of the bootstrap.

    Raises
    ------
    ValueError
        If there is no image, or a score is not finite.
    """
    if set(with_leak.index) == set(without_leak.index):
        after, before = with_leak.to_numpy(np.float64), without_leak.loc[with_leak.index].to_numpy(np.float64)
        found = compare_paired(
            after,
            before,
            groups=groups.loc[with_leak.index].to_numpy(),
            binary=bool(np.isin(after, (0, 1)).all() and np.isin(before, (0, 1)).all()),
            resamples=resamples,
            seed=seed,
        )
        return _effect(before.mean(), after.mean(), found.difference, found.low, found.high, paired=True)
    leaking, clean = (
        mean_interval(
            each.to_numpy(), groups=groups.loc[each.index].to_numpy(), resamples=resamples, seed=seed, bounds=SHARE
        )
        for each in (with_leak, without_leak)
    )
    return _effect(clean.mean, leaking.mean, *independent_difference(leaking, clean), paired=False)


def leakage_effects(
    designs: Iterable[Design],
    scores: Mapping[str, pd.DataFrame],
    experiments: Mapping[str, Mapping[str, Any]],
    tasks: Mapping[str, Mapping[str, Any]],
    images: Mapping[str, TaskImages],
    *,
    resamples: int,
) -> pd.DataFrame:
    """What leaks add to the scores of experiments that differ in nothing else.

    Parameters
    ----------
    designs
        The pairs, as `bakeoff.leakage.designs` finds them.
    scores
        `scores.csv` of every experiment that they name: `id` (str), `seed`, and the score of its task.
    experiments
        By name, with their `task`.
    tasks
        By name, with their `kind`.
    images
        Of every task.
    resamples
        Bootstrap resamples an interval.

    Returns
    -------
    DataFrame
        `COLUMNS`, one row a pair. `words` states the effect in sentences; `other_reasons`, empty for none, names
        another reason for it.

    Raises
    ------
    BakeoffError
        If scores are of other images than the task's.
    """
    rows = []
    for design in designs:
        names = design.without_leak, design.with_leak
        before, after = (experiments[name]["task"] for name in names)
        measure = kind_of(tasks[before], None)
        index, folds = images[after].index, images[after].folds
        groups = index.set_index("id")["group"]
        seen = images_of_seen_groups(index["group"].to_numpy(), folds)["tested"]
        if design.kind == BETWEEN_SPLITS and seen.empty:
            log.info("%s: no tested image shares its group with a training image, so there is no leak.", after)
            continue
        without_leak, with_leak = (
            _by_image(name, scores[name], measure.column, images[task].index)
            for name, task in zip(names, (before, after), strict=True)
        )
        found = leakage_effect(with_leak, without_leak, groups, resamples=resamples)
        reasons = [_training_sizes(images[before].folds, folds)]
        if design.kind == BETWEEN_SPLITS:
            tested = sum(len(fold.test) for fold in folds)
            if found.difference > len(seen) / tested + 1e-9:
                reasons.append(wording.more_than_leaked(len(seen), tested))
            if found.difference > 0:
                leaked = with_leak.index.isin(index["id"].iloc[seen])
                reasons.append(_same_gain(with_leak, without_leak.reindex(with_leak.index), groups, leaked, resamples))
        other_reasons = " ".join(filter(None, reasons))
        once = wording.ONE_SEED if min(without_leak.shape[1], with_leak.shape[1]) == 1 else ""
        words = " ".join(filter(None, [wording.effect(found, measure.title), other_reasons, once]))
        rows.append((*design, found.difference, found.low, found.high, words, other_reasons))
    return pd.DataFrame(rows, columns=COLUMNS)


def _effect(*figures: float, paired: bool) -> LeakageEffect:
    """An end of the interval that differs from 0 by rounding alone is 0."""
    without_leak, with_leak, difference, low, high = (round(float(each), 12) + 0.0 for each in figures)
    return LeakageEffect(without_leak, with_leak, difference, low, high, paired)


def _by_image(name: str, table: pd.DataFrame, column: str, index: pd.DataFrame) -> pd.DataFrame:
    """An experiment's score, one row an image, one column a seed."""
    scores = seed_scores(table, column)
    if scores.empty or scores.isna().any(axis=None) or not scores.index.isin(index["id"]).all():
        raise BakeoffError(f"the scores of '{name}' are of other images than its data set has: run `dvc repro`.")
    return scores


def _training_sizes(before: Sequence[Fold], after: Sequence[Fold]) -> str:
    """Another reason for a difference, where there is one."""
    sizes = [float(np.mean([len(fold.train) for fold in folds])) for folds in (before, after)]
    return wording.other_training_size(*sizes) if max(sizes) > OTHER_TRAINING_SIZE * min(sizes) else ""


def _same_gain(
    with_leak: pd.DataFrame, without_leak: pd.DataFrame, groups: pd.Series, leaked: np.ndarray, resamples: int
) -> str:
    """Whether images that the leak does not concern gain about as much as those, `leaked`, that it does.

    `without_leak` has the rows of `with_leak`, NaN where an image was not tested: then no gain of an image is known.
    """
    if without_leak.isna().any(axis=None):
        return wording.GAIN_UNKNOWN
    if leaked.all() or not leaked.any():
        return wording.NO_OTHERS
    gains = [
        leakage_effect(with_leak[rows], without_leak[rows], groups, resamples=resamples) for rows in (leaked, ~leaked)
    ]
    of_leaked, of_others = (Interval(each.difference, each.low, each.high) for each in gains)
    more = independent_difference(of_leaked, of_others)
    if more.low > 0:
        return ""
    if not np.isfinite(more.low):
        return wording.TOO_FEW_GROUPS
    return wording.same_gain(int(leaked.sum()), of_leaked, int((~leaked).sum()), of_others, more)
