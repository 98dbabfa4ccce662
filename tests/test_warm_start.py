"""A command that is a fork of a warm process is the same command; one that cannot be is a command as ever."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from warm_start import SOCKETS, kind_of

ROOT = Path(__file__).resolve().parent.parent
BAKEOFF = str(Path(sys.executable).parent / "bakeoff")
# Holds warm processes until its standard input ends, and says where they listen.
OWNER = f"""
import os, sys
sys.path.insert(0, {str(ROOT / "workflow")!r})
from warm_start import SOCKETS, WarmProcesses
kept = WarmProcesses(["tables"])
print(os.environ[SOCKETS], flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def owner() -> Iterator[tuple[subprocess.Popen[str], str]]:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()


@pytest.fixture
def warm(owner: tuple[subprocess.Popen[str], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with a book, and an environment in which commands find the warm process."""
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    monkeypatch.setenv(SOCKETS, owner[1])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BAKEOFF, *arguments], capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )


def forks(owner: tuple[subprocess.Popen[str], str]) -> list[psutil.Process]:
    """Commands that are forks of the owner's warm process at this moment."""
    (server,) = psutil.Process(owner[0].pid).children()
    return [each for each in server.children() if each.status() != psutil.STATUS_ZOMBIE]


def wait_until(condition: object, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("program", "arguments", "kind"),
    [
        ("bakeoff", ["fit", "lungs-unet"], "networks"),
        ("bakeoff", ["score", "lungs-unet"], "tables"),
        ("bakeoff", ["--help"], None),
        ("bakeoff", [], None),
        ("dvc", ["--wait-for-lock", "repro", "--single-item", "split@lungs"], "dvc"),
        ("dvc", ["repro"], None),
    ],
)
def test_which_process_a_command_is_a_fork_of(program: str, arguments: list[str], kind: str | None) -> None:
    assert kind_of(program, arguments) == kind


def test_a_fork_says_and_returns_what_the_command_does(warm: Path) -> None:
    forked = run("check")
    assert forked.returncode == 0, forked.stderr
    assert (forked.stdout, forked.stderr) == (run("check", **{SOCKETS: "[null]"}).stdout, "")

    (warm / "params.yaml").write_text("profile: smal\n")
    forked, cold = run("check"), run("check", **{SOCKETS: "[null]"})
    assert forked.returncode == 1
    assert (forked.stdout, forked.stderr) == (cold.stdout, cold.stderr)
    assert "params.yaml" in forked.stderr


def test_a_fork_runs_in_the_callers_folder_and_environment(
    warm: Path, owner: tuple[subprocess.Popen[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(warm / "slow")
    (warm / "params.yaml").unlink()
    (warm / "params.yaml").symlink_to(warm / "slow")  # reading the book waits for a writer
    with subprocess.Popen([BAKEOFF, "check"], env={**os.environ, "CALLER": "me"}) as command:
        wait_until(lambda: forks(owner))
        (fork,) = forks(owner)
        wait_until(lambda: fork.cwd() == str(warm))
        assert fork.pid != command.pid
        command.send_signal(signal.SIGTERM)  # is passed on
        assert command.wait(30) != 0
        wait_until(lambda: not forks(owner))


def test_a_fork_does_not_outlive_a_command_that_is_killed(warm: Path, owner: tuple[subprocess.Popen[str], str]) -> None:
    os.mkfifo(warm / "slow")
    (warm / "params.yaml").unlink()
    (warm / "params.yaml").symlink_to(warm / "slow")
    with subprocess.Popen([BAKEOFF, "check"]) as command:
        wait_until(lambda: forks(owner))
        command.kill()
        wait_until(lambda: not forks(owner))


@pytest.mark.parametrize("identity", [["elsewhere", "warm_start.py"], [sys.prefix, "warm_start.py"]])
def test_processes_of_another_environment_or_code_are_left_alone(warm: Path, identity: list[str]) -> None:
    folder, *_ = json.loads(os.environ[SOCKETS])
    answer = run("check", **{SOCKETS: json.dumps([folder, *identity])})
    assert answer.returncode == 0, answer.stderr


def test_a_process_that_is_gone_is_not_missed(warm: Path, tmp_path: Path) -> None:
    _, *identity = json.loads(os.environ[SOCKETS])
    answer = run("check", **{SOCKETS: json.dumps([str(tmp_path), *identity])})
    assert answer.returncode == 0, answer.stderr


def test_warm_processes_end_with_their_owner_however_it_ends(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        folder = Path(json.loads(process.stdout.readline())[0])
        (server,) = psutil.Process(process.pid).children()
        wait_until((folder / "tables").exists)
        process.kill()
        server.wait(30)
        wait_until(lambda: not folder.exists())
