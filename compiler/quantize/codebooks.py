"""Levels fitted to the values of a tensor: k-means, and power laws with the best exponent."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...dialects.quant import CodebookElement

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
SAMPLES = 1 << 18  # values that levels are fitted to; more do not change them visibly
EXPONENTS = np.linspace(0.5, 3.0, 26)
ITERATIONS = 30


def fit_levels(element: CodebookElement, values: Doubles) -> Floats:
    """2^width ascending levels for `values`, which are within -1..1."""
    if values.size > SAMPLES:
        values = values[:: -(-values.size // SAMPLES)]
    count = 2**element.width
    if element.name.startswith("kmeans"):
        return k_means(values, count)
    candidates = [power_law(count, exponent) for exponent in EXPONENTS]
    errors = [squared_error(values, levels) for levels in candidates]
    return candidates[int(np.argmin(errors))]


def power_law(count: int, exponent: float) -> Floats:
    """sign(q) |q / n|^exponent for q = -n .. n - 1 over the largest (Yvinec et al. 2023, NUPES)."""
    half = count // 2
    steps = np.arange(-half, half) / half
    return (np.sign(steps) * np.abs(steps) ** exponent).astype(np.float32)


def k_means(values: Doubles, count: int) -> Floats:
    """Lloyd's iterations from quantiles; a level without values stays where it is."""
    ordered = np.sort(values)
    levels = np.quantile(ordered, (np.arange(count) + 0.5) / count)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    for _ in range(ITERATIONS):
        borders = np.searchsorted(ordered, (levels[1:] + levels[:-1]) / 2)
        edges = np.concatenate([[0], borders, [ordered.size]])
        sizes = np.diff(edges)
        means = np.diff(sums[edges]) / np.maximum(sizes, 1)
        levels = np.sort(np.where(sizes > 0, means, levels))
    return levels.astype(np.float32)


def squared_error(values: Doubles, levels: Floats) -> float:
    """The sum of squared distances to the nearest level."""
    points = levels.astype(np.float64)
    upper = np.clip(np.searchsorted(points, values), 1, points.size - 1)
    distance = np.minimum(np.abs(values - points[upper - 1]), np.abs(values - points[upper]))
    return float(np.square(distance).sum())
