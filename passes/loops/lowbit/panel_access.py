"""Read scales and zero points of a tile as vectors, and write its outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xdsl.dialects.builtin import f32
from xdsl.ir import SSAValue

from ....dialects.quant import PERIOD
from ....dialects.quant.ops import HalfOp
from ..opaque_rules.loop_builder import Bound, LoopBuilder
from .lanes import Lanes
from .panels import Panels

Values = list[SSAValue]
GroupStep = Callable[[LoopBuilder, SSAValue, SSAValue, int, Values | None], Values]


@dataclass(frozen=True)
class PanelAccess:
    """The arrays of `panels` in `lanes`; results go to `out`."""

    panels: Panels
    lanes: Lanes
    out: SSAValue

    def first_lane(self, vector: int) -> int:
        """The first lane of a group in its tile."""
        return vector * self.lanes.count

    def over_groups(self, b: LoopBuilder, step: GroupStep, zeros: Values) -> Values:
        """step(b, group, first period, periods, total) for all groups of at least a period.

        `total` is None where there is one group, which adds to nothing.
        """
        panels = self.panels
        if panels.format.group is None:
            return step(b, b.index(0), b.index(0), panels.periods, None)
        total = self.over_whole_groups(b, step, zeros, 0, panels.columns // panels.format.group)
        return self.last_group(b, step, total)

    def over_whole_groups(
        self, b: LoopBuilder, step: GroupStep, total: Values, first: Bound, end: Bound
    ) -> Values:
        """`step` for some of the groups that are whole."""
        length = (self.panels.format.group or 0) // PERIOD

        def one(b: LoopBuilder, g: SSAValue, *total: SSAValue) -> Values:
            return step(b, g, b.mul(g, b.index(length)), length, list(total))

        return b.loop(first, end, one, total)

    def last_group(self, b: LoopBuilder, step: GroupStep, total: Values) -> Values:
        """`step` for the last group, where it is not whole."""
        group = self.panels.format.group or 0
        whole, length = self.panels.columns // group, group // PERIOD
        left = self.panels.periods - whole * length
        if not left:
            return total
        return step(b, b.index(whole), b.index(whole * length), left, total)

    def raw(self, b: LoopBuilder, array: SSAValue, at: Sequence[SSAValue], vector: int) -> SSAValue:
        """What is stored for the lanes of a vector."""
        return self.lanes.load(b, array, [*at, self.first_lane(vector)])

    def scale(
        self, b: LoopBuilder, tile: SSAValue, group: SSAValue, vector: int, unit: float
    ) -> SSAValue:
        """The scales of a group, times `unit`."""
        raw = self.raw(b, self.panels.scales, [tile, group], vector)
        scale = self.real(b, raw, self.panels.format.scale)
        return scale if unit == 1.0 else b.mul(scale, self.lanes.constant(b, unit, f32))

    def zero(self, b: LoopBuilder, tile: SSAValue, group: SSAValue, vector: int) -> SSAValue:
        """The zero points of a group: codes in i32, or numbers in f32."""
        assert self.panels.zeros is not None
        raw = self.raw(b, self.panels.zeros, [tile, group], vector)
        if self.panels.format.zero == "int":
            return self.lanes.widen(b, raw)
        return self.real(b, raw, self.panels.format.zero)

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

    def store(
        self, b: LoopBuilder, tile_index: SSAValue, row0: SSAValue, rows: int, total: Values
    ) -> None:
        """Outputs of rows from `row0` on, plus the bias; lanes behind the last one stay out."""
        panels = self.panels
        lanes, tile = self.lanes, panels.tile
        first = b.mul(tile_index, b.index(tile.panel))
        ragged = panels.outputs % tile.panel != 0
        for vector in range(tile.vectors):
            start = self.first_lane(vector)
            column = b.add(first, b.index(start))
            room = b.sub(b.index(panels.outputs), column) if ragged else None
            for row in range(rows):
                value = total[row * tile.vectors + vector]
                if panels.bias is not None:
                    value = b.add(value, lanes.load(b, panels.bias, [tile_index, start]))
                position = [b.add(row0, b.index(row)), column]
                lanes.store(b, value, self.out, position, room)


def over_tiles(
    b: LoopBuilder, panels: Panels, body: Callable[[LoopBuilder, SSAValue], None]
) -> None:
    """The tiles of the weight are shared among threads."""
    b.parallel(0, panels.tiles, body)
