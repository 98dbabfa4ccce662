"""What a stage depends on, as `dvc.yaml` names it and as DVC hashes it.

A checkpoint is keyed by this, so that a training which DVC would run again does not get its old weights back. A stage
cannot ask DVC from inside its own command, since DVC holds its lock then; so `dvc.yaml` is read and the files are
hashed here, to the values that `dvc.lock` will hold.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError

from bakeoff.artefacts.checkpoints import FINISHED, HOME, drop_finished
from bakeoff.artefacts.errors import BakeoffError

# What DVC ignores beside the names in .dvcignore.
ALWAYS_IGNORED = (".dvc", ".git", ".hg")


def stage_inputs(stage: str, root: Path = Path()) -> dict[str, Any]:
    """Dependencies with their MD5 and parameters with their values, of a stage in the `dvc.yaml` of a folder.

    Parameters
    ----------
    stage
        As DVC addresses it, `GROUP` or `GROUP@KEY`.
    root
        The folder of `dvc.yaml` and `params.yaml`.

    Returns
    -------
    dict
        `stage`; `deps`: by path its MD5, which of a folder is that of its list of files and ends in `.dir`; `params`:
        by key its value.

    Raises
    ------
    BakeoffError
        If there is no such stage, or a dependency or a parameter is missing.
    """
    params = _read(root / "params.yaml")
    group, _, key = stage.partition("@")
    template = _read(root / "dvc.yaml")["stages"].get(group)
    items = _at(params, str(template["foreach"]).strip("${}"), "dvc.yaml") if template and "foreach" in template else {}
    if template is None or ("foreach" in template) != bool(key) or (key and key not in items):
        raise BakeoffError(f"dvc.yaml has no stage '{stage}': name one that it has.")
    values: dict[str, Any] = {**_flat(params), "key": key}
    if key:
        values |= {f"item.{name}": value for name, value in _flat(items[key]).items()}
        template = template["do"]
    ignored = ignored_names(root)
    deps = sorted({_filled(dep, values) for dep in template.get("deps", [])})
    keys = [_filled(param, values) for param in template.get("params", [])]
    chosen = {each: _at(params, each, stage) for each in keys}
    return {"stage": stage, "deps": {dep: md5(root / dep, ignored) for dep in deps}, "params": chosen}


def is_recorded(inputs: Mapping[str, Any], lock: Mapping[str, Any]) -> bool:
    """Whether `dvc.lock`, read as `lock`, says that the stage was run with these inputs."""
    entry = lock.get("stages", {}).get(inputs["stage"])
    if entry is None:
        return False
    deps = {dep["path"]: dep["md5"] for dep in entry.get("deps", [])}
    return deps == inputs["deps"] and entry.get("params", {}).get("params.yaml", {}) == inputs["params"]


def drop_recorded(root: Path = Path()) -> None:
    """Remove finished trainings whose stage `dvc.lock` has recorded: the cache has their weights."""
    home = root / HOME
    lock_file = root / "dvc.lock"
    if not lock_file.is_file() or not any(home.glob(f"*/{FINISHED}")):
        return
    try:
        lock = _read(lock_file)
    except YAMLError:  # DVC is writing it: another time
        return
    if isinstance(lock, Mapping) and isinstance(lock.get("stages"), Mapping):
        drop_finished(home, lambda inputs: is_recorded(inputs, lock))


def ignored_names(root: Path) -> tuple[str, ...]:
    """Names and patterns of names that DVC passes over in folders, as `.dvcignore` has them."""
    file = root / ".dvcignore"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return (*ALWAYS_IGNORED, *(line.strip() for line in lines if line.strip() and not line.startswith("#")))


def md5(path: Path, ignored: Iterable[str] = ALWAYS_IGNORED) -> str:
    """DVC's hash of a file, or of a folder: of the JSON of its files' hashes and names, sorted by these.

    Parameters
    ----------
    ignored
        Names and patterns of names of files and folders that do not count.

    Raises
    ------
    BakeoffError
        If there is no such file or folder.
    """
    if path.is_file():
        return _md5_of_file(path)
    if not path.is_dir():
        raise BakeoffError(f"{path} is missing: run the pipeline, which makes it first.")
    files = sorted((each.relative_to(path).as_posix(), each) for each in _files(path, tuple(ignored)))
    listing = [{"md5": _md5_of_file(each), "relpath": name} for name, each in files]
    return hashlib.md5(json.dumps(listing, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def _files(folder: Path, ignored: tuple[str, ...]) -> Iterator[Path]:
    for entry in folder.iterdir():
        if any(fnmatchcase(entry.name, pattern) for pattern in ignored):
            continue
        if entry.is_dir():
            yield from _files(entry, ignored)
        else:
            yield entry


def _md5_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _read(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every value that is no mapping, by its dotted key."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _filled(text: str, values: Mapping[str, Any]) -> str:
    def value(found: re.Match[str]) -> str:
        key = found.group(1).strip()
        if key not in values:
            raise BakeoffError(f"params.yaml has no key '{key}', which dvc.yaml interpolates in '{text}': add it.")
        return str(values[key]).lower() if isinstance(values[key], bool) else str(values[key])

    return re.sub(r"\$\{([^}]+)\}", value, text)


def _at(params: Any, key: str, where: str) -> Any:
    node = params
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            raise BakeoffError(f"params.yaml has no key '{key}', which {where} depends on: add it.")
        node = node[part]
    return node
