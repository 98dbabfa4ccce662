"""Two engines, one memory: the real pipeline, cut small, run by the real Snakemake and the real DVC."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
pytestmark = pytest.mark.engine
SNAKEMAKE = ("snakemake", "--cores", "8", "--resources", "gpu=1")
THRESHOLDS = ("lungs-otsu", "lungs-multiotsu3")
# What looks at the results of every task.
FOLLOWING = ("inflation", "claims", "report")
SPLIT = "{name: stratified, train: 0.7, validation: 0.15, test: 0.15, stratify: [], seed: 0}"


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


def cut(config: Path) -> None:
    """Keep one data set, one task, two thresholds and a tiny network, at 32 pixels, one epoch and one seed."""
    editor = YAML(typ="safe")
    values = editor.load(config.read_text())
    values["seeds"]["sample"] = 1
    values["resamples"] = 100
    keep(values["datasets"], "lungs")
    values["datasets"]["lungs"]["sample"] = {
        "size": 32,
        "archive": {"synthetic": {"images": 40, "size": 64, "seed": 1}},
    }
    keep(values["tasks"], "lungs")
    for section in ("folders", "inputs", "predicted_inputs", "weights"):
        keep(values[section])
    for recipe in values["recipes"].values():
        recipe["sample"] = {"epochs": 1, "patience": 1}
    experiments = values["experiments"]
    keep(experiments["thresholds"], *THRESHOLDS)
    keep(experiments["networks"], "lungs-unet")
    for family in ("pretrained", "classical", "classifiers", "on_inputs"):
        keep(experiments[family])
    experiments["networks"]["lungs-unet"]["settings"] = {"channels": [4, 8], "norm": "none"}
    with config.open("w") as file:
        editor.dump(values, file)


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


def resources_of_fits(clone: Clone) -> dict[str, str]:
    """What a dry run says that each rule that fits asks for."""
    jobs = re.split(r"^(?:local)?rule ", clone.run(*SNAKEMAKE, "--dry-run"), flags=re.MULTILINE)[1:]
    return {
        job.split(":")[0]: re.search(r"^    resources: (.*)$", job, flags=re.MULTILINE).group(1)  # type: ignore[union-attr]
        for job in jobs
        if job.startswith("fit_")
    }


def test_a_network_of_full_size_has_the_gpu_to_itself(fresh: Clone, tmp_path: Path) -> None:
    clone = fresh.copy(tmp_path / "bakeoff")
    assert "gpu=0" in resources_of_fits(clone)["fit_network"]
    clone.set("profile=small")
    assert "gpu=1" in resources_of_fits(clone)["fit_network"]


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
    entry = "{dataset: lungs, task: lungs, model: deeplabv3plus, weights: resnet50, recipe: fine-tune, settings: {}}"
    source = "{from: random, seed: 0}"
    clone.set(
        f"weights.resnet50={{sample: {source}, small: {source}, full: {source}}}",
        f"experiments.pretrained.lungs-deeplabv3plus={entry}",
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
    assert "results/comparison/lungs.svg" in theirs
    assert "results/report/index.html" in theirs
    ran.run("dvc", "plots", "show", "--out", ".snakemake/plots")
    assert "lungs-unet" in (ran.root / ".snakemake" / "plots" / "index.html").read_text()
    ran.assert_clean()


def test_after_dvc_snakemake_has_nothing_to_do(fresh: Clone, tmp_path: Path) -> None:
    clone = fresh.copy(tmp_path / "bakeoff")
    assert "report" in clone.executed("dvc", "repro")
    clone.assert_clean()
    assert "Nothing to be done" in clone.run(*SNAKEMAKE)


def test_a_book_of_thresholds_alone_runs_in_a_fresh_clone(fresh: Clone, tmp_path: Path) -> None:
    clone = fresh.copy(tmp_path / "bakeoff")
    clone.set("experiments.networks={}")
    assert "report" in clone.executed("dvc", "repro")
    clone.assert_clean()
    assert clone.executed(*SNAKEMAKE) == set()


def test_a_change_taken_back_is_restored(clone: Clone) -> None:
    clone.set("experiments.thresholds.lungs-otsu.foreground=bright")
    changed = clone.executed(*SNAKEMAKE)
    assert {"predict-threshold@lungs-otsu", "score-threshold@lungs-otsu", "compare@lungs", *FOLLOWING} == changed
    clone.set("experiments.thresholds.lungs-otsu.foreground=train")
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
    name = "lungs-deeplabv3plus"
    steps = {f"{step}-pretrained@{name}" for step in ("fit", "predict", "export", "score")}
    assert executed == {"weights@resnet50", *steps, "compare@lungs", *FOLLOWING}
    clone.assert_clean()
    assert clone.executed("dvc", "repro") == set()


def test_an_edited_model_refits_that_model_alone(pretrained: tuple[Clone, set[str]], tmp_path: Path) -> None:
    clone = pretrained[0].copy(tmp_path / "bakeoff")
    model = clone.root / "workflow" / "bakeoff" / "models" / "unet.py"
    model.write_text(model.read_text() + "\n# An edit.\n")
    ran = clone.executed(*SNAKEMAKE)
    assert {"fit-network@lungs-unet", "predict-network@lungs-unet"} <= ran
    assert not any("deeplab" in stage or "threshold" in stage for stage in ran), ran
    assert not ran & {"download@lungs", "prepare@lungs", "split@lungs", "weights@resnet50"}
    clone.assert_clean()


def test_an_experiment_added_runs_alone(clone: Clone) -> None:
    clone.set("experiments.thresholds.lungs-li={dataset: lungs, task: lungs, method: li, foreground: dark}")
    ran = clone.executed(*SNAKEMAKE)
    assert ran == {"predict-threshold@lungs-li", "score-threshold@lungs-li", "compare@lungs", *FOLLOWING}
    assert "lungs-li" in (clone.root / "results" / "comparison" / "lungs.csv").read_text()
    clone.assert_clean()


def test_a_task_added_runs_its_split_its_comparison_and_the_report_alone(clone: Clone) -> None:
    clone.set("tasks.lungs-every-14th={dataset: lungs, kind: segmentation, split: {name: every-14th}}")
    ran = clone.executed(*SNAKEMAKE)
    assert ran == {"split@lungs-every-14th", "audit@lungs-every-14th", "compare@lungs-every-14th", *FOLLOWING}
    assert (clone.root / "results" / "comparison" / "lungs-every-14th.csv").read_text() == "experiment\n"
    assert "lungs-every-14th" in (clone.root / "results" / "report" / "index.html").read_text()
    clone.assert_clean()


def test_a_data_set_added_runs_alone(clone: Clone) -> None:
    entry = "{size: 32, archive: {synthetic: {images: 40, size: 64, seed: 2}}}"
    body = f"source: lungs, duplicates: {{distance: 6}}, sample: {entry}, small: {entry}, full: {entry}"
    clone.set(
        f"datasets.chests={{{body}}}",
        f"tasks.chests={{dataset: chests, kind: segmentation, split: {SPLIT}}}",
        "experiments.thresholds.chests-otsu={dataset: chests, task: chests, method: otsu, foreground: dark}",
    )
    ran = clone.executed("dvc", "repro")
    own = {f"{step}@chests" for step in ("download", "prepare", "split", "audit", "compare")}
    assert {*own, "predict-threshold@chests-otsu", "report"} <= ran
    assert not any(stage.startswith(("fit", "predict", "score")) and "lungs" in stage for stage in ran), ran
    assert not ran & {"download@lungs", "prepare@lungs", "split@lungs"}
    assert "Nothing to be done" in clone.run(*SNAKEMAKE)


def test_a_folder_of_ones_own_runs_to_the_report(clone: Clone) -> None:
    draw_discs(clone.root.parent / "mine")
    clone.set(
        "folders.mine={path: ../mine, size: 32, channels: 1, classes: [background, disc], duplicates: {distance: 0}}",
        f"tasks.mine={{dataset: mine, kind: segmentation, split: {SPLIT}}}",
        "experiments.thresholds.mine-otsu={dataset: mine, task: mine, method: otsu, foreground: train}",
    )
    ran = clone.executed(*SNAKEMAKE)
    own = {f"{step}@mine" for step in ("pack", "prepare-folder", "split", "audit", "compare")}
    # The other comparison looks at the new experiment, and leaves it aside.
    assert ran == {*own, "predict-threshold@mine-otsu", "score-threshold@mine-otsu", "compare@lungs", *FOLLOWING}
    metrics = json.loads((clone.root / "results" / "experiments" / "mine-otsu" / "metrics.json").read_text())
    assert metrics["dice"]["mean"] > 0.95
    pages = {path.name for path in (clone.root / "results" / "report").glob("*.html")}
    assert pages == {"index.html", "claims.html", "lungs.html", "data-lungs.html", "mine.html", "data-mine.html"}
    clone.assert_clean()

    (clone.root.parent / "mine" / "images" / "00.png").unlink()
    changed = json.loads(clone.run("dvc", "status", "--json"))
    assert set(changed) == {"pack@mine"}, "a changed folder is noticed, and DVC asks for nothing else to be packed"


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


def test_two_engines_at_once_both_end_well(fresh: Clone, tmp_path: Path) -> None:
    clone = fresh.copy(tmp_path / "bakeoff")
    both = [clone.popen(*SNAKEMAKE), clone.popen("dvc", "repro")]
    outputs = [each.communicate(timeout=500)[0] for each in both]
    assert [each.returncode for each in both] == [0, 0], outputs
    clone.assert_clean()
    assert "Nothing to be done" in clone.run(*SNAKEMAKE)


def test_a_stage_that_fails_is_named_and_the_others_finish(clone: Clone) -> None:
    loop = clone.root / "workflow" / "bakeoff" / "models" / "unet.py"
    whole = loop.read_text()
    loop.write_text(whole + "\nraise RuntimeError('planted')\n")
    clone.set("experiments.thresholds.lungs-li={dataset: lungs, task: lungs, method: li, foreground: dark}")
    output = clone.run(*SNAKEMAKE, code=1)
    assert "logs/fit-network/lungs-unet.log" in output
    assert "planted" in output, "the failed log is shown"
    assert (clone.root / "results" / "experiments" / "lungs-li" / "metrics.json").is_file()
    loop.write_text(whole)
    ran = clone.executed(*SNAKEMAKE)
    assert "predict-threshold@lungs-li" not in ran, "what had finished is not done again"
    clone.assert_clean()


def test_metrics_diff_shows_a_changed_parameter(clone: Clone) -> None:
    clone.set("experiments.thresholds.lungs-otsu.foreground=bright")
    clone.run("dvc", "repro")
    diff = json.loads(clone.run("dvc", "metrics", "diff", "--json"))
    metrics = json.dumps(diff)
    assert "results/experiments/lungs-otsu/metrics.json" in metrics
    assert "lungs-multiotsu3" not in metrics, "what did not change is not shown"


def test_an_experiment_of_dvc_changes_the_profile_of_a_copy(clone: Clone) -> None:
    clone.run("dvc", "exp", "run", "--temp", "-S", "seeds.sample=2")
    assert "seeds" in clone.run("dvc", "exp", "show", "--csv")


def test_killed_outright_the_same_command_goes_on(fresh: Clone, tmp_path: Path) -> None:
    clone = fresh.copy(tmp_path / "bakeoff")
    clone.set("recipes.from-scratch.sample.epochs=30", "recipes.from-scratch.sample.patience=30")
    log = clone.root / "logs" / "fit-network" / "lungs-unet.log"
    engine = clone.popen(*SNAKEMAKE, start_new_session=True)
    deadline = time.time() + 240
    while time.time() < deadline and not (log.exists() and "epoch" in log.read_text()):
        time.sleep(0.1)
    os.kill(engine.pid, signal.SIGKILL)  # Snakemake alone: dvc and the training stay behind as orphans
    clone.run(*SNAKEMAKE)
    clone.assert_clean()
