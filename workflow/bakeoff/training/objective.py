"""What a network learns: the loss of a kind of task, and the score that decides which weights are kept."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.mask_score import MaskScore, mask_score
from bakeoff.artefacts.void import VOID
from bakeoff.training.examples import Examples
from bakeoff.training.losses import (
    balanced_accuracy,
    class_weights,
    dice_cross_entropy,
    image_scores,
    label_cross_entropy,
    label_weights,
    overlap_counts,
)
from bakeoff.training.preprocessing import class_indices, output_count

# What a network returns: logits, or those of each head by its name.
Outputs = Tensor | dict[str, Tensor]
# Of the logits: (batch, outputs, height, width), and (batch, outputs).
DIMENSIONS = {"mask": 4, "class": 2}


class Objective(Protocol):
    """Loss and score of a kind of task."""

    @property
    def score_name(self) -> str:
        """Name of the score, for example Dice."""

    @property
    def outside(self) -> int:
        """What masks are beyond the edges of a picture: the background's index, or `VOID`."""

    def check(self, training: Examples) -> str:
        """A sentence on why these examples cannot be learned from, or nothing."""

    def loss(self, outputs: Outputs, batch: Examples) -> Tensor:
        """A scalar to be lowered."""

    def measured(self, outputs: Outputs, batch: Examples) -> Tensor:
        """What `score` needs to know of each image, (batch, ...)."""

    def score(self, measured: Tensor, examples: Examples) -> float:
        """The score of all images: the higher the better."""


@dataclass(frozen=True)
class Segmentation(Objective):
    """Soft Dice and cross-entropy, the classes weighted; scored as the task is.

    Attributes
    ----------
    classes
        Their names.
    weights
        One a class.
    scored
        The task's score of pixels.
    void
        Whether masks hold pixels without an answer.
    outside
        What they are beyond the edges of a picture.
    """

    classes: list[str]
    weights: Tensor
    scored: MaskScore
    void: bool
    outside: int = 0

    @property
    def score_name(self) -> str:
        return self.scored.title

    def check(self, training: Examples) -> str:
        assert training.masks is not None
        present = torch.bincount(training.masks.flatten().int(), minlength=len(self.classes)).nonzero().flatten()
        return _wrong_classes([index for index in present.tolist() if index != VOID], self.classes, "mask")

    def loss(self, outputs: Outputs, batch: Examples) -> Tensor:
        assert batch.masks is not None
        return dice_cross_entropy(_logits(outputs, "mask", self.classes), batch.masks, self.weights, void=self.void)

    def measured(self, outputs: Outputs, batch: Examples) -> Tensor:
        assert batch.masks is not None
        return overlap_counts(class_indices(head(outputs, "mask")), batch.masks, self.scored.scored)

    def score(self, measured: Tensor, examples: Examples) -> float:
        if examples.sources is not None:  # the windows of an image are scored together
            by_image = measured.new_zeros(int(examples.sources.max()) + 1, *measured.shape[1:])
            measured = by_image.index_add_(0, examples.sources, measured)
        return image_scores(measured, self.scored).mean().item()


@dataclass(frozen=True)
class Classification(Objective):
    """Cross-entropy, with that of the masks where there are some; scored by balanced accuracy."""

    classes: list[str]
    weights: Tensor
    smoothing: float
    masks: Segmentation | None = None
    score_name = "balanced accuracy"

    @property
    def outside(self) -> int:
        return self.masks.outside if self.masks else 0

    def check(self, training: Examples) -> str:
        assert training.labels is not None
        missing = _wrong_classes(training.labels.unique().tolist(), self.classes, "label")
        return missing or (self.masks.check(training) if self.masks else "")

    def loss(self, outputs: Outputs, batch: Examples) -> Tensor:
        assert batch.labels is not None
        logits = _logits(outputs, "class", self.classes)
        loss = label_cross_entropy(logits, batch.labels, self.weights, self.smoothing)
        return loss + self.masks.loss(outputs, batch) if self.masks else loss

    def measured(self, outputs: Outputs, batch: Examples) -> Tensor:
        return class_indices(head(outputs, "class"))

    def score(self, measured: Tensor, examples: Examples) -> float:
        assert examples.labels is not None
        return balanced_accuracy(measured, examples.labels)


def segmentation(
    training: Examples,
    classes: list[str],
    device: torch.device | None = None,
    *,
    score: MaskScore | None = None,
    background: int | None = 0,
    void: bool = False,
    open_edges: bool = False,
) -> Segmentation:
    """The objective of a segmentation task.

    Parameters
    ----------
    training
        Their masks weigh the classes.
    classes
        Names.
    device
        Where the loss is computed; the masks' own by default.
    score
        The task's score; by default the mean Dice of all classes but the first. Of objects their classes' mean Dice
        takes its place.
    background
        Index of the background; None where every class counts, and what lies beyond a picture's edges is void.
    void
        Whether other masks that the loss is asked for hold void, though those of `training` may not.
    open_edges
        Whether what lies beyond the edges of an image is unknown, as of a window or a padded image; else it is the
        background.
    """
    assert training.masks is not None
    weights = class_weights(training.masks, len(classes)).to(device or training.masks.device)
    outside = VOID if background is None or open_edges else background
    void = void or outside == VOID or training.has_void
    scored = (score or mask_score(None, classes, background)).of_pixels
    return Segmentation(classes, weights, scored, void, outside)


def classification(
    training: Examples,
    classes: list[str],
    *,
    weighted: bool,
    smoothing: float,
    mask_classes: list[str] | None,
    mask_background: int | None = 0,
    void: bool = False,
    device: torch.device | None = None,
) -> Classification:
    """The objective of a classification task.

    Parameters
    ----------
    weighted
        Whether rare classes count as much as frequent ones.
    smoothing
        Of the labels.
    mask_classes
        Names of the masks' classes where masks are learned too.
    mask_background, void
        As `background` and `void` of `segmentation`.
    device
        Where the loss is computed; the examples' own by default.
    """
    assert training.labels is not None
    weights = label_weights(training.labels, len(classes)) if weighted else torch.ones(len(classes))
    masks = None
    if mask_classes:
        masks = segmentation(training, mask_classes, device, background=mask_background, void=void)
    return Classification(classes, weights.to(device or training.labels.device), smoothing, masks)


def head(outputs: Outputs, name: str) -> Tensor:
    """Logits of one head of a network, `mask` or `class`, whether or not it has others.

    Raises
    ------
    BakeoffError
        If it does not have that one.
    """
    logits = outputs.get(name) if isinstance(outputs, dict) else outputs
    if logits is None or logits.ndim != DIMENSIONS[name]:
        raise BakeoffError(f"the network predicts no {name}: change the experiment's model or settings.")
    return logits


def _logits(outputs: Outputs, name: str, classes: list[str]) -> Tensor:
    """The same, checked to be as many as the classes need."""
    logits = head(outputs, name)
    if (given := logits.shape[1]) not in (output_count(len(classes)), len(classes)):
        raise BakeoffError(
            f"the network has {given} outputs for the {name}, and {classes} take {output_count(len(classes))}: "
            "change the experiment's settings."
        )
    return logits


def _wrong_classes(present: list[int], classes: list[str], what: str) -> str:
    if unknown := [index for index in present if index >= len(classes)]:
        return f"the {what}s hold class {unknown[0]}, and the data set names only {classes}."
    if absent := [name for index, name in enumerate(classes) if index not in present]:
        return f"class '{absent[0]}' is in no training {what}, so it cannot be learned: change the task's split."
    return ""
