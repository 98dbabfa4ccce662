"""Whether a score can be what it seems: what a test set shares with the images trained on, and what a file gives away.

Checks take arrays and answer in words and figures, a `Check` each. Images are counted by their position in the prepared
arrays. How well something predicts a label is the balanced accuracy over all tested images, of which guessing reaches
1 / classes however frequent they are.

Source of the kinds of leakage: Kapoor & Narayanan (2023), "Leakage and the reproducibility crisis in
machine-learning-based science", Patterns 4(9): duplicates, images that are not independent, and features that a method
should not have.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.inspection import permutation_importance

from bakeoff.artefacts.prepared import Fold
from bakeoff.evaluation.bootstrap import Interval, expanded_shares, independent_difference, mean_interval
from bakeoff.evaluation.paired import compare_paired, holm

# Where nothing could be looked for, nothing passed.
Verdict = Literal["pass", "untested", "warn", "fail"]

# Findings that a check names one by one; all are counted.
NAMED = 20
# Two masks of one picture contradict each other when their Dice is below this: readers of one lesion differ by a tenth
# or two, and below one half they mean different things.
SAME_MASK_DICE = 0.5
ALPHA = 0.05
PERMUTATIONS = 999
# Finds what a few columns say without a choice of settings; leaves of three images keep it from learning rows by heart.
FOREST: dict[str, Any] = {
    "n_estimators": 200,
    "min_samples_leaf": 3,
    "class_weight": "balanced",
    "random_state": 0,
}
IMPORTANCE_REPEATS = 3
# Resamples in memory at a time.
_AT_A_TIME = 100
# What it means for masks that something about them, or about their image, is told without looking.
_ABOUT_MASKS = (
    "This alone gives no mask. But a method may rely on it, and fail on images where it does not hold: compare its "
    "scores group by group."
)
# The kind of a pair whose tasks differ in whether look-alikes are kept together.
PARTED = "look-alikes parted against kept together"
# What of an input says how a mask is shown, whoever drew the mask.
_DRAWING = ("kind", "style", "colour", "opacity", "width", "keep", "margin")
# What of an experiment may differ, and it still is the same method; `oracle` follows from the input.
_NOT_METHOD = ("family", "task", "input", "oracle")


@dataclass(frozen=True)
class Check:
    """What one check found.

    Attributes
    ----------
    check
        Its name.
    finding
        What was found, in plain words.
    verdict
        pass; untested, there was nothing to look for it by; warn, a score may owe something to it; fail, a score of
        this split is not what it seems.
    explanation
        What that means for a score.
    count
        How many of what was looked for were found; None where nothing is counted.
    score, low, high, chance
        A share of the tested images, or a balanced accuracy with its 95 % interval and what guessing reaches.
    details
        The findings one by one, as plain values.
    """

    check: str
    finding: str
    verdict: Verdict
    explanation: str
    count: int | None = None
    score: float | None = None
    low: float | None = None
    high: float | None = None
    chance: float | None = None
    details: dict[str, Any] = field(default_factory=dict)


def keeps_groups(split: Mapping[str, Any]) -> bool:
    """Whether a split of the configuration keeps look-alikes together, or is made, as published ones are, image by
    image."""
    return {"random": False, "every-14th": False}.get(
        split["name"], bool(split.get("grouped", True)) and split.get("straddling", "drop") == "drop"
    )


# -- what a test set shares with the images trained on ----------------------------------------------------------------


def straddling_pairs(pairs: np.ndarray, folds: Sequence[Fold]) -> pd.DataFrame:
    """Pairs of which a fold tests one image and has seen the other: it trains on it, or chooses weights by it.

    Parameters
    ----------
    pairs
        Positions of look-alikes, int64, (pairs, 2).
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
    """Whether a tested picture is there a second time among those that its fold has seen.

    Parameters
    ----------
    pairs
        Positions of pictures that are the same, or nearly, int64, (pairs, 2).
    folds
        Of the task.
    ids
        Of all images.
    exact
        Whether their pixels are the same.
    by_design
        Whether the split is one that parts look-alikes.
    """
    found = straddling_pairs(pairs, folds)
    tested, affected = _tested(folds), len(found[["fold", "tested"]].drop_duplicates())
    likeness = "identical to" if exact else "nearly identical to"
    finding = (
        f"{affected} of {tested} tested images ({affected / tested:.1%}) are {likeness} one that their fold trains on "
        "or chooses by."
        if affected
        else f"No tested image is {likeness} one that its fold trains on or chooses by."
    )
    named = [
        {"fold": int(fold), "seen": ids[seen], "tested": ids[image]}
        for fold, seen, image in found.head(NAMED).itertuples(index=False)
    ]
    return Check(
        check="exact duplicates" if exact else "near duplicates",
        finding=finding,
        verdict="fail" if affected else "pass",
        explanation=_what_parting_means(affected / tested, by_design),
        count=len(found),
        score=affected / tested,
        details={"pairs": named, "by_fold": _by_fold(found, folds)},
    )


def relatives(groups: np.ndarray, folds: Sequence[Fold]) -> pd.DataFrame:
    """Tested images of whose group their fold has seen another: it trains on it, or chooses weights by it.

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
    """Whether images that are not independent, of one patient or of one picture, lie on both sides.

    Parameters
    ----------
    groups
        Of all images, str, (images,).
    folds, by_design
        As of `duplicate_check`.
    """
    found = relatives(groups, folds)
    tested, parted = _tested(folds), sorted(found["group"].unique())
    some = np.unique(groups, return_counts=True)[1].max() > 1
    if parted:
        finding = (
            f"{_counted(len(parted), 'group lies', 'groups lie')} on both sides: {len(found)} of {tested} tested "
            f"images ({len(found) / tested:.1%}) have a relative that their fold trains on or chooses by."
        )
    else:
        finding = "No group lies on both sides." if some else "Every image is a group of its own."
    return Check(
        check="groups",
        finding=finding,
        verdict="fail" if parted else "pass",
        explanation=_what_parting_means(len(found) / tested, by_design),
        count=len(parted),
        score=len(found) / tested,
        details={"groups": parted[:NAMED], "by_fold": _by_fold(found, folds)},
    )


def mask_conflicts(pairs: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Which pairs' masks contradict each other: the Dice of their foregrounds is below one half; bool, (pairs,).

    Parameters
    ----------
    pairs
        int64, (pairs, 2).
    masks
        uint8 class indices, 0 the background, (images, height, width). Two that are empty agree.
    """
    return np.array([_dice(masks[first] > 0, masks[second] > 0) < SAME_MASK_DICE for first, second in pairs], bool)


def conflict_check(
    identical: np.ndarray, near: np.ndarray, conflicting: np.ndarray, ids: Sequence[str], *, what: str
) -> Check:
    """Whether one picture carries two truths.

    Parameters
    ----------
    identical, near
        Positions of pictures that are the same and nearly the same, int64, (pairs, 2) each.
    conflicting
        Which of both, the identical ones first, differ in their truth; bool, (pairs,).
    ids
        Of all images.
    what
        What differs, for example "class".
    """
    pairs = np.concatenate([identical, near])[conflicting]
    same = int(conflicting[: len(identical)].sum())
    if same:
        explanation = "One truth of each identical pair must be wrong: no method can be right on both."
    elif len(pairs):
        explanation = (
            "Two views of one subject may rightly differ, but some of these truths are likely wrong, and bound what "
            "any method can reach."
        )
    else:
        explanation = "No look-alikes contradict each other."
    return Check(
        check="label conflicts",
        finding=(
            f"{len(pairs)} of {len(conflicting)} pairs of look-alikes differ in {what}, {same} of them with identical "
            "pixels."
            if len(pairs)
            else f"None of the {_counted(len(conflicting), 'pair', 'pairs')} of look-alikes differs in {what}."
            if len(conflicting)
            else "There are no look-alikes."
        ),
        verdict="fail" if same else "warn" if len(pairs) else "pass",
        explanation=explanation,
        count=len(pairs),
        score=len(np.unique(pairs)) / len(ids),
        details={"pairs": [[ids[first], ids[second]] for first, second in pairs[:NAMED]]},
    )


def balance_check(present: pd.DataFrame, folds: Sequence[Fold]) -> Check:
    """Whether every class is there to be learned, to be chosen by and to be tested.

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
    said = "; ".join(f"{name} in {part} of fold {fold}" for fold, part, name in missing[:3])
    more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
    severe = any(part != "validation" for _, part, _ in missing)
    explanation = {
        (False, False): "Every class can be learned and tested.",
        (True, False): "Weights are chosen without these classes; they are learned and tested.",
    }.get((bool(missing), severe), "What is not trained on cannot be learned, and what is not tested has no score.")
    return Check(
        check="class balance",
        finding=(
            (f"Missing: {said}{more}." if missing else f"{_all(present.shape[1])} in every part.")
            + (f" A class's share differs between training and test by {gap:.1%} at most ({where})." if where else "")
        ),
        verdict="fail" if severe else "warn" if missing else "pass",
        explanation=explanation,
        count=len(missing),
        details={"missing": [dict(zip(("fold", "part", "class"), each, strict=True)) for each in missing[:NAMED]]},
    )


def _what_parting_means(share: float, by_design: bool) -> str:
    if not share:
        return "Nothing found by which a score could be due to having seen the answer."
    means = (
        "A method that has learned these images by heart is right on their look-alikes. That can raise its mean score "
        f"by {rounded_up(share):.4f} at most."
    )
    return (
        f"{means} Expected of this split, which is made image by image as published ones are." if by_design else means
    )


def rounded_up(share: float) -> float:
    """A share to four digits, up, as a bound has to be; what has no more digits stays.

    Examples
    --------
    >>> rounded_up(1 / 119), rounded_up(0.07)
    (0.0085, 0.07)
    """
    return float(np.ceil(round(1e4 * share, 6)) / 1e4)


def _tested(folds: Sequence[Fold]) -> int:
    return sum(len(fold.test) for fold in folds)


def _by_fold(found: pd.DataFrame, folds: Sequence[Fold]) -> dict[str, int]:
    """How many tested images are affected, by fold."""
    return {str(fold.number): int(found.loc[found["fold"] == fold.number, "tested"].nunique()) for fold in folds}


def _all(classes: int) -> str:
    return {1: "The one class is", 2: "Both classes are"}.get(classes, f"All {classes} classes are")


def _counted(count: int, singular: str, plural: str) -> str:
    return f"{count} {singular if count == 1 else plural}"


def _dice(first: np.ndarray, second: np.ndarray) -> float:
    both = int(first.sum()) + int(second.sum())
    return 2 * int((first & second).sum()) / both if both else 1.0


# -- what a label can be told by without looking at the picture -------------------------------------------------------


@dataclass(frozen=True)
class Telling:
    """How well a few columns tell a label.

    Attributes
    ----------
    score
        Balanced accuracy over all tested images, and its 95 % interval.
    chance
        What guessing reaches, 1 / classes.
    p_value
        Of the hypothesis that the columns say nothing, by permutation; `corrected` for what else was asked.
    column
        The one that says most; None where the score is no better than chance.
    columns
        Those that were looked at: what is the same for all images that a fold learns from is not.
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
    def tells(self) -> bool:
        """Whether it is better than chance, by its interval and by the permutations."""
        return _above_chance(self.score, self.chance, self.p_value)


def telling(
    columns: pd.DataFrame,
    labels: np.ndarray,
    folds: Sequence[Fold],
    groups: np.ndarray,
    *,
    resamples: int,
    seed: int = 0,
    threads: int = 1,
) -> Telling | None:
    """How well a random forest tells the label of tested images from a few columns.

    Each fold's forest learns from all images that the fold trains on or chooses by.

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
    Telling or None
        None where there is nothing to learn from or to tell apart: no column differs among the images that a fold
        learns from, or a fold learns from one class alone, or all folds together test one alone.

    References
    ----------
    Breiman (2001), "Random Forests", Machine Learning 45. Permutation test with fixed predictions: Ojala & Garriga
    (2010), JMLR 11; its p-value (1 + better) / (1 + permutations): Phipson & Smyth (2010), SAGMB 9(1).
    """
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
    tells = _above_chance(score, chance, p_value)
    return Telling(
        score=score,
        chance=chance,
        p_value=p_value,
        column=_most_telling(forests, numbers, labels, folds, seed) if tells else None,
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

    A class of which a draw has no image has no share in that draw. Of images of a single group both ends are NaN.

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
    """Probability of a balanced accuracy as high where predictions say nothing about the truth.

    The labels of whole groups change places with those of other groups of the same fold and size, since the images of
    one group have one label more often than not and are no independent evidence.

    Parameters
    ----------
    truth, predicted, groups, folds
        (images,) each.
    """
    _, index, counts = np.unique(truth, return_inverse=True, return_counts=True)
    worth = 1 / (len(counts) * counts[index])  # of getting an image right
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


def corrected(found: Sequence[Telling | None]) -> list[Telling | None]:
    """The same with their p-values corrected for each other (Holm 1979), as those of methods are.

    Parameters
    ----------
    found
        What `telling` answered to all that was asked of one split; None stays None.
    """
    adjusted = iter(holm(np.array([each.p_value for each in found if each])))
    after = [replace(each, p_value=float(next(adjusted))) if each else None for each in found]
    return [each if each is None or each.tells else replace(each, column=None) for each in after]


def metadata_check(target: str, found: Telling | None, *, predicted: bool = True) -> Check:
    """Whether the label shows in what is known of a file without looking at its pixels: no method should need that.

    Parameters
    ----------
    target
        The label's name.
    found
        What `telling` answered.
    predicted
        Whether the label is what methods are to predict; of masks it is something about them or about the image.
    """
    check = f"metadata: {target}"
    if found is None:
        return Check(
            check=check,
            finding=f"Whether what is known of the files tells {target} could not be tested.",
            verdict="untested",
            explanation=(
                "All files are alike in size, format and mode, as those of a copy that was resized are, or there is "
                "one class alone to train on or to test."
            ),
        )
    leaks = f"it leaks, most of all through {found.column}" if found.tells else "no leak is shown"
    return _telling_check(
        check,
        found,
        finding=f"From {_listed(found.columns)} alone {target} can be predicted {_said(found)}: {leaks}.",
        explanation=(
            "A method may reach this much without looking at what the picture shows: pictures that are resized keep "
            "traces of their original size."
            if found.tells and predicted
            else _ABOUT_MASKS
            if found.tells
            else "Nothing shows that a score owes anything to this, as far as so many tested images can tell."
        ),
    )


def brightness_check(target: str, found: Telling | None, *, predicted: bool = True) -> Check | None:
    """How far the mean and the spread of grey levels go: a bar to clear and no fault of the split.

    Parameters
    ----------
    target
        The label's name.
    found
        What `telling` answered; without an answer there is no check.
    predicted
        As of `metadata_check`.
    """
    if found is None:
        return None
    return _telling_check(
        f"brightness: {target}",
        found,
        finding=f"From the mean and the spread of grey levels alone {target} can be predicted {_said(found)}.",
        explanation=(
            "Only what a method scores above this is more than brightness; it may be a true sign or an accident of how "
            "the images were made."
            if found.tells and predicted
            else _ABOUT_MASKS
            if found.tells
            else "Brightness is not shown to be a shortcut, as far as so many tested images can tell."
        ),
    )


def _telling_check(check: str, found: Telling, *, finding: str, explanation: str) -> Check:
    ends = found.score.plain()
    return Check(
        check=check,
        finding=finding,
        verdict="warn" if found.tells else "pass",
        explanation=explanation,
        score=ends["mean"],
        low=ends["low"],
        high=ends["high"],
        chance=found.chance,
        details={"p_value": found.p_value, "column": found.column, "balanced_accuracy_by_fold": found.by_fold},
    )


def _above_chance(score: Interval, chance: float, p_value: float) -> bool:
    return score.low > chance and p_value < ALPHA


def _said(found: Telling) -> str:
    score = found.score
    return (
        f"with a balanced accuracy of {score.mean:.3f} ({score.low:.3f} to {score.high:.3f}; "
        f"chance {found.chance:.3f}; p = {found.p_value:.3f} after Holm's correction)"
    )


def _listed(columns: Sequence[str]) -> str:
    *most, last = columns
    return f"{', '.join(most)} and {last}" if most else last


def _as_numbers(column: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(column):
        return column
    return pd.Series(pd.factorize(column, sort=True)[0], index=column.index)


def _recalls(truth: np.ndarray, predicted: np.ndarray) -> pd.Series:
    return pd.Series(truth == predicted).groupby(truth).mean()


def _most_telling(
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


# -- what a leak adds to a score --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Inflation:
    """What a leak adds to a score.

    Attributes
    ----------
    honest, inflated
        Mean scores without the leak and with it.
    difference, low, high
        Inflated minus honest, and its 95 % interval.
    paired
        Whether both were tested on the same images.
    """

    honest: float
    inflated: float
    difference: float
    low: float
    high: float
    paired: bool


class Design(NamedTuple):
    """Two experiments that differ in one leak alone; `kind` names it."""

    kind: str
    honest: str
    inflated: str


def inflation(
    inflated: pd.DataFrame, honest: pd.DataFrame, groups: pd.Series, *, resamples: int, seed: int = 0
) -> Inflation:
    """Mean score with a leak minus mean score without.

    Tested on the same images they are compared by image. On other images they count as two independent samples; images
    of one group in both make the interval rather too wide than too narrow, since scores of like images go together.

    Parameters
    ----------
    inflated, honest
        A score, one row an image (the index its id), one column a seed.
    groups
        By image id.
    resamples, seed
        Of the bootstrap.

    Raises
    ------
    ValueError
        If there is no image, or a score is not finite.

    """
    if set(inflated.index) == set(honest.index):
        with_leak, without = inflated.to_numpy(np.float64), honest.loc[inflated.index].to_numpy(np.float64)
        found = compare_paired(
            with_leak,
            without,
            groups=groups.loc[inflated.index].to_numpy(),
            binary=bool(np.isin(with_leak, (0, 1)).all() and np.isin(without, (0, 1)).all()),
            resamples=resamples,
            seed=seed,
        )
        means = float(without.mean()), float(with_leak.mean())
        return _inflation(*means, found.difference, found.low, found.high, paired=True)
    after, before = (
        mean_interval(each.to_numpy(), groups=groups.loc[each.index].to_numpy(), resamples=resamples, seed=seed)
        for each in (inflated, honest)
    )
    return _inflation(before.mean, after.mean, *independent_difference(after, before), paired=False)


def _inflation(*figures: float, paired: bool) -> Inflation:
    """An end of the interval that misses 0 by rounding alone is 0."""
    honest, inflated, difference, low, high = (round(float(each), 12) + 0.0 for each in figures)
    return Inflation(honest, inflated, difference, low, high, paired)


def designs(
    experiments: Mapping[str, Mapping[str, Any]],
    inputs: Mapping[str, Mapping[str, Any]],
    tasks: Mapping[str, Mapping[str, Any]],
) -> list[Design]:
    """Pairs of the configuration's experiments that differ in one leak alone, in the configuration's order.

    - The same method, on pictures that show the true mask and on others: with a predicted mask or another image's shown
      in the same way, or with none; and, for control, with another image's mask and with none.
    - The same method and input, in a task whose split parts look-alikes and in one, otherwise alike, that keeps them
      together.

    Parameters
    ----------
    experiments
        By name, as the configuration has them.
    inputs
        Of `inputs` and `predicted_inputs`, by name, as the configuration has them.
    tasks
        By name, as the configuration has them.
    """
    found = []
    for honest, before in experiments.items():
        for inflated, after in experiments.items():
            if _method(before) != _method(after):
                continue
            if before["task"] == after["task"]:
                shown = _shown(before, inputs), _shown(after, inputs)
                kind = _kind_of_input(*shown)
            else:
                same_input = before.get("input") == after.get("input")
                kind = _kind_of_split(tasks[before["task"]], tasks[after["task"]]) if same_input else None
            if kind:
                found.append(Design(kind, honest, inflated))
    return found


def describe(found: Inflation, score: str) -> str:
    """What an inflation says, in a sentence; `score` is what is compared, for example accuracy."""
    ends = f"from {found.honest:.3f} to {found.inflated:.3f}"
    change = f"by {Interval(found.difference, found.low, found.high).signed()}"
    images = "on the same images" if found.paired else "on other images, whose difficulty counts too"
    name = score[:1].upper() + score[1:]
    if found.low > 0:
        return f"{name} rises {ends}, {change}, {images}."
    if found.high < 0:
        return f"{name} falls {ends}, {change}, {images}."
    return f"{name} goes {ends}, {change}, {images}: that it changes at all cannot be shown."


def _method(experiment: Mapping[str, Any]) -> dict[str, Any]:
    """What makes an experiment what it is, but for its task and input; masks that are not learned go without saying."""
    return {key: value for key, value in experiment.items() if key not in _NOT_METHOD and value not in (None, False)}


def _shown(experiment: Mapping[str, Any], inputs: Mapping[str, Mapping[str, Any]]) -> tuple[str, dict[str, Any]]:
    """Whose mask an experiment's pictures show, and how."""
    if not experiment.get("input"):
        return "none", {}
    entry = inputs[experiment["input"]]
    whose = "predicted" if "segmenter" in entry else "true" if entry["kind"] == "mask" else str(entry["mask"])
    return whose, {key: entry.get(key) for key in _DRAWING}


def _kind_of_input(honest: tuple[str, dict[str, Any]], inflated: tuple[str, dict[str, Any]]) -> str | None:
    (whose, drawing), (leaking, leaking_drawing) = honest, inflated
    if whose != "none" and drawing != leaking_drawing:
        return None
    if (whose, leaking, leaking_drawing.get("kind")) == ("none", "true", "mask"):
        return "the true mask in place of the image"
    return {
        ("predicted", "true"): "true mask against predicted mask",
        ("shuffled", "true"): "true mask against another image's mask",
        ("none", "true"): "true mask against none",
        ("none", "shuffled"): "control: another image's mask against none",
    }.get((whose, leaking))


def _kind_of_split(honest: Mapping[str, Any], inflated: Mapping[str, Any]) -> str | None:
    alike = all(honest.get(key) == inflated.get(key) for key in ("dataset", "kind", "target"))
    # Who learned from one hospital alone differs in more than look-alikes.
    alike = alike and honest["split"].get("learn_from") == inflated["split"].get("learn_from")
    if alike and keeps_groups(honest["split"]) and not keeps_groups(inflated["split"]):
        return PARTED
    return None
