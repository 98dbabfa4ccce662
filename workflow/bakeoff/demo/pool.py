"""Methods in memory: each is loaded once for all requests, and the least recently used is dropped first."""

import threading
from collections import OrderedDict
from collections.abc import Callable

from bakeoff.inference.predictors import Predictor


class Pool:
    """A bounded number of methods in memory; safe to use from several threads.

    Parameters
    ----------
    open_method
        Opens an experiment by its name. If it raises, nothing is kept.
    most
        Methods that are kept, at least 1. One that is dropped stays in memory while a request uses it.
    """

    def __init__(self, open_method: Callable[[str], Predictor], most: int) -> None:
        self._open, self._most = open_method, most
        self._kept: OrderedDict[str, Predictor] = OrderedDict()
        # Held while a method loads: two requests for it wait for one load, and no two loads take memory together.
        self._lock = threading.Lock()

    def get(self, experiment: str) -> Predictor:
        """The method, opened if it is not in memory."""
        with self._lock:
            if experiment not in self._kept:
                while len(self._kept) >= self._most:  # before the load, so that there are never more
                    self._kept.popitem(last=False)
                self._kept[experiment] = self._open(experiment)
            self._kept.move_to_end(experiment)
            return self._kept[experiment]
