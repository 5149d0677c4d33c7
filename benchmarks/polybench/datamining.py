"""PolyBench datamining: correlation, covariance."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
from tilecast import f64, kernel

from .benchmark import Data, benchmark, grid

SIZES = ((28, 32), (80, 100), (240, 260), (1200, 1400), (2600, 3000))


@kernel
def correlation(
    m: int,
    n: int,
    float_n: f64,
    data: f64[n, m],
    corr: f64[m, m],
    mean: f64[m],
    stddev: f64[m],
) -> None:
    """The correlation matrix of the columns of `data`."""
    eps = 0.1
    for j in range(m):
        mean[j] = 0.0
        for i in range(n):
            mean[j] += data[i, j]
        mean[j] /= float_n
    for j in range(m):
        stddev[j] = 0.0
        for i in range(n):
            stddev[j] += (data[i, j] - mean[j]) * (data[i, j] - mean[j])
        stddev[j] /= float_n
        stddev[j] = sqrt(stddev[j])
        stddev[j] = 1.0 if stddev[j] <= eps else stddev[j]
    for i in range(n):
        for j in range(m):
            data[i, j] -= mean[j]
            data[i, j] /= sqrt(float_n) * stddev[j]
    for i in range(m - 1):
        corr[i, i] = 1.0
        for j in range(i + 1, m):
            corr[i, j] = 0.0
            for k in range(n):
                corr[i, j] += data[k, i] * data[k, j]
            corr[j, i] = corr[i, j]
    corr[m - 1, m - 1] = 1.0


def _columns(m: int, n: int) -> Data:
    return {"corr": np.zeros((m, m)), "mean": np.zeros(m), "stddev": np.zeros(m)}


def correlation_data(m: int, n: int) -> Data:
    """PolyBench's values."""
    i, j = grid(n, m)
    return {"float_n": float(n), "data": (i * j) / m + i, **_columns(m, n)}


def correlation_reference(m: int, n: int, float_n: float, *arrays: Any) -> None:
    """A matrix product of normalised columns."""
    data, corr, _, _ = arrays
    deviation = data.std(axis=0)
    columns = (data - data.mean(axis=0)) / np.where(deviation <= 0.1, 1.0, deviation)
    corr[:] = (columns.T @ columns) / n
    np.fill_diagonal(corr, 1.0)


benchmark("correlation", correlation, SIZES, correlation_data, correlation_reference, ["corr"])


@kernel
def covariance(m: int, n: int, float_n: f64, data: f64[n, m], cov: f64[m, m], mean: f64[m]) -> None:
    """The covariance matrix of the columns of `data`."""
    for j in range(m):
        mean[j] = 0.0
        for i in range(n):
            mean[j] += data[i, j]
        mean[j] /= float_n
    for i in range(n):
        for j in range(m):
            data[i, j] -= mean[j]
    for i in range(m):
        for j in range(i, m):
            cov[i, j] = 0.0
            for k in range(n):
                cov[i, j] += data[k, i] * data[k, j]
            cov[i, j] /= float_n - 1.0
            cov[j, i] = cov[i, j]


def covariance_data(m: int, n: int) -> Data:
    """PolyBench's values."""
    i, j = grid(n, m)
    return {"float_n": float(n), "data": (i * j) / m, "cov": np.zeros((m, m)), "mean": np.zeros(m)}


def covariance_reference(m: int, n: int, float_n: float, *arrays: Any) -> None:
    """NumPy's covariance."""
    data, cov, _ = arrays
    cov[:] = np.cov(data, rowvar=False)


benchmark("covariance", covariance, SIZES, covariance_data, covariance_reference, ["cov"])
