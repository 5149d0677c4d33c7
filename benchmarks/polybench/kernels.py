"""PolyBench linear-algebra/kernels: 2mm, 3mm, atax, bicg, doitgen, mvt."""

from __future__ import annotations

from typing import Any

import numpy as np
from tilecast import f64, kernel

from .benchmark import Data, benchmark, grid

VECTOR_SIZES = ((38, 42), (116, 124), (390, 410), (1900, 2100), (1800, 2200))


@kernel
def two_mm(
    ni: int,
    nj: int,
    nk: int,
    nl: int,
    alpha: f64,
    beta: f64,
    tmp: f64[ni, nj],
    A: f64[ni, nk],
    B: f64[nk, nj],
    C: f64[nj, nl],
    D: f64[ni, nl],
) -> None:
    """D = alpha A B C + beta D."""
    for i in range(ni):
        for j in range(nj):
            tmp[i, j] = 0.0
            for k in range(nk):
                tmp[i, j] += alpha * A[i, k] * B[k, j]
    for i in range(ni):
        for j in range(nl):
            D[i, j] *= beta
            for k in range(nj):
                D[i, j] += tmp[i, k] * C[k, j]


def two_mm_data(ni: int, nj: int, nk: int, nl: int) -> Data:
    """PolyBench's values."""
    i, j = grid(ni, nk)
    a = ((i * j + 1) % ni) / ni
    i, j = grid(nk, nj)
    b = (i * (j + 1) % nj) / nj
    i, j = grid(nj, nl)
    c = ((i * (j + 3) + 1) % nl) / nl
    i, j = grid(ni, nl)
    d = (i * (j + 2) % nk) / nk
    return {"alpha": 1.5, "beta": 1.2, "tmp": np.zeros((ni, nj)), "A": a, "B": b, "C": c, "D": d}


def two_mm_reference(
    ni: int, nj: int, nk: int, nl: int, alpha: float, beta: float, *arrays: Any
) -> None:
    """Two matrix products, the second one first."""
    _, a, b, c, d = arrays
    d[:] = beta * d + alpha * (a @ (b @ c))


benchmark(
    "2mm",
    two_mm,
    (
        (16, 18, 22, 24),
        (40, 50, 70, 80),
        (180, 190, 210, 220),
        (800, 900, 1100, 1200),
        (1600, 1800, 2200, 2400),
    ),
    two_mm_data,
    two_mm_reference,
    ["D"],
)


@kernel
def three_mm(
    ni: int,
    nj: int,
    nk: int,
    nl: int,
    nm: int,
    E: f64[ni, nj],
    A: f64[ni, nk],
    B: f64[nk, nj],
    F: f64[nj, nl],
    C: f64[nj, nm],
    D: f64[nm, nl],
    G: f64[ni, nl],
) -> None:
    """G = (A B) (C D)."""
    for i in range(ni):
        for j in range(nj):
            E[i, j] = 0.0
            for k in range(nk):
                E[i, j] += A[i, k] * B[k, j]
    for i in range(nj):
        for j in range(nl):
            F[i, j] = 0.0
            for k in range(nm):
                F[i, j] += C[i, k] * D[k, j]
    for i in range(ni):
        for j in range(nl):
            G[i, j] = 0.0
            for k in range(nj):
                G[i, j] += E[i, k] * F[k, j]


def three_mm_data(ni: int, nj: int, nk: int, nl: int, nm: int) -> Data:
    """PolyBench's values."""
    i, j = grid(ni, nk)
    a = ((i * j + 1) % ni) / (5 * ni)
    i, j = grid(nk, nj)
    b = ((i * (j + 1) + 2) % nj) / (5 * nj)
    i, j = grid(nj, nm)
    c = (i * (j + 3) % nl) / (5 * nl)
    i, j = grid(nm, nl)
    d = ((i * (j + 2) + 2) % nk) / (5 * nk)
    e, f, g = np.zeros((ni, nj)), np.zeros((nj, nl)), np.zeros((ni, nl))
    return {"E": e, "A": a, "B": b, "F": f, "C": c, "D": d, "G": g}


def three_mm_reference(ni: int, nj: int, nk: int, nl: int, nm: int, *arrays: Any) -> None:
    """Three matrix products, grouped from the right."""
    _, a, b, _, c, d, g = arrays
    g[:] = a @ (b @ (c @ d))


benchmark(
    "3mm",
    three_mm,
    (
        (16, 18, 20, 22, 24),
        (40, 50, 60, 70, 80),
        (180, 190, 200, 210, 220),
        (800, 900, 1000, 1100, 1200),
        (1600, 1800, 2000, 2200, 2400),
    ),
    three_mm_data,
    three_mm_reference,
    ["G"],
)


@kernel
def atax(m: int, n: int, A: f64[m, n], x: f64[n], y: f64[n], tmp: f64[m]) -> None:
    """y = A' (A x)."""
    for i in range(n):
        y[i] = 0.0
    for i in range(m):
        tmp[i] = 0.0
        for j in range(n):
            tmp[i] = tmp[i] + A[i, j] * x[j]
        for j in range(n):
            y[j] = y[j] + A[i, j] * tmp[i]


def atax_data(m: int, n: int) -> Data:
    """PolyBench's values."""
    i, j = grid(m, n)
    x = 1 + np.arange(n) / n
    return {"A": ((i + j) % n) / (5 * m), "x": x, "y": np.zeros(n), "tmp": np.zeros(m)}


def atax_reference(m: int, n: int, *arrays: Any) -> None:
    """Two matrix-vector products."""
    a, x, y, _ = arrays
    y[:] = a.T @ (a @ x)


benchmark("atax", atax, VECTOR_SIZES, atax_data, atax_reference, ["y"])


@kernel
def bicg(m: int, n: int, A: f64[n, m], s: f64[m], q: f64[n], p: f64[m], r: f64[n]) -> None:
    """s = A' r; q = A p."""
    for i in range(m):
        s[i] = 0.0
    for i in range(n):
        q[i] = 0.0
        for j in range(m):
            s[j] = s[j] + r[i] * A[i, j]
            q[i] = q[i] + A[i, j] * p[j]


def bicg_data(m: int, n: int) -> Data:
    """PolyBench's values."""
    i, j = grid(n, m)
    p, r = (np.arange(m) % m) / m, (np.arange(n) % n) / n
    return {"A": (i * (j + 1) % n) / n, "s": np.zeros(m), "q": np.zeros(n), "p": p, "r": r}


def bicg_reference(m: int, n: int, *arrays: Any) -> None:
    """Two matrix-vector products."""
    a, s, q, p, r = arrays
    s[:] = r @ a
    q[:] = a @ p


benchmark("bicg", bicg, VECTOR_SIZES, bicg_data, bicg_reference, ["s", "q"])


@kernel
def doitgen(nq: int, nr: int, ns: int, A: f64[nr, nq, ns], C4: f64[ns, ns]) -> None:
    """A[r, q, :] = A[r, q, :] C4; PolyBench has `sum` as an argument, though nobody reads it."""
    sum = np.empty(ns, f64)
    for r in range(nr):
        for q in range(nq):
            for p in range(ns):
                sum[p] = 0.0
                for s in range(ns):
                    sum[p] += A[r, q, s] * C4[s, p]
            for p in range(ns):
                A[r, q, p] = sum[p]


def doitgen_data(nq: int, nr: int, n: int) -> Data:
    """PolyBench's values."""
    i, j, k = grid(nr, nq, n)
    a = ((i * j + k) % n) / n
    i, j = grid(n, n)
    return {"A": a, "C4": (i * j % n) / n}


def doitgen_reference(nq: int, nr: int, n: int, *arrays: Any) -> None:
    """A batched matrix product."""
    a, c4 = arrays
    a[:] = a @ c4


benchmark(
    "doitgen",
    doitgen,
    ((8, 10, 12), (20, 25, 30), (40, 50, 60), (140, 150, 160), (220, 250, 270)),
    doitgen_data,
    doitgen_reference,
    ["A"],
)


@kernel
def mvt(n: int, x1: f64[n], x2: f64[n], y1: f64[n], y2: f64[n], A: f64[n, n]) -> None:
    """x1 += A y1; x2 += A' y2."""
    for i in range(n):
        for j in range(n):
            x1[i] = x1[i] + A[i, j] * y1[j]
    for i in range(n):
        for j in range(n):
            x2[i] = x2[i] + A[j, i] * y2[j]


def mvt_data(n: int) -> Data:
    """PolyBench's values."""
    i, j = grid(n, n)
    k = np.arange(n)
    vectors = {"x1": k % n, "x2": (k + 1) % n, "y1": (k + 3) % n, "y2": (k + 4) % n}
    return {**{name: v / n for name, v in vectors.items()}, "A": (i * j % n) / n}


def mvt_reference(n: int, *arrays: Any) -> None:
    """Two matrix-vector products."""
    x1, x2, y1, y2, a = arrays
    x1 += a @ y1
    x2 += a.T @ y2


benchmark(
    "mvt", mvt, ((40,), (120,), (400,), (2000,), (4000,)), mvt_data, mvt_reference, ["x1", "x2"]
)
