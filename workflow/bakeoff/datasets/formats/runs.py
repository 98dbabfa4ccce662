"""Binary masks in run lengths, of three kinds of annotation file, all kept as COCO's compressed ones."""

import re
from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco

from bakeoff.datasets.formats.reading import Runs
from bakeoff.datasets.preparation.samples import MAXIMUM_PIXELS

# Digits of five bits and a sixth that says that more follow; no number of 32 bits has more than seven. What breaks off
# in a number is not for pycocotools, which reads on behind its end.
_WHOLE_NUMBERS = re.compile(rb"(?:[P-o]{0,6}[0-O])*")


def from_mask(mask: np.ndarray) -> Runs:
    """Run lengths of a mask, bool or uint8 (H, W)."""
    height, width = mask.shape
    return Runs(height, width, coco.encode(np.asfortranarray(mask, np.uint8))["counts"])


def to_mask(runs: Runs) -> np.ndarray:
    """The mask, bool (H, W).

    Raises
    ------
    ValueError
        If the lengths make another number of pixels.
    """
    mask = coco.decode({"size": [runs.height, runs.width], "counts": runs.counts})
    return mask.astype(bool)


def area(runs: Runs) -> int:
    """Pixels that are covered."""
    return int(coco.area({"size": [runs.height, runs.width], "counts": runs.counts}))


def from_counts(counts: Sequence[int], height: int, width: int) -> Runs:
    """COCO's uncompressed run lengths: down the columns, beginning with those that are not covered.

    Raises
    ------
    ValueError
        If the lengths are not those of an image of this size.
    """
    lengths = _lengths(counts, height, width)
    return Runs(height, width, coco.frPyObjects({"size": [height, width], "counts": lengths}, height, width)["counts"])


def from_compressed(counts: str | bytes, height: int, width: int) -> Runs:
    """COCO's compressed run lengths.

    Raises
    ------
    ValueError
        If these are none.
    """
    _require_size(height, width)
    plain = counts.encode() if isinstance(counts, str) else counts
    if not _WHOLE_NUMBERS.fullmatch(plain):
        raise ValueError("what should be compressed run lengths is none")
    return Runs(height, width, plain)


def from_box(counts: Sequence[int], box: tuple[int, int, int, int], height: int, width: int) -> Runs:
    """CVAT's run lengths: along the rows of a box (left, top, width, height), beginning with those not covered.

    Raises
    ------
    ValueError
        If the lengths are not those of the box, or the box leaves the image.
    """
    left, top, box_width, box_height = box
    if not (0 <= left <= left + box_width <= width and 0 <= top <= top + box_height <= height):
        raise ValueError(f"the mask's box leaves the image of {width} x {height} pixels")
    lengths = _lengths(counts, box_height, box_width)
    inside = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(box_height, box_width)
    mask = np.zeros((height, width), bool)
    mask[top : top + box_height, left : left + box_width] = inside
    return from_mask(mask)


def from_label_studio(data: Sequence[int], height: int, width: int) -> Runs:
    """Label Studio's run lengths of a brush: those of the bytes of an RGBA picture, of which opacity counts.

    The bits are: 32 that count the values, 5 of the size of a value less one, 4 times 4 of the sizes of a length less
    one; then runs, each of a bit that says whether one value is repeated, 2 bits that choose the size of its length,
    the length less one, and the value or values. A pixel is covered if it is at least half opaque.

    Raises
    ------
    ValueError
        If it breaks off, or is of an image of another size.

    References
    ----------
    The package rle-pack of thi.ng/umbrella.
    """
    _require_size(height, width)
    reader = _Bits(bytes(data))
    count, size = reader.number(32), reader.number(5) + 1
    if count != height * width * 4 or size != 8:
        raise ValueError(f"the brush's run lengths are not of an RGBA picture of {width} x {height} pixels")
    sizes = [reader.number(4) + 1 for _ in range(4)]
    values, position = np.empty(count, np.uint8), 0
    while position < count:
        repeated = reader.number(1)
        length = reader.number(sizes[reader.number(2)]) + 1
        end = min(position + length, count)
        values[position:end] = reader.number(8) if repeated else reader.octets(length)[: end - position]
        position = end
    return from_mask(values.reshape(height, width, 4)[..., 3] >= 128)


class _Bits:
    """Numbers of any size out of bytes, the highest bit first."""

    def __init__(self, data: bytes) -> None:
        self._bits = np.unpackbits(np.frombuffer(data, np.uint8))
        self._text = (self._bits + ord("0")).tobytes()
        self._position = 0

    def number(self, size: int) -> int:
        return int(self._text[self._advance(size) : self._position], 2)

    def octets(self, count: int) -> np.ndarray:
        return np.packbits(self._bits[self._advance(8 * count) : self._position])

    def _advance(self, size: int) -> int:
        start, self._position = self._position, self._position + size
        if self._position > len(self._text):
            raise ValueError("the brush's run lengths break off")
        return start


def _lengths(counts: Sequence[int], height: int, width: int) -> list[int]:
    _require_size(height, width)
    lengths = [int(count) for count in counts]
    if min(lengths, default=0) < 0 or sum(lengths) != height * width:
        raise ValueError(f"the run lengths make {sum(lengths):,} pixels and not {width} x {height}")
    return lengths


def _require_size(height: int, width: int) -> None:
    if not (height > 0 and width > 0 and height * width <= MAXIMUM_PIXELS):
        raise ValueError(f"a mask of {width} x {height} pixels is none or too large")
