"""Leakage between splits: what the tested images share with those that a fold was trained or selected on.

Images are given by their position in the prepared arrays.

Source of the kinds of leakage: Kapoor & Narayanan (2023), "Leakage and the reproducibility crisis in
machine-learning-based science", Patterns 4(9): duplicates, and images that are not independent.
"""

import hashlib
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from bakeoff.artefacts.grey_levels import grey
from bakeoff.artefacts.prepared import Fold
from bakeoff.artefacts.ragged import Arrays
from bakeoff.artefacts.void import VOID
from bakeoff.datasets.preparation.audit import exact_duplicates, near_duplicates, perceptual_hash, thumbnail
from bakeoff.datasets.preparation.decode import nearest_classes
from bakeoff.evaluation.overlap import class_confusion, class_mean, dice
from bakeoff.leakage import wording
from bakeoff.leakage.check import LISTED, Check

# Two masks of one picture contradict each other when their Dice is below this: two readers of one lesion differ by a
# tenth or two, and below one half they mean different things.
SAME_MASK_DICE = 0.5


def duplicate_pairs(images: Sequence[np.ndarray], distance: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of pictures that are identical at this size, and pairs of near-duplicates.

    Parameters
    ----------
    images
        uint8, (height, width, channels) each, without pads.
    distance
        In how many of 64 hash bits near-duplicates may differ, as of
        `bakeoff.datasets.preparation.audit.near_duplicates`.

    Returns
    -------
    identical, near
        Positions, the earlier first, int64, (pairs, 2) each; no pair is in both.
    """
    digests = {
        row: hashlib.sha256(str(image.shape).encode() + image.tobytes()).digest() for row, image in enumerate(images)
    }
    identical = [pair for same in exact_duplicates(digests) for pair in combinations(same, 2)]
    hashes, thumbnails = zip(
        *((perceptual_hash(levels), thumbnail(levels)) for levels in map(grey, images)), strict=True
    )
    found = near_duplicates(hashes, np.stack(thumbnails), distance)
    near = [(pair.first, pair.second) for pair in found if digests[pair.first] != digests[pair.second]]
    return _positions(identical), _positions(near)


def pairs_between_splits(pairs: np.ndarray, folds: Sequence[Fold]) -> pd.DataFrame:
    """Pairs of which a fold tests one image and uses the other for training or for model selection.

    Parameters
    ----------
    pairs
        Positions, int64, (pairs, 2).
    folds
        Of the task.

    Returns
    -------
    DataFrame
        One row a fold and pair: `fold`, `seen`, `tested`.
    """
    both_ways = np.concatenate([pairs, pairs[:, ::-1]])
    found = []
    for fold in folds:
        seen = np.isin(both_ways[:, 0], np.concatenate([fold.train, fold.validation]))
        rows = both_ways[seen & np.isin(both_ways[:, 1], fold.test)]
        found.append(pd.DataFrame(rows, columns=["seen", "tested"]).assign(fold=fold.number))
    return pd.concat(found, ignore_index=True)[["fold", "seen", "tested"]]


def duplicate_check(
    pairs: np.ndarray, folds: Sequence[Fold], ids: Sequence[str], *, exact: bool, by_design: bool
) -> Check:
    """Whether tested pictures have a duplicate among those used for training or model selection.

    Parameters
    ----------
    pairs
        Positions of duplicates or near-duplicates, int64, (pairs, 2).
    folds
        Of the task.
    ids
        Of all images.
    exact
        Whether their pixels are the same.
    by_design
        Whether the split does not keep near-duplicates together on purpose.
    """
    found = pairs_between_splits(pairs, folds)
    tested, affected = _tested(folds), len(found[["fold", "tested"]].drop_duplicates())
    listed = [
        {"fold": int(fold), "seen": ids[seen], "tested": ids[image]}
        for fold, seen, image in found.head(LISTED).itertuples(index=False)
    ]
    return Check(
        check="exact duplicates" if exact else "near-duplicates",
        finding=wording.duplicates_found(affected, tested, exact=exact),
        verdict="fail" if affected else "pass",
        explanation=wording.leakage_between_splits(affected / tested, by_design=by_design),
        count=len(found),
        score=affected / tested,
        details={"pairs": listed, "by_fold": _by_fold(found, folds)},
    )


def images_of_seen_groups(groups: np.ndarray, folds: Sequence[Fold]) -> pd.DataFrame:
    """Tested images whose group has another image in the fold's training or validation part.

    Parameters
    ----------
    groups
        Of all images, str, (images,).
    folds
        Of the task.

    Returns
    -------
    DataFrame
        One row a fold and image: `fold`, `tested` (its position), `group`.
    """
    found = []
    for fold in folds:
        seen = np.isin(groups[fold.test], groups[np.concatenate([fold.train, fold.validation])])
        rows = fold.test[seen]
        found.append(pd.DataFrame({"fold": fold.number, "tested": rows, "group": groups[rows]}))
    return pd.concat(found, ignore_index=True)


def group_check(groups: np.ndarray, folds: Sequence[Fold], *, by_design: bool) -> Check:
    """Whether a group, of one patient or of near-duplicates, is in the test part and in another one.

    Parameters
    ----------
    groups
        Of all images, str, (images,).
    folds, by_design
        As of `duplicate_check`.
    """
    found = images_of_seen_groups(groups, folds)
    tested, shared = _tested(folds), sorted(found["group"].unique())
    return Check(
        check="groups",
        finding=wording.groups_found(len(shared), len(found), tested, any_group=len(np.unique(groups)) < len(groups)),
        verdict="fail" if shared else "pass",
        explanation=wording.leakage_between_splits(len(found) / tested, by_design=by_design),
        count=len(shared),
        score=len(found) / tested,
        details={"groups": shared[:LISTED], "by_fold": _by_fold(found, folds)},
    )


def mask_conflicts(pairs: np.ndarray, masks: Arrays, classes: int, scored: Sequence[int]) -> np.ndarray:
    """Which pairs' masks contradict each other: their mean Dice is below one half; bool, (pairs,).

    Parameters
    ----------
    pairs
        int64, (pairs, 2).
    masks
        uint8 class indices or `VOID`, (images, height, width). Void in either mask of a pair is left out.
    classes
        How many there are.
    scored
        The indices of those that the mean is over. Two masks without any of them agree.
    """
    found = []
    for one, two in pairs:
        # Of near-duplicates of different sizes the second one's mask is brought to the size of the first.
        first, second = masks[one], nearest_classes(masks[two], masks[one].shape)
        answered = (first != VOID) & (second != VOID)
        confusion = class_confusion(first[answered], second[answered], classes)
        found.append(class_mean(dice, confusion, scored) < SAME_MASK_DICE)
    return np.array(found, bool)


def conflict_check(
    identical: np.ndarray, near: np.ndarray, conflicting: np.ndarray, ids: Sequence[str], *, what: str
) -> Check:
    """Whether duplicates or near-duplicates are annotated differently.

    Parameters
    ----------
    identical, near
        Positions of duplicates and of near-duplicates, int64, (pairs, 2) each.
    conflicting
        Which of both, the identical ones first, are annotated differently; bool, (pairs,).
    ids
        Of all images.
    what
        What differs, for example "class".
    """
    pairs = np.concatenate([identical, near])[conflicting]
    same = int(conflicting[: len(identical)].sum())
    return Check(
        check="label conflicts",
        finding=wording.conflicts_found(len(pairs), same, len(conflicting), what),
        verdict="fail" if same else "warn" if len(pairs) else "pass",
        explanation=wording.conflicts_mean(len(pairs), same),
        count=len(pairs),
        score=len(np.unique(pairs)) / len(ids),
        details={"pairs": [[ids[first], ids[second]] for first, second in pairs[:LISTED]]},
    )


def balance_check(present: pd.DataFrame, folds: Sequence[Fold]) -> Check:
    """Whether every class occurs in the training, the validation and the test part of every fold.

    Parameters
    ----------
    present
        Whether an image shows a class; bool, one row an image, one column a class.
    folds
        Of the task.
    """
    missing, gap, where = [], 0.0, ""
    for fold in folds:
        shares = {part: present.iloc[getattr(fold, part)].mean() for part in ("train", "validation", "test")}
        missing += [(fold.number, part, str(name)) for part in shares for name in present if shares[part][name] == 0]
        apart = (shares["train"] - shares["test"]).abs()
        if apart.max() > gap:
            gap, where = float(apart.max()), str(apart.idxmax())
    severe = any(part != "validation" for _, part, _ in missing)
    return Check(
        check="class balance",
        finding=wording.balance_found(missing, present.shape[1], gap, where),
        verdict="fail" if severe else "warn" if missing else "pass",
        explanation=wording.balance_means(missing=bool(missing), severe=severe),
        count=len(missing),
        details={"missing": [dict(zip(("fold", "part", "class"), each, strict=True)) for each in missing[:LISTED]]},
    )


def _tested(folds: Sequence[Fold]) -> int:
    return sum(len(fold.test) for fold in folds)


def _by_fold(found: pd.DataFrame, folds: Sequence[Fold]) -> dict[str, int]:
    """How many tested images are affected, by fold."""
    return {str(fold.number): int(found.loc[found["fold"] == fold.number, "tested"].nunique()) for fold in folds}


def _positions(pairs: list[tuple[int, int]]) -> np.ndarray:
    return np.array(pairs, np.int64).reshape(-1, 2)
