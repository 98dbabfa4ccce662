"""Commands that need not import anything: a process that has imported everything forks once for each.

A pipeline of many short stages spends most of its time on imports: torch takes longer to load than the sample's
networks take to train. So Snakemake, when it has small work to do, lets `WarmProcesses` start one process for each kind
of command. They import what commands of their kind need, listen on a socket, and live as long as Snakemake. The
commands `dvc` and `bakeoff` begin here: where there is such a process, of this very environment and code, it forks,
and the fork becomes the command, with the caller's arguments, environment, folder and standard streams; the caller
waits, passes signals on to the fork and all that it started, and ends with the fork's status. Elsewhere, and once a
file of the code was edited, a command imports what it needs, as any other does.

Memory: a fork shares what its parent has imported, and its peak counts all of that.
"""

import array
import atexit
import contextlib
import gc
import hashlib
import importlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, NoReturn

# Set by `WarmProcesses` for the commands below it: a folder of sockets.
SOCKETS = "BAKEOFF_WARM_SOCKETS"
# Set in a fork.
FORKED = "BAKEOFF_FORKED"

PROGRAMS = {"bakeoff": ("bakeoff.cli", "main"), "dvc": ("patient_dvc", "main")}
NETWORK_COMMANDS = ("fit", "predict", "predicted", "weights", "export")
# What commands of each kind import, most of it by the way.
IMPORTS: dict[str, tuple[str, ...]] = {
    "dvc": (
        *("patient_dvc", "dvc.cli.parser", "dvc.repo", "dvc.repo.reproduce", "dvc.stage.run", "dvc.dependency.param"),
        *("dvc.lock", "dvc.rwlock", "dvc.cachemgr", "dvc.data_cloud", "dvc.scm", "scmrepo.git"),
        *(f"dvc.repo.{name}" for name in ("artifacts", "datasets", "metrics", "params", "plots", "stage")),
    ),
    "tables": (
        "bakeoff.cli",
        "bakeoff.config",
        *(
            f"bakeoff.stages.{name}"
            for name in (
                *("download", "prepare", "input", "split", "threshold", "score", "audit", "compare"),
                *("inflation", "claims", "report"),
            )
        ),
    ),
    "networks": (
        "bakeoff.cli",
        "bakeoff.config",
        *(f"bakeoff.stages.{name}" for name in ("weights", "fit", "predict", "predicted", "classical", "export")),
        "bakeoff.models",
    ),
}
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def bakeoff() -> Any:
    """The command `bakeoff`."""
    return _run("bakeoff")


def dvc() -> Any:
    """The command `dvc`."""
    return _run("dvc")


def kind_of(program: str, arguments: list[str]) -> str | None:
    """Which process has imported what a command needs; None for one that is no part of a larger run."""
    if program == "dvc":
        return "dvc" if "--single-item" in arguments else None
    if not arguments or arguments[0].startswith("-"):
        return None
    return "networks" if arguments[0] in NETWORK_COMMANDS else "tables"


class WarmProcesses:
    """Processes that wait to become commands of this process's children, until it ends, however it ends."""

    def __init__(self, kinds: Iterable[str] = IMPORTS) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bakeoff-")
        # They see its end, since nobody else holds the writing end of this.
        reading, self._alive = os.pipe()
        for kind in kinds:
            subprocess.Popen(
                [sys.executable, __file__, kind, self._folder.name],
                stdin=reading,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the commands, which pass it on
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        os.close(reading)
        os.environ[SOCKETS] = json.dumps([self._folder.name, *_identity()])


class Request(NamedTuple):
    """What a command was called with."""

    program: str
    arguments: list[str]
    folder: str
    environment: dict[str, str]


def _identity() -> list[str]:
    """Environment and code, down to its last edit: a fork of others would be another command."""
    code = Path(__file__).resolve()
    return [sys.prefix, str(code), edits(code.parent)]


def edits(folder: Path) -> str:
    """64 hex digits that change with every edit of a Python file below a folder."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if name.endswith(".py"):
                about = os.stat(f"{parent}/{name}")  # noqa: PTH116 -- at every command
                found.append((parent, name, about.st_mtime_ns, about.st_size))
    return hashlib.sha256(repr(found).encode()).hexdigest()


def _run(program: str) -> Any:
    kind = kind_of(program, sys.argv[1:])
    if kind is not None and (connection := _connected(kind)) is not None:
        with connection:
            status = _as_fork(connection, program)
        if status is not None:
            return status
    module, function = PROGRAMS[program]
    return getattr(importlib.import_module(module), function)()


def _connected(kind: str) -> socket.socket | None:
    try:
        folder, *identity = json.loads(os.environ.get(SOCKETS, "[null]"))
        if folder is None or identity != _identity():  # without warm processes no file is looked at
            return None
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(f"{folder}/{kind}")
    except (OSError, ValueError):  # gone, or on another machine
        return None
    return connection


def _as_fork(connection: socket.socket, program: str) -> int | None:
    """Let a fork be this command; its exit status, or None if there came to be no fork."""
    request = Request(program, sys.argv, str(Path.cwd()), dict(os.environ))
    streams = array.array("i", [0, 1, 2]).tobytes()
    message = json.dumps(request).encode()
    try:
        connection.sendmsg([len(message).to_bytes(8)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
        connection.sendall(message)
        answers = connection.makefile("rb")
        first = answers.readline()
    except ConnectionError:
        return None
    if not first:
        return None
    group = int(first)

    def pass_on(number: int, _: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)

    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, pass_on)
    ended = answers.readline()
    # As shells have it, a command that a signal ended has 128 more than its number. Nothing is said of one that was
    # killed together with the warm process.
    status = int(ended) if ended else -signal.SIGKILL
    return status if status >= 0 else 128 - status


def _serve(kind: str, folder: Path) -> None:
    """Import, then fork for every request, until the standard input ends."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / kind))
        listening.listen(64)  # requests wait from now on
        threading.Thread(target=_end_with_input, args=[folder], daemon=True).start()
        _import(kind)
        gc.collect()
        gc.freeze()  # else a fork's first collection would touch, and so copy, all of it
        while True:
            connection, _ = listening.accept()
            _fork(connection, listening)


def _end_with_input(folder: Path) -> None:
    os.read(0, 1)
    shutil.rmtree(folder, ignore_errors=True)  # whoever made it may have been killed
    os._exit(0)


def _import(kind: str) -> None:
    for name in IMPORTS[kind]:
        module = importlib.import_module(name)
        if name == "bakeoff.models":
            for path in sorted(Path(module.__path__[0]).glob("[!_]*.py")):
                importlib.import_module(f"{name}.{path.stem}")
    if kind == "dvc":
        sys.modules["dvc.cli.parser"].get_main_parser()


def _fork(connection: socket.socket, listening: socket.socket) -> None:
    """Fork, if the request is whole and the system can; the caller sees the connection's end otherwise."""
    streams: list[int] = []
    try:
        size, streams = _received(connection)
        if size is None:
            connection.close()
            return
        request = Request(*json.loads(b"".join(_exactly(connection, size))))
        process = os.fork()
        if process == 0:
            listening.close()
            _become(request, connection, streams)
        threading.Thread(target=_say_end, args=[process, connection], daemon=True).start()
    except (OSError, ValueError):
        connection.close()
    finally:
        for stream in streams:
            os.close(stream)


def _say_end(process: int, connection: socket.socket) -> None:
    """Tell the caller how its fork ended, be it by a signal."""
    _, status = os.waitpid(process, 0)
    with connection, contextlib.suppress(OSError):
        connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _received(connection: socket.socket) -> tuple[int | None, list[int]]:
    """Length of the request, and the caller's standard streams; no length if the caller has gone."""
    message, streams, _, _ = socket.recv_fds(connection, 8, 3)
    return (int.from_bytes(message) if len(message) == 8 else None), list(streams)


def _exactly(connection: socket.socket, size: int) -> Iterator[bytes]:
    while size > 0 and (part := connection.recv(size)):
        size -= len(part)
        yield part


def _become(request: Request, connection: socket.socket, streams: list[int]) -> NoReturn:
    """Be the command, and end with its status."""
    status = 1
    try:
        # A group of its own, of what it starts as well: signals that the caller passes on are for all of them.
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.environ.clear()
        os.environ.update({**request.environment, FORKED: "1"})
        sys.argv = request.arguments
        connection.sendall(b"%d\n" % os.getpid())
        threading.Thread(target=_end_with_caller, args=[connection], daemon=True).start()
        os.chdir(request.folder)
        module, function = PROGRAMS[request.program]
        status = _status(getattr(sys.modules[module], function))
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            atexit._run_exitfuncs()
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status & 0xFF)


def _status(command: Callable[[], Any]) -> int:
    try:
        answer = command()
    except SystemExit as ended:
        answer = ended.code
    except KeyboardInterrupt:
        answer = 128 + signal.SIGINT
    if isinstance(answer, str):
        print(answer, file=sys.stderr)
        return 1
    return int(answer or 0)


def _end_with_caller(connection: socket.socket) -> None:
    """A command that was killed takes its fork with it."""
    with contextlib.suppress(OSError):
        if not connection.recv(1):
            os.killpg(0, signal.SIGTERM)


if __name__ == "__main__":
    # The program of a fork is this very module, and not a second copy of it under another name.
    sys.modules["warm_start"] = sys.modules["__main__"]
    _serve(sys.argv[1], Path(sys.argv[2]))
