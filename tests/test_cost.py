"""What `cost.json` says of speed and size: exact for layers of known size."""

import json
import time
from pathlib import Path

import pytest
import torch
from bakeoff.artefacts.cost import (
    SECONDS_OF_TIMING,
    TIMED,
    WARM_UPS,
    Work,
    cost_of_trainings,
    latency_ms,
    other_load,
    work_so_far,
    write_cost,
)
from bakeoff.training.predict import multiply_adds
from torch import nn


def test_multiply_adds_of_layers_of_known_size() -> None:
    image = torch.zeros(1, 3, 10, 12)
    convolution = nn.Conv2d(3, 8, kernel_size=3, padding=1)
    assert multiply_adds(lambda: convolution(image)) == 10 * 12 * 8 * 3 * 3 * 3
    strided = nn.Conv2d(3, 8, kernel_size=5, stride=2, padding=2, bias=False)
    assert multiply_adds(lambda: strided(image)) == 5 * 6 * 8 * 3 * 5 * 5
    depthwise = nn.Conv2d(3, 3, kernel_size=3, padding=1, groups=3)
    assert multiply_adds(lambda: depthwise(image)) == 10 * 12 * 3 * 3 * 3
    transposed = nn.ConvTranspose2d(3, 8, kernel_size=2, stride=2)
    assert multiply_adds(lambda: transposed(image)) == 10 * 12 * 3 * 8 * 2 * 2
    linear = nn.Linear(30, 7)
    assert multiply_adds(lambda: linear(torch.zeros(1, 30))) == 30 * 7
    assert multiply_adds(lambda: nn.ReLU()(image)) == 0


def test_multiply_adds_are_the_same_in_inference_mode_and_in_bf16() -> None:
    layers = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(256, 2))
    expected = 8 * 8 * 4 * 9 + 256 * 2

    @torch.inference_mode()
    def predict() -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return layers.eval()(torch.zeros(1, 1, 8, 8))

    assert multiply_adds(predict) == expected


def test_latency_is_that_of_one_image_after_the_warm_up() -> None:
    seen: list[int] = []

    def predict(place: int) -> None:
        seen.append(place)
        time.sleep(0.2 if len(seen) <= WARM_UPS else 0.005)

    assert 5 <= latency_ms(predict, 7) < 50
    assert seen == [0, 1, 2, *(turn % 7 for turn in range(TIMED))]


def test_a_slow_method_is_timed_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bakeoff.artefacts.cost.SECONDS_OF_TIMING", SECONDS_OF_TIMING / 100)
    seen: list[int] = []

    def predict(place: int) -> None:
        seen.append(place)
        time.sleep(0.03)

    assert latency_ms(predict, 1) >= 30
    assert len(seen) == WARM_UPS + 1


def test_figures_of_trainings_are_means_and_memory_the_highest(tmp_path: Path) -> None:
    records = [
        {"parameters": 10, "training_seconds": 1.0, "peak_memory_mib": 5.0},
        {"parameters": 10, "training_seconds": 3.0, "peak_memory_mib": 4.0},
    ]
    cost = cost_of_trainings(records, [10.0, 30.0], latency_ms=1.5, device="cpu", note="means")
    write_cost(tmp_path, cost, work_so_far())
    cost = json.loads((tmp_path / "cost.json").read_text())
    assert set(cost.pop("manifest")) >= {"revision", "packages", "cpu"}
    assert cost.pop("other_load") >= 0
    assert cost.pop("cores") >= 1
    assert cost == {
        "parameters": 10,
        "training_seconds": 2.0,
        "predict_images_per_second": 20.0,
        "peak_memory_mib": 5.0,
        "latency_ms": 1.5,
        "device": "cpu",
        "note": "means",
    }


def test_what_a_method_itself_computes_is_no_other_load() -> None:
    assert other_load(Work(0, 0, 100), Work(10, 20, 120)) == 0
    assert other_load(Work(0, 0, 100), Work(10, 5, 120)) == 1.5
    before = work_so_far()
    while work_so_far().own - before.own < 0.5:
        pass
    after = work_so_far()
    assert after.all - before.all >= 0.4, "the machine's work holds that of this process"
    assert other_load(before, after) < other_load(before, after._replace(own=before.own)) - 0.1
