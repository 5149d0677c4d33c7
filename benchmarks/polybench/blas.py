"""PolyBench linear-algebra/blas: gemm, gemver, gesummv, symm, syrk, syr2k, trmm."""

from __future__ import annotations

from typing import Any

import numpy as np
from tilecast import f64, kernel

from .benchmark import Data, benchmark, grid

MATRIX_SIZES = ((20, 30), (60, 80), (200, 240), (1000, 1200), (2000, 2600))


@kernel
def gemm(
    ni: int,
    nj: int,
    nk: int,
    alpha: f64,
    beta: f64,
    C: f64[ni, nj],
    A: f64[ni, nk],
    B: f64[nk, nj],
) -> None:
    """C = alpha A B + beta C."""
    for i in range(ni):
        for j in range(nj):
            C[i, j] *= beta
        for k in range(nk):
            for j in range(nj):
                C[i, j] += alpha * A[i, k] * B[k, j]


def gemm_data(ni: int, nj: int, nk: int) -> Data:
    """PolyBench's values."""
    i, j = grid(ni, nj)
    c = ((i * j + 1) % ni) / ni
    i, j = grid(ni, nk)
    a = (i * (j + 1) % nk) / nk
    i, j = grid(nk, nj)
    return {"alpha": 1.5, "beta": 1.2, "C": c, "A": a, "B": (i * (j + 2) % nj) / nj}


def gemm_reference(ni: int, nj: int, nk: int, alpha: float, beta: float, *arrays: Any) -> None:
    """One matrix product."""
    c, a, b = arrays
    c[:] = beta * c + alpha * (a @ b)


benchmark(
    "gemm",
    gemm,
    ((20, 25, 30), (60, 70, 80), (200, 220, 240), (1000, 1100, 1200), (2000, 2300, 2600)),
    gemm_data,
    gemm_reference,
    ["C"],
)


@kernel
def gemver(
    n: int,
    alpha: f64,
    beta: f64,
    A: f64[n, n],
    u1: f64[n],
    v1: f64[n],
    u2: f64[n],
    v2: f64[n],
    w: f64[n],
    x: f64[n],
    y: f64[n],
    z: f64[n],
) -> None:
    """A += u1 v1' + u2 v2'; x = beta A' y + z; w = alpha A x."""
    for i in range(n):
        for j in range(n):
            A[i, j] = A[i, j] + u1[i] * v1[j] + u2[i] * v2[j]
    for i in range(n):
        for j in range(n):
            x[i] = x[i] + beta * A[j, i] * y[j]
    for i in range(n):
        x[i] = x[i] + z[i]
    for i in range(n):
        for j in range(n):
            w[i] = w[i] + alpha * A[i, j] * x[j]


def gemver_data(n: int) -> Data:
    """PolyBench's values."""
    i, j = grid(n, n)
    k = np.arange(n)
    vectors = {name: (k + 1) / n / d for name, d in (("u2", 2), ("v1", 4), ("v2", 6), ("y", 8))}
    return {
        "alpha": 1.5,
        "beta": 1.2,
        "A": (i * j % n) / n,
        "u1": k.astype(float),
        **vectors,
        "z": (k + 1) / n / 9.0,
        "x": np.zeros(n),
        "w": np.zeros(n),
    }


def gemver_reference(n: int, alpha: float, beta: float, *arrays: Any) -> None:
    """Outer products and matrix-vector products."""
    a, u1, v1, u2, v2, w, x, y, z = arrays
    a += np.outer(u1, v1) + np.outer(u2, v2)
    x += beta * (a.T @ y) + z
    w += alpha * (a @ x)


benchmark(
    "gemver",
    gemver,
    ((40,), (120,), (400,), (2000,), (4000,)),
    gemver_data,
    gemver_reference,
    ["w"],
)


@kernel
def gesummv(
    n: int,
    alpha: f64,
    beta: f64,
    A: f64[n, n],
    B: f64[n, n],
    tmp: f64[n],
    x: f64[n],
    y: f64[n],
) -> None:
    """y = alpha A x + beta B x."""
    for i in range(n):
        tmp[i] = 0.0
        y[i] = 0.0
        for j in range(n):
            tmp[i] = A[i, j] * x[j] + tmp[i]
            y[i] = B[i, j] * x[j] + y[i]
        y[i] = alpha * tmp[i] + beta * y[i]


def gesummv_data(n: int) -> Data:
    """PolyBench's values."""
    i, j = grid(n, n)
    return {
        "alpha": 1.5,
        "beta": 1.2,
        "A": ((i * j + 1) % n) / n,
        "B": ((i * j + 2) % n) / n,
        "tmp": np.zeros(n),
        "x": (np.arange(n) % n) / n,
        "y": np.zeros(n),
    }


def gesummv_reference(n: int, alpha: float, beta: float, *arrays: Any) -> None:
    """Two matrix-vector products."""
    a, b, _, x, y = arrays
    y[:] = alpha * (a @ x) + beta * (b @ x)


benchmark(
    "gesummv",
    gesummv,
    ((30,), (90,), (250,), (1300,), (2800,)),
    gesummv_data,
    gesummv_reference,
    ["y"],
)


@kernel
def symm(
    m: int,
    n: int,
    alpha: f64,
    beta: f64,
    C: f64[m, n],
    A: f64[m, m],
    B: f64[m, n],
) -> None:
    """C = alpha A B + beta C, of symmetric A the lower triangle being stored."""
    for i in range(m):
        for j in range(n):
            temp2 = 0.0
            for k in range(i):
                C[k, j] += alpha * B[i, j] * A[i, k]
                temp2 += B[k, j] * A[i, k]
            C[i, j] = beta * C[i, j] + alpha * B[i, j] * A[i, i] + alpha * temp2


def symm_data(m: int, n: int) -> Data:
    """PolyBench's values; what is above the diagonal must not be read."""
    i, j = grid(m, n)
    c, b = ((i + j) % 100) / m, ((n + i - j) % 100) / m
    i, j = grid(m, m)
    a = np.where(j <= i, ((i + j) % 100) / m, -999.0)
    return {"alpha": 1.5, "beta": 1.2, "C": c, "A": a, "B": b}


def symm_reference(m: int, n: int, alpha: float, beta: float, *arrays: Any) -> None:
    """The full matrix times B."""
    c, a, b = arrays
    full = np.tril(a) + np.tril(a, -1).T
    c[:] = beta * c + alpha * (full @ b)


benchmark("symm", symm, MATRIX_SIZES, symm_data, symm_reference, ["C"])


@kernel
def syrk(m: int, n: int, alpha: f64, beta: f64, C: f64[n, n], A: f64[n, m]) -> None:
    """The lower triangle of C = alpha A A' + beta C."""
    for i in range(n):
        for j in range(i + 1):
            C[i, j] *= beta
        for k in range(m):
            for j in range(i + 1):
                C[i, j] += alpha * A[i, k] * A[j, k]


def syrk_data(m: int, n: int) -> Data:
    """PolyBench's values."""
    i, j = grid(n, m)
    a = ((i * j + 1) % n) / n
    i, j = grid(n, n)
    return {"alpha": 1.5, "beta": 1.2, "C": ((i * j + 2) % m) / m, "A": a}


def syrk_reference(m: int, n: int, alpha: float, beta: float, *arrays: Any) -> None:
    """A matrix product, of which the lower triangle counts."""
    c, a = arrays
    lower = np.tri(n, dtype=bool)
    c[lower] = (beta * c + alpha * (a @ a.T))[lower]


benchmark("syrk", syrk, MATRIX_SIZES, syrk_data, syrk_reference, ["C"])


@kernel
def syr2k(
    m: int,
    n: int,
    alpha: f64,
    beta: f64,
    C: f64[n, n],
    A: f64[n, m],
    B: f64[n, m],
) -> None:
    """The lower triangle of C = alpha A B' + alpha B A' + beta C."""
    for i in range(n):
        for j in range(i + 1):
            C[i, j] *= beta
        for k in range(m):
            for j in range(i + 1):
                C[i, j] += A[j, k] * alpha * B[i, k] + B[j, k] * alpha * A[i, k]


def syr2k_data(m: int, n: int) -> Data:
    """PolyBench's values."""
    i, j = grid(n, m)
    a, b = ((i * j + 1) % n) / n, ((i * j + 2) % m) / m
    i, j = grid(n, n)
    return {"alpha": 1.5, "beta": 1.2, "C": ((i * j + 3) % n) / m, "A": a, "B": b}


def syr2k_reference(m: int, n: int, alpha: float, beta: float, *arrays: Any) -> None:
    """Two matrix products, of which the lower triangle counts."""
    c, a, b = arrays
    lower = np.tri(n, dtype=bool)
    c[lower] = (beta * c + alpha * (a @ b.T + b @ a.T))[lower]


benchmark("syr2k", syr2k, MATRIX_SIZES, syr2k_data, syr2k_reference, ["C"])


@kernel
def trmm(m: int, n: int, alpha: f64, A: f64[m, m], B: f64[m, n]) -> None:
    """B = alpha A' B, A being lower triangular with a unit diagonal."""
    for i in range(m):
        for j in range(n):
            for k in range(i + 1, m):
                B[i, j] += A[k, i] * B[k, j]
            B[i, j] = alpha * B[i, j]


def trmm_data(m: int, n: int) -> Data:
    """PolyBench's values."""
    i, j = grid(m, m)
    a = np.where(j < i, ((i + j) % m) / m, 0.0)
    np.fill_diagonal(a, 1.0)
    i, j = grid(m, n)
    return {"alpha": 1.5, "A": a, "B": ((n + (i - j)) % n) / n}


def trmm_reference(m: int, n: int, alpha: float, *arrays: Any) -> None:
    """A matrix product."""
    a, b = arrays
    b[:] = alpha * ((np.tril(a, -1) + np.eye(m)).T @ b)


benchmark("trmm", trmm, MATRIX_SIZES, trmm_data, trmm_reference, ["B"])
