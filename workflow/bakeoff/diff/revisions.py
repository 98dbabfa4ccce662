"""What a revision of the project says: its configuration, its scores and its data, from git and DVC's cache, or from
the files.

Nothing is checked out. DVC and git are imported when a revision is opened and not before.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
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
        """Why a file is not there, and how to get it, in a sentence."""
        ...


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
        from dvc.api import DVCFileSystem
        from dvc.exceptions import DvcException
        from dvc.scm import RevError
        from dvc_data.index import DataIndexDirError

        self.name = name
        self._files = DVCFileSystem(repo=str(root), rev=name)
        # The latter of a file in a folder whose list of files is not there.
        self._missing = (FileNotFoundError, DataIndexDirError)
        try:
            self._known("dvc.lock")  # reads the revision's dvc.yaml and dvc.lock, as everything after it does
        except RevError:
            raise BakeoffError(
                f"There is no revision '{name}': name a commit, a tag or a branch that `git log` knows, and run "
                "`git fetch` first if it is someone else's."
            ) from None
        except DvcException as error:
            raise BakeoffError(f"DVC cannot open revision '{name}' of this folder: {error}.") from None

    def md5(self, path: str) -> str | None:
        """MD5 of a file as `dvc.lock` has it, None if it has none."""
        md5 = self._known(path).get("md5")
        return None if md5 is None else str(md5)

    def read(self, path: str) -> str:
        """Text of a file."""
        try:
            return str(self._files.read_text(path, encoding="utf-8"))
        except self._missing:
            raise BakeoffError(self.absent(path)) from None

    def absent(self, path: str) -> str:
        """Whether DVC has lost the file, or never had it."""
        if any(self.md5(str(each)) for each in (Path(path), *Path(path).parents)):
            return (
                f"{path} of revision '{self.name}' is in neither DVC's cache nor a remote that this clone has: run "
                "`dvc fetch --all-commits`, which is `dvc pull` for every revision."
            )
        return f"Revision '{self.name}' has no {path}: name one whose dvc.lock was committed after `dvc repro`."

    def _known(self, path: str) -> Mapping[str, Any]:
        """What git and DVC know of a path; nothing if they do not know it."""
        try:
            return dict(self._files.info(path))
        except self._missing:
            return {}


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
    """

    task: str
    dataset: str
    kind: str
    target: str | None


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
    return Entry(name, task["dataset"], task["kind"], task.get("target"))


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
    """

    groups: pd.Series
    drawn_from: tuple[str, ...]


def read_images(revision: Revision, dataset: str) -> Images:
    """Read what a revision says of a data set."""
    folder = Project().prepared(dataset).as_posix()
    about = json.loads(revision.read(f"{folder}/dataset.json"))
    archives = about["provenance"]["files"] if about["synthetic"] else []
    index = pd.read_csv(StringIO(revision.read(f"{folder}/index.csv")), dtype=str, keep_default_na=False)
    return Images(index.set_index("id")["group"], tuple(sorted(archive["sha256"] for archive in archives)))


def scores_path(task: str, experiment: str) -> str:
    """Where the scores of an experiment are."""
    return (Project().evaluated(task, experiment) / "scores.csv").as_posix()


def read_scores(revision: Revision, path: str, column: str) -> pd.DataFrame:
    """`id`, `seed` and one score of every image and seed, from a file that `scores_path` names."""
    scores = pd.read_csv(StringIO(revision.read(path)), dtype={"id": str}, keep_default_na=False)
    if scores.empty or column not in scores:
        raise BakeoffError(f"{path} of '{revision.name}' has no column '{column}', or no rows: run `dvc repro` there.")
    return scores[["id", "seed", column]]
