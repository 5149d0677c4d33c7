"""Arrange a stored weight as a kernel reads it: packed[i] = source[map(i)], zero out of range.

Codes of quantized weights become words of bits (`quant.bit_pack`), on GPUs bytes of threads
(`tile.weight_pack`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
)

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
    if pack.map.data.num_dims > len(shape):
        picked = _picked(source, pack, extents, (*shape, 2))
        return picked.view(_pair_of(source)).reshape(tuple(shape))
    if source.size == 2 * math.prod(extents):  # the kernel reads neighbours in memory as pairs
        source = np.ascontiguousarray(source).reshape(-1).view(_pair_of(source))
    return _picked(source, pack, extents, shape)


def _pair_of(source: Array) -> np.dtype[np.generic]:
    """The integers that hold two elements."""
    return np.dtype(f"i{2 * source.dtype.itemsize}")


def _picked(source: Array, pack: PackAttr, extents: tuple[int, ...], shape: Sequence[int]) -> Array:
    if source.size != int(np.prod(extents)):
        raise LoweringError(f"a weight of shape {source.shape} cannot be packed from {extents}")
    plain = source.reshape(extents)
    rearranged = _in_digits(plain, pack, shape)
    if rearranged is not None:
        return rearranged
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


def _in_digits(plain: Array, pack: PackAttr, shape: Sequence[int]) -> Array | None:
    """The packed array as a reshape and a permutation, which is ten times as fast as a lookup.

    Possible where every source dim counts through digits of its own, as (p, k, l) -> (32 p + l, k).
    """
    digits = [_digits(expr, shape) for expr in pack.map.data.results]
    order = [d for found in digits for d in found or ()]
    if None in digits or sorted(order) != list(range(len(shape))):
        return None
    sizes = [math.prod(shape[d] for d in found or ()) for found in digits]
    whole = plain
    if tuple(sizes) != plain.shape:
        kept = tuple(slice(min(n, m)) for n, m in zip(sizes, plain.shape, strict=True))
        whole = np.zeros(sizes, plain.dtype)
        whole[kept] = plain[kept]
    split = whole.reshape([shape[d] for d in order])
    return np.ascontiguousarray(split.transpose(np.argsort(order)))


def _digits(expr: AffineExpr, shape: Sequence[int]) -> list[int] | None:
    """The dims of a mixed radix number, its last digit last; None for any other expression."""
    strides = _strides(expr)
    if strides is None:
        return None
    dims = sorted((d for d in strides if shape[d] != 1), key=lambda d: -strides[d])
    dims += [d for d in strides if shape[d] == 1]
    expected = 1
    for d in reversed(dims):
        if shape[d] != 1 and strides[d] != expected:
            return None
        expected *= shape[d]
    return dims


def _strides(expr: AffineExpr) -> dict[int, int] | None:
    """dim -> factor of a sum of multiples of different dims."""
    if isinstance(expr, AffineDimExpr):
        return {expr.position: 1}
    if not isinstance(expr, AffineBinaryOpExpr):
        return None
    left, right = _strides(expr.lhs), expr.rhs
    if left is None:
        return None
    if expr.kind == AffineBinaryOpKind.Mul and isinstance(right, AffineConstantExpr):
        return {d: factor * right.value for d, factor in left.items()}
    other = _strides(right) if expr.kind == AffineBinaryOpKind.Add else None
    return None if other is None or left.keys() & other.keys() else left | other
