"""Rules of conversions from and to integers; `float_width_rules.py` has those between floats.

Float to integer truncates; to i8 and i16 it goes through i32, in scalar code as in vectors. Index
lanes are i32, so a vector index_cast from i64 keeps the low half.
"""

from __future__ import annotations

from xdsl.dialects import arith, vector
from xdsl.ir import Operation
from xdsl.utils.type import get_element_type_or_self

from ...dialects import vector_arith
from .c_types import BYTES, C_TYPES, element_name, unsigned_type
from .compare_rules import blend
from .constants import splat
from .expression import Expr, binary, call, cast, integer, unary
from .integer_rules import bitwise
from .masks import mask_for
from .prelude import Prelude
from .registry import elementwise, simd
from .vector_types import VectorShape


def _elements(op: Operation) -> tuple[str, str]:
    source, target = op.operands[0].type, op.results[0].type
    return (
        element_name(get_element_type_or_self(source)),
        element_name(get_element_type_or_self(target)),
    )


@elementwise(arith.IndexCastOp, vector_arith.IndexCastOp, arith.ExtSIOp, vector_arith.ExtSIOp)
def signed_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """Sign extension or truncation; true becomes -1."""
    source, target = _elements(op)
    if source == "i1":
        return unary("-", cast(C_TYPES[target], args[0]))
    if {source, target} == {"index", "i64"}:
        return args[0]
    return cast(C_TYPES[target], args[0])


@elementwise(arith.ExtUIOp, vector_arith.ExtUIOp)
def unsigned_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """Zero extension."""
    source, target = _elements(op)
    inner = args[0] if source == "i1" else cast(unsigned_type(source), args[0])
    return cast(C_TYPES[target], inner)


@elementwise(arith.TruncIOp, vector_arith.TruncIOp)
def truncate_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """The low bits."""
    _, target = _elements(op)
    if target == "i1":
        return binary(binary(args[0], "&", integer(1)), "!=", integer(0))
    return cast(C_TYPES[target], args[0])


@elementwise(arith.SIToFPOp, vector_arith.SIToFPOp)
def to_float_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """To the nearest representable number."""
    source, target = _elements(op)
    value = cast(C_TYPES[target], args[0])
    return unary("-", value) if source == "i1" else value


@elementwise(arith.UIToFPOp, vector_arith.UIToFPOp)
def unsigned_to_float_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """Of the operand as an unsigned number."""
    source, target = _elements(op)
    inner = args[0] if source == "i1" else cast(unsigned_type(source), args[0])
    return cast(C_TYPES[target], inner)


@elementwise(arith.FPToSIOp, vector_arith.FPToSIOp)
def to_integer_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """Toward zero."""
    _, target = _elements(op)
    if target in ("i32", "i64"):
        return cast(C_TYPES[target], args[0])
    whole = cast("int32_t", args[0])
    if target == "i1":
        return binary(binary(whole, "&", integer(1)), "!=", integer(0))
    return cast(C_TYPES[target], whole)


@elementwise(arith.FPToUIOp)
def to_unsigned_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """Toward zero, to an unsigned number."""
    _, target = _elements(op)
    return cast(C_TYPES[target], cast(unsigned_type(target), args[0]))


@elementwise(arith.BitcastOp, vector.BitcastOp)
def bitcast_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """The same bits, through memcpy."""
    source, target = (C_TYPES[e] for e in _elements(op))
    if source == target:
        return args[0]
    prelude.include("<string.h>")
    name = f"tc_bits_{_elements(op)[0]}_{_elements(op)[1]}"
    prelude.define(
        name,
        lambda: (
            f"static inline {target} {name}({source} x)\n{{\n    {target} y;\n"
            f"    memcpy(&y, &x, sizeof y);\n    return y;\n}}\n"
        ),
    )
    return call(name, *args)


@simd(arith.BitcastOp, vector.BitcastOp)
def bitcast_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """Free: a register is reinterpreted."""
    target = prelude.shape(op.results[0].type)
    if shape.is_mask or target.is_mask or shape.bits != target.bits:
        return None
    names = [s.suffix if s.element in ("f32", "f64") else s.whole for s in (shape, target)]
    if names[0] == names[1]:
        return args[0]
    return call(f"{shape.prefix}_cast{names[0]}_{names[1]}", *args)


@simd(arith.IndexCastOp, vector_arith.IndexCastOp, arith.ExtSIOp, vector_arith.ExtSIOp)
def signed_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """Sign extension; truncation on AVX-512."""
    target = prelude.shape(op.results[0].type)
    if shape.is_mask:
        return _spread(prelude, target, args[0], -1)
    return _resize(shape, target, args[0], "epi")


@simd(arith.ExtUIOp, vector_arith.ExtUIOp)
def unsigned_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """Zero extension."""
    target = prelude.shape(op.results[0].type)
    if shape.is_mask:
        return _spread(prelude, target, args[0], 1)
    return _resize(shape, target, args[0], "epu")


@simd(arith.TruncIOp, vector_arith.TruncIOp)
def truncate_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """The low bits, on AVX-512."""
    target = prelude.shape(op.results[0].type)
    if not target.is_mask:
        return _resize(shape, target, args[0], "epi")
    if shape.isa != "avx512":
        return None
    one = splat(shape, prelude, integer(1))
    return call(f"{shape.prefix}_test_{shape.suffix}_mask", args[0], one)


def _resize(shape: VectorShape, target: VectorShape, value: Expr, kind: str) -> Expr | None:
    """Between integer widths; the wider register names the instruction."""
    if shape.element == target.element:
        return value
    source_bits, target_bits = 8 * BYTES[shape.element], 8 * BYTES[target.element]
    if source_bits < target_bits:
        return call(f"{target.prefix}_cvt{kind}{source_bits}_epi{target_bits}", value)
    if shape.isa != "avx512":
        return None
    return call(f"{shape.prefix}_cvtepi{source_bits}_epi{target_bits}", value)


def _spread(prelude: Prelude, target: VectorShape, mask: Expr, number: int) -> Expr:
    """`number` (an integer) where `mask`, else zero."""
    if target.isa == "avx512":
        return target.intrinsic("maskz_mov", mask, splat(target, prelude, integer(number)))
    lanes = mask_for(prelude, target, mask)
    if number == -1:
        return lanes
    return bitwise(target, "&", [lanes, splat(target, prelude, integer(number))])


_TO_FLOAT = {("i32", "f32"), ("i32", "f64"), ("i64", "f32"), ("i64", "f64")}


@simd(arith.SIToFPOp, vector_arith.SIToFPOp)
def to_float_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """From i8, i16 and i32, and on AVX-512 from i64."""
    target = prelude.shape(op.results[0].type)
    return _from_integer(prelude, shape, target, args[0], "epi", Expr("-1.0"))


@simd(arith.UIToFPOp, vector_arith.UIToFPOp)
def unsigned_to_float_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """On AVX-512; from masks everywhere."""
    target = prelude.shape(op.results[0].type)
    if shape.isa != "avx512" and not shape.is_mask:
        return None
    return _from_integer(prelude, shape, target, args[0], "epu", Expr("1.0"))


def _from_integer(
    prelude: Prelude, shape: VectorShape, target: VectorShape, value: Expr, kind: str, true: Expr
) -> Expr | None:
    if shape.is_mask:
        suffix = "f" if target.element == "f32" else ""
        every = splat(target, prelude, Expr(true.text + suffix))
        if target.isa == "avx512":
            return target.intrinsic("maskz_mov", value, every)
        return blend(prelude, target, value, every, target.intrinsic("setzero"))
    if shape.element in ("i8", "i16") and target.element == "f32":
        widened = call(f"{target.prefix}_cvt{kind}{8 * BYTES[shape.element]}_epi32", value)
        return call(f"{target.prefix}_cvtepi32_{target.suffix}", widened)
    if (shape.element, target.element) not in _TO_FLOAT:
        return None
    if shape.element == "i64" and shape.isa != "avx512":
        return None
    wide = max(shape, target, key=lambda s: s.bits)
    source = f"{kind}{8 * BYTES[shape.element]}"
    return call(f"{wide.prefix}_cvt{source}_{target.suffix}", value)


@simd(arith.FPToSIOp, vector_arith.FPToSIOp)
def to_integer_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """To i32, and on AVX-512 to i64."""
    target = prelude.shape(op.results[0].type)
    if target.element not in ("i32", "i64"):
        return None
    if target.element == "i64" and shape.isa != "avx512":
        return None
    wide = max(shape, target, key=lambda s: s.bits)
    return call(f"{wide.prefix}_cvtt{shape.suffix}_{target.suffix}", *args)
