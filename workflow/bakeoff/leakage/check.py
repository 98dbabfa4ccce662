"""What one check of a task found."""

from dataclasses import dataclass, field
from typing import Any, Literal

# In ascending order. Where a check had nothing to test, it did not pass.
Severity = Literal["pass", "untested", "warn", "fail"]
SEVERITIES: tuple[Severity, ...] = ("pass", "untested", "warn", "fail")
# Findings that a check lists one by one; all of them are counted.
LISTED = 20


@dataclass(frozen=True)
class Check:
    """What one check found.

    Attributes
    ----------
    check
        Its name.
    finding
        What was found, as a sentence.
    verdict
        pass; untested, the data do not allow the test; warn, a score may depend on this; fail, scores on this split are
        biased.
    explanation
        What that means for a score.
    count
        How many cases were found; None where nothing is counted.
    score, low, high, chance
        A share of the tested images, or a balanced accuracy with its 95 % interval and the level of chance.
    details
        The findings one by one, as plain values.
    """

    check: str
    finding: str
    verdict: Severity
    explanation: str
    count: int | None = None
    score: float | None = None
    low: float | None = None
    high: float | None = None
    chance: float | None = None
    details: dict[str, Any] = field(default_factory=dict)
