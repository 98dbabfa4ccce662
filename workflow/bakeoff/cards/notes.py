"""What has to be said of methods that were trained on pictures of patients."""

from collections.abc import Mapping
from typing import Any

NO_MEDICAL_DEVICE = (
    "This is no medical device: it was trained for a comparison of methods, was never validated for patients, and must "
    "not be used to diagnose, treat or triage anybody."
)


def medical_note(about: Mapping[str, Any]) -> str:
    """What is to be said wherever an answer about such a picture is shown; "" where nothing is.

    Parameters
    ----------
    about
        `dataset.json` of a prepared data set: its `patients` says whether the pictures are of patients.
    """
    return NO_MEDICAL_DEVICE if about.get("patients") else ""
