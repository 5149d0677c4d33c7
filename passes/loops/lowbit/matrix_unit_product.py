"""Decode a block of integer codes once, then have a matrix unit multiply it by int8 activations.

parallel for tile: sums[rows, lanes] = 0
    for group: for block of the group: codes[quad, lanes] = four codes as bytes
        for block of rows: part += dot(x[row, quad], codes[quad, lanes])         (a register tile)
        sums += scale * (part - zero * x sums)
    out = sums * steps[row] + bias

The loops over quads are those that the pass `matrix-products` looks for. A group that is longer
than a block keeps its parts in memory until its last block.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects.builtin import f32, i32
from xdsl.ir import SSAValue

from ....dialects.quant.ops import DotOp, QuantizedLinearOp
from ....dialects.quant.quad_fields import QUADS
from ..opaque_rules.kernel import OpaqueKernel
from ..opaque_rules.loop_builder import LoopBuilder
from .activations import integer_rows
from .dots import Dots
from .integer_product import IntegerProduct, IntegerTask
from .lanes import Lanes
from .panel_access import PanelAccess, Values, over_tiles
from .panels import matrix_unit_tile, pack_panels
from .quads import PeriodWords, QuadDecoder

BLOCK_PERIODS = 16  # a block of 512 x 32 bytes, half of a first-level cache


def lower_matrix_unit_product(op: QuantizedLinearOp, kernel: OpaqueKernel, b: LoopBuilder) -> None:
    """Round the activations, then one tile of outputs after the other."""
    source = kernel.stored(b, op.source)
    dots = Dots(op.weight_format.element.width, in_pairs=False)
    panels = pack_panels(op, kernel, matrix_unit_tile(op.rows), "quads")
    lanes = Lanes(panels.tile.lanes, kernel.machine.has_fma)
    rows = integer_rows(b, kernel, source, panels)
    product = MatrixUnitProduct(PanelAccess(panels, lanes, kernel.out), rows, dots)
    over_tiles(b, panels, product.tile)


@dataclass(frozen=True)
class MatrixUnitProduct(IntegerProduct):
    """Writes the loops of one tile."""

    def tile(self, b: LoopBuilder, tile: SSAValue) -> None:
        """The outputs of all rows and the lanes of a tile."""
        panels, lanes = self.panels, self.access.lanes
        shape = [panels.rows, panels.tile.panel]
        sums = b.local(shape, f32)
        longest = min(panels.group_periods, panels.periods)
        codes = b.local([min(longest, BLOCK_PERIODS) * QUADS, panels.tile.panel], i32)
        parts = b.local(shape, i32) if longest > BLOCK_PERIODS else None

        def group(
            b: LoopBuilder, g: SSAValue, first: SSAValue, count: int, total: Values | None
        ) -> Values:
            work = _Group(self, tile, g, codes, parts, sums, is_only=total is None)
            work.multiply(b, first, count)
            return []

        if panels.format.group is not None:
            self.clear(b, sums, lanes.constant(b, 0.0, f32))
        self.access.over_groups(b, group, [])

        def finish(b: LoopBuilder, row: SSAValue) -> None:
            step = lanes.splat(b, b.load(self.x.steps, [row]))
            total = [b.mul(value, step) for value in self.loaded(b, sums, row)]
            self.access.store(b, tile, row, 1, total)

        b.loop(0, panels.rows, finish)

    def loaded(self, b: LoopBuilder, array: SSAValue, row: SSAValue) -> Values:
        """The vectors of a row of `array`."""
        starts = map(self.access.first_lane, range(self.panels.tile.vectors))
        return [self.access.lanes.load(b, array, [row, start]) for start in starts]

    def stored(self, b: LoopBuilder, values: Values, array: SSAValue, row: SSAValue) -> None:
        """Write the vectors of a row of `array`."""
        for vector, value in enumerate(values):
            place = [row, b.index(self.access.first_lane(vector))]
            self.access.lanes.store(b, value, array, place, None)

    def clear(self, b: LoopBuilder, array: SSAValue, zero: SSAValue) -> None:
        """Set all of `array` to `zero`."""
        zeros = [zero] * self.panels.tile.vectors
        b.loop(0, self.panels.rows, lambda b, row: self.stored(b, zeros, array, row))


@dataclass(frozen=True)
class _Group:
    """The products of one group of K; `is_only` where there is no other."""

    product: MatrixUnitProduct
    tile: SSAValue
    group: SSAValue
    codes: SSAValue
    parts: SSAValue | None
    sums: SSAValue
    is_only: bool

    def multiply(self, b: LoopBuilder, first: SSAValue, count: int) -> None:
        """sums += the products of `count` periods."""
        if count <= BLOCK_PERIODS:
            self.block(b, first, count, first_block=True, last_block=True)
            return
        whole, left = divmod(count, BLOCK_PERIODS)
        middle = whole - (left == 0)  # the last block, full or not, scales what was added up
        size = b.index(BLOCK_PERIODS)
        self.block(b, first, BLOCK_PERIODS, first_block=True, last_block=False)
        b.loop(
            1,
            middle,
            lambda b, k: self.block(b, b.add(first, b.mul(k, size)), BLOCK_PERIODS, False, False),
        )
        start = b.add(first, b.index(middle * BLOCK_PERIODS))
        self.block(b, start, left or BLOCK_PERIODS, first_block=False, last_block=True)

    def block(
        self, b: LoopBuilder, first: SSAValue, periods: int, first_block: bool, last_block: bool
    ) -> None:
        """Decode a block, then add its products with every row."""
        self.decode(b, first, periods)
        quads = periods * QUADS
        start = b.mul(first, b.index(QUADS))

        def rows(b: LoopBuilder, at: SSAValue, count: int) -> None:
            row0 = b.mul(at, b.index(self.product.panels.tile.rows))
            task = IntegerTask(self.product, self.tile, row0, count)
            part = self.dots(b, task, start, quads, first_block)
            if not last_block:
                assert self.parts is not None
                self.each_row(b, task, part, self.parts)
                return
            total = None if self.is_only else self.all_rows(b, task, self.sums)
            self.each_row(b, task, task.scaled(b, self.group, part, total), self.sums)

        self.product.panels.over_blocks(b, rows)

    def decode(self, b: LoopBuilder, first: SSAValue, periods: int) -> None:
        """codes[quad, lanes] of some periods."""
        product = self.product

        def period(b: LoopBuilder, p: SSAValue) -> None:
            words = [
                PeriodWords(product.access, self.tile, b.add(first, p), vector)
                for vector in range(product.panels.tile.vectors)
            ]
            decoders = [QuadDecoder(each) for each in words]
            start = b.mul(p, b.index(QUADS))
            for quad in range(QUADS):
                values = [decoder.quad(b, quad) for decoder in decoders]
                product.stored(b, values, self.codes, b.add(start, b.index(quad)))

        b.loop(0, periods, period)

    def dots(
        self, b: LoopBuilder, task: IntegerTask, start: SSAValue, quads: int, fresh: bool
    ) -> Values:
        """The parts of a block of rows, with what they were before unless `fresh`."""
        if fresh:
            zero = task.lanes.constant(b, 0, i32)
            before = [zero] * (task.rows * task.vectors)
        else:
            assert self.parts is not None
            before = self.all_rows(b, task, self.parts)
        places = [task.row(b, row) for row in range(task.rows)]

        def step(b: LoopBuilder, k: SSAValue, *part: SSAValue) -> Values:
            codes = self.product.loaded(b, self.codes, k)
            column, total = b.add(start, k), list(part)
            for row, place in enumerate(places):
                spread = task.lanes.splat(b, b.load(self.product.x.quads, [place, column]))
                for vector, code in enumerate(codes):
                    at = row * task.vectors + vector
                    total[at] = b.insert(DotOp(total[at], code, spread, task.element.width))
            return total

        return b.loop(0, quads, step, before)

    def all_rows(self, b: LoopBuilder, task: IntegerTask, array: SSAValue) -> Values:
        """The vectors of all rows of a block of rows."""
        rows = [self.product.loaded(b, array, task.row(b, row)) for row in range(task.rows)]
        return [value for row in rows for value in row]

    def each_row(self, b: LoopBuilder, task: IntegerTask, values: Values, array: SSAValue) -> None:
        """Write the vectors of all rows of a block of rows."""
        for row in range(task.rows):
            vectors = values[row * task.vectors : (row + 1) * task.vectors]
            self.product.stored(b, vectors, array, task.row(b, row))
