"""Write every trained network of an experiment as ONNX, and measure its parity with torch."""

import hashlib
import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from bakeoff.artefacts.atomic import atomic_folder, write_text
from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.geometry import Geometry
from bakeoff.artefacts.mask_score import MaskScore
from bakeoff.artefacts.prepared import Fold, Prepared, open_images, open_prepared, read_folds, run_name
from bakeoff.artefacts.ragged import Arrays, of_one_size
from bakeoff.artefacts.void import VOID
from bakeoff.artefacts.windows import central
from bakeoff.cards.notes import medical_note
from bakeoff.evaluation.paired import compare_paired
from bakeoff.evaluation.scores import scored_alone
from bakeoff.exports.onnx_runtime import METADATA_KEY, OnnxNetwork, class_indices
from bakeoff.exports.quantisation import quantise
from bakeoff.training.device import Runtime, set_up
from bakeoff.training.inference import BATCH_SIZE, predict_masks, predict_probabilities
from bakeoff.training.objective import DIMENSIONS, head
from bakeoff.training.preprocessing import channels_first, normalise, to_unit_range
from bakeoff.training.saved import Description, load_network

logger = logging.getLogger(__name__)
for library in ("onnx_ir", "onnxscript"):  # torch's exporter logs every node that it simplifies
    logging.getLogger(library).setLevel(logging.WARNING)

# The version that torch's exporter is written for; others are converted from it.
OPSET = 20
# The most that a logit may differ, and the margin of an answer below which another answer is a tie.
TOLERANCE = 1e-3
# For a network that unpools, the share of answers whose logits may differ by more, and the share that may change beyond
# ties: see `require_parity`.
UNPOOLED_BEYOND, UNPOOLED_CHANGED = 0.05, 1e-3
# Numbers of test images, spread evenly over all, on which a network is run at another size, and on which one that
# unpools is compared with exact arithmetic.
OTHER_SIZE_IMAGES, EXACT_IMAGES = 8, 16
IMAGES_AT_A_TIME = 64
# Numbers of training images that calibrate 8 bits, and of test images that measure their loss.
CALIBRATION_IMAGES, INT8_IMAGES = 64, 512
# The reference is torch in fp32 on the processor: a GPU's convolutions may be in TF32.
CPU = ["CPUExecutionProvider"]


@dataclass(frozen=True)
class TrainedNetwork:
    """The file of a trained network, and the images that it was not trained on."""

    path: Path
    seed: int
    fold: Fold


def export(
    name: str,
    prepared: Path,
    split: Path,
    images: Path | None,
    models: Path,
    folder: Path,
    *,
    int8: bool,
    resamples: int,
    ranked_by: str | Mapping[str, str] | None = None,
) -> None:
    """Write `seedK.onnx` (with cross-validation `seedK-foldJ.onnx`) of every network, and `parity.json`.

    Parameters
    ----------
    name
        Of the experiment.
    prepared
        `data/prepared/DATASET`.
    split
        `data/splits/TASK.csv`.
    images
        `data/prepared/NAME` of derived pictures in place of the data set's; None for those.
    models
        `results/TASK/NAME/models`, as `train` wrote it.
    folder
        `results/exports/NAME`, which appears whole or not at all.
    int8
        Whether to write `seedK-int8.onnx` too, and to measure what it loses.
    resamples
        Of the bootstrap behind the interval of that loss.
    ranked_by
        The task's `score`, of masks.

    Raises
    ------
    BakeoffError
        If there is no network, one is not for these data, or ONNX Runtime disagrees with torch: see `require_parity`.
    """
    data = open_prepared(prepared)
    folds = read_folds(split, data)
    networks = _trained_networks(name, models, folds)
    facts = {
        "name": name,
        "note": medical_note(data.about),
        **{key: data.about.get(key) for key in ("title", "licence", "citation")},
    }
    facts |= {"dataset": data.about["name"], "synthetic": data.about["synthetic"]}
    score = data.score(ranked_by).of_pixels
    with atomic_folder(folder) as beside:
        files = [_export_network(trained, data, images, beside, facts) for trained in networks]
        parity = {
            "name": name,
            "opset": OPSET,
            "tolerance": TOLERANCE,
            "versions": {package: version(package) for package in ("torch", "onnx", "onnxruntime")},
            "files": files,
            "int8": _export_int8(networks, data, images, beside, resamples, score) if int8 else None,
        }
        write_text(beside / "parity.json", json.dumps(parity, indent=2, allow_nan=False) + "\n")


def _trained_networks(name: str, models: Path, folds: Sequence[Fold]) -> list[TrainedNetwork]:
    seeds = sorted({json.loads(path.read_text())["seed"] for path in models.glob("seed*.json")})
    found = [
        TrainedNetwork(models / f"{run_name(seed, fold.number, len(folds))}.safetensors", seed, fold)
        for seed in seeds
        for fold in folds
    ]
    if not found:
        raise BakeoffError(f"{models} holds no trained network of {name}: run `dvc repro train@{name}`.")
    return found


def _export_network(
    trained: TrainedNetwork, data: Prepared, images: Path | None, folder: Path, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Write one network, and compare its answers with torch's."""
    network, description = load_network(trained.path)
    pictures = _whole(open_images(data, images, trained.fold.number), data.geometry)
    _check_data(trained.path, description, data, pictures)
    path = folder / f"{trained.path.stem}.onnx"
    write_onnx(network, description, path, {**facts, "weights_sha256": _sha256(trained.path)})

    exported, tested = OnnxNetwork.open(path, providers=CPU), trained.fold.test
    heads, unpools = _measured(network, description, exported, pictures, tested), _unpools(path)
    some = pictures[spread(tested, OTHER_SIZE_IMAGES)]
    found = {
        "file": path.name,
        "seed": trained.seed,
        "fold": trained.fold.number,
        "mib": round(path.stat().st_size / 2**20, 2),
        "images": len(tested),
        "unpools": unpools,
        "heads": heads,
        "other_size": _other_size(network, exported, some) if description.target is None else None,
        "rounding": _rounding(network, exported, pictures[spread(tested, EXACT_IMAGES)]) if unpools else None,
    }
    require_parity(facts["name"], found)
    for name, each in heads.items():
        logger.info(
            "%s, %s: logits of %s differ by %.1e at most, %d of %d answers on %d images",
            *(facts["name"], path.name, name, each["largest_difference"], each["changed"], each["answers"]),
            len(tested),
        )
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_data(path: Path, description: Description, data: Prepared, pictures: np.ndarray) -> None:
    classes = data.classes if description.target is None else data.targets(description.target)
    if (description.in_channels, description.classes) != (pictures.shape[-1], classes):
        raise BakeoffError(f"{path} was trained for other channels or classes than {data.folder} has: train again.")


def _whole(arrays: Arrays, geometry: Geometry, outside: int = 0) -> np.ndarray:
    """Images or masks of one size; where networks look at windows, the window in the middle of each."""
    if geometry.tiled:
        return np.stack([central(each, geometry, outside) for each in arrays])
    return of_one_size(arrays)


def spread(rows: np.ndarray, most: int) -> np.ndarray:
    """Up to so many of the rows, (n,), evenly over all of them."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(int))]


class _ByHead(nn.Module):
    """A network that returns the logits of its heads as a tuple, in the order of their names in the ONNX file."""

    def __init__(self, network: nn.Module, heads: Sequence[str]) -> None:
        super().__init__()
        self.network, self.heads = network, heads

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        outputs = self.network(images)
        return tuple(head(outputs, name) for name in self.heads)


def write_onnx(network: nn.Module, description: Description, path: Path, facts: Mapping[str, Any]) -> None:
    """Write a network as one self-contained ONNX file, fp32.

    The input `images` is float32 (batch, channels, height, width), normalised as the metadata say; the outputs are
    logits, `mask` (batch, outputs, height, width) and `class` (batch, outputs), whichever there are. The batch is of
    any size, and of a network that predicts masks height and width are too.

    Parameters
    ----------
    network
        On the processor; its batch norms and dropouts are exported as they predict.
    description, facts
        Go into the metadata as JSON, under `METADATA_KEY`.
    path
        The file to write.

    Raises
    ------
    BakeoffError
        If what the network computes depends on more than the shape of its input, such as a decision in Python.
    """
    network.eval()
    example = torch.zeros(2, description.in_channels, *description.size)
    with torch.no_grad():
        outputs = network(example)
    heads = sorted(outputs) if isinstance(outputs, dict) else [_head_of(outputs)]
    try:
        model = _traced(_ByHead(network, heads).eval(), example, heads, any_size=description.target is None)
    except torch.onnx.OnnxExporterError as error:
        raise BakeoffError(
            f"Model '{description.architecture}' has no ONNX graph ({_cause(error)}): change "
            f"workflow/bakeoff/models/{description.architecture}.py."
        ) from error
    onnx.helper.set_model_props(model, {METADATA_KEY: json.dumps({**asdict(description), **facts}, sort_keys=True)})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _traced(network: nn.Module, example: Tensor, heads: Sequence[str], *, any_size: bool) -> onnx.ModelProto:
    """The network as an ONNX graph, without the paths of this machine that the exporter writes into it."""
    taken = {0: "batch"} | ({2: "height", 3: "width"} if any_size else {})
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what torch deprecates in its own code
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["images"],
            output_names=list(heads),
            dynamic_shapes=(taken,),
            verbose=False,
        )
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    graph = model.graph
    # Stack traces with this machine's paths, and shapes between nodes, which every reader works out itself.
    for each in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        each.ClearField("metadata_props")
        each.ClearField("doc_string")
    del graph.value_info[:]
    for output in graph.output:
        # The exporter derives a formula for the height of a mask, which is that of the image.
        for axis, side in enumerate(output.type.tensor_type.shape.dim):
            if axis in taken and axis < DIMENSIONS[output.name]:
                side.dim_param = taken[axis]
    return model


def _cause(error: BaseException) -> str:
    """First line of the error at the bottom of a chain."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().partition("\n")[0].rstrip(".")


def _unpools(path: Path) -> bool:
    """Whether a network unpools: its graph uses the positions of the maxima of a pooling."""
    nodes = onnx.load(path, load_external_data=False).graph.node
    return any(node.op_type == "MaxPool" and len(node.output) > 1 for node in nodes)


def _head_of(logits: Tensor) -> str:
    return next(name for name, dimensions in DIMENSIONS.items() if dimensions == logits.ndim)


# Parity


def _measured(
    network: nn.Module, description: Description, exported: OnnxNetwork, pictures: np.ndarray, rows: np.ndarray
) -> dict[str, dict[str, Any]]:
    """How ONNX Runtime's logits and answers of some of the pictures compare with torch's, by head."""
    # set_up also makes every kernel deterministic.
    evaluated = replace(set_up(description.precision), device=torch.device("cpu"))
    network.to(memory_format=torch.channels_last)
    counted: dict[str, list[dict[str, Any]]] = {name: [] for name in exported.heads}
    for start in range(0, len(rows), IMAGES_AT_A_TIME):
        some = pictures[rows[start : start + IMAGES_AT_A_TIME]]
        ours, theirs = exported.logits(some), _torch_logits(network, some, exported.heads)
        for name in exported.heads:
            changed = class_indices(ours[name]) != _evaluated(network, name, some, evaluated)
            found = {"changed_from_evaluated": int(changed.sum())}
            counted[name].append(compare_logits(theirs[name], ours[name]) | found)
    return {name: merged(each) | {"evaluated_in": evaluated.precision} for name, each in counted.items()}


@torch.inference_mode()
def _torch_logits(network: nn.Module, pictures: np.ndarray, heads: Sequence[str]) -> dict[str, np.ndarray]:
    """Logits in the network's own precision on the processor, of uint8 (n, height, width, channels)."""
    parts: list[list[np.ndarray]] = []
    for batch in channels_first(pictures).split(BATCH_SIZE):
        images = normalise(to_unit_range(batch), network)  # type: ignore[arg-type]
        outputs = network(images.to(next(network.parameters()).dtype))
        parts.append([head(outputs, name).numpy() for name in heads])
    return {name: np.concatenate(each) for name, each in zip(heads, zip(*parts, strict=True), strict=True)}


def _evaluated(network: nn.Module, name: str, pictures: np.ndarray, runtime: Runtime) -> np.ndarray:
    """The predicted classes in the precision of the evaluation."""
    if name == "mask":
        return predict_masks(network, channels_first(pictures), runtime)
    answers: np.ndarray = predict_probabilities(network, channels_first(pictures), runtime).argmax(axis=1)
    return answers


def _other_size(network: nn.Module, exported: OnnxNetwork, pictures: np.ndarray) -> dict[str, Any]:
    """The same for parts of images, with odd and unequal sides."""
    height, width = (pictures.shape[1] * 3 // 4) | 1, (pictures.shape[2] // 2) | 1
    parts = pictures[:, :height, :width]
    found = compare_logits(_torch_logits(network, parts, ["mask"])["mask"], exported.logits(parts)["mask"])
    return {"height": height, "width": width, "images": len(parts), **found}


def _rounding(network: nn.Module, exported: OnnxNetwork, pictures: np.ndarray) -> dict[str, Any]:
    """How far torch in fp32, and ONNX Runtime, are from torch in fp64; the network is in fp64 afterwards."""
    heads = exported.heads
    found = {"torch": _torch_logits(network, pictures, heads), "onnx": exported.logits(pictures)}
    exact = _torch_logits(network.double(), pictures, heads)
    compared = {
        runtime: {name: compare_logits(exact[name], logits[name]) for name in heads}
        for runtime, logits in found.items()
    }
    return {"images": len(pictures), **compared}


def compare_logits(torch_logits: np.ndarray, onnx_logits: np.ndarray) -> dict[str, Any]:
    """How two runtimes' logits of the same images differ.

    Parameters
    ----------
    torch_logits, onnx_logits
        float32, (batch, outputs, ...).

    Returns
    -------
    dict
        `largest_difference` and `largest_logit` (torch's), in magnitude; `answers`, how many pixels or images there
        are; `beyond_tolerance`, those of them with a logit that differs by more than `TOLERANCE`; `changed`, those that
        get another class; `changed_beyond_ties`, those of the changed where torch's answer leads by more than
        `TOLERANCE`. The lead of one logit is its magnitude, of several that of the greatest over the second.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if torch_logits.shape != onnx_logits.shape:
        raise ValueError(f"Logits {torch_logits.shape} of torch and {onnx_logits.shape} of ONNX differ in shape.")
    changed = class_indices(torch_logits) != class_indices(onnx_logits)
    apart = np.abs(torch_logits - onnx_logits).max(axis=1)
    return {
        "largest_difference": float(apart.max()),
        "largest_logit": float(np.abs(torch_logits).max()),
        "answers": changed.size,
        "beyond_tolerance": int(np.sum(~(apart <= TOLERANCE))),  # what is no number is beyond
        "changed": int(changed.sum()),
        "changed_beyond_ties": int(np.sum(changed & (_leads(torch_logits) > TOLERANCE))),
    }


def _leads(logits: np.ndarray) -> np.ndarray:
    """Margin of the best class over the second, (batch, ...)."""
    if logits.shape[1] == 1:
        return np.abs(logits[:, 0])
    second, first = np.moveaxis(np.partition(logits, -2, axis=1)[:, -2:], 1, 0)
    return first - second


def merged(counted: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Results of `compare_logits` for several parts, for all of them together: maxima, and sums of counts."""
    return {
        key: max(each[key] for each in counted) if key.startswith("largest") else sum(each[key] for each in counted)
        for key in counted[0]
    }


def require_parity(name: str, found: Mapping[str, Any]) -> None:
    """Check that ONNX Runtime agrees with torch.

    No logit may differ by more than `TOLERANCE`, and no class may change unless it leads by less. A network that
    unpools (SegNet) is not a continuous function of its image: if two values of a pooling agree to the last bits,
    rounding decides which is the maximum. torch in fp32 is then as far from exact arithmetic as ONNX Runtime is from
    torch (`rounding` in `parity.json`). A share `UNPOOLED_BEYOND` of its logits may differ by more, and a share
    `UNPOOLED_CHANGED` of its classes may change; a wrong graph would change nearly all.

    Parameters
    ----------
    name
        Of the experiment.
    found
        An entry of `files` in `parity.json`.

    Raises
    ------
    BakeoffError
        If it does not agree.
    """
    most_beyond, most_changed = (UNPOOLED_BEYOND, UNPOOLED_CHANGED) if found["unpools"] else (0, 0)
    for where in (*found["heads"].values(), *([found["other_size"]] if found["other_size"] else [])):
        beyond, changed = (where[key] / where["answers"] for key in ("beyond_tolerance", "changed_beyond_ties"))
        if beyond > most_beyond or changed > most_changed:
            raise BakeoffError(
                f"{name}: ONNX Runtime disagrees with torch for {found['file']}: logits differ by up to "
                f"{where['largest_difference']:.2g} ({TOLERANCE:g} is allowed) and {where['changed_beyond_ties']} of "
                f"{where['answers']} answers differ beyond ties: change the model's code to what ONNX can express."
            )


# int8


def _export_int8(
    networks: Sequence[TrainedNetwork],
    data: Prepared,
    images: Path | None,
    folder: Path,
    resamples: int,
    score: MaskScore,
) -> dict[str, Any]:
    """Write the networks with 8 bits, and measure the loss of score against those of fp32 in `folder`."""
    rows = np.concatenate([spread(each.fold.test, INT8_IMAGES) for each in networks if each.seed == networks[0].seed])
    scores: dict[str, dict[int, list[np.ndarray]]] = {"fp32": {}, "int8": {}}
    files: list[dict[str, Any]] = []
    for trained in networks:
        pictures = _whole(open_images(data, images, trained.fold.number), data.geometry)
        fp32, int8 = (folder / f"{trained.path.stem}{suffix}.onnx" for suffix in ("", "-int8"))
        quantise(fp32, int8, pictures[spread(trained.fold.train, CALIBRATION_IMAGES)])
        tested = spread(trained.fold.test, INT8_IMAGES)
        for precision, path in (("fp32", fp32), ("int8", int8)):
            scored = _scores(OnnxNetwork.open(path, providers=CPU), pictures, tested, data, score)
            scores[precision].setdefault(trained.seed, []).append(scored)
        files.append({"file": int8.name, "mib": round(int8.stat().st_size / 2**20, 2)})
    by_seed = {each: np.stack([np.concatenate(parts) for parts in found.values()], 1) for each, found in scores.items()}
    binary = OnnxNetwork.open(folder / files[0]["file"], providers=CPU).description["target"] is not None
    groups = data.index["group"].to_numpy()[rows]
    found = compare_paired(by_seed["int8"], by_seed["fp32"], groups=groups, binary=binary, resamples=resamples)
    logger.info("int8: %+.4f (%+.4f to %+.4f) on %d images", found.difference, found.low, found.high, found.images)
    return {
        "files": files,
        "score": "accuracy" if binary else score.measure,
        **{precision: float(values.mean()) for precision, values in by_seed.items()},
        # A single group of near-duplicates has no interval.
        **{key: None if np.isnan(value := getattr(found, key)) else value for key in ("difference", "low", "high")},
        "images": found.images,
        "seeds": by_seed["int8"].shape[1],
        "calibration_images": min(CALIBRATION_IMAGES, *(len(each.fold.train) for each in networks)),
    }


def _scores(
    network: OnnxNetwork, pictures: np.ndarray, rows: np.ndarray, data: Prepared, score: MaskScore
) -> np.ndarray:
    """The task's score of masks, or whether the class is right, float64 (rows,)."""
    parts, masks = [], None if data.masks is None else _whole(data.masks, data.geometry, VOID)
    for start in range(0, len(rows), IMAGES_AT_A_TIME):
        some = rows[start : start + IMAGES_AT_A_TIME]
        if (target := network.description["target"]) is not None:
            parts.append(network.probabilities(pictures[some]).argmax(axis=1) == data.labels(target)[some])
        else:
            assert masks is not None  # of a segmentation
            pairs = zip(masks[some], network.masks(pictures[some]), strict=True)
            parts.append(np.array([scored_alone(truth, mask, len(data.classes), score) for truth, mask in pairs]))
    return np.concatenate(parts).astype(np.float64)
