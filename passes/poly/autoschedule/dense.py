"""A schedule for dense linear algebra: reductions register-tiled, all else vectorized."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter

from ....costmodel.hardware import Machine
from ....dialects.errors import IllegalScheduleError
from ....dialects.poly import ScopOp, StatementOp
from ....dialects.schedule import (
    Band,
    Kind,
    Leaf,
    Node,
    Precompute,
    Rearrange,
    Rewrite,
    Step,
    chain,
    compact_text,
    statements_of,
)
from ..access_patterns import parallel_dims, reduction_dims, vector_dim
from ..dependences.dependences import Dependences, dependences_of
from ..dependences.legality import check_schedule_is_legal
from ..rewrites import apply_rewrite
from ..rewrites.expand import expand_temporaries
from ..rules.register_tiles import register_tile
from ..sets import pairs_of
from ..storage import element_bytes
from .contraction import Axes, ContractionNest, Tiling, axes_of, extents_of

DEPTH = 384  # iterations of a reduction per block


def tiling_for(
    statement: StatementOp, axes: Axes, machine: Machine, threads: int, depth: int = DEPTH
) -> Tiling:
    """Register tile and cache blocks from the machine's registers and second-level cache.

    Blocks of the reduction are equal and have at most `depth` iterations. Threads get equally many
    blocks of rows.
    """
    extents = extents_of(statement)
    size = element_bytes(statement.target)
    lanes = machine.lanes(size)
    rows, columns = extents[axes.row], extents[axes.column]
    tile = register_tile(machine, lanes, rows, columns)
    tile = replace(tile, rows=even_rows(rows, tile.rows))
    blocks = -(-extents[axes.depth] // depth)
    depth = -(-extents[axes.depth] // blocks)
    block = max(1, machine.l2_bytes // 2 // (depth * size * tile.rows)) * tile.rows
    rounds = -(-rows // (block * threads))
    block = -(-rows // (rounds * threads * tile.rows)) * tile.rows
    width = tile.vectors * lanes
    share = -(-columns // (threads * width)) * width
    return Tiling(tile.rows, tile.vectors, depth, block, share)


def even_rows(rows: int, most: int) -> int:
    """Rows per tile, at most `most` and not much less, that leave the smallest partial tile: the
    code of that one has bounds in its innermost loop."""
    least = -(-most * 5 // 6)
    return min(range(most, least - 1, -1), key=lambda size: -rows % size)


def _precomputations(statement: StatementOp) -> list[Precompute]:
    """Parts of the body that depend on fewer dims than the statement has, largest first."""
    name = statement.sym_name.data
    sets = {tuple(sorted(m.used_dims())) for m in statement.read_maps[1:]}
    return [Precompute(name, d) for d in sorted(sets) if 0 < len(d) < statement.rank]


def plain_nest(statement: StatementOp, machine: Machine, parallel: bool) -> Node:
    """Loops in original order, the best dim for vectors innermost, the outermost one parallel."""
    name = statement.sym_name.data
    extents = extents_of(statement)
    vector = vector_dim(statement, extents) if machine.vector_bytes else None
    if vector is not None and vector not in parallel_dims(statement):
        vector = None
    order = [d for d in range(statement.rank) if d != vector]
    order.sort(key=lambda d: d in reduction_dims(statement))
    if vector is not None:
        order.append(vector)
    node: Node = Leaf(name)
    for place, d in reversed(list(enumerate(order))):
        kind: Kind = "for"
        lanes = 0
        if d == vector:
            kind, lanes = "vector", machine.lanes(element_bytes(statement.target))
        elif parallel and place == 0 and d in parallel_dims(statement):
            kind = "parallel"
        node = Band(f"{name}.i{d}", ((name, f"i{d}"),), node, kind, lanes)
    return node


def dense_candidate(scop: ScopOp, machine: Machine, threads: int, depth: int = DEPTH) -> list[Step]:
    """Steps that register-tile every reduction of `scop`, in blocks of at most `depth` iterations;
    IllegalScheduleError where no reduction has reuse, or statements need shared loops."""
    scop = scop.clone()
    rewrites: list[Rewrite] = list(expand_temporaries(scop))
    if all(axes_of(scop, s) is None for s in scop.statements):
        raise IllegalScheduleError("no reduction has reuse in two dims")
    # Before the statements are split, which makes dependences many times as expensive.
    _nest_order(scop, {}, dependences_of(scop))
    for s in list(scop.statements):
        if axes_of(scop, s) is None:
            continue
        for step in _precomputations(s):
            try:
                apply_rewrite(scop, step)
            except IllegalScheduleError:
                continue
            rewrites.append(step)
    nests: dict[str, ContractionNest] = {}
    for s in list(scop.statements):
        axes = axes_of(scop, s)
        if axes is None:
            continue
        name = s.sym_name.data
        lanes = machine.lanes(element_bytes(s.target))
        nest = ContractionNest(
            scop, name, axes, tiling_for(s, axes, machine, threads, depth), lanes
        )
        nests.update(dict.fromkeys(nest.statements, nest))
        rewrites += nest.rewrites
    tree = _assemble(scop, nests, machine, threads)
    return [*rewrites, Rearrange(compact_text(tree))]


def _assemble(
    scop: ScopOp, nests: dict[str, ContractionNest], machine: Machine, threads: int
) -> Node:
    """All nests one after the other, each in the first form that is legal."""
    dependences = dependences_of(scop)
    chosen: list[Node] = []
    for name in _nest_order(scop, nests, dependences):
        nest = nests.get(name)
        if nest is not None:
            forms = _forms(nest, threads)
        else:
            statement = scop.statement(name)
            forms = [
                plain_nest(statement, machine, parallel)
                for parallel in ((True, False) if threads > 1 else (False,))
            ]
        chosen.append(first_legal(scop, forms, dependences))
    tree = chain(chosen)
    check_schedule_is_legal(tree, dependences, scop.ranks)
    return tree


def _nest_order(
    scop: ScopOp, nests: dict[str, ContractionNest], dependences: Dependences
) -> list[str]:
    """One statement per nest, every nest after those that it depends on."""
    placed = sorted(zip(scop.positions, (s.sym_name.data for s in scop.statements), strict=True))
    first = {name: nests[name].statement if name in nests else name for _, name in placed}
    sorter = TopologicalSorter[str](dict.fromkeys(first.values(), ()))

    for source, sink in pairs_of(dependences.order):
        if first[source] != first[sink]:
            sorter.add(first[sink], first[source])
    try:
        return list(sorter.static_order())
    except CycleError as error:
        raise IllegalScheduleError(
            f"statements {', '.join(error.args[1])} depend on one another, so they have no loop "
            "nests of their own"
        ) from None


def first_legal(scop: ScopOp, forms: Sequence[Node], dependences: Dependences) -> Node:
    """The first of `forms` that keeps the dependences between its own statements."""
    inside = dependences.between(statements_of(forms[0]))
    for form in forms[:-1]:
        try:
            check_schedule_is_legal(form, inside, scop.ranks)
        except IllegalScheduleError:
            continue
        return form
    check_schedule_is_legal(forms[-1], inside, scop.ranks)
    return forms[-1]


def _forms(nest: ContractionNest, threads: int) -> Sequence[Node]:
    kinds = ["none"] if threads == 1 else ["others", "rows", "columns", "none"]
    if not nest.axes.others and "others" in kinds:
        kinds.remove("others")
    firsts = (True, False) if nest.rest is not None else (True,)
    return [nest.nest(kind, first) for kind in kinds for first in firsts]
