"""Rules of vector ops that make or take apart lanes: broadcast, masks, step, extract, insert."""

from __future__ import annotations

from xdsl.dialects import vector
from xdsl.dialects.builtin import IndexType, VectorType
from xdsl.ir import Operation

from ...dialects.constants import splat_value
from ...dialects.errors import LoweringError
from ...dialects.vector import ConstantMaskOp, StepOp
from .constants import splat
from .expression import UNARY, Expr, call, cast
from .function import FunctionEmitter
from .lanes import pack, unpack
from .late_reads import late_constant
from .prelude import Prelude
from .registry import emits
from .vector_types import VectorShape


@emits(vector.BroadcastOp)
def emit_broadcast(emitter: FunctionEmitter, op: Operation) -> None:
    """Every lane equal; a literal is repeated wherever used."""
    assert isinstance(op, vector.BroadcastOp)
    if isinstance(op.source.type, VectorType):
        raise LoweringError(f"vector.broadcast: expected a scalar, got {op.source.type}")
    shape = emitter.prelude.shape(op.vector.type)
    scalar = emitter.expr(op.source)
    # An i64 literal is a macro call, INT64_C(0): ask the IR, not the text.
    number = splat_value(op.source)
    late = late_constant(emitter.prelude, op, number, shape) if number else None
    if late is not None:
        emitter.bind(op.vector, splat(shape, emitter.prelude, late))
        return
    literal = number is not None
    literal |= scalar.is_atom and scalar.text[0] in "-0123456789"
    if isinstance(op.source.type, IndexType) and scalar.value is None:
        scalar = cast("int32_t", scalar)
    value = splat(shape, emitter.prelude, scalar)
    if literal or scalar.text in ("true", "false"):
        emitter.set(op.vector, value)
    else:
        emitter.bind(op.vector, Expr(value.text, value.level, scalar.reads))


@emits(StepOp)
def emit_step(emitter: FunctionEmitter, op: Operation) -> None:
    """0, 1, 2, ..."""
    assert isinstance(op, StepOp)
    shape = emitter.prelude.shape(op.result.type)
    items = ", ".join(str(lane) for lane in range(shape.lanes))
    if shape.is_native:
        emitter.bind(op.result, Expr(f"{shape.prefix}_setr_epi32({items})"))
    else:
        emitter.bind(op.result, Expr(shape.literal(items)))


@emits(ConstantMaskOp)
def emit_constant_mask(emitter: FunctionEmitter, op: Operation) -> None:
    """The first `count` lanes."""
    assert isinstance(op, ConstantMaskOp)
    shape = emitter.prelude.shape(op.result.type)
    count = op.count.data
    if shape.is_native and shape.isa == "avx512":
        bits = (1 << count) - 1
        suffix = "ull" if bits >> 31 else ""
        emitter.set(op.result, Expr(f"({shape.c_type})0x{bits:x}{suffix}", UNARY))
    else:
        name = _define_first_lanes(emitter.prelude, shape)
        emitter.bind(op.result, call(name, Expr(str(count))))


@emits(vector.CreateMaskOp)
def emit_create_mask(emitter: FunctionEmitter, op: Operation) -> None:
    """The first n lanes; none for n <= 0, all for n >= lanes."""
    assert isinstance(op, vector.CreateMaskOp)
    shape = emitter.prelude.shape(op.mask_vector.type)
    (count,) = op.mask_dim_sizes
    name = _define_first_lanes(emitter.prelude, shape)
    emitter.bind(op.mask_vector, call(name, emitter.expr(count)))


def _define_first_lanes(prelude: Prelude, shape: VectorShape) -> str:
    name = f"tc_first_{shape.lanes}"
    head = f"static inline {shape.c_type} {name}(int64_t n)"
    lanes = shape.lanes

    def text() -> str:
        if shape.is_native and shape.isa == "avx512":
            every = f"UINT64_C(0x{shape.all_set:x})"
            body = [
                f"const uint64_t bits = n >= {lanes} ? {every} : n <= 0 ? 0 : "
                f"(UINT64_C(1) << n) - 1;",
                f"return ({shape.c_type})bits;",
            ]
        elif shape.is_native and shape.mask_lane_bits == 32:
            steps = ", ".join(str(lane) for lane in range(lanes))
            body = [
                f"const int32_t count = n >= {lanes} ? {lanes} : n <= 0 ? 0 : (int32_t)n;",
                f"return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32({steps}));",
            ]
        elif shape.is_native and lanes == 4 and shape.mask_lane_bits == 64:
            steps = ", ".join(str(lane) for lane in range(lanes))
            body = [
                f"return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x({steps}));"
            ]
        else:
            body = [f"unsigned char lane[{lanes}];", f"for (int l = 0; l < {lanes}; ++l) {{"]
            body += ["    lane[l] = (unsigned char)(l < n);", "}"]
            body += [*pack(prelude, shape, "lane", "mask"), "return mask;"]
        return f"{head}\n{{\n" + "".join(f"    {line}\n" for line in body) + "}\n"

    return prelude.define(name, text)


@emits(vector.ExtractOp)
def emit_extract(emitter: FunctionEmitter, op: Operation) -> None:
    """One lane."""
    assert isinstance(op, vector.ExtractOp)
    prelude = emitter.prelude
    shape = prelude.shape(op.vector.type)
    name = f"tc_lane_{shape.name}"

    def text() -> str:
        lines = unpack(prelude, shape, "v", "lane")
        lines.append("return lane[n] != 0;" if shape.is_mask else "return lane[n];")
        result = "bool" if shape.is_mask else shape.lane_type
        head = f"static inline {result} {name}({shape.c_type} v, int64_t n)"
        return f"{head}\n{{\n" + "".join(f"    {line}\n" for line in lines) + "}\n"

    if shape.is_mask:
        prelude.include("<stdbool.h>")
    prelude.define(name, text)
    emitter.bind(op.result, call(name, emitter.expr(op.vector), _position(emitter, op)))


@emits(vector.InsertOp)
def emit_insert(emitter: FunctionEmitter, op: Operation) -> None:
    """One lane replaced."""
    assert isinstance(op, vector.InsertOp)
    prelude = emitter.prelude
    shape = prelude.shape(op.dest.type)
    if shape.is_mask:
        raise LoweringError("vector.insert into a mask has no C emission rule")
    name = f"tc_insert_{shape.name}"

    def text() -> str:
        body = [*unpack(prelude, shape, "v", "lane"), "lane[l] = x;"]
        body += [*pack(prelude, shape, "lane", "result"), "return result;"]
        head = (
            f"static inline {shape.c_type} {name}({shape.lane_type} x, {shape.c_type} v, int64_t l)"
        )
        return f"{head}\n{{\n" + "".join(f"    {line}\n" for line in body) + "}\n"

    prelude.define(name, text)
    arguments = (emitter.expr(op.source), emitter.expr(op.dest), _position(emitter, op))
    emitter.bind(op.result, call(name, *arguments))


def _position(emitter: FunctionEmitter, op: vector.ExtractOp | vector.InsertOp) -> Expr:
    (position,) = op.get_mixed_position()
    return Expr(str(position)) if isinstance(position, int) else emitter.expr(position)
