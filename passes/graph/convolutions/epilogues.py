"""What follows a Winograd convolution moves into the op: bias, residual, relu, a border of zeros.

before: %1 = graph.winograd_conv %x, %w ; %2 = graph.pointwise "add" %1, %y ; %3 = "relu" %2
after:  %3 = graph.winograd_conv %x, %w, residual = %y {relu}
"""

from __future__ import annotations

from xdsl.dialects.builtin import FloatAttr
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineDimExpr

from ....dialects.graph import GraphOp, PadOp, PointwiseOp, ViewOp, WeightOp, shape_of
from ....dialects.graph.winograd import WinogradConvOp
from ..replacement import copy_location


def take_epilogue(op: WinogradConvOp) -> WinogradConvOp:
    """Let `op` do what its only reader does, as often as it can; the op that is left."""
    while (reader := _only_reader(op)) is not None:
        new = _with(op, reader)
        if new is None:
            break
        block = reader.parent_block()
        assert block is not None
        copy_location(op, new)
        block.insert_op_before(new, reader)
        reader.result.replace_all_uses_with(new.result)
        block.erase_op(reader)
        block.erase_op(op)
        op = new
    return op


def _only_reader(op: WinogradConvOp) -> GraphOp | None:
    uses = list(op.result.uses)
    if len(uses) != 1 or not isinstance(uses[0].operation, GraphOp):
        return None
    return uses[0].operation


def _with(op: WinogradConvOp, reader: GraphOp) -> WinogradConvOp | None:
    """`op` and `reader` as one; None where that is no such op."""
    is_final = any(w.data for p in (op.border_low, op.border_high) for w in p)
    if isinstance(reader, PadOp) and not is_final:
        low, high = ([w.data for w in p] for p in (reader.low, reader.high))
        zero = isinstance(reader.value, FloatAttr) and reader.value.value.data == 0
        if zero and not any(w for p in (low, high) for w in (*p[:2], p[-1])):
            return WinogradConvOp(
                op.source, op.weight, op.bias, op.residual, op.relu is not None, low[2:4], high[2:4]
            )
    if not isinstance(reader, PointwiseOp) or is_final or op.relu is not None:
        return None
    if reader.fn.data == "relu":
        return WinogradConvOp(op.source, op.weight, op.bias, op.residual, True)
    if reader.fn.data != "add" or len(reader.operands) != 2:
        return None
    others = [v for v in reader.operands if v is not op.result]
    if len(others) != 1 or op.residual is not None:
        return None
    (other,) = others
    if isinstance(other.owner, WeightOp) and op.bias is None and shape_of(other) == _bias_shape(op):
        return WinogradConvOp(op.source, op.weight, other, None)
    if shape_of(other) == op.positions and _is_plain(other):
        return WinogradConvOp(op.source, op.weight, op.bias, other)
    return None


def _bias_shape(op: WinogradConvOp) -> tuple[int, ...]:
    blocks, lanes = op.positions[1], op.positions[-1]
    return (blocks, 1, 1, lanes)


def _is_plain(value: SSAValue) -> bool:
    """Whether vectors of `value` lie in memory as such: it is stored, or the inside of what is."""
    owner = value.owner
    if not isinstance(owner, ViewOp):
        return True
    last = owner.map.data.results[-1]
    rank = len(shape_of(value))
    return (
        isinstance(last, AffineDimExpr)
        and last.position == rank - 1
        and shape_of(owner.source)[-1] == shape_of(value)[-1]
        and _is_plain(owner.source)
    )
