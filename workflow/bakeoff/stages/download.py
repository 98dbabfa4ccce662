"""Writes the archives of a data set as they are published, or draws synthetic ones in their layout."""

import importlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock

from bakeoff.datasets.fetch import PARTIAL, Fetched, Fetcher, appearing, describe, place
from bakeoff.datasets.remote import RemoteFile


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
        `{"synthetic": {...}}` has the archives drawn by the package's `synthetic.write` with these arguments; without
        that key the published ones are fetched.
    folder
        `data/raw/DATASET`; it appears whole or not at all.
    mirror, attempts, timeout, partial
        As for `bakeoff.datasets.fetch.fetch`; what has arrived when another file fails is kept in `partial`.

    Raises
    ------
    BakeoffError
        If an archive cannot be fetched or verified, or the disk is full.
    """
    synthetic = settings.get("synthetic")
    if synthetic is None:
        files = importlib.import_module(f"bakeoff.datasets.{source}.source").FILES
        _fetch(files, folder, mirror, Fetcher(partial / dataset, attempts, timeout))
    else:
        _draw(source, synthetic, folder)


def _fetch(files: Sequence[RemoteFile], folder: Path, mirror: str | None, fetcher: Fetcher) -> None:
    fetcher.partial.mkdir(parents=True, exist_ok=True)
    with FileLock(fetcher.partial / "lock"):
        # All are fetched before any is moved: one that fails does not cost those that have arrived.
        obtained = [fetcher.obtain(file, mirror) for file in files]
        with appearing(folder) as beside:
            _write_source(beside, [place(file, beside) for file in obtained], synthetic=False)


def _draw(source: str, settings: dict[str, Any], folder: Path) -> None:
    module = f"bakeoff.datasets.{source}.synthetic"
    arguments = ", ".join(f"{key}={value}" for key, value in settings.items())
    note = f"drawn by {module} with {arguments}: no real images"
    with appearing(folder) as beside:
        importlib.import_module(module).write(beside, **settings)
        _write_source(beside, [describe(path, module, note) for path in sorted(beside.iterdir())], synthetic=True)


def _write_source(folder: Path, files: list[Fetched], *, synthetic: bool) -> None:
    entries = [asdict(file) for file in files]
    for entry in entries:
        del entry["path"]  # the folder it stands in
    (folder / "source.json").write_text(json.dumps({"files": entries, "synthetic": synthetic}, indent=2) + "\n")
