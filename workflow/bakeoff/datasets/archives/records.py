"""What every data set's module says about its archives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Consequence = Literal["dropped", "converted", "kept"]
BlankMask = Literal["fault", "expected", "allowed"]


# Findings by which no image of the data set is lost, whatever their consequence.
NOT_OF_IMAGES = (
    *("system file", "link to a folder", "passed over", "stray file", "mask without image", "missing image"),
    *("shape passed over", "class not used"),
)


class Member(NamedTuple):
    """A file inside an archive of `data/raw/DATASET/`."""

    archive: str
    name: str


class Finding(NamedTuple):
    """A line of `audit.csv`: what is unusual about a file, and the consequence for the image."""

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
    group
        What it shares with images that must not be on two sides of a split (a patient, a plate); None for nothing.
    objects
        A file beside the masks whose levels number the single objects; None where there is none.
    blank_mask
        What a mask without foreground is: a fault (the annotation is missing), expected (an ultrasound image without a
        lesion, where any foreground is the fault), or allowed.
    """

    id: str
    image: Member
    masks: tuple[Member, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    group: str | None = None
    objects: Member | None = None
    blank_mask: BlankMask = "fault"


@dataclass(frozen=True)
class Listing:
    """Every image in the archives, sorted by id, and findings from the file names alone.

    An image that needs a mask and has none is a finding and not a record: it is listed and not used.
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
