"""Classifiers, networks on published encoders and the reference: one contract for all, and what is particular to each.

What they take from torchvision, timm and segmentation_models_pytorch is compared with these libraries' own networks and
transforms, number by number.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from bakeoff.models import resnet50_classifier, resnet50_unet, smp_reference, timm_classifier
from bakeoff.training.preprocessing import channels_first, normalise, to_unit_range
from PIL import Image
from safetensors.torch import load_file, save_file
from timm.data import create_transform, resolve_data_config
from torch import Tensor, nn
from torchvision import models

# Module, settings, heads, and for whom: channels and outputs.
NETWORKS: dict[str, tuple[str, dict[str, Any], tuple[str, ...], tuple[int, int]]] = {
    "resnet50-unet-mask": ("resnet50_unet", {"decoder_channels": [32, 16, 16, 8, 8]}, ("mask",), (1, 1)),
    "resnet50-unet-class": ("resnet50_unet", {"head": "class", "decoder_channels": [16] * 5}, ("class",), (3, 4)),
    "resnet50-unet-both": (
        "resnet50_unet",
        {"head": "both", "mask_outputs": 2, "stride_in": "1x1"},
        ("class", "mask"),
        (3, 1),
    ),
    "resnet50-classifier": ("resnet50_classifier", {}, ("class",), (1, 4)),
    "resnet34": ("timm_classifier", {"backbone": "resnet34"}, ("class",), (1, 1)),
    "convnext": ("timm_classifier", {"backbone": "convnext_tiny", "dropout": 0.2}, ("class",), (3, 4)),
    "convnext-fastai": ("timm_classifier", {"backbone": "convnext_tiny", "head": "fastai"}, ("class",), (2, 4)),
    "unetplusplus": ("smp_reference", {}, ("mask",), (3, 4)),
    "fpn": ("smp_reference", {"architecture": "fpn", "encoder": "mobilenet_v2"}, ("mask",), (4, 1)),
}


@pytest.fixture(scope="module", params=NETWORKS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def network(kind: str) -> nn.Module:
    return build(kind)


def build(kind: str, seed: int = 0) -> nn.Module:
    name, settings, _, shape = NETWORKS[kind]
    torch.manual_seed(seed)
    built: nn.Module = import_module(f"bakeoff.models.{name}").build(*shape, **settings)
    return built


def images(network: nn.Module, *shape: int) -> Tensor:
    return torch.randn(shape[0], len(network.mean), *shape[1:], generator=torch.Generator().manual_seed(1))


def logits_of(network: nn.Module, batch: Tensor, kind: str) -> dict[str, Tensor]:
    """The network's logits by head, whether it has one or both."""
    logits, heads = network(batch), NETWORKS[kind][2]
    assert isinstance(logits, dict) == (len(heads) == 2)
    return logits if isinstance(logits, dict) else {heads[0]: logits}


# The contract


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (50, 81)], ids=str)
def test_logits_of_an_image_of_any_size(network: nn.Module, kind: str, size: tuple[int, int]) -> None:
    _, settings, heads, (_, outputs) = NETWORKS[kind]
    with torch.no_grad():
        logits = logits_of(network.eval(), images(network, 2, *size), kind)
    expected = {"class": (2, outputs), "mask": (2, settings.get("mask_outputs", outputs), *size)}
    assert {head: tuple(each.shape) for head, each in logits.items()} == {head: expected[head] for head in heads}
    assert all(each.isfinite().all() for each in logits.values())


def test_every_parameter_gets_a_gradient(network: nn.Module, kind: str) -> None:
    for each in network.modules():
        if isinstance(each, nn.BatchNorm2d):  # timm lets residual branches begin with a factor of 0
            nn.init.ones_(each.weight)
    network.train().zero_grad()
    logits = logits_of(network, images(network, 2, 49, 65), kind)
    sum(each.square().sum() for each in logits.values()).backward()
    without = [
        name
        for name, each in network.named_parameters()
        if each.grad is None or not each.grad.isfinite().all() or (each.ndim > 1 and not each.grad.any())
    ]
    assert without == []


def test_one_image_is_a_batch_to_train_on(network: nn.Module, kind: str) -> None:
    logits = logits_of(network.train(), images(network, 1, 48, 48), kind)
    assert all(each.isfinite().all() for each in logits.values())


def test_a_seed_decides_a_step_in_bf16_and_channels_last(kind: str) -> None:
    def gradients() -> list[Tensor]:
        network = build(kind).to(memory_format=torch.channels_last).train()
        # Not 64 x 48: ConvNeXt's last strided convolution then has a map 3 pixels wide, where oneDNN's bf16 kernel for
        # AMX reads memory that nobody wrote (torch 2.14.1).
        batch = images(network, 2, 64, 96).contiguous(memory_format=torch.channels_last)
        torch.manual_seed(5)  # for dropout
        with torch.autocast("cpu", torch.bfloat16):
            logits = logits_of(network, batch, kind)
        sum(each.float().square().mean() for each in logits.values()).backward()
        return [each.grad for each in network.parameters() if each.grad is not None]

    torch.use_deterministic_algorithms(True)
    try:
        first, second = gradients(), gradients()
    finally:
        torch.use_deterministic_algorithms(False)
    assert len(first) > 50
    assert all(each.isfinite().all() for each in first)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_saved_and_loaded_it_gives_the_same_logits(network: nn.Module, kind: str, tmp_path: Path) -> None:
    batch = images(network, 2, 35, 33)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    other = build(kind, seed=9).eval()
    with torch.no_grad():
        expected, before = logits_of(network.eval(), batch, kind), logits_of(other, batch, kind)
        other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
        after = logits_of(other, batch, kind)
    assert not any(torch.equal(expected[head], before[head]) for head in expected)
    assert all(torch.equal(expected[head], after[head]) for head in expected)


@pytest.mark.parametrize("model", ["resnet50_unet", "resnet50_classifier", "timm_classifier", "smp_reference"])
def test_other_channels_than_rgb_are_normalised_with_the_mean_of_the_three(model: str) -> None:
    for channels in (1, 4):
        network = import_module(f"bakeoff.models.{model}").build(channels, 1)
        assert network.mean == pytest.approx(((0.485 + 0.456 + 0.406) / 3,) * channels)
        assert network.std == pytest.approx(((0.229 + 0.224 + 0.225) / 3,) * channels)


@pytest.mark.parametrize(
    ("model", "settings", "words"),
    [
        ("resnet50_unet", {"head": "box"}, "head is 'box': choose mask, class or both"),
        ("resnet50_unet", {"head": "both"}, "mask_outputs goes with head both"),
        ("resnet50_unet", {"mask_outputs": 3}, "mask_outputs goes with head both"),
        ("resnet50_unet", {"decoder_channels": [8, 8]}, r"\[8, 8\]: give five positive widths"),
        ("resnet50_unet", {"stride_in": "7x7"}, "stride_in is '7x7'"),
        ("resnet50_classifier", {"stride_in": "7x7"}, "stride_in is '7x7'"),
        ("timm_classifier", {"backbone": "vgg16"}, "backbone is 'vgg16': choose resnet34, resnet101, convnext_tiny"),
        ("timm_classifier", {"head": "mlp"}, "head is 'mlp'"),
        ("timm_classifier", {"dropout": 1.0}, r"dropout is 1\.0"),
        ("smp_reference", {"architecture": "unet"}, "choose unetplusplus or fpn"),
        ("smp_reference", {"encoder": "resnet18"}, "encoder is 'resnet18'"),
        ("smp_reference", {"stride_in": "1x1"}, "no bottlenecks"),
        ("smp_reference", {"encoder": "mobilenet_v2", "stride_in": "1x1"}, "encoder is mobilenet_v2"),
    ],
)
def test_wrong_settings_are_refused_in_words(model: str, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        import_module(f"bakeoff.models.{model}").build(3, 1, **settings)


# What a network is fed is what the source of its weights says


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    """uint8 (224, 224, 3): of this size, the published transforms neither resize nor cut."""
    return np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)


TORCHVISION = {
    "deeplabv3plus": models.ResNet50_Weights.IMAGENET1K_V1,
    "resnet50_unet": models.ResNet50_Weights.IMAGENET1K_V1,
    "resnet50_classifier": models.ResNet50_Weights.IMAGENET1K_V1,
    "mobilenetv2_unet": models.MobileNet_V2_Weights.IMAGENET1K_V1,
    "smp_reference": models.ResNet34_Weights.IMAGENET1K_V1,
    "timm_classifier": models.ResNet34_Weights.IMAGENET1K_V1,
}


@pytest.mark.parametrize("model", TORCHVISION)
def test_input_is_that_of_torchvisions_own_transform(model: str, photograph: np.ndarray) -> None:
    expected = TORCHVISION[model].transforms(resize_size=224)(Image.fromarray(photograph))
    network = import_module(f"bakeoff.models.{model}").build(3, 1)
    fed = normalise(to_unit_range(channels_first(photograph[np.newaxis])), network)
    assert torch.equal(fed[0], expected)


@pytest.mark.parametrize("backbone", timm_classifier.BACKBONES)
def test_input_is_that_of_timms_own_transform(backbone: str, photograph: np.ndarray) -> None:
    network = timm_classifier.build(3, 1, backbone)
    config = resolve_data_config({"crop_pct": 1.0}, model=network.encoder)
    expected = create_transform(**config)(Image.fromarray(photograph))
    fed = normalise(to_unit_range(channels_first(photograph[np.newaxis])), network)
    assert torch.equal(fed[0], expected)


# The published counts


def keras_counts(network: nn.Module) -> tuple[int, int]:
    """Parameters as Keras counts them, with the running statistics of batch norms; and the trainable ones."""
    buffers = sum(each.numel() for name, each in network.named_buffers() if ".running_" in name)
    trainable = sum(each.numel() for each in network.parameters() if each.requires_grad)
    return buffers + sum(each.numel() for each in network.parameters()), trainable


def test_resnet50_classifier_counts_as_published() -> None:
    network = resnet50_classifier.build(3, 1)
    network.encoder.requires_grad_(False)
    assert keras_counts(network) == (24_085_953, 524_801)
    # Keras' own count has a bias for every channel that a convolution makes, and torchvision has none.
    convolutions = [each for each in network.encoder.modules() if isinstance(each, nn.Conv2d)]
    assert all(each.bias is None for each in convolutions)
    assert 24_085_953 + sum(each.out_channels for each in convolutions) == 24_112_513


# ResNet50 with skips


def test_resnet50_unet_skips_are_those_of_the_encoder() -> None:
    network = resnet50_unet.build(3, 1).eval()
    with torch.no_grad():
        features = network._encode(torch.zeros(1, 3, 64, 96))
    assert [tuple(each.shape[1:]) for each in features] == [
        (64, 32, 48),
        (256, 16, 24),
        (512, 8, 12),
        (1024, 4, 6),
        (2048, 2, 3),
    ]


@pytest.mark.parametrize("level", range(4))
def test_every_skip_reaches_mask_and_class(level: int) -> None:
    torch.manual_seed(0)
    network = resnet50_unet.build(3, 1, head="both", mask_outputs=1).eval()
    batch = torch.randn(1, 3, 64, 64)
    encode = network._encode

    def without_skip(batch: Tensor) -> list[Tensor]:
        features = encode(batch)
        features[level] = torch.zeros_like(features[level])
        return features

    with torch.no_grad():
        whole = network(batch)
        network._encode = without_skip
        cut = network(batch)
    assert not torch.equal(whole["mask"], cut["mask"])
    assert not torch.equal(whole["class"], cut["class"])


def test_resnet50_unet_has_no_head_that_it_does_not_use() -> None:
    mask, both = resnet50_unet.build(3, 3), resnet50_unet.build(3, 1, head="both", mask_outputs=3)
    assert (mask.class_head, resnet50_unet.build(3, 1, head="class").mask_head) == (None, None)
    pooled = 2048 + 256 + 128 + 64 + 32 + 16
    assert keras_counts(both)[1] - keras_counts(mask)[1] == pooled + 1


# Encoders are those of the libraries


def published(name: str) -> nn.Module:
    """torchvision's network with random weights and batch norms that have seen something."""
    torch.manual_seed(7)
    network: nn.Module = getattr(models, name)(weights=None).train()
    with torch.no_grad():
        network(torch.randn(2, 3, 64, 64))
    return network.eval()


@pytest.fixture(scope="module", params=["resnet34", "resnet101"])
def resnet(request: pytest.FixtureRequest) -> tuple[str, nn.Module]:
    return request.param, published(request.param)


def test_timm_resnets_are_torchvisions(resnet: tuple[str, nn.Module]) -> None:
    name, original = resnet
    network = timm_classifier.build(3, 1000, name).eval()
    timm_classifier.load_encoder(network, original.state_dict())
    network.head[1].load_state_dict(original.fc.state_dict())
    batch = torch.randn(1, 3, 65, 64)
    with torch.no_grad():
        torch.testing.assert_close(network(batch), original(batch), rtol=0, atol=1e-5)


def test_convnext_with_a_linear_head_is_timms() -> None:
    torch.manual_seed(2)
    original = timm.create_model("convnext_tiny.fb_in22k", num_classes=5).eval()
    network = timm_classifier.build(3, 5, "convnext_tiny").eval()
    timm_classifier.load_encoder(network, original.state_dict())
    network.head[1].load_state_dict(original.head.fc.state_dict())
    batch = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(network(batch), original(batch))


def test_convnext_under_fastais_head_takes_the_same_weights() -> None:
    original = timm.create_model("convnext_tiny.fb_in22k", num_classes=5)
    network = timm_classifier.build(3, 5, "convnext_tiny", head="fastai").eval()
    timm_classifier.load_encoder(network, original.state_dict())
    batch = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(network.encoder.forward_features(batch), original.eval().forward_features(batch))


def test_fastais_head_is_as_fastai_makes_it() -> None:
    network = timm_classifier.build(3, 37, "resnet34", head="fastai")
    assert [type(each).__name__.strip("_") for each in network.head] == [
        *("BatchNorm", "Dropout", "Linear", "ReLU"),
        *("BatchNorm", "Dropout", "Linear"),
    ]
    first, second = network.head[2], network.head[6]
    assert (first.in_features, first.out_features, first.bias) == (1024, 512, None)
    assert (second.in_features, second.out_features, second.bias) == (512, 37, None)
    assert (network.head[1].p, network.head[5].p) == (0.25, 0.5)


def test_fastais_batch_norm_is_torchs_for_two_images_and_learns_nothing_from_one() -> None:
    ours = timm_classifier.build(3, 2, "resnet34", head="fastai").head[4].train()
    torchs = nn.BatchNorm1d(512)
    two, one = torch.randn(2, 512), torch.randn(1, 512)
    assert torch.equal(ours(two), torchs(two))
    before = ours.running_mean.clone()
    assert torch.equal(ours(one), torchs.eval()(one))
    assert torch.equal(ours.running_mean, before)


@pytest.mark.parametrize(
    ("architecture", "original", "encoder"),
    [("unetplusplus", smp.UnetPlusPlus, "resnet34"), ("fpn", smp.FPN, "mobilenet_v2"), ("fpn", smp.FPN, "resnet50")],
)
def test_reference_is_the_librarys(architecture: str, original: type[nn.Module], encoder: str) -> None:
    torch.manual_seed(4)
    network = smp_reference.build(3, 2, architecture, encoder).eval()
    torch.manual_seed(4)
    theirs = original(encoder, encoder_weights=None, classes=2).eval()
    batch = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        assert torch.equal(network(batch), theirs(batch))
        padded = torch.zeros(1, 3, 64, 96)
        padded[..., :37, :70] = batch[..., :37, :70]
        assert torch.equal(network(batch[..., :37, :70]), theirs(padded)[..., :37, :70])


@pytest.mark.parametrize("encoder", smp_reference.ENCODERS)
def test_reference_takes_torchvisions_weights(encoder: str) -> None:
    weights = {key: value.half() for key, value in published(encoder).state_dict().items()}
    network = smp_reference.build(3, 1, "fpn", encoder)
    smp_reference.load_encoder(network, weights)
    loaded = network.encoder.state_dict()
    assert all(torch.equal(value, weights[key].to(value.dtype)) for key, value in loaded.items())
    assert {key.split(".")[0] for key in weights.keys() - loaded.keys()} <= {"fc", "classifier"}


@pytest.mark.parametrize("model", [resnet50_unet, resnet50_classifier])
def test_resnet50_weights_fit_whole_or_not_at_all(model: Any) -> None:
    weights = published("resnet50").state_dict()
    network = model.build(3, 1)
    model.load_encoder(network, {key: value.half() for key, value in weights.items()})
    assert network.encoder.conv1.weight.dtype == torch.float32
    assert torch.equal(network.encoder.conv1.weight, weights["conv1.weight"].half().float())
    del weights["layer3.2.conv2.weight"]
    with pytest.raises(RuntimeError, match=r"layer3\.2\.conv2\.weight"):
        model.load_encoder(network, weights)


@pytest.mark.parametrize(("stride_in", "conv1", "conv2"), [("3x3", (1, 1), (2, 2)), ("1x1", (2, 2), (1, 1))])
def test_resnet50_halves_where_it_is_told_to(stride_in: str, conv1: tuple[int, int], conv2: tuple[int, int]) -> None:
    built = [
        resnet50_unet.build(3, 1, stride_in=stride_in),
        resnet50_classifier.build(3, 1, stride_in=stride_in),
        smp_reference.build(3, 1, "fpn", "resnet50", stride_in),
    ]
    for encoder in (network.encoder for network in built):
        firsts = [stage[0] for stage in (encoder.layer1, encoder.layer2, encoder.layer3, encoder.layer4)]
        assert [(each.conv1.stride, each.conv2.stride) for each in firsts] == [((1, 1), (1, 1)), *[(conv1, conv2)] * 3]


@pytest.mark.real
def test_the_mirrors_weights_fit(mirror: Path) -> None:
    weights = load_file(mirror / "weights" / "resnet50.safetensors")
    mobile = load_file(mirror / "weights" / "mobilenet_v2.safetensors")
    for model, settings in ((resnet50_unet, {}), (resnet50_classifier, {}), (smp_reference, {"encoder": "resnet50"})):
        network = model.build(3, 1, stride_in="1x1", **settings)
        model.load_encoder(network, weights)
        assert torch.equal(network.encoder.layer4[2].conv3.weight, weights["layer4.2.conv3.weight"].float())
    network = smp_reference.build(3, 1, encoder="mobilenet_v2")
    smp_reference.load_encoder(network, mobile)
    assert torch.equal(network.encoder.features[0][0].weight, mobile["features.0.0.weight"].float())
