"""Training: exact losses, faithful augmentation, the same bits after every kill, one sentence for every mishap."""

import itertools
import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kornia
import numpy as np
import pandas as pd
import psutil
import pytest
import timm
import torch
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.mask_score import MaskScore, mask_score
from bakeoff.artefacts.predictions import read_predictions, read_probabilities
from bakeoff.artefacts.prepared import open_prepared
from bakeoff.artefacts.ragged import write_arrays
from bakeoff.artefacts.void import VOID
from bakeoff.artefacts.windows import blended_classes
from bakeoff.models import resnet50_unet, timm_classifier, unet
from bakeoff.progress.interruption import is_alive
from bakeoff.stage_inputs import md5
from bakeoff.tasks.scoring import score
from bakeoff.training.augmentation import adjust_levels, affine_matrices, augment, warp
from bakeoff.training.checkpoint import CheckpointFolder
from bakeoff.training.device import set_up
from bakeoff.training.examples import Examples
from bakeoff.training.fit import fit
from bakeoff.training.inference import predict_masks, predict_probabilities
from bakeoff.training.loop import (
    History,
    State,
    TrainingTask,
    best_epoch,
    epoch_generator,
    is_over,
    learning_rate_factor,
    train,
)
from bakeoff.training.losses import class_weights, dice_cross_entropy, image_scores, overlap_counts
from bakeoff.training.objective import Objective, classification, segmentation
from bakeoff.training.predict import predict
from bakeoff.training.preprocessing import channels_first, class_indices, normalise, to_unit_range
from bakeoff.training.saved import load_network
from bakeoff.training.torch_network import TorchNetwork
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

STILL = {"rotate": 0, "scale": 0, "translate": 0, "brightness": 0, "contrast": 0, "gamma": 0, "flip": False}
LIVELY = {
    "rotate": 10,
    "scale": 0.1,
    "translate": 0.05,
    "brightness": 0.2,
    "contrast": 0.2,
    "gamma": 0.2,
    "flip": False,
}
RECIPE: dict[str, Any] = {
    "epochs": 3,
    "patience": 100,
    "batch_size": 4,
    "optimizer": "adamw",
    "learning_rate": 0.01,
    "schedule": "cosine",
    "warmup_epochs": 1,
    "frozen_epochs": 0,
    "encoder_learning_rate_factor": 1.0,
    "discriminative": False,
    "weight_decay": 0.01,
    "class_weights": "none",
    "label_smoothing": 0.0,
    "precision": "auto",
    "augmentation": LIVELY,
}
# What docs/architecture.md promises of seedK.json, history.csv and cost.json.
RECORD = {
    *("experiment", "dataset", "synthetic", "task", "recipe"),
    *("seed", "fold", "epochs_run", "best_epoch", "best_validation_score", "score", "training_seconds"),
    *("images_per_second", "peak_memory_mib", "parameters", "parameters_trainable", "numbers_stored", "device"),
    *("precision", "threads", "weights", "manifest"),
}
HISTORY = [
    "epoch",
    "train_loss",
    "validation_loss",
    "validation_score",
    "learning_rate",
    "images_per_second",
    "seconds",
]
COST = {
    *("parameters", "multiply_adds", "model_mib", "training_seconds", "predict_images_per_second"),
    *("latency_ms", "peak_memory_mib", "device", "other_load", "cores", "weights", "note", "manifest"),
}
EXPERIMENT = {"model": "unet", "settings": {"channels": [4, 8], "norm": "batch"}}
# A ResNet of 0.4 million parameters, which timm has for tests; see `tiny`.
CLASSIFIER = {"model": "timm_classifier", "settings": {"backbone": "tiny", "head": "fastai"}}
TINY = "test_resnet"
STEM = "conv1.0.weight"  # of its first convolution


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with a prepared data set of 32 x 32 pixels in `prepared`."""
    monkeypatch.chdir(tmp_path)
    write_prepared(tmp_path / "prepared")
    return tmp_path


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backbone small enough for a test, by the name `tiny`."""
    monkeypatch.setitem(timm_classifier.BACKBONES, "tiny", TINY)


def write_prepared(folder: Path, classes: int = 2, splits: str = "t" * 12 + "v" * 4 + "e" * 5) -> None:
    """Bright discs on noise, one class a disc, and the split beside it, `NAME.csv`; every third image is negative."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:32, :32]
    masks = np.zeros((len(splits), 32, 32), np.uint8)
    for mask in masks:
        for index in range(1, classes):
            y, x = rng.integers(8, 24, 2)
            mask[(rows - y) ** 2 + (columns - x) ** 2 < 40] = index
    images = (60 + 120 * masks / (classes - 1) + rng.normal(0, 20, masks.shape)).clip(0, 255).astype(np.uint8)
    folder.mkdir()
    np.save(folder / "images.npy", images[..., None])
    np.save(folder / "masks.npy", masks)
    np.save(folder / "histograms.npy", np.stack([np.bincount(each.ravel(), minlength=256) for each in images]))
    ids = [f"{n:03d}" for n in range(len(splits))]
    film = ["positive" if n % 3 else "negative" for n in range(len(splits))]
    pd.DataFrame({"id": ids, "group": "", "film": film}).to_csv(folder / "index.csv", index=False)
    about = {
        "name": "discs",
        "synthetic": True,
        "classes": ["background", *(f"disc{index}" for index in range(1, classes))],
        "targets": ["film"],
        "strata": [],
        "geometry": "stretch",
        "size": [32, 32],
        "channels": 1,
    }
    (folder / "dataset.json").write_text(json.dumps(about))
    write_split(folder.with_suffix(".csv"), splits)


def write_split(path: Path, *folds: str) -> None:
    """A split of discs: a string a fold, with a letter an image for train, validation, tEst or - for left out."""
    names = {"t": "train", "v": "validation", "e": "test", "-": ""}
    rows = [(fold, f"{n:03d}", names[part]) for fold, parts in enumerate(folds) for n, part in enumerate(parts)]
    pd.DataFrame(rows, columns=["fold", "id", "split"]).to_csv(path, index=False)


def run_fit(
    experiment: dict[str, Any] = EXPERIMENT,
    seeds: int = 1,
    data: str = "prepared",
    weights: Path | None = None,
    target: str | None = None,
    images: Path | None = None,
    **recipe: Any,
) -> None:
    places = (Path(data), Path(f"{data}.csv"), images, weights)
    settings = {**RECIPE, **recipe}
    inputs = {
        "stage": "train@discs",
        "deps": {str(path): md5(path) for path in places if path is not None and path.exists()},
        "params": {"experiment": {**experiment, "target": target}, "recipe": settings, "seeds.sample": seeds},
    }
    fit("discs", experiment, settings, target, seeds, *places, Path("models"), Path("history"), inputs=inputs)


def run_predict(folder: str = "experiment", images: Path | None = None) -> Path:
    predict("discs", Path("prepared"), Path("prepared.csv"), images, Path("models"), Path(folder))
    return Path(folder)


def record_of(run: str = "seed0") -> dict[str, Any]:
    record: dict[str, Any] = json.loads(Path(f"models/{run}.json").read_text())
    return record


# --- loss and score


def score_of(classes: int) -> MaskScore:
    """Mean Dice of all classes but the first."""
    return mask_score(None, ["a", "b", "c"][:classes], 0)


def test_one_logit_loss_is_dice_plus_balanced_cross_entropy() -> None:
    # Probabilities of foreground 0.75, 0.5, 0.5, 0.25; the truth is 1, 1, 0, 0.
    logits = torch.tensor([math.log(3), 0.0, 0.0, -math.log(3)]).view(1, 1, 2, 2)
    masks = torch.tensor([1, 1, 0, 0], dtype=torch.uint8).view(1, 2, 2)
    weights = torch.tensor([1.0, 2.0])
    # Both classes: overlap 1.25, sizes 2 + 2, Dice 0.625.
    cross_entropy = (2 * -math.log(0.75) + 2 * math.log(2) + math.log(2) - math.log(0.75)) / 4
    assert dice_cross_entropy(logits, masks, weights).item() == pytest.approx(1 - 0.625 + cross_entropy, abs=1e-6)


def test_three_logits_loss_leaves_an_absent_class_out_of_the_dice() -> None:
    logits = torch.zeros(1, 3, 1, 2)
    masks = torch.tensor([[[0, 1]]])
    # A third everywhere: for classes 0 and 1 overlap 1/3, sizes 2/3 + 1; class 2 is absent.
    dice = 2 * (1 / 3) / (5 / 3)
    loss = dice_cross_entropy(logits, masks, torch.ones(3)).item()
    assert loss == pytest.approx(1 - dice + math.log(3), abs=1e-6)


def test_one_logit_and_two_logits_say_the_same() -> None:
    logit = torch.randn(2, 1, 5, 7, generator=torch.Generator().manual_seed(0))
    masks = (torch.rand(2, 5, 7, generator=torch.Generator().manual_seed(1)) > 0.7).byte()
    weights = torch.tensor([0.8, 1.6])
    both = torch.cat([torch.zeros_like(logit), logit], dim=1)
    assert dice_cross_entropy(logit, masks, weights).item() == pytest.approx(
        dice_cross_entropy(both, masks, weights).item(), abs=1e-6
    )


def test_a_certain_and_right_prediction_costs_nothing() -> None:
    masks = torch.tensor([[[0, 1], [1, 0]]], dtype=torch.uint8)
    logits = (200.0 * masks - 100.0)[:, None].requires_grad_()
    loss = dice_cross_entropy(logits, masks, torch.ones(2))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_class_weights_are_inverse_roots_of_the_shares_with_mean_1_over_the_pixels() -> None:
    masks = torch.tensor([0] * 9 + [1], dtype=torch.uint8)
    weights = class_weights(masks, 2)
    assert (weights[1] / weights[0]).item() == pytest.approx(3)
    assert (0.9 * weights[0] + 0.1 * weights[1]).item() == pytest.approx(1)


def scored(predicted: torch.Tensor, masks: torch.Tensor, score: MaskScore) -> torch.Tensor:
    return image_scores(overlap_counts(predicted, masks, score.scored), score)


def test_the_score_is_of_each_image_and_empty_on_empty_is_1() -> None:
    masks = torch.tensor([[[1, 1, 0, 0]], [[0, 0, 0, 0]], [[0, 0, 0, 0]], [[1, 1, 2, 2]]])
    predicted = torch.tensor([[[1, 0, 1, 0]], [[0, 0, 0, 0]], [[1, 0, 0, 0]], [[1, 1, 0, 2]]])
    assert scored(predicted[:3], masks[:3], score_of(2)).tolist() == [0.5, 1, 0]
    assert scored(predicted[3:], masks[3:], score_of(3)).tolist() == pytest.approx([(1 + 2 / 3) / 2])


def test_class_indices_are_the_sign_of_one_logit_and_the_greatest_of_several() -> None:
    assert class_indices(torch.tensor([-1.0, 0.0, 0.1]).view(1, 1, 1, 3)).tolist() == [[[0, 0, 1]]]
    assert class_indices(torch.tensor([[0.0, 2.0], [1.0, 3.0], [-1.0, 4.0]]).view(1, 3, 1, 2)).tolist() == [[[1, 2]]]


def test_normalised_images_have_the_units_of_the_network() -> None:
    network = unet.build(3, 1, [4])
    network.mean, network.std = (0.0, 0.5, 1.0), (1.0, 0.5, 0.25)
    levels = normalise(to_unit_range(torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)), network)
    assert levels.flatten().tolist() == [1.0, 1.0, 0.0]


# --- augmentation


def pictures(count: int = 6, size: tuple[int, int] = (40, 32)) -> tuple[Tensor, Tensor]:
    """Smooth blobs, and the mask of where they are above 0.5."""
    noise = torch.rand(count, 1, size[0] // 8, size[1] // 8, generator=torch.Generator().manual_seed(2))
    images = torch.nn.functional.interpolate(noise, size=size, mode="bicubic").clamp(0, 1)
    return images, (images[:, 0] > 0.5).byte()


def ones(value: float = 1.0, count: int = 6) -> Tensor:
    return torch.full((count,), value)


def test_no_change_is_none() -> None:
    images, masks = pictures()
    same, same_masks = augment(images, masks, STILL, torch.Generator().manual_seed(0))
    assert torch.equal(same_masks, masks)
    torch.testing.assert_close(same, images, atol=2e-6, rtol=0)


def test_image_and_mask_move_alike() -> None:
    images, masks = pictures()
    moves = {**STILL, "rotate": 30, "scale": 0.3, "translate": 0.2, "flip": True}
    moved, moved_masks = augment(images, masks, moves, torch.Generator().manual_seed(3))
    assert not torch.equal(moved_masks, masks)
    # Nearest and bilinear may differ within a pixel of an edge, and nowhere else.
    clear = (moved[:, 0] - 0.5).abs() > 0.12
    assert clear.float().mean() > 0.5
    agree = (moved[:, 0] > 0.5) == moved_masks.bool()
    assert agree[clear].float().mean() > 0.995


def test_masks_stay_class_indices() -> None:
    images, masks = pictures()
    _, moved = augment(images, masks * 7, {**LIVELY, "rotate": 45}, torch.Generator().manual_seed(0))
    assert moved.dtype == torch.uint8
    assert set(moved.unique().tolist()) == {0, 7}


def test_half_the_images_are_mirrored_and_only_on_request() -> None:
    images, masks = pictures(200)
    flipped, flipped_masks = augment(images, masks, {**STILL, "flip": True}, torch.Generator().manual_seed(0))
    mirrored = [torch.allclose(flipped[n], images[n].flip(-1), atol=1e-5) for n in range(200)]
    assert 70 < sum(mirrored) < 130
    for n, is_mirrored in enumerate(mirrored):
        assert torch.equal(flipped_masks[n], masks[n].flip(-1) if is_mirrored else masks[n])


def test_a_turn_is_one_in_pixels_on_an_oblong_image_as_kornia_turns() -> None:
    images, masks = pictures()
    angle = math.radians(25)
    matrices = affine_matrices(ones(angle), ones(1.2), ones(0), ones(0), ones(), aspect=40 / 32)
    ours, _ = warp(images, masks, matrices)
    center = torch.tensor([[15.5, 19.5]]).expand(6, 2)
    theirs = kornia.geometry.warp_affine(
        images,
        kornia.geometry.get_rotation_matrix2d(center, ones(25.0), ones(1 / 1.2)[:, None].expand(6, 2)),
        dsize=(40, 32),
        align_corners=False,
    )
    inside = (slice(None), slice(None), slice(8, 32), slice(8, 24))
    assert (ours - theirs)[inside].abs().max() < 0.02


def test_a_shift_of_a_quarter_is_a_quarter_of_the_pixels() -> None:
    images, masks = pictures()
    matrices = affine_matrices(ones(0), ones(1), ones(0.5), ones(0), ones(), aspect=40 / 32)
    moved, moved_masks = warp(images, masks, matrices)
    torch.testing.assert_close(moved[..., :24], images[..., 8:], atol=1e-5, rtol=0)
    assert torch.equal(moved_masks[..., :24], masks[..., 8:])
    assert not moved[..., 24:].any()
    assert not moved_masks[..., 24:].any()


def test_levels_change_as_documented() -> None:
    images = torch.tensor([0.0, 0.25, 0.5, 1.0]).view(1, 1, 2, 2)
    squared = [0.0, 0.0625, 0.25, 1.0]
    mean = sum(squared) / 4
    expected = [min(max(0.5 * (value - mean) + mean + 0.1, 0), 1) for value in squared]
    changed = adjust_levels(images, ones(2, 1), ones(0.5, 1), ones(0.1, 1))
    assert changed.flatten().tolist() == pytest.approx(expected)


def test_chance_comes_from_seed_and_epoch_alone() -> None:
    images, masks = pictures()
    first, again, later = (augment(images, masks, LIVELY, epoch_generator(0, epoch))[0] for epoch in (4, 4, 5))
    assert torch.equal(first, again)
    assert not torch.equal(first, later)


# --- schedule and stopping


def task_of(steps: int, **recipe: Any) -> TrainingTask:
    """A task of so many steps an epoch, never to be trained."""
    examples = Examples(torch.zeros(4 * steps, 1, 4, 4, dtype=torch.uint8), torch.arange(2).repeat(2 * steps)[:, None])
    return TrainingTask("t", examples, examples, segmentation(examples, ["a", "b"]), {**RECIPE, **recipe}, 0)


def test_the_learning_rate_rises_then_falls_to_0() -> None:
    task = task_of(2, epochs=10, warmup_epochs=2)
    factors = [learning_rate_factor(step, task) for step in range(20)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors[8] == pytest.approx(0.5 * (1 + math.sqrt(0.5)))
    assert factors[12] == pytest.approx(0.5)
    assert factors[4:] == sorted(factors[4:], reverse=True)
    assert 0 < factors[19] < 0.01


def test_one_cycle_rises_over_a_quarter_from_a_25th_and_falls_to_nothing() -> None:
    task = task_of(4, epochs=10, schedule="one-cycle")
    factors = [learning_rate_factor(step, task) for step in range(40)]
    assert [factors[step] for step in (0, 5, 10, 25)] == pytest.approx([1 / 25, 13 / 25, 1, (1 + 1e-5) / 2])
    assert factors[:11] == sorted(factors[:11])
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert 1e-5 < factors[39] < 0.01


def test_one_cycle_goes_round_once_frozen_and_once_more() -> None:
    task = task_of(4, epochs=10, schedule="one-cycle", frozen_epochs=2)
    frozen = [learning_rate_factor(step, task) for step in (0, 1, 2, 5)]
    assert frozen == pytest.approx([1 / 25, 13 / 25, 1, (1 + 1e-5) / 2])
    others = [learning_rate_factor(8 + step, task) for step in (0, 4, 8, 20)]
    assert others == pytest.approx(frozen)
    always = task_of(4, epochs=10, schedule="one-cycle", frozen_epochs=1000)
    never = task_of(4, epochs=10, schedule="one-cycle")
    assert all(learning_rate_factor(step, always) == learning_rate_factor(step, never) for step in range(40))


def test_a_constant_learning_rate_is_constant() -> None:
    task = task_of(2, epochs=5, schedule="constant", warmup_epochs=3)
    assert {learning_rate_factor(step, task) for step in range(10)} == {1.0}


def test_patience_counts_epochs_since_the_best() -> None:
    def rows(*scores: float) -> list[dict[str, float]]:
        return [{"epoch": n, "validation_score": score} for n, score in enumerate(scores, 1)]

    recipe = {"epochs": 6, "patience": 2}
    assert best_epoch(rows(0.1, 0.5, 0.5)) == 2
    assert not is_over([], recipe)
    assert not is_over(rows(0.5, 0.4), recipe)
    assert is_over(rows(0.5, 0.4, 0.5), recipe)
    assert is_over(rows(1, 2, 3, 4, 5, 6), recipe)


# --- the stages


def test_it_learns_and_writes_what_the_architecture_promises(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run_fit(seeds=2, epochs=12)
    assert sorted(path.name for path in Path("models").iterdir()) == [
        "seed0.json",
        "seed0.safetensors",
        "seed1.json",
        "seed1.safetensors",
    ]
    record = record_of("seed1")
    assert set(record) == RECORD
    assert (record["experiment"], record["dataset"], record["task"]) == ("discs", "discs", "prepared")
    assert (record["seed"], record["recipe"]["epochs"]) == (1, 12)
    history = pd.read_csv("history/seed1/history.csv")
    assert list(history) == HISTORY
    assert history["epoch"].tolist() == list(range(1, 13))
    assert history["validation_score"].max() == pytest.approx(record["best_validation_score"], abs=1e-5)
    assert record["best_validation_score"] > 0.9
    lines = capfd.readouterr().err.splitlines()
    pattern = (
        r"discs, seed 0: epoch 3/12  loss \S+  validation Dice 0\.\d{4}  \S+ images/s  at most (\d+:)?\d\d:\d\d left"
    )
    assert any(re.fullmatch(pattern, line) for line in lines)

    run_predict()
    truth = np.load("prepared/masks.npy")[-5:]
    masks = np.load("experiment/seed1/masks.npy")
    assert masks.dtype == np.uint8
    overlap = scored(torch.from_numpy(masks), torch.from_numpy(truth), score_of(2))
    assert overlap.mean() > 0.9
    table = pd.read_csv("experiment/predictions.csv", dtype={"id": str})
    assert table["id"].tolist() == ["016", "017", "018", "019", "020"] * 2
    assert table["seed"].tolist() == [0] * 5 + [1] * 5
    assert sorted(path.name for path in Path("experiment").iterdir() if path.is_dir()) == ["seed0", "seed1"]
    cost = json.loads(Path("experiment/cost.json").read_text())
    assert set(cost) == COST
    assert cost["parameters"] == record["parameters"]


def test_predicting_again_gives_the_same_bits(place: Path) -> None:
    run_fit()
    for folder in ("first", "second"):
        run_predict(folder)
    assert Path("first/seed0/masks.npy").read_bytes() == Path("second/seed0/masks.npy").read_bytes()


def test_three_classes_are_learned_with_a_softmax(place: Path) -> None:
    write_prepared(place / "three", classes=3)
    run_fit(data="three", epochs=15)
    network, description = load_network(Path("models/seed0.safetensors"))
    assert network.head.out_channels == 3
    assert description.classes == ["background", "disc1", "disc2"]
    assert record_of()["best_validation_score"] > 0.6


def test_an_added_seed_and_a_rerun_cost_only_themselves(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run_fit(seeds=1)
    first = Path("models/seed0.safetensors").read_bytes()
    capfd.readouterr()
    run_fit(seeds=2)
    told = capfd.readouterr().err
    assert "seed 0" not in told
    assert "seed 1: epoch 3/3" in told
    assert Path("models/seed0.safetensors").read_bytes() == first
    kept = [json.loads(path.read_text()) for path in Path(".bakeoff/checkpoints").glob("*/finished.json")]
    assert [each["inputs"]["params"]["seeds.sample"] for each in kept] == [2, 2], "what DVC is about to record"
    assert not list(Path(".bakeoff/checkpoints").glob("*/state-*")), "the optimiser's state is dropped at the end"


@pytest.mark.parametrize(
    "change",
    [
        *({"learning_rate": 0.02}, {"weight_decay": 0.0}, {"precision": "fp32"}),
        *({"optimizer": "adam"}, {"schedule": "one-cycle"}),
    ],
)
def test_what_changes_the_weights_changes_the_checkpoint(place: Path, change: dict[str, Any]) -> None:
    run_fit(precision="bf16", epochs=1)
    run_fit(**{"precision": "bf16", "epochs": 1, **change})
    assert len(list(Path(".bakeoff/checkpoints").iterdir())) == 2


def test_other_images_are_another_training(place: Path) -> None:
    run_fit(epochs=1)
    images = np.load("prepared/images.npy")
    images[0, 0, 0] ^= 1
    np.save("prepared/images.npy", images)
    run_fit(epochs=1)
    assert len(list(Path(".bakeoff/checkpoints").iterdir())) == 2


def test_both_precisions_learn(place: Path) -> None:
    for precision in ("bf16", "fp32"):
        run_fit(precision=precision, epochs=8)
        record = record_of()
        assert record["precision"] == precision
        assert record["best_validation_score"] > 0.8


# --- encoders, optimizers and heads


class TwoHeaded(nn.Module):
    """A network for the mask and the class, whose encoder has a layer without parameters."""

    mean, std = (0.5,), (0.25,)

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1)
        )
        self.mask_head, self.class_head = nn.Conv2d(8, 1, 1), nn.Linear(8, 1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.encoder(images).relu()
        return {"mask": self.mask_head(features), "class": self.class_head(features.mean(dim=(2, 3)))}


def films(count: int = 12) -> Examples:
    """Discs, brighter than the ground; of every third image the negative. What is to be learned are disc and film."""
    rng = np.random.default_rng(1)
    rows, columns = np.mgrid[:32, :32]
    places = rng.integers(8, 24, (count, 2))
    masks = np.stack([(rows - y) ** 2 + (columns - x) ** 2 < 40 for y, x in places]).astype(np.uint8)
    images = (60 + 60 * masks + rng.normal(0, 5, masks.shape)).clip(0, 255).astype(np.uint8)
    images[::3] = 255 - images[::3]
    labels = torch.ones(count, dtype=torch.int64)
    labels[::3] = 0
    return Examples(torch.from_numpy(images)[:, None], torch.from_numpy(masks), labels)


def both(examples: Examples, **settings: Any) -> Objective:
    chosen = {"weighted": True, "smoothing": 0.1, "mask_classes": ["ground", "disc"], **settings}
    return classification(examples, ["negative", "positive"], **chosen)


class InterruptedFolder(CheckpointFolder):
    """Stops the training after every checkpoint, where a kill might."""

    def save(self, history: History, state: State, best: State | None) -> None:  # type: ignore[override]
        super().save(history, state, best)
        raise KeyboardInterrupt


def train_on(
    folder: CheckpointFolder, task: TrainingTask, build: Callable[[], nn.Module]
) -> tuple[nn.Module, State, History]:
    """The network, its best weights and the history; it begins with the same weights unless it goes on."""
    going_on = folder.folder.exists()
    torch.manual_seed(99 if going_on else 1)
    network = build()
    with folder.held("t"):
        best, history = train(task, network, set_up("fp32"), folder)
    return network, best, history


def without_times(history: History) -> History:
    return [{key: row[key] for key in row.keys() - {"seconds", "images_per_second"}} for row in history]


def tiny_classifier() -> nn.Module:
    return timm_classifier.build(1, 1, "tiny", "fastai")


ONE_CYCLE = {"schedule": "one-cycle", "frozen_epochs": 2}
DISCRIMINATIVE = {**ONE_CYCLE, "discriminative": True, "encoder_learning_rate_factor": 0.01}


@pytest.mark.parametrize(
    ("build", "recipe"),
    [
        (TwoHeaded, {"optimizer": "adam", "schedule": "constant"}),
        (TwoHeaded, {"optimizer": "rmsprop", "learning_rate": 0.001}),
        (TwoHeaded, {"optimizer": "adamw", **DISCRIMINATIVE}),
        (tiny_classifier, {"optimizer": "adamw", **DISCRIMINATIVE}),
        (tiny_classifier, {"optimizer": "adam", **ONE_CYCLE}),
        (tiny_classifier, {"optimizer": "rmsprop", "learning_rate": 0.001, "frozen_epochs": 3}),
    ],
)
@pytest.mark.usefixtures("tiny")
def test_interrupted_after_every_epoch_it_ends_in_the_same_bits(
    tmp_path: Path, build: Callable[[], nn.Module], recipe: dict[str, Any]
) -> None:
    examples = films()
    objective = both(examples, **({} if build is TwoHeaded else {"mask_classes": None}))
    task = TrainingTask("t", examples, examples, objective, {**RECIPE, "epochs": 5, **recipe}, 0, pretrained=True)
    network, best, history = train_on(CheckpointFolder(tmp_path / "whole"), task, build)
    for _ in range(4):
        with pytest.raises(KeyboardInterrupt):
            train_on(InterruptedFolder(tmp_path / "parts"), task, build)
    last, last_best, last_history = train_on(InterruptedFolder(tmp_path / "parts"), task, build)
    assert without_times(last_history) == without_times(history)
    assert best.keys() == last_best.keys()
    assert all(torch.equal(best[key], last_best[key]) for key in best)
    assert all(torch.equal(value, last.state_dict()[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "rmsprop"])
@pytest.mark.parametrize("build", [TwoHeaded, tiny_classifier])
@pytest.mark.usefixtures("tiny")
def test_not_a_bit_of_a_frozen_encoder_changes(tmp_path: Path, build: Callable[[], nn.Module], optimizer: str) -> None:
    torch.manual_seed(1)
    start = build().state_dict()
    examples = films()
    objective = both(examples, **({} if build is TwoHeaded else {"mask_classes": None}))
    recipe = {**RECIPE, "epochs": 3, "frozen_epochs": 2, "optimizer": optimizer, "weight_decay": 0.5}
    task = TrainingTask("t", examples, examples, objective, recipe, 0, pretrained=True)
    for _ in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            train_on(InterruptedFolder(tmp_path / "key"), task, build)
        checkpoint = CheckpointFolder(tmp_path / "key").latest()
        assert checkpoint is not None
        for key, value in start.items():
            # Weights, biases, and what batch norms know of the images.
            assert torch.equal(value, checkpoint.state[f"network.{key}"]) == key.startswith("encoder."), key
    thawed, _, _ = train_on(CheckpointFolder(tmp_path / "key"), task, build)
    encoder = {key: value for key, value in thawed.state_dict().items() if key.startswith("encoder.")}
    assert encoder
    assert not any(torch.equal(value, start[key]) for key, value in encoder.items()), "then all of it learns"


@pytest.mark.parametrize(
    ("discriminative", "factors"), [(True, [0.001, 0.01, 0.1, 1, 1]), (False, [0.001, 0.001, 0.001, 1, 1])]
)
def test_rates_of_an_encoders_layers_are_a_geometric_row_or_one(
    tmp_path: Path, discriminative: bool, factors: list[float]
) -> None:
    torch.manual_seed(1)
    before = {key: value.clone() for key, value in TwoHeaded().named_parameters()}
    examples = films()
    recipe = {
        **RECIPE,
        **{"epochs": 1, "batch_size": 12, "schedule": "constant", "optimizer": "adam", "weight_decay": 0.0},
        **{"learning_rate": 1.0, "encoder_learning_rate_factor": 0.001, "discriminative": discriminative},
    }
    task = TrainingTask("t", examples, examples, both(examples), recipe, 0, pretrained=True)
    network, _, _ = train_on(CheckpointFolder(tmp_path / "key"), task, TwoHeaded)
    moved = {key: (value - before[key]).abs().max().item() for key, value in network.named_parameters()}
    # Adam's first step is as long as the learning rate, whatever the gradient.
    layers = ("encoder.0.", "encoder.1.", "encoder.3.", "mask_head.", "class_head.")
    steps = [max(step for key, step in moved.items() if key.startswith(layer)) for layer in layers]
    assert steps == pytest.approx(factors, rel=1e-3)


@pytest.mark.parametrize("pretrained", [True, False])
def test_an_encoders_rate_is_for_pretrained_ones(tmp_path: Path, pretrained: bool) -> None:
    examples = films(8)
    recipe = {**RECIPE, "encoder_learning_rate_factor": 0.0, "epochs": 2}
    torch.manual_seed(1)
    before = {key: value.clone() for key, value in unet.build(1, 1, [4, 8], "none").state_dict().items()}
    task = TrainingTask("t", examples, examples, segmentation(examples, ["a", "b"]), recipe, 0, pretrained=pretrained)
    network, _, _ = train_on(CheckpointFolder(tmp_path / "key"), task, lambda: unet.build(1, 1, [4, 8], "none"))
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key]) == (pretrained and key.startswith("encoder.")), key


@pytest.mark.parametrize("masks", [True, False])
def test_class_and_mask_are_learned_together_or_the_class_alone(tmp_path: Path, masks: bool) -> None:
    torch.manual_seed(1)
    start = TwoHeaded()
    examples = films()
    objective = both(examples, **({} if masks else {"mask_classes": None}))
    recipe = {**RECIPE, "epochs": 60, "augmentation": STILL, "learning_rate": 0.03}
    task = TrainingTask("t", examples, examples, objective, recipe, 0)
    network, _, history = train_on(CheckpointFolder(tmp_path / "key"), task, TwoHeaded)
    assert history[-1]["validation_score"] == 1, "balanced accuracy"
    assert torch.equal(network.mask_head.weight, start.mask_head.weight) != masks  # type: ignore[union-attr]
    assert examples.masks is not None
    predicted = torch.from_numpy(predict_masks(network, examples.images, set_up("fp32")))
    assert (scored(predicted, examples.masks, score_of(2)).mean() > 0.9) == masks


# --- classifiers


def develop() -> None:
    """Make what the label says of the prepared images true."""
    pictures = np.load("prepared/images.npy")
    pictures[::3] = 255 - pictures[::3]
    np.save("prepared/images.npy", pictures)


@pytest.fixture
def classified(place: Path, tiny: None) -> Path:
    develop()
    return place


def test_a_classifier_learns_an_easy_label(classified: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run_fit(CLASSIFIER, target="film", epochs=12, class_weights="balanced", label_smoothing=0.1)
    record = record_of()
    assert set(record) == RECORD
    assert (record["best_validation_score"], record["score"]) == (1, "balanced accuracy")
    assert list(pd.read_csv("history/seed0/history.csv")) == HISTORY
    assert re.search(r"discs, seed 0: epoch 3/12  loss \S+  validation balanced accuracy \d", capfd.readouterr().err)
    _, description = load_network(Path("models/seed0.safetensors"))
    assert (description.target, description.classes) == ("film", ["negative", "positive"])

    folder = run_predict()
    assert sorted(path.name for path in folder.iterdir()) == ["cost.json", "predictions.csv", "validation.csv"]
    predictions = read_probabilities(folder)
    assert predictions.table["id"].tolist() == ["016", "017", "018", "019", "020"]
    assert predictions.table["label"].tolist() == ["positive", "positive", "negative", "positive", "positive"]
    assert predictions.stacked[0].argmax(axis=1).tolist() == predictions.truth.tolist()
    assert set(json.loads((folder / "cost.json").read_text())) == COST


def test_written_probabilities_and_masks_are_those_of_the_saved_network(classified: Path) -> None:
    images = channels_first(np.load("prepared/images.npy")[-5:])
    run_fit(CLASSIFIER, target="film", epochs=2)
    network, description = load_network(Path("models/seed0.safetensors"))
    expected = predict_probabilities(network, images, set_up(description.precision))
    assert expected.dtype == np.float32
    folder = run_predict()
    assert np.array_equal(read_probabilities(folder).stacked[0].astype(np.float32), expected)
    of_validation = channels_first(np.load("prepared/images.npy")[-9:-5])
    expected = predict_probabilities(network, of_validation, set_up(description.precision))
    assert np.array_equal(read_probabilities(folder, "validation").stacked[0].astype(np.float32), expected)

    run_fit(epochs=2)
    network, description = load_network(Path("models/seed0.safetensors"))
    masks = predict_masks(network, images, set_up(description.precision))
    assert np.array_equal(read_predictions(run_predict("masks")).masks[0], masks)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_image_gets_the_same_bits_in_any_company(tiny: None, precision: str) -> None:
    torch.manual_seed(0)
    network = timm_classifier.build(3, 3, backbone="tiny", head="linear")
    images = torch.randint(0, 256, (21, 3, 32, 32), dtype=torch.uint8)
    runtime = set_up(precision)
    together = predict_probabilities(network, images, runtime)
    for place in (0, 7, 15, 16, 20):
        assert np.array_equal(predict_probabilities(network, images[place : place + 1], runtime)[0], together[place])


def write_weights(folder: Path) -> dict[str, Tensor]:
    """Weights of a tiny encoder, as the stage that provides them would write them."""
    torch.manual_seed(5)
    weights = timm.create_model(TINY, num_classes=0).state_dict()
    weights = {key: value + 1 if key.endswith("running_mean") else value for key, value in weights.items()}
    folder.mkdir()
    save_file(weights, folder / "model.safetensors")
    (folder / "weights.json").write_text(json.dumps({"source": "seed 5", "official": False, "random": False}))
    return weights


@pytest.mark.parametrize("frozen_epochs", [1000, 1])
def test_a_record_counts_what_learns_at_the_end(
    classified: Path, frozen_epochs: int, caplog: pytest.LogCaptureFixture
) -> None:
    weights = write_weights(classified / "weights")
    caplog.set_level("INFO")
    run_fit(CLASSIFIER, target="film", weights=classified / "weights", epochs=2, frozen_epochs=frozen_epochs)
    record, trained = record_of(), load_file("models/seed0.safetensors")
    in_encoder = sum(each.numel() for each in timm.create_model(TINY, num_classes=0, in_chans=1).parameters())
    assert "encoder was adapted from 3 channels to 1: its weights were summed." in caplog.text
    assert record["parameters"] - record["parameters_trainable"] == (in_encoder if frozen_epochs == 1000 else 0)
    assert record["weights"] == {"source": "seed 5", "official": False, "random": False}
    if frozen_epochs == 1000:
        grey = {**weights, STEM: weights[STEM].sum(dim=1, keepdim=True)}
        assert all(torch.equal(trained[f"encoder.{key}"], value) for key, value in grey.items())


def test_random_stand_ins_are_not_frozen(classified: Path) -> None:
    weights = write_weights(classified / "weights")
    about = classified / "weights" / "weights.json"
    about.write_text(json.dumps({"source": "seed 5", "official": False, "random": True}))
    run_fit(CLASSIFIER, target="film", weights=classified / "weights", epochs=1, frozen_epochs=1000)
    trained = load_file("models/seed0.safetensors")
    assert any(not torch.equal(trained[f"encoder.{key}"], value) for key, value in weights.items() if key != STEM)
    assert record_of()["parameters"] == record_of()["parameters_trainable"]


def test_other_labels_are_another_training(classified: Path) -> None:
    run_fit(CLASSIFIER, target="film", epochs=1)
    index = pd.read_csv("prepared/index.csv", dtype=str, keep_default_na=False)
    index.loc[1, "film"] = "negative"
    index.to_csv("prepared/index.csv", index=False)
    run_fit(CLASSIFIER, target="film", epochs=1)
    assert len(list(Path(".bakeoff/checkpoints").iterdir())) == 2


def test_a_classifier_may_learn_the_masks_too(classified: Path) -> None:
    settings = {"head": "both", "mask_outputs": 1, "decoder_channels": [8, 8, 8, 8, 8]}
    run_fit({"model": "resnet50_unet", "settings": settings, "masks": True}, target="film", epochs=1)
    torch.manual_seed(0)
    start = resnet50_unet.build(1, 1, **settings).state_dict()
    trained = load_file("models/seed0.safetensors")
    assert not torch.equal(trained["mask_head.weight"], start["mask_head.weight"])
    assert not torch.equal(trained["class_head.1.weight"], start["class_head.1.weight"])
    assert read_probabilities(run_predict()).stacked.shape == (1, 5, 2)


# --- cross-validation

# Two folds: each tests ten of the images, trains on seven of the others and chooses by three; image 20 is left out.
FOLDS = ("e" * 10 + "t" * 7 + "v" * 3 + "-", "t" * 7 + "v" * 3 + "e" * 10 + "-")
FIRST, SECOND = slice(0, 10), slice(10, 20)


@pytest.fixture
def folded(place: Path) -> Path:
    write_split(place / "prepared.csv", *FOLDS)
    return place


def spoil(images: slice) -> None:
    """Turn the grey levels of some images over, which changes every network that learns or chooses by them."""
    pictures = np.load("prepared/images.npy")
    pictures[images] = 255 - pictures[images]
    np.save("prepared/images.npy", pictures)


def answer_always(path: Path, logit: float, bias: str = "head.bias") -> None:
    """Replace a trained network by one that says the same of every image, or of every pixel of every image."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    weights = {key: torch.zeros_like(tensor) for key, tensor in load_file(path).items()}
    weights[bias] += logit
    save_file(weights, path, metadata=metadata)


def test_with_folds_every_seed_trains_a_network_a_fold(folded: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run_fit(seeds=2, epochs=1)
    runs = [f"seed{seed}-fold{fold}" for seed in (0, 1) for fold in (0, 1)]
    suffixes = ("json", "safetensors")
    assert sorted(path.name for path in Path("models").iterdir()) == [
        f"{run}.{end}" for run in runs for end in suffixes
    ]
    assert sorted(str(path) for path in Path("history").rglob("*.csv")) == [
        f"history/{run}/history.csv" for run in runs
    ]
    records = [record_of(run) for run in runs]
    assert [(record["seed"], record["fold"]) for record in records] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert len({Path(f"models/{run}.safetensors").read_bytes() for run in runs}) == 4
    assert "discs, seed 1, fold 1: epoch 1/1" in capfd.readouterr().err


def test_a_fold_never_sees_the_images_that_it_tests(folded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = {}
    for spoilt in ("none", "first", "second", "left out"):
        # A place of its own has no checkpoints: everything is trained anew.
        shutil.copytree(folded / "prepared", folded / spoilt / "prepared")
        shutil.copy(folded / "prepared.csv", folded / spoilt)
        monkeypatch.chdir(folded / spoilt)
        spoil({"none": slice(0), "first": FIRST, "second": SECOND, "left out": slice(20, 21)}[spoilt])
        run_fit(epochs=2)
        weights[spoilt] = [Path(f"models/seed0-fold{fold}.safetensors").read_bytes() for fold in (0, 1)]
    assert weights["left out"] == weights["none"]
    for fold, tested, learned in ((0, "first", "second"), (1, "second", "first")):
        assert weights[tested][fold] == weights["none"][fold], "the images that it tests change nothing"
        assert weights[learned][fold] != weights["none"][fold], "those that it learns from do"


def test_every_image_is_predicted_by_the_network_of_the_fold_that_tests_it(folded: Path) -> None:
    run_fit(seeds=2, epochs=1)
    first, second = (Path(f"models/seed1-fold{fold}.safetensors") for fold in (0, 1))
    answer_always(first, 10)
    answer_always(second, -10)
    predictions = read_predictions(run_predict())
    assert predictions.ids == [f"{n:03d}" for n in range(20)], "each once, in the order of the index"
    assert list(predictions.masks) == [0, 1]
    assert (predictions.masks[1][FIRST] == 1).all()
    assert (predictions.masks[1][SECOND] == 0).all()

    first.rename("models/other")
    second.rename(first)
    Path("models/other").rename(second)
    swapped = read_predictions(run_predict("swapped"))
    assert (swapped.masks[1][FIRST] == 0).all()
    assert (swapped.masks[1][SECOND] == 1).all()
    assert np.array_equal(swapped.masks[0], predictions.masks[0])


def test_folds_that_interleave_put_every_mask_in_its_place(place: Path) -> None:
    write_split(place / "prepared.csv", "et" * 8 + "ev" * 2 + "-", "te" * 8 + "ve" * 2 + "-")
    run_fit(epochs=1)
    answer_always(Path("models/seed0-fold0.safetensors"), 10)
    answer_always(Path("models/seed0-fold1.safetensors"), -10)
    filled = read_predictions(run_predict()).masks[0].any(axis=(1, 2))
    assert filled.tolist() == [True, False] * 10


@pytest.mark.usefixtures("tiny")
def test_every_image_is_classified_by_the_network_of_the_fold_that_tests_it(place: Path) -> None:
    write_split(place / "prepared.csv", "et" * 8 + "ev" * 2 + "-", "te" * 8 + "ve" * 2 + "-")
    linear = {"model": "timm_classifier", "settings": {"backbone": "tiny", "head": "linear"}}
    run_fit(linear, target="film", seeds=2, epochs=1)
    for seed in (0, 1):
        answer_always(Path(f"models/seed{seed}-fold0.safetensors"), 10, "head.1.bias")
        answer_always(Path(f"models/seed{seed}-fold1.safetensors"), -10, "head.1.bias")
    predictions = read_probabilities(run_predict())
    assert predictions.table["id"].tolist() == [f"{n:03d}" for n in range(20)] * 2
    assert predictions.table["fold"].tolist() == [0, 1] * 20
    validation = read_probabilities(Path("experiment"), "validation")
    assert validation.table["id"].tolist() == [f"{n:03d}" for n in range(16, 20)] * 2
    assert validation.table["fold"].tolist() == [1, 0, 1, 0] * 2
    assert ((validation.stacked[0, :, 1] > 0.5) == [False, True, False, True]).all()
    positive = predictions.stacked[:, :, 1]
    assert positive.shape == (2, 20)
    assert (positive[:, ::2] > 0.9999).all()
    assert (positive[:, 1::2] < 0.0001).all()


@pytest.mark.usefixtures("tiny")
def test_every_fold_learns_from_and_is_tested_on_its_own_pictures(
    folded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[str, list[Any]] = {}
    for spoilt in ("none", "fold1"):
        shutil.copytree(folded / "prepared", folded / spoilt / "prepared")
        shutil.copy(folded / "prepared.csv", folded / spoilt)
        monkeypatch.chdir(folded / spoilt)
        pictures = np.repeat(np.load("prepared/images.npy"), 3, axis=-1)
        Path("input").mkdir()
        np.save("input/fold0.npy", pictures)
        np.save("input/fold1.npy", 255 - pictures if spoilt == "fold1" else pictures)
        run_fit(CLASSIFIER, target="film", images=Path("input"), epochs=1)
        found[spoilt] = [Path(f"models/seed0-fold{fold}.safetensors").read_bytes() for fold in (0, 1)]
        found[spoilt] += [load_network(Path("models/seed0-fold0.safetensors"))[1].in_channels]
        probabilities = read_probabilities(run_predict(images=Path("input"))).stacked[0]
        found[spoilt] += [probabilities[FIRST].tolist(), probabilities[SECOND].tolist()]
    same = [a == b for a, b in zip(*found.values(), strict=True)]
    assert same == [True, False, True, True, False]
    assert found["none"][2] == 3

    # With the same networks: the pictures that are predicted are each fold's too.
    monkeypatch.chdir(folded / "none")
    np.save("input/fold1.npy", 255 - np.load("input/fold1.npy"))
    again = read_probabilities(run_predict("again", images=Path("input"))).stacked[0]
    assert again[FIRST].tolist() == found["none"][3]
    assert (again[SECOND] != found["none"][4]).all()


def test_predictions_of_all_folds_are_scored_as_one(folded: Path) -> None:
    run_fit(epochs=12)
    folder = run_predict()
    score("discs", None, Path("prepared"), Path("prepared.csv"), folder, folder, resamples=100)
    table = pd.read_csv(folder / "scores.csv", dtype={"id": str})
    assert table["id"].tolist() == [f"{n:03d}" for n in range(20)]
    assert table["seed"].unique().tolist() == [0]
    metrics = json.loads((folder / "metrics.json").read_text())
    assert (metrics["images"], metrics["seeds"]) == (20, 1)
    assert metrics["dice"]["mean"] > 0.8
    cost = json.loads((folder / "cost.json").read_text())
    assert cost["note"].startswith("means over 2 trainings")


def test_where_a_split_changes_every_fold_trains_again(folded: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run_fit(epochs=1)
    capfd.readouterr()
    # Images of the second fold change sides. The first fold is as it was, and the stage's inputs are not.
    write_split(folded / "prepared.csv", FOLDS[0], "v" * 3 + "t" * 7 + "e" * 10 + "-")
    first = Path("models/seed0-fold0.safetensors").read_bytes()
    run_fit(epochs=1)
    assert capfd.readouterr().err.count("epoch 1/1") == 2
    assert Path("models/seed0-fold0.safetensors").read_bytes() == first


def test_a_fold_whose_network_is_missing_is_named(folded: Path) -> None:
    run_fit(epochs=1)
    Path("models/seed0-fold1.safetensors").unlink()
    with pytest.raises(BakeoffError, match=r"models/seed0-fold1\.safetensors is missing") as error:
        run_predict()
    sentence(error)
    assert not Path("experiment").exists()


def test_a_split_of_other_images_is_refused(place: Path) -> None:
    write_split(place / "prepared.csv", "t" * 12 + "v" * 4 + "e" * 4)
    with pytest.raises(BakeoffError, match=r"prepared\.csv is of other images .*`dvc repro split@prepared`") as error:
        run_fit()
    sentence(error)
    (place / "prepared.csv").unlink()
    with pytest.raises(BakeoffError, match=r"prepared\.csv is missing: run `dvc repro split@prepared`") as error:
        run_fit()
    sentence(error)


# --- mishaps, one sentence each


def sentence(error: pytest.ExceptionInfo[BakeoffError]) -> str:
    text = str(error.value)
    assert text.count("\n") == 0
    assert text.endswith(".")
    return text


def test_a_loss_that_is_not_a_number_names_the_epoch_and_the_way_out(place: Path) -> None:
    with pytest.raises(BakeoffError) as error:
        run_fit({"model": "unet", "settings": {"channels": [4, 8], "norm": "none"}}, learning_rate=1e30)
    assert re.search(r"discs, seed 0: .*not a number in epoch \d.*learning_rate.*precision", sentence(error))
    assert not Path("models").exists()


def test_a_class_in_no_training_mask_is_named(place: Path) -> None:
    masks = np.load("prepared/masks.npy")
    masks[:12] = 0
    np.save("prepared/masks.npy", masks)
    with pytest.raises(BakeoffError, match="class 'disc1' is in no training mask") as error:
        run_fit()
    sentence(error)


@pytest.mark.usefixtures("tiny")
def test_a_class_that_no_training_image_has_is_named(place: Path) -> None:
    write_split(place / "prepared.csv", "-tt" * 4 + "vvvv" + "eeeee")
    with pytest.raises(BakeoffError, match="seed 0: class 'negative' is in no training label") as error:
        run_fit(CLASSIFIER, target="film")
    sentence(error)


def test_a_label_that_cannot_be_predicted_is_named(place: Path) -> None:
    with pytest.raises(BakeoffError, match=r"prepared has no label 'films' to predict: it has \['film'\]") as error:
        run_fit(CLASSIFIER, target="films")
    sentence(error)


SMALL = {"decoder_channels": [4, 4, 4, 4, 4]}


@pytest.mark.parametrize(
    ("experiment", "target", "words"),
    [
        (CLASSIFIER, None, "the network predicts no mask"),
        ({**CLASSIFIER, "masks": True}, "film", "the network predicts no mask"),
        (EXPERIMENT, "film", "the network predicts no class"),
        (
            {"model": "resnet50_unet", "masks": True, "settings": {"head": "both", "mask_outputs": 3, **SMALL}},
            "film",
            r"the network has 3 outputs for the mask, and \['background', 'disc1'\] take 1",
        ),
    ],
)
@pytest.mark.usefixtures("tiny")
def test_a_network_for_something_else_is_refused(
    place: Path, experiment: dict[str, Any], target: str | None, words: str
) -> None:
    with pytest.raises(BakeoffError, match=rf"^discs, seed 0: {words}.*settings\.$") as error:
        run_fit(experiment, target=target)
    sentence(error)


def test_masks_are_not_learned_where_there_are_none(place: Path) -> None:
    (place / "prepared" / "masks.npy").unlink()
    with pytest.raises(BakeoffError, match="prepared has no masks") as error:
        run_fit({**CLASSIFIER, "masks": True}, target="film")
    sentence(error)


@pytest.mark.parametrize(("splits", "missing"), [("vvvve", "train"), ("tttte", "validation"), ("ttttv", "test")])
def test_a_split_that_leaves_a_part_empty_is_refused(place: Path, splits: str, missing: str) -> None:
    write_prepared(place / "few", splits=splits)
    with pytest.raises(BakeoffError, match=rf"few\.csv leaves no image to {missing} in fold 0") as error:
        run_fit(data="few")
    sentence(error)


def test_wrong_settings_of_a_model_name_the_experiment(place: Path) -> None:
    for settings, named in [({"widths": [4]}, "widths"), ({"norm": "layer"}, "layer")]:
        with pytest.raises(BakeoffError, match=f"experiment discs.*'unet'.*{named}") as error:
            run_fit({"model": "unet", "settings": settings})
        sentence(error)
    with pytest.raises(BakeoffError, match=r"no model 'vnet'.*models/vnet\.py"):
        run_fit({"model": "vnet", "settings": {}})


def test_weights_that_do_not_fit_are_named(place: Path) -> None:
    weights = place / "weights"
    weights.mkdir()
    (weights / "weights.json").write_text(json.dumps({"stride_in": "1x1"}))
    (weights / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(BakeoffError, match=r"weights/model\.safetensors does not fit the encoder") as error:
        run_fit({"model": "deeplabv3plus", "settings": {}}, weights=weights)
    sentence(error)


def test_a_damaged_network_is_named(place: Path) -> None:
    run_fit(epochs=1)
    path = Path("models/seed0.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BakeoffError, match=r"models/seed0\.safetensors") as error:
        run_predict()
    sentence(error)


OUT_OF_MEMORY = """
import resource, sys
from pathlib import Path
import numpy as np, psutil
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.training.fit import fit
import json
recipe = json.loads(sys.argv[1])
limit = psutil.Process().memory_info().vms + 600 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    settings = {"model": "unet", "settings": {"channels": [512, 8]}}
    data = (Path("prepared"), Path("prepared.csv"))
    fit("discs", settings, recipe, None, 1, *data, None, None, Path("models"), Path("history"), inputs={"stage": "t"})
except BakeoffError as error:
    print(error)
"""


def test_memory_that_runs_out_names_batch_and_size(place: Path) -> None:
    write_prepared(place / "many", splits="t" * 400 + "ve")
    (place / "prepared").rename(place / "other")
    (place / "many").rename(place / "prepared")
    (place / "many.csv").rename(place / "prepared.csv")
    recipe = json.dumps({**RECIPE, "batch_size": 400, "precision": "fp32"})
    done = subprocess.run([sys.executable, "-c", OUT_OF_MEMORY, recipe], capture_output=True, text=True, timeout=300)
    assert re.fullmatch(
        r"discs, seed 0: memory ran out at 400 images of 32 pixels per step: lower .*\.\n", done.stdout
    ), done.stdout + done.stderr


# --- killed and started again


@pytest.fixture(autouse=True)
def checkpoint_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The networks of these tests take no time."""
    monkeypatch.setattr("bakeoff.training.loop.CHECKPOINT_SECONDS", 0)


TRAIN = """
import json, os, sys
from pathlib import Path
Path("pid").write_text(str(os.getpid()))
from bakeoff.models import timm_classifier
from bakeoff.training import loop
from bakeoff.training.fit import fit
loop.CHECKPOINT_SECONDS = float(os.environ.get("CHECKPOINT_SECONDS", 0))
timm_classifier.BACKBONES["tiny"] = "test_resnet"
settings, recipe, target, seeds, weights = json.loads(sys.argv[1])
data = (Path("prepared"), Path("prepared.csv"), None, weights and Path(weights))
inputs = {"stage": "train@discs", "deps": {}, "params": {"recipe": recipe, "experiment": settings}}
fit("discs", settings, recipe, target, seeds, *data, Path("models"), Path("history"), inputs=inputs)
"""
LONG = {**RECIPE, "epochs": 30, "patience": 25}


def command(
    experiment: dict[str, Any] = EXPERIMENT,
    recipe: dict[str, Any] = LONG,
    target: str | None = None,
    seeds: int = 2,
    weights: str | None = None,
) -> list[str]:
    return [sys.executable, "-c", TRAIN, json.dumps([experiment, recipe, target, seeds, weights])]


def start(folder: Path, command: list[str]) -> subprocess.Popen[str]:
    environment = {key: value for key, value in os.environ.items() if key != "DVC_STAGE"}
    environment["OMP_NUM_THREADS"] = "1"
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True, env=environment)


def wait_for_epoch(process: subprocess.Popen[str], seed: int, epoch: int) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if f"seed {seed}: epoch {epoch}/" in line:
            return
    raise AssertionError(f"epoch {epoch} never came")


def test_killed_at_random_epochs_it_ends_in_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed, uninterrupted = tmp_path / "killed", tmp_path / "uninterrupted"
    for folder in (killed, uninterrupted):
        folder.mkdir()
        write_prepared(folder / "prepared")

    chance = random.Random(20240229)
    kills = [
        (signal.SIGKILL, 0, chance.randrange(1, 12)),
        (signal.SIGTERM, 0, chance.randrange(14, 28)),
        (signal.SIGKILL, 1, chance.randrange(1, 28)),
    ]
    for number, seed, epoch in kills:
        process = start(killed, command())
        wait_for_epoch(process, seed, epoch)
        time.sleep(chance.uniform(0, 0.1))
        process.send_signal(number)
        _, told = process.communicate(timeout=120)
        assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
        if number == signal.SIGTERM:
            stopped = [line for line in told.splitlines() if "epoch" not in line]
            assert stopped == ["bakeoff: told to stop (SIGTERM): run the same command again to go on."]
        assert not (killed / "models").exists()
    process = start(killed, command())
    _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    assert "seed 1: going on after epoch" in told

    monkeypatch.chdir(uninterrupted)
    run_fit(seeds=2, **LONG)
    for seed in (0, 1):
        require_same_bits(killed, uninterrupted, seed)


def test_short_epochs_are_not_written_one_by_one(
    place: Path, monkeypatch: pytest.MonkeyPatch, written: list[int]
) -> None:
    """Time passes a second a call; a checkpoint is due every ten seconds, and the best weights are never lost."""
    monkeypatch.setattr("bakeoff.training.loop.CHECKPOINT_SECONDS", 10.0)
    monkeypatch.setattr("bakeoff.training.loop.time.monotonic", itertools.count().__next__)
    run_fit(epochs=30, patience=30)
    assert written
    assert len(written) < 6
    assert written == sorted(written)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The epochs that checkpoints are written of."""
    epochs: list[int] = []
    save = CheckpointFolder.save

    def noting(self: CheckpointFolder, history: History, state: State, best: State | None) -> None:
        epochs.append(len(history))
        save(self, history, state, best)

    monkeypatch.setattr(CheckpointFolder, "save", noting)
    return epochs


def require_same_bits(killed: Path, uninterrupted: Path, seed: int) -> None:
    model = f"models/seed{seed}.safetensors"
    assert (killed / model).read_bytes() == (uninterrupted / model).read_bytes()
    histories = [pd.read_csv(folder / f"history/seed{seed}/history.csv") for folder in (killed, uninterrupted)]
    first, second = (table.drop(columns=["seconds", "images_per_second"]) for table in histories)
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    records = [json.loads((folder / f"models/seed{seed}.json").read_text()) for folder in (killed, uninterrupted)]
    assert len({record["parameters_trainable"] for record in records}) == 1


@pytest.mark.usefixtures("tiny")
def test_a_killed_classifier_ends_in_the_same_bits_frozen_or_thawed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed, uninterrupted = tmp_path / "killed", tmp_path / "uninterrupted"
    for folder in (killed, uninterrupted):
        folder.mkdir()
        monkeypatch.chdir(folder)
        write_prepared(folder / "prepared")
        write_weights(folder / "weights")
        develop()
    recipe = {**RECIPE, **DISCRIMINATIVE, "frozen_epochs": 4, "epochs": 8, "class_weights": "balanced"}
    for epoch in (2, 6):
        process = start(killed, command(CLASSIFIER, recipe, "film", 1, "weights"))
        wait_for_epoch(process, 0, epoch)
        process.kill()
        process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL
    process = start(killed, command(CLASSIFIER, recipe, "film", 1, "weights"))
    _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    assert re.search("going on after epoch [67] of 8", told)
    run_fit(CLASSIFIER, target="film", weights=Path("weights"), **recipe)
    require_same_bits(killed, uninterrupted, 0)


DVC = """
import os, subprocess, sys
os.environ["DVC_STAGE"] = "train@discs"
subprocess.run(sys.argv[1:])
"""


def test_it_stops_when_the_dvc_above_it_is_killed(tmp_path: Path) -> None:
    write_prepared(tmp_path / "prepared")
    (tmp_path / "dvc").write_text(DVC)
    forever = command(recipe={**LONG, "epochs": 100_000, "patience": 100_000})
    dvc = subprocess.Popen(
        [sys.executable, tmp_path / "dvc", *forever], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for_epoch(dvc, 0, 3)
        training = psutil.Process(int((tmp_path / "pid").read_text()))
        time.sleep(1)
        assert is_alive(training)
        dvc.kill()
        began = time.monotonic()
        _, told = dvc.communicate(timeout=60)  # ends when the training, which shares the pipe, does
        assert time.monotonic() - began < 5  # a couple of seconds, and what a busy machine adds
        assert "bakeoff: the dvc that started this is gone: run the same command again to go on.\n" in told
        training.wait(timeout=30)  # the pipe closes a moment before the process is gone
    finally:
        dvc.kill()
        for survivor in [psutil.Process(int((tmp_path / "pid").read_text()))] if is_left(tmp_path) else []:
            survivor.kill()


def is_left(folder: Path) -> bool:
    return (folder / "pid").exists() and psutil.pid_exists(int((folder / "pid").read_text()))


# Cost: a training whose validation masks alone hold void ends in torch's words.
@pytest.mark.usefixtures("place")
def test_void_may_be_in_validation_masks_alone() -> None:
    masks = np.load("prepared/masks.npy")
    masks[12:16, :4] = VOID
    np.save("prepared/masks.npy", masks)
    run_fit(epochs=2)
    history = pd.read_csv("history/seed0/history.csv")
    assert history["validation_loss"].between(0, 5).all()


# Geometry tile: windows to learn from, blended ones to predict, images of their own size to score.
@pytest.mark.usefixtures("place")
def test_images_of_different_sizes_are_learned_and_predicted_in_windows() -> None:
    images, masks = np.load("prepared/images.npy"), np.load("prepared/masks.npy")
    rng = np.random.default_rng(0)
    sizes = [(int(height), int(width)) for height, width in rng.integers(20, 33, (len(masks), 2))]
    for name, arrays in (("images", images), ("masks", masks)):
        Path(f"prepared/{name}.npy").unlink()
        cropped = [each[:height, :width] for each, (height, width) in zip(arrays, sizes, strict=True)]
        write_arrays(Path(f"prepared/{name}.npy"), cropped)
    about = json.loads(Path("prepared/dataset.json").read_text())
    Path("prepared/dataset.json").write_text(json.dumps({**about, "geometry": "tile", "size": [16, 24]}))
    run_fit(epochs=30, learning_rate=0.01)
    run_predict()
    data, found = open_prepared(Path("prepared")), read_predictions(Path("experiment")).masks[0]
    tested = np.arange(16, 21)
    assert [mask.shape for mask in found] == [sizes[row] for row in tested]
    truth = data.true_masks()
    scores = [
        scored(torch.from_numpy(mask[None].copy()), torch.from_numpy(truth[row][None].copy()), score_of(2)).item()
        for row, mask in zip(tested, found, strict=True)
    ]
    assert np.mean(scores) > 0.8
    network = TorchNetwork.open(Path("models/seed0.safetensors"))
    assert (network.description["geometry"], network.description["size"]) == ("tile", [16, 24])
    for row, mask in zip(tested, found, strict=True):
        alone = blended_classes(data.images[row], data.geometry, 2, network.mask_probabilities)
        assert np.array_equal(alone, mask)
