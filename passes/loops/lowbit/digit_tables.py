"""Sums of four activations, for every combination of bits, as tables of bytes.

before: source[row, k] of f32
after:  digit d of BIAS + sum over i of (bit i of c) * q[8 i + l], for l in 0 .. 7 of a period, is
        byte c of tables[row, 4 period + l mod 4, d, 4 (l / 4) ..], of i32, for c in 0 .. 15
        sums[row, group, piece] of q, steps[row, group]: what one of q is worth

q are integers of 24 bits next to the largest activation of a group, as digits of bytes are. Digits
here have 7 bits, so that two of them are a byte, and what a piece sums up fits 32.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects import vector
from xdsl.dialects.builtin import f32, i32
from xdsl.ir import SSAValue

from ....dialects.quant import NIBBLES, PERIOD
from ....dialects.quant.ops import BLOCK, InterleaveOp
from ..opaque_rules.kernel import OpaqueKernel
from ..opaque_rules.loop_builder import LoopBuilder
from .activations import LARGEST_DIGITS, over_rows, rounded, scale_of
from .lanes import Lanes
from .panels import Panels

Values = list[SSAValue]
ELEMENTS = 4  # of a table
ENTRIES = 1 << ELEMENTS
TABLE_DIGITS = 4
DIGIT_BITS = 7
BIAS = 1 << 25  # makes sums of four positive, which are at most 4 * LARGEST_DIGITS
PIECE = int((2**31 - 1) / LARGEST_DIGITS) // PERIOD  # periods whose sum is an i32


@dataclass(frozen=True)
class DigitTables:
    """The tables of some rows of activations; groups are summed in pieces of `piece` periods."""

    panels: Panels
    tables: SSAValue
    sums: SSAValue
    steps: SSAValue

    @staticmethod
    def of(kernel: OpaqueKernel, panels: Panels, rows: int) -> DigitTables:
        """Scratch arrays of `rows` rows."""
        groups, pieces = panels.format.groups(panels.columns), -(-panels.group_periods // PIECE)
        shape = [rows, panels.periods * BLOCK, TABLE_DIGITS, NIBBLES]
        return DigitTables(
            panels,
            kernel.scratch("tables", shape, i32),
            kernel.scratch("sums", [rows, groups, pieces], i32),
            kernel.scratch("steps", [rows, groups], f32),
        )

    @property
    def piece(self) -> int:
        """Periods of a piece."""
        return min(PIECE, self.panels.group_periods)

    def write(
        self, b: LoopBuilder, lanes: Lanes, source: SSAValue, first: SSAValue, rows: int
    ) -> None:
        """Tables of `rows` rows from `first` on, whose groups are shared among threads."""
        whole, left = divmod(self.panels.columns, PERIOD)
        full, more = divmod(whole, self.panels.group_periods)

        def group(b: LoopBuilder, row: SSAValue, g: SSAValue, count: int, left: int) -> None:
            writer = GroupWriter(self, lanes, source, b.add(first, row), row, g)
            writer.write(b, count, left)

        def one(b: LoopBuilder, number: SSAValue) -> None:
            row = b.div(number, b.index(full))
            g = b.sub(number, b.mul(row, b.index(full)))
            group(b, row, g, self.panels.group_periods, 0)

        if full:
            over_rows(b, rows * full, one)
        if more or left:
            over_rows(b, rows, lambda b, row: group(b, row, b.index(full), more, left))


@dataclass(frozen=True)
class GroupWriter:
    """Writes the tables of a group of row `place` of the source, which is `row` of the tables."""

    found: DigitTables
    lanes: Lanes
    source: SSAValue
    place: SSAValue
    row: SSAValue
    g: SSAValue

    def write(self, b: LoopBuilder, periods: int, left: int) -> None:
        """A group of whole periods, and of `left` activations more."""
        start = b.mul(self.g, b.index(self.found.panels.group_periods))
        size, first = periods * PERIOD + left, b.mul(start, b.index(PERIOD))
        factor, step = scale_of(b, self.lanes, self.source, self.place, first, size, LARGEST_DIGITS)
        b.store(step, self.found.steps, [self.row, self.g])
        length = self.found.piece
        whole, rest = divmod(periods, length)

        def piece(b: LoopBuilder, k: SSAValue, count: int = length, left: int = 0) -> None:
            first = b.add(start, b.mul(k, b.index(length)))
            sum = self.piece(b, first, count, left, factor)
            b.store(sum, self.found.sums, [self.row, self.g, k])

        b.loop(0, whole, piece)
        if rest or left:
            piece(b, b.index(whole), rest, left)

    def piece(
        self, b: LoopBuilder, first: SSAValue, count: int, left: int, factor: SSAValue
    ) -> SSAValue:
        """The sum of `count` periods, and of `left` activations more, whose tables are written."""
        lanes = self.lanes

        def period(b: LoopBuilder, p: SSAValue, sum: SSAValue) -> Values:
            at = b.add(first, p)
            column = b.mul(at, b.index(PERIOD))
            columns = [b.add(column, b.index(i * NIBBLES)) for i in range(ELEMENTS)]
            values = [lanes.load(b, self.source, [self.place, column]) for column in columns]
            return [b.add(sum, self.tables(b, at, values, factor))]

        (sum,) = b.loop(0, count, period, [lanes.constant(b, 0, i32)])
        if left:
            at = b.add(first, b.index(count))
            sum = b.add(sum, self.tables(b, at, self.padded(b, at, left), factor))
        return lanes.reduced(b, sum, vector.CombiningKindFlag.ADD)

    def padded(self, b: LoopBuilder, period: SSAValue, count: int) -> Values:
        """The activations of a period of which `count` exist, zeros behind them."""
        lanes, array = self.lanes, b.local([PERIOD], f32)
        places = [i * NIBBLES for i in range(ELEMENTS)]
        for place in places:
            lanes.store(b, lanes.constant(b, 0.0, f32), array, [place], None)
        column = b.mul(period, b.index(PERIOD))

        def copy(b: LoopBuilder, k: SSAValue) -> None:
            b.store(b.load(self.source, [self.place, b.add(column, k)]), array, [k])

        b.loop(0, count, copy)
        return [lanes.load(b, array, [place]) for place in places]

    def tables(self, b: LoopBuilder, period: SSAValue, x: Values, factor: SSAValue) -> SSAValue:
        """Write the tables of a period; the sums of its activations, by lane.

        Byte d of lane l of entry c is to become byte c of what is stored for lane l and digit d:
        each step interleaves the bytes of entries c and c + 8, and the fourth has all in place.
        """
        lanes = self.lanes
        entries = [lanes.constant(b, 0, i32)]
        for value in x:
            q = rounded(b, lanes, value, factor)
            entries += [b.add(entry, q) for entry in entries]
        bytes = [self.digits(b, entry) for entry in entries]
        for _ in range(ELEMENTS):
            pairs = zip(bytes[: ENTRIES // 2], bytes[ENTRIES // 2 :], strict=True)
            bytes = [b.insert(InterleaveOp(*pair, 8, half)) for pair in pairs for half in range(2)]
        first = b.mul(period, b.index(BLOCK))
        for number, value in enumerate(bytes):
            lane, digit = divmod(number, TABLE_DIGITS)
            at = [self.row, b.add(first, b.index(lane)), b.index(digit), b.index(0)]
            lanes.store(b, value, self.found.tables, at, None)
        # Of 26 bits: an infinite activation became -2^31, whose digits are all 0.
        return lanes.shift_right_signed(b, lanes.shift_left(b, entries[-1], 6), 6)

    def digits(self, b: LoopBuilder, sum: SSAValue) -> SSAValue:
        """The digits of sums, the lowest first, as the bytes of an i32."""
        lanes, mask = self.lanes, (1 << DIGIT_BITS) - 1
        biased = b.add(sum, lanes.constant(b, BIAS, i32))
        packed = lanes.both(b, biased, mask)
        for digit in range(1, TABLE_DIGITS):
            shifted = lanes.shift_left(b, biased, (8 - DIGIT_BITS) * digit)
            packed = b.either(packed, lanes.both(b, shifted, mask << 8 * digit))
        return packed
