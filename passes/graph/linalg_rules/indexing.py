"""Rules of graph.embedding, graph.gather and graph.index: `tensor.extract` at computed indices."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import IndexType
from xdsl.ir import SSAValue
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
    AffineMap,
)

from ....dialects.graph import (
    EmbeddingOp,
    GatherOp,
    IndexOp,
    ReshapeOp,
    ViewOp,
    element_of,
    shape_of,
)
from .kernel_builder import KernelBuilder, Read, dims_map
from .rule import converts
from .scalar_builder import ScalarBuilder


def stored_source(b: KernelBuilder, value: SSAValue) -> SSAValue:
    """`value` such that only affine views lie between it and a tensor in memory."""
    owner = value.owner
    while isinstance(owner, ViewOp):
        owner = owner.source.owner
    if not isinstance(owner, ReshapeOp):
        return value
    shape = shape_of(value)
    return b.pointwise([value], shape, element_of(value), lambda s, x: x)


def extract(s: ScalarBuilder, value: SSAValue, position: Sequence[SSAValue]) -> SSAValue:
    """value[position]; through views the position in their source is computed."""
    while isinstance(value.owner, ViewOp):
        position = [source_index(s, expr, position) for expr in value.owner.map.data.results]
        value = value.owner.source
    return s.extract(value, list(position))


def source_index(s: ScalarBuilder, expr: AffineExpr, dims: Sequence[SSAValue]) -> SSAValue:
    """`expr` of the (not negative) index values `dims`."""
    if isinstance(expr, AffineDimExpr):
        return dims[expr.position]
    if isinstance(expr, AffineConstantExpr):
        return s.constant(expr.value, IndexType())
    assert isinstance(expr, AffineBinaryOpExpr)
    left, right = source_index(s, expr.lhs, dims), source_index(s, expr.rhs, dims)
    match expr.kind:
        case AffineBinaryOpKind.Add:
            return s.add(left, right)
        case AffineBinaryOpKind.Mul:
            return s.mul(left, right)
        case AffineBinaryOpKind.FloorDiv:
            return s.div(left, right)
        case AffineBinaryOpKind.Mod:
            return s.sub(left, s.mul(s.div(left, right), right))
        case AffineBinaryOpKind.CeilDiv:
            return s.div(s.add(left, s.sub(right, s.like(1, right))), right)


@converts(EmbeddingOp)
def convert_embedding(op: EmbeddingOp, b: KernelBuilder) -> SSAValue:
    """out[i..., d...] = table[indices[i...], d...]."""
    shape = shape_of(op.result)
    leading = len(shape_of(op.indices))
    reads: list[Read] = [(op.indices, dims_map(len(shape), range(leading)))]
    table = stored_source(b, op.table)

    def body(s: ScalarBuilder, index: SSAValue) -> SSAValue:
        inner = [s.iteration(d) for d in range(leading, len(shape))]
        return extract(s, table, [s.to_index(index), *inner])

    return b.map(reads, shape, element_of(op.result), body)


@converts(GatherOp)
def convert_gather(op: GatherOp, b: KernelBuilder) -> SSAValue:
    """out[i] = source[i with i[dim] = indices[i]]."""
    shape = shape_of(op.result)
    dim = op.dim.data % len(shape)
    reads: list[Read] = [(op.indices, AffineMap.identity(len(shape)))]
    source = stored_source(b, op.source)

    def body(s: ScalarBuilder, index: SSAValue) -> SSAValue:
        position = [s.to_index(index) if d == dim else s.iteration(d) for d in range(len(shape))]
        return extract(s, source, position)

    return b.map(reads, shape, element_of(op.result), body)


@converts(IndexOp)
def convert_index(op: IndexOp, b: KernelBuilder) -> SSAValue:
    """out[i..., d...] = source[indices0[i...], indices1[i...], ..., d...]."""
    shape = shape_of(op.result)
    leading = len(shape_of(op.indices[0]))
    map = dims_map(len(shape), range(leading))
    reads: list[Read] = [(index, map) for index in op.indices]
    source = stored_source(b, op.source)

    def body(s: ScalarBuilder, *indices: SSAValue) -> SSAValue:
        inner = [s.iteration(d) for d in range(leading, len(shape))]
        return extract(s, source, [*(s.to_index(index) for index in indices), *inner])

    return b.map(reads, shape, element_of(op.result), body)
