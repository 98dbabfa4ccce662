"""Cats and dogs, the photographs of Microsoft's Asirra: their address and terms, and what the file names mean.

Some files lack the JFIF header that a JPEG usually begins with. The header is optional and the decoder reads them, so
they are used and not mentioned in the audit.
"""

import re
from pathlib import Path

import numpy as np

from bakeoff.datasets.archives.archive import open_archive
from bakeoff.datasets.archives.records import Finding, Listing, Member, Record
from bakeoff.datasets.archives.remote import RemoteFile

TITLE = "Cats and dogs (Asirra)"
PAGE = "https://www.microsoft.com/en-us/download/details.aspx?id=54765"
HUB = "microsoft/cats_vs_dogs"  # where model hubs keep the same images
CHANNELS = 3
CLASSES: tuple[str, ...] = ()
MASK_RESIZE = "nearest"
TARGETS = ("class",)
STRATA = ("class",)

FILES = (
    RemoteFile(
        name="kagglecatsanddogs_5340.zip",
        urls=(
            "https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/"
            "kagglecatsanddogs_5340.zip",
        ),
        sha256="b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9",
    ),
)

# Two of them, Cat/666.jpg and Dog/11702.jpg, are listed and broken.
PUBLISHED = {"listed": 25_000, "labels": {"class": {"cat": 12_500, "dog": 12_500}}}

LICENCE = "Microsoft Research Licence Agreement (MSR-LA 3467): non-commercial research."
CITATION = (
    "J. Elson, J. R. Douceur, J. Howell, J. Saul. Asirra: a CAPTCHA that exploits interest-aligned manual image "
    "categorization. ACM Conference on Computer and Communications Security, 366-374, 2007."
)

# No leading zeros, so that two names never make one id.
NAME = re.compile(r"PetImages/(?P<folder>Cat|Dog)/(?P<number>0|[1-9]\d*)\.jpg", re.ASCII)


def listing(raw: Path) -> Listing:
    """Records of `PetImages/Cat/N.jpg` and `PetImages/Dog/N.jpg`; findings for every other file.

    Raises
    ------
    BakeoffError
        If the archive is missing or cannot be opened.
    """
    archive = FILES[0].name
    with open_archive(raw / archive) as opened:
        members = opened.members()
    named = [(member, NAME.fullmatch(member)) for member in members]
    records = [_record(Member(archive, member), match) for member, match in named if match]
    strays = [member for member, match in named if not match]
    findings = [Finding(name, "stray file", "dropped", "neither Cat/N.jpg nor Dog/N.jpg") for name in strays]
    return Listing(sorted(records, key=lambda record: record.id), findings, listed=len(records))


def classes_of(pixels: np.ndarray) -> np.ndarray:
    """Refuse any mask: this data set has none.

    Raises
    ------
    ValueError
        Always.
    """
    raise ValueError("cats and dogs have no masks")


def _record(member: Member, match: re.Match[str]) -> Record:
    label = match["folder"].lower()
    # The numbers start anew in either folder.
    return Record(id=f"{label}-{int(match['number']):05d}", image=member, labels={"class": label})
