"""Tile permutable nests: blocks of all loops that no dependence crosses backward.

before: for i: for j: vector k: S(i, j, k)
after:  for io: for jo: for ko: for i in block io: for j in block jo: vector k in block ko: S
"""

from __future__ import annotations

from ....dialects.schedule import Band, Chain, Leaf, Node, chain
from ..primitives.tree_edits import nested
from .advance import least_advance, pairs_at_equal, pairs_between
from .nest import ScheduledScop, perfect_nest

LEAST_DEPTH = 3  # two loops have too little reuse to gain from tiles


def tile_permutable(scheduled: ScheduledScop, tree: Node, size: int, vector_size: int) -> Node:
    """`tree` with the permutable loops of each nest in tiles of `size`, vector loops of
    `vector_size` iterations; 0 leaves a loop whole."""
    return _visit(scheduled, tree, (), size, vector_size)


def _visit(
    scheduled: ScheduledScop, node: Node, outer: tuple[Band, ...], size: int, vector_size: int
) -> Node:
    match node:
        case Leaf():
            return node
        case Chain(children):
            return chain([_visit(scheduled, c, outer, size, vector_size) for c in children])
        case Band():
            nest, body = perfect_nest(node)
            first, count = _permutable(scheduled, nest, outer)
            if count < LEAST_DEPTH:
                inside = _visit(scheduled, body, (*outer, *nest), size, vector_size)
                return nested(nest, inside)
            tiles = [
                _tile(band, vector_size if band.kind == "vector" else size)
                for band in nest[first : first + count]
            ]
            blocks = [t for t in tiles if t is not None]
            return nested([*nest[:first], *blocks, *nest[first:]], body)


def _tile(band: Band, size: int) -> Band | None:
    if size == 0:
        return None
    exprs = tuple((s, f"floor(({e})/{size})") for s, e in band.exprs)
    return Band(f"{band.axis}_o", exprs, band.body)


def _permutable(
    scheduled: ScheduledScop, nest: list[Band], outer: tuple[Band, ...]
) -> tuple[int, int]:
    """(first, count) of the longest run of loops of `nest` along all of which no dependence that
    the loops before leave goes backward."""
    best = (0, 0)
    pairs = pairs_between(scheduled.order, dict(nest[0].exprs))
    pairs = pairs_at_equal(pairs, outer, scheduled.ranks)
    for first in range(len(nest)):
        count = 0
        for band in nest[first:]:
            least = least_advance(pairs, dict(band.exprs), scheduled.ranks)
            if least is not None and least < 0:
                break
            count += 1
        if count > best[1]:
            best = (first, count)
        pairs = pairs_at_equal(pairs, [nest[first]], scheduled.ranks)
    return best
