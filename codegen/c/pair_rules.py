"""Rules of the `pair` dialect: vdpbf16ps where the C compiler may use it, else both halves of each
word as f32 and two multiply-adds.
"""

from __future__ import annotations

from xdsl.ir import Operation

from ...dialects.errors import LoweringError
from ...dialects.pairs import DotAddOp, DotOp, JoinOp, NarrowOp, RoundOp
from .expression import Expr, binary, call, cast, integer
from .float_width_rules import define_round_bf16
from .function import FunctionEmitter
from .prelude import Prelude
from .registry import elementwise, emits, simd
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
_ROUND_PAIRS = """\
static inline __m512i {name}(__m512 first, __m512 second)
{{
#if defined(__AVX512BF16__)
    return (__m512i)_mm512_cvtne2ps_pbh(second, first);
#else
    const __m512i low = _mm512_castsi256_si512({round}(first));
    return _mm512_inserti64x4(low, {round}(second), 1);
#endif
}}
"""
_NARROW = """\
static inline __m256i {name}(__m512 x)
{{
#if defined(__AVX512BF16__)
    return (__m256i)_mm512_cvtneps_pbh(x);
#else
    return {round}(x);
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


def _whole_register(emitter: FunctionEmitter, op: Operation) -> VectorShape:
    """The shape of the first operand of `op`, which has to fill a register of AVX-512."""
    type = op.operands[0].type
    shape = emitter.prelude.shape(type)
    if shape.isa != "avx512" or shape.bits != 512:
        raise LoweringError(f"{op.name}: expected vectors of 512 bits, found {type}")
    return shape


@emits(RoundOp)
def emit_round(emitter: FunctionEmitter, op: Operation) -> None:
    """One instruction with AVX512-BF16, else both vectors rounded one by one; whole registers of
    AVX-512 only, on whose machines the op is made."""
    assert isinstance(op, RoundOp)
    prelude, shape = emitter.prelude, _whole_register(emitter, op)
    name = f"tc_round_pairs_{shape.name}"
    text = _ROUND_PAIRS.format(name=name, round=define_round_bf16(prelude, shape))
    rounded = call(prelude.define(name, lambda: text), *map(emitter.expr, op.operands))
    emitter.bind(op.result, rounded)


@emits(NarrowOp)
def emit_narrow(emitter: FunctionEmitter, op: Operation) -> None:
    """One instruction with AVX512-BF16; whole registers of AVX-512 only, as above."""
    assert isinstance(op, NarrowOp)
    prelude, shape = emitter.prelude, _whole_register(emitter, op)
    name = f"tc_narrow_{shape.name}"
    text = _NARROW.format(name=name, round=define_round_bf16(prelude, shape))
    emitter.bind(op.result, call(prelude.define(name, lambda: text), emitter.expr(op.source)))
