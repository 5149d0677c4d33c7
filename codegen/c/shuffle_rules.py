"""Rules of vector.shuffle and vector.reverse: lanes of one or two vectors, chosen by constants."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects import vector
from xdsl.ir import Operation

from ...dialects.vector import ReverseOp
from .c_types import BYTES
from .expression import Expr, call, integer
from .function import FunctionEmitter
from .lanes import half_register, lower_half, pack, unpack
from .prelude import Prelude
from .registry import emits
from .vector_types import VectorShape


@emits(vector.ShuffleOp)
def emit_shuffle(emitter: FunctionEmitter, op: Operation) -> None:
    """Vectors of the result's type; bytes may come from vectors of other lengths."""
    assert isinstance(op, vector.ShuffleOp)
    shape, picks = emitter.prelude.shape(op.result.type), [int(k) for k in op.mask.get_values()]
    vectors = [emitter.expr(op.v1), emitter.expr(op.v2)]
    sources = [emitter.prelude.shape(value.type) for value in (op.v1, op.v2)]
    if all(_is_bytes(one) for one in (shape, *sources)):
        emitter.bind(op.result, _shuffled_bytes(emitter.prelude, shape, sources, vectors, picks))
        return
    if op.v1 is op.v2:
        picks = [pick % shape.lanes for pick in picks]
    if max(picks) < shape.lanes:
        vectors = vectors[:1]
    elif min(picks) >= shape.lanes:
        vectors, picks = vectors[1:], [pick - shape.lanes for pick in picks]
    emitter.bind(op.result, shuffled(emitter.prelude, shape, vectors, picks))


def _is_bytes(shape: VectorShape) -> bool:
    """Whether a register of 128 bits, or half of one, holds the value, byte by byte."""
    is_byte = not shape.is_mask and BYTES[shape.element] == 1
    return is_byte and (shape.is_half or (shape.is_native and shape.bits == 128))


def _shuffled_bytes(
    prelude: Prelude,
    shape: VectorShape,
    sources: Sequence[VectorShape],
    vectors: Sequence[Expr],
    picks: Sequence[int],
) -> Expr:
    """Bytes `picks` of two vectors: those of each go to their places, zeros to the others."""
    parts, start = [], 0
    for source, one in zip(sources, vectors, strict=True):
        places = [pick - start if start <= pick < start + source.lanes else -1 for pick in picks]
        start += source.lanes
        if any(place >= 0 for place in places):
            places += [-1] * (16 - len(places))
            register = call(half_register(prelude, source), one) if source.is_half else one
            numbers = call("_mm_setr_epi8", *map(integer, places))
            parts.append(call("_mm_shuffle_epi8", register, numbers))
    found = parts[0] if len(parts) == 1 else call("_mm_or_si128", *parts)
    return call(lower_half(prelude, shape), found) if shape.is_half else found


@emits(ReverseOp)
def emit_reverse(emitter: FunctionEmitter, op: Operation) -> None:
    """The last lane first."""
    assert isinstance(op, ReverseOp)
    shape, source = emitter.prelude.shape(op.result.type), emitter.expr(op.source)
    turned = range(shape.lanes - 1, -1, -1)
    emitter.bind(op.result, shuffled(emitter.prelude, shape, [source], turned))


def shuffled(
    prelude: Prelude, shape: VectorShape, vectors: Sequence[Expr], picks: Sequence[int]
) -> Expr:
    """Lanes `picks` of one vector, or of two that are counted on. 32-bit lanes of whole registers
    have instructions that cross these, 64-bit lanes of one vector too."""
    is_wide = shape.is_native and not shape.is_mask and shape.bits >= 256
    size = BYTES[shape.element] if is_wide else 0
    if size < 4 or (size > 4 and len(vectors) > 1):
        return call(_define_shuffle(prelude, shape, picks, len(vectors)), *vectors)
    if len(vectors) == 1:
        return _permuted(shape, vectors[0], picks)
    if shape.bits == 512:
        return shape.intrinsic("permutex2var", vectors[0], _lanes(shape, picks), vectors[1])
    first, second = vectors
    if shape.element == "f32" and (found := _in_turn(shape, first, second, picks)) is not None:
        return found
    low, high = (_permuted(shape, one, [p % shape.lanes for p in picks]) for one in vectors)
    from_second = sum(1 << k for k, pick in enumerate(picks) if pick >= shape.lanes)
    return shape.intrinsic("blend", low, high, integer(from_second))


def _in_turn(shape: VectorShape, a: Expr, b: Expr, picks: Sequence[int]) -> Expr | None:
    """Half of the lanes of two AVX2 registers in turn, or every second of all their lanes: shuffles
    inside the halves of registers are quicker than permutations."""
    lanes, half, picks = range(shape.lanes), shape.lanes // 2, list(picks)
    for start, halves in ((0, 0x20), (half, 0x31)):
        if picks == [start + k // 2 + k % 2 * shape.lanes for k in lanes]:
            low, high = shape.intrinsic("unpacklo", a, b), shape.intrinsic("unpackhi", a, b)
            return shape.intrinsic("permute2f128", low, high, integer(halves))
    for start, places in ((0, 0x88), (1, 0xDD)):
        if picks == [start + 2 * k for k in lanes]:
            pairs = call(
                f"{shape.prefix}_castps_pd", shape.intrinsic("shuffle", a, b, integer(places))
            )
            ordered = call(f"{shape.prefix}_permute4x64_pd", pairs, integer(0xD8))
            return call(f"{shape.prefix}_castpd_ps", ordered)
    return None


def _permuted(shape: VectorShape, source: Expr, picks: Sequence[int]) -> Expr:
    if shape.lanes == 4:
        places = integer(sum(pick << 2 * k for k, pick in enumerate(picks)))
        return shape.intrinsic("permute4x64", source, places)
    if shape.bits == 512:
        return shape.intrinsic("permutexvar", _lanes(shape, picks), source)
    return shape.intrinsic("permutevar8x32", source, _lanes(shape, picks))


def _lanes(shape: VectorShape, picks: Sequence[int]) -> Expr:
    return call(f"{shape.prefix}_setr_epi{8 * BYTES[shape.element]}", *map(integer, picks))


def _define_shuffle(prelude: Prelude, shape: VectorShape, picks: Sequence[int], count: int) -> str:
    """A function of `count` vectors that picks lane by lane; returns its name."""
    name = f"tc_shuffle_{shape.name}_{'_'.join(map(str, picks))}"
    letters = "ab"[:count]

    def text() -> str:
        body = [line for x in letters for line in unpack(prelude, shape, x, f"{x}_lane")]
        lanes = [f"{letters[p // shape.lanes]}_lane[{p % shape.lanes}]" for p in picks]
        body += [
            f"const {shape.lane_type} picked[] = {{{', '.join(lanes)}}};",
            *pack(prelude, shape, "picked", "result"),
            "return result;",
        ]
        parameters = ", ".join(f"{shape.c_type} {x}" for x in letters)
        head = f"static inline {shape.c_type} {name}({parameters})"
        return f"{head}\n{{\n" + "".join(f"    {line}\n" for line in body) + "}\n"

    return prelude.define(name, text)
