"""Pretrained weights: a mirror's byte for byte, the published checkpoint converted, or random ones that say so."""

import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from bakeoff.datasets.remote import RemoteFile
from bakeoff.errors import BakeoffError
from bakeoff.stages.weights import provide
from bakeoff.weights import resnet50
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from servers import Misbehaving, misbehaving_server

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


def run(tmp_path: Path, settings: dict, mirror: str | Path | None = None) -> dict:
    folder = tmp_path / "data" / "weights" / "resnet50"
    where = str(mirror) if mirror else None
    provide("resnet50", settings, folder, mirror=where, attempts=1, timeout=5, partial=tmp_path / "partial")
    assert sorted(path.name for path in folder.parent.iterdir()) == ["resnet50"]
    assert sorted(path.name for path in folder.iterdir()) == ["model.safetensors", "weights.json"]
    return json.loads((folder / "weights.json").read_text())


def model(tmp_path: Path) -> Path:
    return tmp_path / "data" / "weights" / "resnet50" / "model.safetensors"


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
        "stride_in": "3x3",
    }
    assert len(first) < 60e6  # half precision
    resnet50.network().load_state_dict(load_file(model(tmp_path)), strict=True)

    assert run(tmp_path, {"from": "random", "seed": 0}) == about
    assert run(tmp_path, {"from": "random", "seed": 1})["sha256"] != about["sha256"]


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
def test_where_a_mirrors_weights_stride_is_said_by_the_file_then_by_the_book(
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
    with pytest.raises(BakeoffError, match="is no safetensors file"):
        run(tmp_path, {"from": "official"}, tmp_path / "mirror")
    assert_nothing(tmp_path)


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
        "stride_in": "3x3",  # the setting is for a mirror's own file
    }
    got = load_file(model(tmp_path))
    assert all(torch.equal(got[key], value) for key, value in tensors.items())
    resnet50.network().load_state_dict(got, strict=True)
    assert list((tmp_path / "partial" / "weights-resnet50").glob("*.pth*")) == []


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


def test_the_file_named_is_torchvisions_own() -> None:
    from torchvision.models import ResNet50_Weights

    assert resnet50.FILE.urls == (ResNet50_Weights.IMAGENET1K_V1.url,)
    assert resnet50.FILE.sha256 is not None
    assert resnet50.FILE.name == f"resnet50-{resnet50.FILE.sha256[:8]}.pth"
    assert len(resnet50.FILE.sha256) == 64


@pytest.mark.real
def test_takes_the_real_weights_from_the_mirror(mirror: Path, tmp_path: Path) -> None:
    about = run(tmp_path, {"from": "official", "stride_in": "1x1"}, mirror)
    assert about["stride_in"] == "1x1"
    assert f"{about['sha256']}  resnet50.safetensors" in (mirror / "weights" / "SHA256SUMS").read_text()
    with safe_open(model(tmp_path), "pt") as opened:
        assert set(opened.keys()) == set(resnet50.network().state_dict())
