"""Rules of comparisons and selection, on scalars and on vectors with masks."""

from __future__ import annotations

from xdsl.dialects import arith
from xdsl.dialects.builtin import VectorType
from xdsl.ir import Operation

from ...dialects import vector_arith
from .c_types import BYTES, unsigned_type
from .expression import Expr, binary, call, cast, ternary, unary
from .integer_rules import element_of
from .masks import mask_for, mask_from, mask_not
from .prelude import Prelude
from .registry import elementwise, simd
from .vector_types import VectorShape

_FLOAT_ORDERED = {"oeq": "==", "ogt": ">", "oge": ">=", "olt": "<", "ole": "<=", "une": "!="}
_FLOAT_NEGATED = {"ugt": "<=", "uge": "<", "ult": ">=", "ule": ">"}
_FLOAT_IMMEDIATE = {
    "false": "FALSE_OQ",
    "oeq": "EQ_OQ",
    "ogt": "GT_OQ",
    "oge": "GE_OQ",
    "olt": "LT_OQ",
    "ole": "LE_OQ",
    "one": "NEQ_OQ",
    "ord": "ORD_Q",
    "ueq": "EQ_UQ",
    "ugt": "NLE_UQ",
    "uge": "NLT_UQ",
    "ult": "NGE_UQ",
    "ule": "NGT_UQ",
    "une": "NEQ_UQ",
    "uno": "UNORD_Q",
    "true": "TRUE_UQ",
}
_INTEGER = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_INTEGER_IMMEDIATE = {"eq": "EQ", "ne": "NE", "lt": "LT", "le": "LE", "gt": "NLE", "ge": "NLT"}


def predicate_of(op: Operation) -> str:
    """The predicate's name: olt, slt, ..."""
    assert isinstance(op, (arith.CmpfOp, arith.CmpiOp, vector_arith.CompareOp))
    number = op.predicate.value.data
    if isinstance(op, (arith.CmpfOp, vector_arith.CmpfOp)):
        return arith.CMPF_COMPARISON_OPERATIONS[number]
    return arith.CMPI_COMPARISON_OPERATIONS[number]


@elementwise(arith.CmpfOp, vector_arith.CmpfOp, repeats=True)
def float_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """Comparison with the stated answer for NaN."""
    a, b = args
    predicate = predicate_of(op)
    if predicate in _FLOAT_ORDERED:
        return binary(a, _FLOAT_ORDERED[predicate], b)
    if predicate in _FLOAT_NEGATED:
        return unary("!", binary(a, _FLOAT_NEGATED[predicate], b))
    if predicate in ("false", "true"):
        return Expr(predicate)
    if predicate == "one":
        return binary(binary(a, "<", b), "||", binary(a, ">", b))
    if predicate == "ueq":
        return unary("!", binary(binary(a, "<", b), "||", binary(a, ">", b)))
    sign, joint = ("==", "&&") if predicate == "ord" else ("!=", "||")
    if a.text == b.text:
        return binary(a, sign, a)
    return binary(binary(a, sign, a), joint, binary(b, sign, b))


@simd(arith.CmpfOp, vector_arith.CmpfOp)
def float_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """One comparison instruction."""
    immediate = Expr(f"_CMP_{_FLOAT_IMMEDIATE[predicate_of(op)]}")
    if shape.isa == "avx512":
        return call(f"{shape.prefix}_cmp_{shape.suffix}_mask", *args, immediate)
    lanes = shape.intrinsic("cmp", *args, immediate)
    whole = call(f"{shape.prefix}_cast{shape.suffix}_{shape.whole}", lanes)
    return mask_from(prelude, shape, whole)


@elementwise(arith.CmpiOp, vector_arith.CmpiOp)
def integer_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """Signed, or unsigned by casts; true is 1, which signed predicates read as -1."""
    predicate = predicate_of(op)
    element = element_of(op)
    sign = _INTEGER[predicate[-2:]]
    if predicate[0] == "u" and predicate != "ne" and element != "i1":
        wide = unsigned_type(element)
        return binary(cast(wide, args[0]), sign, cast(wide, args[1]))
    if predicate[0] == "s" and element == "i1":
        return binary(args[1], sign, args[0])
    return binary(args[0], sign, args[1])


@simd(arith.CmpiOp, vector_arith.CmpiOp)
def integer_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """AVX-512 compares either way; AVX2 has == and > of signed numbers only."""
    predicate = predicate_of(op)
    kind = predicate[-2:]
    if shape.is_mask:
        return None
    if shape.isa == "avx512":
        sort = "epu" if predicate[0] == "u" else "epi"
        width = 8 * BYTES[shape.element]
        immediate = Expr(f"_MM_CMPINT_{_INTEGER_IMMEDIATE[kind]}")
        return call(f"{shape.prefix}_cmp_{sort}{width}_mask", *args, immediate)
    if predicate[0] == "u":
        return None
    a, b = args
    plain = {
        "eq": ("cmpeq", a, b, False),
        "ne": ("cmpeq", a, b, True),
        "gt": ("cmpgt", a, b, False),
        "le": ("cmpgt", a, b, True),
        "lt": ("cmpgt", b, a, False),
        "ge": ("cmpgt", b, a, True),
    }[kind]
    operation, left, right, negated = plain
    mask = mask_from(prelude, shape, shape.intrinsic(operation, left, right))
    return mask_not(shape.mask, mask) if negated else mask


@elementwise(arith.SelectOp, vector_arith.SelectOp)
def select_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """The conditional operator."""
    return ternary(*args)


@simd(arith.SelectOp, vector_arith.SelectOp)
def select_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """A blend; the conditional operator where the condition is scalar."""
    condition, left, right = args
    if not isinstance(op.operands[0].type, VectorType):
        return ternary(condition, left, right)
    value = prelude.shape(op.results[0].type)
    return blend(prelude, value, condition, left, right)


def blend(prelude: Prelude, shape: VectorShape, mask: Expr, left: Expr, right: Expr) -> Expr:
    """left where `mask`, else right."""
    if shape.is_mask:
        if shape.isa == "avx512":
            name = prelude.define(
                f"tc_select_{shape.name}",
                lambda: (
                    f"static inline {shape.c_type} tc_select_{shape.name}({shape.c_type} c, "
                    f"{shape.c_type} a, {shape.c_type} b)\n{{\n"
                    f"    return ({shape.c_type})((c & a) | (~c & b));\n}}\n"
                ),
            )
            return call(name, mask, left, right)
        return call(f"{shape.prefix}_blendv_epi8", right, left, mask)
    if shape.isa == "avx512":
        return shape.intrinsic("mask_blend", mask, right, left)
    lanes = mask_for(prelude, shape, mask)
    if shape.element in ("f32", "f64"):
        as_float = call(f"{shape.prefix}_cast{shape.whole}_{shape.suffix}", lanes)
        return shape.intrinsic("blendv", right, left, as_float)
    return call(f"{shape.prefix}_blendv_epi8", right, left, lanes)
