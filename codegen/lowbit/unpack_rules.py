"""Rules of `quant.field`, `field_number`, `lookup` and `half`; `dot_rules` has `quant.dot`."""

from __future__ import annotations

from xdsl.ir import Operation

from ...dialects.quant.ops import FieldNumberOp, FieldOp, HalfOp, LookupOp
from ..c.c_types import float_literal
from ..c.constants import splat
from ..c.expression import Expr, binary, call, cast, integer
from ..c.function import FunctionEmitter
from ..c.lanes import lane_function, operand_shape
from ..c.prelude import Prelude
from ..c.registry import elementwise, emits, simd
from ..c.vector_types import VectorShape

MAGIC = 0x4B000000  # 2^23 as f32: the mantissa counts in ones
AND_OR = 0xEA  # a & b | c as the truth table of vpternlogd


@elementwise(HalfOp)
def half_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """Exponent and mantissa moved to where f32 has them; a product corrects the bias, exactly."""
    prelude.include("<string.h>")

    def text() -> str:
        return """\
static inline float tc_half(int16_t bits)
{
    const uint32_t magnitude = (uint32_t)bits & 0x7fff;
    const uint32_t sign = ((uint32_t)bits & 0x8000) << 16;
    uint32_t wide = magnitude << 13;
    float value;
    if (magnitude >= 0x7c00) {
        wide |= 0x7f800000;
    } else {
        memcpy(&value, &wide, sizeof value);
        value *= 0x1p112f;
        memcpy(&wide, &value, sizeof wide);
    }
    wide |= sign;
    memcpy(&value, &wide, sizeof value);
    return value;
}
"""

    return call(prelude.define("tc_half", text), *args)


@simd(HalfOp)
def half_simd(prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]) -> Expr | None:
    """vcvtph2ps, which AVX-512 has; on AVX2 it is in x86-64-v3 (F16C)."""
    target = prelude.shape(op.results[0].type)
    return call(f"{target.prefix}_cvtph_ps", *args)


@elementwise(FieldOp)
def field_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """Mask, convert, add: exact, as the field has at most 23 bits."""
    assert isinstance(op, FieldOp)
    value = cast("float", binary(args[0], "&", integer(op.mask)))
    return binary(value, "+", float_literal(2.0**23, "f32"))


@simd(FieldOp)
def field_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """The field becomes the mantissa of 2^23."""
    assert isinstance(op, FieldOp)
    mask = splat(shape, prelude, integer(op.mask))
    magic = splat(shape, prelude, integer(MAGIC))
    if shape.isa == "avx512":
        bits = call(f"{shape.prefix}_ternarylogic_epi32", *args, mask, magic, integer(AND_OR))
    else:
        masked = call(f"{shape.prefix}_and_{shape.whole}", *args, mask)
        bits = call(f"{shape.prefix}_or_{shape.whole}", masked, magic)
    target = prelude.shape(op.results[0].type)
    return call(f"{target.prefix}_cast{shape.whole}_ps", bits)


@elementwise(FieldNumberOp)
def field_number_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """Mask, convert, subtract."""
    assert isinstance(op, FieldNumberOp)
    value = cast("float", binary(args[0], "&", integer(op.mask)))
    center = op.center.value.data
    return binary(value, "-", float_literal(center, "f32")) if center else value


@simd(FieldNumberOp)
def field_number_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """As inline assembly on AVX2: gcc 12 loads the masks of all fields, and their centers, before
    the loop around them, and spills sums that have no registers then."""
    assert isinstance(op, FieldNumberOp)
    if shape.bits != 256 or shape.isa != "avx2":
        return None
    mask, center, vector = op.mask, op.center.value.data, prelude.shape(op.results[0].type).c_type
    name = f"tc_field_{op.width.data}_{op.shift.data}"
    constants, steps, operands = f"mask[8] = {{{_repeated(str(mask), 8)}}}", "", ""
    if center:
        literal = float_literal(center, "f32").text
        name += f"_from_{f'{center:g}'.replace('.', '_').replace('+', '')}"
        constants += f";\n    static const float center[8] = {{{_repeated(literal, 8)}}}"
        steps = "\\n\\tvsubps %3, %0, %0"
        operands = f', "m"(*(const {vector} *)center)'

    def text() -> str:
        return f"""\
static inline {vector} {name}({shape.c_type} word)
{{
    static const int32_t {constants};
    {vector} result;
    __asm__("vpand %2, %1, %0\\n\\tvcvtdq2ps %0, %0{steps}" : "=x"(result)
            : "x"(word), "m"(*(const {shape.c_type} *)mask){operands});
    return result;
}}
"""

    return call(prelude.define(name, text), *args)


def _repeated(text: str, count: int) -> str:
    return ", ".join([text] * count)


@emits(LookupOp)
def emit_lookup(emitter: FunctionEmitter, op: Operation) -> None:
    """Permutations of one or two registers; upper bits of the code choose between their results."""
    assert isinstance(op, LookupOp)
    prelude = emitter.prelude
    shape = prelude.shape(op.result.type)
    codes = emitter.atom(op.codes)
    tables = [emitter.atom(table) for table in op.tables]
    if shape.is_native and shape.lanes * 32 == shape.bits and shape.bits >= 256:
        emitter.bind(op.result, _permuted(prelude, shape, codes, tables))
        return
    size = shape.lanes * len(tables)
    name = f"tc_lookup_{shape.name}_{len(tables)}"

    def body(lanes: list[Expr]) -> Expr:
        # the operand arrays that `lane_function` declares are called b_lane, c_lane, ...
        code = f"((uint32_t){lanes[0].text} % {size})"
        text = f"{'bcdefghi'[len(tables) - 1]}_lane[{code} % {shape.lanes}]"
        for k in reversed(range(len(tables) - 1)):
            chosen = f"{code} / {shape.lanes} == {k}"
            text = f"({chosen} ? {'bcdefghi'[k]}_lane[{code} % {shape.lanes}] : {text})"
        return Expr(text)

    operands = [operand_shape(prelude, v) for v in op.operands]
    function = lane_function(prelude, name, operands, shape, body)
    emitter.bind(op.result, call(function, codes, *tables))


def _permuted(prelude: Prelude, shape: VectorShape, codes: Expr, tables: list[Expr]) -> Expr:
    """Look up in `tables` by the low bits of `codes`."""
    prefix = shape.prefix
    if len(tables) == 1:
        if shape.isa == "avx512":
            return call(f"{prefix}_permutexvar_ps", codes, tables[0])
        return call(f"{prefix}_permutevar8x32_ps", tables[0], codes)
    if len(tables) == 2 and shape.isa == "avx512":
        return call(f"{prefix}_permutex2var_ps", tables[0], codes, tables[1])
    half = len(tables) // 2
    low = _permuted(prelude, shape, codes, tables[:half])
    high = _permuted(prelude, shape, codes, tables[half:])
    bit = shape.lanes * half
    if shape.isa == "avx512":
        chosen = splat(shape.with_element("i32"), prelude, integer(bit))
        mask = call(f"{prefix}_test_epi32_mask", codes, chosen)
        return call(f"{prefix}_mask_blend_ps", mask, low, high)
    # blendv asks the sign: move the bit there
    sign = call(f"{prefix}_slli_epi32", codes, integer(32 - bit.bit_length()))
    return call(f"{prefix}_blendv_ps", low, high, call(f"{prefix}_castsi{shape.bits}_ps", sign))
