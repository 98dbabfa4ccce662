"""What a stage depends on, as DVC records it; and checkpoints, which are kept until DVC has recorded the stage."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bakeoff.artefacts.checkpoints import FINISHED, HOME
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.layout import Project
from bakeoff.config import read_config
from bakeoff.datasets.splits.split import split
from bakeoff.stage_inputs import drop_recorded, is_recorded, md5, stage_inputs
from ellipses import write_prepared
from filelock import FileLock
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if key not in ("DVC_STAGE", "BAKEOFF_ENGINE")},
    **{"PATH": f"{BIN}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"},
}

PARAMS = """
profile: sample
seeds: {sample: 1, small: 5}
recipes:
  slow: &slow
    always: {rate: 0.00005, exact: 0.1, flip: true, nothing: null, words: "true", list: [1, 2.5, x]}
    sample: {epochs: 2}
    small: {epochs: 9}
  fast: {<<: *slow, sample: {epochs: 1}}
networks:
  unet: &unet {data: cells, recipe: slow, model: u-net, half: false, inner: {recipe: fast, deep: {model: seg_net}}}
  segnet: {<<: *unet, model: seg_net, recipe: fast, half: true}
"""
STAGES = """
stages:
  train:
    foreach: ${networks}
    do:
      cmd: echo ${key} ${item.half} > out/${key}.txt
      params:
        - networks.${key}
        - recipes.${item.recipe}.always
        - recipes.${item.recipe}.${profile}
        - seeds.${profile}
      deps:
        - data/${item.data}
        - data/${item.data}.csv
        - data/half-${item.half}.csv
        - code
        - models/${item.model}.py
        - models/${item.inner.deep.model}.py
      outs:
        - out/${key}.txt
  sum:
    cmd: cat out/*.txt > sum.txt
    params: [profile, recipes.slow]
    deps: [out, code/a.py]
    outs: [sum.txt]
"""
# Names whose order differs between paths and their parts, in any alphabet; and what .dvcignore leaves out.
FILES = {
    **{"data/cells/images.npy": "\x00\xff", "data/cells/a/z.txt": "deep", "data/cells/a-b/c.txt": "before a/z.txt"},
    **{"data/cells/a.txt": "", "data/cells/Zürich, schön.txt": "é", "data/cells/.hidden": "h"},
    **{"data/cells.csv": "id\r\n1\r\n", "data/half-true.csv": "1", "data/half-false.csv": "0"},
    **{"code/a.py": "a = 1", "code/sub/b.py": "b = 2", "code/sub/deeper/c.py": "c = 3"},
    **{"models/u-net.py": "", "models/seg_net.py": "net = 1"},
    **{"code/__pycache__/a.cpython-311.pyc": "!", "code/sub/x.pyc": "!", "data/cells/a/.snakemake_timestamp": "!"},
    **{"code/bakeoff.egg-info/PKG-INFO": "!"},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny repository of DVC in which every stage has run."""
    root = tmp_path_factory.mktemp("tiny")
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, newline="")
    (root / "out").mkdir()
    (root / "params.yaml").write_text(PARAMS)
    (root / "dvc.yaml").write_text(STAGES)
    shutil.copy(ROOT / ".dvcignore", root)
    for command in ("init --no-scm --quiet", "repro --quiet"):
        subprocess.run(["dvc", *command.split()], cwd=root, env=ENVIRONMENT, check=True)
    return root


def lock_of(root: Path) -> Any:
    return YAML(typ="safe").load((root / "dvc.lock").read_text())


@pytest.mark.parametrize("stage", ["train@unet", "train@segnet", "sum"])
def test_inputs_are_what_dvc_records(made: Path, stage: str) -> None:
    recorded = lock_of(made)["stages"][stage]
    inputs = stage_inputs(stage, made)
    assert inputs["stage"] == stage
    assert inputs["deps"] == {dep["path"]: dep["md5"] for dep in recorded["deps"]}
    assert inputs["params"] == recorded["params"]["params.yaml"]
    assert is_recorded(inputs, lock_of(made))
    assert is_recorded(json.loads(json.dumps(inputs)), lock_of(made)), "as a checkpoint keeps them"


def test_dvc_says_the_same_when_something_has_changed(made: Path, tmp_path: Path) -> None:
    root = tmp_path / "tiny"
    shutil.copytree(made, root)
    before = {stage: stage_inputs(stage, root) for stage in lock_of(root)["stages"]}

    def changed() -> set[str]:
        said = subprocess.run(
            ["dvc", "status", "--json"], cwd=root, env=ENVIRONMENT, check=True, capture_output=True, text=True
        )
        ours = {stage for stage in before if not is_recorded(stage_inputs(stage, root), lock_of(root))}
        assert ours == {stage for stage, why in json.loads(said.stdout).items() if why != ["always changed"]}
        return ours

    assert changed() == set()
    for name in ("code/__pycache__/a.cpython-311.pyc", "code/sub/x.pyc", "data/cells/a/.snakemake_timestamp"):
        (root / name).write_text("anything")
    assert changed() == set()
    (root / "code/sub/deeper/c.py").write_text("c = 4")
    assert changed() == {"train@unet", "train@segnet"}
    (root / "code/sub/deeper/c.py").write_text("c = 3")
    (root / "params.yaml").write_text(PARAMS.replace("0.00005", "0.00006"))
    assert changed() == {"train@unet", "train@segnet", "sum"}
    (root / "params.yaml").write_text(PARAMS.replace("sample: {epochs: 1}", "sample: {epochs: 3}"))
    assert changed() == {"train@segnet"}
    (root / "params.yaml").write_text(PARAMS.replace("profile: sample", "profile: small"))
    assert changed() == {"train@unet", "train@segnet", "sum"}


def test_a_folders_hash_is_of_its_files_and_their_names(tmp_path: Path) -> None:
    (tmp_path / "a" / "empty").mkdir(parents=True)
    (tmp_path / "a" / "x.txt").write_text("x")
    first = md5(tmp_path / "a")
    assert first.endswith(".dir")
    shutil.rmtree(tmp_path / "a" / "empty")
    assert md5(tmp_path / "a") == first, "an empty folder is nothing to DVC"
    (tmp_path / "a" / "x.txt").rename(tmp_path / "a" / "y.txt")
    assert md5(tmp_path / "a") != first
    assert md5(tmp_path / "a" / "y.txt") == "9dd4e461268c8034f5c8564e155c67a6"  # md5sum of the letter x


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ("fit", "dvc.yaml has no stage 'fit'"),
        ("train", "dvc.yaml has no stage 'train'"),
        ("train@vnet", "dvc.yaml has no stage 'train@vnet'"),
        ("sum@unet", "dvc.yaml has no stage 'sum@unet'"),
    ],
)
def test_a_stage_that_there_is_not_is_named(made: Path, stage: str, words: str) -> None:
    with pytest.raises(BakeoffError, match=words):
        stage_inputs(stage, made)


def test_what_is_missing_is_named(made: Path, tmp_path: Path) -> None:
    root = tmp_path / "tiny"
    shutil.copytree(made, root)
    (root / "models" / "u-net.py").unlink()
    with pytest.raises(BakeoffError, match=r"models/u-net\.py is missing: run the pipeline"):
        stage_inputs("train@unet", root)
    (root / "params.yaml").write_text(PARAMS.replace("always:", "allways:"))
    with pytest.raises(BakeoffError, match=r"params\.yaml has no key 'recipes\.slow\.always', which train@unet"):
        stage_inputs("train@unet", root)
    (root / "params.yaml").write_text(PARAMS.replace("data: cells", "dota: cells"))
    with pytest.raises(BakeoffError, match=r"params\.yaml has no key 'item\.data', which dvc\.yaml interpolates"):
        stage_inputs("train@unet", root)


# --- checkpoints are kept until the stage is recorded


def finished_training(root: Path, key: str, inputs: dict[str, Any] | None) -> Path:
    folder = root / HOME / key
    folder.mkdir(parents=True)
    text = json.dumps({"record": {}, "best": {}, "inputs": inputs}) if inputs else "{"
    (folder / FINISHED).write_text(text)
    (folder / "finished.safetensors").write_bytes(b"weights")
    return folder


def test_recorded_trainings_go_and_others_stay(made: Path, tmp_path: Path) -> None:
    root = tmp_path / "tiny"
    shutil.copytree(made, root)
    inputs = stage_inputs("train@unet", root)
    recorded = finished_training(root, "recorded", inputs)
    others = {
        "another stage": finished_training(root, "a", {**inputs, "stage": "train@vnet"}),
        "another dependency": finished_training(root, "b", {**inputs, "deps": {**inputs["deps"], "code": "1.dir"}}),
        "one dependency more": finished_training(root, "c", {**inputs, "deps": {**inputs["deps"], "more": "1"}}),
        "another seed": finished_training(root, "d", {**inputs, "params": {**inputs["params"], "seeds.sample": 2}}),
        "damaged": finished_training(root, "e", None),
    }
    going_on = root / HOME / "going-on"
    going_on.mkdir()
    (going_on / "epoch-000001.json").write_text("{}")
    in_use = finished_training(root, "in-use", inputs)
    with FileLock(in_use / "lock"):
        drop_recorded(root)
    assert not recorded.exists()
    assert in_use.exists(), "another process is about to read it"
    assert all(folder.exists() for folder in (*others.values(), going_on))
    drop_recorded(root)
    assert not in_use.exists()


def test_without_a_lock_file_nothing_goes(made: Path, tmp_path: Path) -> None:
    root = tmp_path / "tiny"
    shutil.copytree(made, root)
    folder = finished_training(root, "key", stage_inputs("train@unet", root))
    (root / "dvc.lock").unlink()
    drop_recorded(root)
    (root / "dvc.lock").write_text("")
    drop_recorded(root)
    assert folder.exists()


# --- the same with the real command line


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's code and stages with two tiny networks, up to the trainings; recorded is nothing yet."""
    root = tmp_path_factory.mktemp("clone")
    shutil.copytree(ROOT / "workflow", root / "workflow", ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, root)
    editor = YAML(typ="safe")
    values = editor.load((ROOT / "params.yaml").read_text())
    for section in ("folders", "derived", "predicted_masks", "exports", "datasets", "tasks", "weights"):
        values[section] = {key: each for key, each in values[section].items() if key in ("lungs", "none")}
    networks = values["experiments"]["networks"]
    tiny = {**networks["lungs-unet"], "settings": {"channels": [4, 4, 4, 4, 4], "norm": "none"}}
    values["experiments"] = {
        "baselines": {},
        "networks": {"lungs-unet": tiny, "lungs-segnet": {**tiny, "model": "segnet"}},
    }
    values["seeds"]["sample"] = 2
    for recipe in values["recipes"].values():
        recipe["sample"] = {"epochs": 20, "patience": 20}
    with (root / "params.yaml").open("w") as file:
        editor.dump(values, file)
    project = Project(root)
    write_prepared(project.prepared("lungs"), images=24, side=32)
    split("lungs", read_config(root / "params.yaml").task("lungs"), project.prepared("lungs"), project.split("lungs"))
    project.weights("none").mkdir(parents=True)
    (project.weights("none") / "weights.json").write_text("{}")
    run(root, "dvc", "init", "--no-scm", "--quiet")
    return root


def start(root: Path, *command: str) -> subprocess.Popen[str]:
    environment = {**ENVIRONMENT, "PYTHONPATH": str(root / "workflow")}
    return subprocess.Popen(
        command,
        cwd=root,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def run(root: Path, *command: str) -> str:
    process = start(root, *command)
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 0, said
    return said


def finished(root: Path) -> list[str]:
    return sorted(path.parent.name for path in (root / HOME).glob(f"*/{FINISHED}"))


REPRO = ("dvc", "repro", "--single-item")


@pytest.mark.engine
def test_a_finished_seed_is_kept_until_dvc_has_recorded_the_stage(clone: Path) -> None:
    # Killed between two seeds, DVC and all.
    process = start(clone, *REPRO, "train@lungs-unet")
    assert process.stdout is not None
    for line in process.stdout:
        if "lungs-unet, seed 1: epoch 1/20" in line:
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert len(finished(clone)) == 1
    assert not (clone / "dvc.lock").exists()

    # The next run trains the second alone; it ends before DVC has recorded anything.
    said = run(clone, "bakeoff", "train", "lungs-unet")
    assert "lungs-unet, seed 0" not in said
    assert "lungs-unet, seed 1: epoch 20/20" in said
    kept = finished(clone)
    assert len(kept) == 2
    models = clone / "results" / "lungs" / "lungs-unet" / "models"
    weights = {path.name: path.read_bytes() for path in models.glob("*.safetensors")}
    assert sorted(weights) == ["seed0.safetensors", "seed1.safetensors"]

    # So DVC trains nothing, and records what it depends on as the checkpoints say it.
    said = run(clone, *REPRO, "train@lungs-unet")
    assert "epoch" not in said
    assert {path.name: path.read_bytes() for path in models.glob("*.safetensors")} == weights
    recorded = lock_of(clone)["stages"]["train@lungs-unet"]
    inputs = stage_inputs("train@lungs-unet", clone)
    assert inputs["deps"] == {dep["path"]: dep["md5"] for dep in recorded["deps"]}
    assert inputs["params"] == recorded["params"]["params.yaml"]
    assert finished(clone) == kept

    # The next run, of whatever network, needs them no more.
    said = run(clone, *REPRO, "train@lungs-segnet")
    assert "lungs-segnet, seed 1: epoch 20/20" in said
    assert len(finished(clone)) == 2
    assert not set(finished(clone)) & set(kept)
    assert not [key for key in kept if (clone / HOME / key).exists()]
    assert {path.name: path.read_bytes() for path in models.glob("*.safetensors")} == weights
