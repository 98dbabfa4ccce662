"""How long the methods of a suite take, and how much memory and disk: a model from measured figures."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bakeoff.adding.suites import Chosen, SuiteNetwork
from bakeoff.artefacts.provenance import thread_count

# What the figures of `suites.yaml` were measured with, 8 images a step.
MEASURED_SIDE, MEASURED_THREADS = 160, 2
# Memory of a process that has imported torch and trains nothing.
TORCH_MIB = 510
# An H200 against two cores, at least: images are so small that the processor feeds it.
GPU_FACTOR = 40.0
# Without bf16 a processor takes so many times as long (docs/results/throughput.md has both).
FP32_FACTOR = 2.5
# Another thread adds so much of what the first does.
THREAD_EXPONENT = 0.8
# An image that is only predicted or validated costs this share of one that is trained on.
PREDICTED = 0.35
# Of every stage: a process that starts, reads the configuration, hashes what it depends on.
STAGE_SECONDS = 8.0
STAGES = 7  # prepare-folder, split, weights, baselines, evaluate, card, report
# Decoding and auditing an image; scoring and comparing it, by method.
PREPARE_SECONDS, SCORE_SECONDS, BASELINE_SECONDS = 0.05, 0.02, 0.02
SHARE_TESTED, SHARE_VALIDATING = 0.15, 0.15


@dataclass(frozen=True)
class Machine:
    """What computes.

    Attributes
    ----------
    threads
        That a training uses.
    bf16
        Whether the processor has it.
    gpu
        Whether there is one.
    """

    threads: int
    bf16: bool
    gpu: bool

    def words(self) -> str:
        """What computes."""
        if self.gpu:
            return "the GPU"
        return f"{self.threads} thread{'s' * (self.threads > 1)}{'' if self.bf16 else ' without bf16'}"

    @property
    def speed(self) -> float:
        """Against what the figures were measured with."""
        if self.gpu:
            return GPU_FACTOR
        return (self.threads / MEASURED_THREADS) ** THREAD_EXPONENT / (1.0 if self.bf16 else FP32_FACTOR)


@dataclass(frozen=True)
class Estimate:
    """What a suite takes: seconds, by network and in all; the largest process; what stays on the disk."""

    networks: Mapping[str, float]
    seconds: float
    memory_mib: float
    disk_mib: float


def this_machine() -> Machine:
    """The machine that this runs on, told without torch."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    gpu = Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi") is not None
    return Machine(min(thread_count(), 8), "avx512_bf16" in flags or "amx_bf16" in flags, gpu)


def estimate(chosen: Chosen, images: int, channels: int, seeds: int, masks: bool, machine: Machine) -> Estimate:
    """What the methods take for a data set of so many images."""
    area = chosen.geometry.height * chosen.geometry.width
    pixels = area / MEASURED_SIDE**2
    networks = {
        name: seeds * _training_seconds(network, chosen.epochs, round(images * chosen.windows), pixels, machine)
        for name, network in chosen.networks.items()
    }
    methods = len(networks) + len(chosen.baselines)
    tested = images * SHARE_TESTED
    stages = STAGE_SECONDS * (STAGES + len(networks))
    seconds = (
        sum(networks.values())
        + stages
        + images * (PREPARE_SECONDS + BASELINE_SECONDS * len(chosen.baselines))
        + tested * methods * SCORE_SECONDS * pixels * chosen.windows
    )
    array_mib = images * chosen.windows * area * (channels + masks) / 2**20
    activations = max((network.measured.memory_mib - TORCH_MIB for network in chosen.networks.values()), default=0.0)
    weights_mib = seeds * sum(network.measured.parameters * 4 for network in chosen.networks.values())
    return Estimate(
        networks,
        seconds,
        # The arrays are in memory once, and the part that trains once more.
        TORCH_MIB + activations * max(1.0, pixels) + 2 * array_mib,
        array_mib + weights_mib + seeds * methods * tested * chosen.windows * area / 2**20,
    )


def _training_seconds(network: SuiteNetwork, epochs: int, images: int, pixels: float, machine: Machine) -> float:
    training = images * (1 - SHARE_TESTED - SHARE_VALIDATING)
    seen = epochs * (training + PREDICTED * images * SHARE_VALIDATING) + PREDICTED * images * SHARE_TESTED
    return seen * pixels / (network.measured.images_per_second * machine.speed)


def duration(seconds: float) -> str:
    """In words: 40 s, 7 min, 2.5 h."""
    if seconds < 90:
        return f"{max(10, round(seconds, -1)):.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def free_disk_mib(folder: Path) -> float:
    """Free space where a folder is, or will be."""
    while not folder.exists():
        folder = folder.absolute().parent
    return shutil.disk_usage(folder).free / 2**20


def memory_mib() -> float:
    """Memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20
