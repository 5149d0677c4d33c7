"""Constants around the results of a nest are written where these are: by one loop, one thread.

before: for o: for y, x: out[o, y + 1, x + 1] = ... ;  for o: for x: out[o, 0, x] = 0
after:  for o: { for y, x: out[o, y + 1, x + 1] = ... ; for x: out[o, 0, x] = 0 }

before: for y: for o, x: out[o, y + 1, x + 1] = ... ;  for o: for x: out[o, 0, x] = 0
after:  for y: { for o, x: out[o, y + 1, x + 1] = ... ; if y == 0: for o, x: out[o, 0, x] = 0 }

A loop of their own is one more parallel region, and its thread takes the cache lines next to those
of the border from another one.
"""

from __future__ import annotations

import re

from xdsl.ir.affine import AffineConstantExpr, AffineDimExpr, AffineExpr

from ....dialects.poly import StatementOp
from ....dialects.schedule import (
    Band,
    Chain,
    Distribute,
    Fuse,
    Node,
    Reorder,
    Shift,
    Split,
    outer_loops,
    statements_of,
)
from ..access_patterns import coefficient
from .loop_plan import LoopPlan

ONLY_DIM = AffineDimExpr(0)
LOOP_VALUE = re.compile(r"i(?P<dim>\d+)|floor\(\(i(?P<tiled>\d+)\)/(?P<factor>\d+)\)")


def fuse_border_fills(plan: LoopPlan) -> None:
    """Fuse each nest of statements that read nothing with the nest before it, where that writes
    the same array and the outermost loop there runs over an index of it that the fills have too, or
    which is next to their own."""
    position = 1
    while isinstance(plan.tree, Chain) and position < len(plan.tree.children):
        before, fill = plan.tree.children[position - 1 : position + 1]
        if not _share_loop(plan, before, fill):
            position += 1


def _share_loop(plan: LoopPlan, before: Node, fill: Node) -> bool:
    """Whether `fill` was fused with `before`, or cut in pieces which will be."""
    names = statements_of(fill)
    if not isinstance(before, Band) or before.kind != "for" or not isinstance(fill, Band):
        return False
    fills = [plan.statements[name] for name in names]
    others = [plan.statements[name] for name in statements_of(before)]
    writers = [w for w in others if w.target is fills[0].target and w.sources]
    if not writers or any(s.sources or s.target is not fills[0].target for s in fills):
        return False
    writer = writers[-1]
    walked = LOOP_VALUE.fullmatch(dict(before.exprs)[_name(writer)])
    if walked is None or any(fills[0].target in other.sources for other in others):
        return False
    dim, factor = int(walked["dim"] or walked["tiled"]), int(walked["factor"] or 1)
    if len(names) == 1 and _share_all_iterations(plan, before.axis, fill, writer, dim, factor):
        return True
    iterations = [_iteration_beside(plan, s, writer, dim) for s in fills]
    if factor > 1 or None in iterations:
        return False
    if len(names) > 1:
        for band in reversed(outer_loops(fill)):
            if isinstance(band.body, Chain):
                plan.step(Distribute(band.axis))
        return True
    outer = f"{fill.axis}o"
    plan.step(Split(fill.axis, max(plan.extents[names[0]]), outer, f"{fill.axis}i"))
    plan.step(Fuse((before.axis, outer), before.axis))
    if iterations[0]:
        plan.step(Shift(before.axis, names[0], iterations[0]))
    return True


def _share_all_iterations(
    plan: LoopPlan, axis: str, fill: Band, writer: StatementOp, dim: int, factor: int
) -> bool:
    """Fuse a loop of `fill` with `axis`, the writer's over `dim`, where both do the same."""
    (name,) = statements_of(fill)
    s, nest = plan.statements[name], outer_loops(fill)
    indices = _indices(writer, dim)
    for band in nest:
        own = re.fullmatch(r"i(\d+)", dict(band.exprs)[name])
        if own is None:
            continue
        is_same = plan.extents[name][int(own[1])] == plan.extents[_name(writer)][dim]
        if is_same and indices and _indices(s, int(own[1])) == indices:
            _fuse(plan, axis, nest, band, factor)
            return True
    return False


def _iteration_beside(
    plan: LoopPlan, fill: StatementOp, writer: StatementOp, dim: int
) -> int | None:
    """An iteration of the writer's loop over `dim` near which `fill` writes: the first for an index
    before all of them, its last but one for one behind (what comes after all others isl takes out
    of the loop); None where the fill lies elsewhere."""
    indices = _indices(writer, dim)
    if len(indices) != 1 or plan.scop.parameters or fill.rank == 0:
        return None
    ((position, index),) = indices.items()
    place = fill.write.data.results[position]
    if not isinstance(place, AffineConstantExpr):
        return None
    start, whole = index.eval([0], []), plan.extents[_name(writer)][dim]
    return {start - 1: 0, start + whole: whole - 2}.get(place.value) if whole > 1 else None


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
