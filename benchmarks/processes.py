"""What a process takes, for the benchmarks."""

import os
import subprocess
import time
from pathlib import Path


def measured(command: list[str], root: Path) -> tuple[float, float]:
    """Seconds of a command, and the peak of its memory in MiB."""
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed: type it in {root} to see why.")
    return time.perf_counter() - began, used.ru_maxrss / 1024
