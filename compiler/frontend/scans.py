"""Running sums, products and extrema along one dim."""

from __future__ import annotations

from xdsl.dialects.builtin import i64
from xdsl.ir import SSAValue

from ...dialects.graph import ScanOp, shape_of
from .builder import Builder, is_float, normalize_dim
from .rounding import rounds_once
from .rules import rule

Pair = tuple[SSAValue, SSAValue]


def scan(b: Builder, fn: str, source: SSAValue, dim: int) -> SSAValue:
    """Running `fn` along `dim`; a number stays as it is."""
    rank = len(shape_of(source))
    return b.emit(ScanOp(fn, source, normalize_dim(dim, rank))) if rank else source


@rule("aten.cumsum.default")
@rounds_once
def cumsum(b: Builder, source: SSAValue, dim: int, _dtype: object) -> SSAValue:
    """Running sums."""
    return scan(b, "sum", b.cast(source, b.out_element), dim)


@rule("aten.cumprod.default")
@rounds_once
def cumprod(b: Builder, source: SSAValue, dim: int, _dtype: object) -> SSAValue:
    """Running products."""
    return scan(b, "prod", b.cast(source, b.out_element), dim)


@rule("aten.cummax.default")
@rounds_once
def cummax(b: Builder, source: SSAValue, dim: int) -> Pair:
    """Running maxima, and where the last of the largest so far is; NaN is largest."""
    return _extrema(b, "max", "ge", source, dim)


@rule("aten.cummin.default")
@rounds_once
def cummin(b: Builder, source: SSAValue, dim: int) -> Pair:
    """Running minima, and where the last of the smallest so far is; NaN is smallest."""
    return _extrema(b, "min", "le", source, dim)


def _extrema(b: Builder, fn: str, relation: str, source: SSAValue, dim: int) -> Pair:
    values = scan(b, fn, source, dim)
    shape = shape_of(source)
    if not shape:
        return values, b.full(0, i64)
    dim = normalize_dim(dim, len(shape))
    is_new = b.pointwise(relation, source, values)
    if is_float(source):
        is_new = b.pointwise("or", is_new, b.pointwise("isnan", source))
    at = b.reshape(b.iota(shape[dim], i64), [shape[dim], *[1] * (len(shape) - dim - 1)])
    return values, scan(b, "max", b.pointwise("where", is_new, at, 0), dim)
