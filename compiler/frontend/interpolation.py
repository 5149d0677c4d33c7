"""Linear, bilinear and trilinear resizing: weighted sums of two neighbours along each dim.

A factor of 2, 4, 8, ... reads the source, its border repeated, at (i + factor / 2) / factor: views
that one kernel reads by whole vectors. Other sizes pick slices along one dim after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.dialects.builtin import f32, f64
from xdsl.ir import Attribute, SSAValue
from xdsl.ir.affine import AffineExpr

from ...dialects.graph import element_of, shape_of
from .builder import Builder
from .joins import pad
from .resampling import Positions, computed_places, pick, places_of, sampling
from .rules import rule


@rule(
    "aten.upsample_linear1d.default",
    "aten.upsample_bilinear2d.default",
    "aten.upsample_trilinear3d.default",
)
def upsample_linear(
    b: Builder, source: SSAValue, _size: object, align_corners: bool, *scales: float | None
) -> SSAValue:
    """The trailing dims resized; a scale, where given, wins over the ratio of the extents."""
    return interpolated(b, source, align_corners, scales)


@rule("aten.upsample_linear1d.vec", "aten.upsample_bilinear2d.vec", "aten.upsample_trilinear3d.vec")
def upsample_linear_vec(
    b: Builder,
    source: SSAValue,
    _size: object,
    align_corners: bool,
    scales: Sequence[float] | None,
) -> SSAValue:
    """The same with one list of scales, or none."""
    wanted: Sequence[float | None] = scales or [None] * (len(shape_of(source)) - 2)
    return interpolated(b, source, align_corners, wanted)


@dataclass(frozen=True)
class Axis:
    """How one dim is resized: result i lies at max(0, (i + start) * ratio - start) of the source,
    behind `positions`; with a `factor`, these count one element more at both ends."""

    dim: int
    extent: int
    positions: Positions
    ratio: float
    start: float
    factor: int | None = None

    def neighbours(self, b: Builder, source: SSAValue) -> tuple[SSAValue, SSAValue]:
        """The source at the positions, and behind these."""
        if self.factor is None:
            first = pick(b, source, self.dim, self.positions)
            behind = np.minimum(self.positions + 1, self.extent - 1)
            return first, pick(b, source, self.dim, behind)
        shape = list(shape_of(source))
        shape[self.dim] = len(self.positions)
        exprs = [AffineExpr.dimension(d) for d in range(len(shape))]
        exprs[self.dim] = (exprs[self.dim] + self.factor // 2) // self.factor
        first = b.view(source, exprs, shape)
        exprs[self.dim] = exprs[self.dim] + 1
        return first, b.view(source, exprs, shape)

    def shares(self, b: Builder, element: Attribute, rank: int) -> SSAValue:
        """How much of what lies behind the positions each result has: computed in `element`, and
        broadcast to tensors of `rank`."""
        count = len(self.positions)
        places = computed_places(b, count, self.ratio, self.start, element)
        if self.factor is None:
            places = b.pointwise("maximum", places, 0.0)
        near = b.constant("positions", self.positions - (self.factor is not None))
        shares = b.pointwise("sub", places, b.cast(near, element))
        return b.reshape(shares, [count, *[1] * (rank - 1 - self.dim)])


def interpolated(
    b: Builder, source: SSAValue, align_corners: bool, scales: Sequence[float | None]
) -> SSAValue:
    """The resized source; 16-bit floats are computed in f32 and rounded once, as torch does."""
    wide = element_of(source) if element_of(source) == f64 else f32
    dtype = np.float64 if wide == f64 else np.float32
    value, shape = b.cast(source, wide), shape_of(source)
    first = len(shape) - len(scales)
    axes = [
        axis_of(d, shape[d], b.shape[d], align_corners, scale, dtype)
        for d, scale in enumerate(scales, start=first)
        if shape[d] != b.shape[d] or scale not in (None, 1)
    ]
    for axis in axes:
        if axis.factor is None:
            value = _mixed(b, value, [(axis, axis.shares(b, wide, len(shape)))])
    whole = [axis for axis in axes if axis.factor is not None]
    dims = [axis.dim for axis in whole]
    borders = [int(d in dims) for d in reversed(range(len(shape))) for _ in range(2)]
    value = pad(b, value, borders, "replicate", None)
    value = _mixed(b, value, [(axis, axis.shares(b, wide, len(shape))) for axis in whole])
    return b.cast(value, b.out_element)


def _mixed(b: Builder, source: SSAValue, axes: Sequence[tuple[Axis, SSAValue]]) -> SSAValue:
    """(1 - share) * first + share * second of the neighbours along each axis with its shares, the
    last axis first."""
    if not axes:
        return source
    (axis, share), *inner = axes
    first, second = (_mixed(b, x, inner) for x in axis.neighbours(b, source))
    rest = b.pointwise("sub", b.full(1.0, element_of(share)), share)
    near = b.pointwise("mul", first, rest)
    return b.pointwise("add", near, b.pointwise("mul", second, share))


def axis_of(
    dim: int,
    extent: int,
    wanted: int,
    align_corners: bool,
    scale: float | None,
    dtype: type[np.floating],
) -> Axis:
    """Positions in the precision of the data, as torch computes them."""
    factor = wanted // extent
    is_exact = factor > 1 and extent * factor == wanted and scale in (None, factor)
    if is_exact and not align_corners and not factor & (factor - 1):
        positions = (np.arange(wanted) + factor // 2) // factor
        return Axis(dim, extent, positions, 1 / factor, 0.5, factor)
    ratio, start = sampling(extent, wanted, align_corners, scale)
    places = places_of(wanted, ratio, start, dtype)
    positions = np.clip(places.astype(np.int64), 0, extent - 1)
    return Axis(dim, extent, positions, ratio, start)
