"""Ops on whole arrays as statements: concatenation, padding, scans."""

from __future__ import annotations

from typing import cast

from xdsl.builder import Builder
from xdsl.dialects import math
from xdsl.dialects.builtin import (
    AnyFloat,
    FloatAttr,
    IntegerAttr,
    IntegerType,
    MemRefType,
    TensorType,
)
from xdsl.ir import Attribute, Block, Region, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap
from xdsl.rewriter import InsertPoint

from ....dialects.graph import CatOp, PadOp, ScanOp, shape_of
from ....dialects.poly import YieldOp
from ....dialects.sizes import upper_bound
from ...graph.linalg_rules.scalar_builder import ScalarBuilder
from ..affine_maps import compose
from .scop_builder import ScopBuilder, Source


def _log_add_exp(s: ScalarBuilder, total: SSAValue, x: SSAValue) -> SSAValue:
    """log(exp(total) + exp(x)); equal numbers apart, as infinities have no difference."""
    larger = s.maximum(total, x)
    apart = s.negate(s.absolute(s.sub(total, x)))
    rest = s.insert(math.Log1pOp(s.exp(apart)))
    same = s.both(
        s.compare("eq", total, x), s.compare("eq", s.absolute(x), s.like(float("inf"), x))
    )
    return s.select(same, larger, s.add(larger, rest))


SCAN_FUNCTIONS = {
    "sum": ScalarBuilder.add,
    "prod": ScalarBuilder.mul,
    "max": ScalarBuilder.maximum,
    "min": ScalarBuilder.minimum,
    "logaddexp": _log_add_exp,
}


def extract_cat(builder: ScopBuilder, op: CatOp) -> None:
    """One copy per operand, each behind the one before."""
    target = builder.array(op.result.type)
    offset = 0
    for operand in op.operands_:
        shape = shape_of(operand)
        dims: list[AffineExpr] = [AffineExpr.dimension(d) for d in range(len(shape))]
        if offset:
            dims[op.dim.data] = dims[op.dim.data] + builder.parameters.expr(offset)
        builder.copy(target, shape, builder.map(len(shape), dims), builder.read(operand))
        offset += shape[op.dim.data]
    builder.sources[op.result] = Source(target, AffineMap.identity(len(shape_of(op.result))))


def extract_pad(builder: ScopBuilder, op: PadOp) -> None:
    """A copy into the middle, and the border around it."""
    target = builder.array(op.result.type)
    shape = shape_of(op.source)
    element = cast(TensorType[Attribute], op.result.type).element_type
    value: FloatAttr | IntegerAttr
    if isinstance(element, AnyFloat):
        assert isinstance(op.value, FloatAttr)
        value = FloatAttr(op.value.value.data, element)
    else:
        assert isinstance(op.value, IntegerAttr)
        assert isinstance(element, IntegerType)
        value = IntegerAttr(op.value.value.data, element)
    write = tuple(
        AffineExpr.dimension(d) + low.data if low.data else AffineExpr.dimension(d)
        for d, low in enumerate(op.low)
    )
    builder.copy(target, shape, AffineMap(len(shape), 0, write), builder.read(op.source))
    _fill_border(builder, target, op, value)
    builder.sources[op.result] = Source(target, AffineMap.identity(len(shape)))


def _fill_border(
    builder: ScopBuilder, target: SSAValue, op: PadOp, value: FloatAttr | IntegerAttr
) -> None:
    """What `op` adds around its source, as boxes: both sides of a dim between those before it.

    Sides of the last dim come first: they have the other loops of what they surround.
    """
    box = [(0, n) for n in shape_of(op.result)]
    sides = []
    for p, (low, high) in enumerate(zip(op.low, op.high, strict=True)):
        n = shape_of(op.source)[p]
        for first, count in ((0, low.data), (low.data + n, high.data)):
            if count:
                sides.append([*box[:p], (first, count), *box[p + 1 :]])
        box[p] = (low.data, n)
    for side in reversed(sides):
        dims = [AffineExpr.dimension(k) for k in range(len(side))]
        exprs = [
            d + builder.parameters.expr(at) if at else d
            for d, (at, _) in zip(dims, side, strict=True)
        ]
        write = builder.map(len(side), exprs)
        builder.constant(target, [extent for _, extent in side], value, write)


def extract_scan(builder: ScopBuilder, op: ScanOp) -> None:
    """out[0] = x[0]; out[i + 1] = out[i] (+) x[i + 1] along the scanned dim."""
    target = builder.array(op.result.type)
    source = builder.read(op.source)
    shape, dim = list(shape_of(op.result)), op.dim.data
    start = min(upper_bound(shape[dim]), 1)  # sizes of a call are at least 1
    rest = shape[dim] - 1 if start else 0
    identity = AffineMap.identity(len(shape))
    builder.copy(target, [*shape[:dim], start, *shape[dim + 1 :]], identity, source)
    shifted = list(identity.results)
    shifted[dim] = shifted[dim] + 1
    after = AffineMap(len(shape), 0, tuple(shifted))
    element = cast(MemRefType[Attribute], target.type).element_type
    body = Block(arg_types=[element, element])
    scalars = ScalarBuilder(Builder(InsertPoint.at_end(body)))
    scalars.finish(YieldOp(SCAN_FUNCTIONS[op.fn.data](scalars, *body.args)))
    builder.statement(
        [*shape[:dim], rest, *shape[dim + 1 :]],
        target,
        after,
        [Source(target, identity), Source(source.array, compose(source.map, after))],
        Region(body),
    )
    builder.sources[op.result] = Source(target, identity)
