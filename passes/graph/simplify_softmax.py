"""Elements picked from a log-softmax, as by a cross-entropy, need no other element of it.

before: %1 = graph.softmax %x {log}; %2 = graph.gather %1, %i
after:  %2 = (graph.gather %x, %i) - max - log(sum(exp(%x - max)))
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import Float64Type, f32
from xdsl.ir import Attribute, SSAValue
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern, op_type_rewrite_pattern

from ...dialects.graph import (
    CastOp,
    GatherOp,
    GraphOp,
    PointwiseOp,
    ReduceOp,
    ReshapeOp,
    SoftmaxOp,
    element_of,
    shape_of,
    tensor_of,
)
from .replacement import copy_location, type_of


class PickBeforeSoftmax(RewritePattern):
    """The steps and their order are those of the softmax, so every bit of the result stays; a
    tensor of the size of its operand is neither written nor read again."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: GatherOp, rewriter: PatternRewriter) -> None:
        softmax, shape = _only_read(op.source), shape_of(op.source)
        dim = op.dim.data % len(shape)
        if isinstance(softmax, ReshapeOp) and dim == len(shape) - 1:
            softmax = _only_read(softmax.source)
        if not isinstance(softmax, SoftmaxOp) or not softmax.log.value.data:
            return
        whole = shape_of(softmax.source)
        is_same_dim = softmax.dim.data % len(whole) - len(whole) == dim - len(shape)
        if not is_same_dim or whole[softmax.dim.data] != shape[dim]:
            return
        steps = _Steps(op)
        x = softmax.source
        if whole != shape:
            x = steps.add(ReshapeOp(x, tensor_of(element_of(x), shape)))
        picked = GatherOp(x, op.indices, dim, tensor_of(element_of(x), shape_of(op.result)))
        chosen, x = steps.widened(steps.add(picked)), steps.widened(x)
        largest = steps.reduced("maxnum", x, dim)
        exponentials = steps.pointwise("exp", [steps.pointwise("sub", [x, largest])])
        total = steps.pointwise("log", [steps.reduced("sum", exponentials, dim)])
        found = steps.pointwise("sub", [steps.pointwise("sub", [chosen, largest]), total])
        if element_of(found) != element_of(op.result):
            found = steps.add(CastOp(found, type_of(op)))
        rewriter.replace(op, steps.ops, [found])


class _Steps:
    """Ops in the order in which they were made, with the location of `origin`."""

    def __init__(self, origin: GraphOp) -> None:
        self.origin = origin
        self.ops: list[GraphOp] = []

    def add(self, op: GraphOp) -> SSAValue:
        copy_location(self.origin, op)
        self.ops.append(op)
        return op.result

    def widened(self, value: SSAValue) -> SSAValue:
        """Shorter floats in f32, in which a softmax computes."""
        element: Attribute = element_of(value)
        if isinstance(element, Float64Type) or element == f32:
            return value
        return self.add(CastOp(value, tensor_of(f32, shape_of(value))))

    def pointwise(self, fn: str, operands: Sequence[SSAValue]) -> SSAValue:
        """Of operands that are as large as the first, or broadcast to it."""
        type = tensor_of(element_of(operands[0]), shape_of(operands[0]))
        return self.add(PointwiseOp(fn, operands, type))

    def reduced(self, fn: str, value: SSAValue, dim: int) -> SSAValue:
        """Along `dim`, which stays with extent 1."""
        shape = list(shape_of(value))
        del shape[dim]
        reduced = self.add(ReduceOp(fn, value, [dim], tensor_of(element_of(value), shape)))
        shape.insert(dim, 1)
        return self.add(ReshapeOp(reduced, tensor_of(element_of(value), shape)))


def _only_read(value: SSAValue) -> object:
    """What computes `value`, if it is read once."""
    return value.owner if value.has_one_use() else None
