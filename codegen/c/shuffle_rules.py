"""Rule of vector.shuffle: lanes of one or two registers, chosen by constants."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects import vector
from xdsl.ir import Operation

from .c_types import BYTES
from .expression import Expr, call, integer
from .function import FunctionEmitter
from .lanes import pack, unpack
from .prelude import Prelude
from .registry import emits
from .vector_types import VectorShape


@emits(vector.ShuffleOp)
def emit_shuffle(emitter: FunctionEmitter, op: Operation) -> None:
    """Vectors of the result's type; 32-bit lanes of whole registers have instructions."""
    assert isinstance(op, vector.ShuffleOp)
    prelude = emitter.prelude
    shape, picks = prelude.shape(op.result.type), [int(k) for k in op.mask.get_values()]
    a, b = emitter.expr(op.v1), emitter.expr(op.v2)
    if not shape.is_native or shape.is_mask or BYTES[shape.element] != 4 or shape.bits < 256:
        emitter.bind(op.result, call(_define_shuffle(prelude, shape, picks), a, b))
    elif op.v1 is op.v2 or max(picks) < shape.lanes:
        emitter.bind(op.result, _permuted(shape, a, picks))
    elif shape.bits == 512:
        emitter.bind(op.result, shape.intrinsic("permutex2var", a, _lanes(shape, picks), b))
    else:
        low, high = _permuted(shape, a, picks), _permuted(shape, b, picks)
        from_b = sum(1 << k for k, pick in enumerate(picks) if pick >= shape.lanes)
        emitter.bind(op.result, shape.intrinsic("blend", low, high, integer(from_b)))


def _permuted(shape: VectorShape, source: Expr, picks: Sequence[int]) -> Expr:
    """Lanes `picks`, counted from the start of `source` again where they are of a second vector."""
    lanes = _lanes(shape, [pick % shape.lanes for pick in picks])
    if shape.bits == 512:
        return shape.intrinsic("permutexvar", lanes, source)
    return shape.intrinsic("permutevar8x32", source, lanes)


def _lanes(shape: VectorShape, picks: Sequence[int]) -> Expr:
    return call(f"{shape.prefix}_setr_epi32", *map(integer, picks))


def _define_shuffle(prelude: Prelude, shape: VectorShape, picks: Sequence[int]) -> str:
    name = f"tc_shuffle_{shape.name}_{'_'.join(map(str, picks))}"

    def text() -> str:
        sources = [f"lane[{p}]" if p < shape.lanes else f"next[{p - shape.lanes}]" for p in picks]
        body = [
            *unpack(prelude, shape, "a", "lane"),
            *unpack(prelude, shape, "b", "next"),
            f"const {shape.lane_type} picked[] = {{{', '.join(sources)}}};",
            *pack(prelude, shape, "picked", "result"),
            "return result;",
        ]
        head = f"static inline {shape.c_type} {name}({shape.c_type} a, {shape.c_type} b)"
        return f"{head}\n{{\n" + "".join(f"    {line}\n" for line in body) + "}\n"

    return prelude.define(name, text)
