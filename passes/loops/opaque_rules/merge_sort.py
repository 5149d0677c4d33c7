"""A bottom-up merge sort of records in scratch memory."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects.builtin import i64
from xdsl.ir import SSAValue

from ....dialects.sizes import upper_bound
from .kernel import OpaqueKernel
from .loop_builder import LoopBuilder
from .sort_records import Record

Candidate = tuple[SSAValue, SSAValue]  # where a record is, and its key
PARALLEL_LENGTH = 4096  # runs are shared out to threads from this length on


class MergeSort:
    """`chunks` arrays of `length` records, each with room for two: merging goes to and fro."""

    def __init__(self, kernel: OpaqueKernel, chunks: int, length: int, columns: int) -> None:
        self.length = length
        # as many as the longest rows need: shorter ones are copied to and fro at the end
        self.passes = max(upper_bound(length) - 1, 0).bit_length()
        self.columns = [
            kernel.scratch(name, [chunks, 2, length], i64)
            for name in ("records", "positions")[:columns]
        ]

    @property
    def sorted_half(self) -> int:
        """Where the sorted records are; unsorted ones are put into half 0."""
        return self.passes % 2

    def load(self, b: LoopBuilder, chunk: SSAValue, half: SSAValue | int, i: SSAValue) -> Record:
        """Record `i`."""
        return [b.load(column, [chunk, half, i]) for column in self.columns]

    def store(
        self, b: LoopBuilder, chunk: SSAValue, half: SSAValue | int, i: SSAValue, record: Record
    ) -> None:
        """Set record `i`."""
        for column, value in zip(self.columns, record, strict=True):
            b.store(value, column, [chunk, half, i])

    def sort(self, b: LoopBuilder, chunk: SSAValue) -> None:
        """Merge runs of 1, 2, 4, ... records from one half to the other; pairs in parallel."""

        def one_pass(
            b: LoopBuilder, _: SSAValue, width: SSAValue, half: SSAValue
        ) -> tuple[SSAValue, SSAValue]:
            move = _Move(self, chunk, half, b.sub(b.index(1), half))
            double, end = b.add(width, width), b.index(self.length)
            whole = b.mul(b.div(end, double), double)

            def whole_pair(b: LoopBuilder, low: SSAValue) -> None:
                move.merge_equal_runs(b, low, width)

            if upper_bound(self.length) < PARALLEL_LENGTH:
                b.loop(0, whole, whole_pair, step=double)
            else:
                b.parallel(0, whole, whole_pair, step=double)
            move.merge(b, whole, b.minimum(b.add(whole, width), end), end)
            return double, move.other

        b.loop(0, self.passes, one_pass, [b.index(1), b.index(0)], shares=True)


@dataclass(frozen=True)
class _Move:
    """Merging two runs of `half` into one of `other`."""

    records: MergeSort
    chunk: SSAValue
    half: SSAValue
    other: SSAValue

    def at(self, b: LoopBuilder, i: SSAValue) -> Candidate:
        """Record `i` of `half` as a candidate."""
        return i, b.load(self.records.columns[0], [self.chunk, self.half, i])

    def move_one(
        self,
        b: LoopBuilder,
        target: SSAValue,
        condition: SSAValue,
        one: Candidate,
        other: Candidate,
    ) -> None:
        """`one` where `condition`, else `other`, becomes record `target`."""
        source, key = (b.select(condition, x, y) for x, y in zip(one, other, strict=True))
        keys, *rest = self.records.columns
        b.store(key, keys, [self.chunk, self.other, target])
        for column in rest:
            value = b.load(column, [self.chunk, self.half, source])
            b.store(value, column, [self.chunk, self.other, target])

    def merge_equal_runs(self, b: LoopBuilder, low: SSAValue, width: SSAValue) -> None:
        """Two runs of `width` records from both ends at once.

        `width` steps from either end use up neither run, so nothing has to be guarded, and the two
        chains of dependent loads overlap.
        """
        one = b.index(1)
        middle = b.add(low, width)
        end = b.add(middle, width)

        def step(b: LoopBuilder, t: SSAValue, front: SSAValue, back: SSAValue) -> list[SSAValue]:
            first = self.at(b, b.add(low, front))
            second = self.at(b, b.add(middle, b.sub(t, front)))
            keeps = b.compare("le", first[1], second[1])  # of equal keys the left one was first
            self.move_one(b, b.add(low, t), keeps, first, second)
            first = self.at(b, b.sub(b.sub(middle, one), b.sub(t, back)))
            second = self.at(b, b.sub(b.sub(end, one), back))
            leaves = b.compare("le", first[1], second[1])
            self.move_one(b, b.sub(b.sub(end, one), t), leaves, second, first)
            return [
                b.select(keeps, b.add(front, one), front),
                b.select(leaves, b.add(back, one), back),
            ]

        b.loop(0, width, step, [b.index(0), b.index(0)])

    def merge(self, b: LoopBuilder, low: SSAValue, middle: SSAValue, end: SSAValue) -> None:
        """Any runs low..middle and middle..end."""
        last = b.index(self.records.length - 1)

        def step(b: LoopBuilder, i: SSAValue, left: SSAValue) -> list[SSAValue]:
            right = b.sub(b.add(middle, i), left)
            # a run that is used up is read, but not taken
            first = self.at(b, b.minimum(left, last))
            second = self.at(b, b.minimum(right, last))
            keeps = b.compare("le", first[1], second[1])
            takes_left = b.either(
                b.compare("ge", right, end), b.both(b.compare("lt", left, middle), keeps)
            )
            self.move_one(b, i, takes_left, first, second)
            return [b.select(takes_left, b.add(left, b.index(1)), left)]

        b.loop(low, end, step, [low])
