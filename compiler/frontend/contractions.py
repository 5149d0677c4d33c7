"""Matrix products: `graph.linear` where the right side is a weight, `graph.matmul` elsewhere."""

from __future__ import annotations

from xdsl.dialects.builtin import i32
from xdsl.ir import SSAValue

from ...dialects.graph import (
    MatmulOp,
    ReshapeOp,
    ViewOp,
    WeightOp,
    broadcast_shapes,
    element_of,
    shape_of,
    tensor_of,
)
from .builder import Builder, Scalar, elements_in
from .rounding import rounds_once
from .rules import rule


@rule("aten.linear.default")
def linear(b: Builder, source: SSAValue, weight: SSAValue, bias: SSAValue | None) -> SSAValue:
    """source @ weight^T + bias; a rank-1 weight is a single row."""
    if len(shape_of(weight)) == 1:
        row = b.reshape(weight, [1, *shape_of(weight)])
        value = b.reshape(b.linear(source, row, None), b.shape)
        return value if bias is None else b.pointwise("add", value, bias)
    if len(shape_of(source)) == 1:
        line = b.reshape(source, [1, *shape_of(source)])
        return b.reshape(linear(b, line, weight, bias), b.shape)
    if bias is not None and len(shape_of(bias)) != 1:
        return b.pointwise("add", b.linear(source, weight, None), bias)
    return b.linear(source, weight, bias)


@rule("aten.mm.default", "aten.bmm.default", "aten.matmul.default", "aten.mv.default")
def matmul(b: Builder, lhs: SSAValue, rhs: SSAValue) -> SSAValue:
    """NumPy's matmul: vectors gain a dim, batch dims broadcast."""
    left, right = shape_of(lhs), shape_of(rhs)
    if len(left) == 1:
        lhs = b.reshape(lhs, [1, *left])
    if len(right) == 1:
        rhs = b.reshape(rhs, [*right, 1])
    return b.reshape(_matmul(b, lhs, rhs), b.shape)


@rule("aten._int_mm.default")
def integer_product(b: Builder, lhs: SSAValue, rhs: SSAValue) -> SSAValue:
    """The product of bytes, summed in 32 bits."""
    return matmul(b, b.cast(lhs, i32), b.cast(rhs, i32))


@rule("aten.dot.default", "aten.vdot.default")
@rounds_once
def dot(b: Builder, x: SSAValue, y: SSAValue) -> SSAValue:
    """The sum of products."""
    return b.reduce("sum", b.pointwise("mul", x, y), [0], False)


@rule("aten.addmm.default", "aten.addmv.default", "aten.baddbmm.default")
def addmm(
    b: Builder, bias: SSAValue, lhs: SSAValue, rhs: SSAValue, beta: Scalar, alpha: Scalar
) -> SSAValue:
    """beta * bias + alpha * lhs @ rhs; one `graph.linear` in the form that layers use."""
    if beta == alpha == 1 and _is_matrix_weight(rhs) and len(shape_of(bias)) == 1:
        return b.linear(lhs, b.swap(rhs, 0, 1), bias)
    value = matmul(b, lhs, rhs)
    if alpha != 1:
        value = b.pointwise("mul", value, alpha)
    if beta == 0:
        return value
    return b.pointwise("add", value, bias if beta == 1 else b.pointwise("mul", bias, beta))


@rule("aten.addbmm.default")
def addbmm(
    b: Builder, bias: SSAValue, lhs: SSAValue, rhs: SSAValue, beta: Scalar, alpha: Scalar
) -> SSAValue:
    """beta * bias + alpha * the sum of all lhs[i] @ rhs[i], as one longer product."""
    count, rows, inner = shape_of(lhs)
    left = b.reshape(b.permute(lhs, [1, 0, 2]), [rows, count * inner])
    return addmm(b, bias, left, b.reshape(rhs, [count * inner, shape_of(rhs)[2]]), beta, alpha)


@rule("aten.bilinear.default")
def bilinear(
    b: Builder, x: SSAValue, y: SSAValue, weight: SSAValue, bias: SSAValue | None
) -> SSAValue:
    """result[.., o] = sum over i, j of x[.., i] weight[o, i, j] y[.., j] + bias[o]."""
    outputs, left, right = shape_of(weight)
    lead = shape_of(x)[:-1]
    rows = b.reshape(y, [elements_in(lead), right])
    inner = b.linear(rows, b.reshape(weight, [outputs * left, right]), None)
    pairs = b.reshape(inner, [elements_in(lead), outputs, left])
    factors = b.reshape(x, [elements_in(lead), 1, left])
    value = b.reduce("sum", b.pointwise("mul", pairs, factors), [2], False)
    value = b.reshape(value, [*lead, outputs])
    return value if bias is None else b.pointwise("add", value, bias)


def _matmul(b: Builder, lhs: SSAValue, rhs: SSAValue) -> SSAValue:
    left, right = shape_of(lhs), shape_of(rhs)
    if len(right) == 2 and (len(left) > 2 or _is_matrix_weight(rhs)):
        return b.linear(lhs, b.swap(rhs, 0, 1), None)
    batch = broadcast_shapes([left[:-2], right[:-2]])
    lhs = b.expand(lhs, (*batch, *left[-2:]))
    rhs = b.expand(rhs, (*batch, *right[-2:]))
    shape = (*batch, left[-2], right[-1])
    return b.emit(MatmulOp(lhs, rhs, tensor_of(element_of(lhs), shape)))


def _is_matrix_weight(value: SSAValue) -> bool:
    """Whether `value` is a rank-2 stored weight, possibly seen through views."""
    if len(shape_of(value)) != 2:
        return False
    while isinstance(value.owner, (ViewOp, ReshapeOp)):
        value = value.owner.source
    return isinstance(value.owner, WeightOp)
