"""Rules of `arith` on floating point numbers.

maximumf and minimumf propagate NaN; which zero they pick where +0 meets -0 is the right operand, or
the variable one where the other is a constant. maxnumf and minnumf are `a > b ? a : b` and
`a < b ? a : b`: the right operand where either is NaN, as the x86 instruction does.
"""

from __future__ import annotations

import math

from xdsl.dialects import arith
from xdsl.ir import Operation

from ...dialects.constants import splat_value
from .c_types import C_TYPES, element_name
from .constants import splat
from .expression import Expr, binary, call, ternary, unary
from .prelude import Prelude
from .registry import elementwise, simd
from .vector_types import VectorShape

_BINARY: dict[type[Operation], tuple[str, str]] = {
    arith.AddfOp: ("+", "add"),
    arith.SubfOp: ("-", "sub"),
    arith.MulfOp: ("*", "mul"),
    arith.DivfOp: ("/", "div"),
}
_EXTREMES: dict[type[Operation], tuple[str, str]] = {
    arith.MaximumfOp: (">", "max"),
    arith.MinimumfOp: ("<", "min"),
    arith.MaxnumfOp: (">", "max"),
    arith.MinnumfOp: ("<", "min"),
}


@elementwise(*_BINARY)
def binary_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """One C operator."""
    return binary(args[0], _BINARY[type(op)][0], args[1])


@simd(*_BINARY)
def binary_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """One instruction."""
    return shape.intrinsic(_BINARY[type(op)][1], *args)


@elementwise(arith.NegfOp)
def negate_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """Flip the sign, also of zero and NaN."""
    return unary("-", args[0])


@simd(arith.NegfOp)
def negate_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """Flip the sign bit."""
    sign = Expr("-0.0f" if shape.element == "f32" else "-0.0")
    return shape.intrinsic("xor", args[0], splat(shape, prelude, sign))


def constant_operand(op: Operation) -> int | None:
    """The index of an operand that is a constant other than NaN, if there is one."""
    for index, value in enumerate(op.operands):
        number = splat_value(value)
        if number is not None and not math.isnan(number):
            return index
    return None


@elementwise(arith.MaxnumfOp, arith.MinnumfOp, repeats=True)
def plain_extreme_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """The comparison as it stands."""
    return ternary(binary(args[0], _EXTREMES[type(op)][0], args[1]), args[0], args[1])


@simd(arith.MaxnumfOp, arith.MinnumfOp)
def plain_extreme_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """The instruction as it stands."""
    return shape.intrinsic(_EXTREMES[type(op)][1], *args)


@elementwise(arith.MaximumfOp, arith.MinimumfOp, repeats=True)
def nan_extreme_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """NaN if either is NaN; with the constant first a single comparison does it."""
    sign, name = _EXTREMES[type(op)]
    constant = constant_operand(op)
    if constant is not None:
        fixed, free = args[constant], args[1 - constant]
        return ternary(binary(fixed, sign, free), fixed, free)
    return call(define_nan_extreme(prelude, name, sign, _element(op)), *args)


def define_nan_extreme(prelude: Prelude, name: str, sign: str, element: str) -> str:
    """The scalar helper tc_maximum_f32 or alike."""
    helper = f"tc_{name}imum_{element}"
    ctype = C_TYPES[element]
    return prelude.define(
        helper,
        lambda: (
            f"static inline {ctype} {helper}({ctype} a, {ctype} b)\n{{\n"
            f"    return a {sign} b || a != a ? a : b;\n}}\n"
        ),
    )


def _element(op: Operation) -> str:
    from xdsl.utils.type import get_element_type_or_self

    return element_name(get_element_type_or_self(op.operands[0].type))


@simd(arith.MaximumfOp, arith.MinimumfOp)
def nan_extreme_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """The instruction answers its second operand for NaN, so NaN in the first is blended back."""
    _, name = _EXTREMES[type(op)]
    constant = constant_operand(op)
    if constant is not None:
        return shape.intrinsic(name, args[constant], args[1 - constant])
    return call(define_nan_extreme_simd(prelude, name, shape), *args)


def define_nan_extreme_simd(prelude: Prelude, name: str, shape: VectorShape) -> str:
    """The vector helper tc_maximum_f32x16 or alike."""
    helper = f"tc_{name}imum_{shape.name}"
    a, r = Expr("a"), Expr("r")
    if shape.isa == "avx512":
        nan = call(f"{shape.prefix}_cmp_{shape.suffix}_mask", a, a, Expr("_CMP_UNORD_Q"))
        result = shape.intrinsic("mask_mov", r, nan, a)
    else:
        result = shape.intrinsic("blendv", r, a, shape.intrinsic("cmp", a, a, Expr("_CMP_UNORD_Q")))
    extreme = shape.intrinsic(name, a, Expr("b"))
    ctype = shape.c_type
    return prelude.define(
        helper,
        lambda: (
            f"static inline {ctype} {helper}({ctype} a, {ctype} b)\n{{\n"
            f"    const {ctype} r = {extreme.text};\n    return {result.text};\n}}\n"
        ),
    )
