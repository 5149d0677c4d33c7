"""Kernels of opaque ops (sort, scatter, recurrent layers) as loops, each by a rule of its own.

before: func.func private @k(%x: tensor<8xf32>) -> tensor<8xi64> { graph.argsort %x }
after:  func.func @k(%x: memref<8xf32>, %out: memref<8xi64>, %scratch: memref<..>) { scf loops }
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from ...costmodel.hardware import Machine
from ...dialects.errors import LoweringError
from ...dialects.graph import bounds_of
from ...dialects.graph.control import is_program
from ...dialects.graph.opaque import OpaqueOp
from ...dialects.quant.ops import QuantizedLinearOp
from ..context import CompileContext
from ..poly.rules_gpu.choice import ATTRIBUTE
from ..poly.task_key import task_key
from .opaque_rules import RULES
from .opaque_rules.kernel import OpaqueKernel
from .opaque_rules.loop_builder import PARALLEL_ELEMENTS, LoopBuilder


def opaque_op(func: FuncOp) -> OpaqueOp | None:
    """The opaque op that a kernel consists of, if it is such a kernel."""
    found = [op for op in func.body.block.ops if isinstance(op, OpaqueOp)]
    return found[0] if found else None


def lower_opaque(func: FuncOp, op: OpaqueOp, machine: Machine, threads: int) -> FuncOp:
    """The loops of the kernel `func` around `op`; LoweringError where `op` is not alone."""
    end = func.get_return_op()
    if end is None or list(end.arguments) != [op.result]:
        raise LoweringError(
            f"kernel {func.sym_name.data}: expected {op.name} to give its only result"
        )
    work = max(prod(bounds_of(value)) for value in (*op.operands, op.result))
    kernel = OpaqueKernel(func, op.result, machine, threads)
    shares = machine.is_gpu or (threads > 1 and work >= PARALLEL_ELEMENTS)
    builder = LoopBuilder(kernel.block, shares, kernel.sizes)
    if work:
        RULES[type(op)](op, kernel, builder)
    return kernel.finish()


@dataclass(frozen=True)
class LowerOpaquePass(ModulePass):
    """Replace every kernel of an opaque op by a loop function."""

    name = "lower-opaque"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        assert isinstance(ctx, CompileContext)
        for func in [f for f in op.ops if isinstance(f, FuncOp)]:
            found = None if func.is_declaration else opaque_op(func)
            if found is not None and not is_program(func):
                if isinstance(found, QuantizedLinearOp) and ctx.machine.is_gpu:
                    recorded = ctx.recorded_schedule and ctx.recorded_schedule(task_key(func))
                    if recorded:
                        found.attributes[ATTRIBUTE] = StringAttr(recorded)
                loops = lower_opaque(func, found, ctx.machine, ctx.threads)
                op.body.block.insert_op_before(loops, func)
                Rewriter.erase_op(func)
