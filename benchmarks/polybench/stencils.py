"""PolyBench stencils: adi, fdtd-2d, heat-3d, jacobi-1d, jacobi-2d, seidel-2d."""

from __future__ import annotations

from typing import Any

import numpy as np
from tilecast import f64, kernel

from .benchmark import Data, benchmark, grid


@kernel
def adi(
    tsteps: int,
    n: int,
    u: f64[n, n],
    v: f64[n, n],
    p: f64[n, n],
    q: f64[n, n],
) -> None:
    """The heat equation by alternating directions: column sweep, then row sweep."""
    dx = 1.0 / n
    dy = 1.0 / n
    dt = 1.0 / tsteps
    b1 = 2.0
    b2 = 1.0
    mul1 = b1 * dt / (dx * dx)
    mul2 = b2 * dt / (dy * dy)
    a = -mul1 / 2.0
    b = 1.0 + mul1
    c = a
    d = -mul2 / 2.0
    e = 1.0 + mul2
    f = d
    for t in range(1, tsteps + 1):
        for i in range(1, n - 1):
            v[0, i] = 1.0
            p[i, 0] = 0.0
            q[i, 0] = v[0, i]
            for j in range(1, n - 1):
                p[i, j] = -c / (a * p[i, j - 1] + b)
                q[i, j] = (
                    -d * u[j, i - 1] + (1.0 + 2.0 * d) * u[j, i] - f * u[j, i + 1] - a * q[i, j - 1]
                ) / (a * p[i, j - 1] + b)
            v[n - 1, i] = 1.0
            for j in range(n - 2, 0, -1):
                v[j, i] = p[i, j] * v[j + 1, i] + q[i, j]
        for i in range(1, n - 1):
            u[i, 0] = 1.0
            p[i, 0] = 0.0
            q[i, 0] = u[i, 0]
            for j in range(1, n - 1):
                p[i, j] = -f / (d * p[i, j - 1] + e)
                q[i, j] = (
                    -a * v[i - 1, j] + (1.0 + 2.0 * a) * v[i, j] - c * v[i + 1, j] - d * q[i, j - 1]
                ) / (d * p[i, j - 1] + e)
            u[i, n - 1] = 1.0
            for j in range(n - 2, 0, -1):
                u[i, j] = p[i, j] * u[i, j + 1] + q[i, j]


def adi_data(tsteps: int, n: int) -> Data:
    """PolyBench's values."""
    i, j = grid(n, n)
    zeros = {name: np.zeros((n, n)) for name in ("v", "p", "q")}
    return {"u": (i + n - j) / n, **zeros}


def adi_sweep(source: Any, along: float, across: float) -> np.ndarray:
    """One implicit half step: a tridiagonal system per column of `source`, all at once.

    The unknowns run along the first axis of the result.
    """
    n = source.shape[0]
    inner = slice(1, n - 1)
    right = -across * (source[inner, :-2] + source[inner, 2:])
    right += (1 + 2 * across) * source[inner, inner]
    factor, value = np.zeros((n, n - 2)), np.ones((n, n - 2))
    for j in range(1, n - 1):
        pivot = along * factor[j - 1] + 1 - 2 * along
        factor[j] = -along / pivot
        value[j] = (right[j - 1] - along * value[j - 1]) / pivot
    result = np.ones((n, n - 2))
    for j in range(n - 2, 0, -1):
        result[j] = factor[j] * result[j + 1] + value[j]
    return result


def adi_reference(tsteps: int, n: int, u: Any, v: Any, p: Any, q: Any) -> None:
    """Both sweeps with whole columns at a time."""
    a, d = -(n * n) / tsteps, -(n * n) / (2 * tsteps)
    for _ in range(tsteps):
        v[:, 1:-1] = adi_sweep(u, a, d)
        u[1:-1, :] = adi_sweep(v.T, d, a).T


benchmark(
    "adi",
    adi,
    ((20, 20), (40, 60), (100, 200), (500, 1000), (1000, 2000)),
    adi_data,
    adi_reference,
    ["u"],
)


@kernel
def fdtd_2d(
    tmax: int,
    nx: int,
    ny: int,
    ex: f64[nx, ny],
    ey: f64[nx, ny],
    hz: f64[nx, ny],
    fict: f64[tmax],
) -> None:
    """Finite differences in the time domain of an electromagnetic field."""
    for t in range(tmax):
        for j in range(ny):
            ey[0, j] = fict[t]
        for i in range(1, nx):
            for j in range(ny):
                ey[i, j] = ey[i, j] - 0.5 * (hz[i, j] - hz[i - 1, j])
        for i in range(nx):
            for j in range(1, ny):
                ex[i, j] = ex[i, j] - 0.5 * (hz[i, j] - hz[i, j - 1])
        for i in range(nx - 1):
            for j in range(ny - 1):
                hz[i, j] = hz[i, j] - 0.7 * (ex[i, j + 1] - ex[i, j] + ey[i + 1, j] - ey[i, j])


def fdtd_2d_data(tmax: int, nx: int, ny: int) -> Data:
    """PolyBench's values."""
    i, j = grid(nx, ny)
    return {
        "ex": (i * (j + 1)) / nx,
        "ey": (i * (j + 2)) / ny,
        "hz": (i * (j + 3)) / nx,
        "fict": np.arange(tmax, dtype=float),
    }


def fdtd_2d_reference(tmax: int, nx: int, ny: int, *arrays: Any) -> None:
    """Whole fields at a time."""
    ex, ey, hz, fict = arrays
    for t in range(tmax):
        ey[0] = fict[t]
        ey[1:] -= 0.5 * (hz[1:] - hz[:-1])
        ex[:, 1:] -= 0.5 * (hz[:, 1:] - hz[:, :-1])
        curl = ex[:-1, 1:] - ex[:-1, :-1] + ey[1:, :-1] - ey[:-1, :-1]
        hz[:-1, :-1] -= 0.7 * curl


benchmark(
    "fdtd-2d",
    fdtd_2d,
    ((20, 20, 30), (40, 60, 80), (100, 200, 240), (500, 1000, 1200), (1000, 2000, 2600)),
    fdtd_2d_data,
    fdtd_2d_reference,
    ["ex", "ey", "hz"],
)


@kernel
def heat_3d(tsteps: int, n: int, A: f64[n, n, n], B: f64[n, n, n]) -> None:
    """The heat equation in three dimensions, two steps per iteration."""
    for t in range(1, tsteps + 1):
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                for k in range(1, n - 1):
                    B[i, j, k] = (
                        0.125 * (A[i + 1, j, k] - 2.0 * A[i, j, k] + A[i - 1, j, k])
                        + 0.125 * (A[i, j + 1, k] - 2.0 * A[i, j, k] + A[i, j - 1, k])
                        + 0.125 * (A[i, j, k + 1] - 2.0 * A[i, j, k] + A[i, j, k - 1])
                        + A[i, j, k]
                    )
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                for k in range(1, n - 1):
                    A[i, j, k] = (
                        0.125 * (B[i + 1, j, k] - 2.0 * B[i, j, k] + B[i - 1, j, k])
                        + 0.125 * (B[i, j + 1, k] - 2.0 * B[i, j, k] + B[i, j - 1, k])
                        + 0.125 * (B[i, j, k + 1] - 2.0 * B[i, j, k] + B[i, j, k - 1])
                        + B[i, j, k]
                    )


def heat_3d_data(tsteps: int, n: int) -> Data:
    """PolyBench's values."""
    i, j, k = grid(n, n, n)
    a = (i + j + (n - k)) * 10 / n
    return {"A": a, "B": a.copy()}


def heat_3d_reference(tsteps: int, n: int, a: Any, b: Any) -> None:
    """Second differences of the whole array per axis."""
    inner = (slice(1, -1),) * 3
    for _ in range(tsteps):
        for source, target in ((a, b), (b, a)):
            total = source[inner].copy()
            for axis in range(3):
                others = tuple(slice(None) if k == axis else slice(1, -1) for k in range(3))
                total += 0.125 * np.diff(source[others], 2, axis=axis)
            target[inner] = total


benchmark(
    "heat-3d",
    heat_3d,
    ((20, 10), (40, 20), (100, 40), (500, 120), (1000, 200)),
    heat_3d_data,
    heat_3d_reference,
    ["A"],
)


@kernel
def jacobi_1d(tsteps: int, n: int, A: f64[n], B: f64[n]) -> None:
    """Three-point averages, two steps per iteration."""
    for t in range(tsteps):
        for i in range(1, n - 1):
            B[i] = 0.33333 * (A[i - 1] + A[i] + A[i + 1])
        for i in range(1, n - 1):
            A[i] = 0.33333 * (B[i - 1] + B[i] + B[i + 1])


def jacobi_1d_data(tsteps: int, n: int) -> Data:
    """PolyBench's values."""
    i = np.arange(n)
    return {"A": (i + 2) / n, "B": (i + 3) / n}


def jacobi_1d_reference(tsteps: int, n: int, a: Any, b: Any) -> None:
    """A convolution per step."""
    for _ in range(tsteps):
        b[1:-1] = 0.33333 * np.convolve(a, np.ones(3), "valid")
        a[1:-1] = 0.33333 * np.convolve(b, np.ones(3), "valid")


benchmark(
    "jacobi-1d",
    jacobi_1d,
    ((20, 30), (40, 120), (100, 400), (500, 2000), (1000, 4000)),
    jacobi_1d_data,
    jacobi_1d_reference,
    ["A"],
)


@kernel
def jacobi_2d(tsteps: int, n: int, A: f64[n, n], B: f64[n, n]) -> None:
    """Five-point averages, two steps per iteration."""
    for t in range(tsteps):
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                B[i, j] = 0.2 * (A[i, j] + A[i, j - 1] + A[i, 1 + j] + A[1 + i, j] + A[i - 1, j])
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                A[i, j] = 0.2 * (B[i, j] + B[i, j - 1] + B[i, 1 + j] + B[1 + i, j] + B[i - 1, j])


def jacobi_2d_data(tsteps: int, n: int) -> Data:
    """PolyBench's values."""
    i, j = grid(n, n)
    return {"A": (i * (j + 2) + 2) / n, "B": (i * (j + 3) + 3) / n}


def jacobi_2d_reference(tsteps: int, n: int, a: Any, b: Any) -> None:
    """Whole arrays at a time."""
    for _ in range(tsteps):
        for source, target in ((a, b), (b, a)):
            rows = source[:-2, 1:-1] + source[2:, 1:-1]
            columns = source[1:-1, :-2] + source[1:-1, 2:]
            target[1:-1, 1:-1] = 0.2 * (source[1:-1, 1:-1] + rows + columns)


benchmark(
    "jacobi-2d",
    jacobi_2d,
    ((20, 30), (40, 90), (100, 250), (500, 1300), (1000, 2800)),
    jacobi_2d_data,
    jacobi_2d_reference,
    ["A"],
)


@kernel
def seidel_2d(tsteps: int, n: int, A: f64[n, n]) -> None:
    """Nine-point averages in place."""
    for t in range(tsteps):
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                A[i, j] = (
                    A[i - 1, j - 1]
                    + A[i - 1, j]
                    + A[i - 1, j + 1]
                    + A[i, j - 1]
                    + A[i, j]
                    + A[i, j + 1]
                    + A[i + 1, j - 1]
                    + A[i + 1, j]
                    + A[i + 1, j + 1]
                ) / 9.0


def seidel_2d_data(tsteps: int, n: int) -> Data:
    """PolyBench's values."""
    i, j = grid(n, n)
    return {"A": (i * (j + 2) + 2) / n}


def seidel_2d_reference(tsteps: int, n: int, a: Any) -> None:
    """Wavefronts: the elements with equal 2 i + j do not depend on one another."""
    for _ in range(tsteps):
        for wave in range(3, 3 * (n - 2) + 1):
            i = np.arange(1, n - 1)
            j = wave - 2 * i
            i, j = i[(j >= 1) & (j < n - 1)], j[(j >= 1) & (j < n - 1)]
            window = [a[i + di, j + dj] for di in (-1, 0, 1) for dj in (-1, 0, 1)]
            a[i, j] = np.sum(window, axis=0) / 9.0


benchmark(
    "seidel-2d",
    seidel_2d,
    ((20, 40), (40, 120), (100, 400), (500, 2000), (1000, 4000)),
    seidel_2d_data,
    seidel_2d_reference,
    ["A"],
)
