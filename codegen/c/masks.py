"""AVX2 masks between the lane width of a mask and that of the vector it applies to."""

from __future__ import annotations

from ...dialects.errors import LoweringError
from .c_types import BYTES
from .expression import Expr, call, cast, unary
from .prelude import Prelude
from .vector_types import VectorShape

# (mask lane bits, vector lane bits) -> helper body on `m`.
_NARROW = {
    (64, 32): (
        "__m128i",
        "_mm256_castsi256_si128(_mm256_permutevar8x32_epi32(m, "
        "_mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6)))",
    ),
    (32, 16): (
        "__m128i",
        "_mm_packs_epi32(_mm256_castsi256_si128(m), _mm256_extracti128_si256(m, 1))",
    ),
    (16, 8): (
        "__m128i",
        "_mm_packs_epi16(_mm256_castsi256_si128(m), _mm256_extracti128_si256(m, 1))",
    ),
}
_WIDEN = {(32, 64): "cvtepi32_epi64", (16, 32): "cvtepi16_epi32", (8, 16): "cvtepi8_epi16"}


def mask_for(prelude: Prelude, shape: VectorShape, mask: Expr) -> Expr:
    """A mask with lanes as wide as those of `shape` (AVX2)."""
    have, want = shape.mask.mask_lane_bits, 8 * BYTES[shape.element]
    if have == want:
        return mask
    if (have, want) not in _NARROW:
        raise LoweringError(f"no mask of {shape.name} on {shape.isa}")
    ctype, body = _NARROW[have, want]
    name = f"tc_mask_{have}_to_{want}"
    prelude.define(
        name, lambda: f"static inline {ctype} {name}(__m256i m)\n{{\n    return {body};\n}}\n"
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
