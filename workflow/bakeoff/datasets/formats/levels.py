"""What mask files hold: class numbers, 0 and 255, palette indices, numbers of objects; and what makes none of these."""

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image
from skimage.measure import label

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.prepared import VOID
from bakeoff.datasets.formats.reading import NO_BACKGROUND, Choices, Level, Tree
from bakeoff.datasets.preparation.decode import PILLOW_ERRORS, Undecodable, header

# Masks that are read to find the classes: evenly spaced, of a folder that has more.
LOOKED_AT = 400
# With more levels than this a mask has been smoothed, or is a photograph.
MOST_LEVELS = 64
MOST_COLOURS = 256
# Above this a mask is a photograph, and its regions are not counted.
MOST_REGIONS = 4096
# The share of masks that must agree where some may be damaged, or drawn by hand.
MOST = 0.8
SHOWN = 8


class MaskLevels(NamedTuple):
    """What one mask holds.

    Attributes
    ----------
    levels
        Levels or palette indices, or colours as `#rrggbb`; ascending.
    regions
        How many connected regions of one level there are, those of level 0 apart.
    blank_colour
        All is of one colour, and the transparency is not.
    """

    levels: tuple[int, ...] | tuple[str, ...]
    regions: int
    blank_colour: bool


@dataclass(frozen=True)
class MaskClasses:
    """What the masks of a folder were taken for; see `Reading`. `numbers`: a mask's levels number its objects."""

    values: Mapping[str, Level]
    background: str | None
    ignore: tuple[int | str, ...]
    objects: bool = False
    numbers: bool = False
    details: tuple[str, ...] = ()


def classes_in(tree: Tree, masks: Sequence[str], choices: Choices, *, several: bool) -> MaskClasses:
    """Classes of masks: those that the choices state, or those found in the masks.

    Parameters
    ----------
    several
        Whether an image has several masks, each of one object.

    Raises
    ------
    BakeoffError
        If nothing is stated, and the masks hold colours, too many levels, or nothing but transparency.
    """
    if choices.classes is not None:
        return _stated(choices, several=several)
    looked_at = masks[:: -(-len(masks) // LOOKED_AT)]
    seen = {name: levels for name in looked_at if (levels := mask_levels(tree.read(name))) is not None}
    if not seen:
        raise BakeoffError(f"folders.{choices.name}.masks: {looked_at[0]} and the others are no pictures: export them.")
    _require_levels(seen, choices)
    numbers = not several and (_are_numbers(list(seen.values())) if choices.objects is None else choices.objects)
    found = _numbered(seen) if numbers else _found(seen, choices, several=several)
    of = "" if len(looked_at) == len(masks) else f" (in {len(looked_at)} of {len(masks)} masks)"
    return _with_background(found, choices, of)


class Stored(NamedTuple):
    """The pixels of a mask file as they are stored.

    Attributes
    ----------
    values
        Levels or palette indices, or colours as 0xRRGGBB; whole numbers, (H, W).
    coloured
        Whether they are colours.
    alpha
        Transparency, uint8 (H, W); None where there is none.
    """

    values: np.ndarray
    coloured: bool
    alpha: np.ndarray | None


def stored(data: bytes) -> Stored:
    """Read a mask file without any conversion: the indices of a palette, levels of any depth, grey RGB as grey.

    Raises
    ------
    Undecodable
        If the bytes are no picture, or one of floating-point levels that are no whole numbers.
    """
    header(data)  # refuses what is too large
    try:
        with Image.open(io.BytesIO(data)) as opened:
            image: Image.Image = opened
            alpha = np.asarray(image.getchannel("A")) if image.mode in ("LA", "RGBA") else None
            if image.mode in ("1", "LA"):
                image = image.convert("L")
            if image.mode not in ("L", "P", "I", "F") and not image.mode.startswith("I;"):
                image = image.convert("RGB")
            pixels = np.asarray(image)
    except PILLOW_ERRORS as error:
        raise Undecodable(str(error).split(" <_io")[0] or type(error).__name__) from error
    if pixels.dtype.kind == "f":
        if not (pixels == np.rint(pixels)).all():
            raise Undecodable("its levels are no whole numbers")
        pixels = pixels.astype(np.int64)
    if pixels.ndim == 2:
        return Stored(pixels, False, alpha)
    red, green, blue = (pixels[..., band] for band in range(3))
    if np.array_equal(red, green) and np.array_equal(green, blue):
        return Stored(red, False, alpha)
    return Stored((red.astype(np.int32) << 16) | (green.astype(np.int32) << 8) | blue, True, alpha)


def levels_present(values: np.ndarray) -> list[int]:
    """The levels that occur in stored pixels, ascending."""
    if values.dtype in (np.uint8, np.uint16):
        return np.flatnonzero(np.bincount(values.ravel())).tolist()
    return np.unique(values).tolist()


def mask_levels(data: bytes) -> MaskLevels | None:
    """What a mask file holds; None for a file that is no picture."""
    try:
        values, coloured, alpha = stored(data)
    except Undecodable:
        return None
    levels = levels_present(values)
    if coloured:
        return MaskLevels(tuple(f"#{colour:06x}" for colour in levels), 0, False)
    blank = len(levels) == 1 and alpha is not None and alpha.min() != alpha.max()
    regions = (
        int(label(values.astype(np.int64), background=0, connectivity=2).max()) if len(levels) <= MOST_REGIONS else 0
    )
    return MaskLevels(tuple(levels), regions, blank)


def _stated(choices: Choices, *, several: bool) -> MaskClasses:
    values = dict(choices.classes or {})
    background = None if choices.background == NO_BACKGROUND else choices.background or next(iter(values))
    objects = bool(choices.objects)
    return MaskClasses(values, background, tuple(choices.ignore or ()), objects, objects and not several)


def _require_levels(seen: Mapping[str, MaskLevels], choices: Choices) -> None:
    """Refuse masks whose levels are no classes, in a sentence that says what to state."""
    key = f"folders.{choices.name}"
    name, levels = max(seen.items(), key=lambda each: len(each[1].levels))
    if all(each.blank_colour for each in seen.values()):
        raise BakeoffError(
            f"{key}.masks: {name} and the others are of one colour, and their transparency holds the mask: save the "
            "transparency as a grey picture of its own."
        )
    coloured = [each for each in seen.values() if each.levels and isinstance(each.levels[0], str)]
    if coloured:
        colours = Counter(colour for each in coloured for colour in each.levels)
        if len(colours) > MOST_COLOURS:
            raise BakeoffError(
                f"{key}.masks: {name} has {len(levels.levels)} colours, as a photograph has: name masks."
            )
        shown = ", ".join(f"'{colour}'" for colour, _ in colours.most_common(SHOWN))
        more = f" and {len(colours) - SHOWN} more" if len(colours) > SHOWN else ""
        raise BakeoffError(
            f"{key}.classes: the masks have the colours {shown}{more}: name the class of each, as in "
            "{background: '#000000', leaf: '#00ff00'}."
        )
    smooth = [each for each in seen.values() if len(each.levels) > MOST_LEVELS]
    if len(smooth) > len(seen) / 2 and choices.threshold is None and not _are_numbers(list(seen.values())):
        raise BakeoffError(
            f"{key}.masks: {name} has {len(levels.levels)} grey levels, as smoothed masks and JPEG have: save masks "
            f"without smoothing as PNG, or state {key}.threshold, the level from which on a pixel is foreground."
        )


def _are_numbers(seen: Sequence[MaskLevels]) -> bool:
    """Whether levels number objects and not classes.

    Each level is one region, masks differ in their levels, and these follow one another within a mask or are more than
    any list of classes has.
    """
    levels = [[int(level) for level in each.levels if level != 0] for each in seen]
    one_region = sum(each.regions <= 1.1 * len(own) for each, own in zip(seen, levels, strict=True))
    in_a_row = sum(own == list(range(own[0], own[0] + len(own))) for own in levels if own)
    return (
        one_region >= MOST * len(seen)
        and len(set(map(tuple, levels))) >= 3
        and sum(map(len, levels)) >= 3 * len(seen)
        and (in_a_row >= MOST * len(seen) or len({level for own in levels for level in own}) > MOST_LEVELS)
    )


def _numbered(seen: Mapping[str, MaskLevels]) -> MaskClasses:
    most = max(len(each.levels) - (0 in each.levels) for each in seen.values())
    said = f"The levels of the masks number their objects, up to {most} in a mask: one class, and objects told apart."
    return MaskClasses({"background": 0, "object": 1}, "background", (), True, True, (said,))


def _found(seen: Mapping[str, MaskLevels], choices: Choices, *, several: bool) -> MaskClasses:
    """Classes by the levels that occur; 255 beside others is void."""
    if choices.threshold is not None:
        said = f"Levels from {choices.threshold} on are foreground."
        return MaskClasses({"background": 0, "foreground": 1}, "background", (), bool(choices.objects), False, (said,))
    counts = Counter(level for each in seen.values() for level in each.levels)
    together = any(VOID in each.levels and set(each.levels) - {0, VOID} for each in seen.values())
    ignore = tuple(choices.ignore) if choices.ignore is not None else (VOID,) if together else ()
    levels = sorted(level for level in counts if level not in ignore and level != 0)
    objects = several if choices.objects is None else choices.objects
    details = [f"{VOID} in the masks is taken for void, pixels without an answer."] if ignore == (VOID,) else []
    if several:
        details.append("An image has several masks: each is taken for one object.")
    if set(levels) <= {1, VOID}:
        foreground: Level = levels[0] if len(levels) == 1 else levels or 1
        values = {"background": 0, "object" if several else "foreground": foreground}
        return MaskClasses(values, "background", ignore, objects, False, tuple(details))
    values = {"background": 0, **{f"class {level}": level for level in levels}}
    shown = ", ".join(f"{level} (in {counts[level]} masks)" for level in sorted(counts)[:SHOWN])
    details.append(f"The masks have the levels {shown}{', ...' if len(counts) > SHOWN else ''}.")
    if levels != list(range(1, len(levels) + 1)):
        details.append(f"If {levels[-1]} is void, pixels without an answer, and no class, state it in ignore.")
    if len(values) > VOID - 1:
        raise BakeoffError(f"folders.{choices.name}.classes: the masks have {len(values)} levels: name the classes.")
    return MaskClasses(values, "background", ignore, objects, False, tuple(details))


def _with_background(found: MaskClasses, choices: Choices, of: str) -> MaskClasses:
    values, background = dict(found.values), found.background
    if choices.background == NO_BACKGROUND:
        background = None
        values = {("class 0" if name == "background" else name): level for name, level in values.items()}
    elif choices.background:
        background = choices.background
        values = {background if level == 0 else name: level for name, level in values.items()}
    names = f"Classes{of}: {', '.join(f'{name} ({level})' for name, level in values.items())}."
    return MaskClasses(values, background, found.ignore, found.objects, found.numbers, (*found.details, names))
