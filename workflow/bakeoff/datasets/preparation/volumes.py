"""NIfTI volumes as folders have them: each slice is an image, and a volume's slices are a group."""

import gzip
import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bakeoff.artefacts.channels import MOST_CHANNELS
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.archives.archive import MAX_MEMBER_BYTES
from bakeoff.datasets.archives.records import Finding
from bakeoff.datasets.archives.tree import Tree, open_tree

SUFFIXES = (".nii", ".nii.gz")
_GZIP = b"\x1f\x8b"
_HEADER_BYTES = 540
# Unpacked volumes that are kept: an image's and its mask's.
_KEPT = 2


class _Slice(NamedTuple):
    volume: str
    number: int


class SlicedTree(Tree):
    """A tree in which every NIfTI volume is its slices along the last axis of space, as TIFFs.

    `images/a.nii.gz` becomes `images/slice000_a.tif`, `images/slice001_a.tif`, ... so that names still pair an image
    with its mask. Several volumes in a file (times, echoes) are pages of these TIFFs, of which nobody says whether they
    are channels; of more than `MOST_CHANNELS` the first counts.

    Attributes
    ----------
    volumes
        By name of a slice, the file that it is of.
    """

    def __init__(self, tree: Tree) -> None:
        slices: dict[str, _Slice] = {}
        findings = list(tree.findings)
        whole = []
        for name in tree.names:
            shape = _shape(tree.read(name)) if name.lower().endswith(SUFFIXES) else None
            if shape is None:
                whole.append(name)
                continue
            _require_nibabel(name)
            folder, slash, last = name.rpartition("/")
            stem = last[: last.lower().rindex(".nii")]
            for number in range(shape[2]):
                slices[f"{folder}{slash}slice{number:03d}_{stem}.tif"] = _Slice(name, number)
            if (volumes := int(np.prod(shape[3:]))) > MOST_CHANNELS:
                findings.append(Finding(name, "several volumes", "converted", f"first of {volumes} volumes"))
        self.volumes = {name: each.volume for name, each in slices.items()}
        opened = lru_cache(_KEPT)(lambda name: _volume(tree.read(name), name))

        def read(name: str) -> bytes:
            return _tiff(opened(slices[name].volume), slices[name]) if name in slices else tree.read(name)

        super().__init__(tree.path, [*whole, *slices], read, findings)


@contextmanager
def open_folder(path: Path) -> Iterator[Tree]:
    """Open a folder or a zip of images, in which volumes are their slices.

    Raises
    ------
    BakeoffError
        As `open_tree`, or if there are volumes and nibabel is not installed.
    """
    with open_tree(path) as tree:
        yield SlicedTree(tree) if any(name.lower().endswith(SUFFIXES) for name in tree.names) else tree


def _require_nibabel(name: str) -> None:
    try:
        import nibabel  # noqa: F401
    except ImportError:
        raise BakeoffError(f"{name} needs another package: pip install bakeoff[nifti].") from None


def _shape(data: bytes) -> tuple[int, ...] | None:
    """Numbers of samples along at least three axes; None of what is no NIfTI file. Source: NIfTI-1 and 2, `dim`."""
    try:
        header = gzip.GzipFile(fileobj=io.BytesIO(data)).read(_HEADER_BYTES) if data[:2] == _GZIP else data
    except (OSError, EOFError):
        return None
    for size, at, form in ((348, 40, "8h"), (540, 16, "8q")):
        for order in "<>":
            if len(header) >= at + struct.calcsize(form) and struct.unpack_from(f"{order}i", header)[0] == size:
                axes, *counts = struct.unpack_from(f"{order}{form}", header, at)
                if 1 <= axes <= 7 and min(counts[:axes]) > 0:
                    return (*counts[:axes], *(1,) * (3 - axes))
    return None


def _volume(data: bytes, name: str) -> Any:
    import nibabel

    if data[:2] == _GZIP:
        data = gzip.GzipFile(fileobj=io.BytesIO(data)).read(MAX_MEMBER_BYTES + 1)
    if len(data) > MAX_MEMBER_BYTES:
        raise BakeoffError(f"{name} has more than the {MAX_MEMBER_BYTES:,} bytes allowed: divide it.")
    second = 540 in (struct.unpack_from(order, data)[0] for order in ("<i", ">i"))
    kind = nibabel.Nifti2Image if second else nibabel.Nifti1Image
    return kind.from_bytes(data)


def _tiff(volume: Any, each: _Slice) -> bytes:
    """A slice with the scale of its volume, columns to the right and rows down, as a TIFF of a page a volume."""
    import tifffile

    try:
        further = int(np.prod(volume.shape[3:]))
        first = (0,) * (len(volume.shape) - 3) if further > MOST_CHANNELS else ()
        place = (slice(None), slice(None), each.number, *first)[: len(volume.shape)]
        pixels = np.asarray(volume.dataobj[place]).reshape(*volume.shape[:2], -1).T
    # What a damaged file raises is not of one kind; whoever decodes the slice says that it is none.
    except Exception as error:
        return f"{each.volume} is damaged: {error}".encode()
    if pixels.dtype == np.float64:
        pixels = pixels.astype(np.float32)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.ascontiguousarray(pixels), photometric="minisblack")
    return buffer.getvalue()
