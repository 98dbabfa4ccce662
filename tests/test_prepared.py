"""A prepared data set and its folds, as every later stage reads them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.prepared import open_prepared, read_folds
from bakeoff.artefacts.prepared import tested_rows as rows_tested  # pytest takes what begins with test for a test

IDS = ["0003", "0010", "0020", "0100"]


def write_prepared(folder: Path, *, masks: bool = True, **labels: list[str]) -> Path:
    """Four pictures of 2 x 2 pixels, each of one grey level, 0 to 3."""
    folder.mkdir()
    grey = np.repeat(np.arange(4, dtype=np.uint8), 4).reshape(4, 2, 2)
    np.save(folder / "images.npy", grey[..., None])
    np.save(folder / "histograms.npy", np.zeros((4, 256), np.uint32))
    if masks:
        np.save(folder / "masks.npy", grey % 2)
    index = {"id": IDS, "group": IDS, **labels, "source": "x.png", "original_height": 20, "original_width": 30}
    pd.DataFrame(index).to_csv(folder / "index.csv", index=False)
    about = {"classes": ["background", "cell"], "targets": list(labels), "strata": list(labels), "geometry": "stretch"}
    about |= {"size": [2, 2], "channels": 1}
    (folder / "dataset.json").write_text(json.dumps(about))
    return folder


def write_split(path: Path, *folds: str, ids: list[str] = IDS) -> Path:
    """A split whose folds are words of one letter an image: r trains, v chooses, e tests, - is left out."""
    parts = {"r": "train", "v": "validation", "e": "test", "-": ""}
    rows = [
        (fold, id_, parts[letter])
        for fold, word in enumerate(folds)
        for id_, letter in zip(ids, word, strict=True)
    ]  # fmt: skip
    pd.DataFrame(rows, columns=["fold", "id", "split"]).to_csv(path, index=False)
    return path


# -- a data set -------------------------------------------------------------------------------------------------------


def test_what_was_written_is_read_and_stays_on_disk(tmp_path: Path) -> None:
    data = open_prepared(write_prepared(tmp_path / "cells", kind=["a", "b", "a", "b"]))
    assert data.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert data.true_masks()[:, 0, 0].tolist() == [0, 1, 0, 1]
    assert all(isinstance(each, np.memmap) for each in (data.images, data.masks, data.histograms))
    assert (data.classes, data.strata) == (["background", "cell"], ["kind"])
    assert data.targets("kind") == ["a", "b"]


def test_names_and_labels_are_text_whatever_they_look_like(tmp_path: Path) -> None:
    labels = {"grade": ["0", "1", "0", "1"], "stained": ["True", "False", "NA", ""]}
    data = open_prepared(write_prepared(tmp_path / "cells", **labels))
    assert data.index["id"].tolist() == data.index["group"].tolist() == IDS
    assert data.index["grade"].tolist() == ["0", "1", "0", "1"]
    assert data.index["stained"].tolist() == ["True", "False", "NA", ""]
    assert data.index["original_height"].tolist() == [20] * 4
    assert data.targets("grade") == ["0", "1"]


@pytest.mark.parametrize("name", ["images.npy", "histograms.npy", "index.csv", "dataset.json"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    folder = write_prepared(tmp_path / "cells")
    (folder / name).unlink()
    with pytest.raises(BakeoffError, match=rf"cells/{name} is missing: run"):
        open_prepared(folder)


def test_an_array_with_objects_inside_is_never_unpickled(tmp_path: Path) -> None:
    folder = write_prepared(tmp_path / "cells")
    np.save(folder / "images.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"[Pp]ickle|Python objects"):
        open_prepared(folder)


def test_a_data_set_may_have_no_masks(tmp_path: Path) -> None:
    data = open_prepared(write_prepared(tmp_path / "cells", masks=False))
    assert data.masks is None
    with pytest.raises(BakeoffError, match=r"cells has no masks: its tasks are of kind classification"):
        data.true_masks()


def test_a_label_that_cannot_be_predicted_is_named(tmp_path: Path) -> None:
    data = open_prepared(write_prepared(tmp_path / "cells", kind=["a"] * 4))
    with pytest.raises(BakeoffError, match=r"cells has no label 'species' to predict: it has \['kind'\]"):
        data.targets("species")
    with pytest.raises(BakeoffError, match=r"every image of .*cells has kind a: there is nothing to tell apart"):
        data.targets("kind")


# -- its folds --------------------------------------------------------------------------------------------------------


def test_one_fold_without_cross_validation(tmp_path: Path) -> None:
    data = open_prepared(write_prepared(tmp_path / "cells"))
    (fold,) = read_folds(write_split(tmp_path / "cells.csv", "ervr"), data)
    assert (fold.number, fold.train.tolist(), fold.validation.tolist(), fold.test.tolist()) == (0, [1, 3], [2], [0])
    assert rows_tested([fold]).tolist() == [0]


def test_every_fold_has_its_own_parts_and_left_out_images_are_in_none(tmp_path: Path) -> None:
    data = open_prepared(write_prepared(tmp_path / "cells"))
    folds = read_folds(write_split(tmp_path / "cells.csv", "rv-e", "er-v"), data)
    assert [fold.number for fold in folds] == [0, 1]
    assert [[part.tolist() for part in (fold.train, fold.validation, fold.test)] for fold in folds] == [
        [[0], [1], [3]], [[1], [3], [0]],
    ]  # fmt: skip
    assert rows_tested(folds).tolist() == [0, 3]


def test_a_missing_split_is_named_with_the_command_that_makes_it(tmp_path: Path) -> None:
    data = open_prepared(write_prepared(tmp_path / "cells"))
    with pytest.raises(BakeoffError, match=r"cells\.csv is missing: run `dvc repro split@cells`"):
        read_folds(tmp_path / "cells.csv", data)


@pytest.mark.parametrize("ids", [["0003", "0010", "0020", "0101"], ["0010", "0003", "0020", "0100"], IDS[:3]])
def test_a_split_of_other_images_is_refused(tmp_path: Path, ids: list[str]) -> None:
    data = open_prepared(write_prepared(tmp_path / "cells"))
    path = write_split(tmp_path / "cells.csv", "rrve"[-len(ids) :], ids=ids)
    with pytest.raises(BakeoffError, match=r"cells\.csv is of other images than .*cells: run `dvc repro split@cells`"):
        read_folds(path, data)
