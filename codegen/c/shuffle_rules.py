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
    vectors = [emitter.expr(op.v1), emitter.expr(op.v2)]
    if op.v1 is op.v2:
        picks = [pick % shape.lanes for pick in picks]
    if max(picks) < shape.lanes:
        vectors = vectors[:1]
    elif min(picks) >= shape.lanes:
        vectors, picks = vectors[1:], [pick - shape.lanes for pick in picks]
    if not shape.is_native or shape.is_mask or BYTES[shape.element] != 4 or shape.bits < 256:
        name = _define_shuffle(prelude, shape, picks, len(vectors))
        emitter.bind(op.result, call(name, *vectors))
    elif len(vectors) == 1:
        emitter.bind(op.result, _permuted(shape, vectors[0], picks))
    elif shape.bits == 512:
        first, second = vectors
        emitter.bind(
            op.result, shape.intrinsic("permutex2var", first, _lanes(shape, picks), second)
        )
    else:
        low, high = (_permuted(shape, vector, picks) for vector in vectors)
        from_second = sum(1 << k for k, pick in enumerate(picks) if pick >= shape.lanes)
        emitter.bind(op.result, shape.intrinsic("blend", low, high, integer(from_second)))


def _permuted(shape: VectorShape, source: Expr, picks: Sequence[int]) -> Expr:
    """Lanes `picks`, counted from the start of `source` again where they are of a second vector."""
    lanes = _lanes(shape, [pick % shape.lanes for pick in picks])
    if shape.bits == 512:
        return shape.intrinsic("permutexvar", lanes, source)
    return shape.intrinsic("permutevar8x32", source, lanes)


def _lanes(shape: VectorShape, picks: Sequence[int]) -> Expr:
    return call(f"{shape.prefix}_setr_epi32", *map(integer, picks))


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
