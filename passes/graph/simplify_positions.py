"""Patterns on integers that are affine in their position: what they pick and how they compare.

before: %i = graph.iota 0, 1; %m = graph.pointwise "lt" %i, 0; %r = graph.index %x[%i]
after:  %m = graph.full false; %r = graph.view %x by (d0) -> (d0)
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import AffineMapAttr, IntegerType, i32, i64
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.ir.affine import AffineConstantExpr, AffineExpr, AffineMap
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern, op_type_rewrite_pattern
from xdsl.rewriter import InsertPoint

from ...dialects.graph import (
    CastOp,
    EmbeddingOp,
    FullOp,
    GatherOp,
    GraphOp,
    IndexOp,
    IotaOp,
    PointwiseOp,
    ReshapeOp,
    ViewOp,
    element_of,
    shape_of,
    tensor_of,
)
from ...dialects.integers import holds_integers, is_unsigned
from ...dialects.reference.graph import attribute_value
from ...dialects.sizes import lower_bound
from .layout_access import is_affine_reshape
from .replacement import copy_location, replace_with, type_of
from .simplify_map import bounds, broadcast_map, reshape_map, simplify_map

COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")


class IndexToView(RewritePattern):
    """What is picked at known, regular positions is a view."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        if isinstance(op, IndexOp):
            source, picked = op.source, dict(enumerate(op.indices))
        elif isinstance(op, EmbeddingOp):
            source, picked = op.table, {0: op.indices}
        elif isinstance(op, GatherOp):
            source, picked = op.source, {op.dim.data % len(shape_of(op.source)): op.indices}
        else:
            return
        shape, extents = shape_of(op.result), shape_of(source)
        # the dims of source that are not picked are the last ones of the result
        behind = len(shape) - len(extents)
        exprs = [AffineExpr.dimension(d + behind) for d in range(len(extents))]
        for dim, value in picked.items():
            expr = affine_value(value)
            if expr is None or not _is_inside(expr, shape_of(value), extents[dim]):
                return
            exprs[dim] = expr
        map = simplify_map(AffineMap(len(shape), 0, tuple(exprs)), shape)
        replace_with(op, ViewOp(source, AffineMapAttr(map), type_of(op)), rewriter)


class DecideComparison(RewritePattern):
    """A comparison whose sides have ranges that do not overlap is known."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: PointwiseOp, rewriter: PatternRewriter) -> None:
        if op.fn.data not in ("lt", "le", "gt", "ge") or 0 in shape_of(op.result):
            return
        ranges = []
        for value in op.operands_:
            expr = affine_value(value)
            if expr is None:
                return
            ranges.append(bounds(expr, shape_of(value)))
        left, right = ranges if op.fn.data in ("lt", "le") else reversed(ranges)
        strict = op.fn.data in ("lt", "gt")
        if left[1] < right[0] or (not strict and left[1] == right[0]):
            replace_with(op, FullOp(True, type_of(op)), rewriter)
        elif left[0] > right[1] or (strict and left[0] == right[1]):
            replace_with(op, FullOp(False, type_of(op)), rewriter)


class NarrowComparison(RewritePattern):
    """Positions of 64 bits that 32 hold are compared as such: twice as many lanes."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: PointwiseOp, rewriter: PatternRewriter) -> None:
        if op.fn.data not in COMPARISONS or not any(element_of(v) == i64 for v in op.operands_):
            return
        made: list[GraphOp] = []
        narrow = [_narrowed(value, made) for value in op.operands_]
        sides = [value for value in narrow if value is not None]
        if len(sides) < len(narrow):
            return
        for new in made:
            copy_location(op, new)
            rewriter.insert(new, InsertPoint.before(op))
        replace_with(op, PointwiseOp(op.fn.data, sides, type_of(op)), rewriter)


def _narrowed(value: SSAValue, made: list[GraphOp]) -> SSAValue | None:
    """`value`, whose elements are affine in their position, in 32 bits; None where these do not
    hold it. The ops that compute it go to the end of `made`."""
    op = value.owner
    expr = affine_value(value)
    if expr is None or 0 in shape_of(value) or element_of(value) not in (i32, i64):
        return None
    if element_of(value) == i32:
        return value
    low, high = bounds(expr, shape_of(value))
    if low < -(2**31) or high >= 2**31:
        return None
    type = tensor_of(i32, shape_of(value))
    new: GraphOp
    match op:
        case FullOp():
            new = FullOp(int(attribute_value(op.value)), type)
        case IotaOp():
            new = IotaOp(op.start.data, op.step.data, type)
        case CastOp():
            new = CastOp(op.source, type)
        case ViewOp() | ReshapeOp() | PointwiseOp():
            inner = [_narrowed(operand, made) for operand in op.operands]
            sides = [side for side in inner if side is not None]
            if len(sides) < len(inner):
                return None
            if isinstance(op, PointwiseOp):
                new = PointwiseOp(op.fn.data, sides, type)
            elif isinstance(op, ViewOp):
                new = ViewOp(sides[0], op.map, type)
            else:
                new = ReshapeOp(sides[0], type)
        case _:
            return None
    made.append(new)
    return new.result


class SingleIota(RewritePattern):
    """A range of one number is a constant."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: IotaOp, rewriter: PatternRewriter) -> None:
        if shape_of(op.result) == (1,):
            replace_with(op, FullOp(op.start.data, type_of(op)), rewriter)


def affine_value(value: SSAValue) -> AffineExpr | None:
    """The element at (d0, d1, ...) of an integer tensor as an affine expression, if it is one."""
    op = value.owner
    element = element_of(value)
    if not isinstance(element, IntegerType) or is_unsigned(element):
        return None  # differences of unsigned numbers wrap around
    if isinstance(op, FullOp):
        return AffineConstantExpr(int(attribute_value(op.value)))
    if isinstance(op, IotaOp):
        position: AffineExpr = AffineExpr.dimension(0) * op.step.data + op.start.data
        return position
    if isinstance(op, CastOp) and _widens(element_of(op.source), element_of(value)):
        return affine_value(op.source)
    if isinstance(op, PointwiseOp) and op.fn.data in ("add", "sub", "mul"):
        return _affine_arithmetic(op)
    if isinstance(op, (ViewOp, ReshapeOp)):
        inner = affine_value(op.source)
        if inner is None or 0 in shape_of(value):
            return None
        if isinstance(op, ViewOp):
            return _composed(inner, op.map.data)
        if not is_affine_reshape(op):
            return None
        return _composed(inner, reshape_map(shape_of(op.source), shape_of(value)))
    return None


def _affine_arithmetic(op: PointwiseOp) -> AffineExpr | None:
    """A sum, difference or constant multiple of affine values."""
    shape = shape_of(op.result)
    sides = []
    for value in op.operands_:
        expr = affine_value(value)
        if expr is None:
            return None
        sides.append(_composed(expr, broadcast_map(shape_of(value), shape)))
    left, right = sides
    if op.fn.data == "add":
        return left + right
    if op.fn.data == "sub":
        return left + right * -1
    if isinstance(left, AffineConstantExpr):
        left, right = right, left
    return left * right if isinstance(right, AffineConstantExpr) else None


def _is_inside(expr: AffineExpr, shape: Sequence[int], extent: int) -> bool:
    """Whether every position is inside the dim; a view must not read outside its source."""
    low, high = bounds(expr, shape)
    return low >= 0 and high < lower_bound(extent)


def _widens(before: Attribute, after: Attribute) -> bool:
    if not isinstance(before, IntegerType) or not isinstance(after, IntegerType):
        return False
    return holds_integers(after, before)


def _composed(expr: AffineExpr, map: AffineMap) -> AffineExpr:
    result: AffineExpr = expr.compose(map)
    return result
