"""Zip and tar.gz archives, read without unpacking and without trusting them.

Refused before a member is read: paths that leave the archive, links, devices, encryption, two members of one name, and
decompression bombs.
"""

import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from bakeoff.artefacts.errors import BakeoffError

MAX_MEMBER_BYTES = 256 << 20  # the largest picture of these data sets decodes to 75 MB
MAX_RATIO = 200  # PNG and JPEG hardly shrink; blank masks do, 100 to 1 and more, but are small
RATIO_COUNTS_FROM = 16 << 20  # bytes
# The first day that zip archives know: archives that are written here have the same bytes every time.
TIMESTAMP = (1980, 1, 1, 0, 0, 0)

_DAMAGE = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError, ValueError
)  # fmt: skip


class Archive:
    """An open archive. Directories are not members; names are relative, with `/`, and no leading `./`."""

    def __init__(self, path: Path, remedy: str) -> None:
        self.path = path
        self._remedy = remedy
        self._seen: set[str] = set()

    def members(self) -> list[str]:
        """Names of the files inside, in the archive's order. Of a tar.gz this reads all of it."""
        return [name for name, _ in self.stream()]

    def stream(self) -> Iterator[tuple[str, bytes]]:
        """Every file's name and content, in the archive's order, one at a time in memory."""
        raise NotImplementedError

    def read(self, name: str) -> bytes:
        """Content of one file of a zip; a tar.gz has no index and is read with `stream`."""
        raise NotImplementedError

    def _refused(self, name: str, why: str) -> BakeoffError:
        return BakeoffError(f"{self.path}: member '{name}' {why}: {self._remedy}.")

    def _damaged(self, name: str, error: Exception) -> BakeoffError:
        return BakeoffError(f"{self.path} is damaged at member '{name}' ({error}): {self._remedy}.")

    def _accept_name(self, name: str) -> str:
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or PureWindowsPath(name).drive or ".." in path.parts:
            raise self._refused(name, "points outside the archive")
        return str(path)

    def _accept_file(self, name: str, size: int) -> str:
        plain = self._accept_name(name)
        if plain in self._seen:
            raise self._refused(name, "occurs twice")
        if size > MAX_MEMBER_BYTES:
            raise self._refused(name, f"would unpack to {size:,} bytes, above the {MAX_MEMBER_BYTES:,} allowed")
        self._seen.add(plain)
        return plain

    def _check_ratio(self, name: str, size: int, compressed: int) -> None:
        if size > RATIO_COUNTS_FROM and size > MAX_RATIO * compressed:
            raise self._refused(name, f"unpacks to more than {MAX_RATIO} times its size, like a decompression bomb")


class _Zip(Archive):
    def __init__(self, path: Path, remedy: str, file: IO[bytes]) -> None:
        super().__init__(path, remedy)
        self._zip = zipfile.ZipFile(file)
        self._members: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            mode = stat.S_IFMT(info.external_attr >> 16)
            if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise self._refused(info.filename, "is a link or a device")
            if info.flag_bits & 1:
                raise self._refused(info.filename, "is encrypted")
            if info.is_dir():
                self._accept_name(info.filename)
                continue
            self._check_ratio(info.filename, info.file_size, info.compress_size)
            self._members[self._accept_file(info.filename, info.file_size)] = info

    def members(self) -> list[str]:
        return list(self._members)

    def stream(self) -> Iterator[tuple[str, bytes]]:
        return ((name, self.read(name)) for name in self._members)

    def read(self, name: str) -> bytes:
        if name not in self._members:
            raise BakeoffError(f"{self.path} has no member '{name}': fetch the archive again.")
        try:
            return self._zip.read(self._members[name])
        except _DAMAGE as error:
            raise self._damaged(name, error) from None


class _TarGz(Archive):
    def __init__(self, path: Path, remedy: str, file: IO[bytes]) -> None:
        super().__init__(path, remedy)
        self._file = file

    def stream(self) -> Iterator[tuple[str, bytes]]:
        self._file.seek(0)
        self._seen.clear()
        compressed, unpacked, last = self.path.stat().st_size, 0, "the first"
        try:
            with gzip.open(self._file) as plain, tarfile.open(fileobj=plain, mode="r:") as tar:
                for info in tar:
                    if info.isdir():
                        self._accept_name(info.name)
                        continue
                    if not info.isreg():
                        raise self._refused(info.name, "is a link or a device")
                    last = self._accept_file(info.name, info.size)
                    unpacked += info.size  # a tar.gz is compressed as a whole
                    self._check_ratio(info.name, unpacked, compressed)
                    content = tar.extractfile(info)
                    yield last, content.read() if content else b""
                self._check_end(plain, tar.offset)
        except _DAMAGE as error:
            raise self._damaged(last, error) from None

    def _check_end(self, plain: gzip.GzipFile, offset: int) -> None:
        # tarfile takes a damaged header for the end, and leaves gzip's own checksum unread.
        plain.seek(offset)
        while block := plain.read(1 << 20):
            if block.strip(b"\0"):
                raise tarfile.ReadError("bad header")


@contextmanager
def open_archive(path: Path, remedy: str = "") -> Iterator[Archive]:
    """Open a zip or a tar.gz, told apart by their first bytes.

    Parameters
    ----------
    remedy
        What to do where it is missing, damaged or not safe to read, for messages; by default to fetch it again.

    Raises
    ------
    BakeoffError
        If the file is missing, neither, truncated or damaged, or a member is not safe to read; for a zip on opening,
        for a tar.gz on reaching the member.
    """
    remedy = remedy or f"delete it, and fetch it again with `dvc repro -f download@{path.parent.name}`"
    try:
        file = path.open("rb")
    except OSError as error:
        raise BakeoffError(f"{path} cannot be opened ({error.strerror}): {remedy}.") from None
    with file:
        start = file.read(2)
        try:
            archive = {b"PK": _Zip, b"\x1f\x8b": _TarGz}[start](path, remedy, file)
        except KeyError:
            raise BakeoffError(f"{path} is neither a zip nor a tar.gz archive: {remedy}.") from None
        except _DAMAGE as error:
            raise BakeoffError(f"{path} is truncated or damaged ({error}): {remedy}.") from None
        yield archive
