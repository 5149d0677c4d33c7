"""Rules of the `pair` dialect: vdpbf16ps where the C compiler may use it, else both halves of each
word as f32 and two multiply-adds.
"""

from __future__ import annotations

from xdsl.ir import Operation

from ...dialects.pairs import DotAddOp, DotOp, JoinOp
from .expression import Expr, binary, call, cast, integer
from .prelude import Prelude
from .registry import elementwise, simd
from .vector_types import VectorShape

_DOT = """\
static inline float tc_pair_dot(int32_t a, int32_t b, float acc)
{
    const uint32_t words[4] = {(uint32_t)a << 16, (uint32_t)b << 16, (uint32_t)a & 0xffff0000u,
                               (uint32_t)b & 0xffff0000u};
    float halves[4];
    memcpy(halves, words, sizeof halves);
    acc = acc + halves[0] * halves[1];
    return acc + halves[2] * halves[3];
}
"""
# {b}: bits of a register, {p}: prefix of instructions, {f}: the C type of floats
_DOT_VECTOR = """\
static inline {f} {name}(__m{b}i a, __m{b}i b, {f} acc)
{{
#if {condition}
    return {p}_dpbf16_ps(acc, (__m{b}bh)a, (__m{b}bh)b);
#else
    const __m{b}i mask = {p}_set1_epi32(-65536);
    const {f} a_low = {p}_castsi{b}_ps({p}_slli_epi32(a, 16));
    const {f} b_low = {p}_castsi{b}_ps({p}_slli_epi32(b, 16));
    const {f} a_high = {p}_castsi{b}_ps({p}_and_si{b}(a, mask));
    const {f} b_high = {p}_castsi{b}_ps({p}_and_si{b}(b, mask));
    acc = {p}_fmadd_ps(a_low, b_low, acc);
    return {p}_fmadd_ps(a_high, b_high, acc);
#endif
}}
"""


@elementwise(DotOp, DotAddOp)
def dot_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """One product after the other."""
    a, b, acc = args if isinstance(op, DotAddOp) else (*args, Expr("0.0f"))
    return call(pair_dot(prelude), a, b, acc)


def pair_dot(prelude: Prelude) -> str:
    """The function that adds the products of one pair and another to a sum."""
    prelude.include("<string.h>")
    return prelude.define("tc_pair_dot", lambda: _DOT)


@simd(DotOp, DotAddOp)
def dot_simd(prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]) -> Expr:
    """One instruction with AVX512-BF16."""
    target = prelude.shape(op.results[0].type)
    name = f"tc_pair_dot_{shape.name}"
    condition = "defined(__AVX512BF16__)"
    if shape.bits < 512:
        condition += " && defined(__AVX512VL__)"

    def text() -> str:
        return _DOT_VECTOR.format(
            name=name, b=shape.bits, p=shape.prefix, f=target.c_type, condition=condition
        )

    zero = call(f"{target.prefix}_setzero_ps")
    a, b, acc = args if isinstance(op, DotAddOp) else (*args, zero)
    return call(prelude.define(name, text), a, b, acc)


@elementwise(JoinOp)
def join_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """The first number in the lower half."""
    low, high = (cast("uint32_t", x) for x in args)
    return cast("int32_t", binary(low, "|", binary(high, "<<", integer(16))))


@simd(JoinOp)
def join_simd(prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]) -> Expr | None:
    """Both as words, one of them shifted."""
    wide = prelude.shape(op.results[0].type)
    if wide.bits < 256:
        return None
    low, high = (call(f"{wide.prefix}_cvtepu16_epi32", x) for x in args)
    shifted = call(f"{wide.prefix}_slli_epi32", high, integer(16))
    return call(f"{wide.prefix}_or_{wide.whole}", low, shifted)
