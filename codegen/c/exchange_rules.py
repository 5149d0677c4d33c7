"""Rule of vector.exchange: a square block of lanes transposed in log2(lanes) steps of shuffles.

Step d swaps, in every pair of rows (i, i + d), the lanes that belong to the other: lanes with bit d
set of row i against lanes without it of row i + d.
"""

from __future__ import annotations

from xdsl.dialects.builtin import VectorType
from xdsl.ir import Operation

from ...dialects.vector import ExchangeOp
from .c_types import BYTES
from .expression import Expr
from .function import FunctionEmitter
from .prelude import Prelude
from .registry import emits
from .vector_types import VectorShape


@emits(ExchangeOp)
def emit_exchange(emitter: FunctionEmitter, op: Operation) -> None:
    """An array of vectors, transposed in place; compilers keep it in registers."""
    assert isinstance(op, ExchangeOp)
    type = op.columns[0].type
    assert isinstance(type, VectorType)
    shape = emitter.prelude.shape(type)
    rows = [emitter.expr(row).text for row in op.rows]
    name = emitter.scope.claim("block")
    emitter.line(f"{shape.c_type} {name}[{shape.lanes}] = {{")
    for row in rows:
        emitter.line(f"    {row},")
    emitter.line("};")
    emitter.line(f"{_define_exchange(emitter.prelude, shape)}({name});")
    for lane, column in enumerate(op.columns):
        emitter.set(column, Expr(f"{name}[{lane}]"))


def _define_exchange(prelude: Prelude, shape: VectorShape) -> str:
    name = f"tc_exchange_{shape.name}"
    has_shuffles = shape.is_native and BYTES[shape.element] >= 4
    head = f"void {name}({shape.c_type} r[{shape.lanes}])"

    def text() -> str:
        if has_shuffles and (shape.isa == "avx512" or shape.bits == 256):
            # Too large for compilers to inline it by themselves, and slow where they do not.
            return _function(f"static inline __attribute__((always_inline)) {head}", _steps(shape))
        return _function(f"static inline {head}", _lane_by_lane(prelude, shape))

    return prelude.define(name, text)


def _function(head: str, body: list[str]) -> str:
    lines = "".join(f"    {line}\n" for line in body)
    return f"{head}\n{{\n{lines}}}\n"


def _steps(shape: VectorShape) -> list[str]:
    body = []
    distance = 1
    while distance < shape.lanes:
        swap = _permute if shape.isa == "avx512" else _shuffle
        body += swap(shape, distance)
        distance *= 2
    return body


def _pairs(lanes: int, distance: int) -> list[tuple[int, int]]:
    return [(i, i + distance) for i in range(lanes) if not i & distance]


def _permute(shape: VectorShape, distance: int) -> list[str]:
    """One step by an instruction that picks lanes of two registers."""
    lanes = range(shape.lanes)
    picks = {
        "low": [shape.lanes + k - distance if k & distance else k for k in lanes],
        "high": [shape.lanes + k if k & distance else k + distance for k in lanes],
    }
    bits = 8 * BYTES[shape.element]
    setter = f"{shape.prefix}_set_epi{bits}"
    if bits == 64 and shape.bits < 512:
        setter += "x"
    body = [
        f"const __m{shape.bits}i {side}_{distance} = "
        f"{setter}({', '.join(str(k) for k in reversed(pick))});"
        for side, pick in picks.items()
    ]
    pick = f"{shape.prefix}_permutex2var_{shape.suffix}"
    for a, b in _pairs(shape.lanes, distance):
        body += [
            f"const {shape.c_type} a_{distance}_{a} = r[{a}];",
            f"r[{a}] = {pick}(a_{distance}_{a}, low_{distance}, r[{b}]);",
            f"r[{b}] = {pick}(a_{distance}_{a}, high_{distance}, r[{b}]);",
        ]
    return body


def _shuffle(shape: VectorShape, distance: int) -> list[str]:
    """One step in AVX2: lanes of 32 bits are shifted and blended, wider ones unpacked."""
    forms = {
        4: (
            "_mm256_blend_epi32({a}, _mm256_slli_epi64({b}, 32), 0xaa)",
            "_mm256_blend_epi32(_mm256_srli_epi64({a}, 32), {b}, 0xaa)",
        ),
        8: ("_mm256_unpacklo_epi64({a}, {b})", "_mm256_unpackhi_epi64({a}, {b})"),
        16: (
            "_mm256_permute2x128_si256({a}, {b}, 0x20)",
            "_mm256_permute2x128_si256({a}, {b}, 0x31)",
        ),
    }
    low, high = forms[distance * BYTES[shape.element]]
    into, back = _casts(shape)
    body = []
    for i, k in _pairs(shape.lanes, distance):
        a, b = f"a_{distance}_{i}", f"b_{distance}_{i}"
        body += [
            f"const __m256i {a} = {into.format(f'r[{i}]')};",
            f"const __m256i {b} = {into.format(f'r[{k}]')};",
            f"r[{i}] = {back.format(low.format(a=a, b=b))};",
            f"r[{k}] = {back.format(high.format(a=a, b=b))};",
        ]
    return body


def _casts(shape: VectorShape) -> tuple[str, str]:
    """Forms that take a register to one of integers and back."""
    if shape.element not in ("f32", "f64"):
        return "{}", "{}"
    return f"_mm256_cast{shape.suffix}_si256({{}})", f"_mm256_castsi256_{shape.suffix}({{}})"


def _lane_by_lane(prelude: Prelude, shape: VectorShape) -> list[str]:
    prelude.include("<string.h>")
    n = shape.lanes
    return [
        f"{shape.lane_type} row[{n}][{n}], column[{n}][{n}];",
        f"memcpy(row, r, {n} * sizeof r[0]);",
        f"for (int k = 0; k < {n}; ++k) {{",
        f"    for (int l = 0; l < {n}; ++l) {{",
        "        column[k][l] = row[l][k];",
        "    }",
        "}",
        f"memcpy(r, column, {n} * sizeof r[0]);",
    ]
