"""Gathers of known lanes that lie near each other: load the vectors they lie in and shuffle these.

before: %v = vector.gather %x[%i][0, 0, 1, 1, 2, 2, 3, 3]
after:  %r = vector.maskedload %x[%i], (the first 4 lanes)
        %v = vector.shuffle %r, %r [0, 0, 1, 1, 2, 2, 3, 3]

Every second element takes two vectors; bytes a few apart, as of pixels, take as many vectors of 16
as they span. Inside of a Zen 3 a gather of 8 floats is 39 instructions,
and images enlarged to their nearest pixels had one per vector. Nothing behind the last element that
a lane reads is touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import vector
from xdsl.dialects.builtin import DenseArrayBase, ModuleOp, VectorType, i64
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from ...dialects.vector import ConstantMaskOp, GatherOp
from ...dialects.vector_arith import lanes_of
from ..context import CompileContext
from .eliminate_common_subexpressions import STORES, erase_unused, stored_memref
from .lane_accesses import BITS, ISAS, is_full, known_lanes, lane_bits, lane_numbers, moved

BYTES = (8, 16)  # that are loaded together and shuffled by one instruction
MOST_BYTES = 64  # that lanes lie in


def near_lanes(op: GatherOp) -> tuple[int, ...] | None:
    """The offsets of the live lanes, if two vectors hold them; one vector, if some are not live."""
    lanes, live = lanes_of(op.result.type), known_lanes(op.mask)
    found = lane_numbers(op.offsets, lanes) if live and lane_bits(op.result) == BITS else None
    if found is None:
        return None
    found = found[:live]
    return found if max(found) - min(found) < (2 * lanes if live == lanes else lanes) else None


def near_bytes(op: GatherOp) -> tuple[int, ...] | None:
    """The offsets of the lanes, if they are bytes that some vectors hold."""
    lanes = lanes_of(op.result.type)
    if lane_bits(op.result) != 8 or lanes not in BYTES or not is_full(op.mask):
        return None
    found = lane_numbers(op.offsets, lanes)
    is_near = found is not None and min(BYTES) <= max(found) - min(found) + 1 <= MOST_BYTES
    return found if is_near else None


def shuffle_bytes(op: GatherOp, offsets: Sequence[int]) -> None:
    """Replace `op` by loads of all bytes from its first to its last one, and shuffles: the lanes of
    one load after the other are put beside those before."""
    type, first = op.result.type, min(offsets)
    assert isinstance(type, VectorType)
    span, lanes, made = max(offsets) - first + 1, type.get_shape()[0], list[Operation]()
    size = max(n for n in BYTES if n <= span)
    piece = VectorType(type.element_type, [size])
    *outer, last = op.indices
    starts = [*range(0, span - size, size), span - size]
    loads = list[SSAValue]()
    for start in starts:
        made.append(vector.LoadOp(op.base, [*outer, moved(last, first + start, made)], piece))
        loads.append(made[-1].results[0])
    found, held, places = loads[0], size, [offset - first for offset in offsets]
    lanes_of = {lane: place for lane, place in enumerate(places) if place < size}
    for start, load in zip(starts[1:] or starts, loads[1:] or loads, strict=True):
        arrived = [k for k, place in enumerate(places) if place < start + size]
        lanes_of = {k: lanes_of.get(k, held + places[k] - start) for k in arrived}
        numbers = DenseArrayBase.from_list(i64, [lanes_of.get(k, 0) for k in range(lanes)])
        mixed = vector.ShuffleOp(found, load, numbers, result_type=type)
        made.append(mixed)
        lanes_of = {k: k for k in arrived}
        found, held = mixed.results[0], lanes
    _replace(op, found, made)


def _replace(op: GatherOp, found: SSAValue, made: Sequence[Operation]) -> None:
    block = op.parent_block()
    assert block is not None
    block.insert_ops_before(made, op)
    op.result.replace_all_uses_with(found)
    Rewriter.erase_op(op)


def shuffle(op: GatherOp, offsets: Sequence[int]) -> None:
    """Replace `op`, whose live lanes read at `offsets`, by one or two loads and a shuffle."""
    type, first = op.result.type, min(offsets)
    assert isinstance(type, VectorType)
    lanes, made = type.get_shape()[0], list[Operation]()
    *outer, last = op.indices

    def load(start: int, count: int) -> SSAValue:
        index = moved(last, start, made)
        if count >= lanes:
            whole = vector.LoadOp(op.base, [*outer, index], type)
            made.append(whole)
            return whole.results[0]
        mask = ConstantMaskOp(count, lanes)
        part = vector.MaskedLoadOp(op.base, [*outer, index], mask.result, op.pass_through, type)
        made.extend([mask, part])
        return part.results[0]

    count = max(offsets) - first + 1
    near = load(first, count)
    far = load(first + lanes, count - lanes) if count > lanes else near
    picks = [offset - first for offset in offsets]
    if len(picks) < lanes:
        far, others = op.pass_through, range(lanes + len(picks), 2 * lanes)
        picks += others
    numbers = DenseArrayBase.from_list(i64, picks)
    mixed = vector.ShuffleOp(near, far, numbers, result_type=type)
    _replace(op, mixed.results[0], [*made, mixed])


@dataclass(frozen=True)
class ShuffleGathersPass(ModulePass):
    """Turn gathers of known near lanes into loads and shuffles, where the machine shuffles."""

    name = "shuffle-gathers"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        assert isinstance(ctx, CompileContext)
        if ctx.machine.isa not in ISAS:
            return
        for func in op.ops:
            if not isinstance(func, FuncOp) or not func.body.blocks:
                continue
            written = {stored_memref(one) for one in func.walk() if isinstance(one, STORES)}
            for one in list(func.walk()):
                # between the lanes lies what another thread may write
                if not isinstance(one, GatherOp) or one.base in written:
                    continue
                if (offsets := near_lanes(one)) is not None:
                    shuffle(one, offsets)
                elif (offsets := near_bytes(one)) is not None:
                    shuffle_bytes(one, offsets)
            erase_unused(func.body.block)
