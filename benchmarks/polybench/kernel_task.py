"""A benchmark as a task for the tuner: scop, inputs, and results to compare with."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tilecast.codegen.c import emit_unit
from tilecast.compiler.target import native_machine
from tilecast.compiler.tune.expectation import record_expectation
from tilecast.compiler.tune.task import Argument, MeasureTask, roles_of
from tilecast.dialects.poly import ScopOp
from tilecast.passes.context import CompileContext
from tilecast.passes.registry import load_pass

from .benchmark import Benchmark, Data
from .build import BASELINE_FLAGS, PLAIN, build, lower

# f32 results are compared more loosely: elementary functions differ between libm and ours.
BOUND, F32_BOUND = 1e-9, 1e-4


@dataclass(frozen=True)
class KernelTask:
    """What all variants of one kernel at one size share."""

    benchmark: Benchmark
    dataset: str
    task: MeasureTask
    scop: ScopOp
    exact_seconds: float

    @property
    def flat_c(self) -> str:
        """The untransformed loop nest, arrays as flat pointers."""
        return emit_unit([lower(self.benchmark.bind(self.dataset))], PLAIN)

    @property
    def nested_c(self) -> str:
        """The untransformed loop nest with one subscript per dimension."""
        return emit_unit([lower(self.benchmark.bind(self.dataset))], PLAIN, nested=True)


def regular_matrix(data: Data) -> Data:
    """PolyBench's matrix has a low rank, so that late columns are rounding noise; one without."""
    matrix = np.asarray(data["A"])
    noise = np.random.default_rng(0).normal(size=matrix.shape, scale=float(np.abs(matrix).max()))
    return {**data, "A": matrix + noise}


def dominant_diagonal(data: Data) -> Data:
    """PolyBench's Toeplitz system amplifies a rounding by 10^7; one near the identity does not."""
    size = len(data["r"])
    return {**data, "r": np.random.default_rng(0).uniform(-0.5, 0.5, size) / size}


# Kernels whose results PolyBench's inputs do not determine to the bound.
WELL_CONDITIONED: dict[str, Callable[[Data], Data]] = {
    "durbin": dominant_diagonal,
    "gramschmidt": regular_matrix,
}


def determined(benchmark: Benchmark, name: str, sizes: dict[str, int]) -> tuple[int, ...]:
    """What of an argument is determined: Q has more columns than can be independent."""
    if (benchmark.name, name) == ("gramschmidt", "Q"):
        return sizes["m"], min(sizes["m"], sizes["n"])
    return ()


def check_baseline(benchmark: Benchmark, folder: Path) -> str:
    """Whether the untransformed program at SMALL agrees with NumPy: empty, or what does not."""
    native = build(benchmark, "SMALL", folder, BASELINE_FLAGS)
    actual, expected = benchmark.data("SMALL"), benchmark.data("SMALL")
    native(actual)
    with np.errstate(all="ignore"):
        benchmark.reference(*benchmark.arguments("SMALL", expected))
    wanted = benchmark.live_out(expected)
    for name, value in benchmark.live_out(actual).items():
        bound = 1e-5 if value.dtype == np.float32 else BOUND
        if not np.abs(value - wanted[name]).max() <= bound * np.abs(wanted[name]).max():
            return f"{name} differs from NumPy at SMALL"
    return ""


def make_task(benchmark: Benchmark, dataset: str, folder: Path, threads: int) -> KernelTask:
    """Write the task of a kernel into `folder`, results of the original program included."""
    bound = benchmark.bind(dataset)
    module = bound.module()
    load_pass("extract-affine")().apply(CompileContext(), module)
    [scop] = [op for op in module.ops if isinstance(op, ScopOp)]
    data = WELL_CONDITIONED.get(benchmark.name, dict)(benchmark.data(dataset))
    initial = {p.name: np.asarray(data[p.name]) for p in bound.parameters}
    arguments = tuple(
        Argument(
            name,
            role,
            F32_BOUND if value.dtype == np.float32 else BOUND,
            determined(benchmark, name, benchmark.dataset(dataset)),
        )
        for (name, value), role in zip(
            initial.items(), roles_of([r.data for r in scop.roles]), strict=True
        )
    )
    compiler = shutil.which("gcc") or "cc"
    task = MeasureTask(
        folder,
        scop.sym_name.data,
        arguments,
        native_machine(),
        (compiler, *BASELINE_FLAGS, "-std=c11", "-fopenmp"),
        threads,
    )
    text = str(module)
    task.write(text, initial)
    return KernelTask(benchmark, dataset, task, scop, record_expectation(task, text))
