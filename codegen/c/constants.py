"""Rules of `arith.constant`."""

from __future__ import annotations

from xdsl.dialects import arith
from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    FloatAttr,
    IntegerAttr,
    VectorType,
)
from xdsl.ir import Attribute, Operation

from ...dialects.errors import LoweringError
from .c_types import NARROW_FLOATS, scalar_literal
from .expression import Expr, call, cast, integer
from .function import FunctionEmitter
from .prelude import Prelude
from .registry import emits
from .vector_types import VectorShape


def splat(shape: VectorShape, prelude: Prelude, scalar: Expr) -> Expr:
    """Every lane of a native or struct vector equal to `scalar`."""
    if not shape.is_native:
        name = f"tc_splat_{shape.name}"
        ctype = shape.lane_type
        lane = "v[l]" if shape.is_gnu else "v.lane[l]"
        loop = f"for (int l = 0; l < {shape.lanes}; ++l) {{\n        {lane} = x;\n    }}"
        prelude.define(
            name,
            lambda: (
                f"static inline {shape.struct} {name}({ctype} x)\n{{\n    {shape.struct} v;\n"
                f"    {loop}\n    return v;\n}}\n"
            ),
        )
        return call(name, scalar)
    if shape.is_mask:
        return _splat_mask(shape, scalar)
    if scalar.text in ("0", "0.0f", "0.0", "INT64_C(0)"):
        kind = shape.suffix if shape.element in ("f32", "f64") else shape.whole
        return call(f"{shape.prefix}_setzero_{kind}")
    if shape.element in NARROW_FLOATS:
        scalar = cast("short", scalar)
    suffix = "epi64x" if shape.element == "i64" and shape.bits < 512 else shape.suffix
    return call(f"{shape.prefix}_set1_{suffix}", scalar)


def _splat_mask(shape: VectorShape, scalar: Expr) -> Expr:
    if shape.isa == "avx512":
        every = f"({shape.c_type}){_mask_literal(shape.all_set)}"
        if scalar.text in ("true", "false"):
            return Expr(every if scalar.text == "true" else f"({shape.c_type})0", 8)
        return Expr(f"({shape.c_type})({scalar.at(4)} ? {_mask_literal(shape.all_set)} : 0)", 8)
    bit = {"true": "-1", "false": "0"}.get(scalar.text, f"-(int){scalar.at(8)}")
    return call(f"{shape.prefix}_set1_epi32", Expr(bit, reads=scalar.reads))


def _mask_literal(bits: int) -> str:
    return f"0x{bits:x}" + ("ull" if bits >> 31 else "")


@emits(arith.ConstantOp)
def emit_constant(emitter: FunctionEmitter, op: Operation) -> None:
    """A literal, a splat, or a load from an array literal; repeated wherever used."""
    assert isinstance(op, arith.ConstantOp)
    type = op.result.type
    if not isinstance(type, VectorType):
        if str(type) == "i1":
            emitter.prelude.include("<stdbool.h>")
        emitter.set(op.result, _scalar(emitter.prelude, op.value, type))
        return
    attribute = op.value
    if not isinstance(attribute, DenseIntOrFPElementsAttr):
        raise LoweringError(f"expected a dense constant, got {attribute}")
    shape = emitter.prelude.shape(type)
    numbers: list[int | float] = [n for n in attribute.get_values() if isinstance(n, (int, float))]
    prelude = emitter.prelude
    if attribute.is_splat():
        literal = _number(prelude, numbers[0], type.element_type)
        emitter.set(op.result, splat(shape, prelude, literal))
        return
    emitter.bind(op.result, _array(prelude, shape, numbers, type.element_type))


def _scalar(prelude: Prelude, attribute: Attribute, type: Attribute) -> Expr:
    if not isinstance(attribute, (FloatAttr, IntegerAttr)):
        raise LoweringError(f"expected a number, got constant {attribute}")
    return _number(prelude, attribute.value.data, type)


def _number(prelude: Prelude, value: float | int, type: Attribute) -> Expr:
    literal = scalar_literal(value, type)
    if "NAN" in literal.text or "INFINITY" in literal.text:
        prelude.include("<math.h>")
    if literal.text in ("true", "false"):
        prelude.include("<stdbool.h>")
    return literal


def _array(
    prelude: Prelude, shape: VectorShape, numbers: list[int | float], element: Attribute
) -> Expr:
    if shape.is_mask and shape.is_native and shape.isa == "avx512":
        bits = sum(1 << lane for lane, number in enumerate(numbers) if number)
        return Expr(f"({shape.c_type}){_mask_literal(bits)}", 8)
    lane_type = shape.lane_type
    literals = [_number(prelude, n, element) for n in numbers]
    if shape.is_mask:
        literals = [integer(int(bool(n))) for n in numbers]
        if shape.is_native:
            lane_type = f"int{shape.mask_lane_bits}_t"
            literals = [integer(-int(bool(n))) for n in numbers]
    items = ", ".join(literal.text for literal in literals)
    if not shape.is_native:
        return Expr(shape.literal(items))
    array = f"({lane_type}[{shape.lanes}]){{{items}}}"
    if shape.element in ("f32", "f64"):
        return Expr(f"{shape.prefix}_loadu_{shape.suffix}({array})")
    return Expr(f"{shape.prefix}_loadu_{shape.whole}((const void *){array})")
