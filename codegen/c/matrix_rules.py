"""The rule of `matrix.matmul`: x86 AMX where the C compiler may use it, else one word at a time.

A function multiplies a register tile of one size. Its sums are in tile registers 0 to 3, two tiles
of `a` in 4 and 5, two of `b`, in turns, in 6 and 7.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xdsl.ir import Operation

from ...costmodel.matrix_unit import ROWS, WORDS, row_tiles
from ...dialects.errors import LoweringError
from ...dialects.matrix import MatmulOp
from .function import FunctionEmitter
from .memory_rules import address
from .pair_rules import pair_dot
from .prelude import Prelude
from .registry import emits

_BYTES = 64  # of a row of a tile
# Linux keeps tile registers for processes that asked for them.
_ALLOW = """\
#if (defined(__AMX_TILE__) || defined(__AMXTILE__)) && defined(__linux__)
#include <sys/syscall.h>
extern long syscall(long number, ...);
__attribute__((constructor)) static void tc_allow_tiles(void)
{
    (void)syscall(SYS_arch_prctl, 0x1023L, 18L); /* ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA */
}
#endif
"""
_BYTE_DOT = """\
static inline int32_t tc_byte_dot(int32_t a, int32_t b, int32_t acc)
{
    for (int j = 0; j < 32; j += 8) {
        acc += (int8_t)((uint32_t)a >> j) * (int32_t)((uint32_t)b >> j & 255);
    }
    return acc;
}
"""


@dataclass(frozen=True)
class _Words:
    """What words are: the C type of sums, the instruction and its condition (clang 14 has other
    macros than compilers since), the function of one product."""

    name: str
    sum: str
    product: str
    condition: str
    define_dot: Callable[[Prelude], str]


def _byte_dot(prelude: Prelude) -> str:
    return prelude.define("tc_byte_dot", lambda: _BYTE_DOT)


_PAIRS = _Words(
    "bf16", "float", "_tile_dpbf16ps", "defined(__AMX_BF16__) || defined(__AMXBF16__)", pair_dot
)
_QUADS = _Words(
    "i8", "int32_t", "_tile_dpbsud", "defined(__AMX_INT8__) || defined(__AMXINT8__)", _byte_dot
)


@emits(MatmulOp)
def emit_matmul(emitter: FunctionEmitter, op: Operation) -> None:
    """A call."""
    assert isinstance(op, MatmulOp)
    rows, columns = op.extents
    row, step, steps = (n.value.data for n in (op.row_stride, op.step_stride, op.steps))
    if steps % WORDS or columns % WORDS or rows > 2 * ROWS:
        raise LoweringError(
            f"{op.name}: expected multiples of {WORDS} steps and columns and at most {2 * ROWS} "
            f"rows, got {steps}, {columns} and {rows}"
        )
    words = _QUADS if op.is_integer else _PAIRS
    name = _define_matmul(emitter.prelude, words, rows, columns // WORDS)
    a = address(emitter, op.a, op.a_indices).text
    b = address(emitter, op.b, op.b_indices).text
    sums, fresh = emitter.expr(op.sums).text, int(op.fresh is not None)
    emitter.effect(f"{name}({a}, {row}, {b}, {step}, {steps}, {sums}, {fresh});")


def _define_matmul(prelude: Prelude, words: _Words, rows: int, vectors: int) -> str:
    """The function for `rows` times `vectors` vectors of 16 sums."""
    width = WORDS * vectors
    name = f"tc_matmul_{words.name}_{rows}x{width}"

    def text() -> str:
        prelude.include("<immintrin.h>")
        prelude.define("tc_allow_tiles", lambda: _ALLOW)
        dot = words.define_dot(prelude)
        amx = "".join(f"    {line}\n" for line in _amx(words, rows, vectors))
        return f"""\
static __attribute__((noinline)) void {name}(
    const int32_t *a, int64_t row, const int32_t *b, int64_t step, int64_t steps, {words.sum} *sums,
    int fresh)
{{
#if {words.condition}
    (void){dot};
{amx}#else
    for (int i = 0; i < {rows * width} && fresh; ++i) {{
        sums[i] = 0;
    }}
    for (int i = 0; i < {rows}; ++i) {{
        for (int64_t k = 0; k < steps; ++k) {{
            for (int j = 0; j < {width}; ++j) {{
                {words.sum} *sum = &sums[i * {width} + j];
                *sum = {dot}(a[i * row + k], b[k * step + j], *sum);
            }}
        }}
    }}
#endif
}}
"""

    return prelude.define(name, text)


def _amx(words: _Words, rows: int, vectors: int) -> list[str]:
    """The body in AMX: a configuration, sums in registers, one step of 16 words per iteration."""
    heights = row_tiles(rows)
    starts = [0, heights[0]][: len(heights)]
    width = WORDS * vectors
    sums = [(i * vectors + j, i, j) for i in range(len(heights)) for j in range(vectors)]
    of_tile = dict.fromkeys((6, 7), WORDS)
    of_tile |= {number: heights[i] for number, i, _ in sums}
    of_tile |= {4 + i: height for i, height in enumerate(heights)}
    widths = ", ".join(f"[{16 + 2 * tile}] = {_BYTES}" for tile in sorted(of_tile))
    rows_of = ", ".join(f"[{48 + tile}] = {of_tile[tile]}" for tile in sorted(of_tile))
    at = {number: f"sums + {starts[i] * width + WORDS * j}, {4 * width}" for number, i, j in sums}
    body = [
        "/* palette 1; bytes per row, and rows, of each register */",
        "static const _Alignas(64) uint8_t config[64] = {",
        "    [0] = 1,",
        f"    {widths},",
        f"    {rows_of},",
        "};",
        "_tile_loadconfig(config);",
        '__asm__ volatile("" ::: "memory"); /* gcc 12 does not know that loading a tile reads */',
        "if (fresh) {",
        *(f"    _tile_zero({number});" for number, _, _ in sums),
        "} else {",
        *(f"    _tile_loadd({number}, {at[number]});" for number, _, _ in sums),
        "}",
        f"for (int64_t k = 0; k < steps; k += {WORDS}) {{",
    ]
    for i, start in enumerate(starts):
        body.append(f"    _tile_loadd({4 + i}, a + {start} * row + k, 4 * row);")
    for j in range(vectors):
        body.append(f"    _tile_loadd({6 + j % 2}, b + k * step + {WORDS * j}, 4 * step);")
        body += [f"    {words.product}({n}, {4 + i}, {6 + j % 2});" for n, i, k in sums if k == j]
    body.append("}")
    body += [f"_tile_stored({number}, {at[number]});" for number, _, _ in sums]
    return [*body, "_tile_release();"]
