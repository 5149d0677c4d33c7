"""Weights of one bit by tables of bytes: digits of sums of four activations (T-MAC, Wei et al.
2024, but with all 24 bits of the activations).

A register of codes has a nibble of each of 32 rows of the weight in the lower halves of its bytes
and another in the upper ones, and one instruction looks a digit of their sums up for all rows:

    for block of rows: tables of its activations
        parallel for tile: for row: for group: for piece:
            digit[d, lanes] += table[nibble, d][codes[nibble, lanes]] for the nibbles of the piece
            part[lanes] = sum over d of 2^(7 d) * digit[d, lanes], less the bias of the tables
            value[lanes] += part - zero points * sum of activations, exactly, in i32
            total[lanes] += scale[group, lanes] * step[group] * value[lanes]

What two tables have is added as bytes, then in 16 bits: `odd` are the sums of every other byte, and
`all` those of words of four bytes, modulo 2^32, from which `odd` is taken off to get the others.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects.builtin import f32, i32
from xdsl.ir import SSAValue

from ....dialects.graph import shape_of
from ....dialects.quant import NIBBLES
from ....dialects.quant.ops import BLOCK, AddOddBytesOp, LookupBytesOp, QuantizedLinearOp
from ....dialects.vector import PrefetchOp
from ..opaque_rules.kernel import OpaqueKernel
from ..opaque_rules.loop_builder import LoopBuilder
from .digit_tables import BIAS, DIGIT_BITS, ELEMENTS, ENTRIES, TABLE_DIGITS, DigitTables
from .integer_product import worth
from .lanes import Lanes
from .panel_access import PanelAccess, Values, over_tiles
from .panels import Panels, TileShape, pack_panels

VECTORS = BLOCK  # of i32, whose rows are the bytes of a register
LOW_HALVES = 0x0F0F0F0F
AHEAD = 64  # registers, 2 KiB
TABLE_BYTES = TABLE_DIGITS * ENTRIES // ELEMENTS  # of an activation
BLOCK_BYTES = 1 << 20  # of tables that are made before tiles read them: a second-level cache


def lower_byte_table_product(op: QuantizedLinearOp, kernel: OpaqueKernel, b: LoopBuilder) -> None:
    """Tables of a block of rows, then one tile of outputs after the other, for every block."""
    source = kernel.stored(b, op.source)
    lanes = Lanes(kernel.machine.lanes(4), kernel.machine.has_fma)
    panels = pack_panels(op, kernel, TileShape(1, VECTORS, lanes.count), "nibbles")
    height = block_rows(op.rows, shape_of(op.codes)[1])
    tables = DigitTables.of(kernel, panels, height)
    access = PanelAccess(panels, lanes, kernel.out)
    blocks, rest = divmod(op.rows, height)

    def block(b: LoopBuilder, number: SSAValue, rows: int = height) -> None:
        first = b.mul(number, b.index(height))
        tables.write(b, lanes, source, first, rows)

        def tile(b: LoopBuilder, tile: SSAValue) -> None:
            b.loop(0, rows, lambda b, row: ByteTableRow(access, tables, tile, row).write(b, first))

        over_tiles(b, panels, tile)

    if blocks == 1:
        block(b, b.index(0))
    else:
        b.loop(0, blocks, block, shares=True)
    if rest:
        block(b, b.index(blocks), rest)


def block_rows(rows: int, columns: int) -> int:
    """Rows whose tables are made at a time, in blocks of about equal size."""
    most = max(1, BLOCK_BYTES // (columns * TABLE_BYTES))
    return -(-rows // -(-rows // most))


@dataclass(frozen=True)
class ByteTableRow:
    """A row of the tables against one tile."""

    access: PanelAccess
    x: DigitTables
    tile: SSAValue
    row: SSAValue

    @property
    def panels(self) -> Panels:
        """The packed arrays."""
        return self.access.panels

    @property
    def lanes(self) -> Lanes:
        """The lanes of all values."""
        return self.access.lanes

    def write(self, b: LoopBuilder, first: SSAValue) -> None:
        """The outputs of the row, which is `first + row` of the activations."""
        total = self.access.over_groups(b, self.group, self.nothing(b))
        self.access.store(b, self.tile, b.add(first, self.row), 1, total)

    def nothing(self, b: LoopBuilder) -> Values:
        """Sums before the first product."""
        return [self.lanes.constant(b, 0.0, f32)] * VECTORS

    def group(
        self, b: LoopBuilder, g: SSAValue, first: SSAValue, count: int, total: Values | None
    ) -> Values:
        """`total` and a group."""
        lanes, values = self.lanes, self.pieces(b, g, first, count)
        step = lanes.splat(b, b.load(self.x.steps, [self.row, g]))
        result = []
        for v, value in enumerate(values):
            scale = b.mul(self.access.scale(b, self.tile, g, v, 1.0), step)
            result.append(
                b.mul(value, scale) if total is None else lanes.fma(b, value, scale, total[v])
            )
        return result

    def pieces(self, b: LoopBuilder, g: SSAValue, first: SSAValue, count: int) -> Values:
        """The products of a group, in units of its scale and step, piece after piece."""
        length = self.x.piece
        whole, rest = divmod(count, length)
        if whole + (rest > 0) == 1:
            return self.piece(b, g, b.index(0), first, count)

        def add(b: LoopBuilder, k: SSAValue, *values: SSAValue, count: int = length) -> Values:
            start = b.add(first, b.mul(k, b.index(length)))
            found = self.piece(b, g, k, start, count)
            return [b.add(x, y) for x, y in zip(values, found, strict=True)]

        values = b.loop(0, whole, add, self.nothing(b))
        return add(b, b.index(whole), *values, count=rest) if rest else values

    def piece(
        self, b: LoopBuilder, g: SSAValue, k: SSAValue, first: SSAValue, count: int
    ) -> Values:
        """The products of `count` periods, zero points and offsets taken off."""
        access, panels = self.access, self.panels
        parts, start = [], b.mul(first, b.index(BLOCK))
        sums = b.loop(
            0,
            count * BLOCK,
            lambda b, k, *sums: self.register(b, b.add(start, k), list(sums)),
            [self.lanes.constant(b, 0, i32)] * (2 * TABLE_DIGITS),
        )
        sum = b.load(self.x.sums, [self.row, g, k])
        for v, part in enumerate(self.joined(b, sums, count)):
            zero = None if panels.zeros is None else access.zero(b, self.tile, g, v)
            parts.append(worth(b, self.lanes, panels.format, part, sum, zero))
        return parts

    def register(self, b: LoopBuilder, number: SSAValue, sums: Values) -> Values:
        """`sums` and what a register of codes finds. The loop over K goes over registers: gcc 12
        moves additions to one sum behind all lookups of its body, and spills what they found."""
        lanes, block, words = self.lanes, Lanes(BLOCK, self.lanes.has_fma), self.panels.words
        later = b.add(number, b.index(AHEAD))
        b.append(PrefetchOp(words, [self.tile, later, b.index(0)]))
        codes = lanes.load(b, words, [self.tile, number, 0])
        halves = [lanes.both(b, lanes.shift_right(b, codes, 4 * k), LOW_HALVES) for k in range(2)]
        all, odd = sums[:TABLE_DIGITS], sums[TABLE_DIGITS:]
        for digit in range(TABLE_DIGITS):
            place = [self.row, number, b.index(digit)]
            low, high = (
                LookupBytesOp(half, block.load(b, self.x.tables, [*place, b.index(BLOCK * k)]))
                for k, half in enumerate(halves)
            )
            bytes = b.add(b.insert(low), b.insert(high))
            all[digit] = b.add(all[digit], bytes)
            odd[digit] = b.insert(AddOddBytesOp(bytes, odd[digit]))
        return [*all, *odd]

    def joined(self, b: LoopBuilder, sums: Values, count: int) -> Values:
        """i32: what the digits of `count` periods are worth, vector after vector, whose rows are
        the bytes of each lane: two are halves of `all` less `odd`, two of `odd`."""
        lanes, all, odd = self.lanes, sums[:TABLE_DIGITS], sums[TABLE_DIGITS:]
        even = [b.sub(x, lanes.shift_left(b, y, 8)) for x, y in zip(all, odd, strict=True)]
        bias = BIAS * NIBBLES * count % 2**32
        taken = lanes.constant(b, bias - (bias >> 31 << 32), i32)
        found = []
        for v in range(VECTORS):
            digits = [
                lanes.shift_right(b, x, 16) if v >= 2 else lanes.both(b, x, 0xFFFF)
                for x in (odd if v % 2 else even)
            ]
            value = digits[-1]
            for digit in reversed(digits[:-1]):
                value = b.add(lanes.shift_left(b, value, DIGIT_BITS), digit)
            found.append(b.sub(value, taken))
        return found
