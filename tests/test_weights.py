"""Pretrained weights: a mirror's byte for byte, the published checkpoint converted, or random ones that say so."""

import json
import logging
import pickle
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import ModuleType

import pytest
import timm
import torch
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.archives.remote import RemoteFile
from bakeoff.weights.networks import convnext_tiny_in22k, mobilenet_v2, resnet34, resnet50, resnet101
from bakeoff.weights.provide import provide
from safetensors.torch import load_file, save_file
from servers import Misbehaving, misbehaving_server, refused_address
from torch import nn
from torchvision import models
from torchvision.models import WeightsEnum

Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def tensors() -> Tensors:
    """Weights of a ResNet50 in half precision, to keep the tests small."""
    torch.manual_seed(1)
    return {key: value.half() for key, value in resnet50.network().state_dict().items() if value.is_floating_point()}


@pytest.fixture(scope="module")
def whole(tensors: Tensors) -> Tensors:
    """The same, with the counters of the batch norms."""
    counters = {key: value for key, value in resnet50.network().state_dict().items() if key not in tensors}
    return tensors | {key: torch.zeros_like(value) for key, value in counters.items()}


def run(tmp_path: Path, settings: dict, mirror: str | Path | None = None, name: str = "resnet50") -> dict:
    folder = tmp_path / "data" / "weights" / name
    where = str(mirror) if mirror else None
    provide(name, settings, folder, mirror=where, attempts=1, timeout=5, partial=tmp_path / "partial")
    assert sorted(path.name for path in folder.parent.iterdir()) == [name]
    assert sorted(path.name for path in folder.iterdir()) == ["model.safetensors", "weights.json"]
    return json.loads((folder / "weights.json").read_text())


def model(tmp_path: Path, name: str = "resnet50") -> Path:
    return tmp_path / "data" / "weights" / name / "model.safetensors"


def assert_nothing(tmp_path: Path) -> None:
    assert not (tmp_path / "data" / "weights" / "resnet50").exists()


def listed(folder: Path) -> None:
    """Write the folder's SHA256SUMS."""
    lines = [f"{sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in folder.iterdir()]
    (folder / "SHA256SUMS").write_text("".join(lines))


def mirror_with(tmp_path: Path, tensors: Tensors, metadata: dict[str, str] | None = None) -> Path:
    folder = tmp_path / "mirror" / "weights"
    folder.mkdir(parents=True)
    save_file(tensors, folder / "resnet50.safetensors", metadata)
    listed(folder)
    return tmp_path / "mirror"


TERMS = {"origin": resnet50.ORIGIN, "licence": resnet50.LICENCE}

# Random


def test_random_weights_come_from_their_seed_and_say_so(tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    about = run(tmp_path, {"from": "random", "seed": 0})
    assert torch.equal(torch.random.get_rng_state(), before)
    first = model(tmp_path).read_bytes()
    assert about == {
        "source": "random, seed 0",
        "sha256": sha256(first).hexdigest(),
        "official": False,
        "random": True,
        "note": "random weights from seed 0, nothing pretrained",
        **TERMS,
        "stride_in": "3x3",
    }
    assert len(first) < 60e6  # half precision
    resnet50.network().load_state_dict(load_file(model(tmp_path)), strict=True)

    assert run(tmp_path, {"from": "random", "seed": 0}) == about
    assert run(tmp_path, {"from": "random", "seed": 1})["sha256"] != about["sha256"]


def test_no_word_of_strides_where_there_is_no_choice(tmp_path: Path) -> None:
    assert "stride_in" not in run(tmp_path, {"from": "random", "seed": 0}, name="mobilenet_v2")
    mobilenet_v2.network().load_state_dict(load_file(model(tmp_path, "mobilenet_v2")), strict=True)
    with pytest.raises(BakeoffError, match=r"weights\.resnet34 has a stride_in, but its network has no such choice"):
        run(tmp_path, {"from": "official", "stride_in": "1x1"}, name="resnet34")


def test_no_weights_are_an_empty_entry(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    provide("none", {"from": "nothing"}, folder, mirror=None, attempts=1, timeout=5, partial=tmp_path / "partial")
    assert [path.name for path in folder.iterdir()] == ["weights.json"]
    assert json.loads((folder / "weights.json").read_text()) is None


# Random in place of what cannot be had


OTHERWISE = {"from": "official", "otherwise": "random", "seed": 3}


def unreachable(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(mobilenet_v2, "FILE", replace(mobilenet_v2.FILE, urls=(url,)))


def test_random_weights_stand_in_loudly_for_what_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"{refused_address()}/{mobilenet_v2.FILE.name}"
    unreachable(monkeypatch, url)
    (tmp_path / "mirror" / "weights").mkdir(parents=True)
    with caplog.at_level(logging.WARNING):
        about = run(tmp_path, OTHERWISE, tmp_path / "mirror", name="mobilenet_v2")
    assert (about["source"], about["random"], about["official"]) == ("random, seed 3", True, False)
    assert about["note"].startswith("NOT PRETRAINED: random weights from seed 3 stand in for the published ones")
    assert url in about["note"]
    assert str(tmp_path / "mirror" / "weights" / mobilenet_v2.FILE.name) in about["note"]
    assert "dvc repro --force --single-item weights@mobilenet_v2" in about["note"]
    assert about["note"] in caplog.messages
    stand_in = model(tmp_path, "mobilenet_v2").read_bytes()
    shutil.rmtree(tmp_path / "data")
    run(tmp_path, {"from": "random", "seed": 3}, name="mobilenet_v2")
    assert model(tmp_path, "mobilenet_v2").read_bytes() == stand_in


@pytest.mark.parametrize("settings", [{"from": "official"}, {"from": "official", "otherwise": "fail"}])
def test_nothing_stands_in_unless_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]
) -> None:
    unreachable(monkeypatch, refused_address() + "/weights.pth")
    with pytest.raises(BakeoffError, match="could not be fetched"):
        run(tmp_path, settings, name="mobilenet_v2")
    assert not model(tmp_path, "mobilenet_v2").parent.exists()


def test_a_missing_file_is_one_that_cannot_be_had(
    server: Misbehaving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unreachable(monkeypatch, server.url("missing"))
    assert "is not there (404)" in run(tmp_path, OTHERWISE, name="mobilenet_v2")["note"]


def test_nothing_stands_in_for_a_file_with_a_wrong_checksum(
    server: Misbehaving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.content = b"other bytes"
    unreachable(monkeypatch, server.url("ok"))
    # Not even if the next address does not answer.
    urls = (server.url("ok"), server.url("missing"))
    monkeypatch.setattr(mobilenet_v2, "FILE", replace(mobilenet_v2.FILE, urls=urls))
    with pytest.raises(BakeoffError, match="not the published b0353104"):
        run(tmp_path, OTHERWISE, name="mobilenet_v2")
    assert not model(tmp_path, "mobilenet_v2").parent.exists()


def test_nothing_stands_in_for_a_mirrors_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unreachable(monkeypatch, refused_address() + "/weights.pth")
    folder = tmp_path / "mirror" / "weights"
    folder.mkdir(parents=True)
    (folder / "mobilenet_v2.safetensors").write_bytes(b"as it was")
    listed(folder)
    (folder / "mobilenet_v2.safetensors").write_bytes(b"as it is")
    with pytest.raises(BakeoffError, match="where its SHA256SUMS says"):
        run(tmp_path, OTHERWISE, tmp_path / "mirror", name="mobilenet_v2")
    assert not model(tmp_path, "mobilenet_v2").parent.exists()


def test_what_can_be_had_needs_no_stand_in(tmp_path: Path, whole: Tensors) -> None:
    about = run(tmp_path, OTHERWISE, mirror_with(tmp_path, whole))
    assert (about["random"], about["stride_in"]) == (False, "3x3")


# From a mirror


def test_a_mirrors_safetensors_are_taken_byte_for_byte(tmp_path: Path, whole: Tensors) -> None:
    mirror = mirror_with(tmp_path, whole)
    about = run(tmp_path, {"from": "official", "stride_in": "1x1"}, mirror)
    assert model(tmp_path).read_bytes() == (mirror / "weights" / "resnet50.safetensors").read_bytes()
    assert about["source"] == f"{mirror}/weights/resnet50.safetensors"
    assert about["sha256"] == sha256(model(tmp_path).read_bytes()).hexdigest()
    assert about["official"] is about["random"] is False
    assert "not the official bytes" in about["note"]
    assert about["stride_in"] == "1x1"


@pytest.mark.parametrize(
    ("metadata", "settings", "expected"),
    [(None, {}, "3x3"), ({"stride_in": "1x1"}, {"stride_in": "3x3"}, "1x1"), ({"format": "pt"}, {}, "3x3")],
)
def test_where_a_mirrors_weights_stride_is_said_by_the_file_then_by_the_config(
    tmp_path: Path, whole: Tensors, metadata: dict[str, str] | None, settings: dict[str, str], expected: str
) -> None:
    mirror = mirror_with(tmp_path, whole, metadata)
    assert run(tmp_path, {"from": "official", **settings}, mirror)["stride_in"] == expected


def without(key: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {name: value for name, value in tensors.items() if name != key}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without("fc.bias"), r"1 tensors differ, first fc\.bias \(expected \[1000\], found none\)"),
        (lambda tensors: tensors | {"extra": torch.ones(1)}, r"first extra \(expected none, found \[1\]\)"),
        (lambda tensors: tensors | {"fc.bias": torch.ones(37)}, r"fc\.bias \(expected \[1000\], found \[37\]\)"),
    ],
)
def test_weights_that_do_not_fit_are_one_sentence(
    tmp_path: Path, whole: Tensors, change: Callable[[Tensors], Tensors], words: str
) -> None:
    mirror = mirror_with(tmp_path, change(whole))
    with pytest.raises(BakeoffError, match=words) as error:
        run(tmp_path, {"from": "official"}, mirror)
    assert "\n" not in str(error.value)
    assert_nothing(tmp_path)


def test_what_is_no_safetensors_file_is_one_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "mirror" / "weights"
    folder.mkdir(parents=True)
    (folder / "resnet50.safetensors").write_bytes(pickle.dumps({"fc.bias": 1}))
    listed(folder)
    with pytest.raises(BakeoffError, match="is not a safetensors file"):
        run(tmp_path, {"from": "official"}, tmp_path / "mirror")
    assert_nothing(tmp_path)
    assert [path.name for path in (tmp_path / "partial" / "weights-resnet50").iterdir()] == ["lock"]


# The published checkpoint


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Misbehaving]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with misbehaving_server(b"") as site:
        yield site


def publish(server: Misbehaving, contents: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RemoteFile:
    """Have the server stand in for torchvision's, with a checkpoint whose name carries 8 digits of its digest."""
    torch.save(contents, tmp_path / "published.pth")
    server.content = (tmp_path / "published.pth").read_bytes()
    name = f"resnet50-{sha256(server.content).hexdigest()[:8]}.pth"
    file = RemoteFile(name, (server.url("ok", name),), name[9:17])
    monkeypatch.setattr(resnet50, "FILE", file)
    return file


def test_the_published_checkpoint_becomes_safetensors(
    server: Misbehaving, tmp_path: Path, tensors: Tensors, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = publish(server, tensors, tmp_path, monkeypatch)  # without counters, as older checkpoints are
    about = run(tmp_path, {"from": "official", "stride_in": "1x1"})
    assert about == {
        "source": file.urls[0],
        "sha256": sha256(server.content).hexdigest(),
        "official": True,
        "random": False,
        "note": "",
        **TERMS,
        "stride_in": "3x3",  # the setting is for a mirror's own file
    }
    got = load_file(model(tmp_path))
    assert all(torch.equal(got[key], value) for key, value in tensors.items())
    resnet50.network().load_state_dict(got, strict=True)


def test_the_published_checkpoint_is_fetched_once(
    server: Misbehaving, tmp_path: Path, tensors: Tensors, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(server, tensors, tmp_path, monkeypatch)
    about = run(tmp_path, {"from": "official"})
    shutil.rmtree(tmp_path / "data")
    assert run(tmp_path, {"from": "official"}) == about
    assert len(server.requests) == 1


def test_the_published_checkpoint_may_stand_in_the_mirror(
    server: Misbehaving, tmp_path: Path, tensors: Tensors, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = publish(server, tensors, tmp_path, monkeypatch)
    (tmp_path / "mirror" / "weights").mkdir(parents=True)
    shutil.copy(tmp_path / "published.pth", tmp_path / "mirror" / "weights" / file.name)
    assert run(tmp_path, {"from": "official"}, tmp_path / "mirror")["official"] is True
    assert server.requests == []


def test_a_mirror_without_weights_is_passed(
    server: Misbehaving, tmp_path: Path, tensors: Tensors, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(server, tensors, tmp_path, monkeypatch)
    (tmp_path / "mirror").mkdir()
    assert run(tmp_path, {"from": "official"}, tmp_path / "mirror")["official"] is True
    with pytest.raises(BakeoffError, match="there is no folder"):
        run(tmp_path, {"from": "official"}, tmp_path / "unmounted")


def test_a_checkpoint_is_not_opened_before_its_checksum_holds(
    server: Misbehaving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = publish(server, {}, tmp_path, monkeypatch)
    server.content = b"something else"
    with pytest.raises(BakeoffError, match=f"not the published {file.sha256}"):
        run(tmp_path, {"from": "official"})
    assert_nothing(tmp_path)


def test_another_checkpoint_in_the_mirror_is_not_opened_even_if_listed(
    server: Misbehaving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = publish(server, {}, tmp_path, monkeypatch)
    folder = tmp_path / "mirror" / "weights"
    folder.mkdir(parents=True)
    (folder / file.name).write_bytes(b"never read as a pickle")
    listed(folder)
    with pytest.raises(BakeoffError, match="is not the published"):
        run(tmp_path, {"from": "official"}, tmp_path / "mirror")
    assert_nothing(tmp_path)


class Trap:
    """What a pickle can do to who loads it."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return Path.touch, (Path("sprung"),)


def test_nothing_but_tensors_is_loaded(server: Misbehaving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    publish(server, {"fc.bias": Trap()}, tmp_path, monkeypatch)
    with pytest.raises(BakeoffError, match="holds more than tensors"):
        run(tmp_path, {"from": "official"})
    assert not (tmp_path / "sprung").exists()
    assert_nothing(tmp_path)


@pytest.mark.parametrize(
    ("module", "published"),
    [
        (resnet34, models.ResNet34_Weights.IMAGENET1K_V1),
        (resnet50, models.ResNet50_Weights.IMAGENET1K_V1),
        (resnet101, models.ResNet101_Weights.IMAGENET1K_V1),
        (mobilenet_v2, models.MobileNet_V2_Weights.IMAGENET1K_V1),
    ],
)
def test_the_file_named_is_torchvisions_own(module: ModuleType, published: WeightsEnum) -> None:
    file: RemoteFile = module.FILE
    assert file.urls == (published.url,)
    assert file.sha256 is not None
    assert file.name == f"{module.__name__.rpartition('.')[2]}-{file.sha256[:8]}.pth"
    assert len(file.sha256) in (8, 64)
    with torch.device("meta"):
        parameters = sum(each.numel() for each in module.network().parameters())
    assert parameters == published.meta["num_params"]


# ConvNeXt, which its authors publish under other names and without a checksum


def authors_names(tensors: Tensors) -> Tensors:
    """timm's ConvNeXt under the names of https://github.com/facebookresearch/ConvNeXt."""
    found = {}
    for key, value in tensors.items():
        key = re.sub(r"^stem\.", "downsample_layers.0.", key)
        key = re.sub(r"^stages\.(\d)\.downsample\.", r"downsample_layers.\1.", key)
        key = re.sub(r"^stages\.(\d)\.blocks\.", r"stages.\1.", key)
        key = key.replace("conv_dw", "dwconv").replace("mlp.fc", "pwconv")
        found[key.replace("head.norm.", "norm.").replace("head.fc.", "head.")] = value
    return found


@pytest.fixture
def small_convnext(monkeypatch: pytest.MonkeyPatch) -> Tensors:
    """The tensors of a narrow ConvNeXt, which takes the place of the published one."""

    def network() -> nn.Module:
        built: nn.Module = timm.models.ConvNeXt(num_classes=5, depths=(1, 1, 2, 1), dims=(4, 8, 12, 16))
        return built

    monkeypatch.setattr(convnext_tiny_in22k, "network", network)
    torch.manual_seed(6)
    return network().state_dict()


def publish_convnext(contents: object, server: Misbehaving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(contents, tmp_path / "published.pth")
    server.content = (tmp_path / "published.pth").read_bytes()
    file = convnext_tiny_in22k.FILE
    monkeypatch.setattr(convnext_tiny_in22k, "FILE", replace(file, urls=(server.url("ok", file.name),)))


def test_convnexts_file_is_the_one_that_timm_names() -> None:
    assert convnext_tiny_in22k.FILE.urls == (timm.get_pretrained_cfg("convnext_tiny.fb_in22k").url,)
    assert convnext_tiny_in22k.FILE.sha256 is None


def test_convnext_of_full_size_has_the_authors_names() -> None:
    with torch.device("meta"):
        network = convnext_tiny_in22k.network()
    theirs = authors_names(network.state_dict())
    # As in the file, to see that the names above are not made up.
    assert theirs["downsample_layers.0.0.weight"].shape == (96, 3, 4, 4)
    assert theirs["downsample_layers.1.1.weight"].shape == (192, 96, 2, 2)
    assert theirs["stages.2.8.dwconv.weight"].shape == (384, 1, 7, 7)
    assert theirs["stages.3.0.pwconv1.weight"].shape == (3072, 768)
    assert theirs["stages.0.0.gamma"].shape == (96,)
    assert theirs["norm.weight"].shape == (768,)
    assert theirs["head.weight"].shape == (21841, 768)
    renamed = convnext_tiny_in22k.renamed({"model": theirs}, network)
    assert {key: value.shape for key, value in renamed.items()} == {
        key: value.shape for key, value in network.state_dict().items()
    }


def test_convnext_is_renamed_and_said_to_be_unverified(
    server: Misbehaving, tmp_path: Path, small_convnext: Tensors, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_convnext({"model": authors_names(small_convnext)}, server, tmp_path, monkeypatch)
    about = run(tmp_path, {"from": "official"}, name="convnext_tiny_in22k")
    assert about["note"].startswith("NOT VERIFIED: no checksum is published for convnext_tiny_22k_224.pth")
    assert (about["official"], about["random"], "stride_in" in about) == (True, False, False)
    got = load_file(model(tmp_path, "convnext_tiny_in22k"))
    assert got.keys() == small_convnext.keys()
    assert all(torch.equal(got[key], value) for key, value in small_convnext.items())


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (
            {"model": {"head.weight": torch.ones(5, 16)}},
            "does not fit convnext_tiny_in22k: 64 tensors differ, first head",
        ),
        ({"model": {"layer.weight": torch.ones(5, 16)}}, "is not a checkpoint of convnext_tiny_in22k"),
        ([torch.ones(1)], "is not a checkpoint of convnext_tiny_in22k"),
        ({"model": Trap()}, "holds more than tensors"),
    ],
)
def test_what_is_no_convnext_is_one_sentence(
    server: Misbehaving,
    tmp_path: Path,
    small_convnext: Tensors,
    monkeypatch: pytest.MonkeyPatch,
    contents: object,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    publish_convnext(contents, server, tmp_path, monkeypatch)
    with pytest.raises(BakeoffError, match=words):
        run(tmp_path, {"from": "official", "otherwise": "random", "seed": 0}, name="convnext_tiny_in22k")
    assert not (tmp_path / "sprung").exists()
    assert not model(tmp_path, "convnext_tiny_in22k").parent.exists()


@pytest.mark.real
@pytest.mark.parametrize("name", ["resnet50", "mobilenet_v2"])
def test_takes_the_real_weights_from_the_mirror(mirror: Path, tmp_path: Path, name: str) -> None:
    strides = {"stride_in": "1x1"} if name == "resnet50" else {}
    about = run(tmp_path, {"from": "official", **strides}, mirror, name)
    assert {key: value for key, value in about.items() if key == "stride_in"} == strides
    assert f"{about['sha256']}  {name}.safetensors" in (mirror / "weights" / "SHA256SUMS").read_text()
    network = {"resnet50": resnet50, "mobilenet_v2": mobilenet_v2}[name].network()
    network.load_state_dict(load_file(model(tmp_path, name)), strict=True)


@pytest.mark.real
def test_the_mirror_has_no_resnet34_and_random_weights_say_so(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(resnet34, "FILE", replace(resnet34.FILE, urls=(f"{refused_address()}/{resnet34.FILE.name}",)))
    about = run(tmp_path, OTHERWISE, mirror, "resnet34")
    assert about["random"] is True
    assert "resnet34-b627a593.pth could not be fetched" in about["note"]
