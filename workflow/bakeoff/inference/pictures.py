"""The pictures that a user names: which files they are, and their pixels."""

import glob
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from bakeoff.artefacts.channels import Levels
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.preparation.decode import decode
from bakeoff.datasets.preparation.mask_files import MaskReader
from bakeoff.datasets.preparation.samples import Undecodable

SUFFIXES = frozenset(
    {
        *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".avif"),
        *(".jp2", ".j2k", ".jpx", ".pgm", ".ppm", ".dcm"),
    }
)


def open_picture(path: Path, channels: int, *, upright: bool = True, levels: Levels | None = None) -> np.ndarray:
    """Pixels of an image file, as those of the data sets were read.

    Parameters
    ----------
    path
        A file of any format that is read; see `bakeoff.datasets.preparation.decode.decode` for modes and depths.
    channels
        1 for grey levels, 3 for RGB; other numbers are those of the file.
    upright
        Turn the picture as its EXIF tag says. The data sets were not turned: to get the prediction that an evaluation
        recorded for a file with such a tag, leave it as stored.
    levels
        Of a picture of more than 8 bits, those that become black and white; None: by its depth.

    Returns
    -------
    numpy.ndarray
        uint8, (height, width, channels), contiguous.

    Raises
    ------
    Undecodable
        If the file cannot be read, or holds no usable picture.
    """
    return np.ascontiguousarray(decode(_content(path), channels, upright=upright, levels=levels).pixels)


def open_mask(path: Path, classes: int) -> np.ndarray:
    """Class indices, uint8 (height, width), of a mask whose levels, or palette indices, are these.

    Of two classes the foreground may be 255 in place of 1.

    Raises
    ------
    Undecodable
        If the file cannot be read, or holds a level that is no class.
    """
    numbers: dict[str, int | list[int]] = {str(number): number for number in range(classes)}
    reader = MaskReader(numbers | ({"1": [1, 255]} if classes == 2 else {}))
    try:
        return reader(_content(path)).classes
    except ValueError as error:
        reason = str(error).partition(":")[0]
        raise Undecodable(f"{reason}: class numbers 0 to {classes - 1} are wanted, as predicted masks have") from error


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Undecodable(error.strerror or str(error)) from error


def masks_by_stem(folder: Path) -> dict[str, list[Path]]:
    """The image files that lie in a folder, by their names without suffix."""
    found: dict[str, list[Path]] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() in SUFFIXES:
            found.setdefault(file.stem, []).append(file)
    return found


def find_pictures(paths: Sequence[str], leave_out: Sequence[Path] = ()) -> list[Path]:
    """Files that paths stand for, sorted, each once.

    Parameters
    ----------
    paths
        Files of any name; folders, which stand for the image files (`SUFFIXES`) at any depth below them, hidden ones
        aside; and patterns (`scans/*.png`, `**` for any depth), which stand for what they match of both.
    leave_out
        Folders whose files are found by their own names only, not through a folder or a pattern.

    Raises
    ------
    BakeoffError
        If a path stands for no file, or cannot be read.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        try:
            files = _files(path, {folder.resolve() for folder in leave_out})
        except OSError as error:  # no permission, a name too long
            raise BakeoffError(f"{path} cannot be read ({error.strerror}): check the path.") from None
        if not files:
            aside = f" (what lies in {' and '.join(map(str, leave_out))} aside)" if leave_out else ""
            raise BakeoffError(f"{path} is not an image, nor a folder or pattern with images{aside}: check the path.")
        found.update({file.resolve(): file for file in files if file.resolve() not in found})
    return sorted(found.values())


def _files(path: str, leave_out: set[Path]) -> list[Path]:
    place = Path(path)
    if place.is_file():
        return [place]
    # First as it is: brackets and asterisks may be part of a name.
    places: Iterable[Path] = [place] if place.exists() else map(Path, glob.glob(path, recursive=True))  # noqa: PTH207
    found = [file for each in places for file in ([each] if each.is_file() else _below(each))]
    return [file for file in found if leave_out.isdisjoint(file.resolve().parents)]


def _below(folder: Path) -> list[Path]:
    def hidden(file: Path) -> bool:
        return any(part.startswith(".") for part in file.relative_to(folder).parts)

    return [
        file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file() and not hidden(file)
    ]
