"""DVC that waits its turn: the `dvc` command of this project's environment.

DVC refuses at once when another DVC runs a stage that shares a path with the one it wants ("is busy, it is being
blocked by"), and has no setting to wait instead; `--wait-for-lock` waits for the repository's lock alone. Here both
waits are the default, and a whole `dvc repro` waits for a Snakemake that runs in the same folder. So both can be
started at once on one clone, and a run started again waits for a training that the last one left behind.

DVC also spends, with two hundred stages, more time on its own files than most stages take. Here it does the same with
less: libyaml writes `dvc.lock`, with the same values in the same order (long lines are not folded), and of it only the
stages that have changed; the file is replaced and never half written; what the file says is kept as JSON beside, which
is read in a tenth of the time, and believed only of the very file that it was made from; the configuration is parsed
once a run, and a key of it is looked up and not searched for; what many stages depend on is hashed once until a stage
runs; and a path that this process holds is not locked again. Nothing else of DVC changes.
"""

import contextlib
import json
import re
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import wraps
from io import StringIO
from pathlib import Path
from textwrap import indent
from typing import Any, NamedTuple

from bakeoff.engine import hold_clone
from ruamel.yaml import YAML

POLL_SECONDS = 1.0
# In a clone: what its dvc.lock says, as JSON, and which file it was that says so.
REMEMBERED_LOCK = ".bakeoff/dvc.lock.json"


def waiting(
    reproduce: Callable[..., Any], forget: Callable[[], object], poll_seconds: float = POLL_SECONDS
) -> Callable[..., Any]:
    """Wrap `Stage.reproduce`: while another process holds a path of the stage, wait with the repository unlocked.

    The repository's lock has to be given back meanwhile, since the other process needs it to finish. What is known of
    files is forgotten afterwards: the other process has changed some.
    """
    from dvc.lock import LockError

    @wraps(reproduce)
    def patiently(stage: Any, *args: Any, **kwargs: Any) -> Any:
        told = False
        while True:
            try:
                return reproduce(stage, *args, **kwargs)
            except LockError as error:
                if "is busy" not in str(error):
                    raise
                if not told:
                    print(
                        f"Stage '{stage.addressing}' waits: {str(error).splitlines()[0]}", file=sys.stderr, flush=True
                    )
                    told = True
                stage.repo.lock.unlock()
                stage.repo._reset()
                time.sleep(poll_seconds)
                stage.repo.lock.lock()
                forget()

    return patiently


@contextlib.contextmanager
def modify_lock(path: str | Path) -> Iterator[dict[str, Any]]:
    """Read a lock file (nothing if there is none), let the block change it, and write what it is then."""
    place = Path(path)
    values = remembered(place)
    if values is None and place.exists():
        values = YAML(typ="safe").load(place.read_text(encoding="utf-8"))
    values = values or {}
    yield values
    text = _spliced(place, values) or _dumped(values)
    beside = place.with_name(f".{place.name}.part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(place)
    remember(place, values, written_here=True)


def _dumped(values: Any) -> str:
    writer = YAML(typ="safe")
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.width = 1_000_000
    writer.representer.add_representer(type(None), lambda r, _: r.represent_scalar("tag:yaml.org,2002:null", ""))
    # What DVC hands over for a stage is one; without this it would be written as `!!omap`, a list of pairs.
    writer.representer.add_representer(OrderedDict, lambda r, pairs: r.represent_dict(pairs))
    # Nor is what stands in two places named and referred to: a stage's lines have to mean the same by themselves.
    writer.representer.ignore_aliases = lambda _: True
    text = StringIO()
    writer.dump(values, text)
    # libyaml leaves a space before the nothing that stands for null.
    return re.sub(r"(?m): $", ":", text.getvalue())


def _spliced(place: Path, values: dict[str, Any]) -> str | None:
    """The lock's new text, in which stages that say what they said keep their lines; None if it must be made anew.

    A run of two hundred stages would otherwise write two hundred times what two hundred stages say.
    """
    before = _memory(place)
    if before is None or not before.written_here or list(before.values) != ["schema", "stages"]:
        return None
    if list(values) != ["schema", "stages"] or values["schema"] != before.values["schema"]:
        return None
    head, *blocks = re.split(r"(?m)^(?=  [^ \n])", place.read_text(encoding="utf-8"))
    stages = before.values["stages"]
    if len(blocks) != len(stages):
        return None
    # Compared as JSON, to which 1, 1.0 and true are not the same, and neither are two orders.
    known = {(name, _as_json(stages[name])): block for name, block in zip(stages, blocks, strict=True)}
    parts = [
        known.get((name, _as_json(stage))) or indent(_dumped({name: stage}), "  ")
        for name, stage in values["stages"].items()
    ]
    return "".join([head, *parts])


def _as_json(value: Any) -> str | None:
    """A value as JSON; None, which no stage that is remembered has, if JSON cannot say it."""
    try:
        return json.dumps(value)
    except TypeError:
        return None


class _Memory(NamedTuple):
    """What a lock file says, and whether `modify_lock` wrote it, so that its layout is known."""

    values: dict[str, Any]
    written_here: bool


def _memory(lock: Path) -> _Memory | None:
    try:
        about, *memory = json.loads((lock.parent / REMEMBERED_LOCK).read_text(encoding="utf-8"))
        return _Memory(*memory) if about == _identity(lock) else None
    except (OSError, TypeError, ValueError):
        return None


def remembered(lock: Path) -> dict[str, Any] | None:
    """What a lock file says, if that was remembered of the file as it is now."""
    memory = _memory(lock)
    return None if memory is None else memory.values


def remember(lock: Path, values: dict[str, Any], *, written_here: bool = False) -> None:
    """Keep what a lock file says, unless JSON would say something else (a date, a key that is a number)."""
    place = lock.parent / REMEMBERED_LOCK
    if not place.parent.is_dir():  # no engine has worked here yet
        return
    with contextlib.suppress(OSError, TypeError, ValueError):
        text = json.dumps([_identity(lock), values, written_here])
        if json.loads(text)[1] == values:
            beside = place.with_name(f"{place.name}.part")
            beside.write_text(text, encoding="utf-8")
            beside.replace(place)


def _identity(path: Path) -> list[int]:
    """Another file of this name, or this one written again, has another."""
    about = path.stat()
    return [about.st_ino, about.st_mtime_ns, about.st_size]


def with_memory(load_yaml: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap DVC's `Lockfile._load_yaml`: a lock file of the workspace that is remembered is not parsed."""

    @wraps(load_yaml)
    def load(lockfile: Any, **kwargs: Any) -> Any:
        if kwargs or lockfile.repo.fs.protocol != "local":
            return load_yaml(lockfile, **kwargs)
        place = Path(lockfile.path)
        values = remembered(place)
        if values is not None:
            return values, ""
        values, text = load_yaml(lockfile)
        remember(place, values)
        return values, text

    return load


def with_fast_lock(modify_yaml: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap DVC's `modify_yaml`: lock files go through `modify_lock`, others as before."""

    @wraps(modify_yaml)
    def modify(path: str, fs: Any = None) -> Any:
        return modify_lock(path) if Path(path).name == "dvc.lock" else modify_yaml(path, fs=fs)

    return modify


def loaded_once(load_path: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap DVC's `load_path`: a file of parameters is parsed again only when it has changed.

    DVC parses the whole config for every stage that depends on a key of it, and only reads what it gets.
    """
    parsed: dict[tuple[str, int, int], Any] = {}

    @wraps(load_path)
    def load(path: str, fs: Any = None, **kwargs: Any) -> Any:
        try:
            about = Path(path).stat()
        except OSError:  # of another revision, in git: DVC's file system knows it
            return load_path(path, fs, **kwargs)
        if kwargs or fs is None or fs.protocol != "local":
            return load_path(path, fs, **kwargs)
        key = (str(path), about.st_mtime_ns, about.st_size)
        if key not in parsed:
            parsed[key] = load_path(path, fs)
        return parsed[key]

    return load


def looked_up(read_param_file: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap DVC's `read_param_file`: a key is followed down the file, where DVC compares it with every key there is."""

    @wraps(read_param_file)
    def read(fs: Any, path: str, key_paths: list[str] | None = None, flatten: bool = False, **kwargs: Any) -> Any:
        if not (key_paths and flatten) or any(character in key for key in key_paths for character in "*?[]!"):
            return read_param_file(fs, path, key_paths, flatten, **kwargs)
        from dvc.dependency import param

        config = param.load_path(path, fs, **kwargs)
        found = {key: _value_at(config, key) for key in key_paths}
        return {key: value for key, value in found.items() if value is not _MISSING}

    return read


_MISSING = object()


def _value_at(config: Any, key: str) -> Any:
    """The value at a key of names between dots; lists are entered by number."""
    value = config
    for name in key.split("."):
        if isinstance(value, list) and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        elif isinstance(value, dict) and name in value:
            value = value[name]
        else:
            return _MISSING
    return value


def locked_once(rwlock: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap DVC's `rwlock`: reading what this process has locked already needs no second lock."""
    held: set[str] = set()

    @contextlib.contextmanager
    @wraps(rwlock)
    def lock(tmp_dir: str, fs: Any, cmd: str, read: list[str], write: list[str], hardlink: bool) -> Iterator[None]:
        if not write and held.issuperset(read):
            yield
            return
        mine = {*read, *write} - held
        with rwlock(tmp_dir, fs, cmd, read, write, hardlink):
            held.update(mine)
            try:
                yield
            finally:
                held.difference_update(mine)

    return lock


Hashes = dict[tuple[str, str | None], Any]


def hashed_once(get_hash: Callable[..., Any], hashes: Hashes) -> Callable[..., Any]:
    """Wrap DVC's `Dependency.get_hash`: a local path that `hashes` knows is not looked at again."""

    @wraps(get_hash)
    def of(dependency: Any) -> Any:
        if dependency.protocol != "local":
            return get_hash(dependency)
        key = (dependency.fs_path, dependency.hash_name)
        if key not in hashes:
            hashes[key] = get_hash(dependency)
        return hashes[key]

    return of


def forgetting(change: Callable[..., Any], hashes: Hashes) -> Callable[..., Any]:
    """Wrap what changes files: no hash from before or meanwhile outlives it."""

    @wraps(change)
    def changed(*args: Any, **kwargs: Any) -> Any:
        hashes.clear()
        try:
            return change(*args, **kwargs)
        finally:
            hashes.clear()

    return changed


def spare_dvc() -> Hashes:
    """Let DVC, in this process, do no work of its own twice; the hashes that it keeps. See the top of this file."""
    from dvc import dvcfile, rwlock
    from dvc.dependency import Dependency, param
    from dvc.stage import Stage

    hashes: Hashes = {}
    Dependency.get_hash = hashed_once(Dependency.get_hash, hashes)
    Stage.run = forgetting(Stage.run, hashes)
    Stage.checkout = forgetting(Stage.checkout, hashes)
    param.load_path = loaded_once(param.load_path)
    param.read_param_file = looked_up(param.read_param_file)
    rwlock.rwlock = locked_once(rwlock.rwlock)
    dvcfile.modify_yaml = with_fast_lock(dvcfile.modify_yaml)
    dvcfile.Lockfile._load_yaml = with_memory(dvcfile.Lockfile._load_yaml)
    return hashes


def runs_the_pipeline(arguments: list[str]) -> bool:
    """Whether a command runs stages for a user, and not one stage for Snakemake, which holds the clone itself."""
    words = [word for word in arguments if not word.startswith("-")]
    return (words[:1] == ["repro"] and "--single-item" not in arguments) or words[:2] == ["exp", "run"]


def main() -> int:
    """Run DVC with the arguments given."""
    from dvc.cli import main as dvc
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo
    from dvc.stage import Stage

    if runs_the_pipeline(sys.argv[1:]):
        with contextlib.suppress(NotDvcRepoError):  # DVC says so itself, in its own words
            hold_clone(Path(Repo.find_root()))

    hashes = spare_dvc()
    Stage.reproduce = waiting(Stage.reproduce, hashes.clear)
    return dvc(["--wait-for-lock", *sys.argv[1:]])
