"""Archives are read as they are; whatever could harm who trusts them is refused in one sentence."""

import gzip
import io
import random
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.archives import archive
from bakeoff.datasets.archives.archive import open_archive

FILES = {"data/a.png": b"first" * 100, "data/sub/b.png": b"", "data/c.png": random.Random(0).randbytes(2000)}


def write_zip(path: Path, files: dict[str, bytes] | list[tuple[str, bytes]] = FILES) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.mkdir("data")
        for name, content in files.items() if isinstance(files, dict) else files:
            opened.writestr(name, content)
    return path


def write_tar(path: Path, files: dict[str, bytes] | list[tuple[str, bytes]] = FILES) -> Path:
    with tarfile.open(path, "w:gz") as opened:
        folder = tarfile.TarInfo("data")
        folder.type = tarfile.DIRTYPE
        opened.addfile(folder)
        for name, content in files.items() if isinstance(files, dict) else files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            opened.addfile(info, io.BytesIO(content))
    return path


WRITERS = {"a.zip": write_zip, "a.tar.gz": write_tar}
both = pytest.mark.parametrize("name", WRITERS)


def read_all(path: Path) -> dict[str, bytes]:
    with open_archive(path) as opened:
        return dict(opened.stream())


def refusal(path: Path) -> str:
    with pytest.raises(BakeoffError) as error:
        read_all(path)
    sentence = str(error.value)
    assert "\n" not in sentence
    assert str(path) in sentence
    return sentence


@both
def test_streams_every_file_in_order(tmp_path: Path, name: str) -> None:
    path = WRITERS[name](tmp_path / name)
    with open_archive(path) as opened:
        assert opened.members() == list(FILES)
        assert list(opened.stream()) == list(FILES.items())
        assert dict(opened.stream()) == FILES  # and again
    assert [each.name for each in tmp_path.iterdir()] == [name]  # nothing is unpacked


def test_reads_one_file_of_a_zip(tmp_path: Path) -> None:
    with open_archive(write_zip(tmp_path / "a.zip")) as opened:
        assert opened.read("data/a.png") == FILES["data/a.png"]
        with pytest.raises(BakeoffError, match=r"a\.zip has no member 'data/z\.png'"):
            opened.read("data/z.png")


def test_names_lose_a_leading_dot(tmp_path: Path) -> None:
    assert list(read_all(write_tar(tmp_path / "a.tar.gz", {"./data/a.png": b"1"}))) == ["data/a.png"]


@both
@pytest.mark.parametrize(
    "member", ["../evil.png", "data/../../evil.png", "/etc/evil.png", "..\\evil.png", "C:\\evil.png", "C:/evil.png"]
)
def test_refuses_paths_that_leave_the_archive(tmp_path: Path, name: str, member: str) -> None:
    sentence = refusal(WRITERS[name](tmp_path / name, {"data/a.png": b"1", member: b"2"}))
    assert f"member '{member}' points outside the archive" in sentence


@both
def test_refuses_two_files_of_one_name(tmp_path: Path, name: str) -> None:
    with pytest.warns(UserWarning, match="Duplicate") if name == "a.zip" else pytest.MonkeyPatch.context():
        path = WRITERS[name](tmp_path / name, [("data/a.png", b"1"), ("data/a.png", b"2")])
    assert "member 'data/a.png' occurs twice" in refusal(path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
@pytest.mark.parametrize("target", ["/etc/passwd", "../../x", "data/a.png"])
def test_refuses_links_and_devices_in_a_tar(tmp_path: Path, kind: bytes, target: str) -> None:
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as opened:
        info = tarfile.TarInfo("data/link.png")
        info.type, info.linkname = kind, target
        opened.addfile(info)
    assert "member 'data/link.png' is a link or a device" in refusal(path)


def test_refuses_links_in_a_zip(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as opened:
        info = zipfile.ZipInfo("data/link.png")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        opened.writestr(info, "/etc/passwd")
    assert "member 'data/link.png' is a link or a device" in refusal(path)


def test_refuses_encrypted_files(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a.png": b"1"})
    raw = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = raw.rindex(signature)
        raw[at + flags] |= 1
    path.write_bytes(raw)
    assert "member 'a.png' is encrypted" in refusal(path)


@both
def test_refuses_bombs_before_unpacking_them(tmp_path: Path, name: str) -> None:
    path = WRITERS[name](tmp_path / name, {"bomb.png": bytes(64 << 20)})
    assert path.stat().st_size < 100_000
    assert "member 'bomb.png' unpacks to more than 200 times its size" in refusal(path)


@both
def test_refuses_files_above_the_limit(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBER_BYTES", 1999)
    assert "member 'data/c.png' would unpack to 2,000 bytes, above the 1,999 allowed" in refusal(
        WRITERS[name](tmp_path / name)
    )


def test_believes_no_size_that_a_zip_states(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a.png": bytes(1 << 20)})
    raw = bytearray(path.read_bytes())
    struct.pack_into("<I", raw, raw.rindex(b"PK\x01\x02") + 24, 10)  # says 10 bytes, holds 1 MiB
    path.write_bytes(raw)
    assert "is damaged at member 'a.png'" in refusal(path)


@both
def test_every_archive_that_is_cut_short_is_noticed(tmp_path: Path, name: str) -> None:
    whole = WRITERS[name](tmp_path / name).read_bytes()
    for size in range(0, len(whole), 11):
        (tmp_path / name).write_bytes(whole[:size])
        refusal(tmp_path / name)


@both
def test_a_flipped_byte_is_noticed_or_changes_nothing_that_is_read(tmp_path: Path, name: str) -> None:
    whole = WRITERS[name](tmp_path / name).read_bytes()
    noticed = 0
    for at in range(2, len(whole), 7):
        damaged = bytearray(whole)
        damaged[at] ^= 0x55
        (tmp_path / name).write_bytes(damaged)
        try:
            # A zip has no checksum over its index: there a byte may rename or hide a file, never change what it holds.
            assert set(read_all(tmp_path / name).values()) <= set(FILES.values())
        except BakeoffError as error:
            assert name in str(error)  # noqa: PT017 - either outcome is right
            noticed += 1
    assert noticed > len(whole) / 7 * 0.8


def test_a_damaged_header_inside_a_tar_is_not_taken_for_its_end(tmp_path: Path) -> None:
    plain = bytearray(gzip.decompress(write_tar(tmp_path / "a.tar.gz").read_bytes()))
    at = plain.index(b"data/c.png")
    plain[at : at + 512] = b"\x07" * 512
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(bytes(plain)))
    assert "is damaged at member 'data/sub/b.png' (bad header)" in refusal(tmp_path / "a.tar.gz")


@pytest.mark.parametrize("content", [b"", b"<html>Please log in</html>", zlib.compress(b"x")])
def test_what_is_no_archive_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    assert "is neither a zip nor a tar.gz" in refusal(path)


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir])
def test_what_is_no_file_is_one_sentence(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "a.zip")
    assert "cannot be opened" in refusal(tmp_path / "a.zip")


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "count", "first"),
    [
        ("chest-xray-masks-and-labels.zip", 1504, "data/Lung Segmentation/CXR_png/CHNCXR_0001_0.png"),
        ("Dataset_BUSI.zip", None, None),
        ("annotations.tar.gz", None, None),
        ("images.tar.gz", 600, None),
    ],
)
def test_reads_the_real_archives(mirror: Path, name: str, count: int | None, first: str | None) -> None:
    if not (mirror / name).is_file():
        pytest.skip(f"NOT TESTED: {name} is not in the mirror")
    with open_archive(mirror / name) as opened:
        sizes = {member: len(content) for member, content in opened.stream()}
    assert count is None or len(sizes) == count
    assert first is None or next(iter(sizes)) == first
    if name.endswith(".zip"):
        with zipfile.ZipFile(mirror / name) as plain:
            expected = {info.filename: info.file_size for info in plain.infolist() if not info.is_dir()}
    else:
        with tarfile.open(mirror / name) as plain_tar:
            expected = {info.name: info.size for info in plain_tar if info.isreg()}
    assert sizes == expected
