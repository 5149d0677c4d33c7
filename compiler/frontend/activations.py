"""Activation functions that are small formulas over scalar functions."""

from __future__ import annotations

from xdsl.ir import SSAValue

from ...dialects.graph import shape_of
from .builder import Builder, Scalar
from .rounding import rounds_once
from .rules import UnsupportedUse, rule


@rule("aten.gelu.default")
@rounds_once
def gelu(b: Builder, x: SSAValue, approximate: str) -> SSAValue:
    """x * Phi(x), exactly or by the tanh formula."""
    return b.pointwise("gelu_tanh" if approximate == "tanh" else "gelu", x)


@rule("aten.hardsigmoid.default")
@rounds_once
def hardsigmoid(b: Builder, x: SSAValue) -> SSAValue:
    """clamp(x + 3, 0, 6) / 6."""
    return b.pointwise("div", _relu6(b, b.pointwise("add", x, 3.0)), 6.0)


@rule("aten.hardswish.default")
@rounds_once
def hardswish(b: Builder, x: SSAValue) -> SSAValue:
    """x * clamp(x + 3, 0, 6) / 6."""
    gate = _relu6(b, b.pointwise("add", x, 3.0))
    return b.pointwise("div", b.pointwise("mul", x, gate), 6.0)


@rule("aten.relu6.default")
def relu6(b: Builder, x: SSAValue) -> SSAValue:
    """clamp(x, 0, 6)."""
    return _relu6(b, x)


@rule("aten.leaky_relu.default")
@rounds_once
def leaky_relu(b: Builder, x: SSAValue, slope: Scalar) -> SSAValue:
    """x where positive, else slope * x."""
    return b.pointwise("where", b.pointwise("gt", x, 0), x, b.pointwise("mul", x, slope))


@rule("aten.rrelu.default")
def rrelu(b: Builder, x: SSAValue, lower: float, upper: float, train: bool, _: None) -> SSAValue:
    """leaky_relu by the mean slope; in training slopes are random."""
    if train:
        raise UnsupportedUse("rrelu in training mode is random; call model.eval() first")
    return leaky_relu(b, x, (lower + upper) / 2)


@rule("aten.prelu.default", "aten._prelu_kernel.default")
@rounds_once
def prelu(b: Builder, x: SSAValue, weight: SSAValue) -> SSAValue:
    """leaky_relu with one slope per channel (dim 1)."""
    rank = len(shape_of(x))
    if len(shape_of(weight)) == 1:
        weight = b.per_channel(weight, rank) if rank >= 2 else b.reshape(weight, [1] * rank)
    return b.pointwise("where", b.pointwise("gt", x, 0), x, b.pointwise("mul", x, weight))


@rule("aten.elu.default")
@rounds_once
def elu(b: Builder, x: SSAValue, alpha: Scalar, scale: Scalar, input_scale: Scalar) -> SSAValue:
    """scale * x where positive, else scale * alpha * (exp(input_scale * x) - 1)."""
    below = b.pointwise("expm1", b.pointwise("mul", x, input_scale))
    below = b.pointwise("mul", below, alpha * scale)
    above = b.pointwise("mul", x, scale) if scale != 1 else x
    return b.pointwise("where", b.pointwise("gt", x, 0), above, below)


@rule("aten.softplus.default")
@rounds_once
def softplus(b: Builder, x: SSAValue, beta: Scalar, threshold: Scalar) -> SSAValue:
    """log(1 + exp(beta * x)) / beta, x itself above the threshold."""
    scaled = b.pointwise("mul", x, beta)
    smooth = b.pointwise("div", b.pointwise("log1p", b.pointwise("exp", scaled)), beta)
    return b.pointwise("where", b.pointwise("gt", scaled, threshold), x, smooth)


@rule("aten.log_sigmoid.default")
@rounds_once
def log_sigmoid(b: Builder, x: SSAValue) -> SSAValue:
    """min(x, 0) - log(1 + exp(-|x|)), which never overflows."""
    tail = b.pointwise("log1p", b.pointwise("exp", b.pointwise("neg", b.pointwise("abs", x))))
    return b.pointwise("sub", b.pointwise("minimum", x, 0), tail)


@rule("aten.mish.default")
@rounds_once
def mish(b: Builder, x: SSAValue) -> SSAValue:
    """x * tanh(softplus(x))."""
    return b.pointwise("mul", x, b.pointwise("tanh", softplus(b, x, 1.0, 20.0)))


@rule("aten.threshold.default")
def threshold(b: Builder, x: SSAValue, limit: Scalar, value: Scalar) -> SSAValue:
    """`value` at or below the limit, else x."""
    return b.pointwise("where", b.pointwise("le", x, limit), value, x)


@rule("aten.glu.default")
@rounds_once
def glu(b: Builder, x: SSAValue, dim: int) -> SSAValue:
    """The first half along `dim` times the sigmoid of the second."""
    dim %= len(shape_of(x))
    half = shape_of(x)[dim] // 2
    gate = b.pointwise("sigmoid", b.slice(x, dim, half, half))
    return b.pointwise("mul", b.slice(x, dim, 0, half), gate)


@rule("aten.dropout.default", "aten.feature_dropout.default", "aten.alpha_dropout.default")
def dropout(b: Builder, x: SSAValue, p: float, train: bool) -> SSAValue:
    """Nothing in evaluation."""
    if train and p > 0:
        raise UnsupportedUse("dropout in training mode is random; call model.eval() first")
    return x


def _relu6(b: Builder, x: SSAValue) -> SSAValue:
    return b.pointwise("minimum", b.pointwise("maximum", x, 0), 6)
