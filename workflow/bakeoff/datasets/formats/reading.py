"""What the readers of formats take and give: a tree of files and choices in, entries, shapes and findings out.

The position of a class in `Reading.classes` is its number in `masks.npy`. What stands for it in the folder's own files
(a level of a mask, a colour, the label of a shape) is the value beside its name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, Protocol

import numpy as np

from bakeoff.datasets.archives.records import Finding
from bakeoff.datasets.preparation.mask_files import Value

# A level of a mask, the label of a shape or a colour such as '#ff8000'; several that make one class; None for the
# background of shapes, which is what no shape covers.
Level = Value

# Listed in `ignore`, stands for the regions that an annotation marks as a crowd; see `Shape.crowd`.
CROWD = "iscrowd"
# As `background`, says that every class counts and none is the background.
NO_BACKGROUND = "none"


class Tree(Protocol):
    """The files of a folder or of a zip. `bakeoff.datasets.archives` has the ones that are used.

    Attributes
    ----------
    names
        Of all files, sorted; relative, with `/`, without system files and hidden ones.
    """

    @property
    def names(self) -> Sequence[str]: ...

    def read(self, name: str) -> bytes:
        """Content of one file."""
        ...


class Runs(NamedTuple):
    """A binary mask in COCO's compressed run lengths.

    Attributes
    ----------
    height, width
        Of the whole image that it is a mask of.
    counts
        What pycocotools calls so: run lengths down the columns, beginning with zeros, as text.
    """

    height: int
    width: int
    counts: bytes


@dataclass(frozen=True)
class Shape:
    """An annotated region, or a part of an object that has several.

    Attributes
    ----------
    label
        As the file has it; what class it is, the choices say.
    polygons
        Outlines whose insides are covered, each float32 (points, 2), x to the right and y down, at least three points.
        The left upper corner of the image is (0, 0), the middle of its first pixel (0.5, 0.5).
    holes
        Outlines of the same kind whose insides are left out of this shape's polygons.
    runs
        In place of polygons, the mask itself; None otherwise.
    relative
        Coordinates are shares of width and height, from 0 to 1, in place of pixels.
    number
        Of the object within its image, from 1; shapes of one number are parts of one object. None where objects are
        not told apart.
    crowd
        A region of several objects that nobody told apart: of its class, and of no object. In `objects.npy` it is 0
        where `masks.npy` has its class, which is how whoever scores objects recognises it. With `crowd` listed among
        `ignore` it is void instead.
    order
        The shape of the higher order lies on top; of those that share one, that which covers fewer pixels.
    """

    label: str
    polygons: tuple[np.ndarray, ...] = ()
    holes: tuple[np.ndarray, ...] = ()
    runs: Runs | None = None
    relative: bool = False
    number: int | None = None
    crowd: bool = False
    order: int = 0


@dataclass(frozen=True)
class Entry:
    """An image and all that the folder says of it.

    Attributes
    ----------
    image
        Name of its file in the tree.
    masks
        Names of mask files: none; one that has the classes; or, where `Reading.mask_of_object`, one an object.
    shapes
        Annotated regions. An empty tuple beside `annotated` is an image on which nothing was found.
    labels
        Columns of `index.csv` by name. `class` is a classification's; `split` is train, validation or test.
    group
        Patient, plate, plot: what must not be on two sides of a split; None where the folder says nothing.
    objects
        Name of a mask file whose levels number the objects (0 none); None otherwise. What is void in the mask of
        classes is of no object, whatever stands here.
    size
        Height and width that the annotation states; None where it states none. An image of another size is a finding
        of whoever decodes it.
    embedded
        The image is no file of its own: `image` names the annotation file that holds it. `formats.image_bytes` reads
        either.
    """

    image: str
    masks: tuple[str, ...] = ()
    shapes: tuple[Shape, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    group: str | None = None
    objects: str | None = None
    size: tuple[int, int] | None = None
    embedded: bool = False


@dataclass(frozen=True)
class Reading:
    """What a format's reader makes of a folder.

    Attributes
    ----------
    format
        Name of its module.
    entries
        The images that can be used, sorted by `image`, each once.
    findings
        Files and images that were passed over, and what else is unusual. No file is passed over without one.
    classes
        Classes of pixels by name, in order, with what stands for each in the files; the background, where there is one,
        is the first. None where there are no masks and no shapes.
    background
        Name of the background's class; None where every class counts. A pixel that no shape covers is of the
        background, and void without one.
    ignore
        What is void: levels of mask files, labels of shapes, and `iscrowd`.
    objects
        Whether single objects are told apart.
    shapes
        Whether classes come from `Entry.shapes` (or there would be some) and not from mask files.
    mask_of_object
        Whether a mask file is of one object, and an image has several.
    details
        Sentences on what was seen and what it was taken for, for `bakeoff add` to print.
    choices
        What the reader took for granted where the choices said nothing (`images`, `masks`, `split`, `group`,
        `labels`), as entries of `folders.NAME` that lead to the same reading.
    """

    format: str
    entries: tuple[Entry, ...]
    findings: tuple[Finding, ...] = ()
    classes: Mapping[str, Level] | None = None
    background: str | None = None
    ignore: tuple[int | str, ...] = ()
    objects: bool = False
    shapes: bool = False
    mask_of_object: bool = False
    details: tuple[str, ...] = ()
    choices: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Choices:
    """What `folders.NAME` of the configuration states; None where it does not.

    With every choice that a reader asks for stated, it decides nothing itself. `bakeoff add` reads once with few
    choices, shows what was made of the rest, and writes that down as choices.

    Attributes
    ----------
    name
        Of the entry, for messages.
    format
        Name of a format's module.
    images, masks
        Of `pairs`, `classes` and `table`, patterns of their paths, such as `images/{id}` and `masks/{id}_mask`; of
        annotation formats, the name of the folder of images. See `bakeoff.config.schema.Folder`.
    classes
        As in `Reading`.
    background
        Name of the class; `none` where every class counts.
    ignore
        As in `Reading`; an empty list for nothing.
    threshold
        The level from which on a pixel of a smoothed mask is foreground.
    objects
        Whether single objects are told apart.
    split
        Where the split comes from: `none` where it is not taken from the folder, `folders`, `lists`, or a column.
    group
        Where the group comes from: `none`, a column, or a regular expression with one group in parentheses that is
        found in the image's path.
    labels
        The table of labels: `file`, `image`, `label`, `separator`, `encoding`.
    """

    name: str = "NAME"
    format: str | None = None
    images: str | None = None
    masks: str | None = None
    classes: Mapping[str, Level] | None = None
    background: str | None = None
    ignore: Sequence[int | str] | None = None
    threshold: int | None = None
    objects: bool | None = None
    split: str | None = None
    group: str | None = None
    labels: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, name: str, settings: Mapping[str, Any]) -> "Choices":
        """Those that an entry of `folders` states; its other keys (path, size, title, ...) are not of reading."""
        known = {each.name for each in fields(cls)} - {"name"}
        return cls(name=name, **{key: value for key, value in settings.items() if key in known})
