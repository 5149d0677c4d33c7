"""exp, exp2, expm1 and tanh in f32.

Reduction: x = n ln2 + r with n an integer and |r| <= ln2 / 2, in two steps of fused multiply-add;
then e^r = 1 + r + r^2 q(r), scaled by 2^n. Adding 1.5 * 2^23 rounds to an integer and leaves that
integer in the low bits, so that 2^n costs shifts and additions only.
"""

from __future__ import annotations

from xdsl.ir import SSAValue

from .coefficients import EXP2_F32, EXP_F32
from .formula import Formula, named

LOG2_E = 1.44269504088896340736
LN2_HIGH, LN2_LOW = 0.693145751953125, 1.42860682030941723212e-6
ROUNDER = 12582912.0  # 1.5 * 2^23
ROUNDER_BITS = 0x4B400000
ONE_BITS = 0x3F800000


def reduce(f: Formula, x: SSAValue) -> tuple[SSAValue, SSAValue]:
    """r, and the float whose low bits are n."""
    rounder = f.number(ROUNDER)
    shifted = named(f.fma(x, f.number(LOG2_E), rounder), "shifted")
    n = named(f.sub(shifted, rounder), "n")
    r = f.fma(n, f.number(-LN2_HIGH), x)
    return named(f.fma(n, f.number(-LN2_LOW), r), "r"), shifted


def scale_twice(f: Formula, value: SSAValue, shifted: SSAValue) -> SSAValue:
    """value * 2^n for any n of interest: in halves, since 2^n itself may not be a normal number.

    The first product is exact, so a subnormal result is rounded once.
    """
    n = named(f.as_bits(shifted), "n_bits")
    half = named(f.shift_right(n, 1), "half")
    # Shifting by 23 also pushes the bits of the rounder out.
    first = f.as_float(f.int_add(f.shift_left(half, 23), f.bits(ONE_BITS)))
    rest = f.int_sub(n, half)
    second = f.as_float(f.int_add(f.shift_left(rest, 23), f.bits(ONE_BITS)))
    return f.mul(named(f.mul(value, first), "scaled"), second)


def exp_minus_one(f: Formula, r: SSAValue) -> SSAValue:
    """e^r - 1 = r + r^2 q(r)."""
    return f.fma(f.mul(r, r), f.polynomial(r, EXP_F32), r)


def exp(f: Formula, x: SSAValue) -> SSAValue:
    """e^x; below -104 it rounds to zero, above 89 it is infinite."""
    r, shifted = reduce(f, f.clamp(x, -104.0, 89.0))
    return scale_twice(f, f.add(exp_minus_one(f, r), f.number(1.0)), shifted)


def exp2(f: Formula, x: SSAValue) -> SSAValue:
    """2^x: the reduction is exact."""
    clamped = f.clamp(x, -151.0, 129.0)
    rounder = f.number(ROUNDER)
    shifted = f.add(clamped, rounder)
    r = f.sub(clamped, f.sub(shifted, rounder))
    value = f.fma(f.polynomial(r, EXP2_F32), r, f.number(1.0))
    return scale_twice(f, value, shifted)


def expm1(f: Formula, x: SSAValue) -> SSAValue:
    """2 (2^(n-1) (e^r - 1) + (2^(n-1) - 1/2)), since 2^128 is no float."""
    r, shifted = reduce(f, f.clamp(x, -30.0, 89.0))
    exponent = f.shift_left(f.as_bits(shifted), 23)
    half_scale = f.as_float(f.int_add(exponent, f.bits(ONE_BITS - (1 << 23))))
    offset = f.sub(half_scale, f.number(0.5))
    half = f.fma(half_scale, exp_minus_one(f, r), offset)
    # Halving loses the last bit of a subnormal, and the offset the sign of zero.
    is_tiny = f.compare("olt", f.absolute(x), f.number(2.0**-25))
    return f.select(is_tiny, x, f.add(half, half))


def tanh(f: Formula, x: SSAValue) -> SSAValue:
    """m / (m + 2) with m = e^(2|x|) - 1; past |x| = 9.1 it rounds to one."""
    magnitude = f.clamp(f.absolute(x), 0.0, 9.125)
    r, shifted = reduce(f, f.add(magnitude, magnitude))
    exponent = f.shift_left(f.as_bits(shifted), 23)
    scale = f.as_float(f.int_add(exponent, f.bits(ONE_BITS)))
    m = f.fma(scale, exp_minus_one(f, r), f.sub(scale, f.number(1.0)))
    return f.with_sign_of(f.div(m, f.add(m, f.number(2.0))), x)
