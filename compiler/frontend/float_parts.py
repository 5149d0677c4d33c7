"""Neighbours and parts of floats, by exact arithmetic in f64: nextafter and frexp."""

from __future__ import annotations

from math import inf, nan

import torch
from xdsl.dialects.builtin import f64, i32
from xdsl.ir import SSAValue

from ...dialects.graph import element_of
from .builder import Builder
from .rules import UnsupportedUse, rule
from .tensor_types import DTYPES


@rule("aten.nextafter.default")
def nextafter(b: Builder, x: SSAValue, goal: SSAValue) -> SSAValue:
    """The float next to x in the direction of `goal`: what x plus 0.7 of a spacing rounds to."""
    element = b.out_element
    if element == f64:
        raise UnsupportedUse("nextafter of float64 needs a wider type; convert to float32")
    x, goal = b.cast(b.cast(x, element), f64), b.cast(b.cast(goal, element), f64)
    limits = torch.finfo(DTYPES[element])
    # 0.7: of two spacings, the lower one of which is half as long, both are met by rounding
    step = b.pointwise("mul", b.pointwise("abs", x), 0.7 * limits.eps)
    step = b.pointwise("maximum", step, 0.7 * limits.tiny * limits.eps)
    above = 2.0 ** (round(torch.tensor(limits.max, dtype=torch.float64).log2().item()))
    is_infinite = b.pointwise("isinf", x)
    start = b.pointwise("where", is_infinite, b.pointwise("mul", b.pointwise("sign", x), above), x)
    step = b.pointwise("where", is_infinite, 0.7 * limits.eps * above, step)
    up, down = b.pointwise("add", start, step), b.pointwise("sub", start, step)
    value = b.pointwise("where", b.pointwise("gt", goal, x), up, down)
    value = b.pointwise("where", b.pointwise("eq", goal, x), goal, value)
    is_nan = b.pointwise("or", b.pointwise("isnan", x), b.pointwise("isnan", goal))
    return b.cast(b.pointwise("where", is_nan, nan, value), element)


@rule("aten.frexp.Tensor")
def frexp(b: Builder, x: SSAValue) -> tuple[SSAValue, SSAValue]:
    """x = mantissa * 2^exponent with 1/2 <= |mantissa| < 1."""
    if element_of(x) == f64:
        raise UnsupportedUse("frexp of float64 needs a wider type; convert to float32")
    wide = b.cast(x, f64)
    size = b.pointwise("abs", wide)
    is_ordinary = b.pointwise("and", b.pointwise("gt", size, 0.0), b.pointwise("lt", size, inf))
    size = b.pointwise("where", is_ordinary, size, 1.0)
    exponent = b.pointwise("add", b.pointwise("floor", b.pointwise("log2", size)), 1.0)
    scaled = b.pointwise("mul", wide, b.pointwise("exp2", b.pointwise("neg", exponent)))
    mantissa = b.pointwise("where", is_ordinary, scaled, wide)
    exponent = b.pointwise("where", is_ordinary, exponent, 0.0)
    return b.cast(mantissa, b.out_element), b.cast(exponent, i32)
