"""What a manifest says of the code that computed a number."""

import subprocess
from pathlib import Path

import pytest
from bakeoff.artefacts.provenance import manifest


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git repository with one commit, which is the working folder."""
    (tmp_path / "workflow").mkdir()
    (tmp_path / "workflow" / "model.py").write_text("x = 1\n")
    (tmp_path / "params.yaml").write_text("profile: sample\n")
    monkeypatch.chdir(tmp_path)
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for command in (("init", "-q"), ("add", "."), (*who, "commit", "-q", "-m", "one")):
        subprocess.run(["git", *command], check=True)
    return tmp_path


def test_the_revision_is_the_commit_and_nothing_else_changed(clone: Path) -> None:
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    (clone / "results").mkdir()
    (clone / "results" / "table.csv").write_text("not code")
    assert (manifest()["revision"], manifest()["uncommitted_changes"]) == (head, False)


@pytest.mark.parametrize(
    ("path", "text"), [("workflow/model.py", "x = 2\n"), ("params.yaml", "profile: small\n"), ("workflow/other.py", "")]
)
def test_an_edited_and_an_untracked_file_are_uncommitted(clone: Path, path: str, text: str) -> None:
    (clone / path).write_text(text)
    assert manifest()["uncommitted_changes"] is True


def test_outside_a_clone_neither_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert (manifest()["revision"], manifest()["uncommitted_changes"]) == (None, None)
