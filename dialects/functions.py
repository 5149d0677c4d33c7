"""Which ops on floats are functions of a few dozen instructions, and which are one instruction."""

from __future__ import annotations

from xdsl.dialects import math
from xdsl.ir import Operation

from .logistic import DivisorOp

INSTRUCTIONS = (
    math.AbsFOp,
    math.CeilOp,
    math.CopySignOp,
    math.FloorOp,
    math.FmaOp,
    math.RoundEvenOp,
    math.SqrtOp,
    math.TruncOp,
)


def is_function(op: Operation) -> bool:
    """Whether `op` takes a few dozen instructions."""
    is_math = op.name.startswith("math.") and not isinstance(op, INSTRUCTIONS)
    return is_math or isinstance(op, DivisorOp)
