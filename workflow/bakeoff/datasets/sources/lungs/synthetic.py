"""Chest X-rays drawn from random numbers, in the archive layout and under the names of the real ones.

A picture is the projection of a chest: attenuation is added up (body, spine, ribs, clavicles, heart, abdomen), air
takes it away (lungs, windpipe, stomach bubble), and film turns the sum into grey levels. Air outside the body is as
dark as lungs, bone crosses the lungs, and the exposure differs from picture to picture, so that no threshold finds the
lungs. The labels are in the pictures: tuberculosis adds opacities, and the hospitals differ in format, contrast, noise
and frame.
"""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from scipy.interpolate import CubicSpline

from bakeoff.datasets.sources.lungs import FILES, IMAGES, MASKS

MONTGOMERY_SHARE = 0.2
MISSING_MASK_SHARE = 0.05
# Faults that are planted into the first Shenzhen pictures with a mask, one each.
FAULTS = ("exact duplicate", "near duplicate", "truncated", "blank mask", "RGB", "16 bit", "odd size")
# Zip archives know no earlier day; a fixed one keeps the bytes the same.
TIMESTAMP = (1980, 1, 1, 0, 0, 0)
# Outline of the lung on the left of the picture, x and y from -1 to 1: apex, side, corner, diaphragm, middle.
OUTLINE = np.array(
    [
        (-0.30, -0.74),
        (-0.52, -0.52),
        (-0.66, -0.10),
        (-0.72, 0.32),
        (-0.70, 0.54),
        (-0.46, 0.36),
        (-0.20, 0.42),
        (-0.15, 0.02),
        (-0.15, -0.48),
    ]
)
TORSO = np.array(
    [
        (-0.22, -1.1),
        (-0.24, -0.88),
        (-0.62, -0.78),
        (-0.90, -0.45),
        (-0.86, 0.10),
        (-0.84, 0.60),
        (-0.86, 1.1),
    ]
)


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
    """An X-ray (uint8, height x width), its lung mask (uint8, 0 and 255, or None) and how its file is written."""

    prefix: str
    diagnosis: int
    image: np.ndarray
    mask: np.ndarray | None
    fault: str = ""


def write(folder: Path, *, images: int, size: int, seed: int) -> None:
    """Write the archive of synthetic X-rays into an existing folder; the same bytes for the same arguments.

    A fifth is Montgomery's, about half of each hospital's have tuberculosis. Of Shenzhen's one in twenty has no mask,
    and one each is an exact duplicate, a near duplicate, cut off, blank in its mask, RGB, 16 bits deep, of an odd size.

    Parameters
    ----------
    images
        Pictures in the archive, at least 20.
    size
        Longest side of the largest pictures, in pixels.
    """
    partial = folder / f"{FILES[0].name}.partial"
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for name, data in _files(images, size, seed):
            archive.writestr(zipfile.ZipInfo(name, TIMESTAMP), data)
    partial.replace(folder / FILES[0].name)


def _files(images: int, size: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Members of the archive; within a hospital normal X-rays have the lower numbers, as in the real one."""
    montgomery = max(4, round(images * MONTGOMERY_SHARE))
    drawn = _hospital("CHNCXR", images - montgomery, size, seed)
    for cases in (_with_faults(drawn, images - montgomery, seed), _hospital("MCUCXR", montgomery, size, seed)):
        for number, case in enumerate(cases, start=1):
            id_ = f"{case.prefix}_{number:04d}_{case.diagnosis}"
            yield f"{IMAGES}{id_}.png", _image_file(case)
            if case.mask is not None:
                yield f"{MASKS}{id_}{'_mask' if case.prefix == 'CHNCXR' else ''}.png", _png(case.mask)


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
        if fault.endswith("duplicate") and previous is not None and previous.mask is not None:
            case = replace(previous, fault="") if fault == "exact duplicate" else _nearly(previous, random)
        elif fault == "blank mask":
            case = replace(case, mask=np.zeros_like(case.image))
        elif fault == "odd size":
            case = _panorama(case)
        elif number in missing:
            case = replace(case, mask=None)
        case = replace(case, fault=fault)
        yield case
        previous = case


def _nearly(case: Case, random: np.random.Generator) -> Case:
    """The same film scanned again: a little brighter, other grain."""
    grain = random.normal(4, 1.5, case.image.shape)
    return replace(case, image=np.clip(case.image + grain, 0, 255).astype(np.uint8))


def _panorama(case: Case) -> Case:
    """The picture on a film three times as wide as high."""
    side = case.image.shape[1]

    def wide(pixels: np.ndarray) -> np.ndarray:
        return np.pad(pixels, ((0, 0), (side, side)))

    return replace(case, image=wide(case.image), mask=None if case.mask is None else wide(case.mask))


def _image_file(case: Case) -> bytes:
    if case.fault == "RGB":
        return _png(np.repeat(case.image[..., None], 3, axis=2))
    if case.fault == "16 bit":
        return _png(case.image.astype(np.uint16) * 257)
    data = _png(case.image)
    return data[: len(data) // 2] if case.fault == "truncated" else data


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def draw(random: np.random.Generator, size: int, diagnosis: int, look: Look) -> tuple[np.ndarray, np.ndarray]:
    """One X-ray and its lung mask, both uint8 (height, width); the mask is 0 and 255."""
    shape = _shape(random, size, look)
    pose = _Pose(random)
    lungs = [_lung(random, side) for side in (-1, 1)]
    heart = _blob(random, centre=(0.12, 0.24), radii=(0.30, 0.27), wobble=0.05)
    lung = _filled(shape, [pose(outline) for outline in lungs])
    heart_shadow = _filled(shape, [pose(heart)])
    mask = lung * (heart_shadow < 0.5)

    attenuation = _soft_tissue(random, shape, pose, lung, heart_shadow)
    attenuation += _bones(random, shape, pose)
    attenuation += _smooth_noise(random, shape, 0.03) * 0.05 * lung
    if diagnosis:
        attenuation += _opacities(random, shape, pose, lungs) * lung
    return _film(random, attenuation, look), (mask > 0.5).astype(np.uint8) * 255


def _shape(random: np.random.Generator, size: int, look: Look) -> tuple[int, int]:
    long = size * look.longest * random.uniform(0.92, 1.0)
    aspect = random.uniform(*look.aspect)
    if look.border[1] > 0 and random.random() < 0.4:  # some of Montgomery's plates stand upright
        return round(long), round(long * aspect)
    return round(long * aspect), round(long)


class _Pose:
    """Where the patient stands: turns, stretches and shifts points (..., 2) of the unit square."""

    def __init__(self, random: np.random.Generator) -> None:
        angle = np.deg2rad(random.uniform(-6, 6))
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        self.matrix = np.diag(random.uniform((0.84, 0.84), (1.06, 1.08))) @ turn
        self.shift = random.uniform((-0.09, -0.07), (0.09, 0.09))

    def __call__(self, points: np.ndarray) -> np.ndarray:
        return points @ self.matrix + self.shift


def _lung(random: np.random.Generator, side: int) -> np.ndarray:
    """Outline of a lung; `side` -1 is on the left of the picture."""
    points = OUTLINE + random.normal(0, 0.022, OUTLINE.shape)
    points[4:7, 1] += random.uniform(-0.14, 0.14) + (0.04 if side > 0 else 0.0)
    return _closed(points * (-side, 1))


def _blob(
    random: np.random.Generator, centre: tuple[float, float], radii: tuple[float, float], wobble: float
) -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, 9)[:-1]
    reach = 1 + random.normal(0, wobble, len(angles))[:, None]
    middle = np.asarray(centre) + random.normal(0, 0.03, 2)
    return _closed(middle + reach * np.column_stack([np.cos(angles), np.sin(angles)]) * radii)


def _closed(points: np.ndarray) -> np.ndarray:
    """Smooth closed curve, (120, 2), through points."""
    ring = np.vstack([points, points[:1]])
    return CubicSpline(np.arange(len(ring)), ring, bc_type="periodic")(np.linspace(0, len(points), 120))


def _pixels(shape: tuple[int, int], points: np.ndarray) -> np.ndarray:
    """Points of the unit square as OpenCV's fixed-point pixels, 4 bits of fraction."""
    return np.rint((points + 1) / 2 * (shape[1], shape[0]) * 16).astype(np.int32)


def _filled(shape: tuple[int, int], outlines: list[np.ndarray], blur: float = 0.0) -> np.ndarray:
    canvas = np.zeros(shape, np.float32)
    for outline in outlines:
        cv2.fillPoly(canvas, [_pixels(shape, outline)], 1.0, shift=4)
    return _blurred(canvas, blur)


def _stroke(shape: tuple[int, int], lines: list[np.ndarray], width: float, blur: float) -> np.ndarray:
    canvas = np.zeros(shape, np.float32)
    thickness = max(1, round(width * shape[1] / 2))
    for line in lines:
        cv2.polylines(canvas, [_pixels(shape, line)], False, 1.0, thickness=thickness, shift=4)
    return _blurred(canvas, blur)


def _blurred(canvas: np.ndarray, blur: float) -> np.ndarray:
    """Gaussian blur with a standard deviation given as a share of the picture's width."""
    return cv2.GaussianBlur(canvas, (0, 0), blur * canvas.shape[1]) if blur > 0 else canvas


def _smooth_noise(random: np.random.Generator, shape: tuple[int, int], blur: float) -> np.ndarray:
    """Noise of standard deviation 1 that is smooth over `blur` of the width."""
    noise = _blurred(random.standard_normal(shape, dtype=np.float32), blur)
    return noise / (noise.std() + 1e-6)


def _soft_tissue(
    random: np.random.Generator, shape: tuple[int, int], pose: _Pose, lung: np.ndarray, heart: np.ndarray
) -> np.ndarray:
    half = TORSO * (random.uniform(1.0, 1.25), 1) + random.normal(0, 0.015, TORSO.shape)
    torso = _filled(shape, [pose(np.vstack([half, half[::-1] * (-1, 1)]))], blur=0.012)
    x = np.linspace(-1, 1, shape[1], dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    body = torso * (0.75 - 0.25 * x**2 + random.uniform(0.0, 0.35) * (y > 0) * y)
    body += 0.08 * _smooth_noise(random, shape, 0.12) * torso
    air = random.uniform(0.42, 0.64) * torso * _blurred(lung, 0.008)
    windpipe = _stroke(shape, [pose(np.array([(0.0, -1.0), (0.0, -0.3)]))], 0.09, 0.012)
    bubble = _filled(shape, [pose(_blob(random, (0.36, 0.72), (0.2, 0.1), 0.1))], 0.01)
    breasts = _filled(shape, [pose(_blob(random, (side * 0.42, 0.3), (0.3, 0.26), 0.05)) for side in (-1, 1)], 0.03)
    mediastinum = _stroke(shape, [pose(np.array([(0.0, -0.7), (0.0, 0.6)]))], 0.26, 0.02)
    tissue = body - air - 0.12 * windpipe * torso - random.uniform(0.0, 0.4) * bubble * torso
    tissue += random.uniform(0.0, 0.14) * breasts + 0.16 * mediastinum + 0.32 * _blurred(heart, 0.012)
    return np.maximum(tissue, 0)


def _bones(random: np.random.Generator, shape: tuple[int, int], pose: _Pose) -> np.ndarray:
    spine = _stroke(shape, [pose(np.array([(0.0, -1.1), (0.0, 1.1)]))], 0.17, 0.012)
    gaps = 1 + 0.25 * np.sin(np.linspace(0, random.uniform(60, 75), shape[0], dtype=np.float32))[:, None]
    across = np.linspace(0.05, 1, 24)
    back, front = [], []
    slope, spacing = random.uniform(0.12, 0.24), random.uniform(0.145, 0.175)
    for side in (-1, 1):
        for level in np.arange(9) * spacing - 0.78:
            # From the spine up a little, out, and down along the chest's side; the front ends rise to the breastbone.
            back.append(pose(np.column_stack([side * 0.76 * across, level - 0.1 * across + 2 * slope * across**3])))
            front.append(pose(np.column_stack([side * 0.76 * across[8:], level + 0.45 - 0.28 * across[8:]])))
    collar = [pose(np.array([(side * 0.07, -0.6), (side * 0.35, -0.68), (side * 0.62, -0.76)])) for side in (-1, 1)]
    strength = random.uniform(0.7, 1.3)
    ribs = 0.13 * _stroke(shape, back, 0.05, 0.006) + 0.06 * _stroke(shape, front, 0.06, 0.01)
    return strength * (ribs + 0.2 * _stroke(shape, collar, 0.07, 0.007)) + 0.22 * spine * gaps


def _opacities(random: np.random.Generator, shape: tuple[int, int], pose: _Pose, lungs: list[np.ndarray]) -> np.ndarray:
    """Cloudy infiltrates, most of them in the upper lungs, some with a cavity."""
    clouds = np.zeros(shape, np.float32)
    for _ in range(random.integers(1, 5)):
        outline = lungs[random.integers(2)]
        centre = outline.mean(axis=0) + random.uniform((-0.12, -0.5), (0.12, 0.2))
        radius = random.uniform(0.07, 0.2)
        cloud = _filled(shape, [pose(_blob(random, tuple(centre), (radius, radius), 0.2))], 0.02)
        if random.random() < 0.3:
            cloud -= 0.8 * _filled(shape, [pose(_blob(random, tuple(centre), (radius / 2, radius / 2), 0.1))], 0.01)
        clouds += random.uniform(0.12, 0.32) * cloud
    return clouds * (1 + 0.3 * _smooth_noise(random, shape, 0.015))


def _film(random: np.random.Generator, attenuation: np.ndarray, look: Look) -> np.ndarray:
    """Grey levels, uint8: saturating response, uneven exposure, grain, and the frame of the film."""
    height, width = attenuation.shape
    grey = 1 - np.exp(-np.maximum(attenuation, 0) / random.uniform(*look.exposure))
    grey = grey ** random.uniform(0.8, 1.5)
    tilt = random.uniform(-0.12, 0.12, 2)
    grey = grey * (1 + tilt[0] * np.linspace(-1, 1, width)[None, :] + tilt[1] * np.linspace(-1, 1, height)[:, None])
    haze = random.uniform(*look.haze)
    grey = haze + (random.uniform(0.85, 1.0) - haze) * grey
    grey = grey + random.uniform(*look.noise) * _smooth_noise(random, (height, width), 0.003)
    if random.random() < 0.5:  # the marker that says which side is left
        row, column = round(height * 0.08), round(width * 0.88)
        grey[row : row + height // 20, column : column + width // 50] = 1.0
    border = round(random.uniform(*look.border) * width)
    if border:
        frame = np.zeros_like(grey)
        frame[border:-border, border:-border] = grey[border:-border, border:-border]
        grey = frame
    return np.rint(np.clip(grey, 0, 1) * 255).astype(np.uint8)
