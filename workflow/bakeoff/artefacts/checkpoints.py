"""Where checkpoints lie, and which of them are no longer needed."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

HOME = Path(".bakeoff/checkpoints")
FINISHED = "finished.json"


def drop_finished(home: Path, is_kept_elsewhere: Callable[[Mapping[str, Any]], bool]) -> None:
    """Remove finished trainings that are no longer needed.

    Parameters
    ----------
    home
        The folder of all checkpoints.
    is_kept_elsewhere
        Told what a training's stage depended on, whether `dvc.lock` has recorded the stage, so that the cache has its
        weights.
    """
    for path in home.glob(f"*/{FINISHED}"):
        try:
            inputs = json.loads(path.read_text())["inputs"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        lock = FileLock(path.with_name("lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:  # another process is about to read it
            continue
        with lock:
            if is_kept_elsewhere(inputs):
                shutil.rmtree(path.parent, ignore_errors=True)
        lock.release()
