"""Reductions, and what is a reduction plus a formula: mean, variance, norms, softmax, argmax."""

from __future__ import annotations

import math
from collections.abc import Sequence

from xdsl.dialects.builtin import i1, i64
from xdsl.ir import SSAValue

from ...dialects.graph import SoftmaxOp, shape_of
from .builder import Builder, Scalar, elements_in, is_float, normalize_dim, normalize_dims
from .rules import UnsupportedUse, rule

Dims = int | Sequence[int] | None
CUMULATIVE_LIMIT = 2048  # running sums are quadratic here; longer ones need a scan


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
def mean_all(b: Builder, source: SSAValue, dtype: object) -> SSAValue:
    """The mean of everything."""
    return mean_dims(b, source, None, False, dtype)


@rule("aten.mean.dim")
def mean_dims(b: Builder, source: SSAValue, dims: Dims, keep: bool, _dtype: object) -> SSAValue:
    """Sum divided by the number of elements."""
    return mean(b, b.cast(source, b.out_element), normalize_dims(dims, len(shape_of(source))), keep)


def mean(b: Builder, source: SSAValue, dims: Sequence[int], keep: bool) -> SSAValue:
    """Mean of a float tensor over `dims`."""
    count = elements_in([shape_of(source)[d] for d in dims])
    total = b.reduce("sum", source, dims, keep)
    # 0 / 0 is NaN, as torch has it for empty means
    return b.pointwise("div", total, float(count))


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
    """True where anything along `dims` is not zero."""
    return b.reduce("any", b.cast(source, i1), normalize_dims(dims, len(shape_of(source))), keep)


@rule("aten.all.default")
def all_all(b: Builder, source: SSAValue) -> SSAValue:
    """True where nothing is zero."""
    return all_dims(b, source, None, False)


@rule("aten.all.dim", "aten.all.dims")
def all_dims(b: Builder, source: SSAValue, dims: Dims, keep: bool) -> SSAValue:
    """True where nothing along `dims` is zero."""
    return b.reduce("all", b.cast(source, i1), normalize_dims(dims, len(shape_of(source))), keep)


def moments(
    b: Builder, source: SSAValue, dims: Dims, correction: Scalar | None, keep: bool
) -> tuple[SSAValue, SSAValue]:
    """Variance with `correction` (None is 1) and mean, in two passes."""
    shape = shape_of(source)
    over = normalize_dims(dims, len(shape))
    center = mean(b, source, over, True)
    spread = b.pointwise("sub", source, center)
    total = b.reduce("sum", b.pointwise("mul", spread, spread), over, keep)
    count = elements_in([shape[d] for d in over]) - (1 if correction is None else correction)
    variance = b.pointwise("div", total, float(max(count, 0)))
    return variance, center if keep else b.reshape(center, shape_of(total))


@rule("aten.var.correction")
def var(
    b: Builder, source: SSAValue, dims: Dims, correction: Scalar | None, keep: bool
) -> SSAValue:
    """Variance."""
    return moments(b, source, dims, correction, keep)[0]


@rule("aten.var.dim")
def var_unbiased(b: Builder, source: SSAValue, dims: Dims, unbiased: bool, keep: bool) -> SSAValue:
    """Variance, divided by n - 1 where unbiased."""
    return moments(b, source, dims, int(unbiased), keep)[0]


@rule("aten.std.correction")
def std(
    b: Builder, source: SSAValue, dims: Dims, correction: Scalar | None, keep: bool
) -> SSAValue:
    """Standard deviation."""
    return b.pointwise("sqrt", moments(b, source, dims, correction, keep)[0])


@rule("aten.std.dim")
def std_unbiased(b: Builder, source: SSAValue, dims: Dims, unbiased: bool, keep: bool) -> SSAValue:
    """Standard deviation, divided by n - 1 where unbiased."""
    return b.pointwise("sqrt", moments(b, source, dims, int(unbiased), keep)[0])


@rule("aten.var.default")
def var_all(b: Builder, source: SSAValue, unbiased: bool) -> SSAValue:
    """Variance of everything."""
    return moments(b, source, None, int(unbiased), False)[0]


@rule("aten.std.default")
def std_all(b: Builder, source: SSAValue, unbiased: bool) -> SSAValue:
    """Standard deviation of everything."""
    return b.pointwise("sqrt", moments(b, source, None, int(unbiased), False)[0])


@rule("aten.var_mean.correction")
def var_mean(
    b: Builder, source: SSAValue, dims: Dims, correction: Scalar | None, keep: bool
) -> tuple[SSAValue, SSAValue]:
    """Variance and mean."""
    return moments(b, source, dims, correction, keep)


@rule("aten.linalg_vector_norm.default")
def vector_norm(
    b: Builder, source: SSAValue, order: Scalar, dims: Dims, keep: bool, _dtype: object
) -> SSAValue:
    """(sum |x|^order)^(1/order), with the limits 0, 1, 2 and +-inf."""
    x = b.cast(source, b.out_element)
    over = normalize_dims(dims, len(shape_of(source)))
    if order == 2:
        return b.pointwise("sqrt", b.reduce("sum", b.pointwise("mul", x, x), over, keep))
    size = b.pointwise("abs", x)
    if math.isinf(order):
        return b.reduce("max" if order > 0 else "min", size, over, keep)
    if order == 0:
        return b.reduce("sum", b.cast(b.pointwise("ne", x, 0), b.out_element), over, keep)
    if order == 1:
        return b.reduce("sum", size, over, keep)
    total = b.reduce("sum", b.pointwise("pow", size, float(order)), over, keep)
    return b.pointwise("pow", total, 1.0 / order)


@rule("aten.logsumexp.default")
def logsumexp(b: Builder, source: SSAValue, dims: Dims, keep: bool) -> SSAValue:
    """log(sum(exp(x))) around the largest element; an infinite maximum is left out."""
    over = normalize_dims(dims, len(shape_of(source)))
    x = b.cast(source, b.out_element)
    top = b.reduce("max", x, over, True)
    top = b.pointwise("where", b.pointwise("isinf", top), 0.0, top)
    total = b.reduce("sum", b.pointwise("exp", b.pointwise("sub", x, top)), over, keep)
    return b.pointwise("add", b.pointwise("log", total), b.reshape(top, shape_of(total)))


@rule("aten.cumsum.default")
def cumsum(b: Builder, source: SSAValue, dim: int, _dtype: object) -> SSAValue:
    """Running sums, as masked sums over all earlier elements."""
    x = b.cast(source, b.out_element)
    shape = shape_of(x)
    if not shape:
        return x
    dim = normalize_dim(dim, len(shape))
    n = shape[dim]
    if n > CUMULATIVE_LIMIT:
        raise UnsupportedUse(f"cumsum over {n} elements (limit {CUMULATIVE_LIMIT})")
    earlier = b.pointwise("le", b.iota(n, i64), b.reshape(b.iota(n, i64), [n, 1]))
    last = b.reshape(b.swap(x, dim, len(shape) - 1), [*_moved(shape, dim)[:-1], 1, n])
    total = b.reduce("sum", b.pointwise("where", earlier, last, 0), [len(shape)], False)
    return b.swap(total, dim, len(shape) - 1)


def _moved(shape: Sequence[int], dim: int) -> list[int]:
    moved = list(shape)
    moved[dim], moved[-1] = moved[-1], moved[dim]
    return moved


@rule("aten.softmax.int")
def softmax(b: Builder, source: SSAValue, dim: int, _dtype: object) -> SSAValue:
    """Softmax in the element type of the result."""
    return _softmax(b, source, dim, log=False)


@rule("aten.log_softmax.int")
def log_softmax(b: Builder, source: SSAValue, dim: int, _dtype: object) -> SSAValue:
    """The logarithm of softmax."""
    return _softmax(b, source, dim, log=True)


@rule("aten._softmax.default")
def core_softmax(b: Builder, source: SSAValue, dim: int, _half: bool) -> SSAValue:
    """Softmax."""
    return _softmax(b, source, dim, log=False)


@rule("aten._log_softmax.default")
def core_log_softmax(b: Builder, source: SSAValue, dim: int, _half: bool) -> SSAValue:
    """The logarithm of softmax."""
    return _softmax(b, source, dim, log=True)


def _softmax(b: Builder, source: SSAValue, dim: int, log: bool) -> SSAValue:
    x = b.cast(source, b.out_element)
    if not shape_of(x):
        return b.reshape(_softmax(b, b.reshape(x, [1]), 0, log), ())
    return b.emit(SoftmaxOp(x, normalize_dim(dim, len(shape_of(x))), log))
