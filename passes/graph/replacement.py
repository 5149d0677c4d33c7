"""Replace an op by another one, keeping its location."""

from __future__ import annotations

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, Operation
from xdsl.pattern_rewriter import PatternRewriter

from ...dialects.graph import GraphOp


def type_of(op: GraphOp) -> TensorType[Attribute]:
    """The tensor type of the result."""
    assert isinstance(op.result.type, TensorType)
    return op.result.type


def copy_location(op: Operation, new: Operation) -> None:
    """`new` comes from the same source line as `op`."""
    if "loc" in op.attributes:
        new.attributes["loc"] = op.attributes["loc"]


def replace_with(op: Operation, new: GraphOp, rewriter: PatternRewriter) -> None:
    """Put `new` in the place of `op`; it comes from the same source line."""
    copy_location(op, new)
    rewriter.replace(op, new)
