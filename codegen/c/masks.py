"""Masks: AVX2's between the lane width of a mask and that of the vector it applies to, and those of
all x86 between registers and the bytes that booleans are in memory.

Helpers are written with intrinsics: compilers vectorize loops over lanes at -O3 only.
"""

from __future__ import annotations

from ...dialects.errors import LoweringError
from .c_types import BYTES
from .expression import Expr, call, cast, unary
from .prelude import Prelude
from .vector_types import VectorShape


def _packed(bits: int, name: str) -> str:
    """The lanes of `bits` bits of the register `name`, half as wide."""
    halves = f"_mm256_castsi256_si128({name}), _mm256_extracti128_si256({name}, 1)"
    return f"_mm_packs_epi{bits}({halves})"


# (mask lane bits, vector lane bits) -> the value of a narrower mask, an __m128i, from `m`.
_NARROW = {
    (64, 32): "_mm256_castsi256_si128(_mm256_permutevar8x32_epi32(m, "
    "_mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6)))",
    (32, 16): _packed(32, "m"),
    (16, 8): _packed(16, "m"),
}
_WIDEN = {(32, 64): "cvtepi32_epi64", (16, 32): "cvtepi16_epi32", (8, 16): "cvtepi8_epi16"}

# Lanes of an AVX2 mask `v` -> statements that declare its bytes `n`.
_LANE_BYTES = {
    2: ["const __m128i n = _mm_shuffle_epi8(v, _mm_cvtsi32_si128(0x0800));"],
    4: [
        f"const __m128i w = {_packed(32, 'v')};",
        "const __m128i h = _mm_packs_epi32(w, w);",
        "const __m128i n = _mm_packs_epi16(h, h);",
    ],
    8: [f"const __m128i h = {_packed(32, 'v')};", "const __m128i n = _mm_packs_epi16(h, h);"],
    16: [f"const __m128i n = {_packed(16, 'v')};"],
    32: ["const __m256i n = v;"],
}
# Bytes -> prefix of the intrinsics on registers of as many.
_BYTES = {16: "_mm", 32: "_mm256", 64: "_mm512"}


def mask_for(prelude: Prelude, shape: VectorShape, mask: Expr) -> Expr:
    """A mask with lanes as wide as those of `shape` (AVX2)."""
    have, want = shape.mask.mask_lane_bits, 8 * BYTES[shape.element]
    if have == want:
        return mask
    if (have, want) not in _NARROW:
        raise LoweringError(f"no mask of {shape.name} on {shape.isa}")
    name, body = f"tc_mask_{have}_to_{want}", _NARROW[have, want]
    prelude.define(
        name, lambda: f"static inline __m128i {name}(__m256i m)\n{{\n    return {body};\n}}\n"
    )
    return call(name, mask)


def mask_from(prelude: Prelude, shape: VectorShape, lanes: Expr) -> Expr:
    """The mask of a comparison whose lanes are as wide as those of `shape` (AVX2)."""
    have, want = 8 * BYTES[shape.element], shape.mask.mask_lane_bits
    if have == want:
        return lanes
    if (have, want) not in _WIDEN:
        raise LoweringError(f"no mask of {shape.name} on {shape.isa}")
    return call(f"_mm256_{_WIDEN[have, want]}", lanes)


def mask_not(mask: VectorShape, value: Expr) -> Expr:
    """Every lane negated."""
    if mask.isa == "avx512":
        return cast(mask.c_type, unary("~", value))
    ones = call(f"{mask.prefix}_set1_epi32", Expr("-1"))
    return call(f"{mask.prefix}_xor_{mask.whole}", value, ones)


def bytes_to_mask(shape: VectorShape) -> list[str]:
    """Statements of a function that returns the mask of `shape.lanes` bytes at `p`, 0 or 1 each."""
    lanes = shape.lanes
    if lanes < 8:
        load = ["int32_t bytes = 0;", f"memcpy(&bytes, p, {lanes});"]
        load.append("const __m128i v = _mm_cvtsi32_si128(bytes);")
    elif lanes == 8:
        load = ["const __m128i v = _mm_loadl_epi64((const __m128i *)p);"]
    else:
        load = [f"const __m{8 * lanes}i v = {_BYTES[lanes]}_loadu_si{8 * lanes}((const void *)p);"]
    if shape.isa == "avx512":
        prefix = _BYTES.get(lanes, "_mm")
        return [*load, f"return ({shape.c_type}){prefix}_test_epi8_mask(v, v);"]
    bits = shape.mask_lane_bits
    wide = "v" if bits == 8 else f"{shape.prefix}_cvtepu8_epi{bits}(v)"
    zero = f"{shape.prefix}_setzero_{shape.whole}()"
    return [*load, f"return {shape.prefix}_cmpgt_epi{bits}({wide}, {zero});"]


def mask_to_bytes(shape: VectorShape) -> list[str]:
    """Statements of a function that stores the mask `v` as `shape.lanes` bytes at `p`, 0 or 1."""
    lanes, prefix = shape.lanes, _BYTES.get(shape.lanes, "_mm")
    register = f"__m{max(128, 8 * lanes)}i"
    if shape.isa == "avx512":
        body = [f"const {register} b = {prefix}_maskz_set1_epi8(v, 1);"]
    else:
        body = [
            *_LANE_BYTES[lanes],
            f"const {register} b = {prefix}_and_si{max(128, 8 * lanes)}(n, {prefix}_set1_epi8(1));",
        ]
    if lanes < 8:
        return [*body, "const int32_t low = _mm_cvtsi128_si32(b);", f"memcpy(p, &low, {lanes});"]
    if lanes == 8:
        return [*body, "_mm_storel_epi64((__m128i *)p, b);"]
    return [*body, f"{prefix}_storeu_si{8 * lanes}((void *)p, b);"]
