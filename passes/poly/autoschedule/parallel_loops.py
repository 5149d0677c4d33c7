"""Choose the parallel loop of every nest: the outermost one that carries nothing.

before: for i: for j: S(i, j)
after:  parallel i: for j: S(i, j)
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from ....dialects.schedule import Band, Chain, Leaf, Node, bands_of, chain, statements_of
from ..primitives.tree_edits import nested
from .nest import ScheduledScop, perfect_nest

# Instances, or vectors of them, per thread of a parallel region: starting one takes microseconds,
# and data that another core wrote last has to come from there.
LEAST_WORK = 2_000
BLOCKS_PER_THREAD = 1


def parallelize(scheduled: ScheduledScop, tree: Node, threads: int) -> Node:
    """`tree` with a parallel loop in each nest that has a legal one worth starting threads for."""
    return tree if threads < 2 else _visit(scheduled, tree, (), threads)


def shares_pay(scheduled: ScheduledScop, diagonals: Band, threads: int) -> bool:
    """Whether an iteration of `diagonals` has enough work in it to be shared by threads."""
    least = LEAST_WORK * threads
    return threads > 1 and _work(scheduled, diagonals, (diagonals,)) >= least


def _visit(scheduled: ScheduledScop, node: Node, outer: tuple[Band, ...], threads: int) -> Node:
    match node:
        case Leaf():
            return node
        case Chain(children):
            return chain([_visit(scheduled, c, outer, threads) for c in children])
        case Band():
            if _work(scheduled, node, outer) < LEAST_WORK * threads:
                return node
            nest, body = perfect_nest(node)
            chosen = _parallel(scheduled, nest, body, outer, threads)
            if chosen is not None:
                return chosen
            return nested(nest, _visit(scheduled, body, (*outer, *nest), threads))


def _parallel(
    scheduled: ScheduledScop,
    nest: list[Band],
    body: Node,
    outer: tuple[Band, ...],
    threads: int,
) -> Node | None:
    """The perfect nest with one loop parallel, moved outermost; None where none can be."""
    inside = nested(nest, body)
    for k, band in enumerate(nest):
        if band.kind not in ("for", "vector") or scheduled.extent(band) < threads:
            continue
        if _work(scheduled, inside, (*outer, *nest[:k])) < LEAST_WORK * threads:
            break
        if band.kind == "for" and scheduled.extent(band) >= 2 * threads:
            rest = nest[k + 1 :]
            here = nested([*nest[:k], replace(band, kind="parallel"), *rest], body)
        else:
            here = _blocks(scheduled, nest, k, body, threads)
        if scheduled.is_legal(nested(outer, here)):
            return here
    for k, band in enumerate(nest):  # blocks of an inner loop, one per thread, outside of all
        here = _blocks(scheduled, nest, k, body, threads)
        if band.kind in ("for", "vector") and scheduled.is_legal(nested(outer, here)):
            return here
    return None


def _blocks(scheduled: ScheduledScop, nest: list[Band], k: int, body: Node, threads: int) -> Node:
    """The nest inside a parallel loop over blocks of nest[k], of whole vectors each."""
    band = nest[k]
    unit = 8 * max(1, band.lanes)
    size = -(-scheduled.extent(band) // (threads * BLOCKS_PER_THREAD * unit)) * unit
    exprs = tuple((s, f"floor(({e})/{size})") for s, e in band.exprs)
    return Band(f"{band.axis}_p", exprs, nested(nest, body), "parallel")


def _work(scheduled: ScheduledScop, node: Node, outer: tuple[Band, ...]) -> float:
    """Statement instances below `node`, vectors of them where they have lanes, per iteration of the
    loops `outer`."""
    lanes = {s: b.lanes for b in bands_of(node) if b.kind == "vector" for s in statements_of(b)}
    total = sum(scheduled.instances(s) / lanes.get(s, 1) for s in statements_of(node))
    return total / max(1, prod(scheduled.extent(band) for band in outer))
