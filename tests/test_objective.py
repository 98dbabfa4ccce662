"""What networks learn: losses and scores of whole images, and which head and classes they are of."""

import math

import numpy as np
import pytest
import torch
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.mask_score import mask_score
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
from bakeoff.training.objective import classification, head, segmentation
from bakeoff.training.preprocessing import probabilities
from sklearn.metrics import balanced_accuracy_score
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from torch.nn import functional

CLASSES = ["benign", "malignant", "normal"]


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def labels_of(count: int, classes: int, seed: int = 0) -> Tensor:
    return torch.randint(classes, (count,), generator=torch.Generator().manual_seed(seed))


# --- weights of labels


def test_every_class_counts_alike_in_all_and_an_image_counts_1_on_average() -> None:
    labels = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1, 2])
    weights = label_weights(labels, 3)
    assert weights.dtype == torch.float32
    assert weights.tolist() == pytest.approx([10 / 18, 10 / 9, 10 / 3])
    assert weights[labels].mean().item() == pytest.approx(1)


@pytest.mark.parametrize("classes", [2, 5, 37])
def test_label_weights_are_scikit_learns_balanced_ones(classes: int) -> None:
    labels = torch.cat([torch.arange(classes), labels_of(300, classes)])
    expected = compute_class_weight("balanced", classes=np.arange(classes), y=labels.numpy())
    assert label_weights(labels, classes).tolist() == pytest.approx(expected.tolist(), rel=1e-6)


def test_an_absent_class_weighs_infinitely() -> None:
    assert label_weights(torch.tensor([0, 0]), 2).tolist() == [0.5, math.inf]


# --- cross-entropy of labels


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("classes", [3, 37])
def test_without_weights_it_is_torchs_cross_entropy(classes: int, smoothing: float) -> None:
    logits, labels = drawn(16, classes), labels_of(16, classes)
    expected = functional.cross_entropy(logits, labels, label_smoothing=smoothing)
    loss = label_cross_entropy(logits, labels, torch.ones(classes), smoothing)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_an_image_weighs_as_its_class(smoothing: float) -> None:
    logits, labels, weights = drawn(16, 3), labels_of(16, 3), torch.tensor([0.5, 1.0, 4.0])
    each = functional.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")
    loss = label_cross_entropy(logits, labels, weights, smoothing)
    assert loss.item() == pytest.approx((weights[labels] * each).mean().item(), rel=1e-5)
    if smoothing == 0:  # torch divides by the weights of the batch, so that they do not say how much a batch counts
        theirs = functional.cross_entropy(logits, labels, weights, reduction="sum") / 16
        assert loss.item() == pytest.approx(theirs.item(), rel=1e-5)


def test_one_logit_is_torchs_binary_cross_entropy() -> None:
    logits, labels = drawn(16, 1), labels_of(16, 2)
    loss = label_cross_entropy(logits, labels, torch.ones(2), 0.2)
    smoothed = 0.8 * labels.float() + 0.1
    expected = functional.binary_cross_entropy_with_logits(logits[:, 0], smoothed)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_labels_by_hand() -> None:
    # Probabilities of class 1: 3/4 and 1/2; the truth is 1, 0.
    logits = torch.tensor([[math.log(3)], [0.0]])
    loss = label_cross_entropy(logits, torch.tensor([1, 0]), torch.tensor([1.0, 2.0]), 0.0)
    assert loss.item() == pytest.approx((-2 * math.log(3 / 4) + math.log(2)) / 2)


def test_half_precision_logits_are_summed_in_full() -> None:
    logits = drawn(64, 37).bfloat16()
    loss = label_cross_entropy(logits, labels_of(64, 37), torch.ones(37), 0.0)
    assert loss.dtype == torch.float32
    assert loss.item() == label_cross_entropy(logits.float(), labels_of(64, 37), torch.ones(37), 0.0).item()


def test_a_certain_prediction_has_a_finite_loss_and_gradient() -> None:
    for outputs in (1, 3):
        logits = torch.full((2, outputs), -200.0).requires_grad_()
        loss = label_cross_entropy(logits, torch.tensor([0, 1]), torch.ones(max(outputs, 2)), 0.1)
        loss.backward()
        assert logits.grad is not None
        assert loss.isfinite()
        assert logits.grad.isfinite().all()


# --- balanced accuracy


def test_balanced_accuracy_by_hand() -> None:
    truth, predicted = torch.tensor([0, 0, 0, 0, 1, 1]), torch.tensor([0, 0, 0, 1, 1, 0])
    assert balanced_accuracy(predicted, truth) == (3 / 4 + 1 / 2) / 2


@pytest.mark.parametrize("classes", [2, 5, 37])
def test_balanced_accuracy_is_scikit_learns(classes: int) -> None:
    truth = torch.cat([torch.arange(classes), labels_of(100, classes)])
    predicted = labels_of(len(truth), classes, seed=1)
    expected = balanced_accuracy_score(truth.numpy(), predicted.numpy())
    assert balanced_accuracy(predicted, truth) == pytest.approx(expected, abs=1e-12)


def test_a_class_without_images_has_no_share_in_it() -> None:
    truth, predicted = torch.tensor([0, 0, 2]), torch.tensor([0, 1, 2])
    assert balanced_accuracy(predicted, truth) == 0.75


# --- probabilities


def test_probabilities_of_one_logit_and_of_several() -> None:
    assert probabilities(torch.tensor([[math.log(3)], [0.0]])).flatten().tolist() == pytest.approx(
        [0.25, 0.75, 0.5, 0.5]
    )
    several = probabilities(torch.tensor([[0.0, math.log(2), math.log(5)]], dtype=torch.bfloat16))
    assert several.dtype == torch.float32
    assert several[0].tolist() == pytest.approx([1 / 8, 2 / 8, 5 / 8], abs=0.01)
    assert probabilities(drawn(50, 37)).sum(dim=1).tolist() == pytest.approx([1.0] * 50, abs=1e-6)


# --- examples


def parts(examples: Examples) -> list[Tensor]:
    assert examples.masks is not None
    assert examples.labels is not None
    return [examples.images, examples.masks, examples.labels]


def test_examples_keep_together_what_belongs_together() -> None:
    images = torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1)
    examples = Examples(images, images[:, 0], torch.arange(4))
    some = examples.rows(torch.tensor([3, 1]))
    assert [part.flatten().tolist() for part in parts(some)] == [[3, 1]] * 3
    assert len(some) == 2
    assert [part.device.type for part in parts(some.to(torch.device("meta")))] == ["meta"] * 3
    alone = Examples(images).rows(slice(1, 3))
    assert (alone.masks, alone.labels) == (None, None)
    assert alone.images.flatten().tolist() == [1, 2]


# --- objectives


def examples(count: int = 12) -> Examples:
    labels = torch.arange(count) % 3 * (torch.arange(count) > 2).long()  # class 0 more often
    masks = (drawn(count, 8, 8) > 1).byte()
    return Examples(torch.zeros(count, 1, 8, 8, dtype=torch.uint8), masks, labels)


def test_segmentation_is_dice_and_cross_entropy_scored_by_dice() -> None:
    batch, logits = examples(), drawn(12, 1, 8, 8, seed=1)
    assert batch.masks is not None
    objective = segmentation(batch, ["background", "lesion"])
    expected = dice_cross_entropy(logits, batch.masks, class_weights(batch.masks, 2))
    assert objective.loss(logits, batch).item() == expected.item()
    measured = objective.measured(logits, batch)
    assert torch.equal(measured, overlap_counts((logits[:, 0] > 0).long(), batch.masks, [1]))
    assert objective.score(measured, batch) == image_scores(measured, mask_score(None, CLASSES[:2], 0)).mean().item()
    assert objective.score_name == "Dice"


@pytest.mark.parametrize("weighted", [True, False])
def test_classification_is_cross_entropy_scored_by_balanced_accuracy(weighted: bool) -> None:
    batch, logits = examples(), drawn(12, 3, seed=1)
    assert batch.labels is not None
    objective = classification(batch, CLASSES, weighted=weighted, smoothing=0.1, mask_classes=None)
    weights = label_weights(batch.labels, 3) if weighted else torch.ones(3)
    assert objective.loss(logits, batch).item() == label_cross_entropy(logits, batch.labels, weights, 0.1).item()
    measured = objective.measured(logits, batch)
    assert torch.equal(measured, logits.argmax(dim=1))
    assert objective.score(measured, batch) == balanced_accuracy(measured, batch.labels)
    assert objective.score_name == "balanced accuracy"


def test_with_masks_the_losses_of_both_heads_add_up_and_the_class_alone_is_scored() -> None:
    batch = examples()
    outputs = {"class": drawn(12, 3, seed=1), "mask": drawn(12, 1, 8, 8, seed=2)}
    settings = {"weighted": True, "smoothing": 0.0}
    together = classification(batch, CLASSES, mask_classes=["background", "lesion"], **settings)
    alone = classification(batch, CLASSES, mask_classes=None, **settings)
    masks = segmentation(batch, ["background", "lesion"])
    both = alone.loss(outputs, batch) + masks.loss(outputs, batch)
    assert together.loss(outputs, batch).item() == pytest.approx(both.item())
    assert torch.equal(together.measured(outputs, batch), outputs["class"].argmax(dim=1))


def test_weights_are_of_the_training_images_and_not_of_the_batch() -> None:
    batch, logits = examples(), drawn(12, 3)
    objective = classification(batch, CLASSES, weighted=True, smoothing=0.0, mask_classes=None)
    losses = [objective.loss(logits[n : n + 1], batch.rows(slice(n, n + 1))).item() for n in range(12)]
    assert np.mean(losses) == pytest.approx(objective.loss(logits, batch).item(), rel=1e-5)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([0, 1, 2], ""),
        ([0, 2, 2], "class 'malignant' is in no training label"),
        ([0, 1, 3], "the labels hold class 3, and the data set names only"),
    ],
)
def test_labels_that_cannot_be_learned_are_named(labels: list[int], words: str) -> None:
    training = Examples(torch.zeros(3, 1, 2, 2, dtype=torch.uint8), None, torch.tensor(labels))
    objective = classification(training, CLASSES, weighted=True, smoothing=0.0, mask_classes=None)
    assert objective.check(training).startswith(words)
    assert bool(objective.check(training)) == bool(words)


def test_masks_that_cannot_be_learned_are_named_beside_labels_that_can() -> None:
    masks = torch.zeros(3, 2, 2, dtype=torch.uint8)
    training = Examples(torch.zeros(3, 1, 2, 2, dtype=torch.uint8), masks, torch.tensor([0, 1, 2]))
    settings = {"weighted": False, "smoothing": 0.0, "mask_classes": ["background", "lesion"]}
    objective = classification(training, CLASSES, **settings)  # type: ignore[arg-type]
    assert objective.check(training).startswith("class 'lesion' is in no training mask")


# --- heads

MASK, CLASS = torch.zeros(1, 2, 4, 4), torch.zeros(1, 3)


def test_the_head_is_the_only_one_or_the_one_of_that_name() -> None:
    assert head(MASK, "mask") is MASK
    assert head(CLASS, "class") is CLASS
    assert head({"mask": MASK, "class": CLASS}, "mask") is MASK
    assert head({"mask": MASK, "class": CLASS}, "class") is CLASS


@pytest.mark.parametrize(
    ("outputs", "name"), [(MASK, "class"), (CLASS, "mask"), ({"class": CLASS}, "mask"), ({"class": MASK}, "class")]
)
def test_a_head_that_is_not_there_is_named(outputs: Tensor | dict[str, Tensor], name: str) -> None:
    with pytest.raises(BakeoffError, match=f"the network predicts no {name}: "):
        head(outputs, name)


@pytest.mark.parametrize(
    ("given", "classes", "fits"), [(1, 2, True), (2, 2, True), (3, 3, True), (1, 3, False), (3, 2, False)]
)
def test_a_head_has_an_output_a_class_or_one_for_two(given: int, classes: int, fits: bool) -> None:
    labels = torch.arange(classes)
    batch = Examples(torch.zeros(classes, 1, 2, 2, dtype=torch.uint8), None, labels)
    objective = classification(batch, CLASSES[:classes], weighted=False, smoothing=0.0, mask_classes=None)
    logits = torch.zeros(classes, given)
    if fits:
        assert objective.loss(logits, batch).item() == pytest.approx(math.log(classes))
    else:
        with pytest.raises(
            BakeoffError, match=f"has {given} outputs for the class, and .* take {'1' if classes == 2 else 3}"
        ):
            objective.loss(logits, batch)
