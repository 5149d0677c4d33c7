"""Rules of scalar and vector access to row-major memrefs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from xdsl.dialects import memref, vector
from xdsl.dialects.builtin import MemRefType
from xdsl.ir import Operation, SSAValue

from ...dialects.constants import splat_value
from ...dialects.errors import LoweringError
from ...dialects.memory import ApartOp
from ...dialects.vector import PrefetchOp
from .c_types import element_name, row_major_strides, storage_type
from .compare_rules import blend
from .expression import Expr, add, binary, call, cast, integer, multiply
from .function import FunctionEmitter
from .lanes import pack, unpack
from .late_reads import late_load
from .masks import bytes_to_mask, mask_for, mask_to_bytes
from .prelude import Prelude
from .registry import emits
from .streaming_stores import is_streaming, streaming_store
from .vector_types import VectorShape


def offset(emitter: FunctionEmitter, base: SSAValue, indices: Sequence[SSAValue]) -> Expr:
    """The flat element index, constant strides folded.

    Constants come last: neighbouring rows then differ in what an instruction adds for free, where
    compilers would keep a pointer to each of them.
    """
    assert isinstance(base.type, MemRefType)
    flat, constant = integer(0), 0
    for index, stride in zip(indices, row_major_strides(base.type), strict=True):
        name, addend = emitter.displaced(index)
        flat = add(flat, multiply(name, integer(stride)))
        constant += addend * stride
    return add(flat, integer(constant))


def element(emitter: FunctionEmitter, base: SSAValue, indices: Sequence[SSAValue]) -> Expr:
    """base[offset] as an lvalue; base[i][j] where arrays are nested."""
    if emitter.nested and len(indices) > 1:
        subscripts = "".join(f"[{emitter.expr(index).text}]" for index in indices)
        return Expr(f"{emitter.expr(base).text}{subscripts}", reads=True)
    at = offset(emitter, base, indices)
    return Expr(f"{emitter.expr(base).text}[{at.text}]", reads=True)


def address(emitter: FunctionEmitter, base: SSAValue, indices: Sequence[SSAValue]) -> Expr:
    """&base[offset]; an address reads memory only if the offset does."""
    if emitter.nested:
        raise LoweringError("nested arrays have no rule for vector accesses; emit them flat")
    at = offset(emitter, base, indices)
    pointer = emitter.expr(base)
    if at.value == 0:
        return pointer
    return Expr(f"&{pointer.text}[{at.text}]", 8, at.reads)


def is_bool(base: SSAValue) -> bool:
    """True for memrefs of i1, which are bytes in memory."""
    assert isinstance(base.type, MemRefType)
    return element_name(base.type.get_element_type()) == "i1"


@emits(memref.ReinterpretCastOp)
def emit_reinterpret_cast(emitter: FunctionEmitter, op: Operation) -> None:
    """Another shape of a whole row-major array: the same pointer."""
    assert isinstance(op, memref.ReinterpretCastOp)
    source, result = op.source.type, op.result.type
    assert isinstance(source, MemRefType)
    assert isinstance(result, MemRefType)
    if math.prod(source.get_shape()) != math.prod(result.get_shape()):
        raise LoweringError(f"{op.name}: expected the whole array, found {source} as {result}")
    emitter.set(op.result, emitter.expr(op.source))


@emits(ApartOp)
def emit_apart(emitter: FunctionEmitter, op: Operation) -> None:
    """Two pointers compared; `restrict` allows that, as long as only one of them is used."""
    assert isinstance(op, ApartOp)
    a, b = (cast("const void *", emitter.expr(array)) for array in (op.a, op.b))
    emitter.bind(op.result, binary(a, "!=", b))


@emits(memref.LoadOp)
def emit_load(emitter: FunctionEmitter, op: Operation) -> None:
    """One element."""
    assert isinstance(op, memref.LoadOp)
    value = element(emitter, op.memref, op.indices)
    emitter.bind(op.res, binary(value, "!=", integer(0)) if is_bool(op.memref) else value)


@emits(memref.StoreOp)
def emit_store(emitter: FunctionEmitter, op: Operation) -> None:
    """One element."""
    assert isinstance(op, memref.StoreOp)
    target = element(emitter, op.memref, op.indices)
    value = emitter.expr(op.value)
    text = cast("unsigned char", value).text if is_bool(op.memref) else value.text
    emitter.effect(f"{target.text} = {text};")


@emits(memref.AllocaOp)
def emit_alloca(emitter: FunctionEmitter, op: Operation) -> None:
    """A local array, aligned to a cache line where vectors access it."""
    assert isinstance(op, memref.AllocaOp)
    type = op.memref.type
    if op.dynamic_sizes:
        raise LoweringError(f"memref.alloca: expected a static size, got {type}")
    size = math.prod(type.get_shape())
    if not op.memref.uses:
        return
    name = emitter.declare(op.memref)
    ctype = storage_type(type.get_element_type())
    # Scalar code stays within C99, which has no _Alignas; only vector accesses need it.
    aligned = "" if emitter.prelude.isa == "scalar" else "_Alignas(64) "
    extents = f"[{max(1, size)}]"
    if emitter.nested and size and type.get_shape():
        extents = "".join(f"[{n}]" for n in type.get_shape())
    emitter.line(f"{aligned}{ctype} {name}{extents};")


@emits(memref.CastOp)
def emit_cast(emitter: FunctionEmitter, op: Operation) -> None:
    """The same pointer."""
    assert isinstance(op, memref.CastOp)
    emitter.set(op.dest, emitter.expr(op.source))


@emits(vector.LoadOp)
def emit_vector_load(emitter: FunctionEmitter, op: Operation) -> None:
    """Consecutive elements, unaligned."""
    assert isinstance(op, vector.LoadOp)
    shape = emitter.prelude.shape(op.result.type)
    at = address(emitter, op.base, op.indices)
    value = late_load(emitter.prelude, op, shape, at) or _load(emitter.prelude, shape, at)
    emitter.bind(op.result, Expr(value.text, value.level, reads=True))


def _load(prelude: Prelude, shape: VectorShape, at: Expr) -> Expr:
    if shape.is_mask or not shape.is_native:
        return call(_define_lane_load(prelude, shape), at)
    if shape.element in ("f32", "f64"):
        return shape.intrinsic("loadu", at)
    return call(f"{shape.prefix}_loadu_{shape.whole}", cast("const void *", at))


def _define_lane_load(prelude: Prelude, shape: VectorShape) -> str:
    """Bytes to a mask (the register form where there is one), or elements to a struct."""
    name = f"tc_load_{shape.name}"

    def text() -> str:
        prelude.include("<string.h>")
        if not shape.is_mask or not shape.is_native:
            body = [f"{shape.c_type} v;", "memcpy(&v, p, sizeof v);", "return v;"]
        else:
            body = bytes_to_mask(shape)
        lines = "".join(f"    {line}\n" for line in body)
        head = f"static inline {shape.c_type} {name}(const {shape.lane_type} *p)"
        return f"{head}\n{{\n{lines}}}\n"

    return prelude.define(name, text)


@emits(vector.StoreOp)
def emit_vector_store(emitter: FunctionEmitter, op: Operation) -> None:
    """Consecutive elements, unaligned."""
    assert isinstance(op, vector.StoreOp)
    shape = emitter.prelude.shape(op.vector.type)
    at = address(emitter, op.base, op.indices)
    value = emitter.expr(op.vector)
    if shape.is_mask or not shape.is_native:
        statement = call(_define_lane_store(emitter.prelude, shape), at, value)
    elif is_streaming(op):
        statement = streaming_store(emitter.prelude, shape, at, value)
    elif shape.element in ("f32", "f64"):
        statement = shape.intrinsic("storeu", at, value)
    else:
        statement = call(f"{shape.prefix}_storeu_{shape.whole}", cast("void *", at), value)
    emitter.effect(f"{statement.text};")


def _define_lane_store(prelude: Prelude, shape: VectorShape) -> str:
    name = f"tc_store_{shape.name}"

    def text() -> str:
        prelude.include("<string.h>")
        if not shape.is_mask or not shape.is_native:
            body = ["memcpy(p, &v, sizeof v);"]
        else:
            body = mask_to_bytes(shape)
        lines = "".join(f"    {line}\n" for line in body)
        head = f"static inline void {name}({shape.lane_type} *p, {shape.c_type} v)"
        return f"{head}\n{{\n{lines}}}\n"

    return prelude.define(name, text)


def _has_masked_access(shape: VectorShape) -> bool:
    if not shape.is_native or shape.is_mask:
        return False
    return shape.isa == "avx512" or shape.element in ("f32", "f64", "i32", "i64")


@emits(vector.MaskedLoadOp)
def emit_masked_load(emitter: FunctionEmitter, op: Operation) -> None:
    """Lanes outside the mask are not read."""
    assert isinstance(op, vector.MaskedLoadOp)
    prelude = emitter.prelude
    shape = prelude.shape(op.result.type)
    prelude.shape(op.mask.type)
    at = address(emitter, op.base, op.indices)
    mask, default = emitter.expr(op.mask), emitter.expr(op.pass_thru)
    zero = splat_value(op.pass_thru) == 0
    if not _has_masked_access(shape):
        value = call(_define_lane_masked_load(prelude, shape), at, mask, default)
    elif shape.isa == "avx512":
        source = at if shape.element in ("f32", "f64") else cast("const void *", at)
        if zero:
            value = shape.intrinsic("maskz_loadu", mask, source)
        else:
            value = shape.intrinsic("mask_loadu", default, mask, source)
    else:
        lanes = mask_for(prelude, shape, mask)
        # The instruction wants `long long *`, which int64_t need not be.
        source = cast("const long long *", at) if shape.element == "i64" else at
        value = shape.intrinsic("maskload", source, lanes)
        if not zero:
            value = blend(prelude, shape, mask, value, default)
    emitter.bind(op.result, Expr(value.text, value.level, reads=True))


def _define_lane_masked_load(prelude: Prelude, shape: VectorShape) -> str:
    name = f"tc_masked_load_{shape.name}"

    def text() -> str:
        body = unpack(prelude, shape.mask, "m", "on")
        body += unpack(prelude, shape, "v", "lane")
        if shape.is_mask:
            body += [f"unsigned char byte[{shape.lanes}];"]
        target = "byte" if shape.is_mask else "lane"
        other = "(unsigned char)(lane[l] != 0)" if shape.is_mask else "lane[l]"
        body.append(f"for (int l = 0; l < {shape.lanes}; ++l) {{")
        body += [f"    {target}[l] = on[l] ? p[l] : {other};", "}"]
        body += [*pack(prelude, shape, target, "result"), "return result;"]
        lines = "".join(f"    {line}\n" for line in body)
        head = (
            f"static inline {shape.c_type} {name}(const {shape.lane_type} *p, "
            f"{shape.mask.c_type} m, {shape.c_type} v)"
        )
        return f"{head}\n{{\n{lines}}}\n"

    return prelude.define(name, text)


@emits(vector.MaskedStoreOp)
def emit_masked_store(emitter: FunctionEmitter, op: Operation) -> None:
    """Lanes outside the mask are not written."""
    assert isinstance(op, vector.MaskedStoreOp)
    prelude = emitter.prelude
    shape = prelude.shape(op.value_to_store.type)
    prelude.shape(op.mask.type)
    at = address(emitter, op.base, op.indices)
    mask, value = emitter.expr(op.mask), emitter.expr(op.value_to_store)
    if not _has_masked_access(shape):
        statement = call(_define_lane_masked_store(prelude, shape), at, mask, value)
    elif shape.isa == "avx512":
        target = at if shape.element in ("f32", "f64") else cast("void *", at)
        statement = shape.intrinsic("mask_storeu", target, mask, value)
    else:
        target = cast("long long *", at) if shape.element == "i64" else at
        statement = shape.intrinsic("maskstore", target, mask_for(prelude, shape, mask), value)
    emitter.effect(f"{statement.text};")


@emits(PrefetchOp)
def emit_prefetch(emitter: FunctionEmitter, op: Operation) -> None:
    """An x86 instruction; nothing elsewhere."""
    assert isinstance(op, PrefetchOp)
    if emitter.prelude.isa not in ("avx2", "avx512"):
        return
    emitter.prelude.include("<immintrin.h>")
    at = cast("const char *", address(emitter, op.base, list(op.indices)))
    emitter.line(f"{call('_mm_prefetch', at, Expr('_MM_HINT_T0')).text};")


def _define_lane_masked_store(prelude: Prelude, shape: VectorShape) -> str:
    name = f"tc_masked_store_{shape.name}"

    def text() -> str:
        body = unpack(prelude, shape.mask, "m", "on")
        body += unpack(prelude, shape, "v", "lane")
        value = "(unsigned char)(lane[l] != 0)" if shape.is_mask else "lane[l]"
        body.append(f"for (int l = 0; l < {shape.lanes}; ++l) {{")
        body += ["    if (on[l]) {", f"        p[l] = {value};", "    }", "}"]
        lines = "".join(f"    {line}\n" for line in body)
        head = (
            f"static inline void {name}({shape.lane_type} *p, {shape.mask.c_type} m, "
            f"{shape.c_type} v)"
        )
        return f"{head}\n{{\n{lines}}}\n"

    return prelude.define(name, text)
