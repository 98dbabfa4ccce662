"""Which images are used for training, for validation and for testing."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from bakeoff.artefacts.errors import BakeoffError

SPLITS = ("train", "validation", "test")
# The published split's stride.
EVERY = 14
# Columns of the index that are no labels.
NOT_LABELS = ("id", "group", "source", "original_height", "original_width")


def split_table(index: pd.DataFrame, settings: Mapping[str, Any]) -> pd.DataFrame:
    """Part of every image in every fold; a split that is not a cross-validation has only fold 0.

    Parameters
    ----------
    index
        One row an image: `id`, `group` (shared by near-duplicates) and labels.
    settings
        As `tasks.*.split` in the configuration. Its `name`:

        - `stratified`: shares `train`, `validation` and `test`, drawn with `seed`, separately for every combination of
          the labels `stratify`, groups together; independent of the order of the rows. With `learn_from`, a label and
          one of its values, images of other values are only tested: those drawn for training or validation are left
          out.
        - `by-label`: images whose `label` is one of `train` are for training, those of `test` for testing; others are
          left out. `validation` is a share of the images for training, drawn as for `stratified`, or a list of values
          whose images are for validation. With `grouped`, images for training or validation whose group has a test
          image are left out too, and images for training whose group has a validation image.
        - `folds`: as many `folds`, drawn as for `stratified`, each tested once; a share `validation` of the others is
          for validation. Without `grouped`, groups are ignored.
        - `random`: a share `test` of all images one by one, whatever their labels and groups, then a share
          `validation` of the others.
        - `every-14th`: the published split of the lungs. In the list sorted by id, positions 0, 14, 28, ... are for
          validation, positions 1, 15, 29, ... for testing, the others for training: 51, 51 and 602 of 704. Groups are
          ignored.

    Returns
    -------
    DataFrame
        `fold`, `id` and `split` (train, validation, test, or "" for an image that is left out), fold by fold, in the
        order of the index.

    Raises
    ------
    BakeoffError
        If there is no such label or value, or a part of a fold has no images.
    """
    draw = {
        "stratified": _shares,
        "by-label": _by_label,
        "folds": _folds,
        "random": _one_by_one,
        "every-14th": _every_nth,
    }[settings["name"]]
    source = settings.get("learn_from") or {}
    named = [settings["label"]] if "label" in settings else [source["label"]] if source else []
    _require_labels(index, [*settings.get("stratify", []), *named])
    folds = [
        pd.DataFrame({"fold": fold, "id": index["id"], "split": chosen})
        for fold, chosen in enumerate(draw(index, settings))
    ]
    table = pd.concat(folds, ignore_index=True)
    for fold, parts in table.groupby("fold")["split"]:
        missing = [part for part in SPLITS if part not in set(parts)]
        if missing:
            raise BakeoffError(
                f"split '{settings['name']}' has no images for {' and '.join(missing)} in fold {fold} of {len(index)} "
                f"images: {_remedy(index, settings)}."
            )
    return table


def _remedy(index: pd.DataFrame, settings: Mapping[str, Any]) -> str:
    """What to do where a part has no images, to end a sentence with."""
    if settings["name"] == "random":
        return "change its shares, or add images"
    if settings["name"] == "every-14th":
        return "take another split, or add images"
    groups = _groups(index, settings.get("stratify", []))
    few = groups.groupby("stratum").size().loc[lambda counts: counts < len(SPLITS)]
    if settings.get("stratify") and len(few) and settings["name"] != "by-label":
        named = ", ".join(f"{str(stratum).replace('|', ' ')} ({count})" for stratum, count in few.items())
        return (
            f"{named} {'has' if len(few) == 1 else 'have'} fewer than {len(SPLITS)} images, near-duplicates and images "
            "of one group counted once, and each part needs one: add images of these, or leave them out of the classes"
        )
    if len(groups) < len(SPLITS):
        return (
            f"with near-duplicates and images of one group counted once there are {len(groups)}, and {len(SPLITS)} are "
            "needed: add images, or take the split 'random', which parts near-duplicates and makes scores too high"
        )
    return "near-duplicates and images of one group stay together: name other values or shares, or add images"


def keeps_groups(settings: Mapping[str, Any]) -> bool:
    """Whether a split of the configuration keeps the images of a group in one part of a fold.

    Splits that assign images one by one, as published ones do, do not.
    """
    return settings["name"] not in ("random", "every-14th") and bool(settings.get("grouped", True))


def groups_between_splits(groups: pd.Series, chosen: pd.Series) -> dict[str, list[str]]:
    """Groups with images in more than one part, and these parts."""
    parts_of = {str(group): sorted(set(parts)) for group, parts in chosen.groupby(groups)}
    return {group: parts for group, parts in parts_of.items() if len(parts) > 1}


def _require_labels(index: pd.DataFrame, labels: Sequence[str]) -> None:
    known = [str(column) for column in index.columns if column not in NOT_LABELS]
    for label in labels:
        if label not in known:
            raise BakeoffError(f"split names the label '{label}', but the data set has {', '.join(known) or 'none'}.")


def _require_values(labels: pd.Series, values: Sequence[str]) -> None:
    present = set(labels)
    for value in values:
        if value not in present:
            raise BakeoffError(
                f"split names '{value}', but the label '{labels.name}' has {', '.join(sorted(present))}."
            )


def _shares(index: pd.DataFrame, settings: Mapping[str, Any]) -> list[pd.Series]:
    chosen = _in_shares(index, [settings[part] for part in SPLITS], settings["stratify"], settings["seed"])
    if source := settings.get("learn_from"):
        _require_values(index[source["label"]], [source["value"]])
        chosen = chosen.where((chosen == "test") | (index[source["label"]] == source["value"]), "")
    return [chosen]


def _by_label(index: pd.DataFrame, settings: Mapping[str, Any]) -> list[pd.Series]:
    values, validation = index[settings["label"]], settings["validation"]
    listed = validation if isinstance(validation, list) else []
    _require_values(values, [*settings["train"], *listed, *settings["test"]])
    tests = values.isin(settings["test"])
    validates = values.isin(listed) & ~tests
    trains = values.isin(settings["train"]) & ~tests & ~validates
    if keeps_groups(settings):
        validates &= ~index["group"].isin(index.loc[tests, "group"])
        trains &= ~index["group"].isin(index.loc[tests | validates, "group"])
    chosen = pd.Series("", index=index.index).mask(tests, "test").mask(validates, "validation")
    if listed:
        return [chosen.mask(trains, "train")]
    shares = (1 - validation, validation, 0.0)
    chosen[trains] = _in_shares(index[trains], shares, settings["stratify"], settings["seed"])
    return [chosen]


def _folds(index: pd.DataFrame, settings: Mapping[str, Any]) -> list[pd.Series]:
    count, seed, stratify = settings["folds"], settings["seed"], settings["stratify"]
    pool = index if settings["grouped"] else index.assign(group=index["id"])
    tested_in = _stratified(pool, partial(_even_quotas, parts=count), range(count), stratify, seed)
    shares = (1 - settings["validation"], settings["validation"], 0.0)
    folds = []
    for fold in range(count):
        chosen = pd.Series("test", index=index.index)
        others = tested_in != fold
        chosen[others] = _in_shares(pool[others], shares, stratify, seed)
        folds.append(chosen)
    return folds


def _one_by_one(index: pd.DataFrame, settings: Mapping[str, Any]) -> list[pd.Series]:
    by_id = index["id"].sort_values().index
    order = by_id[np.random.default_rng(settings["seed"]).permutation(len(index))]
    tests = int(settings["test"] * len(index))
    validates = int(settings["validation"] * (len(index) - tests))
    chosen = pd.Series("train", index=index.index)
    chosen[order[:tests]] = "test"
    chosen[order[tests : tests + validates]] = "validation"
    return [chosen]


def _every_nth(index: pd.DataFrame, settings: Mapping[str, Any]) -> list[pd.Series]:
    position = index["id"].rank(method="first").astype(int) - 1
    residue = position % EVERY
    return [residue.map(lambda value: {0: "validation", 1: "test"}.get(value, "train"))]


def _in_shares(index: pd.DataFrame, shares: Sequence[float], stratify_by: Sequence[str], seed: int) -> pd.Series:
    """Train, validation or test for every image, in the given shares within every stratum, groups together."""
    return _stratified(index, partial(_quotas, shares=shares), SPLITS, stratify_by, seed)


def _stratified(
    index: pd.DataFrame,
    quotas: Callable[[int, int], np.ndarray],
    parts: Sequence[Any],
    stratify_by: Sequence[str],
    seed: int,
) -> pd.Series:
    """Part of every image, one of `parts`, within every stratum to the given quotas, groups together."""
    groups = _groups(index, stratify_by)
    random = np.random.default_rng(seed)
    assigned: dict[str, Any] = {}
    before = 0
    for _, stratum in groups.groupby("stratum", sort=True):
        images = int(stratum["images"].sum())
        targets = quotas(before, before + images)
        before += images
        assigned |= _fill(stratum.iloc[random.permutation(len(stratum))], targets, parts)
    return index["group"].map(assigned)


def _groups(index: pd.DataFrame, stratify_by: Sequence[str]) -> pd.DataFrame:
    """One row a group, sorted by name: number of images, and the stratum, which is that of its first image."""
    by_id = index.sort_values("id")
    strata = pd.Series(["|".join(labels) for labels in by_id[list(stratify_by)].to_numpy()], by_id.index, dtype=object)
    grouped = strata.groupby(by_id["group"], sort=True)
    return pd.DataFrame({"images": grouped.size(), "stratum": grouped.first()})


def _quotas(start: int, stop: int, shares: Sequence[float]) -> np.ndarray:
    """Images that each split gets of the positions `start` to `stop` of all images, ordered by stratum.

    Running totals are rounded instead of each stratum, so that validation and test are within one image of their share
    in every stratum and within half an image over all of them. Every split with a share gets an image; if there are too
    few images for that, training comes first, then testing.
    """
    images = stop - start
    wanted = np.array([share > 0 for share in shares], int)
    if images <= wanted.sum():
        first = [position for position in (0, *range(len(shares) - 1, 0, -1)) if wanted[position]][:images]
        return np.array([int(position in first) for position in range(len(shares))])
    totals = np.floor(np.outer([start, stop], shares) + 0.5).astype(int)
    quotas = np.maximum(totals[1] - totals[0], wanted)
    quotas[0] = images - quotas[1:].sum()
    while quotas[0] < wanted[0]:
        quotas[1 + quotas[1:].argmax()] -= 1
        quotas[0] += 1
    return quotas


def _even_quotas(start: int, stop: int, parts: int) -> np.ndarray:
    """The same for parts of one size: within one image of it in every stratum and over all of them."""
    return np.bincount(np.arange(start, stop) % parts, minlength=parts)


def _fill(stratum: pd.DataFrame, targets: np.ndarray, parts: Sequence[Any]) -> dict[str, Any]:
    """Assign groups, largest first, each to the part that lacks most images."""
    lacking = targets.astype(float)
    empty = np.flatnonzero(targets).tolist()
    assigned = {}
    ordered = stratum.sort_values("images", ascending=False, kind="stable")
    for left, (group, images) in zip(range(len(ordered), 0, -1), ordered["images"].items(), strict=True):
        # The last groups go to parts that are still empty.
        candidates = empty if empty and left <= len(empty) else range(len(parts))
        chosen = max(candidates, key=lambda position: lacking[position])
        lacking[chosen] -= images
        empty = [position for position in empty if position != chosen]
        assigned[str(group)] = parts[chosen]
    return assigned
