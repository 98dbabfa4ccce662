"""What the readers of annotation files collect on their way, and the reading that it makes."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.void import VOID
from bakeoff.datasets.archives.records import Finding
from bakeoff.datasets.formats.documents import DAMAGE
from bakeoff.datasets.formats.labels import labelled
from bakeoff.datasets.formats.names import Images, is_picture
from bakeoff.datasets.formats.passed_over import passed_over
from bakeoff.datasets.formats.reading import CROWD, NO_BACKGROUND, Choices, Entry, Level, Reading, Shape, Tree
from bakeoff.datasets.formats.shapes import labels_of

BACKGROUND = "background"
# Labels that are named in a summary.
SHOWN = 12
# What labels that stand for the background are called.
_CALLED_BACKGROUND = frozenset(("background", "_background_", "__background__"))


class Annotated:
    """Images with their shapes, and what was passed over.

    Parameters
    ----------
    format
        Name of the reader's module.
    title
        What the format is called, for `Reading.details`.
    ignored
        Labels that are void by a convention of the format, where the choices do not say what is.
    """

    def __init__(self, format: str, title: str, tree: Tree, choices: Choices, ignored: Sequence[str] = ()) -> None:
        self._format, self._title, self._tree, self._choices, self._ignored = format, title, tree, choices, ignored
        folder = f"{choices.images.strip('/')}/" if choices.images else ""
        self.images = Images(name for name in tree.names if name.startswith(folder))
        self._entries: dict[str, Entry] = {}
        self._files: list[str] = []
        self._beside: set[str] = set()
        self._findings: list[Finding] = []
        self._skipped: dict[str, Counter[str]] = {}
        self._details: list[str] = []

    def file(self, name: str) -> None:
        """Note an annotation file that is read."""
        self._files.append(name)

    def beside(self, name: str) -> None:
        """Note a file that is read and is no annotation, such as a list of classes."""
        self._beside.add(name)

    def add(self, annotation: str, entry: Entry, split: str | None = None) -> None:
        """An image and its shapes; of an image that was added before the first shapes are kept."""
        if split:
            entry = replace(entry, labels={**entry.labels, "split": split})
        known = self._entries.get(entry.image)
        if known and known.shapes and entry.shapes:
            self.skip("an image that another file annotates too", annotation)
        elif known is None or entry.shapes:
            self._entries[entry.image] = entry

    def missing(self, annotation: str, stated: str) -> None:
        """An annotation of an image that is not in the folder."""
        self._findings.append(
            Finding(annotation, "missing image", "dropped", f"the folder has no image {stated}, or several of the name")
        )

    def skip(self, what: str, annotation: str) -> None:
        """Count a shape that is not drawn, by what it is or lacks."""
        self._skipped.setdefault(what, Counter())[annotation] += 1

    @contextmanager
    def file_of_one_image(self, name: str) -> Iterator[None]:
        """Note an annotation file that is read; where it is damaged its image alone is lost, and that is a finding."""
        self.file(name)
        try:
            yield
        except BakeoffError as error:
            self._findings.append(Finding(name, "damaged annotation", "dropped", str(error)))
        except DAMAGE as error:
            self._findings.append(Finding(name, "damaged annotation", "dropped", f"it is not whole: {_reason(error)}"))

    @contextmanager
    def skipping(self, annotation: str) -> Iterator[None]:
        """Count what goes wrong inside as a shape that is not drawn."""
        try:
            yield
        except DAMAGE as error:
            self.skip(_reason(error), annotation)

    def say(self, detail: str) -> None:
        """Note what was seen and what it was taken for."""
        self._details.append(detail)

    def reading(self, order: Sequence[str] = ()) -> Reading:
        """What all that was added makes.

        Parameters
        ----------
        order
            Labels in the order of the classes; those that are not among them follow, the most frequent first.

        Raises
        ------
        BakeoffError
            If there is no image, no shape, a label that the choices do not name, or more classes than masks can hold.
        """
        self._require_images()
        known = labelled(self._tree, sorted(self._entries.values(), key=lambda entry: entry.image), self._choices)
        entries = known.entries
        counts = Counter(shape.label for entry in entries for shape in entry.shapes)
        if not counts:
            raise BakeoffError(
                f"folders.{self._choices.name}.path: {self._files[0]} has no shape that surrounds an area"
                f"{self._reasons()}: annotate with polygons or masks."
            )
        classes, background, ignore = pixel_classes(self._choices, counts, order, self._ignored)
        if background is None:
            self.say("Every class counts: what no shape covers is void, pixels without an answer.")
        used = {*self._files, *self._beside, *self._entries, *known.files}
        if alone := sum(is_picture(name) for name in self._tree.names if name not in used):
            self.say(f"{_many(alone, 'picture')} that no annotation names: not used.")
        return Reading(
            format=self._format,
            entries=entries,
            findings=(
                *self._findings,
                *self._skipped_findings(),
                *known.findings,
                *passed_over(self._tree.names, used, "no annotation names them"),
            ),
            classes=classes,
            background=background,
            ignore=ignore,
            objects=self._objects(entries),
            shapes=True,
            details=(*self._summary(entries, counts), *self._details, *known.details),
            choices={"images": self._choices.images, **known.choices},
        )

    def _require_images(self) -> None:
        if self._entries:
            return
        missing = [finding for finding in self._findings if finding.finding == "missing image"]
        damaged = [finding for finding in self._findings if finding.finding == "damaged annotation"]
        if damaged:
            file, why = damaged[0].file, damaged[0].detail.removesuffix(".")
            said = why if why.startswith(file) else f"{file}: {why}"
            raise BakeoffError(f"folders.{self._choices.name}.path: no annotation can be read; {said}.")
        if missing:
            raise BakeoffError(
                f"folders.{self._choices.name}.path: none of the images that {missing[0].file} names is in "
                "the folder: put them beside it under the names that it states."
            )
        raise BakeoffError(f"folders.{self._choices.name}.path: no image is annotated{self._reasons()}: add some.")

    def _reasons(self) -> str:
        return f" ({'; '.join(self._skipped)})" if self._skipped else ""

    def _objects(self, entries: Sequence[Entry]) -> bool:
        """Whether objects are told apart: as stated, or if some image has two or more of one label."""
        if self._choices.objects is not None:
            return self._choices.objects
        return any(
            len(_objects(entry.shapes)) > len({label for label, _ in _objects(entry.shapes)}) for entry in entries
        )

    def _summary(self, entries: Sequence[Entry], counts: Counter[str]) -> list[str]:
        labels = ", ".join(f"{label} ({count})" for label, count in counts.most_common(SHOWN))
        more = f" and {len(counts) - SHOWN} more" if len(counts) > SHOWN else ""
        said = [
            f"{self._title}, {_many(len(self._files), 'file')}: {_many(counts.total(), 'shape')} on "
            f"{_many(len(entries), 'image')}: {labels}{more}."
        ]
        if empty := sum(not entry.shapes for entry in entries):
            said.append(f"{_many(empty, 'image')} without a shape: taken to show none of the classes.")
        crowds = sum(shape.crowd for entry in entries for shape in entry.shapes)
        if crowds and CROWD not in (self._choices.ignore or ()):
            of = "a crowd: of its class, and no object" if crowds == 1 else "crowds: of their class, and no objects"
            said.append(f"{_many(crowds, 'region')} of {of}; `ignore: [{CROWD}]` leaves them out.")
        return said

    def _skipped_findings(self) -> list[Finding]:
        """A finding for each reason, with the number of shapes and the first file."""
        return [
            Finding(
                next(iter(files)),
                "shape passed over",
                "dropped",
                f"{files.total()} in {_many(len(files), 'file')}: {what}",
            )
            for what, files in self._skipped.items()
        ]


def pixel_classes(
    choices: Choices, counts: Mapping[str, int], order: Sequence[str] = (), ignored: Sequence[str] = ()
) -> tuple[dict[str, Level], str | None, tuple[int | str, ...]]:
    """Classes, background and what is void, as `Reading` has them, of labels of shapes.

    Parameters
    ----------
    counts
        Number of shapes of every label.
    order, ignored
        See `Annotated`.

    Raises
    ------
    BakeoffError
        If a label is neither a class nor ignored, the background is no class, or there are too many classes.
    """
    ignore = tuple(choices.ignore) if choices.ignore is not None else tuple(each for each in ignored if each in counts)
    void = {str(each) for each in ignore}
    labels = [label for label in order if label in counts] + sorted(
        (label for label in counts if label not in order), key=lambda label: (-counts[label], label)
    )
    if choices.classes is not None:
        classes, background = _stated(choices)
    else:
        classes, background = _proposed([label for label in labels if label not in void], choices.background)
    known = {label for level in classes.values() for label in labels_of(level)} | void
    if wrong := [label for label in labels if label not in known]:
        raise BakeoffError(
            f"folders.{choices.name}.classes does not name the label '{wrong[0]}' ({counts[wrong[0]]} shapes): add it "
            f"to a class, or to folders.{choices.name}.ignore."
        )
    if len(classes) > VOID - 1:
        raise BakeoffError(
            f"folders.{choices.name}.classes: {len(classes)} are more than the {VOID - 1} that masks hold: "
            "join some, or list some in ignore."
        )
    return classes, background, ignore


def _stated(choices: Choices) -> tuple[dict[str, Level], str | None]:
    classes = dict(choices.classes or {})
    if choices.background == NO_BACKGROUND:
        return classes, None
    uncovered = [name for name, level in classes.items() if level is None]
    background = choices.background or next(iter(uncovered or classes), None)
    if background is not None and background not in classes:
        raise BakeoffError(
            f"folders.{choices.name}.background: '{background}' is not in classes: name one of {', '.join(classes)}, "
            f"or '{NO_BACKGROUND}'."
        )
    return ({background: classes.pop(background), **classes} if background else {}), background


def _proposed(labels: Sequence[str], background: str | None) -> tuple[dict[str, Level], str | None]:
    if background == NO_BACKGROUND:
        return {label: label for label in labels}, None
    called = [label for label in labels if label.lower() in _CALLED_BACKGROUND or label == background]
    name = background or BACKGROUND
    level: Level = called[0] if called else None
    return {name: level, **{label: label for label in labels if label not in called[:1]}}, name


def numbered(keys: Iterable[object]) -> list[int]:
    """Numbers of objects, from 1, the same for the same key; a key of None is an object of its own."""
    numbers: dict[object, int] = {}
    return [numbers.setdefault(at if key is None else (key,), len(numbers) + 1) for at, key in enumerate(keys)]


def _reason(error: Exception) -> str:
    """What the readers' own errors say, or what Python found wrong."""
    return str(error) if type(error) is ValueError else f"a damaged annotation ({type(error).__name__}: {error})"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _objects(shapes: Sequence[Shape]) -> set[tuple[str, int]]:
    return {(shape.label, shape.number) for shape in shapes if shape.number is not None}
