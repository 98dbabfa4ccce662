"""The lock of a clone: who waits, who is refused, and that nothing stale is left."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from bakeoff import engine
from bakeoff.artefacts.errors import BakeoffError

HOLD = """
import sys, time
from pathlib import Path
from bakeoff.engine import hold_clone
hold_clone(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def nothing_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_held", {})
    monkeypatch.delenv(engine.HELD, raising=False)


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[str]:
    """Another process that holds the clone."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process  # type: ignore[misc]
    process.kill()
    process.wait()


def test_a_second_engine_is_refused_with_the_name_and_process_of_the_first(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    sentence = rf"snakemake \(process {holder.pid}\) runs in this folder: type the same command again"
    with pytest.raises(BakeoffError, match=sentence):
        engine.hold_clone(tmp_path)
    with pytest.raises(BakeoffError, match=sentence):
        engine.join_engine(tmp_path, "")


def test_what_dvc_removed_is_restored_and_what_a_user_types_removed_nothing(
    tmp_path: Path, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    restored: list[str] = []
    monkeypatch.setattr(engine, "_restore", lambda _, stage: restored.append(stage))
    for stage in ("split@lungs", ""):
        with pytest.raises(BakeoffError):
            engine.join_engine(tmp_path, stage)
    assert restored == ["split@lungs"], "DVC takes no name at all for all outputs"


def test_stages_of_the_engine_that_holds_the_clone_run(
    tmp_path: Path, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(engine.HELD, f"{platform.node()}:{holder.pid}")
    engine.join_engine(tmp_path, "split@lungs")


def test_a_killed_holder_leaves_nothing_behind(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    engine.hold_clone(tmp_path)
    assert os.environ[engine.HELD] == f"{platform.node()}:{os.getpid()}"


def test_two_stages_in_one_process_share_the_lock(tmp_path: Path) -> None:
    engine.join_engine(tmp_path, "")
    engine.join_engine(tmp_path, "")


def test_what_dvc_still_runs_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "dvc"])
    rwlock = tmp_path / ".dvc" / "tmp" / "rwlock"
    rwlock.parent.mkdir(parents=True)
    info = {"pid": left.pid, "cmd": "dvc repro train@x"}
    dead = {"pid": 2**22 + 1, "cmd": "dvc repro split@x"}
    rwlock.write_text(json.dumps({"write": {"/results/x": info}, "read": {"/data/x": [info, dead]}}))

    def end(seconds: float) -> None:
        left.kill()
        left.wait()

    monkeypatch.setattr(engine.time, "sleep", end)
    engine.hold_clone(tmp_path)
    assert capsys.readouterr().err == (
        f"Waiting for what an earlier run left behind: dvc repro train@x (process {left.pid}).\n"
    )


@pytest.mark.parametrize(("host", "alive"), [(platform.node(), False), ("another-node", True)])
def test_a_stage_whose_engine_is_gone_takes_the_lock_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, alive: bool
) -> None:
    monkeypatch.setenv(engine.HELD, f"{host}:{2**22 + 1}")
    engine.join_engine(tmp_path, "split@lungs")
    assert (tmp_path / ".bakeoff" / "engine.json").exists() is not alive, "of another host nothing is known"


def test_a_dvc_repro_that_is_between_two_stages_is_not_interrupted(tmp_path: Path) -> None:
    (tmp_path / ".bakeoff").mkdir()
    about = {"name": "dvc", "host": platform.node(), "engine": os.getppid()}
    (tmp_path / ".bakeoff" / "engine.json").write_text(json.dumps(about))
    with pytest.raises(BakeoffError, match=rf"dvc \(process {os.getppid()}\) runs in this folder"):
        engine.hold_clone(tmp_path)
    about["engine"] = 2**22 + 1
    (tmp_path / ".bakeoff" / "engine.json").write_text(json.dumps(about))
    engine.hold_clone(tmp_path)
