"""Pets drawn from random numbers, in the archive layout and under the names of the real ones.

The labels are in the pictures: breeds differ in coat, ears and build. Each breed has several coats, so that
colour alone does not identify it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from bakeoff.datasets.sources import animals
from bakeoff.datasets.sources.animals import Animal
from bakeoff.datasets.sources.drawing import encoded, truncated, write_tar
from bakeoff.datasets.sources.pets import FILES, codes_of

# Planted faults, one each, spread over the pictures; the near-duplicate is its predecessor in the other list.
FAULTS = ("GIF", "PNG with transparency", "palette", "truncated", "CMYK", "near-duplicate", "in no list", "in no list")
LIST_HEADER = "#Image CLASS-ID SPECIES BREED ID\n#ID: 1:37 Class ids\n#SPECIES: 1:Cat 2:Dog\n"
PET, BACKGROUND, BORDER = 1, 2, 3
BORDER_SHARE = 0.014  # half the border's width, as a share of the picture's longer side


def _coats(eye: str, parts: str, *pairs: str) -> list[dict[str, str]]:
    """Coats of pairs of colours: the first is the base, the second that of the parts named."""
    return [
        {"base": first, "eye": eye, **dict.fromkeys(parts.split(), second)} for first, second in map(str.split, pairs)
    ]


# Two cats and four dogs. Most pairs share colours (Siamese and pug, samoyed and setter) or ears, and never both.
BREEDS = {
    "Bengal": Animal(
        _coats("green", "mark", "gold black", "silver charcoal", "ruddy brown"),
        "rosettes", "pointed", ear=0.70, muzzle=0.36, face=1.02, build=0.90,
    ),
    "Siamese": Animal(
        _coats("blue", "ear muzzle leg tail", "cream brown", "white slate", "fawn black"),
        "plain", "pointed", ear=0.88, muzzle=0.56, face=0.92, build=0.76,
    ),
    "beagle": Animal(
        _coats("hazel", "head ear tail", "white chestnut", "white gold", "cream ruddy"),
        "plain", "hanging", ear=0.95, muzzle=0.50, face=0.92, build=0.95,
    ),
    "english_setter": Animal(
        _coats("hazel", "mark ear", "white black", "white chestnut", "cream brown"),
        "speckles", "hanging", ear=1.25, muzzle=0.56, face=0.84, build=0.88, fluff=0.04,
    ),
    "pug": Animal(
        _coats("dark", "ear muzzle", "fawn black", "cream charcoal", "silver black"),
        "plain", "folded", ear=0.55, muzzle=0.66, face=1.18, build=1.25,
    ),
    "samoyed": Animal(
        _coats("dark", "muzzle", "white white", "cream white", "silver white"),
        "plain", "pointed", ear=0.45, muzzle=0.46, face=1.10, build=1.20, fluff=0.10,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A picture (uint8, height x width x RGB), its trimap (uint8: 1, 2, 3), its list, and its fault."""

    id: str
    official: str
    image: np.ndarray
    trimap: np.ndarray
    fault: str = ""


def write(folder: Path, *, images: int, size: int, seed: int) -> None:
    """Write both archives of synthetic pets into an existing folder; the same bytes for the same arguments.

    Breeds are of equal number to within one. Every other picture is in trainval, the others in test. `FAULTS` are
    planted, one picture has two breeds, and there are a `._` file and a `.mat` file.

    Parameters
    ----------
    images
        Pictures in the archive, at least 20.
    size
        Longest side of the largest pictures, in pixels.
    """
    pictures, trimaps, lines = {}, {}, {"trainval": "", "test": ""}
    for case in _cases(images, size, seed):
        pictures[f"images/{case.id}.jpg"] = _image_file(case)
        trimaps[f"annotations/trimaps/{case.id}.png"] = encoded(case.trimap)
        if case.fault != "in no list":
            lines[case.official] += f"{case.id} {codes_of(case.id.rpartition('_')[0])}\n"
    first = min(pictures).removeprefix("images/").removesuffix(".jpg")
    pictures[f"images/{first}.mat"] = b"MATLAB 5.0 MAT-file"
    trimaps[f"annotations/trimaps/._{first}.png"] = b"\0\5\26\7"  # as an AppleDouble file begins
    everything = LIST_HEADER + "".join(sorted((lines["trainval"] + lines["test"]).splitlines(keepends=True)))
    texts = {f"annotations/{name}.txt": text.encode() for name, text in {"list": everything, **lines}.items()}
    for file, members in zip(FILES, (pictures, trimaps | texts), strict=True):
        write_tar(folder / file.name, members.items())


def _cases(images: int, size: int, seed: int) -> Iterator[Case]:
    """Pictures breed by breed, with the faults spread evenly among them."""
    names = sorted(BREEDS)
    breeds = sorted(names[number % len(names)] for number in range(images))
    turns = [number for number in range(1, images) if breeds[number] != breeds[number - 1]]
    contradicting = turns[len(turns) // 2]  # the first of a breed, so that it copies the last of another
    # The picture with two breeds is intact in both places and has no near-duplicate, which would be left without it.
    taken = {*turns, contradicting - 1, contradicting + 1}
    free = [number for number in range(1, images) if number not in taken]
    places = [free[place] for place in np.linspace(0, len(free) - 1, len(FAULTS)).astype(int).tolist()]
    faults = dict(zip(places, FAULTS, strict=True)) | {contradicting: "contradicting duplicate"}
    previous: Case | None = None
    for number, breed in enumerate(breeds):
        position = number - breeds.index(breed)
        id_ = f"{breed}_{1 + position + position // 5}"  # numbers have gaps, as the published ones have
        fault = faults.get(number, "")
        if fault.endswith("duplicate") and previous is not None:
            image, trimap = previous.image, previous.trimap
        else:
            image, trimap = draw(np.random.default_rng([seed, number]), size, BREEDS[breed])
        case = Case(id_, ("trainval", "test")[position % 2], image, trimap, fault)
        yield case
        previous = replace(case, fault="")


def _image_file(case: Case) -> bytes:
    if case.fault in ("GIF", "palette"):
        paletted = np.asarray(Image.fromarray(case.image).quantize(128).convert("RGB"))
        return encoded(paletted, "GIF" if case.fault == "GIF" else "PNG", "P")
    if case.fault == "PNG with transparency":
        return encoded(case.image, "PNG", "RGBA")
    data = encoded(
        case.image,
        "JPEG",
        "CMYK" if case.fault == "CMYK" else None,
        quality=60 if case.fault == "near-duplicate" else 92,
    )
    return truncated(data) if case.fault == "truncated" else data


def draw(random: np.random.Generator, size: int, breed: Animal) -> tuple[np.ndarray, np.ndarray]:
    """One picture, uint8 (height, width, RGB), and its trimap, uint8 (height, width) of 1, 2 and 3."""
    image, pet = animals.draw(random, size, breed)
    reach = max(1, round(BORDER_SHARE * max(pet.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    pixels = pet.astype(np.uint8)
    outer, inner = cv2.dilate(pixels, disc), cv2.erode(pixels, disc, borderValue=1)
    return image, np.where(inner == 1, PET, np.where(outer == 1, BORDER, BACKGROUND)).astype(np.uint8)
