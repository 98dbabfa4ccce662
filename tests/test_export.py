"""ONNX files: they answer as torch does, alone, at every size, and say by themselves how to be used.

torch is the reference: numpy and ONNX Runtime have to give its logits, classes, probabilities and preprocessing.
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.cards.notes import NO_MEDICAL_DEVICE
from bakeoff.exports.export import compare_logits, export, merged, require_parity, spread, write_onnx
from bakeoff.exports.onnx_runtime import OnnxNetwork, class_indices, probabilities
from bakeoff.training import preprocessing
from bakeoff.training.device import set_up
from bakeoff.training.inference import predict_masks, predict_probabilities
from bakeoff.training.saved import Description, save_network
from torch import Tensor, nn

COUNT, SIDE = 14, 16
CPU = ["CPUExecutionProvider"]
NOTE = NO_MEDICAL_DEVICE
# Two folds; the last image is left out.
FOLDS = ("eeeeettttttvv-", "ttttvveeeeeee-")
UNET = {"channels": [4, 8], "norm": "batch"}
CELLS, KINDS = ["background", "cell"], ["benign", "malignant"]
# Module, settings, and how many logits a pixel.
ARCHITECTURES: dict[str, tuple[str, dict[str, Any], int]] = {
    "unet": ("unet", {"channels": [4, 8, 8], "norm": "none"}, 1),
    "unet-batch": ("unet", {"channels": [4, 8], "norm": "batch"}, 3),
    "unet-group": ("unet", {"channels": [8, 8], "norm": "group"}, 3),
    "unet-instance": ("unet", {"channels": [4, 8], "norm": "instance"}, 3),
    "segnet": ("segnet", {"channels": [4, 8], "convolutions": [1, 2]}, 3),
    "xception": ("xception_unet", {"channels": [4, 8]}, 1),
}


class TwoHeads(nn.Module):
    """Masks of three classes, and one logit an image."""

    def __init__(self, in_channels: int, outputs: int) -> None:
        super().__init__()
        self.mean, self.std = (0.5,) * in_channels, (0.25,) * in_channels
        self.features = nn.Sequential(nn.Conv2d(in_channels, 4, 3, padding=1), nn.ReLU(), nn.Dropout(0.5))
        self.mask, self.label = nn.Conv2d(4, 3, 1), nn.Linear(4, outputs)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.features(images)
        return {"mask": self.mask(features), "class": self.label(features.mean(dim=(2, 3)))}


class Branching(nn.Module):
    """What no graph can express: its answer depends on a decision in Python."""

    def __init__(self, in_channels: int, outputs: int) -> None:
        super().__init__()
        self.mean, self.std = (0.0,) * in_channels, (1.0,) * in_channels
        self.head = nn.Conv2d(in_channels, outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(images)
        return -logits if images.mean() > 0 else logits


@pytest.fixture(scope="module", autouse=True)
def _models() -> Iterator[None]:
    """The two networks above where the project looks for its models, and one thread."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        for name, network in (("two_heads", TwoHeads), ("branching", Branching)):
            module = ModuleType(name)
            module.build = network  # type: ignore[attr-defined]
            patch.setitem(sys.modules, f"bakeoff.models.{name}", module)
        yield


def pictures(count: int = COUNT, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 1), np.uint8)


def built(architecture: str, settings: dict[str, Any], outputs: int) -> nn.Module:
    """A network with random weights, whose batch norms have learned something."""
    torch.manual_seed(0)
    network: nn.Module = import_module(f"bakeoff.models.{architecture}").build(1, outputs, **settings)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_()  # type: ignore[union-attr]
            layer.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return network.eval()


def described(architecture: str, settings: dict[str, Any], **changes: Any) -> Description:
    about: dict[str, Any] = {
        **{"architecture": architecture, "settings": settings, "in_channels": 1, "classes": CELLS, "target": None},
        **{"size": [SIDE, SIDE], "geometry": "stretch", "mean": [0.5], "std": [0.25], "precision": "fp32"},
    }
    return Description(**{**about, **changes})


def write_project(root: Path) -> None:
    """A prepared data set and its split."""
    prepared = root / "prepared"
    prepared.mkdir()
    images = pictures()
    np.save(prepared / "images.npy", images)
    np.save(prepared / "masks.npy", (images[..., 0] > 128).astype(np.uint8))
    np.save(prepared / "histograms.npy", np.zeros((COUNT, 256), np.uint32))
    ids = [f"{n:03}" for n in range(COUNT)]
    index = pd.DataFrame({"id": ids, "group": ids, "class": [KINDS[n % 2] for n in range(COUNT)]})
    index.to_csv(prepared / "index.csv", index=False)
    about = {
        **{"name": "cells", "source": "lungs", "title": "Cells", "classes": CELLS, "targets": ["class"], "strata": []},
        **{"licence": "CC0", "citation": "Nobody.", "synthetic": True, "patients": True},
        **{"geometry": "stretch", "size": [SIDE, SIDE], "channels": 3},
    }
    (prepared / "dataset.json").write_text(json.dumps(about))
    names = {"t": "train", "v": "validation", "e": "test", "-": ""}
    rows = [(fold, ids[n], names[part]) for fold, parts in enumerate(FOLDS) for n, part in enumerate(parts)]
    pd.DataFrame(rows, columns=["fold", "id", "split"]).to_csv(root / "split.csv", index=False)


def write_network(root: Path, run: str, network: nn.Module, description: Description) -> None:
    (root / "models").mkdir(exist_ok=True)
    save_network(root / "models" / f"{run}.safetensors", network.state_dict(), description)
    seed = int(run.removeprefix("seed").partition("-")[0])
    (root / "models" / f"{run}.json").write_text(json.dumps({"seed": seed}))


def exported(root: Path, *, int8: bool = False) -> Path:
    folder = root / "exports" / "cells-network"
    places = (root / "prepared", root / "split.csv", None, root / "models", folder)
    export("cells-network", *places, int8=int8, resamples=200)
    return folder


@pytest.fixture(scope="module")
def masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exports, int8 too, of networks that predict masks: two seeds of two folds."""
    root = tmp_path_factory.mktemp("masks")
    write_project(root)
    for run in ("seed0-fold0", "seed0-fold1", "seed1-fold0", "seed1-fold1"):
        write_network(root, run, built("unet", UNET, 1), described("unet", UNET))
    return exported(root, int8=True)


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exports of networks that predict a class of two, and masks beside it."""
    root = tmp_path_factory.mktemp("classes")
    write_project(root)
    for run in ("seed0-fold0", "seed0-fold1"):
        description = described("two_heads", {}, classes=KINDS, target="class")
        write_network(root, run, built("two_heads", {}, 1), description)
    return exported(root)


def written(folder: Path, name: str, network: nn.Module | None = None, **changes: Any) -> OnnxNetwork:
    """A network of `ARCHITECTURES` as ONNX, opened."""
    architecture, settings, outputs = ARCHITECTURES[name]
    path = folder / "network.onnx"
    description = described(architecture, settings, **changes)
    write_onnx(network or built(architecture, settings, outputs), description, path, {"name": name})
    return OnnxNetwork.open(path, providers=CPU)


def run_torch(network: nn.Module, images: np.ndarray) -> Tensor | dict[str, Tensor]:
    with torch.inference_mode():
        inputs = preprocessing.to_unit_range(preprocessing.channels_first(images))
        outputs: Tensor | dict[str, Tensor] = network(preprocessing.normalise(inputs, network))  # type: ignore[arg-type]
    return outputs


# One network


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_network_of_masks_answers_as_torch_at_every_size_and_batch(tmp_path: Path, name: str) -> None:
    network = built(*ARCHITECTURES[name])
    found = written(tmp_path, name, network)
    for shape in ((3, 16, 16), (1, 17, 31), (20, 24, 8), (2, 33, 6)):
        images = pictures(*shape)
        ours, theirs = found.logits(images)["mask"], run_torch(network, images)
        assert isinstance(theirs, Tensor)
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4)
        # Random weights leave few ties: at most a pixel in a thousand may fall on the other side.
        changed = found.masks(images) != predict_masks(network, preprocessing.channels_first(images), set_up("fp32"))
        assert changed.mean() < 1e-3


def test_both_heads_of_a_network_and_the_probabilities_of_one_logit(tmp_path: Path) -> None:
    network, path = built("two_heads", {}, 1), tmp_path / "both.onnx"
    write_onnx(network, described("two_heads", {}, classes=KINDS, target="class"), path, {})
    found, images = OnnxNetwork.open(path, threads=1), pictures(5)
    theirs = run_torch(network, images)
    assert isinstance(theirs, dict)
    ours = found.logits(images)
    assert set(ours) == set(theirs) == {"mask", "class"}
    for name, logits in theirs.items():
        np.testing.assert_allclose(ours[name], logits.numpy(), atol=1e-5)
    expected = predict_probabilities(network, preprocessing.channels_first(images), set_up("fp32"))
    assert found.probabilities(images).shape == (5, 2)
    np.testing.assert_allclose(found.probabilities(images), expected, atol=1e-6)
    assert found.masks(images).dtype == np.uint8
    assert set(np.unique(found.masks(images))) <= {0, 1, 2}


def test_pictures_are_normalised_to_the_bit_as_torch_does(tmp_path: Path) -> None:
    statistics = {"mean": [0.485], "std": [0.229]}
    found = written(tmp_path, "unet", **statistics)
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    network = nn.Identity()
    network.mean, network.std = (0.485,), (0.229,)
    inputs = preprocessing.to_unit_range(preprocessing.channels_first(every))
    assert np.array_equal(found.inputs(every), preprocessing.normalise(inputs, network).numpy())


@pytest.mark.parametrize("shape", [(4, 1), (4, 3), (2, 1, 5, 6), (2, 7, 5, 6)], ids=str)
@pytest.mark.filterwarnings("error")
def test_answers_of_logits_are_torchs(shape: tuple[int, ...]) -> None:
    logits = np.random.default_rng(0).normal(0, 200, shape).astype(np.float32)
    assert np.array_equal(class_indices(logits), preprocessing.class_indices(torch.from_numpy(logits)).numpy())
    expected = preprocessing.probabilities(torch.from_numpy(logits)).numpy()
    assert probabilities(logits).dtype == np.float32
    np.testing.assert_allclose(probabilities(logits), expected, atol=1e-6)


def test_a_logit_of_zero_is_the_first_class() -> None:
    assert class_indices(np.zeros((1, 1), np.float32)).tolist() == [0]
    assert probabilities(np.zeros((1, 1), np.float32)).tolist() == [[0.5, 0.5]]


def test_a_network_that_unpools_is_known_by_its_graph(tmp_path: Path) -> None:
    write_project(tmp_path)
    architecture, settings, _ = ARCHITECTURES["segnet"]
    for run in ("seed0-fold0", "seed0-fold1"):
        write_network(tmp_path, run, built(architecture, settings, 1), described(architecture, settings))
    files = json.loads((exported(tmp_path) / "parity.json").read_text())["files"]
    assert [each["unpools"] for each in files] == [True, True]
    for each in files:
        exact = each["rounding"]
        assert exact["images"] == each["images"]
        for runtime in ("torch", "onnx"):
            assert 0 < exact[runtime]["mask"]["largest_difference"] < 1e-4


# The files of an experiment


def test_there_is_a_file_a_network_and_it_is_whole_in_itself(masks: Path) -> None:
    runs = [f"seed{seed}-fold{fold}" for seed in (0, 1) for fold in (0, 1)]
    assert sorted(path.name for path in masks.iterdir()) == sorted(
        ["parity.json", *(f"{run}{kind}.onnx" for run in runs for kind in ("", "-int8"))]
    )
    model = onnx.load(masks / "seed0-fold0.onnx", load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert not [each for each in model.graph.initializer if each.external_data]
    shapes = {
        each.name: [side.dim_param or side.dim_value for side in each.type.tensor_type.shape.dim]
        for each in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {"images": ["batch", 1, "height", "width"], "mask": ["batch", 1, "height", "width"]}


def test_a_file_says_what_it_is(masks: Path) -> None:
    facts = {"name": "cells-network", "dataset": "cells", "title": "Cells", "licence": "CC0", "citation": "Nobody."}
    expected = {**asdict(described("unet", UNET)), **facts, "synthetic": True, "note": NOTE}
    for path in masks.glob("*.onnx"):
        (metadata,) = onnx.load(path).metadata_props
        assert metadata.key == "bakeoff"
        weights = masks.parent.parent / "models" / f"{path.stem.removesuffix('-int8')}.safetensors"
        said = {**expected, "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}
        assert json.loads(metadata.value) == said
        assert OnnxNetwork.open(path, providers=CPU).description == said


def test_the_same_networks_give_the_same_bytes(masks: Path) -> None:
    before = {path.name: path.read_bytes() for path in masks.glob("*fold?.onnx")}
    again = exported(masks.parent.parent, int8=True)
    assert again == masks
    assert {path.name: path.read_bytes() for path in again.glob("*fold?.onnx")} == before


def test_parity_is_measured_on_the_test_images_of_each_fold(masks: Path) -> None:
    parity = json.loads((masks / "parity.json").read_text())
    assert parity["name"] == "cells-network"
    assert parity["tolerance"] == 1e-3
    files = parity["files"]
    assert [(each["file"], each["seed"], each["fold"], each["images"]) for each in files] == [
        (f"seed{seed}-fold{fold}.onnx", seed, fold, images) for seed in (0, 1) for fold, images in ((0, 5), (1, 7))
    ]
    for each in files:
        assert not each["unpools"]
        assert each["rounding"] is None
        found = each["heads"]["mask"]
        assert found["answers"] == each["images"] * SIDE**2
        assert 0 < found["largest_difference"] < 1e-4
        assert found["changed_beyond_ties"] == 0
        assert (found["evaluated_in"], found["changed_from_evaluated"]) == ("fp32", found["changed"])
        assert (each["other_size"]["height"], each["other_size"]["width"]) == (13, 9)


def test_a_class_is_predicted_at_the_size_it_was_trained_at(classes: Path) -> None:
    parity = json.loads((classes / "parity.json").read_text())
    assert set(parity["files"][0]["heads"]) == {"class", "mask"}
    assert parity["files"][0]["other_size"] is None
    assert parity["int8"] is None
    network = OnnxNetwork.open(classes / "seed0-fold0.onnx", providers=CPU)
    with pytest.raises(BakeoffError, match="have 17 x 16 pixels and the exported network takes 16 x 16: resize"):
        network.probabilities(pictures(1, 17, 16))


def test_int8_is_smaller_and_its_loss_is_the_difference_of_the_files_scores(masks: Path) -> None:
    found = json.loads((masks / "parity.json").read_text())["int8"]
    truth = np.load(masks.parent.parent / "prepared" / "masks.npy")
    tested = {0: range(5), 1: range(6, 13)}

    def mean_dice(suffix: str) -> float:
        scores = []
        for path in sorted(masks.glob(f"seed?-fold?{suffix}.onnx")):
            rows = np.array(tested[int(path.name[len("seed0-fold")])])
            predicted = OnnxNetwork.open(path, providers=CPU).masks(pictures()[rows])
            scores += [2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in zip(predicted, truth[rows], strict=True)]
        return float(np.mean(scores))

    assert (found["score"], found["images"], found["seeds"], found["calibration_images"]) == ("dice", 12, 2, 4)
    assert found["fp32"] == pytest.approx(mean_dice(""))
    assert found["int8"] == pytest.approx(mean_dice("-int8"))
    assert found["difference"] == pytest.approx(found["int8"] - found["fp32"])
    assert found["low"] <= found["difference"] <= found["high"]
    types = {node.op_type for node in onnx.load(masks / "seed0-fold0-int8.onnx").graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= types
    images = pictures()
    ours, exact = (
        OnnxNetwork.open(masks / f"seed0-fold0{kind}.onnx", providers=CPU).logits(images)["mask"]
        for kind in ("-int8", "")
    )
    assert 0 < np.abs(ours - exact).max() < np.ptp(exact) / 5


# What is no parity


def test_a_network_that_onnx_cannot_express_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    write_project(tmp_path)
    for run in ("seed0-fold0", "seed0-fold1"):
        write_network(tmp_path, run, built("branching", {}, 1), described("branching", {}, mean=[0.0], std=[1.0]))
    with pytest.raises(BakeoffError, match=r"Model 'branching' has no ONNX graph \(.*\): change .*/branching\.py\."):
        exported(tmp_path)
    assert list((tmp_path / "exports").iterdir()) == []


def test_differences_and_changed_answers_are_counted() -> None:
    ours = np.array([[[1, 0.0004]], [[0, 0]], [[0, 0.0]]], np.float32)[None]  # one image, three classes, 1 x 2 pixels
    theirs = np.array([[[1, 0]], [[3, 0.0003]], [[0, 0.0]]], np.float32)[None]
    assert compare_logits(ours, theirs) == {
        **{"largest_difference": 3.0, "largest_logit": 1.0, "answers": 2, "beyond_tolerance": 1},
        **{"changed": 2, "changed_beyond_ties": 1},
    }
    nothing = compare_logits(ours, np.full_like(ours, np.nan))
    assert nothing["beyond_tolerance"] == 2
    first, second = {"largest_difference": 1.0, "changed": 2}, {"largest_difference": 0.5, "changed": 3}
    assert merged([first, second]) == {"largest_difference": 1.0, "changed": 5}
    with pytest.raises(ValueError, match="differ in shape"):
        compare_logits(ours, theirs[:, :2])


@pytest.mark.parametrize(("unpools", "beyond", "changed"), [(False, 0, 0), (True, 500, 0), (True, 10, 10)])
def test_a_network_that_unpools_may_differ_in_a_few_answers(unpools: bool, beyond: int, changed: int) -> None:
    def of(beyond: int, changed: int) -> dict[str, Any]:
        counts = {"answers": 10_000, "beyond_tolerance": beyond, "changed_beyond_ties": changed}
        head = {"largest_difference": 0.1, **counts}
        return {"file": "seed0.onnx", "unpools": unpools, "heads": {"mask": head}, "other_size": None}

    require_parity("cells", of(beyond, changed))
    for one_more in (of(501 if unpools else 1, 0), of(0, 11 if unpools else 1)):
        with pytest.raises(BakeoffError, match="cells: ONNX Runtime disagrees with torch"):
            require_parity("cells", one_more)


def test_images_are_spread_over_all() -> None:
    assert spread(np.arange(10, 21), 3).tolist() == [10, 15, 20]
    assert spread(np.arange(10, 13), 512).tolist() == [10, 11, 12]


# A runtime that needs nothing else

ALONE = """
import sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "torchvision", "timm", "pandas", "sklearn", "scipy", "matplotlib"}:
            raise ImportError(f"{name} is not here")

sys.meta_path.insert(0, Refused())
import numpy as np
from pathlib import Path
from bakeoff.exports.onnx_runtime import OnnxNetwork

network = OnnxNetwork.open(Path(sys.argv[1]), threads=1)
np.save(sys.argv[3], network.masks(np.load(sys.argv[2])))
print(network.provider)
"""


def test_an_export_predicts_without_torch_pandas_and_sklearn(masks: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "pictures.npy", pictures())
    files = (str(path) for path in (masks / "seed0-fold0.onnx", tmp_path / "pictures.npy", tmp_path / "masks.npy"))
    done = subprocess.run([sys.executable, "-c", ALONE, *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("ExecutionProvider")
    expected = OnnxNetwork.open(masks / "seed0-fold0.onnx", providers=CPU).masks(pictures())
    assert np.array_equal(np.load(tmp_path / "masks.npy"), expected)


def test_without_onnxruntime_a_sentence_says_what_to_install(masks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BakeoffError, match="pip install onnxruntime"):
        OnnxNetwork.open(masks / "seed0-fold0.onnx")


# Mistakes


def test_what_is_no_export_is_named(masks: Path, tmp_path: Path) -> None:
    with pytest.raises(BakeoffError, match=r"seed0\.onnx is missing: run `bakeoff export cells`"):
        OnnxNetwork.open(tmp_path / "cells" / "seed0.onnx")
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no model" * 100)
    with pytest.raises(BakeoffError, match=r"broken\.onnx is no usable ONNX file"):
        OnnxNetwork.open(path)
    whole = (masks / "seed0-fold0.onnx").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BakeoffError, match=r"broken\.onnx is no usable ONNX file"):
        OnnxNetwork.open(path)
    model = onnx.load(masks / "seed0-fold0.onnx")
    del model.metadata_props[:]
    onnx.save(model, path)
    with pytest.raises(BakeoffError, match=r"broken\.onnx was not written by `bakeoff export`"):
        OnnxNetwork.open(path)


def test_pictures_and_heads_that_do_not_fit_are_refused(masks: Path) -> None:
    network = OnnxNetwork.open(masks / "seed0-fold0.onnx", providers=CPU)
    with pytest.raises(BakeoffError, match="have 3 channels and the exported network takes 1"):
        network.masks(np.zeros((1, 16, 16, 3), np.uint8))
    with pytest.raises(BakeoffError, match="'cells-network' predicts no class"):
        network.probabilities(pictures(1))


def test_nothing_trained_and_networks_of_other_data_are_refused(tmp_path: Path) -> None:
    write_project(tmp_path)
    (tmp_path / "models").mkdir()
    with pytest.raises(BakeoffError, match="no trained network of cells-network: run `dvc repro train@cells-network`"):
        exported(tmp_path)
    write_network(tmp_path, "seed0-fold0", built("unet", UNET, 1), described("unet", UNET, classes=["ground", "pet"]))
    with pytest.raises(BakeoffError, match="trained for other channels or classes"):
        exported(tmp_path)
