"""Time tiling: blocks of a stencil's space that stay in cache for several time steps.

before: for t: body(t)
after:  for w: parallel p: for q ..: for t: the part of body(t) in tile (w - p, p, q ..)

Tiles are blocks of two legal hyperplanes, (time, leaning) or (leaning, leaning the other way), and
of further leaning ones. Tiles with equal w, a diagonal of the first two, depend on one another in
none of these (wavefront, Lamport 1974). Inside a tile the order is the original one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ....dialects.errors import IllegalScheduleError
from ....dialects.schedule import Band, Chain, Kind, Leaf, Node, chain, statements_of
from .advance import Expressions, Pairs, pairs_between
from .hyperplanes import TimeLoop, leaning, time_loop, upright
from .nest import ScheduledScop

Shape = Literal["diamond", "leaning"]


@dataclass(frozen=True)
class TimeTile:
    """Sizes of time tiles along their hyperplanes.

    `shape` says whether the second hyperplane is the time or leans the other way; `sizes` are the
    extents along these two, then along one more leaning hyperplane per further dim of the space.
    """

    shape: Shape
    sizes: tuple[int, ...]


def time_hyperplanes(
    loop: TimeLoop, tile: TimeTile, pairs: Pairs, ranks: Mapping[str, int]
) -> list[Expressions]:
    """The hyperplanes that `tile.sizes` refer to; IllegalScheduleError where one does not exist."""
    count = len(tile.sizes) - 1
    if not 1 <= count <= len(loop.space):
        raise IllegalScheduleError(
            f"time tiles of {len(tile.sizes)} sizes in a space of {len(loop.space)} dims"
        )
    found = [leaning(loop, p, 1, pairs, ranks) for p in range(count)]
    if tile.shape == "diamond":
        found.insert(1, leaning(loop, 0, -1, pairs, ranks))
    else:
        found.insert(0, upright(loop, pairs, ranks))
    legal = [exprs for exprs in found if exprs is not None]
    if len(legal) < len(found):
        raise IllegalScheduleError(
            f"loop {loop.band.axis!r} has no {tile.shape} time tiles of {count} dims: "
            "a dependence reaches too far or goes backward"
        )
    return legal


def tile_time(scheduled: ScheduledScop, band: Band, tile: TimeTile, parallel: bool) -> Band:
    """`band` in time tiles, diagonals of them in order; IllegalScheduleError where it has none."""
    loop = time_loop(scheduled.scop, band)
    if loop is None:
        raise IllegalScheduleError(f"loop {band.axis!r} is not a loop over time")
    pairs = pairs_between(scheduled.order, statements_of(band))
    planes = time_hyperplanes(loop, tile, pairs, scheduled.ranks)
    blocks = [
        {s: f"floor(({e})/{size})" for s, e in exprs.items()}
        for exprs, size in zip(planes, tile.sizes, strict=True)
    ]
    aligned = planes[1:] if tile.shape == "leaning" else planes[2:]
    body = _aligned(band, loop, aligned, 0 if tile.shape == "leaning" else 1)
    first, second, *others = blocks
    diagonal = {s: f"{first[s]} + {second[s]}" for s in first}
    node: Node = body
    for k, exprs in reversed(list(enumerate(others))):
        node = _loop(f"{band.axis}_q{k}", exprs, node)
    node = _loop(f"{band.axis}_p", second, node, "parallel" if parallel else "for")
    return _loop(f"{band.axis}_w", diagonal, node)


def _loop(axis: str, exprs: Expressions, body: Node, kind: Kind = "for") -> Band:
    return Band(axis, tuple((s, exprs[s]) for s in statements_of(body)), body, kind)


def _aligned(band: Band, loop: TimeLoop, planes: Sequence[Expressions], first_dim: int) -> Band:
    """`band` with loops over the space counted along the tiles' hyperplanes instead, which at one
    time is the same order: blocks of rows then begin and end with the tiles."""
    moved = {tuple(loop.space[dim].items()): exprs for dim, exprs in enumerate(planes, first_dim)}

    def visit(node: Node) -> Node:
        match node:
            case Leaf():
                return node
            case Chain(children):
                return chain([visit(c) for c in children])
            case Band():
                return replace(node, exprs=along(node), body=visit(node.body))

    def along(node: Band) -> tuple[tuple[str, str], ...]:
        if node.kind == "vector":
            return node.exprs
        for space, exprs in moved.items():
            if set(node.exprs) <= set(space):
                return tuple((s, exprs[s]) for s, _ in node.exprs)
        return node.exprs

    return replace(band, body=visit(band.body))
