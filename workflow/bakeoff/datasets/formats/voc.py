"""Pascal VOC: palette masks of classes, perhaps of objects too, and lists of a split.

    JPEGImages/a.jpg   SegmentationClass/a.png   SegmentationObject/a.png
    ImageSets/Segmentation/train.txt   ImageSets/Segmentation/val.txt

The levels of a mask are the indices of its palette; 255 is void. Classes have the names of a list beside the folders
(`labelmap.txt`, in which CVAT also gives colours, or LabelMe's `class_names.txt`), or those of the challenge where the
boxes in `Annotations` have no others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.void import VOID
from bakeoff.datasets.archives.records import Finding
from bakeoff.datasets.formats.documents import SAMPLE, holding, read_xml
from bakeoff.datasets.formats.labelme import IGNORED
from bakeoff.datasets.formats.labels import labelled
from bakeoff.datasets.formats.levels import classes_in
from bakeoff.datasets.formats.names import is_picture, split_of, stem
from bakeoff.datasets.formats.passed_over import passed_over
from bakeoff.datasets.formats.reading import Choices, Entry, Level, Reading, Tree
from bakeoff.datasets.preparation.mask_kinds import mask_facts

# Folders by what is in them; the second name is one that LabelMe gave.
_IMAGES, _CLASSES = ("jpegimages",), ("segmentationclass", "segmentationclasspng")
_OBJECTS = ("segmentationobject", "segmentationobjectpng")
_COLOURS, _NAMES = "labelmap.txt", "class_names.txt"
_CHALLENGE = (
    *(
        "background",
        "aeroplane",
        "bicycle",
        "bird",
        "boat",
        "bottle",
        "bus",
        "car",
        "cat",
        "chair",
        "cow",
        "diningtable",
    ),
    *("dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


def recognise(tree: Tree) -> float | str:
    """Whether masks of SegmentationClass have images of their names; see `bakeoff.datasets.formats`."""
    masks, images = _by_key(tree, _CLASSES), _by_key(tree, _IMAGES)
    if shared := sorted(masks.keys() & images.keys()):
        return 0.0 if mask_facts(tree.read(masks[shared[0]])) is None else 1.0
    if boxes := holding(tree, [".xml"], b"<annotation>", b"<bndbox>", sample=True):
        return (
            f"{boxes[0]} and the like are Pascal VOC's boxes, which outline nothing: add the masks as "
            "SegmentationClass, beside JPEGImages."
        )
    return 0.0


def read(tree: Tree, choices: Choices) -> Reading:
    """Read the images that have a mask.

    Raises
    ------
    BakeoffError
        If there is none, or the masks and the choices do not say what the classes are.
    """
    images, masks, objects = (_by_key(tree, folders) for folders in (_IMAGES, _CLASSES, _OBJECTS))
    entries = []
    for key in sorted(images.keys() & masks.keys()):
        split = split_of(images[key])
        labels = {"split": split} if split else {}
        entries.append(Entry(images[key], (masks[key],), labels=labels, objects=objects.get(key)))
    if not entries:
        raise BakeoffError(
            f"folders.{choices.name}.path: no image in JPEGImages has a mask in SegmentationClass: add some."
        )
    known = labelled(tree, sorted(entries, key=lambda entry: entry.image), choices)
    every = [mask for entry in known.entries for mask in entry.masks]
    lists = [name for name in tree.names if name.rpartition("/")[2].lower() in (_COLOURS, _NAMES)]
    boxes = holding(tree, [".xml"], b"<annotation>")
    # The masks are of classes, whatever they look like.
    stated = replace(choices, objects=False, ignore=(VOID,) if choices.ignore is None else choices.ignore)
    named = _named(tree, lists, boxes, every) if choices.classes is None and (lists or boxes) else None
    if named:
        stated = replace(stated, classes=named)
    found = classes_in(tree, every, stated, several=False)
    separate = bool(objects) if choices.objects is None else choices.objects
    alone = sorted(masks.keys() - images.keys())
    used = {*known.files, *lists, *boxes, *masks.values(), *objects.values(), *(entry.image for entry in entries)}
    return Reading(
        format="voc",
        entries=tuple(entry if separate else replace(entry, objects=None) for entry in known.entries),
        findings=(
            *(Finding(masks[key], "mask without image", "dropped", "there is no image for it") for key in alone),
            *known.findings,
            *passed_over(tree.names, used),
        ),
        classes=found.values,
        background=found.background,
        ignore=found.ignore,
        objects=separate,
        details=(
            f"Pascal VOC: {len(entries)} of {len(images)} images have a mask, {len(objects)} also one of objects.",
            *([f"Classes by {lists[0] if lists else 'the challenge'}; {VOID} is void."] if named else ()),
            *known.details,
            *found.details,
        ),
        choices=known.choices,
    )


def _by_key(tree: Tree, folders: Sequence[str]) -> dict[str, str]:
    """Pictures below folders of these names, by their paths without this folder and without suffix."""
    found = {}
    for name in filter(is_picture, tree.names):
        *parts, _ = name.split("/")
        at = next((place for place, part in enumerate(parts) if part.lower() in folders), None)
        if at is not None:
            found["/".join([*parts[:at], *parts[at + 1 :], stem(name)])] = name
    return found


def _named(tree: Tree, lists: Sequence[str], boxes: Sequence[str], masks: Sequence[str]) -> Mapping[str, Level] | None:
    """Classes by the first list of them, or those of the challenge if no box has another; None if that names none."""
    if not lists:
        labels = {name.text for file in boxes for name in read_xml(tree, file).iterfind("object/name")}
        return {name: level for level, name in enumerate(_CHALLENGE)} if labels and labels <= {*_CHALLENGE} else None
    lines = [line.strip() for line in tree.read(lists[0]).decode("utf-8-sig", "replace").splitlines()]
    names = [line for line in lines if line and not line.startswith("#") and line != IGNORED]
    looked_at = (mask_facts(tree.read(mask)) for mask in masks[:: len(masks) // SAMPLE + 1])
    coloured = any(found is not None and found.coloured for found in looked_at)
    named: dict[str, Level] = {
        name.split(":")[0]: _colour(name, lists[0]) if coloured else level for level, name in enumerate(names)
    }
    return named or None


def _colour(line: str, file: str) -> str:
    """The colour of a line `name:red,green,blue:parts:actions`."""
    try:
        red, green, blue = (int(value) for value in line.split(":")[1].split(","))
    except (IndexError, ValueError):
        raise BakeoffError(
            f"{file} gives no colour in '{line}', and the masks have colours: write NAME:R,G,B."
        ) from None
    return f"#{red:02x}{green:02x}{blue:02x}"
