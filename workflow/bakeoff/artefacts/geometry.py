"""How images of any size become arrays, and predicted masks the image's own size again."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from bakeoff.artefacts.void import VOID

Kind = Literal["stretch", "pad", "crop", "tile"]
Region = tuple[slice, slice]


class Geometry(NamedTuple):
    """What is made of an image's height and width.

    Attributes
    ----------
    kind
        `stretch`: every image becomes height x width, whatever its proportions. `pad`: it is scaled to fit into that,
        and pads fill the rest. `crop`: it is scaled to cover that, and what reaches beyond is cut off on both sides.
        `tile`: it keeps its size; networks look at windows of height x width.
    height, width
        Of the arrays in pixels; of `tile` those of a window.
    """

    kind: Kind
    height: int
    width: int

    @property
    def tiled(self) -> bool:
        """Whether images keep their own sizes."""
        return self.kind == "tile"

    def scaled(self, height: int, width: int) -> tuple[int, int]:
        """The size to which an image is resized, before pads are added or edges cut off."""
        if self.kind == "stretch":
            return self.height, self.width
        if self.kind == "tile":
            return height, width
        ratios = self.height / height, self.width / width
        factor = min(ratios) if self.kind == "pad" else max(ratios)
        rounded = max(1, round(height * factor)), max(1, round(width * factor))
        within, frame = (min, max)[self.kind == "crop"], (self.height, self.width)
        return within(rounded[0], frame[0]), within(rounded[1], frame[1])

    def enlarges(self, height: int, width: int) -> bool:
        """Whether an image of this size is enlarged on a side."""
        scaled = self.scaled(height, width)
        return scaled[0] > height or scaled[1] > width

    def framed_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the array of an image of this size."""
        return (height, width) if self.tiled else (self.height, self.width)

    def framed(self, pixels: np.ndarray, outside: int) -> np.ndarray:
        """A scaled image or mask with its pads, which are `outside`, or without its edges."""
        if self.kind not in ("pad", "crop"):
            return pixels
        below, right = (max(0, part) for part in self._margins(pixels.shape))
        kept = pixels[self._cut(pixels.shape)]
        after = self.height - kept.shape[0] - below, self.width - kept.shape[1] - right
        margins = ((below, after[0]), (right, after[1]), *(((0, 0),) * (pixels.ndim - 2)))
        return np.pad(kept, margins, constant_values=outside)

    def shown(self, height: int, width: int) -> Region:
        """Rows and columns of an array that show the image, of this size, and not pads."""
        if self.kind != "pad":
            return slice(None), slice(None)
        scaled = self.scaled(height, width)
        top, left = self._margins(scaled)
        return slice(top, top + scaled[0]), slice(left, left + scaled[1])

    def seen(self, height: int, width: int) -> Region:
        """Rows and columns of an image, of this size, that an array shows: all of them but where `crop` cut."""
        if self.kind != "crop":
            return slice(0, height), slice(0, width)
        scaled = self.scaled(height, width)
        rows, columns = self._cut(scaled)
        return (
            slice(round(rows.start * height / scaled[0]), round(rows.stop * height / scaled[0])),
            slice(round(columns.start * width / scaled[1]), round(columns.stop * width / scaled[1])),
        )

    def without_pads(self, mask: np.ndarray, height: int, width: int) -> np.ndarray:
        """A mask of an array, of an image of this size, with `VOID` in place of what it says of pads."""
        if self.kind != "pad":
            return mask
        region = self.shown(height, width)
        found = np.full_like(mask, VOID)
        found[region] = mask[region]
        return found

    def restored(
        self, mask: np.ndarray, height: int, width: int, resize: Callable[[np.ndarray, tuple[int, int]], np.ndarray]
    ) -> np.ndarray:
        """The mask of an array at its image's own size; `VOID` where `crop` cut.

        Parameters
        ----------
        mask
            uint8, as large as the array.
        height, width
            Of the image.
        resize
            From a mask, and height and width, to the mask of that size.
        """
        rows, columns = self.seen(height, width)
        inside = resize(mask[self.shown(height, width)], (rows.stop - rows.start, columns.stop - columns.start))
        if inside.shape == (height, width):
            return inside
        found = np.full((height, width), VOID, mask.dtype)
        found[rows, columns] = inside
        return found

    def words(self) -> str:
        """In words, to follow "images are"."""
        size = f"{self.width} x {self.height} pixels"
        return {
            "stretch": f"stretched to {size}",
            "pad": f"scaled to fit into {size}, and padded",
            "crop": f"scaled to cover {size}, and cropped",
            "tile": f"kept at their own size; networks look at windows of {size}",
        }[self.kind]

    def _margins(self, scaled: Sequence[int]) -> tuple[int, int]:
        """Pads above and to the left; where it is negative, pixels that are cut off there."""
        return (self.height - scaled[0]) // 2, (self.width - scaled[1]) // 2

    def _cut(self, scaled: Sequence[int]) -> Region:
        top, left = (max(0, -part) for part in self._margins(scaled))
        return slice(top, top + min(scaled[0], self.height)), slice(left, left + min(scaled[1], self.width))


def geometry_of(about: Mapping[str, Any]) -> Geometry:
    """The geometry that a data set or a network is described with: `size` ([height, width]) and `geometry`."""
    return Geometry(about["geometry"], *about["size"])


def geometry(kind: Kind, size: int | Sequence[int]) -> Geometry:
    """The geometry that the configuration states; `size` is a side in pixels, or height and width."""
    return Geometry(kind, size, size) if isinstance(size, int) else Geometry(kind, *size)
