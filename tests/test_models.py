"""One contract that every network keeps, and what is particular to each."""

import io
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bakeoff
import numpy as np
import pytest
import torch
from bakeoff.models import deeplabv3plus, mobilenetv2_unet, segnet, unet, xception_unet
from bakeoff.training.preprocessing import channels_first, normalise, to_unit_range
from bakeoff.training.saved import parameter_counts
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import mobilenet_v2, resnet50, vgg16

NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "unet-none": ("unet", {"channels": [4, 8, 16], "norm": "none"}),
    "unet-batch": ("unet", {"channels": [4, 8, 16, 24], "norm": "batch"}),
    "unet-group": ("unet", {"channels": [8, 16], "norm": "group"}),
    "unet-instance": ("unet", {"channels": [4, 8], "norm": "instance"}),
    "unet-one-level": ("unet", {"channels": [4], "norm": "none"}),
    "deeplabv3plus": ("deeplabv3plus", {}),
    "deeplabv3plus-1x1": ("deeplabv3plus", {"stride_in": "1x1", "decoder_channels": 64}),
    "mobilenetv2_unet": ("mobilenetv2_unet", {}),
    "segnet-batch": ("segnet", {"channels": [4, 8, 12], "convolutions": [2, 1, 3], "norm": "batch"}),
    "segnet-none": ("segnet", {"channels": [8, 12], "convolutions": [2, 2], "norm": "none"}),
    "segnet-one-level": ("segnet", {"channels": [4], "convolutions": [1]}),
    "xception_unet": ("xception_unet", {"channels": [4, 8, 12]}),
    "xception_unet-one-level": ("xception_unet", {"channels": [4]}),
}


@pytest.fixture(scope="module", params=NETWORKS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=[(1, 1), (3, 4)], ids=["grey-1", "colour-4"])
def network(request: pytest.FixtureRequest, kind: str) -> nn.Module:
    return build(kind, *request.param)


def build(kind: str, in_channels: int = 1, outputs: int = 1, seed: int = 0) -> nn.Module:
    name, settings = NETWORKS[kind]
    torch.manual_seed(seed)
    built: nn.Module = import_module(f"bakeoff.models.{name}").build(in_channels, outputs, **settings)
    return built


def images(network: nn.Module, *shape: int) -> Tensor:
    return torch.randn(shape[0], len(network.mean), *shape[1:], generator=torch.Generator().manual_seed(1))


def outputs_of(network: nn.Module) -> int:
    return int(network.head.out_channels)


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (50, 31), (17, 64)], ids=str)
def test_logits_have_the_size_of_the_image(network: nn.Module, size: tuple[int, int]) -> None:
    with torch.no_grad():
        logits = network.eval()(images(network, 1, *size))
    assert logits.shape == (1, outputs_of(network), *size)
    assert logits.isfinite().all()


def test_every_parameter_gets_a_gradient(network: nn.Module) -> None:
    network.train().zero_grad()
    network(images(network, 2, 49, 33)).square().sum().backward()
    # A bias before a norm is taken out again by its mean, so its gradient may be exactly 0: it must only exist.
    without = [
        name
        for name, each in network.named_parameters()
        if each.grad is None or not each.grad.isfinite().all() or (each.ndim > 1 and not each.grad.any())
    ]
    assert without == []


def test_normalisation_has_one_value_a_channel(network: nn.Module) -> None:
    assert len(network.mean) == len(network.std)
    assert all(0 < mean < 1 for mean in network.mean)
    assert all(0 < std < 1 for std in network.std)


def test_saved_and_loaded_it_gives_the_same_logits(network: nn.Module, kind: str, tmp_path: Path) -> None:
    batch = images(network, 2, 35, 33)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    other = build(kind, len(network.mean), outputs_of(network), seed=9)
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    with torch.no_grad():
        assert torch.equal(other.eval()(batch), network.eval()(batch))


def test_a_seed_decides_the_weights(kind: str) -> None:
    first, same, other = (build(kind, seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[key], same[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_one_image_is_a_batch_to_train_on(network: nn.Module) -> None:
    assert network.train()(images(network, 1, 48, 48)).isfinite().all()


def test_channels_last_and_bf16_change_little(network: nn.Module) -> None:
    batch = images(network, 2, 49, 33)
    with torch.no_grad():
        expected = network.eval()(batch)
        network.to(memory_format=torch.channels_last)
        batch = batch.contiguous(memory_format=torch.channels_last)
        exact = network(batch)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = network(batch)
    network.to(memory_format=torch.contiguous_format)
    assert (exact - expected).norm() < 1e-4 * expected.norm()
    # Half of this and more is SegNet's: where rounding makes values equal, their maximum is in another place.
    assert (rounded.float() - expected).norm() < 0.25 * expected.norm()


def test_gradients_are_the_same_every_time(kind: str, deterministic: None) -> None:
    first, second = (gradients_in_bf16(build(kind, 3, 4)) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    assert all(each.isfinite().all() for each in first)


@pytest.fixture
def deterministic() -> Iterator[None]:
    """Kernels as in training: those that may differ between runs raise an error."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(before)


def gradients_in_bf16(network: nn.Module) -> list[Tensor]:
    network.to(memory_format=torch.channels_last).train()
    batch = images(network, 2, 33, 49).contiguous(memory_format=torch.channels_last)
    torch.manual_seed(2)  # of dropout
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network(batch)
    logits.float().square().mean().backward()
    return [each.grad for each in network.parameters() if each.grad is not None]


def keras_counts(network: nn.Module) -> tuple[int, int]:
    """All and trainable parameters as Keras counts: batch norm's running statistics are among the former."""
    statistics = [each for name, each in network.named_buffers() if name.endswith(("running_mean", "running_var"))]
    every, trainable = parameter_counts(network)
    return every + sum(each.numel() for each in statistics), trainable


def test_published_lung_unet_counts_8_629_921_parameters() -> None:
    assert parameter_counts(unet.build(1, 1, [32, 64, 128, 256, 512], "none")) == (8_629_921, 8_629_921)


def test_unet_takes_images_smaller_than_its_depth() -> None:
    assert unet.build(1, 1, [2, 2, 2, 2, 2])(torch.zeros(1, 1, 1, 3)).shape == (1, 1, 1, 3)


def test_unet_starts_with_a_signal_that_neither_fades_nor_grows() -> None:
    torch.manual_seed(0)
    network = unet.build(1, 1)
    with torch.no_grad():
        assert 0.1 < network(torch.randn(2, 1, 64, 64)).std() < 10


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"norm": "layer"}, "layer"),
        ({"channels": []}, "channels"),
        ({"channels": [9], "norm": "group"}, "multiples of 8"),
    ],
)
def test_unet_refuses_wrong_settings(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        unet.build(1, 1, **settings)


def test_deeplab_refuses_wrong_settings() -> None:
    with pytest.raises(ValueError, match="7x7"):
        deeplabv3plus.build(3, 1, "7x7")


def test_deeplab_features_are_at_a_quarter_and_a_sixteenth() -> None:
    low, high = deeplabv3plus.build(3, 1)._encode(torch.zeros(2, 3, 64, 96))
    assert low.shape == (2, 256, 16, 24)
    assert high.shape == (2, 2048, 4, 6)


@pytest.mark.parametrize(("stride_in", "conv1", "conv2"), [("3x3", 1, 2), ("1x1", 2, 1)])
def test_deeplab_halves_where_it_is_told_to(stride_in: str, conv1: int, conv2: int) -> None:
    encoder = deeplabv3plus.build(3, 1, stride_in=stride_in).encoder
    for stage in (encoder.layer2, encoder.layer3):
        assert (stage[0].conv1.stride, stage[0].conv2.stride) == ((conv1, conv1), (conv2, conv2))
    assert (encoder.layer4[0].conv1.stride, encoder.layer4[0].conv2.stride) == ((1, 1), (1, 1))
    assert [block.conv2.dilation for block in encoder.layer4] == [(1, 1), (2, 2), (2, 2)]


def test_deeplab_encoder_is_torchvisions_with_its_weights() -> None:
    torch.manual_seed(5)
    published = resnet50(replace_stride_with_dilation=[False, False, True]).eval()
    network = deeplabv3plus.build(3, 1).eval()
    deeplabv3plus.load_encoder(network, published.state_dict())
    batch = torch.randn(1, 3, 48, 48)
    with torch.no_grad():
        expected = published.maxpool(published.relu(published.bn1(published.conv1(batch))))
        for stage in (published.layer1, published.layer2, published.layer3, published.layer4):
            expected = stage(expected)
        assert torch.equal(network._encode(batch)[1], expected)


def test_deeplab_takes_half_precision_weights_and_no_incomplete_ones() -> None:
    weights = {key: value.half() for key, value in resnet50().state_dict().items()}
    network = deeplabv3plus.build(3, 1)
    deeplabv3plus.load_encoder(network, weights)
    assert network.encoder.conv1.weight.dtype == torch.float32
    assert torch.equal(network.encoder.conv1.weight, weights["conv1.weight"].float())
    del weights["layer3.2.conv2.weight"]
    with pytest.raises(RuntimeError, match=r"layer3\.2\.conv2\.weight"):
        deeplabv3plus.load_encoder(network, weights)


@pytest.mark.real
def test_deeplab_takes_the_mirrors_weights(mirror: Path) -> None:
    network = deeplabv3plus.build(1, 1, stride_in="1x1")
    weights = load_file(mirror / "weights" / "resnet50.safetensors")
    deeplabv3plus.load_encoder(network, weights)
    assert torch.equal(network.encoder.layer4[2].conv3.weight, weights["layer4.2.conv3.weight"].float())


def test_published_mobilenetv2_unet_counts_6_504_227_parameters_4_660_323_beside_a_frozen_encoder() -> None:
    network = mobilenetv2_unet.build(3, 3)
    network.encoder.requires_grad_(False)
    assert keras_counts(network) == (6_504_227, 4_660_323)
    assert 6_504_227 - 4_660_323 == 1_843_904 == keras_counts(network.encoder)[0] + 2 * (512 + 256 + 128 + 64)


def test_mobilenetv2_unet_refuses_wrong_settings() -> None:
    with pytest.raises(ValueError, match=r"'keras'.*imagenet, published"):
        mobilenetv2_unet.build(3, 1, "keras")


def test_mobilenetv2_unet_encoder_is_torchvisions_with_its_weights_up_to_the_cut() -> None:
    torch.manual_seed(5)
    published = mobilenet_v2().eval()
    network = mobilenetv2_unet.build(3, 1).eval()
    mobilenetv2_unet.load_encoder(network, published.state_dict())
    batch = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        features, skips = network._encode(batch)
        blocks = published.features
        expected = blocks[17].conv[:3](blocks[:17](batch))
        # Keras' block_1_expand_relu and its like.
        expansions = [blocks[block + 1].conv[0](blocks[: block + 1](batch)) for block in (1, 3, 6, 13)]
    assert torch.equal(features, expected)
    assert all(torch.equal(skip, expansion) for skip, expansion in zip(skips, expansions, strict=True))
    assert [tuple(each.shape[1:]) for each in skips] == [(96, 32, 48), (144, 16, 24), (192, 8, 12), (576, 4, 6)]
    assert features.shape == (1, 320, 2, 3)


def test_mobilenetv2_unet_computes_strided_depthwise_convolutions_in_float32_on_the_processor() -> None:
    network = mobilenetv2_unet.build(3, 1)
    seen: list[torch.dtype] = []
    for module in network.encoder.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1 and module.stride == (2, 2):
            module.register_forward_hook(lambda _, __, output: seen.append(output.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        network(torch.zeros(1, 3, 48, 48))
    assert seen == [torch.float32] * 4


def test_mobilenetv2_unet_takes_half_precision_weights_and_no_incomplete_ones() -> None:
    weights = {key: value.half() for key, value in mobilenet_v2().state_dict().items()}
    network = mobilenetv2_unet.build(3, 1)
    mobilenetv2_unet.load_encoder(network, weights)
    assert network.encoder[0][0].weight.dtype == torch.float32
    assert torch.equal(network.encoder[0][0].weight, weights["features.0.0.weight"].float())
    del weights["features.9.conv.0.0.weight"]
    with pytest.raises(RuntimeError, match=r"9\.conv\.0\.0\.weight"):
        mobilenetv2_unet.load_encoder(network, weights)


@pytest.mark.parametrize("channels", [1, 3])
def test_published_scaling_is_the_brighter_half_of_the_range(channels: int) -> None:
    right, wrong = (mobilenetv2_unet.build(channels, 1, scaling) for scaling in ("imagenet", "published"))
    batch = torch.rand(2, channels, 5, 4)
    torch.testing.assert_close(normalise(batch, wrong), normalise((1 + batch) / 2, right))


def test_half_the_range_with_keras_mean_and_deviation_is_no_scaling_at_all() -> None:
    batch = torch.rand(2, 3, 5, 4)
    keras = SimpleNamespace(mean=(0.5,) * 3, std=(0.5,) * 3)
    torch.testing.assert_close(normalise((1 + batch) / 2, keras), batch)


@pytest.mark.real
def test_mobilenetv2_unet_sees_cats_and_dogs_with_the_mirrors_weights(mirror: Path) -> None:
    weights = load_file(mirror / "weights" / "mobilenet_v2.safetensors")
    published = mobilenet_v2().eval()
    published.load_state_dict(weights)
    network = mobilenetv2_unet.build(3, 3).eval()
    mobilenetv2_unet.load_encoder(network, weights)
    cats, dogs = slice(281, 286), slice(151, 269)  # of ImageNet's classes
    right = []
    with zipfile.ZipFile(mirror / "kagglecatsanddogs_5340.zip") as archive, torch.no_grad():
        for is_dog, animal in enumerate(("Cat", "Dog")):
            pictures = np.stack([picture(archive, name) for name in readable(archive, animal)[:20]])
            features, _ = network._encode(normalise(to_unit_range(channels_first(pictures)), network))
            # What the network leaves out goes behind it: ImageNet's classes come out.
            features = published.features[18](published.features[17].conv[3](features))
            shares = published.classifier(features.mean(dim=(2, 3))).softmax(dim=1)
            right += ((shares[:, dogs].sum(dim=1) > shares[:, cats].sum(dim=1)) == bool(is_dog)).tolist()
    assert len(right) == 40
    assert sum(right) >= 36


def readable(archive: zipfile.ZipFile, animal: str) -> list[str]:
    broken = ("666.jpg", "11702.jpg")
    return [name for name in archive.namelist() if f"/{animal}/" in name and not name.endswith((*broken, "/", ".db"))]


def picture(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with Image.open(io.BytesIO(archive.read(name))) as opened:
        return np.asarray(opened.convert("RGB").resize((224, 224)))


def test_segnet_goes_down_as_vgg16_and_counts_29_million_parameters() -> None:
    network = segnet.build(3, 12)
    assert round(parameter_counts(network)[0] / 1e6, 2) == 29.45  # table VI of the paper
    shapes = [each.weight.shape for each in network.encoder.modules() if isinstance(each, nn.Conv2d)]
    with torch.device("meta"):
        theirs = vgg16().features
    assert shapes == [each.weight.shape for each in theirs if isinstance(each, nn.Conv2d)]
    assert sum(isinstance(each, nn.Conv2d) for each in network.modules()) == 26


def test_unpool_puts_every_value_where_the_maximum_was() -> None:
    before = torch.tensor([[[[1.0, 5, 2], [3, 4, 9], [7, 6, 8]]]])
    pooled, places = functional.max_pool2d(before, 2, ceil_mode=True, return_indices=True)
    assert pooled.tolist() == [[[[5, 9], [7, 8]]]]
    expected = [[[[0, 50, 0], [0, 0, 90], [70, 0, 80]]]]
    assert segnet.unpool(10 * pooled, places, (3, 3)).tolist() == expected


def test_unpool_keeps_images_and_channels_apart() -> None:
    before = torch.randn(2, 3, 7, 4, generator=torch.Generator().manual_seed(0))
    pooled, places = functional.max_pool2d(before, 2, ceil_mode=True, return_indices=True)
    expected = torch.where((before[..., None] == pooled.flatten(2)[:, :, None, None]).any(-1), before, 0)
    assert torch.equal(segnet.unpool(pooled, places, (7, 4)), expected)


def test_segnet_takes_images_smaller_than_its_depth() -> None:
    network = segnet.build(1, 1, [2, 2, 2, 2], [1, 1, 1, 1]).eval()
    assert network(torch.zeros(1, 1, 1, 3)).shape == (1, 1, 1, 3)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"norm": "group"}, "norm is 'group'"),
        ({"channels": []}, "channels"),
        ({"convolutions": [2, 2, 3, 3, 0]}, "convolutions"),
        ({"channels": [8, 16]}, "2 channels and 5 convolutions"),
    ],
)
def test_segnet_refuses_wrong_settings(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        segnet.build(1, 1, **settings)


def test_published_xception_unet_counts_2_058_979_parameters() -> None:
    assert keras_counts(xception_unet.build(3, 3)) == (2_058_979, 2_055_203)


def test_xception_unet_doubles_after_the_sum_as_if_before() -> None:
    torch.manual_seed(0)
    block = xception_unet.Upsampling(4, 6).eval()
    features = torch.randn(2, 4, 3, 5)
    with torch.no_grad():
        twice = functional.interpolate(block.convolutions(features), scale_factor=2)
        expected = twice + block.shortcut(functional.interpolate(features, scale_factor=2))
        torch.testing.assert_close(block(features), expected)


def test_xception_unet_takes_images_smaller_than_its_depth() -> None:
    assert xception_unet.build(1, 1, [2, 2, 2]).eval()(torch.zeros(1, 1, 1, 3)).shape == (1, 1, 1, 3)


@pytest.mark.parametrize("channels", [[], [4, 0], ["4"]])
def test_xception_unet_refuses_wrong_settings(channels: list[Any]) -> None:
    with pytest.raises(ValueError, match="channels"):
        xception_unet.build(1, 1, channels)


# A new model is one file: dropped into a copy of the package, of which nothing else changes


NEW_MODEL = """
from torch import nn

NAME = "New network"
TITLE = "a new network"
CITATIONS = ("A. Nobody. A new network. 2026.",)


def build(in_channels, outputs, width=4):
    layers = [nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU()]
    pooling = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    head = {"mask": [nn.Conv2d(width, outputs, 1)], "class": [*pooling, nn.Linear(width, outputs)]}["HEAD"]
    network = nn.Sequential(*layers, *head)
    network.mean, network.std = (0.5,) * in_channels, (0.25,) * in_channels
    return network
"""

FROM_TRAINING_TO_CARD = """
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.methods import method_facts
from bakeoff.artefacts.prepared import Fold
from bakeoff.cards.card import card
from bakeoff.training.checkpoint import CheckpointFolder
from bakeoff.training.device import set_up
from bakeoff.training.inference import predict_masks, predict_probabilities
from bakeoff.training.loop import TrainingTask, train
from bakeoff.training.examples import Examples
from bakeoff.training.objective import classification, segmentation
from bakeoff.training.saved import Description, build_network, load_network, save_network

masks, settings, classes = sys.argv[1] == "mask", {"width": 6}, ["a", "b", "c"]
images = torch.randint(256, (6, 3, 8, 8), dtype=torch.uint8)
examples = Examples(images, images[:, 0] % 3 if masks else None, None if masks else torch.arange(6) % 3)
kind = {} if masks else {"weighted": False, "smoothing": 0.0, "mask_classes": None}
objective = (segmentation if masks else classification)(examples, classes, **kind)
recipe = {
    **{"epochs": 1, "patience": 1, "batch_size": 6, "optimizer": "adam", "learning_rate": 0.01, "weight_decay": 0.0},
    **{"schedule": "constant", "warmup_epochs": 0, "frozen_epochs": 0, "discriminative": False},
    **{"encoder_learning_rate_factor": 1.0},
    "augmentation": dict.fromkeys(("rotate", "scale", "translate", "brightness", "contrast", "gamma", "flip"), 0),
}
task, runtime = TrainingTask("new", examples, examples, objective, recipe, seed=0), set_up("fp32")
checkpoints = CheckpointFolder(Path("checkpoints"))

network = build_network("new", 3, 3, settings, "experiment new")
start = {key: value.clone() for key, value in network.state_dict().items()}
best, history = train(task, network, runtime, checkpoints)
assert len(history) == 1 and not any(torch.equal(value, best[key]) for key, value in start.items())
try:
    train(replace(task, pretrained=True), network, runtime, checkpoints)
except BakeoffError as error:
    print(error)

target = None if masks else "kind"
normalised = list(network.mean), list(network.std)
about = Description("new", settings, 3, classes, target, [8, 8], "stretch", *normalised, "fp32")
save_network(Path("seed0.safetensors"), best, about)
loaded, described = load_network(Path("seed0.safetensors"))
assert described == about
predict = predict_masks if masks else predict_probabilities
assert np.array_equal(predict(loaded, images, runtime), predict(network, images, runtime))

data = {"name": "d", "title": "D", "classes": classes, "size": [8, 8], "counts": {"listed": 6, "used": 6}}
nowhere = {"synthetic": True, "background": 0, "page": None, "hub": None}
score = {"mean": 0.5, "low": 0.4, "high": 0.6}
entry = {"task": "t", "dataset": "d", "model": "new", "weights": "none", "pretrained": None, "settings": settings}
entry = {**entry, "oracle": False, "facts": method_facts(entry)}
assert entry["facts"]["name"] == "New network"
rows = np.arange(6)
print(
    card(
        "new-network",
        entry,
        {**data, "geometry": "stretch", "channels": 3, **dict.fromkeys(("licence", "citation"), "-"), **nowhere},
        {"dice" if masks else "accuracy": score, "images": 6, "seeds": 1},
        {"device": "CPU", "note": ""},
        task={"kind": "segmentation" if masks else "classification", "target": target, "split": {"name": "random"}},
        folds=[Fold(0, rows, rows, rows)],
        audit={"checks": []},
    )
)
"""


@pytest.mark.parametrize("head", ["mask", "class"])
def test_one_new_file_is_a_model_from_training_to_card(tmp_path: Path, head: str) -> None:
    package = tmp_path / "bakeoff"
    shutil.copytree(Path(bakeoff.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "models" / "new.py").write_text(NEW_MODEL.replace("HEAD", head))
    (tmp_path / "checkpoints").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", FROM_TRAINING_TO_CARD, head],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "new: the network has no attribute 'encoder' for pretrained weights: set weights to none, or" in done.stdout
    assert "A new network that " in done.stdout
    assert "- A. Nobody. A new network. 2026." in done.stdout
    assert "Trained from random weights" in done.stdout


# Only what a network needs is imported


@pytest.mark.parametrize(
    ("model", "needed"),
    [
        *(("unet", ""), ("segnet", ""), ("xception_unet", "")),
        *(("deeplabv3plus", "torchvision"), ("resnet50_classifier", "torchvision"), ("timm_classifier", "timm")),
    ],
)
def test_only_what_a_network_needs_is_imported(model: str, needed: str) -> None:
    asked = f"""
import sys
import bakeoff.training.loop, bakeoff.training.saved, bakeoff.training.inference
bakeoff.training.saved.build_network("{model}", 3, 2, {{}}, "here")
for name in ("torchvision", "timm", "segmentation_models_pytorch", "huggingface_hub", "onnx", "skops", "sklearn"):
    if name in sys.modules:
        print(name)
"""
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    found = set(done.stdout.split())
    assert (
        found == {needed} - {""} if needed != "timm" else "timm" in found and "segmentation_models_pytorch" not in found
    )
