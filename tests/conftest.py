"""Fixtures shared by every test: the real images, when they are there."""

import os
import warnings
from pathlib import Path

import hypothesis
import pytest

# A shared machine stalls now and then, which says nothing about the code.
hypothesis.settings.register_profile(
    "bakeoff", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], derandomize=True
)
hypothesis.settings.load_profile("bakeoff")

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
