"""Rule of vector.reverse: one permutation of a register, else lane by lane."""

from __future__ import annotations

from xdsl.ir import Operation

from ...dialects.vector import ReverseOp
from .c_types import BYTES
from .expression import Expr, call, integer
from .function import FunctionEmitter
from .lanes import pack, unpack
from .prelude import Prelude
from .registry import emits
from .vector_types import VectorShape

FLIP_4 = 0b00_01_10_11  # lanes 3, 2, 1, 0


@emits(ReverseOp)
def emit_reverse(emitter: FunctionEmitter, op: Operation) -> None:
    """Lanes of 32 and 64 bits have instructions that cross a whole register."""
    assert isinstance(op, ReverseOp)
    shape = emitter.prelude.shape(op.result.type)
    source = emitter.expr(op.source)
    if shape.is_native and not shape.is_mask and BYTES[shape.element] >= 4 and shape.bits >= 256:
        emitter.bind(op.result, _permutation(shape, source))
    else:
        emitter.bind(op.result, call(_define_reverse(emitter.prelude, shape), source))


def _permutation(shape: VectorShape, source: Expr) -> Expr:
    if shape.lanes == 4:
        return shape.intrinsic("permute4x64", source, integer(FLIP_4))
    bits = 8 * BYTES[shape.element]
    lanes = call(f"{shape.prefix}_set_epi{bits}", *(integer(k) for k in range(shape.lanes)))
    if shape.bits == 512:
        return shape.intrinsic("permutexvar", lanes, source)
    return shape.intrinsic("permutevar8x32", source, lanes)


def _define_reverse(prelude: Prelude, shape: VectorShape) -> str:
    name = f"tc_reverse_{shape.name}"

    def text() -> str:
        body = unpack(prelude, shape, "v", "lane")
        body += [
            f"{shape.lane_type} turned[{shape.lanes}];",
            f"for (int l = 0; l < {shape.lanes}; ++l) {{",
            f"    turned[l] = ({shape.lane_type})lane[{shape.lanes - 1} - l];",
            "}",
            *pack(prelude, shape, "turned", "result"),
            "return result;",
        ]
        head = f"static inline {shape.c_type} {name}({shape.c_type} v)"
        return f"{head}\n{{\n" + "".join(f"    {line}\n" for line in body) + "}\n"

    return prelude.define(name, text)
