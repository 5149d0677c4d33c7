"""Store whole vectors, interleaved in registers, where neighbouring scatters fill all between them.

before: vector.scatter %a, %x[%i][0, 2, 4, 6]
        vector.scatter %b, %x[%i + 1][0, 2, 4, 6]
after:  %p = vector.shuffle %a, %b [0, 4, 1, 5] ; vector.store %p, %x[%i]
        %q = vector.shuffle %a, %b [2, 6, 3, 7] ; vector.store %q, %x[%i + 4]

Pixels that are shuffled, numbers turned in pairs (rotary embeddings) and tensors stacked along a
new last dim are written like this. AVX2 scatters lane by lane.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import vector
from xdsl.dialects.builtin import DenseArrayBase, MemRefType, ModuleOp, VectorType, i64
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter
from xdsl.traits import is_side_effect_free

from ...dialects.vector import ConstantMaskOp, ScatterOp
from ...dialects.vector_arith import lanes_of
from ..context import CompileContext
from ..poly.access_patterns import COLUMNS
from ..poly.affine_maps import row_major_strides
from .eliminate_common_subexpressions import LOADS, STORES, erase_unused, stored_memref
from .lane_accesses import (
    BITS,
    ISAS,
    blocks_in,
    known_lanes,
    lane_bits,
    lane_stride,
    moved,
    place_of,
)


@dataclass(frozen=True)
class Column:
    """A scatter to every `stride`-th element from `place` on, counted from where `root` is."""

    op: ScatterOp
    root: tuple[SSAValue | None, ...]
    place: int
    stride: int
    live: int
    lanes: int


def column_of(op: ScatterOp) -> Column | None:
    """`op` as a column, if its lanes are a few elements apart and known to be live."""
    assert isinstance(op.base.type, MemRefType)
    shape, stride, live = op.base.type.get_shape(), lane_stride(op.offsets), known_lanes(op.mask)
    if stride is None or stride not in COLUMNS or not live:
        return None
    if lane_bits(op.value) != BITS or -1 in shape:
        return None
    places = [place_of(index) for index in op.indices]
    strides = row_major_strides(shape)
    place = sum(constant * n for (_, constant), n in zip(places, strides, strict=True))
    root = tuple(value for value, _ in places)
    return Column(op, root, place, stride, live, lanes_of(op.value.type))


def neighbours(columns: Sequence[Column]) -> list[list[Column]]:
    """Those of `columns`, of one root and stride, that fill all elements between each other's."""
    found: list[list[Column]] = []
    run: list[Column] = []
    ordered = sorted(columns, key=lambda column: column.place)
    for column in ordered:
        if run and (column.place != run[-1].place + 1 or column.live != run[-1].live):
            run = []
        run.append(column)
        if len(run) == column.stride:
            found.append(run)
            run = []
    return [] if _overlap(ordered) else found


def _overlap(ordered: Sequence[Column]) -> bool:
    """Whether two columns write one element, so that their order matters."""
    ends: dict[int, int] = {}
    for column in ordered:
        residue = column.place % column.stride
        if column.place < ends.get(residue, column.place):
            return True
        ends[residue] = column.place + column.stride * column.lanes
    return False


def groups_of(ops: Iterable[Operation]) -> list[list[Column]]:
    """Columns to interleave; nothing reads or writes their memref between them."""
    open: dict[SSAValue, list[Column]] = {}
    found: list[list[Column]] = []

    def close(base: SSAValue) -> None:
        found.extend(neighbours(open.pop(base, [])))

    for op in ops:
        if isinstance(op, ScatterOp) and (column := column_of(op)) is not None:
            others = open.get(op.base, [])
            if others and (others[0].root, others[0].stride) != (column.root, column.stride):
                close(op.base)
            open.setdefault(op.base, []).append(column)
        elif isinstance(op, STORES):
            close(stored_memref(op))
        elif isinstance(op, LOADS):
            close(op.operands[0])
        elif op.regions or not is_side_effect_free(op):
            for base in list(open):
                close(base)
    for base in list(open):
        close(base)
    return found


def interleave(columns: Sequence[Column]) -> None:
    """Replace the scatters of neighbouring columns by stores of whole vectors."""
    first, made = columns[0], list[Operation]()
    values, type, lanes = [c.op.value for c in columns], first.op.value.type, first.lanes
    assert isinstance(type, VectorType)
    *outer, last = first.op.indices
    for start in range(0, first.live * len(values), lanes):
        value = _mixed(values, range(start, start + lanes), made)
        index, count = moved(last, start, made), first.live * len(values) - start
        if count >= lanes:
            made.append(vector.StoreOp(value, first.op.base, [*outer, index]))
        else:
            mask = ConstantMaskOp(count, lanes)
            store = vector.MaskedStoreOp(first.op.base, [*outer, index], mask.result, value)
            made += [mask, store]
    block = first.op.parent_block()
    assert block is not None
    block.insert_ops_before(made, max((c.op for c in columns), key=block.get_operation_index))
    for column in columns:
        Rewriter.erase_op(column.op)


def _mixed(values: Sequence[SSAValue], numbers: range, made: list[Operation]) -> SSAValue:
    """Elements `numbers` of the values, element by element in turn: one value after the other is
    put between those before."""
    found, type, lanes = values[0], values[0].type, len(numbers)
    assert isinstance(type, VectorType)
    for at, value in enumerate(values[1:], 1):
        kept = range(lanes) if at > 1 else (n // len(values) for n in numbers)
        picks = [
            lanes + n // len(values) if n % len(values) == at else lane
            for n, lane in zip(numbers, kept, strict=True)
        ]
        shuffle = vector.ShuffleOp(
            found, value, DenseArrayBase.from_list(i64, picks), result_type=type
        )
        made.append(shuffle)
        found = shuffle.results[0]
    return found


@dataclass(frozen=True)
class InterleaveScattersPass(ModulePass):
    """Turn scatters that fill all elements together into stores, where the machine shuffles."""

    name = "interleave-scatters"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        assert isinstance(ctx, CompileContext)
        if ctx.machine.isa not in ISAS:
            return
        for func in op.ops:
            if isinstance(func, FuncOp) and func.body.blocks:
                for block in blocks_in(func.body.block):
                    for columns in groups_of(block.ops):
                        interleave(columns)
                erase_unused(func.body.block)
