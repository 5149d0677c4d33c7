"""When is a tile full: conditions under which the loops inside a tile have constant trip counts.

A tile loop's body is emitted twice: `if full: loops over boxes, without min, max and guards; else:
the general loops`. This is what isl's `isolate` option is for, decided at run time by a few
inequalities per tile instead of by splitting the index set of every tile loop.
"""

from __future__ import annotations

from .index_expr import IndexBuilder
from .loop_ast import AstNode
from .tile_planner import Choice, FullTile, TilePlanner

MOST_PLANS = 8
MOST_WAYS = 3


def plan_full_tiles(
    body: AstNode,
    index: IndexBuilder,
    divisions: bool = False,
    free: frozenset[str] = frozenset(),
) -> list[FullTile]:
    """The ways in which the loops in `body` become boxes; none where they are, or cannot be.

    `divisions` allows bounds that are floor divisions. Those of tile loops are better left alone:
    a whole diagonal of tiles would have to be full. Loops of the axes `free` keep their bounds.

    Loops that exclude each other, such as those below and above a diagonal, make several ways; of
    these the ones with the deepest loops are kept.
    """
    plans: list[TilePlanner] = []
    pending: list[frozenset[Choice]] = [frozenset()]
    for _ in range(MOST_PLANS):
        if not pending:
            break
        planner = TilePlanner(index.env, pending.pop(0), divisions, free)
        if not planner.succeeds(body):
            if not plans:
                return []
            continue
        if not planner.tile.conditions:
            return []
        plans.append(planner)
        if planner.excluded:
            pending.append(planner.off | planner.excluded)
    deepest = max((p.depth for p in plans), default=0)
    return [p.tile for p in plans if p.depth == deepest][:MOST_WAYS]
