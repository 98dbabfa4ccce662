"""What mask files hold: class numbers, 0 and 255, palette indices, numbers of objects; and what makes none of these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.void import VOID
from bakeoff.datasets.formats.reading import NO_BACKGROUND, Choices, Level, Tree
from bakeoff.datasets.preparation.mask_kinds import Inspected, inspect_masks

# Masks that are read to find the classes: evenly spaced, of a folder that has more.
LOOKED_AT = 400
SHOWN = 8


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
    seen = inspect_masks((name, tree.read(name)) for name in looked_at)
    if seen is None:
        raise BakeoffError(f"folders.{choices.name}.masks: {looked_at[0]} and the others are no pictures: export them.")
    _require_levels(seen, choices)
    numbers = not several and (seen.kind == "numbers" if choices.objects is None else choices.objects)
    found = _numbered(seen) if numbers else _found(seen, choices, several=several)
    of = "" if len(looked_at) == len(masks) else f" (in {len(looked_at)} of {len(masks)} masks)"
    return _with_background(found, choices, of)


def _stated(choices: Choices, *, several: bool) -> MaskClasses:
    values = dict(choices.classes or {})
    background = None if choices.background == NO_BACKGROUND else choices.background or next(iter(values))
    objects = bool(choices.objects)
    return MaskClasses(values, background, tuple(choices.ignore or ()), objects, objects and not several)


def _require_levels(seen: Inspected, choices: Choices) -> None:
    """Refuse masks whose levels are no classes, in a sentence that says what to state."""
    key = f"folders.{choices.name}"
    if seen.kind == "transparency":
        raise BakeoffError(f"{key}.masks: {seen.evidence}: save the transparency as a grey picture of its own.")
    if seen.kind == "photographs":
        raise BakeoffError(f"{key}.masks: {seen.evidence}: name masks, saved as PNG.")
    if seen.kind == "colours":
        raise BakeoffError(
            f"{key}.classes: {seen.evidence}: name the class of each, as in {{background: '#000000', leaf: '#00ff00'}}."
        )
    if seen.kind == "smoothed" and choices.threshold is None:
        raise BakeoffError(
            f"{key}.masks: {seen.evidence}: save masks without smoothing as PNG, or state {key}.threshold, the level "
            "from which on a pixel is foreground."
        )


def _numbered(seen: Inspected) -> MaskClasses:
    most = max(len(each.levels) - (0 in each.levels) for each in seen.masks.values())
    said = f"The levels of the masks number their objects, up to {most} in a mask: one class, and objects told apart."
    return MaskClasses({"background": 0, "object": 1}, "background", (), True, True, (said,))


def _found(seen: Inspected, choices: Choices, *, several: bool) -> MaskClasses:
    """Classes by the levels that occur; 255 beside others is void."""
    if choices.threshold is not None:
        said = f"Levels from {choices.threshold} on are foreground."
        return MaskClasses({"background": 0, "foreground": 1}, "background", (), bool(choices.objects), False, (said,))
    counts = {int(level): count for level, count in seen.counts.items()}
    together = any(VOID in each.levels and set(each.levels) - {0, VOID} for each in seen.masks.values())
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
