"""Codes to numbers in registers, by a sequence that follows from the element type and bit field.

table       shift, permute: levels that fit a few registers, integers of few bits among them
in place    and-or, subtract: the field of an integer becomes the mantissa of 2^23 where it lies,
            so its value comes out times 2^exponent, by which activations are divided beforehand;
            where and-or is no instruction: and, convert, and subtract the center if it is not 0
arithmetic  shift, shift, and, multiply: the exponent and mantissa of a float go where f32 has them
gather      levels in memory: large codebooks
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import gcd
from typing import Literal

import numpy as np
from xdsl.dialects import arith
from xdsl.dialects.builtin import DenseIntOrFPElementsAttr, VectorType, f32, i32
from xdsl.ir import SSAValue

from ....costmodel.hardware import Machine
from ....dialects.quant import BitField, FloatElement, IntegerElement, WeightFormat, bit_fields
from ....dialects.quant.bit_fields import EXACT, WORD
from ....dialects.quant.ops import FieldNumberOp, FieldOp, LookupOp
from ....dialects.vector import PrefetchOp
from ..opaque_rules.loop_builder import LoopBuilder
from .lanes import Lanes
from .panel_access import PanelAccess

Method = Literal["table", "in place", "arithmetic", "gather"]
# Registers that hold levels. One permutation costs what and-or and subtract do, so that integers
# use it only where a single register is enough; floats have arithmetic instead of four, and of two
# on AVX2, where choosing between permutations takes longer (3.5 instead of 2.5 cycles). A gather of
# 16 numbers takes longer than 8 permutations of two registers and what chooses among their results.
MOST_TABLES = {"scalar": 0, "neon": 0, "avx2": 1, "avx512": 2}
MOST_CODEBOOK_TABLES = {"scalar": 0, "neon": 0, "avx2": 2, "avx512": 16}
MOST_INTEGER_TABLES = {"scalar": 0, "neon": 0, "avx2": 0, "avx512": 1}


@dataclass(frozen=True)
class Decoder:
    """How codes of `format` become numbers. `levels` is the table, in memory, of non-integers."""

    format: WeightFormat
    lanes: Lanes
    machine: Machine
    levels: SSAValue | None

    @property
    def registers(self) -> int:
        """Registers that a table of all levels fills."""
        return max(1, (1 << self.format.element.width) // self.lanes.count)

    @cached_property
    def method(self) -> Method:
        """What decodes one element."""
        isa, element = self.machine.isa, self.format.element
        if isinstance(element, IntegerElement):
            return "table" if self.registers <= MOST_INTEGER_TABLES[isa] else "in place"
        if isinstance(element, FloatElement):
            return "table" if self.registers <= MOST_TABLES[isa] else "arithmetic"
        return "table" if self.registers <= MOST_CODEBOOK_TABLES[isa] else "gather"

    @property
    def converts(self) -> bool:
        """Whether fields in their place are converted: `or` may run where multiply-adds do, which
        conversions leave to them (Zen 3), and a field counts from 0 without a subtraction."""
        return self.machine.isa in ("avx2", "scalar")

    @property
    def center(self) -> float:
        """What decoded levels are counted from: near typical zero points, which are taken off by
        the sum of the group's activations, so that what is taken off is small."""
        element = self.format.element
        if self.format.zero == "none" or not isinstance(element, IntegerElement):
            return 0.0
        return float(element.step * 2 ** (element.width - 1) + element.offset)

    @property
    def center_code(self) -> float:
        """The code, not always a whole one, of `center`."""
        element = self.format.element
        assert isinstance(element, IntegerElement)
        return (self.center - element.offset) / element.step

    @property
    def fields(self) -> tuple[BitField, ...]:
        """The places of a period's elements."""
        return bit_fields(self.format.element.width)

    @property
    def repeat(self) -> int:
        """After how many elements, in whole words, places are the same again."""
        return WORD // gcd(WORD, self.format.element.width)

    def exponent(self, element: int) -> int:
        """Decoded numbers of this element of a period are 2^exponent times the true ones."""
        return self.fields[element].exponent if self.method == "in place" else 0

    @property
    def unit(self) -> float:
        """True numbers are this times the decoded ones: integers in place are decoded as codes."""
        element, is_code = self.format.element, self.method == "in place"
        return float(element.step) if isinstance(element, IntegerElement) and is_code else 1.0

    def biases(self, b: LoopBuilder, zero: SSAValue) -> dict[int, SSAValue]:
        """What a field in its place is for a zero point that is a code, exactly, by exponent."""
        exponents = sorted({place.exponent for place in self.fields})
        factors = {e: self.lanes.constant(b, 2.0**e, f32) for e in exponents}
        if self.converts:
            return {e: b.mul(zero, factor) for e, factor in factors.items()}
        first = self.lanes.constant(b, 2.0**EXACT, f32)
        return {e: self.lanes.fma(b, zero, factor, first) for e, factor in factors.items()}

    def load_tables(self, b: LoopBuilder) -> list[SSAValue]:
        """The levels in registers. A table shorter than a register repeats."""
        if self.method != "table":
            return []
        if self.levels is not None:
            count = self.lanes.count
            return [self.lanes.load(b, self.levels, [k * count]) for k in range(self.registers)]
        return [
            self.constant(b, np.resize(self.format.element.levels - self.center, self.lanes.count))
        ]

    def constant(self, b: LoopBuilder, values: np.ndarray) -> SSAValue:
        """A vector of numbers."""
        type = VectorType(f32, [self.lanes.count])
        numbers = [float(v) for v in values]
        return b.insert(arith.ConstantOp(DenseIntOrFPElementsAttr.from_list(type, numbers)))


@dataclass
class PeriodDecoder:
    """Decodes one period of one lane group, loading and shifting each word once.

    `biases` are, by exponent, what is taken off fields in their place with their center, which is
    then a zero point. Cache lines are asked for `ahead` words before they are needed (0: left to
    the hardware).
    """

    decoder: Decoder
    tables: list[SSAValue]
    array: SSAValue
    position: tuple[SSAValue, SSAValue, int]  # tile, first word, first lane
    ahead: int = 0
    biases: dict[int, SSAValue] = field(default_factory=dict)
    words: dict[tuple[int, int], SSAValue] = field(default_factory=dict)

    def word(self, b: LoopBuilder, number: int, shift: int = 0) -> SSAValue:
        """Word `number` of the period in all lanes, shifted to the right."""
        if (number, shift) not in self.words:
            lanes = self.decoder.lanes
            if shift:
                value = lanes.shift_right(b, self.word(b, number), shift)
            else:
                tile, first, lane = self.position
                row = b.add(first, b.index(number)) if number else first
                if self.ahead:
                    later = b.add(row, b.index(self.ahead))
                    b.append(PrefetchOp(self.array, [tile, later, b.index(lane)]))
                value = lanes.load(b, self.array, [tile, row, lane])
            self.words[number, shift] = value
        return self.words[number, shift]

    def low(self, b: LoopBuilder, element: int) -> SSAValue:
        """The field in the lowest bits, other bits above it."""
        place, lanes = self.decoder.fields[element], self.decoder.lanes
        low = lanes.shift_right(b, self.word(b, place.word), place.shift)
        if not place.straddles:
            return low
        high = lanes.shift_left(b, self.word(b, place.word + 1), WORD - place.shift)
        return b.either(low, high)

    def code(self, b: LoopBuilder, element: int) -> SSAValue:
        """The field alone."""
        place, value = self.decoder.fields[element], self.low(b, element)
        if place.shift + place.width == WORD:
            return value
        return self.decoder.lanes.both(b, value, 2**place.width - 1)

    def number(self, b: LoopBuilder, element: int) -> SSAValue:
        """(level - center) * 2^exponent / unit of an element."""
        decoder = self.decoder
        match decoder.method:
            case "in place":
                return self.in_place(b, element)
            case "table":
                return b.insert(LookupOp(self.low(b, element), self.tables))
            case "arithmetic":
                return self.float_number(b, element)
            case "gather":
                assert decoder.levels is not None
                return decoder.lanes.gather(b, decoder.levels, self.code(b, element))

    def in_place(self, b: LoopBuilder, element: int) -> SSAValue:
        """A converted field, or one in 2^23, less its center or zero point: 2^23 and a whole center
        are taken off together, which is exact; others in two steps."""
        decoder, place, lanes = self.decoder, self.decoder.fields[element], self.decoder.lanes
        word = self.low(b, element) if place.straddles else self.word(b, place.word, place.window)
        bias, center = self.biases.get(place.exponent), decoder.center_code * 2**place.exponent
        if decoder.converts:
            taken = center if bias is None else 0.0
            value = b.insert(FieldNumberOp(word, place.width, place.exponent, taken))
            return value if bias is None else b.sub(value, bias)
        value = b.insert(FieldOp(word, place.width, place.exponent))
        if bias is not None:
            return b.sub(value, bias)
        if center.is_integer():
            return b.sub(value, lanes.constant(b, 2.0**EXACT + center, f32))
        value = b.sub(value, lanes.constant(b, 2.0**EXACT, f32))
        return b.sub(value, lanes.constant(b, center, f32))

    def float_number(self, b: LoopBuilder, element: int) -> SSAValue:
        """The field to the top, the sign stays there, the rest goes where f32 has it.

        A product corrects the bias, which makes numbers of subnormals too.
        """
        decoder, lanes = self.decoder, self.decoder.lanes
        kind, place = decoder.format.element, decoder.fields[element]
        assert isinstance(kind, FloatElement)
        if place.straddles:
            top = lanes.shift_left(b, self.low(b, element), WORD - kind.width)
        else:
            top = lanes.shift_left(b, self.word(b, place.word), WORD - kind.width - place.shift)
        spread = lanes.shift_right_signed(b, top, 8 - kind.exponent)
        magnitude = (2 ** (kind.width - 1) - 1) << (EXACT - kind.mantissa)
        bits = lanes.both(b, spread, magnitude - 2**31)
        factor = lanes.constant(b, 2.0 ** (127 - kind.bias), f32)
        value = b.mul(lanes.as_float(b, bits), factor)
        if kind.variant == "finite":
            return value
        fill = 0x7F800000 if kind.variant == "ieee" else 0x7FC00000  # all others are NaN
        special = lanes.as_float(b, b.either(bits, lanes.constant(b, fill, i32)))
        first = kind.first_special << (EXACT - kind.mantissa)
        return lanes.where_at_least(b, lanes.both(b, bits, magnitude), first, special, value)


def group_rest(
    b: LoopBuilder, access: PanelAccess, decoder: Decoder, tile: SSAValue, group: SSAValue
) -> list[SSAValue]:
    """(center - zero point) / unit of a group by vector; none where the format has no zeros."""
    if access.panels.zeros is None:
        return []
    vectors = range(access.panels.tile.vectors)
    return [vector_rest(b, access, decoder, tile, group, vector) for vector in vectors]


def vector_rest(
    b: LoopBuilder,
    access: PanelAccess,
    decoder: Decoder,
    tile: SSAValue,
    group: SSAValue,
    vector: int,
) -> SSAValue:
    """(center - zero point) / unit of a group of one vector."""
    panels, lanes, element = access.panels, access.lanes, access.panels.format.element
    value, center = access.zero(b, tile, group, vector), decoder.center
    if panels.format.zero == "int":
        assert isinstance(element, IntegerElement)
        value = lanes.convert(b, value)
        center = (center - element.offset) / element.step
        unit = decoder.unit / element.step
    else:
        unit = decoder.unit
    value = b.sub(lanes.constant(b, center, f32), value)
    return value if unit == 1 else b.mul(value, lanes.constant(b, 1 / unit, f32))
