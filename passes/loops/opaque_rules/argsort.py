"""Loops of `graph.argsort`: selection into a short sorted list, or a bottom-up merge sort.

Rows are shared out to threads in a fixed number of chunks, each with scratch memory of its own; a
single long row is merged in parallel. Both ways give the one order of `RecordFormat`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from xdsl.dialects.builtin import i64
from xdsl.ir import SSAValue

from ....dialects.graph import element_of, shape_of
from ....dialects.graph_opaque import ArgsortOp
from .kernel import OpaqueKernel, unravel
from .loop_builder import LoopBuilder
from .rule import lowers
from .sort_records import Record, RecordFormat

CHUNKS = 16  # of rows; with more threads than that, a chunk per row would cost memory


@lowers(ArgsortOp)
def lower_argsort(op: ArgsortOp, kernel: OpaqueKernel, b: LoopBuilder) -> None:
    """Selection moves up to `count` records per element, merging log2(extent) on each."""
    extent, count = shape_of(op.source)[op.dim.data], op.count.data
    rows = _Rows(op, kernel)
    if count <= 2 * extent.bit_length():
        rows.each(b, lambda b, row, _: _select(b, rows, row))
    else:
        _merge_sort(b, rows)


class _Rows:
    """The rows along the sorted dimension: reading their records, writing their positions."""

    def __init__(self, op: ArgsortOp, kernel: OpaqueKernel) -> None:
        shape = shape_of(op.source)
        self.op, self.kernel, self.dim = op, kernel, op.dim.data
        self.extent, self.count = shape[self.dim], op.count.data
        self.others = [n for d, n in enumerate(shape) if d != self.dim]
        self.number = prod(self.others)
        self.chunks = min(self.number, CHUNKS)
        self.format = RecordFormat(element_of(op.source), bool(op.descending.value.data))

    def each(
        self, b: LoopBuilder, body: Callable[[LoopBuilder, list[SSAValue], SSAValue], None]
    ) -> None:
        """body(b, position of the row in the other dims, chunk) for every row."""
        size = -(-self.number // self.chunks)

        def chunk(b: LoopBuilder, c: SSAValue) -> None:
            first = b.mul(c, b.index(size))
            last = b.minimum(b.add(first, b.index(size)), b.index(self.number))
            b.loop(first, last, lambda b, row: body(b, unravel(b, row, self.others), c))

        if self.number == 1:
            body(b, [b.index(0) for _ in self.others], b.index(0))
        else:
            b.parallel(0, self.chunks, chunk)

    def record(self, b: LoopBuilder, row: list[SSAValue], i: SSAValue) -> Record:
        """The record of element `i` of a row."""
        position = [*row[: self.dim], i, *row[self.dim :]]
        return self.format.make(b, self.kernel.read(b, self.op.source, position), i)

    def answer(self, b: LoopBuilder, row: list[SSAValue], i: SSAValue, record: Record) -> None:
        """Element `i` of the sorted row is `record`."""
        position = [*row[: self.dim], i, *row[self.dim :]]
        b.store(self.format.position(b, record), self.kernel.out, position)


def _select(b: LoopBuilder, rows: _Rows, row: list[SSAValue]) -> None:
    """Keep the first `count` records seen so far in order; most later ones only meet the last."""
    form, count = rows.format, rows.count
    best = [b.local([count], i64) for _ in range(form.columns)]

    def load(b: LoopBuilder, i: SSAValue) -> Record:
        return [b.load(column, [i]) for column in best]

    def store(b: LoopBuilder, i: SSAValue, record: Record) -> None:
        for column, value in zip(best, record, strict=True):
            b.store(value, column, [i])

    def consider(b: LoopBuilder, i: SSAValue) -> None:
        record = rows.record(b, row, i)
        is_better = form.is_before(b, record, load(b, b.index(count - 1)))
        b.when(is_better, lambda b: insert(b, record))

    def insert(b: LoopBuilder, record: Record) -> None:
        b.loop(0, count, push, record)

    def push(b: LoopBuilder, i: SSAValue, *record: SSAValue) -> Record:
        there = load(b, i)
        is_before = form.is_before(b, record, there)
        pairs = list(zip(record, there, strict=True))
        store(b, i, [b.select(is_before, new, old) for new, old in pairs])
        return [b.select(is_before, old, new) for new, old in pairs]

    b.loop(0, count, lambda b, i: store(b, i, form.last(b)))
    b.loop(0, rows.extent, consider)
    b.loop(0, count, lambda b, i: rows.answer(b, row, i, load(b, i)))


def _merge_sort(b: LoopBuilder, rows: _Rows) -> None:
    """Runs of 1, 2, 4, ... records are merged from one half of the scratch memory to the other."""
    extent = rows.extent
    passes = max(extent - 1, 0).bit_length()
    scratch = [
        rows.kernel.scratch(name, [rows.chunks, 2, extent], i64)
        for name in ("records", "positions")[: rows.format.columns]
    ]

    def load(b: LoopBuilder, chunk: SSAValue, half: SSAValue, i: SSAValue) -> Record:
        return [b.load(column, [chunk, half, i]) for column in scratch]

    def store(b: LoopBuilder, chunk: SSAValue, half: SSAValue, i: SSAValue, record: Record) -> None:
        for column, value in zip(scratch, record, strict=True):
            b.store(value, column, [chunk, half, i])

    def sort_row(b: LoopBuilder, row: list[SSAValue], chunk: SSAValue) -> None:
        zero = b.index(0)
        b.parallel(0, extent, lambda b, i: store(b, chunk, zero, i, rows.record(b, row, i)))

        def one_pass(
            b: LoopBuilder, _: SSAValue, width: SSAValue, half: SSAValue
        ) -> tuple[SSAValue, SSAValue]:
            other, double = b.sub(b.index(1), half), b.add(width, width)

            def merge_runs(b: LoopBuilder, low: SSAValue) -> None:
                middle = b.minimum(b.add(low, width), b.index(extent))
                high = b.minimum(b.add(low, double), b.index(extent))
                b.loop(low, high, lambda b, i, left: [step(b, i, left, middle, high)], [low])

            def step(
                b: LoopBuilder, i: SSAValue, left: SSAValue, middle: SSAValue, high: SSAValue
            ) -> SSAValue:
                right = b.sub(b.add(middle, i), left)
                last = b.index(extent - 1)  # a run that is used up is read, but not taken
                first = load(b, chunk, half, b.minimum(left, last))
                second = load(b, chunk, half, b.minimum(right, last))
                # of equal keys the left one has the smaller position
                keeps = b.compare("le", first[0], second[0])
                takes_left = b.either(
                    b.compare("ge", right, high), b.both(b.compare("lt", left, middle), keeps)
                )
                record = [b.select(takes_left, x, y) for x, y in zip(first, second, strict=True)]
                store(b, chunk, other, i, record)
                return b.select(takes_left, b.add(left, b.index(1)), left)

            b.parallel(0, extent, merge_runs, step=double)
            return double, other

        b.loop(0, passes, one_pass, [b.index(1), zero], shares=True)
        half = b.index(passes % 2)
        b.parallel(0, rows.count, lambda b, i: rows.answer(b, row, i, load(b, chunk, half, i)))

    rows.each(b, sort_row)
