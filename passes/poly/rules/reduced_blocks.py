"""One loop over the blocks that reductions of a nest work in, around all statements of a block.

before: for k: s[k / B] += x[k] ;  for j: t = a[j] t + s[j] ;  for k: p[k] = f(x[k], t)
after:  for j: { for k in block j: s[j] += x[k] ; t = a[j] t + s[j] ; ... }
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, prod

from xdsl.ir import SSAValue

from ....costmodel.hardware import Machine
from ..access_patterns import block_of, panel_width
from ..affine_maps import plain_dim
from ..storage import element_bytes
from .loop_plan import Dim, Loop, LoopPlan
from .row_blocks import row_blocks

ROWS_PER_BLOCK = 48  # so many rows use what a block reads before it leaves the caches
ROWS_PER_WIDE_BLOCK = 144  # where it has left the second-level cache when the next rows come


def block_height(machine: Machine, tile_rows: int, read_bytes: int) -> int:
    """Rows that go through the blocks together: one register tile of `tile_rows` where the
    `read_bytes` of all blocks stay in the second-level cache, else as many as share the reads."""
    if 2 * read_bytes <= machine.l2_bytes:
        return tile_rows
    return tile_rows * ceil(ROWS_PER_BLOCK / tile_rows)


@dataclass(frozen=True)
class ReducedBlocks:
    """Classes of elements with the `sizes` of their blocks, of which all have as many (pairs of
    elements are a class of their own); the `classes` have one iteration for each block."""

    sizes: Mapping[int, int]
    classes: frozenset[int]


def reduced_blocks(plan: LoopPlan, run: Sequence[str]) -> ReducedBlocks | None:
    """The blocks of `run`: an array has one element per block in it, written by reductions as
    `k floordiv size` and by others as a plain dim. None where there are none, or where statements
    with neither loop stand between those that have one."""
    plain: dict[tuple[SSAValue, int], Dim] = {}
    found: list[tuple[Dim, int, tuple[SSAValue, int]]] = []
    for name in run:
        s = plan.statements[name]
        for p, expr in enumerate(s.write.data.results):
            block, dim = block_of(expr), plain_dim(expr)
            if dim is not None:
                plain.setdefault((s.target, p), (name, dim))
            elif block is not None and s.reduction is not None:
                found.append(((name, block[0]), block[1], (s.target, p)))
    found = [(element, size, place) for element, size, place in found if place in plain]
    sizes = {plan.class_of[element]: size for element, size, _ in found}
    if any(sizes[plan.class_of[element]] != size for element, size, _ in found):
        return None
    counts = {ceil(plan.extents[name][d] / size) for (name, d), size, _ in found}
    if len(counts) != 1:
        return None
    classes = frozenset(plan.class_of[plain[place]] for _, _, place in found)
    blocks = ReducedBlocks(sizes, classes)
    inside = [_has_blocks(plan, name, blocks) for name in run]
    first, last = inside.index(True), len(inside) - inside[::-1].index(True)
    return blocks if all(inside[first:last]) else None


def block_sizes(
    plan: LoopPlan, run: Sequence[str], rows: int, columns: int | None, tile_rows: int
) -> dict[int, int]:
    """Rows that go through the blocks together and, where threads share columns, columns of each.

    `columns` is the class of the vector loop that all of `run` share, if there is one; threads then
    share the longer one of rows and columns.
    """
    if columns is None:
        return {rows: block_height(plan.machine, tile_rows, _wide_bytes(plan, run))}
    main = next(name for name in run if name in plan.contractions)
    height, width = plan.extent(main, rows), plan.extent(main, columns)
    others = [plan.extent(main, c) for c in plan.shared(run) if c not in (rows, columns)]
    threads = 1 if others and max(others) >= plan.threads else plan.threads
    unit = _column_unit(plan, main, columns)
    by_columns = threads > 1 and width >= height and width > unit
    sharing = 1 if by_columns else threads
    sizes = {rows: row_blocks(height, tile_rows, ROWS_PER_WIDE_BLOCK, sharing, 1).rows}
    if by_columns:
        sizes[columns] = unit * ceil(width / unit / threads)
    return sizes


def _wide_bytes(plan: LoopPlan, run: Sequence[str]) -> int:
    """What the contractions of `run` read of their wide operands in all blocks of the same rows."""
    shared = plan.shared(run)
    total = 0
    for name in run:
        if name in plan.contractions:
            s, wide = plan.statements[name], plan.contractions[name].wide
            used = {plan.class_of[name, d] for d in s.read_maps[wide].used_dims()}
            inside = [loop.cls for loop in plan.open[name] if loop.cls in used - set(shared)]
            elements = prod(plan.extent(name, cls) for cls in inside)
            total += elements * element_bytes(s.sources[wide])
    return total


def _column_unit(plan: LoopPlan, main: str, columns: int) -> int:
    """Columns that stay together: a panel of the wide operand, or a vector."""
    dim = plan.dim(main, columns)
    assert dim is not None
    access = plan.statements[main].read_maps[plan.contractions[main].wide]
    return panel_width(access, dim) or plan.lanes


def _has_blocks(plan: LoopPlan, name: str, blocks: ReducedBlocks) -> bool:
    classes = {*blocks.sizes, *blocks.classes}
    return any(loop.cls in classes for loop in plan.open[name])


def fuse_blocks(plan: LoopPlan, run: Sequence[str], blocks: ReducedBlocks) -> list[list[str]]:
    """Fuse the loops over blocks, and close them: the statements before, inside and after."""
    parts, shared = open_blocks(plan, run, blocks)
    inside = next(part for part in parts if plan.band(part[0], shared) is not None)
    for name in inside:
        order = [shared, *(loop.cls for loop in plan.open[name] if loop.cls != shared)]
        plan.reorder(name, order)
    plan.fuse(inside, shared)
    return parts


def open_blocks(
    plan: LoopPlan, run: Sequence[str], blocks: ReducedBlocks
) -> tuple[list[list[str]], int]:
    """Split the loops over elements into blocks: the statements before, inside and after, and the
    class of the open loop over blocks that those inside have."""
    inside = [name for name in run if _has_blocks(plan, name, blocks)]
    first, last = run.index(inside[0]), run.index(inside[-1]) + 1
    shared = min(blocks.classes)
    for name in inside:
        for elements, size in blocks.sizes.items():
            if plan.band(name, elements) is None:
                continue
            within = plan.split(name, elements, size)
            outer = plan.close(name, elements)
            plan.open[name] += [Loop(shared, outer), Loop(elements, within)]
            plan.shorten(name, elements, size)
        plan.open[name] = [
            Loop(shared, loop.band) if loop.cls in blocks.classes else loop
            for loop in plan.open[name]
        ]
    parts = [list(run[:first]), inside, list(run[last:])]
    return [part for part in parts if part], shared
