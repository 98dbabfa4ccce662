"""One `bakeoff add` of each real folder, without a flag: it comes in right, or one sentence says what is wanting."""

import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from bakeoff.cli import main
from bakeoff.config import read_config
from click.testing import CliRunner, Result

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.real
BACKGROUND = "background"


@pytest.fixture(scope="module")
def unpacked(own_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cases, a folder each."""
    folder = tmp_path_factory.mktemp("own")
    with zipfile.ZipFile(own_images / "cases.zip") as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(path: Path, *flags: str) -> Result:
    return CliRunner().invoke(main, ["add", str(path), "--name", "mine", "--no-pretrained", *flags])


def came_in(result: Result) -> dict[str, Any]:
    """The entries of a folder that was taken in; what it says of itself stands in `said`."""
    assert result.exit_code == 0, result.output
    assert Path("add-mine.png").is_file()
    config = read_config()
    folder = config.folders["mine"].model_dump()
    return {**folder, "task": config.task("mine"), "said": result.output, "baselines": config.experiments.baselines}


def refused(result: Result) -> str:
    """One sentence, and nothing is written."""
    assert result.exit_code == 1
    assert result.output.startswith("bakeoff: ")
    assert result.output.count("\n") == 1
    assert Path("params.yaml").read_bytes() == (ROOT / "params.yaml").read_bytes()
    return result.output


def test_nuclei(project: Path, own_images: Path) -> None:
    found = came_in(run(own_images / "nuclei.zip"))
    assert found["objects"]
    assert list(found["classes"].values()) == [0, 255]
    assert found["background"] == BACKGROUND
    assert found["channels"] == 3
    assert ": 72 images" in found["said"]
    assert "3352 masks" in found["said"]
    assert "256 x 256 (40)" in found["said"]


def test_insects(project: Path, own_images: Path) -> None:
    found = came_in(run(own_images / "insects.zip"))
    assert found["classes"] == ["ants", "bees"]
    assert found["task"]["split"]["test"] == ["validation"]
    assert ".DS_Store" in found["said"]


def test_street_with_its_void_level_and_no_background(project: Path, own_images: Path) -> None:
    found = came_in(run(own_images / "street.zip", "--ignore", "11", "--background", "none"))
    assert list(found["classes"].values()) == list(range(11))
    assert (found["background"], found["ignore"]) == ("none", [11])
    assert (found["task"]["split"]["test"], found["task"]["split"]["validation"]) == (["test"], ["validation"])
    assert "90 train, 30 validation, 45 test" in found["said"]


@pytest.mark.parametrize(
    ("case", "images", "levels"),
    [
        ("palette-masks", 20, [0, 1]),
        ("mask-suffix", 20, [0, 255]),
        ("rgb16", 3, [0, 255]),
        ("white-is-zero-16bit", 12, [0, 255]),
    ],
)
def test_masks(project: Path, unpacked: Path, case: str, images: int, levels: list[int]) -> None:
    found = came_in(run(unpacked / case))
    assert list(found["classes"].values()) == levels
    assert not found["objects"]
    assert f": {images} images" in found["said"]


@pytest.mark.parametrize("case", ["object-numbers-8bit", "object-numbers-16bit"])
def test_numbers_of_objects_are_objects_of_one_class(project: Path, unpacked: Path, case: str) -> None:
    found = came_in(run(unpacked / case))
    assert found["objects"]
    assert len(found["classes"]) == 2


@pytest.mark.parametrize(
    ("case", "classes", "images"),
    [
        ("class-names-0-1", ["0", "1"], 24),
        ("train-val-classes", ["cats", "dogs"], 36),
        ("system-folders", ["a", "b"], 20),
        ("same-stem", ["a", "b"], 48),
    ],
)
def test_classes(project: Path, unpacked: Path, case: str, classes: list[str], images: int) -> None:
    found = came_in(run(unpacked / case))
    assert found["classes"] == classes
    assert f": {images} images" in found["said"]
    assert (found["task"]["split"]["name"] == "by-label") == (case == "train-val-classes")
    assert ("@eaDir" in found["said"]) == (case == "system-folders")


@pytest.mark.parametrize(("case", "split"), [("coco", False), ("labelme", False), ("yolo", True), ("voc", True)])
def test_annotations_of_the_same_objects(project: Path, unpacked: Path, case: str, split: bool) -> None:
    found = came_in(run(unpacked / case))
    assert found["format"] == case
    assert found["objects"]
    assert len(found["classes"]) == 3
    assert (found["task"]["split"]["name"] == "by-label") == split
    if case != "voc":  # which has numbers and no names
        assert set(found["classes"]) == {BACKGROUND, "nucleus", "debris"}


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("void", "--ignore 11"),
        ("orientation-tag", "--orientation upright"),
        ("mask-in-alpha", "transparency"),
        ("fixed-camera", "as frames of one camera are, and a split keeps such together: --split random"),
        ("eps-named-jpg", "photo.jpg is no image that can be read"),
    ],
)
def test_the_rest_is_one_sentence(project: Path, unpacked: Path, case: str, said: str) -> None:
    assert said in refused(run(unpacked / case))


def test_the_flags_that_the_sentences_name_are_enough(project: Path, unpacked: Path) -> None:
    assert came_in(run(unpacked / "void", "--ignore", "11"))["ignore"] == [11]
    CliRunner().invoke(main, ["remove", "mine"])
    assert came_in(run(unpacked / "fixed-camera", "--split", "random"))["task"]["split"]["name"] == "random"
    CliRunner().invoke(main, ["remove", "mine"])
    assert came_in(run(unpacked / "orientation-tag", "--orientation", "as-stored"))["orientation"] == "as-stored"
