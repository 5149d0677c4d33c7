"""Attention written as two products and a softmax becomes one op, which never stores its scores.

before: %s = graph.matmul %q, (graph.view %k by (.., d, j) -> (.., j, d))
        %p = graph.softmax (graph.pointwise "add" (graph.pointwise "mul" %s, %c), %mask)
        %o = graph.matmul %p, %v
after:  %o = graph.attention %q, %k, %v, %mask, scale c

A scale and masks that are added, or -inf where something holds, may lie between in this order; all
of them are read by nothing else. Rows that keep no key stay NaN, as of any softmax.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from xdsl.context import Context
from xdsl.dialects.builtin import AffineMapAttr, ModuleOp, f32, f64
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineMap
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import (
    PatternRewriter,
    PatternRewriteWalker,
    RewritePattern,
    op_type_rewrite_pattern,
)

from ...dialects.graph import (
    AttentionOp,
    MatmulOp,
    PointwiseOp,
    ReshapeOp,
    SoftmaxOp,
    ViewOp,
    WeightOp,
    broadcast_shapes,
    element_of,
    shape_of,
    tensor_of,
)
from ...dialects.sizes import has_symbols
from .replacement import copy_location
from .simplify_map import broadcast_map
from .simplify_pointwise import number_of

MINUS_INFINITY = float("-inf")


@dataclass(frozen=True)
class Scores:
    """scale * product + added masks, or -inf where an i1 mask is `hidden`, else where it is not."""

    product: MatmulOp
    scale: float = 1.0
    added: tuple[SSAValue, ...] = ()
    shown: SSAValue | None = None
    hidden: SSAValue | None = None

    @property
    def is_masked(self) -> bool:
        return bool(self.added or self.shown or self.hidden)


@dataclass(frozen=True)
class RecognizeAttentionPass(ModulePass):
    """Make products of softmaxes of scores attention."""

    name = "recognize-attention"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        PatternRewriteWalker(RecognizeAttention()).rewrite_module(op)


class RecognizeAttention(RewritePattern):
    """softmax(scores) @ values, for f32 and f64, in tensors with batch dims.

    Keys or values that are weights stay operands of products, whose panels are made at compile
    time.
    """

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: MatmulOp, rewriter: PatternRewriter) -> None:
        softmax = _only_read(op.lhs)
        if isinstance(softmax, ReshapeOp) and _keeps_rows(softmax):
            softmax = _only_read(softmax.source)
        if not isinstance(softmax, SoftmaxOp) or softmax.log.value.data:
            return
        shape = shape_of(softmax.source)
        is_supported = len(shape) >= 3 and element_of(op.result) in (f32, f64)
        scores = scores_of(softmax.source) if is_supported else None
        if scores is None or softmax.dim.data != len(shape) - 1:
            return
        query, keys, value = scores.product.lhs, scores.product.rhs, op.rhs
        if _is_weight(keys) or _is_weight(value):
            return
        batch = shape[:-2]
        at = _Inserter(rewriter)
        *outer, depth, count = shape_of(keys)
        key = at.view(keys, _last_swapped(len(outer) + 2), [*outer, count, depth])
        query, key, value = (
            at.reshape(x, [*batch, *shape_of(x)[-2:]]) for x in (query, key, value)
        )
        mask = at.mask(scores, shape)
        type = tensor_of(element_of(op.result), [*shape[:-1], shape_of(value)[-1]])
        new = AttentionOp(query, key, value, mask, scores.scale, False, type, nan_if_hidden=True)
        copy_location(op, new)
        rewriter.replace(op, [], [at.reshape(at.insert(new), shape_of(op.result))])


class _Inserter:
    """Ops before the matched one; those that change nothing are left out."""

    def __init__(self, rewriter: PatternRewriter) -> None:
        self.rewriter = rewriter

    def insert(self, op: PointwiseOp | ReshapeOp | ViewOp | AttentionOp) -> SSAValue:
        self.rewriter.insert(op)
        return op.result

    def view(self, source: SSAValue, map: AffineMap, shape: Sequence[int]) -> SSAValue:
        if map == AffineMap.identity(len(shape)) and tuple(shape) == shape_of(source):
            return source
        return self.insert(ViewOp(source, AffineMapAttr(map), tensor_of(element_of(source), shape)))

    def reshape(self, source: SSAValue, shape: Sequence[int]) -> SSAValue:
        if tuple(shape) == shape_of(source):
            return source
        return self.insert(ReshapeOp(source, tensor_of(element_of(source), shape)))

    def mask(self, scores: Scores, shape: Sequence[int]) -> SSAValue | None:
        """The mask of attention whose scores have `shape`."""
        mask = scores.shown
        if scores.hidden is not None:
            mask = self.pointwise("not", scores.hidden)
        elif scores.added:
            mask = functools.reduce(lambda a, b: self.pointwise("add", a, b), scores.added)
        return mask and self.view(mask, broadcast_map(shape_of(mask), shape), shape)

    def pointwise(self, fn: str, *operands: SSAValue) -> SSAValue:
        shape = broadcast_shapes(list(map(shape_of, operands)))
        return self.insert(PointwiseOp(fn, operands, tensor_of(element_of(operands[0]), shape)))


def scores_of(value: SSAValue) -> Scores | None:
    """What `value`, which nothing else reads, computes from a product; None for anything else."""
    op = _only_read(value)
    if isinstance(op, MatmulOp):
        return Scores(op)
    if isinstance(op, ReshapeOp):
        inner = scores_of(op.source) if _keeps_rows(op) else None
        return None if inner is None or inner.is_masked else inner
    if not isinstance(op, PointwiseOp) or op.fn.data not in ("mul", "div", "add", "where"):
        return None
    for k, source in enumerate(op.operands_):
        inner = scores_of(source) if source.type == value.type else None
        if inner is not None:
            return _changed(op, inner, k)
    return None


def _changed(op: PointwiseOp, inner: Scores, k: int) -> Scores | None:
    """`inner`, which is operand `k`, after `op`."""
    operands = list(op.operands_)
    if op.fn.data == "add":
        can_add = inner.shown is None and inner.hidden is None
        return replace(inner, added=(*inner.added, operands[1 - k])) if can_add else None
    if inner.is_masked:
        return None
    match op.fn.data:
        case "mul" | "div":
            number = number_of(operands[1 - k])
            if number is None or (op.fn.data == "div" and (k == 1 or number == 0)):
                return None
            factor = number if op.fn.data == "mul" else 1 / number
            return replace(inner, scale=inner.scale * factor)
        case "where" if number_of(operands[3 - k]) == MINUS_INFINITY:
            if k == 1:
                return replace(inner, shown=operands[0])
            return replace(inner, hidden=operands[0])
    return None


def _only_read(value: SSAValue) -> object:
    """What computes `value`, if that has one reader."""
    return value.owner if value.has_one_use() else None


def _keeps_rows(op: ReshapeOp) -> bool:
    """Whether a reshape changes batch dims alone, to others of known sizes."""
    before, after = shape_of(op.source), shape_of(op.result)
    return before[-2:] == after[-2:] and not has_symbols([*before, *after])


def _is_weight(value: SSAValue) -> bool:
    op = value.owner
    while isinstance(op, (ViewOp, ReshapeOp)):
        op = op.source.owner
    return isinstance(op, WeightOp)


def _last_swapped(rank: int) -> AffineMap:
    """The view that exchanges the last two dims."""
    *outer, last, other = (AffineDimExpr(d) for d in range(rank))
    return AffineMap(rank, 0, (*outer, other, last))
