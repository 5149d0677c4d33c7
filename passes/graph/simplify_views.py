"""Patterns on `graph.view` and `graph.reshape`: at most one of them between two computations.

before: %1 = graph.view %0 by (d0, d1) -> (d1, d0); %2 = graph.view %1 by (d0, d1) -> (d1, d0)
after:  uses of %2 read %0
"""

from __future__ import annotations

import math

from xdsl.dialects.builtin import AffineMapAttr
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineConstantExpr, AffineDimExpr
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern, op_type_rewrite_pattern

from ...dialects.graph import (
    PointwiseOp,
    ReshapeOp,
    ViewOp,
    broadcast_shapes,
    shape_of,
)
from .layout_access import is_affine_reshape
from .replacement import replace_with, type_of
from .simplify_map import is_linear, is_reshape, reshape_map, simplify_map


class SimplifyView(RewritePattern):
    """Compose with a producing view or reshape, normalize the map, turn reorderless ones around."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ViewOp, rewriter: PatternRewriter) -> None:
        source, shape = op.source, shape_of(op.result)
        if 0 in shape:
            return
        map = simplify_map(op.map.data, shape)
        if isinstance(source.owner, ViewOp):
            map = simplify_map(source.owner.map.data.compose(map), shape)
            source = source.owner.source
        elif isinstance(source.owner, ReshapeOp) and is_affine_reshape(source.owner):
            through = reshape_map(shape_of(source.owner.source), shape_of(source))
            composed = simplify_map(through.compose(map), shape)
            if is_linear(composed):
                map, source = composed, source.owner.source
        if _same_size(source, op.result) and is_reshape(map, shape_of(source), shape):
            replace_with(op, ReshapeOp(source, type_of(op)), rewriter)
        elif source is not op.source or map != op.map.data:
            replace_with(op, ViewOp(source, AffineMapAttr(map), type_of(op)), rewriter)


class SimplifyReshape(RewritePattern):
    """Drop reshapes without effect, join chains, and put those of views into the map if linear."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ReshapeOp, rewriter: PatternRewriter) -> None:
        producer = op.source.owner
        if op.source.type == op.result.type:
            rewriter.replace(op, [], [op.source])
        elif isinstance(producer, ReshapeOp):
            replace_with(op, ReshapeOp(producer.source, type_of(op)), rewriter)
        elif (
            isinstance(producer, ViewOp) and 0 not in shape_of(op.result) and is_affine_reshape(op)
        ):
            shape = shape_of(op.result)
            through = reshape_map(shape_of(op.source), shape)
            map = simplify_map(producer.map.data.compose(through), shape)
            if is_linear(map):
                replace_with(op, ViewOp(producer.source, AffineMapAttr(map), type_of(op)), rewriter)


class DropBroadcast(RewritePattern):
    """A pointwise op broadcasts by itself: read the source of a view that does nothing else."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: PointwiseOp, rewriter: PatternRewriter) -> None:
        shape = shape_of(op.result)
        for i, value in enumerate(op.operands_):
            view = value.owner
            if not isinstance(view, ViewOp) or not _only_broadcasts(view):
                continue
            shapes = [shape_of(v) for v in op.operands_]
            shapes[i] = shape_of(view.source)
            if broadcast_shapes(shapes) != shape:
                continue
            op.operands[i] = view.source
            rewriter.notify_op_modified(op)


def _only_broadcasts(view: ViewOp) -> bool:
    source, map = shape_of(view.source), view.map.data
    lead = map.num_dims - len(source)
    for d, (expr, extent) in enumerate(zip(map.results, source, strict=True), start=lead):
        own = isinstance(expr, AffineDimExpr) and expr.position == d
        if not own and not (extent == 1 and expr == AffineConstantExpr(0)):
            return False
        if extent != 1 and extent != shape_of(view.result)[d]:
            return False
    return lead >= 0


def _same_size(a: SSAValue, b: SSAValue) -> bool:
    return math.prod(shape_of(a)) == math.prod(shape_of(b))
