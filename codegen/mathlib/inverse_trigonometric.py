"""asin, acos, atan and atan2."""

from __future__ import annotations

import math

from xdsl.ir import SSAValue

from .formula import Formula, named

HALF_PI_F32 = (1.5707963705062866, -4.3711388286737929e-08)
HALF_PI_F64 = (1.5707963267948965580, 6.123233995736766e-17)


def half_pi(f: Formula) -> tuple[float, float]:
    """pi / 2 as the sum of two numbers."""
    return HALF_PI_F32 if f.element == "f32" else HALF_PI_F64


def _root(f: Formula, magnitude: SSAValue) -> tuple[SSAValue, SSAValue, SSAValue | None]:
    """(u, root, low): u = (1 - |x|) / 2 exactly, and its square root as root + low."""
    u = f.fma(magnitude, f.number(-0.5), f.number(0.5))
    root = named(f.sqrt(u), "root")
    if not f.is_exact:
        return u, root, None
    missing = f.fma(f.negate(root), root, u)
    # At |x| = 1 the root is zero; the smallest normal number keeps 0 / 0 out.
    twice = f.at_least(f.add(root, root), f.pick(2.0**-100, 2.0**-1000))
    return u, root, f.div(missing, twice)


def _product_and(f: Formula, a: SSAValue, b: SSAValue, low: SSAValue | None) -> SSAValue:
    """a * b + low, if there is a low part."""
    return f.mul(a, b) if low is None else f.fma(a, b, low)


def asin(f: Formula, x: SSAValue) -> SSAValue:
    """Up to 1/2 a polynomial; beyond, pi / 2 - 2 asin sqrt((1 - |x|) / 2)."""
    magnitude = f.absolute(x)
    is_near = f.compare("olt", magnitude, f.number(0.5))
    u, root, low = _root(f, magnitude)
    square = f.select(is_near, f.mul(magnitude, magnitude), u)
    base = f.select(is_near, magnitude, root)
    curve = f.mul(f.program("asin", square), square)
    near = f.fma(curve, base, base)
    high_part, low_part = half_pi(f)
    large = f.sub(f.number(high_part), f.add(root, root))
    lost = f.sub(f.sub(f.number(high_part), large), f.add(root, root))
    tail = _product_and(f, curve, root, low)
    rest = f.add(lost, f.fma(tail, f.number(-2.0), f.number(low_part)))
    return f.with_sign_of(f.select(is_near, near, f.add(large, rest)), x)


def acos(f: Formula, x: SSAValue) -> SSAValue:
    """pi / 2 - asin x up to 1/2; beyond, 2 asin sqrt((1 - |x|) / 2), or pi less that."""
    magnitude = f.absolute(x)
    is_near = f.compare("olt", magnitude, f.number(0.5))
    u, root, low = _root(f, magnitude)
    square = f.select(is_near, f.mul(magnitude, magnitude), u)
    curve = f.mul(f.program("asin", square), square)
    high_part, low_part = half_pi(f)
    middle = f.sub(f.number(high_part), x)
    lost = f.sub(f.sub(f.number(high_part), middle), x)
    near = f.add(middle, f.add(lost, f.fma(f.negate(x), curve, f.number(low_part))))
    tail = _product_and(f, curve, root, low)
    twice, twice_tail = f.add(root, root), f.add(tail, tail)
    is_negative = f.compare("olt", x, f.number(0.0))
    reflected = f.sub(f.number(2 * high_part), twice)
    dropped = f.sub(f.sub(f.number(2 * high_part), reflected), twice)
    below = f.add(reflected, f.add(dropped, f.sub(f.number(2 * low_part), twice_tail)))
    far = f.select(is_negative, below, f.add(twice, twice_tail))
    return f.select(is_near, near, far)


def _slope(f: Formula, square: SSAValue) -> SSAValue:
    """1 / (1 + z^2), to a tenth: what a small change of z is multiplied by."""
    return f.fma(square, f.number(-0.5), f.number(1.0))


def atan(f: Formula, x: SSAValue) -> SSAValue:
    """Of |x|, or pi / 2 less the one of 1 / |x|."""
    magnitude = f.absolute(x)
    is_far = f.compare("ogt", magnitude, f.number(1.0))
    inverse = f.div(f.number(1.0), magnitude)
    z = named(f.select(is_far, inverse, magnitude), "z")
    square = f.mul(z, z)
    low: SSAValue | None = None
    if f.is_exact:
        # What the division drops; past 2^20 it is nothing, and inf * 0 must not come of it.
        missing = f.fma(f.negate(inverse), magnitude, f.number(1.0))
        is_ordinary = f.compare("olt", magnitude, f.number(2.0**20))
        low = f.select(is_ordinary, f.mul(inverse, missing), f.number(0.0))
        low = f.mul(low, _slope(f, square))
    bend = f.program("atan", square)
    curve = f.mul(bend, square)
    if low is not None:  # z is about 1 where the curve is so large that its rounding counts
        low = f.add(low, f.lost(bend, square, curve))
    near = f.fma(curve, z, z)
    high_part, low_part = half_pi(f)
    large = f.sub(f.number(high_part), z)
    lost = f.sub(f.sub(f.number(high_part), large), z)
    rest = f.number(-low_part)
    tail = f.fma(curve, z, rest if low is None else f.add(low, rest))
    far = f.add(large, f.sub(lost, tail))
    return f.with_sign_of(f.select(is_far, far, near), x)


def atan2(f: Formula, y: SSAValue, x: SSAValue) -> SSAValue:
    """The angle of (x, y): of the smaller over the larger magnitude, reflected twice."""
    a, b = f.absolute(y), f.absolute(x)
    is_steep = f.compare("ogt", a, b)
    larger, smaller = f.select(is_steep, a, b), f.select(is_steep, b, a)
    # Up to where the remainder of the quotient is exact; then 0 / 0 is 0 and inf / inf is 1.
    is_small = f.compare("olt", larger, f.number(f.pick(2.0**-60, 2.0**-900)))
    up = f.select(is_small, f.number(f.pick(2.0**64, 2.0**128)), f.number(1.0))
    larger, smaller = f.mul(larger, up), f.mul(smaller, up)
    infinity = f.number(math.inf)
    is_bounded = f.compare("olt", larger, infinity)
    both = f.compare("oeq", smaller, infinity)
    one = f.number(1.0)
    beside = f.select(both, one, f.select(f.compare("uno", x, y), smaller, f.number(0.0)))
    numerator = f.select(is_bounded, smaller, beside)
    tiny = f.pick(2.0**-126, 2.0**-1022)
    denominator = f.select(is_bounded, f.at_least(larger, tiny), f.at_most(larger, 1.0))
    z = named(f.div(numerator, denominator), "z")
    square = f.mul(z, z)
    low: SSAValue | None = None
    if f.is_exact:
        low = f.div(f.fma(f.negate(z), denominator, numerator), denominator)
        low = f.select(f.compare("ogt", z, f.number(2.0**-30)), low, f.number(0.0))
        low = f.mul(low, _slope(f, square))
    curve = f.mul(f.program("atan", square), square)
    tail = _product_and(f, curve, z, low)
    high_part, low_part = half_pi(f)
    zero = f.number(0.0)
    is_left = f.compare("olt", f.with_sign_of(f.number(1.0), x), zero)
    # angle = base + sign * (z + tail)
    base_steep = f.number(high_part)
    base_flat = f.select(is_left, f.number(2 * high_part), zero)
    base = f.select(is_steep, base_steep, base_flat)
    base_low = f.select(
        is_steep, f.number(low_part), f.select(is_left, f.number(2 * low_part), zero)
    )
    turn = f.select(is_steep, f.number(1.0), f.number(-1.0))
    sign = f.select(is_left, turn, f.negate(turn))
    signed = f.mul(z, sign)
    total = f.add(base, signed)
    lost = f.sub(signed, f.sub(total, base))
    value = f.add(total, f.add(lost, f.fma(tail, sign, base_low)))
    return f.with_sign_of(value, y)
