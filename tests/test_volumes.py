"""NIfTI volumes as slices: written by nibabel, read as folders of images and masks."""

import sys
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.prepared import open_prepared
from bakeoff.config.schema import Folder
from bakeoff.datasets.folders.prepare import prepare_folder
from bakeoff.datasets.formats import read_folder, recognised
from bakeoff.datasets.formats.reading import Choices
from bakeoff.datasets.preparation.decode import Undecodable, decode
from bakeoff.datasets.preparation.mask_files import stored
from bakeoff.datasets.preparation.volumes import open_folder

SHAPE = (18, 16, 5)  # columns, rows, slices


def write(path: Path, values: np.ndarray, *, slope: float | None = None, second: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = (nibabel.Nifti2Image if second else nibabel.Nifti1Image)(values, np.eye(4))
    if slope is not None:
        image.header.set_slope_inter(slope, -10)
    nibabel.save(image, path)


def volumes(folder: Path, count: int = 3) -> dict[int, np.ndarray]:
    """Volumes of levels -1000 to 2000, and masks of two organs."""
    written = {}
    for number in range(count):
        values = np.random.default_rng(number).integers(-1000, 2000, SHAPE).astype(np.int16)
        write(folder / "images" / f"p{number}.nii.gz", values)
        organs = np.zeros(SHAPE, np.uint8)
        organs[2:9, 3:12] = 1
        organs[11:16, 3:12] = 2
        write(folder / "labels" / f"p{number}.nii.gz", organs)
        written[number] = values
    return written


def test_a_slice_is_columns_to_the_right_and_rows_down(tmp_path: Path) -> None:
    values = np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(np.int16)
    write(tmp_path / "a.nii", values)
    write(tmp_path / "b.nii.gz", values, second=True)
    (tmp_path / "no.nii").write_bytes(b"no volume")
    with open_folder(tmp_path) as tree:
        numbers = range(SHAPE[2])
        slices = [f"slice{number:03d}_{name}.tif" for number in numbers for name in "ab"]
        assert list(tree.names) == ["no.nii", *slices]
        for number in numbers:
            for name in "ab":
                assert np.array_equal(stored(tree.read(f"slice{number:03d}_{name}.tif")).values, values[..., number].T)


def test_the_scale_of_a_volume_is_used_and_of_times_the_first(tmp_path: Path) -> None:
    values = np.zeros((4, 3, 2, 6), np.int16)
    values[..., 0] = 100
    image = nibabel.Nifti1Image(values, np.eye(4))
    image.header.set_slope_inter(0.5, -10)
    image.dataobj[...] = values
    nibabel.save(image, tmp_path / "a.nii.gz")
    with open_folder(tmp_path) as tree:
        assert list(tree.names) == ["slice000_a.tif", "slice001_a.tif"]
        assert list(tree.findings) == []
        first = decode(tree.read("slice000_a.tif"), 1, levels=(0, 100))
        assert first.converted.endswith("first of 6 pages")
        every = decode(tree.read("slice001_a.tif"), 6, levels=(0, 100))
        assert [np.unique(each).tolist() for each in every.pixels.T] == [[102], *[[0]] * 5]
        loaded = np.asarray(nibabel.load(tmp_path / "a.nii.gz").dataobj)[..., 0, 0]
        scaled = decode(tree.read("slice000_a.tif"), 1, levels=(loaded.max() - 1, loaded.max()))
        assert set(scaled.pixels.ravel().tolist()) == {255}


def test_volumes_with_masks_are_a_data_set_and_each_a_group(tmp_path: Path) -> None:
    written = volumes(tmp_path / "scans")
    with zipfile.ZipFile(tmp_path / "scans.zip", "w") as archive:
        for file in (tmp_path / "scans").rglob("*.gz"):
            archive.write(file, file.relative_to(tmp_path / "scans"))
    with open_folder(tmp_path / "scans.zip") as tree:
        assert next(iter(recognised(tree).formats)) == "pairs"
        reading = read_folder(tree, Choices("scans", "pairs"))
    assert reading.classes == {"background": 0, "class 1": 1, "class 2": 2}
    assert {entry.group for entry in reading.entries} == {f"images/p{number}.nii.gz" for number in range(3)}
    entry = Folder.model_validate(
        {
            **{"path": str(tmp_path / "scans.zip"), "format": "pairs", "size": 16, "channels": 1, **reading.choices},
            **{"classes": dict(reading.classes), "duplicates": {"distance": 0}, "levels": [-160, 240]},
        }
    )
    settings = {**entry.model_dump(), "classes": entry.class_values}
    prepare_folder("scans", settings, tmp_path / "prepared")
    data = open_prepared(tmp_path / "prepared")
    assert len(data.index) == 15
    assert data.index["group"].nunique() == 3
    for row, source in enumerate(data.index["source"]):
        number, volume = int(source.split("slice")[1][:3]), int(source[-5])
        expected = np.clip((written[volume][..., number].T + 160.0) * (255 / 400), 0, 255)
        # The 18 columns are shrunk to 16, which keeps the mean.
        assert data.images[row].mean() == pytest.approx(np.rint(expected).mean(), abs=0.6)
    assert set(np.unique(data.true_masks())) == {0, 1, 2}


def test_damage_and_a_missing_package_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volumes(tmp_path, 1)
    write(tmp_path / "cut.nii", np.zeros(SHAPE, np.float32))
    content = (tmp_path / "cut.nii").read_bytes()
    (tmp_path / "cut.nii").write_bytes(content[:400])
    with open_folder(tmp_path) as tree, pytest.raises(Undecodable, match="it is damaged, or no picture"):
        decode(tree.read("slice000_cut.tif"), 1)
    monkeypatch.setitem(sys.modules, "nibabel", None)
    words = r"p0\.nii\.gz needs another package: pip install bakeoff\[nifti\]"
    with pytest.raises(BakeoffError, match=words), open_folder(tmp_path / "images"):
        pass
