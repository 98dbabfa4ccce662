"""Images with mask files: in folders of the usual names, side by side, or a folder an image."""

from collections.abc import Mapping, Sequence

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.archives.records import Finding
from bakeoff.datasets.formats.labels import labelled
from bakeoff.datasets.formats.layout import layouts, paired, path_labels
from bakeoff.datasets.formats.levels import classes_in
from bakeoff.datasets.formats.names import is_picture
from bakeoff.datasets.formats.passed_over import passed_over
from bakeoff.datasets.formats.patterns import Pattern, stated_pattern
from bakeoff.datasets.formats.reading import Choices, Entry, Reading, Tree

# Annotation files that a reader of its own knows say more than the names of pictures do.
SUREST = 0.8


def recognise(tree: Tree) -> float | str:
    """The share of pictures that are images with masks or masks with images, by their names."""
    pictures = [name for name in tree.names if is_picture(name)]
    found = layouts(pictures)
    if not found:
        return 0.0
    pairs, _ = paired(Pattern(found[0].images), Pattern(found[0].masks), pictures)
    return SUREST * sum(1 + len(masks) for masks in pairs.values() if masks) / len(pictures)


def read(tree: Tree, choices: Choices) -> Reading:
    """Images, each with the masks that its name leads to.

    Raises
    ------
    BakeoffError
        If the choices do not say where images and masks lie and the names allow no or more than one answer, or no
        image has a mask.
    """
    pictures = [name for name in tree.names if is_picture(name)]
    images, masks = _patterns(pictures, choices)
    pairs, alone = paired(images, masks, pictures)
    if not any(pairs.values()):
        raise BakeoffError(
            f"folders.{choices.name}: of {len(pairs)} images called {images.text} none has a mask called {masks.text}: "
            "correct images or masks."
        )
    if "class" in masks.names and "class" not in images.names:
        raise BakeoffError(
            f"folders.{choices.name}.masks: the masks of an image lie in a folder a class ({masks.text}), which is not "
            "read: write the classes into one mask, 1, 2, ..., or state the masks of one class."
        )
    entries = [
        Entry(image, tuple(files), labels=path_labels(images.match(image) or {}))
        for image, files in sorted(pairs.items())
        if files
    ]
    known = labelled(tree, entries, choices)
    several = any(len(entry.masks) > 1 for entry in known.entries)
    classes = classes_in(tree, [mask for entry in known.entries for mask in entry.masks], choices, several=several)
    used = {*pairs, *alone, *known.files, *(mask for files in pairs.values() for mask in files)}
    return Reading(
        format="pairs",
        entries=tuple(_numbered(known.entries) if classes.numbers else known.entries),
        findings=(
            *_unpaired(pairs, alone, masks),
            *known.findings,
            *passed_over(tree.names, used),
        ),
        classes=classes.values,
        background=classes.background,
        ignore=classes.ignore,
        objects=classes.objects,
        mask_of_object=several,
        details=(_said(pairs, images, masks), *known.details, *classes.details),
        choices={"images": images.text, "masks": masks.text, **known.choices},
    )


def _patterns(pictures: Sequence[str], choices: Choices) -> tuple[Pattern, Pattern]:
    """As stated; what is not is found from the names."""
    stated = {
        key: stated_pattern(choices.name, key, text)
        for key, text in (("images", choices.images), ("masks", choices.masks))
        if text is not None
    }
    if len(stated) == 2:
        return stated["images"], stated["masks"]
    found = [
        layout
        for layout in layouts(pictures)
        if all(getattr(layout, key).lower() == pattern.text.lower() for key, pattern in stated.items())
    ]
    if not found:
        missing = "images and masks" if not stated else "images" if "masks" in stated else "masks"
        raise BakeoffError(
            f"folders.{choices.name}.{missing}: the names do not say which pictures are masks of which: state "
            "patterns, as in images/{id} and masks/{id}_mask."
        )
    if len(found) > 1:
        key = f"folders.{choices.name}"
        raise BakeoffError(
            f"{key}: images are called {found[0].images} and their masks {found[0].masks}, or {found[1].images} and "
            f"{found[1].masks}: state {key}.images and {key}.masks."
        )
    return Pattern(found[0].images), Pattern(found[0].masks)


def _numbered(entries: Sequence[Entry]) -> list[Entry]:
    """Entries whose mask numbers their objects."""
    return [
        Entry(entry.image, entry.masks, labels=entry.labels, group=entry.group, objects=entry.masks[0])
        for entry in entries
    ]


def _unpaired(pairs: Mapping[str, Sequence[str]], alone: Sequence[str], masks: Pattern) -> list[Finding]:
    return [
        *(
            Finding(image, "missing mask", "dropped", f"there is no {masks.text} for it")
            for image, files in sorted(pairs.items())
            if not files
        ),
        *(Finding(mask, "mask without image", "dropped", "there is no image for it") for mask in sorted(alone)),
    ]


def _said(pairs: Mapping[str, Sequence[str]], images: Pattern, masks: Pattern) -> str:
    with_masks = [files for files in pairs.values() if files]
    return (
        f"{len(with_masks)} of {len(pairs)} images ({images.text}) have a mask ({masks.text}), "
        f"{sum(map(len, with_masks))} masks."
    )
