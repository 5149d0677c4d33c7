"""Round f32 to bf16 by the instructions of machines that multiply pairs of bf16.

before: %e = vector.gather %x[%i][2 k] ; %o = vector.gather %x[%i + 1][2 k]
        %p = pair.join (truncf %e), (truncf %o)
after:  %a = vector.load %x[%i] ; %b = vector.load %x[%i + n] ; %p = pair.round %a, %b

Neighbours in memory become pairs as they lie there, without being taken apart first. Where the
user asked for bf16, other vectors are rounded by `pair.narrow`: integer arithmetic for each of a
tile's results, which keeps subnormal numbers, costs as much as a tenth of its products.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import arith, vector
from xdsl.dialects.builtin import IndexType, IntegerAttr, ModuleOp, VectorType, bf16, f32
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from ...dialects.pairs import JoinOp, NarrowOp, RoundOp
from ...dialects.vector import GatherOp
from ..context import CompileContext
from .eliminate_common_subexpressions import STORES, erase_unused, stored_memref
from .exchange_gathers import reads_all_lanes, root_of
from .lane_accesses import lane_stride

BF16_VECTOR = VectorType(bf16, [16])  # of f32 in a register of 512 bits


def _gathered(value: SSAValue) -> GatherOp | None:
    """The gather of every second f32 that `value` is rounded from; None where it is none."""
    narrow = value.owner
    if not isinstance(narrow, arith.TruncFOp) or not isinstance(narrow.input.owner, GatherOp):
        return None
    op = narrow.input.owner
    type = op.result.type
    if not isinstance(type, VectorType) or type.element_type != f32 or not reads_all_lanes(op):
        return None
    return op if lane_stride(op.offsets) == 2 else None


def _is_changed(first: Operation, last: Operation, memory: SSAValue) -> bool:
    """Whether `memory` may be written between two ops of a block."""
    op = first.next_op
    while op is not None and op is not last:
        if op.regions or (isinstance(op, STORES) and stored_memref(op) is memory):
            return True
        op = op.next_op
    return op is None


def _round_neighbours(join: JoinOp) -> None:
    low, high = _gathered(join.low), _gathered(join.high)
    if low is None or high is None or low.parent is not high.parent:
        return
    (root, even), (other, odd) = root_of(low), root_of(high)
    if root != other or odd != even + 1 or _is_changed(low, high, low.base):
        return
    type = low.result.type
    assert isinstance(type, VectorType)
    *outer, last = low.indices
    lanes = arith.ConstantOp(IntegerAttr(type.get_shape()[0], IndexType()))
    behind = arith.AddiOp(last, lanes.result)
    halves = [vector.LoadOp(low.base, [*outer, i], type) for i in (last, behind.result)]
    block = low.parent_block()
    assert block is not None
    block.insert_ops_before([lanes, behind, *halves], low)
    Rewriter.replace_op(join, RoundOp(*(half.result for half in halves)))


def _narrow(op: arith.TruncFOp) -> None:
    """Let one instruction round whole registers."""
    type = op.input.type
    if isinstance(type, VectorType) and type.element_type == f32 and op.result.type == BF16_VECTOR:
        Rewriter.replace_op(op, NarrowOp(op.input))


@dataclass(frozen=True)
class RoundNeighboursPass(ModulePass):
    """Make bf16 of contiguous f32 by one instruction, where the machine multiplies pairs of it."""

    name = "round-neighbours"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        assert isinstance(ctx, CompileContext)
        if not ctx.machine.has_pair_products:
            return
        for func in op.ops:
            if isinstance(func, FuncOp) and func.body.blocks:
                for inner in list(func.walk()):
                    if isinstance(inner, JoinOp):
                        _round_neighbours(inner)
                    elif isinstance(inner, arith.TruncFOp) and ctx.precision == "bf16":
                        _narrow(inner)
                erase_unused(func.body.block)
