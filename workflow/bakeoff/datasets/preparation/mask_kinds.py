"""What kind a set of mask files is, with the evidence: class numbers, colours, numbers of objects, smoothed masks."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from bakeoff.datasets.preparation.decode import Undecodable
from bakeoff.datasets.preparation.mask_files import MOST_LEVELS, is_smoothed, levels_present, listed, stored

MOST_COLOURS = 256
# Above this a mask is a photograph, and its regions are not counted.
MOST_REGIONS = 4096
# The share of masks that must agree where some may be damaged, or drawn by hand.
MOST = 0.8


class MaskFacts(NamedTuple):
    """What one mask file holds.

    Attributes
    ----------
    levels
        Levels or palette indices, or colours as `#rrggbb`; ascending.
    regions
        How many connected regions of one level there are, those of level 0 apart; 0 of colours.
    palette
        Whether the levels are indices of a palette.
    in_alpha
        All is of one colour, and the transparency is not.
    lossy
        Packed by JPEG.
    smoothed
        Levels lie between the lowest and the highest, in seams that have no inside.
    """

    levels: tuple[int, ...] | tuple[str, ...]
    regions: int
    palette: bool
    in_alpha: bool
    lossy: bool
    smoothed: bool

    @property
    def coloured(self) -> bool:
        """Whether the levels are colours."""
        return isinstance(self.levels[0], str)


MaskKind = Literal["transparency", "colours", "photographs", "numbers", "smoothed", "two levels", "levels"]


class Inspected(NamedTuple):
    """What kind a set of mask files is, and the evidence.

    Attributes
    ----------
    kind
        `transparency`: all is of one colour, and the transparency holds the mask. `colours`, and `photographs` where
        there are too many. `numbers`: levels number objects. `smoothed`: levels lie between classes. `two levels`: 0
        and one other. `levels`: numbers of classes, or indices of a palette.
    evidence
        The same in words, with counts.
    counts
        In how many masks each level or colour occurs, the most frequent first.
    example
        The mask that shows it best.
    masks
        How many are of which content, by name; files that are no pictures are not among them.
    """

    kind: MaskKind
    evidence: str
    counts: Counter[int | str]
    example: str
    masks: dict[str, MaskFacts]


def mask_facts(data: bytes) -> MaskFacts | None:
    """What a mask file holds; None for a file that is no picture."""
    try:
        mask = stored(data)
    except Undecodable:
        return None
    levels = levels_present(mask.values)
    if mask.coloured:
        return MaskFacts(tuple(f"#{each:06x}" for each in levels), 0, False, mask.in_alpha, mask.lossy, False)
    few = len(levels) <= MOST_REGIONS
    return MaskFacts(
        levels=tuple(levels),
        regions=_regions(mask.values) if few else 0,
        palette=mask.palette is not None,
        in_alpha=mask.in_alpha,
        lossy=mask.lossy,
        smoothed=is_smoothed(mask),
    )


def inspect_masks(files: Iterable[tuple[str, bytes]]) -> Inspected | None:
    """Say what kind mask files are, by their contents; None if none of them is a picture.

    Parameters
    ----------
    files
        Names and contents, of a sample where there are many.
    """
    masks = {name: facts for name, data in files if (facts := mask_facts(data)) is not None}
    if not masks:
        return None
    counts: Counter[int | str] = Counter(level for facts in masks.values() for level in facts.levels)
    kind = _kind(list(masks.values()), len(counts))
    most = max(masks, key=lambda name: (masks[name].coloured, len(masks[name].levels)))
    example = next((name for name, facts in masks.items() if facts.in_alpha), most) if kind == "transparency" else most
    ordered = Counter(dict(counts.most_common()))
    return Inspected(kind, _evidence(kind, masks, ordered, example), ordered, example, masks)


def said_counts(counts: Mapping[int | str, int]) -> str:
    """Levels or colours with the number of masks that each is in, the most frequent first."""
    return listed([f"{each!r} (in {count} mask{'s' * (count > 1)})" for each, count in counts.items()])


def _kind(masks: Sequence[MaskFacts], levels: int) -> MaskKind:
    if all(facts.in_alpha for facts in masks):
        return "transparency"
    if any(facts.coloured for facts in masks):
        return "photographs" if levels > MOST_COLOURS else "colours"
    if any(facts.lossy and len(facts.levels) > 2 for facts in masks):
        return "smoothed"
    if _are_numbers(masks):
        return "numbers"
    many = sum(len(facts.levels) > MOST_LEVELS for facts in masks)
    if many > len(masks) / 2 or sum(facts.smoothed for facts in masks) > len(masks) / 2:
        return "smoothed"
    return "two levels" if all(len({*facts.levels, 0}) <= 2 for facts in masks) and levels <= 2 else "levels"


def _evidence(kind: MaskKind, masks: Mapping[str, MaskFacts], counts: Mapping[int | str, int], example: str) -> str:
    facts = masks[example]
    if kind == "transparency":
        return f"{example} and the others are of one colour, and their transparency holds the mask"
    if kind == "photographs":
        return f"{example} has {len(facts.levels):,} colours, as a photograph or JPEG has"
    if kind == "colours":
        return f"the masks have the colours {said_counts(counts)}"
    if kind == "numbers":
        most = max(len(each.levels) - (0 in each.levels) for each in masks.values())
        regions = sum(each.regions for each in masks.values())
        return f"levels number objects, up to {most} in a mask: {regions} regions in {len(masks)} masks, one a level"
    if kind == "smoothed":
        return (
            f"{example} has {len(facts.levels)} grey levels, as smoothed masks and JPEG have "
            f"({listed(list(map(str, facts.levels)))})"
        )
    indexed = sum(each.palette for each in masks.values())
    of = "" if not indexed else f", indices of a palette in {indexed} of {len(masks)} masks"
    return f"the masks have the levels {said_counts(dict(sorted(counts.items())))}{of}"


def _are_numbers(masks: Sequence[MaskFacts]) -> bool:
    """Whether levels number objects and not classes.

    Each level is one region, masks differ in their levels, and these follow one another within a mask or are more than
    any list of classes has.
    """
    levels = [[int(level) for level in facts.levels if level != 0] for facts in masks]
    one_region = sum(facts.regions <= 1.1 * len(own) for facts, own in zip(masks, levels, strict=True))
    in_a_row = sum(own == list(range(own[0], own[0] + len(own))) for own in levels if own)
    return (
        one_region >= MOST * len(masks)
        and len(set(map(tuple, levels))) >= 3
        and sum(map(len, levels)) >= 3 * len(masks)
        and (in_a_row >= MOST * len(masks) or len({level for own in levels for level in own}) > MOST_LEVELS)
    )


def _regions(values: np.ndarray) -> int:
    from skimage.measure import label

    return int(label(values.astype(np.int64), background=0, connectivity=2).max())
