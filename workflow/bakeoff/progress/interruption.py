"""Stopping at SIGTERM, and when the DVC that started the stage is gone.

A killed engine leaves its commands running. Such a training would keep its checkpoint, its memory and its GPU from the
next run.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import psutil

POLL_SECONDS = 0.5


@contextmanager
def stops_when_told() -> Iterator[None]:
    """Context in which SIGTERM, or the end of the DVC above, ends the program with one line and status 143."""
    reason = {"text": "told to stop (SIGTERM)"}

    def stop(signum: int, frame: FrameType | None) -> None:
        # Not print, which is not reentrant: the signal may come while this thread is inside one.
        os.write(2, f"bakeoff: {reason['text']}: run the same command again to go on.\n".encode())
        raise SystemExit(128 + signal.SIGTERM)

    def watch(parent: psutil.Process) -> None:
        while not over.wait(POLL_SECONDS):
            if not is_alive(parent):
                reason["text"] = "the dvc that started this is gone"
                os.kill(os.getpid(), signal.SIGTERM)
                return

    over = threading.Event()
    previous = signal.signal(signal.SIGTERM, stop)
    parent = dvc_ancestor() if "DVC_STAGE" in os.environ else None
    if parent is not None:
        threading.Thread(target=watch, args=(parent,), daemon=True).start()
    try:
        yield
    finally:
        over.set()
        signal.signal(signal.SIGTERM, previous)


def dvc_ancestor() -> psutil.Process | None:
    """The nearest process above this one whose command line names a program `dvc` or `dvc...`, if there is one."""
    for parent in psutil.Process().parents():
        try:
            words = parent.cmdline()
        except psutil.Error:
            continue
        if any(Path(word).name.startswith("dvc") for word in words):
            return parent
    return None


def is_alive(process: psutil.Process) -> bool:
    """Whether a process runs: not ended, not a zombie, its number not given to another."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
