"""Products by lookup: sums of a few activations, for every combination of digits, are a table.

Four bits of a code word are one part of 4, 2 or 1 elements (`byte_fields`), and all sixteen sums of
their activations fill a register, so one permutation multiplies and adds for 16 rows of the weight:

    tables[row, n, c] = sum over the elements e of nibble n of x[e] * (digit e of c - center)
    parallel for tile: for group: part[p] += tables[n][nibble n of the words of part p]
        total += scale * (step * sum over p of 2^position(p) * part[p] + rest * sum of x)

Digits are taken from their center, so that sums stay as small as the weights are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from xdsl.dialects import arith
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, VectorType, f32
from xdsl.ir import SSAValue

from ....dialects.quant import PERIOD, BytePart, IntegerElement, byte_parts, byte_words
from ....dialects.quant.ops import LookupOp, QuantizedLinearOp
from ..opaque_rules.kernel import OpaqueKernel
from ..opaque_rules.loop_builder import LoopBuilder
from .activations import float_source, tree_sum
from .lanes import Lanes
from .panel_access import PanelAccess, Values, over_tiles
from .panels import Panels, TileShape, pack_panels
from .quads import PeriodWords

NIBBLES = 8  # of a word
ENTRIES = 16  # of a table: the lanes of a register
VECTORS = 4
AHEAD = 8  # words, 2 KiB: lookups take a cache line sooner than the hardware has the next one


def table_tile(lanes: int) -> TileShape:
    """One row, as its tables are read from memory once for all vectors."""
    return TileShape(1, VECTORS, lanes)


def lower_table_product(op: QuantizedLinearOp, kernel: OpaqueKernel, b: LoopBuilder) -> None:
    """Tables of all activations, then one tile of outputs after the other."""
    source = float_source(op, kernel, b)
    lanes = Lanes(kernel.machine.lanes(4), kernel.machine.has_fma)
    panels = pack_panels(op, kernel, table_tile(lanes.count), "bytes")
    rows, periods, width = op.rows, panels.periods, panels.format.element.width
    tables = kernel.scratch("tables", [rows, periods, width * NIBBLES, ENTRIES], f32)
    sums = kernel.scratch("sums", [rows, periods], f32)
    TableWriter(lanes, panels, source, tables, sums).write(b)
    product = TableProduct(PanelAccess(panels, lanes, kernel.out), tables, sums)
    over_tiles(b, panels, product.tile)


def elements_of(part: BytePart, word: int, nibble: int) -> list[int]:
    """The elements of a period whose parts are a nibble of a word of `part`, lowest bits first."""
    byte, half = divmod(nibble, 2)
    count = 4 // part.width
    quads = range(word * 2 * count + half * count, word * 2 * count + (half + 1) * count)
    return [4 * quad + byte for quad in quads]


def digits(part: BytePart, place: int) -> np.ndarray:
    """Digit `place` of all nibbles, from the center of the digits."""
    size = 1 << part.width
    found = np.arange(ENTRIES) >> (place * part.width) & (size - 1)
    return found - (size - 1) / 2


@dataclass(frozen=True)
class TableWriter:
    """Writes the tables, and the sums of periods."""

    lanes: Lanes
    panels: Panels
    source: SSAValue
    tables: SSAValue
    sums: SSAValue

    def write(self, b: LoopBuilder) -> None:
        """All rows; the periods of a row are shared among threads."""
        columns = self.panels.columns
        whole = columns // PERIOD

        def row(b: LoopBuilder, row: SSAValue) -> None:
            b.parallel(0, whole, lambda b, p: self.period(b, row, p, PERIOD))
            if columns % PERIOD:
                self.period(b, row, b.index(whole), columns % PERIOD)

        b.loop(0, self.panels.rows, row, shares=True)

    def period(self, b: LoopBuilder, row: SSAValue, period: SSAValue, count: int) -> None:
        """The tables of a period of which `count` elements exist."""
        first = b.mul(period, b.index(PERIOD))
        x = [b.load(self.source, [row, b.add(first, b.index(k))]) for k in range(count)]
        spread = [self.lanes.splat(b, value) for value in x]
        table = 0
        parts = byte_parts(self.panels.format.element.width)
        factors = [
            [self.constant(b, digits(part, f)) for f in range(4 // part.width)] for part in parts
        ]
        for number, word in byte_words(self.panels.format.element.width):
            for nibble in range(NIBBLES):
                entry = self.lanes.constant(b, 0.0, f32)
                for place, element in enumerate(elements_of(parts[number], word, nibble)):
                    if element < count:
                        entry = self.lanes.fma(b, spread[element], factors[number][place], entry)
                at = [row, period, b.index(table), b.index(0)]
                self.lanes.store(b, entry, self.tables, at, None)
                table += 1
        b.store(tree_sum(b, x), self.sums, [row, period])

    def constant(self, b: LoopBuilder, values: np.ndarray) -> SSAValue:
        """A vector of numbers."""
        type = VectorType(f32, [ENTRIES])
        attribute = DenseIntOrFPElementsAttr.from_list(type, [float(v) for v in values])
        return b.insert(arith.ConstantOp(attribute))


@dataclass(frozen=True)
class TableProduct:
    """Writes the loops of one tile."""

    access: PanelAccess
    tables: SSAValue
    sums: SSAValue

    @property
    def panels(self) -> Panels:
        """The packed arrays."""
        return self.access.panels

    def tile(self, b: LoopBuilder, tile: SSAValue) -> None:
        """The outputs of all rows and the lanes of a tile."""
        b.loop(0, self.panels.rows, lambda b, row: self.row(b, tile, row))

    def row(self, b: LoopBuilder, tile: SSAValue, row: SSAValue) -> None:
        """The outputs of a row."""
        lanes = self.access.lanes
        parts = byte_parts(self.panels.format.element.width)
        zero = lanes.constant(b, 0.0, f32)

        def group(
            b: LoopBuilder, g: SSAValue, first: SSAValue, count: int, total: Values | None
        ) -> Values:
            carried = [zero] * (len(parts) * VECTORS) + [b.constant(0.0, f32)]
            *part, sum = b.loop(
                0,
                count,
                lambda b, p, *carried: self.period(b, tile, row, b.add(first, p), list(carried)),
                carried,
            )
            return self.scaled(b, tile, g, part, sum, total)

        total = self.access.over_groups(b, group, [zero] * VECTORS)
        self.access.store(b, tile, row, 1, total)

    def period(
        self, b: LoopBuilder, tile: SSAValue, row: SSAValue, period: SSAValue, carried: Values
    ) -> Values:
        """Look up all nibbles of a period."""
        access, lanes = self.access, self.access.lanes
        *sums, total = carried
        words = [PeriodWords(access, tile, period, v, AHEAD) for v in range(VECTORS)]
        # Vectors innermost: a table is loaded once for all of them, and their sums are independent.
        # Sums by multiply-add, which gcc leaves where it is: it moves a chain of `+` behind all of
        # its lookups, which do not fit the registers.
        one = lanes.constant(b, 1.0, f32)
        for word, (number, _) in enumerate(byte_words(self.panels.format.element.width)):
            for nibble in range(NIBBLES):
                entries = lanes.load(b, self.tables, [row, period, word * NIBBLES + nibble, 0])
                for v, period_words in enumerate(words):
                    at = number * VECTORS + v
                    code = lanes.shift_right(b, period_words.word(b, word), 4 * nibble)
                    found = b.insert(LookupOp(code, [entries]))
                    sums[at] = lanes.fma(b, found, one, sums[at])
        return [*sums, b.add(total, b.load(self.sums, [row, period]))]

    def scaled(
        self,
        b: LoopBuilder,
        tile: SSAValue,
        g: SSAValue,
        part: Values,
        sum: SSAValue,
        total: Values | None,
    ) -> Values:
        """total + scale * (what the digits are worth, offsets and zero points taken off)."""
        access, lanes, format = self.access, self.access.lanes, self.panels.format
        element = format.element
        assert isinstance(element, IntegerElement)
        center = (2**element.width - 1) / 2
        parts, spread = byte_parts(element.width), lanes.splat(b, sum)
        result = []
        for v in range(VECTORS):
            value = part[v]
            for number, digit in enumerate(parts[1:], 1):
                weight = lanes.constant(b, 2.0**digit.position, f32)
                value = lanes.fma(b, part[number * VECTORS + v], weight, value)
            unit, rest = float(element.step), element.step * center + element.offset
            if format.zero == "int":
                zero = lanes.convert(b, access.zero(b, tile, g, v))
                rest_value = b.sub(lanes.constant(b, center, f32), zero)
                value = lanes.fma(b, spread, rest_value, value)
            elif format.zero != "none":
                zero = access.zero(b, tile, g, v)
                rest_value = b.sub(lanes.constant(b, rest, f32), zero)
                value = b.mul(value, lanes.constant(b, unit, f32))
                value, unit = lanes.fma(b, spread, rest_value, value), 1.0
            elif rest:
                value = lanes.fma(b, spread, lanes.constant(b, rest / unit, f32), value)
            scale = access.scale(b, tile, g, v, unit)
            result.append(
                b.mul(value, scale) if total is None else lanes.fma(b, value, scale, total[v])
            )
        return result
