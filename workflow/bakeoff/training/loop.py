"""The training loop, to be read from top to bottom.

Images and masks stay in memory as uint8, on the GPU if there is one, and are augmented there, a batch at a time. All
random numbers follow from the seed and the epoch's number, so an epoch gives the same bits after an interruption.
"""

import math
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer, RMSprop

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.progress.epochs import Progress
from bakeoff.training.augmentation import augment
from bakeoff.training.checkpoint import CheckpointFolder
from bakeoff.training.device import Runtime
from bakeoff.training.examples import Examples
from bakeoff.training.objective import Objective
from bakeoff.training.preprocessing import normalise, to_unit_range

GRADIENT_NORM = 1.0
# A kill loses at most so much, and the epoch that runs: to write a large network takes longer than a short epoch.
CHECKPOINT_SECONDS = 10.0
# Messages of torch's allocators for the processor, on Linux, macOS and in oneDNN, when memory runs out.
NO_MEMORY = re.compile("can't allocate memory|not enough memory|could not create a memory|std::bad_alloc")
State = dict[str, Tensor]
History = list[dict[str, float]]


@dataclass(frozen=True)
class TrainingTask:
    """What is to be learned, from what, and how.

    Attributes
    ----------
    name
        Named in messages.
    objective
        The loss, and the score that decides which epoch's weights are kept.
    recipe
        `epochs, frozen_epochs, batch_size, optimizer, learning_rate, schedule, encoder_learning_rate_factor,
        weight_decay, warmup_epochs, patience, augmentation`.
    pretrained
        Whether `network.encoder` starts from published weights, and gets its own learning rate.
    """

    name: str
    training: Examples
    validation: Examples
    objective: Objective
    recipe: Mapping[str, Any]
    seed: int
    pretrained: bool = False

    @property
    def batch_size(self) -> int:
        """Images per step; no more than there are."""
        return min(self.recipe["batch_size"], len(self.training))

    @property
    def steps(self) -> int:
        """Steps per epoch. An incomplete last batch is left out: the next epoch leaves out other images."""
        return len(self.training) // self.batch_size


def train(
    task: TrainingTask, network: nn.Module, runtime: Runtime, checkpoints: CheckpointFolder
) -> tuple[State, History]:
    """Train a network, resuming from the last checkpoint if there is one.

    Parameters
    ----------
    network
        With the initial weights; has those of the last epoch afterwards.
    runtime
        Its peak memory is measured from the start of this training.
    checkpoints
        Held; written after every epoch but the last, whose result the caller keeps.

    Returns
    -------
    best
        Weights of the epoch with the highest validation score, the first of them if several, on the processor.
    history
        One row per epoch: `epoch` (from 1), `train_loss`, `validation_loss`, `validation_score`, `learning_rate`,
        `images_per_second`, `seconds`.

    Raises
    ------
    BakeoffError
        If images or classes are missing, there is no pretrained encoder to freeze, the loss is not a number, or memory
        runs out.
    """
    _check(task, network)
    runtime.reset_peak_memory()
    recipe, device = task.recipe, runtime.device
    training, validation = task.training.to(device), task.validation.to(device)
    network.to(device).to(memory_format=torch.channels_last)
    optimizer = _optimizer(network, recipe, task.pretrained)

    best: State = {}
    history: History = []
    best_is_saved, saved_at = True, time.monotonic()
    if checkpoint := checkpoints.latest():
        history, best = checkpoint.history, checkpoint.best
        restore(network, optimizer, checkpoint.state)

    with Progress(task.name, recipe["epochs"], task.steps, len(history), task.objective.score_name) as progress:
        while not is_over(history, recipe):
            began = time.perf_counter()
            epoch = len(history) + 1
            with _errors_explained(task):
                train_loss = _train_epoch(task, epoch, network, optimizer, training, runtime, progress)
                seconds_training = time.perf_counter() - began
                validation_loss, score = _validate(task, network, validation, runtime)
            if not math.isfinite(train_loss):
                raise BakeoffError(
                    f"{task.name}: the loss is not a number in epoch {epoch}: lower the recipe's learning_rate, or set "
                    "its precision to fp32."
                )
            row = {
                "epoch": epoch,
                "train_loss": train_loss,
                "validation_loss": validation_loss,
                "validation_score": score,
                "learning_rate": recipe["learning_rate"] * learning_rate_factor(epoch * task.steps - 1, task),
                "images_per_second": task.steps * task.batch_size / seconds_training,
                "seconds": time.perf_counter() - began,
            }
            history.append(row)
            if best_epoch(history) == epoch:
                best_is_saved = False
                best = {key: value.detach().clone() for key, value in network.state_dict().items()}
            if not is_over(history, recipe) and time.monotonic() - saved_at >= CHECKPOINT_SECONDS:
                checkpoints.save(history, snapshot(network, optimizer), None if best_is_saved else best)
                best_is_saved, saved_at = True, time.monotonic()
            progress.epoch(row)
    return {key: value.cpu() for key, value in best.items()}, history


def _train_epoch(
    task: TrainingTask,
    epoch: int,
    network: nn.Module,
    optimizer: Optimizer,
    training: Examples,
    runtime: Runtime,
    progress: Progress,
) -> float:
    """One pass over the training images; the mean loss."""
    network.train()
    if task.pretrained:
        _freeze(network, frozen=epoch <= task.recipe["frozen_epochs"])
    generator = epoch_generator(task.seed, epoch)
    order = torch.randperm(len(training), generator=generator).to(training.images.device)
    total = torch.zeros((), device=order.device)
    for step in range(task.steps):
        rows = order[step * task.batch_size : (step + 1) * task.batch_size]
        batch = training.rows(rows)
        images, masks = augment(
            to_unit_range(batch.images), batch.masks, task.recipe["augmentation"], generator, task.objective.outside
        )

        factor = learning_rate_factor((epoch - 1) * task.steps + step, task)
        for group in optimizer.param_groups:
            group["lr"] = group["highest_lr"] * factor
        with runtime.autocast():
            outputs = network(normalise(images, network))  # type: ignore[arg-type]
        loss = task.objective.loss(outputs, replace(batch, masks=masks))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_NORM)
        optimizer.step()
        total += loss.detach()  # read once per epoch: reading waits for the GPU
        progress.step()
    return total.item() / task.steps


@torch.inference_mode()
def _validate(task: TrainingTask, network: nn.Module, validation: Examples, runtime: Runtime) -> tuple[float, float]:
    """Mean loss and score of the validation images."""
    network.eval()
    losses, measured = [], []
    for start in range(0, len(validation), task.batch_size):
        batch = validation.rows(slice(start, start + task.batch_size))
        with runtime.autocast():
            outputs = network(normalise(to_unit_range(batch.images), network))  # type: ignore[arg-type]
        losses.append(task.objective.loss(outputs, batch) * len(batch))
        measured.append(task.objective.measured(outputs, batch))
    loss = torch.stack(losses).sum().item() / len(validation)
    return loss, task.objective.score(torch.cat(measured), validation)


def _freeze(network: nn.Module, *, frozen: bool) -> None:
    """Freeze or unfreeze the pretrained encoder, including the statistics of its batch norms."""
    encoder = cast(nn.Module, network.encoder)
    encoder.requires_grad_(not frozen)
    encoder.train(not frozen)


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """Random numbers of one epoch; also seeds torch's global generator, which dropout uses."""
    mixed = (seed * 1_000_003 + epoch) % 2**63
    torch.manual_seed(mixed)
    return torch.Generator().manual_seed(mixed)


def learning_rate_factor(step: int, task: TrainingTask) -> float:
    """Share of the highest learning rate at a step, counted from 0, by the recipe's `schedule`.

    - `cosine`: a straight rise over `warmup_epochs`, then half a cosine down to 0.
    - `one-cycle`: half a cosine from 1/25 up over the first quarter, then half a cosine down to 1e-5 (Smith, 2018,
      https://arxiv.org/abs/1803.09820, as fastai has it); once over the frozen epochs, and again over the others.
    - `constant`: 1 throughout.
    """
    recipe = task.recipe
    if recipe["schedule"] == "constant":
        return 1.0
    if recipe["schedule"] == "one-cycle":
        frozen = min(recipe["frozen_epochs"], recipe["epochs"]) * task.steps
        return _one_cycle(step, frozen) if step < frozen else _one_cycle(step - frozen, _steps_in_all(task) - frozen)
    warmup = min(round(recipe["warmup_epochs"] * task.steps), _steps_in_all(task) - 1)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = (step - warmup) / (_steps_in_all(task) - warmup)
    return 0.5 * (1 + math.cos(math.pi * progress))


def _steps_in_all(task: TrainingTask) -> int:
    return task.recipe["epochs"] * task.steps


def _one_cycle(step: int, steps: int) -> float:
    rising, start, end = 0.25 * steps, 1 / 25, 1e-5
    low, progress = (start, 1 - step / rising) if step < rising else (end, (step - rising) / (steps - rising))
    return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * progress))


def best_epoch(history: History) -> int:
    """The epoch with the highest validation score, the first of them if several."""
    return int(max(history, key=lambda row: row["validation_score"])["epoch"])


def is_over(history: History, recipe: Mapping[str, Any]) -> bool:
    """Whether all epochs are done, or `patience` of them in a row were no better than the best."""
    epochs = len(history)
    return epochs >= recipe["epochs"] or (epochs > 0 and epochs - best_epoch(history) >= recipe["patience"])


def snapshot(network: nn.Module, optimizer: Optimizer) -> State:
    """Everything that the next epoch starts from, by name."""
    state = {f"network.{key}": value for key, value in network.state_dict().items()}
    for index, slots in optimizer.state_dict()["state"].items():
        state |= {f"optimizer.{index}.{slot}": value for slot, value in slots.items()}
    return state


def restore(network: nn.Module, optimizer: Optimizer, state: State) -> None:
    """Put a snapshot back, in place."""
    network.load_state_dict({key.removeprefix("network."): v for key, v in state.items() if key.startswith("network.")})
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    slots: dict[int, dict[str, Tensor]] = {index: {} for index in range(len(parameters))}
    for key, value in state.items():
        if key.startswith("optimizer."):
            _, index, slot = key.split(".")
            # The fused step needs the memory layout of the parameter, channels last.
            like = parameters[int(index)]
            slots[int(index)][slot] = torch.empty_like(like).copy_(value) if value.shape == like.shape else value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})


def _optimizer(network: nn.Module, recipe: Mapping[str, Any], pretrained: bool) -> Optimizer:
    """The recipe's optimizer, with a group of parameters for each stage of a pretrained encoder."""
    children = network.encoder.children() if pretrained else ()  # type: ignore[union-attr]
    stages = [parameters for child in children if (parameters := list(child.parameters()))]
    encoder = {id(each) for stage in stages for each in stage}
    rest = [each for each in network.parameters() if id(each) not in encoder]
    groups = [{"params": rest, "highest_lr": recipe["learning_rate"]}]
    for depth, parameters in enumerate(stages):
        factor = _depth_factor(recipe, depth, len(stages))
        groups.append({"params": parameters, "highest_lr": recipe["learning_rate"] * factor})
    learning_rate, weight_decay = recipe["learning_rate"], recipe["weight_decay"]
    if recipe["optimizer"] == "rmsprop":
        return RMSprop(groups, lr=learning_rate, weight_decay=weight_decay)
    kind = AdamW if recipe["optimizer"] == "adamw" else Adam
    return kind(groups, lr=learning_rate, weight_decay=weight_decay, fused=True)


def _depth_factor(recipe: Mapping[str, Any], depth: int, stages: int) -> float:
    """Share of the learning rate of an encoder's stage: the same for all, or geometrically rising up to the head."""
    lowest = recipe["encoder_learning_rate_factor"]
    return float(lowest ** (1 - depth / stages)) if recipe["discriminative"] else lowest


def _check(task: TrainingTask, network: nn.Module) -> None:
    if len(task.training) == 0:
        raise BakeoffError(f"{task.name}: there are no training images: change the task's split.")
    if len(task.validation) == 0:
        raise BakeoffError(f"{task.name}: there are no validation images: change the task's split.")
    if wrong := task.objective.check(task.training):
        raise BakeoffError(f"{task.name}: {wrong}")
    if task.pretrained and not hasattr(network, "encoder"):
        raise BakeoffError(
            f"{task.name}: the network has no attribute 'encoder' for pretrained weights: set weights to none, or name "
            "the pretrained part 'encoder'."
        )
    if task.recipe["frozen_epochs"] and not task.pretrained:
        raise BakeoffError(
            f"{task.name}: the recipe's frozen_epochs is {task.recipe['frozen_epochs']}, but the encoder has no "
            "pretrained weights to preserve: set frozen_epochs to 0, or give the experiment weights."
        )


@contextmanager
def _errors_explained(task: TrainingTask) -> Iterator[None]:
    """Turn errors that the user can fix, such as too little memory, into one sentence; others pass."""
    try:
        yield
    except BakeoffError as error:
        raise BakeoffError(f"{task.name}: {error}") from None
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, torch.OutOfMemoryError | MemoryError) and not NO_MEMORY.search(str(error)):
            raise
        raise BakeoffError(
            f"{task.name}: memory ran out at {task.batch_size} images of {task.training.images.shape[-1]} pixels per "
            "step: lower the recipe's batch_size or the data set's size."
        ) from error
