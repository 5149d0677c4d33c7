"""Choose a GPU schedule for every scop: bind the parallel loops of each nest to blocks and threads.

before: poly.scop in original order
after:  the same scop with a `schedule` property: neighbours with equal parallel loops fused (their
        temporaries become registers), threads along the last dim written, blocks around them

A nest without parallel loops runs on one thread. Each nest is a launch of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
)
from xdsl.passes import ModulePass

from ....dialects.errors import IllegalScheduleError
from ....dialects.poly import ScopOp, StatementOp
from ....dialects.schedule import Bind, Fuse, Reorder, Split, Step
from ..access_patterns import parallel_dims
from ..affine_maps import plain_dim
from ..dependences.dependences import Dependences, dependences_of
from ..dependences.legality import check_schedule_is_legal
from ..scheduled import apply_schedule
from ..sets import box_extents
from ..simplification.collapse_dims import collapse_dims
from ..simplification.inline_statements import inline_statements
from .choice import choice_of
from .rows import factor_rows, row_steps, rows_of

WARP = 32
THREADS = 128  # of a block: enough to hide latency with many blocks per multiprocessor


@dataclass(frozen=True)
class Nest:
    """Statements that share the parallel loops `axes`, whose trip counts are `extents`."""

    statements: tuple[str, ...]
    axes: tuple[str, ...]
    extents: tuple[int, ...]
    steps: tuple[Step, ...]


def nest_of(statement: StatementOp) -> Nest:
    """A statement by itself, its parallel loops outermost in the order of what it writes."""
    name = statement.sym_name.data
    extents = box_extents(statement.domain.data)
    assert extents is not None
    lanes_by_dim = lanes_of(statement)
    parallel = set(parallel_dims(statement)) - set(lanes_by_dim)
    written = [plain_dim(result) for result in statement.write.data.results]
    order = [d for d in written if d in parallel]
    order += sorted(parallel - set(order))
    rest = [d for d in range(statement.rank) if d not in parallel]
    axes = [f"{name}.i{d}" for d in order]
    sizes = [extents[d] for d in order]
    inner = [f"{name}.i{d}" for d in rest]
    steps: list[Step] = []
    for d, lanes in lanes_by_dim.items():  # part of a reduction, a lane per thread
        axis = f"{name}.i{d}"
        steps.append(Split(axis, lanes, f"{axis}_o", f"{axis}_l"))
        inner[inner.index(axis)] = f"{axis}_o"
        axes.append(f"{axis}_l")
        sizes.append(lanes)
    wanted = [*order, *rest]
    if wanted != sorted(wanted) or steps:
        steps.append(Reorder((*axes, *inner)))
    return Nest((name,), tuple(axes), tuple(sizes), tuple(steps))


def lanes_of(statement: StatementOp) -> dict[int, int]:
    """Dims of which only the remainder by a number says what is written, and that number."""
    found: dict[int, int] = {}
    for result in statement.write.data.results:
        match result:
            case AffineBinaryOpExpr(
                kind=AffineBinaryOpKind.Mod,
                lhs=AffineDimExpr(position=dim),
                rhs=AffineConstantExpr(value=lanes),
            ):
                found[dim] = lanes
    return found


def fused(first: Nest, second: Nest) -> Nest | None:
    """Both under one set of parallel loops; None where these differ."""
    if first.extents != second.extents or not first.axes:
        return None
    axes = tuple(f"{a}_{second.statements[0]}" for a in first.axes)
    steps = [Fuse((a, b), c) for a, b, c in zip(first.axes, second.axes, axes, strict=True)]
    return Nest(
        first.statements + second.statements,
        axes,
        first.extents,
        (*first.steps, *second.steps, *steps),
    )


def is_legal(scop: ScopOp, nests: Sequence[Nest], dependences: Dependences) -> bool:
    """Whether the nests, with all their parallel loops bound, keep every dependence."""
    steps = [s for nest in nests for s in nest.steps]
    steps += [Bind(a, "block.x") for nest in nests for a in nest.axes]
    try:
        _, tree = apply_schedule(scop, steps)
        check_schedule_is_legal(tree, dependences, scop.ranks)
    except IllegalScheduleError:
        return False
    return True


def bindings(nest: Nest, threads: int) -> list[Step]:
    """Threads along the last loop (and the one before, where it is short), blocks for the rest."""
    if not nest.axes:
        return []
    *outer, last = nest.axes
    *outer_extents, extent = nest.extents
    steps: list[Step] = []
    blocks = list(outer)
    if extent > threads:
        steps += [Split(last, threads, f"{last}_b", f"{last}_t"), Bind(f"{last}_t", "thread.x")]
        blocks.append(f"{last}_b")
    else:
        steps.append(Bind(last, "thread.x"))
        rows = threads // extent
        if outer and rows > 1 and outer_extents[-1] > 1:
            row = blocks.pop()
            if outer_extents[-1] > rows:
                steps.append(Split(row, rows, f"{row}_b", f"{row}_t"))
                blocks.append(f"{row}_b")
                row = f"{row}_t"
            steps.append(Bind(row, "thread.y"))
    return [*steps, *(Bind(axis, "block.x") for axis in blocks)]


def choose_nests(scop: ScopOp) -> list[Nest]:
    """Nests in the order of the statements, fused as far as parallel loops stay parallel."""
    dependences = dependences_of(scop)
    nests: list[Nest] = []
    for statement in scop.statements:
        nest = nest_of(statement)
        if not is_legal(scop, [*nests, nest], dependences):
            nest = replace(nest, axes=(), extents=(), steps=())
        together = fused(nests[-1], nest) if nests else None
        if together is not None and is_legal(scop, [*nests[:-1], together], dependences):
            nests[-1] = together
        else:
            nests.append(nest)
    return nests


def rows_schedule(scop: ScopOp) -> list[Step] | None:
    """The steps that give rows to warps; None where the scop has other loops, or it is illegal."""
    rows = rows_of(scop)
    if rows is None:
        return None
    steps = row_steps(scop, rows, factor_rows(scop))
    try:
        rewritten, tree = apply_schedule(scop, steps)
        check_schedule_is_legal(tree, dependences_of(rewritten), rewritten.ranks)
    except IllegalScheduleError as error:
        logging.getLogger(__name__).info("%s: rows stay apart: %s", scop.sym_name.data, error)
        return None
    return steps


def schedule_gpu(scop: ScopOp) -> list[Step]:
    """The steps of the schedule; none, which is one thread in original order, for other scops."""
    is_box = all(box_extents(s.domain.data) is not None for s in scop.statements)
    if not is_box or not scop.is_sequence_of_nests:
        return []
    threads = choice_of(scop).threads or THREADS
    collapse_dims(scop)
    inline_statements(scop)
    steps = rows_schedule(scop)
    if steps is not None:
        return steps
    nests = choose_nests(scop)
    steps = [step for nest in nests for step in nest.steps]
    return [*steps, *(step for nest in nests for step in bindings(nest, threads))]


@dataclass(frozen=True)
class ScheduleGpuPass(ModulePass):
    """Choose a GPU schedule for every scop."""

    name = "schedule-gpu"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for scop in op.ops:
            if isinstance(scop, ScopOp):
                steps = schedule_gpu(scop)
                scop.properties["schedule"] = StringAttr("\n".join(map(str, steps)))
