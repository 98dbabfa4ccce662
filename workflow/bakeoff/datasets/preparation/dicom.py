"""DICOM: the samples of the first frame in the units of the modality, and the window that shows them."""

import io
from typing import Any

import numpy as np

from bakeoff.datasets.preparation.samples import MAXIMUM_PIXELS, Samples, Undecodable

_START, _AT = b"DICM", 128
_INVERTED = "MONOCHROME1"


def is_dicom(data: bytes) -> bool:
    """Whether the bytes begin like a DICOM file."""
    return data[_AT : _AT + len(_START)] == _START


def dicom_size(data: bytes) -> tuple[int, int]:
    """Width and height.

    Raises
    ------
    Undecodable
        As for `read_dicom`.
    """
    dataset = _dataset(data, pixels=False)
    return int(dataset.Columns), int(dataset.Rows)


def read_dicom(data: bytes) -> Samples:
    """Read the first frame: stored values with rescale slope and intercept, and the first window.

    Where 0 is white (MONOCHROME1) values and window are mirrored, so that the higher is the brighter.

    Raises
    ------
    Undecodable
        If it is damaged, too large, has no pixels, or is packed in a way that needs another package; or if pydicom is
        not installed.
    """
    dataset = _dataset(data)
    frames = int(dataset.get("NumberOfFrames") or 1)
    stored, notes = _pixels(dataset), (f"first of {frames} frames",) if frames > 1 else ()
    bits = int(dataset.BitsStored)
    if stored.ndim == 3:
        return Samples(stored, "rgb", "RGB" if bits == 8 else f"RGB of {bits} bits", bits, notes=notes)
    if dataset.PhotometricInterpretation not in ("MONOCHROME2", _INVERTED):
        raise Undecodable(f"DICOM pixels of the kind {dataset.PhotometricInterpretation} are not read")
    slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
    values, window = _rescaled(stored, slope, intercept), _window(dataset)
    if dataset.PhotometricInterpretation == _INVERTED:
        mirror = slope * (-1 if int(dataset.PixelRepresentation) else (1 << bits) - 1) + 2 * intercept
        values = (mirror - values.astype(np.float64)).astype(np.float32 if values.dtype.kind == "f" else np.int32)
        window = window and (mirror - window[1], mirror - window[0])
        notes = ("0 is white", *notes)
    deep = bits > 8 or window is not None or values.dtype.kind == "f"
    return Samples(values[..., None], "grey", f"DICOM of {bits} bits", 16 if deep else bits, notes=notes, window=window)


def _dataset(data: bytes, *, pixels: bool = True) -> Any:
    try:
        import pydicom
    except ImportError:
        raise Undecodable("DICOM needs another package: pip install bakeoff[dicom]") from None
    try:
        dataset = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=not pixels)
        size = int(dataset.Rows) * int(dataset.Columns)
    # What a damaged file raises is not of one kind.
    except Exception as error:
        raise Undecodable(f"a DICOM file without a picture: {error}") from error
    if size >= MAXIMUM_PIXELS:
        raise Undecodable(
            f"{dataset.Columns} x {dataset.Rows} pixels, above the limit of {MAXIMUM_PIXELS / 1e6:.0f} million"
        )
    return dataset


def _pixels(dataset: Any) -> np.ndarray:
    """The first frame, (H, W) or RGB (H, W, 3)."""
    from pydicom.pixels import pixel_array

    try:
        return pixel_array(dataset, index=0)
    except Exception as error:
        packed = getattr(getattr(dataset.file_meta, "TransferSyntaxUID", None), "name", "an unknown way")
        reason = " ".join(str(error).split()) or type(error).__name__  # one line, also of a list of packages
        raise Undecodable(f"its pixels, packed as {packed}, cannot be read: {reason}") from error


def _rescaled(stored: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    if (slope, intercept) == (1, 0):
        return stored
    if slope.is_integer() and intercept.is_integer():
        return stored.astype(np.int32) * np.int32(slope) + np.int32(intercept)
    return stored.astype(np.float32) * np.float32(slope) + np.float32(intercept)


def _window(dataset: Any) -> tuple[float, float] | None:
    """What the first window shows as black and white. Source: DICOM PS3.3, C.11.2.1.2."""
    centre, width = (_first(dataset.get(key)) for key in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None or width <= 0:
        return None
    if dataset.get("VOILUTFunction", "LINEAR") == "LINEAR_EXACT":
        return centre - width / 2, centre + width / 2
    half = max(width - 1, 1e-6) / 2
    return centre - 0.5 - half, centre - 0.5 + half


def _first(value: Any) -> float | None:
    if value is None or value == "":
        return None
    return float(value if isinstance(value, int | float | str) else next(iter(value), 0))
