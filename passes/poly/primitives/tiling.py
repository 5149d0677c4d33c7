"""Steps that cut loops into blocks: split, tile, unroll_and_jam."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import groupby

from ....dialects.errors import IllegalScheduleError
from ....dialects.schedule import (
    Band,
    Chain,
    Node,
    Split,
    Tile,
    UnrollAndJam,
    bands_of,
    chain,
    statements_of,
)
from .loop_values import quotients, remainders
from .tree_edits import check_names_are_free, find_plain_band, nested, perfect_nest, replace_band


def split(tree: Node, step: Split) -> Node:
    """See `Split`."""
    band = find_plain_band(tree, step.axis, "split")
    new = [name for name in (step.outer, step.inner) if name != step.axis]
    check_names_are_free(tree, new if new else [step.axis])

    def rule(band: Band) -> Node:
        inner = Band(step.inner, remainders(band.exprs, step.factor), band.body)
        return Band(step.outer, quotients(band.exprs, step.factor), inner)

    return replace_band(tree, band.axis, rule)


def tile(tree: Node, step: Tile) -> Node:
    """See `Tile`. Loops of the nest that are not tiled stay inside, in their place."""
    if len(step.axes) != len(step.factors):
        raise IllegalScheduleError(
            f"tile: {len(step.axes)} loops ({', '.join(step.axes)}) but {len(step.factors)} factors"
        )
    nest = perfect_nest(tree, step.axes, "tile")
    by_axis = {axis: find_plain_band(tree, axis, "tile") for axis in step.axes}
    check_names_are_free(tree, [f"{axis}_{part}" for axis in step.axes for part in "oi"])
    factors = dict(zip(step.axes, step.factors, strict=True))
    outer = [
        replace(by_axis[axis], axis=f"{axis}_o", exprs=quotients(by_axis[axis].exprs, factor))
        for axis, factor in factors.items()
    ]
    inner = [
        replace(band, axis=f"{band.axis}_i", exprs=remainders(band.exprs, factors[band.axis]))
        if band.axis in factors
        else band
        for band in nest
    ]
    result = nested([*outer, *inner], nest[-1].body)
    return replace_band(tree, nest[0].axis, lambda _: result)


def unroll_and_jam(tree: Node, step: UnrollAndJam) -> Node:
    """See `UnrollAndJam`."""
    band = find_plain_band(tree, step.axis, "unroll_and_jam")
    bodies = _loopless_parts(band.body)
    copies = [
        f"{step.axis}_u{k}" if len(bodies) > 1 else f"{step.axis}_u" for k in range(len(bodies))
    ]
    check_names_are_free(tree, [f"{step.axis}_o", *copies])
    names = iter(copies)
    inside = dict(remainders(band.exprs, step.factor))

    def unrolled(body: Node) -> Node:
        exprs = tuple((s, inside[s]) for s in statements_of(body))
        return Band(next(names), exprs, body, "unroll")

    jammed = _rewrite_loopless_parts(band.body, unrolled)
    outer = Band(f"{step.axis}_o", quotients(band.exprs, step.factor), jammed)
    return replace_band(tree, step.axis, lambda _: outer)


def _loopless_parts(node: Node) -> list[Node]:
    """The largest parts of `node` without loops: vector and unrolled bands are none."""
    found: list[Node] = []

    def keep(part: Node) -> Node:
        found.append(part)
        return part

    _rewrite_loopless_parts(node, keep)
    return found


def _is_loopless(node: Node) -> bool:
    return all(band.kind in ("vector", "unroll") for band in bands_of(node))


def _rewrite_loopless_parts(node: Node, rule: Callable[[Node], Node]) -> Node:
    if _is_loopless(node):
        return rule(node)
    if isinstance(node, Band):
        return replace(node, body=_rewrite_loopless_parts(node.body, rule))
    assert isinstance(node, Chain)  # a leaf has no loops
    children: list[Node] = []
    for loopless, group in groupby(node.children, _is_loopless):
        if loopless:
            children.append(rule(chain(list(group))))
        else:
            children.extend(_rewrite_loopless_parts(child, rule) for child in group)
    return chain(children)
