"""log, log2, log10 and log1p in f32.

Reduction: x = 2^e (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)), by integer operations on the bits;
then a polynomial in f. Subnormal x are scaled by 2^23 first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from xdsl.ir import SSAValue

from .coefficients import LOG2_F32, LOG10_F32, LOG_F32
from .exponentials import LN2_HIGH, LN2_LOW, ONE_BITS
from .formula import Formula, named

SQRT_HALF_BITS = 0x3F3504F3
SMALLEST_NORMAL = 2.0**-126


def split(f: Formula, x: SSAValue) -> tuple[SSAValue, SSAValue]:
    """(e as an integer, 1 + f) of a normal number."""
    bits = f.int_sub(f.as_bits(x), f.bits(SQRT_HALF_BITS))
    exponent = f.shift_right(bits, 23)
    mantissa = f.int_and(bits, f.bits((1 << 23) - 1))
    return exponent, f.as_float(f.int_add(mantissa, f.bits(SQRT_HALF_BITS)))


def reduce(f: Formula, x: SSAValue) -> tuple[SSAValue, SSAValue]:
    """(e, f) of a positive finite number, subnormals included."""
    is_subnormal = f.compare("olt", x, f.number(SMALLEST_NORMAL))
    scaled = f.select(is_subnormal, f.mul(x, f.number(2.0**23)), x)
    exponent, mantissa = split(f, scaled)
    shift = f.select(is_subnormal, f.number(-23.0), f.number(0.0))
    return f.add(f.to_float(exponent), shift), f.sub(mantissa, f.number(1.0))


def with_limits(f: Formula, x: SSAValue, value: SSAValue) -> SSAValue:
    """The logarithm's values at zero, infinity, NaN and below zero."""
    infinity = f.number(math.inf)
    value = f.select(f.compare("olt", x, infinity), value, x)
    value = f.select(f.compare("ult", x, f.number(0.0)), f.number(math.nan), value)
    return f.select(f.compare("oeq", x, f.number(0.0)), f.number(-math.inf), value)


def natural(f: Formula, e: SSAValue, r: SSAValue) -> SSAValue:
    """e ln2 + log(1 + r)."""
    square = named(f.mul(r, r), "square")
    tail = f.fma(f.mul(square, r), f.polynomial(r, LOG_F32), f.mul(e, f.number(LN2_LOW)))
    tail = f.fma(square, f.number(-0.5), tail)
    return f.fma(e, f.number(LN2_HIGH), f.add(r, tail))


def log(f: Formula, x: SSAValue) -> SSAValue:
    """Natural logarithm."""
    return with_limits(f, x, natural(f, *reduce(f, x)))


def _to_base(
    f: Formula, x: SSAValue, tail: Sequence[float], per_e: float, per_f: float
) -> SSAValue:
    """e per_e + f per_f + f^2 q(f), the two factors in two parts each."""
    e, r = reduce(f, x)
    e_high, e_low = two_parts(per_e)
    f_high, f_low = two_parts(per_f)
    value = f.fma(f.mul(r, r), f.polynomial(r, tail), f.mul(r, f.number(f_low)))
    if e_low:
        value = f.fma(e, f.number(e_low), value)
    value = f.fma(r, f.number(f_high), value)
    return with_limits(f, x, f.fma(e, f.number(e_high), value))


def two_parts(value: float) -> tuple[float, float]:
    """`value` as the sum of a number of 16 bits, whose product with e is exact, and the rest."""
    mantissa, exponent = math.frexp(value)
    high = math.ldexp(round(mantissa * (1 << 16)), exponent - 16)
    return high, value - high


def log2(f: Formula, x: SSAValue) -> SSAValue:
    """Logarithm to base 2."""
    return _to_base(f, x, LOG2_F32, 1.0, 1 / math.log(2))


def log10(f: Formula, x: SSAValue) -> SSAValue:
    """Logarithm to base 10."""
    return _to_base(f, x, LOG10_F32, math.log10(2), 1 / math.log(10))


def log1p(f: Formula, x: SSAValue) -> SSAValue:
    """log(1 + x): e comes from 1 + x, but f = 2^-e x + (2^-e - 1) from x, so nothing is lost."""
    total = f.add(x, f.number(1.0))
    exponent, mantissa = split(f, total)
    inverse = f.as_float(f.int_sub(f.bits(ONE_BITS), f.shift_left(exponent, 23)))
    from_x = f.fma(x, inverse, f.sub(inverse, f.number(1.0)))
    # Far out 1 + x is x to the last bit, and 2^-e soon no normal number.
    is_far = f.compare("ogt", x, f.number(2.0**25))
    r = f.select(is_far, f.sub(mantissa, f.number(1.0)), from_x)
    value = with_limits(f, total, natural(f, f.to_float(exponent), r))
    is_tiny = f.compare("olt", f.absolute(x), f.number(2.0**-25))
    return f.select(is_tiny, x, value)
