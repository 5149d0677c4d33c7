"""Elementwise ops on vectors: one instruction where the ISA has it, else a loop over the lanes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence

from xdsl.dialects import arith
from xdsl.dialects.builtin import (
    ArrayAttr,
    FloatAttr,
    IntAttr,
    IntegerAttr,
    StringAttr,
    VectorType,
)
from xdsl.ir import Attribute, Operation, SSAValue

from ...dialects import vector_arith
from ...dialects.constants import splat_value
from .c_types import scalar_type
from .expression import Expr, call, integer
from .function import FunctionEmitter
from .prelude import Prelude
from .registry import SIMD, LaneForm
from .vector_types import VectorShape

# Ops that C writes the same way for scalars and for vectors of the GNU extensions.
GNU_OPERATORS = (arith.AddfOp, arith.SubfOp, arith.MulfOp, arith.DivfOp, arith.NegfOp)
# Ops whose instructions read the lower half of a register.
WIDENING = (
    vector_arith.SIToFPOp,
    vector_arith.UIToFPOp,
    vector_arith.ExtSIOp,
    vector_arith.ExtUIOp,
)
DIVISIONS = (
    arith.DivSIOp,
    arith.RemSIOp,
    arith.DivUIOp,
    arith.RemUIOp,
    arith.FloorDivSIOp,
    arith.CeilDivSIOp,
)
DIVISOR_LIMIT = 128  # all types of lanes hold what is below
Operand = VectorShape | str
"""A vector operand, or the C type of a scalar one."""


def emit_elementwise(emitter: FunctionEmitter, op: Operation, form: LaneForm) -> None:
    """Bind the result of an elementwise op on scalars or vectors."""
    prelude = emitter.prelude
    (result,) = op.results
    if not isinstance(result.type, VectorType):
        read = emitter.atom if form.repeats else emitter.expr
        emitter.bind(result, form.rule(prelude, op, [read(v) for v in op.operands]))
        return
    arguments = [emitter.expr(v) for v in op.operands]
    emitter.bind(result, vector_expression(prelude, op, form, arguments))


def vector_expression(
    prelude: Prelude, op: Operation, form: LaneForm, arguments: list[Expr]
) -> Expr:
    """The C expression of a vector op."""
    (result,) = op.results
    shapes = [operand_shape(prelude, v) for v in op.operands]
    target = prelude.shape(result.type)
    vectors = [s for s in (*shapes, target) if isinstance(s, VectorShape)]
    if type(op) in SIMD and all(s.is_native for s in vectors):
        first = next((s for s in shapes if isinstance(s, VectorShape)), target)
        native = SIMD[type(op)](prelude, op, first, arguments)
        if native is not None:
            return native
    source = shapes[0]
    if type(op) in WIDENING and target.is_native and not isinstance(source, str) and source.is_half:
        low = call(half_register(prelude, source), *arguments)
        native = SIMD[type(op)](prelude, op, source, [low])
        if native is not None:
            return native
    if type(op) in GNU_OPERATORS and all(s.is_gnu for s in vectors) and len(vectors) > len(shapes):
        return form.rule(prelude, op, arguments)
    attributes = [re.sub(r"\W", "_", str(a)) for a in _discriminators(op)]
    parts = [op.name.replace(".", "_"), *attributes]
    parts += dict.fromkeys(s.name for s in vectors)
    divisor = constant_divisor(op)
    if divisor is not None:
        parts.append(f"by_{divisor}")
    name = lane_function(
        prelude,
        "tc_" + "_".join(parts),
        shapes,
        target,
        lambda lanes: form.rule(prelude, op, lanes),
        divisor,
    )
    return call(name, *arguments)


def constant_divisor(op: Operation) -> int | None:
    """What all lanes are divided by, where that is known: compilers multiply by its inverse."""
    number = splat_value(op.operands[1]) if isinstance(op, DIVISIONS) else None
    return int(number) if number is not None and 0 < number < DIVISOR_LIMIT else None


def half_register(prelude: Prelude, shape: VectorShape) -> str:
    """A function that puts lanes into the lower half of a register; returns its name.

    With masks, as a float64: gcc 12 fails with "could not split insn" where an integer that is
    loaded so is widened and then blended.
    """
    name = f"tc_low_{shape.name}"
    body = "    return _mm_loadl_epi64((const __m128i *)&a);\n"
    if shape.isa == "avx512":
        body = (
            "    double bits;\n    memcpy(&bits, &a, sizeof bits);\n"
            "    return _mm_castpd_si128(_mm_set_sd(bits));\n"
        )
    return prelude.define(
        name, lambda: f"static inline __m128i {name}({shape.struct} a)\n{{\n{body}}}\n"
    )


def lower_half(prelude: Prelude, shape: VectorShape) -> str:
    """A function that takes lanes from the lower half of a register; returns its name."""
    name = f"tc_lower_{shape.name}"
    return prelude.define(
        name,
        lambda: (
            f"static inline {shape.struct} {name}(__m128i a)\n{{\n    {shape.struct} lanes;\n"
            "    _mm_storel_epi64((__m128i *)&lanes, a);\n    return lanes;\n}\n"
        ),
    )


def _discriminators(op: Operation) -> Sequence[object]:
    """What the lanes of ops of one class and type may differ in."""
    return [
        _discriminator(value)
        for value in op.properties.values()
        if isinstance(value, IntegerAttr | FloatAttr | IntAttr | StringAttr | ArrayAttr)
    ]


def _discriminator(value: Attribute) -> object:
    match value:
        case IntegerAttr() | FloatAttr():
            return value.value.data
        case IntAttr() | StringAttr():
            return value.data
    return hashlib.sha256(str(value).encode()).hexdigest()[:8]


def operand_shape(prelude: Prelude, value: SSAValue) -> Operand:
    """The shape of a vector value, or the C type of a scalar one."""
    if isinstance(value.type, VectorType):
        return prelude.shape(value.type)
    return scalar_type(value.type)


def lane_function(
    prelude: Prelude,
    name: str,
    operands: Sequence[Operand],
    result: VectorShape,
    body: Callable[[list[Expr]], Expr],
    divisor: int | None = None,
) -> str:
    """Define a function that computes each lane of `result` by `body`; returns its name.

    All lanes of the last operand are `divisor`, where that is known.
    """

    def text() -> str:
        parameters, lines, lanes = [], [], []
        for index, operand in enumerate(operands):
            letter = "abcdefgh"[index]
            if isinstance(operand, str):
                parameters.append(f"{operand} {letter}")
                lanes.append(Expr(letter))
                continue
            parameters.append(f"{operand.c_type} {letter}")
            if divisor is not None and index == len(operands) - 1:
                lines.append(f"(void){letter};")
                lanes.append(integer(divisor))
                continue
            lines += unpack(prelude, operand, letter, f"{letter}_lane")
            lane = Expr(f"{letter}_lane[l]")
            lanes.append(Expr(f"({lane.text} != 0)") if operand.is_mask else lane)
        value = body(lanes).text
        lines.append(f"{result.lane_type} lane[{result.lanes}];")
        lines.append(f"for (int l = 0; l < {result.lanes}; ++l) {{")
        lines.append(f"    lane[l] = {_narrowed(result, value)};")
        lines.append("}")
        lines += pack(prelude, result, "lane", "result")
        lines.append("return result;")
        body_text = "".join(f"    {line}\n" for line in lines)
        head = f"static inline {result.c_type} {name}({', '.join(parameters)})"
        return f"{head}\n{{\n{body_text}}}\n"

    return prelude.define(name, text)


def _narrowed(result: VectorShape, value: str) -> str:
    if result.is_mask or result.element in ("i8", "ui8", "i16"):
        return f"({result.lane_type})({value})"
    return value


def unpack(prelude: Prelude, shape: VectorShape, value: str, array: str) -> list[str]:
    """Statements that declare `array` and copy the lanes of `value` into it."""
    loop = f"for (int l = 0; l < {shape.lanes}; ++l) {{"
    if shape.is_mask and shape.is_native and shape.isa == "avx512":
        return [
            f"unsigned char {array}[{shape.lanes}];",
            loop,
            f"    {array}[l] = (unsigned char)((uint64_t){value} >> l & 1);",
            "}",
        ]
    prelude.include("<string.h>")
    lane = _mask_lane_type(shape) if shape.is_mask and shape.is_native else shape.lane_type
    return [
        f"{lane} {array}[{shape.lanes}];",
        f"memcpy({array}, &{value}, sizeof {array});",
    ]


def pack(prelude: Prelude, shape: VectorShape, array: str, value: str) -> list[str]:
    """Statements that declare `value` and fill its lanes from `array` (of `shape.lane_type`)."""
    loop = f"for (int l = 0; l < {shape.lanes}; ++l) {{"
    if shape.is_mask and shape.is_native and shape.isa == "avx512":
        return [
            "uint64_t bits = 0;",
            loop,
            f"    bits |= (uint64_t)({array}[l] != 0) << l;",
            "}",
            f"const {shape.c_type} {value} = ({shape.c_type})bits;",
        ]
    prelude.include("<string.h>")
    copy = [f"{shape.c_type} {value};", f"memcpy(&{value}, {array}, sizeof {value});"]
    if shape.is_mask and shape.is_native:
        lane = _mask_lane_type(shape)
        widen = [
            f"{lane} wide[{shape.lanes}];",
            loop,
            f"    wide[l] = ({lane})-({array}[l] != 0);",
            "}",
        ]
        return [*widen, copy[0], f"memcpy(&{value}, wide, sizeof {value});"]
    return copy


def _mask_lane_type(shape: VectorShape) -> str:
    return f"int{shape.mask_lane_bits}_t"
