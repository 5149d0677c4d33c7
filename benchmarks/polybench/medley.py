"""PolyBench medley: deriche (f32), floyd-warshall and nussinov (integer)."""

from __future__ import annotations

from math import exp, pow
from typing import Any

import numpy as np
from tilecast import f32, i8, i32, kernel

from .benchmark import Data, benchmark, grid


@kernel
def deriche(
    w: int,
    h: int,
    alpha: f32,
    img_in: f32[w, h],
    img_out: f32[w, h],
    y1: f32[w, h],
    y2: f32[w, h],
) -> None:
    """Deriche's recursive edge filter: both directions along rows, then along columns."""
    k = (
        (1.0 - exp(-alpha))
        * (1.0 - exp(-alpha))
        / (1.0 + 2.0 * alpha * exp(-alpha) - exp(2.0 * alpha))
    )
    a1 = k
    a5 = k
    a2 = k * exp(-alpha) * (alpha - 1.0)
    a6 = a2
    a3 = k * exp(-alpha) * (alpha + 1.0)
    a7 = a3
    a4 = -k * exp(-2.0 * alpha)
    a8 = a4
    b1 = pow(2.0, -alpha)
    b2 = -exp(-2.0 * alpha)
    c1 = 1.0
    c2 = 1.0
    for i in range(w):
        ym1: f32 = 0.0
        ym2: f32 = 0.0
        xm1: f32 = 0.0
        for j in range(h):
            y1[i, j] = a1 * img_in[i, j] + a2 * xm1 + b1 * ym1 + b2 * ym2
            xm1 = img_in[i, j]
            ym2 = ym1
            ym1 = y1[i, j]
    for i in range(w):
        yp1: f32 = 0.0
        yp2: f32 = 0.0
        xp1: f32 = 0.0
        xp2: f32 = 0.0
        for j in range(h - 1, -1, -1):
            y2[i, j] = a3 * xp1 + a4 * xp2 + b1 * yp1 + b2 * yp2
            xp2 = xp1
            xp1 = img_in[i, j]
            yp2 = yp1
            yp1 = y2[i, j]
    for i in range(w):
        for j in range(h):
            img_out[i, j] = c1 * (y1[i, j] + y2[i, j])
    for j in range(h):
        tm1: f32 = 0.0
        ym1 = 0.0
        ym2 = 0.0
        for i in range(w):
            y1[i, j] = a5 * img_out[i, j] + a6 * tm1 + b1 * ym1 + b2 * ym2
            tm1 = img_out[i, j]
            ym2 = ym1
            ym1 = y1[i, j]
    for j in range(h):
        tp1: f32 = 0.0
        tp2: f32 = 0.0
        yp1 = 0.0
        yp2 = 0.0
        for i in range(w - 1, -1, -1):
            y2[i, j] = a7 * tp1 + a8 * tp2 + b1 * yp1 + b2 * yp2
            tp2 = tp1
            tp1 = img_out[i, j]
            yp2 = yp1
            yp1 = y2[i, j]
    for i in range(w):
        for j in range(h):
            img_out[i, j] = c2 * (y1[i, j] + y2[i, j])


def deriche_data(w: int, h: int) -> Data:
    """PolyBench's values."""
    i, j = grid(w, h)
    image = (((313 * i + 991 * j) % 65536) / 65535.0).astype(np.float32)
    work = {name: np.zeros((w, h), np.float32) for name in ("img_out", "y1", "y2")}
    return {"alpha": np.float32(0.25), "img_in": image, **work}


def deriche_pass(x: np.ndarray, alpha: float) -> np.ndarray:
    """The filter along the first axis in float64, all columns at once."""
    decay = np.exp(-alpha)
    k = (1 - decay) ** 2 / (1 + 2 * alpha * decay - np.exp(2 * alpha))
    a1, a2, a3, a4 = k, k * decay * (alpha - 1), k * decay * (alpha + 1), -k * decay**2
    b1, b2 = 2.0**-alpha, -(decay**2)
    padded = np.zeros((x.shape[0] + 4, x.shape[1]))
    padded[2:-2] = x
    forward, backward = np.zeros_like(padded), np.zeros_like(padded)
    for i in range(2, x.shape[0] + 2):
        forward[i] = a1 * padded[i] + a2 * padded[i - 1] + b1 * forward[i - 1] + b2 * forward[i - 2]
    for i in range(x.shape[0] + 1, 1, -1):
        backward[i] = a3 * padded[i + 1] + a4 * padded[i + 2]
        backward[i] += b1 * backward[i + 1] + b2 * backward[i + 2]
    total: np.ndarray = (forward + backward)[2:-2]
    return total


def deriche_reference(w: int, h: int, alpha: float, *arrays: Any) -> None:
    """Both passes in float64."""
    image, out, _, _ = arrays
    rows = deriche_pass(image.T.astype(np.float64), float(alpha)).T
    out[:] = deriche_pass(rows, float(alpha))


benchmark(
    "deriche",
    deriche,
    ((64, 64), (192, 128), (720, 480), (4096, 2160), (7680, 4320)),
    deriche_data,
    deriche_reference,
    ["img_out"],
)


@kernel
def floyd_warshall(n: int, path: i32[n, n]) -> None:
    """All shortest paths."""
    for k in range(n):
        for i in range(n):
            for j in range(n):
                path[i, j] = (
                    path[i, j] if path[i, j] < path[i, k] + path[k, j] else path[i, k] + path[k, j]
                )


def floyd_warshall_data(n: int) -> Data:
    """PolyBench's values."""
    i, j = grid(n, n)
    path = i * j % 7 + 1
    far = ((i + j) % 13 == 0) | ((i + j) % 7 == 0) | ((i + j) % 11 == 0)
    return {"path": np.where(far, 999, path).astype(np.int32)}


def floyd_warshall_reference(n: int, path: Any) -> None:
    """One outer sum per vertex."""
    for k in range(n):
        np.minimum(path, path[:, k, None] + path[k], out=path)


benchmark(
    "floyd-warshall",
    floyd_warshall,
    ((60,), (180,), (500,), (2800,), (5600,)),
    floyd_warshall_data,
    floyd_warshall_reference,
    ["path"],
)


@kernel
def nussinov(n: int, seq: i8[n], table: i32[n, n]) -> None:
    """RNA folding: the most base pairs (bases whose codes add up to 3) of each subsequence."""
    for i in range(n - 1, -1, -1):
        for j in range(i + 1, n):
            if j - 1 >= 0:
                table[i, j] = max(table[i, j], table[i, j - 1])
            if i + 1 < n:
                table[i, j] = max(table[i, j], table[i + 1, j])
            if j - 1 >= 0 and i + 1 < n:
                if i < j - 1:
                    table[i, j] = max(
                        table[i, j],
                        table[i + 1, j - 1] + (1 if seq[i] + seq[j] == 3 else 0),
                    )
                else:
                    table[i, j] = max(table[i, j], table[i + 1, j - 1])
            for k in range(i + 1, j):
                table[i, j] = max(table[i, j], table[i, k] + table[k + 1, j])


def nussinov_data(n: int) -> Data:
    """PolyBench's values."""
    seq = ((np.arange(n) + 1) % 4).astype(np.int8)
    return {"seq": seq, "table": np.zeros((n, n), np.int32)}


def nussinov_reference(n: int, seq: Any, table: Any) -> None:
    """The same recursion by growing length of the subsequence."""
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            pairs = int(i < j - 1 and seq[i] + seq[j] == 3)
            best = max(table[i, j - 1], table[i + 1, j], table[i + 1, j - 1] + pairs)
            if length > 1:
                best = max(best, int((table[i, i + 1 : j] + table[i + 2 : j + 1, j]).max()))
            table[i, j] = best


benchmark(
    "nussinov",
    nussinov,
    ((60,), (180,), (500,), (2500,), (5500,)),
    nussinov_data,
    nussinov_reference,
    ["table"],
)
