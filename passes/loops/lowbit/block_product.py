"""Decode a block of the weight once, then multiply it by all rows: many rows hide the decoding.

parallel for tile: sums[rows, lanes] = 0
    for block of K: weights[k, lanes] = scale * (level - zero)
        for block of rows: sums += x[row, k] * weights[k]            (a register tile)
    out = sums + bias
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects.builtin import f32
from xdsl.ir import SSAValue

from ....dialects.quant import PERIOD
from ....dialects.quant.ops import QuantizedLinearOp
from ..opaque_rules.kernel import OpaqueKernel
from ..opaque_rules.loop_builder import LoopBuilder
from .activations import FloatRows
from .decode import Decoder, PeriodDecoder, group_rest
from .float_product import lower_float_product
from .panel_access import PanelAccess, Values
from .panels import Panels, block_tile

BLOCK_PERIODS = 4  # a block of 128 x 32 floats is 16 KiB, its part of the activations half of that
UNROLLED = 4


def lower_block_product(op: QuantizedLinearOp, kernel: OpaqueKernel, b: LoopBuilder) -> None:
    """Every tile by a BlockProduct."""
    shape = block_tile(kernel.machine, op.rows)
    lower_float_product(op, kernel, b, shape, BlockProduct)


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
            panels.over_blocks(
                b, lambda b, at, count: self.multiply(b, at, count, first, periods, weights, sums)
            )

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
        """weights[k, lanes] = scale * (level - zero) of some periods."""
        panels, access, lanes = self.panels, self.access, self.access.lanes
        group = panels.format.group
        width, unit = panels.format.element.width, self.decoder.unit
        size = PERIOD if group is None else min(group, PERIOD)

        def period(b: LoopBuilder, p: SSAValue) -> None:
            number = b.add(first, p)
            word = b.mul(number, b.index(width)) if width > 1 else number
            decoders = [
                PeriodDecoder(
                    self.decoder, tables, panels.words, (tile, word, access.first_lane(v))
                )
                for v in range(panels.tile.vectors)
            ]
            start = b.mul(p, b.index(PERIOD))
            for k0 in range(0, PERIOD, size):
                g = self.group_of(b, number, k0)
                rest = group_rest(b, access, self.decoder, tile, g)
                scales = [access.scale(b, tile, g, v, unit) for v in range(panels.tile.vectors)]
                shift = [b.mul(r, scale) for r, scale in zip(rest, scales, strict=False)]
                shifts = {0: shift}
                for k in range(k0, k0 + size):
                    at = b.add(start, b.index(k)) if k else start
                    exponent = self.decoder.exponent(k)
                    if exponent not in shifts:
                        factor = lanes.constant(b, 2.0**exponent, f32)
                        shifts[exponent] = [b.mul(value, factor) for value in shift]
                    for v, decoder in enumerate(decoders):
                        value = decoder.number(b, k)
                        if rest:
                            value = lanes.fma(b, value, scales[v], shifts[exponent][v])
                        else:
                            value = b.mul(value, scales[v])
                        lanes.store(b, value, weights, [at, access.first_lane(v)], None)

        b.loop(0, periods, period)

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

    def multiply(
        self,
        b: LoopBuilder,
        block: SSAValue,
        rows: int,
        first: SSAValue,
        periods: int,
        weights: SSAValue,
        sums: SSAValue,
    ) -> None:
        """sums += x * weights for a block of rows."""
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
            for u in range(UNROLLED):
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

        before = [lanes.load(b, sums, place) for place in places]
        after = b.loop(0, periods * PERIOD, step, before, step=UNROLLED)
        for place, value in zip(places, after, strict=True):
            lanes.store(b, value, sums, place, None)
