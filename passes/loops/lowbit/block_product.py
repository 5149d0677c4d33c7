"""Decode a block of the weight once, then multiply it by all rows: many rows hide the decoding.

parallel for tile: sums[rows, lanes] = 0
    for block of K: weights[k, lanes] = level - zero
        for block of rows: sums += scale * (x[row, k] * weights[k])          (a register tile)
    out = sums + bias

Where a block has several groups, or zero points are not integers, weights are scaled one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from xdsl.dialects.builtin import f32
from xdsl.ir import SSAValue

from ....dialects.quant import PERIOD, WeightFormat
from ....dialects.quant.ops import QuantizedLinearOp
from ..opaque_rules.kernel import OpaqueKernel
from ..opaque_rules.loop_builder import LoopBuilder
from .activations import FloatRows
from .apart import is_crowded
from .decode import Decoder, PeriodDecoder, vector_rest
from .float_product import lower_float_product
from .panel_access import PanelAccess, Values
from .panels import Panels, block_tile

Finish = Callable[[LoopBuilder, SSAValue, int], SSAValue]
BLOCK_PERIODS = 4  # a block of 128 x 32 floats is 16 KiB, its part of the activations half of that
UNROLLED = 4


def lower_block_product(op: QuantizedLinearOp, kernel: OpaqueKernel, b: LoopBuilder) -> None:
    """Every tile by a BlockProduct."""
    shape = block_tile(kernel.machine, op.rows)
    lower_float_product(op, kernel, b, shape, BlockProduct, zeros_meet_sums=False)


def scales_sums(format: WeightFormat) -> bool:
    """Whether a block lies in one group, whose scale then meets sums and not each weight."""
    is_whole = format.group is None or format.group % (BLOCK_PERIODS * PERIOD) == 0
    return is_whole and format.zero in ("none", "int")


@dataclass(frozen=True)
class BlockProduct:
    """Writes the loops of one tile."""

    access: PanelAccess
    decoder: Decoder
    x: FloatRows

    @property
    def panels(self) -> Panels:
        """The packed arrays."""
        return self.access.panels

    def tile(self, b: LoopBuilder, tile: SSAValue) -> None:
        """The outputs of all rows and the lanes of a tile."""
        panels, lanes = self.panels, self.access.lanes
        shape, rows = panels.tile, panels.rows
        weights = b.local([min(panels.periods, BLOCK_PERIODS) * PERIOD, shape.panel], f32)
        sums = b.local([rows, shape.panel], f32)
        zero = lanes.constant(b, 0.0, f32)

        def clear(b: LoopBuilder, row: SSAValue) -> None:
            for vector in range(shape.vectors):
                lanes.store(b, zero, sums, [row, self.access.first_lane(vector)], None)

        b.loop(0, rows, clear)
        tables = self.decoder.load_tables(b)

        def block(b: LoopBuilder, first: SSAValue, periods: int) -> None:
            self.decode(b, tile, first, periods, tables, weights)
            scales = self.scales(b, tile, first)

            def multiply(b: LoopBuilder, at: SSAValue, rows: int) -> None:
                self.multiply(b, at, rows, first, periods, weights, sums, scales)

            panels.over_blocks(b, multiply)

        whole, left = divmod(panels.periods, BLOCK_PERIODS)
        b.loop(0, whole, lambda b, k: block(b, b.mul(k, b.index(BLOCK_PERIODS)), BLOCK_PERIODS))
        if left:
            block(b, b.index(whole * BLOCK_PERIODS), left)

        def finish(b: LoopBuilder, row: SSAValue) -> None:
            total = [
                lanes.load(b, sums, [row, self.access.first_lane(v)]) for v in range(shape.vectors)
            ]
            self.access.store(b, tile, row, 1, total)

        b.loop(0, rows, finish)

    def decode(
        self,
        b: LoopBuilder,
        tile: SSAValue,
        first: SSAValue,
        periods: int,
        tables: Values,
        weights: SSAValue,
    ) -> None:
        """weights[k, lanes] of some periods, one vector after the other: what all its numbers are
        decoded with then stays in registers. The next block is asked for, as the hardware does not
        see it coming while this one is multiplied."""
        panels, lanes = self.panels, self.access.lanes
        width, size = panels.format.element.width, min(panels.format.group or PERIOD, PERIOD)
        ahead = BLOCK_PERIODS * width

        def period(b: LoopBuilder, p: SSAValue, vector: int) -> None:
            number, start = b.add(first, p), b.mul(p, b.index(PERIOD))
            word = b.mul(number, b.index(width)) if width > 1 else number
            lane = self.access.first_lane(vector)
            place = tile, word, lane
            decoder = PeriodDecoder(self.decoder, tables, panels.words, place, ahead)
            for k0 in range(0, PERIOD, size):
                group = self.group_of(b, first if scales_sums(self.panels.format) else number, k0)
                finish = self.finisher(b, decoder, tile, group, vector)
                for k in range(k0, k0 + size):
                    value = finish(b, decoder.number(b, k), self.decoder.exponent(k))
                    lanes.store(b, value, weights, [b.add(start, b.index(k)), lane], None)

        for vector in range(panels.tile.vectors):
            b.loop(0, periods, partial(period, vector=vector))

    def finisher(
        self, b: LoopBuilder, decoder: PeriodDecoder, tile: SSAValue, group: SSAValue, vector: int
    ) -> Finish:
        """What makes weights of the decoded numbers of a group: a zero point taken off, and a scale
        where sums have none. A zero point of fields in place is taken off as they are decoded."""
        access, lanes = self.access, self.access.lanes
        has_zeros, is_scaled = self.panels.zeros is not None, not scales_sums(self.panels.format)
        if has_zeros and not is_scaled and self.decoder.method == "in place":
            zero = lanes.convert(b, access.zero(b, tile, group, vector))
            decoder.biases = self.decoder.biases(b, zero)
            has_zeros = False
        rest = None
        if has_zeros:
            rest = vector_rest(b, access, self.decoder, tile, group, vector)
        if not is_scaled:
            return lambda b, value, exponent: value if rest is None else b.add(value, rest)
        scale = access.scale(b, tile, group, vector, self.decoder.unit)
        if rest is None:
            return lambda b, value, exponent: b.mul(value, scale)
        shift = b.mul(rest, scale)
        exponents = sorted({self.decoder.exponent(k) for k in range(PERIOD)})
        factors = {e: lanes.constant(b, 2.0**e, f32) for e in exponents}
        shifts = {e: b.mul(shift, factors[e]) if e else shift for e in exponents}
        return lambda b, value, exponent: lanes.fma(b, value, scale, shifts[exponent])

    def scales(self, b: LoopBuilder, tile: SSAValue, first: SSAValue) -> Values:
        """What sums of the block from period `first` on are multiplied by; none where weights are
        scaled."""
        if not scales_sums(self.panels.format):
            return []
        group, unit = self.group_of(b, first, 0), self.decoder.unit
        vectors = range(self.panels.tile.vectors)
        return [self.access.scale(b, tile, group, vector, unit) for vector in vectors]

    def group_of(self, b: LoopBuilder, period: SSAValue, element: int) -> SSAValue:
        """The group of an element of a period; those behind the last one count as its."""
        panels = self.panels
        group = panels.format.group
        if group is None:
            return b.index(0)
        if group >= PERIOD:
            return b.div(period, b.index(group // PERIOD)) if group > PERIOD else period
        per_period = PERIOD // group
        number = b.add(b.mul(period, b.index(per_period)), b.index(element // group))
        groups = panels.format.groups(panels.columns)
        return number if groups % per_period == 0 else b.minimum(number, b.index(groups - 1))

    @property
    def unrolled(self) -> int:
        """Steps of the loop over K that are written out. Where 12 sums, three weights and an
        activation fill 16 registers, gcc spills sums of straight code, but not of a loop that it
        unrolls itself (`codegen/c/short_steps.py`)."""
        return 1 if is_crowded(self.decoder.machine, self.access.lanes.count) else UNROLLED

    def multiply(
        self,
        b: LoopBuilder,
        block: SSAValue,
        rows: int,
        first: SSAValue,
        periods: int,
        weights: SSAValue,
        sums: SSAValue,
        scales: Values,
    ) -> None:
        """sums += x * weights for a block of rows, times the scale of the group where weights have
        none."""
        panels, access, lanes = self.panels, self.access, self.access.lanes
        vectors = panels.tile.vectors
        row0 = b.mul(block, b.index(panels.tile.rows))
        places = [
            [b.add(row0, b.index(row)), b.index(access.first_lane(v))]
            for row in range(rows)
            for v in range(vectors)
        ]
        column = b.mul(first, b.index(PERIOD))

        def step(b: LoopBuilder, k: SSAValue, *part: SSAValue) -> Values:
            total = list(part)
            for u in range(unrolled):
                at = b.add(k, b.index(u)) if u else k
                values = [
                    lanes.load(b, weights, [at, access.first_lane(v)]) for v in range(vectors)
                ]
                for row in range(rows):
                    x = b.load(self.x.x, [block, b.add(column, at), row])
                    spread = lanes.splat(b, x)
                    for v, weight in enumerate(values):
                        index = row * vectors + v
                        total[index] = lanes.fma(b, spread, weight, total[index])
            return total

        unrolled = self.unrolled
        before = [lanes.load(b, sums, place) for place in places]
        if scales_sums(self.panels.format):
            zeros = [lanes.constant(b, 0.0, f32)] * len(places)
            part = b.loop(0, periods * PERIOD, step, zeros, step=unrolled)
            after = [
                lanes.fma(b, value, scales[at % vectors], before[at])
                for at, value in enumerate(part)
            ]
        else:
            after = b.loop(0, periods * PERIOD, step, before, step=unrolled)
        for place, value in zip(places, after, strict=True):
            lanes.store(b, value, sums, place, None)
