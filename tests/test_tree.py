"""A folder or a zip, read in place: every file by name, and nothing that lies outside."""

import os
import zipfile
from pathlib import Path

import pytest
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.archives import tree as trees
from bakeoff.datasets.archives.records import Finding
from bakeoff.datasets.archives.tree import open_tree
from drawn_folders import write

FILES = {"masks/é (1).png": b"m", "images/é (1).png": b"i", "notes.txt": b"", "images/deep/er/a.PNG": b"d"}
SYSTEM = {
    ".DS_Store": b"x", "images/.DS_Store": b"x", "images/._a.png": b"x", "images/@eaDir/a.png/thumb.jpg": b"x",
    "masks/thumbs.DB": b"x", "__MACOSX/images/a.png": b"x", ".thumbnails/a.png": b"x",
}  # fmt: skip


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return path


def refused(path: Path) -> str:
    with pytest.raises(BakeoffError) as caught, open_tree(path):
        pass
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")
    return str(caught.value)


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_every_file_is_read_and_system_files_are_counted(tmp_path: Path, kind: str) -> None:
    every = FILES | SYSTEM
    path = write(tmp_path / "mine", every) if kind == "folder" else write_zip(tmp_path / "mine.zip", every)
    with open_tree(path) as tree:
        assert {name: tree.read(name) for name in tree.names} == FILES
        assert list(tree.names) == sorted(FILES)
        assert tree.findings == [
            Finding(".thumbnails/a.png", "system file", "dropped", "1 of the kind .* passed over"),
            Finding(".DS_Store", "system file", "dropped", "2 of the kind .DS_Store passed over"),
            Finding("images/._a.png", "system file", "dropped", "1 of the kind ._* passed over"),
            Finding("images/@eaDir/a.png/thumb.jpg", "system file", "dropped", "1 of the kind @eaDir passed over"),
            Finding("masks/thumbs.DB", "system file", "dropped", "1 of the kind Thumbs.db passed over"),
            Finding("__MACOSX/images/a.png", "system file", "dropped", "1 of the kind __MACOSX passed over"),
        ]
        with pytest.raises(BakeoffError, match=r"has no file '\.\./outside'"):
            tree.read("../outside")


def test_a_link_inside_is_read_and_a_link_to_a_folder_inside_is_passed_over(tmp_path: Path) -> None:
    root = write(tmp_path / "mine", {"images/a.png": b"a"})
    (root / "images" / "b.png").symlink_to("a.png")
    (root / "again").symlink_to("images")
    with open_tree(root) as tree:
        assert {name: tree.read(name) for name in tree.names} == {"images/a.png": b"a", "images/b.png": b"a"}
        assert [(finding.file, finding.finding) for finding in tree.findings] == [("again", "link to a folder")]


@pytest.mark.parametrize("target", ["../outside.png", "..", "gone.png"])
def test_a_link_that_leads_out_or_nowhere_is_refused(tmp_path: Path, target: str) -> None:
    root = write(tmp_path / "mine", {"a.png": b"a", "../outside.png": b""})
    (root / "link.png").symlink_to(target)
    assert "link.png is a link that leads out of" in refused(root)


def test_what_is_no_folder_or_no_file_is_refused(tmp_path: Path) -> None:
    assert f"There is no folder or zip {tmp_path / 'nowhere'}" in refused(tmp_path / "nowhere")
    for content in (b"\x89PNG", b"\x1f\x8b", b"PK", b""):
        sentence = refused(write(tmp_path, {"a.tgz": content}) / "a.tgz")
        assert sentence == f"{tmp_path / 'a.tgz'} is neither a folder nor a zip: unpack it, and name the folder."
    os.mkfifo(tmp_path / "pipe.png")
    assert "pipe.png is neither a file nor a folder" in refused(tmp_path)


def test_a_zip_that_is_not_safe_to_read_is_to_be_made_again(tmp_path: Path) -> None:
    assert refused(write_zip(tmp_path / "mine.zip", {"../a.png": b""})) == (
        f"{tmp_path / 'mine.zip'}: member '../a.png' points outside the archive: make the zip again."
    )


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "mine", {"a.png": b""})
    (tmp_path / "mine" / "a.png").rename(os.fsdecode(os.fsencode(tmp_path) + b"/mine/\xff.png"))
    assert "udcff.png' is not a valid UTF-8 file name" in refused(tmp_path / "mine")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large.png").open("wb") as large:
        large.truncate(trees.MAX_MEMBER_BYTES + 1)  # sparse
    with open_tree(tmp_path) as tree, pytest.raises(BakeoffError, match="has 268,435,457 bytes, above the"):
        tree.read("large.png")
