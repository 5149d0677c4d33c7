"""Divisions with a rounding rule, and their remainders, for integers and floats as in torch."""

from __future__ import annotations

from xdsl.dialects import arith, math
from xdsl.ir import SSAValue

from .scalar_builder import ScalarBuilder, constant_of, is_float
from .scalar_functions import scalar

# Each step removes one significand's worth of quotient bits.
FMOD_STEPS = 2


def _float_fmod(s: ScalarBuilder, a: SSAValue, b: SSAValue) -> SSAValue:
    """a - b * trunc(a / b), exact while |a / b| < 2 ** (FMOD_STEPS * significand bits).

    The fused multiply-add leaves no rounding error; the quotient itself may be one too large,
    which shows as a remainder of the wrong sign.
    """
    zero = s.like(0, a)
    rest = a
    for _ in range(FMOD_STEPS):
        quotient = s.insert(math.TruncOp(s.div(rest, b)))
        rest = s.fma(s.negate(quotient), b, rest)
    magnitude = s.absolute(b)
    signed_b = s.select(s.compare("lt", a, zero), s.negate(magnitude), magnitude)
    wrong_side = s.compare("ne", s.compare("lt", rest, zero), s.compare("lt", a, zero))
    crossed = s.both(s.compare("ne", rest, zero), wrong_side)
    rest = s.select(crossed, s.add(rest, signed_b), rest)
    # Also the only right answer for an infinite divisor.
    return s.select(s.compare("lt", s.absolute(a), magnitude), a, rest)


def _safe_divisor(s: ScalarBuilder, b: SSAValue) -> SSAValue:
    """`b`, or 1 where an integer division by `b` would trap: by 0, and of the least number by -1.

    Torch raises an error for 0; here the result is some number. Lanes that vector code computes
    beyond the end of an array hold zeros too.
    """
    known = constant_of(b)
    if known is not None and known not in (0, -1):
        return b
    traps = s.either(s.compare("eq", b, s.like(0, b)), s.compare("eq", b, s.like(-1, b)))
    return s.select(traps, s.like(1, b), b)


def _integer_quotient(s: ScalarBuilder, a: SSAValue, b: SSAValue) -> SSAValue:
    """a / b towards zero."""
    safe = _safe_divisor(s, b)
    quotient = s.div(a, safe)
    if safe is b:
        return quotient
    return s.select(s.compare("eq", b, s.like(-1, b)), s.negate(a), quotient)


@scalar("fmod")
def _fmod(s: ScalarBuilder, a: SSAValue, b: SSAValue) -> SSAValue:
    if is_float(a.type):
        return _float_fmod(s, a, b)
    return s.insert(arith.RemSIOp(a, _safe_divisor(s, b)))


def _opposite_signs(s: ScalarBuilder, rest: SSAValue, b: SSAValue) -> SSAValue:
    """i1: `rest` is not zero and has another sign than `b`."""
    zero = s.like(0, b)
    differ = s.compare("ne", s.compare("lt", rest, zero), s.compare("lt", b, zero))
    return s.both(s.compare("ne", rest, zero), differ)


@scalar("remainder")
def _remainder(s: ScalarBuilder, a: SSAValue, b: SSAValue) -> SSAValue:
    rest = _fmod(s, a, b)
    return s.select(_opposite_signs(s, rest, b), s.add(rest, b), rest)


@scalar("trunc_div")
def _trunc_div(s: ScalarBuilder, a: SSAValue, b: SSAValue) -> SSAValue:
    if is_float(a.type):
        return s.insert(math.TruncOp(s.div(a, b)))
    return _integer_quotient(s, a, b)


@scalar("floor_div")
def _floor_div(s: ScalarBuilder, a: SSAValue, b: SSAValue) -> SSAValue:
    if not is_float(a.type):
        quotient = _integer_quotient(s, a, b)
        below = s.sub(quotient, s.like(1, a))
        return s.select(_opposite_signs(s, _fmod(s, a, b), b), below, quotient)
    # Dividing what is left after the remainder gives a value next to an integer, so that
    # rounding it cannot land on the wrong side of one.
    rest = _fmod(s, a, b)
    exact = s.div(s.sub(a, rest), b)
    below = s.sub(exact, s.like(1, a))
    adjusted = s.select(_opposite_signs(s, rest, b), below, exact)
    rounded = s.insert(math.RoundEvenOp(adjusted))
    return s.select(s.compare("eq", b, s.like(0, b)), s.div(a, b), rounded)
