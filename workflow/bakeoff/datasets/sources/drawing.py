"""What synthetic archives are made of: outlines, noise, light, near-duplicates, and archives of reproducible bytes.

Points are (n, 2), x and y, in pixels unless said otherwise; a shape is (height, width).
"""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from scipy.interpolate import CubicSpline

from bakeoff.datasets.archives.archive import TIMESTAMP

Shape = tuple[int, int]
FINE = 4  # bits of fraction in OpenCV's fixed-point pixels


def write_zip(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write a zip archive, whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name, TIMESTAMP), data)
    partial.replace(path)


def write_tar(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write a tar.gz archive, sorted by name, whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    with (
        partial.open("wb") as file,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as plain,
        tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, data in sorted(members):
            info = tarfile.TarInfo(name)  # of the year 1970, without owner
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    partial.replace(path)


def encoded(pixels: np.ndarray, kind: str = "PNG", mode: str | None = None, **options: Any) -> bytes:
    """A picture's file; `mode` is Pillow's, for example RGBA."""
    image = Image.fromarray(pixels)
    buffer = io.BytesIO()
    if kind == "PNG":
        options = {"compress_level": 1} | options
    (image.convert(mode) if mode else image).save(buffer, kind, **options)
    return buffer.getvalue()


def truncated(data: bytes) -> bytes:
    """The first half of a file."""
    return data[: len(data) // 2]


def near_duplicate(random: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """The same picture a little brighter, with other noise; uint8."""
    noise = random.normal(4, 2, (*image.shape[:2], *(1,) * (image.ndim - 2)))
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def turned(points: np.ndarray, angle: float) -> np.ndarray:
    """Points turned around the origin, by radians."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return points @ np.array([[cosine, sine], [-sine, cosine]])


def closed(points: np.ndarray) -> np.ndarray:
    """Smooth closed curve, (96, 2), through points."""
    ring = np.vstack([points, points[:1]])
    return CubicSpline(np.arange(len(ring)), ring, bc_type="periodic")(np.linspace(0, len(points), 97)[:-1])


def blob(
    random: np.random.Generator,
    centre: tuple[float, float],
    radii: tuple[float, float],
    *,
    angle: float = 0.0,
    wobble: float = 0.035,
) -> np.ndarray:
    """Outline of an ellipse that is a little out of shape, (96, 2)."""
    around = np.linspace(0, 2 * np.pi, 9)[:-1]
    reach = 1 + random.normal(0, wobble, len(around))[:, None]
    return turned(closed(reach * np.column_stack([np.cos(around), np.sin(around)])) * radii, angle) + centre


def filled(shape: Shape, *outlines: np.ndarray) -> np.ndarray:
    """Share, 0 to 1, of every pixel inside closed outlines; float32."""
    canvas = np.zeros(shape, np.uint8)
    for outline in outlines:
        cv2.fillPoly(canvas, [_fixed(outline)], 255, lineType=cv2.LINE_AA, shift=FINE)
    return canvas.astype(np.float32) / 255


def stroked(shape: Shape, lines: Iterable[np.ndarray], width: float) -> np.ndarray:
    """1 on lines of a width in pixels, else 0; float32."""
    canvas = np.zeros(shape, np.float32)
    for line in lines:
        cv2.polylines(canvas, [_fixed(line)], False, 1.0, thickness=max(1, round(width)), shift=FINE)
    return canvas


def blurred(canvas: np.ndarray, across: float, down: float | None = None) -> np.ndarray:
    """Gaussian blur with standard deviations in pixels."""
    return cv2.GaussianBlur(canvas, (0, 0), max(across, 1e-3), sigmaY=max(across if down is None else down, 1e-3))


def smooth_noise(random: np.random.Generator, shape: Shape, across: float, down: float | None = None) -> np.ndarray:
    """Noise of standard deviation 1 that is smooth over so many pixels; float32."""
    noise = blurred(random.standard_normal(shape, dtype=np.float32), across, down)
    return noise / (noise.std() + 1e-6)


def above(noise: np.ndarray, level: float) -> np.ndarray:
    """1 above a level, 0 below, with a soft step."""
    return np.clip(0.5 + 3 * (noise - level), 0, 1)


def uneven_light(random: np.random.Generator, shape: Shape, reach: float) -> np.ndarray:
    """Factors around 1, float32 of the shape: light from one side."""
    across, down = random.uniform(-reach, reach, 2)
    x, y = (np.linspace(-1, 1, side, dtype=np.float32) for side in shape[::-1])
    return 1 + np.float32(across) * x[None, :] + np.float32(down) * y[:, None]


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.rint(points * (1 << FINE)).astype(np.int32)
