"""How each scalar function of `graph.pointwise` is written in arith and math ops.

One entry per row of `dialects/scalar.py`; division with a rounding rule is in `division.py`,
powers are in `powers.py`. NaN, infinities and integer overflow behave as in torch.
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt

from xdsl.dialects import arith, math
from xdsl.dialects.builtin import IntegerType
from xdsl.ir import SSAValue
from xdsl.irdl import IRDLOperation

from .scalar_builder import ScalarBuilder, is_float

ScalarRule = Callable[..., SSAValue]
SCALAR_RULES: dict[str, ScalarRule] = {}


def scalar(name: str) -> Callable[[ScalarRule], ScalarRule]:
    """Register the decorated function as the meaning of `name`."""

    def register(rule: ScalarRule) -> ScalarRule:
        if name in SCALAR_RULES:
            raise ValueError(f"scalar function {name!r} has two rules")
        SCALAR_RULES[name] = rule
        return rule

    return register


_BUILDER_METHODS: dict[str, ScalarRule] = {
    "add": ScalarBuilder.add,
    "sub": ScalarBuilder.sub,
    "mul": ScalarBuilder.mul,
    "div": ScalarBuilder.div,
    "maximum": ScalarBuilder.maximum,
    "minimum": ScalarBuilder.minimum,
    "and": ScalarBuilder.both,
    "or": ScalarBuilder.either,
    "xor": ScalarBuilder.differ,
    "not": ScalarBuilder.invert,
    "where": ScalarBuilder.select,
    "neg": ScalarBuilder.negate,
    "abs": ScalarBuilder.absolute,
}
_MATH_OPS: dict[str, type[IRDLOperation]] = {
    "sqrt": math.SqrtOp,
    "exp": math.ExpOp,
    "exp2": math.Exp2Op,
    "expm1": math.ExpM1Op,
    "log": math.LogOp,
    "log2": math.Log2Op,
    "log10": math.Log10Op,
    "log1p": math.Log1pOp,
    "sin": math.SinOp,
    "cos": math.CosOp,
    "tan": math.TanOp,
    "asin": math.AsinOp,
    "acos": math.AcosOp,
    "atan": math.AtanOp,
    "sinh": math.SinhOp,
    "cosh": math.CoshOp,
    "tanh": math.TanhOp,
    "erf": math.ErfOp,
    "atan2": math.Atan2Op,
    "copysign": math.CopySignOp,
}
_ROUNDING_OPS: dict[str, type[IRDLOperation]] = {
    "floor": math.FloorOp,
    "ceil": math.CeilOp,
    "round": math.RoundEvenOp,
    "trunc": math.TruncOp,
}


def _comparison(relation: str) -> ScalarRule:
    def rule(s: ScalarBuilder, a: SSAValue, b: SSAValue) -> SSAValue:
        return s.compare(relation, a, b)

    return rule


def _math_call(op_class: type[IRDLOperation]) -> ScalarRule:
    def rule(s: ScalarBuilder, *operands: SSAValue) -> SSAValue:
        return s.insert(op_class.create(operands=operands, result_types=[operands[0].type]))

    return rule


def _rounding(op_class: type[IRDLOperation]) -> ScalarRule:
    call = _math_call(op_class)

    def rule(s: ScalarBuilder, x: SSAValue) -> SSAValue:
        return call(s, x) if is_float(x.type) else x

    return rule


for _name, _method in _BUILDER_METHODS.items():
    scalar(_name)(_method)
for _relation in ("eq", "ne", "lt", "le", "gt", "ge"):
    scalar(_relation)(_comparison(_relation))
for _name, _op_class in _MATH_OPS.items():
    scalar(_name)(_math_call(_op_class))
for _name, _op_class in _ROUNDING_OPS.items():
    scalar(_name)(_rounding(_op_class))


@scalar("sign")
def _sign(s: ScalarBuilder, x: SSAValue) -> SSAValue:
    # Comparisons, so that the sign of NaN is 0 as in torch.
    zero, one, minus = s.like(0, x), s.like(1, x), s.like(-1, x)
    negative_or_zero = s.select(s.compare("lt", x, zero), minus, zero)
    return s.select(s.compare("gt", x, zero), one, negative_or_zero)


def _is_shift(s: ScalarBuilder, amount: SSAValue) -> SSAValue:
    """i1: 0 <= amount < bits; machines disagree about all other shifts."""
    assert isinstance(amount.type, IntegerType)
    return s.insert(arith.CmpiOp(amount, s.like(amount.type.width.data, amount), "ult"))


@scalar("shift_left")
def _shift_left(s: ScalarBuilder, x: SSAValue, amount: SSAValue) -> SSAValue:
    zero, is_shift = s.like(0, x), _is_shift(s, amount)
    return s.select(is_shift, s.insert(arith.ShLIOp(x, s.select(is_shift, amount, zero))), zero)


@scalar("shift_right")
def _shift_right(s: ScalarBuilder, x: SSAValue, amount: SSAValue) -> SSAValue:
    assert isinstance(x.type, IntegerType)
    most = s.like(x.type.width.data - 1, x)  # nothing but the sign is left
    return s.insert(arith.ShRSIOp(x, s.select(_is_shift(s, amount), amount, most)))


@scalar("reciprocal")
def _reciprocal(s: ScalarBuilder, x: SSAValue) -> SSAValue:
    return s.div(s.like(1, x), x)


@scalar("rsqrt")
def _rsqrt(s: ScalarBuilder, x: SSAValue) -> SSAValue:
    return s.div(s.like(1, x), s.sqrt(x))


@scalar("isnan")
def _isnan(s: ScalarBuilder, x: SSAValue) -> SSAValue:
    return s.compare("ne", x, x)


@scalar("isinf")
def _isinf(s: ScalarBuilder, x: SSAValue) -> SSAValue:
    if not is_float(x.type):
        return s.compare("ne", x, x)
    return s.compare("eq", s.absolute(x), s.like(float("inf"), x))


@scalar("relu")
def _relu(s: ScalarBuilder, x: SSAValue) -> SSAValue:
    return s.maximum(x, s.like(0, x))


def _one_plus_exp_minus(s: ScalarBuilder, x: SSAValue) -> SSAValue:
    return s.add(s.like(1, x), s.exp(s.negate(x)))


@scalar("sigmoid")
def _sigmoid(s: ScalarBuilder, x: SSAValue) -> SSAValue:
    # exp overflows to inf for very negative x, and 1 / inf is the right limit.
    return s.div(s.like(1, x), _one_plus_exp_minus(s, x))


@scalar("silu")
def _silu(s: ScalarBuilder, x: SSAValue) -> SSAValue:
    return s.div(x, _one_plus_exp_minus(s, x))


def _half_times_one_plus(s: ScalarBuilder, x: SSAValue, inner: SSAValue) -> SSAValue:
    return s.mul(s.mul(s.like(0.5, x), x), s.add(s.like(1, x), inner))


@scalar("gelu")
def _gelu(s: ScalarBuilder, x: SSAValue) -> SSAValue:
    inner = s.insert(math.ErfOp(s.mul(x, s.like(sqrt(0.5), x))))
    return _half_times_one_plus(s, x, inner)


@scalar("gelu_tanh")
def _gelu_tanh(s: ScalarBuilder, x: SSAValue) -> SSAValue:
    cubed = s.mul(s.mul(x, x), x)
    sum = s.add(x, s.mul(s.like(0.044715, x), cubed))
    inner = s.insert(math.TanhOp(s.mul(s.like(sqrt(2 / pi), x), sum)))
    return _half_times_one_plus(s, x, inner)
