"""What nvcc says of the kernels of a model: registers, spills, shared memory, occupancy.

In: the sources of a compiled model for a GPU. Out: a `LaunchReport` per launch. No GPU is needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

from ...costmodel.gpu_roofline import GPUS
from .nvcc import KernelReport, build_cubin

# As codegen/cuda/unit.py writes it: kernel, grid, block, dynamic shared memory.
LAUNCH = re.compile(r"TILECAST_LAUNCH\((\w+), dim3\(([\d, ]+)\), dim3\(([\d, ]+)\), (\d+),")
MANGLED = re.compile(r"_Z(?:L|N)?(\d+)")
WARP, REGISTER_UNIT, REGISTERS = 32, 256, 65536
RESERVED_SHARED = 1024  # of each block


@dataclass(frozen=True)
class LaunchReport:
    """A launch: its size, what nvcc says of the kernel, and the share of warps that fit at once."""

    kernel: str
    blocks: int
    threads: int
    registers: int
    spill_bytes: int
    shared_bytes: int
    occupancy: float


def occupancy(architecture: str, threads: int, registers: int, shared_bytes: int) -> float:
    """Warps that a multiprocessor runs at once, over those that it could."""
    gpu = GPUS[architecture]
    warps = -(-threads // WARP)
    of_warp = -(-registers * WARP // REGISTER_UNIT) * REGISTER_UNIT
    limits = [
        gpu.resident_blocks,
        gpu.resident_warps // warps,
        REGISTERS // max(1, of_warp) // warps,
        gpu.shared_bytes // (shared_bytes + RESERVED_SHARED),
    ]
    return min(limits) * warps / gpu.resident_warps


def plain_name(symbol: str) -> str:
    """The name of a function, from its mangled symbol."""
    match = MANGLED.match(symbol)
    return symbol[match.end() :][: int(match[1])] if match else symbol


def launch_reports(sources: Mapping[str, str], architecture: str) -> Iterator[LaunchReport]:
    """Every launch of every kernel, in the order of the files; BuildError where nvcc refuses."""
    headers = {name: text for name, text in sources.items() if name.endswith(".h")}
    for name, text in sources.items():
        launches = LAUNCH.findall(text) if name.endswith(".cu") else []
        if not launches:
            continue
        cubin = build_cubin(text, architecture, headers)
        known = {plain_name(report.symbol): report for report in cubin.reports}
        for kernel, grid, block, dynamic in launches:
            yield _report(known[kernel], kernel, grid, block, int(dynamic), architecture)


def _report(
    found: KernelReport, kernel: str, grid: str, block: str, dynamic: int, architecture: str
) -> LaunchReport:
    blocks, threads = (prod(map(int, size.split(","))) for size in (grid, block))
    shared = found.shared_bytes + dynamic
    return LaunchReport(
        kernel,
        blocks,
        threads,
        found.registers,
        found.spill_bytes,
        shared,
        occupancy(architecture, threads, found.registers, shared),
    )
