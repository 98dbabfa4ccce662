"""Names and paths that data sets and tasks cannot have."""

import re
from pathlib import Path

# Folders of results that are no task's, and pages of the report that are no task's.
RESERVED = ("evaluation", "exports", "report", "index", "claims", "baselines")
NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
# What a project itself writes into.
OUTPUTS = ("data", "results", "logs", ".bakeoff", ".dvc", ".git", ".snakemake", ".venv")


def wrong_name(name: str) -> str | None:
    """Why a data set and its task cannot be called so, the end of a sentence; None if they can."""
    if not re.match(NAME, name):
        return "DVC and file names need letters, digits, '-' and '_' alone, a letter or digit first"
    if name in RESERVED or name.startswith("data-"):
        return "a folder or page of this name is Bakeoff's own"
    return None


def wrong_path(path: str, root: Path = Path()) -> str | None:
    """Why a folder of images cannot lie at a path, the end of a sentence; None if it can.

    Parameters
    ----------
    root
        Of the project.
    """
    if not path.strip():
        return "is empty: name a folder or a zip"
    if path.startswith("~"):
        return f"is '{path}', and DVC does not know '~': write the whole path"
    if "://" in path:
        return f"is '{path}', an address: copy the images to this machine"
    if "${" in path:
        return f"is '{path}', and DVC takes '${{' for a variable: rename the folder"
    here, there = root.resolve(), (root / path).resolve()
    if here == there or here.is_relative_to(there):
        return f"is '{path}', which has Bakeoff's own folder in it: move the images into a folder of their own"
    if there.is_relative_to(here) and (there.relative_to(here).parts[0] in OUTPUTS):
        return f"is '{path}', inside of what Bakeoff writes: move the images elsewhere"
    return None
