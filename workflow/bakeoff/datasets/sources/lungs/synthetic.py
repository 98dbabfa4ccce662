"""Chest X-rays drawn from random numbers, in the archive layout and under the names of the real ones.

A picture is the projection of a chest: body, spine, ribs and heart add attenuation, the lungs subtract it, and film
turns the sum into grey levels. Air outside the body is as dark as the lungs, bone crosses the lungs, and exposures
differ, so that no threshold finds the lungs. The labels are in the pictures: tuberculosis adds opacities, and the
hospitals differ in format, contrast, noise and frame.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bakeoff.datasets.sources.drawing import (
    Shape,
    blob,
    blurred,
    closed,
    encoded,
    filled,
    near_duplicate,
    smooth_noise,
    stroked,
    truncated,
    turned,
    uneven_light,
    write_zip,
)
from bakeoff.datasets.sources.lungs import FILES, IMAGES, MASKS

MONTGOMERY_SHARE = 0.2
MISSING_MASK_SHARE = 0.05
# Faults that are planted in Shenzhen pictures with a mask, one each.
FAULTS = ("exact duplicate", "near-duplicate", "truncated", "blank mask", "RGB", "16 bit", "odd size")
# x and y from -1 to 1. Outline of the lung on the left of the picture: apex, side, corner, diaphragm, middle.
OUTLINE = np.array(
    [(-0.30, -0.74), (-0.52, -0.52), (-0.66, -0.10), (-0.72, 0.32), (-0.70, 0.54), (-0.46, 0.36), (-0.20, 0.42),
     (-0.15, 0.02), (-0.15, -0.48)]
)  # fmt: skip
TORSO = np.array(
    [(-0.22, -1.1), (-0.24, -0.88), (-0.62, -0.78), (-0.90, -0.45), (-0.86, 0.10), (-0.84, 0.60), (-0.86, 1.1)]
)
Place = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Look:
    """How a hospital's pictures look; ranges are drawn from uniformly.

    Attributes
    ----------
    longest
        Longest side, as a share of the one asked for.
    aspect
        Height over width.
    exposure
        Attenuation that turns film from black to 63 % white; the smaller, the paler the lungs.
    haze
        Grey level, 0 to 1, of the darkest air.
    noise
        Standard deviation of the grain, 0 to 1.
    border
        Width of the black frame, as a share of the picture.
    """

    longest: float
    aspect: tuple[float, float]
    exposure: tuple[float, float]
    haze: tuple[float, float]
    noise: tuple[float, float]
    border: tuple[float, float]


LOOKS = {
    "CHNCXR": Look(0.94, (0.88, 0.98), (0.38, 0.62), (0.0, 0.12), (0.01, 0.035), (0.0, 0.0)),
    "MCUCXR": Look(1.0, (0.80, 0.84), (0.60, 0.95), (0.10, 0.28), (0.03, 0.07), (0.02, 0.09)),
}


@dataclass(frozen=True)
class Case:
    """An X-ray (uint8, height x width), its lung mask (uint8, 0 and 255, or None) and what is wrong with its file."""

    prefix: str
    diagnosis: int
    image: np.ndarray
    mask: np.ndarray | None
    fault: str = ""


def write(folder: Path, *, images: int, size: int, seed: int) -> None:
    """Write the archive of synthetic X-rays into an existing folder; the same bytes for the same arguments.

    A fifth is Montgomery's, about half of each hospital's have tuberculosis. Of Shenzhen's one in twenty has no mask,
    and `FAULTS` are planted.

    Parameters
    ----------
    images
        Pictures in the archive, at least 20.
    size
        Longest side of the largest pictures, in pixels.
    """
    write_zip(folder / FILES[0].name, _files(images, size, seed))


def _files(images: int, size: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Members of the archive; within a hospital normal X-rays have the lower numbers, as in the real one."""
    montgomery = max(4, round(images * MONTGOMERY_SHARE))
    drawn = _hospital("CHNCXR", images - montgomery, size, seed)
    for cases in (_with_faults(drawn, images - montgomery, seed), _hospital("MCUCXR", montgomery, size, seed)):
        for number, case in enumerate(cases, start=1):
            id_ = f"{case.prefix}_{number:04d}_{case.diagnosis}"
            yield f"{IMAGES}{id_}.png", _image_file(case)
            if case.mask is not None:
                yield f"{MASKS}{id_}{'_mask' if case.prefix == 'CHNCXR' else ''}.png", encoded(case.mask)


def _hospital(prefix: str, count: int, size: int, seed: int) -> Iterator[Case]:
    for number in range(count):
        random = np.random.default_rng([seed, sorted(LOOKS).index(prefix), number])
        diagnosis = int(number >= count // 2)
        yield Case(prefix, diagnosis, *draw(random, size, diagnosis, LOOKS[prefix]))


def _with_faults(cases: Iterator[Case], count: int, seed: int) -> Iterator[Case]:
    """Spread the faults evenly over the cases, and leave out some masks among the rest."""
    random = np.random.default_rng([seed, len(LOOKS)])
    places = np.linspace(1, count - 1, len(FAULTS)).astype(int)
    faults = dict(zip(places.tolist(), FAULTS, strict=True))
    # The duplicates copy their predecessors, which therefore keep their masks.
    free = [number for number in range(count) if number not in faults and number + 1 not in places]
    missing = set(random.choice(free, max(2, round(count * MISSING_MASK_SHARE)), replace=False).tolist())
    previous: Case | None = None
    for number, case in enumerate(cases):
        fault = faults.get(number, "")
        if fault.endswith("duplicate") and previous is not None:
            image = previous.image if fault == "exact duplicate" else near_duplicate(random, previous.image)
            case = replace(previous, image=image)
        elif fault == "blank mask":
            case = replace(case, mask=np.zeros_like(case.image))
        elif fault == "odd size":  # a film three times as wide as high
            side = ((0, 0), (case.image.shape[1],) * 2)
            case = replace(case, image=np.pad(case.image, side), mask=np.pad(np.asarray(case.mask), side))
        elif number in missing:
            case = replace(case, mask=None)
        case = replace(case, fault=fault)
        yield case
        previous = case


def _image_file(case: Case) -> bytes:
    if case.fault == "16 bit":
        return encoded(case.image.astype(np.uint16) * 257)
    data = encoded(case.image, mode="RGB" if case.fault == "RGB" else None)
    return truncated(data) if case.fault == "truncated" else data


def draw(random: np.random.Generator, size: int, diagnosis: int, look: Look) -> tuple[np.ndarray, np.ndarray]:
    """One X-ray and its lung mask, both uint8 (height, width); the mask is 0 and 255."""
    shape = _shape(random, size, look)
    place = _placed(random, shape)
    outlines = [_lung(random, side) for side in (-1, 1)]
    lung = filled(shape, *map(place, outlines))
    heart = filled(shape, place(blob(random, (0.12, 0.24), (0.30, 0.27), wobble=0.05)))

    attenuation = _soft_tissue(random, shape, place, lung, heart) + _bones(random, shape, place)
    attenuation += smooth_noise(random, shape, 0.03 * shape[1]) * 0.05 * lung
    if diagnosis:
        attenuation += _opacities(random, shape, place, outlines) * lung
    return _film(random, attenuation, look), (lung * (heart < 0.5) > 0.5).astype(np.uint8) * 255


def _shape(random: np.random.Generator, size: int, look: Look) -> Shape:
    long = size * look.longest * random.uniform(0.92, 1.0)
    short = long * random.uniform(*look.aspect)
    upright = look.border[1] > 0 and random.random() < 0.4  # some of Montgomery's plates
    return (round(long), round(short)) if upright else (round(short), round(long))


def _placed(random: np.random.Generator, shape: Shape) -> Place:
    """Where the patient stands: stretches, turns and shifts points of the unit square, and makes them pixels."""
    stretch, angle = random.uniform((0.84, 0.84), (1.06, 1.08)), np.deg2rad(random.uniform(-6, 6))
    shift = random.uniform((-0.09, -0.07), (0.09, 0.09))
    return lambda points: (turned(points * stretch, angle) + shift + 1) / 2 * shape[::-1]


def _lung(random: np.random.Generator, side: int) -> np.ndarray:
    """Outline of a lung; `side` -1 is on the left of the picture."""
    points = OUTLINE + random.normal(0, 0.022, OUTLINE.shape)
    points[4:7, 1] += random.uniform(-0.14, 0.14) + (0.04 if side > 0 else 0.0)
    return closed(points * (-side, 1))


def _soft_tissue(
    random: np.random.Generator, shape: Shape, place: Place, lung: np.ndarray, heart: np.ndarray
) -> np.ndarray:
    width = shape[1]
    half = TORSO * (random.uniform(1.0, 1.25), 1) + random.normal(0, 0.015, TORSO.shape)
    torso = blurred(filled(shape, place(np.vstack([half, half[::-1] * (-1, 1)]))), 0.012 * width)
    x, y = (np.linspace(-1, 1, side, dtype=np.float32) for side in shape[::-1])
    body = torso * (0.75 - 0.25 * x[None, :] ** 2 + random.uniform(0.0, 0.35) * np.maximum(y, 0)[:, None])
    body += 0.08 * smooth_noise(random, shape, 0.12 * width) * torso
    air = random.uniform(0.42, 0.64) * torso * blurred(lung, 0.008 * width)
    breasts = [place(blob(random, (side * 0.42, 0.3), (0.3, 0.26), wobble=0.05)) for side in (-1, 1)]
    between = stroked(shape, [place(np.array([(0.0, -0.7), (0.0, 0.6)]))], 0.13 * width)
    tissue = body - air + random.uniform(0.0, 0.14) * blurred(filled(shape, *breasts), 0.03 * width)
    return np.maximum(tissue + 0.16 * blurred(between, 0.02 * width) + 0.32 * blurred(heart, 0.012 * width), 0)


def _bones(random: np.random.Generator, shape: Shape, place: Place) -> np.ndarray:
    width = shape[1]
    spine = blurred(stroked(shape, [place(np.array([(0.0, -1.1), (0.0, 1.1)]))], 0.085 * width), 0.012 * width)
    gaps = 1 + 0.25 * np.sin(np.linspace(0, random.uniform(60, 75), shape[0], dtype=np.float32))[:, None]
    across = np.linspace(0.05, 1, 24)
    slope, spacing = random.uniform(0.12, 0.24), random.uniform(0.145, 0.175)
    # From the spine up a little, out, and down along the chest's side.
    ribs = [
        place(np.column_stack([side * 0.76 * across, level - 0.1 * across + 2 * slope * across**3]))
        for side in (-1, 1)
        for level in np.arange(9) * spacing - 0.78
    ]
    strength = random.uniform(0.10, 0.18)
    return strength * blurred(stroked(shape, ribs, 0.025 * width), 0.006 * width) + 0.22 * spine * gaps


def _opacities(random: np.random.Generator, shape: Shape, place: Place, lungs: list[np.ndarray]) -> np.ndarray:
    """Cloudy infiltrates, most of them in the upper lungs."""
    clouds = np.zeros(shape, np.float32)
    for _ in range(random.integers(1, 5)):
        x, y = lungs[random.integers(2)].mean(axis=0) + random.uniform((-0.12, -0.5), (0.12, 0.2))
        cloud = filled(shape, place(blob(random, (x, y), (random.uniform(0.07, 0.2),) * 2, wobble=0.2)))
        clouds += random.uniform(0.12, 0.32) * blurred(cloud, 0.02 * shape[1])
    return clouds * (1 + 0.3 * smooth_noise(random, shape, 0.015 * shape[1]))


def _film(random: np.random.Generator, attenuation: np.ndarray, look: Look) -> np.ndarray:
    """Grey levels, uint8: saturating response, uneven exposure, grain, and the frame of the film."""
    height, width = shape = attenuation.shape
    grey = (1 - np.exp(-np.maximum(attenuation, 0) / random.uniform(*look.exposure))) ** random.uniform(0.8, 1.5)
    haze = random.uniform(*look.haze)
    grey = haze + (random.uniform(0.85, 1.0) - haze) * grey * uneven_light(random, shape, 0.12)
    grey = grey + random.uniform(*look.noise) * smooth_noise(random, shape, 0.003 * width)
    border = round(random.uniform(*look.border) * width)
    inner = np.zeros(shape, bool)
    inner[border : height - border, border : width - border] = True
    return np.rint(np.clip(grey * inner, 0, 1) * 255).astype(np.uint8)
