"""What a revision of the project says: its configuration, its scores and its data, from git and DVC's cache, or from
the files.

Nothing is checked out, and DVC's own files are read as they lie: `dvc.lock` in git, contents in the cache by their MD5.
"""

import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import pandas as pd
from ruamel.yaml import YAML, YAMLError

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.layout import Project

WORKSPACE = "workspace"


class Revision(Protocol):
    """Where files are read from; paths are relative to the project's folder."""

    name: str

    def md5(self, path: str) -> str | None:
        """MD5 of a file that the pipeline wrote, without reading it where DVC knows it; None if there is no such file.

        DVC may know a file whose contents it does not have, and not know one in a folder whose list it does not have.
        """
        ...

    def read(self, path: str) -> str:
        """Text of a file.

        Raises
        ------
        BakeoffError
            If it is not there.
        """
        ...

    def absent(self, path: str) -> str:
        """A sentence that says why a file is not there, and how to get it."""
        ...

    def __hash__(self) -> int: ...


class Workspace:
    """The files as they are now, whatever git and DVC know of them."""

    name = WORKSPACE

    def __init__(self, root: Path) -> None:
        self._root = root

    def md5(self, path: str) -> str | None:
        """MD5 of a file, None if there is none."""
        file = self._root / path
        return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest() if file.is_file() else None

    def read(self, path: str) -> str:
        """Text of a file."""
        try:
            return (self._root / path).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise BakeoffError(self.absent(path)) from None

    def absent(self, path: str) -> str:
        """That the file is not there."""
        return f"{path} is missing: run `dvc pull`, or `dvc repro` to make it."


class Committed:
    """A commit, tag or branch: git's files, and those that its `dvc.lock` names, from DVC's cache or remote."""

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self._root = root
        if self._run("git", "rev-parse", "--git-dir") is None or not (root / ".dvc").is_dir():
            raise BakeoffError(
                f"DVC cannot open revision '{name}' of this folder: it is no repository of git and DVC; "
                "run `git init && git add --all && git commit -m start` in it."
            )
        if self._run("git", "rev-parse", "--verify", f"{name}^{{commit}}") is None:
            raise BakeoffError(
                f"There is no revision '{name}': name a commit, a tag or a branch that `git log` knows, run `git "
                "fetch` first if it is someone else's, or `git add --all && git commit -m start` if there is none yet."
            )

    def md5(self, path: str) -> str | None:
        """MD5 of a file as `dvc.lock` has it, None if it has none."""
        out = self._out_of(path)
        if out is None or out == path:
            return None if out is None else self._outs[out]
        return self._listed(out).get(PurePosixPath(path).relative_to(out).as_posix())

    def read(self, path: str) -> str:
        """Text of a file."""
        content = self._run("git", "show", f"{self.name}:./{path}")
        if content is None:
            file = self._file(path)
            content = file.read_bytes() if file else None
        if content is None:
            raise BakeoffError(self.absent(path))
        return content.decode()

    def absent(self, path: str) -> str:
        """Whether DVC has lost the file, or never had it."""
        if self._out_of(path):
            return (
                f"{path} of revision '{self.name}' is in neither DVC's cache nor a remote that this clone has: run "
                "`dvc fetch --all-commits`, which is `dvc pull` for every revision."
            )
        return f"Revision '{self.name}' has no {path}: name one whose dvc.lock was committed after `dvc repro`."

    @cached_property
    def _outs(self) -> dict[str, str]:
        """MD5 of every output in `dvc.lock`, by path; that of a folder ends in `.dir`."""
        text = self._run("git", "show", f"{self.name}:./dvc.lock")
        stages = (YAML(typ="safe").load(text.decode()) or {}).get("stages", {}) if text else {}
        return {str(out["path"]): str(out["md5"]) for stage in stages.values() for out in stage.get("outs", [])}

    def _out_of(self, path: str) -> str | None:
        """The output that a file is, or lies in."""
        places = (path, *(parent.as_posix() for parent in PurePosixPath(path).parents))
        return next((each for each in places if each in self._outs), None)

    def _listed(self, out: str) -> dict[str, str]:
        """MD5 of every file in a folder, by its path there; empty if the list is in no cache and no remote."""
        if (cached := self._cached(self._outs[out])).is_file():
            return {str(file["relpath"]): str(file["md5"]) for file in json.loads(cached.read_text())}
        folder = self._fetched(out)
        files = [path for path in folder.rglob("*") if path.is_file()] if folder else []
        return {
            path.relative_to(str(folder)).as_posix(): hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
            for path in files
        }

    def _file(self, path: str) -> Path | None:
        """Where the contents of a file of DVC's are: in its cache, else fetched; None if they are nowhere."""
        md5, out = self.md5(path), self._out_of(path)
        if md5 is None or out is None:
            return None
        if (cached := self._cached(md5)).is_file():
            return cached
        fetched = self._fetched(out)
        file = fetched / PurePosixPath(path).relative_to(out) if fetched else None
        return file if file and file.is_file() else None

    def _cached(self, md5: str) -> Path:
        return self._cache / "files" / "md5" / md5[:2] / md5[2:]

    @cached_property
    def _cache(self) -> Path:
        folder = self._run("dvc", "cache", "dir")
        return self._root / (folder.decode().strip() if folder else ".dvc/cache")

    @cached_property
    def _beside(self) -> TemporaryDirectory[str]:
        """Where outputs are fetched to; it is removed with this object."""
        return TemporaryDirectory()

    @cached_property
    def _has_remote(self) -> bool:
        return bool(self._run("dvc", "config", "core.remote"))

    def _fetched(self, out: str) -> Path | None:
        """An output from the remote, if there is one that has it."""
        to = Path(self._beside.name) / self._outs[out]
        if not to.exists() and self._has_remote:
            self._run("dvc", "get", "--quiet", "--rev", self.name, ".", out, "--out", str(to))
        return to if to.exists() else None

    def _run(self, *command: str) -> bytes | None:
        """The output of a command, None if it fails."""
        done = subprocess.run(command, cwd=self._root, capture_output=True)
        return done.stdout if done.returncode == 0 else None


def open_revision(name: str, root: Path) -> Revision:
    """Open a commit, tag or branch, or the `workspace`.

    Raises
    ------
    BakeoffError
        If git knows no such revision, or the folder is no repository.
    """
    return Workspace(root) if name == WORKSPACE else Committed(name, root)


@dataclass(frozen=True)
class Entry:
    """What an experiment of the configuration is about.

    Attributes
    ----------
    task
        Where its scores are.
    dataset
        Whose images it predicts.
    kind
        segmentation or classification.
    target
        The label that is predicted; None for masks.
    score
        What masks are ranked by, as the configuration says it.
    """

    task: str
    dataset: str
    kind: str
    target: str | None
    score: Any = None


def read_entries(revision: Revision) -> dict[str, Entry]:
    """Every experiment of a revision's configuration, by name, in its order.

    The configuration is not checked: an older one need not be valid today.

    Raises
    ------
    BakeoffError
        If it has no tasks and experiments as they are written today.
    """
    text = revision.read("params.yaml")
    try:
        config = YAML(typ="safe").load(StringIO(text))
        tasks, experiments = config["tasks"], config["experiments"]
        baselines = ((name, task) for task, group in experiments["baselines"].items() for name in group["methods"])
        networks = ((name, network["task"]) for name, network in experiments["networks"].items())
        return {name: _entry(task, tasks[task]) for name, task in (*baselines, *networks)}
    except (YAMLError, KeyError, TypeError, AttributeError):
        raise BakeoffError(
            f"params.yaml of '{revision.name}' is not written as this version of Bakeoff reads it: name a revision "
            "whose configuration has `tasks`, `experiments.baselines` and `experiments.networks`."
        ) from None


def _entry(name: str, task: Mapping[str, Any]) -> Entry:
    return Entry(name, task["dataset"], task["kind"], task.get("target"), task.get("score"))


@dataclass(frozen=True)
class Images:
    """A data set of a revision.

    Attributes
    ----------
    groups
        Group of every image, by id.
    drawn_from
        SHA-256 of the archives if they were drawn, whose images share names with others that were drawn, or with real
        ones; empty for real images, whose names say what they are.
    about
        Its `dataset.json`.
    """

    groups: pd.Series
    drawn_from: tuple[str, ...]
    about: Mapping[str, Any]


def read_images(revision: Revision, dataset: str) -> Images:
    """Read what a revision says of a data set."""
    folder = Project().prepared(dataset).as_posix()
    about = json.loads(revision.read(f"{folder}/dataset.json"))
    archives = about["provenance"]["files"] if about["synthetic"] else []
    index = pd.read_csv(StringIO(revision.read(f"{folder}/index.csv")), dtype=str, keep_default_na=False)
    return Images(index.set_index("id")["group"], tuple(sorted(archive["sha256"] for archive in archives)), about)


def scores_path(task: str, experiment: str) -> str:
    """Where the scores of an experiment are."""
    return (Project().evaluated(task, experiment) / "scores.csv").as_posix()


def read_scores(revision: Revision, path: str, column: str) -> pd.DataFrame:
    """`id`, `seed` and one score of every image and seed, from a file that `scores_path` names."""
    scores = pd.read_csv(StringIO(revision.read(path)), dtype={"id": str}, keep_default_na=False)
    if scores.empty or column not in scores:
        raise BakeoffError(f"{path} of '{revision.name}' has no column '{column}', or no rows: run `dvc repro` there.")
    return scores[["id", "seed", column]]
