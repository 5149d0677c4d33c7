"""Rows of a softmax or a norm: a warp per row, several rows per block, one launch for all of it.

before: S0: m[r] = max(m[r], x[r, k]);  S1: e[r, j] = exp(x[r, j] - m[r]);  ...
after:  block b: { for each r of the block (thread.y), lane l (thread.x): partial results of S0 }
                 { for each r of the block (thread.x): the lanes of S0 in order }
                 { for each r (thread.y), lane l (thread.x): S1 for j = l, l + 32, ... }

Each part is a nest of thread loops; what parts hand to each other is in shared memory, with
barriers between. Sums are in a fixed order: lanes stride through a row, then lane 0 to 31.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from xdsl.dialects.builtin import MemRefType

from ....dialects.poly import ArrayOp, ScopOp, StatementOp
from ....dialects.schedule import Bind, Fuse, Reorder, Split, Step
from ..access_patterns import contraction_of, parallel_dims
from ..affine_maps import plain_dim
from ..rules.rfactor import UNROLL, rfactor
from ..sets import box_extents
from ..storage import element_bytes

WARP = 32
ROWS = 4  # per block
LEAST_BLOCKS = 8  # with fewer, rows are cut in parts (`stages.py`)
SHARED_BYTES = 48 * 1024  # of static arrays in one block, on every GPU
LINE = 16  # elements that rows of local arrays are rounded up by, at most


def extents_of_statement(statement: StatementOp) -> tuple[int, ...]:
    """Trip counts of a box."""
    extents = box_extents(statement.domain.data)
    assert extents is not None
    return extents


def row_dims(statement: StatementOp) -> list[int]:
    """Parallel dims in the order of what is written."""
    parallel = set(parallel_dims(statement))
    order = [d for r in statement.write.data.results if (d := plain_dim(r)) in parallel]
    found = [d for d in order if d is not None]
    return [*found, *sorted(parallel - set(found))]


def reduced_dim(statement: StatementOp) -> int | None:
    """The dim of a long reduction of rows; None for other statements."""
    if statement.reduction is None or contraction_of(statement) is not None:
        return None
    extents = extents_of_statement(statement)
    parallel = parallel_dims(statement)
    reduced = [d for d in range(statement.rank) if d not in parallel]
    if len(reduced) != 1 or extents[reduced[0]] < WARP or not parallel:
        return None
    return reduced[0]


def shared_bytes(scop: ScopOp, rows: Sequence[int], reductions: int) -> int:
    """At most what the temporaries of the rows of one block take, rows of lines included."""
    total = reductions * ROWS * WARP * 8
    for op in scop.body.block.ops:
        if isinstance(op, ArrayOp):
            assert isinstance(op.result.type, MemRefType)
            of_row = -(-prod(op.result.type.get_shape()) // prod(rows))
            total += ROWS * (of_row + LINE) * element_bytes(op.result)
    return total


def rows_of(scop: ScopOp) -> tuple[int, ...] | None:
    """The extents of the rows that all statements of `scop` share; None where there are none."""
    reductions = [s for s in scop.statements if reduced_dim(s) is not None]
    if not reductions:
        return None
    first = reductions[0]
    extents = extents_of_statement(first)
    rows = tuple(extents[d] for d in row_dims(first))
    blocks = prod(rows[:-1]) * -(-rows[-1] // ROWS)
    if blocks < LEAST_BLOCKS or shared_bytes(scop, rows, len(reductions)) > SHARED_BYTES:
        return None
    for s in scop.statements:
        own = extents_of_statement(s)
        parallel = tuple(own[d] for d in row_dims(s))
        if parallel[: len(rows)] != rows or len(parallel) > len(rows) + 1:
            return None
        if s.reduction is not None and reduced_dim(s) is None and contraction_of(s) is not None:
            return None
        if len(parallel) > len(rows) and s.reduction is not None:
            return None
    return rows


def factor_rows(scop: ScopOp) -> dict[str, int]:
    """Factor the reductions of rows into the lanes of a warp; the dim of each by its name."""
    found = {s: dim for s in scop.statements if (dim := reduced_dim(s)) is not None}
    return {
        s.sym_name.data: dim for s, dim in found.items() if rfactor(scop, s, dim, WARP // UNROLL)
    }


def row_steps(scop: ScopOp, rows: Sequence[int], factored: Mapping[str, int]) -> list[Step]:
    """The steps for `scop`, whose reductions have been factored into lanes."""
    per_block = min(ROWS, rows[-1])
    steps: list[Step] = []
    binds: list[Step] = []
    blocks: list[list[str]] = [[] for _ in rows]
    for s in scop.statements:
        name = s.sym_name.data
        extents = extents_of_statement(s)
        shared = row_dims(s)[: len(rows)]
        rest = [d for d in range(s.rank) if d not in shared]
        lane = factored.get(name)
        if lane is None and s.reduction is None and len(row_dims(s)) > len(rows):
            lane = row_dims(s)[len(rows)]
        axes = [f"{name}.i{d}" for d in shared]
        inner = [f"{name}.i{d}" for d in rest]
        row = axes[-1]
        steps.append(Split(row, per_block, f"{row}_b", f"{row}_t"))
        axes[-1] = f"{row}_b"
        order = [f"{row}_t", *inner]
        if lane is not None:
            axis = f"{name}.i{lane}"
            order.remove(axis)
            if extents[lane] > WARP or name in factored:
                steps.append(Split(axis, WARP, f"{axis}_o", f"{axis}_l"))
                order[1:1] = [f"{axis}_l", f"{axis}_o"]
                binds.append(Bind(f"{axis}_l", "thread.x"))
            else:
                order.insert(1, axis)
                binds.append(Bind(axis, "thread.x"))
        binds.append(Bind(f"{row}_t", "thread.y" if lane is not None else "thread.x"))
        steps.append(Reorder((*axes, *order)))
        for level, axis in zip(blocks, axes, strict=True):
            level.append(axis)
    for k, level in enumerate(blocks):
        if len(level) > 1:
            steps.append(Fuse(tuple(level), f"row{k}"))
        binds.append(Bind(f"row{k}" if len(level) > 1 else level[0], "block.x"))
    return [*steps, *binds]
