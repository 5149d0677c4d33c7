"""Arrange a stored weight as a kernel reads it: packed[i] = source[map(i)], zero out of range.

Codes of quantized weights become words of bits (`quant.bit_pack`), on GPUs bytes of threads
(`tile.weight_pack`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ...dialects.errors import LoweringError
from ...dialects.poly import PackAttr
from ...dialects.quant.ops import BitPackAttr
from ...dialects.tile.weight_pack import WeightPackAttr

Array = npt.NDArray[np.generic]
Pack = PackAttr | BitPackAttr | WeightPackAttr


def pack_array(source: Array, pack: Pack, shape: Sequence[int]) -> Array:
    """`source` (of any shape with the elements of `pack.source_shape`), packed to `shape`."""
    if isinstance(pack, BitPackAttr):
        return pack.pack(source)
    if isinstance(pack, WeightPackAttr):
        from ..tile.lowbit_packing import pack_part

        return pack_part(source, pack)
    extents = tuple(extent.data for extent in pack.source_shape)
    if source.size != int(np.prod(extents)):
        raise LoweringError(f"a weight of shape {source.shape} cannot be packed from {extents}")
    plain = source.reshape(extents)
    # Open grids: each map result is an array of as many dims as it really depends on.
    dims = list(np.indices(tuple(shape), sparse=True))
    valid: npt.NDArray[np.bool_] = np.ones((1,) * len(shape), np.bool_)
    index = []
    for result, extent in zip(pack.map.data.results, extents, strict=True):
        position = np.asarray(result.eval(dims, []))  # type: ignore[arg-type]
        valid = valid & (position >= 0) & (position < extent)
        index.append(np.clip(position, 0, max(extent - 1, 0)))
    if plain.size == 0:
        return np.zeros(tuple(shape), source.dtype)
    picked = np.broadcast_to(plain[tuple(index)], tuple(shape))
    packed: Array = np.where(valid, picked, np.zeros((), source.dtype))
    return packed
