"""Interpreter of the loops level: the oracle of loops passes and of the C emitter.

Everything is computed in the element type of the IR, so that results can be compared bit by bit
with generated code; elementary functions (exp, ...) are the float64 result rounded once. Slow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from xdsl.dialects import arith, func, memref, scf, vector
from xdsl.dialects.builtin import (
    MemRefType,
    VectorType,
)
from xdsl.ir import Attribute, Block, Operation, SSAValue

from .. import vector_arith
from ..errors import LoweringError
from ..matrix import MatmulOp
from ..memory import ApartOp
from ..vector import (
    ConstantMaskOp,
    ExchangeOp,
    GatherOp,
    PrefetchOp,
    ReverseOp,
    ScatterOp,
    StepOp,
)
from .loop_arithmetic import MEANINGS, Array, byte_dot, dtype_of, means, pair_dot

Frame = list[Any]
Step = Callable[[Frame], None]


def run_kernel(func: func.FuncOp, arrays: Sequence[Array]) -> None:
    """Run a kernel on one contiguous array per argument; outputs are written in place.

    An array may have any shape with as many elements as the memref; i1 is bool or uint8. An index
    argument is a number.
    """
    arguments = func.body.block.args
    if len(arrays) != len(arguments):
        raise LoweringError(f"expected {len(arguments)} arrays, got {len(arrays)}")
    program = _Program()
    body = program.block(func.body.block)
    frame = list(program.initial)
    for k, (argument, array) in enumerate(zip(arguments, arrays, strict=True)):
        if not isinstance(argument.type, MemRefType):
            frame[k] = np.int64(array)
            continue
        if not array.flags.c_contiguous:
            raise LoweringError(f"argument {argument.name_hint}: expected a contiguous array")
        frame[k] = array.view(dtype_of(argument.type)).reshape(
            [n if n >= 0 else -1 for n in argument.type.get_shape()]
        )
    with np.errstate(all="ignore"):
        body(frame)


class _Program:
    """The ops of a kernel as functions of one list of values: made once, run for all iterations.

    Every value of the IR has a place in the list, those of arguments come first. (As a key of a
    dict it would run Python code, its `__hash__`, at each use.)
    """

    def __init__(self) -> None:
        self.places: dict[SSAValue, int] = {}
        self.initial: list[Any] = []  # constants; None in the places of other values

    def define(self, values: Sequence[SSAValue]) -> list[int]:
        """New places, for values that are defined here."""
        first = len(self.initial)
        places = list(range(first, first + len(values)))
        self.initial += [None] * len(values)
        self.places.update(zip(values, places, strict=True))
        return places

    def use(self, values: Sequence[SSAValue]) -> list[int]:
        """The places of values that are defined already."""
        return [self.places[value] for value in values]

    def block(self, block: Block) -> Callable[[Frame], list[Any]]:
        """Runs the ops of a block; returns the operands of its terminator."""
        self.define(block.args)
        steps: list[Step] = []
        results: list[int] = []
        for op in block.ops:
            if isinstance(op, (scf.YieldOp, scf.ReduceOp, func.ReturnOp)):
                results = self.use(op.operands)
            elif isinstance(op, arith.ConstantOp):
                (place,) = self.define(op.results)
                self.initial[place] = _typer(op.result.type)(MEANINGS[arith.ConstantOp](op))
            else:
                steps.append(self.step(op))

        def run(frame: Frame) -> list[Any]:
            for step in steps:
                step(frame)
            return [frame[k] for k in results]

        return run

    def step(self, op: Operation) -> Step:
        """Runs one op."""
        if isinstance(op, scf.ForOp):
            return self.for_loop(op)
        if isinstance(op, scf.ParallelOp):
            return self.parallel_loop(op)
        if isinstance(op, scf.IfOp):
            return self.condition(op)
        meaning = MEANINGS.get(type(op))
        if meaning is None:
            raise LoweringError(f"the loops interpreter has no meaning for {op.name}")
        used, defined = self.use(op.operands), self.define(op.results)
        typers = [_typer(result.type) for result in op.results]

        def run(frame: Frame) -> None:
            value = meaning(op, *[frame[k] for k in used])
            if len(defined) == 1:
                frame[defined[0]] = typers[0](value)
                return
            values = value if defined else ()
            for place, typed, element in zip(defined, typers, values, strict=True):
                frame[place] = typed(element)

        return run

    def for_loop(self, op: scf.ForOp) -> Step:
        """Iterations in order, with carried values."""
        bounds, first = self.use((op.lb, op.ub, op.step)), self.use(op.iter_args)
        body = self.block(op.body.block)
        index, *arguments = self.use(op.body.block.args)
        number = dtype_of(op.body.block.args[0].type).type
        results = self.define(op.results)

        def run(frame: Frame) -> None:
            carried = [frame[k] for k in first]
            for i in range(*(int(frame[k]) for k in bounds)):
                frame[index] = number(i)
                for place, value in zip(arguments, carried, strict=True):
                    frame[place] = value
                carried = body(frame)
            for place, value in zip(results, carried, strict=True):
                frame[place] = value

        return run

    def parallel_loop(self, op: scf.ParallelOp) -> Step:
        """Iterations one after the other."""
        bounds = self.use([v[0] for v in (op.lowerBound, op.upperBound, op.step)])
        body = self.block(op.body.block)
        (index,) = self.use(op.body.block.args)

        def run(frame: Frame) -> None:
            for i in range(*(int(frame[k]) for k in bounds)):
                frame[index] = np.int64(i)
                body(frame)

        return run

    def condition(self, op: scf.IfOp) -> Step:
        """One of two blocks."""
        (choice,) = self.use([op.cond])
        yes, no = (
            self.block(region.block) if region.blocks else None
            for region in (op.true_region, op.false_region)
        )
        results = self.define(op.results)

        def run(frame: Frame) -> None:
            block = yes if frame[choice] else no
            values = block(frame) if block is not None else []
            for place, value in zip(results, values, strict=True):
                frame[place] = value

        return run


def _typer(type: Attribute) -> Callable[[Any], Any]:
    """Puts a value in the dtype of `type`: a numpy scalar, a lane array, or a memref's array."""
    if isinstance(type, MemRefType):
        return lambda value: value
    dtype = dtype_of(type)
    if not isinstance(type, VectorType):
        return dtype.type

    def lanes(value: Any) -> Any:
        array = np.asarray(value)
        return array if array.dtype == dtype else array.astype(dtype)

    return lanes


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
    place = tuple(map(int, indices))
    for index, extent in zip(place, array.shape, strict=True):
        if not 0 <= index < extent:
            raise LoweringError(f"index {place} is outside {array.shape}")
    return place


@means(memref.AllocaOp)
def _alloca(op: memref.AllocaOp) -> Any:
    assert isinstance(op.memref.type, MemRefType)
    array = np.empty(op.memref.type.get_shape(), dtype_of(op.memref.type))
    # Reading what was never written must not look like a sensible zero.
    array.view(np.uint8).fill(0xA5) if array.dtype != bool and array.ndim else array.fill(1)
    return array


@means(ApartOp)
def _apart(op: Operation, a: Array, b: Array) -> bool:
    return a.ctypes.data != b.ctypes.data


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
    return _lanes_at(array, _flat(array, indices), count)


def _lanes_at(array: Array, start: int, count: int) -> Array:
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


@means(vector.ShuffleOp)
def _shuffle(op: vector.ShuffleOp, a: Array, b: Array) -> Any:
    return np.concatenate([a, b])[list(op.mask.get_values())]


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


@means(MatmulOp)
def _matmul(op: MatmulOp, *values: Any) -> None:
    first, second = len(op.a_indices), len(op.b_indices)
    a, a_place = values[0], values[1 : 1 + first]
    b, b_place = values[1 + first], values[2 + first : 2 + first + second]
    sums, (rows, columns) = values[-1], op.extents
    steps, row, step = (n.value.data for n in (op.steps, op.row_stride, op.step_stride))
    left = np.stack([_lanes_at(a, _flat(a, a_place) + i * row, steps) for i in range(rows)])
    right = np.stack([_lanes_at(b, _flat(b, b_place) + k * step, columns) for k in range(steps)])
    if op.fresh is not None:
        sums[:] = 0
    for k in range(steps):
        x, y = left[:, k, None], right[None, k]
        sums[:] = byte_dot(sums, y, x) if op.is_integer else pair_dot(x, y, sums)
