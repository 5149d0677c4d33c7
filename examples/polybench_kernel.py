"""A kernel of PolyBench: two products of a matrix, one of them with its transpose.

tilecast schedules the loops itself. Run it: `python -m examples.polybench_kernel`.
"""

from __future__ import annotations

import numpy as np
import tilecast
from tilecast import f64, kernel


@kernel
def mvt(n: int, x: f64["n"], y: f64["n"], A: f64["n", "n"], u: f64["n"], v: f64["n"]) -> None:
    """x += A u, y += A^T v."""
    for i in range(n):
        for j in range(n):
            x[i] += A[i, j] * u[j]
    for i in range(n):
        for j in range(n):
            y[i] += A[j, i] * v[j]


def main() -> None:
    """Compile for one size and for any size; both are verified against the Python function."""
    rng = np.random.default_rng(0)
    for sizes in ({"n": 300}, {}):
        fast = tilecast.compile(mvt, sizes=sizes)
        n = 300
        a, u, v = rng.standard_normal((n, n)), rng.standard_normal(n), rng.standard_normal(n)
        x, y = np.zeros(n), np.zeros(n)
        fast(*([] if sizes else [n]), x, y, a, u, v)
        wrong = max(np.abs(x - a @ u).max(), np.abs(y - a.T @ v).max())
        print(f"sizes {sizes or 'symbolic'}: largest difference from NumPy {wrong:.1e}")


if __name__ == "__main__":
    main()
