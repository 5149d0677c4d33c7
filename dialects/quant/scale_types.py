"""How scales and zero points are stored: f32, or the bits of f16, bf16, e8m0 as an integer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Raw = npt.NDArray[Any]


def _f32(values: Floats) -> Raw:
    return values.astype(np.float32)


def _encode_f16(values: Floats) -> Raw:
    with np.errstate(over="ignore"):
        return values.astype(np.float16).view(np.int16)


def _decode_f16(raw: Raw) -> Floats:
    return raw.view(np.float16).astype(np.float32)


def _encode_bf16(values: Floats) -> Raw:
    """To nearest, ties to even; a NaN keeps its upper bits and stays one."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    rounded = np.where(np.isnan(values), (bits >> 16) | 0x40, rounded)
    return rounded.astype(np.uint16).view(np.int16)


def _decode_bf16(raw: Raw) -> Floats:
    return (raw.view(np.uint16).astype(np.uint32) << 16).view(np.float32)


def _encode_e8m0(values: Floats) -> Raw:
    """The power of two whose logarithm is nearest; 255 is NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        exponent = np.rint(np.log2(np.abs(values.astype(np.float64)))) + 127
    code = np.where(np.isnan(exponent), 255, np.clip(exponent, 0, 254))
    return code.astype(np.uint8).view(np.int8)


def _decode_e8m0(raw: Raw) -> Floats:
    code = raw.view(np.uint8).astype(np.int32)
    values = np.ldexp(np.float32(1), np.minimum(code, 254) - 127).astype(np.float32)
    return np.where(code == 255, np.float32(np.nan), values)


@dataclass(frozen=True)
class ScaleType:
    """Bits in memory, and both directions between values and what is stored."""

    name: str
    bits: int
    encode: Callable[[Floats], Raw]
    decode: Callable[[Raw], Floats]


SCALE_TYPES: dict[str, ScaleType] = {
    row.name: row
    for row in (
        ScaleType("f32", 32, _f32, _f32),
        ScaleType("f16", 16, _encode_f16, _decode_f16),
        ScaleType("bf16", 16, _encode_bf16, _decode_bf16),
        ScaleType("e8m0", 8, _encode_e8m0, _decode_e8m0),
    )
}
