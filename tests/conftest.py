"""Fixtures shared by every test: the real images, when they are there."""

import os
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def mirror() -> Path:
    """Folder of real archives: `BAKEOFF_MIRROR`, or `../shared/mirror` beside the checkout; skips loudly without."""
    folder = Path(os.environ.get("BAKEOFF_MIRROR", ROOT.parent / "shared" / "mirror"))
    if not (folder / "SHA256SUMS").is_file():
        message = f"NOT TESTED ON REAL IMAGES: no mirror at {folder} (set BAKEOFF_MIRROR to one)"
        warnings.warn(message, stacklevel=1)
        pytest.skip(message)
    return folder
