"""Verified downloads, from a mirror first and then from the official addresses.

Partial and complete files are stored in a folder outside the outputs of the pipeline. A download that was killed
continues where it stopped, and an output that was deleted before a rerun is restored without a download: the stored
file is verified again and linked to its place. Beside each file, `NAME.json` states its origin.
"""

import json
import logging
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import pooch
import requests
import urllib3
from filelock import FileLock
from tqdm import tqdm

from bakeoff.artefacts.atomic import storage_errors, write_text
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.archives.remote import RemoteFile

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


class NotAvailable(BakeoffError):
    """No address gives a file, and none gave a wrong one: with a better connection it may be available."""


class _Unavailable(Exception):
    """An address does not give the file; the message ends a sentence that begins with the address."""


class _Wrong(_Unavailable):
    """An address gives other bytes than the published ones."""


def place(fetched: Fetched, folder: Path) -> Fetched:
    """Put an obtained file into a folder, whole or not at all: linked where the file system can, else copied."""
    target = folder / fetched.name
    beside = folder / f".{fetched.name}.part"
    with storage_errors(target):
        folder.mkdir(parents=True, exist_ok=True)
        beside.unlink(missing_ok=True)
        try:
            _link_or_copy(fetched.path, beside)
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)  # also there if it and the target were one file, which a rename leaves alone
    return replace(fetched, path=target)


def discard(fetched: Fetched) -> None:
    """Remove an obtained file, which turned out to be of no use, from the store."""
    fetched.path.unlink(missing_ok=True)
    _sidecar(fetched.path).unlink(missing_ok=True)


def part_of_mirror(mirror: str, name: str) -> str | None:
    """A folder inside a mirror, as an address or a path; None if the mirror is a folder without it.

    Raises
    ------
    BakeoffError
        If the mirror is a folder that does not exist.
    """
    inside = _join(mirror, name)
    return inside if _is_address(mirror) or (_mirror_folder(mirror) / name).is_dir() else None


def generated_file(path: Path, origin: str, note: str) -> Fetched:
    """The origin of a file that was made here instead of fetched."""
    return Fetched(path.name, path, origin, _digest(path), _size(path), official=False, note=note)


def write_source(folder: Path, files: Sequence[Fetched], *, synthetic: bool) -> None:
    """Write `source.json` of `data/raw/DATASET`: where each file of the folder came from."""
    entries = [asdict(file) for file in files]
    for entry in entries:
        del entry["path"]  # the folder it stands in
    write_text(folder / "source.json", json.dumps({"files": entries, "synthetic": synthetic}, indent=2) + "\n")


@contextmanager
def exclusive_fetcher(store: Path, *, attempts: int, timeout: float) -> Iterator["Fetcher"]:
    """A fetcher whose store no other process uses meanwhile; arguments as for `Fetcher`."""
    with storage_errors(store):
        store.mkdir(parents=True, exist_ok=True)
    with FileLock(store / "lock"):
        yield Fetcher(store, attempts, timeout)


@dataclass(frozen=True)
class Fetcher:
    """Where partial and complete files are stored, and how patiently they are fetched.

    Attributes
    ----------
    store
        Folder of both. One process at a time may use it.
    attempts
        Tries in a row without a new byte before an address is given up.
    timeout
        Seconds without an answer before a try is given up.
    backoff
        Seconds before the second try; doubles with every further one, up to a minute.
    """

    store: Path
    attempts: int
    timeout: float
    backoff: float = 1.0

    def obtain(self, file: RemoteFile, mirror: str | None) -> Fetched:
        """A verified file in the store: the stored one, else from the mirror, else from its official address.

        After a kill it continues and fetches nothing that is already complete. A stored file is used if its digest is
        unchanged and it is official, or comes from this mirror, whose `SHA256SUMS` still lists it.

        Parameters
        ----------
        mirror
            Folder or http(s) address that is looked at first, as `MIRROR/NAME`. None for none.

        Raises
        ------
        NotAvailable
            If no address gives the file.
        BakeoffError
            If its checksum is wrong, or the disk is full.
        """
        if stored := self._stored(file, mirror):
            return stored
        reasons: list[str] = []
        failure: type[BakeoffError] = NotAvailable
        if mirror:
            try:
                return self._keep(self._from_mirror(file, mirror))
            except _Unavailable as reason:
                reasons.append(f"the mirror's {_join(mirror, file.name)} {reason}")
                log.warning("%s: %s; trying the official address", file.name, reasons[0])
        for url in file.urls:
            try:
                return self._keep(self._from_official(file, url, notes=reasons[:1] if mirror else []))
            except _Unavailable as reason:
                reasons.append(f"{url} {reason}")
                log.warning("%s: %s", file.name, reasons[-1])
                failure = BakeoffError if isinstance(reason, _Wrong) else failure
        raise failure(
            f"{file.name} could not be fetched: {'; '.join(reasons)}: "
            "try again later or set download.mirror to a folder or an address that has it."
        )

    def obtain_from_mirror(self, file: RemoteFile, mirror: str) -> Fetched | None:
        """A mirror's copy of a file, in the store; None if the mirror does not give it.

        A copy counts if it has the official checksum, or the one in the `SHA256SUMS` that stands beside it: then it is
        not official, and its note says so.

        Raises
        ------
        BakeoffError
            If the mirror is a folder that does not exist, its copy has neither checksum, or the disk is full.
        """
        if stored := self._stored(file, mirror):
            return stored
        try:
            return self._keep(self._from_mirror(file, mirror))
        except _Unavailable as reason:
            log.warning("%s: the mirror's %s %s", file.name, _join(mirror, file.name), reason)
            return None

    def _stored(self, file: RemoteFile, mirror: str | None) -> Fetched | None:
        """What was stored before, if it is whole and may still be taken; a damaged one is deleted."""
        path = self.store / file.name
        try:
            about = json.loads(_sidecar(path).read_text(encoding="utf-8"))
            stored = Fetched(file.name, path, **about, bytes=path.stat().st_size)
        except (OSError, ValueError, TypeError):  # nothing is there, or nothing that was written here
            return None
        # It is linked to outputs of the pipeline, through which it could have been changed.
        if _digest(path) != stored.sha256:
            log.warning("%s has changed since it was stored and is fetched again", path)
            discard(stored)
            return None
        # One that is whole and may not be taken now stays until another replaces it: the mirror may come back.
        if not self._may_be_taken(file, stored, mirror):
            return None
        log.info("%s: taken from %s, verified again%s", file.name, self.store, stored.note and f"; {stored.note}")
        return stored

    def _may_be_taken(self, file: RemoteFile, stored: Fetched, mirror: str | None) -> bool:
        if stored.official:
            return stored.sha256.startswith(file.sha256.lower()) if file.sha256 else stored.url in file.urls
        if not mirror or stored.url != _join(mirror, file.name):
            return False
        return self._mirror_checksums(mirror).get(file.name) == stored.sha256

    def _keep(self, fetched: Fetched) -> Fetched:
        """Move what has arrived, and is verified, to its place in the store."""
        path = self.store / fetched.name
        about = {key: getattr(fetched, key) for key in ("url", "sha256", "official", "note")}
        # Killed after the first step, the next run finds a description of a file that is not there, and the file itself
        # whole among what is under way.
        write_text(_sidecar(path), json.dumps(about, indent=2) + "\n")
        with storage_errors(path):
            fetched.path.replace(path)
            _forget(fetched.path)
        return replace(fetched, path=path)

    def _from_official(self, file: RemoteFile, url: str, notes: list[str]) -> Fetched:
        part = self._part(url, file.name)
        # A continued file may have changed on the server meanwhile: after a wrong sum it is fetched once anew.
        for last in (not part.exists(), True):
            self._download(url, part, file.name)
            digest = _digest(part)
            if file.sha256 is None:
                if _is_web_page(part):
                    _forget(part)
                    raise _Unavailable("gave a web page and no file (is a login required?)")
                notes = [*notes, self._note_first_seen(file.name, url, digest)]
            if file.sha256 is None or digest.startswith(file.sha256.lower()):
                return Fetched(file.name, part, url, digest, _size(part), official=True, note="; ".join(notes))
            _forget(part)
            if last:
                break
        raise _Wrong(f"gave a file whose sha256 is {digest}, not the published {file.sha256} (it is deleted)")

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
        folder = _mirror_folder(mirror)
        if not (folder / name).exists():
            raise _Unavailable("is not there")
        with storage_errors(part):
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

    def _note_first_seen(self, name: str, url: str, digest: str) -> str:
        """Remember the first bytes that an address without a published checksum gave, and say when they change."""
        seen = self.store / "first-seen.sha256"
        known = dict(line.split("  ", 1)[::-1] for line in seen.read_text().splitlines()) if seen.exists() else {}
        first = known.setdefault(url, digest)
        write_text(seen, "".join(f"{digest}  {url}\n" for url, digest in known.items()))
        note = f"NOT VERIFIED: no checksum is published for {name}; the first one seen, {first}, is recorded"
        if first != digest:
            note = (
                f"NOT VERIFIED, AND CHANGED: no checksum is published for {name}, and {url} gave sha256 {digest} where "
                f"it first gave {first}: results before and after are not of the same data"
            )
        log.warning(note)
        return note

    def _part(self, url: str, name: str) -> Path:
        # Bytes of one address are never continued with those of another.
        return self.store / f"{sha256(url.encode()).hexdigest()[:12]}-{name}"

    def _download(self, url: str, part: Path, name: str) -> None:
        """Complete `part` from an address, continuing what is there, however often the connection breaks."""
        failures, most = 0, _size(part)
        while True:
            try:
                with storage_errors(part):
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
                raise _given_up(part, f"cannot be followed ({error})") from None
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                reason = _reason(error, self.timeout)
            # Only tries without a new byte count, so that a large file arrives over a bad connection.
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
                raise requests.ConnectionError("sent a different range than requested")
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


def _sidecar(stored: Path) -> Path:
    return stored.with_name(f"{stored.name}.json")


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


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
        return f"does not answer within {timeout:g} s"
    if "refused" in text:
        return "refuses the connection"
    if "resolve" in text or "resolution" in text:
        return "has a host name that cannot be resolved (is there a network?)"
    if isinstance(error, requests.exceptions.SSLError):
        return f"has no valid certificate ({text})"
    return "closes the connection early"


def _join(mirror: str, name: str) -> str:
    return f"{mirror.rstrip('/')}/{name}"


def _is_address(mirror: str) -> bool:
    return mirror.startswith(("http://", "https://"))


def _mirror_folder(mirror: str) -> Path:
    folder = Path(mirror).expanduser()
    if not folder.is_dir():
        raise BakeoffError(f"download.mirror: there is no folder {mirror}: mount it or set download.mirror to null.")
    return folder


def _is_web_page(part: Path) -> bool:
    with part.open("rb") as opened:
        return opened.read(256).lstrip()[:1] == b"<"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _digest(path: Path) -> str:
    return str(pooch.file_hash(str(path), alg="sha256"))


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
