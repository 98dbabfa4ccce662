"""Files that are handed in: from where they may be read, and when they are removed."""

import threading
from collections import defaultdict
from pathlib import Path

from bakeoff.errors import BakeoffError


class Uploads:
    """The files of every session; one that no session uses any more is removed.

    Gradio keeps equal files of two sessions in one place, so the last who leaves removes it.

    Parameters
    ----------
    folder
        Where Gradio puts what is handed in. Nothing outside it is read, whatever a client claims to have handed in.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._sessions: defaultdict[Path, set[str]] = defaultdict(set)
        self._lock = threading.Lock()

    def use(self, path: str, session: str) -> Path:
        """The file at `path`, which this session uses from now on.

        Raises
        ------
        BakeoffError
            If it was not handed in, or is no longer there.
        """
        place = Path(path).resolve()
        if not place.is_relative_to(self._folder) or not place.is_file():
            raise BakeoffError("The image is no longer here: hand it in again.")
        with self._lock:
            self._sessions[place].add(session)
        return place

    def leave(self, session: str) -> None:
        """Remove what this session alone used."""
        with self._lock:
            for place in [place for place, sessions in self._sessions.items() if session in sessions]:
                self._sessions[place].discard(session)
                if not self._sessions[place]:
                    del self._sessions[place]
                    place.unlink(missing_ok=True)
