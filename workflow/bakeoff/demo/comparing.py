"""Predictions of several methods for one picture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.datasets.preparation.decode import Undecodable, frame_image
from bakeoff.demo.catalogue import DemoTask, Method
from bakeoff.evaluation.objects import match, objects_of
from bakeoff.evaluation.out_of_distribution import THRESHOLD
from bakeoff.evaluation.scores import scored_alone
from bakeoff.inference.objects import Objects
from bakeoff.inference.pictures import open_picture
from bakeoff.inference.predictors import Answer, Predictor

# Limits of one request, so that other requests do not wait long.
MOST_METHODS = 6
MOST_CLASSES = 5


@dataclass(frozen=True)
class Picture:
    """What the methods predict.

    Attributes
    ----------
    name
        Of the file, or the id of a test image.
    shown
        As it is shown, uint8 (H, W, channels).
    prepared
        As the methods see it, uint8 (height, width, channels).
    true_mask, true_label, true_objects
        Of a test image.
    original
        Height and width before it was prepared; None where these are those of `prepared`.
    """

    name: str
    shown: np.ndarray
    prepared: np.ndarray
    true_mask: np.ndarray | None = None
    true_label: str | None = None
    original: tuple[int, int] | None = None
    true_objects: Objects | None = None

    @property
    def size(self) -> tuple[int, int]:
        """`original`."""
        return self.original or (self.prepared.shape[0], self.prepared.shape[1])


@dataclass(frozen=True)
class Outcome:
    """The prediction of one method for a picture.

    Attributes
    ----------
    method
        That predicted.
    classes, mask_classes
        Names of the classes, in the order of the probabilities and by index in the mask.
    answer
        None if the method failed.
    words
        Why it failed.
    score
        The task's score of the mask, where the true one is known.
    objects
        In the mask; None where they are not told apart.
    background
        Index of the mask's class that is no foreground; None where every class counts.
    """

    method: Method
    classes: list[str]
    mask_classes: list[str]
    answer: Answer | None
    words: str = ""
    score: float | None = None
    objects: Objects | None = None
    background: int | None = 0

    @property
    def areas(self) -> dict[str, float]:
        """Share of the picture that each class of the mask covers, the background aside."""
        shares = [] if self.answer is None else self.answer.areas(self.mask_classes).items()
        return {name: share for index, (name, share) in enumerate(shares) if index != self.background}

    @property
    def likeliest(self) -> list[tuple[str, float]]:
        """The likeliest classes and their probabilities, at most `MOST_CLASSES`."""
        if self.answer is None or self.answer.probabilities is None:
            return []
        best = np.argsort(-self.answer.probabilities, kind="stable")[:MOST_CLASSES]
        return [(self.classes[place], float(self.answer.probabilities[place])) for place in best.tolist()]


@dataclass(frozen=True)
class Comparison:
    """The predictions of several methods for one picture.

    Attributes
    ----------
    out_of_distribution_score
        Share of the task's held-out images that are nearer to its training images than this picture, 0 to 1; None where
        that is not known.
    """

    task: DemoTask
    picture: Picture
    outcomes: list[Outcome]
    out_of_distribution_score: float | None

    @property
    def out_of_distribution(self) -> bool:
        """Whether the picture is known to differ from those that the methods were trained on."""
        return self.out_of_distribution_score is not None and self.out_of_distribution_score > THRESHOLD


def picture_of_file(task: DemoTask, path: Path, name: str) -> Picture:
    """An uploaded picture.

    Raises
    ------
    BakeoffError
        If the file is no image that can be used.
    """
    try:
        pixels = open_picture(path, task.data.channels, levels=task.levels, upright=task.upright)
    except Undecodable as error:
        reason = str(error).rstrip(".")
        raise BakeoffError(
            f"{name} cannot be read as an image ({reason}): upload a PNG, JPEG, TIFF, WebP, BMP or GIF."
        ) from None
    geometry, original = task.data.geometry, pixels.shape[:2]
    return Picture(name, pixels[geometry.seen(*original)], frame_image(pixels, geometry), original=original)


def picture_of_example(task: DemoTask, id_: str) -> Picture:
    """A test image of the task, with the truth.

    Raises
    ------
    BakeoffError
        If there is none of that id.
    """
    prepared, original = task.example(id_), task.original(id_)
    region, mask = task.data.geometry.shown(*original), task.true_mask(id_)
    true_mask = None if mask is None else mask[region]
    numbers, objects = task.true_objects(id_), None
    if task.separation and numbers is not None and true_mask is not None:
        objects = _true_objects(numbers[region], true_mask, task.separation.classes, task.data.classes)
    return Picture(id_, prepared[region], prepared, true_mask, task.true_label(id_), original, objects)


def _true_objects(numbers: np.ndarray, mask: np.ndarray, classes: Sequence[int], names: Sequence[str]) -> Objects:
    wanted, own = objects_of(numbers, mask, classes)
    return Objects(wanted, {names[index]: int((own == index).sum()) for index in classes})


def chosen_methods(task: DemoTask, experiments: Sequence[str]) -> list[Method]:
    """The named methods, in the task's order, each once.

    Raises
    ------
    BakeoffError
        If there are none, too many, or one that the task has not.
    """
    known = {method.experiment for method in task.methods}
    if strangers := [name for name in experiments if name not in known]:
        raise BakeoffError(f"{task.name} has no method '{strangers[0]}': choose among {', '.join(sorted(known))}.")
    chosen = [method for method in task.methods if method.experiment in experiments]
    if not chosen:
        raise BakeoffError("No method is selected: select at least one.")
    if len(chosen) > MOST_METHODS:
        raise BakeoffError(f"{len(chosen)} methods are selected: select at most {MOST_METHODS}.")
    return chosen


def compare(
    task: DemoTask,
    picture: Picture,
    methods: Sequence[Method],
    get: Callable[[str], Predictor],
    progress: Callable[[int, Method], None] = lambda place, method: None,
) -> Comparison:
    """Predict with every method.

    Parameters
    ----------
    get
        Opens an experiment by its name. If it raises a `BakeoffError`, the method has an outcome without an answer.
    progress
        Called before each method with its place and itself.
    """
    outcomes = []
    for place, method in enumerate(methods):
        progress(place, method)
        outcomes.append(_outcome(task, picture, method, get))
    return Comparison(task, picture, outcomes, _score(task, picture))


def _score(task: DemoTask, picture: Picture) -> float | None:
    shown = picture.prepared[task.data.geometry.shown(*picture.size)]
    return None if task.detector is None else float(task.detector.scores([shown])[0])


def _outcome(task: DemoTask, picture: Picture, method: Method, get: Callable[[str], Predictor]) -> Outcome:
    try:
        predictor = get(method.experiment)
        [answer] = predictor.predict([picture.prepared], [picture.size])
        if answer.mask is not None:
            answer = replace(answer, mask=answer.mask[task.data.geometry.shown(*picture.size)])
    except BakeoffError as error:
        return Outcome(method, [], [], None, words=str(error))
    score = objects = None
    if answer.mask is not None and task.separation is not None:
        numbers = task.separation.objects(answer.mask)
        objects = Objects(numbers, task.separation.counts(numbers, answer.mask, predictor.mask_classes))
    if answer.mask is not None:
        score = _mask_score(task, picture, answer.mask, objects)
    return Outcome(
        method,
        predictor.classes,
        predictor.mask_classes,
        answer,
        score=score,
        objects=objects,
        background=predictor.background,
    )


def _mask_score(task: DemoTask, picture: Picture, mask: np.ndarray, objects: Objects | None) -> float | None:
    """The task's score of a mask; None where it is not known."""
    score, truth = task.mask_score, picture.true_mask
    if truth is None:
        return None
    if score.measure != "object_f1":
        return scored_alone(truth, mask, len(task.data.classes), score)
    if objects is None or picture.true_objects is None:
        return None
    return match(picture.true_objects.numbers, truth, objects.numbers, mask, score.scored)["object_f1"]


def as_values(comparison: Comparison, mask_uri: Callable[[np.ndarray], str]) -> dict[str, Any]:
    """A comparison as plain values, as the page's API gives it.

    Parameters
    ----------
    mask_uri
        Makes class indices, uint8 (height, width), a data URI.
    """
    picture = comparison.picture
    return {
        "task": comparison.task.name,
        "picture": picture.name,
        "width": picture.shown.shape[1],
        "height": picture.shown.shape[0],
        "true_label": picture.true_label,
        "true_objects": None if picture.true_objects is None else picture.true_objects.counts,
        "true_mask": None if picture.true_mask is None else mask_uri(picture.true_mask),
        "out_of_distribution_score": comparison.out_of_distribution_score,
        "out_of_distribution": comparison.out_of_distribution,
        "note": comparison.task.note,
        "answers": [_outcome_values(each, mask_uri) for each in comparison.outcomes],
    }


def _outcome_values(outcome: Outcome, mask_uri: Callable[[np.ndarray], str]) -> dict[str, Any]:
    answer = outcome.answer
    probabilities = None if answer is None or answer.probabilities is None else answer.probabilities.tolist()
    return {
        "experiment": outcome.method.experiment,
        "label": outcome.method.label,
        "words": outcome.words,
        "seconds": None if answer is None else answer.seconds,
        "mask": None if answer is None or answer.mask is None else mask_uri(answer.mask),
        "areas": outcome.areas,
        "objects": None if outcome.objects is None else outcome.objects.counts,
        "score": outcome.score,
        "probabilities": None if probabilities is None else dict(zip(outcome.classes, probabilities, strict=True)),
    }
