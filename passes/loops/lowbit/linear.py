"""Loops of `quant.linear`: decode weights in registers, multiply-add, scale once per group.

    for block, k, row: x[block, k, row] = source[..] / 2^exponent(k)      (padded with zeros)
    parallel for tile: for block: for group:
        part[row, lanes] = sum over k in group of x[block, k, row] * decoded[k, lanes]
        total[row, lanes] += scale[group, lanes] * part[row, lanes]

Activations are divided by the power of two that a field in its place is too large by. Groups are
sums of their own, so that a scale is multiplied once and not per element.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects.builtin import f32
from xdsl.ir import SSAValue

from ....dialects.quant import PERIOD, IntegerElement
from ....dialects.quant.ops import HalfOp, QuantizedLinearOp
from ..opaque_rules.kernel import OpaqueKernel
from ..opaque_rules.loop_builder import LoopBuilder
from ..opaque_rules.rule import lowers
from .decode import Decoder, PeriodDecoder, Zero
from .lanes import Lanes
from .panels import Panels, pack_panels

Values = list[SSAValue]


@lowers(QuantizedLinearOp)
def lower_quantized_linear(op: QuantizedLinearOp, kernel: OpaqueKernel, b: LoopBuilder) -> None:
    """The activations in the order they are read in, then one tile of outputs after the other."""
    panels = pack_panels(op, kernel)
    lanes = Lanes(panels.tile.lanes, kernel.machine.has_fma)
    decoder = Decoder(op.weight_format, lanes, kernel.machine, panels.levels)
    blocks, rest = panels.blocks
    shape = [blocks + (rest > 0), panels.periods * PERIOD, panels.tile.rows]
    source = kernel.arrays[op.source]
    x = kernel.scratch("x", shape, f32)
    arrange_activations(b, source, x, panels, decoder)
    product = Product(panels, decoder, x, kernel.out)

    def tile(b: LoopBuilder, tile: SSAValue) -> None:
        tables = decoder.load_tables(b)
        if blocks:
            rows = panels.tile.rows
            b.loop(0, blocks, lambda b, block: product.block(b, tile, block, rows, tables))
        if rest:
            product.block(b, tile, b.index(blocks), rest, tables)

    b.parallel(0, panels.tiles, tile)


def arrange_activations(
    b: LoopBuilder, source: SSAValue, x: SSAValue, panels: Panels, decoder: Decoder
) -> None:
    """x[block, k, row] = source[block * rows + row, k] / 2^exponent(k), 0 behind the end."""
    height = panels.tile.rows

    def row(b: LoopBuilder, row: SSAValue) -> None:
        block = b.div(row, b.index(height))
        place = b.sub(row, b.mul(block, b.index(height)))

        def element(b: LoopBuilder, first: SSAValue, k: int, inside: bool) -> None:
            column = b.add(first, b.index(k))
            value = b.load(source, [row, column]) if inside else b.constant(0.0, f32)
            exponent = decoder.exponent(k)
            if inside and exponent:
                value = b.mul(value, b.constant(2.0**-exponent, f32))
            b.store(value, x, [block, column, place])

        def period(b: LoopBuilder, first: SSAValue) -> None:
            for k in range(PERIOD):
                element(b, first, k, inside=True)

        whole = panels.columns // PERIOD * PERIOD
        b.loop(0, whole, period, step=PERIOD)
        if whole < panels.columns:
            for k in range(PERIOD):
                element(b, b.index(whole), k, inside=whole + k < panels.columns)

    b.parallel(0, panels.rows, row)


@dataclass(frozen=True)
class Product:
    """Writes the loops over one block of rows and one tile of the weight."""

    panels: Panels
    decoder: Decoder
    x: SSAValue
    out: SSAValue

    @property
    def lanes(self) -> Lanes:
        """The lanes of all values."""
        return self.decoder.lanes

    def zeros(self, b: LoopBuilder, count: int) -> Values:
        """Accumulators at zero."""
        return [self.lanes.constant(b, 0.0, f32)] * count

    def block(
        self, b: LoopBuilder, tile: SSAValue, block: SSAValue, rows: int, tables: Values
    ) -> None:
        """The outputs of `rows` rows, and of the lanes of a tile."""
        panels, vectors = self.panels, self.panels.tile.vectors
        task = BlockTask(self, tile, block, rows, tables)
        group = panels.format.group
        count = rows * vectors
        if group is None:
            part = task.periods(b, b.index(0), panels.periods, task.group_zeros(b, b.index(0)))
            total = task.scaled(b, b.index(0), part, None)
        elif group >= PERIOD:
            total = self.zeros(b, count)
            length = group // PERIOD
            whole = panels.columns // group

            def step(b: LoopBuilder, g: SSAValue, *total: SSAValue) -> Values:
                first = b.mul(g, b.index(length))
                part = task.periods(b, first, length, task.group_zeros(b, g))
                return task.scaled(b, g, part, list(total))

            total = b.loop(0, whole, step, total)
            left = panels.periods - whole * length
            if left:
                g = b.index(whole)
                zeros = task.group_zeros(b, g)
                part = task.periods(b, b.index(whole * length), left, zeros)
                total = task.scaled(b, g, part, total)
        else:
            whole = panels.columns // PERIOD
            total = b.loop(
                0,
                whole,
                lambda b, p, *total: task.short_groups(b, p, PERIOD, list(total)),
                self.zeros(b, count),
            )
            left = panels.columns - whole * PERIOD
            if left:
                total = task.short_groups(b, b.index(whole), left, total)
        task.store(b, total)


@dataclass(frozen=True)
class BlockTask:
    """One block of rows against one tile: the steps of the loop over K."""

    product: Product
    tile: SSAValue
    block: SSAValue
    rows: int
    tables: Values

    @property
    def vectors(self) -> int:
        """Lane groups of the tile."""
        return self.product.panels.tile.vectors

    @property
    def lanes(self) -> Lanes:
        """The lanes of all values."""
        return self.product.lanes

    def first_lane(self, vector: int) -> int:
        """The first lane of a group in its tile."""
        return vector * self.lanes.count

    def periods(self, b: LoopBuilder, first: SSAValue, count: int, zeros: list[Zero]) -> Values:
        """The sums over `count` periods from `first` on; every total starts at zero."""
        part = self.product.zeros(b, self.rows * self.vectors)
        if count == 1:
            return self.elements(b, first, range(PERIOD), zeros, part)

        def step(b: LoopBuilder, p: SSAValue, *part: SSAValue) -> Values:
            return self.elements(b, b.add(first, p), range(PERIOD), zeros, list(part))

        return b.loop(0, count, step, part)

    def short_groups(self, b: LoopBuilder, period: SSAValue, stop: int, total: Values) -> Values:
        """The groups of a period that has several, of which `stop` elements exist."""
        group = self.product.panels.format.group
        assert group is not None
        per_period = PERIOD // group
        decoders = self.decoders(b, period)
        for k in range(-(-stop // group)):
            g = b.add(b.mul(period, b.index(per_period)), b.index(k))
            elements = range(k * group, (k + 1) * group)
            part = self.product.zeros(b, len(total))
            zeros = self.group_zeros(b, g)
            part = self.elements(b, period, elements, zeros, part, decoders)
            total = self.scaled(b, g, part, total)
        return total

    def decoders(self, b: LoopBuilder, period: SSAValue) -> list[PeriodDecoder]:
        """One per lane group."""
        product = self.product
        width = product.decoder.format.element.width
        first = b.mul(period, b.index(width)) if width > 1 else period
        return [
            PeriodDecoder(
                product.decoder,
                self.tables,
                product.panels.words,
                (self.tile, first, self.first_lane(vector)),
            )
            for vector in range(self.vectors)
        ]

    def elements(
        self,
        b: LoopBuilder,
        period: SSAValue,
        elements: range,
        zeros: list[Zero],
        part: Values,
        decoders: list[PeriodDecoder] | None = None,
    ) -> Values:
        """`part` plus the products of some elements of a period, row by row, lane groups within."""
        decoders = decoders or self.decoders(b, period)
        first = b.mul(period, b.index(PERIOD))
        for k in elements:
            weights = [
                decoder.number(b, k, zeros[vector] if zeros else None)
                for vector, decoder in enumerate(decoders)
            ]
            column = b.add(first, b.index(k))
            for row in range(self.rows):
                x = b.load(self.product.x, [self.block, column, row])
                spread = self.lanes.splat(b, x)
                for vector, weight in enumerate(weights):
                    at = row * self.vectors + vector
                    part[at] = self.lanes.fma(b, spread, weight, part[at])
        return part

    def group_zeros(self, b: LoopBuilder, group: SSAValue) -> list[Zero]:
        """The zero points of a group, in codes for integers; none where the format has none."""
        panels, format = self.product.panels, self.product.panels.format
        if panels.zeros is None:
            return []
        element = format.element
        values = []
        for vector in range(self.vectors):
            raw = self.lanes.load(b, panels.zeros, [self.tile, group, self.first_lane(vector)])
            if format.zero == "int":
                value = self.lanes.convert(b, self.lanes.widen(b, raw))
            else:
                value = self.real(b, raw, format.zero)
                if isinstance(element, IntegerElement) and element.offset:
                    offset = self.lanes.constant(b, float(element.offset), f32)
                    value = b.sub(value, offset)
                if isinstance(element, IntegerElement) and element.step != 1:
                    value = b.mul(value, self.lanes.constant(b, 1 / element.step, f32))
            values.append(Zero(value, format.zero == "int"))
        return values

    def scaled(self, b: LoopBuilder, group: SSAValue, part: Values, total: Values | None) -> Values:
        """total + scale * part."""
        panels, unit = self.product.panels, self.product.decoder.unit
        result = list(part)
        for vector in range(self.vectors):
            first = self.first_lane(vector)
            raw = self.lanes.load(b, panels.scales, [self.tile, group, first])
            scale = self.real(b, raw, panels.format.scale)
            if unit != 1.0:
                scale = b.mul(scale, self.lanes.constant(b, unit, f32))
            for row in range(self.rows):
                at = row * self.vectors + vector
                if total is None:
                    result[at] = b.mul(part[at], scale)
                else:
                    result[at] = self.lanes.fma(b, part[at], scale, total[at])
        return result

    def real(self, b: LoopBuilder, raw: SSAValue, kind: str) -> SSAValue:
        """A stored scale as f32."""
        lanes = self.lanes
        if kind == "f32":
            return raw
        if kind == "f16":
            return b.insert(HalfOp(raw))
        bits = lanes.widen(b, raw)
        if kind == "bf16":
            return lanes.as_float(b, lanes.shift_left(b, bits, 16))
        # e8m0: 2^(code - 127) is half of what the exponent field code + 1 means; 255 becomes NaN
        return self.power_of_two(b, bits)

    def power_of_two(self, b: LoopBuilder, code: SSAValue) -> SSAValue:
        """2^(code - 127), which is subnormal for 0; NaN for 255."""
        lanes = self.lanes
        bits = lanes.shift_left(b, code, 23)
        value = lanes.as_float(b, bits)
        least = lanes.constant(b, 2.0**-127, f32)
        value = lanes.where_at_least(b, code, 1, value, least)
        nan = lanes.constant(b, float("nan"), f32)
        return lanes.where_at_least(b, code, 255, nan, value)

    def store(self, b: LoopBuilder, total: Values) -> None:
        """Outputs, with the bias added; lanes behind the last output stay out."""
        panels = self.product.panels
        lanes, tile = self.lanes, panels.tile
        first = b.mul(self.tile, b.index(tile.panel))
        row0 = b.mul(self.block, b.index(tile.rows))
        ragged = panels.outputs % tile.panel != 0
        for vector in range(self.vectors):
            start = self.first_lane(vector)
            column = b.add(first, b.index(start))
            room = b.sub(b.index(panels.outputs), column) if ragged else None
            for row in range(self.rows):
                value = total[row * self.vectors + vector]
                if panels.bias is not None:
                    value = b.add(value, lanes.load(b, panels.bias, [self.tile, start]))
                position = [b.add(row0, b.index(row)), column]
                lanes.store(b, value, self.product.out, position, room)
