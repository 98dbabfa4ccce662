"""`bakeoff demo`: serves the page until it is stopped, and leaves no files."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Literal

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.layout import Project
from bakeoff.config import Config, read_config
from bakeoff.demo.catalogue import read_tasks
from bakeoff.demo.pool import Pool
from bakeoff.demo.reception import Reception
from bakeoff.demo.uploads import Uploads
from bakeoff.inference.predictors import Predictor, open_predictor

log = logging.getLogger(__name__)

Runtime = Literal["auto", "torch", "onnx"]
# Bounds of memory: methods in it, requests in the queue, and visitors whose state is kept.
MOST_OPEN, MOST_WAITING, MOST_SESSIONS = 8, 60, 100
LARGEST_UPLOAD_MIB = 20
# Read by Gradio and its libraries when they are imported.
SILENT = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GRADIO_RUN_HISTORY": "False",
}


def demo(
    root: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    open_browser: bool = False,
    runtime: Runtime = "auto",
) -> None:
    """Serve the page until the process is interrupted or terminated.

    Parameters
    ----------
    root
        The clone: `params.yaml`, `data/`, `results/`.
    host, port
        Where to listen. On 127.0.0.1 only this machine can reach the page.
    open_browser
        Open the page.
    runtime
        What networks run on: torch, onnx (ONNX Runtime, from `results/exports`), or auto, which is onnx for exported
        networks and torch for others.

    Raises
    ------
    BakeoffError
        If nothing was trained yet, or the port is taken.
    """
    tasks = read_tasks(root)
    config = read_config(root / "params.yaml")
    with TemporaryDirectory(prefix="bakeoff-demo-") as folder, _silent(folder):
        import gradio as gr
        from starlette.middleware import Middleware

        from bakeoff.demo.page import build_page

        pool = Pool(lambda name: open_method(root, config, name, runtime), MOST_OPEN)
        uploads = Uploads()
        page = build_page(tasks, pool, uploads)
        page.queue(max_size=MOST_WAITING, default_concurrency_limit=4)
        with _until_stopped() as stopped:
            try:
                _, address, _ = page.launch(
                    server_name=host,
                    server_port=port,
                    inbrowser=open_browser,
                    share=False,
                    quiet=True,
                    prevent_thread_lock=True,
                    max_file_size=LARGEST_UPLOAD_MIB * 2**20,
                    state_session_capacity=MOST_SESSIONS,
                    ssr_mode=False,
                    pwa=False,
                    mcp_server=False,
                    enable_monitoring=False,
                    run_history=False,
                    footer_links=["api"],
                    app_kwargs={"middleware": [Middleware(Reception, uploads=uploads)]},
                    theme=gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
                    css=(files("bakeoff.demo") / "page.css").read_text(encoding="utf-8"),
                )
            except OSError as error:
                raise BakeoffError(
                    f"The demo cannot listen on {host}:{port} ({error}): choose another --port."
                ) from None
            log.info("The demo runs at %s. Press Ctrl-C to stop it.", address)
            stopped.wait()
            page.close(verbose=False)


def open_method(root: Path, config: Config, name: str, runtime: Runtime) -> Predictor:
    """An experiment, seed 0 and fold 0, on the given runtime; auto is ONNX Runtime if it was exported, else torch."""
    chosen = ("onnx" if _exported(root, config, name) else "torch") if runtime == "auto" else runtime
    return open_predictor(name, root, runtime=chosen)


def _exported(root: Path, config: Config, name: str) -> bool:
    """Whether an experiment, and the one that predicts its masks if there is one, can run on ONNX Runtime."""
    needed = filter(None, (name, config.experiment(name)["segmenter"]))
    return all(any(Project(root).exports(each).glob("seed0*.onnx")) for each in needed)


@contextmanager
def _silent(folder: str) -> Iterator[None]:
    """Keep Gradio offline, and its files in a folder that is removed when the demo ends."""
    before = dict(os.environ)
    os.environ.update(SILENT, GRADIO_TEMP_DIR=folder)
    # Gradio sends a request to itself to see whether it is up, which must not go through a proxy.
    for key in ("no_proxy", "NO_PROXY"):
        os.environ[key] = ",".join(filter(None, [os.environ.get(key), "127.0.0.1,localhost"]))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _until_stopped() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set, so that the demo cleans up after both."""
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        if stopped.is_set():  # a second time: at once
            sys.exit(128 + number)
        stopped.set()

    before = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
