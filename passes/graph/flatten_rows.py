"""Patterns that keep activations two-dimensional, [rows, features], between kernels.

before: %y = graph.linear %x : tensor<2x8x4xf32> -> tensor<2x8x6xf32>
        %z = graph.pointwise "relu" %y
after:  %r = graph.reshape %x : tensor<16x4xf32>
        %y = graph.linear %r : tensor<16x6xf32>
        %z = graph.reshape (graph.pointwise "relu" %y) : tensor<2x8x6xf32>

Reshapes move towards the results; each is free where its operand is in memory.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import StringAttr
from xdsl.ir import Operation, SSAValue
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern, op_type_rewrite_pattern

from ...dialects.graph import (
    CastOp,
    GraphOp,
    LinearOp,
    NormOp,
    PointwiseOp,
    ReshapeOp,
    SoftmaxOp,
    element_of,
    shape_of,
    tensor_of,
)


def rows_of(value: SSAValue) -> SSAValue | None:
    """The rank-2 tensor that `value` is a reshape of, keeping the last dim; None if it is none."""
    if not isinstance(value.owner, ReshapeOp):
        return None
    source = value.owner.source
    before, after = shape_of(source), shape_of(value)
    if len(before) != 2 or len(after) < 3 or before[-1] != after[-1]:
        return None
    return source


class FlattenLinear(RewritePattern):
    """A linear layer on [..., K] works on [rows, K]."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: LinearOp, rewriter: PatternRewriter) -> None:
        *lead, inner = shape_of(op.source)
        if len(lead) < 2:
            return
        rows = 1
        for extent in lead:
            rows *= extent
        flat = ReshapeOp(op.source, tensor_of(element_of(op.source), [rows, inner]))
        type = tensor_of(element_of(op.result), [rows, shape_of(op.result)[-1]])
        linear = LinearOp(flat.result, op.weight, op.bias, type)
        _replace(op, [flat, linear], rewriter)


class HoistRowwise(RewritePattern):
    """Norms over the last dim, softmax along it, and casts work on the rows."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        if not isinstance(op, (NormOp, SoftmaxOp, CastOp)):
            return
        rows = rows_of(op.source)
        if rows is None:
            return
        if isinstance(op, NormOp):
            if op.rank.data != 1:
                return
            flat: GraphOp = NormOp(op.kind.data, rows, op.weight, op.bias, 1, op.eps.value.data)
        elif isinstance(op, SoftmaxOp):
            if op.dim.data != len(shape_of(op.source)) - 1:
                return
            flat = SoftmaxOp(rows, 1, bool(op.log.value.data))
        else:
            flat = CastOp(rows, tensor_of(element_of(op.result), shape_of(rows)))
        _replace(op, [flat], rewriter)


class HoistPointwise(RewritePattern):
    """Pointwise ops work on rows where every operand does, broadcasts along them, or is as big."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: PointwiseOp, rewriter: PatternRewriter) -> None:
        shape = shape_of(op.result)
        known = [rows_of(v) if shape_of(v) == shape else None for v in op.operands_]
        rows = next((shape_of(v) for v in known if v is not None), None)
        if rows is None:
            return
        shapes = [_flat_shape(shape_of(v), shape, rows) for v in op.operands_]
        if any(flat is None and small is None for flat, small in zip(known, shapes, strict=True)):
            return  # before any op is made: one that is left over would keep its operands alive
        new_ops: list[GraphOp] = []
        operands: list[SSAValue] = []
        for value, flat, small in zip(op.operands_, known, shapes, strict=True):
            if flat is None:
                assert small is not None
                flat = value
                assert small is not None
                if small != shape_of(value):
                    new_ops.append(ReshapeOp(value, tensor_of(element_of(value), small)))
                    flat = new_ops[-1].result
            operands.append(flat)
        type = tensor_of(element_of(op.result), rows)
        new_ops.append(PointwiseOp(op.fn.data, operands, type))
        _replace(op, new_ops, rewriter)


def _flat_shape(
    operand: Sequence[int], result: Sequence[int], rows: Sequence[int]
) -> tuple[int, ...] | None:
    """The shape under which `operand` broadcasts to `rows`; None if there is none."""
    if tuple(operand) == tuple(result):
        return tuple(rows)
    if len(operand) > len(result) or any(n != 1 for n in operand[:-1]):
        return None
    return (operand[-1],) if operand else ()


def _replace(op: Operation, new_ops: Sequence[GraphOp], rewriter: PatternRewriter) -> None:
    """Put `new_ops` in place of `op`, the last one reshaped to the type of its result."""
    back = ReshapeOp(new_ops[-1].result, op.results[0].type)  # type: ignore[arg-type]
    loc = op.attributes.get("loc")
    for new in (*new_ops, back):
        if isinstance(loc, StringAttr):
            new.attributes["loc"] = loc
    rewriter.replace(op, [*new_ops, back])
