"""A network from its ONNX file, whose metadata describe input and output; needs numpy and onnxruntime only."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.provenance import thread_count

# Key of the file's metadata that holds what `bakeoff.training.saved.Description` holds, and more, as JSON.
METADATA_KEY = "bakeoff"
# Images at a time, which bounds the memory that many of them take.
BATCH_SIZE = 16
# In order of preference. TF32 would cost three digits of every product.
PROVIDERS: tuple[tuple[str, dict[str, str]], ...] = (
    ("CUDAExecutionProvider", {"use_tf32": "0"}),
    ("OpenVINOExecutionProvider", {}),
    ("CPUExecutionProvider", {}),
)


class OnnxNetwork:
    """A network that `bakeoff export` wrote.

    Attributes
    ----------
    description
        The file's metadata: the keys of `bakeoff.training.saved.Description`, `name`, `dataset`, `synthetic`,
        `note` and others; see docs/exports.md.
    provider
        ONNX Runtime's execution provider in use, such as CPUExecutionProvider.
    heads
        What the network predicts: `mask`, `class`, or both.
    """

    def __init__(self, session: Any, description: dict[str, Any]) -> None:
        self.description = description
        self.provider: str = session.get_providers()[0]
        self._session = session
        self.heads: list[str] = [output.name for output in session.get_outputs()]
        self._mean, self._std = (np.array(description[key], np.float32).reshape(-1, 1, 1) for key in ("mean", "std"))

    @classmethod
    def open(cls, path: Path, threads: int | None = None, *, providers: Sequence[str] | None = None) -> "OnnxNetwork":
        """Read a file, ready to predict.

        Parameters
        ----------
        path
            `results/exports/EXPERIMENT/seedK.onnx`.
        threads
            To compute with; those of `bakeoff.artefacts.provenance.thread_count` by default.
        providers
            ONNX Runtime's execution providers to choose from; by default CUDA where the installed package and the
            machine have it, else OpenVINO, else the processor.

        Raises
        ------
        BakeoffError
            If the file is missing or none that `bakeoff export` wrote, or ONNX Runtime is not installed.
        """
        session = _session(path, threads or thread_count(), providers)
        return cls(session, _description(path, session.get_modelmeta().custom_metadata_map))

    def logits(self, pictures: np.ndarray) -> dict[str, np.ndarray]:
        """Logits of pictures, uint8 (n, height, width, channels), n at least 1.

        Returns
        -------
        dict
            By the network's heads: `mask`, float32 (n, outputs, height, width), and `class`, float32 (n, outputs).

        Raises
        ------
        BakeoffError
            If the pictures have another number of channels, or a size that the network does not take.
        """
        return self._logits(pictures, self.heads)

    def masks(self, pictures: np.ndarray) -> np.ndarray:
        """Class indices, uint8 (n, height, width), of pictures, uint8 (n, height, width, channels); see `logits`."""
        return class_indices(self._logits(pictures, [self._head("mask")])["mask"]).astype(np.uint8)

    def mask_probabilities(self, pictures: np.ndarray) -> np.ndarray:
        """Probability of every class of every pixel, float32 (n, classes, height, width), of pictures, uint8 (n,
        height, width, channels); see `logits`."""
        return probabilities(self._logits(pictures, [self._head("mask")])["mask"])

    def probabilities(self, pictures: np.ndarray) -> np.ndarray:
        """Probability of every class, float32 (n, classes), of pictures, uint8 (n, height, width, channels).

        See `logits`.
        """
        return probabilities(self._logits(pictures, [self._head("class")])["class"])

    def inputs(self, pictures: np.ndarray) -> np.ndarray:
        """What the network takes, float32 (n, channels, height, width), of uint8 (n, height, width, channels).

        The operations of `bakeoff.training.preprocessing` in its order, so that the bits are the same.
        """
        images = np.ascontiguousarray(np.moveaxis(pictures, -1, 1)).astype(np.float32)
        images /= np.float32(255)
        images -= self._mean
        images /= self._std
        return images

    def _head(self, name: str) -> str:
        if name not in self.heads:
            raise BakeoffError(
                f"the exported network '{self.description.get('name')}' predicts no {name}: choose another experiment."
            )
        return name

    def _logits(self, pictures: np.ndarray, heads: list[str]) -> dict[str, np.ndarray]:
        self._check(pictures)
        batches = [
            self._session.run(heads, {"images": self.inputs(pictures[start : start + BATCH_SIZE])})
            for start in range(0, len(pictures), BATCH_SIZE)
        ]
        return {head: np.concatenate(parts) for head, parts in zip(heads, zip(*batches, strict=True), strict=True)}

    def _check(self, pictures: np.ndarray) -> None:
        _, _, *taken = self._session.get_inputs()[0].shape  # a number where it is fixed, else a name
        channels = self.description["in_channels"]
        if pictures.shape[3] != channels:
            raise BakeoffError(
                f"the pictures have {pictures.shape[3]} channels and the exported network takes {channels}: convert "
                "them."
            )
        if any(isinstance(side, int) and side != given for side, given in zip(taken, pictures.shape[1:3], strict=True)):
            raise BakeoffError(
                f"the pictures have {pictures.shape[1]} x {pictures.shape[2]} pixels and the exported network takes "
                f"{taken[0]} x {taken[1]}: resize them."
            )


def execution_providers(available: Collection[str]) -> list[tuple[str, dict[str, str]]]:
    """Those of `PROVIDERS` that are available, with their options: ONNX Runtime takes the first that works."""
    return [(name, options) for name, options in PROVIDERS if name in available]


def class_indices(logits: np.ndarray) -> np.ndarray:
    """Class of every pixel or image, int64 (batch, ...): the sign of one logit, the greatest of several.

    Parameters
    ----------
    logits
        (batch, outputs, ...), as for `bakeoff.training.preprocessing.class_indices`.
    """
    return (logits[:, 0] > 0).astype(np.int64) if logits.shape[1] == 1 else logits.argmax(axis=1)


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Probability of every class, float32 (batch, classes, ...), of logits (batch, outputs, ...): the softmax of
    several; of one logit the sigmoid, which is that of the second of two classes.
    """
    logits = logits.astype(np.float32)
    if logits.shape[1] > 1:
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        softmax: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
        return softmax
    # e to the minus magnitude never overflows.
    power = np.exp(-np.abs(logits))
    positive = np.where(logits >= 0, 1, power) / (1 + power)
    return np.concatenate([1 - positive, positive], axis=1)


def _session(path: Path, threads: int, providers: Sequence[str] | None) -> Any:
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as raised
    except ModuleNotFoundError as error:
        if error.name != "onnxruntime":
            raise
        raise BakeoffError(
            "onnxruntime is not installed: type `pip install onnxruntime` (onnxruntime-gpu for NVIDIA, "
            "onnxruntime-openvino for Intel), or choose the runtime torch."
        ) from None
    if not path.is_file():
        raise BakeoffError(f"{path} is missing: run `bakeoff export {path.parent.name}` first.")
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # errors: a warning is about what the next provider does in place of the first
    chosen = execution_providers(providers or onnxruntime.get_available_providers())
    try:
        return onnxruntime.InferenceSession(path, options, chosen)
    except (raised.Fail, raised.InvalidArgument, raised.InvalidGraph, raised.InvalidProtobuf) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise BakeoffError(f"{path} is no usable ONNX file ({reason}): delete its folder and export again.") from None


def _description(path: Path, metadata: dict[str, str]) -> dict[str, Any]:
    try:
        description: dict[str, Any] = json.loads(metadata[METADATA_KEY])
    except (KeyError, ValueError):
        raise BakeoffError(
            f"{path} was not written by `bakeoff export`: its metadata has no '{METADATA_KEY}'."
        ) from None
    return description
