"""Loops of `graph.argsort`: a selection where few positions are wanted, else a merge sort.

Rows are shared out to threads in a fixed number of chunks, each with scratch memory of its own; a
single long row is merged in parallel. All ways give the one order of `RecordFormat`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from xdsl.ir import SSAValue

from ....dialects.errors import LoweringError
from ....dialects.graph import element_of, shape_of
from ....dialects.graph.opaque import ArgsortOp
from ....dialects.sizes import upper_bound
from .kernel import OpaqueKernel, unravel
from .loop_builder import LoopBuilder
from .merge_sort import MergeSort
from .rule import lowers
from .selection import collect, insert
from .sort_records import Record, RecordFormat

CHUNKS = 16  # of rows; with more threads than that, a chunk per row would cost memory
GPU_RECORDS = 1 << 21  # of all chunks together, where every chunk is a thread of a GPU
LONGEST_INSERTION = 16  # at worst every record moves that many; merging costs about as much
LONGEST_ROW = 1 << 32  # records have 32 bits for a position
BUFFER_FACTOR = 4  # a selection buffer holds so many times the records that are wanted

Row = list[SSAValue]


@lowers(ArgsortOp)
def lower_argsort(op: ArgsortOp, kernel: OpaqueKernel, b: LoopBuilder) -> None:
    """Choose by how many records are wanted of how many."""
    rows = _Rows(op, kernel)
    if upper_bound(rows.extent) > LONGEST_ROW:
        raise LoweringError(f"kernel {kernel.name}: rows of {rows.extent} elements are too long")
    if upper_bound(rows.count) <= LONGEST_INSERTION:
        rows.each(b, lambda b, row, _: _insert(b, rows, row))
    elif BUFFER_FACTOR * upper_bound(rows.count) < upper_bound(rows.extent):
        _collect(b, rows)
    else:
        _sort(b, rows)


class _Rows:
    """The rows along the sorted dimension: reading their records, writing their positions."""

    def __init__(self, op: ArgsortOp, kernel: OpaqueKernel) -> None:
        shape = shape_of(op.source)
        self.op, self.kernel, self.dim = op, kernel, op.dim.data
        self.extent, self.count = shape[self.dim], op.kept
        self.others = [n for d, n in enumerate(shape) if d != self.dim]
        self.number = prod(self.others)
        records = max(1, upper_bound(self.extent))
        most = GPU_RECORDS // records if kernel.machine.is_gpu else 0
        self.chunks = min(upper_bound(self.number), max(CHUNKS, most))
        self.format = RecordFormat(element_of(op.source), bool(op.descending.value.data))

    def each(self, b: LoopBuilder, body: Callable[[LoopBuilder, Row, SSAValue], None]) -> None:
        """body(b, position of the row in the other dims, chunk) for every row."""

        def one(b: LoopBuilder, chunk: SSAValue) -> None:
            size = b.div(b.index(self.number + self.chunks - 1), b.index(self.chunks))
            first = b.mul(chunk, size)
            last = b.minimum(b.add(first, size), b.index(self.number))
            b.loop(first, last, lambda b, row: body(b, unravel(b, row, self.others), chunk))

        if self.number == 1:
            body(b, [b.index(0) for _ in self.others], b.index(0))
        else:
            b.parallel(0, self.chunks, one)

    def record(self, b: LoopBuilder, row: Row, i: SSAValue) -> Record:
        """The record of element `i` of a row."""
        position = [*row[: self.dim], i, *row[self.dim :]]
        return self.format.make(b, self.kernel.read(b, self.op.source, position), i)

    def answer(self, b: LoopBuilder, row: Row, i: SSAValue, record: Record) -> None:
        """Element `i` of the sorted row is `record`."""
        position = [*row[: self.dim], i, *row[self.dim :]]
        b.store(self.format.position(b, record), self.kernel.out, position)


def _insert(b: LoopBuilder, rows: _Rows, row: Row) -> None:
    insert(
        b,
        rows.format,
        rows.extent,
        rows.count,
        lambda b, i: rows.record(b, row, i),
        lambda b, i, record: rows.answer(b, row, i, record),
    )


def _collect(b: LoopBuilder, rows: _Rows) -> None:
    length = BUFFER_FACTOR * upper_bound(rows.count)
    buffer = MergeSort(rows.kernel, rows.chunks, length, rows.format.columns)

    def select_row(b: LoopBuilder, row: Row, chunk: SSAValue) -> None:
        collect(
            b,
            rows.format,
            rows.extent,
            rows.count,
            buffer,
            chunk,
            lambda b, i: rows.record(b, row, i),
            lambda b, i, record: rows.answer(b, row, i, record),
        )

    rows.each(b, select_row)


def _sort(b: LoopBuilder, rows: _Rows) -> None:
    records = MergeSort(rows.kernel, rows.chunks, rows.extent, rows.format.columns)

    def sort_row(b: LoopBuilder, row: Row, chunk: SSAValue) -> None:
        def fill(b: LoopBuilder, i: SSAValue) -> None:
            records.store(b, chunk, 0, i, rows.record(b, row, i))

        def answer(b: LoopBuilder, i: SSAValue) -> None:
            rows.answer(b, row, i, records.load(b, chunk, records.sorted_half, i))

        b.parallel(0, rows.extent, fill)
        records.sort(b, chunk)
        b.parallel(0, rows.count, answer)

    rows.each(b, sort_row)
