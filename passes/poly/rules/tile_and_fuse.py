"""The default schedule, by rules: fuse shared loops, tile for registers, vectorize, parallelize.

Statements that can share loops become one nest; contractions inside a nest work on blocks of rows,
so that what they produce is consumed while it is near. The result is a list of schedule steps that
a search may replace.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import prod

from ....costmodel.hardware import Machine
from ....dialects.poly import ScopOp, StatementOp
from ....dialects.schedule import Band, Chain, Node, Parallelize, Step, outer_loops, statements_of
from ..access_patterns import parallel_dims
from ..affine_maps import plain_dim
from ..parameters import lower_bounds
from ..sets import PwAff, at_sizes, dim_aff, domain_set, values_of
from .border_fills import fuse_border_fills
from .choice import choice_of
from .loop_plan import Loop, LoopPlan
from .reduced_blocks import block_sizes, fuse_blocks, reduced_blocks
from .register_tiles import panel_of_copy, rows_class, rows_per_tile, tile_nest
from .window_tiles import tile_windows, window_update

CONTRACTION_WEIGHT = 8  # multiply-adds are this much cheaper than a pointwise element


def tile_and_fuse(scop: ScopOp, machine: Machine, threads: int, lanes: int) -> list[Step]:
    """The steps of the default schedule of `scop`, whose domains are boxes."""
    plan = LoopPlan(scop, machine, lanes, threads)
    work = _work(plan)
    if plan.statements:
        _partition(plan, list(plan.statements))
        fuse_border_fills(plan)
    least, skip = choice_of(machine).parallel_work, int(choice_of(machine).inner)
    if threads > 1 and least is not None:
        for nest in plan.tree.children if isinstance(plan.tree, Chain) else (plan.tree,):
            # starting threads takes longer than little work, whatever else the kernel does
            if sum(work[name] for name in statements_of(nest)) >= least:
                _parallelize(plan, nest, threads, skip)
    return plan.steps


def _partition(plan: LoopPlan, group: Sequence[str]) -> None:
    """Cut `group` into the longest runs that share a loop, and schedule each."""
    runs: list[list[str]] = []
    for name in group:
        if runs and plan.shared([*runs[-1], name]):
            runs[-1].append(name)
        else:
            runs.append([name])
    for run in runs:
        _schedule_run(plan, run)


def _schedule_run(plan: LoopPlan, run: Sequence[str]) -> None:
    """One nest for statements that share loops: tiles where all want the same vector loop, else
    the shared loops around a partition of the rest, in blocks of rows where rows make tiles."""
    update = window_update(plan, run)
    if update is not None:
        tile_windows(plan, run, update)
        return
    shared = plan.shared(run)
    vector = next((c for c in shared if all(plan.vector_class(n) == c for n in run)), None)
    rows = rows_class(plan, run, shared)
    blocks = None if rows is None else reduced_blocks(plan, run)
    if len(run) == 1 or (vector is not None and blocks is None):
        tile_nest(plan, run, row_block=None)
        return
    if vector is None and blocks is not None and panel_of_copy(plan, run[0]):
        # Loops over columns, which a copy of rows has not, can be shared by threads without it.
        tile_nest(plan, run[:1], row_block=None)
        _schedule_run(plan, run[1:])
        return
    sizes: dict[int, int] = {}  # class -> iterations of a block
    if rows is not None:
        sizes[rows] = rows_per_tile(plan, run, rows)
    if rows is not None and blocks is not None:
        sizes = block_sizes(plan, run, rows, vector, sizes[rows])
    order = [c for c in shared if c != vector or c in sizes]
    order.sort(key=lambda c: not (c == vector and c in sizes))  # columns of a thread outermost
    for name in run:
        inner = {cls: plan.split(name, cls, size) for cls, size in sizes.items()}
        plan.reorder(name, order, list(inner.values()))
        plan.open[name] += [Loop(cls, band) for cls, band in inner.items()]
    for cls in order:
        plan.fuse(run, cls)
    if rows is None:
        _partition(plan, run)
    elif blocks is None:
        _partition_block(plan, run, rows)
    else:
        for name in run:
            for cls, size in sizes.items():
                plan.shorten(name, cls, size)
        for part in fuse_blocks(plan, run, blocks):
            _partition_block(plan, part, rows, tiles=True)


def _partition_block(plan: LoopPlan, run: Sequence[str], rows: int, *, tiles: bool = False) -> None:
    """Inside a block of rows: contractions tile the rows in registers, others go row by row."""
    for owner, part in _block_runs(plan, run):
        if owner is not None:
            tile_nest(plan, part, row_block=None if tiles else rows)
            continue
        for name in part:
            plan.reorder(name, [rows])
        plan.fuse(part, rows)
        _partition(plan, part)


def _block_runs(plan: LoopPlan, run: Sequence[str]) -> list[tuple[str | None, list[str]]]:
    """(contraction, [its initializer, itself, what consumes it in the same lanes]) and (None, [..])
    for statements between contractions."""
    owner_of_target = {plan.statements[n].target: n for n in run if n in plan.contractions}
    runs: list[tuple[str | None, list[str]]] = []
    for name in run:
        owner = owner_of_target.get(plan.statements[name].target)
        if owner is None and runs:
            before, members = runs[-1]
            if before is not None and before in members:
                cls = plan.class_of[before, plan.contractions[before].vector_dim]
                if plan.vector_class(name) == cls and plan.is_parallel(name, cls):
                    owner = before
        if runs and runs[-1][0] == owner:
            runs[-1][1].append(name)
        else:
            runs.append((owner, [name]))
    return runs


def _work(plan: LoopPlan) -> dict[str, int]:
    """Weighted operations of each statement."""
    return {
        name: prod(extents) // (CONTRACTION_WEIGHT if name in plan.contractions else 1)
        for name, extents in plan.extents.items()
    }


def _parallelize(plan: LoopPlan, nest: Node, threads: int, skip: int = 0) -> None:
    """Make the outermost loop of `nest` parallel that allows it and has iterations for all
    threads; `skip` such loops stay as they are.

    Where trip counts depend on sizes, loops that have enough for the smallest sizes come first,
    then the one that may have the most.
    """
    allowed = [band for band in outer_loops(nest) if _allows_parallel(plan, band)]
    counts = {band.axis: _iterations(plan, band) for band in allowed}
    always = [band for band in allowed if counts[band.axis][0] >= threads]
    maybe = [band for band in allowed if counts[band.axis][1] >= threads]
    if len(always) > skip:
        plan.step(Parallelize(always[skip].axis))
    elif not always and maybe:
        most = max(maybe, key=lambda band: counts[band.axis][1])
        plan.step(Parallelize(most.axis))


def _iterations(plan: LoopPlan, band: Band) -> tuple[int, int]:
    """Trip counts of a loop at the smallest and the largest sizes."""
    least, most = [], []
    smallest = lower_bounds(plan.scop)
    for name, expr in band.exprs:
        s = plan.statements[name]
        aff = dim_aff(name, s.rank, expr)
        domain = domain_set(s.domain.data, name)
        most.append(_greatest(aff.intersect_domain(domain)) + 1)
        small = at_sizes(domain, smallest) if smallest else domain
        least.append(_greatest(aff.intersect_domain(small)) + 1)
    return max(least), max(most)


def _greatest(aff: PwAff) -> int:
    return int(values_of(aff).dim_max_val(0).to_python())


def _allows_parallel(plan: LoopPlan, band: Band) -> bool:
    """Whether different iterations write different elements in every statement below."""
    for name, expr in band.exprs:
        s = plan.statements[name]
        dims = {int(d) for d in re.findall(r"\bi(\d+)", expr)}
        if not dims <= set(parallel_dims(s)) or not _separates(s, dims):
            return False
    return True


def _separates(statement: StatementOp, dims: set[int]) -> bool:
    """Whether an accumulator belongs to one value of `dims` (a `k mod F` does not)."""
    plain = {plain_dim(e) for e in statement.write.data.results}
    return statement.reduction is None or dims <= plain
