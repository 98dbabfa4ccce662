"""`bakeoff add`: what it makes of drawn folders, what it asks and writes; suites, their estimate; `bakeoff check`."""

import io
import shutil
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from bakeoff.adding.command import add
from bakeoff.adding.estimate import Machine, duration, estimate
from bakeoff.adding.flags import parse_classes, parse_ignore
from bakeoff.adding.listing import said_suites
from bakeoff.adding.looking import has_colour
from bakeoff.adding.sheet import class_mask
from bakeoff.adding.suites import choose, read_suites
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.geometry import Geometry
from bakeoff.artefacts.void import VOID
from bakeoff.cli import main
from bakeoff.config import read_config, set_values
from bakeoff.config.own_names import wrong_name, wrong_path
from bakeoff.config.restricting import remove_own
from bakeoff.config.schema import Folder
from bakeoff.datasets.archives.tree import open_tree
from bakeoff.datasets.formats import read_folder
from bakeoff.datasets.formats.reading import Choices
from bakeoff.datasets.preparation.decode import header
from bakeoff.weights.at_hand import find_weights
from click.testing import CliRunner
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
SIDE = 48
FLAGS = (
    *("name", "task", "format", "images", "masks", "mask_suffix", "classes", "background", "ignore", "objects"),
    *("threshold", "orientation", "split", "group", "labels", "channels", "size", "geometry", "suite", "pretrained"),
    *("empty_masks", "levels"),
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the project's configuration, which is the current one; beside it, `images` is free."""
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copy(ROOT / "params.yaml", folder)
    monkeypatch.chdir(folder)
    return folder


def encoded(pixels: np.ndarray, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format, **options)
    return buffer.getvalue()


def picture(seed: int, *, grey: bool = False, side: int = SIDE, format: str = "PNG", **options: Any) -> bytes:
    shape = (side, side) if grey else (side, side, 3)
    return encoded(np.random.default_rng(seed).integers(0, 255, shape, dtype=np.uint8), format, **options)


def mask(*levels: int, side: int = SIDE) -> bytes:
    """Level 0, and a stripe of each other level."""
    pixels = np.zeros((side, side), np.uint8)
    for place, level in enumerate(levels):
        pixels[4 + 8 * place : 10 + 8 * place, 4:20] = level
    return encoded(pixels)


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def pairs(*levels: int, count: int = 10) -> dict[str, bytes]:
    images = {f"images/{number}.png": picture(number) for number in range(count)}
    return {**images, **{f"masks/{number}.png": mask(*levels) for number in range(count)}}


def classes(*names: str, count: int = 6, folder: str = "") -> dict[str, bytes]:
    paths = [f"{folder}{name}/{number}.png" for name in names for number in range(count)]
    return {path: picture(zlib.crc32(path.encode())) for path in paths}  # no two alike


def added(path: Path | str, **options: Any) -> list[str]:
    """The lines of `bakeoff add`, networks from published weights left out so that no address is asked."""
    stated = {**dict.fromkeys(FLAGS), "dry_run": False, "pretrained": False, **options}
    return list(add(str(path), stated))


def refused(path: Path | str, **options: Any) -> str:
    """The sentence with which it is refused, and nothing is written."""
    before, sheets = Path("params.yaml").read_bytes(), set(Path().glob("add-*.png"))
    with pytest.raises(BakeoffError) as caught:
        added(path, **options)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith((".", ")."))
    assert Path("params.yaml").read_bytes() == before
    assert set(Path().glob("add-*.png")) == sheets
    return sentence


def folder_of(name: str) -> Folder:
    return read_config().folders[name]


# What is written


def test_images_and_masks_become_a_data_set_a_task_and_experiments(project: Path) -> None:
    lines = added(write(project.parent / "cells", pairs(255)))
    config = read_config()
    folder = config.folders["cells"].model_dump()
    assert {key: folder[key] for key in ("format", "images", "masks", "size", "channels", "objects", "ignore")} == {
        "format": "pairs",
        "images": "images/{id}",
        "masks": "masks/{id}",
        "size": 64,
        "channels": 3,
        "objects": False,
        "ignore": [],
    }
    assert list(folder["classes"].values()) == [0, 255]
    assert config.task("cells")["kind"] == "segmentation"
    assert list(config.baselines("cells")) == [f"cells-{each}" for each in ("otsu", "li", "triangle", "multiotsu3")]
    network = config.experiment("cells-unet-small")
    assert (network["weights"], network["recipe"], network["images"]) == ("none", "cells-scratch", "cells")
    assert lines[-2:] == [
        "  snakemake results/report/cells.html --cores 8 --resources gpu=1",
        "  dvc repro report@cells",
    ]
    with Image.open("add-cells.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.width > 400


@pytest.mark.parametrize("profile", ["sample", "small", "full"])
def test_own_networks_are_trained_as_written_at_every_profile(project: Path, profile: str) -> None:
    set_values([f"profile={profile}"])
    added(write(project.parent / "cells", pairs(255)))
    recipe = read_config().recipe("cells-scratch")
    assert (recipe["epochs"], recipe["patience"], recipe["class_weights"]) == (75, 30, "none")
    assert not read_config().shortens("cells")
    assert read_config().shortens("lungs") == (profile != "full")


def test_what_was_written_has_comments_and_is_taken_out_to_the_byte(project: Path) -> None:
    before = Path("params.yaml").read_bytes()
    added(write(project.parent / "cells", pairs(255)))
    text = Path("params.yaml").read_text()
    assert "  # cells, by bakeoff add; `bakeoff remove cells` takes out all that it wrote.\n  cells:\n" in text
    assert "    # Void: pixels without an answer.\n    ignore: []\n" in text
    remove_own("cells")
    assert Path("params.yaml").read_bytes() == before


def test_a_dry_run_shows_the_entries_and_writes_nothing(project: Path) -> None:
    before = Path("params.yaml").read_bytes()
    lines = added(write(project.parent / "cells", pairs(255)), dry_run=True)
    assert Path("params.yaml").read_bytes() == before
    assert not Path("add-cells.png").exists()
    shown = "\n".join(lines)
    written = shown[shown.index("folders:") :]
    added(project.parent / "cells")
    entries = Path("params.yaml").read_text()
    for line in written.splitlines():
        if line.strip() and not line.endswith(":"):
            assert line.strip() in entries


def test_every_decision_is_a_line_that_names_its_flag(project: Path) -> None:
    lines = added(write(project.parent / "cells", pairs(255)))
    flags = (
        *("task", "format", "name", "images", "masks", "empty-masks", "mask-suffix", "classes", "background", "ignore"),
        *("objects", "split", "group", "channels", "size", "geometry", "suite"),
    )
    for flag in flags:
        assert any(f"--{flag}" in line for line in lines), flag


def test_class_folders_are_a_classification_whatever_they_are_called(project: Path) -> None:
    added(write(project.parent / "digits", classes("0", "1")))
    config = read_config()
    assert config.folders["digits"].classes == ["0", "1"]
    assert config.task("digits")["target"] == "class"
    assert config.task("digits")["split"]["stratify"] == ["class"]
    assert config.recipe("digits-scratch")["class_weights"] == "balanced"


def test_classes_can_be_joined_and_left_out(project: Path) -> None:
    path = write(project.parent / "birds", classes("owl", "hawk", "duck", "map"))
    lines = added(path, classes="prey=duck,raptor=owl+hawk")
    assert folder_of("birds").classes == {"prey": "duck", "raptor": ["owl", "hawk"]}
    assert any("2 classes: prey = duck, raptor = [owl, hawk] (as typed)" in line for line in lines)
    added(path, classes="owl,hawk", name="two")
    assert folder_of("two").classes == ["hawk", "owl"]
    assert CliRunner().invoke(main, ["keep", "birds", "two"]).exit_code == 0
    assert checked() == ""


def test_names_alone_are_levels_of_masks(project: Path) -> None:
    added(write(project.parent / "cells", pairs(1, 2)), classes="background,nucleus,cell")
    assert folder_of("cells").classes == {"background": 0, "nucleus": 1, "cell": 2}


def test_a_split_of_the_folder_is_the_tasks(project: Path) -> None:
    files = {**classes("a", "b", folder="train/"), **classes("a", "b", folder="val/", count=3)}
    lines = added(write(project.parent / "two", files))
    split = read_config().task("two")["split"]
    assert (split["label"], split["train"], split["test"], split["validation"]) == (
        "split",
        ["train"],
        ["validation"],
        0.15,
    )
    assert any("validation is tested on, and 15% of train validates" in line for line in lines)
    added(write(project.parent / "three", {**files, **classes("a", "b", folder="test/", count=3)}))
    split = read_config().task("three")["split"]
    assert (split["test"], split["validation"]) == (["test"], ["validation"])
    added(project.parent / "three", name="drawn", split="none")
    assert read_config().task("drawn")["split"]["name"] == "stratified"


def test_a_zip_is_read_in_place(project: Path) -> None:
    path = project.parent / "my cells.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in pairs(255).items():
            archive.writestr(name, content)
    added(path)
    assert folder_of("my-cells").path == str(path)


def test_grey_images_have_one_channel(project: Path) -> None:
    files = pairs(255) | {f"images/{number}.png": picture(number, grey=True) for number in range(10)}
    added(write(project.parent / "grey", files))
    assert folder_of("grey").channels == 1
    added(project.parent / "grey", name="colour", channels="3")
    assert folder_of("colour").channels == 3


# Channels


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **{"photometric": "minisblack", **options})
    return buffer.getvalue()


def stacks(count: int, dtype: type = np.uint8, number: int = 10, **options: Any) -> dict[str, bytes]:
    """Images of so many planes, each ten times as bright as the one before, with masks."""
    rng = np.random.default_rng(count)
    bright = 100 * 10 ** np.arange(count).clip(max=2)[:, None, None] if dtype is np.uint16 else 60
    planes = [(rng.random((count, SIDE, SIDE)) * bright).astype(dtype) for _ in range(number)]
    images = {f"images/{name}.tif": tiff(each, **options) for name, each in enumerate(planes)}
    return {**images, **{f"masks/{name}.png": mask(255) for name in range(number)}}


@pytest.mark.parametrize("count", [2, 4, 5])
def test_images_keep_the_channels_that_they_have_and_levels_are_of_each(project: Path, count: int) -> None:
    path = write(project.parent / "cells", stacks(count, np.uint16, ome=True, metadata={"axes": "CYX"}))
    said = "\n".join(added(path))
    assert f"files: TIFF, I;16, axes C {count}, 16 bits a channel (10)" in said
    assert f"channels: {count} (the images have so many of their own, axes C {count}) [--channels]" in said
    assert "become black to white, by channel (percentiles 0.1 and 99.9 of 10 images" in said
    folder = folder_of("cells")
    assert folder.channels == count
    assert [high for _, high in folder.levels or []] == pytest.approx(
        [100, 1000, 10_000, 10_000, 10_000][:count], rel=0.02
    )
    added(path, name="typed", levels="0,4095", channels=str(count))
    assert folder_of("typed").levels == [0, 4095]
    pairs_of = [[place, 1000 + place] for place in range(count)]
    added(path, name="each", levels=",".join(f"{low},{high}" for low, high in pairs_of))
    assert folder_of("each").levels == pairs_of
    assert "it has" in refused(path, name="other", channels=str(count + 1))


def test_three_channels_that_are_no_colours_have_levels_of_their_own(project: Path) -> None:
    path = write(project.parent / "cells", stacks(3, np.uint16, metadata={"axes": "CYX"}))
    added(path)
    assert (folder_of("cells").channels, len(folder_of("cells").levels or [])) == (3, 3)
    planes = np.random.default_rng(0).integers(0, 4000, (10, SIDE, SIDE, 3), np.uint16)
    colours = {f"images/{name}.tif": tiff(each, photometric="rgb") for name, each in enumerate(planes)}
    added(write(project.parent / "colours", stacks(3) | colours))
    assert folder_of("colours").channels == 3
    assert folder_of("colours").levels == pytest.approx([0, 4000], abs=10)


def test_pages_of_which_nothing_is_said_are_asked_for(project: Path) -> None:
    path = write(project.parent / "cells", stacks(4, np.uint16, metadata=None))
    assert refused(path) == (
        "The images have 4 pages each, and do not say what they are: state --channels 4 if they are channels, or "
        "--channels 1 if the first is the image."
    )
    added(path, channels="4")
    assert (folder_of("cells").channels, len(folder_of("cells").levels or [])) == (4, 4)
    added(path, name="first", channels="1")
    assert folder_of("first").channels == 1
    assert folder_of("first").levels == pytest.approx([0, 100], abs=2)


def test_samples_beyond_rgb_are_asked_for_and_transparency_is_not(project: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (10, SIDE, SIDE, 4), np.uint8)
    masks = {f"masks/{name}.png": mask(255) for name in range(10)}

    def images(kind: str) -> dict[str, bytes]:
        return {f"images/{n}.tif": tiff(each, photometric="rgb", extrasamples=[kind]) for n, each in enumerate(pixels)}

    path = write(project.parent / "bands", {**images("unspecified"), **masks})
    assert refused(path) == (
        "The images have 4 channels, of which three are RGB, and do not say what the others are: state --channels 4 to "
        "use them, or --channels 3 to leave them out."
    )
    added(path, channels="4")
    assert folder_of("bands").channels == 4
    said = "\n".join(added(write(project.parent / "clear", {**images("unassalpha"), **masks})))
    assert "channels: 3, RGB (10 of 10 images looked at have colours; the fourth channel is transparency" in said
    assert folder_of("clear").channels == 3


def test_focal_planes_times_and_pages_that_differ_in_number_are_no_channels(project: Path) -> None:
    for axis in "ZT":
        path = write(project.parent / axis, stacks(5, metadata={"axes": f"{axis}YX"}))
        said = "\n".join(added(path))
        assert f"channels: 1, grey levels (0 of 10 images looked at have colours, axes {axis} 5; the first page" in said
        assert folder_of(axis).channels == 1
    files = {**stacks(4), **{name: each for name, each in stacks(5, number=3).items() if name.endswith("tif")}}
    added(write(project.parent / "frames", files))
    assert folder_of("frames").channels == 1


def test_images_of_different_channels_are_one_sentence(project: Path) -> None:
    files = stacks(4, metadata={"axes": "CYX"}) | {
        "images/9.tif": tiff(np.zeros((2, SIDE, SIDE), np.uint8), metadata={"axes": "CYX"})
    }
    files["images/8.tif"] = picture(8)
    path = write(project.parent / "mixed", files)
    assert refused(path) == (
        "The images differ in their channels: 4 channels (8, the first images/0.tif), grey levels or RGB (1, the first "
        "images/8.tif), 2 channels (1, the first images/9.tif): name those that are to be used with --images, or state "
        "--channels, which leaves out those that have others."
    )
    said = "\n".join(added(path, channels="4"))
    assert (
        "left out: images/9.tif, which cannot be read (it has 2 channels, and the configuration's channels is 4)"
        in said
    )
    assert "it has 4 channels, and the configuration's channels is 2): state the number that they have." in refused(
        path, name="other", channels="2"
    )


# What is asked


def test_masks_whose_values_are_not_named_are_refused_there_and_in_check(project: Path) -> None:
    path = write(project.parent / "cells", pairs(1, 2))
    said = refused(path, classes="background=0,cell=1")
    assert said.startswith("--classes: 10 of 10 masks looked at cannot be used, the first masks/0.png (")
    assert said.endswith("name all values, or list some in --ignore.")
    added(path, classes="background=0,cell=1", ignore="2")
    assert CliRunner().invoke(main, ["keep", "cells"]).exit_code == 0
    assert "10 of 10 masks looked at cannot be used" in checked("folders.cells.ignore=[]")


def test_a_level_far_above_the_others_may_be_void_or_a_class(project: Path) -> None:
    path = write(project.parent / "scenes", pairs(1, 2, 11))
    sentence = refused(path)
    assert "levels 0, 1, 2 and 11" in sentence
    assert "--ignore 11" in sentence
    assert "--classes background=0,class-1=1,class-2=2,class-11=11" in sentence
    added(path, ignore="11", background="none", name="every")
    folder = folder_of("every")
    assert (folder.ignore, folder.background, len(folder.classes or ())) == ([11], "none", 3)
    added(path, classes="background=0,class-1=1,class-2=2,class-11=11", name="four")
    assert list(folder_of("four").classes or ()) == ["background", "class-1", "class-2", "class-11"]


def test_masks_and_classes_are_two_tasks(project: Path) -> None:
    files = {}
    for place, name in enumerate(("healthy", "ill")):
        for number in range(6):
            files[f"images/{name}/{number}.png"] = picture(100 * place + number)
            files[f"masks/{name}/{number}.png"] = mask(255)
    path = write(project.parent / "leaves", files)
    added(path, task="segmentation", images="images/{class}/{id}", masks="masks/{class}/{id}")
    assert read_config().task("leaves")["kind"] == "segmentation"
    sentence = refused(path, name="both", images="images/{class}/{id}", masks="masks/{class}/{id}")
    assert "--task segmentation" in sentence
    assert "--task classification" in sentence


def test_images_that_a_tag_turns_need_a_word(project: Path) -> None:
    exif = Image.Exif()
    exif[274] = 3
    files = {f"images/{number}.jpg": picture(number, format="JPEG", exif=exif) for number in range(6)}
    files |= {f"masks/{number}.png": mask(255) for number in range(6)}
    path = write(project.parent / "turned", files)
    assert "--orientation as-stored, or as viewers show them, --orientation upright" in refused(path)
    added(path, orientation="upright")
    assert folder_of("turned").orientation == "upright"


def test_frames_of_one_camera_are_drawn_apart_on_demand_alone(project: Path) -> None:
    scene = np.random.default_rng(0).integers(0, 255, (6, 6, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    files = {}
    for number in range(8):
        frame = scene.copy()
        frame[number : number + 2, :2] = 0
        files |= {f"images/{number}.png": encoded(frame), f"masks/{number}.png": mask(255)}
    path = write(project.parent / "camera", files)
    assert "8 images looked at are near-duplicates of 1" in refused(path)
    added(path, split="random")
    assert read_config().task("camera")["split"]["name"] == "random"
    assert folder_of("camera").split == "none"
    assert CliRunner().invoke(main, ["keep", "camera"]).exit_code == 0
    shares = "train: 0.7, validation: 0.15, test: 0.15, stratify: [], seed: 0"
    said = checked(f"tasks.camera.split={{name: stratified, {shares}}}")
    assert "with near-duplicates and images of one group counted once there are 1" in said


def test_too_few_images_for_a_split_are_said_before_anything_is_written(project: Path) -> None:
    assert "tasks.few" in refused(write(project.parent / "few", pairs(255, count=2)))
    files = {**classes("a", "b", folder="train/", count=4), **classes("a", "b", folder="val/", count=1)}
    added(write(project.parent / "enough", files))


def test_a_geometry_that_there_is_not_is_one_sentence(project: Path) -> None:
    path = write(project.parent / "cells", pairs(255))
    assert refused(path, geometry="squash").startswith("--geometry is 'squash': make it one of stretch, pad,")
    assert refused(path, size="8").startswith("--size is '8'")
    for wrong in ("0", "33", "RGB"):
        assert refused(path, channels=wrong).startswith(f"--channels is '{wrong}'")
    assert "has no suite 'quik': did you mean 'quick'" in refused(path, suite="quik")


def test_a_suffix_of_masks_can_be_said(project: Path) -> None:
    files = {f"{number}.png": picture(number) for number in range(6)}
    files |= {f"{number}_mask.png": mask(255) for number in range(6)}
    path = write(project.parent / "beside", files)
    added(path, mask_suffix="_mask")
    assert folder_of("beside").masks == "{id}_mask"
    assert "--mask-suffix is '_gt'" in refused(path, mask_suffix="_gt", name="other")


def test_labels_come_from_a_table_and_its_column(project: Path) -> None:
    rows = [f"{number};{'ab'[number % 2]};P{number // 3}" for number in range(12)]
    table = "\ufefffile;finding;patient\n" + "\n".join(rows)
    files = {f"{number}.png": picture(number) for number in range(12)} | {"labels.csv": table.encode()}
    path = write(project.parent / "scans", files)
    added(path, labels="labels.csv:finding", format="table")
    folder = folder_of("scans")
    assert folder.labels is not None
    assert (folder.labels.image, folder.labels.label, folder.labels.separator) == ("file", "finding", ";")
    assert folder.group == "patient"
    assert "no file other.csv" in refused(path, labels="other.csv", name="other")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.txt": b"x", "b.txt": b"y"}, "has no images: it holds .txt (2)"),
        ({"a.png": picture(1), "b.png": picture(2)}, "has 2 images, and neither masks"),
        ({"photo.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n"}, "photo.jpg is no image that can be read"),
    ],
)
def test_what_is_no_data_set_is_one_sentence(project: Path, files: dict[str, bytes], said: str) -> None:
    assert said in refused(write(project.parent / "some", files))


def test_images_that_cannot_be_read_are_counted_and_too_many_refused(project: Path) -> None:
    files = pairs(255) | {f"images/{number}.png": b"no picture" for number in range(2)}
    lines = added(write(project.parent / "some", files))
    assert any("images/0.png, which cannot be read" in line for line in lines)
    files |= {f"images/{number}.png": b"no picture" for number in range(7)}
    assert refused(write(project.parent / "more", files)).startswith("7 of 10 images opened cannot be read")


def test_what_is_passed_over_is_said(project: Path) -> None:
    files = pairs(255) | {"images/alone.png": picture(77), "notes.docx": b"x", "@eaDir/thumb.jpg": b"x"}
    lines = added(write(project.parent / "some", files))
    for words in ("missing mask, images/alone.png", "notes.docx", "@eaDir"):
        assert any("left out" in line and words in line for line in lines), words


# Names and paths


@pytest.mark.parametrize(
    "name", ["index", "claims", "evaluation", "report", "exports", "baselines", "a.b", "a/b", "-a"]
)
def test_names_that_collide_are_refused(project: Path, name: str) -> None:
    assert "choose another with --name" in refused(write(project.parent / "cells", pairs(255)), name=name)
    assert wrong_name(name)


def test_taken_names_are_refused(project: Path) -> None:
    path = write(project.parent / "cells", pairs(255))
    assert "datasets of params.yaml has 'lungs' already" in refused(path, name="lungs")
    assert "tasks of params.yaml has 'pets-masks' already" in refused(path, name="pets-masks")
    added(path)
    Path("add-cells.png").unlink()
    assert "take that one out first (bakeoff remove cells)" in refused(path)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "is empty"),
        ("~/cells", "DVC does not know '~'"),
        (".", "has Bakeoff's own folder in it"),
        ("..", "has Bakeoff's own folder in it"),
        ("data/mine", "inside of what Bakeoff writes"),
        ("results", "inside of what Bakeoff writes"),
        ("s3://bucket/cells", "an address"),
    ],
)
def test_paths_that_cannot_be_are_refused_there_and_in_check(project: Path, path: str, said: str) -> None:
    assert said in refused(path)
    assert said in str(wrong_path(path))
    entry = f"{{path: '{path}', format: coco, size: 64, channels: 3, duplicates: {{distance: 6}}}}"
    with pytest.raises(BakeoffError) as caught:
        set_values([f"folders.mine={entry}"])
    assert f"params.yaml: folders.mine.path {wrong_path(path)}." in str(caught.value)


def test_a_folder_that_is_not_there_is_one_sentence(project: Path) -> None:
    assert "no folder or zip" in refused("../nowhere")


# Flags


def test_classes_are_written_in_three_ways() -> None:
    assert parse_classes("{background: null, cell: [1, 2]}") == {"background": None, "cell": [1, 2]}
    assert parse_classes("a=0,b=label") == {"a": 0, "b": "label"}
    for wrong in ("a=0,b", ",a", "{a: ", "[1"):
        with pytest.raises(BakeoffError, match="is no list of classes"):
            parse_classes(wrong)
    assert (parse_ignore("11, 255,crowd"), parse_ignore("none")) == ([11, 255, "crowd"], [])


# Looking


def test_headers_say_depth_and_orientation() -> None:
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 900
    assert header(encoded(deep, "TIFF"))[:4] == (8, 8, "TIFF, I;16", 16)
    assert header(picture(0, side=8)) == (8, 8, "PNG, RGB", 8, 4, 1, 0, 0, "")


def test_deep_images_get_levels_that_are_measured_or_typed(project: Path) -> None:
    images = {}
    for number in range(8):
        pixels = np.random.default_rng(number).integers(1000, 3000, (SIDE, SIDE), np.uint16)
        images |= {f"images/{number}.tif": encoded(pixels, "TIFF"), f"masks/{number}.png": mask(255)}
    path = write(project.parent / "deep", images)
    said = "\n".join(added(path))
    low, high = folder_of("deep").levels or (0, 0)
    assert (1000 <= low < 1010, 2990 < high <= 3000) == (True, True)
    assert "percentiles 0.1 and 99.9 of 8 images opened that have more than 8 bits) [--levels]" in said
    CliRunner().invoke(main, ["remove", "deep"])
    added(path, levels="0,4095")
    assert folder_of("deep").levels == [0, 4095]
    CliRunner().invoke(main, ["remove", "deep"])
    assert "--levels is '5': write the level that becomes black" in refused(path, levels="5")


def test_colour_is_more_than_the_rounding_of_jpeg() -> None:
    grey = np.repeat(np.arange(64, dtype=np.uint8).reshape(8, 8, 1) * 4, 3, axis=2)
    with Image.open(io.BytesIO(encoded(grey, "JPEG"))) as image:
        assert not has_colour(np.asarray(image.convert("RGB")))
    assert has_colour(np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8))


def test_the_mask_of_an_example_is_the_readings(tmp_path: Path) -> None:
    write(tmp_path, pairs(1, 2, 11, count=1))
    choices = Choices("mine", "pairs", classes={"a": 0, "b": [1, 2]}, ignore=(11,))
    with open_tree(tmp_path) as tree:
        reading = read_folder(tree, choices)
        found = class_mask(tree, reading, reading.entries[0], SIDE, SIDE)
    assert [found[0, 0], found[5, 5], found[13, 5], found[21, 5]] == [0, 1, 1, VOID]


def test_ten_thousand_images_take_seconds_and_little_memory(project: Path) -> None:
    folder, different = project.parent / "many", 61
    for number in range(different):
        write(
            folder, {f"images/{number:05}.png": picture(number, side=64), f"masks/{number:05}.png": mask(255, side=64)}
        )
    for number in range(different, 10_000):
        for kind in ("images", "masks"):
            (folder / kind / f"{number:05}.png").hardlink_to(folder / kind / f"{number % different:05}.png")
    tracemalloc.start()
    began = time.process_time()
    lines = added(folder)
    seconds = time.process_time() - began
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert lines[0].startswith(f"{folder}: 10000 images")
    assert seconds < 60  # tracing doubles it
    assert peak < 200 << 20


# Suites


def test_every_suite_is_written_and_valid(project: Path) -> None:
    write(project.parent / "cells", pairs(255))
    write(project.parent / "birds", classes("a", "b"))
    for suite in read_suites().suites:
        for folder in ("cells", "birds"):
            name = f"{folder}-{suite}"
            added(project.parent / folder, suite=suite, name=name, pretrained=True)
            config = read_config()
            whole = Geometry("stretch", SIDE, SIDE)
            chosen = choose(suite, config.tasks[name].kind, 7, whole, thresholds=True, without=())
            names = {f"{name}-{method}" for method in [*chosen.baselines, *chosen.networks]}
            assert names <= set(config.experiment_names())
    weights = read_config().weights
    assert all(
        getattr(weights["resnet50-published"], profile).from_ == "official" for profile in ("sample", "small", "full")
    )
    for suite in read_suites().suites:
        for folder in ("cells", "birds"):
            remove_own(f"{folder}-{suite}")
    assert Path("params.yaml").read_bytes() == (ROOT / "params.yaml").read_bytes()


def test_epochs_follow_from_the_number_of_images() -> None:
    methods = read_suites().suites["quick"].segmentation
    assert methods is not None
    assert [methods.passes(images) for images in (1, 50, 100, 10_000)] == [75, 60, 30, 3]


def test_the_estimate_grows_with_images_pixels_and_seeds_and_shrinks_with_threads() -> None:
    chosen = choose("quick", "segmentation", 50, Geometry("stretch", 192, 192), thresholds=True, without=())
    two = Machine(2, True, False)
    first = estimate(chosen, 72, 3, 1, True, two)
    assert 120 < first.seconds < 480  # ten minutes is the bar, and this may be off by a factor of two
    assert set(first.networks) == {"unet-small", "mobilenetv2-unet"}
    assert estimate(chosen, 144, 3, 1, True, two).networks["unet-small"] == pytest.approx(
        2 * first.networks["unet-small"]
    )
    assert estimate(chosen, 72, 3, 5, True, two).seconds > 4 * sum(first.networks.values())
    assert estimate(chosen, 72, 3, 1, True, Machine(8, True, False)).seconds < first.seconds
    assert estimate(chosen, 72, 3, 1, True, Machine(2, False, False)).seconds > first.seconds
    assert estimate(chosen, 7200, 3, 1, True, two).memory_mib > first.memory_mib
    tiled = choose("quick", "segmentation", 50, Geometry("tile", 192, 192), 4.0, thresholds=True, without=())
    assert tiled.epochs == chosen.epochs // 4, "as many windows as whole images"
    assert estimate(tiled, 72, 3, 1, True, two).seconds == pytest.approx(first.seconds, rel=0.3)
    assert (duration(42), duration(420), duration(9000)) == ("40 s", "7 min", "2.5 h")


def test_suites_are_listed_with_methods_and_times() -> None:
    lines = list(said_suites(Machine(2, True, False)))
    for suite in ("quick", "standard", "thorough"):
        assert any(line.startswith(f"{suite}: ") for line in lines)
    assert any("unet-small" in line and "about" in line for line in lines)


# Weights


def test_weights_are_found_in_a_mirror_and_in_the_store_or_not_at_all(tmp_path: Path) -> None:
    prepared, store, mirror = tmp_path / "prepared", tmp_path / "store", tmp_path / "mirror"
    (mirror / "weights").mkdir(parents=True)
    (mirror / "weights" / "resnet50.safetensors").write_bytes(b"x")
    found = find_weights("resnet50", prepared, str(mirror), store)
    assert found is not None
    assert found.fetched
    (store / "weights-mobilenet_v2").mkdir(parents=True)
    (store / "weights-mobilenet_v2" / "mobilenet_v2-b0353104.pth").write_bytes(b"x")
    assert find_weights("mobilenet_v2", prepared, None, store) is not None


def test_networks_without_weights_are_left_out_and_said(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = project.parent / "mirror"
    (mirror / "weights").mkdir(parents=True)
    (mirror / "weights" / "resnet50.safetensors").write_bytes(b"x")
    set_values([f"download.mirror={mirror}"])
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # no address answers
    lines = added(write(project.parent / "birds", classes("a", "b")), suite="standard", pretrained=None)
    networks = [name for name in read_config().networks if name.startswith("birds-")]
    assert networks == ["birds-resnet50-frozen"]
    assert sum("left out: networks that start from" in line for line in lines) == 2


# `bakeoff check`


def checked(*assignments: str) -> str:
    if assignments:
        set_values(assignments)
    result = CliRunner().invoke(main, ["check"])
    return "" if result.exit_code == 0 else result.output


def kept(project: Path, files: Mapping[str, bytes], name: str = "mine") -> None:
    added(write(project.parent / name, files))
    assert CliRunner().invoke(main, ["keep", name]).exit_code == 0


def test_what_check_calls_valid_is_there(project: Path) -> None:
    kept(project, pairs(255))
    assert checked() == ""
    shutil.rmtree(project.parent / "mine" / "masks")
    assert "folders.mine" in checked()
    shutil.rmtree(project.parent / "mine")
    assert "no folder or zip" in checked()


def test_check_looks_at_the_settings_of_each_method(project: Path) -> None:
    kept(project, pairs(255))
    said = checked("experiments.networks.mine-unet-small.settings={chanels: [8, 16]}")
    assert "experiments.networks.mine-unet-small" in said
    assert "chanels" in said


def test_check_looks_at_classical_settings_and_small_classes(project: Path) -> None:
    kept(project, classes("a", "b"))
    key = "experiments.baselines.mine.methods.mine-hog.settings"
    assert "mine-hog" in checked(f"{key}={{C: -1}}")
    set_values([f"{key}={{C: 0.01}}"])
    for number in range(2, 6):
        (project.parent / "mine" / "b" / f"{number}.png").unlink()
    said = checked()
    assert "b (2)" in said
    assert "fewer than 3 images" in said


def test_check_looks_for_weights(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    added(write(project.parent / "mine", pairs(255)), pretrained=True)
    assert CliRunner().invoke(main, ["keep", "mine"]).exit_code == 0
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    assert "weights.mobilenet_v2-published: the published weights of mobilenet_v2 are neither here" in checked()


def test_weights_that_do_not_fit_a_model_are_said(project: Path) -> None:
    kept(project, pairs(255))
    network = (
        "{dataset: mine, task: mine, images: mine, model: unet, weights: drawn, recipe: mine-scratch, settings: {}}"
    )
    drawn = "{from: random, seed: 0}"
    said = checked(
        f"weights.drawn={{network: resnet34, sample: {drawn}, small: {drawn}, full: {drawn}}}",
        f"experiments.networks.mine-two={network}",
    )
    assert "model 'unet' has no encoder for weights" in said
    said = checked(
        "experiments.networks.mine-two.model=resnet50_unet", "experiments.networks.mine-two.settings={head: mask}"
    )
    assert "the weights of resnet34 do not fit the encoder of model 'resnet50_unet'" in said


# The command line


def test_the_commands_say_what_they_did(project: Path) -> None:
    path = write(project.parent / "cells", pairs(255))
    run = CliRunner()
    result = run.invoke(main, ["add", str(path), "--no-pretrained"])
    assert result.exit_code == 0, result.output
    assert "dvc repro report@cells" in result.output
    assert "quick: " in run.invoke(main, ["suites"]).output
    result = run.invoke(main, ["add", str(path), "--geometry", "squash", "--name", "other"])
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert result.output.startswith("bakeoff: --geometry is 'squash'")
    result = run.invoke(main, ["remove", "cells"])
    assert "taken out of params.yaml: folders.cells" in result.output
    assert run.invoke(main, ["remove", "cells"]).exit_code == 1
