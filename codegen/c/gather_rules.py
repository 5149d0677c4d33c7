"""Rules of gather and scatter: the instruction for 32 and 64 bit elements, else lane by lane."""

from __future__ import annotations

from xdsl.ir import Operation

from ...dialects.vector import GatherOp, ScatterOp
from .c_types import BYTES
from .expression import Expr, call, cast, integer
from .function import FunctionEmitter
from .lanes import pack, unpack
from .masks import mask_for
from .memory_rules import address
from .prelude import Prelude
from .registry import emits
from .vector_types import VectorShape


def _has_instruction(shape: VectorShape, offsets: VectorShape) -> bool:
    """True if lanes and offsets fill registers that one instruction takes together."""
    if not (shape.is_native and offsets.is_native) or shape.is_mask:
        return False
    return BYTES[shape.element] >= 4 and BYTES[offsets.element] >= 4


@emits(GatherOp)
def emit_gather(emitter: FunctionEmitter, op: Operation) -> None:
    """Lanes outside the mask are not read."""
    assert isinstance(op, GatherOp)
    prelude = emitter.prelude
    shape, offsets = prelude.shape(op.result.type), prelude.shape(op.offsets.type)
    prelude.shape(op.mask.type)
    base = address(emitter, op.base, list(op.indices))
    picks, mask, default = (emitter.expr(v) for v in (op.offsets, op.mask, op.pass_through))
    if not _has_instruction(shape, offsets):
        value = call(_define_lane_gather(prelude, shape, offsets), base, picks, mask, default)
        emitter.bind(op.result, Expr(value.text, value.level, reads=True))
        return
    scale = integer(BYTES[shape.element])
    wide = max(shape, offsets, key=lambda s: s.bits)
    name = f"{wide.prefix}_mask_i{8 * BYTES[offsets.element]}gather_{shape.suffix}"
    if shape.isa == "avx512" and wide.bits == 512:
        pointer = cast("const void *", base)
        value = call(name, default, mask, picks, pointer, scale)
    elif shape.isa == "avx512":
        name = name.replace("_mask_", "_mmask_")
        pointer = cast("const void *", base)
        value = call(name, default, mask, picks, pointer, scale)
    else:
        lanes = mask_for(prelude, shape, mask)
        if shape.element in ("f32", "f64"):
            lanes = call(f"{shape.prefix}_cast{shape.whole}_{shape.suffix}", lanes)
        pointer = cast("const long long *", base) if shape.element == "i64" else base
        value = call(name, default, pointer, picks, lanes, scale)
    emitter.bind(op.result, Expr(value.text, value.level, reads=True))


def _define_lane_gather(prelude: Prelude, shape: VectorShape, offsets: VectorShape) -> str:
    name = f"tc_gather_{shape.name}_{offsets.element}"

    def text() -> str:
        body = unpack(prelude, offsets, "at", "pick")
        body += unpack(prelude, shape.mask, "m", "on")
        body += unpack(prelude, shape, "v", "lane")
        source, target = "lane[l]", "lane"
        if shape.is_mask:
            body.append(f"unsigned char byte[{shape.lanes}];")
            source, target = "(unsigned char)(lane[l] != 0)", "byte"
        body.append(f"for (int l = 0; l < {shape.lanes}; ++l) {{")
        body += [f"    {target}[l] = on[l] ? p[pick[l]] : {source};", "}"]
        body += [*pack(prelude, shape, target, "result"), "return result;"]
        head = (
            f"static inline {shape.c_type} {name}(const {shape.lane_type} *p, "
            f"{offsets.c_type} at, {shape.mask.c_type} m, {shape.c_type} v)"
        )
        return f"{head}\n{{\n" + "".join(f"    {line}\n" for line in body) + "}\n"

    return prelude.define(name, text)


@emits(ScatterOp)
def emit_scatter(emitter: FunctionEmitter, op: Operation) -> None:
    """Lanes outside the mask are not written; AVX2 has no such instruction."""
    assert isinstance(op, ScatterOp)
    prelude = emitter.prelude
    shape, offsets = prelude.shape(op.value.type), prelude.shape(op.offsets.type)
    prelude.shape(op.mask.type)
    base = address(emitter, op.base, list(op.indices))
    picks, mask, value = (emitter.expr(v) for v in (op.offsets, op.mask, op.value))
    if _has_instruction(shape, offsets) and shape.isa == "avx512":
        wide = max(shape, offsets, key=lambda s: s.bits)
        name = f"{wide.prefix}_mask_i{8 * BYTES[offsets.element]}scatter_{shape.suffix}"
        pointer = cast("void *", base)
        statement = call(name, pointer, mask, picks, value, integer(BYTES[shape.element]))
    else:
        statement = call(_define_lane_scatter(prelude, shape, offsets), base, picks, mask, value)
    emitter.effect(f"{statement.text};")


def _define_lane_scatter(prelude: Prelude, shape: VectorShape, offsets: VectorShape) -> str:
    name = f"tc_scatter_{shape.name}_{offsets.element}"

    def text() -> str:
        body = unpack(prelude, offsets, "at", "pick")
        body += unpack(prelude, shape.mask, "m", "on")
        body += unpack(prelude, shape, "v", "lane")
        value = "(unsigned char)(lane[l] != 0)" if shape.is_mask else "lane[l]"
        body.append(f"for (int l = 0; l < {shape.lanes}; ++l) {{")
        body += ["    if (on[l]) {", f"        p[pick[l]] = {value};", "    }", "}"]
        head = (
            f"static inline void {name}({shape.lane_type} *p, {offsets.c_type} at, "
            f"{shape.mask.c_type} m, {shape.c_type} v)"
        )
        return f"{head}\n{{\n" + "".join(f"    {line}\n" for line in body) + "}\n"

    return prelude.define(name, text)
