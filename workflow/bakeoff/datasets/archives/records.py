"""What a data set's layout module says of its archives, whatever the data set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Consequence = Literal["dropped", "converted", "kept"]
BlankMask = Literal["fault", "expected", "allowed"]


class Member(NamedTuple):
    """A file inside an archive of `data/raw/DATASET/`."""

    archive: str
    name: str


class Finding(NamedTuple):
    """A line of `audit.csv`: what is odd about a file, and what became of the image."""

    file: str
    finding: str
    consequence: Consequence
    detail: str = ""


@dataclass(frozen=True)
class Record:
    """One image that an archive lists.

    Attributes
    ----------
    id
        Unique within the data set; rows and published splits are ordered by it.
    image
        Where the picture is.
    masks
        Where its masks are: none, one, or several that together cover the foreground (the highest class index wins
        where they overlap). Those of one record lie in one archive and share one size.
    labels
        What is known of the image, by label column; every record of a data set has the same columns.
    blank_mask
        What a mask without foreground is: a fault (somebody forgot to mark), the only truth there is to expect (an
        ultrasound without a lesion, where a mark is the fault), or one of two.
    """

    id: str
    image: Member
    masks: tuple[Member, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    blank_mask: BlankMask = "fault"


@dataclass(frozen=True)
class Listing:
    """Every image that the archives hold, sorted by id, and what the names alone show to be odd.

    An image that has to have a mask and has none is a finding here and no record: it is listed and not used.
    """

    records: list[Record]
    findings: list[Finding]
    listed: int


def unpaired(images: Mapping[str, str], masks: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Findings on images without a mask and on masks without an image; files by id."""
    return [
        *(
            Finding(images[id_], "missing mask", "dropped", "the archive has no mask of it")
            for id_ in sorted(images.keys() - masks.keys())
        ),
        *(
            Finding(mask, "mask without image", "dropped", f"the archive has no image '{id_}'")
            for id_ in sorted(masks.keys() - images.keys())
            for mask in masks[id_]
        ),
    ]
