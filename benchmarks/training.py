"""Images a second that each network trains at, against the plainest correct loop, in one process on one machine.

The plainest loop: fp32, row-major memory, a DataLoader that augments one image at a time, a plain AdamW step. Both see
the same network, batch size and images, and both are warmed up before they are timed.

    python benchmarks/training.py [--size 192] [--batch 8] [--steps 8]
"""

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

import kornia.augmentation as kornia
import torch
from bakeoff.models import deeplabv3plus, unet
from bakeoff.training.augmentation import augment
from bakeoff.training.device import Runtime, set_up
from bakeoff.training.losses import class_weights, dice_cross_entropy
from bakeoff.training.preprocessing import normalise, to_unit_range
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

AUGMENTATION = {
    "rotate": 10,
    "scale": 0.1,
    "translate": 0.05,
    "brightness": 0.2,
    "contrast": 0.2,
    "gamma": 0.2,
    "flip": False,
}
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "unet 32-64-128-256-512": lambda: unet.build(1, 1),
    "deeplabv3plus": lambda: deeplabv3plus.build(1, 1),
}


class Pictures(Dataset[tuple[Tensor, Tensor]]):
    """Augments the image that is asked for."""

    def __init__(self, images: Tensor, masks: Tensor) -> None:
        self.images, self.masks = images, masks
        self.generator = torch.Generator().manual_seed(0)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, mask = to_unit_range(self.images[index : index + 1]), self.masks[index : index + 1]
        image, mask = augment(image, mask, AUGMENTATION, self.generator)
        return image[0], mask[0]


def plain_steps(network: nn.Module, images: Tensor, masks: Tensor, batch: int, device: torch.device) -> Iterator[None]:
    """One training step each time it is asked."""
    network.to(device).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, foreach=False)
    weights = class_weights(masks, 2).to(device)
    while True:
        for pictures, truths in DataLoader(Pictures(images, masks), batch_size=batch, shuffle=True, drop_last=True):
            optimizer.zero_grad()
            inputs = normalise(pictures.to(device), network).contiguous()  # type: ignore[arg-type]
            dice_cross_entropy(network(inputs), truths.to(device), weights).backward()
            optimizer.step()
            yield


def our_steps(network: nn.Module, images: Tensor, masks: Tensor, batch: int, runtime: Runtime) -> Iterator[None]:
    """One step as `bakeoff.training.loop` does it."""
    network.to(runtime.device).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    images, masks = images.to(runtime.device), masks.to(runtime.device)
    weights = class_weights(masks, 2).to(runtime.device)
    generator = torch.Generator().manual_seed(0)
    while True:
        order = torch.randperm(len(images), generator=generator).to(images.device)
        for rows in order.split(batch)[: len(images) // batch]:
            pictures, truths = augment(to_unit_range(images[rows]), masks[rows], AUGMENTATION, generator)
            with runtime.autocast():
                logits = network(normalise(pictures, network))  # type: ignore[arg-type]
            optimizer.zero_grad(set_to_none=True)
            dice_cross_entropy(logits, truths, weights).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            yield


def kornias(images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """The same changes by kornia's `AugmentationSequential`."""
    sequence = kornia.AugmentationSequential(
        kornia.RandomAffine(10.0, translate=(0.05, 0.05), scale=(0.9, 1.1), p=1.0),
        kornia.ColorJiggle(brightness=0.2, contrast=0.2, p=1.0),
        kornia.RandomGamma((0.8, 1.2), p=1.0),
        data_keys=["input", "mask"],
    )
    changed, classes = sequence(to_unit_range(images), masks[:, None].float())
    return changed, classes[:, 0].byte()


def rate(step: Callable[[], Any], images: int, repeats: int, device: torch.device) -> float:
    """Images a second: the median of timed repeats, after two to warm up."""
    seconds = []
    for _ in range(repeats + 2):
        began = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return images / sorted(seconds[2:])[repeats // 2]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=8)
    given = parser.parse_args()
    runtime = set_up("auto")
    torch.use_deterministic_algorithms(False)  # kornia and the plain loop need not be
    torch.manual_seed(0)
    blobs = functional.interpolate(torch.rand(4 * given.batch, 1, 6, 6), size=given.size, mode="bicubic").clamp(0, 1)
    images, masks = (255 * blobs).byte(), (blobs[:, 0] > 0.5).byte()
    print(
        f"{runtime.name}, {torch.get_num_threads()} threads, {runtime.precision}, "
        f"{given.batch} images of {given.size} pixels a step, median of {given.steps} steps"
    )

    first = slice(given.batch)
    generator = torch.Generator().manual_seed(0)
    few, few_masks = images[first].to(runtime.device), masks[first].to(runtime.device)
    ours = rate(
        lambda: augment(to_unit_range(few), few_masks, AUGMENTATION, generator), given.batch, 20, runtime.device
    )
    theirs = rate(lambda: kornias(few, few_masks), given.batch, 20, runtime.device)
    print(f"augmentation alone: kornia {theirs:.0f} images/s, ours {ours:.0f} images/s, ratio {ours / theirs:.2f}")

    for name, build in NETWORKS.items():
        plain = plain_steps(build(), images, masks, given.batch, runtime.device)
        before = rate(lambda plain=plain: next(plain), given.batch, given.steps, runtime.device)  # type: ignore[misc]
        ours_each = our_steps(build(), images, masks, given.batch, runtime)
        after = rate(lambda each=ours_each: next(each), given.batch, given.steps, runtime.device)  # type: ignore[misc]
        print(f"{name}: plain {before:.1f} images/s, ours {after:.1f} images/s, ratio {after / before:.2f}")


if __name__ == "__main__":
    main()
