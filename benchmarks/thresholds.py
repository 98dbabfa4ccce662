"""How fast every threshold is, scoring included, on real X-rays: `python benchmarks/thresholds.py --mirror FOLDER`.

The pictures are read, resized to `--size` and held in memory beforehand. Timed from there: one histogram a picture, ten
methods' thresholds and masks, and every score (overlap and surface distances) of the ten masks. What Bakeoff computes
itself is then compared with libraries on `--reference` pictures: multi-level Otsu with scikit-image, surface distances
with MONAI.
"""

import argparse
import os
import time
import warnings
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from bakeoff.artefacts.grey_levels import histogram
from bakeoff.artefacts.provenance import thread_count
from bakeoff.baselines.foreground import foreground_masks
from bakeoff.baselines.multiotsu import multiotsu
from bakeoff.baselines.thresholds import THRESHOLDS
from bakeoff.evaluation.scores import score_masks
from skimage import filters

ARCHIVE = "chest-xray-masks-and-labels.zip"
MULTIOTSU_CLASSES = (3, 4, 5)
# Pictures whose ten masks are held at a time.
BLOCK = 64


def read_xrays(archive: Path, size: int, limit: int | None) -> tuple[np.ndarray, np.ndarray]:
    """X-rays that have a mask, and their masks; uint8, (n, size, size) each, masks of 0 and 1."""
    images, masks = [], []
    with zipfile.ZipFile(archive) as members:
        named = sorted(name for name in members.namelist() if "/masks/" in name and name.endswith(".png"))
        for name in named[:limit]:
            path = PurePosixPath(name)
            picture = path.parent.parent / "CXR_png" / path.name.replace("_mask", "")
            grey, mask = (
                cv2.imdecode(np.frombuffer(members.read(str(member)), np.uint8), cv2.IMREAD_GRAYSCALE)
                for member in (picture, path)
            )
            images.append(cv2.resize(grey, (size, size), interpolation=cv2.INTER_AREA))
            masks.append((cv2.resize(mask, (size, size), interpolation=cv2.INTER_NEAREST) > 127).astype(np.uint8))
    return np.stack(images), np.stack(masks)


def ours(images: np.ndarray, truth: np.ndarray, threads: int) -> dict[str, float]:
    """Seconds that each step takes for all pictures and methods."""
    seconds = {}
    with ThreadPoolExecutor(threads) as pool:
        started = time.perf_counter()
        counts = np.array(list(pool.map(histogram, images)))
        seconds["histograms"] = time.perf_counter() - started

        parts = np.array_split(counts, threads)
        methods: dict[str, Callable[[np.ndarray], np.ndarray]] = {
            **{name: lambda part, find=find: find(part)[:, None] for name, find in THRESHOLDS.items()},
            **{f"multiotsu{k}": lambda part, k=k: multiotsu(part, k) for k in MULTIOTSU_CLASSES},
        }
        thresholds = []
        for name, find in methods.items():
            started = time.perf_counter()
            thresholds.append(np.concatenate(list(pool.map(find, parts))))
            seconds[name] = time.perf_counter() - started

    seconds["masks"] = seconds["scores"] = 0.0
    for start in range(0, len(images), BLOCK):
        part = slice(start, start + BLOCK)
        started = time.perf_counter()
        dark = np.zeros(len(images[part]), int)
        predictions = [foreground_masks(images[part], levels[part], dark) for levels in thresholds]
        masked = time.perf_counter()
        score_masks(truth[part], predictions, threads=threads)
        seconds["masks"] += masked - started
        seconds["scores"] += time.perf_counter() - masked
    return seconds


def seconds_each(function: Callable[[np.ndarray], object], images: np.ndarray) -> float:
    """Mean seconds a picture."""
    started = time.perf_counter()
    for image in images:
        function(image)
    return (time.perf_counter() - started) / len(images)


def reference_scores(truth: np.ndarray, predictions: np.ndarray) -> float:
    """Seconds a mask for MONAI's two surface distances."""
    import torch
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance
    from monai.metrics.surface_distance import compute_average_surface_distance

    true, predicted = (torch.from_numpy(masks[:, None]).float() for masks in (truth, predictions))
    started = time.perf_counter()
    compute_hausdorff_distance(predicted, true, include_background=True, percentile=95)
    compute_average_surface_distance(predicted, true, include_background=True, symmetric=True)
    return (time.perf_counter() - started) / len(truth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mirror", type=Path, required=True, help=f"folder that holds {ARCHIVE}")
    parser.add_argument("--size", type=int, default=256, help="side of the pictures, in pixels")
    parser.add_argument("--limit", type=int, help="read only so many pictures")
    parser.add_argument("--repeats", type=int, default=3, help="runs, of which the fastest counts")
    parser.add_argument("--reference", type=int, default=8, help="pictures given to scikit-image and MONAI; 0: none")
    options = parser.parse_args()

    threads = thread_count()
    images, truth = read_xrays(options.mirror / ARCHIVE, options.size, options.limit)
    ours(images[:8], truth[:8], threads)  # warm-up
    runs = [ours(images, truth, threads) for _ in range(options.repeats)]
    best = min(runs, key=lambda run: sum(run.values()))
    total = sum(best.values())
    rates = ", ".join(f"{len(images) / sum(run.values()):.0f}" for run in runs)
    print(f"{len(images)} X-rays at {options.size} x {options.size}, {threads} threads, {os.cpu_count()} cores")
    print(f"all 10 methods, scoring included: {len(images) / total:.0f} images/s (every run: {rates})")
    print(
        f"\n{'step':14}{'ms an image':>12}{'reference':>12}{'ratio':>8}   reference: one thread of scikit-image, MONAI"
    )

    sample = images[: options.reference]
    for step, seconds in best.items():
        mine = seconds / len(images)
        line = f"{step:14}{1e3 * mine:12.3f}"
        if len(sample) and step.startswith(("multiotsu", "scores")):
            theirs = _reference(step, sample, truth)
            line += f"{1e3 * theirs:12.2f}{theirs / mine:8.1f}x"
        print(line)


def _reference(step: str, sample: np.ndarray, truth: np.ndarray) -> float:
    """Seconds a picture that scikit-image takes for multi-level Otsu, or MONAI for ten masks' surface distances."""
    warnings.simplefilter("ignore")  # MONAI's about its own next version
    if step == "scores":
        dark = np.stack([image <= filters.threshold_otsu(image) for image in sample])
        return 10 * reference_scores(truth[: len(sample)], dark)
    classes = int(step.removeprefix("multiotsu"))
    few = sample[:1] if classes > 4 else sample  # 5 classes take it most of a minute
    return seconds_each(lambda image: filters.threshold_multiotsu(image, classes), few)


if __name__ == "__main__":
    main()
