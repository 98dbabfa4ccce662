"""Files and folders that appear whole or not at all: written beside their place, then renamed into it."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bakeoff.artefacts.errors import BakeoffError

DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into, which replaces `folder` when the block ends well and vanishes when it does not.

    Yields
    ------
    Path
        `.NAME.part` beside `folder`, new and empty, whatever a killed process left there; parents are made.

    Raises
    ------
    BakeoffError
        If the folder cannot be made, or the disk is full; what else goes wrong in the block passes.
    """
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    with storage_errors(beside):
        beside.mkdir(parents=True)
    try:
        with _full_disk(folder):
            yield beside
        shutil.rmtree(folder, ignore_errors=True)
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a file in UTF-8, whole or not at all; its folder has to exist.

    Raises
    ------
    BakeoffError
        If the file cannot be written, or the disk is full.
    """
    beside = path.with_name(f".{path.name}.part")
    with storage_errors(path):
        try:
            beside.write_text(text, encoding="utf-8")
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


@contextmanager
def storage_errors(place: Path) -> Iterator[None]:
    """Turn what a file system answers into one sentence that names the place.

    Only errors with a number are a file system's: HTTP libraries raise an OSError without one, which passes.

    Raises
    ------
    BakeoffError
        In place of the OSError.
    """
    try:
        with _full_disk(place):
            yield
    except OSError as error:
        if error.errno is None:
            raise
        raise BakeoffError(
            f"{error.filename or place} cannot be used ({error.strerror}): check its permissions."
        ) from None


@contextmanager
def _full_disk(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise BakeoffError(
            f"{place} cannot be written, the disk is full ({error.strerror}): make room and run the same command again."
        ) from None
