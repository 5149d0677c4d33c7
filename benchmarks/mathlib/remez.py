"""Weighted minimax polynomials with coefficients of a float type, by the exchange of Remez.

Coefficients are rounded one by one, lowest first, and the rest refitted after each, so that the
stated error holds for the rounded polynomial.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath as mp
import numpy as np

Function = Callable[[Any], Any]
DTYPES: dict[str, Any] = {"f32": np.float32, "f64": np.float64}
ROUNDS = 12


@dataclass(frozen=True)
class Goal:
    """Approximate `function` on [low, high] so that |weight (p - function)| is small."""

    function: Function
    weight: Function
    low: float
    high: float


def round_to(number: Any, element: str) -> float:
    """The nearest number of the type."""
    if element == "f64":
        return float(number)
    return float(np.float32(float(number)))


def fit(goal: Goal, degree: int, element: str) -> tuple[list[float], float]:
    """(coefficients lowest first, the greatest weighted error they reach)."""
    mp.mp.dps = 40
    nodes = _grid(goal.low, goal.high, 24 * (degree + 2))
    values = [goal.function(x) for x in nodes]
    weights = [abs(goal.weight(x)) for x in nodes]
    fixed: list[float] = []
    while len(fixed) <= degree:
        first = len(fixed)
        left = list(values)
        for power, coefficient in enumerate(fixed):
            left = [v - coefficient * x**power for v, x in zip(left, nodes, strict=True)]
        free = _exchange(nodes, left, weights, range(first, degree + 1))
        fixed.append(round_to(free[0], element))
    errors = _errors(nodes, values, weights, range(degree + 1), fixed)
    return fixed, float(max(abs(e) for e in errors))


def _grid(low: float, high: float, count: int) -> list[Any]:
    """Points dense at the ends; none is exactly zero."""
    middle, radius = mp.mpf(low + high) / 2, mp.mpf(high - low) / 2
    points = [middle - radius * mp.cos(mp.pi * k / (count - 1)) for k in range(count)]
    return [p if abs(p) > 1e-8 else mp.mpf(1e-8) for p in points]


def _errors(
    nodes: Sequence[Any],
    values: Sequence[Any],
    weights: Sequence[Any],
    powers: Sequence[int],
    coefficients: Sequence[Any],
) -> list[Any]:
    errors = []
    for x, v, w in zip(nodes, values, weights, strict=True):
        p = mp.fsum(c * x**k for k, c in zip(powers, coefficients, strict=True))
        errors.append((p - v) * w)
    return errors


def _exchange(
    nodes: Sequence[Any], values: Sequence[Any], weights: Sequence[Any], powers: Sequence[int]
) -> list[Any]:
    """Minimax coefficients of the given powers on the grid."""
    count = len(powers) + 1
    picks = [round(k * (len(nodes) - 1) / (count - 1)) for k in range(count)]
    best = _least_squares(nodes, values, weights, powers)
    best_error = max(abs(e) for e in _errors(nodes, values, weights, powers, best))
    for _ in range(ROUNDS):
        matrix, right = mp.matrix(count, count), mp.matrix(count, 1)
        for row, at in enumerate(picks):
            for column, power in enumerate(powers):
                matrix[row, column] = nodes[at] ** power * weights[at]
            matrix[row, count - 1] = (-1) ** row
            right[row] = values[at] * weights[at]
        try:
            solution = mp.lu_solve(matrix, right)
        except ZeroDivisionError:  # no alternation, as for one even power and an odd rest
            break
        coefficients = [solution[k] for k in range(count - 1)]
        errors = _errors(nodes, values, weights, powers, coefficients)
        worst = max(abs(e) for e in errors)
        if worst < best_error:
            best, best_error = coefficients, worst
        found = _alternation(errors, count)
        if len(found) < count or worst < abs(solution[count - 1]) * 1.001:
            break
        picks = found
    return best


def _least_squares(
    nodes: Sequence[Any], values: Sequence[Any], weights: Sequence[Any], powers: Sequence[int]
) -> list[Any]:
    rows = [[float(w * x**k) for k in powers] for x, w in zip(nodes, weights, strict=True)]
    right = [float(v * w) for v, w in zip(values, weights, strict=True)]
    return list(np.linalg.lstsq(np.array(rows), np.array(right), rcond=None)[0])


def _alternation(errors: Sequence[Any], count: int) -> list[int]:
    """The extrema of runs of one sign; the smallest at the ends are dropped."""
    extrema: list[int] = []
    for at, error in enumerate(errors):
        if extrema and (errors[extrema[-1]] > 0) == (error > 0):
            if abs(error) > abs(errors[extrema[-1]]):
                extrema[-1] = at
        else:
            extrema.append(at)
    while len(extrema) > count:
        drop_first = abs(errors[extrema[0]]) < abs(errors[extrema[-1]])
        extrema.pop(0 if drop_first else -1)
    return extrema
