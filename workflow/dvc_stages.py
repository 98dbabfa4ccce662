"""Snakemake rules from DVC stages: `dvc.yaml` says what, a rule adds only when and where.

This is the one file that imports DVC. It reads `Repo` (its index with stages and graph, its configuration) and what
dependencies and outputs say of themselves; it takes no lock and changes nothing of DVC. Of Snakemake it reads, of the
`workflow` that a Snakefile has, whether this is the main process and what is forced.

DVC alone decides what is out of date. It compares contents, where Snakemake compares timestamps, and a cache that
restores files changes those. So the inputs of a stage that is up to date are `ancient` to Snakemake, and a stage that
has changed, with everything below it, gets a stamp among its inputs that is younger than every output. Run Snakemake
with `--rerun-triggers mtime` (in the default profile), the trigger that this steers.

An output of a stage may interpolate `${key}` and `${item.NAME}`, which become the wildcards `{key}` and `{NAME}`. An
output whose name has no suffix is a directory.
"""

import os
import re
import shlex
import time
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import networkx as nx
from bakeoff.artefacts.errors import BakeoffError
from dvc.dependency.param import ParamsDependency
from dvc.repo import Repo
from ruamel.yaml import YAML
from snakemake.io import ancient, directory, report

STAMP = ".snakemake/dvc-says-changed"
# Tells jobs that run in processes of their own what was forced.
FORCED = "BAKEOFF_FORCED"
_SECOND = 10**9
_OUTPUT_KINDS = ("outs", "metrics", "plots")
_INTERPOLATION = re.compile(r"\$\{(?:item\.)?(\w+)\}")


class Stages:
    """The stages of the `dvc.yaml` in a folder, as inputs, outputs and shell commands of rules.

    Parameters
    ----------
    workflow
        The object of this name that a Snakefile has: its `basedir` is the folder of `dvc.yaml`.
    """

    def __init__(self, workflow: Any) -> None:
        self._workflow = workflow
        self._root = Path(workflow.basedir)
        self._templates: dict[str, Any] = YAML(typ="safe").load((self._root / "dvc.yaml").read_text())["stages"]
        self._repo = _repository(self._root)
        self._stages: dict[str, Any] = {stage.name: stage for stage in self._repo.index.stages}
        self._pull = "--pull " if self._repo.config["core"].get("remote") else ""

    def constraints(self, group: str) -> dict[str, str]:
        """A regular expression for each wildcard of a group: rules whose outputs look alike need them."""
        found: dict[str, set[str]] = {name: set() for path in self._patterns(group) for name in _wildcards(path)}
        for name in self._names(group):
            for wildcard, value in self._values(group, name).items():
                found[wildcard].add(value)
        # Of a group without stages nothing matches.
        return {name: "|".join(map(re.escape, sorted(values))) or "(?!)" for name, values in found.items()}

    def log(self, group: str) -> str:
        """Where the output of a group's commands goes, without the file's suffix."""
        names = dict.fromkeys(name for path in self._patterns(group) for name in _wildcards(path))
        return "/".join(["logs", group, *(f"{{{name}}}" for name in sorted(names, key=lambda name: name == "key"))])

    def outputs(self, group: str, in_report: dict[str, dict[str, Any]] | None = None) -> list[str]:
        """Output patterns of a group; folders are flagged as such.

        `in_report` maps the end of a path to keyword arguments of Snakemake's `report()`.
        """
        return [_flagged(_INTERPOLATION.sub(r"{\1}", path), in_report or {}) for path in self._patterns(group)]

    def inputs(self, group: str) -> Callable[[Any], list[str]]:
        """Input function of a group: those of the stage's dependencies that other stages make.

        A folder stands for the stages that make something in it, a file in another stage's folder for that stage. One
        output of a stage stands for all that it makes: Snakemake's dependencies are between jobs. Sources are left to
        DVC, which sees when one has changed.
        """

        def of(wildcards: Any) -> list[str]:
            name = self._named(group, wildcards)
            made = {maker: path for dep in self._stages[name].deps for maker, path in self._makers(self._relative(dep))}
            paths = list(made.values())
            return [*paths, STAMP] if name in self.changed else [ancient(path) for path in paths]

        return of

    def message(self, group: str) -> str:
        """What a stage of a group does, in a line for the terminal."""
        template = self._templates[group]
        description = template.get("do", template)["desc"]
        return f"{group}{' {wildcards.key}' if 'foreach' in template else ''}: {description}"

    def repro(self, group: str) -> Callable[[Any], str]:
        """The shell command of a group: DVC runs this one stage, or restores what it remembers of it."""

        def of(wildcards: Any) -> str:
            name = self._named(group, wildcards)
            force = "--force " if name in self.forced else ""
            return f"dvc --wait-for-lock repro {force}--single-item {self._pull}{shlex.quote(name)}"

        return of

    def everything(self) -> list[str]:
        """An output of every stage, which stands for all that the stage makes."""
        return [paths[0] for paths in self._outputs.values() if paths]

    def _patterns(self, group: str) -> list[str]:
        template = self._templates[group]
        entries = [entry for kind in _OUTPUT_KINDS for entry in template.get("do", template).get(kind, [])]
        return [path for entry in entries for path in ([entry] if isinstance(entry, str) else entry)]

    def _names(self, group: str) -> list[str]:
        return [name for name in self._stages if name.partition("@")[0] == group]

    def _values(self, group: str, name: str) -> dict[str, str]:
        """What each wildcard of a group stands for in one of its stages."""
        pattern, path = self._patterns(group)[0], self._outputs[name][0]
        expression, end = "", 0
        for found in _INTERPOLATION.finditer(pattern):
            value = re.escape(name.partition("@")[2]) if found[1] == "key" else "[^/]+"
            expression += f"{re.escape(pattern[end : found.start()])}(?P<{found[1]}>{value})"
            end = found.end()
        match = re.fullmatch(expression + re.escape(pattern[end:]), path)
        return match.groupdict() if match else {}

    def _named(self, group: str, wildcards: Any) -> str:
        key = getattr(wildcards, "key", "")
        name = f"{group}@{key}" if key else group
        values = self._values(group, name) if name in self._stages else None
        if values is None or any(getattr(wildcards, wildcard) != value for wildcard, value in values.items()):
            raise ValueError(f"dvc.yaml has no stage '{name}' that makes {dict(wildcards.items())}.")
        return name

    @cached_property
    def _outputs(self) -> dict[str, list[str]]:
        return {name: [self._relative(out) for out in stage.outs] for name, stage in self._stages.items()}

    def _makers(self, path: str) -> Iterable[tuple[str, str]]:
        """The stages that make a path, something in that folder, or the folder that it is in; each with an output."""
        for name, outs in self._outputs.items():
            if found := next((out for out in outs if _overlap(out, path)), None):
                yield name, found

    def _relative(self, artefact: Any) -> str:
        return Path(artefact.fs_path).as_posix().removeprefix(f"{self._root.as_posix()}/")

    @cached_property
    def forced(self) -> frozenset[str]:
        """Stages that a user forces, by the name of their rule, by one of their outputs, or all together.

        Known once Snakemake has read its command line, which is after the Snakefile.
        """
        if self._workflow.is_main_process:
            os.environ[FORCED] = "\n".join(_forced_words(self._workflow.dag_settings))
        words = os.environ.get(FORCED, "").split("\n")
        return frozenset(
            name
            for name, outs in self._outputs.items()
            if any(word in ("*", name.partition("@")[0].replace("-", "_"), *outs) for word in words)
        )

    @cached_property
    def changed(self) -> frozenset[str]:
        """Stages that are out of date or forced, and all that follow from them."""
        if not self._workflow.is_main_process:  # a job that the main process has handed to another one was judged there
            return frozenset()
        params = YAML(typ="safe").load((self._root / "params.yaml").read_text())
        hashes: dict[str, Any] = {}
        changed = [
            stage for name, stage in self._stages.items() if name in self.forced or _is_changed(stage, hashes, params)
        ]
        graph = self._repo.index.graph  # edges point from a stage to what it depends on
        below = {follower for stage in changed for follower in nx.ancestors(graph, stage)}
        if changed:
            self._renew_stamp()
        return frozenset(stage.name for stage in [*changed, *below])

    def _renew_stamp(self) -> None:
        """Make the stamp younger than every output; one that already is stays as it is, after a dry run for example.

        Outputs dated in the future (a copied tree, a clock set back) get the present time, since Snakemake refuses a
        stamp from there.
        """
        stamp, now = self._root / STAMP, time.time_ns()
        dated = [each for paths in self._outputs.values() for path in paths for each in _dated(self._root / path)]
        for path in dated:
            if path.stat().st_mtime_ns > now:
                os.utime(path, ns=(now - _SECOND, now - _SECOND))
        newest = max((path.stat().st_mtime_ns for path in dated), default=0)
        if stamp.exists() and newest < stamp.stat().st_mtime_ns <= now:
            return
        stamp.parent.mkdir(exist_ok=True)
        # New contents each time: Snakemake takes a small file of the same checksum for unchanged.
        stamp.write_text(f"{now}\n")


def _repository(root: Path) -> Repo:
    if not any((folder / ".git").exists() for folder in (root, *root.parents)):
        raise BakeoffError(
            f"{root} is no git repository, which DVC needs: run `git init && git add --all && git commit -m start`."
        )
    return Repo(str(root))


def _dated(output: Path) -> list[Path]:
    """What Snakemake takes an output's time from."""
    return [path for path in (output, output / ".snakemake_timestamp") if path.exists()]


def _forced_words(settings: Any) -> list[str]:
    if settings.forceall:
        return ["*"]
    return [str(word) for word in (*settings.forcerun, *(settings.targets if settings.forcetargets else ()))]


def _is_changed(stage: Any, hashes: dict[str, Any], params: Any) -> bool:
    """Whether a stage's command, a dependency or an output is another than `dvc.lock` says.

    `stage.status()` would say the same, but lock the paths, and a pipeline that runs beside would take that for
    another run of the stage. What many stages depend on is read once: `hashes` keeps it by path, and `params` are the
    values in `params.yaml`.
    """
    if stage.cmd_changed:
        return True
    return any(_differs(dep, hashes, params) for dep in stage.deps) or any(out.status() for out in stage.outs)


def _differs(dependency: Any, hashes: dict[str, Any], params: Any) -> bool:
    recorded = dependency.hash_info
    if isinstance(dependency, ParamsDependency):
        return not recorded or any(recorded.value.get(key, KeyError) != _at(params, key) for key in dependency.params)
    path = dependency.fs_path
    if path not in hashes:
        hashes[path] = dependency.get_hash() if dependency.exists else None
    return hashes[path] is None or hashes[path] != recorded


def _at(params: Any, key: str) -> Any:
    for part in key.split("."):
        params = params.get(part) if isinstance(params, dict) else None
    return params


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def _wildcards(pattern: str) -> list[str]:
    return [found[1] for found in _INTERPOLATION.finditer(pattern)]


def _flagged(pattern: str, in_report: dict[str, dict[str, Any]]) -> str:
    flagged = pattern if Path(pattern).suffix else directory(pattern)
    shown = next((options for suffix, options in in_report.items() if pattern.endswith(suffix)), None)
    return report(flagged, **shown) if shown else flagged
