"""Packs a folder of one's own images into the one archive that the `folder` data set reads."""

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

from bakeoff.artefacts.atomic import atomic_folder
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.acquisition.fetch import describe, write_source
from bakeoff.datasets.archives.archive import MAX_MEMBER_BYTES
from bakeoff.datasets.sources.folder import FILES

# Zip archives know no earlier day; a fixed one keeps the bytes the same.
TIMESTAMP = (1980, 1, 1, 0, 0, 0)


def pack(name: str, path: str, folder: Path) -> None:
    """Write `folder.zip` and `source.json`: the same bytes for the same files, whenever and wherever.

    Pictures are stored as they are, since they are compressed already. Hidden files and folders are left out.

    Parameters
    ----------
    name
        Of the entry in the configuration's `folders`, for messages.
    path
        The folder of images, as the configuration names it; it is only read.
    folder
        `data/raw/NAME`; it appears whole or not at all.

    Raises
    ------
    BakeoffError
        If there is no such folder or no file in it, or it holds a link, a device, a file that is too large, cannot be
        read or has a name that no archive can hold; or the disk is full.
    """
    source = Path(path).expanduser()
    if not source.is_dir():
        raise BakeoffError(f"folders.{name}.path: there is no folder {path}: mend the path, or take the entry out.")
    files = sorted(_files(source), key=lambda file: file.relative_to(source).as_posix())
    if not files:
        raise BakeoffError(f"folders.{name}.path: the folder {path} holds no file: put images into it.")
    with atomic_folder(folder) as beside:
        archive = beside / FILES[0].name
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as opened:
            for file in files:
                _add(opened, file, file.relative_to(source).as_posix())
        note = f"packed from the folder {path}, {len(files)} files: one's own images, not published bytes"
        write_source(beside, [describe(archive, path, note)], synthetic=False)


def _files(folder: Path) -> Iterator[Path]:
    """Every file below a folder, however deep, that is not hidden."""
    try:
        for entry in folder.iterdir():
            if entry.name.startswith("."):
                continue
            if entry.is_symlink():
                raise BakeoffError(f"{entry} is a symbolic link: put the file itself there, or leave it out.")
            if entry.is_dir():
                yield from _files(entry)
            elif entry.is_file():
                yield entry
            else:
                raise BakeoffError(f"{entry} is neither a file nor a folder: leave it out.")
    except OSError as error:
        raise _unreadable(error, folder) from None


def _add(archive: zipfile.ZipFile, file: Path, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise BakeoffError(f"{name!a} is no file name in UTF-8: rename the file.") from None
    info = zipfile.ZipInfo(name, TIMESTAMP)
    info.create_system = 3  # Unix, wherever it is packed
    info.external_attr = 0o100644 << 16
    try:
        content = file.open("rb")
    except OSError as error:
        raise _unreadable(error, file) from None
    with content:
        info.file_size = file.stat().st_size  # tells zipfile whether it needs its large format
        if info.file_size > MAX_MEMBER_BYTES:
            raise BakeoffError(
                f"{file} has {info.file_size:,} bytes, above the {MAX_MEMBER_BYTES:,} allowed: shrink it."
            )
        with archive.open(info, "w") as member:
            shutil.copyfileobj(content, member)


def _unreadable(error: OSError, path: Path) -> BakeoffError:
    return BakeoffError(f"{error.filename or path} cannot be read ({error.strerror}): check its permissions.")
