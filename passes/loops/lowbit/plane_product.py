"""Products whose weights are looked up byte by byte: tables of sixteen f32 as four planes of bytes.

A register of codes is looked up in a plane by one instruction, 32 codes on AVX2, and interleaving
what the planes gave makes four vectors of f32 of it:

    parallel for tile: for row: for group:
        part[j, lanes] = sum over words w, nibbles n of x[8 w + 4 n + j] * weights[j]
            weights = interleaved(planes[p][nibble n of word w] for p in 0..3)
        total[lanes] += scale[group, lanes] * (sum over j of part[j] + zero points * sum of x)

Codes lie by element in each block of four lanes (`transposed` of `BitPackAttr`), so that the four
vectors are elements of the rows of all lanes. Planes that are zero for all levels (e2m1 has no bits
below the 16th) are not looked up. One vector of rows at a time: its four sums, the planes and what
is interleaved fill sixteen registers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from xdsl.dialects.builtin import f32, i32
from xdsl.ir import SSAValue

from ....dialects.quant import Element
from ....dialects.quant.ops import BLOCK, InterleaveOp, LookupBytesOp, QuantizedLinearOp
from ..opaque_rules.kernel import OpaqueKernel
from ..opaque_rules.loop_builder import LoopBuilder
from .activations import FloatRows
from .decode import Decoder, vector_rest
from .float_product import lower_float_product
from .lanes import Lanes
from .panel_access import PanelAccess, Values
from .panels import TileShape

WIDTH = 4  # bits of a code, of a table of 16
PLANES = 4  # bytes of an f32
ELEMENTS = 8  # of a word
NIBBLES = 0x0F0F0F0F


def lower_plane_product(op: QuantizedLinearOp, kernel: OpaqueKernel, b: LoopBuilder) -> None:
    """Every tile, of one vector of outputs, by a PlaneProduct."""
    shape = TileShape(1, 1, kernel.machine.lanes(4))
    lower_float_product(op, kernel, b, shape, PlaneProduct, True, "transposed")


def planes_of(element: Element) -> list[int]:
    """The bytes of an f32, the lowest first, that any level has; all of levels not yet known."""
    levels = element.levels
    if not levels.size:
        return list(range(PLANES))
    bytes = levels.view(np.uint8).reshape(-1, PLANES)
    return [plane for plane in range(PLANES) if bytes[:, plane].any()]


@dataclass(frozen=True)
class PlaneProduct:
    """Writes the loops of one tile."""

    access: PanelAccess
    decoder: Decoder
    x: FloatRows

    @property
    def lanes(self) -> Lanes:
        """The lanes of all values."""
        return self.access.lanes

    def tile(self, b: LoopBuilder, tile: SSAValue) -> None:
        """The outputs of all rows and the lanes of a tile."""
        planes = self.planes(b)
        b.loop(
            0, self.access.panels.rows, lambda b, row: PlaneRow(self, tile, row, planes).write(b)
        )

    def planes(self, b: LoopBuilder) -> list[SSAValue | None]:
        """Byte p of all levels in every block, for p in 0..3; None where it is 0 in all of them.

        A block of each register has four levels, so that byte 4 l + p of a block's share is to
        become byte 16 p + l: its six bits turn by four, and each interleaving turns them by one.
        """
        levels, lanes = self.decoder.levels, self.lanes
        assert levels is not None

        @cache
        def turned(times: int, k: int) -> SSAValue:
            if not times:
                return lanes.as_bits(b, lanes.load(b, levels, [k * lanes.count]))
            both = (turned(times - 1, k // 2), turned(times - 1, k // 2 + PLANES // 2))
            return b.insert(InterleaveOp(*both, 8, k % 2))

        used = planes_of(self.decoder.format.element)
        return [turned(4, plane) if plane in used else None for plane in range(PLANES)]


@dataclass(frozen=True)
class PlaneRow:
    """A row of activations against one tile."""

    product: PlaneProduct
    tile: SSAValue
    row: SSAValue
    planes: list[SSAValue | None]

    @property
    def lanes(self) -> Lanes:
        """The lanes of all values."""
        return self.product.lanes

    @cached_property
    def size(self) -> int:
        """Elements of a group."""
        panels = self.product.access.panels
        return panels.format.group or panels.columns

    def write(self, b: LoopBuilder) -> None:
        """The outputs of the row: whole groups, then the rest of the last one."""
        whole, rest = divmod(self.product.access.panels.columns, self.size)
        zero = self.lanes.constant(b, 0.0, f32)
        total = b.loop(0, whole, lambda b, g, total: self.group(b, g, self.size, total), [zero])
        if rest:
            total = self.group(b, b.index(whole), rest, *total)
        self.product.access.store(b, self.tile, self.row, 1, total)

    def group(self, b: LoopBuilder, g: SSAValue, count: int, total: SSAValue) -> Values:
        """`total` and a group of which `count` elements exist."""
        words, lanes = -(-count // ELEMENTS), self.lanes
        first = b.mul(g, b.index(self.size // ELEMENTS))
        zeros = [lanes.constant(b, 0.0, f32)] * BLOCK

        def step(b: LoopBuilder, w: SSAValue, *part: SSAValue) -> Values:
            return self.word(b, b.add(first, w), list(part))

        parts = b.loop(0, words, step, zeros)
        value = b.add(b.add(parts[0], parts[1]), b.add(parts[2], parts[3]))
        access, decoder, sums = self.product.access, self.product.decoder, self.product.x.sums
        if sums is not None:
            rest = vector_rest(b, access, decoder, self.tile, g, 0)
            spread = lanes.splat(b, b.load(sums, [self.row, g, b.index(0)]))
            value = lanes.fma(b, spread, rest, value)
        scale = access.scale(b, self.tile, g, 0, decoder.unit)
        return [lanes.fma(b, value, scale, total)]

    def word(self, b: LoopBuilder, word: SSAValue, part: Values) -> Values:
        """`part` and the products of the eight elements of a word."""
        lanes, x = self.lanes, self.product.x.x
        codes = lanes.load(b, self.product.access.panels.words, [self.tile, word, 0])
        column = b.mul(word, b.index(ELEMENTS))
        for nibble in range(2):
            shifted = lanes.shift_right(b, codes, WIDTH * nibble)
            weights = self.weights(b, lanes.both(b, shifted, NIBBLES))
            for j, weight in enumerate(weights):
                at = b.add(column, b.index(BLOCK * nibble + j))
                spread = lanes.splat(b, b.load(x, [self.row, at, b.index(0)]))
                part[j] = lanes.fma(b, spread, weight, part[j])
        return part

    def weights(self, b: LoopBuilder, codes: SSAValue) -> Values:
        """The levels of four elements: bytes to halves, halves to numbers."""
        bytes = [p if p is None else b.insert(LookupBytesOp(codes, p)) for p in self.planes]
        low, high = (
            [self.interleaved(b, bytes[k], bytes[k + 1], 8, half) for half in (0, 1)]
            for k in (0, 2)
        )
        words = [self.interleaved(b, low[k], high[k], 16, half) for k in (0, 1) for half in (0, 1)]
        zero = self.lanes.constant(b, 0, i32)
        return [self.lanes.as_float(b, zero if word is None else word) for word in words]

    def interleaved(
        self, b: LoopBuilder, first: SSAValue | None, second: SSAValue | None, bits: int, half: int
    ) -> SSAValue | None:
        """Parts of both in turn; None is 0."""
        if first is None and second is None:
            return None
        zero = self.lanes.constant(b, 0, i32)
        first, second = (zero if value is None else value for value in (first, second))
        return b.insert(InterleaveOp(first, second, bits, half))
