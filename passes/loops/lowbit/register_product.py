"""Decode weights in registers, multiply-add, scale once per group.

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

from ....dialects.quant import PERIOD
from ....dialects.quant.bit_fields import WORD
from ....dialects.quant.ops import QuantizedLinearOp
from ..opaque_rules.kernel import OpaqueKernel
from ..opaque_rules.loop_builder import LoopBuilder
from .activations import FloatRows
from .apart import apart, is_crowded
from .decode import Decoder, PeriodDecoder, group_rest
from .float_product import lower_float_product
from .lanes import Lanes
from .panel_access import PanelAccess, Values
from .panels import Panels, register_tile


def lower_register_product(op: QuantizedLinearOp, kernel: OpaqueKernel, b: LoopBuilder) -> None:
    """Every tile by a Product."""
    shape = register_tile(kernel.machine, op.rows)
    lower_float_product(op, kernel, b, shape, Product, zeros_meet_sums=True)


@dataclass(frozen=True)
class Product:
    """Writes the loops over one block of rows and one tile of the weight."""

    access: PanelAccess
    decoder: Decoder
    x: FloatRows

    @property
    def panels(self) -> Panels:
        """The packed arrays."""
        return self.access.panels

    @property
    def lanes(self) -> Lanes:
        """The lanes of all values."""
        return self.access.lanes

    def tile(self, b: LoopBuilder, tile: SSAValue) -> None:
        """The outputs of all rows and the lanes of a tile."""
        tables = self.decoder.load_tables(b)
        self.panels.over_blocks(b, lambda b, block, rows: self.block(b, tile, block, rows, tables))

    def zeros(self, b: LoopBuilder, count: int) -> Values:
        """Accumulators at zero."""
        return [self.lanes.constant(b, 0.0, f32)] * count

    def block(
        self, b: LoopBuilder, tile: SSAValue, block: SSAValue, rows: int, tables: Values
    ) -> None:
        """The outputs of `rows` rows, and of the lanes of a tile."""
        panels = self.panels
        task = BlockTask(self, tile, block, rows, tables)
        zeros = self.zeros(b, rows * panels.tile.vectors)
        if not panels.format.has_short_groups:
            total = self.access.over_groups(b, task.group, zeros)
        else:
            whole = panels.columns // PERIOD
            total = b.loop(
                0,
                whole,
                lambda b, p, *total: task.short_groups(b, p, PERIOD, list(total)),
                zeros,
            )
            left = panels.columns - whole * PERIOD
            if left:
                total = task.short_groups(b, b.index(whole), left, total)
        row0 = b.mul(block, b.index(panels.tile.rows))
        self.access.store(b, tile, row0, rows, total)


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

    def group(
        self, b: LoopBuilder, g: SSAValue, first: SSAValue, count: int, total: Values | None
    ) -> Values:
        """`total` and a group of whole periods."""
        if is_crowded(self.product.decoder.machine, self.lanes.count):
            size = self.rows * self.vectors
            part = apart(b, self.lanes, f32, size, first, lambda b, p: self.products(b, p, count))
        else:
            part = self.products(b, first, count)
        return self.scaled(b, g, part, total)

    def products(self, b: LoopBuilder, first: SSAValue, count: int) -> Values:
        """Products of whole periods. Where registers are few the loop goes over whole words: gcc
        spills sums of the code of 32 elements."""
        decoder = self.product.decoder
        size = decoder.repeat if decoder.machine.has_few_registers else PERIOD
        steps = PERIOD // size
        start = b.mul(first, b.index(steps)) if steps > 1 else first
        zeros = self.product.zeros(b, self.rows * self.vectors)

        def step(b: LoopBuilder, s: SSAValue, *part: SSAValue) -> Values:
            return self.elements(b, b.add(start, s), size, range(size), list(part))

        if count * steps == 1:
            return self.elements(b, start, size, range(size), zeros)
        return b.loop(0, count * steps, step, zeros)

    def short_groups(self, b: LoopBuilder, period: SSAValue, stop: int, total: Values) -> Values:
        """The groups of a period that has several, of which `stop` elements exist."""
        group = self.product.panels.format.group
        assert group is not None
        per_period = PERIOD // group
        decoders = self.decoders(b, period, PERIOD)
        for k in range(-(-stop // group)):
            g = b.add(b.mul(period, b.index(per_period)), b.index(k))
            elements = range(k * group, (k + 1) * group)
            zeros = self.product.zeros(b, len(total))
            part = self.elements(b, period, PERIOD, elements, zeros, decoders)
            total = self.scaled(b, g, part, total)
        return total

    def decoders(self, b: LoopBuilder, step: SSAValue, size: int) -> list[PeriodDecoder]:
        """One per lane group, of the `step`-th `size` elements."""
        product = self.product
        words = size * product.decoder.format.element.width // WORD
        first = b.mul(step, b.index(words)) if words > 1 else step
        return [
            PeriodDecoder(
                product.decoder,
                self.tables,
                product.panels.words,
                (self.tile, first, product.access.first_lane(vector)),
            )
            for vector in range(self.vectors)
        ]

    def elements(
        self,
        b: LoopBuilder,
        step: SSAValue,
        size: int,
        elements: range,
        part: Values,
        decoders: list[PeriodDecoder] | None = None,
    ) -> Values:
        """`part` plus the products of some of the `step`-th `size` elements, row by row, lane
        groups within."""
        decoders, part = decoders or self.decoders(b, step, size), list(part)
        first = b.mul(step, b.index(size))
        for k in elements:
            weights = [decoder.number(b, k) for decoder in decoders]
            column = b.add(first, b.index(k))
            for row in range(self.rows):
                x = b.load(self.product.x.x, [self.block, column, row])
                spread = self.lanes.splat(b, x)
                for vector, weight in enumerate(weights):
                    at = row * self.vectors + vector
                    part[at] = self.lanes.fma(b, spread, weight, part[at])
        return part

    def scaled(self, b: LoopBuilder, group: SSAValue, part: Values, total: Values | None) -> Values:
        """total + scale * (part + (center - zero) * sums of activations)."""
        access, decoder, sums = self.product.access, self.product.decoder, self.product.x.sums
        rest = group_rest(b, access, decoder, self.tile, group)
        spread: Values = []
        if sums is not None:
            loads = [b.load(sums, [self.block, group, b.index(row)]) for row in range(self.rows)]
            spread = [self.lanes.splat(b, value) for value in loads]
        result = list(part)
        for vector in range(self.vectors):
            scale = access.scale(b, self.tile, group, vector, decoder.unit)
            for row in range(self.rows):
                at = row * self.vectors + vector
                value = part[at]
                if rest:
                    value = self.lanes.fma(b, spread[row], rest[vector], value)
                if total is None:
                    result[at] = b.mul(value, scale)
                else:
                    result[at] = self.lanes.fma(b, value, scale, total[at])
        return result
