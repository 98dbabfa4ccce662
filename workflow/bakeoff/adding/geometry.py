"""What is made of the images' heights and widths: proposed from their sizes, or as typed."""

import re
from collections.abc import Sequence
from typing import NamedTuple, get_args

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.geometry import Geometry, Kind
from bakeoff.artefacts.windows import grid

KINDS: tuple[Kind, ...] = get_args(Kind)
# Width over height may differ by such factors between images that are stretched: of masks by no more than rounding, of
# classes by what no label depends on.
ONE_SHAPE, NEARLY_ONE_SHAPE = 1.02, 1.25
# Sides are multiples of these.
COARSE, FINE = 32, 16


class Proposed(NamedTuple):
    """A geometry, and why it is this one."""

    geometry: Geometry
    reason: str

    @property
    def size(self) -> int | list[int]:
        """As the configuration has it."""
        height, width = self.geometry.height, self.geometry.width
        return height if height == width else [height, width]


def parse_size(text: str) -> tuple[int, int] | int:
    """A side as `256`, or height and width as `192,256`.

    Raises
    ------
    BakeoffError
        If it is neither.
    """
    sides = [int(part) for part in re.findall(r"\d+", text)]
    if not re.fullmatch(r"\d+(,\d+)?", text) or not all(16 <= side <= 4096 for side in sides):
        raise BakeoffError(f"--size is '{text}': write a side in pixels, from 16 to 4096, or height,width.")
    return (sides[0], sides[1]) if len(sides) > 1 else sides[0]


def propose_geometry(
    sizes: Sequence[tuple[int, int]],
    longest: int,
    *,
    masks: bool,
    objects: bool,
    kind: str | None = None,
    size: tuple[int, int] | int | None = None,
) -> Proposed:
    """The geometry of a data set.

    Parameters
    ----------
    sizes
        Height and width of images.
    longest
        Of the prepared images' sides, or of a window's, in pixels: the suite's.
    masks, objects
        Whether masks are predicted, and whether single objects are told apart.
    kind, size
        As typed; a number alone is the longest side.

    Raises
    ------
    BakeoffError
        If there is no such geometry, or not for this kind of task.
    """
    if kind is not None and kind not in KINDS:
        raise BakeoffError(f"--geometry is '{kind}': make it one of {', '.join(KINDS)}.")
    if kind == "tile" and not masks:
        raise BakeoffError("--geometry is tile, which is for masks: make it stretch, pad or crop.")
    largest = max(map(max, sizes))
    native = objects and (len(set(sizes)) > 1 or largest > longest)
    chosen, reason = (kind, "as typed") if kind else _kind(sizes, masks=masks, native=native)
    if isinstance(size, tuple):
        return Proposed(Geometry(chosen, *size), f"{reason}; size as typed")
    side = size or min(longest, max(COARSE, -(-largest // COARSE) * COARSE))
    if chosen == "stretch" and _spread(sizes) <= ONE_SHAPE:
        height, width = sizes[0]
        return Proposed(Geometry(chosen, *(_fitting(part, max(height, width), side) for part in sizes[0])), reason)
    return Proposed(Geometry(chosen, side, side), reason)


def _kind(sizes: Sequence[tuple[int, int]], *, masks: bool, native: bool) -> tuple[Kind, str]:
    spread = _spread(sizes)
    if native:
        return "tile", "objects keep their size in pixels, whatever that of their image"
    if spread <= ONE_SHAPE:
        return "stretch", "all images have the same proportions"
    if not masks and spread <= NEARLY_ONE_SHAPE:
        return "stretch", "the proportions of the images hardly differ"
    return "pad", "images of different proportions keep them"


def _spread(sizes: Sequence[tuple[int, int]]) -> float:
    ratios = [width / height for height, width in sizes]
    return max(ratios) / min(ratios)


def _fitting(part: int, longest: int, side: int) -> int:
    return side if part == longest else max(FINE, round(part * side / longest / FINE) * FINE)


def windows_an_image(sizes: Sequence[tuple[int, int]], geometry: Geometry) -> float:
    """How many windows networks learn from, by image; 1 where they look at whole images."""
    if not geometry.tiled:
        return 1.0
    return sum(len(grid(*size, geometry)) for size in sizes) / len(sizes)
