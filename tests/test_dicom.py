"""DICOM: rescaled values and windows, by the standard's formula and against pydicom's own."""

import io
import sys
from typing import Any

import numpy as np
import pytest
from bakeoff.datasets.preparation.decode import Undecodable, decode, header
from bakeoff.datasets.preparation.depth import measure_levels
from bakeoff.datasets.preparation.mask_files import stored
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut, apply_windowing
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEGLosslessSV1, generate_uid

LEVELS = np.array([[0, 24, 1024, 1064, 2047, 4095]], np.uint16)


def dataset(pixels: np.ndarray = LEVELS, bits: int = 12, **tags: Any) -> Dataset:
    found = Dataset()
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found.SOPClassUID, found.SOPInstanceUID = CTImageStorage, generate_uid()
    found.Rows, found.Columns = pixels.shape[-3:-1] if tags.get("SamplesPerPixel") == 3 else pixels.shape[-2:]
    found.SamplesPerPixel, found.PhotometricInterpretation = 1, "MONOCHROME2"
    found.BitsAllocated = 8 * pixels.itemsize
    found.BitsStored, found.HighBit = bits, bits - 1
    found.PixelRepresentation = int(pixels.dtype.kind == "i")
    found.PixelData = pixels.tobytes()
    for name, value in tags.items():
        setattr(found, name, value)
    return found


def dicom(pixels: np.ndarray = LEVELS, bits: int = 12, **tags: Any) -> bytes:
    buffer = io.BytesIO()
    dataset(pixels, bits, **tags).save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


CT = {"RescaleSlope": 1, "RescaleIntercept": -1024, "WindowCenter": 40, "WindowWidth": 400}


def test_the_window_is_the_standards() -> None:
    found = decode(dicom(**CT), 1)
    values = LEVELS.astype(np.float64) - 1024
    # DICOM PS3.3, C.11.2.1.2.1, to 0 and 255.
    expected = np.clip(((values - 39.5) / 399 + 0.5) * 255, 0, 255)
    assert np.array_equal(found.pixels[..., 0], np.rint(expected))
    assert found.converted == "DICOM of 12 bits to L, levels -160 to 239"
    assert header(dicom(**CT))[:3] == (6, 1, "DICOM")


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT"])
@pytest.mark.parametrize("slope", [1, 2, 0.5])
def test_the_window_is_pydicoms(function: str, slope: float) -> None:
    pixels = np.random.default_rng(0).integers(0, 4096, (16, 16), np.uint16)
    tags = {**CT, "RescaleSlope": slope, "VOILUTFunction": function, "WindowWidth": 3000}
    shown = apply_windowing(apply_modality_lut(pixels, dataset(pixels, **tags)), dataset(pixels, **tags))
    # pydicom's scale is that of the values that 12 bits can have.
    low, high = -1024, 4095 * slope - 1024
    expected = (shown - low) / (high - low) * 255
    assert np.abs(decode(dicom(pixels, **tags), 1).pixels[..., 0] - expected).max() <= 0.51


def test_levels_take_the_place_of_the_window() -> None:
    found = decode(dicom(**CT), 1, levels=(-1024, 3071))
    assert np.array_equal(found.pixels[..., 0], np.rint(LEVELS * (255 / 4095)))


def test_without_a_window_levels_are_measured() -> None:
    plain = dicom(RescaleSlope=1, RescaleIntercept=-1024)
    assert measure_levels([dicom(**CT)]) is None
    low, high = measure_levels([plain]) or (0, 0)
    assert (low, high) == pytest.approx((-1023.88, 3060.76), abs=0.01)
    assert "levels below 0 as black" in decode(plain, 1).converted


def test_where_zero_is_white_values_and_window_are_mirrored() -> None:
    inverted = decode(dicom(PhotometricInterpretation="MONOCHROME1"), 1)
    assert np.array_equal(inverted.pixels[..., 0], np.rint((4095 - LEVELS) * (255 / 4095)))
    assert "0 is white" in inverted.converted
    windowed = [decode(dicom(**CT, PhotometricInterpretation=f"MONOCHROME{kind}"), 1).pixels for kind in (1, 2)]
    assert np.abs(windowed[0].astype(int) + windowed[1] - 255).max() <= 1


def test_values_with_a_sign_colours_and_frames() -> None:
    signed = np.array([[-1000, 0, 239]], np.int16)
    window = {"WindowCenter": 40, "WindowWidth": 400}
    assert decode(dicom(signed, 16, **window), 1).pixels[..., 0].tolist() == [[0, 102, 255]]
    colours = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    rgb = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    assert np.array_equal(decode(dicom(colours, 8, **rgb), 3).pixels, colours)
    frames = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    found = decode(dicom(frames, 8, NumberOfFrames=2), 1)
    assert np.array_equal(found.pixels[..., 0], frames[0])
    assert "first of 2 frames" in found.converted


def test_masks_are_as_they_are_stored() -> None:
    numbers = np.array([[0, 1], [300, 0]], np.uint16)
    assert np.array_equal(stored(dicom(numbers, 16)).values, numbers)


def test_what_cannot_be_read_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Undecodable, match="its pixels, packed as Explicit VR Little Endian, cannot be read"):
        decode(dicom()[:-4], 1)
    with pytest.raises(Undecodable, match="a DICOM file without a picture"):
        decode(bytes(128) + b"DICM", 1)
    packed = dataset()
    packed.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    packed.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
    packed["PixelData"].VR = "OB"
    buffer = io.BytesIO()
    packed.save_as(buffer, enforce_file_format=True)
    with pytest.raises(Undecodable, match=r"packed as JPEG Lossless, .*, cannot be read: .* requires ") as caught:
        decode(buffer.getvalue(), 1)
    assert "\n" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(Undecodable, match=r"DICOM needs another package: pip install bakeoff\[dicom\]"):
        decode(dicom_before_it_is_gone, 1)


dicom_before_it_is_gone = dicom()
