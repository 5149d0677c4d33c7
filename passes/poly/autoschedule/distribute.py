"""Distribute loops over their statements wherever no dependence forbids it (Kennedy & Allen 1987):
statements that depend on one another in a cycle stay together, the rest is sorted topologically.

before: for i: { S(i); for j: T(i, j) }
after:  for i: S(i);  for i: for j: T(i, j)
"""

from __future__ import annotations

from collections.abc import Sequence

from ....dialects.schedule import Band, Chain, Leaf, Node, bands_of, chain, statements_of
from .advance import Pairs, is_constant_on, pairs_at_equal, pairs_between
from .nest import ScheduledScop
from .reachability import reachable


def distribute(scheduled: ScheduledScop, tree: Node) -> Node:
    """`tree` with every loop split into as many as its dependences allow."""
    taken = {band.axis for band in bands_of(tree)}
    return _visit(scheduled, tree, scheduled.order, taken)


def _visit(scheduled: ScheduledScop, node: Node, pairs: Pairs, taken: set[str]) -> Node:
    """`pairs` are the dependences that the loops outside leave."""
    match node:
        case Leaf():
            return node
        case Chain(children):
            return chain(
                [
                    _visit(scheduled, c, pairs_between(pairs, statements_of(c)), taken)
                    for c in children
                ]
            )
        case Band():
            inside = pairs_at_equal(pairs, [node], scheduled.ranks)
            body = _visit(scheduled, node.body, inside, taken)
            if not isinstance(body, Chain) or _gains_nothing(scheduled, node, body, pairs):
                return Band(node.axis, node.exprs, body, node.kind, node.lanes)
            return chain(_parts(node, body.children, pairs, taken))


def _gains_nothing(scheduled: ScheduledScop, band: Band, body: Chain, pairs: Pairs) -> bool:
    """Whether an innermost loop would only become several that all carry dependences still."""
    if any(not isinstance(child, Leaf) for child in body.children):
        return False
    for members in _in_order(body.children, pairs):
        names = [s for k in members for s in statements_of(body.children[k])]
        own = pairs_between(pairs, names)
        if is_constant_on(own, dict(band.exprs), scheduled.ranks):
            return False
    return True


def _parts(band: Band, children: Sequence[Node], pairs: Pairs, taken: set[str]) -> Sequence[Node]:
    """`band` around each set of `children` that depend on one another in a cycle."""
    exprs = dict(band.exprs)
    parts = []
    for serial, members in enumerate(_in_order(children, pairs)):
        body = chain([children[k] for k in members])
        axis = band.axis if serial == 0 else _free_name(band, statements_of(body)[0], taken)
        taken.add(axis)
        named = tuple((s, exprs[s]) for s in statements_of(body))
        parts.append(Band(axis, named, body, band.kind, band.lanes))
    return parts


def _in_order(children: Sequence[Node], pairs: Pairs) -> list[list[int]]:
    """Sets of children that must share the loop, in an order that keeps all other dependences;
    the original order where there is a choice."""
    place = {s: k for k, child in enumerate(children) for s in statements_of(child)}
    after: dict[int, set[int]] = {k: set() for k in range(len(children))}
    for source, sink in pairs:
        after[place[source]].add(place[sink])
    reach = {k: reachable(k, after) for k in after}
    groups = {
        min(cycle): sorted(cycle)
        for k in after
        for cycle in [{o for o in reach[k] if k in reach[o]} | {k}]
    }
    ordered: list[list[int]] = []
    while groups:
        first = next(
            k
            for k in sorted(groups)
            if not any(set(groups[k]) & reach[m] for o in groups if o != k for m in groups[o])
        )
        ordered.append(groups.pop(first))
    return ordered


def _free_name(band: Band, statement: str, taken: set[str]) -> str:
    """A name for the part of `band` that begins with `statement`: that of its original loop."""
    name = f"{statement}.{band.axis.rpartition('.')[2]}"
    serial = 0
    free = name
    while free in taken:
        serial += 1
        free = f"{name}_{serial}"
    return free
