"""Pets drawn from random numbers, in the archive layout and under the names of the real ones.

An animal is put together from closed outlines (tail, body, legs, head, ears, muzzle) in one of three poses, and every
part is painted in the fur of its breed: a colour for each part, and a pattern. Behind it lies clutter of the same
colours, so that no threshold finds the animal. The labels are in the pictures: breeds differ in coat, ears and build,
and each breed comes in several coats, since no colour alone shall tell it.
"""

import gzip
import io
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from scipy.interpolate import CubicSpline

from bakeoff.datasets.sources.pets import FILES, codes_of

Colour = tuple[int, int, int]
Coat = dict[str, Colour]

# Faults that are planted, one each, spread over the pictures; the near duplicate is its predecessor in the other list.
FAULTS = ("GIF", "PNG with transparency", "palette", "truncated", "CMYK", "near duplicate", "in no list", "in no list")
LIST_HEADER = """\
#Image CLASS-ID SPECIES BREED ID
#ID: 1:37 Class ids
#SPECIES: 1:Cat 2:Dog
#BREED ID: 1-25:Cat 1:12:Dog
#All images with 1st letter as captial are cat images
#images with small first letter are dog images
"""
PET, BACKGROUND, BORDER = 1, 2, 3
BORDER_SHARE = 0.014  # half the border's width, as a share of the picture's longer side
NOISE = 6.0  # the camera's, standard deviation at most, in grey levels
FINE = 4  # bits of fraction in OpenCV's fixed-point pixels

BLACK, CHARCOAL, BROWN, CHESTNUT = (38, 34, 34), (76, 72, 72), (88, 60, 42), (138, 88, 52)
RUDDY, GOLD, FAWN, CREAM = (166, 108, 66), (190, 142, 88), (206, 172, 126), (224, 206, 178)
WHITE, SILVER, BLUE_GREY = (236, 232, 226), (168, 166, 162), (112, 118, 130)
CLUTTER = (
    *(BLACK, CHARCOAL, BROWN, CHESTNUT, RUDDY, GOLD, FAWN, CREAM, WHITE, SILVER, BLUE_GREY),
    *((86, 118, 62), (120, 148, 84), (58, 82, 52), (104, 134, 172), (62, 84, 128), (158, 62, 54), (196, 120, 112)),
)


@dataclass(frozen=True)
class Breed:
    """How a breed looks; lengths are shares of the head's radius, or of the body's where that is said.

    Attributes
    ----------
    coats
        Colours by part of the body, of which a picture takes one set. `base` is for parts not named.
    pattern
        What the base colour is broken by: rosettes, speckles, ticking or nothing; in the colour `mark`.
    ears
        pointed, folded or hanging.
    ear, muzzle
        Sizes.
    face
        Width of the head over its height.
    build
        Width of the body over the usual.
    fluff
        How far the fur stands off the outline.
    tail
        long, curled or bushy.
    """

    coats: tuple[Coat, ...]
    pattern: str
    ears: str
    ear: float
    muzzle: float
    face: float
    build: float
    fluff: float
    tail: str


def _pointed(base: Colour, points: Colour, eye: Colour, *zones: str) -> Coat:
    """A coat of one colour that ends in another."""
    return {"base": base, "eye": eye} | dict.fromkeys(zones, points)


EYES = {"green": (150, 160, 60), "blue": (90, 140, 205), "brown": (70, 45, 30), "dark": (34, 26, 24)}
# Two cats and four dogs. Most pairs share colours (Siamese and pug, samoyed and setter) or ears, and never both.
BREEDS = {
    "Bengal": Breed(
        coats=(
            {"base": GOLD, "mark": BLACK, "muzzle": CREAM, "eye": EYES["green"]},
            {"base": SILVER, "mark": CHARCOAL, "muzzle": WHITE, "eye": EYES["green"]},
            {"base": RUDDY, "mark": BROWN, "muzzle": FAWN, "eye": EYES["green"]},
        ),
        pattern="rosettes",
        ears="pointed",
        ear=0.70,
        muzzle=0.36,
        face=1.02,
        build=0.90,
        fluff=0.01,
        tail="long",
    ),
    "Siamese": Breed(
        coats=(
            _pointed(CREAM, BROWN, EYES["blue"], "ear", "muzzle", "leg", "tail"),
            _pointed(WHITE, BLUE_GREY, EYES["blue"], "ear", "muzzle", "leg", "tail"),
            _pointed(FAWN, BLACK, EYES["blue"], "ear", "muzzle", "leg", "tail"),
        ),
        pattern="plain",
        ears="pointed",
        ear=0.88,
        muzzle=0.56,
        face=0.92,
        build=0.76,
        fluff=0.005,
        tail="long",
    ),
    "beagle": Breed(
        coats=(
            {"base": WHITE, "saddle": BLACK, "head": CHESTNUT, "ear": RUDDY, "muzzle": WHITE, "eye": EYES["brown"]},
            {"base": WHITE, "saddle": GOLD, "head": FAWN, "ear": GOLD, "muzzle": WHITE, "eye": EYES["brown"]},
            {"base": CREAM, "saddle": BROWN, "head": RUDDY, "ear": CHESTNUT, "muzzle": CREAM, "eye": EYES["brown"]},
        ),
        pattern="plain",
        ears="hanging",
        ear=0.95,
        muzzle=0.50,
        face=0.92,
        build=0.95,
        fluff=0.01,
        tail="long",
    ),
    "english_setter": Breed(
        coats=(
            {"base": WHITE, "mark": BLACK, "ear": CHARCOAL, "eye": EYES["brown"]},
            {"base": WHITE, "mark": CHESTNUT, "ear": RUDDY, "eye": EYES["brown"]},
            {"base": CREAM, "mark": BROWN, "ear": BROWN, "eye": EYES["brown"]},
        ),
        pattern="speckles",
        ears="hanging",
        ear=1.25,
        muzzle=0.56,
        face=0.84,
        build=0.88,
        fluff=0.04,
        tail="bushy",
    ),
    "pug": Breed(
        coats=(
            _pointed(FAWN, BLACK, EYES["dark"], "ear", "muzzle"),
            _pointed(CREAM, CHARCOAL, EYES["dark"], "ear", "muzzle"),
            _pointed(SILVER, BLACK, EYES["dark"], "ear", "muzzle"),
        ),
        pattern="plain",
        ears="folded",
        ear=0.55,
        muzzle=0.66,
        face=1.18,
        build=1.25,
        fluff=0.005,
        tail="curled",
    ),
    "samoyed": Breed(
        coats=(
            {"base": WHITE, "mark": CREAM, "eye": EYES["dark"]},
            {"base": CREAM, "mark": WHITE, "eye": EYES["dark"]},
            {"base": SILVER, "mark": WHITE, "muzzle": WHITE, "eye": EYES["dark"]},
        ),
        pattern="ticking",
        ears="pointed",
        ear=0.45,
        muzzle=0.46,
        face=1.10,
        build=1.20,
        fluff=0.10,
        tail="bushy",
    ),
}


@dataclass(frozen=True)
class Case:
    """A picture (uint8, height x width x RGB), its trimap (uint8: 1, 2, 3), where it stands, and what ails its file."""

    id: str
    official: str
    image: np.ndarray
    trimap: np.ndarray
    fault: str = ""


def write(folder: Path, *, images: int, size: int, seed: int) -> None:
    """Write both archives of synthetic pets into an existing folder; the same bytes for the same arguments.

    Breeds are of equal number to within one. Every other picture is in trainval, the others in test. `FAULTS` are
    planted, and a picture that stands under two breeds, a `._` file and a `.mat` file.

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
        trimaps[f"annotations/trimaps/{case.id}.png"] = _encoded(case.trimap, "PNG", compress_level=1)
        if case.fault != "in no list":
            lines[case.official] += f"{case.id} {codes_of(case.id.rpartition('_')[0])}\n"
    first = min(pictures).removeprefix("images/").removesuffix(".jpg")
    pictures[f"images/{first}.mat"] = b"MATLAB 5.0 MAT-file"
    trimaps[f"annotations/trimaps/._{first}.png"] = b"\0\5\26\7"  # as an AppleDouble file begins
    everything = LIST_HEADER + "".join(sorted((lines["trainval"] + lines["test"]).splitlines(keepends=True)))
    lists = {"list": everything, **lines}
    texts = {f"annotations/{name}.txt": text.encode() for name, text in lists.items()}
    for file, members in zip(FILES, (pictures, trimaps | texts), strict=True):
        _write_tar(folder / file.name, members)


def _write_tar(path: Path, members: Mapping[str, bytes]) -> None:
    partial = path.with_name(f"{path.name}.partial")
    with (
        partial.open("wb") as file,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as plain,
        tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, content in sorted(members.items()):
            info = tarfile.TarInfo(name)  # of the year 1970, without owner
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    partial.replace(path)


def _cases(images: int, size: int, seed: int) -> Iterator[Case]:
    """Pictures breed by breed, with the faults spread evenly among them."""
    names = sorted(BREEDS)
    breeds = sorted(names[number % len(names)] for number in range(images))
    turns = [number for number in range(1, images) if breeds[number] != breeds[number - 1]]
    contradicting = turns[len(turns) // 2]  # the first of a breed, so that it copies the last of another
    # The picture under two breeds is whole in both places, and has no near duplicate: that one would then be alone.
    taken = {*turns, contradicting - 1, contradicting + 1}
    free = [number for number in range(1, images) if number not in taken]
    places = [free[place] for place in np.linspace(0, len(free) - 1, len(FAULTS)).astype(int).tolist()]
    faults = dict(zip(places, FAULTS, strict=True)) | {contradicting: "contradicting duplicate"}
    previous: Case | None = None
    for number, breed in enumerate(breeds):
        position = number - breeds.index(breed)
        # Numbers have gaps, as the published ones have.
        id_ = f"{breed}_{1 + position + position // 5}"
        fault = faults.get(number, "")
        if fault.endswith("duplicate") and previous is not None:
            image, trimap = previous.image, previous.trimap
        else:
            image, trimap = draw(np.random.default_rng([seed, number]), size, BREEDS[breed])
        case = Case(id_, ("trainval", "test")[position % 2], image, trimap, fault)
        yield case
        previous = replace(case, fault="")


def _image_file(case: Case) -> bytes:
    image = Image.fromarray(case.image)
    if case.fault == "GIF":
        return _encoded(image.quantize(128), "GIF")
    if case.fault == "palette":
        return _encoded(image.quantize(128), "PNG")
    if case.fault == "PNG with transparency":
        image.putalpha(255)
        return _encoded(image, "PNG")
    if case.fault == "CMYK":
        return _encoded(image.convert("CMYK"), "JPEG", quality=92)
    if case.fault == "near duplicate":
        return _encoded(image, "JPEG", quality=60)
    data = _encoded(image, "JPEG", quality=92)
    return data[: len(data) // 2] if case.fault == "truncated" else data


def _encoded(image: np.ndarray | Image.Image, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def draw(random: np.random.Generator, size: int, breed: Breed) -> tuple[np.ndarray, np.ndarray]:
    """One picture, uint8 (height, width, RGB), and its trimap, uint8 (height, width) of 1, 2 and 3."""
    shape = _shape(random, size)
    pose = _Pose(random, shape)
    fur = _Fur(random, shape, pose.scale, breed)
    scene = _clutter(random, shape)
    pet = np.zeros(shape, np.float32)
    for zone, outline in _parts(random, pose.name, breed):
        part = _filled(shape, pose(outline))
        scene += part[..., None] * (fur.colour(zone, part) - scene)
        pet = np.maximum(pet, part)
    return _photograph(random, scene), _trimap(pet > 0.5)


def _shape(random: np.random.Generator, size: int) -> tuple[int, int]:
    """Height and width: most pictures lie, some stand, some are square, and some are smaller."""
    long = round(size * random.choice((1.0, 1.0, 0.85, 0.7)))
    short = round(long * random.choice((0.67, 0.75, 0.75, 0.9, 1.0)))
    return (short, long) if random.random() < 0.75 else (long, short)


class _Pose:
    """How an animal is placed: turns, mirrors, scales and shifts points (..., 2), from units to pixels."""

    def __init__(self, random: np.random.Generator, shape: tuple[int, int]) -> None:
        height, width = shape
        self.name = str(random.choice(("sitting", "standing", "portrait")))
        reach = {"sitting": (0.40, 0.52), "standing": (0.44, 0.58), "portrait": (0.62, 0.90)}[self.name]
        self.scale = random.uniform(*reach) * min(shape) * (min(width / height, 1.3) if self.name == "standing" else 1)
        angle = np.deg2rad(random.uniform(-12, 12))
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        mirror = np.diag((random.choice((-1.0, 1.0)), random.uniform(0.92, 1.08)))
        self.matrix = self.scale * mirror @ turn
        centre = np.array([0.0, -0.3 if self.name == "portrait" else 0.0])
        place = random.uniform((0.40, 0.44), (0.60, 0.56)) * (width, height)
        self.shift = place - centre @ self.matrix

    def __call__(self, points: np.ndarray) -> np.ndarray:
        return points @ self.matrix + self.shift


class _Fur:
    """Colours of a breed's fur in one picture; float32, 0 to 255."""

    def __init__(self, random: np.random.Generator, shape: tuple[int, int], unit: float, breed: Breed) -> None:
        tint = random.uniform(0.72, 1.12) * random.normal(1, 0.025, 3)
        coat = breed.coats[random.integers(len(breed.coats))]
        self.coat = {zone: np.asarray(colour, np.float32) * tint.astype(np.float32) for zone, colour in coat.items()}
        self.pattern = _pattern(random, shape, unit, breed.pattern)[..., None]
        grain = 1 + 0.07 * _smooth_noise(random, shape, 0.02 * unit) + 0.08 * _smooth_noise(random, shape, 0.4 * unit)
        self.grain = grain[..., None]
        self.edge = 0.05 * unit

    def colour(self, zone: str, part: np.ndarray) -> np.ndarray:
        """Colours (height, width, RGB) of a part of the body, itself given as a share of every pixel."""
        if zone in ("eye", "nose", "pupil"):
            return np.broadcast_to(self.coat["eye"] if zone == "eye" else np.float32(22), (*part.shape, 3))
        colour = self.coat.get(zone, self.coat["base"])
        if zone not in self.coat and "mark" in self.coat:
            colour = colour + self.pattern * (self.coat["mark"] - colour)
        # Every part is darker towards its edge, or a leg before a body would not be seen.
        shade = 0.62 + 0.38 * np.clip(2 * cv2.GaussianBlur(part, (0, 0), self.edge) - 1, 0, 1)
        return colour * self.grain * shade[..., None]


def _pattern(random: np.random.Generator, shape: tuple[int, int], unit: float, name: str) -> np.ndarray:
    """Share, 0 to 1, of the mark's colour in every pixel; lengths go with the animal's, `unit` pixels."""
    scale = unit * random.uniform(0.8, 1.25)
    if name == "rosettes":
        noise = _smooth_noise(random, shape, 0.10 * scale)
        return _above(noise, 0.5) * (1 - 0.6 * _above(noise, 1.5))
    if name == "speckles":
        return np.maximum(
            _above(_smooth_noise(random, shape, 0.045 * scale), 1.0),
            _above(_smooth_noise(random, shape, 0.4 * scale), 1.3),
        )
    if name == "ticking":
        return 0.3 * _above(_smooth_noise(random, shape, 0.03 * scale), 0.3)
    return np.zeros(shape, np.float32)


def _above(noise: np.ndarray, level: float) -> np.ndarray:
    """1 above a level, 0 below, with a soft step."""
    return np.clip(0.5 + 3 * (noise - level), 0, 1)


def _parts(random: np.random.Generator, pose: str, breed: Breed) -> Iterator[tuple[str, np.ndarray]]:
    """Parts of an animal, the farthest first: what they are, and closed outlines in units, y downwards."""
    build, fluff = breed.build * random.uniform(0.9, 1.1), breed.fluff

    def blob(zone: str, x: float, y: float, across: float, down: float, turn: float = 0.0) -> tuple[str, np.ndarray]:
        return zone, _blob(random, (x, y), (across, down), turn, fluff)

    if pose == "standing":
        yield "tail", _tail(random, breed.tail, (0.62, -0.05))
        for x in (0.40, -0.25, 0.55, -0.40):
            yield blob("leg", x + random.normal(0, 0.03), 0.42, 0.085 * build, 0.36, random.normal(0, 0.12))
        yield blob("body", 0.10, 0.08, 0.60, 0.28 * build)
        if "saddle" in breed.coats[0]:
            yield blob("saddle", 0.16, -0.02, 0.46, 0.17 * build)
        yield blob("body", -0.44, -0.12, 0.17 * build, 0.30, 0.6)
        head = np.array([-0.58, -0.38])
        radius, turned = 0.26, random.uniform(-0.30, 0.05)
    else:
        yield "tail", _tail(random, breed.tail, (0.34 * build, 0.62))
        for side in (-1, 1):
            yield blob("leg", side * 0.34 * build, 0.72, 0.17, 0.14)
        yield blob("body", 0, 0.34, 0.38 * build, 0.52)
        if "saddle" in breed.coats[0]:
            for side in (-1, 1):
                yield blob("saddle", side * 0.27 * build, 0.30, 0.13 * build, 0.40, -side * 0.1)
        for side in (-1, 1):
            yield blob("leg", side * 0.13 * build, 0.60, 0.085, 0.34)
        head = np.array([random.normal(0, 0.04), -0.38])
        radius, turned = 0.33, random.uniform(-0.18, 0.18)
    tilt = random.normal(0, 0.15)
    for zone, outline in _head(random, breed, turned):
        yield zone, _turned(outline, tilt) * radius + head


def _head(random: np.random.Generator, breed: Breed, turned: float) -> Iterator[tuple[str, np.ndarray]]:
    """Parts of a head of radius 1 at the origin that looks to the side by `turned`, in radii."""
    face, ear = breed.face * random.uniform(0.94, 1.06), breed.ear * random.uniform(0.9, 1.1)
    muzzle = breed.muzzle * random.uniform(0.92, 1.08)
    if breed.ears == "pointed":
        for side in (-1, 1):
            yield "ear", _pointed_ear(random, side, face, ear)
    yield "head", _blob(random, (0, 0), (face, 0.95), 0, breed.fluff)
    if breed.ears == "hanging":
        for side in (-1, 1):
            yield "ear", _blob(random, (side * face * 0.95, 0.15 * ear), (0.3, 0.62 * ear), -side * 0.25, breed.fluff)
    if breed.ears == "folded":
        for side in (-1, 1):
            corners = ((0.45 * face, -0.88), (1.02 * face, -0.62), (0.98 * face, -0.62 + 0.95 * ear))
            yield "ear", _closed(np.array([(side * x, y) for x, y in corners]) + random.normal(0, 0.03, (3, 2)))
    yield "muzzle", _blob(random, (turned, 0.42), (muzzle, 0.72 * muzzle + 0.05), 0, breed.fluff / 2)
    for side in (-1, 1):
        eye = (turned + side * 0.42 * face, -0.12)
        yield "eye", _blob(random, eye, (0.15, 0.14), 0, 0)
        yield "pupil", _blob(random, eye, (0.07, 0.11), 0, 0)
    yield "nose", _closed(np.array([(turned - 0.16, 0.2), (turned + 0.16, 0.2), (turned, 0.38)]))


def _pointed_ear(random: np.random.Generator, side: int, face: float, ear: float) -> np.ndarray:
    corners = np.array([(0.18 * face, -0.80), ((0.55 + 0.15 * ear) * face, -0.78 - ear), (0.95 * face, -0.35)])
    corners = (corners + random.normal(0, 0.03, (3, 2))) * (side, 1)
    along = np.linspace(0, 1, 12)[:, None]
    return np.vstack(
        [first + along * (second - first) for first, second in zip(corners, np.roll(corners, -1, 0), strict=True)]
    )


def _tail(random: np.random.Generator, kind: str, root: tuple[float, float]) -> np.ndarray:
    """A tail from its root up, tapering: long, bushy, or curled over the back."""
    bend = {"long": 0.9, "bushy": 1.2, "curled": 5.0}[kind] * random.uniform(0.8, 1.2)
    length = {"long": 0.75, "bushy": 0.65, "curled": 0.55}[kind] * random.uniform(0.85, 1.15)
    width = {"long": 0.055, "bushy": 0.13, "curled": 0.07}[kind]
    along = np.linspace(0, 1, 24)
    heading = random.uniform(-0.2, 0.5) - bend * along
    steps = np.column_stack([np.cos(heading), np.sin(heading)]) * length / len(along)
    middle = np.asarray(root) + np.cumsum(steps, axis=0)
    half = width * np.sin(np.pi * np.clip(0.25 + 0.72 * along, 0, 1))
    across = np.column_stack([-np.sin(heading), np.cos(heading)]) * half[:, None]
    if kind == "bushy":
        across *= 1 + 0.25 * random.random((len(along), 1))
    return np.vstack([middle + across, (middle - across)[::-1]])


def _blob(
    random: np.random.Generator, centre: tuple[float, float], radii: tuple[float, float], turn: float, fluff: float
) -> np.ndarray:
    """Outline of an ellipse, a little out of shape, (96, 2); `fluff` frays it, in shares of its radii."""
    angles = np.linspace(0, 2 * np.pi, 9)[:-1]
    reach = 1 + random.normal(0, 0.035, len(angles))[:, None]
    outline = _closed(reach * np.column_stack([np.cos(angles), np.sin(angles)]))
    frayed = outline * (1 + fluff * random.random((len(outline), 1)))
    return _turned(frayed * radii, turn) + centre


def _closed(points: np.ndarray) -> np.ndarray:
    """Smooth closed curve, (96, 2), through points."""
    ring = np.vstack([points, points[:1]])
    return CubicSpline(np.arange(len(ring)), ring, bc_type="periodic")(np.linspace(0, len(points), 97)[:-1])


def _turned(points: np.ndarray, angle: float) -> np.ndarray:
    cosine, sine = np.cos(angle), np.sin(angle)
    return points @ np.array([[cosine, sine], [-sine, cosine]])


def _filled(shape: tuple[int, int], outline: np.ndarray) -> np.ndarray:
    """Share, 0 to 1, of every pixel inside a closed outline in pixels (x, y)."""
    canvas = np.zeros(shape, np.uint8)
    points = np.rint(outline * (1 << FINE)).astype(np.int32)
    cv2.fillPoly(canvas, [points], 255, lineType=cv2.LINE_AA, shift=FINE)
    return canvas.astype(np.float32) / 255


def _smooth_noise(random: np.random.Generator, shape: tuple[int, int], length: float) -> np.ndarray:
    """Noise of standard deviation about 1 that is smooth over `length` pixels, float32."""
    length = max(length, 1.0)
    rows, columns = (int(side / length) + 4 for side in shape)
    coarse = random.standard_normal((rows, columns), dtype=np.float32)
    # Enlarged, and cut at a random phase, so that the grid is not the same in every picture.
    enlarged = cv2.resize(coarse, (int(columns * length), int(rows * length)), interpolation=cv2.INTER_CUBIC)
    top, left = (int(random.integers(0, int(2 * length) + 1)) for _ in range(2))
    return 1.4 * enlarged[top : top + shape[0], left : left + shape[1]]


def _clutter(random: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """A background, float32 (height, width, RGB), 0 to 255: a wall and a floor, and things in the colours of fur."""
    height, width = shape
    size = max(shape)
    colours = np.array(CLUTTER, np.float32)
    wall, floor = colours[random.integers(len(colours), size=2)]
    horizon = random.uniform(0.35, 0.8) * height
    below = (np.arange(height, dtype=np.float32)[:, None] > horizon).astype(np.float32)
    scene = wall + np.broadcast_to(below[..., None], (height, width, 1)) * (floor - wall)
    for _ in range(random.integers(10, 22)):
        colour = colours[random.integers(len(colours))] * random.uniform(0.75, 1.2)
        thing = _filled(shape, _thing(random, shape))[..., None]
        if random.random() < 0.4:
            other = colours[random.integers(len(colours))]
            texture = _above(_smooth_noise(random, shape, random.uniform(0.01, 0.06) * size), 0.5)
            scene += thing * (colour + texture[..., None] * (other - colour) - scene)
        else:
            scene += thing * (colour - scene)
    scene *= 1 + 0.05 * _smooth_noise(random, shape, 0.02 * size)[..., None]
    scene *= 1 + 0.15 * _smooth_noise(random, shape, 0.3 * size)[..., None]
    return cv2.GaussianBlur(scene, (0, 0), random.uniform(0.002, 0.008) * size)


def _thing(random: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Outline, in pixels, of a box, a leaf or a boulder somewhere in the picture."""
    size = max(shape)
    radii = np.exp(random.uniform(np.log(0.03), np.log(0.28), 2)) * size
    angle = random.uniform(0, np.pi)
    if random.random() < 0.5:
        outline = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    else:
        outline = _blob(random, (0, 0), (1, 1), 0, random.choice((0, 0.1)))
    return _turned(outline * radii, angle) + random.random(2) * shape[::-1]


def _photograph(random: np.random.Generator, scene: np.ndarray) -> np.ndarray:
    """What a camera makes of a scene, uint8: exposure, white balance, light from one side, softness and noise."""
    height, width = scene.shape[:2]
    tilt = random.uniform(-0.18, 0.18, 2)
    light = 1 + tilt[0] * np.linspace(-1, 1, width)[None, :] + tilt[1] * np.linspace(-1, 1, height)[:, None]
    balance = random.uniform(0.75, 1.15) * random.normal(1, 0.025, 3)
    levels = 255 * np.clip(scene * light[..., None] * balance / 255, 0, 1) ** random.uniform(0.75, 1.3)
    levels += random.normal(0, random.uniform(1, NOISE), (height, width, 1))
    return np.rint(np.clip(levels, 0, 255)).astype(np.uint8)


def _trimap(pet: np.ndarray) -> np.ndarray:
    """1 inside, 2 outside and 3 along the outline of a pet (boolean), uint8."""
    reach = max(1, round(BORDER_SHARE * max(pet.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    pixels = pet.astype(np.uint8)
    outer, inner = cv2.dilate(pixels, disc), cv2.erode(pixels, disc, borderValue=1)
    return np.where(inner == 1, PET, np.where(outer == 1, BORDER, BACKGROUND)).astype(np.uint8)
