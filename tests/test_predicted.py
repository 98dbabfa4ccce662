"""Inputs drawn from masks that a network predicts: each fold's by its own network, which never saw its test images."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.prepared import open_images, open_prepared
from bakeoff.datasets.derived import masks as stage
from bakeoff.datasets.derived.drawing import drawn
from bakeoff.datasets.derived.masks import predicted
from bakeoff.training.torch_network import TorchNetwork
from bakeoff.models import unet
from bakeoff.training.saved import Description, save_network

COUNT, SIDE = 9, 16
SETTINGS = {"channels": [4], "norm": "none"}
TINT = {
    "dataset": "cells",
    "task": "cells",
    "segmenter": {"experiment": "cells-unet", "task": "cells-masks", "model": "unet"},
    "kind": "overlay",
    "style": "tint",
    "colour": [255, 0, 0],
    "opacity": 1.0,
    "width": 1,
}
REGION = {key: TINT[key] for key in ("dataset", "task", "segmenter")} | {"kind": "region", "margin": 0.0}
RED = [255, 0, 0]
# Two folds of nine images; the last is left out.
FOLDS = ("eeeetttv-", "tttveeee-")


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a prepared data set, its split in two folds for both tasks, and no network yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    folder = tmp_path / "cells"
    folder.mkdir()
    rng = np.random.default_rng(0)
    np.save(folder / "images.npy", rng.integers(0, 200, (COUNT, SIDE, SIDE, 1), np.uint8))
    np.save(folder / "masks.npy", rng.integers(0, 2, (COUNT, SIDE, SIDE), np.uint8))
    np.save(folder / "histograms.npy", np.zeros((COUNT, 256), np.uint32))
    pd.DataFrame({"id": [f"{n:03}" for n in range(COUNT)], "group": ""}).to_csv(folder / "index.csv", index=False)
    about = {"name": "cells", "classes": ["background", "cell"], "strata": [], "synthetic": True}
    (folder / "dataset.json").write_text(json.dumps(about))
    write_split("cells.csv", *FOLDS)
    write_split("cells-masks.csv", *FOLDS)
    (tmp_path / "models").mkdir()
    return tmp_path


def write_split(name: str, *folds: str) -> None:
    names = {"t": "train", "v": "validation", "e": "test", "-": ""}
    rows = [(fold, f"{n:03}", names[part]) for fold, parts in enumerate(folds) for n, part in enumerate(parts)]
    pd.DataFrame(rows, columns=["fold", "id", "split"]).to_csv(name, index=False)


def write_network(run: str, logit: float | None = None, **changes: Any) -> None:
    """A network that says the same of every pixel, or, without a logit, what its random weights say."""
    torch.manual_seed(len(run))
    network = unet.build(1, 1, **SETTINGS)
    weights = network.state_dict()
    if logit is not None:
        weights = {key: torch.zeros_like(value) for key, value in weights.items()}
        weights["head.bias"] += logit
    about = {
        **{"architecture": "unet", "settings": SETTINGS, "in_channels": 1, "classes": ["background", "cell"]},
        **{"target": None, "size": SIDE, "mean": [0.5], "std": [0.25], "precision": "fp32"},
    }
    save_network(Path(f"models/{run}.safetensors"), weights, Description(**{**about, **changes}))


def run(settings: dict[str, Any] = TINT) -> list[np.ndarray]:
    """The pictures of every fold."""
    predicted("cells-predicted", settings, *map(Path, ("cells", "cells.csv", "models", "cells-masks.csv", "input")))
    return [np.load(path) for path in sorted(Path("input").glob("*.npy"))]


def images() -> np.ndarray:
    pictures: np.ndarray = np.load("cells/images.npy")
    return np.repeat(pictures, 3, axis=-1)


def test_the_segmenter_of_a_fold_draws_that_fold(cells: Path) -> None:
    write_network("seed0-fold0", 10)
    write_network("seed0-fold1", -10)
    write_network("seed1-fold0", -10)  # of another seed: not asked
    first, second = run()
    assert first.shape == (COUNT, SIDE, SIDE, 3)
    assert first.dtype == np.uint8
    assert (first == RED).all(), "training, test and left-out images alike"
    assert np.array_equal(second, images())


def test_a_classifier_gets_the_pictures_of_its_fold(cells: Path) -> None:
    write_network("seed0-fold0", -10)
    write_network("seed0-fold1", 10)
    run()
    data = open_prepared(Path("cells"))
    assert np.array_equal(open_images(data, Path("input"), 0), images())
    assert (open_images(data, Path("input"), 1) == RED).all()


@pytest.mark.parametrize("at_a_time", [2, 64])
def test_what_is_drawn_is_what_the_network_predicts(
    cells: Path, at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "IMAGES_AT_A_TIME", at_a_time)
    for split in ("cells.csv", "cells-masks.csv"):
        write_split(split, "ttvveeee-")
    write_network("seed0")
    (only,) = run()
    pictures = np.load("cells/images.npy")
    masks = TorchNetwork.open(Path("models/seed0.safetensors")).masks(pictures)
    assert 0 < masks.mean() < 1
    assert np.array_equal(only, drawn(TINT, pictures, masks, 2))
    assert [path.name for path in Path("input").glob("*.npy")] == ["fold0.npy"]


def test_the_true_masks_are_not_looked_at(cells: Path) -> None:
    for fold in (0, 1):
        write_network(f"seed0-fold{fold}")
    before = run()
    masks = np.load("cells/masks.npy")
    np.save("cells/masks.npy", 1 - masks)
    assert all(np.array_equal(a, b) for a, b in zip(before, run(), strict=True))


@pytest.mark.parametrize("keep", ["crop", "masked"])
def test_where_nothing_is_found_or_everything_the_picture_stays_whole(cells: Path, keep: str) -> None:
    write_network("seed0-fold0", -10)
    write_network("seed0-fold1", 10)
    first, second = run({**REGION, "keep": keep})
    assert np.array_equal(first, images())
    assert np.array_equal(second, images())


def test_an_input_says_who_predicted(cells: Path) -> None:
    for fold in (0, 1):
        write_network(f"seed0-fold{fold}", 10)
    run()
    assert sorted(path.name for path in Path("input").iterdir()) == ["fold0.npy", "fold1.npy", "input.json"]
    about = json.loads(Path("input/input.json").read_text())
    assert "predicted by cells-unet, trained on the training images of the same fold" in about.pop("note")
    assert about == {
        "name": "cells-predicted", "kind": "overlay", "settings": TINT, "dataset": "cells", "synthetic": True,
    }  # fmt: skip


# --- refusals


@pytest.mark.parametrize(
    "folds",
    [
        ("teeetttv-", "tttveeee-"),  # trains on a tested image
        ("eeeetttv-", "tttvteee-"),  # in the other fold
        ("veeetttt-", "tttveeee-"),  # chooses by one
        (FOLDS[1], FOLDS[0]),  # the same folds, the other way round
        ("eeeetttv-",),  # of another number
        (*FOLDS, "ttttvvee-"),
    ],
)
def test_a_segmenter_that_saw_tested_images_is_refused(cells: Path, folds: tuple[str, ...]) -> None:
    write_split("cells-masks.csv", *folds)
    for name in ("seed0", "seed0-fold0", "seed0-fold1", "seed0-fold2"):
        write_network(name, 10)
    words = (
        r"^params\.yaml: predicted_inputs\.cells-predicted: the segmenter was trained on images that the task tests: "
        r"give both tasks the same split\.$"
    )
    with pytest.raises(BakeoffError, match=words):
        run()
    assert not Path("input").exists()


def test_a_segmenter_that_learned_from_fewer_images_is_fine(cells: Path) -> None:
    write_split("cells-masks.csv", "eeeett-v-", "t-tveeee-")
    for fold in (0, 1):
        write_network(f"seed0-fold{fold}", 10)
    assert len(run()) == 2


@pytest.mark.parametrize("change", [{"classes": ["background", "nucleus"]}, {"target": "film"}])
def test_a_network_of_other_classes_is_refused_and_what_was_there_stays(cells: Path, change: dict[str, Any]) -> None:
    for fold in (0, 1):
        write_network(f"seed0-fold{fold}", 10)
    before = run()
    write_network("seed0-fold1", 10, **change)
    with pytest.raises(BakeoffError, match=r"models/seed0-fold1\.safetensors does not predict the masks of cells"):
        run()
    assert all(np.array_equal(np.load(f"input/fold{fold}.npy"), before[fold]) for fold in (0, 1))
    assert not list(cells.glob(".*.part"))


def test_a_network_that_is_missing_is_named(cells: Path) -> None:
    write_network("seed0-fold0", 10)
    with pytest.raises(BakeoffError, match=r"models/seed0-fold1\.safetensors is missing: run the stage that fits"):
        run()
    assert not Path("input").exists()
