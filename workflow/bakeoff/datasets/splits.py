"""Which images train, which choose, which test."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bakeoff.errors import BakeoffError

SPLITS = ("train", "validation", "test")
# The published split's stride.
EVERY = 14


def split(
    index: pd.DataFrame,
    *,
    name: str,
    stratify_by: Sequence[str],
    train: float = 0.0,
    validation: float = 0.0,
    test: float = 0.0,
    seed: int = 0,
    train_on: str = "",
) -> pd.Series:
    """Split of every image.

    Parameters
    ----------
    index
        One row an image: `id`, `group` (images of one group are never told apart by a drawn split) and labels.
    name
        - `stratified`: drawn with `seed`, in the shares `train`, `validation` and `test`, separately for every
          combination of the labels `stratify_by`; deterministic whatever the order of the rows.
        - `every-14th`: the published split of the lungs. In the list sorted by id, positions 0, 14, 28, ... validate,
          positions 1, 15, 29, ... test, the others train: 602, 51 and 51 of 704. It knows no groups.
        - a label column, for example `hospital`: images with the label `train_on` train, but for a share `validation`
          of them, drawn with `seed` as for `stratified`; all others test.

    Returns
    -------
    Series
        Named `split`, `train`, `validation` or `test`, on the rows of `index`.

    Raises
    ------
    BakeoffError
        If there is no such split, the shares do not add up to 1, or `train_on` is not a label or the only one.
    """
    if name == "stratified":
        if abs(train + validation + test - 1) > 1e-6:
            raise BakeoffError("datasets.*.split: train, validation and test must add up to 1.")
        chosen = _stratified(index, (train, validation, test), stratify_by, seed)
    elif name == "every-14th":
        chosen = _every_nth(index)
    elif name in stratify_by:
        chosen = _by_label(index, name, train_on, validation, stratify_by, seed)
    else:
        raise BakeoffError(
            f"datasets.*.split.name is '{name}': choose stratified, every-14th or one of {', '.join(stratify_by)}."
        )
    return chosen.rename("split")


def straddling_groups(groups: pd.Series, chosen: pd.Series) -> dict[str, list[str]]:
    """Groups that lie in more than one split, and those splits."""
    straddled = {str(group): sorted(set(splits)) for group, splits in chosen.groupby(groups)}
    return {group: splits for group, splits in straddled.items() if len(splits) > 1}


def _stratified(index: pd.DataFrame, shares: Sequence[float], stratify_by: Sequence[str], seed: int) -> pd.Series:
    groups = _groups(index, stratify_by)
    random = np.random.default_rng(seed)
    assigned: dict[str, str] = {}
    before = 0
    for _, stratum in groups.groupby("stratum", sort=True):
        images = int(stratum["images"].sum())
        targets = _quotas(before, before + images, shares)
        before += images
        assigned |= _fill(stratum.iloc[random.permutation(len(stratum))], targets, shares)
    return index["group"].map(assigned)


def _groups(index: pd.DataFrame, stratify_by: Sequence[str]) -> pd.DataFrame:
    """One row a group, sorted by name: number of images, and the stratum, which is that of its first image."""
    by_id = index.sort_values("id")
    strata = by_id[list(stratify_by)].agg("|".join, axis=1) if stratify_by else pd.Series("", index=by_id.index)
    grouped = strata.groupby(by_id["group"], sort=True)
    return pd.DataFrame({"images": grouped.size(), "stratum": grouped.first()})


def _quotas(start: int, stop: int, shares: Sequence[float]) -> np.ndarray:
    """Images that each split gets of the positions `start` to `stop` of all images, ordered by stratum.

    Rounding running totals and not each stratum keeps validation and test within one image of their share in every
    stratum and within a half of it over all of them. No split that has a share goes without; where there are too few
    images for that, training comes first, then testing.
    """
    images = stop - start
    wanted = np.array([share > 0 for share in shares], int)
    if images <= wanted.sum():
        first = [position for position in (0, 2, 1) if wanted[position]][:images]
        return np.array([int(position in first) for position in range(len(shares))])
    totals = np.floor(np.outer([start, stop], shares) + 0.5).astype(int)
    quotas = np.maximum(totals[1] - totals[0], wanted)
    quotas[0] = images - quotas[1:].sum()
    while quotas[0] < wanted[0]:
        quotas[1 + quotas[1:].argmax()] -= 1
        quotas[0] += 1
    return quotas


def _fill(stratum: pd.DataFrame, targets: np.ndarray, shares: Sequence[float]) -> dict[str, str]:
    """Deal groups, largest first, each to the split that lacks most images."""
    lacking = targets.astype(float)
    empty = [position for position, share in enumerate(shares) if share > 0]
    assigned = {}
    ordered = stratum.sort_values("images", ascending=False, kind="stable")
    for left, (group, images) in zip(range(len(ordered), 0, -1), ordered["images"].items(), strict=True):
        # The last groups go where there is nothing yet.
        candidates = empty if empty and left <= len(empty) else range(len(shares))
        chosen = max(candidates, key=lambda position: lacking[position])
        lacking[chosen] -= images
        empty = [position for position in empty if position != chosen]
        assigned[str(group)] = SPLITS[chosen]
    return assigned


def _every_nth(index: pd.DataFrame) -> pd.Series:
    position = index["id"].rank(method="first").astype(int) - 1
    residue = position % EVERY
    return residue.map(lambda value: {0: "validation", 1: "test"}.get(value, "train"))


def _by_label(
    index: pd.DataFrame, label: str, train_on: str, validation: float, stratify_by: Sequence[str], seed: int
) -> pd.Series:
    inside = index[label] == train_on
    if not inside.any() or inside.all():
        present = ", ".join(sorted(set(index[label])))
        raise BakeoffError(
            f"datasets.*.split.train_on is '{train_on}': choose one {label} of several, and there are {present}."
        )
    chosen = pd.Series("test", index=index.index)
    chosen[inside] = _stratified(index[inside], (1 - validation, validation, 0.0), stratify_by, seed)
    return chosen
