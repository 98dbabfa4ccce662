"""Where a training stands, on disk after every epoch, whole or not at all.

A checkpoint is `epoch-NNNNNN.json` (the history, which files it needs, their checksums) with the tensors in safetensors
beside it. The JSON is written last, so whatever it names was complete; checksums find what a disk or a power cut tore
all the same, and then the checkpoint before is taken. So the tensors need not be flushed to the disk, which would cost
a training of short epochs more than the epochs. A finished training keeps its best weights and its record,
`finished.json`, until its stage is recorded: a stage that is killed between two seeds trains none of them twice.
"""

import hashlib
import json
import os
import sys
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors.torch import load_file, save_file
from torch import Tensor

from bakeoff.artefacts.checkpoints import FINISHED
from bakeoff.artefacts.errors import BakeoffError

KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """A training after an epoch.

    Attributes
    ----------
    history
        One row an epoch.
    state
        Weights and optimiser, by name.
    best
        Weights of the best epoch, by name.
    """

    history: list[dict[str, float]]
    state: dict[str, Tensor]
    best: dict[str, Tensor]


def key_of(determinants: Mapping[str, Any]) -> str:
    """32 hex digits that change when anything that determines a training changes; its values go through JSON."""
    text = json.dumps(determinants, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class CheckpointFolder:
    """The checkpoints of one training; use it within `held`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # The checkpoint that was last read or written.
        self._last: Path | None = None

    @contextmanager
    def held(self, what: str) -> Iterator[None]:
        """Hold the folder, waiting for another process that has it; the system frees it when its holder dies."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print(f"{what}: another process is training this: waiting for it.", file=sys.stderr, flush=True)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def save(
        self, history: list[dict[str, float]], state: Mapping[str, Tensor], best: Mapping[str, Tensor] | None
    ) -> None:
        """Write the checkpoint of the epoch that `history` ends with; `best` None keeps those of the last checkpoint.

        Raises
        ------
        BakeoffError
            If the disk does not take it.
        """
        epoch = len(history)
        try:
            entry = {
                "history": history,
                "state": self._write_tensors(f"state-{epoch:06d}.safetensors", state),
                "best": self._write_tensors(f"best-{epoch:06d}.safetensors", best) if best else self._last_best(),
            }
            self._last = self.folder / f"epoch-{epoch:06d}.json"
            _write_whole(self._last, json.dumps(entry).encode())
        except OSError as error:
            raise BakeoffError(
                f"The checkpoint in {self.folder} could not be written ({error}): make room there."
            ) from None
        self._prune()

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole, or None."""
        for path in self._newest_first():
            try:
                entry = json.loads(path.read_text())
                found = Checkpoint(
                    entry["history"], self._read_tensors(entry["state"]), self._read_tensors(entry["best"])
                )
                self._last = path
                return found
            except (OSError, ValueError, KeyError, TypeError) as error:
                print(f"Checkpoint {path} is damaged ({error}): taking the one before.", file=sys.stderr, flush=True)
        return None

    def finish(self, best: Mapping[str, Tensor], record: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
        """Keep the best weights, the record and what the stage depended on; drop what was needed to go on."""
        entry = {"record": record, "best": self._write_tensors("finished.safetensors", best), "inputs": inputs}
        _write_whole(self.folder / FINISHED, json.dumps(entry).encode())
        for path in self.folder.iterdir():
            if path.name not in (FINISHED, "finished.safetensors", "lock"):
                path.unlink()

    def keep_for(self, inputs: Mapping[str, Any]) -> None:
        """Of a finished training: what the stage that uses it now depends on, which may have more seeds than before."""
        entry = json.loads((self.folder / FINISHED).read_text())
        if entry["inputs"] != inputs:
            _write_whole(self.folder / FINISHED, json.dumps({**entry, "inputs": inputs}).encode())

    def finished(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Best weights and record of a training that came to its end, or None."""
        try:
            entry = json.loads((self.folder / FINISHED).read_text())
            return self._read_tensors(entry["best"]), entry["record"]
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob("epoch-*.json"), reverse=True)

    def _last_best(self) -> dict[str, Any]:
        if self._last is None:
            raise ValueError("the first checkpoint needs the best weights")
        best: dict[str, Any] = json.loads(self._last.read_text())["best"]
        return best

    def _write_tensors(self, name: str, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
        part = self.folder / f"{name}.part"
        # safetensors stores row-major tensors alone; the channels-last ones are turned round.
        save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, part)
        entry = {"file": name, "bytes": part.stat().st_size, "crc32": _crc32(part)}
        part.replace(self.folder / name)
        return entry

    def _read_tensors(self, entry: Mapping[str, Any]) -> dict[str, Tensor]:
        path = self.folder / entry["file"]
        if path.stat().st_size != entry["bytes"] or _crc32(path) != entry["crc32"]:
            raise ValueError(f"{path.name} is not what was written")
        return load_file(path)

    def _prune(self) -> None:
        """Drop all but the newest two checkpoints and the files that they name, and what a kill left half written."""
        kept = self._newest_first()[:KEPT]
        named = {"lock"}
        for path in kept:
            entry = json.loads(path.read_text())
            named |= {path.name, entry["state"]["file"], entry["best"]["file"]}
        for path in self.folder.iterdir():
            if path.name not in named:
                path.unlink()


def _write_whole(path: Path, content: bytes) -> None:
    """Write beside, flush to the disk, rename, and flush the folder, so that a power cut finds the old or the new."""
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _crc32(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(2**24):
            checksum = zlib.crc32(block, checksum)
    return checksum
