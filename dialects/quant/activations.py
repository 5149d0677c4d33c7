"""Activations of products with quantized weights: as they are, or rounded row by row.

int8: q = round(x * (127 / a)) with a the largest magnitude of the row, x becomes q * (a / 127).
int16: the same with 32512 for 127, so that both bytes of q have a sign (q = 256 high + low).
fp8: the same with 448 for 127 and q of e4m3; what is no finite number makes its row NaN.
Computed in f32 by everyone, so that all agree on every q.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

ACTIVATIONS = ("f32", "int8", "int16", "fp8")
LARGEST = 127.0
LARGEST_INT16 = 127.0 * 256  # the high byte stays below 128 when the low one rounds up
LARGEST_E4M3 = 448.0
MOST = {"int8": LARGEST, "int16": LARGEST_INT16, "fp8": LARGEST_E4M3}
TINY = 2.0**-100  # a row without larger numbers counts as zeros: 127 / a would overflow


def quantize_rows(
    source: npt.NDArray[Any], activations: str = "int8"
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32]]:
    """(q [M, K] of int8, int16 or float8_e4m3fn, scales [M, 1]) of activations [M, K]."""
    most = MOST[activations]
    values = source.astype(np.float32)
    largest = np.abs(values).max(axis=1, keepdims=True, initial=np.float32(0))
    with np.errstate(all="ignore"):
        factor = np.where(largest >= TINY, np.float32(most) / largest, np.float32(0))
        product, scales = values * factor, largest * np.float32(1 / most)
    if activations == "fp8":
        return to_e4m3(product), scales
    rounded = np.rint(product)
    dtype = np.int16 if activations == "int16" else np.int8
    return np.where(np.isfinite(rounded), rounded, 0).astype(dtype), scales


def to_e4m3(values: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    """The nearest numbers of e4m3, ties to even; 448 for all beyond it."""
    clipped = np.clip(values, -LARGEST_E4M3, LARGEST_E4M3)  # NaN stays
    with np.errstate(invalid="ignore"):
        return clipped.astype(ml_dtypes.float8_e4m3fn)
