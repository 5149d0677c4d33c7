"""Products of integer codes and rounded activations: four multiply-adds per lane and instruction.

    parallel for tile: for some groups: for block: for group:
        part[row, lanes] = sum over quads of dot(codes[quad, lanes], x[row, quad])      (exact)
        total[row, lanes] += scale[group, lanes] * (step * (part - zero * sums[row, group]))
    out = total * steps[row]

Codes are unsigned, so offsets and zero points meet the sum of the group's activations.

Activations in int16 are two such rows, whose sums are one: part is 256 part[high] + part[low].
Those in f32 are three, one per digit of 8 bits, as wide as f32 next to the largest number of their
group: part is 65536 part[high] + 256 part[middle] + part[low], and

        total[row, lanes] += scale[group, lanes] * steps[row, group] * (part - zero * sums)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xdsl.dialects.builtin import f32, i32
from xdsl.ir import SSAValue

from ....costmodel.hardware import Machine
from ....dialects.quant import IntegerElement, WeightFormat
from ....dialects.quant.ops import QuantizedLinearOp
from ....dialects.quant.quad_fields import QUADS
from ..opaque_rules.kernel import OpaqueKernel
from ..opaque_rules.loop_builder import LoopBuilder
from .activations import DIGITS, IntegerRows, integer_rows
from .apart import apart, is_crowded
from .dots import Dots, Sums, has_pairs
from .lanes import Lanes
from .panel_access import PanelAccess, Values, over_tiles
from .panels import Panels, integer_tile, pack_panels
from .quads import PeriodWords, QuadDecoder

PeriodStep = Callable[[LoopBuilder, SSAValue, Values], Values]
MOST_ROWS = 512  # whose sums of a tile are on the stack
BYTES = {"int8": 1, "int16": 2}  # of an activation
# Of rows, in whose loop gcc 12 spills sums: 4 rows of u4 in int16 take 88 cycles instead of 64, one
# of u8 in int8 37 instead of 29. In that of more blocks it does not, and calls cost 3 to 8%.
FEW_BLOCKS = 2


def lower_integer_product(op: QuantizedLinearOp, kernel: OpaqueKernel, b: LoopBuilder) -> None:
    """Round the activations, then one tile of outputs after the other."""
    _lower(op, kernel, b, BYTES[op.activations.data])


def lower_digit_product(op: QuantizedLinearOp, kernel: OpaqueKernel, b: LoopBuilder) -> None:
    """The same with activations in f32, as integers of three digits."""
    _lower(op, kernel, b, DIGITS)


def _lower(op: QuantizedLinearOp, kernel: OpaqueKernel, b: LoopBuilder, digits: int) -> None:
    source = kernel.stored(b, op.source)
    dots = Dots(op.weight_format.element.width, has_pairs(kernel.machine))
    tile = integer_tile(kernel.machine, op.rows, digits)
    panels = pack_panels(op, kernel, tile, "quads")
    lanes = Lanes(panels.tile.lanes, kernel.machine.has_fma)
    rows = integer_rows(b, kernel, source, panels, digits)
    access = PanelAccess(panels, lanes, kernel.out)
    passes = groups_per_pass(panels, kernel.machine)
    sums = tile.rows * digits * tile.vectors * len(dots.limbs)
    is_apart = (
        is_crowded(kernel.machine, lanes.count)
        and sums >= kernel.machine.vector_registers // 2
        and panels.rows <= FEW_BLOCKS * tile.rows
    )
    product = IntegerProduct(access, rows, dots, passes, is_apart)
    over_tiles(b, panels, product.tile)


def groups_per_pass(panels: Panels, machine: Machine) -> int | None:
    """How many groups of a tile stay in the first-level cache while all blocks of rows pass by.

    None where sums stay in registers: where the whole tile does, or passes once. Sums of pairs need
    the registers themselves.
    """
    group, tile = panels.format.group, panels.tile
    if group is None or panels.rows > MOST_ROWS:
        return None
    room, bits = machine.l1_bytes // 2, panels.format.element.width * tile.panel
    stays = panels.columns * bits // 8 <= room or tile.rows >= panels.rows
    if stays and not has_pairs(machine):
        return None
    return max(1, room // (group * bits // 8))


@dataclass(frozen=True)
class IntegerProduct:
    """Writes the loops over the blocks of rows of one tile.

    With `groups_per_pass` the blocks pass by so many groups at a time, and sums wait in an array;
    with `is_apart` products of a group are a function of their own.
    """

    access: PanelAccess
    x: IntegerRows
    dots: Dots
    groups_per_pass: int | None = None
    is_apart: bool = False

    @property
    def panels(self) -> Panels:
        """The packed arrays."""
        return self.access.panels

    def tile(self, b: LoopBuilder, tile: SSAValue) -> None:
        """The outputs of all rows and the lanes of a tile."""
        panels = self.panels
        if self.groups_per_pass is None:
            panels.over_blocks(b, lambda b, block, rows: self.block(b, tile, block, rows))
            return
        assert panels.format.group is not None
        groups = panels.columns // panels.format.group
        sums = b.local([panels.rows, panels.tile.panel], f32)
        zero = self.access.lanes.constant(b, 0.0, f32)

        def clear(b: LoopBuilder, row: SSAValue) -> None:
            for place in self.places(row, 1, b):
                self.access.lanes.store(b, zero, sums, place, None)

        def some(b: LoopBuilder, first: SSAValue) -> None:
            end = b.minimum(b.add(first, b.index(self.groups_per_pass or 1)), b.index(groups))
            panels.over_blocks(b, lambda b, k, rows: add(b, k, rows, first, end))

        def add(b: LoopBuilder, block: SSAValue, rows: int, first: SSAValue, end: SSAValue) -> None:
            task = self.task(b, tile, block, rows)
            places = self.places(task.row0, rows, b)
            total = [self.access.lanes.load(b, sums, place) for place in places]
            total = self.access.over_whole_groups(b, task.group, total, first, end)
            for place, value in zip(places, total, strict=True):
                self.access.lanes.store(b, value, sums, place, None)

        def finish(b: LoopBuilder, block: SSAValue, rows: int) -> None:
            task = self.task(b, tile, block, rows)
            places = self.places(task.row0, rows, b)
            total = [self.access.lanes.load(b, sums, place) for place in places]
            self.store(b, task, self.access.last_group(b, task.group, total))

        b.loop(0, panels.rows, clear)
        b.loop(0, groups, some, step=self.groups_per_pass)
        panels.over_blocks(b, finish)

    def places(self, row0: SSAValue, rows: int, b: LoopBuilder) -> list[list[SSAValue]]:
        """Where the sums of a block of rows are."""
        return [
            [b.add(row0, b.index(row)), b.index(self.access.first_lane(vector))]
            for row in range(rows)
            for vector in range(self.panels.tile.vectors)
        ]

    def task(self, b: LoopBuilder, tile: SSAValue, block: SSAValue, rows: int) -> IntegerTask:
        """A block of rows against a tile."""
        row0 = b.mul(block, b.index(self.panels.tile.rows))
        return IntegerTask(self, tile, row0, rows)

    def block(self, b: LoopBuilder, tile: SSAValue, block: SSAValue, rows: int) -> None:
        """The outputs of `rows` rows, and of the lanes of a tile."""
        task = self.task(b, tile, block, rows)
        zeros = [self.access.lanes.constant(b, 0.0, f32)] * (rows * task.vectors)
        self.store(b, task, self.access.over_groups(b, task.group, zeros))

    def store(self, b: LoopBuilder, task: IntegerTask, total: Values) -> None:
        """The outputs, which are sums times the steps of rows where groups have none."""
        lanes, rows, vectors, row0 = self.access.lanes, task.rows, task.vectors, task.row0
        for row in range(0 if self.x.by_group else rows):
            step = lanes.splat(b, self.x.step(b, b.add(row0, b.index(row))))
            for at in range(row * vectors, (row + 1) * vectors):
                total[at] = b.mul(total[at], step)
        self.access.store(b, task.tile, row0, rows, total)


@dataclass(frozen=True)
class IntegerTask:
    """One block of rows against one tile: the steps of the loop over K."""

    product: IntegerProduct
    tile: SSAValue
    row0: SSAValue
    rows: int

    @property
    def lanes(self) -> Lanes:
        """The lanes of all values."""
        return self.product.access.lanes

    @property
    def vectors(self) -> int:
        """Vectors of a tile."""
        return self.product.panels.tile.vectors

    @property
    def element(self) -> IntegerElement:
        """What codes mean."""
        element = self.product.panels.format.element
        assert isinstance(element, IntegerElement)
        return element

    @property
    def digit_rows(self) -> int:
        """Rows of bytes."""
        return self.rows * self.product.x.digits

    def row(self, b: LoopBuilder, row: int) -> SSAValue:
        """A row of bytes of the block."""
        digits = self.product.x.digits
        first = b.mul(self.row0, b.index(digits)) if digits > 1 else self.row0
        return b.add(first, b.index(row)) if row else first

    def group(
        self, b: LoopBuilder, g: SSAValue, first: SSAValue, count: int, total: Values | None
    ) -> Values:
        """`total` and a group."""
        if self.product.is_apart:
            size = self.digit_rows * self.vectors
            part = apart(b, self.lanes, i32, size, first, lambda b, p: self.products(b, p, count))
        else:
            part = self.products(b, first, count)
        return self.scaled(b, g, part, total)

    def products(self, b: LoopBuilder, first: SSAValue, count: int) -> Values:
        """Products of whole periods."""
        dots, size = self.product.dots, self.digit_rows * self.vectors
        if dots.holds(count * QUADS):
            sums = self.over_periods(b, first, count, self.quads, dots.zeros(b, self.lanes, size))
            return dots.totals(b, [None] * size, sums)
        zeros = [self.lanes.constant(b, 0, i32)] * size
        return self.over_periods(b, first, count, self.period, zeros)

    def over_periods(
        self, b: LoopBuilder, first: SSAValue, count: int, step: PeriodStep, carried: Values
    ) -> Values:
        """step(b, period, carried) for `count` periods."""
        if count == 1:
            return step(b, first, carried)
        return b.loop(
            0, count, lambda b, p, *before: step(b, b.add(first, p), list(before)), carried
        )

    def period(self, b: LoopBuilder, period: SSAValue, part: Values) -> Values:
        """`part` and the products of a period, in sums of as many quads as they hold."""
        dots = self.product.dots
        size = min(QUADS, dots.quads or QUADS)
        decoders = self.decoders(period)
        for start in range(0, QUADS, size):
            quads = range(start, min(start + size, QUADS))
            sums = self.quads(b, period, dots.nothing(len(part)), quads, decoders)
            part = dots.totals(b, part, sums)
        return part

    def decoders(self, period: SSAValue) -> list[QuadDecoder]:
        """One per vector."""
        access = self.product.access
        words = [PeriodWords(access, self.tile, period, v) for v in range(self.vectors)]
        return [QuadDecoder(each) for each in words]

    def quads(
        self,
        b: LoopBuilder,
        period: SSAValue,
        sums: Sums,
        quads: range = range(QUADS),
        decoders: list[QuadDecoder] | None = None,
    ) -> Values:
        """`sums` and the products of some quads of a period."""
        dots, decoders = self.product.dots, decoders or self.decoders(period)
        found = list(sums)
        first = b.mul(period, b.index(QUADS))
        # Quads outside, vectors inside: their chains of sums run side by side, also for one row.
        for quad in quads:
            place = b.add(first, b.index(quad)) if quad else first
            codes = [dots.split(b, self.lanes, decoder.quad(b, quad)) for decoder in decoders]
            for row in range(self.digit_rows):
                x = b.load(self.product.x.quads, [self.row(b, row), place])
                spread = self.lanes.splat(b, x)
                for vector, code in enumerate(codes):
                    dots.add(b, found, row * self.vectors + vector, code, spread)
        return [sum for sum in found if sum is not None]

    def scaled(self, b: LoopBuilder, g: SSAValue, part: Values, total: Values | None) -> Values:
        """total + scale * part, zero points and offsets taken off."""
        access, lanes, x = self.product.access, self.lanes, self.product.x
        sums = [b.load(x.sums, [self.row(b, row), g]) for row in range(self.digit_rows)]
        steps = []
        if x.by_group:
            rows = [b.add(self.row0, b.index(row)) for row in range(self.rows)]
            steps = [lanes.splat(b, x.step(b, row, g)) for row in rows]
        base = lanes.constant(b, 256.0, f32)
        scales = []
        for vector in range(self.vectors):
            scale = access.scale(b, self.tile, g, vector, 1.0)
            has_zero = self.product.panels.zeros is not None
            scales.append((scale, access.zero(b, self.tile, g, vector) if has_zero else None))
        result, digits, format = [], x.digits, self.product.panels.format
        if not x.by_group and digits > 1:
            part, digits = self.joined(b, lanes, part, self.vectors), 1
            if self.element.offset or self.product.panels.zeros is not None:
                sums = self.joined(b, Lanes(1, False), sums, 1)
        for at in range(self.rows * self.vectors):
            row, vector = divmod(at, self.vectors)
            scale, zero = scales[vector]
            values = [
                worth(b, lanes, format, part[digit * self.vectors + vector], sums[digit], zero)
                for digit in range(row * digits, (row + 1) * digits)
            ]
            value = values[0]
            for next in values[1:]:
                value = lanes.fma(b, value, base, next)
            if steps:
                scale = b.mul(scale, steps[row])
            if total is None:
                result.append(b.mul(value, scale))
            else:
                result.append(lanes.fma(b, value, scale, total[at]))
        return result

    def joined(self, b: LoopBuilder, lanes: Lanes, values: Values, size: int) -> Values:
        """The integers of `lanes` whose digits are the rows of `values`, `size` to a row."""
        digits, found = self.product.x.digits, []
        for at in range(self.rows * size):
            row, column = divmod(at, size)
            high, *lower = values[row * digits * size + column : (row + 1) * digits * size : size]
            for value in lower:
                high = b.add(lanes.shift_left(b, high, 8), value)
            found.append(high)
        return found


def worth(
    b: LoopBuilder,
    lanes: Lanes,
    format: WeightFormat,
    part: SSAValue,
    sum: SSAValue,
    zero: SSAValue | None,
) -> SSAValue:
    """What codes are worth, in units of their scale, from their products with integers whose sum is
    `sum`: in f32, exactly but for zero points that are floats."""
    element = format.element
    assert isinstance(element, IntegerElement)

    def stepped(part: SSAValue) -> SSAValue:
        step = element.step
        return part if step == 1 else b.mul(part, lanes.constant(b, step, i32))

    if zero is not None and format.zero == "int":
        part = b.sub(part, b.mul(zero, lanes.splat(b, sum)))
        return lanes.convert(b, stepped(part))
    part = stepped(part)
    if element.offset:
        offset = b.mul(sum, b.constant(element.offset, i32))
        part = b.add(part, lanes.splat(b, offset))
    value = lanes.convert(b, part)
    if zero is None:
        return value
    whole = lanes.splat(b, Lanes(1, False).convert(b, sum))
    return lanes.subtract_product(b, value, zero, whole)
