"""Recurrences that push what is complete into what is not, instead of pulling from what is.

before: for j: { S(j);  for k < j: T(j, k) }          T reads what S(k) completed
after:  for k: { S(k);  for j > k: T(j, k) }

Known from factorizations as left-looking and right-looking variants (Dongarra, Gustavson & Karp
1984). Nothing is computed twice; the loop over `j` is now innermost, and may be the one whose
accesses are contiguous.
"""

from __future__ import annotations

from dataclasses import replace

from ....dialects.schedule import Band, Chain, Leaf, Node, bands_of, chain, statements_of
from ..primitives.tree_edits import nested
from .nest import ScheduledScop
from .vector_loops import lane_score


def right_looking(scheduled: ScheduledScop, tree: Node) -> Node:
    """`tree` with innermost loops and those around them exchanged, for the statements inside alone,
    where lanes gain by it and no dependence is broken."""
    return _visit(scheduled, tree, ())


def _visit(scheduled: ScheduledScop, node: Node, outer: tuple[Band, ...]) -> Node:
    match node:
        case Leaf():
            return node
        case Chain(children):
            return chain([_visit(scheduled, c, outer) for c in children])
        case Band(body=Chain(children)):
            for place, child in enumerate(children):
                if isinstance(child, Band) and not any(bands_of(child.body)):
                    pushed = _pushed(scheduled, node, place, child, outer)
                    node = node if pushed is None else pushed
            body = node.body
            return replace(node, body=_visit(scheduled, body, (*outer, node)))
        case Band():
            return replace(node, body=_visit(scheduled, node.body, (*outer, node)))


def _pushed(
    scheduled: ScheduledScop, band: Band, place: int, inner: Band, outer: tuple[Band, ...]
) -> Band | None:
    """`band` with the exchange at child `place`, `inner`; None where it is illegal or of no use."""
    assert isinstance(band.body, Chain)
    names = statements_of(inner)
    around, inside = dict(band.exprs), dict(inner.exprs)
    exchanged = tuple((s, inside.get(s, expr)) for s, expr in band.exprs)
    moved = replace(inner, exprs=tuple((s, around[s]) for s in names))
    children = list(band.body.children)
    children[place] = moved
    pushed = replace(band, exprs=exchanged, body=chain(children))
    before = lane_score(scheduled, names, (*outer, band, inner), inner)
    after = lane_score(scheduled, names, (*outer, pushed, moved), moved)
    if after <= max(before, 0.0) or not scheduled.is_legal(nested(outer, pushed)):
        return None
    return pushed
