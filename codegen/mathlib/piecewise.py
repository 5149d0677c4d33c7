"""tanh and erf: one polynomial on each of a few intervals, whose coefficients registers hold.

The first bits of slope |x| + offset number the intervals; the first reaches down to zero. On each,
the value is c0 + (|x| - center) p(|x| - center), where the center is chosen so that c0 is nearly
exact. One permutation looks up as many numbers as a register holds, so their count decides the
degree.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from xdsl.ir import SSAValue

from .formula import Formula, named
from .tables import table


@dataclass(frozen=True)
class Pieces:
    """`count` intervals of |x| up to `high`, where the polynomials give exactly one.

    The number of an interval is that of the exponent and the first `bits` of the significand of
    slope |x| + `offset`, mod `count`.
    """

    count: int
    degree: int
    bits: int
    offset: float
    high: float

    @property
    def shift(self) -> int:
        """Bits below the number of the interval."""
        return 23 - self.bits

    @property
    def first(self) -> int:
        """The number of the first interval before it is taken mod `count`."""
        bits: int = struct.unpack("<I", struct.pack("<f", self.offset))[0]
        return bits >> self.shift

    def start(self, piece: int) -> float:
        """Where slope |x| + offset enters an interval."""
        start: float = struct.unpack("<f", struct.pack("<I", (self.first + piece) << self.shift))[0]
        return start

    @property
    def slope(self) -> float:
        """A bit less than what takes `high` to the end of the last interval."""
        return (self.start(self.count) - self.offset) / self.high * (1 - 1e-6)

    def bounds(self, piece: int) -> tuple[float, float]:
        """The |x| of an interval, from 0."""
        low = 0.0 if piece == 0 else (self.start(piece) - self.offset) / self.slope
        high = (self.start(piece + 1) - self.offset) / self.slope
        return low, min(high, self.high)


PIECES = {
    "tanh": {8: Pieces(8, 7, 1, 1.0, 9.3), 16: Pieces(16, 5, 2, 1.0, 9.3)},
    "erf": {8: Pieces(8, 6, 3, 1.1875, 4.0), 16: Pieces(16, 5, 3, 1.25, 4.0)},
}
"""By function and count; `benchmarks.mathlib.fit_tables` fits their polynomials."""


def _piecewise(f: Formula, name: str, x: SSAValue) -> SSAValue:
    pieces = PIECES[name][f.table_size]
    magnitude = f.at_most(f.absolute(x), pieces.high)
    numbered = f.fma(magnitude, f.number(pieces.slope), f.number(pieces.offset))
    index = f.shift_right(f.as_bits(numbered), pieces.shift)

    def row(key: str) -> SSAValue:
        return f.lookup(index, table(f"{name}.{pieces.count}.{key}", f.element))

    t = named(f.sub(magnitude, row("center")), "t")
    curve = row(str(pieces.degree))
    for power in range(pieces.degree - 1, 0, -1):
        curve = named(f.fma(curve, t, row(str(power))), "p")
    # On the first interval |x| itself stands for c0, so that the error is relative to it.
    is_first = f.compare("olt", numbered, f.number(pieces.start(1)))
    base = f.select(is_first, magnitude, row("0"))
    return f.with_sign_of(f.fma(curve, t, base), x)


def tanh(f: Formula, x: SSAValue) -> SSAValue:
    """Past 9.1 it rounds to one."""
    return _piecewise(f, "tanh", x)


def erf(f: Formula, x: SSAValue) -> SSAValue:
    """Past 3.9 it rounds to one, exactly: gelu(-inf) is inf times 0."""
    return _piecewise(f, "erf", x)
