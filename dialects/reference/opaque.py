"""The numpy meaning of opaque ops and scans, the same on the graph and on the linalg level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from xdsl.ir import Operation

from ..graph import ScanOp, shape_of
from ..graph.base import GraphOp
from ..graph.opaque import ArgsortOp, IndexPutOp, ScatterOp, SearchsortedOp
from ..graph.recurrent import RecurrentOp
from ..graph.winograd import WinogradConvOp
from ..quant.activations import quantize_rows
from ..quant.ops import QuantizedLinearOp
from ..quant.quantized_tensor import dequantized
from ..winograd import WINDOW, transforms

Array = npt.NDArray[Any]
Meaning = Callable[..., Array]
M = TypeVar("M", bound=Meaning)

OPAQUE_MEANINGS: dict[type[Operation], Meaning] = {}
"""Op class to a function of the op and the arrays of its operands."""

SCANS: dict[str, np.ufunc] = {
    "sum": np.add,
    "prod": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
    "logaddexp": np.logaddexp,
}
UPDATES: dict[str, np.ufunc] = {
    "add": np.add,
    "mul": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
}


def _meaning(kind: type[GraphOp]) -> Callable[[M], M]:
    def register(function: M) -> M:
        OPAQUE_MEANINGS[kind] = function
        return function

    return register


@_meaning(ScanOp)
def _scan(op: ScanOp, source: Array) -> Array:
    # given a dtype, numpy keeps narrow integers narrow
    return np.asarray(SCANS[op.fn.data].accumulate(source, axis=op.dim.data, dtype=source.dtype))


@_meaning(ArgsortOp)
def _argsort(op: ArgsortOp, source: Array) -> Array:
    axis, count = op.dim.data, op.kept
    if op.descending.value.data:
        # the last of a stable ascending order first; turned around before, equals keep their order
        order = source.shape[axis] - 1 - np.argsort(np.flip(source, axis), axis, kind="stable")
        order = np.flip(order, axis)
    else:
        order = np.argsort(source, axis, kind="stable")
    return np.take(order, np.arange(count), axis)


@_meaning(ScatterOp)
def _scatter(op: ScatterOp, source: Array, updates: Array, indices: Array) -> Array:
    where: list[Array] = list(np.indices(indices.shape))
    where[op.dim.data] = indices
    return _updated(op.fn.data, source, updates, where)


@_meaning(IndexPutOp)
def _index_put(op: IndexPutOp, source: Array, updates: Array, *indices: Array) -> Array:
    where = [
        np.where(index < 0, index + extent, index)
        for index, extent in zip(indices, source.shape, strict=False)
    ]
    return _updated(op.fn.data, source, updates, where)


def _updated(fn: str, source: Array, updates: Array, where: Sequence[Array]) -> Array:
    """`source` with `updates` at `where`, in order; those outside are left out."""
    inside = np.ones(where[0].shape, np.bool_)
    for index, extent in zip(where, source.shape, strict=False):
        inside &= (index >= 0) & (index < extent)
    result = source.copy()
    target = tuple(index[inside] for index in where)
    if fn == "set":
        result[target] = updates[inside]
    else:
        UPDATES[fn].at(result, target, updates[inside])
    return result


@_meaning(SearchsortedOp)
def _searchsorted(op: SearchsortedOp, rows: Array, values: Array) -> Array:
    """The steps of torch's binary search, which also say what rows out of order give."""
    shape = shape_of(op.result)
    low, high = np.zeros(shape, np.int64), np.full(shape, rows.shape[-1])
    while (low < high).any():
        is_open, middle = low < high, (low + high) // 2
        at = np.minimum(middle, rows.shape[-1] - 1)
        found = rows[at] if rows.ndim == 1 else np.take_along_axis(rows, at, -1)
        is_reached = found > values if op.right.value.data else found >= values
        low = np.where(is_open & ~is_reached, middle + 1, low)
        high = np.where(is_open & is_reached, middle, high)
    return low


@_meaning(RecurrentOp)
def _recurrent(op: RecurrentOp, gates: Array, weight: Array, *others: Array) -> Array:
    cell, states = op.fn.data, [np.stack(others[: len(op.initial)])]
    bias = others[-1] if op.bias is not None else 0.0
    with np.errstate(over="ignore"):  # exp of a large number makes the gate 0
        for x in gates[::-1] if op.reverse.value.data else gates:
            sums = states[-1][0] @ weight.T
            if cell == "lstm":
                i, f, g, o = np.split(x + sums, 4, axis=-1)
                kept = _sigmoid(f) * states[-1][1] + _sigmoid(i) * np.tanh(g)
                states.append(np.stack([_sigmoid(o) * np.tanh(kept), kept]))
            elif cell == "gru":
                (x, z, n), (r, y, m) = np.split(x, 3, axis=-1), np.split(sums, 3, axis=-1)
                n = np.tanh(n + _sigmoid(x + r) * (m + bias))
                states.append(n + _sigmoid(z + y) * (states[-1] - n))
            else:
                states.append((np.tanh if cell == "tanh" else _relu)(x + sums)[None])
    return np.stack(states)


def _relu(x: Array) -> Array:
    return np.maximum(x, 0)


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


@_meaning(WinogradConvOp)
def _winograd_conv(op: WinogradConvOp, source: Array, weight: Array, *others: Array) -> Array:
    tile, found = op.tile.data, transforms(op.tile.data)
    to_products, to_results = (m.astype(source.dtype) for m in (found.inputs, found.outputs))
    batch, blocks, height, width, lanes = op.positions
    rows, columns, size = -(-height // tile), -(-width // tile), tile + WINDOW - 1
    missing = (rows * tile - height, columns * tile - width)
    source = np.pad(source, [(0, 0), (0, 0), (0, missing[0]), (0, missing[1]), (0, 0)])
    patches = np.lib.stride_tricks.sliding_window_view(source, (size, size), (2, 3))
    patches = patches[:, :, ::tile, ::tile]  # [B, C / L, rows, columns, L, size, size]
    patches = np.moveaxis(patches, 4, 2).reshape(batch, -1, rows, columns, size, size)
    weight = weight.reshape(blocks, size, size, -1, lanes)
    products = np.einsum(
        "bcyxij,oijcl->boyxlij", to_products @ patches @ to_products.T, weight, optimize=True
    )
    result = to_results @ products @ to_results.T  # [B, O / L, rows, columns, L, tile, tile]
    result = np.moveaxis(result, (5, 6), (3, 5))
    result = result.reshape(batch, blocks, rows * tile, columns * tile, lanes)
    result = result[:, :, :height, :width]
    for other in others:
        result = result + other
    if op.relu is not None:
        result = np.maximum(result, source.dtype.type(0))
    low, high = ([w.data for w in p] for p in (op.border_low, op.border_high))
    return np.pad(result, [(0, 0), (0, 0), *zip(low, high, strict=True), (0, 0)])


@_meaning(QuantizedLinearOp)
def _quantized_linear(op: QuantizedLinearOp, source: Array, codes: Array, *others: Array) -> Array:
    arrays = dict(zip((v for v in op.operands[2:]), others, strict=True))
    zeros, levels, bias = (None if v is None else arrays[v] for v in (op.zeros, op.levels, op.bias))
    scales, dtype = arrays[op.scales], source.dtype
    weight = dequantized(op.weight_format, codes, scales, zeros, levels, dtype)
    if op.activations.data != "f32":
        rounded, steps = quantize_rows(source, op.activations.data)
        source = rounded.astype(dtype) * steps.astype(dtype)
    product = source @ weight.T
    return product if bias is None else product + bias
