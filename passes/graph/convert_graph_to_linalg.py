"""Convert kernel bodies from graph ops to linalg.

before: a kernel of graph ops
after:  linalg.generic, linalg.fill and tensor.empty, with graph.view, graph.reshape, graph.cat,
        graph.pad and graph.scan kept (they become access maps, copies or recurrences when
        statements are extracted)

The kernel of an opaque op (sort, scatter, ...) stays as it is: lower-opaque makes loops of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.passes import ModulePass
from xdsl.transforms.dead_code_elimination import region_dce

from ...dialects.errors import LoweringError
from ...dialects.graph import (
    CatOp,
    FullOp,
    GraphOp,
    LaunchOp,
    PadOp,
    ReshapeOp,
    ScanOp,
    ViewOp,
    WeightOp,
    element_of,
)
from ...dialects.graph.control import is_program
from ...dialects.graph.opaque import OpaqueOp
from .linalg_rules import RULES
from .linalg_rules.kernel_builder import KernelBuilder

KEPT = (ViewOp, ReshapeOp, CatOp, PadOp, ScanOp)


def is_kernel(func: FuncOp) -> bool:
    """Whether `func` is a kernel: it has a body, and neither launches kernels nor reads weights."""
    if func.is_declaration or is_program(func):
        return False
    return not any(isinstance(op, LaunchOp | WeightOp) for op in func.body.block.ops)


def convert_kernel(func: FuncOp) -> None:
    """Convert the body of one kernel; LoweringError names every op that has no rule."""
    ops = [op for op in func.body.block.ops if isinstance(op, GraphOp)]
    if any(isinstance(op, OpaqueOp) for op in ops):
        return
    missing = {op.name for op in ops if type(op) not in RULES and not isinstance(op, KEPT)}
    if missing:
        raise LoweringError(
            f"kernel {func.sym_name.data}: no conversion to linalg for {', '.join(sorted(missing))}"
        )
    region_dce(func.body)
    _convert_ops(func, uniform=False)
    # Uniform tensors are last: the rules above read a graph.full as a number, most are unused now.
    region_dce(func.body)
    _convert_ops(func, uniform=True)
    region_dce(func.body)


def _convert_ops(func: FuncOp, *, uniform: bool) -> None:
    for op in list(func.body.block.ops):
        if not isinstance(op, GraphOp) or isinstance(op, KEPT) or isinstance(op, FullOp) != uniform:
            continue
        builder = KernelBuilder(op)
        value = builder.stored_as(RULES[type(op)](op, builder), element_of(op.result))
        value.name_hint = op.result.name_hint
        op.result.replace_all_uses_with(value)
        func.body.block.erase_op(op)


@dataclass(frozen=True)
class ConvertGraphToLinalgPass(ModulePass):
    """Convert every kernel of the module."""

    name = "convert-graph-to-linalg"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for func in op.walk():
            if isinstance(func, FuncOp) and is_kernel(func):
                convert_kernel(func)
