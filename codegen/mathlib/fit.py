"""Fit the polynomials of `coefficients.py`: run `python -m tilecast.codegen.mathlib.fit`.

Each is the minimax polynomial of g(x) under a weight w(x), so that |w (p - g)| is the relative
error of the finished function. Lawson's iteratively reweighted least squares on Chebyshev nodes
finds it; coefficients are rounded to the element type one by one, lowest first, and the rest
refitted after each, so that the stated bound holds for the rounded polynomial.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.longdouble]
Function = Callable[[Any], Any]


@dataclass(frozen=True)
class Target:
    """Fit `function` (mpmath) on [low, high] by a polynomial of `degree`; `weight` as above."""

    name: str
    function: Function
    weight: Function
    low: float
    high: float
    degree: int


def targets() -> list[Target]:
    """What the functions of mathlib need."""
    import mpmath as mp  # type: ignore[import-untyped]

    mp.mp.dps = 50
    half_ln2 = float(mp.log(2) / 2) * 1.001
    low, high = float(mp.sqrt(0.5)) - 1, float(mp.sqrt(2)) - 1

    def exp_tail(r: Any) -> Any:
        return (mp.expm1(r) - r) / r**2

    def log_tail(base: Any) -> Function:
        return lambda f: (mp.log1p(f) - f) / f**2 / mp.log(base)

    def log_weight(base: Any) -> Function:
        return lambda f: f**2 * mp.log(base) / mp.log1p(f)

    return [
        Target("EXP_F32", exp_tail, lambda r: r**2 / mp.expm1(r), -half_ln2, half_ln2, 4),
        Target("EXP2_F32", lambda r: mp.expm1(r * mp.log(2)) / r, lambda r: r, -0.5, 0.5, 5),
        Target(
            "LOG_F32",
            lambda f: (mp.log1p(f) - f + f**2 / 2) / f**3,
            lambda f: f**3 / mp.log1p(f),
            low,
            high,
            8,
        ),
        Target("LOG2_F32", log_tail(2), log_weight(2), low, high, 9),
        Target("LOG10_F32", log_tail(10), log_weight(10), low, high, 9),
        Target(
            "ERF_NEAR_F32",
            lambda u: mp.erf(mp.sqrt(u)) / mp.sqrt(u) - 1,
            lambda u: mp.sqrt(u) / mp.erf(mp.sqrt(u)),
            0.0,
            0.85,
            6,
        ),
        Target(
            "ERF_FAR_F32",
            lambda t: -mp.log(mp.erfc(t)) / t,
            lambda t: t * mp.erfc(t) / mp.erf(t),
            0.9,
            4.0,
            7,
        ),
    ]


def chebyshev_nodes(low: float, high: float, count: int) -> Reals:
    """Nodes of [low, high], dense at the ends; none is exactly zero."""
    angles = (np.arange(count, dtype=np.longdouble) + 0.5) * np.longdouble(np.pi) / count
    middle, radius = (low + high) / 2, (high - low) / 2
    nodes: npt.NDArray[Any] = middle + radius * np.cos(angles)
    nodes[np.abs(nodes) < 1e-9] = 1e-9
    return nodes


def evaluate(function: Function, nodes: Reals) -> Reals:
    """`function` in 50 digits, rounded to extended precision."""
    import mpmath as mp

    values = [function(mp.mpf(repr(float(x)))) for x in nodes]
    return np.array([np.longdouble(mp.nstr(v, 25)) for v in values])


def solve(basis: Reals, values: Reals, weights: Reals) -> npt.NDArray[Any]:
    """Weighted minimax coefficients by Lawson's iteration."""
    share: npt.NDArray[Any] = np.ones(len(values))
    matrix = (basis * weights[:, None]).astype(np.float64)
    target = (values * weights).astype(np.float64)
    best: npt.NDArray[Any] = np.zeros(basis.shape[1])
    best_error = np.inf
    for _ in range(60):
        root = np.sqrt(share)
        coefficients = np.linalg.lstsq(matrix * root[:, None], target * root, rcond=None)[0]
        error = np.abs(matrix @ coefficients - target)
        if error.max() < best_error:
            best, best_error = coefficients, float(error.max())
        share = share * error
        share = share / share.sum() + 1e-12
    return best


def fit(target: Target, dtype: type[np.floating[Any]]) -> tuple[list[float], float]:
    """Coefficients in `dtype`, lowest first, and the greatest weighted error they reach."""
    # Nodes are doubles, so that mpmath sees the very same points.
    rounded = chebyshev_nodes(target.low, target.high, 400).astype(np.float64)
    nodes = rounded.astype(np.longdouble)
    values, weights = evaluate(target.function, nodes), evaluate(target.weight, nodes)
    powers: Reals = nodes[:, None] ** np.arange(target.degree + 1, dtype=np.longdouble)
    fixed: list[float] = []
    while len(fixed) <= target.degree:
        known = powers[:, : len(fixed)] @ np.array(fixed, np.longdouble)
        free = solve(powers[:, len(fixed) :], values - known, weights)
        fixed.append(float(dtype(free[0])))
    error = np.abs((powers @ np.array(fixed, np.longdouble) - values) * weights)
    return fixed, float(error.max())


def main() -> None:
    """Rewrite `coefficients.py` beside this file."""
    lines = [
        '"""Polynomial coefficients, lowest first, with the greatest relative error that each',
        "contributes to its function. Written by `fit.py`; do not edit.",
        '"""',
        "",
        "from __future__ import annotations",
        "",
    ]
    for target in targets():
        coefficients, error = fit(target, np.float32)
        lines.append(f"# On [{target.low:.6g}, {target.high:.6g}]: {error:.2e}.")
        items = "".join(f"    {np.float32(c)!s},\n" for c in coefficients)
        lines.append(f"{target.name} = (\n{items})\n")
    Path(__file__).with_name("coefficients.py").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
