"""The arena that a module in the middle of the pipeline will get, found by lowering a copy of it.

What kernels keep besides their operands (padded copies, workspaces, packed weights) is known when
they are loops, of which scheduled scops are only declared. Passes that choose between programs by
their memory ask here, so that what they see is what `plan-memory` will find.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from ..dialects.graph.control import is_program
from ..dialects.weights import WeightStore
from ..passes.context import CompileContext
from ..passes.graph.deduplicate_kernels import kernel_digest
from ..passes.loops.kernel_interface import KernelInterface
from ..passes.loops.launched_program import LaunchedProgram
from ..passes.loops.program_plan import ProgramPlan
from .pipeline import Stage, apply_pass

KERNELS_EXIST = "fuse"  # the stage after which the program is launches
PLANNING = "program"
# A kernel's loops are not read here, and on a CPU they need no arrays that its schedule does not.
DECLARED = {"lower-scop": "declare-kernels"}


class ArenaPlanner:
    """Plans the arena of modules as they are before the pass `asking`; kernels are lowered once."""

    def __init__(self, ctx: CompileContext, stages: Sequence[Stage], asking: str) -> None:
        self.ctx = ctx
        names = [stage.name for stage in stages]
        fused, end = names.index(KERNELS_EXIST) + 1, names.index(PLANNING)
        before = [name for stage in stages[:fused] for name in stage.passes]
        self.to_launches = before[before.index(asking) + 1 :]
        declared = {} if ctx.machine.is_gpu else DECLARED
        names = [name for stage in stages[fused:end] for name in stage.passes]
        self.to_loops = [declared.get(name, name) for name in names]
        self.known: dict[str, KernelInterface] = {}

    def __call__(self, module: ModuleOp) -> ProgramPlan:
        """The plan of `@main`, which stays as it is; it has no control flow."""
        trial, ctx = module.clone(), self.context()
        for name in self.to_launches:
            apply_pass(name, ctx, trial)
        digests = {
            func.sym_name.data: (func, kernel_digest(func))
            for func in trial.ops
            if isinstance(func, FuncOp) and not is_program(func)
        }
        for func, digest in digests.values():
            if digest in self.known:
                trial.body.block.erase_op(func)
        for name in self.to_loops:
            apply_pass(name, ctx, trial)
        functions = {func.sym_name.data: func for func in trial.ops if isinstance(func, FuncOp)}
        for name, (_, digest) in digests.items():
            if digest not in self.known:
                self.known[digest] = KernelInterface(functions[name])
        kernels = {name: self.known[digest] for name, (_, digest) in digests.items()}
        return ProgramPlan.of(LaunchedProgram(functions["main"], kernels, ctx.stream_weights))

    def context(self) -> CompileContext:
        """A context whose weights and decisions are not those of the program."""
        ctx = copy(self.ctx)
        ctx.weights, ctx.decisions = WeightStore(dict(self.ctx.weights)), []
        return ctx
