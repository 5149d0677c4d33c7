"""A quantized weight in the order in which threads read it, made once on the host.

In: a QuantizedTensor and the program's `LowbitLinear`. Out: the arrays of its arguments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.ir import Attribute

from ...dialects.quant import FloatElement, IntegerElement, QuantizedTensor, parse_format
from ...dialects.quant.quantized_tensor import zero_values
from ...dialects.quant.scale_types import SCALE_TYPES
from ...dialects.reference.tile import dtype_of
from ...dialects.tile.packing import pack_codes
from ...dialects.tile.weight_pack import WeightPackAttr
from .lowbit_linear import LowbitLinear, default_config, linear_of
from .matmul import MatmulConfig

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class PackedLinear:
    """Arguments of the program: bytes per tile, and per tile along N rows of scales and zeros."""

    linear: LowbitLinear
    weight: Array
    scales: Array
    zeros: Array
    channel_scales: Array


def linear_for(
    tensor: QuantizedTensor, activation: Attribute, config: MatmulConfig | None = None
) -> LowbitLinear:
    """The program's description for a weight."""
    format = tensor.format
    element = format.element
    if isinstance(element, FloatElement) and not _has_special_codes(element, tensor.codes):
        element = element.as_finite()
    levels = None if isinstance(element, IntegerElement) else _levels(tensor)
    if isinstance(element, FloatElement):
        levels = None
    n, k = tensor.shape
    config = config or default_config(format.group, n)
    has_zeros = tensor.zeros is not None
    group = format.group
    if has_zeros and group is None:
        group = -(-k // 64) * 64  # one group, so that its zero points are at hand in each step
    return LowbitLinear(n, k, element.name, group, has_zeros, activation, config, levels)


def _levels(tensor: QuantizedTensor) -> tuple[float, ...]:
    values = tensor.format.element.levels if tensor.levels is None else tensor.levels
    padded = np.zeros(1 << tensor.format.element.width, np.float32)
    padded[: values.size] = values.reshape(-1)
    return tuple(float(v) for v in padded)


def _has_special_codes(element: FloatElement, codes: Array) -> bool:
    magnitude = codes & ((1 << element.width - 1) - 1)
    return bool((magnitude >= element.first_special).any())


def pack_linear(tensor: QuantizedTensor, linear: LowbitLinear) -> PackedLinear:
    """The arrays. Rows and columns behind the end have code 0 and scale 0."""
    scales = SCALE_TYPES[tensor.format.scale].decode(tensor.scales).astype(np.float32)
    channel = np.ones((linear.rows,), np.float32)
    dtype: Any = np.float32
    if linear.group is None:
        channel, scales = scales[:, 0], np.zeros((linear.rows, 1), np.float32)
    elif linear.has_small_groups:
        # the largest scale becomes 1 .. 2, so that none leaves the range of narrow floats
        largest = np.maximum(np.abs(scales).max(axis=1), np.finfo(np.float32).tiny)
        channel = np.exp2(np.floor(np.log2(largest))).astype(np.float32)
        scales, dtype = scales / channel[:, None], dtype_of(linear.activation)
    zeros = np.zeros_like(scales)
    if tensor.zeros is not None:
        zeros = zero_values(tensor.format, tensor.zeros).astype(np.float32)
    return PackedLinear(
        linear,
        pack_weight(tensor.codes, linear),
        _by_tile(scales, linear, dtype),
        _by_tile(zeros, linear, dtype_of(linear.activation)),
        _by_tile(channel[:, None], linear, np.float32, rows=1),
    )


def pack_part(stored: Array, pack: WeightPackAttr) -> Array:
    """One stored array of a weight, as the program of `pack` reads it."""
    format = parse_format(pack.format.data)
    shape = pack.rows.data, pack.columns.data
    repeat = (1, pack.along_n.data, pack.along_k.data)
    config = MatmulConfig(1, pack.warps.data, repeat, 2)
    linear = linear_of(format, shape, pack.operand, config)
    if pack.part.data == "codes":
        return pack_weight(stored.view(np.uint8).reshape(shape), linear)
    stored = stored.reshape(shape[0], -1)
    if pack.part.data == "scales":
        values = SCALE_TYPES[format.scale].decode(stored)
    else:
        values = zero_values(format, stored) + np.float32(linear.zero)
    return _by_tile(values, linear, dtype_of(pack.element))


def pack_weight(codes: Array, linear: LowbitLinear) -> Array:
    """[tiles along N * steps along K, bytes] of int8."""
    _, bn, bk = linear.warps.tile
    padded = np.zeros((linear.tiles * bn, linear.steps * bk), np.uint8)
    padded[: codes.shape[0], : codes.shape[1]] = codes
    tiles = padded.reshape(linear.tiles, bn, linear.steps, bk).transpose(0, 2, 1, 3)
    table = linear.fragments.table()
    held = tiles[:, :, table[..., 0], table[..., 1]]
    data = np.ascontiguousarray(pack_codes(held, linear.code)).view(np.int8)
    result = np.zeros((linear.tiles * linear.steps, linear.tile_bytes), np.int8)
    places = linear.byte_layout.table()[..., 0]
    result[:, places] = data.reshape(-1, *places.shape)
    return result


def _by_tile(values: Array, linear: LowbitLinear, dtype: Any, rows: int | None = None) -> Array:
    """[N, groups] to [tiles along N * rows of a tile, N in the tile]."""
    bn = linear.warps.tile[1]
    rows = linear.scale_rows if rows is None else rows
    padded = np.zeros((linear.tiles * bn, rows), np.float32)
    padded[: values.shape[0], : values.shape[1]] = values[:, :rows]
    tiles = padded.reshape(linear.tiles, bn, rows).transpose(0, 2, 1)
    return np.ascontiguousarray(tiles.reshape(-1, bn)).astype(dtype)
