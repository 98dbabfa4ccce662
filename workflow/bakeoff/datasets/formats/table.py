"""Images with a table of labels, CSV or TSV: a row an image."""

from dataclasses import replace

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.archives.records import Finding
from bakeoff.datasets.formats.classes import of_classes, said_of_classes, said_of_left_out
from bakeoff.datasets.formats.labels import labelled
from bakeoff.datasets.formats.names import is_picture, split_of
from bakeoff.datasets.formats.passed_over import passed_over
from bakeoff.datasets.formats.patterns import stated_pattern
from bakeoff.datasets.formats.reading import Choices, Entry, Reading, Tree
from bakeoff.datasets.formats.tables import find_table, read_rows

SUREST = 0.7


def recognise(tree: Tree) -> float | str:
    """The share of pictures that the one table has a label of."""
    pictures = [name for name in tree.names if is_picture(name)]
    settings = find_table(tree, pictures)
    if settings is None or settings["label"] is None:
        return 0.0
    return SUREST * len(read_rows(tree, pictures, settings).by_image) / len(pictures)


def read(tree: Tree, choices: Choices) -> Reading:
    """Images with the class that their row of the table says.

    Raises
    ------
    BakeoffError
        If the choices name no table and there is none or several, no column is the class, or there are not two
        classes.
    """
    pictures = [name for name in tree.names if is_picture(name)]
    if choices.images is not None:
        pattern = stated_pattern(choices.name, "images", choices.images)
        pictures = [name for name in pictures if pattern.match(name) is not None]
    settings = choices.labels or find_table(tree, pictures)
    if settings is None:
        raise BakeoffError(
            f"folders.{choices.name}.labels: there is no table that names the images, or several: state one."
        )
    rows = read_rows(tree, pictures, settings)
    if settings["label"] is None:
        raise BakeoffError(
            f"folders.{choices.name}.labels.label: {settings['file']} has the columns {', '.join(rows.columns)}: state "
            "which is the class."
        )
    classes = {image: values[settings["label"]] for image, values in rows.by_image.items()}
    entries = [
        Entry(image, labels={"class": classes[image], **({"split": part} if (part := split_of(image)) else {})})
        for image in pictures
        if classes.get(image)
    ]
    known = labelled(tree, entries, replace(choices, labels=settings), rows)
    kept, findings = of_classes(known.entries, choices)
    unlabelled = [
        Finding(image, "no label", "dropped", f"{settings['file']} has no class of it")
        for image in pictures
        if not classes.get(image)
    ]
    return Reading(
        format="table",
        entries=tuple(kept),
        findings=(*unlabelled, *findings, *known.findings, *passed_over(tree.names, {*pictures, *known.files})),
        details=(
            f"Classes from column '{settings['label']}' of {settings['file']}.",
            said_of_classes(kept),
            *known.details,
            *said_of_left_out(findings),
        ),
        choices=dict(known.choices),
    )
