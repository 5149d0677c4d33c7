"""Images and volumes read at positions that are data (grid_sample).

Positions and weights do not depend on the channel: they are computed once, and stored for a kernel
that picks the neighbours of each position, channel by channel.
"""

from __future__ import annotations

from itertools import product

from xdsl.dialects.builtin import i1, i32
from xdsl.ir import SSAValue

from ...dialects.graph import IndexOp, element_of, shape_of, tensor_of
from .builder import Builder
from .cubic import Neighbours, cubic
from .rounding import rounds_once
from .rules import UnsupportedUse, rule

LINEAR, NEAREST, CUBIC = 0, 1, 2
ZEROS, BORDER, REFLECTION = 0, 1, 2


@rule("aten.grid_sampler_2d.default", "aten.grid_sampler_3d.default")
@rounds_once
def grid_sampler(
    b: Builder, source: SSAValue, grid: SSAValue, mode: int, padding: int, align: bool
) -> SSAValue:
    """result[n, :, o] = source[n, :, grid[n, o]]; grid has x, y (, z) between -1 and 1 last."""
    spatial = shape_of(source)[2:]
    if mode == CUBIC and len(spatial) > 2:
        raise UnsupportedUse("grid_sample of volumes is bilinear or nearest in torch")
    last = len(shape_of(grid)) - 1
    at = []
    for d, extent in enumerate(spatial):
        x = in_elements(b, b.select(grid, last, len(spatial) - 1 - d), extent, align)
        at.append(x if mode == CUBIC else padded(b, x, extent, padding, align))
    if mode == NEAREST:
        return corner(b, source, [b.pointwise("round", x) for x in at])
    low = [b.pointwise("floor", x) for x in at]
    above = [b.pointwise("sub", x, start) for x, start in zip(at, low, strict=True)]
    around = [cubic(b, x) if mode == CUBIC else linear(b, x) for x in above]
    total: SSAValue | None = None
    for chosen in product(*around):
        weight, corners = chosen[0][1], []
        for _, share in chosen[1:]:
            weight = b.pointwise("mul", weight, share)
        for (offset, _), x, extent in zip(chosen, low, spatial, strict=True):
            place = b.pointwise("add", x, float(offset)) if offset else x
            corners.append(padded(b, place, extent, padding, align) if mode == CUBIC else place)
        batch, *rest = shape_of(weight)
        weight = b.reshape(weight, [batch, 1, *rest])
        term = b.pointwise("mul", corner(b, source, corners), weight)
        total = term if total is None else b.pointwise("add", total, term)
    assert total is not None
    return total


def linear(b: Builder, above: SSAValue) -> Neighbours:
    """The two neighbours of what lies `above` the lower one."""
    return [(0, b.pointwise("sub", 1.0, above)), (1, above)]


def in_elements(b: Builder, x: SSAValue, extent: int, align: bool) -> SSAValue:
    """From -1..1 to elements: with `align`, -1 and 1 are the centres of the outer ones, else their
    edges."""
    at = b.pointwise("mul", b.pointwise("add", x, 1.0), (extent - 1 if align else extent) / 2)
    return at if align else b.pointwise("sub", at, 0.5)


def padded(b: Builder, at: SSAValue, extent: int, padding: int, align: bool) -> SSAValue:
    """Where what lies outside is read, as `padding` says."""
    if padding == REFLECTION:
        at = reflected(b, at, *((0.0, extent - 1) if align else (-0.5, extent)))
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
    _, *points = shape_of(at[0])
    shape, ones = [batch, channels, *points], [1] * len(points)
    indices = [
        b.reshape(b.iota(batch, i32), [batch, 1, *ones]),
        b.reshape(b.iota(channels, i32), [channels, *ones]),
    ]
    is_inside = b.expand(b.full(1, i1), [batch, *points])
    for x, extent in zip(at, spatial, strict=True):
        fits = b.pointwise("and", b.pointwise("ge", x, 0.0), b.pointwise("lt", x, float(extent)))
        is_inside = b.pointwise("and", is_inside, fits)
        place = b.cast(b.pointwise("where", fits, x, 0.0), i32)
        indices.append(b.reshape(place, [batch, 1, *points]))
    type = tensor_of(element_of(source), shape)
    found = b.emit(IndexOp(source, [b.expand(index, shape) for index in indices], type))
    return b.pointwise("where", b.reshape(is_inside, [batch, 1, *points]), found, 0.0)
