"""Loss functions, and the validation scores that decide which weights are kept."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from bakeoff.artefacts.mask_score import MaskScore
from bakeoff.artefacts.void import VOID


def class_weights(masks: Tensor, classes: int) -> Tensor:
    """Weights of the classes in the cross-entropy, float32 (classes,), with a mean of 1 over the pixels.

    A class weighs by the inverse square root of its share of the pixels. The plain inverse would make up for rarity in
    full, and pushes the outline of a small class outwards; the Dice term does its share already.

    Parameters
    ----------
    masks
        uint8 class indices of the training images, any shape; a class that is absent gets weight infinity. Void does
        not count.
    """
    counts = torch.bincount(masks.flatten().cpu().int(), minlength=classes)[:classes].double()
    shares = counts / counts.sum()
    weights = shares.rsqrt()
    return (weights / (weights[shares > 0] * shares[shares > 0]).sum()).float()


def dice_cross_entropy(logits: Tensor, masks: Tensor, weights: Tensor, *, void: bool = False) -> Tensor:
    """Soft Dice loss plus weighted cross-entropy; a scalar, 0 for a perfect and certain prediction.

    The Dice loss is `1 - 2 sum(p y) / (sum(p) + sum(y))` over all pixels of the batch, averaged over the classes (the
    background too), so that each counts alike however few its pixels (Milletari, Navab and Ahmadi, 2016,
    https://arxiv.org/abs/1606.04797, without the squares). A class that is absent from the batch is left out of the
    average: there its Dice is 0 whatever the prediction.

    Parameters
    ----------
    logits
        (batch, outputs, height, width); one output for two classes, else one a class.
    masks
        Class indices, (batch, height, width).
    weights
        One a class, as `class_weights` gives them.
    void
        Whether masks may hold `VOID`: such pixels count in neither part.
    """
    # bf16 has 8 bits of mantissa: sums over a hundred thousand pixels need float32.
    log_probabilities = _log_probabilities(logits.float())
    # One-hot and a sum, where cross_entropy would do: its CUDA kernel for images is not deterministic.
    answered = (masks != VOID)[:, None] if void else None
    classes = masks.long() if answered is None else masks.long() * answered[:, 0]
    truth = functional.one_hot(classes, len(weights)).permute(0, 3, 1, 2).float()
    probabilities = log_probabilities.exp()
    if answered is not None:
        truth, probabilities = truth * answered, probabilities * answered
    by_pixel = -(log_probabilities * truth * weights.view(1, -1, 1, 1)).sum(dim=1)
    cross_entropy = by_pixel.mean() if answered is None else by_pixel.sum() / answered.sum().clamp(min=1)

    overlap = (probabilities * truth).sum(dim=(0, 2, 3))
    sizes = probabilities.sum(dim=(0, 2, 3)) + truth.sum(dim=(0, 2, 3))
    present = (truth.sum(dim=(0, 2, 3)) > 0).float()
    dice_loss = (present * (1 - 2 * overlap / sizes.clamp(min=1e-6))).sum() / present.sum().clamp(min=1)
    return dice_loss + cross_entropy


def label_weights(labels: Tensor, classes: int) -> Tensor:
    """Weights of the classes of whole images, float32 (classes,): each class counts alike in all, and the mean is 1.

    Parameters
    ----------
    labels
        Class indices of the training images, (n,); a class that is absent gets weight infinity.
    """
    counts = torch.bincount(labels.cpu().int(), minlength=classes).double()
    return (counts.sum() / (classes * counts)).float()


def label_cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor, smoothing: float) -> Tensor:
    """Weighted cross-entropy of whole images; a scalar.

    Parameters
    ----------
    logits
        (batch, outputs); one output for two classes, else one a class.
    labels
        Class indices, (batch,).
    weights
        One a class.
    smoothing
        Share of each label that is spread over all classes alike (Szegedy et al., 2016,
        https://arxiv.org/abs/1512.00567, section 7).
    """
    log_probabilities = _log_probabilities(logits.float())
    truth = functional.one_hot(labels, len(weights)).float()
    truth = (1 - smoothing) * truth + smoothing / len(weights)
    return -(weights[labels, None] * truth * log_probabilities).sum(dim=1).mean()


def balanced_accuracy(predicted: Tensor, labels: Tensor) -> float:
    """Mean over the classes that are there of the share of their images that is right.

    Parameters
    ----------
    predicted, labels
        Class indices, (n,).
    """
    right = (predicted == labels).double()
    return torch.stack([right[labels == label].mean() for label in labels.unique()]).mean().item()


def overlap_counts(predicted: Tensor, masks: Tensor, classes: Sequence[int]) -> Tensor:
    """Of every image and class the pixels that prediction and truth share, and those of both sides together.

    Parameters
    ----------
    predicted, masks
        Class indices, (batch, height, width); of the masks also `VOID`, which is left out.
    classes
        Their indices.

    Returns
    -------
    Tensor
        int64, (batch, classes, 2).
    """
    answered, counts = masks != VOID, []
    for index in classes:
        here, there = (predicted == index) & answered, masks == index
        sizes = here.sum(dim=(1, 2)) + there.sum(dim=(1, 2))
        counts.append(torch.stack([(here & there).sum(dim=(1, 2)), sizes], dim=1))
    return torch.stack(counts, dim=1)


def image_scores(counts: Tensor, score: MaskScore) -> Tensor:
    """The score of every image, float32 (n,), as the evaluation has it, from its `overlap_counts`.

    Of several classes the mean over those that the mask or the prediction of the image holds; 1 where none is there.
    """
    overlap, sizes = counts[..., 0], counts[..., 1]
    shares = (2 * overlap, sizes) if score.measure == "dice" else (overlap, sizes - overlap)
    scores, present = shares[0] / shares[1].clamp(min=1), (sizes > 0).sum(dim=1)
    return torch.where(present > 0, scores.sum(dim=1) / present.clamp(min=1), 1.0)


def _log_probabilities(logits: Tensor) -> Tensor:
    if logits.shape[1] > 1:
        return functional.log_softmax(logits, dim=1)
    return torch.cat([functional.logsigmoid(-logits), functional.logsigmoid(logits)], dim=1)
