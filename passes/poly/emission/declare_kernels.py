"""Scheduled scops as functions without a body, for those who only ask what a kernel needs.

before: poly.scop @k { statements, schedule }
after:  func.func @k(memrefs) { }     (the arguments, scratch arrays among them, of lower-scop)
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import ReturnOp
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from ....dialects.poly import ArrayOp, ScopOp
from ....dialects.schedule import parse_steps
from ..dependences.dependences import dependences_of
from ..scheduled import apply_schedule
from ..sets import limited_operations
from ..storage import fits_kernel, place_array
from .lower_scop import declare_kernel


def scratch_arrays(scop: ScopOp) -> tuple[ScopOp, list[SSAValue]]:
    """`scop` after the rewrites of its schedule, and the temporaries that its callers provide."""
    scop, tree = apply_schedule(scop, parse_steps(scop.schedule.data if scop.schedule else ""))
    arrays = [op.result for op in scop.body.block.ops if isinstance(op, ArrayOp)]
    large = [array for array in arrays if not fits_kernel(array)]
    if not large:
        return scop, []
    dependences = dependences_of(scop)
    return scop, [a for a in large if place_array(scop, a, tree, dependences).axis is None]


@dataclass(frozen=True)
class DeclareKernelsPass(ModulePass):
    """Replace scops by the declarations of their loop functions."""

    name = "declare-kernels"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for scop in [s for s in op.ops if isinstance(s, ScopOp)]:
            with limited_operations():
                func, _ = declare_kernel(*scratch_arrays(scop))
            func.body.block.add_op(ReturnOp())
            func.attributes |= scop.attributes
            op.body.block.insert_op_before(func, scop)
            Rewriter.erase_op(scop)
