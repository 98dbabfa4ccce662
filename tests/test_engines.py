"""Two engines, one memory: the real pipeline, cut small, run by the real Snakemake and the real DVC."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import networkx as nx
import numpy as np
import pytest
from bakeoff.config import read_config
from dvc.repo import Repo
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
pytestmark = pytest.mark.engine
SNAKEMAKE = ("snakemake", "--cores", "8", "--resources", "gpu=1")
SPLIT = "{name: stratified, train: 0.7, validation: 0.15, test: 0.15, stratify: [], seed: 0}"
# The pages of the cut configuration's one task.
PAGES = {"index.html", "claims.html", "lungs.html", "data-lungs.html"}


class Clone:
    """A clone of the project with a configuration cut so small that all of it runs in seconds."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def popen(self, *command: str, **options: object) -> subprocess.Popen[str]:
        environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONPATH": str(self.root / "workflow")}
        environment.pop("OMP_NUM_THREADS", None)
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **options,
        )  # type: ignore[call-overload, no-any-return]

    def run(self, *command: str, code: int = 0) -> str:
        process = self.popen(*command)
        output = process.communicate(timeout=500)[0]
        assert process.returncode == code, f"{command}: {output[-6000:]}\n{self.logs()[-6000:]}"
        return output

    def logs(self) -> str:
        return "\n".join(path.read_text() for path in sorted((self.root / "logs").rglob("*.log")))

    def executed(self, *command: str, code: int = 0) -> set[str]:
        """The stages whose command a run of an engine executed."""
        shutil.rmtree(self.root / "logs", ignore_errors=True)
        output = self.run(*command, code=code) if command[0] == "dvc" else self.run(*command, code=code) and self.logs()
        return set(re.findall(r"^Running stage '([^']+)'", output, flags=re.MULTILINE))

    def copy(self, to: Path) -> "Clone":
        shutil.copytree(self.root, to, symlinks=True)
        return Clone(to)

    def commit(self) -> None:
        self.run("git", "add", "-A")
        self.run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "run")

    def set(self, *assignments: str) -> None:
        self.run("bakeoff", "set", *assignments)

    def assert_clean(self) -> None:
        assert "up to date" in self.run("dvc", "status")


def cut(file: Path) -> None:
    """Keep one data set, one task, two thresholds and a tiny network, at 32 pixels, one epoch and one seed."""
    editor = YAML(typ="safe")
    values = editor.load(file.read_text())
    values["seeds"]["sample"] = 1
    values["resamples"] = 100
    keep(values["datasets"], "lungs")
    values["datasets"]["lungs"]["sample"] = {
        "size": 32,
        "archive": {"synthetic": {"images": 40, "size": 64, "seed": 1}},
    }
    keep(values["tasks"], "lungs")
    keep(values["weights"], "none")
    for section in ("folders", "derived", "predicted_masks", "exports"):
        keep(values[section])
    for recipe in values["recipes"].values():
        recipe["sample"] = {"epochs": 1, "patience": 1}
    keep(values["experiments"]["baselines"], "lungs")
    keep(values["experiments"]["baselines"]["lungs"]["methods"], "lungs-otsu", "lungs-multiotsu3")
    networks = values["experiments"]["networks"]
    keep(networks, "lungs-unet")
    networks["lungs-unet"]["settings"] = {"channels": [4, 8], "norm": "none"}
    with file.open("w") as opened:
        editor.dump(values, opened)


def keep(section: Any, *names: str) -> None:
    """Drop every entry of a section but those named."""
    for name in [name for name in section if name not in names]:
        del section[name]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """What git would give a stranger (with the changes not committed yet), nothing run."""
    clone = Clone(tmp_path_factory.mktemp("fresh") / "bakeoff")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    for file in filter(None, files):
        if (ROOT / file).is_file() and file != "dvc.lock":
            (clone.root / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, clone.root / file)
    cut(clone.root / "params.yaml")
    clone.run("git", "init", "-q")
    clone.commit()
    return clone


def gpus_of_a_training(clone: Clone) -> str:
    """What the rule of trainings asks for; a dry run does not say it of rules that have a message."""
    asked = """
include: "Snakefile"
from types import SimpleNamespace
print("GPUS", GROUPS["train"]["gpu"](SimpleNamespace(task="lungs", key="lungs-unet")))
"""
    (clone.root / "asked.smk").write_text(asked)
    said = clone.run(*SNAKEMAKE, "--snakefile", "asked.smk", "--dry-run")
    return re.search(r"^GPUS (.*)$", said, flags=re.MULTILINE).group(1)  # type: ignore[union-attr]


def test_a_network_of_full_size_has_the_gpu_to_itself(fresh: Clone, tmp_path: Path) -> None:
    clone = fresh.copy(tmp_path / "bakeoff")
    assert gpus_of_a_training(clone) == "0"
    clone.set("profile=small")
    assert gpus_of_a_training(clone) == "1"


@pytest.fixture(scope="module")
def ran(fresh: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """After `snakemake`, committed."""
    clone = fresh.copy(tmp_path_factory.mktemp("ran") / "bakeoff")
    clone.run(*SNAKEMAKE)
    clone.commit()
    return clone


@pytest.fixture(scope="module")
def pretrained(ran: Clone, tmp_path_factory: pytest.TempPathFactory) -> tuple[Clone, set[str]]:
    """After an experiment with pretrained weights was added and run, and what that executed.

    Its weights are large: the other tests do without.
    """
    clone = ran.copy(tmp_path_factory.mktemp("pretrained") / "bakeoff")
    entry = (
        "{dataset: lungs, task: lungs, images: lungs, model: deeplabv3plus, weights: resnet50, recipe: fine-tune, "
        "settings: {}}"
    )
    source = "{from: random, seed: 0}"
    clone.set(
        f"weights.resnet50={{network: resnet50, sample: {source}, small: {source}, full: {source}}}",
        f"experiments.networks.lungs-deeplabv3plus={entry}",
    )
    return clone, clone.executed(*SNAKEMAKE)


@pytest.fixture(scope="module")
def shelved(ran: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """After everything was pushed to a remote."""
    folder = tmp_path_factory.mktemp("shelved")
    clone = ran.copy(folder / "bakeoff")
    clone.run("dvc", "remote", "add", "--default", "shelf", str(folder / "shelf"))
    clone.commit()
    clone.run("dvc", "push", "--run-cache")
    return clone


@pytest.fixture
def clone(ran: Clone, tmp_path: Path) -> Clone:
    """A copy of the clone that ran, to change."""
    return ran.copy(tmp_path / "bakeoff")


def test_after_snakemake_dvc_has_nothing_to_do(ran: Clone) -> None:
    assert (ran.root / "results" / "report" / "index.html").is_file()
    ran.assert_clean()
    assert ran.executed("dvc", "repro") == set()
    ran.assert_clean()


def test_both_engines_draw_what_was_found(ran: Clone) -> None:
    ran.run("snakemake", "--report", ".snakemake/report.html")
    theirs = (ran.root / ".snakemake" / "report.html").read_text()
    for caption in ("best first by its mean score", "The course of each training"):
        assert caption in theirs
    assert "results/evaluation/lungs/comparison.svg" in theirs
    assert "results/report/index.html" in theirs
    ran.run("dvc", "plots", "show", "--out", ".snakemake/plots")
    assert "lungs-unet" in (ran.root / ".snakemake" / "plots" / "index.html").read_text()
    ran.assert_clean()


def test_after_dvc_snakemake_has_nothing_to_do(fresh: Clone, tmp_path: Path) -> None:
    clone = fresh.copy(tmp_path / "bakeoff")
    assert "index" in clone.executed("dvc", "repro")
    clone.assert_clean()
    assert "Nothing to be done" in clone.run(*SNAKEMAKE)


def test_a_configuration_of_thresholds_alone_runs_in_a_fresh_clone(fresh: Clone, tmp_path: Path) -> None:
    clone = fresh.copy(tmp_path / "bakeoff")
    clone.set("experiments.networks={}")
    assert "index" in clone.executed("dvc", "repro")
    clone.assert_clean()
    assert clone.executed(*SNAKEMAKE) == set()


def test_outputs_dated_in_the_future_do_not_hide_a_change(clone: Clone) -> None:
    later = time.time() + 10 * 24 * 3600
    for path in [*(clone.root / "results").rglob("*"), *(clone.root / "data").rglob("*")]:
        os.utime(path, (later, later))
    clone.set(f"{OTSU}.foreground=bright")
    assert clone.executed(*SNAKEMAKE) == {"baselines@lungs", *FOLLOWING}
    clone.assert_clean()
    assert "Nothing to be done" in clone.run(*SNAKEMAKE)


def test_a_dry_run_after_a_dry_run_writes_nothing(clone: Clone) -> None:
    clone.set(f"{OTSU}.foreground=bright")
    stamp = clone.root / ".snakemake" / "dvc-says-changed"
    clone.run(*SNAKEMAKE, "--dry-run")
    before = stamp.read_text()
    assert "baselines" in clone.run(*SNAKEMAKE, "--dry-run")
    assert stamp.read_text() == before


def test_a_run_says_what_it_does_and_what_it_found(clone: Clone) -> None:
    clone.set("recipes.from-scratch.sample.epochs=2", "recipes.from-scratch.sample.patience=2")
    said = clone.run(*SNAKEMAKE)
    assert "train lungs-unet: Train a network" in said
    assert re.search(r"lungs-unet.*epoch 1/2 .* left$", said, flags=re.MULTILINE), said
    assert re.search(r"^results/report/lungs.html: .+ of 3 methods", said, flags=re.MULTILINE), said
    assert re.search(r"^Use it: bakeoff predict lungs-\S+ YOUR-IMAGES --out ANSWERS$", said, flags=re.MULTILINE), said


FOLLOWING = {"evaluate@lungs", "report@lungs", "index"}
OTSU = "experiments.baselines.lungs.methods.lungs-otsu"


def test_a_change_taken_back_is_restored(clone: Clone) -> None:
    clone.set(f"{OTSU}.foreground=bright")
    assert clone.executed(*SNAKEMAKE) == {"baselines@lungs", *FOLLOWING}
    clone.set(f"{OTSU}.foreground=train")
    assert clone.executed(*SNAKEMAKE) == set()
    clone.assert_clean()


def test_what_another_profile_says_reruns_nothing(clone: Clone) -> None:
    clone.set(
        "recipes.from-scratch.small.epochs=99", "datasets.lungs.full.size=64", "seeds.full=1", "download.attempts=9"
    )
    clone.assert_clean()
    assert clone.executed("dvc", "repro") == set()


@pytest.mark.parametrize("engine", [SNAKEMAKE, ("dvc", "repro", "--pull")], ids=["snakemake", "dvc"])
@pytest.mark.parametrize("pulled", [True, False], ids=["pulled", "not pulled"])
def test_a_fresh_clone_with_a_remote_executes_nothing(
    shelved: Clone, tmp_path: Path, pulled: bool, engine: tuple[str, ...]
) -> None:
    other = Clone(tmp_path / "other")
    shelved.run("git", "clone", "-q", str(shelved.root), str(other.root))
    if pulled:
        other.run("dvc", "pull")
    assert other.executed(*engine) == set()
    other.assert_clean()
    assert (other.root / "results" / "report" / "index.html").is_file()


def test_an_experiment_with_pretrained_weights_added_runs_alone(pretrained: tuple[Clone, set[str]]) -> None:
    clone, executed = pretrained
    assert executed == {"weights@resnet50", "train@lungs-deeplabv3plus", *FOLLOWING}
    clone.assert_clean()
    assert clone.executed("dvc", "repro") == set()


def test_an_edited_model_trains_that_model_alone(pretrained: tuple[Clone, set[str]], tmp_path: Path) -> None:
    clone = pretrained[0].copy(tmp_path / "bakeoff")
    model = clone.root / "workflow" / "bakeoff" / "models" / "unet.py"
    model.write_text(model.read_text() + "\n# An edit.\n")
    assert clone.executed(*SNAKEMAKE) == {"train@lungs-unet", *FOLLOWING}
    clone.assert_clean()


def test_a_new_models_file_runs_nothing(clone: Clone) -> None:
    folder = clone.root / "workflow" / "bakeoff" / "models"
    (folder / "mine.py").write_text((folder / "unet.py").read_text())
    assert clone.executed(*SNAKEMAKE) == set()


def test_a_threshold_added_runs_its_group_and_imports_no_torch(clone: Clone) -> None:
    clone.set("experiments.baselines.lungs.methods.lungs-li={method: li, foreground: dark}")
    # Fails wherever torch is imported.
    (clone.root / "workflow" / "torch.py").write_text("raise SystemExit('torch is imported')\n")
    assert clone.executed(*SNAKEMAKE) == {"baselines@lungs", *FOLLOWING}
    assert "lungs-li" in (clone.root / "results" / "evaluation" / "lungs" / "comparison.csv").read_text()
    clone.assert_clean()


EVERY_14TH = (
    "tasks.every-14th={dataset: lungs, kind: segmentation, split: {name: every-14th}}",
    "experiments.baselines.every-14th={dataset: lungs, methods: {every-otsu: {method: otsu, foreground: dark}}}",
)


def test_a_task_added_reruns_nothing_of_the_others(clone: Clone) -> None:
    clone.set(*EVERY_14TH)
    ran = clone.executed(*SNAKEMAKE)
    assert ran == {f"{step}@every-14th" for step in ("split", "baselines", "evaluate", "report")} | {"index"}
    assert "every-14th" in (clone.root / "results" / "report" / "index.html").read_text()
    clone.assert_clean()


@pytest.mark.parametrize(
    "command",
    [("dvc", "repro", "report@every-14th"), ("snakemake", "results/report/every-14th.html", *SNAKEMAKE[1:])],
    ids=["dvc", "snakemake"],
)
def test_one_task_is_made_alone(fresh: Clone, tmp_path: Path, command: tuple[str, ...]) -> None:
    clone = fresh.copy(tmp_path / "bakeoff")
    clone.set(*EVERY_14TH)
    ran = clone.executed(*command)
    own = {f"{step}@every-14th" for step in ("split", "baselines", "evaluate", "report")}
    assert ran == {"download@lungs", "prepare@lungs", "card@lungs", *own}
    report = clone.root / "results" / "report"
    assert {path.name for path in report.iterdir()} == {"every-14th.html", "data-lungs.html"}


def test_what_one_task_needs_of_the_bundled_configuration() -> None:
    """Of another task nothing but the trainings of segmenters that its derived data sets name."""
    index = Repo(str(ROOT)).index
    stages = {stage.name: stage for stage in index.stages}
    config = read_config(ROOT / "params.yaml")
    owners = {name: config.experiment(name)["task"] for name in config.experiment_names()}
    foreign = {}
    for task in config.tasks:
        needed = {stage.name for stage in nx.descendants(index.graph, stages[f"report@{task}"])}
        assert f"evaluate@{task}" in needed
        assert not {name for name in needed if name.startswith(("evaluate", "report", "index", "baselines"))} - {
            f"evaluate@{task}",
            f"baselines@{task}",
        }
        others = {name.partition("@")[2] for name in needed if name.startswith("train@")}
        foreign[task] = {name for name in others if owners[name] != task}
    assert {task: names for task, names in foreign.items() if names} == {
        "pets-breeds": {"pets-resnet50-unet"},
        "ultrasound": {"ultrasound-unet"},
    }
    assert len(stages) <= 110


def test_an_experiment_taken_out_is_named_until_its_folder_is_gone(clone: Clone) -> None:
    clone.set("experiments.networks={}")
    left = "results/lungs/lungs-unet belongs to no experiment"
    assert left in clone.run(*SNAKEMAKE, "--dry-run")
    assert left in clone.run("bakeoff", "check")
    shutil.rmtree(clone.root / "results" / "lungs" / "lungs-unet")
    assert clone.executed(*SNAKEMAKE) == FOLLOWING
    assert "lungs-unet" not in (clone.root / "results" / "evaluation" / "lungs" / "comparison.csv").read_text()
    clone.assert_clean()


def test_a_data_set_added_runs_alone(clone: Clone) -> None:
    entry = "{size: 32, archive: {synthetic: {images: 40, size: 64, seed: 2}}}"
    body = f"source: lungs, duplicates: {{distance: 6}}, sample: {entry}, small: {entry}, full: {entry}"
    clone.set(
        f"datasets.chests={{{body}}}",
        f"tasks.chests={{dataset: chests, kind: segmentation, split: {SPLIT}}}",
        "experiments.baselines.chests={dataset: chests, methods: {chests-otsu: {method: otsu, foreground: dark}}}",
    )
    own = {f"{step}@chests" for step in ("download", "prepare", "card", "split", "baselines", "evaluate", "report")}
    assert clone.executed("dvc", "repro") == {*own, "index"}
    assert "Nothing to be done" in clone.run(*SNAKEMAKE)


def test_a_folder_of_ones_own_runs_to_the_report(clone: Clone) -> None:
    draw_discs(clone.root.parent / "mine")
    clone.set(
        "folders.mine={path: ../mine, format: pairs, images: 'images/{id}', masks: 'masks/{id}', "
        "size: 32, channels: 1, classes: [background, disc], "
        "duplicates: {distance: 0}}",
        f"tasks.mine={{dataset: mine, kind: segmentation, split: {SPLIT}}}",
        "experiments.baselines.mine={dataset: mine, methods: {mine-otsu: {method: otsu, foreground: train}}}",
    )
    own = {"prepare-folder", "card-folder", "split", "baselines", "evaluate", "report"}
    assert clone.executed(*SNAKEMAKE) == {*(f"{step}@mine" for step in own), "index"}
    metrics = json.loads((clone.root / "results" / "evaluation" / "mine" / "metrics.json").read_text())
    assert metrics["mine-otsu"]["dice"]["mean"] > 0.95
    pages = {path.name for path in (clone.root / "results" / "report").glob("*.html")}
    assert pages == {*PAGES, "mine.html", "data-mine.html"}
    clone.assert_clean()

    (clone.root.parent / "mine" / "images" / "00.png").unlink()
    changed = json.loads(clone.run("dvc", "status", "--json"))
    assert set(changed) == {"prepare-folder@mine"}, "a changed folder is noticed, and nothing else has changed"


def draw_discs(folder: Path) -> None:
    """Twenty-four bright discs on a dark ground and their masks, as a stranger's folder holds them."""
    rows, columns = np.mgrid[:40, :40]
    random = np.random.default_rng(0)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for number in range(24):
        y, x, radius = random.integers((12, 12, 5), (28, 28, 11))
        disc = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
        image = (50 + 120 * disc + random.normal(0, 12, disc.shape)).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / "images" / f"{number:02}.png"), image)
        cv2.imwrite(str(folder / "masks" / f"{number:02}.png"), 255 * disc.astype(np.uint8))


def wait_for(condition: Callable[[], bool], seconds: float = 240) -> None:
    deadline = time.time() + seconds
    while not condition():
        assert time.time() < deadline, "it did not come to this in time"
        time.sleep(0.05)


LONG = ("recipes.from-scratch.sample.epochs=400", "recipes.from-scratch.sample.patience=400")


def training(clone: Clone) -> bool:
    """Whether the training of the network has begun: it holds the folder of its checkpoints."""
    return any((clone.root / ".bakeoff" / "checkpoints").glob("*/lock"))


def test_a_second_engine_says_so_and_nothing_is_lost(fresh: Clone, tmp_path: Path) -> None:
    clone = fresh.copy(tmp_path / "bakeoff")
    clone.set(*LONG)
    first = clone.popen(*SNAKEMAKE)
    wait_for(lambda: training(clone))
    refusal = f"snakemake (process {first.pid}) runs in this folder: type the same command again when it has ended."
    again = clone.run(*SNAKEMAKE, code=1)
    assert refusal in again
    assert "Traceback" not in again
    beside = clone.popen("dvc", "repro", "split@lungs", "--force")
    assert refusal in beside.communicate(timeout=100)[0]
    assert beside.returncode != 0
    assert (clone.root / "data" / "splits" / "lungs.csv").is_file(), "restored: DVC had removed it"
    assert "train" in clone.run(*SNAKEMAKE, "--dry-run"), "a dry run neither waits nor fails"
    clone.run("snakemake", "--dag")
    output = first.communicate(timeout=500)[0]
    assert first.returncode == 0, output[-3000:]
    clone.assert_clean()
    assert "Nothing to be done" in clone.run(*SNAKEMAKE)


def test_a_stage_that_fails_is_named_and_the_others_finish(clone: Clone) -> None:
    model = clone.root / "workflow" / "bakeoff" / "models" / "unet.py"
    whole = model.read_text()
    model.write_text(whole + "\nraise RuntimeError('planted')\n")
    clone.set(*EVERY_14TH)
    output = clone.run(*SNAKEMAKE, code=1)
    assert "logs/train/lungs/lungs-unet.log" in output
    assert "planted" in output, "the failed log is shown"
    assert (clone.root / "results" / "report" / "every-14th.html").is_file()
    model.write_text(whole)
    assert clone.executed(*SNAKEMAKE) == {"index"}, "what had finished is not done again"
    clone.assert_clean()


def test_metrics_diff_shows_a_changed_parameter(clone: Clone) -> None:
    clone.set(f"{OTSU}.foreground=bright")
    clone.run("dvc", "repro")
    diff = json.loads(clone.run("dvc", "metrics", "diff", "--json"))
    changed = {key.partition(".")[0] for key in diff["results/evaluation/lungs/metrics.json"]}
    assert changed == {"lungs-otsu"}, "what did not change is not shown"


def test_an_experiment_of_dvc_changes_a_copy(clone: Clone) -> None:
    clone.run("dvc", "exp", "run", "--temp", "-S", "seeds.sample=2")
    assert "seeds" in clone.run("dvc", "exp", "show", "--csv")


@pytest.mark.parametrize("engine", [SNAKEMAKE, ("dvc", "repro")], ids=["snakemake", "dvc"])
def test_killed_outright_the_same_command_goes_on(fresh: Clone, tmp_path: Path, engine: tuple[str, ...]) -> None:
    clone = fresh.copy(tmp_path / "bakeoff")
    clone.set(*LONG)
    first = clone.popen(*engine, start_new_session=True)
    wait_for(lambda: training(clone))
    os.kill(first.pid, signal.SIGKILL)  # the engine alone: what it started stays behind
    first.wait()
    output = clone.run(*engine)
    assert "rm " not in output
    assert "lock" not in output.replace("--wait-for-lock", "").replace("dvc.lock", "").replace("lock file", "")
    clone.assert_clean()


def test_finished_trainings_are_kept_until_they_are_recorded(clone: Clone) -> None:
    """DVC records a stage when its command has ended; the next run needs its checkpoints no longer."""
    home = clone.root / ".bakeoff" / "checkpoints"
    clone.set("recipes.from-scratch.sample.epochs=2")
    clone.run("dvc", "repro", "train@lungs-unet")
    assert any(home.glob("*/finished.json"))
    clone.run(*SNAKEMAKE)
    assert not any(home.iterdir())


def test_forced_stages_really_run(clone: Clone) -> None:
    assert clone.executed(*SNAKEMAKE, "-R", "split") >= {"split@lungs"}
    forced = clone.executed(*SNAKEMAKE, "-F")
    assert forced >= {"download@lungs", "prepare@lungs", "train@lungs-unet", *FOLLOWING}
    clone.assert_clean()
