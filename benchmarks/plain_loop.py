"""An experiment of masks against a plain training loop of the same network, data, epochs and batches.

    python benchmarks/plain_loop.py ROOT EXPERIMENT

The loop is what one would write in an hour: cross-entropy, AdamW at the recipe's learning rate with a cosine to 0, half
the images mirrored, the weights of the last epoch. It starts from the same pretrained weights and takes the same
prepared images. Both are scored by the mean IoU over the classes of all test pixels together, void left out.
"""

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bakeoff.artefacts.layout import Project
from bakeoff.artefacts.predictions import read_predictions
from bakeoff.artefacts.prepared import open_prepared, read_folds
from bakeoff.artefacts.ragged import of_one_size
from bakeoff.artefacts.void import VOID
from bakeoff.config import read_config
from bakeoff.evaluation.overlap import class_confusion
from bakeoff.training.device import set_up
from bakeoff.training.preprocessing import channels_first, class_indices, normalise, to_unit_range
from bakeoff.training.saved import architecture, build_network
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional


def main() -> None:
    """Print both scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("experiment")
    arguments = parser.parse_args()
    project, config = Project(arguments.root), read_config(arguments.root / "params.yaml")
    settings, entry = config.experiment(arguments.experiment), config.networks[arguments.experiment]
    data = open_prepared(project.prepared(entry.dataset))
    fold = read_folds(project.split(entry.task), data)[0]
    images, masks = (torch.from_numpy(of_one_size(each).copy()) for each in (data.images, data.true_masks()))
    torch.manual_seed(0)
    network = build_network(settings["model"], data.channels, len(data.classes), settings["settings"], "here")
    if entry.weights != "none":
        weights = load_file(project.weights(entry.weights) / "model.safetensors")
        architecture(settings["model"]).load_encoder(network, weights)
    recipe = config.recipes[entry.recipe].at(config.profile)
    began = time.perf_counter()
    train(network, channels_first(images.numpy()), masks, torch.from_numpy(fold.train), recipe)
    seconds = time.perf_counter() - began
    predicted = predict(network, channels_first(images[torch.from_numpy(fold.test)].numpy()))
    truth = of_one_size(data.true_masks())[fold.test]
    folder = project.experiment(entry.task, arguments.experiment, "networks").predictions
    ours = of_one_size(read_predictions(folder).masks[0])
    for name, found in ((arguments.experiment, ours), (f"plain loop ({seconds:.0f} s)", predicted)):
        print(f"{name}: mean IoU {mean_iou(truth, found, len(data.classes)):.4f} on {len(truth)} images", flush=True)


def train(network: Any, images: Tensor, masks: Tensor, rows: Tensor, recipe: Mapping[str, Any]) -> None:
    """Train in place; `images` are uint8 (n, channels, height, width)."""
    runtime = set_up(recipe["precision"])
    network.train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe["learning_rate"], weight_decay=recipe["weight_decay"])
    steps = recipe["epochs"] * (len(rows) // recipe["batch_size"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for epoch in range(recipe["epochs"]):
        losses = []
        for batch in rows[torch.randperm(len(rows))].split(recipe["batch_size"]):
            if len(batch) < recipe["batch_size"]:
                continue
            pictures, answers = to_unit_range(images[batch]), masks[batch].long()
            mirrored = torch.rand(len(batch)) < 0.5
            pictures[mirrored], answers[mirrored] = pictures[mirrored].flip(-1), answers[mirrored].flip(-1)
            with runtime.autocast():
                logits = network(normalise(pictures, network))
            loss = functional.cross_entropy(logits.float(), answers, ignore_index=VOID)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}", flush=True)


@torch.inference_mode()
def predict(network: Any, images: Tensor) -> np.ndarray:
    """Class indices, uint8 (n, height, width)."""
    network.eval()
    found = [class_indices(network(normalise(to_unit_range(batch), network))) for batch in images.split(8)]
    return torch.cat(found).to(torch.uint8).numpy()


def mean_iou(truth: np.ndarray, predicted: np.ndarray, classes: int) -> float:
    """Mean IoU over the classes, of all pixels together."""
    answered = truth != VOID
    confusion = class_confusion(truth[answered], np.asarray(predicted)[answered], classes)
    both = np.diag(confusion)
    return float((both / (confusion.sum(axis=0) + confusion.sum(axis=1) - both)).mean())


if __name__ == "__main__":
    main()
