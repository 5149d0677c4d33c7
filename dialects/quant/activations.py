"""Activations of products with quantized weights: as they are, or rounded to integers by row.

int8: q = round(x * (127 / a)) with a the largest magnitude of the row, x becomes q * (a / 127).
Computed in f32 by everyone, so that all agree on every q.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

ACTIVATIONS = ("f32", "int8")
LARGEST = 127.0
TINY = 2.0**-100  # a row without larger numbers counts as zeros: 127 / a would overflow


def quantize_rows(
    source: npt.NDArray[Any],
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """(q [M, K], scales [M, 1]) of activations [M, K]."""
    values = source.astype(np.float32)
    largest = np.abs(values).max(axis=1, keepdims=True, initial=np.float32(0))
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        factor = np.where(largest >= TINY, np.float32(LARGEST) / largest, np.float32(0))
        rounded = np.rint(values * factor)
    finite = np.where(np.isfinite(rounded), rounded, 0)
    return finite.astype(np.int8), largest * np.float32(1 / LARGEST)
