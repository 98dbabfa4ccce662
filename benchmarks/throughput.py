"""Images a second that each network of the configuration trains at, against the plainest correct loop of it, in one
run.

The plainest loop: fp32, row-major memory, a DataLoader that augments one image at a time, a plain AdamW step, in a
process that sets nothing up. Bakeoff's is `bakeoff.training.loop` itself, after `bakeoff.training.device.set_up`. Both
see the same network (no part of it frozen), batch size, images, augmentation and loss, of masks or of classes or of
both, whichever the network predicts; both do one epoch to warm up, and of two more the faster counts. Sizes are those
of the `small` profile: of smaller pictures bf16 gains less, since more of a step is moving memory.

    python benchmarks/throughput.py [--experiments lungs-unet ...] [--size 160] [--batch 16] [--steps 3]
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import kornia.augmentation as kornia
import torch
from bakeoff.config import read_config
from bakeoff.training.augmentation import augment
from bakeoff.training.checkpoint import CheckpointFolder
from bakeoff.training.device import Runtime, set_up
from bakeoff.training.loop import TrainingTask, train
from bakeoff.training.objective import Examples, Objective, classification, segmentation
from bakeoff.training.preprocessing import normalise, to_unit_range
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

CLASSES = ["background", "pet", "border"]
EPOCHS = 3
RECIPE: dict[str, Any] = {
    "epochs": EPOCHS,
    "patience": EPOCHS,
    "frozen_epochs": 0,
    "optimizer": "adamw",
    "learning_rate": 1e-4,
    "schedule": "cosine",
    "warmup_epochs": 1,
    "encoder_learning_rate_factor": 1.0,
    "discriminative": False,
    "weight_decay": 0.01,
    "augmentation": {
        "rotate": 10,
        "scale": 0.1,
        "translate": 0.05,
        "brightness": 0.2,
        "contrast": 0.2,
        "gamma": 0.2,
        "flip": True,
    },
}
ROOT = Path(__file__).resolve().parent.parent


class Pictures(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Augments the image that is asked for."""

    def __init__(self, examples: Examples) -> None:
        self.examples = examples
        self.generator = torch.Generator().manual_seed(0)

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        one = self.examples.rows(slice(index, index + 1))
        image, mask = augment(to_unit_range(one.images), one.masks, RECIPE["augmentation"], self.generator)
        assert mask is not None
        assert one.labels is not None
        return image[0], mask[0], one.labels[0]


def objective_of(network: nn.Module, examples: Examples) -> Objective:
    """That of masks, of classes or of both, whichever the network predicts."""
    with torch.no_grad():
        outputs = network.eval()(to_unit_range(examples.images[:1]))
    both = isinstance(outputs, dict)
    if not both and outputs.ndim == 4:
        return segmentation(examples, CLASSES)
    return classification(examples, CLASSES, weighted=False, smoothing=0.0, mask_classes=CLASSES if both else None)


def plain_rate(network: nn.Module, examples: Examples, objective: Objective, batch: int, device: torch.device) -> float:
    """Images a second of the plainest loop."""
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=RECIPE["learning_rate"], foreach=False)
    loader = DataLoader(Pictures(examples), batch_size=batch, shuffle=True, drop_last=True)

    def epoch() -> None:
        for images, masks, labels in loader:
            optimizer.zero_grad()
            outputs = network(normalise(images.to(device), network).contiguous())  # type: ignore[arg-type]
            objective.loss(outputs, Examples(images, masks, labels).to(device)).backward()
            optimizer.step()

    return len(examples) / fastest(epoch, EPOCHS, device)


def our_rate(network: nn.Module, examples: Examples, objective: Objective, batch: int, runtime: Runtime) -> float:
    """Images a second as `bakeoff.training.loop` reports them."""
    first = examples.rows(slice(batch))
    task = TrainingTask("throughput", examples, first, objective, RECIPE | {"batch_size": batch}, seed=0)
    with TemporaryDirectory() as folder:
        checkpoints = CheckpointFolder(Path(folder))
        with checkpoints.held("throughput"):
            _, history = train(task, network, runtime, checkpoints)
    return max(row["images_per_second"] for row in history[1:])


def fastest(once: Callable[[], Any], times: int, device: torch.device) -> float:
    """Seconds of the fastest repeat, after one to warm up."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        once()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:])


def kornias(images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """The same changes by kornia's `AugmentationSequential`."""
    sequence = kornia.AugmentationSequential(
        kornia.RandomAffine(10.0, translate=(0.05, 0.05), scale=(0.9, 1.1), p=1.0),
        kornia.RandomHorizontalFlip(p=0.5),
        kornia.ColorJiggle(brightness=0.2, contrast=0.2, p=1.0),
        kornia.RandomGamma((0.8, 1.2), p=1.0),
        data_keys=["input", "mask"],
    )
    changed, classes = sequence(to_unit_range(images), masks[:, None].float())
    return changed, classes[:, 0].byte()


def print_augmentation(examples: Examples, device: torch.device) -> None:
    """Compare the augmentation alone with kornia's, on one batch."""
    generator = torch.Generator().manual_seed(0)
    images, masks = examples.images, examples.masks
    assert masks is not None
    ours, theirs = (
        len(examples) / fastest(each, 20, device)
        for each in (
            lambda: augment(to_unit_range(images), masks, RECIPE["augmentation"], generator),
            lambda: kornias(images, masks),
        )
    )
    print(f"augmentation alone: kornia {theirs:.0f} images/s, ours {ours:.0f} images/s, ratio {ours / theirs:.2f}")


def blobs(count: int, size: int) -> Examples:
    """Smooth random colour images; the brightness of red decides on the class of a pixel; labels in turn."""
    images = functional.interpolate(torch.rand(count, 3, 6, 6), size=size, mode="bicubic").clamp(0, 1)
    masks = torch.bucketize(images[:, 0].contiguous(), torch.tensor([0.4, 0.6])).byte()
    return Examples((255 * images).byte(), masks, torch.arange(count) % len(CLASSES))


def networks() -> dict[str, dict[str, Any]]:
    """The first experiment of the configuration that trains each network: its model and settings."""
    config = read_config(ROOT / "params.yaml")
    first: dict[str, tuple[str, dict[str, Any]]] = {}
    for name in config.experiment_names():
        experiment = config.experiment(name)
        if "model" in experiment:
            first.setdefault(json.dumps([experiment["model"], experiment["settings"]]), (name, experiment))
    return dict(first.values())


def made(experiment: Mapping[str, Any], examples: Examples, device: torch.device) -> tuple[nn.Module, Objective]:
    """A network with random weights on a device, and what it learns by."""
    model = import_module(f"bakeoff.models.{experiment['model']}")
    network: nn.Module = model.build(3, len(CLASSES), **experiment["settings"])
    network.to(device)
    return network, objective_of(network, examples.to(device))


def main() -> None:
    """Print the table."""
    known = networks()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiments", nargs="+", choices=known, default=list(known), metavar="NAME")
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--plain", choices=known, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.manual_seed(0)
    examples = blobs(given.batch * given.steps, given.size)
    if given.plain:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network, objective = made(known[given.plain], examples, device)
        print(plain_rate(network, examples, objective, given.batch, device))
        return
    runtime = set_up("auto")
    on_device = examples.to(runtime.device)
    print(
        f"{runtime.name}, {torch.get_num_threads()} threads, {runtime.precision}, {given.steps} steps an epoch of "
        f"{given.batch} images of {given.size} pixels"
    )
    print(
        "| network | first experiment | plain, images/s | Bakeoff, images/s | ratio |\n|---|---|---|---|---|",
        flush=True,
    )
    for name in given.experiments:
        sizes = [f"--{key}={getattr(given, key)}" for key in ("size", "batch", "steps")]
        plain = subprocess.run(
            [sys.executable, __file__, f"--plain={name}", *sizes], capture_output=True, text=True, check=True
        )
        before = float(plain.stdout)
        network, objective = made(known[name], on_device, runtime.device)
        after = our_rate(network, examples, objective, given.batch, runtime)
        what = f"{known[name]['model']} {json.dumps(known[name]['settings'])}".replace('"', "")
        print(f"| {what} | {name} | {before:.1f} | {after:.1f} | {after / before:.2f} |", flush=True)
    torch.use_deterministic_algorithms(False)
    print_augmentation(on_device.rows(slice(given.batch)), runtime.device)


if __name__ == "__main__":
    main()
