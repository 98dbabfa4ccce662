"""Cats and dogs drawn from random numbers.

An animal is put together from closed outlines (tail, legs, body, head, ears, muzzle) and painted in fur. Behind it lies
clutter in the same colours, so that no threshold finds the animal.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bakeoff.datasets.sources.drawing import (
    Shape,
    above,
    blob,
    blurred,
    closed,
    filled,
    smooth_noise,
    turned,
    uneven_light,
)

Part = tuple[str, np.ndarray]
NOISE = 6.0  # the camera's, standard deviation at most, in grey levels
FURS = {
    "black": (38, 34, 34), "charcoal": (76, 72, 72), "brown": (88, 60, 42), "chestnut": (138, 88, 52),
    "ruddy": (166, 108, 66), "gold": (190, 142, 88), "fawn": (206, 172, 126), "cream": (224, 206, 178),
    "white": (236, 232, 226), "silver": (168, 166, 162), "slate": (112, 118, 130),
}  # fmt: skip
EYES = {"green": (150, 160, 60), "blue": (90, 140, 205), "hazel": (70, 45, 30), "dark": (34, 26, 24)}
COLOURS = {name: np.array(colour, np.float32) for name, colour in {**FURS, **EYES}.items()}
CLUTTER = np.array(
    [*FURS.values(), (86, 118, 62), (120, 148, 84), (58, 82, 52), (104, 134, 172), (62, 84, 128), (158, 62, 54)],
    np.float32,
)
POSES = ("sitting", "standing", "portrait")


@dataclass(frozen=True)
class Animal:
    """How an animal looks; lengths are shares of the head's radius.

    Attributes
    ----------
    coats
        Names of colours by part (ear, head, muzzle, leg, body, tail, eye); `base` is for parts not named. A picture
        shows one coat.
    pattern
        What breaks the base colour: rosettes, speckles or plain; in the colour `mark`.
    ears
        pointed, folded or hanging.
    ear, muzzle
        Sizes.
    face
        Width of the head over its height.
    build
        Width of the body over the usual.
    fluff
        How far fur stands off the outline.
    """

    coats: Sequence[dict[str, str]]
    pattern: str
    ears: str
    ear: float
    muzzle: float
    face: float
    build: float = 1.0
    fluff: float = 0.01


def draw(
    random: np.random.Generator, size: int, animal: Animal, poses: Sequence[str] = POSES
) -> tuple[np.ndarray, np.ndarray]:
    """One picture, uint8 (height, width, RGB), at most `size` long, and where the animal is, bool (height, width)."""
    shape = _shape(random, size)
    pose = str(random.choice(poses))
    unit, place = _placed(random, shape, pose)
    fur = _fur(random, shape, unit, animal)
    scene = _clutter(random, shape)
    inside = np.zeros(shape, np.float32)
    for zone, outline in _parts(random, pose, animal):
        part = filled(shape, place(outline))
        scene += part[..., None] * (fur(zone, part) - scene)
        inside = np.maximum(inside, part)
    return _photograph(random, scene), inside > 0.5


def _shape(random: np.random.Generator, size: int) -> Shape:
    """Height and width: most pictures are wide, some high, some square, and some smaller."""
    long = round(size * random.choice((1.0, 1.0, 0.85, 0.7)) * random.uniform(0.92, 1.0))
    short = round(long * random.choice((0.67, 0.75, 0.75, 0.9, 1.0)))
    return (short, long) if random.random() < 0.75 else (long, short)


def _placed(random: np.random.Generator, shape: Shape, pose: str) -> tuple[float, Callable[[np.ndarray], np.ndarray]]:
    """Pixels a unit, and how points in units are mirrored, turned and shifted into the picture."""
    height, width = shape
    reach = {"sitting": (0.40, 0.52), "standing": (0.44, 0.58), "portrait": (0.62, 0.90)}[pose]
    unit = random.uniform(*reach) * min(shape) * (min(width / height, 1.3) if pose == "standing" else 1)
    scale = unit * np.array((random.choice((-1.0, 1.0)), random.uniform(0.92, 1.08)))
    angle, middle = np.deg2rad(random.uniform(-12, 12)), (0.0, -0.3 if pose == "portrait" else 0.0)
    centre = random.uniform((0.40, 0.44), (0.60, 0.56)) * (width, height)
    return unit, lambda points: turned((points - middle) * scale, angle) + centre


def _fur(
    random: np.random.Generator, shape: Shape, unit: float, animal: Animal
) -> Callable[[str, np.ndarray], np.ndarray]:
    """Gives the colours, (height, width, RGB), of a part, which itself is given as a share of every pixel."""
    tint = random.uniform(0.72, 1.12) * random.normal(1, 0.025, 3)
    chosen = animal.coats[int(random.integers(len(animal.coats)))]
    coat = {zone: (COLOURS[colour] * tint).astype(np.float32) for zone, colour in chosen.items()}
    scale = unit * random.uniform(0.8, 1.25)
    pattern: np.ndarray = np.zeros(shape, np.float32)
    if animal.pattern == "rosettes":
        noise = smooth_noise(random, shape, 0.05 * scale)
        pattern = above(noise, 0.4) * (1 - 0.6 * above(noise, 1.3))
    elif animal.pattern == "speckles":
        fine, coarse = (smooth_noise(random, shape, length * scale) for length in (0.025, 0.2))
        pattern = np.maximum(above(fine, 1.0), above(coarse, 1.2))
    grain = 1 + 0.07 * smooth_noise(random, shape, 0.01 * unit) + 0.08 * smooth_noise(random, shape, 0.2 * unit)

    def colours(zone: str, part: np.ndarray) -> np.ndarray:
        if zone in ("eye", "pupil", "nose"):
            return np.broadcast_to(coat["eye"] if zone == "eye" else np.float32(22), (*part.shape, 3))
        colour = coat.get(zone, coat["base"])
        if zone not in coat and "mark" in coat:
            colour = colour + pattern[..., None] * (coat["mark"] - colour)
        # A part is darker towards its edge, or a leg before a body would not be visible.
        shade = 0.62 + 0.38 * np.clip(2 * blurred(part, 0.05 * unit) - 1, 0, 1)
        return colour * (grain * shade)[..., None]

    return colours


def _parts(random: np.random.Generator, pose: str, animal: Animal) -> Iterator[Part]:
    """Parts of an animal, the farthest first: what they are, and closed outlines in units, y downwards."""
    build, fluff = animal.build * random.uniform(0.9, 1.1), animal.fluff

    def part(zone: str, x: float, y: float, across: float, down: float, angle: float = 0.0) -> Part:
        return zone, _frayed(random, (x, y), (across, down), angle, fluff)

    if pose == "standing":
        yield part("tail", 0.82, -0.15, 0.30, 0.05 + fluff, random.uniform(0.2, 0.9))
        for x in (0.40, -0.25, 0.55, -0.40):
            yield part("leg", x + random.normal(0, 0.03), 0.42, 0.085 * build, 0.36, random.normal(0, 0.12))
        yield part("body", 0.10, 0.08, 0.60, 0.28 * build)
        yield part("body", -0.44, -0.12, 0.17 * build, 0.30, 0.6)
        head, radius, aside = np.array([-0.58, -0.38]), 0.26, random.uniform(-0.30, 0.05)
    else:
        yield part("tail", 0.34 * build + 0.18, 0.55, 0.26, 0.05 + fluff, random.uniform(0.2, 1.2))
        for side in (-1, 1):
            yield part("leg", side * 0.34 * build, 0.72, 0.17, 0.14)
        yield part("body", 0, 0.34, 0.38 * build, 0.52)
        for side in (-1, 1):
            yield part("leg", side * 0.13 * build, 0.60, 0.085, 0.34)
        head, radius, aside = np.array([random.normal(0, 0.04), -0.38]), 0.33, random.uniform(-0.18, 0.18)
    tilt = random.normal(0, 0.15)
    for zone, outline in _head(random, animal, aside):
        yield zone, turned(outline, tilt) * radius + head


def _head(random: np.random.Generator, animal: Animal, aside: float) -> Iterator[Part]:
    """Parts of a head of radius 1 at the origin that looks to the side by `aside`, in radii."""
    face, ear = animal.face * random.uniform(0.94, 1.06), animal.ear * random.uniform(0.9, 1.1)
    muzzle, fluff = animal.muzzle * random.uniform(0.92, 1.08), animal.fluff
    head = "head", _frayed(random, (0, 0), (face, 0.95), 0, fluff)
    corners = {
        "pointed": ((0.18 * face, -0.80), ((0.55 + 0.15 * ear) * face, -0.78 - ear), (0.95 * face, -0.35)),
        "folded": ((0.45 * face, -0.88), (1.02 * face, -0.62), (0.98 * face, -0.62 + 0.95 * ear)),
    }
    if animal.ears == "hanging":
        yield head
    for side in (-1, 1):
        if animal.ears == "hanging":
            yield "ear", _frayed(random, (side * face * 0.95, 0.15 * ear), (0.3, 0.62 * ear), -side * 0.25, fluff)
        else:
            yield "ear", (np.array(corners[animal.ears]) + random.normal(0, 0.03, (3, 2))) * (side, 1)
    if animal.ears != "hanging":
        yield head
    yield "muzzle", _frayed(random, (aside, 0.42), (muzzle, 0.72 * muzzle + 0.05), 0, fluff / 2)
    for side in (-1, 1):
        eye = (aside + side * 0.42 * face, -0.12)
        yield "eye", blob(random, eye, (0.15, 0.14))
        yield "pupil", blob(random, eye, (0.07, 0.11))
    yield "nose", closed(np.array([(aside - 0.16, 0.2), (aside + 0.16, 0.2), (aside, 0.38)]))


def _frayed(
    random: np.random.Generator, centre: tuple[float, float], radii: tuple[float, float], angle: float, fluff: float
) -> np.ndarray:
    outline = blob(random, (0, 0), (1, 1))
    return turned(outline * (1 + fluff * random.random((len(outline), 1))) * radii, angle) + centre


def _clutter(random: np.random.Generator, shape: Shape) -> np.ndarray:
    """A background, float32 (height, width, RGB), 0 to 255: a wall and a floor, and things in the colours of fur."""
    height, size = shape[0], max(shape)
    wall, floor = CLUTTER[random.integers(len(CLUTTER), size=2)]
    below = (np.arange(height) > random.uniform(0.35, 0.8) * height)[:, None, None]
    scene = np.where(below, floor, wall) * np.ones((*shape, 1), np.float32)
    for _ in range(random.integers(10, 22)):
        first, second = CLUTTER[random.integers(len(CLUTTER), size=2)] * random.uniform(0.75, 1.2)
        texture = above(
            smooth_noise(random, shape, random.uniform(0.005, 0.03) * size), 0.5 if random.random() < 0.4 else 9
        )
        thing = filled(shape, _thing(random, shape))[..., None]
        scene += thing * (first + texture[..., None] * (second - first) - scene)
    scene *= (1 + 0.05 * smooth_noise(random, shape, 0.01 * size) + 0.15 * smooth_noise(random, shape, 0.15 * size))[
        ..., None
    ]
    return blurred(scene, random.uniform(0.002, 0.008) * size)


def _thing(random: np.random.Generator, shape: Shape) -> np.ndarray:
    """Outline of a box or a boulder somewhere in the picture."""
    radii = np.exp(random.uniform(np.log(0.03), np.log(0.28), 2)) * max(shape)
    box = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    outline = box if random.random() < 0.5 else blob(random, (0, 0), (1, 1))
    return turned(outline * radii, random.uniform(0, np.pi)) + random.random(2) * shape[::-1]


def _photograph(random: np.random.Generator, scene: np.ndarray) -> np.ndarray:
    """What a camera makes of a scene, uint8: exposure, white balance, light from one side, and noise."""
    shape = scene.shape[:2]
    balance = random.uniform(0.75, 1.15) * random.normal(1, 0.025, 3)
    lit = scene * uneven_light(random, shape, 0.18)[..., None] * balance
    levels = 255 * np.clip(lit / 255, 0, 1) ** random.uniform(0.75, 1.3)
    levels += random.normal(0, random.uniform(1, NOISE), (*shape, 1))
    return np.rint(np.clip(levels, 0, 255)).astype(np.uint8)
