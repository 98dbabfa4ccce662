"""A tree of files, read in place: a folder on disk or a zip."""

import os
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.archives.archive import MAX_MEMBER_BYTES, open_archive
from bakeoff.datasets.archives.records import Finding

# What systems and programs leave among pictures, by patterns of the names of files and folders; the first that fits.
SYSTEM = (
    ".DS_Store", "._*", ".*", "__MACOSX", "@eaDir", "#recycle", "Thumbs.db", "desktop.ini", "$RECYCLE.BIN",
    "System Volume Information",
)  # fmt: skip


class Tree:
    """The files of a folder or a zip, by name.

    Attributes
    ----------
    path
        The folder or the zip.
    names
        Of every file that is no system file: relative, with `/`, sorted.
    findings
        What is passed over: one finding for each kind of system file, and one for each link to a folder.
    """

    def __init__(
        self, path: Path, names: Iterable[str], reader: Callable[[str], bytes], findings: Iterable[Finding] = ()
    ) -> None:
        every = sorted(names)
        system = {name: kind for name in every if (kind := _system_kind(name))}
        self.path = path
        self.names = tuple(name for name in every if name not in system)
        self.findings = [*findings, *_system_findings(system)]
        self._known = frozenset(self.names)
        self._reader = reader

    def read(self, name: str) -> bytes:
        """Content of one of the files.

        Raises
        ------
        BakeoffError
            If there is no such file, it cannot be read, or it is too large.
        """
        if name not in self._known:
            raise BakeoffError(f"{self.path} has no file '{name}': correct the name, or add the file.")
        return self._reader(name)


@contextmanager
def open_tree(path: Path) -> Iterator[Tree]:
    """Open a folder or a zip, whose files are then read one by one.

    A link to a file inside the folder is read like the file. A link to a folder inside is passed over, as its files
    are read where they are.

    Raises
    ------
    BakeoffError
        If there is no such folder or zip, or it has a link that leads out of it, a device, a name that is not UTF-8,
        or a member that is not safe to read.
    """
    if path.is_dir():
        findings: list[Finding] = []
        names = list(_files(path, path, findings))
        yield Tree(path, names, lambda name: _content(path / name), findings)
    elif zipfile.is_zipfile(path):
        with open_archive(path, remedy="make the zip again") as opened:
            yield Tree(path, opened.members(), opened.read)
    elif path.is_file():
        raise BakeoffError(f"{path} is neither a folder nor a zip: unpack it, and name the folder.")
    else:
        raise BakeoffError(f"There is no folder or zip {path}: correct the path.")


def _system_kind(name: str) -> str | None:
    return next((kind for part in name.split("/") for kind in SYSTEM if fnmatchcase(part.lower(), kind.lower())), None)


def _system_findings(system: dict[str, str]) -> list[Finding]:
    counts = Counter(system.values())
    first = {kind: name for name, kind in reversed(system.items())}
    return [
        Finding(first[kind], "system file", "dropped", f"{count} of the kind {kind} passed over")
        for kind, count in sorted(counts.items())
    ]


def _files(folder: Path, root: Path, findings: list[Finding]) -> Iterator[str]:
    """Names below the root of every file in a folder, however deep; findings are added to as they are met."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise _unreadable(error, folder) from None
    for entry in entries:
        path = folder / entry.name
        name = path.relative_to(root).as_posix()
        _require_utf8(name)
        if entry.is_symlink() and not _leads_inside(path, root):
            raise BakeoffError(
                f"{path} is a link that leads out of {root}: replace it by what it leads to, or remove it."
            )
        if entry.is_symlink() and entry.is_dir():
            findings.append(Finding(name, "link to a folder", "dropped", "its files are read where they are"))
        elif entry.is_dir():
            yield from _files(path, root, findings)
        elif entry.is_file():
            yield name
        else:
            raise BakeoffError(f"{path} is neither a file nor a folder: remove it.")


def _leads_inside(link: Path, root: Path) -> bool:
    return link.exists() and link.resolve().is_relative_to(root.resolve())


def _require_utf8(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise BakeoffError(f"{name!a} is not a valid UTF-8 file name: rename the file.") from None


def _content(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_MEMBER_BYTES:
            raise BakeoffError(f"{path} has {size:,} bytes, above the {MAX_MEMBER_BYTES:,} allowed: make it smaller.")
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(error, path) from None


def _unreadable(error: OSError, path: Path) -> BakeoffError:
    return BakeoffError(f"{error.filename or path} cannot be read ({error.strerror}): check its permissions.")
