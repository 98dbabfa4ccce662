"""Packs a folder of images into the archive that the `folder` data set reads."""

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

from bakeoff.artefacts.atomic import atomic_folder
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.acquisition.fetch import generated_file, write_source
from bakeoff.datasets.archives.archive import MAX_MEMBER_BYTES, TIMESTAMP
from bakeoff.datasets.sources.folder import FILES


def pack(name: str, path: str, folder: Path) -> None:
    """Write `folder.zip` and `source.json`: the same bytes for the same files, whenever and wherever.

    Images are stored uncompressed, since their formats compress already. Hidden files and folders are left out.

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
        raise BakeoffError(f"folders.{name}.path: there is no folder {path}: correct the path or remove the entry.")
    files = sorted(_files(source), key=lambda file: file.relative_to(source).as_posix())
    if not files:
        raise BakeoffError(f"folders.{name}.path: the folder {path} contains no file: add images.")
    with atomic_folder(folder) as beside:
        archive = beside / FILES[0].name
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as opened:
            for file in files:
                _add(opened, file, file.relative_to(source).as_posix())
        note = f"packed from the folder {path}, {len(files)} files: the user's own images, not published files"
        write_source(beside, [generated_file(archive, path, note)], synthetic=False)


def _files(folder: Path) -> Iterator[Path]:
    """Every file below a folder, however deep, that is not hidden."""
    try:
        for entry in folder.iterdir():
            if entry.name.startswith("."):
                continue
            if entry.is_symlink():
                raise BakeoffError(f"{entry} is a symbolic link: replace it by the file itself or remove it.")
            if entry.is_dir():
                yield from _files(entry)
            elif entry.is_file():
                yield entry
            else:
                raise BakeoffError(f"{entry} is neither a file nor a folder: remove it.")
    except OSError as error:
        raise _unreadable(error, folder) from None


def _add(archive: zipfile.ZipFile, file: Path, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise BakeoffError(f"{name!a} is not a valid UTF-8 file name: rename the file.") from None
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
                f"{file} has {info.file_size:,} bytes, above the {MAX_MEMBER_BYTES:,} allowed: make it smaller."
            )
        with archive.open(info, "w") as member:
            shutil.copyfileobj(content, member)


def _unreadable(error: OSError, path: Path) -> BakeoffError:
    return BakeoffError(f"{error.filename or path} cannot be read ({error.strerror}): check its permissions.")
