"""The body of a loop, once per kind of tile: full ones without bounds, then all others.

before: the body of a tile loop, with min, max and guards
after:  if every loop in it is a box:     the same, with constant trip counts
        else if every unrolled loop is:   the same, its sums as long as they are
        else:                             the body with its bounds
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .full_tiles import plan_full_tiles
from .linear import Linear
from .loop_ast import AstNode, axes_in, outermost_axes
from .tile_planner import FullTile

if TYPE_CHECKING:
    from .emit_loops import LoopEmitter

Refuted = tuple[frozenset[Linear], ...]  # sets of conditions that do not all hold


def emit_tile(emitter: LoopEmitter, body: AstNode) -> None:
    """Append `body`, more than once where its tiles can be told apart."""
    ways: list[FullTile] = []
    if emitter.lanes == 0 and (not emitter.in_tile or _has_smaller_tiles(emitter, body)):
        ways = _possible(plan_full_tiles(body, emitter.index()), emitter.refuted)
    if ways:
        _emit_ways(emitter, body, ways, ())
    else:
        emitter.emit(body)


def _has_smaller_tiles(emitter: LoopEmitter, body: AstNode) -> bool:
    """Whether `body`, in a partial tile, holds register tiles that may be full themselves."""
    return bool(emitter.refuted) and "unroll" in _kinds(emitter, body).values()


def _kinds(emitter: LoopEmitter, body: AstNode) -> dict[str, str]:
    return {axis: emitter.bands[axis].kind for axis in axes_in(body)}


def _possible(ways: list[FullTile], refuted: Refuted) -> list[FullTile]:
    """Those of `ways` that none of `refuted` excludes."""
    return [w for w in ways if not any(known <= frozenset(w.conditions) for known in refuted)]


def _emit_ways(emitter: LoopEmitter, body: AstNode, ways: list[FullTile], refuted: Refuted) -> None:
    """Append `body` for each kind of full tile, and for those that meet none of `refuted`."""
    if not ways:
        _emit_partial(emitter, body, refuted)
        return
    way, *others = ways
    emitter.branch(
        emitter.index().all_non_negative(way.conditions),
        lambda: emitter.knowing(way, lambda: emitter.emit(body)),
        lambda: _emit_ways(emitter, body, others, (*refuted, frozenset(way.conditions))),
    )


def _emit_partial(emitter: LoopEmitter, body: AstNode, refuted: Refuted) -> None:
    """Append `body` where it meets none of `refuted`. A register tile may still have all its rows
    and columns, and only fewer iterations of its reduction: its accumulators stay in registers."""
    ways = _full_but_for_reductions(emitter, body, (*refuted, *emitter.refuted))
    if not ways:
        # Once: what is left of register tiles are few iterations.
        left = () if emitter.refuted else refuted
        emitter.knowing(None, lambda: emitter.emit(body), left)
        return
    emitter.branch(
        emitter.index().all_non_negative(ways[0].conditions),
        lambda: emitter.knowing(ways[0], lambda: emitter.emit(body)),
        lambda: emitter.knowing(None, lambda: emitter.emit(body)),
    )


def _full_but_for_reductions(
    emitter: LoopEmitter, body: AstNode, refuted: Refuted
) -> list[FullTile]:
    """The kinds of tile in which only unrolled loops are boxes, and loops inside the tile keep
    their bounds; none where `body` is no register tile."""
    kinds = _kinds(emitter, body)
    free = frozenset(axis for axis, kind in kinds.items() if kind == "for")
    if not free or not any(kinds[axis] == "unroll" for axis in outermost_axes(body)):
        return []
    return _possible(plan_full_tiles(body, emitter.index(), free=free), refuted)
