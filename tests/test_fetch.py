"""Fetching: whole and verified, or one sentence and nothing in place. Every server, disk and kill here is real."""

import json
import logging
import os
import pty
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import bakeoff.datasets.sources as sources
import pytest
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.acquisition import fetch as fetching
from bakeoff.datasets.acquisition.download import download
from bakeoff.datasets.acquisition.fetch import Fetched, Fetcher, discard, exclusive_fetcher, generated_file, place
from bakeoff.datasets.archives.remote import RemoteFile
from bakeoff.datasets.sources import lungs
from servers import Misbehaving, misbehaving_server, refused_address

CONTENT = bytes(range(256)) * 4096  # 1 MiB
DIGEST = sha256(CONTENT).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Misbehaving]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with misbehaving_server(CONTENT) as site:
        yield site


def get(
    url: str | tuple[str, ...],
    tmp_path: Path,
    *,
    sha: str | None = DIGEST,
    mirror: str | None = None,
    attempts: int = 3,
    backoff: float = 0.01,
) -> Fetched:
    file = RemoteFile("file.zip", (url,) if isinstance(url, str) else url, sha)
    fetcher = Fetcher(tmp_path / "store", attempts, timeout=0.3, backoff=backoff)
    return place(fetcher.obtain(file, mirror), tmp_path / "raw")


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


STORED = ["file.zip", "file.zip.json"]


def one_sentence(error: pytest.ExceptionInfo[BakeoffError]) -> str:
    sentence = str(error.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


@pytest.mark.parametrize(
    ("behaviour", "ranges"),
    [
        ("ok", [None]),
        ("redirect", [None] * 3),
        ("compressed", [None]),
        ("unending", [None]),
        ("busy-twice", [None] * 3),
        ("cut-once", [None, "bytes=655360-"]),
        ("cut-then-no-ranges", [None, "bytes=524288-"]),
        ("cut-then-changed", [None, "bytes=524288-"]),
        ("cut-then-wrong-range", [None, "bytes=524288-", None]),
        ("no-validator", [None, None]),
        ("stalls", [None, "bytes=524288-"]),
        ("shrunk", [None, "bytes=1114112-", None]),
    ],
)
def test_gets_the_whole_file_however_the_server_behaves(
    server: Misbehaving, tmp_path: Path, behaviour: str, ranges: list[str | None]
) -> None:
    got = get(server.url(behaviour), tmp_path)
    assert got == Fetched("file.zip", tmp_path / "raw" / "file.zip", server.url(behaviour), DIGEST, 1 << 20, True, "")
    assert got.path.read_bytes() == CONTENT
    assert files_in(tmp_path / "raw") == ["file.zip"]
    assert files_in(tmp_path / "store") == STORED
    assert server.ranges() == ranges


def test_a_line_that_breaks_more_often_than_attempts_arrives_while_each_try_brings_something(
    server: Misbehaving, tmp_path: Path
) -> None:
    assert get(server.url("cut-always"), tmp_path, attempts=2).path.read_bytes() == CONTENT
    assert len(server.requests) > 3


@pytest.mark.parametrize(
    ("behaviour", "words", "tries"),
    [
        ("missing", "is not there (404)", 1),
        ("forbidden", "answers 403", 1),
        ("busy", "answers 503", 3),
        ("silent", "does not answer within 0.3 s", 3),
        ("cut-no-ranges", "closes the connection early", 3),
        ("redirect-for-ever", "cannot be followed", 31),
        ("wrong", f"not the published {DIGEST}", 1),
    ],
)
def test_says_in_one_sentence_why_not_and_leaves_nothing_in_place(
    server: Misbehaving, tmp_path: Path, behaviour: str, words: str, tries: int
) -> None:
    with pytest.raises(BakeoffError) as error:
        get(server.url(behaviour), tmp_path)
    sentence = one_sentence(error)
    assert words in sentence
    assert server.url(behaviour) in sentence
    assert "download.mirror" in sentence
    assert files_in(tmp_path / "raw") == []
    assert len(server.requests) == tries


def test_a_refused_connection_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BakeoffError, match="refuses the connection") as error:
        get(refused_address() + "/file.zip", tmp_path)
    one_sentence(error)
    assert files_in(tmp_path / "raw") == []


@pytest.mark.parametrize("url", ["file.zip", "gopher://somewhere/file.zip", "http:///file.zip"])
def test_what_is_no_address_is_one_sentence_at_once(tmp_path: Path, url: str) -> None:
    with pytest.raises(BakeoffError, match="cannot be followed") as error:
        get(url, tmp_path, backoff=1000.0)
    one_sentence(error)


def test_waits_longer_before_each_try(server: Misbehaving, tmp_path: Path) -> None:
    began = time.monotonic()
    get(server.url("busy-twice"), tmp_path, backoff=0.2)
    assert 0.6 <= time.monotonic() - began < 3


def test_wrong_bytes_are_deleted(server: Misbehaving, tmp_path: Path) -> None:
    with pytest.raises(BakeoffError, match="deleted"):
        get(server.url("wrong"), tmp_path)
    assert files_in(tmp_path / "store") == []


def test_goes_on_to_the_next_official_address(server: Misbehaving, tmp_path: Path) -> None:
    got = get((server.url("wrong"), server.url("missing"), server.url("ok")), tmp_path)
    assert got.url == server.url("ok")
    assert got.path.read_bytes() == CONTENT


@pytest.mark.parametrize("sha", [DIGEST[:8], DIGEST.upper()])
def test_takes_the_first_digits_of_a_checksum_and_capitals(server: Misbehaving, tmp_path: Path, sha: str) -> None:
    assert get(server.url("ok"), tmp_path, sha=sha).sha256 == DIGEST


def test_wrong_first_digits_are_a_wrong_checksum(server: Misbehaving, tmp_path: Path) -> None:
    with pytest.raises(BakeoffError, match="not the published 00000000"):
        get(server.url("ok"), tmp_path, sha="00000000")


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno == logging.WARNING]


def test_without_a_published_checksum_it_says_so_loudly(
    server: Misbehaving, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = get(server.url("ok"), tmp_path, sha=None)
    assert first.official
    assert (
        first.note == f"NOT VERIFIED: no checksum is published for file.zip; the first one seen, {DIGEST}, is recorded"
    )
    assert warnings_in(caplog) == [first.note]
    assert files_in(tmp_path / "store") == [*STORED, "first-seen.sha256"]


def test_other_bytes_than_the_first_ones_are_taken_and_said_loudly_ever_after(
    server: Misbehaving, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "store").mkdir()
    discard(Fetcher(tmp_path / "store", 1, 1).obtain(RemoteFile("file.zip", (server.url("ok"),), None), mirror=None))
    caplog.clear()
    server.content, server.etag = b"something else", '"two"'
    for _ in range(2):
        later = get(server.url("ok"), tmp_path, sha=None)
        assert later.path.read_bytes() == b"something else"
        assert later.note.startswith("NOT VERIFIED, AND CHANGED: ")
        assert f"it first gave {DIGEST}" in later.note
        assert later.sha256 in later.note
        assert warnings_in(caplog) == [later.note]
        discard(Fetched(later.name, tmp_path / "store" / later.name, later.url, later.sha256, later.bytes, True, ""))
        caplog.clear()


def test_a_web_page_is_not_taken_for_a_file_without_a_checksum(server: Misbehaving, tmp_path: Path) -> None:
    with pytest.raises(BakeoffError, match="gave a web page and no file") as error:
        get(server.url("wrong"), tmp_path, sha=None)
    one_sentence(error)
    assert files_in(tmp_path / "store") == files_in(tmp_path / "raw") == []


def test_a_damaged_partial_file_costs_one_try_from_the_start(server: Misbehaving, tmp_path: Path) -> None:
    with pytest.raises(BakeoffError, match="closes the connection early"):
        get(server.url("cut-once"), tmp_path, attempts=1)
    (part,) = (tmp_path / "store").glob("*-file.zip")
    part.write_bytes(b"\0" * part.stat().st_size)
    assert get(server.url("cut-once"), tmp_path).path.read_bytes() == CONTENT
    assert server.ranges() == [None, "bytes=655360-", None]


def test_what_arrived_whole_before_a_kill_is_not_fetched_again(server: Misbehaving, tmp_path: Path) -> None:
    fetcher = Fetcher(tmp_path / "store", attempts=1, timeout=1)
    fetcher._download(server.url("ok"), fetcher._part(server.url("ok"), "file.zip"), "file.zip")
    assert get(server.url("ok"), tmp_path).path.read_bytes() == CONTENT
    assert server.ranges() == [None, f"bytes={len(CONTENT)}-"]


# The store


def forget_output(tmp_path: Path) -> None:
    """Delete what both engines delete before a rerun."""
    (tmp_path / "raw" / "file.zip").unlink()


def sidecar(tmp_path: Path) -> dict:
    return json.loads((tmp_path / "store" / "file.zip.json").read_text())


@pytest.mark.parametrize("sha", [DIGEST, None])
def test_a_deleted_output_is_there_again_without_a_request(
    server: Misbehaving, tmp_path: Path, sha: str | None
) -> None:
    first = get(server.url("ok"), tmp_path, sha=sha)
    assert sidecar(tmp_path) == {"url": first.url, "sha256": DIGEST, "official": True, "note": first.note}
    forget_output(tmp_path)
    assert get(server.url("ok"), tmp_path, sha=sha) == first
    assert first.path.read_bytes() == CONTENT
    assert server.ranges() == [None]


def test_a_stored_file_takes_no_second_place_on_the_disk(server: Misbehaving, tmp_path: Path) -> None:
    got = get(server.url("ok"), tmp_path)
    assert got.path.samefile(tmp_path / "store" / "file.zip")
    get(server.url("ok"), tmp_path)  # over itself
    assert files_in(tmp_path / "raw") == ["file.zip"]


def test_a_stored_file_that_was_changed_through_the_output_is_deleted_and_fetched_again(
    server: Misbehaving, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = get(server.url("ok"), tmp_path).path
    with path.open("r+b") as opened:
        opened.write(b"changed")
    assert get(server.url("ok"), tmp_path).path.read_bytes() == CONTENT
    assert server.ranges() == [None, None]
    assert any("has changed since it was stored" in message for message in warnings_in(caplog))


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"url": "x"}', '{"sha256": 1}'])
def test_a_stored_file_without_its_description_is_fetched_again(
    server: Misbehaving, tmp_path: Path, text: str | None
) -> None:
    get(server.url("ok"), tmp_path)
    description = tmp_path / "store" / "file.zip.json"
    description.unlink() if text is None else description.write_text(text)
    assert get(server.url("ok"), tmp_path).path.read_bytes() == CONTENT
    assert sidecar(tmp_path)["sha256"] == DIGEST
    assert len(server.requests) == 2


def test_official_bytes_are_taken_only_while_they_are_the_published_ones(server: Misbehaving, tmp_path: Path) -> None:
    get(server.url("ok"), tmp_path)
    server.content, server.etag = b"second edition", '"two"'
    digest = sha256(b"second edition").hexdigest()
    assert get(server.url("ok"), tmp_path, sha=digest).path.read_bytes() == b"second edition"
    # Without a published checksum, only from the address that is named now.
    assert get(server.url("redirect"), tmp_path, sha=None).url == server.url("redirect")
    assert server.counts["/ok/file.zip"] == 3


def test_official_bytes_in_the_store_go_before_a_mirror(server: Misbehaving, tmp_path: Path) -> None:
    first = get(server.url("ok"), tmp_path)
    assert get(server.url("ok"), tmp_path, mirror=f"{server.address}/mirror") == first
    assert len(server.requests) == 1


def test_a_file_system_without_links_gets_a_copy(server: Misbehaving, tmp_path: Path) -> None:
    shared_memory = Path("/dev/shm")
    if not shared_memory.is_dir() or shared_memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("NOT TESTED BETWEEN FILE SYSTEMS: there is only one here")
    store = shared_memory / f"bakeoff-{os.getpid()}"
    try:
        with exclusive_fetcher(store, attempts=1, timeout=1) as fetcher:
            stored = fetcher.obtain(RemoteFile("file.zip", (server.url("ok"),), DIGEST), mirror=None)
        got = place(stored, tmp_path / "raw")
        assert got.path.read_bytes() == CONTENT
        assert not got.path.samefile(stored.path)
        assert files_in(tmp_path / "raw") == ["file.zip"]
    finally:
        shutil.rmtree(store)


# Mirrors


@pytest.fixture(params=["folder", "address"])
def copies(request: pytest.FixtureRequest, server: Misbehaving, tmp_path: Path) -> "Mirror":
    return Mirror(request.param, server, tmp_path / "mirror")


class Mirror:
    """A mirror with the same files, as a folder or as an address."""

    def __init__(self, kind: str, server: Misbehaving, folder: Path) -> None:
        self._folder, self._server = folder, server
        folder.mkdir()
        self.where = str(folder) if kind == "folder" else f"{server.address}/mirror"

    def put(self, name: str, content: bytes) -> None:
        (self._folder / name).write_bytes(content)
        self._server.files[name] = content


def test_a_mirror_with_the_official_bytes_needs_no_list(copies: Mirror, server: Misbehaving, tmp_path: Path) -> None:
    copies.put("file.zip", CONTENT)
    got = get(server.url("ok"), tmp_path, mirror=copies.where)
    assert got.official
    assert got.url == f"{copies.where}/file.zip"
    assert "mirror" in got.note
    assert server.counts["/ok/file.zip"] == 0


@pytest.mark.parametrize("sha", [DIGEST, None])
@pytest.mark.parametrize("line", ["{}  file.zip", "{} *file.zip", "{}  ./file.zip\r"])
def test_a_mirrors_own_bytes_count_against_its_own_list_and_are_not_official(
    copies: Mirror, server: Misbehaving, tmp_path: Path, sha: str | None, line: str
) -> None:
    copies.put("file.zip", b"smaller pictures")
    digest = sha256(b"smaller pictures").hexdigest()
    copies.put("SHA256SUMS", ("0" * 64 + "  other.zip\n" + line.format(digest) + "\n").encode())
    got = get(server.url("ok"), tmp_path, sha=sha, mirror=copies.where)
    assert not got.official
    assert "not the official bytes" in got.note
    assert got.sha256 == digest
    assert got.path.read_bytes() == b"smaller pictures"
    assert server.counts["/ok/file.zip"] == 0
    assert files_in(tmp_path / "store") == STORED


@pytest.mark.parametrize(
    ("sums", "words"),
    [
        (None, "does not list it"),
        (b"0" * 64 + b"  other.zip\n", "does not list it"),
        (b"0" * 64 + b"  file.zip\n", "says 0000"),
    ],
)
@pytest.mark.parametrize("sha", [DIGEST, None])
def test_a_mirrors_file_with_neither_checksum_is_an_error(
    copies: Mirror, server: Misbehaving, tmp_path: Path, sums: bytes | None, words: str, sha: str | None
) -> None:
    copies.put("file.zip", CONTENT[:-1])
    if sums is not None:
        copies.put("SHA256SUMS", sums)
    with pytest.raises(BakeoffError, match=words) as error:
        get(server.url("ok"), tmp_path, sha=sha, mirror=copies.where)
    assert f"{copies.where}/file.zip" in one_sentence(error)
    assert files_in(tmp_path / "raw") == files_in(tmp_path / "store") == []
    assert server.counts["/ok/file.zip"] == 0


def test_what_a_mirror_lacks_comes_from_the_official_address_and_says_so(
    copies: Mirror, server: Misbehaving, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    got = get(server.url("ok"), tmp_path, mirror=copies.where)
    assert got.official
    assert got.url == server.url("ok")
    assert f"{copies.where}/file.zip is not there" in got.note
    assert "trying the official address" in caplog.text


def test_a_mirror_that_is_down_is_passed_and_named_when_nothing_else_has_the_file(
    server: Misbehaving, tmp_path: Path
) -> None:
    down = refused_address()
    assert get(server.url("ok"), tmp_path, mirror=down).official
    with pytest.raises(BakeoffError) as error:
        get(server.url("missing"), tmp_path / "nothing-stored", mirror=down)
    assert f"the mirror's {down}/file.zip refuses the connection" in one_sentence(error)
    assert "is not there (404)" in str(error.value)


def test_a_mirror_folder_that_does_not_exist_is_an_error(server: Misbehaving, tmp_path: Path) -> None:
    with pytest.raises(BakeoffError, match=r"download\.mirror: there is no folder") as error:
        get(server.url("ok"), tmp_path, mirror=str(tmp_path / "unmounted"))
    one_sentence(error)


def test_a_mirror_is_copied_and_never_moved_or_linked(copies: Mirror, server: Misbehaving, tmp_path: Path) -> None:
    copies.put("file.zip", CONTENT)
    got = get(server.url("ok"), tmp_path, mirror=copies.where)
    assert (tmp_path / "mirror" / "file.zip").read_bytes() == CONTENT
    assert not got.path.samefile(tmp_path / "mirror" / "file.zip")


def own_bytes(copies: Mirror, content: bytes) -> None:
    copies.put("file.zip", content)
    copies.put("SHA256SUMS", f"{sha256(content).hexdigest()}  file.zip\n".encode())


def test_a_mirrors_own_bytes_are_stored_for_as_long_as_it_lists_them(
    copies: Mirror, server: Misbehaving, tmp_path: Path
) -> None:
    own_bytes(copies, b"first pictures")
    first = get(server.url("ok"), tmp_path, mirror=copies.where)
    assert sidecar(tmp_path)["official"] is False
    forget_output(tmp_path)
    before = server.counts["/mirror/file.zip"]
    assert get(server.url("ok"), tmp_path, mirror=copies.where) == first
    assert server.counts["/mirror/file.zip"] == before  # the list is asked for, the file is not

    own_bytes(copies, b"second pictures")
    assert get(server.url("ok"), tmp_path, mirror=copies.where).path.read_bytes() == b"second pictures"
    assert files_in(tmp_path / "store") == STORED


def test_a_mirrors_own_bytes_are_not_taken_without_that_mirror(
    copies: Mirror, server: Misbehaving, tmp_path: Path
) -> None:
    own_bytes(copies, b"smaller pictures")
    get(server.url("ok"), tmp_path, mirror=copies.where)
    assert get(server.url("ok"), tmp_path, mirror=None).path.read_bytes() == CONTENT
    assert sidecar(tmp_path)["official"] is True


def test_another_mirror_is_asked_even_for_the_same_bytes(copies: Mirror, server: Misbehaving, tmp_path: Path) -> None:
    own_bytes(copies, b"smaller pictures")
    get(server.url("ok"), tmp_path, mirror=copies.where)
    other = shutil.copytree(tmp_path / "mirror", tmp_path / "other")
    assert get(server.url("ok"), tmp_path, mirror=str(other)).url == f"{other}/file.zip"


def test_a_stored_file_that_may_not_be_taken_now_stays_until_another_replaces_it(
    copies: Mirror, server: Misbehaving, tmp_path: Path
) -> None:
    own_bytes(copies, b"smaller pictures")
    first = get(server.url("missing"), tmp_path, mirror=copies.where)
    with pytest.raises(BakeoffError, match="could not be fetched"):
        get(server.url("missing"), tmp_path, mirror=None)
    assert get(server.url("missing"), tmp_path, mirror=copies.where) == first


# Kills and full disks, in processes of their own

FETCH = """
import logging, sys, resource
from pathlib import Path
from bakeoff.datasets.acquisition.fetch import Fetcher, RemoteFile, place
from bakeoff.artefacts.errors import BakeoffError
url, sha, folder, limit = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
logging.basicConfig(level=logging.INFO, format="%(message)s")
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
try:
    file = RemoteFile("file.zip", (url,), sha)
    place(Fetcher(folder / "store", attempts=3, timeout=5).obtain(file, mirror=None), folder / "raw")
except BakeoffError as error:
    sys.exit(f"bakeoff: {error}")
"""


def command(url: str, tmp_path: Path, limit: int = 0) -> list[str]:
    return [sys.executable, "-c", FETCH, url, DIGEST, str(tmp_path), str(limit)]


def test_a_killed_fetch_goes_on_where_it_stopped(server: Misbehaving, tmp_path: Path) -> None:
    fetching_process = subprocess.Popen(command(server.url("slow"), tmp_path))
    deadline = time.monotonic() + 30
    while not any(part.stat().st_size > 200_000 for part in (tmp_path / "store").glob("*-file.zip")):
        assert fetching_process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    fetching_process.send_signal(signal.SIGKILL)
    fetching_process.wait()
    (part,) = (tmp_path / "store").glob("*-file.zip")
    arrived = part.stat().st_size
    assert 200_000 < arrived < len(CONTENT)
    assert files_in(tmp_path / "raw") == []

    assert get(server.url("slow"), tmp_path).path.read_bytes() == CONTENT
    assert server.ranges() == [None, f"bytes={arrived}-"]


def test_a_full_disk_is_one_sentence_and_the_next_run_goes_on(server: Misbehaving, tmp_path: Path) -> None:
    done = subprocess.run(command(server.url("ok"), tmp_path, limit=300_000), capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("bakeoff: ")
    assert done.stderr.count("\n") == 1
    assert "the disk is full" in done.stderr
    assert files_in(tmp_path / "raw") == []
    assert get(server.url("ok"), tmp_path).path.read_bytes() == CONTENT
    assert server.ranges() == [None, "bytes=300000-"]


def test_a_full_file_system_is_one_sentence(server: Misbehaving, tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    mount = f"mount -t tmpfs -o size=256k tmpfs {store}"
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("NOT TESTED ON A FULL FILE SYSTEM: none can be mounted here")
    script = f'{mount} && exec "$@"'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", *command(server.url("unending"), tmp_path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"bakeoff: {store}")
    assert done.stderr.count("\n") == 1
    assert "the disk is full (No space left on device)" in done.stderr
    assert files_in(tmp_path / "raw") == []


def test_a_full_disk_is_one_sentence_when_copying_from_a_mirror(tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "file.zip").write_bytes(CONTENT)
    (tmp_path / "store").mkdir()
    Fetcher(tmp_path / "store", 1, 1)._part(f"{tmp_path}/mirror/file.zip", "file.zip").symlink_to("/dev/full")
    with pytest.raises(BakeoffError, match=r"the disk is full \(No space left on device\)") as error:
        get("http://127.0.0.1:1/", tmp_path, mirror=str(tmp_path / "mirror"))
    one_sentence(error)
    assert files_in(tmp_path / "raw") == []


def test_a_folder_that_cannot_be_made_is_one_sentence(server: Misbehaving, tmp_path: Path) -> None:
    (tmp_path / "raw").write_text("a file where the folder should be")
    with pytest.raises(BakeoffError, match="raw cannot be used") as error:
        get(server.url("ok"), tmp_path)
    one_sentence(error)


def test_progress_is_a_bar_on_a_terminal(server: Misbehaving, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    done = subprocess.run(command(server.url("cut-once"), tmp_path), stderr=theirs, stdout=theirs)
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert done.returncode == 0
    assert "file.zip:  6" in shown  # 62 % when the connection breaks
    assert "100%" in shown
    assert "closes the connection early; next try in 1 s" in shown


def test_progress_is_plain_lines_in_a_log(
    server: Misbehaving, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "SECONDS_BETWEEN_LINES", 0.1)
    caplog.set_level(logging.INFO)
    get(server.url("slow"), tmp_path)
    lines = [record.message for record in caplog.records]
    assert 1 <= len(lines) <= 10
    assert all(line.startswith("file.zip: 0.") or line.startswith("file.zip: 1 ") or "MB/s" in line for line in lines)
    assert "of 1 MB" in lines[0]


# The stage


def run_download(tmp_path: Path, mirror: str | None, settings: dict | None = None) -> dict:
    folder = tmp_path / "data" / "raw" / "lungs"
    download(
        "lungs", "lungs", settings or {}, folder, mirror=mirror, attempts=1, timeout=1, partial=tmp_path / "downloads"
    )
    assert sorted(path.name for path in folder.parent.iterdir()) == ["lungs"]
    return json.loads((folder / "source.json").read_text())


def test_download_writes_the_archives_and_where_they_came_from(server: Misbehaving, tmp_path: Path) -> None:
    archive = lungs.FILES[0].name
    server.files |= {archive: CONTENT, "SHA256SUMS": f"{DIGEST}  {archive}\n".encode()}
    written = run_download(tmp_path, f"{server.address}/mirror")
    (file,) = written["files"]
    assert written["synthetic"] is False
    assert set(file) == {"name", "url", "sha256", "bytes", "official", "note"}
    assert file["name"] == archive
    assert file["official"] is False
    assert (tmp_path / "data/raw/lungs" / archive).read_bytes() == CONTENT


def test_download_keeps_what_has_arrived_when_another_file_fails(
    server: Misbehaving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = RemoteFile("first.zip", (server.url("ok", "first.zip"),), DIGEST)
    second = RemoteFile("second.zip", (server.url("missing", "second.zip"),), DIGEST)
    monkeypatch.setattr(lungs, "FILES", (first, second))
    with pytest.raises(BakeoffError, match=r"second\.zip"):
        run_download(tmp_path, None)
    assert not (tmp_path / "data/raw/lungs").exists()

    monkeypatch.setattr(lungs, "FILES", (first, RemoteFile("second.zip", (server.url("ok", "second.zip"),), DIGEST)))
    written = run_download(tmp_path, None)
    assert [file["name"] for file in written["files"]] == ["first.zip", "second.zip"]
    assert [path for path, _ in server.requests] == ["/ok/first.zip", "/missing/second.zip", "/ok/second.zip"]


def test_download_needs_no_network_when_the_same_is_asked_for_again(server: Misbehaving, tmp_path: Path) -> None:
    archive = lungs.FILES[0].name
    server.files |= {archive: CONTENT, "SHA256SUMS": f"{DIGEST}  {archive}\n".encode()}
    first = run_download(tmp_path, f"{server.address}/mirror")
    shutil.rmtree(tmp_path / "data")
    assert run_download(tmp_path, f"{server.address}/mirror") == first
    assert server.counts[f"/mirror/{archive}"] == 1


def test_download_says_what_draws_no_synthetic_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "undrawn").mkdir()
    (tmp_path / "undrawn" / "__init__.py").write_text("FILES = ()\n")
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(tmp_path)])
    with pytest.raises(
        BakeoffError, match=r"datasets\.mine asks for a synthetic archive, and no module draws one"
    ) as error:
        download("mine", "undrawn", {"synthetic": {}}, tmp_path / "raw", mirror=None, attempts=1, timeout=1)
    one_sentence(error)
    assert not (tmp_path / "raw").exists()


def test_what_was_made_here_is_described_as_not_official(tmp_path: Path) -> None:
    (tmp_path / "drawn.zip").write_bytes(CONTENT)
    described = generated_file(tmp_path / "drawn.zip", "drawn", "no real images")
    assert described == Fetched("drawn.zip", tmp_path / "drawn.zip", "drawn", DIGEST, 1 << 20, False, "no real images")


def test_download_draws_synthetic_archives_where_the_book_says_so(tmp_path: Path) -> None:
    settings = {"synthetic": {"images": 20, "size": 64, "seed": 7}}
    written = run_download(tmp_path, "http://127.0.0.1:1/never/asked", settings)
    assert written["synthetic"] is True
    (file,) = written["files"]
    path = tmp_path / "data/raw/lungs" / lungs.FILES[0].name
    assert file["name"] == path.name
    assert file["sha256"] == sha256(path.read_bytes()).hexdigest()
    assert file["bytes"] == path.stat().st_size
    assert file["official"] is False
    assert "no real images" in file["note"]
    assert run_download(tmp_path, None, settings) == written  # deterministic


@pytest.mark.real
def test_download_takes_the_real_xrays_from_the_mirror(mirror: Path, tmp_path: Path) -> None:
    written = run_download(tmp_path, str(mirror))
    (file,) = written["files"]
    assert file["official"] is False
    assert f"{file['sha256']}  {file['name']}" in (mirror / "SHA256SUMS").read_text()
