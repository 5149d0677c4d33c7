"""Constants around the results of a nest are written where these are: by one loop, one thread.

before: for o: for y, x: out[o, y + 1, x + 1] = ... ;  for o: for x: out[o, 0, x] = 0
after:  for o: { for y, x: out[o, y + 1, x + 1] = ... ; for x: out[o, 0, x] = 0 }

A loop of their own is one more parallel region, and its thread takes the cache lines next to those
of the border from another one.
"""

from __future__ import annotations

import re

from xdsl.ir.affine import AffineDimExpr, AffineExpr

from ....dialects.poly import StatementOp
from ....dialects.schedule import (
    Band,
    Chain,
    Fuse,
    Node,
    Reorder,
    Split,
    outer_loops,
    statements_of,
)
from ..access_patterns import coefficient
from .loop_plan import LoopPlan

ONLY_DIM = AffineDimExpr(0)
LOOP_VALUE = re.compile(r"i(?P<dim>\d+)|floor\(\(i(?P<tiled>\d+)\)/(?P<factor>\d+)\)")


def fuse_border_fills(plan: LoopPlan) -> None:
    """Fuse each nest of one statement that reads nothing with the nest before it, where that writes
    the same array and the outermost loop there runs over an index of it that the fill has too."""
    position = 1
    while isinstance(plan.tree, Chain) and position < len(plan.tree.children):
        before, fill = plan.tree.children[position - 1 : position + 1]
        if not _share_loop(plan, before, fill):
            position += 1


def _share_loop(plan: LoopPlan, before: Node, fill: Node) -> bool:
    """Whether `fill` was fused with `before`."""
    names = statements_of(fill)
    if len(names) > 1 or not isinstance(before, Band) or before.kind != "for":
        return False
    s = plan.statements[names[0]]
    others = [plan.statements[n] for n in statements_of(before)]
    writers = [w for w in others if w.target is s.target]
    if s.sources or not writers or any(s.target in other.sources for other in others):
        return False
    writer = writers[-1]
    walked = LOOP_VALUE.fullmatch(dict(before.exprs)[_name(writer)])
    if walked is None:
        return False
    dim, factor = int(walked["dim"] or walked["tiled"]), int(walked["factor"] or 1)
    indices = _indices(writer, dim)
    nest = outer_loops(fill)
    for band in nest:
        own = re.fullmatch(r"i(\d+)", dict(band.exprs)[names[0]])
        if own is None:
            continue
        is_same = plan.extents[names[0]][int(own[1])] == plan.extents[_name(writer)][dim]
        if is_same and indices and _indices(s, int(own[1])) == indices:
            _fuse(plan, before.axis, nest, band, factor)
            return True
    return False


def _fuse(plan: LoopPlan, axis: str, nest: list[Band], band: Band, factor: int) -> None:
    if band is not nest[0]:
        plan.step(Reorder((band.axis, nest[0].axis)))
    outer = band.axis
    if factor > 1:
        outer = f"{band.axis}o"
        plan.step(Split(band.axis, factor, outer, f"{band.axis}i"))
    plan.step(Fuse((axis, outer), axis))


def _indices(statement: StatementOp, dim: int) -> dict[int, AffineExpr]:
    """Index of the written element -> its expression, where that is `dim` plus a constant."""
    write = statement.write.data
    symbols = [AffineExpr.symbol(k) for k in range(write.num_symbols)]
    return {
        position: expr.replace_dims_and_symbols([ONLY_DIM] * write.num_dims, symbols)
        for position, expr in enumerate(write.results)
        if expr.used_dims() == {dim} and coefficient(expr, dim) == 1
    }


def _name(statement: StatementOp) -> str:
    return statement.sym_name.data
