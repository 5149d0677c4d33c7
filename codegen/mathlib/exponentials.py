"""exp, exp2, expm1, sinh, cosh, sigmoid and 1 + e^-x.

Reduction: x = n ln2 + r with n a whole number and |r| <= ln2 / 2; e^r by a polynomial, times 2^n.
x - n ln2 in two parts is exact but for the last rounding, since each product is inside of an fma;
what that rounding drops is the low part of r.
"""

from __future__ import annotations

from xdsl.ir import SSAValue

from .formula import Formula, named

LOG2_E = 1.44269504088896340736
LN2_F32 = (0.69314718246459961, -1.9046542121259336e-09)
LN2_F64 = (0.6931471805599453094, 2.3190468138462996e-17)


def ln2(f: Formula) -> tuple[float, float]:
    """ln 2 as the sum of two numbers of the type."""
    return LN2_F32 if f.element == "f32" else LN2_F64


def reduce(f: Formula, x: SSAValue) -> tuple[SSAValue, SSAValue]:
    """(n, r)."""
    n, _ = f.multiples(x, LOG2_E)
    return n, f.subtract_multiple(x, n, ln2(f))


def reduce_with_tail(f: Formula, x: SSAValue) -> tuple[SSAValue, SSAValue, SSAValue]:
    """(n, r, tail) with e^(r + low) - 1 = r + tail, where r is exact and low what it leaves out."""
    n, _ = f.multiples(x, LOG2_E)
    high, low = ln2(f)
    coarse = f.subtract_multiple(x, n, [high])
    r = f.subtract_multiple(coarse, n, [low])
    square = f.mul(r, r)
    if not f.is_exact:
        return n, r, f.mul(square, f.program("exp_tail", r))
    left_out = f.fma(n, f.number(-low), f.sub(coarse, r))
    # The first term is r^2 / 2.
    left_out = f.fma(f.lost(r, r, square), f.number(0.5), left_out)
    return n, r, f.fma(square, f.program("exp_tail", r), left_out)


def exp(f: Formula, x: SSAValue) -> SSAValue:
    """e^x, zero and infinite outside of the clamped range."""
    clamped = f.clamp(x, f.pick(-104.0, -746.0), f.pick(89.0, 710.0))
    n, r = reduce(f, clamped)
    return f.scale(f.fma(r, f.program("exp", r), f.number(1.0)), n)


def exp2(f: Formula, x: SSAValue) -> SSAValue:
    """2^x: the reduction is exact."""
    clamped = f.clamp(x, f.pick(-151.0, -1076.0), f.pick(129.0, 1025.0))
    n = f.nearest(clamped)
    r = f.sub(clamped, n)
    return f.scale(f.fma(r, f.program("exp2", r), f.number(1.0)), n)


def expm1(f: Formula, x: SSAValue) -> SSAValue:
    """2^n ((1 - 2^-n) + (e^r - 1)), so that only the last step can overflow."""
    clamped = f.clamp(x, f.pick(-25.0, -54.0), f.pick(89.0, 710.0))
    n, r, tail = reduce_with_tail(f, clamped)
    one = f.number(1.0)
    q = f.scale(one, f.negate(n))
    offset = named(f.sub(one, q), "offset")
    if f.is_exact:  # q may be too small, or too large, for the difference to be exact
        tail = f.add(tail, f.sub(f.sub(one, offset), q))
    value = f.scale(_sum_of_three(f, offset, r, tail), n)
    return f.with_sign_of(value, x)


def _sum_of_three(f: Formula, large: SSAValue, middle: SSAValue, small: SSAValue) -> SSAValue:
    """large + middle + small, where large is zero or not much below middle."""
    total = named(f.add(large, middle), "total")
    lost = f.sub(middle, f.sub(total, large))
    return f.add(total, f.add(lost, small))


def _hyperbolic(f: Formula, x: SSAValue, is_odd: bool) -> SSAValue:
    """sinh or cosh of |x| = n ln2 + r, from q = 2^-2n and sinh and cosh of r alone:

    2^(n-1) ((1 + q) cosh r + (1 - q) sinh r), and the other way round for sinh.
    """
    clamped = f.at_most(f.absolute(x), f.pick(91.0, 712.0))
    n, _ = f.multiples(clamped, LOG2_E)
    high, low = ln2(f)
    coarse = f.subtract_multiple(clamped, n, [high])
    r = f.subtract_multiple(coarse, n, [low])
    # Below 2^-100 (f64: 2^-200) nothing of q is left in the sums.
    q = f.scale(f.number(1.0), f.at_least(f.negate(f.add(n, n)), f.pick(-100.0, -200.0)))
    one = f.number(1.0)
    of_cosine, of_sine = f.add(one, q), f.sub(one, q)
    if is_odd:
        of_cosine, of_sine = of_sine, of_cosine
    u = named(f.mul(r, r), "u")
    bend = f.mul(f.program("cosh_tail", u), u)
    sine_tail = f.mul(f.program("sinh_tail", u), f.mul(u, r))
    if f.is_exact:
        sine_tail = f.add(sine_tail, f.fma(n, f.number(-low), f.sub(coarse, r)))
    total = named(f.fma(of_sine, r, of_cosine), "total")
    # What that sum dropped is exact where r is not much larger than the rest.
    dropped = f.fma(of_sine, r, f.sub(of_cosine, total))
    if f.is_exact:  # what 1 + q or 1 - q was rounded by
        lost = f.sub(f.sub(one, of_cosine), q) if is_odd else f.sub(q, f.sub(of_cosine, one))
        dropped = f.add(dropped, lost)
    small = f.fma(of_sine, sine_tail, f.fma(of_cosine, bend, dropped))
    return f.scale(f.add(total, small), f.sub(n, one))


def _one_plus(f: Formula, r: SSAValue, tail: SSAValue) -> tuple[SSAValue, SSAValue]:
    """1 + r + tail in two parts, the second below the last place of the first."""
    one = f.number(1.0)
    coarse = f.add(one, r)
    rest = f.add(f.sub(r, f.sub(coarse, one)), tail)
    high = named(f.add(coarse, rest), "high")
    return high, named(f.sub(rest, f.sub(high, coarse)), "low")


def cosh(f: Formula, x: SSAValue) -> SSAValue:
    """Without a division: see `_hyperbolic`."""
    return _hyperbolic(f, x, is_odd=False)


def sinh(f: Formula, x: SSAValue) -> SSAValue:
    """Near zero q is 1, so that only sinh r is left."""
    return f.with_sign_of(_hyperbolic(f, x, is_odd=True), x)


def logistic_divisor(f: Formula, x: SSAValue) -> SSAValue:
    """1 + e^-x = 1 + s (2 e^r), where e^-x = 2^n e^r and s = 2^(n - 1), so that only the last step
    can overflow. Past 20 (40) it rounds to one. e^r is rounded as in exp, and the sum once more: in
    f32 it is within 1.37 units in the last place for every input."""
    clamped = f.clamp(x, f.pick(-89.0, -710.0), f.pick(20.0, 40.0))
    exponent = f.negate(clamped)
    below_bias = int(f.pick(126, 1022))  # 2^(n - 1) has the exponent bits n + below_bias
    n, shifted = f.multiples(exponent, LOG2_E, below_bias)
    r = f.subtract_multiple(exponent, n, ln2(f))
    power = f.fma(f.add(r, r), f.program("exp", r), f.number(2.0))
    s = named(f.as_float(f.shift_left(f.as_bits(shifted), f.mantissa_bits)), "s")
    return f.fma(power, s, f.number(1.0))


def sigmoid(f: Formula, x: SSAValue) -> SSAValue:
    """2^-n / (2^-n + h + l), where e^-x = 2^n (h + l); past 20 (40) it rounds to one."""
    clamped = f.clamp(x, f.pick(-104.0, -746.0), f.pick(20.0, 40.0))
    n, r, tail = reduce_with_tail(f, f.negate(clamped))
    one = f.number(1.0)
    minus_n = f.negate(n)
    share = named(f.scale(one, minus_n), "share")
    high, low = _one_plus(f, r, tail)
    # Either of the two may be the larger.
    total = f.add(share, high)
    part = f.sub(total, share)
    lost = f.add(f.sub(share, f.sub(total, part)), f.sub(high, part))
    rest = f.add(lost, low)
    inverse = f.div(one, total)
    missing = f.fma(f.negate(inverse), total, one)
    missing = f.fma(f.negate(inverse), rest, missing)
    return f.scale(f.fma(inverse, missing, inverse), minus_n)
