"""Bessel functions of orders 0 and 1.

Small arguments: what is entire is interpolated over x^2, with the logarithm split off. Large ones:
amplitude and phase (J, Y) or the scaled function (I, K) are smooth in 1/x.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, log, pi
from typing import Any

import numpy as np
from xdsl.dialects import math

from .wide import Function, Wide, interpolated, of_torch, special

LARGE = 8.0  # from here on in 1/x
LARGE_K = 2.0

J = (of_torch("bessel_j0"), of_torch("bessel_j1"))
Y = (of_torch("bessel_y0"), of_torch("bessel_y1"))
I_SCALED = (of_torch("i0e"), of_torch("i1e"))
I = (of_torch("modified_bessel_i0"), of_torch("modified_bessel_i1"))  # noqa: E741
K = (of_torch("modified_bessel_k0"), of_torch("modified_bessel_k1"))
K_SCALED = (of_torch("scaled_modified_bessel_k0"), of_torch("scaled_modified_bessel_k1"))


def _phases(order: int, cosine: Any, sine: Any) -> tuple[Any, Any]:
    """Cosine and sine, times root two, of x - (2 order + 1) pi / 4."""
    return (cosine + sine, sine - cosine) if order == 0 else (sine - cosine, -(sine + cosine))


def _amplitudes(order: int, u: Any) -> tuple[Any, Any]:
    """P and Q x / 8 of Hankel's expansion at x = 8 / sqrt(u)."""
    x = LARGE / np.sqrt(u)
    c, s = _phases(order, np.cos(x), np.sin(x))
    j, y, root = J[order](x), Y[order](x), np.sqrt(pi * x) / 2
    return root * (j * c + y * s), root * (y * c - j * s) * x / LARGE


def _oscillating(order: int) -> tuple[Function, Function, Function, Function]:
    """P, Q, J / x^order and the part of Y without logarithm and pole, as functions of x^2."""

    def entire(u: Any) -> Any:
        return J[order](np.sqrt(u)) / np.sqrt(u) ** order

    def regular(u: Any) -> Any:
        x = np.sqrt(u)
        rest = Y[order](x) - 2 / pi * np.log(x) * J[order](x)
        return rest if order == 0 else (rest + 2 / (pi * x)) / x

    return (
        lambda u: _amplitudes(order, u)[0],
        lambda u: _amplitudes(order, u)[1],
        entire,
        regular,
    )


OSCILLATING = (_oscillating(0), _oscillating(1))


def _wave(order: int, a: Wide) -> tuple[Wide, Wide]:
    """J and Y of an `a` above LARGE."""
    p, q, _, _ = OSCILLATING[order]
    inverse = LARGE / a
    u = inverse * inverse
    c, s = _phases(order, a.call(math.CosOp), a.call(math.SinOp))
    p_value = interpolated(u, p, 0.0, 1.0, 22)
    q_value = inverse * interpolated(u, q, 0.0, 1.0, 22)
    root = 1.0 / (a * pi).sqrt()
    return root * (p_value * c - q_value * s), root * (p_value * s + q_value * c)


def _first_kind(order: int, a: Wide) -> Wide:
    value = interpolated(a * a, OSCILLATING[order][2], 0.0, LARGE**2, 26)
    return value if order == 0 else value * a


def _bessel_j(order: int) -> Callable[[Wide], Wide]:
    def formula(x: Wide) -> Wide:
        a = abs(x)
        value = a.pick("le", LARGE, _first_kind(order, a), _wave(order, a)[0])
        return value if order == 0 else x.pick("lt", 0.0, -value, value)

    return formula


def _bessel_y(order: int) -> Callable[[Wide], Wide]:
    def formula(x: Wide) -> Wide:
        rest = interpolated(x * x, OSCILLATING[order][3], 0.0, LARGE**2, 26)
        value = (2 / pi) * x.log() * _first_kind(order, x)
        value = value + (rest if order == 0 else rest * x - (2 / pi) / x)
        return x.pick("eq", 0.0, -inf, x.pick("gt", LARGE, _wave(order, x)[1], value))

    return formula


def _growing(order: int) -> tuple[Function, Function]:
    """exp(-x) I / x^order of x, and sqrt(x) exp(-x) I of 8 / x."""

    def far(v: Any) -> Any:
        return I_SCALED[order](LARGE / v) * np.sqrt(LARGE / v)

    return lambda x: I_SCALED[order](x) / x**order, far


GROWING = (_growing(0), _growing(1))


def _i_scaled(order: int) -> Callable[[Wide], Wide]:
    near, far = GROWING[order]

    def formula(x: Wide) -> Wide:
        a = abs(x)
        small = interpolated(a, near, 0.0, LARGE, 34)
        large = interpolated(LARGE / a, far, 0.0, 1.0, 28) / a.sqrt()
        value = a.pick("le", LARGE, small if order == 0 else small * a, large)
        return value if order == 0 else x.pick("lt", 0.0, -value, value)

    return formula


def _i(order: int) -> Callable[[Wide], Wide]:
    return lambda x: abs(x).exp() * _i_scaled(order)(x)


def _decaying(order: int) -> tuple[Function, Function]:
    """K without logarithm and pole as a function of x^2, and sqrt(x) exp(x) K of 2 / x."""

    def near(u: Any) -> Any:
        x = np.sqrt(u)
        if order == 0:
            return K[0](x) + np.log(x / 2) * I[0](x)
        return (K[1](x) - np.log(x / 2) * I[1](x) - 1 / x) / x

    def far(v: Any) -> Any:
        return K_SCALED[order](LARGE_K / v) * np.sqrt(LARGE_K / v)

    return near, far


DECAYING = (_decaying(0), _decaying(1))


def _k(order: int, is_scaled: bool) -> Callable[[Wide], Wide]:
    near, far = DECAYING[order]

    def formula(x: Wide) -> Wide:
        logarithm = (x.log() - log(2)) * _i(order)(x)
        rest = interpolated(x * x, near, 0.0, LARGE_K**2, 18)
        small = rest - logarithm if order == 0 else rest * x + logarithm + 1.0 / x
        large = interpolated(LARGE_K / x, far, 0.0, 1.0, 34) / x.sqrt()
        small, large = (small * x.exp(), large) if is_scaled else (small, large * (-x).exp())
        return x.pick("eq", 0.0, inf, x.pick("gt", LARGE_K, large, small))

    return formula


for _order in (0, 1):
    special(f"bessel_j{_order}")(_bessel_j(_order))
    special(f"bessel_y{_order}")(_bessel_y(_order))
    special(f"i{_order}e")(_i_scaled(_order))
    special(f"i{_order}")(_i(_order))
    special(f"modified_bessel_k{_order}")(_k(_order, is_scaled=False))
    special(f"scaled_modified_bessel_k{_order}")(_k(_order, is_scaled=True))
