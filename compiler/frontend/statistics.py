"""What is a reduction plus a formula: variance, norms, softmax."""

from __future__ import annotations

import math

from xdsl.ir import SSAValue

from ...dialects.graph import SoftmaxOp, shape_of
from ...dialects.sizes import has_symbols
from .builder import Builder, Scalar, elements_in, normalize_dim, normalize_dims
from .reductions import Dims, mean
from .rounding import rounds_once
from .rules import rule


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
    divisor = count if has_symbols([count]) else float(max(count, 0))
    variance = b.pointwise("div", total, divisor)
    return variance, center if keep else b.reshape(center, shape_of(total))


@rule("aten.var.correction")
@rounds_once
def var(
    b: Builder, source: SSAValue, dims: Dims, correction: Scalar | None, keep: bool
) -> SSAValue:
    """Variance."""
    return moments(b, source, dims, correction, keep)[0]


@rule("aten.var.dim")
@rounds_once
def var_unbiased(b: Builder, source: SSAValue, dims: Dims, unbiased: bool, keep: bool) -> SSAValue:
    """Variance, divided by n - 1 where unbiased."""
    return moments(b, source, dims, int(unbiased), keep)[0]


@rule("aten.std.correction")
@rounds_once
def std(
    b: Builder, source: SSAValue, dims: Dims, correction: Scalar | None, keep: bool
) -> SSAValue:
    """Standard deviation."""
    return b.pointwise("sqrt", moments(b, source, dims, correction, keep)[0])


@rule("aten.std.dim")
@rounds_once
def std_unbiased(b: Builder, source: SSAValue, dims: Dims, unbiased: bool, keep: bool) -> SSAValue:
    """Standard deviation, divided by n - 1 where unbiased."""
    return b.pointwise("sqrt", moments(b, source, dims, int(unbiased), keep)[0])


@rule("aten.var.default")
@rounds_once
def var_all(b: Builder, source: SSAValue, unbiased: bool) -> SSAValue:
    """Variance of everything."""
    return moments(b, source, None, int(unbiased), False)[0]


@rule("aten.std.default")
@rounds_once
def std_all(b: Builder, source: SSAValue, unbiased: bool) -> SSAValue:
    """Standard deviation of everything."""
    return b.pointwise("sqrt", moments(b, source, None, int(unbiased), False)[0])


@rule("aten.var_mean.correction")
@rounds_once
def var_mean(
    b: Builder, source: SSAValue, dims: Dims, correction: Scalar | None, keep: bool
) -> tuple[SSAValue, SSAValue]:
    """Variance and mean."""
    return moments(b, source, dims, correction, keep)


@rule("aten.linalg_vector_norm.default")
@rounds_once
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
@rounds_once
def logsumexp(b: Builder, source: SSAValue, dims: Dims, keep: bool) -> SSAValue:
    """log(sum(exp(x))) around the largest element; an infinite maximum is left out."""
    over = normalize_dims(dims, len(shape_of(source)))
    x = b.cast(source, b.out_element)
    top = b.reduce("maxnum", x, over, True)
    top = b.pointwise("where", b.pointwise("isinf", top), 0.0, top)
    total = b.reduce("sum", b.pointwise("exp", b.pointwise("sub", x, top)), over, keep)
    return b.pointwise("add", b.pointwise("log", total), b.reshape(top, shape_of(total)))


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
