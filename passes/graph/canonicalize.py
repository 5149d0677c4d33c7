"""Bring a graph to normal form: one view per chain, rank-2 layers, no op without effect.

before: %1 = graph.view %0 by (d0, d1) -> (d1, d0); %2 = graph.view %1 by (d0, d1) -> (d1, d0)
after:  uses of %2 read %0

Rewrites keep every bit of every result. Equal ops become one; unused ops go away. The patterns are
in `simplify_*.py` and `flatten_rows.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import (
    GreedyRewritePatternApplier,
    PatternRewriteWalker,
    RewritePattern,
)
from xdsl.traits import is_side_effect_free

from ...dialects.graph import GraphOp
from .flatten_rows import FlattenLinear, HoistPointwise, HoistRowwise
from .simplify_pointwise import (
    DropIdentity,
    DropSingleParts,
    ShrinkFullOperand,
    SimplifyCast,
    SimplifyFull,
)
from .simplify_positions import DecideComparison, IndexToView, NarrowComparison, SingleIota
from .simplify_softmax import PickBeforeSoftmax
from .simplify_views import DropBroadcast, SimplifyReshape, SimplifyView

PATTERNS: tuple[type[RewritePattern], ...] = (
    SimplifyFull,
    SimplifyView,
    SimplifyReshape,
    IndexToView,
    DecideComparison,
    NarrowComparison,
    SingleIota,
    DropBroadcast,
    SimplifyCast,
    DropIdentity,
    DropSingleParts,
    ShrinkFullOperand,
    PickBeforeSoftmax,
    FlattenLinear,
    HoistRowwise,
    HoistPointwise,
)


@dataclass(frozen=True)
class CanonicalizePass(ModulePass):
    """Apply all patterns until nothing changes, then join equal ops and drop unused ones."""

    name = "canonicalize"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        PatternRewriteWalker(
            GreedyRewritePatternApplier([pattern() for pattern in PATTERNS])
        ).rewrite_module(op)
        for function in op.body.block.ops:
            for region in function.regions:
                for block in region.blocks:
                    join_equal_ops(block)
                    drop_unused_ops(block)


def join_equal_ops(block: Block) -> None:
    """Keep the first of all ops with the same operands and properties; `loc` does not count."""
    seen: dict[object, Operation] = {}
    for op in list(block.ops):
        if not isinstance(op, GraphOp):
            continue
        # as text, because as numbers 0.0 and -0.0 are equal
        properties = tuple((key, str(value)) for key, value in op.properties.items())
        key = (op.name, tuple(op.operands), properties, op.result.type)
        first = seen.setdefault(key, op)
        if first is not op:
            op.result.replace_all_uses_with(first.results[0])
            block.erase_op(op)


def drop_unused_ops(block: Block) -> None:
    """Erase ops without effect whose results nobody reads, users first."""
    for op in reversed(list(block.ops)):
        if is_side_effect_free(op) and not any(result.uses for result in op.results):
            block.erase_op(op)
