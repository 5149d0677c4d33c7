"""Elementwise choices: clamping, masks, and the classes of floating-point numbers."""

from __future__ import annotations

from xdsl.dialects.builtin import i1
from xdsl.ir import SSAValue

from .builder import Builder, Operand, is_float
from .rules import rule


@rule("aten.isnan.default")
def isnan(b: Builder, x: SSAValue) -> SSAValue:
    """True at NaNs; integers have none."""
    return b.pointwise("isnan", x) if is_float(x) else b.pointwise("ne", x, x)


@rule("aten.isinf.default")
def isinf(b: Builder, x: SSAValue) -> SSAValue:
    """True at infinities; integers have none."""
    return b.pointwise("isinf", x) if is_float(x) else b.pointwise("ne", x, x)


@rule("aten.isfinite.default")
def isfinite(b: Builder, x: SSAValue) -> SSAValue:
    """True at numbers that are neither NaN nor infinite."""
    if not is_float(x):
        return b.pointwise("eq", x, x)
    return b.pointwise("not", b.pointwise("or", b.pointwise("isnan", x), b.pointwise("isinf", x)))


@rule(
    "aten.clamp.default",
    "aten.clamp.Tensor",
    "aten.clip.default",
    "aten.hardtanh.default",
)
def clamp(b: Builder, x: SSAValue, low: Operand | None, high: Operand | None) -> SSAValue:
    """min(max(x, low), high), NaN kept."""
    x = b.cast(x, b.out_element)
    if low is not None:
        x = b.pointwise("maximum", x, b.operand(low, b.out_element))
    if high is not None:
        x = b.pointwise("minimum", x, b.operand(high, b.out_element))
    return x


@rule("aten.clamp_min.default", "aten.clamp_min.Tensor")
def clamp_min(b: Builder, x: SSAValue, low: Operand) -> SSAValue:
    """max(x, low)."""
    return clamp(b, x, low, None)


@rule("aten.clamp_max.default", "aten.clamp_max.Tensor")
def clamp_max(b: Builder, x: SSAValue, high: Operand) -> SSAValue:
    """min(x, high)."""
    return clamp(b, x, None, high)


@rule("aten.where.self", "aten.where.ScalarSelf", "aten.where.ScalarOther", "aten.where.Scalar")
def where(b: Builder, condition: SSAValue, x: Operand, y: Operand) -> SSAValue:
    """x where the condition holds, else y."""
    element = b.out_element
    return b.pointwise("where", b.cast(condition, i1), b.operand(x, element), b.operand(y, element))


@rule("aten.masked_fill.Scalar", "aten.masked_fill.Tensor")
def masked_fill(b: Builder, x: SSAValue, mask: SSAValue, value: Operand) -> SSAValue:
    """`value` where the mask holds, else x."""
    return where(b, mask, value, x)
