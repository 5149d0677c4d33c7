"""Activations in the order that a product reads them in.

f32:     x[block, k, row] = source[block * rows + row, k] / 2^exponent(k), 0 behind the end
int8:    quads[row, q] = four integers as the bytes of an i32, sums[row, group], steps[row]
int16:   the same in two rows of bytes, the high ones first
digits:  the same of f32, as integers of 24 bits in three rows of bytes, with steps[row, group]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from xdsl.dialects import arith, math, vector
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, IntegerType, VectorType, f32, i32
from xdsl.ir import SSAValue

from ....dialects.graph import shape_of
from ....dialects.quant import PERIOD
from ....dialects.quant.activations import LARGEST_INT16, MOST, TINY
from ....dialects.quant.ops import DotOp, QuantizedLinearOp
from ....dialects.quant.quad_fields import QUADS
from ....dialects.vector import GatherOp
from ....dialects.vector_arith import FPToSIOp
from ..opaque_rules.kernel import OpaqueKernel
from ..opaque_rules.loop_builder import LoopBuilder
from .decode import Decoder
from .lanes import Lanes
from .panels import Panels

CHAINS = 4  # independent maxima, so that none waits for the one before
LINE = 16  # i32 of a cache line
DIGITS = 3  # bytes that hold what f32 has, next to the largest number of a group
LARGEST_DIGITS = LARGEST_INT16 * 256


def over_rows(b: LoopBuilder, rows: int, body: Callable[[LoopBuilder, SSAValue], None]) -> None:
    """Rows are shared among threads; one row needs none."""
    if rows == 1:
        body(b, b.index(0))
    else:
        b.parallel(0, rows, body)


@dataclass(frozen=True)
class FloatRows:
    """Activations in f32: `x`, and where zero points meet them their `sums` by group."""

    x: SSAValue
    sums: SSAValue | None


def arranged(
    b: LoopBuilder,
    kernel: OpaqueKernel,
    source: SSAValue,
    panels: Panels,
    decoder: Decoder,
    with_sums: bool,
) -> FloatRows:
    """x[block, k, row], divided by the power of two that fields in their place are too large by.

    sums[block, group, row] are those of activations.
    """
    height = panels.tile.rows
    blocks, rest = panels.blocks
    count = blocks + (rest > 0)
    x = kernel.scratch("x", [count, panels.periods * PERIOD, height], f32)
    groups = panels.format.groups(panels.columns)
    sums = kernel.scratch("sums", [count, groups, height], f32) if with_sums else None
    found = FloatRows(x, sums)

    def row(b: LoopBuilder, row: SSAValue) -> None:
        block = b.div(row, b.index(height))
        place = b.sub(row, b.mul(block, b.index(height)))
        Arranging(panels, decoder, source, found, row, block, place).write(b)

    over_rows(b, panels.rows, row)
    return found


@dataclass(frozen=True)
class Arranging:
    """Writes one row of activations, the `place`-th of a block, and its sums."""

    panels: Panels
    decoder: Decoder
    source: SSAValue
    found: FloatRows
    row: SSAValue
    block: SSAValue
    place: SSAValue

    def write(self, b: LoopBuilder) -> None:
        """Group after group where their sums are asked for, or period after period."""
        panels = self.panels
        whole, left = divmod(panels.columns, PERIOD)
        if self.found.sums is None or panels.format.has_short_groups:
            b.loop(0, whole, lambda b, p: self.period_and_sums(b, p, PERIOD))
            if left:
                self.period_and_sums(b, b.index(whole), left)
            return
        length = panels.group_periods
        full, more = divmod(whole, length)
        b.loop(0, full, lambda b, g: self.group(b, g, length))
        if more or left:
            self.group(b, b.index(full), more, left)

    def period(self, b: LoopBuilder, period: SSAValue, stop: int) -> list[SSAValue]:
        """Write a period; its activations, of which `stop` exist."""
        first, zero = b.mul(period, b.index(PERIOD)), b.constant(0.0, f32)
        columns = [b.add(first, b.index(k)) for k in range(PERIOD)]
        values = [b.load(self.source, [self.row, column]) for column in columns[:stop]]
        padded = values + [zero] * (PERIOD - stop)
        for k, (column, value) in enumerate(zip(columns, padded, strict=True)):
            exponent = self.decoder.exponent(k) if k < stop else 0
            if exponent:
                value = b.mul(value, b.constant(2.0**-exponent, f32))
            b.store(value, self.found.x, [self.block, column, self.place])
        return values

    def period_and_sums(self, b: LoopBuilder, period: SSAValue, stop: int) -> None:
        """A period and the sums of its groups, if they are asked for."""
        values = self.period(b, period, stop)
        if self.found.sums is None:
            return
        size = self.panels.format.group or PERIOD
        first = b.mul(period, b.index(PERIOD // size))
        for k, start in enumerate(range(0, stop, size)):
            total, place = tree_sum(b, values[start : start + size]), b.add(first, b.index(k))
            b.store(total, self.found.sums, [self.block, place, self.place])

    def group(self, b: LoopBuilder, g: SSAValue, count: int, left: int = 0) -> None:
        """A group of `count` whole periods, and of `left` activations more."""
        start = b.mul(g, b.index(self.panels.group_periods))

        def step(
            b: LoopBuilder, p: SSAValue, before: SSAValue, stop: int = PERIOD
        ) -> list[SSAValue]:
            values = self.period(b, b.add(start, p), stop)
            return [b.add(before, tree_sum(b, values))]

        assert self.found.sums is not None
        total = b.loop(0, count, step, [b.constant(0.0, f32)])
        if left:
            total = step(b, b.index(count), total[0], stop=left)
        b.store(total[0], self.found.sums, [self.block, g, self.place])


def tree_sum(b: LoopBuilder, values: list[SSAValue]) -> SSAValue:
    """Pairs, pairs of pairs, and so on."""
    while len(values) > 1:
        pairs = [b.add(x, y) for x, y in zip(values[::2], values[1::2], strict=False)]
        values = pairs + (values[-1:] if len(values) % 2 else [])
    return values[0]


def float_source(op: QuantizedLinearOp, kernel: OpaqueKernel, b: LoopBuilder) -> SSAValue:
    """The activations for products in f32; where they are rounded, what the integers stand for."""
    source = kernel.stored(b, op.source)
    if op.activations.data == "f32":
        return source
    rows, columns = shape_of(op.source)
    lanes = Lanes(kernel.machine.lanes(4), kernel.machine.has_fma)
    rounded, most = kernel.scratch("rounded", [rows, columns], f32), MOST[op.activations.data]

    def row(b: LoopBuilder, row: SSAValue) -> None:
        factor, step = scale_of(b, lanes, source, row, b.index(0), columns, most)

        def element(b: LoopBuilder, wide: Lanes, column: SSAValue) -> None:
            value = wide.load(b, source, [row, column])
            value = b.insert(math.RoundEvenOp(b.mul(value, wide.splat(b, factor))))
            wide.store(b, b.mul(value, wide.splat(b, step)), rounded, [row, column], None)

        whole = columns // lanes.count * lanes.count
        b.loop(0, whole, lambda b, k: element(b, lanes, k), step=lanes.count)
        b.loop(whole, columns, lambda b, k: element(b, Lanes(1, lanes.has_fma), k))

    over_rows(b, rows, row)
    return rounded


def scale_of(
    b: LoopBuilder,
    lanes: Lanes,
    source: SSAValue,
    row: SSAValue,
    start: SSAValue,
    count: int,
    most: float,
) -> tuple[SSAValue, SSAValue]:
    """(what `count` activations from `start` on are multiplied by before rounding, so that the
    largest becomes `most`; what integers are worth)."""
    chains = max(1, min(CHAINS, count // lanes.count))
    length = lanes.count * chains
    whole = count // length * length
    zero = lanes.constant(b, 0.0, f32)

    def step(b: LoopBuilder, k: SSAValue, *largest: SSAValue) -> list[SSAValue]:
        found = []
        for chain, old in enumerate(largest):
            at = b.add(b.add(start, k), b.index(chain * lanes.count))
            value = lanes.load(b, source, [row, at])
            found.append(b.maximum(old, b.insert(math.AbsFOp(value))))
        return found

    first, *others = b.loop(0, whole, step, [zero] * chains, step=length)
    for other in others:
        first = b.maximum(first, other)
    first = lanes.reduced(b, first, vector.CombiningKindFlag.MAXIMUMF)

    def rest(b: LoopBuilder, k: SSAValue, largest: SSAValue) -> list[SSAValue]:
        value = b.load(source, [row, b.add(start, k)])
        return [b.maximum(largest, b.insert(math.AbsFOp(value)))]

    (largest,) = b.loop(whole, count, rest, [first])
    is_large = b.compare("ge", largest, b.constant(TINY, f32))
    factor = b.div(b.constant(most, f32), largest)
    factor = b.select(is_large, factor, b.constant(0.0, f32))
    return factor, b.mul(largest, b.constant(float(np.float32(1 / most)), f32))


def rounded(b: LoopBuilder, lanes: Lanes, value: SSAValue, factor: SSAValue) -> SSAValue:
    """The integer that a number times `factor` becomes."""
    whole = b.insert(math.RoundEvenOp(b.mul(value, lanes.splat(b, factor))))
    if lanes.count == 1:
        return b.insert(arith.FPToSIOp(whole, i32))
    return b.insert(FPToSIOp(whole, lanes.type(i32)))


@dataclass(frozen=True)
class IntegerRows:
    """Activations as integers: `quads`, their `sums` by group, and the worth of one, `steps`.

    With several `digits`, the highest first, a row of activations is as many rows of `quads` and
    `sums`; of three, which are an f32, every group has a step of its own.
    """

    quads: SSAValue
    sums: SSAValue
    steps: SSAValue
    digits: int = 1

    @property
    def by_group(self) -> bool:
        """Whether groups have steps, and not rows."""
        return self.digits == DIGITS

    def step(self, b: LoopBuilder, row: SSAValue, group: SSAValue | None = None) -> SSAValue:
        """The worth of one in a row, or in a group of it."""
        return b.load(self.steps, [row] if group is None else [row, group])


def integer_rows(
    b: LoopBuilder, kernel: OpaqueKernel, source: SSAValue, panels: Panels, digits: int = 1
) -> IntegerRows:
    """Round every row; whole periods eight quads at a time, the last period element by element."""
    wide = Lanes(kernel.machine.lanes(4), kernel.machine.has_fma)
    lanes = Lanes(min(QUADS, wide.count), wide.has_fma)
    # an odd number of cache lines, so that rows do not share cache sets
    stride = (-(-panels.periods * QUADS // LINE) | 1) * LINE
    groups, by_group = panels.format.groups(panels.columns), digits == DIGITS
    most = MOST["int16" if digits > 1 else "int8"]
    found = IntegerRows(
        kernel.scratch("quads", [panels.rows * digits, stride], i32),
        kernel.scratch("sums", [panels.rows * digits, groups], i32),
        kernel.scratch("steps", [panels.rows, groups] if by_group else [panels.rows], f32),
        digits,
    )
    length = panels.periods if panels.format.group is None else panels.format.group // PERIOD
    whole = panels.columns // PERIOD
    full, left = divmod(whole, length)

    def row(b: LoopBuilder, row: SSAValue) -> None:
        factor = None
        if not by_group:
            factor, step = scale_of(b, wide, source, row, b.index(0), panels.columns, most)
            b.store(step, found.steps, [row])

        def group(b: LoopBuilder, g: SSAValue, count: int, is_ragged: bool) -> None:
            start, by = b.mul(g, b.index(length)), factor
            if by is None:
                first = b.mul(start, b.index(PERIOD))
                size = count * PERIOD + (panels.columns % PERIOD if is_ragged else 0)
                by, step = scale_of(b, wide, source, row, first, size, LARGEST_DIGITS)
                b.store(step, found.steps, [row, g])
            rounding = Rounding(lanes, source, found, row, by)
            sums = b.loop(
                0,
                count,
                lambda b, p, *total: rounding.period(b, b.add(start, p), list(total)),
                [lanes.constant(b, 0, i32)] * digits,
            )
            totals = [lanes.reduced(b, sum, vector.CombiningKindFlag.ADD) for sum in sums]
            if is_ragged:
                totals = rounding.last(b, whole * PERIOD, panels.columns, totals)
            for digit, total in enumerate(totals):
                b.store(total, found.sums, [rounding.digit_row(b, digit), g])

        b.loop(0, full, lambda b, g: group(b, g, length, False))
        if full < groups:
            group(b, b.index(full), left, panels.columns % PERIOD != 0)

    over_rows(b, panels.rows, row)
    return found


@dataclass(frozen=True)
class Rounding:
    """Writes the quads of one row of activations."""

    lanes: Lanes
    source: SSAValue
    found: IntegerRows
    row: SSAValue
    factor: SSAValue

    def digit_row(self, b: LoopBuilder, digit: int) -> SSAValue:
        """Where a digit of the row is in quads and sums."""
        first = b.mul(self.row, b.index(self.found.digits)) if self.found.digits > 1 else self.row
        return b.add(first, b.index(digit)) if digit else first

    def period(self, b: LoopBuilder, period: SSAValue, totals: list[SSAValue]) -> list[SSAValue]:
        """The quads of a whole period; `totals` plus their elements, by digit and lane."""
        lanes = self.lanes
        first = b.mul(period, b.index(PERIOD))
        for quad in range(0, QUADS, lanes.count):
            start = b.add(first, b.index(4 * quad)) if quad else first
            values = [self.strided(b, start, j) for j in range(4)]
            at = b.add(b.mul(period, b.index(QUADS)), b.index(quad))
            totals = self.put(b, values, at, totals)
        return totals

    def last(self, b: LoopBuilder, first: int, stop: int, totals: list[SSAValue]) -> list[SSAValue]:
        """The quads of a period of which elements `first` .. `stop` - 1 exist; zeros follow."""
        lanes = Lanes(1, self.lanes.has_fma)
        scalar = Rounding(lanes, self.source, self.found, self.row, self.factor)
        for quad in range(QUADS):
            start = first + 4 * quad
            places = range(start, min(start + 4, stop))
            values = [b.load(self.source, [self.row, place]) for place in places]
            totals = scalar.put(b, values, b.index(first // 4 + quad), totals)
        return totals

    def put(
        self, b: LoopBuilder, values: list[SSAValue], at: SSAValue, totals: list[SSAValue]
    ) -> list[SSAValue]:
        """Round up to four numbers per lane and store them; `totals` plus them."""
        lanes, whole = self.lanes, [rounded(b, self.lanes, v, self.factor) for v in values]
        ones, found = lanes.constant(b, 0x01010101, i32), []
        for digit, total in enumerate(totals):
            packed = self.packed(b, whole, self.found.digits - 1 - digit)
            lanes.store(b, packed, self.found.quads, [self.digit_row(b, digit), at], None)
            found.append(b.insert(DotOp(total, ones, packed, 1)))
        return found

    def strided(self, b: LoopBuilder, start: SSAValue, byte: int) -> SSAValue:
        """Every fourth activation from `start + byte` on."""
        lanes, at = self.lanes, [self.row, b.add(start, b.index(byte)) if byte else start]
        if lanes.count == 1:
            return b.load(self.source, at)
        type = VectorType(i32, [lanes.count])
        places = DenseIntOrFPElementsAttr.from_list(type, [4 * k for k in range(lanes.count)])
        offsets = b.insert(arith.ConstantOp(places))
        mask = lanes.constant(b, True, IntegerType(1))
        return b.insert(GatherOp(self.source, at, offsets, mask, lanes.constant(b, 0.0, f32)))

    def packed(self, b: LoopBuilder, integers: list[SSAValue], place: int) -> SSAValue:
        """The digits of 256^place, -128 .. 127, of up to four integers as the bytes of an i32."""
        lanes = self.lanes
        packed = lanes.constant(b, 0, i32)
        carry = 128 * sum(256**lower for lower in range(place))  # lower digits round to nearest
        for byte, number in enumerate(integers):
            if place:
                number = b.add(number, lanes.constant(b, carry, i32))
                number = lanes.shift_right(b, number, 8 * place)
            number = lanes.both(b, number, 255)
            packed = b.either(packed, lanes.shift_left(b, number, 8 * byte)) if byte else number
        return packed
