"""A folder of your own: pictures with masks, pictures sorted into classes, or both. No code is needed.

    images/a.png    masks/a.png          pictures and masks of the same name
    cat/a.png       dog/b.png            one folder a class
    images/cat/a.png  masks/cat/a.png    both

Masks hold class indices 0, 1, ... or, for two classes, 0 and 255. What can be learned depends on the contents of the
folder, so that the facts come from the function `facts` instead of this module's constants.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.archives.records import Finding, Listing, Member, Record
from bakeoff.datasets.archives.remote import RemoteFile
from bakeoff.datasets.archives.tree import open_tree
from bakeoff.datasets.preparation.decode import Undecodable, decode

PICTURES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp"}
# Where the configuration names no classes, masks with higher levels are taken for grey pictures and not for class
# indices.
HIGHEST_INDEX = 63
# With more classes than this, scores are not broken down by class.
MOST_STRATA = 12


class _Contents(NamedTuple):
    """Names in the archive by name without suffix below `images/` (or the folder itself) or `masks/`, and the rest."""

    images: dict[str, str]
    masks: dict[str, str]
    findings: list[Finding]

    def labels(self) -> set[str]:
        """Names of the class folders."""
        return {_label(id_) for id_ in self.images} - {""}


@dataclass(frozen=True)
class FolderFacts:
    """What a data set's package says of itself, of a folder; the names are those of every data set's module."""

    TITLE: str
    CHANNELS: int
    CLASSES: tuple[str, ...]
    TARGETS: tuple[str, ...]
    STRATA: tuple[str, ...]
    LICENCE: str
    CITATION: str
    MASK_RESIZE: str = "area"
    FILES: tuple[RemoteFile, ...] = ()
    archive: str = ""
    PUBLISHED: None = None

    def listing(self, raw: Path) -> Listing:
        """Records of the pictures; findings for those without mask or class, and for files that do not belong.

        Raises
        ------
        BakeoffError
            If the archive is missing or cannot be opened.
        """
        contents = _contents(raw)
        records, findings = [], contents.findings
        for id_, name in sorted(contents.images.items()):
            if self.TARGETS and not _label(id_):
                findings.append(Finding(name, "stray file", "dropped", "not in a class folder"))
            elif self.CLASSES and id_ not in contents.masks:
                findings.append(Finding(name, "missing mask", "dropped", f"there is no masks/{id_}"))
            else:
                records.append(self._record(id_, name, contents.masks.get(id_)))
        for id_ in sorted(contents.masks.keys() - contents.images.keys()):
            findings.append(Finding(contents.masks[id_], "mask without image", "dropped", f"there is no image {id_}"))
        return Listing(records, findings, listed=len(contents.images))

    def classes_of(self, pixels: np.ndarray) -> np.ndarray:
        """Class indices (uint8, H x W) of a mask's grey levels (uint8, H x W): these, or 0 and 255 for two classes.

        Raises
        ------
        ValueError
            If a level is no class.
        """
        count, levels = len(self.CLASSES), _levels(pixels)
        if count == 2 and levels <= {0, 255}:
            return (pixels > 0).astype(np.uint8)
        wrong = sorted(level for level in levels if level >= count)
        if wrong:
            shown = ", ".join(map(str, wrong[:5])) + (", ..." if len(wrong) > 5 else "")
            raise ValueError(f"grey levels {shown} are not classes: there are {count}, 0 to {count - 1}")
        return pixels

    def _record(self, id_: str, image: str, mask: str | None) -> Record:
        archive = self.archive
        return Record(
            id=id_,
            image=Member(archive, image),
            masks=(Member(archive, mask),) if mask and self.CLASSES else (),
            labels={"class": _label(id_)} if self.TARGETS else {},
            # The mask of an image with a class may be empty: there may be nothing to segment.
            blank_mask="allowed" if self.TARGETS else "fault",
        )


def facts(name: str, raw: Path, settings: Mapping[str, Any]) -> FolderFacts:
    """What is known of the folder `raw`.

    Parameters
    ----------
    name
        Of its entry in the configuration.
    settings
        What the configuration says: `title`, `licence` and `citation`, None where nothing; `channels`, 1 or 3;
        `classes`, names of the mask's classes, background first, None to count them in the masks.

    Raises
    ------
    BakeoffError
        If the archive is missing or damaged, holds no picture, or nothing to learn: neither masks nor class folders.
    """
    contents, key = _contents(raw), f"folders.{name}"
    labels = contents.labels()
    if not contents.images:
        raise BakeoffError(f"{key}.path: there is no image in images/ or in folders named after classes: add some.")
    if not contents.masks and len(labels) < 2:
        raise BakeoffError(
            f"{key}.path: its images have no annotations: add masks/ or sort the images into two or more folders, "
            "one per class."
        )
    if settings["classes"] and not contents.masks:
        raise BakeoffError(f"{key}.classes names classes of masks, but there is no masks/: remove it.")
    return FolderFacts(
        TITLE=settings["title"] or f"Own images: {name}",
        CHANNELS=settings["channels"],
        CLASSES=tuple(settings["classes"] or _counted_classes(raw, contents.masks.values())),
        TARGETS=("class",) if len(labels) >= 2 else (),
        STRATA=("class",) if 2 <= len(labels) <= MOST_STRATA else (),
        LICENCE=settings["licence"] or "not stated",
        CITATION=settings["citation"] or "none",
        archive=raw.name,
    )


def _label(id_: str) -> str:
    return id_.split("/")[0] if "/" in id_ else ""


def _contents(raw: Path) -> _Contents:
    with open_tree(raw) as tree:
        names = tree.names
        contents = _Contents({}, {}, tree.findings)
    beside = any(name.lower().startswith("images/") for name in names)  # images stand beside masks, not around them
    for name in names:
        top, _, below = name.partition("/")
        into = {"images": contents.images, "masks": contents.masks}.get(top.lower() if below else "")
        if into is None and beside:
            contents.findings.append(Finding(name, "stray file", "dropped", "in neither images/ nor masks/"))
            continue
        into, path = (contents.images, name) if into is None else (into, below)
        # The same letters may be written in two ways, as macOS does it and as others do.
        id_ = unicodedata.normalize("NFC", str(PurePosixPath(path).with_suffix("")))
        if PurePosixPath(path).suffix.lower() not in PICTURES:
            contents.findings.append(Finding(name, "stray file", "dropped", "not the name of an image file"))
        elif id_ in into:
            detail = f"same name as {into[id_]} except for the suffix"
            contents.findings.append(Finding(name, "stray file", "dropped", detail))
        else:
            into[id_] = name
    return contents


def _counted_classes(raw: Path, masks: Iterable[str]) -> tuple[str, ...]:
    """Names for as many classes as the masks hold; masks that hold something else are left to the audit."""
    with open_tree(raw) as opened:
        highest = [_highest_level(opened.read(name)) for name in masks]
    if not highest:
        return ()
    count = 1 + max((level for level in highest if level <= HIGHEST_INDEX), default=1)
    return ("background", "foreground") if count <= 2 else ("background", *(f"class {k}" for k in range(1, count)))


def _highest_level(mask: bytes) -> int:
    try:
        return int(decode(mask, channels=1).pixels.max())
    except Undecodable:
        return 0


def _levels(pixels: np.ndarray) -> set[int]:
    return set(np.flatnonzero(np.bincount(pixels.ravel(), minlength=256)).tolist())
