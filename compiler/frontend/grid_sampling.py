"""Volumes read at positions that are data (grid_sample in three dims)."""

from __future__ import annotations

from itertools import product

from xdsl.dialects.builtin import i1, i64
from xdsl.ir import SSAValue

from ...dialects.graph import IndexOp, element_of, shape_of, tensor_of
from .builder import Builder
from .rounding import rounds_once
from .rules import UnsupportedUse, rule

LINEAR, NEAREST = 0, 1
ZEROS, BORDER, REFLECTION = 0, 1, 2


@rule("aten.grid_sampler_3d.default")
@rounds_once
def grid_sampler_3d(
    b: Builder, source: SSAValue, grid: SSAValue, mode: int, padding: int, align: bool
) -> SSAValue:
    """result[n, :, o] = source[n, :, grid[n, o]]; grid has x, y, z between -1 and 1 last."""
    if mode not in (LINEAR, NEAREST):
        raise UnsupportedUse("grid_sample of volumes is bilinear or nearest in torch")
    spatial = shape_of(source)[2:]
    last = len(shape_of(grid)) - 1
    at = [
        position(b, b.select(grid, last, len(spatial) - 1 - d), extent, padding, align)
        for d, extent in enumerate(spatial)
    ]
    if mode == NEAREST:
        return corner(b, source, [b.pointwise("round", x) for x in at])
    low = [b.pointwise("floor", x) for x in at]
    above = [b.pointwise("sub", x, start) for x, start in zip(at, low, strict=True)]
    total: SSAValue | None = None
    for offsets in product((0, 1), repeat=len(spatial)):
        weight: SSAValue | None = None
        for offset, part in zip(offsets, above, strict=True):
            share = part if offset else b.pointwise("sub", 1.0, part)
            weight = share if weight is None else b.pointwise("mul", weight, share)
        assert weight is not None
        corners = [b.pointwise("add", x, float(o)) for x, o in zip(low, offsets, strict=True)]
        value = corner(b, source, corners)
        batch, *rest = shape_of(weight)
        term = b.pointwise("mul", value, b.reshape(weight, [batch, 1, *rest]))
        total = term if total is None else b.pointwise("add", total, term)
    assert total is not None
    return total


def position(b: Builder, x: SSAValue, extent: int, padding: int, align: bool) -> SSAValue:
    """From -1..1 to elements; outside of them as `padding` says."""
    # with `align`, -1 and 1 are the centres of the outer elements, else their edges
    span = extent - 1 if align else extent
    at = b.pointwise("mul", b.pointwise("add", x, 1.0), span / 2)
    if not align:
        at = b.pointwise("sub", at, 0.5)
    if padding == REFLECTION:
        at = reflected(b, at, 0.0 if align else -0.5, span)
    if padding in (BORDER, REFLECTION):
        at = b.pointwise("minimum", b.pointwise("maximum", at, 0.0), float(extent - 1))
    return at


def reflected(b: Builder, x: SSAValue, low: float, span: int) -> SSAValue:
    """`x` mirrored at `low` and `low + span` until it lies between them."""
    if span == 0:
        return b.pointwise("mul", x, 0.0)
    distance = b.pointwise("abs", b.pointwise("sub", x, low))
    flips = b.pointwise("floor", b.pointwise("div", distance, float(span)))
    rest = b.pointwise("sub", distance, b.pointwise("mul", flips, float(span)))
    half = b.pointwise("mul", flips, 0.5)
    is_odd = b.pointwise("ne", b.pointwise("floor", half), half)
    inside = b.pointwise("where", is_odd, b.pointwise("sub", float(span), rest), rest)
    return b.pointwise("add", inside, low)


def corner(b: Builder, source: SSAValue, at: list[SSAValue]) -> SSAValue:
    """source[n, :, at[n]], which are whole numbers; 0 where they lie outside."""
    batch, channels, *spatial = shape_of(source)
    shape = shape_of(at[0])
    is_inside = b.expand(b.full(1, i1), shape)
    number = b.reshape(b.iota(batch, i64), [batch, *[1] * (len(shape) - 1)])
    indices = [b.expand(number, shape)]
    for x, extent in zip(at, spatial, strict=True):
        fits = b.pointwise("and", b.pointwise("ge", x, 0.0), b.pointwise("lt", x, float(extent)))
        is_inside = b.pointwise("and", is_inside, fits)
        indices.append(b.cast(b.pointwise("where", fits, x, 0.0), i64))
    front = b.permute(source, [0, *range(2, 2 + len(spatial)), 1])
    element = element_of(source)
    found = b.emit(IndexOp(front, indices, tensor_of(element, [*shape, channels])))
    value = b.permute(found, [0, len(shape), *range(1, len(shape))])
    return b.pointwise("where", b.reshape(is_inside, [batch, 1, *shape[1:]]), value, 0.0)
