"""The device and the precision that networks are computed with."""

import ctypes
import os
import platform
import resource
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from bakeoff.artefacts.errors import BakeoffError
from bakeoff.artefacts.provenance import thread_count


@dataclass(frozen=True)
class Runtime:
    """Where and how tensors are computed.

    Attributes
    ----------
    device
        `cuda` if there is one, else `cpu`.
    precision
        `bf16` (autocast) or `fp32`.
    """

    device: torch.device
    precision: str

    def autocast(self) -> AbstractContextManager[object]:
        """Context in which matrix products and convolutions use bf16, if that is the precision."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")

    @property
    def instruction_set(self) -> str:
        """The processor's capability, or the GPU's name: other hardware gives other bits."""
        on_gpu = self.device.type == "cuda"
        return torch.cuda.get_device_name() if on_gpu else torch.backends.cpu.get_cpu_capability()

    @property
    def name(self) -> str:
        """Name of the GPU, or the processor's architecture."""
        return torch.cuda.get_device_name() if self.device.type == "cuda" else f"CPU ({platform.machine()})"

    def reset_peak_memory(self) -> None:
        """Measure the GPU's peak memory from here on; that of a process cannot be reset."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()

    def peak_memory_mib(self) -> float:
        """Peak memory: on the GPU of tensors since the last reset, else of the whole process (Linux counts in KiB)."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated() / 2**20
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def set_up(precision: str = "auto") -> Runtime:
    """Choose the device, resolve the precision, and make every kernel deterministic.

    Parameters
    ----------
    precision
        `auto` (bf16 if the hardware has it), `bf16` or `fp32`.

    Raises
    ------
    BakeoffError
        If the precision has another name.
    """
    if precision not in ("auto", "bf16", "fp32"):
        raise BakeoffError(f"The recipe's precision is '{precision}': choose auto, bf16 or fp32.")
    _keep_freed_memory()
    # cuBLAS reads this when it is first used; without it, its results may differ between runs.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # `use_deterministic_algorithms` does the same but imports torch's compiler, which is slow.
    torch.set_deterministic_debug_mode("error")
    # Otherwise this also fills new memory, a debugging aid that costs time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.set_num_threads(thread_count())
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if precision == "auto":
        precision = "bf16" if _has_bf16(device) else "fp32"
    return Runtime(device, precision)


def _keep_freed_memory() -> None:
    """Make glibc reuse memory instead of returning it to the system.

    By default every large tensor is mapped anew, and the kernel clears its pages, which took most of a step on some
    virtual machines (`benchmarks/throughput.py`).
    """
    mmap_threshold, trim_threshold, largest = -3, -1, 2**31 - 1  # the names and numbers of malloc.h
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(mmap_threshold, 2**30)
        libc.mallopt(trim_threshold, largest)
    except (OSError, AttributeError):  # another C library
        return


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
