"""Opened methods, kept while they are in use: loaded once, shared by everybody, the least recently used dropped."""

import threading
from collections import OrderedDict
from collections.abc import Callable

from bakeoff.inference.predictors import Predictor


class Pool:
    """At most so many methods in memory, whoever asks; safe to use from several threads.

    Parameters
    ----------
    open_method
        Opens an experiment by its name. It may raise what it likes: nothing is kept then.
    most
        Methods that are kept, at least 1. One that is dropped lives on while somebody predicts with it.
    """

    def __init__(self, open_method: Callable[[str], Predictor], most: int) -> None:
        self._open, self._most = open_method, most
        self._kept: OrderedDict[str, Predictor] = OrderedDict()
        # Held while a method loads: two who want the same wait for one load, and no two loads take memory together.
        self._lock = threading.Lock()

    def get(self, experiment: str) -> Predictor:
        """The method, opened if it is not at hand."""
        with self._lock:
            if experiment not in self._kept:
                while len(self._kept) >= self._most:  # before the load, so that there are never more
                    self._kept.popitem(last=False)
                self._kept[experiment] = self._open(experiment)
            self._kept.move_to_end(experiment)
            return self._kept[experiment]
