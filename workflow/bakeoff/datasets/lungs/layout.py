"""Where the X-rays, their masks and their labels are in the archive, which says all of it in its file names."""

import re
from pathlib import Path

import numpy as np

from bakeoff.datasets.archive import open_archive
from bakeoff.datasets.lungs.source import FILES, HOSPITALS, IMAGES, MASKS
from bakeoff.datasets.records import Finding, Listing, Member, Record

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
    findings = [Finding(name, "unknown name", "dropped", "no X-ray is named so") for name in strays + stray_masks]
    findings += [
        Finding(images[id_], "missing mask", "dropped", "listed without a lung mask")
        for id_ in sorted(images.keys() - masks.keys())
    ]
    findings += [
        Finding(masks[id_], "mask without image", "dropped", f"{id_}.png is not in the archive")
        for id_ in sorted(masks.keys() - images.keys())
    ]
    return Listing(records, findings, listed=len(images))


def classes_of(pixels: np.ndarray) -> np.ndarray:
    """Class indices (0 background, 1 lung; uint8) of a mask's grey levels (uint8), which are 0 and 255."""
    return (pixels > 127).astype(np.uint8)


def _by_id(members: list[str], folder: str) -> tuple[dict[str, str], list[str]]:
    """Members of a folder by X-ray id, and those whose name says nothing."""
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
