"""The one score of a segmentation task: which classes it is of, and how they are averaged.

Ranking, verdicts, the weights that are kept, early stopping and pictures all go by it. Where it is of single objects,
weights and early stopping go by the mean Dice, since objects take too long to match in every epoch.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from bakeoff.artefacts.errors import BakeoffError

Measure = Literal["dice", "iou", "object_f1"]
WORDS: dict[Measure, str] = {"dice": "Dice", "iou": "IoU"}
OBJECTS = "objects"


class MaskScore(NamedTuple):
    """A score of masks.

    Attributes
    ----------
    measure
        Dice or IoU (`dice`, `iou`), of several classes the mean, in every image over those that the truth or the
        prediction of this image holds; or F1 of the objects of all of them (`object_f1`).
    scored
        Indices of the classes that it is of, ascending.
    title
        What readers call it, for example "Dice", "mean IoU", or "Dice of pet" where one of several classes counts.
    """

    measure: Measure
    scored: tuple[int, ...]
    title: str

    @property
    def of_pixels(self) -> "MaskScore":
        """The score itself; of objects the mean Dice of their classes."""
        return self if self.measure in WORDS else MaskScore("dice", self.scored, _mean("dice", len(self.scored)))


def mask_score(setting: str | Mapping[str, str] | None, classes: Sequence[str], background: int | None) -> MaskScore:
    """The score that a task's `score` names.

    Parameters
    ----------
    setting
        `mean-dice` or `mean-iou` over the foreground classes, `objects` for the F1 of these classes' objects,
        `{"class": NAME}` for the Dice of one class; None for `mean-dice`.
    classes
        Names of the data set's classes, in the order of their indices.
    background
        Index of the class that is no foreground; None where every class counts.

    Raises
    ------
    BakeoffError
        If there is no such class.
    """
    foreground = tuple(index for index in range(len(classes)) if index != background)
    if isinstance(setting, Mapping):
        if (name := setting["class"]) not in classes:
            raise BakeoffError(f"A task's score names the class '{name}': make it one of {', '.join(classes)}.")
        several = len(foreground) > 1
        return MaskScore("dice", (list(classes).index(name),), f"Dice of {name}" if several else WORDS["dice"])
    if setting == OBJECTS:
        return MaskScore("object_f1", foreground, "object F1")
    measure: Measure = "iou" if setting == "mean-iou" else "dice"
    return MaskScore(measure, foreground, _mean(measure, len(foreground)))


def _mean(measure: Measure, classes: int) -> str:
    return f"mean {WORDS[measure]}" if classes > 1 else WORDS[measure]
