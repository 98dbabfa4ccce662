"""Twenty people at once: a real `bakeoff demo` in a process of its own, asked by as many clients.

Every client hands in its own images, one after the other, and compares what it is told with what the same method says
of the same image alone, in this process. Of the server the resident memory is read after a quarter of the answers, by
when every method is loaded, and after the last. It exits with status 1 if an answer is wrong or missing, or if memory
grew by more than `MOST_GROWTH` in between.

    python benchmarks/demo.py [--root .] [--task lungs] [--methods lungs-otsu lungs-unet] [--clients 20] [--images 10]
"""

import argparse
import base64
import io
import math
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

import numpy as np
import psutil
from bakeoff.config import read_config
from bakeoff.demo.catalogue import DemoTask, read_tasks
from bakeoff.demo.comparing import picture_of_file
from bakeoff.demo.server import open_method
from PIL import Image

# Of resident memory, as a share of what it was early: what caches and a fragmented heap may take, and no leak would.
MOST_GROWTH = 0.1


class Served:
    """The answers so far, and the memory of the server in MiB after a quarter of those asked for and after the last."""

    def __init__(self, server: psutil.Process, asked: int) -> None:
        self._server, self._lock = server, threading.Lock()
        self.asked, self._early = asked, max(1, asked // 4)
        self.seconds: list[float] = []
        self.failures: list[str] = []
        self.wrong = 0
        self.early_mib = self.late_mib = math.nan

    def add(self, seconds: float, right: bool) -> None:
        with self._lock:
            self.seconds.append(seconds)
            self.wrong += not right
            self.late_mib = self._server.memory_info().rss / 2**20
            if len(self.seconds) == self._early:
                self.early_mib = self.late_mib

    def fail(self, reason: str) -> None:
        with self._lock:
            self.failures.append(reason)

    @property
    def growth(self) -> float:
        """Of memory, as a share of what it was early; not a number where too few were answered."""
        return self.late_mib / self.early_mib - 1

    @property
    def passed(self) -> bool:
        """Whether all was answered, rightly, in memory that stayed."""
        return self.wrong == 0 and len(self.seconds) == self.asked and self.growth <= MOST_GROWTH


def write_images(task: DemoTask, folder: Path, clients: int, images: int) -> list[list[Path]]:
    """Files that differ from each other: test images, each with noise of its own, at twice their prepared size."""
    ids = list(task.tested)
    rng = np.random.default_rng(0)

    def write(client: int, image: int) -> Path:
        pixels = task.example(ids[(client * images + image) % len(ids)]).astype(np.int16)
        noisy = np.clip(pixels + rng.integers(-8, 9, pixels.shape), 0, 255).astype(np.uint8)
        path = folder / f"{client}-{image}.png"
        Image.fromarray(noisy.squeeze()).resize((2 * task.size, 2 * task.size)).save(path)
        return path

    return [[write(client, image) for image in range(images)] for client in range(clients)]


def answers_alone(
    root: Path, task: DemoTask, methods: Sequence[str], runtime: Any, files: list[Path]
) -> dict[str, Any]:
    """What each method says of each file when nobody else asks; of masks the classes, else the probabilities."""
    config = read_config(root / "params.yaml")
    predictors = [open_method(root, config, name, runtime) for name in methods]
    pictures = {path.name: picture_of_file(task, path, path.name).prepared[None] for path in files}
    return {
        name: {each.experiment: _said(each.predict(picture)[0]) for each in predictors}
        for name, picture in pictures.items()
    }


def _said(answer: Any) -> np.ndarray:
    said: np.ndarray = answer.mask if answer.probabilities is None else answer.probabilities
    return said


def is_right(answer: dict[str, Any], alone: dict[str, np.ndarray]) -> bool:
    """Whether every method of an answer says what it says alone, to the bit."""
    return len(answer["answers"]) == len(alone) and all(
        np.array_equal(_told(each), alone[each["experiment"]]) for each in answer["answers"]
    )


def _told(answer: dict[str, Any]) -> np.ndarray:
    if answer["probabilities"] is not None:
        return np.array(list(answer["probabilities"].values()))
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["mask"].partition(",")[2]))))


def ask(address: str, task: str, methods: Sequence[str], files: list[Path], alone: Any, served: Served) -> None:
    """One client's images, one after the other."""
    from gradio_client import Client, handle_file

    try:
        client = Client(address, verbose=False)
    except Exception as error:  # whatever goes wrong is a visitor without an answer
        served.fail(f"no connection: {error!r}")
        return
    for path in files:
        began = time.perf_counter()
        try:
            answer = client.predict(task, methods, handle_file(path), None, api_name="/predict")
        except Exception as error:
            served.fail(repr(error))
            continue
        served.add(time.perf_counter() - began, is_right(answer, alone[path.name]))
    client.close()


def start(root: Path, runtime: str) -> tuple[subprocess.Popen[bytes], str]:
    """A server that answers, and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    call = f"demo(Path({str(root)!r}), port={port}, runtime={runtime!r})"
    code = f"from pathlib import Path; from bakeoff.demo.server import demo; {call}"
    process = subprocess.Popen([sys.executable, "-c", code])
    address = f"http://127.0.0.1:{port}/"
    while process.poll() is None:
        with suppress(OSError):
            build_opener(ProxyHandler({})).open(address, timeout=10).close()
            return process, address
        time.sleep(0.3)
    raise SystemExit("the demo does not start")


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--task", default="lungs")
    parser.add_argument("--methods", nargs="+", help="the task's ticked ones by default")
    parser.add_argument("--runtime", default="auto", choices=["auto", "torch", "onnx"])
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--images", type=int, default=10)
    options = parser.parse_args()
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    task = read_tasks(options.root)[options.task]
    methods = options.methods or [each.experiment for each in task.methods if each.chosen]
    with tempfile.TemporaryDirectory() as folder:
        files = write_images(task, Path(folder), options.clients, options.images)
        alone = answers_alone(options.root, task, methods, options.runtime, [path for each in files for path in each])
        process, address = start(options.root, options.runtime)
        try:
            served = Served(psutil.Process(process.pid), options.clients * options.images)
            began = time.perf_counter()
            with ThreadPoolExecutor(options.clients) as clients:
                for mine in files:
                    clients.submit(ask, address, options.task, methods, mine, alone, served)
            seconds = time.perf_counter() - began
        finally:
            process.terminate()
            process.wait()
    report(methods, served, seconds)
    sys.exit(0 if served.passed else 1)


def report(methods: Sequence[str], served: Served, seconds: float) -> None:
    """Print one table."""
    took = sorted(served.seconds) or [float("nan")]
    rows = {
        "methods": ", ".join(methods),
        "asked": served.asked,
        "answered": len(served.seconds),
        "wrong": served.wrong,
        "answers a second": f"{len(served.seconds) / seconds:.1f}",
        "wait, median": f"{took[len(took) // 2]:.2f} s",
        "wait, longest": f"{took[-1]:.2f} s",
        "memory, early and late": f"{served.early_mib:.0f} and {served.late_mib:.0f} MiB",
        "memory, growth": f"{served.growth:.1%} (at most {MOST_GROWTH:.0%})",
    }
    print("| demo | |\n|---|---|")
    for name, value in rows.items():
        print(f"| {name} | {value} |")
    for reason in dict.fromkeys(served.failures):
        print(f"not answered: {reason}", file=sys.stderr)


if __name__ == "__main__":
    main()
