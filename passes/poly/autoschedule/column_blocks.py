"""Nests that walk the same columns one after the other do so block by block: what the first leaves
in the cache the next one reads there, and vectors of all blocks but the first start at multiples of
their length, wherever the columns start.

before: for k: { for i: vector j > k: S(i, j);  for i: vector j > k: T(i, j) }
after:  for k: for block of j: { for i: vector j in block: S(i, j);  for i: vector j in block: T }
"""

from __future__ import annotations

from dataclasses import replace

from xdsl.ir import SSAValue

from ....dialects.schedule import Band, Chain, Leaf, Node, chain, statements_of
from ..array_shapes import shape_of
from ..emission.tree_to_isl import prefix_map
from ..primitives.tree_edits import nested
from ..sets import IslSet
from .nest import ScheduledScop, perfect_nest
from .vector_loops import lane_strides

VECTORS = 8  # per block: with fewer, loops over blocks cost more than they gain


def block_columns(scheduled: ScheduledScop, tree: Node) -> Node:
    """`tree` with a loop over blocks of columns around each run of nests that share them, inside of
    sequential loops."""
    return _visit(scheduled, tree, ())


def _visit(scheduled: ScheduledScop, node: Node, outer: tuple[Band, ...]) -> Node:
    match node:
        case Leaf():
            return node
        case Chain(children):
            done = [_visit(scheduled, c, outer) for c in children]
            return chain(_blocked(scheduled, done, outer) if outer else done)
        case Band():
            return replace(node, body=_visit(scheduled, node.body, (*outer, node)))


def _blocked(scheduled: ScheduledScop, children: list[Node], outer: tuple[Band, ...]) -> list[Node]:
    """`children` with every run of at least two that share columns in one loop over blocks."""
    runs: list[list[Node]] = []
    for child in children:
        if runs and _share_columns(scheduled, runs[-1][-1], child, outer):
            runs[-1].append(child)
        else:
            runs.append([child])
    found: list[Node] = []
    for run in runs:
        blocks = [_block(run)] if len(run) > 1 else []
        is_useful = bool(blocks) and scheduled.extent(blocks[0]) > 1
        found += blocks if is_useful and scheduled.is_legal(nested(outer, blocks[0])) else run
    return found


def _block(run: list[Node]) -> Band:
    """One loop over blocks of the columns of `run`."""
    vectors = [band for node in run if (band := _vector_band(node)) is not None]
    size = VECTORS * vectors[0].lanes
    exprs = tuple((s, f"floor(({e})/{size})") for band in vectors for s, e in band.exprs)
    return Band(f"{vectors[0].axis}_c", exprs, chain(run))


def _vector_band(node: Node) -> Band | None:
    """The vector loop of a sequential nest of at least two loops, its innermost one."""
    nest, body = perfect_nest(node)
    if len(nest) < 2 or not isinstance(body, Leaf) or nest[-1].kind != "vector":
        return None
    return nest[-1] if all(band.kind == "for" for band in nest[:-1]) else None


def _share_columns(
    scheduled: ScheduledScop, one: Node, other: Node, outer: tuple[Band, ...]
) -> bool:
    """Whether both nests walk the same columns of an array in each iteration of `outer`."""
    first, second = _vector_band(one), _vector_band(other)
    if first is None or second is None or first.lanes != second.lanes:
        return False
    rows = [_walked(scheduled, node, [*outer, *perfect_nest(node)[0]]) for node in (one, other)]
    if not rows[0] & rows[1]:
        return False
    columns = _columns(scheduled, first, outer)
    return bool(columns.is_equal(_columns(scheduled, second, outer)))


def _walked(scheduled: ScheduledScop, node: Node, path: list[Band]) -> set[SSAValue]:
    """The arrays of rows whose neighbouring elements the lanes of `path[-1]` touch."""
    return {
        array
        for name in statements_of(node)
        for array, along in lane_strides(scheduled, name, path, path[-1])
        if along == 1 and len(shape_of(array)) > 1
    }


def _columns(scheduled: ScheduledScop, band: Band, outer: tuple[Band, ...]) -> IslSet:
    """(iterations of `outer`, values of `band`) of all instances."""
    (name, *_) = statements_of(band)
    path = [*outer, band]
    return (
        prefix_map(name, scheduled.ranks[name], path)
        .intersect_domain(scheduled.domains[name])
        .range()
    )
