"""What becomes of a claim, from numbers alone: pure functions of what is claimed, shown and found.

A claimed number is an estimate too. Where it is a share of so many images it has an interval as ours has, and the two
agree when their difference is surely too small to matter. A difference that can be 0 and can be large confirms nothing.
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
    "inflated by leakage",
    "would be inflated by leakage",
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
    inflation
        Score with the leak minus score without it; None where no leak is in question or it could not be measured.
    leak
        Whether a leak is in question.
    named
        Whether the system says what data it speaks of.
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
    inflation: Estimate | None = None
    leak: bool = False
    named: bool = True
    explained: float = 0.0
    margin: float = 0.0

    @property
    def published(self) -> bool | float | None:
        """The claimed number or, where none is claimed, the one that its files show."""
        return self.shown if self.claimed is None else self.claimed


@dataclass(frozen=True)
class Verdict:
    """What becomes of a claim, in a few words, and why, in one sentence."""

    outcome: Outcome
    sentence: str


def wilson(share: float, images: int) -> Estimate:
    """95 % interval of a share of so many images.

    Parameters
    ----------
    share
        From 0 to 1; rounded to whole images.
    images
        At least 1.

    Examples
    --------
    >>> interval = wilson(0.6803, 1470)
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


def judge(evidence: Evidence) -> Verdict:
    """The verdict on a claim: the first of these that holds.

    contradicted by its own files
        Its files show another number than it claims.
    at the majority class
        The 95 % interval of its accuracy does not lie above the share of the largest class: to name that class always
        would do as well.
    no number claimed
        There is nothing to compare, and no leak in question.
    not comparable here
        There is a reason why what was run says nothing of the claim.
    inflated by leakage, would be inflated by leakage
        The score with the leak exceeds the score without it by more than the margin, over the whole interval; of a
        system that does not say what data it speaks of, it would.
    confirmed, compatible and undecided, not reproduced
        The interval of found minus published holds 0, or the difference is within the margin, and that whole interval
        lies within two margins; or the difference is the explained one. It holds 0, and is wider. It does not.
        Of a claim that one method leads: the interval of the lead lies above 0; it holds both 0 and more than the
        margin; neither.
    """
    return _of_its_own_files(evidence) or _of_what_was_found(evidence)


def _of_its_own_files(evidence: Evidence) -> Verdict | None:
    claimed, shown, published = evidence.claimed, evidence.shown, evidence.published
    if claimed is not None and shown is not None and claimed != shown:
        return Verdict(
            "contradicted by its own files",
            f"It claims {words(claimed)}, and its own files show {words(shown)}.",
        )
    if evidence.majority is not None and evidence.images is not None and published is not None:
        interval = wilson(published, evidence.images)
        if interval.low <= evidence.majority:
            return Verdict(
                "at the majority class",
                f"{_between(interval)} cannot be told from {words(evidence.majority)}, which whoever always names the "
                "largest class reaches.",
            )
    if published is None and not evidence.leak:
        return Verdict("no number claimed", "It gives no number to compare.")
    return None


def _of_what_was_found(evidence: Evidence) -> Verdict:
    published, found, inflation = evidence.published, evidence.found, evidence.inflation
    if evidence.reason is not None:
        return Verdict("not comparable here", f"Not compared: {evidence.reason}.")
    if inflation is not None and inflation.low > evidence.margin:
        outcome: Outcome = "inflated by leakage" if evidence.named else "would be inflated by leakage"
        where = "" if evidence.named else ", on data that it does not name as its own"
        return Verdict(outcome, f"{_between(inflation)} of the score is gone with the leak{where}.")
    if published is None:
        measured = "" if inflation is None else f"; the leak in question is worth {_between(inflation)}"
        return Verdict("no number claimed", f"It gives no number to compare{measured}.")
    if found is None:
        raise ValueError("A claim that can be compared takes what was found.")
    if isinstance(published, bool):
        return _of_a_lead(evidence, published, found)
    return _of_a_number(evidence, published, found)


def _of_a_lead(evidence: Evidence, published: bool, found: Estimate) -> Verdict:
    sentence = f"The lead is {_between(found)}."
    if found.low <= 0 and found.high > evidence.margin:
        return Verdict("compatible, undecided", f"The lead is {_between(found)}, which can be none.")
    return Verdict("confirmed" if (found.low > 0) == published else "not reproduced", sentence)


def _of_a_number(evidence: Evidence, published: float, found: Estimate) -> Verdict:
    exact = Estimate(published, published, published)
    claimed = exact if evidence.images is None else wilson(published, evidence.images)
    apart = difference(found, claimed)
    if apart.value == 0:
        return Verdict("confirmed", f"Bakeoff finds {words(found.value)} too.")
    if evidence.explained and apart.value == -evidence.explained:
        return Verdict(
            "confirmed", f"Bakeoff finds {words(found.value)}, and the {words(evidence.explained)} apart are explained."
        )
    side = "higher" if apart.value > 0 else "lower"
    by = Estimate(apart.value, apart.low, apart.high) if apart.value > 0 else _turned(apart)
    sentence = f"Bakeoff finds {_between(found)}, {side} by {_between(by)}."
    compatible = apart.low <= 0 <= apart.high
    surely_small = max(-apart.low, apart.high) <= CONFIRMING_MARGINS * evidence.margin
    if surely_small and (compatible or abs(apart.value) <= evidence.margin):
        return Verdict("confirmed", sentence)
    return Verdict("compatible, undecided" if compatible else "not reproduced", sentence)


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
