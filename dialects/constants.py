"""Numbers that values are known to be."""

from __future__ import annotations

from xdsl.dialects import arith, vector
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, FloatAttr, IntegerAttr
from xdsl.ir import SSAValue


def integer_of(value: SSAValue) -> int | None:
    """The integer that `value` is, where it is an `arith.constant`; None for any other."""
    if not isinstance(value.owner, arith.ConstantOp):
        return None
    attribute = value.owner.value
    return int(attribute.value.data) if isinstance(attribute, IntegerAttr) else None


def splat_value(value: SSAValue) -> float | int | None:
    """The number that every lane of `value` (or the scalar) is, if a constant says so."""
    owner = value.owner
    if isinstance(owner, vector.BroadcastOp):
        return splat_value(owner.source)
    if not isinstance(owner, arith.ConstantOp):
        return None
    attribute = owner.value
    if isinstance(attribute, (FloatAttr, IntegerAttr)):
        return attribute.value.data
    if isinstance(attribute, DenseIntOrFPElementsAttr) and attribute.is_splat():
        number = attribute.get_values()[0]
        assert isinstance(number, (int, float))
        return number
    return None
