"""Commands that need not import anything: a process that has imported everything forks once for each.

A pipeline of many short stages spends most of its time on imports: torch takes longer to load than the sample's
networks take to train. So Snakemake, when it has small work to do, lets `WarmProcesses` start one process for each kind
of command. They import what commands of their kind need, listen on a socket, and live as long as Snakemake. The
commands `dvc` and `bakeoff` begin here: where there is such a process, of this very environment and code, it forks,
and the fork becomes the command, with the caller's arguments, environment, folder and standard streams; the caller
waits, passes signals on, and ends with the fork's status. Elsewhere a command imports what it needs, as any other does.

Memory: a fork shares what its parent has imported, and its peak counts all of that.
"""

import array
import contextlib
import gc
import importlib
import json
import logging
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
    "dvc": ("patient_dvc", "dvc.cli.parser", "dvc.repo", "dvc.repo.reproduce", "dvc.stage.run", "dvc.dependency.param"),
    "tables": (
        "bakeoff.cli",
        "bakeoff.book",
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
        "bakeoff.book",
        *(f"bakeoff.stages.{name}" for name in ("weights", "fit", "predict", "predicted", "classical")),
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
    """Environment and code: a fork of others would be another command."""
    return [sys.prefix, str(Path(__file__).resolve())]


def _run(program: str) -> Any:
    kind = kind_of(program, sys.argv[1:])
    if kind is not None and (connection := _connected(kind)) is not None:
        with connection:
            return _as_fork(connection, program)
    module, function = PROGRAMS[program]
    return getattr(importlib.import_module(module), function)()


def _connected(kind: str) -> socket.socket | None:
    try:
        folder, *identity = json.loads(os.environ.get(SOCKETS, "[null]"))
        if identity != _identity():
            return None
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(f"{folder}/{kind}")
    except (OSError, ValueError):  # gone, or on another machine
        return None
    return connection


def _as_fork(connection: socket.socket, program: str) -> int:
    """Let a fork be this command; its exit status."""
    request = Request(program, sys.argv, str(Path.cwd()), dict(os.environ))
    streams = array.array("i", [0, 1, 2]).tobytes()
    message = json.dumps(request).encode()
    connection.sendmsg([len(message).to_bytes(8)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
    connection.sendall(message)
    with connection.makefile("rb") as answers:
        process = int(answers.readline())

        def pass_on(number: int, _: FrameType | None) -> None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)

        for number in SIGNALS:
            signal.signal(number, pass_on)
        status = answers.readline()
    return int(status) if status else 128 + signal.SIGKILL  # nothing is said by one that was killed


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
            with connection:
                _fork(connection, listening)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


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
    size, streams = _received(connection)
    try:
        if size is None:
            return
        message = b"".join(_exactly(connection, size))
        process = os.fork()
        if process == 0:
            listening.close()
            _become(Request(*json.loads(message)), connection, streams)
    finally:
        for stream in streams:
            os.close(stream)


def _received(connection: socket.socket) -> tuple[int | None, list[int]]:
    """Length of the request, and the caller's standard streams; no length if the caller has gone."""
    message, streams, _, _ = socket.recv_fds(connection, 8, 3)
    return (int.from_bytes(message) if len(message) == 8 else None), list(streams)


def _exactly(connection: socket.socket, size: int) -> Iterator[bytes]:
    while size > 0 and (part := connection.recv(size)):
        size -= len(part)
        yield part


def _become(request: Request, connection: socket.socket, streams: list[int]) -> NoReturn:
    """Be the command, say the exit status, and end."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.environ.clear()
        os.environ.update({**request.environment, FORKED: "1"})
        os.chdir(request.folder)
        sys.argv = request.arguments
        connection.sendall(b"%d\n" % os.getpid())
        threading.Thread(target=_end_with_caller, args=[connection], daemon=True).start()
        module, function = PROGRAMS[request.program]
        status = _status(getattr(sys.modules[module], function))
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            connection.sendall(b"%d\n" % status)
        os._exit(status)


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
            os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    # The program of a fork is this very module, and not a second copy of it under another name.
    sys.modules["warm_start"] = sys.modules["__main__"]
    _serve(sys.argv[1], Path(sys.argv[2]))
