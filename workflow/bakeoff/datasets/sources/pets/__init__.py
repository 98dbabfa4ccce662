"""Oxford-IIIT Pet: photographs of 37 breeds of cats and dogs with trimaps; what is published, and how it is laid out.

Names say the breed (`Abyssinian_1`, `american_bulldog_1`; cats have a capital), three lists say which images are for
training and which for testing. Not every image is in a list.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.archives.archive import open_archive
from bakeoff.datasets.archives.records import Consequence, Finding, Listing, Member, Record
from bakeoff.datasets.archives.remote import RemoteFile

TITLE = "Oxford-IIIT Pet"
PAGE = "https://www.robots.ox.ac.uk/~vgg/data/pets/"
HUB = "timm/oxford-iiit-pet"  # where model hubs keep the same images
CHANNELS = 3
CLASSES = ("background", "pet", "border")
MASK_RESIZE = "nearest"
TARGETS = ("breed", "species")
STRATA = ("species",)

FILES = (
    RemoteFile(
        name="images.tar.gz",
        urls=(
            "https://www.robots.ox.ac.uk/~vgg/data/pets/data/images.tar.gz",
            "https://thor.robots.ox.ac.uk/~vgg/data/pets/images.tar.gz",
        ),
        sha256="67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d",
    ),
    RemoteFile(
        name="annotations.tar.gz",
        urls=(
            "https://www.robots.ox.ac.uk/~vgg/data/pets/data/annotations.tar.gz",
            "https://thor.robots.ox.ac.uk/~vgg/data/pets/annotations.tar.gz",
        ),
        sha256="52425fb6de5c424942b7626b428656fcbd798db970a937df61750c0f1d358e91",
    ),
)
# Of the listed images 2,371 are cats and 4,978 dogs; the species of the 41 in no list is published nowhere.
PUBLISHED = {"listed": 7390, "labels": {"official": {"trainval": 3680, "test": 3669}}}
LICENCE = "CC BY-SA 4.0; the photographs are their owners'."
CITATION = "O. M. Parkhi, A. Vedaldi, A. Zisserman, C. V. Jawahar. Cats and Dogs. IEEE CVPR, 3498-3505, 2012."

# In the order of the published class ids, 1 to 37.
BREEDS = (
    "Abyssinian", "american_bulldog", "american_pit_bull_terrier", "basset_hound", "beagle", "Bengal", "Birman",
    "Bombay", "boxer", "British_Shorthair", "chihuahua", "Egyptian_Mau", "english_cocker_spaniel", "english_setter",
    "german_shorthaired", "great_pyrenees", "havanese", "japanese_chin", "keeshond", "leonberger", "Maine_Coon",
    "miniature_pinscher", "newfoundland", "Persian", "pomeranian", "pug", "Ragdoll", "Russian_Blue", "saint_bernard",
    "samoyed", "scottish_terrier", "shiba_inu", "Siamese", "Sphynx", "staffordshire_bull_terrier", "wheaten_terrier",
    "yorkshire_terrier",
)  # fmt: skip
LISTS = {f"annotations/{name}.txt": name for name in ("list", "trainval", "test")}
IMAGE_NAME, TRIMAP_NAME = "images/{}.jpg", "annotations/trimaps/{}.png"
ID = rf"(?:{'|'.join(BREEDS)})_[0-9]+"
IMAGE = re.compile(rf"images/({ID})\.jpg")
TRIMAP = re.compile(rf"annotations/trimaps/({ID})\.png")
# Boxes around heads and a description, which nothing here reads.
UNUSED = re.compile(rf"annotations/(?:README|xmls/{ID}\.xml)\Z")
LINE = re.compile(rf"(?P<id>{ID}) (?P<codes>[0-9]+ [0-9]+ [0-9]+)")
CLASS_OF_LEVEL = {1: 1, 2: 0, 3: 2}


def listing(raw: Path) -> Listing:
    """Records of the images with a trimap; findings for files that do not belong, and for what the lists get wrong.

    Labels are `species` (cat, dog), `breed` as in the file's name, and `official`: trainval, test, or unlisted for an
    image that neither list has.

    Raises
    ------
    BakeoffError
        If an archive is missing or damaged, or holds no `list.txt`, `trainval.txt` or `test.txt`.
    """
    pictures, annotations = (file.name for file in FILES)
    with open_archive(raw / pictures) as opened:
        images, strays = _ids(opened.members(), IMAGE)
    members, texts = _annotations(raw / annotations)
    trimaps, stray_trimaps = _ids((name for name in members if name not in LISTS and not UNUSED.match(name)), TRIMAP)
    lists, wrong, unparsed = _read_lists(texts)
    usable = (images & trimaps) - wrong.keys()
    official = {id_: _official(lists.get(id_, set())) for id_ in sorted(usable)}
    records = [
        Record(
            id_,
            Member(pictures, IMAGE_NAME.format(id_)),
            (Member(annotations, TRIMAP_NAME.format(id_)),),
            {"species": species_of(id_), "breed": id_.rpartition("_")[0], "official": listed},
        )
        for id_, listed in official.items()
    ]
    torn = {id_ for id_ in usable if lists.get(id_, set()) >= {"trainval", "test"}}
    unlisted = {id_ for id_, listed in official.items() if listed == "unlisted"} - torn
    unused = "used only by splits that do not follow the official lists"
    findings = [
        *strays,
        *stray_trimaps,
        *unparsed,
        *_each(images - trimaps, IMAGE_NAME, "missing mask", "dropped", f"{TRIMAP_NAME} is not in the archive"),
        *_each(trimaps - images, TRIMAP_NAME, "mask without image", "dropped", f"{IMAGE_NAME} is not in the archive"),
        *_each(lists.keys() - images, IMAGE_NAME, "missing member", "dropped", "a list names it"),
        *(wrong[id_] for id_ in sorted(wrong.keys() & images)),
        *_each(torn, IMAGE_NAME, "in two lists", "kept", f"in trainval and in test: {unused}"),
        *_each(unlisted, IMAGE_NAME, "in no list", "kept", unused),
    ]
    return Listing(records, findings, listed=len(images))


def classes_of(pixels: np.ndarray) -> np.ndarray:
    """Class indices (0 background, 1 pet, 2 border; uint8) of a trimap's levels (uint8): 2, 1 and 3.

    Raises
    ------
    ValueError
        If the trimap holds another level.
    """
    levels = np.flatnonzero(np.bincount(pixels.ravel(), minlength=256))
    for level in levels.tolist():
        if level not in CLASS_OF_LEVEL:
            raise ValueError(f"level {level} is none of the trimap's: 1 pet, 2 background, 3 border")
    classes = np.zeros(256, np.uint8)
    classes[list(CLASS_OF_LEVEL)] = list(CLASS_OF_LEVEL.values())
    return classes[pixels]


def species_of(name: str) -> str:
    """Species of a breed, or of an image named after it: cats have a capital."""
    return "cat" if name[0].isupper() else "dog"


def codes_of(breed: str) -> str:
    """The lists' numbers for a breed: class 1 to 37, species (1 cat, 2 dog), and rank of the breed in its species."""
    species = species_of(breed)
    rank = [other for other in BREEDS if species_of(other) == species].index(breed) + 1
    return f"{BREEDS.index(breed) + 1} {1 if species == 'cat' else 2} {rank}"


def _official(lists: set[str]) -> str:
    """The one list for training or testing that an image is in."""
    found = lists & {"trainval", "test"}
    return found.pop() if len(found) == 1 else "unlisted"


def _each(ids: Iterable[str], file: str, finding: str, consequence: Consequence, detail: str) -> list[Finding]:
    return [Finding(file.format(id_), finding, consequence, detail.format(id_)) for id_ in sorted(ids)]


def _annotations(path: Path) -> tuple[list[str], dict[str, str]]:
    """Names of the members, and the texts of the three lists, read in one go."""
    names, texts = [], {}
    with open_archive(path) as opened:
        for name, content in opened.stream():
            names.append(name)
            if name in LISTS:
                texts[name] = content.decode("utf-8", errors="replace")
    for name in LISTS:
        if name not in texts:
            raise BakeoffError(f"{path} has no member '{name}': fetch the archive again.")
    return names, texts


def _ids(members: Iterable[str], pattern: re.Pattern[str]) -> tuple[set[str], list[Finding]]:
    """Ids of the members that are named as they should be, and findings for all others."""
    ids, strays = set(), []
    for member in members:
        if match := pattern.fullmatch(member):
            ids.add(match[1])
        else:
            strays.append(Finding(member, "stray file", "dropped", "not named after a breed and a number"))
    return ids, strays


def _read_lists(texts: Mapping[str, str]) -> tuple[dict[str, set[str]], dict[str, Finding], list[Finding]]:
    """By id the lists that an image is in and what they get wrong about it; findings for lines that say nothing."""
    lists: dict[str, set[str]] = {}
    wrong: dict[str, Finding] = {}
    unparsed = []
    for name, text in texts.items():
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip() or line.startswith("#"):
                continue
            match = LINE.fullmatch(" ".join(line.split()))
            if not match:
                unparsed.append(Finding(name, "unreadable line", "dropped", f"line {number}: {line[:80]!r}"))
                continue
            lists.setdefault(match["id"], set()).add(LISTS[name])
            expected = codes_of(match["id"].rpartition("_")[0])
            if match["codes"] != expected:
                detail = f"{name} says {match['codes']}, by its name it is {expected}"
                wrong[match["id"]] = Finding(IMAGE_NAME.format(match["id"]), "contradicting label", "dropped", detail)
    return lists, wrong, unparsed
