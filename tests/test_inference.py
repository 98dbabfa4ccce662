"""Whatever is asked of an image that the evaluation tested, the answer is the one that it recorded."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from bakeoff.cli import main
from bakeoff.datasets.decode import MAXIMUM_PIXELS
from bakeoff.datasets.prepared import open_prepared, read_folds
from bakeoff.errors import BakeoffError
from bakeoff.inference import NO_MEDICAL_DEVICE, medical_note
from bakeoff.inference.command import _batches, _Opened, predict_pictures
from bakeoff.inference.likeness import UNLIKE, describe, fit_likeness, parse_likeness, read_likeness
from bakeoff.inference.pictures import open_picture
from bakeoff.inference.predictors import CascadePredictor, open_predictor
from bakeoff.models import unet
from bakeoff.predictions import read_predictions, read_probabilities
from bakeoff.training.saved import Description, save_network
from click.testing import CliRunner
from PIL import ExifTags, Image

BOOK = Path(__file__).resolve().parent.parent / "params.yaml"
SIDE, COUNT = 16, 24
UNET = {"channels": [4, 8], "norm": "batch"}
NETWORK = {"dataset": "cells", "recipe": "from-scratch"}
ON_INPUT = {**NETWORK, "task": "kinds", "model": "resnet50_classifier", "weights": "resnet50", "settings": {}}
SPLIT = {"name": "stratified", "train": 0.5, "validation": 0.2, "test": 0.3, "stratify": ["class"], "seed": 0}
REGION = {"dataset": "cells", "kind": "region", "keep": "masked", "margin": 0.0}
EXPERIMENTS: dict[str, dict[str, Any]] = {
    "thresholds": {
        "cells-otsu": {"dataset": "cells", "task": "cells", "method": "otsu", "foreground": "train"},
        "cells-three": {
            **{"dataset": "cells", "task": "cells", "method": "multiotsu"},
            **{"classes": 3, "foreground": "bright"},
        },
        "cells-bound": {"dataset": "cells", "task": "cells", "method": "otsu", "foreground": "oracle"},
    },
    "networks": {"cells-unet": {**NETWORK, "task": "cells", "model": "unet", "settings": UNET}},
    "pretrained": {},
    "classical": {
        "kinds-trees": {
            **{"dataset": "cells", "task": "kinds", "method": "random-forest", "features": "grey", "side": 8},
            "settings": {"n_estimators": 5},
        }
    },
    "classifiers": {},
    "on_inputs": {
        "kinds-drawn": {**ON_INPUT, "input": "cells-drawn"},
        "kinds-true": {**ON_INPUT, "input": "cells-true"},
    },
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


def write_book(root: Path) -> None:
    book = yaml.safe_load(BOOK.read_text())
    book["folders"] = {
        "cells": {
            **{"path": "mine", "size": SIDE, "channels": 1, "classes": ["background", "cell"]},
            "duplicates": {"distance": 0},
        }
    }
    book["inputs"] = {"cells-true": {**REGION, "mask": "true", "seed": 0}}
    segmenter = {"experiment": "cells-unet", "task": "cells", "model": "unet"}
    book["predicted_inputs"] = {"cells-drawn": {**REGION, "task": "kinds", "segmenter": segmenter}}
    book["tasks"] = {
        "cells": {"dataset": "cells", "kind": "segmentation", "split": SPLIT},
        "kinds": {"dataset": "cells", "kind": "classification", "target": "class", "split": SPLIT},
    }
    book["experiments"] = EXPERIMENTS
    (root / "params.yaml").write_text(yaml.safe_dump(book))


def write_networks(root: Path) -> None:
    """Networks of random weights, as `fit` leaves them."""
    torch.manual_seed(0)
    segmenter = unet.build(1, 1, **UNET)
    with torch.no_grad():  # batch norms that have seen something
        segmenter.train()(torch.randn(8, 1, SIDE, SIDE))
    common = {"size": SIDE, "precision": "fp32"}
    masks = Description("unet", UNET, 1, ["background", "cell"], None, mean=[0.5], std=[0.25], **common)
    kinds = Description(
        "mean_colours", {}, 3, ["bright", "dark"], "class", mean=[0.4, 0.5, 0.6], std=[0.2] * 3, **common
    )
    trained = [("cells-unet", segmenter, masks)]
    trained += [(name, MeanColours(3, 1), kinds) for name in EXPERIMENTS["on_inputs"]]
    record = {
        "seed": 0,
        "fold": 0,
        "parameters": 1,
        "parameters_trainable": 1,
        "training_seconds": 1.0,
        "weights": None,
    }
    for name, network, description in trained:
        models = root / "results" / "models" / name
        models.mkdir(parents=True)
        save_network(models / "seed0.safetensors", network.state_dict(), description)
        (models / "seed0.json").write_text(json.dumps({**record, "peak_memory_mib": 1.0}))


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
        write_book(root)
        for words in ("pack cells", "prepare cells", "split cells", "split kinds"):
            run(*words.split())
        write_networks(root)
        for name in EXPERIMENTS["thresholds"]:
            run("threshold", name)
        run("fit", "kinds-trees")
        run("predict", "cells-unet")
        run("predicted", "cells-drawn")
        run("input", "cells-true")
        for name in ("kinds-trees", "kinds-drawn", "kinds-true"):
            run("predict", name)
        yield root


def files_tested(root: Path) -> dict[str, Path]:
    """The very files that were tested, by id, in the order of the index."""
    data = open_prepared(root / "data" / "prepared" / "cells")
    rows = read_folds(root / "data" / "splits" / "cells.csv", data)[0].test
    index = data.index.iloc[rows]
    return {str(row.id): root / "mine" / str(row.source) for row in index.itertuples()}


def ask(root: Path, out: Path, experiment: str | None, files: list[str], **options: Any) -> list[dict[str, str]]:
    predict_pictures(experiment, files, out, root=root, **{"as_stored": True, **options})
    with (out / "predictions.csv").open() as file:
        return list(csv.DictReader(file))


def recorded(root: Path, experiment: str) -> dict[str, Any]:
    """By id what the evaluation has: a mask, or the probabilities."""
    folder = root / "results" / "experiments" / experiment
    if (folder / "seed0" / "masks.npy").is_file():
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


def test_masks_are_as_large_as_their_images_and_upright(clone: Path, tmp_path: Path) -> None:
    turned = clone / "mine" / "images" / "dark" / "000.png"
    stored = open_picture(turned, 1, upright=False).shape[:2]
    for as_stored, shape in ((True, stored), (False, stored[::-1])):
        rows = ask(clone, tmp_path, "cells-unet", [str(turned)], as_stored=as_stored)
        assert (int(rows[0]["height"]), int(rows[0]["width"])) == shape
        for key in ("mask", "overlay"):
            with Image.open(tmp_path / rows[0][key]) as image:
                assert image.size == shape[::-1]


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
    with pytest.raises(BakeoffError, match=r"(?s)1 of .*holds 0 masks of that name"):
        ask(clone, tmp_path / "out", "kinds-true", [*map(str, files.values())], masks=masks)


def test_without_its_true_masks_an_experiment_is_refused(clone: Path) -> None:
    with pytest.raises(BakeoffError, match=r"--masks FOLDER"):
        open_predictor("kinds-true", clone)
    with pytest.raises(BakeoffError, match="truth seen"):
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
    handed = given.predict(pictures, otsu)
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
        ({"experiment": "kinds-true", "runtime": "onnx", "masks": Path("mine")}, "run the stage that exports first"),
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


def test_onnx_runtime_answers_alike_without_torch(clone: Path, tmp_path: Path) -> None:
    run("export", "cells-unet")
    files = [*map(str, files_tested(clone).values())]
    ask(clone, tmp_path / "torch", "cells-unet", files)
    program = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'pandas', 'sklearn', 'matplotlib')))\n"
        "from pathlib import Path; from bakeoff.inference.command import predict_pictures\n"
        "predict_pictures('cells-unet', sys.argv[2:], Path(sys.argv[1]), runtime='onnx', as_stored=True)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "onnx"), *files], cwd=clone, check=True)
    for mask in (tmp_path / "torch" / "masks").iterdir():
        with Image.open(mask) as one, Image.open(tmp_path / "onnx" / "masks" / mask.name) as other:
            assert np.array_equal(np.asarray(one), np.asarray(other))


def test_one_broken_file_is_named_and_the_others_are_answered(clone: Path, tmp_path: Path) -> None:
    good, broken = clone / "mine" / "images" / "dark" / "002.png", tmp_path / "a.png"
    broken.write_bytes(b"no image")
    with pytest.raises(BakeoffError, match=r"(?s)1 of 2 files.*a\.png: cannot identify"):
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
    for _ in range(2):
        assert len(ask(clone, tmp_path / "out", "cells-otsu", [str(tmp_path)])) == 1
    with pytest.raises(BakeoffError, match="choose another --out"):
        ask(clone, tmp_path, "cells-otsu", [str(tmp_path)])


def test_large_pictures_do_not_wait_for_each_other() -> None:
    def opened(pixels: int) -> _Opened:
        return _Opened(Path("x"), "x", 1, pixels, np.zeros(0), np.zeros(pixels, np.uint8), None)

    sizes = [[each.width for each in some] for some in _batches(map(opened, [3, 3, 30, 1, 1, 1, 1]), 3, 20)]
    assert sizes == [[3, 3, 30], [1, 1, 1], [1]]
    assert MAXIMUM_PIXELS * 3 < 2**30


def test_a_patient_s_image_comes_with_a_warning(clone: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert medical_note("lungs") == medical_note("ultrasound") == NO_MEDICAL_DEVICE
    assert medical_note("pets") == medical_note(None) == ""
    book = yaml.safe_load((clone / "params.yaml").read_text())
    book["datasets"]["cells"] = {**book["datasets"]["lungs"]}
    book["folders"] = {}
    root = tmp_path / "clone"
    root.mkdir()
    (root / "params.yaml").write_text(
        yaml.safe_dump(
            {**book, "inputs": {}, "predicted_inputs": {}}
            | {
                "tasks": {"cells": {**book["tasks"]["cells"], "split": {**SPLIT, "stratify": []}}},
                "experiments": {family: {} for family in EXPERIMENTS} | {"networks": EXPERIMENTS["networks"]},
            }
        )
    )
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


def test_likeness_tells_negatives_and_calls_few_of_its_own_unlike() -> None:
    images = blobs(500, 0)
    likeness = parse_likeness(json.loads(json.dumps(fit_likeness(images, range(200), range(200, 500)))))
    assert (likeness.farther(blobs(300, 1)) < UNLIKE).mean() < 0.04
    assert (likeness.farther(blobs(50, 2, invert=True)) < UNLIKE).all()
    share = likeness.farther(images[200:500])
    assert sorted(share.round(6)) == pytest.approx((np.arange(300) + 1) / 300, abs=0.01), "shares of itself: uniform"


def test_likeness_is_the_shrunk_mahalanobis_distance_of_scikit_learn() -> None:
    from sklearn.covariance import LedoitWolf
    from sklearn.preprocessing import StandardScaler

    images = np.repeat(blobs(80, 0), 3, axis=-1)
    images[..., 1] //= 2
    images[::3, ..., 2] //= 3
    scaler = StandardScaler().fit(describe(images[:60]))
    scaler.scale_ = np.maximum(scaler.scale_, 1e-3)
    reference = LedoitWolf(assume_centered=True).fit(scaler.transform(describe(images[:60])))
    expected = np.sqrt(reference.mahalanobis(scaler.transform(describe(images))))
    likeness = parse_likeness(fit_likeness(images, range(60), range(60, 80)))
    assert describe(images).shape == (80, 70)
    assert likeness.distances(images) == pytest.approx(expected, rel=1e-3)


def test_likeness_is_written_beside_the_answer(clone: Path, tmp_path: Path) -> None:
    data = open_prepared(clone / "data" / "prepared" / "cells")
    fold = read_folds(clone / "data" / "splits" / "cells.csv", data)[0]
    path = clone / "results" / "audits" / "cells-likeness.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(fit_likeness(data.images, fold.train, fold.validation)))
    Image.fromarray(np.eye(20, dtype=np.uint8) * 255).save(tmp_path / "stripe.png")
    try:
        files = [str(tmp_path / "stripe.png"), *map(str, files_tested(clone).values())]
        rows = {Path(row["file"]).name: row for row in ask(clone, tmp_path / "out", "cells-otsu", files)}
        assert rows["stripe.png"]["unlike"] == "true"
        assert float(rows["stripe.png"]["farther"]) == 0
        assert any(row["unlike"] == "false" for row in rows.values())
        path.write_text("{")
        with pytest.raises(BakeoffError, match=r"cells-likeness\.json cannot be read"):
            read_likeness(path)
    finally:
        path.unlink()
    assert ask(clone, tmp_path / "out", "cells-otsu", files[1:2])[0]["unlike"] == ""
