"""sin, cos and tan.

Reduction: x = n pi + r (tan: n pi / 2) with pi in three parts inside of fma, r with a low part. It
holds up to a bound on |x|; the rare lanes past it are left to libm, which multiplies by as many
digits of 1 / pi as their exponents ask for (Payne and Hanek).
"""

from __future__ import annotations

import math

from xdsl.ir import SSAValue

from .formula import Formula, named

PI_F32 = (3.1415927410125732, -8.7422776573475858e-08, -3.4302490650093317e-15)
PI_F64 = (3.141592653589793116, 1.2246467991473532e-16, -2.9947698097183397e-33)
THIRD_F32 = (0.3333333432674408, -9.934107462565103e-09)  # the sum of two
THIRD_F64 = (1 / 3, 1.850371707708594e-17)
BOUND_F32, BOUND_F64 = 2.0**16, 2.0**22


def _parts(f: Formula, divisor: float) -> tuple[float, float, float]:
    """pi / divisor (a power of two) as a sum of three."""
    first, second, third = PI_F32 if f.element == "f32" else PI_F64
    return first / divisor, second / divisor, third / divisor


Reduced = tuple[SSAValue, SSAValue | None]


def reduce(f: Formula, x: SSAValue, n: SSAValue, divisor: float) -> Reduced:
    """(r, low): x - n pi / divisor = r + low; no low part within 4 ULP."""
    first, second, third = _parts(f, divisor)
    coarse = f.subtract_multiple(x, n, [first])
    if not f.is_exact:
        return f.subtract_multiple(coarse, n, [second, third]), None
    product = f.mul(n, f.number(second))
    r = named(f.sub(coarse, product), "r")
    # The product may be the larger one, near multiples of pi.
    part = f.sub(r, coarse)
    low = f.sub(f.sub(coarse, f.sub(r, part)), f.add(product, part))
    low = f.add(low, f.fma(n, f.number(-second), product))
    return r, named(f.fma(n, f.number(-third), low), "low")


def _from_quarter(f: Formula, r: SSAValue, low: SSAValue, is_cosine: SSAValue) -> SSAValue:
    """cos(r + low) in the lanes of the mask, sin in the others, for |r| <= pi / 4.

    With u = r^2: sin is r + (r u q(u) + low); cos is (1 - u/2) + (u u q(u) - r low + what the
    rounding of 1 - u/2 dropped).
    """
    u = named(f.mul(r, r), "u")
    one = f.number(1.0)
    bend = f.fma(u, f.number(-0.5), one)
    dropped = f.fma(u, f.number(-0.5), f.sub(one, bend))
    base = f.select(is_cosine, bend, r)
    rest = f.select(is_cosine, f.fma(f.negate(r), low, dropped), low)
    curve = f.select(is_cosine, f.program("cos_quarter", u), f.program("sin_quarter", u))
    factor = f.mul(f.select(is_cosine, u, r), u)
    return f.add(base, f.fma(curve, factor, rest))


def _sine(f: Formula, x: SSAValue, quarters: int) -> SSAValue:
    """sin(|x| + quarters pi / 2) up to the sign of x; n counts quarters of a turn."""
    n, shifted = f.multiples(x, 2 / math.pi)
    r, low = reduce(f, x, n, 2.0)
    assert low is not None
    turned = f.as_bits(shifted)
    if quarters:
        turned = f.int_add(turned, f.bits(quarters))
    value = _from_quarter(f, r, low, f.is_odd(f.as_float(turned)))
    return f.flip(value, f.odd_sign(f.as_float(f.shift_right(turned, 1))))


def _coarse_sine(f: Formula, x: SSAValue, n: SSAValue, sign: SSAValue) -> SSAValue:
    """One polynomial for all |r| <= pi / 2; its roundings add up to 2 ULP."""
    r, _ = reduce(f, x, n, 1.0)
    square = named(f.mul(r, r), "square")
    curve = f.mul(f.program("sin", square), square)
    return f.flip(f.fma(curve, r, r), sign)


def _checked(f: Formula, name: str, x: SSAValue, value: SSAValue) -> SSAValue:
    bound = f.number(f.pick(BOUND_F32, BOUND_F64))
    is_large = f.compare("ogt", f.absolute(x), bound)
    return f.rare(is_large, value, x, name)


def sin(f: Formula, x: SSAValue) -> SSAValue:
    """sin |x| with the sign of x."""
    magnitude = f.absolute(x)
    if f.is_exact:
        value = f.flip(_sine(f, magnitude, 0), f.sign_of(x))
    else:
        n, shifted = f.multiples(magnitude, 1 / math.pi)
        sign = f.int_xor(f.sign_of(x), f.odd_sign(shifted))
        value = _coarse_sine(f, magnitude, n, sign)
    return _checked(f, "sin", x, value)


def cos(f: Formula, x: SSAValue) -> SSAValue:
    """A quarter turn further; coarsely, sin of x less an odd multiple of pi / 2."""
    magnitude = f.absolute(x)
    if f.is_exact:
        value = _sine(f, magnitude, 1)
    else:
        turns = f.fma(magnitude, f.number(1 / math.pi), f.number(-0.5))
        shifted = named(f.add(turns, f.rounder), "shifted")
        n = f.add(f.sub(shifted, f.rounder), f.number(0.5))
        sign = f.int_xor(f.odd_sign(shifted), f.sign_bit)
        value = _coarse_sine(f, magnitude, named(n, "n"), sign)
    return _checked(f, "cos", x, value)


def tan(f: Formula, x: SSAValue) -> SSAValue:
    """t = tan r, and -1 / t where n is odd."""
    magnitude = f.absolute(x)
    n, shifted = f.multiples(magnitude, 2 / math.pi)
    r, low = reduce(f, magnitude, n, 2.0)
    square = named(f.mul(r, r), "square")
    is_odd = f.is_odd(shifted)
    if low is None:
        curve = f.fma(f.program("tan_fifth", square), square, f.number(1 / 3))
        t = f.fma(curve, f.mul(square, r), r)
        value = f.select(is_odd, f.div(f.number(-1.0), t), t)
    else:
        # tan'(r) low = low (1 + tan^2 r), and tan^2 r is square + square^2 near enough.
        rest = f.fma(f.mul(low, square), f.add(square, f.number(1.0)), low)
        # cube / 3 lacks what the square and the third were rounded by.
        third, left = THIRD_F32 if f.element == "f32" else THIRD_F64
        lost = f.mul(f.lost(r, r, square), f.number(third))
        rest = f.fma(f.fma(square, f.number(left), lost), r, rest)
        cube = f.mul(square, r)
        tail = f.fma(f.mul(f.program("tan_fifth", square), square), cube, rest)
        tail = f.fma(cube, f.number(third), tail)
        t = named(f.add(r, tail), "t")
        rest = f.sub(tail, f.sub(t, r))
        inverse = f.div(f.number(-1.0), t)
        missing = f.fma(inverse, t, f.number(1.0))
        cotangent = f.fma(inverse, f.fma(inverse, rest, missing), inverse)
        value = f.select(is_odd, cotangent, t)
    return _checked(f, "tan", x, f.flip(value, f.sign_of(x)))
