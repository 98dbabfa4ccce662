"""Checkpoints: whole or not at all, one process at a time."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from bakeoff.training.checkpoint import CheckpointFolder, key_of


def history(epochs: int) -> list[dict[str, float]]:
    return [{"epoch": epoch, "validation_score": epoch / 10 + 1 / 3} for epoch in range(1, epochs + 1)]


def tensors(value: float) -> dict[str, torch.Tensor]:
    return {"network.weight": torch.full((2, 3, 4, 5), value), "optimizer.0.step": torch.tensor(value)}


@pytest.fixture
def checkpoints(tmp_path: Path) -> CheckpointFolder:
    folder = CheckpointFolder(tmp_path / "key")
    with folder.held("test"):
        pass
    return folder


def names(checkpoints: CheckpointFolder) -> list[str]:
    return sorted(path.name for path in checkpoints.folder.iterdir())


def test_nothing_is_there_at_first(checkpoints: CheckpointFolder) -> None:
    assert checkpoints.latest() is None
    assert checkpoints.finished() is None


def test_what_was_saved_comes_back_exactly(checkpoints: CheckpointFolder) -> None:
    generator = torch.Generator().manual_seed(0)
    state = {
        "network.weight": torch.randn(4, 3, 3, 3, generator=generator).contiguous(memory_format=torch.channels_last),
        "network.counter": torch.tensor(7),
        "optimizer.0.exp_avg": torch.randn(5, generator=generator),
    }
    checkpoints.save(history(1), state, {"weight": torch.ones(2)})
    saved = checkpoints.latest()
    assert saved is not None
    assert saved.history == history(1)
    assert saved.state.keys() == state.keys()
    assert all(torch.equal(saved.state[key], state[key]) for key in state)
    assert torch.equal(saved.best["weight"], torch.ones(2))


def test_best_weights_stay_until_there_are_better(checkpoints: CheckpointFolder) -> None:
    checkpoints.save(history(1), tensors(1), tensors(10))
    for epoch in (2, 3, 4, 5):
        checkpoints.save(history(epoch), tensors(epoch), None)
    saved = checkpoints.latest()
    assert saved is not None
    assert saved.state["network.weight"].unique().tolist() == [5]
    assert saved.best["network.weight"].unique().tolist() == [10]


def test_two_checkpoints_are_kept_and_nothing_else(checkpoints: CheckpointFolder) -> None:
    for epoch in (1, 2, 3, 4):
        checkpoints.save(history(epoch), tensors(epoch), tensors(epoch) if epoch < 4 else None)
    assert names(checkpoints) == [
        "best-000003.safetensors",
        "epoch-000003.json",
        "epoch-000004.json",
        "lock",
        "state-000003.safetensors",
        "state-000004.safetensors",
    ]


@pytest.mark.parametrize("torn", ["epoch-000002.json", "state-000002.safetensors", "best-000002.safetensors"])
@pytest.mark.parametrize("how", ["cut short", "one byte changed", "empty", "missing"])
def test_a_torn_checkpoint_is_passed_over(
    checkpoints: CheckpointFolder, torn: str, how: str, capfd: pytest.CaptureFixture[str]
) -> None:
    checkpoints.save(history(1), tensors(1), tensors(1))
    checkpoints.save(history(2), tensors(2), tensors(2))
    path = checkpoints.folder / torn
    content = bytearray(path.read_bytes())
    if how == "cut short":
        path.write_bytes(content[: len(content) // 2])
    elif how == "one byte changed":
        content[-3] ^= 0xFF
        path.write_bytes(content)
    elif how == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()
    saved = checkpoints.latest()
    assert saved is not None
    assert saved.history == history(1)
    assert saved.state["network.weight"].unique().tolist() == [1]
    if torn.endswith("json") and how == "missing":
        return  # no trace of the second epoch: nothing to tell
    assert "is damaged" in capfd.readouterr().err


def test_after_a_torn_checkpoint_the_next_save_mends_the_folder(checkpoints: CheckpointFolder) -> None:
    for epoch in (1, 2):
        checkpoints.save(history(epoch), tensors(epoch), tensors(epoch))
    (checkpoints.folder / "epoch-000002.json").write_text("{")
    assert checkpoints.latest() is not None
    for epoch in (2, 3):
        checkpoints.save(history(epoch), tensors(epoch), None)
    saved = checkpoints.latest()
    assert saved is not None
    assert saved.history == history(3)
    assert saved.best["network.weight"].unique().tolist() == [1]


def test_what_a_kill_left_half_written_is_swept_away(checkpoints: CheckpointFolder) -> None:
    (checkpoints.folder / "state-000001.safetensors.part").write_bytes(b"half")
    assert checkpoints.latest() is None
    checkpoints.save(history(1), tensors(1), tensors(1))
    assert not list(checkpoints.folder.glob("*.part"))


def test_a_finished_training_keeps_its_best_weights_and_record_alone(checkpoints: CheckpointFolder) -> None:
    checkpoints.save(history(1), tensors(1), tensors(1))
    inputs = {"stage": "train@discs", "deps": {"a": "1"}, "params": {}}
    checkpoints.finish({"weight": torch.arange(3.0)}, {"history": history(2), "seed": 4}, inputs)
    assert names(checkpoints) == ["finished.json", "finished.safetensors", "lock"]
    finished = checkpoints.finished()
    assert finished is not None
    assert finished[0]["weight"].tolist() == [0, 1, 2]
    assert finished[1] == {"history": history(2), "seed": 4}
    assert json.loads((checkpoints.folder / "finished.json").read_text())["inputs"] == inputs
    (checkpoints.folder / "finished.safetensors").write_bytes(b"torn")
    assert checkpoints.finished() is None


def test_no_pickle_is_written(checkpoints: CheckpointFolder) -> None:
    checkpoints.save(history(1), tensors(1), tensors(1))
    for path in checkpoints.folder.glob("*.safetensors"):
        length = int.from_bytes(path.read_bytes()[:8], "little")
        assert set(json.loads(path.read_bytes()[8 : 8 + length])) == set(tensors(1))


def test_the_key_follows_every_value_and_not_their_order() -> None:
    assert key_of({"seed": 1, "recipe": {"a": 1, "b": 2}}) == key_of({"recipe": {"b": 2, "a": 1}, "seed": 1})
    assert key_of({"seed": 1}) != key_of({"seed": 2})
    assert key_of({"rate": 0.1}) != key_of({"rate": 0.1000001})


HOLDER = """
import sys, time
from pathlib import Path
from bakeoff.training.checkpoint import CheckpointFolder
with CheckpointFolder(Path(sys.argv[1])).held("holder"):
    print("held", flush=True)
    time.sleep(60)
"""

WAITER = HOLDER.replace("time.sleep(60)", "pass")


def test_two_processes_take_turns_and_a_killed_one_gives_way(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path / "key"], stdout=subprocess.PIPE, env=environment)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    waiter = subprocess.Popen(
        [sys.executable, "-c", WAITER, tmp_path / "key"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
    )
    assert waiter.stderr is not None
    try:
        assert waiter.stderr.readline() == "holder: another process is training this: waiting for it.\n"
        time.sleep(0.3)
        assert waiter.poll() is None
        holder.send_signal(signal.SIGKILL)
        assert waiter.communicate(timeout=120)[0] == "held\n"
        assert waiter.returncode == 0
    finally:
        holder.kill()
        waiter.kill()
        holder.communicate()
