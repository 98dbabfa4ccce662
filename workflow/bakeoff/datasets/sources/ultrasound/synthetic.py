"""Breast ultrasound drawn from random numbers, in the archive layout and under the names of the real one.

A picture is made in decibels: layers of tissue (skin, fat, gland, muscle, chest wall) echo more or less, sound fades
with depth, columns of it are shadowed, and interference turns the amplitude into speckle; logarithmic compression makes
grey levels of the sum. A lesion echoes as little as the fat lobules around it, so that no threshold finds it, and its
outline shows the class: benign ones are smooth and wider than tall, malignant ones spiked and as tall as wide.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from bakeoff.datasets.sources.drawing import (
    Shape,
    blob,
    blurred,
    encoded,
    filled,
    near_duplicate,
    smooth_noise,
    truncated,
    turned,
    write_zip,
)
from bakeoff.datasets.sources.ultrasound import FILES, FOLDER

CLASSES = ("benign", "malignant", "normal")
# Shares of the published data set; the others are benign.
MALIGNANT_SHARE, NORMAL_SHARE = 0.27, 0.17
# The mode in which every seventh mask from each of these is written; the others are grey levels.
MASK_MODES = {1: "1", 3: "RGB", 5: "RGBA"}
# Places, in the class, of the planted faults; a copy follows its original.
TWO_LESIONS, THREE_LESIONS, NEAR_COPY, TRUNCATED, BLANK_MASK = 2, 5, 9, 12, 14
MALIGNANT_NEAR_COPY, SAME_AS_BENIGN, LIKE_BENIGN, TRANSPARENT = 3, 5, 7, 8


@dataclass(frozen=True)
class Scan:
    """An image (uint8, height x width x 3), its lesions' masks (uint8, 0 and 255) and what its file is like."""

    image: np.ndarray
    masks: tuple[np.ndarray, ...]
    mode: str = "RGB"
    truncated: bool = False


def write(folder: Path, *, images: int, size: int, seed: int) -> None:
    """Write the archive of synthetic ultrasound images into an existing folder; the same bytes for the same arguments.

    Of them 27 % are malignant and 17 % normal. Planted are: two and three masks of one image, masks of four modes,
    near-duplicates in a class and one across classes, the same pixels in two classes, an image cut off, one with a
    blank mask, one with transparency, and a stray file.

    Parameters
    ----------
    images
        Images in the archive, at least 40.
    size
        Longest side of the largest pictures, in pixels.
    """
    write_zip(folder / FILES[0].name, ((f"{FOLDER}{name}", data) for name, data in _files(images, size, seed)))


def _files(images: int, size: int, seed: int) -> Iterator[tuple[str, bytes]]:
    malignant, normal = round(images * MALIGNANT_SHARE), round(images * NORMAL_SHARE)
    counts = dict(zip(CLASSES, (images - malignant - normal, malignant, normal), strict=True))
    scans = _with_faults({label: _drawn(label, count, size, seed) for label, count in counts.items()}, seed)
    for label in CLASSES:
        for number, scan in enumerate(scans[label], start=1):
            data = encoded(scan.image, mode=scan.mode)
            yield f"{label}/{label} ({number}).png", truncated(data) if scan.truncated else data
            for lesion, mask in enumerate(scan.masks):
                ending = f"_mask_{lesion}" if lesion else "_mask"
                yield f"{label}/{label} ({number}){ending}.png", encoded(mask, mode=MASK_MODES.get(number % 7, "L"))
    yield "benign/Thumbs.db", b"\xd0\xcf\x11\xe0 thumbnails of a file manager"


def _drawn(label: str, count: int, size: int, seed: int) -> list[Scan]:
    lesions = {TWO_LESIONS: 2, THREE_LESIONS: 3} if label == "benign" else {}
    return [
        draw(np.random.default_rng([seed, CLASSES.index(label), number]), size, label, lesions.get(number, 1))
        for number in range(count)
    ]


def _with_faults(scans: dict[str, list[Scan]], seed: int) -> dict[str, list[Scan]]:
    benign, malignant = scans["benign"], scans["malignant"]

    def near(scan: Scan) -> Scan:
        return replace(scan, image=near_duplicate(np.random.default_rng([seed, len(CLASSES)]), scan.image))

    benign[NEAR_COPY] = near(benign[NEAR_COPY - 1])
    benign[TRUNCATED] = replace(benign[TRUNCATED], truncated=True)
    benign[BLANK_MASK] = replace(benign[BLANK_MASK], masks=(np.zeros_like(benign[BLANK_MASK].masks[0]),))
    malignant[MALIGNANT_NEAR_COPY] = near(malignant[MALIGNANT_NEAR_COPY - 1])
    malignant[SAME_AS_BENIGN] = benign[SAME_AS_BENIGN - 1]
    malignant[LIKE_BENIGN] = near(benign[LIKE_BENIGN - 1])
    malignant[TRANSPARENT] = replace(malignant[TRANSPARENT], mode="RGBA")
    return scans


def draw(random: np.random.Generator, size: int, label: str, lesions: int = 1) -> Scan:
    """One image of a class (benign, malignant or normal) and a mask for each lesion; of a normal one a blank mask."""
    width = round(size * random.uniform(0.85, 1.0))
    shape = (round(width * random.uniform(0.72, 0.96)), width)
    outlines = [] if label == "normal" else _outlines(random, shape, label, lesions)
    echo = _tissue(random, shape)
    for outline in outlines:
        echo = _with_lesion(random, echo, filled(shape, outline), label)
    echo += _shadows(random, shape) + _speckle(random, shape)
    grey = np.clip(1 + (echo + random.uniform(4, 9)) / random.uniform(46, 58), 0, 1) ** random.uniform(1.3, 1.9)
    masks = [filled(shape, outline) for outline in outlines] or [np.zeros(shape, np.float32)]
    image = np.repeat(np.rint(grey * 255).astype(np.uint8)[..., None], 3, axis=2)
    return Scan(image, tuple((mask > 0.5).astype(np.uint8) * 255 for mask in masks))


def _outlines(random: np.random.Generator, shape: Shape, label: str, count: int) -> list[np.ndarray]:
    """Outlines of lesions side by side, in pixels, each in the depth of the gland."""
    depth, share = shape[0] / shape[1], 1 / count  # both in widths of the picture
    found = []
    for place in range(count):
        outline = _outline(random, share**0.7, spiked=label == "malignant")
        middle = (place + random.uniform(0.4, 0.6) if count > 1 else random.uniform(0.28, 0.72)) * share
        outline += np.array([middle, depth * random.uniform(0.36, 0.5)])
        # Below the skin and above the chest wall.
        outline[:, 1] += max(0.0, 0.06 - outline[:, 1].min()) - max(0.0, outline[:, 1].max() - 0.85 * depth)
        found.append(outline * shape[1])
    return found


def _outline(random: np.random.Generator, scale: float, *, spiked: bool) -> np.ndarray:
    """An ellipse with gentle lobes, wider than tall; or a ragged blob with spicules, about as tall as wide."""
    angles = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    reach = np.ones(len(angles))
    for lobes in (2, 3, 4, 5, 7) if spiked else (2, 3):
        most = 0.3 / lobes if spiked else 0.05
        reach += random.uniform(0, most) * np.cos(lobes * angles + random.uniform(0, 2 * np.pi))
    for spicule in random.uniform(0, 2 * np.pi, random.integers(6, 13) if spiked else 0):
        away = np.abs((angles - spicule + np.pi) % (2 * np.pi) - np.pi)
        reach += random.uniform(0.15, 0.5) * np.exp(-away / random.uniform(0.05, 0.12))
    radius = scale * (random.uniform(0.09, 0.16) if spiked else random.uniform(0.08, 0.2))
    tall = random.uniform(0.75, 1.35) if spiked else random.uniform(0.45, 0.85)
    points = reach[:, None] * np.column_stack([np.cos(angles), np.sin(angles)]) * (radius, radius * tall)
    return turned(points, random.uniform(-0.3, 0.3))


def _tissue(random: np.random.Generator, shape: Shape) -> np.ndarray:
    """Echoes of a healthy breast, float32 (H, W), in dB below the brightest."""
    height, width = shape
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    fat, gland, muscle = random.uniform((0.12, 0.5, 0.78), (0.32, 0.68, 0.98))
    texture = smooth_noise(random, shape, 0.035 * width, 0.007 * width)
    echo = np.full(shape, -14, np.float32)  # skin
    for top, sway, level, streak in (
        (0.04, 0.002, random.uniform(-30, -24), 2.0),
        (fat, 0.03, random.uniform(-22, -15), 3.0),
        (gland, 0.03, random.uniform(-30, -24), 4.5),
        (muscle, 0.02, -46, 2.0),
    ):
        edge = top + sway * smooth_noise(random, (1, width), 0.15 * width)
        inside = 1 / (1 + np.exp((edge - rows) / 0.008))
        echo = echo * (1 - inside) + (level + streak * texture) * inside
        echo += random.uniform(2, 8) * np.exp(-(((rows - edge) / 0.012) ** 2))  # layers reflect where they meet
    return echo - _lobules(random, shape, fat, gland) + 2.5 * smooth_noise(random, shape, 0.12 * width, 0.1 * width)


def _lobules(random: np.random.Generator, shape: Shape, fat: float, gland: float) -> np.ndarray:
    """Fat in the gland, as dark as lesions are: how much weaker it echoes, in dB."""
    height, width = shape
    dark = np.zeros(shape, np.float32)
    for _ in range(random.integers(2, 9)):
        radius = width * random.uniform(0.03, 0.12)
        x, y = random.uniform((0, fat * height), (width, (gland + 0.08) * height))
        radii = radius, radius * random.uniform(0.3, 0.6)
        lobule = filled(shape, blob(random, (x, y), radii, angle=random.normal(0, 0.3), wobble=0.15))
        dark = np.maximum(dark, random.uniform(5, 13) * blurred(lobule, random.uniform(0.006, 0.02) * width))
    return dark


def _with_lesion(random: np.random.Generator, echo: np.ndarray, inside: np.ndarray, label: str) -> np.ndarray:
    """Echoes with a lesion: darker inside, a bright rim, and more sound behind most benign ones, less behind others."""
    width = echo.shape[1]
    benign, usual = label == "benign", random.random() < 0.7
    around = cv2.dilate(inside, np.ones((3, 3)), iterations=max(2, width // 30)) - inside
    level = float((echo * around).sum() / around.sum()) - random.uniform(*((9, 19) if benign else (8, 16)))
    mottle = random.uniform(*((0.5, 2.5) if benign else (1.5, 4)))
    mottled = level + mottle * smooth_noise(random, echo.shape, 0.02 * width, 0.015 * width)
    soft = blurred(inside, (0.004 if benign else 0.009) * width)
    rim = np.clip(blurred(inside, 0.015 * width) - inside, 0, 1) * random.uniform(3, 9)
    if benign:
        behind = random.uniform(3, 8) if usual else random.uniform(-4, 0)
    else:
        behind = random.uniform(-14, -6) if usual else random.uniform(-2, 4)
    return echo * (1 - soft) + mottled * soft + rim + behind * _behind(inside)


def _behind(inside: np.ndarray) -> np.ndarray:
    """Where the sound has gone through a lesion, 0 to 1: below it, most where it was thickest, less further down."""
    passed = np.cumsum(inside, axis=0)
    bottom = np.flatnonzero(inside.any(axis=1)).max()
    fade = np.exp(-np.maximum(np.arange(len(inside)) - bottom, 0) / (0.6 * len(inside)))[:, None]
    below = ((1 - inside) * passed / passed.max() * fade).astype(np.float32)
    return blurred(below, 0.012 * inside.shape[1], 0.008 * inside.shape[1])


def _shadows(random: np.random.Generator, shape: Shape) -> np.ndarray:
    """What depth takes and the gain gives back, and columns that the probe hardly reaches or reaches well, in dB."""
    rows, x = (np.linspace(0, 1, side, dtype=np.float32) for side in shape)
    fading = random.uniform(-3, 4) - random.uniform(2, 18) * rows[:, None] ** random.uniform(1, 2)
    shadow = np.repeat(fading, shape[1], axis=1)
    for _ in range(random.integers(1, 5)):
        column = np.exp(-(((x[None, :] - random.uniform(0, 1)) / random.uniform(0.03, 0.12)) ** 2))
        shadow += random.uniform(-11, 4) * column / (1 + np.exp((random.uniform(0.05, 0.6) - rows[:, None]) / 0.05))
    return shadow


def _speckle(random: np.random.Generator, shape: Shape) -> np.ndarray:
    """Amplitude of many echoes that interfere, in dB: Rayleigh, of three looks, wider than deep as the beam is."""
    across, down = 0.0055 * shape[1], 0.0032 * shape[1]
    power = sum(smooth_noise(random, shape, across, down) ** 2 for _ in range(6))
    return 10 * np.log10(power / 6 + 1e-3)
