"""result[M, N] = lhs[M, K] rhs[N, K]^T as a tile program: a ring of copies, tensor cores, split K.

In: shapes (M is known when the program runs), element type, a point of the tuning space. Out: a
`tile.program`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from xdsl.dialects.builtin import IndexType
from xdsl.ir import Attribute, SSAValue
from xdsl.ir.affine import AffineConstantExpr, AffineDimExpr, AffineMap

from ...dialects.tile import ops
from ...dialects.tile.atoms import F32, I8, I32
from ...dialects.tile.bank_conflicts import choose_swizzle
from ...dialects.tile.types import PointerType, bits_of
from .builder import ProgramBuilder
from .pipeline import Warps, add_in_order, pipelined, split_range

SHARED_BYTES = 99 * 1024  # what every device from sm_80 on can give to a block
MOST_REGISTERS = 224


@dataclass(frozen=True)
class MatmulConfig:
    """A point of the tuning space: warps (rows, columns), repeats (M, N, K), stages, parts of K."""

    rows: int
    columns: int
    repeat: tuple[int, int, int]
    stages: int
    parts: int = 1


def matmul_space() -> Iterator[MatmulConfig]:
    """Every configuration, whether it fits a shape or not."""
    warps = ((1, 4), (1, 8), (2, 4), (2, 2))
    repeats = ((2, 4, 1), (1, 8, 1), (2, 4, 2), (4, 2, 2), (1, 8, 2), (4, 8, 2))
    for (rows, columns), repeat, stages, parts in product(warps, repeats, (3, 4), (1, 8, 16)):
        yield MatmulConfig(rows, columns, repeat, stages, parts)


def fits(element: Attribute, config: MatmulConfig) -> bool:
    """Whether registers and shared memory suffice."""
    warps = Warps(element, config.rows, config.columns, config.repeat)
    m, n, k = warps.tile
    shared = config.stages * (m + n) * k * bits_of(element) // 8
    return warps.registers < MOST_REGISTERS and shared <= SHARED_BYTES


def grid_map(rows: int, columns: int, parts: int) -> AffineMap:
    """(M) to blocks: columns of the result, rows, parts of K."""
    blocks = (AffineDimExpr(0) + (rows - 1)) // rows
    return AffineMap(1, 0, (AffineConstantExpr(columns), blocks, AffineConstantExpr(parts)))


def matmul_program(
    name: str, element: Attribute, shape: tuple[int, int], config: MatmulConfig
) -> ops.ProgramOp:
    """The program for rhs of `shape` [N, K]; arguments lhs, rhs, result, workspace, semaphores, m.

    `workspace` has M x N numbers, `semaphores` one 0 per output tile; both are only used where
    `parts` is not 1. The result is of `element`, of i32 for i8.
    """
    n, k = shape
    warps = Warps(element, config.rows, config.columns, config.repeat)
    bm, bn, bk = warps.tile
    total = I32 if element == I8 else F32
    out = I32 if element == I8 else element
    columns = -(-n // bn)
    b = ProgramBuilder(
        name,
        warps.threads,
        grid_map(bm, columns, config.parts),
        [
            ("lhs", PointerType(element)),
            ("rhs", PointerType(element)),
            ("result", PointerType(out)),
            ("workspace", PointerType(total)),
            ("semaphores", PointerType(I32)),
            ("m", IndexType()),
        ],
    )
    m = b.argument("m")
    column, row = b.block_index(0, "column"), b.block_index(1, "row")
    part = b.block_index(2, "part")
    lhs = b.view_global("lhs", (-1, k), [m])
    rhs = b.view_global("rhs", (n, k), [])
    result = b.view_global("result", (-1, n), [m])
    swizzle = choose_swizzle((max(bm, bn), bk), bits_of(element) // 8)
    lhs_ring = b.alloc_shared("lhs_ring", (config.stages, bm, bk), element, swizzle)
    rhs_ring = b.alloc_shared("rhs_ring", (config.stages, bn, bk), element, swizzle)
    i, j = b.times(row, bm), b.times(column, bn)

    def copy(step: SSAValue, stage: SSAValue) -> None:
        at = b.times(step, bk)
        b.copy_async(lhs, (i, at), lhs_ring, stage)
        b.copy_async(rhs, (j, at), rhs_ring, stage)

    def compute(step: SSAValue, stage: SSAValue, carried: SSAValue) -> SSAValue:
        left = b.load(lhs_ring, (stage, 0, 0), warps.lhs, "left")
        right = b.load(rhs_ring, (stage, 0, 0), warps.rhs, "right")
        return b.add(ops.DotOp(left, right, carried), "sums")

    def finish(sums: SSAValue) -> None:
        b.store(b.cast(sums, out, "rounded"), result, (i, j))

    zero = b.fill(0.0, warps.accumulator, total, "sums")
    steps = split_range(b, part, config.parts, -(-k // bk))
    sums = pipelined(b, steps, config.stages, copy, compute, zero)
    if config.parts == 1:
        finish(sums)
        return b.program
    workspace = b.view_global("workspace", (-1, n), [m])
    place = b.plus(b.times(row, columns), column)
    semaphores = b.view_global("semaphores", (-1,), [b.plus(place, 1)])
    add_in_order(b, sums, part, config.parts - 1, (i, j), place, workspace, semaphores, finish)
    return b.program
