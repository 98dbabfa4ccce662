"""A command that is a fork of a warm process is the same command; one that cannot be is a command as ever."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from warm_start import SOCKETS, edits, kind_of

ROOT = Path(__file__).resolve().parent.parent
BAKEOFF = str(Path(sys.executable).parent / "bakeoff")
# Holds warm processes until its standard input ends, and says where they listen.
OWNER = f"""
import os, sys
sys.path.insert(0, {str(ROOT / "workflow")!r})
from warm_start import SOCKETS, WarmProcesses
kept = WarmProcesses(sys.argv[1:])
print(os.environ[SOCKETS], flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def owner() -> Iterator[tuple[subprocess.Popen[str], str]]:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, "tables"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        sockets = process.stdout.readline().strip()
        wait_until((Path(json.loads(sockets)[0]) / "tables").exists)
        yield process, sockets


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


def waiting_for_the_book(folder: Path) -> None:
    """Let a command that reads the book wait until somebody writes it."""
    os.mkfifo(folder / "slow")
    (folder / "params.yaml").unlink()
    (folder / "params.yaml").symlink_to(folder / "slow")


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
    waiting_for_the_book(warm)
    with subprocess.Popen([BAKEOFF, "check"], env={**os.environ, "CALLER": "me"}) as command:
        wait_until(lambda: forks(owner))
        (fork,) = forks(owner)
        wait_until(lambda: fork.cwd() == str(warm))
        assert fork.pid != command.pid
        command.send_signal(signal.SIGTERM)  # is passed on
        assert command.wait(30) != 0
        wait_until(lambda: not forks(owner))


def test_a_fork_does_not_outlive_a_command_that_is_killed(warm: Path, owner: tuple[subprocess.Popen[str], str]) -> None:
    waiting_for_the_book(warm)
    with subprocess.Popen([BAKEOFF, "check"]) as command:
        wait_until(lambda: forks(owner))
        command.kill()
        wait_until(lambda: not forks(owner))


@pytest.mark.parametrize("other", range(3), ids=["environment", "code", "edit"])
def test_processes_of_another_environment_or_code_are_left_alone(
    warm: Path, owner: tuple[subprocess.Popen[str], str], other: int
) -> None:
    folder, *identity = json.loads(os.environ[SOCKETS])
    identity[other] = "another"
    book = (warm / "params.yaml").read_text()
    waiting_for_the_book(warm)
    with subprocess.Popen([BAKEOFF, "check"], env={**os.environ, SOCKETS: json.dumps([folder, *identity])}) as command:
        (warm / "slow").write_text(book)  # returns once it is being read
        assert not forks(owner)
        assert command.wait(30) == 0


def test_an_edit_of_any_file_of_the_code_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    files = [tmp_path / "one.py", tmp_path / "a" / "b" / "two.py"]
    for path in files:
        path.write_text("x = 1")
    found = [edits(tmp_path)]
    for path in files:
        path.write_text("x = 22")
        found.append(edits(tmp_path))
    (tmp_path / "a" / "three.py").touch()
    found.append(edits(tmp_path))
    (tmp_path / "notes.txt").touch()
    assert edits(tmp_path) == found[-1]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_fork_that_a_signal_ends_says_which(
    warm: Path, owner: tuple[subprocess.Popen[str], str], number: int
) -> None:
    waiting_for_the_book(warm)
    with subprocess.Popen([BAKEOFF, "check"]) as command:
        wait_until(lambda: forks(owner))
        forks(owner)[0].send_signal(number)
        assert command.wait(30) == 128 + number


def test_a_signal_that_is_ignored_stays_ignored(warm: Path, owner: tuple[subprocess.Popen[str], str]) -> None:
    waiting_for_the_book(warm)
    with subprocess.Popen(["nohup", BAKEOFF, "check"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as command:
        wait_until(lambda: forks(owner))
        command.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        assert forks(owner)
        command.terminate()
        assert command.wait(30) == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_a_fork_started_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    no_scm = true\n")
    (tmp_path / "dvc.yaml").write_text("stages:\n  long:\n    cmd: sleep 1000\n")
    # A shell lets what it starts in the background ignore Ctrl-C, and the tests may be such.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, "dvc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        sockets = process.stdout.readline().strip()
        monkeypatch.setenv(SOCKETS, sockets)
        (server,) = psutil.Process(process.pid).children()
        wait_until((Path(json.loads(sockets)[0]) / "dvc").exists)
        dvc = [str(Path(BAKEOFF).with_name("dvc")), "repro", "--single-item", "long"]
        with subprocess.Popen(dvc, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as command:
            try:
                wait_until(lambda: any(each.name() == "sleep" for each in server.children(recursive=True)), 60)
                command.send_signal(number)
                assert command.wait(30) != 0
                wait_until(
                    lambda: all(each.status() == psutil.STATUS_ZOMBIE for each in server.children(recursive=True))
                )
            finally:  # else leaving the block waits for them
                command.kill()
                process.kill()


def test_a_process_that_ends_while_it_imports_is_not_missed(warm: Path) -> None:
    _, *identity = json.loads(os.environ[SOCKETS])
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(warm / "tables"))
        listening.listen()
        with subprocess.Popen(
            [BAKEOFF, "check"], env={**os.environ, SOCKETS: json.dumps([str(warm), *identity])}
        ) as command:
            listening.accept()[0].close()
            assert command.wait(60) == 0


def test_a_process_that_is_gone_is_not_missed(warm: Path, tmp_path: Path) -> None:
    _, *identity = json.loads(os.environ[SOCKETS])
    answer = run("check", **{SOCKETS: json.dumps([str(tmp_path), *identity])})
    assert answer.returncode == 0, answer.stderr


def test_warm_processes_end_with_their_owner_however_it_ends(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, "tables"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        folder = Path(json.loads(process.stdout.readline())[0])
        (server,) = psutil.Process(process.pid).children()
        wait_until((folder / "tables").exists)
        process.kill()
        server.wait(30)
        wait_until(lambda: not folder.exists())
