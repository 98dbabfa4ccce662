"""Breast ultrasound drawn from random numbers, in the archive layout and under the names of the real one.

A picture is made in decibels, as a scanner makes it: layers of tissue (skin, fat, gland, muscle, chest wall) echo more
or less, sound fades with depth, columns of it are shadowed, and interference turns the echo's amplitude into speckle;
logarithmic compression makes grey levels of the sum. A lesion echoes as little as the fat lobules around it, so that no
threshold finds it, and its outline carries the class: benign ones are smooth and wider than tall, malignant ones spiked
and as tall as wide. Sound is mostly stronger behind the former and weaker behind the latter, as it is beside both.
"""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from bakeoff.datasets.sources.ultrasound import FILES, FOLDER

# Shares of the published data set; the others are benign.
MALIGNANT_SHARE, NORMAL_SHARE = 0.27, 0.17
# The mode in which every seventh mask from each of these is written; the others are grey levels.
MASK_MODES = {1: "1", 3: "RGB", 5: "RGBA"}
# Places, in the class, of the planted faults; a copy follows its original.
TWO_LESIONS, THREE_LESIONS, NEAR_COPY, TRUNCATED, BLANK_MASK = 2, 5, 9, 12, 14
MALIGNANT_NEAR_COPY, SAME_AS_BENIGN, LIKE_BENIGN, TRANSPARENT = 3, 5, 7, 8
# Zip archives know no earlier day; a fixed one keeps the bytes the same.
TIMESTAMP = (1980, 1, 1, 0, 0, 0)
WORDS = ("RIGHT BREAST", "LEFT BREAST", "RT UOQ", "LT", "LT LOQ", "AXILLA")
YELLOW, WHITE = (235, 225, 40), (215, 215, 215)

Shape = tuple[int, int]


@dataclass(frozen=True)
class Scan:
    """An image (uint8, height x width x 3), its lesions' masks (uint8, 0 and 255) and what its files are like."""

    image: np.ndarray
    masks: tuple[np.ndarray, ...]
    mode: str = "RGB"
    truncated: bool = False


@dataclass(frozen=True)
class Lesion:
    """Outline (n, 2) as x and depth in widths of the picture, and what its inside and the sound behind it are like.

    Attributes
    ----------
    echo
        How much weaker than the tissue around it its inside echoes, in dB.
    mottle
        Standard deviation of that, in dB.
    edge
        Blur of its boundary, in widths of the picture.
    behind
        What it adds to the echoes behind it, in dB; a shadow is negative.
    """

    outline: np.ndarray
    echo: float
    mottle: float
    edge: float
    behind: float


def write(folder: Path, *, images: int, size: int, seed: int) -> None:
    """Write the archive of synthetic ultrasound images into an existing folder; the same bytes for the same arguments.

    Of them 27 % are malignant and 17 % normal. Planted are: two and three masks of one image, masks of four modes, near
    duplicates in a class and one across classes, the same pixels in two classes, an image cut off, one with a blank
    mask, one with transparency, and a stray file.

    Parameters
    ----------
    images
        Images in the archive, at least 40.
    size
        Longest side of the largest pictures, in pixels.
    """
    partial = folder / f"{FILES[0].name}.partial"
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for name, data in _files(images, size, seed):
            archive.writestr(zipfile.ZipInfo(f"{FOLDER}{name}", TIMESTAMP), data)
    partial.replace(folder / FILES[0].name)


def _files(images: int, size: int, seed: int) -> Iterator[tuple[str, bytes]]:
    malignant, normal = round(images * MALIGNANT_SHARE), round(images * NORMAL_SHARE)
    benign = _benign(images - malignant - normal, size, seed)
    classes = {
        "benign": benign,
        "malignant": _malignant(malignant, size, seed, benign),
        "normal": _drawn("normal", normal, size, seed),
    }
    for label, scans in classes.items():
        for number, scan in enumerate(scans, start=1):
            data = _png(scan.image, scan.mode)
            yield f"{label}/{label} ({number}).png", data[: len(data) // 2] if scan.truncated else data
            for lesion, mask in enumerate(scan.masks):
                ending = f"_mask_{lesion}" if lesion else "_mask"
                yield f"{label}/{label} ({number}){ending}.png", _png(mask, MASK_MODES.get(number % 7, "L"))
    yield "benign/Thumbs.db", b"\xd0\xcf\x11\xe0 thumbnails of a file manager"


def _drawn(label: str, count: int, size: int, seed: int) -> list[Scan]:
    randoms = [np.random.default_rng([seed, ("benign", "malignant", "normal").index(label), n]) for n in range(count)]
    lesions = {TWO_LESIONS: 2, THREE_LESIONS: 3} if label == "benign" else {}
    return [draw(random, size, label, lesions.get(number, 1)) for number, random in enumerate(randoms)]


def _benign(count: int, size: int, seed: int) -> list[Scan]:
    scans = _drawn("benign", count, size, seed)
    scans[NEAR_COPY] = _nearly(scans[NEAR_COPY - 1], seed)
    scans[TRUNCATED] = replace(scans[TRUNCATED], truncated=True)
    scans[BLANK_MASK] = replace(scans[BLANK_MASK], masks=(np.zeros_like(scans[BLANK_MASK].masks[0]),))
    return scans


def _malignant(count: int, size: int, seed: int, benign: list[Scan]) -> list[Scan]:
    scans = _drawn("malignant", count, size, seed)
    scans[MALIGNANT_NEAR_COPY] = _nearly(scans[MALIGNANT_NEAR_COPY - 1], seed)
    scans[SAME_AS_BENIGN] = benign[SAME_AS_BENIGN - 1]
    scans[LIKE_BENIGN] = _nearly(benign[LIKE_BENIGN - 1], seed)
    scans[TRANSPARENT] = replace(scans[TRANSPARENT], mode="RGBA")
    return scans


def _nearly(scan: Scan, seed: int) -> Scan:
    """The next frame of the film: a little brighter, other noise."""
    noise = np.random.default_rng([seed, 3]).normal(5, 3, scan.image.shape[:2])
    return replace(scan, image=np.clip(scan.image + noise[..., None], 0, 255).astype(np.uint8))


def _png(pixels: np.ndarray, mode: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def draw(random: np.random.Generator, size: int, label: str, lesions: int = 1) -> Scan:
    """One image of a class (benign, malignant or normal) and a mask for each lesion; of a normal one a blank mask."""
    width = round(size * random.uniform(0.85, 1.0))
    shape = (round(width * random.uniform(0.72, 0.96)), width)
    found = [] if label == "normal" else _lesions(random, shape, label, lesions)

    echo = _tissue(random, shape)
    for lesion in found:
        echo = _with_lesion(random, echo, lesion)
    echo += _shadows(random, shape) + _attenuation(random, shape)
    grey = _film(random, echo + _speckle(random, shape))
    grey *= _sector(random, shape)
    image = np.repeat(np.rint(grey * 255).astype(np.uint8)[..., None], 3, axis=2)
    _annotate(random, image, found)

    masks = [_filled(shape, lesion.outline) for lesion in found] or [np.zeros(shape, np.float32)]
    return Scan(image, tuple((mask > 0.5).astype(np.uint8) * 255 for mask in masks))


def _lesions(random: np.random.Generator, shape: Shape, label: str, count: int) -> list[Lesion]:
    """Lesions side by side, each in the depth of the gland."""
    depth = shape[0] / shape[1]
    found = []
    for place in range(count):
        share = 1 / count  # of the width that each has for itself
        outline = (_smooth_outline if label == "benign" else _spiked_outline)(random, scale=share**0.7)
        middle = (place + random.uniform(0.4, 0.6) if count > 1 else random.uniform(0.28, 0.72)) * share
        outline += np.array([middle, depth * random.uniform(0.36, 0.5)])
        # Below the skin and above the chest wall.
        outline[:, 1] += max(0.0, 0.06 - outline[:, 1].min()) - max(0.0, outline[:, 1].max() - 0.85 * depth)
        if label == "benign":
            behind = random.uniform(3, 8) if random.random() < 0.7 else random.uniform(-4, 0)
            found.append(Lesion(outline, random.uniform(9, 19), random.uniform(0.5, 2.5), 0.004, behind))
        else:
            behind = random.uniform(-14, -6) if random.random() < 0.7 else random.uniform(-2, 4)
            found.append(Lesion(outline, random.uniform(8, 16), random.uniform(1.5, 4), 0.009, behind))
    return found


def _smooth_outline(random: np.random.Generator, scale: float) -> np.ndarray:
    """An ellipse, wider than tall, with gentle lobes, around 0."""
    angles = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    reach = np.ones(len(angles))
    for lobes in (2, 3):
        reach += random.uniform(0, 0.05) * np.cos(lobes * angles + random.uniform(0, 2 * np.pi))
    radius = scale * random.uniform(0.08, 0.2)
    return _turned(angles, reach, (radius, radius * random.uniform(0.45, 0.85)), random.uniform(-0.3, 0.3))


def _spiked_outline(random: np.random.Generator, scale: float) -> np.ndarray:
    """A ragged blob, about as tall as wide or taller, with spicules, around 0."""
    angles = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    reach = np.ones(len(angles))
    for lobes in (2, 3, 4, 5, 7):
        reach += random.uniform(0.02, 0.3 / lobes) * np.cos(lobes * angles + random.uniform(0, 2 * np.pi))
    for spicule in random.uniform(0, 2 * np.pi, random.integers(6, 13)):
        away = np.abs((angles - spicule + np.pi) % (2 * np.pi) - np.pi)
        reach += random.uniform(0.15, 0.5) * np.exp(-away / random.uniform(0.05, 0.12))
    radius = scale * random.uniform(0.09, 0.16)
    return _turned(angles, reach, (radius, radius * random.uniform(0.75, 1.35)), random.uniform(-0.4, 0.4))


def _turned(angles: np.ndarray, reach: np.ndarray, radii: tuple[float, float], angle: float) -> np.ndarray:
    points = reach[:, None] * np.column_stack([np.cos(angles), np.sin(angles)]) * radii
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return points @ turn


def _tissue(random: np.random.Generator, shape: Shape) -> np.ndarray:
    """Echoes of a healthy breast, float32 (H, W), in dB below the brightest."""
    height, width = shape
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    fat, gland, muscle = random.uniform((0.12, 0.5, 0.78), (0.32, 0.68, 0.98))
    tops = [
        depth + sway * _curve(random, width)
        for depth, sway in zip((0.04, fat, gland, muscle), (0.002, 0.03, 0.03, 0.02), strict=True)
    ]
    levels = (-14, random.uniform(-30, -24), random.uniform(-22, -15), random.uniform(-30, -24), -46)
    streaks = (0, 2.0, 3.0, 4.5, 2.0)

    texture = _smooth_noise(random, shape, (0.035, 0.007))
    echo = levels[0] + streaks[0] * texture
    for top, level, streak in zip(tops, levels[1:], streaks[1:], strict=True):
        inside = 1 / (1 + np.exp((top - rows) / 0.008))
        echo = echo * (1 - inside) + (level + streak * texture) * inside
        echo += random.uniform(2, 8) * np.exp(-(((rows - top) / 0.012) ** 2))  # layers reflect where they meet
    echo += _ligaments(random, shape, fat)
    echo -= _lobules(random, shape, fat, gland)
    return echo + 2.5 * _smooth_noise(random, shape, (0.12, 0.1))


def _curve(random: np.random.Generator, width: int) -> np.ndarray:
    """A gently swaying line of standard deviation 1, (1, width)."""
    x = np.linspace(0, 2 * np.pi, width)
    waves = [random.normal(0, 1 / k) * np.sin(k * x / 1.5 + random.uniform(0, 2 * np.pi)) for k in (1, 2, 3)]
    return np.sum(waves, axis=0)[None, :]


def _ligaments(random: np.random.Generator, shape: Shape, fat: float) -> np.ndarray:
    """Bright strands that arch through the fat."""
    canvas = np.zeros(shape, np.float32)
    for _ in range(random.integers(3, 8)):
        x = np.linspace(0, random.uniform(0.15, 0.4), 30)
        arch = 4 * x * (x[-1] - x) / x[-1] ** 2 * random.uniform(-0.06, 0.08)
        start, depth = random.uniform((-0.1, 0.05), (0.9, fat + 0.08))
        points = np.column_stack([start + x, depth * shape[0] / shape[1] + random.uniform(-0.25, 0.25) * x - arch])
        strength = random.uniform(4, 10)
        cv2.polylines(canvas, [_pixels(shape, points)], False, strength, thickness=max(1, shape[1] // 160), shift=4)
    return _blurred(canvas, (0.005, 0.003))


def _lobules(random: np.random.Generator, shape: Shape, fat: float, gland: float) -> np.ndarray:
    """Fat among the gland, as dark as lesions are: how much weaker it echoes, in dB."""
    dark = np.zeros(shape, np.float32)
    depth = shape[0] / shape[1]
    for _ in range(random.integers(2, 9)):
        radius = random.uniform(0.03, 0.12)
        angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
        reach = 1 + 0.2 * np.cos(2 * angles + random.uniform(0, 6)) + 0.12 * np.cos(3 * angles + random.uniform(0, 6))
        outline = _turned(angles, reach, (radius, radius * random.uniform(0.3, 0.6)), random.normal(0, 0.3))
        centre = random.uniform((0, fat * depth), (1, (gland + 0.08) * depth))
        lobule = _blurred(_filled(shape, outline + centre), (random.uniform(0.006, 0.02),) * 2)
        dark = np.maximum(dark, random.uniform(5, 13) * lobule)
    return dark


def _with_lesion(random: np.random.Generator, echo: np.ndarray, lesion: Lesion) -> np.ndarray:
    shape = echo.shape
    inside = _filled(shape, lesion.outline)
    around = cv2.dilate(inside, np.ones((3, 3)), iterations=max(2, shape[1] // 30)) - inside
    level = float((echo * around).sum() / around.sum()) - lesion.echo
    soft = _blurred(inside, (lesion.edge, lesion.edge))
    mottled = level + lesion.mottle * _smooth_noise(random, shape, (0.02, 0.015))
    rim = np.clip(_blurred(inside, (0.015, 0.015)) - inside, 0, 1) * random.uniform(3, 9)
    return echo * (1 - soft) + mottled * soft + rim + lesion.behind * _behind(inside)


def _behind(inside: np.ndarray) -> np.ndarray:
    """Where the sound has gone through a lesion, 0 to 1: below it, most where it was thickest, less further down."""
    passed = np.cumsum(inside, axis=0)
    thickest = passed[-1].max()
    below = (1 - inside) * passed / thickest
    first = np.argmax(passed[:, int(np.argmax(passed[-1]))] >= thickest)
    fade = np.exp(-np.maximum(np.arange(len(inside)) - first, 0) / (0.6 * len(inside)))
    return _blurred((below * fade[:, None]).astype(np.float32), (0.012, 0.008))


def _shadows(random: np.random.Generator, shape: Shape) -> np.ndarray:
    """Columns that the probe hardly reaches, or reaches well, with or without a lesion in them, in dB."""
    height, width = shape
    x = np.linspace(0, 1, width, dtype=np.float32)[None, :]
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    shadow = np.zeros(shape, np.float32)
    for _ in range(random.integers(1, 5)):
        column = np.exp(-(((x - random.uniform(0, 1)) / random.uniform(0.03, 0.12)) ** 2))
        start = random.uniform(0.05, 0.6)
        shadow += random.uniform(-11, 4) * column / (1 + np.exp((start - rows) / 0.05))
    return shadow


def _attenuation(random: np.random.Generator, shape: Shape) -> np.ndarray:
    """What depth takes and the gain, set by hand, gives back, in dB, (H, 1)."""
    rows = np.linspace(0, 1, shape[0], dtype=np.float32)[:, None]
    return random.uniform(-3, 4) - random.uniform(2, 18) * rows ** random.uniform(1, 2)


def _speckle(random: np.random.Generator, shape: Shape) -> np.ndarray:
    """Amplitude of many echoes that interfere, in dB: Rayleigh, of three looks, wider than deep as the beam is."""
    power = np.zeros(shape, np.float32)
    for _ in range(3):
        parts = [_smooth_noise(random, shape, (0.0055, 0.0032)) for _ in range(2)]
        power += parts[0] ** 2 + parts[1] ** 2
    return 10 * np.log10(power / 6 + 1e-3)


def _film(random: np.random.Generator, echo: np.ndarray) -> np.ndarray:
    """Grey levels, 0 to 1, of echoes in dB."""
    span = random.uniform(46, 58)
    return np.clip(1 + (echo + random.uniform(4, 9)) / span, 0, 1) ** random.uniform(1.3, 1.9)


def _sector(random: np.random.Generator, shape: Shape) -> np.ndarray:
    """Where there is a picture: everywhere, or in the trapezium that a wide beam makes, or within a frame; 0 or 1."""
    kind = random.random()
    if kind > 0.24:
        return np.ones(shape, np.float32)
    depth = shape[0] / shape[1]
    if kind > 0.12:
        side, top = random.uniform((0.02, 0.01), (0.06, 0.04))
        corners = [(side, top), (1 - side, top), (1 - side, depth - top), (side, depth - top)]
    else:
        cut, reach = random.uniform((0.08, 0.5), (0.2, 0.9))
        corners = [(cut, 0), (1 - cut, 0), (1, reach * depth), (1, depth), (0, depth), (0, reach * depth)]
    return _filled(shape, np.array(corners))


def _annotate(random: np.random.Generator, image: np.ndarray, lesions: list[Lesion]) -> None:
    """Burn in what the machine and its operator write: the probe's mark, words, calipers."""
    height, width = image.shape[:2]
    colour = YELLOW if random.random() < 0.05 else WHITE
    cv2.circle(image, (2 + width // 60, 2 + height // 60), max(1, width // 80), WHITE, 1)
    if random.random() < 0.25:
        place = (round(width * random.uniform(0.01, 0.4)), round(height * random.uniform(0.6, 0.95)))
        word = WORDS[random.integers(len(WORDS))]
        cv2.putText(image, word, place, cv2.FONT_HERSHEY_SIMPLEX, width / 640, colour, 1, cv2.LINE_AA)
    if random.random() < 0.35:
        for lesion in lesions:
            _calipers(image, lesion.outline, colour)


def _calipers(image: np.ndarray, outline: np.ndarray, colour: tuple[int, int, int]) -> None:
    """Crosses at the ends of a lesion's width and height, joined by dots."""
    arm = max(1, image.shape[1] // 80)
    for axis in (0, 1):
        ends = outline[[outline[:, axis].argmin(), outline[:, axis].argmax()]]
        for x, y in np.rint(ends * image.shape[1]).astype(int).tolist():
            cv2.line(image, (x - arm, y), (x + arm, y), colour, 1)
            cv2.line(image, (x, y - arm), (x, y + arm), colour, 1)
        for step in np.linspace(0, 1, 12)[1:-1]:
            column, row = np.rint((ends[0] + step * (ends[1] - ends[0])) * image.shape[1]).astype(int)
            if 0 <= row < image.shape[0] and 0 <= column < image.shape[1]:
                image[row, column] = colour


def _pixels(shape: Shape, points: np.ndarray) -> np.ndarray:
    """Points, in widths of the picture, as OpenCV's fixed-point pixels, 4 bits of fraction."""
    return np.rint(points * shape[1] * 16).astype(np.int32)


def _filled(shape: Shape, outline: np.ndarray) -> np.ndarray:
    canvas = np.zeros(shape, np.float32)
    cv2.fillPoly(canvas, [_pixels(shape, outline)], 1.0, shift=4)
    return canvas


def _blurred(canvas: np.ndarray, blur: tuple[float, float]) -> np.ndarray:
    """Gaussian blur with standard deviations, across and down, in widths of the picture."""
    return cv2.GaussianBlur(canvas, (0, 0), blur[0] * canvas.shape[1], sigmaY=blur[1] * canvas.shape[1])


def _smooth_noise(random: np.random.Generator, shape: Shape, blur: tuple[float, float]) -> np.ndarray:
    """Noise of standard deviation 1 that is smooth over `blur`, across and down, in widths of the picture."""
    noise = _blurred(random.standard_normal(shape, dtype=np.float32), blur)
    return noise / (noise.std() + 1e-6)
