"""Predictions survive the way to disk and back, and a half-written or foreign folder is refused."""

from pathlib import Path

import numpy as np
import pytest
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.predictions import read_predictions, write_predictions

IDS = ["007", "b", "NA"]  # names that a careless reader turns into 7 and NaN


def masks(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, (3, 4, 6), np.uint8)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    by_seed = {2: masks(2), 0: masks(0)}
    write_predictions(tmp_path / "new", IDS, by_seed, {"foreground": [0, 0, 1, 1, 2, 2]})
    found = read_predictions(tmp_path / "new")
    assert found.ids == IDS
    assert list(found.masks) == [0, 2]
    for seed, expected in by_seed.items():
        assert isinstance(found.masks[seed], np.memmap)
        assert np.array_equal(found.masks[seed], expected)
    assert found.table["id"].tolist() == IDS * 2
    assert found.table["seed"].tolist() == [0, 0, 0, 2, 2, 2]
    assert found.table["foreground"].tolist() == ["0", "0", "1", "1", "2", "2"]


def test_a_rest_of_a_killed_run_is_swept_away(tmp_path: Path) -> None:
    rest = tmp_path / ".seed0.part"
    rest.mkdir()
    (rest / "masks.npy").write_bytes(b"half")
    write_predictions(tmp_path, IDS, {0: masks(0)})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["predictions.csv", "seed0"]


@pytest.mark.parametrize(
    ("by_seed", "message"),
    [
        ({0: masks(0)[:2]}, r"for 3 images"),
        ({0: masks(0).astype(np.int64)}, "int64"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    tmp_path: Path, by_seed: dict[int, np.ndarray], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        write_predictions(tmp_path / "new", IDS, by_seed)
    assert not (tmp_path / "new").exists()


def test_a_column_of_the_wrong_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="same length"):
        write_predictions(tmp_path, IDS, {0: masks(0)}, {"note": [""]})


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(BakeoffError, match=r"predictions.csv is missing"):
        read_predictions(tmp_path)
    write_predictions(tmp_path, IDS, {0: masks(0)})
    (tmp_path / "seed0" / "masks.npy").unlink()
    with pytest.raises(BakeoffError, match=r"seed0/masks.npy is missing"):
        read_predictions(tmp_path)


def test_masks_of_another_run_are_refused(tmp_path: Path) -> None:
    write_predictions(tmp_path, IDS, {0: masks(0)})
    np.save(tmp_path / "seed0" / "masks.npy", masks(0)[:2])
    with pytest.raises(BakeoffError, match="do not hold the same images"):
        read_predictions(tmp_path)


def test_an_array_with_objects_inside_is_never_unpickled(tmp_path: Path) -> None:
    write_predictions(tmp_path, IDS, {0: masks(0)})
    np.save(tmp_path / "seed0" / "masks.npy", np.array([{}, {}, {}], object), allow_pickle=True)
    with pytest.raises(BakeoffError, match=r"masks.npy cannot be read"):
        read_predictions(tmp_path)
