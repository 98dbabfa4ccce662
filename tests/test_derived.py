"""Masks that networks predict, and the data sets derived from them: nobody is masked by a network that saw them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.layout import Project
from bakeoff.artefacts.prepared import Fold, open_images, open_prepared, read_folds
from bakeoff.datasets.derived import derive as derive_stage
from bakeoff.datasets.derived import masks as stage
from bakeoff.datasets.derived.derive import derive
from bakeoff.datasets.derived.drawing import drawn
from bakeoff.datasets.derived.masks import inner_parts, predict_masks_of
from bakeoff.models import unet
from bakeoff.training.saved import Description, save_network
from bakeoff.training.torch_network import TorchNetwork

COUNT, SIDE = 25, 16
CLASSES = ["background", *(f"cell{n}" for n in range(1, 9))]
MODEL: dict[str, Any] = {"channels": [4], "norm": "none"}
SEGMENTER = {
    **{"experiment": "cells-unet", "dataset": "cells", "task": "cells-masks", "images": "cells", "model": "unet"},
    **{"weights": "none", "recipe": "r", "settings": MODEL, "masks": False},
}
SETTINGS = {"dataset": "cells", "task": "cells", "segmenter": SEGMENTER}
RECIPE: dict[str, Any] = {
    **{"epochs": 1, "patience": 1, "batch_size": 4, "optimizer": "adam", "learning_rate": 0.01, "weight_decay": 0.0},
    **{"schedule": "constant", "warmup_epochs": 0, "frozen_epochs": 0, "discriminative": False, "precision": "fp32"},
    **{"encoder_learning_rate_factor": 1.0, "class_weights": "none", "label_smoothing": 0.0},
    "augmentation": dict.fromkeys(("rotate", "scale", "translate", "brightness", "contrast", "gamma"), 0)
    | {"flip": False},
}
INPUTS = {"stage": "masks@cells-predicted", "deps": {"data/prepared/cells": "1.dir"}, "params": {"profile": "sample"}}
# Two folds of 24 images in 12 pairs of near-duplicates; the last image is left out.
FOLDS = ("e" * 10 + "t" * 10 + "v" * 4 + "-", "v" * 4 + "t" * 8 + "e" * 12 + "-")
GROUPS = np.arange(COUNT) // 2
TINT = {
    **{"dataset": "cells", "masks": "cells-predicted", "variant": "in-sample", "seed": 0, "kind": "overlay"},
    **{"style": "tint", "colour": [255, 0, 0], "opacity": 1.0, "width": 1},
}
REGION = {key: TINT[key] for key in ("dataset", "masks", "variant", "seed")} | {"kind": "region", "margin": 0.0}
RED = [255, 0, 0]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A prepared data set of masks with 9 classes, its split in two folds for both tasks, and no network yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    project = Project()
    folder = project.prepared("cells")
    folder.mkdir(parents=True)
    project.split("cells").parent.mkdir()
    rng = np.random.default_rng(0)
    np.save(folder / "images.npy", rng.integers(0, 200, (COUNT, SIDE, SIDE, 1), np.uint8))
    np.save(folder / "masks.npy", rng.integers(0, len(CLASSES), (COUNT, SIDE, SIDE), np.uint8))
    np.save(folder / "histograms.npy", np.zeros((COUNT, 256), np.uint32))
    groups = [f"g{group}" for group in GROUPS]
    pd.DataFrame({"id": [f"{n:03}" for n in range(COUNT)], "group": groups}).to_csv(folder / "index.csv", index=False)
    about = {"name": "cells", "title": "Cells", "classes": CLASSES, "strata": [], "targets": [], "synthetic": True}
    about |= {"geometry": "stretch", "size": [SIDE, SIDE], "channels": 1}
    (folder / "dataset.json").write_text(json.dumps(about))
    write_split("cells", *FOLDS)
    write_split("cells-masks", *FOLDS)
    segmenter = project.experiment("cells-masks", "cells-unet", "networks")
    segmenter.models.mkdir(parents=True)
    segmenter.predictions.mkdir()
    (segmenter.predictions / "cost.json").write_text(json.dumps({"latency_ms": 3.0}))
    return project


def write_split(task: str, *folds: str) -> None:
    names = {"t": "train", "v": "validation", "e": "test", "-": ""}
    rows = [(fold, f"{n:03}", names[part]) for fold, parts in enumerate(folds) for n, part in enumerate(parts)]
    table = pd.DataFrame(rows, columns=["fold", "id", "split"])
    table.to_csv(Project().split(task), index=False)


def description(**changes: Any) -> Description:
    of_cells = Description("unet", MODEL, 1, CLASSES, None, [SIDE, SIDE], "stretch", [0.5], [0.25], "fp32")
    return replace(of_cells, **changes)


def weights(says: int | None = None) -> dict[str, torch.Tensor]:
    """Of a network that says the same class of every pixel, or what its random weights say."""
    torch.manual_seed(1)
    state: dict[str, torch.Tensor] = unet.build(1, len(CLASSES), **MODEL).state_dict()
    if says is None:
        return state
    state = {key: torch.zeros_like(value) for key, value in state.items()}
    state["head.bias"][says] += 10
    return state


def models() -> Path:
    return Project().experiment("cells-masks", "cells-unet", "networks").models


def write_network(run: str, says: int | None = None, **changes: Any) -> None:
    save_network(models() / f"{run}.safetensors", weights(says), description(**changes))


@dataclass
class Training:
    """What an inner network was trained on, and the class that it says of every pixel."""

    fold: int
    learned: np.ndarray
    chosen_by: np.ndarray
    says: int

    @property
    def seen(self) -> np.ndarray:
        return np.concatenate([self.learned, self.chosen_by])


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[Training]:
    """In place of trainings: the n-th inner network says class n of every pixel, so that a mask names who made it."""
    found: list[Training] = []

    def train(
        experiment: Any, what: str, images: Any, learned: np.ndarray, chosen: np.ndarray, seed: int, part: str, *_: Any
    ) -> tuple[Mapping[str, torch.Tensor], dict[str, Any], Description]:
        assert images is experiment.data.images
        assert seed == 0
        found.append(Training(int(part.split("-")[0]), learned, chosen, len(found) % 6 + 1))
        return weights(found[-1].says), {}, description()

    monkeypatch.setattr(stage, "train_network", train)
    return found


def run(inner_folds: int = 3, settings: Mapping[str, Any] = SETTINGS) -> dict[tuple[int, str], np.ndarray]:
    """The masks of every fold and variant."""
    predict_masks_of("cells-predicted", settings, RECIPE, inner_folds, Project(), INPUTS)
    folder = Project().prepared("cells-predicted")
    names = [(fold, variant) for fold in range(len(list(folder.glob("*.npy"))) // 2) for variant in VARIANTS]
    return {(fold, variant): np.load(folder / f"fold{fold}-{variant}.npy") for fold, variant in names}


VARIANTS = ("in-sample", "cross-fitted")


def folds() -> list[Fold]:
    return read_folds(Project().split("cells"), open_prepared(Project().prepared("cells")))


def said_of_images(masks: np.ndarray) -> np.ndarray:
    """The one class of every image's mask, (n,)."""
    assert (masks == masks[:, :1, :1]).all()
    return masks[:, 0, 0]


# --- cross-fitting: who masks whom


@pytest.mark.parametrize("inner_folds", [2, 3])
def test_no_image_is_masked_by_a_network_that_saw_it_or_its_near_duplicate(
    project: Project, trainings: list[Training], inner_folds: int
) -> None:
    write_network("seed0-fold0", 7)
    write_network("seed0-fold1", 8)
    found = run(inner_folds)
    assert len(trainings) == 2 * inner_folds
    for fold in folds():
        makers = {training.says: training for training in trainings if training.fold == fold.number}
        said = said_of_images(found[fold.number, "cross-fitted"])
        assert set(said[fold.train]) == set(makers), "every inner network masks its part"
        for row in fold.train:
            assert row not in makers[said[row]].seen
            assert GROUPS[row] not in GROUPS[makers[said[row]].seen]
        for row in fold.validation:
            assert row not in makers[said[row]].seen
        assert set(said[fold.validation]) == set(makers), "and its share of the validation images"
        assert set(said[fold.test]) == {7 + fold.number}, "test images: the segmenter's network of this fold"


def test_an_inner_network_sees_training_images_of_its_fold_alone_groups_on_one_side(
    project: Project, trainings: list[Training]
) -> None:
    write_network("seed0-fold0", 7)
    write_network("seed0-fold1", 8)
    run()
    for training in trainings:
        fold = folds()[training.fold]
        assert set(training.seen) < set(fold.train)
        assert len(set(training.learned)) + len(set(training.chosen_by)) == len(training.seen)
        assert len(training.learned) >= len(training.chosen_by) > 0
        assert not set(GROUPS[training.learned]) & set(GROUPS[training.chosen_by])
    for fold in folds():
        of_fold = [training for training in trainings if training.fold == fold.number]
        unseen = [set(fold.train) - set(training.seen) for training in of_fold]
        assert set.union(*unseen) == set(fold.train)
        assert sum(map(len, unseen)) == len(fold.train), "every training image is left out once"


def test_in_sample_masks_are_those_of_the_segmenters_own_network_everywhere(
    project: Project, trainings: list[Training]
) -> None:
    write_network("seed0-fold0", 7)
    write_network("seed0-fold1", 8)
    write_network("seed1-fold0", 6)  # of another seed: not asked
    found = run()
    for fold in (0, 1):
        masks = found[fold, "in-sample"]
        assert (masks.shape, masks.dtype) == ((COUNT, SIDE, SIDE), np.uint8)
        assert (masks == 7 + fold).all(), "training, validation, test and left-out images alike"


def test_inner_parts_keep_groups_together_and_come_from_the_seed() -> None:
    rows, groups = np.arange(2, 20), np.repeat(list("abcdefghij"), 2)
    parts = inner_parts(rows, groups, 3, 0)
    assert sorted(np.concatenate([inside for _, inside in parts])) == list(rows)
    for outside, inside in parts:
        assert sorted([*outside, *inside]) == list(rows)
        assert not set(groups[outside]) & set(groups[inside])
    insides = [[inside.tolist() for _, inside in inner_parts(rows, groups, 3, seed)] for seed in (0, 0, 1)]
    assert insides[0] == insides[1] != insides[2]
    assert len(inner_parts(rows[:4], groups, 5, 0)) == 2, "no more parts than groups"
    with pytest.raises(ValueError, match="n_splits"):
        inner_parts(rows[:2], groups, 2, 0)


def test_inner_networks_are_trained_once(
    project: Project, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write_network("seed0-fold0")
    write_network("seed0-fold1")
    train_network, trained = stage.train_network, []

    def stop_after_the_first(*arguments: Any) -> Any:
        if trained:
            raise KeyboardInterrupt
        trained.append(arguments)
        return train_network(*arguments)

    monkeypatch.setattr(stage, "train_network", stop_after_the_first)
    with pytest.raises(KeyboardInterrupt):
        run(2)
    assert not project.prepared("cells-predicted").exists()
    monkeypatch.setattr(stage, "train_network", train_network)
    capfd.readouterr()
    first = run(2)
    told = capfd.readouterr().err
    assert "cells-predicted, fold 0, part 1 of 2" not in told
    for place in ("fold 0, part 2", "fold 1, part 1", "fold 1, part 2"):
        assert f"cells-predicted, {place} of 2: epoch 1/1" in told
    again = run(2)
    assert "epoch" not in capfd.readouterr().err
    assert all(np.array_equal(masks, again[key]) for key, masks in first.items())


# --- how good they are


def test_quality_is_the_dice_of_the_foreground_by_part_fold_and_variant(
    project: Project, trainings: list[Training]
) -> None:
    truth = np.zeros((COUNT, SIDE, SIDE), np.uint8)
    truth[:, :4] = 1  # a quarter of every picture: Dice with all of it is 2 * 1/4 / (1/4 + 1)
    truth[FOLDS[0].index("v")] = 0  # nothing there, and all found: 0
    truth[0] = 3  # all there, of another class of the foreground: 1
    np.save(project.prepared("cells") / "masks.npy", truth)
    write_network("seed0-fold0", 0)
    write_network("seed0-fold1", 8)
    run()
    about = json.loads((project.prepared("cells-predicted") / "dataset.json").read_text())
    quality = {(each["fold"], each["variant"], each["part"]): each for each in about["quality"]}
    assert {key: each["images"] for key, each in quality.items() if key[:2] == (0, "in-sample")} == {
        (0, "in-sample", "train"): 10,
        (0, "in-sample", "validation"): 4,
        (0, "in-sample", "test"): 10,
    }
    # The first fold's own network finds nothing: right where nothing is. Its inner ones find everything.
    assert quality[0, "in-sample", "train"]["dice"] == 0
    assert quality[0, "in-sample", "validation"]["dice"] == pytest.approx(1 / 4)
    assert quality[0, "cross-fitted", "train"]["dice"] == pytest.approx(0.4)
    assert quality[0, "cross-fitted", "validation"]["dice"] == pytest.approx(0.4 * 3 / 4)
    assert quality[0, "in-sample", "test"] == {**quality[0, "cross-fitted", "test"], "variant": "in-sample"}
    assert quality[1, "in-sample", "validation"]["dice"] == pytest.approx((1 + 3 * 0.4) / 4)
    assert len(quality) == 12


def test_predicted_masks_say_whose_they_are(project: Project, trainings: list[Training]) -> None:
    write_network("seed0-fold0", 7)
    write_network("seed0-fold1", 8)
    run()
    folder = project.prepared("cells-predicted")
    names = [f"fold{fold}-{variant}.npy" for fold in (0, 1) for variant in sorted(VARIANTS)]
    assert sorted(path.name for path in folder.iterdir()) == ["dataset.json", *names]
    about = json.loads((folder / "dataset.json").read_text())
    assert len(about.pop("quality")) == 12
    assert about == {
        **{"name": "cells-predicted", "title": "Cells, masks predicted by cells-unet", "derived_from": "cells"},
        **{"synthetic": True, "segmenter": "cells-unet", "segmenter_cost": {"latency_ms": 3.0}, "inner_folds": 3},
    }


# --- pictures made from them


def pictures(settings: Mapping[str, Any] = TINT) -> list[np.ndarray]:
    """The pictures of every fold of the data set `cells-drawn`."""
    project = Project()
    derive("cells-drawn", settings, *(project.prepared(settings[key]) for key in ("dataset", "masks")), DRAWN)
    return [np.load(path) for path in sorted(DRAWN.glob("*.npy"))]


DRAWN = Project().prepared("cells-drawn")


def images() -> np.ndarray:
    pictures: np.ndarray = np.load(Project().prepared("cells") / "images.npy")
    return np.repeat(pictures, 3, axis=-1)


def test_the_segmenter_of_a_fold_draws_that_fold(project: Project, trainings: list[Training]) -> None:
    write_network("seed0-fold0", 1)
    write_network("seed0-fold1", 0)
    run()
    first, second = pictures()
    assert first.shape == (COUNT, SIDE, SIDE, 3)
    assert first.dtype == np.uint8
    assert (first == RED).all(), "training, test and left-out images alike"
    assert np.array_equal(second, images())


def test_cross_fitted_pictures_are_drawn_from_cross_fitted_masks(project: Project, trainings: list[Training]) -> None:
    write_network("seed0-fold0", 0)
    write_network("seed0-fold1", 0)
    run()
    for fold, drawn_pictures in zip(folds(), pictures({**TINT, "variant": "cross-fitted"}), strict=True):
        red = (drawn_pictures == RED).all(axis=(1, 2, 3))
        assert np.flatnonzero(red).tolist() == sorted([*fold.train, *fold.validation])
        assert np.array_equal(drawn_pictures[~red], images()[~red])


def test_a_classifier_gets_the_pictures_of_its_fold(project: Project, trainings: list[Training]) -> None:
    write_network("seed0-fold0", 0)
    write_network("seed0-fold1", 1)
    run()
    pictures()
    data = open_prepared(project.prepared("cells"))
    assert np.array_equal(open_images(data, DRAWN, 0), images())
    assert (open_images(data, DRAWN, 1) == RED).all()


@pytest.mark.parametrize("at_a_time", [2, 64])
def test_what_is_drawn_is_what_the_network_predicts(
    project: Project, trainings: list[Training], at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "IMAGES_AT_A_TIME", at_a_time)
    monkeypatch.setattr(derive_stage, "IMAGES_AT_A_TIME", at_a_time)
    for task in ("cells", "cells-masks"):
        write_split(task, FOLDS[0])
    write_network("seed0")
    run()
    (only,) = pictures()
    grey = np.load(project.prepared("cells") / "images.npy")
    masks = TorchNetwork.open(models() / "seed0.safetensors").masks(grey)
    assert len(np.unique(masks)) > 2
    assert np.array_equal(only, drawn(TINT, grey, masks, len(CLASSES)))
    assert [path.name for path in DRAWN.glob("*.npy")] == ["fold0.npy"]


def test_the_true_masks_of_tested_images_are_not_looked_at(project: Project) -> None:
    for fold in (0, 1):
        write_network(f"seed0-fold{fold}")
    before = run(2)
    path = project.prepared("cells") / "masks.npy"
    masks = np.load(path)
    for tested in (fold.test for fold in folds()[:1]):
        masks[tested] = 8 - masks[tested]
    np.save(path, masks)
    after = predict_again({"masks.npy": "another"})
    assert all(np.array_equal(before[fold, "in-sample"], after[fold, "in-sample"]) for fold in (0, 1))
    assert np.array_equal(before[0, "cross-fitted"], after[0, "cross-fitted"])
    assert not np.array_equal(before[1, "cross-fitted"], after[1, "cross-fitted"]), "there they are training images"


def predict_again(deps: Mapping[str, str]) -> dict[tuple[int, str], np.ndarray]:
    """As `run`, of a stage whose dependencies have changed."""
    predict_masks_of("cells-predicted", SETTINGS, RECIPE, 2, Project(), {**INPUTS, "deps": deps})
    folder = Project().prepared("cells-predicted")
    return {(fold, variant): np.load(folder / f"fold{fold}-{variant}.npy") for fold in (0, 1) for variant in VARIANTS}


@pytest.mark.parametrize("keep", ["crop", "masked"])
def test_where_nothing_is_found_or_everything_the_picture_stays_whole(
    project: Project, trainings: list[Training], keep: str
) -> None:
    write_network("seed0-fold0", 0)
    write_network("seed0-fold1", 1)
    run()
    first, second = pictures({**REGION, "keep": keep})
    assert np.array_equal(first, images())
    assert np.array_equal(second, images())


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ("in-sample", "a predicted mask, of training images by the network that was trained on them"),
        ("cross-fitted", "a predicted mask, by a network that was not trained on the image"),
    ],
)
def test_a_derived_data_set_says_who_predicted(
    project: Project, trainings: list[Training], variant: str, words: str
) -> None:
    for fold in (0, 1):
        write_network(f"seed0-fold{fold}", 1)
    run()
    settings = {**TINT, "variant": variant}
    pictures(settings)
    assert sorted(path.name for path in DRAWN.iterdir()) == ["dataset.json", "fold0.npy", "fold1.npy"]
    about = json.loads((DRAWN / "dataset.json").read_text())
    quality = about.pop("mask_quality")
    assert [(row["fold"], row["part"]) for row in quality] == [
        (fold, part) for fold in (0, 1) for part in ("train", "validation", "test")
    ]
    assert {row["variant"] for row in quality} == {variant}
    note = f"the image with {words}: tint"
    assert about == {
        **{"name": "cells-drawn", "title": f"Cells, {note}", "derived_from": "cells", "settings": settings},
        **{"synthetic": True, "note": note, "segmenter": "cells-unet", "segmenter_cost": {"latency_ms": 3.0}},
    }


def test_masks_that_nobody_has_predicted_are_asked_for(project: Project, trainings: list[Training]) -> None:
    with pytest.raises(BakeoffError, match=r"cells-predicted/dataset\.json is missing: run `dvc repro masks@cells-pre"):
        pictures()
    for fold in (0, 1):
        write_network(f"seed0-fold{fold}", 1)
    run()
    for path in project.prepared("cells-predicted").glob("*-in-sample.npy"):
        path.unlink()
    with pytest.raises(BakeoffError, match="holds no in-sample masks: run `dvc repro masks@cells-predicted`"):
        pictures()
    assert not DRAWN.exists()


# --- refusals


@pytest.mark.parametrize(
    "splits",
    [
        ("t" + FOLDS[0][1:], FOLDS[1]),  # trains on a tested image
        (FOLDS[0], FOLDS[1][:12] + "t" + FOLDS[1][13:]),  # in the other fold
        ("v" + FOLDS[0][1:], FOLDS[1]),  # chooses by one
        (FOLDS[1], FOLDS[0]),  # the same folds, the other way round
        (FOLDS[0],),  # of another number
        (*FOLDS, "t" * 18 + "v" * 2 + "e" * 5),
    ],
)
def test_a_segmenter_that_saw_tested_images_is_refused(
    project: Project, trainings: list[Training], splits: tuple[str, ...]
) -> None:
    write_split("cells-masks", *splits)
    for name in ("seed0", "seed0-fold0", "seed0-fold1", "seed0-fold2"):
        write_network(name, 1)
    words = (
        r"^params\.yaml: predicted_masks\.cells-predicted: the segmenter was trained on images that the task tests: "
        r"give both tasks the same split\.$"
    )
    with pytest.raises(BakeoffError, match=words):
        run()
    assert not trainings
    assert not project.prepared("cells-predicted").exists()


def test_a_segmenter_that_learned_from_fewer_images_is_fine(project: Project, trainings: list[Training]) -> None:
    write_split("cells-masks", "e" * 10 + "t" * 9 + "-" + "v" * 4 + "-", "v" * 4 + "-" + "t" * 7 + "e" * 12 + "-")
    for fold in (0, 1):
        write_network(f"seed0-fold{fold}", 1)
    assert len(run()) == 4


@pytest.mark.parametrize("change", [{"classes": [*CLASSES[:-1], "nucleus"]}, {"target": "film"}])
def test_a_network_of_other_classes_is_refused_and_what_was_there_stays(
    project: Project, trainings: list[Training], change: dict[str, Any]
) -> None:
    for fold in (0, 1):
        write_network(f"seed0-fold{fold}", 1)
    before = run()
    write_network("seed0-fold1", 1, **change)
    with pytest.raises(BakeoffError, match=r"models/seed0-fold1\.safetensors does not predict the masks of .*cells"):
        run()
    folder = project.prepared("cells-predicted")
    for (fold, variant), masks in before.items():
        assert np.array_equal(np.load(folder / f"fold{fold}-{variant}.npy"), masks)
    assert not list(folder.parent.glob(".*.part"))


def test_a_network_that_is_missing_is_named(project: Project, trainings: list[Training]) -> None:
    write_network("seed0-fold0", 1)
    with pytest.raises(BakeoffError, match=r"models/seed0-fold1\.safetensors is missing: run `dvc repro train@"):
        run()
    assert not project.prepared("cells-predicted").exists()


@pytest.mark.parametrize("groups", [1, 2])
def test_too_few_groups_to_divide_are_named(project: Project, trainings: list[Training], groups: int) -> None:
    for fold in (0, 1):
        write_network(f"seed0-fold{fold}", 1)
    path = project.prepared("cells") / "index.csv"
    index = pd.read_csv(path, dtype=str)
    index.assign(group=[f"g{n % groups}" for n in range(COUNT)]).to_csv(path, index=False)
    with pytest.raises(
        BakeoffError,
        match=r"^params\.yaml: predicted_masks\.cells-predicted: the training images of fold 0 are too few groups of "
        r"near-duplicates \([12]\) to be divided twice: use a split with more groups\.$",
    ):
        run(2)
    assert not project.prepared("cells-predicted").exists()
