"""What the names of files and folders say: which are pictures, which split they are of, which image is meant."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath
from urllib.parse import unquote

# Whether such a file is a picture, its contents decide.
PICTURES = frozenset(
    (
        *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".avif"),
        *(".jp2", ".j2k", ".jpx", ".pgm", ".ppm", ".dcm", ".nii", ".nii.gz", ".ome.tif", ".ome.tiff"),
    )
)
_OF_TWO_PARTS = (".nii.gz", ".ome.tif", ".ome.tiff")

_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
# What else the name of a folder of a split may hold.
_BESIDE = frozenset(
    ("image", "images", "img", "imgs", "label", "labels", "mask", "masks", "set", "data", "annotations")
)


def suffix(name: str) -> str:
    """What the name ends in, lower-case, with its dot: of `.nii.gz` and `.ome.tif` both parts."""
    lower = name.lower()
    return next((each for each in _OF_TWO_PARTS if lower.endswith(each)), PurePosixPath(lower).suffix)


def is_picture(name: str) -> bool:
    """Whether a file is called as pictures are."""
    return suffix(name) in PICTURES


def stem(name: str) -> str:
    """The name without folders and without what it ends in, its letters composed (NFC)."""
    last = PurePosixPath(name).name
    return unicodedata.normalize("NFC", last[: len(last) - len(suffix(last))])


def split_of(name: str) -> str | None:
    """Which split a path is of, by the last of its parts that says so: train, validation or test; None if none does.

    The name of a picture says nothing, and a folder only if it is named after the split and nothing else.

    Examples
    --------
    >>> split_of("annotations/instances_val2017.json"), split_of("Train2017/cat/test.png"), split_of("test tubes/a.png")
    ('validation', 'train', None)
    """
    *folders, last = name.split("/")
    if not is_picture(last) and (said := [word for word in _words(stem(last)) if word in _SPLITS]):
        return _SPLITS[said[-1]]
    for folder in reversed(folders):
        said = [word for word in _words(folder) if word not in _BESIDE]
        if len(said) == 1 and said[0] in _SPLITS:
            return _SPLITS[said[0]]
    return None


class Images:
    """Finds the image that an annotation means: files were often moved after their annotation was written.

    Parameters
    ----------
    names
        Of the files among which the image is.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = {_plain(name): name for name in names}
        self._by_last: defaultdict[str, list[str]] = defaultdict(list)
        self._by_stem: defaultdict[str, list[str]] = defaultdict(list)
        for plain in self._names:
            last = plain.rsplit("/", 1)[-1].lower()
            self._by_last[last].append(plain)
            if is_picture(last):
                for called in {last, *_stems(last)}:
                    self._by_stem[called].append(plain)

    def __contains__(self, name: str) -> bool:
        return _plain(name) in self._names

    def find(self, stated: str, annotation: str) -> str | None:
        """The file that an annotation's path, or address, names; None if there is none, or more than one are meant.

        That is the file of this path below the annotation's folder, then the one whose path ends in the most parts of
        the stated path; of several of these the one in the annotation's folder, then the one of the same split.

        Parameters
        ----------
        stated
            As the annotation has it; a path of Windows or an address too.
        annotation
            Name of the file that it stands in.
        """
        path = _plain(unquote(re.sub(r"^[a-z][a-z0-9+.-]+://[^/]*/", "", stated.strip(), flags=re.IGNORECASE)))
        folder = _plain(annotation).rpartition("/")[0]
        if (below := _joined(folder, path)) in self._names:
            return self._names[below]
        found = self._by_last.get(path.rsplit("/", 1)[-1].lower(), [])
        return self._only(_best(found, lambda plain: _parts_in_common(plain, path)), annotation)

    def find_stem(self, annotation: str) -> str | None:
        """The picture that is called as an annotation file is, but for what both end in; None as for `find`."""
        found = [plain for called in _stems(annotation.lower()) for plain in self._by_stem[called]]
        return self._only(list(dict.fromkeys(found)), annotation)

    def _only(self, found: list[str], annotation: str) -> str | None:
        folder = _plain(annotation).rpartition("/")[0]
        found = _best(found, lambda plain: plain.rpartition("/")[0] == folder)
        found = _best(found, lambda plain: split_of(plain) == split_of(annotation))
        return self._names[found[0]] if len(found) == 1 else None


def _stems(name: str) -> set[str]:
    """The name without what it ends in; of OME-TIFF also without both parts."""
    return {stem(name), stem(name).removesuffix(".ome")}


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[^a-z]+", name.lower()) if word]


def _plain(path: str) -> str:
    plain = unicodedata.normalize("NFC", path.replace("\\", "/"))
    return plain.removeprefix("./")


def _best(found: list[str], rank: Callable[[str], int]) -> list[str]:
    best = max(map(rank, found), default=0)
    return [plain for plain in found if rank(plain) == best]


def _joined(folder: str, path: str) -> str:
    parts: list[str] = folder.split("/") if folder else []
    for part in path.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _parts_in_common(first: str, second: str) -> int:
    """How many parts two paths share at their ends, whatever the capitals."""
    pairs = zip(reversed(first.lower().split("/")), reversed(second.lower().split("/")), strict=False)
    return next((count for count, (one, other) in enumerate(pairs) if one != other), first.count("/") + 1)
