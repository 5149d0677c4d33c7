"""Rule of `quant.dot`: VNNI where the C compiler may use it, else multiply-adds of 16-bit pairs."""

from __future__ import annotations

from xdsl.ir import Operation

from ...dialects.quant.ops import DotOp
from ..c.expression import Expr, call
from ..c.prelude import Prelude
from ..c.registry import elementwise, simd
from ..c.vector_types import VectorShape

SAFE_BITS = 7  # two products of 7-bit codes and bytes fit 16 bits; two of 8-bit codes saturate


@elementwise(DotOp, repeats=True)
def dot_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """Byte after byte."""

    def text() -> str:
        terms = " + ".join(
            f"(int32_t)((uint32_t)codes >> {8 * j} & 255) * (int8_t)((uint32_t)values >> {8 * j})"
            for j in range(4)
        )
        return f"""\
static inline int32_t tc_dot(int32_t acc, int32_t codes, int32_t values)
{{
    return acc + {terms.replace(" + ", chr(10) + "           + ")};
}}
"""

    return call(prelude.define("tc_dot", text), *args)


@simd(DotOp)
def dot_simd(prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]) -> Expr | None:
    """One instruction with AVX512-VNNI; three for codes that cannot saturate, else eight."""
    assert isinstance(op, DotOp)
    if shape.bits not in (256, 512):
        return None
    is_safe = op.bits.data <= SAFE_BITS
    name = f"tc_dot_{shape.name}" + ("" if is_safe else "_wide")
    return call(prelude.define(name, lambda: _function(name, shape, is_safe)), *args)


def _function(name: str, shape: VectorShape, is_safe: bool) -> str:
    p, vector = shape.prefix, shape.c_type
    if is_safe:
        pairs = f"{p}_maddubs_epi16(codes, values)"
        sums = [f"return {p}_add_epi32(acc, {p}_madd_epi16({pairs}, {p}_set1_epi16(1)));"]
    else:
        sums = [
            f"const {vector} even = {p}_and_{shape.whole}(codes, {p}_set1_epi16(255));",
            f"const {vector} odd = {p}_srli_epi16(codes, 8);",
            f"const {vector} low = {p}_srai_epi16({p}_slli_epi16(values, 8), 8);",
            f"const {vector} high = {p}_srai_epi16(values, 8);",
            f"acc = {p}_add_epi32(acc, {p}_madd_epi16(even, low));",
            f"return {p}_add_epi32(acc, {p}_madd_epi16(odd, high));",
        ]
    lines = "\n".join(f"    {line}" for line in sums)
    condition = "defined(__AVX512VNNI__)"
    if shape.bits == 256:
        condition += " && defined(__AVX512VL__)"
    # As inline assembly: gcc 12 copies each accumulator around the intrinsic, whose type has lanes
    # of another width, and 24 of them spill.
    return f"""\
static inline {vector} {name}({vector} acc, {vector} codes, {vector} values)
{{
#if {condition}
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(codes), "v"(values));
    return acc;
#else
{lines}
#endif
}}
"""
