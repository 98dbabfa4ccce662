"""One engine at a time on a clone, and no refusal after one was killed."""

import sys
from pathlib import Path

from filelock import FileLock, Timeout

_held: list[FileLock] = []


def hold_clone(root: Path) -> None:
    """Hold this clone for the rest of the process, waiting for an engine that has it, and drop stale locks.

    Snakemake removes the outputs of a job that it is about to start; a `dvc repro` beside it would find those of the
    stage that it has just run gone. The operating system gives the lock back when its holder dies, however it dies.
    So whoever gets it knows that the files in `.snakemake/locks` were left behind by a killed run, and Snakemake
    need not refuse because of them.
    """
    (root / ".bakeoff").mkdir(exist_ok=True)
    lock = FileLock(root / ".bakeoff" / "engine.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print("Another engine runs in this folder: waiting for it to end.", file=sys.stderr, flush=True)
        lock.acquire()
    _held.append(lock)
    for stale in (root / ".snakemake" / "locks").glob("*.lock"):
        stale.unlink(missing_ok=True)
