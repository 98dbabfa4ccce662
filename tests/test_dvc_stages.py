"""Rules from stages: on a small project of its own, with the real Snakemake and the real DVC."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dvc_stages import STAMP, Stages

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
pytestmark = pytest.mark.engine

PARAMS = "cities: {oslo: {rain: 3, model: big}, rome: {rain: 1, model: tiny}}\nvillages: {}\nscale: 2\nslow: 0\n"
DVC = """
stages:
  measure:
    foreach: ${cities}
    do:
      cmd: |
        echo measure-${key} >> ran.txt && sleep ${slow}
        mkdir -p out/${key} && echo ${item.rain} > out/${key}/rain.txt
      deps: [code]
      params:
        - cities.${key}
      outs:
        - out/${key}
  visit:
    foreach: ${villages}
    do:
      cmd: echo visit-${key} >> ran.txt && echo ${item.rain} > out/${key}.csv
      outs:
        - out/${key}.csv
  sum:
    cmd: echo sum >> ran.txt && cat out/*/rain.txt > total.csv
    params: [scale]
    deps: [out]
    metrics: [total.csv]
"""
SNAKEFILE = f"""
import sys
sys.path.insert(0, {str(ROOT / "workflow")!r})
from dvc_stages import STAMP, Stages
stages = Stages(workflow.basedir, judge=workflow.is_main_process)
rule measure:
    input: stages.inputs("measure")
    output: stages.outputs("measure")
    wildcard_constraints: key=stages.keys("measure")
    log: "logs/{{key}}.log"
    params: repro=stages.repro("measure")
    shell: "{{params.repro}} > {{log}} 2>&1"
rule visit:
    input: stages.inputs("visit")
    output: stages.outputs("visit")
    wildcard_constraints: key=stages.keys("visit")
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
        return self.ran("snakemake", "--cores", "2", "--rerun-triggers", "mtime", "--keep-going")

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


def test_outputs_are_patterns_and_inputs_are_what_other_stages_make(project: Project) -> None:
    stages = Stages(project.root)

    class Oslo:
        key = "oslo"

    assert [str(each) for each in stages.outputs("measure")] == ["out/{key}"]
    assert stages.outputs("measure")[0].flags["directory"]  # type: ignore[attr-defined]
    assert "directory" not in getattr(stages.outputs("sum")[0], "flags", {})
    assert stages.inputs("measure")(Oslo) == [STAMP], "sources are DVC's"
    assert sorted(stages.inputs("sum")(None))[1:] == ["out/oslo", "out/rome"], "a folder stands for the outputs inside"
    assert stages.repro("measure")(Oslo) == "dvc --wait-for-lock repro --single-item measure@oslo"
    assert stages.keys("measure") == "oslo|rome"
    assert stages.parameter("scale") == 2
    assert stages.parameter("cities.oslo.rain") == 3


def test_one_output_of_a_stage_stands_for_all_that_it_makes(project: Project) -> None:
    config = project.root / "dvc.yaml"
    text = config.read_text().replace("/rain.txt\n", "/rain.txt; echo x > out/${key}.log\n", 1)
    config.write_text(text.replace("  - out/${key}\n", "  - out/${key}\n        - out/${key}.log\n", 1))
    stages = Stages(project.root)
    assert sorted(stages.inputs("sum")(None))[1:] == ["out/oslo", "out/rome"]
    assert sorted(stages.everything()) == ["out/oslo", "out/rome", "total.csv"]
    assert project.snakemake() == ["measure-oslo", "measure-rome", "sum"]
    (project.root / "out" / "rome.log").unlink()
    assert project.snakemake() == []
    assert (project.root / "out" / "rome.log").read_text() == "x\n", "restored, though no rule asks for it"


def test_a_group_of_no_stage_makes_no_output_and_gets_in_nobodys_way(project: Project) -> None:
    stages = Stages(project.root)
    assert [str(each) for each in stages.outputs("visit")] == ["out/{key}.csv"]
    assert not any(re.search(stages.keys("visit"), name) for name in ("", "oslo", "rome", "anything"))
    assert project.snakemake() == ["measure-oslo", "measure-rome", "sum"]

    (project.root / "params.yaml").write_text(PARAMS.replace("{}", "{ise: {rain: 4}}"))
    assert project.snakemake() == ["sum", "visit-ise"]


def test_an_output_with_another_interpolation_is_refused(project: Project) -> None:
    text = (project.root / "dvc.yaml").read_text()
    (project.root / "dvc.yaml").write_text(text.replace("- out/${key}", "- out/${key}-${item.model}"))
    with pytest.raises(ValueError, match=r"may interpolate \$\{key\} alone"):
        Stages(project.root).outputs("measure")


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
    assert (project.root / "total.csv").read_text().split() == ["3", "1"]
    assert "up to date" in project.run("dvc", "status")


def test_the_second_dvc_waits_for_the_first(project: Project) -> None:
    (project.root / "params.yaml").write_text(PARAMS.replace("slow: 0", "slow: 4"))
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    both = [
        subprocess.Popen(
            ["dvc", "repro", "--single-item", "measure@oslo"],
            cwd=project.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [each.communicate(timeout=120)[0] for each in both]
    assert [each.returncode for each in both] == [0, 0], outputs
    assert sum("waits:" in output for output in outputs) == 1, outputs
    assert (project.root / "ran.txt").read_text().split() == ["measure-oslo"], "the second restores what the first made"


def test_the_second_dvc_goes_on_when_the_first_is_killed(project: Project) -> None:
    (project.root / "params.yaml").write_text(PARAMS.replace("slow: 0", "slow: 4"))
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    first = subprocess.Popen(
        ["dvc", "repro", "--single-item", "measure@oslo"], cwd=project.root, env=environment, start_new_session=True
    )
    ran = project.root / "ran.txt"
    deadline = time.time() + 60
    while not ran.exists() and time.time() < deadline:
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    project.run("dvc", "repro", "measure@oslo")
    assert ran.read_text().split() == ["measure-oslo", "measure-oslo"]
