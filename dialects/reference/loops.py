"""Interpreter of the loops level: the oracle of loops passes and of the C emitter.

Everything is computed in the element type of the IR, so that results can be compared bit by bit
with generated code; elementary functions (exp, ...) are the float64 result rounded once. Slow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from xdsl.dialects import func, memref, scf, vector
from xdsl.dialects.builtin import (
    MemRefType,
    VectorType,
)
from xdsl.ir import Attribute, Block, Operation, SSAValue

from .. import vector_arith
from ..errors import LoweringError
from ..vector import (
    ConstantMaskOp,
    ExchangeOp,
    GatherOp,
    PrefetchOp,
    ReverseOp,
    ScatterOp,
    StepOp,
)
from .loop_arithmetic import MEANINGS, Array, dtype_of, means


def run_kernel(func: func.FuncOp, arrays: Sequence[Array]) -> None:
    """Run a kernel on one contiguous array per argument; outputs are written in place.

    An array may have any shape with as many elements as the memref; i1 is bool or uint8. An index
    argument is a number.
    """
    arguments = func.body.block.args
    if len(arrays) != len(arguments):
        raise LoweringError(f"expected {len(arguments)} arrays, got {len(arrays)}")
    frame: dict[SSAValue, Any] = {}
    for argument, array in zip(arguments, arrays, strict=True):
        if not isinstance(argument.type, MemRefType):
            frame[argument] = np.int64(array)
            continue
        if not array.flags.c_contiguous:
            raise LoweringError(f"argument {argument.name_hint}: expected a contiguous array")
        frame[argument] = array.view(dtype_of(argument.type)).reshape(
            [n if n >= 0 else -1 for n in argument.type.get_shape()]
        )
    with np.errstate(all="ignore"):
        _run_block(func.body.block, frame)


def _run_block(block: Block, frame: dict[SSAValue, Any]) -> list[Any]:
    """Run the ops of a block; the operands of its terminator."""
    for op in block.ops:
        if isinstance(op, (scf.YieldOp, scf.ReduceOp, func.ReturnOp)):
            return [frame[v] for v in op.operands]
        if isinstance(op, scf.ForOp):
            results = _run_for(op, frame)
        elif isinstance(op, scf.ParallelOp):
            results = _run_parallel(op, frame)
        elif isinstance(op, scf.IfOp):
            region = op.true_region if frame[op.cond] else op.false_region
            results = _run_block(region.block, frame) if region.blocks else []
        elif type(op) in MEANINGS:
            value = MEANINGS[type(op)](op, *(frame[v] for v in op.operands))
            values = value if len(op.results) > 1 else [value] * len(op.results)
            results = [_typed(v, r.type) for v, r in zip(values, op.results, strict=True)]
        else:
            raise LoweringError(f"the loops interpreter has no meaning for {op.name}")
        frame.update(zip(op.results, results, strict=True))
    return []


def _run_for(op: scf.ForOp, frame: dict[SSAValue, Any]) -> list[Any]:
    carried = [frame[v] for v in op.iter_args]
    index, *arguments = op.body.block.args
    for i in range(int(frame[op.lb]), int(frame[op.ub]), int(frame[op.step])):
        frame[index] = dtype_of(index.type).type(i)
        frame.update(zip(arguments, carried, strict=True))
        carried = _run_block(op.body.block, frame)
    return carried


def _run_parallel(op: scf.ParallelOp, frame: dict[SSAValue, Any]) -> list[Any]:
    (index,) = op.body.block.args
    bounds = [int(frame[v[0]]) for v in (op.lowerBound, op.upperBound, op.step)]
    for i in range(*bounds):
        frame[index] = np.int64(i)
        _run_block(op.body.block, frame)
    return []


def _typed(value: Any, type: Attribute) -> Any:
    """`value` in the dtype of `type`: a numpy scalar, a lane array, or a memref's array."""
    if isinstance(type, MemRefType):
        return value
    dtype = dtype_of(type)
    if isinstance(type, VectorType):
        lanes = np.asarray(value)
        return lanes if lanes.dtype == dtype else lanes.astype(dtype)
    return dtype.type(value)


@means(memref.LoadOp)
def _load(op: Operation, array: Array, *indices: Any) -> Any:
    return array[_inside(array, indices)]


@means(memref.StoreOp)
def _store(op: Operation, value: Any, array: Array, *indices: Any) -> None:
    array[_inside(array, indices)] = value


@means(memref.AtomicRMWOp)
def _update(op: memref.AtomicRMWOp, value: Any, array: Array, *indices: Any) -> Any:
    place = _inside(array, indices)
    before = array[place]
    array[place] = {1: np.add, 4: np.maximum, 7: np.minimum}[op.kind.value.data](before, value)
    return before


def _inside(array: Array, indices: Sequence[Any]) -> tuple[int, ...]:
    for index, extent in zip(indices, array.shape, strict=True):
        if not 0 <= index < extent:
            raise LoweringError(f"index {tuple(map(int, indices))} is outside {array.shape}")
    return tuple(map(int, indices))


@means(memref.AllocaOp)
def _alloca(op: memref.AllocaOp) -> Any:
    assert isinstance(op.memref.type, MemRefType)
    array = np.empty(op.memref.type.get_shape(), dtype_of(op.memref.type))
    # Reading what was never written must not look like a sensible zero.
    array.view(np.uint8).fill(0xA5) if array.dtype != bool and array.ndim else array.fill(1)
    return array


@means(memref.CastOp)
def _cast(op: Operation, array: Array) -> Array:
    return array


def _flat(array: Array, indices: Sequence[Any]) -> int:
    """The row-major position of `indices`, which may lie one vector before or past the array."""
    position = 0
    for index, extent in zip(indices, array.shape, strict=True):
        position = position * extent + int(index)
    return position


def _lanes(array: Array, indices: Sequence[Any], count: int) -> Array:
    start = _flat(array, indices)
    if not 0 <= start <= array.size - count:
        raise LoweringError(f"lanes {start}..{start + count} are outside {array.size} elements")
    lanes: Array = array.reshape(-1)[start : start + count]
    return lanes


@means(vector.LoadOp)
def _vector_load(op: vector.LoadOp, array: Array, *indices: Any) -> Any:
    return _lanes(array, indices, vector_arith.lanes_of(op.result.type)).copy()


@means(vector.StoreOp)
def _vector_store(op: Operation, value: Array, array: Array, *indices: Any) -> None:
    _lanes(array, indices, value.size)[:] = value


def _picked(array: Array, start: int, offsets: Array, mask: Array) -> Array:
    """Flat positions of the active lanes, checked."""
    positions: Array = start + offsets[mask].astype(np.int64)
    if positions.size and not (positions.min() >= 0 and positions.max() < array.size):
        raise LoweringError(f"a lane is outside {array.size} elements: {positions.tolist()}")
    return positions


@means(vector.MaskedLoadOp, GatherOp)
def _masked_load(op: Operation, array: Array, *rest: Any) -> Any:
    offsets = np.arange(rest[-1].size)
    indices, mask, default = rest[:-2], rest[-2], rest[-1]
    if isinstance(op, GatherOp):
        indices, offsets = rest[:-3], rest[-3]
    result = default.copy()
    result[mask] = array.reshape(-1)[_picked(array, _flat(array, indices), offsets, mask)]
    return result


@means(vector.MaskedStoreOp, ScatterOp)
def _masked_store(op: Operation, array: Array, *rest: Any) -> None:
    offsets = np.arange(rest[-1].size)
    indices, mask, value = rest[:-2], rest[-2], rest[-1]
    if isinstance(op, ScatterOp):
        indices, offsets = rest[:-3], rest[-3]
    array.reshape(-1)[_picked(array, _flat(array, indices), offsets, mask)] = value[mask]


@means(PrefetchOp)
def _prefetch(op: PrefetchOp, *rest: Any) -> None:
    return None


@means(vector.BroadcastOp)
def _broadcast(op: vector.BroadcastOp, value: Any) -> Any:
    return np.full(vector_arith.lanes_of(op.vector.type), value)


@means(ReverseOp)
def _reverse(op: ReverseOp, source: Array) -> Any:
    return source[::-1]


@means(ExchangeOp)
def _exchange(op: ExchangeOp, *rows: Array) -> Any:
    return np.stack(rows, axis=1)


@means(StepOp)
def _step(op: StepOp) -> Any:
    return np.arange(vector_arith.lanes_of(op.result.type))


@means(ConstantMaskOp)
def _constant_mask(op: ConstantMaskOp) -> Any:
    return np.arange(vector_arith.lanes_of(op.result.type)) < op.count.data


@means(vector.CreateMaskOp)
def _create_mask(op: vector.CreateMaskOp, count: Any) -> Any:
    return np.arange(vector_arith.lanes_of(op.mask_vector.type)) < count


@means(vector.ExtractOp)
def _extract(op: vector.ExtractOp, value: Array, *dynamic: Any) -> Any:
    (position,) = dynamic or op.static_position.get_values()
    return value[position]


@means(vector.InsertOp)
def _insert(op: vector.InsertOp, source: Any, dest: Array, *dynamic: Any) -> Any:
    (position,) = dynamic or op.static_position.get_values()
    result = dest.copy()
    result[position] = source
    return result
