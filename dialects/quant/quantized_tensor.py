"""A quantized matrix: codes, and the scales, zero points and levels that give them meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .elements import IntegerElement
from .scale_types import SCALE_TYPES
from .weight_format import WeightFormat

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class QuantizedTensor:
    """A [N, K] weight: value[n, k] = (levels[codes[n, k]] - zeros[n, k // group]) * scales[...].

    `codes` are uint8; `scales` and `zeros` are [N, groups] as stored, integers holding the bits of
    types that numpy lacks (`ScaleType`). `levels` is set where elements are no integers.
    """

    format: WeightFormat
    codes: npt.NDArray[np.uint8]
    scales: Array
    zeros: Array | None = None
    levels: Floats | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(N, K)."""
        rows, columns = self.codes.shape
        return rows, columns

    @property
    def nbytes(self) -> float:
        """Bytes in memory when packed, without padding."""
        return self.codes.size * self.format.bits(*self.shape) / 8

    def dequantize(self, dtype: npt.DTypeLike = np.float32) -> Array:
        """The matrix that the codes stand for, computed in `dtype`."""
        levels = None if self.levels is None else self.levels
        return dequantized(self.format, self.codes, self.scales, self.zeros, levels, dtype)


def dequantized(
    format: WeightFormat,
    codes: Array,
    scales: Array,
    zeros: Array | None,
    levels: Array | None,
    dtype: npt.DTypeLike,
) -> Array:
    """(levels[codes] - zeros) * scales in `dtype`."""
    if levels is None:
        assert isinstance(format.element, IntegerElement)
        levels = format.element.levels
    group = format.group or max(1, codes.shape[1])

    def spread(values: Array) -> Array:
        return np.repeat(values.astype(dtype), group, axis=1)[:, : codes.shape[1]]

    numbers = levels.astype(dtype)[codes.view(np.uint8) if codes.dtype == np.int8 else codes]
    if zeros is not None:
        numbers = numbers - spread(zero_values(format, zeros))
    return np.asarray(numbers * spread(SCALE_TYPES[format.scale].decode(scales)), dtype)


def zero_values(format: WeightFormat, zeros: Array) -> Array:
    """Zero points as numbers, in units of the scale."""
    if format.zero == "int":
        assert isinstance(format.element, IntegerElement)
        return zeros.view(np.uint8).astype(np.float32) * format.element.step + format.element.offset
    return SCALE_TYPES[format.zero].decode(zeros)
