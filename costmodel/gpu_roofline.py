"""Seconds of a launch by a roofline: arithmetic, caches and memory, at the share that blocks reach.

In: a `GpuWork`, and of nvcc's report registers, spills and occupancy. Out: a `GpuEstimate`. Nothing
here is fitted to measurements.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from .features.gpu_work import GpuWork
from .hardware import Machine


@dataclass(frozen=True)
class Gpu:
    """A device: peak rates from its data sheet, and what a multiprocessor has room for."""

    multiprocessors: int
    scalar_per_s: float  # f32 operations, an fma being two
    tensor_per_s: float  # f16 operations that mma.sync reaches
    memory_per_s: float  # bytes
    cache_per_s: float  # bytes of the second-level cache
    shared_bytes: int
    resident_warps: int = 64
    resident_blocks: int = 32


GPUS = {
    "sm_80": Gpu(108, 19.5e12, 312e12, 1.55e12, 4.5e12, 164 * 1024),  # A100
    "sm_89": Gpu(142, 91.6e12, 362e12, 0.86e12, 5.0e12, 100 * 1024, 48, 24),  # L40S
    "sm_90": Gpu(132, 66.9e12, 620e12, 3.35e12, 7.0e12, 228 * 1024),  # H100 SXM
}


def multiprocessors_of(machine: Machine) -> int:
    """Those that the target names, else those of the usual device of its architecture."""
    return machine.multiprocessors or GPUS[machine.name].multiprocessors


LAUNCH_SECONDS = 3e-6
WARPS_TO_HIDE = 8  # of a multiprocessor, each with several accesses under way, hide latency
BANDWIDTH_SHARE = 2.0  # times its part of the bandwidth that a multiprocessor gets alone


@dataclass(frozen=True)
class GpuEstimate:
    """Seconds, and what they are for: launch, scalar, tensor, cache or memory."""

    seconds: float
    bound: str


def estimate(work: GpuWork, architecture: str, occupancy: float, spills: int = 0) -> GpuEstimate:
    """A launch on the device that `architecture` stands for.

    `occupancy` is the share of warps that fit at once, `spills` bytes that each thread spills.
    """
    gpu = GPUS[architecture]
    warps = max(1, -(-work.threads // 32))
    fitting = occupancy * gpu.resident_warps
    at_once = max(1, round(fitting / warps)) * gpu.multiprocessors
    rounds = ceil(work.blocks / at_once)
    tail = work.blocks / (rounds * at_once) if rounds > 1 else 1.0  # the last round is not full
    busy = min(1.0, work.blocks / gpu.multiprocessors)
    resident = min(fitting, work.blocks * warps / (busy * gpu.multiprocessors))
    hidden = min(1.0, resident / WARPS_TO_HIDE)
    share = min(1.0, BANDWIDTH_SHARE * busy) * hidden * tail
    spilled = float(spills) * work.blocks * work.threads
    parts = {
        "scalar": work.scalar / (gpu.scalar_per_s * busy * hidden * tail),
        "tensor": work.tensor / (gpu.tensor_per_s * busy * hidden * tail),
        "cache": (work.requested + spilled) / (gpu.cache_per_s * share),
        "memory": work.touched / (gpu.memory_per_s * share),
    }
    bound, seconds = max(parts.items(), key=lambda item: item[1])
    if seconds < LAUNCH_SECONDS:
        bound = "launch"
    return GpuEstimate(LAUNCH_SECONDS + seconds, bound)
