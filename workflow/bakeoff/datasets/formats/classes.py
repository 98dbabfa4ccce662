"""Images sorted into folders, one a class, perhaps under folders of a split."""

from collections import Counter
from collections.abc import Sequence

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.archives.records import Finding
from bakeoff.datasets.formats.labels import labelled
from bakeoff.datasets.formats.layout import is_role, path_labels, shared_folders
from bakeoff.datasets.formats.names import is_picture, split_of
from bakeoff.datasets.formats.passed_over import passed_over
from bakeoff.datasets.formats.patterns import Pattern, stated_pattern
from bakeoff.datasets.formats.reading import Choices, Entry, Level, Reading, Tree

SUREST = 0.5
# A class needs an image to train, one to choose and one to test.
FEWEST_IMAGES = 3


def recognise(tree: Tree) -> float | str:
    """The share of pictures that lie in folders, two or more, of several pictures each."""
    pictures = [name for name in tree.names if is_picture(name)]
    found = [Pattern(text) for text in class_patterns(pictures)]
    if not found:
        return 0.0
    counts = Counter(values["class"] for name in pictures if (values := found[0].match(name)))
    # Folders of images beside folders of masks are no classes; a class may be called "mask" beside "no mask".
    roles = sum(is_role(name) for name in counts)
    enough = sum(count for count in counts.values() if count >= FEWEST_IMAGES)
    return SUREST * enough / len(pictures) if roles <= len(counts) / 2 else 0.0


def read(tree: Tree, choices: Choices) -> Reading:
    """Images with the class that their folder is called after; a class may well be called 1, or 001.

    Raises
    ------
    BakeoffError
        If the choices do not say which folder is the class and there are two answers, or there are not two classes.
    """
    pictures = [name for name in tree.names if is_picture(name)]
    pattern = _pattern(pictures, choices)
    entries = [
        Entry(name, labels=path_labels(values)) for name in pictures if (values := pattern.match(name)) is not None
    ]
    known = labelled(tree, entries, choices)
    kept, findings = of_classes(known.entries, choices)
    used = {*(entry.image for entry in entries), *known.files}
    return Reading(
        format="classes",
        entries=tuple(kept),
        findings=(*findings, *known.findings, *passed_over(tree.names, used)),
        details=(said_of_classes(kept), *known.details, *said_of_left_out(findings)),
        choices={"images": pattern.text, **known.choices},
    )


def class_patterns(pictures: Sequence[str]) -> list[str]:
    """Patterns by which folders may be classes: the first folder that differs, or also the last one.

    Pictures outside of folders do not count, nor do folders that all pictures share. There are two patterns where each
    picture lies in a folder of a folder, and both may be the class.
    """
    folders = [tuple(name.split("/")[:-1]) for name in pictures if "/" in name]
    if not folders:
        return []
    shared = shared_folders(folders)
    start, folders = list(folders[0][:shared]), [each[shared:] for each in folders]
    # A picture beside the folders of a split is of no class.
    in_splits = [each for each in folders if each and split_of(f"{each[0]}/x.png")]
    if len(in_splits) > len(folders) / 2:
        start, folders = [*start, "{split}"], [each[1:] for each in in_splits]
    folders = [each for each in folders if each]
    if len({each[0] for each in folders}) < 2:
        return []
    second = {each[1:2] for each in folders}
    if () in second:
        return ["/".join([*start, "{class}", "{id}"])]
    if len(second) == 1:
        return ["/".join([*start, "{class}", *second.pop(), "{id}"])]
    return ["/".join([*start, *inner]) for inner in (("{class}", "{id}"), ("{folder}", "{class}", "{id}"))]


def of_classes(entries: Sequence[Entry], choices: Choices) -> tuple[list[Entry], list[Finding]]:
    """Entries of the classes that are stated, called so; else of those with enough images to learn from.

    Raises
    ------
    BakeoffError
        If there are not two classes.
    """
    counts = Counter(entry.labels["class"] for entry in entries)
    if choices.classes is not None:
        called = {value: name for name, level in choices.classes.items() for value in _values(name, level)}
        kind, why = "class not used", "is not among classes"
    else:
        called = {value: value for value, count in counts.items() if count >= FEWEST_IMAGES}
        kind, why = "class passed over", f"has fewer than {FEWEST_IMAGES} images"
    if absent := [value for value in called if value not in counts]:
        known = ", ".join(sorted(counts))
        raise BakeoffError(f"folders.{choices.name}.classes names '{absent[0]}', and there are {known or 'none'}.")
    if len(set(called.values())) < 2:
        few = ", ".join(f"{value} ({count})" for value, count in sorted(counts.items()))
        raise BakeoffError(
            f"folders.{choices.name}.path: there are not two classes of {FEWEST_IMAGES} images or more to tell apart "
            f"({few or 'no images'}): add images or classes."
        )
    kept = [
        Entry(entry.image, labels={**entry.labels, "class": called[entry.labels["class"]]}, group=entry.group)
        for entry in entries
        if entry.labels["class"] in called
    ]
    return kept, [
        Finding(entry.image, kind, "dropped", f"class '{entry.labels['class']}' {why}")
        for entry in entries
        if entry.labels["class"] not in called
    ]


def said_of_left_out(findings: Sequence[Finding]) -> list[str]:
    """What `of_classes` left out, in a sentence for each class."""
    counts = Counter(finding.detail for finding in findings)
    return [f"Left out: {detail} (images: {count})." for detail, count in counts.items()]


def said_of_classes(entries: Sequence[Entry]) -> str:
    """How many images each class has, in a sentence."""
    counts = Counter(entry.labels["class"] for entry in entries)
    return (
        f"{len(entries)} images of {len(counts)} classes: {', '.join(f'{k} ({n})' for k, n in sorted(counts.items()))}."
    )


def _values(name: str, level: Level) -> list[str]:
    if level is None:
        return [name]
    return [str(level)] if isinstance(level, int | str) else [str(each) for each in level]


def _pattern(pictures: Sequence[str], choices: Choices) -> Pattern:
    if choices.images is not None:
        pattern = stated_pattern(choices.name, "images", choices.images)
        if "class" not in pattern.names:
            raise BakeoffError(f"folders.{choices.name}.images: say which folder is the class, as in {{class}}/{{id}}.")
        return pattern
    found = class_patterns(pictures)
    if not found:
        raise BakeoffError(f"folders.{choices.name}.path: its images do not lie in two or more folders, one a class.")
    if len(found) > 1:
        first, last = (_examples(Pattern(text), pictures) for text in found)
        raise BakeoffError(
            f"folders.{choices.name}.images: the classes may be {first}, or {last}: state '{found[0]}' or '{found[1]}'."
        )
    return Pattern(found[0])


def _examples(pattern: Pattern, pictures: Sequence[str]) -> str:
    names = sorted({values["class"] for name in pictures if (values := pattern.match(name))})
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
