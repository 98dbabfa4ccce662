"""Names that the configuration has, and the nearest one to a name that it has not."""

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

from bakeoff.artefacts.errors import BakeoffError

T = TypeVar("T")


def named(entries: Mapping[str, T], name: str, kind: str) -> T:
    """The entry of a name.

    Raises
    ------
    BakeoffError
        If there is none.
    """
    if name not in entries:
        raise BakeoffError(f"params.yaml has no {kind} '{name}'{nearest(name, entries)}.")
    return entries[name]


def nearest(name: str, known: Iterable[str], *, listed: bool = True) -> str:
    """A suggestion to end a sentence with: the nearest known name, else all of them, else nothing."""
    known = [str(each) for each in known]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f": did you mean '{close[0]}'"
    return f" (there are: {', '.join(known)})" if known and listed else ""
