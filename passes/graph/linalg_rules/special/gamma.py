"""lgamma and digamma: Stirling's series above 8, recurrence up to there, reflection below 1/2."""

from __future__ import annotations

from math import inf, log, nan, pi

from xdsl.dialects import math

from .wide import Wide, special

SHIFT = 8  # Stirling's series has 15 digits from here on
LOGARITHM = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
DIGAMMA = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12)


def series(x: Wide, terms: tuple[float, ...]) -> Wide:
    """terms[0] + terms[1] x + terms[2] x^2 + ..."""
    value = x.of(terms[-1])
    for term in reversed(terms[:-1]):
        value = value.fma(x, term)
    return value


def from_integer(x: Wide) -> Wide:
    """x minus the nearest integer: what sin(pi x) and tan(pi x) depend on."""
    return x - x.call(math.RoundEvenOp)


def is_pole(x: Wide, at_pole: Wide | float, elsewhere: Wide) -> Wide:
    """`at_pole` for 0, -1, -2, ..."""
    return x.pick("le", 0.0, from_integer(x).pick("eq", 0.0, at_pole, elsewhere), elsewhere)


@special("lgamma")
def lgamma(x: Wide) -> Wide:
    """log |gamma(x)|."""
    reflected = x.pick("lt", 0.5, 1.0 - x, x)
    is_small = ("lt", float(SHIFT))
    product = reflected
    for k in range(1, SHIFT):
        product = product * (reflected + float(k))
    z = reflected.pick(*is_small, reflected + float(SHIFT), reflected)
    inverse = 1.0 / z
    stirling = (z - 0.5).fma(z.log() - 1.0, 0.5 * log(2 * pi) - 0.5)
    stirling = inverse.fma(series(inverse * inverse, LOGARITHM), stirling)
    value = stirling - reflected.pick(*is_small, product, 1.0).log()
    sine = abs((from_integer(x) * pi).call(math.SinOp))
    mirrored = (pi / sine).log() - value
    value = x.pick("lt", 0.5, mirrored, value)
    for root in (1.0, 2.0):  # large terms cancel there
        value = x.pick("eq", root, 0.0, value)
    return is_pole(x, inf, abs(x).pick("eq", inf, inf, value))


@special("digamma")
def digamma(x: Wide) -> Wide:
    """The derivative of lgamma; at 0 the limit that the sign of zero asks for."""
    reflected = x.pick("lt", 0.5, 1.0 - x, x)
    is_small = ("lt", float(SHIFT))
    total = 1.0 / reflected
    for k in range(1, SHIFT):
        total = total + 1.0 / (reflected + float(k))
    z = reflected.pick(*is_small, reflected + float(SHIFT), reflected)
    inverse = 1.0 / z
    square = inverse * inverse
    value = z.log() - 0.5 * inverse - square * series(square, DIGAMMA)
    value = value - reflected.pick(*is_small, total, 0.0)
    tangent = (from_integer(x) * pi).call(math.TanOp)
    value = x.pick("lt", 0.5, value - pi / tangent, value)
    at_zero = -(x.of(inf).with_sign_of(x))
    return x.pick("eq", 0.0, at_zero, is_pole(x, nan, value))
