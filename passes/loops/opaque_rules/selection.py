"""The first few records of a row in order, in one pass over it.

`insert` keeps them sorted all the time, which is quickest for a handful. `collect` appends what
comes before the worst of them to a buffer, and sorts the buffer when it is full: never slower than
sorting the row, and for data in random order hardly more than reading it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdsl.dialects.builtin import i64
from xdsl.ir import SSAValue

from ....dialects.sizes import upper_bound
from .loop_builder import LoopBuilder
from .merge_sort import MergeSort
from .sort_records import Record, RecordFormat

Read = Callable[[LoopBuilder, SSAValue], Record]
Answer = Callable[[LoopBuilder, SSAValue, Record], None]


def insert(
    b: LoopBuilder, form: RecordFormat, extent: int, count: int, read: Read, answer: Answer
) -> None:
    """Put each record that beats the last of the best into its place among them."""
    best = [b.local([upper_bound(count)], i64) for _ in range(form.columns)]

    def load(b: LoopBuilder, i: SSAValue) -> Record:
        return [b.load(column, [i]) for column in best]

    def store(b: LoopBuilder, i: SSAValue, record: Record) -> None:
        for column, value in zip(best, record, strict=True):
            b.store(value, column, [i])

    def consider(b: LoopBuilder, i: SSAValue) -> None:
        record = read(b, i)
        is_better = form.is_before(b, record, load(b, b.index(count - 1)))
        b.when(is_better, lambda b: put(b, record))

    def put(b: LoopBuilder, record: Record) -> None:
        b.loop(0, count, push, record)

    def push(b: LoopBuilder, i: SSAValue, *record: SSAValue) -> Record:
        there = load(b, i)
        is_before = form.is_before(b, record, there)
        pairs = list(zip(record, there, strict=True))
        store(b, i, [b.select(is_before, new, old) for new, old in pairs])
        return [b.select(is_before, old, new) for new, old in pairs]

    b.loop(0, count, lambda b, i: store(b, i, form.last(b)))
    b.loop(0, extent, consider)
    b.loop(0, count, lambda b, i: answer(b, i, load(b, i)))


def collect(
    b: LoopBuilder,
    form: RecordFormat,
    extent: int,
    count: int,
    buffer: MergeSort,
    chunk: SSAValue,
    read: Read,
    answer: Answer,
) -> None:
    """Fill the buffer behind the best records; sorting it makes room for more."""

    def consider(
        b: LoopBuilder, i: SSAValue, used: SSAValue, *worst: SSAValue
    ) -> Sequence[SSAValue]:
        record = read(b, i)
        buffer.store(b, chunk, 0, used, record)
        is_better = form.is_before(b, record, worst)
        used = b.select(is_better, b.add(used, b.index(1)), used)
        is_full = b.compare("eq", used, b.index(buffer.length))
        return b.choose(is_full, make_room, lambda b: [used, *worst])

    def make_room(b: LoopBuilder) -> Sequence[SSAValue]:
        buffer.sort(b, chunk)
        if buffer.sorted_half:
            b.loop(0, count, keep)
        return [b.index(count), *buffer.load(b, chunk, 0, b.index(count - 1))]

    def keep(b: LoopBuilder, i: SSAValue) -> None:
        buffer.store(b, chunk, 0, i, buffer.load(b, chunk, buffer.sorted_half, i))

    used, *_ = b.loop(0, extent, consider, [b.index(0), *form.last(b)])
    b.loop(used, buffer.length, lambda b, i: buffer.store(b, chunk, 0, i, form.last(b)))
    buffer.sort(b, chunk)
    half = buffer.sorted_half
    b.loop(0, count, lambda b, i: answer(b, i, buffer.load(b, chunk, half, i)))
