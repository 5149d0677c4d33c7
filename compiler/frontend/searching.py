"""Binary search: searchsorted and bucketize."""

from __future__ import annotations

from xdsl.dialects.builtin import i32
from xdsl.ir import SSAValue

from ...dialects.graph import shape_of
from ...dialects.graph.opaque import SearchsortedOp
from .builder import Builder, Operand
from .rounding import rounds_once
from .rules import UnsupportedUse, rule
from .sorting import picked


@rule("aten.searchsorted.Tensor", "aten.searchsorted.Scalar")
@rounds_once
def searchsorted(
    b: Builder,
    rows: SSAValue,
    values: Operand,
    out_int32: bool,
    right: bool,
    side: str | None,
    sorter: SSAValue | None,
) -> SSAValue:
    """Where each value belongs in its sorted row."""
    if side is not None and right and side == "left":
        raise UnsupportedUse("right=True and side='left' contradict each other")
    if sorter is not None:
        rows = picked(b, rows, sorter, -1)
    element = b.common_element(rows, values)
    wanted = b.operand(values, element)
    found = b.emit(SearchsortedOp(b.cast(rows, element), wanted, right or side == "right"))
    return b.cast(found, i32) if out_int32 else found


@rule("aten.bucketize.Tensor")
@rounds_once
def bucketize(
    b: Builder, values: SSAValue, boundaries: SSAValue, out_int32: bool, right: bool
) -> SSAValue:
    """The number of the bucket that holds each value."""
    assert len(shape_of(boundaries)) == 1
    return searchsorted(b, boundaries, values, out_int32, right, None, None)


@rule("aten.bucketize.Scalar")
@rounds_once
def bucketize_number(
    b: Builder, value: Operand, boundaries: SSAValue, out_int32: bool, right: bool
) -> SSAValue:
    """The number of the bucket that holds one number."""
    return searchsorted(b, boundaries, value, out_int32, right, None, None)
