"""The loop tree of the original program."""

from __future__ import annotations

from itertools import groupby

from ....dialects.poly import ScopOp
from ....dialects.schedule import Band, Leaf, Node, chain


def original_tree(scop: ScopOp) -> Node:
    """The loops of the original program, from the positions of the statements.

    Loops are called `S0.i0`, `S0.i1`, ...; a shared loop has the name of its first statement's.
    """
    placed = sorted(zip(scop.positions, (s.sym_name.data for s in scop.statements), strict=True))
    return _original_nest(placed, 0)


def _original_nest(placed: list[tuple[tuple[int, ...], str]], depth: int) -> Node:
    """The tree of statements that share the `depth` outermost loops."""
    children: list[Node] = []
    for _, group in groupby(placed, key=lambda entry: entry[0][depth]):
        inside = list(group)
        position, name = inside[0]
        if len(position) == depth + 1:
            children.append(Leaf(name))
            continue
        exprs = tuple((statement, f"i{depth}") for _, statement in inside)
        children.append(Band(f"{name}.i{depth}", exprs, _original_nest(inside, depth + 1)))
    return chain(children)
