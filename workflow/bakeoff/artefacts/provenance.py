"""What made an artefact: code, environment and hardware, as plain values for a JSON file."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from typing import Any

NAMED_PACKAGES = (
    *("torch", "torchvision", "timm", "segmentation-models-pytorch", "scikit-learn", "skops"),
    *("numpy", "scipy", "scikit-image", "opencv-python-headless", "bakeoff"),
)


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo") as lines:  # noqa: PTH123 - a kernel file, not one of ours
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def thread_count() -> int:
    """Threads to compute with: `OMP_NUM_THREADS` (Snakemake sets it to a rule's threads), at most one a core.

    `snakemake --cores 8` is typed on machines of two cores too, where eight threads would only wait for each other.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = os.environ.get("OMP_NUM_THREADS", "")
    return min(int(given), cores) if given.isdigit() and int(given) > 0 else cores


def manifest() -> dict[str, Any]:
    """Code revision and whether it was clean, interpreter, packages, processor and threads.

    The GPU, where one was used, is named by the stage that used it, so that this module needs no torch.
    """
    # A file that is not tracked counts: it may be the model.
    status = _git("status", "--porcelain", "--untracked-files=normal", "--", "workflow", "dvc.yaml", "params.yaml")
    return {
        "revision": _git("rev-parse", "HEAD"),
        "uncommitted_changes": None if status is None else bool(status),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {package: _version(package) for package in NAMED_PACKAGES},
        "cpu": _cpu_model(),
        "threads": thread_count(),
    }
