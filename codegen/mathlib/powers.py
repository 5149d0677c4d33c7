"""pow in f32: 2^(y log2 x) with log2 x and the product in two parts each."""

from __future__ import annotations

import math

from xdsl.ir import SSAValue

from .formula import Formula, named
from .tables import table


def _log2_parts(f: Formula, x: SSAValue) -> tuple[SSAValue, SSAValue]:
    """log2 of a positive number as high + low, to about 2^-33 of its size."""
    e, s = f.exponent(x), f.significand(x)
    index = f.shift_right(f.as_bits(s), f.mantissa_bits - 4)
    inverse = f.lookup(index, table("log2.inverse", f.element))
    _, _, slope, slope_low = table("log2.constants", f.element)
    # s / c - 1 in two parts: the product is exact in high and low.
    product = f.mul(s, inverse)
    product_low = f.lost(s, inverse, product)
    r = named(f.sub(product, f.number(1.0)), "r")
    large = f.add(e, f.lookup(index, table("log2", f.element)))
    linear = f.mul(r, f.number(slope))
    linear_low = f.lost(r, f.number(slope), linear)
    # r^2 q(r): the first coefficient of q in two parts, r^2 as well.
    half, half_low = table("log2.second", f.element)
    square = f.mul(r, r)
    square_low = f.lost(r, r, square)
    bend = f.mul(square, f.number(half))
    bend_low = f.lost(square, f.number(half), bend)
    bend_low = f.fma(square_low, f.number(half), bend_low)
    bend_low = f.fma(square, f.number(half_low), bend_low)
    rest = f.mul(f.mul(square, r), f.program("log2_third", r))
    low = f.fma(r, f.number(slope_low), f.add(linear_low, f.add(bend_low, rest)))
    # The slope of log2(1 + r) is slope (1 - r) near enough.
    low = f.fma(product_low, f.fma(r, f.number(-slope), f.number(slope)), low)
    # slope r and the bend, then the whole: larger first.
    near = f.add(linear, bend)
    low = f.add(low, f.sub(bend, f.sub(near, linear)))
    total = f.add(large, near)
    low = f.add(low, f.sub(near, f.sub(total, large)))
    low = f.add(low, f.lookup(index, table("log2.low", f.element)))
    is_finite = f.compare("olt", f.absolute(e), f.number(math.inf))
    low = f.select(is_finite, low, f.number(0.0))
    high = f.add(total, low)
    return high, f.select(is_finite, f.sub(low, f.sub(high, total)), f.number(0.0))


def power(f: Formula, x: SSAValue, y: SSAValue) -> SSAValue:
    """|x|^y, negative for negative x and odd y, NaN for negative x and fractions."""
    high, low = _log2_parts(f, f.absolute(x))
    zero, one = f.number(0.0), f.number(1.0)
    # Past 2^50 every product but 0 is out of range already.
    steep = f.clamp(y, -(2.0**50), 2.0**50)
    product = named(f.mul(steep, high), "product")
    product_low = f.fma(steep, low, f.lost(steep, high, product))
    clamped = f.clamp(product, -151.0, 129.0)
    product_low = f.select(f.compare("oeq", clamped, product), product_low, zero)
    n = f.nearest(clamped)
    r = f.sub(clamped, n)
    total = f.add(r, product_low)
    lost = f.add(f.sub(r, total), product_low)
    curve = f.program("exp2", total)
    value = named(f.fma(total, curve, one), "value")
    dropped = f.fma(total, curve, f.sub(one, value))
    # 2^(total + lost) = 2^total (1 + lost ln2), where lost is too small for more.
    dropped = f.fma(f.mul(lost, f.number(math.log(2))), value, dropped)
    return _with_sign(f, x, y, f.scale(f.add(value, dropped), n))


def _with_sign(f: Formula, x: SSAValue, y: SSAValue, value: SSAValue) -> SSAValue:
    """The rules of C: 1 for y = 0 and x = 1, then the sign and NaN of negative x."""
    one, infinity = f.number(1.0), f.number(math.inf)
    half = f.mul(y, f.number(0.5))
    is_odd_or_fraction = f.compare("one", f.floor(half), half)
    is_fraction = f.compare("one", f.floor(y), y)
    signed = f.select(is_odd_or_fraction, f.with_sign_of(value, x), value)
    # -inf and -0 to a fraction have the value of inf and 0.
    is_finite = f.compare("olt", f.absolute(x), infinity)
    is_nonzero = f.compare("one", x, f.number(0.0))
    undefined = f.select(is_finite, f.select(is_nonzero, f.number(math.nan), value), value)
    is_negative = f.compare("olt", x, f.number(0.0))
    of_fraction = f.select(is_negative, undefined, value)
    signed = f.select(is_fraction, of_fraction, signed)
    signed = f.select(f.compare("oeq", x, one), one, signed)
    return f.select(f.compare("oeq", y, f.number(0.0)), one, signed)
