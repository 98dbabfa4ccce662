"""Every sentence that a reader meets about leakage: the findings of checks, what they mean, and leakage effects."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bakeoff.evaluation.bootstrap import Interval

if TYPE_CHECKING:
    from bakeoff.leakage.effects import LeakageEffect
    from bakeoff.leakage.predictability import Predictability


# -- leakage between splits -------------------------------------------------------------------------------------------


def duplicates_found(affected: int, tested: int, *, exact: bool) -> str:
    """How many tested images have a duplicate in training."""
    what = "duplicate" if exact else "near-duplicate"
    if not affected:
        return f"No tested image has {_an(exact)} {what} among the images used for training or model selection."
    have = "has" if affected == 1 else "have"
    return (
        f"{affected} of {tested} tested images ({affected / tested:.1%}) {have} {_an(exact)} {what} among the images "
        "used for training or model selection."
    )


def groups_found(shared: int, affected: int, tested: int, *, any_group: bool) -> str:
    """How many groups are in training and in test."""
    if not shared:
        return (
            "No group is in both the training and the test part." if any_group else "Every image is a group of its own."
        )
    return (
        f"{_counted(shared, 'group is', 'groups are')} in both the training and the test part: {affected} of {tested} "
        f"tested images ({affected / tested:.1%}) share a group with an image used for training or model selection."
    )


def leakage_between_splits(share: float, *, by_design: bool) -> str:
    """What it means for a score that this share of the tested images leaks."""
    if not share:
        return "Nothing found that would bias a score."
    means = (
        "A method that has memorised its training images also gets these right. This can raise its mean score by at "
        f"most {rounded_up(share):.4f}."
    )
    return f"{means} This is expected: the split assigns images one by one, as published." if by_design else means


def conflicts_found(conflicting: int, identical: int, pairs: int, what: str) -> str:
    """How many duplicates and near-duplicates are annotated differently."""
    if not pairs:
        return "There are no duplicates or near-duplicates."
    if not conflicting:
        which = "The only pair of duplicates or near-duplicates does not differ"
        if pairs > 1:
            which = f"None of the {pairs} pairs of duplicates or near-duplicates differs"
        return f"{which} in {what}."
    return (
        f"{conflicting} of {_counted(pairs, 'pair', 'pairs')} of duplicates or near-duplicates "
        f"{'differs' if conflicting == 1 else 'differ'} in {what}; {identical} of them {_have(identical)} identical "
        "pixels."
    )


def conflicts_mean(conflicting: int, identical: int) -> str:
    """What that means for a score."""
    if identical:
        return "Of identical images with different annotations one annotation must be wrong: no method can match both."
    if conflicting:
        return (
            "Two images of one subject may differ, but some of these annotations are probably wrong. That limits the "
            "score any method can reach."
        )
    return "No near-duplicates contradict each other."


def balance_found(missing: Sequence[tuple[int, str, str]], classes: int, gap: float, where: str) -> str:
    """Which classes are missing from which part of which fold, and how much the shares of a class differ."""
    if missing:
        listed = "; ".join(f"{name} in the {part} part of fold {fold}" for fold, part, name in missing[:3])
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        finding = f"Missing: {listed}{more}."
    else:
        all_of = {1: "The only class is", 2: "Both classes are"}.get(classes, f"All {classes} classes are")
        finding = f"{all_of} in every part."
    if where:
        finding += f" The share of a class differs by at most {gap:.1%} between training and test ({where})."
    return finding


def balance_means(*, missing: bool, severe: bool) -> str:
    """What that means for a score."""
    if severe:
        return "A class without training images cannot be learned, and one without test images has no score."
    if missing:
        return "Models are selected without these classes; they are learned and tested."
    return "Every class can be learned and tested."


def rounded_up(share: float) -> float:
    """A share rounded up to four digits, since it is an upper bound; a share with fewer digits is unchanged.

    Examples
    --------
    >>> rounded_up(1 / 119), rounded_up(0.07)
    (0.0085, 0.07)
    """
    return float(np.ceil(round(1e4 * share, 6)) / 1e4)


# -- predictability of labels -----------------------------------------------------------------------------------------

UNTESTED_METADATA = (
    "All files have the same size, format and mode, as in a resized copy, or only one class is trained on or tested."
)
_OF_MASKS = (
    "This alone does not predict a mask, but a method may rely on it and fail where it does not hold. Compare scores "
    "by group."
)
# By whether the label is predicted above chance, and whether it is what methods are to predict.
OF_AREA = "An image with more of the foreground may be brighter or darker for that reason: this is no shortcut."
METADATA_MEANS = {
    (True, True): (
        "A method may reach this score without looking at what the image shows: resized images keep traces of their "
        "original size."
    ),
    (True, False): _OF_MASKS,
    **dict.fromkeys(
        ((False, True), (False, False)), "Scores are not shown to depend on this, with this number of tested images."
    ),
}
BRIGHTNESS_MEANS = {
    (True, True): (
        "Only a score above this shows that a method uses more than brightness. Brightness may be a true sign of the "
        "class or a side effect of how the images were made."
    ),
    (True, False): _OF_MASKS,
    **dict.fromkeys(
        ((False, True), (False, False)),
        "Brightness is not shown to be a shortcut, with this number of tested images.",
    ),
}


def metadata_untested(target: str) -> str:
    """That nothing could be tested."""
    return f"Whether metadata predict {target} could not be tested."


def metadata_found(target: str, found: "Predictability") -> str:
    """How well metadata predict a label."""
    leak = f"the label leaks, mostly through {found.column}" if found.above_chance else "no leak is shown"
    return f"From {_listed(found.columns)} alone, {target} is predicted {_accuracy(found)}: {leak}."


def brightness_found(target: str, found: "Predictability") -> str:
    """How well brightness predicts a label."""
    return f"From the mean and the spread of grey levels alone, {target} is predicted {_accuracy(found)}."


def _accuracy(found: "Predictability") -> str:
    score = found.score
    return (
        f"with a balanced accuracy of {score.mean:.3f} ({score.low:.3f} to {score.high:.3f}; "
        f"chance {found.chance:.3f}; p = {found.p_value:.3f} after Holm's correction)"
    )


# -- leakage effects --------------------------------------------------------------------------------------------------

ONE_SEED = "Trained with one seed: another seed would give another difference."
GAIN_UNKNOWN = (
    "The two were tested on different images. Whether images that share a group with a training image gain more than "
    "the others cannot be checked."
)
NO_OTHERS = (
    "Either all tested images or none share a group with a training image, so there are no others to compare with."
)
TOO_FEW_GROUPS = "There are too few groups to separate this leak from other reasons."


def effect(found: "LeakageEffect", score: str) -> str:
    """A leakage effect in a sentence; `score` is what is compared, for example accuracy."""
    ends = f"from {found.without_leak:.3f} to {found.with_leak:.3f}"
    change = f"by {Interval(found.difference, found.low, found.high).signed()}"
    images = "on the same images" if found.paired else "on different images, which may differ in difficulty"
    name = score[:1].upper() + score[1:]
    if found.low > 0:
        return f"{name} rises {ends}, {change}, {images}."
    if found.high < 0:
        return f"{name} falls {ends}, {change}, {images}."
    return f"{name} changes {ends}, {change}, {images}. This may be chance."


def other_training_size(without_leak: float, with_leak: float) -> str:
    """That the training sets differ in size."""
    return (
        f"It was also trained on {with_leak:.0f} images instead of {without_leak:.0f}, and the effect of that is not "
        "separated from the leak."
    )


def more_than_leaked(seen: int, tested: int) -> str:
    """That a difference is larger than the leak can explain, even if it made every image concerned right."""
    share = "shares" if seen == 1 else "share"
    return (
        f"Only {seen} of {tested} tested images {share} a group with a training image, which explains at most "
        f"{rounded_up(seen / tested):.4f}."
    )


def same_gain(leaked: int, of_leaked: Interval, others: int, of_others: Interval, more: Interval) -> str:
    """That the images concerned are not shown to gain more than the others."""
    return (
        f"The {leaked} images that share a group with a training image gain {of_leaked.signed()}, the {others} others "
        f"{of_others.signed()}. The difference of these gains, {more.signed()}, may be chance."
    )


def _an(exact: bool) -> str:
    return "an exact" if exact else "a"


def _have(count: int) -> str:
    return "has" if count == 1 else "have"


def _counted(count: int, singular: str, plural: str) -> str:
    return f"{count} {singular if count == 1 else plural}"


def _listed(columns: Sequence[str]) -> str:
    *most, last = columns
    return f"{', '.join(most)} and {last}" if most else last
