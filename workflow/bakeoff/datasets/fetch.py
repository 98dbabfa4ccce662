"""Files fetched whole, verified, or not at all: the mirror first, then the official addresses.

What is under way lies in a folder of its own, outside every output of the pipeline, so that a fetch that was killed
goes on where it stopped. Only verified bytes leave that folder, by a rename.
"""

import errno
import logging
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import pooch
import requests
import urllib3
from tqdm import tqdm

from bakeoff.datasets.remote import RemoteFile
from bakeoff.errors import BakeoffError

log = logging.getLogger(__name__)

PARTIAL = Path(".bakeoff/downloads")
CHUNK_BYTES = 1 << 16
LONGEST_PAUSE = 60.0  # seconds between two tries
SECONDS_BETWEEN_LINES = 10.0
MAY_PASS = {408, 425, 429, 500, 502, 503, 504}  # HTTP status codes worth another try
LEADS_NOWHERE = (
    requests.TooManyRedirects,
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
)
DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class Fetched:
    """A verified file, and what is known of its origin.

    Attributes
    ----------
    url
        Address or path that it came from.
    sha256
        Its whole digest.
    official
        Whether these are the published bytes: verified against the published checksum or, where none is published,
        fetched from the official address.
    note
        What a reader of the results has to know of it; empty where there is nothing.
    """

    name: str
    path: Path
    url: str
    sha256: str
    bytes: int
    official: bool
    note: str


class _Unavailable(Exception):
    """An address does not give the file; the message ends a sentence that begins with the address."""


def fetch(
    file: RemoteFile,
    folder: Path,
    *,
    mirror: str | None,
    partial: Path,
    attempts: int,
    timeout: float,
    backoff: float = 1.0,
) -> Fetched:
    """Put a verified file into a folder, from the mirror if that has it, else from its official address.

    Parameters
    ----------
    mirror
        Folder or http(s) address that is looked at first, as `MIRROR/NAME`. None for none.
    partial, attempts, timeout, backoff
        As for `Fetcher`.

    Raises
    ------
    BakeoffError
        If no address gives the file, its checksum is wrong, or the disk is full.
    """
    return place(Fetcher(partial, attempts, timeout, backoff).obtain(file, mirror), folder)


def place(fetched: Fetched, folder: Path) -> Fetched:
    """Move an obtained file to its place, whole or not at all, even from one file system to another."""
    target = folder / fetched.name
    beside = folder / f".{fetched.name}.part"
    with _storage_errors(target):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            fetched.path.replace(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            try:
                shutil.copyfile(fetched.path, beside)
                beside.replace(target)
            finally:
                beside.unlink(missing_ok=True)
    discard(fetched)
    return replace(fetched, path=target)


def discard(fetched: Fetched) -> None:
    """Remove what an obtained file left among what is under way."""
    _forget(fetched.path)


def part_of_mirror(mirror: str, name: str) -> str | None:
    """A folder inside a mirror, as an address or a path; None if the mirror is a folder without it.

    Raises
    ------
    BakeoffError
        If the mirror is a folder that does not exist.
    """
    inside = _join(mirror, name)
    return inside if _is_address(mirror) or (_existing(mirror) / name).is_dir() else None


def describe(path: Path, origin: str, note: str) -> Fetched:
    """What is to be said of a file that was made here and not fetched."""
    return Fetched(path.name, path, origin, _digest(path), _size(path), official=False, note=note)


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """A folder to write into, which replaces `folder` when the block ends well and vanishes when it does not."""
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    with _storage_errors(beside):
        beside.mkdir(parents=True)
    try:
        yield beside
        shutil.rmtree(folder, ignore_errors=True)
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@dataclass(frozen=True)
class Fetcher:
    """Where a fetch keeps what is under way, and how patient it is.

    Attributes
    ----------
    partial
        Folder of what is under way; it outlives a kill. One process at a time may use it.
    attempts
        Tries at an address, one after the other, that bring nothing new before it is given up.
    timeout
        Seconds without an answer before a try is given up.
    backoff
        Seconds before the second try; doubles with every further one, up to a minute.
    """

    partial: Path
    attempts: int
    timeout: float
    backoff: float = 1.0

    def obtain(self, file: RemoteFile, mirror: str | None) -> Fetched:
        """A verified file, still among what is under way, from the mirror or its official address.

        Asked again after a kill it continues, and fetches nothing that is already whole.

        Raises
        ------
        BakeoffError
            If no address gives the file, its checksum is wrong, or the disk is full.
        """
        reasons: list[str] = []
        if mirror:
            try:
                return self._from_mirror(file, mirror)
            except _Unavailable as reason:
                reasons.append(f"the mirror's {_join(mirror, file.name)} {reason}")
                log.warning("%s: %s; on to the official address", file.name, reasons[0])
        for url in file.urls:
            try:
                return self._from_official(file, url, notes=reasons[:1] if mirror else [])
            except _Unavailable as reason:
                reasons.append(f"{url} {reason}")
                log.warning("%s: %s", file.name, reasons[-1])
        raise BakeoffError(
            f"{file.name} could not be fetched: {'; '.join(reasons)}: "
            "try again later, or set download.mirror to a folder or an address that has it."
        )

    def obtain_from_mirror(self, file: RemoteFile, mirror: str) -> Fetched | None:
        """A mirror's copy of a file, still among what is under way; None if the mirror does not give it.

        A copy counts if it has the official checksum, or the one in the `SHA256SUMS` that stands beside it: then it is
        not official, and its note says so.

        Raises
        ------
        BakeoffError
            If the mirror is a folder that does not exist, its copy has neither checksum, or the disk is full.
        """
        try:
            return self._from_mirror(file, mirror)
        except _Unavailable as reason:
            log.warning("%s: the mirror's %s %s", file.name, _join(mirror, file.name), reason)
            return None

    def _from_official(self, file: RemoteFile, url: str, notes: list[str]) -> Fetched:
        part = self._part(url, file.name)
        # What was continued may have changed on the server meanwhile: a wrong sum then earns one try from the start.
        for last in (not part.exists(), True):
            self._download(url, part, file.name)
            digest = _digest(part)
            if file.sha256 is None:
                if _is_web_page(part):
                    _forget(part)
                    raise _Unavailable("gave a web page and no file (does it want a login?)")
                notes = [*notes, self._note_first_seen(file.name, url, digest, part)]
            if file.sha256 is None or digest.startswith(file.sha256.lower()):
                return Fetched(file.name, part, url, digest, _size(part), official=True, note="; ".join(notes))
            _forget(part)
            if last:
                break
        raise _Unavailable(f"gave a file whose sha256 is {digest}, not the published {file.sha256} (it is deleted)")

    def _from_mirror(self, file: RemoteFile, mirror: str) -> Fetched:
        url = _join(mirror, file.name)
        part = self._from_mirror_unverified(mirror, file.name)
        digest, size = _digest(part), part.stat().st_size
        if file.sha256 and digest.startswith(file.sha256.lower()):
            return Fetched(file.name, part, url, digest, size, official=True, note="official bytes, from the mirror")
        listed = self._mirror_checksums(mirror).get(file.name)
        if digest != listed:
            _forget(part)
            why = f"where its SHA256SUMS says {listed}" if listed else "and its SHA256SUMS does not list it"
            raise BakeoffError(
                f"{url} has sha256 {digest}, {why}: copy the file to the mirror again and list it there, "
                "or set download.mirror to null."
            )
        note = "from a mirror, verified against the mirror's own SHA256SUMS: these are not the official bytes"
        log.warning("%s: %s", file.name, note)
        return Fetched(file.name, part, url, digest, size, official=False, note=note)

    def _from_mirror_unverified(self, mirror: str, name: str) -> Path:
        url = _join(mirror, name)
        part = self._part(url, name)
        if _is_address(mirror):
            self._download(url, part, name)
            return part
        folder = _existing(mirror)
        if not (folder / name).exists():
            raise _Unavailable("is not there")
        with _storage_errors(part):
            part.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, part)
        return part

    def _mirror_checksums(self, mirror: str) -> dict[str, str]:
        """Digests by file name, as `sha256sum` writes them; empty where the mirror has no `SHA256SUMS`."""
        _forget(self._part(_join(mirror, "SHA256SUMS"), "SHA256SUMS"))
        try:
            sums = self._from_mirror_unverified(mirror, "SHA256SUMS")
        except _Unavailable:
            return {}
        lines = re.findall(r"^([0-9a-fA-F]{64}) [ *](?:\./)?(.+?)\r?$", sums.read_text(errors="replace"), re.MULTILINE)
        _forget(sums)
        return {name: digest.lower() for digest, name in lines}

    def _note_first_seen(self, name: str, url: str, digest: str, part: Path) -> str:
        """Trust the first bytes that an address without a published checksum gives, and no others after them."""
        seen = self.partial / "first-seen.sha256"
        known = dict(line.split("  ", 1)[::-1] for line in seen.read_text().splitlines()) if seen.exists() else {}
        if known.get(url, digest) != digest:
            _forget(part)
            raise BakeoffError(
                f"{url} gave {name} with sha256 {digest}, but gave {known[url]} before, and no checksum is published: "
                f"if you trust the new one, delete the line of the old one in {seen}."
            )
        if url not in known:
            with _storage_errors(seen), seen.open("a") as lines:
                lines.write(f"{digest}  {url}\n")
        note = f"NOT VERIFIED: no checksum is published for {name}; the first one seen, {digest}, is recorded"
        log.warning(note)
        return note

    def _part(self, url: str, name: str) -> Path:
        # Bytes of one address are never continued with those of another.
        return self.partial / f"{sha256(url.encode()).hexdigest()[:12]}-{name}"

    def _download(self, url: str, part: Path, name: str) -> None:
        """Complete `part` from an address, continuing what is there, however often the connection breaks."""
        failures, most = 0, _size(part)
        while True:
            try:
                with _storage_errors(part):
                    part.parent.mkdir(parents=True, exist_ok=True)
                    _request(url, part, name, self.timeout)
                return
            except requests.HTTPError as error:
                status = error.response.status_code
                if status == 416 and _is_whole(error.response, part):
                    return
                if status == 416:
                    _forget(part)
                elif status not in MAY_PASS:
                    raise _given_up(part, "is not there (404)" if status == 404 else f"answers {status}") from None
                reason = f"answers {status}"
            except LEADS_NOWHERE as error:
                raise _given_up(part, f"leads nowhere ({error})") from None
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                reason = _reason(error, self.timeout)
            # Only tries that bring nothing new count: a bad line should not keep a large file from ever arriving.
            failures = 1 if _size(part) > most else failures + 1
            most = max(most, _size(part))
            if failures >= self.attempts:
                raise _given_up(part, f"{reason} (tries: {self.attempts})")
            pause = min(self.backoff * 2 ** (failures - 1), LONGEST_PAUSE)
            log.info("%s: %s %s; next try in %.0f s", name, url, reason, pause)
            time.sleep(pause)


def _given_up(part: Path, reason: str) -> _Unavailable:
    if not _size(part):
        _forget(part)
    return _Unavailable(reason)


def _request(url: str, part: Path, name: str, timeout: float) -> None:
    """Ask once for what is missing of `part`, and append it."""
    headers = _headers(part)
    with part.open("ab") as output:
        progress = _Progress(name, output)

        def on_answer(response: requests.Response, **_: Any) -> None:
            if response.is_redirect or response.status_code not in (200, 206):
                return
            if response.status_code == 200:  # all of it: no ranges here, or the file has changed
                output.seek(output.truncate(0))
            elif _range_start(response) != output.tell():
                output.truncate(0)
                raise requests.ConnectionError("sent another range than asked for")
            # Some servers call a .tar.gz a compressed .tar; what is published is the former.
            response.raw.headers.pop("Content-Encoding", None)
            _remember(part, response)
            progress.begin()

        transfer = pooch.HTTPDownloader(
            progressbar=progress,
            chunk_size=CHUNK_BYTES,
            timeout=timeout,
            headers=headers,
            hooks={"response": on_answer},
        )
        try:
            transfer(url, output, None)
            os.fsync(output.fileno())
        finally:
            progress.stop()


def _headers(part: Path) -> dict[str, str]:
    """Headers that ask for the rest of `part`, if the file on the server is still the same."""
    headers = {"Accept-Encoding": "identity"}
    validator = _memo(part).read_text() if _memo(part).exists() else ""
    if validator and _size(part):
        headers |= {"Range": f"bytes={_size(part)}-", "If-Range": validator}
    else:  # without a validator nobody can tell whether the rest belongs to what is here
        part.open("wb").close()
    return headers


def _remember(part: Path, response: requests.Response) -> None:
    etag = response.headers.get("ETag", "")
    usable = etag if etag.startswith('"') else response.headers.get("Last-Modified", "")  # a weak ETag must not be used
    _memo(part).write_text(usable)


def _memo(part: Path) -> Path:
    return part.with_name(f"{part.name}.validator")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _memo(part).unlink(missing_ok=True)


def _range_start(response: requests.Response) -> int | None:
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _is_whole(response: requests.Response, part: Path) -> bool:
    """Whether a server that has no more bytes to give (416) says that the file is as long as `part`."""
    match = re.fullmatch(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
    return match is not None and int(match[1]) == _size(part)


def _reason(error: Exception, timeout: float) -> str:
    text = str(error)
    if isinstance(error, requests.Timeout) or "timed out" in text:
        return f"gives no answer for {timeout:g} s"
    if "refused" in text:
        return "refuses the connection"
    if "resolve" in text or "resolution" in text:
        return "has a host name that cannot be resolved (is there a network?)"
    if isinstance(error, requests.exceptions.SSLError):
        return f"has no valid certificate ({text})"
    return "breaks off"


def _join(mirror: str, name: str) -> str:
    return f"{mirror.rstrip('/')}/{name}"


def _is_address(mirror: str) -> bool:
    return mirror.startswith(("http://", "https://"))


def _existing(mirror: str) -> Path:
    folder = Path(mirror).expanduser()
    if not folder.is_dir():
        raise BakeoffError(f"download.mirror: there is no folder {mirror}: mount it, or set download.mirror to null.")
    return folder


def _is_web_page(part: Path) -> bool:
    with part.open("rb") as opened:
        return opened.read(256).lstrip()[:1] == b"<"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _digest(path: Path) -> str:
    return str(pooch.file_hash(str(path), alg="sha256"))


@contextmanager
def _storage_errors(path: Path) -> Iterator[None]:
    """Turn what the disk answers into one sentence; what the network answers passes."""
    try:
        yield
    except requests.RequestException:  # an OSError too
        raise
    except OSError as error:
        if error.errno in DISK_FULL:
            raise BakeoffError(
                f"{path} cannot be written, the disk is full ({error.strerror}): make room and run the same command "
                "again, it goes on from what is there."
            ) from None
        raise BakeoffError(
            f"{error.filename or path} cannot be used ({error.strerror}): check its permissions."
        ) from None


class _Progress:
    """What pooch's downloader reports of itself, as a bar on a terminal and as plain lines elsewhere."""

    def __init__(self, name: str, output: IO[bytes]) -> None:
        self.total = 0  # bytes that this answer brings; pooch sets it
        self._name = name
        self._output = output
        self._bar: tqdm | None = None
        self.begin()

    def begin(self) -> None:
        """The answer has come, and continues from where the output stands."""
        self._start = self._output.tell()
        self._began = self._said = time.monotonic()

    def update(self, _bytes: int) -> None:
        done = self._output.tell()
        whole = self._start + self.total if self.total else None
        if sys.stderr.isatty():
            if self._bar is None:
                self._bar = tqdm(total=whole, initial=self._start, unit="B", unit_scale=True, desc=self._name)
            self._bar.update(done - self._bar.n)
        elif time.monotonic() - self._said > SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            rate = (done - self._start) / (self._said - self._began)
            left = f" of {whole / 1e6:.0f} MB, {(whole - done) / rate:.0f} s left" if whole and rate else " MB"
            log.info("%s: %.0f%s, %.1f MB/s", self._name, done / 1e6, left, rate / 1e6)

    def reset(self) -> None:
        """Pooch starts its last count anew; ours is the position in the file, which stays."""

    def close(self) -> None:
        self.stop()

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.close()
