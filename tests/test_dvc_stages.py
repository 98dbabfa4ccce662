"""Rules from stages: on a small project of its own, with the real Snakemake and the real DVC."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dvc_stages import STAMP, Stages

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
pytestmark = pytest.mark.engine
SNAKEMAKE = ("snakemake", "--cores", "2", "--rerun-triggers", "mtime", "--nolock")

PARAMS = "cities: {oslo: {land: nor, rain: 3}, rome: {land: ita, rain: 1}}\nvillages: {}\nscale: 2\nslow: 0\n"
DVC = """
stages:
  measure:
    foreach: ${cities}
    do:
      cmd: |
        echo measure-${key} >> ran.txt && sleep ${slow}
        mkdir -p out/${item.land}/${key} && echo ${item.rain} > out/${item.land}/${key}/rain.txt
      deps: [code]
      params:
        - cities.${key}
      outs:
        - out/${item.land}/${key}
  visit:
    foreach: ${villages}
    do:
      cmd: echo visit-${key} >> ran.txt && echo ${item.rain} > out/${key}.csv
      outs:
        - out/${key}.csv
  sum:
    cmd: echo sum >> ran.txt && cat out/*/*/rain.txt > total.csv
    params: [scale]
    deps: [out]
    metrics: [total.csv]
"""
SNAKEFILE = f"""
import sys
sys.path.insert(0, {str(ROOT / "workflow")!r})
from dvc_stages import STAMP, Stages
stages = Stages(workflow)
rule measure:
    input: stages.inputs("measure")
    output: stages.outputs("measure")
    wildcard_constraints: **stages.constraints("measure")
    log: f"{{stages.log('measure')}}.log"
    params: repro=stages.repro("measure")
    shell: "{{params.repro}} > {{log}} 2>&1"
rule visit:
    input: stages.inputs("visit")
    output: stages.outputs("visit")
    wildcard_constraints: **stages.constraints("visit")
    params: repro=stages.repro("visit")
    shell: "{{params.repro}}"
rule sum:
    input: stages.inputs("sum")
    output: stages.outputs("sum")
    params: repro=stages.repro("sum")
    shell: "{{params.repro}}"
rule all:
    default_target: True
    input: stages.everything()
"""


class Project:
    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *command: str, check: bool = True) -> str:
        environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
        done = subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def snakemake(self) -> list[str]:
        return self.ran(*SNAKEMAKE, "--keep-going")

    def dvc_repro(self) -> list[str]:
        return self.ran("dvc", "repro")

    def ran(self, *command: str) -> list[str]:
        """The stages whose command this run executed."""
        (self.root / "ran.txt").unlink(missing_ok=True)
        self.run(*command)
        path = self.root / "ran.txt"
        return sorted(path.read_text().split()) if path.exists() else []


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / "dvc.yaml").write_text(
        DVC.replace("deps: [code]", "deps:\n        - code").replace(" [scale]", "\n      - scale")
    )
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / ".dvcignore").write_text(".snakemake_timestamp\n")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "measure.py").write_text("1\n")
    project.run("git", "init", "-q")
    project.run("dvc", "init", "-q")
    return project


def workflow_of(root: Path, *, main: bool = True, **forced: object) -> Any:
    """What a Snakefile's `workflow` says."""
    settings = {"forceall": False, "forcerun": (), "forcetargets": False, "targets": (), **forced}
    return SimpleNamespace(basedir=str(root), is_main_process=main, dag_settings=SimpleNamespace(**settings))


class Wildcards(SimpleNamespace):
    """As Snakemake hands them to functions."""

    def items(self) -> Any:
        return self.__dict__.items()


OSLO, ROME, NONE = Wildcards(land="nor", key="oslo"), Wildcards(land="ita", key="rome"), Wildcards()


def test_outputs_are_patterns_and_inputs_are_what_other_stages_make(project: Project) -> None:
    stages = Stages(workflow_of(project.root))
    assert [str(each) for each in stages.outputs("measure")] == ["out/{land}/{key}"]
    assert stages.outputs("measure")[0].flags["directory"]  # type: ignore[attr-defined]
    assert "directory" not in getattr(stages.outputs("sum")[0], "flags", {})
    assert stages.inputs("measure")(OSLO) == [STAMP], "sources are DVC's"
    assert sorted(stages.inputs("sum")(NONE))[1:] == ["out/ita/rome", "out/nor/oslo"], "a folder stands for all in it"
    assert stages.repro("measure")(OSLO) == "dvc --wait-for-lock repro --single-item measure@oslo"
    assert stages.constraints("measure") == {"land": "ita|nor", "key": "oslo|rome"}
    assert stages.log("measure") == "logs/measure/{land}/{key}"
    assert stages.log("sum") == "logs/sum"


def test_wildcards_that_no_stage_has_together_are_refused(project: Project) -> None:
    stages = Stages(workflow_of(project.root))
    with pytest.raises(ValueError, match="no stage 'measure@oslo' that makes"):
        stages.repro("measure")(Wildcards(land="ita", key="oslo"))


def test_a_file_inside_another_stages_folder_is_an_edge(project: Project) -> None:
    file = project.root / "dvc.yaml"
    file.write_text(file.read_text().replace("deps: [out]", "deps: [out/nor/oslo/rain.txt]"))
    stages = Stages(workflow_of(project.root))
    assert stages.inputs("sum")(NONE) == ["out/nor/oslo", STAMP]


@pytest.mark.parametrize(
    ("forced", "stages"),
    [
        ({"forceall": True}, {"measure@oslo", "measure@rome", "sum"}),
        ({"forcerun": ("measure",)}, {"measure@oslo", "measure@rome"}),
        ({"forcerun": ("out/nor/oslo",)}, {"measure@oslo"}),
        ({"forcetargets": True, "targets": ("sum",)}, {"sum"}),
        ({}, set()),
    ],
)
def test_what_is_forced(project: Project, forced: dict[str, object], stages: set[str]) -> None:
    found = Stages(workflow_of(project.root, **forced))
    assert found.forced == stages
    assert Stages(workflow_of(project.root, main=False)).forced == stages, "jobs in processes of their own know it too"
    for name, wildcards in {"measure@oslo": OSLO, "measure@rome": ROME, "sum": NONE}.items():
        assert ("--force" in found.repro(name.partition("@")[0])(wildcards)) == (name in stages)


def test_a_forced_run_runs_what_is_named_and_what_follows_only_if_it_changed(project: Project) -> None:
    project.snakemake()
    assert project.ran(*SNAKEMAKE, "-F") == ["measure-oslo", "measure-rome", "sum"]
    assert project.ran(*SNAKEMAKE, "-R", "measure") == ["measure-oslo", "measure-rome"], "the same outputs: no new sum"
    assert project.ran(*SNAKEMAKE, "-R", "out/nor/oslo") == ["measure-oslo"]
    assert project.ran(*SNAKEMAKE) == []
    assert "up to date" in project.run("dvc", "status")


def test_judging_takes_no_lock(project: Project) -> None:
    """A dry run beside a running pipeline must not block the stages that this is about to start."""
    project.snakemake()
    (project.root / "ran.txt").write_text("")
    (project.root / "params.yaml").write_text(PARAMS.replace("rain: 3", "rain: 4").replace("slow: 0", "slow: 90"))
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    running = subprocess.Popen(
        ["dvc", "repro", "measure@oslo"], cwd=project.root, env=environment, start_new_session=True
    )
    rwlock = project.root / ".dvc" / "tmp" / "rwlock"
    while not (project.root / "ran.txt").read_text().endswith("measure-oslo\n") or "oslo" not in rwlock.read_text():
        time.sleep(0.05)
    before = rwlock.read_text()
    assert "measure" in project.run(*SNAKEMAKE, "--dry-run")
    assert running.poll() is None, "it did not wait for the stage"
    assert rwlock.read_text() == before
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def test_one_output_of_a_stage_stands_for_all_that_it_makes(project: Project) -> None:
    config = project.root / "dvc.yaml"
    text = config.read_text().replace("/rain.txt\n", "/rain.txt; echo x > ${item.land}-${key}.log\n", 1)
    outs = "  - out/${item.land}/${key}\n"
    config.write_text(text.replace(outs, f"{outs}        - ${{item.land}}-${{key}}.log\n", 1))
    stages = Stages(workflow_of(project.root))
    assert sorted(stages.inputs("sum")(NONE))[1:] == ["out/ita/rome", "out/nor/oslo"]
    assert sorted(stages.everything()) == ["out/ita/rome", "out/nor/oslo", "total.csv"]
    assert project.snakemake() == ["measure-oslo", "measure-rome", "sum"]
    (project.root / "ita-rome.log").unlink()
    assert project.snakemake() == []
    assert (project.root / "ita-rome.log").read_text() == "x\n", "restored, though no rule asks for it"


def test_a_group_of_no_stage_makes_no_output_and_gets_in_nobodys_way(project: Project) -> None:
    stages = Stages(workflow_of(project.root))
    assert [str(each) for each in stages.outputs("visit")] == ["out/{key}.csv"]
    nothing = stages.constraints("visit")["key"]
    assert not any(re.search(nothing, name) for name in ("", "oslo", "rome", "anything"))
    assert project.snakemake() == ["measure-oslo", "measure-rome", "sum"]

    (project.root / "params.yaml").write_text(PARAMS.replace("{}", "{ise: {rain: 4}}"))
    assert project.snakemake() == ["sum", "visit-ise"]


def test_either_engine_finds_nothing_to_do_after_the_other(project: Project) -> None:
    assert project.snakemake() == ["measure-oslo", "measure-rome", "sum"]
    assert "up to date" in project.run("dvc", "status")
    assert project.dvc_repro() == []
    assert project.snakemake() == []


def test_snakemake_runs_nothing_after_dvc(project: Project) -> None:
    assert project.dvc_repro() == ["measure-oslo", "measure-rome", "sum"]
    assert project.snakemake() == []
    assert "Nothing to be done" in project.run("snakemake", "--cores", "2", "--rerun-triggers", "mtime")


def test_timestamps_alone_run_nothing(project: Project) -> None:
    project.snakemake()
    later = time.time() + 1000
    os.utime(project.root / "code" / "measure.py", (later, later))
    os.utime(project.root / "params.yaml", (later, later))
    assert project.snakemake() == []


def test_a_change_with_an_old_timestamp_is_seen(project: Project) -> None:
    project.snakemake()
    config = project.root / "params.yaml"
    config.write_text(PARAMS.replace("rain: 3", "rain: 5"))
    os.utime(config, (1, 1))
    assert project.snakemake() == ["measure-oslo", "sum"]


def test_a_change_taken_back_is_restored(project: Project) -> None:
    project.snakemake()
    (project.root / "params.yaml").write_text(PARAMS.replace("rain: 3", "rain: 5"))
    assert project.snakemake() == ["measure-oslo", "sum"]
    (project.root / "params.yaml").write_text(PARAMS)
    assert project.snakemake() == []
    assert (project.root / "total.csv").read_text().split() == ["1", "3"]
    assert "up to date" in project.run("dvc", "status")
