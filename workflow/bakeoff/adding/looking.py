"""What the images of a folder are: sizes, depth, colour and orientation of a sample, read from the files."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bakeoff.artefacts.channels import RGB, Levels
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.grey_levels import grey
from bakeoff.datasets.archives.records import Member, Record
from bakeoff.datasets.formats import image_bytes
from bakeoff.datasets.formats.reading import Entry, Tree
from bakeoff.datasets.preparation.audit import groups, near_duplicates, perceptual_hash, thumbnail
from bakeoff.datasets.preparation.decode import Header, Undecodable, decode, header
from bakeoff.datasets.preparation.depth import measure_levels

# Images that are opened, evenly spaced; the pixels of fewer are looked at.
OPENED, DECODED = 400, 40
# In how many of 64 bits the hashes of near-duplicates may differ.
DISTANCE = 6
# EXIF's orientations of images that lie on their side.
LYING = range(5, 9)
# Channels that differ by no more than JPEG's rounding are one.
GREY_TOLERANCE = 6


@dataclass(frozen=True)
class Looked:
    """What a sample of the images is.

    Attributes
    ----------
    opened, decoded
        How many images were opened, and of how many the pixels were looked at.
    coloured
        How many of these have colours.
    group_of
        By name of these, the first image of its group; see `near_groups`.
    undecodable
        Names of images that are none, with the reason.
    headers
        Of those that were opened and are images, by name.
    levels
        Of images of more than 8 bits, the levels that become black and white: as stated, or measured; None of others.
    """

    opened: int
    headers: dict[str, Header]
    decoded: int
    coloured: int
    group_of: dict[str, str]
    undecodable: dict[str, str]
    levels: Levels | None = None

    def shapes(self, *, upright: bool) -> list[tuple[int, int]]:
        """Height and width of every image that was opened, as stored, or turned as its tag says."""
        return [
            (each.width, each.height) if upright and each.orientation in LYING else (each.height, each.width)
            for each in self.headers.values()
        ]

    @property
    def turned(self) -> int:
        """How many images are to be turned, by their tag."""
        return sum(header.orientation != 1 for header in self.headers.values())

    def sizes(self) -> Counter[tuple[int, int]]:
        """How many images are of each width and height."""
        return Counter((header.width, header.height) for header in self.headers.values())


def look(
    tree: Tree,
    entries: Sequence[Entry],
    levels: Levels | None = None,
    *,
    channels: int | None = None,
    measure: bool = True,
) -> Looked:
    """Open a sample of the images, and decode fewer.

    Parameters
    ----------
    levels
        Of images of more than 8 bits, those that become black and white.
    channels
        How many images are to have; None for those that they have.
    measure
        Whether levels are measured where they are not stated.
    """
    sample = spread(entries, OPENED)
    headers: dict[str, Header] = {}
    undecodable: dict[str, str] = {}
    for entry in sample:
        try:
            headers[entry.image] = header(image_bytes(tree, entry))
        except Undecodable as error:
            undecodable[entry.image] = str(error)
    coloured = 0
    seen, pictures = [], []
    fewer = spread([entry for entry in sample if entry.image not in undecodable], DECODED)
    seen_as = channels or max((each.channels for each in headers.values()), default=0) or RGB
    if measure and levels is None and any(each.bits > 8 for each in headers.values()):
        levels = measure_levels((image_bytes(tree, entry) for entry in fewer), seen_as)
    for entry in fewer:
        try:
            pixels = decode(image_bytes(tree, entry), seen_as, levels=levels).pixels
        except Undecodable as error:
            undecodable[entry.image] = str(error)
            continue
        coloured += has_colour(pixels)
        seen.append(entry)
        pictures.append((thumbnail(grey(pixels)), perceptual_hash(grey(pixels))))
    return Looked(len(sample), headers, len(seen), coloured, near_groups(seen, pictures), undecodable, levels)


def near_groups(entries: Sequence[Entry], pixels: Sequence[tuple[np.ndarray, int]]) -> dict[str, str]:
    """By image, the first image of its group: near-duplicates, and images that the folder says belong together.

    Parameters
    ----------
    pixels
        Thumbnail and perceptual hash of each.
    """
    if not entries:
        return {}
    records = [Record(entry.image, Member("", entry.image), group=entry.group) for entry in entries]
    pairs = near_duplicates([each for _, each in pixels], np.stack([each for each, _ in pixels]), DISTANCE)
    return {
        entry.image: entries[first].image for entry, first in zip(entries, groups(records, pairs).tolist(), strict=True)
    }


def require_images(looked: Looked) -> None:
    """Refuse a folder of which most images cannot be read.

    Raises
    ------
    BakeoffError
        If it is one, or there are no images.
    """
    if not looked.opened:
        raise BakeoffError("There is no image that can be used: see `bakeoff add`.")
    if len(looked.undecodable) > looked.opened / 2:
        name, reason = next(iter(looked.undecodable.items()))
        raise BakeoffError(
            f"{len(looked.undecodable)} of {looked.opened} images opened cannot be read, the first {name} ({reason}): "
            f"{'state the number that they have' if 'channel' in reason else 'convert them to PNG or TIFF'}."
        )


def spread(entries: Sequence[Entry], most: int) -> Sequence[Entry]:
    """At most so many, evenly spaced."""
    return entries[:: max(1, -(-len(entries) // most))]


def has_colour(pixels: np.ndarray) -> bool:
    """Whether some of the pixels, uint8 (H, W, channels), differ between channels."""
    spread_of_channels = pixels.max(axis=2) - pixels.min(axis=2)
    return bool((spread_of_channels > GREY_TOLERANCE).mean() > 1e-3)
