"""Rules of `math`: instructions where there are any, mathlib functions, then libm lane by lane."""

from __future__ import annotations

from xdsl.dialects import math, vector
from xdsl.dialects.arith import FastMathFlagsAttr
from xdsl.dialects.utils.fast_math import FastMathFlag
from xdsl.ir import Operation
from xdsl.utils.type import get_element_type_or_self

from ...dialects.vector import FnmaOp
from ..mathlib import Accuracy
from .c_types import BYTES, C_TYPES, element_name
from .constants import splat
from .elementary import elementary_function
from .expression import Expr, binary, call, cast, integer, ternary, unary
from .outlining import is_outlined
from .prelude import Prelude
from .registry import elementwise, simd
from .vector_types import VectorShape

_LIBM: dict[type[Operation], str] = {
    math.AbsFOp: "fabs",
    math.AcosOp: "acos",
    math.AcoshOp: "acosh",
    math.AsinOp: "asin",
    math.AsinhOp: "asinh",
    math.Atan2Op: "atan2",
    math.AtanOp: "atan",
    math.AtanhOp: "atanh",
    math.CbrtOp: "cbrt",
    math.CeilOp: "ceil",
    math.CopySignOp: "copysign",
    math.CosOp: "cos",
    math.CoshOp: "cosh",
    math.ErfOp: "erf",
    math.Exp2Op: "exp2",
    math.ExpM1Op: "expm1",
    math.ExpOp: "exp",
    math.FloorOp: "floor",
    math.FmaOp: "fma",
    math.Log10Op: "log10",
    math.Log1pOp: "log1p",
    math.Log2Op: "log2",
    math.LogOp: "log",
    math.PowFOp: "pow",
    math.RoundEvenOp: "rint",
    math.RoundOp: "round",
    math.SinOp: "sin",
    math.SinhOp: "sinh",
    math.SqrtOp: "sqrt",
    math.TanOp: "tan",
    math.TanhOp: "tanh",
    math.TruncOp: "trunc",
    vector.FMAOp: "fma",
}
_ROUNDING: dict[type[Operation], str] = {
    math.FloorOp: "_MM_FROUND_TO_NEG_INF",
    math.CeilOp: "_MM_FROUND_TO_POS_INF",
    math.TruncOp: "_MM_FROUND_TO_ZERO",
    math.RoundEvenOp: "_MM_FROUND_TO_NEAREST_INT",
}


def _element(op: Operation) -> str:
    return element_name(get_element_type_or_self(op.operands[0].type))


def accuracy_of(op: Operation) -> Accuracy:
    """4 ULP where the op carries `fastmath<afn>` (approximate functions), else 1 ULP."""
    flags = op.properties.get("fastmath")
    if isinstance(flags, FastMathFlagsAttr) and FastMathFlag.APPROX_FUNC in flags.data:
        return 4
    return 1


@elementwise(*_LIBM)
def libm_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """A mathlib function, or the libm one."""
    # CUDA's own functions are within 2 ULP and need no tables.
    on_gpu = prelude.machine.is_gpu
    own = (
        None if on_gpu else elementary_function(prelude, op.name, _element(op), 1, accuracy_of(op))
    )
    if own is not None:
        return call(own, *args)
    prelude.include("<math.h>")
    return call(_LIBM[type(op)] + ("f" if _element(op) == "f32" else ""), *args)


_OWN_RULES = (math.AbsFOp, math.CopySignOp, math.FmaOp, math.SqrtOp, vector.FMAOp)


@simd(*(op for op in _LIBM if op not in _OWN_RULES))
def elementary_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """A rounding instruction or a mathlib function."""
    if type(op) in _ROUNDING:
        mode = Expr(f"{_ROUNDING[type(op)]} | _MM_FROUND_NO_EXC")
        return shape.intrinsic("roundscale" if shape.isa == "avx512" else "round", *args, mode)
    return own_function(prelude, op.name, op, shape, args)


def own_function(
    prelude: Prelude, function: str, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """`function` of mathlib as accurate as `op` asks for; None where there is none."""
    own = elementary_function(
        *(prelude, function, shape.element, shape.lanes, accuracy_of(op)), outlined=is_outlined(op)
    )
    return None if own is None else call(own, *args)


@simd(math.FmaOp, vector.FMAOp)
def fma_simd(prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]) -> Expr | None:
    """One rounding."""
    return shape.intrinsic("fmadd", *args)


@elementwise(FnmaOp)
def fnma_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """One rounding: the sign of the product is exact."""
    prelude.include("<math.h>")
    return call("fmaf" if _element(op) == "f32" else "fma", unary("-", args[0]), *args[1:])


@simd(FnmaOp)
def fnma_simd(prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]) -> Expr | None:
    """One rounding."""
    return shape.intrinsic("fnmadd", *args)


@simd(math.SqrtOp)
def sqrt_simd(prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]) -> Expr | None:
    """Correctly rounded."""
    return shape.intrinsic("sqrt", *args)


@simd(math.AbsFOp)
def abs_simd(prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]) -> Expr | None:
    """Clear the sign bit."""
    sign = Expr("-0.0f" if shape.element == "f32" else "-0.0")
    return shape.intrinsic("andnot", splat(shape, prelude, sign), *args)


@simd(math.CopySignOp)
def copy_sign_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """Bits of the one or the other; one instruction on AVX-512."""
    sign = splat(shape, prelude, Expr("-0.0f" if shape.element == "f32" else "-0.0"))
    if shape.isa != "avx512":
        magnitude = shape.intrinsic("andnot", sign, args[0])
        return shape.intrinsic("or", magnitude, shape.intrinsic("and", sign, args[1]))
    width = 32 if shape.element == "f32" else 64
    p, s, whole = shape.prefix, shape.suffix, shape.whole
    bits = [call(f"{p}_cast{s}_{whole}", a) for a in (sign, args[1], args[0])]
    # Where the bit of the sign mask is set the second operand, else the third.
    chosen = call(f"{p}_ternarylogic_epi{width}", *bits, Expr("0xca"))
    return call(f"{p}_cast{whole}_{s}", chosen)


@elementwise(math.RsqrtOp)
def rsqrt_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """1 / sqrt(x), each correctly rounded."""
    prelude.include("<math.h>")
    single = _element(op) == "f32"
    root = call("sqrtf" if single else "sqrt", *args)
    return binary(Expr("1.0f" if single else "1.0"), "/", root)


@simd(math.RsqrtOp)
def rsqrt_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """1 / sqrt(x): the estimate instruction would depend on the machine."""
    one = splat(shape, prelude, Expr("1.0f" if shape.element == "f32" else "1.0"))
    return shape.intrinsic("div", one, shape.intrinsic("sqrt", *args))


@elementwise(math.AbsIOp, repeats=True)
def abs_integer_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """Wraps for the most negative number."""
    element = _element(op)
    if element == "index":
        return ternary(binary(args[0], "<", integer(0)), unary("-", args[0]), args[0])
    wide = f"uint{max(32, 8 * BYTES[element])}_t"
    negated = cast(C_TYPES[element], unary("-", cast(wide, args[0])))
    return ternary(binary(args[0], "<", integer(0)), negated, args[0])


@simd(math.AbsIOp)
def abs_integer_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """i64 has it on AVX-512 only."""
    if shape.element == "i64" and shape.isa != "avx512":
        return None
    return shape.intrinsic("abs", *args)


@elementwise(math.FPowIOp)
def integer_power_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """libm's pow of the exponent as a float."""
    prelude.include("<math.h>")
    element = _element(op)
    name = "powf" if element == "f32" else "pow"
    return call(name, args[0], cast(C_TYPES[element], args[1]))
