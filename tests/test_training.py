"""Training: exact losses, faithful augmentation, the same bits after every kill, one sentence for every mishap."""

import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kornia
import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from bakeoff.errors import BakeoffError
from bakeoff.models import unet
from bakeoff.stages.fit import fit
from bakeoff.stages.predict import predict
from bakeoff.training.augmentation import adjust_levels, affine_matrices, augment, warp
from bakeoff.training.checkpoint import CheckpointFolder
from bakeoff.training.device import set_up
from bakeoff.training.interruption import is_alive
from bakeoff.training.loop import Split, Task, best_epoch, epoch_generator, is_over, learning_rate_factor, train
from bakeoff.training.losses import class_weights, dice_cross_entropy, foreground_dice
from bakeoff.training.preprocessing import class_indices, normalise, to_unit_range
from bakeoff.training.progress import duration
from bakeoff.training.saved import load_network
from torch import Tensor

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
    "learning_rate": 0.01,
    "encoder_learning_rate_factor": 1.0,
    "weight_decay": 0.01,
    "warmup_epochs": 1,
    "precision": "auto",
    "augmentation": LIVELY,
}
# What docs/architecture.md promises of seedK.json, history.csv and cost.json.
RECORD = {
    *("seed", "epochs_run", "best_epoch", "best_validation_dice", "training_seconds", "images_per_second"),
    *("peak_memory_mib", "parameters", "parameters_trainable", "device", "precision", "threads", "weights", "manifest"),
}
HISTORY = ["epoch", "train_loss", "validation_loss", "validation_dice", "learning_rate", "images_per_second", "seconds"]
COST = {
    *("parameters", "model_mib", "training_seconds", "predict_images_per_second"),
    *("peak_memory_mib", "device", "note", "manifest"),
}
EXPERIMENT = {"model": "unet", "settings": {"channels": [4, 8], "norm": "batch"}}


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


def write_prepared(folder: Path, classes: int = 2, splits: str = "t" * 12 + "v" * 4 + "e" * 5) -> None:
    """Bright discs on noise, one class a disc; `splits` has a letter an image: train, validation, tEst."""
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
    names = {"t": "train", "v": "validation", "e": "test"}
    index = {"id": [f"{n:03d}" for n in range(len(splits))], "split": [names[letter] for letter in splits], "group": ""}
    pd.DataFrame(index).to_csv(folder / "index.csv", index=False)
    about = {"classes": ["background", *(f"disc{index}" for index in range(1, classes))], "strata": []}
    (folder / "dataset.json").write_text(json.dumps(about))


def run_fit(experiment: dict[str, Any] = EXPERIMENT, seeds: int = 1, **recipe: Any) -> None:
    fit("discs", experiment, {**RECIPE, **recipe}, seeds, Path("prepared"), None, Path("models"), Path("history"))


# --- loss and score


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


def test_foreground_dice_is_of_each_image_and_empty_on_empty_is_1() -> None:
    masks = torch.tensor([[[1, 1, 0, 0]], [[0, 0, 0, 0]], [[0, 0, 0, 0]], [[1, 1, 2, 2]]])
    predicted = torch.tensor([[[1, 0, 1, 0]], [[0, 0, 0, 0]], [[1, 0, 0, 0]], [[1, 1, 0, 2]]])
    assert foreground_dice(predicted[:3], masks[:3], 2).tolist() == [0.5, 1, 0]
    assert foreground_dice(predicted[3:], masks[3:], 3).tolist() == pytest.approx([(1 + 2 / 3) / 2])


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


def test_the_learning_rate_rises_then_falls_to_0() -> None:
    split = Split(torch.zeros(8, 1, 4, 4, dtype=torch.uint8), torch.zeros(8, 4, 4, dtype=torch.uint8))
    task = Task("t", split, split, ["a", "b"], {**RECIPE, "epochs": 10, "warmup_epochs": 2}, 0)
    factors = [learning_rate_factor(step, task) for step in range(20)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors[12] == pytest.approx(0.5)
    assert factors[4:] == sorted(factors[4:], reverse=True)
    assert 0 < factors[19] < 0.01


def test_patience_counts_epochs_since_the_best() -> None:
    def rows(*scores: float) -> list[dict[str, float]]:
        return [{"epoch": n, "validation_dice": score} for n, score in enumerate(scores, 1)]

    recipe = {"epochs": 6, "patience": 2}
    assert best_epoch(rows(0.1, 0.5, 0.5)) == 2
    assert not is_over([], recipe)
    assert not is_over(rows(0.5, 0.4), recipe)
    assert is_over(rows(0.5, 0.4, 0.5), recipe)
    assert is_over(rows(1, 2, 3, 4, 5, 6), recipe)


@pytest.mark.parametrize(("seconds", "text"), [(12, "12 s"), (185, "3 min 05 s"), (3725, "1 h 02 min")])
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text


# --- the stages


def test_it_learns_and_writes_what_the_architecture_promises(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run_fit(seeds=2, epochs=12)
    assert sorted(path.name for path in Path("models").iterdir()) == [
        "seed0.json",
        "seed0.safetensors",
        "seed1.json",
        "seed1.safetensors",
    ]
    record = json.loads(Path("models/seed1.json").read_text())
    assert set(record) == RECORD
    history = pd.read_csv("history/seed1/history.csv")
    assert list(history) == HISTORY
    assert history["epoch"].tolist() == list(range(1, 13))
    assert history["validation_dice"].max() == pytest.approx(record["best_validation_dice"], abs=1e-5)
    assert record["best_validation_dice"] > 0.9
    lines = capfd.readouterr().err.splitlines()
    pattern = r"discs, seed 0: epoch 3/12  loss \S+  validation Dice 0\.\d{4}  \S+ images/s  at most .* left"
    assert any(re.fullmatch(pattern, line) for line in lines)

    predict("discs", Path("prepared"), Path("models"), Path("experiment"))
    truth = np.load("prepared/masks.npy")[-5:]
    masks = np.load("experiment/seed1/masks.npy")
    assert masks.dtype == np.uint8
    overlap = foreground_dice(torch.from_numpy(masks), torch.from_numpy(truth), 2)
    assert overlap.mean() > 0.9
    table = pd.read_csv("experiment/predictions.csv", dtype={"id": str})
    assert table["id"].tolist() == ["016", "017", "018", "019", "020"] * 2
    assert table["seed"].tolist() == [0] * 5 + [1] * 5
    assert (Path("experiment/seed4")).is_dir()
    cost = json.loads(Path("experiment/cost.json").read_text())
    assert set(cost) == COST
    assert cost["parameters"] == record["parameters"]


def test_predicting_again_gives_the_same_bits(place: Path) -> None:
    run_fit()
    for folder in ("first", "second"):
        predict("discs", Path("prepared"), Path("models"), Path(folder))
    assert Path("first/seed0/masks.npy").read_bytes() == Path("second/seed0/masks.npy").read_bytes()


def test_three_classes_are_learned_with_a_softmax(place: Path) -> None:
    write_prepared(place / "three", classes=3)
    fit("discs", EXPERIMENT, {**RECIPE, "epochs": 15}, 1, Path("three"), None, Path("models"), Path("history"))
    network, description = load_network(Path("models/seed0.safetensors"))
    assert network.head.out_channels == 3
    assert description.classes == ["background", "disc1", "disc2"]
    assert json.loads(Path("models/seed0.json").read_text())["best_validation_dice"] > 0.6


def test_an_added_seed_and_a_rerun_cost_only_themselves(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run_fit(seeds=1)
    first = Path("models/seed0.safetensors").read_bytes()
    capfd.readouterr()
    run_fit(seeds=2)
    told = capfd.readouterr().err
    assert "seed 0" not in told
    assert "seed 1: epoch 3/3" in told
    assert Path("models/seed0.safetensors").read_bytes() == first
    assert not list(Path(".bakeoff/checkpoints").glob("*/state-*")), "the optimiser's state is dropped at the end"


@pytest.mark.parametrize("change", [{"learning_rate": 0.02}, {"weight_decay": 0.0}, {"precision": "fp32"}])
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
        record = json.loads(Path("models/seed0.json").read_text())
        assert record["precision"] == precision
        assert record["best_validation_dice"] > 0.8


def test_the_encoder_may_learn_more_slowly(place: Path) -> None:
    torch.manual_seed(0)
    start = unet.build(1, 1, [4, 8], "none")
    split = Split(torch.zeros(8, 1, 16, 16, dtype=torch.uint8), torch.zeros(8, 16, 16, dtype=torch.uint8))
    split.images[..., :8], split.masks[..., :8] = 200, 1
    recipe = {**RECIPE, "encoder_learning_rate_factor": 0.0, "epochs": 2}
    before = {key: value.clone() for key, value in start.state_dict().items()}
    folder = CheckpointFolder(place / "key")
    with folder.held("test"):
        train(Task("t", split, split, ["a", "b"], recipe, 0, pretrained=True), start, set_up("fp32"), folder)
    for key, value in start.state_dict().items():
        assert torch.equal(value, before[key]) == key.startswith("encoder."), key


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


@pytest.mark.parametrize(("splits", "missing"), [("vvvve", "train"), ("tttte", "validation")])
def test_no_images_to_train_on(place: Path, splits: str, missing: str) -> None:
    write_prepared(place / "few", splits=splits)
    with pytest.raises(BakeoffError, match=rf"few/index\.csv.*'{missing}'") as error:
        fit("discs", EXPERIMENT, RECIPE, 1, Path("few"), None, Path("models"), Path("history"))
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
    where = (Path("models"), Path("history"))
    with pytest.raises(BakeoffError, match=r"weights/model\.safetensors does not fit the encoder") as error:
        fit("discs", {"model": "deeplabv3plus", "settings": {}}, RECIPE, 1, Path("prepared"), weights, *where)
    sentence(error)


def test_a_damaged_network_is_named(place: Path) -> None:
    run_fit(epochs=1)
    path = Path("models/seed0.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BakeoffError, match=r"models/seed0\.safetensors") as error:
        predict("discs", Path("prepared"), Path("models"), Path("experiment"))
    sentence(error)


OUT_OF_MEMORY = """
import resource, sys
from pathlib import Path
import numpy as np, psutil
from bakeoff.errors import BakeoffError
from bakeoff.stages.fit import fit
import json
recipe = json.loads(sys.argv[1])
limit = psutil.Process().memory_info().vms + 600 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    settings = {"model": "unet", "settings": {"channels": [512, 8]}}
    fit("discs", settings, recipe, 1, Path("prepared"), None, Path("models"), Path("history"))
except BakeoffError as error:
    print(error)
"""


def test_memory_that_runs_out_names_batch_and_size(place: Path) -> None:
    write_prepared(place / "many", splits="t" * 400 + "v")
    (place / "prepared").rename(place / "other")
    (place / "many").rename(place / "prepared")
    recipe = json.dumps({**RECIPE, "batch_size": 400, "precision": "fp32"})
    done = subprocess.run([sys.executable, "-c", OUT_OF_MEMORY, recipe], capture_output=True, text=True, timeout=300)
    assert re.fullmatch(
        r"discs, seed 0: memory ran out at 400 images of 32 pixels a step: lower .*\.\n", done.stdout
    ), done.stdout + done.stderr


# --- killed and started again

TRAIN = """
import json, os, sys
from pathlib import Path
Path("pid").write_text(str(os.getpid()))
from bakeoff.stages.fit import fit
settings, recipe = json.loads(sys.argv[1]), json.loads(sys.argv[2])
fit("discs", settings, recipe, 2, Path("prepared"), None, Path("models"), Path("history"))
"""
LONG = {**RECIPE, "epochs": 30, "patience": 25}


def command(recipe: dict[str, Any] = LONG) -> list[str]:
    return [sys.executable, "-c", TRAIN, json.dumps(EXPERIMENT), json.dumps(recipe)]


def start(folder: Path) -> subprocess.Popen[str]:
    environment = {key: value for key, value in os.environ.items() if key != "DVC_STAGE"}
    environment["OMP_NUM_THREADS"] = "1"
    return subprocess.Popen(command(), cwd=folder, stderr=subprocess.PIPE, text=True, env=environment)


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
        process = start(killed)
        wait_for_epoch(process, seed, epoch)
        time.sleep(chance.uniform(0, 0.1))
        process.send_signal(number)
        _, told = process.communicate(timeout=120)
        assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
        if number == signal.SIGTERM:
            stopped = [line for line in told.splitlines() if "epoch" not in line]
            assert stopped == ["bakeoff: told to stop (SIGTERM): run the same command again to go on."]
        assert not (killed / "models").exists()
    process = start(killed)
    _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    assert "seed 1: going on after epoch" in told

    monkeypatch.chdir(uninterrupted)
    fit("discs", EXPERIMENT, LONG, 2, Path("prepared"), None, Path("models"), Path("history"))
    for seed in (0, 1):
        model = f"models/seed{seed}.safetensors"
        assert (killed / model).read_bytes() == (uninterrupted / model).read_bytes()
        histories = [pd.read_csv(folder / f"history/seed{seed}/history.csv") for folder in (killed, uninterrupted)]
        first, second = (table.drop(columns=["seconds", "images_per_second"]) for table in histories)
        pd.testing.assert_frame_equal(first, second, check_exact=True)


DVC = """
import os, subprocess, sys
os.environ["DVC_STAGE"] = "fit-network@discs"
subprocess.run(sys.argv[1:])
"""


def test_it_stops_when_the_dvc_above_it_is_killed(tmp_path: Path) -> None:
    write_prepared(tmp_path / "prepared")
    (tmp_path / "dvc").write_text(DVC)
    forever = command({**LONG, "epochs": 100_000, "patience": 100_000})
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
