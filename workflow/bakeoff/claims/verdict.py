"""What becomes of a claim, from numbers alone: pure functions of what is claimed, shown and found.

A claimed number is an estimate too. Where it is a share of so many images it has an interval as ours has, and the two
agree if the interval of their difference is small enough. A wide interval that includes 0 confirms nothing.
"""

from dataclasses import dataclass
from typing import Literal

from bakeoff.evaluation import bootstrap
from bakeoff.evaluation.bootstrap import Interval

Outcome = Literal[
    "contradicted by its own files",
    "at the majority class",
    "no number claimed",
    "not comparable here",
    "raised by leakage",
    "would be raised by leakage",
    "confirmed",
    "compatible, undecided",
    "not reproduced",
]
# Within so many margins the whole interval of a difference has to lie for a claim to be confirmed.
CONFIRMING_MARGINS = 2


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval; of a count, which is no estimate, both ends are the number.

    Attributes
    ----------
    value, low, high
        low <= value <= high.
    images
        That it was measured on; None of a count.
    """

    value: float
    low: float
    high: float
    images: int | None = None


@dataclass(frozen=True)
class Evidence:
    """All that a verdict depends on.

    Attributes
    ----------
    claimed, shown
        The number that a system claims, and what its own files show; None where there is none. True and False are of
        things that are or are not so.
    found
        What Bakeoff finds; where the claim is that one method leads another, the lead of the first. None where nothing
        was found that may be compared.
    reason
        Why the two cannot be compared, in words; None where they can.
    images
        Images of which the claimed number is a share; None where it is no share, or they are not known.
    majority
        Share of the largest class among those images; None where it is not known or plays no part.
    effect
        The leakage effect: score with the leak minus score without it; None where no leak is in question or it could
        not be measured.
    leak
        Whether a leak is in question.
    named
        Whether the system names its data.
    explained
        A difference, claimed minus found, that has a known reason.
    margin
        A difference that is worth nothing, however certain.
    """

    claimed: bool | float | None
    shown: bool | float | None
    found: Estimate | None = None
    reason: str | None = None
    images: int | None = None
    majority: float | None = None
    effect: Estimate | None = None
    leak: bool = False
    named: bool = True
    explained: float = 0.0
    margin: float = 0.0

    @property
    def published(self) -> bool | float | None:
        """The claimed number or, where none is claimed, the one that its files show."""
        return self.shown if self.claimed is None else self.claimed


@dataclass(frozen=True)
class Judgement:
    """What becomes of a claim, in a few words, and why, in one sentence."""

    outcome: Outcome
    sentence: str


def of_share(share: float, images: int) -> Estimate:
    """95 % interval of a share of so many images.

    Parameters
    ----------
    share
        From 0 to 1; rounded to whole images.
    images
        At least 1.

    Examples
    --------
    >>> interval = of_share(0.6803, 1470)
    >>> round(interval.low, 3), round(interval.high, 3)
    (0.656, 0.704)
    """
    _, low, high = bootstrap.wilson(round(share * images) / images, images)
    return Estimate(share, min(low, share), max(high, share), images)


def difference(first: Estimate, second: Estimate) -> Estimate:
    """First minus second, of independent samples, and its 95 % interval from theirs.

    Examples
    --------
    >>> difference(Estimate(0.9, 0.87, 0.93), Estimate(0.8, 0.76, 0.84))
    Estimate(value=0.1, low=0.05, high=0.15, images=None)
    """
    ends = (Interval(each.value, each.low, each.high) for each in (first, second))
    return Estimate(*bootstrap.independent_difference(*ends))


def judge(evidence: Evidence) -> Judgement:
    """The verdict on a claim: the first of these that holds.

    contradicted by its own files
        Its files show another number than it claims.
    at the majority class
        The 95 % interval of its accuracy does not lie above the share of the largest class: always
        predicting that class would do as well.
    no number claimed
        There is nothing to compare, and no leak in question.
    not comparable here
        There is a reason why what was run says nothing of the claim.
    raised by leakage, would be raised by leakage
        The score with the leak exceeds the score without it by more than the margin, over the whole interval; of a
        system that does not name its data, it would.
    confirmed, compatible and undecided, not reproduced
        The interval of found minus published holds 0, or the difference is within the margin, and that whole interval
        lies within two margins; or the difference is the explained one. It holds 0, and is wider. It does not.
        Of a claim that one method leads: the interval of the lead lies above 0; it holds both 0 and more than the
        margin; neither.
    """
    return _of_its_own_files(evidence) or _of_what_was_found(evidence)


def _of_its_own_files(evidence: Evidence) -> Judgement | None:
    claimed, shown, published = evidence.claimed, evidence.shown, evidence.published
    if claimed is not None and shown is not None and claimed != shown:
        return Judgement(
            "contradicted by its own files",
            f"It claims {words(claimed)}, and its own files show {words(shown)}.",
        )
    if evidence.majority is not None and evidence.images is not None and published is not None:
        interval = of_share(published, evidence.images)
        if interval.low <= evidence.majority:
            return Judgement(
                "at the majority class",
                f"{_between(interval)} is not distinguishable from {words(evidence.majority)}, the accuracy of always "
                "predicting the largest class.",
            )
    if published is None and not evidence.leak:
        return Judgement("no number claimed", "It gives no number to compare.")
    return None


def _of_what_was_found(evidence: Evidence) -> Judgement:
    published, found, effect = evidence.published, evidence.found, evidence.effect
    if evidence.reason is not None:
        return Judgement("not comparable here", f"Not compared: {evidence.reason}.")
    if effect is not None and effect.low > evidence.margin:
        outcome: Outcome = "raised by leakage" if evidence.named else "would be raised by leakage"
        where = "" if evidence.named else ", on a data set that fits its description"
        return Judgement(outcome, f"Leakage raises the score by {_between(effect)}{where}.")
    if published is None:
        measured = "" if effect is None else f"; the leakage effect is {_between(effect)}"
        return Judgement("no number claimed", f"It gives no number to compare{measured}.")
    if found is None:
        raise ValueError("A claim that can be compared takes what was found.")
    if isinstance(published, bool):
        return _of_a_lead(evidence, published, found)
    return _of_a_number(evidence, published, found)


def _of_a_lead(evidence: Evidence, published: bool, found: Estimate) -> Judgement:
    sentence = f"The lead is {_between(found)}."
    if found.low <= 0 and found.high > evidence.margin:
        return Judgement("compatible, undecided", f"The lead is {_between(found)} and may be 0.")
    return Judgement("confirmed" if (found.low > 0) == published else "not reproduced", sentence)


def _of_a_number(evidence: Evidence, published: float, found: Estimate) -> Judgement:
    exact = Estimate(published, published, published)
    claimed = exact if evidence.images is None else of_share(published, evidence.images)
    apart = difference(found, claimed)
    if apart.value == 0:
        return Judgement("confirmed", f"Bakeoff finds the same, {words(found.value)}.")
    if evidence.explained and apart.value == -evidence.explained:
        return Judgement(
            "confirmed",
            f"Bakeoff finds {words(found.value)}; the difference of {words(evidence.explained)} is explained.",
        )
    side = "higher" if apart.value > 0 else "lower"
    by = Estimate(apart.value, apart.low, apart.high) if apart.value > 0 else _turned(apart)
    sentence = f"Bakeoff finds {_between(found)}, {side} by {_between(by)}."
    compatible = apart.low <= 0 <= apart.high
    small = max(-apart.low, apart.high) <= CONFIRMING_MARGINS * evidence.margin
    if small and (compatible or abs(apart.value) <= evidence.margin):
        return Judgement("confirmed", sentence)
    return Judgement("compatible, undecided" if compatible else "not reproduced", sentence)


def _turned(estimate: Estimate) -> Estimate:
    return Estimate(-estimate.value, -estimate.high, -estimate.low, estimate.images)


def _between(estimate: Estimate) -> str:
    if estimate.low == estimate.high:
        return words(estimate.value)
    return f"{words(estimate.value)} ({words(estimate.low)} to {words(estimate.high)})"


def words(value: bool | float) -> str:
    """A number as a sentence has it: yes or no, counts with their thousands, else four decimals.

    Examples
    --------
    >>> words(True), words(6504227.0), words(0.25), words(-0.01)
    ('yes', '6,504,227', '0.2500', '-0.0100')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.0f}" if value == round(value) and abs(value) > 1 else f"{value:.4f}"
