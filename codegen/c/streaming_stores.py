"""Non-temporal stores, and the fence that orders them before what other threads read."""

from __future__ import annotations

from xdsl.dialects import scf, vector
from xdsl.ir import Operation

from .expression import Expr, call, cast
from .prelude import Prelude
from .vector_types import VectorShape

FENCE = "_mm_sfence();"


def is_streaming(op: Operation) -> bool:
    """Whether `op` is a store marked as non-temporal."""
    if not isinstance(op, vector.StoreOp) or op.nontemporal is None:
        return False
    return bool(op.nontemporal.value.data)


def streams(op: Operation) -> bool:
    """Whether there are non-temporal stores under `op`."""
    return any(is_streaming(inner) for inner in op.walk())


def streams_alone(op: Operation) -> bool:
    """Whether `op` has non-temporal stores outside of the parallel loops in it."""
    if isinstance(op, scf.ParallelOp):
        return False
    inner = [i for region in op.regions for block in region.blocks for i in block.ops]
    return is_streaming(op) or any(streams_alone(i) for i in inner)


def streaming_store(prelude: Prelude, shape: VectorShape, at: Expr, value: Expr) -> Expr:
    """A store around the caches where the address is aligned, else a plain one."""
    name = f"tc_stream_{shape.name}"

    def text() -> str:
        pointer = Expr("p")
        plain = shape.intrinsic("storeu", pointer, Expr("v"))
        stream = shape.intrinsic("stream", pointer, Expr("v"))
        if shape.element not in ("f32", "f64"):
            whole = cast("void *", pointer)
            plain = call(f"{shape.prefix}_storeu_{shape.whole}", whole, Expr("v"))
            stream = call(f"{shape.prefix}_stream_{shape.whole}", whole, Expr("v"))
        return (
            f"static inline void {name}({shape.lane_type} *p, {shape.c_type} v)\n{{\n"
            f"    if (((uintptr_t)p & {shape.bits // 8 - 1}) == 0) {{\n"
            f"        {stream.text};\n    }} else {{\n        {plain.text};\n    }}\n}}\n"
        )

    return call(prelude.define(name, text), at, value)
