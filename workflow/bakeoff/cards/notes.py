"""What has to be said of methods that were trained on pictures of patients."""

from pathlib import Path
from typing import Any

from bakeoff.artefacts.constants import constants

SOURCES = Path(__file__).parents[1] / "datasets" / "sources"
NO_MEDICAL_DEVICE = (
    "This is no medical device: it was trained for a comparison of methods, was never validated for patients, and must "
    "not be used to diagnose, treat or triage anybody."
)


def medical_note(source: str | None) -> str:
    """What is to be said wherever an answer about such a picture is shown; "" where nothing is.

    Parameters
    ----------
    source
        `datasets.NAME.source` of the configuration, whose package says `PATIENTS = True` of pictures of patients; None
        for a folder of one's own.
    """
    return NO_MEDICAL_DEVICE if source and source_facts(source).get("PATIENTS") else ""


def source_facts(source: str) -> dict[str, Any]:
    """Constants of a data set's package."""
    return constants(SOURCES / source / "__init__.py")
