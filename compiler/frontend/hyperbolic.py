"""Inverse hyperbolic functions as formulas over logarithms."""

from __future__ import annotations

import math

from xdsl.ir import SSAValue

from .builder import Builder
from .rounding import rounds_once
from .rules import rule


@rule("aten.asinh.default")
@rounds_once
def asinh(b: Builder, x: SSAValue) -> SSAValue:
    """sign(x) log(|x| + sqrt(x^2 + 1)), by log1p where small and by log(2 |x|) where large."""
    x = b.cast(x, b.out_element)
    size = b.pointwise("abs", x)
    square = b.pointwise("mul", size, size)
    root = b.pointwise("add", b.pointwise("sqrt", b.pointwise("add", square, 1.0)), 1.0)
    small = b.pointwise("log1p", b.pointwise("add", size, b.pointwise("div", square, root)))
    return b.pointwise(
        "mul",
        b.pointwise("where", is_large(b, size), log_of_double(b, size), small),
        b.pointwise("sign", x),
    )


@rule("aten.acosh.default")
@rounds_once
def acosh(b: Builder, x: SSAValue) -> SSAValue:
    """log(x + sqrt(x^2 - 1)) around x = 1."""
    x = b.cast(x, b.out_element)
    above = b.pointwise("sub", x, 1.0)
    square = b.pointwise("mul", above, b.pointwise("add", above, 2.0))
    small = b.pointwise("log1p", b.pointwise("add", above, b.pointwise("sqrt", square)))
    return b.pointwise("where", is_large(b, x), log_of_double(b, x), small)


@rule("aten.atanh.default")
@rounds_once
def atanh(b: Builder, x: SSAValue) -> SSAValue:
    """log((1 + x) / (1 - x)) / 2."""
    x = b.cast(x, b.out_element)
    ratio = b.pointwise("div", b.pointwise("add", x, x), b.pointwise("sub", 1.0, x))
    return b.pointwise("mul", b.pointwise("log1p", ratio), 0.5)


def is_large(b: Builder, x: SSAValue) -> SSAValue:
    """Where x^2 + 1 is x^2, and before x^2 overflows."""
    return b.pointwise("gt", x, 1e9)


def log_of_double(b: Builder, x: SSAValue) -> SSAValue:
    """log(2 x) without overflow."""
    return b.pointwise("add", b.pointwise("log", x), math.log(2))
