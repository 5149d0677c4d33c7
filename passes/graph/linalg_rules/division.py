"""Divisions with a rounding rule, and their remainders, for integers and floats as in torch."""

from __future__ import annotations

from xdsl.dialects import arith, math
from xdsl.ir import SSAValue

from .scalar_builder import ScalarBuilder, is_float
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


@scalar("fmod")
def _fmod(s: ScalarBuilder, a: SSAValue, b: SSAValue) -> SSAValue:
    if is_float(a.type):
        return _float_fmod(s, a, b)
    return s.insert(arith.RemSIOp(a, b))


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
    quotient = s.div(a, b)
    return s.insert(math.TruncOp(quotient)) if is_float(a.type) else quotient


@scalar("floor_div")
def _floor_div(s: ScalarBuilder, a: SSAValue, b: SSAValue) -> SSAValue:
    if not is_float(a.type):
        quotient = s.div(a, b)
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
