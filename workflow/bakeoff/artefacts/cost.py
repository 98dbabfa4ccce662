"""What a method costs beside its quality: the figures of `cost.json`, the same for every family."""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil

from bakeoff.artefacts.atomic import write_text
from bakeoff.artefacts.provenance import manifest

WARM_UPS = 3
TIMED = 20
# A method so slow that this does not suffice for all timings is timed less often, but once at least.
SECONDS_OF_TIMING = 1.0


# What two networks that work one after the other cost together is the sum of these.
_ADDED = ("parameters", "multiply_adds", "model_mib", "training_seconds", "latency_ms")


def latency_ms(predict: Callable[[int], object], images: int) -> float:
    """How long one image takes that is predicted alone, on this machine.

    Parameters
    ----------
    predict
        Predicts the image of a number from 0 to `images - 1`, and returns when that is done.
    images
        How many there are; they take turns.

    Returns
    -------
    float
        Median of 20 predictions in milliseconds, after 3 that are not timed (they pay for what later ones reuse). Of
        predictions that take longer than a second together, the median of those that began within them.
    """
    for turn in range(WARM_UPS):
        predict(turn % images)
    seconds: list[float] = []
    while not seconds or (len(seconds) < TIMED and sum(seconds) < SECONDS_OF_TIMING):
        began = time.perf_counter()
        predict(len(seconds) % images)
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds)) * 1e3


def cost_of_trainings(
    records: Sequence[Mapping[str, Any]], images_per_second: Sequence[float], **more: Any
) -> dict[str, Any]:
    """The figures of an experiment that is trained, from those of its trainings.

    Parameters
    ----------
    records
        The trainings' records, `models/seedK.json`.
    images_per_second
        How fast each of them predicts.
    more
        What the records do not say: `multiply_adds`, `latency_ms`, `model_mib`, `device`, `note`.
    """
    return {
        "parameters": records[0]["parameters"],
        "training_seconds": float(np.mean([record["training_seconds"] for record in records])),
        "predict_images_per_second": float(np.mean(images_per_second)),
        "peak_memory_mib": max(record["peak_memory_mib"] for record in records),
        **more,
    }


def added_cost(cost: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of `cost.json` of a method and of what works before it, together; None for what one does not know.

    Examples
    --------
    >>> both = added_cost({"latency_ms": 30.0, "predict_images_per_second": 40.0}, {"latency_ms": 10.0})
    >>> both["latency_ms"], both["predict_images_per_second"]
    (40.0, None)
    """
    found = {**cost, **dict.fromkeys((*_ADDED, "predict_images_per_second", "peak_memory_mib"))}
    for name in _ADDED:
        if cost.get(name) is not None and before.get(name) is not None:
            found[name] = cost[name] + before[name]
    rates = [float(each.get("predict_images_per_second") or 0) for each in (cost, before)]
    if min(rates) > 0:
        found["predict_images_per_second"] = 1 / sum(1 / rate for rate in rates)
    peaks = [each["peak_memory_mib"] for each in (cost, before) if each.get("peak_memory_mib") is not None]
    found["peak_memory_mib"] = max(peaks) if len(peaks) == 2 else None
    return found


class Work(NamedTuple):
    """What the processors have done up to a moment.

    Attributes
    ----------
    clock
        The moment, in seconds.
    own
        Processor seconds of this process and of those that it started and waited for.
    all
        Of all processes of the machine.
    """

    clock: float
    own: float
    all: float


def work_so_far() -> Work:
    """What the processors have done up to now."""
    mine, machine = os.times(), psutil.cpu_times()._asdict()
    # Linux counts guests among the user's processes too.
    idle = sum(machine.get(name, 0.0) for name in ("idle", "iowait", "guest", "guest_nice"))
    return Work(time.monotonic(), sum(mine[:4]), sum(machine.values()) - idle)


def other_load(before: Work, after: Work) -> float:
    """How many processors other processes kept busy between two moments, on average.

    Examples
    --------
    >>> other_load(Work(0, 0, 100), Work(10, 20, 125))
    0.5
    """
    others = (after.all - before.all) - (after.own - before.own)
    return max(0.0, others / max(after.clock - before.clock, 1e-9))


def write_cost(folder: Path, cost: Mapping[str, Any], since: Work) -> None:
    """Write `cost.json` of an experiment, with the load by other work and the manifest of what found it out.

    Parameters
    ----------
    since
        What the processors had done when the experiment began.
    """
    others = {"other_load": round(other_load(since, work_so_far()), 2), "cores": os.cpu_count()}
    write_text(folder / "cost.json", json.dumps({**cost, **others, "manifest": manifest()}, indent=2) + "\n")
