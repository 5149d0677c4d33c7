"""Patterns on elementwise ops and constants; every bit of the result stays.

before: %1 = graph.pointwise "and" %x, (graph.full true)
after:  uses of %1 read %x
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import AffineMapAttr, AnyFloat, IntegerType, i1
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern, op_type_rewrite_pattern

from ...dialects.graph import (
    CastOp,
    CatOp,
    FullOp,
    GraphOp,
    PadOp,
    PointwiseOp,
    ReshapeOp,
    ViewOp,
    element_of,
    shape_of,
    tensor_of,
)
from ...dialects.integers import holds_integers
from ...dialects.reference.graph import Evaluator, attribute_value
from .replacement import replace_with, type_of
from .simplify_map import broadcast_map


class SimplifyFull(RewritePattern):
    """Views, reshapes, casts and functions of equal elements have equal elements."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        if not isinstance(op, (ViewOp, ReshapeOp, CastOp, PointwiseOp)):
            return
        sources = [operand.owner for operand in op.operands]
        if not all(isinstance(source, FullOp) for source in sources):
            return
        evaluator = Evaluator({}, None)
        scalars = [_scalar(source) for source in sources if isinstance(source, FullOp)]
        probe: GraphOp = scalars[0]
        if isinstance(op, PointwiseOp):
            type = tensor_of(element_of(op.result), [])
            probe = PointwiseOp(op.fn.data, [scalar.result for scalar in scalars], type)
        elif isinstance(op, CastOp):
            probe = CastOp(probe.result, tensor_of(element_of(op.result), []))
        with np.errstate(all="ignore"):
            values = [evaluator.run(scalar, [])[0] for scalar in scalars]
            (value,) = evaluator.run(probe, values) if probe is not scalars[0] else values
        replace_with(op, FullOp(value.item(), type_of(op)), rewriter)


class ShrinkFullOperand(RewritePattern):
    """A constant operand of a pointwise op is a scalar, where that keeps the result's shape."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: PointwiseOp, rewriter: PatternRewriter) -> None:
        shape = shape_of(op.result)
        for i, value in enumerate(op.operands_):
            full = value.owner
            if not isinstance(full, FullOp) or not shape_of(value):
                continue
            if not any(shape_of(v) == shape for v in op.operands_ if v is not value):
                continue
            scalar = _scalar(full)
            rewriter.insert(scalar)
            op.operands[i] = scalar.result
            rewriter.notify_op_modified(op)


class DropIdentity(RewritePattern):
    """x * 1, x / 1, x - 0, integer x + 0, mask and true, mask or false, where with known mask."""

    NEUTRAL: ClassVar = {"mul": 1, "div": 1, "sub": 0, "and": -1, "or": 0}

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: PointwiseOp, rewriter: PatternRewriter) -> None:
        kept = self._kept(op)
        if kept is None or element_of(kept) != element_of(op.result):
            return
        if kept.type == op.result.type:
            rewriter.replace(op, [], [kept])
        else:
            map = broadcast_map(shape_of(kept), shape_of(op.result))
            replace_with(op, ViewOp(kept, AffineMapAttr(map), type_of(op)), rewriter)

    def _kept(self, op: PointwiseOp) -> SSAValue | None:
        fn, operands = op.fn.data, list(op.operands_)
        if fn == "where":
            chosen = number_of(operands[0])
            return None if chosen is None else operands[1 if chosen else 2]
        if fn == "add" and not isinstance(element_of(operands[0]), AnyFloat):
            neutral: int | None = 0  # in floating point -0.0 + 0.0 is +0.0
        else:
            neutral = self.NEUTRAL.get(fn)
        if neutral is None:
            return None
        if _is_constant(operands[1], neutral):
            return operands[0]
        if fn in ("mul", "add", "and", "or") and _is_constant(operands[0], neutral):
            return operands[1]
        return None


class SimplifyCast(RewritePattern):
    """Drop casts to the same type, and the way back from a wider type."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: CastOp, rewriter: PatternRewriter) -> None:
        if op.source.type == op.result.type:
            rewriter.replace(op, [], [op.source])
            return
        producer = op.source.owner
        if not isinstance(producer, CastOp) or producer.source.type != op.result.type:
            return
        if _holds(element_of(op.source), element_of(op.result)):
            rewriter.replace(op, [], [producer.source])


class DropSingleParts(RewritePattern):
    """A cat of one tensor and a pad by nothing."""

    def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
        if not isinstance(op, (CatOp, PadOp)) or len(op.operands) != 1:
            return
        if op.operands[0].type == op.result.type:
            rewriter.replace(op, [], [op.operands[0]])


def _scalar(full: FullOp) -> FullOp:
    """The value of `full` as a tensor of rank 0."""
    return FullOp(attribute_value(full.value), tensor_of(element_of(full.result), []))


def number_of(value: SSAValue) -> float | int | None:
    """The number that all elements of a constant are; None for anything else."""
    return attribute_value(value.owner.value) if isinstance(value.owner, FullOp) else None


def _is_constant(value: SSAValue, neutral: int) -> bool:
    """Whether all elements are `neutral`; -1 stands for all bits set."""
    found = number_of(value)
    if neutral == -1 and element_of(value) == i1:
        return found is not None and bool(found)
    if found is None or found != neutral:
        return False
    return math.copysign(1, found) > 0  # x - -0.0 is not x where x is -0.0


def _holds(wide: Attribute, narrow: Attribute) -> bool:
    """Whether every value of `narrow` survives a trip through `wide`."""
    if isinstance(wide, AnyFloat) and isinstance(narrow, AnyFloat):
        return bool(wide.bitwidth > narrow.bitwidth)
    if isinstance(wide, IntegerType) and isinstance(narrow, IntegerType):
        return holds_integers(wide, narrow)
    if isinstance(wide, AnyFloat) and isinstance(narrow, IntegerType):
        return bool(narrow.width.data <= {16: 8, 32: 16, 64: 32}[wide.bitwidth])
    return False
