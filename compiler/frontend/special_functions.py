"""Special functions with a number as parameter: polygamma, multivariate gamma; and sin(x) / x.

Computed in f64, as the rows of `dialects/scalar.py` that they are made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, factorial, inf, log, nan, pi

from xdsl.dialects.builtin import f64
from xdsl.ir import SSAValue

from .builder import Builder
from .rules import rule

TERMS = 12  # of the sum before the series of Euler and Maclaurin
BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)


@rule("aten.polygamma.default", "aten.special_polygamma.default")
def polygamma(b: Builder, order: int, x: SSAValue) -> SSAValue:
    """Derivative `order` of digamma; below 0 by its reflection, which is one of cot(pi x)."""
    x = b.cast(x, f64)
    if order == 0:
        return b.cast(b.pointwise("digamma", x), b.out_element)
    is_low = b.pointwise("lt", x, 0.5)
    reflected = b.pointwise("where", is_low, b.pointwise("sub", 1.0, x), x)
    sign = (-1.0) ** (order + 1)
    value = b.pointwise("mul", zeta(b, order + 1, reflected), sign * factorial(order))
    from_integer = b.pointwise("sub", x, b.pointwise("round", x))
    tangent = b.pointwise("tan", b.pointwise("mul", from_integer, pi))
    slope = horner(b, b.pointwise("reciprocal", tangent), cotangent_derivative(order))
    mirrored = b.pointwise("mul", value, -sign)
    mirrored = b.pointwise("sub", mirrored, b.pointwise("mul", slope, pi ** (order + 1)))
    value = b.pointwise("where", is_low, mirrored, value)
    is_integer = b.pointwise("eq", x, b.pointwise("round", x))
    is_pole = b.pointwise("and", b.pointwise("le", x, 0.0), is_integer)
    value = b.pointwise("where", is_pole, sign * inf, value)
    if order == 1:  # at infinities higher orders are NaN and a pole to torch
        value = b.pointwise("where", b.pointwise("eq", x, inf), 0.0, value)
        value = b.pointwise("where", b.pointwise("eq", x, -inf), nan, value)
    return b.cast(value, b.out_element)


def zeta(b: Builder, s: int, x: SSAValue) -> SSAValue:
    """Hurwitz' sum of (x + k)^-s over k >= 0 for x > 0, s > 1, after Euler and Maclaurin."""

    def power(base: SSAValue) -> SSAValue:
        return b.pointwise("pow", b.pointwise("reciprocal", base), b.full(s, f64))

    total = power(x)
    for k in range(1, TERMS):
        total = b.pointwise("add", total, power(b.pointwise("add", x, float(k))))
    z = b.pointwise("add", x, float(TERMS))
    inverse = b.pointwise("reciprocal", z)
    factors = [
        number * comb(s + 2 * k - 2, 2 * k - 1) / (2 * k)
        for k, number in enumerate(BERNOULLI, start=1)
    ]
    series = horner(b, b.pointwise("mul", inverse, inverse), factors)
    rest = b.pointwise(
        "mul", power(z), b.pointwise("add", b.pointwise("mul", series, inverse), 0.5)
    )
    start = b.pointwise("mul", b.pointwise("mul", power(z), z), 1 / (s - 1))
    return b.pointwise("add", total, b.pointwise("add", start, rest))


def cotangent_derivative(order: int) -> list[float]:
    """The coefficients of the polynomial in cot(u) that derivative `order` of cot is."""
    terms = [0.0, 1.0]
    for _ in range(order):  # P' times the derivative of cot, -(1 + cot^2)
        slope = [k * c for k, c in enumerate(terms)][1:]
        terms = [-(a + b) for a, b in zip([*slope, 0, 0], [0, 0, *slope], strict=True)]
    return terms


def horner(b: Builder, x: SSAValue, terms: Sequence[float]) -> SSAValue:
    """terms[0] + terms[1] x + ..."""
    value = b.full(terms[-1], f64)
    for term in reversed(terms[:-1]):
        value = b.pointwise("add", b.pointwise("mul", value, x), float(term))
    return value


@rule("aten.mvlgamma.default", "aten.special_multigammaln.default")
def mvlgamma(b: Builder, x: SSAValue, count: int) -> SSAValue:
    """log of the gamma function of `count` variables: a sum of lgamma(x - j / 2)."""
    x = b.cast(x, f64)
    total = b.pointwise("add", b.pointwise("lgamma", x), count * (count - 1) / 4 * log(pi))
    for j in range(1, count):
        total = b.pointwise("add", total, b.pointwise("lgamma", b.pointwise("sub", x, j / 2)))
    return b.cast(total, b.out_element)


@rule("aten.special_spherical_bessel_j0.default")
def spherical_bessel_j0(b: Builder, x: SSAValue) -> SSAValue:
    """sin(x) / x, with its limits at 0 and infinity."""
    x = b.cast(x, f64)
    value = b.pointwise("div", b.pointwise("sin", x), x)
    value = b.pointwise("where", b.pointwise("isinf", x), 0.0, value)
    value = b.pointwise("where", b.pointwise("eq", x, 0.0), 1.0, value)
    return b.cast(value, b.out_element)
