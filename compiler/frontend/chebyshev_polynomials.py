"""Chebyshev polynomials of four kinds, of a degree that is data.

With x = cos(t) they are quotients of trigonometric functions of t; outside, x = cosh(u) and the
powers of e^u = |x| + sqrt(x^2 - 1) take their place.
"""

from __future__ import annotations

from xdsl.dialects.builtin import f64
from xdsl.ir import SSAValue

from .builder import Builder, Operand
from .rules import rule

# T is cos(n t); U sin((n + 1) t) / sin(t); V and W the quotients of (n + 1/2) t and t / 2
SHIFT = {"t": 0.0, "u": 1.0, "v": 0.5, "w": 0.5}
DIVISOR = {"u": 1.0, "v": 0.5, "w": 0.5}


def _register(kind: str, prefix: str) -> None:
    name = f"aten.special_{prefix}chebyshev_polynomial_{kind}"

    @rule(f"{name}.default", f"{name}.x_scalar", f"{name}.n_scalar")
    def chebyshev(b: Builder, x: Operand, degree: Operand) -> SSAValue:
        x, n = b.operand(x, f64), b.pointwise("trunc", b.operand(degree, f64))
        if prefix:
            x = b.pointwise("sub", b.pointwise("mul", x, 2.0), 1.0)
        value = polynomial(b, kind, x, n)
        value = b.pointwise("where", b.pointwise("eq", n, 0.0), 1.0, value)  # of NaN too
        return b.cast(b.pointwise("where", b.pointwise("lt", n, 0.0), 0.0, value), b.out_element)


for _kind in SHIFT:
    _register(_kind, "")
    _register(_kind, "shifted_")


def polynomial(b: Builder, kind: str, x: SSAValue, n: SSAValue) -> SSAValue:
    """The polynomial of degree `n` >= 0 at `x`."""
    size = b.pointwise("abs", x)
    half = b.pointwise("mul", n, 0.5)
    is_odd = b.pointwise("ne", b.pointwise("floor", half), half)
    sign = b.pointwise("where", is_odd, b.full(-1.0, f64), b.full(1.0, f64))
    is_negative = b.pointwise("lt", x, 0.0)
    # at negative x: the polynomial at |x| with the sign of (-1)^n, V and W being exchanged
    mirrored = {"v": "w", "w": "v"}.get(kind, kind)
    value = b.pointwise(
        "where",
        is_negative,
        b.pointwise("mul", sign, outside(b, mirrored, size, n)),
        outside(b, kind, size, n),
    )
    return b.pointwise("where", b.pointwise("lt", size, 1.0), inside(b, kind, x, n), value)


def inside(b: Builder, kind: str, x: SSAValue, n: SSAValue) -> SSAValue:
    """The quotient of cosines or sines for |x| < 1."""
    fn = "cos" if kind in ("t", "v") else "sin"
    angle = b.pointwise("acos", x)
    value = b.pointwise(fn, b.pointwise("mul", b.pointwise("add", n, SHIFT[kind]), angle))
    if kind == "t":
        return value
    divisor = b.pointwise(fn, b.pointwise("mul", angle, DIVISOR[kind]))
    return b.pointwise("div", value, divisor)


def outside(b: Builder, kind: str, size: SSAValue, n: SSAValue) -> SSAValue:
    """The same with hyperbolic functions for |x| >= 1, which `size` is."""
    root = b.pointwise("mul", b.pointwise("sub", size, 1.0), b.pointwise("add", size, 1.0))
    base = b.pointwise("add", size, b.pointwise("sqrt", root))
    fn = "add" if kind in ("t", "v") else "sub"

    def twice(exponent: SSAValue) -> SSAValue:
        power = b.pointwise("pow", base, exponent)
        return b.pointwise(fn, power, b.pointwise("reciprocal", power))

    value = twice(b.pointwise("add", n, SHIFT[kind]))
    if kind == "t":
        return b.pointwise("mul", value, 0.5)
    value = b.pointwise("div", value, twice(b.full(DIVISOR[kind], f64)))
    if kind == "v":
        return value
    # sines vanish at 1, where the quotient is that of their arguments
    limit = b.pointwise("div", b.pointwise("add", n, SHIFT[kind]), DIVISOR[kind])
    return b.pointwise("where", b.pointwise("eq", size, 1.0), limit, value)
