"""Interpreter of tile programs in numpy: the oracle of the CUDA emitter.

Blocks run one after the other. Asynchronous copies land when they are waited for, and shared memory
starts as NaN, so that a missing wait shows. Layouts matter for `tile.view` alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
from xdsl.dialects import scf
from xdsl.dialects.builtin import (
    DYNAMIC_INDEX,
    BFloat16Type,
    Float16Type,
    IndexType,
    IntegerType,
)
from xdsl.ir import Attribute, Block, Operation, SSAValue

from ..errors import LoweringError
from ..quant.activations import to_e4m3
from ..tile import ops
from ..tile.atoms import E4M3, E5M2
from ..tile.packing import thread_bytes, tile_of_bytes
from ..tile.types import CodeType, GlobalType, TileType
from .loop_arithmetic import MEANINGS

Array = npt.NDArray[Any]
Rule = Callable[["BlockRun", Any], list[Any]]
FUNCTIONS: dict[str, Callable[..., Array]] = {
    "neg": np.negative,
    "exp": np.exp,
    "abs": np.abs,
    "relu": lambda x: np.maximum(x, x.dtype.type(0)),
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "max": np.maximum,
    "min": np.minimum,
}


def dtype_of(element: Attribute) -> np.dtype[Any]:
    """The dtype of a tile's elements; codes are bytes."""
    if isinstance(element, CodeType):
        return np.dtype(np.uint8)
    if isinstance(element, BFloat16Type):
        bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return bfloat16
    if element in (E4M3, E5M2):
        return np.dtype(ml_dtypes.float8_e4m3fn if element == E4M3 else ml_dtypes.float8_e5m2)
    if isinstance(element, IntegerType):
        return np.dtype(f"i{element.width.data // 8}")
    return np.dtype(np.float16 if isinstance(element, Float16Type) else np.float32)


def grid_of(program: ops.ProgramOp, arguments: list[Any]) -> tuple[int, int, int]:
    """Blocks along each axis for these arguments."""
    types = [a.type for a in program.body.block.args]
    sizes = [int(a) for a, t in zip(arguments, types, strict=True) if isinstance(t, IndexType)]
    x, y, z = program.grid.data.eval(sizes, [])
    return x, y, z


def run_program(program: ops.ProgramOp, arguments: list[Any]) -> None:
    """Run on flat arrays (one per pointer, changed in place) and numbers (one per index)."""
    grid = grid_of(program, arguments)
    values: dict[SSAValue, Any] = {}
    values.update(zip(program.body.block.args, arguments, strict=True))
    with np.errstate(all="ignore"):
        for z in range(grid[2]):
            for y in range(grid[1]):
                for x in range(grid[0]):
                    BlockRun((x, y, z), dict(values)).run(program.body.block)


@dataclass
class BlockRun:
    """One block: the values so far and the copies under way."""

    index: tuple[int, int, int]
    frame: dict[SSAValue, Any]
    open_copies: list[Callable[[], None]] = field(default_factory=list)
    groups: list[list[Callable[[], None]]] = field(default_factory=list)

    def run(self, block: Block) -> list[Any]:
        """The operands of the terminator, if there is one."""
        for op in block.ops:
            if isinstance(op, scf.YieldOp | ops.YieldOp):
                return [self.frame[v] for v in op.operands]
            if isinstance(op, scf.ForOp):
                results = self._for(op)
            elif isinstance(op, scf.IfOp):
                region = op.true_region if self.frame[op.cond] else op.false_region
                results = self.run(region.block) if region.blocks else []
            elif type(op) in RULES:
                results = RULES[type(op)](self, op)
            elif type(op) in MEANINGS:
                results = [MEANINGS[type(op)](op, *(self.frame[v] for v in op.operands))]
            else:
                raise LoweringError(f"the tile interpreter has no meaning for {op.name}")
            self.frame.update(zip(op.results, results, strict=True))
        return []

    def _for(self, op: scf.ForOp) -> list[Any]:
        carried = [self.frame[v] for v in op.iter_args]
        index, *arguments = op.body.block.args
        for i in range(int(self.frame[op.lb]), int(self.frame[op.ub]), int(self.frame[op.step])):
            self.frame[index] = np.int64(i)
            self.frame.update(zip(arguments, carried, strict=True))
            carried = self.run(op.body.block)
        return carried

    def indices(self, shape: tuple[int, ...], offsets: Any, rank: int) -> list[Array]:
        """Open grid of the indices of a tile at `offsets` of an array of `rank`."""
        full = (1,) * (rank - len(shape)) + shape
        places = [int(self.frame[o]) + np.arange(n) for o, n in zip(offsets, full, strict=True)]
        return list(np.ix_(*places))

    def read(self, array: Array | StridedArray, shape: tuple[int, ...], offsets: Any) -> Array:
        """A tile; 0 outside of the array."""
        index = self.indices(shape, offsets, array.ndim)
        inside = _inside(array, index)
        clipped = tuple(np.clip(i, 0, n - 1) for i, n in zip(index, array.shape, strict=True))
        tile = np.where(inside, array[clipped], array.dtype.type(0)) if array.size else inside * 0
        return tile.astype(array.dtype).reshape(shape)

    def write(self, array: Array | StridedArray, tile: Array, offsets: Any) -> None:
        """A tile, without what is outside of the array."""
        index = self.indices(tile.shape, offsets, array.ndim)
        inside = _inside(array, index)
        full = np.broadcast_arrays(*index)
        array[tuple(i[inside] for i in full)] = tile.reshape(inside.shape)[inside]


def _inside(array: Array | StridedArray, index: list[Array]) -> npt.NDArray[np.bool_]:
    inside: Any = np.bool_(True)
    for i, n in zip(index, array.shape, strict=True):
        inside = inside & (i >= 0) & (i < n)
    return np.asarray(inside)


class StridedArray:
    """A flat array seen through the digits of a global type, with the subscripts of an array."""

    def __init__(self, flat: Array, type: GlobalType) -> None:
        self.flat, self.type = flat, type
        self.shape, self.ndim, self.dtype = type.extents, len(type.extents), flat.dtype
        self.size = int(np.prod(self.shape))

    def places(self, index: Any) -> Array:
        """Where elements lie in the flat array."""
        total: Any = np.int64(self.type.start.data)
        for numbers, digits in zip(index, self.type.dims, strict=True):
            rest = np.asarray(numbers)
            for extent, stride in reversed(digits):
                total, rest = total + rest % extent * stride, rest // extent
        return np.asarray(total)

    def __getitem__(self, index: Any) -> Array:
        found: Array = self.flat[self.places(index)]
        return found

    def __setitem__(self, index: Any, values: Array) -> None:
        self.flat[self.places(index)] = values


def _view_global(run: BlockRun, op: ops.ViewGlobalOp) -> list[Any]:
    type = ops.tile_of(op.result)
    assert isinstance(type, GlobalType)
    flat = run.frame[op.pointer].view(dtype_of(type.element)).reshape(-1)
    if type.digits.data:
        return [StridedArray(flat, type)]
    sizes = [int(run.frame[s]) for s in op.sizes]
    shape = [sizes.pop(0) if n == DYNAMIC_INDEX else n for n in type.extents]
    count = int(np.prod(shape))
    if flat.size < count:
        raise LoweringError(f"an array of {flat.size} elements is viewed as {shape}")
    return [flat[:count].reshape(shape)]


def _alloc(run: BlockRun, op: ops.AllocSharedOp) -> list[Any]:
    type = ops.tile_of(op.result)
    array = np.empty(type.extents, dtype_of(type.element))
    array.view(np.uint8).fill(0xFF)  # NaN in every float type
    return [array]


def _load(run: BlockRun, op: ops.LoadOp) -> list[Any]:
    return [run.read(run.frame[op.source], ops.tile_of(op.result).extents, op.offsets)]


def _store(run: BlockRun, op: ops.StoreOp) -> list[Any]:
    run.write(run.frame[op.target], run.frame[op.source], op.offsets)
    return []


def _copy(run: BlockRun, op: ops.CopyAsyncOp) -> list[Any]:
    target = run.frame[op.target][int(run.frame[op.stage])]
    shape = target.shape
    tile = run.read(run.frame[op.source], shape, op.offsets)
    run.open_copies.append(lambda: np.copyto(target, tile))
    return []


def _commit(run: BlockRun, op: ops.CommitOp) -> list[Any]:
    run.groups.append(run.open_copies)
    run.open_copies = []
    return []


def _wait(run: BlockRun, op: ops.WaitOp) -> list[Any]:
    while len(run.groups) > op.pending.data:
        for land in run.groups.pop(0):
            land()
    return []


def _code(type: TileType) -> CodeType | None:
    return type.element if isinstance(type.element, CodeType) else None


def _view(run: BlockRun, op: ops.ViewOp) -> list[Any]:
    source, result = ops.register_of(op.source), ops.register_of(op.result)
    held = thread_bytes(run.frame[op.source], source.layout, _code(source))
    return [tile_of_bytes(held, result.layout, dtype_of(result.element), _code(result))]


def levels_of(op: ops.CastOp) -> npt.NDArray[np.float32]:
    """What each code of the operand stands for."""
    if op.levels is not None:
        return np.array([v.value.data for v in op.levels], np.float32)
    element = ops.register_of(op.source).element
    assert isinstance(element, CodeType)
    return element.element.levels


def _cast(run: BlockRun, op: ops.CastOp) -> list[Any]:
    value, element = run.frame[op.source], ops.register_of(op.source).element
    if isinstance(element, CodeType):
        value = levels_of(op)[value]
    result = dtype_of(ops.register_of(op.result).element)
    if result == np.int8 and value.dtype != np.int8:
        value = np.rint(np.clip(np.nan_to_num(value.astype(np.float32), nan=0.0), -128, 127))
    if result == dtype_of(E4M3):
        value = to_e4m3(value.astype(np.float32))
    return [value.astype(result)]


def _lookup(run: BlockRun, op: ops.LookupOp) -> list[Any]:
    return [run.frame[op.table][run.frame[op.source]]]


def _dot(run: BlockRun, op: ops.DotOp) -> list[Any]:
    accumulator = run.frame[op.accumulator]
    lhs, rhs = (run.frame[v].astype(accumulator.dtype) for v in (op.lhs, op.rhs))
    return [accumulator + lhs @ rhs.T]


def _elementwise(run: BlockRun, op: ops.UnaryOp | ops.BinaryOp) -> list[Any]:
    values = [run.frame[v] for v in op.operands]
    return [FUNCTIONS[op.function.data](*values).astype(values[0].dtype)]


def _map(run: BlockRun, op: ops.MapOp) -> list[Any]:
    block = op.body.block
    run.frame.update(zip(block.args, (run.frame[s] for s in op.sources), strict=True))
    shape, dtype = ops.tile_of(op.result).extents, dtype_of(ops.tile_of(op.result).element)
    (value,) = run.run(block)
    return [np.broadcast_to(value, shape).astype(dtype)]


def _broadcast(run: BlockRun, op: ops.BroadcastOp) -> list[Any]:
    return [np.repeat(run.frame[op.source], op.size.data, axis=op.dim.data)]


def _reduce(run: BlockRun, op: ops.ReduceOp) -> list[Any]:
    source = run.frame[op.source]
    functions: dict[str, Any] = {"add": np.add, "max": np.maximum, "min": np.minimum}
    function = functions[op.function.data]
    return [function.reduce(source, axis=op.dim.data, keepdims=True).astype(source.dtype)]


def _fill(run: BlockRun, op: ops.FillOp) -> list[Any]:
    type = ops.register_of(op.result)
    return [np.full(type.extents, op.value.value.data).astype(dtype_of(type.element))]


def _indices(run: BlockRun, op: ops.IndicesOp) -> list[Any]:
    shape = ops.tile_of(op.result).extents
    return [(np.indices(shape)[op.dim.data] + run.frame[op.start]).astype(np.int32)]


def _lock(run: BlockRun, op: ops.LockOp) -> list[Any]:
    found, wanted = run.frame[op.semaphores][run.frame[op.offset]], run.frame[op.value]
    if found != wanted:
        raise LoweringError(f"tile.lock: waits for {wanted}, found {found}: blocks are in order")
    return []


def _release(run: BlockRun, op: ops.ReleaseOp) -> list[Any]:
    run.frame[op.semaphores][run.frame[op.offset]] = run.frame[op.value]
    return []


RULES: dict[type[Operation], Rule] = {
    ops.BlockIndexOp: lambda run, op: [np.int64(run.index[op.axis.data])],
    ops.ViewGlobalOp: _view_global,
    ops.AllocSharedOp: _alloc,
    ops.FillOp: _fill,
    ops.IndicesOp: _indices,
    ops.LoadGlobalOp: _load,
    ops.LoadSharedOp: _load,
    ops.StoreGlobalOp: _store,
    ops.StoreSharedOp: _store,
    ops.CopyAsyncOp: _copy,
    ops.CommitOp: _commit,
    ops.WaitOp: _wait,
    ops.SyncOp: lambda run, op: [],
    ops.ViewOp: _view,
    ops.CastOp: _cast,
    ops.LookupOp: _lookup,
    ops.DotOp: _dot,
    ops.UnaryOp: _elementwise,
    ops.BinaryOp: _elementwise,
    ops.MapOp: _map,
    ops.BroadcastOp: _broadcast,
    ops.ReduceOp: _reduce,
    ops.TransposeOp: lambda run, op: [run.frame[op.source].T],
    ops.LockOp: _lock,
    ops.ReleaseOp: _release,
}
