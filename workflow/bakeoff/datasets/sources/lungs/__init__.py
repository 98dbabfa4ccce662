"""Montgomery and Shenzhen chest X-rays with lung masks.

The file names in the archive give the hospital, the diagnosis, and which mask belongs to which image.
"""

import re
from pathlib import Path

import numpy as np

from bakeoff.datasets.archives.archive import open_archive
from bakeoff.datasets.archives.records import Finding, Listing, Member, Record, unpaired
from bakeoff.datasets.archives.remote import RemoteFile

TITLE = "Montgomery and Shenzhen chest X-rays"
PAGE = "https://data.lhncbc.nlm.nih.gov/public/Tuberculosis-Chest-X-ray-Datasets/index.html"
PATIENTS = True  # what is trained on them is no medical device: see bakeoff.cards.notes
# Of a prepared image: 1 for grey levels, 3 for RGB.
CHANNELS = 1
CLASSES = ("background", "lung")
MASK_RESIZE = "area"
# Labels that can be predicted, and those that scores are broken down by.
TARGETS = ("diagnosis",)
STRATA = ("hospital", "diagnosis")

FILES = (
    RemoteFile(
        name="chest-xray-masks-and-labels.zip",
        urls=("https://www.kaggle.com/api/v1/datasets/download/nikhilpandey360/chest-xray-masks-and-labels",),
        sha256=None,  # none is published
    ),
)

# Folders in the archive. It carries the same tree twice; these are of the one that counts.
IMAGES = "data/Lung Segmentation/CXR_png/"
MASKS = "data/Lung Segmentation/masks/"
# First letters of a file's name.
HOSPITALS = {"MCUCXR": "montgomery", "CHNCXR": "shenzhen"}

# Images that the archive lists, and those with a mask by hospital.
PUBLISHED = {"listed": 800, "labels": {"hospital": {"montgomery": 138, "shenzhen": 566}}}

LICENCE = (
    "X-rays: National Library of Medicine, free for research with the citation below. Shenzhen masks: CC BY-NC-SA 4.0."
)
CITATION = (
    "S. Jaeger, S. Candemir, S. Antani, Y.-X. J. Wáng, P.-X. Lu, G. Thoma. Two public chest X-ray datasets for "
    "computer-aided screening of pulmonary diseases. Quantitative Imaging in Medicine and Surgery 4(6):475-477, 2014. "
    "Shenzhen masks: S. Stirenko et al. Chest X-ray analysis of tuberculosis by deep learning with segmentation and "
    "augmentation. IEEE ELNANO, 422-428, 2018."
)
DIAGNOSES = {"0": "normal", "1": "tuberculosis"}
NAME = re.compile(r"(?P<id>(?P<prefix>CHNCXR|MCUCXR)_\d+_(?P<diagnosis>[01]))(?P<mask>_mask)?\.png")


def listing(raw: Path) -> Listing:
    """Records of the X-rays that have a mask; findings for those without, and for files that do not belong.

    Raises
    ------
    BakeoffError
        If the archive is missing or cannot be opened.
    """
    archive = FILES[0].name
    with open_archive(raw / archive) as opened:
        members = list(opened.members())
    images, strays = _by_id(members, IMAGES)
    masks, stray_masks = _by_id(members, MASKS)
    records = [
        Record(id=id_, image=Member(archive, images[id_]), masks=(Member(archive, masks[id_]),), labels=_labels(id_))
        for id_ in sorted(images.keys() & masks.keys())
    ]
    findings = [
        Finding(name, "stray file", "dropped", "not named like an X-ray or a mask") for name in strays + stray_masks
    ]
    findings += unpaired(images, {id_: [mask] for id_, mask in masks.items()})
    return Listing(records, findings, listed=len(images))


def classes_of(pixels: np.ndarray) -> np.ndarray:
    """Class indices (0 background, 1 lung; uint8) of a mask's grey levels (uint8), which are 0 and 255."""
    return (pixels > 127).astype(np.uint8)


def _by_id(members: list[str], folder: str) -> tuple[dict[str, str], list[str]]:
    """Members of a folder by X-ray id, and those with another name."""
    named: dict[str, str] = {}
    strays = []
    for member in members:
        if not member.startswith(folder) or member.endswith("/"):
            continue
        match = NAME.fullmatch(member.removeprefix(folder))
        # Only masks may be called masks.
        if match and (folder == MASKS or not match["mask"]) and match["id"] not in named:
            named[match["id"]] = member
        else:
            strays.append(member)
    return named, strays


def _labels(id_: str) -> dict[str, str]:
    return {"hospital": HOSPITALS[id_.split("_")[0]], "diagnosis": DIAGNOSES[id_[-1]]}
