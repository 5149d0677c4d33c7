"""What the programs and tables inside of the elementary functions approximate."""

from __future__ import annotations

import math
from typing import Any

import mpmath as mp

from .remez import Goal

HALF_LN2 = math.log(2) / 2 * 1.0002
LOG_LOW, LOG_HIGH = -0.0345, 0.0626

# Degrees of the polynomial for (f32 within 1 ULP, f32 within 4 ULP, f64).
DEGREES: dict[str, tuple[int, int, int]] = {
    "exp": (5, 4, 10),
    "exp_tail": (4, 4, 9),
    "exp2": (5, 4, 10),
    "log": (3, 2, 9),
    "log2": (3, 2, 9),
    "log10": (3, 2, 9),
    "log2_third": (3, 3, 9),
    "sin": (3, 3, 7),
    "sin_quarter": (2, 2, 6),
    "cos_quarter": (2, 2, 6),
    "tan_fifth": (5, 4, 12),
    "asin": (4, 3, 11),
    "atan": (8, 6, 19),
    "cosh_tail": (2, 2, 5),
    "sinh_tail": (1, 1, 4),
}


def _of_root(function: Any) -> Any:
    """u -> (function(z) - z) / z^3 at u = z^2."""

    def tail(u: Any) -> Any:
        z = mp.sqrt(u)
        with mp.workdps(60):
            return (function(z) - z) / z**3

    return tail


def _root_weight(function: Any) -> Any:
    return lambda u: mp.sqrt(u) ** 3 / function(mp.sqrt(u))


def _log_tail(base: float) -> Any:
    def tail(r: Any) -> Any:
        with mp.workdps(60):
            return (mp.log1p(r) - r) / r**2 / mp.log(base)

    return tail


def _log_weight(base: float) -> Any:
    return lambda r: r**2 * mp.log(base) / mp.log1p(r)


def _exp_tail(r: Any) -> Any:
    with mp.workdps(60):
        return (mp.expm1(r) - r) / r**2


def _log2_third(r: Any) -> Any:
    with mp.workdps(60):
        return (mp.log1p(r) - r + r**2 / 2) / r**3 / mp.log(2)


def _cos_tail(u: Any) -> Any:
    with mp.workdps(60):
        return (mp.cos(mp.sqrt(u)) - 1 + u / 2) / u**2


def _tan_fifth(u: Any) -> Any:
    """(tan r - r - r^3 / 3) / r^5 at u = r^2, with 1/3 as a float."""
    r = mp.sqrt(u)
    with mp.workdps(60):
        return ((mp.tan(r) - r) / r**3 - mp.mpf(1) / 3) / u


def goals() -> dict[str, Goal]:
    """By the name that the formulas use."""
    low, high = LOG_LOW, LOG_HIGH
    quarter = (math.pi / 4 * 1.0002) ** 2
    return {
        "exp": Goal(lambda r: mp.expm1(r) / r, lambda r: r, -HALF_LN2, HALF_LN2),
        "exp_tail": Goal(_exp_tail, lambda r: r**2 / mp.expm1(r), -HALF_LN2, HALF_LN2),
        "exp2": Goal(lambda r: mp.expm1(r * mp.log(2)) / r, lambda r: r, -0.5, 0.5),
        "log": Goal(_log_tail(math.e), _log_weight(math.e), low, high),
        "log2": Goal(_log_tail(2), _log_weight(2), low, high),
        "log10": Goal(_log_tail(10), _log_weight(10), low, high),
        "log2_third": Goal(_log2_third, lambda r: r**2, low, high),
        "sin": Goal(_of_root(mp.sin), _root_weight(mp.sin), 0.0, 4 * quarter),
        "sin_quarter": Goal(_of_root(mp.sin), _root_weight(mp.sin), 0.0, quarter),
        "cos_quarter": Goal(_cos_tail, lambda u: u**2 / mp.cos(mp.sqrt(u)), 0.0, quarter),
        "tan_fifth": Goal(_tan_fifth, lambda u: mp.sqrt(u) ** 5 / mp.tan(mp.sqrt(u)), 0.0, quarter),
        "asin": Goal(_of_root(mp.asin), _root_weight(mp.asin), 0.0, 0.2501),
        "atan": Goal(_of_root(mp.atan), _root_weight(mp.atan), 0.0, 1.0),
        "cosh_tail": Goal(lambda u: (mp.cosh(mp.sqrt(u)) - 1) / u, lambda u: u, 0.0, HALF_LN2**2),
        "sinh_tail": Goal(_of_root(mp.sinh), _root_weight(mp.sinh), 0.0, HALF_LN2**2),
    }
