"""Rules of conversions between float types.

f16 and bf16 exist in memory and in integer registers only; they are widened to f32 and rounded
back, to nearest even, NaN staying NaN. bf16 is rounded by integer arithmetic, since the instruction
of AVX512-BF16 takes subnormal numbers for zero; f16 by F16C, in scalar code of c99 by integers.
GPUs have instructions for all of them.
"""

from __future__ import annotations

from typing import Any

from xdsl.dialects import arith
from xdsl.ir import Operation
from xdsl.utils.type import get_element_type_or_self

from .c_types import C_TYPES, NARROW_FLOATS, element_name
from .expression import Expr, call, cast, integer
from .outlining import INLINED, is_outlined, opaque
from .prelude import Prelude
from .registry import elementwise, simd
from .vector_types import VectorShape

_WIDEN_BF16 = """\
static inline float tc_bf16_to_f32(uint16_t x)
{
    const uint32_t bits = (uint32_t)x << 16;
    float y;
    memcpy(&y, &bits, sizeof y);
    return y;
}
"""
_ROUND_BF16 = """\
static inline uint16_t tc_f32_to_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (x != x) {
        return (uint16_t)(bits >> 16 | 0x40);
    }
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
"""
# The bits of an f16 as those of an f32 are the same number times 2 ** -112, subnormal or not.
_WIDEN_F16 = """\
static inline float tc_f16_to_f32(uint16_t x)
{
    uint32_t bits = (uint32_t)(x & 0x7fff) << 13;
    float y;
    if (bits >= 0x0f800000) {
        bits = (bits + 0x70000000) | (uint32_t)(bits > 0x0f800000) << 22;
        memcpy(&y, &bits, sizeof y);
    } else {
        memcpy(&y, &bits, sizeof y);
        y *= 0x1p112f;
    }
    memcpy(&bits, &y, sizeof bits);
    bits |= (uint32_t)(x & 0x8000) << 16;
    memcpy(&y, &bits, sizeof y);
    return y;
}
"""
# A sum with 0.5 has the spacing of subnormal f16: the addition rounds.
_ROUND_F16 = """\
static inline uint16_t tc_f32_to_f16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t sign = bits >> 16 & 0x8000;
    bits &= 0x7fffffff;
    if (bits > 0x7f800000) {
        return (uint16_t)(sign | 0x7e00 | (bits >> 13 & 0x3ff));
    }
    if (bits >= 0x477ff000) {
        return (uint16_t)(sign | 0x7c00);
    }
    if (bits < 0x38800000) {
        float y;
        memcpy(&y, &bits, sizeof y);
        y += 0.5f;
        memcpy(&bits, &y, sizeof bits);
        return (uint16_t)(sign | (bits - 0x3f000000));
    }
    return (uint16_t)(sign | (bits - 0x38000000 + 0xfff + (bits >> 13 & 1)) >> 13);
}
"""
_SCALAR = {
    ("bf16", "f32"): _WIDEN_BF16,
    ("f32", "bf16"): _ROUND_BF16,
    ("f16", "f32"): _WIDEN_F16,
    ("f32", "f16"): _ROUND_F16,
}
_F16C = {("f16", "f32"): "_cvtsh_ss({})", ("f32", "f16"): "_cvtss_sh({}, 0)"}
_TO_NEAREST = integer(0)  # _MM_FROUND_TO_NEAREST_INT

# {b}: bits of the f32 register, {h}: of the result, {p}: prefix of instructions.
_ROUND_BF16_VECTOR = """\
{head}__m{h}i {name}(__m{b} x)
{{
    const __m{b}i bits = {p}_castps_si{b}(x);
    const __m{b}i odd = {p}_and_si{b}({p}_srli_epi32(bits, 16), {p}_set1_epi32(1));
    __m{b}i sum = {p}_add_epi32({p}_add_epi32(bits, {p}_set1_epi32(0x7fff)), odd);
    const __m{b}i quiet = {p}_or_si{b}(bits, {p}_set1_epi32(0x400000));
{keep}
    sum = {p}_srli_epi32(sum, 16);
    return {shrink};
}}
"""
_KEEP_NAN = {
    "avx512": "    sum = {p}_mask_mov_epi32(sum, {p}_cmp_ps_mask(x, x, _CMP_UNORD_Q), quiet);",
    "avx2": (
        "    const __m{b}i nan = {p}_castps_si{b}({p}_cmp_ps(x, x, _CMP_UNORD_Q));\n"
        "    sum = {p}_blendv_epi8(sum, quiet, nan);"
    ),
}
_SHRINK = {
    "avx512": "{p}_cvtepi32_epi16(sum)",
    "avx2": ("_mm_packus_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1))"),
}


@elementwise(arith.ExtFOp, arith.TruncFOp)
def float_width_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """To the nearest representable number."""
    source, target = (
        element_name(get_element_type_or_self(value.type)) for value in (*op.operands, *op.results)
    )
    if not {source, target} & NARROW_FLOATS:
        return cast(C_TYPES[target], args[0])
    value = args[0]
    for pair in _through_f32(source, target):
        value = _convert_scalar(prelude, pair, value)
    return value


def _through_f32(source: str, target: str) -> list[tuple[str, str]]:
    """The conversions from `source` to `target`, of which each starts or ends at f32."""
    if "f32" in (source, target):
        return [(source, target)]
    return [(source, "f32"), ("f32", target)]


def _convert_scalar(prelude: Prelude, pair: tuple[str, str], value: Expr) -> Expr:
    source, target = pair
    if not {source, target} & NARROW_FLOATS:
        return cast(C_TYPES[target], value)
    if prelude.machine.is_gpu:  # instructions; codegen/cuda has a function for each
        return call(f"tc_from_{source}" if target == "f32" else f"tc_to_{target}", value)
    if prelude.isa in ("avx2", "avx512") and pair in _F16C:
        prelude.include("<immintrin.h>")
        return Expr(_F16C[pair].format(value.text), reads=value.reads)
    prelude.include("<string.h>")
    return call(prelude.define(f"tc_{source}_to_{target}", lambda: _SCALAR[pair]), value)


@simd(arith.ExtFOp, arith.TruncFOp)
def float_width_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """One instruction, or a few for bf16; narrow floats only from and to f32."""
    target = prelude.shape(op.results[0].type)
    wide = max(shape, target, key=lambda s: s.bits)
    if not {shape.element, target.element} & NARROW_FLOATS:
        return call(f"{wide.prefix}_cvt{shape.suffix}_{target.suffix}", *args)
    match shape.element, target.element:
        case "f16", "f32":
            return call(f"{wide.prefix}_cvtph_ps", *args)
        case "f32", "f16":
            return call(f"{wide.prefix}_cvtps_ph", *args, _TO_NEAREST)
        case "bf16", "f32":
            bits = call(f"{wide.prefix}_cvtepu16_epi32", *args)
            high = call(f"{wide.prefix}_slli_epi32", bits, integer(16))
            return call(f"{wide.prefix}_castsi{wide.bits}_ps", high)
        case "f32", "bf16":
            return call(define_round_bf16(prelude, wide, outlined=is_outlined(op)), *args)
        case _:
            return None


def define_round_bf16(prelude: Prelude, wide: VectorShape, *, outlined: bool = False) -> str:
    """The function that rounds vectors of f32 to bf16."""
    name = f"tc_{wide.name}_to_bf16{'_outlined' if outlined else ''}"
    fields: dict[str, Any] = {"head": opaque(prelude) if outlined else INLINED}
    fields |= {"name": name, "b": wide.bits, "h": wide.bits // 2, "p": wide.prefix}
    fields["keep"] = _KEEP_NAN[wide.isa].format(**fields)
    fields["shrink"] = _SHRINK[wide.isa].format(**fields)
    return prelude.define(name, lambda: _ROUND_BF16_VECTOR.format(**fields))
