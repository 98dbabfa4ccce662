"""Uploaded files: which may be read, to which sessions they belong, and when they are removed."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bakeoff.artefacts.errors import BakeoffError

# Seconds after which a file counts as unused: a client need not report that it leaves.
KEPT_SECONDS = 3600
GONE = "The image is no longer here: upload it again."


@dataclass
class _Holders:
    """What keeps one file, and since when: sessions, and uploads that no session has claimed yet."""

    sessions: dict[str, float] = field(default_factory=dict)
    arrived: list[float] = field(default_factory=list)

    def forget(self, before: float) -> None:
        self.sessions = {session: last for session, last in self.sessions.items() if last >= before}
        self.arrived = [each for each in self.arrived if each >= before]


class Uploads:
    """The files of every session; one that no session holds any more is removed.

    Gradio stores equal files once, whoever uploads them, so several sessions may hold one file. It is held from its
    arrival on, when its session is not known yet, then by the session whose request names it, whether or not that
    request is ever answered. A file that has not been uploaded is never read, whatever path a request names.

    Parameters
    ----------
    clock
        Seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._files: dict[Path, _Holders] = {}
        self._left: dict[str, float] = {}
        self._lock = threading.Lock()

    def arrive(self, path: str) -> None:
        """Hold the file that Gradio has put at `path` until a session claims it."""
        with self._lock:
            self._tidy()
            self._files.setdefault(Path(path), _Holders()).arrived.append(self._clock())

    def claim(self, path: str, session: str) -> None:
        """Hold a file for the session whose request names it; to be called before the request enters the queue."""
        with self._lock:
            self._tidy()
            self._left.pop(session, None)
            if (holders := self._files.get(Path(path))) is not None:
                self._hold(holders, session)

    def use(self, path: str, session: str) -> Path:
        """The file at `path`, for a session whose request names it and which has not left since.

        Raises
        ------
        BakeoffError
            If it was not uploaded, or is no longer there.
        """
        with self._lock:
            place = Path(path)
            holders = self._files.get(place)
            if holders is None or session in self._left or not place.is_file():
                raise BakeoffError(GONE)
            if session not in holders.sessions:  # a request that named no session, to which Gradio gave one
                self._hold(holders, session)
            return place

    def leave(self, session: str) -> None:
        """Remove what this session alone held."""
        with self._lock:
            self._left[session] = self._clock()
            for holders in self._files.values():
                holders.sessions.pop(session, None)
            self._tidy()

    def _hold(self, holders: _Holders, session: str) -> None:
        holders.sessions[session] = self._clock()
        if holders.arrived:  # this session's own: a client sends its request right after its upload
            holders.arrived.pop(0)

    def _tidy(self) -> None:
        before = self._clock() - KEPT_SECONDS
        self._left = {session: at for session, at in self._left.items() if at >= before}
        for place, holders in list(self._files.items()):
            holders.forget(before)
            if not (holders.sessions or holders.arrived):
                del self._files[place]
                place.unlink(missing_ok=True)
