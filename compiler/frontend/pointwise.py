"""Elementwise operators: table rows onto `dialects/scalar.py`, and the few that need more."""

from __future__ import annotations

import math

import torch
from xdsl.dialects.builtin import i1
from xdsl.ir import Attribute, SSAValue

from ...dialects.graph import element_of, shape_of
from ...dialects.scalar import SPECIAL
from .builder import Builder, Operand, Scalar, is_float
from .rounding import rounds_once
from .rules import rule
from .tensor_types import DTYPES, NARROW

# ATen name -> scalar function, computed in the element type of the result
UNARY = {
    "neg": "neg",
    "abs": "abs",
    "sign": "sign",
    "sgn": "sign",
    "reciprocal": "reciprocal",
    "sqrt": "sqrt",
    "rsqrt": "rsqrt",
    "exp": "exp",
    "exp2": "exp2",
    "expm1": "expm1",
    "log": "log",
    "log2": "log2",
    "log10": "log10",
    "log1p": "log1p",
    "sin": "sin",
    "cos": "cos",
    "tan": "tan",
    "asin": "asin",
    "acos": "acos",
    "atan": "atan",
    "sinh": "sinh",
    "cosh": "cosh",
    "tanh": "tanh",
    "erf": "erf",
    "special_erf": "erf",
    "sigmoid": "sigmoid",
    "relu": "relu",
    "silu": "silu",
    "bitwise_not": "not",
}
UNARY |= {
    "special_gammaln": "lgamma",
    "special_psi": "digamma",
    "special_modified_bessel_i0": "i0",
    "special_modified_bessel_i1": "i1",
}
ROUNDING = {"floor": "floor", "ceil": "ceil", "round": "round", "trunc": "trunc", "fix": "trunc"}
BINARY = {
    "mul": "mul",
    "maximum": "maximum",
    "minimum": "minimum",
    "atan2": "atan2",
    "arctan2": "atan2",
    "floor_divide": "floor_div",
    "remainder": "remainder",
    "fmod": "fmod",
    "bitwise_and": "and",
    "bitwise_or": "or",
    "bitwise_xor": "xor",
    "__and__": "and",
    "__or__": "or",
    "__xor__": "xor",
    "bitwise_left_shift": "shift_left",
    "bitwise_right_shift": "shift_right",
    "__lshift__": "shift_left",
    "__rshift__": "shift_right",
}
OVERLOADS = ("default", "Tensor", "Scalar", "Tensor_Scalar", "Scalar_Tensor")
COMPARISON = {name: name for name in ("eq", "ne", "lt", "le", "gt", "ge")} | {
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "not_equal": "ne",
}
LOGICAL = {"logical_and": "and", "logical_or": "or", "logical_xor": "xor"}
ON_BOOLEANS = {"mul": "and", "add": "or", "maximum": "or", "minimum": "and"}


def _unary(name: str, fn: str) -> None:
    @rule(f"aten.{name}.default")
    def unary(b: Builder, source: SSAValue) -> SSAValue:
        return b.pointwise(fn, b.cast(source, b.out_element))


def _rounding(name: str, fn: str) -> None:
    @rule(f"aten.{name}.default")
    def rounding(b: Builder, source: SSAValue) -> SSAValue:
        return b.pointwise(fn, source) if is_float(source) else source


def _binary(name: str, fn: str) -> None:
    @rule(*(f"aten.{name}.{overload}" for overload in OVERLOADS))
    def binary(b: Builder, x: Operand, y: Operand) -> SSAValue:
        return arithmetic(b, fn, x, y)


def _comparison(name: str, fn: str) -> None:
    @rule(*(f"aten.{name}.{overload}" for overload in ("Tensor", "Scalar")))
    def comparison(b: Builder, x: Operand, y: Operand) -> SSAValue:
        element = b.common_element(x, y)
        return b.pointwise(fn, *(b.operand(_stored(v, element), element) for v in (x, y)))


def _stored(value: Operand, element: Attribute) -> Operand:
    """A number as a narrow tensor would hold it: comparisons round it, arithmetic does not."""
    if isinstance(value, SSAValue) or element not in NARROW:
        return value
    return float(torch.tensor(value, dtype=DTYPES[element]))


def _logical(name: str, fn: str) -> None:
    @rule(f"aten.{name}.default")
    def logical(b: Builder, x: SSAValue, y: SSAValue) -> SSAValue:
        return b.pointwise(fn, b.cast(x, i1), b.cast(y, i1))


for _name, _fn in UNARY.items():
    _unary(_name, _fn)
for _name in SPECIAL:
    _unary(_name, _name)
    _unary(f"special_{_name}", _name)
for _name, _fn in ROUNDING.items():
    _rounding(_name, _fn)
for _name, _fn in BINARY.items():
    _binary(_name, _fn)
for _name, _fn in COMPARISON.items():
    _comparison(_name, _fn)
for _name, _fn in LOGICAL.items():
    _logical(_name, _fn)


def arithmetic(b: Builder, fn: str, x: Operand, y: Operand) -> SSAValue:
    """A binary function in the element type of the result; booleans become logic."""
    element = b.out_element
    if element == i1:
        fn = ON_BOOLEANS.get(fn, fn)
    return b.pointwise(fn, b.operand(x, element), b.operand(y, element))


@rule("aten.add.Tensor", "aten.add.Scalar")
def add(b: Builder, x: Operand, y: Operand, alpha: Scalar) -> SSAValue:
    """x + alpha * y."""
    return arithmetic(b, "add", x, y) if alpha == 1 else _scaled(b, "add", x, y, alpha)


@rule("aten.sub.Tensor", "aten.sub.Scalar")
def sub(b: Builder, x: Operand, y: Operand, alpha: Scalar) -> SSAValue:
    """x - alpha * y."""
    return arithmetic(b, "sub", x, y) if alpha == 1 else _scaled(b, "sub", x, y, alpha)


@rounds_once
def _scaled(b: Builder, fn: str, x: Operand, y: Operand, alpha: Scalar) -> SSAValue:
    return arithmetic(b, fn, x, b.pointwise("mul", b.operand(y, b.out_element), alpha))


@rule("aten.rsub.Tensor", "aten.rsub.Scalar")
def rsub(b: Builder, x: Operand, y: Operand, alpha: Scalar) -> SSAValue:
    """y - alpha * x."""
    return sub(b, y, x, alpha)


@rule("aten.div.Tensor", "aten.div.Scalar", "aten.true_divide.Tensor", "aten.divide.Tensor")
def div(b: Builder, x: Operand, y: Operand) -> SSAValue:
    """True division: the result type of integers is a float already."""
    return arithmetic(b, "div", x, y)


@rule("aten.div.Tensor_mode", "aten.div.Scalar_mode")
def div_mode(b: Builder, x: Operand, y: Operand, mode: str | None) -> SSAValue:
    """Division rounded down ("floor"), towards zero ("trunc"), or not."""
    return arithmetic(b, {None: "div", "floor": "floor_div", "trunc": "trunc_div"}[mode], x, y)


@rule("aten.pow.Tensor_Scalar")
@rounds_once
def pow_scalar(b: Builder, x: SSAValue, exponent: Scalar) -> SSAValue:
    """Small exponents as the products and roots that torch itself uses."""
    x = b.cast(x, b.out_element)
    if exponent == 1:
        return x
    if exponent == 2:
        return b.pointwise("mul", x, x)
    if exponent == 3:
        return b.pointwise("mul", b.pointwise("mul", x, x), x)
    if is_float(x) and exponent in (0.5, -0.5, -1, -2):
        if exponent == -2:
            return b.pointwise("reciprocal", b.pointwise("mul", x, x))
        return b.pointwise({0.5: "sqrt", -0.5: "rsqrt", -1: "reciprocal"}[exponent], x)
    if exponent == 0:
        return b.full(1, b.out_element, b.shape)
    return b.pointwise("pow", x, b.full(exponent, b.out_element))


@rule("aten.pow.Tensor_Tensor", "aten.pow.Scalar")
def pow_tensor(b: Builder, x: Operand, exponent: Operand) -> SSAValue:
    """x to a tensor power."""
    return arithmetic(b, "pow", x, exponent)


@rule("aten.square.default")
def square(b: Builder, x: SSAValue) -> SSAValue:
    """x * x."""
    return arithmetic(b, "mul", x, x)


@rule("aten.logical_not.default")
def logical_not(b: Builder, x: SSAValue) -> SSAValue:
    """True where x is zero."""
    return b.pointwise("not", b.cast(x, i1))


@rule("aten.addcmul.default")
@rounds_once
def addcmul(b: Builder, x: SSAValue, y: SSAValue, z: SSAValue, value: Scalar) -> SSAValue:
    """x + value * y * z."""
    product = arithmetic(b, "mul", y, z)
    return add(b, x, product, value)


@rule("aten.addcdiv.default")
@rounds_once
def addcdiv(b: Builder, x: SSAValue, y: SSAValue, z: SSAValue, value: Scalar) -> SSAValue:
    """x + value * y / z."""
    return add(b, x, arithmetic(b, "div", y, z), value)


@rule("aten.lerp.Scalar", "aten.lerp.Tensor")
@rounds_once
def lerp(b: Builder, x: SSAValue, y: SSAValue, weight: Operand) -> SSAValue:
    """x + weight * (y - x), from the nearer end as torch does."""
    element = element_of(x)
    w = b.operand(weight, element)
    span = b.pointwise("sub", y, x)
    near = b.pointwise("add", x, b.pointwise("mul", w, span))
    far = b.pointwise("sub", y, b.pointwise("mul", span, b.pointwise("sub", 1.0, w)))
    return b.pointwise("where", b.pointwise("lt", b.pointwise("abs", w), 0.5), near, far)


@rule("aten.fmax.default")
def fmax(b: Builder, x: SSAValue, y: SSAValue) -> SSAValue:
    """The larger one, the number where the other is NaN."""
    return _without_nan(b, "maximum", x, y)


@rule("aten.fmin.default")
def fmin(b: Builder, x: SSAValue, y: SSAValue) -> SSAValue:
    """The smaller one, the number where the other is NaN."""
    return _without_nan(b, "minimum", x, y)


def _without_nan(b: Builder, fn: str, x: SSAValue, y: SSAValue) -> SSAValue:
    value = arithmetic(b, fn, x, y)
    if not is_float(value):
        return value
    x, y = b.cast(x, b.out_element), b.cast(y, b.out_element)
    value = b.pointwise("where", b.pointwise("isnan", y), x, value)
    return b.pointwise("where", b.pointwise("isnan", x), y, value)


@rule("aten.copysign.Tensor", "aten.copysign.Scalar")
def copysign(b: Builder, x: Operand, y: Operand) -> SSAValue:
    """|x| with the sign of y, that of zeros and NaN too."""
    return arithmetic(b, "copysign", x, y)


@rule("aten.signbit.default")
def signbit(b: Builder, x: SSAValue) -> SSAValue:
    """Whether the sign is minus, also of zeros and NaN."""
    if element_of(x) == i1:
        return b.cast(b.full(0, i1, b.shape), i1)
    if is_float(x):
        x = b.pointwise("copysign", b.expand(b.full(1.0, element_of(x)), shape_of(x)), x)
    return b.pointwise("lt", x, 0)


@rule("aten.angle.default")
def angle(b: Builder, x: SSAValue) -> SSAValue:
    """pi for negative numbers, 0 for others, NaN for NaN."""
    x = b.cast(x, b.out_element)
    value = b.pointwise("where", b.pointwise("lt", x, 0), b.operand(math.pi, b.out_element), 0.0)
    return b.pointwise("where", b.pointwise("isnan", x), x, value)


@rule("aten.round.decimals")
@rounds_once
def round_decimals(b: Builder, x: SSAValue, decimals: int) -> SSAValue:
    """Rounded to a multiple of a power of ten, half to even."""
    if not is_float(x):
        return x
    power = 10.0 ** abs(decimals)
    before, after = ("mul", "div") if decimals > 0 else ("div", "mul")
    return b.pointwise(after, b.pointwise("round", b.pointwise(before, x, power)), power)


@rule("aten.hypot.default")
@rounds_once
def hypot(b: Builder, x: SSAValue, y: SSAValue) -> SSAValue:
    """sqrt(x^2 + y^2) without overflow in between."""
    x, y = (b.pointwise("abs", b.cast(v, b.out_element)) for v in (x, y))
    large, small = b.pointwise("maximum", x, y), b.pointwise("minimum", x, y)
    ratio = b.pointwise("div", small, b.pointwise("where", b.pointwise("eq", large, 0), 1.0, large))
    root = b.pointwise("sqrt", b.pointwise("add", b.pointwise("mul", ratio, ratio), 1.0))
    value = b.pointwise("mul", large, root)
    is_infinite = b.pointwise("or", b.pointwise("isinf", x), b.pointwise("isinf", y))
    return b.pointwise("where", is_infinite, math.inf, value)
