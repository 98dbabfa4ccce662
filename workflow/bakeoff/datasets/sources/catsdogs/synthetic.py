"""Faces of cats and dogs drawn from random numbers, in the archive layout and under the names of the real ones.

The two differ in anatomy alone: ears, the outline of the head, eyes, muzzle and nose. Fur, its pattern, the light, the
pose and the clutter behind are drawn from the same ranges for both, so that neither the colours of a picture nor any
one of its pixels tells them apart.
"""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image
from scipy.interpolate import CubicSpline

from bakeoff.datasets.sources.catsdogs import FILES

FOLDERS = ("Cat", "Dog")
# The two broken files of the published archive: one empty, one cut off.
EMPTY = ("Cat", 666)
TRUNCATED = ("Dog", 11702)
# Planted, by folder and number; a duplicate is one of the picture named.
DUPLICATES = {("Cat", 7): ("Cat", 6), ("Dog", 5): ("Cat", 5)}
NEAR_DUPLICATES = {("Cat", 9): ("Cat", 8), ("Dog", 9): ("Dog", 8)}
FORMATS = {("Cat", 2): "GIF", ("Cat", 3): "PNG", ("Dog", 3): "BMP", ("Dog", 2): "grey JPEG", ("Dog", 1): "Exif JPEG"}
STRAYS = {
    "PetImages/Cat/Thumbs.db": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "PetImages/Dog/Thumbs.db": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "readme[1].txt": b"Drawn from random numbers.\n",
    "MSR-LA - 3467.docx": b"PK\x05\x06",
}
MINIMUM_IMAGES = 24
# Zip archives know no earlier day; a fixed one keeps the bytes the same.
TIMESTAMP = (1980, 1, 1, 0, 0, 0)
JPEG_QUALITY = 90
# Drawn this much larger and then shrunk, so that edges are smooth.
OVERSAMPLING = 2

# Fur, RGB.
COATS = np.array(
    [(52, 46, 46), (122, 122, 128), (112, 78, 54), (198, 128, 66), (222, 196, 158), (234, 230, 224)], np.float32
)
PINK, BLACK = (214, 142, 140), (28, 24, 26)
Colour = tuple[float, float, float]


class Part(NamedTuple):
    """A shape of a face: points (n, 2) around the head's centre in half head widths, y down; filled, or a line.

    `paint` is an RGB colour, or "coat", "shade" (the same fur, darker) or "pale".
    """

    points: np.ndarray
    paint: str | Colour
    width: float = 0.0


def write(folder: Path, *, images: int, size: int, seed: int) -> None:
    """Write the archive of synthetic cats and dogs into an existing folder; the same bytes for the same arguments.

    Half are cats. One file is empty and one is cut off, under the names of the published broken ones; two are
    duplicates, one of them across the classes; two are near duplicates; a GIF, a PNG and a BMP are called `.jpg`; one
    JPEG is grey and one opens with Exif in place of JFIF; four files are no pictures.

    Parameters
    ----------
    images
        Pictures in the archive, broken ones included, at least 24.
    size
        Longest side of the largest pictures, in pixels.

    Raises
    ------
    ValueError
        If `images` is too small for the planted faults.
    """
    if images < MINIMUM_IMAGES:
        raise ValueError(f"images is {images}, and the planted faults take {MINIMUM_IMAGES}")
    partial = folder / f"{FILES[0].name}.partial"
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for name, data in _files(images, size, seed):
            archive.writestr(zipfile.ZipInfo(name, TIMESTAMP), data)
    partial.replace(folder / FILES[0].name)


def _files(images: int, size: int, seed: int) -> Iterator[tuple[str, bytes]]:
    counts = {"Cat": images - images // 2, "Dog": images // 2}
    broken = dict((EMPTY, TRUNCATED))
    for folder in FOLDERS:
        for number in _numbers(counts[folder], broken[folder]):
            yield f"PetImages/{folder}/{number}.jpg", _file((folder, number), size, seed)
    yield from STRAYS.items()


def _numbers(count: int, broken: int) -> list[int]:
    """Numbers from 0, the last of them exchanged for that of the broken file unless it is among them."""
    return list(range(count)) if broken < count else [*range(count - 1), broken]


def _file(key: tuple[str, int], size: int, seed: int) -> bytes:
    if key == EMPTY:
        return b""
    if key in DUPLICATES:
        return _file(DUPLICATES[key], size, seed)
    folder, number = NEAR_DUPLICATES.get(key, key)
    picture = draw(np.random.default_rng([seed, FOLDERS.index(folder), number]), folder.lower(), size)
    if key in NEAR_DUPLICATES:
        return _jpeg(cv2.resize(picture, None, fx=0.9, fy=0.9, interpolation=cv2.INTER_AREA), quality=60)
    data = _encoded(picture, FORMATS.get(key, "JPEG"))
    return data[: len(data) // 2] if key == TRUNCATED else data


def _encoded(picture: np.ndarray, kind: str) -> bytes:
    if kind == "grey JPEG":
        return _jpeg(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))
    if kind == "Exif JPEG":
        return _without_jfif(_jpeg(picture, exif=Image.Exif()))
    if kind == "JPEG":
        return _jpeg(picture)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind)
    return buffer.getvalue()


def _jpeg(picture: np.ndarray, quality: int = JPEG_QUALITY, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality, **options)
    return buffer.getvalue()


def _without_jfif(data: bytes) -> bytes:
    """A JPEG less its first segment, which Pillow makes JFIF's."""
    length = int.from_bytes(data[4:6], "big")
    return data[:2] + data[4 + length :]


def draw(random: np.random.Generator, species: str, size: int) -> np.ndarray:
    """One picture, uint8 RGB (height, width, 3), of a "cat" or a "dog"."""
    height, width = _shape(random, size)
    shape = (height * OVERSAMPLING, width * OVERSAMPLING)
    canvas = _clutter(random, shape)
    pose = _Pose(random, shape)
    fur = _Fur(random, shape, pose)
    anatomy = {"cat": _cat, "dog": _dog}[species]
    for part in anatomy(random):
        _paint(canvas, part, pose, fur)
    for _ in range(random.integers(3)):
        _thing(random, canvas)  # in front
    small = cv2.resize(_lit(random, canvas), (width, height), interpolation=cv2.INTER_AREA)
    grain = random.normal(0, random.uniform(1, 5), small.shape)
    return np.clip(small + grain, 0, 255).astype(np.uint8)


def _shape(random: np.random.Generator, size: int) -> tuple[int, int]:
    long = round(size * random.uniform(0.75, 1.0))
    short = round(long * random.uniform(0.72, 1.0))
    return (short, long) if random.random() < 0.6 else (long, short)


class _Pose:
    """Where the head is: turns, scales and shifts points (n, 2) of half head widths to pixels."""

    def __init__(self, random: np.random.Generator, shape: tuple[int, int]) -> None:
        angle = np.deg2rad(random.uniform(-20, 20))
        self.unit = min(shape) * random.uniform(0.2, 0.36)  # pixels
        self.turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        middle = np.array([shape[1] / 2, shape[0] / 2])
        self.centre = middle + random.uniform((-0.14, -0.1), (0.14, 0.13)) * min(shape)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        return points @ self.turn * self.unit + self.centre


class _Fur:
    """A picture full of each shade of an animal's fur, float32 RGB (H, W, 3), and how ragged its edge is."""

    def __init__(self, random: np.random.Generator, shape: tuple[int, int], pose: _Pose) -> None:
        first, second = COATS[random.choice(len(COATS), 2, replace=False)] + random.normal(0, 7, (2, 3))
        share = _pattern(random, shape, pose)[..., None]
        hairs = _hairs(random, shape)
        coat = (first * (1 - share) + second * share + hairs[..., None]).astype(np.float32)
        self.shades = {"coat": coat, "shade": coat * random.uniform(0.55, 0.85), "pale": coat * 0.45 + 0.55 * 222}
        self.hairs = hairs / 14


def _pattern(random: np.random.Generator, shape: tuple[int, int], pose: _Pose) -> np.ndarray:
    """Share (0 to 1, H x W) of the second colour: none, patches, stripes, or the upper half of the head."""
    kind = random.integers(4)
    if kind == 0:
        return np.zeros(shape, np.float32)
    noise = _smooth_noise(random, shape, 0.08)
    if kind == 1:
        return _step(noise - 0.3)
    y, x = (pixels.astype(np.float32) for pixels in np.indices(shape, sparse=True))
    if kind == 2:
        along = (y - pose.centre[1]) / pose.unit * 14 + np.abs(x - pose.centre[0]) / pose.unit * 4
        return 0.7 * _step(np.sin(along + noise) - 0.3)
    return _step((pose.centre[1] - y) / pose.unit * 3 + 0.6 * noise)


def _step(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-6 * values))


def _hairs(random: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Short strands of one direction, grey levels of standard deviation about 14."""
    length = max(5, shape[1] // 40)
    strand = np.zeros((length, length), np.float32)
    angle = random.uniform(0, np.pi)
    reach = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    start, end = np.rint(length / 2 - reach).astype(int), np.rint(length / 2 + reach).astype(int)
    cv2.line(strand, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])), 1.0)
    noise = cv2.filter2D(random.standard_normal(shape, dtype=np.float32), -1, strand)
    return noise * (14 / noise.std())


def _smooth_noise(random: np.random.Generator, shape: tuple[int, int], blur: float) -> np.ndarray:
    """Noise of standard deviation 1 that is smooth over `blur` of the width."""
    coarse = random.standard_normal((max(2, round(shape[0] / shape[1] / blur)), max(2, round(1 / blur))))
    noise = cv2.resize(coarse.astype(np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC)
    return noise / noise.std()


def _clutter(random: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """A room or a garden, float32 RGB (H, W, 3): two soft colours and things of the colours and shapes of animals."""
    first, second = _dull(random), _dull(random)
    share = _step(_smooth_noise(random, shape, 0.5))[..., None]
    canvas = (first * share + second * (1 - share)).astype(np.float32)
    for _ in range(random.integers(6, 15)):
        _thing(random, canvas)
    canvas = cv2.GaussianBlur(canvas, (0, 0), shape[1] * random.uniform(0.002, 0.012))
    return canvas + 6 * _smooth_noise(random, shape, 0.02)[..., None]


def _dull(random: np.random.Generator) -> np.ndarray:
    """A colour of no great saturation, RGB."""
    colour = random.uniform(20, 235, 3)
    return (colour + colour.mean()) / 2


def _thing(random: np.random.Generator, canvas: np.ndarray) -> None:
    height, width = canvas.shape[:2]
    at = random.uniform(0, 1, 2) * (width, height)
    reach = random.uniform(0.04, 0.22) * width
    animal = random.random() < 0.5
    colour = COATS[random.integers(len(COATS))] if animal else _dull(random)
    corners = int(random.choice([2, 3, 3, 4, 40]))  # a stick, a triangle, a box or a disc
    angles = random.uniform(0, 2 * np.pi) + np.linspace(0, 2 * np.pi, corners, endpoint=False)
    points = at + np.column_stack([np.cos(angles), np.sin(angles) * random.uniform(0.5, 1)]) * reach
    if corners == 2:
        cv2.polylines(canvas, [_fixed(points)], False, colour.tolist(), thickness=max(1, width // 60), shift=4)
    else:
        cv2.fillPoly(canvas, [_fixed(points)], colour.tolist(), shift=4)


def _paint(canvas: np.ndarray, part: Part, pose: _Pose, fur: _Fur) -> None:
    """Paint a part over the canvas, in place."""
    points = _fixed(pose(part.points))
    if isinstance(part.paint, str):
        window = _window(points, canvas.shape, margin=round(0.3 * pose.unit))
        _paint_fur(canvas, points, window, fur.shades[part.paint], fur.hairs, pose.unit)
    elif part.width:
        thickness = max(1, round(part.width * pose.unit))
        cv2.polylines(canvas, [points], False, part.paint, thickness=thickness, shift=4)
    else:
        cv2.fillPoly(canvas, [points], part.paint, shift=4)


def _window(points: np.ndarray, shape: tuple[int, ...], margin: int) -> tuple[slice, slice]:
    """Rows and columns that a shape takes, and a margin around it: nothing outside needs to be painted."""
    (left, top), (right, bottom) = points.min(axis=0) // 16 - margin, points.max(axis=0) // 16 + margin
    return slice(max(top, 0), min(max(bottom, 1), shape[0])), slice(max(left, 0), min(max(right, 1), shape[1]))


def _paint_fur(
    canvas: np.ndarray,
    points: np.ndarray,
    window: tuple[slice, slice],
    fur: np.ndarray,
    hairs: np.ndarray,
    unit: float,
) -> None:
    rows, columns = window
    mask = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.float32)
    cv2.fillPoly(mask, [points - (16 * columns.start, 16 * rows.start)], 1.0, shift=4)
    depth = cv2.GaussianBlur(mask, (0, 0), 0.035 * unit)
    share = np.clip((depth + 0.12 * hairs[window] - 0.5) * 4 + 0.5, 0, 1) * (depth > 0.05)
    # Fur darkens towards its edge, which keeps an ear apart from a head of the same colour.
    rim = 0.45 + 0.55 * np.clip(cv2.GaussianBlur(mask, (0, 0), 0.1 * unit), 0.5, 1)
    canvas[window] += share[..., None] * (fur[window] * rim[..., None] - canvas[window])


def _lit(random: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    """The picture under a light from one side, in some exposure and some tint."""
    height, width = canvas.shape[:2]
    slope = random.uniform(-0.25, 0.25, 2)
    x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
    light = 1 + slope[0] * x[None, :] + slope[1] * y[:, None]
    return canvas * (light[..., None] * random.uniform(0.75, 1.12) * random.uniform(0.94, 1.06, 3)).astype(np.float32)


def _cat(random: np.random.Generator) -> Iterator[Part]:
    """Pointed ears on top, a wide round head, large slit eyes, a small nose close below them, whiskers."""
    aside = random.uniform(-0.14, 0.14)  # how far the face looks to a side
    yield _shoulders(random, width=random.uniform(0.85, 1.15))
    tilt = random.uniform(-0.08, 0.2)
    height = random.uniform(1.2, 1.55)
    for side in (-1, 1):
        tip = (side * (0.72 + tilt), -height)
        yield Part(_sharp((side * 0.95, -0.25), tip, (side * 0.12, -0.72)), "coat")
        inner = (side * (0.70 + tilt), -height + 0.28)
        yield Part(_sharp((side * 0.78, -0.5), inner, (side * 0.34, -0.72)), PINK)
    wide = random.uniform(1.0, 1.1)
    yield Part(_round(random, [(0, -0.8), (0.6, -0.66), (wide, 0.05), (0.72, 0.6), (0, 0.82)]), "coat")
    for side in (-1, 1):
        yield Part(_ellipse((aside + side * 0.18, 0.42), (0.25, 0.2)), "pale")
    iris = _jittered(random, ((150, 180, 70), (214, 176, 60), (120, 170, 200), (196, 120, 40))[random.integers(4)])
    yield from _cat_eyes(random, aside, iris)
    nose = PINK if random.random() < 0.65 else BLACK
    yield Part(_moved([(-0.12, 0.22), (0.12, 0.22), (0, 0.36)], aside), nose)
    yield Part(
        aside * np.array([1, 0]) + [(-0.2, 0.5), (-0.08, 0.54), (0, 0.36), (0.08, 0.54), (0.2, 0.5)], BLACK, 0.03
    )
    whiskers = (235.0, 232.0, 228.0) if random.random() < 0.7 else BLACK
    for side in (-1, 1):
        for drop in (-0.16, 0.02, 0.2):
            yield Part(np.array([(aside + side * 0.3, 0.42 + drop / 3), (side * 1.35, 0.42 + drop)]), whiskers, 0.014)


def _cat_eyes(random: np.random.Generator, aside: float, iris: Colour) -> Iterator[Part]:
    open_ = random.uniform(0.15, 0.23)
    slit = random.uniform(0.04, 0.1)
    for side in (-1, 1):
        x = aside * 0.8 + side * 0.42
        almond = np.array([(-0.26, 0.05), (-0.1, -open_), (0.12, -open_), (0.27, -0.07), (0.1, open_ * 0.8)])
        yield Part(_smooth(_moved(almond * (1.12 * side, 1.12), x, -0.08)), BLACK)
        yield Part(_smooth(_moved(almond * (side, 1), x, -0.08)), iris)
        yield Part(_ellipse((x, -0.1), (slit, open_ * 0.9)), BLACK)
        yield Part(_ellipse((x + 0.05, -0.16), (0.035, 0.035)), (245, 245, 245))


def _dog(random: np.random.Generator) -> Iterator[Part]:
    """Ears that hang or fold, a long head, small round eyes, a broad muzzle that stands out, often a tongue."""
    aside = random.uniform(-0.2, 0.2)
    yield _shoulders(random, width=random.uniform(1.0, 1.35))
    ears = ("drop", "fold", "prick")[random.integers(3)]
    if ears == "prick":
        yield from _pricked_ears(random)
    cheek = random.uniform(0.74, 0.86)
    yield Part(_round(random, [(0, -0.98), (0.52, -0.86), (cheek, -0.2), (0.6, 0.62), (0, 1.0)]), "coat")
    if ears != "prick":
        yield from _hanging_ears(random, long=ears == "drop")
    if random.random() < 0.5:
        tongue = [(-0.17, 0.72), (0.17, 0.72), (0.17, 1.1), (0, 1.22), (-0.17, 1.1)]
        yield Part(_smooth(_moved(tongue, aside)), (206, 104, 112))
    long = random.uniform(0.4, 0.48)
    yield Part(_ellipse((aside, 0.5), (random.uniform(0.42, 0.52), long)), "pale")
    for side in (-1, 1):
        yield from _dog_eye(random, aside * 0.6 + side * 0.36)
    nose = BLACK if random.random() < 0.8 else (150.0, 100.0, 92.0)
    snout = [(-0.24, 0.2), (0, 0.13), (0.24, 0.2), (0.2, 0.36), (0, 0.43), (-0.2, 0.36)]
    yield Part(_smooth(_moved(snout, aside)), nose)
    yield Part(_ellipse((aside - 0.08, 0.22), (0.06, 0.03)), (150, 150, 155))
    yield Part(_moved([(-0.36, 0.62), (-0.2, 0.76), (0, 0.66)], aside), BLACK, 0.04)
    yield Part(_moved([(0, 0.4), (0, 0.66), (0.2, 0.76), (0.36, 0.62)], aside), BLACK, 0.04)


def _hanging_ears(random: np.random.Generator, *, long: bool) -> Iterator[Part]:
    """Ears that start at the top corners of the head and hang to the jaw, or fold over at once."""
    length = random.uniform(0.75, 1.15) if long else random.uniform(0.3, 0.5)
    out = random.uniform(0.95, 1.2)
    for side in (-1, 1):
        ear = [(0.42, -0.92), (0.8, -0.86), (out, -0.4), (out - 0.06, -0.8 + length * 1.3), (0.8, -0.7 + length * 1.2),
               (0.66, -0.35)]  # fmt: skip
        yield Part(_smooth(np.array(ear) * (side, 1)), "shade")


def _pricked_ears(random: np.random.Generator) -> Iterator[Part]:
    """Ears that stand like a cat's, with blunt tips."""
    height = random.uniform(1.3, 1.6)
    for side in (-1, 1):
        ear = np.array([(0.82, -0.4), (0.86, -1.0), (0.7, -height), (0.5, -height + 0.02), (0.2, -0.85)])
        yield Part(_smooth(ear * (side, 1)), "shade")


def _dog_eye(random: np.random.Generator, x: float) -> Iterator[Part]:
    yield Part(_ellipse((x, -0.24), (0.15, 0.13)), BLACK)
    yield Part(_ellipse((x, -0.24), (0.1, 0.1)), _jittered(random, (92, 56, 30)))
    yield Part(_ellipse((x, -0.24), (0.06, 0.06)), BLACK)
    yield Part(_ellipse((x + 0.04, -0.28), (0.03, 0.03)), (245, 245, 245))


def _shoulders(random: np.random.Generator, width: float) -> Part:
    lean = random.uniform(-0.3, 0.3)
    half = [(0.45, 0.3), (0.7 * width, 0.9), (1.15 * width, 1.8), (1.3 * width, 3.2)]
    return Part(_moved([*half, *((-x, y) for x, y in half[::-1])], lean), "coat")


def _round(random: np.random.Generator, half: list[tuple[float, float]]) -> np.ndarray:
    """A smooth outline, symmetric but for a little, from its right half between two points of the middle line."""
    points = np.array([*half, *((-x, y) for x, y in half[-2:0:-1])])
    return _smooth(points + random.normal(0, 0.02, points.shape))


def _smooth(points: np.ndarray) -> np.ndarray:
    """Smooth closed curve, (60, 2), through points."""
    ring = np.vstack([points, points[:1]])
    return CubicSpline(np.arange(len(ring)), ring, bc_type="periodic")(np.linspace(0, len(points), 60))


def _sharp(first: tuple[float, float], tip: tuple[float, float], last: tuple[float, float]) -> np.ndarray:
    """An ear: sides that bulge a little and meet in a point."""
    corners = np.array([first, tip, last])
    middle = corners.mean(axis=0)
    sides = (corners[:-1] + corners[1:]) / 2
    bulged = sides + 0.08 * (sides - middle)
    return np.array([corners[0], bulged[0], corners[1], bulged[1], corners[2]])


def _moved(points: np.ndarray | list[tuple[float, float]], x: float, y: float = 0.0) -> np.ndarray:
    return np.asarray(points) + np.array([x, y])


def _ellipse(centre: tuple[float, float], radii: tuple[float, float]) -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    return np.column_stack([np.cos(angles), np.sin(angles)]) * radii + centre


def _jittered(random: np.random.Generator, colour: Colour) -> Colour:
    red, green, blue = (float(level + random.normal(0, 12)) for level in colour)
    return red, green, blue


def _fixed(points: np.ndarray) -> np.ndarray:
    """Pixels as OpenCV's fixed-point numbers, 4 bits of fraction."""
    return np.rint(points * 16).astype(np.int32)
