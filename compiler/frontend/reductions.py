"""Reductions: sums, means, extrema and where they are."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import i1, i64
from xdsl.ir import SSAValue

from ...dialects.graph import shape_of
from ...dialects.sizes import has_symbols
from .builder import Builder, elements_in, is_float, normalize_dim, normalize_dims
from .rounding import rounds_once
from .rules import rule

Dims = int | Sequence[int] | None


@rule("aten.sum.default")
def sum_all(b: Builder, source: SSAValue, dtype: object) -> SSAValue:
    """The sum of everything."""
    return sum_dims(b, source, None, False, dtype)


@rule("aten.sum.dim_IntList")
def sum_dims(b: Builder, source: SSAValue, dims: Dims, keep: bool, _dtype: object) -> SSAValue:
    """Sums in the element type of the result."""
    value = b.cast(source, b.out_element)
    return b.reduce("sum", value, normalize_dims(dims, len(shape_of(source))), keep)


@rule("aten.mean.default")
@rounds_once
def mean_all(b: Builder, source: SSAValue, dtype: object) -> SSAValue:
    """The mean of everything."""
    return mean_dims(b, source, None, False, dtype)


@rule("aten.mean.dim")
@rounds_once
def mean_dims(b: Builder, source: SSAValue, dims: Dims, keep: bool, _dtype: object) -> SSAValue:
    """Sum divided by the number of elements."""
    return mean(b, b.cast(source, b.out_element), normalize_dims(dims, len(shape_of(source))), keep)


def mean(b: Builder, source: SSAValue, dims: Sequence[int], keep: bool) -> SSAValue:
    """Mean of a float tensor over `dims`."""
    count = elements_in([shape_of(source)[d] for d in dims])
    total = b.reduce("sum", source, dims, keep)
    # 0 / 0 is NaN, as torch has it for empty means
    return b.pointwise("div", total, count if has_symbols([count]) else float(count))


@rule("aten.prod.default")
def prod_all(b: Builder, source: SSAValue, _dtype: object) -> SSAValue:
    """The product of everything."""
    value = b.cast(source, b.out_element)
    return b.reduce("prod", value, normalize_dims(None, len(shape_of(source))), False)


@rule("aten.prod.dim_int")
def prod_dim(b: Builder, source: SSAValue, dim: int, keep: bool, _dtype: object) -> SSAValue:
    """Products along one dim."""
    value = b.cast(source, b.out_element)
    return b.reduce("prod", value, normalize_dims(dim, len(shape_of(source))), keep)


@rule("aten.amax.default")
def amax(b: Builder, source: SSAValue, dims: Dims, keep: bool) -> SSAValue:
    """The largest element, NaN if there is one."""
    return b.reduce("max", source, normalize_dims(dims, len(shape_of(source))), keep)


@rule("aten.amin.default")
def amin(b: Builder, source: SSAValue, dims: Dims, keep: bool) -> SSAValue:
    """The smallest element, NaN if there is one."""
    return b.reduce("min", source, normalize_dims(dims, len(shape_of(source))), keep)


@rule("aten.max.default")
def max_all(b: Builder, source: SSAValue) -> SSAValue:
    """The largest of everything."""
    return amax(b, source, None, False)


@rule("aten.min.default")
def min_all(b: Builder, source: SSAValue) -> SSAValue:
    """The smallest of everything."""
    return amin(b, source, None, False)


@rule("aten.max.dim")
def max_dim(b: Builder, source: SSAValue, dim: int, keep: bool) -> list[SSAValue]:
    """Largest values along `dim` and where they are."""
    return [amax(b, source, dim, keep), _position(b, "max", source, dim, keep)]


@rule("aten.min.dim")
def min_dim(b: Builder, source: SSAValue, dim: int, keep: bool) -> list[SSAValue]:
    """Smallest values along `dim` and where they are."""
    return [amin(b, source, dim, keep), _position(b, "min", source, dim, keep)]


@rule("aten.argmax.default")
def argmax(b: Builder, source: SSAValue, dim: int | None, keep: bool) -> SSAValue:
    """The first position of the largest value."""
    return _position(b, "max", source, dim, keep)


@rule("aten.argmin.default")
def argmin(b: Builder, source: SSAValue, dim: int | None, keep: bool) -> SSAValue:
    """The first position of the smallest value."""
    return _position(b, "min", source, dim, keep)


def _position(b: Builder, fn: str, source: SSAValue, dim: int | None, keep: bool) -> SSAValue:
    """The smallest index whose element equals the extremum; a NaN counts as the extremum."""
    shape = shape_of(source)
    if dim is None:
        flat = b.reshape(source, [elements_in(shape)])
        value = _position(b, fn, flat, 0, False)
        return b.reshape(value, [1] * len(shape)) if keep else value
    if not shape:
        return b.full(0, i64)
    dim = normalize_dim(dim, len(shape))
    hit = b.pointwise("eq", source, b.reduce(fn, source, [dim], True))
    if is_float(source):
        hit = b.pointwise("or", hit, b.pointwise("isnan", source))
    index = b.per_channel(b.iota(shape[dim], i64), len(shape), dim)
    return b.reduce("min", b.pointwise("where", hit, index, shape[dim]), [dim], keep)


@rule("aten.any.default")
def any_all(b: Builder, source: SSAValue) -> SSAValue:
    """True where anything is not zero."""
    return any_dims(b, source, None, False)


@rule("aten.any.dim", "aten.any.dims")
def any_dims(b: Builder, source: SSAValue, dims: Dims, keep: bool) -> SSAValue:
    """True where anything along `dims` is not zero; of bytes as bytes, as torch has it."""
    return _truth(b, "any", source, dims, keep)


@rule("aten.all.default")
def all_all(b: Builder, source: SSAValue) -> SSAValue:
    """True where nothing is zero."""
    return all_dims(b, source, None, False)


@rule("aten.all.dim", "aten.all.dims")
def all_dims(b: Builder, source: SSAValue, dims: Dims, keep: bool) -> SSAValue:
    """True where nothing along `dims` is zero; of bytes as bytes, as torch has it."""
    return _truth(b, "all", source, dims, keep)


def _truth(b: Builder, fn: str, source: SSAValue, dims: Dims, keep: bool) -> SSAValue:
    where = normalize_dims(dims, len(shape_of(source)))
    return b.cast(b.reduce(fn, b.cast(source, i1), where, keep), b.out_element)
