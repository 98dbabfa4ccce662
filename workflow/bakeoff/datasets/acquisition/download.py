"""Downloads the published archives of a data set, or draws synthetic ones in the same layout."""

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bakeoff.artefacts.atomic import atomic_folder
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.acquisition.fetch import PARTIAL, Fetcher, exclusive_fetcher, generated_file, place, write_source
from bakeoff.datasets.archives.remote import RemoteFile


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
        Package of `bakeoff.datasets` whose `FILES` names the archives.
    settings
        With `{"synthetic": {...}}` the package's `synthetic.write` draws the archives with these arguments; without
        that key the published ones are downloaded.
    folder
        `data/raw/DATASET`; it appears whole or not at all.
    mirror
        Folder or http(s) address that is looked at first, as `MIRROR/NAME`. None for none.
    attempts, timeout
        As for `bakeoff.datasets.acquisition.fetch.Fetcher`, whose store is the folder `partial/DATASET`: files
        that have been downloaded stay there, in case another one fails or they are needed again.

    Raises
    ------
    BakeoffError
        If an archive cannot be fetched or verified, there is nothing to draw it with, or the disk is full.
    """
    synthetic = settings.get("synthetic")
    if synthetic is not None:
        _draw(dataset, source, synthetic, folder)
        return
    files = importlib.import_module(f"bakeoff.datasets.sources.{source}").FILES
    with exclusive_fetcher(partial / dataset, attempts=attempts, timeout=timeout) as fetcher:
        _fetch(files, folder, mirror, fetcher)


def _fetch(files: Sequence[RemoteFile], folder: Path, mirror: str | None, fetcher: Fetcher) -> None:
    # All are fetched before any is put in place: if one fails, the others are kept.
    obtained = [fetcher.obtain(file, mirror) for file in files]
    with atomic_folder(folder) as beside:
        write_source(beside, [place(file, beside) for file in obtained], synthetic=False)


def _draw(dataset: str, source: str, settings: dict[str, Any], folder: Path) -> None:
    module = f"bakeoff.datasets.sources.{source}.synthetic"
    if importlib.util.find_spec(module) is None:
        raise BakeoffError(
            f"datasets.{dataset} asks for a synthetic archive, and no module draws one: set its archive to official "
            f"or write workflow/bakeoff/datasets/sources/{source}/synthetic.py."
        )
    arguments = ", ".join(f"{key}={value}" for key, value in settings.items())
    note = f"drawn by {module} with {arguments}: no real images"
    with atomic_folder(folder) as beside:
        importlib.import_module(module).write(beside, **settings)
        files = [generated_file(path, module, note) for path in sorted(beside.iterdir())]
        write_source(beside, files, synthetic=True)
