"""A kernel under choices of GPU schedules: its loops, its CUDA text, and what it should take.

In: the text of a module with one unscheduled scop, or the function of a product with a quantized
weight, and choices. Out: `GpuProgram`s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.parser import Parser

from ...codegen.cuda.unit import emit_cuda_unit
from ...costmodel.features.gpu_work import GpuWork
from ...costmodel.features.nests import Array
from ...costmodel.gpu_roofline import estimate
from ...costmodel.hardware import Machine
from ...dialects.errors import TilecastError
from ...dialects.poly import ScopOp
from ...dialects.quant.ops import QuantizedLinearOp
from ...passes.context import CompileContext
from ...passes.poly.rules_gpu.choice import ATTRIBUTE, GpuChoice
from ...passes.poly.search.exploration import reason_of
from ...passes.registry import load_pass
from ..cuda.reports import occupancy
from ..cuda.work import launch_works
from ..pipeline import GPU_PIPELINE

USUAL_REGISTERS = 96  # of a thread, until nvcc says how many it takes
PASSES = [
    name
    for stage in GPU_PIPELINE
    if stage.name in ("schedule", "loops")
    for name in stage.passes
    if name != "extract-scop"
]


@dataclass(frozen=True)
class GpuProgram:
    """The function of a kernel at the level of loops, and the GPU that it is for."""

    func: FuncOp
    machine: Machine

    def cuda(self, prefix: str) -> str:
        """Its CUDA file, names beginning with `prefix`."""
        copy = self.func.clone()
        ModuleOp([copy])
        return emit_cuda_unit([copy], self.machine, prefix)

    @cached_property
    def works(self) -> dict[str, GpuWork]:
        """What each launch has to do, by the name of its kernel."""
        return dict(launch_works(self.func))

    @property
    def seconds(self) -> float:
        """By the roofline, before nvcc was asked."""
        name = self.machine.name
        return sum(
            estimate(work, name, occupancy(name, work.threads, USUAL_REGISTERS, 0)).seconds
            for work in self.works.values()
        )


@dataclass
class GpuPrograms:
    """A kernel under choices; `rejected` counts reasons why there is no program."""

    text: str
    machine: Machine
    rejected: Counter[str] = field(default_factory=Counter)

    def program(self, choice: GpuChoice) -> GpuProgram:
        """The kernel under a choice; a TilecastError where it cannot be made."""
        context = CompileContext(machine=self.machine)
        module = Parser(context, self.text).parse_module()
        for op in module.walk():
            if isinstance(op, ScopOp | QuantizedLinearOp):
                op.attributes[ATTRIBUTE] = StringAttr(str(choice))
        for name in PASSES:
            load_pass(name)().apply(context, module)
        [func] = [op for op in module.ops if isinstance(op, FuncOp)]
        return GpuProgram(func, self.machine)

    def of(self, choice: GpuChoice) -> tuple[str, GpuProgram] | None:
        """The loops under `choice`, as text and as they are; None where there are none."""
        try:
            made = self.program(choice)
        except TilecastError as error:
            self.rejected[reason_of(str(error))] += 1
            return None
        return str(made.func), made

    def forecast(self, programs: Sequence[GpuProgram]) -> tuple[Array, Array] | None:
        """By the roofline, which knows no doubt."""
        expected = np.log([program.seconds for program in programs])
        return expected, np.zeros(len(programs))

    def learn(self, programs: Sequence[GpuProgram], ratios: Sequence[float]) -> None:
        """The roofline learns nothing."""
