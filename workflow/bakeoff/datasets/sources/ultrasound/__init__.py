"""Breast ultrasound with lesion masks (BUSI): its address and terms, and what the file names in the archive mean.

It often has two views of one lesion, no patient is named, and some lesions are in two classes. The audit lists what is
known of that, and near-duplicates share a group.
"""

import re
from pathlib import Path

import numpy as np

from bakeoff.datasets.archives.archive import open_archive
from bakeoff.datasets.archives.records import Finding, Listing, Member, Record, unpaired
from bakeoff.datasets.archives.remote import RemoteFile

TITLE = "Breast ultrasound: benign, malignant and no lesion"
PAGE = "https://doi.org/10.1016/j.dib.2019.104863"
PATIENTS = True  # what is trained on them is no medical device: see bakeoff.cards.notes
# Colour is in 16 of the 780 images alone, and is calipers, text and Doppler there, drawn by the machine.
CHANNELS = 1
CLASSES = ("background", "lesion")
MASK_RESIZE = "area"
TARGETS = ("class",)
STRATA = ("class",)

FILES = (
    RemoteFile(
        name="Dataset_BUSI.zip",
        urls=("https://scholar.cu.edu.eg/Dataset_BUSI.zip",),
        sha256="b2ce09f6063a31a73f628b6a6ee1245187cbaec225e93e563735691d68654de7",
    ),
)
FOLDER = "Dataset_BUSI_with_GT/"
PUBLISHED = {"listed": 780, "labels": {"class": {"benign": 437, "malignant": 210, "normal": 133}}}

LICENCE = "No licence comes with the archive; the article that describes it is CC BY 4.0."
CITATION = (
    "W. Al-Dhabyani, M. Gomaa, H. Khaled, A. Fahmy. Dataset of breast ultrasound images. Data in Brief 28:104863, "
    "2020. doi:10.1016/j.dib.2019.104863."
)

# `benign (1).png` in `benign/`, its mask `benign (1)_mask.png`, and of further lesions `benign (1)_mask_1.png`.
NAME = re.compile(
    r"(?P<class>benign|malignant|normal)/(?P<id>(?P=class) \(\d+\))(?P<mask>_mask(?:_(?P<lesion>[1-9]\d*))?)?\.png"
)


def listing(raw: Path) -> Listing:
    """Records of the images that have a mask; findings for those without, and for files that do not belong.

    An image without a lesion has a mask too, a blank one.

    Raises
    ------
    BakeoffError
        If the archive is missing or cannot be opened.
    """
    archive = FILES[0].name
    with open_archive(raw / archive) as opened:
        members = opened.members()
    images: dict[str, str] = {}
    masks: dict[str, dict[int, str]] = {}
    findings = []
    for member in members:
        match = NAME.fullmatch(member.removeprefix(FOLDER)) if member.startswith(FOLDER) else None
        if match is None:
            findings.append(Finding(member, "stray file", "dropped", "not named like an ultrasound image or a mask"))
        elif match["mask"]:
            masks.setdefault(match["id"], {})[int(match["lesion"] or 0)] = member
        else:
            images[match["id"]] = member
    findings += unpaired(images, {id_: [mask for _, mask in sorted(each.items())] for id_, each in masks.items()})
    records = [
        Record(
            id=id_,
            image=Member(archive, images[id_]),
            masks=tuple(Member(archive, mask) for _, mask in sorted(masks[id_].items())),
            labels={"class": id_.split()[0]},
            blank_mask="expected" if id_.startswith("normal") else "fault",
        )
        for id_ in sorted(images.keys() & masks.keys())
    ]
    return Listing(records, findings, listed=len(images))


def classes_of(pixels: np.ndarray) -> np.ndarray:
    """Class indices (0 background, 1 lesion; uint8) of a mask's grey levels (uint8), which are 0 and 255."""
    return (pixels > 127).astype(np.uint8)
