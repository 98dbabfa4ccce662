"""`bakeoff suites`: the suites, their methods, and what they take for a hundred images on this machine."""

from collections.abc import Iterator

from bakeoff.adding.estimate import Machine, duration, estimate, this_machine
from bakeoff.adding.proposal import CLASSIFICATION, SEGMENTATION, TRAIN
from bakeoff.adding.suites import SUITES_FILE, choose, methods_of, read_suites
from bakeoff.artefacts.geometry import Geometry

# What times are said for.
IMAGES = 100


def said_suites(machine: Machine | None = None) -> Iterator[str]:
    """Lines to print."""
    machine = machine or this_machine()
    for name, suite in read_suites().suites.items():
        yield f"{name}: {suite.title}"
        for kind in (SEGMENTATION, CLASSIFICATION):
            if getattr(suite, kind) is None:
                continue
            size = methods_of(name, kind).size
            geometry = Geometry("stretch", size, size)
            chosen = choose(name, kind, round(TRAIN * IMAGES), geometry, thresholds=True, without=())
            cost = estimate(chosen, IMAGES, 3, 1, kind == SEGMENTATION, machine)
            methods = ", ".join([*chosen.baselines, *chosen.networks])
            yield f"  {kind}, {size} pixels, {chosen.epochs} epochs, about {duration(cost.seconds)}: {methods}"
    where = f"{machine.words()} of this machine"
    yield f"Times are for {IMAGES} images and one seed on {where}; expect half to twice as much."
    yield f"The suites stand in {SUITES_FILE}, to which you can add your own."
