"""One contract that every network keeps, and what is particular to each."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from bakeoff.models import deeplabv3plus, unet
from bakeoff.training.saved import parameter_counts
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision.models import resnet50

NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "unet-none": ("unet", {"channels": [4, 8, 16], "norm": "none"}),
    "unet-batch": ("unet", {"channels": [4, 8, 16, 24], "norm": "batch"}),
    "unet-group": ("unet", {"channels": [8, 16], "norm": "group"}),
    "unet-instance": ("unet", {"channels": [4, 8], "norm": "instance"}),
    "unet-one-level": ("unet", {"channels": [4], "norm": "none"}),
    "deeplabv3plus": ("deeplabv3plus", {}),
    "deeplabv3plus-1x1": ("deeplabv3plus", {"stride_in": "1x1", "decoder_channels": 64}),
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


@pytest.mark.parametrize("arguments", [(2, 1, "3x3"), (3, 1, "7x7")])
def test_deeplab_refuses_wrong_settings(arguments: tuple[int, int, str]) -> None:
    with pytest.raises(ValueError, match=r"2 channels|7x7"):
        deeplabv3plus.build(*arguments)


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


def test_deeplab_takes_grey_as_three_equal_channels() -> None:
    grey, colour = build("deeplabv3plus", 1), build("deeplabv3plus", 3)
    batch = torch.randn(1, 1, 40, 40)
    with torch.no_grad():
        assert torch.equal(grey.eval()(batch), colour.eval()(batch.expand(-1, 3, -1, -1)))


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
    network = deeplabv3plus.build(1, 1)
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
