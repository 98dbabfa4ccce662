"""One engine at a time on a clone: Snakemake, or DVC alone.

Snakemake removes the outputs of a job that it is about to start, and DVC those of a stage that it is about to run; side
by side they would take each other's results away. So a running Snakemake holds a lock for as long as it lives, and its
stages inherit it. A stage that a `dvc repro` starts takes the lock itself; where another engine has it, the stage
restores what DVC has just removed and fails in one sentence. The operating system frees the lock when its holder dies,
however it dies: nothing stale is left.
"""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.progress.interruption import dvc_ancestor

# Set for the stages of an engine that holds the lock.
HELD = "BAKEOFF_ENGINE"
POLL_SECONDS = 0.5
_held: dict[Path, FileLock] = {}  # by folder, for as long as this process lives


def hold_clone(root: Path) -> None:
    """Take the lock for the rest of the process, for all stages that it starts.

    Stages that a killed engine left behind are waited for: what they are about to finish need not be done again.

    Raises
    ------
    BakeoffError
        If another engine runs in this folder.
    """
    if not _take(root, "snakemake", os.getpid()):
        raise BakeoffError(_refusal(root))
    os.environ[HELD] = f"{platform.node()}:{os.getpid()}"
    _wait_for_left_stages(root)


def join_engine(root: Path, stage: str) -> None:
    """Let a stage's command run: under an engine that holds the lock at once, else once it has the lock itself.

    Parameters
    ----------
    stage
        As DVC addresses it; empty for a command that a user has typed.

    Raises
    ------
    BakeoffError
        If another engine runs in this folder; what is recorded of the stage's outputs is restored before.
    """
    if _is_alive(*os.environ.get(HELD, ":0").rsplit(":", 1)):
        return
    engine = dvc_ancestor()
    if not _take(root, "dvc" if engine else "bakeoff", (engine or psutil.Process()).pid):
        if stage:
            _restore(root, stage)
        raise BakeoffError(_refusal(root))


def _take(root: Path, name: str, engine: int) -> bool:
    """Take the lock; False if a living engine, another than this, has it. One whose engine is dead is waited for.

    A `dvc repro` holds the lock while a command of its stages runs, and goes on between them.
    """
    folder = root.resolve() / ".bakeoff"
    if folder in _held:
        return True
    folder.mkdir(exist_ok=True)
    lock = FileLock(folder / "engine.lock")
    told = False
    while True:
        free = True
        try:
            lock.acquire(timeout=0)
        except Timeout:
            free = False
        holder = _holder(root)
        another = holder and (holder["host"], holder["engine"]) != (platform.node(), engine)
        if holder and another and _is_alive(holder["host"], holder["engine"]) and (not free or holder["name"] == "dvc"):
            lock.release()
            return False
        if free:
            break
        if not told:
            print("Waiting for a stage that an earlier run left behind.", file=sys.stderr, flush=True)
            told = True
        time.sleep(POLL_SECONDS)
    (folder / "engine.json").write_text(json.dumps({"name": name, "host": platform.node(), "engine": engine}))
    _held[folder] = lock
    return True


def _is_alive(host: str, process: int | str) -> bool:
    """Whether an engine lives; of one on another host nothing is known, so it is taken to."""
    return host not in ("", platform.node()) or (int(process) > 0 and psutil.pid_exists(int(process)))


def _holder(root: Path) -> dict[str, Any] | None:
    try:
        holder: dict[str, Any] = json.loads((root / ".bakeoff" / "engine.json").read_text())
        return holder
    except (OSError, ValueError):  # it is about to be written
        return None


def _refusal(root: Path) -> str:
    holder = _holder(root) or {"name": "another engine", "engine": "unknown"}
    return (
        f"{holder['name']} (process {holder['engine']}) runs in this folder: type the same command again when it has "
        "ended."
    )


def _restore(root: Path, stage: str) -> None:
    """Put the stage's outputs back as `dvc.lock` has them: DVC removed them before it started the command."""
    command = ["dvc", "--quiet", "--wait-for-lock", "checkout", stage]
    subprocess.run(command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _wait_for_left_stages(root: Path) -> None:
    told = False
    while left := sorted(set(_running_stages(root))):
        if not told:
            print(f"Waiting for what an earlier run left behind: {', '.join(left)}.", file=sys.stderr, flush=True)
            told = True
        time.sleep(POLL_SECONDS)


def _running_stages(root: Path) -> Iterator[str]:
    """Commands of living processes that DVC's own lock of paths names; it forgets dead ones itself."""
    try:
        lock = json.loads((root / ".dvc" / "tmp" / "rwlock").read_text())
    except (OSError, ValueError):
        return
    readers = [each for holders in lock.get("read", {}).values() for each in holders]
    for holder in [*lock.get("write", {}).values(), *readers]:
        try:
            process = psutil.Process(int(holder["pid"]))
            alive = process.status() != psutil.STATUS_ZOMBIE and any("dvc" in word for word in process.cmdline())
        except psutil.Error:
            alive = False
        if alive:
            yield f"{holder['cmd']} (process {holder['pid']})"
