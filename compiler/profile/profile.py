"""Seconds of each kernel of a compiled model: its program again, with a clock around every call."""

from __future__ import annotations

import ctypes
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import CallOp, FuncOp
from xdsl.parser import Parser

from ...codegen.c import emit_program
from ...costmodel.speeds import Speeds
from ...dialects.errors import OptionError
from ...dialects.graph.control import is_program
from ...passes.context import CompileContext
from ..pipeline import ir_file_name
from ..probe.probe import known_speeds
from ..runtime.artifact import Artifact
from ..runtime.cache import open_store
from ..runtime.library import CALL_SOURCE, call_unit
from ..runtime.model import CompiledModel
from ..runtime.toolchain import build_library, find_toolchain
from .work import KernelWork, work_of_kernels

WARMUP_RUNS = 3


@dataclass(frozen=True)
class KernelTime:
    """All calls of one kernel in one run of the model: `seconds` is their sum."""

    name: str
    calls: int
    seconds: float
    work: KernelWork
    floor_seconds: float

    @property
    def roofline_percent(self) -> float:
        """The share of the time that the machine needs at least."""
        return 100 * self.floor_seconds / self.seconds if self.seconds else 100.0

    @property
    def gflops(self) -> float:
        """Multiplications and additions per nanosecond; 0 for calls too short for the clock."""
        return self.work.flops * self.calls / self.seconds / 1e9 if self.seconds else 0.0

    def to_json(self) -> dict[str, Any]:
        """One row of a table."""
        return {
            "kernel": self.name,
            "calls": self.calls,
            "ms": round(self.seconds * 1e3, 4),
            "floor_ms": round(self.floor_seconds * 1e3, 4),
            "mflop": round(self.work.flops * self.calls / 1e6, 3),
            "mbytes": round(self.work.bytes * self.calls / 1e6, 3),
            "gflops": round(self.gflops, 1),
            "roofline_percent": round(self.roofline_percent, 1),
        }


@dataclass(frozen=True)
class Profile:
    """Kernels, slowest first, and the whole model's seconds without clocks inside."""

    kernels: tuple[KernelTime, ...]
    seconds: float
    is_measured: bool  # whether the ceilings are, else they are estimates

    @property
    def floor_seconds(self) -> float:
        """The sum of all kernels' floors."""
        return sum(kernel.floor_seconds for kernel in self.kernels)


def profile_model(model: CompiledModel, inputs: Sequence[Any], runs: int = 20) -> Profile:
    """Run `model` on `inputs` with clocks; times are medians over `runs` runs."""
    artifact = model.artifact
    if any(is_program(func) for func in _program(artifact)[1]):
        raise OptionError("profile: calls of models with control flow may repeat")
    machine, toolchain, store = artifact.machine, find_toolchain(), open_store()
    speeds = known_speeds(machine, toolchain, store)
    main, kernels = _program(artifact)
    calls = [op.callee.root_reference.data for op in main.walk() if isinstance(op, CallOp)]
    text = emit_program(main, kernels, artifact.name, f"{artifact.name}_", timed=True)
    units = {**artifact.sources, f"{artifact.name}.c": text, CALL_SOURCE: call_unit(artifact.name)}
    content = build_library(units, toolchain, machine, store)
    with store.scratch_file(content) as path:
        timed = CompiledModel(replace(artifact, library=path), states=model.states)
        clocks = (ctypes.c_double * max(1, len(calls))).in_dll(
            ctypes.CDLL(str(path)), f"{artifact.name}_seconds"
        )
        # in turns, so that a change of the machine meets both
        turns = [
            (_run(timed, inputs, clocks), _seconds(model, inputs))
            for _ in range(WARMUP_RUNS + runs)
        ]
    samples, totals = zip(*turns[WARMUP_RUNS:], strict=True)
    whole = statistics.median(totals)
    medians = [statistics.median(values) for values in zip(*samples, strict=True)]
    work = work_of_kernels(_parse(artifact, "structure"))
    return Profile(
        _by_kernel(calls, medians, work, speeds, artifact.threads), whole, speeds.measured
    )


def _by_kernel(
    calls: Sequence[str],
    seconds: Sequence[float],
    work: dict[str, KernelWork],
    speeds: Speeds,
    threads: int,
) -> tuple[KernelTime, ...]:
    found = []
    for name in dict.fromkeys(calls):
        times = [s for callee, s in zip(calls, seconds, strict=False) if callee == name]
        floor = work[name].floor_seconds(speeds, threads) * len(times)
        found.append(KernelTime(name, len(times), sum(times), work[name], floor))
    return tuple(sorted(found, key=lambda kernel: -kernel.seconds))


def _run(model: CompiledModel, inputs: Sequence[Any], clocks: Any) -> list[float]:
    ctypes.memset(clocks, 0, ctypes.sizeof(clocks))
    model(*inputs)
    return list(clocks)


def _seconds(model: CompiledModel, inputs: Sequence[Any]) -> float:
    start = time.perf_counter()
    model(*inputs)
    return time.perf_counter() - start


def _program(artifact: Artifact) -> tuple[FuncOp, list[FuncOp]]:
    functions = [op for op in _parse(artifact, "program").ops if isinstance(op, FuncOp)]
    main = next(op for op in functions if op.sym_name.data == "main")
    return main, [op for op in functions if op is not main]


def _parse(artifact: Artifact, stage: str) -> ModuleOp:
    name = ir_file_name(stage)
    return Parser(CompileContext(), artifact.ir[name], name).parse_module()
