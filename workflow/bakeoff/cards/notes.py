"""Trained and untrained methods on images of one's own.

Data sets of patients, by the source that the configuration names for them, are marked here and nowhere else.
"""

MEDICAL_SOURCES = ("lungs", "ultrasound")
NO_MEDICAL_DEVICE = (
    "This is no medical device: it was trained for a comparison of methods, was never validated for patients, and must "
    "not be used to diagnose, treat or triage anybody."
)


def medical_note(source: str | None) -> str:
    """What is to be said wherever an answer about such a picture is shown; "" where nothing is.

    Parameters
    ----------
    source
        `datasets.NAME.source` of the configuration; None for a folder of one's own.
    """
    return NO_MEDICAL_DEVICE if source in MEDICAL_SOURCES else ""
