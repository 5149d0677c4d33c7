"""What all steps do to a tree: find plain loops and perfect nests, replace a band, name loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ....dialects.errors import IllegalScheduleError
from ....dialects.schedule import Band, Chain, Leaf, Node, bands_of, chain, find_band


def replace_band(node: Node, axis: str, rule: Callable[[Band], Node]) -> Node:
    """`node` with the band of `axis` replaced by what `rule` makes of it."""
    match node:
        case Leaf():
            return node
        case Band():
            if node.axis == axis:
                return rule(node)
            return replace(node, body=replace_band(node.body, axis, rule))
        case Chain(children):
            return chain([replace_band(c, axis, rule) for c in children])


def find_plain_band(tree: Node, axis: str, step: str) -> Band:
    """The band of `axis`, which must not be parallel, unrolled, ... yet."""
    band = find_band(tree, axis)
    if band.kind != "for":
        raise IllegalScheduleError(
            f"{step}: loop {axis!r} is {band.kind} already; steps that change the order come first"
        )
    return band


def check_names_are_free(tree: Node, names: Sequence[str]) -> None:
    """Raise where one of the new loop `names` is taken, or given twice."""
    taken = {band.axis for band in bands_of(tree)}
    for name in names:
        if name in taken:
            raise IllegalScheduleError(f"a loop is called {name!r} already; choose another name")
        taken.add(name)


def perfect_nest(tree: Node, axes: Sequence[str], step: str) -> list[Band]:
    """The bands from the outermost of `axes` to the innermost, each the whole body of the one
    before; there may be others between them."""
    wanted = set(axes)
    if len(wanted) < len(axes):
        raise IllegalScheduleError(f"{step}: a loop is named twice in {', '.join(axes)}")
    for axis in axes:
        find_band(tree, axis)
    nest: list[Band] = []
    node: Node = next(b for b in bands_of(tree) if b.axis in wanted)
    while isinstance(node, Band) and wanted:
        nest.append(node)
        wanted.discard(node.axis)
        node = node.body
    if wanted:
        raise IllegalScheduleError(
            f"{step}: loops {', '.join(axes)} are not perfectly nested; "
            "fuse or distribute the loops between them first"
        )
    return nest


def nested(bands: Sequence[Band], body: Node) -> Node:
    """`bands` around `body`, the first one outermost."""
    for band in reversed(bands):
        body = replace(band, body=body)
    return body
