"""Fixtures shared by every test: the real images and a real browser, when they are there."""

import io
import os
import shutil
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from PIL import Image

# A shared machine stalls now and then, which says nothing about the code.
hypothesis.settings.register_profile(
    "bakeoff", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], derandomize=True
)
hypothesis.settings.load_profile("bakeoff")

ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that run the engines first: they take longest, and the last of them would be waited for."""
    engines = {item.path for item in items if item.get_closest_marker("engine")}
    items.sort(key=lambda item: item.path not in engines)


@pytest.fixture(scope="session")
def mirror() -> Path:
    """Folder of real archives: `BAKEOFF_MIRROR`, or `../shared/mirror` beside the checkout; skips loudly without."""
    return _real("BAKEOFF_MIRROR", "mirror", "SHA256SUMS", "NOT TESTED ON REAL IMAGES")


@pytest.fixture(scope="session")
def own_images() -> Path:
    """Zips of folders as people have them: `BAKEOFF_OWN_IMAGES`, or `../shared/own-images`; skips loudly without."""
    return _real("BAKEOFF_OWN_IMAGES", "own-images", "cases.zip", "NOT TESTED ON REAL FOLDERS")


def _real(variable: str, name: str, file: str, complaint: str) -> Path:
    folder = Path(os.environ.get(variable, ROOT.parent / "shared" / name))
    if not (folder / file).is_file():
        message = f"{complaint}: no {name} at {folder} (set {variable} to one)"
        warnings.warn(message, stacklevel=1)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A real Chromium: `BAKEOFF_CHROMIUM`, or the one on the PATH; skips loudly without."""
    path = os.environ.get("BAKEOFF_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        message = "THE PAGES ARE NOT TESTED IN A BROWSER: no chromium (set BAKEOFF_CHROMIUM to one)"
        warnings.warn(message, stacklevel=1)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    quiet = ["background-networking", "component-update", "sync", "gpu", "quic"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", *(f"--disable-{each}" for each in quiet)]
        )
        yield browser
        browser.close()


def large_png(width: int, height: int) -> bytes:
    """A PNG whose head states these sides, whatever pixels follow."""
    head = b"IHDR" + struct.pack(">2I", width, height) + b"\x01\0\0\0\0"
    file = io.BytesIO()
    Image.new("1", (8, 8)).save(file, "PNG")
    content = file.getvalue()
    return content[:12] + head + struct.pack(">I", zlib.crc32(head)) + content[33:]
