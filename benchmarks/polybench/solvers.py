"""PolyBench linear-algebra/solvers: cholesky, durbin, gramschmidt, lu, ludcmp, trisolv."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
from tilecast import f64, kernel

from .benchmark import Data, benchmark, grid

SIZES = ((40,), (120,), (400,), (2000,), (4000,))


def positive_definite(n: int) -> np.ndarray:
    """PolyBench's matrix for factorisations: L L' of a unit lower triangular L."""
    i, j = grid(n, n)
    lower = np.where(j <= i, -(j % n) / n + 1, 0.0)
    np.fill_diagonal(lower, 1.0)
    return lower @ lower.T


@kernel
def cholesky(n: int, A: f64[n, n]) -> None:
    """The lower triangle becomes the factor L of A = L L'."""
    for i in range(n):
        for j in range(i):
            for k in range(j):
                A[i, j] -= A[i, k] * A[j, k]
            A[i, j] /= A[j, j]
        for k in range(i):
            A[i, i] -= A[i, k] * A[i, k]
        A[i, i] = sqrt(A[i, i])


def matrix_data(n: int) -> Data:
    """A matrix that can be factored."""
    return {"A": positive_definite(n)}


def cholesky_reference(n: int, a: Any) -> None:
    """LAPACK's factor below, the old values above the diagonal."""
    a[:] = np.tril(np.linalg.cholesky(a)) + np.triu(a, 1)


benchmark("cholesky", cholesky, SIZES, matrix_data, cholesky_reference, ["A"])


@kernel
def durbin(n: int, r: f64[n], y: f64[n]) -> None:
    """The Toeplitz system of r by Levinson-Durbin."""
    z = np.empty(n)
    y[0] = -r[0]
    beta = 1.0
    alpha = -r[0]
    for k in range(1, n):
        beta = (1.0 - alpha * alpha) * beta
        sum = 0.0
        for i in range(k):
            sum += r[k - i - 1] * y[i]
        alpha = -(r[k] + sum) / beta
        for i in range(k):
            z[i] = y[i] + alpha * y[k - i - 1]
        for i in range(k):
            y[i] = z[i]
        y[k] = alpha


def durbin_data(n: int) -> Data:
    """PolyBench's values."""
    return {"r": (n + 1.0) - np.arange(n), "y": np.zeros(n)}


def durbin_reference(n: int, r: Any, y: Any) -> None:
    """The recursion with vector operations."""
    y[0] = -r[0]
    alpha, beta = -r[0], 1.0
    for k in range(1, n):
        beta *= 1 - alpha * alpha
        alpha = -(r[k] + r[:k][::-1] @ y[:k]) / beta
        y[:k] += alpha * y[:k][::-1].copy()
        y[k] = alpha


benchmark("durbin", durbin, SIZES, durbin_data, durbin_reference, ["y"])


@kernel
def gramschmidt(m: int, n: int, A: f64[m, n], R: f64[n, n], Q: f64[m, n]) -> None:
    """A = Q R by modified Gram-Schmidt; A is overwritten."""
    for k in range(n):
        nrm = 0.0
        for i in range(m):
            nrm += A[i, k] * A[i, k]
        R[k, k] = sqrt(nrm)
        for i in range(m):
            Q[i, k] = A[i, k] / R[k, k]
        for j in range(k + 1, n):
            R[k, j] = 0.0
            for i in range(m):
                R[k, j] += Q[i, k] * A[i, j]
            for i in range(m):
                A[i, j] = A[i, j] - Q[i, k] * R[k, j]


def gramschmidt_data(m: int, n: int) -> Data:
    """PolyBench's values: a matrix of low rank, so that late columns are rounding noise."""
    i, j = grid(m, n)
    return {
        "A": (((i * j) % m) / m) * 100 + 10,
        "R": np.zeros((n, n)),
        "Q": np.zeros((m, n)),
    }


def gramschmidt_reference(m: int, n: int, a: Any, r: Any, q: Any) -> None:
    """The same algorithm with vector operations."""
    for k in range(n):
        r[k, k] = np.linalg.norm(a[:, k])
        q[:, k] = a[:, k] / r[k, k]
        r[k, k + 1 :] = q[:, k] @ a[:, k + 1 :]
        a[:, k + 1 :] -= np.outer(q[:, k], r[k, k + 1 :])


def factored_columns(data: Data) -> Data:
    """Q R where columns can be independent: the factors themselves depend on rounding."""
    count = data["Q"].shape[0]
    return {"Q R": data["Q"][:, :count] @ data["R"][:count, :count]}


benchmark(
    "gramschmidt",
    gramschmidt,
    ((20, 30), (60, 80), (200, 240), (1000, 1200), (2000, 2600)),
    gramschmidt_data,
    gramschmidt_reference,
    ["R", "Q"],
    factored_columns,
)


@kernel
def lu(n: int, A: f64[n, n]) -> None:
    """A = L U in place, without pivoting; L has a unit diagonal."""
    for i in range(n):
        for j in range(i):
            for k in range(j):
                A[i, j] -= A[i, k] * A[k, j]
            A[i, j] /= A[j, j]
        for j in range(i, n):
            for k in range(i):
                A[i, j] -= A[i, k] * A[k, j]


def lu_reference(n: int, a: Any) -> None:
    """The right-looking algorithm: one rank-one update per column."""
    for k in range(n - 1):
        a[k + 1 :, k] /= a[k, k]
        a[k + 1 :, k + 1 :] -= np.outer(a[k + 1 :, k], a[k, k + 1 :])


benchmark("lu", lu, SIZES, matrix_data, lu_reference, ["A"])


@kernel
def ludcmp(n: int, A: f64[n, n], b: f64[n], x: f64[n], y: f64[n]) -> None:
    """Solve A x = b by A = L U."""
    for i in range(n):
        for j in range(i):
            w = A[i, j]
            for k in range(j):
                w -= A[i, k] * A[k, j]
            A[i, j] = w / A[j, j]
        for j in range(i, n):
            w = A[i, j]
            for k in range(i):
                w -= A[i, k] * A[k, j]
            A[i, j] = w
    for i in range(n):
        w = b[i]
        for j in range(i):
            w -= A[i, j] * y[j]
        y[i] = w
    for i in range(n - 1, -1, -1):
        w = y[i]
        for j in range(i + 1, n):
            w -= A[i, j] * x[j]
        x[i] = w / A[i, i]


def ludcmp_data(n: int) -> Data:
    """PolyBench's values."""
    b = (np.arange(n) + 1) / n / 2.0 + 4
    return {"A": positive_definite(n), "b": b, "x": np.zeros(n), "y": np.zeros(n)}


def ludcmp_reference(n: int, a: Any, b: Any, x: Any, y: Any) -> None:
    """LAPACK's solution."""
    x[:] = np.linalg.solve(a, b)


benchmark("ludcmp", ludcmp, SIZES, ludcmp_data, ludcmp_reference, ["x"])


@kernel
def trisolv(n: int, L: f64[n, n], x: f64[n], b: f64[n]) -> None:
    """Solve L x = b by forward substitution."""
    for i in range(n):
        x[i] = b[i]
        for j in range(i):
            x[i] -= L[i, j] * x[j]
        x[i] = x[i] / L[i, i]


def trisolv_data(n: int) -> Data:
    """PolyBench's values."""
    i, j = grid(n, n)
    lower = np.where(j <= i, (i + n - j + 1) * 2 / n, 0.0)
    return {"L": lower, "x": np.full(n, -999.0), "b": np.arange(n, dtype=float)}


def trisolv_reference(n: int, lower: Any, x: Any, b: Any) -> None:
    """LAPACK's solution."""
    x[:] = np.linalg.solve(np.tril(lower), b)


benchmark("trisolv", trisolv, SIZES, trisolv_data, trisolv_reference, ["x"])
