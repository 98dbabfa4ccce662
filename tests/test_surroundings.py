"""What is wrong around the project and not in it, no git, no commit, no memory: one sentence that says what to do."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.layout import Project
from bakeoff.baselines import group
from bakeoff.tasks import evaluate

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
START = "git init && git add --all && git commit -m start"


@pytest.fixture
def unversioned(tmp_path: Path) -> Path:
    """The project as a download has it: without git, and without what was computed."""
    for name in ("Snakefile", "dvc.yaml", "dvc.lock", "params.yaml", "pyproject.toml", ".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("workflow", "profiles"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc" / "config", tmp_path / ".dvc")
    return tmp_path


def typed(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    # Without the git repository of whoever runs this, and without their name.
    environment = {
        **os.environ,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "PYTHONPATH": str(folder / "workflow"),
        "GIT_CEILING_DIRECTORIES": str(folder.parent),
    }
    return subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, check=False)


@pytest.mark.engine
def test_without_git_snakemake_and_diff_name_the_one_command_that_is_wanting(unversioned: Path) -> None:
    page = typed(unversioned, "snakemake", "results/report/lungs.html", "--cores", "2")
    said = [line for line in page.stderr.splitlines() if not line.startswith("Using workflow specific profile")]
    assert said == [f"{unversioned} is no git repository, which DVC needs: run `{START}`."]
    assert page.returncode == 1
    found = typed(unversioned, sys.executable, "-m", "bakeoff.cli", "diff")
    assert (found.returncode, found.stderr.count("\n")) == (1, 1)
    assert f"run `{START}`" in found.stderr
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    typed(unversioned, "git", "init", "-q")
    uncommitted = typed(unversioned, sys.executable, "-m", "bakeoff.cli", "diff")
    assert (uncommitted.returncode, uncommitted.stderr.count("\n")) == (1, 1)
    assert f"or `{START.partition(' && ')[2]}` if there is none yet" in uncommitted.stderr
    assert typed(unversioned, "snakemake", "results/report/lungs.html", "--cores", "2", "-n").returncode == 0
    for words in (("add", "--all"), (*identity, "commit", "-qm", "start")):
        assert typed(unversioned, "git", *words).returncode == 0
    assert "no revision" not in typed(unversioned, sys.executable, "-m", "bakeoff.cli", "diff").stderr


def _killed(*_: object) -> None:
    """What Linux does to a process for which there is no memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_of_the_evaluation_that_is_killed_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "thread_count", lambda: 2)
    with pytest.raises(BakeoffError, match=r"^A process of the evaluation was killed, .* set OMP_NUM_THREADS=1"):
        evaluate._each(_killed, ["a", "b"])


def test_a_method_whose_process_is_killed_is_named_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "_run", _killed)
    with pytest.raises(BakeoffError, match=r"^lungs-otsu: its process was killed, .* free memory and run the same"):
        group.run_baselines("lungs", {"lungs-otsu": {}}, 1, Project(tmp_path))
    assert not list(tmp_path.rglob("baselines"))
