"""DVC that waits its turn: the `dvc` command of this project's environment.

DVC refuses at once when another DVC runs a stage that shares a path with the one it wants ("is busy, it is being
blocked by"), and has no setting to wait instead; `--wait-for-lock` waits for the repository's lock alone. Here both
waits are the default, and a whole `dvc repro` waits for a Snakemake that runs in the same folder. So both can be
started at once on one clone, and a run started again waits for a training that the last one left behind.

DVC also rewrites the whole of `dvc.lock` after every stage, in pure Python, which with two hundred stages costs more
than most stages do. Here libyaml does it, with the same values in the same order (long lines are not folded), and
the file is replaced and never half written. And the book is parsed once a run, and not once a stage. Nothing else
of DVC changes.
"""

import contextlib
import re
import sys
import time
from collections.abc import Callable, Iterator
from functools import wraps
from io import StringIO
from pathlib import Path
from typing import Any

from bakeoff.engine import hold_clone
from ruamel.yaml import YAML

POLL_SECONDS = 1.0


def waiting(reproduce: Callable[..., Any], poll_seconds: float = POLL_SECONDS) -> Callable[..., Any]:
    """Wrap `Stage.reproduce`: while another process holds a path of the stage, wait with the repository unlocked.

    The repository's lock has to be given back meanwhile, since the other process needs it to finish.
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

    return patiently


@contextlib.contextmanager
def modify_lock(path: str | Path) -> Iterator[dict[str, Any]]:
    """Read a lock file (nothing if there is none), let the block change it, and write what it is then."""
    place = Path(path)
    values = YAML(typ="safe").load(place.read_text(encoding="utf-8")) if place.exists() else None
    values = values or {}
    yield values
    writer = YAML(typ="safe")
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.width = 1_000_000
    writer.representer.add_representer(type(None), lambda r, _: r.represent_scalar("tag:yaml.org,2002:null", ""))
    text = StringIO()
    writer.dump(values, text)
    beside = place.with_name(f".{place.name}.part")
    # libyaml leaves a space before the nothing that stands for null.
    beside.write_text(re.sub(r"(?m): $", ":", text.getvalue()), encoding="utf-8")
    beside.replace(place)


def with_fast_lock(modify_yaml: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap DVC's `modify_yaml`: lock files go through `modify_lock`, others as before."""

    @wraps(modify_yaml)
    def modify(path: str, fs: Any = None) -> Any:
        return modify_lock(path) if Path(path).name == "dvc.lock" else modify_yaml(path, fs=fs)

    return modify


def loaded_once(load_path: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap DVC's `load_path`: a file of parameters is parsed again only when it has changed.

    DVC parses the whole book for every stage that depends on a key of it, and only reads what it gets.
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


def parse_parameters_once() -> None:
    """Let DVC, in this process, parse a file of parameters once and not once a stage."""
    from dvc.dependency import param

    param.load_path = loaded_once(param.load_path)


def runs_the_pipeline(arguments: list[str]) -> bool:
    """Whether a command runs stages for a user, and not one stage for Snakemake, which holds the clone itself."""
    words = [word for word in arguments if not word.startswith("-")]
    return (words[:1] == ["repro"] and "--single-item" not in arguments) or words[:2] == ["exp", "run"]


def main() -> int:
    """Run DVC with the arguments given."""
    from dvc import dvcfile
    from dvc.cli import main as dvc
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo
    from dvc.stage import Stage

    if runs_the_pipeline(sys.argv[1:]):
        with contextlib.suppress(NotDvcRepoError):  # DVC says so itself, in its own words
            hold_clone(Path(Repo.find_root()))

    Stage.reproduce = waiting(Stage.reproduce)
    dvcfile.modify_yaml = with_fast_lock(dvcfile.modify_yaml)
    parse_parameters_once()
    return dvc(["--wait-for-lock", *sys.argv[1:]])
