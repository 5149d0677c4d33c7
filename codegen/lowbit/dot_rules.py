"""Rules of products of bytes.

`quant.dot` is VNNI where the C compiler may use it, else multiply-adds of 16-bit pairs;
`quant.pair_dot` and `quant.add_pairs` are what machines without VNNI have instead of it, and
`quant.add_odd_bytes` sums bytes that were looked up.
"""

from __future__ import annotations

from xdsl.ir import Operation

from ...dialects.quant.ops import PAIR_BITS, AddOddBytesOp, AddPairsOp, DotOp, PairDotOp
from ..c.expression import Expr, call, integer
from ..c.function import FunctionEmitter
from ..c.lanes import emit_elementwise
from ..c.prelude import Prelude
from ..c.registry import LANES, elementwise, emits, simd
from ..c.vector_types import VectorShape


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
    is_safe = op.bits.data <= PAIR_BITS
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


@elementwise(PairDotOp, repeats=True)
def pair_dot_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """Bytes 0 and 1 to the low half, 2 and 3 to the high one."""

    def text() -> str:
        products = [
            f"((uint32_t)codes >> {8 * j} & 255) * (uint32_t)(int8_t)((uint32_t)values >> {8 * j})"
            for j in range(4)
        ]
        return f"""\
static inline int32_t tc_pair_dot(int32_t codes, int32_t values, int32_t acc)
{{
    const uint32_t low = (uint32_t)acc + {products[0]}
        + {products[1]};
    const uint32_t high = ((uint32_t)acc >> 16) + {products[2]}
        + {products[3]};
    return (int32_t)((low & 0xffff) | high << 16);
}}
"""

    return call(prelude.define("tc_pair_dot", text), *_with_acc(args, 3))


@elementwise(AddPairsOp, repeats=True)
def add_pairs_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """Both halves, signed."""
    assert isinstance(op, AddPairsOp)

    def text() -> str:
        return """\
static inline int32_t tc_add_pairs(int32_t pairs, int32_t acc, int32_t factor)
{
    return acc + factor * ((int16_t)pairs + (int16_t)((uint32_t)pairs >> 16));
}
"""

    name = prelude.define("tc_add_pairs", text)
    return call(name, *_with_acc(args, 2), integer(op.factor.data))


@elementwise(AddOddBytesOp, repeats=True)
def add_odd_bytes_lane(prelude: Prelude, op: Operation, args: list[Expr]) -> Expr:
    """Both halves."""

    def text() -> str:
        return """\
static inline int32_t tc_add_odd_bytes(int32_t bytes, int32_t acc)
{
    const uint32_t low = (uint32_t)acc + ((uint32_t)bytes >> 8 & 255);
    const uint32_t high = ((uint32_t)acc >> 16) + ((uint32_t)bytes >> 24);
    return (int32_t)((low & 0xffff) | high << 16);
}
"""

    return call(prelude.define("tc_add_odd_bytes", text), *args)


def _with_acc(args: list[Expr], count: int) -> list[Expr]:
    """`args`, a zero for the accumulator that is not given."""
    return args if len(args) == count else [*args, integer(0)]


@simd(PairDotOp)
def pair_dot_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """vpmaddubsw, whose sums of two do not saturate, and vpaddw."""
    if shape.bits not in (256, 512):
        return None
    return _multiply_add(prelude, "tc_pair_dot", shape, "vpmaddubsw", "vpaddw", args)


@simd(AddPairsOp)
def add_pairs_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """vpmaddwd and vpaddd."""
    assert isinstance(op, AddPairsOp)
    if shape.bits not in (256, 512):
        return None
    pairs, *acc = args
    factors = call(f"{shape.prefix}_set1_epi16", integer(op.factor.data))
    factors_args = [pairs, factors, *acc]
    return _multiply_add(prelude, "tc_add_pairs", shape, "vpmaddwd", "vpaddd", factors_args)


@simd(AddOddBytesOp)
def add_odd_bytes_simd(
    prelude: Prelude, op: Operation, shape: VectorShape, args: list[Expr]
) -> Expr | None:
    """vpmaddubsw by 0 and 1, as shifts run where lookups do, and vpaddw, in order as below. The sum
    stays in its register: where it may not, each costs a copy."""
    if shape.bits not in (256, 512):
        return None
    vector, register = shape.c_type, "v" if shape.bits == 512 else "x"
    name = f"tc_add_odd_bytes_{shape.name}"

    def text() -> str:
        return f"""\
static inline {vector} {name}({vector} bytes, {vector} acc)
{{
    const {vector} factors = {shape.prefix}_set1_epi16(256);
    {vector} odd;
    __asm__("vpmaddubsw %3, %2, %1\\n\\tvpaddw %1, %0, %0" : "+{register}"(acc), "=&{register}"(odd)
            : "{register}"(bytes), "{register}m"(factors));
    return acc;
}}
"""

    return call(prelude.define(name, text), *args)


@emits(PairDotOp, AddPairsOp, AddOddBytesOp)
def emit_in_order(emitter: FunctionEmitter, op: Operation) -> None:
    """A statement of its own: products wait in no register for the sum they belong to."""
    emit_elementwise(emitter, op, LANES[type(op)])
    emitter.atom(op.results[0])


def _multiply_add(
    prelude: Prelude, name: str, shape: VectorShape, multiply: str, add: str, args: list[Expr]
) -> Expr:
    """As inline assembly: gcc 12 moves the sums of a chain behind all of its products, which do not
    fit the registers."""
    vector, register = shape.c_type, "v" if shape.bits == 512 else "x"
    name = f"{name}_{shape.name}"
    acc, lines, place = "", f"{multiply} %2, %1, %0", f'"={register}"(result)'
    inputs = f'"{register}"(a), "{register}m"(b)'
    if len(args) == 3:
        name, acc = f"{name}_add", f", {vector} acc"
        lines, place = f"{lines}\\n\\t{add} %3, %0, %0", place.replace("=", "=&")
        inputs += f', "{register}m"(acc)'

    def text() -> str:
        return f"""\
static inline {vector} {name}({vector} a, {vector} b{acc})
{{
    {vector} result;
    __asm__("{lines}" : {place} : {inputs});
    return result;
}}
"""

    return call(prelude.define(name, text), *args)
