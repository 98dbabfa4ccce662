"""Whatever is asked of an image that the evaluation tested, the answer is the one that it recorded."""

import csv
import json
import os
import resource
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.experiments import write_settings
from bakeoff.artefacts.geometry import Geometry
from bakeoff.artefacts.layout import Project, masks_file
from bakeoff.artefacts.predictions import read_predictions, read_probabilities
from bakeoff.artefacts.prepared import open_prepared, read_folds
from bakeoff.artefacts.void import VOID
from bakeoff.cards.notes import NO_MEDICAL_DEVICE, medical_note
from bakeoff.cli import main
from bakeoff.config import read_config
from bakeoff.datasets.preparation.decode import MAXIMUM_PIXELS, resize_classes
from bakeoff.evaluation.out_of_distribution import THRESHOLD, descriptors, fit_detector, parse_detector, read_detector
from bakeoff.evaluation.separation import Separation
from bakeoff.exports.onnx_runtime import OnnxNetwork, execution_providers
from bakeoff.exports.quantisation import quantise
from bakeoff.inference.command import _batches, _csv_writer, _Opened, predict_pictures
from bakeoff.inference.drawing import outlined
from bakeoff.inference.objects import Objects, find_objects, write_objects
from bakeoff.inference.pictures import open_picture
from bakeoff.inference.predictors import CascadePredictor, open_predictor
from bakeoff.models import unet
from bakeoff.training.predict import predict
from bakeoff.training.saved import Description, save_network
from bakeoff.training.torch_network import TorchNetwork
from click.testing import CliRunner
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import ExifTags, Image
from skimage.measure import label

CONFIG_FILE = Path(__file__).resolve().parent.parent / "params.yaml"
SIDE, COUNT = 16, 24
UNET = {"channels": [4, 8], "norm": "batch"}
SPLIT = {"name": "stratified", "train": 0.5, "validation": 0.2, "test": 0.3, "stratify": ["class"], "seed": 0}
REGION = {"dataset": "cells", "kind": "region", "keep": "masked", "margin": 0.0, "seed": 0}
FOREST = {
    **{"method": "random-forest", "features": "grey", "side": 8},
    "settings": {"n_estimators": 5},
}
BASELINES: dict[str, dict[str, Any]] = {
    "cells": {
        "cells-otsu": {"method": "otsu", "foreground": "train"},
        "cells-three": {"method": "multiotsu", "classes": 3, "foreground": "bright"},
        "cells-bound": {"method": "otsu", "foreground": "oracle"},
    },
    "kinds": {"kinds-trees": FOREST},
}
NETWORK = {"dataset": "cells", "recipe": "from-scratch"}
SEGMENTER = {**{**NETWORK, "task": "cells", "images": "cells", "model": "unet", "weights": "none", "settings": UNET}}
CLASSIFIER = {**NETWORK, "task": "kinds", "model": "resnet50_classifier", "weights": "resnet50", "settings": {}}
NETWORKS: dict[str, dict[str, Any]] = {
    "cells-unet": SEGMENTER,
    "kinds-drawn": {**CLASSIFIER, "images": "cells-drawn"},
    "kinds-true": {**CLASSIFIER, "images": "cells-true"},
}


class MeanColours(torch.nn.Module):
    """A classifier small enough for a test: a linear map of the mean colour."""

    def __init__(self, in_channels: int, outputs: int) -> None:
        super().__init__()
        self.head = torch.nn.Linear(in_channels, outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(images.mean(dim=(2, 3)))


def write_images(folder: Path) -> None:
    """Noisy pictures of a disc, dark or bright, of odd sizes; some turned on their side by their tag."""
    rng = np.random.default_rng(0)
    for number in range(COUNT):
        kind = ("dark", "bright")[number % 2]
        height, width = rng.integers(SIDE, 3 * SIDE, 2)
        rows, columns = np.mgrid[:height, :width]
        radius = rng.uniform(0.15, 0.35)
        disc = np.hypot(rows / height - 0.5, columns / width - 0.5) < radius
        levels = (60 if kind == "dark" else 110) + 90 * disc + rng.normal(0, 12, disc.shape)
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6 if number % 5 == 0 else 1
        for part, pixels in (("images", levels.clip(0, 255).astype(np.uint8)), ("masks", disc.astype(np.uint8))):
            path = folder / part / kind / f"{number:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path, **({"exif": exif} if part == "images" else {}))


def write_config(root: Path) -> None:
    config = yaml.safe_load(CONFIG_FILE.read_text())
    config["folders"] = {
        "cells": {
            **{
                "path": "mine",
                "format": "pairs",
                "images": "images/{class}/{id}",
                "masks": "masks/{class}/{id}",
                "size": SIDE,
                "channels": 1,
                "classes": ["background", "cell"],
            },
            "duplicates": {"distance": 0},
        }
    }
    config["predicted_masks"] = {
        "cells-masks": {
            **{"dataset": "cells", "task": "kinds", "inner_folds": dict.fromkeys(("sample", "small", "full"), 2)},
            "segmenter": {**SEGMENTER, "experiment": "cells-unet"},
        }
    }
    config["derived"] = {
        "cells-true": {**REGION, "masks": "cells", "variant": "true"},
        "cells-drawn": {**REGION, "masks": "cells-masks", "variant": "in-sample"},
    }
    config["tasks"] = {
        "cells": {"dataset": "cells", "kind": "segmentation", "split": SPLIT},
        "kinds": {"dataset": "cells", "kind": "classification", "target": "class", "split": SPLIT},
    }
    config["experiments"] = {
        "baselines": {task: {"dataset": "cells", "methods": methods} for task, methods in BASELINES.items()},
        "networks": NETWORKS,
    }
    config["exports"] = {}
    (root / "params.yaml").write_text(yaml.safe_dump(config))


def write_networks(root: Path) -> None:
    """Networks of random weights, as `train` leaves them, and the masks that one of them predicts."""
    torch.manual_seed(0)
    segmenter = unet.build(1, 1, **UNET)
    with torch.no_grad():  # batch norms that have seen something
        segmenter.train()(torch.randn(8, 1, SIDE, SIDE))
    common = {"size": [SIDE, SIDE], "geometry": "stretch", "precision": "fp32"}
    masks = Description("unet", UNET, 1, ["background", "cell"], None, mean=[0.5], std=[0.25], **common)
    kinds = Description(
        "mean_colours", {}, 3, ["bright", "dark"], "class", mean=[0.4, 0.5, 0.6], std=[0.2] * 3, **common
    )
    trained = [("cells-unet", segmenter, masks)]
    trained += [(name, MeanColours(3, 1), kinds) for name in ("kinds-drawn", "kinds-true")]
    record = {
        "seed": 0,
        "fold": 0,
        "parameters": 1,
        "parameters_trainable": 1,
        "training_seconds": 1.0,
        "weights": None,
    }
    for name, network, description in trained:
        models = models_of(root, name)
        models.mkdir(parents=True)
        save_network(models / "seed0.safetensors", network.state_dict(), description)
        (models / "seed0.json").write_text(json.dumps({**record, "peak_memory_mib": 1.0}))


def models_of(root: Path, network: str) -> Path:
    return Project(root).experiment(NETWORKS[network]["task"], network, "networks").models


def write_masks(root: Path) -> None:
    """The masks of `cells-unet` of every image: in-sample ones, which take no training."""
    project = Project(root)
    network = TorchNetwork.open(models_of(root, "cells-unet") / "seed0.safetensors")
    folder = project.prepared("cells-masks")
    folder.mkdir()
    np.save(folder / masks_file(0, "in-sample"), network.masks(open_prepared(project.prepared("cells")).images))
    (folder / "dataset.json").write_text(json.dumps({"segmenter": "cells-unet", "segmenter_cost": {}, "quality": []}))


def predict_tested(root: Path, name: str) -> None:
    """What `train` leaves of a network beside its weights."""
    project, config = Project(root), read_config(root / "params.yaml")
    settings = config.experiment(name)
    folder = project.experiment(settings["task"], name, settings["family"])
    images = None if settings["pictures"] is None else project.prepared(settings["images"])
    predict(name, project.prepared("cells"), project.split(settings["task"]), images, folder.models, folder.predictions)
    write_settings(folder.predictions, name, settings)


def run(*words: str) -> None:
    found = CliRunner().invoke(main, list(words), catch_exceptions=False)
    assert found.exit_code == 0, found.output


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A clone in which the real stages ran on a folder of images, up to the predictions."""
    root = tmp_path_factory.mktemp("clone")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("OMP_NUM_THREADS", "1")
        module = ModuleType("bakeoff.models.mean_colours")
        module.build = MeanColours  # type: ignore[attr-defined]
        patch.setitem(sys.modules, module.__name__, module)
        write_images(root / "mine")
        write_config(root)
        for words in ("prepare-folder cells", "split cells", "split kinds"):
            run(*words.split())
        write_networks(root)
        for task in BASELINES:
            run("baselines", task)
        write_masks(root)
        for name in ("cells-true", "cells-drawn"):
            run("derive", name)
        for name in NETWORKS:
            predict_tested(root, name)
        yield root


def files_tested(root: Path) -> dict[str, Path]:
    """The very files that were tested, by id, in the order of the index."""
    data = open_prepared(root / "data" / "prepared" / "cells")
    rows = read_folds(root / "data" / "splits" / "cells.csv", data)[0].test
    index = data.index.iloc[rows]
    return {str(row.id): root / "mine" / str(row.source) for row in index.itertuples()}


def ask(root: Path, out: Path, experiment: str | None, files: list[str], **options: Any) -> list[dict[str, str]]:
    predict_pictures(experiment, files, out, root=root, **{"upright": False, **options})
    with (out / "predictions.csv").open() as file:
        return list(csv.DictReader(file))


def recorded(root: Path, experiment: str) -> dict[str, Any]:
    """By id what the evaluation has: a mask, or the probabilities."""
    settings = read_config(root / "params.yaml").experiment(experiment)
    folder = Project(root).experiment(settings["task"], experiment, settings["family"]).predictions
    if settings["target"] is None:
        found = read_predictions(folder)
        return dict(zip(found.ids, found.masks[0], strict=True))
    found = read_probabilities(folder)
    rows = found.table.set_index("id")
    return {id_: rows.loc[id_, ["p_bright", "p_dark"]].to_numpy(float) for id_ in rows.index}


@pytest.mark.parametrize("batch", [1, 5, 16])
@pytest.mark.parametrize("experiment", ["cells-otsu", "cells-three", "cells-unet", "kinds-trees", "kinds-drawn"])
def test_the_answer_for_a_test_image_is_the_recorded_one(
    clone: Path, tmp_path: Path, experiment: str, batch: int
) -> None:
    files, expected = files_tested(clone), recorded(clone, experiment)
    rows = {row["file"]: row for row in ask(clone, tmp_path, experiment, [*map(str, files.values())], batch=batch)}
    assert len(rows) == len(files) == len(expected) >= 6
    assert len({str(value) for value in expected.values()}) > 1, "the answers differ"
    predictor = open_predictor(experiment, clone)
    for id_, path in files.items():
        row = rows[str(path)]
        if predictor.target is None:
            assert float(row["area_cell"]) == pytest.approx((expected[id_] == 1).mean(), abs=1e-6)
        else:
            assert [float(row["p_bright"]), float(row["p_dark"])] == expected[id_].tolist()
            assert row["label"] == ["bright", "dark"][expected[id_].argmax()]


@pytest.mark.parametrize("experiment", ["cells-otsu", "cells-three", "cells-unet"])
def test_a_mask_at_the_prepared_size_is_the_recorded_one(clone: Path, tmp_path: Path, experiment: str) -> None:
    data = open_prepared(clone / "data" / "prepared" / "cells")
    expected = recorded(clone, experiment)
    rows = data.index.reset_index().set_index("id")["index"]
    for id_ in expected:
        Image.fromarray(data.images[rows[id_]][..., 0]).save(tmp_path / f"{id_.replace('/', '-')}.png")
    ask(clone, tmp_path / "out", experiment, [str(tmp_path)])
    for id_, mask in expected.items():
        with Image.open(tmp_path / "out" / "masks" / f"{id_.replace('/', '-')}.png") as written:
            assert np.array_equal(np.asarray(written), mask)
    predictor = open_predictor(experiment, clone)
    answers = predictor.predict(data.images[[rows[id_] for id_ in expected]])
    assert all(np.array_equal(a.mask, b) for a, b in zip(answers, expected.values(), strict=True))


def test_deep_images_are_read_with_the_levels_of_their_data_set(clone: Path, tmp_path: Path) -> None:
    file = next(iter(files_tested(clone).values()))
    with Image.open(file) as image:
        deep = np.asarray(image.convert("L")).astype(np.uint16) * 2 + 1000
    Image.fromarray(deep).save(tmp_path / "deep.png")
    before = (clone / "params.yaml").read_text()
    config = yaml.safe_load(before)
    config["folders"]["cells"]["levels"] = [1000, 1510]
    (clone / "params.yaml").write_text(yaml.safe_dump(config))
    try:
        rows = ask(clone, tmp_path / "out", "cells-otsu", [str(file), str(tmp_path / "deep.png")])
    finally:
        (clone / "params.yaml").write_text(before)
    masks = [np.asarray(Image.open(tmp_path / "out" / row["mask"])) for row in rows]
    assert np.array_equal(*masks), "what is 8 bits at these levels is the same image"
    assert json.loads((tmp_path / "out" / "about.json").read_text())["levels"] == [1000, 1510]


def test_masks_are_as_large_as_their_images_and_upright(clone: Path, tmp_path: Path) -> None:
    turned = clone / "mine" / "images" / "dark" / "000.png"
    stored = open_picture(turned, 1, upright=False).shape[:2]
    for upright, shape in ((False, stored), (True, stored[::-1])):
        rows = ask(clone, tmp_path, "cells-unet", [str(turned)], upright=upright)
        assert (int(rows[0]["height"]), int(rows[0]["width"])) == shape
        for key in ("mask", "overlay"):
            with Image.open(tmp_path / rows[0][key]) as image:
                assert image.size == shape[::-1]


@pytest.mark.parametrize("orientation", ["as-stored", "upright"])
def test_images_are_turned_as_their_folder_says(orientation: str, clone: Path, tmp_path: Path) -> None:
    turned = clone / "mine" / "images" / "dark" / "000.png"
    before = (clone / "params.yaml").read_text()
    config = yaml.safe_load(before)
    config["folders"]["cells"]["orientation"] = orientation
    (clone / "params.yaml").write_text(yaml.safe_dump(config))
    try:
        (row,) = ask(clone, tmp_path / "out", "cells-unet", [str(turned)], upright=None)
    finally:
        (clone / "params.yaml").write_text(before)
    shape = open_picture(turned, 1, upright=orientation == "upright").shape[:2]
    assert (int(row["height"]), int(row["width"])) == shape
    said = json.loads((tmp_path / "out" / "about.json").read_text())["orientation"]
    assert said == orientation.replace("-", " ")


def test_true_masks_are_handed_in(clone: Path, tmp_path: Path) -> None:
    files, expected = files_tested(clone), recorded(clone, "kinds-true")
    masks = tmp_path / "masks"
    masks.mkdir()
    for path in files.values():
        (masks / path.name).write_bytes(Path(str(path).replace("/images/", "/masks/")).read_bytes())
    rows = ask(clone, tmp_path / "out", "kinds-true", [*map(str, files.values())], masks=masks)
    by_file = {row["file"]: [float(row["p_bright"]), float(row["p_dark"])] for row in rows}
    assert by_file == {str(path): expected[id_].tolist() for id_, path in files.items()}

    first = next(iter(files.values()))
    (masks / first.name).unlink()
    with pytest.raises(BakeoffError, match=r"(?s)1 of .*the folder of masks holds 0 masks of that name"):
        ask(clone, tmp_path / "out", "kinds-true", [*map(str, files.values())], masks=masks)


def test_a_mask_is_of_one_picture_and_of_its_stored_pixels(clone: Path, tmp_path: Path) -> None:
    turned, masks = clone / "mine" / "images" / "dark" / "000.png", clone / "mine" / "masks" / "dark"
    with pytest.raises(BakeoffError, match=r"000\.png: its EXIF tag turns the image and not its mask: .*--as-stored"):
        ask(clone, tmp_path / "out", "kinds-true", [str(turned)], masks=masks, upright=True)
    assert len(ask(clone, tmp_path / "out", "kinds-true", [str(turned)], masks=masks)) == 1
    other = tmp_path / "000.png"
    other.write_bytes(turned.read_bytes())
    with pytest.raises(BakeoffError, match=r"000\.png and .*000\.png would have the same mask: rename one"):
        ask(clone, tmp_path / "out", "kinds-true", [str(turned), str(other)], masks=masks)


def test_without_its_true_masks_an_experiment_is_refused(clone: Path) -> None:
    with pytest.raises(BakeoffError, match=r"--masks FOLDER"):
        open_predictor("kinds-true", clone)
    with pytest.raises(BakeoffError, match="true mask of each image"):
        open_predictor("cells-bound", clone)


def test_two_in_a_row_answer_as_each_alone(clone: Path, tmp_path: Path) -> None:
    files = [*map(str, files_tested(clone).values())]
    pair = ask(clone, tmp_path / "pair", None, files, segment="cells-unet", classify="kinds-trees")
    masks = ask(clone, tmp_path / "masks", "cells-unet", files)
    classes = ask(clone, tmp_path / "classes", "kinds-trees", files)
    for both, mask, kind in zip(pair, masks, classes, strict=True):
        assert both["area_cell"] == mask["area_cell"]
        assert both["label"] == kind["label"]
        written = [(tmp_path / name / mask["mask"]).read_bytes() for name in ("pair", "masks")]
        assert written[0] == written[1]


def test_a_named_segmenter_draws_in_place_of_the_own_one(clone: Path) -> None:
    data = open_prepared(clone / "data" / "prepared" / "cells")
    pictures = data.images[:4]
    own, same, other, true = (
        open_predictor(name, clone, segmenter=segmenter)
        for name, segmenter in (
            ("kinds-drawn", None),
            ("kinds-drawn", "cells-unet"),
            ("kinds-drawn", "cells-otsu"),
            ("kinds-true", "cells-otsu"),
        )
    )
    answers = [[a.probabilities.tolist() for a in each.predict(pictures)] for each in (own, same, other)]
    assert answers[0] == answers[1] != answers[2]
    otsu = np.stack([a.mask for a in open_predictor("cells-otsu", clone).predict(pictures)])
    assert np.array_equal(np.stack([a.mask for a in other.predict(pictures)]), otsu)
    given = open_predictor("kinds-true", clone, masks_given=True)
    assert isinstance(given, CascadePredictor)
    handed = given.predict(pictures, masks=otsu)
    assert [a.probabilities.tolist() for a in handed] == [a.probabilities.tolist() for a in true.predict(pictures)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"experiment": None}, "--segment NAME --classify NAME"),
        ({"experiment": None, "segment": "cells-unet"}, "--segment NAME --classify NAME"),
        ({"experiment": None, "segment": "kinds-trees", "classify": "kinds-trees"}, "no masks: name a segmentation"),
        ({"experiment": None, "segment": "cells-unet", "classify": "cells-otsu"}, "no class: name a classification"),
        ({"experiment": "cells-nothing"}, "has no experiment"),
        ({"experiment": "cells-unet", "seed": 3}, "seed3.safetensors: there is seed0.safetensors"),
        ({"experiment": "cells-unet", "fold": 1}, "seed0-fold1.safetensors"),
        (
            {"experiment": "cells-unet", "runtime": "onnx-int8"},
            r"seed0-int8\.onnx: run `bakeoff export cells-unet --int8 true`",
        ),
        ({"experiment": "kinds-true", "runtime": "onnx", "masks": Path("mine")}, "run `bakeoff export kinds-true`"),
        ({"experiment": "kinds-trees", "masks": Path()}, "was not trained on masks"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_a_sentence(
    clone: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    experiment = options.pop("experiment")
    with pytest.raises(BakeoffError, match=message):
        predict_pictures(experiment, [str(clone / "mine" / "images")], tmp_path / "out", root=clone, **options)
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def exports(clone: Path) -> Path:
    """The clone, whose networks were exported."""
    for name in ("cells-unet", "kinds-drawn"):
        run("export", name)
    return clone


# As docs/using-a-model.md tells to install.
PACKAGES_NEEDED = [
    "click",
    "numpy",
    "onnxruntime",
    "opencv-python-headless",
    "pillow",
    "pydantic",
    "ruamel.yaml",
    "tqdm",
]
NEEDED_BY_THRESHOLDS = "scikit-image"
NOT_NEEDED = (
    "torch",
    "timm",
    "segmentation_models_pytorch",
    "kornia",
    "triton",
    "nvidia",
    "pandas",
    "scipy",
    "sklearn",
)


@pytest.fixture(scope="module")
def without_torch(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The start of a command line whose interpreter has the standard library, this project, and `PACKAGES_NEEDED`."""
    folder = link_packages(tmp_path_factory.mktemp("packages"), PACKAGES_NEEDED)
    assert not [path.name for path in folder.iterdir() if path.name.startswith(NOT_NEEDED)]
    return command_with(folder)


@pytest.fixture(scope="module")
def with_scikit_image(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The same with what thresholds need besides."""
    folder = link_packages(tmp_path_factory.mktemp("packages"), [*PACKAGES_NEEDED, NEEDED_BY_THRESHOLDS])
    assert not [path.name for path in folder.iterdir() if path.name.startswith(NOT_NEEDED) and path.name[:5] != "scipy"]
    return command_with(folder)


def link_packages(folder: Path, names: Iterable[str]) -> Path:
    """Packages linked from the present environment one by one: whatever else is installed cannot be imported."""
    site = Path(sysconfig.get_path("purelib"))
    for name in sorted(_with_dependencies(names)):
        for file in distribution(name).files or []:
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not (folder / top).exists():
                (folder / top).symlink_to(site / top)
    return folder


def command_with(folder: Path) -> list[str]:
    path = [str(CONFIG_FILE.parent / "workflow"), str(folder)]
    program = f"import sys; sys.path += {path}; from bakeoff.cli import main; main()"
    # Neither the environment's packages nor what its variables or the working directory would add.
    return [sys.executable, "-I", "-S", "-c", program]


def test_what_the_documentation_installs_is_what_is_tested() -> None:
    words = (CONFIG_FILE.parent / "docs" / "using-a-model.md").read_text().split()
    start = words.index("click")
    assert words[start : start + len(PACKAGES_NEEDED)] == PACKAGES_NEEDED
    assert NEEDED_BY_THRESHOLDS in words


def _with_dependencies(names: Iterable[str]) -> set[str]:
    """Packages and all that installing them installs."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name not in found:
            found.add(name)
            wanted = map(Requirement, distribution(name).requires or [])
            waiting += [each.name for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})]
    return found


@pytest.mark.parametrize(
    "words",
    [["cells-unet"], ["kinds-drawn"], ["cells-otsu"], ["--segment", "cells-unet", "--classify", "kinds-drawn"]],
    ids=["segmentation", "on predicted masks", "threshold", "two in a row"],
)
def test_onnx_runtime_answers_alike_without_torch(
    exports: Path, tmp_path: Path, request: pytest.FixtureRequest, words: list[str]
) -> None:
    bare = request.getfixturevalue("with_scikit_image" if words == ["cells-otsu"] else "without_torch")
    files = [*map(str, files_tested(exports).values())]
    common = [*words, *files, "--as-stored", "--out"]
    run("predict", *common, str(tmp_path / "torch"))
    asked = [*bare, "predict", *common, str(tmp_path / "onnx"), "--runtime", "onnx"]
    found = subprocess.run(asked, cwd=exports, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    tables = []
    for out in ("torch", "onnx"):
        with (tmp_path / out / "predictions.csv").open() as file:
            tables.append(list(csv.DictReader(file)))
    assert [row["file"] for row in tables[1]] == [row["file"] for row in tables[0]]
    for one, other in zip(*tables, strict=True):
        with (
            Image.open(tmp_path / "torch" / one["mask"]) as mask,
            Image.open(tmp_path / "onnx" / other["mask"]) as same,
        ):
            assert np.array_equal(np.asarray(mask), np.asarray(same))
        assert one.get("label") == other.get("label")
        for column in (name for name in one if name.startswith("p_")):
            assert float(one[column]) == pytest.approx(float(other[column]), abs=1e-5)


def test_without_torch_its_runtime_says_so(exports: Path, tmp_path: Path, without_torch: list[str]) -> None:
    words = ["predict", "cells-unet", str(exports / "mine"), "--out", str(tmp_path)]
    found = subprocess.run([*without_torch, *words], cwd=exports, capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (
        1,
        "bakeoff: torch is not installed: 'cells-unet' runs without it with --runtime onnx, where it was exported.\n",
    )


def test_about_says_what_the_answers_depend_on(exports: Path, tmp_path: Path) -> None:
    file = str(exports / "mine" / "images" / "dark" / "002.png")

    def about(experiment: str | None, **options: Any) -> tuple[Any, ...]:
        ask(exports, tmp_path, experiment, [file], **options)
        said = json.loads((tmp_path / "about.json").read_text())
        return said["runtime"], said["provider"], said["seed"], said["fold"]

    assert about("cells-unet") == ("torch", "cpu", 0, 0)
    assert about("cells-unet", runtime="onnx") == ("onnx", "CPUExecutionProvider", 0, 0)
    assert about("cells-otsu", seed=5) == ("torch", None, None, 0), "the fold chose the foreground"
    assert about("cells-three", seed=5, fold=7) == ("torch", None, None, None)
    assert about("kinds-trees") == ("torch", None, 0, 0)
    pair = {"segment": "cells-unet", "classify": "kinds-trees", "runtime": "onnx"}
    assert about(None, **pair) == ("onnx", "CPUExecutionProvider", 0, 0)


def test_providers_are_taken_in_order_without_tf32() -> None:
    cuda, openvino, cpu = "CUDAExecutionProvider", "OpenVINOExecutionProvider", "CPUExecutionProvider"
    assert execution_providers([cpu, "AzureExecutionProvider", openvino, cuda]) == [
        (cuda, {"use_tf32": "0"}),
        (openvino, {}),
        (cpu, {}),
    ]
    assert execution_providers(["AzureExecutionProvider", cpu]) == [(cpu, {})]


def test_an_export_of_other_weights_is_refused(exports: Path, tmp_path: Path) -> None:
    """And one whose weights do not lie there stands for itself."""
    for name in ("params.yaml", "data"):
        (tmp_path / name).symlink_to(exports / name)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "exports").symlink_to(exports / "results" / "exports")
    assert open_predictor("cells-unet", tmp_path, runtime="onnx").provider == "CPUExecutionProvider"
    models = models_of(tmp_path, "cells-unet")
    models.mkdir(parents=True)
    weights = (models_of(exports, "cells-unet") / "seed0.safetensors").read_bytes()
    (models / "seed0.safetensors").write_bytes(weights)
    open_predictor("cells-unet", tmp_path, runtime="onnx")
    (models / "seed0.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    with pytest.raises(BakeoffError, match=r"seed0\.onnx is of other weights than .*: run `bakeoff export cells-unet`"):
        open_predictor("cells-unet", tmp_path, runtime="onnx")


def test_eight_bits_are_asked_for_by_name(exports: Path, tmp_path: Path) -> None:
    for name in ("params.yaml", "data"):
        (tmp_path / name).symlink_to(exports / name)
    folder = tmp_path / "results" / "exports" / "cells-unet"
    shutil.copytree(exports / "results" / "exports" / "cells-unet", folder)
    pictures = open_prepared(exports / "data" / "prepared" / "cells").images
    quantise(folder / "seed0.onnx", folder / "seed0-int8.onnx", np.asarray(pictures[:8]))
    expected = OnnxNetwork.open(folder / "seed0-int8.onnx").masks(pictures)
    answers = open_predictor("cells-unet", tmp_path, runtime="onnx-int8").predict(pictures)
    assert np.array_equal(np.stack([each.mask for each in answers]), expected)
    (folder / "seed0.onnx").unlink()
    with pytest.raises(BakeoffError, match=r"seed0\.onnx: run `bakeoff export cells-unet`"):
        open_predictor("cells-unet", tmp_path, runtime="onnx")


def test_an_export_says_where_it_is_and_has_8_bits_where_the_configuration_says_so(
    exports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "clone"
    shutil.copytree(exports, root)
    shutil.rmtree(root / "results" / "exports")
    monkeypatch.chdir(root)

    def export(*words: str) -> list[str]:
        found = CliRunner().invoke(main, ["export", "cells-unet", *words], catch_exceptions=False)
        assert found.output.endswith("The networks of cells-unet are in results/exports/cells-unet.\n")
        return sorted(path.name for path in (root / "results" / "exports" / "cells-unet").iterdir())

    eight_bits = ["parity.json", "seed0-int8.onnx", "seed0.onnx"]
    assert export() == ["parity.json", "seed0.onnx"]
    assert export("--int8", "true") == eight_bits
    run("exports", "cells-unet")
    assert export() == ["parity.json", "seed0.onnx"]
    with pytest.raises(
        BakeoffError, match=r"`bakeoff set exports\.cells-unet\.int8=true` and `dvc repro export@cells-unet`"
    ):
        open_predictor("cells-unet", root, runtime="onnx-int8")
    run("set", "exports.cells-unet.int8=true")
    assert export() == eight_bits


def refused(*words: str) -> str:
    found = CliRunner().invoke(main, ["predict", *words])
    assert found.exit_code == 1, found.output
    return found.output


def test_a_command_without_images_says_what_to_type(clone: Path) -> None:
    words = "Name an experiment and images: bakeoff predict EXPERIMENT PATH... --out FOLDER."
    for asked in (
        ["cells-unet"],
        [],
        ["cells-unet", "--out=x"],
        ["--segment", "cells-unet", "--classify", "kinds-trees"],
    ):
        assert words in refused(*asked)


def test_the_command_line_takes_images_in_any_place(clone: Path, tmp_path: Path) -> None:
    one, two = (str(clone / "mine" / "images" / "dark" / f"{number:03}.png") for number in (2, 4))
    pair = ["--segment", "cells-unet", "--classify", "kinds-trees"]
    for words in ([*pair, one, two], [one, two, *pair], [one, *pair, two]):
        out = tmp_path / str(len(list(tmp_path.iterdir())))
        run("predict", *words, "--out", str(out))
        with (out / "predictions.csv").open() as file:
            assert [row["file"] for row in csv.DictReader(file)] == [one, two]
    assert "Name one experiment, or two in a row" in refused("--segment", "cells-unet", one, "--out", str(tmp_path))
    assert "Say where the answers go: --out FOLDER" in refused("cells-unet", one)


def test_the_command_line_answers_about_the_others_and_exits_with_1(clone: Path, tmp_path: Path) -> None:
    good, broken = clone / "mine" / "images" / "dark" / "002.png", tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    said = refused("cells-otsu", str(broken), str(good), "--out", str(tmp_path / "out"), "--json")
    assert f"bakeoff:   {broken}: it is damaged, or no picture" in said
    [line] = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    assert json.loads(line)["file"] == str(good)


@pytest.mark.parametrize("json_lines", [False, True])
def test_a_name_that_is_no_utf_8_is_escaped(clone: Path, tmp_path: Path, json_lines: bool) -> None:
    picture, broken = (tmp_path / os.fsdecode(name) for name in (b"caf\xe9.png", b"x\xe9.png"))
    picture.write_bytes((clone / "mine" / "images" / "dark" / "002.png").read_bytes())
    broken.write_bytes(b"no image")
    out = tmp_path / "out"
    with pytest.raises(BakeoffError, match="1 of 2 files"):
        predict_pictures("cells-otsu", [str(picture), str(broken)], out, root=clone, json_lines=json_lines)
    table = (out / f"predictions.{'jsonl' if json_lines else 'csv'}").read_text(encoding="utf-8")
    assert r"caf\udce9.png" in table
    if json_lines:
        assert json.loads(table)["file"] == str(picture)
    assert list(json.loads((out / "about.json").read_text(encoding="utf-8"))["failures"]) == [str(broken)]


def test_a_table_that_cannot_be_written_is_a_sentence(clone: Path, tmp_path: Path) -> None:
    file = str(clone / "mine" / "images" / "dark" / "002.png")
    (tmp_path / "taken" / "predictions.csv").mkdir(parents=True)
    with pytest.raises(BakeoffError, match=r"predictions\.csv is a folder, and the table goes there"):
        ask(clone, tmp_path / "taken", "kinds-trees", [file])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))  # as good as a full disk
    try:
        with pytest.raises(BakeoffError, match=r"predictions\.csv cannot be written, the disk is full"):
            ask(clone, tmp_path / "full", "kinds-trees", [file])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "full").iterdir()) == []


def test_there_is_one_table(clone: Path, tmp_path: Path) -> None:
    file = str(clone / "mine" / "images" / "dark" / "002.png")
    for json_lines, name in ((False, "predictions.csv"), (True, "predictions.jsonl"), (False, "predictions.csv")):
        predict_pictures("kinds-trees", [file], tmp_path, root=clone, json_lines=json_lines)
        assert [path.name for path in tmp_path.glob("predictions.*")] == [name]


def test_one_broken_file_is_named_and_the_others_are_answered(clone: Path, tmp_path: Path) -> None:
    good, broken = clone / "mine" / "images" / "dark" / "002.png", tmp_path / "a.png"
    broken.write_bytes(b"no image")
    with pytest.raises(BakeoffError, match=r"(?s)1 of 2 files.*a\.png: it is damaged, or no picture"):
        predict_pictures("cells-otsu", [str(broken), str(good)], tmp_path / "out", root=clone, json_lines=True)
    (line,) = [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()]
    assert line["file"] == str(good)
    assert sum(line["area"].values()) == pytest.approx(1)
    assert (tmp_path / "out" / line["mask"]).is_file()
    assert list(json.loads((tmp_path / "out" / "about.json").read_text())["failures"]) == [str(broken)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("about.json", "masks", "overlays", "predictions.jsonl")
    ]


def test_answers_of_an_earlier_run_are_not_asked_about(clone: Path, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes((clone / "mine" / "images" / "dark" / "002.png").read_bytes())
    out = tmp_path / "out"
    for _ in range(2):
        assert len(ask(clone, out, "cells-otsu", [str(tmp_path)])) == 1
    with pytest.raises(BakeoffError, match=r"masks and .*overlays and .*objects aside\): check the path"):
        ask(clone, out, "cells-otsu", [str(out)])
    # Images that lie where the answers go are asked about, and an earlier answer where it is named.
    for _ in range(2):
        assert [row["file"] for row in ask(clone, tmp_path, "cells-otsu", [str(tmp_path / "*.png")])] == [
            str(tmp_path / "x.png")
        ]
    overlay = str(tmp_path / "overlays" / "x.jpg")
    rows = ask(clone, tmp_path, "cells-otsu", [str(tmp_path / "x.png"), overlay])
    assert [row["file"] for row in rows] == [overlay, str(tmp_path / "x.png")]


@pytest.fixture
def evaluated(clone: Path) -> Iterator[Path]:
    """The `separation.json` of the cells, whose masks are now said to tell objects apart."""
    before = (clone / "params.yaml").read_text()
    config = yaml.safe_load(before)
    config["folders"]["cells"]["objects"] = True
    (clone / "params.yaml").write_text(yaml.safe_dump(config))
    file = clone / "results" / "evaluation" / "cells" / "separation.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    yield file
    (clone / "params.yaml").write_text(before)
    file.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("experiment", "words"), [("cells-unet", {}), (None, {"segment": "cells-unet", "classify": "kinds-trees"})]
)
def test_objects_are_numbered_and_counted(
    clone: Path, evaluated: Path, tmp_path: Path, experiment: str | None, words: dict[str, str]
) -> None:
    evaluated.write_text('{"height": 0.5, "classes": [1], "least_area": 1}')
    files = [str(file) for file in files_tested(clone).values()]
    rows = ask(clone, tmp_path, experiment, files, **words)
    counts = {int(row["objects"]) for row in rows}
    assert len(counts) > 1
    for row in rows:
        with Image.open(tmp_path / row["object_mask"]) as image:
            assert image.mode == "I;16"
            numbers = np.asarray(image)
        mask = np.asarray(Image.open(tmp_path / row["mask"]))
        assert ((numbers > 0) == (mask > 0)).all(), "all images are larger than the prepared ones"
        assert len(np.unique(numbers[numbers > 0])) == int(row["objects"]) == numbers.max()
    about = json.loads((tmp_path / "about.json").read_text())
    assert about["separation"] == {"height": 0.5, "classes": [1], "least_area": 1}


def test_a_count_is_that_of_the_evaluation(clone: Path, evaluated: Path, tmp_path: Path) -> None:
    evaluated.write_text('{"height": null, "classes": [1], "least_area": 1}')
    files, masks = files_tested(clone), recorded(clone, "cells-unet")
    rows = {row["file"]: row for row in ask(clone, tmp_path, "cells-unet", [str(file) for file in files.values()])}
    for id_, file in files.items():
        assert int(rows[str(file)]["objects"]) == Separation(None, (1,)).objects(masks[id_]).max()


@pytest.mark.parametrize(("content", "said"), [(None, True), ("null", False)])
def test_without_an_evaluation_there_are_no_objects_and_a_command_is_named(
    clone: Path,
    evaluated: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    content: str | None,
    said: bool,
) -> None:
    if content:
        evaluated.write_text(content)
    (row,) = ask(clone, tmp_path, "cells-otsu", [str(next(iter(files_tested(clone).values())))])
    assert not {"objects", "object_mask"} & set(row)
    assert not (tmp_path / "objects").exists()
    assert ("told apart: run `dvc repro evaluate@cells`" in caplog.text) == said


def test_a_damaged_separation_is_refused(clone: Path, evaluated: Path, tmp_path: Path) -> None:
    evaluated.write_text('{"distance": 3}')
    with pytest.raises(BakeoffError, match=r"separation.json is damaged: run `dvc repro --force evaluate@cells`"):
        ask(clone, tmp_path, "cells-otsu", [str(next(iter(files_tested(clone).values())))])


def predictor_of(geometry: Geometry) -> Any:
    return SimpleNamespace(geometry=geometry, mask_classes=["ground", "cell", "debris"])


def test_objects_are_brought_to_the_size_of_the_image_and_not_told_apart_again() -> None:
    mask = np.zeros((6, 9), np.uint8)
    mask[1:5, 1:4], mask[1:5, 5:8], mask[2, 4] = 1, 1, 1
    separation = Separation(0.5, (1, 2))
    large = resize_classes(mask, (60, 90))
    found = find_objects(separation, predictor_of(Geometry("stretch", 6, 9)), mask, large)
    assert found.counts == {"cell": 2, "debris": 0}
    assert found.words == "2 objects: 2 cell, 0 debris"
    assert Objects(found.numbers, {"cell": 1}).words == "1 object"
    assert ((found.numbers > 0) == (large == 1)).all(), "the outline is that of the mask, without stairs"
    assert found.numbers[30, 20] != found.numbers[30, 65] > 0
    assert [label(found.numbers == each).max() for each in (1, 2)] == [1, 1]
    # Of an image that is smaller than the masks an object may have no pixel, and is counted all the same.
    small = find_objects(separation, predictor_of(Geometry("stretch", 6, 9)), mask, resize_classes(mask, (1, 1)))
    assert small.counts["cell"] == 2


def test_objects_keep_clear_of_pads_and_edges() -> None:
    mask = np.full((8, 8), VOID, np.uint8)
    mask[2:6] = 0
    mask[2:6, 1:3], mask[2:4, 5:7] = 1, 2
    separation = Separation(None, (1, 2))
    pad = predictor_of(Geometry("pad", 8, 8))
    restored = pad.geometry.restored(mask, 8, 16, resize_classes)
    found = find_objects(separation, pad, mask, restored)
    assert found.counts == {"cell": 1, "debris": 1}
    assert ((found.numbers > 0) == (restored > 0)).all()
    crop = predictor_of(Geometry("crop", 8, 8))
    cut = np.where(mask == VOID, 0, mask)
    restored = crop.geometry.restored(cut, 8, 16, resize_classes)
    found = find_objects(separation, crop, cut, restored)
    assert found.numbers[:, :4].max() == found.numbers[:, 12:].max() == 0, "what crop cut away was not looked at"
    assert ((found.numbers > 0) == ((restored > 0) & (restored != VOID))).all()


def test_more_objects_than_16_bits_can_number_are_counted_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "objects").mkdir()
    numbers = np.arange(66_000, dtype=np.int32).reshape(220, 300)
    assert write_objects(tmp_path, "x", Objects(numbers % 65_536, {"cell": 65_535}))["object_mask"] == "objects/x.png"
    with Image.open(tmp_path / "objects" / "x.png") as image:
        assert np.asarray(image).max() == 65_535
    found = write_objects(tmp_path, "x", Objects(numbers, {"cell": 65_000, "debris": 999}))
    assert found == {"objects": {"cell": 65_000, "debris": 999}, "object_mask": None}
    assert not (tmp_path / "objects" / "x.png").exists()
    assert "it can number 65535 objects, and there are 65999" in caplog.text


def test_the_columns_of_several_classes(tmp_path: Path) -> None:
    place = SimpleNamespace(mask_classes=["ground", "cell", "debris"], classes=[], target=None)
    with (tmp_path / "table.csv").open("w") as file:
        write = _csv_writer(file, place, Separation(None, (1, 2)))
        write({"file": "x", "objects": {"cell": 3, "debris": 1}})
    (row,) = csv.DictReader((tmp_path / "table.csv").open())
    assert (row["objects_cell"], row["objects_debris"], row["object_mask"]) == ("3", "1", "")


def test_every_object_has_an_outline() -> None:
    mask, numbers = np.ones((3, 8), np.uint8), np.repeat([[1] * 4 + [2] * 4], 3, axis=0)
    drawn = outlined(np.zeros((3, 8, 3), np.uint8), mask, 0, numbers)
    assert drawn.any(axis=2).tolist()[1] == [True, False, False, True, True, False, False, True]


def test_large_pictures_do_not_wait_for_each_other() -> None:
    def opened(pixels: int) -> _Opened:
        return _Opened(Path("x"), "x", 1, pixels, np.zeros(0), np.zeros(pixels, np.uint8), None)

    sizes = [[each.width for each in some] for some in _batches(map(opened, [3, 3, 30, 1, 1, 1, 1]), 3, 20)]
    assert sizes == [[3, 3, 30], [1, 1, 1], [1]]
    assert MAXIMUM_PIXELS * 3 < 2**31


def test_a_patient_s_image_comes_with_a_warning(clone: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert medical_note({"patients": True}) == NO_MEDICAL_DEVICE
    config = yaml.safe_load((clone / "params.yaml").read_text())
    config["datasets"]["cells"] = {**config["datasets"]["lungs"]}
    config["folders"] = {}
    root = tmp_path / "clone"
    root.mkdir()
    config["tasks"] = {"cells": {**config["tasks"]["cells"], "split": {**SPLIT, "stratify": []}}}
    config["experiments"] = {"baselines": {}, "networks": {"cells-unet": SEGMENTER}}
    (root / "params.yaml").write_text(yaml.safe_dump({**config, "predicted_masks": {}, "derived": {}}))
    (root / "results").symlink_to(clone / "results")
    ask(root, tmp_path / "out", "cells-unet", [str(clone / "mine" / "images" / "dark" / "002.png")])
    assert NO_MEDICAL_DEVICE in caplog.text
    assert json.loads((tmp_path / "out" / "about.json").read_text())["note"] == NO_MEDICAL_DEVICE


def blobs(count: int, seed: int, *, invert: bool = False) -> np.ndarray:
    """Dim pictures of a bright spot in the middle, of varying brightness and noise; or their negatives."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:32, :32]
    spot = np.exp(-((rows - 16) ** 2 + (columns - 16) ** 2) / 60)
    levels = rng.uniform(30, 60, (count, 1, 1)) + 120 * spot + rng.normal(0, 8, (count, 32, 32))
    pictures = levels.clip(0, 255).astype(np.uint8)[..., None]
    return 255 - pictures if invert else pictures


def whole(images: np.ndarray) -> Geometry:
    return Geometry("stretch", *images.shape[1:3])


def test_negatives_are_out_of_distribution_and_few_images_of_the_same_kind_are() -> None:
    images = blobs(500, 0)
    detector = parse_detector(json.loads(json.dumps(fit_detector(images, range(200), range(200, 500), whole(images)))))
    assert (detector.scores(blobs(300, 1)) > THRESHOLD).mean() < 0.04
    assert (detector.scores(blobs(50, 2, invert=True)) > THRESHOLD).all()
    share = detector.scores(images[200:500])
    assert sorted(share.round(6)) == pytest.approx(np.arange(300) / 300, abs=0.01), "uniform over the held-out images"


def test_the_distance_is_the_shrunk_mahalanobis_distance_of_scikit_learn() -> None:
    from sklearn.covariance import LedoitWolf
    from sklearn.preprocessing import StandardScaler

    images = np.repeat(blobs(80, 0), 3, axis=-1)
    images[..., 1] //= 2
    images[::3, ..., 2] //= 3
    scaler = StandardScaler().fit(descriptors(images[:60]))
    scaler.scale_ = np.maximum(scaler.scale_, 1e-3)
    reference = LedoitWolf(assume_centered=True).fit(scaler.transform(descriptors(images[:60])))
    expected = np.sqrt(reference.mahalanobis(scaler.transform(descriptors(images))))
    detector = parse_detector(fit_detector(images, range(60), range(60, 80), whole(images)))
    assert descriptors(images).shape == (80, 70)
    assert detector.distances(images) == pytest.approx(expected, rel=1e-3)


def test_a_detector_is_the_same_from_a_memory_map_and_in_any_batch(tmp_path: Path) -> None:
    images = blobs(60, 0)
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    rows = np.random.default_rng(0).permutation(60)
    fitted = fit_detector(mapped, rows[:40], rows[40:], whole(images))
    assert fitted == fit_detector(images, rows[:40].tolist(), rows[40:].tolist(), whole(images))
    detector = parse_detector(fitted)
    assert fitted["held_out"] == pytest.approx(np.sort(detector.distances(images[rows[40:]])), rel=1e-5)


def test_the_out_of_distribution_score_is_written_beside_the_answer(clone: Path, tmp_path: Path) -> None:
    data = open_prepared(clone / "data" / "prepared" / "cells")
    fold = read_folds(clone / "data" / "splits" / "cells.csv", data)[0]
    path = clone / "results" / "evaluation" / "cells" / "out_of_distribution.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(fit_detector(data.pictures, fold.train, fold.validation, data.geometry)))
    Image.fromarray(np.eye(20, dtype=np.uint8) * 255).save(tmp_path / "stripe.png")
    try:
        files = [str(tmp_path / "stripe.png"), *map(str, files_tested(clone).values())]
        rows = {Path(row["file"]).name: row for row in ask(clone, tmp_path / "out", "cells-otsu", files)}
        assert rows["stripe.png"]["out_of_distribution"] == "true"
        assert float(rows["stripe.png"]["out_of_distribution_score"]) == 1
        assert any(row["out_of_distribution"] == "false" for row in rows.values())
        path.write_text(json.dumps({**json.loads(path.read_text()), "size": [SIDE, SIDE + 1]}))
        with pytest.raises(BakeoffError, match=r"out_of_distribution\.json was made of pictures of another geometry"):
            ask(clone, tmp_path / "out", "cells-otsu", files)
        path.write_text("{")
        with pytest.raises(BakeoffError, match=r"out_of_distribution\.json cannot be read"):
            read_detector(path)
    finally:
        path.unlink()
    assert ask(clone, tmp_path / "out", "cells-otsu", files[1:2])[0]["out_of_distribution"] == ""
