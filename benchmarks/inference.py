"""How fast a trained experiment predicts, and how well images of other data sets are recognised: `python
benchmarks/inference.py --help`.

`speed`: batch 1, torch in eager mode and fp32 against ONNX Runtime, one network, one machine, the same number of
threads, alternating so that both run under the same load; medians. Then, medians of nine, the time from starting
`bakeoff predict --runtime onnx` to its end with one image, and that of `bakeoff --help`, the least that any command
takes. Run it where `params.yaml` and `results` are, after `bakeoff export`.

`out-of-distribution`: for every data set that is prepared, how often one of its test images is nearer to its training
images than an image of another data set is (the area under the ROC curve), all at its size and channels; and how many
of either are out of distribution (OOD). Needs `data/prepared` and `data/splits` alone.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from bakeoff.artefacts.layout import Project
from bakeoff.artefacts.prepared import Prepared, open_prepared, read_folds
from bakeoff.config import CONFIG_FILE, read_config
from bakeoff.datasets.preparation.decode import resize_image
from bakeoff.evaluation.out_of_distribution import THRESHOLD, fit_detector, parse_detector
from PIL import Image

# A task of each data set whose images are asked for.
TASKS = {"pets": "pets-masks", "catsdogs": "catsdogs", "lungs": "lungs", "ultrasound": "ultrasound"}
REPEATS, STARTS = 30, 9


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(), help="the clone")
    commands = parser.add_subparsers(dest="command", required=True)
    speed_command = commands.add_parser("speed")
    speed_command.add_argument("experiments", nargs="+")
    detection_command = commands.add_parser("out-of-distribution")
    detection_command.add_argument("--images", type=int, default=300, help="of each data set at most")
    arguments = parser.parse_args()
    if arguments.command == "speed":
        for experiment in arguments.experiments:
            speed(arguments.root, experiment)
    else:
        out_of_distribution(arguments.root, arguments.images)


def speed(root: Path, experiment: str) -> None:
    """Print latency of one picture on both runtimes, and the time of a whole command."""
    import torch
    from bakeoff.exports.onnx_runtime import OnnxNetwork
    from bakeoff.training.device import Runtime
    from bakeoff.training.inference import predict_masks, predict_probabilities
    from bakeoff.training.preprocessing import channels_first
    from bakeoff.training.torch_network import TorchNetwork

    project, settings = Project(root), read_config(root / CONFIG_FILE).experiment(experiment)
    models = project.experiment(settings["task"], experiment, settings["family"]).models
    weights = next(iter(sorted(models.glob("seed0*.safetensors"))), None)
    if weights is None:
        sys.exit(f"{models} holds no network: run `dvc repro train@{experiment}` and `bakeoff export {experiment}`.")
    opened = TorchNetwork.open(weights)
    onnx = OnnxNetwork.open(project.exports(experiment) / f"{weights.stem}.onnx")
    known = opened.description
    masks = known["target"] is None
    side, channels = known["size"], known["in_channels"]
    picture = np.random.default_rng(0).integers(0, 256, (1, side, side, channels), np.uint8)
    images, runtime = channels_first(picture), Runtime(torch.device("cpu"), "fp32")
    network = opened._network.to("cpu")
    predict = predict_masks if masks else predict_probabilities
    ask_onnx = onnx.masks if masks else onnx.probabilities
    eager, exported = _medians(
        lambda: predict(network, images, runtime, batch_size=1),
        lambda: ask_onnx(picture),
    )
    started, helped = _command_medians(root, experiment, picture[0])
    print(
        f"{experiment}: {known['architecture']} at {side} px, batch 1: torch {1000 * eager:.1f} ms, "
        f"ONNX Runtime {1000 * exported:.1f} ms, {eager / exported:.2f} times as fast; command {started:.2f} s, "
        f"--help {helped:.2f} s"
    )


def _medians(*calls: Callable[[], object], repeats: int = REPEATS) -> list[float]:
    seconds: list[list[float]] = [[] for _ in calls]
    for repeat in range(repeats + 3):
        for call, taken in zip(calls, seconds, strict=True):
            began = time.perf_counter()
            call()
            if repeat >= 3:  # the first calls pay for what later ones reuse
                taken.append(time.perf_counter() - began)
    return [statistics.median(taken) for taken in seconds]


def _command_medians(root: Path, experiment: str, picture: np.ndarray) -> list[float]:
    """Seconds from the start of a command to its end: a prediction of one picture, and the help."""

    def run(*words: str) -> None:
        subprocess.run([sys.executable, "-m", "bakeoff.cli", *words], cwd=root, check=True, capture_output=True)

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "picture.png"
        Image.fromarray(picture.squeeze()).save(file)
        words = ["predict", experiment, str(file), "--out", f"{folder}/out", "--runtime", "onnx"]
        return _medians(lambda: run(*words), lambda: run("--help"), repeats=STARTS)


def out_of_distribution(root: Path, limit: int) -> None:
    """Print a table of areas under the ROC curve, a row a data set whose images are known."""
    project = Project(root)
    data = {name: open_prepared(project.prepared(name)) for name in TASKS if project.prepared(name).is_dir()}
    print(f"| images known | train | {' | '.join(f'against {name}' for name in data)} | own called OOD | fit, s |")
    print(f"|---|---|{'---|' * (len(data) + 2)}")
    for name, known in data.items():
        fold = read_folds(project.split(TASKS[name]), known)[0]
        began = time.perf_counter()
        fitted = parse_detector(fit_detector(known.pictures, fold.train, fold.validation, known.geometry))
        seconds = time.perf_counter() - began
        own = known.images[_some(fold.test, limit)]
        distances = fitted.distances(own)
        cells = []
        for other, foreign in data.items():
            if other == name:
                cells.append("")
                continue
            pictures = _as(foreign, _some(np.arange(len(foreign.images)), limit), *known.images.shape[2:])
            area = _area_under_curve(distances, fitted.distances(pictures))
            cells.append(f"{area:.3f} ({(fitted.scores(pictures) > THRESHOLD).mean():.0%} called OOD)")
        called = (fitted.scores(own) > THRESHOLD).mean()
        print(f"| {name} | {len(fold.train)} | {' | '.join(cells)} | {called:.1%} | {seconds:.2f} |", flush=True)


def _some(rows: np.ndarray, limit: int) -> np.ndarray:
    return np.sort(np.random.default_rng(0).permutation(rows)[:limit])


def _as(data: Prepared, rows: np.ndarray, size: int, channels: int) -> np.ndarray:
    """Pictures of a data set at another's size and channels."""
    pictures = []
    for picture in data.images[rows]:
        image = Image.fromarray(picture.squeeze()).convert("L" if channels == 1 else "RGB")
        pictures.append(resize_image(np.asarray(image).reshape(*image.size[::-1], channels), (size, size)))
    return np.stack(pictures)


def _area_under_curve(own: np.ndarray, foreign: np.ndarray) -> float:
    """Share of pairs in which the foreign image is the farther one; ties count half."""
    greater = (foreign[:, None] > own).mean()
    return float(greater + (foreign[:, None] == own).mean() / 2)


if __name__ == "__main__":
    main()
