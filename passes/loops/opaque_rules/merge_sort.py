"""A bottom-up merge sort of records in scratch memory."""

from __future__ import annotations

from xdsl.dialects.builtin import i64
from xdsl.ir import SSAValue

from .kernel import OpaqueKernel
from .loop_builder import LoopBuilder
from .sort_records import Record

PARALLEL_LENGTH = 4096  # runs are shared out to threads from this length on


class MergeSort:
    """`chunks` arrays of `length` records, each with room for two: merging goes to and fro."""

    def __init__(self, kernel: OpaqueKernel, chunks: int, length: int, columns: int) -> None:
        self.length = length
        self.passes = max(length - 1, 0).bit_length()
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
        """Merge runs of 1, 2, 4, ... records from one half to the other; runs in parallel."""

        def one_pass(
            b: LoopBuilder, _: SSAValue, width: SSAValue, half: SSAValue
        ) -> tuple[SSAValue, SSAValue]:
            other, double = b.sub(b.index(1), half), b.add(width, width)
            ends = b.index(self.length)

            def two_runs(b: LoopBuilder, low: SSAValue) -> None:
                middle = b.minimum(b.add(low, width), ends)
                high = b.minimum(b.add(low, double), ends)
                self._merge(b, chunk, half, other, low, middle, high)

            if self.length < PARALLEL_LENGTH:
                b.loop(0, self.length, two_runs, step=double)
            else:
                b.parallel(0, self.length, two_runs, step=double)
            return double, other

        b.loop(0, self.passes, one_pass, [b.index(1), b.index(0)], shares=True)

    def _merge(
        self,
        b: LoopBuilder,
        chunk: SSAValue,
        half: SSAValue,
        other: SSAValue,
        low: SSAValue,
        middle: SSAValue,
        high: SSAValue,
    ) -> None:
        """Merge low..middle and middle..high of `half` into low..high of `other`."""
        last = b.index(self.length - 1)

        def step(b: LoopBuilder, i: SSAValue, left: SSAValue) -> list[SSAValue]:
            right = b.sub(b.add(middle, i), left)
            # a run that is used up is read, but not taken
            first = self.load(b, chunk, half, b.minimum(left, last))
            second = self.load(b, chunk, half, b.minimum(right, last))
            keeps = b.compare("le", first[0], second[0])  # of equal keys the left one was first
            takes_left = b.either(
                b.compare("ge", right, high), b.both(b.compare("lt", left, middle), keeps)
            )
            pairs = zip(first, second, strict=True)
            self.store(b, chunk, other, i, [b.select(takes_left, x, y) for x, y in pairs])
            return [b.select(takes_left, b.add(left, b.index(1)), left)]

        b.loop(low, high, step, [low])
