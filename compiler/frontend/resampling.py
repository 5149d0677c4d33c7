"""Resizing by picking neighbours: which source element each result takes is known at import."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import i64
from xdsl.ir import Attribute, SSAValue
from xdsl.ir.affine import AffineExpr

from ...dialects.graph import shape_of
from ...dialects.sizes import exact_quotient, has_symbols
from .builder import Builder
from .indexing import index_select
from .rules import UnsupportedUse, rule

Positions = npt.NDArray[np.int64]


@rule("aten.upsample_nearest1d.default")
def upsample_nearest1d(
    b: Builder, source: SSAValue, _size: object, scale: float | None
) -> SSAValue:
    """Source index floor(i * extent / new extent)."""
    return upsample_nearest(b, source, [scale])


@rule("aten.upsample_nearest2d.default")
def upsample_nearest2d(
    b: Builder, source: SSAValue, _size: object, *scales: float | None
) -> SSAValue:
    """The same in two dims."""
    return upsample_nearest(b, source, scales)


@rule("aten.upsample_nearest3d.default")
def upsample_nearest3d(
    b: Builder, source: SSAValue, _size: object, *scales: float | None
) -> SSAValue:
    """The same in three dims."""
    return upsample_nearest(b, source, scales)


@rule("aten.upsample_nearest1d.vec", "aten.upsample_nearest2d.vec", "aten.upsample_nearest3d.vec")
def upsample_nearest_vec(
    b: Builder, source: SSAValue, _size: object, scales: Sequence[float] | None
) -> SSAValue:
    """The same with one list of scales, or none."""
    return upsample_nearest(b, source, scales or [None] * (len(shape_of(source)) - 2))


def upsample_nearest(b: Builder, source: SSAValue, scales: Sequence[float | None]) -> SSAValue:
    """The trailing dims resized; a scale, where given, wins over the ratio of the extents."""
    first = len(shape_of(source)) - len(scales)
    for d, scale in enumerate(scales, start=first):
        extent, wanted = shape_of(source)[d], b.shape[d]
        if has_symbols([extent, wanted]):
            source = _repeated(b, source, d, wanted, scale)
            continue
        ratio = np.float32(1 / scale) if scale else np.float32(extent) / np.float32(wanted)
        # torch computes positions in float32, and so they are here
        at = np.floor(np.arange(wanted, dtype=np.float32) * ratio).astype(np.int64)
        source = pick(b, source, d, np.minimum(at, extent - 1))
    return source


def _repeated(b: Builder, source: SSAValue, dim: int, wanted: int, scale: float | None) -> SSAValue:
    """Every element 2, 4, 8, ... times: what positions are for all sizes, as nothing is rounded."""
    shape = list(shape_of(source))
    times = exact_quotient(wanted, shape[dim])
    if not isinstance(times, int) or times & (times - 1) or (scale or times) != times:
        raise UnsupportedUse(
            f"from {shape[dim]} to {wanted} elements: extents that are known at run time grow "
            "by 2, 4, 8, ... only"
        )
    shape[dim] = wanted
    exprs = [AffineExpr.dimension(d) for d in range(len(shape))]
    exprs[dim] = exprs[dim] // times
    return b.view(source, exprs, shape)


def pick(b: Builder, source: SSAValue, dim: int, positions: Positions) -> SSAValue:
    """Slices at `positions` along `dim`: a view where they form a simple pattern."""
    extent, count = shape_of(source)[dim], len(positions)
    shape = list(shape_of(source))
    shape[dim] = count
    along = AffineExpr.dimension(dim)
    patterns: list[tuple[AffineExpr, Positions]] = [(along, np.arange(count))]
    if count > extent > 0:
        times = -(-count // extent)
        patterns.append((along // times, np.arange(count) // times))
    elif count:
        step = extent // count
        patterns.append((along * step, np.arange(count) * step))
    for expr, pattern in patterns:
        if np.array_equal(pattern, positions):
            exprs = [expr if d == dim else AffineExpr.dimension(d) for d in range(len(shape))]
            return b.view(source, exprs, shape)
    return index_select(b, source, dim, b.constant("positions", positions.astype(np.int32)))


def sampling(
    extent: int, wanted: int, align_corners: bool, scale: float | None
) -> tuple[float, float]:
    """(ratio, start) of a resized dim, whose element i lies at (i + start) * ratio - start of the
    source; a scale, where given, wins over the ratio of the extents."""
    if align_corners:
        return ((extent - 1) / (wanted - 1) if wanted > 1 else 0.0), 0.0
    return (1 / scale if scale else extent / wanted), 0.5


def places_of(count: int, ratio: float, start: float, dtype: Any) -> npt.NDArray[Any]:
    """Where the elements of a resized dim lie, in the precision of the data, as torch does."""
    at: npt.NDArray[Any] = (np.arange(count).astype(dtype) + dtype(start)) * dtype(ratio)
    return np.asarray(at - dtype(start))


def computed_places(
    b: Builder, count: int, ratio: float, start: float, element: Attribute
) -> SSAValue:
    """The same as a tensor that is computed, in whatever precision the graph is."""
    at = b.pointwise("add", b.cast(b.iota(count, i64), element), start)
    return b.pointwise("sub", b.pointwise("mul", at, ratio), start)
