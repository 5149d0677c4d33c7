"""tanh and erf: one polynomial on each of 16 intervals, whose coefficients registers hold.

The intervals of |x| are half octaves; the first reaches down to zero. On each, the value is
c0 + (|x| - center) p(|x| - center), where the center is chosen so that c0 is nearly exact.
"""

from __future__ import annotations

from xdsl.ir import SSAValue

from .formula import Formula, named
from .tables import piece_count, table


def _piecewise(f: Formula, name: str, low: float, high: float, x: SSAValue) -> SSAValue:
    """The second interval starts at 1.5 `low`; past `high` the value is one."""
    magnitude = f.at_most(f.absolute(x), high)
    indexed = f.at_least(magnitude, low)
    index = f.shift_right(f.as_bits(indexed), f.mantissa_bits - 1)
    t = named(f.sub(magnitude, f.lookup(index, table(f"{name}.center", f.element))), "t")
    degree = piece_count(name, f.element) - 1
    curve = f.lookup(index, table(f"{name}.{degree}", f.element))
    for power in range(degree - 1, 0, -1):
        row = f.lookup(index, table(f"{name}.{power}", f.element))
        curve = named(f.fma(curve, t, row), "p")
    # On the first interval |x| itself stands for c0, so that the error is relative to it.
    base = f.lookup(index, table(f"{name}.0", f.element))
    is_first = f.compare("olt", magnitude, f.number(1.5 * low))
    base = f.select(is_first, magnitude, base)
    value = f.fma(curve, t, base)
    is_one = f.compare("oge", magnitude, f.number(high))  # exactly: gelu(-inf) is inf times 0
    return f.with_sign_of(f.select(is_one, f.number(1.0), value), x)


def tanh(f: Formula, x: SSAValue) -> SSAValue:
    """Past 9.1 (f64: 19.1) it rounds to one."""
    return _piecewise(f, "tanh", 0.0625, 9.125, x)


def erf(f: Formula, x: SSAValue) -> SSAValue:
    """Past 4 (f64: 6) it rounds to one."""
    return _piecewise(f, "erf", 0.03125, 3.9999, x)
