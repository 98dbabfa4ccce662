"""What a method costs beside its quality: the figures of `cost.json`, the same for every family."""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

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


def write_cost(folder: Path, cost: Mapping[str, Any]) -> None:
    """Write `cost.json` of an experiment, with the load of the machine and the manifest of what found it out."""
    busy = {"load": os.getloadavg()[0], "cores": os.cpu_count()} if hasattr(os, "getloadavg") else {}
    write_text(folder / "cost.json", json.dumps({**cost, **busy, "manifest": manifest()}, indent=2) + "\n")
