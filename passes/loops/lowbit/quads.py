"""Codes of a period as bytes: four elements of a row of the weight in each 32-bit lane."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.ir import SSAValue

from ....dialects.quant import QuadPiece, quad_pieces
from ....dialects.vector import PrefetchOp
from ..opaque_rules.loop_builder import LoopBuilder
from .panel_access import PanelAccess


@dataclass
class PeriodWords:
    """The words of one period for one vector of lanes; each is loaded once.

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


@dataclass
class QuadDecoder:
    """The quads of one period for one vector of lanes, one after the other.

    A quad whose bits lie in several words is joined as the words come, so that none of them waits
    in a register for the last one.
    """

    words: PeriodWords
    joined: dict[int, SSAValue] = field(default_factory=dict)
    read: int = 0

    @property
    def pieces(self) -> tuple[tuple[QuadPiece, ...], ...]:
        """Where the quads lie."""
        return quad_pieces(self.words.access.panels.format.element.width)

    def quad(self, b: LoopBuilder, quad: int) -> SSAValue:
        """The codes of elements 4 quad .. 4 quad + 3."""
        pieces = self.pieces[quad]
        if len(pieces) == 1:
            return self.piece(b, pieces[0])
        while self.read <= pieces[-1].word:
            self.join(b, self.read)
            self.read += 1
        return self.joined[quad]

    def join(self, b: LoopBuilder, word: int) -> None:
        """Add what a word holds of quads that lie in several."""
        for quad, pieces in enumerate(self.pieces):
            for piece in pieces if len(pieces) > 1 else ():
                if piece.word == word:
                    bits, before = self.piece(b, piece), self.joined.get(quad)
                    self.joined[quad] = bits if before is None else b.either(before, bits)

    def piece(self, b: LoopBuilder, piece: QuadPiece) -> SSAValue:
        """Bits of four codes where the codes have them: a shift and a mask."""
        lanes, word = self.words.access.lanes, self.words.word(b, piece.word)
        if piece.width == 8:
            return word
        distance = piece.shift - piece.position
        if distance > 0:
            word = lanes.shift_right(b, word, distance)
        else:
            word = lanes.shift_left(b, word, -distance)
        mask = ((1 << piece.width) - 1 << piece.position) * 0x01010101
        return lanes.both(b, word, mask - (mask >> 31 << 32))
