"""Codes of a period as bytes: four elements of a row of the weight in each 32-bit lane."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.ir import SSAValue

from ....dialects.quant import byte_parts
from ....dialects.vector import PrefetchOp
from ..opaque_rules.loop_builder import LoopBuilder
from .panel_access import PanelAccess


@dataclass
class QuadDecoder:
    """The quads of one period for one vector of lanes; every word is loaded once.

    Cache lines are asked for `ahead` words before they are needed (0: left to the hardware).
    """

    access: PanelAccess
    tile: SSAValue
    period: SSAValue
    vector: int
    ahead: int = 0
    words: dict[int, SSAValue] = field(default_factory=dict)

    def word(self, b: LoopBuilder, number: int) -> SSAValue:
        """Word `number` of the period."""
        if number not in self.words:
            width = self.access.panels.format.element.width
            first = b.mul(self.period, b.index(width)) if width > 1 else self.period
            row = b.add(first, b.index(number)) if number else first
            at = [self.tile, row]
            if self.ahead:
                later = b.add(row, b.index(self.ahead))
                lane = b.index(self.access.first_lane(self.vector))
                b.append(PrefetchOp(self.access.panels.words, [self.tile, later, lane]))
            self.words[number] = self.access.raw(b, self.access.panels.words, at, self.vector)
        return self.words[number]

    def quad(self, b: LoopBuilder, quad: int) -> SSAValue:
        """The codes of elements 4 quad .. 4 quad + 3: per part a shift and a mask, joined."""
        lanes, code = self.access.lanes, None
        for part in byte_parts(self.access.panels.format.element.width):
            number, shift = part.place(quad)
            word, distance = self.word(b, number), shift - part.position
            if distance > 0:
                word = lanes.shift_right(b, word, distance)
            else:
                word = lanes.shift_left(b, word, -distance)
            if part.width < 8:
                mask = ((1 << part.width) - 1 << part.position) * 0x01010101
                word = lanes.both(b, word, mask - (mask >> 31 << 32))
            code = word if code is None else b.either(code, word)
        assert code is not None
        return code
