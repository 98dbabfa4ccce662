"""From a folder of images, which is read in place, to a prepared data set."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.folders.facts import facts
from bakeoff.datasets.preparation.prepare import prepare_listing


def prepare_folder(name: str, settings: Mapping[str, Any], folder: Path) -> None:
    """Write `data/prepared/NAME` from a folder of images or a zip, which is read in place.

    Parameters
    ----------
    name
        Of the entry in the configuration's `folders`.
    settings
        The entry; see `bakeoff.config.schema.Folder`.
    folder
        The prepared data set; it appears whole or not at all.

    Raises
    ------
    BakeoffError
        If there is no such folder, or it holds no usable image.
    """
    path = Path(settings["path"]).expanduser().absolute()
    if not path.exists():
        raise BakeoffError(
            f"folders.{name}.path: there is no folder {settings['path']}: correct the path or remove the entry."
        )
    distance = settings["duplicates"]["distance"]
    provenance = {"files": [], "synthetic": False}
    known = facts(name, path, settings)
    listing = known.listing(path)
    if not listing.records:
        raise BakeoffError(f"folders.{name}.path: {settings['path']} has no image that can be used: see the findings.")
    prepare_listing(
        name, None, known, listing, path.parent, folder, provenance, size=settings["size"], distance=distance
    )
