"""log, log2, log10 and log1p.

Reduction: x = 2^e s with s in [3/4, 3/2), then s = (1 + r) / c with c one of 16 by the first bits
of s, so that |r| < 1/16. The c are chosen (`tables.json`) so that -log c has few bits, which makes
e log 2 - log c exact in its high part.
"""

from __future__ import annotations

from xdsl.ir import SSAValue

from .formula import Formula, named
from .tables import table

INDEX_BITS = 4


def _reduced(f: Formula, base: str, s: SSAValue) -> tuple[SSAValue, SSAValue]:
    """(index of c, r) of a significand."""
    index = f.shift_right(f.as_bits(s), f.mantissa_bits - INDEX_BITS)
    return index, f.lookup(index, table(f"{base}.inverse", f.element))


def _from_parts(
    f: Formula, base: str, e: SSAValue, index: SSAValue, r: SSAValue, extra: SSAValue | None = None
) -> SSAValue:
    """e log 2 - log c + log(1 + r), all to `base` ("log", "log2", "log10").

    `extra` is added last; it is small beside r, or r is zero.
    """
    constants = table(f"{base}.constants", f.element)
    two_high, two_low, slope_high, slope_low = constants
    minus_log_c = f.lookup(index, table(base, f.element))
    large = f.add(e, minus_log_c) if base == "log2" else f.fma(e, f.number(two_high), minus_log_c)
    curve = f.program(base, r)
    slope = f.fma(r, curve, f.number(slope_low)) if slope_low else f.mul(r, curve)
    # The curve is small beside r, so its rounding is small beside the result.
    if extra is not None:
        small = f.fma(slope, r, f.fma(e, f.number(two_low), extra))
    elif two_low:
        small = f.fma(slope, r, f.mul(e, f.number(two_low)))
    else:
        small = f.mul(slope, r)
    if not f.is_exact:
        return f.add(large, f.fma(r, f.number(slope_high), small))
    # The rounding of r beside the large part comes back with the small one.
    total = named(f.fma(r, f.number(slope_high), large), "total")
    dropped = f.fma(r, f.number(slope_high), f.sub(large, total))
    dropped = f.or_else(dropped, -1.0)  # infinity less itself
    return f.add(total, f.add(dropped, small))


def _logarithm(f: Formula, base: str, x: SSAValue) -> SSAValue:
    """The exponent is infinite at zero and infinity, the significand NaN below zero."""
    s = f.significand(x)
    index, inverse = _reduced(f, base, s)
    r = named(f.fma(s, inverse, f.number(-1.0)), "r")
    return _from_parts(f, base, f.exponent(x), index, r)


def log(f: Formula, x: SSAValue) -> SSAValue:
    """Natural logarithm."""
    return _logarithm(f, "log", x)


def log2(f: Formula, x: SSAValue) -> SSAValue:
    """Logarithm to base 2."""
    return _logarithm(f, "log2", x)


def log10(f: Formula, x: SSAValue) -> SSAValue:
    """Logarithm to base 10."""
    return _logarithm(f, "log10", x)


def log1p(f: Formula, x: SSAValue) -> SSAValue:
    """log(1 + x), where what 1 + x loses comes back in r."""
    one = f.number(1.0)
    total = named(f.add(x, one), "total")
    e, s = f.exponent(total), f.significand(total)
    index, inverse = _reduced(f, "log", s)
    lost = f.scale(f.sub(x, f.sub(total, one)), f.negate(e))
    is_finite = f.compare("olt", f.absolute(e), f.number(float("inf")))
    lost = f.select(is_finite, lost, f.number(0.0))
    r = named(f.fma(s, inverse, f.number(-1.0)), "r")
    # The slope of log(1 + r) is 1 - r near enough.
    extra = f.mul(lost, inverse)
    extra = f.fma(f.negate(extra), r, extra)
    return f.with_sign_of(_from_parts(f, "log", e, index, r, extra), x)
