"""The training loop, to be read from top to bottom.

Images and masks stay in memory as uint8, on the GPU where there is one, and are augmented there, a batch at a time. All
chance comes from the seed and the epoch's number, so an epoch is the same whether or not the run was killed before it.
"""

import math
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from bakeoff.errors import BakeoffError
from bakeoff.training.augmentation import augment
from bakeoff.training.checkpoint import CheckpointFolder
from bakeoff.training.device import Runtime
from bakeoff.training.losses import class_weights, dice_cross_entropy, foreground_dice
from bakeoff.training.preprocessing import class_indices, normalise, to_unit_range
from bakeoff.training.progress import Progress

GRADIENT_NORM = 1.0
# What torch's allocators for the processor, on Linux, macOS and in oneDNN, say when memory runs out.
NO_MEMORY = re.compile("can't allocate memory|not enough memory|could not create a memory|std::bad_alloc")
State = dict[str, Tensor]
History = list[dict[str, float]]


@dataclass(frozen=True)
class Split:
    """Images, uint8 (n, channels, height, width), and class indices, uint8 (n, height, width), on one device."""

    images: Tensor
    masks: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device) -> "Split":
        """The same on another device."""
        return Split(self.images.to(device), self.masks.to(device))


@dataclass(frozen=True)
class Task:
    """What is to be learned, from what, and how.

    Attributes
    ----------
    name
        What messages call it.
    classes
        Names of the classes; the position is the index in the masks.
    recipe
        `epochs, batch_size, learning_rate, encoder_learning_rate_factor, weight_decay, warmup_epochs, patience,
        augmentation`.
    pretrained
        Whether `model.encoder` starts from published weights, and gets its own learning rate.
    """

    name: str
    training: Split
    validation: Split
    classes: list[str]
    recipe: Mapping[str, Any]
    seed: int
    pretrained: bool = False

    @property
    def batch_size(self) -> int:
        """Images a step; no more than there are."""
        return min(self.recipe["batch_size"], len(self.training))

    @property
    def steps(self) -> int:
        """Steps an epoch. A last batch that is not full is left out: the next epoch draws other images into it."""
        return len(self.training) // self.batch_size


def train(task: Task, network: nn.Module, runtime: Runtime, checkpoints: CheckpointFolder) -> tuple[State, History]:
    """Train a network, going on from the last checkpoint if there is one.

    Parameters
    ----------
    network
        With the weights to start from; left with those of the last epoch.

    checkpoints
        Held; written after every epoch but the last, whose result is for the caller to keep.

    Returns
    -------
    best
        Weights of the epoch with the highest validation Dice, the first of them if several.
    history
        One row an epoch: `epoch` (from 1), `train_loss`, `validation_loss`, `validation_dice`, `learning_rate`,
        `images_per_second`, `seconds`.

    Raises
    ------
    BakeoffError
        If there is nothing to learn from, the loss is not a number, or memory runs out.
    """
    _check(task)
    recipe, device = task.recipe, runtime.device
    training, validation = task.training.to(device), task.validation.to(device)
    weights = class_weights(task.training.masks, len(task.classes)).to(device)
    network.to(device).to(memory_format=torch.channels_last)
    optimizer = _optimizer(network, recipe, task.pretrained)

    best: State = {}
    history: History = []
    if checkpoint := checkpoints.latest():
        history, best = checkpoint.history, checkpoint.best
        restore(network, optimizer, checkpoint.state)

    with Progress(task.name, recipe["epochs"], task.steps, done=len(history)) as progress:
        while not is_over(history, recipe):
            began = time.perf_counter()
            epoch = len(history) + 1
            with _memory_explained(task):
                train_loss = _train_epoch(task, epoch, network, optimizer, training, weights, runtime, progress)
                seconds_training = time.perf_counter() - began
                validation_loss, dice = _validate(task, network, validation, weights, runtime)
            if not math.isfinite(train_loss):
                raise BakeoffError(
                    f"{task.name}: the loss is not a number in epoch {epoch}: lower the recipe's learning_rate, or set "
                    "its precision to fp32."
                )
            row = {
                "epoch": epoch,
                "train_loss": train_loss,
                "validation_loss": validation_loss,
                "validation_dice": dice,
                "learning_rate": recipe["learning_rate"] * learning_rate_factor(epoch * task.steps - 1, task),
                "images_per_second": task.steps * task.batch_size / seconds_training,
                "seconds": time.perf_counter() - began,
            }
            history.append(row)
            improved = best_epoch(history) == epoch
            if improved:
                best = {key: value.detach().clone() for key, value in network.state_dict().items()}
            if not is_over(history, recipe):
                checkpoints.save(history, snapshot(network, optimizer), best if improved else None)
            progress.epoch(row)
    return best, history


def _train_epoch(
    task: Task,
    epoch: int,
    network: nn.Module,
    optimizer: AdamW,
    training: Split,
    weights: Tensor,
    runtime: Runtime,
    progress: Progress,
) -> float:
    """One pass over the training images; the mean loss."""
    network.train()
    generator = epoch_generator(task.seed, epoch)
    order = torch.randperm(len(training), generator=generator).to(training.images.device)
    total = torch.zeros((), device=order.device)
    for step in range(task.steps):
        rows = order[step * task.batch_size : (step + 1) * task.batch_size]
        images, masks = to_unit_range(training.images[rows]), training.masks[rows]
        images, masks = augment(images, masks, task.recipe["augmentation"], generator)

        factor = learning_rate_factor((epoch - 1) * task.steps + step, task)
        for group in optimizer.param_groups:
            group["lr"] = group["highest_lr"] * factor
        with runtime.autocast():
            logits = network(normalise(images, network))  # type: ignore[arg-type]
        loss = dice_cross_entropy(logits, masks, weights)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_NORM)
        optimizer.step()
        total += loss.detach()  # read once an epoch: to ask a GPU for a number is to wait for it
        progress.step()
    return total.item() / task.steps


@torch.inference_mode()
def _validate(
    task: Task, network: nn.Module, validation: Split, weights: Tensor, runtime: Runtime
) -> tuple[float, float]:
    """Mean loss and mean Dice over the validation images."""
    network.eval()
    losses, scores = [], []
    for images, masks in zip(
        validation.images.split(task.batch_size), validation.masks.split(task.batch_size), strict=True
    ):
        with runtime.autocast():
            logits = network(normalise(to_unit_range(images), network))  # type: ignore[arg-type]
        losses.append(dice_cross_entropy(logits, masks, weights) * len(images))
        scores.append(foreground_dice(class_indices(logits), masks, len(task.classes)))
    return torch.stack(losses).sum().item() / len(validation), torch.cat(scores).mean().item()


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """Random numbers of one epoch, and torch's own (dropout) set to match: both from seed and epoch alone."""
    mixed = (seed * 1_000_003 + epoch) % 2**63
    torch.manual_seed(mixed)
    return torch.Generator().manual_seed(mixed)


def learning_rate_factor(step: int, task: Task) -> float:
    """Share of the highest learning rate at a step, counted from 0: a straight rise, then half a cosine down to 0."""
    warmup = min(round(task.recipe["warmup_epochs"] * task.steps), task.recipe["epochs"] * task.steps - 1)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = (step - warmup) / (task.recipe["epochs"] * task.steps - warmup)
    return 0.5 * (1 + math.cos(math.pi * progress))


def best_epoch(history: History) -> int:
    """The epoch with the highest validation Dice, the first of them if several."""
    return int(max(history, key=lambda row: row["validation_dice"])["epoch"])


def is_over(history: History, recipe: Mapping[str, Any]) -> bool:
    """Whether all epochs are done, or `patience` of them in a row were no better than the best."""
    epochs = len(history)
    return epochs >= recipe["epochs"] or (epochs > 0 and epochs - best_epoch(history) >= recipe["patience"])


def snapshot(network: nn.Module, optimizer: AdamW) -> State:
    """Everything that the next epoch starts from, by name."""
    state = {f"network.{key}": value for key, value in network.state_dict().items()}
    for index, slots in optimizer.state_dict()["state"].items():
        state |= {f"optimizer.{index}.{slot}": value for slot, value in slots.items()}
    return state


def restore(network: nn.Module, optimizer: AdamW, state: State) -> None:
    """Put a snapshot back, in place."""
    network.load_state_dict({key.removeprefix("network."): v for key, v in state.items() if key.startswith("network.")})
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    slots: dict[int, dict[str, Tensor]] = {index: {} for index in range(len(parameters))}
    for key, value in state.items():
        if key.startswith("optimizer."):
            _, index, slot = key.split(".")
            # In memory as the parameter is, channels last: the fused step walks both side by side.
            like = parameters[int(index)]
            slots[int(index)][slot] = torch.empty_like(like).copy_(value) if value.shape == like.shape else value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})


def _optimizer(network: nn.Module, recipe: Mapping[str, Any], pretrained: bool) -> AdamW:
    encoder = list(network.encoder.parameters()) if pretrained else []  # type: ignore[union-attr]
    ours = {id(each) for each in encoder}
    rest = [each for each in network.parameters() if id(each) not in ours]
    groups = [{"params": rest, "highest_lr": recipe["learning_rate"]}]
    if encoder:
        lower = recipe["learning_rate"] * recipe["encoder_learning_rate_factor"]
        groups.append({"params": encoder, "highest_lr": lower})
    return AdamW(groups, lr=recipe["learning_rate"], weight_decay=recipe["weight_decay"], fused=True)


def _check(task: Task) -> None:
    if len(task.training) == 0:
        raise BakeoffError(f"{task.name}: there are no training images: change the data set's split.")
    if len(task.validation) == 0:
        raise BakeoffError(f"{task.name}: there are no validation images: change the data set's split.")
    present = (
        torch.bincount(task.training.masks.flatten().int(), minlength=len(task.classes)).nonzero().flatten().tolist()
    )
    if unknown := [index for index in present if index >= len(task.classes)]:
        raise BakeoffError(
            f"{task.name}: the masks hold class {unknown[0]}, and the data set names only {task.classes}."
        )
    if absent := [name for index, name in enumerate(task.classes) if index not in present]:
        raise BakeoffError(
            f"{task.name}: class '{absent[0]}' is in no training mask, so it cannot be learned: change the data set's "
            "split or its classes."
        )


@contextmanager
def _memory_explained(task: Task) -> Iterator[None]:
    """Tell the user when memory runs out, which is theirs to mend; any other error of torch is a bug and passes."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, torch.OutOfMemoryError | MemoryError) and not NO_MEMORY.search(str(error)):
            raise
        raise BakeoffError(
            f"{task.name}: memory ran out at {task.batch_size} images of {task.training.images.shape[-1]} pixels a "
            "step: lower the recipe's batch_size or the data set's size."
        ) from error
