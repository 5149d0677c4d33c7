"""Numbers that values are known to be."""

from __future__ import annotations

from xdsl.dialects import arith
from xdsl.dialects.builtin import IntegerAttr
from xdsl.ir import SSAValue


def integer_of(value: SSAValue) -> int | None:
    """The integer that `value` is, where it is an `arith.constant`; None for any other."""
    if not isinstance(value.owner, arith.ConstantOp):
        return None
    attribute = value.owner.value
    return int(attribute.value.data) if isinstance(attribute, IntegerAttr) else None
