"""Ask for the next row while the last pass over this one computes.

before: scf.parallel %r { for %k {max of %x[%r, %k]}; for %k {sum of exp(%x[%r, %k])} }
after:  the second loop also has vector.prefetch %x[%r + 1, %k]

A row that several loops read comes from memory in the first of them and from a cache in the others,
while memory waits. Arrays that a cache holds, and rows too long for two of them, stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from xdsl.context import Context
from xdsl.dialects import arith, scf, vector
from xdsl.dialects.builtin import IndexType, IntegerAttr, MemRefType, ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from ...dialects.vector import PrefetchOp
from ..context import CompileContext
from .kernel_interface import element_bytes, uncached_arguments
from .places import LinearIndex

LINE_BYTES = 64
ROWS_OF_CACHE = 4  # rows that a core's second-level cache holds at least


@dataclass(frozen=True)
class PrefetchRowsPass(ModulePass):
    """Overlap reading rows of arguments that no cache holds with computing."""

    name = "prefetch-rows"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        assert isinstance(ctx, CompileContext)
        if ctx.machine.is_gpu:
            return
        for func, array, type in uncached_arguments(op, ctx.machine):
            for rows in _outer_loops(func):
                _prefetch(array, type, rows, ctx.machine.l2_bytes // ROWS_OF_CACHE)


def _outer_loops(func: FuncOp) -> Iterator[Block]:
    """Bodies of the loops that are in no other."""
    for op in func.body.block.ops:
        if isinstance(op, scf.ParallelOp | scf.ForOp):
            yield op.body.block


def _prefetch(array: SSAValue, type: MemRefType[Attribute], rows: Block, most: int) -> None:
    """In the last of several loops in `rows` that read rows of at most so many bytes."""
    passes = [reads for op in rows.ops if (reads := _reads(array, op))]
    if len(passes) < 2:
        return
    row = rows.args[-1] if isinstance(rows.parent_op(), scf.ParallelOp) else rows.args[0]
    for load in passes[-1]:
        indices = list(load.indices)
        if indices.count(row) != 1:
            continue
        place = indices.index(row)
        row_bytes = prod(type.get_shape()[place + 1 :]) * element_bytes(type.element_type)
        start = LinearIndex.of(indices[-1]).constant * element_bytes(type.element_type)
        if row_bytes > most or start % LINE_BYTES:
            continue
        one = arith.ConstantOp(IntegerAttr(1, IndexType()))
        indices[place] = (following := arith.AddiOp(row, one)).result
        prefetch = PrefetchOp(array, indices)
        Rewriter.insert_op([one, following, prefetch], InsertPoint.before(load))


def _reads(array: SSAValue, op: Operation) -> list[vector.LoadOp]:
    """Vectors of `array` that the loop `op` reads."""
    if not isinstance(op, scf.ForOp):
        return []
    loads = [read for read in op.body.block.ops if isinstance(read, vector.LoadOp)]
    return [load for load in loads if load.base is array]
