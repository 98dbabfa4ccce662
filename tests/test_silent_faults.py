"""Faults that gave plausible wrong numbers: one test a fault, each with a line on what it would have cost."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.evaluation import classification, scores
from bakeoff.evaluation.comparison import SEGMENTATION, compare_scores
from bakeoff.models import unet
from bakeoff.training.checkpoint import CheckpointFolder
from bakeoff.training.device import Runtime
from bakeoff.training.loop import TrainingTask, train
from bakeoff.training.objective import Examples, segmentation

RECIPE: dict[str, Any] = {
    **{"epochs": 1, "patience": 1, "batch_size": 4, "optimizer": "adam", "learning_rate": 0.01, "weight_decay": 0.0},
    **{"schedule": "constant", "warmup_epochs": 0, "frozen_epochs": 0, "discriminative": False},
    **{"encoder_learning_rate_factor": 1.0},
    "augmentation": dict.fromkeys(("rotate", "scale", "translate", "brightness", "contrast", "gamma", "flip"), 0),
}


def train_unet(folder: Path, **recipe: Any) -> None:
    """Train a small U-Net from random weights."""
    images = torch.randint(256, (4, 1, 8, 8), dtype=torch.uint8)
    examples = Examples(images, (images[:, 0] > 128).to(torch.uint8))
    objective = segmentation(examples, ["background", "cell"])
    task = TrainingTask("cells", examples, examples, objective, {**RECIPE, **recipe}, seed=0)
    folder.mkdir()
    train(task, unet.build(1, 1, [4, 8]), Runtime(torch.device("cpu"), "fp32"), CheckpointFolder(folder))


# Cost: a U-Net that learns with 753 of its 1,869 parameters scores lower, and the comparison blames the architecture.
def test_an_encoder_without_pretrained_weights_is_not_frozen(tmp_path: Path) -> None:
    with pytest.raises(BakeoffError, match=r"cells: the recipe's frozen_epochs is 3, .*: set frozen_epochs to 0, or"):
        train_unet(tmp_path / "frozen", frozen_epochs=3)


# Cost: every seed and fold after the largest one reports that one's GPU memory as its own.
def test_peak_memory_is_that_of_one_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = {"bytes": 0}
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: peaks.update(bytes=0))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: peaks["bytes"])
    gpu = Runtime(torch.device("cuda"), "fp32")
    for mebibytes in (8, 3):
        gpu.reset_peak_memory()
        peaks["bytes"] = max(peaks["bytes"], mebibytes * 2**20)
        assert gpu.peak_memory_mib() == mebibytes

    resets: list[str] = []
    monkeypatch.setattr(Runtime, "reset_peak_memory", lambda runtime: resets.append(runtime.precision))
    train_unet(tmp_path / "first")
    train_unet(tmp_path / "second")
    assert resets == ["fp32", "fp32"]


# Cost: of distances and log losses below 1 the upper end is cut at 1, just where the seeds disagree most.
def test_an_interval_ends_where_the_score_does_and_not_where_its_values_happen_to() -> None:
    by_seed = pd.DataFrame({"id": list("aabbcc"), "seed": [0, 1] * 3, "assd": [0.2, 0.9] * 3, "dice": [0.2, 0.9] * 3})
    found = scores.headline(by_seed, pd.Series({"a": 0, "b": 1, "c": 2}), resamples=50)
    assert found["assd"]["high"] > 1 == found["dice"]["high"]
    assert found["assd"]["low"] == found["dice"]["low"] == 0

    probabilities = np.exp(-np.array([[0.2] * 3, [0.9] * 3]))[..., None]
    probabilities = np.concatenate([probabilities, 1 - probabilities], axis=2)
    assert classification.headline(np.zeros(3, int), probabilities, np.arange(3), resamples=50)["log_loss"]["high"] > 1


# Cost: two oracles added moved the only real pair from p = .018 to .036; a few more, and it is undecided.
def test_oracles_are_outside_the_family_that_holm_corrects_for() -> None:
    rng = np.random.default_rng(1)
    dice = {name: rng.beta(9, 2, 40) - drop for name, drop in [("a", 0.0), ("b", 0.06), ("bound", 0.01), ("top", 0.0)]}
    groups = pd.Series({str(image): image for image in range(40)})

    def pairs(*names: str) -> pd.DataFrame:
        entry = {"family": "thresholds", "method": "otsu"}
        oracles = {name: {"foreground": "oracle"} for name in ("bound", "top")}
        tables = {name: pd.DataFrame({"id": groups.index, "seed": 0, "dice": dice[name]}) for name in names}
        experiments, others = {name: entry | oracles.get(name, {}) for name in names}, {name: {} for name in names}
        _, found = compare_scores(
            SEGMENTATION, experiments, tables, others, others, [], groups, resamples=50, margin=0.01
        )
        return found.set_index(["first", "second"])

    alone, among_oracles = pairs("a", "b"), pairs("a", "b", "bound", "top")
    assert (
        among_oracles.loc[("a", "b"), "p_holm"] == alone.loc[("a", "b"), "p_holm"] == alone.loc[("a", "b"), "p_value"]
    )
    assert among_oracles["p_holm"].notna().sum() == 1
    assert among_oracles["verdict"].notna().all()
