"""Rules of `arith` on integers and indices.

Integers wrap around, so scalar code computes in the unsigned type; indices never overflow and are
written plainly. i1 arithmetic is logic.
"""

from __future__ import annotations

from collections.abc import Callable

from xdsl.dialects import arith
from xdsl.ir import Operation
from xdsl.utils.type import get_element_type_or_self

from ...dialects.constants import splat_value
from . import expression
from .c_types import BYTES, C_TYPES, element_name, unsigned_type
from .expression import Expr, binary, call, cast, integer, ternary, unary
from .prelude import Prelude
from .registry import elementwise, simd
from .vector_types import VectorShape

Operators = dict[type[Operation], str]

_WRAPPING: Operators = {arith.AddiOp: "+", arith.SubiOp: "-", arith.MuliOp: "*"}
_FOLDING: dict[type[Operation], Callable[[Expr, Expr], Expr]] = {
    arith.AddiOp: expression.add,
    arith.SubiOp: expression.subtract,
    arith.MuliOp: expression.multiply,
}
_LOGIC: Operators = {arith.AndIOp: "&", arith.OrIOp: "|", arith.XOrIOp: "^"}
_BOOLEAN: Operators = {
    arith.AndIOp: "&&",
    arith.MuliOp: "&&",
    arith.OrIOp: "||",
    arith.XOrIOp: "!=",
    arith.AddiOp: "!=",
    arith.SubiOp: "!=",
}
_SIGNED_DIVISION: Operators = {arith.DivSIOp: "/", arith.RemSIOp: "%"}
_UNSIGNED_DIVISION: Operators = {arith.DivUIOp: "/", arith.RemUIOp: "%"}
_SHIFTS: Operators = {arith.ShLIOp: "sll", arith.ShRUIOp: "srl", arith.ShRSIOp: "sra"}
_SIGNED_EXTREMES: Operators = {arith.MinSIOp: "<", arith.MaxSIOp: ">"}
_UNSIGNED_EXTREMES: Operators = {arith.MinUIOp: "<", arith.MaxUIOp: ">"}


def element_of(op: Operation) -> str:
    """The element name of the first operand."""
    return element_name(get_element_type_or_self(op.operands[0].type))


def _boolean(op: Operation, args: list[Expr]) -> Expr:
    if isinstance(op, arith.XOrIOp) and args[1].text == "true":
        return unary("!", args[0])
    return binary(args[0], _BOOLEAN[type(op)], args[1])


@elementwise(*_WRAPPING)
def wrapping_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """Sum, difference, product."""
    element = element_of(op)
    if element == "i1":
        return _boolean(op, args)
    if element == "index":
        return _FOLDING[type(op)](*args)
    ctype = C_TYPES[element]
    # Narrow operands are promoted to int, where only a product of i16 needs a wider unsigned type.
    wide = "uint32_t" if BYTES[element] < 4 else unsigned_type(element)
    value = binary(cast(wide, args[0]), _WRAPPING[type(op)], cast(wide, args[1]))
    return cast(ctype, value)


@elementwise(*_LOGIC)
def logic_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """Bitwise and, or, xor."""
    if element_of(op) == "i1":
        return _boolean(op, args)
    return binary(args[0], _LOGIC[type(op)], args[1])


@elementwise(arith.ShLIOp)
def shift_left_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """In the unsigned type, because a signed left shift may not overflow in C."""
    element = element_of(op)
    wide = "uint32_t" if BYTES[element] < 4 else unsigned_type(element)
    return cast(C_TYPES[element], binary(cast(wide, args[0]), "<<", args[1]))


@elementwise(arith.ShRUIOp)
def shift_right_unsigned_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """Zeros come in."""
    element = element_of(op)
    return cast(C_TYPES[element], binary(cast(unsigned_type(element), args[0]), ">>", args[1]))


@elementwise(arith.ShRSIOp)
def shift_right_signed_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """The sign comes in (gcc and clang define >> of negative numbers so)."""
    return binary(args[0], ">>", args[1])


@elementwise(*_SIGNED_DIVISION)
def signed_division_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """Rounds toward zero, as C does."""
    return binary(args[0], _SIGNED_DIVISION[type(op)], args[1])


@elementwise(*_UNSIGNED_DIVISION)
def unsigned_division_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """Of the operands as unsigned numbers."""
    element = element_of(op)
    wide = unsigned_type(element)
    value = binary(cast(wide, args[0]), _UNSIGNED_DIVISION[type(op)], cast(wide, args[1]))
    return cast(C_TYPES[element], value)


@elementwise(arith.FloorDivSIOp, arith.CeilDivSIOp)
def rounded_division_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """Quotient toward minus or plus infinity, by a helper."""
    element = element_of(op)
    ctype = C_TYPES[element]
    if isinstance(op, arith.FloorDivSIOp):
        name, test, step = f"tc_floor_div_{element}", "(a < 0) != (b < 0)", "-"
    else:
        name, test, step = f"tc_ceil_div_{element}", "(a < 0) == (b < 0)", "+"
    prelude.define(
        name,
        lambda: (
            f"static inline {ctype} {name}({ctype} a, {ctype} b)\n{{\n"
            f"    const {ctype} q = ({ctype})(a / b);\n"
            f"    return ({ctype})(a % b != 0 && {test} ? q {step} 1 : q);\n}}\n"
        ),
    )
    return call(name, *args)


@elementwise(*_SIGNED_EXTREMES, repeats=True)
def signed_extreme_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """Smaller or larger as signed numbers."""
    return ternary(binary(args[0], _SIGNED_EXTREMES[type(op)], args[1]), args[0], args[1])


@elementwise(*_UNSIGNED_EXTREMES, repeats=True)
def unsigned_extreme_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """Smaller or larger as unsigned numbers."""
    wide = unsigned_type(element_of(op))
    test = binary(cast(wide, args[0]), _UNSIGNED_EXTREMES[type(op)], cast(wide, args[1]))
    return ternary(test, args[0], args[1])


@simd(arith.AddiOp, arith.SubiOp)
def add_simd(prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]) -> Expr | None:
    """Wrapping sum or difference; of masks exclusive or."""
    if shape.is_mask:
        return mask_logic(shape, "^", args)
    return shape.intrinsic("add" if isinstance(op, arith.AddiOp) else "sub", *args)


@simd(arith.MuliOp)
def multiply_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """Low half of the product."""
    if shape.is_mask:
        return mask_logic(shape, "&", args)
    if shape.element in ("i16", "i32") or (shape.element == "i64" and shape.isa == "avx512"):
        return shape.intrinsic("mullo", *args)
    return None


@simd(*_LOGIC)
def logic_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """Bitwise on registers or masks."""
    if shape.is_mask:
        return mask_logic(shape, _LOGIC[type(op)], args)
    return bitwise(shape, _LOGIC[type(op)], args)


_WORDS = {"&": "and", "|": "or", "^": "xor"}


def bitwise(shape: VectorShape, operator: str, args: list[Expr]) -> Expr:
    """A bitwise operation on integer registers."""
    return call(f"{shape.prefix}_{_WORDS[operator]}_{shape.whole}", *args)


def mask_logic(shape: VectorShape, operator: str, args: list[Expr]) -> Expr:
    """A bitwise operation on masks."""
    if shape.isa == "avx512":
        return cast(shape.c_type, binary(args[0], operator, args[1]))
    return bitwise(shape, operator, args)


@simd(arith.ShLIOp, arith.ShRUIOp, arith.ShRSIOp)
def shift_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """By a literal where the amount is a constant, else lane by lane."""
    if shape.element not in ("i16", "i32", "i64"):
        return None
    stem = _SHIFTS[type(op)]
    on_avx512 = shape.isa == "avx512"
    if stem == "sra" and shape.element == "i64" and not on_avx512:
        return None
    amount = splat_value(op.operands[1])
    if amount is not None:
        return shape.intrinsic(f"{stem}i", args[0], integer(int(amount)))
    if shape.element == "i16" and not on_avx512:
        return None
    return shape.intrinsic(f"{stem}v", *args)


@simd(*_SIGNED_EXTREMES, *_UNSIGNED_EXTREMES)
def extreme_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """Minimum or maximum; i64 has it on AVX-512 only."""
    if shape.is_mask or (shape.element == "i64" and shape.isa != "avx512"):
        return None
    stem = "min" if isinstance(op, (arith.MinSIOp, arith.MinUIOp)) else "max"
    kind = "epu" if type(op) in _UNSIGNED_EXTREMES else "epi"
    return call(f"{shape.prefix}_{stem}_{kind}{8 * BYTES[shape.element]}", *args)
