"""Writes the archives of a data set as they are published, or draws synthetic ones in their layout."""

import importlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock

from bakeoff.datasets.fetch import PARTIAL, Fetcher, appearing, discard, place


def download(
    dataset: str,
    source: str,
    settings: dict[str, Any],
    folder: Path,
    *,
    mirror: str | None,
    attempts: int,
    timeout: float,
    partial: Path = PARTIAL,
) -> None:
    """Write a data set's archives and `source.json`, which says where each came from.

    Parameters
    ----------
    source
        Package of `bakeoff.datasets` whose `source.FILES` names the archives.
    settings
        `{"synthetic": {...}}` has the archives drawn by the package's `synthetic.write` with these arguments; empty
        has the published ones fetched.
    folder
        `data/raw/DATASET`; it appears whole or not at all.
    mirror, attempts, timeout, partial
        As for `bakeoff.datasets.fetch.fetch`.

    Raises
    ------
    BakeoffError
        If an archive cannot be fetched or verified, or the disk is full; what has arrived is kept in `partial`.
    """
    synthetic = settings.get("synthetic")
    if synthetic is not None:
        _draw(source, synthetic, folder)
        return
    files = importlib.import_module(f"bakeoff.datasets.{source}.source").FILES
    under_way = partial / dataset
    under_way.mkdir(parents=True, exist_ok=True)
    with FileLock(under_way / "lock"):
        fetcher = Fetcher(under_way, attempts, timeout)
        # All are fetched before any is moved: one that fails does not cost those that have arrived.
        obtained = [fetcher.obtain(file, mirror) for file in files]
        with appearing(folder) as beside:
            placed = [place(file, beside) for file in obtained]
            _write_source(beside, [{**asdict(file), "path": None} for file in placed], synthetic=False)
