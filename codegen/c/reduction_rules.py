"""Rule of `vector.reduction`: a fixed tree that folds the upper half of the lanes onto the lower.

The tree is the same on every ISA, so sums are bit-identical: lane l meets lane l + n/2, then
l + n/4, ... The accumulator, if any, comes last: acc op tree.
"""

from __future__ import annotations

from xdsl.dialects import vector
from xdsl.ir import Operation

from ...dialects.errors import LoweringError
from .c_types import BYTES, C_TYPES, unsigned_type
from .expression import Expr, binary, call, cast, ternary
from .float_rules import define_nan_extreme, define_nan_extreme_simd
from .function import FunctionEmitter
from .integer_rules import bitwise
from .lanes import unpack
from .prelude import Prelude
from .registry import emits
from .vector_types import VectorShape

_OPERATORS = {"add": "+", "mul": "*", "and": "&", "or": "|", "xor": "^"}
_SIGNS = {"min": "<", "max": ">"}
# What AVX2 can do with 64-bit integers.
_ALWAYS_64 = ("add", "and", "or", "xor")


@emits(vector.ReductionOp)
def emit_reduction(emitter: FunctionEmitter, op: Operation) -> None:
    """A call of the tree's helper, combined with the accumulator."""
    assert isinstance(op, vector.ReductionOp)
    prelude = emitter.prelude
    shape = prelude.shape(op.vector.type)
    kind = str(op.kind.data)
    value = call(define_reduction(prelude, kind, shape), emitter.expr(op.vector))
    if op.acc is not None:
        value = call(_define_combine(prelude, kind, shape.element), emitter.expr(op.acc), value)
    emitter.bind(op.dest, value)


def define_reduction(prelude: Prelude, kind: str, shape: VectorShape) -> str:
    """The helper tc_reduce_add_f32x16 or alike."""
    name = f"tc_reduce_{kind}_{shape.name}"
    result = "bool" if shape.is_mask else C_TYPES[shape.element]
    head = f"static inline {result} {name}({shape.c_type} v)"
    if shape.lanes & (shape.lanes - 1):
        raise LoweringError(f"vector.reduction: expected 2^n lanes, got {shape.lanes}")

    def text() -> str:
        body = _register_tree(prelude, kind, shape) or _lane_tree(prelude, kind, shape)
        return f"{head}\n{{\n" + "".join(f"    {line}\n" for line in body) + "}\n"

    return prelude.define(name, text)


def _lane_tree(prelude: Prelude, kind: str, shape: VectorShape) -> list[str]:
    combine = _define_combine(prelude, kind, shape.element)
    lines = unpack(prelude, shape, "v", "lane")
    if shape.is_mask:
        prelude.include("<stdbool.h>")
        lines += [f"bool bit[{shape.lanes}];", f"for (int l = 0; l < {shape.lanes}; ++l) {{"]
        lines += ["    bit[l] = lane[l] != 0;", "}"]
    array = "bit" if shape.is_mask else "lane"
    return [
        *lines,
        f"for (int n = {shape.lanes // 2}; n > 0; n /= 2) {{",
        "    for (int l = 0; l < n; ++l) {",
        f"        {array}[l] = {combine}({array}[l], {array}[l + n]);",
        "    }",
        "}",
        f"return {array}[0];",
    ]


def _define_combine(prelude: Prelude, kind: str, element: str) -> str:
    """The scalar helper of two operands."""
    name = f"tc_{kind}_{element}"
    ctype = C_TYPES[element]
    a, b = Expr("a"), Expr("b")
    if kind in ("maximumf", "minimumf"):
        return define_nan_extreme(prelude, kind[:3], _SIGNS[kind[:3]], element)
    if element == "i1":
        sign = {"and": "&&", "mul": "&&", "or": "||", "xor": "!=", "add": "!="}.get(kind)
        if sign is None:
            raise LoweringError(f"vector.reduction <{kind}> of i1 has no C emission rule")
        value = binary(a, sign, b)
    elif kind in _OPERATORS:
        value = binary(a, _OPERATORS[kind], b)
        if element not in ("f32", "f64"):
            wide = "uint32_t" if BYTES[element] < 4 else unsigned_type(element)
            value = cast(ctype, binary(cast(wide, a), _OPERATORS[kind], cast(wide, b)))
    elif kind.endswith("ui"):
        wide = unsigned_type(element)
        value = ternary(binary(cast(wide, a), _SIGNS[kind[:3]], cast(wide, b)), a, b)
    else:
        value = ternary(binary(a, _SIGNS[kind[:3]], b), a, b)
    return prelude.define(
        name,
        lambda: (
            f"static inline {ctype} {name}({ctype} a, {ctype} b)\n{{\n"
            f"    return {value.text};\n}}\n"
        ),
    )


def _register_tree(prelude: Prelude, kind: str, shape: VectorShape) -> list[str]:
    """Halves as registers down to 128 bits, then shuffles; empty where there is no instruction."""
    if not shape.is_native or shape.element not in ("f32", "f64", "i32", "i64"):
        return []
    if shape.element == "i64" and shape.isa != "avx512" and kind not in _ALWAYS_64:
        return []
    lines, value = [], "v"
    while shape.bits > 128:
        half = prelude.use(VectorShape(shape.element, shape.lanes // 2, shape.isa))
        low, high = _halves(shape, value)
        combined = _combine_simd(prelude, kind, half, low, high)
        value = f"v{half.lanes}"
        lines.append(f"const {half.c_type} {value} = {combined.text};")
        shape = half
    for lanes in [2, 1] if shape.lanes == 4 else [1]:
        combined = _combine_simd(prelude, kind, shape, Expr(value), _fold(shape, value, lanes))
        value = f"v{lanes}"
        lines.append(f"const {shape.c_type} {value} = {combined.text};")
    take = {
        "f32": "_mm_cvtss_f32",
        "f64": "_mm_cvtsd_f64",
        "i32": "_mm_cvtsi128_si32",
        "i64": "_mm_cvtsi128_si64",
    }[shape.element]
    return [*lines, f"return {take}({value});"]


def _halves(shape: VectorShape, value: str) -> tuple[Expr, Expr]:
    is_float = shape.element in ("f32", "f64")
    kind = shape.suffix if is_float else shape.whole
    narrow = kind if is_float else f"si{shape.bits // 2}"
    low = f"{shape.prefix}_cast{kind}{shape.bits}_{narrow}{shape.bits // 2}({value})"
    if not is_float:
        low = f"{shape.prefix}_cast{kind}_{narrow}({value})"
    if shape.bits == 256:
        extract = "extractf128_" + shape.suffix if is_float else "extracti128_si256"
    else:
        # Halves of 256 bits: f64x4 and i64x4 need AVX512F only, but move any lanes.
        extract = {
            "f32": "extractf32x8_ps",
            "f64": "extractf64x4_pd",
            "i32": "extracti32x8_epi32",
            "i64": "extracti64x4_epi64",
        }[shape.element]
    return Expr(low), Expr(f"{shape.prefix}_{extract}({value}, 1)")


def _fold(shape: VectorShape, value: str, lanes: int) -> Expr:
    """Lanes `lanes`.. of a 128-bit register moved to the front."""
    if shape.element == "f64":
        return Expr(f"_mm_unpackhi_pd({value}, {value})")
    if shape.element == "f32":
        if lanes == 2:
            return Expr(f"_mm_movehl_ps({value}, {value})")
        return Expr(f"_mm_shuffle_ps({value}, {value}, 1)")
    if lanes == 2 or shape.element == "i64":
        return Expr(f"_mm_unpackhi_epi64({value}, {value})")
    return Expr(f"_mm_shuffle_epi32({value}, 1)")


def _combine_simd(prelude: Prelude, kind: str, shape: VectorShape, a: Expr, b: Expr) -> Expr:
    if kind in ("maximumf", "minimumf"):
        return call(define_nan_extreme_simd(prelude, kind[:3], shape), a, b)
    if shape.element in ("f32", "f64"):
        name = {"maxnumf": "max", "minnumf": "min"}.get(kind, kind)
        return shape.intrinsic(name, a, b)
    if kind in ("and", "or", "xor"):
        return bitwise(shape, _OPERATORS[kind], [a, b])
    if kind == "add":
        return shape.intrinsic("add", a, b)
    if kind == "mul":
        return shape.intrinsic("mullo", a, b)
    sort = "epu" if kind.endswith("ui") else "epi"
    return call(f"{shape.prefix}_{kind[:3]}_{sort}{8 * BYTES[shape.element]}", a, b)
