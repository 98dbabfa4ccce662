"""What is written appears whole or not at all, and a full disk is one sentence. The full disk is the kernel's own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from bakeoff.artefacts.atomic import atomic_folder, storage_errors, write_text
from bakeoff.artefacts.errors import BakeoffError
from requests import ConnectionError, Timeout

FULL = Path("/dev/full")


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def one_sentence(error: pytest.ExceptionInfo[BakeoffError]) -> str:
    sentence = str(error.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


def test_a_folder_appears_whole_and_replaces_the_one_before(tmp_path: Path) -> None:
    folder = tmp_path / "raw" / "lungs"
    for content in ("one", "two"):
        with atomic_folder(folder) as beside:
            (beside / content).write_text(content)
            assert not folder.exists() or names_in(folder) == ["one"]
        assert names_in(folder) == [content]
    assert names_in(tmp_path / "raw") == ["lungs"]


def test_a_folder_that_fails_leaves_the_one_before_and_the_error_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "lungs"
    with atomic_folder(folder) as beside:
        (beside / "file").write_text("one")
    with pytest.raises(FileNotFoundError), atomic_folder(folder) as beside:
        (beside / "missing").read_text()
    assert (folder / "file").read_text() == "one"
    assert names_in(tmp_path) == ["lungs"]


def test_what_a_killed_process_left_is_not_taken_over(tmp_path: Path) -> None:
    kill = (
        "import os, sys; from pathlib import Path; from bakeoff.artefacts.atomic import atomic_folder\n"
        "with atomic_folder(Path(sys.argv[1])) as beside:\n"
        "    (beside / 'half').write_text('half'); os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", kill, tmp_path / "lungs"]).returncode == -9
    assert names_in(tmp_path) == [".lungs.part"]
    with atomic_folder(tmp_path / "lungs") as beside:
        (beside / "whole").write_text("whole")
    assert names_in(tmp_path / "lungs") == ["whole"]
    assert names_in(tmp_path) == ["lungs"]


def test_two_folders_may_appear_together(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "models") as models, atomic_folder(tmp_path / "history") as history:
        (models / "seed0").touch()
        (history / "seed0").touch()
        assert names_in(tmp_path) == [".history.part", ".models.part"]
    assert names_in(tmp_path) == ["history", "models"]


@pytest.mark.skipif(not FULL.exists(), reason="NOT TESTED ON A FULL DISK: there is no /dev/full")
def test_a_disk_that_fills_up_is_one_sentence_that_names_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "lungs"
    with pytest.raises(BakeoffError) as error, atomic_folder(folder):
        FULL.write_text("too much")
    assert one_sentence(error).startswith(f"{folder} cannot be written, the disk is full (No space left on device)")
    assert names_in(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "raw").write_text("a file where the folder should be")
    with pytest.raises(BakeoffError, match=r"raw.* cannot be used") as error, atomic_folder(tmp_path / "raw" / "x"):
        pytest.fail("never comes here")
    one_sentence(error)


def test_a_file_appears_whole_and_replaces_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "index.csv"
    for text in ("é,1\n", "2\n"):
        write_text(path, text)
        assert path.read_bytes() == text.encode()
    assert names_in(tmp_path) == ["index.csv"]


def test_a_file_that_was_made_read_only_or_is_linked_elsewhere_is_replaced_and_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "index.csv"
    write_text(path, "one")
    os.link(path, tmp_path / "cached")
    path.chmod(0o444)
    write_text(path, "two")
    assert (path.read_text(), (tmp_path / "cached").read_text()) == ("two", "one")


@pytest.mark.skipif(not FULL.exists(), reason="NOT TESTED ON A FULL DISK: there is no /dev/full")
def test_a_disk_that_fills_up_leaves_the_file_before(tmp_path: Path) -> None:
    path = tmp_path / "index.csv"
    write_text(path, "one")
    (tmp_path / ".index.csv.part").symlink_to(FULL)
    with pytest.raises(BakeoffError) as error:
        write_text(path, "two")
    assert one_sentence(error).startswith(f"{path} cannot be written, the disk is full")
    assert path.read_text() == "one"
    assert names_in(tmp_path) == ["index.csv"]


def test_a_file_in_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BakeoffError, match="cannot be used") as error:
        write_text(tmp_path / "nowhere" / "index.csv", "one")
    one_sentence(error)


@pytest.mark.parametrize("error", [ConnectionError("refused"), Timeout("30 s"), OSError("no number")])
def test_what_is_no_file_systems_error_passes(error: OSError, tmp_path: Path) -> None:
    with pytest.raises(type(error)), storage_errors(tmp_path):
        raise error
