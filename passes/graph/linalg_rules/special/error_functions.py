"""Relatives of erf: the complement, scaled and not, the inverse, and those of normal variables."""

from __future__ import annotations

from itertools import pairwise
from math import inf, sqrt
from typing import Any

import numpy as np
from xdsl.dialects import math

from .wide import Wide, interpolated, of_torch, special

CENTRE = 3.75  # of the variable (a - CENTRE) / (a + CENTRE), which takes [0, inf] to [-1, 1]
CENTRAL = 6.25  # below: a series in w = -log(1 - x^2), above: in its root
TAILS = (sqrt(CENTRAL), 4.0, 9.0, 27.0)  # 27^2 is w for the smallest f64

_erfcx, _erfinv, _ndtri = of_torch("erfcx"), of_torch("erfinv"), of_torch("ndtri")


def _erfcx_times(t: Any) -> Any:
    """(1 + 2 a) erfcx(a), which is smooth up to infinity."""
    a = CENTRE * (1 + t) / (1 - t)
    return (1 + 2 * a) * _erfcx(a)


def _scaled_complement(a: Wide) -> Wide:
    """exp(a^2) erfc(a) for a >= 0."""
    t = 1.0 - 2 * CENTRE / (a + CENTRE)
    return interpolated(t, _erfcx_times, -1.0, 1.0, 32) / (1.0 + 2.0 * a)


@special("erfc")
def erfc(x: Wide) -> Wide:
    """1 - erf(x)."""
    value = (-(x * x)).exp() * _scaled_complement(abs(x))
    value = x.pick("lt", 0.0, 2.0 - value, value)
    return abs(x).pick("lt", 0.5, 1.0 - x.call(math.ErfOp), value)


@special("erfcx")
def erfcx(x: Wide) -> Wide:
    """exp(x^2) erfc(x)."""
    value = _scaled_complement(abs(x))
    return x.pick("lt", 0.0, 2.0 * (x * x).exp() - value, value)


@special("log_ndtr")
def log_ndtr(x: Wide) -> Wide:
    """The logarithm of the distribution function of a normal variable."""
    z = x * sqrt(0.5)
    tail = (_scaled_complement(abs(z)) * 0.5).log() - z * z
    return x.pick("lt", -1.0, tail, (-0.5 * erfc(z)).call(math.Log1pOp))


def _central_ratio(w: Any) -> Any:
    x = np.sqrt(-np.expm1(-w))
    return _erfinv(x) / x


def _tail_ratio(root: Any) -> Any:
    e = np.exp(-(root**2))
    x = np.sqrt(1 - e)
    return _ndtri(e / (2 * (1 + x))) * -sqrt(0.5) / x


def _ratio(rest: Wide) -> Wide:
    """erfinv(x) / x from 1 - x^2, which keeps its digits where x does not."""
    w = -rest.log()
    value, root = interpolated(w, _central_ratio, 0.0, CENTRAL, 26), w.sqrt()
    for low, high in pairwise(TAILS):
        value = root.pick("gt", low, interpolated(root, _tail_ratio, low, high, 24), value)
    return rest.pick("eq", 0.0, inf, value)


@special("erfinv")
def erfinv(x: Wide) -> Wide:
    """The inverse of erf."""
    return x * _ratio((1.0 - x) * (1.0 + x))


@special("ndtri")
def ndtri(p: Wide) -> Wide:
    """The quantile of a normal variable."""
    return (p - 0.5) * (2 * sqrt(2)) * _ratio(4.0 * p * (1.0 - p))
