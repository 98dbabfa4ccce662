"""Portraits of cats and dogs drawn from random numbers, in the archive layout and under the names of the real ones.

The two differ in anatomy alone: ears, the outline of the head and the muzzle. Fur, its pattern, the light, the pose and
the clutter are drawn from the same ranges for both, so that the colours of a picture do not tell them apart.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from bakeoff.datasets.sources import animals
from bakeoff.datasets.sources.animals import FURS, Animal
from bakeoff.datasets.sources.catsdogs import FILES
from bakeoff.datasets.sources.drawing import encoded, truncated, write_zip

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
JPEG_QUALITY = 90


def write(folder: Path, *, images: int, size: int, seed: int) -> None:
    """Write the archive of synthetic cats and dogs into an existing folder; the same bytes for the same arguments.

    Half are cats. One file is empty and one is cut off, under the names of the published broken ones; two are
    duplicates, one of them across the classes; two are near-duplicates; a GIF, a PNG and a BMP are called `.jpg`; one
    JPEG is grey and one begins with Exif instead of JFIF; four files are no pictures.

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
        raise ValueError(f"images is {images}, and the planted faults need {MINIMUM_IMAGES}")
    write_zip(folder / FILES[0].name, _files(images, size, seed))


def _files(images: int, size: int, seed: int) -> Iterator[tuple[str, bytes]]:
    counts, broken = {"Cat": images - images // 2, "Dog": images // 2}, dict((EMPTY, TRUNCATED))
    for folder in FOLDERS:
        for number in _numbers(counts[folder], broken[folder]):
            yield f"PetImages/{folder}/{number}.jpg", _file((folder, number), size, seed)
    yield from STRAYS.items()


def _numbers(count: int, broken: int) -> list[int]:
    """Numbers from 0; the last one is replaced by that of the broken file unless it is among them."""
    return list(range(count)) if broken < count else [*range(count - 1), broken]


def _file(key: tuple[str, int], size: int, seed: int) -> bytes:
    if key == EMPTY:
        return b""
    if key in DUPLICATES:
        return _file(DUPLICATES[key], size, seed)
    folder, number = NEAR_DUPLICATES.get(key, key)
    picture = draw(np.random.default_rng([seed, FOLDERS.index(folder), number]), folder.lower(), size)
    if key in NEAR_DUPLICATES:
        return encoded(cv2.resize(picture, None, fx=0.9, fy=0.9, interpolation=cv2.INTER_AREA), "JPEG", quality=60)
    kind = FORMATS.get(key, "JPEG")
    if kind == "Exif JPEG":
        return _without_jfif(encoded(picture, "JPEG", quality=JPEG_QUALITY, exif=Image.Exif()))
    if kind == "grey JPEG":
        return encoded(picture, "JPEG", "L", quality=JPEG_QUALITY)
    if kind != "JPEG":
        return encoded(picture, kind)
    data = encoded(picture, "JPEG", quality=JPEG_QUALITY)
    return truncated(data) if key == TRUNCATED else data


def _without_jfif(data: bytes) -> bytes:
    """A JPEG without its first segment, which Pillow makes JFIF's."""
    length = int.from_bytes(data[4:6], "big")
    return data[:2] + data[4 + length :]


def draw(random: np.random.Generator, species: str, size: int) -> np.ndarray:
    """One picture, uint8 RGB (height, width, 3), of a "cat" or a "dog"."""
    base, mark, eye = random.choice(list(FURS), 3, replace=False).tolist()
    coat = {"base": base, "mark": mark, "eye": eye}
    coat |= {zone: mark for zone in ("ear", "muzzle", "leg") if random.random() < 0.3}
    cat = species == "cat"
    animal = Animal(
        [coat],
        str(random.choice(("plain", "rosettes", "speckles"))),
        "pointed" if cat else str(random.choice(("hanging", "hanging", "folded"))),
        ear=random.uniform(0.6, 1.0),
        muzzle=random.uniform(0.32, 0.46) if cat else random.uniform(0.50, 0.70),
        face=random.uniform(1.02, 1.16) if cat else random.uniform(0.80, 0.96),
    )
    return animals.draw(random, size, animal, ("portrait",))[0]
