"""Load rows and transpose them in registers, where neighbouring gathers read columns of a block.

before: %c0 = vector.gather %x[%i, %j][%k * n] ; %c1 = vector.gather %x[%i, %j + 1][%k * n] ; ...
after:  %r0 = vector.load %x[%i, %j] ; %r1 = vector.load %x[%i, %j + n] ; ...
        %c0, %c1, ... = vector.exchange %r0, %r1, ...

As many gathers as lanes read a square block; each row is contiguous. (A gather of 16 floats takes
a cycle or two per lane; loads and shuffles of a whole block take a third of a cycle per element.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import vector
from xdsl.dialects.builtin import ModuleOp, VectorType
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from ...dialects.vector import ExchangeOp, GatherOp
from .eliminate_common_subexpressions import STORES, erase_unused, stored_memref
from .lane_accesses import blocks_in, is_full, lane_bits, lane_stride, moved, place_of

Root = tuple[SSAValue, SSAValue, SSAValue, tuple[SSAValue, ...], SSAValue | None]


def reads_all_lanes(op: GatherOp) -> bool:
    """Whether no lane of `op` is masked, at a constant stride of 32 or 64 bit elements."""
    return is_full(op.mask) and lane_bits(op.result) in (32, 64) and bool(lane_stride(op.offsets))


def root_of(op: GatherOp) -> tuple[Root, int]:
    """What gathers of one block have in common, and the column of `op` in it."""
    *outer, last = op.indices
    value, column = place_of(last)
    return (op.base, op.offsets, op.pass_through, tuple(outer), value), column


def blocks_of(ops: Iterable[Operation]) -> list[list[GatherOp]]:
    """Gathers that read the columns of one block each, in order, with nothing written between."""
    runs: dict[Root, list[tuple[int, GatherOp]]] = {}
    found: list[list[GatherOp]] = []
    for op in ops:
        if op.regions:
            runs.clear()
        elif isinstance(op, STORES):
            written = stored_memref(op)
            runs = {root: run for root, run in runs.items() if root[0] is not written}
        elif isinstance(op, GatherOp) and reads_all_lanes(op):
            root, column = root_of(op)
            run = runs.get(root, [])
            if run and column != run[-1][0] + 1:
                run = []
            runs[root] = run = [*run, (column, op)]
            assert isinstance(op.result.type, VectorType)
            if len(run) == op.result.type.get_shape()[0]:
                found.append([gather for _, gather in runs.pop(root)])
    return found


def exchange(gathers: Sequence[GatherOp]) -> None:
    """Replace the gathers of one block by loads of its rows."""
    first = gathers[0]
    *outer, last = first.indices
    stride = lane_stride(first.offsets)
    assert stride is not None
    rows: list[Operation] = []
    made: list[Operation] = []
    for lane in range(len(gathers)):
        index = moved(last, lane * stride, made)
        assert isinstance(first.result.type, VectorType)
        row = vector.LoadOp(first.base, [*outer, index], first.result.type)
        rows.append(row)
        made.append(row)
    columns = ExchangeOp([row.results[0] for row in rows])
    block = first.parent_block()
    assert block is not None
    block.insert_ops_before([*made, columns], first)
    for gather, column in zip(gathers, columns.results, strict=True):
        gather.result.replace_all_uses_with(column)
        Rewriter.erase_op(gather)


@dataclass(frozen=True)
class ExchangeGathersPass(ModulePass):
    """Turn blocks of gathers into loads of rows, transposed in registers."""

    name = "exchange-gathers"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for func in op.ops:
            if isinstance(func, FuncOp) and func.body.blocks:
                for block in blocks_in(func.body.block):
                    for gathers in blocks_of(block.ops):
                        exchange(gathers)
                erase_unused(func.body.block)
