"""Snakemake rules from DVC stages: `dvc.yaml` says what, a rule adds only when and where.

Lift this file into any project that has a `dvc.yaml`; it needs DVC and Snakemake and nothing else::

    from dvc_stages import Stages
    stages = Stages(workflow.basedir)

    rule train:                                  # the stage group `train`, templated by foreach in dvc.yaml
        input: stages.inputs("train")
        output: stages.outputs("train")
        wildcard_constraints: key=stages.keys("train")
        params: repro=stages.repro("train")
        shell: "{params.repro}"

    rule all:
        input: stages.everything()

DVC alone decides what is out of date. It compares contents, where Snakemake compares timestamps, and a cache that
restores files changes those. So the inputs of a stage that DVC calls up to date are `ancient` to Snakemake, and a stage
that it calls changed, with everything below it, gets a stamp from this very moment among its inputs. Run Snakemake
with `--rerun-triggers mtime` (in the default profile), the trigger that this steers.

Conventions: `${key}` is the only interpolation in an output, and becomes the wildcard `{key}`; an output whose name
has no suffix is a directory.
"""

import re
import shlex
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

import networkx as nx
import yaml
from dvc.dependency import param
from dvc.lock import LockError
from dvc.repo import Repo, lock_repo
from snakemake.io import ancient, directory, report

STAMP = ".snakemake/dvc-says-changed"
_OUTPUT_KINDS = ("outs", "metrics", "plots")


class Stages:
    """The stages of the `dvc.yaml` in `root`, as inputs, outputs and shell commands of rules.

    Parameters
    ----------
    root
        Folder of `dvc.yaml`; Snakemake runs there.
    judge
        Whether to ask DVC what is out of date. A job that the main process has handed to a cluster does not judge
        again: that it is to run was decided.
    """

    def __init__(self, root: str | Path = ".", judge: bool = True) -> None:
        self._repo = Repo(str(root), _wait_for_lock=True)
        self._root = Path(self._repo.root_dir)
        self._templates: dict[str, Any] = yaml.safe_load((self._root / "dvc.yaml").read_text())["stages"]
        # One lock around both, since DVC reads all stages again for each.
        with lock_repo(self._repo) if judge else nullcontext():
            self._stages: dict[str, Any] = {stage.name: stage for stage in self._repo.index.stages}
            self.changed = self._changed() if judge else frozenset()
        self._made: dict[str, list[tuple[str, str]]] = {}
        self._pull = "--pull " if self._repo.config["core"].get("remote") else ""
        if self.changed:
            stamp = self._root / STAMP
            stamp.parent.mkdir(exist_ok=True)
            # New contents each time: Snakemake takes a small file of the same checksum for unchanged.
            stamp.write_text(f"{time.time_ns()}\n")

    def keys(self, group: str) -> str:
        """A regular expression for the keys of a group: rules whose outputs look alike need it as a constraint."""
        keys = [name.partition("@")[2] for name in self._stages if name.partition("@")[0] == group]
        return "|".join(map(re.escape, keys)) or "(?!)"  # a group of no stage matches nothing

    def outputs(self, group: str, in_report: dict[str, dict[str, Any]] | None = None) -> list[str]:
        """Output patterns of a group, `{key}` for the wildcard; folders are flagged as such.

        `in_report` maps a suffix to keyword arguments of Snakemake's `report()` for the outputs that end in it.
        """
        template = self._templates[group]
        patterns = _paths(template.get("do", template))
        return [_flagged(pattern.replace("${key}", "{key}"), in_report or {}) for pattern in patterns]

    def inputs(self, group: str) -> Callable[[Any], list[str]]:
        """Input function of a group: those of the stage's dependencies that other stages make.

        A folder among them that holds outputs of other stages stands for those stages. One output of a stage stands
        for all that it makes: Snakemake's dependencies are between jobs, and it spends as long on each file again.
        Sources are left to DVC: it sees when one has changed, and Snakemake would only look for a rule that makes each.
        """

        def of(wildcards: Any) -> list[str]:
            name = _stage_name(group, getattr(wildcards, "key", ""))
            made = {maker: path for dep in self._stages[name].deps for maker, path in self._makers(self._relative(dep))}
            paths = list(made.values())
            return [*paths, STAMP] if name in self.changed else [ancient(path) for path in paths]

        return of

    def repro(self, group: str) -> Callable[[Any], str]:
        """The shell command of a group: DVC runs this one stage, or restores what it remembers of it."""

        def of(wildcards: Any) -> str:
            name = _stage_name(group, getattr(wildcards, "key", ""))
            return f"dvc --wait-for-lock repro --single-item {self._pull}{shlex.quote(name)}"

        return of

    def parameter(self, key: str) -> Any:
        """A value of params.yaml, for the threads and resources that depend on it.

        Raises
        ------
        KeyError
            If there is none at this key.
        """
        return param.read_param_file(self._repo.fs, str(self._root / "params.yaml"), [key], flatten=True)[key]

    def everything(self) -> list[str]:
        """An output of every stage, which stands for all that the stage makes."""
        return [paths[0] for paths in self._outputs.values() if paths]

    @cached_property
    def _outputs(self) -> dict[str, list[str]]:
        return {name: [self._relative(out) for out in stage.outs] for name, stage in self._stages.items()}

    def _makers(self, path: str) -> Iterable[tuple[str, str]]:
        """The stages that make something at a path or in that folder, each with the first that it makes there."""
        if path not in self._made:
            within = {
                name: next((out for out in outs if out == path or out.startswith(f"{path}/")), None)
                for name, outs in self._outputs.items()
            }
            self._made[path] = [(name, out) for name, out in within.items() if out]
        return self._made[path]

    def _relative(self, artefact: Any) -> str:
        return Path(artefact.fs_path).as_posix().removeprefix(f"{self._root.as_posix()}/")

    def _changed(self) -> frozenset[str]:
        """Stages that DVC calls changed, or that are being run at this moment, and all that follow from them."""
        changed = [stage for stage in self._stages.values() if _is_changed(stage)]
        graph = self._repo.index.graph  # edges point from a stage to what it depends on
        below = {follower for stage in changed for follower in nx.ancestors(graph, stage)}
        return frozenset(stage.name for stage in [*changed, *below])


def _is_changed(stage: Any) -> bool:
    try:
        return bool(stage.status())
    except LockError:  # another DVC is at it now
        return True


def _stage_name(group: str, key: str) -> str:
    return f"{group}@{key}" if key else group


def _paths(template: dict[str, Any]) -> list[str]:
    entries = [entry for kind in _OUTPUT_KINDS for entry in template.get(kind, [])]
    return [path for entry in entries for path in ([entry] if isinstance(entry, str) else entry)]


def _flagged(pattern: str, in_report: dict[str, dict[str, Any]]) -> str:
    if "${" in pattern:
        raise ValueError(
            f"dvc.yaml: output '{pattern}' may interpolate ${{key}} alone, to become a Snakemake wildcard."
        )
    flagged = pattern if Path(pattern).suffix else directory(pattern)
    shown = next((options for suffix, options in in_report.items() if pattern.endswith(suffix)), None)
    return report(flagged, **shown) if shown else flagged
